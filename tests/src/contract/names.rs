//! Names and ids: what is not there, what is no name, and what may not become one.

use super::answers::{Remit, nothing, unlike, valid};
use super::requests::UNKNOWN;
use super::wire::methods;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MethodDescriptor, Value};
use tonic::{Code, Status};

/// Gets of what has no name, each with its reason.
const NAMELESS: &[(&str, &str)] = &[
    ("GetInfo", "there is one"),
    ("GetCheckpoint", "the newest"),
    ("GetConsistencyProof", "between two sizes"),
    ("GetRetentionPolicy", "a tenant has one"),
    ("GetConstitution", "a tenant has one"),
    ("GetRollout", "it is read from other records"),
    ("GetBriefing", "every day has one: of a day that was not briefed it is worked out"),
];

/// Every Get with the field that names what is asked for.
fn gets() -> Vec<(MethodDescriptor, FieldDescriptor)> {
    let gets = methods().into_iter().filter(|method| method.name().starts_with("Get"));
    let named = gets.filter(|method| NAMELESS.iter().all(|(nameless, _)| *nameless != method.name()));
    let field = |method: &MethodDescriptor| method.input().fields().find(|field| field.kind() == Kind::String);
    named.map(|method| (method.clone(), field(&method).expect("a Get names something"))).collect()
}

#[test]
fn every_get_has_an_unknown_name() {
    let missing = gets().into_iter().filter(|(get, _)| UNKNOWN.iter().all(|(known, _)| *known != get.name()));
    nothing(missing.map(|(get, _)| format!("requests::UNKNOWN has no name for {}", get.name())).collect());
}

type Answer = Result<DynamicMessage, Status>;

/// What is wrong with the answer to a name that nothing has.
pub(super) fn not_missing(answer: &Answer) -> Option<String> {
    unlike(answer, Code::NotFound, &["_NOT_FOUND"])
}

/// What is wrong with the answer to what is no name.
pub(super) fn not_refused(answer: &Answer) -> Option<String> {
    unlike(answer, Code::InvalidArgument, &["NAME_INVALID"])
}

/// What is wrong with the answer to an id that is none; `ruled` if a rule of the proto file says so too.
pub(super) fn not_an_id(answer: &Answer, ruled: bool) -> Option<String> {
    unlike(answer, Code::InvalidArgument, &[if ruled { "FIELD_INVALID" } else { "ID_INVALID" }])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let remit = Remit::start().await;
    let mut broken = Vec::new();
    for (get, field) in gets() {
        let unknown = UNKNOWN.iter().find(|(known, _)| *known == get.name()).map_or("", |(_, name)| *name);
        let mut request = valid(&get);
        request.set_field(&field, Value::String(unknown.to_owned()));
        let found = not_missing(&remit.ask(&get, &request).await);
        broken.extend(found.map(|what| format!("{} of {unknown}: {what}", get.name())));
    }
    nothing(broken);
    remit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_name_is_refused() {
    let remit = Remit::start().await;
    let mut broken = Vec::new();
    for (get, field) in gets() {
        for bad in ["this is not a name", "strangers/of-this-collection", "tasks/a/b/c/d/e/f"] {
            let mut request = valid(&get);
            request.set_field(&field, Value::String(bad.to_owned()));
            let found = not_refused(&remit.ask(&get, &request).await);
            broken.extend(found.map(|what| format!("{} of {bad:?}: {what}", get.name())));
        }
    }
    nothing(broken);
    remit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_id_is_refused() {
    let remit = Remit::start().await;
    let mut broken = Vec::new();
    let mut tried = 0;
    for method in methods() {
        // As AIP-133 has it: `model_id` beside `model`.
        let input = method.input();
        let is_id = |field: &FieldDescriptor| {
            let resource = field.name().strip_suffix("_id").and_then(|name| input.get_field_by_name(name));
            resource.is_some_and(|resource| matches!(resource.kind(), Kind::Message(_)))
        };
        let Some(id) = input.fields().find(is_id) else { continue };
        let mut request = valid(&method);
        assert!(request.fields().count() > 0, "requests::MADE has no request for {}", method.name());
        request.set_field(&id, Value::String("bad id!".to_owned()));
        let ruled = remit_api::validate::violations(&request).expect("the rules can be applied");
        let ruled = ruled.iter().any(|rule| rule.field == id.name());
        let found = not_an_id(&remit.ask(&method, &request).await, ruled);
        broken.extend(found.map(|what| format!("{}: {what}", method.name())));
        tried += 1;
    }
    assert!(tried >= 20, "only {tried} methods take an id");
    nothing(broken);
    remit.stop().await;
}
