use super::{Answers, Api, answer, stream};
use remit_api::scoring::v1::policy_service_server::PolicyService;
use remit_api::scoring::v1::*;
use remit_runtime::accept;
use tonic::{Request, Response, Status, async_trait};

#[async_trait]
impl PolicyService for Api {
    async fn create_policy_version(
        &self,
        request: Request<CreatePolicyVersionRequest>,
    ) -> Result<Response<PolicyVersion>, Status> {
        let (cx, request) = accept(request)?;
        let call = cx.call(&request.request_id, &request, self.0.clock.as_ref());
        answer(self.0.create_policy_version(&call, request).await)
    }

    async fn get_policy_version(
        &self,
        request: Request<GetPolicyVersionRequest>,
    ) -> Result<Response<PolicyVersion>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.get_policy_version(&cx.tenant, &request.name).await)
    }

    async fn list_policy_versions(
        &self,
        request: Request<ListPolicyVersionsRequest>,
    ) -> Result<Response<ListPolicyVersionsResponse>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.list_policy_versions(&cx.tenant, &request).await)
    }

    async fn lint_policy(&self, request: Request<LintPolicyRequest>) -> Result<Response<LintReport>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.lint_policy(&cx.tenant, request.policy.unwrap_or_default()).await)
    }

    async fn diff_policies(
        &self,
        request: Request<DiffPoliciesRequest>,
    ) -> Result<Response<DiffPoliciesResponse>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.diff_policies(&cx.tenant, request).await)
    }

    type BacktestPolicyStream = Answers<BacktestPolicyResponse>;

    async fn backtest_policy(
        &self,
        request: Request<BacktestPolicyRequest>,
    ) -> Result<Response<Self::BacktestPolicyStream>, Status> {
        let (cx, request) = accept(request)?;
        let call = cx.call(&request.request_id, &request, self.0.clock.as_ref());
        let scoring = self.0.clone();
        Ok(stream(|progress| async move { scoring.backtest(&call, &request, &progress).await }))
    }

    async fn get_backtest(&self, request: Request<GetBacktestRequest>) -> Result<Response<Backtest>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.get_backtest(&cx.tenant, &request.name).await)
    }

    async fn list_backtests(
        &self,
        request: Request<ListBacktestsRequest>,
    ) -> Result<Response<ListBacktestsResponse>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.list_backtests(&cx.tenant, &request).await)
    }

    async fn activate_policy_version(
        &self,
        request: Request<ActivatePolicyVersionRequest>,
    ) -> Result<Response<PolicyVersion>, Status> {
        let (cx, request) = accept(request)?;
        let call = cx.call(&request.request_id, &request, self.0.clock.as_ref());
        answer(self.0.activate_policy_version(&call, &request).await)
    }
}
