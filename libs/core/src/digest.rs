//! Content digests, always written `sha256:` and 64 lowercase hexadecimal digits. Over JSON they are
//! [`canonical::digest`](crate::canonical::digest).

use sha2::{Digest as _, Sha256};

/// The digest of `bytes` in the form that every message and column uses.
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Whether `text` has the form of a digest.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
}
