//! Opening a service's database: the pools of its engine, then its tables.

use crate::classify;
use crate::classify::Names;
use crate::db::Db;
use crate::migrate::{self, Schema};
use crate::shared::{Options, Pools, Shared};
use remit_core::{Error, Ids, Kind, Result};
use sqlx::AssertSqlSafe;
use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::PgConnection;
use sqlx::Row as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

/// How often a pooler is given the chance to show that connections share what they should have alone.
const LOOKS: usize = 3;
/// How long that may take: a pooler that gives each client its own may have none left to give.
const LOOK: Duration = Duration::from_secs(2);

/// A connection idle for longer than this is tried before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);

impl Db {
    /// Opens the database at `url`, `sqlite:<path>` or `postgres://…`, and brings its tables up to
    /// `schema`.
    ///
    /// # Errors
    /// `InvalidArgument` (`DATABASE_URL_INVALID`) for a URL of neither form; `Unavailable` if the
    /// database cannot be reached; `FailedPrecondition` if its tables were written by a newer
    /// version (`SCHEMA_NEWER`), differ from what their migration says (`SCHEMA_CHANGED`), lack
    /// migrations that may not be applied here (`SCHEMA_OUTDATED`), are those of another service
    /// (`SCHEMA_FOREIGN`), or are behind a pooler that the options do not name (`DATABASE_POOLED`).
    pub async fn open(url: &str, schema: &Schema, ids: Arc<Ids>, options: Options) -> Result<Self> {
        let pools = if let Some(path) = url.strip_prefix("sqlite:") {
            sqlite(path.strip_prefix("//").unwrap_or(path), schema.service, &options).await?
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            postgres(url, schema.service, &options).await?
        } else {
            return Err(Error::invalid(
                "DATABASE_URL_INVALID",
                "database url",
                "must start with sqlite: or postgres://",
            ));
        };
        let db = Self { shared: Arc::new(Shared::new(pools, schema.service, ids, options)) };
        migrate::run(&db, schema).await?;
        let names = match &db.shared.pools {
            Pools::Sqlite { readers, .. } => crate::names::read(readers).await?,
            Pools::Postgres(_) => HashMap::new(),
        };
        let _ = db.shared.names.set(Names(Arc::new(names)));
        crate::page::load_key(&db).await?;
        crate::tenants::load(&db).await?;
        Ok(db)
    }
}

async fn sqlite(path: &str, service: &str, options: &Options) -> Result<Pools> {
    if path.is_empty() || path.contains(":memory:") {
        return Err(Error::invalid(
            "DATABASE_URL_INVALID",
            "database url",
            "must name a file: in memory every connection would have its own database",
        ));
    }
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // Erased personal data must not survive in free pages.
        .pragma("secure_delete", "on")
        .pragma("journal_size_limit", "67108864")
        .busy_timeout(options.acquire_timeout)
        .statement_cache_capacity(512);
    let failed = |error: sqlx::Error| {
        let error = classify::plain(error);
        Error::new(error.kind(), error.reason(), format!("cannot open the database file of {service}: {path}"))
            .with_source(error)
    };
    // SQLite gives the write-ahead log and its index the mode of the database, which only the first to make it can set.
    crate::private::reserve(Path::new(path));
    for part in ["-wal", "-shm"] {
        crate::private::tighten(Path::new(&format!("{path}{part}")));
    }
    let pool = || {
        SqlitePoolOptions::new()
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
            // SQLite ends a transaction by itself when, say, the disk is full. The driver's rollback then
            // fails, and it would believe itself in a transaction for ever: such a connection is replaced.
            .after_release(|conn, _| {
                Box::pin(async move {
                    if conn.is_in_transaction() {
                        // Answers once the rollback that was queued before it has been tried.
                        conn.ping().await?;
                    }
                    Ok(!conn.is_in_transaction())
                })
            })
    };
    // The writer first: it creates the file and turns WAL on, which the readers then find.
    let writing = connect.clone().pragma("cache_size", "-65536").optimize_on_close(true, 400);
    let mut tries = 0;
    let writer = loop {
        let opened =
            pool().max_connections(1).idle_timeout(None).max_lifetime(None).connect_with(writing.clone()).await;
        match opened {
            Ok(pool) => break pool,
            // Whoever turns WAL on while another does is refused at once, whatever the busy timeout.
            Err(error) if tries < 20 && classify::is_conflict(&error) => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            Err(error) => return Err(failed(error)),
        }
    };
    let readers = pool()
        .max_connections(options.max_connections)
        .connect_with(connect.pragma("cache_size", "-16384").pragma("query_only", "on"))
        .await
        .map_err(failed)?;
    Ok(Pools::Sqlite { writer, readers })
}

