//! Delivers the outbox of each service to the audit service: in order per tenant, at least once.
//!
//! One replica at a time holds a tenant's lease. What was delivered and not acknowledged is sent again;
//! the event id makes that harmless. If the audit service is away, work goes on and the outbox grows,
//! visibly, until the store refuses mutations.
//!
//! An event that the audit service refuses for good must not hold up those behind it for ever. It is parked:
//! kept in a table of its own, counted in metrics and `GetInfo`, and named with its digest by an entry that
//! takes its place in the log. Parked events are tried again when the relay starts and once an hour, since a
//! newer audit service may take them.

use crate::Peers;
use prost::Message as _;
use remit_api::audit::v1 as audit;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::wire::{self, time::stamp};
use remit_core::{Actor, AuditEvent, Clock, Error, Kind, Outcome, Result, SystemClock, Tenant, digest};
use remit_store::{Db, Signal, lease, outbox, tenants};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a lease outlives its last renewal: the longest that a dead process delays delivery.
const LEASE_TTL: Duration = Duration::from_secs(10);

/// How much goes into one call: the receiver's bound of 4 MiB, less the room for framing.
const MAX_BYTES: usize = 3 << 20;
/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often parked events are tried again.
const RETRY_PARKED: Duration = Duration::from_secs(3_600);
/// How many parked events of a tenant are tried again at once.
const MAX_RETRIED: i64 = 1_000;
/// The action of the entry that stands for a parked event.
pub const PARK: &str = "relay.events.park";

