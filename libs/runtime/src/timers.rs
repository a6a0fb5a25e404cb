//! Fires the durable timers of one service as they become due.
//!
//! Any replica may fire a timer; the row that ends it makes sure that only one does. With the manual clock
//! the due time is compared with what that clock shows, and the worker looks often, because nothing but
//! the clock's own move announces that time has passed.

use remit_core::{Clock, Result};
use remit_store::{Db, Signal, TimerHandler, tenants, timers};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The longest wait between two looks at the due timers.
const POLL: Duration = Duration::from_millis(200);

/// Fires until `shutdown`.
pub async fn run(db: Db, clock: Arc<dyn Clock>, handler: Arc<dyn TimerHandler>, shutdown: CancellationToken) {
    let mut signal = db.subscribe(Signal::Timers);
    while !shutdown.is_cancelled() {
        if let Err(error) = pass(&db, clock.as_ref(), handler.as_ref()).await {
            tracing::warn!(service = db.service(), reason = error.reason(), "due timers could not be read: {error}");
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = signal.changed() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Fires everything that is due now, for every tenant; returns how many timers fired.
///
/// # Errors
/// If tenants or timers cannot be read. A timer that fails is logged, stays due and is tried again.
pub async fn pass(db: &Db, clock: &dyn Clock, handler: &dyn TimerHandler) -> Result<u64> {
    let mut fired = 0;
    for tenant in tenants::refresh(db).await? {
        let report = timers::fire_due(db, handler, &tenant, clock.now()).await?;
        fired += report.fired;
        for (timer, error) in report.failed {
            tracing::error!(
                service = db.service(),
                timer,
                reason = error.reason(),
                "a timer failed and stays due: {error}"
            );
        }
    }
    Ok(fired)
}
