//! What is said of tokens after they were issued: revoked ones count nowhere, and roles that are assigned inside Remit
//! count everywhere, from one moment to the next.

use super::audit::http_request;
use super::cases;
use crate::support::{Caller, Connection, Suite, eventually, reason};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use remit_api::audit::v1::TailRequest;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::council::v1::access_service_client::AccessServiceClient;
use remit_api::council::v1::*;
use remit_api::system::v1::GetInfoRequest;
use remit_api::system::v1::system_service_client::SystemServiceClient;
use remit_core::details::{Details as _, RolesAssigned, TokensRevoked};
use remit_core::{ActorKind, SERVICES};
use remit_runtime::auth::{DEVELOPMENT_ISSUER, token_time};
use serde_json::{Value, json};
use std::time::Duration;
use tonic::{Code, Status};

cases! {
    a_revoked_token_counts_nowhere_until_it_is_lifted: CreateRevocation, DeleteRevocation;
    a_subject_is_signed_out_until_now_and_blocked_until_it_is_lifted: CreateRevocation, DeleteRevocation;
    roles_that_are_assigned_open_the_door_until_they_are_taken_back:
        CreateRoleAssignment, UpdateRoleAssignment, DeleteRoleAssignment;
}

fn access(caller: &Caller) -> AccessServiceClient<Connection> {
    AccessServiceClient::new(caller.to("council"))
}

/// How a call of this service answers somebody: empty if it does, else the reason of the refusal.
async fn answer(who: &Caller, service: &str) -> String {
    let mut client = SystemServiceClient::new(who.to(service));
    client.get_info(GetInfoRequest {}).await.err().map(|status| reason(&status)).unwrap_or_default()
}

/// Waits until every service answers somebody like this.
async fn everywhere(who: &Caller, wanted: &str) {
    for service in SERVICES {
        eventually(&format!("{service} answers {wanted:?}"), || async { answer(who, service).await == wanted }).await;
    }
}

/// The status of a page for whoever has a token.
async fn page(suite: &Suite, token: &str) -> u16 {
    let path = format!("/tlog/{}/checkpoint", suite.tenant_id());
    http_request(&suite.urls()["audit"], &path, Some(token)).await.0
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.expect_err("a refusal");
    (status.code(), reason(&status))
}

fn denied(reason: &str) -> (Code, String) {
    (Code::PermissionDenied, reason.to_owned())
}

fn invalid(reason: &str) -> (Code, String) {
    (Code::InvalidArgument, reason.to_owned())
}

fn revoke(id: &str, revocation: Revocation) -> CreateRevocationRequest {
    let revocation = Some(Revocation { reason: "it leaked".into(), ..revocation });
    CreateRevocationRequest { revocation_id: id.into(), revocation, ..Default::default() }
}

fn lift(id: &str) -> DeleteRevocationRequest {
    DeleteRevocationRequest { name: format!("revocations/{id}"), reason: "a mistake".into(), ..Default::default() }
}

/// The id of a token, as its holder reads it.
fn token_id(token: &str) -> String {
    let body = token.split('.').nth(1).expect("a token has three parts");
    let body = BASE64_URL_SAFE_NO_PAD.decode(body).expect("a token is base64");
    let claims: Value = serde_json::from_slice(&body).expect("claims are JSON");
    claims["jti"].as_str().expect("a token has an id").to_owned()
}

