//! The tenant's decisions in force, its functions and its active policy, as checks need them.

use super::{Freshness, RuleCache, Rules};
use crate::store::tasks::TaskRow;
use crate::store::{self, Head};
use crate::{pattern, task};
use remit_api::scoring::v1 as api;
use remit_api::types::Stakes;
use remit_core::{Result, Tenant, name};
use remit_policy::Pattern;
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
    pub function: String,
    pub gate: String,
    pub purpose: String,
    pub disclosure: api::Disclosure,
    pub stakes: Stakes,
    pub digest: String,
    pub decision: Option<InForce>,
    /// Whether there was a decision that no longer stands.
    pub outdated: bool,
}

/// What a change of this process has committed: the tasks as they now are, with their decisions where these are new.
pub(crate) struct Written {
    /// Where the change has brought the head.
    pub head: Head,
    /// By how much it has moved the inventory on.
    pub changes: i64,
    pub rules: Arc<Rules>,
    pub tasks: Vec<(TaskRow, Option<api::Decision>)>,
}

/// The state as a whole; replaced settings, changed tasks.
#[derive(Default)]
pub(crate) struct State {
    pub tasks: HashMap<String, Arc<Entry>>,
    /// None before the first time.
    pub rules: Option<Arc<Rules>>,
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

    fn update<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
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
        super::until(&self.changed, || self.is_ready()).await;
    }

    pub(crate) async fn refresh_or_log(&self, db: &Db, tenant: &Tenant, rules: &RuleCache) {
        let _one_at_a_time = self.refreshing.lock().await;
        self.refresh(db, tenant, rules).await;
    }

    /// Takes over what this process has committed. A change that does not follow on what is here, because another
    /// one came in between, is read from the database with that one.
    ///
    /// What is here is as old as before: the age tells when the database was last asked, and by whose change it was
    /// not.
    pub(crate) async fn take(&self, db: &Db, tenant: &Tenant, rules: &RuleCache, written: Written) {
        let _one_at_a_time = self.refreshing.lock().await;
        if self.with(|state| state.heard.is_some() && state.head.revision >= written.head.revision) {
            return;
        }
        if !self.update(|state| state.follow(written)) {
            self.refresh(db, tenant, rules).await;
        }
    }

    async fn refresh(&self, db: &Db, tenant: &Tenant, rules: &RuleCache) {
        let failed = self.read(db, tenant, rules).await.err();
        let failing = self.failing.swap(failed.is_some(), Ordering::Relaxed);
        // Asked several times a second, a database that is away would fill the log: its absence is said once.
        if let Some(error) = failed.filter(|_| !failing) {
            tracing::warn!(reason = error.reason(), %tenant, "the inventory could not be read: {error}");
        }
    }

    /// Takes over everything that was committed since the last time.
    async fn read(&self, db: &Db, tenant: &Tenant, rules: &RuleCache) -> Result<()> {
        // As of before reading: what is committed meanwhile counts as not yet seen.
        let heard = Some(Instant::now());
        let (was, loaded) = self.with(|state| (state.head, state.heard.is_some()));
        let now = store::head(&mut db.read().await?, tenant).await?;
        if loaded && now == was {
            self.update(|state| state.heard = heard);
            return Ok(());
        }
        let mut tx = db.snapshot().await?;
        let now = store::head(&mut tx, tenant).await?;
        let rules = rules.at(&mut tx, tenant, now).await?;
        self.update(|state| state.rules = Some(rules.clone()));
        // Everything up to the head seen last is known; ids are never empty, so this is where the rest begins.
        let mut after = (was.revision + 1, String::new());
        loop {
            let rows = store::tasks::changed(&mut tx, tenant, (after.0, &after.1), PAGE).await?;
            let next = rows.last().filter(|_| rows.len() as i64 == PAGE).map(|row| (row.revision, row.id.clone()));
            let ids: Vec<&str> = rows.iter().map(|row| row.decision_id.as_str()).filter(|id| !id.is_empty()).collect();
            let mut decisions = HashMap::new();
            for ids in ids.chunks(IDS) {
                let found = store::decisions::find_all(&mut tx, tenant, ids).await?;
                decisions.extend(found.into_iter().map(|found| (name::last(&found.name).to_owned(), found)));
            }
            let entries: Vec<(String, Option<Entry>)> = rows
                .into_iter()
                .map(|row| {
                    let found = decisions.remove(&row.decision_id).and_then(|found| in_force(&row, found));
                    (row.id.clone(), (!row.removed).then(|| entry(row, found, &rules)))
                })
                .collect();
            self.update(|state| entries.into_iter().for_each(|(id, entry)| state.put(id, entry)));
            match next {
                Some(next) => after = next,
                None => break,
            }
        }
        self.update(|state| (state.head, state.heard) = (now, heard));
        self.changed.notify_waiters();
        Ok(())
    }
}

impl State {
    fn put(&mut self, id: String, entry: Option<Entry>) {
        match entry {
            Some(entry) => drop(self.tasks.insert(id, Arc::new(entry))),
            None => drop(self.tasks.remove(&id)),
        }
    }

    /// Takes a change over if it is the next one after what is here; whether it was.
    fn follow(&mut self, written: Written) -> bool {
        let base = Head { revision: written.head.revision - written.changes, ..written.head };
        if self.heard.is_none() || self.head != base {
            return false;
        }
        let mut entries = Vec::with_capacity(written.tasks.len());
        for (row, decision) in written.tasks {
            let found = match decision {
                Some(decision) => in_force(&row, decision),
                None if row.decision_id.is_empty() => None,
                // The decision stands, so that what is known of it does.
                None => match self.tasks.get(&row.id).and_then(|known| known.decision.clone()) {
                    Some(known) if name::last(&known.name) == row.decision_id => Some(known),
                    _ => return false,
                },
            };
            entries.push((row.id.clone(), (!row.removed).then(|| entry(row, found, &written.rules))));
        }
        entries.into_iter().for_each(|(id, entry)| self.put(id, entry));
        self.head = written.head;
        true
    }
}

/// The decision on a task, if it is one on its present content.
fn in_force(row: &TaskRow, decision: api::Decision) -> Option<InForce> {
    let evaluation = decision.evaluation.filter(|_| decision.task_digest == row.content_digest)?;
    Some(InForce {
        name: decision.name,
        function_digest: row.decided_function_digest.clone(),
        pattern: pattern::of(evaluation.pattern())?,
        policy: evaluation.policy,
        policy_digest: evaluation.policy_digest,
        sampling_ratio: evaluation.sampling_ratio,
        requirements: evaluation.requirements,
    })
}

fn entry(row: TaskRow, decision: Option<InForce>, rules: &Rules) -> Entry {
    Entry {
        stakes: task::stakes(&row.task, &task::summaries(&row.task, &rules.policy)),
        disclosure: row.task.disclosure(),
        function: row.task.function,
        gate: row.task.gate,
        purpose: row.task.purpose,
        digest: row.content_digest,
        outdated: decision.is_none() && !row.decided_digest.is_empty(),
        decision,
    }
}
