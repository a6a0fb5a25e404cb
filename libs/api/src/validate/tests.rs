#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

/// Every rule in the contract is one that the interpreter knows: none is ignored in silence.
#[test]
fn every_rule_in_the_contract_is_supported() {
    for message in crate::pool().all_messages().filter(|message| message.full_name().starts_with("remit.")) {
        plan_of(&message).unwrap_or_else(|rule| panic!("{rule}"));
    }
}

fn request(name: &str, json: serde_json::Value) -> DynamicMessage {
    let descriptor = crate::pool().get_message_by_name(name).unwrap();
    DynamicMessage::deserialize(descriptor, json).unwrap()
}

fn fields(name: &str, json: serde_json::Value) -> Vec<String> {
    violations(&request(name, json)).unwrap().into_iter().map(|violation| violation.field).collect()
}

#[test]
fn a_required_message_field_must_be_set() {
    let name = "remit.system.v1.AdvanceClockRequest";
    assert_eq!(fields(name, serde_json::json!({})), ["time"]);
    assert!(fields(name, serde_json::json!({"time": "2026-01-01T00:00:00Z"})).is_empty());
}

#[test]
fn a_path_names_list_items_and_map_keys() {
    let event = |extra: serde_json::Value| {
        let mut event = serde_json::json!({"eventId": "e", "kpi": "kpis/x", "occurredAt": "2026-01-01T00:00:00Z"});
        event.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::json!({"events": [event]})
    };
    let name = "remit.kpi.v1.RecordEventsRequest";
    assert!(fields(name, event(serde_json::json!({"value": 1.5}))).is_empty());
    assert_eq!(fields(name, event(serde_json::json!({"value": "NaN"}))), ["events[0].value"; 3]);
    assert_eq!(fields(name, event(serde_json::json!({"value": 1e12}))), ["events[0].value"]);
    assert_eq!(fields(name, event(serde_json::json!({"dimensions": {"": "x"}}))), ["events[0].dimensions[\"\"]"]);
    assert_eq!(fields(name, serde_json::json!({"events": []})), ["events"]);
}

#[test]
fn a_field_with_presence_is_checked_only_if_set() {
    let unset =
        serde_json::json!({"events": [{"eventId": "e", "kpi": "kpis/x", "occurredAt": "2026-01-01T00:00:00Z"}]});
    assert!(fields("remit.kpi.v1.RecordEventsRequest", unset).is_empty());
}

#[test]
fn unknown_and_unspecified_enum_numbers_are_refused() {
    let actor = |kind: i32| serde_json::json!({"subject": "a", "kind": kind});
    let name = "remit.type.v1.Actor";
    assert_eq!(fields(name, actor(99)), ["kind"]);
    assert_eq!(fields(name, actor(0)), ["kind"]);
    assert!(fields(name, actor(1)).is_empty());
}

#[test]
fn lengths_count_characters_not_bytes() {
    let name = "remit.type.v1.Actor";
    let subject = |text: String| serde_json::json!({"subject": text, "kind": 1});
    assert!(fields(name, subject("ß".repeat(200))).is_empty());
    assert_eq!(fields(name, subject("ß".repeat(201))), ["subject"]);
}

#[test]
fn a_refusal_names_the_fields_in_its_details() {
    let bytes: Bytes = request("remit.system.v1.AdvanceClockRequest", serde_json::json!({})).encode_to_vec().into();
    let status = check::<crate::system::v1::AdvanceClockRequest>(&bytes).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, REASON);
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "time");
}

#[test]
fn an_update_is_checked_in_what_it_names() {
    let refused = |paths: &[&str]| {
        let request = crate::scoring::v1::UpdateTaskRequest {
            task: Some(crate::scoring::v1::Task { name: "tasks/a".into(), complexity: 99, ..Default::default() }),
            update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).into()).collect() }),
            request_id: "r".into(),
        };
        check::<crate::scoring::v1::UpdateTaskRequest>(&request.encode_to_vec().into()).is_err()
    };
    assert!(!refused(&["role"]), "complexity is not named");
    assert!(refused(&["role", "complexity"]) && refused(&["*"]) && refused(&[]));
}

