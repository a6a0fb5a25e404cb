//! Exact counts of checks.
//!
//! A check is answered once it is counted, and counting must not cost what a commit costs: a line in a local
//! [journal], which survives the end of the process, is written first, and a few milliseconds later one transaction
//! takes all that gathered into the database, together with the journal's name. So a check is counted once, whatever
//! ends in between: what a process left behind is taken over at the next start, and not twice, because its name is
//! known. A caller that gets an error has no answer and may not act, so a count without an answer is possible after a
//! crash, an answer without a count is not. The loss of power, unlike the loss of the process, can take the last moments.

mod journal;
#[cfg(test)]
mod tests;

use super::own_actor;
use crate::store::{self, checks::CheckKey};
use journal::{Journal, Line};
use remit_core::{Actor, Error, Kind, Outcome, Result, Tenant, Timestamp};
use remit_store::{Begin, Call, Db, Mutation};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How many bytes of checks may wait for the database; more are refused.
const MOST_BYTES: usize = 64 << 20;
/// How long checks gather before they are taken into the database together.
const GATHER: Duration = Duration::from_millis(20);
/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// How often what other processes left behind in the same directory is looked for.
const LOOK: Duration = Duration::from_secs(60);

/// One answered check.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub key: CheckKey,
    pub at: Timestamp,
    pub actor: Actor,
    pub trace_id: String,
    pub run_id: String,
    pub policy: String,
    pub decision: String,
    pub denied: bool,
}

/// Checks with one outcome: how many, and the last of them.
type Sums = BTreeMap<Tenant, BTreeMap<CheckKey, (i64, Counted)>>;

/// A journal, and what of it is not in the database.
struct Gathered {
    journal: Journal,
    sums: Sums,
    bytes: usize,
    /// The tenants whose part is in the database.
    folded: Vec<Tenant>,
}

#[derive(Default)]
struct Open {
    current: Option<Gathered>,
    /// What a failed write ended.
    ended: Vec<Gathered>,
}

/// Whoever holds this takes counts into the database.
#[derive(Default)]
struct Folding {
    /// Not yet in the database, and no longer written.
    taken: Vec<Gathered>,
    /// Names in the database of journals whose files are gone. A process that ends leaves a few for good.
    removed: BTreeMap<Tenant, Vec<String>>,
}

struct Shared {
    db: Db,
    audit_every: i64,
    dir: PathBuf,
    open: Mutex<Open>,
    folding: tokio::sync::Mutex<Folding>,
    /// Checks of each tenant that are not yet in the database.
    waiting: Mutex<BTreeMap<Tenant, i64>>,
    wake: Notify,
}

/// Counts checks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Counter(Arc<Shared>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add_to(sums: &mut Sums, tenant: &Tenant, counted: Counted) {
    // The tenant is nearly always there: no copy of its name then.
    let keys = match sums.get_mut(tenant) {
        Some(keys) => keys,
        None => sums.entry(tenant.clone()).or_default(),
    };
    match keys.get_mut(&counted.key) {
        Some(sum) => *sum = (sum.0 + 1, counted),
        None => {
            keys.insert(counted.key.clone(), (1, counted));
        }
    }
}

impl Counter {
    /// Counts in `db`, with journals in `dir`; every `audit_every`-th check of an outcome becomes an audit event.
    ///
    /// # Errors
    /// `Unavailable` or `ResourceExhausted` (`CHECK_NOT_COUNTED`) if the directory cannot be made.
    pub(crate) fn open(db: Db, dir: &Path, audit_every: u32) -> Result<Self> {
        journal::prepare(dir)?;
        Ok(Self(Arc::new(Shared {
            db,
            audit_every: i64::from(audit_every.max(1)),
            dir: dir.to_owned(),
            open: Mutex::default(),
            folding: tokio::sync::Mutex::default(),
            waiting: Mutex::default(),
            wake: Notify::new(),
        })))
    }

    /// Counts one check; it may be answered when this returns.
    ///
    /// # Errors
    /// `ResourceExhausted` (`CHECKS_QUEUE_FULL`) if too much waits for the database; `ResourceExhausted` or
    /// `Unavailable` (`CHECK_NOT_COUNTED`) if the journal cannot be written.
    pub(crate) fn add(&self, tenant: &Tenant, counted: Counted) -> Result<()> {
        let shared = &*self.0;
        let mut line = serde_json::to_vec(&Line { tenant: Cow::Borrowed(tenant), counted: Cow::Borrowed(&counted) })
            .map_err(|error| Error::internal("a check could not be encoded").with_source(error))?;
        line.push(b'\n');
        let mut open = lock(&shared.open);
        let waiting: usize = open.ended.iter().chain(&open.current).map(|gathered| gathered.bytes).sum();
        if waiting + line.len() > MOST_BYTES {
            let text = format!("{waiting} bytes of checks wait to be counted already");
            return Err(Error::new(Kind::ResourceExhausted, "CHECKS_QUEUE_FULL", text).with_retry_after(RETRY));
        }
        let mut current = match open.current.take() {
            Some(current) => current,
            None => {
                let id = shared.db.ids().next(counted.at).to_string();
                let journal = Journal::create(&shared.dir, id)?;
                shared.wake.notify_one();
                Gathered { journal, sums: Sums::new(), bytes: 0, folded: Vec::new() }
            }
        };
        if let Err(error) = current.journal.append(&line) {
            open.ended.push(current);
            return Err(error);
        }
        current.bytes += line.len();
        add_to(&mut current.sums, tenant, counted);
        open.current = Some(current);
        drop(open);
        let mut waiting = lock(&shared.waiting);
        match waiting.get_mut(tenant) {
            Some(count) => *count += 1,
            None => {
                waiting.insert(tenant.clone(), 1);
            }
        }
        Ok(())
    }

