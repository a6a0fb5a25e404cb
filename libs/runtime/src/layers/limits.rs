//! What one tenant, and one subject of it, may have of a process at once, so that nobody takes it from the others, and
//! that whoever wants to stop AI always gets through.
//!
//! Every call is counted for its subject, its tenant and the process; a call is admitted where each count is below its
//! bound. How far a bound reaches depends on the call: what stops AI is admitted where other calls are refused already.

use super::rate::{Bucket, Rate};
use crate::auth::{Identity, Priority};
use crate::config::Config;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use remit_core::{Error, Kind, Result, Tenant};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How often tenants and subjects without calls are forgotten, and after how long.
const TIDY: Duration = Duration::from_secs(10);
const MEMORY: Duration = Duration::from_secs(60);
/// How often the log says that a limit bites.
const TELL: Duration = Duration::from_secs(10);
/// How long whoever is refused for want of a place should wait.
const PAUSE: Duration = Duration::from_secs(1);

/// Calls of one message each, and streams, which may stay for ever, are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Call,
    Stream,
}

impl Sort {
    fn word(self) -> &'static str {
        match self {
            Self::Call => "calls",
            Self::Stream => "streams",
        }
    }
}

/// How far beyond the bounds of ordinary calls a call still gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Ordinary,
    Check,
    Suite,
    Stop,
}

impl Reach {
    /// What is kept for such calls, of all that is kept.
    fn of(self, reserved: usize) -> usize {
        match self {
            Self::Ordinary => 0,
            Self::Check => reserved / 2,
            Self::Suite => reserved - reserved / 4,
            Self::Stop => reserved,
        }
    }
}

/// The bounds of one sort.
#[derive(Debug, Clone, Copy)]
struct Most {
    all: usize,
    tenant: usize,
    subject: usize,
}

#[derive(Debug)]
struct Bounds {
    calls: Most,
    streams: Most,
    reserved: usize,
    tenant_rate: Rate,
    subject_rate: Rate,
    searches_per_tenant: usize,
}

/// What one tenant or subject has.
#[derive(Debug)]
struct Use {
    calls: usize,
    streams: usize,
    /// What is left of the rate for ordinary calls, and of the same rate for those that ask and stop.
    ordinary: Bucket,
    urgent: Bucket,
    seen: Instant,
}

impl Use {
    fn new(rate: Rate, now: Instant) -> Self {
        Self { calls: 0, streams: 0, ordinary: Bucket::full(rate, now), urgent: Bucket::full(rate, now), seen: now }
    }

    fn count(&mut self, sort: Sort) -> &mut usize {
        match sort {
            Sort::Call => &mut self.calls,
            Sort::Stream => &mut self.streams,
        }
    }

    fn bucket(&mut self, reach: Reach) -> &mut Bucket {
        if reach == Reach::Ordinary { &mut self.ordinary } else { &mut self.urgent }
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.calls + self.streams == 0 && now.saturating_duration_since(self.seen) > MEMORY
    }
}

#[derive(Debug)]
struct TenantUse {
    own: Use,
    subjects: HashMap<String, Use>,
    searches: Arc<Semaphore>,
    told: Told,
}

/// When the log was last told, and what it has not been told since.
#[derive(Debug, Default)]
struct Told {
    at: Option<Instant>,
    since: u64,
}

impl Told {
    /// How many refusals to tell of, if it is time to.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.since += 1;
        if self.at.is_some_and(|at| now.saturating_duration_since(at) < TELL) {
            return None;
        }
        self.at = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

/// Who has what.
#[derive(Debug)]
struct Book {
    calls: usize,
    streams: usize,
    /// The tenants with calls, and with streams.
    calling: usize,
    streaming: usize,
    tenants: HashMap<Tenant, TenantUse>,
    tidied: Instant,
    told: Told,
}

/// Why a call is refused.
#[derive(Debug, PartialEq)]
struct Refusal {
    reason: &'static str,
    text: String,
    wait: Duration,
}

impl Refusal {
    fn new(reason: &'static str, text: String) -> Self {
        Self { reason, text, wait: PAUSE }
    }
}

/// Who calls.
#[derive(Debug, Clone, Copy)]
struct Who<'a> {
    tenant: &'a Tenant,
    subject: &'a str,
    reach: Reach,
    sort: Sort,
}

impl Book {
    fn new(now: Instant) -> Self {
        Self {
            calls: 0,
            streams: 0,
            calling: 0,
            streaming: 0,
            tenants: HashMap::new(),
            tidied: now,
            told: Told::default(),
        }
    }

