//! Decodes calls, hands them to the use cases, encodes the answers. No rules, no SQL.

mod access;
mod action_items;
mod bodies;
mod constitutions;
mod controls;
mod holds;
mod incidents;
mod proposals;
mod reviews;
mod rollouts;
mod trainings;
mod waivers;

use crate::service::Service;
use remit_api::council::v1::access_service_server::AccessServiceServer;
use remit_api::council::v1::action_item_service_server::ActionItemServiceServer;
use remit_api::council::v1::body_service_server::BodyServiceServer;
use remit_api::council::v1::constitution_service_server::ConstitutionServiceServer;
use remit_api::council::v1::control_service_server::ControlServiceServer;
use remit_api::council::v1::hold_service_server::HoldServiceServer;
use remit_api::council::v1::incident_service_server::IncidentServiceServer;
use remit_api::council::v1::proposal_service_server::ProposalServiceServer;
use remit_api::council::v1::review_service_server::ReviewServiceServer;
use remit_api::council::v1::rollout_service_server::RolloutServiceServer;
use remit_api::council::v1::training_service_server::TrainingServiceServer;
use remit_api::council::v1::waiver_service_server::WaiverServiceServer;
use remit_runtime::Routes;

/// The council behind all its gRPC services.
#[derive(Clone)]
struct Api(Service);

/// All gRPC services of the council.
pub(crate) fn routes(service: Service) -> Routes {
    let api = Api(service);
    Routes::new(BodyServiceServer::new(api.clone()))
        .add_service(ConstitutionServiceServer::new(api.clone()))
        .add_service(ProposalServiceServer::new(api.clone()))
        .add_service(HoldServiceServer::new(api.clone()))
        .add_service(WaiverServiceServer::new(api.clone()))
        .add_service(IncidentServiceServer::new(api.clone()))
        .add_service(ActionItemServiceServer::new(api.clone()))
        .add_service(ControlServiceServer::new(api.clone()))
        .add_service(AccessServiceServer::new(api.clone()))
        .add_service(TrainingServiceServer::new(api.clone()))
        .add_service(RolloutServiceServer::new(api.clone()))
        .add_service(ReviewServiceServer::new(api))
}
