//! Full disks, lost connections, killed processes.

use crate::{SCHEMA, answer, call, put, replay, tenant};
use remit_core::{Kind, Result};
use remit_store::testing::{TestDb, each_engine, ids};
use remit_store::{Db, Engine, Mutation, Options, outbox, query};
use std::future::poll_fn;
use std::io::{BufRead as _, BufReader};
use std::pin::pin;
use std::process::{Command, Stdio};
use std::task::Poll;

#[tokio::test]
async fn a_full_disk_is_unavailable_and_nothing_is_half_written() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        if db.engine() == Engine::Postgres {
            // The server's own code for a full disk; filling one would need a disk to spare.
            let full = "do $$ begin raise exception 'could not extend file' using errcode = '53100'; end $$";
            let error = query(full).execute(&mut db.write().await?).await.unwrap_err();
            assert_eq!((error.kind(), error.reason()), (Kind::Unavailable, "STORAGE_FULL"));
            return Ok(());
        }
        query("pragma max_page_count = 60").fetch_all(&mut db.write().await?).await?;
        let fill = async |m: &mut Mutation| {
            for n in 0..200 {
                query("insert into things (tenant_id, thing_id, count, body) values ($1, $2, 0, $3)")
                    .bind(&tenant())
                    .bind(format!("t{n}"))
                    .bind(vec![7u8; 4_000])
                    .execute(m.tx())
                    .await?;
            }
            Ok(())
        };
        let error = db.mutate(&call("r1", 1), fill).await.unwrap_err();
        assert_eq!((error.kind(), error.reason()), (Kind::Unavailable, "STORAGE_FULL"));
        assert!(error.retry_after().is_some());
        let count = "select count(*) as n from things where tenant_id = 'acme'";
        assert_eq!(query(count).fetch_one(&mut db.read().await?).await?.get::<i64>("n")?, 0);
        query("pragma max_page_count = 1000000").fetch_all(&mut db.write().await?).await?;
        answer(&db, &call("r1", 1), b"").await.map(|_| ())
    })
    .await
}

#[tokio::test]
async fn a_lost_connection_is_unavailable_once_and_then_replaced() -> Result<()> {
    let Some(database) = TestDb::postgres().await? else { return Ok(()) };
    let db = database.open_with(&SCHEMA, Options { max_connections: 1, ..Default::default() }).await?;
    let lost = async |m: &mut Mutation| {
        let kill = query("select pg_terminate_backend(pg_backend_pid())");
        let error = kill.fetch_one(m.tx()).await.expect_err("killed");
        assert_eq!((error.kind(), error.reason()), (Kind::Unavailable, "DATABASE_UNAVAILABLE"));
        // As work would that overlooks the failure.
        Ok(vec![1])
    };
    assert!(db.mutate::<Vec<u8>>(&call("r1", 1), lost).await.is_err());
    assert_eq!(answer(&db, &call("r1", 1), &[2]).await?, [2]);
    assert_eq!(replay(&db, &call("r1", 1)).await?, [2]);
    Ok(())
}

#[tokio::test]
async fn a_row_that_stays_locked_is_a_conflict() -> Result<()> {
    let Some(database) = TestDb::postgres().await? else { return Ok(()) };
    let db = database.open(&SCHEMA).await?;
    let mut tx = db.write().await?;
    query("insert into things (tenant_id, thing_id, count) values ('acme', 'a', 0)").execute(&mut tx).await?;
    tx.commit().await?;
    let lock = "update things set count = count + 1 where tenant_id = 'acme' and thing_id = 'a'";
    let mut first = db.write().await?;
    query(lock).execute(&mut first).await?;
    let mut second = db.write().await?;
    query("set local lock_timeout = '20ms'").execute(&mut second).await?;
    let error = query(lock).execute(&mut second).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (Kind::Conflict, "WRITE_CONFLICT"));
    Ok(())
}

/// Drops `work` when it is to be polled for more than `times` times; whether it came to its end.
async fn cancelled_after(times: usize, work: impl Future<Output = Result<()>>) -> Result<bool> {
    let (mut work, mut left) = (pin!(work), times);
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(Ok(false));
        }
        left -= 1;
        work.as_mut().poll(context).map_ok(|()| true)
    })
    .await
}

