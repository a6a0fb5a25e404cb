//! What the layers refuse before any handler is on record too: who tried without being allowed to, and from where with
//! tokens that are none. The metric `remit.refusals` counts each; [`Sampler`] says which get an entry.

use crate::address::block;
use crate::auth::{Identity, Method, Speaker};
use crate::context::{self, Peer};
use crate::cx::Recorder;
use crate::sampling::{Sampler, Sort};
use remit_core::details::{Details as _, TokenRefused};
use remit_core::{Actor, Error, Kind, Outcome, Result, Tenant};
use remit_store::{Call, Db, Skipped};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio_util::task::TaskTracker;

/// The action of the entries of refused tokens.
const TOKENS: &str = "system.tokens.refuse";

/// Records refusals in the databases of the services of this process.
#[derive(Clone)]
pub(crate) struct Refusals {
    databases: Arc<BTreeMap<&'static str, Db>>,
    tasks: TaskTracker,
    sampler: Sampler,
    /// Apart, so that nobody can hide what was read behind refusals.
    pages: Sampler,
    /// In whose log refused tokens stand that nobody can be believed about.
    security: Tenant,
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refusals({})", self.security)
    }
}

impl Refusals {
    /// Records in `databases`, by service; what is written belongs to `tasks`. `security` is the tenant of
    /// `audit.security_tenant`.
    pub(crate) fn new(databases: Arc<BTreeMap<&'static str, Db>>, tasks: TaskTracker, security: Tenant) -> Self {
        Self { databases, tasks, sampler: Sampler::new(), pages: Sampler::new(), security }
    }

    /// Records that `identity` was refused `method`, in the background. What belongs to a service of another process
    /// is for that process.
    pub(crate) fn note(&self, identity: &Identity, method: &Method, peer: Option<Peer>, error: &Error) {
        let Some(db) = self.database(method.permission).cloned() else { return };
        let sort = Sort {
            tenant: identity.tenant.clone(),
            who: identity.actor.subject.clone(),
            what: method.name.to_owned(),
            reason: error.reason(),
        };
        let Some(skipped) = self.sampler.take(&sort, Instant::now()) else { return };
        let call = call(identity, method, peer);
        let error = Error::new(error.kind(), error.reason(), error.message());
        self.tasks.spawn(async move { db.refuse(&call, &error, skipped).await });
    }

    /// Records that the token of a call was refused, in the background: in the log of the tenant that it names if its
    /// signature was right, else in that of the installation.
    pub(crate) fn unknown(&self, peer: Option<Peer>, method: Option<&Method>, error: &Error) {
        // That an issuer's keys cannot be reached says nothing of the caller; that too many bad tokens came before does.
        if error.kind() != Kind::Unauthenticated && error.reason() != "TOKEN_RATE" {
            return;
        }
        let speaker = std::error::Error::source(error).and_then(<dyn std::error::Error>::downcast_ref::<Speaker>);
        let block = peer.map_or_else(|| "local".to_owned(), |peer| shown_block(peer.0.ip()));
        let tenant = speaker.map_or_else(|| self.security.clone(), |speaker| speaker.tenant.clone());
        let sort = Sort { tenant, who: block, what: String::new(), reason: error.reason() };
        let Some(skipped) = self.sampler.take(&sort, Instant::now()) else { return };
        let details = TokenRefused {
            address: peer.map(|peer| peer.0.to_string()).unwrap_or_default(),
            method: method.map_or("", |method| method.name).to_owned(),
            issuer: speaker.map(|speaker| speaker.issuer.clone()).unwrap_or_default(),
            subject: speaker.map(|speaker| speaker.subject.clone()).unwrap_or_default(),
            unrecorded: skipped.alike,
            unrecorded_in_all: skipped.in_all,
        };
        tracing::warn!(
            reason = sort.reason,
            tenant = %sort.tenant,
            address = details.address,
            method = details.method,
            unrecorded = skipped.alike,
            unrecorded_in_all = skipped.in_all,
            "a token was refused"
        );
        let own = method.and_then(|method| self.database(method.permission));
        let Some(db) = own.or_else(|| self.databases.values().next()).cloned() else { return };
        self.tasks.spawn(context::carry(async move { record_token(&db, sort, details).await }));
    }

