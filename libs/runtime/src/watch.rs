//! Watch streams: first a snapshot, then the changes, resumable from any cursor.

use futures::Stream;
use remit_api::types::WatchPhase;
use remit_core::{Error, Result, Tenant};
use remit_store::{Db, Signal, feed};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// How long to wait for a signal before looking anyway, for changes that another process made.
pub const POLL: Duration = Duration::from_millis(100);
/// How often a silent stream says that it is alive.
pub const HEARTBEAT: Duration = Duration::from_secs(5);
const PAGE: i64 = 500;
/// How many messages wait for a slow reader before the feed is read no further.
const BUFFER: usize = 64;

/// One message of a watch stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Snapshot, end of snapshot, change or heartbeat.
    pub phase: WatchPhase,
    /// Where to resume after this message.
    pub cursor: String,
    /// The item that this message is about; empty if none.
    pub key: String,
    /// What it is now; `None` for a deletion, and where there is no item.
    pub body: Option<Vec<u8>>,
}

impl Watched {
    /// Whether the message tells of a deletion.
    pub fn is_deletion(&self) -> bool {
        self.phase == WatchPhase::Change && self.body.is_none()
    }

    fn of(phase: WatchPhase, revision: i64) -> Self {
        Self { phase, cursor: revision.to_string(), key: String::new(), body: None }
    }
}

/// Watches `feed` of `tenant` from `cursor` (empty: snapshot first) until the reader leaves, `shutdown`
/// begins or reading fails; a failure is the stream's last item.
///
/// # Errors
/// `InvalidArgument` (`CURSOR_INVALID`) if the cursor is not one that a watch stream gave.
pub fn stream(
    db: Db,
    tenant: Tenant,
    feed: &'static str,
    cursor: &str,
    shutdown: CancellationToken,
) -> Result<impl Stream<Item = Result<Watched>> + Send + 'static + use<>> {
    let from = match cursor {
        "" => None,
        text => match text.parse::<i64>() {
            Ok(revision) if revision >= 0 => Some(revision),
            _ => return Err(Error::invalid("CURSOR_INVALID", "cursor", "must be a cursor that a watch stream gave")),
        },
    };
    let (sender, receiver) = mpsc::channel(BUFFER);
    tokio::spawn(async move {
        let watch = Watch { db, tenant, feed, sender };
        tokio::select! {
            () = shutdown.cancelled() => {
                let going = Error::new(remit_core::Kind::Unavailable, "SHUTTING_DOWN", "the server is shutting down: resume elsewhere with the last cursor");
                // A reader with a full buffer learns of the end by the end.
                let _ = watch.sender.try_send(Err(going));
            }
            ended = watch.run(from) => {
                if let Err(error) = ended {
                    let _ = watch.sender.send(Err(error)).await;
                }
            }
        }
    });
    Ok(ReceiverStream::new(receiver))
}

struct Watch {
    db: Db,
    tenant: Tenant,
    feed: &'static str,
    sender: mpsc::Sender<Result<Watched>>,
}

impl Watch {
    /// Sends until the reader is gone, which is success.
    async fn run(&self, from: Option<i64>) -> Result<()> {
        // Subscribed before reading, so that nothing slips in between.
        let mut signal = self.db.subscribe(Signal::Feeds);
        let mut revision = match from {
            Some(revision) => revision,
            None => match self.snapshot().await? {
                Some(revision) => revision,
                None => return Ok(()),
            },
        };
        // A reader that resumes has been out of touch: if nothing has changed, it is told so at once.
        let mut last_sent = from.is_none().then(tokio::time::Instant::now);
        loop {
            let page = feed::read_since(&mut self.db.read().await?, &self.tenant, self.feed, revision, PAGE).await?;
            for item in page {
                revision = item.revision;
                let watched = Watched { key: item.key, body: item.body, ..Watched::of(WatchPhase::Change, revision) };
                if !self.send(watched).await {
                    return Ok(());
                }
                last_sent = Some(tokio::time::Instant::now());
            }
            if last_sent.is_none_or(|at| at.elapsed() >= HEARTBEAT) {
                if !self.send(Watched::of(WatchPhase::Heartbeat, revision)).await {
                    return Ok(());
                }
                last_sent = Some(tokio::time::Instant::now());
            }
            tokio::select! {
                () = self.sender.closed() => return Ok(()),
                _ = signal.changed() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Sends the snapshot and its end; the revision to go on from, or `None` if the reader is gone.
    async fn snapshot(&self) -> Result<Option<i64>> {
        // The head is read first: what changes while the pages are read comes again as a change.
        let head = feed::head(&mut self.db.read().await?, &self.tenant, self.feed).await?;
        let mut after = String::new();
        loop {
            let page = feed::snapshot(&mut self.db.read().await?, &self.tenant, self.feed, &after, PAGE).await?;
            let full = page.len() as i64 == PAGE;
            for item in page {
                after.clone_from(&item.key);
                // A stream that breaks here has no cursor to resume from but the beginning.
                let watched = Watched {
                    cursor: String::new(),
                    key: item.key,
                    body: item.body,
                    ..Watched::of(WatchPhase::Snapshot, head)
                };
                if !self.send(watched).await {
                    return Ok(None);
                }
            }
            if !full {
                break;
            }
        }
        Ok(self.send(Watched::of(WatchPhase::SnapshotDone, head)).await.then_some(head))
    }

    async fn send(&self, watched: Watched) -> bool {
        self.sender.send(Ok(watched)).await.is_ok()
    }
}
