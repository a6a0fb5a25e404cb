//! Handoffs as a whole: created, edited, triggered, published, and taken over by people at every step.

use super::held::Held;
use super::runs::{pattern_of, permitted};
use super::{Service, clocks, gates, iterations, overrides, triages};
use crate::machine::{self, Action};
use crate::pattern_rules::{Done, Step, Work, judge};
use crate::store::handoffs::insert_trigger;
use crate::store::{Handoffs, variants};
use crate::{briefs, principal, review_rules, signatures};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::gate_version::Rules;
use remit_api::handoff::v1::{HandoffState as State, OverrideKind, TriageCause, VariantFate};
use remit_api::wire::time::{self, stamp};
use remit_api::wire::{self, Updatable as _, Word as _, actor, mask, required};
use remit_core::details::{
    Details as _, HandoffCreated, HandoffMoved, HandoffOverridden, HandoffPublished, HandoffUpdated, Released,
    TriggerRecorded,
};
use remit_core::name::{self, HandoffName, TaskName};
use remit_core::{Error, Result, etag};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _};

impl Service {
    /// Creates a handoff under the gate's active version.
    pub(crate) async fn create_handoff(&self, cx: &Cx, request: pb::CreateHandoffRequest) -> Result<pb::Handoff> {
        let call = cx.call(&request);
        let name = HandoffName::new(name::id(&request.handoff_id, "handoff_id")?).to_string();
        let given = required(request.handoff, "handoff")?;
        TaskName::parse(&given.task, "handoff.task")?;
        // Asked outside the mutation and judged inside, so that a repeated request gets its first answer.
        let known = self.scoring.require_task(&cx.tenant, &given.task).await;
        self.mutate(call, async |m| {
            let gate = gates::active(m.tx(), &cx.tenant, &given.gate, "handoff.gate").await?;
            if !matches!(gate.rules, Some(Rules::Creative(_))) {
                let message = format!("{} is a gate for leads: use RouteLeads", given.gate);
                return Err(Error::precondition("GATE_KIND", message));
            }
            known?;
            let now = Some(stamp(m.now()));
            let mut handoff = pb::Handoff {
                name,
                display_name: given.display_name,
                gate: given.gate,
                gate_version: gate.name.clone(),
                task: given.task,
                brief: briefs::with_digest(given.brief),
                parents: given.parents,
                channel: given.channel,
                state: State::Draft.into(),
                requester: Some(actor(&cx.actor)),
                create_time: now,
                update_time: now,
                ..Default::default()
            };
            clocks::start_expiry(m, &mut handoff, &gate).await?;
            Handoffs::insert(m, &mut handoff).await?;
            m.record(&handoff.name, |event| {
                event.after_digest = wire::digest(&handoff);
                event.details = HandoffCreated {
                    to: handoff.state().word().to_owned(),
                    gate_version: handoff.gate_version.clone(),
                    task: handoff.task.clone(),
                    ..Default::default()
                }
                .json();
            });
            Ok(handoff)
        })
        .await
    }

    /// Returns a handoff.
    pub(crate) async fn get_handoff(&self, cx: &Cx, request: pb::GetHandoffRequest) -> Result<pb::Handoff> {
        HandoffName::parse(&request.name, "name")?;
        Handoffs::get(&mut self.db.read().await?, &cx.tenant, &request.name).await
    }

    /// Lists handoffs.
    pub(crate) async fn list_handoffs(
        &self,
        cx: &Cx,
        request: pb::ListHandoffsRequest,
    ) -> Result<pb::ListHandoffsResponse> {
        let (handoffs, next_page_token) = Handoffs::list(&self.db, &cx.tenant, cx.page(&request)).await?;
        Ok(pb::ListHandoffsResponse { handoffs, next_page_token })
    }

