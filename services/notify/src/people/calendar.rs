//! Deadlines as entries of calendars (RFC 5545). An entry keeps its UID for good, so that a calendar changes it and does
//! not add another.

use crate::language;
use crate::store::deadlines::Deadline;
use icalendar::{Calendar, Component as _, Event, EventStatus, Property};
use jiff::tz::TimeZone;
use remit_core::{Error, Result, Tenant, Timestamp};
use sha2::{Digest as _, Sha256};

/// What becomes of entries (RFC 5546).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// They are put into the calendar, or changed there.
    Publish,
    /// They are taken out.
    Cancel,
}

impl Method {
    /// As it stands in the calendar and in the type of an attachment.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Publish => "PUBLISH",
            Self::Cancel => "CANCEL",
        }
    }
}

/// The calendar of some deadlines, in a language; what is said of other times is in a time zone.
///
/// # Errors
/// `Internal` for a time that no calendar has.
pub(crate) fn render(
    tenant: &Tenant,
    deadlines: &[Deadline],
    method: Method,
    (language, zone): (&str, &str),
    organizer: &str,
) -> Result<String> {
    let properties =
        [("VERSION", "2.0"), ("PRODID", "-//Remit//Notify//EN"), ("CALSCALE", "GREGORIAN"), ("METHOD", method.word())];
    let properties = properties.map(|(name, value)| Property::new(name, value)).to_vec();
    let mut calendar = Calendar { properties, components: Vec::new() };
    let zone = super::pace::zone(zone);
    for deadline in deadlines {
        calendar.push(entry(tenant, deadline, (language, &zone), organizer)?);
    }
    Ok(calendar.to_string())
}

fn entry(tenant: &Tenant, deadline: &Deadline, (language, zone): (&str, &TimeZone), organizer: &str) -> Result<Event> {
    let notice = language::notice(deadline.notice.clone(), language, zone);
    let created = notice.create_time.as_ref().map(remit_api::wire::time::of).unwrap_or_default();
    let sequence = u32::try_from(deadline.sequence).unwrap_or(u32::MAX);
    let mut event = Event::new();
    event
        .uid(&uid(tenant, &notice.duty, &notice.resource))
        .sequence(sequence)
        .summary(&language::clean(&notice.text, 500))
        .description(&format!("{}: {}", language::say(language, "otherwise-label", &[]), notice.otherwise))
        .add_property("DTSTAMP", utc(created)?)
        // Without an end it is a moment (RFC 5545, section 3.6.1): an end must be later.
        .add_property("DTSTART", utc(deadline.due)?)
        // Nobody is busy because something is due.
        .add_property("TRANSP", "TRANSPARENT")
        .status(if deadline.cancelled { EventStatus::Cancelled } else { EventStatus::Confirmed });
    if !organizer.is_empty() {
        event.add_property("ORGANIZER", format!("mailto:{organizer}"));
    }
    Ok(event.done())
}

/// The name of an entry, the same for as long as there is the thing.
fn uid(tenant: &Tenant, duty: &str, resource: &str) -> String {
    let digest = Sha256::digest(format!("{tenant}\0{duty}\0{resource}"));
    format!("{}@remit", hex::encode(&digest[..20]))
}

/// A time in UTC as calendars write it.
fn utc(at: Timestamp) -> Result<String> {
    let time = jiff::Timestamp::from_microsecond(at.0);
    let time = time.map_err(|error| Error::internal("a time is out of range").with_source(error))?;
    Ok(time.strftime("%Y%m%dT%H%M%SZ").to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use remit_api::notify::v1::Notice;

    fn deadline(resource: &str) -> Deadline {
        let notice = Notice {
            duty: "handoff_review_wanted".to_owned(),
            text: format!("{resource} waits; read it, please."),
            otherwise: "It is escalated.".to_owned(),
            resource: resource.to_owned(),
            ..Notice::default()
        };
        let due = "2026-01-05T10:00:00Z".parse::<jiff::Timestamp>().unwrap().into();
        Deadline { notice, due, sequence: 0, cancelled: false }
    }

    fn lines(deadline: Deadline, method: Method) -> Vec<String> {
        let tenant = Tenant::new("acme").unwrap();
        let calendar = render(&tenant, &[deadline], method, ("en", "Europe/Berlin"), "remit@example.com").unwrap();
        assert!(calendar.split("\r\n").all(|line| line.len() <= 75 && !line.contains(['\r', '\n'])), "{calendar}");
        calendar.replace("\r\n ", "").lines().map(str::to_owned).collect()
    }

    fn value<'a>(lines: &'a [String], name: &str) -> &'a str {
        let found = lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.unwrap_or_else(|| unreachable!("no {name}: {lines:?}"))
    }

    #[test]
    fn an_entry_keeps_its_name_and_counts_its_changes() {
        let first = lines(deadline("handoffs/h"), Method::Publish);
        assert_eq!((value(&first, "METHOD"), value(&first, "SEQUENCE")), ("PUBLISH", "0"));
        assert_eq!((value(&first, "DTSTART"), value(&first, "STATUS")), ("20260105T100000Z", "CONFIRMED"));
        assert_eq!(value(&first, "SUMMARY"), "handoffs/h waits\\; read it\\, please.");
        assert_eq!(value(&first, "ORGANIZER"), "mailto:remit@example.com");
        let moved = Deadline { sequence: 3, cancelled: true, ..deadline("handoffs/h") };
        let moved = lines(moved, Method::Cancel);
        assert_eq!(value(&moved, "UID"), value(&first, "UID"));
        assert_eq!((value(&moved, "METHOD"), value(&moved, "SEQUENCE")), ("CANCEL", "3"));
        assert_eq!(value(&moved, "STATUS"), "CANCELLED");
        assert_ne!(value(&lines(deadline("handoffs/i"), Method::Publish), "UID"), value(&first, "UID"));
    }

    #[test]
    fn a_sentence_says_the_times_of_her_zone_and_the_entry_that_of_utc() {
        let mut due = deadline("handoffs/h");
        due.notice.text = "handoffs/h waits until 2026-01-05 10:00 UTC.".to_owned();
        due.notice.parameters = [("due".to_owned(), "2026-01-05T10:00:00Z".to_owned())].into();
        let shown = lines(due, Method::Publish);
        assert_eq!(value(&shown, "SUMMARY"), "handoffs/h waits until 2026-01-05 11:00 CET.");
        assert_eq!(value(&shown, "DTSTART"), "20260105T100000Z");
    }

    #[test]
    fn a_hostile_name_adds_no_line() {
        let hostile = lines(deadline("a\r\nATTENDEE:mailto:b@example.com\u{202e}"), Method::Publish);
        assert!(!hostile.iter().any(|line| line.starts_with("ATTENDEE")), "{hostile:?}");
        let long = lines(deadline(&"ä".repeat(300)), Method::Publish);
        assert!(value(&long, "SUMMARY").contains(&"ä".repeat(300)));
    }
}
