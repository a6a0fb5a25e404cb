//! Serving: one port for gRPC, gRPC-Web and HTTP, and an end that loses nothing.

mod begun;
mod connection;
mod files;
mod seats;
pub(crate) mod tls;
mod web;

use crate::config::{Operations, Server};
use crate::layers::{Ended, Stack};
use connection::Connections;
use remit_core::{Error, Kind, Result};
use seats::Seats;
use std::net::SocketAddr;
use std::time::Duration;
use tls::Tls;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
pub(crate) use web::Dispatch;

/// A port that is taken and not yet served.
pub struct Bound {
    listener: TcpListener,
    addr: SocketAddr,
    tls: Option<Tls>,
}

impl Bound {
    /// Takes the configured port and reads the certificate, before anything else is started.
    ///
    /// # Errors
    /// `FailedPrecondition`: `ADDRESS_IN_USE` or `ADDRESS_UNUSABLE` naming the address and the setting;
    /// `InvalidArgument` (`CONFIG_INVALID`) for a certificate or key that cannot be used; `FailedPrecondition`
    /// (`KEY_FILE_MISSING`, `KEY_FILE_READABLE`) for a key that cannot be read, or that others can read.
    pub async fn new(config: &Server) -> Result<Self> {
        Self::at(&config.listen, "server.listen", Tls::open(config)?).await
    }

    /// Takes the port for what operators look at, which has no TLS.
    ///
    /// # Errors
    /// `FailedPrecondition`: `ADDRESS_IN_USE` or `ADDRESS_UNUSABLE` naming the address and the setting.
    pub async fn operations(config: &Operations) -> Result<Self> {
        Self::at(&config.listen, "operations.listen", None).await
    }

    async fn at(listen: &str, setting: &str, tls: Option<Tls>) -> Result<Self> {
        let listener = TcpListener::bind(listen).await.map_err(|error| refused(listen, setting, error))?;
        let addr = listener.local_addr().map_err(|error| refused(listen, setting, error))?;
        Ok(Self { listener, addr, tls })
    }

    /// The address, with the port that was given for port 0.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

fn refused(listen: &str, setting: &str, error: std::io::Error) -> Error {
    let (reason, what) = match error.kind() {
        std::io::ErrorKind::AddrInUse => (
            "ADDRESS_IN_USE",
            format!(
                "another program listens on {listen}: stop it, or set {setting} to another port (0 takes any free one)"
            ),
        ),
        std::io::ErrorKind::PermissionDenied => {
            ("ADDRESS_UNUSABLE", format!("this user may not listen on {listen}: set {setting} to a port from 1024 on"))
        }
        _ => (
            "ADDRESS_UNUSABLE",
            format!("cannot listen on {listen}: {error}; set {setting} to an address of this machine and a port"),
        ),
    };
    Error::new(Kind::FailedPrecondition, reason, what).with_source(error)
}

/// How many of the connections that `config` wants there can be, beside so many connections to databases; the process's
/// limit of open files is raised for them.
pub(crate) fn places(config: &Server, databases: usize) -> usize {
    files::connections(config.max_connections, databases)
}

/// How a server is told to end.
pub(crate) struct Ending {
    /// Cancelled to begin the end.
    pub begin: CancellationToken,
    /// Cancelled here once health has said NOT_SERVING for the configured delay.
    pub drain: CancellationToken,
    pub ended: Ended,
}

/// Serves until the end begins, then drains: health says NOT_SERVING (the caller's part), a delay for
/// load balancers, streams end with a reason, connections finish their calls, and after a bound the
/// rest is cut.
pub(crate) async fn run(bound: Bound, config: Server, stack: Stack, http: axum::Router, ending: Ending) {
    let dispatch = Dispatch::new(stack, http, &config.cors_origins);
    let seats = Seats::new(config.max_connections, config.max_connections_per_address, config.proxies.clone());
    let mut connections = Connections::new(&config, seats, dispatch);
    let Bound { listener, mut tls, .. } = bound;
    let mut look = tokio::time::interval(tls::EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let delay = async {
        ending.begin.cancelled().await;
        tokio::time::sleep(config.drain_delay.get()).await;
    };
    tokio::pin!(delay);
    loop {
        tokio::select! {
            () = &mut delay => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => connections.serve(stream, peer, tls.as_ref().map(Tls::acceptor)),
                Err(error) => {
                    // Out of file descriptors, most likely: give back some before trying again.
                    tracing::warn!(%error, "a connection could not be accepted");
                    connections.relieve();
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            _ = look.tick() => if let Some(tls) = &mut tls { tls.look() },
        }
    }
    drop(listener);
    ending.drain.cancel();
    ending.ended.end_streams();
    connections.drain(config.drain_timeout.get()).await;
}
