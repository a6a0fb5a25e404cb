//! What the audit log is told of checks: of permits samples, of denials all.
//!
//! A denial is what an auditor asks for, so each is an entry of its own. Who asks in a loop must not fill the log: beyond a
//! number an hour, of an outcome and of a tenant, denials are put together, and every five minutes each outcome that has such
//! becomes one entry with their number, the first and the last. What waits for that is in the row of its count, so that
//! entries, groups and what waits are together all denials at any time, whatever ends in between.

use super::{Counted, Counter};
use crate::store::checks::{self, CheckKey, Count, Group};
use futures::future::BoxFuture;
use remit_core::details::{Details as _, TaskChecked};
use remit_core::{Error, Outcome, Result, Timestamp};
use remit_store::{Mutation, Timer, TimerHandler, timers};
use std::collections::BTreeMap;

/// The kind of the timers that put denials together.
const KIND: &str = "scoring.denied_checks";
/// The action of checks.
const CHECK: &str = "scoring.tasks.check";
/// How often denials are put together, on the clock.
const PAUSE_US: i64 = 300_000_000;
/// How many groups one firing ends.
const MOST_GROUPS: i64 = 500;
/// How many times as many denials of all outcomes of a tenant have entries of their own as of one.
const OUTCOMES: i64 = 10;

/// Which checks become audit events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorded {
    /// Of permits, the first of an outcome in an hour and every so many.
    pub every: u32,
    /// Of denials of an outcome in an hour, so many one by one.
    pub whole: u32,
}

/// Checks of one outcome that are taken into the database together.
pub(super) struct Seen<'a> {
    last: &'a Counted,
    denied: Vec<&'a Counted>,
}

impl<'a> Seen<'a> {
    pub(super) fn new(last: &'a Counted) -> Self {
        Self { last, denied: Vec::new() }
    }

    pub(super) fn add(&mut self, last: &'a Counted, denied: &'a [Counted]) {
        if last.at >= self.last.at {
            self.last = last;
        }
        self.denied.extend(denied);
    }
}

impl Recorded {
    /// How many denials of one outcome are kept until they are in the database: those with entries of their own, and the
    /// first of the others.
    pub(super) fn most(self) -> usize {
        usize::try_from(self.whole).unwrap_or(usize::MAX).saturating_add(1)
    }

    /// Records what `counts` have become by adding `sums`.
    pub(super) async fn record(
        self,
        m: &mut Mutation,
        sums: &BTreeMap<CheckKey, Count>,
        counts: BTreeMap<CheckKey, Count>,
        mut seen: BTreeMap<&CheckKey, Seen<'_>>,
    ) -> Result<()> {
        let tenant = m.tenant().clone();
        let (mut denials, mut left) = (BTreeMap::new(), BTreeMap::<i64, i64>::new());
        for (key, mut count) in counts {
            let strange = || Error::internal("a count came back under another key");
            let new = sums.get(&key).ok_or_else(strange)?.checks;
            let seen = seen.remove(&key).ok_or_else(strange)?;
            if !key.denied {
                self.sample(m, count.checks - new, count.checks, seen.last);
                continue;
            }
            let left = match left.get_mut(&key.hour) {
                Some(left) => left,
                None => {
                    let all = OUTCOMES * i64::from(self.whole);
                    let free = all - checks::whole(m.tx(), &tenant, key.hour).await?;
                    left.entry(key.hour).or_insert(free)
                }
            };
            let whole = new.min(i64::from(self.whole) - count.whole).min(*left).max(0);
            *left -= whole;
            one_by_one(m, &mut count, new, whole, seen);
            denials.insert(key, count);
        }
        checks::note(m.tx(), &tenant, &denials).await?;
        if denials.values().any(|count| count.open.checks > 0) {
            let due = Timestamp((m.now().micros().div_euclid(PAUSE_US) + 1) * PAUSE_US);
            // Each time has a timer of its own: one that was moved on by what comes meanwhile might never fire.
            timers::schedule(m.tx(), &tenant, &format!("denied-checks-{}", due.micros()), KIND, due, b"").await?;
        }
        Ok(())
    }

    /// One event for the first check of an outcome in an hour and for each that makes a round number, however
    /// many were taken into the database at once.
    fn sample(self, m: &mut Mutation, before: i64, total: i64, last: &Counted) {
        let every = i64::from(self.every.max(1));
        let first = (before == 0).then_some(1);
        let round = (before.div_euclid(every) + 1..=total.div_euclid(every)).map(|n| n * every);
        for number in first.into_iter().chain(round.filter(|number| Some(*number) != first)) {
            one(m, last, number, every);
        }
    }
}

/// Records the first `whole` of `new` denials, and puts the others to those that wait.
fn one_by_one(m: &mut Mutation, count: &mut Count, new: i64, whole: i64, mut seen: Seen<'_>) {
    seen.denied.sort_by_key(|counted| counted.at);
    let first = count.checks - new + 1;
    let taken = usize::try_from(whole).unwrap_or(0);
    for (number, counted) in (first..).zip(seen.denied.iter().take(taken)) {
        one(m, counted, number, 1);
    }
    count.whole += whole;
    let next = seen.denied.get(taken).map_or(seen.last.at, |counted| counted.at);
    count.open.join(Group { checks: new - whole, first: next.micros(), last: seen.last.at.micros() });
}

fn one(m: &mut Mutation, counted: &Counted, number: i64, every: i64) {
    m.record(&counted.key.task, |event| {
        event.actor = counted.actor.clone();
        event.occurred_at = counted.at;
        event.trace_id.clone_from(&counted.trace_id);
        event.outcome = if counted.key.denied { Outcome::Denied } else { Outcome::Success };
        event.reason = counted.key.reason.to_string();
        event.policy_version.clone_from(&counted.policy);
        event.model_version.clone_from(&counted.key.model_version);
        event.details = TaskChecked {
            decision: counted.decision.clone(),
            run_id: counted.run_id.clone(),
            checks_this_hour: number,
            recorded_every: every,
            ..Default::default()
        }
        .json();
    });
}

impl TimerHandler for Counter {
    fn fire<'a>(&'a self, m: &'a mut Mutation, timer: &'a Timer) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if timer.kind != KIND {
                return Err(Error::internal(format!("no handler for timers of kind {}", timer.kind)));
            }
            let tenant = m.tenant().clone();
            let open = checks::open(m.tx(), &tenant, MOST_GROUPS).await?;
            if i64::try_from(open.len()) == Ok(MOST_GROUPS) {
                let (id, now) = (format!("{}+", timer.id), m.now());
                timers::schedule(m.tx(), &tenant, &id, KIND, now, b"").await?;
            }
            for (key, count) in open {
                // Where more came since, whoever brought it has set the next timer.
                if checks::close(m.tx(), &tenant, &key, &count).await? {
                    together(m, &key, &count);
                }
            }
            Ok(())
        })
    }
}

/// Records denials of one outcome that were put together.
fn together(m: &mut Mutation, key: &CheckKey, count: &Count) {
    let Group { checks, first, last } = count.open;
    let mut event = m.event(CHECK, &key.task);
    event.occurred_at = Timestamp(last);
    event.outcome = Outcome::Denied;
    event.reason = key.reason.to_string();
    event.model_version.clone_from(&key.model_version);
    event.details = TaskChecked {
        checks_this_hour: count.checks,
        recorded_every: 1,
        group: checks,
        first_time: Timestamp(first).to_string(),
        last_time: Timestamp(last).to_string(),
        ..TaskChecked::read(&event.details).unwrap_or_default()
    }
    .json();
    m.record_event(event);
}
