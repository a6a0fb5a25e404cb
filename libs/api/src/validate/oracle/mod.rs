//! The rules as an interpreter of descriptors: what the tables of the build script are compared with. It shares none
//! of their code.

mod compared;
mod mask;
mod plan;
mod rules;

use super::{DOMAIN, MAX_VIOLATIONS, NUL, REASON, Violation};
use crate::wire::mask as wire;
use plan::{FieldPlan, MessagePlan, plan_of};
use prost::bytes::Bytes;
use prost_reflect::{DynamicMessage, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value};
use std::collections::HashSet;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Finds a rule that the interpreter does not know.
pub(super) fn knows(descriptor: &MessageDescriptor) -> Result<(), String> {
    plan_of(descriptor).map(|_| ())
}

/// Checks the encoded request `bytes` of the type `descriptor`.
pub(super) fn check(descriptor: MessageDescriptor, bytes: &Bytes) -> Result<(), Status> {
    let message = DynamicMessage::decode(descriptor, bytes.clone())
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    let asked = mask::Asked::of(&message);
    if let Some(description) = asked.as_ref().and_then(mask::Asked::refused) {
        return Err(refusal(wire::REASON, &[Violation { field: wire::FIELD.to_owned(), description }]));
    }
    let mut found = violations(&message).map_err(Status::internal)?;
    // What an update leaves as it is need not be right (AIP-134).
    let counts = |violation: &Violation| asked.as_ref().is_none_or(|asked| !asked.leaves(&violation.field));
    found.retain(counts);
    if !found.is_empty() {
        return Err(refusal(REASON, &found));
    }
    nuls(&Value::Message(message.clone()), &mut String::new(), &mut found);
    found.retain(counts);
    if found.is_empty() { Ok(()) } else { Err(refusal(NUL, &found)) }
}

