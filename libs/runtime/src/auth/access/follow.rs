//! Follows the council's watch stream of one tenant.

use super::known::{Item, Known};
use super::{Followed, IDLE, Shared};
use crate::Channel;
use crate::status::{foreign, reason};
use remit_api::council::v1::access_service_client::AccessServiceClient;
use remit_api::council::v1::{WatchAccessRequest, WatchAccessResponse};
use remit_api::types::WatchPhase;
use remit_core::{Error, Kind, Result, Tenant};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};

/// The pauses between attempts: a revocation must reach every process within a second, also one whose stream has just
/// broken.
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_millis(500);
/// After how long without a word the council is gone; it says every 5 s that it is there.
const SILENCE: Duration = Duration::from_secs(15);
/// How often it is said that the council refuses this process, which does not end by itself.
const REMIND: Duration = Duration::from_secs(60);

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
        let (mut pause, mut told, mut refused) = (MIN_PAUSE, false, None);
        loop {
            if let Err(error) = self.read(channel, &mut pause, &mut told).await {
                let (tenant, reason) = (self.tenant.as_str(), error.reason());
                let denied = error.kind() == Kind::PermissionDenied;
                self.followed.refused.store(denied, Ordering::Release);
                if denied {
                    if refused.is_none_or(|at: Instant| at.elapsed() >= REMIND) {
                        refused = Some(Instant::now());
                        let us = self.shared.us;
                        tracing::warn!(
                            tenant,
                            reason,
                            us,
                            "the council does not let this process in, so calls of people and programs are refused: \
                             {error}; is the key of {us} in the council's auth.service_jwks, with its service?"
                        );
                    }
                } else if !std::mem::replace(&mut told, true) && reason != "TOKEN_EXPIRED" {
                    // A council that is away is asked twice a second: its absence is said once.
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
        let mut stream = answer.map_err(said)?.into_inner();
        let mut snapshot = HashMap::new();
        while let Some(message) = timeout(SILENCE, stream.message()).await.map_err(silent)?.map_err(said)? {
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

/// What the council answered. That it refuses the token of this process is no defect here or there: somebody withdrew the
/// key, or never published it.
fn said(status: Status) -> Error {
    if status.code() != Code::Unauthenticated || reason(&status) == "TOKEN_EXPIRED" {
        return foreign(status);
    }
    let details = status.details().to_vec().into();
    foreign(Status::with_details(Code::PermissionDenied, status.message(), details))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::to_status;

    #[test]
    fn a_council_that_refuses_this_process_is_not_a_defect_and_not_away() {
        let unknown = Error::new(Kind::Unauthenticated, "TOKEN_UNKNOWN_KEY", "the token names a key that is not there");
        let error = said(to_status(unknown));
        assert_eq!((error.kind(), error.reason()), (Kind::PermissionDenied, "TOKEN_UNKNOWN_KEY"));
        assert!(error.message().contains("names a key"), "{error}");
        let over = said(to_status(Error::new(Kind::Unauthenticated, "TOKEN_EXPIRED", "the token has expired")));
        assert_eq!(over.kind(), Kind::Unavailable);
        assert_eq!(said(Status::unavailable("away")).kind(), Kind::Unavailable);
    }

    #[test]
    fn the_pauses_on_the_way_of_a_revocation_are_well_under_a_second() {
        assert!(MAX_PAUSE + crate::watch::POLL * 2 <= Duration::from_millis(700));
        assert!(SILENCE > crate::watch::HEARTBEAT * 2);
    }
}
