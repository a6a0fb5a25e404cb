//! From a request to its use case and back, one file a gRPC service.

mod artifacts;
mod automations;
mod models;
mod outputs;

use crate::service::Service;
use remit_api::registry::v1::artifact_service_server::ArtifactServiceServer;
use remit_api::registry::v1::automation_service_server::AutomationServiceServer;
use remit_api::registry::v1::model_service_server::ModelServiceServer;
use remit_api::registry::v1::output_service_server::OutputServiceServer;
use remit_runtime::Routes;

/// Answers for the registry.
#[derive(Debug, Clone)]
struct Api(Service);

/// The gRPC services of the registry.
pub(crate) fn routes(service: Service) -> Routes {
    let api = Api(service);
    Routes::new(ModelServiceServer::new(api.clone()))
        .add_service(ArtifactServiceServer::new(api.clone()))
        .add_service(AutomationServiceServer::new(api.clone()))
        .add_service(OutputServiceServer::new(api))
}
