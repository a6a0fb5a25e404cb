//! Cross-functional automations.

use super::Api;
use remit_api::registry::v1::automation_service_server::AutomationService;
use remit_api::registry::v1::{
    ApproveAutomationRequest, Automation, CreateAutomationRequest, GetAutomationRequest, ListAutomationsRequest,
    ListAutomationsResponse, RetireAutomationRequest, SuspendAutomationRequest, UpdateAutomationRequest,
    WatchAutomationsRequest, WatchAutomationsResponse,
};
use remit_runtime::{Answers, answers, unary};
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl AutomationService for Api {
    async fn create_automation(
        &self,
        request: Request<CreateAutomationRequest>,
    ) -> Result<Response<Automation>, Status> {
        unary(request, async |cx, m| self.0.create_automation(cx, m).await).await
    }

    async fn get_automation(&self, request: Request<GetAutomationRequest>) -> Result<Response<Automation>, Status> {
        unary(request, async |cx, m| self.0.get_automation(cx, m).await).await
    }

    async fn list_automations(
        &self,
        request: Request<ListAutomationsRequest>,
    ) -> Result<Response<ListAutomationsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_automations(cx, m).await).await
    }

    async fn update_automation(
        &self,
        request: Request<UpdateAutomationRequest>,
    ) -> Result<Response<Automation>, Status> {
        unary(request, async |cx, m| self.0.update_automation(cx, m).await).await
    }

    async fn approve_automation(
        &self,
        request: Request<ApproveAutomationRequest>,
    ) -> Result<Response<Automation>, Status> {
        unary(request, async |cx, m| self.0.approve_automation(cx, m).await).await
    }

    async fn suspend_automation(
        &self,
        request: Request<SuspendAutomationRequest>,
    ) -> Result<Response<Automation>, Status> {
        unary(request, async |cx, m| self.0.suspend_automation(cx, m).await).await
    }

    async fn retire_automation(
        &self,
        request: Request<RetireAutomationRequest>,
    ) -> Result<Response<Automation>, Status> {
        unary(request, async |cx, m| self.0.retire_automation(cx, m).await).await
    }

    type WatchAutomationsStream = Answers<WatchAutomationsResponse>;

    async fn watch_automations(
        &self,
        request: Request<WatchAutomationsRequest>,
    ) -> Result<Response<Self::WatchAutomationsStream>, Status> {
        unary(request, async |cx, m| Ok(answers(self.0.watch_automations(cx, m)?))).await
    }
}
