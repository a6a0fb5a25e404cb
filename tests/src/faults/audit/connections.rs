//! Connections that are lost under load: on PostgreSQL the server ends them; SQLite has none to lose, and the
//! nearest to it is another program that takes the write lock away again and again.

use super::{Ledger, Replicas, Writers, check};
use crate::support::eventually;
use remit_store::testing::{TestDb, ids};
use remit_store::{Db, Options, query};
use std::sync::Arc;
use std::time::Duration;
use tonic::Code;

const ROUNDS: usize = 25;

/// The audit database of a suite, as another program sees it.
pub async fn outside(url: &str) -> Db {
    let options = Options { schema: Some("audit".into()), migrate: false, max_connections: 1, ..Options::default() };
    Db::open(url, &remit_audit::SCHEMA, ids(), options).await.expect("the database opens")
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_by_postgres_again_and_again() {
    let Some(database) = TestDb::postgres().await.expect("the test server can be used") else {
        eprintln!("no PostgreSQL: not tested here");
        return;
    };
    let suite = Replicas::new(Some(database.url()), 2);
    let ledger = Arc::new(Ledger::default());
    let mut running = suite.start_all().await;
    let server = outside(database.url()).await;
    let writers = Writers::start(&suite, &ledger);
    let mut ended = 0i64;
    for round in 0..ROUNDS {
        // So each round shows that appends go on after the connections of the round before were lost.
        let goal = ledger.count() + round * 37 % 101 + 1;
        eventually("entries are acknowledged", || async { ledger.count() >= goal }).await;
        let row = query(
            "select count(pg_terminate_backend(pid)) as n from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()",
        )
        .fetch_one(&mut server.read().await.expect("the server can be asked"))
        .await
        .expect("connections can be ended");
        ended += row.get::<i64>("n").expect("a number");
    }
    let goal = ledger.count() + 1;
    eventually("entries are acknowledged again", || async { ledger.count() >= goal }).await;
    writers.stop().await;
    assert!(running.iter_mut().all(super::Process::is_running), "a replica ended");
    assert!(ended >= ROUNDS as i64, "only {ended} connections were ended");
    let refusals = ledger.refusals();
    assert!(!refusals.is_empty(), "no call noticed");
    for refusal in refusals {
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
        assert!(refusal.retry_after.is_some(), "no time to come back");
    }
    check(&suite, &ledger).await;
}

async fn size(db: &Db) -> i64 {
    let mut tx = db.read().await.expect("a reader");
    let row = query("select size from log_heads where tenant_id = 'acme'").fetch_one(&mut tx).await;
    row.and_then(|row| row.get("size")).expect("the log has a size")
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_waiting_by_another_program_on_sqlite() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let suite = Replicas::with(None, 1, Some(&dir.path().join("data")), "");
    let ledger = Arc::new(Ledger::default());
    let _running = suite.start_all().await;
    let other = outside(&format!("sqlite:{}", dir.path().join("data/audit.db").display())).await;
    let writers = Writers::start(&suite, &ledger);
    for round in 0..ROUNDS {
        let goal = ledger.count() + round * 37 % 101 + 1;
        eventually("entries are acknowledged", || async { ledger.count() >= goal }).await;
        let held = other.write().await.expect("the lock is free at some time");
        let before = size(&other).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(size(&other).await, before, "appended without the lock");
        held.rollback().await.expect("the lock is given back");
    }
    let goal = ledger.count() + 1;
    eventually("entries are acknowledged again", || async { ledger.count() >= goal }).await;
    writers.stop().await;
    assert_eq!(ledger.refusals(), [], "who waits for a lock is not refused");
    check(&suite, &ledger).await;
}
