//! The request body of a call: its framing is the caller's, and so is the blame for it; and it must come in time.
//!
//! gRPC's own code reports what is wrong with the frames of a request as a defect of the server, and keeps what it has
//! of a message without a bound in time. So the frames are read along here, before it sees them.

use super::frames::{Frames, Wrong};
use super::held::Account;
use crate::auth::Admitted;
use crate::status::to_status;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_body::{Frame, SizeHint};
use hyper::body::Bytes;
use remit_core::{Error, Kind, Result};
use std::future::poll_fn;
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
    /// Whether the method takes one message.
    single: bool,
    /// How long one message may take to come.
    patience: Duration,
    late: Option<Pin<Box<Sleep>>>,
    /// Where what is there of a message is counted.
    account: Option<Account>,
    /// What was read before anybody asked for it.
    early: Option<Bytes>,
    /// Who calls, if the wait for the message is to end with her token; then the wait for that end.
    caller: Option<Admitted>,
    over: Option<BoxFuture<'static, Error>>,
}

impl Asked {
    /// `single`: the method takes one message. A message must come within `patience`: the one of a call from its
    /// beginning, those of a stream once they have begun.
    pub(crate) fn new(inner: Body, single: bool, most: usize, patience: Duration) -> Self {
        Self {
            inner: Some(inner),
            frames: Frames::new(single, most),
            single,
            patience,
            late: None,
            account: None,
            early: None,
            caller: None,
            over: None,
        }
    }

    /// Counts what comes there.
    pub(crate) fn count(&mut self, account: Option<Account>) {
        self.account = account;
    }

    /// Waits no longer for the message than the token of the caller counts.
    pub(crate) fn end_with(&mut self, caller: Admitted) {
        self.caller = Some(caller);
    }

    /// Waits until the one message of the call is there; the body then gives it as if nobody had read it.
    ///
    /// # Errors
    /// What the body would have given.
    pub(crate) async fn arrive(&mut self) -> Result<()> {
        // In one piece, since small pieces cost more than their bytes.
        let mut pieces = Vec::new();
        while !self.frames.is_complete() {
            let Some(frame) = poll_fn(|cx| self.next(cx)).await else { break };
            let Ok(data) = frame?.into_data() else { continue };
            if pieces.is_empty() && self.frames.is_complete() {
                self.early = Some(data);
                return Ok(());
            }
            pieces.extend_from_slice(&data);
        }
        self.early = (!pieces.is_empty()).then(|| Bytes::from(pieces));
        Ok(())
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let Some(inner) = self.inner.as_mut() else { return Poll::Ready(None) };
        match http_body::Body::poll_frame(Pin::new(inner), cx) {
            Poll::Ready(Some(Ok(frame))) => match frame.data_ref().map_or(Ok(()), |data| self.read(data)) {
                Ok(()) => Poll::Ready(Some(Ok(frame))),
                Err(error) => self.fail(error),
            },
            Poll::Ready(Some(Err(broken))) => self.fail(malformed(format_args!("it broke off: {}", broken.message()))),
            Poll::Ready(None) => match self.frames.end() {
                Ok(()) => {
                    self.inner = None;
                    Poll::Ready(None)
                }
                Err(wrong) => self.fail(refused(wrong)),
            },
            Poll::Pending => self.wait(cx),
        }
    }

