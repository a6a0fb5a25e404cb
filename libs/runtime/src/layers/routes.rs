//! Which gRPC service of this process a call is for.
//!
//! In place of `tonic::service::Routes`, whose router copies the service into a box of its own for every call, and boxes
//! its future and its bodies once more: beside a check that was a tenth of the work.

use futures::future::BoxFuture;
use http::{Request, Response};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// gRPC services by their full names, such as `remit.audit.v1.AuditService`.
#[derive(Clone, Default)]
pub struct Routes(HashMap<&'static str, Arc<dyn Route>>);

/// A service as tonic generates them: a copy of it shares what it works with.
pub trait Route: Send + Sync {
    /// Hands it a call.
    fn call(&self, request: Request<Body>) -> Answer;
}

impl<S> Route for S
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer>
        + Clone
        + Send
        + Sync
        + 'static,
{
    fn call(&self, request: Request<Body>) -> Answer {
        // Ready at any time, as all that is generated.
        Service::call(&mut self.clone(), request)
    }
}

impl Routes {
    /// One service.
    pub fn new(service: impl Route + NamedService + 'static) -> Self {
        Self::default().add_service(service)
    }

    /// The same and one more.
    #[must_use]
    pub fn add_service<S: Route + NamedService + 'static>(mut self, service: S) -> Self {
        self.0.insert(S::NAME, Arc::new(service));
        self
    }

    /// The same and all of `others`.
    #[must_use]
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Hands a call to the service that its path names.
    pub(super) async fn call(&self, request: Request<Body>) -> Response<Body> {
        let service = request.uri().path().get(1..).and_then(|path| path.split_once('/')).map(|(service, _)| service);
        let Some(route) = service.and_then(|service| self.0.get(service)) else {
            return Status::unimplemented("no such service").into_http();
        };
        match route.call(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }
}
