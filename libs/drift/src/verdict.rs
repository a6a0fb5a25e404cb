//! From a number to a verdict.

use crate::counts::{Counts, binomial_upper};
use crate::divergence::Divergence;
use crate::experiment::fisher;
use crate::special::{chi_square_power, normal_quantile};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How far a distribution has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Too few values for any statement. It never counts as "no drift".
    InsufficientData,
    /// Below the limit of moderate drift.
    None,
    /// At or above the limit of moderate drift.
    Moderate,
    /// At or above the limit of significant drift.
    Significant,
}

/// The limits of the verdict.
///
/// A verdict is a test of the null that both samples come from one distribution, together with a least effect that
/// matters. Two tests share the level: Pearson's chi-square over bins of at least five expected values, with PSI as its
/// effect, and Kolmogorov-Smirnov, with its own distance as the effect, which sees a shift that PSI spreads thin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// What measures how far it has moved.
    pub statistic: Statistic,
    /// The least effect: of the statistic, from here drift is moderate.
    pub moderate: f64,
    /// Of the statistic, from here drift is significant.
    pub significant: f64,
    /// The least number of values in each of window and baseline.
    pub min_n: u64,
    /// The chance of any drift verdict when nothing has drifted, at most.
    pub level: f64,
    /// Which way is a drift to be told of.
    pub worse: Worse,
}

/// The effect of a drift. Whatever it is, the same two tests say whether it is beyond chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statistic {
    /// The population stability index, less what chance would make of it.
    Psi,
    /// The Kolmogorov-Smirnov distance.
    KolmogorovSmirnov,
    /// The Jensen-Shannon distance to base 2.
    JensenShannon,
    /// The Wasserstein-1 distance in standard deviations of the baseline.
    WassersteinNormed,
    /// The Hellinger distance.
    Hellinger,
    /// The total variation distance.
    TotalVariation,
}

impl Statistic {
    /// The limits of moderate and significant that stand for none: what two normal distributions 0.32 and 0.5 standard
    /// deviations apart, whose PSI is 0.10 and 0.25, have of each.
    pub fn usual(self) -> (f64, f64) {
        match self {
            Self::Psi => (0.10, 0.25),
            Self::KolmogorovSmirnov => (0.13, 0.20),
            Self::JensenShannon => (0.13, 0.21),
            Self::WassersteinNormed => (0.32, 0.50),
            Self::Hellinger => (0.11, 0.18),
            Self::TotalVariation => (0.13, 0.20),
        }
    }

    /// Its value in a comparison.
    pub fn of(self, found: &Divergence) -> f64 {
        match self {
            Self::Psi => found.psi_corrected,
            Self::KolmogorovSmirnov => found.kolmogorov_smirnov.statistic,
            Self::JensenShannon => found.jensen_shannon_distance,
            // A baseline without spread has no unit to measure in: any distance is beyond it.
            Self::WassersteinNormed => {
                found.wasserstein_normed.unwrap_or(if found.wasserstein > 0.0 { f64::MAX } else { 0.0 })
            }
            Self::Hellinger => found.hellinger,
            Self::TotalVariation => found.total_variation,
        }
    }
}

/// The direction of drift that is bad. It is judged by the whole distribution: a mean that falls is no comfort where the
/// upper tail has grown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Worse {
    /// Any change.
    Either,
    /// Larger values.
    Up,
    /// Smaller values.
    Down,
}

impl Worse {
    /// Whether the change is mostly the bad way, or so far that way that it matters by itself and is beyond chance.
    fn is(self, found: &Divergence, level: f64) -> bool {
        let (bad, good) = match self {
            Self::Either => return true,
            Self::Up => (found.one_sided.up, found.one_sided.down),
            Self::Down => (found.one_sided.down, found.one_sided.up),
        };
        let (n, m) = (found.n as f64, found.baseline_n as f64);
        // The chance of a one-sided distance, asymptotically (Smirnov 1948).
        let chance = (-2.0 * bad * bad * n * m / (n + m)).exp();
        bad > good || (bad >= MODERATE_DISTANCE && chance < level)
    }
}

