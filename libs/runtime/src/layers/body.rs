//! The response body of a call: what the layers still owe after the headers.

use super::limits::Ticket;
use super::metrics::CallMetrics;
use super::strangers::Opened;
use super::{Ended, deadline, panicked, shutting_down};
use crate::context::{SCOPE, Scope};
use crate::status::to_status;
use futures::future::BoxFuture;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use hyper::body::Bytes;
use remit_core::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::Span;

/// Counts a call when it is over, and notes it in its span, however it ends.
pub(crate) struct Finish {
    pub metrics: CallMetrics,
    pub method: &'static str,
    pub began: Instant,
    /// Open until the call is over, so that it says how the call ended.
    pub span: Span,
    /// Held until the call is over: its place among those with a token, or without.
    pub ticket: Option<Ticket>,
    pub opened: Option<Opened>,
    /// Ready when the caller of a stream may no longer have it, with the reason.
    pub over: Option<BoxFuture<'static, Error>>,
    pub done: bool,
}

impl Finish {
    pub(crate) fn end(&mut self, code: Code) {
        if !std::mem::replace(&mut self.done, true) {
            let took: Duration = self.began.elapsed();
            self.metrics.end(self.method, code, took);
            crate::telemetry::ended(&self.span, code);
            self.ticket.take();
            self.opened.take();
            self.over.take();
            if tracing::enabled!(tracing::Level::DEBUG) {
                // The line belongs to the trace of the call.
                let _call = self.span.enter();
                tracing::debug!(method = self.method, code = ?code, took_us = took.as_micros() as u64, "call ended");
            }
        }
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        // Nobody waited for the end: the caller went away.
        self.end(Code::Cancelled);
    }
}

/// Wraps the body of an answer: keeps the scope while it is polled, catches panics, ends it with a status at the
/// deadline, at shutdown and with the caller's token, and counts the call when it is over.
pub(crate) struct Guarded {
    inner: Option<Body>,
    scope: Scope,
    deadline: Option<Pin<Box<Sleep>>>,
    ending: Option<BoxFuture<'static, ()>>,
    finish: Finish,
}

impl Guarded {
    /// Streams are watched for deadline and shutdown; the single message of a unary call is there.
    pub(crate) fn new(inner: Body, scope: Scope, streaming: bool, ended: &Ended, finish: Finish) -> Self {
        let deadline = scope.deadline.filter(|_| streaming).map(|at| Box::pin(tokio::time::sleep_until(at)));
        let ending = streaming.then(|| ended.wait());
        Self { inner: Some(inner), scope, deadline, ending, finish }
    }

    fn close(&mut self, status: Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.inner = None;
        self.finish.end(status.code());
        Poll::Ready(Some(Ok(Frame::trailers(trailers(&status)))))
    }
}

/// A status as the last headers of a call.
pub(crate) fn trailers(status: &Status) -> HeaderMap {
    let mut map = HeaderMap::new();
    if status.add_header(&mut map).is_err() {
        map.insert("grpc-status", http::HeaderValue::from_static("13"));
    }
    map
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Some(inner) = this.inner.as_mut() else { return Poll::Ready(None) };
        let scope = this.scope;
        // First, since a stream that never pauses must end too.
        if let Some(Poll::Ready(error)) = this.finish.over.as_mut().map(|over| over.as_mut().poll(cx)) {
            let status = SCOPE.sync_scope(scope, || to_status(error));
            return this.close(status);
        }
        let polled = catch_unwind(AssertUnwindSafe(|| SCOPE.sync_scope(scope, || Pin::new(inner).poll_frame(cx))));
        match polled {
            Err(panic) => {
                let status = SCOPE.sync_scope(scope, || to_status(panicked(this.finish.method, panic.as_ref())));
                this.close(status)
            }
            Ok(Poll::Ready(None)) => {
                this.inner = None;
                this.finish.end(Code::Ok);
                Poll::Ready(None)
            }
            Ok(Poll::Ready(Some(Ok(frame)))) => match frame.into_trailers() {
                Ok(found) => {
                    let found = super::explain(found, &scope);
                    let code = found.get("grpc-status").map_or(Code::Unknown, |code| Code::from_bytes(code.as_bytes()));
                    this.inner = None;
                    this.finish.end(code);
                    Poll::Ready(Some(Ok(Frame::trailers(found))))
                }
                Err(frame) => Poll::Ready(Some(Ok(frame))),
            },
            Ok(Poll::Ready(Some(Err(status)))) => this.close(status),
            Ok(Poll::Pending) => {
                if this.deadline.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready()) {
                    let status = SCOPE.sync_scope(scope, || to_status(deadline::exceeded()));
                    return this.close(status);
                }
                if this.ending.as_mut().is_some_and(|ending| ending.as_mut().poll(cx).is_ready()) {
                    let status = SCOPE.sync_scope(scope, || to_status(shutting_down()));
                    return this.close(status);
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
