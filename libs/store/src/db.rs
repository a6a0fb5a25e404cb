//! A service's database, and the connections behind it.

use crate::shared::{Engine, Pools, Shared, Signal};
use crate::tx::{Conn, Tx};
use remit_core::{Ids, Result, Timestamp};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Database, Pool, SqlSafeStr, SqlStr, Transaction};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Whatever the server's default isolation is, and with a bound to waiting for another writer's row: a
/// caller that has gone away would otherwise keep its connection waiting. Set with `local`, so that it
/// holds behind a PgBouncer in transaction mode too.
const BEGIN_POSTGRES: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '10s'";

/// Begins a transaction, which is begun to the end also when the caller goes away meanwhile: the driver counts one only
/// once the engine has answered, and would give back a connection with a transaction open that it knows nothing of.
async fn begin<D: Database>(
    pool: &Pool<D>,
    statement: impl SqlSafeStr,
) -> std::result::Result<Transaction<'static, D>, sqlx::Error> {
    let connection = pool.acquire().await?;
    let begun = tokio::spawn(Transaction::begin(connection, Some(statement.into_sql_str())));
    begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

/// How long it may take to learn why no connection became free.
const CAUSE: Duration = Duration::from_secs(1);

/// One service's database. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    pub(crate) shared: Arc<Shared>,
}

/// How busy the pool is, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStats {
    /// Open connections.
    pub open: u32,
    /// Those that nobody uses now.
    pub idle: u32,
    /// The most that may be open.
    pub max: u32,
    /// Connections taken so far, of readers and writers.
    pub taken: u64,
    /// How long their takers waited, in all.
    pub waited: Duration,
    /// Takers that gave up (`DATABASE_BUSY`).
    pub timed_out: u64,
}

impl Db {
    /// A reader connection for single statements, each of which sees what was committed before it.
    ///
    /// # Errors
    /// `Unavailable` (`DATABASE_BUSY`) if no connection becomes free in time.
    pub async fn read(&self) -> Result<Tx> {
        let start = Instant::now();
        let conn = match &self.shared.pools {
            Pools::Sqlite { readers, .. } => readers.acquire().await.map(Conn::SqliteRead),
            Pools::Postgres(pool) if self.shared.options.transaction_pooler => {
                begin(pool, self.beginning("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"))
                    .await
                    .map(Conn::PostgresTx)
            }
            Pools::Postgres(pool) => pool.acquire().await.map(Conn::PostgresRead),
        };
        self.tx(start, conn).await
    }

    /// Several reads of one consistent state.
    ///
    /// # Errors
    /// `Unavailable` (`DATABASE_BUSY`) if no connection becomes free in time.
    pub async fn snapshot(&self) -> Result<Tx> {
        let start = Instant::now();
        let conn = match &self.shared.pools {
            Pools::Sqlite { readers, .. } => begin(readers, "BEGIN").await.map(Conn::SqliteTx),
            Pools::Postgres(pool) => {
                let statement = self.beginning("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
                begin(pool, statement).await.map(Conn::PostgresTx)
            }
        };
        self.tx(start, conn).await
    }

    /// A write transaction. Claim first: let its first statement be the write that locks the row,
    /// because PostgreSQL at this isolation loses what is read before and written after. Never take a
    /// second one while holding one: SQLite has one writer, and the second would wait for the first.
    ///
    /// # Errors
    /// `Unavailable` (`DATABASE_BUSY`) if no connection becomes free in time.
    pub async fn write(&self) -> Result<Tx> {
        let start = Instant::now();
        let conn = match &self.shared.pools {
            Pools::Sqlite { writer, .. } => begin(writer, "BEGIN IMMEDIATE").await.map(Conn::SqliteTx),
            Pools::Postgres(pool) => begin(pool, self.beginning(BEGIN_POSTGRES)).await.map(Conn::PostgresTx),
        };
        self.tx(start, conn).await
    }

    /// What begins a transaction: behind a pooler with the schema, since no connection keeps it there.
    fn beginning(&self, statement: &'static str) -> SqlStr {
        match self.shared.options.schema.as_deref().filter(|_| self.shared.options.transaction_pooler) {
            // Its name needs no quoting: the database would not be open.
            Some(schema) => AssertSqlSafe(format!("{statement}; SET LOCAL search_path TO {schema}")).into_sql_str(),
            None => statement.into_sql_str(),
        }
    }

    async fn tx(&self, start: Instant, conn: Result<Conn, sqlx::Error>) -> Result<Tx> {
        let shared = &self.shared;
        let waited = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        shared.waited_micros.fetch_add(waited, Ordering::Relaxed);
        let counter = if matches!(conn, Err(sqlx::Error::PoolTimedOut)) { &shared.timed_out } else { &shared.taken };
        counter.fetch_add(1, Ordering::Relaxed);
        match conn {
            Ok(conn) => Ok(Tx::new(conn, shared.clone())),
            // The pool goes on trying while the server is away, and says in the end that it waited.
            Err(error @ sqlx::Error::PoolTimedOut) => match tokio::time::timeout(CAUSE, self.try_connection()).await {
                Ok(Err(cause)) => Err(cause),
                Ok(Ok(())) | Err(_) => Err(shared.names().classify(error)),
            },
            Err(error) => Err(shared.names().classify(error)),
        }
    }

    /// Which engine is open, for the few places where both texts must stand side by side.
    pub fn engine(&self) -> Engine {
        match &self.shared.pools {
            Pools::Sqlite { .. } => Engine::Sqlite,
            Pools::Postgres(_) => Engine::Postgres,
        }
    }

    /// The service that owns this database.
    pub fn service(&self) -> &'static str {
        self.shared.service
    }

