//! Exact counts of checks.
//!
//! A check is answered once it is counted, and counting must not cost what a commit costs: a line in a local
//! [journal], which survives the end of the process, is written first, and a moment later one transaction takes
//! all that gathered into the database, together with the journals' names. So a check is counted once, whatever
//! ends in between: what a process left behind is taken over at the next start, and not twice, because its name is
//! known. A caller that gets an error has no answer and may not act, so a count without an answer is possible after a
//! crash, an answer without a count is not. The loss of power, unlike the loss of the process, can take the last moments.
//!
//! What the audit log is told of it says [recording]: of permits samples, of denials all.

mod journal;
mod recording;
#[cfg(test)]
mod tests;

use crate::store;
use crate::store::checks::{CheckKey, Count};
use journal::{Journal, Line};
pub(crate) use recording::Recorded;
use recording::Seen;
use remit_core::{Actor, Error, Kind, Result, Tenant, Timestamp};
use remit_store::Db;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How many bytes of checks may wait for the database; more are refused.
const MOST_BYTES: usize = 64 << 20;
/// How long checks gather before they are taken into the database together.
const GATHER: Duration = Duration::from_millis(100);
/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// How often what other processes left behind in the same directory is looked for.
const LOOK: Duration = Duration::from_secs(60);
/// Journals that are written at the same time, so that threads seldom wait for each other's line.
const LANES: usize = 8;

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
}

/// Checks by outcome.
type Sums = BTreeMap<CheckKey, Sum>;

/// Checks with one outcome.
struct Sum {
    checks: i64,
    /// The last of them.
    last: Counted,
    /// Of denials, the first.
    denied: Vec<Counted>,
}

impl Sum {
    fn new(counted: Counted) -> Self {
        let denied = if counted.key.denied { vec![counted.clone()] } else { Vec::new() };
        Self { checks: 1, last: counted, denied }
    }

    fn add(&mut self, counted: Counted, most: usize) {
        self.checks += 1;
        if counted.key.denied && self.denied.len() < most {
            self.denied.push(counted.clone());
        }
        if self.last.at <= counted.at {
            self.last = counted;
        }
    }
}

/// A journal, and what of it is not in the database.
struct Gathered {
    journal: Journal,
    sums: BTreeMap<Tenant, Sums>,
    bytes: usize,
    /// The tenants whose part is in the database.
    folded: Vec<Tenant>,
}

impl Gathered {
    fn new(journal: Journal) -> Self {
        Self { journal, sums: BTreeMap::new(), bytes: 0, folded: Vec::new() }
    }

    fn add(&mut self, tenant: &Tenant, counted: Counted, most: usize) {
        // The tenant is nearly always there: no copy of its name then.
        let sums = match self.sums.get_mut(tenant) {
            Some(sums) => sums,
            None => self.sums.entry(tenant.clone()).or_default(),
        };
        match sums.get_mut(&counted.key) {
            Some(sum) => sum.add(counted, most),
            None => drop(sums.insert(counted.key.clone(), Sum::new(counted))),
        }
    }

    fn checks(&self, tenant: &Tenant) -> i64 {
        self.sums.get(tenant).map_or(0, |sums| sums.values().map(|sum| sum.checks).sum())
    }
}

#[derive(Default)]
struct Lane {
    current: Option<Gathered>,
    /// What a failed write ended.
    ended: Vec<Gathered>,
}

impl Lane {
    fn all(&self) -> impl Iterator<Item = &Gathered> {
        self.ended.iter().chain(&self.current)
    }
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
    recorded: Recorded,
    dir: PathBuf,
    lanes: [Mutex<Lane>; LANES],
    folding: tokio::sync::Mutex<Folding>,
    /// Checks of each tenant in `folding`.
    taken: Mutex<BTreeMap<Tenant, i64>>,
    wake: Notify,
}

/// Counts checks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Counter(Arc<Shared>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lane of this thread.
fn lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static LANE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % LANES;
    }
    LANE.with(|lane| *lane)
}

