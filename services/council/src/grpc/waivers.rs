//! Waivers.

use super::Api;
use remit_api::council::v1::waiver_service_server::WaiverService;
use remit_api::council::v1::{
    CheckWaiversRequest, CheckWaiversResponse, GetWaiverRequest, ListWaiversRequest, ListWaiversResponse,
    RevokeWaiverRequest, Waiver, WatchWaiversRequest, WatchWaiversResponse,
};
use remit_runtime::{Answers, answers, unary};
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl WaiverService for Api {
    async fn get_waiver(&self, request: Request<GetWaiverRequest>) -> Result<Response<Waiver>, Status> {
        unary(request, async |cx, m| self.0.get_waiver(cx, m).await).await
    }

    async fn list_waivers(
        &self,
        request: Request<ListWaiversRequest>,
    ) -> Result<Response<ListWaiversResponse>, Status> {
        unary(request, async |cx, m| self.0.list_waivers(cx, m).await).await
    }

    type WatchWaiversStream = Answers<WatchWaiversResponse>;

    async fn watch_waivers(
        &self,
        request: Request<WatchWaiversRequest>,
    ) -> Result<Response<Self::WatchWaiversStream>, Status> {
        unary(request, async |cx, m| Ok(answers(self.0.watch_waivers(cx, m)?))).await
    }

    async fn check_waivers(
        &self,
        request: Request<CheckWaiversRequest>,
    ) -> Result<Response<CheckWaiversResponse>, Status> {
        unary(request, async |cx, m| self.0.check_waivers(cx, m).await).await
    }

    async fn revoke_waiver(&self, request: Request<RevokeWaiverRequest>) -> Result<Response<Waiver>, Status> {
        unary(request, async |cx, m| self.0.revoke_waiver(cx, m).await).await
    }
}
