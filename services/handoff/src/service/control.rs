//! Where people take control: escalation, triage, override, cancel, suspend and resume.

use super::record::{self, Record};
use super::{Service, clocks, overrides, reviews};
use crate::convert::{self, stamp};
use crate::machine::{self, Action};
use crate::principal;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::{HandoffState as State, OverrideKind, VariantFate};
use remit_core::{Error, Result};
use remit_runtime::{Cx, Started, finish};
use remit_store::Mutation;
use serde_json::json;

/// Moves on after a decision about an iteration: accepted, returned with a prompt version, escalated with a
/// triage, or back to the person who leads.
pub(super) async fn fail_or_pass(
    mutation: &mut Mutation,
    record: &mut Record,
    action: Action,
    next_prompt: &str,
) -> Result<()> {
    record.go(action)?;
    match action {
        Action::Return => next_prompt.clone_into(&mut record.handoff.next_prompt_version),
        Action::Exhaust => {
            let cause = format!("ITERATIONS: no variant passed in {} iterations", record.handoff.iteration);
            schedule_triage(mutation, record, cause).await?;
        }
        _ => {}
    }
    Ok(())
}

/// Schedules the triage of an escalated handoff; once, however often it escalates (S39).
async fn schedule_triage(mutation: &mut Mutation, record: &mut Record, cause: String) -> Result<()> {
    let now = mutation.now();
    if record.handoff.triage.is_none() {
        record.handoff.triage = Some(pb::Triage {
            name: format!("{}/triage", record.handoff.name),
            duration: Some(convert::span(i64::from(record.rules()?.triage_minutes) * 60_000_000)),
            owner: record.gate.owner.clone(),
            create_time: Some(stamp(now)),
            cause,
            ..Default::default()
        });
    }
    clocks::start_triage(mutation, record).await
}

