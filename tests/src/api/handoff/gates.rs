//! Gates and calendars.

use super::super::cases;
use super::{CREATIVE, ROUTING, activate, create, gates};
use crate::support::{Suite, reason};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::calendar_service_client::CalendarServiceClient;
use remit_api::handoff::v1::gate_version::Rules;
use std::collections::BTreeSet;
use tonic::Code;
use tonic_types::StatusExt as _;

cases! {
    a_tenant_starts_with_both_seed_gates_and_their_numbers;
    a_gate_is_not_activated_before_it_is_complete: CreateGateVersion;
    an_active_version_never_changes_and_is_superseded: UpdateGateVersion, ActivateGateVersion;
    business_time_knows_weekends_holidays_and_clock_changes: CreateCalendar, UpdateCalendar;
}

async fn version(suite: &Suite, name: &str) -> pb::GateVersion {
    let request = pb::GetGateVersionRequest { name: name.into() };
    gates(&suite.admin()).get_gate_version(request).await.unwrap().into_inner()
}

async fn a_tenant_starts_with_both_seed_gates_and_their_numbers(suite: Suite) {
    let listed = gates(&suite.admin()).list_gates(pb::ListGatesRequest::default()).await.unwrap().into_inner();
    let names: Vec<_> =
        listed.gates.iter().map(|gate| (gate.name.as_str(), gate.template, gate.active_version.as_str())).collect();
    assert_eq!(names, [(CREATIVE, true, ""), (ROUTING, true, "")]);
    let creative = version(&suite, "gates/creative-approval/versions/1").await;
    let Some(Rules::Creative(rules)) = &creative.rules else { panic!("{creative:?}") };
    assert_eq!((rules.variants_required, rules.review_top_n, rules.triage_minutes), (12, 3, 30));
    assert_eq!(creative.service_level.as_ref().unwrap().duration, "PT24H");
    assert_eq!((creative.iteration_limit, creative.checklist.as_ref().unwrap().pass_mark), (2, 80.0));
    let routing = version(&suite, "gates/lead-routing/versions/1").await;
    let Some(Rules::Routing(rules)) = &routing.rules else { panic!("{routing:?}") };
    assert_eq!((rules.score_above_ratio, rules.confidence_above_ratio), (0.85, 0.90));
    let level = routing.service_level.unwrap();
    assert_eq!((level.duration.as_str(), level.clock()), ("PT2H", pb::ClockKind::Business));
    assert_eq!(routing.iteration_limit, 2);
    assert_eq!(suite.entries("action = \"handoff.templates.seed\"").await.len(), 3);
}

