//! Signatures of webhooks after Standard Webhooks 1.0: <https://www.standardwebhooks.com>.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use remit_api::notify::v1::Signing;
use remit_core::{Error, Result};

/// How many bytes a secret has: of HMAC what the specification recommends, of Ed25519 the seed of the key.
pub(crate) const SECRET_BYTES: usize = 32;

/// The secret as it is shown to the owner, once.
///
/// # Errors
/// `Internal` if it is not of the right length.
pub(crate) fn shown(signing: Signing, secret: &[u8]) -> Result<String> {
    Ok(match signing {
        Signing::Ed25519 => format!("whpk_{}", STANDARD.encode(key(secret)?.verifying_key().as_bytes())),
        _ => format!("whsec_{}", STANDARD.encode(secret)),
    })
}

fn key(secret: &[u8]) -> Result<SigningKey> {
    let seed: [u8; SECRET_BYTES] =
        secret.try_into().map_err(|_| Error::internal("the secret of a subscription has the wrong length"))?;
    Ok(SigningKey::from_bytes(&seed))
}

/// The header `webhook-signature`: a signature by each secret, so that a receiver may know any of them.
///
/// # Errors
/// `Internal` if a secret is not of the right length.
pub(crate) fn header(signing: Signing, secrets: &[Vec<u8>], id: &str, seconds: i64, payload: &str) -> Result<String> {
    let content = format!("{id}.{seconds}.{payload}");
    let sign = |secret: &Vec<u8>| -> Result<String> {
        Ok(match signing {
            Signing::Ed25519 => {
                format!("v1a,{}", STANDARD.encode(key(secret)?.sign(content.as_bytes()).to_bytes()))
            }
            _ => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                format!("v1,{}", STANDARD.encode(hmac::sign(&key, content.as_bytes())))
            }
        })
    };
    Ok(secrets.iter().map(sign).collect::<Result<Vec<_>>>()?.join(" "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ed25519_dalek::Verifier as _;

    #[test]
    fn the_example_of_the_specification_is_signed_alike() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, payload) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#);
        let signed = header(Signing::Hmac, &[secret.clone(), secret], id, 1_614_265_330, payload).unwrap();
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signed, format!("{expected} {expected}"));
    }

    #[test]
    fn what_is_shown_verifies_what_is_signed() {
        let secret = vec![7; SECRET_BYTES];
        let public = shown(Signing::Ed25519, &secret).unwrap();
        let public: [u8; 32] = STANDARD.decode(public.strip_prefix("whpk_").unwrap()).unwrap().try_into().unwrap();
        let signed = header(Signing::Ed25519, std::slice::from_ref(&secret), "id", 5, "{}").unwrap();
        let signature: [u8; 64] = STANDARD.decode(signed.strip_prefix("v1a,").unwrap()).unwrap().try_into().unwrap();
        let verifier = ed25519_dalek::VerifyingKey::from_bytes(&public).unwrap();
        verifier.verify(b"id.5.{}", &ed25519_dalek::Signature::from_bytes(&signature)).unwrap();
        assert!(shown(Signing::Hmac, &secret).unwrap().starts_with("whsec_"));
        assert!(shown(Signing::Ed25519, &secret[1..]).is_err());
    }
}
