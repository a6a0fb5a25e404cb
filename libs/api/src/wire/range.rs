//! Ranges of time: the start belongs to them, the end does not.

use super::time;
use crate::types::TimeRange;
use remit_core::{Error, Result, Timestamp};
use std::ops::Range;

fn wrong(field: &str, why: &str) -> Error {
    Error::invalid("TIME_RANGE_INVALID", field, why)
}

/// A range with both ends, named by `field`.
///
/// # Errors
/// `InvalidArgument`, naming `field`: `TIME_RANGE_INVALID` if an end is missing or the start is not before the
/// end; `TIME_OUT_OF_RANGE` for an end outside the years 1970 to 9999.
pub fn closed(range: Option<&TimeRange>, field: &str) -> Result<Range<Timestamp>> {
    match open(range, field)? {
        (Some(start), Some(end)) => Ok(start..end),
        _ => Err(wrong(field, "needs a start_time and an end_time")),
    }
}

/// The ends of a range that may be open on each side, named by `field`.
///
/// # Errors
/// `InvalidArgument`, naming `field`: `TIME_RANGE_INVALID` if the start is not before the end;
/// `TIME_OUT_OF_RANGE` for an end outside the years 1970 to 9999.
pub fn open(range: Option<&TimeRange>, field: &str) -> Result<(Option<Timestamp>, Option<Timestamp>)> {
    let end = |at: Option<&prost_types::Timestamp>, end: &str| {
        at.map(|at| time::parse(at, &format!("{field}.{end}"))).transpose()
    };
    let start_time = end(range.and_then(|range| range.start_time.as_ref()), "start_time")?;
    let end_time = end(range.and_then(|range| range.end_time.as_ref()), "end_time")?;
    match (start_time, end_time) {
        (Some(start), Some(end)) if start >= end => Err(wrong(field, "must start before it ends")),
        ends => Ok(ends),
    }
}

/// Requires that what stands in `field` is not before `first`, which is what `before` names.
///
/// # Errors
/// `InvalidArgument` (`TIME_RANGE_INVALID`), naming `field`.
pub fn in_order(first: Timestamp, then: Timestamp, before: &str, field: &str) -> Result<()> {
    if then < first { Err(wrong(field, &format!("is {then}; must not be before {before}, {first}"))) } else { Ok(()) }
}

/// A range for a message.
pub fn message(range: &Range<Timestamp>) -> TimeRange {
    TimeRange { start_time: Some(time::stamp(range.start)), end_time: Some(time::stamp(range.end)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_comes_later_is_not_earlier() {
        assert!(in_order(Timestamp(1), Timestamp(1), "a", "b").is_ok());
        let error = in_order(Timestamp(2), Timestamp(1), "a", "b").unwrap_err();
        assert_eq!((error.reason(), error.violations()[0].field.as_str()), ("TIME_RANGE_INVALID", "b"));
    }

    #[test]
    fn a_range_starts_before_it_ends() {
        let of = |start: Option<i64>, end: Option<i64>| {
            let at = |seconds: Option<i64>| seconds.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 });
            TimeRange { start_time: at(start), end_time: at(end) }
        };
        let whole = closed(Some(&of(Some(1), Some(2))), "time_range").unwrap();
        assert_eq!(message(&whole), of(Some(1), Some(2)));
        for (start, end) in [(Some(2), Some(2)), (Some(3), Some(2))] {
            let error = open(Some(&of(start, end)), "time_range").unwrap_err();
            assert_eq!((error.reason(), error.violations()[0].field.as_str()), ("TIME_RANGE_INVALID", "time_range"));
        }
        for missing in [None, Some(of(None, Some(2))), Some(of(Some(1), None))] {
            assert_eq!(closed(missing.as_ref(), "r").unwrap_err().reason(), "TIME_RANGE_INVALID");
            assert!(open(missing.as_ref(), "r").is_ok());
        }
        let error = open(Some(&of(Some(-1), None)), "r").unwrap_err();
        assert_eq!((error.reason(), error.violations()[0].field.as_str()), ("TIME_OUT_OF_RANGE", "r.start_time"));
    }
}
