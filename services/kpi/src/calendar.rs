//! Periods: quarter hours, hours, days, weeks, months, quarters and years in the zone of a KPI, whose weeks begin on its day,
//! and whose quarters and years begin in its month.
//!
//! Every offset from UTC since 2000 is a whole number of quarter hours, so quarter hours are the same
//! everywhere, and every longer period is made of whole ones.

use jiff::ToSpan as _;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use remit_api::kpi::v1 as api;
use remit_api::kpi::v1::{Cadence, Granularity};
use remit_core::{Error, Result, Timestamp};
use std::collections::BTreeMap;
use std::ops::Range;

/// A quarter hour in microseconds.
pub(crate) const QUARTER_HOUR: i64 = 900_000_000;
/// An hour in microseconds.
const HOUR: i64 = 3_600_000_000;

/// The granularities in the order in which late events are counted.
pub(crate) const GRANULARITIES: [Granularity; 7] = [
    Granularity::QuarterHour,
    Granularity::Hour,
    Granularity::Day,
    Granularity::Week,
    Granularity::Month,
    Granularity::Quarter,
    Granularity::Year,
];

/// Whether something was late, for each of [`GRANULARITIES`].
pub(crate) type Late = [bool; GRANULARITIES.len()];

/// How many were late, for each of [`GRANULARITIES`].
pub(crate) type Counts = [u64; GRANULARITIES.len()];

/// A span of time that includes its start and excludes its end, in microseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// The first instant inside.
    pub(crate) start: i64,
    /// The first instant after.
    pub(crate) end: i64,
}

impl Span {
    /// Whether `at` lies inside.
    pub(crate) fn contains(&self, at: i64) -> bool {
        self.start <= at && at < self.end
    }
}

impl From<Range<Timestamp>> for Span {
    fn from(range: Range<Timestamp>) -> Self {
        Self { start: range.start.0, end: range.end.0 }
    }
}

impl From<Span> for Range<Timestamp> {
    fn from(span: Span) -> Self {
        Timestamp(span.start)..Timestamp(span.end)
    }
}

/// The periods of one zone.
#[derive(Debug, Clone)]
pub(crate) struct Calendar {
    zone: TimeZone,
    week_start: Weekday,
    /// The month in which years begin, 1 to 12.
    year_start: i8,
}

impl Calendar {
    /// The calendar of an IANA zone; empty is UTC.
    ///
    /// # Errors
    /// `InvalidArgument` (`TIME_ZONE_UNKNOWN`), naming `field`, if there is no such zone.
    pub(crate) fn new(zone: &str, field: &str) -> Result<Self> {
        if zone.is_empty() || zone == "UTC" {
            return Ok(Self::usual(TimeZone::UTC));
        }
        let unknown = || Error::invalid("TIME_ZONE_UNKNOWN", field, "must be an IANA zone such as Europe/Lisbon");
        TimeZone::get(zone).map(Self::usual).map_err(|error| unknown().with_source(error))
    }

    /// With weeks from Monday and years from January.
    fn usual(zone: TimeZone) -> Self {
        Self { zone, week_start: Weekday::Monday, year_start: 1 }
    }

    /// The same zone with weeks that begin on `week_start`, and years that begin in the month `year_start`, 1 to 12; 0 is
    /// January.
    pub(crate) fn beginning(self, week_start: api::Weekday, year_start: i32) -> Self {
        let week_start = match week_start {
            api::Weekday::Unspecified | api::Weekday::Monday => Weekday::Monday,
            api::Weekday::Tuesday => Weekday::Tuesday,
            api::Weekday::Wednesday => Weekday::Wednesday,
            api::Weekday::Thursday => Weekday::Thursday,
            api::Weekday::Friday => Weekday::Friday,
            api::Weekday::Saturday => Weekday::Saturday,
            api::Weekday::Sunday => Weekday::Sunday,
        };
        let year_start = i8::try_from(year_start).ok().filter(|month| (1..=12).contains(month)).unwrap_or(1);
        Self { week_start, year_start, ..self }
    }

