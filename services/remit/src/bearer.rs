//! The connection of somebody with a token.

use remit_core::{Error, Result};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// Adds a token to every call.
#[derive(Debug, Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

/// The connection of a generated client. One type for all of them, so that each method is compiled once.
pub(crate) type Wire = InterceptedService<Channel, Bearer>;

impl Bearer {
    /// # Errors
    /// `InvalidArgument` (`TOKEN_INVALID`).
    pub(crate) fn new(token: &str) -> Result<Self> {
        let value = format!("Bearer {}", token.trim()).parse::<MetadataValue<Ascii>>();
        let mut value =
            value.map_err(|_| Error::invalid("TOKEN_INVALID", "token", "has characters that no token has"))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// The connection with this token over `channel`.
    pub(crate) fn over(&self, channel: Channel) -> Wire {
        InterceptedService::new(channel, self.clone())
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}
