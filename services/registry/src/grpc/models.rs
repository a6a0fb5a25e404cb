//! Models and their versions.

use super::Api;
use remit_api::registry::v1::model_service_server::ModelService;
use remit_api::registry::v1::{
    AddEvaluationRequest, CreateModelRequest, CreateModelVersionRequest, GetModelRequest, GetModelVersionRequest,
    ListAliasHistoryRequest, ListAliasHistoryResponse, ListModelVersionTransitionsRequest,
    ListModelVersionTransitionsResponse, ListModelVersionsRequest, ListModelVersionsResponse, ListModelsRequest,
    ListModelsResponse, Model, ModelVersion, SetModelAliasRequest, TransitionModelVersionRequest, UpdateModelRequest,
    UpdateModelVersionRequest, WatchModelStatesRequest, WatchModelStatesResponse,
};
use remit_runtime::{Answers, answers, unary};
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl ModelService for Api {
    async fn create_model(&self, request: Request<CreateModelRequest>) -> Result<Response<Model>, Status> {
        unary(request, async |cx, m| self.0.create_model(cx, m).await).await
    }

    async fn get_model(&self, request: Request<GetModelRequest>) -> Result<Response<Model>, Status> {
        unary(request, async |cx, m| self.0.get_model(cx, m).await).await
    }

    async fn list_models(&self, request: Request<ListModelsRequest>) -> Result<Response<ListModelsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_models(cx, m).await).await
    }

    async fn update_model(&self, request: Request<UpdateModelRequest>) -> Result<Response<Model>, Status> {
        unary(request, async |cx, m| self.0.update_model(cx, m).await).await
    }

    async fn create_model_version(
        &self,
        request: Request<CreateModelVersionRequest>,
    ) -> Result<Response<ModelVersion>, Status> {
        unary(request, async |cx, m| self.0.create_model_version(cx, m).await).await
    }

    async fn get_model_version(
        &self,
        request: Request<GetModelVersionRequest>,
    ) -> Result<Response<ModelVersion>, Status> {
        unary(request, async |cx, m| self.0.get_model_version(cx, m).await).await
    }

    async fn list_model_versions(
        &self,
        request: Request<ListModelVersionsRequest>,
    ) -> Result<Response<ListModelVersionsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_model_versions(cx, m).await).await
    }

    async fn update_model_version(
        &self,
        request: Request<UpdateModelVersionRequest>,
    ) -> Result<Response<ModelVersion>, Status> {
        unary(request, async |cx, m| self.0.update_model_version(cx, m).await).await
    }

    async fn add_evaluation(&self, request: Request<AddEvaluationRequest>) -> Result<Response<ModelVersion>, Status> {
        unary(request, async |cx, m| self.0.add_evaluation(cx, m).await).await
    }

    async fn transition_model_version(
        &self,
        request: Request<TransitionModelVersionRequest>,
    ) -> Result<Response<ModelVersion>, Status> {
        unary(request, async |cx, m| self.0.transition_model_version(cx, m).await).await
    }

    async fn list_model_version_transitions(
        &self,
        request: Request<ListModelVersionTransitionsRequest>,
    ) -> Result<Response<ListModelVersionTransitionsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_model_version_transitions(cx, m).await).await
    }

    async fn set_model_alias(&self, request: Request<SetModelAliasRequest>) -> Result<Response<Model>, Status> {
        unary(request, async |cx, m| self.0.set_model_alias(cx, m).await).await
    }

    async fn list_alias_history(
        &self,
        request: Request<ListAliasHistoryRequest>,
    ) -> Result<Response<ListAliasHistoryResponse>, Status> {
        unary(request, async |cx, m| self.0.list_alias_history(cx, m).await).await
    }

    type WatchModelStatesStream = Answers<WatchModelStatesResponse>;

    async fn watch_model_states(
        &self,
        request: Request<WatchModelStatesRequest>,
    ) -> Result<Response<Self::WatchModelStatesStream>, Status> {
        unary(request, async |cx, m| Ok(answers(self.0.watch_model_states(cx, m)?))).await
    }
}
