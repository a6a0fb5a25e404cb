//! The write path: callers queue, one step at a time takes what waits and makes it durable.
//!
//! While a step commits, others queue, and the next step takes them all: group commit whose batches grow with the
//! load. Callers who were answered together come back together, a moment after each other: a step that follows one
//! of several calls therefore waits for as many, for at most [`Limits::linger`]. Whoever is alone never waits. Any number
//! of processes may step the same log, because a step claims the log's head row; different tenants do not wait for each
//! other. A process remembers the head that it left and claims just that; if another has moved it, it begins anew.

use crate::growth::{Growth, Looks};
use crate::keys::Keys;
use crate::prepare::Prepared;
use crate::step::{self, Receipt};
use crate::store::heads::Head;
use remit_core::{Clock, Error, Kind, Result, Tenant};
use remit_runtime::meters;
use remit_store::Db;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot, watch};

/// Bounds of the queue of one tenant in one process, and of one step.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Events that may wait.
    pub queued_events: usize,
    /// Bytes that may wait.
    pub queued_bytes: usize,
    /// Events of one step, unless a single call has more.
    pub step_events: usize,
    /// Bytes of one step, unless a single call has more.
    pub step_bytes: usize,
    /// How long a step waits for as many calls as the step before had, if those were several.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queued_events: 20_000,
            queued_bytes: 64 << 20,
            step_events: 1_000,
            step_bytes: 4 << 20,
            linger: Duration::from_millis(2),
        }
    }
}

/// One call's events.
pub(crate) struct Job {
    pub(crate) events: Vec<Prepared>,
    weight: usize,
    answer: oneshot::Sender<Result<Receipt>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    events: usize,
    bytes: usize,
    running: bool,
    /// With so many calls the next step need not wait any longer.
    wanted: usize,
}

struct TenantLog {
    queue: Mutex<Queue>,
    enough: Notify,
    size: watch::Sender<u64>,
    /// The head as the last step of this process left it.
    last: Mutex<Option<Head>>,
}

/// Appends to the logs of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct Sequencer {
    shared: Arc<Shared>,
}

struct Shared {
    db: Db,
    clock: Arc<dyn Clock>,
    keys: Arc<Keys>,
    limits: Limits,
    logs: Mutex<HashMap<Tenant, Arc<TenantLog>>>,
    looks: Looks,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sequencer {
    /// Appends through `db`.
    pub fn new(db: Db, clock: Arc<dyn Clock>, keys: Arc<Keys>, limits: Limits) -> Self {
        let (logs, looks) = (Mutex::default(), Looks::default());
        Self { shared: Arc::new(Shared { db, clock, keys, limits, logs, looks }) }
    }

    fn log(&self, tenant: &Tenant) -> Arc<TenantLog> {
        let mut logs = lock(&self.shared.logs);
        let new = || {
            Arc::new(TenantLog {
                size: watch::Sender::new(0),
                queue: Mutex::default(),
                enough: Notify::new(),
                last: Mutex::default(),
            })
        };
        logs.entry(tenant.clone()).or_insert_with(new).clone()
    }

    /// Records events in this order, all or none; returns after commit.
    ///
    /// # Errors
    /// `ResourceExhausted` (`AUDIT_QUEUE_FULL`) if too much waits: nothing was recorded.
    /// `AlreadyExists` (`EVENT_ID_REUSED`). As the database fails: whether it was recorded is then unknown,
    /// and sending it again is safe.
    pub async fn append(&self, tenant: &Tenant, events: Vec<Prepared>) -> Result<Receipt> {
        let log = self.log(tenant);
        let weight = events.iter().map(Prepared::weight).sum();
        let (answer, receipt) = oneshot::channel();
        let start = {
            let mut queue = lock(&log.queue);
            let limits = &self.shared.limits;
            if queue.events + events.len() > limits.queued_events || queue.bytes + weight > limits.queued_bytes {
                let message =
                    format!("{} audit events of this tenant wait to be recorded: send it again later", queue.events);
                return Err(Error::new(Kind::ResourceExhausted, "AUDIT_QUEUE_FULL", message)
                    .with_retry_after(Duration::from_millis(200)));
            }
            queue.events += events.len();
            queue.bytes += weight;
            queue.jobs.push_back(Job { events, weight, answer });
            if queue.jobs.len() == queue.wanted || queue.events >= limits.step_events {
                log.enough.notify_one();
            }
            !std::mem::replace(&mut queue.running, true)
        };
        if start {
            // A task of its own: a caller that gives up must not stop the step it shares with others.
            tokio::spawn(self.clone().run(tenant.clone(), log));
        }
        receipt.await.map_err(|_| Error::new(Kind::Unavailable, "SHUTTING_DOWN", "the process is stopping"))?
    }

    async fn run(self, tenant: Tenant, log: Arc<TenantLog>) {
        let mut before = 1;
        loop {
            if before > 1 {
                self.gather(&log, before).await;
            }
            let jobs = {
                let mut queue = lock(&log.queue);
                let jobs = take(&mut queue, &self.shared.limits);
                if jobs.is_empty() {
                    queue.running = false;
                    return;
                }
                jobs
            };
            before = jobs.len();
            self.step(&tenant, &log, jobs).await;
        }
    }

    /// Waits until `calls` calls or a full step are there, or the time is up.
    async fn gather(&self, log: &TenantLog, calls: usize) {
        let missing = {
            let mut queue = lock(&log.queue);
            queue.wanted = calls;
            queue.jobs.len() < calls && queue.events < self.shared.limits.step_events
        };
        if missing {
            // A notice left over from before ends the wait early, once, which costs a smaller step.
            let _ = tokio::time::timeout(self.shared.limits.linger, log.enough.notified()).await;
        }
        lock(&log.queue).wanted = 0;
    }

    async fn step(&self, tenant: &Tenant, log: &TenantLog, jobs: Vec<Job>) {
        let (events, answers): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| (job.events, job.answer)).unzip();
        let Shared { db, clock, keys, .. } = &*self.shared;
        let (count, begun) = (events.iter().map(Vec::len).sum(), Instant::now());
        let done = step::run(db, &**clock, keys, tenant, &events, &log.last).await;
        match done {
            Ok(outcomes) => {
                meters::appended(count, begun.elapsed());
                if let Some(size) = outcomes.iter().flatten().map(|receipt| receipt.size).max() {
                    announce(&log.size, size);
                }
                for (answer, outcome) in answers.into_iter().zip(outcomes) {
                    let _ = answer.send(outcome);
                }
            }
            Err(error) => {
                tracing::warn!(%tenant, %error, source = ?std::error::Error::source(&error), "a step of the audit log failed");
                for answer in answers {
                    let _ = answer.send(Err(again(&error)));
                }
            }
        }
    }

