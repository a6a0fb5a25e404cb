//! Holds: engaging, drills, breaking the glass, lifting.

use super::bodies::{self, STEERING_GROUP};
use super::{Council, actor, changed, check_name, fresh, new_name, required, some};
use crate::store;
use crate::time::{days, duration, stamp};
use prost::Message as _;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::{
    ActionItem, ActionItemState, BreakGlassRequest, BreakGlassUse, EndDrillRequest, EngageHoldRequest, Hold, HoldState,
    LiftHold, Proposal, ReviewBreakGlassRequest, Scope,
};
use remit_core::{Error, Result};
use remit_runtime::{Cx, finish};
use remit_store::{Mutation, timers};

/// The watch feed of holds.
pub const HOLDS: &str = "holds";
/// Within how many days the use of the break-glass procedure is to be reviewed.
const BREAK_GLASS_REVIEW_DAYS: u64 = 7;

/// Refuses a scope that names nothing, or nothing of the right form.
pub(super) fn check_scope(scope: Option<&Scope>, field: &str) -> Result<()> {
    match scope.and_then(|scope| scope.target.as_ref()) {
        Some(Target::Organisation(true)) => Ok(()),
        Some(Target::Function(name)) => check_name(name, "functions/*", &format!("{field}.function")),
        Some(Target::Task(name)) => check_name(name, "tasks/*", &format!("{field}.task")),
        Some(Target::ModelVersion(name)) => check_name(name, "models/*/versions/*", &format!("{field}.model_version")),
        Some(Target::Gate(name)) => check_name(name, "gates/*", &format!("{field}.gate")),
        Some(Target::Organisation(false)) | None => {
            let rule = "must name one of organisation, function, task, model_version and gate";
            Err(Error::invalid("SCOPE_REQUIRED", field, rule))
        }
    }
}

/// A scope in words, such as `tasks/lead-scoring`.
pub(crate) fn scope_text(scope: Option<&Scope>) -> String {
    match scope.and_then(|scope| scope.target.as_ref()) {
        Some(Target::Organisation(_)) => "organisation".to_owned(),
        Some(Target::Function(name) | Target::Task(name) | Target::ModelVersion(name) | Target::Gate(name)) => {
            name.clone()
        }
        None => String::new(),
    }
}

fn rearm_timer(hold: &str) -> String {
    format!("hold.rearm:{hold}")
}

/// Saves a hold and tells its watchers.
async fn publish(mutation: &mut Mutation, hold: &mut Hold) -> Result<()> {
    let tenant = mutation.tenant().clone();
    hold.update_time = some(mutation.now());
    store::save(mutation.tx(), &tenant, hold).await?;
    let body = (hold.state() != HoldState::Lifted).then(|| hold.encode_to_vec());
    mutation.change(HOLDS, &hold.name, body).await
}

impl Council {
    /// Engages a hold.
    pub async fn engage_hold(&self, cx: &Cx, request: EngageHoldRequest) -> Result<Hold> {
        let name = new_name("holds", &request.hold_id, "hold_id")?;
        let given = required(request.hold.clone(), "hold")?;
        check_scope(given.scope.as_ref(), "hold.scope")?;
        if !given.incident.is_empty() {
            check_name(&given.incident, "incidents/*", "hold.incident")?;
        }
        let mut mutation = fresh!(self, cx, request);
        let now = some(mutation.now());
        let mut hold = Hold {
            name,
            scope: given.scope,
            reason: given.reason,
            incident: given.incident,
            drill: given.drill,
            state: HoldState::Engaged.into(),
            engager: Some(actor(&cx.actor)),
            create_time: now,
            update_time: now,
            ..Hold::default()
        };
        store::insert(mutation.tx(), &cx.tenant, &mut hold).await?;
        mutation.change(HOLDS, &hold.name, Some(hold.encode_to_vec())).await?;
        let mut event = changed(&mutation, &hold.name, None, &hold);
        event.reason.clone_from(&hold.reason);
        event.details = serde_json::json!({"scope": scope_text(hold.scope.as_ref()), "drill": hold.drill});
        mutation.record(event);
        finish(mutation, hold).await
    }

