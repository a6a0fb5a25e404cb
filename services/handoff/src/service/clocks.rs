//! Deadlines of handoffs, started and stopped with the state.

use super::calendars;
use super::held::Held;
use crate::gate_rules;
use crate::store;
use crate::store::clocks::{REVIEW, TRIAGE};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::HandoffState as State;
use remit_api::wire::time::stamp;
use remit_core::{Error, Result, Timestamp};
use remit_store::{Mutation, timers};

/// The kinds of the timers, which are the actions of what happens when they are due.
pub(super) mod kinds {
    pub(in crate::service) const REVIEW: &str = "handoff.reviews.breach";
    pub(in crate::service) const REMIND: &str = "handoff.reviews.remind";
    pub(in crate::service) const TRIAGE: &str = "handoff.triages.breach";
    pub(in crate::service) const EXPIRE: &str = "handoff.handoffs.expire";
    /// Of one batch of assigned leads.
    pub(in crate::service) const ACCEPT: &str = "handoff.routings.breach";
    /// Issues a briefing.
    pub(in crate::service) const BRIEFING: &str = "handoff.briefings.issue";
    /// Takes an old notification out of the queue.
    pub(in crate::service) const NOTICE: &str = "handoff.notifications.expire";
}

/// Schedules the timer `prefix` of a handoff.
pub(super) async fn schedule(m: &mut Mutation, prefix: &str, handoff: &str, kind: &str, due: Timestamp) -> Result<()> {
    let tenant = m.tenant().clone();
    timers::schedule(m.tx(), &tenant, &format!("{prefix}/{handoff}"), kind, due, handoff.as_bytes()).await
}

async fn cancel(m: &mut Mutation, prefix: &str, handoff: &str) -> Result<()> {
    let tenant = m.tenant().clone();
    timers::cancel(m.tx(), &tenant, &format!("{prefix}/{handoff}")).await.map(drop)
}

/// When a service level that starts now is due.
pub(super) async fn due(m: &mut Mutation, level: &pb::ServiceLevel) -> Result<Timestamp> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    calendars::due(m.tx(), &tenant, level, now).await
}

/// The service level that an active gate has.
pub(super) fn required<'a>(
    level: Option<&'a pb::ServiceLevel>,
    gate: &pb::GateVersion,
) -> Result<&'a pb::ServiceLevel> {
    level.ok_or_else(|| Error::internal(format!("{} is active without a service level", gate.name)))
}

/// Offers the variants for review and starts the clock, anew with every iteration (A9).
pub(super) async fn start_review(m: &mut Mutation, held: &mut Held, gate: &pb::GateVersion) -> Result<()> {
    let due_time = due(m, required(gate.service_level.as_ref(), gate)?).await?;
    let handoff = &mut held.handoff;
    handoff.review_round += 1;
    handoff.rung = 0;
    handoff.claimed_by.clear();
    handoff.responsible.clone_from(&gate.owner);
    handoff.offered_at = Some(stamp(m.now()));
    handoff.due_time = Some(stamp(due_time));
    store::clocks::start(m, handoff, REVIEW, handoff.review_round, due_time).await?;
    schedule(m, "review", &handoff.name, kinds::REVIEW, due_time).await?;
    if let Some(remind) = &gate.remind_after {
        let at = due(m, remind).await?;
        if at < due_time {
            schedule(m, "remind", &handoff.name, kinds::REMIND, at).await?;
        }
    }
    Ok(())
}

/// Stops the review's clock: with a decision, or because nobody waits any more.
pub(super) async fn stop_review(m: &mut Mutation, held: &mut Held, decided: bool) -> Result<()> {
    let handoff = &mut held.handoff;
    store::clocks::stop(m, handoff, REVIEW, handoff.review_round, decided).await?;
    cancel(m, "review", &handoff.name).await?;
    cancel(m, "remind", &handoff.name).await?;
    handoff.claimed_by.clear();
    handoff.offered_at = None;
    handoff.due_time = None;
    handoff.responsible = None;
    Ok(())
}

/// Starts, or after a suspension restarts, the clock of the triage.
pub(super) async fn start_triage(m: &mut Mutation, held: &mut Held, gate: &pb::GateVersion) -> Result<()> {
    let due_time = due(m, required(gate_rules::creative(gate)?.triage.as_ref(), gate)?).await?;
    let handoff = &mut held.handoff;
    handoff.due_time = Some(stamp(due_time));
    handoff.responsible.clone_from(&gate.owner);
    if let Some(triage) = &mut handoff.triage {
        triage.due_time = Some(stamp(due_time));
    }
    store::clocks::start(m, handoff, TRIAGE, 1, due_time).await?;
    schedule(m, "triage", &handoff.name, kinds::TRIAGE, due_time).await
}

/// Stops the clock of the triage.
pub(super) async fn stop_triage(m: &mut Mutation, held: &mut Held, decided: bool) -> Result<()> {
    store::clocks::stop(m, &held.handoff, TRIAGE, 1, decided).await?;
    cancel(m, "triage", &held.handoff.name).await?;
    held.handoff.due_time = None;
    Ok(())
}

/// Starts the clock of the whole handoff, if the gate has one.
pub(super) async fn start_expiry(m: &mut Mutation, handoff: &mut pb::Handoff, gate: &pb::GateVersion) -> Result<()> {
    let Some(level) = &gate.expire_after else {
        handoff.expire_time = None;
        return Ok(());
    };
    let due_time = due(m, level).await?;
    handoff.expire_time = Some(stamp(due_time));
    schedule(m, "expire", &handoff.name, kinds::EXPIRE, due_time).await
}

/// Stops the clock of the whole handoff.
pub(super) async fn stop_expiry(m: &mut Mutation, held: &mut Held) -> Result<()> {
    held.handoff.expire_time = None;
    cancel(m, "expire", &held.handoff.name).await
}

/// Stops every clock of a handoff that is leaving `from` for a state without any.
pub(super) async fn stop_all(m: &mut Mutation, held: &mut Held, from: State) -> Result<()> {
    match from {
        State::InReview => stop_review(m, held, false).await?,
        State::Escalated => stop_triage(m, held, false).await?,
        _ => {}
    }
    stop_expiry(m, held).await
}
