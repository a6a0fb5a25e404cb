//! The book of who has what of a process: calls, streams, rates, and urgent calls whose message has not come yet.

use super::rate::{Bucket, Rate};
use crate::telemetry::Told;
use remit_core::Tenant;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How often tenants and subjects without calls are forgotten, and after how long.
pub(super) const TIDY: Duration = Duration::from_secs(10);
pub(super) const MEMORY: Duration = Duration::from_secs(60);
/// How long whoever is refused for want of a place should wait.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// Calls of one message each, and streams, which may stay for ever, are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Call,
    Stream,
}

impl Sort {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Call => "calls",
            Self::Stream => "streams",
        }
    }
}

/// How far beyond the bounds of ordinary calls a call still gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Ordinary,
    Check,
    Suite,
    Stop,
}

impl Reach {
    /// What is kept for such calls, of all that is kept.
    pub(super) fn of(self, reserved: usize) -> usize {
        match self {
            Self::Ordinary => 0,
            Self::Check => reserved / 2,
            Self::Suite => reserved - reserved / 4,
            Self::Stop => reserved,
        }
    }
}

/// Which places a call takes one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Ordinary,
    Reserve,
}

/// The bounds of one sort.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    pub(super) all: usize,
    pub(super) tenant: usize,
    pub(super) subject: usize,
}

#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) calls: Most,
    pub(super) streams: Most,
    pub(super) reserved: usize,
    pub(super) tenant_rate: Rate,
    pub(super) subject_rate: Rate,
    pub(super) searches_per_tenant: usize,
}

/// What one tenant or subject has.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) calls: usize,
    pub(super) streams: usize,
    /// Calls that have a place of the reserve.
    pub(super) reserved: usize,
    /// Urgent calls whose message has not come yet.
    pub(super) arriving: usize,
    /// What is left of the rate for ordinary calls, and of the same rate for those that ask and stop.
    pub(super) ordinary: Bucket,
    pub(super) urgent: Bucket,
    pub(super) seen: Instant,
}

impl Use {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self {
            calls: 0,
            streams: 0,
            reserved: 0,
            arriving: 0,
            ordinary: Bucket::full(rate, now),
            urgent: Bucket::full(rate, now),
            seen: now,
        }
    }

    pub(super) fn count(&mut self, sort: Sort, place: Place) -> &mut usize {
        match (place, sort) {
            (Place::Reserve, _) => &mut self.reserved,
            (Place::Ordinary, Sort::Call) => &mut self.calls,
            (Place::Ordinary, Sort::Stream) => &mut self.streams,
        }
    }

    pub(super) fn bucket(&mut self, reach: Reach) -> &mut Bucket {
        if reach == Reach::Ordinary { &mut self.ordinary } else { &mut self.urgent }
    }

    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.calls + self.streams + self.reserved + self.arriving == 0
            && now.saturating_duration_since(self.seen) > MEMORY
    }
}

#[derive(Debug)]
pub(super) struct TenantUse {
    pub(super) own: Use,
    pub(super) subjects: HashMap<String, Use>,
    pub(super) searches: Arc<Semaphore>,
    pub(super) told: Told,
}

impl TenantUse {
    pub(super) fn new(bounds: &Bounds, now: Instant) -> Self {
        Self {
            own: Use::new(bounds.tenant_rate, now),
            subjects: HashMap::new(),
            searches: Arc::new(Semaphore::new(bounds.searches_per_tenant)),
            told: Told::default(),
        }
    }
}

/// Who has what.
#[derive(Debug)]
pub(super) struct Book {
    /// Those with an ordinary place.
    pub(super) calls: usize,
    pub(super) streams: usize,
    /// The calls with a place of the reserve.
    pub(super) reserved: usize,
    /// The tenants with calls, and with streams.
    pub(super) calling: usize,
    pub(super) streaming: usize,
    pub(super) tenants: HashMap<Tenant, TenantUse>,
    pub(super) tidied: Instant,
    pub(super) told: Told,
}

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    pub(super) text: String,
    pub(super) wait: Duration,
}

impl Refusal {
    pub(super) fn new(reason: &'static str, text: String) -> Self {
        Self { reason, text, wait: PAUSE }
    }
}

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Who<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) subject: &'a str,
    pub(super) reach: Reach,
    pub(super) sort: Sort,
}

