//! What is said of tokens after they were issued.

use super::Api;
use remit_api::council::v1::access_service_server::AccessService;
use remit_api::council::v1::{
    CreateRevocationRequest, CreateRoleAssignmentRequest, DeleteRevocationRequest, DeleteRevocationResponse,
    DeleteRoleAssignmentRequest, DeleteRoleAssignmentResponse, GetRevocationRequest, GetRoleAssignmentRequest,
    ListRevocationsRequest, ListRevocationsResponse, ListRoleAssignmentsRequest, ListRoleAssignmentsResponse,
    Revocation, RoleAssignment, UpdateRoleAssignmentRequest, WatchAccessRequest, WatchAccessResponse,
};
use remit_runtime::{Answers, answers, unary};
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl AccessService for Api {
    async fn create_revocation(
        &self,
        request: Request<CreateRevocationRequest>,
    ) -> Result<Response<Revocation>, Status> {
        unary(request, async |cx, m| self.0.create_revocation(cx, m).await).await
    }

    async fn get_revocation(&self, request: Request<GetRevocationRequest>) -> Result<Response<Revocation>, Status> {
        unary(request, async |cx, m| self.0.get_revocation(cx, m).await).await
    }

    async fn list_revocations(
        &self,
        request: Request<ListRevocationsRequest>,
    ) -> Result<Response<ListRevocationsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_revocations(cx, m).await).await
    }

    async fn delete_revocation(
        &self,
        request: Request<DeleteRevocationRequest>,
    ) -> Result<Response<DeleteRevocationResponse>, Status> {
        unary(request, async |cx, m| self.0.delete_revocation(cx, m).await).await
    }

    async fn create_role_assignment(
        &self,
        request: Request<CreateRoleAssignmentRequest>,
    ) -> Result<Response<RoleAssignment>, Status> {
        unary(request, async |cx, m| self.0.create_role_assignment(cx, m).await).await
    }

    async fn get_role_assignment(
        &self,
        request: Request<GetRoleAssignmentRequest>,
    ) -> Result<Response<RoleAssignment>, Status> {
        unary(request, async |cx, m| self.0.get_role_assignment(cx, m).await).await
    }

    async fn list_role_assignments(
        &self,
        request: Request<ListRoleAssignmentsRequest>,
    ) -> Result<Response<ListRoleAssignmentsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_role_assignments(cx, m).await).await
    }

    async fn update_role_assignment(
        &self,
        request: Request<UpdateRoleAssignmentRequest>,
    ) -> Result<Response<RoleAssignment>, Status> {
        unary(request, async |cx, m| self.0.update_role_assignment(cx, m).await).await
    }

    async fn delete_role_assignment(
        &self,
        request: Request<DeleteRoleAssignmentRequest>,
    ) -> Result<Response<DeleteRoleAssignmentResponse>, Status> {
        unary(request, async |cx, m| self.0.delete_role_assignment(cx, m).await).await
    }

    type WatchAccessStream = Answers<WatchAccessResponse>;

    async fn watch_access(
        &self,
        request: Request<WatchAccessRequest>,
    ) -> Result<Response<Self::WatchAccessStream>, Status> {
        unary(request, async |cx, m| Ok(answers(self.0.watch_access(cx, m)?))).await
    }
}
