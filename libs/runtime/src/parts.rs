//! What a service is given, and what it gives.

use crate::{Config, Mandates, Peers};
use futures::future::BoxFuture;
use remit_core::{Clock, Ids, Result, Tenant};
use remit_store::{Db, Schema, Signal, TimerHandler, tenants};
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Everything that a service works with; nothing of it is global.
#[derive(Clone)]
pub struct Deps {
    /// The service's own database.
    pub db: Db,
    /// The time that rules work with.
    pub clock: Arc<dyn Clock>,
    /// The source of identifiers.
    pub ids: Arc<Ids>,
    /// The way to the other services.
    pub peers: Peers,
    /// The keys of the council's mandates.
    pub mandates: Arc<Mandates>,
    /// The configuration.
    pub config: Arc<Config>,
    /// Cancelled when the process begins to drain: streams end, background tasks return.
    pub shutdown: CancellationToken,
    /// The tenants seen so far.
    pub tenants: Tenants,
    /// The name under which the process holds leases ([`remit_store::lease`]).
    pub holder: String,
}

/// What a service gives to the process.
#[derive(Default)]
pub struct Parts {
    /// Its gRPC services, all of the package `remit.<service>.v1`.
    pub routes: crate::Routes,
    /// Plain HTTP routes on the same port, if it has any.
    pub http: Option<axum::Router>,
    /// Plain HTTP routes for whoever has no token: what they carry must prove itself. On the same port, if it has any.
    pub open: Option<axum::Router>,
    /// Background work; each future returns soon after shutdown is cancelled.
    pub tasks: Vec<BoxFuture<'static, ()>>,
    /// What happens when one of its timers is due.
    pub timers: Option<Arc<dyn TimerHandler>>,
    /// How many things of a tenant are acknowledged and not yet in its database, if it has such.
    pub unrecorded: Option<Unrecorded>,
    /// How far it is behind the audit log, if it follows that.
    pub lag: Option<crate::Lag>,
    /// What it found wrong with itself that no answer says yet, if it looks for such.
    pub conditions: Option<Conditions>,
    /// How the gauges are set that only it has, if it has such.
    pub measure: Option<Measure>,
}

/// Sets gauges to what is so now, of all tenants at once, so that many tenants cost no more questions than one.
pub type Measure = Arc<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// Counts what a tenant was promised and what is on its way into the database.
pub type Unrecorded = Arc<dyn Fn(&Tenant) -> i64 + Send + Sync>;

/// What may be wrong with a service, as it last looked: also what it found nothing of, with a count of 0.
pub type Conditions = Arc<dyn Fn() -> Vec<Condition> + Send + Sync>;

/// One thing that is wrong with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Condition {
    /// The reason that an error would have.
    pub reason: &'static str,
    /// How many things it is about; 0 if there is nothing wrong.
    pub count: i64,
    /// Whether the service cannot do its work because of it: the process is then not ready.
    pub fatal: bool,
}

/// Builds a service from what it is given.
pub type Build = fn(Deps) -> BoxFuture<'static, Result<Parts>>;

/// A service that a process can run.
#[derive(Clone, Copy)]
pub struct ServiceDef {
    /// Its name, such as `audit`.
    pub name: &'static str,
    /// Its tables.
    pub schema: Schema,
    /// How to build it.
    pub build: Build,
}

/// The tenants seen by this database.
#[derive(Debug, Clone)]
pub struct Tenants {
    db: Db,
}

impl Tenants {
    /// The tenants of `db`.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// The tenants that this process knows now.
    pub fn known(&self) -> Vec<Tenant> {
        tenants::known(&self.db)
    }

    /// Changes whenever a tenant is seen for the first time.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.db.subscribe(Signal::Tenants)
    }
}
