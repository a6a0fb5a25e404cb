//! The clocks that the law starts when something went wrong.

use crate::library::split;
use crate::time::at;
use remit_api::council::v1::{ClockKind, ClockState, Incident, Seriousness, StatutoryClock};
use remit_api::wire::Word as _;
use remit_api::wire::time::stamp;
use remit_core::{Error, Result, Timestamp};
use std::sync::OnceLock;
use std::time::Duration;

/// What the law asks to be reported and within how long, each with its source.
const TABLE: &str = include_str!("../data/clocks.csv");
/// What starts the clock of a notification about personal data, beside the words of [`Seriousness`].
const BREACH: &str = "PERSONAL_DATA_BREACH";

/// What starts a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// An incident of a high-risk system that is so serious.
    Incident(Seriousness),
    /// A breach of personal data.
    Breach,
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Duty {
    kind: ClockKind,
    when: Cause,
    within: Duration,
}

/// Reads the table that ships with the binary.
///
/// # Errors
/// `Internal` if it is broken, which a test rules out.
pub(crate) fn check() -> Result<()> {
    table().map(drop)
}

fn table() -> Result<&'static [Duty]> {
    static PARSED: OnceLock<Vec<Duty>> = OnceLock::new();
    if let Some(parsed) = PARSED.get() {
        return Ok(parsed);
    }
    let parsed = TABLE.lines().skip(1).map(parse).collect::<Result<Vec<_>>>()?;
    Ok(PARSED.get_or_init(|| parsed))
}

fn parse(line: &str) -> Result<Duty> {
    let broken = || Error::internal(format!("the table of statutory clocks has a broken line: {line}"));
    let fields = split(line);
    let [kind, when, hours, _source] = fields.as_slice() else { return Err(broken()) };
    let when = match when.as_str() {
        BREACH => Cause::Breach,
        word => Cause::Incident(Seriousness::parse(word).ok_or_else(broken)?),
    };
    let hours: u64 = hours.parse().map_err(|_| broken())?;
    let kind = ClockKind::parse(kind).ok_or_else(broken)?;
    Ok(Duty { kind, when, within: Duration::from_secs(hours * 3_600) })
}

/// The clocks that an incident starts, with their deadlines.
fn duties(incident: &Incident) -> Vec<(ClockKind, Timestamp)> {
    let aware = at(&incident.aware_time);
    let applies = |duty: &&Duty| match duty.when {
        Cause::Breach => incident.personal_data_breach,
        Cause::Incident(seriousness) => incident.high_risk_system && incident.seriousness() == seriousness,
    };
    // The table was read when the service started.
    let table = table().unwrap_or_default();
    table.iter().filter(applies).map(|duty| (duty.kind, aware.plus(duty.within))).collect()
}

/// Computes the clocks anew; what was met stays met. A duty that no longer applies stays as withdrawn, and one that was
/// put off says what it was, for `reason`.
pub(crate) fn wind(incident: &mut Incident, now: Timestamp, reason: &str) {
    let before = std::mem::take(&mut incident.clocks);
    let duties = duties(incident);
    for (kind, due) in &duties {
        let (kind, due) = (*kind, *due);
        let old = before.iter().find(|clock| clock.kind() == kind);
        let met = old.and_then(|clock| clock.met_time);
        // A clock that a wrong grade had removed finds its report again.
        let handed = incident.submissions.iter().find(|submission| submission.clock() == kind);
        let met_time = met.or_else(|| handed.and_then(|submission| submission.submit_time));
        let state = match met_time {
            Some(_) if at(&met_time) <= due => ClockState::Met,
            Some(_) => ClockState::MetLate,
            None if now >= due => ClockState::Breached,
            None => ClockState::Running,
        };
        let mut clock = StatutoryClock {
            kind: kind.into(),
            due_time: Some(stamp(due)),
            state: state.into(),
            met_time,
            ..old.cloned().unwrap_or_default()
        };
        let running = |old: &&StatutoryClock| met_time.is_none() && old.state() != ClockState::Withdrawn;
        if let Some(old) = old.filter(running).filter(|old| at(&old.due_time) < due) {
            withdraw(&mut clock, old, now, reason);
        }
        incident.clocks.push(clock);
    }
    for old in before.iter().filter(|old| duties.iter().all(|(kind, _)| *kind != old.kind())) {
        let mut clock = old.clone();
        if old.state() != ClockState::Withdrawn {
            withdraw(&mut clock, old, now, reason);
            clock.state = ClockState::Withdrawn.into();
        }
        incident.clocks.push(clock);
    }
}

fn withdraw(clock: &mut StatutoryClock, old: &StatutoryClock, now: Timestamp, reason: &str) {
    clock.withdraw_time = Some(stamp(now));
    reason.clone_into(&mut clock.withdraw_reason);
    clock.withdrawn_due_time = old.due_time;
}

