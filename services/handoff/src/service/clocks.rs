//! Deadlines: started and stopped with the state, and acted upon when they run out. No timer ever
//! approves anything; it calls the next person (U7, U8).

use super::record::Record;
use super::{Service, calendars, routing};
use crate::convert::{stamp, unstamp};
use crate::machine::{self, Action};
use crate::principal;
use crate::store::{self, decisions::ClockRow};
use futures::future::BoxFuture;
use prost::Message as _;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::HandoffState as State;
use remit_core::{Error, Result, Timestamp};
use remit_store::{Mutation, Timer, TimerHandler, timers};
use serde_json::json;

const REVIEW: &str = "handoff.reviews.breach";
const REMIND: &str = "handoff.reviews.remind";
const TRIAGE: &str = "handoff.triages.breach";
const EXPIRE: &str = "handoff.handoffs.expire";
/// The kind of the timer of one batch of assigned leads.
pub(super) const ACCEPT: &str = "handoff.routings.breach";
/// The kind of the timer that issues a briefing.
pub(super) const BRIEFING: &str = "handoff.briefings.issue";
/// The kind of the timer that takes an old notification out of the queue.
pub(super) const NOTICE: &str = "handoff.notifications.expire";

/// Offers the variants for review and starts the clock, anew with every iteration (A9).
pub(super) async fn start_review(mutation: &mut Mutation, record: &mut Record) -> Result<()> {
    let (tenant, now) = (mutation.tenant().clone(), mutation.now());
    let level = required(record.gate.service_level.clone(), &record.gate)?;
    let due = calendars::due(mutation.tx(), &tenant, &level, now).await?;
    let handoff = &mut record.handoff;
    handoff.review_round += 1;
    handoff.rung = 0;
    handoff.claimed_by.clear();
    handoff.responsible.clone_from(&record.gate.owner);
    handoff.offered_at = Some(stamp(now));
    handoff.due_time = Some(stamp(due));
    let round = handoff.review_round.into();
    let clock = ClockRow {
        resource: &record.handoff.name,
        clock: "review",
        round,
        gate_id: &record.gate_id,
        start_time: now,
        due_time: due,
    };
    store::decisions::start_clock(mutation.tx(), &tenant, clock).await?;
    let payload = record.id.as_bytes();
    timers::schedule(mutation.tx(), &tenant, &format!("review/{}", record.id), REVIEW, due, payload).await?;
    if let Some(remind) = &record.gate.remind_after {
        let at = calendars::due(mutation.tx(), &tenant, remind, now).await?;
        if at < due {
            timers::schedule(mutation.tx(), &tenant, &format!("remind/{}", record.id), REMIND, at, payload).await?;
        }
    }
    Ok(())
}

/// Stops the review's clock: with a decision, or because nobody waits any more.
pub(super) async fn stop_review(mutation: &mut Mutation, record: &mut Record, decided: bool) -> Result<()> {
    let (tenant, now) = (mutation.tenant().clone(), mutation.now());
    let key = (record.handoff.name.as_str(), "review", i64::from(record.handoff.review_round));
    store::decisions::stop_clock(mutation.tx(), &tenant, key, now, decided).await?;
    timers::cancel(mutation.tx(), &tenant, &format!("review/{}", record.id)).await?;
    timers::cancel(mutation.tx(), &tenant, &format!("remind/{}", record.id)).await?;
    let handoff = &mut record.handoff;
    handoff.claimed_by.clear();
    handoff.offered_at = None;
    handoff.due_time = None;
    handoff.responsible = None;
    Ok(())
}

