//! Ed25519 keys in files: private ones as PKCS#8 PEM, public ones as JWK sets.
//!
//! What is written is version 1 of PKCS#8 (RFC 8410, section 7), which OpenSSL 3.0 and Python's `cryptography` read; version
//! 2, with the public half inside, is read too.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};
use ed25519_dalek::{SigningKey, VerifyingKey};
use remit_core::{Error, Result};
use remit_store::private;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::path::Path;

pub use super::jwks::{Shown, show};

/// Reads the private key in a file that only its owner can read.
///
/// # Errors
/// `FailedPrecondition`: `KEY_FILE_MISSING` if it cannot be read, `KEY_FILE_READABLE` if others can read it,
/// `KEY_FILE_INVALID` if it holds no Ed25519 key in PKCS#8 PEM.
pub fn read(path: &Path) -> Result<SigningKey> {
    parse(path, &private::read(path)?)
}

/// The same, where the key is made if it is not there; the log then says what was `made`.
///
/// # Errors
/// As [`read`]; `KEY_FILE_FAILED` if it cannot be made.
pub fn read_or_make(path: &Path, made: &str) -> Result<SigningKey> {
    let (text, new) = private::read_or_make(path, || pem(&SigningKey::from_bytes(&rand::random())))?;
    if new {
        tracing::warn!(key = %path.display(), "{made}");
    }
    parse(path, &text)
}

/// Makes a private key in a file that is not there yet.
///
/// # Errors
/// `FailedPrecondition`: `KEY_FILE_EXISTS` if it is there, `KEY_FILE_FAILED` if it cannot be made.
pub fn make(path: &Path) -> Result<SigningKey> {
    let key = SigningKey::from_bytes(&rand::random());
    if private::create(path, &pem(&key)?)? {
        return Ok(key);
    }
    let what = format!("{} is there already, and a key is never written over", path.display());
    Err(Error::precondition("KEY_FILE_EXISTS", what))
}

/// The private key that the text of the file `path` holds.
///
/// # Errors
/// `FailedPrecondition` (`KEY_FILE_INVALID`), naming the file and never what it holds.
pub fn parse(path: &Path, text: &str) -> Result<SigningKey> {
    SigningKey::from_pkcs8_pem(text).map_err(|_| {
        let what = format!("{} is not an Ed25519 private key in PKCS#8 PEM", path.display());
        Error::precondition("KEY_FILE_INVALID", what)
    })
}

/// A private key as PKCS#8 PEM, version 1.
///
/// # Errors
/// `Internal` if it cannot be encoded.
pub fn pem(key: &SigningKey) -> Result<String> {
    let bytes = KeypairBytes { secret_key: key.to_bytes(), public_key: None };
    let pem = bytes.to_pkcs8_pem(LineEnding::LF);
    pem.map(|pem| pem.to_string()).map_err(|error| Error::internal("a key could not be encoded").with_source(error))
}

/// The id of a key: its thumbprint (RFC 7638 with RFC 8037, appendix A.3: the required members in lexicographic order).
pub fn kid(key: &VerifyingKey) -> String {
    let x = URL_SAFE_NO_PAD.encode(key.as_bytes());
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}

/// A public key as a JWK; `service` is the one of the suite's services that it speaks for.
pub fn jwk(key: &VerifyingKey, service: Option<&str>) -> Value {
    let x = URL_SAFE_NO_PAD.encode(key.as_bytes());
    let mut jwk = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid(key), "x": x });
    if let (Some(service), Some(members)) = (service, jwk.as_object_mut()) {
        members.insert("service".to_owned(), service.into());
    }
    jwk
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// As `openssl genpkey -algorithm ed25519` writes the key of RFC 8410, section 10.3.
    const V1: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_key_is_written_as_other_tools_read_it_and_read_as_they_write_it() {
        let file = Path::new("a.key");
        let key = parse(file, V1).unwrap();
        assert_eq!(pem(&key).unwrap(), V1, "version 1, to the byte");
        let both = key.to_pkcs8_pem(LineEnding::LF).unwrap();
        assert_eq!(parse(file, &both).unwrap().to_bytes(), key.to_bytes(), "version 2 is read");
        let error = parse(file, &V1.replace("MC4C", "MC5C")).unwrap_err();
        assert_eq!(error.reason(), "KEY_FILE_INVALID");
        assert!(error.message().contains("a.key") && !error.message().contains("MC5C"), "{error}");
    }

    #[test]
    fn a_key_is_made_once_and_known_by_its_thumbprint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("services/kpi.key");
        assert_eq!(read(&path).unwrap_err().reason(), "KEY_FILE_MISSING");
        let made = read_or_make(&path, "made").unwrap();
        assert_eq!(read_or_make(&path, "made").unwrap().to_bytes(), made.to_bytes());
        // RFC 8037, appendix A.3.
        let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let public = VerifyingKey::from_bytes(&x.try_into().unwrap()).unwrap();
        assert_eq!(kid(&public), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(jwk(&public, Some("kpi"))["service"], "kpi");
        assert!(jwk(&public, None).get("service").is_none());
    }
}
