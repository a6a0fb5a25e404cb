//! The rules about recording an output: what is refused, what is a warning, and what is filled in.

use crate::provenance::{demands_tags, disclosure, is_signed, made_by_a_person, missing_tags};
use crate::store::outputs::NewOutput;
use crate::{fields, inventory};
use remit_api::registry::v1::{
    ArtifactVersion, ArtifactVersionState, ClaimEvidence, ModelVersion, Output, OutputEntry, OutputWarning,
};
use remit_api::types::{Actor, ActorKind};
use remit_api::wire::{self, Word as _, range, required, time};
use remit_core::name::{self, ArtifactVersionName, DecisionName, HandoffName, ModelVersionName, OutputName, TaskName};
use remit_core::{Error, Result, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// How many artifact versions an output may name itself.
const MOST_ARTIFACTS: usize = 32;

/// Everything registered that a batch of outputs names.
#[derive(Debug, Default)]
pub(crate) struct References {
    /// Model versions by name.
    pub versions: BTreeMap<String, ModelVersion>,
    /// Artifact versions by name, those of the model versions included.
    pub artifacts: BTreeMap<String, ArtifactVersion>,
    /// The names of outputs that were recorded before or are in the batch.
    pub outputs: BTreeSet<String>,
}

impl References {
    /// The artifact versions of an output and of its model version, without repetition.
    fn all_artifacts(&self, output: &Output) -> Vec<String> {
        let mut all = output.artifacts.clone();
        let inherited = self.versions.get(&output.model_version).map_or(&[][..], |version| &version.artifacts);
        for artifact in inherited {
            if !all.contains(artifact) {
                all.push(artifact.clone());
            }
        }
        all
    }
}

/// Who records outputs.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    /// The caller.
    pub actor: Actor,
    /// Whether it is the suite's own handoff, which knows who signed what.
    pub is_handoff: bool,
}

impl Recorder {
    /// What stands behind the statement that this person did something to an output: her own word, or that of handoff
    /// about a handoff. What anybody else says of her is a claim; what an AI says always is.
    fn evidence(&self, person: &str, output: &Output) -> ClaimEvidence {
        let herself = self.actor.kind() == ActorKind::Human && self.actor.subject == person;
        if herself || (self.is_handoff && !output.handoff.is_empty()) {
            ClaimEvidence::Signed
        } else {
            ClaimEvidence::Claimed
        }
    }

    /// Marks every statement about a person in an output.
    fn mark(&self, output: &mut Output) {
        let mut reviews = std::mem::take(&mut output.reviews);
        for review in &mut reviews {
            review.set_evidence(self.evidence(&review.reviewer, output));
        }
        output.reviews = reviews;
        if let Some(mut made) = output.disclosure.take() {
            if !made.editorial_responsible.is_empty() {
                made.set_editorial_evidence(self.evidence(&made.editorial_responsible, output));
            }
            output.disclosure = Some(made);
        }
    }
}

/// What was sent: the message without the fields that only answers have.
fn sent(output: &Output) -> Output {
    let mut output = output.clone();
    for review in &mut output.reviews {
        review.set_evidence(ClaimEvidence::Unspecified);
    }
    if let Some(made) = &mut output.disclosure {
        made.set_editorial_evidence(ClaimEvidence::Unspecified);
    }
    Output {
        name: String::new(),
        complete: false,
        model_version_state: String::new(),
        warnings: Vec::new(),
        recorder: None,
        record_time: None,
        ..output
    }
}

fn check_names(output: &Output) -> Result<()> {
    fields::optional(&output.model_version, "output.model_version", ModelVersionName::parse)?;
    fields::optional(&output.task, "output.task", TaskName::parse)?;
    fields::optional(&output.decision, "output.decision", DecisionName::parse)?;
    fields::optional(&output.handoff, "output.handoff", HandoffName::parse)?;
    if output.artifacts.len() > MOST_ARTIFACTS {
        let rule = format!("must have at most {MOST_ARTIFACTS} items");
        return Err(Error::invalid("TOO_MANY_ITEMS", "output.artifacts", rule));
    }
    fields::names(&output.artifacts, "output.artifacts", ArtifactVersionName::parse)?;
    fields::names(&output.parents, "output.parents", OutputName::parse)
}