/// Starts, or after a suspension restarts, the clock of the triage.
pub(super) async fn start_triage(mutation: &mut Mutation, record: &mut Record) -> Result<()> {
    let (tenant, now) = (mutation.tenant().clone(), mutation.now());
    let level = required(record.rules()?.triage, &record.gate)?;
    let due = calendars::due(mutation.tx(), &tenant, &level, now).await?;
    record.handoff.due_time = Some(stamp(due));
    record.handoff.responsible.clone_from(&record.gate.owner);
    if let Some(triage) = &mut record.handoff.triage {
        triage.due_time = Some(stamp(due));
    }
    let clock = ClockRow {
        resource: &record.handoff.name,
        clock: "triage",
        round: 1,
        gate_id: &record.gate_id,
        start_time: now,
        due_time: due,
    };
    store::decisions::start_clock(mutation.tx(), &tenant, clock).await?;
    let id = format!("triage/{}", record.id);
    timers::schedule(mutation.tx(), &tenant, &id, TRIAGE, due, record.id.as_bytes()).await
}

/// Stops the clock of the triage.
pub(super) async fn stop_triage(mutation: &mut Mutation, record: &mut Record, decided: bool) -> Result<()> {
    let (tenant, now) = (mutation.tenant().clone(), mutation.now());
    let key = (record.handoff.name.as_str(), "triage", 1);
    store::decisions::stop_clock(mutation.tx(), &tenant, key, now, decided).await?;
    timers::cancel(mutation.tx(), &tenant, &format!("triage/{}", record.id)).await?;
    record.handoff.due_time = None;
    Ok(())
}

/// Starts the clock of the whole handoff, if the gate has one.
pub(super) async fn start_expiry(
    mutation: &mut Mutation,
    gate: &pb::GateVersion,
    id: &str,
) -> Result<Option<Timestamp>> {
    let (tenant, now) = (mutation.tenant().clone(), mutation.now());
    let Some(level) = &gate.expire_after else { return Ok(None) };
    let due = calendars::due(mutation.tx(), &tenant, level, now).await?;
    timers::schedule(mutation.tx(), &tenant, &format!("expire/{id}"), EXPIRE, due, id.as_bytes()).await?;
    Ok(Some(due))
}

/// Stops every clock of a handoff that is leaving `from` for a state without any.
pub(super) async fn stop_all(mutation: &mut Mutation, record: &mut Record, from: State) -> Result<()> {
    match from {
        State::InReview => stop_review(mutation, record, false).await?,
        State::Escalated => stop_triage(mutation, record, false).await?,
        _ => {}
    }
    let tenant = mutation.tenant().clone();
    timers::cancel(mutation.tx(), &tenant, &format!("expire/{}", record.id)).await?;
    record.handoff.expire_time = None;
    Ok(())
}

fn required(level: Option<pb::ServiceLevel>, gate: &pb::GateVersion) -> Result<pb::ServiceLevel> {
    level.ok_or_else(|| Error::internal(format!("{} is active without a service level", gate.name)))
}

/// Acts when a deadline runs out.
pub struct Timers(pub Service);

impl TimerHandler for Timers {
    fn fire<'a>(&'a self, mutation: &'a mut Mutation, timer: &'a Timer) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let payload = String::from_utf8_lossy(&timer.payload).into_owned();
            match timer.kind.as_str() {
                REVIEW => review_due(mutation, timer, &payload).await,
                REMIND => remind(mutation, &payload).await,
                TRIAGE => triage_due(mutation, timer, &payload).await,
                EXPIRE => expire(mutation, &payload).await,
                ACCEPT => routing::accept_due(mutation, timer, &payload).await,
                BRIEFING => self.0.issue_briefing(mutation, &payload).await,
                NOTICE => super::work::remove(mutation, pb::WorkKind::SdrNotification, &payload).await,
                kind => Err(Error::internal(format!("no handler for timers of kind {kind}"))),
            }
        })
    }
}

