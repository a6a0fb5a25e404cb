use super::{Answers, Api, answer, stream};
use remit_api::scoring::v1::decision_service_server::DecisionService;
use remit_api::scoring::v1::*;
use remit_runtime::accept;
use tonic::{Request, Response, Status, async_trait};

#[async_trait]
impl DecisionService for Api {
    async fn score_task(&self, request: Request<ScoreTaskRequest>) -> Result<Response<Evaluation>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.score_task(&cx.tenant, request).await)
    }

    async fn decide_task(&self, request: Request<DecideTaskRequest>) -> Result<Response<Decision>, Status> {
        let (cx, request) = accept(request)?;
        let call = cx.call(&request.request_id, &request, self.0.clock.as_ref());
        answer(self.0.decide_task(&call, &request.name).await)
    }

    type BatchDecideStream = Answers<BatchDecideResponse>;

    async fn batch_decide(
        &self,
        request: Request<BatchDecideRequest>,
    ) -> Result<Response<Self::BatchDecideStream>, Status> {
        let (cx, request) = accept(request)?;
        let call = cx.call("", &request, self.0.clock.as_ref());
        let scoring = self.0.clone();
        Ok(stream(|progress| async move { scoring.batch_decide(&call, &request, &progress).await }))
    }

    async fn get_decision(&self, request: Request<GetDecisionRequest>) -> Result<Response<Decision>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.get_decision(&cx.tenant, &request.name).await)
    }

    async fn list_decisions(
        &self,
        request: Request<ListDecisionsRequest>,
    ) -> Result<Response<ListDecisionsResponse>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.list_decisions(&cx.tenant, &request).await)
    }

    async fn plan_automation(
        &self,
        request: Request<PlanAutomationRequest>,
    ) -> Result<Response<PlanAutomationResponse>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.plan(&cx.tenant, &request).await)
    }

    type ExportPlanStream = Answers<ExportPlanResponse>;

    async fn export_plan(
        &self,
        request: Request<ExportPlanRequest>,
    ) -> Result<Response<Self::ExportPlanStream>, Status> {
        let (cx, request) = accept(request)?;
        let scoring = self.0.clone();
        Ok(stream(|pieces| async move { scoring.export_plan(&cx.tenant, &request, &pieces).await }))
    }

    async fn check_task(&self, request: Request<CheckTaskRequest>) -> Result<Response<CheckTaskResponse>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.check_task(&cx.tenant, &cx.actor, &cx.trace_id, request).await)
    }

    async fn summarize_decisions(
        &self,
        request: Request<SummarizeDecisionsRequest>,
    ) -> Result<Response<SummarizeDecisionsResponse>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.summarize_decisions(&cx.tenant, request.time_range).await)
    }
}
