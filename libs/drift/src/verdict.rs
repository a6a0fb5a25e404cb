//! From a number to a verdict.

use crate::divergence::Divergence;
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Bias-corrected PSI from which drift is moderate.
    pub moderate_psi: f64,
    /// Bias-corrected PSI from which drift is significant.
    pub significant_psi: f64,
    /// The least number of values in each of window and baseline.
    pub min_n: u64,
}

impl Default for Thresholds {
    /// 0.10 and 0.25, the customary limits of PSI (Siddiqi, "Credit risk scorecards", 2006), and 100.
    fn default() -> Self {
        Self { moderate_psi: 0.10, significant_psi: 0.25, min_n: 100 }
    }
}

/// The limits do not satisfy `0 <= moderate <= significant`, or are not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThresholdsError;

impl fmt::Display for ThresholdsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must satisfy 0 <= moderate_psi <= significant_psi")
    }
}

impl std::error::Error for ThresholdsError {}

impl Thresholds {
    /// Checks the limits.
    ///
    /// # Errors
    /// [`ThresholdsError`] if they are out of order.
    pub fn checked(self) -> Result<Self, ThresholdsError> {
        let ordered =
            0.0 <= self.moderate_psi && self.moderate_psi <= self.significant_psi && self.significant_psi.is_finite();
        if ordered { Ok(self) } else { Err(ThresholdsError) }
    }

    /// The verdict over a comparison; `None` stands for one without values on a side.
    pub fn verdict(&self, divergence: Option<&Divergence>) -> Verdict {
        match divergence {
            Some(found) if found.n.min(found.baseline_n) >= self.min_n.max(1) => {
                if found.psi_corrected >= self.significant_psi {
                    Verdict::Significant
                } else if found.psi_corrected >= self.moderate_psi {
                    Verdict::Moderate
                } else {
                    Verdict::None
                }
            }
            _ => Verdict::InsufficientData,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::{Edges, Histogram};

    /// A comparison of so many values with such a corrected PSI; nothing else counts in a verdict.
    fn found(n: u64, baseline_n: u64, psi_corrected: f64) -> Option<Divergence> {
        let one = Histogram::of(Edges::new(vec![0.0, 1.0]).ok()?, [0.5]);
        Some(Divergence { n, baseline_n, psi_corrected, ..crate::divergence::compare(&one, &one)? })
    }

    fn verdict(n: u64, baseline_n: u64, psi_corrected: f64) -> Verdict {
        let found = found(n, baseline_n, psi_corrected);
        assert!(found.is_some());
        Thresholds::default().verdict(found.as_ref())
    }

    #[test]
    fn each_limit_belongs_to_the_verdict_above_it() {
        let verdict = |psi| verdict(100, 100, psi);
        assert_eq!([0.0, 0.099_999].map(verdict), [Verdict::None; 2]);
        assert_eq!([0.10, 0.249_999].map(verdict), [Verdict::Moderate; 2]);
        assert_eq!([0.25, 9.0].map(verdict), [Verdict::Significant; 2]);
    }

    #[test]
    fn both_sides_need_values_enough() {
        assert_eq!(verdict(100, 100, 9.0), Verdict::Significant);
        assert_eq!(verdict(99, 1_000_000, 9.0), Verdict::InsufficientData);
        assert_eq!(verdict(1_000_000, 99, 9.0), Verdict::InsufficientData);
        let no_least = Thresholds { min_n: 0, ..Thresholds::default() };
        assert_eq!(no_least.verdict(found(1, 1, 9.0).as_ref()), Verdict::Significant);
        assert_eq!(no_least.verdict(found(1, 0, 9.0).as_ref()), Verdict::InsufficientData);
        assert_eq!(no_least.verdict(None), Verdict::InsufficientData);
    }

    #[test]
    fn limits_are_in_order_and_finite() {
        let checked =
            |moderate_psi, significant_psi| Thresholds { moderate_psi, significant_psi, min_n: 1 }.checked().is_ok();
        assert!(checked(0.0, 0.0) && checked(0.1, 0.1) && checked(0.1, 0.25));
        let wrong = [(-0.1, 0.2), (0.3, 0.2), (f64::NAN, 0.2), (0.1, f64::NAN), (0.1, f64::INFINITY)];
        assert!(wrong.iter().all(|(moderate, significant)| !checked(*moderate, *significant)));
    }
}
