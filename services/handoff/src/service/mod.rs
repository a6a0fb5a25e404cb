//! The use cases: each opens one mutation, applies the rules and commits.

mod briefings;
mod calendars;
mod clocks;
mod control;
mod editing;
mod gates;
mod handoffs;
mod lead_rules;
mod leads;
mod overrides;
mod publishing;
mod record;
mod reviews;
mod routing;
mod runs;
mod seeds;
mod summaries;
mod work;

pub use clocks::Timers;
pub use work::{FEED as WORK_FEED, parse_key};

use crate::peers::Scoring;
use prost::Message;
use remit_core::{Clock, Error, Result, Tenant};
use remit_runtime::{Cx, Started};
use remit_store::{Db, Mutation};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// The use cases with what they need.
#[derive(Clone)]
pub struct Service {
    db: Db,
    clock: Arc<dyn Clock>,
    scoring: Scoring,
    seeded: Arc<Mutex<HashSet<Tenant>>>,
}

impl Service {
    /// Puts the service together.
    pub fn new(db: Db, clock: Arc<dyn Clock>, scoring: Scoring) -> Self {
        Self { db, clock, scoring, seeded: Arc::default() }
    }

    /// The database, for watch streams.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Begins the mutation of a call, or finds the answer it had before.
    async fn begin<R: Message + Default>(&self, cx: &Cx, request_id: &str, body: &impl Message) -> Result<Started<R>> {
        self.seed(&cx.tenant).await?;
        let call = cx.call(request_id, body, &*self.clock);
        remit_runtime::begin(&self.db, &call).await
    }
}

/// Reads a stored message.
fn decode<M: Message + Default>(body: &[u8]) -> Result<M> {
    M::decode(body).map_err(|cause| Error::internal("a stored message cannot be read").with_source(cause))
}

/// Records the audit event of the call itself.
fn record(mutation: &mut Mutation, resource: &str, fill: impl FnOnce(&mut remit_core::AuditEvent)) {
    let action = mutation.call().method;
    let mut event = mutation.event(action, resource);
    fill(&mut event);
    mutation.record(event);
}
