//! Step 3: the leads of a month are checked, recorded, routed and measured, a week at a time.

use super::actors::{Actors, refused};
use super::data::{Data, Lead};
use super::names::lead_scorer;
use super::tasks::LEAD_TASK;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use remit_api::handoff::v1::lead_routing_service_client::LeadRoutingServiceClient;
use remit_api::handoff::v1::{AcceptLeadRequest, Destination, Lead as ScoredLead, RouteLeadsRequest};
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::kpi::v1::{CreateKpiRequest, Direction, Event, Kind, Kpi, Layer, StreamEventsRequest, Unit};
use remit_api::registry::v1::output_service_client::OutputServiceClient;
use remit_api::registry::v1::{DigitalSourceType, Output, OutputEntry, OutputStage, RecordOutputsRequest};
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::scoring::v1::{CheckTaskRequest, CheckTaskResponse, Verdict};
use remit_api::types::Stakes;
use remit_api::wire::time::stamp;
use remit_core::{Error, Result, digest};
use std::collections::BTreeMap;

/// What the lead scorer is told of each lead: how sure its enrichment is.
pub(super) const INPUT: &str = "input_enrichment_confidence";

/// How many items go into one message of a stream.
const BATCH: usize = 500;

/// What happened to the leads of one month.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Month {
    /// Leads of the month.
    pub(super) leads: usize,
    /// Leads that went to sales.
    pub(super) routed: usize,
    /// Leads that converted.
    pub(super) converted: usize,
    /// Weeks in which `CheckTask` permitted the version in force.
    pub(super) weeks_permitted: usize,
}

impl std::ops::AddAssign for Month {
    fn add_assign(&mut self, other: Self) {
        self.leads += other.leads;
        self.routed += other.routed;
        self.converted += other.converted;
        self.weeks_permitted += other.weeks_permitted;
    }
}

/// Asks whether version `version` may score leads.
///
/// # Errors
/// `FailedPrecondition` if the service does not answer.
pub(super) async fn check(actors: &Actors, version: usize, run: &str) -> Result<CheckTaskResponse> {
    let request = CheckTaskRequest {
        task: LEAD_TASK.into(),
        model_version: lead_scorer(version),
        run_id: run.to_owned(),
        stakes: Stakes::Low.into(),
        ..Default::default()
    };
    let answer = DecisionServiceClient::new(actors.to("scoring", "platform")?).check_task(request).await;
    Ok(answer.map_err(refused)?.into_inner())
}

/// Puts one week of leads through the suite. Every item carries an id of its own, so that a second run
/// after a crash changes nothing that the first one did.
///
/// # Errors
/// Whatever the services refuse.
pub(super) async fn week(actors: &Actors, leads: &[&Lead], version: usize, run: &str) -> Result<Month> {
    let Some(last) = leads.last() else { return Ok(Month::default()) };
    actors.advance(last.contacted_at).await?;
    let answer = check(actors, version, run).await?;
    let permitted = answer.verdict() == Verdict::Permit;
    if permitted {
        record_outputs(actors, leads, version, &answer.decision).await?;
    }
    let routed = route(actors, leads, version).await?;
    record_events(actors, week_events(leads, version)).await?;
    Ok(Month {
        leads: leads.len(),
        routed,
        converted: leads.iter().filter(|lead| lead.converted).count(),
        weeks_permitted: usize::from(permitted),
    })
}

/// Records what the model made of each lead, under the decision that permitted it.
async fn record_outputs(actors: &Actors, leads: &[&Lead], version: usize, decision: &str) -> Result<()> {
    let entries = |batch: &[&Lead]| batch.iter().map(|lead| output(lead, version, decision)).collect();
    let requests: Vec<_> = leads.chunks(BATCH).map(|batch| RecordOutputsRequest { entries: entries(batch) }).collect();
    let mut answers = OutputServiceClient::new(actors.to("registry", "platform")?)
        .record_outputs(stream::iter(requests))
        .await
        .map_err(refused)?
        .into_inner();
    while let Some(answer) = answers.message().await.map_err(refused)? {
        if let Some(result) = answer.results.iter().find(|result| !result.reason.is_empty()) {
            let what = format!("output {} was refused: {} {}", result.output_id, result.reason, result.message);
            return Err(Error::internal(what));
        }
    }
    Ok(())
}

/// Prompt and guardrail are those that the version runs with.
fn output(lead: &Lead, version: usize, decision: &str) -> OutputEntry {
    let name = lead_scorer(version);
    let output = Output {
        asset_digest: digest::sha256(format!("{} {} {}", name, lead.id, lead.scores[version]).as_bytes()),
        model_version: name,
        task: LEAD_TASK.into(),
        decision: decision.to_owned(),
        stakes: Stakes::Low.into(),
        stage: OutputStage::Channel.into(),
        digital_source_type: DigitalSourceType::AlgorithmicMedia.into(),
        subject: format!("leads/{}", lead.id),
        occurred_time: Some(stamp(lead.contacted_at)),
        ..Default::default()
    };
    OutputEntry { output_id: format!("score-{}-v{}", lead.id, version + 1), output: Some(output) }
}

