//! The way in: a token is verified, and then held against what the council has said of tokens since: which are revoked,
//! and which roles people have inside Remit.
//!
//! Every process follows the council's watch stream of each tenant whose people and programs call it, from the first
//! call on until none has come for a while. The suite's own services are not held against it: nothing could start, and
//! what ends them is the withdrawal of their keys.

mod follow;
mod known;
#[cfg(test)]
mod tests;

use super::speaker::Speaker;
use super::tokens::{Authenticator, Identity};
use crate::{Channel, Config, Peers};
use follow::Follower;
use http::HeaderMap;
use known::Known;
use remit_core::{Clock as _, Error, Kind, Result, SystemClock, Tenant, Timestamp};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The service that keeps revocations and role assignments.
const COUNCIL: &str = "council";
/// How long the first callers of a tenant wait for what is known of it: as long as a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(8);
/// After how long without a call and without an open stream a tenant is followed no longer.
const IDLE: Duration = Duration::from_secs(600);
/// How often an open stream is held against what changes by time alone: the end of an assignment, the age of what is
/// known. Of a revocation, and of the end of its token, it learns at once.
const AGAIN: Duration = Duration::from_secs(30);

/// The time by which tokens are issued and judged: that of the machine, also where the process works with a clock that
/// is moved by hand. What is said of tokens has its times by it too.
pub fn token_time() -> Timestamp {
    SystemClock.now()
}

/// The most that each issuer may grant, by its name: what is assigned to its people inside Remit is held to it too.
type Grants = HashMap<String, crate::config::Grants>;

/// What the council has said of tokens, as this process hears it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Access(Option<Arc<Shared>>);

struct Shared {
    peers: Peers,
    /// The service of this process in whose name the council is asked.
    us: &'static str,
    ways: Ways,
    max_age: Duration,
    grants: Arc<Grants>,
    shutdown: CancellationToken,
    tenants: RwLock<HashMap<Tenant, Arc<Followed>>>,
}

/// What is known of one tenant.
struct Followed {
    known: RwLock<Known>,
    begun: Instant,
    max_age: Duration,
    grants: Arc<Grants>,
    /// When the council was last heard of, and the last call came: milliseconds since `begun`; nothing was heard yet
    /// where `heard` is 0.
    heard: AtomicU64,
    /// Whether the council is there and does not let this process in.
    refused: AtomicBool,
    used: AtomicU64,
    changes: watch::Sender<u64>,
}

/// The connections to the council: each carries only so many streams, since HTTP/2 lets no more of them begin.
struct Ways {
    /// The council where it runs elsewhere.
    peers: Option<Peers>,
    local: Channel,
    streams: usize,
    open: Mutex<Vec<(Channel, Arc<()>)>>,
}

impl Ways {
    /// A connection, and what counts as one stream on it for as long as it is kept.
    fn take(&self) -> (Channel, Arc<()>) {
        let Some(peers) = &self.peers else { return (self.local.clone(), Arc::default()) };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = open.iter().find(|(_, streams)| Arc::strong_count(streams) <= self.streams) {
            return found.clone();
        }
        open.push((peers.apart(COUNCIL), Arc::default()));
        open.last().cloned().unwrap_or_else(|| (self.local.clone(), Arc::default()))
    }
}