impl Book {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            calls: 0,
            streams: 0,
            reserved: 0,
            calling: 0,
            streaming: 0,
            tenants: HashMap::new(),
            tidied: now,
            told: Told::default(),
        }
    }

    /// Counts a call, or says why it must not be. What checks or stops, and what is the suite's own, takes an ordinary
    /// place where there is one within its bounds, and else one of the reserve.
    pub(super) fn enter(&mut self, bounds: &Bounds, who: Who<'_>, now: Instant) -> std::result::Result<Place, Refusal> {
        self.tidy(now);
        let kept = if who.sort == Sort::Call { who.reach.of(bounds.reserved) } else { 0 };
        let left = kept.saturating_sub(self.reserved);
        let (most, all, busy) = match who.sort {
            Sort::Call => (bounds.calls, self.calls, self.calling),
            Sort::Stream => (bounds.streams, self.streams, self.streaming),
        };
        if who.reach == Reach::Suite {
            // Their streams are as many as there are tenants, and without them the suite does not know what is stopped.
            if who.sort == Sort::Stream {
                return Ok(Place::Ordinary);
            }
            return match room(most, all, who.sort) {
                Ok(()) => {
                    self.calls += 1;
                    Ok(Place::Ordinary)
                }
                Err(_) if left > 0 => {
                    self.reserved += 1;
                    Ok(Place::Reserve)
                }
                Err(full) => Err(full),
            };
        }
        let fits = room(most, all, who.sort);
        if left == 0 {
            // Nobody is remembered of whom nothing is counted.
            fits.as_ref().map_err(Refusal::clone)?;
        }
        if !self.tenants.contains_key(who.tenant) {
            self.tenants.insert(who.tenant.clone(), TenantUse::new(bounds, now));
        }
        let Some(TenantUse { own: tenant, subjects, .. }) = self.tenants.get_mut(who.tenant) else {
            return fits.map(|()| Place::Ordinary);
        };
        if !subjects.contains_key(who.subject) {
            subjects.insert(who.subject.to_owned(), Use::new(bounds.subject_rate, now));
        }
        let Some(subject) = subjects.get_mut(who.subject) else { return fits.map(|()| Place::Ordinary) };
        (tenant.seen, subject.seen) = (now, now);
        let has = *tenant.count(who.sort, Place::Ordinary);
        // One share stays free for a tenant that comes.
        let share = (most.all / (busy + usize::from(has == 0) + 1)).max(1);
        let place = fits.and_then(|()| {
            let own = *subject.count(who.sort, Place::Ordinary);
            within(most, all, who, has, share, own)
        });
        let place = match place {
            Ok(()) => Place::Ordinary,
            // A quarter of what is kept is for one tenant, and half of that for one subject, whatever else they have:
            // so that what they do cannot keep them from stopping, and neither can they keep others from it.
            Err(refusal) => {
                let reserve = tenant.reserved < kept / 4 && subject.reserved < (kept / 8).max(1);
                if left == 0 || !reserve {
                    return Err(refusal);
                }
                Place::Reserve
            }
        };
        paced(bounds, who, tenant, subject, now)?;
        *subject.count(who.sort, place) += 1;
        *tenant.count(who.sort, place) += 1;
        let first = usize::from(has == 0);
        match (place, who.sort) {
            (Place::Reserve, _) => self.reserved += 1,
            (Place::Ordinary, Sort::Call) => {
                self.calls += 1;
                self.calling += first;
            }
            (Place::Ordinary, Sort::Stream) => {
                self.streams += 1;
                self.streaming += first;
            }
        }
        Ok(place)
    }

    /// Takes back what [`Book::enter`] counted.
    pub(super) fn leave(&mut self, who: Who<'_>, place: Place, now: Instant) {
        if who.reach == Reach::Suite {
            let count = if place == Place::Reserve { &mut self.reserved } else { &mut self.calls };
            *count = count.saturating_sub(usize::from(who.sort == Sort::Call));
            return;
        }
        let Some(tenant) = self.tenants.get_mut(who.tenant) else { return };
        if let Some(subject) = tenant.subjects.get_mut(who.subject) {
            subject.seen = now;
            let count = subject.count(who.sort, place);
            *count = count.saturating_sub(1);
        }
        tenant.own.seen = now;
        let count = tenant.own.count(who.sort, place);
        *count = count.saturating_sub(1);
        let left = usize::from(*count == 0);
        match (place, who.sort) {
            (Place::Reserve, _) => self.reserved = self.reserved.saturating_sub(1),
            (Place::Ordinary, Sort::Call) => {
                self.calls = self.calls.saturating_sub(1);
                self.calling = self.calling.saturating_sub(left);
            }
            (Place::Ordinary, Sort::Stream) => {
                self.streams = self.streams.saturating_sub(1);
                self.streaming = self.streaming.saturating_sub(left);
            }
        }
    }

    /// Counts a call whose message has not come yet, if the subject may have one more of those: it may have as many as
    /// calls in progress, for on a busy machine the messages of honest calls come late all at once.
    pub(super) fn arrive(&mut self, bounds: &Bounds, tenant: &Tenant, subject: &str, now: Instant) -> bool {
        self.tidy(now);
        let tenant = self.tenants.entry(tenant.clone()).or_insert_with(|| TenantUse::new(bounds, now));
        let of = tenant.subjects.entry(subject.to_owned()).or_insert_with(|| Use::new(bounds.subject_rate, now));
        let may = of.arriving < bounds.calls.subject;
        of.arriving += usize::from(may);
        of.seen = now;
        may
    }

    /// Takes back what [`Book::arrive`] counted.
    pub(super) fn arrived(&mut self, tenant: &Tenant, subject: &str) {
        if let Some(of) = self.tenants.get_mut(tenant).and_then(|tenant| tenant.subjects.get_mut(subject)) {
            of.arriving = of.arriving.saturating_sub(1);
        }
    }

    /// Forgets who has not called for a while, so that memory does not grow with all who ever did.
    pub(super) fn tidy(&mut self, now: Instant) {
        if now.saturating_duration_since(self.tidied) < TIDY {
            return;
        }
        self.tidied = now;
        for tenant in self.tenants.values_mut() {
            tenant.subjects.retain(|_, subject| !subject.is_idle(now));
        }
        self.tenants.retain(|_, tenant| !(tenant.own.is_idle(now) && tenant.subjects.is_empty()));
    }
}