/// Checks what was sent and returns when the output was made.
fn check(id: &str, output: &Output, now: Timestamp) -> Result<Timestamp> {
    name::id(id, "output_id")?;
    if output.asset_digest.is_empty() {
        return Err(Error::invalid("FIELD_REQUIRED", "output.asset_digest", "is required"));
    }
    fields::digest(&output.asset_digest, "output.asset_digest")?;
    if let Some(disclosure) = &output.disclosure {
        fields::optional_digest(&disclosure.manifest_digest, "output.disclosure.manifest_digest")?;
    }
    check_names(output)?;
    if output.parents.iter().any(|parent| name::last(parent) == id) {
        return Err(Error::invalid("PARENT_IS_SELF", "output.parents", "must not name the output itself"));
    }
    let made = time::past(output.occurred_time.as_ref(), now, "output.occurred_time")?;
    for (at, review) in output.reviews.iter().enumerate() {
        if let Some(when) = &review.review_time {
            let field = format!("output.reviews[{at}].review_time");
            let when = time::past(Some(when), now, &field)?;
            if output.occurred_time.is_some() {
                range::in_order(made, when, "the output's occurred_time", &field)?;
            }
        }
    }
    Ok(made)
}

fn warning(reason: &str, field: &str, message: String) -> OutputWarning {
    OutputWarning { reason: reason.to_owned(), field: field.to_owned(), message }
}

/// Warnings about what the output refers to.
fn doubts(output: &Output, refs: &References) -> Vec<OutputWarning> {
    let mut warnings = Vec::new();
    let name = &output.model_version;
    match refs.versions.get(name).map(ModelVersion::state) {
        _ if name.is_empty() => {}
        None => warnings.push(warning("MODEL_VERSION_UNKNOWN", "model_version", format!("{name} is not registered"))),
        Some(state) if !inventory::may_run(state) => {
            let message = format!("{name} is {}", state.word());
            warnings.push(warning("MODEL_VERSION_NOT_APPROVED", "model_version", message));
        }
        Some(_) => {}
    }
    for name in &output.artifacts {
        match refs.artifacts.get(name).map(ArtifactVersion::state) {
            None => {
                let message = format!("{name} is not registered");
                warnings.push(warning("ARTIFACT_VERSION_UNKNOWN", "artifacts", message));
            }
            Some(ArtifactVersionState::Approved) => {}
            Some(state) => {
                let message = format!("{name} is {}", state.word());
                warnings.push(warning("ARTIFACT_NOT_APPROVED", "artifacts", message));
            }
        }
    }
    for parent in output.parents.iter().filter(|parent| !refs.outputs.contains(*parent)) {
        warnings.push(warning("PARENT_UNKNOWN", "parents", format!("{parent} is not recorded")));
    }
    warnings
}

/// Warnings about statements that nobody signed.
fn claims(output: &Output) -> Vec<OutputWarning> {
    let unsigned = |field: String, person: &str| {
        let message = format!("that {person} did so is only claimed: let {person} record it, or let handoff");
        warning("REVIEW_NOT_SIGNED", &field, message)
    };
    let claimed = output.reviews.iter().enumerate().filter(|(_, review)| !is_signed(review));
    let mut warnings: Vec<OutputWarning> =
        claimed.map(|(at, review)| unsigned(format!("reviews[{at}]"), &review.reviewer)).collect();
    if let Some(made) = &output.disclosure
        && made.editorial_evidence() == ClaimEvidence::Claimed
    {
        warnings.push(unsigned("disclosure.editorial_responsible".to_owned(), &made.editorial_responsible));
    }
    warnings
}

