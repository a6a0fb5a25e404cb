//! More cases of the service `council`: what a review's pack says is complete, and each record is in one of them.

use super::cases;
use super::council::{seat, with_members};
use super::council_meetings::{collected, open_review, refresh, refreshed, reviews};
use super::registry::{create_model, version_message};
use crate::support::{Suite, reason, stamp};
use prost_types::FieldMask;
use remit_api::council::v1::incident_service_client::IncidentServiceClient;
use remit_api::council::v1::*;
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::kpi::v1::{Event, RecordEventsRequest};
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{AiActClass, CreateModelVersionRequest, ModelVersion};
use remit_core::Timestamp;
use serde_json::Value;
use std::time::Duration;

cases! {
    a_record_is_in_one_pack_and_what_is_late_is_restated;
    the_registry_says_whether_a_system_is_high_risk;
}

const DAY: Duration = Duration::from_secs(86_400);

fn incident(system: &str) -> Incident {
    Incident {
        system: system.into(),
        title: "Wrong scores".into(),
        source: "customer complaint".into(),
        description: "It scored everybody alike.".into(),
        impact: "Offers went to the wrong people.".into(),
        severity: Severity::High.into(),
        category: IncidentCategory::Bias.into(),
        seriousness: Seriousness::Serious.into(),
        ..Default::default()
    }
}

fn report(id: &str, incident: Incident) -> CreateIncidentRequest {
    CreateIncidentRequest { incident_id: id.into(), incident: Some(incident), ..Default::default() }
}

/// The review that the schedule opens, once it has its evidence.
async fn opened(suite: &Suite, period: &str) -> Review {
    let review = Review { name: format!("reviews/steering-group-{period}"), ..Default::default() };
    collected(suite, &review).await
}

/// The evidence of a review as exported.
async fn evidence(suite: &Suite, review: &Review) -> Value {
    let request = ExportReviewRequest { name: review.name.clone(), format: ExportFormat::Json.into() };
    let exported = reviews(suite, "lea").export_review(request).await.expect("a pack").into_inner();
    let document: Value = serde_json::from_slice(&exported.content).expect("JSON");
    document["pack"]["evidence"].clone()
}

/// How many incidents the pack counts as new.
fn new_incidents(evidence: &Value) -> i64 {
    let sections = evidence["sections"].as_array().expect("sections");
    let of_it = sections.iter().find(|section| section["key"] == "incidents").expect("a section");
    let facts = of_it["blocks"][0]["facts"].as_array().expect("facts");
    let new = facts.iter().find(|fact| fact["label"] == "New").expect("a count");
    new["value"].as_i64().expect("a number")
}

/// Contacts that happened on 20 December 2025.
async fn contact(suite: &Suite, id: &str) {
    let event = Event {
        event_id: id.into(),
        kpi: "kpis/contacts".into(),
        occurred_at: Some(stamp(Timestamp(1_766_224_800_000_000))),
        dimensions: [("channel".to_owned(), "phone".to_owned())].into(),
        ..Default::default()
    };
    let request = RecordEventsRequest { events: vec![event], ..Default::default() };
    let mut platform = KpiServiceClient::new(suite.platform().to("kpi"));
    platform.record_events(request).await.expect("the event is recorded");
}

