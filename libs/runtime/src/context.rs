//! What belongs to the call in progress: its trace and its deadline, carried by the task.

use remit_core::Tenant;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// A position in a distributed trace, as in the W3C header `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The id of the whole trace; never zero.
    pub trace_id: u128,
    /// The id of this part of it; never zero.
    pub span_id: u64,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl Trace {
    /// Begins a trace with random ids.
    pub fn begin() -> Self {
        let random = || rand::random::<u64>().max(1);
        Self { trace_id: (u128::from(random()) << 64) | u128::from(random()), span_id: random(), sampled: true }
    }

    /// The same trace with a span id of its own.
    #[must_use]
    pub fn child(self) -> Self {
        Self { span_id: rand::random::<u64>().max(1), ..self }
    }

    /// Reads a `traceparent` header; `None` if it is malformed, in which case a trace begins anew.
    ///
    /// # Source
    /// W3C Trace Context, section 3.2.
    pub fn parse(header: &str) -> Option<Self> {
        let hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let mut parts = header.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let right = version.len() == 2 && trace.len() == 32 && span.len() == 16 && flags.len() == 2;
        if !right || version == "ff" || ![version, trace, span, flags].into_iter().all(hex) {
            return None;
        }
        if version == "00" && parts.next().is_some() {
            return None;
        }
        let trace_id = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        let span_id = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }

    /// The trace id as 32 hexadecimal digits.
    pub fn id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

/// The other end of the connection that a request came through, among its extensions; a call within the process has
/// none. Behind a proxy it is the proxy: what a header says of addresses is a claim of whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// What a connection has shown so far, among the extensions of the requests that came through it: where connections are
/// too many, those go first of which nothing is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing(Arc<Shown>);

#[derive(Debug, Default)]
struct Shown {
    called: AtomicBool,
    tenant: Mutex<Option<Tenant>>,
}

impl Standing {
    /// A call came.
    pub(crate) fn called(&self) {
        self.0.called.store(true, Ordering::Relaxed);
    }

    /// Whether any call came.
    pub(crate) fn has_called(&self) -> bool {
        self.0.called.load(Ordering::Relaxed)
    }

    /// Somebody of `tenant` has shown a valid token; the first one counts, while none took it back.
    pub(crate) fn known(&self, tenant: &Tenant) {
        let mut shown = self.0.tenant.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.is_none() {
            *shown = Some(tenant.clone());
        }
    }

    /// What was shown counts no longer.
    pub(crate) fn forget(&self) {
        *self.0.tenant.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The tenant of whoever has shown a valid token.
    pub(crate) fn tenant(&self) -> Option<Tenant> {
        self.0.tenant.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether anybody has.
    pub(crate) fn is_known(&self) -> bool {
        self.0.tenant.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// The call that the current task works for.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// Where in which trace.
    pub trace: Trace,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
}

tokio::task_local! {
    /// Set by the layer stack around every call and every poll of a response stream.
    pub(crate) static SCOPE: Scope;
}

/// The scope of the call in progress; `None` outside of any, as in a background task.
pub fn current() -> Option<Scope> {
    SCOPE.try_with(|scope| *scope).ok()
}

/// The trace id of the call in progress, empty outside of any.
pub fn trace_id() -> String {
    current().map(|scope| scope.trace.id()).unwrap_or_default()
}

/// Runs `future` as part of the same call on another task, for example through `tokio::spawn`.
pub fn carry<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let scope = current().unwrap_or_else(|| Scope { trace: Trace::begin(), deadline: None });
    SCOPE.scope(scope, future)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_and_written() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = Trace::parse(header);
        assert_eq!(trace.map(|trace| trace.to_string()).as_deref(), Some(header));
        let child = trace.map(Trace::child);
        assert_eq!(child.map(|child| child.trace_id), trace.map(|trace| trace.trace_id));
    }

    #[test]
    fn a_malformed_traceparent_is_ignored() {
        for header in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert_eq!(Trace::parse(header), None, "{header}");
        }
        assert!(Trace::parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x").is_some());
    }
}
