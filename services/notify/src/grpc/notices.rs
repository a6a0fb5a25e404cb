//! Inboxes.

use super::Api;
use remit_api::notify::v1::notice_service_server::NoticeService;
use remit_api::notify::v1::{
    AcknowledgeNoticeRequest, GetNoticeRequest, ListNoticesRequest, ListNoticesResponse, Notice, RenderCalendarRequest,
    RenderCalendarResponse,
};
use remit_runtime::unary;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl NoticeService for Api {
    async fn get_notice(&self, request: Request<GetNoticeRequest>) -> Result<Response<Notice>, Status> {
        unary(request, async |cx, m| self.0.get_notice(cx, m).await).await
    }

    async fn list_notices(
        &self,
        request: Request<ListNoticesRequest>,
    ) -> Result<Response<ListNoticesResponse>, Status> {
        unary(request, async |cx, m| self.0.list_notices(cx, m).await).await
    }

    async fn acknowledge_notice(&self, request: Request<AcknowledgeNoticeRequest>) -> Result<Response<Notice>, Status> {
        unary(request, async |cx, m| self.0.acknowledge_notice(cx, m).await).await
    }

    async fn render_calendar(
        &self,
        request: Request<RenderCalendarRequest>,
    ) -> Result<Response<RenderCalendarResponse>, Status> {
        unary(request, async |cx, m| self.0.render_calendar(cx, m).await).await
    }
}
