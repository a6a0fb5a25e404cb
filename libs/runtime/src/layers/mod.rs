//! The one layer stack that every call passes, over the network and within the process: trace, metrics,
//! panics, identity and permission, limits, deadline, and the end of a token.

mod body;
mod book;
mod deadline;
mod door;
mod explain;
mod frames;
mod held;
pub mod http_auth;
mod limits;
pub(crate) mod metrics;
mod rate;
mod request;
mod routes;
#[cfg(test)]
mod socket_tests;
mod strangers;
#[cfg(test)]
mod tests;

use crate::auth::{Identity, Method, Methods, Priority};
use crate::config::Config;
use crate::context::{SCOPE, Scope, Trace};
use crate::cx::Caller;
use crate::refusals::Refusals;
use crate::status::{foreign, to_status};
use body::{Finish, Guarded};
pub(crate) use deadline::exceeded as deadline_exceeded;
pub(crate) use door::Door;
use door::Way;
use explain::{compressed, explain, unknown_method};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response};
use limits::Sort;
use metrics::CallMetrics;
use remit_core::authority::is_of_authority;
use remit_core::{Error, Kind, Result};
use request::Asked;
pub use routes::Routes;
use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;
use tracing::Instrument as _;

/// The gRPC services that answer without a token: what orchestrators and tools ask first.
const OPEN: [&str; 3] =
    ["/grpc.health.v1.Health/", "/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/"];

/// The most bytes of a message to those.
const OPEN_BYTES: usize = 64 * 1024;

/// How long the message of a call that asks or stops may take to come: what is kept for such calls is not for waiting.
const URGENT: Duration = Duration::from_secs(2);

/// Tells open streams that they must end.
#[derive(Debug, Clone, Default)]
pub struct Ended(CancellationToken);

impl Ended {
    /// Ends every stream with `UNAVAILABLE`, `SHUTTING_DOWN`.
    pub fn end_streams(&self) {
        self.0.cancel();
    }

    fn wait(&self) -> BoxFuture<'static, ()> {
        self.0.clone().cancelled_owned().boxed()
    }
}

/// What the stack needs to know.
struct Shared {
    methods: Arc<Methods>,
    metrics: CallMetrics,
    bounds: deadline::Bounds,
    body_timeout: Duration,
    door: Arc<Door>,
    ended: Ended,
    refusals: Refusals,
    routes: Routes,
}

/// The services of this process behind their layers.
#[derive(Clone)]
pub struct Stack(Arc<Shared>);

impl Stack {
    /// Puts the layers behind `door` around `routes`; `refusals` records whom they refuse.
    pub(crate) fn new(
        config: &Config,
        methods: Arc<Methods>,
        door: Arc<Door>,
        ended: Ended,
        refusals: Refusals,
        routes: Routes,
    ) -> Self {
        Self(Arc::new(Shared {
            methods,
            metrics: CallMetrics::new(&opentelemetry::global::meter("remit")),
            bounds: deadline::Bounds::new(&config.server),
            body_timeout: config.server.body_timeout.get(),
            door,
            ended,
            refusals,
            routes,
        }))
    }
}

impl Service<Request<Body>> for Stack {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move { Ok(shared.handle(request).await) })
    }
}

