//! Exact counts of checks by group commit.
//!
//! A check is answered only after its count is committed, so that a total is exact whatever happens to the process.
//! All checks that wait while one group is written are the next group: the cost of a commit is shared by as many as
//! are in flight, and a check that is alone pays for one. A caller that gets an error has no answer and may not act,
//! so a count without an answer is possible after a crash, an answer without a count is not.
//!
//! Waiting for the disk would double the time of a check that is alone. So a commit survives the end of the process
//! at once, and once a second one waits for the disk and takes the others along: what the loss of power can take is the
//! counts of the last second, of checks whose answers were lost with it or acted upon just then.

use super::own_actor;
use crate::store::{self, checks::CheckKey};
use remit_core::{Actor, Clock, Error, Kind, Outcome, Result, Tenant};
use remit_store::{Begin, Call, Db, Durability};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How many checks wait to be counted; more are refused.
const QUEUE: usize = 10_000;
/// How many checks one commit counts at most.
const GROUP: usize = 2_000;
/// How often at least a commit waits for the disk while there are checks.
const TO_DISK: Duration = Duration::from_secs(1);

/// One answered check.
pub(crate) struct Counted {
    pub key: CheckKey,
    pub actor: Actor,
    pub trace_id: String,
    pub run_id: String,
    pub policy: String,
    pub decision: String,
    pub denied: bool,
}

struct Waiting {
    tenant: Tenant,
    counted: Counted,
    done: Done,
}

/// Tells a caller that its check is counted, or why not.
type Done = oneshot::Sender<Result<(), Failure>>;

/// Why a whole group was not counted; each of its callers gets an error of its own.
#[derive(Debug, Clone)]
struct Failure {
    kind: Kind,
    reason: &'static str,
    message: String,
}

/// Counts checks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Counter(mpsc::Sender<Waiting>);

/// The background work that commits the groups.
pub(crate) struct Committer {
    db: Db,
    clock: Arc<dyn Clock>,
    audit_every: i64,
    queue: mpsc::Receiver<Waiting>,
}

/// A counter and the work behind it.
pub(crate) fn counter(db: Db, clock: Arc<dyn Clock>, audit_every: u32) -> (Counter, Committer) {
    let (sender, queue) = mpsc::channel(QUEUE);
    (Counter(sender), Committer { db, clock, audit_every: i64::from(audit_every.max(1)), queue })
}

impl Counter {
    /// Returns once the check is counted durably.
    pub(crate) async fn add(&self, tenant: &Tenant, counted: Counted) -> Result<()> {
        let (done, counted_now) = oneshot::channel();
        let waiting = Waiting { tenant: tenant.clone(), counted, done };
        self.0.try_send(waiting).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                let text = format!("{QUEUE} checks wait to be counted already");
                Error::new(Kind::ResourceExhausted, "CHECKS_QUEUE_FULL", text)
            }
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        match counted_now.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err(Error::new(failure.kind, failure.reason, failure.message)),
            Err(_) => Err(gone()),
        }
    }
}

fn gone() -> Error {
    Error::new(Kind::Unavailable, "SHUTTING_DOWN", "the server is shutting down: ask elsewhere")
}

impl Committer {
    /// Counts until `shutdown`, and then what still waits.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut to_disk: Option<Instant> = None;
        loop {
            let mut group = Vec::new();
            tokio::select! {
                biased;
                n = self.queue.recv_many(&mut group, GROUP) => if n == 0 { return },
                () = shutdown.cancelled() => self.queue.close(),
            }
            let mut tenants: BTreeMap<Tenant, Vec<(Counted, Done)>> = BTreeMap::new();
            for waiting in group {
                tenants.entry(waiting.tenant).or_default().push((waiting.counted, waiting.done));
            }
            let durability = match to_disk {
                Some(last) if last.elapsed() < TO_DISK => Durability::Process,
                _ => Durability::Disk,
            };
            if durability == Durability::Disk {
                to_disk = Some(Instant::now());
            }
            for (tenant, group) in tenants {
                let (counted, waiting): (Vec<_>, Vec<_>) = group.into_iter().unzip();
                let outcome = self.commit(&tenant, &counted, durability).await.map_err(|error| Failure {
                    kind: error.kind(),
                    reason: error.reason(),
                    message: error.message().to_owned(),
                });
                if let Err(failure) = &outcome {
                    tracing::warn!(reason = failure.reason, "checks could not be counted: {}", failure.message);
                }
                for done in waiting {
                    // A caller that has left does not need to know.
                    let _ = done.send(outcome.clone());
                }
            }
        }
    }

    async fn commit(&self, tenant: &Tenant, group: &[Counted], durability: Durability) -> Result<()> {
        // By key, so that two processes lock rows in one order.
        let mut keys: BTreeMap<&CheckKey, (i64, &Counted)> = BTreeMap::new();
        for counted in group {
            keys.entry(&counted.key).or_insert((0, counted)).0 += 1;
        }
        let call = Call {
            tenant: tenant.clone(),
            actor: own_actor(),
            method: "scoring.tasks.check",
            request_id: String::new(),
            request_digest: [0; 32],
            trace_id: String::new(),
            now: self.clock.now(),
        };
        let Begin::Fresh(mut mutation) = self.db.begin_with(&call, durability).await? else {
            return Err(Error::internal("a call without request id was replayed"));
        };
        for (key, (checks, last)) in keys {
            let total = store::checks::add(mutation.tx(), tenant, key, checks).await?;
            let before = total - checks;
            if before == 0 || before.div_euclid(self.audit_every) != total.div_euclid(self.audit_every) {
                let mut event = mutation.event(call.method, &key.task);
                event.actor = last.actor.clone();
                event.trace_id.clone_from(&last.trace_id);
                event.outcome = if last.denied { Outcome::Denied } else { Outcome::Success };
                event.reason = key.reason.to_owned();
                event.policy_version.clone_from(&last.policy);
                event.model_version.clone_from(&key.model_version);
                event.details = serde_json::json!({
                    "decision": last.decision,
                    "run_id": last.run_id,
                    "checks_this_hour": total,
                    "recorded_every": self.audit_every,
                });
                mutation.record(event);
            }
        }
        mutation.commit(Vec::new()).await
    }
}
