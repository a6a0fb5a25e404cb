//! Follows the council's watch stream of one tenant.

use super::known::{Item, Known};
use super::{Followed, IDLE, Shared};
use crate::Channel;
use crate::status::foreign;
use remit_api::council::v1::access_service_client::AccessServiceClient;
use remit_api::council::v1::{WatchAccessRequest, WatchAccessResponse};
use remit_api::types::WatchPhase;
use remit_core::{Error, Kind, Result, Tenant};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The pauses between attempts: a revocation must reach every process within a second, also one whose stream has just
/// broken.
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_millis(500);
/// After how long without a word the council is gone; it says every 5 s that it is there.
const SILENCE: Duration = Duration::from_secs(15);

pub(super) struct Follower {
    shared: Arc<Shared>,
    tenant: Tenant,
    followed: Arc<Followed>,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, tenant: Tenant, followed: Arc<Followed>) -> Self {
        Self { shared, tenant, followed }
    }

    /// Follows until shutdown, or until nobody has asked about the tenant for a while. Resumes after a break; begins
    /// anew where the cursor is no longer known.
    pub(super) async fn run(self) {
        let (channel, _counted) = self.shared.ways.take();
        tokio::select! {
            () = self.shared.shutdown.cancelled() => {}
            () = self.idle() => {}
            () = self.follow(&channel) => {}
        }
    }

    /// Waits until the tenant is given up.
    async fn idle(&self) {
        loop {
            sleep(IDLE / 10).await;
            if self.shared.give_up(&self.tenant, &self.followed) {
                return;
            }
        }
    }

    async fn follow(&self, channel: &Channel) {
        let (mut pause, mut told) = (MIN_PAUSE, false);
        loop {
            if let Err(error) = self.read(channel, &mut pause, &mut told).await {
                // A council that is away is asked twice a second: its absence is said once.
                if !std::mem::replace(&mut told, true) && error.reason() != "TOKEN_EXPIRED" {
                    let (tenant, reason) = (self.tenant.as_str(), error.reason());
                    tracing::warn!(tenant, reason, "what the council says of tokens cannot be heard: {error}");
                }
                if matches!(error.kind(), Kind::FailedPrecondition | Kind::InvalidArgument) {
                    self.followed.begin_anew();
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    async fn read(&self, channel: &Channel, pause: &mut Duration, told: &mut bool) -> Result<()> {
        let silent = |_| Error::new(Kind::Unavailable, "UNAVAILABLE", "the council does not answer");
        let request = WatchAccessRequest { cursor: self.followed.cursor() };
        let request = self.shared.peers.request(self.shared.us, &self.tenant, request);
        let mut client = AccessServiceClient::new(channel.clone());
        let answer = timeout(SILENCE, client.watch_access(request)).await.map_err(silent)?;
        let mut stream = answer.map_err(foreign)?.into_inner();
        let mut snapshot = HashMap::new();
        while let Some(message) = timeout(SILENCE, stream.message()).await.map_err(silent)?.map_err(foreign)? {
            (*pause, *told) = (MIN_PAUSE, false);
            self.take(message, &mut snapshot);
        }
        Ok(())
    }

    fn take(&self, message: WatchAccessResponse, snapshot: &mut HashMap<String, Item>) {
        let phase = message.phase();
        let WatchAccessResponse { cursor, item: name, revocation, role_assignment, .. } = message;
        let item = revocation.map(Item::Revocation).or(role_assignment.map(Item::Assignment));
        match phase {
            WatchPhase::Snapshot => snapshot.extend(item.map(|item| (name, item))),
            WatchPhase::SnapshotDone => {
                let known = Known::of(std::mem::take(snapshot), cursor);
                self.followed.change(|old| *old = known);
            }
            WatchPhase::Change => self.followed.change(|known| {
                known.put(name, item);
                known.cursor = cursor;
            }),
            // Nothing is known by it before a snapshot is complete.
            WatchPhase::Heartbeat if self.followed.is_known() => self.followed.hear(),
            WatchPhase::Heartbeat | WatchPhase::Unspecified => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_on_the_way_of_a_revocation_are_well_under_a_second() {
        assert!(MAX_PAUSE + crate::watch::POLL * 2 <= Duration::from_millis(700));
        assert!(SILENCE > crate::watch::HEARTBEAT * 2);
    }
}