/// Whether the process has room for one more.
fn room(most: Most, all: usize, sort: Sort) -> std::result::Result<(), Refusal> {
    if all < most.all {
        return Ok(());
    }
    let setting = match sort {
        Sort::Call => "server.max_calls",
        Sort::Stream => "server.max_open_streams",
    };
    let text = format!("{all} {} are in progress already ({setting}): wait and resend", sort.word());
    Err(Refusal::new("OVERLOADED", text))
}

/// Whether a tenant that `has` so many, and a subject with so many of its `own`, may have one more.
fn within(
    most: Most,
    all: usize,
    who: Who<'_>,
    has: usize,
    share: usize,
    own: usize,
) -> std::result::Result<(), Refusal> {
    let what = who.sort.word();
    let tenant = if who.sort == Sort::Call { "TENANT_CALLS" } else { "TENANT_STREAMS" };
    if has >= most.tenant {
        let text = format!(
            "{has} {what} of the tenant {} are in progress, the most for one tenant (limits.{what}_per_tenant)",
            who.tenant
        );
        return Err(Refusal::new(tenant, text));
    }
    if all * 2 >= most.all && has >= share {
        let text = format!(
            "{has} {what} of the tenant {} are in progress, its share of {} while the server is this busy",
            who.tenant, most.all
        );
        return Err(Refusal::new(tenant, text));
    }
    if own >= most.subject {
        let text = format!(
            "{own} {what} of {} are in progress, the most for one subject (limits.{what}_per_subject)",
            who.subject
        );
        return Err(Refusal::new(if who.sort == Sort::Call { "SUBJECT_CALLS" } else { "SUBJECT_STREAMS" }, text));
    }
    Ok(())
}

/// Takes a call from what is left of the rates of its subject and its tenant.
fn paced(
    bounds: &Bounds,
    who: Who<'_>,
    tenant: &mut Use,
    subject: &mut Use,
    now: Instant,
) -> std::result::Result<(), Refusal> {
    if let Some(wait) = subject.bucket(who.reach).wait(bounds.subject_rate, now) {
        let rate = bounds.subject_rate.each_second();
        let text = format!(
            "{} calls more than {rate} times a second, the most for one subject (limits.rate_per_subject)",
            who.subject
        );
        return Err(Refusal { reason: "SUBJECT_RATE", text, wait });
    }
    if let Some(wait) = tenant.bucket(who.reach).wait(bounds.tenant_rate, now) {
        let rate = bounds.tenant_rate.each_second();
        let text = format!(
            "the tenant {} calls more than {rate} times a second, the most for one tenant (limits.rate_per_tenant)",
            who.tenant
        );
        return Err(Refusal { reason: "TENANT_RATE", text, wait });
    }
    subject.bucket(who.reach).take(bounds.subject_rate);
    tenant.bucket(who.reach).take(bounds.tenant_rate);
    Ok(())
}
