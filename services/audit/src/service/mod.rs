//! The use cases of the audit log, by noun.

pub mod erasing;
pub mod export;
pub mod holds;
pub mod proving;
pub mod reading;
pub mod retention;
pub mod tail;

use crate::keys::Keys;
use crate::leaf::Leaf;
use crate::prepare::Prepared;
use crate::sequencer::{Limits, Sequencer};
use crate::step::{self, Receipt};
use crate::store::head::Head;
use remit_api::audit::v1 as api;
use remit_core::{AuditEvent, Clock, Error, Result, Tenant};
use remit_store::{Db, Mutation};
use std::sync::Arc;
use std::time::Duration;

/// The log of every tenant in one database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuditLog {
    pub(crate) db: Db,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) sequencer: Sequencer,
    prune_every: Option<Duration>,
}

/// The longest batch.
pub const MAX_BATCH: usize = 1_000;

impl AuditLog {
    /// The logs in `db`.
    pub fn new(db: Db, clock: Arc<dyn Clock>, keys: Arc<Keys>, limits: Limits) -> Self {
        let sequencer = Sequencer::new(db.clone(), clock.clone(), keys.clone(), limits);
        Self { db, clock, keys, sequencer, prune_every: None }
    }

    /// The same, pruning by itself with this pause between two runs; `None` prunes only when asked.
    #[must_use]
    pub fn prune_every(self, pause: Option<Duration>) -> Self {
        Self { prune_every: pause, ..self }
    }

    /// The keys that sign and seal.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Records events in this order, all or none; returns after commit. `field` names an event in errors.
    ///
    /// # Errors
    /// As [`Prepared::new`] and [`Sequencer::append`].
    pub async fn append(
        &self,
        tenant: &Tenant,
        events: Vec<api::Event>,
        field: impl Fn(usize) -> String,
    ) -> Result<Receipt> {
        if events.is_empty() || events.len() > MAX_BATCH {
            return Err(Error::invalid("BATCH_SIZE_INVALID", "events", format!("must be 1 to {MAX_BATCH}")));
        }
        let prepared = events.into_iter().enumerate().map(|(at, event)| Prepared::new(event, &field(at)));
        let prepared = prepared.collect::<Result<Vec<_>>>()?;
        remit_store::tenants::see(&self.db, tenant, self.clock.now()).await?;
        self.sequencer.append(tenant, prepared).await
    }

    /// Appends the audit entry of a mutation of this service in the mutation's own transaction: no
    /// outbox is needed where the log itself is at hand.
    pub(crate) async fn record(&self, mutation: &mut Mutation, event: AuditEvent) -> Result<Head> {
        let event = Prepared::new(remit_runtime::relay::to_proto(&event), "event")?;
        let tenant = mutation.tenant().clone();
        step::append_in(mutation.tx(), &self.db, &*self.clock, &self.keys, &tenant, &event).await
    }

    /// Tells tails that a mutation has grown the log; call after its commit.
    pub(crate) fn announce(&self, tenant: &Tenant, head: &Head) {
        self.sequencer.saw(tenant, head.size);
    }
}

/// The index in `entries/{index}`.
///
/// # Errors
/// `InvalidArgument` (`NAME_INVALID`), naming `name`.
pub(crate) fn entry_index(name: &str) -> Result<u64> {
    let [id] = remit_core::name::ids::<1>(name, "entries/*", "name")?;
    let index = id.parse::<u64>().ok().filter(|index| index.to_string() == id && i64::try_from(*index).is_ok());
    index.ok_or_else(|| Error::invalid("NAME_INVALID", "name", "must have the form entries/{index}"))
}

pub(crate) fn entry_not_found(index: u64) -> Error {
    Error::not_found("ENTRY_NOT_FOUND", format!("entries/{index}"))
}

/// An entry as the API shows it.
pub(crate) fn to_api(index: u64, hash: Vec<u8>, leaf: &Leaf, line: Vec<u8>, sealed: bool, full: bool) -> api::Entry {
    let personal = leaf.personal.as_ref();
    let state = match (personal, sealed) {
        (None, _) => api::PersonalState::Unspecified,
        (Some(_), true) => api::PersonalState::Sealed,
        (Some(_), false) => api::PersonalState::Erased,
    };
    api::Entry {
        name: format!("entries/{index}"),
        index: crate::store::head::signed(index),
        leaf_hash: hash,
        leaf_data: if full { line } else { Vec::new() },
        event: Some(leaf.to_event()),
        subject: personal.map(|personal| personal.subject.clone()).unwrap_or_default(),
        personal_state: state.into(),
        personal_digest: personal.map(|personal| personal.digest.clone()).unwrap_or_default(),
        pruned: false,
    }
}

/// An entry whose content retention removed.
pub(crate) fn pruned(index: u64, hash: Vec<u8>) -> api::Entry {
    api::Entry {
        name: format!("entries/{index}"),
        index: crate::store::head::signed(index),
        leaf_hash: hash,
        pruned: true,
        ..api::Entry::default()
    }
}
