//! iCalendar (RFC 5545): what the pack says is due, for the calendars of those who see to it. The bytes depend on the pack
//! alone, so that importing it again changes nothing.

use crate::review::Pack;
use remit_core::digest;

/// How many octets a line may have before it goes on in the next (RFC 5545, section 3.1).
const LINE: usize = 75;

/// The calendar.
pub(crate) fn render(pack: &Pack) -> String {
    let mut out = String::new();
    let header = &pack.evidence.header;
    line(&mut out, "BEGIN:VCALENDAR");
    line(&mut out, "VERSION:2.0");
    line(&mut out, "PRODID:-//Remit//Review pack//EN");
    line(&mut out, &format!("X-WR-CALNAME:{}", text(&format!("{}, {}", header.body_title, header.period))));
    let stamp = utc(&header.collect_time);
    for due in &pack.evidence.due {
        // The same thing keeps its id in later packs, and moves in the calendar when it is put off.
        let id = digest::sha256(format!("{}\n{}", due.resource, due.what).as_bytes());
        line(&mut out, "BEGIN:VEVENT");
        line(&mut out, &format!("UID:{}@remit", id.get(7..39).unwrap_or_default()));
        line(&mut out, &format!("DTSTAMP:{stamp}"));
        line(&mut out, &format!("DTSTART:{}", utc(&due.time)));
        line(&mut out, &format!("SUMMARY:{}", text(&format!("Due: {}", due.what))));
        let owner = if due.owner.is_empty() { "nobody was named".to_owned() } else { due.owner.clone() };
        line(&mut out, &format!("DESCRIPTION:{}", text(&format!("{}\nWho sees to it: {owner}", due.resource))));
        line(&mut out, "TRANSP:TRANSPARENT");
        line(&mut out, "END:VEVENT");
    }
    line(&mut out, "END:VCALENDAR");
    out
}

/// An instant of RFC 3339 in UTC as `YYYYMMDDTHHMMSSZ`.
fn utc(time: &str) -> String {
    let whole = time.split(['.', 'Z']).next().unwrap_or_default();
    let digits: String = whole.chars().filter(|letter| !matches!(letter, '-' | ':')).collect();
    format!("{digits}Z")
}

/// A value of the type TEXT.
fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for letter in value.chars() {
        match letter {
            '\\' | ';' | ',' => out.extend(['\\', letter]),
            '\n' => out.push_str("\\n"),
            // Other control characters are not allowed at all.
            other if other.is_control() => {}
            other => out.push(other),
        }
    }
    out
}

/// Adds a line, folded where it is too long.
fn line(out: &mut String, content: &str) {
    let mut used = 0;
    for letter in content.chars() {
        if used + letter.len_utf8() > LINE {
            out.push_str("\r\n ");
            used = 1;
        }
        out.push(letter);
        used += letter.len_utf8();
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_wrote_neither_breaks_lines_nor_adds_any() {
        assert_eq!(text("a;b,c\\\r\nEND:VEVENT"), "a\\;b\\,c\\\\\\nEND:VEVENT");
        let mut out = String::new();
        line(&mut out, &"ä".repeat(80));
        assert!(out.lines().all(|line| line.len() <= LINE), "{out}");
        assert_eq!(out.replace("\r\n ", ""), format!("{}\r\n", "ä".repeat(80)), "no letter was cut in two");
        assert_eq!(utc("2009-07-07T10:00:00.25Z"), "20090707T100000Z");
    }
}
