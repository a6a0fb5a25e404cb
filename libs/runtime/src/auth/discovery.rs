//! Where a provider keeps its keys, by its discovery document (OpenID Connect Discovery 1.0, section 4).

use remit_core::{Error, Result};
use serde::Deserialize;
use std::future::Future;

/// What is read of the document.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

/// Where the document of an issuer is.
pub(super) fn location(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// The address of the key set of `issuer`, by the document that `fetch` gets; `safe` says of an address whether nobody
/// can alter on the way what comes from there.
///
/// # Errors
/// Whatever `fetch` says; `FailedPrecondition` (`DISCOVERY_INVALID`) if the document is none, speaks for another issuer
/// (section 4.3: one that answers for many could give anybody's keys), or names a key set that would come in the clear.
pub(super) async fn jwks_uri<F>(issuer: &str, safe: fn(&str) -> bool, fetch: impl FnOnce(String) -> F) -> Result<String>
where
    F: Future<Output = Result<Vec<u8>>>,
{
    let place = location(issuer);
    let text = fetch(place.clone()).await?;
    read(issuer, &place, safe, &text)
}

fn read(issuer: &str, place: &str, safe: fn(&str) -> bool, text: &[u8]) -> Result<String> {
    let wrong = |what: String| Error::precondition("DISCOVERY_INVALID", format!("{place} {what}"));
    let document: Document =
        serde_json::from_slice(text).map_err(|error| wrong(format!("is no discovery document: {error}")))?;
    if document.issuer != issuer {
        let what = format!("speaks for {}, and auth.issuers names {issuer}: they must be the same", document.issuer);
        return Err(wrong(what));
    }
    if !safe(&document.jwks_uri) {
        return Err(wrong(format!("names a key set in the clear, {}", document.jwks_uri)));
    }
    Ok(document.jwks_uri)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_document_must_speak_for_its_issuer_and_name_keys_that_nobody_can_alter() {
        let safe = |url: &str| url.starts_with("https://");
        let read = |text: &str| read("https://id.example", "there", safe, text.as_bytes());
        let good = r#"{"issuer": "https://id.example", "jwks_uri": "https://keys.example/jwks", "other": 1}"#;
        assert_eq!(read(good).unwrap(), "https://keys.example/jwks");
        for wrong in [
            good.replace("\"https://id.example\"", "\"https://id.example/\""),
            good.replace("https://keys", "http://keys"),
            good.replace("jwks_uri", "keys"),
            "<html>".to_owned(),
        ] {
            assert_eq!(read(&wrong).unwrap_err().reason(), "DISCOVERY_INVALID", "{wrong}");
        }
        assert_eq!(location("https://sts.example/t/"), "https://sts.example/t/.well-known/openid-configuration");
    }
}
