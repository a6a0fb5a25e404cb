//! Lead routing over gRPC.

use super::Api;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::lead_routing_service_server::LeadRoutingService;
use remit_runtime::{Answers, answers, unary};
use tonic::{Request, Response, Status, Streaming};

#[tonic::async_trait]
impl LeadRoutingService for Api {
    async fn route_lead(&self, request: Request<pb::RouteLeadRequest>) -> Result<Response<pb::Routing>, Status> {
        unary(request, async |cx, m| self.0.route_lead(cx, m).await).await
    }

    async fn accept_lead(&self, request: Request<pb::AcceptLeadRequest>) -> Result<Response<pb::Routing>, Status> {
        unary(request, async |cx, m| self.0.accept_lead(cx, m).await).await
    }

    async fn reassign_lead(&self, request: Request<pb::ReassignLeadRequest>) -> Result<Response<pb::Routing>, Status> {
        unary(request, async |cx, m| self.0.reassign_lead(cx, m).await).await
    }

    async fn review_routing(
        &self,
        request: Request<pb::ReviewRoutingRequest>,
    ) -> Result<Response<pb::Routing>, Status> {
        unary(request, async |cx, m| self.0.review_routing(cx, m).await).await
    }

    async fn get_routing(&self, request: Request<pb::GetRoutingRequest>) -> Result<Response<pb::Routing>, Status> {
        unary(request, async |cx, m| self.0.get_routing(cx, m).await).await
    }

    async fn list_routings(
        &self,
        request: Request<pb::ListRoutingsRequest>,
    ) -> Result<Response<pb::ListRoutingsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_routings(cx, m).await).await
    }

    async fn get_briefing(&self, request: Request<pb::GetBriefingRequest>) -> Result<Response<pb::Briefing>, Status> {
        unary(request, async |cx, m| self.0.get_briefing(cx, m).await).await
    }

    async fn list_briefings(
        &self,
        request: Request<pb::ListBriefingsRequest>,
    ) -> Result<Response<pb::ListBriefingsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_briefings(cx, m).await).await
    }

    async fn acknowledge_briefing(
        &self,
        request: Request<pb::AcknowledgeBriefingRequest>,
    ) -> Result<Response<pb::Briefing>, Status> {
        unary(request, async |cx, m| self.0.acknowledge_briefing(cx, m).await).await
    }

    async fn summarize_routing(
        &self,
        request: Request<pb::SummarizeRoutingRequest>,
    ) -> Result<Response<pb::RoutingSummary>, Status> {
        unary(request, async |cx, m| self.0.summarize_routing(cx, m).await).await
    }

    type RouteLeadsStream = Answers<pb::RouteLeadsResponse>;

    async fn route_leads(
        &self,
        request: Request<Streaming<pb::RouteLeadsRequest>>,
    ) -> Result<Response<Self::RouteLeadsStream>, Status> {
        unary(request, async |cx, batches| Ok(answers(self.0.route_leads(cx, batches)))).await
    }
}
