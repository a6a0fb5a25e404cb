//! What is asked of variants and of those who review them, and where a review leads.

use crate::gate_rules;
use crate::machine::Action;
use crate::signatures::changed;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::{ReasonCode, VariantFate};
use remit_api::types::Stakes;
use remit_core::{Error, Result};
use std::collections::BTreeSet;

/// Refuses a wrong number of variants, and ids, digests or ranks that are not there exactly once.
pub(crate) fn check_variants(variants: &[pb::Variant], required: Option<usize>) -> Result<()> {
    let wrong = |field: String, what: String| Err(Error::invalid("VARIANTS_INVALID", field, what));
    if let Some(required) = required
        && variants.len() != required
    {
        return wrong("variants".into(), format!("must be exactly {required}, not {}", variants.len()));
    }
    let (mut ids, mut digests, mut ranks) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (index, variant) in variants.iter().enumerate() {
        if !ids.insert(&variant.variant) {
            return wrong(format!("variants[{index}].variant"), format!("{} is there twice", variant.variant));
        }
        if !digests.insert(&variant.content_digest) {
            return wrong(
                format!("variants[{index}].content_digest"),
                "is the same as another's: not a variant".into(),
            );
        }
        let ranked = variant.ai_rank != 0 || required.is_some();
        if ranked && !ranks.insert(variant.ai_rank) {
            return wrong(format!("variants[{index}].ai_rank"), format!("{} is there twice", variant.ai_rank));
        }
        let last = i32::try_from(variants.len()).unwrap_or(i32::MAX);
        if required.is_some() && !(1..=last).contains(&variant.ai_rank) {
            return wrong(format!("variants[{index}].ai_rank"), format!("must be from 1 to {last}"));
        }
    }
    Ok(())
}

/// Refuses AI's work with high stakes and without complete version tags (S71): before the run, and before it goes out.
pub(crate) fn check_tags(handoff: &pb::Handoff, gate: &pb::GateVersion) -> Result<()> {
    let high = matches!(gate.stakes(), Stakes::High | Stakes::Unspecified);
    if !high || handoff.human_led {
        return Ok(());
    }
    let inputs = handoff.run_inputs.clone().unwrap_or_default();
    let tags = [
        ("run_inputs.model_version", inputs.model_version),
        ("run_inputs.prompt_version", inputs.prompt_version),
        ("run_inputs.guardrail_version", inputs.guardrail_version),
    ];
    let missing: Vec<&str> = tags.iter().filter(|(_, tag)| tag.is_empty()).map(|(field, _)| *field).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("{} has high stakes and lacks {}", handoff.name, missing.join(", "));
    let error = Error::precondition("VERSION_TAGS_MISSING", message);
    Err(missing.into_iter().fold(error, |error, field| error.with_violation(field, "is required for high stakes")))
}

/// Refuses a reason without a text where the code says nothing.
///
/// # Errors
/// `InvalidArgument` (`REASON_TEXT_REQUIRED`), naming the text of `field`.
pub(crate) fn check_reason(reason: &pb::Reason, field: &str) -> Result<()> {
    if reason.code() == ReasonCode::Other && reason.text.trim().is_empty() {
        return Err(Error::invalid("REASON_TEXT_REQUIRED", format!("{field}.text"), "is required with the code OTHER"));
    }
    Ok(())
}

/// Where a failed iteration leads (A8): back to AI while it has iterations, else to a triage; under a person's
/// lead back to that person.
pub(crate) fn failure(handoff: &pb::Handoff, gate: &pb::GateVersion) -> Action {
    if handoff.human_led {
        Action::Rework
    } else if handoff.iteration >= gate.iteration_limit {
        Action::Exhaust
    } else {
        Action::Return
    }
}

/// Refuses to return work to AI without the prompt version for its next iteration.
///
/// # Errors
/// `InvalidArgument` (`PROMPT_VERSION_REQUIRED`).
pub(crate) fn check_prompt(action: Action, next_prompt: &str) -> Result<()> {
    if action == Action::Return && next_prompt.is_empty() {
        let what = "is required: no variant passes, and the work goes back to AI";
        return Err(Error::invalid("PROMPT_VERSION_REQUIRED", "next_prompt_version", what));
    }
    Ok(())
}

