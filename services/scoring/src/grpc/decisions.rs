use super::Api;
use remit_api::scoring::v1::decision_service_server::DecisionService;
use remit_api::scoring::v1::*;
use remit_runtime::{Answers, unary};
use tonic::{Request, Response, Status, async_trait};

#[async_trait]
impl DecisionService for Api {
    async fn score_task(&self, request: Request<ScoreTaskRequest>) -> Result<Response<Evaluation>, Status> {
        unary(request, async |cx, m| self.0.score_task(cx, m).await).await
    }

    async fn decide_task(&self, request: Request<DecideTaskRequest>) -> Result<Response<Decision>, Status> {
        unary(request, async |cx, m| self.0.decide_task(cx, m).await).await
    }

    type BatchDecideStream = Answers<BatchDecideResponse>;

    async fn batch_decide(
        &self,
        request: Request<BatchDecideRequest>,
    ) -> Result<Response<Self::BatchDecideStream>, Status> {
        unary(request, async |cx, m| Ok(self.0.batch_decide(cx, m))).await
    }

    async fn get_decision(&self, request: Request<GetDecisionRequest>) -> Result<Response<Decision>, Status> {
        unary(request, async |cx, m| self.0.get_decision(cx, m).await).await
    }

    async fn list_decisions(
        &self,
        request: Request<ListDecisionsRequest>,
    ) -> Result<Response<ListDecisionsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_decisions(cx, m).await).await
    }

    async fn plan_automation(
        &self,
        request: Request<PlanAutomationRequest>,
    ) -> Result<Response<PlanAutomationResponse>, Status> {
        unary(request, async |cx, m| self.0.plan_automation(cx, m).await).await
    }

    type ExportPlanStream = Answers<ExportPlanResponse>;

    async fn export_plan(
        &self,
        request: Request<ExportPlanRequest>,
    ) -> Result<Response<Self::ExportPlanStream>, Status> {
        unary(request, async |cx, m| Ok(self.0.export_plan(cx, m))).await
    }

    async fn check_task(&self, request: Request<CheckTaskRequest>) -> Result<Response<CheckTaskResponse>, Status> {
        unary(request, async |cx, m| self.0.check_task(cx, m).await).await
    }

    async fn summarize_decisions(
        &self,
        request: Request<SummarizeDecisionsRequest>,
    ) -> Result<Response<SummarizeDecisionsResponse>, Status> {
        unary(request, async |cx, m| self.0.summarize_decisions(cx, m).await).await
    }
}