impl Service {
    /// Escalates by a person's judgment.
    pub async fn escalate_handoff(&self, cx: &Cx, request: pb::EscalateHandoffRequest) -> Result<pb::Handoff> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut record = Record::lock(&mut mutation, &request.name).await?;
        let from = record.state();
        if record.handoff.human_led {
            return Err(machine::wrong_state(
                &request.name,
                from,
                "be escalated: a person leads it",
                "take over, cancel",
            ));
        }
        record.go(Action::Escalate)?;
        if from == State::InReview {
            clocks::stop_review(&mut mutation, &mut record, false).await?;
        }
        schedule_triage(&mut mutation, &mut record, format!("PERSON: {}", request.reason)).await?;
        let handoff = record.save(&mut mutation, cx.method, &request.reason, json!({})).await?;
        finish(mutation, handoff).await
    }

    /// Records the outcome of a triage.
    pub async fn complete_triage(&self, cx: &Cx, request: pb::CompleteTriageRequest) -> Result<pb::Handoff> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut record = Record::lock(&mut mutation, &request.name).await?;
        if record.state() == State::Escalated && !principal::on_ladder(&record.gate, &cx.actor, mutation.now()) {
            let message = format!("{} is not the owner of the gate, a delegate or on its ladder", cx.actor.subject);
            return Err(Error::denied("REVIEWER_NOT_ELIGIBLE", message));
        }
        record.go(Action::Triage)?;
        clocks::stop_triage(&mut mutation, &mut record, true).await?;
        lead(&mut record, cx);
        if let Some(triage) = &mut record.handoff.triage {
            triage.complete_time = Some(stamp(mutation.now()));
            triage.outcome.clone_from(&request.outcome);
        }
        let handoff = record.save(&mut mutation, cx.method, "", json!({"outcome": request.outcome})).await?;
        finish(mutation, handoff).await
    }

    /// Overrides an AI result.
    pub async fn override_handoff(&self, cx: &Cx, request: pb::OverrideHandoffRequest) -> Result<pb::Handoff> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut record = Record::lock(&mut mutation, &request.name).await?;
        let reason = request.reason.clone().unwrap_or_default();
        reviews::check_reason(&reason, "reason")?;
        let (from, now) = (record.state(), mutation.now());
        let by_ai = !record.handoff.human_led && record.handoff.run_inputs.is_some();
        let before_digest = record::content_digest(&record.handoff);
        match request.kind() {
            OverrideKind::Reject => {
                let action = reviews::failure(&record);
                if !matches!(from, State::InReview | State::Accepted) {
                    return Err(machine::wrong_state(
                        &request.name,
                        from,
                        "have its result rejected",
                        "TAKEOVER or ROLLBACK where the state allows",
                    ));
                }
                if action == Action::Return && request.next_prompt_version.is_empty() {
                    let what = "is required: the work goes back to AI";
                    return Err(Error::invalid("PROMPT_VERSION_REQUIRED", "next_prompt_version", what));
                }
                if from == State::InReview {
                    clocks::stop_review(&mut mutation, &mut record, true).await?;
                }
                set_fate(&mut record, VariantFate::Passed, VariantFate::Failed);
                fail_or_pass(&mut mutation, &mut record, action, &request.next_prompt_version).await?;
            }
            OverrideKind::Takeover => {
                record.go(Action::TakeOver)?;
                match from {
                    State::InReview => clocks::stop_review(&mut mutation, &mut record, true).await?,
                    State::Escalated => clocks::stop_triage(&mut mutation, &mut record, true).await?,
                    _ => {}
                }
                lead(&mut record, cx);
            }
            OverrideKind::Rollback => {
                record.go(Action::RollBack)?;
                set_fate(&mut record, VariantFate::Published, VariantFate::Withdrawn);
                lead(&mut record, cx);
                record.handoff.expire_time =
                    clocks::start_expiry(&mut mutation, &record.gate, &record.id).await?.map(stamp);
            }
            OverrideKind::Edit | OverrideKind::Unspecified => {
                return Err(Error::invalid(
                    "OVERRIDE_KIND",
                    "kind",
                    "must be REJECT, TAKEOVER or ROLLBACK; for an edit call EditVariant",
                ));
            }
        }
        record::void_signature(
            &mut record.handoff,
            now,
            request.kind().as_str_name().trim_start_matches("OVERRIDE_KIND_"),
        );
        record.put_variants(&mut mutation).await?;
        // Taking over before AI did anything, or correcting a person's work, overrides no AI result.
        let name = if by_ai {
            let (kind, reason) = (request.kind(), reason.clone());
            overrides::insert_for_handoff(&mut mutation, &mut record, kind, reason, (before_digest, String::new()))
                .await?
        } else {
            String::new()
        };
        let code = reason.code().as_str_name().trim_start_matches("REASON_CODE_");
        let handoff =
            record.save(&mut mutation, cx.method, code, json!({"override": name, "text": reason.text})).await?;
        finish(mutation, handoff).await
    }

    /// Gives a handoff up.
    pub async fn cancel_handoff(&self, cx: &Cx, request: pb::CancelHandoffRequest) -> Result<pb::Handoff> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut record = Record::lock(&mut mutation, &request.name).await?;
        let (from, now) = (record.state(), mutation.now());
        record.go(Action::Cancel)?;
        clocks::stop_all(&mut mutation, &mut record, from).await?;
        record::void_signature(&mut record.handoff, now, "cancelled");
        record.handoff.state_reason.clone_from(&request.reason);
        let handoff = record.save(&mut mutation, cx.method, &request.reason, json!({})).await?;
        finish(mutation, handoff).await
    }

    /// Stops a handoff.
    pub async fn suspend_handoff(&self, cx: &Cx, request: pb::SuspendHandoffRequest) -> Result<pb::Handoff> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut record = Record::lock(&mut mutation, &request.name).await?;
        let from = record.state();
        record.go(Action::Suspend)?;
        clocks::stop_all(&mut mutation, &mut record, from).await?;
        record.handoff.suspended_state = from.into();
        record.handoff.state_reason.clone_from(&request.reason);
        let handoff = record.save(&mut mutation, cx.method, &request.reason, json!({})).await?;
        finish(mutation, handoff).await
    }

    /// Resumes a suspended handoff where it was, with clocks that start anew.
    pub async fn resume_handoff(&self, cx: &Cx, request: pb::ResumeHandoffRequest) -> Result<pb::Handoff> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut record = Record::lock(&mut mutation, &request.name).await?;
        if record.state() != State::Suspended {
            return Err(machine::wrong_state(&request.name, record.state(), "be resumed", "resuming a suspended one"));
        }
        record.handoff.state = record.handoff.suspended_state;
        record.handoff.suspended_state = State::Unspecified.into();
        record.handoff.state_reason.clear();
        match record.state() {
            State::InReview => clocks::start_review(&mut mutation, &mut record).await?,
            State::Escalated => clocks::start_triage(&mut mutation, &mut record).await?,
            _ => {}
        }
        record.handoff.expire_time = clocks::start_expiry(&mut mutation, &record.gate, &record.id).await?.map(stamp);
        let handoff = record.save(&mut mutation, cx.method, "", json!({})).await?;
        finish(mutation, handoff).await
    }
}

/// Puts the caller in the lead.
fn lead(record: &mut Record, cx: &Cx) {
    record.handoff.human_led = true;
    record.handoff.responsible = Some(principal::person(&cx.actor.subject));
    record.handoff.next_prompt_version.clear();
}

fn set_fate(record: &mut Record, from: VariantFate, to: VariantFate) {
    for variant in record.handoff.variants.iter_mut().filter(|variant| variant.fate() == from) {
        variant.fate = to.into();
    }
}
