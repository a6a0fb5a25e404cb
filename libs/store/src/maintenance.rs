//! Forgetting what has served its purpose: answers under old request ids, and marks of old deletions.

use crate::db::Db;
use crate::{feed, purge_requests, query, tenants};
use remit_core::{Result, Tenant, Timestamp};
use std::time::Duration;

/// How many rows one transaction deletes, so that no writer waits long.
const CHUNK: i64 = 1_000;

/// How many revisions of a feed a watcher may fall behind, at least, before it has to start again.
pub const KEPT_REVISIONS: i64 = 100_000;

/// What one pass forgot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Answers under request ids.
    pub answers: u64,
    /// Marks of deletions in feeds.
    pub deletions: u64,
}

/// Forgets, for every tenant, the answers older than `keep_answers` at `now` and the deletions more than
/// [`KEPT_REVISIONS`] behind. Repeating it, also from several replicas at once, is harmless.
///
/// # Errors
/// As [`crate::classify`] says; what was forgotten until then stays forgotten.
pub async fn pass(db: &Db, now: Timestamp, keep_answers: Duration) -> Result<Forgotten> {
    let before = now.minus(keep_answers);
    let mut forgotten = Forgotten::default();
    for tenant in tenants::refresh(db).await? {
        forgotten.answers += forget_answers(db, &tenant, before).await?;
        forgotten.deletions += forget_deletions(db, &tenant, KEPT_REVISIONS).await?;
    }
    Ok(forgotten)
}

async fn forget_answers(db: &Db, tenant: &Tenant, before: Timestamp) -> Result<u64> {
    let mut forgotten = 0;
    loop {
        let mut tx = db.write().await?;
        let gone = purge_requests(&mut tx, tenant, before, CHUNK).await?;
        tx.commit().await?;
        forgotten += gone;
        if gone < CHUNK.unsigned_abs() {
            return Ok(forgotten);
        }
    }
}

async fn forget_deletions(db: &Db, tenant: &Tenant, keep: i64) -> Result<u64> {
    // Twice the bound, so that a feed is swept once in a while and not at every pass.
    let feeds = query("select feed, revision from remit_feed_heads where tenant_id = $1 and revision - floor > $2")
        .bind(tenant)
        .bind(keep.saturating_mul(2))
        .fetch_all(&mut db.read().await?)
        .await?;
    let mut forgotten = 0;
    for row in feeds {
        let (feed, revision): (String, i64) = (row.get("feed")?, row.get("revision")?);
        let mut tx = db.write().await?;
        forgotten += feed::purge_deletions(&mut tx, tenant, &feed, revision - keep).await?;
        tx.commit().await?;
    }
    Ok(forgotten)
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use super::*;
    use crate::testing::each_engine;
    use crate::{Call, Options, Schema};
    use remit_core::ManualClock;
    use std::sync::Arc;

    const SCHEMA: Schema = Schema { service: "suite", migrations: &[] };

    async fn touch(db: &Db, tenant: &str, request: i64) -> Result<()> {
        let call = Call { request_id: request.to_string(), ..db.own_call(&Tenant::new(tenant)?, "suite.things.touch") };
        let body = (request % 2 == 0).then(Vec::new);
        db.mutate(&call, async |m| m.change("things", &request.to_string(), body).await).await
    }

    #[tokio::test]
    async fn the_old_is_forgotten_and_the_new_is_kept() -> Result<()> {
        each_engine(|database| async move {
            let clock = Arc::new(ManualClock::new(Timestamp(0)));
            let db = database.open_with(&SCHEMA, Options { clock: clock.clone(), ..Default::default() }).await?;
            for n in 0..10 {
                clock.advance_to(Timestamp(n));
                touch(&db, "acme", n).await?;
                touch(&db, "globex", n).await?;
            }
            let keep = Duration::from_micros(6);
            assert_eq!(pass(&db, Timestamp(10), keep).await?, Forgotten { answers: 8, deletions: 0 });
            assert_eq!(pass(&db, Timestamp(10), keep).await?, Forgotten::default());
            let acme = Tenant::new("acme")?;
            assert_eq!(forget_deletions(&db, &acme, 6).await?, 0, "not twice the bound behind yet");
            assert_eq!(forget_deletions(&db, &acme, 4).await?, 3);
            let mut tx = db.read().await?;
            assert!(feed::read_since(&mut tx, &acme, "things", 5, 100).await.is_err());
            assert_eq!(feed::read_since(&mut tx, &acme, "things", 6, 100).await?.len(), 4);
            assert_eq!(feed::read_since(&mut tx, &Tenant::new("globex")?, "things", 0, 100).await?.len(), 10);
            Ok(())
        })
        .await
    }
}
