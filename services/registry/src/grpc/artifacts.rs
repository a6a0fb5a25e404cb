//! Artifacts and their versions.

use super::Api;
use remit_api::registry::v1::artifact_service_server::ArtifactService;
use remit_api::registry::v1::{
    ApproveArtifactVersionRequest, Artifact, ArtifactVersion, CreateArtifactRequest, CreateArtifactVersionRequest,
    GetArtifactRequest, GetArtifactVersionRequest, ListArtifactLabelHistoryRequest, ListArtifactLabelHistoryResponse,
    ListArtifactVersionsRequest, ListArtifactVersionsResponse, ListArtifactsRequest, ListArtifactsResponse,
    SetArtifactLabelRequest, UpdateArtifactRequest, WithdrawArtifactVersionRequest, WithdrawArtifactVersionResponse,
};
use remit_runtime::unary;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl ArtifactService for Api {
    async fn create_artifact(&self, request: Request<CreateArtifactRequest>) -> Result<Response<Artifact>, Status> {
        unary(request, async |cx, m| self.0.create_artifact(cx, m).await).await
    }

    async fn get_artifact(&self, request: Request<GetArtifactRequest>) -> Result<Response<Artifact>, Status> {
        unary(request, async |cx, m| self.0.get_artifact(cx, m).await).await
    }

    async fn list_artifacts(
        &self,
        request: Request<ListArtifactsRequest>,
    ) -> Result<Response<ListArtifactsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_artifacts(cx, m).await).await
    }

    async fn update_artifact(&self, request: Request<UpdateArtifactRequest>) -> Result<Response<Artifact>, Status> {
        unary(request, async |cx, m| self.0.update_artifact(cx, m).await).await
    }

    async fn create_artifact_version(
        &self,
        request: Request<CreateArtifactVersionRequest>,
    ) -> Result<Response<ArtifactVersion>, Status> {
        unary(request, async |cx, m| self.0.create_artifact_version(cx, m).await).await
    }

    async fn get_artifact_version(
        &self,
        request: Request<GetArtifactVersionRequest>,
    ) -> Result<Response<ArtifactVersion>, Status> {
        unary(request, async |cx, m| self.0.get_artifact_version(cx, m).await).await
    }

    async fn list_artifact_versions(
        &self,
        request: Request<ListArtifactVersionsRequest>,
    ) -> Result<Response<ListArtifactVersionsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_artifact_versions(cx, m).await).await
    }

    async fn approve_artifact_version(
        &self,
        request: Request<ApproveArtifactVersionRequest>,
    ) -> Result<Response<ArtifactVersion>, Status> {
        unary(request, async |cx, m| self.0.approve_artifact_version(cx, m).await).await
    }

    async fn withdraw_artifact_version(
        &self,
        request: Request<WithdrawArtifactVersionRequest>,
    ) -> Result<Response<WithdrawArtifactVersionResponse>, Status> {
        unary(request, async |cx, m| self.0.withdraw_artifact_version(cx, m).await).await
    }

    async fn set_artifact_label(
        &self,
        request: Request<SetArtifactLabelRequest>,
    ) -> Result<Response<Artifact>, Status> {
        unary(request, async |cx, m| self.0.set_artifact_label(cx, m).await).await
    }

    async fn list_artifact_label_history(
        &self,
        request: Request<ListArtifactLabelHistoryRequest>,
    ) -> Result<Response<ListArtifactLabelHistoryResponse>, Status> {
        unary(request, async |cx, m| self.0.list_artifact_label_history(cx, m).await).await
    }
}
