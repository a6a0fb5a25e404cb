//! Business time: when something is due if only working hours count.
//!
//! Elapsed and business durations are different things and never converted into each other: one
//! business day is the same wall-clock time on the next working day, not 24 business hours (U9).

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, ToSpan as _};
use std::collections::BTreeSet;
use std::ops::Range;

/// How far ahead a due time is looked for before the calendar counts as exhausted.
const HORIZON_DAYS: i64 = 3 * 366;
/// The longest duration of a service level.
const LONGEST_DAYS: i64 = 366;
const MINUTES_PER_DAY: u16 = 24 * 60;

/// The day that the wall clock of an IANA zone shows at `at`: its first instant, and that of the next day. An empty zone is
/// UTC.
///
/// # Errors
/// `InvalidArgument`, naming `field`: `TIME_ZONE_UNKNOWN`; `TIME_OUT_OF_RANGE` at the ends of time.
pub fn local_day(zone: &str, at: Timestamp, field: &str) -> Result<Range<Timestamp>> {
    let unknown = || Error::invalid("TIME_ZONE_UNKNOWN", field, "must be an IANA zone such as Europe/Lisbon");
    let out =
        |cause: jiff::Error| Error::invalid("TIME_OUT_OF_RANGE", field, "is outside the calendar").with_source(cause);
    let zone = match zone {
        "" => TimeZone::UTC,
        zone => TimeZone::get(zone).map_err(|cause| unknown().with_source(cause))?,
    };
    let today = at.to_jiff().to_zoned(zone.clone()).date();
    let first = |day: Date| -> Result<Timestamp> {
        day.to_zoned(zone.clone()).map(|first| first.timestamp().into()).map_err(out)
    };
    Ok(first(today)?..first(today.tomorrow().map_err(out)?)?)
}

/// A working span of one weekday, in minutes after midnight on the wall clock; the end is excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hours {
    /// The day: 1 is Monday, 7 is Sunday (ISO 8601).
    pub weekday: u8,
    /// The first minute inside, 0 to 1439.
    pub start: u16,
    /// The first minute after, 1 to 1440.
    pub end: u16,
}

/// Working hours in a time zone, without holidays.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: TimeZone,
    hours: [Vec<(u16, u16)>; 7],
    holidays: BTreeSet<Date>,
}

/// An ISO 8601 duration of days and time. Days are kept apart from hours, because only elapsed
/// time makes them 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IsoDuration {
    weeks: i64,
    days: i64,
    time: SignedDuration,
}

