//! The gRPC service for artifacts and their versions: decodes, calls the use case, encodes.

use crate::service::Registry;
use remit_api::registry::v1::artifact_service_server::ArtifactService;
use remit_api::registry::v1::{
    ApproveArtifactVersionRequest, Artifact, ArtifactVersion, CreateArtifactRequest, CreateArtifactVersionRequest,
    GetArtifactRequest, GetArtifactVersionRequest, ListArtifactLabelHistoryRequest, ListArtifactLabelHistoryResponse,
    ListArtifactVersionsRequest, ListArtifactVersionsResponse, ListArtifactsRequest, ListArtifactsResponse,
    SetArtifactLabelRequest, UpdateArtifactRequest, WithdrawArtifactVersionRequest, WithdrawArtifactVersionResponse,
};
use remit_runtime::{accept, to_status};
use tonic::{Request, Response, Status};

/// Answers for artifacts and their versions.
#[derive(Debug, Clone)]
pub struct Artifacts(pub Registry);

#[tonic::async_trait]
impl ArtifactService for Artifacts {
    async fn create_artifact(&self, request: Request<CreateArtifactRequest>) -> Result<Response<Artifact>, Status> {
        let (cx, req) = accept(request)?;
        self.0.create_artifact(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn get_artifact(&self, request: Request<GetArtifactRequest>) -> Result<Response<Artifact>, Status> {
        let (cx, req) = accept(request)?;
        self.0.get_artifact(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn list_artifacts(
        &self,
        request: Request<ListArtifactsRequest>,
    ) -> Result<Response<ListArtifactsResponse>, Status> {
        let (cx, req) = accept(request)?;
        self.0.list_artifacts(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn update_artifact(&self, request: Request<UpdateArtifactRequest>) -> Result<Response<Artifact>, Status> {
        let (cx, req) = accept(request)?;
        self.0.update_artifact(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn create_artifact_version(
        &self,
        request: Request<CreateArtifactVersionRequest>,
    ) -> Result<Response<ArtifactVersion>, Status> {
        let (cx, req) = accept(request)?;
        self.0.create_artifact_version(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn get_artifact_version(
        &self,
        request: Request<GetArtifactVersionRequest>,
    ) -> Result<Response<ArtifactVersion>, Status> {
        let (cx, req) = accept(request)?;
        self.0.get_artifact_version(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn list_artifact_versions(
        &self,
        request: Request<ListArtifactVersionsRequest>,
    ) -> Result<Response<ListArtifactVersionsResponse>, Status> {
        let (cx, req) = accept(request)?;
        self.0.list_artifact_versions(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn approve_artifact_version(
        &self,
        request: Request<ApproveArtifactVersionRequest>,
    ) -> Result<Response<ArtifactVersion>, Status> {
        let (cx, req) = accept(request)?;
        self.0.approve_artifact_version(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn withdraw_artifact_version(
        &self,
        request: Request<WithdrawArtifactVersionRequest>,
    ) -> Result<Response<WithdrawArtifactVersionResponse>, Status> {
        let (cx, req) = accept(request)?;
        self.0.withdraw_artifact_version(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn set_artifact_label(
        &self,
        request: Request<SetArtifactLabelRequest>,
    ) -> Result<Response<Artifact>, Status> {
        let (cx, req) = accept(request)?;
        self.0.set_artifact_label(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn list_artifact_label_history(
        &self,
        request: Request<ListArtifactLabelHistoryRequest>,
    ) -> Result<Response<ListArtifactLabelHistoryResponse>, Status> {
        let (cx, req) = accept(request)?;
        self.0.list_artifact_label_history(&cx, req).await.map(Response::new).map_err(to_status)
    }
}
