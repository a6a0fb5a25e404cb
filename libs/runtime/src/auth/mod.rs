//! Who calls, and whether they may: tokens after RFC 8725, permissions from the descriptor set.

mod issuer;
mod jwks;
pub mod keyfile;
mod keyring;
mod keys;
mod permissions;
mod sources;
mod tokens;

#[cfg(test)]
mod key_tests;
#[cfg(test)]
mod tests;

pub use issuer::{Claims, DEVELOPMENT_ISSUER, Signer};
pub use keyring::Keyring;
pub(crate) use keys::KeySet;
pub use permissions::{Method, Methods};
pub(crate) use sources::is_near;
pub use tokens::{Authenticator, Identity, Signers};
