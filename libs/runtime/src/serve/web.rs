//! What a request on the port is: gRPC, gRPC-Web, or plain HTTP; and who may ask from a browser.

use crate::context::{Peer, Standing};
use crate::layers::Stack;
use futures::future::BoxFuture;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, Service as _};

type Web = <GrpcWebLayer as tower::Layer<Stack>>::Service;

/// What browsers may read of a gRPC-Web answer besides its body.
const EXPOSED: &str = "grpc-status,grpc-message,grpc-status-details-bin,x-trace-id";
const ALLOWED: &str = "authorization,content-type,x-grpc-web,x-user-agent,grpc-timeout,traceparent,tracestate";

/// The service of every connection.
#[derive(Clone)]
pub(crate) struct Dispatch {
    grpc: Stack,
    web: Web,
    http: axum::Router,
    origins: Arc<[HeaderValue]>,
    way: Option<(Peer, Standing)>,
}

impl Dispatch {
    pub(crate) fn new(stack: Stack, http: axum::Router, origins: &[String]) -> Self {
        let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
        Self { web: GrpcWebLayer::new().layer(stack.clone()), grpc: stack, http, origins, way: None }
    }

    /// The same for a connection from `peer`, which has `standing`.
    pub(crate) fn from(&self, peer: SocketAddr, standing: Standing) -> Self {
        Self { way: Some((Peer(peer), standing)), ..self.clone() }
    }

    async fn handle(mut self, request: Request<Incoming>) -> Response<Body> {
        let kind = kind(&request);
        let origin = request.headers().get(header::ORIGIN).filter(|origin| self.origins.contains(origin)).cloned();
        let answer = if kind == Kind::GrpcWeb {
            infallible(self.web.call(request).await)
        } else if kind == Kind::Grpc {
            infallible(self.grpc.call(request.map(Body::new)).await)
        } else if request.method() == Method::OPTIONS && origin.is_some() {
            preflight()
        } else {
            let answer = infallible(self.http.call(request.map(axum::body::Body::new)).await);
            answer.map(Body::new)
        };
        match origin {
            Some(origin) => allow(answer, origin),
            None => answer,
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Dispatch {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if let Some((peer, standing)) = &self.way {
            standing.called();
            request.extensions_mut().insert(*peer);
            request.extensions_mut().insert(standing.clone());
        }
        // What nearly every call is passes nothing that is for browsers.
        if kind(&request) == Kind::Grpc && !request.headers().contains_key(header::ORIGIN) {
            return self.grpc.clone().call(request.map(Body::new));
        }
        let this = self.clone();
        Box::pin(async move { Ok(this.handle(request).await) })
    }
}

/// What a request is by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Grpc,
    GrpcWeb,
    Http,
}

fn kind<B>(request: &Request<B>) -> Kind {
    let kind = request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if kind.starts_with(b"application/grpc-web") {
        Kind::GrpcWeb
    } else if kind.starts_with(b"application/grpc") {
        Kind::Grpc
    } else {
        Kind::Http
    }
}

fn infallible<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let mut set =
        |name: HeaderName, value: &'static str| response.headers_mut().insert(name, HeaderValue::from_static(value));
    set(header::ACCESS_CONTROL_ALLOW_METHODS, "GET,POST");
    set(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED);
    set(header::ACCESS_CONTROL_MAX_AGE, "3600");
    response
}

fn allow(mut response: Response<Body>, origin: HeaderValue) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    response
}