#[tokio::test]
async fn a_call_that_is_cancelled_at_any_await_leaves_a_clean_connection() -> Result<()> {
    each_engine(|database| async move {
        // One connection: whoever comes next has the one that the cancelled call had.
        let db = database.open_with(&SCHEMA, Options { max_connections: 1, ..Default::default() }).await?;
        let other = database.open(&SCHEMA).await?;
        let add = async |id: String| {
            let mut tx = db.write().await?;
            query("insert into things (tenant_id, thing_id, count) values ('acme', $1, 0)")
                .bind(id)
                .execute(&mut tx)
                .await?;
            tx.commit().await
        };
        let look = async |mut tx: remit_store::Tx| {
            query("select count(*) as n from things").fetch_one(&mut tx).await?.get::<i64>("n")?;
            tx.commit().await
        };
        let mut tx = other.write().await?;
        query("insert into things (tenant_id, thing_id, count) values ('acme', 'seen', 0)").execute(&mut tx).await?;
        tx.commit().await?;
        // What the next ones find: nobody's transaction, and what is committed.
        let next_ones = async |n: i64| {
            let own = "select current_setting('transaction_isolation') as level";
            if db.engine() == Engine::Postgres {
                let level: String = query(own).fetch_one(&mut db.read().await?).await?.get("level")?;
                assert_eq!(level, "read committed", "a transaction was left open");
            }
            let mut tx = other.write().await?;
            query("update things set count = $1 where tenant_id = 'acme' and thing_id = 'seen'")
                .bind(n)
                .execute(&mut tx)
                .await?;
            tx.commit().await?;
            let seen = "select count as n from things where tenant_id = 'acme' and thing_id = 'seen'";
            let seen: i64 = query(seen).fetch_one(&mut db.read().await?).await?.get("n")?;
            assert_eq!(seen, n, "a reader saw the past");
            add(format!("whole-{n}")).await
        };
        let mut ended = false;
        for times in 0..200_u8 {
            let (most, n) = (usize::from(times), i64::from(times) * 3);
            ended = cancelled_after(most, add(format!("cancelled-{times}"))).await?;
            next_ones(n).await?;
            ended &= cancelled_after(most, async { look(db.snapshot().await?).await }).await?;
            next_ones(n + 1).await?;
            ended &= cancelled_after(most, async { look(db.read().await?).await }).await?;
            next_ones(n + 2).await?;
            if ended {
                break;
            }
        }
        assert!(ended, "never polled to the end");
        Ok(())
    })
    .await
}

/// Started by the test below as a process of its own: commits mutations and says so until it is killed.
#[test]
fn the_process_that_is_killed() {
    let Ok(url) = std::env::var("REMIT_STORE_KILLED_PROCESS") else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let db = Db::open(&url, &SCHEMA, ids(), Options::default()).await.unwrap();
        let writers = (0..4).map(|writer| {
            let db = db.clone();
            tokio::spawn(async move {
                for n in 0.. {
                    let id = format!("{writer}-{n}");
                    let work = async |m: &mut Mutation| {
                        put(m, &id).await?;
                        m.record(&format!("things/{id}"), |_| {});
                        Ok(id.clone().into_bytes())
                    };
                    db.mutate(&call(&id, 1), work).await.unwrap();
                    println!("ACK {id}");
                }
            })
        });
        futures::future::join_all(writers).await;
    });
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_and_nothing_is_half_done() -> Result<()> {
    each_engine(|database| async move {
        drop(database.open(&SCHEMA).await?);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "faults::the_process_that_is_killed", "--nocapture"])
            .env("REMIT_STORE_KILLED_PROCESS", database.url())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = Vec::new();
        let mut listen = |until: usize| {
            for line in lines.by_ref() {
                // The test harness writes its own text before the first.
                let line = line.unwrap();
                acknowledged.extend(line.split_once("ACK ").map(|(_, id)| id.to_owned()));
                if acknowledged.len() >= until {
                    break;
                }
            }
        };
        listen(60);
        child.kill().unwrap();
        child.wait().unwrap();
        listen(usize::MAX);
        assert!(acknowledged.len() >= 60, "{} acknowledged", acknowledged.len());

        let db = database.open(&SCHEMA).await?;
        for id in &acknowledged {
            assert_eq!(replay(&db, &call(id, 1)).await?, id.as_bytes());
        }
        let mut tx = db.snapshot().await?;
        let things = query("select count(*) as n from things where tenant_id = $1").bind(&tenant());
        let things: i64 = things.fetch_one(&mut tx).await?.get("n")?;
        let requests = query("select count(*) as n from remit_requests where tenant_id = $1 and response is not null");
        let requests: i64 = requests.bind(&tenant()).fetch_one(&mut tx).await?.get("n")?;
        let events = outbox::read_batch(&mut tx, &tenant(), i64::MAX).await?;
        assert_eq!((things, requests), (events.len() as i64, things));
        assert!(events.iter().zip(1..).all(|(pending, seq)| pending.seq == seq), "a gap in the outbox");
        assert_eq!(outbox::depth(&mut tx, &tenant()).await?.events, things);
        Ok(())
    })
    .await
}