    /// The period that contains `at`.
    pub(crate) fn period(&self, granularity: Granularity, at: i64) -> Span {
        match granularity {
            Granularity::Unspecified | Granularity::QuarterHour => {
                let start = at - at.rem_euclid(QUARTER_HOUR);
                Span { start, end: start + QUARTER_HOUR }
            }
            Granularity::Hour => {
                // Where the clock moves by less than an hour, a local hour is cut there: quarter hours that share an offset
                // and an hour belong together, so that hours tile time whatever a zone does.
                let hour = |quarter: i64| {
                    let offset = i64::from(self.zone.to_offset(Timestamp(quarter).to_jiff()).seconds()) * 1_000_000;
                    (offset, (quarter + offset).div_euclid(HOUR))
                };
                let mut start = at - at.rem_euclid(QUARTER_HOUR);
                let mut end = start + QUARTER_HOUR;
                let here = hour(start);
                while hour(start - QUARTER_HOUR) == here {
                    start -= QUARTER_HOUR;
                }
                while hour(end) == here {
                    end += QUARTER_HOUR;
                }
                Span { start, end }
            }
            Granularity::Day | Granularity::Week | Granularity::Month | Granularity::Quarter | Granularity::Year => {
                let first = self.first_day(granularity, self.date(at));
                let next = after(granularity, first);
                let end = self.midnight(next);
                if at < end {
                    return Span { start: self.midnight(first), end };
                }
                // The clock went back over midnight, and what comes again belongs to the day that had begun.
                Span { start: end, end: self.midnight(after(granularity, next)) }
            }
        }
    }

    /// The period before `span`.
    pub(crate) fn before(&self, granularity: Granularity, span: Span) -> Span {
        self.period(granularity, span.start - 1)
    }

    /// The periods from the one that contains `span.start` to the one that contains the last instant of
    /// `span`, at most `limit`; `None` if there are more.
    pub(crate) fn periods(&self, granularity: Granularity, span: Span, limit: usize) -> Option<Vec<Span>> {
        let mut periods = Vec::new();
        let mut at = span.start;
        while at < span.end {
            if periods.len() == limit {
                return None;
            }
            let period = self.period(granularity, at);
            // Time must go forward whatever a zone does.
            at = period.end.max(at + 1);
            periods.push(period);
        }
        Some(periods)
    }

    /// The granularity whose period is exactly `span`, if any.
    pub(crate) fn exact(&self, span: Span) -> Option<Granularity> {
        GRANULARITIES.into_iter().rev().find(|granularity| self.period(*granularity, span.start) == span)
    }

    /// The span of the same kind before `span`: the calendar period before, if it is one, else as long.
    pub(crate) fn preceding(&self, span: Span) -> Span {
        match self.exact(span) {
            Some(granularity) => self.before(granularity, span),
            None => Span { start: span.start - (span.end - span.start), end: span.start },
        }
    }

    /// The same days in this zone, if `span` is a day, week, month, quarter or year of UTC; else `span` itself.
    pub(crate) fn local(&self, span: Span) -> Span {
        // Asked for by the calendar of everybody, or by that of the KPI.
        let usual = Self::usual(TimeZone::UTC);
        let own = Self { zone: TimeZone::UTC, ..self.clone() };
        match usual.exact(span).or_else(|| own.exact(span)) {
            None | Some(Granularity::QuarterHour | Granularity::Hour) => span,
            Some(_) => Span { start: self.midnight(usual.date(span.start)), end: self.midnight(usual.date(span.end)) },
        }
    }

    fn first_day(&self, granularity: Granularity, date: Date) -> Date {
        let months_back = |every: i8| {
            let back = i64::from((date.month() - self.year_start).rem_euclid(every));
            date.first_of_month().saturating_sub(back.months())
        };
        match granularity {
            Granularity::Week => {
                let back = i64::from(date.weekday().since(self.week_start));
                date.saturating_sub(back.days())
            }
            Granularity::Month => date.first_of_month(),
            Granularity::Year => months_back(12),
            Granularity::Quarter => months_back(3),
            _ => date,
        }
    }

    fn date(&self, at: i64) -> Date {
        Timestamp(at).to_jiff().to_zoned(self.zone.clone()).date()
    }

    fn midnight(&self, date: Date) -> i64 {
        // The first instant of the day, also where the clock jumps over midnight. Dates come from
        // instants within jiff's range, so the ends of the range are the only failures.
        date.to_zoned(self.zone.clone()).map_or(i64::MAX / 2, |zoned| zoned.timestamp().as_microsecond())
    }
}

fn after(granularity: Granularity, first: Date) -> Date {
    first.saturating_add(match granularity {
        Granularity::Week => 1.week(),
        Granularity::Month => 1.month(),
        Granularity::Quarter => 3.months(),
        Granularity::Year => 1.year(),
        _ => 1.day(),
    })
}

/// The granularity within which a cadence wants data once; `None` if nothing is ever due.
pub(crate) fn due_within(cadence: Cadence) -> Option<Granularity> {
    match cadence {
        Cadence::Unspecified | Cadence::Continuous => None,
        Cadence::Daily => Some(Granularity::Day),
        Cadence::Weekly => Some(Granularity::Week),
        Cadence::Monthly => Some(Granularity::Month),
        Cadence::Quarterly => Some(Granularity::Quarter),
    }
}

