//! What checks are answered from: memory, fed by our own database and by the watch streams of registry and council.
//!
//! A tenant's cache is made at its first check and goes when nobody has asked for a while. Everything in it knows
//! how old it is, because what is old makes an answer more human.

mod inventory;
mod rules;
#[cfg(test)]
mod tests;
mod watch;

#[cfg(test)]
pub(crate) use inventory::InForce;
pub(crate) use inventory::{Entry, Inventory, Written};
pub(crate) use rules::{RuleCache, Rules};
pub(crate) use watch::{Feed, Freshness};

use crate::Settings;
use remit_api::council::v1 as council;
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::waiver_service_client::WaiverServiceClient;
use remit_api::registry::v1 as registry;
use remit_api::registry::v1::automation_service_client::AutomationServiceClient;
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_core::Tenant;
use remit_runtime::{Peers, foreign};
use remit_store::Db;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often the database is asked for changes that another replica made.
const POLL: Duration = Duration::from_millis(200);
/// After how long without a check a tenant's cache is given up.
const IDLE: Duration = Duration::from_secs(1_800);

/// The caches of all tenants. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Caches(Arc<Shared>);

struct Shared {
    db: Db,
    rules: RuleCache,
    peers: Peers,
    settings: Settings,
    shutdown: CancellationToken,
    started: Instant,
    tenants: RwLock<HashMap<Tenant, Arc<TenantCache>>>,
}

/// What is known for one tenant.
pub(crate) struct TenantCache {
    pub inventory: Inventory,
    pub models: Feed<registry::ModelState>,
    pub automations: Feed<registry::Automation>,
    pub holds: Feed<council::Hold>,
    pub waivers: Feed<council::Waiver>,
    /// Seconds from the start of the process to the last check.
    used: AtomicU64,
    stop: CancellationToken,
}

/// How fresh everything is that an answer rests on.
pub(crate) struct Ages {
    pub inventory: Freshness,
    pub models: Freshness,
    pub automations: Freshness,
    pub holds: Freshness,
    pub waivers: Freshness,
}

impl Ages {
    /// Each source by its name.
    pub(crate) fn all(&self) -> [(&'static str, &Freshness); 5] {
        let Self { inventory, models, automations, holds, waivers } = self;
        [
            ("inventory", inventory),
            ("models", models),
            ("automations", automations),
            ("holds", holds),
            ("waivers", waivers),
        ]
    }
}

/// Follows a watch stream of a peer. They have one shape, but their messages no trait in common.
macro_rules! follow {
    ($caches:ident, $tenant:ident, $cache:ident.$feed:ident, $peer:ident, $client:ident.$method:ident, $request:ident) => {
        let (peers, tenant) = ($caches.0.peers.clone(), $tenant.clone());
        let patience = $caches.0.settings.stale_after;
        watch::follow(
            $cache.clone(),
            |cache| &cache.$feed,
            patience,
            $cache.stop.clone(),
            stringify!($peer),
            move |cursor| {
                let mut client = $client::new(peers.channel(stringify!($peer)));
                let request = peers.request("scoring", &tenant, $peer::$request { cursor });
                async move {
                    let stream = client.$method(request).await.map_err(foreign)?.into_inner();
                    Ok(watch::messages(stream, |m| {
                        let key = m.item.as_ref().map(|item| item.name.clone());
                        (m.phase, m.cursor, key, m.item.filter(|_| !m.deleted))
                    }))
                }
            },
        );
    };
}

/// Waits until `done`, which changes only where `changed` is told.
async fn until(changed: &Notify, done: impl Fn() -> bool) {
    loop {
        let next = changed.notified();
        tokio::pin!(next);
        // Registered before looking, so that no change slips in between.
        next.as_mut().enable();
        if done() {
            return;
        }
        next.await;
    }
}

impl Caches {
    pub(crate) fn new(db: Db, rules: RuleCache, peers: Peers, settings: Settings, shutdown: CancellationToken) -> Self {
        let (started, tenants) = (Instant::now(), RwLock::default());
        Self(Arc::new(Shared { db, rules, peers, settings, shutdown, started, tenants }))
    }

    /// The ways to the other services.
    pub(crate) fn peers(&self) -> &Peers {
        &self.0.peers
    }

