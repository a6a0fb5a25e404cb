//! One message as a person reads it: fields in the order of the contract, words of enums without their prefix, what is
//! nested set in, and nothing broken to fit.

use super::output::cell;
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

/// Fields that only programs use.
const FOR_PROGRAMS: [&str; 1] = ["etag"];

/// The lines of a message in its JSON form.
pub(super) fn lines(message: &MessageDescriptor, value: &Value) -> Vec<String> {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for field in message.fields().filter(|field| !FOR_PROGRAMS.contains(&field.name())) {
        let Some(value) = value.get(field.json_name()) else { continue };
        let told = told(&field, value);
        if told.iter().any(|line| !line.is_empty()) {
            rows.push((field.name().replace('_', " "), told));
        }
    }
    let width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or_default();
    let mut lines = Vec::new();
    for (label, told) in rows {
        for (at, line) in told.into_iter().enumerate() {
            let label = if at == 0 { label.as_str() } else { "" };
            lines.push(format!("{label:width$}  {line}").trim_end().to_owned());
        }
    }
    lines
}

fn told(field: &FieldDescriptor, value: &Value) -> Vec<String> {
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { return text(value, "") };
        let of = entry.map_entry_value_field();
        let pairs = value.as_object().into_iter().flatten();
        return pairs
            .flat_map(|(key, value)| {
                marked(&format!("{}: ", cell(Some(&Value::from(key.as_str())), "")), told(&of, value))
            })
            .collect();
    }
    match value {
        Value::Array(items) => {
            let nested = items.iter().any(Value::is_object);
            let mark = if nested { "- " } else { "" };
            items.iter().flat_map(|item| marked(mark, one(field, item))).collect()
        }
        value => one(field, value),
    }
}

/// Lines of which the first has a mark, and the others are set in as far.
fn marked(mark: &str, lines: Vec<String>) -> Vec<String> {
    let blank = " ".repeat(mark.chars().count());
    let mark = |at: usize| if at == 0 { mark } else { blank.as_str() };
    lines.into_iter().enumerate().map(|(at, line)| format!("{}{line}", mark(at))).collect()
}

fn one(field: &FieldDescriptor, value: &Value) -> Vec<String> {
    match (field.kind(), value) {
        (Kind::Message(message), Value::Object(_)) if message.package_name().starts_with("remit.") => {
            lines(&message, value)
        }
        (Kind::Enum(words), value) => text(value, &prefix(&words)),
        (Kind::Bytes, Value::String(base64)) if base64.len() > 64 => {
            vec![format!("({} bytes; --json shows them)", base64.trim_end_matches('=').len() * 3 / 4)]
        }
        (_, value) => text(value, ""),
    }
}

fn text(value: &Value, prefix: &str) -> Vec<String> {
    cell(Some(value), prefix).lines().map(str::to_owned).collect()
}

/// What the words of an enum begin with: `TASK_STATE_` of `TaskState`. That of no value is taken from the others.
fn prefix(words: &EnumDescriptor) -> String {
    let none = words.default_value();
    none.name().strip_suffix("UNSPECIFIED").unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_is_shown_in_the_order_and_the_words_of_the_contract() {
        let task = remit_api::pool().get_message_by_name("remit.scoring.v1.Task").unwrap();
        let value = json!({
            "etag": "r1", "state": "TASK_STATE_RATED", "name": "tasks/t", "title": "A \u{1b}[2J title",
            "frequencyPerWeek": 20.5, "labels": ["a", "b"],
            "ratings": [
                {"rater": "ada", "scores": {"risk": 2}, "comment": "first\nsecond"},
                {"rater": "ben", "scores": {"risk": 1}},
            ],
        });
        let shown = lines(&task, &value).join("\n");
        let expected = "\
name                tasks/t
title               A \u{fffd}[2J title
frequency per week  20.5
labels              a
                    b
ratings             - rater    ada
                      scores   risk: 2
                      comment  first
                               second
                    - rater   ben
                      scores  risk: 1
state               RATED";
        assert_eq!(shown, expected);
    }

    #[test]
    fn bytes_are_counted_and_not_shown() {
        let policy = remit_api::pool().get_message_by_name("remit.scoring.v1.PolicyVersion").unwrap();
        let shown = lines(&policy, &json!({"source": "QUJD".repeat(100)}));
        assert_eq!(shown, ["source  (300 bytes; --json shows them)"]);
    }
}
