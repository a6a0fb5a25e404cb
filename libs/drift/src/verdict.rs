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
