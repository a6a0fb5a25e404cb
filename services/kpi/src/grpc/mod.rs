//! The gRPC face of the service. All methods stand here because the contract has them in one service, which
//! tonic asks for as one `impl`; each goes to the use case of its name in [`crate::service`].

use crate::service::Service;
use remit_api::kpi::v1::kpi_service_server::{KpiService, KpiServiceServer};
use remit_api::kpi::v1::*;
use remit_runtime::{Answers, Routes, unary};
use tonic::{Request, Response, Status, Streaming};

/// The largest request: a batch of 5,000 events with long dimensions.
const MAX_MESSAGE: usize = 8 << 20;

/// The methods of `service`.
pub(crate) fn routes(service: Service) -> Routes {
    Routes::new(KpiServiceServer::new(Api(service)).max_decoding_message_size(MAX_MESSAGE))
}

struct Api(Service);

#[tonic::async_trait]
impl KpiService for Api {
    type WatchRollupsStream = Answers<WatchRollupsResponse>;

    async fn create_kpi(&self, request: Request<CreateKpiRequest>) -> Result<Response<Kpi>, Status> {
        unary(request, async |cx, m| self.0.create_kpi(cx, m).await).await
    }

    async fn get_kpi(&self, request: Request<GetKpiRequest>) -> Result<Response<Kpi>, Status> {
        unary(request, async |cx, m| self.0.get_kpi(cx, m).await).await
    }

    async fn list_kpis(&self, request: Request<ListKpisRequest>) -> Result<Response<ListKpisResponse>, Status> {
        unary(request, async |cx, m| self.0.list_kpis(cx, m).await).await
    }

