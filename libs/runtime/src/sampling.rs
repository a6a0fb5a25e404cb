//! Which of many refusals gets an entry. Whoever goes on trying must fill neither the log nor the memory: of one sort
//! one in a minute gets an entry, of one caller and of one tenant no more than a bound, and the entry says how many
//! came without one. What is remembered is bounded too; the count of a tenant is not lost with what is forgotten.

use moka::sync::Cache;
use remit_core::Tenant;
use remit_store::Skipped;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a sort gets an entry, and the span over which entries are bounded.
const EVERY: Duration = Duration::from_secs(60);
/// How many entries one caller, or one address, gets in that span.
const MOST_OF_ONE: u32 = 30;
/// How many entries a tenant gets.
const MOST: u32 = 240;

/// How many sorts, callers and tenants are remembered, and for how long after the last of each.
const REMEMBERED: u64 = 10_000;
const MEMORY: Duration = Duration::from_secs(3_600);

/// What makes refusals the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Sort {
    /// In whose log it would stand.
    pub(crate) tenant: Tenant,
    /// Who was refused: a subject or an address.
    pub(crate) who: String,
    /// What; empty if that makes no difference.
    pub(crate) what: String,
    /// Why.
    pub(crate) reason: &'static str,
}

/// What is remembered of a sort.
#[derive(Debug, Default)]
struct Seen {
    recorded: Option<Instant>,
    since: u64,
}

/// The entries of one caller or one tenant.
#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    taken: u32,
    /// How many went without since the last that did not.
    since: u64,
}

/// Values that are shared while they are remembered.
type Remembered<K, V> = Cache<K, Arc<Mutex<V>>>;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Sampler {
    sorts: Remembered<Sort, Seen>,
    callers: Remembered<(Tenant, String), Window>,
    /// Of tenants that signed tokens name, and so not for strangers to make more of.
    tenants: Remembered<Tenant, Window>,
}

impl Sampler {
    pub(crate) fn new() -> Self {
        Self::remembering(REMEMBERED)
    }

    fn remembering(most: u64) -> Self {
        Self { sorts: bounded(most), callers: bounded(most), tenants: bounded(most) }
    }

    /// How many went without an entry before this one, or none if this one goes without.
    pub(crate) fn take(&self, sort: &Sort, now: Instant) -> Option<Skipped> {
        let seen = self.sorts.get_with_by_ref(sort, Arc::default);
        let caller = self.callers.get_with((sort.tenant.clone(), sort.who.clone()), Arc::default);
        let tenant = self.tenants.get_with_by_ref(&sort.tenant, Arc::default);
        // Always in this order, so that no two wait for each other.
        let (mut seen, mut caller, mut tenant) = (lock(&seen), lock(&caller), lock(&tenant));
        let again = seen.recorded.is_some_and(|at| now.saturating_duration_since(at) < EVERY);
        if again || !caller.fits(now, MOST_OF_ONE) || !tenant.fits(now, MOST) {
            seen.since = seen.since.saturating_add(1);
            tenant.since = tenant.since.saturating_add(1);
            return None;
        }
        caller.taken += 1;
        tenant.taken += 1;
        seen.recorded = Some(now);
        Some(Skipped { alike: std::mem::take(&mut seen.since), in_all: std::mem::take(&mut tenant.since) })
    }

    /// Takes back that a sort got its entry, which could not be made.
    pub(crate) fn forget(&self, sort: &Sort) {
        self.sorts.invalidate(sort);
    }

    #[cfg(test)]
    fn remembered(&self) -> u64 {
        self.sorts.run_pending_tasks();
        self.callers.run_pending_tasks();
        self.sorts.entry_count().max(self.callers.entry_count())
    }
}

fn bounded<K, V>(most: u64) -> Remembered<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Send + 'static,
{
    Cache::builder().max_capacity(most).time_to_idle(MEMORY).build()
}

impl Window {
    fn fits(&mut self, now: Instant, most: u32) -> bool {
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= EVERY) {
            (self.began, self.taken) = (Some(now), 0);
        }
        self.taken < most
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sort(who: &str, what: &str, reason: &'static str) -> Sort {
        Sort { tenant: Tenant::new("acme").unwrap(), who: who.to_owned(), what: what.to_owned(), reason }
    }

    fn entry(alike: u64, in_all: u64) -> Option<Skipped> {
        Some(Skipped { alike, in_all })
    }

    #[test]
    fn one_of_a_sort_in_a_minute_gets_an_entry_and_counts_the_others() {
        let (sampler, now) = (Sampler::new(), Instant::now());
        let vote = sort("ann", "vote", "PERMISSION_MISSING");
        assert_eq!(sampler.take(&vote, now), entry(0, 0));
        for seconds in [0, 1, 59] {
            assert_eq!(sampler.take(&vote, now + Duration::from_secs(seconds)), None);
        }
        assert_eq!(sampler.take(&sort("ann", "vote", "ACTOR_KIND_NOT_ALLOWED"), now), entry(0, 3));
        assert_eq!(sampler.take(&sort("ann", "seal", "PERMISSION_MISSING"), now), entry(0, 0));
        assert_eq!(sampler.take(&sort("bob", "vote", "PERMISSION_MISSING"), now), entry(0, 0));
        assert_eq!(sampler.take(&vote, now + EVERY), entry(3, 0));
        assert_eq!(sampler.take(&vote, now + EVERY), None);
        sampler.forget(&vote);
        assert_eq!(sampler.take(&vote, now + EVERY), entry(0, 1));
    }

    #[test]
    fn one_caller_cannot_take_the_entries_of_the_others() {
        let (sampler, now) = (Sampler::new(), Instant::now());
        let taken = |who: &str, now| {
            let tried = |what: usize| sampler.take(&sort(who, &what.to_string(), "PERMISSION_MISSING"), now);
            (0..1_000).filter_map(tried).count()
        };
        assert_eq!(taken("mallory", now), 30);
        assert_eq!(sampler.take(&sort("ann", "vote", "PERMISSION_MISSING"), now), entry(0, 970));
        // All together get no more than the bound, and in the next minute again.
        let all = |now| (0..20).map(|who| taken(&format!("m{who}"), now)).sum::<usize>();
        assert_eq!(all(now), 240 - 31);
        assert_eq!(all(now + EVERY), 240);
        let other = Sort { tenant: Tenant::new("globex").unwrap(), ..sort("ann", "vote", "PERMISSION_MISSING") };
        assert_eq!(sampler.take(&other, now), entry(0, 0));
    }

    #[test]
    fn an_attack_fills_neither_memory_nor_log_and_everything_is_counted() {
        let (sampler, now) = (Sampler::remembering(100), Instant::now());
        let (mut entries, mut counted) = (0, 0);
        let mut tally = |found: Option<Skipped>| {
            if let Some(skipped) = found {
                entries += 1;
                counted += 1 + skipped.in_all;
            }
        };
        for attempt in 0..20_000 {
            let address = format!("2001:db8:{:x}::/64", attempt % 5_000);
            tally(sampler.take(&sort(&address, "", "TOKEN_SIGNATURE"), now));
        }
        assert!(sampler.remembered() <= 100, "{}", sampler.remembered());
        tally(sampler.take(&sort("198.51.100.1", "", "TOKEN_SIGNATURE"), now + EVERY));
        assert_eq!((entries, counted), (240 + 1, 20_000 + 1));
    }
}
