//! What the layers refuse before any handler is on record too: who tried to change something without being allowed to.
//!
//! A caller that goes on trying must not fill the log, so of the refusals of one caller, method and reason one in a
//! minute gets an entry, which says how many came since the last one.

use crate::auth::{Identity, Method};
use moka::sync::Cache;
use remit_core::{Error, Tenant};
use remit_store::{Call, Db};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

/// How often refusals of the same sort get an entry.
const EVERY: Duration = Duration::from_secs(60);

/// How many sorts of refusal are remembered, and for how long after the last of each.
const MOST: u64 = 10_000;
const MEMORY: Duration = Duration::from_secs(3_600);

/// Tenant, subject, path of the method, reason.
type Sort = (Tenant, String, String, &'static str);

/// What is remembered of one sort of refusal.
#[derive(Debug, Default)]
struct Seen {
    recorded: Option<Instant>,
    since: u64,
}

/// Records refusals in the databases of the services of this process.
#[derive(Clone)]
pub(crate) struct Refusals {
    databases: Arc<BTreeMap<&'static str, Db>>,
    tasks: TaskTracker,
    seen: Cache<Sort, Arc<Mutex<Seen>>>,
}

impl Refusals {
    /// Records in `databases`, by service; what is written belongs to `tasks`.
    pub(crate) fn new(databases: Arc<BTreeMap<&'static str, Db>>, tasks: TaskTracker) -> Self {
        let seen = Cache::builder().max_capacity(MOST).time_to_idle(MEMORY).build();
        Self { databases, tasks, seen }
    }

    /// Records that `identity` was refused `method`, in the background. Reads are not recorded, nor what belongs to a
    /// service of another process.
    pub(crate) fn note(&self, identity: &Identity, method: &Method, error: &Error, trace_id: String) {
        if method.read {
            return;
        }
        let Some(db) = self.database(method.permission).cloned() else { return };
        let Some(unrecorded) = self.count(identity, method, error.reason(), Instant::now()) else { return };
        let call = Call {
            tenant: identity.tenant.clone(),
            actor: identity.actor.clone(),
            method: method.permission,
            resource: String::new(),
            request_id: String::new(),
            request_digest: [0; 32],
            trace_id,
        };
        let error = Error::new(error.kind(), error.reason(), error.message());
        self.tasks.spawn(async move { db.refuse(&call, &error, unrecorded).await });
    }

    /// That of the service that the permission begins with; for what belongs to every process, that of any service.
    fn database(&self, permission: &str) -> Option<&Db> {
        let service = permission.split('.').next().unwrap_or_default();
        let own = || self.databases.values().next().filter(|_| service == "system");
        self.databases.get(service).or_else(own)
    }

    /// How many went without an entry before this one, or none if this one goes without.
    fn count(&self, identity: &Identity, method: &Method, reason: &'static str, now: Instant) -> Option<u64> {
        let sort = (identity.tenant.clone(), identity.actor.subject.clone(), method.name.clone(), reason);
        let seen = self.seen.get_with(sort, Arc::default);
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.recorded.is_some_and(|at| now.saturating_duration_since(at) < EVERY) {
            seen.since = seen.since.saturating_add(1);
            return None;
        }
        seen.recorded = Some(now);
        Some(std::mem::take(&mut seen.since))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::auth::Methods;
    use crate::config::Config;
    use remit_core::Actor;

    #[test]
    fn one_refusal_of_a_sort_in_a_minute_gets_an_entry_and_counts_the_others() {
        let refusals = Refusals::new(Arc::default(), TaskTracker::new());
        let methods = Methods::new(remit_api::pool(), &Config::from_toml("").unwrap().roles).unwrap();
        let method = |path| methods.get(path).unwrap();
        let vote = method("/remit.council.v1.ProposalService/Vote");
        let seal = method("/remit.council.v1.ReviewService/SealReview");
        let who = |subject: &str| Identity {
            tenant: Tenant::new("acme").unwrap(),
            actor: Actor { subject: subject.to_owned(), ..Actor::service("x") },
            service: None,
            email: None,
            issuer: String::new(),
            token_id: String::new(),
            issued: 0,
            expires: 0,
        };
        let (ann, bob, now) = (who("ann"), who("bob"), Instant::now());
        assert_eq!(refusals.count(&ann, vote, "PERMISSION_MISSING", now), Some(0));
        for seconds in [0, 1, 59] {
            let now = now + Duration::from_secs(seconds);
            assert_eq!(refusals.count(&ann, vote, "PERMISSION_MISSING", now), None);
        }
        assert_eq!(refusals.count(&ann, vote, "ACTOR_KIND_NOT_ALLOWED", now), Some(0));
        assert_eq!(refusals.count(&ann, seal, "PERMISSION_MISSING", now), Some(0));
        assert_eq!(refusals.count(&bob, vote, "PERMISSION_MISSING", now), Some(0));
        assert_eq!(refusals.count(&ann, vote, "PERMISSION_MISSING", now + EVERY), Some(3));
        assert_eq!(refusals.count(&ann, vote, "PERMISSION_MISSING", now + EVERY), None);
    }
}
