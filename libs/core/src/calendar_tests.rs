#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn week(start: u16, end: u16) -> Vec<Hours> {
    (1..=5).map(|weekday| Hours { weekday, start: start * 60, end: end * 60 }).collect()
}

fn at(text: &str) -> Timestamp {
    text.parse::<jiff::Zoned>().unwrap().timestamp().into()
}

fn due(calendar: &Calendar, start: &str, duration: &str) -> String {
    let due = calendar.after(at(start), IsoDuration::parse(duration, "duration").unwrap()).unwrap();
    due.to_jiff().to_zoned(calendar.zone().clone()).to_string()
}

fn berlin(holidays: &[&str]) -> Calendar {
    Calendar::new("Europe/Berlin", &week(9, 18), holidays.iter().map(|day| day.parse::<Date>().unwrap())).unwrap()
}

#[test]
fn two_business_hours_pass_over_a_weekend_and_a_holiday() {
    let start = "2026-05-22T16:30:00+02:00[Europe/Berlin]";
    assert_eq!(due(&berlin(&[]), start, "PT2H"), "2026-05-25T09:30:00+02:00[Europe/Berlin]");
    assert_eq!(due(&berlin(&["2026-05-25"]), start, "PT2H"), "2026-05-26T09:30:00+02:00[Europe/Berlin]");
}

#[test]
fn a_clock_change_on_the_way_changes_nothing_on_the_wall_clock() {
    // In 2026 Berlin goes to summer time on Sunday 29 March and back on Sunday 25 October.
    assert_eq!(
        due(&berlin(&[]), "2026-03-27T17:00:00+01:00[Europe/Berlin]", "PT2H"),
        "2026-03-30T10:00:00+02:00[Europe/Berlin]"
    );
    assert_eq!(
        due(&berlin(&[]), "2026-10-23T17:00:00+02:00[Europe/Berlin]", "PT2H"),
        "2026-10-26T10:00:00+01:00[Europe/Berlin]"
    );
}

#[test]
fn working_hours_over_a_clock_change_count_the_hours_that_exist() {
    let nights: Vec<Hours> = (1..=7).map(|weekday| Hours { weekday, start: 0, end: 360 }).collect();
    let calendar = Calendar::new("Europe/Berlin", &nights, []).unwrap();
    let between = |from: &str, to: &str| calendar.between(at(from), at(to)).unwrap().as_secs() / 3600;
    assert_eq!(between("2026-03-29T00:00:00+01:00[Europe/Berlin]", "2026-03-29T12:00:00+02:00[Europe/Berlin]"), 5);
    assert_eq!(between("2026-10-25T00:00:00+02:00[Europe/Berlin]", "2026-10-25T12:00:00+01:00[Europe/Berlin]"), 7);
    assert_eq!(
        due(&calendar, "2026-03-29T01:30:00+01:00[Europe/Berlin]", "PT1H"),
        "2026-03-29T03:30:00+02:00[Europe/Berlin]"
    );
}

#[test]
fn a_business_day_is_the_same_time_on_the_next_working_day_and_not_24_hours() {
    let calendar = berlin(&["2026-05-25"]);
    assert_eq!(
        due(&calendar, "2026-05-22T16:30:00+02:00[Europe/Berlin]", "P1D"),
        "2026-05-26T16:30:00+02:00[Europe/Berlin]"
    );
    assert_eq!(
        due(&calendar, "2026-05-23T12:00:00+02:00[Europe/Berlin]", "P1D"),
        "2026-05-27T09:00:00+02:00[Europe/Berlin]"
    );
    assert_eq!(
        due(&calendar, "2026-05-20T16:30:15+02:00[Europe/Berlin]", "P1DT2H"),
        "2026-05-22T09:30:15+02:00[Europe/Berlin]"
    );
}

#[test]
fn a_shorter_next_day_and_a_lunch_break_are_respected() {
    let hours = [
        Hours { weekday: 4, start: 540, end: 1080 },
        Hours { weekday: 5, start: 540, end: 720 },
        Hours { weekday: 5, start: 780, end: 900 },
    ];
    let calendar = Calendar::new("UTC", &hours, []).unwrap();
    assert_eq!(due(&calendar, "2026-05-21T17:00:00+00:00[UTC]", "P1D"), "2026-05-22T15:00:00+00:00[UTC]");
    assert_eq!(due(&calendar, "2026-05-21T12:30:00+00:00[UTC]", "P1D"), "2026-05-22T13:00:00+00:00[UTC]");
    assert_eq!(due(&calendar, "2026-05-22T11:30:00+00:00[UTC]", "PT1H"), "2026-05-22T13:30:00+00:00[UTC]");
}

#[test]
fn a_due_time_may_be_the_end_of_the_day() {
    assert_eq!(
        due(&berlin(&[]), "2026-05-22T16:00:00+02:00[Europe/Berlin]", "PT2H"),
        "2026-05-22T18:00:00+02:00[Europe/Berlin]"
    );
}

