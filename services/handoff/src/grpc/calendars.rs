//! Business calendars over gRPC.

use super::Api;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::calendar_service_server::CalendarService;
use remit_runtime::unary;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl CalendarService for Api {
    async fn create_calendar(
        &self,
        request: Request<pb::CreateCalendarRequest>,
    ) -> Result<Response<pb::Calendar>, Status> {
        unary(request, async |cx, m| self.0.create_calendar(cx, m).await).await
    }

    async fn get_calendar(&self, request: Request<pb::GetCalendarRequest>) -> Result<Response<pb::Calendar>, Status> {
        unary(request, async |cx, m| self.0.get_calendar(cx, m).await).await
    }

    async fn list_calendars(
        &self,
        request: Request<pb::ListCalendarsRequest>,
    ) -> Result<Response<pb::ListCalendarsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_calendars(cx, m).await).await
    }

    async fn update_calendar(
        &self,
        request: Request<pb::UpdateCalendarRequest>,
    ) -> Result<Response<pb::Calendar>, Status> {
        unary(request, async |cx, m| self.0.update_calendar(cx, m).await).await
    }

    async fn query_deadline(
        &self,
        request: Request<pb::QueryDeadlineRequest>,
    ) -> Result<Response<pb::QueryDeadlineResponse>, Status> {
        unary(request, async |cx, m| self.0.query_deadline(cx, m).await).await
    }
}
