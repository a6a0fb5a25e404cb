//! Lead routing over gRPC.

use crate::service::Service;
use futures::stream::{BoxStream, StreamExt as _};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::lead_routing_service_server::LeadRoutingService as Api;
use remit_runtime::{accept, to_status};
use tonic::Streaming;
use tonic::{Request, Response, Status};

/// Lead routing over gRPC.
pub struct RoutingGrpc(pub Service);

#[tonic::async_trait]
impl Api for RoutingGrpc {
    async fn route_lead(&self, request: Request<pb::RouteLeadRequest>) -> Result<Response<pb::Routing>, Status> {
        let (cx, request) = accept(request)?;
        self.0.route_lead(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn accept_lead(&self, request: Request<pb::AcceptLeadRequest>) -> Result<Response<pb::Routing>, Status> {
        let (cx, request) = accept(request)?;
        self.0.accept_lead(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn reassign_lead(&self, request: Request<pb::ReassignLeadRequest>) -> Result<Response<pb::Routing>, Status> {
        let (cx, request) = accept(request)?;
        self.0.reassign_lead(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn review_routing(
        &self,
        request: Request<pb::ReviewRoutingRequest>,
    ) -> Result<Response<pb::Routing>, Status> {
        let (cx, request) = accept(request)?;
        self.0.review_routing(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn get_routing(&self, request: Request<pb::GetRoutingRequest>) -> Result<Response<pb::Routing>, Status> {
        let (cx, request) = accept(request)?;
        self.0.get_routing(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn list_routings(
        &self,
        request: Request<pb::ListRoutingsRequest>,
    ) -> Result<Response<pb::ListRoutingsResponse>, Status> {
        let (cx, request) = accept(request)?;
        self.0.list_routings(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn get_briefing(&self, request: Request<pb::GetBriefingRequest>) -> Result<Response<pb::Briefing>, Status> {
        let (cx, request) = accept(request)?;
        self.0.get_briefing(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn list_briefings(
        &self,
        request: Request<pb::ListBriefingsRequest>,
    ) -> Result<Response<pb::ListBriefingsResponse>, Status> {
        let (cx, request) = accept(request)?;
        self.0.list_briefings(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn acknowledge_briefing(
        &self,
        request: Request<pb::AcknowledgeBriefingRequest>,
    ) -> Result<Response<pb::Briefing>, Status> {
        let (cx, request) = accept(request)?;
        self.0.acknowledge_briefing(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn summarize_routing(
        &self,
        request: Request<pb::SummarizeRoutingRequest>,
    ) -> Result<Response<pb::RoutingSummary>, Status> {
        let (cx, request) = accept(request)?;
        self.0.summarize_routing(&cx, request).await.map(Response::new).map_err(to_status)
    }

    type RouteLeadsStream = BoxStream<'static, Result<pb::RouteLeadsResponse, Status>>;

    async fn route_leads(
        &self,
        request: Request<Streaming<pb::RouteLeadsRequest>>,
    ) -> Result<Response<Self::RouteLeadsStream>, Status> {
        let (cx, batches) = accept(request)?;
        let service = self.0.clone();
        // One batch at a time: the answer says that it is durable, and the client's flow control does the rest.
        let answers = futures::stream::unfold(Some((service, cx, batches)), |state| async move {
            let (service, cx, mut batches) = state?;
            let answer = match batches.next().await? {
                Ok(batch) => service.route_leads(&cx, batch).await.map_err(to_status),
                Err(status) => Err(status),
            };
            // A failed batch ends the stream; what was answered before stays.
            let rest = answer.is_ok().then_some((service, cx, batches));
            Some((answer, rest))
        });
        Ok(Response::new(answers.boxed()))
    }
}
