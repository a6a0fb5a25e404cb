//! The deadline of a call: what the caller asks for, within what the server allows.

use crate::config::Server;
use http::HeaderMap;
use remit_core::{Error, Kind, Result};
use std::time::Duration;
use tokio::time::Instant;

/// The bounds of deadlines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    unary_default: Duration,
    unary_max: Duration,
    stream_max: Duration,
}

impl Bounds {
    pub(crate) fn new(config: &Server) -> Self {
        Self {
            unary_default: config.deadline_default.get(),
            unary_max: config.deadline_max.get(),
            stream_max: config.stream_deadline_max.get(),
        }
    }

    /// When a call that begins now must end. A malformed `grpc-timeout`, which [`check`] refuses, counts as none.
    pub(crate) fn of(&self, headers: &HeaderMap, streaming: bool) -> Option<Instant> {
        let asked = headers.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(parse);
        let granted = match (asked, streaming) {
            (Some(asked), false) => asked.min(self.unary_max),
            (None, false) => self.unary_default,
            (Some(asked), true) => asked.min(self.stream_max),
            (None, true) => return None,
        };
        Some(Instant::now() + granted)
    }
}

/// Refuses a deadline that cannot be read, rather than give the call another one.
///
/// # Errors
/// `InvalidArgument` (`TIMEOUT_INVALID`).
pub(crate) fn check(headers: &HeaderMap) -> Result<()> {
    let Some(asked) = headers.get("grpc-timeout") else { return Ok(()) };
    if asked.to_str().ok().and_then(parse).is_some() {
        return Ok(());
    }
    let text = "grpc-timeout is not 1 to 8 digits and one of H, M, S, m, u, n: correct it";
    Err(Error::new(Kind::InvalidArgument, "TIMEOUT_INVALID", text))
}

/// Reads a `grpc-timeout`: at most eight digits and a unit.
///
/// # Source
/// gRPC over HTTP/2, "Timeout".
fn parse(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(value * 3_600)),
        'M' => Some(Duration::from_secs(value * 60)),
        'S' => Some(Duration::from_secs(value)),
        'm' => Some(Duration::from_millis(value)),
        'u' => Some(Duration::from_micros(value)),
        'n' => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

/// What a caller reads whose deadline has passed.
pub(crate) fn exceeded() -> Error {
    Error::new(
        Kind::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "the deadline passed before the answer was ready; a mutation may have happened: repeat it with the same request id",
    )
}

/// What `work` gives, if that is before the deadline.
///
/// # Errors
/// `DeadlineExceeded` (`DEADLINE_EXCEEDED`).
pub(crate) async fn within<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Result<T> {
    match deadline {
        Some(at) => tokio::time::timeout_at(at, work).await.map_err(|_| exceeded()),
        None => Ok(work.await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_timeout_that_cannot_be_read_is_refused() {
        let refused = |text: &'static str| {
            let headers =
                HeaderMap::from_iter([(http::HeaderName::from_static("grpc-timeout"), HeaderValue::from_static(text))]);
            check(&headers).err().map(|error| error.reason())
        };
        assert_eq!(refused("30S"), None);
        assert_eq!(refused("-1S"), Some("TIMEOUT_INVALID"));
        assert_eq!(refused("123456789S"), Some("TIMEOUT_INVALID"));
        assert!(check(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn a_grpc_timeout_is_digits_and_a_unit() {
        for (text, want) in [
            ("1H", Some(Duration::from_secs(3_600))),
            ("2M", Some(Duration::from_secs(120))),
            ("30S", Some(Duration::from_secs(30))),
            ("100m", Some(Duration::from_millis(100))),
            ("5u", Some(Duration::from_micros(5))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("", None),
            ("S", None),
            ("100", None),
            ("-1S", None),
            ("123456789S", None),
            ("1 S", None),
            ("1é", None),
        ] {
            assert_eq!(parse(text), want, "{text}");
        }
    }
}
