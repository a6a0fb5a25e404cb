//! Business calendars over gRPC.

use crate::service::Service;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::calendar_service_server::CalendarService as Api;
use remit_runtime::{accept, to_status};
use tonic::{Request, Response, Status};

/// Business calendars over gRPC.
pub struct CalendarsGrpc(pub Service);

#[tonic::async_trait]
impl Api for CalendarsGrpc {
    async fn create_calendar(
        &self,
        request: Request<pb::CreateCalendarRequest>,
    ) -> Result<Response<pb::Calendar>, Status> {
        let (cx, request) = accept(request)?;
        self.0.create_calendar(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn get_calendar(&self, request: Request<pb::GetCalendarRequest>) -> Result<Response<pb::Calendar>, Status> {
        let (cx, request) = accept(request)?;
        self.0.get_calendar(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn list_calendars(
        &self,
        request: Request<pb::ListCalendarsRequest>,
    ) -> Result<Response<pb::ListCalendarsResponse>, Status> {
        let (cx, request) = accept(request)?;
        self.0.list_calendars(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn update_calendar(
        &self,
        request: Request<pb::UpdateCalendarRequest>,
    ) -> Result<Response<pb::Calendar>, Status> {
        let (cx, request) = accept(request)?;
        self.0.update_calendar(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn query_deadline(
        &self,
        request: Request<pb::QueryDeadlineRequest>,
    ) -> Result<Response<pb::QueryDeadlineResponse>, Status> {
        let (cx, request) = accept(request)?;
        self.0.query_deadline(&cx, request).await.map(Response::new).map_err(to_status)
    }
}
