//! Deliveries.

use super::Service;
use crate::filter::{Filter, Seen};
use crate::store::deliveries::{self as store, Deliveries};
use crate::store::{queues, subscriptions::Subscriptions};
use crate::tail::{BACKLOG, delivery};
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{Entry, EntryView, SearchOrder, SearchRequest};
use remit_api::notify::v1::{
    Delivery, DeliveryState, GetDeliveryRequest, ListDeliveriesRequest, ListDeliveriesResponse,
    ReplayDeliveriesRequest, ReplayDeliveriesResponse, Subscription,
};
use remit_api::wire::range;
use remit_api::wire::time::stamp;
use remit_core::details::{DeliveriesReplayed, Details as _};
use remit_core::name::{DeliveryName, SubscriptionName};
use remit_core::{Error, Kind, Result, Tenant, Timestamp};
use remit_runtime::{Cx, foreign};
use remit_store::{Mutation, Records as _};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

/// The most deliveries that one call sends again, about as many entries of the log as it reads, and those of a page.
const MOST: i64 = 10_000;
const PAGE: i32 = 1_000;
/// When to ask again where too much waits.
const AGAIN: Duration = Duration::from_secs(60);

/// What was read of the audit log.
#[derive(Default)]
struct Read {
    entries: Vec<Entry>,
    /// Where it was left off; none if all was read.
    next: Option<i64>,
}

impl Service {
    pub(crate) async fn get_delivery(&self, cx: &Cx, request: GetDeliveryRequest) -> Result<Delivery> {
        DeliveryName::parse(&request.name, "name")?;
        self.ready(&cx.tenant).await?;
        let found = Deliveries::get(&mut self.db.read().await?, &cx.tenant, &request.name).await?;
        Ok(self.shown_delivery(cx, found))
    }

    /// A delivery as the caller may see it. What a receiver answers may repeat the URL that it was sent to, so that those who
    /// see of that the host alone see of the answer its status.
    fn shown_delivery(&self, cx: &Cx, mut delivery: Delivery) -> Delivery {
        if !self.sees_secrets(cx) {
            delivery.latest_attempts.iter_mut().for_each(|attempt| attempt.answer.clear());
        }
        // What is over keeps the time when it ended there, by which it is forgotten.
        if delivery.state() != DeliveryState::Pending {
            delivery.next_attempt_time = None;
        }
        delivery
    }

    pub(crate) async fn list_deliveries(
        &self,
        cx: &Cx,
        request: ListDeliveriesRequest,
    ) -> Result<ListDeliveriesResponse> {
        self.ready(&cx.tenant).await?;
        let pattern = SubscriptionName::PATTERN;
        let (deliveries, next_page_token) =
            Deliveries::list_in::<Subscriptions>(&self.db, &cx.tenant, cx.page(&request), pattern).await?;
        let deliveries = deliveries.into_iter().map(|delivery| self.shown_delivery(cx, delivery)).collect();
        Ok(ListDeliveriesResponse { deliveries, next_page_token })
    }

