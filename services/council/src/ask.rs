//! The way to the other services, in the council's name.

use remit_core::Tenant;
use remit_runtime::{Channel, Peers};

/// The name of this service.
pub(crate) const NAME: &str = "council";

/// Makes requests about one tenant.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    peers: &'a Peers,
    tenant: &'a Tenant,
}

impl<'a> Ask<'a> {
    pub(crate) fn new(peers: &'a Peers, tenant: &'a Tenant) -> Self {
        Self { peers, tenant }
    }

    /// The way to another service.
    pub(crate) fn channel(self, service: &str) -> Channel {
        self.peers.channel(service)
    }

    /// A request of the council.
    pub(crate) fn of<T>(self, message: T) -> tonic::Request<T> {
        self.peers.request(NAME, self.tenant, message)
    }
}
