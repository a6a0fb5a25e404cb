//! E-mail that came back.

use super::Api;
use remit_api::notify::v1::bounce_service_server::BounceService;
use remit_api::notify::v1::{ReportBounceRequest, ReportBounceResponse};
use remit_runtime::unary;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl BounceService for Api {
    async fn report_bounce(
        &self,
        request: Request<ReportBounceRequest>,
    ) -> Result<Response<ReportBounceResponse>, Status> {
        unary(request, async |cx, m| self.0.report_bounce(cx, m).await).await
    }
}
