//! Who acts, and for which tenant.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// The isolation boundary, the unit of the audit log and the sharding key. It comes from the token
/// and from nowhere else: 1 to 63 characters of `a-z`, `0-9` and `-`, starting with a letter or a digit, so that a GUID
/// of an identity provider can be one.
///
/// Every call copies it a few times, so that copies share the text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Tenant(Arc<str>);

impl Tenant {
    /// Checks and wraps a tenant id.
    ///
    /// # Errors
    /// `InvalidArgument` (`TENANT_INVALID`) if the id is empty, too long or has other characters.
    pub fn new(id: impl Into<String>) -> Result<Self> {
        let id = id.into();
        let ok = id.len() <= 63
            && id.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if ok {
            Ok(Self(id.into()))
        } else {
            let what = "must be 1 to 63 of a-z, 0-9 and -, starting with a letter or a digit";
            Err(Error::invalid("TENANT_INVALID", "tenant", what))
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Tenant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl TryFrom<String> for Tenant {
    type Error = Error;

    fn try_from(id: String) -> Result<Self> {
        Self::new(id)
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The suite's own services. Each has an identity of its own, and the actions of its events begin with its name.
pub const SERVICES: [&str; 7] = ["audit", "council", "handoff", "kpi", "notify", "registry", "scoring"];

/// What the subjects of the suite's own services begin with, and those of nobody else.
pub const SERVICE_PREFIX: &str = "remit-";

/// What kind of actor a token speaks for. Only people own, approve, vote, waive or lift a hold (S138).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// A person.
    Human,
    /// An AI system.
    Ai,
    /// A program that is not an AI system, Remit's own services included.
    Service,
}

impl ActorKind {
    /// The name used in tokens, SQL and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Ai => "ai",
            Self::Service => "service",
        }
    }
}

/// The verified caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The token's subject, stable within the tenant.
    pub subject: String,
    /// The kind of actor.
    pub kind: ActorKind,
    /// Roles that grant permissions, such as `operator`.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Groups that count in a quorum: `marketing_lead`, `legal`, `data`, `sales_ops`, `product`, …
    #[serde(default)]
    pub role_groups: Vec<String>,
    /// On whose behalf a service acts, if anybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
}

impl Actor {
    /// One of the suite's own services: `remit-scoring`. The same name stands in its tokens and in the log.
    pub fn service(name: &str) -> Self {
        Self {
            subject: format!("{SERVICE_PREFIX}{name}"),
            kind: ActorKind::Service,
            roles: vec!["service".to_owned()],
            role_groups: Vec::new(),
            on_behalf_of: None,
        }
    }

    /// The service of the suite whose subject this is. A subject alone proves nothing: only a token of the suite's own
    /// issuer does.
    pub fn service_named(subject: &str) -> Option<&'static str> {
        let name = subject.strip_prefix(SERVICE_PREFIX)?;
        SERVICES.into_iter().find(|service| *service == name)
    }

    /// Whether the actor is a person.
    pub fn is_human(&self) -> bool {
        self.kind == ActorKind::Human
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_subjects_of_services_name_services() {
        for service in SERVICES {
            assert_eq!(Actor::service_named(&Actor::service(service).subject), Some(service));
        }
        for other in ["audit", "remit-", "remit-crm", "remit-auditor", "Remit-audit", "x-remit-audit"] {
            assert_eq!(Actor::service_named(other), None, "{other}");
        }
    }

    #[test]
    fn a_tenant_has_1_to_63_lowercase_letters_digits_and_hyphens() {
        for right in ["a", "a-9", "9a", "72f988bf-86f1-41af-91ab-2d7cd011db47", &"a".repeat(63)] {
            assert!(Tenant::new(right).is_ok_and(|tenant| tenant.as_str() == right), "{right}");
        }
        for wrong in ["", "-a", "A", "a_b", "é", &"a".repeat(64)] {
            assert!(Tenant::new(wrong).is_err_and(|error| error.reason() == "TENANT_INVALID"), "{wrong}");
        }
    }
}