    /// What puts a read of `method` on record; none for what belongs to a service of another process.
    pub(crate) fn recorder(&self, method: &Method) -> Option<Recorder> {
        self.database(method.permission).cloned().map(Recorder::new)
    }

    /// Records that `identity` read a page with the permission of `method`, about `resource`. Of the reads of one caller
    /// one in a minute gets an entry: a monitor asks for pages all the time.
    ///
    /// # Errors
    /// As [`Recorder::record`]: there must be no answer then.
    pub(crate) async fn page(
        &self,
        identity: &Identity,
        method: &Method,
        peer: Option<Peer>,
        resource: &str,
    ) -> Result<()> {
        let Some(recorder) = self.recorder(method) else { return Ok(()) };
        let sort = Sort {
            tenant: identity.tenant.clone(),
            who: identity.actor.subject.clone(),
            what: method.name.to_owned(),
            // The reason of no refusal.
            reason: "",
        };
        let Some(Skipped { alike, .. }) = self.pages.take(&sort, Instant::now()) else { return Ok(()) };
        let call = Call { resource: resource.to_owned(), ..call(identity, method, peer) };
        // What could not be recorded is not, for the rest of the minute either.
        recorder.record(&call, serde_json::Value::Null, alike).await.inspect_err(|_| self.pages.forget(&sort))
    }

    /// That of the service that the permission begins with; for what belongs to every process, that of any service.
    fn database(&self, permission: &str) -> Option<&Db> {
        let service = permission.split('.').next().unwrap_or_default();
        let own = || self.databases.values().next().filter(|_| service == "system");
        self.databases.get(service).or_else(own)
    }
}

/// The call of a method whose request was not read.
fn call(identity: &Identity, method: &Method, peer: Option<Peer>) -> Call {
    Call {
        tenant: identity.tenant.clone(),
        actor: Actor::clone(&identity.actor),
        method: method.permission,
        resource: String::new(),
        request_id: String::new(),
        request_digest: [0; 32],
        trace_id: context::trace_id(),
        address: peer.map(|peer| peer.0),
    }
}

async fn record_token(db: &Db, sort: Sort, details: TokenRefused) {
    let done = db.own(&sort.tenant, TOKENS, async |m| {
        m.record(&format!("addresses/{}", sort.who), |event| {
            event.outcome = Outcome::Denied;
            sort.reason.clone_into(&mut event.reason);
            event.details = details.json();
        });
        Ok(())
    });
    if let Err(failure) = done.await {
        // It was logged already, with all that the entry would say.
        tracing::error!(reason = failure.reason(), "the refusal of a token could not be recorded: {failure}");
    }
}

/// What one client cannot easily change about its address: the address itself, of IPv6 the network of 64 bits.
fn shown_block(address: IpAddr) -> String {
    match block(address) {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(network) => format!("{network}/64"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_counts_with_its_network() {
        for (address, wanted) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
        ] {
            assert_eq!(shown_block(address.parse().unwrap()), wanted);
        }
    }

    #[test]
    fn who_a_token_speaks_for_is_never_sent() {
        let speaker = Speaker {
            tenant: Tenant::new("acme").unwrap(),
            issuer: "https://idp.example".to_owned(),
            subject: "mallory".to_owned(),
        };
        let error = Error::new(Kind::Unauthenticated, "TOKEN_EXPIRED", "the token has expired");
        let status = crate::to_status(error.with_source(speaker));
        let sent = format!("{status:?}{}", String::from_utf8_lossy(status.details()));
        assert!(!sent.contains("mallory") && !sent.contains("idp.example"), "{sent}");
    }
}
