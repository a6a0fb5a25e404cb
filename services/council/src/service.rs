//! The use cases, one file for each noun. Each opens one mutation, changes records in it, and commits
//! it together with its audit event.

mod action_items;
mod bodies;
mod controls;
mod execution;
mod holds;
mod incidents;
mod proposals;
mod reviews;
mod timers;
mod votes;
mod waivers;

pub use holds::HOLDS;
pub(crate) use holds::scope_text;
pub use proposals::kind_of;
pub use waivers::WAIVERS;

use crate::store::{self, Record};
use crate::time::stamp;
use prost::Message;
use prost_types::{FieldMask, Timestamp as Stamp};
use remit_api::types;
use remit_core::{
    Actor, ActorKind, AuditEvent, Clock, Error, Ids, Kind, Outcome, Result, Tenant, Timestamp, digest, name,
};
use remit_runtime::{Cx, Deps, Peers, Started};
use remit_store::{Begin, Call, Db, Mutation};
use remit_tlog::VerifierKey;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// The name by which the council calls its peers.
pub const SERVICE: &str = "council";

/// The council: its database, its clock and its peers.
pub struct Council {
    db: Db,
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
    peers: Peers,
    shutdown: CancellationToken,
    seeded: Mutex<HashSet<Tenant>>,
    running: Mutex<HashSet<(Tenant, String)>>,
    /// The witnesses of the audit log, and how many of them must vouch for it before a review is sealed.
    witnesses: Vec<VerifierKey>,
    seal_min_cosignatures: usize,
}

impl std::fmt::Debug for Council {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Council")
    }
}

