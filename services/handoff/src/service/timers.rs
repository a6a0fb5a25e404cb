//! What happens when a deadline runs out. No timer ever approves anything; it calls the next person (U7, U8).

use super::clocks::{self, kinds};
use super::held::Held;
use super::{briefings, calendars, decisions, leads, work};
use crate::machine::{self, Action};
use crate::store::clocks::{REVIEW, TRIAGE};
use crate::{principal, signatures, store};
use futures::future::BoxFuture;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::HandoffState as State;
use remit_api::wire::time::{self, stamp};
use remit_core::details::{ClockRanOut, HandoffExpired, ReviewReminded};
use remit_core::{Error, Result};
use remit_store::{Mutation, Timer, TimerHandler};

/// Acts when a deadline runs out.
pub(crate) struct Timers;

impl TimerHandler for Timers {
    fn fire<'a>(&'a self, m: &'a mut Mutation, timer: &'a Timer) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let payload = String::from_utf8_lossy(&timer.payload).into_owned();
            match timer.kind.as_str() {
                kinds::REVIEW => review_due(m, timer, &payload).await,
                kinds::REMIND => remind(m, &payload).await,
                kinds::TRIAGE => triage_due(m, timer, &payload).await,
                kinds::EXPIRE => expire(m, &payload).await,
                kinds::ACCEPT => leads::accept_due(m, timer, &payload).await,
                kinds::DECIDE => decisions::decide_due(m, timer, &payload).await,
                kinds::BRIEFING => briefings::issue(m, &payload).await,
                kinds::NOTICE => work::remove(m, pb::WorkKind::SdrNotification, &payload).await,
                kind => Err(Error::internal(format!("no handler for timers of kind {kind}"))),
            }
        })
    }
}

/// The handoff if it is in this state still.
async fn in_state(m: &mut Mutation, name: &str, state: State) -> Result<Option<Held>> {
    Ok(Held::try_claim(m, name).await?.filter(|held| held.state() == state))
}

/// Records that a clock of a handoff ran out and who was called, once.
async fn breach(m: &mut Mutation, mut held: Held, timer: &Timer, breach: pb::Breach) -> Result<()> {
    let breach =
        pb::Breach { due_time: Some(stamp(timer.due_at)), detect_time: Some(stamp(timer.detected_at)), ..breach };
    store::clocks::breach(m, &held.handoff, &breach).await?;
    let details = ClockRanOut {
        clock: breach.clock.clone(),
        round: breach.round,
        rung: if breach.clock == REVIEW { held.handoff.rung } else { breach.rung },
        called: breach.called.as_ref().map(principal::words),
        ..Default::default()
    };
    held.handoff.breaches.push(breach);
    held.save(m, &timer.kind, "SLA_BREACHED", details).await.map(drop)
}

/// A review was not decided in time: record it and call the next rung of the ladder (A10).
async fn review_due(m: &mut Mutation, timer: &Timer, name: &str) -> Result<()> {
    let Some(mut held) = in_state(m, name, State::InReview).await? else { return Ok(()) };
    let gate = held.gate(m).await?;
    let (tenant, round) = (m.tenant().clone(), held.handoff.review_round);
    let next = gate.escalation_ladder.get(usize::try_from(held.handoff.rung).unwrap_or(0));
    let called = next.and_then(|next| next.principal.clone());
    if let Some(next) = next {
        let level = clocks::required(next.service_level.as_ref().or(gate.service_level.as_ref()), &gate)?;
        let due = calendars::due(m.tx(), &tenant, level, timer.detected_at).await?;
        held.handoff.rung += 1;
        held.handoff.due_time = Some(stamp(due));
        held.handoff.responsible.clone_from(&called);
        clocks::schedule(m, "review", name, kinds::REVIEW, due).await?;
    }
    let rung = if next.is_some() { held.handoff.rung } else { 0 };
    breach(m, held, timer, pb::Breach { clock: REVIEW.into(), round, rung, called, ..Default::default() }).await
}

/// The triage was not held in time.
async fn triage_due(m: &mut Mutation, timer: &Timer, name: &str) -> Result<()> {
    let Some(mut held) = in_state(m, name, State::Escalated).await? else { return Ok(()) };
    let ladder = held.gate(m).await?.escalation_ladder;
    let called = ladder.last().and_then(|rung| rung.principal.clone());
    let rung = i32::try_from(ladder.len()).unwrap_or(0);
    held.handoff.responsible.clone_from(&called);
    breach(m, held, timer, pb::Breach { clock: TRIAGE.into(), round: 1, rung, called, ..Default::default() }).await
}

/// A review is about to be late.
async fn remind(m: &mut Mutation, name: &str) -> Result<()> {
    let Some(mut held) = in_state(m, name, State::InReview).await? else { return Ok(()) };
    held.handoff.remind_time = None;
    let details = ReviewReminded {
        responsible: held.handoff.responsible.as_ref().map(principal::words),
        claimed_by: held.handoff.claimed_by.clone(),
        due: held.handoff.due_time.as_ref().map(|due| time::of(due).to_string()),
        ..Default::default()
    };
    held.save(m, kinds::REMIND, "", details).await.map(drop)
}

/// The handoff was not finished in time.
async fn expire(m: &mut Mutation, name: &str) -> Result<()> {
    let Some(mut held) = Held::try_claim(m, name).await? else { return Ok(()) };
    let from = held.state();
    if machine::is_final(from) || from == State::Suspended {
        return Ok(());
    }
    held.go(Action::Expire)?;
    clocks::stop_all(m, &mut held, from).await?;
    signatures::void(&mut held.handoff, m.now(), "expired");
    "not finished in time".clone_into(&mut held.handoff.state_reason);
    held.save(m, kinds::EXPIRE, "EXPIRED", HandoffExpired::default()).await.map(drop)
}
