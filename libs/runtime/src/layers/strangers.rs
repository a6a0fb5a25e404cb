//! What may be had without a token, and what is done for bad ones: little, by address.

use super::rate::{Bucket, Rate};
use crate::address::{block, speaks_for_many};
use crate::config::Config;
use crate::context::Peer;
use remit_core::{Error, Kind, Result};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// More addresses than this, and those without calls are forgotten: memory stays bounded.
const MOST: usize = 20_000;

/// What one address has.
#[derive(Debug)]
struct Stranger {
    bad_tokens: Bucket,
    calls: usize,
}

/// The callers that nobody knows, by address.
#[derive(Debug)]
pub(crate) struct Strangers {
    rate: Rate,
    calls: usize,
    proxies: Vec<IpAddr>,
    seen: Mutex<HashMap<IpAddr, Stranger>>,
}

impl Strangers {
    pub(crate) fn new(config: &Config) -> Arc<Self> {
        Arc::new(Self {
            rate: Rate::new(config.limits.bad_tokens_per_address, Duration::from_secs(2)),
            calls: config.limits.open_calls_per_address,
            proxies: config.server.proxies.clone(),
            seen: Mutex::default(),
        })
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<IpAddr, Stranger>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() > MOST {
            seen.retain(|_, stranger| stranger.calls > 0);
        }
        seen
    }

    /// The address that bounds count for; none within the process and for who speaks for many.
    fn address(&self, peer: Option<&Peer>) -> Option<IpAddr> {
        peer.map(|peer| peer.0.ip()).filter(|address| !speaks_for_many(*address, &self.proxies)).map(block)
    }

    fn new_one(&self, now: Instant) -> Stranger {
        Stranger { bad_tokens: Bucket::full(self.rate, now), calls: 0 }
    }

    /// Whether a token of this address is looked at.
    ///
    /// # Errors
    /// `ResourceExhausted` (`TOKEN_RATE`), with the time to wait.
    pub(crate) fn listen(&self, peer: Option<&Peer>) -> Result<()> {
        let Some(address) = self.address(peer) else { return Ok(()) };
        let mut seen = self.seen();
        let Some(stranger) = seen.get_mut(&address) else { return Ok(()) };
        let Some(wait) = stranger.bad_tokens.wait(self.rate, Instant::now()) else { return Ok(()) };
        let text =
            "too many bad tokens came from this address (limits.bad_tokens_per_address): get a valid one and wait";
        Err(Error::new(Kind::ResourceExhausted, "TOKEN_RATE", text).with_retry_after(wait))
    }

    /// Counts a bad token; whether the address has now sent too many.
    pub(crate) fn bad_token(&self, peer: Option<&Peer>) -> bool {
        let Some(address) = self.address(peer) else { return false };
        let now = Instant::now();
        let mut seen = self.seen();
        let stranger = seen.entry(address).or_insert_with(|| self.new_one(now));
        if stranger.bad_tokens.wait(self.rate, now).is_some() {
            return true;
        }
        stranger.bad_tokens.take(self.rate);
        false
    }

    /// Counts a call without a token until the answer is dropped.
    ///
    /// # Errors
    /// `ResourceExhausted` (`ADDRESS_CALLS`), with the time to wait.
    pub(crate) fn open(self: &Arc<Self>, peer: Option<&Peer>) -> Result<Option<Opened>> {
        let Some(address) = self.address(peer) else { return Ok(None) };
        let mut seen = self.seen();
        let stranger = seen.entry(address).or_insert_with(|| self.new_one(Instant::now()));
        if stranger.calls >= self.calls {
            let text = format!(
                "{} calls to health and reflection are in progress from this address, the most for one \
                 (limits.open_calls_per_address)",
                self.calls
            );
            return Err(
                Error::new(Kind::ResourceExhausted, "ADDRESS_CALLS", text).with_retry_after(Duration::from_secs(1))
            );
        }
        stranger.calls += 1;
        drop(seen);
        Ok(Some(Opened { strangers: self.clone(), address }))
    }
}

/// A call without a token that is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Opened {
    strangers: Arc<Strangers>,
    address: IpAddr,
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(stranger) = self.strangers.seen().get_mut(&self.address) {
            stranger.calls = stranger.calls.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn strangers(more: &str) -> Arc<Strangers> {
        Strangers::new(&Config::from_toml(more).unwrap())
    }

    fn from(address: &str) -> Peer {
        Peer(format!("{address}:4711").parse().unwrap())
    }

    #[test]
    fn bad_tokens_are_looked_at_so_often_and_each_address_answers_for_itself() {
        let strangers = strangers("limits.bad_tokens_per_address = 1\nserver.proxies = [\"192.0.2.9\"]");
        let (bad, good) = (from("192.0.2.1"), from("192.0.2.2"));
        assert!(!strangers.bad_token(Some(&bad)) && !strangers.bad_token(Some(&bad)));
        assert!(strangers.bad_token(Some(&bad)));
        let refused = strangers.listen(Some(&bad)).unwrap_err();
        assert_eq!(refused.reason(), "TOKEN_RATE");
        assert!(refused.retry_after().is_some_and(|wait| wait <= Duration::from_secs(1)));
        strangers.listen(Some(&good)).unwrap();
        for many in [Some(from("127.0.0.1")), Some(from("192.0.2.9")), None] {
            for _ in 0..10 {
                assert!(!strangers.bad_token(many.as_ref()));
            }
            strangers.listen(many.as_ref()).unwrap();
        }
    }

    #[test]
    fn calls_without_a_token_are_bounded_and_come_back() {
        let strangers = strangers("limits.open_calls_per_address = 1");
        let peer = from("192.0.2.1");
        let open = strangers.open(Some(&peer)).unwrap();
        assert_eq!(strangers.open(Some(&peer)).unwrap_err().reason(), "ADDRESS_CALLS");
        drop(open);
        assert!(strangers.open(Some(&peer)).unwrap().is_some());
        assert!(strangers.open(None).unwrap().is_none());
    }
}