/// Every text with the character U+0000, which PostgreSQL cannot store.
fn nuls(value: &Value, path: &mut String, found: &mut Vec<Violation>) {
    let length = path.len();
    match value {
        Value::String(text) if text.contains('\0') => {
            found.push(Violation { field: path.clone(), description: "must not contain U+0000".to_owned() });
        }
        Value::Message(message) => {
            for (field, value) in message.fields() {
                path.push_str(if length == 0 { "" } else { "." });
                path.push_str(field.name());
                nuls(value, path, found);
                path.truncate(length);
            }
        }
        Value::List(items) => {
            for (at, item) in items.iter().enumerate() {
                path.push_str(&format!("[{at}]"));
                nuls(item, path, found);
                path.truncate(length);
            }
        }
        Value::Map(entries) => {
            let mut keys: Vec<_> = entries.keys().collect();
            keys.sort_by_key(|key| key_text(key));
            for key in keys {
                let item = &entries[key];
                path.push_str(&format!("[{}]", key_text(key)));
                nuls(&key_value(key), path, found);
                nuls(item, path, found);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

/// Every violation in `message`, in the order of the fields.
///
/// # Errors
/// The text of a rule that this interpreter does not know.
pub(super) fn violations(message: &DynamicMessage) -> Result<Vec<Violation>, String> {
    let mut found = Vec::new();
    walk(message, "", &mut found)?;
    Ok(found)
}

fn refusal(reason: &str, found: &[Violation]) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, []);
    for violation in found.iter().take(MAX_VIOLATIONS) {
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
    let mut text: Vec<_> =
        found.iter().take(3).map(|violation| format!("{}: {}", violation.field, violation.description)).collect();
    if found.len() > text.len() {
        text.push(format!("and {} more", found.len() - text.len()));
    }
    Status::with_error_details(Code::InvalidArgument, text.join("; "), details)
}

fn walk(message: &DynamicMessage, path: &str, found: &mut Vec<Violation>) -> Result<(), String> {
    let plan: &MessagePlan = plan_of(&message.descriptor())?;
    if plan.is_empty() {
        return Ok(());
    }
    for oneof in &plan.required_oneofs {
        if !oneof.fields().any(|field| message.has_field(&field)) {
            let choices: Vec<_> = oneof.fields().map(|field| field.name().to_owned()).collect();
            let description = format!("exactly one of {} is required", choices.join(", "));
            found.push(Violation { field: join(path, oneof.name()), description });
        }
    }
    for field in &plan.fields {
        check_field(message, field, path, found)?;
    }
    Ok(())
}

fn check_field(
    message: &DynamicMessage,
    plan: &FieldPlan,
    path: &str,
    found: &mut Vec<Violation>,
) -> Result<(), String> {
    let path = join(path, plan.field.name());
    // For a field without presence, has_field means that the value is not the default.
    let set = message.has_field(&plan.field);
    if !set {
        if plan.required {
            found.push(Violation { field: path, description: "is required".into() });
            return Ok(());
        }
        if plan.field.supports_presence() || plan.ignore_zero {
            return Ok(());
        }
    }
    let value = message.get_field(&plan.field);
    match value.as_ref() {
        Value::List(items) => check_list(items, plan, &path, found),
        Value::Map(entries) => {
            rules::check_pairs(entries.len(), &plan.rules, &path, found);
            let mut keys: Vec<_> = entries.keys().collect();
            keys.sort_by_key(|key| key_text(key));
            for key in keys {
                let path = format!("{path}[{}]", key_text(key));
                rules::check_value(&key_value(key), &plan.keys, None, &path, found);
                check_item(&entries[key], &plan.values, &plan.value_kind(), &path, found)?;
            }
            Ok(())
        }
        value => check_item(value, &plan.rules, &plan.field.kind(), &path, found),
    }
}

fn check_list(items: &[Value], plan: &FieldPlan, path: &str, found: &mut Vec<Violation>) -> Result<(), String> {
    rules::check_items(items.len(), &plan.rules, path, found);
    if plan.unique {
        let mut seen = HashSet::new();
        if let Some(at) = items.iter().position(|item| !seen.insert(rules::text_of(item))) {
            found.push(Violation {
                field: format!("{path}[{at}]"),
                description: "must not repeat an earlier item".into(),
            });
        }
    }
    for (at, item) in items.iter().enumerate() {
        check_item(item, &plan.items, &plan.field.kind(), &format!("{path}[{at}]"), found)?;
    }
    Ok(())
}

fn check_item(
    value: &Value,
    rules: &[rules::Rule],
    kind: &Kind,
    path: &str,
    found: &mut Vec<Violation>,
) -> Result<(), String> {
    let enumeration = kind.as_enum();
    rules::check_value(value, rules, enumeration, path, found);
    match value {
        Value::Message(inner) if descends(&inner.descriptor()) => walk(inner, path, found),
        Value::Message(inner) if is_time(&inner.descriptor()) => {
            if !rules::fits_the_calendar(inner) {
                let description = "must be a time in the years 1 to 9999".to_owned();
                found.push(Violation { field: path.to_owned(), description });
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Times are checked wherever they stand: one outside the calendar would be stored and then break every answer that
/// shows it as JSON.
fn is_time(descriptor: &MessageDescriptor) -> bool {
    descriptor.full_name() == "google.protobuf.Timestamp"
}

/// Well-known types have no rules of their own inside.
fn descends(descriptor: &MessageDescriptor) -> bool {
    !descriptor.full_name().starts_with("google.protobuf.")
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => format!("{key:?}"),
    }
}

fn key_value(key: &MapKey) -> Value {
    match key {
        MapKey::Bool(key) => Value::Bool(*key),
        MapKey::I32(key) => Value::I32(*key),
        MapKey::I64(key) => Value::I64(*key),
        MapKey::U32(key) => Value::U32(*key),
        MapKey::U64(key) => Value::U64(*key),
        MapKey::String(key) => Value::String(key.clone()),
    }
}
