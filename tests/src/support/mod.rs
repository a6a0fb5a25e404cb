//! What the tests share: suites in three topologies, actors with tokens, and a record of every call.

mod authority;
mod cluster;
mod council;
mod mail;
mod mandates;
mod recorder;
mod site;
mod suite;

pub use authority::Authority;
pub use cluster::{Process, binary, free_port};
pub use council::{founding, new_seat};
pub use mail::Mail;
pub use recorder::{Link, is_read, permission};
pub use site::Site;
pub use suite::{Suite, Topology, witness, witnesses};

use remit_core::Timestamp;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

/// The connection of one actor to one service.
pub type Connection = InterceptedService<Link, Bearer>;

/// Adds a token to every call.
#[derive(Debug, Clone)]
pub struct Bearer(pub MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Somebody with a token.
#[derive(Clone)]
pub struct Caller {
    pub(super) suite: Suite,
    pub(super) bearer: Bearer,
}

impl Caller {
    /// The connection to `service`, for a generated client: `TaskServiceClient::new(ada.to("scoring"))`.
    pub fn to(&self, service: &str) -> Connection {
        InterceptedService::new(self.suite.link(service), self.bearer.clone())
    }
}

/// The stable reason of a refusal, empty if it has none.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// A time as protobuf writes it.
pub fn stamp(at: Timestamp) -> prost_types::Timestamp {
    remit_api::wire::time::stamp(at)
}

/// Waits until `probe` says yes, for at most 20 seconds of bounded polling; panics with `what` otherwise.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut probe: impl FnMut() -> F) {
    for _ in 0..400 {
        if probe().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{what}: not after twenty seconds");
}