/// Whether a duty that ran in `before` was withdrawn or put off.
pub(crate) fn loosened(before: &Incident, after: &Incident) -> bool {
    let told = |clock: &StatutoryClock| (clock.withdraw_time, clock.withdrawn_due_time);
    let withdrawn = |clock: &StatutoryClock| clock.state() == ClockState::Withdrawn;
    before.clocks.iter().any(|old| {
        let new = after.clocks.iter().find(|clock| clock.kind() == old.kind());
        new.is_none_or(|new| told(new) != told(old) || (withdrawn(new) && !withdrawn(old)))
    })
}

/// Whether a report is still to be handed in.
pub(crate) fn is_due(clock: &StatutoryClock) -> bool {
    matches!(clock.state(), ClockState::Running | ClockState::Breached)
}

/// When the clock of a kind runs out; `None` if it does not run.
pub(crate) fn alarm(incident: &Incident, kind: ClockKind) -> Option<Timestamp> {
    let running = |clock: &&StatutoryClock| clock.kind() == kind && clock.state() == ClockState::Running;
    incident.clocks.iter().find(running).map(|clock| at(&clock.due_time))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;
    use crate::time::days;

    fn incident(seriousness: Seriousness, breach: bool) -> Incident {
        Incident {
            high_risk_system: true,
            seriousness: seriousness.into(),
            personal_data_breach: breach,
            aware_time: Some(stamp(Timestamp(0))),
            ..Incident::default()
        }
    }

    #[test]
    fn clocks_follow_the_law() {
        let limits = [(Seriousness::Serious, 15), (Seriousness::Widespread, 2), (Seriousness::Death, 10)];
        for (seriousness, limit) in limits {
            let due = Timestamp(0).plus(days(limit));
            assert_eq!(duties(&incident(seriousness, false)), [(ClockKind::AiAct73, due)]);
        }
        let low_risk = Incident { high_risk_system: false, ..incident(Seriousness::Serious, true) };
        assert_eq!(duties(&low_risk), [(ClockKind::Gdpr33, Timestamp(0).plus(days(3)))]);
    }

    #[test]
    fn a_clock_runs_is_breached_and_is_met() {
        let mut incident = incident(Seriousness::Widespread, false);
        wind(&mut incident, Timestamp(1), "");
        assert_eq!(incident.clocks[0].state(), ClockState::Running);
        assert_eq!(alarm(&incident, ClockKind::AiAct73), Some(Timestamp(0).plus(days(2))));
        wind(&mut incident, Timestamp(0).plus(days(2)), "");
        assert_eq!(incident.clocks[0].state(), ClockState::Breached);
        assert_eq!(alarm(&incident, ClockKind::AiAct73), None);
        incident.clocks[0].met_time = Some(stamp(Timestamp(0).plus(days(1))));
        wind(&mut incident, Timestamp(0).plus(days(3)), "");
        assert_eq!(incident.clocks[0].state(), ClockState::Met);
    }
    #[test]
    fn a_duty_does_not_vanish() {
        let mut incident = incident(Seriousness::Death, true);
        wind(&mut incident, Timestamp(1), "");
        let before = incident.clone();
        incident.personal_data_breach = false;
        incident.seriousness = Seriousness::Serious.into();
        let later = Timestamp(0).plus(days(4));
        wind(&mut incident, later, "the data were test data");
        assert!(loosened(&before, &incident));
        let [ai_act, gdpr] = &incident.clocks[..] else { panic!("{:#?}", incident.clocks) };
        assert_eq!((ai_act.state(), at(&ai_act.due_time)), (ClockState::Running, Timestamp(0).plus(days(15))));
        assert_eq!(at(&ai_act.withdrawn_due_time), Timestamp(0).plus(days(10)), "it was put off");
        assert_eq!((gdpr.state(), gdpr.withdraw_reason.as_str()), (ClockState::Withdrawn, "the data were test data"));
        assert_eq!(at(&gdpr.withdraw_time), later);
        assert_eq!(alarm(&incident, ClockKind::Gdpr33), None);
        assert!(!is_due(gdpr));
        // What happens afterwards changes nothing about it, and the duty may come back.
        let before = incident.clone();
        wind(&mut incident, Timestamp(0).plus(days(5)), "");
        assert!(!loosened(&before, &incident));
        assert_eq!(incident.clocks, before.clocks);
        incident.personal_data_breach = true;
        wind(&mut incident, Timestamp(0).plus(days(5)), "");
        assert!(!loosened(&before, &incident));
        let gdpr = incident.clocks.iter().find(|clock| clock.kind() == ClockKind::Gdpr33);
        assert_eq!(gdpr.map(StatutoryClock::state), Some(ClockState::Breached));
    }
}
