//! Whom a refused token speaks for, as far as that can be believed.

use super::tokens::Identity;
use remit_core::Tenant;
use std::fmt;

/// Who a token speaks for that was refused although its signature is right. It travels as the source of the error, so
/// that it can be recorded and is never sent.
#[derive(Debug, Clone)]
pub(crate) struct Speaker {
    /// The tenant whose log tells of it: one that the issuer may speak for.
    pub(crate) tenant: Tenant,
    /// The `iss` of the token.
    pub(crate) issuer: String,
    /// The subject, empty if the token names none that can be shown.
    pub(crate) subject: String,
}

impl Speaker {
    /// Of a token that was verified and does not count all the same.
    pub(crate) fn of(identity: &Identity) -> Self {
        Self {
            tenant: identity.tenant.clone(),
            issuer: identity.issuer.clone(),
            subject: identity.actor.subject.clone(),
        }
    }
}

impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a token of {} for {} in {}", self.issuer, self.subject, self.tenant)
    }
}

impl std::error::Error for Speaker {}
