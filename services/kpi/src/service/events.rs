//! Recording events.

use super::Service;
use super::ingest::{self, Outcome, Source};
use crate::definition::Flaw;
use crate::store::{events as store, kpis};
use futures::StreamExt as _;
use remit_api::kpi::v1::{
    Event, EventError, GetEventRequest, RecordEventsRequest, RecordEventsResponse, RecordedEvent, StreamEventsRequest,
    StreamEventsResponse,
};
use remit_api::wire::{Repeatable, time::stamp};
use remit_core::details::{Details as _, EventsRecorded};
use remit_core::name::KpiName;
use remit_core::{Error, Result, Timestamp};
use remit_drift::Moments;
use remit_runtime::{Cx, received};
use remit_store::{Mutation, Records as _};
use std::collections::BTreeMap;
use tonic::Streaming;

/// The most refused events that the answer to a stream lists.
const MAX_ERRORS: usize = 100;

impl Service {
    /// Records a batch.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the event and the field, unless the request asks to skip it.
    pub(crate) async fn record_events(&self, cx: &Cx, request: RecordEventsRequest) -> Result<RecordEventsResponse> {
        self.record_batch(cx, &request, &request.events, request.skip_invalid).await
    }

    /// Records a stream of batches, each as one of [`Service::record_events`].
    ///
    /// # Errors
    /// As [`Service::record_events`]; the batches before the one at fault are recorded.
    pub(crate) async fn stream_events(
        &self,
        cx: &Cx,
        mut batches: Streaming<StreamEventsRequest>,
    ) -> Result<StreamEventsResponse> {
        let mut total = StreamEventsResponse::default();
        let mut offset = 0i32;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(received)?;
            let recorded = self.record_batch(cx, &batch, &batch.events, batch.skip_invalid).await?;
            total.batch_count += 1;
            total.accepted_count += i64::from(recorded.accepted_count);
            total.duplicate_count += i64::from(recorded.duplicate_count);
            total.late_count += i64::from(recorded.late_count);
            total.corrected_count += i64::from(recorded.corrected_count);
            for mut error in recorded.errors {
                total.error_count += 1;
                if total.errors.len() < MAX_ERRORS {
                    error.index = error.index.saturating_add(offset);
                    total.errors.push(error);
                }
            }
            offset = offset.saturating_add(i32::try_from(batch.events.len()).unwrap_or(i32::MAX));
        }
        Ok(total)
    }

    async fn record_batch<Q: Repeatable>(
        &self,
        cx: &Cx,
        request: &Q,
        events: &[Event],
        skip_invalid: bool,
    ) -> Result<RecordEventsResponse> {
        self.mutate(cx, request, async |m| {
            let outcome = ingest::record(m, events, Source::Caller).await?;
            if !outcome.flaws.is_empty() && !skip_invalid {
                return Err(ingest::refusal(&outcome.flaws));
            }
            record(m, &outcome);
            Ok(response(events, outcome))
        })
        .await
    }

    /// Returns an event as recorded.
    ///
    /// # Errors
    /// `NotFound` (`KPI_NOT_FOUND`, `EVENT_NOT_FOUND`), `InvalidArgument` (`NAME_INVALID`).
    pub(crate) async fn get_event(&self, cx: &Cx, request: GetEventRequest) -> Result<RecordedEvent> {
        let kpi = KpiName::parse(&request.kpi, "kpi")?;
        let mut tx = self.read(cx).await?;
        let found = store::find(&mut tx, &cx.tenant, &kpi.kpi, &[&request.event_id]).await?;
        let Some(found) = found.into_iter().next() else {
            kpis::Kpis::get(&mut tx, &cx.tenant, &request.kpi).await?;
            return Err(Error::not_found("EVENT_NOT_FOUND", &request.event_id));
        };
        let event = found.event;
        let millionths = |value: i64| Moments::value(i128::from(value));
        Ok(RecordedEvent {
            recorded_at: Some(stamp(Timestamp(found.recorded_at))),
            corrected_by: found.corrected.map(|(by, _)| by).unwrap_or_default(),
            kpi_version: i32::try_from(found.kpi_version).unwrap_or(i32::MAX),
            event: Some(Event {
                kpi: request.kpi,
                occurred_at: Some(stamp(Timestamp(event.occurred_at))),
                value: event.value.map(millionths),
                denominator: event.denominator.map(millionths),
                member: String::new(),
                dimensions: crate::dimensions::parse(&event.dimensions)?,
                corrects: event.corrects.unwrap_or_default(),
                retract: event.retract,
                event_id: event.event_id,
            }),
        })
    }
}

/// Records one audit event for the batch, unless it changed nothing.
fn record(m: &mut Mutation, outcome: &Outcome) {
    if outcome.accepted.is_empty() {
        return;
    }
    let mut kpis = outcome.accepted.keys();
    let resource = match (kpis.next(), kpis.next()) {
        (Some(only), None) => only,
        _ => "-",
    };
    m.record(&KpiName::new(resource).to_string(), |event| {
        event.details = EventsRecorded {
            accepted: outcome.accepted.clone(),
            duplicates: outcome.duplicates,
            late: outcome.late,
            corrected: outcome.corrected,
            refused: outcome.flaws.len() as u64,
        }
        .json();
    });
}

fn response(events: &[Event], outcome: Outcome) -> RecordEventsResponse {
    RecordEventsResponse {
        accepted_count: outcome.accepted_count(),
        duplicate_count: outcome.duplicates,
        late_count: outcome.late,
        corrected_count: outcome.corrected,
        errors: errors(events, outcome.flaws),
    }
}

fn errors(events: &[Event], flaws: BTreeMap<usize, Flaw>) -> Vec<EventError> {
    let error = |(index, flaw): (usize, Flaw)| EventError {
        index: i32::try_from(index).unwrap_or(i32::MAX),
        event_id: events.get(index).map(|event| event.event_id.clone()).unwrap_or_default(),
        field: flaw.field.to_owned(),
        reason: flaw.reason.to_owned(),
        message: flaw.message,
    };
    flaws.into_iter().map(error).collect()
}
