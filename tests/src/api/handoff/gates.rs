//! Gates and calendars.

use super::super::cases;
use super::{CREATIVE, ROUTING, activate, completed, create, gates, put_in_force};
use crate::support::{Suite, reason};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::calendar_service_client::CalendarServiceClient;
use remit_api::handoff::v1::gate_version::Rules;
use remit_api::handoff::v1::principal::Who;
use remit_api::types::StrictnessChange;
use std::collections::BTreeSet;
use tonic::Code;
use tonic_types::StatusExt as _;

cases! {
    a_tenant_starts_with_both_seed_gates_and_their_numbers;
    a_gate_is_not_activated_before_it_is_complete: CreateGateVersion;
    an_active_version_never_changes_and_is_superseded: UpdateGateVersion, ActivateGateVersion;
    a_gate_is_tightened_by_anyone_responsible_and_loosened_by_the_council: ActivateGateVersion;
    one_person_alone_with_one_vague_criterion_is_no_gate;
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
    let misspelt = pb::CreateGateVersionRequest {
        gate_id: "mine".into(),
        gate_version: Some(pb::GateVersion {
            accountable_person: "ada".into(),
            kpis: vec!["kpis/checklist_score".into(), "kpis/cheklist_score".into()],
            ..Default::default()
        }),
        base: format!("{CREATIVE}/versions/1"),
        ..Default::default()
    };
    let draft = client.create_gate_version(misspelt).await.unwrap().into_inner();
    let activation = pb::ActivateGateVersionRequest { name: draft.name, ..Default::default() };
    let refused = client.activate_gate_version(activation).await.unwrap_err();
    assert_eq!(reason(&refused), "GATE_INCOMPLETE");
    let named = refused.get_details_bad_request().unwrap().field_violations;
    let named: Vec<_> = named.iter().map(|wrong| (wrong.field.as_str(), wrong.description.as_str())).collect();
    assert_eq!(named, [("gate_version.kpis", "kpis/cheklist_score does not exist")]);

    let bad = pb::CreateGateVersionRequest {
        gate_id: "mine".into(),
        gate_version: Some(pb::GateVersion {
            service_level: Some(pb::ServiceLevel { duration: "24 hours".into(), clock: 1, calendar: String::new() }),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(reason(&client.create_gate_version(bad).await.unwrap_err()), "DURATION_INVALID");
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
    put_in_force(&suite, &next.name).await;

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

/// The next version of the creative gate, as edited, and what it does to strictness.
async fn next_version(
    suite: &Suite,
    edit: impl FnOnce(&mut pb::GateVersion),
) -> (pb::GateVersion, pb::CheckGateVersionResponse) {
    let mut client = gates(&suite.admin());
    let mut next = version(suite, "gates/creative-approval/versions/active").await;
    next.etag.clear();
    edit(&mut next);
    let request = pb::CreateGateVersionRequest {
        gate_id: "creative-approval".into(),
        gate_version: Some(next),
        ..Default::default()
    };
    let made = client.create_gate_version(request).await.unwrap().into_inner();
    let check = pb::CheckGateVersionRequest { name: made.name.clone() };
    (made, client.check_gate_version(check).await.unwrap().into_inner())
}

async fn a_gate_is_tightened_by_anyone_responsible_and_loosened_by_the_council(suite: Suite) {
    let mut client = gates(&suite.admin());
    let bare = |name: &str| pb::ActivateGateVersionRequest { name: name.into(), ..Default::default() };
    // A first version, complete, on one operator's word.
    let name = completed(&suite, ROUTING).await.name;
    for caller in [suite.admin(), suite.human("ada", &["operator"], &["sales_ops"]), suite.service("council")] {
        let refused = gates(&caller).activate_gate_version(bare(&name)).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "MANDATE_REQUIRED"));
    }

    let active = activate(&suite, CREATIVE).await;
    assert!(active.proposal.starts_with("proposals/") && !active.mandate.is_empty(), "{active:?}");
    let (stricter, check) = next_version(&suite, |gate| {
        gate.iteration_limit = 1;
        gate.display_name = "Creative approval, stricter".into();
    })
    .await;
    assert_eq!((check.change(), check.defects.len(), check.changes.len()), (StrictnessChange::Tightens, 0, 1));
    let change = &check.changes[0];
    assert_eq!((change.field.as_str(), change.description.as_str()), ("iteration_limit", "from 2 to 1"));
    assert!(stricter.mandate.is_empty() && stricter.proposal.is_empty(), "a draft has no mandate of its base");
    let tightened = client.activate_gate_version(bare(&stricter.name)).await.unwrap().into_inner();
    assert_eq!((tightened.state(), tightened.proposal.as_str()), (pb::GateState::Active, ""));

    let (looser, check) = next_version(&suite, |gate| {
        gate.iteration_limit = 9;
        gate.checklist.as_mut().unwrap().pass_mark = 90.0;
    })
    .await;
    assert_eq!(check.change(), StrictnessChange::Mixed);
    assert_eq!(reason(&client.activate_gate_version(bare(&looser.name)).await.unwrap_err()), "MANDATE_REQUIRED");
    for (content_digest, expected) in [("", "FIELD_REQUIRED"), (stricter.digest.as_str(), "CONTENT_CHANGED")] {
        let request = pb::ActivateGateVersionRequest { content_digest: content_digest.into(), ..bare(&looser.name) };
        let request = suite.mandated("activate_gate", "handoff.gates.activate", request);
        assert_eq!(reason(&client.activate_gate_version(request).await.unwrap_err()), expected);
    }
    let loosened = put_in_force(&suite, &looser.name).await;
    assert_eq!((loosened.state(), loosened.iteration_limit), (pb::GateState::Active, 9));
    let entries = suite.entries("action = \"handoff.gates.activate\" AND outcome = \"SUCCESS\"").await;
    let changes: Vec<String> = entries
        .iter()
        .filter_map(|entry| entry.event.as_ref())
        .filter_map(|event| serde_json::from_str::<serde_json::Value>(&event.details_json).ok())
        .map(|details| details["change"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(changes.iter().filter(|change| *change == "LOOSENS").count(), 1, "{changes:?}");
    assert_eq!(changes.iter().filter(|change| *change == "TIGHTENS").count(), 1, "{changes:?}");
    assert_eq!(changes.iter().filter(|change| *change == "MIXED").count(), 1, "{changes:?}");
}

async fn one_person_alone_with_one_vague_criterion_is_no_gate(suite: Suite) {
    let eve = suite.human("eve", &["operator"], &[]);
    let mut client = gates(&eve);
    let alone = || pb::Principal { who: Some(Who::Subject("eve".into())) };
    let vague = pb::ChecklistItem { item: "good".into(), description: "Is good".into(), ..Default::default() };
    let gate = pb::GateVersion {
        owner: Some(alone()),
        accountable_person: "eve".into(),
        escalation_ladder: vec![pb::EscalationRung { principal: Some(alone()), ..Default::default() }],
        checklist: Some(pb::Checklist { items: vec![vague], pass_mark: 1.0 }),
        ..version(&suite, &format!("{CREATIVE}/versions/1")).await
    };
    let gate = pb::GateVersion { delegates: Vec::new(), ..gate };
    let request =
        pb::CreateGateVersionRequest { gate_id: "mine".into(), gate_version: Some(gate), ..Default::default() };
    let made = client.create_gate_version(request).await.unwrap().into_inner();
    let activation = pb::ActivateGateVersionRequest { name: made.name, ..Default::default() };
    let refused = client.activate_gate_version(activation).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "GATE_INCOMPLETE"));
    let named = refused.get_details_bad_request().unwrap().field_violations;
    let named: BTreeSet<String> = named.into_iter().map(|violation| violation.field).collect();
    let expected = ["gate_version.accountable_person", "gate_version.checklist.items"];
    assert_eq!(named, expected.map(str::to_owned).into());
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
    assert_eq!(reason(&client.update_calendar(update.clone()).await.unwrap_err()), "MANDATE_REQUIRED");
    client.update_calendar(suite.mandated("loosen_rules", "handoff.calendars.update", update.clone())).await.unwrap();
    let stale = pb::UpdateCalendarRequest { request_id: "again".into(), ..update };
    assert_eq!(reason(&client.update_calendar(stale).await.unwrap_err()), "ETAG_MISMATCH");
    assert_eq!(due(client.clone(), "2026-05-22T14:30:00Z", "PT2H").await, "2026-05-26T09:30:00+02:00[Europe/Berlin]");
    let read =
        client.get_calendar(pb::GetCalendarRequest { name: "calendars/berlin".into() }).await.unwrap().into_inner();
    assert_eq!(read.holidays.len(), 1);
    let listed = client.list_calendars(pb::ListCalendarsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.calendars.len(), 2);
}