/// Routes a week of leads; sales accept what they get within their two hours, all but every fiftieth.
async fn route(actors: &Actors, leads: &[&Lead], version: usize) -> Result<usize> {
    let requests: Vec<_> = leads
        .chunks(BATCH)
        .enumerate()
        .map(|(batch, leads)| RouteLeadsRequest {
            leads: leads.iter().map(|lead| scored(lead, version)).collect(),
            model_version: lead_scorer(version),
            task: LEAD_TASK.into(),
            batch: batch as i64,
            ..Default::default()
        })
        .collect();
    let mut answers = LeadRoutingServiceClient::new(actors.to("handoff", "platform")?)
        .route_leads(stream::iter(requests))
        .await
        .map_err(refused)?
        .into_inner();
    let mut assigned = Vec::new();
    while let Some(answer) = answers.message().await.map_err(refused)? {
        if let Some(error) = answer.errors.first() {
            return Err(Error::internal(format!("lead {} was refused: {}", error.lead_id, error.message)));
        }
        let sales = answer.routings.into_iter().filter(|routing| routing.destination() == Destination::Sales);
        assigned.extend(sales.map(|routing| routing.name));
    }
    let routed = assigned.len();
    let accepted = assigned.into_iter().enumerate().filter(|(i, _)| i % 50 != 49).map(|(_, name)| name);
    stream::iter(accepted)
        .map(|name| async move {
            let request_id = format!("demo-accept-{}", name.trim_start_matches("routings/"));
            LeadRoutingServiceClient::new(actors.to("handoff", "sam")?)
                .accept_lead(AcceptLeadRequest { name, request_id })
                .await
                .map_err(refused)
        })
        .buffer_unordered(16)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    Ok(routed)
}

fn scored(lead: &Lead, version: usize) -> ScoredLead {
    ScoredLead {
        lead_id: lead.id.clone(),
        score: Some(lead.scores[version]),
        enrichment_confidence: Some(lead.enrichment_confidence),
        enrichment: lead.personal.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
        recommended_owner: "sam".into(),
        occurred_at: Some(stamp(lead.contacted_at)),
    }
}

fn week_events(leads: &[&Lead], version: usize) -> Vec<Event> {
    let mut events = Vec::with_capacity(leads.len() * 7);
    for lead in leads {
        let event = |kpi: &str, value: Option<f64>| Event {
            event_id: format!("{kpi}-{}", lead.id),
            kpi: format!("kpis/{kpi}"),
            occurred_at: Some(stamp(lead.contacted_at)),
            value,
            ..Default::default()
        };
        events.push(event("contacts", None));
        if lead.converted {
            events.push(event("conversions", None));
        }
        events.push(event("conversion_rate", Some(f64::from(u8::from(lead.converted)))));
        events.push(event("call_seconds", Some(f64::from(lead.call_seconds))));
        events.push(score_event("lead_score", lead, version));
        let missed = f64::from(u8::from(lead.converted)) - lead.scores[version];
        events.push(Event { value: Some(missed), ..score_event("lead_score_calibration", lead, version) });
        events.push(event(INPUT, Some(lead.enrichment_confidence)));
    }
    events
}

fn score_event(kpi: &str, lead: &Lead, version: usize) -> Event {
    Event {
        event_id: format!("{kpi}-{}-v{}", lead.id, version + 1),
        kpi: format!("kpis/{kpi}"),
        occurred_at: Some(stamp(lead.contacted_at)),
        value: Some(lead.scores[version]),
        dimensions: BTreeMap::from([("model_version".to_owned(), lead_scorer(version))]),
        ..Default::default()
    }
}

/// Defines the KPI in which the inputs of the lead scorer are recorded, so that their drift is seen (S113).
///
/// # Errors
/// Whatever the service refuses.
pub(super) async fn define_input(actors: &Actors) -> Result<()> {
    let kpi = Kpi {
        display_name: "Input: enrichment confidence".into(),
        description: "How sure the enrichment of a scored lead is, in [0, 1].".into(),
        kind: Kind::Distribution.into(),
        layer: Layer::Execution.into(),
        unit: Unit::Score.into(),
        direction: Direction::Neutral.into(),
        owner: "dara".into(),
        ..Default::default()
    };
    let request = CreateKpiRequest { kpi_id: INPUT.into(), kpi: Some(kpi), request_id: "demo-input-confidence".into() };
    KpiServiceClient::new(actors.to("kpi", "dara")?).create_kpi(request).await.map_err(refused).map(drop)
}

/// Records the scores of a version's baseline months: what drift is measured against. They belong to the
/// evaluation, so they are recorded when the version is registered, under the month of the registration.
///
/// # Errors
/// Whatever the service refuses.
pub(super) async fn record_baseline(
    actors: &Actors,
    data: &Data,
    version: usize,
    at: remit_core::Timestamp,
) -> Result<()> {
    let events = data
        .baseline_scores(version)
        .into_iter()
        .map(|lead| Event { occurred_at: Some(stamp(at)), ..score_event("lead_score_baseline", lead, version) });
    record_events(actors, events.collect()).await
}

async fn record_events(actors: &Actors, events: Vec<Event>) -> Result<()> {
    let requests: Vec<_> = events
        .chunks(2_000)
        .map(|batch| StreamEventsRequest { events: batch.to_vec(), ..Default::default() })
        .collect();
    let answer = KpiServiceClient::new(actors.to("kpi", "platform")?)
        .stream_events(stream::iter(requests))
        .await
        .map_err(refused)?
        .into_inner();
    match answer.errors.first() {
        Some(error) => Err(Error::internal(format!("event {} was refused: {}", error.event_id, error.message))),
        None => Ok(()),
    }
}