#[test]
fn elapsed_time_ignores_the_calendar() {
    let start = at("2026-03-28T12:00:00+01:00[Europe/Berlin]");
    let due = IsoDuration::parse("PT24H", "d").unwrap().after(start);
    assert_eq!(due, at("2026-03-29T13:00:00+02:00[Europe/Berlin]"));
    assert_eq!(IsoDuration::parse("P1D", "d").unwrap().after(start), due);
}

#[test]
fn durations_that_mean_nothing_definite_are_refused() {
    for text in ["", "24", "1 hour", "PT", "P", "P1M", "P1Y", "-PT1H", "PT0S", "P367D", "PT9999H", "PTxH", "P1DT"] {
        let error = IsoDuration::parse(text, "service_level.duration").unwrap_err();
        assert_eq!(error.reason(), "DURATION_INVALID", "{text}");
        assert!(error.message().starts_with("service_level.duration"), "{text}");
    }
    let weeks = IsoDuration::parse("P1W", "d").unwrap();
    assert_eq!(weeks.elapsed(), SignedDuration::from_hours(168));
    assert!(berlin(&[]).after(Timestamp(0), weeks).is_err());
}

#[test]
fn calendars_that_cannot_be_are_refused() {
    let bad = [
        Calendar::new("Europe/Atlantis", &week(9, 17), []),
        Calendar::new("UTC", &[], []),
        Calendar::new("UTC", &[Hours { weekday: 8, start: 0, end: 60 }], []),
        Calendar::new("UTC", &[Hours { weekday: 0, start: 0, end: 60 }], []),
        Calendar::new("UTC", &[Hours { weekday: 1, start: 60, end: 60 }], []),
        Calendar::new("UTC", &[Hours { weekday: 1, start: 60, end: 1441 }], []),
        Calendar::new("UTC", &[Hours { weekday: 1, start: 0, end: 61 }, Hours { weekday: 1, start: 60, end: 90 }], []),
    ];
    for calendar in bad {
        assert_eq!(calendar.unwrap_err().reason(), "CALENDAR_INVALID");
    }
}

#[test]
fn a_calendar_of_holidays_only_is_exhausted_and_does_not_hang() {
    let start: Date = "2026-01-01".parse().unwrap();
    let calendar = Calendar::new("UTC", &week(9, 17), start.series(1.day()).take(2000)).unwrap();
    let error =
        calendar.after(at("2026-01-01T00:00:00+00:00[UTC]"), IsoDuration::parse("PT1H", "d").unwrap()).unwrap_err();
    assert_eq!(error.reason(), "CALENDAR_EXHAUSTED");
}

proptest! {
    /// What was added is what lies between, over weekends, holidays and both clock changes.
    #[test]
    fn between_undoes_after(hour in 0i64..24 * 365, minutes in 1i64..60 * 40) {
        let calendar = Calendar::new("America/New_York", &week(9, 17), ["2026-07-03".parse().unwrap()]).unwrap();
        let start = Timestamp(at("2026-01-01T00:00:00+00:00[UTC]").0 + hour * 3_600_000_000);
        let duration = IsoDuration::parse(&format!("PT{minutes}M"), "d").unwrap();
        let end = calendar.after(start, duration).unwrap();
        prop_assert!(end > start);
        prop_assert_eq!(i64::try_from(calendar.between(start, end).unwrap().as_secs()).unwrap(), minutes * 60);
    }

    /// A clock that stood still for a while is due when it has run as long as it would have, wherever it stood.
    #[test]
    fn what_was_left_of_a_clock_is_left_of_it(hour in 0i64..24 * 90, minutes in 2i64..600, pause in 0i64..20_000) {
        let calendar = berlin(&["2026-05-25"]);
        let start = Timestamp(at("2026-01-01T00:00:00+00:00[UTC]").0 + hour * 3_600_000_000);
        let whole = IsoDuration::parse(&format!("PT{minutes}M"), "d").unwrap();
        let due = calendar.after(start, whole).unwrap();
        let stopped = Timestamp(start.0 + (due.0 - start.0) / 2);
        let left = i64::try_from(calendar.between(stopped, due).unwrap().as_micros()).unwrap();
        let resumed = Timestamp(stopped.0 + pause * 60_000_000);
        let again = calendar.after(resumed, IsoDuration::of_micros(left)).unwrap();
        let ran = calendar.between(start, stopped).unwrap() + calendar.between(resumed, again).unwrap();
        prop_assert_eq!(ran, calendar.between(start, due).unwrap());
    }

    /// A later start is never due earlier.
    #[test]
    fn due_times_keep_the_order_of_starts(hour in 0i64..24 * 365, gap in 0i64..10_000, days in 0i64..4, minutes in 1i64..600) {
        let calendar = berlin(&["2026-12-25"]);
        let start = Timestamp(at("2026-01-01T00:00:00+00:00[UTC]").0 + hour * 3_600_000_000);
        let later = Timestamp(start.0 + gap * 60_000_000);
        let duration = IsoDuration::parse(&format!("P{days}DT{minutes}M"), "d").unwrap();
        prop_assert!(calendar.after(start, duration).unwrap() <= calendar.after(later, duration).unwrap());
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,40}") {
        let _ = IsoDuration::parse(&text, "d");
    }
}