async fn a_gate_is_not_activated_before_it_is_complete(suite: Suite) {
    let mut client = gates(&suite.admin());
    let empty = pb::CreateGateVersionRequest {
        gate_id: "mine".into(),
        gate_version: Some(pb::GateVersion { display_name: "Mine".into(), ..Default::default() }),
        ..Default::default()
    };
    let draft = client.create_gate_version(empty).await.unwrap().into_inner();
    let lacks =
        client.check_gate_version(pb::CheckGateVersionRequest { name: draft.name.clone() }).await.unwrap().into_inner();
    let lacks: BTreeSet<String> =
        lacks.defects.into_iter().map(|defect| format!("gate_version.{}", defect.field)).collect();
    let activation = pb::ActivateGateVersionRequest { name: draft.name.clone(), ..Default::default() };
    let refused = client.activate_gate_version(activation).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "GATE_INCOMPLETE"));
    let named = refused.get_details_bad_request().unwrap().field_violations;
    let named: BTreeSet<String> = named.into_iter().map(|violation| violation.field).collect();
    assert_eq!(named, lacks);
    for part in [
        "triggers",
        "owner",
        "accountable_person",
        "service_level",
        "iteration_limit",
        "escalation_ladder",
        "kpis",
        "rules",
    ] {
        assert!(named.contains(&format!("gate_version.{part}")), "{part}: {named:?}");
    }
    let unknown = pb::CreateGateVersionRequest {
        gate_id: "mine".into(),
        gate_version: Some(pb::GateVersion {
            accountable_person: "ada".into(),
            service_level: Some(pb::ServiceLevel {
                duration: "PT2H".into(),
                clock: 2,
                calendar: "calendars/none".into(),
            }),
            ..Default::default()
        }),
        base: format!("{CREATIVE}/versions/1"),
        ..Default::default()
    };
    let draft = client.create_gate_version(unknown).await.unwrap().into_inner();
    assert_eq!(draft.name, "gates/mine/versions/2");
    let activation = pb::ActivateGateVersionRequest { name: draft.name, ..Default::default() };
    let refused = client.activate_gate_version(activation).await.unwrap_err();
    assert!(refused.message().contains("service_level.calendar"), "{}", refused.message());

    let bad = pb::CreateGateVersionRequest {
        gate_id: "mine".into(),
        gate_version: Some(pb::GateVersion {
            service_level: Some(pb::ServiceLevel { duration: "24 hours".into(), clock: 1, calendar: String::new() }),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(reason(&client.create_gate_version(bad).await.unwrap_err()), "DURATION_INVALID");
    let by_service = pb::ActivateGateVersionRequest { name: format!("{CREATIVE}/versions/1"), ..Default::default() };
    let refused = gates(&suite.service("council")).activate_gate_version(by_service).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

async fn an_active_version_never_changes_and_is_superseded(suite: Suite) {
    let first = activate(&suite, CREATIVE).await;
    assert_eq!(first.state(), pb::GateState::Active);
    let mut client = gates(&suite.admin());
    let update = pb::UpdateGateVersionRequest { gate_version: Some(first.clone()), ..Default::default() };
    assert_eq!(reason(&client.update_gate_version(update).await.unwrap_err()), "GATE_VERSION_IMMUTABLE");
    let under_first = create(&suite, "under-first").await;

    let next = pb::CreateGateVersionRequest {
        gate_id: "creative-approval".into(),
        gate_version: Some(pb::GateVersion { iteration_limit: 3, ..Default::default() }),
        base: first.name.clone(),
        ..Default::default()
    };
    let next = client.create_gate_version(next).await.unwrap().into_inner();
    assert_eq!((next.iteration_limit, next.accountable_person.as_str()), (3, "ada"));
    assert_ne!(next.digest, first.digest);
    let masked = pb::UpdateGateVersionRequest {
        gate_version: Some(pb::GateVersion { name: next.name.clone(), risk: 2, ..Default::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["risk".into()] }),
        ..Default::default()
    };
    let masked = client.update_gate_version(masked).await.unwrap().into_inner();
    assert_eq!((masked.risk, masked.iteration_limit), (2, 3));
    let stale = pb::ActivateGateVersionRequest { name: next.name.clone(), etag: next.etag, ..Default::default() };
    assert_eq!(reason(&client.activate_gate_version(stale).await.unwrap_err()), "ETAG_MISMATCH");
    let activation = pb::ActivateGateVersionRequest { name: next.name.clone(), ..Default::default() };
    client.activate_gate_version(activation).await.unwrap();

    assert_eq!(version(&suite, &first.name).await.state(), pb::GateState::Superseded);
    assert_eq!(version(&suite, "gates/creative-approval/versions/active").await.name, next.name);
    assert_eq!(super::get(&suite, "under-first").await.gate_version, under_first.gate_version);
    assert_eq!(create(&suite, "under-second").await.gate_version, next.name);
    let parent = CREATIVE.to_owned();
    let listed =
        client.list_gate_versions(pb::ListGateVersionsRequest { parent, page_size: 1, ..Default::default() }).await;
    let listed = listed.unwrap().into_inner();
    assert_eq!((listed.gate_versions[0].name.as_str(), listed.next_page_token.is_empty()), (next.name.as_str(), false));
    let gate = client.get_gate(pb::GetGateRequest { name: CREATIVE.into() }).await.unwrap().into_inner();
    assert_eq!((gate.active_version, gate.latest_version), (next.name.clone(), next.name));
}

async fn business_time_knows_weekends_holidays_and_clock_changes(suite: Suite) {
    let mut client = CalendarServiceClient::new(suite.admin().to("handoff"));
    let hours = (1..=5).map(|weekday| pb::WorkingHours { weekday, start_minute: 540, end_minute: 1080 });
    let calendar = pb::Calendar {
        display_name: "Berlin".into(),
        time_zone: "Europe/Berlin".into(),
        hours: hours.collect(),
        ..Default::default()
    };
    let request = |calendar| pb::CreateCalendarRequest {
        calendar_id: "berlin".into(),
        calendar: Some(calendar),
        ..Default::default()
    };
    let wrong = pb::Calendar { time_zone: "Europe/Atlantis".into(), ..calendar.clone() };
    assert_eq!(reason(&client.create_calendar(request(wrong)).await.unwrap_err()), "CALENDAR_INVALID");
    let mut created = client.create_calendar(request(calendar)).await.unwrap().into_inner();
    let due = |client: CalendarServiceClient<_>, start: &str, duration: &str| {
        let mut client = client;
        let start: jiff::Timestamp = start.parse().unwrap();
        let level = pb::ServiceLevel { duration: duration.into(), clock: 2, calendar: "calendars/berlin".into() };
        let start_time = Some(crate::support::stamp(start.into()));
        let request = pb::QueryDeadlineRequest { service_level: Some(level), start_time };
        async move { client.query_deadline(request).await.unwrap().into_inner().local_time }
    };
    // Friday 16:30 on the wall clock.
    assert_eq!(due(client.clone(), "2026-05-22T14:30:00Z", "PT2H").await, "2026-05-25T09:30:00+02:00[Europe/Berlin]");
    assert_eq!(due(client.clone(), "2026-03-27T16:00:00Z", "PT2H").await, "2026-03-30T10:00:00+02:00[Europe/Berlin]");
    assert_eq!(due(client.clone(), "2026-05-22T14:30:00Z", "P1D").await, "2026-05-25T16:30:00+02:00[Europe/Berlin]");
    created.holidays.push(pb::Holiday { date: "2026-05-25".into(), display_name: "Whit Monday".into() });
    let update = pb::UpdateCalendarRequest { calendar: Some(created.clone()), ..Default::default() };
    client.update_calendar(update.clone()).await.unwrap();
    let stale = pb::UpdateCalendarRequest { request_id: "again".into(), ..update };
    assert_eq!(reason(&client.update_calendar(stale).await.unwrap_err()), "ETAG_MISMATCH");
    assert_eq!(due(client.clone(), "2026-05-22T14:30:00Z", "PT2H").await, "2026-05-26T09:30:00+02:00[Europe/Berlin]");
    let read =
        client.get_calendar(pb::GetCalendarRequest { name: "calendars/berlin".into() }).await.unwrap().into_inner();
    assert_eq!(read.holidays.len(), 1);
    let listed = client.list_calendars(pb::ListCalendarsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.calendars.len(), 2);
}