    /// The time now, of the clock that this database was opened with.
    pub fn now(&self) -> Timestamp {
        self.shared.options.clock.now()
    }

    /// The source of ids that this database was opened with.
    pub fn ids(&self) -> &Arc<Ids> {
        &self.shared.ids
    }

    /// Whether the database answers, for readiness.
    ///
    /// # Errors
    /// As [`crate::classify`] says.
    pub async fn ping(&self) -> Result<()> {
        let mut tx = self.read().await?;
        crate::query("select 1 as one").fetch_one(&mut tx).await.map(|_| ())
    }

    /// Whether the server takes one more connection, where the pool has none to spare and may have more: it says only that
    /// nothing became free, and not why.
    ///
    /// # Errors
    /// As [`crate::classify`] says; `Unavailable` (`DATABASE_CONNECTIONS`) if the server has given all of its connections.
    pub async fn can_grow(&self) -> Result<()> {
        let stats = self.pool_stats();
        if stats.idle == 0 && stats.open < stats.max { self.try_connection().await } else { Ok(()) }
    }

    /// Whether the server takes a connection, whatever the pool has: tells why a pool waits.
    ///
    /// # Errors
    /// As [`Db::can_grow`].
    pub async fn reach(&self) -> Result<()> {
        self.try_connection().await
    }

    async fn try_connection(&self) -> Result<()> {
        match &self.shared.pools {
            Pools::Postgres(pool) => {
                let _one = self.shared.beside.lock().await;
                let made = pool.connect_options().connect().await;
                let connection = made.map_err(|error| self.shared.names().classify(error))?;
                connection.close().await.map_err(|error| self.shared.names().classify(error))
            }
            Pools::Sqlite { .. } => Ok(()),
        }
    }

    /// The connections that the server gives to everybody together; nothing for SQLite.
    ///
    /// # Errors
    /// As [`crate::classify`] says.
    pub async fn server_connections(&self) -> Result<Option<i64>> {
        if self.engine() == Engine::Sqlite {
            return Ok(None);
        }
        let asked = crate::query("select cast(current_setting('max_connections') as bigint) as most");
        asked.fetch_one(&mut self.read().await?).await?.get("most").map(Some)
    }

    /// How busy the pool is, for metrics. On SQLite, the readers.
    pub fn pool_stats(&self) -> PoolStats {
        let (open, idle) = match &self.shared.pools {
            Pools::Sqlite { readers, .. } => (readers.size(), readers.num_idle()),
            Pools::Postgres(pool) => (pool.size(), pool.num_idle()),
        };
        let shared = &self.shared;
        PoolStats {
            open,
            idle: u32::try_from(idle).unwrap_or(open),
            max: shared.options.max_connections,
            taken: shared.taken.load(Ordering::Relaxed),
            waited: Duration::from_micros(shared.waited_micros.load(Ordering::Relaxed)),
            timed_out: shared.timed_out.load(Ordering::Relaxed),
        }
    }

    /// Wakes when this process committed something of that sort. A hint; poll too.
    pub fn subscribe(&self, signal: Signal) -> watch::Receiver<u64> {
        self.shared.sender(signal).subscribe()
    }

    /// Closes the pools once everything in use has been given back.
    pub async fn close(&self) {
        match &self.shared.pools {
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Db({}, {:?})", self.shared.service, self.engine())
    }
}