/// Applies the checklist to what the reviewer says.
pub(crate) fn grade(
    handoff: &pb::Handoff,
    gate: &pb::GateVersion,
    given: Vec<pb::VariantReview>,
) -> Result<Vec<pb::VariantReview>> {
    let checklist = gate_rules::build_checklist(&gate.checklist.clone().unwrap_or_default())?;
    let mut graded: Vec<pb::VariantReview> = Vec::with_capacity(given.len());
    for (index, mut review) in given.into_iter().enumerate() {
        let field = format!("variants[{index}]");
        let Some(variant) = handoff.variants.iter().find(|variant| variant.variant == review.variant) else {
            let what = format!("{} is not among the variants of this iteration", review.variant);
            return Err(Error::invalid("VARIANTS_INVALID", format!("{field}.variant"), what));
        };
        if graded.iter().any(|other| other.variant == review.variant) {
            return Err(Error::invalid("VARIANTS_INVALID", format!("{field}.variant"), "is graded twice"));
        }
        if variant.content_digest != review.content_digest {
            return Err(changed(&handoff.name, &variant.variant, &variant.content_digest));
        }
        let grades = review.grades.iter().map(|grade| (grade.item.as_str(), grade.grade));
        let verdict = checklist.grade(grades, &format!("{field}.grades"))?;
        for (at, reason) in review.reasons.iter().enumerate() {
            check_reason(reason, &format!("{field}.reasons[{at}]"))?;
        }
        if !verdict.passed && review.reasons.is_empty() {
            let what = format!("are required: {} does not pass with a total of {:.2}", review.variant, verdict.total);
            return Err(Error::invalid("REASONS_REQUIRED", format!("{field}.reasons"), what));
        }
        review.total = verdict.total;
        review.passed = verdict.passed;
        review.failed_items = verdict.failed_items;
        graded.push(review);
    }
    let top = usize::try_from(gate_rules::creative(gate)?.review_top_n).unwrap_or(0);
    let ungraded = handoff
        .variants
        .iter()
        .take(top)
        .find(|variant| !graded.iter().any(|review| review.variant == variant.variant));
    if let Some(variant) = ungraded {
        let what = format!("must grade the top {top}; {} is missing", variant.variant);
        return Err(Error::invalid("VARIANTS_INVALID", "variants", what));
    }
    Ok(graded)
}

/// Every variant is kept with what became of it (S139).
pub(crate) fn set_fates(variants: &mut [pb::Variant], reviews: &[pb::VariantReview]) {
    for variant in variants {
        let fate = match reviews.iter().find(|review| review.variant == variant.variant) {
            Some(review) if review.passed => VariantFate::Passed,
            Some(_) => VariantFate::Failed,
            None => VariantFate::NotReviewed,
        };
        variant.fate = fate.into();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn variants(count: i32) -> Vec<pb::Variant> {
        let one = |rank: i32| pb::Variant {
            variant: format!("v{rank}"),
            content_digest: remit_core::digest::sha256(&rank.to_le_bytes()),
            ai_rank: rank,
            ..Default::default()
        };
        (1..=count).map(one).collect()
    }

    #[test]
    fn a_run_delivers_exactly_what_the_gate_asks_for() {
        assert!(check_variants(&variants(12), Some(12)).is_ok());
        for count in [0, 1, 11, 13] {
            assert!(check_variants(&variants(count), Some(12)).is_err(), "{count}");
        }
        assert!(check_variants(&variants(1), None).is_ok());
    }

    #[test]
    fn ids_digests_and_ranks_are_there_once() {
        type Change = fn(&mut Vec<pb::Variant>);
        let changes: [(Change, &str); 4] = [
            (|v| v[1].variant = v[0].variant.clone(), "variants[1].variant"),
            (|v| v[1].content_digest = v[0].content_digest.clone(), "variants[1].content_digest"),
            (|v| v[1].ai_rank = 1, "variants[1].ai_rank"),
            (|v| v[2].ai_rank = 4, "variants[2].ai_rank"),
        ];
        for (change, field) in changes {
            let mut three = variants(3);
            change(&mut three);
            assert_eq!(check_variants(&three, Some(3)).unwrap_err().violations()[0].field, field);
        }
        let unranked: Vec<_> = variants(3).into_iter().map(|v| pb::Variant { ai_rank: 0, ..v }).collect();
        assert!(check_variants(&unranked, None).is_ok());
    }
}
