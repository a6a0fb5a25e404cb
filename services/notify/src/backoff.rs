//! When a delivery that failed is tried again.

use remit_core::Timestamp;
use std::time::Duration;

/// How long a delivery is tried.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(3 * 86_400);

/// The longest wait that a receiver may ask for.
const MOST_ASKED: Duration = Duration::from_secs(86_400);

/// Seconds to wait after the first, second and further failures; after the last of them the same again.
const WAITS: [u64; 9] = [5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800];

/// When to try again after `failures` failures, the last of which was now; `None` if it was tried for long enough.
/// `dice` spreads those that failed together by up to a fifth; `asked` is what the receiver asked for.
pub(crate) fn next(
    failures: u32,
    start: Timestamp,
    now: Timestamp,
    asked: Option<Duration>,
    dice: u8,
) -> Option<Timestamp> {
    let at = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX).min(WAITS.len() - 1);
    let base = Duration::from_secs(WAITS[at]);
    let wait = base + base * u32::from(dice) / (5 * 255);
    let next = now.plus(wait.max(asked.unwrap_or_default().min(MOST_ASKED)));
    (next.since(start) <= GIVE_UP).then_some(next)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn waits_grow_and_end_after_three_days() {
        let (start, mut now, mut tries) = (Timestamp(0), Timestamp(0), 0);
        let mut last = Duration::ZERO;
        while let Some(next) = next(tries + 1, start, now, None, 0) {
            assert!(next.since(now) >= last);
            (last, now, tries) = (next.since(now), next, tries + 1);
        }
        assert!((12..20).contains(&tries), "{tries}");
        assert!(now.since(start) <= GIVE_UP && now.since(start) > GIVE_UP - Duration::from_secs(30_000));
    }

    #[test]
    fn waits_are_spread_and_a_receiver_may_ask_for_more() {
        let wait = |asked: Option<u64>, dice| {
            next(1, Timestamp(0), Timestamp(0), asked.map(Duration::from_secs), dice).unwrap().0 / 1_000_000
        };
        assert_eq!((wait(None, 0), wait(None, 255)), (5, 6));
        assert_eq!((wait(Some(1), 0), wait(Some(90), 0), wait(Some(u64::MAX / 2), 0)), (5, 90, 86_400));
    }
}
