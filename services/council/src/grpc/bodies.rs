//! Bodies, their members and delegations.

use super::Api;
use remit_api::council::v1::body_service_server::BodyService;
use remit_api::council::v1::{
    Body, CreateDelegationRequest, Delegation, GetBodyRequest, ListBodiesRequest, ListBodiesResponse,
    ListDelegationsRequest, ListDelegationsResponse, ListMembersRequest, ListMembersResponse, Member,
    ResignMemberRequest, RevokeDelegationRequest,
};
use remit_runtime::unary;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl BodyService for Api {
    async fn get_body(&self, request: Request<GetBodyRequest>) -> Result<Response<Body>, Status> {
        unary(request, async |cx, m| self.0.get_body(cx, m).await).await
    }

    async fn list_bodies(&self, request: Request<ListBodiesRequest>) -> Result<Response<ListBodiesResponse>, Status> {
        unary(request, async |cx, m| self.0.list_bodies(cx, m).await).await
    }

    async fn list_members(
        &self,
        request: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        unary(request, async |cx, m| self.0.list_members(cx, m).await).await
    }

    async fn resign_member(&self, request: Request<ResignMemberRequest>) -> Result<Response<Member>, Status> {
        unary(request, async |cx, m| self.0.resign_member(cx, m).await).await
    }

    async fn create_delegation(
        &self,
        request: Request<CreateDelegationRequest>,
    ) -> Result<Response<Delegation>, Status> {
        unary(request, async |cx, m| self.0.create_delegation(cx, m).await).await
    }

    async fn list_delegations(
        &self,
        request: Request<ListDelegationsRequest>,
    ) -> Result<Response<ListDelegationsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_delegations(cx, m).await).await
    }

    async fn revoke_delegation(
        &self,
        request: Request<RevokeDelegationRequest>,
    ) -> Result<Response<Delegation>, Status> {
        unary(request, async |cx, m| self.0.revoke_delegation(cx, m).await).await
    }
}
