//! The clocks that the law starts when something went wrong.

use crate::time::{at, days};
use remit_api::council::v1::{ClockKind, ClockState, Incident, Seriousness, StatutoryClock};
use remit_api::wire::time::stamp;
use remit_core::Timestamp;

/// The clocks that an incident starts, with their deadlines.
///
/// # Source
/// Regulation (EU) 2024/1689 Art. 73(2)-(4): 15 days after becoming aware of a serious incident with a
/// high-risk system, 2 days for a widespread infringement or critical infrastructure, 10 days for a
/// death. Regulation (EU) 2016/679 Art. 33(1): 72 hours after becoming aware of a personal data breach.
fn duties(incident: &Incident) -> Vec<(ClockKind, Timestamp)> {
    let aware = at(&incident.aware_time);
    let limit = match incident.seriousness() {
        Seriousness::Serious => Some(15),
        Seriousness::Widespread => Some(2),
        Seriousness::Death => Some(10),
        Seriousness::NotSerious | Seriousness::Unspecified => None,
    };
    let mut duties = Vec::new();
    if let (true, Some(limit)) = (incident.high_risk_system, limit) {
        duties.push((ClockKind::AiAct73, aware.plus(days(limit))));
    }
    if incident.personal_data_breach {
        duties.push((ClockKind::Gdpr33, aware.plus(days(3))));
    }
    duties
}

/// Computes the clocks anew; what was met stays met.
pub(crate) fn wind(incident: &mut Incident, now: Timestamp) {
    let before = std::mem::take(&mut incident.clocks);
    for (kind, due) in duties(incident) {
        let met = before.iter().find(|clock| clock.kind() == kind).and_then(|clock| clock.met_time);
        // A clock that a wrong grade had removed finds its report again.
        let handed = incident.submissions.iter().find(|submission| submission.clock() == kind);
        let met_time = met.or_else(|| handed.and_then(|submission| submission.submit_time));
        let state = match met_time {
            Some(_) if at(&met_time) <= due => ClockState::Met,
            Some(_) => ClockState::MetLate,
            None if now >= due => ClockState::Breached,
            None => ClockState::Running,
        };
        incident.clocks.push(StatutoryClock {
            kind: kind.into(),
            due_time: Some(stamp(due)),
            state: state.into(),
            met_time,
        });
    }
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
    use super::*;

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
        wind(&mut incident, Timestamp(1));
        assert_eq!(incident.clocks[0].state(), ClockState::Running);
        assert_eq!(alarm(&incident, ClockKind::AiAct73), Some(Timestamp(0).plus(days(2))));
        wind(&mut incident, Timestamp(0).plus(days(2)));
        assert_eq!(incident.clocks[0].state(), ClockState::Breached);
        assert_eq!(alarm(&incident, ClockKind::AiAct73), None);
        incident.clocks[0].met_time = Some(stamp(Timestamp(0).plus(days(1))));
        wind(&mut incident, Timestamp(0).plus(days(3)));
        assert_eq!(incident.clocks[0].state(), ClockState::Met);
    }
}