impl Counter {
    /// Counts in `db`, with journals in `dir`; `recorded` says which checks become audit events.
    ///
    /// # Errors
    /// `Unavailable` or `ResourceExhausted` (`CHECK_NOT_COUNTED`) if the directory cannot be made.
    pub(crate) fn open(db: Db, dir: &Path, recorded: Recorded) -> Result<Self> {
        journal::prepare(dir)?;
        Ok(Self(Arc::new(Shared {
            db,
            recorded,
            dir: dir.to_owned(),
            lanes: Default::default(),
            folding: tokio::sync::Mutex::default(),
            taken: Mutex::default(),
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
        let mut lane = lock(shared.lanes.get(lane()).unwrap_or(&shared.lanes[0]));
        let waiting: usize = lane.all().map(|gathered| gathered.bytes).sum();
        if waiting + line.len() > MOST_BYTES / LANES {
            let text = format!("{waiting} bytes of checks wait to be counted already");
            return Err(Error::new(Kind::ResourceExhausted, "CHECKS_QUEUE_FULL", text).with_retry_after(RETRY));
        }
        let mut current = match lane.current.take() {
            Some(current) => current,
            None => {
                let id = shared.db.ids().next(counted.at).to_string();
                let journal = Journal::create(&shared.dir, id)?;
                shared.wake.notify_one();
                Gathered::new(journal)
            }
        };
        if let Err(error) = current.journal.append(&line) {
            lane.ended.push(current);
            return Err(error);
        }
        current.bytes += line.len();
        current.add(tenant, counted, shared.recorded.most());
        lane.current = Some(current);
        Ok(())
    }

    /// The checks of a tenant that are counted and not yet in the database.
    pub(crate) fn waiting(&self, tenant: &Tenant) -> i64 {
        // Held while the lanes are read, so that what moves from one to the other is seen once.
        let taken = lock(&self.0.taken);
        let lanes =
            self.0.lanes.iter().map(|lane| lock(lane).all().map(|gathered| gathered.checks(tenant)).sum::<i64>());
        lanes.sum::<i64>() + taken.get(tenant).copied().unwrap_or_default()
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
            let mut counts = lock(&self.0.taken);
            for lane in &self.0.lanes {
                let mut lane = lock(lane);
                let mut gathered = std::mem::take(&mut lane.ended);
                gathered.extend(lane.current.take());
                self.take(&mut folding, &mut counts, gathered);
            }
        }
        self.fold_taken(&mut folding).await
    }

    fn take(&self, folding: &mut Folding, counts: &mut BTreeMap<Tenant, i64>, gathered: Vec<Gathered>) {
        for gathered in gathered {
            for tenant in gathered.sums.keys() {
                *counts.entry(tenant.clone()).or_default() += gathered.checks(tenant);
            }
            folding.taken.push(gathered);
        }
    }

    /// One transaction a tenant for all journals; then the files go.
    async fn fold_taken(&self, folding: &mut Folding) -> Result<()> {
        let Folding { taken, removed } = folding;
        while let Some(tenant) = taken.iter().find_map(|gathered| gathered.sums.keys().next()).cloned() {
            let parts: Vec<(&str, &Sums)> = taken
                .iter()
                .filter_map(|gathered| Some((gathered.journal.id(), gathered.sums.get(&tenant)?)))
                .collect();
            self.commit(&tenant, &parts, removed.get(&tenant).map_or(&[], Vec::as_slice)).await?;
            removed.remove(&tenant);
            for gathered in taken.iter_mut() {
                if gathered.sums.remove(&tenant).is_some() {
                    gathered.folded.push(tenant.clone());
                }
            }
            lock(&self.0.taken).remove(&tenant);
        }
        for Gathered { journal, folded, .. } in taken.drain(..) {
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
            let mut gathered = Gathered::new(journal);
            checks.into_iter().for_each(|(tenant, counted)| gathered.add(&tenant, counted, self.0.recorded.most()));
            self.take(&mut folding, &mut lock(&self.0.taken), vec![gathered]);
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

    async fn commit(&self, tenant: &Tenant, parts: &[(&str, &Sums)], gone: &[String]) -> Result<()> {
        self.0
            .db
            .own(tenant, "scoring.tasks.check", async |m| {
                let journals: Vec<&str> = parts.iter().map(|(journal, _)| *journal).collect();
                let now = m.now();
                let new = store::checks::claim(m.tx(), tenant, &journals, now).await?;
                if !gone.is_empty() {
                    store::checks::forget(m.tx(), tenant, gone).await?;
                }
                let (mut sums, mut seen) = (BTreeMap::<CheckKey, Count>::new(), BTreeMap::<&CheckKey, Seen<'_>>::new());
                for (_, part) in parts.iter().filter(|(journal, _)| new.iter().any(|new| new == journal)) {
                    for (key, sum) in *part {
                        sums.entry(key.clone()).or_default().checks += sum.checks;
                        seen.entry(key).or_insert_with(|| Seen::new(&sum.last)).add(&sum.last, &sum.denied);
                    }
                }
                let counts = store::checks::add(m.tx(), tenant, &sums).await?;
                self.0.recorded.record(m, &sums, counts, seen).await
            })
            .await
    }
}
