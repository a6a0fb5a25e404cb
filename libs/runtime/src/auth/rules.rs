//! The rules of every issuer, made from the configuration and checked before anything is served.
//!
//! An issuer says for whom it speaks: there is no default for `tenants`, not even where it is the only one, because
//! most providers have users that the organisation has never heard of, and a second issuer added later would speak for
//! the first one's tenants.

use super::claims::ClaimPath;
use super::presets::Habits;
use super::{DEVELOPMENT_ISSUER, SERVICE_ROLE};
use crate::config::{Config, Grants, Issuer, KindRule, WordClaims, Worth};
use jsonwebtoken::Algorithm;
use remit_core::{ActorKind, Error, Result, SERVICE_PREFIX, Tenant};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The algorithms that can be allowed.
const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("EdDSA", Algorithm::EdDSA),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
];

/// The name of an algorithm, as tokens and key sets have it.
pub(crate) fn name_of(algorithm: Algorithm) -> &'static str {
    ALGORITHMS.iter().find(|(_, known)| *known == algorithm).map_or("?", |(name, _)| name)
}

/// The tenants that an issuer may speak for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tenants {
    Any,
    These(BTreeSet<Tenant>),
}

impl Tenants {
    pub fn has(&self, tenant: &Tenant) -> bool {
        match self {
            Self::Any => true,
            Self::These(these) => these.contains(tenant),
        }
    }

    /// The tenant, if there is one only.
    pub fn only(&self) -> Option<&Tenant> {
        match self {
            Self::These(these) if these.len() == 1 => these.first(),
            Self::These(_) | Self::Any => None,
        }
    }

    fn meet(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::These(these), Self::These(others)) => !these.is_disjoint(others),
            (Self::Any, _) | (_, Self::Any) => true,
        }
    }
}

/// Where words stand and what they mean.
#[derive(Debug)]
pub(super) struct Words {
    pub claims: Vec<ClaimPath>,
    pub values: Option<BTreeMap<String, Vec<String>>>,
    pub default: Vec<String>,
}

/// What one issuer may say, and how it says it.
#[derive(Debug)]
pub struct Rules {
    /// Whether it is the suite's own, which speaks for services only.
    pub(super) suite: bool,
    pub(super) preset: String,
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) id_tokens: bool,
    pub(super) access_token_claims: Vec<ClaimPath>,
    pub(super) token_id: ClaimPath,
    pub(super) tenants: Tenants,
    /// The installation's own tenant, in whose log unknown callers stand, where `tenants` does not list it.
    pub(super) reserved: Option<Tenant>,
    pub(super) tenant: Option<ClaimPath>,
    pub(super) tenant_values: BTreeMap<String, Tenant>,
    pub(super) tenant_required: bool,
    pub(super) subject: Vec<ClaimPath>,
    pub(super) prefix: String,
    /// What subjects of other issuers begin with that can speak for the same tenants.
    pub(super) foreign: Vec<String>,
    pub(super) email: ClaimPath,
    pub(super) email_verified: ClaimPath,
    pub(super) kind_rules: Vec<(ClaimPath, KindRule)>,
    pub(super) kind_claim: Option<ClaimPath>,
    pub(super) kind: Option<ActorKind>,
    pub(super) roles: Words,
    pub(super) role_groups: Words,
    pub(super) groups: Vec<ClaimPath>,
    pub(super) worth: BTreeMap<String, Worth>,
    pub(super) grants: Grants,
    /// The roles that the configuration knows: no other grants anything.
    pub(super) known: Arc<BTreeSet<String>>,
    pub(super) on_behalf_of: Option<ClaimPath>,
}

/// Where in the configuration an issuer stands, for refusals.
struct Place(usize);

impl Place {
    fn refuse<T>(&self, key: &str, what: impl Into<String>) -> Result<T> {
        Err(Error::invalid("CONFIG_INVALID", format!("auth.issuers[{}].{key}", self.0), what))
    }

    fn path(&self, key: &str, text: &str) -> Result<ClaimPath> {
        ClaimPath::new(text).or_else(|what| self.refuse(key, what))
    }