    /// The checks of a tenant that are counted and not yet in the database.
    pub(crate) fn waiting(&self, tenant: &Tenant) -> i64 {
        lock(&self.0.waiting).get(tenant).copied().unwrap_or_default()
    }

    /// Takes everything that was counted so far into the database.
    ///
    /// # Errors
    /// As the database fails; nothing is lost, and the next call takes it.
    pub(crate) async fn fold(&self) -> Result<()> {
        let mut folding = self.0.folding.lock().await;
        // What failed before goes first, so that it does not grow while it fails.
        self.fold_taken(&mut folding).await?;
        {
            let mut open = lock(&self.0.open);
            folding.taken.append(&mut open.ended);
            folding.taken.extend(open.current.take());
        }
        self.fold_taken(&mut folding).await
    }

    async fn fold_taken(&self, folding: &mut Folding) -> Result<()> {
        let Folding { taken, removed } = folding;
        while let Some(gathered) = taken.last_mut() {
            while let Some((tenant, keys)) = gathered.sums.first_key_value() {
                let (tenant, checks) = (tenant.clone(), keys.values().map(|(checks, _)| checks).sum::<i64>());
                let gone = removed.get(&tenant).map_or(&[][..], Vec::as_slice);
                self.commit(&tenant, gathered.journal.id(), gone, keys).await?;
                removed.remove(&tenant);
                gathered.sums.remove(&tenant);
                if let Some(waiting) = lock(&self.0.waiting).get_mut(&tenant) {
                    *waiting -= checks;
                }
                gathered.folded.push(tenant);
            }
            let Some(Gathered { journal, folded, .. }) = taken.pop() else { continue };
            let id = journal.id().to_owned();
            // A file that stays is passed over at the next start, because its name stays too.
            match journal.remove() {
                Ok(()) => folded.into_iter().for_each(|tenant| removed.entry(tenant).or_default().push(id.clone())),
                Err(error) => tracing::warn!(%error, "a journal of checks cannot be removed"),
            }
        }
        Ok(())
    }

    /// Takes over what processes left behind that are no more.
    ///
    /// # Errors
    /// As the database fails, or `Unavailable` (`CHECK_NOT_COUNTED`) for the directory.
    pub(crate) async fn recover(&self) -> Result<()> {
        let found = journal::abandoned(&self.0.dir)?;
        let mut folding = self.0.folding.lock().await;
        for (journal, checks) in found {
            let mut sums = Sums::new();
            for (tenant, counted) in checks {
                *lock(&self.0.waiting).entry(tenant.clone()).or_default() += 1;
                add_to(&mut sums, &tenant, counted);
            }
            folding.taken.push(Gathered { journal, sums, bytes: 0, folded: Vec::new() });
        }
        self.fold_taken(&mut folding).await
    }

    /// Takes counts into the database until `shutdown`, and then what still waits.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        loop {
            let done = tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.0.wake.notified() => {
                    tokio::time::sleep(GATHER).await;
                    self.fold().await
                }
                () = tokio::time::sleep(LOOK) => self.recover().await,
            };
            if let Err(error) = done {
                tracing::warn!(%error, "checks could not be taken into the database: will try again");
                self.0.wake.notify_one();
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
        }
        if let Err(error) = self.fold().await {
            tracing::warn!(%error, "checks wait in the journal for the next start");
        }
    }

    async fn commit(
        &self,
        tenant: &Tenant,
        journal: &str,
        gone: &[String],
        keys: &BTreeMap<CheckKey, (i64, Counted)>,
    ) -> Result<()> {
        let Some(now) = keys.values().map(|(_, last)| last.at).max() else { return Ok(()) };
        let call = Call {
            tenant: tenant.clone(),
            actor: own_actor(),
            method: "scoring.tasks.check",
            request_id: String::new(),
            request_digest: [0; 32],
            trace_id: String::new(),
            now,
        };
        let Begin::Fresh(mut mutation) = self.0.db.begin(&call).await? else {
            return Err(Error::internal("a call without request id was replayed"));
        };
        if !store::checks::claim(mutation.tx(), tenant, journal, now).await? {
            return Ok(());
        }
        if !gone.is_empty() {
            store::checks::forget(mutation.tx(), tenant, gone).await?;
        }
        for (key, total) in store::checks::add(mutation.tx(), tenant, keys).await? {
            let (checks, last) =
                keys.get(&key).ok_or_else(|| Error::internal("a count came back under another key"))?;
            self.record(&mut mutation, total - checks, total, last);
        }
        mutation.commit(Vec::new()).await
    }

    /// One event for the first check of an outcome in an hour and for each that makes a round number, however
    /// many were taken into the database at once.
    fn record(&self, mutation: &mut Mutation, before: i64, total: i64, last: &Counted) {
        let every = self.0.audit_every;
        let first = (before == 0).then_some(1);
        let round = (before.div_euclid(every) + 1..=total.div_euclid(every)).map(|n| n * every);
        for number in first.into_iter().chain(round.filter(|number| Some(*number) != first)) {
            let mut event = mutation.event(mutation.call().method, &last.key.task);
            event.actor = last.actor.clone();
            event.occurred_at = last.at;
            event.trace_id.clone_from(&last.trace_id);
            event.outcome = if last.denied { Outcome::Denied } else { Outcome::Success };
            event.reason = last.key.reason.to_string();
            event.policy_version.clone_from(&last.policy);
            event.model_version.clone_from(&last.key.model_version);
            event.details = serde_json::json!({
                "decision": last.decision,
                "run_id": last.run_id,
                "checks_this_hour": number,
                "recorded_every": every,
            });
            mutation.record(event);
        }
    }
}
