//! Reads that are on record: of personal data, exports and verifications. And subjects: every field that names somebody
//! is marked, so that only its canonical form gets in.

use super::answers::{Remit, named, nothing};
use super::wire::{methods, path};
use crate::support::{is_read, permission};
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, MethodDescriptor};
use remit_api::audit::v1 as api;
use remit_core::details::{Details as _, ReadRecorded};
use std::collections::{BTreeMap, BTreeSet};

/// What is on record although it changes nothing. A method that is added here costs its callers a transaction.
const RECORDED: &[&str] =
    &["Export", "ExportDisclosures", "ExportPlan", "ExportReview", "ExportTasks", "GetPersonalData", "VerifyLog"];

/// Whether the annotation of a method asks for a record.
fn is_recorded(method: &MethodDescriptor) -> bool {
    let extension = remit_api::pool().get_extension_by_name("remit.options.v1.method_policy").expect("it is known");
    let options = method.options();
    let policy = options.get_extension(&extension);
    let recorded = policy.as_message().and_then(|policy| policy.get_field_by_name("recorded")?.as_bool());
    recorded.unwrap_or_default()
}

#[test]
fn what_opens_exports_or_verifies_is_on_record() {
    let mut found: Vec<String> = Vec::new();
    for method in methods() {
        let (name, permission) = (method.name().to_owned(), permission(&method));
        let verb = permission.rsplit('.').next().unwrap_or_default();
        let named_so = name.starts_with("Export") || name.starts_with("Verify") || matches!(verb, "export" | "reveal");
        let recorded = is_recorded(&method);
        assert!(!named_so || recorded, "{name} reads what is to be on record and does not say so");
        assert!(!recorded || is_read(&method), "{name} changes state and is on record anyway");
        if recorded {
            // Else the entries of another read would have the same action.
            let same = methods().into_iter().filter(|other| crate::support::permission(other) == permission).count();
            assert_eq!(same, 1, "{permission} is the permission of {same} methods");
            found.push(name);
        }
    }
    found.sort();
    assert_eq!(found, RECORDED);
    let documented: BTreeSet<&str> = ReadRecorded::DOC.actions.iter().copied().collect();
    let permissions: BTreeSet<String> = RECORDED.iter().map(|name| permission(&named(name))).collect();
    assert_eq!(documented, permissions.iter().map(String::as_str).collect());
}

