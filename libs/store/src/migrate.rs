//! Brings a database's tables up to what this program expects.
//!
//! All missing migrations of a database are applied in one transaction, so that a crash leaves the
//! old state or the new one. Replicas that start together wait for each other: on SQLite at the one
//! writer, on PostgreSQL at a lock on the table of applied migrations.

use crate::db::Db;
use crate::query;
use crate::shared::Engine;
use crate::tx::Tx;
use remit_core::{Clock as _, Error, Result, SystemClock, digest};
use std::borrow::Cow;

/// The tables of one service.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// The service, such as `registry`.
    pub service: &'static str,
    /// Its migrations in ascending order of version.
    pub migrations: &'static [Migration],
}

/// One step. Once released, its text never changes.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Ascending from 1.
    pub version: i64,
    /// What it does, such as `init`.
    pub name: &'static str,
    /// Portable SQL for both engines, in which `$KEY` stands for text compared bytewise, `$BYTES` for a byte string,
    /// and `$WITHIN_KEY` after a table says that its rows are stored in its primary key, where the engine can.
    pub sql: &'static str,
    /// What to run instead on PostgreSQL, only where the engines must differ.
    pub sql_postgres: Option<&'static str>,
}

impl Migration {
    /// A migration whose text serves both engines.
    pub const fn new(version: i64, name: &'static str, sql: &'static str) -> Self {
        Self { version, name, sql, sql_postgres: None }
    }

    /// The text for `engine`, with the tokens replaced.
    pub(crate) fn text(&self, engine: Engine) -> String {
        match engine {
            Engine::Sqlite => {
                self.sql.replace("$KEY", "text").replace("$BYTES", "blob").replace("$WITHIN_KEY", "without rowid")
            }
            Engine::Postgres => {
                let sql = self.sql_postgres.unwrap_or(self.sql).replace("$KEY", "text collate \"C\"");
                sql.replace("$BYTES", "bytea").replace("$WITHIN_KEY", "")
            }
        }
    }

    /// The digest by which a changed text is noticed: over the text as written.
    fn checksum(&self, engine: Engine) -> String {
        let written = match (engine, self.sql_postgres) {
            (Engine::Postgres, Some(sql)) => Cow::Borrowed(sql),
            _ => Cow::Borrowed(self.sql),
        };
        digest::sha256(written.as_bytes())
    }
}

/// The tables that every service's database has beside its own.
pub(crate) const OWN: Schema =
    Schema { service: "store", migrations: &[Migration::new(1, "init", include_str!("../migrations/0001_init.sql"))] };

pub(crate) async fn run(db: &Db, schema: &Schema) -> Result<()> {
    if db.shared.options.migrate {
        prepare(db).await?;
    } else if !prepared(db).await? {
        return Err(outdated(schema.service, 0, latest(schema)));
    }
    let mut tx = if db.shared.options.migrate { db.write().await? } else { db.read().await? };
    if db.shared.options.migrate && db.engine() == Engine::Postgres {
        query("lock table remit_migrations in exclusive mode").execute(&mut tx).await?;
    }
    refuse_foreign(&mut tx, schema).await?;
    for schema in [&OWN, schema] {
        apply(db, &mut tx, schema).await?;
    }
    tx.commit().await
}

/// Whatever stands between the program and its database (a pooler that drops the schema, a URL of another service), two
/// services never share tables.
async fn refuse_foreign(tx: &mut Tx, schema: &Schema) -> Result<()> {
    let sql = "select component from remit_migrations where component not in ($1, $2) order by component limit 1";
    let Some(other) = query(sql).bind(OWN.service).bind(schema.service).fetch_optional(tx).await? else {
        return Ok(());
    };
    let other: String = other.get("component")?;
    Err(Error::precondition(
        "SCHEMA_FOREIGN",
        format!(
            "the tables found are those of {other}, and this is {}: give each service a database of its own \
             (database.urls), or a pooler that keeps the search path of a connection",
            schema.service
        ),
    ))
}

fn latest(schema: &Schema) -> i64 {
    schema.migrations.last().map_or(0, |migration| migration.version)
}