#[test]
fn what_an_update_cannot_change_is_refused_by_its_mask_and_else_not_looked_at() {
    use crate::council::v1::{Incident, UpdateIncidentRequest};
    let reason = |paths: &[&str], title: &str| {
        let request = UpdateIncidentRequest {
            // Without its system and its source, which never change.
            incident: Some(Incident {
                name: "incidents/a".into(),
                title: title.into(),
                description: "d".into(),
                impact: "i".into(),
                severity: 1,
                category: 1,
                ..Default::default()
            }),
            update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).into()).collect() }),
            ..Default::default()
        };
        let status = check::<UpdateIncidentRequest>(&request.encode_to_vec().into()).err()?;
        let details = status.get_error_details();
        Some((details.error_info()?.reason.clone(), details.bad_request()?.field_violations[0].field.clone()))
    };
    let refused = |reason: &str, field: &str| Some((reason.to_owned(), field.to_owned()));
    assert_eq!((reason(&[], "t"), reason(&["*"], "t"), reason(&["title"], "t")), (None, None, None));
    assert_eq!(reason(&["system"], "t"), refused("UPDATE_MASK_INVALID", "update_mask"));
    // The mask comes first, also where a field that it names is wrong.
    assert_eq!(reason(&["title", "system"], ""), refused("UPDATE_MASK_INVALID", "update_mask"));
    assert_eq!(reason(&["title"], ""), refused("FIELD_INVALID", "incident.title"));
    assert_eq!(reason(&["title"], "a\0b"), refused("TEXT_HAS_NUL", "incident.title"));
    assert_eq!(reason(&["severity"], "a\0b"), None, "what is not named is not looked at");
}

#[test]
fn text_with_nul_is_refused_wherever_it_stands() {
    let event = crate::kpi::v1::Event {
        event_id: "e".into(),
        kpi: "kpis/x".into(),
        occurred_at: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
        dimensions: std::collections::BTreeMap::from([("channel".into(), "a\0b".into())]),
        ..Default::default()
    };
    let request = crate::kpi::v1::RecordEventsRequest { events: vec![event], ..Default::default() };
    let status = check::<crate::kpi::v1::RecordEventsRequest>(&request.encode_to_vec().into()).unwrap_err();
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, NUL);
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "events[0].dimensions[\"channel\"]");
}

#[test]
fn a_mask_that_names_a_oneof_names_its_fields() {
    use crate::kpi::v1::{AlertRule, CrossLayerCondition, UpdateAlertRuleRequest, alert_rule::Condition};
    let condition = CrossLayerCondition { min_change_ratio: 7.0, ..Default::default() };
    let rule = AlertRule { condition: Some(Condition::CrossLayer(condition)), ..Default::default() };
    let refused = |path: &str| {
        let update_mask = Some(prost_types::FieldMask { paths: vec![path.to_owned()] });
        let request = UpdateAlertRuleRequest { alert_rule: Some(rule.clone()), update_mask, ..Default::default() };
        check::<UpdateAlertRuleRequest>(&request.encode_to_vec().into()).is_err()
    };
    assert!(refused("condition") && refused("cross_layer") && !refused("disabled"));
}

#[test]
fn a_time_that_no_calendar_has_is_refused_wherever_it_stands() {
    let refused = |seconds: i64, nanos: i32| {
        let due_time = Some(prost_types::Timestamp { seconds, nanos });
        let item =
            crate::council::v1::ActionItem { title: "t".into(), owner: "ada".into(), due_time, ..Default::default() };
        let request = crate::council::v1::CreateActionItemRequest {
            action_item_id: "a".into(),
            action_item: Some(item),
            request_id: "r".into(),
        };
        let status = check::<crate::council::v1::CreateActionItemRequest>(&request.encode_to_vec().into());
        status.err().map(|status| status.message().to_owned())
    };
    assert_eq!(refused(1_767_225_600, 0), None);
    for (seconds, nanos) in [(253_402_300_800, 0), (-62_135_596_801, 0), (1 << 62, 0), (0, -5), (0, 2_000_000_000)] {
        let message = refused(seconds, nanos).unwrap_or_default();
        assert!(message.contains("action_item.due_time: must be a time"), "{seconds} {nanos}: {message}");
    }
}
