//! The use cases, one file for each noun. Each is one mutation that changes records and is committed together
//! with its audit event.

mod access;
mod action_items;
mod ballots;
mod bodies;
mod constitutions;
mod controls;
mod execution;
mod holds;
mod incidents;
mod proposals;
mod reviews;
mod revocations;
mod role_assignments;
mod rollouts;
mod subjects;
mod timers;
mod trainings;
mod waivers;

use crate::access::Tokens;
use crate::ask::Ask;
use crate::store::hear;
use futures::{Stream, StreamExt as _};
use prost::Message;
use remit_api::wire::{self, Repeatable};
use remit_core::{AuditEvent, Error, Result, Tenant};
use remit_runtime::watch::{self, Watched};
use remit_runtime::{Cx, Deps, Mandates, Peers, Seeded};
use remit_store::{Db, Mutation, Page, Records};
use remit_tlog::VerifierKey;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The council: its database and its peers.
#[derive(Clone)]
pub(crate) struct Service {
    db: Db,
    peers: Peers,
    shutdown: CancellationToken,
    seeded: Seeded,
    /// Somebody has opened a review here.
    opened: Arc<Notify>,
    /// The name under which this process holds leases.
    holder: String,
    /// The proposals that this process executes now.
    running: Arc<Mutex<HashSet<(Tenant, String)>>>,
    /// The witnesses of the audit log, and how many of them must vouch for it before a review is sealed.
    witnesses: Arc<[VerifierKey]>,
    seal_min_cosignatures: usize,
    /// How long a review waits for what services know, and how large a log it verifies from its beginning.
    source_patience: Duration,
    verify_whole_log_up_to: i64,
    restated_months: usize,
    mandates: Arc<Mandates>,
    /// What the configuration says of tokens, for what is said of them afterwards.
    tokens: Arc<Tokens>,
}

impl Service {
    /// Builds the council from what the process provides.
    ///
    /// # Errors
    /// `InvalidArgument` (`WITNESS_KEY_INVALID`).
    pub(crate) fn new(deps: &Deps) -> Result<Self> {
        let invalid =
            |error: remit_tlog::Error| Error::invalid("WITNESS_KEY_INVALID", "audit.witnesses", error.to_string());
        let witnesses = deps.config.audit.witnesses.iter().map(|key| VerifierKey::parse(key).map_err(invalid));
        Ok(Self {
            db: deps.db.clone(),
            peers: deps.peers.clone(),
            shutdown: deps.shutdown.clone(),
            seeded: Seeded::default(),
            opened: Arc::default(),
            holder: deps.holder.clone(),
            running: Arc::default(),
            witnesses: witnesses.collect::<Result<_>>()?,
            seal_min_cosignatures: deps.config.council.seal_min_cosignatures,
            source_patience: deps.config.council.source_patience.get(),
            verify_whole_log_up_to: deps.config.council.verify_whole_log_up_to,
            restated_months: deps.config.council.restated_months,
            mandates: deps.mandates.clone(),
            tokens: Arc::new(Tokens::new(&deps.config)),
        })
    }

    /// A council without witnesses, for tests.
    #[cfg(test)]
    pub(crate) fn of(db: Db, peers: Peers, mandates: Arc<Mandates>) -> Self {
        Self {
            db,
            peers,
            shutdown: CancellationToken::new(),
            seeded: Seeded::default(),
            opened: Arc::default(),
            holder: "test".to_owned(),
            running: Arc::default(),
            witnesses: Arc::new([]),
            seal_min_cosignatures: 0,
            source_patience: Duration::from_secs(1),
            verify_whole_log_up_to: 1_000,
            restated_months: 12,
            mandates,
            tokens: Arc::default(),
        }
    }

    /// The same council in another process, for tests.
    #[cfg(test)]
    pub(crate) fn in_another_process(&self) -> Self {
        Self { holder: "another".to_owned(), ..self.clone() }
    }

    /// All that is stored, as of now, for tests.
    #[cfg(test)]
    pub(crate) async fn snapshot(&self) -> Result<remit_store::Tx> {
        self.db.snapshot().await
    }

    fn ask<'a>(&'a self, tenant: &'a Tenant) -> Ask<'a> {
        Ask::new(&self.peers, tenant)
    }

    /// Runs the mutation of a call, in a tenant that has its bodies.
    async fn mutate<Q: Repeatable, A: Message + Default>(
        &self,
        cx: &Cx,
        request: &Q,
        work: impl AsyncFnOnce(&mut Mutation) -> Result<A>,
    ) -> Result<A> {
        self.seed(&cx.tenant).await?;
        // Here, where all that changes anything passes: whoever gets something done is not gone.
        let heard = async |m: &mut Mutation| {
            let answer = work(m).await?;
            // The suite's own services have no seats.
            if cx.service.is_none() {
                hear(m, &cx.actor.subject).await?;
            }
            Ok(answer)
        };
        self.db.mutate(&cx.call(request), heard).await
    }

    /// Returns one record of the caller's tenant.
    async fn get<R: Records>(&self, cx: &Cx, name: &str) -> Result<R::Message> {
        self.seed(&cx.tenant).await?;
        R::get(&mut self.db.read().await?, &cx.tenant, name).await
    }

    /// Returns one page of records of the caller's tenant.
    async fn list<R: Records>(&self, cx: &Cx, page: Page<'_>) -> Result<(Vec<R::Message>, String)> {
        self.seed(&cx.tenant).await?;
        R::list(&self.db, &cx.tenant, page).await
    }

    /// Watches the records of the caller's tenant; `message` makes an answer of what is watched and the record as
    /// it is now.
    fn watch<R: Records, A, F: Fn(Watched, Option<R::Message>) -> A + Send + 'static>(
        &self,
        cx: &Cx,
        cursor: &str,
        message: F,
    ) -> Result<impl Stream<Item = Result<A>> + Send + 'static + use<R, A, F>> {
        let watched = watch::stream(self.db.clone(), cx.tenant.clone(), R::FEED, cursor, self.shutdown.clone())?;
        Ok(watched.map(move |watched| {
            let watched = watched?;
            let record = watched.body.as_deref().map(R::Message::decode).transpose();
            let record =
                record.map_err(|error| Error::internal("an item of a watch feed cannot be read").with_source(error))?;
            Ok(message(watched, record))
        }))
    }
}

/// Inserts a record, and records that.
async fn insert<R: Records>(
    m: &mut Mutation,
    message: &mut R::Message,
    fill: impl FnOnce(&mut AuditEvent),
) -> Result<()> {
    R::insert(m, message).await?;
    record::<R>(m, None, message, fill);
    Ok(())
}

/// Writes a record that was claimed as `before`, and records the change.
async fn save<R: Records>(
    m: &mut Mutation,
    before: &R::Message,
    message: &mut R::Message,
    fill: impl FnOnce(&mut AuditEvent),
) -> Result<()> {
    R::save(m, message).await?;
    record::<R>(m, Some(before), message, fill);
    Ok(())
}

/// Records the change of one record, with the digests of both its forms.
fn record<R: Records>(
    m: &mut Mutation,
    before: Option<&R::Message>,
    after: &R::Message,
    fill: impl FnOnce(&mut AuditEvent),
) {
    m.record(R::name(after), |event| {
        event.before_digest = before.map(wire::digest).unwrap_or_default();
        event.after_digest = wire::digest(after);
        fill(event);
    });
}