    /// Ends a drill.
    pub async fn end_drill(&self, cx: &Cx, request: EndDrillRequest) -> Result<Hold> {
        check_name(&request.name, "holds/*", "name")?;
        let mut mutation = fresh!(self, cx, request);
        let before: Hold = store::claim(mutation.tx(), &cx.tenant, &request.name).await?;
        if !before.drill {
            return Err(Error::precondition(
                "NOT_A_DRILL",
                format!("{} is no drill: a proposal lifts it", before.name),
            ));
        }
        if before.state() == HoldState::Lifted {
            return Err(Error::precondition("HOLD_LIFTED", format!("{} is over already", before.name)));
        }
        let mut hold = before.clone();
        hold.state = HoldState::Lifted.into();
        hold.lift_time = some(mutation.now());
        hold.lift_reason.clone_from(&request.finding);
        publish(&mut mutation, &mut hold).await?;
        let mut event = changed(&mutation, &hold.name, Some(&before), &hold);
        event.reason = request.finding;
        mutation.record(event);
        finish(mutation, hold).await
    }

    /// Lifts a hold, as an approved proposal says.
    pub(super) async fn lift_hold(
        &self,
        mutation: &mut Mutation,
        proposal: &Proposal,
        lift: &LiftHold,
    ) -> Result<String> {
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        let before: Hold = store::claim(mutation.tx(), &tenant, &lift.hold).await?;
        if before.state() == HoldState::Lifted {
            return Err(Error::precondition("HOLD_LIFTED", format!("{} is lifted already", before.name)));
        }
        let mut hold = before.clone();
        hold.state = HoldState::Lifted.into();
        hold.bypass_expire_time = None;
        hold.lift_proposal.clone_from(&proposal.name);
        hold.lift_time = some(now);
        hold.lift_reason.clone_from(&lift.reason);
        timers::cancel(mutation.tx(), &tenant, &rearm_timer(&hold.name)).await?;
        publish(mutation, &mut hold).await?;
        let mut event = changed(mutation, &hold.name, Some(&before), &hold);
        event.action = "council.holds.lift".to_owned();
        event.reason.clone_from(&lift.reason);
        event.details = serde_json::json!({"proposal": proposal.name});
        mutation.record(event);
        Ok(hold.name)
    }

