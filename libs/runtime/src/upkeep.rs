//! Forgets, once an hour, what a service's database has kept long enough.

use remit_core::Clock;
use remit_store::{Db, maintenance};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The pause between two passes.
const EVERY: Duration = Duration::from_secs(3_600);

/// Works until `shutdown`.
pub async fn run(db: Db, clock: Arc<dyn Clock>, keep_answers: Duration, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        match maintenance::pass(&db, clock.now(), keep_answers).await {
            Ok(forgotten) if forgotten == maintenance::Forgotten::default() => {}
            Ok(forgotten) => tracing::info!(
                service = db.service(),
                answers = forgotten.answers,
                deletions = forgotten.deletions,
                "old records were removed"
            ),
            Err(error) => {
                tracing::warn!(
                    service = db.service(),
                    reason = error.reason(),
                    "old records could not be removed: {error}"
                );
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
