//! How many units an experiment needs, and what it would find with those that it has.

use crate::inference::is_chance;
use crate::special::{normal_quantile, normal_two_sided};

/// What an experiment is to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Metric {
    /// The share of units with an outcome.
    Share {
        /// The share in the control.
        baseline: f64,
    },
    /// A mean over units.
    Mean {
        /// The standard deviation over units.
        deviation: f64,
    },
}

/// A plan to compare treatments with a control.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// What is measured.
    pub metric: Metric,
    /// The accepted chance of a false finding over all treatments together.
    pub alpha: f64,
    /// The number of treatments, at least 1; each is tested at its part of alpha, as the first step of Holm is.
    pub treatments: u32,
    /// Units of the control for each unit of a treatment, above 0.
    pub ratio: f64,
}

impl Plan {
    /// The variance of the difference by unit of a treatment, when nothing differs and when it differs by `effect`; `None`
    /// if the plan makes no sense.
    fn variances(&self, effect: f64) -> Option<(f64, f64)> {
        let sound = is_chance(self.alpha) && self.treatments > 0 && self.ratio > 0.0 && self.ratio.is_finite();
        if !sound || effect == 0.0 || !effect.is_finite() {
            return None;
        }
        match self.metric {
            Metric::Share { baseline } => {
                let treated = baseline + effect;
                if !is_chance(baseline) || !is_chance(treated) {
                    return None;
                }
                let pooled = (treated + self.ratio * baseline) / (1.0 + self.ratio);
                let of = |share: f64| share * (1.0 - share);
                Some((of(pooled) * (1.0 + 1.0 / self.ratio), of(treated) + of(baseline) / self.ratio))
            }
            Metric::Mean { deviation } => {
                let variance = deviation * deviation * (1.0 + 1.0 / self.ratio);
                (deviation > 0.0 && deviation.is_finite()).then_some((variance, variance))
            }
        }
    }

    fn critical(&self) -> f64 {
        normal_quantile(1.0 - self.alpha / f64::from(self.treatments.max(1)) / 2.0)
    }

    /// The least units in each treatment with which a difference of `effect` is found with the chance `power`: for shares
    /// that of Fleiss, Levin and Paik ("Statistical methods for rates and proportions", 2003, formula 4.14, with the
    /// continuity correction, since the exact test is careful), for means the normal one with the correction of Guenther
    /// (American Statistician 35, 1981) for Student's t. `None` if the plan makes no sense.
    pub fn n(&self, effect: f64, power: f64) -> Option<u64> {
        let (null, other) = self.variances(effect)?;
        if !is_chance(power) {
            return None;
        }
        let z = self.critical();
        let n = ((z * null.sqrt() + normal_quantile(power) * other.sqrt()) / effect).powi(2);
        let corrected = match self.metric {
            Metric::Share { .. } => {
                let step = 1.0 + 2.0 * (1.0 + self.ratio) / (n * self.ratio * effect.abs());
                n / 4.0 * (1.0 + step.sqrt()).powi(2)
            }
            Metric::Mean { .. } => n + z * z / 4.0,
        };
        // Beyond every organisation; casts of larger numbers would wrap.
        (corrected < 1e15).then_some(corrected.ceil().max(2.0) as u64)
    }

    /// The chance to find a difference of `effect` with `n` units in each treatment. `None` if the plan makes no sense.
    pub fn power(&self, effect: f64, n: u64) -> Option<f64> {
        let (null, other) = self.variances(effect)?;
        let z = self.critical();
        let n = n as f64;
        // The corrections of `n`, the other way round.
        let effective = match self.metric {
            Metric::Share { .. } => {
                let lost = (1.0 + self.ratio) / (2.0 * self.ratio * effect.abs());
                ((n - lost).max(0.0)).powi(2) / n
            }
            Metric::Mean { .. } => (n - z * z / 4.0).max(0.0),
        };
        let beyond = (effective.sqrt() * effect.abs() - z * null.sqrt()) / other.sqrt();
        let tail = normal_two_sided(beyond) / 2.0;
        Some(if beyond < 0.0 { tail } else { 1.0 - tail })
    }

    /// The least difference upwards that `n` units in each treatment find with the chance `power`: what is smaller would
    /// mostly be missed. `None` if the plan makes no sense, or nothing is large enough.
    pub fn detectable(&self, n: u64, power: f64) -> Option<f64> {
        let greatest = match self.metric {
            Metric::Share { baseline } => 1.0 - baseline - 1e-9,
            Metric::Mean { deviation } => deviation * 1e3,
        };
        let finds = |effect: f64| self.power(effect, n).is_some_and(|found| found >= power);
        if !finds(greatest) {
            return None;
        }
        let (mut low, mut high) = (0.0, greatest);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if finds(middle) { high = middle } else { low = middle }
        }
        Some(high)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn plan(metric: Metric) -> Plan {
        Plan { metric, alpha: 0.05, treatments: 1, ratio: 1.0 }
    }

    /// By hand: means half a standard deviation apart need 2 (1.96 + .8416)^2 / .25 = 62.8 units, and .96 for Student's t;
    /// shares of .6 and .7 need 356 (the textbook's example without the correction) and 20 more.
    #[test]
    fn numbers_of_the_textbooks() {
        assert_eq!(plan(Metric::Mean { deviation: 2.0 }).n(1.0, 0.8), Some(64));
        assert_eq!(plan(Metric::Share { baseline: 0.6 }).n(0.1, 0.8), Some(376));
        let three = Plan { treatments: 3, ..plan(Metric::Share { baseline: 0.6 }) };
        assert!(three.n(0.1, 0.8).unwrap() > 450, "several treatments share alpha");
    }

    #[test]
    fn power_and_least_effect_are_the_same_sum_backwards() {
        for metric in [Metric::Share { baseline: 0.05 }, Metric::Mean { deviation: 3.0 }] {
            let plan = plan(metric);
            let n = plan.n(0.02, 0.8).unwrap();
            assert!((plan.power(0.02, n).unwrap() - 0.8).abs() < 0.01, "{metric:?}");
            assert!((plan.detectable(n, 0.8).unwrap() - 0.02).abs() < 0.001, "{metric:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_has_no_number() {
        let share = |baseline| plan(Metric::Share { baseline });
        assert_eq!((share(0.9).n(0.2, 0.8), share(0.0).n(0.1, 0.8), share(0.5).n(0.0, 0.8)), (None, None, None));
        assert_eq!(plan(Metric::Mean { deviation: 0.0 }).n(1.0, 0.8), None);
        assert_eq!(share(0.5).n(0.1, 1.0), None);
        assert_eq!(share(0.99).detectable(10, 0.8), None);
    }
}
