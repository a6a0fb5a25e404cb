//! Lead routing by rule: the same lead, rules and owners always give the same answer (S14, S40 to S44).

use crate::error::{Error, Result};
use sha2::{Digest as _, Sha256};

/// The thresholds of a routing gate, all strict lower bounds on ratios from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoutingRules {
    /// The score must be greater (S43: 0.85).
    pub score_above: f64,
    /// The enrichment confidence must be greater (S43: 0.90).
    pub confidence_above: f64,
    /// A lead is of high intent if its score is greater, whatever the confidence (A13, A15).
    pub high_intent_above: f64,
}

/// What is known about a lead.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LeadSignals {
    /// The model's probability that the lead is marketing qualified.
    pub score: Option<f64>,
    /// How sure the enrichment is.
    pub confidence: Option<f64>,
    /// Whether all required enrichment fields are there.
    pub enriched: bool,
    /// Whether the model version may score leads at all.
    pub permitted: bool,
}

/// Why a lead goes where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoutingReason {
    /// Both thresholds were passed.
    AboveThresholds,
    /// The score was not above its threshold.
    ScoreLow,
    /// The confidence was not above its threshold.
    ConfidenceLow,
    /// No score, or not a number.
    ScoreMissing,
    /// No confidence, or not a number.
    ConfidenceMissing,
    /// A required enrichment field was missing.
    EnrichmentMissing,
    /// The model version is not permitted, or nobody could say.
    ModelNotPermitted,
}

/// Where a lead goes, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// To sales; otherwise to nurture with a notice to the SDR queue.
    pub to_sales: bool,
    /// All reasons, at least one.
    pub reasons: Vec<RoutingReason>,
    /// Whether the lead is of high intent.
    pub high_intent: bool,
    /// Whether the input was incomplete.
    pub data_quality_flag: bool,
}

/// Takes a ratio as sent: absent and NaN are missing, anything outside 0 to 1 is an error and never
/// taken for percent (A11).
///
/// # Errors
/// `InvalidArgument` with `reason`, naming `field`.
pub fn ratio(value: Option<f64>, reason: &'static str, field: &str) -> Result<Option<f64>> {
    match value.filter(|value| !value.is_nan()) {
        Some(value) if !(0.0..=1.0).contains(&value) => {
            Err(Error::invalid(reason, field, format!("must be a ratio from 0 to 1, not {value}; 90% is 0.9")))
        }
        // -0.0 would compare equal and print otherwise.
        other => Ok(other.map(|value| value + 0.0)),
    }
}

impl RoutingRules {
    /// Decides about one lead. Whatever is missing or not permitted leads to nurture.
    pub fn route(&self, lead: &LeadSignals) -> Route {
        let mut against = Vec::new();
        if !lead.permitted {
            against.push(RoutingReason::ModelNotPermitted);
        }
        match lead.score {
            None => against.push(RoutingReason::ScoreMissing),
            Some(score) if score <= self.score_above => against.push(RoutingReason::ScoreLow),
            Some(_) => {}
        }
        match lead.confidence {
            None => against.push(RoutingReason::ConfidenceMissing),
            Some(confidence) if confidence <= self.confidence_above => against.push(RoutingReason::ConfidenceLow),
            Some(_) => {}
        }
        if !lead.enriched {
            against.push(RoutingReason::EnrichmentMissing);
        }
        let to_sales = against.is_empty();
        if to_sales {
            against.push(RoutingReason::AboveThresholds);
        }
        Route {
            to_sales,
            high_intent: lead.score.is_some_and(|score| score > self.high_intent_above),
            data_quality_flag: lead.score.is_none() || lead.confidence.is_none() || !lead.enriched,
            reasons: against,
        }
    }
}

/// Chooses the owner of a lead: the recommended one if listed, else by highest random weight
/// (Thaler and Ravishankar 1998), so that a change of the list moves only the leads that it must.
/// `None` if the list is empty.
pub fn assign<'a>(lead: &str, recommended: &str, owners: &'a [String]) -> Option<&'a str> {
    owners
        .iter()
        .find(|owner| owner.as_str() == recommended)
        .or_else(|| owners.iter().max_by_key(|owner| (draw("owner", &[lead, owner]), owner.as_str())))
        .map(String::as_str)
}

