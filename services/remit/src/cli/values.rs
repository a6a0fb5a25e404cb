//! Values on the command line: times, spans, pairs, names.

use remit_api::types::TimeRange;
use remit_core::clock::instant;
use remit_core::{Error, Result};

/// A time: `2026-05-01`, midnight UTC, or RFC 3339.
///
/// # Errors
/// `InvalidArgument` (`TIME_INVALID`), naming `field`.
pub(super) fn time(text: &str, field: &str) -> Result<prost_types::Timestamp> {
    let wrong = || Error::invalid("TIME_INVALID", field, format!("{text} must be 2026-05-01 or 2026-05-01T08:30:00Z"));
    let at = instant(text).ok_or_else(wrong)?;
    Ok(prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() })
}

/// A span `FROM..TO` that excludes its end; either side may be empty.
///
/// # Errors
/// `InvalidArgument` (`TIME_INVALID`), naming `field`.
pub(super) fn span(text: &str, field: &str) -> Result<TimeRange> {
    let wrong =
        || Error::invalid("TIME_INVALID", field, format!("{text} must be FROM..TO, such as 2026-05-01..2026-06-01"));
    let (start, end) = text.split_once("..").ok_or_else(wrong)?;
    let bound = |text: &str| if text.is_empty() { Ok(None) } else { time(text, field).map(Some) };
    Ok(TimeRange { start_time: bound(start)?, end_time: bound(end)? })
}

/// `name=value`.
///
/// # Errors
/// A message for clap.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text} must be NAME=VALUE")),
    }
}

/// The full name of a resource from what a person typed: `models/x` or `x`.
pub(super) fn named(collection: &str, text: &str) -> String {
    let prefix = format!("{collection}/");
    if text.starts_with(&prefix) { text.to_owned() } else { format!("{prefix}{text}") }
}

/// The full name of a version from what a person typed: `models/x/versions/3`, `x/versions/3` or `x/3`.
///
/// # Errors
/// `InvalidArgument` (`NAME_INVALID`).
pub(super) fn versioned(collection: &str, text: &str) -> Result<String> {
    let full = named(collection, text);
    match full.split('/').collect::<Vec<_>>().as_slice() {
        [_, _, "versions" | "aliases" | "labels", _] => Ok(full),
        [_, parent, version] => Ok(format!("{collection}/{parent}/versions/{version}")),
        _ => Err(Error::invalid("NAME_INVALID", "name", format!("{text} must be {collection}/NAME/versions/VERSION"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn times_and_spans_are_read() {
        assert_eq!(time("1970-01-02", "t").unwrap().seconds, 86_400);
        assert_eq!(time("1970-01-01T00:00:00.5Z", "t").unwrap().nanos, 500_000_000);
        assert!(time("yesterday", "t").is_err());
        assert!(time("1970-01-02T08:30", "t").is_err(), "nobody says in which zone");
        let open = span("1970-01-02..", "t").unwrap();
        assert!(open.start_time.is_some() && open.end_time.is_none());
        assert!(span("1970-01-02", "t").is_err());
    }

    #[test]
    fn names_are_completed() {
        assert_eq!(named("tasks", "x"), "tasks/x");
        assert_eq!(named("tasks", "tasks/x"), "tasks/x");
        for text in ["m/3", "m/versions/3", "models/m/3", "models/m/versions/3"] {
            assert_eq!(versioned("models", text).unwrap(), "models/m/versions/3");
        }
        assert_eq!(versioned("models", "m/aliases/champion").unwrap(), "models/m/aliases/champion");
        assert!(versioned("models", "m").is_err());
    }
}