    /// Edits a handoff's description.
    pub(crate) async fn update_handoff(&self, cx: &Cx, request: pb::UpdateHandoffRequest) -> Result<pb::Handoff> {
        let call = cx.call(&request);
        let given = required(request.handoff, "handoff")?;
        // Only another task is a question; most updates have none.
        HandoffName::parse(&given.name, "handoff.name")?;
        let before = Handoffs::find(&mut self.db.read().await?, &cx.tenant, &given.name).await?;
        let another =
            before.is_some_and(|before| before.task != given.task) && TaskName::parse(&given.task, "").is_ok();
        let known = if another { self.scoring.require_task(&cx.tenant, &given.task).await } else { Ok(()) };
        self.mutate(call, async |m| {
            let mut held = Held::claim(m, &given.name).await?;
            etag::check(&given.etag, &held.handoff.etag, &given.name)?;
            if machine::is_final(held.state()) {
                return Err(held.wrong_state("be edited", "nothing"));
            }
            let mut wanted = mask::apply(&held.handoff, &given, request.update_mask.as_ref(), pb::Handoff::UPDATABLE)?;
            wanted.brief = briefs::with_digest(wanted.brief);
            let before = &held.handoff;
            let changes = [
                ("display_name", wanted.display_name != before.display_name),
                ("task", wanted.task != before.task),
                ("brief", wanted.brief != before.brief),
                ("parents", wanted.parents != before.parents),
                ("channel", wanted.channel != before.channel),
            ];
            let fields: Vec<&str> = changes.iter().filter(|(_, changed)| *changed).map(|(field, _)| *field).collect();
            if fields.is_empty() {
                return Ok(held.handoff);
            }
            let frozen = fields.iter().find(|field| matches!(**field, "task" | "brief"));
            if let (Some(field), true) = (frozen, held.state() != State::Draft) {
                let change = format!("change its {field}");
                return Err(held.wrong_state(&change, "changing display_name, parents, channel"));
            }
            if fields.contains(&"task") {
                TaskName::parse(&wanted.task, "handoff.task")?;
                known?;
            }
            let finalized = wanted.trigger_events.iter().any(|event| event.event_type == briefs::FINAL);
            if finalized && fields.contains(&"brief") {
                briefs::check(&wanted)?;
            }
            let fields = fields.into_iter().map(str::to_owned).collect();
            held.handoff = wanted;
            held.save(m, cx.method, "", HandoffUpdated { fields, ..Default::default() }).await
        })
        .await
    }

    /// Records a trigger event.
    pub(crate) async fn record_trigger(&self, cx: &Cx, request: pb::RecordTriggerRequest) -> Result<pb::Handoff> {
        let call = cx.call(&request);
        let mut event = required(request.event, "event")?;
        self.mutate(call, async |m| {
            let mut held = Held::claim(m, &request.name).await?;
            let triggers = held.gate(m).await?.triggers;
            let types: Vec<&str> = triggers.iter().map(|trigger| trigger.event_type.as_str()).collect();
            if !types.contains(&event.event_type.as_str()) {
                let known = format!("must be one of {}", types.join(", "));
                return Err(Error::invalid("TRIGGER_UNKNOWN", "event.event_type", known));
            }
            time::past(event.occurred_at.as_ref(), m.now(), "event.occurred_at")?;
            if event.event_type == briefs::FINAL {
                briefs::check(&held.handoff)?;
            }
            if !insert_trigger(m, &request.name, &event.event_id).await? {
                // Delivered twice by the other system: nothing changes, nothing is recorded.
                return Ok(held.handoff);
            }
            if held.state() != State::Draft {
                return Err(held.wrong_state("be triggered", "what comes after the trigger"));
            }
            event.recorded_at = Some(stamp(m.now()));
            let details = TriggerRecorded {
                event_id: event.event_id.clone(),
                event_type: event.event_type.clone(),
                source: event.source.clone(),
                ..Default::default()
            };
            held.handoff.trigger_events.push(event);
            let events = &held.handoff.trigger_events;
            if types.iter().all(|wanted| events.iter().any(|event| event.event_type == *wanted)) {
                held.go(Action::Trigger)?;
            }
            held.save(m, cx.method, "", details).await
        })
        .await
    }

