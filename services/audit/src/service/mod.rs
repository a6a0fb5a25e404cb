//! The use cases of the audit log, one file a noun.

pub(crate) mod checkpoints;
pub(crate) mod entries;
pub(crate) mod legal_holds;
pub(crate) mod retention_policies;
mod signing_keys;
pub(crate) mod subjects;
mod timestamps;

use crate::keys::Keys;
use crate::prepare::Prepared;
use crate::sequencer::{Limits, Sequencer};
use crate::step;
use crate::store::heads::Head;
use crate::store::known_tiles::KnownTiles;
use futures::{Stream, stream};
use remit_core::{AuditEvent, Clock, Error, Kind, Result};
use remit_store::{Db, Mutation};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The log of every tenant in one database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) db: Db,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) sequencer: Sequencer,
    pub(crate) known_tiles: KnownTiles,
    shutdown: CancellationToken,
    prune_every: Option<Duration>,
}

impl Service {
    /// The logs in `db`.
    pub fn new(db: Db, clock: Arc<dyn Clock>, keys: Arc<Keys>, limits: Limits) -> Self {
        let sequencer = Sequencer::new(db.clone(), clock.clone(), keys.clone(), limits);
        let (known_tiles, shutdown) = (KnownTiles::default(), CancellationToken::new());
        Self { db, clock, keys, sequencer, known_tiles, shutdown, prune_every: None }
    }

    /// The same, pruning by itself with this pause between two runs; `None` prunes only when asked.
    #[must_use]
    pub fn prune_every(self, pause: Option<Duration>) -> Self {
        Self { prune_every: pause, ..self }
    }

    /// The same, ending its streams once `shutdown` is cancelled.
    #[must_use]
    pub(crate) fn until(self, shutdown: CancellationToken) -> Self {
        Self { shutdown, ..self }
    }

    /// The keys that sign and seal.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Appends the audit entry of a mutation of this service in the mutation's own transaction: no outbox is
    /// needed where the log itself is at hand. Tails learn of it after the commit. The head row is held from here
    /// on: record late. Returns the head as it is then.
    pub(crate) async fn record(&self, m: &mut Mutation, event: AuditEvent) -> Result<Head> {
        let event = Prepared::new(remit_runtime::relay::to_proto(&event), "event", m.now())?;
        let tenant = m.tenant().clone();
        let head = step::append_in(m.tx(), &self.db, &*self.clock, &self.keys, &tenant, &event).await?;
        let (sequencer, keys) = (self.sequencer.clone(), self.keys.clone());
        let after = head.clone();
        m.on_commit(move || {
            keys.memory().saw(&tenant, head.size, head.root, &head.checkpoint);
            sequencer.saw(&tenant, head.size);
        });
        Ok(after)
    }

    /// A stream of what `step` makes of `state` until it makes nothing, fails, or the server shuts down.
    fn stream<S, T, F, Fut>(
        &self,
        state: S,
        step: F,
    ) -> impl Stream<Item = Result<T>> + Send + 'static + use<S, T, F, Fut>
    where
        S: Send + 'static,
        T: Send + 'static,
        F: Fn(S) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = (Result<Option<T>>, S)> + Send + 'static,
    {
        let shutdown = self.shutdown.clone();
        stream::unfold(Some(state), move |state| {
            let (shutdown, step) = (shutdown.clone(), step.clone());
            async move {
                let state = state?;
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => {
                        let message = "the server is shutting down: resume elsewhere with the last next_index";
                        Some((Err(Error::new(Kind::Unavailable, "SHUTTING_DOWN", message)), None))
                    }
                    (item, state) = step(state) => match item {
                        Ok(Some(item)) => Some((Ok(item), Some(state))),
                        Ok(None) => None,
                        Err(error) => Some((Err(error), None)),
                    },
                }
            }
        })
    }
}
