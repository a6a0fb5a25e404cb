use super::Api;
use remit_api::scoring::v1::task_service_server::TaskService;
use remit_api::scoring::v1::*;
use remit_runtime::{Answers, unary};
use tonic::{Request, Response, Status, Streaming, async_trait};

#[async_trait]
impl TaskService for Api {
    async fn create_task(&self, request: Request<CreateTaskRequest>) -> Result<Response<Task>, Status> {
        unary(request, async |cx, m| self.0.create_task(cx, m).await).await
    }

    async fn get_task(&self, request: Request<GetTaskRequest>) -> Result<Response<Task>, Status> {
        unary(request, async |cx, m| self.0.get_task(cx, m).await).await
    }

    async fn list_tasks(&self, request: Request<ListTasksRequest>) -> Result<Response<ListTasksResponse>, Status> {
        unary(request, async |cx, m| self.0.list_tasks(cx, m).await).await
    }

    async fn update_task(&self, request: Request<UpdateTaskRequest>) -> Result<Response<Task>, Status> {
        unary(request, async |cx, m| self.0.update_task(cx, m).await).await
    }

    async fn delete_task(&self, request: Request<DeleteTaskRequest>) -> Result<Response<()>, Status> {
        unary(request, async |cx, m| self.0.delete_task(cx, m).await).await
    }

    async fn rate_task(&self, request: Request<RateTaskRequest>) -> Result<Response<Task>, Status> {
        unary(request, async |cx, m| self.0.rate_task(cx, m).await).await
    }

    async fn import_tasks(
        &self,
        request: Request<Streaming<ImportTasksRequest>>,
    ) -> Result<Response<ImportTasksResponse>, Status> {
        unary(request, async |cx, m| self.0.import_tasks(cx, m).await).await
    }

    type ExportTasksStream = Answers<ExportTasksResponse>;

    async fn export_tasks(
        &self,
        request: Request<ExportTasksRequest>,
    ) -> Result<Response<Self::ExportTasksStream>, Status> {
        unary(request, async |cx, m| Ok(self.0.export_tasks(cx, m))).await
    }

    async fn summarize_ratings(
        &self,
        request: Request<SummarizeRatingsRequest>,
    ) -> Result<Response<SummarizeRatingsResponse>, Status> {
        unary(request, async |cx, m| self.0.summarize_ratings(cx, m).await).await
    }

    async fn suggest_ratings(
        &self,
        request: Request<SuggestRatingsRequest>,
    ) -> Result<Response<SuggestRatingsResponse>, Status> {
        unary(request, async |cx, m| self.0.suggest_ratings(cx, m).await).await
    }

    async fn create_audit_window(
        &self,
        request: Request<CreateAuditWindowRequest>,
    ) -> Result<Response<AuditWindow>, Status> {
        unary(request, async |cx, m| self.0.create_audit_window(cx, m).await).await
    }

    async fn list_audit_windows(
        &self,
        request: Request<ListAuditWindowsRequest>,
    ) -> Result<Response<ListAuditWindowsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_audit_windows(cx, m).await).await
    }
}
