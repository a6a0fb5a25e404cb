use super::{Answers, Api, answer, stream};
use crate::service::import::File;
use crate::service::rating::suggest_ratings;
use remit_api::scoring::v1::import_tasks_request::Part;
use remit_api::scoring::v1::task_service_server::TaskService;
use remit_api::scoring::v1::*;
use remit_core::{Error, digest};
use remit_runtime::{accept, to_status};
use tonic::{Request, Response, Status, Streaming, async_trait};

#[async_trait]
impl TaskService for Api {
    async fn create_task(&self, request: Request<CreateTaskRequest>) -> Result<Response<Task>, Status> {
        let (cx, request) = accept(request)?;
        let call = cx.call(&request.request_id, &request, self.0.clock.as_ref());
        answer(self.0.create_task(&call, request).await)
    }

    async fn get_task(&self, request: Request<GetTaskRequest>) -> Result<Response<Task>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.get_task(&cx.tenant, &request.name).await)
    }

    async fn list_tasks(&self, request: Request<ListTasksRequest>) -> Result<Response<ListTasksResponse>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.list_tasks(&cx.tenant, &request).await)
    }

    async fn update_task(&self, request: Request<UpdateTaskRequest>) -> Result<Response<Task>, Status> {
        let (cx, request) = accept(request)?;
        let call = cx.call(&request.request_id, &request, self.0.clock.as_ref());
        answer(self.0.update_task(&call, request).await)
    }

    async fn delete_task(&self, request: Request<DeleteTaskRequest>) -> Result<Response<()>, Status> {
        let (cx, request) = accept(request)?;
        let call = cx.call(&request.request_id, &request, self.0.clock.as_ref());
        answer(self.0.delete_task(&call, &request).await)
    }

    async fn rate_task(&self, request: Request<RateTaskRequest>) -> Result<Response<Task>, Status> {
        let (cx, request) = accept(request)?;
        let call = cx.call(&request.request_id, &request, self.0.clock.as_ref());
        answer(self.0.rate_task(&call, request).await)
    }

    async fn import_tasks(
        &self,
        request: Request<Streaming<ImportTasksRequest>>,
    ) -> Result<Response<ImportTasksResponse>, Status> {
        let (cx, mut parts) = accept(request)?;
        let Some(ImportTasksRequest { part: Some(Part::Config(config)) }) = parts.message().await? else {
            let error = Error::invalid("CONFIG_MISSING", "config", "must come in the first message");
            return Err(to_status(error));
        };
        let mut file = File::default();
        while let Some(message) = parts.message().await? {
            match message.part {
                Some(Part::Chunk(chunk)) => file.push(&chunk).map_err(to_status)?,
                Some(Part::Config(_)) | None => {
                    let error = Error::invalid("CONFIG_TWICE", "config", "must come in the first message only");
                    return Err(to_status(error));
                }
            }
        }
        let mut call = cx.call(&config.request_id, &config, self.0.clock.as_ref());
        // The file is part of what the request id stands for.
        let both = format!("{}{}", hex::encode(call.request_digest), digest::sha256(&file.0));
        call.request_digest = <sha2::Sha256 as sha2::Digest>::digest(both.as_bytes()).into();
        answer(self.0.import_tasks(&call, &config, &file.0).await)
    }

    type ExportTasksStream = Answers<ExportTasksResponse>;

    async fn export_tasks(
        &self,
        request: Request<ExportTasksRequest>,
    ) -> Result<Response<Self::ExportTasksStream>, Status> {
        let (cx, request) = accept(request)?;
        let scoring = self.0.clone();
        Ok(stream(|pieces| async move { scoring.export_tasks(&cx.tenant, &request.filter, &pieces).await }))
    }

    async fn summarize_ratings(
        &self,
        request: Request<SummarizeRatingsRequest>,
    ) -> Result<Response<SummarizeRatingsResponse>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.summarize_ratings(&cx.tenant, &request.filter).await)
    }

    async fn suggest_ratings(
        &self,
        request: Request<SuggestRatingsRequest>,
    ) -> Result<Response<SuggestRatingsResponse>, Status> {
        let (_, request) = accept(request)?;
        answer(suggest_ratings(&request))
    }

    async fn create_audit_window(
        &self,
        request: Request<CreateAuditWindowRequest>,
    ) -> Result<Response<AuditWindow>, Status> {
        let (cx, request) = accept(request)?;
        let call = cx.call(&request.request_id, &request, self.0.clock.as_ref());
        answer(self.0.create_audit_window(&call, request).await)
    }

    async fn list_audit_windows(
        &self,
        request: Request<ListAuditWindowsRequest>,
    ) -> Result<Response<ListAuditWindowsResponse>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.list_audit_windows(&cx.tenant, &request).await)
    }
}
