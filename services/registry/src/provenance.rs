//! The rules about outputs: which version tags are due, and what covers a duty to disclose.

use remit_api::registry::v1::{
    ArtifactKind, ClaimEvidence, DigitalSourceType, Disclosure, DisclosureDuty, DisclosureStatus, HumanReview, Output,
};
use remit_api::types::Stakes;

/// Whether the stakes demand complete tags (S71); unknown counts as high.
pub(crate) fn demands_tags(output: &Output) -> bool {
    !matches!(output.stakes(), Stakes::Low | Stakes::Medium)
}

/// Whether a person made the output without a model, so that no model's tags are due.
pub(crate) fn made_by_a_person(output: &Output) -> bool {
    output.model_version.is_empty()
        && matches!(output.digital_source_type(), DigitalSourceType::DigitalCreation | DigitalSourceType::HumanEdits)
}

/// The version tags that are missing (A19), as field names. `kinds` are the kinds of the known artifact
/// versions of the output and of its model version together; `known_model` tells whether the model
/// version is registered.
///
/// # Source
/// S59: model, prompt and guardrail versions; S71: version tags on high-stakes assets.
pub(crate) fn missing_tags(output: &Output, known_model: bool, kinds: &[ArtifactKind]) -> Vec<&'static str> {
    let mut missing = Vec::new();
    let mut need = |there: bool, tag| {
        if !there {
            missing.push(tag);
        }
    };
    need(!output.task.is_empty(), "task");
    need(output.digital_source_type() != DigitalSourceType::Unspecified, "digital_source_type");
    if !made_by_a_person(output) {
        need(known_model, "model_version");
        need(!output.decision.is_empty(), "decision");
        need(kinds.contains(&ArtifactKind::Prompt), "artifacts (a prompt version)");
        need(kinds.contains(&ArtifactKind::Guardrail), "artifacts (a guardrail version)");
    }
    missing
}

/// Whether the recorded evidence covers the duty of Art. 50, and what is missing if not.
///
/// # Source
/// Regulation (EU) 2024/1689, Art. 50(1), (2) and (4); the exemption for text needs human review or
/// editorial control *and* editorial responsibility.
pub(crate) fn disclosure(output: &Output) -> (DisclosureStatus, Vec<&'static str>) {
    let none = Disclosure::default();
    let made = output.disclosure.as_ref().unwrap_or(&none);
    let mut missing = Vec::new();
    let mut need = |there: bool, field| {
        if !there {
            missing.push(field);
        }
    };
    match made.duty() {
        DisclosureDuty::Unspecified => return (DisclosureStatus::Undecided, vec!["disclosure.duty"]),
        DisclosureDuty::None => return (DisclosureStatus::NotRequired, missing),
        DisclosureDuty::AiInteraction => need(!made.label_version.is_empty(), "disclosure.label_version"),
        DisclosureDuty::MachineReadableMarking => {
            need(output.digital_source_type() != DigitalSourceType::Unspecified, "digital_source_type");
            need(!made.manifest_digest.is_empty(), "disclosure.manifest_digest");
        }
        DisclosureDuty::DeepFake => {
            need(!made.label_version.is_empty(), "disclosure.label_version");
            need(!made.label_evidence.is_empty(), "disclosure.label_evidence");
        }
        DisclosureDuty::PublicInterestText => {
            let reviewed = output.reviews.iter().any(was_real);
            let answered_for = made.editorial_evidence() == ClaimEvidence::Signed;
            if reviewed && answered_for {
                return (DisclosureStatus::Exempt, missing);
            }
            let labelled = !made.label_version.is_empty() && !made.label_evidence.is_empty();
            if !labelled {
                need(reviewed, "reviews");
                need(answered_for, "disclosure.editorial_responsible");
                need(!made.label_version.is_empty(), "disclosure.label_version");
                need(!made.label_evidence.is_empty(), "disclosure.label_evidence");
            }
        }
    }
    let status = if missing.is_empty() { DisclosureStatus::Evidenced } else { DisclosureStatus::Missing };
    (status, missing)
}

/// Whether a review could have changed anything, and is more than a claim: a reviewer who may neither amend nor reject
/// reviews in name only.
fn was_real(review: &HumanReview) -> bool {
    is_signed(review) && review.review_time.is_some() && (review.could_amend || review.could_reject)
}

/// Whether the reviewer's own act stands behind a review.
pub(crate) fn is_signed(review: &HumanReview) -> bool {
    review.evidence() == ClaimEvidence::Signed
}

