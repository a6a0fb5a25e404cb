//! Opening, migrating and locking.

use crate::SCHEMA;
use remit_core::{Kind, Result};
use remit_store::testing::{TestDb, check_migrations, each_engine, ids};
use remit_store::{DataDir, Db, Engine, Migration, Options, Schema, query};
use std::process::Command;

const FIRST: Migration =
    Migration::new(1, "init", "create table a (tenant_id $KEY not null, constraint a_pk primary key (tenant_id))");
const SECOND: Migration = Migration::new(2, "more", "alter table a add column note text");
const OLD: Schema = Schema { service: "suite", migrations: &[FIRST] };
const NEW: Schema = Schema { service: "suite", migrations: &[FIRST, SECOND] };

#[tokio::test]
async fn the_rules_of_migrations_hold() -> Result<()> {
    check_migrations(&SCHEMA).await?;
    const BROKEN: Schema = Schema {
        service: "suite",
        migrations: &[Migration::new(
            1,
            "init",
            "create table a (tenant_id $KEY not null, b $KEY not null, c real, constraint a_pk primary key (b));
             create index a_c on a (c);",
        )],
    };
    let error = check_migrations(&BROKEN).await.unwrap_err();
    assert!(error.message().contains("a: index") && error.message().contains("a_c"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_database_is_brought_up_to_date_once() -> Result<()> {
    each_engine(|database| async move {
        database.open(&OLD).await?;
        let db = database.open(&NEW).await?;
        database.open(&NEW).await?;
        query("select note from a").fetch_all(&mut db.read().await?).await?;
        let refuse = Options { migrate: false, ..Default::default() };
        database.open_with(&NEW, refuse.clone()).await.map(|_| ())
    })
    .await
}

#[tokio::test]
async fn a_database_of_another_version_is_refused_with_both_versions() -> Result<()> {
    each_engine(|database| async move {
        let refuse = Options { migrate: false, ..Default::default() };
        let empty = database.open_with(&OLD, refuse.clone()).await.unwrap_err();
        assert_eq!((empty.kind(), empty.reason()), (Kind::FailedPrecondition, "SCHEMA_OUTDATED"));
        database.open(&OLD).await?;
        let outdated = database.open_with(&NEW, refuse).await.unwrap_err();
        assert_eq!(outdated.reason(), "SCHEMA_OUTDATED");
        assert!(outdated.message().contains("version 1") && outdated.message().contains("needs 2"), "{outdated}");
        database.open(&NEW).await?;
        let newer = database.open(&OLD).await.unwrap_err();
        assert_eq!((newer.kind(), newer.reason()), (Kind::FailedPrecondition, "SCHEMA_NEWER"));
        assert!(newer.message().contains("version 2") && newer.message().contains("version 1"), "{newer}");
        const ALTERED: Schema = Schema {
            service: "suite",
            migrations: &[FIRST, Migration::new(2, "more", "alter table a add column other text")],
        };
        assert_eq!(database.open(&ALTERED).await.unwrap_err().reason(), "SCHEMA_CHANGED");
        const OTHER: Schema = Schema { service: "other", migrations: &[FIRST] };
        let foreign = database.open(&OTHER).await.unwrap_err();
        assert_eq!((foreign.kind(), foreign.reason()), (Kind::FailedPrecondition, "SCHEMA_FOREIGN"));
        assert!(foreign.message().contains("those of suite"), "{foreign}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing() -> Result<()> {
    each_engine(|database| async move {
        const BROKEN: Schema = Schema {
            service: "suite",
            migrations: &[FIRST, Migration::new(2, "broken", "create table b (id text); select nonsense")],
        };
        assert!(database.open(&BROKEN).await.unwrap_err().message().contains("migration 2 (broken)"));
        let db = database.open(&NEW).await?;
        assert!(query("select * from b").fetch_all(&mut db.read().await?).await.is_err());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_that_start_together_migrate_once() -> Result<()> {
    each_engine(|database| async move {
        let starts = (0..6).map(|_| {
            let database = database.clone();
            tokio::spawn(async move { database.open(&NEW).await })
        });
        for start in futures::future::join_all(starts).await {
            start.expect("a replica panicked")?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn services_share_a_server_by_schema() -> Result<()> {
    let Some(database) = TestDb::postgres().await? else { return Ok(()) };
    let open = |schema: &str| {
        let transaction_pooler = remit_store::testing::transaction_pooler();
        let options = Options { schema: Some(schema.to_owned()), transaction_pooler, ..Default::default() };
        Db::open(database.url(), &SCHEMA, ids(), options)
    };
    let (one, two) = (open("one").await?, open("two").await?);
    let mut tx = one.write().await?;
    query("insert into things (tenant_id, thing_id, count) values ('acme', 'a', 1)").execute(&mut tx).await?;
    tx.commit().await?;
    let count = "select count(*) as n from things where tenant_id = 'acme'";
    assert_eq!(query(count).fetch_one(&mut one.read().await?).await?.get::<i64>("n")?, 1);
    assert_eq!(query(count).fetch_one(&mut two.read().await?).await?.get::<i64>("n")?, 0);
    for wrong in ["", "One", "a b", "a;drop", "1a"] {
        let options = Options { schema: Some(wrong.to_owned()), ..Default::default() };
        let error = Db::open(database.url(), &SCHEMA, ids(), options).await.unwrap_err();
        assert_eq!(error.reason(), "DATABASE_SCHEMA_INVALID", "{wrong}");
    }
    Ok(())
}

#[tokio::test]
async fn a_pooler_of_transactions_is_refused_unless_it_is_named() -> Result<()> {
    let Some(database) = TestDb::postgres().await? else { return Ok(()) };
    // One that is not there may be named; `make drills ARGS=pgbouncer` puts a real one between.
    let named = Options { schema: Some("one".to_owned()), transaction_pooler: true, ..Default::default() };
    Db::open(database.url(), &SCHEMA, ids(), named.clone()).await?.close().await;
    let opened = Db::open(database.url(), &SCHEMA, ids(), Options { transaction_pooler: false, ..named }).await;
    match (remit_store::testing::transaction_pooler(), opened) {
        (false, opened) => opened?.close().await,
        (true, opened) => {
            let error = opened.unwrap_err();
            assert_eq!((error.kind(), error.reason()), (Kind::FailedPrecondition, "DATABASE_POOLED"), "{error}");
            assert!(error.message().contains("database.transaction_pooler = true"), "{error}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn behind_a_pooler_a_connection_keeps_nothing() -> Result<()> {
    let Some(database) = TestDb::postgres().await? else { return Ok(()) };
    let options = Options { schema: Some("one".to_owned()), max_connections: 1, ..Default::default() };
    let pooled = Options { transaction_pooler: true, ..options.clone() };
    let kept = async |db: &Db, thing: &str| {
        let mut tx = db.write().await?;
        query("insert into things (tenant_id, thing_id, count) values ('acme', $1, 1)")
            .bind(thing)
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        query("select count(*) as n from things where tenant_id = $1")
            .bind("acme")
            .fetch_one(&mut db.snapshot().await?)
            .await?;
        let mut tx = db.read().await?;
        let here = query("select current_schema()::text as here").fetch_one(&mut tx).await?.get::<String>("here")?;
        assert_eq!(here, "one");
        let prepared = "select count(*) as n from pg_prepared_statements where name <> ''";
        query(prepared).fetch_one(&mut tx).await?.get::<i64>("n")
    };
    let db = Db::open(database.url(), &SCHEMA, ids(), pooled).await?;
    assert_eq!(kept(&db, "a").await?, 0, "what is prepared is gone with the connection");
    db.close().await;
    if remit_store::testing::transaction_pooler() {
        return Ok(());
    }
    let db = Db::open(database.url(), &SCHEMA, ids(), options).await?;
    assert!(kept(&db, "b").await? > 0, "what is seen of statements that are kept");
    db.close().await;
    Ok(())
}

#[tokio::test]
async fn a_url_that_cannot_be_opened_is_explained_without_its_password() -> Result<()> {
    let open = |url: &'static str| {
        let options = Options { acquire_timeout: std::time::Duration::from_millis(500), ..Default::default() };
        async move { Db::open(url, &SCHEMA, ids(), options).await.unwrap_err() }
    };
    for wrong in ["", "mysql://x", "sqlite:", "sqlite::memory:", "postgres://u:hunter2@host:notaport/db"] {
        let error = open(wrong).await;
        assert_eq!((error.kind(), error.reason()), (Kind::InvalidArgument, "DATABASE_URL_INVALID"), "{wrong}");
        assert!(!error.message().contains("hunter2"));
    }
    let error = open("postgres://u:hunter2@127.0.0.1:1/db").await;
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(error.message().contains("127.0.0.1:1") && !error.message().contains("hunter2"), "{error}");
    let error = open("sqlite:/nonexistent/directory/x.db").await;
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(error.message().contains("/nonexistent/directory/x.db"), "{error}");
    Ok(())
}

#[tokio::test]
async fn an_open_database_answers_and_says_how_busy_it_is() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        db.ping().await?;
        assert_eq!((db.service(), db.pool_stats().max), ("suite", 16));
        if db.engine() == Engine::Sqlite {
            for (pragma, expected) in [
                ("select journal_mode as v from pragma_journal_mode", "wal"),
                ("select cast(synchronous as text) as v from pragma_synchronous", "2"),
                ("select cast(foreign_keys as text) as v from pragma_foreign_keys", "1"),
                ("select cast(secure_delete as text) as v from pragma_secure_delete", "1"),
            ] {
                let row = query(pragma).fetch_one(&mut db.write().await?).await?;
                assert_eq!(row.get::<String>("v")?, expected, "{pragma}");
            }
        }
        db.close().await;
        assert_eq!(db.ping().await.unwrap_err().kind(), Kind::Unavailable);
        Ok(())
    })
    .await
}

/// Started by the test below as a process of its own: tries to open the directory that it is given.
#[test]
fn the_second_process() {
    let Ok(path) = std::env::var("REMIT_STORE_SECOND_PROCESS") else { return };
    let error = DataDir::open(path).expect_err("the directory is in use");
    println!("REFUSED {} {error}", error.reason());
}

#[test]
fn a_second_process_on_a_data_directory_is_refused() -> Result<()> {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("data");
    let first = DataDir::open(&path)?;
    assert!(first.url("audit").starts_with("sqlite:") && first.url("audit").ends_with("data/audit.db"));
    let second = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "opening::the_second_process", "--nocapture"])
        .env("REMIT_STORE_SECOND_PROCESS", &path)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&second.stdout).into_owned();
    assert!(output.contains("REFUSED DATA_DIR_IN_USE"), "{output}");
    assert!(output.contains(&format!("process {}", std::process::id())), "{output}");
    assert!(output.contains(&path.display().to_string()), "{output}");
    drop(first);
    DataDir::open(&path).map(|_| ())
}

#[test]
fn a_data_directory_that_cannot_be_made_is_explained() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = DataDir::open(file.path().join("data")).unwrap_err();
    assert_eq!((error.kind(), error.reason()), (Kind::Unavailable, "DATA_DIR_FAILED"));
}
