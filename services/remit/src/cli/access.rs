//! `remit access`: which tokens no longer count, and which roles people have inside Remit.

use super::Group;
use super::connect::{Session, answer, text};
use super::list::{ListArgs, Page};
use super::output::{Column, json};
use super::values::{named, time};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use remit_api::council::v1::access_service_client::AccessServiceClient;
use remit_api::council::v1::{
    CreateRevocationRequest, CreateRoleAssignmentRequest, DeleteRevocationRequest, DeleteRoleAssignmentRequest,
    ListRevocationsRequest, ListRoleAssignmentsRequest, Revocation, RoleAssignment,
};
use remit_core::{Error, Result, subject};
use remit_runtime::auth::token_id;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What to do with tokens and roles.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Revoke one token, or all tokens that a subject has now; with --block also those to come.
    Revoke(Revoke),
    /// List revocations, such as those of 'subject = "ann"'.
    List(ListArgs),
    /// Lift a revocation: the tokens count again.
    Lift {
        /// The revocation.
        name: String,
        /// Why; it is kept in the audit log.
        #[arg(long)]
        reason: String,
    },
    /// Give roles to somebody else, beside those that the tokens bring.
    Assign(Assign),
    /// List role assignments.
    Assignments(ListArgs),
    /// Take assigned roles back.
    Unassign {
        /// The role assignment.
        name: String,
        /// Why; it is kept in the audit log.
        #[arg(long)]
        reason: String,
    },
}

/// Arguments of `remit access revoke`.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// A file that holds the token, `-` for standard input. Only its id, its issuer and its subject are sent.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["token_id", "subject"])]
    leaked: Option<PathBuf>,
    /// The id of the token (`jti`).
    #[arg(long, value_name = "ID", conflicts_with = "leaked")]
    token_id: Option<String>,
    /// Whose tokens: all that were issued until now.
    #[arg(long, conflicts_with = "leaked")]
    subject: Option<String>,
    /// Only tokens of this issuer.
    #[arg(long, value_name = "ISS", conflicts_with = "leaked")]
    issuer: Option<String>,
    /// Refuse tokens of the subject that are issued later too, until this is lifted.
    #[arg(long, requires = "subject", conflicts_with = "token_id")]
    block: bool,
    /// When it is over: 2026-05-01 or 2026-05-01T08:30:00Z.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Why; it is kept in the audit log.
    #[arg(long)]
    reason: String,
    /// The id of the revocation; drawn if absent.
    #[arg(long)]
    id: Option<String>,
}

/// Arguments of `remit access assign`.
#[derive(Debug, Args)]
pub(crate) struct Assign {
    /// Who gets the roles.
    #[arg(long, required_unless_present = "email", conflicts_with = "email")]
    subject: Option<String>,
    /// The same by an e-mail address that the issuer has verified.
    #[arg(long)]
    email: Option<String>,
    /// The issuer of the tokens for which this holds.
    #[arg(long, value_name = "ISS")]
    issuer: String,
    /// A role; can be given again.
    #[arg(long = "role", value_name = "ROLE", required_unless_present = "groups")]
    roles: Vec<String>,
    /// A role group; can be given again.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// When it is over: 2026-05-01 or 2026-05-01T08:30:00Z.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Why; it is kept in the audit log.
    #[arg(long)]
    reason: String,
    /// The id of the role assignment; drawn if absent.
    #[arg(long)]
    id: Option<String>,
}

const REVOCATIONS: &[Column] = &[
    ("REVOCATION", "name", "revocations/"),
    ("TOKEN", "tokenId", ""),
    ("SUBJECT", "subject", ""),
    ("BLOCK", "block", ""),
    ("ISSUED UNTIL", "revokeTime", ""),
    ("OVER", "expireTime", ""),
    ("BY", "revoker.subject", ""),
    ("REASON", "reason", ""),
];

const ASSIGNMENTS: &[Column] = &[
    ("ASSIGNMENT", "name", "roleAssignments/"),
    ("SUBJECT", "subject", ""),
    ("EMAIL", "email", ""),
    ("ISSUER", "issuer", ""),
    ("ROLES", "roles", ""),
    ("GROUPS", "roleGroups", ""),
    ("OVER", "expireTime", ""),
    ("BY", "assigner.subject", ""),
    ("REASON", "reason", ""),
];

/// What is told of a leaked token.
#[derive(Debug, Default, PartialEq, Eq)]
struct Leak {
    token_id: String,
    issuer: String,
    subject: String,
}

/// The id of a token, its issuer, and whom that calls its subject.
///
/// # Errors
/// `InvalidArgument` (`TOKEN_INVALID`) if it is none, or has no id. Nothing of the token is told.
fn identify(token: &str) -> Result<Leak> {
    let invalid = |what: &str| Error::invalid("TOKEN_INVALID", "leaked", what);
    let body = token.trim().trim_start_matches("Bearer ").split('.').nth(1).unwrap_or_default();
    let body = URL_SAFE_NO_PAD.decode(body).ok().and_then(|body| serde_json::from_slice(&body).ok());
    let claims: serde_json::Value = body.ok_or_else(|| invalid("holds no token in JWS form"))?;
    let claim = |name: &str| claims.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let first = |names: &[&str]| names.iter().map(|name| claim(name)).find(|said| !said.is_empty()).unwrap_or_default();
    // Where the presets find them: Entra ID has `uti` and `oid`, Okta `uid`.
    let (id, subject) = (first(&["jti", "uti"]), first(&["oid", "uid", "sub"]));
    if id.is_empty() {
        return Err(invalid("is a token without an id (jti): revoke its --subject instead"));
    }
    // Nobody has a subject without a canonical form, and the revocation is what matters.
    let subject = subject::canonical(&subject).map(|subject| subject.into_owned()).unwrap_or_default();
    Ok(Leak { token_id: token_id(&id), issuer: claim("iss"), subject })
}

