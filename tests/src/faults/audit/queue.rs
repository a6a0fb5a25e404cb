//! A log that cannot keep up: callers are told to come back, and nothing is dropped.

use super::{Ledger, Refusal, Replicas, check, connections::outside};
use crate::support::eventually;
use futures::future::join_all;
use remit_core::Timestamp;
use remit_store::query;
use remit_store::testing::TestDb;
use std::sync::Arc;
use tonic::Code;

/// Events of one call, and calls: together more than may wait.
const BATCH: usize = 100;
const CALLS: usize = 40;

async fn overload(database: Option<&str>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // The least that can be configured: one batch of the greatest size.
    let suite = Replicas::with(database, 1, Some(&dir.path().join("data")), "[audit]\nmax_queued_events = 1000\n");
    let _running = suite.start_all().await;
    let ledger = Arc::new(Ledger::default());
    assert!(ledger.append(suite.client(0, &suite.bearer)).await, "{:?}", ledger.refusals());

    // While another holds the head row, a step is under way that cannot end.
    let file = format!("sqlite:{}", dir.path().join("data/audit.db").display());
    let other = outside(database.unwrap_or(&file)).await;
    let mut held = other.write().await.expect("a transaction");
    query("update log_heads set update_time = $1 where tenant_id = 'acme'")
        .bind(Timestamp(0))
        .execute(&mut held)
        .await
        .expect("the head can be held");
    let calls: Vec<_> = (0..CALLS)
        .map(|call| {
            let (ledger, client) = (ledger.clone(), suite.client(0, &suite.bearer));
            let ids = (0..BATCH).map(|n| format!("b{call}-{n}")).collect();
            tokio::spawn(async move { ledger.send(client, ids).await })
        })
        .collect();
    // One step of 1,000 events is under way and 1,000 wait; what comes after that is refused.
    let least = CALLS - 2 * (1_000 / BATCH);
    eventually("calls are refused", || async { ledger.refusals().len() >= least }).await;
    held.rollback().await.expect("the head is given back");
    let answered = join_all(calls).await.into_iter().filter(|call| *call.as_ref().expect("no call panics")).count();
    let refused = ledger.refusals();
    assert_eq!(answered + refused.len(), CALLS, "a call has neither answer nor refusal");
    for Refusal { code, reason, retry_after } in refused {
        assert_eq!((code, reason.as_str()), (Code::ResourceExhausted, "AUDIT_QUEUE_FULL"));
        assert!(retry_after.is_some_and(|wait| !wait.is_zero()), "no time to come back");
    }
    // Sends again what was refused.
    check(&suite, &ledger).await;
    let acknowledged = ledger.acknowledged.lock().expect("no writer panicked");
    assert_eq!(acknowledged.keys().filter(|id| id.starts_with('b')).count(), CALLS * BATCH);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_callers_on_sqlite() {
    overload(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_callers_on_postgres() {
    match TestDb::postgres().await.expect("the test server can be used") {
        Some(database) => overload(Some(database.url())).await,
        None => eprintln!("no PostgreSQL: not tested here"),
    }
}
