//! Recording events.

use super::Kpis;
use super::ingest::{self, Outcome, Source};
use crate::definition::Flaw;
use crate::service::time;
use crate::store::events as store;
use remit_api::kpi::v1::{
    Event, EventError, GetEventRequest, RecordEventsRequest, RecordEventsResponse, RecordedEvent,
};
use remit_core::{Error, Result, Tenant};
use remit_drift::Moments;
use remit_runtime::{Started, begin, finish};
use remit_store::{Call, Mutation};
use std::collections::BTreeMap;

impl Kpis {
    /// Records a batch.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the event and the field, unless the request asks to skip it.
    pub async fn record_events(&self, call: Call, request: &RecordEventsRequest) -> Result<RecordEventsResponse> {
        self.record_batch(call, &request.events, request.skip_invalid).await
    }

    /// Records the events of one request or of one message of a stream.
    ///
    /// # Errors
    /// As [`Kpis::record_events`].
    pub async fn record_batch(&self, call: Call, events: &[Event], skip_invalid: bool) -> Result<RecordEventsResponse> {
        self.ready(&call.tenant).await?;
        let mut mutation = match begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let outcome = ingest::record(&mut mutation, events, Source::Caller).await?;
        if !outcome.flaws.is_empty() && !skip_invalid {
            return Err(ingest::refusal(&outcome.flaws));
        }
        audit(&mut mutation, "kpi.events.record", &outcome);
        finish(mutation, response(events, outcome)).await
    }

    /// Returns an event as recorded.
    ///
    /// # Errors
    /// `NotFound` (`KPI_UNKNOWN`, `EVENT_UNKNOWN`).
    pub async fn get_event(&self, tenant: &Tenant, request: &GetEventRequest) -> Result<RecordedEvent> {
        self.ready(tenant).await?;
        let mut tx = self.db.read().await?;
        let definition = self.definition(&mut tx, tenant, &request.kpi, "kpi").await?;
        let found = store::find(&mut tx, tenant, &definition.id, &[&request.event_id]).await?;
        let found = found.into_iter().next().ok_or_else(|| Error::not_found("EVENT_UNKNOWN", &request.event_id))?;
        let event = found.event;
        let millionths = |value: i64| Moments::value(i128::from(value));
        Ok(RecordedEvent {
            recorded_at: Some(time(found.recorded_at)),
            corrected_by: found.corrected.map(|(by, _)| by).unwrap_or_default(),
            kpi_version: i32::try_from(found.kpi_version).unwrap_or(i32::MAX),
            event: Some(Event {
                kpi: definition.kpi.name,
                occurred_at: Some(time(event.occurred_at)),
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
pub fn audit(mutation: &mut Mutation, action: &str, outcome: &Outcome) {
    if outcome.accepted.is_empty() {
        return;
    }
    let mut kpis = outcome.accepted.keys();
    let resource = match (kpis.next(), kpis.next()) {
        (Some(only), None) => format!("kpis/{only}"),
        _ => "kpis/-".to_owned(),
    };
    let mut event = mutation.event(action, &resource);
    event.details = serde_json::json!({
        "accepted": outcome.accepted,
        "duplicates": outcome.duplicates,
        "late": outcome.late,
        "corrected": outcome.corrected,
        "refused": outcome.flaws.len(),
    });
    mutation.record(event);
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