    pub(crate) async fn replay_deliveries(
        &self,
        cx: &Cx,
        request: ReplayDeliveriesRequest,
    ) -> Result<ReplayDeliveriesResponse> {
        let recorded = range::open(request.recorded.as_ref(), "recorded")?;
        SubscriptionName::parse(&request.name, "name")?;
        if request.end_index <= request.start_index {
            return Err(Error::invalid("RANGE_INVALID", "end_index", "must be greater than start_index"));
        }
        let timed = recorded != (None, None);
        // Before the transaction, which asks no other service. Dead letters have their records here.
        let read = if request.dead_only && !timed {
            Read::default()
        } else {
            self.read_log(&cx.tenant, request.start_index..request.end_index, recorded).await?
        };
        self.mutate(cx, &request, async |m| {
            let subscription = Subscriptions::claim(m, &request.name).await?;
            let now = m.now();
            if store::pending(m, &subscription.name, BACKLOG).await? >= BACKLOG {
                let why =
                    format!("{BACKLOG} deliveries wait already, the most that are kept: wait until they are sent");
                return Err(Error::new(Kind::ResourceExhausted, "DELIVERIES_FULL", why).with_retry_after(AGAIN));
            }
            let mut span = request.start_index..read.next.unwrap_or(request.end_index);
            let mut sent = store::sent(m, &subscription.name, span.clone(), request.dead_only, MOST).await?;
            if i64::try_from(sent.len()).is_ok_and(|count| count >= MOST) {
                span.end = sent.last().map_or(span.end, |last| last.entry_index + 1);
            }
            if timed {
                let indexes: BTreeSet<i64> = read.entries.iter().map(|entry| entry.index).collect();
                sent.retain(|delivery| indexes.contains(&delivery.entry_index));
            }
            let made = if request.dead_only { 0 } else { self.make_up(m, &subscription, &read, &span).await? };
            for delivery in &mut sent {
                delivery.state = DeliveryState::Pending.into();
                delivery.next_attempt_time = Some(stamp(now));
                delivery.start_time = Some(stamp(now));
                delivery.failures = 0;
            }
            store::settle(m, &sent).await?;
            let replayed = i64::try_from(sent.len() + made).unwrap_or(i64::MAX);
            if replayed > 0 {
                queues::set(m, &subscription.name, now).await?;
            }
            m.record(&subscription.name, |event| {
                let (start_index, end_index) = (span.start, span.end);
                event.details = DeliveriesReplayed { start_index, end_index, replayed }.json();
            });
            let next_index = if span.end < request.end_index { span.end } else { 0 };
            Ok(ReplayDeliveriesResponse { replayed, next_index })
        })
        .await
    }

    /// Reads entries of the audit log, at most as many as one call sends again, and those of the page that it ends in.
    async fn read_log(
        &self,
        tenant: &Tenant,
        indexes: Range<i64>,
        (from, until): (Option<Timestamp>, Option<Timestamp>),
    ) -> Result<Read> {
        let Some(peers) = &self.peers else { return Ok(Read::default()) };
        let mut filter = format!("index >= {}", indexes.start);
        if indexes.end < i64::MAX {
            let _ = write!(filter, " AND index < {}", indexes.end);
        }
        for (comparison, time) in [(">=", from), ("<", until)] {
            if let Some(time) = time {
                let _ = write!(filter, " AND recorded_at {comparison} \"{time}\"");
            }
        }
        let mut client = AuditServiceClient::new(peers.channel("audit")).max_decoding_message_size(32 << 20);
        let (mut read, mut page_token) = (Read::default(), String::new());
        loop {
            let request = SearchRequest {
                filter: filter.clone(),
                order: SearchOrder::OldestFirst.into(),
                view: EntryView::Basic.into(),
                page_size: PAGE,
                page_token,
            };
            let request = peers.request(self.db.service(), tenant, request);
            let answer = client.search(request).await.map_err(foreign)?.into_inner();
            read.entries.extend(answer.entries);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return Ok(read);
            }
            if i64::try_from(read.entries.len()).is_ok_and(|count| count >= MOST) {
                read.next = read.entries.last().map(|last| last.index + 1);
                return Ok(read);
            }
        }
    }

    /// Writes the records of a claimed subscription that it has not, of what its filter selects; how many.
    async fn make_up(
        &self,
        m: &mut Mutation,
        subscription: &Subscription,
        read: &Read,
        span: &Range<i64>,
    ) -> Result<usize> {
        let (tenant, now) = (m.tenant().clone(), m.now());
        let filter = Filter::parse(&subscription.filter)?;
        let known = store::recorded(m, &subscription.name, span).await?;
        let missing = read.entries.iter().filter(|entry| span.contains(&entry.index) && !known.contains(&entry.index));
        let chosen = missing.filter_map(|entry| {
            let seen = Seen::of(entry.event.as_ref()?);
            let about = (entry, &seen);
            filter.passes(&seen).then(|| delivery((&self.event_prefix, &tenant), subscription, about, now))
        });
        let mut made: Vec<Delivery> = chosen.collect();
        Deliveries::insert_all(m, &mut made).await?;
        Ok(made.len())
    }
}
