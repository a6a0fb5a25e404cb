//! The contract's calendars and service levels as the types that compute with them.

use remit_api::handoff::v1 as pb;
use remit_core::calendar::{Calendar, Hours, IsoDuration};
use remit_core::{Error, Result};

/// The calendar of the rules.
///
/// # Errors
/// `InvalidArgument` (`CALENDAR_INVALID`), naming the field.
pub(crate) fn calendar(message: &pb::Calendar) -> Result<Calendar> {
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
    Calendar::new(&message.time_zone, &hours, holidays).map_err(|error| error.within("calendar"))
}

/// The duration of a service level, if its form is right.
///
/// # Errors
/// `InvalidArgument` (`DURATION_INVALID`), naming the field.
pub(crate) fn duration(level: &pb::ServiceLevel, field: &str) -> Result<IsoDuration> {
    IsoDuration::parse(&level.duration, &format!("{field}.duration"))
}