    /// The tenant's cache, begun if there is none yet.
    pub(crate) fn tenant(&self, tenant: &Tenant) -> Arc<TenantCache> {
        let now = self.0.started.elapsed().as_secs();
        if let Some(cache) = self.known(tenant) {
            cache.used.store(now, Ordering::Relaxed);
            return cache;
        }
        let mut tenants = self.0.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let cache = tenants.entry(tenant.clone()).or_insert_with(|| self.begin(tenant, now));
        cache.clone()
    }

    fn known(&self, tenant: &Tenant) -> Option<Arc<TenantCache>> {
        self.0.tenants.read().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned()
    }

    /// For how long nothing was heard of what each source says, worst tenant: what was never heard of is as old as the
    /// process.
    pub(crate) fn ages(&self) -> BTreeMap<&'static str, Duration> {
        let caches: Vec<_> = self.0.tenants.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let mut worst = BTreeMap::new();
        for ages in caches.iter().map(|cache| cache.ages()) {
            for (source, found) in ages.all() {
                let age = found.age.unwrap_or_else(|| self.0.started.elapsed());
                worst.entry(source).and_modify(|worst: &mut Duration| *worst = age.max(*worst)).or_insert(age);
            }
        }
        worst
    }

    /// Takes over what this process has just committed, so that the next check sees it.
    pub(crate) async fn take(&self, tenant: &Tenant, written: Option<Written>) {
        if let (Some(cache), Some(written)) = (self.known(tenant), written) {
            cache.inventory.take(&self.0.db, tenant, &self.0.rules, written).await;
        }
    }

    /// Reads what this process has just committed where it does not know what that was.
    pub(crate) async fn refresh(&self, tenant: &Tenant) {
        if let Some(cache) = self.known(tenant) {
            cache.inventory.refresh_or_log(&self.0.db, tenant, &self.0.rules).await;
        }
    }

    fn begin(&self, tenant: &Tenant, now: u64) -> Arc<TenantCache> {
        let cache = Arc::new(TenantCache {
            inventory: Inventory::default(),
            models: Feed::default(),
            automations: Feed::default(),
            holds: Feed::default(),
            waivers: Feed::default(),
            used: AtomicU64::new(now),
            stop: self.0.shutdown.child_token(),
        });
        self.follow_inventory(tenant.clone(), cache.clone());
        follow!(self, tenant, cache.models, registry, ModelServiceClient.watch_model_states, WatchModelStatesRequest);
        follow!(
            self,
            tenant,
            cache.automations,
            registry,
            AutomationServiceClient.watch_automations,
            WatchAutomationsRequest
        );
        follow!(self, tenant, cache.holds, council, HoldServiceClient.watch_holds, WatchHoldsRequest);
        follow!(self, tenant, cache.waivers, council, WaiverServiceClient.watch_waivers, WatchWaiversRequest);
        cache
    }

    fn follow_inventory(&self, tenant: Tenant, cache: Arc<TenantCache>) {
        let caches = self.clone();
        tokio::spawn(async move {
            loop {
                cache.inventory.refresh_or_log(&caches.0.db, &tenant, &caches.0.rules).await;
                tokio::select! {
                    () = cache.stop.cancelled() => return,
                    () = tokio::time::sleep(POLL) => {}
                }
                let idle = caches.0.started.elapsed().as_secs().saturating_sub(cache.used.load(Ordering::Relaxed));
                if idle > IDLE.as_secs() {
                    caches.0.tenants.write().unwrap_or_else(PoisonError::into_inner).remove(&tenant);
                    cache.stop.cancel();
                    return;
                }
            }
        });
    }
}

impl TenantCache {
    /// Waits until everything has a first state, at most for `patience`.
    pub(crate) async fn ready(&self, patience: Duration) {
        let all = async {
            self.inventory.ready().await;
            self.models.ready().await;
            self.automations.ready().await;
            self.holds.ready().await;
            self.waivers.ready().await;
        };
        // What is not there by then is missing, and the answer says so.
        let _ = tokio::time::timeout(patience, all).await;
    }

    /// Whether everything has a first state.
    pub(crate) fn is_ready(&self) -> bool {
        self.inventory.is_ready()
            && self.models.is_ready()
            && self.automations.is_ready()
            && self.holds.is_ready()
            && self.waivers.is_ready()
    }

    pub(crate) fn ages(&self) -> Ages {
        Ages {
            inventory: self.inventory.freshness(),
            models: self.models.freshness(),
            automations: self.automations.freshness(),
            holds: self.holds.freshness(),
            waivers: self.waivers.freshness(),
        }
    }
}
