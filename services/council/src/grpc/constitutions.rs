//! The constitution.

use super::Api;
use remit_api::council::v1::constitution_service_server::ConstitutionService;
use remit_api::council::v1::{BootstrapRequest, Constitution, GetConstitutionRequest, RecoverConstitutionRequest};
use remit_runtime::unary;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl ConstitutionService for Api {
    async fn bootstrap(&self, request: Request<BootstrapRequest>) -> Result<Response<Constitution>, Status> {
        unary(request, async |cx, m| self.0.bootstrap(cx, m).await).await
    }

    async fn get_constitution(
        &self,
        request: Request<GetConstitutionRequest>,
    ) -> Result<Response<Constitution>, Status> {
        unary(request, async |cx, m| self.0.get_constitution(cx, m).await).await
    }

    async fn recover_constitution(
        &self,
        request: Request<RecoverConstitutionRequest>,
    ) -> Result<Response<Constitution>, Status> {
        unary(request, async |cx, m| self.0.recover_constitution(cx, m).await).await
    }
}
