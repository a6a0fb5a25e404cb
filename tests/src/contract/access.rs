//! Who may call: every method refuses whoever has no token, no permission, or is of the wrong kind.

use super::wire::{methods, path, send, service_of};
use crate::support::{Suite, Topology, is_read, permission, reason};
use prost_reflect::MethodDescriptor;
use prost_reflect::prost::bytes::Bytes;
use remit_core::{ActorKind, Tenant, authority};
use remit_runtime::auth::{Claims, Methods};
use std::collections::BTreeSet;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Calls a method with an empty message and returns how it was refused.
async fn call(channel: Channel, method: &MethodDescriptor, authorization: Option<&str>) -> Status {
    let answer = send(channel, method, Bytes::new(), authorization).await;
    answer.err().unwrap_or_else(|| panic!("{} answered", method.full_name()))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_refuses_whoever_may_not_call_it() {
    let suite = Suite::start(Topology::Sqlite).await.expect("SQLite needs no server");
    let config = remit_runtime::Config::from_toml("").expect("the defaults are valid");
    let rules = Methods::new(remit_api::pool(), &config.roles).expect("every method has a rule");
    for method in methods() {
        // Of a kind that may call, so that only the permission is missing.
        let kinds = &rules.get(&path(&method)).expect("every method has a rule").kinds;
        let kind = kinds.first().copied().unwrap_or(ActorKind::Human);
        let stranger = format!("Bearer {}", suite.token("stranger", kind, &[], &[]));
        let channel = suite.bare(&service_of(&method));
        let status = call(channel.clone(), &method, None).await;
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unauthenticated, "TOKEN_MISSING"),
            "{}",
            method.full_name()
        );
        let status = call(channel, &method, Some(&stranger)).await;
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::PermissionDenied, "PERMISSION_MISSING"),
            "{}",
            method.full_name()
        );
    }
    suite.stop().await;
}

/// Only people own, approve, vote, waive or lift a hold (S138): held by the annotation, not by the handler.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_people_refuses_services_and_ai() {
    let suite = Suite::start(Topology::Sqlite).await.expect("SQLite needs no server");
    let for_people = ["vote", "recuse", "sign", "seal", "engage", "override", "waive"];
    let mut tested = 0;
    for method in methods() {
        let permission = permission(&method);
        if is_read(&method) || !for_people.contains(&permission.rsplit('.').next().unwrap_or_default()) {
            continue;
        }
        for kind in [ActorKind::Ai, ActorKind::Service] {
            let token = format!("Bearer {}", suite.token("machine", kind, &["admin"], &["legal"]));
            let status = call(suite.bare(&service_of(&method)), &method, Some(&token)).await;
            assert_eq!(status.code(), Code::PermissionDenied, "{} as {kind:?}", method.full_name());
            assert_eq!(reason(&status), "ACTOR_KIND_NOT_ALLOWED", "{} as {kind:?}", method.full_name());
            tested += 1;
        }
    }
    assert!(tested >= 10, "only {tested} methods are for people: have their verbs been renamed?");
    suite.stop().await;
}

/// All that AI may change: it runs, delivers, records and reports, and calls for people. A method that is added here
/// gives AI more to do, and that is for people to decide.
const OPEN_TO_AI: &[&str] = &[
    "CreateIncident",
    "EscalateHandoff",
    "FailRun",
    "RecordEvents",
    "RecordOutput",
    "RecordOutputs",
    "RouteLead",
    "RouteLeads",
    "StartRun",
    "StreamEvents",
    "SubmitVariants",
];

#[test]
fn what_ai_may_change_is_a_list() {
    let config = remit_runtime::Config::from_toml("").expect("the defaults are valid");
    let rules = Methods::new(remit_api::pool(), &config.roles).expect("every method has a rule");
    let mut open = Vec::new();
    for method in methods().iter().filter(|method| !is_read(method)) {
        let kinds = &rules.get(&path(method)).expect("every method has a rule").kinds;
        assert!(!kinds.is_empty(), "{} changes state and does not say for whom", method.full_name());
        if kinds.contains(&ActorKind::Ai) {
            open.push(method.name().to_owned());
        }
    }
    open.sort();
    assert_eq!(open, OPEN_TO_AI);
}