    fn path_or(&self, key: &str, own: Option<&String>, habit: &str) -> Result<ClaimPath> {
        self.path(key, own.map_or(habit, |own| own.as_str()))
    }

    fn path_of(&self, key: &str, own: Option<&String>, habit: Option<&str>) -> Result<Option<ClaimPath>> {
        match (own, habit) {
            (Some(text), _) => self.path(key, text).map(Some),
            (None, Some(text)) => self.path(key, text).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn paths<S: AsRef<str>>(&self, key: &str, own: Option<&[String]>, habit: &[S]) -> Result<Vec<ClaimPath>> {
        match own {
            Some(own) => own.iter().map(|text| self.path(key, text)).collect(),
            None => habit.iter().map(|text| self.path(key, text.as_ref())).collect(),
        }
    }

    fn tenant(&self, key: &str, name: &str) -> Result<Tenant> {
        let what = "may hold only names of tenants: 1 to 63 of a-z, 0-9 and -, starting with a letter or a digit";
        Tenant::new(name).or_else(|_| self.refuse(key, format!("{what}, or \"*\" alone for any tenant")))
    }
}

/// The algorithms with these names.
///
/// # Errors
/// `InvalidArgument` (`CONFIG_INVALID`), naming `field`.
pub(crate) fn algorithms(names: &[String], field: &str) -> Result<Vec<Algorithm>> {
    let known = |name: &String| {
        let found = ALGORITHMS.iter().find(|(known, _)| known == name);
        found.map(|(_, algorithm)| *algorithm).ok_or_else(|| {
            let all = ALGORITHMS.map(|(name, _)| name).join(", ");
            Error::invalid("CONFIG_INVALID", field, format!("may hold only {all}"))
        })
    };
    names.iter().map(known).collect()
}

impl Rules {
    /// The rules of every issuer that is trusted, by its `iss`.
    ///
    /// # Errors
    /// `InvalidArgument` (`CONFIG_INVALID`) naming the table, the key and the remedy.
    pub fn all(config: &Config) -> Result<BTreeMap<String, Self>> {
        let auth = &config.auth;
        let known = Arc::new(config.roles.keys().cloned().collect::<BTreeSet<_>>());
        let mut all: Vec<(String, Self)> = Vec::new();
        for (at, issuer) in auth.issuers.iter().enumerate() {
            let place = Place(at);
            if issuer.issuer.is_empty() {
                return place.refuse("issuer", "must be the iss of its tokens");
            }
            if auth.issuers[..at].iter().any(|other| other.issuer == issuer.issuer) {
                return place.refuse("issuer", "stands in two tables: which of them would hold?");
            }
            if issuer.issuer != auth.service_issuer {
                all.push((issuer.issuer.clone(), Self::new(config, issuer, &place, &known)?));
            }
        }
        keep_apart(&mut all, &auth.issuers)?;
        // What the suite signs itself it signs with Ed25519, whatever others may.
        let ed = || vec!["EdDSA".to_owned()];
        let own = |issuer: &str, suite: bool| {
            let listed = auth.issuers.iter().find(|listed| listed.issuer == issuer);
            let table = Issuer {
                issuer: issuer.to_owned(),
                tenants: vec!["*".to_owned()],
                algorithms: listed
                    .filter(|listed| !listed.algorithms.is_empty())
                    .map_or_else(ed, |own| own.algorithms.clone()),
                ..Issuer::default()
            };
            let rules = Self::new(config, &table, &Place(0), &known)?;
            Ok::<_, Error>((issuer.to_owned(), Self { suite, reserved: None, ..rules }))
        };
        if auth.issuers.is_empty() {
            all.push(own(DEVELOPMENT_ISSUER, false)?);
        }
        all.push(own(&auth.service_issuer, true)?);
        Ok(all.into_iter().collect())
    }

    fn new(config: &Config, issuer: &Issuer, place: &Place, known: &Arc<BTreeSet<String>>) -> Result<Self> {
        let auth = &config.auth;
        let audiences =
            if issuer.audiences.is_empty() { vec![auth.audience.clone()] } else { issuer.audiences.clone() };
        let names = if issuer.algorithms.is_empty() { &auth.algorithms } else { &issuer.algorithms };
        let habits = Habits::of(issuer, &audiences);
        let tenants = tenants(issuer, place)?;
        let tenant = place.path_of("tenant.claim", issuer.tenant.claim.as_ref(), habits.tenant)?;
        if tenant.is_none() && tenants.only().is_none() {
            return place.refuse("tenant.claim", "must name the claim that tells for which of its tenants a token is");
        }
        let mut tenant_values = BTreeMap::new();
        for (value, name) in &issuer.tenant.values {
            let tenant = place.tenant("tenant.values", name)?;
            if !tenants.has(&tenant) {
                return place.refuse("tenant.values", format!("leads to {name}, which is not among its tenants"));
            }
            tenant_values.insert(value.clone(), tenant);
        }
        let subject = place.paths("subject.claims", issuer.subject.claims.as_deref(), habits.subject)?;
        if subject.is_empty() {
            return place.refuse("subject.claims", "must name the claim with the subject");
        }
        let kind_rules = issuer.kind.rules.iter().chain(&habits.kind_rules);
        let kind_rules = kind_rules.map(|rule| Ok::<_, Error>((place.path("kind.rules", &rule.claim)?, rule.clone())));
        let rules = Self {
            suite: false,
            preset: issuer.preset.map_or_else(|| "none".to_owned(), |preset| format!("{preset:?}").to_lowercase()),
            algorithms: algorithms(names, &format!("auth.issuers[{}].algorithms", place.0))?,
            id_tokens: issuer.accept_id_tokens.unwrap_or(habits.id_tokens),
            access_token_claims: place.paths(
                "access_token_claims",
                issuer.access_token_claims.as_deref(),
                habits.access_token_claims,
            )?,
            token_id: place.path_or("token_id", issuer.token_id.as_ref(), habits.token_id)?,
            reserved: match tenants {
                Tenants::Any => Tenant::new(config.audit.security_tenant.as_str()).ok(),
                Tenants::These(_) => None,
            },
            tenants,
            tenant,
            tenant_values,
            tenant_required: issuer.tenant.required.unwrap_or(habits.tenant_required),
            subject,
            prefix: prefix(issuer, place)?,
            foreign: Vec::new(),
            email: place.path_or("email.claim", issuer.email.claim.as_ref(), habits.email)?,
            email_verified: place.path_or("email.verified", issuer.email.verified.as_ref(), habits.email_verified)?,
            kind_rules: kind_rules.collect::<Result<_>>()?,
            kind_claim: place.path_of("kind.claim", issuer.kind.claim.as_ref(), habits.kind_claim)?,
            kind: issuer.kind.default.or(habits.kind),
            roles: words(&issuer.roles, &habits.roles, place, "roles.claims")?,
            role_groups: words(&issuer.role_groups, habits.role_groups, place, "role_groups.claims")?,
            groups: place.paths("groups.claims", issuer.groups.claims.as_deref(), habits.groups)?,
            worth: issuer.groups.values.clone(),
            grants: issuer.grants.clone(),
            known: known.clone(),
            on_behalf_of: place.path_of("on_behalf_of", issuer.on_behalf_of.as_ref(), habits.on_behalf_of)?,
            audiences,
        };
        rules.check_worth(place)?;
        rules.check_claims(place)?;
        Ok(rules)
    }

    /// What says what the words of claims are worth, while no claim is named, would be silently dead.
    fn check_claims(&self, place: &Place) -> Result<()> {
        let valued = |words: &Words| words.values.as_ref().is_some_and(|values| !values.is_empty());
        let required = self.tenant_required && self.tenant.is_none();
        for (key, claims, dead) in [
            ("groups.values", "groups.claims", self.groups.is_empty() && !self.worth.is_empty()),
            ("roles.values", "roles.claims", self.roles.claims.is_empty() && valued(&self.roles)),
            (
                "role_groups.values",
                "role_groups.claims",
                self.role_groups.claims.is_empty() && valued(&self.role_groups),
            ),
            ("tenant.values", "tenant.claim", self.tenant.is_none() && !self.tenant_values.is_empty()),
            ("tenant.required", "tenant.claim", required),
        ] {
            if dead {
                let what = format!("means nothing while {claims} names no claim, and the preset, if any, has none");
                return place.refuse(key, what);
            }
        }
        Ok(())
    }

    /// Whatever the tables lead to must exist and be within what the issuer may grant: a slip would be found by whoever
    /// misses a permission, weeks later.
    fn check_worth(&self, place: &Place) -> Result<()> {
        let role = |key: &str, role: &String| match () {
            () if role == SERVICE_ROLE => place.refuse(key, format!("{role} is for the suite's own services")),
            () if !self.known.contains(role) => place.refuse(key, format!("{role} is not among [roles]")),
            () if !self.grants.role(role) => place.refuse(key, format!("{role} is not among grants.roles")),
            () => Ok(()),
        };
        let group = |key: &str, group: &String| {
            let granted = self.grants.role_group(group);
            if granted { Ok(()) } else { place.refuse(key, format!("{group} is not among grants.role_groups")) }
        };
        let given = |words: &Words| {
            let values = words.values.iter().flatten().flat_map(|(_, worth)| worth);
            values.chain(&words.default).cloned().collect::<Vec<_>>()
        };
        given(&self.roles).iter().try_for_each(|name| role("roles", name))?;
        given(&self.role_groups).iter().try_for_each(|name| group("role_groups", name))?;
        for worth in self.worth.values() {
            worth.roles.iter().try_for_each(|name| role("groups.values", name))?;
            worth.role_groups.iter().try_for_each(|name| group("groups.values", name))?;
        }
        let mut bound = self.grants.roles.iter().flatten();
        match bound.find(|name| !self.known.contains(*name) || *name == SERVICE_ROLE) {
            Some(name) => place.refuse("grants.roles", format!("{name} is not among [roles], or the suite's own")),
            None => Ok(()),
        }
    }
}

fn words<S: AsRef<str>>(own: &WordClaims, habit: &[S], place: &Place, key: &str) -> Result<Words> {
    let claims = place.paths(key, own.claims.as_deref(), habit)?;
    Ok(Words { claims, values: own.values.clone(), default: own.default.clone() })
}

fn tenants(issuer: &Issuer, place: &Place) -> Result<Tenants> {
    match issuer.tenants.as_slice() {
        [] => place.refuse(
            "tenants",
            "must list the tenants that this issuer may speak for, such as [\"acme\"]; [\"*\"] lets it speak for any",
        ),
        [any] if any == "*" => Ok(Tenants::Any),
        names => {
            let these = names.iter().map(|name| place.tenant("tenants", name)).collect::<Result<_>>()?;
            Ok(Tenants::These(these))
        }
    }
}

fn prefix(issuer: &Issuer, place: &Place) -> Result<String> {
    let prefix = &issuer.subject_prefix;
    let plain = prefix.len() <= 60 && prefix.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase());
    if !plain {
        return place.refuse("subject_prefix", "must be at most 60 visible ASCII characters without capitals");
    }
    if prefix.starts_with(SERVICE_PREFIX) {
        return place.refuse("subject_prefix", format!("{SERVICE_PREFIX} is for the suite's own services"));
    }
    Ok(prefix.clone())
}

/// A subject belongs to one issuer: where two can speak for one tenant, their prefixes differ, and neither may have a
/// subject that begins with the other's.
fn keep_apart(all: &mut [(String, Rules)], tables: &[Issuer]) -> Result<()> {
    for at in 0..all.len() {
        let (before, rest) = all.split_at_mut(at);
        let Some(((name, rules), after)) = rest.split_first_mut() else { continue };
        for (other, theirs) in before.iter().chain(after.iter()) {
            if !rules.tenants.meet(&theirs.tenants) {
                continue;
            }
            if rules.prefix == theirs.prefix {
                let at = tables.iter().rposition(|table| table.issuer == *name || table.issuer == *other);
                let what = format!(
                    "must differ between {name} and {other}, which can speak for the same tenant: people of one name \
                     would be one person; set it for one of them, such as \"ext:\", or give them different tenants"
                );
                return Place(at.unwrap_or_default()).refuse("subject_prefix", what);
            }
            if theirs.prefix.starts_with(&rules.prefix) {
                rules.foreign.push(theirs.prefix.clone());
            }
        }
    }
    Ok(())
}
