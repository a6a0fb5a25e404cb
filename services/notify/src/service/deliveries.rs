//! Deliveries.

use super::Service;
use crate::store::deliveries::{self as store, Deliveries};
use crate::store::{queues, subscriptions::Subscriptions};
use remit_api::notify::v1::{
    Delivery, DeliveryState, GetDeliveryRequest, ListDeliveriesRequest, ListDeliveriesResponse,
    ReplayDeliveriesRequest, ReplayDeliveriesResponse,
};
use remit_api::wire::time::stamp;
use remit_core::details::{DeliveriesReplayed, Details as _};
use remit_core::name::{DeliveryName, SubscriptionName};
use remit_core::{Error, Result};
use remit_runtime::Cx;
use remit_store::Records as _;

/// The most deliveries that one call sends again.
const MOST: i64 = 10_000;

impl Service {
    pub(crate) async fn get_delivery(&self, cx: &Cx, request: GetDeliveryRequest) -> Result<Delivery> {
        DeliveryName::parse(&request.name, "name")?;
        self.ready(&cx.tenant).await?;
        Deliveries::get(&mut self.db.read().await?, &cx.tenant, &request.name).await
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
        Ok(ListDeliveriesResponse { deliveries, next_page_token })
    }

    pub(crate) async fn replay_deliveries(
        &self,
        cx: &Cx,
        request: ReplayDeliveriesRequest,
    ) -> Result<ReplayDeliveriesResponse> {
        SubscriptionName::parse(&request.name, "name")?;
        if request.end_index <= request.start_index {
            return Err(Error::invalid("RANGE_INVALID", "end_index", "must be greater than start_index"));
        }
        let indexes = request.start_index..request.end_index;
        self.mutate(cx, &request, async |m| {
            let subscription = Subscriptions::claim(m, &request.name).await?;
            let now = m.now();
            let sent = store::sent(m, &subscription.name, indexes.clone(), request.dead_only, MOST).await?;
            for mut delivery in sent.iter().cloned() {
                delivery.state = DeliveryState::Pending.into();
                delivery.next_attempt_time = Some(stamp(now));
                delivery.start_time = Some(stamp(now));
                delivery.failures = 0;
                store::settle(m, &delivery).await?;
            }
            let replayed = i64::try_from(sent.len()).unwrap_or(i64::MAX);
            if replayed > 0 {
                queues::set(m, &subscription.name, now).await?;
            }
            m.record(&subscription.name, |event| {
                let (start_index, end_index) = (request.start_index, request.end_index);
                event.details = DeliveriesReplayed { start_index, end_index, replayed }.json();
            });
            Ok(ReplayDeliveriesResponse { replayed })
        })
        .await
    }
}
