//! Trainings.

use super::Api;
use remit_api::council::v1::training_service_server::TrainingService;
use remit_api::council::v1::{
    CreateTrainingRequest, GetTrainingRequest, ListTrainingsRequest, ListTrainingsResponse, Training,
};
use remit_runtime::unary;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl TrainingService for Api {
    async fn create_training(&self, request: Request<CreateTrainingRequest>) -> Result<Response<Training>, Status> {
        unary(request, async |cx, m| self.0.create_training(cx, m).await).await
    }

    async fn get_training(&self, request: Request<GetTrainingRequest>) -> Result<Response<Training>, Status> {
        unary(request, async |cx, m| self.0.get_training(cx, m).await).await
    }

    async fn list_trainings(
        &self,
        request: Request<ListTrainingsRequest>,
    ) -> Result<Response<ListTrainingsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_trainings(cx, m).await).await
    }
}