/// No role opens to AI what is not on the list: tried on every other method that changes state.
#[tokio::test(flavor = "multi_thread")]
async fn ai_is_refused_every_other_change_whatever_its_roles() {
    let suite = Suite::start(Topology::Sqlite).await.expect("SQLite needs no server");
    let token = format!("Bearer {}", suite.token("bot", ActorKind::Ai, &["admin", "operator", "service"], &["legal"]));
    for method in methods().iter().filter(|method| !is_read(method) && !OPEN_TO_AI.contains(&method.name())) {
        let status = call(suite.bare(&service_of(method)), method, Some(&token)).await;
        let refused = (status.code(), reason(&status));
        assert_eq!(refused, (Code::PermissionDenied, "ACTOR_KIND_NOT_ALLOWED".to_owned()), "{}", method.full_name());
    }
    suite.stop().await;
}

#[test]
fn the_services_that_have_an_identity_are_those_that_there_are() {
    let mut services: Vec<_> = remit::services().iter().map(|service| service.name).collect();
    services.sort_unstable();
    assert_eq!(services, remit_core::SERVICES);
}

#[test]
fn permissions_are_service_collection_verb_and_mutations_can_be_repeated() {
    for method in methods() {
        let permission = permission(&method);
        let service = method.parent_service().full_name().split('.').nth(1).unwrap_or_default().to_owned();
        let parts: Vec<_> = permission.split('.').collect();
        assert!(parts.len() == 3 && parts[0] == service, "{}: {permission}", method.full_name());
        let repeatable = method.input().get_field_by_name("request_id").is_some();
        assert!(
            is_read(&method) || repeatable || ITEMS_CARRY_IDS.contains(&method.full_name()),
            "{} changes state and takes no request id",
            method.full_name()
        );
    }
}

/// Mutations without a request id, because what they carry has ids of its own.
const ITEMS_CARRY_IDS: &[&str] = &[
    "remit.system.v1.SystemService.AdvanceClock",
    "remit.audit.v1.AuditService.Append",
    "remit.audit.v1.AuditService.AppendBatch",
    "remit.registry.v1.OutputService.RecordOutputs",
    "remit.handoff.v1.LeadRoutingService.RouteLeads",
    "remit.scoring.v1.TaskService.ImportTasks",
    "remit.scoring.v1.DecisionService.BatchDecide",
];

#[test]
fn every_role_pattern_grants_something() {
    let config = remit_runtime::Config::from_toml("").expect("the defaults are valid");
    let permissions: BTreeSet<_> = methods().iter().map(permission).collect();
    for (role, patterns) in &config.roles {
        for pattern in patterns {
            assert!(
                permissions.iter().any(|permission| grants(pattern, permission)),
                "{role}: {pattern} grants nothing"
            );
        }
    }
}

