//! The tables `[[auth.issuers]]`: who may sign tokens, for whom, and how their claims are read.
//!
//! What is left out is taken from the preset, and without one from the names that Remit's own tokens use. What the
//! tables may hold is checked by [`crate::auth::Rules`], which is made from them.

use remit_core::ActorKind;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One table `[[auth.issuers]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The file path or URL of its key set; empty: where its discovery document says.
    #[serde(default)]
    pub jwks: String,
    /// Whose habits the tables below begin with.
    #[serde(default)]
    pub preset: Option<Preset>,
    /// The tenants it may speak for; `*` alone for any.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// The audiences of which a token must name one; `auth.audience` if empty.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// The algorithms it may sign with; `auth.algorithms` if empty.
    #[serde(default)]
    pub algorithms: Vec<String>,
    /// The actor kinds it may speak for; all if empty.
    #[serde(default)]
    pub kinds: Vec<ActorKind>,
    /// The most that it may grant.
    #[serde(default)]
    pub grants: Grants,
    /// What its subjects begin with in Remit, so that they are nobody else's.
    #[serde(default)]
    pub subject_prefix: String,
    /// Whether ID tokens count, which say who signed in and not what a program may ask for.
    #[serde(default)]
    pub accept_id_tokens: Option<bool>,
    /// Claims of which an access token has one at least, and an ID token none.
    #[serde(default)]
    pub access_token_claims: Option<Vec<String>>,
    /// The claim that tells tokens apart; `jti` if absent.
    #[serde(default)]
    pub token_id: Option<String>,
    /// How the tenant is told.
    #[serde(default)]
    pub tenant: TenantClaim,
    /// How the subject is told.
    #[serde(default)]
    pub subject: SubjectClaims,
    /// Where an e-mail address stands, and what says that it was verified.
    #[serde(default)]
    pub email: EmailClaims,
    /// How the kind of actor is told.
    #[serde(default)]
    pub kind: KindRules,
    /// Where roles stand.
    #[serde(default)]
    pub roles: WordClaims,
    /// Where role groups stand.
    #[serde(default)]
    pub role_groups: WordClaims,
    /// Where groups of the provider stand, and what each of them is worth.
    #[serde(default)]
    pub groups: GroupClaims,
    /// The claim with the subject on whose behalf a program acts.
    #[serde(default)]
    pub on_behalf_of: Option<String>,
}

/// Whose tokens a table describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Preset {
    Keycloak,
    Auth0,
    Entra,
    Okta,
    Google,
}

/// The most that an issuer may grant; what is absent is not bounded.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// The roles.
    #[serde(default)]
    pub roles: Option<Vec<String>>,
    /// The role groups.
    #[serde(default)]
    pub role_groups: Option<Vec<String>>,
}

impl Grants {
    /// Whether the issuer may grant this role. None may grant `service`, which is the suite's own.
    pub fn role(&self, role: &str) -> bool {
        role != crate::auth::SERVICE_ROLE && among(self.roles.as_deref(), role)
    }

    /// Whether the issuer may put somebody into this role group.
    pub fn role_group(&self, group: &str) -> bool {
        among(self.role_groups.as_deref(), group)
    }
}

fn among(bound: Option<&[String]>, name: &str) -> bool {
    bound.is_none_or(|names| names.iter().any(|known| known == name))
}

/// How the tenant is told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantClaim {
    /// The claim that names it. Without one the issuer has one tenant.
    #[serde(default)]
    pub claim: Option<String>,
    /// The tenant by what the claim says; empty: the claim says the tenant itself.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// Whether a token without the claim is refused even if the issuer has one tenant only.
    #[serde(default)]
    pub required: Option<bool>,
}

/// How the subject is told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectClaims {
    /// The claims; the first that the token has counts.
    #[serde(default)]
    pub claims: Option<Vec<String>>,
}

/// Where an e-mail address stands.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailClaims {
    /// The claim with the address.
    #[serde(default)]
    pub claim: Option<String>,
    /// The claim that must be `true` for the address to count.
    #[serde(default)]
    pub verified: Option<String>,
}

/// How the kind of actor is told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindRules {
    /// The rules, before those of the preset; the first that fits counts.
    #[serde(default)]
    pub rules: Vec<KindRule>,
    /// The claim that names the kind, where no rule fits.
    #[serde(default)]
    pub claim: Option<String>,
    /// The kind where neither says anything.
    #[serde(default)]
    pub default: Option<ActorKind>,
}

/// One rule: if the claim is there and says this, the actor is of this kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindRule {
    /// The claim. Without any of the conditions below it is enough that it is there.
    pub claim: String,
    /// What it says, or one of what it says.
    #[serde(default)]
    pub equals: Option<String>,
    /// What it begins with.
    #[serde(default)]
    pub starts_with: Option<String>,
    /// What it ends with.
    #[serde(default)]
    pub ends_with: Option<String>,
    /// What stands anywhere in it.
    #[serde(default)]
    pub contains: Option<String>,
    /// The kind.
    pub kind: ActorKind,
}

/// Where roles or role groups stand.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WordClaims {
    /// The claims, all of which count: lists, or texts with spaces between the words.
    #[serde(default)]
    pub claims: Option<Vec<String>>,
    /// What each word is worth, nothing if it is not here; absent: every word is what it says.
    #[serde(default)]
    pub values: Option<BTreeMap<String, Vec<String>>>,
    /// What everybody has for whom nothing else was found.
    #[serde(default)]
    pub default: Vec<String>,
}

/// Where groups of the provider stand, and what each of them is worth.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupClaims {
    /// The claims, all of which count.
    #[serde(default)]
    pub claims: Option<Vec<String>>,
    /// What each group is worth, by its name or id in the token; nothing if it is not here.
    #[serde(default)]
    pub values: BTreeMap<String, Worth>,
}

/// What a group of the provider is worth in Remit.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worth {
    /// Roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Role groups.
    #[serde(default)]
    pub role_groups: Vec<String>,
}