impl Access {
    /// What a process knows that has no council to ask: nothing is revoked, and nobody has roles but by her token.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Follows the council that runs here or is among the peers; `here` are the services of this process.
    pub(crate) fn open(config: &Config, here: &[&'static str], peers: &Peers, shutdown: CancellationToken) -> Self {
        let elsewhere = !here.contains(&COUNCIL) && config.peers.contains_key(COUNCIL);
        let us = here.first().filter(|_| elsewhere || here.contains(&COUNCIL));
        let Some(us) = us else {
            tracing::warn!(
                "no token is ever revoked in this process, and no role assigned inside Remit counts: it neither runs \
                 the council nor knows its address (peers.council)"
            );
            return Self::none();
        };
        let ways = Ways {
            peers: elsewhere.then(|| peers.clone()),
            local: peers.channel(COUNCIL),
            // Half of what a connection to this process takes: the council's own setting is not known here.
            streams: usize::try_from(config.server.max_streams / 2).unwrap_or(usize::MAX).max(1),
            open: Mutex::default(),
        };
        let issuers = config.auth.issuers.iter();
        let grants = issuers.map(|issuer| (issuer.issuer.clone(), issuer.grants.clone())).collect();
        Self(Some(Arc::new(Shared {
            peers: peers.clone(),
            us,
            ways,
            max_age: config.auth.access_max_age.get(),
            grants: Arc::new(grants),
            shutdown,
            tenants: RwLock::default(),
        })))
    }

    /// Of how many tenants the council lets this process hear nothing, and how many are followed.
    fn refused(&self) -> (usize, usize) {
        let Some(shared) = &self.0 else { return (0, 0) };
        let tenants = shared.tenants.read().unwrap_or_else(PoisonError::into_inner);
        let refused = tenants.values().filter(|followed| followed.refused.load(Ordering::Acquire)).count();
        (refused, tenants.len())
    }

    /// Holds a verified token against what is known of its tenant, which is followed from here on if it was not; the
    /// first calls wait for it, at most until `deadline`.
    ///
    /// # Errors
    /// `Unauthenticated` (`TOKEN_REVOKED`); `Unavailable` (`ACCESS_UNKNOWN`).
    async fn admit(&self, token: Arc<(u64, Identity)>, deadline: Option<Instant>) -> Result<Admitted> {
        let ends = Timestamp(i64::MAX);
        let Some(shared) = self.0.as_ref().filter(|_| token.1.service.is_none()) else {
            return Ok(Admitted { verified: token.clone(), token, followed: None, ends });
        };
        let followed = shared.followed(&token.1.tenant);
        followed.ready(deadline).await?;
        // Who shows it is known, and so is whose log tells of it.
        let verified = followed.judge(&token, token_time()).map_err(|error| match error.kind() {
            Kind::Unauthenticated => error.with_source(Speaker::of(&token.1)),
            _ => error,
        })?;
        Ok(Admitted { verified, token, followed: Some(followed), ends })
    }
}

impl Shared {
    /// What is known of a tenant, which is followed from now on.
    fn followed(self: &Arc<Self>, tenant: &Tenant) -> Arc<Followed> {
        let found = self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned();
        let found = found.unwrap_or_else(|| {
            let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
            let begin = || {
                let followed = Arc::new(Followed::new(self.max_age, self.grants.clone()));
                let follower = Follower::new(self.clone(), tenant.clone(), followed.clone());
                tokio::spawn(follower.run());
                followed
            };
            tenants.entry(tenant.clone()).or_insert_with(begin).clone()
        });
        found.used.store(found.now(), Ordering::Relaxed);
        found
    }

    /// Gives a tenant up that nobody has asked about for a while; whether it did. Its follower has the only other
    /// reference then: streams and calls hold one each, and new ones come from under this lock alone.
    fn give_up(&self, tenant: &Tenant, followed: &Arc<Followed>) -> bool {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let unused = Duration::from_millis(followed.now().saturating_sub(followed.used.load(Ordering::Relaxed)));
        if unused < IDLE || Arc::strong_count(followed) > 2 {
            return false;
        }
        tenants.remove(tenant);
        true
    }
}

fn unknown(what: &str) -> Error {
    Error::new(Kind::Unavailable, "ACCESS_UNKNOWN", what).with_retry_after(Duration::from_secs(1))
}

impl Followed {
    fn new(max_age: Duration, grants: Arc<Grants>) -> Self {
        Self {
            known: RwLock::default(),
            begun: Instant::now(),
            max_age,
            grants,
            heard: AtomicU64::new(0),
            refused: AtomicBool::new(false),
            used: AtomicU64::new(0),
            changes: watch::Sender::new(0),
        }
    }

    /// Milliseconds since it was begun, at least 1.
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    fn cursor(&self) -> String {
        self.known.read().unwrap_or_else(PoisonError::into_inner).cursor.clone()
    }

