//! Calendar months, and days.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use prost_types::Timestamp as Stamp;
use remit_api::types::TimeRange;
use remit_api::wire::{range, time};
use remit_core::{Error, Result, Timestamp};
use std::time::Duration;

/// A time that we set ourselves, or the epoch where there is none.
pub(crate) fn at(stamp: &Option<Stamp>) -> Timestamp {
    stamp.as_ref().map(time::of).unwrap_or_default()
}

/// The same as text (RFC 3339), empty where there is none.
pub(crate) fn text(stamp: &Option<Stamp>) -> String {
    stamp.as_ref().map(|stamp| time::of(stamp).to_string()).unwrap_or_default()
}

/// Days as a length of time.
pub(crate) const fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

/// A calendar month in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Month {
    first: Date,
    zone: TimeZone,
}

impl Month {
    /// Reads `YYYY-MM`.
    ///
    /// # Errors
    /// `InvalidArgument` (`PERIOD_INVALID`, `ZONE_UNKNOWN`).
    pub(crate) fn parse(period: &str, zone: &str) -> Result<Self> {
        let first = format!("{period}-01")
            .parse()
            .map_err(|_| Error::invalid("PERIOD_INVALID", "period", "must be a month such as 2026-05"))?;
        Ok(Self { first, zone: self::zone(zone)? })
    }

    /// The month that contains `at`.
    ///
    /// # Errors
    /// `InvalidArgument` (`ZONE_UNKNOWN`).
    pub(crate) fn of(at: Timestamp, zone: &str) -> Result<Self> {
        let zone = self::zone(zone)?;
        let first = at.to_jiff().to_zoned(zone.clone()).date().first_of_month();
        Ok(Self { first, zone })
    }

    /// `YYYY-MM`.
    pub(crate) fn period(&self) -> String {
        format!("{:04}-{:02}", self.first.year(), self.first.month())
    }

    /// The month before.
    #[must_use]
    pub(crate) fn previous(&self) -> Self {
        let first = self.first.yesterday().unwrap_or(self.first).first_of_month();
        Self { first, zone: self.zone.clone() }
    }

    /// The month after.
    #[must_use]
    pub(crate) fn next(&self) -> Self {
        let first = self.first.last_of_month().tomorrow().unwrap_or(self.first);
        Self { first, zone: self.zone.clone() }
    }

    /// The first instant.
    pub(crate) fn start(&self) -> Timestamp {
        self.instant(self.first)
    }

    /// The first instant after.
    pub(crate) fn end(&self) -> Timestamp {
        self.next().start()
    }

    /// All of it, for a request or a message.
    pub(crate) fn range(&self) -> TimeRange {
        range::message(&(self.start()..self.end()))
    }

    /// The end of day `day` of the month after, when evidence is cut off.
    pub(crate) fn cut_off(&self, day: i32) -> Timestamp {
        let next = self.next();
        let date = (0..day).try_fold(next.first, |date, _| date.tomorrow()).unwrap_or(next.first);
        next.instant(date)
    }

    fn instant(&self, date: Date) -> Timestamp {
        date.to_zoned(self.zone.clone()).map_or(Timestamp(i64::MAX), |zoned| zoned.timestamp().into())
    }
}

fn zone(name: &str) -> Result<TimeZone> {
    if name.is_empty() {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name)
        .map_err(|_| Error::invalid("ZONE_UNKNOWN", "zone", "must be an IANA zone such as Europe/Zurich"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_follow_the_zone() -> Result<()> {
        let month = Month::parse("2009-12", "Europe/Zurich")?;
        assert_eq!(month.start().to_string(), "2009-11-30T23:00:00Z");
        assert_eq!(month.end().to_string(), "2009-12-31T23:00:00Z");
        assert_eq!(month.cut_off(3).to_string(), "2010-01-03T23:00:00Z");
        assert_eq!((month.previous().period(), month.next().period()), ("2009-11".to_owned(), "2010-01".to_owned()));
        assert_eq!(Month::of(month.start(), "Europe/Zurich")?, month);
        assert!(Month::parse("2009-13", "").is_err() && Month::parse("2009-12", "Mars/Base").is_err());
        Ok(())
    }
}
