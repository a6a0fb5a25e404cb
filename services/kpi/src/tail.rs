//! Follows the audit log of every tenant and records the events that derive from it, each entry exactly once:
//! the position moves in the transaction of the events.

use crate::derive;
use crate::service::Service;
use crate::service::ingest::{self, Source};
use crate::store::tail as store;
use futures::StreamExt as _;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{Entry, EntryView, TailRequest, TailResponse};
use remit_api::kpi::v1::Event;
use remit_core::{Result, Tenant};
use remit_runtime::{Peers, foreign};
use remit_store::{Mutation, Signal, tenants};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The most entries of one transaction.
const BATCH: usize = 2_000;
/// The most messages of the tail that are taken together.
const MESSAGES: usize = 8;
/// How long entries may gather before they are read, so that a busy log costs few transactions.
const GATHER: Duration = Duration::from_millis(200);
/// How long to wait after a failure, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How often to look for tenants that another process has seen.
const LOOK: Duration = Duration::from_secs(5);

/// Follows the logs until `shutdown`.
pub(crate) async fn run(service: Service, peers: Peers, shutdown: CancellationToken) {
    let mut followed: BTreeSet<Tenant> = BTreeSet::new();
    let mut logs = JoinSet::new();
    let mut signal = service.db.subscribe(Signal::Tenants);
    loop {
        match tenants::refresh(&service.db).await {
            Ok(seen) => {
                for tenant in seen {
                    if followed.insert(tenant.clone()) {
                        let log = Log { service: service.clone(), peers: peers.clone(), tenant };
                        logs.spawn(log.follow(shutdown.clone()));
                    }
                }
            }
            Err(error) => tracing::warn!(reason = error.reason(), "tenants could not be read: {error}"),
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = signal.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    while logs.join_next().await.is_some() {}
}

/// The log of one tenant.
struct Log {
    service: Service,
    peers: Peers,
    tenant: Tenant,
}

impl Log {
    async fn follow(self, shutdown: CancellationToken) {
        let mut wait = RETRY.0;
        loop {
            let ended = tokio::select! {
                () = shutdown.cancelled() => return,
                ended = self.read(&mut wait) => ended,
            };
            // A stream lives no longer than its token: that is not worth a word.
            if let Some(error) = ended.err().filter(|error| error.reason() != "TOKEN_EXPIRED") {
                let tenant = self.tenant.as_str();
                tracing::warn!(tenant, reason = error.reason(), "the audit log could not be followed: {error}");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(RETRY.1);
        }
    }

    /// Reads from the stored position until the stream ends or another process is faster.
    async fn read(&self, wait: &mut Duration) -> Result<()> {
        self.service.ready(&self.tenant).await?;
        let mut next = store::position(&mut self.service.db.read().await?, &self.tenant).await?;
        let request = TailRequest { start_index: next, view: EntryView::Basic.into(), ..TailRequest::default() };
        let mut client = AuditServiceClient::new(self.peers.channel("audit")).max_decoding_message_size(32 << 20);
        let tail = client.tail(self.peers.request("kpi", &self.tenant, request)).await.map_err(foreign)?.into_inner();
        let mut tail = tail.ready_chunks(MESSAGES);
        while let Some(messages) = tail.next().await {
            let messages: Vec<TailResponse> =
                messages.into_iter().collect::<std::result::Result<_, _>>().map_err(foreign)?;
            *wait = RETRY.0;
            let entries: Vec<Entry> = messages.into_iter().flat_map(|message| message.entries).collect();
            for part in entries.chunks(BATCH) {
                let Some(last) = part.last() else { continue };
                if !self.take(part, next, last.index + 1).await? {
                    return Ok(());
                }
                next = last.index + 1;
            }
            tokio::time::sleep(GATHER).await;
        }
        Ok(())
    }

    /// Records what derives from `entries` and moves the position from `from` to `to`; false if it was not at
    /// `from`.
    ///
    /// Nothing of this is recorded in the audit log: it follows from the log, and would never come to an end.
    async fn take(&self, entries: &[Entry], from: i64, to: i64) -> Result<bool> {
        let take = async |m: &mut Mutation| {
            if !store::claim(m.tx(), &self.tenant, from, to).await? {
                return Ok(false);
            }
            let mut memory = store::memory(m.tx(), &self.tenant, &derive::resources(entries)).await?;
            let before = memory.clone();
            record(m, derive::derive(entries, &mut memory)).await?;
            for (resource, now) in &memory {
                if before.get(resource) != Some(now) {
                    store::remember(m.tx(), &self.tenant, resource, now).await?;
                }
            }
            Ok(true)
        };
        self.service.db.own(&self.tenant, "kpi.events.derive", take).await
    }
}

/// Records derived events. One that a dimension's bound refuses counts without dimensions, so that totals stay
/// right.
async fn record(m: &mut Mutation, events: Vec<Event>) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let outcome = ingest::record(m, &events, Source::Audit).await?;
    let mut bare = Vec::new();
    for (index, flaw) in outcome.flaws {
        let Some(event) = events.get(index) else { continue };
        if flaw.field == "dimensions" {
            bare.push(Event { dimensions: Default::default(), ..event.clone() });
        } else {
            // Retired by the tenant, or overridden more than once: nothing to count.
            tracing::debug!(reason = flaw.reason, event = event.event_id, kpi = event.kpi, "not counted");
        }
    }
    if !bare.is_empty() {
        ingest::record(m, &bare, Source::Audit).await?;
    }
    Ok(())
}
