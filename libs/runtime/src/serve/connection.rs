//! The life of a connection: handshake, service, old age, drain.

use super::Dispatch;
use crate::config::Server;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a TLS handshake, or the head of an HTTP/1 request, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest header list of a call, in bytes: the largest token that can be allowed, and 16 KiB for the rest.
const MAX_HEADER_BYTES: u32 = 48 * 1024;
/// Flow-control windows: the protocol's 64 KiB would stall streams on a network with any delay.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// The open connections of a server.
pub(crate) struct Connections {
    builder: auto::Builder<TokioExecutor>,
    dispatch: Dispatch,
    age: Option<Duration>,
    grace: Duration,
    tracker: TaskTracker,
    draining: CancellationToken,
    cut: CancellationToken,
}

impl Connections {
    pub(crate) fn new(config: &Server, dispatch: Dispatch) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(config.max_streams)
            .keep_alive_interval(config.keepalive_interval.get())
            .keep_alive_timeout(config.keepalive_timeout.get())
            .max_header_list_size(MAX_HEADER_BYTES)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_buf_size(MAX_HEADER_BYTES as usize * 4);
        let age = config.connection_age.get();
        Self {
            builder,
            dispatch,
            age: (!age.is_zero()).then_some(age),
            grace: config.connection_age_grace.get(),
            tracker: TaskTracker::new(),
            draining: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Serves one accepted connection on a task of its own.
    pub(crate) fn serve(&self, stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>) {
        // Without it small answers wait about 40 ms for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let life = Life {
            builder: self.builder.clone(),
            dispatch: self.dispatch.from(peer),
            // A tenth more or less, so that connections made together do not end together.
            age: self.age.map(|age| age.mul_f64(rand::random_range(0.9..1.1))),
            grace: self.grace,
            draining: self.draining.clone(),
        };
        let cut = self.cut.clone();
        self.tracker.spawn(async move {
            let served = async {
                match tls {
                    None => life.serve(stream).await,
                    Some(tls) => match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
                        Ok(Ok(stream)) => life.serve(stream).await,
                        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                        Err(_) => tracing::debug!("a TLS handshake took too long"),
                    },
                }
            };
            tokio::select! {
                () = served => {}
                () = cut.cancelled() => {}
            }
        });
    }

    /// Asks every connection to finish its calls, and cuts those that have not after `patience`.
    pub(crate) async fn drain(self, patience: Duration) {
        self.draining.cancel();
        self.tracker.close();
        if tokio::time::timeout(patience, self.tracker.wait()).await.is_err() {
            tracing::warn!(connections = self.tracker.len(), "calls were still in progress and have been cut");
            self.cut.cancel();
            self.tracker.wait().await;
        }
    }
}

struct Life {
    builder: auto::Builder<TokioExecutor>,
    dispatch: Dispatch,
    age: Option<Duration>,
    grace: Duration,
    draining: CancellationToken,
}

impl Life {
    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let connection = self.builder.serve_connection(TokioIo::new(stream), self.dispatch);
        tokio::pin!(connection);
        let old = async {
            match self.age {
                Some(age) => tokio::time::sleep(age).await,
                None => std::future::pending().await,
            }
        };
        let aged = tokio::select! {
            ended = connection.as_mut() => return note(ended),
            () = self.draining.cancelled() => false,
            () = old => true,
        };
        connection.as_mut().graceful_shutdown();
        if !aged {
            return note(connection.await);
        }
        match tokio::time::timeout(self.grace, connection).await {
            Ok(ended) => note(ended),
            Err(_) => tracing::debug!("a connection past its age and grace has been cut"),
        }
    }
}

fn note(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}
