//! The use cases, one file for the noun of each permission; each mutation is one closure.

mod batches;
mod briefings;
mod calendars;
mod clocks;
mod decisions;
mod gates;
mod handoffs;
mod held;
mod iterations;
mod leads;
mod overrides;
mod reviews;
mod routings;
mod runs;
mod seeds;
mod summaries;
mod timers;
mod triages;
mod variants;
mod work;

pub(crate) use timers::Timers;

use crate::peers::{Kpis, Registry, Scoring};
use prost::Message;
use remit_core::Result;
use remit_runtime::{Deps, Mandates, Seeded};
use remit_store::{Call, Db, Mutation};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The use cases with what they need.
#[derive(Clone)]
pub(crate) struct Service {
    db: Db,
    scoring: Scoring,
    registry: Registry,
    kpis: Kpis,
    mandates: Arc<Mandates>,
    seeded: Seeded,
    shutdown: CancellationToken,
}

impl Service {
    /// Puts the service together.
    pub(crate) fn new(deps: Deps) -> Self {
        Self {
            scoring: Scoring::new(&deps.peers),
            registry: Registry::new(&deps.peers),
            kpis: Kpis::new(&deps.peers),
            mandates: deps.mandates,
            db: deps.db,
            seeded: Seeded::default(),
            shutdown: deps.shutdown,
        }
    }

    /// A mutation of a tenant that has what ships with the service.
    async fn mutate<R: Message + Default>(
        &self,
        call: Call,
        work: impl AsyncFnOnce(&mut Mutation) -> Result<R>,
    ) -> Result<R> {
        self.seed(&call.tenant).await?;
        self.db.mutate(&call, work).await
    }
}
