//! What every handle of one database shares: its pools, its options, and who waits for what.

use crate::classify::Names;
use remit_core::{Clock, Ids, SystemClock, Tenant};
use sqlx::{PgPool, SqlitePool};
use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// How to open a database. The defaults suit both engines.
#[derive(Debug, Clone)]
pub struct Options {
    /// PostgreSQL: the schema that holds this service's tables, for services that share a database.
    /// Every new connection sets its `search_path`; behind a [transaction pooler](Self::transaction_pooler) every
    /// transaction does. SQLite has a file per service and ignores this.
    pub schema: Option<String>,
    /// PostgreSQL: whether a pooler gives each transaction any of its connections, so that a connection keeps nothing: not
    /// the schema, not what was prepared. Then reads are transactions too, and cost two or three round trips more.
    pub transaction_pooler: bool,
    /// PostgreSQL: connections at most. SQLite: reader connections at most; there is one writer.
    pub max_connections: u32,
    /// How long to wait for a free connection before `Unavailable` (`DATABASE_BUSY`).
    pub acquire_timeout: Duration,
    /// Whether to apply missing migrations (the default), or to refuse a database that lacks any.
    pub migrate: bool,
    /// How many audit events of one tenant may wait for delivery before mutations are refused.
    pub outbox_limit: i64,
    /// The time that mutations work with.
    pub clock: Arc<dyn Clock>,
    /// The trace id of the call in progress, empty outside of any: of what a service does on its own because of a call.
    pub trace: fn() -> String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            schema: None,
            transaction_pooler: false,
            max_connections: 16,
            acquire_timeout: Duration::from_secs(10),
            migrate: true,
            outbox_limit: 1_000_000,
            clock: Arc::new(SystemClock),
            trace: String::new,
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
    pub(crate) names: OnceLock<Names>,
    pub(crate) taken: AtomicU64,
    pub(crate) waited_micros: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    /// Held by whoever opens a connection beside the pool: a server that is short of them gets one such more, not one for
    /// each caller that waits.
    pub(crate) beside: Mutex<()>,
    outbox: watch::Sender<u64>,
    feeds: watch::Sender<u64>,
    timers: watch::Sender<u64>,
    tenants_seen: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new(pools: Pools, service: &'static str, ids: Arc<Ids>, options: Options) -> Self {
        Self {
            pools,
            service,
            ids,
            options,
            page_key: OnceLock::new(),
            tenants: RwLock::default(),
            names: OnceLock::new(),
            taken: AtomicU64::new(0),
            waited_micros: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            beside: Mutex::default(),
            outbox: watch::Sender::new(0),
            feeds: watch::Sender::new(0),
            timers: watch::Sender::new(0),
            tenants_seen: watch::Sender::new(0),
        }
    }

    pub(crate) fn names(&self) -> Names {
        self.names.get().cloned().unwrap_or_default()
    }

    pub(crate) fn sender(&self, signal: Signal) -> &watch::Sender<u64> {
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
