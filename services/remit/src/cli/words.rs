//! What is nested in an answer, in the words of a table. JSON output stays as it is.

use super::output::whole_seconds;
use serde_json::Value;

/// How many seconds the units of a span have, the greatest first.
const UNITS: [(u64, &str); 4] = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

/// The short form of a word of an enum: `CHANGE_CLASS_NORMAL` as `NORMAL`.
fn short<'a>(value: Option<&'a Value>, prefix: &str) -> &'a str {
    text(value).strip_prefix(prefix).unwrap_or_default()
}

/// A number with what it counts: `1 task`, `2 tasks`.
pub(super) fn count(n: impl Into<i128>, what: &str) -> String {
    let n = n.into();
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// A span such as `86400s` as `1 day`.
fn span(value: Option<&Value>) -> Option<String> {
    let seconds: u64 = text(value).strip_suffix('s')?.parse().ok()?;
    let (size, unit) = UNITS.into_iter().find(|(size, _)| seconds >= *size && seconds.is_multiple_of(*size))?;
    Some(count(seconds / size, unit))
}

/// A quorum rule: `2 approvals, a majority, 1 from legal; legal may veto`.
fn rule(quorum: &Value) -> String {
    let mut parts = Vec::new();
    match quorum.get("minApprovals").and_then(Value::as_u64) {
        None | Some(0) => {}
        Some(n) => parts.push(count(n, "approval")),
    }
    if quorum.get("majority").and_then(Value::as_bool).unwrap_or_default() {
        parts.push("a majority".to_owned());
    }
    let groups = quorum.get("groupMinimums").and_then(Value::as_object).into_iter().flatten();
    parts.extend(groups.map(|(group, n)| format!("{n} from {group}")));
    let veto = quorum.get("vetoGroups").and_then(Value::as_array).into_iter().flatten();
    let veto: Vec<&str> = veto.filter_map(Value::as_str).collect();
    let rule = parts.join(", ");
    if veto.is_empty() { rule } else { format!("{rule}; {} may veto", veto.join(", ")) }
}

/// A body with its rules as lines of text in `rule`.
pub(super) fn body(mut body: Value) -> Value {
    let mut lines = vec![body.get("quorum").map(rule).unwrap_or_default()];
    for class in body.get("classRules").and_then(Value::as_array).into_iter().flatten() {
        let name = short(class.get("changeClass"), "CHANGE_CLASS_");
        let own = class.get("quorum").map_or_else(|| "the same".to_owned(), rule);
        let within = span(class.get("votingPeriod")).map(|span| format!(", within {span}")).unwrap_or_default();
        lines.push(format!("{name}: {own}{within}"));
    }
    if let Some(fields) = body.as_object_mut() {
        fields.insert("rule".to_owned(), lines.join("\n").into());
    }
    body
}

/// A proposal with what it does in `kind`, as filters name it.
pub(super) fn proposal(mut proposal: Value) -> Value {
    let action = proposal.get("action").and_then(Value::as_object).and_then(|action| action.keys().next().cloned());
    let kind = action.map(|name| snake(&name)).unwrap_or_default();
    if let Some(fields) = proposal.as_object_mut() {
        fields.insert("kind".to_owned(), kind.into());
    }
    proposal
}

/// `liftHold` as `lift_hold`.
fn snake(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// A hold with what it stops in `stops`, and its state with what else there is to know of it.
pub(super) fn hold(mut hold: Value) -> Value {
    let flag = |name: &str| hold.get(name).and_then(Value::as_bool).unwrap_or_default();
    let target = hold.get("scope").and_then(Value::as_object).and_then(|scope| scope.iter().next());
    let mut stops = match target {
        Some((kind, _)) if kind == "organisation" => "everything".to_owned(),
        Some((_, name)) => text(Some(name)).to_owned(),
        None => String::new(),
    };
    let whole = stops == "everything";
    if !whole && !flag("scopeVerified") {
        stops.push_str("\n(nobody could say whether it is there)");
    }
    let mut state = short(hold.get("state"), "HOLD_STATE_").to_owned();
    if flag("drill") {
        state.push_str(" (drill)");
    }
    let until = text(hold.get("bypassExpireTime")).to_owned();
    if state.starts_with("BYPASSED") && !until.is_empty() {
        state.push_str("\nuntil ");
        state.push_str(&whole_seconds(&until));
    }
    if let Some(fields) = hold.as_object_mut() {
        fields.insert("stops".to_owned(), stops.into());
        fields.insert("state".to_owned(), state.into());
    }
    hold
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rule_is_said_in_words() {
        let given = json!({
            "name": "bodies/b",
            "quorum": {"minApprovals": 2, "majority": true, "groupMinimums": {"legal": 1}, "vetoGroups": ["legal"]},
            "classRules": [
                {"changeClass": "CHANGE_CLASS_EMERGENCY", "votingPeriod": "86400s"},
                {"changeClass": "CHANGE_CLASS_STANDARD", "quorum": {"minApprovals": 1}, "votingPeriod": "5400s"},
            ],
        });
        let lines = [
            "2 approvals, a majority, 1 from legal; legal may veto",
            "EMERGENCY: the same, within 1 day",
            "STANDARD: 1 approval, within 90 minutes",
        ];
        assert_eq!(body(given)["rule"], lines.join("\n"));
    }

    #[test]
    fn a_proposal_says_what_it_does_and_a_hold_what_it_stops() {
        assert_eq!(proposal(json!({"action": {"liftHold": {}}}))["kind"], "lift_hold");
        assert_eq!(proposal(json!({}))["kind"], "");
        let whole = hold(json!({"scope": {"organisation": true}, "state": "HOLD_STATE_ENGAGED", "drill": true}));
        assert_eq!((&whole["stops"], &whole["state"]), (&json!("everything"), &json!("ENGAGED (drill)")));
        let one = hold(json!({
            "scope": {"task": "tasks/t"}, "state": "HOLD_STATE_BYPASSED", "bypassExpireTime": "2026-05-01T00:00:00Z"
        }));
        assert_eq!(one["stops"], "tasks/t\n(nobody could say whether it is there)");
        assert_eq!(one["state"], "BYPASSED\nuntil 2026-05-01T00:00:00Z");
        let found = hold(json!({"scope": {"gate": "gates/g"}, "scopeVerified": true}));
        assert_eq!(found["stops"], "gates/g");
    }
}
