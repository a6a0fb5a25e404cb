//! How suitable a function is for AI: the union of four signals, the first of which is a gate (A22, S117).

use super::input::{EXECUTION_KINDS, FUNCTION_STATUSES, MATURITIES};
use remit_core::{Error, Result};
use serde::Deserialize;

/// Whether a signal holds; `None` is not known and counts as not held.
pub type Signal = Option<bool>;

/// The verdict on a function, as conditions name it: `LOW` if the gate does not hold, `HIGH` if it holds and at
/// least two of the other three signals do, else `MEDIUM`.
pub fn verdict(compressible: Signal, others: [Signal; 3]) -> &'static str {
    match (compressible == Some(true), others.iter().filter(|signal| **signal == Some(true)).count()) {
        (false, _) => "LOW",
        (true, 2..) => "HIGH",
        (true, _) => "MEDIUM",
    }
}

/// A function that every tenant starts with, from `libs/policy/policies/functions.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// The id.
    pub id: String,
    /// The title.
    pub title: String,
    /// Signal 1, the gate: execution is high-volume, structured, compressible.
    #[serde(default)]
    pub compressible: Signal,
    /// Signal 2.
    #[serde(default)]
    pub tooling_adopted: Signal,
    /// Signal 3.
    #[serde(default)]
    pub senior_strategy_role: Signal,
    /// Signal 4.
    #[serde(default)]
    pub market_premium: Signal,
    /// How far tools have come: one of [`MATURITIES`].
    pub maturity: String,
    /// What kind of execution it mostly is: one of [`EXECUTION_KINDS`].
    pub execution_kind: String,
    /// How well the verdict is supported: one of [`FUNCTION_STATUSES`].
    pub status: String,
    /// What it rests on: `NONE`, `REASONED`, `REPORTED` or `MEASURED`.
    pub evidence: String,
    /// The source and what the verdict leaves out.
    pub notes: String,
}

/// The functions that every tenant starts with.
///
/// # Errors
/// `Internal` if the file that ships is not well formed, which a test excludes.
pub fn seeds() -> Result<Vec<Seed>> {
    let wrong = |what: &str| Error::internal(format!("reading functions.yaml: {what}"));
    let seeds: Vec<Seed> = serde_norway::from_str(include_str!("../policies/functions.yaml"))
        .map_err(|error| Error::internal("reading functions.yaml").with_source(error))?;
    for seed in &seeds {
        for (value, domain) in [
            (&seed.maturity, MATURITIES.as_slice()),
            (&seed.execution_kind, &EXECUTION_KINDS),
            (&seed.status, &FUNCTION_STATUSES),
            (&seed.evidence, &["NONE", "REASONED", "REPORTED", "MEASURED"]),
        ] {
            if !domain.contains(&value.as_str()) {
                return Err(wrong(&format!("{} of {} is not known", value, seed.id)));
            }
        }
    }
    Ok(seeds)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const YES: Signal = Some(true);
    const NO: Signal = Some(false);

    /// The table of S113, row by row.
    #[test]
    fn the_seeded_functions_come_out_as_the_seed_says() {
        let table = [
            ("paid_media", "HIGH", "CONFIRMED"),
            ("influencer_marketing", "HIGH", "CONFIRMED"),
            ("software", "HIGH", "CONFIRMED"),
            ("analytics", "HIGH", "LIKELY"),
            ("email_crm_lifecycle", "HIGH", "LIKELY"),
            ("organic_seo", "HIGH", "MOVING"),
            ("b2b_sales", "MEDIUM", "WEAKLY"),
            ("brand_building", "LOW", "NOT_ON_CURVE"),
            ("customer_success", "MEDIUM", "UNTESTED"),
            ("revenue_operations", "MEDIUM", "UNTESTED"),
        ];
        let seeds = seeds().unwrap();
        let found = seeds.iter().map(|seed| {
            let others = [seed.tooling_adopted, seed.senior_strategy_role, seed.market_premium];
            (seed.id.as_str(), verdict(seed.compressible, others), seed.status.as_str())
        });
        assert_eq!(found.collect::<Vec<_>>(), table);
    }

    #[test]
    fn the_first_signal_is_a_gate() {
        assert_eq!(verdict(NO, [YES; 3]), "LOW");
        assert_eq!(verdict(None, [YES; 3]), "LOW");
    }
}
