//! Times of the contract and of the database, and calendar months.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use prost_types::{Duration as ProtoDuration, Timestamp as Stamp};
use remit_core::{Error, Result, Timestamp};
use std::time::Duration;

/// A time of the contract as stored.
pub fn micros(stamp: &Stamp) -> Timestamp {
    Timestamp(stamp.seconds.saturating_mul(1_000_000).saturating_add(i64::from(stamp.nanos) / 1_000))
}

/// A stored time as in the contract.
pub fn stamp(at: Timestamp) -> Stamp {
    let nanos = i32::try_from(at.0.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    Stamp { seconds: at.0.div_euclid(1_000_000), nanos }
}

/// A length of time of the contract; zero if it is negative.
pub fn duration(value: &ProtoDuration) -> Duration {
    Duration::new(u64::try_from(value.seconds).unwrap_or(0), u32::try_from(value.nanos).unwrap_or(0))
}

/// Days as a length of time.
pub const fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

/// A calendar month in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Month {
    first: Date,
    zone: TimeZone,
}

impl Month {
    /// Reads `YYYY-MM`.
    ///
    /// # Errors
    /// `InvalidArgument` (`PERIOD_INVALID`, `ZONE_UNKNOWN`).
    pub fn parse(period: &str, zone: &str) -> Result<Self> {
        let first = format!("{period}-01")
            .parse()
            .map_err(|_| Error::invalid("PERIOD_INVALID", "period", "must be a month such as 2026-05"))?;
        Ok(Self { first, zone: self::zone(zone)? })
    }

    /// The month that contains `at`.
    ///
    /// # Errors
    /// `InvalidArgument` (`ZONE_UNKNOWN`).
    pub fn of(at: Timestamp, zone: &str) -> Result<Self> {
        let zone = self::zone(zone)?;
        let first = at.to_jiff().to_zoned(zone.clone()).date().first_of_month();
        Ok(Self { first, zone })
    }

    /// `YYYY-MM`.
    pub fn period(&self) -> String {
        format!("{:04}-{:02}", self.first.year(), self.first.month())
    }

    /// The month before.
    #[must_use]
    pub fn previous(&self) -> Self {
        let first = self.first.yesterday().unwrap_or(self.first).first_of_month();
        Self { first, zone: self.zone.clone() }
    }

    /// The month after.
    #[must_use]
    pub fn next(&self) -> Self {
        let first = self.first.last_of_month().tomorrow().unwrap_or(self.first);
        Self { first, zone: self.zone.clone() }
    }

    /// The first instant.
    pub fn start(&self) -> Timestamp {
        self.instant(self.first)
    }

    /// The first instant after.
    pub fn end(&self) -> Timestamp {
        self.next().start()
    }

    /// The end of day `day` of the month after, when evidence is cut off.
    pub fn cut_off(&self, day: i32) -> Timestamp {
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

    #[test]
    fn times_before_1970_survive() {
        let at = Timestamp(-1);
        assert_eq!(micros(&stamp(at)), at);
    }
}
