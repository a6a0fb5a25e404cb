//! `kill -9` at any point of the write path.
//!
//! `REMIT_KILLS=200` sets the number of kills; the default keeps the suite quick.

use super::{Ledger, Replicas, Writers, check};
use crate::support::eventually;
use remit_store::testing::TestDb;
use std::sync::Arc;

fn kills() -> usize {
    std::env::var("REMIT_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

async fn survive(database: Option<&str>, replicas: usize) {
    let suite = Replicas::new(database, replicas);
    let ledger = Arc::new(Ledger::default());
    let mut running = suite.start_all().await;
    for round in 0..kills() {
        let writers = Writers::start(&suite, &ledger);
        // Killed after a number of acknowledgements that differs each time, so anywhere in the write path.
        let goal = ledger.count() + round * 37 % 101 + 1;
        eventually("entries are acknowledged", || async { ledger.count() >= goal }).await;
        let victim = round % replicas;
        running[victim].kill();
        running[victim] = suite.start(victim);
        suite.ready(victim, &mut running[victim]).await;
        writers.stop().await;
    }
    check(&suite, &ledger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_on_sqlite() {
    survive(None, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_on_postgres_with_two_replicas() {
    match TestDb::postgres().await.expect("the test server can be used") {
        Some(database) => survive(Some(database.url()), 2).await,
        None => eprintln!("no PostgreSQL: not tested here"),
    }
}
