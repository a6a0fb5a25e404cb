//! Pages, as AIP-158 has them.

use super::answers::{Remit, nothing, unlike, valid};
use super::wire::methods;
use crate::support::reason;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use tonic::Code;

fn paged() -> Vec<MethodDescriptor> {
    methods().into_iter().filter(|method| method.input().get_field_by_name("page_size").is_some()).collect()
}

fn sized(method: &MethodDescriptor, size: i32) -> DynamicMessage {
    let mut request = valid(method);
    request.set_field_by_name("page_size", Value::I32(size));
    request
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
            let found = answer.err().map(|status| format!("{}: {}", reason(&status), status.message()));
            broken.extend(found.map(|what| format!("{} with page_size {size}: {what}", method.name())));
        }
        let answer = remit.ask(&method, &sized(&method, -1)).await;
        let found = unlike(&answer, Code::InvalidArgument, &["FIELD_INVALID"]);
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
        let found = unlike(&answer, Code::InvalidArgument, &["PAGE_TOKEN_INVALID"]);
        broken.extend(found.map(|what| format!("{} with a token of {}: {what}", method.name(), other.name())));
    }
    nothing(broken);
    remit.stop().await;
}
