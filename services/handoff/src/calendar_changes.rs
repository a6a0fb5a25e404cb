//! Whether a calendar has less working time than before, by which every business clock runs longer.
//!
//! Anyone responsible may add working time; what takes it away, or moves it, needs the council's mandate: deadlines that
//! a law or a customer was promised would move with it.

use remit_api::handoff::v1::Calendar;
use remit_core::strictness::{Comparison, Direction};
use std::collections::BTreeSet;

/// How many new holidays are named.
const MOST_DATES: usize = 20;

/// What `after` changes of `before`, both of the right form.
pub(crate) fn compare(before: &Calendar, after: &Calendar) -> Comparison {
    let mut found = Comparison::default();
    let (was, is) = (&before.time_zone, &after.time_zone);
    found.part("time_zone", Direction::unknown(was, is), was, is);
    let (was, is) = (minutes(before), minutes(after));
    let of_a_week = |minutes: &BTreeSet<_>| format!("{} minutes a week", minutes.len());
    found.part("hours", working_time(&was, &is), of_a_week(&was), of_a_week(&is));
    let (was, is) = (holidays(before), holidays(after));
    // A holiday is a day without working time.
    let new: BTreeSet<&str> = is.difference(&was).copied().collect();
    let after = format!("{}, new ones {}", is.len(), list(&new));
    found.part("holidays", working_time(&is, &was), was.len(), after);
    found
}

/// The direction of a change of what is working time.
fn working_time<T: Ord>(was: &BTreeSet<T>, is: &BTreeSet<T>) -> Direction {
    Direction::required(false, !is.is_subset(was)).merge(Direction::required(!was.is_subset(is), false))
}

/// The working minutes of a week, by day.
fn minutes(calendar: &Calendar) -> BTreeSet<(i32, i32)> {
    let of = |span: &remit_api::handoff::v1::WorkingHours| {
        let weekday = span.weekday;
        (span.start_minute..span.end_minute).map(move |minute| (weekday, minute))
    };
    calendar.hours.iter().flat_map(of).collect()
}

fn holidays(calendar: &Calendar) -> BTreeSet<&str> {
    calendar.holidays.iter().map(|holiday| holiday.date.as_str()).collect()
}

/// The first of these dates; a calendar may have a thousand.
fn list(dates: &BTreeSet<&str>) -> String {
    let mut first: Vec<&str> = dates.iter().copied().take(MOST_DATES).collect();
    if dates.len() > MOST_DATES {
        first.push("…");
    }
    first.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use remit_api::handoff::v1::{Holiday, Weekday, WorkingHours};

    fn calendar(spans: &[(Weekday, i32, i32)], holidays: &[&str]) -> Calendar {
        let span = |(day, start_minute, end_minute): &(Weekday, i32, i32)| WorkingHours {
            weekday: (*day).into(),
            start_minute: *start_minute,
            end_minute: *end_minute,
        };
        let holiday = |date: &&str| Holiday { date: (*date).to_owned(), ..Holiday::default() };
        Calendar {
            time_zone: "Europe/Berlin".to_owned(),
            hours: spans.iter().map(span).collect(),
            holidays: holidays.iter().map(holiday).collect(),
            ..Calendar::default()
        }
    }

    #[test]
    fn less_working_time_is_looser() {
        let monday = |start, end| (Weekday::Monday, start, end);
        let before = calendar(&[monday(540, 1020)], &["2026-05-25"]);
        let direction = |after: &Calendar| compare(&before, after).direction();
        assert_eq!(direction(&before), Direction::Same);
        assert_eq!(direction(&calendar(&[monday(540, 700), monday(700, 1020)], &["2026-05-25"])), Direction::Same);
        assert_eq!(direction(&calendar(&[monday(480, 1080)], &["2026-05-25"])), Direction::Tightens);
        assert_eq!(direction(&calendar(&[monday(540, 1019)], &["2026-05-25"])), Direction::Loosens);
        assert_eq!(direction(&calendar(&[monday(600, 1080)], &["2026-05-25"])), Direction::Mixed);
        assert_eq!(direction(&calendar(&[monday(540, 1020)], &[])), Direction::Tightens);
        assert_eq!(direction(&calendar(&[monday(540, 1020)], &["2026-05-25", "2026-12-24"])), Direction::Loosens);
        assert_eq!(direction(&calendar(&[monday(540, 1020)], &["2026-12-24"])), Direction::Mixed);
        let more = compare(&before, &calendar(&[monday(540, 1020)], &["2026-05-25", "2026-12-24"]));
        assert_eq!(more.loosened(), ["holidays from 1 to 2, new ones 2026-12-24"]);
        let elsewhere = Calendar { time_zone: "Asia/Tokyo".to_owned(), ..before.clone() };
        assert_eq!(direction(&elsewhere), Direction::Mixed);
        let titled = Calendar { display_name: "Berlin".to_owned(), ..before.clone() };
        assert_eq!(direction(&titled), Direction::Same);
    }
}
