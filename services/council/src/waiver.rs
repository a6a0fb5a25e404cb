//! When a waiver may be granted, and when it holds.

use crate::time::{at, days};
use remit_api::council::v1::{GrantWaiver, Scope, Waiver};
use remit_api::wire::waivers;
pub(crate) use remit_api::wire::waivers::end_of;
use remit_core::{Error, Result, Timestamp, name};
use std::time::Duration;

/// Refuses a waiver of what nobody may waive, and one without an end within bounds.
///
/// # Errors
/// `InvalidArgument`: `ID_INVALID`, `SCOPE_REQUIRED`, `NAME_INVALID`, `WAIVER_INVALID`; `PermissionDenied`
/// (`CONTROL_NOT_WAIVABLE`).
pub(crate) fn check(grant: &GrantWaiver, now: Timestamp) -> Result<()> {
    name::id(&grant.waiver_id, "proposal.action.grant_waiver.waiver_id")?;
    crate::scope::check(grant.scope.as_ref(), "proposal.action.grant_waiver.scope")?;
    let until = at(&grant.expire_time);
    if until <= now || until > now.plus(days(366)) {
        let rule = "must be in the future and within 366 days";
        return Err(Error::invalid("WAIVER_INVALID", "proposal.action.grant_waiver.expire_time", rule));
    }
    crate::library::check_waivable(&grant.control)
}

/// Whether a waiver covers a case that touches these scopes, at any time.
pub(crate) fn covers(waiver: &Waiver, scopes: &[Scope]) -> bool {
    waivers::covers(waiver.scope.as_ref(), |part| scopes.iter().any(|scope| scope.target.as_ref() == Some(part)))
}

/// What comes back within this time was not gone: a rule that applies for a few days between two waivers is waived on.
const RENEWED_WITHIN: Duration = days(31);

/// How long the rule of `waiver` had been waived for its scope by its end: its own time and that of the waivers before
/// that it renews, each day counted once.
pub(crate) fn in_force_for(waiver: &Waiver, all: &[Waiver]) -> Duration {
    let same = |one: &&Waiver| one.control == waiver.control && one.scope == waiver.scope;
    let span = |one: &Waiver| (at(&one.create_time), end_of(one));
    let mut spans: Vec<_> = all.iter().filter(same).map(span).filter(|(start, end)| start < end).collect();
    // Backwards from its own end: what ended longest ago comes last.
    spans.sort_unstable_by_key(|(_, end)| std::cmp::Reverse(*end));
    let (mut reached, end) = span(waiver);
    let mut total = Timestamp(end.0.saturating_sub(reached.0).max(0));
    for (start, end) in spans {
        if start >= reached {
            continue;
        }
        if end.plus(RENEWED_WITHIN) < reached {
            break;
        }
        total = Timestamp(total.0.saturating_add(end.min(reached).0.saturating_sub(start.0)));
        reached = start;
    }
    Duration::from_micros(u64::try_from(total.0).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use remit_api::council::v1::scope::Target;
    use remit_api::wire::time::stamp;

    fn of(control: &str, start: u64, end: u64) -> Waiver {
        let day = |n| Some(stamp(Timestamp(0).plus(days(n))));
        Waiver {
            control: control.into(),
            scope: Some(Scope { target: Some(Target::Organisation(true)) }),
            create_time: day(start),
            expire_time: day(end),
            ..Waiver::default()
        }
    }

    #[test]
    fn only_what_a_waiver_renews_counts_towards_its_time() {
        let last = of("C43", 1_000, 1_100);
        let lasts = |others: &[Waiver]| in_force_for(&last, &[others, std::slice::from_ref(&last)].concat());
        assert_eq!(lasts(&[]), days(100));
        assert_eq!(lasts(&[of("C43", 700, 1_000)]), days(400));
        assert_eq!(lasts(&[of("C43", 400, 700)]), days(100), "a year in which the rule applied lies between");
        assert_eq!(lasts(&[of("C43", 700, 970), of("C43", 500, 700)]), days(570), "a month without is no end");
        assert_eq!(lasts(&[of("C43", 700, 1_050)]), days(400), "no day counts twice");
        assert_eq!(lasts(&[of("C44", 700, 1_000)]), days(100));
    }
}
