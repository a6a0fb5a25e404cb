//! Delivers the outbox of each service to the audit service: in order per tenant, at least once.
//!
//! One replica at a time holds a tenant's lease. What was delivered and not acknowledged is sent again;
//! the event id makes that harmless. If the audit service is away, work goes on and the outbox grows,
//! visibly, until the store refuses mutations.

use crate::Peers;
use prost::Message as _;
use remit_api::audit::v1 as audit;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::types;
use remit_core::{ActorKind, AuditEvent, Clock as _, Outcome, Result, SystemClock, Tenant, Timestamp};
use remit_store::{Db, Signal, lease, outbox, tenants};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a lease outlives its last renewal: the longest that a dead process delays delivery.
const LEASE_TTL: Duration = Duration::from_secs(10);

/// How much goes into one call: the receiver's bound of 4 MiB, less the room for framing.
const MAX_BYTES: usize = 3 << 20;
/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that the relay of one service works with.
#[derive(Clone)]
pub struct Relay {
    /// The service's database.
    pub db: Db,
    /// The way to the audit service.
    pub peers: Peers,
    /// The name of the service.
    pub service: &'static str,
    /// An id of this process, to hold leases by.
    pub holder: String,
    /// Batch size and pauses.
    pub config: crate::config::Relay,
}

impl Relay {
    /// Delivers until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut signal = self.db.subscribe(Signal::Outbox);
        let mut backoff = Duration::ZERO;
        while !shutdown.is_cancelled() {
            match self.pass().await {
                Ok(_) => backoff = Duration::ZERO,
                Err(error) => {
                    backoff = (backoff * 2).max(self.config.retry_min.get()).min(self.config.retry_max.get());
                    tracing::warn!(
                        service = self.service,
                        reason = error.reason(),
                        "audit events could not be delivered: {error}"
                    );
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = signal.changed(), if backoff.is_zero() => {}
                () = tokio::time::sleep(if backoff.is_zero() { self.config.poll.get() } else { backoff }) => {}
            }
        }
        self.release().await;
    }

    /// Lets another replica go on at once.
    async fn release(&self) {
        for tenant in tenants::known(&self.db) {
            let given_back = async {
                let mut tx = self.db.write().await?;
                lease::release(&mut tx, &tenant, outbox::LEASE, &self.holder).await?;
                tx.commit().await
            };
            if let Err(error) = given_back.await {
                tracing::debug!(reason = error.reason(), "a lease is left to run out: {error}");
                return;
            }
        }
    }

    /// Delivers everything that waits now, for every tenant; returns how many events.
    ///
    /// # Errors
    /// The first failure; other tenants are served all the same.
    pub async fn pass(&self) -> Result<u64> {
        let mut delivered = 0;
        let mut failure = None;
        for tenant in tenants::refresh(&self.db).await? {
            match self.drain(&tenant).await {
                Ok(count) => delivered += count,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(delivered), Err)
    }

    /// Leases run on the machine's clock: a process dies in real time, whatever a manual clock shows.
    async fn hold_lease(&self, tenant: &Tenant) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let now = SystemClock.now();
        let held = lease::acquire(&mut tx, tenant, outbox::LEASE, &self.holder, now, LEASE_TTL).await?;
        tx.commit().await?;
        Ok(held)
    }

    async fn drain(&self, tenant: &Tenant) -> Result<u64> {
        let mut delivered = 0;
        loop {
            let batch = outbox::read_batch(&mut self.db.read().await?, tenant, i64::from(self.config.batch)).await?;
            if batch.is_empty() {
                return Ok(delivered);
            }
            if !self.hold_lease(tenant).await? {
                return Ok(delivered);
            }
            let (events, last) = fitting(&batch);
            let count = events.len() as u64;
            let mut request =
                self.peers.request(self.service, tenant, audit::AppendBatchRequest { events, prove: false });
            request.set_timeout(PATIENCE);
            AuditServiceClient::new(self.peers.channel("audit")).append_batch(request).await.map_err(crate::foreign)?;
            let mut tx = self.db.write().await?;
            outbox::ack(&mut tx, tenant, last).await?;
            tx.commit().await?;
            delivered += count;
        }
    }
}

/// As many events from the front as fit into one message, at least one, and the number of the last.
fn fitting(batch: &[outbox::Pending]) -> (Vec<audit::Event>, i64) {
    let (mut events, mut bytes, mut last) = (Vec::with_capacity(batch.len()), 0, 0);
    for pending in batch {
        let event = to_proto(&pending.event);
        bytes += event.encoded_len();
        if bytes > MAX_BYTES && !events.is_empty() {
            break;
        }
        events.push(event);
        last = pending.seq;
    }
    (events, last)
}

/// The event as the audit service takes it.
pub fn to_proto(event: &AuditEvent) -> audit::Event {
    audit::Event {
        id: event.id.clone(),
        actor: Some(types::Actor {
            subject: event.actor.subject.clone(),
            kind: match event.actor.kind {
                ActorKind::Human => types::ActorKind::Human,
                ActorKind::Ai => types::ActorKind::Ai,
                ActorKind::Service => types::ActorKind::Service,
            }
            .into(),
            role_groups: event.actor.role_groups.clone(),
            on_behalf_of: event.actor.on_behalf_of.clone().unwrap_or_default(),
        }),
        actor_roles: event.actor.roles.clone(),
        action: event.action.clone(),
        resource: event.resource.clone(),
        outcome: match event.outcome {
            Outcome::Success => audit::Outcome::Success,
            Outcome::Denied => audit::Outcome::Denied,
            Outcome::Failure => audit::Outcome::Failure,
        }
        .into(),
        reason: event.reason.clone(),
        occurred_at: Some(stamp(event.occurred_at)),
        recorded_at: Some(stamp(event.recorded_at)),
        request_id: event.request_id.clone(),
        trace_id: event.trace_id.clone(),
        service: event.service.clone(),
        policy_version: event.policy_version.clone(),
        model_version: event.model_version.clone(),
        before_digest: event.before_digest.clone(),
        after_digest: event.after_digest.clone(),
        details_json: if event.details.is_null() { String::new() } else { event.details.to_string() },
        personal: event.personal.as_ref().map(|personal| audit::PersonalData {
            subject: personal.subject.clone(),
            fields: personal.fields.clone().into_iter().collect(),
        }),
    }
}

/// A time as protobuf writes it.
pub fn stamp(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.0.div_euclid(1_000_000), nanos: (at.0.rem_euclid(1_000_000) * 1_000) as i32 }
}
