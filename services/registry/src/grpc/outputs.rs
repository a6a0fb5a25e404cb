//! Outputs.

use super::Api;
use futures::StreamExt as _;
use remit_api::registry::v1::output_service_server::OutputService;
use remit_api::registry::v1::{
    ExportDisclosuresRequest, ExportDisclosuresResponse, GetLineageRequest, GetLineageResponse, GetOutputRequest,
    Output, OutputSummary, RecordOutputRequest, RecordOutputsRequest, RecordOutputsResponse, SearchOutputsRequest,
    SearchOutputsResponse, SummarizeOutputsRequest,
};
use remit_runtime::{Answers, answers, received, to_status, unary};
use tonic::{Request, Response, Status, Streaming};

#[tonic::async_trait]
impl OutputService for Api {
    async fn record_output(&self, request: Request<RecordOutputRequest>) -> Result<Response<Output>, Status> {
        unary(request, async |cx, m| self.0.record_output(cx, m).await).await
    }

    type RecordOutputsStream = Answers<RecordOutputsResponse>;

    async fn record_outputs(
        &self,
        request: Request<Streaming<RecordOutputsRequest>>,
    ) -> Result<Response<Self::RecordOutputsStream>, Status> {
        unary(request, async |cx, batches| {
            // A batch is read when the answer to the one before is on its way: a fast writer is held back.
            let state = (self.0.clone(), cx.clone(), batches);
            let answers = futures::stream::try_unfold(state, |(service, cx, mut batches)| async move {
                let Some(batch) = batches.message().await.map_err(|status| to_status(received(status)))? else {
                    return Ok(None);
                };
                let answer = service.record_outputs(&cx, batch).await.map_err(to_status)?;
                Ok(Some((answer, (service, cx, batches))))
            });
            Ok(answers.boxed())
        })
        .await
    }

    async fn get_output(&self, request: Request<GetOutputRequest>) -> Result<Response<Output>, Status> {
        unary(request, async |cx, m| self.0.get_output(cx, m).await).await
    }

    async fn search_outputs(
        &self,
        request: Request<SearchOutputsRequest>,
    ) -> Result<Response<SearchOutputsResponse>, Status> {
        unary(request, async |cx, m| self.0.search_outputs(cx, m).await).await
    }

    async fn get_lineage(&self, request: Request<GetLineageRequest>) -> Result<Response<GetLineageResponse>, Status> {
        unary(request, async |cx, m| self.0.get_lineage(cx, m).await).await
    }

    type ExportDisclosuresStream = Answers<ExportDisclosuresResponse>;

    async fn export_disclosures(
        &self,
        request: Request<ExportDisclosuresRequest>,
    ) -> Result<Response<Self::ExportDisclosuresStream>, Status> {
        unary(request, async |cx, m| Ok(answers(self.0.export_disclosures(cx, m)?))).await
    }

    async fn summarize_outputs(
        &self,
        request: Request<SummarizeOutputsRequest>,
    ) -> Result<Response<OutputSummary>, Status> {
        unary(request, async |cx, m| self.0.summarize_outputs(cx, m).await).await
    }
}
