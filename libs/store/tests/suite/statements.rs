//! Values, transactions, errors and bulk inserts.

use crate::{SCHEMA, count, tenant};
use futures::TryStreamExt as _;
use remit_core::{Kind, Result, Timestamp};
use remit_store::classify::{Broken, violation};
use remit_store::testing::each_engine;
use remit_store::{BulkInsert, Sql, Tx, query};

async fn insert(tx: &mut Tx, id: &str, word: Option<&str>, count: i64) -> Result<u64> {
    query("insert into things (tenant_id, thing_id, word, count) values ($1, $2, $3, $4)")
        .bind(&tenant())
        .bind(id)
        .bind(word)
        .bind(count)
        .execute(tx)
        .await
}

#[tokio::test]
async fn values_come_back_as_they_were_written() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let mut tx = db.write().await?;
        query("insert into things (tenant_id, thing_id, word, count, weight, body) values ($1, $2, $3, $4, $5, $6)")
            .bind(&tenant())
            .bind("ünïcødé ' \" ; -- \u{1F600}")
            .bind("w")
            .bind(i64::MAX)
            .bind(-0.1)
            .bind(vec![0u8, 255, 10])
            .execute(&mut tx)
            .await?;
        insert(&mut tx, "nulls", None, 0).await?;
        tx.commit().await?;
        let mut tx = db.read().await?;
        let rows = query("select * from things where tenant_id = $1 order by count desc")
            .bind(&tenant())
            .fetch_all(&mut tx)
            .await?;
        assert_eq!(rows[0].get::<String>("thing_id")?, "ünïcødé ' \" ; -- \u{1F600}");
        assert_eq!(rows[0].get::<i64>("count")?, i64::MAX);
        assert_eq!(rows[0].get::<Timestamp>("count")?, Timestamp(i64::MAX));
        assert_eq!(rows[0].get::<f64>("weight")?.to_bits(), (-0.1f64).to_bits());
        assert_eq!(rows[0].get::<Vec<u8>>("body")?, [0, 255, 10]);
        assert_eq!(rows[1].get::<Option<String>>("word")?, None);
        assert_eq!(rows[1].get::<Option<f64>>("weight")?, None);
        assert_eq!(rows[1].get::<Option<Vec<u8>>>("body")?, None);
        assert_eq!(rows[1].get::<String>("word").unwrap_err().kind(), Kind::Internal);
        assert_eq!(rows[1].get::<String>("nothing").unwrap_err().kind(), Kind::Internal);
        let row = query(
            "select 1 as one, coalesce(sum(weight), 0) as zero, count(*) > 0 as no from things where tenant_id = 'x'",
        )
        .fetch_one(&mut tx)
        .await?;
        assert_eq!((row.get::<i64>("one")?, row.get::<f64>("zero")?, row.get::<bool>("no")?), (1, 0.0, false));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_one_engine_cannot_store_is_refused_on_both() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let mut tx = db.write().await?;
        assert_eq!(insert(&mut tx, "a\0b", None, 0).await.unwrap_err().reason(), "TEXT_HAS_NUL");
        let nan = query("select cast($1 as double precision) as x").bind(f64::NAN).fetch_one(&mut tx).await;
        assert_eq!(nan.unwrap_err().reason(), "NOT_A_NUMBER");
        let bulk = BulkInsert::into("things")
            .text("tenant_id", ["acme".to_owned()])
            .text("thing_id", ["a\0".to_owned()])
            .bigint("count", [1]);
        assert_eq!(bulk.execute(&mut tx).await.unwrap_err().reason(), "TEXT_HAS_NUL");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let mut tx = db.write().await?;
        insert(&mut tx, "a", None, 0).await?;
        drop(tx);
        let mut tx = db.write().await?;
        insert(&mut tx, "b", None, 0).await?;
        tx.rollback().await?;
        assert_eq!(count(&db).await?, 0);
        let mut tx = db.write().await?;
        insert(&mut tx, "a", None, 0).await?;
        tx.commit().await?;
        assert_eq!(count(&db).await?, 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_snapshot_does_not_see_what_is_committed_after_it() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let mut snapshot = db.snapshot().await?;
        let count = |row: remit_store::Row| row.get::<i64>("n");
        let all = || query("select count(*) as n from things where tenant_id = $1").bind(&tenant());
        assert_eq!(count(all().fetch_one(&mut snapshot).await?)?, 0);
        let mut tx = db.write().await?;
        insert(&mut tx, "a", None, 0).await?;
        tx.commit().await?;
        assert_eq!(count(all().fetch_one(&mut snapshot).await?)?, 0);
        assert_eq!(count(all().fetch_one(&mut db.read().await?).await?)?, 1);
        assert!(insert(&mut snapshot, "b", None, 0).await.is_err(), "a snapshot must not write");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn broken_constraints_are_named() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let mut tx = db.write().await?;
        insert(&mut tx, "a", Some("same"), 0).await?;
        tx.commit().await?;
        let named = |error: &remit_core::Error| violation(error).map(|v| (v.broken, v.constraint.clone())).unwrap();
        let error = insert(&mut db.write().await?, "a", None, 0).await.unwrap_err();
        assert_eq!((error.kind(), error.reason()), (Kind::AlreadyExists, "ALREADY_EXISTS"));
        assert_eq!(named(&error), (Broken::Unique, "things_pk".to_owned()));
        let error = insert(&mut db.write().await?, "b", Some("same"), 0).await.unwrap_err();
        assert_eq!(named(&error), (Broken::Unique, "things_word".to_owned()));
        let error = insert(&mut db.write().await?, "b", None, -1).await.unwrap_err();
        assert_eq!(named(&error), (Broken::Check, "things_count".to_owned()));
        let error = query("insert into parts (tenant_id, part_id, thing_id) values ('acme', 'p', 'absent')")
            .execute(&mut db.write().await?)
            .await
            .unwrap_err();
        assert_eq!((error.kind(), error.reason()), (Kind::FailedPrecondition, "REFERENCE_MISSING"));
        assert_eq!(named(&error).0, Broken::ForeignKey);
        let error = query("select nonsense").fetch_one(&mut db.read().await?).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Internal);
        assert!(violation(&error).is_none());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_transaction_with_a_failed_statement_cannot_go_on() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let mut tx = db.write().await?;
        insert(&mut tx, "a", None, 0).await?;
        insert(&mut tx, "a", None, 0).await.unwrap_err();
        assert_eq!(insert(&mut tx, "b", None, 0).await.unwrap_err().kind(), Kind::Internal);
        assert_eq!(tx.commit().await.unwrap_err().kind(), Kind::Internal);
        assert_eq!(count(&db).await?, 0);
        let mut tx = db.write().await?;
        insert(&mut tx, "a", None, 0).await?;
        tx.commit().await?;
        let mut tx = db.read().await?;
        query("select nonsense from things where tenant_id = $1").bind(&tenant()).fetch_all(&mut tx).await.unwrap_err();
        query("select 1 as one").fetch_one(&mut tx).await.map(|_| ())
    })
    .await
}

