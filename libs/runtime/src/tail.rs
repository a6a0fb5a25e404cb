//! Follows the audit log of every tenant, for services that derive something from it.

use crate::Lag;
use crate::peers::Peers;
use crate::status::foreign;
use futures::StreamExt as _;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{Entry, EntryView, TailRequest, TailResponse};
use remit_core::{Result, Tenant};
use remit_store::{Db, Signal, tail, tenants};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The most messages of the tail that are taken together.
const MESSAGES: usize = 8;
/// How long to wait after a failure, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How often to look for tenants that another process has seen.
const LOOK: Duration = Duration::from_secs(5);

/// What a service does with the entries of the audit log.
pub trait Follow: Clone + Send + Sync + 'static {
    /// What is kept from one batch to the next while a stream lasts.
    type Kept: Default + Send;

    /// The most entries of one transaction.
    const BATCH: usize;
    /// How long entries may gather before they are read, so that a busy log costs few transactions.
    const GATHER: Duration = Duration::ZERO;

    /// Where the position is kept ([`tail`]); its service is the one that asks for the log.
    fn db(&self) -> &Db;

    /// What a tenant needs before the first of its entries is taken; asked again with every stream.
    fn ready(&self, _tenant: &Tenant) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Takes `entries` and moves the position from `from` to `to` in one transaction ([`tail::claim`]), or part by part in
    /// several; false if it was not where it was expected.
    fn take(
        &self,
        tenant: &Tenant,
        entries: &[Entry],
        from: i64,
        to: i64,
        kept: &mut Self::Kept,
    ) -> impl Future<Output = Result<bool>> + Send;
}

/// Follows the logs until `shutdown`; `lag` hears how far that is.
pub async fn run<F: Follow>(follower: F, peers: Peers, lag: Lag, shutdown: CancellationToken) {
    let mut followed: BTreeSet<Tenant> = BTreeSet::new();
    let mut logs = JoinSet::new();
    let mut signal = follower.db().subscribe(Signal::Tenants);
    loop {
        match tenants::refresh(follower.db()).await {
            Ok(seen) => {
                for tenant in seen {
                    if followed.insert(tenant.clone()) {
                        let log = Log { follower: follower.clone(), peers: peers.clone(), lag: lag.clone(), tenant };
                        logs.spawn(log.follow(shutdown.clone()));
                    }
                }
            }
            Err(error) => tracing::warn!(reason = error.reason(), "tenants could not be read: {error}"),
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = signal.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    while logs.join_next().await.is_some() {}
}

/// The log of one tenant.
struct Log<F> {
    follower: F,
    peers: Peers,
    lag: Lag,
    tenant: Tenant,
}

impl<F: Follow> Log<F> {
    async fn follow(self, shutdown: CancellationToken) {
        let mut wait = RETRY.0;
        loop {
            let ended = tokio::select! {
                () = shutdown.cancelled() => return,
                ended = self.read(&mut wait) => ended,
            };
            // A stream lives no longer than its token: that is not worth a word.
            if let Some(error) = ended.err().filter(|error| error.reason() != "TOKEN_EXPIRED") {
                let tenant = self.tenant.as_str();
                tracing::warn!(tenant, reason = error.reason(), "the audit log could not be followed: {error}");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(RETRY.1);
        }
    }

    /// Reads from the stored position until the stream ends or another process is faster.
    async fn read(&self, wait: &mut Duration) -> Result<()> {
        self.follower.ready(&self.tenant).await?;
        let db = self.follower.db();
        let mut next = tail::position(&mut db.read().await?, &self.tenant).await?;
        let request = TailRequest { start_index: next, view: EntryView::Basic.into(), ..TailRequest::default() };
        let request = self.peers.request(db.service(), &self.tenant, request);
        let mut client = AuditServiceClient::new(self.peers.channel("audit")).max_decoding_message_size(32 << 20);
        let stream = client.tail(request).await.map_err(foreign)?.into_inner();
        let (mut stream, mut kept) = (stream.ready_chunks(MESSAGES), F::Kept::default());
        while let Some(messages) = stream.next().await {
            let messages: Vec<TailResponse> =
                messages.into_iter().collect::<std::result::Result<_, _>>().map_err(foreign)?;
            *wait = RETRY.0;
            let size = messages.iter().map(|message| message.size).max().unwrap_or_default();
            self.lag.saw(&self.tenant, next, size);
            let entries: Vec<Entry> = messages.into_iter().flat_map(|message| message.entries).collect();
            for part in entries.chunks(F::BATCH) {
                let Some(last) = part.last() else { continue };
                if !self.follower.take(&self.tenant, part, next, last.index + 1, &mut kept).await? {
                    return Ok(());
                }
                next = last.index + 1;
                self.lag.saw(&self.tenant, next, size);
            }
            if !F::GATHER.is_zero() {
                tokio::time::sleep(F::GATHER).await;
            }
        }
        Ok(())
    }
}
