//! The statistics of Remit: mergeable summaries of many values, and what may be concluded from them.
//!
//! Everything here is pure and works on summaries that merge exactly, so that a month is the sum of
//! its days and drift is a comparison of two rollups. Each formula names its source; each is tested
//! against numbers computed by SciPy 1.17, or worked by hand.

mod anytime;
mod calibration;
mod control;
mod counts;
mod covariate;
mod divergence;
mod diversity;
mod exact;
mod experiment;
mod histogram;
mod inference;
mod memory;
mod moments;
mod power;
mod sketch;
mod special;
mod verdict;

pub use anytime::anytime;
pub use calibration::{Calibration, CalibrationLimits, Reliability, Scored, calibration};
pub use control::{ControlLimits, individuals_chart, prediction_limits, share_limits};
pub use counts::Counts;
pub use covariate::{Covaried, adjusted};
pub use divergence::{
    Divergence, OneSided, chi_square, compare, g_test, hellinger, homogeneity, jensen_shannon_distance,
    kolmogorov_smirnov, mean_difference, one_sided, psi, psi_expected, total_variation, wasserstein,
    wasserstein_normed,
};
pub use diversity::{distinct_n, self_similarity};
pub use exact::{kolmogorov_smirnov_exact, wasserstein_exact};
pub use experiment::{Units, proportions, ratio_interval, ratios, sample_ratio};
pub use histogram::{Edges, EdgesError, Histogram};
pub use inference::{
    Interval, Sample, TestResult, Tested, among_many, benjamini_hochberg, holm, mean_interval, welch, wilson,
};
pub use memory::{Chart, Memory, Observation, Shift, Standing, standing};
pub use moments::Moments;
pub use power::{Metric, Plan};
pub use sketch::Sketch;
pub use verdict::{RateLimits, ShareLimits, Statistic, Thresholds, ThresholdsError, Verdict, Worse};
