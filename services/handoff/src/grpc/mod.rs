//! From the wire to the use cases.

mod calendars;
mod gates;
mod handoffs;
mod routings;

use crate::service::Service;
use remit_api::handoff::v1::calendar_service_server::CalendarServiceServer;
use remit_api::handoff::v1::gate_service_server::GateServiceServer;
use remit_api::handoff::v1::handoff_service_server::HandoffServiceServer;
use remit_api::handoff::v1::lead_routing_service_server::LeadRoutingServiceServer;
use remit_runtime::Routes;

/// The service over gRPC.
#[derive(Clone)]
struct Api(Service);

/// Everything that this service answers.
pub(crate) fn routes(service: Service) -> Routes {
    let api = Api(service);
    Routes::new(HandoffServiceServer::new(api.clone()))
        .add_service(GateServiceServer::new(api.clone()))
        .add_service(CalendarServiceServer::new(api.clone()))
        .add_service(LeadRoutingServiceServer::new(api))
}
