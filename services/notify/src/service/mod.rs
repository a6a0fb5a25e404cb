//! The use cases, one file for each noun.

mod deliveries;
mod notices;
mod subscriptions;
mod timers;

pub(crate) use subscriptions::stop;

use crate::address::Rules;
use remit_api::wire::Repeatable;
use remit_core::{Error, Ids, Result, Tenant};
use remit_runtime::auth::grants;
use remit_runtime::{Cx, Deps, Seeded};
use remit_store::{Db, Mutation, tenants};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// What a subscription reads is what its owner may read.
const READS: &str = "audit.entries.search";

/// The service: its database and what its configuration says.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) db: Db,
    pub(crate) ids: Arc<Ids>,
    pub(crate) rules: Rules,
    /// Told when there may be something to send.
    pub(crate) wake: Arc<Notify>,
    allow_http: bool,
    roles: Arc<BTreeMap<String, Vec<String>>>,
    seeded: Seeded,
}

impl Service {
    /// Builds the service from what the process provides.
    ///
    /// # Errors
    /// `InvalidArgument` (`CONFIG_INVALID`).
    pub(crate) fn new(deps: &Deps) -> Result<Self> {
        Ok(Self {
            db: deps.db.clone(),
            ids: deps.ids.clone(),
            rules: Rules::new(&deps.config.notify.allow_addresses)?,
            wake: Arc::default(),
            allow_http: deps.config.notify.allow_http,
            roles: Arc::new(deps.config.roles.clone()),
            seeded: Seeded::default(),
        })
    }

    /// Remembers the tenant: from then on its log is followed, even if it only reads here.
    pub(crate) async fn ready(&self, tenant: &Tenant) -> Result<()> {
        self.seeded.ensure(tenant, async || tenants::see(&self.db, tenant).await).await
    }

    /// A mutation that the caller asked for.
    async fn mutate<Q: Repeatable, A: prost::Message + Default>(
        &self,
        cx: &Cx,
        request: &Q,
        work: impl AsyncFnOnce(&mut Mutation) -> Result<A>,
    ) -> Result<A> {
        self.ready(&cx.tenant).await?;
        let answer = self.db.mutate(&cx.call(request), work).await;
        self.wake.notify_one();
        answer
    }

    /// Whether one of the roles lets read what a subscription shows its owner.
    pub(crate) fn roles_read(&self, roles: &[String]) -> bool {
        roles.iter().any(|role| self.roles.get(role).is_some_and(|patterns| grants(patterns, READS)))
    }

    /// Holds that the caller may read what a subscription shows its owner.
    fn may_read(&self, cx: &Cx) -> Result<()> {
        if self.roles_read(&cx.actor.roles) {
            return Ok(());
        }
        let who = &cx.actor.subject;
        let why = format!("a subscription sees what its owner may see, and no role of {who} grants {READS}");
        Err(Error::denied("OWNER_MAY_NOT_READ", why))
    }
}

#[cfg(test)]
impl Service {
    /// A service on a database of a test, which may send to these networks.
    pub(crate) fn on(db: Db, allowed: &[&str]) -> Result<Self> {
        let allowed: Vec<String> = allowed.iter().map(|&network| network.to_owned()).collect();
        Ok(Self {
            ids: db.ids().clone(),
            db,
            rules: Rules::new(&allowed)?,
            wake: Arc::default(),
            allow_http: true,
            roles: Arc::default(),
            seeded: Seeded::default(),
        })
    }
}
