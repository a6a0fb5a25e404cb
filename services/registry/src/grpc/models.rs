//! The gRPC service for models and their versions: decodes, calls the use case, encodes.

use super::Answers;
use crate::service::Registry;
use futures::StreamExt as _;
use remit_api::registry::v1::model_service_server::ModelService;
use remit_api::registry::v1::{
    AddEvaluationRequest, CreateModelRequest, CreateModelVersionRequest, GetModelRequest, GetModelVersionRequest,
    ListAliasHistoryRequest, ListAliasHistoryResponse, ListModelVersionTransitionsRequest,
    ListModelVersionTransitionsResponse, ListModelVersionsRequest, ListModelVersionsResponse, ListModelsRequest,
    ListModelsResponse, Model, ModelVersion, SetModelAliasRequest, TransitionModelVersionRequest, UpdateModelRequest,
    UpdateModelVersionRequest, WatchModelStatesRequest, WatchModelStatesResponse,
};
use remit_runtime::{accept, to_status};
use tonic::{Request, Response, Status};

/// Answers for models and their versions.
#[derive(Debug, Clone)]
pub struct Models(pub Registry);

#[tonic::async_trait]
impl ModelService for Models {
    async fn create_model(&self, request: Request<CreateModelRequest>) -> Result<Response<Model>, Status> {
        let (cx, req) = accept(request)?;
        self.0.create_model(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn get_model(&self, request: Request<GetModelRequest>) -> Result<Response<Model>, Status> {
        let (cx, req) = accept(request)?;
        self.0.get_model(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn list_models(&self, request: Request<ListModelsRequest>) -> Result<Response<ListModelsResponse>, Status> {
        let (cx, req) = accept(request)?;
        self.0.list_models(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn update_model(&self, request: Request<UpdateModelRequest>) -> Result<Response<Model>, Status> {
        let (cx, req) = accept(request)?;
        self.0.update_model(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn create_model_version(
        &self,
        request: Request<CreateModelVersionRequest>,
    ) -> Result<Response<ModelVersion>, Status> {
        let (cx, req) = accept(request)?;
        self.0.create_model_version(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn get_model_version(
        &self,
        request: Request<GetModelVersionRequest>,
    ) -> Result<Response<ModelVersion>, Status> {
        let (cx, req) = accept(request)?;
        self.0.get_model_version(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn list_model_versions(
        &self,
        request: Request<ListModelVersionsRequest>,
    ) -> Result<Response<ListModelVersionsResponse>, Status> {
        let (cx, req) = accept(request)?;
        self.0.list_model_versions(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn update_model_version(
        &self,
        request: Request<UpdateModelVersionRequest>,
    ) -> Result<Response<ModelVersion>, Status> {
        let (cx, req) = accept(request)?;
        self.0.update_model_version(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn add_evaluation(&self, request: Request<AddEvaluationRequest>) -> Result<Response<ModelVersion>, Status> {
        let (cx, req) = accept(request)?;
        self.0.add_evaluation(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn transition_model_version(
        &self,
        request: Request<TransitionModelVersionRequest>,
    ) -> Result<Response<ModelVersion>, Status> {
        let (cx, req) = accept(request)?;
        self.0.transition_model_version(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn list_model_version_transitions(
        &self,
        request: Request<ListModelVersionTransitionsRequest>,
    ) -> Result<Response<ListModelVersionTransitionsResponse>, Status> {
        let (cx, req) = accept(request)?;
        self.0.list_model_version_transitions(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn set_model_alias(&self, request: Request<SetModelAliasRequest>) -> Result<Response<Model>, Status> {
        let (cx, req) = accept(request)?;
        self.0.set_model_alias(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn list_alias_history(
        &self,
        request: Request<ListAliasHistoryRequest>,
    ) -> Result<Response<ListAliasHistoryResponse>, Status> {
        let (cx, req) = accept(request)?;
        self.0.list_alias_history(&cx, req).await.map(Response::new).map_err(to_status)
    }

    type WatchModelStatesStream = Answers<WatchModelStatesResponse>;

    async fn watch_model_states(
        &self,
        request: Request<WatchModelStatesRequest>,
    ) -> Result<Response<Self::WatchModelStatesStream>, Status> {
        let (cx, req) = accept(request)?;
        let answers = self.0.watch_model_states(&cx, &req).map_err(to_status)?;
        Ok(Response::new(answers.map(|answer| answer.map_err(to_status)).boxed()))
    }
}