impl IsoDuration {
    /// Reads durations such as `PT24H`, `P1D`, `P2W` or `P1DT30M`.
    ///
    /// # Errors
    /// `InvalidArgument` (`DURATION_INVALID`), naming `field`, for anything else: no leading `P`, a
    /// sign, months or years (their length depends on the date), zero, or more than 366 days.
    pub fn parse(text: &str, field: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::invalid(
                "DURATION_INVALID",
                field,
                format!("{what}; write an ISO 8601 duration such as PT24H or P1D"),
            )
        };
        if !text.starts_with('P') {
            return Err(wrong("must begin with P"));
        }
        let span: Span = text.parse().map_err(|cause: jiff::Error| wrong("is not a duration").with_source(cause))?;
        if span.get_years() != 0 || span.get_months() != 0 {
            return Err(wrong("must not have years or months"));
        }
        let (weeks, days) = (i64::from(span.get_weeks()), i64::from(span.get_days()));
        let clock = span.weeks(0).days(0);
        let time = SignedDuration::try_from(clock).map_err(|cause| wrong("is out of range").with_source(cause))?;
        let duration = Self { weeks, days, time };
        let total = duration.elapsed();
        if total <= SignedDuration::ZERO {
            return Err(wrong("must be greater than zero"));
        }
        if total > SignedDuration::from_hours(24 * LONGEST_DAYS) {
            return Err(wrong("must not exceed 366 days"));
        }
        Ok(duration)
    }

    /// What is left of a duration, in microseconds of the time that it counts. Less than nothing is nothing.
    pub fn of_micros(left: i64) -> Self {
        Self { weeks: 0, days: 0, time: SignedDuration::from_micros(left.max(0)) }
    }

    /// The duration as elapsed time, with days of 24 hours.
    pub fn elapsed(self) -> SignedDuration {
        SignedDuration::from_hours(24 * (7 * self.weeks + self.days)).saturating_add(self.time)
    }

    /// Whether the duration has weeks, which business time refuses.
    pub fn has_weeks(self) -> bool {
        self.weeks != 0
    }

    /// When the duration has elapsed since `start`, every hour counting.
    pub fn after(self, start: Timestamp) -> Timestamp {
        Timestamp(start.0.saturating_add(i64::try_from(self.elapsed().as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Calendar {
    /// Builds a calendar from an IANA zone, working hours and holidays.
    ///
    /// # Errors
    /// `InvalidArgument` (`CALENDAR_INVALID`) if the zone is unknown, there are no hours, a span is empty or
    /// outside the day, or two spans of a day overlap.
    pub fn new(zone: &str, hours: &[Hours], holidays: impl IntoIterator<Item = Date>) -> Result<Self> {
        let wrong = |field: String, what: &str| Error::invalid("CALENDAR_INVALID", field, what);
        let zone = TimeZone::get(zone).map_err(|cause| {
            wrong("time_zone".into(), "must be an IANA time zone such as Europe/Berlin").with_source(cause)
        })?;
        if hours.is_empty() {
            return Err(wrong("hours".into(), "must have at least one working span"));
        }
        let mut week: [Vec<(u16, u16)>; 7] = Default::default();
        for (index, span) in hours.iter().enumerate() {
            let day = usize::from(span.weekday.wrapping_sub(1));
            let Some(day) = week.get_mut(day) else {
                return Err(wrong(format!("hours[{index}].weekday"), "must be Monday to Sunday"));
            };
            if span.start >= span.end || span.end > MINUTES_PER_DAY {
                return Err(wrong(format!("hours[{index}]"), "must start before it ends, and end by 1440"));
            }
            day.push((span.start, span.end));
        }
        for day in &mut week {
            day.sort_unstable();
            if day.windows(2).any(|pair| pair[0].1 > pair[1].0) {
                return Err(wrong("hours".into(), "must not overlap on one day"));
            }
        }
        Ok(Self { zone, hours: week, holidays: holidays.into_iter().collect() })
    }

    /// The zone of the calendar.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The date that the wall clock shows at `at`.
    pub fn date(&self, at: Timestamp) -> Date {
        at.to_jiff().to_zoned(self.zone.clone()).date()
    }

    /// The first instant of `date`, or of what is left of it where a clock change removed midnight.
    ///
    /// # Errors
    /// `InvalidArgument` (`TIME_OUT_OF_RANGE`) at the ends of time.
    pub fn midnight(&self, date: Date) -> Result<Timestamp> {
        self.instant(date, 0)
    }

    /// The instant at which the wall clock shows `minute` minutes after midnight of `date`.
    ///
    /// # Errors
    /// `InvalidArgument` (`TIME_OUT_OF_RANGE`) at the ends of time.
    pub fn instant(&self, date: Date, minute: u16) -> Result<Timestamp> {
        let out = |cause: jiff::Error| {
            Error::invalid("TIME_OUT_OF_RANGE", "time", "is outside the calendar").with_source(cause)
        };
        let (date, minute) =
            if minute >= MINUTES_PER_DAY { (date.tomorrow().map_err(out)?, 0) } else { (date, minute) };
        let time = Time::midnight().saturating_add(i64::from(minute).minutes());
        // Where a clock change skips or repeats the time, "compatible" (RFC 5545) takes the later side of
        // a gap and the first of two.
        let zoned = date.to_datetime(time).to_zoned(self.zone.clone()).map_err(out)?;
        Ok(zoned.timestamp().into())
    }

    /// When `duration` of working time has passed since `start`: whole business days first, then hours.
    /// A clock that starts outside working hours starts with the next working hour. The due time
    /// may be the very end of a working day.
    ///
    /// # Errors
    /// `InvalidArgument` (`DURATION_INVALID`) for weeks, which nobody agrees on in business time;
    /// `FailedPrecondition` (`CALENDAR_EXHAUSTED`) if the calendar has too little working time.
    pub fn after(&self, start: Timestamp, duration: IsoDuration) -> Result<Timestamp> {
        if duration.weeks != 0 {
            return Err(Error::invalid(
                "DURATION_INVALID",
                "duration",
                "must not have weeks in business time; write P5D",
            ));
        }
        let mut at = start;
        if duration.days > 0 {
            at = self.opening(at)?;
            at = self.plus_days(at, duration.days)?;
        }
        if duration.time > SignedDuration::ZERO { self.plus_time(at, duration.time) } else { Ok(at) }
    }

    /// The first instant of working time at or after `at`.
    ///
    /// # Errors
    /// `FailedPrecondition` (`CALENDAR_EXHAUSTED`) if there is none within three years.
    pub fn opening(&self, at: Timestamp) -> Result<Timestamp> {
        let mut date = self.date(at);
        for _ in 0..HORIZON_DAYS {
            if let Some((start, _)) = self.spans(date)?.iter().find(|(_, end)| *end > at) {
                return Ok((*start).max(at));
            }
            date = next(date)?;
        }
        Err(exhausted())
    }

    /// The first working day after `date`.
    ///
    /// # Errors
    /// `FailedPrecondition` (`CALENDAR_EXHAUSTED`) if there is none within three years.
    pub fn next_working_day(&self, date: Date) -> Result<Date> {
        let mut date = next(date)?;
        for _ in 0..HORIZON_DAYS {
            if self.works_on(date) {
                return Ok(date);
            }
            date = next(date)?;
        }
        Err(exhausted())
    }

    fn works_on(&self, date: Date) -> bool {
        !self.holidays.contains(&date) && !self.minutes(date).is_empty()
    }

    fn minutes(&self, date: Date) -> &[(u16, u16)] {
        let day = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
        &self.hours[day]
    }

    /// The working spans of a date as instants, in order; none on a holiday.
    fn spans(&self, date: Date) -> Result<Vec<(Timestamp, Timestamp)>> {
        if self.holidays.contains(&date) {
            return Ok(Vec::new());
        }
        let mut spans = Vec::with_capacity(self.minutes(date).len());
        for (start, end) in self.minutes(date) {
            let (start, end) = (self.instant(date, *start)?, self.instant(date, *end)?);
            // A span that lies wholly in the gap of a clock change has no length.
            if start < end {
                spans.push((start, end));
            }
        }
        Ok(spans)
    }

    fn plus_days(&self, at: Timestamp, days: i64) -> Result<Timestamp> {
        let local = at.to_jiff().to_zoned(self.zone.clone()).datetime();
        let mut date = local.date();
        for _ in 0..days {
            date = self.next_working_day(date)?;
        }
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
        let Some(last) = self.minutes(date).last() else { return Err(exhausted()) };
        if minute >= last.1 {
            return self.instant(date, last.1);
        }
        let below_minute = SignedDuration::new(i64::from(local.second()), local.subsec_nanosecond());
        let same = self.instant(date, minute)?;
        let same = Timestamp(same.0.saturating_add(i64::try_from(below_minute.as_micros()).unwrap_or(0)));
        self.opening(same)
    }

    fn plus_time(&self, at: Timestamp, time: SignedDuration) -> Result<Timestamp> {
        let mut left = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let mut date = self.date(at);
        for _ in 0..HORIZON_DAYS {
            for (start, end) in self.spans(date)? {
                let from = start.max(at);
                let length = end.0.saturating_sub(from.0);
                if length <= 0 {
                    continue;
                }
                if left <= length {
                    return Ok(Timestamp(from.0.saturating_add(left)));
                }
                left -= length;
            }
            date = next(date)?;
        }
        Err(exhausted())
    }

    /// How much working time lies between two instants; zero if `end` is not later.
    ///
    /// # Errors
    /// `InvalidArgument` (`TIME_OUT_OF_RANGE`) at the ends of time.
    pub fn between(&self, start: Timestamp, end: Timestamp) -> Result<std::time::Duration> {
        let (mut micros, mut date, last) = (0_i64, self.date(start), self.date(end));
        while date <= last {
            for (open, close) in self.spans(date)? {
                micros += (close.min(end).0 - open.max(start).0).max(0);
            }
            date = next(date)?;
        }
        Ok(std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }
}

fn next(date: Date) -> Result<Date> {
    date.tomorrow().map_err(|_| exhausted())
}

fn exhausted() -> Error {
    Error::precondition("CALENDAR_EXHAUSTED", "the calendar has too little working time within three years")
}

#[cfg(test)]
#[path = "calendar_tests.rs"]
mod tests;
