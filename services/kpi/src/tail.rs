//! Records the events that derive from the audit log, each entry exactly once: the position moves in the transaction of the
//! events.

use crate::derive;
use crate::service::Service;
use crate::service::ingest::{self, Source};
use crate::store::memory as store;
use remit_api::audit::v1::Entry;
use remit_api::kpi::v1::Event;
use remit_core::{Result, Tenant};
use remit_runtime::Follow;
use remit_store::{Db, Mutation, tail};
use std::time::Duration;

impl Follow for Service {
    type Kept = ();

    const BATCH: usize = 2_000;
    const GATHER: Duration = Duration::from_millis(200);

    fn db(&self) -> &Db {
        &self.db
    }

    async fn ready(&self, tenant: &Tenant) -> Result<()> {
        Service::ready(self, tenant).await
    }

    /// Nothing of this is recorded in the audit log: it follows from the log, and would never come to an end.
    async fn take(&self, tenant: &Tenant, entries: &[Entry], from: i64, to: i64, (): &mut ()) -> Result<bool> {
        let take = async |m: &mut Mutation| {
            if !tail::claim(m.tx(), tenant, from, to).await? {
                return Ok(false);
            }
            let mut memory = store::memory(m.tx(), tenant, &derive::resources(entries)).await?;
            let before = memory.clone();
            record(m, derive::derive(entries, &mut memory)).await?;
            for (resource, now) in &memory {
                if before.get(resource) != Some(now) {
                    store::remember(m.tx(), tenant, resource, now).await?;
                }
            }
            Ok(true)
        };
        self.db.own(tenant, "kpi.events.derive", take).await
    }
}

/// Records derived events. One that a dimension's bound refuses counts without dimensions, so that totals stay
/// right.
async fn record(m: &mut Mutation, events: Vec<Event>) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let outcome = ingest::record(m, &events, Source::Audit).await?;
    let mut bare = Vec::new();
    for (index, flaw) in outcome.flaws {
        let Some(event) = events.get(index) else { continue };
        if flaw.field == "dimensions" {
            bare.push(Event { dimensions: Default::default(), ..event.clone() });
        } else {
            // Retired by the tenant, or overridden more than once: nothing to count.
            tracing::debug!(reason = flaw.reason, event = event.event_id, kpi = event.kpi, "not counted");
        }
    }
    if !bare.is_empty() {
        ingest::record(m, &bare, Source::Audit).await?;
    }
    Ok(())
}
