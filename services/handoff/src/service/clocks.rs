//! Deadlines of handoffs, started and stopped with the state, and kept over a suspension: what was left of a clock is
//! left when the work goes on, and what was late stays late.

use super::calendars;
use super::held::Held;
use crate::gate_rules;
use crate::store;
use crate::store::clocks::{REVIEW, TRIAGE};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::HandoffState as State;
use remit_api::wire::time::{self, span, stamp};
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
    /// Of one batch of held leads.
    pub(in crate::service) const DECIDE: &str = "handoff.decisions.breach";
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
            handoff.remind_time = Some(stamp(at));
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
    handoff.remind_time = None;
    handoff.responsible = None;
    Ok(())
}

/// Starts the clock of the triage.
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

/// What is called `remind` and `expire` among the clocks that a suspension stopped.
const REMINDER: &str = "remind";
const EXPIRY: &str = "expire";

/// The service level that a clock of a handoff counts by.
fn level_of<'a>(handoff: &pb::Handoff, gate: &'a pb::GateVersion, clock: &str) -> Result<&'a pb::ServiceLevel> {
    let rung = usize::try_from(handoff.rung).ok().and_then(|rung| gate.escalation_ladder.get(rung.checked_sub(1)?));
    let level = match clock {
        REVIEW => rung.and_then(|rung| rung.service_level.as_ref()).or(gate.service_level.as_ref()),
        TRIAGE => gate_rules::creative(gate)?.triage.as_ref(),
        REMINDER => gate.remind_after.as_ref(),
        _ => gate.expire_after.as_ref(),
    };
    required(level, gate)
}

/// Whether the last rung of the ladder was called, and nobody is left whose time runs.
fn is_over(handoff: &pb::Handoff, clock: &str) -> bool {
    handoff.breaches.iter().any(|breach| match clock {
        REVIEW => breach.clock == REVIEW && breach.round == handoff.review_round && breach.rung == 0,
        _ => breach.clock == clock,
    })
}

/// Stops the clocks of a handoff that is suspended in the state `from`, and keeps what each has left.
pub(super) async fn pause(m: &mut Mutation, held: &mut Held, gate: &pb::GateVersion, from: State) -> Result<()> {
    let handoff = &mut held.handoff;
    let running = match from {
        State::InReview => vec![(REVIEW, handoff.due_time), (REMINDER, handoff.remind_time)],
        State::Escalated => vec![(TRIAGE, handoff.due_time)],
        _ => Vec::new(),
    };
    handoff.paused_clocks.clear();
    for (clock, due_time) in running.into_iter().chain([(EXPIRY, handoff.expire_time)]) {
        let Some(due_time) = due_time.filter(|_| !is_over(handoff, clock)) else { continue };
        let (tenant, now) = (m.tenant().clone(), m.now());
        let level = level_of(handoff, gate, clock)?;
        let left = calendars::remaining(m.tx(), &tenant, level, now, time::of(&due_time)).await?;
        // A reminder that was given is not given again.
        if clock == REMINDER && left == 0 {
            continue;
        }
        handoff.paused_clocks.push(pb::PausedClock {
            clock: clock.to_owned(),
            remaining: (left > 0).then(|| span(left)),
            due_time: Some(due_time),
        });
    }
    match from {
        State::InReview => store::clocks::stop(m, handoff, REVIEW, handoff.review_round, false).await?,
        State::Escalated => store::clocks::stop(m, handoff, TRIAGE, 1, false).await?,
        _ => {}
    }
    for prefix in [REVIEW, REMINDER, TRIAGE, EXPIRY] {
        cancel(m, prefix, &handoff.name).await?;
    }
    (handoff.due_time, handoff.remind_time, handoff.expire_time) = (None, None, None);
    Ok(())
}

/// Lets the clocks of a resumed handoff go on with what they had left. One that had run out unnoticed is due as it was.
pub(super) async fn go_on(m: &mut Mutation, held: &mut Held, gate: &pb::GateVersion) -> Result<()> {
    let handoff = &mut held.handoff;
    for paused in std::mem::take(&mut handoff.paused_clocks) {
        let clock = paused.clock.as_str();
        let (tenant, now) = (m.tenant().clone(), m.now());
        let due_time = match &paused.remaining {
            Some(left) => {
                let level = level_of(handoff, gate, clock)?;
                let left = i64::try_from(time::duration(left).as_micros()).unwrap_or(i64::MAX);
                calendars::after(m.tx(), &tenant, level, now, left).await?
            }
            None => paused.due_time.as_ref().map_or(now, time::of),
        };
        let (prefix, kind, at) = match clock {
            REVIEW => (REVIEW, kinds::REVIEW, &mut handoff.due_time),
            TRIAGE => (TRIAGE, kinds::TRIAGE, &mut handoff.due_time),
            REMINDER => (REMINDER, kinds::REMIND, &mut handoff.remind_time),
            _ => (EXPIRY, kinds::EXPIRE, &mut handoff.expire_time),
        };
        *at = Some(stamp(due_time));
        schedule(m, prefix, &handoff.name, kind, due_time).await?;
    }
    let due_time = handoff.due_time.as_ref().map(time::of);
    match held.state() {
        State::InReview => {
            let round = held.handoff.review_round;
            store::clocks::go_on(m, &held.handoff, REVIEW, round, due_time).await?;
        }
        State::Escalated => {
            store::clocks::go_on(m, &held.handoff, TRIAGE, 1, due_time).await?;
            if let (Some(triage), Some(due_time)) = (&mut held.handoff.triage, due_time) {
                triage.due_time = Some(stamp(due_time));
            }
        }
        _ => {}
    }
    Ok(())
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
