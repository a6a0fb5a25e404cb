//! What every tenant starts with: two policies and the functions of the seed's table.

use super::Service;
use crate::function;
use crate::store;
use crate::store::functions::Functions;
use crate::store::policies::{self, Policies};
use remit_api::scoring::v1::{PolicyFormat, PolicyState};
use remit_core::details::{Details as _, FunctionUpdated, PolicyCreated};
use remit_core::{Result, Tenant};
use remit_policy::suitability::seeds;
use remit_policy::{Policy, seed};
use remit_store::{Mutation, Records as _};

impl Service {
    /// Gives a tenant its first policies and functions, once.
    pub(super) async fn seed(&self, tenant: &Tenant) -> Result<()> {
        self.seeded
            .ensure(tenant, async || {
                if policies::find_active(&mut self.db.read().await?, tenant).await?.is_some() {
                    return Ok(());
                }
                self.db.own(tenant, "scoring.tenants.seed", write).await
            })
            .await
    }
}

async fn write(m: &mut Mutation) -> Result<()> {
    store::claim(m, 0, 1).await?;
    let tenant = m.tenant().clone();
    if policies::find_active(m.tx(), &tenant).await?.is_some() {
        // Another call was faster.
        return Ok(());
    }
    for (source, state) in [(seed::INVERTED_SUM, PolicyState::Active), (seed::LITERAL_SUM, PolicyState::Draft)] {
        let policy = Policy::parse(source.as_bytes())?;
        let mut version = super::policies::version(&policy, source.into(), PolicyFormat::Yaml, m);
        version.set_state(state);
        version.activate_time = version.create_time.filter(|_| state == PolicyState::Active);
        Policies::insert(m, &mut version).await?;
        let details = PolicyCreated { seed: true, ..super::policies::created(&version) };
        let mut event = m.event("scoring.policies.create", &version.name);
        event.policy_version = version.name;
        event.after_digest = version.digest;
        event.details = details.json();
        m.record_event(event);
    }
    for seed in seeds()? {
        let mut function = function::seeded(seed, m.now());
        Functions::insert(m, &mut function).await?;
        let mut event = m.event("scoring.functions.update", &function.name);
        event.after_digest = function::content_digest(&function)?;
        event.details = FunctionUpdated { seed: true, ..Default::default() }.json();
        m.record_event(event);
    }
    Ok(())
}
