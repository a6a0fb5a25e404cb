//! The tenant's decisions in force, its functions and its active policy, as checks need them.

use super::Freshness;
use crate::convert;
use crate::store::{self, Head};
use remit_api::scoring::v1 as api;
use remit_api::types::Stakes;
use remit_core::{Result, Tenant};
use remit_policy::{Pattern, Policy};
use remit_store::Db;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;

const PAGE: i64 = 1_000;
/// How many decisions are read by one statement.
const IDS: usize = 500;

/// The decision in force on a task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InForce {
    pub name: String,
    pub function_digest: String,
    pub pattern: Pattern,
    pub policy: String,
    pub policy_digest: String,
    pub sampling_ratio: f64,
    pub requirements: Vec<String>,
}

/// What a check needs of a task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub function_id: String,
    pub gate: String,
    pub purpose: String,
    pub disclosure: api::Disclosure,
    pub stakes: Stakes,
    pub digest: String,
    pub decision: Option<InForce>,
    /// Whether there was a decision that no longer stands.
    pub outdated: bool,
}

/// The state as a whole; replaced settings, changed tasks.
#[derive(Default)]
pub(crate) struct State {
    pub tasks: HashMap<String, Arc<Entry>>,
    pub function_digests: HashMap<String, String>,
    /// The digest of the active policy.
    pub policy_digest: String,
    policy: Option<Arc<Policy>>,
    head: Head,
    /// When the database was last read; none before the first time.
    heard: Option<Instant>,
}

/// The inventory of one tenant in memory.
#[derive(Default)]
pub(crate) struct Inventory {
    state: RwLock<State>,
    refreshing: Mutex<()>,
    failing: AtomicBool,
    changed: Notify,
}

impl Inventory {
    pub(crate) fn with<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How fresh it is. The database is asked several times a second, so an old inventory means that it does not answer
    /// or that what it holds cannot be read.
    pub(crate) fn freshness(&self) -> Freshness {
        self.with(|state| Freshness {
            revision: state
                .heard
                .map(|_| format!("{}.{}", state.head.revision, state.head.settings_revision))
                .unwrap_or_default(),
            age: state.heard.map(|at| at.elapsed()),
        })
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.with(|state| state.heard.is_some())
    }

    pub(crate) async fn ready(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that no change slips in between.
            changed.as_mut().enable();
            if self.is_ready() {
                return;
            }
            changed.await;
        }
    }

    pub(crate) async fn refresh_or_log(&self, db: &Db, tenant: &Tenant) {
        let failed = self.refresh(db, tenant).await.err();
        let failing = self.failing.swap(failed.is_some(), Ordering::Relaxed);
        // Asked several times a second, a database that is away would fill the log: its absence is said once.
        if let Some(error) = failed.filter(|_| !failing) {
            tracing::warn!(reason = error.reason(), %tenant, "the inventory could not be read: {error}");
        }
    }

    /// Takes over everything that was committed since the last time.
    async fn refresh(&self, db: &Db, tenant: &Tenant) -> Result<()> {
        let _one_at_a_time = self.refreshing.lock().await;
        // As of before reading: what is committed meanwhile counts as not yet seen.
        let heard = Some(Instant::now());
        let (was, loaded) = self.with(|state| (state.head, state.heard.is_some()));
        let now = store::head(&mut db.read().await?, tenant).await?;
        if loaded && now == was {
            self.state.write().unwrap_or_else(PoisonError::into_inner).heard = heard;
            return Ok(());
        }
        let mut tx = db.snapshot().await?;
        let now = store::head(&mut tx, tenant).await?;
        if !loaded || now.settings_revision != was.settings_revision {
            let active = store::policies::find_active(&mut tx, tenant).await?;
            let functions = store::functions::all(&mut tx, tenant).await?;
            let policy = active.as_ref().map(|row| Policy::parse(&row.source)).transpose()?.map(Arc::new);
            let id = |name: &str| name.strip_prefix("functions/").unwrap_or_default().to_owned();
            let digests = functions.into_iter().map(|(function, digest)| (id(&function.name), digest)).collect();
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            state.function_digests = digests;
            state.policy_digest = active.map(|row| row.digest).unwrap_or_default();
            state.policy = policy;
        }
        let policy = self.with(|state| state.policy.clone());
        // Everything up to the head seen last is known; ids are never empty, so this is where the rest begins.
        let mut after = (was.revision + 1, String::new());
        loop {
            let rows = store::tasks::changed(&mut tx, tenant, (after.0, &after.1), PAGE).await?;
            let next = rows.last().filter(|_| rows.len() as i64 == PAGE).map(|row| (row.revision, row.id.clone()));
            let ids: Vec<String> =
                rows.iter().filter(|row| row.state == "DECIDED").map(|row| row.decision_id.clone()).collect();
            let mut decisions = HashMap::new();
            for ids in ids.chunks(IDS) {
                let found = store::decisions::find_all(&mut tx, tenant, ids).await?;
                decisions.extend(found.into_iter().map(|decision| (decision.task.clone(), decision)));
            }
            let entries: Vec<(String, Option<Entry>)> = rows
                .into_iter()
                .map(|row| {
                    let decision = decisions.remove(&format!("tasks/{}", row.id));
                    let id = row.id.clone();
                    (id, (!row.removed).then(|| entry(row, decision, policy.as_deref())))
                })
                .collect();
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            for (id, entry) in entries {
                match entry {
                    Some(entry) => drop(state.tasks.insert(id, Arc::new(entry))),
                    None => drop(state.tasks.remove(&id)),
                }
            }
            drop(state);
            match next {
                Some(next) => after = next,
                None => break,
            }
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        (state.head, state.heard) = (now, heard);
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }
}

fn entry(row: store::tasks::TaskRow, decision: Option<api::Decision>, policy: Option<&Policy>) -> Entry {
    let risk = policy.and_then(|policy| convert::summaries(&row.task, policy).get("risk").map(|risk| risk.median));
    let in_force = decision.filter(|decision| decision.task_digest == row.content_digest).and_then(|decision| {
        let evaluation = decision.evaluation?;
        Some(InForce {
            name: decision.name,
            function_digest: row.decided_function_digest.clone(),
            pattern: Pattern::parse(convert::short(evaluation.pattern().as_str_name(), "AUTONOMY_PATTERN_"))?,
            policy: evaluation.policy,
            policy_digest: evaluation.policy_digest,
            sampling_ratio: evaluation.sampling_ratio,
            requirements: evaluation.requirements,
        })
    });
    Entry {
        function_id: row.function_id().to_owned(),
        gate: row.task.gate.clone(),
        purpose: row.task.purpose.clone(),
        disclosure: row.task.disclosure(),
        stakes: convert::stakes(&row.task, risk),
        digest: row.content_digest,
        outdated: in_force.is_none() && !row.decided_digest.is_empty(),
        decision: in_force,
    }
}
