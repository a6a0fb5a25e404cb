//! Recording outputs, one at a time and in batches.

use super::Registry;
use super::references::References;
use crate::convert::{actor, digest_field, digest_of, id_field, occurred, optional_digest, present, stamp, time};
use crate::provenance::{demands_tags, disclosure, made_by_a_person, missing_tags};
use crate::store::outputs::{self, NewOutput, parent_id};
use remit_api::registry::v1::{
    ArtifactKind, ArtifactVersionState, GetOutputRequest, Output, OutputEntry, OutputWarning, RecordOutputRequest,
    RecordOutputsRequest, RecordOutputsResponse, RecordResult, RecordStatus,
};
use remit_api::types::Actor;
use remit_core::{Error, Kind, Result, Timestamp, name};
use remit_runtime::{Cx, Started};
use remit_store::Mutation;
use std::collections::BTreeMap;

/// How many outputs one batch may have.
pub const MOST_ENTRIES: usize = 2_000;
/// How many artifact versions an output may name itself.
const MOST_ARTIFACTS: usize = 32;

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
    let optional = |name: &str, pattern, field: &str| match name {
        "" => Ok(()),
        name => name::ids::<1>(name, pattern, field).map(|_| ()),
    };
    if !output.model_version.is_empty() {
        name::ids::<2>(&output.model_version, "models/*/versions/*", "output.model_version")?;
    }
    optional(&output.task, "tasks/*", "output.task")?;
    optional(&output.decision, "decisions/*", "output.decision")?;
    optional(&output.handoff, "handoffs/*", "output.handoff")?;
    if output.artifacts.len() > MOST_ARTIFACTS {
        return Err(Error::invalid(
            "TOO_MANY_ITEMS",
            "output.artifacts",
            format!("must have at most {MOST_ARTIFACTS} items"),
        ));
    }
    for (at, artifact) in output.artifacts.iter().enumerate() {
        name::ids::<2>(artifact, "artifacts/*/versions/*", &format!("output.artifacts[{at}]"))?;
    }
    for (at, parent) in output.parents.iter().enumerate() {
        name::ids::<1>(parent, "outputs/*", &format!("output.parents[{at}]"))?;
    }
    Ok(())
}

fn check(id: &str, output: &Output, now: Timestamp) -> Result<Timestamp> {
    id_field(id, "output_id")?;
    if output.asset_digest.is_empty() {
        return Err(Error::invalid("FIELD_REQUIRED", "output.asset_digest", "is required"));
    }
    digest_field(&output.asset_digest, "output.asset_digest")?;
    if let Some(disclosure) = &output.disclosure {
        optional_digest(&disclosure.manifest_digest, "output.disclosure.manifest_digest")?;
    }
    check_names(output)?;
    if output.parents.iter().any(|parent| parent_id(parent) == id) {
        return Err(Error::invalid("PARENT_IS_SELF", "output.parents", "must not name the output itself"));
    }
    for (at, review) in output.reviews.iter().enumerate() {
        if let Some(when) = &review.review_time {
            time(when, &format!("output.reviews[{at}].review_time"))?;
        }
    }
    occurred(output.occurred_time.as_ref(), now, "output.occurred_time")
}

fn warning(reason: &str, field: &str, message: String) -> OutputWarning {
    OutputWarning { reason: reason.to_owned(), field: field.to_owned(), message }
}

