//! Times and lengths of time.

use prost_types::{Duration as ProtoDuration, Timestamp as ProtoTime};
use remit_core::{Error, Result, Timestamp};
use std::time::Duration;

const MICROS: i64 = 1_000_000;
/// 9999-12-31T23:59:59Z, the last second of `google.protobuf.Timestamp`.
const LAST: i64 = 253_402_300_799;
/// How far ahead of ours a caller's clock may be.
pub const AHEAD: Duration = Duration::from_secs(5 * 60);
/// How long ago a caller may say that something happened for it to count then: work is recorded in batches.
pub const BACKDATED: Duration = Duration::from_secs(14 * 86_400);

/// A time for a message.
pub fn stamp(at: Timestamp) -> ProtoTime {
    let nanos = i32::try_from(at.0.rem_euclid(MICROS) * 1_000).unwrap_or(0);
    ProtoTime { seconds: at.0.div_euclid(MICROS), nanos }
}

/// The time in a message that we wrote ourselves, cut to microseconds; saturates at the ends of the range.
pub fn of(at: &ProtoTime) -> Timestamp {
    Timestamp(at.seconds.saturating_mul(MICROS).saturating_add(i64::from(at.nanos) / 1_000))
}

/// The time in a message that a caller wrote, cut to microseconds.
///
/// # Errors
/// `InvalidArgument` (`TIME_OUT_OF_RANGE`), naming `field`, outside the years 1970 to 9999.
pub fn parse(at: &ProtoTime, field: &str) -> Result<Timestamp> {
    if !(0..=LAST).contains(&at.seconds) || !(0..1_000_000_000).contains(&at.nanos) {
        return Err(Error::invalid("TIME_OUT_OF_RANGE", field, "must be a time in the years 1970 to 9999"));
    }
    Ok(of(at))
}

/// When something happened: what the caller says, or `now` where it says nothing.
///
/// # Errors
/// `InvalidArgument` (`TIME_OUT_OF_RANGE`), naming `field`, before 1970 or more than [`AHEAD`] after `now`.
pub fn past(at: Option<&ProtoTime>, now: Timestamp, field: &str) -> Result<Timestamp> {
    let Some(at) = at else { return Ok(now) };
    let at = parse(at, field)?;
    if at > now.plus(AHEAD) {
        let rule = format!("is {at}; must not be in the future: it is {now}");
        return Err(Error::invalid("TIME_OUT_OF_RANGE", field, rule));
    }
    Ok(at)
}

/// Whether a caller says of something that it happened so long before it was recorded that this is taken for a claim.
pub fn is_backdated(at: Timestamp, recorded: Timestamp) -> bool {
    recorded.since(at) > BACKDATED
}

/// When something counts that happened at `at`, as a caller says, and that we recorded at `recorded`: at the former, unless
/// that is backdated. So nobody moves what they do today into a span that people have looked at.
pub fn counted(at: Timestamp, recorded: Timestamp) -> Timestamp {
    if is_backdated(at, recorded) { recorded } else { at }
}

/// A length of microseconds for a message.
pub fn span(micros: i64) -> ProtoDuration {
    let nanos = i32::try_from(micros % MICROS * 1_000).unwrap_or(0);
    ProtoDuration { seconds: micros / MICROS, nanos }
}

/// The length of time in a message; zero if it is negative.
pub fn duration(value: &ProtoDuration) -> Duration {
    Duration::new(u64::try_from(value.seconds).unwrap_or(0), u32::try_from(value.nanos).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_survive_the_way_there_and_back() {
        for micros in [0, 1, -1, 999_999, 1_000_000, -1_000_001, -1_500_000, 1_700_000_000_123_456] {
            assert_eq!(of(&stamp(Timestamp(micros))), Timestamp(micros));
        }
        assert_eq!(of(&ProtoTime { seconds: i64::MAX, nanos: 0 }), Timestamp(i64::MAX));
    }

    #[test]
    fn what_a_caller_says_lies_in_the_calendar() {
        for (seconds, nanos) in [(-1, 0), (LAST + 1, 0), (i64::MAX, 0), (0, -1), (0, 1_000_000_000)] {
            let error = parse(&ProtoTime { seconds, nanos }, "t").unwrap_err();
            assert_eq!((error.reason(), error.violations()[0].field.as_str()), ("TIME_OUT_OF_RANGE", "t"));
        }
        assert_eq!(parse(&ProtoTime { seconds: LAST, nanos: 999_999_999 }, "t").unwrap().0, LAST * MICROS + 999_999);
    }

    #[test]
    fn what_happened_lies_in_the_past() {
        let now = Timestamp(1_000 * MICROS);
        let at = |seconds| past(Some(&ProtoTime { seconds, nanos: 0 }), now, "t");
        assert_eq!(past(None, now, "t").unwrap(), now);
        assert!(at(0).is_ok() && at(1_300).is_ok());
        assert_eq!(at(1_301).unwrap_err().reason(), "TIME_OUT_OF_RANGE");
        assert!(at(-1).is_err());
    }

    #[test]
    fn what_is_said_to_be_long_ago_counts_today() {
        let now = Timestamp(1_700_000_000 * MICROS);
        let days = |days: i64| Timestamp(now.0 - days * 86_400 * MICROS);
        for recent in [days(-1), now, days(1), days(14)] {
            assert!(!is_backdated(recent, now) && counted(recent, now) == recent, "{recent}");
        }
        for old in [Timestamp(days(14).0 - 1), days(400), Timestamp(0)] {
            assert!(is_backdated(old, now) && counted(old, now) == now, "{old}");
        }
    }

    #[test]
    fn lengths_of_time_are_whole_microseconds() {
        assert_eq!(span(1_500_000), ProtoDuration { seconds: 1, nanos: 500_000_000 });
        assert_eq!(duration(&span(1_500_000)), Duration::from_millis(1_500));
        assert_eq!(duration(&ProtoDuration { seconds: -1, nanos: 0 }), Duration::ZERO);
    }
}