impl Shared {
    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let parent = request.headers().get("traceparent").and_then(|value| value.to_str().ok()).and_then(Trace::parse);
        let method = self.methods.get(request.uri().path());
        let streaming = method.is_none_or(|method| method.streaming);
        let name = method.map_or("_OTHER", |method| method.name);
        let (span, trace) = crate::telemetry::call_span(name, parent);
        let scope = Scope { trace, deadline: self.bounds.of(request.headers(), streaming) };
        self.metrics.begin();
        let mut finish = Finish {
            metrics: self.metrics.clone(),
            method: name,
            began: Instant::now(),
            span: span.clone(),
            ticket: None,
            opened: None,
            over: None,
            done: false,
        };
        let work = SCOPE.scope(scope, self.admit(request, method, scope, &mut finish)).instrument(span);
        let (answer, statements) = remit_store::counted(work).await;
        if let Some(method) = method {
            crate::statements::record(method.name, statements);
        }
        let (mut parts, body) = answer
            .unwrap_or_else(|error| {
                let status = SCOPE.sync_scope(scope, || to_status(error));
                status.into_http::<Body>()
            })
            .into_parts();
        if let Ok(mut id) = HeaderValue::from_str(&trace.id()) {
            // Another one in every answer: not for the table of headers that both ends keep.
            id.set_sensitive(true);
            parts.headers.insert("x-trace-id", id);
        }
        if parts.headers.contains_key("grpc-status") {
            parts.headers = explain(parts.headers, &scope);
            let code = parts.headers.get("grpc-status").map_or(Code::Unknown, |code| Code::from_bytes(code.as_bytes()));
            finish.end(code);
            return Response::from_parts(parts, body);
        }
        Response::from_parts(parts, Body::new(Guarded::new(body, scope, streaming, &self.ended, finish)))
    }

    async fn admit(
        &self,
        request: Request<Body>,
        method: Option<&Method>,
        scope: Scope,
        finish: &mut Finish,
    ) -> Result<Response<Body>> {
        let (mut parts, body) = request.into_parts();
        deadline::check(&parts.headers)?;
        let way = Way::of(&parts.extensions);
        let path = parts.uri.path();
        let single = method.map_or(path.starts_with(OPEN[0]), |method| !method.client_streaming);
        let urgent = method
            .is_some_and(|method| !method.streaming && matches!(method.priority, Priority::Check | Priority::Stop));
        let patience = if urgent { self.body_timeout.min(URGENT) } else { self.body_timeout };
        let most = method.map_or(OPEN_BYTES, |method| method.most_bytes);
        let mut asked = Asked::new(body, single, most, patience);
        let compressed = compressed(&parts.headers, &scope);
        let mut caller = None;
        if OPEN.iter().any(|open| path.starts_with(open)) {
            finish.opened = self.door.open(&way)?;
        } else {
            let peer = way.peer();
            let admitted = self.door.verify(&parts.headers, &way, scope.deadline).await;
            let admitted = admitted.inspect_err(|error| self.refusals.unknown(peer, method, error))?;
            let verified = admitted.verified.clone();
            let Some(method) = method else { return Ok(unknown_method(path, &scope)) };
            asked.count(self.door.account(&verified.1));
            if method.streaming {
                finish.over = Some(admitted.over().boxed());
            } else {
                asked.end_with(admitted);
            }
            if urgent && compressed.is_none() {
                self.arrive(&mut asked, &verified.1, scope.deadline).await?;
            }
            // Also of what is refused there is only so much.
            let sort = if method.streaming { Sort::Stream } else { Sort::Call };
            let mut ticket = self.door.admit(&verified.1, method.priority, sort, method.name)?;
            if let Err(error) = method.authorize(&verified.1.actor) {
                self.refusals.note(&verified.1, method, peer, &error);
                return Err(error);
            }
            deadline::within(scope.deadline, ticket.turn()).await?;
            finish.ticket = Some(ticket);
            let noted = !method.read && is_of_authority(method.permission);
            let identity = &verified.1;
            parts.extensions.insert(Caller {
                tenant: identity.tenant.clone(),
                actor: identity.actor.clone(),
                service: identity.service,
                method: method.permission,
                email: identity.email.clone(),
                address: peer.map(|peer| peer.0),
                recorder: if method.recorded { self.refusals.recorder(method) } else { None },
            });
            caller = noted.then_some((verified, method, peer));
        }
        if let Some(answer) = compressed {
            return Ok(answer);
        }
        let request = Request::from_parts(parts, Body::new(asked));
        let streaming = method.is_none_or(|method| method.streaming);
        let work = async {
            let (answer, noted) = remit_store::noting(self.routes.call(request)).await;
            // What a service refuses in a mutation it records with the rest. Of acts of authority this is for what it
            // refuses before; what else it refuses before, it may have its reasons to leave out of the log.
            if let (Some((verified, method, peer)), false) = (&caller, noted)
                && let Some(error) = attempt(answer.headers())
            {
                self.refusals.note(&verified.1, method, *peer, &error);
            }
            answer
        };
        let work = AssertUnwindSafe(work).catch_unwind();
        let ending = async { if streaming { self.ended.wait().await } else { std::future::pending().await } };
        let late = async {
            match scope.deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let waiting = finish.over.as_mut();
        let over = async {
            match waiting {
                Some(over) => over.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // An answer that is ready beats a deadline that has just passed.
            biased;
            done = work => match done {
                Ok(response) => Ok(response),
                Err(panic) => Err(panicked(finish.method, panic.as_ref())),
            },
            error = over => Err(error),
            () = late => Err(deadline::exceeded()),
            () = ending => Err(shutting_down()),
        }
    }

    /// Waits for the message of a call that asks or stops, before it takes a place.
    async fn arrive(&self, asked: &mut Asked, who: &Identity, deadline: Option<Instant>) -> Result<()> {
        let mut arrival = std::pin::pin!(asked.arrive());
        // Mostly it came with the call.
        if let Some(arrived) = arrival.as_mut().now_or_never() {
            return arrived;
        }
        let _counted = self.door.arrive(who)?;
        deadline::within(deadline, arrival).await?
    }
}

/// The refusal that an answer is, if it is one of somebody who may not, or of what is not to be done now.
fn attempt(headers: &HeaderMap) -> Option<Error> {
    headers.get("grpc-status")?;
    let refused = |status: &Status| matches!(status.code(), Code::PermissionDenied | Code::FailedPrecondition);
    Status::from_header_map(headers).filter(refused).map(foreign)
}

fn shutting_down() -> Error {
    Error::new(Kind::Unavailable, "SHUTTING_DOWN", "the server is shutting down: resume on another connection")
        .with_retry_after(Duration::from_millis(200))
}

fn panicked(method: &str, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::internal(format!("{method} panicked: {}", text.unwrap_or("no text")))
}
