//! Fields in refusals: each is named by its path in the request, so that a form can mark it.

use super::answers::{Remit, nothing, unlike, valid};
use super::wire::methods;
use prost_reflect::{Kind, MessageDescriptor, MethodDescriptor, Value};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Whether a path such as `task.ratings[2].scores["risk"]` leads from a message to one of its fields or oneofs.
pub(super) fn leads(message: &MessageDescriptor, path: &str) -> bool {
    let (name, mut rest) = path.split_at(path.find(['.', '[']).unwrap_or(path.len()));
    if message.oneofs().any(|oneof| oneof.name() == name) {
        return rest.is_empty();
    }
    let Some(field) = message.get_field_by_name(name) else { return false };
    if rest.starts_with('[') {
        let close = if rest.starts_with("[\"") { "\"]" } else { "]" };
        let Some(at) = rest.find(close).filter(|_| field.is_list() || field.is_map()) else { return false };
        rest = &rest[at + close.len()..];
    }
    let Some(inside) = rest.strip_prefix('.') else { return rest.is_empty() };
    let kind = match field.kind() {
        Kind::Message(entry) if entry.is_map_entry() => entry.map_entry_value_field().kind(),
        kind => kind,
    };
    matches!(kind, Kind::Message(inner) if leads(&inner, inside))
}

/// The fields of a refused request that its type does not have.
pub(crate) fn astray(method: &MethodDescriptor, status: &Status) -> Vec<String> {
    if status.code() != Code::InvalidArgument {
        return Vec::new();
    }
    let named = status.get_details_bad_request().map(|details| details.field_violations).unwrap_or_default();
    let stray = named.into_iter().filter(|violation| !leads(&method.input(), &violation.field));
    stray.map(|violation| format!("{} has no field {}", method.name(), violation.field)).collect()
}

/// The fields that a refusal names.
fn fields(status: &Status) -> Vec<String> {
    let details = status.get_details_bad_request();
    details.map(|details| details.field_violations.into_iter().map(|one| one.field).collect()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn text_with_nul_is_refused_by_name() {
    let remit = Remit::start().await;
    let mut broken = Vec::new();
    let mut tried = 0;
    for method in methods() {
        let mut request = valid(&method);
        let Some(id) = method.input().get_field_by_name("request_id") else { continue };
        request.set_field(&id, Value::String("a\0b".to_owned()));
        if !remit_api::validate::violations(&request).expect("the rules can be applied").is_empty() {
            continue;
        }
        let answer = remit.ask(&method, &request).await;
        let found = unlike(&answer, Code::InvalidArgument, &["TEXT_HAS_NUL"]);
        let found = found.or_else(|| {
            let named = answer.err().map(|status| fields(&status)).unwrap_or_default();
            (named != ["request_id"]).then(|| format!("names {named:?}"))
        });
        broken.extend(found.map(|what| format!("{}: {what}", method.name())));
        tried += 1;
    }
    assert!(tried >= 20, "only {tried} requests are good but for their id");
    nothing(broken);
    remit.stop().await;
}

#[test]
fn a_path_that_leads_nowhere_is_found() {
    let request = |name: &str| remit_api::pool().get_message_by_name(name).expect("the request exists");
    let update = request("remit.scoring.v1.UpdateTaskRequest");
    for right in ["task", "task.title", "task.ratings[2].scores[\"a.b\"]", "task.ratings[0].rater", "update_mask"] {
        assert!(leads(&update, right), "{right}");
    }
    for wrong in ["", "title", "tasks.title", "task.title.x", "task.title[0]", "task.ratings[0].none", "task.ratings["]
    {
        assert!(!leads(&update, wrong), "{wrong}");
    }
    let rule = request("remit.kpi.v1.CreateAlertRuleRequest");
    assert!(leads(&rule, "alert_rule.condition") && leads(&rule, "alert_rule.threshold.kpi"));
    assert!(!leads(&rule, "alert_rule.condition.kpi"), "a oneof has no fields of its own");
}
