//! What an entry can be searched by: columns beside its leaf that repeat what the leaf says.

use crate::leaf::Leaf;
use remit_core::{Result, SERVICES, Timestamp};
use remit_store::filter::Field;
use remit_store::{BulkInsert, Row};
use std::collections::{BTreeMap, BTreeSet};

/// The longest text of the details that is a column, in bytes.
const MAX_DETAIL: usize = 300;

/// The fields of details that are columns, each with its name in a filter and in the details. They name things of the
/// suite, never people: a field that could is not to be added.
const DETAILS: [(&str, &str); 6] = [
    ("details.proposal", "proposal"),
    ("details.task", "task"),
    ("details.decision", "decision"),
    ("details.gate_version", "gate_version"),
    ("details.from", "from"),
    ("details.to", "to"),
];

/// What entries can be searched by.
pub const FIELDS: &[Field] = &[
    Field::key("id", "e.event_id"),
    Field::key("actor", "e.actor").subjects(),
    Field::words("actor_kind", "e.actor_kind", &["human", "ai", "service"]).always(),
    Field::key("on_behalf_of", "e.on_behalf_of").subjects(),
    Field::key("action", "e.action"),
    Field::key("resource", "e.resource"),
    Field::words("outcome", "e.outcome", &["SUCCESS", "DENIED", "FAILURE"]).always(),
    Field::key("service", "e.service").subjects(),
    Field::key("request_id", "e.request_id"),
    Field::key("trace_id", "e.trace_id"),
    Field::key("subject", "e.subject"),
    Field::key("reason", "e.reason"),
    Field::key("policy_version", "e.policy_version"),
    Field::key("model_version", "e.model_version"),
    Field::key("details.proposal", "e.detail_proposal"),
    Field::key("details.task", "e.detail_task"),
    Field::key("details.decision", "e.detail_decision"),
    Field::key("details.gate_version", "e.detail_gate_version"),
    Field::key("details.from", "e.detail_from"),
    Field::key("details.to", "e.detail_to"),
    Field::timestamp("occurred_at", "e.occurred_at"),
    Field::timestamp("recorded_at", "e.recorded_at"),
    Field::timestamp("integrated_at", "e.integrated_at"),
    Field::bigint("index", "e.idx"),
];

/// The search columns of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    event_id: String,
    actor: String,
    actor_kind: String,
    on_behalf_of: Option<String>,
    action: String,
    resource: String,
    outcome: String,
    service: String,
    occurred_at: i64,
    recorded_at: i64,
    integrated_at: i64,
    request_id: Option<String>,
    trace_id: Option<String>,
    subject: Option<String>,
    reason: Option<String>,
    policy_version: Option<String>,
    model_version: Option<String>,
    details: [Option<String>; DETAILS.len()],
}

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Of a text that callers write freely: what no column can hold is in the leaf alone, and stops no step.
fn held(text: &str) -> Option<String> {
    given(text).filter(|text| !text.contains('\0'))
}

/// The details that are columns. Only those of the suite's own services have a known meaning.
fn details(leaf: &Leaf) -> [Option<String>; DETAILS.len()] {
    let mut found = [const { None }; DETAILS.len()];
    if leaf.details().is_empty() || !SERVICES.contains(&leaf.service.as_str()) {
        return found;
    }
    let details = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(leaf.details());
    for (column, (_, name)) in found.iter_mut().zip(DETAILS) {
        let text = details.as_ref().ok().and_then(|details| details.get(name)).and_then(serde_json::Value::as_str);
        *column = text.filter(|text| text.len() <= MAX_DETAIL).and_then(held);
    }
    found
}

impl Columns {
    /// The columns in a statement, one after the other.
    pub const NAMES: &str = "event_id, actor, actor_kind, on_behalf_of, action, resource, outcome, service, occurred_at, \
        recorded_at, integrated_at, request_id, trace_id, subject, reason, policy_version, model_version, detail_proposal, detail_task, \
        detail_decision, detail_gate_version, detail_from, detail_to";

