//! Proposals and votes.

use super::Api;
use remit_api::council::v1::proposal_service_server::ProposalService;
use remit_api::council::v1::{
    CancelProposalRequest, CreateProposalRequest, GetProposalRequest, ListProposalsRequest, ListProposalsResponse,
    OpenProposalRequest, Proposal, RecuseRequest, RetryProposalRequest, UpdateProposalRequest, VoteRequest,
};
use remit_runtime::unary;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl ProposalService for Api {
    async fn create_proposal(&self, request: Request<CreateProposalRequest>) -> Result<Response<Proposal>, Status> {
        unary(request, async |cx, m| self.0.create_proposal(cx, m).await).await
    }

    async fn get_proposal(&self, request: Request<GetProposalRequest>) -> Result<Response<Proposal>, Status> {
        unary(request, async |cx, m| self.0.get_proposal(cx, m).await).await
    }

    async fn list_proposals(
        &self,
        request: Request<ListProposalsRequest>,
    ) -> Result<Response<ListProposalsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_proposals(cx, m).await).await
    }

    async fn update_proposal(&self, request: Request<UpdateProposalRequest>) -> Result<Response<Proposal>, Status> {
        unary(request, async |cx, m| self.0.update_proposal(cx, m).await).await
    }

    async fn open_proposal(&self, request: Request<OpenProposalRequest>) -> Result<Response<Proposal>, Status> {
        unary(request, async |cx, m| self.0.open_proposal(cx, m).await).await
    }

    async fn vote(&self, request: Request<VoteRequest>) -> Result<Response<Proposal>, Status> {
        unary(request, async |cx, m| self.0.vote(cx, m).await).await
    }

    async fn recuse(&self, request: Request<RecuseRequest>) -> Result<Response<Proposal>, Status> {
        unary(request, async |cx, m| self.0.recuse(cx, m).await).await
    }

    async fn cancel_proposal(&self, request: Request<CancelProposalRequest>) -> Result<Response<Proposal>, Status> {
        unary(request, async |cx, m| self.0.cancel_proposal(cx, m).await).await
    }

    async fn retry_proposal(&self, request: Request<RetryProposalRequest>) -> Result<Response<Proposal>, Status> {
        unary(request, async |cx, m| self.0.retry_proposal(cx, m).await).await
    }
}
