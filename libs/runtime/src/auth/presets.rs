//! What the tokens of well-known providers look like before anybody has configured anything there.
//!
//! A preset must be safe by itself: a program must not pass for a person because a claim is missing. So a person is
//! recognised by what only tokens of people have, wherever the provider gives such a thing.

use crate::config::{Issuer, KindRule, Preset};
use remit_core::ActorKind;

/// What a table says where its author does not.
#[derive(Debug, Default)]
pub(super) struct Habits {
    pub access_token_claims: &'static [&'static str],
    pub id_tokens: bool,
    pub token_id: &'static str,
    pub tenant: Option<&'static str>,
    pub tenant_required: bool,
    pub subject: &'static [&'static str],
    pub email: &'static str,
    pub email_verified: &'static str,
    pub kind_rules: Vec<KindRule>,
    pub kind_claim: Option<&'static str>,
    pub kind: Option<ActorKind>,
    pub roles: Vec<String>,
    pub role_groups: &'static [&'static str],
    pub groups: &'static [&'static str],
    pub on_behalf_of: Option<&'static str>,
}

fn rule(claim: &str, kind: ActorKind) -> KindRule {
    KindRule { claim: claim.to_owned(), equals: None, starts_with: None, ends_with: None, contains: None, kind }
}

fn equals(claim: &str, what: &str, kind: ActorKind) -> KindRule {
    KindRule { equals: Some(what.to_owned()), ..rule(claim, kind) }
}

fn ends_with(claim: &str, what: &str, kind: ActorKind) -> KindRule {
    KindRule { ends_with: Some(what.to_owned()), ..rule(claim, kind) }
}

fn contains(claim: &str, what: &str, kind: ActorKind) -> KindRule {
    KindRule { contains: Some(what.to_owned()), ..rule(claim, kind) }
}

impl Habits {
    /// Those of the provider that the table names, or those of Remit's own tokens.
    pub fn of(issuer: &Issuer, audiences: &[String]) -> Self {
        match issuer.preset {
            None => Self::own(),
            Some(Preset::Keycloak) => Self::keycloak(audiences),
            Some(Preset::Auth0) => Self::auth0(),
            Some(Preset::Entra) => Self::entra(),
            Some(Preset::Okta) => Self::okta(),
            Some(Preset::Google) => Self::google(),
        }
    }

    /// The claims that [`super::Claims`] has.
    fn own() -> Self {
        Self {
            token_id: "jti",
            tenant: Some("tenant"),
            subject: &["sub"],
            email: "email",
            email_verified: "email_verified",
            kind_claim: Some("kind"),
            roles: vec!["roles".to_owned()],
            role_groups: &["role_groups"],
            on_behalf_of: Some("on_behalf_of"),
            ..Self::default()
        }
    }

    /// What all presets share. A claim `kind` may say that somebody is no person, and nothing else
    /// (one that says something unknown is refused, whatever the rules).
    fn provider() -> Self {
        Self {
            token_id: "jti",
            subject: &["sub"],
            email: "email",
            email_verified: "email_verified",
            kind_rules: vec![equals("kind", "ai", ActorKind::Ai), equals("kind", "service", ActorKind::Service)],
            ..Self::default()
        }
    }

    /// Service accounts are users called `service-account-<client>`; only logins have a session (`sid`). The payload's
    /// `typ` tells access tokens from others, which every issuer is held to.
    fn keycloak(audiences: &[String]) -> Self {
        let mut own = Self::provider();
        own.kind_rules.extend([
            KindRule {
                starts_with: Some("service-account-".to_owned()),
                ..rule("preferred_username", ActorKind::Service)
            },
            rule("client_id", ActorKind::Service),
            rule("clientId", ActorKind::Service),
            rule("sid", ActorKind::Human),
            rule("session_state", ActorKind::Human),
        ]);
        let of_client =
            |audience: &String| super::claims::ClaimPath::of(&["resource_access", audience, "roles"]).to_string();
        let mut roles = vec!["/realm_access/roles".to_owned()];
        roles.extend(audiences.iter().map(of_client));
        Self {
            tenant: Some("tenant"),
            kind: Some(ActorKind::Service),
            roles,
            role_groups: &["role_groups"],
            groups: &["groups"],
            ..own
        }
    }

    /// The subject of a program ends with `@clients`, that of a person is `<connection>|<id>`. With the setting "Add
    /// Permissions in the Access Token" there are `permissions`; roles come in a claim of one's own, named by a URL.
    fn auth0() -> Self {
        let mut own = Self::provider();
        own.kind_rules.extend([
            equals("gty", "client-credentials", ActorKind::Service),
            ends_with("sub", "@clients", ActorKind::Service),
            contains("sub", "|", ActorKind::Human),
        ]);
        Self {
            access_token_claims: &["azp", "client_id"],
            kind: Some(ActorKind::Service),
            roles: vec!["permissions".to_owned()],
            ..own
        }
    }

    /// Only tokens of people have delegated scopes (`scp`). `sub` is another for each application, `oid` is not. An
    /// e-mail address is whatever somebody wrote into the directory, unless `xms_edov` says that its domain is verified.
    fn entra() -> Self {
        let mut own = Self::provider();
        own.kind_rules.extend([equals("idtyp", "app", ActorKind::Service), rule("scp", ActorKind::Human)]);
        Self {
            access_token_claims: &["azp", "appid"],
            token_id: "uti",
            tenant: Some("tid"),
            tenant_required: true,
            subject: &["oid"],
            email_verified: "xms_edov",
            kind: Some(ActorKind::Service),
            roles: vec!["roles".to_owned()],
            groups: &["groups"],
            ..own
        }
    }

    /// `uid` is there for people only; `sub` is their login, which can change and be given to somebody else.
    fn okta() -> Self {
        let mut own = Self::provider();
        own.kind_rules.push(rule("uid", ActorKind::Human));
        Self {
            access_token_claims: &["cid"],
            subject: &["uid", "sub"],
            kind: Some(ActorKind::Service),
            roles: vec!["roles".to_owned()],
            groups: &["groups"],
            ..own
        }
    }

    /// ID tokens only, without roles. Anybody may have an account: those of the organisation have its domain in `hd`.
    fn google() -> Self {
        Self {
            id_tokens: true,
            tenant: Some("hd"),
            tenant_required: true,
            kind_rules: vec![
                ends_with("email", ".gserviceaccount.com", ActorKind::Service),
                rule("hd", ActorKind::Human),
            ],
            kind: Some(ActorKind::Service),
            ..Self::provider()
        }
    }
}