async fn postgres(url: &str, service: &str, options: &Options) -> Result<Pools> {
    // The URL holds a password: no message may quote it, nor the driver's account of it.
    let mut connect = PgConnectOptions::from_str(url).map_err(|_| {
        Error::invalid("DATABASE_URL_INVALID", "database url", "must be postgres://user:password@host:port/database")
    })?;
    // No start-up parameters beyond those that poolers pass on: floats travel in binary form.
    connect =
        connect.application_name(&format!("remit-{service}")).statement_cache_capacity(512).extra_float_digits(None);
    if options.transaction_pooler {
        connect = connect.statement_cache_capacity(0);
    }
    if options.schema.as_deref().is_some_and(|schema| !is_schema_name(schema)) {
        return Err(Error::invalid(
            "DATABASE_SCHEMA_INVALID",
            "database schema",
            "must be 1 to 63 of a-z, 0-9 and _, starting with a letter",
        ));
    }
    let (host, port) = (connect.get_host().to_owned(), connect.get_port());
    let failed = |error: sqlx::Error| {
        let error = classify::plain(error);
        let kind = if error.kind() == Kind::Internal { Kind::Unavailable } else { error.kind() };
        let text = format!("cannot connect to the database of {service} at {host}:{port}: {}", error.message());
        Error::new(kind, error.reason(), text).with_source(error)
    };
    // The pool tries again until its patience ends and then says only that it waited; one plain attempt
    // tells at once what is wrong.
    let first = match tokio::time::timeout(options.acquire_timeout, connect.connect()).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return Err(failed(error)),
        Err(_) => return Err(failed(sqlx::Error::PoolTimedOut)),
    };
    // Before anything is set on a connection that may be another's next.
    if options.transaction_pooler {
        first.close().await.map_err(&failed)?;
    } else if shares_servers(&connect, first).await.map_err(&failed)? {
        let text = format!(
            "what stands before the database of {service} at {host}:{port} is a pooler that gives each transaction any of its \
             connections: set database.transaction_pooler = true, or have it give each client its own (PgBouncer: \
             pool_mode = session)"
        );
        return Err(Error::precondition("DATABASE_POOLED", text));
    }
    let schema = options.schema.clone().filter(|_| !options.transaction_pooler);
    let pool = PgPoolOptions::new()
        .max_connections(options.max_connections)
        .after_connect(move |conn, _| {
            let schema = schema.clone();
            Box::pin(async move {
                if let Some(schema) = schema {
                    // Its name needs no quoting.
                    sqlx::raw_sql(AssertSqlSafe(format!("set search_path to {schema}"))).execute(conn).await?;
                }
                Ok(())
            })
        })
        .acquire_timeout(options.acquire_timeout)
        // The driver would try every connection before every use, which costs a round trip each.
        .test_before_acquire(false)
        .before_acquire(|conn, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED_IDLE {
                    conn.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(connect)
        .await
        .map_err(failed)?;
    Ok(Pools::Postgres(pool))
}

/// Whether two open connections are served by one process of the server, or one of them by several in turn: then a pooler
/// stands between that keeps neither prepared statements nor a schema for its clients. Where there is only one to be had,
/// nothing can be seen.
async fn shares_servers(connect: &PgConnectOptions, first: PgConnection) -> std::result::Result<bool, sqlx::Error> {
    let look = async move {
        let mut both = [first, connect.connect().await?];
        let mut served = [None; 2];
        let mut shared = false;
        for _ in 0..LOOKS {
            for (at, connection) in both.iter_mut().enumerate() {
                shared |= is_shared(&mut served, at, served_by(connection).await?);
            }
        }
        for connection in both {
            connection.close().await?;
        }
        Ok(shared)
    };
    match tokio::time::timeout(LOOK, look).await {
        Ok(Err(error)) if classify::lacks_connections(&error) => Ok(false),
        Ok(seen) => seen,
        Err(_) => Ok(false),
    }
}

/// Notes that the connection `at` was served by `process`; whether that cannot be if each has one of its own.
fn is_shared(served: &mut [Option<i32>; 2], at: usize, process: i32) -> bool {
    let own = served.get(at).copied().flatten();
    let others = served.iter().enumerate().any(|(other, known)| other != at && *known == Some(process));
    if let Some(place) = served.get_mut(at) {
        *place = Some(process);
    }
    others || own.is_some_and(|own| own != process)
}

/// The process of the server behind a connection; asked without a prepared statement, which such a pooler may lose.
async fn served_by(connection: &mut PgConnection) -> std::result::Result<i32, sqlx::Error> {
    sqlx::raw_sql("select pg_backend_pid()").fetch_one(connection).await?.try_get(0)
}

/// Whether `name` needs no quoting as a PostgreSQL identifier.
fn is_schema_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::is_shared;

    #[test]
    fn connections_that_share_a_process_of_the_server_are_noticed() {
        let seen = |asked: &[(usize, i32)]| {
            let mut served = [None; 2];
            asked.iter().any(|(at, process)| is_shared(&mut served, *at, *process))
        };
        assert!(!seen(&[(0, 7), (1, 8), (0, 7), (1, 8)]), "each has its own");
        assert!(seen(&[(0, 7), (1, 7)]), "the one that was used last is given to the next");
        assert!(seen(&[(0, 7), (1, 8), (0, 9)]), "they are given in turn");
        assert!(seen(&[(0, 7), (1, 8), (0, 7), (1, 9)]), "others take some of them meanwhile");
    }
}