/// The periods around one instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around {
    /// The day.
    pub(crate) day: Span,
    week_end: i64,
    month_end: i64,
    quarter_end: i64,
    year_end: i64,
}

/// Finds the periods around instants fast: days are computed once.
#[derive(Debug)]
pub(crate) struct Lookup<'a> {
    calendar: &'a Calendar,
    days: BTreeMap<i64, Around>,
}

impl<'a> Lookup<'a> {
    /// Starts with nothing known.
    pub(crate) fn new(calendar: &'a Calendar) -> Self {
        Self { calendar, days: BTreeMap::new() }
    }

    /// The periods around `at`.
    pub(crate) fn around(&mut self, at: i64) -> Around {
        if let Some((_, known)) = self.days.range(..=at).next_back()
            && known.day.contains(at)
        {
            return *known;
        }
        let end = |granularity| self.calendar.period(granularity, at).end;
        let found = Around {
            day: self.calendar.period(Granularity::Day, at),
            week_end: end(Granularity::Week),
            month_end: end(Granularity::Month),
            quarter_end: end(Granularity::Quarter),
            year_end: end(Granularity::Year),
        };
        self.days.insert(found.day.start, found);
        found
    }

    /// For each of [`GRANULARITIES`], whether `recorded` is after the period around `occurred` closed,
    /// which it does `lateness` after its end.
    pub(crate) fn late(&mut self, occurred: i64, recorded: i64, lateness: i64) -> Late {
        let around = self.around(occurred);
        let quarter_hour = self.calendar.period(Granularity::QuarterHour, occurred).end;
        if recorded < quarter_hour.saturating_add(lateness) {
            return Late::default();
        }
        let hour = self.calendar.period(Granularity::Hour, occurred).end;
        [quarter_hour, hour, around.day.end, around.week_end, around.month_end, around.quarter_end, around.year_end]
            .map(|end| recorded >= end.saturating_add(lateness))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_microsecond()
    }

    fn span(start: &str, end: &str) -> Span {
        Span { start: at(start), end: at(end) }
    }

    #[test]
    fn days_follow_daylight_saving() {
        let lisbon = Calendar::new("Europe/Lisbon", "zone").unwrap();
        let spring = lisbon.period(Granularity::Day, at("2026-03-29T12:00:00Z"));
        assert_eq!(spring, span("2026-03-29T00:00:00Z", "2026-03-29T23:00:00Z"));
        let autumn = lisbon.period(Granularity::Day, at("2026-10-25T12:00:00Z"));
        assert_eq!(autumn, span("2026-10-24T23:00:00Z", "2026-10-26T00:00:00Z"));
    }

    #[test]
    fn an_organisation_has_weeks_and_years_of_its_own() {
        let own = Calendar::new("", "zone").unwrap().beginning(api::Weekday::Sunday, 4);
        let saturday = at("2027-01-02T10:00:00Z");
        assert_eq!(own.period(Granularity::Week, saturday), span("2026-12-27T00:00:00Z", "2027-01-03T00:00:00Z"));
        assert_eq!(own.period(Granularity::Year, saturday), span("2026-04-01T00:00:00Z", "2027-04-01T00:00:00Z"));
        assert_eq!(own.period(Granularity::Quarter, saturday), span("2027-01-01T00:00:00Z", "2027-04-01T00:00:00Z"));
        let february = Calendar::new("Europe/Berlin", "zone").unwrap().beginning(api::Weekday::Unspecified, 2);
        let quarter = february.period(Granularity::Quarter, saturday);
        assert_eq!(quarter, span("2026-10-31T23:00:00Z", "2027-01-31T23:00:00Z"));
        assert_eq!(
            february.before(Granularity::Quarter, quarter),
            span("2026-07-31T22:00:00Z", "2026-10-31T23:00:00Z")
        );
        // Asked for by its own quarter or by everybody's, it takes its own days.
        let asked = span("2026-11-01T00:00:00Z", "2027-02-01T00:00:00Z");
        assert_eq!(february.local(asked), quarter);
        let calendar = span("2027-01-01T00:00:00Z", "2027-04-01T00:00:00Z");
        assert_eq!(february.local(calendar), span("2026-12-31T23:00:00Z", "2027-03-31T22:00:00Z"));
    }

    #[test]
    fn weeks_begin_on_monday_and_quarters_in_january_april_july_october() {
        let utc = Calendar::new("", "zone").unwrap();
        let new_year = at("2027-01-01T10:00:00Z");
        assert_eq!(utc.period(Granularity::Week, new_year), span("2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"));
        let may = at("2008-05-31T23:59:59Z");
        assert_eq!(utc.period(Granularity::Month, may), span("2008-05-01T00:00:00Z", "2008-06-01T00:00:00Z"));
        assert_eq!(utc.period(Granularity::Quarter, may), span("2008-04-01T00:00:00Z", "2008-07-01T00:00:00Z"));
    }