/// The term of the IPTC vocabulary; empty if not given.
///
/// # Source
/// <http://cv.iptc.org/newscodes/digitalsourcetype/>
pub(crate) fn iptc_term(kind: DigitalSourceType) -> &'static str {
    match kind {
        DigitalSourceType::Unspecified => "",
        DigitalSourceType::DigitalCreation => "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCreation",
        DigitalSourceType::HumanEdits => "http://cv.iptc.org/newscodes/digitalsourcetype/humanEdits",
        DigitalSourceType::CompositeWithTrainedAlgorithmicMedia => {
            "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
        }
        DigitalSourceType::TrainedAlgorithmicMedia => {
            "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
        }
        DigitalSourceType::AlgorithmicMedia => "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicMedia",
        DigitalSourceType::AlgorithmicallyEnhanced => {
            "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn output() -> Output {
        Output {
            model_version: "models/m/versions/1".into(),
            task: "tasks/t".into(),
            decision: "decisions/d".into(),
            digital_source_type: DigitalSourceType::TrainedAlgorithmicMedia.into(),
            ..Default::default()
        }
    }

    #[test]
    fn unknown_stakes_count_as_high() {
        assert!(demands_tags(&output()));
        assert!(demands_tags(&Output { stakes: Stakes::High.into(), ..output() }));
        assert!(demands_tags(&Output { stakes: 99, ..output() }));
        assert!(!demands_tags(&Output { stakes: Stakes::Low.into(), ..output() }));
    }

    #[test]
    fn every_missing_tag_is_named() {
        let both = [ArtifactKind::Prompt, ArtifactKind::Guardrail];
        assert!(missing_tags(&output(), true, &both).is_empty());
        assert_eq!(missing_tags(&output(), false, &both), ["model_version"]);
        assert_eq!(missing_tags(&output(), true, &both[..1]), ["artifacts (a guardrail version)"]);
        assert_eq!(missing_tags(&Output::default(), false, &[]).len(), 6);
    }

    #[test]
    fn what_a_person_made_needs_no_model() {
        let brief = Output {
            model_version: String::new(),
            decision: String::new(),
            digital_source_type: DigitalSourceType::DigitalCreation.into(),
            ..output()
        };
        assert!(missing_tags(&brief, false, &[]).is_empty());
        let claimed = Output { model_version: "models/m/versions/1".into(), ..brief };
        assert!(!missing_tags(&claimed, true, &[]).is_empty());
    }

    fn with(disclosure: Disclosure) -> Output {
        Output { disclosure: Some(disclosure), ..output() }
    }

    #[test]
    fn each_duty_is_covered_by_its_own_evidence() {
        let duty = |duty: DisclosureDuty| Disclosure { duty: duty.into(), ..Default::default() };
        assert_eq!(disclosure(&output()).0, DisclosureStatus::Undecided);
        assert_eq!(disclosure(&with(duty(DisclosureDuty::None))).0, DisclosureStatus::NotRequired);
        for missing in [
            DisclosureDuty::AiInteraction,
            DisclosureDuty::MachineReadableMarking,
            DisclosureDuty::DeepFake,
            DisclosureDuty::PublicInterestText,
        ] {
            let (status, fields) = disclosure(&with(duty(missing)));
            assert_eq!(status, DisclosureStatus::Missing, "{missing:?}");
            assert!(!fields.is_empty());
            let full = Disclosure {
                label_version: "ai-notice 3".into(),
                label_evidence: "sha256:x".into(),
                manifest_digest: "sha256:y".into(),
                ..duty(missing)
            };
            assert_eq!(disclosure(&with(full)).0, DisclosureStatus::Evidenced, "{missing:?}");
        }
    }

    #[test]
    fn the_text_exemption_needs_a_real_review_and_editorial_responsibility() {
        let text = Disclosure {
            duty: DisclosureDuty::PublicInterestText.into(),
            editorial_responsible: "ada".into(),
            editorial_evidence: ClaimEvidence::Signed.into(),
            ..Default::default()
        };
        let review = HumanReview {
            reviewer: "ben".into(),
            review_time: Some(prost_types::Timestamp::default()),
            could_amend: true,
            evidence: ClaimEvidence::Signed.into(),
            ..Default::default()
        };
        let reviewed = |review: HumanReview| Output { reviews: vec![review], ..with(text.clone()) };
        assert_eq!(disclosure(&reviewed(review.clone())).0, DisclosureStatus::Exempt);
        let in_name_only = HumanReview { could_amend: false, ..review.clone() };
        assert_eq!(disclosure(&reviewed(in_name_only)).0, DisclosureStatus::Missing);
        let claimed = HumanReview { evidence: ClaimEvidence::Claimed.into(), ..review.clone() };
        assert_eq!(disclosure(&reviewed(claimed)).0, DisclosureStatus::Missing);
        let nobody = Output {
            disclosure: Some(Disclosure { editorial_evidence: ClaimEvidence::Claimed.into(), ..text }),
            reviews: vec![review],
            ..output()
        };
        assert_eq!(
            disclosure(&nobody).1,
            ["disclosure.editorial_responsible", "disclosure.label_version", "disclosure.label_evidence"]
        );
    }
}