/// Warnings about what the output refers to.
fn doubts(output: &Output, refs: &References) -> Vec<OutputWarning> {
    let mut warnings = Vec::new();
    let name = &output.model_version;
    match refs.versions.get(name) {
        _ if name.is_empty() => {}
        None => warnings.push(warning("MODEL_VERSION_UNKNOWN", "model_version", format!("{name} is not registered"))),
        Some(known) if !known.state.may_run() => {
            warnings.push(warning("MODEL_VERSION_NOT_APPROVED", "model_version", format!("{name} is {}", known.state)));
        }
        Some(_) => {}
    }
    for artifact in &output.artifacts {
        match refs.artifacts.get(artifact) {
            None => {
                warnings.push(warning(
                    "ARTIFACT_VERSION_UNKNOWN",
                    "artifacts",
                    format!("{artifact} is not registered"),
                ));
            }
            Some(known) if known.state != ArtifactVersionState::Approved => {
                let state = crate::store::artifacts::state_word(known.state);
                warnings.push(warning("ARTIFACT_NOT_APPROVED", "artifacts", format!("{artifact} is {state}")));
            }
            Some(_) => {}
        }
    }
    for parent in output.parents.iter().filter(|parent| !refs.outputs.contains(parent_id(parent))) {
        warnings.push(warning("PARENT_UNKNOWN", "parents", format!("{parent} is not recorded")));
    }
    warnings
}

/// Applies the rules to one output and fills in what answers have.
fn prepare(entry: &OutputEntry, refs: &References, recorder: &Actor, now: Timestamp) -> Result<NewOutput> {
    let made = present(entry.output.as_ref(), "output")?;
    let occurred_at = check(&entry.output_id, made, now)?;
    let mut output = sent(made);
    let content_digest = digest_of(&output);
    output.artifacts = refs.all_artifacts(&output);
    let known = refs.versions.get(&output.model_version);
    let kinds: Vec<ArtifactKind> =
        output.artifacts.iter().filter_map(|name| refs.artifacts.get(name)).map(|artifact| artifact.kind).collect();
    let missing = missing_tags(&output, known.is_some(), &kinds);
    if !missing.is_empty() && demands_tags(&output) {
        return Err(Error::precondition(
            "TAGS_INCOMPLETE",
            format!("outputs/{} has high or unknown stakes and lacks {}", entry.output_id, missing.join(", ")),
        ));
    }
    let mut warnings = doubts(&output, refs);
    warnings.extend(
        missing.iter().map(|tag| warning("TAG_MISSING", tag, format!("{tag} is missing: required for high stakes"))),
    );
    output.name = format!("outputs/{}", entry.output_id);
    output.complete = missing.is_empty();
    output.model_version_state = known.map(|known| known.state.as_str().to_owned()).unwrap_or_default();
    output.warnings = warnings;
    output.occurred_time = Some(stamp(occurred_at));
    output.recorder = Some(recorder.clone());
    output.record_time = Some(stamp(now));
    Ok(NewOutput {
        id: entry.output_id.clone(),
        content_digest,
        disclosure_status: disclosure(&output).0,
        high_stakes: demands_tags(&output),
        unapproved: !made_by_a_person(&output) && known.is_none_or(|known| !known.state.may_run()),
        occurred_at,
        output,
    })
}

fn reused(id: &str) -> Error {
    Error::new(
        Kind::AlreadyExists,
        "OUTPUT_ID_REUSED",
        format!("outputs/{id} was recorded before with other content; outputs never change"),
    )
}

fn answer(id: &str, status: RecordStatus) -> RecordResult {
    RecordResult { output_id: id.to_owned(), status: status.into(), ..Default::default() }
}

fn refusal(id: &str, error: &Error) -> RecordResult {
    RecordResult {
        reason: error.reason().to_owned(),
        message: error.message().to_owned(),
        ..answer(id, RecordStatus::Refused)
    }
}

fn record_event(m: &mut Mutation, row: &NewOutput) {
    let output = &row.output;
    super::record(m, &output.name, |event| {
        event.occurred_at = row.occurred_at;
        event.model_version.clone_from(&output.model_version);
        event.after_digest.clone_from(&row.content_digest);
        event.details = serde_json::json!({
            "asset_digest": output.asset_digest, "task": output.task, "decision": output.decision,
            "stakes": outputs::stakes_word(output.stakes()), "complete": output.complete,
            "warnings": output.warnings.iter().map(|warning| warning.reason.as_str()).collect::<Vec<_>>(),
        });
    });
}