impl Council {
    /// Builds the council from what the process provides.
    ///
    /// # Errors
    /// `InvalidArgument` (`WITNESS_KEY_INVALID`).
    pub fn new(deps: &Deps) -> Result<Self> {
        let invalid =
            |error: remit_tlog::Error| Error::invalid("WITNESS_KEY_INVALID", "audit.witnesses", error.to_string());
        let witnesses = deps.config.audit.witnesses.iter().map(|key| VerifierKey::parse(key).map_err(invalid));
        Ok(Self {
            db: deps.db.clone(),
            clock: deps.clock.clone(),
            ids: deps.ids.clone(),
            peers: deps.peers.clone(),
            shutdown: deps.shutdown.clone(),
            seeded: Mutex::default(),
            running: Mutex::default(),
            witnesses: witnesses.collect::<Result<_>>()?,
            seal_min_cosignatures: deps.config.council.seal_min_cosignatures,
        })
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The signal that ends background work and watch streams.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Begins the mutation of a call, in a tenant that has its bodies.
    async fn begin<Q: Message, A: Message + Default>(
        &self,
        cx: &Cx,
        request_id: &str,
        request: &Q,
    ) -> Result<Started<A>> {
        self.seed(&cx.tenant).await?;
        remit_runtime::begin(&self.db, &cx.call(request_id, request, &*self.clock)).await
    }

    /// Begins a mutation that nobody asked for: the council's own work.
    async fn own(&self, tenant: &Tenant, method: &'static str) -> Result<Mutation> {
        let call = Call {
            tenant: tenant.clone(),
            actor: own_actor(),
            method,
            request_id: String::new(),
            request_digest: [0; 32],
            trace_id: remit_runtime::trace_id(),
            now: self.now(),
        };
        match self.db.begin(&call).await? {
            Begin::Fresh(mutation) => Ok(mutation),
            Begin::Replay(_) => Err(Error::internal("a mutation without a request id cannot be a repetition")),
        }
    }

    /// Records that a rule refused what the caller asked, so that the attempt is on record too.
    async fn refused(&self, cx: &Cx, resource: &str, error: &Error) -> Result<()> {
        let call = Call { request_id: String::new(), ..cx.call("", &(), &*self.clock) };
        if let Begin::Fresh(mut mutation) = self.db.begin(&call).await? {
            let mut event = mutation.event(call.method, resource);
            event.outcome = Outcome::Denied;
            event.reason = error.reason().to_owned();
            mutation.record(event);
            mutation.commit(Vec::new()).await?;
        }
        Ok(())
    }

    /// Returns one record of the caller's tenant by its name, which must have the form `pattern`.
    pub async fn get<R: Record>(&self, cx: &Cx, resource: &str, pattern: &str) -> Result<R> {
        check_name(resource, pattern, "name")?;
        self.seed(&cx.tenant).await?;
        store::get(&mut self.db.read().await?, &cx.tenant, resource).await
    }

    /// Returns one page of records of the caller's tenant.
    pub async fn list<R: Record>(
        &self,
        cx: &Cx,
        parent: &str,
        filter: &str,
        size: i32,
        token: &str,
    ) -> Result<(Vec<R>, String)> {
        self.seed(&cx.tenant).await?;
        let page = store::Page { method: cx.method, parent, filter, size, token };
        store::list(&self.db, &cx.tenant, page).await
    }

    /// Returns one page of the records inside `parent`, which must exist.
    pub async fn list_in<P: Record, R: Record>(
        &self,
        cx: &Cx,
        parent: &str,
        size: i32,
        token: &str,
    ) -> Result<(Vec<R>, String)> {
        self.seed(&cx.tenant).await?;
        store::get::<P>(&mut self.db.read().await?, &cx.tenant, parent).await?;
        self.list(cx, parent, "", size, token).await
    }
}

/// The mutation of a call, or its first answer if the call is a repetition.
macro_rules! fresh {
    ($council:expr, $cx:expr, $request:expr) => {
        match $council.begin($cx, &$request.request_id, &$request).await? {
            remit_runtime::Started::Replay(answer) => return Ok(answer),
            remit_runtime::Started::Fresh(mutation) => mutation,
        }
    };
}
use fresh;

/// The council's service identity.
fn own_actor() -> Actor {
    Actor {
        subject: SERVICE.to_owned(),
        kind: ActorKind::Service,
        roles: Vec::new(),
        role_groups: Vec::new(),
        on_behalf_of: None,
    }
}

/// An actor as in the contract.
fn actor(actor: &Actor) -> types::Actor {
    let kind = match actor.kind {
        ActorKind::Human => types::ActorKind::Human,
        ActorKind::Ai => types::ActorKind::Ai,
        ActorKind::Service => types::ActorKind::Service,
    };
    types::Actor {
        subject: actor.subject.clone(),
        kind: kind.into(),
        role_groups: actor.role_groups.clone(),
        on_behalf_of: actor.on_behalf_of.clone().unwrap_or_default(),
    }
}

/// The audit event of a change of one record, with the digests of both its forms.
fn changed<M: Message>(mutation: &Mutation, resource: &str, before: Option<&M>, after: &M) -> AuditEvent {
    let method = mutation.call().method;
    let mut event = mutation.event(method, resource);
    event.before_digest = before.map(of).unwrap_or_default();
    event.after_digest = of(after);
    event
}

fn of<M: Message>(message: &M) -> String {
    digest::sha256(&message.encode_to_vec())
}

/// The name of a resource with the id that the caller chose.
fn new_name(collection: &str, id: &str, field: &'static str) -> Result<String> {
    if name::is_id(id) {
        Ok(format!("{collection}/{id}"))
    } else {
        let rule = "must be 1 to 100 letters, digits, `.`, `_` and `-`, starting with a letter or a digit";
        Err(Error::invalid("NAME_INVALID", field, rule))
    }
}

fn check_name(resource: &str, pattern: &str, field: &str) -> Result<()> {
    match pattern.matches('*').count() {
        1 => name::ids::<1>(resource, pattern, field).map(|_| ()),
        _ => name::ids::<2>(resource, pattern, field).map(|_| ()),
    }
}

/// The fields to change: those of the mask, or all that may change if it is empty.
fn masked<'a>(mask: Option<&'a FieldMask>, allowed: &[&'a str]) -> Result<Vec<&'a str>> {
    let paths: Vec<&str> = mask.map(|mask| mask.paths.iter().map(String::as_str).collect()).unwrap_or_default();
    if let Some(path) = paths.iter().find(|path| !allowed.contains(path)) {
        let rule = format!("{path} cannot be changed: use {}", allowed.join(", "));
        return Err(Error::invalid("MASK_INVALID", "update_mask", rule));
    }
    Ok(if paths.is_empty() { allowed.to_vec() } else { paths })
}

fn check_etag(resource: &str, current: &str, given: &str) -> Result<()> {
    if given.is_empty() || given == current {
        return Ok(());
    }
    let message = format!("{resource} changed since it was read: its etag is {current}, not {given}");
    Err(Error::new(Kind::Conflict, "ETAG_MISMATCH", message))
}

fn required<T>(value: Option<T>, field: &'static str) -> Result<T> {
    value.ok_or_else(|| Error::invalid("FIELD_REQUIRED", field, "is required"))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn some(at: Timestamp) -> Option<Stamp> {
    Some(stamp(at))
}
