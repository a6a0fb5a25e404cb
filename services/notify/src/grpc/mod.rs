//! Decodes calls, hands them to the use cases, encodes the answers. No rules, no SQL.

mod bounces;
mod notices;
mod settings;
mod subscriptions;

use crate::service::Service;
use remit_api::notify::v1::bounce_service_server::BounceServiceServer;
use remit_api::notify::v1::notice_service_server::NoticeServiceServer;
use remit_api::notify::v1::settings_service_server::SettingsServiceServer;
use remit_api::notify::v1::subscription_service_server::SubscriptionServiceServer;
use remit_runtime::Routes;

/// The service behind its gRPC services.
#[derive(Clone)]
struct Api(Service);

/// All gRPC services of notify.
pub(crate) fn routes(service: Service) -> Routes {
    let api = Api(service);
    Routes::new(SubscriptionServiceServer::new(api.clone()))
        .add_service(SettingsServiceServer::new(api.clone()))
        .add_service(BounceServiceServer::new(api.clone()))
        .add_service(NoticeServiceServer::new(api))
}
