//! Forgetting events after a time that the organisation sets: what they add up to stays.
//!
//! What is computed from events themselves keeps them: a DISTINCT KPI, and the spans of experiments, whose frozen result is
//! read from them. Nothing before the border changes any more: events and corrections of then are refused, so that an event
//! which is gone is counted once however often it is sent.

use super::experiments::{measured_span, measures};
use super::settings;
use crate::calendar::Span;
use crate::store::events;
use crate::store::experiments::Experiments;
use crate::store::kpis::Kpis;
use crate::store::settings::Settings;
use remit_api::kpi::v1::{Experiment, Kind, Kpi, OrganizationSettings};
use remit_api::wire::time::{self, stamp};
use remit_core::details::{Details as _, EventsPruned};
use remit_core::{Actor, ActorKind, Error, Result, Tenant, Timestamp};
use remit_store::{Mutation, Records as _, Tx, timers};
use std::time::Duration;

/// The timer of the next step.
pub(super) const TIMER: &str = "kpi.events.prune";
/// The shortest time for which events may be kept: a year and its late events can always be looked into.
pub(crate) const LEAST_DAYS: i32 = 400;
/// The most events that one step deletes, all in one transaction.
const MOST: u64 = 5_000;
/// How long after the last step the next round begins.
const ROUND: Duration = Duration::from_secs(86_400);
/// How long after a step that did not get through.
const SOON: Duration = Duration::from_secs(1);
/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// Checks for how long events are to be kept.
///
/// # Errors
/// `InvalidArgument` (`RETENTION_TOO_SHORT`).
pub(super) fn check(days: i32) -> Result<()> {
    if days == 0 || days >= LEAST_DAYS {
        return Ok(());
    }
    let why = format!("must be at least {LEAST_DAYS} days, or 0 to keep events for ever");
    Err(Error::invalid("RETENTION_TOO_SHORT", "organization_settings.event_retention_days", why))
}

/// Refuses to let a program say for how long events are kept: what is deleted does not come back.
///
/// # Errors
/// `PermissionDenied` (`RETENTION_NEEDS_A_PERSON`).
pub(super) fn check_person(actor: &Actor) -> Result<()> {
    if actor.kind == ActorKind::Human {
        return Ok(());
    }
    let message = "let a person say for how long events are kept: what is deleted does not come back";
    Err(Error::denied("RETENTION_NEEDS_A_PERSON", message))
}

/// Has the next step done after `wait`, from the KPI `next` on.
///
/// # Errors
/// As the database says.
pub(super) async fn schedule(m: &mut Mutation, wait: Duration, next: &str) -> Result<()> {
    let (tenant, due) = (m.tenant().clone(), m.now().plus(wait));
    timers::schedule(m.tx(), &tenant, TIMER, TIMER, due, next.as_bytes()).await
}

/// The border before which events are gone or go.
pub(crate) fn border(settings: &OrganizationSettings) -> i64 {
    settings.events_from_time.as_ref().map_or(i64::MIN, |at| time::of(at).0)
}

/// Moves the border to where it belongs at `now`, at most once a day, and says whether it moved. It never goes back.
pub(super) fn advance(settings: &mut OrganizationSettings, now: Timestamp) -> bool {
    let wanted = now.0.saturating_sub(i64::from(settings.event_retention_days) * DAY);
    let wanted = wanted - wanted.rem_euclid(DAY);
    let moves = settings.event_retention_days > 0 && border(settings) < wanted;
    if moves {
        settings.events_from_time = Some(stamp(Timestamp(wanted)));
    }
    moves
}

/// The border of a claimed KPI: no event of it is deleted beyond that until its claim ends.
///
/// # Errors
/// As the database says.
pub(crate) async fn kept_from(tx: &mut Tx, tenant: &Tenant) -> Result<i64> {
    Ok(Settings::find(tx, tenant, settings::NAME).await?.as_ref().map_or(i64::MIN, border))
}

/// Whether an event of this time may be beyond the border at all, so that it has to be looked up.
pub(crate) fn may_be_gone(occurred_at: i64, now: i64) -> bool {
    // A day more, since clocks of processes differ.
    occurred_at < now.saturating_sub(i64::from(LEAST_DAYS - 1) * DAY)
}

