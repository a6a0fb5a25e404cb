//! A connection that writes down every mutation that passes, so that what must hold for all of them is
//! checked for all of them: a repeat gives the first answer, and each leaves one audit entry.

use crate::contract::paths::astray;
use futures::future::BoxFuture;
use http_body_util::{BodyExt as _, StreamBody};
use prost_reflect::prost::Message as _;
use prost_reflect::prost::bytes::{BufMut as _, Bytes, BytesMut};
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Service, ServiceExt as _};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One mutation that succeeded.
#[derive(Debug, Clone)]
pub struct Call {
    pub path: String,
    pub authorization: String,
    pub request_id: String,
    pub request: Bytes,
    pub response: Bytes,
}

/// What passed through the connections of one suite.
#[derive(Debug, Default)]
pub struct Recorder {
    /// Successful unary mutations that carry a request id, since the last [`Recorder::take`].
    calls: Mutex<Vec<Call>>,
    /// Every method that succeeded at least once, since the last [`Recorder::clear`].
    succeeded: Mutex<BTreeSet<String>>,
    /// Fields in refusals that their requests do not have.
    strays: Mutex<Vec<String>>,
    next_id: AtomicU64,
}

impl Recorder {
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// What was refused since the last time by a field that its request does not have.
    pub fn strays(&self) -> Vec<String> {
        std::mem::take(&mut self.strays.lock().unwrap())
    }

    pub fn succeeded(&self) -> BTreeSet<String> {
        self.succeeded.lock().unwrap().clone()
    }

    /// Forgets what passed so far.
    pub fn clear(&self) {
        self.calls.lock().unwrap().clear();
        self.succeeded.lock().unwrap().clear();
        self.strays.lock().unwrap().clear();
    }
}

/// A recorded connection to one service.
#[derive(Clone)]
pub struct Link {
    pub channel: Channel,
    pub recorder: Arc<Recorder>,
}

impl Service<http::Request<Body>> for Link {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let link = self.clone();
        Box::pin(async move { link.pass(request).await })
    }
}

impl Link {
    async fn pass(self, request: http::Request<Body>) -> Result<http::Response<Body>, BoxError> {
        let path = request.uri().path().to_owned();
        let method = method(&path).ok_or_else(|| format!("{path} is not a method"))?;
        if method.is_client_streaming() || method.is_server_streaming() {
            let response = self.channel.oneshot(request).await?;
            if !response.headers().contains_key("grpc-status") {
                self.recorder.succeeded.lock().unwrap().insert(path);
            }
            return Ok(response);
        }
        let (mut parts, body) = request.into_parts();
        let (message, request_id) = self.with_request_id(&method, &body.collect().await?.to_bytes())?;
        parts.headers.remove(http::header::CONTENT_LENGTH);
        let authorization = header(&parts.headers, "authorization");
        let body = Body::new(http_body_util::Full::new(frame(&message)).map_err(|never| match never {}));
        let response = self.channel.clone().oneshot(http::Request::from_parts(parts, body)).await?;
        let (parts, body) = response.into_parts();
        let collected = body.collect().await.map_err(|status| Box::new(status) as BoxError)?;
        let trailers = collected.trailers().cloned();
        let bytes = collected.to_bytes();
        if let Some(status) = tonic::Status::from_header_map(trailers.as_ref().unwrap_or(&parts.headers)) {
            self.recorder.strays.lock().unwrap().extend(astray(&method, &status));
        }
        let ok = trailers.as_ref().is_some_and(|trailers| header(trailers, "grpc-status") == "0");
        if ok {
            self.recorder.succeeded.lock().unwrap().insert(path.clone());
            if !is_read(&method) && !request_id.is_empty() {
                let response = bytes.get(5..).map(Bytes::copy_from_slice).unwrap_or_default();
                let call = Call { path, authorization, request_id, request: message, response };
                self.recorder.calls.lock().unwrap().push(call);
            }
        }
        let mut frames: Vec<Result<http_body::Frame<Bytes>, tonic::Status>> = Vec::new();
        if !bytes.is_empty() {
            frames.push(Ok(http_body::Frame::data(bytes)));
        }
        frames.extend(trailers.map(|trailers| Ok(http_body::Frame::trailers(trailers))));
        Ok(http::Response::from_parts(parts, Body::new(StreamBody::new(futures::stream::iter(frames)))))
    }

    /// Gives a mutation that names no request id one of its own, so that every mutation can be repeated.
    fn with_request_id(&self, method: &MethodDescriptor, framed: &Bytes) -> Result<(Bytes, String), BoxError> {
        let message = framed.slice(5.min(framed.len())..);
        if is_read(method) {
            return Ok((message, String::new()));
        }
        let mut decoded = DynamicMessage::decode(method.input(), message.clone())?;
        let Some(field) = method.input().get_field_by_name("request_id") else {
            return Ok((message, String::new()));
        };
        let given = decoded.get_field(&field).as_str().unwrap_or_default().to_owned();
        if !given.is_empty() {
            return Ok((message, given));
        }
        let id = format!("case-{}", self.recorder.next_id.fetch_add(1, Ordering::Relaxed));
        decoded.set_field(&field, Value::String(id.clone()));
        Ok((decoded.encode_to_vec().into(), id))
    }

    /// Sends the same bytes under the same token again and returns the answer's bytes.
    ///
    /// # Errors
    /// The status, as text, if the answer is not OK.
    pub async fn repeat(&self, call: &Call) -> Result<Bytes, BoxError> {
        let body = Body::new(http_body_util::Full::new(frame(&call.request)).map_err(|never| match never {}));
        let request = http::Request::post(format!("http://suite{}", call.path))
            .version(http::Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", &call.authorization)
            .body(body)?;
        let response = self.channel.clone().oneshot(request).await?;
        let headers = response.headers().clone();
        let collected = response.into_body().collect().await.map_err(|status| Box::new(status) as BoxError)?;
        let trailers = collected.trailers().cloned().unwrap_or(headers);
        if header(&trailers, "grpc-status") != "0" {
            return Err(format!("{}: {}", call.path, header(&trailers, "grpc-message")).into());
        }
        Ok(collected.to_bytes().get(5..).map(Bytes::copy_from_slice).unwrap_or_default())
    }
}

fn header(headers: &http::HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(message);
    framed.freeze()
}

/// The method that a request path names.
pub fn method(path: &str) -> Option<MethodDescriptor> {
    let (service, name) = path.strip_prefix('/')?.split_once('/')?;
    remit_api::pool().get_service_by_name(service)?.methods().find(|method| method.name() == name)
}

/// Whether a method only reads.
pub fn is_read(method: &MethodDescriptor) -> bool {
    method.options().get_field_by_name("idempotency_level").and_then(|level| level.as_enum_number()) == Some(1)
}

/// The permission of a method, which is the action of its audit entry.
pub fn permission(method: &MethodDescriptor) -> String {
    let policy = remit_api::pool().get_extension_by_name("remit.options.v1.method_policy").expect("the option exists");
    let options = method.options();
    let policy = options.get_extension(&policy);
    let policy = policy.as_message().and_then(|policy| policy.get_field_by_name("permission").map(|p| p.into_owned()));
    policy.and_then(|permission| permission.as_str().map(str::to_owned)).unwrap_or_default()
}
