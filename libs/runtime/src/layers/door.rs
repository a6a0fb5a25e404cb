//! Who calls, and whether there is room for the call: asked in the same way over gRPC and over plain HTTP.

use super::limits::{Limits, Sort, Ticket};
use super::strangers::{Opened, Strangers};
use crate::auth::{Authenticator, Identity, Priority};
use crate::config::Config;
use crate::context::{Peer, Standing};
use http::{Extensions, HeaderMap, header};
use opentelemetry::metrics::Meter;
use remit_core::{Kind, Result};
use std::sync::Arc;

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
}

/// The door of a process.
#[derive(Debug)]
pub(crate) struct Door {
    auth: Arc<Authenticator>,
    limits: Arc<Limits>,
    strangers: Arc<Strangers>,
}

impl Door {
    pub(crate) fn new(config: &Config, auth: Arc<Authenticator>, meter: &Meter) -> Self {
        Self { auth, limits: Limits::new(config, meter), strangers: Strangers::new(config) }
    }

    /// Who calls, by the token. Of an address that sends bad ones no more are looked at for a while, unless the
    /// connection has shown a valid one.
    ///
    /// # Errors
    /// `ResourceExhausted` (`TOKEN_RATE`); as [`Authenticator::verify`].
    pub(crate) async fn verify(&self, headers: &HeaderMap, way: &Way) -> Result<Arc<(u64, Identity)>> {
        let (peer, standing) = (way.peer.as_ref(), way.standing.as_ref());
        if !standing.is_some_and(Standing::is_known) {
            self.strangers.listen(peer).inspect_err(|error| self.limits.count(error.reason()))?;
        }
        let token = headers.get(header::AUTHORIZATION);
        let verified = self.auth.verify(token.map(|value| value.to_str().unwrap_or(""))).await;
        match &verified {
            Ok(verified) => {
                if let Some(standing) = standing {
                    standing.known(&verified.1.tenant);
                }
            }
            // Without a token there is no signature to check.
            Err(error) if error.kind() == Kind::Unauthenticated && token.is_some() => {
                if let (true, Some(standing)) = (self.strangers.bad_token(peer), standing) {
                    standing.forget();
                }
            }
            Err(_) => {}
        }
        verified
    }

    /// Counts a call of somebody known until the ticket is dropped.
    ///
    /// # Errors
    /// As [`Limits::admit`].
    pub(crate) fn admit(&self, who: &Identity, priority: Priority, sort: Sort, method: &str) -> Result<Ticket> {
        self.limits.admit(who, priority, sort, method)
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