fn outdated(service: &str, found: i64, wanted: i64) -> Error {
    // A role that may not see a schema finds nothing in it.
    let unseen =
        if found == 0 { "; if they were run, this role has no grant on the schema and its tables" } else { "" };
    let text = format!("the tables of {service} are at version {found} and this program needs {wanted}");
    Error::precondition("SCHEMA_OUTDATED", format!("{text}: run its migrations first{unseen}"))
}

/// Creates the schema and the table of applied migrations. Two replicas may both find them missing:
/// PostgreSQL then refuses the slower one, whose second look succeeds.
async fn prepare(db: &Db) -> Result<()> {
    let mut tries = 0;
    loop {
        let made = create(db).await;
        tries += 1;
        match made {
            Err(_) if tries < 5 => tokio::time::sleep(std::time::Duration::from_millis(50 * tries)).await,
            made => return made,
        }
    }
}

async fn create(db: &Db) -> Result<()> {
    let mut tx = db.write().await?;
    if let (Engine::Postgres, Some(schema)) = (db.engine(), &db.shared.options.schema) {
        // Safe to put into the text: opening has checked that the name needs no quoting.
        tx.script(format!("create schema if not exists {schema}")).await?;
    }
    tx.script(
        "create table if not exists remit_migrations (
            component text not null,
            version bigint not null,
            name text not null,
            checksum text not null,
            program text not null,
            applied_at bigint not null,
            constraint remit_migrations_pk primary key (component, version)
        )"
        .to_owned(),
    )
    .await?;
    tx.commit().await
}

async fn prepared(db: &Db) -> Result<bool> {
    let mut tx = db.read().await?;
    let sql = match db.engine() {
        Engine::Sqlite => "select count(*) as n from sqlite_schema where type = 'table' and name = 'remit_migrations'",
        Engine::Postgres => {
            "select cast(case when to_regclass('remit_migrations') is null then 0 else 1 end as bigint) as n"
        }
    };
    query(sql).fetch_one(&mut tx).await?.get("n")
}

async fn apply(db: &Db, tx: &mut Tx, schema: &Schema) -> Result<()> {
    let program = env!("CARGO_PKG_VERSION");
    let applied =
        query("select version, checksum, program from remit_migrations where component = $1 order by version")
            .bind(schema.service)
            .fetch_all(tx)
            .await?;
    let (mut found, known) = (0, latest(schema));
    for row in &applied {
        let (version, checksum): (i64, String) = (row.get("version")?, row.get("checksum")?);
        found = version;
        if version > known {
            let writer: String = row.get("program")?;
            return Err(Error::precondition(
                "SCHEMA_NEWER",
                format!(
                    "the tables of {} are at version {version}, written by remit {writer}; this is remit {program}, \
                     which knows them up to version {known}: run the newer program, or restore an older backup",
                    schema.service
                ),
            ));
        }
        let ours = schema.migrations.iter().find(|migration| migration.version == version);
        if ours.is_some_and(|migration| migration.checksum(db.engine()) != checksum) {
            return Err(Error::precondition(
                "SCHEMA_CHANGED",
                format!(
                    "migration {version} of {} was changed after it had been applied to this database: \
                     restore its text and put the change into a new migration",
                    schema.service
                ),
            ));
        }
    }
    for migration in schema.migrations.iter().filter(|migration| migration.version > found) {
        if !db.shared.options.migrate {
            return Err(outdated(schema.service, found, known));
        }
        tx.script(migration.text(db.engine())).await.map_err(|error| {
            Error::new(
                error.kind(),
                error.reason(),
                format!("migration {} ({}) of {} failed", migration.version, migration.name, schema.service),
            )
            .with_source(error)
        })?;
        query(
            "insert into remit_migrations (component, version, name, checksum, program, applied_at)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(schema.service)
        .bind(migration.version)
        .bind(migration.name)
        .bind(migration.checksum(db.engine()))
        .bind(program)
        .bind(SystemClock.now())
        .execute(tx)
        .await?;
        tracing::info!(
            service = schema.service,
            version = migration.version,
            name = migration.name,
            "applied a migration"
        );
    }
    Ok(())
}
