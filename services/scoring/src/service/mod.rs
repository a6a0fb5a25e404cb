//! The use cases, one file a noun. Each opens the transaction of its change and commits it.

pub(crate) mod backtest;
pub(crate) mod check;
pub(crate) mod counter;
mod csv_rows;
#[cfg(test)]
mod csv_tests;
pub(crate) mod decide;
pub(crate) mod export;
pub(crate) mod function;
pub(crate) mod import;
mod packing;
mod picture;
pub(crate) mod plan;
mod plan_csv;
pub(crate) mod policy;
pub(crate) mod rating;
pub(crate) mod summary;
pub(crate) mod task;

use crate::cache::Caches;
use crate::store;
use crate::store::policies::PolicyRow;
use crate::{Settings, convert};
use remit_api::scoring::v1 as api;
use remit_core::{Actor, ActorKind, Clock, Error, Outcome, Result, Tenant, Timestamp};
use remit_policy::suitability::{Seed, Signal, seeds};
use remit_policy::{Policy, seed};
use remit_store::{Begin, Call, Db, Mutation};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// The service: what every use case works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Scoring {
    pub db: Db,
    pub clock: Arc<dyn Clock>,
    pub settings: Settings,
    pub caches: Caches,
    pub counter: counter::Counter,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    seeded: RwLock<HashSet<Tenant>>,
    compiled: RwLock<HashMap<String, Arc<Policy>>>,
    linted: RwLock<HashMap<String, Arc<api::LintReport>>>,
}

/// What decisions of one tenant are made by.
pub(crate) struct Rules {
    pub policy: Arc<Policy>,
    pub functions: BTreeMap<String, (api::Function, String)>,
}

impl Rules {
    /// The function of a task and the digest of what decisions depend on in it.
    pub(crate) fn function(&self, id: &str) -> (Option<&api::Function>, &str) {
        self.functions.get(id).map_or((None, ""), |(function, digest)| (Some(function), digest.as_str()))
    }
}

/// How long work in groups waits when too many audit events wait for delivery.
pub(crate) const FULL_PAUSE: Duration = Duration::from_millis(200);

/// Whether too many audit events wait for delivery: work in groups then waits instead of failing, at most until the
/// caller's deadline.
pub(crate) fn full(error: &Error) -> bool {
    error.reason() == "OUTBOX_FULL"
}

/// The service's own identity, for what nobody asked for.
pub(crate) fn own_actor() -> Actor {
    Actor {
        subject: "service:scoring".into(),
        kind: ActorKind::Service,
        roles: vec!["service".into()],
        role_groups: Vec::new(),
        on_behalf_of: None,
    }
}

impl Scoring {
    pub(crate) fn new(
        db: Db,
        clock: Arc<dyn Clock>,
        settings: Settings,
        caches: Caches,
        counter: counter::Counter,
    ) -> Self {
        Self { db, clock, settings, caches, counter, shared: Arc::default() }
    }

    /// The compiled form of a stored version. Versions are immutable, so it is compiled once.
    pub(crate) fn compiled(&self, row: &PolicyRow) -> Result<Arc<Policy>> {
        let known = self.shared.compiled.read().unwrap_or_else(PoisonError::into_inner).get(&row.digest).cloned();
        if let Some(policy) = known {
            return Ok(policy);
        }
        let policy = Policy::parse(&row.source)
            .map_err(|error| Error::internal(format!("reading {}", row.name())).with_source(error))?;
        let policy = Arc::new(policy);
        let mut compiled = self.shared.compiled.write().unwrap_or_else(PoisonError::into_inner);
        // A bound, not a policy: a tenant has a handful of versions.
        if compiled.len() >= 1_000 {
            compiled.clear();
        }
        compiled.insert(row.digest.clone(), policy.clone());
        Ok(policy)
    }

    /// What lint finds in a policy. Versions are immutable, so each is checked once; it may take a second, which must
    /// not hold up other calls.
    pub(crate) async fn linted(&self, policy: Arc<Policy>) -> Result<Arc<api::LintReport>> {
        let digest = policy.digest().to_owned();
        let known = self.shared.linted.read().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned();
        if let Some(report) = known {
            return Ok(report);
        }
        let report = tokio::task::spawn_blocking(move || policy::lint_message(&policy))
            .await
            .map_err(|error| Error::internal("lint ended early").with_source(error))?;
        let report = Arc::new(report);
        let mut linted = self.shared.linted.write().unwrap_or_else(PoisonError::into_inner);
        // A bound, not a policy: a report is small, and drafts come and go.
        if linted.len() >= 200 {
            linted.clear();
        }
        linted.insert(digest, report.clone());
        Ok(report)
    }

