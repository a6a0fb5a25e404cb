//! The use cases, one file for each noun.

mod alert_rules;
mod alerts;
mod arms;
mod calibrations;
mod charts;
mod comparisons;
mod events;
mod experiments;
pub(crate) mod ingest;
mod interpretations;
mod kpis;
mod pilot_results;
mod pilots;
mod plans;
mod query;
mod recount;
mod retention;
mod rollups;
mod settings;
mod summaries;
mod watchdog;

use crate::{seed, store};
use remit_api::wire::Repeatable;
use remit_core::{Result, Tenant};
use remit_runtime::{Cx, Deps, Mandates, Seeded};
use remit_store::{Db, Mutation, Records as _, Tx};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The KPI service.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// The database.
    pub(crate) db: Db,
    /// Cancelled when the process begins to drain.
    shutdown: CancellationToken,
    seeded: Seeded,
    mandates: Arc<Mandates>,
}

/// The act by which what is watched becomes looser.
const LOOSEN: &str = "loosen_rules";

impl Service {
    /// Builds the service from what the process provides.
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            db: deps.db.clone(),
            shutdown: deps.shutdown.clone(),
            seeded: Seeded::default(),
            mandates: deps.mandates.clone(),
        }
    }

    /// Gives the tenant the definitions and alert rules that ship with the software, once. They are part of
    /// the software, so nothing that the tenant did is recorded. From then on its audit log is followed and its
    /// timers fire, even if it only reads here.
    ///
    /// # Errors
    /// As the database says.
    pub(crate) async fn ready(&self, tenant: &Tenant) -> Result<()> {
        let seed = async |m: &mut Mutation| {
            if !store::seeded(m).await? {
                return Ok(());
            }
            let mut kpis = seed::kpis(m.now())?;
            store::kpis::Kpis::insert_all(m, &mut kpis).await?;
            store::kpis::keep_versions(m, &kpis).await?;
            store::settings::Settings::insert(m, &mut settings::first(m.now())).await?;
            store::alert_rules::AlertRules::insert_all(m, &mut seed::alert_rules(m.now())).await?;
            alerts::schedule(m).await
        };
        self.seeded.ensure(tenant, async || self.db.own(tenant, "kpi.definitions.seed", seed).await).await
    }

    /// A mutation that the caller asked for, of a tenant that has what ships with the software.
    async fn mutate<Q: Repeatable, A: prost::Message + Default>(
        &self,
        cx: &Cx,
        request: &Q,
        work: impl AsyncFnOnce(&mut Mutation) -> Result<A>,
    ) -> Result<A> {
        self.ready(&cx.tenant).await?;
        self.db.mutate(&cx.call(request), work).await
    }

    /// A connection to read one thing.
    async fn read(&self, cx: &Cx) -> Result<Tx> {
        self.ready(&cx.tenant).await?;
        self.db.read().await
    }

    /// A connection to read several things as they are at one time.
    async fn snapshot(&self, cx: &Cx) -> Result<Tx> {
        self.ready(&cx.tenant).await?;
        self.db.snapshot().await
    }
}

#[cfg(test)]
mod tests;
