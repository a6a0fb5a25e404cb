//! What a tenant has from its first call on: a calendar and the two template gates.

use super::{Service, gates};
use crate::{store, templates};
use prost::Message as _;
use remit_core::{Actor, ActorKind, Result, Tenant};
use remit_store::{Begin, Call};
use std::sync::PoisonError;

impl Service {
    /// Creates what ships with the service, once a tenant.
    pub(super) async fn seed(&self, tenant: &Tenant) -> Result<()> {
        if self.seeded.lock().unwrap_or_else(PoisonError::into_inner).contains(tenant) {
            return Ok(());
        }
        let found = store::calendars::get(&mut self.db.read().await?, tenant, templates::CALENDAR).await?;
        if found.is_none() {
            self.plant(tenant).await?;
        }
        self.seeded.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone());
        Ok(())
    }

    async fn plant(&self, tenant: &Tenant) -> Result<()> {
        let subject = self.db.service().to_owned();
        let actor = Actor { subject, kind: ActorKind::Service, roles: vec![], role_groups: vec![], on_behalf_of: None };
        let call = Call {
            tenant: tenant.clone(),
            actor,
            method: "handoff.templates.seed",
            request_id: String::new(),
            request_digest: [0; 32],
            trace_id: String::new(),
            now: self.clock.now(),
        };
        let Begin::Fresh(mut mutation) = self.db.begin(&call).await? else { return Ok(()) };
        let now = mutation.now();
        let calendar = templates::calendar();
        let body = calendar.encode_to_vec();
        // The first statement decides which of several first calls plants.
        if !store::calendars::insert(mutation.tx(), tenant, templates::CALENDAR, body, now).await? {
            return Ok(());
        }
        super::record(&mut mutation, &calendar.name, |_| {});
        for (id, gate) in [(templates::CREATIVE, templates::creative()), (templates::ROUTING, templates::routing())] {
            let version = store::gates::next_version(mutation.tx(), tenant, id, true, now).await?;
            let gate = gates::insert(&mut mutation, id, version, gate, None).await?;
            super::record(&mut mutation, &gate.name, |event| event.after_digest.clone_from(&gate.digest));
        }
        mutation.commit(Vec::new()).await
    }
}
