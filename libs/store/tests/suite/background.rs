//! Timers and leases.

use crate::{SCHEMA, tenant};
use futures::future::BoxFuture;
use remit_core::{Error, Result, Timestamp};
use remit_store::testing::each_engine;
use remit_store::{Mutation, Timer, TimerHandler, lease, outbox, query, timers};
use std::time::Duration;

/// Counts each firing in the database, and fails for timers of the kind `broken`.
struct Count;

impl TimerHandler for Count {
    fn fire<'a>(&'a self, mutation: &'a mut Mutation, timer: &'a Timer) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let event = mutation.event(&timer.kind, &timer.id);
            mutation.record_event(event);
            query(
                "insert into things (tenant_id, thing_id, count) values ($1, $2, 1)
                 on conflict (tenant_id, thing_id) do update set count = things.count + 1",
            )
            .bind(&tenant())
            .bind(&timer.id)
            .execute(mutation.tx())
            .await?;
            if timer.kind == "broken" { Err(Error::internal("as intended")) } else { Ok(()) }
        })
    }
}

async fn schedule(db: &remit_store::Db, id: &str, kind: &str, due_at: i64) -> Result<()> {
    let mut tx = db.write().await?;
    timers::schedule(&mut tx, &tenant(), id, kind, Timestamp(due_at), b"payload").await?;
    tx.commit().await
}

#[tokio::test]
async fn timers_fire_when_due_and_say_when_that_was() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        assert_eq!(timers::next_due(&mut db.read().await?, &tenant()).await?, None);
        schedule(&db, "late", "sla", 300).await?;
        schedule(&db, "early", "sla", 100).await?;
        schedule(&db, "moved", "sla", 100).await?;
        schedule(&db, "moved", "sla", 900).await?;
        schedule(&db, "cancelled", "sla", 100).await?;
        let mut tx = db.write().await?;
        assert!(timers::cancel(&mut tx, &tenant(), "cancelled").await?);
        assert!(!timers::cancel(&mut tx, &tenant(), "cancelled").await?);
        tx.commit().await?;
        assert_eq!(timers::next_due(&mut db.read().await?, &tenant()).await?, Some(Timestamp(100)));
        assert_eq!(timers::fire_due(&db, &Count, &tenant(), Timestamp(99)).await?.fired, 0);
        assert_eq!(timers::fire_due(&db, &Count, &tenant(), Timestamp(500)).await?.fired, 2);
        assert_eq!(timers::fire_due(&db, &Count, &tenant(), Timestamp(500)).await?.fired, 0);
        let events = outbox::read_batch(&mut db.read().await?, &tenant(), 10).await?;
        let order: Vec<_> = events.iter().map(|p| p.event.resource.as_str()).collect();
        assert_eq!(order, ["early", "late"]);
        assert_eq!(events[0].event.details["due_time"], Timestamp(100).to_string());
        assert_eq!(events[0].event.details["detect_time"], Timestamp(500).to_string());
        assert_eq!(timers::next_due(&mut db.read().await?, &tenant()).await?, Some(Timestamp(900)));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_timer_that_fails_stays_due_and_holds_up_no_other() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        schedule(&db, "a", "broken", 100).await?;
        schedule(&db, "b", "sla", 101).await?;
        let report = timers::fire_due(&db, &Count, &tenant(), Timestamp(200)).await?;
        assert_eq!((report.fired, report.failed.len(), report.failed[0].0.as_str()), (1, 1, "a"));
        let done = query("select thing_id from things where tenant_id = $1")
            .bind(&tenant())
            .fetch_all(&mut db.read().await?)
            .await?;
        assert_eq!(done.len(), 1, "what the failed timer did is undone");
        assert_eq!(timers::next_due(&mut db.read().await?, &tenant()).await?, Some(Timestamp(100)));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_fire_each_timer_once() -> Result<()> {
    each_engine(|database| async move {
        let replicas = [database.open(&SCHEMA).await?, database.open(&SCHEMA).await?];
        for n in 0..150 {
            schedule(&replicas[0], &format!("t{n}"), "sla", n).await?;
        }
        let passes = replicas
            .clone()
            .map(|db| tokio::spawn(async move { timers::fire_due(&db, &Count, &tenant(), Timestamp(1_000)).await }));
        let mut fired = 0;
        for pass in passes {
            let report = pass.await.expect("a claimer panicked")?;
            assert!(report.failed.is_empty(), "{:?}", report.failed);
            fired += report.fired;
        }
        assert_eq!(fired, 150);
        let row =
            query("select count(*) as rows, cast(sum(count) as bigint) as firings from things where tenant_id = $1")
                .bind(&tenant())
                .fetch_one(&mut replicas[0].read().await?)
                .await?;
        assert_eq!((row.get::<i64>("rows")?, row.get::<i64>("firings")?), (150, 150));
        assert_eq!(outbox::depth(&mut replicas[1].read().await?, &tenant()).await?.events, 150);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_lease_has_one_holder_until_it_runs_out() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let take = |holder: &'static str, now: i64| {
            let db = db.clone();
            async move {
                let mut tx = db.write().await?;
                let ttl = Duration::from_micros(100);
                let taken = lease::acquire(&mut tx, &tenant(), outbox::LEASE, holder, Timestamp(now), ttl).await?;
                tx.commit().await.map(|()| taken)
            }
        };
        assert!(take("a", 0).await?);
        assert!(!take("b", 50).await?);
        assert!(take("a", 50).await?, "its holder renews it");
        assert!(!take("b", 149).await?);
        assert!(take("b", 151).await?, "it ran out");
        assert!(!take("a", 160).await?);
        let mut tx = db.write().await?;
        lease::release(&mut tx, &tenant(), outbox::LEASE, "a").await?;
        lease::release(&mut tx, &tenant(), outbox::LEASE, "b").await?;
        tx.commit().await?;
        assert!(take("a", 161).await?);
        Ok(())
    })
    .await
}
