//! The monthly reviews.

use super::Api;
use remit_api::council::v1::review_service_server::ReviewService;
use remit_api::council::v1::{
    DeclareRecusalRequest, DisposeFindingRequest, ExportReviewRequest, ExportReviewResponse, GetReviewRequest,
    ListReviewsRequest, ListReviewsResponse, OpenReviewRequest, RecordAttendanceRequest, RecordMinutesRequest,
    RefreshEvidenceRequest, Review, SealReviewRequest, SignReviewRequest,
};
use remit_runtime::unary;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl ReviewService for Api {
    async fn open_review(&self, request: Request<OpenReviewRequest>) -> Result<Response<Review>, Status> {
        unary(request, async |cx, m| self.0.open_review(cx, m).await).await
    }

    async fn get_review(&self, request: Request<GetReviewRequest>) -> Result<Response<Review>, Status> {
        unary(request, async |cx, m| self.0.get_review(cx, m).await).await
    }

    async fn list_reviews(
        &self,
        request: Request<ListReviewsRequest>,
    ) -> Result<Response<ListReviewsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_reviews(cx, m).await).await
    }

    async fn refresh_evidence(&self, request: Request<RefreshEvidenceRequest>) -> Result<Response<Review>, Status> {
        unary(request, async |cx, m| self.0.refresh_evidence(cx, m).await).await
    }

    async fn record_attendance(&self, request: Request<RecordAttendanceRequest>) -> Result<Response<Review>, Status> {
        unary(request, async |cx, m| self.0.record_attendance(cx, m).await).await
    }

    async fn declare_recusal(&self, request: Request<DeclareRecusalRequest>) -> Result<Response<Review>, Status> {
        unary(request, async |cx, m| self.0.declare_recusal(cx, m).await).await
    }

    async fn record_minutes(&self, request: Request<RecordMinutesRequest>) -> Result<Response<Review>, Status> {
        unary(request, async |cx, m| self.0.record_minutes(cx, m).await).await
    }

    async fn dispose_finding(&self, request: Request<DisposeFindingRequest>) -> Result<Response<Review>, Status> {
        unary(request, async |cx, m| self.0.dispose_finding(cx, m).await).await
    }

    async fn sign_review(&self, request: Request<SignReviewRequest>) -> Result<Response<Review>, Status> {
        unary(request, async |cx, m| self.0.sign_review(cx, m).await).await
    }

    async fn seal_review(&self, request: Request<SealReviewRequest>) -> Result<Response<Review>, Status> {
        unary(request, async |cx, m| self.0.seal_review(cx, m).await).await
    }

    async fn export_review(
        &self,
        request: Request<ExportReviewRequest>,
    ) -> Result<Response<ExportReviewResponse>, Status> {
        unary(request, async |cx, m| self.0.export_review(cx, m).await).await
    }
}
