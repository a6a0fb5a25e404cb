#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::codec::Received;
use prost_reflect::DynamicMessage;
use table::Rule;

/// Every rule in the contract is one that the interpreter knows, and every pattern is one: none is ignored in silence.
#[test]
fn every_rule_in_the_contract_is_supported() {
    for message in crate::pool().all_messages().filter(|message| message.full_name().starts_with("remit.")) {
        oracle::knows(&message).unwrap_or_else(|rule| panic!("{rule}"));
    }
    for (name, plan) in crate::tree::PLANS {
        for field in plan.fields {
            for rule in [field.rules, field.items, field.keys, field.values].concat() {
                let Rule::Pattern(pattern, compiled) = rule else { continue };
                assert!(compiled.is_some(), "{name}.{}: {pattern}", field.name);
            }
        }
    }
}

fn check<M: Received>(bytes: &Bytes) -> Result<(), Status> {
    M::receive(bytes.clone()).map(|_| ())
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

/// A field with this number that holds `inner`.
fn within(field: u32, inner: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_key(field, prost::encoding::WireType::LengthDelimited, &mut bytes);
    prost::encoding::encode_varint(inner.len() as u64, &mut bytes);
    bytes.extend(inner);
    bytes
}

fn named(status: &Status) -> (String, String) {
    let details = status.get_error_details();
    let field = details.bad_request().map(|bad| bad.field_violations[0].field.clone()).unwrap_or_default();
    (details.error_info().map(|info| info.reason.clone()).unwrap_or_default(), field)
}

fn scanned(name: &str, bytes: &[u8]) -> (Result<(), Broken>, usize) {
    let request = find(crate::tree::REQUESTS, name).unwrap();
    let mut scan = Scan::of(request);
    let result = scan.request(bytes, request.plan);
    (result, scan.visited)
}

/// Two million empty events in four megabytes, and megabytes of empty ratings.
#[test]
fn a_message_of_empty_items_ends_at_the_first_bound() {
    use crate::kpi::v1::RecordEventsRequest;
    use crate::scoring::v1::ScoreTaskRequest;
    let events = Bytes::from(within(1, &[]).repeat(2_000_000));
    assert_eq!(events.len(), 4_000_000);
    let status = check::<RecordEventsRequest>(&events).unwrap_err();
    assert_eq!(status.message(), "events: must have at most 5000 items, and has more");
    assert_eq!((status.code(), named(&status)), (Code::InvalidArgument, (REASON.into(), "events".into())));
    assert_eq!(scanned("remit.kpi.v1.RecordEventsRequest", &events).1, 5_001, "it goes on after the bound");

    let ratings = |count: usize| within(2, &within(22, &[]).repeat(count));
    let status = check::<ScoreTaskRequest>(&ratings(1_000_000).into()).unwrap_err();
    assert_eq!((status.code(), named(&status).0), (Code::ResourceExhausted, TOO_LARGE.into()));
    let name = "remit.scoring.v1.ScoreTaskRequest";
    let status = check::<ScoreTaskRequest>(&ratings(most_bytes(name).unwrap() / 3 - 10).into()).unwrap_err();
    assert_eq!(named(&status), (REASON.into(), "task.ratings".into()));
    // The same in many tasks, which the decoder would merge into one.
    let (result, visited) = scanned(name, &ratings(50).repeat(100));
    let Err(Broken::Bound(violation)) = result else { panic!("{result:?}") };
    assert_eq!((violation.field.as_str(), visited), ("task", 16 * 51 + 1));
}

#[test]
fn what_is_packed_nested_unknown_or_broken_is_bounded_too() {
    let name = "remit.registry.v1.CreateModelVersionRequest";
    let plan = find(crate::tree::REQUESTS, name).unwrap().plan;
    let version = plan.fields.iter().find(|field| field.inner.is_some()).unwrap();
    let parameters = version.inner.unwrap().named("parameters").unwrap().number;
    // A list in a list in a list.
    let mut list = Vec::new();
    for _ in 0..30 {
        list = within(6, &within(1, &list));
    }
    let pair = [within(1, b"k"), within(2, &list)].concat();
    let nested = within(version.number, &within(parameters, &within(1, &pair)));
    let (result, visited) = scanned(name, &nested);
    let Err(Broken::Bound(violation)) = result else { panic!("{result:?}") };
    assert!(violation.description.contains("more than 16 messages") && visited < 30, "{violation:?} {visited}");

    let most = most_bytes(name).unwrap() / 8;
    let unknown = within(1_000, &[]).repeat(1_001);
    assert!(matches!(scanned(name, &unknown).0, Err(Broken::Total(text)) if text.contains("1000 fields")));
    assert!(scanned(name, &within(1_000, &[0; 5_000])).0.is_ok(), "an unknown field is left out");
    // One number in one byte.
    let entities = crate::tree::PLANS.iter().find_map(|(name, plan)| {
        let list =
            plan.fields.iter().find(|field| field.many == table::Many::List && field.wire == table::Wire::Varint)?;
        Some((*name, *plan, list))
    });
    if let Some((name, plan, list)) = entities {
        let request = table::Request { plan, most: 8 * most, mask: None };
        let packed = within(list.number, &vec![1; usize::try_from(list.most).unwrap() + 1]);
        let result = Scan::of(&request).request(&packed, plan);
        assert!(matches!(&result, Err(Broken::Bound(violation)) if violation.field == list.name), "{name} {result:?}");
    }
    for broken in [
        &[0x0a][..],
        &[0x0a, 0x05, 0x00],
        &[0x0b],
        &[0x00],
        &[0x08, 0x01],
        &[0xff; 11],
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
    ] {
        let (result, _) = scanned(name, broken);
        assert!(matches!(result, Err(Broken::Malformed(_))), "{broken:?}: {result:?}");
    }
}

#[test]
fn a_refusal_keeps_fifty_violations_and_counts_the_rest() {
    let events = crate::kpi::v1::RecordEventsRequest { events: vec![Default::default(); 100], ..Default::default() };
    let status = check::<crate::kpi::v1::RecordEventsRequest>(&events.encode_to_vec().into()).unwrap_err();
    assert_eq!(status.get_error_details().bad_request().unwrap().field_violations.len(), 50);
    assert!(status.message().ends_with("and 297 more"), "{}", status.message());
}