    async fn list_kpi_versions(
        &self,
        request: Request<ListKpiVersionsRequest>,
    ) -> Result<Response<ListKpiVersionsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_kpi_versions(cx, m).await).await
    }

    async fn update_kpi(&self, request: Request<UpdateKpiRequest>) -> Result<Response<Kpi>, Status> {
        unary(request, async |cx, m| self.0.update_kpi(cx, m).await).await
    }

    async fn retire_kpi(&self, request: Request<RetireKpiRequest>) -> Result<Response<Kpi>, Status> {
        unary(request, async |cx, m| self.0.retire_kpi(cx, m).await).await
    }

    async fn get_organization_settings(
        &self,
        request: Request<GetOrganizationSettingsRequest>,
    ) -> Result<Response<OrganizationSettings>, Status> {
        unary(request, async |cx, m| self.0.get_organization_settings(cx, m).await).await
    }

    async fn update_organization_settings(
        &self,
        request: Request<UpdateOrganizationSettingsRequest>,
    ) -> Result<Response<OrganizationSettings>, Status> {
        unary(request, async |cx, m| self.0.update_organization_settings(cx, m).await).await
    }

    async fn record_events(
        &self,
        request: Request<RecordEventsRequest>,
    ) -> Result<Response<RecordEventsResponse>, Status> {
        unary(request, async |cx, m| self.0.record_events(cx, m).await).await
    }

    async fn stream_events(
        &self,
        request: Request<Streaming<StreamEventsRequest>>,
    ) -> Result<Response<StreamEventsResponse>, Status> {
        unary(request, async |cx, m| self.0.stream_events(cx, m).await).await
    }

    async fn get_event(&self, request: Request<GetEventRequest>) -> Result<Response<RecordedEvent>, Status> {
        unary(request, async |cx, m| self.0.get_event(cx, m).await).await
    }

    async fn list_events(&self, request: Request<ListEventsRequest>) -> Result<Response<ListEventsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_events(cx, m).await).await
    }

    async fn query_rollups(
        &self,
        request: Request<QueryRollupsRequest>,
    ) -> Result<Response<QueryRollupsResponse>, Status> {
        unary(request, async |cx, m| self.0.query_rollups(cx, m).await).await
    }

    async fn watch_rollups(
        &self,
        request: Request<WatchRollupsRequest>,
    ) -> Result<Response<Self::WatchRollupsStream>, Status> {
        unary(request, async |cx, m| self.0.watch_rollups(cx, m).await).await
    }

    async fn summarize_kpis(
        &self,
        request: Request<SummarizeKpisRequest>,
    ) -> Result<Response<SummarizeKpisResponse>, Status> {
        unary(request, async |cx, m| self.0.summarize_kpis(cx, m).await).await
    }

    async fn compare_periods(
        &self,
        request: Request<ComparePeriodsRequest>,
    ) -> Result<Response<ComparePeriodsResponse>, Status> {
        unary(request, async |cx, m| self.0.compare_periods(cx, m).await).await
    }

    async fn compare_distributions(
        &self,
        request: Request<CompareDistributionsRequest>,
    ) -> Result<Response<CompareDistributionsResponse>, Status> {
        unary(request, async |cx, m| self.0.compare_distributions(cx, m).await).await
    }

    async fn assess_calibration(
        &self,
        request: Request<AssessCalibrationRequest>,
    ) -> Result<Response<AssessCalibrationResponse>, Status> {
        unary(request, async |cx, m| self.0.assess_calibration(cx, m).await).await
    }

    async fn plan_experiment(
        &self,
        request: Request<PlanExperimentRequest>,
    ) -> Result<Response<PlanExperimentResponse>, Status> {
        unary(request, async |_, m| Service::plan_experiment(&m)).await
    }

    async fn create_experiment(
        &self,
        request: Request<CreateExperimentRequest>,
    ) -> Result<Response<Experiment>, Status> {
        unary(request, async |cx, m| self.0.create_experiment(cx, m).await).await
    }

    async fn get_experiment(&self, request: Request<GetExperimentRequest>) -> Result<Response<Experiment>, Status> {
        unary(request, async |cx, m| self.0.get_experiment(cx, m).await).await
    }

    async fn list_experiments(
        &self,
        request: Request<ListExperimentsRequest>,
    ) -> Result<Response<ListExperimentsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_experiments(cx, m).await).await
    }

    async fn cancel_experiment(
        &self,
        request: Request<CancelExperimentRequest>,
    ) -> Result<Response<Experiment>, Status> {
        unary(request, async |cx, m| self.0.cancel_experiment(cx, m).await).await
    }

    async fn compare_experiment(
        &self,
        request: Request<CompareExperimentRequest>,
    ) -> Result<Response<CompareExperimentResponse>, Status> {
        unary(request, async |cx, m| self.0.compare_experiment(cx, m).await).await
    }

    async fn create_pilot(&self, request: Request<CreatePilotRequest>) -> Result<Response<Pilot>, Status> {
        unary(request, async |cx, m| self.0.create_pilot(cx, m).await).await
    }

    async fn get_pilot(&self, request: Request<GetPilotRequest>) -> Result<Response<Pilot>, Status> {
        unary(request, async |cx, m| self.0.get_pilot(cx, m).await).await
    }

    async fn list_pilots(&self, request: Request<ListPilotsRequest>) -> Result<Response<ListPilotsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_pilots(cx, m).await).await
    }

    async fn conclude_pilot(&self, request: Request<ConcludePilotRequest>) -> Result<Response<Pilot>, Status> {
        unary(request, async |cx, m| self.0.conclude_pilot(cx, m).await).await
    }

    async fn report_pilot(
        &self,
        request: Request<ReportPilotRequest>,
    ) -> Result<Response<ReportPilotResponse>, Status> {
        unary(request, async |cx, m| self.0.report_pilot(cx, m).await).await
    }

    async fn create_interpretation(
        &self,
        request: Request<CreateInterpretationRequest>,
    ) -> Result<Response<Interpretation>, Status> {
        unary(request, async |cx, m| self.0.create_interpretation(cx, m).await).await
    }

    async fn list_interpretations(
        &self,
        request: Request<ListInterpretationsRequest>,
    ) -> Result<Response<ListInterpretationsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_interpretations(cx, m).await).await
    }

    async fn create_alert_rule(&self, request: Request<CreateAlertRuleRequest>) -> Result<Response<AlertRule>, Status> {
        unary(request, async |cx, m| self.0.create_alert_rule(cx, m).await).await
    }

    async fn get_alert_rule(&self, request: Request<GetAlertRuleRequest>) -> Result<Response<AlertRule>, Status> {
        unary(request, async |cx, m| self.0.get_alert_rule(cx, m).await).await
    }

    async fn list_alert_rules(
        &self,
        request: Request<ListAlertRulesRequest>,
    ) -> Result<Response<ListAlertRulesResponse>, Status> {
        unary(request, async |cx, m| self.0.list_alert_rules(cx, m).await).await
    }

    async fn update_alert_rule(&self, request: Request<UpdateAlertRuleRequest>) -> Result<Response<AlertRule>, Status> {
        unary(request, async |cx, m| self.0.update_alert_rule(cx, m).await).await
    }

    async fn delete_alert_rule(
        &self,
        request: Request<DeleteAlertRuleRequest>,
    ) -> Result<Response<DeleteAlertRuleResponse>, Status> {
        unary(request, async |cx, m| self.0.delete_alert_rule(cx, m).await).await
    }

    async fn evaluate_alerts(
        &self,
        request: Request<EvaluateAlertsRequest>,
    ) -> Result<Response<EvaluateAlertsResponse>, Status> {
        unary(request, async |cx, m| self.0.evaluate_alerts(cx, m).await).await
    }

    async fn get_alert(&self, request: Request<GetAlertRequest>) -> Result<Response<Alert>, Status> {
        unary(request, async |cx, m| self.0.get_alert(cx, m).await).await
    }

    async fn list_alerts(&self, request: Request<ListAlertsRequest>) -> Result<Response<ListAlertsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_alerts(cx, m).await).await
    }

    async fn acknowledge_alert(&self, request: Request<AcknowledgeAlertRequest>) -> Result<Response<Alert>, Status> {
        unary(request, async |cx, m| self.0.acknowledge_alert(cx, m).await).await
    }
}