impl Registry {
    /// Stores a batch in an open mutation: one result for each entry, in order.
    async fn store_batch(
        &self,
        m: &mut Mutation,
        cx: &Cx,
        entries: &[OutputEntry],
    ) -> Result<Vec<Result<RecordResult>>> {
        let now = m.now();
        let refs = References::load(m.tx(), &cx.tenant, entries).await?;
        let recorder = actor(&cx.actor);
        let mut rows: Vec<NewOutput> = Vec::with_capacity(entries.len());
        let mut firsts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut results = Vec::with_capacity(entries.len());
        for entry in entries {
            let id = entry.output_id.as_str();
            let result = match (prepare(entry, &refs, &recorder, now), firsts.get(id)) {
                (Err(error), _) => Err(error),
                (Ok(row), Some(first)) if rows[*first].content_digest == row.content_digest => {
                    Ok(answer(id, RecordStatus::Duplicate))
                }
                (Ok(_), Some(_)) => Err(reused(id)),
                (Ok(row), None) => {
                    firsts.insert(id, rows.len());
                    let warnings = row.output.warnings.clone();
                    rows.push(row);
                    Ok(RecordResult { warnings, ..answer(id, RecordStatus::Recorded) })
                }
            };
            results.push(result);
        }
        let new = outputs::insert(m.tx(), &cx.tenant, &rows, now).await?;
        for row in rows.iter().filter(|row| new.contains(&row.id)) {
            record_event(m, row);
        }
        if new.len() < rows.len() {
            let old: Vec<&str> = rows.iter().map(|row| row.id.as_str()).filter(|id| !new.contains(*id)).collect();
            let digests = outputs::digests(m.tx(), &cx.tenant, &old).await?;
            for (entry, result) in entries.iter().zip(&mut results) {
                let id = entry.output_id.as_str();
                let (Some(before), Some(first)) = (digests.get(id), firsts.get(id)) else { continue };
                if result.as_ref().is_ok_and(|result| result.status() == RecordStatus::Recorded) {
                    let same = *before == rows[*first].content_digest;
                    *result = if same { Ok(answer(id, RecordStatus::Duplicate)) } else { Err(reused(id)) };
                }
            }
        }
        Ok(results)
    }

    /// Records one output.
    pub async fn record_output(&self, cx: &Cx, req: RecordOutputRequest) -> Result<Output> {
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        let entry = OutputEntry { output_id: req.output_id.clone(), output: req.output };
        let results = self.store_batch(&mut m, cx, std::slice::from_ref(&entry)).await?;
        for result in results {
            result?;
        }
        let output = outputs::find(m.tx(), &cx.tenant, &req.output_id).await?;
        let output = output.ok_or_else(|| Error::internal("an output that was just recorded is gone"))?;
        remit_runtime::finish(m, output).await
    }

    /// Records a batch and answers once it is durable.
    pub async fn record_outputs(&self, cx: &Cx, req: RecordOutputsRequest) -> Result<RecordOutputsResponse> {
        if req.entries.len() > MOST_ENTRIES {
            return Err(Error::invalid(
                "BATCH_TOO_LARGE",
                "entries",
                format!("has {} entries, at most {MOST_ENTRIES} are allowed", req.entries.len()),
            ));
        }
        let call = cx.call("", &req, &*self.clock);
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        let results = self.store_batch(&mut m, cx, &req.entries).await?;
        let results = results
            .into_iter()
            .zip(&req.entries)
            .map(|(result, entry)| result.unwrap_or_else(|error| refusal(&entry.output_id, &error)))
            .collect();
        remit_runtime::finish(m, RecordOutputsResponse { results }).await
    }

    /// Returns an output.
    pub async fn get_output(&self, cx: &Cx, req: GetOutputRequest) -> Result<Output> {
        let [id] = name::ids::<1>(&req.name, "outputs/*", "name")?;
        let output = outputs::find(&mut self.db.read().await?, &cx.tenant, id).await?;
        output.ok_or_else(|| not_found(&req.name))
    }
}

pub(crate) fn not_found(name: &str) -> Error {
    Error::not_found("OUTPUT_NOT_FOUND", name)
}