fn request(method: &MethodDescriptor, json: &str) -> DynamicMessage {
    let mut json = serde_json::Deserializer::from_str(json);
    DynamicMessage::deserialize(method.input(), &mut json).expect("a request of the method")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_read_on_record_leaves_an_entry_before_its_answer() {
    let remit = Remit::start().await;
    let entry = remit.append_personal("leads/9").await;
    let given = BTreeMap::from([
        ("GetPersonalData", format!(r#"{{"name": "{entry}"}}"#)),
        ("ExportReview", r#"{"name": "reviews/steering-group-2025-12", "format": "EXPORT_FORMAT_JSON"}"#.to_owned()),
    ]);
    let mut broken = Vec::new();
    for method in methods().into_iter().filter(is_recorded) {
        let json = given.get(method.name()).map_or("{}", String::as_str);
        let filter = format!("actor = \"contract\" AND outcome = SUCCESS AND action = \"{}\"", permission(&method));
        let before = remit.found(&filter).await.len();
        if let Err(status) = remit.ask(&method, &request(&method, json)).await {
            broken.push(format!("{} of {json}: {status:?}", path(&method)));
            continue;
        }
        let entries = remit.found(&filter).await;
        if entries.len() != before + 1 {
            broken.push(format!("{} left {} entries", path(&method), entries.len() - before));
            continue;
        }
        let event = entries.last().and_then(|entry| entry.event.clone()).expect("an event");
        let details = serde_json::from_str(&event.details_json).expect("details are JSON");
        let fits = ReadRecorded::read(&details).is_some_and(|read| !read.address.is_empty() && read.unrecorded == 0);
        if !fits || event.trace_id.len() != 32 {
            broken.push(format!("{}: {event:?}", path(&method)));
        }
        if method.name() == "GetPersonalData" && (event.resource != entry || event.details_json.contains("Secret")) {
            broken.push(format!("the entry of a reveal says what it must not, or not of what: {event:?}"));
        }
    }
    // What was not there was not read.
    let reveal = named("GetPersonalData");
    remit.ask(&reveal, &request(&reveal, r#"{"name": "entries/999999"}"#)).await.expect_err("no such entry");
    let entries = remit.found("action = \"audit.personal.reveal\"").await;
    if entries.len() != 1 {
        broken.push(format!("{} entries of one reveal", entries.len()));
    }
    remit.stop().await;
    nothing(broken);
}

/// Fields that are called like those that name somebody, and name something else, each with what that is.
const NOBODY: &[(&str, &str)] = &[
    ("remit.audit.v1.PersonalData.subject", "a pseudonymous reference that must not tell who it is"),
    ("remit.audit.v1.LegalHold.subject", "the same"),
    ("remit.audit.v1.EraseSubjectRequest.subject", "the same"),
    ("remit.registry.v1.Output.subject", "the same"),
    ("remit.kpi.v1.Event.member", "what a KPI counts once; only its digest is kept"),
    ("remit.kpi.v1.Pilot.preceded_by", "names of pilots"),
    ("remit.kpi.v1.QueryRollupsRequest.group_by", "names of dimensions"),
    ("remit.kpi.v1.WatchRollupsRequest.group_by", "names of dimensions"),
    ("remit.council.v1.UnseatMember.member", "the name of a resource"),
    ("remit.council.v1.Submission.recipient", "an authority outside"),
    ("remit.notify.v1.ReportBounceRequest.recipient", "an address that mail came back to"),
];

/// Whether a field of this name names somebody by the subject of a token.
fn names_somebody(field: &str) -> bool {
    let words = ["subject", "actor", "member", "seat", "owner", "person", "reviewer", "rater", "delegate", "delegator"];
    let more = ["beneficiary", "on_behalf_of", "entered_for", "editorial_responsible", "notified", "recipient"];
    let last = field.rsplit('_').next().unwrap_or_default();
    let last = last.strip_suffix('s').unwrap_or(last);
    words.contains(&last) || more.contains(&field) || field.ends_with("_by")
}

/// Every message that a request can hold.
fn requests() -> BTreeMap<String, MessageDescriptor> {
    let mut found = BTreeMap::new();
    let mut open: Vec<MessageDescriptor> = methods().iter().map(MethodDescriptor::input).collect();
    while let Some(message) = open.pop() {
        if found.insert(message.full_name().to_owned(), message.clone()).is_some() {
            continue;
        }
        let inner = message.fields().filter_map(|field| field.kind().as_message().cloned());
        open.extend(inner.filter(|inner| !found.contains_key(inner.full_name())));
    }
    found
}

#[test]
fn every_field_that_names_somebody_is_marked() {
    let marked = remit_api::pool().get_extension_by_name("remit.fields.v1.subject").expect("it is known");
    let (mut broken, mut excused, mut count) = (Vec::new(), BTreeSet::new(), 0);
    for message in requests().values() {
        for field in message.fields().filter(|field| matches!(field.kind(), Kind::String)) {
            let is_marked = field.options().get_extension(&marked).as_bool().unwrap_or_default();
            let is_nobody = NOBODY.iter().any(|(name, _)| *name == field.full_name());
            if is_nobody {
                excused.insert(field.full_name().to_owned());
            }
            match (names_somebody(field.name()), is_marked) {
                (true, false) if !is_nobody => broken.push(format!("{} is not marked", field.full_name())),
                (_, true) if is_nobody => broken.push(format!("{} is marked", field.full_name())),
                (_, true) => count += 1,
                _ => {}
            }
        }
    }
    let idle = NOBODY.iter().filter(|(name, _)| !excused.contains(*name));
    broken.extend(idle.map(|(name, _)| format!("{name} needs no excuse")));
    nothing(broken);
    assert!(count > 25, "only {count} fields are marked");
}

impl Remit {
    /// Records an event with personal data about `subject` and returns the name of its entry.
    async fn append_personal(&self, subject: &str) -> String {
        let append = named("Append");
        let json = serde_json::json!({"event": {
            "id": "personal", "actor": {"subject": "crm", "kind": "ACTOR_KIND_SERVICE"}, "action": "crm.leads.merge",
            "resource": "leads/9", "outcome": "OUTCOME_SUCCESS", "occurredAt": "2026-01-05T00:00:00Z",
            "recordedAt": "2026-01-05T00:00:00Z",
            "personal": {"subject": subject, "fields": {"name": "Secret"}},
        }});
        let answer = self.ask_as_program("crm", &append, &request(&append, &json.to_string())).await;
        let answer: api::AppendResponse = answer.transcode_to().expect("an answer of the method's type");
        format!("entries/{}", answer.index)
    }
}
