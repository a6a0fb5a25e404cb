//! Holds and uses of the break-glass procedure.

use super::Api;
use remit_api::council::v1::hold_service_server::HoldService;
use remit_api::council::v1::{
    BreakGlassRequest, BreakGlassUse, EndDrillRequest, EngageHoldRequest, GetHoldRequest, Hold,
    ListBreakGlassUsesRequest, ListBreakGlassUsesResponse, ListHoldsRequest, ListHoldsResponse,
    ReviewBreakGlassRequest, WatchHoldsRequest, WatchHoldsResponse,
};
use remit_runtime::{Answers, answers, unary};
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl HoldService for Api {
    async fn engage_hold(&self, request: Request<EngageHoldRequest>) -> Result<Response<Hold>, Status> {
        unary(request, async |cx, m| self.0.engage_hold(cx, m).await).await
    }

    async fn get_hold(&self, request: Request<GetHoldRequest>) -> Result<Response<Hold>, Status> {
        unary(request, async |cx, m| self.0.get_hold(cx, m).await).await
    }

    async fn list_holds(&self, request: Request<ListHoldsRequest>) -> Result<Response<ListHoldsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_holds(cx, m).await).await
    }

    type WatchHoldsStream = Answers<WatchHoldsResponse>;

    async fn watch_holds(
        &self,
        request: Request<WatchHoldsRequest>,
    ) -> Result<Response<Self::WatchHoldsStream>, Status> {
        unary(request, async |cx, m| Ok(answers(self.0.watch_holds(cx, m)?))).await
    }

    async fn end_drill(&self, request: Request<EndDrillRequest>) -> Result<Response<Hold>, Status> {
        unary(request, async |cx, m| self.0.end_drill(cx, m).await).await
    }

    async fn break_glass(&self, request: Request<BreakGlassRequest>) -> Result<Response<BreakGlassUse>, Status> {
        unary(request, async |cx, m| self.0.break_glass(cx, m).await).await
    }

    async fn list_break_glass_uses(
        &self,
        request: Request<ListBreakGlassUsesRequest>,
    ) -> Result<Response<ListBreakGlassUsesResponse>, Status> {
        unary(request, async |cx, m| self.0.list_break_glass_uses(cx, m).await).await
    }

    async fn review_break_glass(
        &self,
        request: Request<ReviewBreakGlassRequest>,
    ) -> Result<Response<BreakGlassUse>, Status> {
        unary(request, async |cx, m| self.0.review_break_glass(cx, m).await).await
    }
}
