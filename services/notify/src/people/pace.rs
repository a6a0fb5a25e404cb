//! When a notice is sent: at once, with the others of the day, or when quiet hours are over.

use super::rule;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{ToSpan as _, Zoned};
use remit_api::notify::v1::{DutyRule, Notice, NotificationSettings, Pace};
use remit_api::wire::time;
use remit_core::Timestamp;

/// When something is sent, and with what else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct When {
    pub(crate) at: Timestamp,
    /// What is of the same slot is sent together; 0: alone.
    pub(crate) slot: i64,
}

/// When a notice is sent by these settings. Nothing waits beyond its time: it would come too late to do anything. What the
/// law or the constitution puts a clock on waits only if more than half of the time is left then; if nobody has said how
/// much time there is, it does not wait.
pub(crate) fn when(settings: &NotificationSettings, notice: &Notice, now: Timestamp) -> When {
    let pace = rule(settings, &notice.duty).map_or(Pace::Unspecified, DutyRule::pace);
    let together = match pace {
        Pace::AtOnce => false,
        Pace::Digest => true,
        Pace::Unspecified => settings.digest,
    };
    let zone = zone(&settings.time_zone);
    let at_once = When { at: now, slot: 0 };
    let wished = wished(settings, &zone, now, together).unwrap_or(at_once);
    let due = notice.due_time.as_ref().map(time::of);
    let in_time = match due {
        _ if notice.statutory => due.is_some_and(|due| due > now && wished.at.since(now) <= due.since(now) / 2),
        // What is over already is no more over in the morning.
        Some(due) => due <= now || wished.at < due,
        None => true,
    };
    if in_time { wished } else { at_once }
}

/// The zone of this name, or UTC.
pub(super) fn zone(name: &str) -> TimeZone {
    if name.is_empty() { TimeZone::UTC } else { TimeZone::get(name).unwrap_or(TimeZone::UTC) }
}

fn wished(settings: &NotificationSettings, zone: &TimeZone, now: Timestamp, together: bool) -> Option<When> {
    let local = jiff::Timestamp::from_microsecond(now.0).ok()?.to_zoned(zone.clone());
    let local = if together {
        let hour = Time::new(i8::try_from(settings.digest_hour).ok()?, 0, 0, 0).ok()?;
        next(&local, hour)?
    } else {
        local
    };
    let at = after_quiet(settings, &local)?;
    let at = Timestamp(at.timestamp().as_microsecond()).max(now);
    Some(When { at, slot: if together { at.0 } else { 0 } })
}

/// The next time that the clock of the wall shows `time`, after `now`.
fn next(now: &Zoned, time: Time) -> Option<Zoned> {
    let today = now.date().to_datetime(time).to_zoned(now.time_zone().clone()).ok()?;
    if today > *now {
        return Some(today);
    }
    now.date().checked_add(1.day()).ok()?.to_datetime(time).to_zoned(now.time_zone().clone()).ok()
}