/// Whether an automatic decision is drawn for a check by a person. Anyone can repeat the draw: the
/// first 8 bytes of SHA-256 over purpose and ids, each followed by a zero byte, big endian, are
/// compared with `rate`·2^64 (A24).
pub fn sampled(purpose: &str, ids: &[&str], rate: f64) -> bool {
    if rate >= 1.0 {
        return true;
    }
    // A rate that is not a number must mean more checks, not fewer.
    if rate.is_nan() {
        return true;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let bound = (rate.max(0.0) * 18_446_744_073_709_551_616.0) as u64;
    draw(purpose, ids) < bound
}

fn draw(purpose: &str, ids: &[&str]) -> u64 {
    let mut hash = Sha256::new();
    for part in std::iter::once(&purpose).chain(ids) {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    const SEED: RoutingRules = RoutingRules { score_above: 0.85, confidence_above: 0.90, high_intent_above: 0.85 };

    fn lead(score: impl Into<Option<f64>>, confidence: impl Into<Option<f64>>) -> LeadSignals {
        LeadSignals { score: score.into(), confidence: confidence.into(), enriched: true, permitted: true }
    }

    #[test]
    fn both_thresholds_are_strict() {
        for (score, confidence, to_sales) in
            [(0.85, 0.95, false), (0.8501, 0.9001, true), (0.86, 0.90, false), (1.0, 1.0, true), (0.0, 0.0, false)]
        {
            assert_eq!(SEED.route(&lead(score, confidence)).to_sales, to_sales, "{score}/{confidence}");
        }
    }

    #[test]
    fn what_is_missing_goes_to_nurture_with_a_flag() {
        let route = SEED.route(&lead(None, 0.99));
        assert_eq!((route.to_sales, route.data_quality_flag), (false, true));
        assert_eq!(route.reasons, [RoutingReason::ScoreMissing]);
        let route = SEED.route(&LeadSignals { enriched: false, ..lead(0.99, None) });
        assert_eq!(route.reasons, [RoutingReason::ConfidenceMissing, RoutingReason::EnrichmentMissing]);
        assert!(route.high_intent && route.data_quality_flag);
    }

    #[test]
    fn a_model_that_is_not_permitted_routes_nobody_to_sales() {
        let route = SEED.route(&LeadSignals { permitted: false, ..lead(0.99, 0.99) });
        assert_eq!((route.to_sales, route.data_quality_flag), (false, false));
        assert_eq!(route.reasons, [RoutingReason::ModelNotPermitted]);
    }

    #[test]
    fn high_intent_does_not_need_confidence() {
        let route = SEED.route(&lead(0.86, 0.5));
        assert!(route.high_intent && !route.to_sales);
        assert!(!SEED.route(&lead(0.85, 0.99)).high_intent);
    }

    #[test]
    fn percent_is_an_error_and_nan_is_missing() {
        for wrong in [90.0, 1.000_000_1, -0.1, f64::INFINITY, f64::NEG_INFINITY] {
            let error = ratio(Some(wrong), "SCORE_OUT_OF_RANGE", "leads[3].score").unwrap_err();
            assert_eq!(error.violations()[0].field, "leads[3].score");
        }
        assert_eq!(ratio(Some(f64::NAN), "X", "f").unwrap(), None);
        assert_eq!(ratio(None, "X", "f").unwrap(), None);
        assert_eq!(ratio(Some(1.0), "X", "f").unwrap(), Some(1.0));
        assert!(ratio(Some(-0.0), "X", "f").unwrap().unwrap().is_sign_positive());
    }

    #[test]
    fn owners_are_chosen_by_rule() {
        let owners: Vec<String> = ["ana", "ben", "cleo"].map(String::from).to_vec();
        assert_eq!(assign("lead-1", "ben", &owners), Some("ben"));
        assert_eq!(assign("lead-1", "nobody", &owners), assign("lead-1", "", &owners));
        assert_eq!(assign("lead-1", "", &[]), None);
        let mut shuffled = owners.clone();
        shuffled.reverse();
        assert_eq!(assign("lead-1", "", &owners), assign("lead-1", "", &shuffled));
    }

    #[test]
    fn the_draw_never_changes() {
        // Vectors computed with another implementation of SHA-256 (Python's hashlib).
        let drawn = |rate| -> String {
            let one = |n: u32| sampled("routing", &["gates/g/versions/1", &format!("lead-{n}")], rate);
            (0..40).map(|n| if one(n) { '1' } else { '0' }).collect()
        };
        assert_eq!(drawn(0.5), "1111111100001011110100000101110101100010");
        assert_eq!(drawn(0.1), "0000000000000000100100000000000000100000");
    }

    #[test]
    fn the_share_drawn_is_the_rate() {
        for rate in [0.0, 0.05, 0.10, 0.5, 1.0] {
            let drawn = (0..20_000).filter(|n| sampled("routing", &["g", &n.to_string()], rate)).count() as f64;
            assert!((drawn / 20_000.0 - rate).abs() < 0.01, "{rate}: {drawn}");
        }
        assert!(sampled("routing", &["g"], f64::NAN));
        assert!(!sampled("routing", &["g"], -1.0));
    }

    proptest! {
        /// Less of anything never sends a lead to sales that did not go there before.
        #[test]
        fn routing_is_monotone(score in 0.0f64..=1.0, confidence in 0.0f64..=1.0, less in 0.0f64..=1.0, which in 0u8..5) {
            let before = lead(score, confidence);
            let mut after = before;
            match which {
                0 => after.score = Some((score - less).max(0.0)),
                1 => after.confidence = Some((confidence - less).max(0.0)),
                2 => after.score = None,
                3 => after.enriched = false,
                _ => after.permitted = false,
            }
            prop_assert!(!SEED.route(&after).to_sales || SEED.route(&before).to_sales);
        }

        /// Removing an owner moves only that owner's leads.
        #[test]
        fn a_smaller_team_moves_only_its_leads(lead in "[a-z0-9]{1,12}", gone in 0usize..5) {
            let owners: Vec<String> = (0..5).map(|n| format!("owner-{n}")).collect();
            let before = assign(&lead, "", &owners).unwrap().to_owned();
            let mut fewer = owners.clone();
            let removed = fewer.remove(gone);
            let after = assign(&lead, "", &fewer).unwrap();
            prop_assert!(before == removed || before == after);
        }
    }
}
