//! What a tenant has from its first call on: a calendar and the two template gates.

use super::{Service, gates};
use crate::store::Calendars;
use crate::templates;
use remit_api::handoff::v1 as pb;
use remit_api::wire::time::stamp;
use remit_core::{Result, Tenant};
use remit_store::{Mutation, Records as _};

impl Service {
    /// Creates what ships with the service, once a tenant.
    pub(super) async fn seed(&self, tenant: &Tenant) -> Result<()> {
        let plant = async || {
            let found = Calendars::find(&mut self.db.read().await?, tenant, templates::CALENDAR).await?;
            if found.is_some() {
                return Ok(());
            }
            self.db.own(tenant, "handoff.templates.seed", plant).await
        };
        self.seeded.ensure(tenant, plant).await
    }
}

async fn plant(m: &mut Mutation) -> Result<()> {
    let now = Some(stamp(m.now()));
    let mut calendar = pb::Calendar { create_time: now, update_time: now, ..templates::calendar() };
    // The first statement decides which of several first calls plants.
    if !Calendars::try_insert(m, &mut calendar).await? {
        return Ok(());
    }
    m.record(&calendar.name, |_| {});
    for (gate, version) in [(templates::CREATIVE, templates::creative()), (templates::ROUTING, templates::routing())] {
        let gate = pb::Gate { name: gate.to_owned(), template: true, ..Default::default() };
        let gate = gates::claim_or_insert(m, gate).await?;
        let version = gates::insert_version(m, gate, version).await?;
        m.record(&version.name, |event| event.after_digest = version.digest.clone());
    }
    Ok(())
}
