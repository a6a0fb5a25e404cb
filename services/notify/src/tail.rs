//! Follows the audit log of every tenant: each entry becomes one delivery for every subscription that selects it, and the
//! notices that follow from it. The position moves in the transaction of both.

use crate::duties;
use crate::filter::{Filter, Seen};
use crate::payload::Sent;
use crate::service::{Service, stop};
use crate::store::deliveries::{self, Deliveries};
use crate::store::subscriptions::{self, Subscriptions};
use crate::store::{notices, queues, tail as store};
use futures::StreamExt as _;
use prost::Message as _;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{Entry, EntryView, TailRequest, TailResponse};
use remit_api::notify::v1::{Delivery, DeliveryState, Notice, Subscription, SubscriptionState};
use remit_api::wire::time::{self, stamp};
use remit_core::name::{self, DeliveryName, NoticeName};
use remit_core::{Result, Tenant};
use remit_runtime::{Peers, foreign};
use remit_store::{Mutation, Records as _, Signal, tenants, timers};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The most entries of one transaction.
const BATCH: usize = 500;
/// The most messages of the tail that are taken together.
const MESSAGES: usize = 8;
/// How long to wait after a failure, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How often to look for tenants that another process has seen.
const LOOK: Duration = Duration::from_secs(5);
/// The most deliveries that wait for one subscription; then it breaks.
const BACKLOG: i64 = 100_000;

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

/// The filters of the subscriptions of a tenant, by name, each with the etag of the subscription that it was read from.
type Filters = BTreeMap<String, (String, Filter)>;

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
        let mut next = store::position(&mut self.service.db.read().await?, &self.tenant).await?;
        let request = TailRequest { start_index: next, view: EntryView::Basic.into(), ..TailRequest::default() };
        let mut client = AuditServiceClient::new(self.peers.channel("audit")).max_decoding_message_size(32 << 20);
        let request = self.peers.request("notify", &self.tenant, request);
        let tail = client.tail(request).await.map_err(foreign)?.into_inner();
        let (mut tail, mut filters) = (tail.ready_chunks(MESSAGES), Filters::new());
        while let Some(messages) = tail.next().await {
            let messages: Vec<TailResponse> =
                messages.into_iter().collect::<std::result::Result<_, _>>().map_err(foreign)?;
            *wait = RETRY.0;
            let entries: Vec<Entry> = messages.into_iter().flat_map(|message| message.entries).collect();
            for part in entries.chunks(BATCH) {
                let Some(last) = part.last() else { continue };
                if !self.take(part, next, last.index + 1, &mut filters).await? {
                    return Ok(());
                }
                next = last.index + 1;
                self.service.wake.notify_one();
            }
        }
        Ok(())
    }

    /// Writes what follows from `entries` and moves the position from `from` to `to`; false if it was not at `from`.
    ///
    /// Of this nothing is recorded in the audit log but that a subscription broke: it follows from the log, and would
    /// never come to an end.
    async fn take(&self, entries: &[Entry], from: i64, to: i64, filters: &mut Filters) -> Result<bool> {
        let take = async |m: &mut Mutation| {
            if !store::claim(m.tx(), &self.tenant, from, to).await? {
                return Ok(false);
            }
            let events = entries.iter().filter_map(|entry| Some((entry, Seen::of(entry.event.as_ref()?))));
            let events: Vec<(&Entry, Seen)> = events.collect();
            for (entry, seen) in &events {
                tell(m, entry, seen).await?;
            }
            let keeping = subscriptions::keeping(m.tx(), &self.tenant).await?;
            filters.retain(|name, _| keeping.iter().any(|subscription| subscription.name == *name));
            for subscription in &keeping {
                let known = filters.get(&subscription.name).is_some_and(|(etag, _)| *etag == subscription.etag);
                if !known {
                    let filter = Filter::parse(&subscription.filter)?;
                    filters.insert(subscription.name.clone(), (subscription.etag.clone(), filter));
                }
                if let Some((_, filter)) = filters.get(&subscription.name) {
                    let chosen: Vec<_> = events.iter().filter(|(_, seen)| filter.passes(seen)).collect();
                    self.keep(m, subscription, &chosen).await?;
                }
            }
            Ok(true)
        };
        self.service.db.own(&self.tenant, "notify.deliveries.keep", take).await
    }

    /// Writes the deliveries of a subscription.
    async fn keep(&self, m: &mut Mutation, found: &Subscription, chosen: &[&(&Entry, Seen)]) -> Result<()> {
        if chosen.is_empty() {
            return Ok(());
        }
        // Locked first: whoever works out what is due next then sees what is written here.
        let Some(subscription) = Subscriptions::try_claim(m, &found.name).await? else { return Ok(()) };
        if subscription.state() == SubscriptionState::Broken {
            return Ok(());
        }
        if deliveries::pending(m, &subscription.name, BACKLOG).await? >= BACKLOG {
            return stop(m, &subscription, "100,000 events waited for its endpoint, the most that are kept").await;
        }
        let (now, short) = (stamp(m.now()), name::last(&subscription.name).to_owned());
        let delivery = |(entry, seen): &&(&Entry, Seen)| {
            let event = entry.event.clone().unwrap_or_default();
            let at = event.recorded_at.as_ref().map(time::of).unwrap_or_default();
            let (index, id) = (Some(entry.index), event.id.as_str());
            let sent = Sent { tenant: &self.tenant, index, id, seen, at };
            Delivery {
                name: DeliveryName::new(&*short, entry.index.to_string()).to_string(),
                entry_index: entry.index,
                webhook_id: format!("{short}.{}", entry.index),
                action: seen.action.clone(),
                resource: seen.resource.clone(),
                state: DeliveryState::Pending.into(),
                payload: sent.body(subscription.format()),
                next_attempt_time: Some(now),
                create_time: Some(now),
                start_time: Some(now),
                ..Delivery::default()
            }
        };
        let mut deliveries: Vec<Delivery> = chosen.iter().map(delivery).collect();
        Deliveries::insert_all(m, &mut deliveries).await?;
        let now = m.now();
        queues::set(m, &subscription.name, now).await
    }
}