/// The Kolmogorov-Smirnov distance from which drift is moderate, whatever PSI says: three quarters of that of two normal
/// distributions 0.2 standard deviations apart.
const MODERATE_DISTANCE: f64 = 0.06;
/// The PSI that a test must be able to find for its silence to mean anything, where the effect is measured otherwise.
const FINDABLE_PSI: f64 = 0.25;

impl Default for Thresholds {
    /// 0.10 and 0.25, the customary limits of PSI (Siddiqi, "Credit risk scorecards", 2006); 100; 0.01; either way.
    fn default() -> Self {
        Self {
            statistic: Statistic::Psi,
            moderate: 0.10,
            significant: 0.25,
            min_n: 100,
            level: 0.01,
            worse: Worse::Either,
        }
    }
}

/// The limits do not satisfy `0 <= moderate <= significant`, or are not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThresholdsError;

impl fmt::Display for ThresholdsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must satisfy 0 <= moderate <= significant")
    }
}

impl std::error::Error for ThresholdsError {}

impl Thresholds {
    /// Checks the limits.
    ///
    /// # Errors
    /// [`ThresholdsError`] if they are out of order.
    pub fn checked(self) -> Result<Self, ThresholdsError> {
        let ordered = 0.0 <= self.moderate && self.moderate <= self.significant && self.significant.is_finite();
        if ordered { Ok(self) } else { Err(ThresholdsError) }
    }

    /// The verdict over a comparison; `None` stands for one without values on a side.
    ///
    /// What is not rejected is [`Verdict::None`] only where the test finds a PSI of [`Self::significant`] in four of
    /// five months; else there are too few values to say so.
    pub fn verdict(&self, divergence: Option<&Divergence>) -> Verdict {
        let Some(found) = divergence.filter(|found| found.n.min(found.baseline_n) >= self.min_n.max(1)) else {
            return Verdict::InsufficientData;
        };
        // Each of the two tests has half of the level (Bonferroni).
        let level = self.level / 2.0;
        let differs = found.homogeneity.p_value < level;
        let shifted = found.kolmogorov_smirnov.p_value < level;
        let effect = self.statistic.of(found);
        let (moderate, significant) = match self.statistic {
            // PSI belongs to the test of the bins; a shift that it spreads thin is seen by the other.
            Statistic::Psi => {
                let far = shifted && found.kolmogorov_smirnov.statistic >= MODERATE_DISTANCE;
                (far || (differs && effect >= self.moderate), differs && effect >= self.significant)
            }
            _ => ((differs || shifted) && effect >= self.moderate, (differs || shifted) && effect >= self.significant),
        };
        // What moved the good way is no drift to tell of, however sure.
        let worse = self.worse.is(found, level);
        if significant && worse {
            Verdict::Significant
        } else if moderate && worse {
            Verdict::Moderate
        } else if moderate || self.power(found) >= LEAST_POWER {
            Verdict::None
        } else {
            Verdict::InsufficientData
        }
    }

    /// The p value of the verdict: that of the smaller of the two tests that share the level.
    pub fn p_value(found: &Divergence) -> f64 {
        (2.0 * found.homogeneity.p_value.min(found.kolmogorov_smirnov.p_value)).min(1.0)
    }

    /// The chance that the test of homogeneity finds a PSI of [`Self::significant`] in samples of these sizes: PSI
    /// over `1/n + 1/m` is then noncentral chi-square.
    fn power(&self, found: &Divergence) -> f64 {
        let degrees = found.homogeneity.degrees_of_freedom;
        if degrees <= 0.0 {
            // All values in one bin: what leaves it makes a second.
            return if found.bins <= 1 { 1.0 } else { 0.0 };
        }
        let findable = if self.statistic == Statistic::Psi { self.significant } else { FINDABLE_PSI };
        let shift = findable / (1.0 / found.n as f64 + 1.0 / found.baseline_n as f64);
        chi_square_power(shift, degrees, self.level / 2.0)
    }
}