    /// Gives a tenant its first policies and functions, once.
    pub(crate) async fn seed(&self, tenant: &Tenant) -> Result<()> {
        if self.shared.seeded.read().unwrap_or_else(PoisonError::into_inner).contains(tenant) {
            return Ok(());
        }
        let present = store::policies::find_active(&mut self.db.read().await?, tenant).await?.is_some();
        if !present {
            self.write_seeds(tenant).await?;
        }
        self.shared.seeded.write().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone());
        Ok(())
    }

    async fn write_seeds(&self, tenant: &Tenant) -> Result<()> {
        let now = self.clock.now();
        let call = Call {
            tenant: tenant.clone(),
            actor: own_actor(),
            method: "scoring.tenants.seed",
            request_id: String::new(),
            request_digest: [0; 32],
            trace_id: String::new(),
            now,
        };
        let Begin::Fresh(mut mutation) = self.db.begin(&call).await? else {
            return Err(Error::internal("a call without request id was replayed"));
        };
        store::claim(mutation.tx(), tenant, 0, 1).await?;
        for (source, state) in [(seed::INVERTED_SUM, "ACTIVE"), (seed::LITERAL_SUM, "DRAFT")] {
            let policy = Policy::parse(source.as_bytes())?;
            let row = PolicyRow {
                policy: policy.file.policy.clone(),
                version: policy.file.version.clone(),
                state: state.into(),
                digest: policy.digest().into(),
                source: source.into(),
                format: i64::from(api::PolicyFormat::Yaml as i32),
                creator: call.actor.subject.clone(),
                proposal: String::new(),
                backtest_digest: String::new(),
                create_time: now,
                activate_time: (state == "ACTIVE").then_some(now),
                supersede_time: None,
            };
            if store::policies::insert(mutation.tx(), tenant, &row, policy.file.activatable).await? {
                let mut event = mutation.event("scoring.policies.create", &row.name());
                event.policy_version = row.name();
                event.after_digest.clone_from(&row.digest);
                event.details = serde_json::json!({"state": state, "seed": true});
                mutation.record(event);
            }
        }
        if store::functions::count(mutation.tx(), tenant).await? == 0 {
            for seed in seeds()? {
                self.write_seed_function(&mut mutation, tenant, &seed, now).await?;
            }
        }
        mutation.commit(Vec::new()).await
    }

    async fn write_seed_function(
        &self,
        mutation: &mut Mutation,
        tenant: &Tenant,
        seed: &Seed,
        now: Timestamp,
    ) -> Result<()> {
        let signal = |signal: Signal| match signal {
            None => api::Signal::Unspecified,
            Some(true) => api::Signal::Holds,
            Some(false) => api::Signal::Fails,
        };
        let named = |prefix: &str, name: &str| format!("{prefix}{name}");
        let mut function = api::Function {
            name: format!("functions/{}", seed.id),
            title: seed.title.clone(),
            compressible: signal(seed.compressible).into(),
            tooling_adopted: signal(seed.tooling_adopted).into(),
            senior_strategy_role: signal(seed.senior_strategy_role).into(),
            market_premium: signal(seed.market_premium).into(),
            notes: seed.notes.clone(),
            update_time: Some(convert::time(now)),
            ..api::Function::default()
        };
        let maturity = api::Maturity::from_str_name(&named("MATURITY_", &seed.maturity));
        function.set_maturity(maturity.unwrap_or(api::Maturity::Unspecified));
        let kind = api::ExecutionKind::from_str_name(&named("EXECUTION_KIND_", &seed.execution_kind));
        function.set_execution_kind(kind.unwrap_or(api::ExecutionKind::Unspecified));
        let status = api::FunctionStatus::from_str_name(&named("FUNCTION_STATUS_", &seed.status));
        function.set_status(status.unwrap_or(api::FunctionStatus::Untested));
        let evidence = api::EvidenceLevel::from_str_name(&named("EVIDENCE_LEVEL_", &seed.evidence));
        function.set_evidence_level(evidence.unwrap_or(api::EvidenceLevel::None));
        function::finish_function(&mut function, 1);
        let digest = convert::function_digest(Some(&function))?;
        store::functions::put(mutation.tx(), tenant, &seed.id, &digest, 1, &function).await?;
        let mut event = mutation.event("scoring.functions.update", &function.name);
        event.after_digest = digest;
        event.details = serde_json::json!({"seed": true});
        event.outcome = Outcome::Success;
        mutation.record(event);
        Ok(())
    }

    /// The active policy and the functions, as one transaction sees them.
    pub(crate) async fn rules(&self, tx: &mut remit_store::Tx, tenant: &Tenant) -> Result<Rules> {
        let row = store::policies::find_active(tx, tenant)
            .await?
            .ok_or_else(|| Error::precondition("NO_ACTIVE_POLICY", "the tenant has no active policy"))?;
        let functions = store::functions::all(tx, tenant).await?;
        let by_id = |(function, digest): (api::Function, String)| {
            let id = function.name.strip_prefix("functions/").unwrap_or_default().to_owned();
            (id, (function, digest))
        };
        Ok(Rules { policy: self.compiled(&row)?, functions: functions.into_iter().map(by_id).collect() })
    }
}
