//! The control library and attestations.

use super::Api;
use remit_api::council::v1::control_service_server::ControlService;
use remit_api::council::v1::{
    AssignControlRequest, Attestation, Control, CreateAttestationRequest, ListAttestationsRequest,
    ListAttestationsResponse, ListControlsRequest, ListControlsResponse,
};
use remit_runtime::unary;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl ControlService for Api {
    async fn list_controls(
        &self,
        request: Request<ListControlsRequest>,
    ) -> Result<Response<ListControlsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_controls(cx, m).await).await
    }

    async fn assign_control(&self, request: Request<AssignControlRequest>) -> Result<Response<Control>, Status> {
        unary(request, async |cx, m| self.0.assign_control(cx, m).await).await
    }

    async fn create_attestation(
        &self,
        request: Request<CreateAttestationRequest>,
    ) -> Result<Response<Attestation>, Status> {
        unary(request, async |cx, m| self.0.create_attestation(cx, m).await).await
    }

    async fn list_attestations(
        &self,
        request: Request<ListAttestationsRequest>,
    ) -> Result<Response<ListAttestationsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_attestations(cx, m).await).await
    }
}