/// Applies the rules to one output and fills in what answers have.
///
/// # Errors
/// `InvalidArgument` for a field that is wrong in itself; `FailedPrecondition` (`TAGS_INCOMPLETE`,
/// `REVIEW_NOT_SIGNED`).
pub(crate) fn prepare(
    entry: &OutputEntry,
    refs: &References,
    recorder: &Recorder,
    now: Timestamp,
) -> Result<NewOutput> {
    let made = required(entry.output.as_ref(), "output")?;
    let occurred_at = check(&entry.output_id, made, now)?;
    let mut output = sent(made);
    let content_digest = wire::digest(&output);
    recorder.mark(&mut output);
    output.name = OutputName::new(&entry.output_id).to_string();
    output.artifacts = refs.all_artifacts(&output);
    let state = refs.versions.get(&output.model_version).map(ModelVersion::state);
    let known = output.artifacts.iter().filter_map(|name| refs.artifacts.get(name));
    let missing = missing_tags(&output, state.is_some(), &known.map(ArtifactVersion::kind).collect::<Vec<_>>());
    if !missing.is_empty() && demands_tags(&output) {
        return Err(Error::precondition(
            "TAGS_INCOMPLETE",
            format!("{} has high or unknown stakes and lacks {}", output.name, missing.join(", ")),
        ));
    }
    let only_claimed = !output.reviews.is_empty() && !output.reviews.iter().any(is_signed);
    if only_claimed && demands_tags(&output) {
        return Err(Error::precondition(
            "REVIEW_NOT_SIGNED",
            format!(
                "{} has high or unknown stakes and rests on reviews that nobody signed: let a reviewer record it, or \
                 let handoff, or name no review",
                output.name
            ),
        ));
    }
    output.warnings = doubts(&output, refs);
    if time::is_backdated(occurred_at, now) {
        let message = format!("it is said to be of {occurred_at}, and counts when it was recorded, {now}");
        output.warnings.push(warning("OUTPUT_BACKDATED", "occurred_time", message));
    }
    output.warnings.extend(claims(&output));
    output.warnings.extend(
        missing.iter().map(|tag| warning("TAG_MISSING", tag, format!("{tag} is missing: required for high stakes"))),
    );
    output.complete = missing.is_empty() && !only_claimed;
    output.model_version_state = state.map(|state| state.word().to_owned()).unwrap_or_default();
    output.occurred_time = Some(time::stamp(occurred_at));
    output.recorder = Some(recorder.actor.clone());
    output.record_time = Some(time::stamp(now));
    Ok(NewOutput {
        content_digest,
        disclosure_status: disclosure(&output).0,
        high_stakes: demands_tags(&output),
        unapproved: !made_by_a_person(&output) && !state.is_some_and(inventory::may_run),
        output,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use remit_api::registry::v1::{DigitalSourceType, Disclosure, HumanReview};
    use remit_api::types::Stakes;

    fn recorder(kind: ActorKind, subject: &str, is_handoff: bool) -> Recorder {
        Recorder { actor: Actor { subject: subject.into(), kind: kind.into(), ..Default::default() }, is_handoff }
    }

    /// What a person made alone and another reviewed.
    fn reviewed(stakes: Stakes, handoff: &str) -> OutputEntry {
        let review = HumanReview {
            reviewer: "ben".into(),
            could_amend: true,
            // Nobody gives herself evidence.
            evidence: ClaimEvidence::Signed.into(),
            ..Default::default()
        };
        let disclosure = Disclosure {
            editorial_responsible: "ben".into(),
            editorial_evidence: ClaimEvidence::Signed.into(),
            ..Default::default()
        };
        let output = Output {
            asset_digest: remit_core::digest::sha256(b"asset"),
            task: "tasks/t".into(),
            handoff: handoff.into(),
            stakes: stakes.into(),
            digital_source_type: DigitalSourceType::DigitalCreation.into(),
            reviews: vec![review],
            disclosure: Some(disclosure),
            ..Default::default()
        };
        OutputEntry { output_id: "o".into(), output: Some(output) }
    }

    fn record(entry: &OutputEntry, recorder: &Recorder) -> Result<NewOutput> {
        prepare(entry, &References::default(), recorder, Timestamp(1_000_000))
    }

    #[test]
    fn a_review_counts_by_the_reviewers_own_word_or_by_handoffs() {
        let cases = [
            (recorder(ActorKind::Human, "ben", false), "", true),
            (recorder(ActorKind::Human, "ada", false), "", false),
            (recorder(ActorKind::Ai, "ben", false), "", false),
            (recorder(ActorKind::Service, "ben", false), "handoffs/h", false),
            (recorder(ActorKind::Service, "remit-handoff", true), "handoffs/h", true),
            (recorder(ActorKind::Service, "remit-handoff", true), "", false),
        ];
        for (recorder, handoff, counts) in cases {
            let row = record(&reviewed(Stakes::Low, handoff), &recorder).unwrap();
            let made = row.output.disclosure.as_ref().unwrap();
            let wanted = if counts { ClaimEvidence::Signed } else { ClaimEvidence::Claimed };
            assert_eq!((row.output.reviews[0].evidence(), made.editorial_evidence()), (wanted, wanted), "{recorder:?}");
            assert_eq!(row.output.complete, counts, "{recorder:?}");
            let warned: Vec<&str> = row.output.warnings.iter().map(|warning| warning.field.as_str()).collect();
            let all = ["reviews[0]", "disclosure.editorial_responsible"];
            assert_eq!(warned, if counts { &[][..] } else { &all[..] }, "{recorder:?}");
            for stakes in [Stakes::High, Stakes::Unspecified] {
                let refused = record(&reviewed(stakes, handoff), &recorder).err().map(|error| error.reason());
                assert_eq!(refused, (!counts).then_some("REVIEW_NOT_SIGNED"), "{recorder:?}");
            }
        }
    }

    #[test]
    fn what_was_sent_is_told_apart_without_what_is_worked_out() {
        let (entry, mut bare) = (reviewed(Stakes::Low, ""), reviewed(Stakes::Low, ""));
        bare.output.as_mut().unwrap().reviews[0].set_evidence(ClaimEvidence::Unspecified);
        let by = |entry: &OutputEntry, who: &str| {
            record(entry, &recorder(ActorKind::Human, who, false)).unwrap().content_digest
        };
        assert_eq!(by(&entry, "ben"), by(&bare, "ada"));
    }

    #[test]
    fn what_is_said_to_be_long_ago_is_marked_and_nothing_is_from_the_future() {
        const DAY: i64 = 86_400_000_000;
        let now = Timestamp(1_250_000_000_000_000);
        let ben = recorder(ActorKind::Human, "ben", false);
        let made = |days: i64, reviewed: i64| {
            let mut entry = reviewed_at(now.0 + reviewed * DAY);
            let output = entry.output.as_mut().unwrap();
            output.occurred_time = Some(time::stamp(Timestamp(now.0 - days * DAY)));
            prepare(&entry, &References::default(), &ben, now)
        };
        let marked = |days| {
            let warnings = made(days, 0).unwrap().output.warnings;
            warnings.iter().any(|warning| warning.reason == "OUTPUT_BACKDATED" && warning.field == "occurred_time")
        };
        assert!(!marked(0) && !marked(14) && marked(15));
        let refused = made(0, 1).unwrap_err();
        assert_eq!(
            (refused.reason(), refused.violations()[0].field.as_str()),
            ("TIME_OUT_OF_RANGE", "output.reviews[0].review_time")
        );
    }

    /// The same with the time of the review.
    fn reviewed_at(micros: i64) -> OutputEntry {
        let mut entry = reviewed(Stakes::Low, "");
        entry.output.as_mut().unwrap().reviews[0].review_time = Some(time::stamp(Timestamp(micros)));
        entry
    }
}
