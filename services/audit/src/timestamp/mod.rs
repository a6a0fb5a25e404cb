//! Time stamps (RFC 3161): that a checkpoint existed at a time, by the word of an authority that neither the operator nor
//! a witness is.
//!
//! What is stamped is a signed note, byte for byte. The entry of a stamp (`audit.checkpoints.timestamp`) holds the note, the
//! authority's answer, and the proof that the log extends the note's checkpoint, so that an export carries all of it.

mod token;

pub use token::{Authorities, Stamp, Token, Wrong};

use aws_lc_rs::digest::{SHA256, digest};
use remit_core::{Error, Ids, Kind, Result};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use std::time::Duration;

/// The most bytes of an answer: a token with its certificates has a few thousand, and an entry has to hold it.
const MOST: usize = 32 << 10;

/// How many bytes a nonce has.
const NONCE: usize = 8;

/// The request for a token over `data`, with the certificates of the authority.
fn request(data: &[u8], nonce: &[u8; NONCE]) -> Vec<u8> {
    let begin = [0x30, 0x43, 0x02, 0x01, 0x01, 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09];
    let sha256 = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];
    [&begin[..], &sha256, digest(&SHA256, data).as_ref(), &[0x02, 0x08], nonce, &[0x01, 0x01, 0xff]].concat()
}

/// The way to an authority.
#[derive(Debug, Clone)]
pub struct Authority {
    url: String,
    http: reqwest::Client,
    trusted: Option<Authorities>,
}

/// What an authority stamped.
#[derive(Debug, Clone)]
pub struct Stamped {
    /// Its answer, as it is to be kept.
    pub answer: Vec<u8>,
    /// What its token states.
    pub stamp: Stamp,
}

impl Authority {
    /// The authority at `url`, which has `limit` for its answer, and whose certificate must lead to one of `trusted`, if
    /// those are given.
    ///
    /// # Errors
    /// `InvalidArgument` (`URL_INVALID`).
    pub fn new(url: &str, limit: Duration, trusted: Option<Authorities>) -> Result<Self> {
        let invalid = |why: String| Error::invalid("URL_INVALID", "url", why);
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(invalid(format!("{url:?} must start with http:// or https://")));
        }
        let http = reqwest::Client::builder().timeout(limit).redirect(Policy::none()).build();
        let http = http.map_err(|error| invalid(error.to_string()))?;
        Ok(Self { url: url.to_owned(), http, trusted })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks for a token over `note` and verifies it.
    ///
    /// # Errors
    /// `Unavailable` (`SERVER_UNREACHABLE`, `SERVER_SILENT`); `FailedPrecondition`: `SERVER_ANSWER_INVALID` if the answer is
    /// none of an authority, `TIMESTAMP_REFUSED` if it gives no token, `TIMESTAMP_INVALID` if the token is not to be relied on.
    pub async fn stamp(&self, note: &str, ids: &Ids) -> Result<Stamped> {
        let nonce = nonce(ids);
        let answer = self.ask(request(note.as_bytes(), &nonce)).await?;
        let read = || {
            let token = Token::read(&answer)?;
            token.is_of(note.as_bytes())?;
            token.answers(&nonce)?;
            token.verify(self.trusted.as_ref())
        };
        let stamp = read().map_err(|wrong| self.refused(&wrong))?;
        Ok(Stamped { answer, stamp })
    }

    async fn ask(&self, body: Vec<u8>) -> Result<Vec<u8>> {
        let lost = |error: reqwest::Error| {
            let (reason, what) = if error.is_timeout() {
                ("SERVER_SILENT", "is silent")
            } else {
                ("SERVER_UNREACHABLE", "cannot be reached")
            };
            Error::new(Kind::Unavailable, reason, format!("the authority {} {what}", self.url)).with_source(error)
        };
        let asked = self.http.post(&self.url).header(CONTENT_TYPE, "application/timestamp-query").body(body);
        let mut answer = asked.send().await.map_err(lost)?;
        if !answer.status().is_success() {
            return Err(self.wrong(&format!("its status is {}", answer.status().as_u16())));
        }
        let kind = answer.headers().get(CONTENT_TYPE).map(|kind| String::from_utf8_lossy(kind.as_bytes()).into_owned());
        let kind = kind.unwrap_or_default();
        let named = kind.split(';').next().unwrap_or_default().trim();
        if !named.eq_ignore_ascii_case("application/timestamp-reply") {
            return Err(self.wrong(&format!("its type is {kind:?} and must be application/timestamp-reply")));
        }
        let mut bytes = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(lost)? {
            bytes.extend_from_slice(&part);
            if bytes.len() > MOST {
                return Err(self.wrong(&format!("it has more than {MOST} bytes")));
            }
        }
        Ok(bytes)
    }

    fn wrong(&self, why: &str) -> Error {
        let what = format!("the answer of the authority {} cannot be relied on: {why}", self.url);
        Error::precondition("SERVER_ANSWER_INVALID", what)
    }

    fn refused(&self, wrong: &Wrong) -> Error {
        match wrong {
            Wrong::Form(_) => self.wrong(&wrong.to_string()),
            Wrong::Rejected(_) => Error::precondition("TIMESTAMP_REFUSED", format!("{}: {wrong}", self.url)),
            _ => Error::precondition("TIMESTAMP_INVALID", format!("{}: {wrong}", self.url)),
        }
    }
}

/// A number that nobody guesses, positive and always of the same length.
fn nonce(ids: &Ids) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    ids.fill(&mut nonce);
    nonce[0] = (nonce[0] & 0x3f) | 0x40;
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `openssl ts -query -in FILE -text` reads it.
    #[test]
    fn the_request_has_its_form() {
        let text =
            hex::encode(request(include_bytes!("../../tests/golden/timestamp/note.txt"), &[1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(
            text,
            "30430201013031300d0609608648016503040201050004204ca19f64d7b9f0f75061b0537ae601d79dd28517085b76a360889e1dd31a7a00\
             020801020304050607080101ff"
        );
    }

    #[test]
    fn a_way_is_a_url() {
        for wrong in ["", "tsa.example", "ftp://tsa.example"] {
            assert!(
                Authority::new(wrong, Duration::from_secs(1), None).is_err_and(|why| why.reason() == "URL_INVALID")
            );
        }
    }
}