/// `at`, or the end of the quiet hours that it is in.
fn after_quiet(settings: &NotificationSettings, at: &Zoned) -> Option<Zoned> {
    let (start, end) = (settings.quiet_start_minute, settings.quiet_end_minute);
    let minute = i32::from(at.hour()) * 60 + i32::from(at.minute());
    let quiet = if start <= end { (start..end).contains(&minute) } else { minute >= start || minute < end };
    if !quiet {
        return Some(at.clone());
    }
    let end = Time::new(i8::try_from(end / 60).ok()?, i8::try_from(end % 60).ok()?, 0, 0).ok()?;
    next(at, end)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use remit_api::wire::time::stamp;

    fn at(text: &str) -> Timestamp {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    fn berlin() -> NotificationSettings {
        NotificationSettings {
            time_zone: "Europe/Berlin".to_owned(),
            digest_hour: 9,
            quiet_start_minute: 22 * 60,
            quiet_end_minute: 7 * 60 + 30,
            ..NotificationSettings::default()
        }
    }

    fn sent(settings: &NotificationSettings, notice: &Notice, now: &str) -> String {
        let When { at, .. } = when(settings, notice, self::at(now));
        at.to_string()
    }

    #[test]
    fn quiet_hours_hold_in_her_zone_and_through_the_change_of_clocks() {
        let notice = Notice::default();
        assert_eq!(sent(&berlin(), &notice, "2026-01-05T12:00:00Z"), "2026-01-05T12:00:00Z");
        assert_eq!(sent(&berlin(), &notice, "2026-01-05T21:00:00Z"), "2026-01-06T06:30:00Z");
        assert_eq!(sent(&berlin(), &notice, "2026-01-06T06:29:00Z"), "2026-01-06T06:30:00Z");
        assert_eq!(sent(&berlin(), &notice, "2026-01-06T06:30:00Z"), "2026-01-06T06:30:00Z");
        // In the night of the 29th of March the clock goes forward.
        assert_eq!(sent(&berlin(), &notice, "2026-03-28T23:00:00Z"), "2026-03-29T05:30:00Z");
        let none = NotificationSettings { quiet_end_minute: 22 * 60, ..berlin() };
        assert_eq!(sent(&none, &notice, "2026-01-05T21:00:00Z"), "2026-01-05T21:00:00Z");
    }

    #[test]
    fn a_digest_comes_once_a_day_and_never_in_quiet_hours() {
        let notice = Notice { duty: "alert_resolved".to_owned(), ..Notice::default() };
        let digest = NotificationSettings { digest: true, ..berlin() };
        let morning = when(&digest, &notice, at("2026-01-05T07:00:00Z"));
        assert_eq!((morning.at, morning.slot), (at("2026-01-05T08:00:00Z"), at("2026-01-05T08:00:00Z").0));
        assert_eq!(sent(&digest, &notice, "2026-01-05T08:00:00Z"), "2026-01-06T08:00:00Z");
        let early = NotificationSettings { digest_hour: 3, ..digest.clone() };
        assert_eq!(sent(&early, &notice, "2026-01-05T12:00:00Z"), "2026-01-06T06:30:00Z");
        let rules = vec![DutyRule { duty: notice.duty.clone(), pace: Pace::AtOnce.into(), ..DutyRule::default() }];
        let except = NotificationSettings { rules, ..digest };
        assert_eq!(sent(&except, &notice, "2026-01-05T08:00:00Z"), "2026-01-05T08:00:00Z");
        let other = Notice { duty: "waiver_expired".to_owned(), ..notice };
        assert_eq!(sent(&except, &other, "2026-01-05T08:00:00Z"), "2026-01-06T08:00:00Z");
    }

    #[test]
    fn nothing_waits_beyond_half_of_its_clock() {
        let digest = NotificationSettings { digest: true, ..berlin() };
        let notice = |due: &str| Notice { statutory: true, due_time: Some(stamp(at(due))), ..Notice::default() };
        let now = "2026-01-05T20:00:00Z";
        assert_eq!(sent(&digest, &notice("2026-01-06T08:00:00Z"), now), now, "it would come when it is due");
        assert_eq!(sent(&digest, &notice("2026-01-06T20:00:00Z"), now), "2026-01-06T08:00:00Z", "half of it is left");
        assert_eq!(sent(&digest, &notice("2026-01-06T19:59:00Z"), now), now);
        assert_eq!(sent(&digest, &notice("2026-01-05T10:00:00Z"), now), now, "it is over");
        assert_eq!(sent(&digest, &Notice { statutory: true, ..Notice::default() }, now), now, "nobody knows its time");
        // What no law puts a clock on waits longer, and not beyond its time either.
        let other = |due: &str| Notice { statutory: false, ..notice(due) };
        assert_eq!(sent(&digest, &other("2026-01-06T08:01:00Z"), now), "2026-01-06T08:00:00Z");
        assert_eq!(sent(&digest, &other("2026-01-06T08:00:00Z"), now), now, "it would come when it is due");
        assert_eq!(sent(&digest, &other("2026-01-05T10:00:00Z"), now), "2026-01-06T08:00:00Z", "it is over");
    }
}