    #[test]
    fn hours_begin_with_the_local_hour() {
        let kathmandu = Calendar::new("Asia/Kathmandu", "zone").unwrap();
        let hour = kathmandu.period(Granularity::Hour, at("2026-01-01T00:20:00Z"));
        assert_eq!(hour, span("2026-01-01T00:15:00Z", "2026-01-01T01:15:00Z"));
    }

    #[test]
    fn hours_tile_where_the_clock_moves_by_half_an_hour_and_days_where_it_goes_back_over_midnight() {
        let howe = Calendar::new("Australia/Lord_Howe", "zone").unwrap();
        // 2026-04-05T02:00+11:00 becomes 01:30+10:30, at 15:00Z the day before.
        let day = span("2026-04-04T12:00:00Z", "2026-04-04T18:00:00Z");
        let hours = howe.periods(Granularity::Hour, day, 100).unwrap();
        assert!(hours.windows(2).all(|pair| pair[0].end == pair[1].start), "{hours:?}");
        assert!(hours.contains(&span("2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z")), "{hours:?}");
        let johns = Calendar::new("America/St_Johns", "zone").unwrap();
        let again = johns.period(Granularity::Day, at("2010-11-07T02:45:00Z"));
        assert_eq!(again, span("2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z"));
        assert_eq!(johns.period(Granularity::Day, at("2010-11-07T02:29:59Z")).end, again.start);
    }

    #[test]
    fn a_month_is_that_of_the_zone_and_a_year_begins_in_january() {
        let berlin = Calendar::new("Europe/Berlin", "zone").unwrap();
        let may = span("2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z");
        let local = berlin.local(may);
        assert_eq!(local, span("2026-04-30T22:00:00Z", "2026-05-31T22:00:00Z"));
        assert_eq!(berlin.preceding(local), span("2026-03-31T22:00:00Z", "2026-04-30T22:00:00Z"));
        let hours = span("2026-05-01T01:00:00Z", "2026-05-01T03:00:00Z");
        assert_eq!(berlin.local(hours), hours);
        let year = berlin.period(Granularity::Year, at("2026-12-31T23:30:00Z"));
        assert_eq!(year, span("2026-12-31T23:00:00Z", "2027-12-31T23:00:00Z"));
    }

    #[test]
    fn the_span_before_a_month_is_the_month_before() {
        let utc = Calendar::new("", "zone").unwrap();
        let march = span("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z");
        assert_eq!(utc.preceding(march), span("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"));
        let odd = span("2026-03-02T00:00:00Z", "2026-03-05T00:00:00Z");
        assert_eq!(utc.preceding(odd), span("2026-02-27T00:00:00Z", "2026-03-02T00:00:00Z"));
    }

    #[test]
    fn an_unknown_zone_is_refused() {
        assert_eq!(Calendar::new("Mars/Olympus", "kpi.time_zone").unwrap_err().reason(), "TIME_ZONE_UNKNOWN");
    }

    #[test]
    fn the_last_instant_that_a_caller_may_name_has_periods() {
        let last = at("9999-12-30T22:00:00Z") + 93_599_999_999;
        let calendar = Calendar::new("America/New_York", "zone").unwrap();
        for granularity in GRANULARITIES {
            assert!(calendar.periods(granularity, Span { start: 0, end: last }, 1_000).is_none());
            assert!(calendar.periods(granularity, Span { start: last, end: last + 1 }, 1_000).is_some());
            let day = Span { start: last - 86_400_000_000, end: last };
            assert!(calendar.preceding(day).start < day.start, "{granularity:?}");
        }
    }

    proptest! {
        #[test]
        fn periods_tile_time(
            seconds in 946_684_800i64..4_102_444_800, zone in prop::sample::select(vec!["", "Europe/Lisbon", "America/New_York",
            "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "America/St_Johns", "Africa/Casablanca"]), index in 0usize..7,
        ) {
            let calendar = Calendar::new(zone, "zone").unwrap();
            let granularity = GRANULARITIES[index];
            let period = calendar.period(granularity, seconds * 1_000_000);
            prop_assert!(period.contains(seconds * 1_000_000));
            prop_assert_eq!(calendar.period(granularity, period.start), period);
            prop_assert_eq!(period.start.rem_euclid(QUARTER_HOUR), 0);
            prop_assert_eq!(calendar.period(granularity, period.end).start, period.end);
            prop_assert_eq!(calendar.period(granularity, period.end - 1), period);
        }
    }
}
