//! The use cases, one file for each noun.

mod bounces;
mod deliveries;
mod notices;
mod people;
mod settings;
mod subscriptions;
mod timers;

pub(crate) use settings::{TENANT, name_of};
pub(crate) use subscriptions::{mailed_to, stop};

use crate::address::Rules;
use crate::language::LANGUAGES;
use crate::people::guests::Guests;
use crate::people::smtp::Smtp;
use crate::people::unsubscribe::Keys;
use remit_api::wire::Repeatable;
use remit_core::{Error, Ids, Result, Tenant};
use remit_runtime::auth::grants;
use remit_runtime::peers::Peers;
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
    /// Told when there may be something to send to people.
    pub(crate) post: Arc<Notify>,
    /// The way to the mail server, if there is one.
    pub(crate) smtp: Option<Arc<Smtp>>,
    /// Where people reach this suite; empty if nobody has said so.
    pub(crate) public_url: String,
    /// Where they see a resource, with a place for its name; empty likewise.
    pub(crate) links: String,
    /// The language of those who have set none.
    pub(crate) language: String,
    pub(crate) guests: Guests,
    pub(crate) keys: Keys,
    /// What types of events begin with.
    pub(crate) event_prefix: String,
    /// The way to the audit log; none in a test.
    peers: Option<Peers>,
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
            post: Arc::default(),
            smtp: Smtp::open(&deps.config.notify.smtp)?.map(Arc::new),
            public_url: deps.config.notify.public_url.clone(),
            links: deps.config.notify.link.clone(),
            language: language(&deps.config.notify.language)?,
            guests: Guests::default(),
            keys: Keys::default(),
            event_prefix: deps.config.notify.event_prefix.clone(),
            peers: Some(deps.peers.clone()),
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
        self.post.notify_one();
        answer
    }

    /// Whether one of the roles lets read what a subscription shows its owner.
    pub(crate) fn roles_read(&self, roles: &[String]) -> bool {
        roles.iter().any(|role| self.roles.get(role).is_some_and(|patterns| grants(patterns, READS)))
    }

    /// Whether a role of the caller grants a permission.
    fn may(&self, cx: &Cx, permission: &str) -> bool {
        let granted = |role: &String| self.roles.get(role).is_some_and(|patterns| grants(patterns, permission));
        cx.actor.roles.iter().any(granted)
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
            post: Arc::default(),
            smtp: None,
            public_url: String::new(),
            links: String::new(),
            language: language("en")?,
            guests: Guests::default(),
            keys: Keys::default(),
            event_prefix: "remit".to_owned(),
            peers: None,
            allow_http: true,
            roles: Arc::default(),
            seeded: Seeded::default(),
        })
    }
}

/// The language that is configured.
fn language(configured: &str) -> Result<String> {
    if LANGUAGES.contains(&configured) {
        return Ok(configured.to_owned());
    }
    let why = format!("must be one of {}", LANGUAGES.join(", "));
    Err(Error::invalid("CONFIG_INVALID", "notify.language", why))
}
