//! How far a service that follows the audit log is behind it, as this process knows.

use remit_core::Tenant;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// For how long a follower may be behind without a step forward.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where one log is and how far it was taken.
#[derive(Debug, Clone, Copy)]
struct Place {
    next: i64,
    size: i64,
    /// When it was last seen at the end, or going forward.
    moved: Instant,
}

/// The worst of all logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Behind {
    /// How many entries were not taken.
    pub(crate) entries: i64,
    /// For how long nothing was taken of what there is.
    pub(crate) stuck: Duration,
}

/// How far a service is with each log.
#[derive(Debug, Clone, Default)]
pub struct Lag(Arc<Mutex<BTreeMap<Tenant, Place>>>);

impl Lag {
    /// Notes the size of a log and the first index that was not taken.
    pub(crate) fn saw(&self, tenant: &Tenant, next: i64, size: i64) {
        self.note(tenant, next, size, Instant::now());
    }

    fn note(&self, tenant: &Tenant, next: i64, size: i64, now: Instant) {
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = logs.entry(tenant.clone()).or_insert(Place { next, size, moved: now });
        let (was, size) = (place.next, size.max(place.size));
        // What has come only now has not waited yet.
        if next > was || was >= place.size {
            place.moved = now;
        }
        (place.next, place.size) = (next.max(was), size);
    }

    /// The worst of all logs at `now`.
    pub(crate) fn behind(&self, now: Instant) -> Behind {
        let logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let late = logs.values().filter(|place| place.next < place.size);
        late.fold(Behind::default(), |worst, place| Behind {
            entries: worst.entries.max(place.size - place.next),
            stuck: worst.stuck.max(now.saturating_duration_since(place.moved)),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn who_goes_forward_is_behind_and_not_stuck() {
        let (lag, start) = (Lag::default(), Instant::now());
        let (acme, other) = (Tenant::new("acme").unwrap(), Tenant::new("other").unwrap());
        let after = |seconds| start + Duration::from_secs(seconds);
        let behind = |seconds| (lag.behind(after(seconds)).entries, lag.behind(after(seconds)).stuck.as_secs());
        lag.note(&acme, 10, 10, after(0));
        assert_eq!(behind(100), (0, 0), "at the end nothing waits");
        lag.note(&acme, 10, 14, after(100));
        assert_eq!(behind(107), (4, 7));
        lag.note(&acme, 12, 14, after(110));
        assert_eq!(behind(111), (2, 1), "it goes on");
        lag.note(&other, 0, 900, after(111));
        lag.note(&acme, 12, 20, after(130));
        assert_eq!(behind(140), (900, 30), "that more has come is no step forward");
        lag.note(&acme, 20, 20, after(141));
        lag.note(&other, 900, 0, after(141));
        assert_eq!(behind(500), (0, 0));
    }
}