fn leaked(path: &Path) -> Result<String> {
    if path != Path::new("-") {
        return text(path);
    }
    let mut token = String::new();
    let read = std::io::stdin().read_to_string(&mut token);
    read.map_err(|error| super::unreadable(path, error))?;
    Ok(token)
}

fn revocation(revoke: &Revoke) -> Result<Revocation> {
    let given = |text: &Option<String>| text.clone().unwrap_or_default();
    let leak = match &revoke.leaked {
        Some(path) => identify(&leaked(path)?)?,
        None => {
            Leak { token_id: token_id(&given(&revoke.token_id)), issuer: given(&revoke.issuer), subject: String::new() }
        }
    };
    Ok(Revocation {
        token_id: leak.token_id,
        issuer: leak.issuer,
        token_subject: leak.subject,
        subject: given(&revoke.subject),
        block: revoke.block,
        expire_time: revoke.until.as_deref().map(|until| time(until, "until")).transpose()?,
        reason: revoke.reason.clone(),
        ..Revocation::default()
    })
}

fn assignment(assign: Assign) -> Result<RoleAssignment> {
    Ok(RoleAssignment {
        subject: assign.subject.unwrap_or_default(),
        email: assign.email.unwrap_or_default(),
        issuer: assign.issuer,
        roles: assign.roles,
        role_groups: assign.groups,
        expire_time: assign.until.as_deref().map(|until| time(until, "until")).transpose()?,
        reason: assign.reason,
        ..RoleAssignment::default()
    })
}

/// Runs the command.
pub(super) async fn run(group: Group<Command>) -> Result<()> {
    let session = Session::open(&group.connection).await?;
    let mut client = AccessServiceClient::new(session.wire());
    let request_id = session.request_id();
    match group.command {
        Command::Revoke(revoke) => {
            let revocation = Some(revocation(&revoke)?);
            let revocation_id = revoke.id.unwrap_or_else(|| request_id.clone());
            let request = CreateRevocationRequest { revocation_id, revocation, request_id };
            session.row(client.create_revocation(request).await, REVOCATIONS)
        }
        Command::List(list) => {
            session
                .list(list, REVOCATIONS, async |page: Page| {
                    let request =
                        ListRevocationsRequest { page_size: page.size, page_token: page.token, filter: page.filter };
                    let page = client.list_revocations(request).await?.into_inner();
                    Ok((page.revocations, page.next_page_token))
                })
                .await
        }
        Command::Lift { name, reason } => {
            let name = named("revocations", &name);
            let request = DeleteRevocationRequest { name: name.clone(), reason, request_id };
            let lifted = answer(client.delete_revocation(request).await)?;
            session.out.text(&format!("lifted {name}"), || json(&lifted))
        }
        Command::Assign(assign) => {
            let role_assignment_id = assign.id.clone().unwrap_or_else(|| request_id.clone());
            let role_assignment = Some(assignment(assign)?);
            let request = CreateRoleAssignmentRequest { role_assignment_id, role_assignment, request_id };
            session.row(client.create_role_assignment(request).await, ASSIGNMENTS)
        }
        Command::Assignments(list) => {
            session
                .list(list, ASSIGNMENTS, async |page: Page| {
                    let request = ListRoleAssignmentsRequest {
                        page_size: page.size,
                        page_token: page.token,
                        filter: page.filter,
                    };
                    let page = client.list_role_assignments(request).await?.into_inner();
                    Ok((page.role_assignments, page.next_page_token))
                })
                .await
        }
        Command::Unassign { name, reason } => {
            let name = named("roleAssignments", &name);
            let request = DeleteRoleAssignmentRequest { name: name.clone(), etag: String::new(), request_id, reason };
            let taken = answer(client.delete_role_assignment(request).await)?;
            session.out.text(&format!("took back {name}"), || json(&taken))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn of_a_leaked_token_its_id_and_its_issuer_are_taken() {
        let token = |claims: &str| format!("e30.{}.c2ln\n", URL_SAFE_NO_PAD.encode(claims));
        let found = identify(&token(r#"{"jti": "t1", "iss": "https://idp", "sub": "ann"}"#)).unwrap();
        let wanted = Leak { token_id: "t1".into(), issuer: "https://idp".into(), subject: "ann".into() };
        assert_eq!(found, wanted);
        assert_eq!(identify(&format!("Bearer {}", token(r#"{"jti": "t1"}"#))).unwrap().token_id, "t1");
        let entra = identify(&token(r#"{"uti": "t 2", "sub": "pairwise", "oid": "Ann"}"#)).unwrap();
        assert_eq!((entra.token_id, entra.subject), (token_id("t 2"), "ann".to_owned()));
        for wrong in [token(r#"{"sub": "ann"}"#), token("[]"), "opaque".to_owned(), String::new()] {
            let error = identify(&wrong).unwrap_err();
            assert_eq!(error.reason(), "TOKEN_INVALID");
            assert!(wrong.is_empty() || !error.message().contains(wrong.trim()), "{}", error.message());
        }
    }
}
