//! Pages, as AIP-158 has them.

use super::answers::{Remit, nothing, unlike, valid};
use super::wire::methods;
use crate::support::reason;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use tonic::{Code, Status};

fn paged() -> Vec<MethodDescriptor> {
    methods().into_iter().filter(|method| method.input().get_field_by_name("page_size").is_some()).collect()
}

fn sized(method: &MethodDescriptor, size: i32) -> DynamicMessage {
    let mut request = valid(method);
    request.set_field_by_name("page_size", Value::I32(size));
    request
}

type Answer = Result<DynamicMessage, Status>;

/// What is wrong with the answer to a page size over the bound.
pub(super) fn not_cut(answer: &Answer) -> Option<String> {
    answer.as_ref().err().map(|status| format!("{}: {}", reason(status), status.message()))
}

/// What is wrong with the answer to a page size below zero.
pub(super) fn not_refused(answer: &Answer) -> Option<String> {
    unlike(answer, Code::InvalidArgument, &["FIELD_INVALID"])
}

/// What is wrong with the answer to the page token of another list.
pub(super) fn not_its_token(answer: &Answer) -> Option<String> {
    unlike(answer, Code::InvalidArgument, &["PAGE_TOKEN_INVALID"])
}

/// The reason for a parent that is not there, by its collection.
const PARENTS: &[(&str, &str)] = &[
    ("models", "MODEL_NOT_FOUND"),
    ("versions", "MODEL_VERSION_NOT_FOUND"),
    ("artifacts", "ARTIFACT_NOT_FOUND"),
    ("gates", "GATE_NOT_FOUND"),
    ("handoffs", "HANDOFF_NOT_FOUND"),
    ("kpis", "KPI_NOT_FOUND"),
    ("bodies", "BODY_NOT_FOUND"),
    ("controls", "CONTROL_NOT_FOUND"),
    ("subscriptions", "SUBSCRIPTION_NOT_FOUND"),
];

/// Lists of one parent that do not list across all with `-`, each with its reason.
const OF_ONE: &[(&str, &str)] = &[
    ("ListEvents", "the events of one KPI, by when they happened"),
    ("ListVariants", "the iterations of one handoff, in their order"),
    ("ListAliasHistory", "the steps of one model, in their order"),
    ("ListArtifactLabelHistory", "the steps of one artifact, in their order"),
];

/// What is wrong with the answer to a list inside a parent of this collection that is not there.
pub(super) fn not_missing(answer: &Answer, collection: &str) -> Option<String> {
    let reason = PARENTS.iter().find(|(known, _)| *known == collection).map_or("", |(_, reason)| *reason);
    unlike(answer, Code::NotFound, &[reason])
}

/// What is wrong with the answer to a list across all parents (AIP-159).
pub(super) fn not_across(answer: &Answer, of_one: bool) -> Option<String> {
    if of_one { unlike(answer, Code::InvalidArgument, &["NAME_INVALID"]) } else { not_cut(answer) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_inside_a_parent_knows_its_parent() {
    let remit = Remit::start().await;
    let mut broken = Vec::new();
    let inside = paged().into_iter().filter(|method| method.input().get_field_by_name("parent").is_some());
    let mut tried = 0;
    for method in inside {
        let request = valid(&method);
        let parent = request.get_field_by_name("parent").and_then(|parent| parent.as_str().map(str::to_owned));
        let parent = parent.unwrap_or_default();
        let asked = |parent: String| {
            let mut request = request.clone();
            request.set_field_by_name("parent", Value::String(parent));
            request
        };
        let (before, _) = parent.rsplit_once('/').unwrap_or_else(|| panic!("requests::VALID: {}", method.name()));
        let collection = before.rsplit('/').next().unwrap_or_default();
        let known = not_cut(&remit.ask(&method, &request).await);
        let missing = not_missing(&remit.ask(&method, &asked(format!("{before}/none"))).await, collection);
        let parts = parent.split('/').enumerate();
        let all: Vec<&str> = parts.map(|(at, part)| if at % 2 == 1 { "-" } else { part }).collect();
        let of_one = OF_ONE.iter().any(|(name, _)| *name == method.name());
        let across = not_across(&remit.ask(&method, &asked(all.join("/"))).await, of_one);
        let found = [("known", known), ("unknown", missing), ("all", across)];
        let found = found.into_iter().filter_map(|(which, what)| Some(format!("{} {which}: {}", method.name(), what?)));
        broken.extend(found);
        tried += 1;
    }
    assert!(tried >= 10, "only {tried} lists inside a parent");
    nothing(broken);
    remit.stop().await;
}

#[test]
fn every_list_has_pages() {
    let lists = methods().into_iter().filter(|method| method.name().starts_with("List"));
    let without = lists.filter(|method| {
        let has = |field| method.input().get_field_by_name(field).is_some();
        !has("page_size") || !has("page_token") || method.output().get_field_by_name("next_page_token").is_none()
    });
    nothing(without.map(|method| format!("{} has no pages", method.name())).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_size_is_cut_to_the_bound_and_refused_below_zero() {
    let remit = Remit::start().await;
    let mut broken = Vec::new();
    for method in paged() {
        for size in [1_001, i32::MAX] {
            let answer = remit.ask(&method, &sized(&method, size)).await;
            let found = not_cut(&answer);
            broken.extend(found.map(|what| format!("{} with page_size {size}: {what}", method.name())));
        }
        let answer = remit.ask(&method, &sized(&method, -1)).await;
        let found = not_refused(&answer);
        broken.extend(found.map(|what| format!("{} with page_size -1: {what}", method.name())));
    }
    nothing(broken);
    remit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_of_another_list_is_refused() {
    let remit = Remit::start().await;
    let mut tokens: Vec<(MethodDescriptor, String)> = Vec::new();
    for method in paged() {
        if let Ok(page) = remit.ask(&method, &sized(&method, 1)).await {
            let token = page.get_field_by_name("next_page_token").and_then(|token| token.as_str().map(str::to_owned));
            tokens.extend(token.filter(|token| !token.is_empty()).map(|token| (method, token)));
        }
    }
    assert!(tokens.len() >= 6, "only {} lists have more than one page of one", tokens.len());
    let mut broken = Vec::new();
    for method in paged() {
        // Of the same service first: its own codec reads the token, so that the token must say whose it is.
        let package = method.parent_service().package_name().to_owned();
        let mut others: Vec<_> = tokens.iter().filter(|(other, _)| other.name() != method.name()).collect();
        others.sort_by_key(|(other, _)| other.parent_service().package_name() != package);
        let (other, token) = others.first().expect("there is another list");
        let mut request = valid(&method);
        request.set_field_by_name("page_token", Value::String(token.clone()));
        let answer = remit.ask(&method, &request).await;
        let found = not_its_token(&answer);
        broken.extend(found.map(|what| format!("{} with a token of {}: {what}", method.name(), other.name())));
    }
    nothing(broken);
    remit.stop().await;
}
