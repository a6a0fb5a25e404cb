//! The use cases of the registry, one function an RPC. Each mutation opens and commits its transaction.

pub mod aliases;
pub mod artifact_versions;
pub mod artifacts;
pub mod automations;
pub mod lineage;
pub mod models;
pub mod outputs;
pub mod references;
pub mod search;
pub mod transitions;
pub mod versions;
pub mod watch;

use crate::store::Window;
use prost::Message;
use remit_core::{AuditEvent, Clock, Error, Kind, Result};
use remit_runtime::Cx;
use remit_store::{Db, Keyset, Mutation, PageToken, Value, page};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The feed of model states.
pub const STATES_FEED: &str = "model-states";

/// The registry: its database and its clock.
#[derive(Clone)]
pub struct Registry {
    /// The database.
    pub db: Db,
    /// The source of time.
    pub clock: Arc<dyn Clock>,
    /// Cancelled when the process begins to drain: watch streams end.
    pub shutdown: CancellationToken,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registry")
    }
}

/// A list's page: what to fetch, and how to cut it.
pub(crate) struct Pager {
    keyset: Keyset,
    size: i64,
    /// What to fetch.
    pub window: Window,
}

impl Pager {
    /// The page and the token of the next.
    pub fn cut<T>(&self, rows: Vec<T>, key: impl Fn(&T) -> Vec<Value>) -> (Vec<T>, PageToken) {
        self.keyset.cut(rows, self.size, key)
    }
}

impl Registry {
    /// The page that a list request asks for. `terms` are what decides which rows there are.
    pub(crate) fn pager(&self, cx: &Cx, terms: &[&str], size: i32, token: &str) -> Result<Pager> {
        let keyset = self.db.keyset(&cx.tenant, cx.method, terms);
        let size = page::size(size)?;
        let window = Window { after: keyset.after(token)?, limit: size + 1 };
        Ok(Pager { keyset, size, window })
    }
}

/// Records what the mutation did to `resource`, under the name of its method.
pub(crate) fn record(m: &mut Mutation, resource: &str, fill: impl FnOnce(&mut AuditEvent)) {
    let action = m.call().method;
    let mut event = m.event(action, resource);
    fill(&mut event);
    m.record(event);
}

/// A resource that exists already.
pub(crate) fn exists(reason: &'static str, name: &str) -> Error {
    Error::new(Kind::AlreadyExists, reason, format!("{name} exists already"))
}

/// The id of a new version: the one asked for, or the next number. The first number it may take keeps
/// later numbers free of collisions.
pub(crate) fn first_number(asked: &str) -> Result<i64> {
    if asked.is_empty() {
        return Ok(0);
    }
    crate::convert::id_field(asked, "version_id")?;
    // Only the plain writing of a number can collide with one that is drawn.
    Ok(asked.parse::<u32>().ok().filter(|number| number.to_string() == asked).map_or(0, i64::from))
}

/// The digest of a resource's message, for audit events.
pub(crate) fn digest<M: Message>(message: &M) -> String {
    crate::convert::digest_of(message)
}
