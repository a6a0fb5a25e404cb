//! Who calls, and whether they may: tokens after RFC 8725, permissions from the descriptor set.

mod issuer;
mod keys;
mod permissions;
mod tokens;

#[cfg(test)]
mod tests;

pub use issuer::{Claims, DEVELOPMENT_ISSUER, Signer};
pub(crate) use keys::KeySet;
pub use permissions::{Method, Methods, Priority};
pub use tokens::{Authenticator, Identity, Signers};
