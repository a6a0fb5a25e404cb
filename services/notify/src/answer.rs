//! What a receiver answers, and what of it is kept.

use crate::address::Forbidden;
use remit_core::Timestamp;
use reqwest::{StatusCode, Url};
use std::time::Duration;

/// The most bytes of an answer that are read, and characters that are kept.
const READ: usize = 4_096;
pub(crate) const KEPT: usize = 500;
/// How long the rest of an answer is waited for.
const LISTEN: Duration = Duration::from_secs(2);

/// What came of one try.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) answer: String,
    /// Empty if the receiver took it.
    pub(crate) error: &'static str,
    pub(crate) wait: Option<Duration>,
}

impl Answer {
    /// Whether nobody answered.
    pub(crate) fn is_silence(&self) -> bool {
        self.status == 0
    }

    pub(crate) fn failed(error: &'static str, why: &str) -> Self {
        Self { status: 0, answer: cut(why), error, wait: None }
    }
}

pub(crate) fn cut(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(KEPT).collect()
}

/// How long a receiver asks to wait: so many seconds, or until a time. What is too far away for a number or a calendar is as
/// far as can be.
pub(crate) fn asked(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(header) {
        return Some(header.parse::<u64>().map_or(Duration::MAX, Duration::from_secs));
    }
    if let Ok(until) = jiff::fmt::rfc2822::parse(header) {
        return Some(Timestamp::from(until.timestamp()).since(now));
    }
    let far = |word: &&str| digits(word) && (*word == "9999" || word.len() > 4);
    let year = header.split_whitespace().find(far)?;
    // A year in which each day of another can be, whatever day of the week it is there.
    let same = header.replacen(year, "2028", 1);
    let read = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_zoned(&same);
    read.is_ok().then_some(Duration::MAX)
}

/// The fewest characters of a part of a URL that is taken for a secret.
const SECRET: usize = 4;

/// A part of a URL without its escapes.
fn unescaped(part: &str) -> String {
    let (bytes, mut plain, mut at) = (part.as_bytes(), Vec::with_capacity(part.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let escaped = bytes.get(at + 1..at + 3).filter(|_| *byte == b'%').and_then(|two| hex::decode(two).ok());
        at += if escaped.is_some() { 3 } else { 1 };
        plain.extend(escaped.unwrap_or_else(|| vec![*byte]));
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Takes out of an answer what may be a secret of the URL, should the receiver repeat it, as it is written there or as it is
/// meant.
pub(crate) fn masked(answer: &str, url: &Url) -> String {
    let values = url.query().into_iter().flat_map(|query| query.split('&'));
    let values = values.map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    let parts = url.path_segments().into_iter().flatten().chain(values);
    let forms = parts.flat_map(|part| [part.to_owned(), unescaped(part), unescaped(&part.replace('+', " "))]);
    let mut secrets: Vec<String> = forms.filter(|form| form.chars().count() >= SECRET).collect();
    // One may be a part of another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.iter().fold(answer.to_owned(), |answer, secret| answer.replace(secret.as_str(), "…"))
}

/// Reads the beginning of an answer, and no more of it.
pub(crate) async fn read(mut response: reqwest::Response, now: Timestamp) -> Answer {
    let status = response.status();
    let wait = response.headers().get("retry-after").and_then(|value| asked(value.to_str().ok()?, now));
    let url = response.url().clone();
    let mut body = Vec::new();
    let listen = async {
        while body.len() < READ {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(READ - body.len())]),
                Ok(None) | Err(_) => break,
            }
        }
    };
    // Its status is all that counts: whoever says it at once and the rest slowly has no place for long.
    let _ = tokio::time::timeout(LISTEN, listen).await;
    let error = match status {
        StatusCode::GONE => "GONE",
        status if status.is_success() => "",
        status if status.is_redirection() => "REDIRECTED",
        _ => "REFUSED",
    };
    let answer = cut(&masked(&String::from_utf8_lossy(&body), &url));
    Answer { status: status.as_u16(), answer, error, wait }
}

/// The failure of TLS that an error is or holds.
fn tls<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    // What an I/O error holds is no source of it, and may be another one.
    error.downcast_ref().or_else(|| tls(error.downcast_ref::<std::io::Error>()?.get_ref()?))
}

/// What a failure is, without the URL, of which a part may be a secret.
pub(crate) fn refused(error: &reqwest::Error) -> Answer {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut last = String::new();
    while let Some(inner) = cause {
        if inner.is::<Forbidden>() {
            return Answer::failed("ADDRESS_FORBIDDEN", &inner.to_string());
        }
        if let Some(tls) = tls(inner) {
            return Answer::failed("TLS_FAILED", &tls.to_string());
        }
        if !inner.is::<reqwest::Error>() {
            last = inner.to_string();
        }
        cause = inner.source();
    }
    Answer::failed(if error.is_timeout() { "TIMED_OUT" } else { "CONNECTION_FAILED" }, &last)
}
