//! Who calls, and whether they may: tokens after RFC 8725, what the council said of them since, permissions from the
//! descriptor set.

mod access;
mod issuer;
mod jwks;
pub mod keyfile;
mod keyring;
mod keys;
mod permissions;
mod sources;
mod speaker;
mod tokens;

#[cfg(test)]
mod key_tests;
#[cfg(test)]
mod tests;

pub use access::token_time;
pub(crate) use access::{Access, Admitted, Entrance};
pub use issuer::{Claims, DEVELOPMENT_ISSUER, Signer};
pub use keyring::Keyring;
pub(crate) use keys::KeySet;
pub use permissions::{Method, Methods, Priority};
pub(crate) use sources::is_near;
pub(crate) use speaker::Speaker;
pub use tokens::{Authenticator, Identity, Signers};

/// The role that only identities of the suite itself can have.
pub const SERVICE_ROLE: &str = "service";
