//! What decisions are made by: policies in compiled form, and a tenant's active policy with its functions.
//!
//! Versions never change, so each is compiled and linted once. A tenant's rules are kept under the head's revision of
//! settings, which every change of them moves on: whoever has read the head knows whether they still hold.

use crate::files::lint_message;
use crate::function;
use crate::store::Head;
use crate::store::functions::Functions;
use crate::store::policies;
use remit_api::scoring::v1 as api;
use remit_core::{Error, Result, Tenant};
use remit_policy::Policy;
use remit_store::{Records as _, Tx};
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

/// What decisions of one tenant are made by.
pub(crate) struct Rules {
    pub policy: Arc<Policy>,
    /// By name: the function and the digest of what decisions depend on in it.
    functions: BTreeMap<String, (api::Function, String)>,
    settings_revision: i64,
}

impl Rules {
    /// The function of that name and the digest of what decisions depend on in it; empty for no function.
    pub(crate) fn function(&self, name: &str) -> (Option<&api::Function>, &str) {
        self.functions.get(name).map_or((None, ""), |(function, digest)| (Some(function), digest.as_str()))
    }

    /// Every function, by name.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &api::Function> {
        self.functions.values().map(|(function, _)| function)
    }
}

/// A map in memory that forgets everything when it is full: a bound, not a policy.
struct Kept<K, V> {
    most: usize,
    values: RwLock<HashMap<K, Arc<V>>>,
}

impl<K: Hash + Eq, V> Kept<K, V> {
    fn new(most: usize) -> Self {
        Self { most, values: RwLock::default() }
    }

    fn get(&self, key: &K) -> Option<Arc<V>> {
        self.values.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn put(&self, key: K, value: V) -> Arc<V> {
        let value = Arc::new(value);
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        if values.len() >= self.most {
            values.clear();
        }
        values.insert(key, value.clone());
        value
    }
}

struct Shared {
    compiled: Kept<String, Policy>,
    linted: Kept<String, api::LintReport>,
    tenants: Kept<Tenant, Rules>,
}

/// The policies and rules that this process knows. Cheap to clone.
#[derive(Clone)]
pub(crate) struct RuleCache(Arc<Shared>);

impl RuleCache {
    pub(crate) fn new() -> Self {
        let (compiled, linted, tenants) = (Kept::new(1_000), Kept::new(200), Kept::new(1_000));
        Self(Arc::new(Shared { compiled, linted, tenants }))
    }

    /// The compiled form of a stored version.
    pub(crate) fn compiled(&self, version: &api::PolicyVersion) -> Result<Arc<Policy>> {
        if let Some(policy) = self.0.compiled.get(&version.digest) {
            return Ok(policy);
        }
        let policy = Policy::parse(&version.source)
            .map_err(|error| Error::internal(format!("reading {}", version.name)).with_source(error))?;
        Ok(self.0.compiled.put(version.digest.clone(), policy))
    }

    /// What lint finds in a policy; it may take a second, which must not hold up other calls.
    pub(crate) async fn linted(&self, policy: Arc<Policy>) -> Result<Arc<api::LintReport>> {
        let digest = policy.digest().to_owned();
        if let Some(report) = self.0.linted.get(&digest) {
            return Ok(report);
        }
        let report = tokio::task::spawn_blocking(move || lint_message(&policy))
            .await
            .map_err(|error| Error::internal("lint ended early").with_source(error))?;
        Ok(self.0.linted.put(digest, report))
    }

    /// The rules of `head`, which was read or locked in `tx`, or before it; `tx` must not have changed them itself.
    ///
    /// # Errors
    /// `FailedPrecondition` (`NO_ACTIVE_POLICY`); else as the database fails.
    pub(crate) async fn at(&self, tx: &mut Tx, tenant: &Tenant, head: Head) -> Result<Arc<Rules>> {
        let settings_revision = head.settings_revision;
        if let Some(rules) = self.0.tenants.get(tenant).filter(|rules| rules.settings_revision == settings_revision) {
            return Ok(rules);
        }
        let active = policies::find_active(tx, tenant)
            .await?
            .ok_or_else(|| Error::precondition("NO_ACTIVE_POLICY", "the tenant has no active policy"))?;
        let functions = Functions::all(tx, tenant, &[]).await?.into_iter().map(|function| {
            let digest = function::content_digest(&function)?;
            Ok((function.name.clone(), (function, digest)))
        });
        let functions = functions.collect::<Result<_>>()?;
        let rules = Rules { policy: self.compiled(&active)?, functions, settings_revision };
        Ok(self.0.tenants.put(tenant.clone(), rules))
    }
}
