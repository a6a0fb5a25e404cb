use super::Api;
use remit_api::scoring::v1::policy_service_server::PolicyService;
use remit_api::scoring::v1::*;
use remit_runtime::{Answers, unary};
use tonic::{Request, Response, Status, async_trait};

#[async_trait]
impl PolicyService for Api {
    async fn create_policy_version(
        &self,
        request: Request<CreatePolicyVersionRequest>,
    ) -> Result<Response<PolicyVersion>, Status> {
        unary(request, async |cx, m| self.0.create_policy_version(cx, m).await).await
    }

    async fn get_policy_version(
        &self,
        request: Request<GetPolicyVersionRequest>,
    ) -> Result<Response<PolicyVersion>, Status> {
        unary(request, async |cx, m| self.0.get_policy_version(cx, m).await).await
    }

    async fn list_policy_versions(
        &self,
        request: Request<ListPolicyVersionsRequest>,
    ) -> Result<Response<ListPolicyVersionsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_policy_versions(cx, m).await).await
    }

    async fn lint_policy(&self, request: Request<LintPolicyRequest>) -> Result<Response<LintReport>, Status> {
        unary(request, async |cx, m| self.0.lint_policy(cx, m).await).await
    }

    async fn diff_policies(
        &self,
        request: Request<DiffPoliciesRequest>,
    ) -> Result<Response<DiffPoliciesResponse>, Status> {
        unary(request, async |cx, m| self.0.diff_policies(cx, m).await).await
    }

    type BacktestPolicyStream = Answers<BacktestPolicyResponse>;

    async fn backtest_policy(
        &self,
        request: Request<BacktestPolicyRequest>,
    ) -> Result<Response<Self::BacktestPolicyStream>, Status> {
        unary(request, async |cx, m| Ok(self.0.backtest_policy(cx, m))).await
    }

    async fn get_backtest(&self, request: Request<GetBacktestRequest>) -> Result<Response<Backtest>, Status> {
        unary(request, async |cx, m| self.0.get_backtest(cx, m).await).await
    }

    async fn list_backtests(
        &self,
        request: Request<ListBacktestsRequest>,
    ) -> Result<Response<ListBacktestsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_backtests(cx, m).await).await
    }

    async fn activate_policy_version(
        &self,
        request: Request<ActivatePolicyVersionRequest>,
    ) -> Result<Response<PolicyVersion>, Status> {
        unary(request, async |cx, m| self.0.activate_policy_version(cx, m).await).await
    }
}
