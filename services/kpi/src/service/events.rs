//! Recording events.

use super::Service;
use super::experiments::{check_hidden, hidden_arms};
use super::ingest::{self, Outcome, Source};
use super::query::Question;
use crate::calendar::Span;
use crate::definition::Flaw;
use crate::dimensions::Filter;
use crate::store::events::Recorded;
use crate::store::{events as store, kpis};
use futures::StreamExt as _;
use remit_api::kpi::v1::{
    Event, EventError, GetEventRequest, ListEventsRequest, ListEventsResponse, RecordEventsRequest,
    RecordEventsResponse, RecordedEvent, StreamEventsRequest, StreamEventsResponse,
};
use remit_api::wire::{Repeatable, range, time::stamp};
use remit_core::details::{Details as _, EventsRecorded};
use remit_core::name::KpiName;
use remit_core::{Error, Result, Timestamp};
use remit_drift::Moments;
use remit_runtime::{Cx, received};
use remit_store::{Mutation, Records as _, page};
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
        .inspect(|_| remit_runtime::meters::ingested(events.len()))
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
        let arms = if found.event.dimensions == NO_DIMENSIONS {
            Vec::new()
        } else {
            hidden_arms(&mut tx, &cx.tenant, &request.kpi, self.db.now().0).await?
        };
        shown(&request.kpi, found, &arms)
    }

    /// Lists the events behind a number.
    ///
    /// # Errors
    /// `NotFound` (`KPI_NOT_FOUND`), `InvalidArgument`: `NAME_INVALID`, `DIMENSION_UNKNOWN`, `FILTER_INVALID`,
    /// `TIME_RANGE_INVALID`, `PAGE_TOKEN_INVALID`; `FailedPrecondition` (`EXPERIMENT_RUNNING`).
    pub(crate) async fn list_events(&self, cx: &Cx, request: ListEventsRequest) -> Result<ListEventsResponse> {
        let (start, end) = range::open(request.range.as_ref(), "range")?;
        let span = Span { start: start.map_or(0, |at| at.0), end: end.map_or(i64::MAX, |at| at.0) };
        let terms = [span.start.to_string(), span.end.to_string(), request.show_corrected.to_string()];
        let terms = [&request.parent, &request.filter, &terms[0], &terms[1], &terms[2]].map(String::as_str);
        let keyset = self.db.keyset(&cx.tenant, cx.method, &terms);
        let after = keyset.after(&request.page_token)?;
        let size = page::size(request.page_size);
        let mut tx = self.snapshot(cx).await?;
        let definition = kpis::definition(&mut tx, &cx.tenant, &request.parent, "parent").await?;
        let filter = Filter::parse(&request.filter, &definition.keys, "filter")?;
        let filtered = !filter.is_empty();
        let question = Question { span, granularity: None, group_by: Vec::new(), filter, only: None };
        let now = self.db.now().0;
        check_hidden(&mut tx, &cx.tenant, &definition, &question, now).await?;
        let arms = hidden_arms(&mut tx, &cx.tenant, &request.parent, now).await?;
        let limit = if filtered { LOOKED_AT.max(size + 1) } else { size + 1 };
        let wanted = store::Wanted { span, all: request.show_corrected, after: after.as_deref(), limit };
        let found = store::list(&mut tx, &cx.tenant, &definition.id, &wanted).await?;
        drop(tx);
        // The last that was looked at, if there may be more behind it.
        let last = found.last().filter(|_| i64::try_from(found.len()).is_ok_and(|n| n == limit)).map(store::key);
        let mut passed = Vec::new();
        for recorded in found {
            if !filtered || question.filter.passes(&crate::dimensions::parse(&recorded.event.dimensions)?) {
                passed.push(recorded);
            }
        }
        let (kept, next) = keyset.cut(passed, size, store::key);
        let next_page_token = if next.is_empty() { last.map_or(next, |key| keyset.token(&key)) } else { next };
        let events = kept.into_iter().map(|recorded| shown(&request.parent, recorded, &arms)).collect::<Result<_>>()?;
        Ok(ListEventsResponse { events, next_page_token })
    }
}

/// The most events that one page of a filtered list looks at.
const LOOKED_AT: i64 = 2_000;
/// The canonical text of no dimensions.
const NO_DIMENSIONS: &str = "{}";

/// An event as callers see it: without what names somebody, and without the arm while that is hidden.
fn shown(kpi: &str, found: Recorded, hidden: &[(Span, String)]) -> Result<RecordedEvent> {
    let event = found.event;
    let millionths = |value: i64| Moments::value(i128::from(value));
    let mut dimensions = crate::dimensions::parse(&event.dimensions)?;
    for (_, arm) in hidden.iter().filter(|(span, _)| span.contains(event.occurred_at)) {
        dimensions.remove(arm);
    }
    Ok(RecordedEvent {
        recorded_at: Some(stamp(Timestamp(found.recorded_at))),
        corrected_by: found.corrected.map(|(by, _)| by).unwrap_or_default(),
        kpi_version: i32::try_from(found.kpi_version).unwrap_or(i32::MAX),
        event: Some(Event {
            kpi: kpi.to_owned(),
            occurred_at: Some(stamp(Timestamp(event.occurred_at))),
            value: event.value.map(millionths),
            denominator: event.denominator.map(millionths),
            member: String::new(),
            dimensions,
            corrects: event.corrects.unwrap_or_default(),
            retract: event.retract,
            event_id: event.event_id,
        }),
    })
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
