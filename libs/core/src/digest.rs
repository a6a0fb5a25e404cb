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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_64_lowercase_digits_after_its_name() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b""), empty);
        assert!(is_digest(empty));
        let bare = empty.trim_start_matches("sha256:");
        for wrong in [bare, &empty[..70], &format!("{empty}0"), &empty.to_uppercase(), &empty.replace('e', "g"), ""] {
            assert!(!is_digest(wrong), "{wrong}");
        }
    }
}
