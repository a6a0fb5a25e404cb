//! The checklist of the first 90 days, as the records have it now.

use super::Service;
use crate::review::sources::Own;
use crate::review::{gather, rollout};
use crate::store::{Members, Reviews, Trainings};
use remit_api::council::v1::{GetRolloutRequest, Rollout};
use remit_api::wire::time::stamp;
use remit_core::Result;
use remit_core::authority::STEERING_GROUP;
use remit_runtime::Cx;
use remit_store::Records as _;

impl Service {
    /// Returns the checklist.
    ///
    /// # Errors
    /// As the store says; a peer that does not answer makes its items unknown.
    pub(crate) async fn get_rollout(&self, cx: &Cx, _: GetRolloutRequest) -> Result<Rollout> {
        self.seed(&cx.tenant).await?;
        let of_body = [("parent", STEERING_GROUP.into())];
        let own = {
            let mut tx = self.db.snapshot().await?;
            Own {
                members: Members::all(&mut tx, &cx.tenant, &of_body).await?,
                trainings: Trainings::all(&mut tx, &cx.tenant, &[]).await?,
                reviews: Reviews::all(&mut tx, &cx.tenant, &of_body).await?,
                ..Own::default()
            }
        };
        let asked = gather::rollout(self.ask(&cx.tenant)).await;
        let now = self.db.now();
        let items = rollout::steps(&asked, &own, now).iter().map(rollout::Step::to_api).collect();
        Ok(Rollout { items, read_time: Some(stamp(now)) })
    }
}