async fn a_revoked_token_counts_nowhere_until_it_is_lifted(suite: Suite) {
    let leaked = suite.token("mallory", ActorKind::Human, &["admin"], &[]);
    let (thief, mallory) = (suite.bearing(&leaked), suite.human("mallory", &["admin"], &[]));
    everywhere(&thief, "").await;
    assert_ne!(page(&suite, &leaked).await, 401);
    let mut tail = AuditServiceClient::new(thief.to("audit"));
    let mut tail = tail.tail(TailRequest::default()).await.expect("a stream").into_inner();

    // One responsible person stops it, without being an administrator.
    let mut operator = access(&suite.human("olga", &["operator"], &[]));
    let one = Revocation { token_id: token_id(&leaked), ..Revocation::default() };
    let made = operator.create_revocation(revoke("leak", one.clone())).await.expect("it is revoked").into_inner();
    assert!(made.expire_time.is_some() && !made.block, "{made:?}");
    everywhere(&thief, "TOKEN_REVOKED").await;
    assert_eq!(page(&suite, &leaked).await, 401, "nor over HTTP");
    let ended = async {
        loop {
            match tail.message().await {
                Ok(Some(_)) => {}
                other => return other,
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the stream ends");
    assert_eq!(refusal(ended), (Code::Unauthenticated, "TOKEN_REVOKED".to_owned()));
    everywhere(&mallory, "").await;

    let entries = suite.entries("action = \"council.revocations.create\"").await;
    let event = entries[0].event.clone().expect("an event");
    let details = serde_json::from_str(&event.details_json).expect("details are JSON");
    let details = TokensRevoked::read(&details).expect("its details");
    assert_eq!((event.reason.as_str(), details.token_id), ("it leaked", one.token_id.clone()));

    // Lifting loosens: that is for administrators.
    assert_eq!(refusal(operator.delete_revocation(lift("leak")).await), denied("PERMISSION_MISSING"));
    let program = suite.program("siem");
    assert_eq!(refusal(access(&program).delete_revocation(lift("leak")).await), denied("ACTOR_KIND_NOT_ALLOWED"));
    access(&suite.admin()).delete_revocation(lift("leak")).await.expect("it is lifted");
    everywhere(&thief, "").await;

    let mut admin = access(&suite.admin());
    let of = |subject: &str| Revocation { subject: subject.into(), ..Revocation::default() };
    for (wrong, reason) in [
        (Revocation::default(), "FIELD_REQUIRED"),
        (of("remit-audit"), "SUBJECT_RESERVED"),
        (Revocation { block: true, ..one.clone() }, "FIELD_NOT_ALLOWED"),
    ] {
        assert_eq!(refusal(admin.create_revocation(revoke("wrong", wrong)).await), invalid(reason));
    }
    let watch = access(&program).watch_access(WatchAccessRequest::default()).await;
    assert_eq!(refusal(watch.map(drop)), denied("SUITE_ONLY"));
}

/// A token of a subject that was issued so many seconds ago, for somebody else where it says so.
fn issued(suite: &Suite, subject: &str, ago: i64, behalf: Option<&str>) -> Caller {
    let now = token_time().micros() / 1_000_000;
    let kind = if behalf.is_some() { "service" } else { "human" };
    let mut claims = json!({
        "iss": DEVELOPMENT_ISSUER, "aud": "remit", "sub": subject, "tenant": suite.tenant_id(), "kind": kind,
        "roles": ["admin"], "iat": now - ago, "nbf": now - ago, "exp": now + 3_600, "jti": format!("{subject}-{ago}"),
    });
    if let Some(behalf) = behalf {
        claims["on_behalf_of"] = json!(behalf);
    }
    suite.bearing(&suite.signer().sign(&claims).expect("claims can be signed"))
}

async fn a_subject_is_signed_out_until_now_and_blocked_until_it_is_lifted(suite: Suite) {
    let (old, new) = (issued(&suite, "mallory", 120, None), issued(&suite, "mallory", 0, None));
    let agent = issued(&suite, "agent", 0, Some("mallory"));
    for who in [&old, &new, &agent] {
        everywhere(who, "").await;
    }
    let of = |subject: &str| Revocation { subject: subject.into(), ..Revocation::default() };
    let minute_ago = prost_types::Timestamp { seconds: token_time().micros() / 1_000_000 - 60, nanos: 0 };
    let program = suite.program("siem");
    let until = Revocation { revoke_time: Some(minute_ago), ..of("mallory") };
    access(&program).create_revocation(revoke("old", until)).await.expect("a program may sign out");
    everywhere(&old, "TOKEN_REVOKED").await;
    everywhere(&new, "").await;
    assert_eq!(refusal(access(&new).delete_revocation(lift("old")).await), denied("OWN_REVOCATION"));

    let block = |subject: &str| Revocation { block: true, ..of(subject) };
    let refused = access(&program).create_revocation(revoke("block", block("mallory"))).await;
    assert_eq!(refusal(refused), denied("BLOCK_NEEDS_PERSON"));
    let admin = suite.admin();
    assert_eq!(refusal(access(&admin).create_revocation(revoke("block", block("admin"))).await), denied("SELF_BLOCK"));
    let made = access(&admin).create_revocation(revoke("block", block("mallory"))).await.expect("she is blocked");
    assert_eq!(made.into_inner().expire_time, None);
    for who in [&old, &new, &agent] {
        everywhere(who, "TOKEN_REVOKED").await;
    }
    let list = ListRevocationsRequest { filter: "subject = \"mallory\" AND block = true".into(), ..Default::default() };
    let listed = access(&admin).list_revocations(list).await.expect("a list").into_inner().revocations;
    assert_eq!(listed.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["revocations/block"]);
    access(&admin).delete_revocation(lift("block")).await.expect("it is lifted");
    for who in [&new, &agent] {
        everywhere(who, "").await;
    }
    let entries = suite.entries("action = \"council.revocations.delete\" AND outcome = SUCCESS").await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].event.as_ref().map(|event| event.reason.as_str()), Some("a mistake"));
    assert_eq!(answer(&old, "council").await, "TOKEN_REVOKED", "what was signed out stays so");
}

async fn roles_that_are_assigned_open_the_door_until_they_are_taken_back(suite: Suite) {
    let gina = suite.human("gina", &[], &[]);
    everywhere(&gina, "PERMISSION_MISSING").await;
    let now = token_time().micros() / 1_000_000;
    let claims = json!({
        "iss": DEVELOPMENT_ISSUER, "aud": "remit", "sub": "g-42", "tenant": suite.tenant_id(), "kind": "human",
        "iat": now, "nbf": now, "exp": now + 3_600, "email": "Gus@Example.com", "email_verified": true,
    });
    let by_mail = suite.bearing(&suite.signer().sign(&claims).expect("claims can be signed"));
    let admin = suite.admin();
    let assign = |id: &str, assignment: RoleAssignment| CreateRoleAssignmentRequest {
        role_assignment_id: id.into(),
        role_assignment: Some(assignment),
        ..Default::default()
    };
    let good = RoleAssignment {
        subject: "gina".into(),
        issuer: DEVELOPMENT_ISSUER.into(),
        roles: vec!["viewer".into()],
        reason: "she joined".into(),
        ..Default::default()
    };
    let made = access(&admin).create_role_assignment(assign("gina", good.clone())).await.expect("roles").into_inner();
    assert_eq!(made.assigner.as_ref().map(|one| one.subject.as_str()), Some("admin"));
    let mail = RoleAssignment { subject: String::new(), email: "gus@example.com".into(), ..good.clone() };
    access(&admin).create_role_assignment(assign("gus", mail)).await.expect("roles");
    for who in [&gina, &by_mail] {
        everywhere(who, "").await;
    }

    for (wrong, refused) in [
        (RoleAssignment { subject: "admin".into(), ..good.clone() }, denied("SELF_ASSIGNMENT")),
        (RoleAssignment { roles: vec!["service".into()], ..good.clone() }, invalid("ROLE_RESERVED")),
        (RoleAssignment { roles: vec!["emperor".into()], ..good.clone() }, invalid("ROLE_UNKNOWN")),
        (RoleAssignment { issuer: "https://other".into(), ..good.clone() }, invalid("ISSUER_UNKNOWN")),
        (RoleAssignment { email: "g@example.com".into(), ..good.clone() }, invalid("FIELD_NOT_ALLOWED")),
    ] {
        assert_eq!(refusal(access(&admin).create_role_assignment(assign("wrong", wrong)).await), refused);
    }
    // Nobody but an administrator in person assigns roles, and what they open is no more than the role.
    let more = assign("more", RoleAssignment { subject: "eve".into(), ..good.clone() });
    for (who, reason) in [(&gina, "PERMISSION_MISSING"), (&suite.program("crm"), "ACTOR_KIND_NOT_ALLOWED")] {
        assert_eq!(refusal(access(who).create_role_assignment(more.clone()).await), denied(reason));
    }

    let change = UpdateRoleAssignmentRequest {
        role_assignment: Some(RoleAssignment {
            name: made.name.clone(),
            etag: made.etag.clone(),
            role_groups: vec!["legal".into()],
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["role_groups".into()] }),
        ..Default::default()
    };
    let changed = access(&admin).update_role_assignment(change.clone()).await.expect("a change").into_inner();
    assert_eq!(
        (changed.roles.as_slice(), changed.role_groups.as_slice()),
        (&["viewer".into()][..], &["legal".into()][..])
    );
    let stale = UpdateRoleAssignmentRequest { request_id: "stale".into(), ..change };
    let stale = access(&admin).update_role_assignment(stale).await;
    assert_eq!(refusal(stale), (Code::Aborted, "ETAG_MISMATCH".to_owned()));

    for name in [made.name.as_str(), "roleAssignments/gus"] {
        let delete = DeleteRoleAssignmentRequest { name: name.into(), ..Default::default() };
        access(&admin).delete_role_assignment(delete).await.expect("they are taken back");
    }
    for who in [&gina, &by_mail] {
        everywhere(who, "PERMISSION_MISSING").await;
    }
    let entries = suite.entries("action = \"council.roleAssignments.*\" AND outcome = SUCCESS").await;
    let details = entries
        .iter()
        .filter_map(|entry| RolesAssigned::read(&serde_json::from_str(&entry.event.as_ref()?.details_json).ok()?));
    let groups: Vec<usize> = details.map(|details| details.role_groups.len()).collect();
    assert_eq!(groups, [0, 0, 1, 1, 0], "made, made, changed, taken back, taken back");
    let told = entries.iter().filter_map(|entry| entry.event.as_ref()).any(|event| event.details_json.contains("gus@"));
    assert!(!told, "the log keeps no address");
}