/// Deletes as many events as one step may.
///
/// # Errors
/// As the database says.
pub(super) async fn fire(m: &mut Mutation, payload: &[u8]) -> Result<()> {
    let tenant = m.tenant().clone();
    let mut settings = Settings::claim(m, settings::NAME).await?;
    if settings.event_retention_days == 0 {
        return Ok(());
    }
    if advance(&mut settings, m.now()) {
        Settings::save(m, &mut settings).await?;
    }
    let before = border(&settings);
    let experiments = Experiments::all(m.tx(), &tenant, &[]).await?;
    let first = String::from_utf8_lossy(payload).into_owned();
    let mut left = MOST;
    for kpi in Kpis::all(m.tx(), &tenant, &[]).await?.into_iter().filter(|kpi| kpi.name >= first) {
        left -= forget(m, &kpi, &gaps(before, held(&experiments, &kpi.name)?), left).await?;
        if left == 0 {
            return schedule(m, SOON, &kpi.name).await;
        }
    }
    schedule(m, ROUND, "").await
}

/// Deletes events of a KPI in these spans, at most `most`, and returns how many.
async fn forget(m: &mut Mutation, kpi: &Kpi, spans: &[Span], most: u64) -> Result<u64> {
    if kpi.kind() == Kind::Distinct {
        return Ok(0);
    }
    let tenant = m.tenant().clone();
    // As a batch does: none is in the middle of adding up what goes.
    let kpi = Kpis::claim(m, &kpi.name).await?;
    let mut gone = 0;
    for span in spans {
        gone += events::delete(m.tx(), &tenant, remit_core::name::last(&kpi.name), *span, most - gone).await?;
    }
    if gone > 0 {
        let before = spans.last().map_or(0, |span| span.end);
        let mut event = m.event(TIMER, &kpi.name);
        event.details = EventsPruned {
            deleted: gone,
            before: Timestamp(before).to_string(),
            ..EventsPruned::read(&event.details).unwrap_or_default()
        }
        .json();
        m.record_event(event);
    }
    Ok(gone)
}

/// The spans of a KPI that experiments are read from.
fn held(experiments: &[Experiment], kpi: &str) -> Result<Vec<Span>> {
    let of_kpi = experiments.iter().filter(|experiment| measures(experiment, kpi));
    of_kpi.filter(|experiment| experiment.cancel_reason.is_empty()).map(measured_span).collect()
}

/// What lies before `before` and in none of these spans.
fn gaps(before: i64, mut held: Vec<Span>) -> Vec<Span> {
    held.sort_by_key(|span| span.start);
    let mut gaps = Vec::new();
    let mut from = i64::MIN;
    for span in held.into_iter().chain([Span { start: before, end: before }]) {
        let to = span.start.min(before);
        if from < to {
            gaps.push(Span { start: from, end: to });
        }
        from = from.max(span.end);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_experiment_is_read_from_stays() {
        let span = |start, end| Span { start, end };
        let first = i64::MIN;
        assert_eq!(gaps(100, vec![]), [span(first, 100)]);
        assert_eq!(
            gaps(100, vec![span(50, 60), span(10, 20), span(15, 30)]),
            [span(first, 10), span(30, 50), span(60, 100)]
        );
        assert_eq!(gaps(100, vec![span(90, 120)]), [span(first, 90)]);
        assert_eq!(gaps(100, vec![span(10, 150), span(20, 30)]), [span(first, 10)]);
        assert_eq!(gaps(100, vec![span(100, 150), span(200, 300)]), [span(first, 100)]);
    }

    #[test]
    fn a_year_is_always_kept() {
        assert!(check(0).is_ok() && check(LEAST_DAYS).is_ok());
        assert!(check(LEAST_DAYS - 1).is_err() && check(1).is_err());
        let now = 1_000 * DAY;
        assert!(!may_be_gone(now - 399 * DAY, now) && may_be_gone(now - 399 * DAY - 1, now));
    }
}
