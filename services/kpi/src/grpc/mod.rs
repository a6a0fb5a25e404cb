//! Decodes requests, calls the use case, encodes the answer.

use crate::service::Kpis;
use futures::Stream;
use futures::StreamExt as _;
use remit_api::kpi::v1::kpi_service_server::KpiService;
use remit_api::kpi::v1::*;
use remit_runtime::{Cx, accept, to_status};
use remit_store::Call;
use std::pin::Pin;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// The most refused events that the answer to a stream lists.
const MAX_ERRORS: usize = 100;

/// The gRPC face of the service.
#[derive(Debug, Clone)]
pub struct Grpc {
    /// The use cases.
    pub kpis: Kpis,
    /// Cancelled when the process begins to drain.
    pub shutdown: CancellationToken,
}

impl Grpc {
    fn call<M: prost::Message>(&self, cx: &Cx, request_id: &str, body: &M) -> Call {
        cx.call(request_id, body, self.kpis.clock.as_ref())
    }
}

/// The body of a method that reads.
macro_rules! read {
    ($self:ident, $request:ident, $use_case:ident) => {{
        let (cx, request) = accept($request)?;
        $self.kpis.$use_case(&cx.tenant, &request).await.map(Response::new).map_err(to_status)
    }};
}

/// The body of a method that changes something.
macro_rules! change {
    ($self:ident, $request:ident, $use_case:ident($($pass:tt)*)) => {{
        let (cx, request) = accept($request)?;
        let call = $self.call(&cx, &request.request_id, &request);
        $self.kpis.$use_case(call, $($pass)* request).await.map(Response::new).map_err(to_status)
    }};
}

#[tonic::async_trait]
impl KpiService for Grpc {
    async fn create_kpi(&self, request: Request<CreateKpiRequest>) -> Result<Response<Kpi>, Status> {
        change!(self, request, create_kpi())
    }

    async fn get_kpi(&self, request: Request<GetKpiRequest>) -> Result<Response<Kpi>, Status> {
        read!(self, request, get_kpi)
    }

    async fn list_kpis(&self, request: Request<ListKpisRequest>) -> Result<Response<ListKpisResponse>, Status> {
        read!(self, request, list_kpis)
    }

    async fn list_kpi_versions(
        &self,
        request: Request<ListKpiVersionsRequest>,
    ) -> Result<Response<ListKpiVersionsResponse>, Status> {
        read!(self, request, list_kpi_versions)
    }

    async fn update_kpi(&self, request: Request<UpdateKpiRequest>) -> Result<Response<Kpi>, Status> {
        change!(self, request, update_kpi())
    }

    async fn retire_kpi(&self, request: Request<RetireKpiRequest>) -> Result<Response<Kpi>, Status> {
        change!(self, request, retire_kpi(&))
    }

    async fn record_events(
        &self,
        request: Request<RecordEventsRequest>,
    ) -> Result<Response<RecordEventsResponse>, Status> {
        change!(self, request, record_events(&))
    }

    async fn get_event(&self, request: Request<GetEventRequest>) -> Result<Response<RecordedEvent>, Status> {
        read!(self, request, get_event)
    }

    async fn query_rollups(
        &self,
        request: Request<QueryRollupsRequest>,
    ) -> Result<Response<QueryRollupsResponse>, Status> {
        read!(self, request, query_rollups)
    }

    async fn summarize_kpis(
        &self,
        request: Request<SummarizeKpisRequest>,
    ) -> Result<Response<SummarizeKpisResponse>, Status> {
        read!(self, request, summarize_kpis)
    }

    async fn compare_periods(
        &self,
        request: Request<ComparePeriodsRequest>,
    ) -> Result<Response<ComparePeriodsResponse>, Status> {
        read!(self, request, compare_periods)
    }

    async fn compare_distributions(
        &self,
        request: Request<CompareDistributionsRequest>,
    ) -> Result<Response<CompareDistributionsResponse>, Status> {
        read!(self, request, compare_distributions)
    }

    async fn create_experiment(
        &self,
        request: Request<CreateExperimentRequest>,
    ) -> Result<Response<Experiment>, Status> {
        change!(self, request, create_experiment())
    }

    async fn get_experiment(&self, request: Request<GetExperimentRequest>) -> Result<Response<Experiment>, Status> {
        read!(self, request, get_experiment)
    }

    async fn list_experiments(
        &self,
        request: Request<ListExperimentsRequest>,
    ) -> Result<Response<ListExperimentsResponse>, Status> {
        read!(self, request, list_experiments)
    }

