//! Gate definitions over gRPC.

use super::Api;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::gate_service_server::GateService;
use remit_runtime::unary;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl GateService for Api {
    async fn create_gate_version(
        &self,
        request: Request<pb::CreateGateVersionRequest>,
    ) -> Result<Response<pb::GateVersion>, Status> {
        unary(request, async |cx, m| self.0.create_gate_version(cx, m).await).await
    }

    async fn update_gate_version(
        &self,
        request: Request<pb::UpdateGateVersionRequest>,
    ) -> Result<Response<pb::GateVersion>, Status> {
        unary(request, async |cx, m| self.0.update_gate_version(cx, m).await).await
    }

    async fn activate_gate_version(
        &self,
        request: Request<pb::ActivateGateVersionRequest>,
    ) -> Result<Response<pb::GateVersion>, Status> {
        unary(request, async |cx, m| self.0.activate_gate_version(cx, m).await).await
    }

    async fn check_gate_version(
        &self,
        request: Request<pb::CheckGateVersionRequest>,
    ) -> Result<Response<pb::CheckGateVersionResponse>, Status> {
        unary(request, async |cx, m| self.0.check_gate_version(cx, m).await).await
    }

    async fn get_gate(&self, request: Request<pb::GetGateRequest>) -> Result<Response<pb::Gate>, Status> {
        unary(request, async |cx, m| self.0.get_gate(cx, m).await).await
    }

    async fn list_gates(
        &self,
        request: Request<pb::ListGatesRequest>,
    ) -> Result<Response<pb::ListGatesResponse>, Status> {
        unary(request, async |cx, m| self.0.list_gates(cx, m).await).await
    }

    async fn get_gate_version(
        &self,
        request: Request<pb::GetGateVersionRequest>,
    ) -> Result<Response<pb::GateVersion>, Status> {
        unary(request, async |cx, m| self.0.get_gate_version(cx, m).await).await
    }

    async fn list_gate_versions(
        &self,
        request: Request<pb::ListGateVersionsRequest>,
    ) -> Result<Response<pb::ListGateVersionsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_gate_versions(cx, m).await).await
    }
}