    /// Changes what is known, and tells those who wait for it.
    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.write().unwrap_or_else(PoisonError::into_inner));
        self.hear();
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Asks for a snapshot again. What is known stays so until it is there.
    fn begin_anew(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).cursor.clear();
    }

    /// Notes that the council is there.
    fn hear(&self) {
        self.refused.store(false, Ordering::Release);
        self.heard.store(self.now(), Ordering::Release);
    }

    fn is_known(&self) -> bool {
        self.heard.load(Ordering::Acquire) > 0
    }

    /// Why it is not known whether a token was revoked: `away`, unless the council is there.
    fn why(&self, away: &str) -> Error {
        unknown(if self.refused.load(Ordering::Acquire) {
            "this server is not let in by the council, which knows whether your token was revoked: its operator must see to \
             its key, its log says why"
        } else {
            away
        })
    }

    /// Waits for the first that is known. Who comes long after the first caller does not wait: the council is away.
    async fn ready(&self, deadline: Option<Instant>) -> Result<()> {
        if self.is_known() {
            return Ok(());
        }
        let until = self.begun + PATIENCE;
        let until = deadline.map_or(until, |deadline| deadline.min(until));
        let mut changes = self.changes.subscribe();
        let known = async {
            while !self.is_known() {
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout_at(until, known).await.map_err(|_| {
            self.why("the council cannot be reached, which knows whether your token was revoked: wait and resend")
        })
    }

    /// Whether a token counts at `now`, and the caller that it makes: with the roles that are assigned to it.
    fn judge(&self, token: &Arc<(u64, Identity)>, now: Timestamp) -> Result<Arc<(u64, Identity)>> {
        let heard = self.heard.load(Ordering::Acquire);
        if Duration::from_millis(self.now().saturating_sub(heard)) > self.max_age {
            let what = "the council has been away for too long to know whether your token was revoked: wait and resend";
            return Err(self.why(what));
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let identity = &token.1;
        known.check(identity, now)?;
        let roles = known.assigned(identity, now, &self.grants);
        drop(known);
        if roles.is_empty() {
            return Ok(token.clone());
        }
        let mut raised = identity.clone();
        roles.give(Arc::make_mut(&mut raised.actor));
        Ok(Arc::new((token.0, raised)))
    }
}

/// Verifies tokens and holds them against what the council has said of them: the one way in.
#[derive(Clone)]
pub(crate) struct Entrance {
    tokens: Arc<Authenticator>,
    access: Access,
}

impl fmt::Debug for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entrance").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

impl Entrance {
    /// What somebody should look at, since tokens may be refused because of it.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let (refused, followed) = self.access.refused();
        let shut_out = (refused > 0).then(|| {
            format!("the council does not let this process in, for {refused} of {followed} tenants: see to its key and its clock")
        });
        self.tokens.warnings().chain(shut_out).collect()
    }

    /// Whether nobody's token can be judged, because the council lets this process hear nothing of any tenant.
    pub(crate) fn is_shut_out(&self) -> bool {
        let (refused, followed) = self.access.refused();
        refused > 0 && refused == followed
    }

    pub(crate) fn new(tokens: Arc<Authenticator>, access: Access) -> Self {
        Self { tokens, access }
    }

    /// Lets in whoever shows a token in `headers`; the first of a tenant wait until `deadline` at most.
    ///
    /// # Errors
    /// As [`Authenticator::verify`]; `Unauthenticated` (`TOKEN_REVOKED`); `Unavailable` (`ACCESS_UNKNOWN`) while the
    /// council cannot be reached.
    pub(crate) async fn verify(&self, headers: &HeaderMap, deadline: Option<Instant>) -> Result<Admitted> {
        let token = self.tokens.verify_headers(headers).await?;
        let ends = self.tokens.ends(&token.1);
        Ok(Admitted { ends, ..self.access.admit(token, deadline).await? })
    }
}

/// A caller who was let in, and for how long her token counts.
pub(crate) struct Admitted {
    /// Who calls, with the roles that are assigned to her inside Remit.
    pub verified: Arc<(u64, Identity)>,
    token: Arc<(u64, Identity)>,
    followed: Option<Arc<Followed>>,
    /// When the token has expired.
    ends: Timestamp,
}

impl Admitted {
    /// Waits until the token no longer counts, and says why: it has expired, or was revoked, or whoever has it lost
    /// roles. What is open for longer than a call must wait for this.
    pub(crate) async fn over(self) -> Error {
        // Subscribed before looking, so that nothing slips in between.
        let mut changes = self.followed.as_ref().map(|followed| followed.changes.subscribe());
        loop {
            let now = token_time();
            if now >= self.ends {
                return Error::new(Kind::Unauthenticated, "TOKEN_EXPIRED", "the token has expired");
            }
            match self.followed.as_ref().map(|followed| followed.judge(&self.token, now)) {
                Some(Err(error)) => return error,
                Some(Ok(now)) if !holds(&now.1, &self.verified.1) => {
                    let what = "roles were taken from the caller: call again with those that are left";
                    return Error::new(Kind::Unavailable, "ROLES_CHANGED", what);
                }
                Some(Ok(_)) | None => {}
            }
            let changed = async {
                match &mut changes {
                    // The sender is kept by what this holds.
                    Some(changes) => {
                        let _ = changes.changed().await;
                    }
                    None => std::future::pending().await,
                }
            };
            // Never long at once: a machine that slept has another time than it waited for.
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(self.ends.since(now).min(AGAIN)) => {}
            }
        }
    }
}

/// Whether `now` has all roles that `before` had.
fn holds(now: &Identity, before: &Identity) -> bool {
    let all = |now: &[String], before: &[String]| before.iter().all(|one| now.contains(one));
    all(&now.actor.roles, &before.actor.roles) && all(&now.actor.role_groups, &before.actor.role_groups)
}