/// The chance with which a verdict of no drift would have been another, had there been significant drift.
const LEAST_POWER: f64 = 0.8;

/// The least changes of a rate that matter, as differences of shares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimits {
    /// From here a change is moderate.
    pub moderate: f64,
    /// From here a change is significant.
    pub significant: f64,
    /// The chance of a verdict of change when nothing has changed, at most.
    pub level: f64,
}

impl RateLimits {
    /// Judges the change of a rate: Fisher's exact test of the null that both shares are one, and the size of the
    /// difference. Returns the verdict with the p value; `None` stands for a rate without cases.
    ///
    /// What is not rejected is [`Verdict::None`] only where a difference of [`Self::significant`] is found in four of
    /// five months.
    pub fn change(&self, now: Counts, before: Counts) -> (Verdict, Option<f64>) {
        let (Some(share), Some(earlier)) = (now.share(), before.share()) else {
            return (Verdict::InsufficientData, None);
        };
        let p_value = fisher(now.into(), before.into());
        let difference = (share - earlier).abs();
        let verdict = if p_value < self.level && difference >= self.significant {
            Verdict::Significant
        } else if p_value < self.level && difference >= self.moderate {
            Verdict::Moderate
        } else if self.finds(now, before) {
            Verdict::None
        } else {
            Verdict::InsufficientData
        };
        (verdict, Some(p_value))
    }

    fn finds(&self, now: Counts, before: Counts) -> bool {
        let (n, m) = (now.trials as f64, before.trials as f64);
        // Half a case each way: a share of 0 in few cases is not a share without variance.
        let pooled = ((now.successes + before.successes) as f64 + 0.5) / (n + m + 1.0);
        let error = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
        self.significant / error >= normal_quantile(1.0 - self.level / 2.0) + normal_quantile(LEAST_POWER)
    }
}

/// The share from which something is too high to be taken on trust.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShareLimits {
    /// The highest share that needs no explanation: the null.
    pub usual: f64,
    /// From here a share is moderate.
    pub moderate: f64,
    /// From here a share is significant.
    pub significant: f64,
    /// The chance of a verdict at the usual share, at most.
    pub level: f64,
}

impl ShareLimits {
    /// Judges a share: the exact binomial test of the null that the true share is at most [`Self::usual`]. Returns the
    /// verdict with the one-sided p value.
    pub fn judge(&self, found: Counts) -> (Verdict, Option<f64>) {
        let Some(share) = found.share() else { return (Verdict::InsufficientData, None) };
        let p_value = binomial_upper(found, self.usual);
        let verdict = if found.trials < self.least() {
            Verdict::InsufficientData
        } else if p_value < self.level && share >= self.significant {
            Verdict::Significant
        } else if p_value < self.level && share >= self.moderate {
            Verdict::Moderate
        } else {
            Verdict::None
        };
        (verdict, Some(p_value))
    }

