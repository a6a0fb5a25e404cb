//! Opening a service's database, and the pools behind it.

use crate::classify::Names;
use crate::migrate::{self, Schema};
use crate::open;
use crate::tx::{Conn, Tx};
use remit_core::{Error, Ids, Result, Tenant};
use sqlx::{PgPool, SqlitePool};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How to open a database. The defaults suit both engines.
#[derive(Debug, Clone)]
pub struct Options {
    /// PostgreSQL: the schema that holds this service's tables, for services that share a database.
    /// It is set by the `search_path` start-up option, so a PgBouncer in transaction mode needs
    /// a database per service instead. SQLite has a file per service and ignores this.
    pub schema: Option<String>,
    /// PostgreSQL: connections at most. SQLite: reader connections at most; there is one writer.
    pub max_connections: u32,
    /// How long to wait for a free connection before `Unavailable` (`DATABASE_BUSY`).
    pub acquire_timeout: Duration,
    /// Whether to apply missing migrations (the default), or to refuse a database that lacks any.
    pub migrate: bool,
    /// How many audit events of one tenant may wait for delivery before mutations are refused.
    pub outbox_limit: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            schema: None,
            max_connections: 16,
            acquire_timeout: Duration::from_secs(10),
            migrate: true,
            outbox_limit: 1_000_000,
        }
    }
}

/// Which engine is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file in the data directory.
    Sqlite,
    /// A server.
    Postgres,
}

/// What other parts of the same process may wait for. A signal is a hint: whoever waits also polls,
/// because another process may have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Audit events are waiting in the outbox.
    Outbox,
    /// A feed has changes.
    Feeds,
    /// A timer was scheduled or cancelled.
    Timers,
    /// A tenant was seen for the first time.
    Tenants,
}

/// Whatever the server's default isolation is, and with a bound to waiting for another writer's row: a
/// caller that has gone away would otherwise keep its connection waiting. Set with `local`, so that it
/// holds behind a PgBouncer in transaction mode too.
const BEGIN_POSTGRES: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '10s'";

/// One service's database. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) enum Pools {
    Sqlite { writer: SqlitePool, readers: SqlitePool },
    Postgres(PgPool),
}

pub(crate) struct Shared {
    pub(crate) pools: Pools,
    pub(crate) service: &'static str,
    pub(crate) ids: Arc<Ids>,
    pub(crate) options: Options,
    pub(crate) page_key: OnceLock<Vec<u8>>,
    pub(crate) tenants: RwLock<BTreeSet<Tenant>>,
    names: OnceLock<Names>,
    taken: AtomicU64,
    waited_micros: AtomicU64,
    timed_out: AtomicU64,
    outbox: watch::Sender<u64>,
    feeds: watch::Sender<u64>,
    timers: watch::Sender<u64>,
    tenants_seen: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn names(&self) -> Names {
        self.names.get().cloned().unwrap_or_default()
    }

    fn sender(&self, signal: Signal) -> &watch::Sender<u64> {
        match signal {
            Signal::Outbox => &self.outbox,
            Signal::Feeds => &self.feeds,
            Signal::Timers => &self.timers,
            Signal::Tenants => &self.tenants_seen,
        }
    }

    pub(crate) fn raise(&self, signal: Signal) {
        self.sender(signal).send_modify(|count| *count = count.wrapping_add(1));
    }
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
    /// Opens the database at `url`, `sqlite:<path>` or `postgres://…`, and brings its tables up to
    /// `schema`.
    ///
    /// # Errors
    /// `InvalidArgument` (`DATABASE_URL_INVALID`) for a URL of neither form; `Unavailable` if the
    /// database cannot be reached; `FailedPrecondition` if its tables were written by a newer
    /// version (`SCHEMA_NEWER`), differ from what their migration says (`SCHEMA_CHANGED`), or lack
    /// migrations that may not be applied here (`SCHEMA_OUTDATED`).
    pub async fn open(url: &str, schema: &Schema, ids: Arc<Ids>, options: Options) -> Result<Self> {
        let pools = if let Some(path) = url.strip_prefix("sqlite:") {
            open::sqlite(path.strip_prefix("//").unwrap_or(path), schema.service, &options).await?
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            open::postgres(url, schema.service, &options).await?
        } else {
            return Err(Error::invalid(
                "DATABASE_URL_INVALID",
                "database url",
                "must start with sqlite: or postgres://",
            ));
        };
        let db = Self {
            shared: Arc::new(Shared {
                pools,
                service: schema.service,
                ids,
                options,
                page_key: OnceLock::new(),
                tenants: RwLock::default(),
                names: OnceLock::new(),
                taken: AtomicU64::new(0),
                waited_micros: AtomicU64::new(0),
                timed_out: AtomicU64::new(0),
                outbox: watch::Sender::new(0),
                feeds: watch::Sender::new(0),
                timers: watch::Sender::new(0),
                tenants_seen: watch::Sender::new(0),
            }),
        };
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

    /// A reader connection for single statements, each of which sees what was committed before it.
    ///
    /// # Errors
    /// `Unavailable` (`DATABASE_BUSY`) if no connection becomes free in time.
    pub async fn read(&self) -> Result<Tx> {
        let start = Instant::now();
        let conn = match &self.shared.pools {
            Pools::Sqlite { readers, .. } => readers.acquire().await.map(Conn::SqliteRead),
            Pools::Postgres(pool) => pool.acquire().await.map(Conn::PostgresRead),
        };
        self.tx(start, conn)
    }

    /// Several reads of one consistent state.
    ///
    /// # Errors
    /// `Unavailable` (`DATABASE_BUSY`) if no connection becomes free in time.
    pub async fn snapshot(&self) -> Result<Tx> {
        let start = Instant::now();
        let conn = match &self.shared.pools {
            Pools::Sqlite { readers, .. } => readers.begin_with("BEGIN").await.map(Conn::SqliteTx),
            Pools::Postgres(pool) => {
                pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map(Conn::PostgresTx)
            }
        };
        self.tx(start, conn)
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
            Pools::Sqlite { writer, .. } => writer.begin_with("BEGIN IMMEDIATE").await.map(Conn::SqliteTx),
            Pools::Postgres(pool) => pool.begin_with(BEGIN_POSTGRES).await.map(Conn::PostgresTx),
        };
        self.tx(start, conn)
    }

    fn tx(&self, start: Instant, conn: Result<Conn, sqlx::Error>) -> Result<Tx> {
        let shared = &self.shared;
        let waited = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        shared.waited_micros.fetch_add(waited, Ordering::Relaxed);
        let counter = if matches!(conn, Err(sqlx::Error::PoolTimedOut)) { &shared.timed_out } else { &shared.taken };
        counter.fetch_add(1, Ordering::Relaxed);
        conn.map(|conn| Tx::new(conn, shared.clone())).map_err(|error| shared.names().classify(error))
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
