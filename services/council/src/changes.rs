//! What a proposal changes of a rule, field by field: people vote on "from … to …", and not on what the rule shall be alone.

use crate::steps::cut;
use prost::{Message, Name};
use remit_api::council::v1::FieldChange;
use remit_api::wire::{Updatable, mask};
use remit_core::Result;
use serde_json::Value;

/// The longest value that is shown, in bytes.
const LONGEST: usize = 2_000;

/// What becomes of `current` by an update of all that may change to what `wanted` says.
///
/// # Errors
/// `Internal` if the messages are not of this contract.
pub(crate) fn of_update<M: Updatable>(current: &M, wanted: &M) -> Result<Vec<FieldChange>> {
    Ok(mask::update(current, wanted, None)?.map(|after| between(current, &after)).unwrap_or_default())
}

/// What becomes of one text.
pub(crate) fn of_text(field: &str, from: &str, to: &str) -> Vec<FieldChange> {
    if from == to {
        return Vec::new();
    }
    let (from, to, emptied) = (cut(from, LONGEST), cut(to, LONGEST), to.is_empty());
    vec![FieldChange { field: field.to_owned(), from, to, emptied }]
}

/// What ends: everything that people said in `current`, without what the service writes, which moves by itself.
///
/// # Errors
/// As [`of_update`].
pub(crate) fn of_end<M: Updatable>(name: &str, current: &M) -> Result<Vec<FieldChange>> {
    let said = mask::apply(&M::default(), current, None, M::UPDATABLE)?;
    let from = remit_api::json(&said).map(|value| shown(Some(&value))).unwrap_or_default();
    Ok(vec![FieldChange { field: name.to_owned(), from, to: String::new(), emptied: true }])
}

fn between<M: Message + Name>(before: &M, after: &M) -> Vec<FieldChange> {
    let mut found = Vec::new();
    differ("", remit_api::json(before).as_ref(), remit_api::json(after).as_ref(), &mut found);
    found
}

/// Adds where two values differ, as deep as both have the same form.
fn differ(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                differ(&path, before.get(name), after.get(name), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) if before.len() == after.len() => {
            for (at, (before, after)) in before.iter().zip(after).enumerate() {
                differ(&format!("{path}[{at}]"), Some(before), Some(after), found);
            }
        }
        _ => found.push(FieldChange {
            field: path.to_owned(),
            from: shown(before.or(absent(after))),
            to: shown(after.or(absent(before))),
            emptied: after.or(absent(before)).is_none(),
        }),
    }
}

/// What is meant where a value is left out; only of a switch can that be known from the other one.
fn absent(other: Option<&Value>) -> Option<&'static Value> {
    matches!(other, Some(Value::Bool(_))).then_some(&Value::Bool(false))
}

/// A value as people read it; empty where there is none, which is also how zero is written.
fn shown(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => cut(text, LONGEST),
        Some(other) => cut(&other.to_string(), LONGEST),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use remit_api::kpi::v1::Kpi;

    #[test]
    fn what_is_left_out_becomes_empty_and_is_said() {
        let rule = Kpi {
            name: "kpis/a".into(),
            display_name: "Too many errors".into(),
            description: "what it is for".into(),
            etag: "r1".into(),
            ..Default::default()
        };
        assert_eq!(of_update(&rule, &rule).unwrap(), []);
        let wanted = Kpi { display_name: "Errors".into(), description: String::new(), ..rule.clone() };
        let change = |field: &str, from: &str, to: &str| FieldChange {
            field: field.into(),
            from: from.into(),
            to: to.into(),
            emptied: to.is_empty(),
        };
        let expected =
            [change("description", "what it is for", ""), change("displayName", "Too many errors", "Errors")];
        assert_eq!(of_update(&rule, &wanted).unwrap(), expected);
        let gone = of_end("kpis/a", &rule).unwrap();
        assert!(
            gone[0].emptied && !gone[0].from.contains("r1") && gone[0].from.contains("Too many errors"),
            "{gone:?}"
        );
    }

    #[test]
    fn only_what_differs_is_said_however_deep() {
        let (before, after) = (
            serde_json::json!({"a": {"b": 0.2, "c": [1, 2]}, "d": "x"}),
            serde_json::json!({"a": {"b": 0.9, "c": [1, 3]}, "d": "x", "e": [true], "f": true}),
        );
        let mut found = Vec::new();
        differ("", Some(&before), Some(&after), &mut found);
        let told: Vec<_> = found.iter().map(|one| (one.field.as_str(), one.from.as_str(), one.to.as_str())).collect();
        assert_eq!(told, [("a.b", "0.2", "0.9"), ("a.c[1]", "2", "3"), ("e", "", "[true]"), ("f", "false", "true")]);
    }
}