    /// Publishes signed variants: mechanical once a person has signed, and impossible before (A6).
    pub(crate) async fn publish_handoff(&self, cx: &Cx, request: pb::PublishHandoffRequest) -> Result<pb::Handoff> {
        // Asked outside the mutation and judged inside, as for a run.
        HandoffName::parse(&request.name, "name")?;
        let before = Handoffs::get(&mut self.db.read().await?, &cx.tenant, &request.name).await?;
        let asked = self.permission_still(&cx.tenant, &before);
        let inputs = before.run_inputs.clone().filter(|_| !before.human_led).unwrap_or_default();
        let (permission, approved) = futures::join!(asked, self.registry.require_approved(&cx.tenant, &inputs));
        self.show_holds(&cx.tenant, &request.name, permission.as_ref()).await?;
        self.mutate(cx.call(&request), async |m| {
            let mut held = Held::claim(m, &request.name).await?;
            held.go(Action::Publish)?;
            let gate = held.gate(m).await?;
            let signed_digest = signatures::check(&held.handoff, &gate, &request.variants)?;
            review_rules::check_tags(&held.handoff, &gate)?;
            if !held.handoff.human_led {
                let permission = permitted(&mut held.handoff, permission, "it may no longer be published")?;
                approved?;
                let pattern = pattern_of(&held.handoff, &permission);
                let out: Vec<&str> = request.variants.iter().map(|out| out.content_digest.as_str()).collect();
                let made_by_ai = variants::made_by_ai(m.tx(), &cx.tenant, &out).await?;
                let refined = signatures::is_refined(&held.handoff, &request.variants, &made_by_ai);
                let done = Done { decided: true, refined, signed: true };
                judge(&request.name, pattern, Work::Creative, Step::Publish, done)?;
                held.handoff.set_pattern(pattern);
            }
            for variant in &mut held.handoff.variants {
                if request.variants.iter().any(|published| published.variant == variant.variant) {
                    variant.fate = VariantFate::Published.into();
                }
            }
            held.handoff.publish_time = Some(stamp(m.now()));
            clocks::stop_expiry(m, &mut held).await?;
            variants::put(m, &held.handoff).await?;
            let released = |variant: pb::PublishedVariant| Released {
                variant: variant.variant,
                content_digest: variant.content_digest,
            };
            let variants = request.variants.into_iter().map(released).collect();
            held.save(m, cx.method, "", HandoffPublished { signed_digest, variants, ..Default::default() }).await
        })
        .await
    }

    /// Escalates by a person's judgment.
    pub(crate) async fn escalate_handoff(&self, cx: &Cx, request: pb::EscalateHandoffRequest) -> Result<pb::Handoff> {
        self.mutate(cx.call(&request), async |m| {
            let mut held = Held::claim(m, &request.name).await?;
            let from = held.state();
            if held.handoff.human_led {
                return Err(held.wrong_state("be escalated: a person leads it", "take over, cancel"));
            }
            held.go(Action::Escalate)?;
            if from == State::InReview {
                clocks::stop_review(m, &mut held, false).await?;
            }
            let gate = held.gate(m).await?;
            let cause = if cx.actor.is_human() { TriageCause::Person } else { TriageCause::Machine };
            triages::schedule(m, &mut held, &gate, cause, request.reason.clone()).await?;
            held.save(m, cx.method, &request.reason, HandoffMoved::default()).await
        })
        .await
    }

    /// Overrides an AI result.
    pub(crate) async fn override_handoff(&self, cx: &Cx, request: pb::OverrideHandoffRequest) -> Result<pb::Handoff> {
        let call = cx.call(&request);
        let reason = required(request.reason.clone(), "reason")?;
        review_rules::check_reason(&reason, "reason")?;
        self.mutate(call, async |m| {
            let mut held = Held::claim(m, &request.name).await?;
            let gate = held.gate(m).await?;
            let outsider = !principal::of_gate(&gate, &cx.actor, m.now());
            let by_ai = !held.handoff.human_led && held.handoff.run_inputs.is_some();
            let before_digest = signatures::content_digest(&held.handoff);
            match request.kind() {
                OverrideKind::Reject => reject(m, &mut held, &request.next_prompt_version).await?,
                OverrideKind::Takeover => take_over(m, &mut held).await?,
                OverrideKind::Rollback => roll_back(m, &mut held).await?,
                OverrideKind::Edit | OverrideKind::Unspecified => {
                    let what = "must be REJECT, TAKEOVER or ROLLBACK; for an edit call EditVariant";
                    return Err(Error::invalid("OVERRIDE_KIND", "kind", what));
                }
            }
            signatures::void(&mut held.handoff, m.now(), request.kind().word());
            variants::put(m, &held.handoff).await?;
            let (code, text) = (reason.code(), reason.text.clone());
            // Taking over before AI did anything, or correcting a person's work, overrides no AI result.
            // Whoever is none of the gate's people is counted whatever they override.
            let override_name = if by_ai || outsider {
                let digests = (before_digest, String::new());
                held.handoff.override_count += i32::from(by_ai);
                overrides::of_handoff(m, &held.handoff, request.kind(), reason, digests, outsider).await?
            } else {
                String::new()
            };
            let details = HandoffOverridden { override_name, text, outsider, ..Default::default() };
            held.save(m, cx.method, code.word(), details).await
        })
        .await
    }

