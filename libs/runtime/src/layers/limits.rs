//! What one tenant, and one subject of it, may have of a process at once, so that nobody takes it from the others, and
//! that whoever wants to stop AI always gets through.
//!
//! Every call is counted for its subject, its tenant and the process; a call is admitted where each count is below its
//! bound. How far a bound reaches depends on the call: what stops AI is admitted where other calls are refused already.

pub(crate) use super::book::Sort;
use super::book::{Book, Bounds, Most, PAUSE, Place, Reach, Refusal, Who};
use super::held::{Account, Held};
use super::rate::Rate;
use crate::auth::{Identity, Priority};
use crate::config::Config;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use remit_core::{Error, Kind, Result, Tenant};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The limits of a process.
#[derive(Debug)]
pub(crate) struct Limits {
    bounds: Bounds,
    book: Mutex<Book>,
    request_bytes: usize,
    held: Mutex<Held>,
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
            request_bytes: limits.request_bytes,
            held: Mutex::default(),
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

    /// The most bytes that may be held at once.
    pub(super) fn request_bytes(&self) -> usize {
        self.request_bytes
    }

    /// Who holds how many bytes.
    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the bytes of a call of `identity` are counted.
    pub(crate) fn account(self: &Arc<Self>, identity: &Identity) -> Option<Account> {
        Account::new(self, identity)
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
            Ok(place) => {
                let searches = book.tenants.get(tenant).map(|found| found.searches.clone());
                let searches = searches.filter(|_| reach != Reach::Suite && priority == Priority::Search);
                drop(book);
                Ok(Ticket {
                    limits: self.clone(),
                    tenant: tenant.clone(),
                    subject: subject.to_owned(),
                    reach,
                    sort,
                    place,
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

    /// Counts an urgent call of `identity` whose message has not come yet, until what it gets is dropped. The suite's own
    /// services are not held to it.
    ///
    /// # Errors
    /// `ResourceExhausted` (`SUBJECT_CALLS`), with the time to wait.
    pub(crate) fn arrive(self: &Arc<Self>, identity: &Identity) -> Result<Option<Arriving>> {
        if identity.service.is_some() {
            return Ok(None);
        }
        let (tenant, subject, now) = (&identity.tenant, &identity.actor.subject, Instant::now());
        if self.book().arrive(&self.bounds, tenant, subject, now) {
            return Ok(Some(Arriving { limits: self.clone(), tenant: tenant.clone(), subject: subject.clone() }));
        }
        self.count("SUBJECT_CALLS");
        let most = self.bounds.calls.subject;
        let text = format!(
            "{most} calls of {subject} wait for their message (limits.calls_per_subject): send it at once with the call"
        );
        Err(Error::new(Kind::ResourceExhausted, "SUBJECT_CALLS", text).with_retry_after(PAUSE))
    }

    /// The calls in progress.
    #[cfg(test)]
    pub(crate) fn calls(&self) -> usize {
        let book = self.book();
        book.calls + book.reserved
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
    place: Place,
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
        self.limits.book().leave(who, self.place, Instant::now());
    }
}

/// An urgent call that is counted while its message comes.
#[derive(Debug)]
pub(crate) struct Arriving {
    limits: Arc<Limits>,
    tenant: Tenant,
    subject: String,
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.limits.book().arrived(&self.tenant, &self.subject);
    }
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