async fn a_record_is_in_one_pack_and_what_is_late_is_restated(suite: Suite) {
    with_members(&suite).await;
    contact(&suite, "one").await;
    let mut lea = IncidentServiceClient::new(seat(&suite, "lea").to("council"));
    lea.create_incident(report("i", incident("the newsletter"))).await.expect("an incident");
    suite.settle().await;
    let december = open_review(&suite, "2025-12").await;
    let said = evidence(&suite, &december).await;
    assert_eq!(new_incidents(&said), 0, "it was recorded in January");
    assert!(!december.findings.iter().any(|one| one.code == "SOURCE_AWAY"), "{:#?}", december.findings);
    let states = said["sources"].as_array().expect("sources");
    let kpi = states.iter().find(|state| state["source"] == "kpi").expect("kpi is one of them");
    assert!(kpi["index"].as_i64() >= kpi["of"].as_i64() && kpi["of"].as_i64() > Some(0), "{kpi}");

    contact(&suite, "two").await;
    suite.advance(31 * DAY).await;
    let january = opened(&suite, "2026-01").await;
    let said = evidence(&suite, &january).await;
    assert_eq!(new_incidents(&said), 1);
    let restated = january.findings.iter().find(|one| one.code == "FIGURES_RESTATED").expect("December has changed");
    assert_eq!(restated.resource, december.name);
    let get = GetReviewRequest { name: december.name.clone() };
    let marked = reviews(&suite, "lea").get_review(get).await.expect("it exists").into_inner();
    assert_eq!((&marked.pack_digest, &marked.evidence_digest), (&december.pack_digest, &december.evidence_digest));
    let mark = marked.restatements.iter().find(|mark| mark.figure.starts_with("kpis/contacts@")).expect("a mark");
    assert_eq!((mark.old_value, mark.new_value, mark.old_n, mark.new_n), (Some(1.0), Some(2.0), 1, 2));
    assert_eq!(mark.review, january.name);
    let again = reviews(&suite, "lea").refresh_evidence(refresh(&december)).await.expect_err("it would count twice");
    assert_eq!(reason(&again), "REVIEW_RESTATED");
    // Collected anew, the later pack says the same, and leaves no second mark.
    let anew = refreshed(&suite, &january).await;
    assert!(anew.findings.iter().any(|one| one.code == "FIGURES_RESTATED"), "{:#?}", anew.findings);
    let get = GetReviewRequest { name: december.name.clone() };
    let after = reviews(&suite, "lea").get_review(get).await.expect("it exists").into_inner();
    assert_eq!(after.restatements, marked.restatements);
}

async fn the_registry_says_whether_a_system_is_high_risk(suite: Suite) {
    create_model(&suite, "m").await.expect("a model");
    let request = CreateModelVersionRequest {
        parent: "models/m".into(),
        model_version: Some(ModelVersion { ai_act_class: AiActClass::High.into(), ..version_message(&[]) }),
        ..Default::default()
    };
    let mut models = ModelServiceClient::new(suite.admin().to("registry"));
    let version = models.create_model_version(request).await.expect("a version").into_inner();
    let mut lea = IncidentServiceClient::new(seat(&suite, "lea").to("council"));
    let of = |incident: &Incident| {
        let clocks: Vec<_> = incident.clocks.iter().map(StatutoryClock::kind).collect();
        (incident.high_risk_system, incident.high_risk_source(), clocks)
    };
    let made = lea.create_incident(report("high", incident(&version.name))).await.expect("an incident").into_inner();
    assert_eq!(of(&made), (true, RiskSource::Registry, vec![ClockKind::AiAct73]), "whatever the reporter says");
    let lower = UpdateIncidentRequest {
        incident: Some(Incident { high_risk_system: false, ..made.clone() }),
        update_mask: Some(FieldMask { paths: vec!["high_risk_system".into()] }),
        reason: "it is not".into(),
        ..Default::default()
    };
    let kept = lea.update_incident(lower).await.expect("an answer").into_inner();
    assert_eq!(of(&kept), of(&made));
    let unknown = incident("models/none/versions/1");
    let made = lea.create_incident(report("low", unknown.clone())).await.expect("an incident").into_inner();
    assert_eq!(of(&made), (false, RiskSource::Reporter, vec![]));
    let raised = Incident { high_risk_system: true, ..unknown };
    let made = lea.create_incident(report("raised", raised)).await.expect("an incident").into_inner();
    assert_eq!(of(&made), (true, RiskSource::Reporter, vec![ClockKind::AiAct73]));
}
