//! Who calls, and whether they may: tokens after RFC 8725, what the council said of them since, permissions from the
//! descriptor set.

mod access;
mod apart;
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
pub(crate) use apart::problems as keys_in_two_roles;
pub(crate) use claims::Token;
pub use issuer::{Claims, DEVELOPMENT_ISSUER, Signer};
pub use keyring::Keyring;
pub(crate) use keys::{Key, KeySet};
pub use permissions::{Method, Methods, Priority, grants};
pub use rules::Rules;
pub(crate) use rules::{algorithms, name_of};
pub(crate) use sources::is_near;
pub(crate) use speaker::Speaker;
pub use tokens::{Authenticator, Identity, Signers};
pub use trace::Step;
pub use verify::Explanation;

use remit_core::{Error, Kind};

/// The role that only identities of the suite itself can have.
pub const SERVICE_ROLE: &str = "service";

/// The id by which a token is revoked: what its issuer calls it, or the digest of that where it is longer than 200
/// characters or has other than visible ones of ASCII; empty if it has none. An id that was made so stays as it is.
pub fn token_id(given: &str) -> String {
    let plain = given.len() <= 200 && given.bytes().all(|byte| byte.is_ascii_graphic());
    if plain { given.to_owned() } else { remit_core::digest::sha256(given.as_bytes()) }
}

/// A token that is refused.
fn refuse(reason: &'static str, message: impl Into<String>) -> Error {
    Error::new(Kind::Unauthenticated, reason, message)
}