    fn read(&mut self, data: &[u8]) -> Result<()> {
        let before = self.frames.messages();
        self.frames.read(data).map_err(refused)?;
        // Of a call its end is waited for too, within the same time: its place is not to be kept by what never ends.
        if self.frames.messages() > before && !self.single {
            self.late = None;
        }
        match &mut self.account {
            Some(account) => account.hold(self.frames.held()),
            None => Ok(()),
        }
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        if !self.single && self.frames.held() == 0 {
            return Poll::Pending;
        }
        // Nearly every message is there at once, and needs no timer.
        let patience = self.patience;
        let late = self.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        if late.as_mut().poll(cx).is_ready() {
            let text = format!(
                "the request did not come within {} s (server.body_timeout): send it at once",
                patience.as_secs_f64()
            );
            return self.fail(Error::new(Kind::ResourceExhausted, "MESSAGE_LATE", text));
        }
        if let Some(caller) = self.caller.take() {
            self.over = Some(caller.over().boxed());
        }
        match self.over.as_mut().map(|over| over.as_mut().poll(cx)) {
            Some(Poll::Ready(error)) => self.fail(error),
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>>>> {
        (self.inner, self.account, self.over) = (None, None, None);
        Poll::Ready(Some(Err(error)))
    }
}

/// What a caller reads whose request is not in gRPC's frames.
fn malformed(what: impl std::fmt::Display) -> Error {
    Error::new(Kind::InvalidArgument, "MESSAGE_MALFORMED", format!("the request is not framed as gRPC: {what}"))
}

fn refused(wrong: Wrong) -> Error {
    match wrong {
        Wrong::Framing(what) => malformed(what),
        Wrong::Large { size, most } => {
            let text = format!("the message has {size} bytes, and the method takes {most} at most: send less at once");
            Error::new(Kind::ResourceExhausted, "MESSAGE_TOO_LARGE", text)
        }
    }
}

impl http_body::Body for Asked {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(early) = self.early.take() {
            return Poll::Ready(Some(Ok(Frame::data(early))));
        }
        self.next(cx).map(|next| next.map(|frame| frame.map_err(to_status)))
    }

    fn is_end_stream(&self) -> bool {
        // Also the end is looked at: a message may be missing.
        self.inner.is_none() && self.early.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.inner, &self.early) {
            (Some(inner), None) => http_body::Body::size_hint(inner),
            (None, None) => SizeHint::with_exact(0),
            (_, Some(_)) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::status::reason;
    use futures::{StreamExt as _, stream};
    use std::convert::Infallible;

    /// A body of these pieces, which then says nothing more, or ends.
    fn asked(pieces: &[&[u8]], ends: bool, single: bool) -> Asked {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok::<_, Infallible>(piece.to_vec())).collect();
        let pieces = stream::iter(pieces);
        let body = if ends {
            axum::body::Body::from_stream(pieces)
        } else {
            axum::body::Body::from_stream(pieces.chain(stream::pending()))
        };
        Asked::new(Body::new(body), single, 100, Duration::from_millis(10))
    }

    async fn frame(asked: &mut Asked) -> Option<Result<Bytes, String>> {
        let frame = poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut *asked), cx)).await?;
        Some(frame.map(|frame| frame.into_data().unwrap()).map_err(|status| reason(&status)))
    }

    #[tokio::test]
    async fn a_message_of_a_stream_must_end_once_it_has_begun() {
        let mut body = asked(&[&[0, 0, 0, 0, 2, 8, 1, 0, 0]], false, false);
        assert!(frame(&mut body).await.unwrap().is_ok());
        assert_eq!(frame(&mut body).await, Some(Err("MESSAGE_LATE".to_owned())));
        assert_eq!(frame(&mut body).await, None);
        let mut body = asked(&[&[0, 0, 0, 0, 2, 8, 1]], false, false);
        assert!(frame(&mut body).await.unwrap().is_ok());
        assert!(frame(&mut body).now_or_never().is_none() && body.late.is_none(), "nothing has begun");
    }

    #[tokio::test]
    async fn a_message_that_is_too_large_is_refused_by_its_length_alone() {
        let mut body = asked(&[&[0, 0, 0, 0, 101]], false, false);
        assert_eq!(frame(&mut body).await, Some(Err("MESSAGE_TOO_LARGE".to_owned())));
    }

    #[tokio::test]
    async fn what_arrived_early_is_given_as_it_came() {
        let cases: [&[&[u8]]; 2] = [&[&[0, 0, 0, 0, 2, 8, 1]], &[&[0, 0], &[0, 0, 2], &[8], &[1]]];
        for pieces in cases {
            let mut body = asked(pieces, true, true);
            body.arrive().await.unwrap();
            assert_eq!(frame(&mut body).await, Some(Ok(Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]))));
            assert_eq!(frame(&mut body).await, None);
        }
        let late = asked(&[&[0, 0, 0, 0, 2, 8]], false, true).arrive().await.unwrap_err();
        assert_eq!(late.reason(), "MESSAGE_LATE");
        let none = asked(&[], true, true).arrive().await.unwrap_err();
        assert_eq!(none.reason(), "MESSAGE_MALFORMED");
    }
}
