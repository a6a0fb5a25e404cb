//! One watch stream of a peer, kept as a map.

use super::TenantCache;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use remit_api::types::WatchPhase;
use remit_core::{Kind, Result};
use remit_runtime::foreign;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// How fresh a source is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Freshness {
    /// The cursor; empty before the first snapshot.
    pub revision: String,
    /// Since it was last heard of; none before the first snapshot.
    pub age: Option<Duration>,
}

struct State<T> {
    items: HashMap<String, T>,
    cursor: String,
    heard: Option<Instant>,
}

/// The items of a watch stream by name.
pub(crate) struct Feed<T> {
    state: RwLock<State<T>>,
    changed: Notify,
}

impl<T> Default for Feed<T> {
    fn default() -> Self {
        let state = State { items: HashMap::new(), cursor: String::new(), heard: None };
        Self { state: RwLock::new(state), changed: Notify::new() }
    }
}

impl<T> Feed<T> {
    /// Looks at the items, without copying them.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&HashMap<String, T>) -> R) -> R {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner).items)
    }

    pub(crate) fn freshness(&self) -> Freshness {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Freshness { revision: state.cursor.clone(), age: state.heard.map(|at| at.elapsed()) }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state.read().unwrap_or_else(PoisonError::into_inner).heard.is_some()
    }

    pub(crate) async fn ready(&self) {
        super::until(&self.changed, || self.is_ready()).await;
    }

    fn cursor(&self) -> String {
        self.state.read().unwrap_or_else(PoisonError::into_inner).cursor.clone()
    }

    fn update(&self, change: impl FnOnce(&mut State<T>)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
    }
}

/// One message: phase, cursor, key, item.
pub(crate) struct Message<T> {
    phase: WatchPhase,
    cursor: String,
    key: Option<String>,
    item: Option<T>,
}

/// Reads the messages of one contract as ours. A deletion is a key without an item.
pub(crate) fn messages<M, T>(
    stream: tonic::Streaming<M>,
    read: impl Fn(M) -> (i32, String, Option<String>, Option<T>) + Send + 'static,
) -> BoxStream<'static, Result<Message<T>>>
where
    M: Send + 'static,
    T: Send + 'static,
{
    stream
        .map(move |message| {
            let (phase, cursor, key, item) = read(message.map_err(foreign)?);
            let phase = WatchPhase::try_from(phase).unwrap_or(WatchPhase::Unspecified);
            Ok(Message { phase, cursor, key, item })
        })
        .boxed()
}

/// Follows a watch stream until `stop`: resumes after a break, begins anew where the cursor is no longer known.
pub(crate) fn follow<T, C, F>(
    cache: Arc<TenantCache>,
    feed: fn(&TenantCache) -> &Feed<T>,
    patience: Duration,
    stop: CancellationToken,
    peer: &'static str,
    connect: C,
) where
    T: Send + Sync + 'static,
    C: Fn(String) -> F + Send + Sync + 'static,
    F: Future<Output = Result<BoxStream<'static, Result<Message<T>>>>> + Send,
{
    tokio::spawn(async move {
        let mut pause = MIN_PAUSE;
        while !stop.is_cancelled() {
            let feed = feed(&cache);
            let attempt = async {
                let stream = connect(feed.cursor()).await?;
                read(feed, stream, patience, &mut pause).await
            };
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = attempt => ended,
            };
            if let Err(error) = ended {
                tracing::debug!(peer, reason = error.reason(), "a watch stream ended: {error}");
                if matches!(error.kind(), Kind::FailedPrecondition | Kind::InvalidArgument) {
                    feed.update(|state| state.cursor.clear());
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(MAX_PAUSE),
            }
        }
    });
}

async fn read<T>(
    feed: &Feed<T>,
    mut stream: impl Stream<Item = Result<Message<T>>> + Unpin,
    patience: Duration,
    pause: &mut Duration,
) -> Result<()> {
    let mut snapshot = HashMap::new();
    // A peer that is gone without a word is noticed by its silence.
    while let Ok(Some(message)) = tokio::time::timeout(patience, stream.next()).await {
        let message = message?;
        *pause = MIN_PAUSE;
        let heard = Some(Instant::now());
        match (message.phase, message.key) {
            (WatchPhase::Snapshot, Some(key)) => {
                snapshot.extend(message.item.map(|item| (key, item)));
            }
            (WatchPhase::SnapshotDone, _) => {
                let items = std::mem::take(&mut snapshot);
                feed.update(|state| *state = State { items, cursor: message.cursor, heard });
            }
            (WatchPhase::Change, Some(key)) => feed.update(|state| {
                match message.item {
                    Some(item) => drop(state.items.insert(key, item)),
                    None => drop(state.items.remove(&key)),
                }
                (state.cursor, state.heard) = (message.cursor, heard);
            }),
            (WatchPhase::Heartbeat, _) => feed.update(|state| state.heard = heard),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A suspension must reach every replica within one second: also one whose stream has just broken, which comes
    /// back after the longest pause and then finds the change at the next look.
    #[test]
    fn the_pauses_on_the_way_of_a_change_are_well_under_a_second() {
        assert!(MAX_PAUSE + remit_runtime::watch::POLL * 2 <= Duration::from_millis(700));
    }
}
