//! AI runs: permitted by scoring, delivered as ranked variants.

use super::record::{self, Record};
use super::{Service, clocks};
use crate::convert;
use crate::machine::{self, Action};
use crate::peers::{Permission, Question};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::HandoffState as State;
use remit_api::types::{AutonomyPattern, Stakes};
use remit_core::{Error, Result, name};
use remit_runtime::{Cx, Started, finish};
use serde_json::json;
use std::collections::BTreeSet;

impl Service {
    /// Asks scoring about a handoff's task, outside any transaction.
    pub(super) async fn permission(&self, cx: &Cx, name: &str, model_version: &str) -> Result<Permission> {
        let handoff = record::peek(&mut self.db.read().await?, &cx.tenant, name).await?;
        let [gate, version] = name::ids::<2>(&handoff.gate_version, "gates/*/versions/*", "gate_version")?;
        let version = version.parse::<i64>();
        let version =
            version.map_err(|cause| Error::internal("a stored gate version is no number").with_source(cause))?;
        let gate = super::gates::load(&mut self.db.read().await?, &cx.tenant, gate, version).await?;
        let run_id = format!("{name}/iterations/{}", handoff.iteration + 1);
        let question = Question {
            task: &handoff.task,
            model_version,
            gate: &handoff.gate,
            run_id: &run_id,
            stakes: gate.stakes(),
        };
        let mut permission = self.scoring.check(&cx.tenant, &question).await?;
        if permission.denials.is_empty() && permission.pattern == AutonomyPattern::HumanOnly {
            permission.denials.push("HUMAN_ONLY: a person does this task alone".to_owned());
        }
        Ok(permission)
    }

    /// Starts an AI run.
    pub async fn start_run(&self, cx: &Cx, request: pb::StartRunRequest) -> Result<pb::Handoff> {
        let inputs = request.inputs.clone().unwrap_or_default();
        name::ids::<2>(&inputs.model_version, "models/*/versions/*", "inputs.model_version")?;
        // Before the transaction, which must not wait for another service; judged inside it, so that a
        // repeated request gets its first answer whatever scoring says by now.
        let permission = self.permission(cx, &request.name, &inputs.model_version).await;
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut record = Record::lock(&mut mutation, &request.name).await?;
        record.go(Action::Start)?;
        let permission = permission?;
        permission.require(&format!("{} may not do {}", inputs.model_version, record.handoff.task))?;
        let wanted = &record.handoff.next_prompt_version;
        if !wanted.is_empty() && *wanted != inputs.prompt_version {
            let message =
                format!("{} was returned for prompt version {wanted}, not {}", request.name, inputs.prompt_version);
            return Err(Error::precondition("PROMPT_NOT_NAMED", message)
                .with_violation("inputs.prompt_version", format!("must be {wanted}")));
        }
        record.handoff.iteration += 1;
        record.handoff.human_led = false;
        record.handoff.run_inputs = Some(inputs.clone());
        record.handoff.obligations.clone_from(&permission.obligations);
        let details = json!({
            "prompt_version": inputs.prompt_version,
            "guardrail_version": inputs.guardrail_version,
            "style_guide_version": inputs.style_guide_version,
            "policy": permission.policy,
        });
        let handoff = record.save(&mut mutation, cx.method, "", details).await?;
        finish(mutation, handoff).await
    }

    /// Records that a run failed.
    pub async fn fail_run(&self, cx: &Cx, request: pb::FailRunRequest) -> Result<pb::Handoff> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut record = Record::lock(&mut mutation, &request.name).await?;
        record.go(if record.iteration() <= 1 { Action::FailFirst } else { Action::FailLater })?;
        record.handoff.iteration -= 1;
        let handoff = record.save(&mut mutation, cx.method, &request.reason, json!({})).await?;
        finish(mutation, handoff).await
    }

    /// Delivers variants for review.
    pub async fn submit_variants(&self, cx: &Cx, request: pb::SubmitVariantsRequest) -> Result<pb::Handoff> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut record = Record::lock(&mut mutation, &request.name).await?;
        let by_person = record.state() == State::HumanLed;
        record.go(Action::Submit)?;
        if by_person && !cx.actor.is_human() {
            let message = format!("{} is led by a person, who delivers its variants", request.name);
            return Err(Error::denied("HUMAN_REQUIRED", message));
        }
        let required = usize::try_from(record.rules()?.variants_required).unwrap_or(0);
        check_variants(&request.variants, if by_person { None } else { Some(required) })?;
        if by_person {
            record.handoff.iteration += 1;
            record.handoff.human_led = true;
        }
        let iteration = record.handoff.iteration;
        record.handoff.variants = request
            .variants
            .into_iter()
            .map(|variant| pb::Variant { iteration, fate: 0, edits: 0, original_digest: String::new(), ..variant })
            .collect();
        record.handoff.variants.sort_by_key(|variant| variant.ai_rank);
        record.handoff.submitted_by = Some(convert::actor(&cx.actor));
        record.handoff.next_prompt_version.clear();
        record.put_variants(&mut mutation).await?;
        clocks::start_review(&mut mutation, &mut record).await?;
        let due = record.handoff.due_time.as_ref().map(|due| convert::unstamp(due).to_string());
        let details = json!({
            "variants": record.handoff.variants.len(),
            "content_digest": record::content_digest(&record.handoff),
            "due": due,
        });
        let handoff = record.save(&mut mutation, cx.method, "", details).await?;
        finish(mutation, handoff).await
    }
}

/// Refuses a wrong number of variants, and ids, digests or ranks that are not there exactly once.
fn check_variants(variants: &[pb::Variant], required: Option<usize>) -> Result<()> {
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

/// Whether the present variants need complete version tags before they go out (S71).
pub(super) fn check_tags(record: &Record) -> Result<()> {
    let high = matches!(record.gate.stakes(), Stakes::High | Stakes::Unspecified);
    if !high || record.handoff.human_led {
        return Ok(());
    }
    let inputs = record.handoff.run_inputs.clone().unwrap_or_default();
    let tags = [
        ("run_inputs.model_version", inputs.model_version),
        ("run_inputs.prompt_version", inputs.prompt_version),
        ("run_inputs.guardrail_version", inputs.guardrail_version),
    ];
    let missing: Vec<&str> = tags.iter().filter(|(_, tag)| tag.is_empty()).map(|(field, _)| *field).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("{} has high stakes and lacks {}", record.handoff.name, missing.join(", "));
    let error = Error::precondition("VERSION_TAGS_MISSING", message);
    Err(missing.into_iter().fold(error, |error, field| error.with_violation(field, "is required for high stakes")))
}

/// What is possible from a state that has no review.
pub(super) fn not_in_review(record: &Record, wanted: &str) -> Error {
    machine::wrong_state(&record.handoff.name, record.state(), wanted, "waiting for variants")
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
