//! Incidents.

use super::Api;
use remit_api::council::v1::incident_service_server::IncidentService;
use remit_api::council::v1::{
    CloseIncidentRequest, CreateIncidentRequest, GetIncidentRequest, Incident, ListIncidentsRequest,
    ListIncidentsResponse, RecordSubmissionRequest, UpdateIncidentRequest,
};
use remit_runtime::unary;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl IncidentService for Api {
    async fn create_incident(&self, request: Request<CreateIncidentRequest>) -> Result<Response<Incident>, Status> {
        unary(request, async |cx, m| self.0.create_incident(cx, m).await).await
    }

    async fn get_incident(&self, request: Request<GetIncidentRequest>) -> Result<Response<Incident>, Status> {
        unary(request, async |cx, m| self.0.get_incident(cx, m).await).await
    }

    async fn list_incidents(
        &self,
        request: Request<ListIncidentsRequest>,
    ) -> Result<Response<ListIncidentsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_incidents(cx, m).await).await
    }

    async fn update_incident(&self, request: Request<UpdateIncidentRequest>) -> Result<Response<Incident>, Status> {
        unary(request, async |cx, m| self.0.update_incident(cx, m).await).await
    }

    async fn record_submission(&self, request: Request<RecordSubmissionRequest>) -> Result<Response<Incident>, Status> {
        unary(request, async |cx, m| self.0.record_submission(cx, m).await).await
    }

    async fn close_incident(&self, request: Request<CloseIncidentRequest>) -> Result<Response<Incident>, Status> {
        unary(request, async |cx, m| self.0.close_incident(cx, m).await).await
    }
}