    async fn cancel_experiment(
        &self,
        request: Request<CancelExperimentRequest>,
    ) -> Result<Response<Experiment>, Status> {
        change!(self, request, cancel_experiment(&))
    }

    async fn compare_experiment(
        &self,
        request: Request<CompareExperimentRequest>,
    ) -> Result<Response<CompareExperimentResponse>, Status> {
        read!(self, request, compare_experiment)
    }

    async fn create_interpretation(
        &self,
        request: Request<CreateInterpretationRequest>,
    ) -> Result<Response<Interpretation>, Status> {
        change!(self, request, create_interpretation())
    }

    async fn list_interpretations(
        &self,
        request: Request<ListInterpretationsRequest>,
    ) -> Result<Response<ListInterpretationsResponse>, Status> {
        read!(self, request, list_interpretations)
    }

    async fn create_alert_rule(&self, request: Request<CreateAlertRuleRequest>) -> Result<Response<AlertRule>, Status> {
        change!(self, request, create_alert_rule())
    }

    async fn get_alert_rule(&self, request: Request<GetAlertRuleRequest>) -> Result<Response<AlertRule>, Status> {
        read!(self, request, get_alert_rule)
    }

    async fn list_alert_rules(
        &self,
        request: Request<ListAlertRulesRequest>,
    ) -> Result<Response<ListAlertRulesResponse>, Status> {
        read!(self, request, list_alert_rules)
    }

    async fn update_alert_rule(&self, request: Request<UpdateAlertRuleRequest>) -> Result<Response<AlertRule>, Status> {
        change!(self, request, update_alert_rule())
    }

    async fn delete_alert_rule(
        &self,
        request: Request<DeleteAlertRuleRequest>,
    ) -> Result<Response<DeleteAlertRuleResponse>, Status> {
        change!(self, request, delete_alert_rule(&))
    }

    async fn evaluate_alerts(
        &self,
        request: Request<EvaluateAlertsRequest>,
    ) -> Result<Response<EvaluateAlertsResponse>, Status> {
        let (cx, request) = accept(request)?;
        let call = self.call(&cx, &request.request_id, &request);
        self.kpis.evaluate_alerts(call).await.map(Response::new).map_err(to_status)
    }

    async fn get_alert(&self, request: Request<GetAlertRequest>) -> Result<Response<Alert>, Status> {
        read!(self, request, get_alert)
    }

    async fn list_alerts(&self, request: Request<ListAlertsRequest>) -> Result<Response<ListAlertsResponse>, Status> {
        read!(self, request, list_alerts)
    }

    async fn acknowledge_alert(&self, request: Request<AcknowledgeAlertRequest>) -> Result<Response<Alert>, Status> {
        change!(self, request, acknowledge_alert(&))
    }

    async fn stream_events(
        &self,
        request: Request<Streaming<StreamEventsRequest>>,
    ) -> Result<Response<StreamEventsResponse>, Status> {
        let (cx, mut batches) = accept(request)?;
        let mut total = StreamEventsResponse::default();
        let mut offset = 0i32;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let call = self.call(&cx, &batch.request_id, &batch);
            let recorded = self.kpis.record_batch(call, &batch.events, batch.skip_invalid).await.map_err(to_status)?;
            total.batch_count += 1;
            total.accepted_count += i64::from(recorded.accepted_count);
            total.duplicate_count += i64::from(recorded.duplicate_count);
            total.late_count += i64::from(recorded.late_count);
            total.corrected_count += i64::from(recorded.corrected_count);
            for mut error in recorded.errors {
                total.error_count += 1;
                if total.errors.len() < MAX_ERRORS {
                    error.index = error.index.saturating_add(offset);
                    total.errors.push(error);
                }
            }
            offset = offset.saturating_add(i32::try_from(batch.events.len()).unwrap_or(i32::MAX));
        }
        Ok(Response::new(total))
    }

    type WatchRollupsStream = Pin<Box<dyn Stream<Item = Result<WatchRollupsResponse, Status>> + Send>>;

    async fn watch_rollups(
        &self,
        request: Request<WatchRollupsRequest>,
    ) -> Result<Response<Self::WatchRollupsStream>, Status> {
        let (cx, request) = accept(request)?;
        let shutdown = self.shutdown.clone();
        let stream = self.kpis.watch_rollups(&cx.tenant, request, shutdown).await.map_err(to_status)?;
        Ok(Response::new(Box::pin(stream.map(|item| item.map_err(to_status)))))
    }
}
