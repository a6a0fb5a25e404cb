//! The gRPC service for outputs: decodes, calls the use case, encodes.

use super::Answers;
use crate::service::Registry;
use futures::StreamExt as _;
use remit_api::registry::v1::output_service_server::OutputService;
use remit_api::registry::v1::{
    ExportDisclosuresRequest, ExportDisclosuresResponse, GetLineageRequest, GetLineageResponse, GetOutputRequest,
    Output, OutputSummary, RecordOutputRequest, RecordOutputsRequest, RecordOutputsResponse, SearchOutputsRequest,
    SearchOutputsResponse, SummarizeOutputsRequest,
};
use remit_runtime::{accept, to_status};
use tonic::{Request, Response, Status, Streaming};

/// Answers for outputs.
#[derive(Debug, Clone)]
pub struct Outputs(pub Registry);

#[tonic::async_trait]
impl OutputService for Outputs {
    async fn record_output(&self, request: Request<RecordOutputRequest>) -> Result<Response<Output>, Status> {
        let (cx, req) = accept(request)?;
        self.0.record_output(&cx, req).await.map(Response::new).map_err(to_status)
    }

    type RecordOutputsStream = Answers<RecordOutputsResponse>;

    async fn record_outputs(
        &self,
        request: Request<Streaming<RecordOutputsRequest>>,
    ) -> Result<Response<Self::RecordOutputsStream>, Status> {
        let (cx, batches) = accept(request)?;
        // A batch is read when the answer to the one before is on its way: a fast writer is held back.
        let state = (self.0.clone(), cx, batches);
        let answers = futures::stream::try_unfold(state, |(registry, cx, mut batches)| async move {
            let Some(batch) = batches.message().await? else { return Ok(None) };
            let answer = registry.record_outputs(&cx, batch).await.map_err(to_status)?;
            Ok(Some((answer, (registry, cx, batches))))
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn get_output(&self, request: Request<GetOutputRequest>) -> Result<Response<Output>, Status> {
        let (cx, req) = accept(request)?;
        self.0.get_output(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn search_outputs(
        &self,
        request: Request<SearchOutputsRequest>,
    ) -> Result<Response<SearchOutputsResponse>, Status> {
        let (cx, req) = accept(request)?;
        self.0.search_outputs(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn get_lineage(&self, request: Request<GetLineageRequest>) -> Result<Response<GetLineageResponse>, Status> {
        let (cx, req) = accept(request)?;
        self.0.get_lineage(&cx, req).await.map(Response::new).map_err(to_status)
    }

    type ExportDisclosuresStream = Answers<ExportDisclosuresResponse>;

    async fn export_disclosures(
        &self,
        request: Request<ExportDisclosuresRequest>,
    ) -> Result<Response<Self::ExportDisclosuresStream>, Status> {
        let (cx, req) = accept(request)?;
        let answers = self.0.export_disclosures(&cx, &req).map_err(to_status)?;
        Ok(Response::new(answers.map(|answer| answer.map_err(to_status)).boxed()))
    }

    async fn summarize_outputs(
        &self,
        request: Request<SummarizeOutputsRequest>,
    ) -> Result<Response<OutputSummary>, Status> {
        let (cx, req) = accept(request)?;
        self.0.summarize_outputs(&cx, req).await.map(Response::new).map_err(to_status)
    }
}
