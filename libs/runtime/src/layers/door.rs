//! Who calls, and whether there is room for the call: asked in the same way over gRPC and over plain HTTP.

use super::held::Account;
use super::limits::{Arriving, Limits, Sort, Ticket};
use super::strangers::{Opened, Strangers};
use crate::auth::{Admitted, Entrance, Identity, Priority};
use crate::config::Config;
use crate::context::{Peer, Standing};
use http::{Extensions, HeaderMap, header};
use opentelemetry::metrics::Meter;
use remit_core::{Kind, Result};
use std::sync::Arc;
use tokio::time::Instant;

/// Where a request came through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Way {
    peer: Option<Peer>,
    standing: Option<Standing>,
}

impl Way {
    /// As the server put it among the extensions of the request; within the process there is nothing.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        Self { peer: extensions.get().copied(), standing: extensions.get().cloned() }
    }

    /// The other end of the connection.
    pub(crate) fn peer(&self) -> Option<Peer> {
        self.peer
    }
}

/// The door of a process.
#[derive(Debug)]
pub(crate) struct Door {
    entrance: Entrance,
    limits: Arc<Limits>,
    strangers: Arc<Strangers>,
}

impl Door {
    pub(crate) fn new(config: &Config, entrance: Entrance, meter: &Meter) -> Self {
        Self { entrance, limits: Limits::new(config, meter), strangers: Strangers::new(config) }
    }

    /// Who calls, by the token. Of an address that sends bad ones no more are looked at for a while, unless the
    /// connection has shown a valid one. The first callers of a tenant wait until `deadline` at most.
    ///
    /// # Errors
    /// `ResourceExhausted` (`TOKEN_RATE`); as [`Entrance::verify`].
    pub(crate) async fn verify(&self, headers: &HeaderMap, way: &Way, deadline: Option<Instant>) -> Result<Admitted> {
        let (peer, standing) = (way.peer.as_ref(), way.standing.as_ref());
        if !standing.is_some_and(Standing::is_known) {
            self.strangers.listen(peer).inspect_err(|error| self.limits.count(error.reason()))?;
        }
        let admitted = self.entrance.verify(headers, deadline).await;
        match &admitted {
            Ok(admitted) => {
                if let Some(standing) = standing {
                    standing.known(&admitted.verified.1.tenant);
                }
            }
            // Without a token there is no signature to check.
            Err(error) if error.kind() == Kind::Unauthenticated && headers.contains_key(header::AUTHORIZATION) => {
                if let (true, Some(standing)) = (self.strangers.bad_token(peer), standing) {
                    standing.forget();
                }
            }
            Err(_) => {}
        }
        admitted
    }

    /// Counts a call of somebody known until the ticket is dropped.
    ///
    /// # Errors
    /// As [`Limits::admit`].
    pub(crate) fn admit(&self, who: &Identity, priority: Priority, sort: Sort, method: &str) -> Result<Ticket> {
        self.limits.admit(who, priority, sort, method)
    }

    /// Counts an urgent call whose message has not come yet.
    ///
    /// # Errors
    /// As [`Limits::arrive`].
    pub(crate) fn arrive(&self, who: &Identity) -> Result<Option<Arriving>> {
        self.limits.arrive(who)
    }

    /// Where the bytes of a call that are not yet a whole message are counted.
    pub(crate) fn account(&self, who: &Identity) -> Option<Account> {
        self.limits.account(who)
    }

    /// Counts a call without a token.
    ///
    /// # Errors
    /// As [`Strangers::open`].
    pub(crate) fn open(&self, way: &Way) -> Result<Option<Opened>> {
        self.strangers.open(way.peer.as_ref()).inspect_err(|error| self.limits.count(error.reason()))
    }

    /// The calls in progress.
    #[cfg(test)]
    pub(crate) fn calls(&self) -> usize {
        self.limits.calls()
    }
}
