//! Tails: entries in order, then new ones as they are committed.

use super::{Service, all_within};
use crate::store::heads::{self, signed};
use remit_api::audit::v1 as api;
use remit_core::{Error, Result, Tenant};
use remit_runtime::{Answers, Cx, answers};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How many entries one message has at most.
const MESSAGE_ENTRIES: u64 = 500;
/// The most bytes of entries in one message, unless a single entry has more.
const MESSAGE_BYTES: usize = 1 << 20;
/// How often a quiet tail says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// A tail in progress.
pub struct Tail {
    log: Service,
    tenant: Tenant,
    prefixes: Vec<String>,
    full: bool,
    next: u64,
    /// Where to stop; none to go on for ever.
    until: Option<u64>,
    size: u64,
    grown: watch::Receiver<u64>,
    announced: Instant,
    /// Whether any message was made.
    spoke: bool,
}

impl Service {
    /// Begins a tail.
    ///
    /// # Errors
    /// `InvalidArgument` (`INDEX_INVALID`) if the start is beyond the log.
    pub async fn begin_tail(&self, tenant: &Tenant, request: api::TailRequest) -> Result<Tail> {
        let grown = self.sequencer.watch(tenant);
        let size = heads::size(&mut self.db.read().await?, tenant).await?;
        let next = u64::try_from(request.start_index).ok().filter(|index| *index <= size);
        let next =
            next.ok_or_else(|| Error::invalid("INDEX_INVALID", "start_index", format!("must be 0 to {size}")))?;
        Ok(Tail {
            full: request.view() == api::EntryView::Full,
            log: self.clone(),
            tenant: tenant.clone(),
            prefixes: request.action_prefixes,
            next,
            until: request.snapshot_only.then_some(size),
            size,
            grown,
            announced: Instant::now(),
            spoke: false,
        })
    }

    /// A tail as a stream of messages.
    pub(crate) async fn tail(&self, cx: &Cx, request: api::TailRequest) -> Result<Answers<api::TailResponse>> {
        let tail = self.begin_tail(&cx.tenant, request).await?;
        Ok(answers(self.stream(tail, |mut tail| async move { (tail.next().await, tail) })))
    }
}

impl Tail {
    /// The next message; none when the tail is over.
    ///
    /// # Errors
    /// As the database fails.
    pub async fn next(&mut self) -> Result<Option<api::TailResponse>> {
        loop {
            let end = self.until.unwrap_or(self.size);
            if self.next < end {
                let message = self.read(end).await?;
                // What the filter passes over is told now and then, so that a client can resume there.
                if !message.entries.is_empty() || self.announced.elapsed() >= HEARTBEAT || self.next == end {
                    (self.announced, self.spoke) = (Instant::now(), true);
                    return Ok(Some(message));
                }
                continue;
            }
            if self.until.is_some() {
                // A snapshot of nothing still says where it ended.
                let first = !std::mem::replace(&mut self.spoke, true);
                return Ok(first.then(|| self.message(Vec::new())));
            }
            if self.wait().await? {
                continue;
            }
            self.announced = Instant::now();
            return Ok(Some(self.message(Vec::new())));
        }
    }

    fn message(&self, entries: Vec<api::Entry>) -> api::TailResponse {
        api::TailResponse { entries, next_index: signed(self.next), size: signed(self.size) }
    }

    async fn read(&mut self, end: u64) -> Result<api::TailResponse> {
        let until = end.min(self.next + MESSAGE_ENTRIES);
        let mut tx = self.log.db.snapshot().await?;
        let all = all_within(&mut tx, &self.tenant, self.next, until, self.full).await?;
        let (mut shown, mut bytes) = (Vec::new(), 0);
        for entry in all {
            let action = entry.event.as_ref().map(|event| event.action.as_str());
            let wanted = self.prefixes.is_empty()
                || action.is_some_and(|action| self.prefixes.iter().any(|prefix| action.starts_with(prefix.as_str())));
            if wanted {
                bytes += prost::Message::encoded_len(&entry);
                if bytes > MESSAGE_BYTES && !shown.is_empty() {
                    break;
                }
                self.next += 1;
                shown.push(entry);
            } else {
                self.next += 1;
            }
        }
        Ok(self.message(shown))
    }

    /// Waits until the log has grown; false if it is time for a heartbeat.
    async fn wait(&mut self) -> Result<bool> {
        let heartbeat = self.announced + HEARTBEAT;
        loop {
            let known = *self.grown.borrow_and_update();
            if known > self.size {
                self.size = known;
                return Ok(true);
            }
            let now = Instant::now();
            if now >= heartbeat {
                return Ok(false);
            }
            // Whoever says that nothing has come has looked, or fails as the look does.
            let woken = timeout_at(heartbeat, self.grown.changed()).await;
            if woken.is_err() && self.log.sequencer.blind() >= HEARTBEAT {
                let size = heads::size(&mut self.log.db.read().await?, &self.tenant).await?;
                self.log.sequencer.saw(&self.tenant, size);
            }
        }
    }
}
