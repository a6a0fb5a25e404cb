//! A connection of which the first bytes have been read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// What an HTTP/2 client says first.
///
/// # Source
/// RFC 9113, section 3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Gives the first bytes again to whoever reads.
#[derive(Debug)]
pub(super) struct Begun<S> {
    first: [u8; PREFACE.len()],
    /// How many of them were read, and how many have been given again.
    have: usize,
    given: usize,
    stream: S,
}

impl<S: AsyncRead + Unpin> Begun<S> {
    /// Reads until it is clear whether this is HTTP/2: all of its preface, or what is no part of it. None if the stream
    /// ended before.
    ///
    /// # Errors
    /// As reading fails.
    pub(super) async fn read(mut stream: S) -> io::Result<Option<Self>> {
        let (mut first, mut have) = ([0; PREFACE.len()], 0);
        while let Some(rest) = first.get_mut(have..).filter(|rest| !rest.is_empty()) {
            let read = stream.read(rest).await?;
            if read == 0 {
                return Ok(None);
            }
            have += read;
            if first.get(..have) != PREFACE.get(..have) {
                break;
            }
        }
        Ok(Some(Self { first, have, given: 0, stream }))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.first.get(this.given..this.have) {
            Some(rest) if !rest.is_empty() => {
                let some = rest.len().min(buffer.remaining());
                buffer.put_slice(rest.get(..some).unwrap_or_default());
                this.given += some;
                Poll::Ready(Ok(()))
            }
            _ => Pin::new(&mut this.stream).poll_read(cx, buffer),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn what_was_read_is_given_again() {
        for text in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand more", "GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/9", "P!"] {
            let mut begun = Begun::read(text.as_bytes()).await.unwrap().unwrap();
            let mut all = String::new();
            begun.read_to_string(&mut all).await.unwrap();
            assert_eq!(all, text);
        }
        for nothing in ["", "PRI * HT"] {
            assert!(Begun::read(nothing.as_bytes()).await.unwrap().is_none(), "{nothing:?}");
        }
    }
}
