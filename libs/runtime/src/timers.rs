//! Fires the durable timers of one service as they become due.
//!
//! Any replica may fire a timer; the row that ends it makes sure that only one does. With the manual clock
//! the due time is compared with what that clock shows, and the worker looks often, because nothing but
//! the clock's own move announces that time has passed. Else it looks when the next timer is due, and now and then for what
//! another replica has scheduled and did not live to fire.

use remit_core::{Clock, Result, Tenant, Timestamp};
use remit_store::{Db, Signal, TimerHandler, timers};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The longest pause between two looks, in pauses of `timers.poll`.
const LONGEST: u32 = 8;

/// Fires until `shutdown`; `by_hand` says that the clock is moved by hand.
pub async fn run(
    db: Db,
    clock: Arc<dyn Clock>,
    by_hand: bool,
    handler: Arc<dyn TimerHandler>,
    config: crate::config::Timers,
    shutdown: CancellationToken,
) {
    let poll = config.poll.get();
    let mut signal = db.subscribe(Signal::Timers);
    let mut failures = Failures::default();
    while !shutdown.is_cancelled() {
        let next = match look(&db, clock.as_ref(), handler.as_ref(), &mut failures).await {
            Ok(looked) => looked.next,
            Err(error) => {
                tracing::warn!(
                    service = db.service(),
                    reason = error.reason(),
                    "due timers could not be read: {error}"
                );
                None
            }
        };
        let pause = if by_hand { poll } else { pause(next, clock.now(), poll) };
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = signal.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// How long to wait for the next timer.
fn pause(next: Option<Timestamp>, now: Timestamp, poll: Duration) -> Duration {
    let longest = poll.saturating_mul(LONGEST);
    next.map_or(longest, |due| due.since(now)).clamp(poll, longest)
}

/// Fires everything that is due now, for every tenant; returns how many timers fired.
///
/// # Errors
/// If tenants or timers cannot be read. A timer that fails is logged, stays due and is tried again.
pub async fn pass(db: &Db, clock: &dyn Clock, handler: &dyn TimerHandler) -> Result<u64> {
    Ok(look(db, clock, handler, &mut Failures::default()).await?.fired)
}

/// What one look did.
struct Looked {
    fired: u64,
    /// When the next timer is due that was not due yet.
    next: Option<Timestamp>,
}

/// How often each timer has failed in a row.
type Failures = HashMap<(Tenant, String), u64>;

async fn look(db: &Db, clock: &dyn Clock, handler: &dyn TimerHandler, failures: &mut Failures) -> Result<Looked> {
    let (mut fired, mut next) = (0, None);
    let mut failing = Failures::default();
    for (tenant, due_at) in timers::next(db, i64::MAX).await? {
        if due_at > clock.now() {
            next = Some(due_at);
            break;
        }
        let report = timers::fire_due(db, handler, &tenant, clock.now()).await?;
        fired += report.fired;
        crate::meters::fired(db.service(), report.fired);
        for (timer, error) in report.failed {
            let times = failures.get(&(tenant.clone(), timer.clone())).copied().unwrap_or(0) + 1;
            // It is tried again and again; the log need not say so each time.
            if times.is_power_of_two() {
                tracing::error!(
                    service = db.service(),
                    timer,
                    times,
                    reason = error.reason(),
                    "a timer failed and stays due: {error}"
                );
            }
            failing.insert((tenant.clone(), timer), times);
        }
    }
    // Behind one that fired another may follow soon, and one that failed is due still.
    if fired > 0 || !failing.is_empty() {
        next = Some(clock.now());
    }
    *failures = failing;
    Ok(Looked { fired, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_timer_is_waited_for_within_bounds() {
        let (now, poll) = (Timestamp(10_000_000), Duration::from_millis(250));
        let wait = |due: Option<i64>| pause(due.map(Timestamp), now, poll).as_millis();
        assert_eq!(wait(None), 2_000);
        assert_eq!(wait(Some(10_900_000)), 900);
        assert_eq!(wait(Some(10_000_001)), 250);
        assert_eq!(wait(Some(9_000_000)), 250, "what is overdue is looked at again soon");
        assert_eq!(wait(Some(i64::MAX)), 2_000);
    }
}
