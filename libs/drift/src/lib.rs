//! The statistics of Remit: mergeable summaries of many values, and what may be concluded from them.
//!
//! Everything here is pure and works on summaries that merge exactly, so that a month is the sum of
//! its days and drift is a comparison of two rollups. Each formula names its source; each is tested
//! against numbers computed by SciPy 1.17, or worked by hand.

mod control;
mod counts;
mod divergence;
mod exact;
mod experiment;
mod histogram;
mod inference;
mod moments;
mod sketch;
mod special;
mod verdict;

pub use control::{ControlLimits, individuals_chart, prediction_limits, share_limits};
pub use counts::Counts;
pub use divergence::{
    Divergence, chi_square, compare, g_test, hellinger, homogeneity, jensen_shannon_distance, kolmogorov_smirnov, psi,
    psi_expected, total_variation, wasserstein,
};
pub use exact::{kolmogorov_smirnov_exact, wasserstein_exact};
pub use experiment::{Units, proportions, ratios, sample_ratio};
pub use histogram::{Edges, EdgesError, Histogram};
pub use inference::{Interval, Sample, TestResult, Tested, holm, mean_interval, welch, wilson};
pub use moments::Moments;
pub use sketch::Sketch;
pub use verdict::{RateLimits, ShareLimits, Thresholds, ThresholdsError, Verdict};
