//! Gate definitions over gRPC.

use crate::service::Service;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::gate_service_server::GateService as Api;
use remit_runtime::{accept, to_status};
use tonic::{Request, Response, Status};

/// Gate definitions over gRPC.
pub struct GatesGrpc(pub Service);

#[tonic::async_trait]
impl Api for GatesGrpc {
    async fn create_gate_version(
        &self,
        request: Request<pb::CreateGateVersionRequest>,
    ) -> Result<Response<pb::GateVersion>, Status> {
        let (cx, request) = accept(request)?;
        self.0.create_gate_version(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn update_gate_version(
        &self,
        request: Request<pb::UpdateGateVersionRequest>,
    ) -> Result<Response<pb::GateVersion>, Status> {
        let (cx, request) = accept(request)?;
        self.0.update_gate_version(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn activate_gate_version(
        &self,
        request: Request<pb::ActivateGateVersionRequest>,
    ) -> Result<Response<pb::GateVersion>, Status> {
        let (cx, request) = accept(request)?;
        self.0.activate_gate_version(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn check_gate_version(
        &self,
        request: Request<pb::CheckGateVersionRequest>,
    ) -> Result<Response<pb::CheckGateVersionResponse>, Status> {
        let (cx, request) = accept(request)?;
        self.0.check_gate_version(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn get_gate(&self, request: Request<pb::GetGateRequest>) -> Result<Response<pb::Gate>, Status> {
        let (cx, request) = accept(request)?;
        self.0.get_gate(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn list_gates(
        &self,
        request: Request<pb::ListGatesRequest>,
    ) -> Result<Response<pb::ListGatesResponse>, Status> {
        let (cx, request) = accept(request)?;
        self.0.list_gates(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn get_gate_version(
        &self,
        request: Request<pb::GetGateVersionRequest>,
    ) -> Result<Response<pb::GateVersion>, Status> {
        let (cx, request) = accept(request)?;
        self.0.get_gate_version(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn list_gate_versions(
        &self,
        request: Request<pb::ListGateVersionsRequest>,
    ) -> Result<Response<pb::ListGateVersionsResponse>, Status> {
        let (cx, request) = accept(request)?;
        self.0.list_gate_versions(&cx, request).await.map(Response::new).map_err(to_status)
    }
}