    /// Suspends a hold for a short time.
    pub async fn break_glass(&self, cx: &Cx, request: BreakGlassRequest) -> Result<BreakGlassUse> {
        check_name(&request.hold, "holds/*", "hold")?;
        let length = required(request.duration, "duration")?;
        let mut mutation = fresh!(self, cx, request);
        let now = mutation.now();
        let before: Hold = store::claim(mutation.tx(), &cx.tenant, &request.hold).await?;
        match before.state() {
            HoldState::Engaged => {}
            HoldState::Bypassed => {
                return Err(Error::precondition("HOLD_BYPASSED", format!("{} is suspended already", before.name)));
            }
            HoldState::Lifted | HoldState::Unspecified => {
                return Err(Error::precondition("HOLD_LIFTED", format!("{} is lifted already", before.name)));
            }
        }
        if before.engager.as_ref().is_some_and(|engager| engager.subject == cx.actor.subject) {
            return Err(Error::denied("ENGAGER_CANNOT_BYPASS", "another person must break the glass"));
        }
        let until = now.plus(duration(&length));
        let mut hold = before.clone();
        hold.state = HoldState::Bypassed.into();
        hold.bypass_expire_time = some(until);
        publish(&mut mutation, &mut hold).await?;
        let payload = hold.name.clone().into_bytes();
        timers::schedule(mutation.tx(), &cx.tenant, &rearm_timer(&hold.name), "hold.rearm", until, &payload).await?;

        let id = mutation.new_id();
        let mut item = ActionItem {
            name: format!("actionItems/break-glass-{id}"),
            title: format!("Review the break-glass use on {}", hold.name),
            description: "Another person records with ReviewBreakGlass whether the use was justified.".to_owned(),
            owner: cx.actor.subject.clone(),
            due_time: some(now.plus(days(BREAK_GLASS_REVIEW_DAYS))),
            origin: format!("breakGlassUses/{id}"),
            state: ActionItemState::Open.into(),
            create_time: some(now),
            update_time: some(now),
            ..ActionItem::default()
        };
        store::insert(mutation.tx(), &cx.tenant, &mut item).await?;
        let members = bodies::seats(mutation.tx(), &cx.tenant, STEERING_GROUP).await?;
        let mut used = BreakGlassUse {
            name: format!("breakGlassUses/{id}"),
            hold: hold.name.clone(),
            reason: request.reason,
            actor: Some(actor(&cx.actor)),
            create_time: some(now),
            expire_time: Some(stamp(until)),
            action_item: item.name,
            notified: members.into_iter().map(|seat| seat.subject).collect(),
            ..BreakGlassUse::default()
        };
        store::insert(mutation.tx(), &cx.tenant, &mut used).await?;
        let mut event = changed(&mutation, &hold.name, Some(&before), &hold);
        event.reason.clone_from(&used.reason);
        event.details = serde_json::json!({
            "break_glass_use": used.name,
            "until": until.to_string(),
            "notify": used.notified,
            "action_item": used.action_item,
        });
        mutation.record(event);
        finish(mutation, used).await
    }

    /// Ends the suspension of a hold when its time box is over.
    pub(super) async fn rearm_hold(&self, mutation: &mut Mutation, name: &str) -> Result<()> {
        let tenant = mutation.tenant().clone();
        let before: Hold = store::claim(mutation.tx(), &tenant, name).await?;
        if before.state() != HoldState::Bypassed {
            return Ok(());
        }
        let mut hold = Hold { state: HoldState::Engaged.into(), bypass_expire_time: None, ..before };
        publish(mutation, &mut hold).await?;
        let event = mutation.event("council.holds.rearm", name);
        mutation.record(event);
        Ok(())
    }

    /// Records the review of a use of the break-glass procedure.
    pub async fn review_break_glass(&self, cx: &Cx, request: ReviewBreakGlassRequest) -> Result<BreakGlassUse> {
        check_name(&request.name, "breakGlassUses/*", "name")?;
        let mut mutation = fresh!(self, cx, request);
        let now = mutation.now();
        let before: BreakGlassUse = store::claim(mutation.tx(), &cx.tenant, &request.name).await?;
        if before.review_time.is_some() {
            return Err(Error::precondition("ALREADY_REVIEWED", format!("{} was reviewed already", before.name)));
        }
        if before.actor.as_ref().is_some_and(|who| who.subject == cx.actor.subject) {
            return Err(Error::denied("OWN_BREAK_GLASS", "another person must review the use"));
        }
        let mut used = BreakGlassUse {
            review_time: some(now),
            reviewer: Some(actor(&cx.actor)),
            review_note: request.note.clone(),
            ..before.clone()
        };
        store::save(mutation.tx(), &cx.tenant, &mut used).await?;
        let mut item: ActionItem = store::claim(mutation.tx(), &cx.tenant, &used.action_item).await?;
        if item.state() == ActionItemState::Open {
            item.state = ActionItemState::Done.into();
            (item.close_time, item.update_time) = (some(now), some(now));
            item.closer = Some(actor(&cx.actor));
            item.close_note.clone_from(&request.note);
            store::save(mutation.tx(), &cx.tenant, &mut item).await?;
        }
        let mut event = changed(&mutation, &used.name, Some(&before), &used);
        event.reason = request.note;
        event.details = serde_json::json!({"action_item": used.action_item});
        mutation.record(event);
        finish(mutation, used).await
    }
}