    /// The size of the tenant's log as this process last saw it; wakes when it grows, here or by another process.
    pub fn watch(&self, tenant: &Tenant) -> watch::Receiver<u64> {
        let grown = self.log(tenant).size.subscribe();
        if self.shared.looks.begin() {
            tokio::spawn(look(Arc::downgrade(&self.shared)));
        }
        grown
    }

    /// For how long it is not known whether another process has appended.
    pub(crate) fn blind(&self) -> Duration {
        self.shared.looks.blind()
    }

    /// Tells those who wait that the log has this size.
    pub fn saw(&self, tenant: &Tenant, size: u64) {
        announce(&self.log(tenant).size, size);
    }
}

impl std::fmt::Debug for Sequencer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sequencer({:?})", self.shared.db)
    }
}

/// Looks for what other processes append, as long as somebody waits for it.
async fn look(shared: Weak<Shared>) {
    let Some(db) = shared.upgrade().map(|shared| shared.db.clone()) else { return };
    let mut growth = Growth::new(db);
    loop {
        let grown = growth.look().await;
        let Some(shared) = shared.upgrade() else { return };
        let nobody = || lock(&shared.logs).values().all(|log| log.size.receiver_count() == 0);
        if shared.looks.end(nobody) {
            return;
        }
        match grown {
            Ok(grown) => {
                shared.looks.looked();
                let logs = lock(&shared.logs);
                for (tenant, size) in grown {
                    if let Some(log) = logs.get(&tenant) {
                        announce(&log.size, size);
                    }
                }
            }
            // Those who wait find that out for themselves, and say it to whom they answer.
            Err(error) => tracing::debug!(reason = error.reason(), "the logs cannot be looked at: {error}"),
        }
    }
}

fn announce(sender: &watch::Sender<u64>, size: u64) {
    sender.send_if_modified(|known| {
        let grew = size > *known;
        *known = size.max(*known);
        grew
    });
}

fn take(queue: &mut Queue, limits: &Limits) -> Vec<Job> {
    let (mut jobs, mut events, mut bytes) = (Vec::new(), 0, 0);
    while let Some(job) = queue.jobs.front() {
        let full = events + job.events.len() > limits.step_events || bytes + job.weight > limits.step_bytes;
        if full && !jobs.is_empty() {
            break;
        }
        events += job.events.len();
        bytes += job.weight;
        jobs.extend(queue.jobs.pop_front());
    }
    queue.events -= events;
    queue.bytes -= bytes;
    jobs
}

/// The same error for every caller of a step.
fn again(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.reason(), error.message());
    match error.retry_after() {
        Some(wait) => copy.with_retry_after(wait),
        None => copy,
    }
}