    /// Gives a handoff up.
    pub(crate) async fn cancel_handoff(&self, cx: &Cx, request: pb::CancelHandoffRequest) -> Result<pb::Handoff> {
        self.mutate(cx.call(&request), async |m| {
            let mut held = Held::claim(m, &request.name).await?;
            let gate = held.gate(m).await?;
            let mine = held.handoff.requester.as_ref().is_some_and(|requester| requester.subject == cx.actor.subject);
            if !mine {
                principal::check_of_work(&gate, &held.handoff, &cx.actor, m.now())?;
            }
            let from = held.state();
            held.go(Action::Cancel)?;
            clocks::stop_all(m, &mut held, from).await?;
            held.handoff.paused_clocks.clear();
            signatures::void(&mut held.handoff, m.now(), "cancelled");
            held.handoff.state_reason.clone_from(&request.reason);
            held.save(m, cx.method, &request.reason, HandoffMoved::default()).await
        })
        .await
    }

    /// Stops a handoff.
    pub(crate) async fn suspend_handoff(&self, cx: &Cx, request: pb::SuspendHandoffRequest) -> Result<pb::Handoff> {
        self.mutate(cx.call(&request), async |m| {
            let mut held = Held::claim(m, &request.name).await?;
            let from = held.state();
            let gate = held.gate(m).await?;
            held.go(Action::Suspend)?;
            clocks::pause(m, &mut held, &gate, from).await?;
            held.handoff.suspended_state = from.into();
            held.handoff.state_reason.clone_from(&request.reason);
            held.save(m, cx.method, &request.reason, HandoffMoved::default()).await
        })
        .await
    }

    /// Resumes a suspended handoff where it was, with clocks that go on with what they had left.
    pub(crate) async fn resume_handoff(&self, cx: &Cx, request: pb::ResumeHandoffRequest) -> Result<pb::Handoff> {
        self.mutate(cx.call(&request), async |m| {
            let mut held = Held::claim(m, &request.name).await?;
            if held.state() != State::Suspended {
                return Err(held.wrong_state("be resumed", "resuming a suspended one"));
            }
            let gate = held.gate(m).await?;
            principal::check_of_work(&gate, &held.handoff, &cx.actor, m.now())?;
            held.handoff.state = std::mem::take(&mut held.handoff.suspended_state);
            held.handoff.state_reason.clear();
            clocks::go_on(m, &mut held, &gate).await?;
            held.save(m, cx.method, "", HandoffMoved::default()).await
        })
        .await
    }
}

/// Refuses the result outside the graded review: a failed iteration.
async fn reject(m: &mut Mutation, held: &mut Held, next_prompt: &str) -> Result<()> {
    let from = held.state();
    if !matches!(from, State::InReview | State::Accepted) {
        return Err(held.wrong_state("have its result rejected", "TAKEOVER or ROLLBACK where the state allows"));
    }
    let gate = held.gate(m).await?;
    let action = review_rules::failure(&held.handoff, &gate);
    review_rules::check_prompt(action, next_prompt)?;
    if from == State::InReview {
        clocks::stop_review(m, held, true).await?;
    }
    set_fate(&mut held.handoff, VariantFate::Passed, VariantFate::Failed);
    iterations::fail_or_pass(m, held, &gate, action, next_prompt).await
}

/// Puts the caller in the lead of unfinished work.
async fn take_over(m: &mut Mutation, held: &mut Held) -> Result<()> {
    let from = held.state();
    held.go(Action::TakeOver)?;
    match from {
        State::InReview => clocks::stop_review(m, held, true).await?,
        State::Escalated => clocks::stop_triage(m, held, true).await?,
        _ => {}
    }
    principal::lead(&mut held.handoff, m.actor());
    Ok(())
}

/// Withdraws what was published; the caller leads from here.
async fn roll_back(m: &mut Mutation, held: &mut Held) -> Result<()> {
    held.go(Action::RollBack)?;
    set_fate(&mut held.handoff, VariantFate::Published, VariantFate::Withdrawn);
    principal::lead(&mut held.handoff, m.actor());
    let gate = held.gate(m).await?;
    clocks::start_expiry(m, &mut held.handoff, &gate).await
}

fn set_fate(handoff: &mut pb::Handoff, from: VariantFate, to: VariantFate) {
    for variant in handoff.variants.iter_mut().filter(|variant| variant.fate() == from) {
        variant.fate = to.into();
    }
}
