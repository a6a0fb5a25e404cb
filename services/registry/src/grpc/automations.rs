//! The gRPC service for cross-functional automations: decodes, calls the use case, encodes.

use crate::service::Registry;
use remit_api::registry::v1::automation_service_server::AutomationService;
use remit_api::registry::v1::{
    ApproveAutomationRequest, Automation, CreateAutomationRequest, GetAutomationRequest, ListAutomationsRequest,
    ListAutomationsResponse, RetireAutomationRequest, SuspendAutomationRequest, UpdateAutomationRequest,
};
use remit_runtime::{accept, to_status};
use tonic::{Request, Response, Status};

/// Answers for cross-functional automations.
#[derive(Debug, Clone)]
pub struct Automations(pub Registry);

#[tonic::async_trait]
impl AutomationService for Automations {
    async fn create_automation(
        &self,
        request: Request<CreateAutomationRequest>,
    ) -> Result<Response<Automation>, Status> {
        let (cx, req) = accept(request)?;
        self.0.create_automation(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn get_automation(&self, request: Request<GetAutomationRequest>) -> Result<Response<Automation>, Status> {
        let (cx, req) = accept(request)?;
        self.0.get_automation(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn list_automations(
        &self,
        request: Request<ListAutomationsRequest>,
    ) -> Result<Response<ListAutomationsResponse>, Status> {
        let (cx, req) = accept(request)?;
        self.0.list_automations(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn update_automation(
        &self,
        request: Request<UpdateAutomationRequest>,
    ) -> Result<Response<Automation>, Status> {
        let (cx, req) = accept(request)?;
        self.0.update_automation(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn approve_automation(
        &self,
        request: Request<ApproveAutomationRequest>,
    ) -> Result<Response<Automation>, Status> {
        let (cx, req) = accept(request)?;
        self.0.approve_automation(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn suspend_automation(
        &self,
        request: Request<SuspendAutomationRequest>,
    ) -> Result<Response<Automation>, Status> {
        let (cx, req) = accept(request)?;
        self.0.suspend_automation(&cx, req).await.map(Response::new).map_err(to_status)
    }

    async fn retire_automation(
        &self,
        request: Request<RetireAutomationRequest>,
    ) -> Result<Response<Automation>, Status> {
        let (cx, req) = accept(request)?;
        self.0.retire_automation(&cx, req).await.map(Response::new).map_err(to_status)
    }
}