    /// Counts a call, or says why it must not be.
    fn enter(&mut self, bounds: &Bounds, who: Who<'_>, now: Instant) -> std::result::Result<(), Refusal> {
        self.tidy(now);
        let (most, kept) = match who.sort {
            Sort::Call => (bounds.calls, who.reach.of(bounds.reserved)),
            Sort::Stream => (bounds.streams, 0),
        };
        let all = match who.sort {
            Sort::Call => self.calls,
            Sort::Stream => self.streams,
        };
        // Their streams are as many as there are tenants, and without them the suite does not know what is stopped.
        if who.reach != Reach::Suite || who.sort == Sort::Call {
            room(most, kept, all, who.sort)?;
        }
        if who.reach == Reach::Suite {
            if who.sort == Sort::Call {
                self.calls += 1;
            }
            return Ok(());
        }
        let busy = match who.sort {
            Sort::Call => self.calling,
            Sort::Stream => self.streaming,
        };
        if !self.tenants.contains_key(who.tenant) {
            let new = TenantUse {
                own: Use::new(bounds.tenant_rate, now),
                subjects: HashMap::new(),
                searches: Arc::new(Semaphore::new(bounds.searches_per_tenant)),
                told: Told::default(),
            };
            self.tenants.insert(who.tenant.clone(), new);
        }
        let Some(tenant) = self.tenants.get_mut(who.tenant) else { return Ok(()) };
        tenant.own.seen = now;
        let has = *tenant.own.count(who.sort);
        // A quarter of what is kept is for one tenant, so that what it does cannot keep it from stopping.
        let what = who.sort.word();
        if has >= most.tenant + kept / 4 {
            let text = format!(
                "{has} {what} of the tenant {} are in progress, the most for one tenant (limits.{what}_per_tenant)",
                who.tenant
            );
            return Err(Refusal::new(if who.sort == Sort::Call { "TENANT_CALLS" } else { "TENANT_STREAMS" }, text));
        }
        // One share stays free for a tenant that comes.
        let tenants = busy + usize::from(has == 0);
        let share = ((most.all + kept) / (tenants + 1)).max(1);
        if all * 2 >= most.all && has >= share {
            let text = format!(
                "{has} {what} of the tenant {} are in progress, its share of {} while the server is this busy",
                who.tenant, most.all
            );
            return Err(Refusal::new(if who.sort == Sort::Call { "TENANT_CALLS" } else { "TENANT_STREAMS" }, text));
        }
        if !tenant.subjects.contains_key(who.subject) {
            tenant.subjects.insert(who.subject.to_owned(), Use::new(bounds.subject_rate, now));
        }
        let Some(subject) = tenant.subjects.get_mut(who.subject) else { return Ok(()) };
        subject.seen = now;
        let own = *subject.count(who.sort);
        if own >= most.subject + kept / 8 {
            let text = format!(
                "{own} {what} of {} are in progress, the most for one subject (limits.{what}_per_subject)",
                who.subject
            );
            return Err(Refusal::new(if who.sort == Sort::Call { "SUBJECT_CALLS" } else { "SUBJECT_STREAMS" }, text));
        }
        if let Some(wait) = subject.bucket(who.reach).wait(bounds.subject_rate, now) {
            let rate = bounds.subject_rate.each_second();
            let text = format!(
                "{} calls more than {rate} times a second, the most for one subject (limits.rate_per_subject)",
                who.subject
            );
            return Err(Refusal { reason: "SUBJECT_RATE", text, wait });
        }
        if let Some(wait) = tenant.own.bucket(who.reach).wait(bounds.tenant_rate, now) {
            let rate = bounds.tenant_rate.each_second();
            let text = format!(
                "the tenant {} calls more than {rate} times a second, the most for one tenant (limits.rate_per_tenant)",
                who.tenant
            );
            return Err(Refusal { reason: "TENANT_RATE", text, wait });
        }
        subject.bucket(who.reach).take(bounds.subject_rate);
        tenant.own.bucket(who.reach).take(bounds.tenant_rate);
        *subject.count(who.sort) += 1;
        *tenant.own.count(who.sort) += 1;
        match who.sort {
            Sort::Call => {
                self.calls += 1;
                self.calling += usize::from(has == 0);
            }
            Sort::Stream => {
                self.streams += 1;
                self.streaming += usize::from(has == 0);
            }
        }
        Ok(())
    }

    /// Takes back what [`Book::enter`] counted.
    fn leave(&mut self, who: Who<'_>, now: Instant) {
        if who.reach == Reach::Suite {
            self.calls = self.calls.saturating_sub(usize::from(who.sort == Sort::Call));
            return;
        }
        let Some(tenant) = self.tenants.get_mut(who.tenant) else { return };
        if let Some(subject) = tenant.subjects.get_mut(who.subject) {
            subject.seen = now;
            let count = subject.count(who.sort);
            *count = count.saturating_sub(1);
        }
        tenant.own.seen = now;
        let count = tenant.own.count(who.sort);
        *count = count.saturating_sub(1);
        let left = usize::from(*count == 0);
        match who.sort {
            Sort::Call => {
                self.calls = self.calls.saturating_sub(1);
                self.calling = self.calling.saturating_sub(left);
            }
            Sort::Stream => {
                self.streams = self.streams.saturating_sub(1);
                self.streaming = self.streaming.saturating_sub(left);
            }
        }
    }