/// Everything that the relay of one service works with.
#[derive(Clone)]
pub struct Relay {
    /// The service's database.
    pub db: Db,
    /// The way to the audit service.
    pub peers: Peers,
    /// The time that the relay's own entries state.
    pub clock: Arc<dyn Clock>,
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
        let mut retried: Option<Instant> = None;
        while !shutdown.is_cancelled() {
            let mut done = Ok(());
            if retried.is_none_or(|at| at.elapsed() >= RETRY_PARKED) {
                match self.retry_parked().await {
                    Ok(_) => retried = Some(Instant::now()),
                    // The audit service may not be there yet: as soon as it is, not in an hour.
                    Err(error) => done = Err(error),
                }
            }
            match self.pass().await.and(done) {
                Ok(()) => backoff = Duration::ZERO,
                Err(error) => {
                    backoff = (backoff * 2).max(self.config.retry_min.get()).min(self.config.retry_max.get());
                    crate::meters::relay_failed(self.service, error.reason());
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
        for tenant in outbox::waiting(&self.db).await? {
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
        let (mut delivered, mut most) = (0, usize::MAX);
        loop {
            let batch = outbox::read_batch(&mut self.db.read().await?, tenant, i64::from(self.config.batch)).await?;
            if batch.is_empty() {
                return Ok(delivered);
            }
            if !self.hold_lease(tenant).await? {
                return Ok(delivered);
            }
            let (events, last) = fitting(batch.get(..most).unwrap_or(&batch));
            let count = events.len();
            match (self.send(tenant, events).await, batch.first()) {
                (Ok(()), _) => {
                    let mut tx = self.db.write().await?;
                    outbox::ack(&mut tx, tenant, last).await?;
                    tx.commit().await?;
                    delivered += count as u64;
                    most = usize::MAX;
                }
                (Err(error), Some(first)) if is_final(&error) => match culprit(&error) {
                    Some(at) if (1..count).contains(&at) => most = at,
                    None if count > 1 => most = count / 2,
                    _ => self.park(tenant, first, &error).await?,
                },
                (Err(error), _) => return Err(error),
            }
        }
    }

    async fn send(&self, tenant: &Tenant, events: Vec<audit::Event>) -> Result<()> {
        let mut request = self.peers.request(self.service, tenant, audit::AppendBatchRequest { events, prove: false });
        request.set_timeout(PATIENCE);
        let mut client = AuditServiceClient::new(self.peers.channel("audit"));
        client.append_batch(request).await.map(|_| ()).map_err(crate::foreign)
    }

    async fn park(&self, tenant: &Tenant, refused: &outbox::Pending, why: &Error) -> Result<()> {
        tracing::error!(
            service = self.service,
            %tenant,
            event = refused.event.id,
            reason = why.reason(),
            "the audit service refuses an event, which is parked: {why}"
        );
        // An entry about an entry about an entry would never end.
        let notice = if refused.event.action == PARK { None } else { Some(self.notice(refused, why)?) };
        let mut tx = self.db.write().await?;
        outbox::park(&mut tx, tenant, refused, why, self.clock.now(), notice.as_ref()).await?;
        tx.commit().await
    }

    /// What the log says in place of a parked event, made only of what is known to fit.
    fn notice(&self, refused: &outbox::Pending, why: &Error) -> Result<AuditEvent> {
        let now = self.clock.now();
        let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
        let parked = outbox::parked_text(&refused.event)?;
        Ok(AuditEvent {
            id: self.db.ids().next(now).to_string(),
            actor: Actor::service(self.service),
            action: PARK.to_owned(),
            resource: format!("parkedEvents/{}-{}", self.service, refused.seq),
            outcome: Outcome::Failure,
            reason: cut(&format!("{}: {}", why.reason(), why.message()), 2_000),
            occurred_at: now,
            recorded_at: now,
            request_id: cut(&refused.event.request_id, 100),
            trace_id: String::new(),
            service: self.service.to_owned(),
            policy_version: String::new(),
            model_version: String::new(),
            before_digest: String::new(),
            after_digest: digest::sha256(parked.as_bytes()),
            details: serde_json::json!({
                "event": cut(&refused.event.id, 100),
                "action": cut(&refused.event.action, 100),
                "resource": cut(&refused.event.resource, 500),
                "personal_data_dropped": refused.event.personal.is_some(),
            }),
            personal: None,
        })
    }

    /// Tries every parked event again, for every tenant; returns how many were taken.
    ///
    /// # Errors
    /// The first failure that is not about an event.
    pub async fn retry_parked(&self) -> Result<u64> {
        let mut taken = 0;
        for tenant in outbox::with_parked(&self.db).await? {
            let parked = outbox::parked(&mut self.db.read().await?, &tenant, MAX_RETRIED).await?;
            if parked.is_empty() || !self.hold_lease(&tenant).await? {
                continue;
            }
            for pending in parked {
                match self.send(&tenant, vec![numbered(&pending)]).await {
                    Ok(()) => {
                        let mut tx = self.db.write().await?;
                        outbox::unpark(&mut tx, &tenant, pending.seq).await?;
                        tx.commit().await?;
                        taken += 1;
                    }
                    Err(error) if is_final(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(taken)
    }
}

/// Whether the audit service refuses an event whenever it is sent. What it says of the call as a whole, or what
/// stands between says, may be different tomorrow.
fn is_final(error: &Error) -> bool {
    match error.kind() {
        Kind::InvalidArgument | Kind::PermissionDenied => {
            error.violations().iter().any(|violation| violation.field.starts_with("events["))
        }
        Kind::AlreadyExists => error.reason() == "EVENT_ID_REUSED",
        _ => false,
    }
}

/// The place in the batch of the event that was refused, if the error names it.
fn culprit(error: &Error) -> Option<usize> {
    let places = error
        .violations()
        .iter()
        .filter_map(|violation| violation.field.strip_prefix("events[")?.split(']').next()?.parse().ok());
    places.min()
}

/// As many events from the front as fit into one message, at least one, and the number of the last.
fn fitting(batch: &[outbox::Pending]) -> (Vec<audit::Event>, i64) {
    let (mut events, mut bytes, mut last) = (Vec::with_capacity(batch.len()), 0, 0);
    for pending in batch {
        let event = numbered(pending);
        bytes += event.encoded_len();
        if bytes > MAX_BYTES && !events.is_empty() {
            break;
        }
        events.push(event);
        last = pending.seq;
    }
    (events, last)
}

/// The same with its number, by which the log shows that none before it is lost.
fn numbered(pending: &outbox::Pending) -> audit::Event {
    audit::Event { seq: pending.seq, ..to_proto(&pending.event) }
}

/// The event as the audit service takes it, without a number.
pub fn to_proto(event: &AuditEvent) -> audit::Event {
    audit::Event {
        id: event.id.clone(),
        actor: Some(wire::actor(&event.actor)),
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
        seq: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_is_not_ours_to_report_is_refused_for_good_and_a_missing_role_is_not() {
        let at = |field: &str| Error::denied("ACTION_RESERVED", "not yours").with_violation(field, "not yours");
        let refused = at("events[2].action");
        assert!(is_final(&refused));
        assert_eq!(culprit(&refused), Some(2));
        assert!(!is_final(&Error::denied("PERMISSION_MISSING", "the role service grants nothing")));
        assert!(!is_final(&Error::new(Kind::Unavailable, "SHUTTING_DOWN", "later")));
    }
}
