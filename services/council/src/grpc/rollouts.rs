//! The checklist of the first 90 days.

use super::Api;
use remit_api::council::v1::rollout_service_server::RolloutService;
use remit_api::council::v1::{GetRolloutRequest, Rollout};
use remit_runtime::unary;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl RolloutService for Api {
    async fn get_rollout(&self, request: Request<GetRolloutRequest>) -> Result<Response<Rollout>, Status> {
        unary(request, async |cx, m| self.0.get_rollout(cx, m).await).await
    }
}
