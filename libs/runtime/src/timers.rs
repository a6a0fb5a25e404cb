//! Fires the durable timers of one service as they become due.
//!
//! Any replica may fire a timer; the row that ends it makes sure that only one does. With the manual clock
//! the due time is compared with what that clock shows, and the worker looks often, because nothing but
//! the clock's own move announces that time has passed.

use remit_core::{Clock, Result, Tenant};
use remit_store::{Db, Signal, TimerHandler, tenants, timers};
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Fires until `shutdown`.
pub async fn run(
    db: Db,
    clock: Arc<dyn Clock>,
    handler: Arc<dyn TimerHandler>,
    config: crate::config::Timers,
    shutdown: CancellationToken,
) {
    let mut signal = db.subscribe(Signal::Timers);
    let mut failures = Failures::default();
    while !shutdown.is_cancelled() {
        if let Err(error) = look(&db, clock.as_ref(), handler.as_ref(), &mut failures).await {
            tracing::warn!(service = db.service(), reason = error.reason(), "due timers could not be read: {error}");
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = signal.changed() => {}
            () = tokio::time::sleep(config.poll.get()) => {}
        }
    }
}

/// Fires everything that is due now, for every tenant; returns how many timers fired.
///
/// # Errors
/// If tenants or timers cannot be read. A timer that fails is logged, stays due and is tried again.
pub async fn pass(db: &Db, clock: &dyn Clock, handler: &dyn TimerHandler) -> Result<u64> {
    look(db, clock, handler, &mut Failures::default()).await
}

/// How often each timer has failed in a row.
type Failures = HashMap<(Tenant, String), u64>;

async fn look(db: &Db, clock: &dyn Clock, handler: &dyn TimerHandler, failures: &mut Failures) -> Result<u64> {
    let mut fired = 0;
    let mut failing = Failures::default();
    for tenant in tenants::refresh(db).await? {
        let report = timers::fire_due(db, handler, &tenant, clock.now()).await?;
        fired += report.fired;
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
    *failures = failing;
    Ok(fired)
}