/// `*` stands for one part, and at the end for all the rest.
fn grants(pattern: &str, permission: &str) -> bool {
    let (pattern, permission): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), permission.split('.').collect());
    pattern.iter().enumerate().all(|(i, part)| *part == "*" || permission.get(i) == Some(part))
        && (pattern.len() == permission.len() || pattern.last() == Some(&"*"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_token_is_refused_with_its_own_reason() {
    let suite = Suite::start(Topology::Sqlite).await.expect("SQLite needs no server");
    let method = methods().into_iter().find(|method| method.name() == "GetInfo").expect("GetInfo exists");
    let good = suite.token("somebody", ActorKind::Human, &["viewer"], &[]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let claims = || Claims {
        iss: suite.signer().issuer().to_owned(),
        aud: "remit".to_owned(),
        sub: "somebody".to_owned(),
        tenant: Tenant::new("t0").expect("a valid tenant").to_string(),
        kind: ActorKind::Human,
        roles: vec!["viewer".to_owned()],
        role_groups: Vec::new(),
        on_behalf_of: None,
        iat: now,
        nbf: now,
        exp: now + 600,
        jti: "x".to_owned(),
    };
    let sign = |claims: &Claims| suite.signer().sign(claims).expect("claims can be signed");
    let mut tampered = good.clone().into_bytes();
    let middle = good.rfind('.').expect("a token has parts") + 10;
    tampered[middle] = if tampered[middle] == b'A' { b'B' } else { b'A' };
    let unsigned = {
        use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
        let body = serde_json::to_vec(&claims()).expect("claims are JSON");
        format!("{}.{}.", BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), BASE64_URL_SAFE_NO_PAD.encode(body))
    };
    let hmac = {
        let key = jsonwebtoken::EncodingKey::from_secret(b"the public key as a secret");
        jsonwebtoken::encode(&jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256), &claims(), &key)
            .expect("an HMAC token can be made")
    };
    let foreign = {
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let signer = remit_runtime::auth::Signer::from_key(&key, suite.signer().issuer(), "remit").expect("a signer");
        signer.sign(&claims()).expect("claims can be signed")
    };
    let cases = [
        ("garbage", "TOKEN_MALFORMED", "not-a-token".to_owned()),
        ("tampered", "TOKEN_SIGNATURE", String::from_utf8(tampered).expect("ASCII stays ASCII")),
        ("unsigned", "TOKEN_ALGORITHM", unsigned),
        ("HMAC", "TOKEN_ALGORITHM", hmac),
        ("unknown key", "TOKEN_UNKNOWN_KEY", foreign),
        ("expired", "TOKEN_EXPIRED", sign(&Claims { exp: now - 60, iat: now - 600, nbf: now - 600, ..claims() })),
        ("not yet valid", "TOKEN_NOT_YET_VALID", sign(&Claims { nbf: now + 300, ..claims() })),
        ("wrong audience", "TOKEN_AUDIENCE", sign(&Claims { aud: "another".to_owned(), ..claims() })),
        ("wrong issuer", "TOKEN_ISSUER", sign(&Claims { iss: "another".to_owned(), ..claims() })),
        ("a service's name", "TOKEN_CLAIMS", sign(&Claims { sub: "remit-council".to_owned(), ..claims() })),
        ("a person for another", "TOKEN_CLAIMS", sign(&Claims { on_behalf_of: Some("mia".into()), ..claims() })),
        ("a service's name and role", "TOKEN_CLAIMS", {
            let (sub, kind, roles) = ("remit-council".to_owned(), ActorKind::Service, vec!["service".to_owned()]);
            sign(&Claims { sub, kind, roles, ..claims() })
        }),
        ("the suite for a person", "TOKEN_CLAIMS", {
            let council = suite.services().signer("council").expect("the council's key");
            council.sign(&Claims { iss: council.issuer().to_owned(), ..claims() }).expect("claims can be signed")
        }),
        ("one service for another", "TOKEN_SERVICE_KEY", {
            let kpi = suite.services().signer("kpi").expect("the key of kpi");
            let (sub, kind, roles) = ("remit-council".to_owned(), ActorKind::Service, vec!["service".to_owned()]);
            kpi.sign(&Claims { iss: kpi.issuer().to_owned(), sub, kind, roles, ..claims() })
                .expect("claims can be signed")
        }),
    ];
    for (what, expected, token) in cases {
        let status = call(suite.bare("audit"), &method, Some(&format!("Bearer {token}"))).await;
        assert_eq!(status.code(), Code::Unauthenticated, "{what}: {status:?}");
        assert_eq!(reason(&status), expected, "{what}: {status:?}");
    }
    suite.stop().await;
}

/// What needs a mandate is said by the annotation and by the list of acts, and both say the same.
#[test]
fn the_methods_that_need_a_mandate_are_those_of_the_acts() {
    let acts: BTreeSet<&str> = authority::ACTS.iter().flat_map(|act| act.permissions).copied().collect();
    let mut annotated = BTreeSet::new();
    for method in methods() {
        let shows = method.input().get_field_by_name("mandate").is_some();
        assert_eq!(needs_mandate(&method), shows, "{} is annotated as it is not", method.full_name());
        if shows {
            annotated.insert(permission(&method));
        }
    }
    let annotated: BTreeSet<&str> = annotated.iter().map(String::as_str).collect();
    assert_eq!(annotated, acts);
    let kinds = remit_api::pool().get_message_by_name("remit.council.v1.Action").expect("there are actions");
    let actions: BTreeSet<String> = kinds.fields().map(|field| field.name().to_owned()).collect();
    let known: BTreeSet<String> = authority::ACTS.iter().map(|act| act.kind.to_owned()).collect();
    assert_eq!(actions, known);
}

/// Whether the annotation of a method asks for a mandate, always or where it loosens.
fn needs_mandate(method: &MethodDescriptor) -> bool {
    let extension = remit_api::pool().get_extension_by_name("remit.options.v1.method_policy").expect("it is known");
    let options = method.options();
    let policy = options.get_extension(&extension);
    let rule = policy.as_message().and_then(|policy| policy.get_field_by_name("mandate")?.as_enum_number());
    rule.is_some_and(|rule| rule != 0)
}