    /// The least number of cases: with fewer, not even a share of 1 would contradict the null.
    pub fn least(&self) -> u64 {
        let mut chance = 1.0;
        (0..10_000)
            .find(|_| {
                let rejects = chance < self.level;
                chance *= self.usual;
                rejects
            })
            .unwrap_or(10_000)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::divergence::{OneSided, compare};
    use crate::histogram::{Edges, Histogram};
    use crate::inference::TestResult;

    /// A comparison over ten bins with such sizes and effect; the p values are those given.
    fn found(n: u64, baseline_n: u64, psi_corrected: f64, (p, ks): (f64, (f64, f64))) -> Divergence {
        let ten = Histogram::of(Edges::unit_deciles(), (0..100).map(|i| f64::from(i) / 100.0 + 0.005));
        let found = compare(&ten, &ten).unwrap();
        Divergence {
            n,
            baseline_n,
            psi_corrected,
            homogeneity: TestResult { p_value: p, ..found.homogeneity },
            kolmogorov_smirnov: TestResult { statistic: ks.0, p_value: ks.1, ..found.kolmogorov_smirnov },
            ..found
        }
    }

    const SURE: (f64, (f64, f64)) = (0.004_9, (0.0, 1.0));

    fn verdict(n: u64, baseline_n: u64, psi_corrected: f64) -> Verdict {
        Thresholds::default().verdict(Some(&found(n, baseline_n, psi_corrected, SURE)))
    }

    #[test]
    fn each_limit_belongs_to_the_verdict_above_it() {
        let verdict = |psi| verdict(1_000, 1_000, psi);
        assert_eq!([0.0, 0.099_999].map(verdict), [Verdict::None; 2]);
        assert_eq!([0.10, 0.249_999].map(verdict), [Verdict::Moderate; 2]);
        assert_eq!([0.25, 9.0].map(verdict), [Verdict::Significant; 2]);
    }

    #[test]
    fn no_effect_is_drift_without_the_test_and_no_test_is_drift_without_the_effect() {
        let judge = |psi, p, ks| Thresholds::default().verdict(Some(&found(1_000, 1_000, psi, (p, ks))));
        assert_eq!(judge(9.0, 0.005, (0.0, 1.0)), Verdict::None, "each test has half of the level");
        assert_eq!(judge(0.0, 0.0, (0.059, 0.0)), Verdict::None);
        assert_eq!(judge(0.0, 1.0, (0.06, 0.004_9)), Verdict::Moderate);
        assert_eq!(judge(0.0, 1.0, (0.9, 0.005)), Verdict::None);
        assert_eq!(judge(9.0, 1.0, (0.9, 0.0)), Verdict::Moderate, "a PSI that is not beyond chance is none");
    }

    #[test]
    fn a_drift_the_good_way_is_none_and_every_statistic_has_its_own_limits() {
        let far = found(1_000, 1_000, 9.0, SURE);
        let judge = |worse, up, down| {
            let limits = Thresholds { worse, ..Thresholds::default() };
            limits.verdict(Some(&Divergence { one_sided: OneSided { up, down }, ..far }))
        };
        assert_eq!((judge(Worse::Up, 0.1, 0.0), judge(Worse::Up, 0.0, 0.1)), (Verdict::Significant, Verdict::None));
        assert_eq!((judge(Worse::Down, 0.1, 0.0), judge(Worse::Down, 0.0, 0.1)), (Verdict::None, Verdict::Significant));
        assert_eq!((judge(Worse::Up, 0.0, 0.0), judge(Worse::Either, 0.0, 0.0)), (Verdict::None, Verdict::Significant));
        // Mostly the good way, and the bad way too: it is told of where that alone matters and is beyond chance.
        let both = [judge(Worse::Up, 0.08, 0.3), judge(Worse::Up, 0.059, 0.3), judge(Worse::Up, 0.07, 0.3)];
        assert_eq!(both, [Verdict::Significant, Verdict::None, Verdict::None], "0.07 is not beyond chance of .005");
        let limits =
            Thresholds { statistic: Statistic::Hellinger, moderate: 0.1, significant: 0.2, ..Thresholds::default() };
        let judge = |hellinger, psi_corrected| limits.verdict(Some(&Divergence { hellinger, psi_corrected, ..far }));
        assert_eq!(
            [judge(0.09, 9.0), judge(0.1, 0.0), judge(0.2, 0.0)],
            [Verdict::None, Verdict::Moderate, Verdict::Significant]
        );
        let unsure = Divergence { hellinger: 0.9, ..found(1_000, 1_000, 9.0, (1.0, (0.9, 1.0))) };
        assert_eq!(limits.verdict(Some(&unsure)), Verdict::None, "not beyond chance");
    }

    #[test]
    fn a_mean_that_falls_does_not_hide_a_tail_that_grows() {
        // Half of the values move down a little, a tenth to the very top.
        let before = Histogram::of(Edges::unit_deciles(), (0..1_000).map(|i| 0.35 + f64::from(i % 3) / 10.0));
        let after = Histogram::of(
            Edges::unit_deciles(),
            (0..1_000).map(|i| if i % 10 == 0 { 0.95 } else { 0.15 + f64::from(i % 3) / 10.0 }),
        );
        let found = compare(&after, &before).unwrap();
        assert!(found.mean_difference < 0.0 && found.one_sided.up > 0.06, "{found:?}");
        let judge = |worse| Thresholds { worse, ..Thresholds::default() }.verdict(Some(&found));
        assert_eq!([judge(Worse::Up), judge(Worse::Down)], [Verdict::Significant; 2]);
        let lower = Histogram::of(Edges::unit_deciles(), (0..1_000).map(|i| 0.15 + f64::from(i % 3) / 10.0));
        let found = compare(&lower, &before).unwrap();
        let judge = |worse| Thresholds { worse, ..Thresholds::default() }.verdict(Some(&found));
        assert_eq!([judge(Worse::Up), judge(Worse::Down)], [Verdict::None, Verdict::Significant]);
    }

    #[test]
    fn both_sides_need_values_enough() {
        assert_eq!(verdict(100, 100, 9.0), Verdict::Significant);
        assert_eq!(verdict(99, 1_000_000, 9.0), Verdict::InsufficientData);
        assert_eq!(verdict(1_000_000, 99, 9.0), Verdict::InsufficientData);
        let no_least = Thresholds { min_n: 0, ..Thresholds::default() };
        assert_eq!(no_least.verdict(Some(&found(1, 1, 9.0, SURE))), Verdict::Significant);
        assert_eq!(no_least.verdict(Some(&found(1, 0, 9.0, SURE))), Verdict::InsufficientData);
        assert_eq!(no_least.verdict(None), Verdict::InsufficientData);
        assert_eq!(verdict(100, 100, 0.0), Verdict::InsufficientData, "a PSI of .25 would be missed in most months");
        assert_eq!(verdict(120, 1_000_000, 0.0), Verdict::None);
    }

    #[test]
    fn limits_are_in_order_and_finite() {
        let checked = |moderate, significant| {
            Thresholds { moderate, significant, min_n: 1, ..Thresholds::default() }.checked().is_ok()
        };
        assert!(checked(0.0, 0.0) && checked(0.1, 0.1) && checked(0.1, 0.25));
        let wrong = [(-0.1, 0.2), (0.3, 0.2), (f64::NAN, 0.2), (0.1, f64::NAN), (0.1, f64::INFINITY)];
        assert!(wrong.iter().all(|(moderate, significant)| !checked(*moderate, *significant)));
    }

    #[test]
    fn a_change_of_a_rate_is_beyond_chance_and_matters() {
        let limits = RateLimits { moderate: 0.05, significant: 0.10, level: 0.01 };
        let judge = |x, n, y, m| limits.change(Counts::new(x, n).unwrap(), Counts::new(y, m).unwrap()).0;
        assert_eq!(judge(12, 30, 3, 30), Verdict::InsufficientData, "p is .015");
        assert_eq!(judge(15, 30, 3, 30), Verdict::Significant);
        assert_eq!(judge(400, 2_000, 280, 2_000), Verdict::Moderate);
        assert_eq!(judge(40_000, 200_000, 39_000, 200_000), Verdict::None, "half a point, however sure");
        assert_eq!(judge(0, 0, 3, 30), Verdict::InsufficientData);
        assert_eq!(judge(6, 30, 6, 30), Verdict::InsufficientData, "a change of .1 would be missed");
    }

    #[test]
    fn a_share_needs_cases_that_could_contradict_the_usual_one() {
        let limits = ShareLimits { usual: 0.85, moderate: 0.95, significant: 0.98, level: 0.01 };
        let judge = |x, n| limits.judge(Counts::new(x, n).unwrap()).0;
        assert_eq!(limits.least(), 29);
        assert_eq!((judge(28, 28), judge(29, 29)), (Verdict::InsufficientData, Verdict::Significant));
        assert_eq!((judge(96, 100), judge(94, 100)), (Verdict::Moderate, Verdict::None));
    }
}
