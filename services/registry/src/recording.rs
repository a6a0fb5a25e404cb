//! The rules about recording an output: what is refused, what is a warning, and what is filled in.

use crate::provenance::{demands_tags, disclosure, made_by_a_person, missing_tags};
use crate::store::outputs::NewOutput;
use crate::{fields, inventory};
use remit_api::registry::v1::{
    ArtifactVersion, ArtifactVersionState, ModelVersion, Output, OutputEntry, OutputWarning,
};
use remit_api::types::Actor;
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

/// What was sent: the message without the fields that only answers have.
fn sent(output: &Output) -> Output {
    Output {
        name: String::new(),
        complete: false,
        model_version_state: String::new(),
        warnings: Vec::new(),
        recorder: None,
        record_time: None,
        ..output.clone()
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
            let when = time::parse(when, &field)?;
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

/// Applies the rules to one output and fills in what answers have.
///
/// # Errors
/// `InvalidArgument` for a field that is wrong in itself; `FailedPrecondition` (`TAGS_INCOMPLETE`).
pub(crate) fn prepare(entry: &OutputEntry, refs: &References, recorder: &Actor, now: Timestamp) -> Result<NewOutput> {
    let made = required(entry.output.as_ref(), "output")?;
    let occurred_at = check(&entry.output_id, made, now)?;
    let mut output = sent(made);
    let content_digest = wire::digest(&output);
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
    output.warnings = doubts(&output, refs);
    output.warnings.extend(
        missing.iter().map(|tag| warning("TAG_MISSING", tag, format!("{tag} is missing: required for high stakes"))),
    );
    output.complete = missing.is_empty();
    output.model_version_state = state.map(|state| state.word().to_owned()).unwrap_or_default();
    output.occurred_time = Some(time::stamp(occurred_at));
    output.recorder = Some(recorder.clone());
    output.record_time = Some(time::stamp(now));
    Ok(NewOutput {
        content_digest,
        disclosure_status: disclosure(&output).0,
        high_stakes: demands_tags(&output),
        unapproved: !made_by_a_person(&output) && !state.is_some_and(inventory::may_run),
        output,
    })
}
