//! The way from the wire to the use cases and back, one file a service of the contract.

mod decisions;
mod functions;
mod policies;
mod tasks;

use crate::service::Service;
use remit_api::scoring::v1::decision_service_server::DecisionServiceServer;
use remit_api::scoring::v1::function_service_server::FunctionServiceServer;
use remit_api::scoring::v1::policy_service_server::PolicyServiceServer;
use remit_api::scoring::v1::task_service_server::TaskServiceServer;
use remit_runtime::Routes;

#[derive(Clone)]
struct Api(Service);

pub(crate) fn routes(service: Service) -> Routes {
    let api = Api(service);
    Routes::new(PolicyServiceServer::new(api.clone()))
        .add_service(TaskServiceServer::new(api.clone()))
        .add_service(FunctionServiceServer::new(api.clone()))
        .add_service(DecisionServiceServer::new(api))
}
