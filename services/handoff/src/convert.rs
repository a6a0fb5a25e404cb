//! Between the contract's messages and the types of the rules.

use prost_types::{Duration as ProtoDuration, Timestamp as ProtoTime};
use remit_api::handoff::v1 as pb;
use remit_api::types;
use remit_core::calendar::{Calendar, Hours, IsoDuration};
use remit_core::{Actor, ActorKind, Error, Result, Timestamp};

/// A time for a message.
pub fn stamp(at: Timestamp) -> ProtoTime {
    let nanos = at.0.rem_euclid(1_000_000) * 1_000;
    ProtoTime { seconds: at.0.div_euclid(1_000_000), nanos: i32::try_from(nanos).unwrap_or(0) }
}

/// A time from a message, cut to microseconds; saturates at the ends of the range.
pub fn unstamp(at: &ProtoTime) -> Timestamp {
    Timestamp(at.seconds.saturating_mul(1_000_000).saturating_add(i64::from(at.nanos) / 1_000))
}

/// A time that a caller says something happened: from 1970 on, and not in the future.
///
/// # Errors
/// `InvalidArgument` (`TIME_OUT_OF_RANGE`), naming `field`.
pub fn past(at: Option<&ProtoTime>, now: Timestamp, field: &str) -> Result<Timestamp> {
    /// Clocks of two machines differ by less than this.
    const TOLERANCE_MICROS: i64 = 5 * 60 * 1_000_000;
    let at = at.map_or(now, unstamp);
    if at.0 < 0 || at.0 > now.0.saturating_add(TOLERANCE_MICROS) {
        return Err(Error::invalid("TIME_OUT_OF_RANGE", field, "must be from 1970 on and not in the future"));
    }
    Ok(at)
}

/// A span of microseconds for a message.
pub fn span(micros: i64) -> ProtoDuration {
    let nanos = i32::try_from(micros % 1_000_000 * 1_000).unwrap_or(0);
    ProtoDuration { seconds: micros / 1_000_000, nanos }
}

/// A range that has both ends, the first before the second.
///
/// # Errors
/// `InvalidArgument` (`TIME_RANGE_INVALID`), naming `time_range`.
pub fn range(range: Option<&types::TimeRange>) -> Result<(Timestamp, Timestamp)> {
    let wrong = || Error::invalid("TIME_RANGE_INVALID", "time_range", "must have a start and a later end");
    let range = range.ok_or_else(wrong)?;
    let start = unstamp(range.start_time.as_ref().ok_or_else(wrong)?);
    let end = unstamp(range.end_time.as_ref().ok_or_else(wrong)?);
    if start < end { Ok((start, end)) } else { Err(wrong()) }
}

/// An actor for a message.
pub fn actor(actor: &Actor) -> types::Actor {
    let kind = match actor.kind {
        ActorKind::Human => types::ActorKind::Human,
        ActorKind::Ai => types::ActorKind::Ai,
        ActorKind::Service => types::ActorKind::Service,
    };
    types::Actor {
        subject: actor.subject.clone(),
        kind: kind.into(),
        role_groups: actor.role_groups.clone(),
        on_behalf_of: actor.on_behalf_of.clone().unwrap_or_default(),
    }
}

/// The calendar of the rules.
///
/// # Errors
/// `InvalidArgument` (`CALENDAR_INVALID`), naming the field.
pub fn calendar(message: &pb::Calendar) -> Result<Calendar> {
    let narrow = |minute: i32| u16::try_from(minute).unwrap_or(u16::MAX);
    let hours: Vec<Hours> = message
        .hours
        .iter()
        .map(|span| Hours {
            weekday: u8::try_from(span.weekday).unwrap_or(0),
            start: narrow(span.start_minute),
            end: narrow(span.end_minute),
        })
        .collect();
    let mut holidays = std::collections::BTreeSet::new();
    for (index, holiday) in message.holidays.iter().enumerate() {
        let field = || format!("calendar.holidays[{index}].date");
        let date = holiday.date.parse().map_err(|cause: jiff::Error| {
            Error::invalid("CALENDAR_INVALID", field(), "must be a date such as 2026-05-01").with_source(cause)
        })?;
        if !holidays.insert(date) {
            return Err(Error::invalid("CALENDAR_INVALID", field(), "must be there once"));
        }
    }
    Calendar::new(&message.time_zone, &hours, holidays)
}

/// The duration of a service level, if its form is right.
///
/// # Errors
/// `InvalidArgument` (`DURATION_INVALID`), naming the field.
pub fn duration(level: &pb::ServiceLevel, field: &str) -> Result<IsoDuration> {
    IsoDuration::parse(&level.duration, &format!("{field}.duration"))
}

/// The etag of a revision.
pub fn etag(revision: i64) -> String {
    format!("r{revision}")
}

/// Refuses an etag that is given and is not that of `revision`.
///
/// # Errors
/// `Conflict` (`ETAG_MISMATCH`).
pub fn check_etag(given: &str, revision: i64, name: &str) -> Result<()> {
    if given.is_empty() || given == etag(revision) {
        return Ok(());
    }
    let message = format!("{name} has changed since: its etag is {}, not {given}", etag(revision));
    Err(Error::new(remit_core::Kind::Conflict, "ETAG_MISMATCH", message))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn times_survive_the_way_there_and_back() {
        for at in [0, 1, -1, 999_999, 1_000_000, -1_000_001, 1_700_000_000_123_456] {
            assert_eq!(unstamp(&stamp(Timestamp(at))), Timestamp(at));
        }
        assert_eq!(unstamp(&ProtoTime { seconds: i64::MAX, nanos: 0 }), Timestamp(i64::MAX));
    }

    #[test]
    fn the_future_and_the_time_before_1970_are_refused() {
        let now = Timestamp(1_000_000_000);
        assert_eq!(past(None, now, "f").unwrap(), now);
        assert!(past(Some(&ProtoTime { seconds: -1, nanos: 0 }), now, "f").is_err());
        assert!(past(Some(&ProtoTime { seconds: 2_000, nanos: 0 }), now, "f").is_err());
        assert!(past(Some(&ProtoTime { seconds: 999, nanos: 0 }), now, "f").is_ok());
    }
}
