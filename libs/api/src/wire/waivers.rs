//! When a waiver holds, and what it covers: the one rule, for the service that grants them and the one that checks by them.

use super::time;
use crate::council::v1::scope::Target;
use crate::council::v1::{Scope, Waiver, WaiverState};
use remit_core::Timestamp;
use std::time::Duration;

/// How long a waiver that is over by time is named where it would have matched (R13).
pub const TOLD_AFTER_END: Duration = Duration::from_secs(30 * 86_400);

/// How a waiver stands at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It takes the effect of its rule away.
    Holds,
    /// It ended by time not long ago: whoever would still rely on it is told.
    Ended,
    /// It ended long ago, or a person ended it: that it would match is no news.
    Over,
}

/// The instant at which a waiver stops to hold: its expiry, or its revocation if that was earlier.
#[must_use]
pub fn end_of(waiver: &Waiver) -> Timestamp {
    let of = |stamp: &Option<prost_types::Timestamp>| stamp.as_ref().map(time::of);
    let expiry = of(&waiver.expire_time).unwrap_or_default();
    of(&waiver.revoke_time).map_or(expiry, |revoked| revoked.min(expiry))
}

/// How a waiver stands at `now`, by its times: that the timer of its end has not fired yet makes no difference.
#[must_use]
pub fn standing(waiver: &Waiver, now: Timestamp) -> Standing {
    let (state, end) = (waiver.state(), end_of(waiver));
    // Unknown means more human.
    let known = match state {
        WaiverState::Active | WaiverState::Expired => true,
        WaiverState::Revoked => waiver.revoke_time.is_some(),
        WaiverState::Unspecified => false,
    };
    match state {
        _ if known && now < end => Standing::Holds,
        WaiverState::Active | WaiverState::Expired if now < end.plus(TOLD_AFTER_END) => Standing::Ended,
        _ => Standing::Over,
    }
}

/// Whether what has this scope is about a case; `touches` says whether the case touches something smaller than the whole
/// organisation.
pub fn covers(scope: Option<&Scope>, touches: impl FnOnce(&Target) -> bool) -> bool {
    match scope.and_then(|scope| scope.target.as_ref()) {
        Some(Target::Organisation(whole)) => *whole,
        Some(part) => touches(part),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiver_holds_until_its_end_and_is_named_for_a_while() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        let of = |state: WaiverState, revoked: Option<i64>| Waiver {
            state: state.into(),
            expire_time: Some(time::stamp(at(1_000))),
            revoke_time: revoked.map(|revoked| time::stamp(at(revoked))),
            ..Waiver::default()
        };
        let told = i64::try_from(TOLD_AFTER_END.as_secs()).unwrap_or_default();
        for (state, revoked, now, expected) in [
            (WaiverState::Active, None, 999, Standing::Holds),
            (WaiverState::Active, None, 1_000, Standing::Ended),
            (WaiverState::Expired, None, 1_000 + told - 1, Standing::Ended),
            (WaiverState::Expired, None, 1_000 + told, Standing::Over),
            (WaiverState::Revoked, Some(500), 499, Standing::Holds),
            (WaiverState::Revoked, Some(500), 500, Standing::Over),
            (WaiverState::Revoked, None, 1, Standing::Over),
            (WaiverState::Unspecified, None, 1, Standing::Over),
        ] {
            assert_eq!(standing(&of(state, revoked), at(now)), expected, "{state:?} {now}");
        }
    }
}
