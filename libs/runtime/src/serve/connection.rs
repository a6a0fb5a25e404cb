//! The life of a connection: handshake, first bytes, service, old age, drain.

use super::Dispatch;
use super::begun::Begun;
use super::seats::{Seat, Seats};
use crate::config::Server;
use crate::telemetry::Told;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use opentelemetry::metrics::{Counter, UpDownCounter};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a connection that nobody used may take to say good-bye.
const FAREWELL: Duration = Duration::from_secs(1);
/// The largest header list of a call, in bytes: the largest token that can be allowed, and 16 KiB for the rest.
const MAX_HEADER_BYTES: u32 = 48 * 1024;
/// Flow-control windows: the protocol's 64 KiB would stall streams on a network with any delay.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// The open connections of a server.
pub(crate) struct Connections {
    builder: auto::Builder<TokioExecutor>,
    dispatch: Dispatch,
    seats: Seats,
    patience: Patience,
    open: UpDownCounter<i64>,
    refused: Counter<u64>,
    /// How many were refused since the log was told.
    told: Told,
    tracker: TaskTracker,
    draining: CancellationToken,
    cut: CancellationToken,
}

/// How long a connection may take for what.
#[derive(Debug, Clone, Copy)]
struct Patience {
    handshake: Duration,
    first_call: Duration,
    age: Option<Duration>,
    grace: Duration,
}

impl Connections {
    pub(crate) fn new(config: &Server, seats: Seats, dispatch: Dispatch) -> Self {
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
            .header_read_timeout(config.handshake_timeout.get())
            .max_buf_size(MAX_HEADER_BYTES as usize * 4);
        let age = config.connection_age.get();
        let meter = opentelemetry::global::meter("remit");
        Self {
            builder,
            dispatch,
            seats,
            patience: Patience {
                handshake: config.handshake_timeout.get(),
                first_call: config.first_call_timeout.get(),
                age: (!age.is_zero()).then_some(age),
                grace: config.connection_age_grace.get(),
            },
            open: meter.i64_up_down_counter("remit.connections.open").with_description("The open connections.").build(),
            refused: meter
                .u64_counter("remit.connections.refused")
                .with_description("The connections that were closed at once because all places were taken.")
                .build(),
            told: Told::default(),
            tracker: TaskTracker::new(),
            draining: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Serves one accepted connection on a task of its own, or closes it if there is no place for it.
    pub(crate) fn serve(&mut self, stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>) {
        let Some(seat) = self.seats.take(peer.ip()) else {
            if let Some(refused) = self.told.count(Instant::now()) {
                let open = self.seats.len();
                tracing::warn!(
                    open,
                    refused,
                    "connections are closed at once: all places, or those of an address, are taken \
                     (server.max_connections, server.max_connections_per_address)"
                );
            }
            self.refused.add(1, &[]);
            return;
        };
        // Without it small answers wait about 40 ms for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let mut patience = self.patience;
        // A tenth more or less, so that connections made together do not end together.
        patience.age = patience.age.map(|age| age.mul_f64(rand::random_range(0.9..1.1)));
        let life = Life {
            builder: self.builder.clone(),
            dispatch: self.dispatch.from(peer, seat.standing().clone()),
            patience,
            seat,
            draining: self.draining.clone(),
        };
        let (cut, open) = (self.cut.clone(), self.open.clone());
        self.tracker.spawn(async move {
            open.add(1, &[]);
            tokio::select! {
                () = life.begin(stream, tls) => {}
                () = cut.cancelled() => {}
            }
            open.add(-1, &[]);
        });
    }

    /// Makes room where the system has none left.
    pub(crate) fn relieve(&self) {
        self.seats.relieve();
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
    patience: Patience,
    seat: Seat,
    draining: CancellationToken,
}

impl Life {
    async fn begin(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let until = Instant::now() + self.patience.handshake;
        match tls {
            None => self.listen(stream, until).await,
            Some(tls) => {
                let shaken = tokio::select! {
                    () = self.seat.lost() => return,
                    shaken = timeout_at(until, tls.accept(stream)) => shaken,
                };
                match shaken {
                    Ok(Ok(stream)) => self.listen(stream, until).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                }
            }
        }
    }

    /// Waits for the first bytes, for which the libraries below would wait for ever.
    async fn listen<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S, until: Instant) {
        let begun = tokio::select! {
            () = self.seat.lost() => return,
            () = self.draining.cancelled() => return,
            begun = timeout_at(until, Begun::read(stream)) => begun,
        };
        match begun {
            Ok(Ok(Some(stream))) => self.serve(stream).await,
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a connection ended before its first bytes"),
            Err(_) => tracing::debug!("a connection was silent for too long"),
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let connection = self.builder.serve_connection(TokioIo::new(stream), self.dispatch);
        tokio::pin!(connection);
        let old = async {
            match self.patience.age {
                Some(age) => tokio::time::sleep(age).await,
                None => std::future::pending().await,
            }
        };
        let unused = async {
            tokio::time::sleep(self.patience.first_call).await;
            if self.seat.standing().has_called() {
                std::future::pending::<()>().await;
            }
        };
        let grace = tokio::select! {
            ended = connection.as_mut() => return note(ended),
            () = self.seat.lost() => {
                tracing::debug!("a connection gave its place to another");
                return;
            }
            () = self.draining.cancelled() => None,
            () = old => Some(self.patience.grace),
            () = unused => Some(FAREWELL),
        };
        connection.as_mut().graceful_shutdown();
        let Some(grace) = grace else { return note(connection.await) };
        match tokio::time::timeout(grace, connection).await {
            Ok(ended) => note(ended),
            Err(_) => tracing::debug!("a connection past its time and grace has been cut"),
        }
    }
}

fn note(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}