/// Writes the notices that follow from an entry, and plans or ends reminders.
async fn tell(m: &mut Mutation, entry: &Entry, seen: &Seen) -> Result<()> {
    let tenant = m.tenant().clone();
    let timer = |kind: &str, number: usize| format!("{kind}:{}:{number}", seen.resource);
    for (kind, reminders) in duties::ended(seen) {
        for number in 0..reminders {
            timers::cancel(m.tx(), &tenant, &timer(kind, number)).await?;
        }
    }
    let recorded = entry.event.as_ref().and_then(|event| event.recorded_at.as_ref()).map(time::of).unwrap_or_default();
    for told in duties::told(seen, recorded) {
        let mut notice = Notice {
            name: NoticeName::new(format!("{}-{}", entry.index, told.kind)).to_string(),
            duty: told.kind.to_owned(),
            text: told.text,
            otherwise: told.otherwise.to_owned(),
            resource: seen.resource.clone(),
            audiences: told.audiences.into_iter().collect(),
            entry_index: entry.index,
            statutory: told.statutory,
            create_time: Some(stamp(recorded)),
            due_time: told.due.map(stamp),
        };
        for (number, at) in told.reminders {
            let name = NoticeName::new(format!("{}-{}-{}", entry.index, told.kind, number + 1)).to_string();
            let text = format!("Not done yet: {}", notice.text);
            let reminder = Notice { name, text, ..notice.clone() };
            timers::schedule(
                m.tx(),
                &tenant,
                &timer(told.kind, number),
                "notice.remind",
                at,
                &reminder.encode_to_vec(),
            )
            .await?;
        }
        notices::write(m, &mut notice).await?;
    }
    Ok(())
}