    /// Forgets who has not called for a while, so that memory does not grow with all who ever did.
    fn tidy(&mut self, now: Instant) {
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
fn room(most: Most, kept: usize, all: usize, sort: Sort) -> std::result::Result<(), Refusal> {
    if all < most.all + kept {
        return Ok(());
    }
    let setting = match sort {
        Sort::Call => "server.max_calls",
        Sort::Stream => "server.max_open_streams",
    };
    let text = format!("{all} {} are in progress already ({setting}): wait and resend", sort.word());
    Err(Refusal::new("OVERLOADED", text))
}

/// The limits of a process.
#[derive(Debug)]
pub(crate) struct Limits {
    bounds: Bounds,
    book: Mutex<Book>,
    searches: Arc<Semaphore>,
    refused: Counter<u64>,
}

impl Limits {
    pub(crate) fn new(config: &Config, meter: &Meter) -> Arc<Self> {
        let (server, limits) = (&config.server, &config.limits);
        let burst = limits.burst.get();
        // Whatever is set, other reads find a connection of the pool that searches come through.
        let readers = usize::try_from(config.database.connections).unwrap_or(usize::MAX).saturating_sub(2).max(1);
        let bounds = Bounds {
            calls: Most { all: server.max_calls, tenant: limits.calls_per_tenant, subject: limits.calls_per_subject },
            streams: Most {
                all: server.max_open_streams,
                tenant: limits.streams_per_tenant,
                subject: limits.streams_per_subject,
            },
            reserved: limits.reserved_calls,
            tenant_rate: Rate::new(limits.rate_per_tenant, burst),
            subject_rate: Rate::new(limits.rate_per_subject, burst),
            searches_per_tenant: limits.searches_per_tenant,
        };
        Arc::new(Self {
            bounds,
            book: Mutex::new(Book::new(Instant::now())),
            searches: Arc::new(Semaphore::new(limits.searches.min(readers))),
            refused: meter
                .u64_counter("remit.calls.refused")
                .with_description("The calls that a limit refused, by reason.")
                .build(),
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a refusal that a limit outside of here is the reason of.
    pub(crate) fn count(&self, reason: &'static str) {
        self.refused.add(1, &[KeyValue::new("reason", reason)]);
    }

    /// Counts a call of `identity` until the ticket is dropped.
    ///
    /// # Errors
    /// `ResourceExhausted`, with the time to wait: `TENANT_CALLS`, `TENANT_STREAMS`, `TENANT_RATE`, `SUBJECT_CALLS`,
    /// `SUBJECT_STREAMS`, `SUBJECT_RATE`, `OVERLOADED`.
    pub(crate) fn admit(
        self: &Arc<Self>,
        identity: &Identity,
        priority: Priority,
        sort: Sort,
        method: &str,
    ) -> Result<Ticket> {
        let reach = match priority {
            _ if identity.service.is_some() => Reach::Suite,
            Priority::Stop => Reach::Stop,
            Priority::Check => Reach::Check,
            Priority::Ordinary | Priority::Search => Reach::Ordinary,
        };
        let (tenant, subject, now) = (&identity.tenant, identity.actor.subject.as_str(), Instant::now());
        let mut book = self.book();
        match book.enter(&self.bounds, Who { tenant, subject, reach, sort }, now) {
            Ok(()) => {
                let searches = book.tenants.get(tenant).map(|found| found.searches.clone());
                let searches = searches.filter(|_| reach != Reach::Suite && priority == Priority::Search);
                drop(book);
                Ok(Ticket {
                    limits: self.clone(),
                    tenant: tenant.clone(),
                    subject: subject.to_owned(),
                    reach,
                    sort,
                    searches,
                    _turn: None,
                })
            }
            Err(Refusal { reason, text, wait }) => {
                let tell = match book.tenants.get_mut(tenant) {
                    Some(found) if reason != "OVERLOADED" => found.told.count(now),
                    _ => book.told.count(now),
                };
                drop(book);
                self.count(reason);
                if let Some(refused) = tell {
                    tracing::warn!(%tenant, reason, refused, method, "a limit was reached");
                }
                Err(Error::new(Kind::ResourceExhausted, reason, text).with_retry_after(wait))
            }
        }
    }

    /// The calls in progress.
    #[cfg(test)]
    pub(crate) fn calls(&self) -> usize {
        self.book().calls
    }
}

/// A call that is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    limits: Arc<Limits>,
    tenant: Tenant,
    subject: String,
    reach: Reach,
    sort: Sort,
    /// Of a search: where it gets its turn.
    searches: Option<Arc<Semaphore>>,
    _turn: Option<[OwnedSemaphorePermit; 2]>,
}

impl Ticket {
    /// Waits until it is a search's turn; everything else has it at once. First among those of its tenant, then among
    /// all, so that a tenant with many waits for itself.
    pub(crate) async fn turn(&mut self) {
        let Some(own) = self.searches.take() else { return };
        let Ok(own) = own.acquire_owned().await else { return };
        let Ok(all) = self.limits.searches.clone().acquire_owned().await else { return };
        self._turn = Some([own, all]);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let who = Who { tenant: &self.tenant, subject: &self.subject, reach: self.reach, sort: self.sort };
        self.limits.book().leave(who, Instant::now());
    }
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
