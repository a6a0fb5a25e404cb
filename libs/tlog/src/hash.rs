//! The hashes of RFC 9162 section 2.1.1.

use crate::error::{Error, Result};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// A SHA-256 hash of a leaf, a node or a root. Shown in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Takes 32 bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there are fewer or more.
    pub fn from_slice(bytes: &[u8]) -> Result<Self> {
        let bytes = <[u8; 32]>::try_from(bytes);
        bytes.map(Self).map_err(|_| Error::malformed("hash", "must be 32 bytes"))
    }

    /// Reads the base64 form of checkpoints and proof files; only the canonical encoding is accepted.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the text is not the padded standard base64 of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self> {
        let bytes = BASE64_STANDARD.decode(text);
        Self::from_slice(&bytes.map_err(|error| Error::malformed("hash", error.to_string()))?)
    }

    /// The base64 form of checkpoints and proof files.
    pub fn to_base64(self) -> String {
        BASE64_STANDARD.encode(self.0)
    }

    /// Splits the content of a tile or frontier into hashes.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the length is not a multiple of 32.
    pub fn split(bytes: &[u8]) -> Result<Vec<Self>> {
        bytes.chunks(32).map(Self::from_slice).collect()
    }

    /// Joins hashes to the content of a tile or frontier.
    pub fn join(hashes: &[Self]) -> Vec<u8> {
        hashes.iter().flat_map(|hash| hash.0).collect()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The root of the tree without leaves: the hash of the empty string.
pub fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

/// The hash of a leaf: SHA-256 over `0x00` and the data.
pub fn leaf_hash(data: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(data).finalize().into())
}

/// The hash of an inner node: SHA-256 over `0x01` and both children.
pub fn node_hash(left: Hash, right: Hash) -> Hash {
    Hash(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}
