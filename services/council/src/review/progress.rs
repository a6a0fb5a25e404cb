//! How far the collection of a review's evidence is: told by who asks, written down by who keeps the lease.

use remit_api::council::v1::Collection;
use std::future::Future;
use tokio::sync::watch;

/// What is waited for, and how much of the audit log is verified.
#[derive(Debug, Clone)]
pub(crate) struct Progress(watch::Sender<Collection>);

impl Progress {
    /// Progress that begins as `collection` says.
    pub(crate) fn new(collection: Collection) -> Self {
        Self(watch::Sender::new(collection))
    }

    /// How far it is now.
    pub(crate) fn now(&self) -> Collection {
        self.0.borrow().clone()
    }

    /// Does `work`, and says meanwhile that `what` is waited for.
    pub(crate) async fn during<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        self.0.send_modify(|collection| collection.waiting_for.push(what.to_owned()));
        let done = work.await;
        self.0.send_modify(|collection| collection.waiting_for.retain(|one| one != what));
        done
    }

    /// Says that `n` of `of` entries of the audit log are verified.
    pub(crate) fn verified(&self, n: i64, of: i64) {
        self.0.send_modify(|collection| (collection.verified_entry_count, collection.entry_count) = (n, of));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn what_is_not_answered_yet_is_waited_for() {
        let progress = Progress::new(Collection::default());
        let asked = progress.during("audit.verify", async {
            assert_eq!(progress.now().waiting_for, ["audit.verify"]);
            progress.verified(512, 1_000);
            progress.during("kpi.summary", async { progress.now().waiting_for.len() }).await
        });
        assert_eq!(asked.now_or_never(), Some(2));
        let now = progress.now();
        assert_eq!((now.waiting_for.len(), now.verified_entry_count, now.entry_count), (0, 512, 1_000));
    }
}
