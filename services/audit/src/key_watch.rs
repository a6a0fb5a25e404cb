//! Looks whether the keys of subjects can be opened, before somebody needs one.
//!
//! A key that cannot be opened stops no entry: what comes is sealed under a new one. What it sealed before cannot be shown
//! until its row or its master key is back, and backups in which it is good expire: so it is counted while there is time. A
//! master key that is not here is worse. Another replica has it, or the file is another: the process is not ready then.

use crate::keys::Keys;
use crate::service::Service;
use crate::store::subjects;
use remit_core::{Result, Tenant};
use remit_runtime::Condition;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_secs(30);

/// How many keys of a tenant one look opens. The next goes on from there, and begins again at the end.
const STEP: i64 = 1_000;

/// A subject and which of its keys.
type Name = (String, i64);

#[derive(Debug, Default)]
struct Found {
    /// Where the last look at a tenant ended.
    next: BTreeMap<Tenant, Name>,
    /// Keys whose rows are damaged.
    damaged: BTreeMap<Tenant, BTreeSet<Name>>,
    /// How many keys are sealed under master keys that are not here.
    missing: BTreeMap<Tenant, i64>,
}

/// What was found of the keys of subjects.
#[derive(Debug, Default)]
pub struct KeyWatch(Mutex<Found>);

impl KeyWatch {
    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is or may be wrong, as last found.
    pub fn conditions(&self) -> Vec<Condition> {
        let found = self.lock();
        let damaged = found.damaged.values().map(BTreeSet::len).sum::<usize>();
        let damaged = i64::try_from(damaged).unwrap_or(i64::MAX);
        vec![
            Condition { reason: "MASTER_KEY_MISSING", count: found.missing.values().sum(), fatal: true },
            Condition { reason: "SUBJECT_KEY_DAMAGED", count: damaged, fatal: false },
        ]
    }

    /// Takes what a look at the keys after `from` found; `last` is none if there are no more.
    fn take(&self, tenant: &Tenant, from: Name, last: Option<Name>, damaged: BTreeSet<Name>, missing: i64) {
        let mut found = self.lock();
        let known = found.damaged.entry(tenant.clone()).or_default();
        let until = last.clone().map_or(Bound::Unbounded, Bound::Included);
        let seen: Vec<Name> = known.range((Bound::Excluded(from), until)).cloned().collect();
        for name in seen {
            known.remove(&name);
        }
        known.extend(damaged);
        found.missing.insert(tenant.clone(), missing);
        match last {
            Some(last) => found.next.insert(tenant.clone(), last),
            None => found.next.remove(tenant),
        };
    }
}

impl Service {
    /// Looks at the next keys of each tenant.
    ///
    /// # Errors
    /// As the database fails.
    pub async fn look_at_keys(&self, watch: &KeyWatch) -> Result<()> {
        for tenant in subjects::tenants(&self.db).await? {
            look(self, &tenant, watch, self.keys()).await?;
        }
        Ok(())
    }

    /// The same until `shutdown`.
    pub(crate) async fn watch_keys(self, watch: std::sync::Arc<KeyWatch>, shutdown: CancellationToken) {
        loop {
            if let Err(error) = self.look_at_keys(&watch).await {
                tracing::warn!(reason = error.reason(), "the keys of subjects were not looked at: {error}");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

async fn look(log: &Service, tenant: &Tenant, watch: &KeyWatch, keys: &Keys) -> Result<()> {
    let from = watch.lock().next.get(tenant).cloned().unwrap_or_default();
    let mut tx = log.db.read().await?;
    let mut missing = 0;
    for master in subjects::masters(&mut tx, tenant).await? {
        if !keys.master().has(&master) {
            missing += subjects::count_under(&mut tx, tenant, &master).await?;
        }
    }
    let opened = subjects::opened(&mut tx, tenant, &from, STEP, keys.master()).await?;
    let full = i64::try_from(opened.len()) == Ok(STEP);
    let last = opened.last().map(|(name, _)| name.clone()).filter(|_| full);
    let damaged =
        |(name, error): (Name, Option<remit_core::Error>)| (error?.reason() == "SUBJECT_KEY_DAMAGED").then_some(name);
    watch.take(tenant, from, last, opened.into_iter().filter_map(damaged).collect(), missing);
    Ok(())
}