    /// What the columns of a leaf are, which occurred and was recorded at these times and taken in at `integrated`.
    pub fn of(leaf: &Leaf, times: (Timestamp, Timestamp), integrated: Timestamp) -> Self {
        Self {
            event_id: leaf.id.clone(),
            actor: leaf.actor.subject.clone(),
            actor_kind: leaf.actor.kind.clone(),
            on_behalf_of: given(&leaf.actor.on_behalf_of),
            action: leaf.action.clone(),
            resource: leaf.resource.clone(),
            outcome: leaf.outcome.clone(),
            service: leaf.service.clone(),
            occurred_at: times.0.0,
            recorded_at: times.1.0,
            integrated_at: integrated.0,
            request_id: given(&leaf.request_id),
            trace_id: given(&leaf.trace_id),
            subject: leaf.personal.as_ref().map(|personal| personal.subject.clone()),
            reason: held(leaf.reason()),
            policy_version: held(leaf.policy_version()),
            model_version: held(leaf.model_version()),
            details: details(leaf),
        }
    }

    /// The subject of personal data.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// `occurred_at`, `recorded_at` and `integrated_at`.
    pub fn times(&self) -> (i64, i64, i64) {
        (self.occurred_at, self.recorded_at, self.integrated_at)
    }

    /// The fields that have postings, with their values.
    pub(super) fn values(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let always = [
            ("actor", &self.actor),
            ("actor_kind", &self.actor_kind),
            ("action", &self.action),
            ("resource", &self.resource),
            ("outcome", &self.outcome),
            ("service", &self.service),
        ];
        let sometimes = [
            ("on_behalf_of", &self.on_behalf_of),
            ("request_id", &self.request_id),
            ("trace_id", &self.trace_id),
            ("subject", &self.subject),
            ("reason", &self.reason),
            ("policy_version", &self.policy_version),
            ("model_version", &self.model_version),
        ];
        let details = DETAILS.into_iter().map(|(field, _)| field).zip(&self.details);
        let sometimes = sometimes.into_iter().chain(details);
        let given = sometimes.filter_map(|(field, value)| Some((field, value.as_deref()?)));
        always.into_iter().map(|(field, value)| (field, value.as_str())).chain(given)
    }

    /// What is different from the `right` columns, in words.
    pub fn differences(&self, right: &Self) -> String {
        let all = |columns: &Self| {
            let times = [
                ("occurred_at", columns.occurred_at),
                ("recorded_at", columns.recorded_at),
                ("integrated_at", columns.integrated_at),
            ];
            let times = times.map(|(name, at)| (name, Timestamp(at).to_string()));
            let id = [("id", format!("{:?}", columns.event_id))];
            let texts = columns.values().map(|(name, value)| (name, format!("{value:?}")));
            texts.chain(times).chain(id).collect::<BTreeMap<_, _>>()
        };
        let (mine, rights) = (all(self), all(right));
        let names: BTreeSet<_> = mine.keys().chain(rights.keys()).collect();
        let told = |columns: &BTreeMap<_, String>, name| columns.get(name).map_or("nothing", String::as_str).to_owned();
        let differ = names.into_iter().filter(|name| mine.get(*name) != rights.get(*name));
        let words = differ.map(|name| format!("{name} is {} and should be {}", told(&mine, name), told(&rights, name)));
        words.collect::<Vec<_>>().join("; ")
    }