/// A review was not decided in time: record it and call the next rung of the ladder (A10).
async fn review_due(mutation: &mut Mutation, timer: &Timer, id: &str) -> Result<()> {
    let Some(mut record) = Record::lock_id(mutation, id).await? else { return Ok(()) };
    if record.state() != State::InReview {
        return Ok(());
    }
    let (tenant, round) = (mutation.tenant().clone(), record.handoff.review_round);
    let rung = usize::try_from(record.handoff.rung).unwrap_or(0);
    let next = record.gate.escalation_ladder.get(rung).cloned();
    let called = next.as_ref().and_then(|next| next.principal.clone());
    if let Some(next) = &next {
        let level = next.service_level.clone().or_else(|| record.gate.service_level.clone());
        let due = calendars::due(mutation.tx(), &tenant, &required(level, &record.gate)?, timer.detected_at).await?;
        record.handoff.rung += 1;
        record.handoff.responsible.clone_from(&called);
        timers::schedule(mutation.tx(), &tenant, &format!("review/{id}"), REVIEW, due, id.as_bytes()).await?;
    }
    let breach = pb::Breach {
        clock: "review".into(),
        round,
        due_time: Some(stamp(timer.due_at)),
        detect_time: Some(stamp(timer.detected_at)),
        rung: if next.is_some() { record.handoff.rung } else { 0 },
        called: called.clone(),
    };
    let key = (record.handoff.name.as_str(), "review", i64::from(round));
    let encoded = called.clone().unwrap_or_default().encode_to_vec();
    store::decisions::breach_clock(mutation.tx(), &tenant, key, timer.detected_at, breach.rung.into(), encoded).await?;
    record.handoff.breaches.push(breach);
    let called = called.as_ref().map(principal::words);
    let details = json!({"clock": "review", "round": round, "rung": record.handoff.rung, "called": called});
    record.save(mutation, REVIEW, "SLA_BREACHED", details).await.map(drop)
}

/// The triage was not held in time.
async fn triage_due(mutation: &mut Mutation, timer: &Timer, id: &str) -> Result<()> {
    let Some(mut record) = Record::lock_id(mutation, id).await? else { return Ok(()) };
    if record.state() != State::Escalated {
        return Ok(());
    }
    let tenant = mutation.tenant().clone();
    let called = record.gate.escalation_ladder.last().and_then(|rung| rung.principal.clone());
    let rung = i32::try_from(record.gate.escalation_ladder.len()).unwrap_or(0);
    let key = (record.handoff.name.as_str(), "triage", 1);
    let encoded = called.clone().unwrap_or_default().encode_to_vec();
    store::decisions::breach_clock(mutation.tx(), &tenant, key, timer.detected_at, rung.into(), encoded).await?;
    record.handoff.breaches.push(pb::Breach {
        clock: "triage".into(),
        round: 1,
        due_time: Some(stamp(timer.due_at)),
        detect_time: Some(stamp(timer.detected_at)),
        rung,
        called: called.clone(),
    });
    record.handoff.responsible = called;
    record.save(mutation, TRIAGE, "SLA_BREACHED", json!({"clock": "triage", "rung": rung})).await.map(drop)
}

/// A review is about to be late.
async fn remind(mutation: &mut Mutation, id: &str) -> Result<()> {
    let Some(record) = Record::lock_id(mutation, id).await? else { return Ok(()) };
    if record.state() != State::InReview {
        return Ok(());
    }
    let responsible = record.handoff.responsible.as_ref().map(principal::words);
    let due = record.handoff.due_time.as_ref().map(|due| unstamp(due).to_string());
    let details = json!({"responsible": responsible, "claimed_by": record.handoff.claimed_by, "due": due});
    record.save(mutation, REMIND, "", details).await.map(drop)
}

/// The handoff was not finished in time.
async fn expire(mutation: &mut Mutation, id: &str) -> Result<()> {
    let Some(mut record) = Record::lock_id(mutation, id).await? else { return Ok(()) };
    let from = record.state();
    if machine::is_final(from) || from == State::Suspended {
        return Ok(());
    }
    record.go(Action::Expire)?;
    stop_all(mutation, &mut record, from).await?;
    let now = mutation.now();
    super::record::void_signature(&mut record.handoff, now, "expired");
    "not finished in time".clone_into(&mut record.handoff.state_reason);
    record.save(mutation, EXPIRE, "EXPIRED", json!({})).await.map(drop)
}
