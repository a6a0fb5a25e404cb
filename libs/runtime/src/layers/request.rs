//! The request body of a call: its framing is the caller's, and so is the blame for it; and it must come in time.
//!
//! gRPC's own code reports what is wrong with the frames of a request as a defect of the server. So the frames are read
//! along here, before it sees them.

use super::frames::Frames;
use crate::status::to_status;
use http_body::{Frame, SizeHint};
use hyper::body::Bytes;
use remit_core::{Error, Kind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;

/// Wraps the body of a request.
pub(crate) struct Asked {
    /// None once it is over.
    inner: Option<Body>,
    frames: Frames,
    /// How long the one message may take to come; none for a stream of messages.
    patience: Option<Duration>,
    late: Option<Pin<Box<Sleep>>>,
}

impl Asked {
    /// `single`: the method takes one message, which must come within `patience`.
    pub(crate) fn new(inner: Body, single: bool, patience: Duration) -> Self {
        Self { inner: Some(inner), frames: Frames::new(single), patience: single.then_some(patience), late: None }
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.inner = None;
        Poll::Ready(Some(Err(to_status(error))))
    }
}

/// What a caller reads whose request is not in gRPC's frames.
fn malformed(what: impl std::fmt::Display) -> Error {
    Error::new(Kind::InvalidArgument, "MESSAGE_MALFORMED", format!("the request is not framed as gRPC: {what}"))
}

impl http_body::Body for Asked {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Some(inner) = this.inner.as_mut() else { return Poll::Ready(None) };
        match Pin::new(inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let read = match frame.data_ref() {
                    Some(data) => this.frames.read(data),
                    None => Ok(()),
                };
                match read {
                    Ok(()) => Poll::Ready(Some(Ok(frame))),
                    Err(what) => this.fail(malformed(what)),
                }
            }
            Poll::Ready(Some(Err(broken))) => this.fail(malformed(format_args!("it broke off: {}", broken.message()))),
            Poll::Ready(None) => match this.frames.end() {
                Ok(()) => {
                    this.inner = None;
                    Poll::Ready(None)
                }
                Err(what) => this.fail(malformed(what)),
            },
            Poll::Pending => {
                // Nearly every message is there at once, and needs no timer.
                let Some(patience) = this.patience.filter(|_| !this.frames.is_complete()) else { return Poll::Pending };
                let late = this.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
                if late.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                let text = format!(
                    "the request did not come within {} s (server.body_timeout): send it at once",
                    patience.as_secs_f64()
                );
                this.fail(Error::new(Kind::ResourceExhausted, "MESSAGE_LATE", text))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // Also the end is looked at: a message may be missing.
        self.inner.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}