    /// What the columns of a row are.
    ///
    /// # Errors
    /// `Internal` if one is missing.
    pub fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            event_id: row.get("event_id")?,
            actor: row.get("actor")?,
            actor_kind: row.get("actor_kind")?,
            on_behalf_of: row.get("on_behalf_of")?,
            action: row.get("action")?,
            resource: row.get("resource")?,
            outcome: row.get("outcome")?,
            service: row.get("service")?,
            occurred_at: row.get("occurred_at")?,
            recorded_at: row.get("recorded_at")?,
            integrated_at: row.get("integrated_at")?,
            request_id: row.get("request_id")?,
            trace_id: row.get("trace_id")?,
            subject: row.get("subject")?,
            reason: row.get("reason")?,
            policy_version: row.get("policy_version")?,
            model_version: row.get("model_version")?,
            details: [
                row.get("detail_proposal")?,
                row.get("detail_task")?,
                row.get("detail_decision")?,
                row.get("detail_gate_version")?,
                row.get("detail_from")?,
                row.get("detail_to")?,
            ],
        })
    }

    /// Adds the columns of entries to what is inserted of them.
    pub(super) fn insert(insert: BulkInsert, rows: &[&Self]) -> BulkInsert {
        macro_rules! column {
            ($name:ident) => {
                rows.iter().map(|row| row.$name.clone()).collect::<Vec<_>>()
            };
        }
        let detail = |at: usize| rows.iter().map(|row| row.details.get(at).cloned().flatten()).collect::<Vec<_>>();
        insert
            .text("event_id", column!(event_id))
            .text("actor", column!(actor))
            .text("actor_kind", column!(actor_kind))
            .text("on_behalf_of", column!(on_behalf_of))
            .text("action", column!(action))
            .text("resource", column!(resource))
            .text("outcome", column!(outcome))
            .text("service", column!(service))
            .bigint("occurred_at", column!(occurred_at))
            .bigint("recorded_at", column!(recorded_at))
            .bigint("integrated_at", column!(integrated_at))
            .text("request_id", column!(request_id))
            .text("trace_id", column!(trace_id))
            .text("subject", column!(subject))
            .text("reason", column!(reason))
            .text("policy_version", column!(policy_version))
            .text("model_version", column!(model_version))
            .text("detail_proposal", detail(0))
            .text("detail_task", detail(1))
            .text("detail_decision", detail(2))
            .text("detail_gate_version", detail(3))
            .text("detail_from", detail(4))
            .text("detail_to", detail(5))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use remit_api::audit::v1 as api;
    use remit_api::types;

    fn of(service: &str, details: &str) -> [Option<String>; DETAILS.len()] {
        columns(service, details).details
    }

    fn columns(service: &str, details: &str) -> Columns {
        let at = Some(prost_types::Timestamp { seconds: 1_767_225_600, nanos: 0 });
        let actor = types::Actor { kind: types::ActorKind::Human.into(), ..Default::default() };
        let event = api::Event {
            actor: Some(actor),
            outcome: api::Outcome::Success.into(),
            occurred_at: at,
            recorded_at: at,
            service: service.into(),
            details_json: details.into(),
            ..Default::default()
        };
        let leaf = Leaf::new(&event, "event").unwrap();
        Columns::of(&leaf, leaf.times().unwrap(), Timestamp(7))
    }

    #[test]
    fn a_finding_says_what_differs_and_nothing_else() {
        let right = columns("council", r#"{"to":"SUSPENDED"}"#);
        let mut wrong = right.clone();
        assert_eq!(wrong.differences(&right), "");
        wrong.service = "crm".into();
        wrong.details[5] = None;
        wrong.reason = Some("a \"b\"".into());
        wrong.recorded_at += 1;
        let told = wrong.differences(&right);
        assert!(
            told.starts_with("details.to is nothing and should be \"SUSPENDED\"; reason is \"a \\\"b\\\"\" and"),
            "{told}"
        );
        assert!(
            told.contains("recorded_at is 2026-01-01T00:00:00.000001Z and should be 2026-01-01T00:00:00Z"),
            "{told}"
        );
        assert!(told.ends_with("service is \"crm\" and should be \"council\""), "{told}");
    }

    #[test]
    fn details_are_columns_only_where_the_suite_says_what_they_mean() {
        let some = |text: &str| Some(text.to_owned());
        let details = r#"{"proposal":"proposals/p","to":"SUSPENDED","from":7,"task":"","email":"x@example.com"}"#;
        assert_eq!(of("council", details), [some("proposals/p"), None, None, None, None, some("SUSPENDED")]);
        assert_eq!(of("crm", details), [const { None }; 6], "a program's own words are not ours to understand");
        assert_eq!(of("council", &format!("{{\"to\":\"{}\"}}", "x".repeat(301))), [const { None }; 6]);
        for other in ["", "[1]", "7", r#"{"details":{"to":"x"}}"#, r#"{"to":"a\u0000b"}"#] {
            assert_eq!(of("council", other), [const { None }; 6], "{other}");
        }
    }
}
