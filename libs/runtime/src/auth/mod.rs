//! Who calls, and whether they may: tokens after RFC 8725, what the council said of them since, permissions from the
//! descriptor set.

mod access;
mod claims;
mod discovery;
mod issuer;
mod jwks;
pub mod keyfile;
mod keyring;
mod keys;
mod mapping;
mod permissions;
mod presets;
mod rules;
mod sources;
mod speaker;
mod times;
mod tokens;
mod trace;
mod verify;

#[cfg(test)]
mod explain_tests;
#[cfg(test)]
mod key_tests;
#[cfg(test)]
mod provider_shapes_tests;
#[cfg(test)]
mod provider_tests;
#[cfg(test)]
mod tests;

pub use access::token_time;
pub(crate) use access::{Access, Admitted, Entrance};
pub use issuer::{Claims, DEVELOPMENT_ISSUER, Signer};
pub use keyring::Keyring;
pub(crate) use keys::KeySet;
pub use permissions::{Method, Methods, Priority, grants};
pub use rules::Rules;
pub(crate) use rules::algorithms;
pub(crate) use sources::is_near;
pub(crate) use speaker::Speaker;
pub use tokens::{Authenticator, Identity, Signers};
pub use trace::Step;
pub use verify::Explanation;

use remit_core::{Error, Kind};

/// The role that only identities of the suite itself can have.
pub const SERVICE_ROLE: &str = "service";

/// A token that is refused.
fn refuse(reason: &'static str, message: impl Into<String>) -> Error {
    Error::new(Kind::Unauthenticated, reason, message)
}
