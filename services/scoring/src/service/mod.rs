//! The use cases, one file a noun.

mod audit_windows;
mod backtests;
mod checks;
mod decisions;
mod functions;
mod imports;
mod plans;
mod policies;
mod ratings;
mod seeds;
mod summaries;
mod tasks;
#[cfg(test)]
mod tests;

use crate::Settings;
use crate::cache::{Caches, RuleCache, Rules};
use crate::counter::Counter;
use crate::store;
use prost::Message;
use remit_api::wire::Repeatable;
use remit_core::{Error, Result, Tenant};
use remit_runtime::{Cx, Mandates, Seeded};
use remit_store::{Db, Mutation, Tx};
use std::sync::Arc;
use std::time::Duration;

/// What every use case works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Service {
    db: Db,
    settings: Settings,
    caches: Caches,
    rules: RuleCache,
    counter: Counter,
    seeded: Seeded,
    mandates: Arc<Mandates>,
}

/// How long work in groups waits when too many audit events wait for delivery.
const FULL_PAUSE: Duration = Duration::from_millis(200);

/// Whether too many audit events wait for delivery: work in groups then waits instead of failing, at most until the
/// caller's deadline.
fn full(error: &Error) -> bool {
    error.reason() == "OUTBOX_FULL"
}

impl Service {
    pub(crate) fn new(
        db: Db,
        settings: Settings,
        caches: Caches,
        rules: RuleCache,
        counter: Counter,
        mandates: Arc<Mandates>,
    ) -> Self {
        Self { db, settings, caches, rules, counter, seeded: Seeded::default(), mandates }
    }

    /// A mutation of a tenant that has what ships with the service.
    async fn mutate<Q: Repeatable, R: Message + Default>(
        &self,
        cx: &Cx,
        request: &Q,
        work: impl AsyncFnOnce(&mut Mutation) -> Result<R>,
    ) -> Result<R> {
        self.seed(&cx.tenant).await?;
        self.db.mutate(&cx.call(request), work).await
    }

    /// The active policy and the functions as they are now.
    async fn rules(&self, tx: &mut Tx, tenant: &Tenant) -> Result<Arc<Rules>> {
        let head = store::head(tx, tenant).await?;
        self.rules.at(tx, tenant, head).await
    }
}