#[tokio::test]
async fn keys_are_case_sensitive_and_ordered_bytewise() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let mut tx = db.write().await?;
        for id in ["b", "B", "a", "A", "_", "é", "Z", "z", "a-b", "ab", "10", "9"] {
            insert(&mut tx, id, None, 0).await?;
        }
        tx.commit().await?;
        let rows = query("select thing_id from things where tenant_id = $1 order by thing_id")
            .bind(&tenant())
            .fetch_all(&mut db.read().await?)
            .await?;
        let ids: Vec<String> = rows.iter().map(|row| row.get("thing_id")).collect::<Result<_>>()?;
        assert_eq!(ids, ["10", "9", "A", "B", "Z", "_", "a", "a-b", "ab", "b", "z", "é"]);
        let found = query("select thing_id from things where tenant_id = $1 and thing_id = $2")
            .bind(&tenant())
            .bind("É")
            .fetch_optional(&mut db.read().await?)
            .await?;
        assert!(found.is_none());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn bulk_inserts_insert_once() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let rows = |from: i64, to: i64| {
            BulkInsert::into("things")
                .text("tenant_id", (from..to).map(|_| "acme".to_owned()))
                .text("thing_id", (from..to).map(|n| n.to_string()))
                .text("word", (from..to).map(|n| (n % 2 == 0).then(|| format!("w{n}"))))
                .bigint("count", from..to)
                .double("weight", (from..to).map(|n| n as f64 / 2.0))
                .bytes("body", (from..to).map(|n| vec![n as u8]))
        };
        let mut tx = db.write().await?;
        assert_eq!(rows(0, 2_345).execute(&mut tx).await?, 2_345);
        assert_eq!(rows(2_000, 3_000).on_conflict_do_nothing().execute(&mut tx).await?, 655);
        let new = rows(2_990, 3_003).on_conflict_do_nothing().returning("thing_id", &mut tx).await?;
        let ids: Vec<String> = new.iter().map(|row| row.get("thing_id")).collect::<Result<_>>()?;
        assert_eq!(ids, ["3000", "3001", "3002"]);
        assert_eq!(rows(5, 5).execute(&mut tx).await?, 0);
        tx.commit().await?;
        let mut tx = db.read().await?;
        let mut sum = 0;
        let mut rows_seen =
            query("select count, word, weight, body from things where tenant_id = $1").bind(&tenant()).stream(&mut tx);
        while let Some(row) = rows_seen.try_next().await? {
            let n: i64 = row.get("count")?;
            assert_eq!(row.get::<Option<String>>("word")?, (n % 2 == 0).then(|| format!("w{n}")));
            assert_eq!(row.get::<Vec<u8>>("body")?, [n as u8]);
            assert_eq!(row.get::<f64>("weight")?, n as f64 / 2.0);
            sum += n;
        }
        drop(rows_seen);
        assert_eq!(sum, (0..3_003).sum::<i64>());
        let counted = |rows: &[(&str, i64)]| {
            BulkInsert::into("things")
                .text("tenant_id", rows.iter().map(|_| "acme".to_owned()))
                .text("thing_id", rows.iter().map(|(id, _)| (*id).to_owned()))
                .bigint("count", rows.iter().map(|(_, count)| *count))
                .on_conflict("(tenant_id, thing_id) do update set count = things.count + excluded.count")
        };
        let mut tx = db.write().await?;
        assert_eq!(counted(&[("x", 1), ("y", 2)]).execute(&mut tx).await?, 2);
        assert_eq!(counted(&[("y", 5), ("z", 3)]).execute(&mut tx).await?, 2);
        let row = query("select count from things where tenant_id = 'acme' and thing_id = 'y'").fetch_one(&mut tx);
        assert_eq!(row.await?.get::<i64>("count")?, 7);
        drop(tx);
        let uneven = BulkInsert::into("things").text("tenant_id", ["a".to_owned()]).bigint("count", [1, 2]);
        assert_eq!(uneven.execute(&mut db.write().await?).await.unwrap_err().kind(), Kind::Internal);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_that_depend_on_a_claim_are_inserted_by_whoever_has_it() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let mut tx = db.write().await?;
        insert(&mut tx, "head", None, 0).await?;
        tx.commit().await?;
        let rows = |writer: usize, from: i64| {
            let claim =
                Sql::new("update things set count = ").bind(from + 2).push(" where tenant_id = ").bind(&tenant());
            BulkInsert::into("things")
                .text("tenant_id", vec!["acme".to_owned(); 2])
                .text("thing_id", (from..from + 2).map(|n| format!("{n}")))
                .text("word", (0..2).map(|n| format!("w{writer}.{from}.{n}")))
                .bigint("count", [from, from + 1])
                .on_conflict_do_nothing()
                .claiming(claim.push(" and thing_id = 'head' and count = ").bind(from))
        };
        // All want the same place at the same time, and one has it.
        for from in (0..20).step_by(2) {
            let writers = (0..8).map(|writer| {
                let (db, rows) = (db.clone(), rows(writer, from));
                tokio::spawn(async move {
                    let mut tx = db.write().await?;
                    let inserted = rows.execute(&mut tx).await?;
                    tx.commit().await?;
                    Ok::<_, remit_core::Error>(inserted)
                })
            });
            let mut all = Vec::new();
            for writer in futures::future::join_all(writers).await {
                all.push(writer.expect("a writer panicked")?);
            }
            all.sort_unstable();
            assert_eq!(all, [0, 0, 0, 0, 0, 0, 0, 2]);
        }
        // One of two rows is there already: the count tells, and whoever wants both or none rolls back.
        let mut tx = db.write().await?;
        insert(&mut tx, "21", None, 0).await?;
        assert_eq!(rows(0, 20).execute(&mut tx).await?, 1);
        tx.rollback().await?;
        let row = query("select count(*) as n, max(count) as top from things where tenant_id = $1").bind(&tenant());
        let row = row.fetch_one(&mut db.read().await?).await?;
        assert_eq!((row.get::<i64>("n")?, row.get::<i64>("top")?), (21, 20));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn claiming_first_loses_no_update() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let mut tx = db.write().await?;
        insert(&mut tx, "n", None, 0).await?;
        tx.commit().await?;
        let writers = (0..16).map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    let mut tx = db.write().await?;
                    let n: i64 = query(
                        "update things set count = count + 1 where tenant_id = $1 and thing_id = 'n' returning count",
                    )
                    .bind(&tenant())
                    .fetch_one(&mut tx)
                    .await?
                    .get("count")?;
                    query("update things set weight = $2 where tenant_id = $1 and thing_id = 'n'")
                        .bind(&tenant())
                        .bind(n as f64)
                        .execute(&mut tx)
                        .await?;
                    tx.commit().await?;
                }
                Ok::<_, remit_core::Error>(())
            })
        });
        for writer in futures::future::join_all(writers).await {
            writer.expect("a writer panicked")?;
        }
        let row = query("select count, weight from things where tenant_id = $1 and thing_id = 'n'")
            .bind(&tenant())
            .fetch_one(&mut db.read().await?)
            .await?;
        assert_eq!((row.get::<i64>("count")?, row.get::<f64>("weight")?), (800, 800.0));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pool_that_is_used_up_says_so() -> Result<()> {
    each_engine(|database| async move {
        let options = remit_store::Options {
            max_connections: 1,
            // Opening has to come in time too.
            acquire_timeout: std::time::Duration::from_secs(1),
            ..Default::default()
        };
        let db = database.open_with(&SCHEMA, options).await?;
        let _held = db.write().await?;
        let error = db.write().await.unwrap_err();
        assert_eq!((error.kind(), error.reason()), (Kind::Unavailable, "DATABASE_BUSY"));
        assert!(error.retry_after().is_some());
        Ok(())
    })
    .await
}
