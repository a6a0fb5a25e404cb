#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::auth::{Access, Authenticator, Entrance, Signer};
use crate::peers::Channel;
use crate::serve::{self, Bound, Ending};
use crate::status::{INTERNAL_TEXT, reason};
use crate::{accept, context};
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{TailRequest, TailResponse};
use remit_api::codec::ProstCodec;
use remit_api::system::v1::system_service_client::SystemServiceClient;
use remit_api::system::v1::system_service_server::{SystemService, SystemServiceServer};
use remit_api::system::v1::{AdvanceClockRequest, AdvanceClockResponse, GetInfoRequest, Info};
use remit_core::{Actor, ActorKind, Tenant};
use std::net::SocketAddr;
use tonic::server::{NamedService, ServerStreamingService};
use tonic::{Response as GrpcResponse, Status};
use tower::util::BoxCloneSyncService;

/// Does what the metadata `x-do` says.
#[derive(Clone)]
struct Odd;

fn wanted<T>(request: &tonic::Request<T>) -> String {
    request.metadata().get("x-do").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tonic::async_trait]
impl SystemService for Odd {
    async fn get_info(&self, request: tonic::Request<GetInfoRequest>) -> Result<GrpcResponse<Info>, Status> {
        match wanted(&request).as_str() {
            "panic" => panic!("the secret is hunter2"),
            "wait" => std::future::pending().await,
            "defect" => Err(to_status(Error::internal("row 17").with_source(std::io::Error::other("hunter2")))),
            "bare" => Err(Status::invalid_argument("bare")),
            _ => {
                let (cx, _) = accept(request)?;
                let left = cx.deadline.map(|at| at.saturating_duration_since(Instant::now()).as_millis() as i64);
                let services = vec![
                    cx.tenant.to_string(),
                    cx.actor.subject.clone(),
                    cx.method.to_owned(),
                    cx.trace_id,
                    context::trace_id(),
                ];
                let outbox_depth = left.map(|left| ("left_ms".to_owned(), left)).into_iter().collect();
                Ok(GrpcResponse::new(Info { services, outbox_depth, ..Info::default() }))
            }
        }
    }

    async fn advance_clock(
        &self,
        _: tonic::Request<AdvanceClockRequest>,
    ) -> Result<GrpcResponse<AdvanceClockResponse>, Status> {
        Ok(GrpcResponse::new(AdvanceClockResponse::default()))
    }
}

/// One message, and then what the metadata says.
#[derive(Clone)]
struct OddTail;

impl NamedService for OddTail {
    const NAME: &'static str = "remit.audit.v1.AuditService";
}

impl ServerStreamingService<TailRequest> for OddTail {
    type Response = TailResponse;
    type ResponseStream = BoxStream<'static, Result<TailResponse, Status>>;
    type Future = BoxFuture<'static, Result<GrpcResponse<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<TailRequest>) -> Self::Future {
        let wanted = wanted(&request);
        let first = stream::iter([Ok(TailResponse { size: 1, ..TailResponse::default() })]);
        let rest = stream::poll_fn(move |_| match wanted.as_str() {
            "panic" => panic!("in the middle"),
            "end" => Poll::Ready(None),
            // Proof that the scope is there while the stream is polled.
            "trace" if context::trace_id().is_empty() => Poll::Ready(Some(Err(Status::data_loss("no scope")))),
            "trace" => Poll::Ready(None),
            _ => Poll::Pending,
        });
        Box::pin(async move { Ok(GrpcResponse::new(first.chain(rest).boxed())) })
    }
}

impl Service<Request<Body>> for OddTail {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<TailResponse, TailRequest>::default());
            Ok(grpc.server_streaming(this, request).await)
        })
    }
}

pub(super) struct Fixture {
    pub(super) stack: Stack,
    ended: Ended,
    signer: Arc<Signer>,
    config: Config,
    _dir: tempfile::TempDir,
}

pub(super) async fn fixture(more: &str) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("data.dir = {:?}\nserver.listen = \"127.0.0.1:0\"\n{more}", dir.path().display().to_string());
    let config = Config::from_toml(&text).unwrap();
    let (auth, signers) = Authenticator::open(&config).await.unwrap();
    let methods = Arc::new(Methods::new(remit_api::pool(), &config.roles).unwrap());
    let routes = Routes::new(OddTail).add_service(SystemServiceServer::new(Odd));
    let ended = Ended::default();
    let refusals = Refusals::new(Arc::default(), tokio_util::task::TaskTracker::new(), Tenant::new("remit").unwrap());
    let entrance = Entrance::new(auth, Access::none());
    let door = Arc::new(Door::new(&config, entrance, &opentelemetry::global::meter("remit")));
    let stack = Stack::new(&config, methods, door, ended.clone(), refusals, routes);
    let signer = signers.development.unwrap();
    Fixture { stack, ended, signer, config, _dir: dir }
}

pub(super) struct Remote {
    pub(super) addr: SocketAddr,
    begin: CancellationToken,
    drained: tokio::task::JoinHandle<()>,
}

impl Fixture {
    fn local(&self) -> Channel {
        Channel::local(BoxCloneSyncService::new(self.stack.clone()))
    }

    pub(super) async fn serve(&self) -> Remote {
        let bound = Bound::new(&self.config.server).await.unwrap();
        let (addr, begin) = (bound.addr(), CancellationToken::new());
        let ending = Ending { begin: begin.clone(), drain: CancellationToken::new(), ended: self.ended.clone() };
        let drained = tokio::spawn(serve::run(
            bound,
            self.config.server.clone(),
            self.stack.clone(),
            axum::Router::new(),
            ending,
        ));
        Remote { addr, begin, drained }
    }

    pub(super) fn request<T>(&self, wanted: &str, message: T) -> tonic::Request<T> {
        self.request_of("alice", wanted, message)
    }

    fn request_of<T>(&self, subject: &str, wanted: &str, message: T) -> tonic::Request<T> {
        self.request_with(subject, Duration::from_secs(60), wanted, message)
    }

    /// With a token that lives for so long.
    fn request_for<T>(&self, lifetime: Duration, wanted: &str, message: T) -> tonic::Request<T> {
        self.request_with("alice", lifetime, wanted, message)
    }

    fn request_with<T>(&self, subject: &str, lifetime: Duration, wanted: &str, message: T) -> tonic::Request<T> {
        let actor = Actor {
            subject: subject.to_owned(),
            kind: ActorKind::Human,
            roles: vec!["viewer".to_owned()],
            role_groups: Vec::new(),
            on_behalf_of: None,
        };
        let token = self.signer.token(&Tenant::new("acme").unwrap(), &actor, lifetime).unwrap();
        let mut request = tonic::Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request.metadata_mut().insert("x-do", wanted.parse().unwrap());
        request
    }
}

/// The same calls over both transports: a client for each.
async fn both(fixture: &Fixture) -> (Vec<SystemServiceClient<Channel>>, Vec<AuditServiceClient<Channel>>, Remote) {
    let remote = fixture.serve().await;
    let ways = [fixture.local(), Channel::remote(&format!("http://{}", remote.addr)).unwrap()];
    let unary = ways.iter().cloned().map(SystemServiceClient::new).collect();
    (unary, ways.into_iter().map(AuditServiceClient::new).collect(), remote)
}

#[tokio::test]
async fn a_handler_learns_caller_permission_trace_and_deadline_on_both_transports() {
    let fixture = fixture("").await;
    let (clients, _, _remote) = both(&fixture).await;
    for mut client in clients {
        let mut request = fixture.request("", GetInfoRequest {});
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        request.metadata_mut().insert("traceparent", parent.parse().unwrap());
        request.set_timeout(Duration::from_secs(20));
        let answer = client.get_info(request).await.unwrap();
        let trace = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(answer.get_ref().services, ["acme", "alice", "system.info.get", trace, trace]);
        assert_eq!(answer.metadata().get("x-trace-id").unwrap(), trace);
        let left = answer.get_ref().outbox_depth["left_ms"];
        assert!((1..=20_000).contains(&left), "{left}");
    }
}

#[tokio::test]
async fn a_deadline_ends_a_unary_call_on_both_transports() {
    let fixture = fixture("").await;
    let (clients, _, _remote) = both(&fixture).await;
    for mut client in clients {
        let mut request = fixture.request("wait", GetInfoRequest {});
        // As a header of our own, so that the client's timer does not end the call first.
        request.metadata_mut().insert("grpc-timeout", "50m".parse().unwrap());
        let status = client.get_info(request).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    }
}

#[tokio::test]
async fn a_call_without_a_deadline_gets_the_default_one() {
    let fixture = fixture("server.deadline_default = \"30ms\"").await;
    let (clients, _, _remote) = both(&fixture).await;
    for mut client in clients {
        let status = client.get_info(fixture.request("wait", GetInfoRequest {})).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }
}

#[tokio::test]
async fn a_deadline_ends_a_stream_on_both_transports() {
    let fixture = fixture("").await;
    let (_, clients, _remote) = both(&fixture).await;
    for mut client in clients {
        let mut request = fixture.request("wait", TailRequest::default());
        request.metadata_mut().insert("grpc-timeout", "50m".parse().unwrap());
        let mut stream = client.tail(request).await.unwrap().into_inner();
        assert_eq!(stream.message().await.unwrap().unwrap().size, 1);
        let status = stream.message().await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    }
}

#[tokio::test]
async fn an_open_stream_ends_with_its_token_on_both_transports() {
    let fixture = fixture("auth.leeway = \"0s\"").await;
    let (_, clients, _remote) = both(&fixture).await;
    let mut streams = Vec::new();
    for mut client in clients {
        // Two seconds, since a token says its times to the second.
        let request = fixture.request_for(Duration::from_secs(2), "wait", TailRequest::default());
        let mut stream = client.tail(request).await.unwrap().into_inner();
        assert_eq!(stream.message().await.unwrap().unwrap().size, 1);
        streams.push(stream);
    }
    for mut stream in streams {
        let status = stream.message().await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "TOKEN_EXPIRED"));
    }
}

#[tokio::test]
async fn a_panic_is_an_internal_error_that_tells_nothing() {
    let fixture = fixture("").await;
    let (unary, streams, _remote) = both(&fixture).await;
    for mut client in unary {
        for what in ["panic", "defect"] {
            let status = client.get_info(fixture.request(what, GetInfoRequest {})).await.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::Internal, INTERNAL_TEXT));
            assert!(!String::from_utf8_lossy(status.details()).contains("hunter2"));
            let info = tonic_types::StatusExt::get_details_error_info(&status).unwrap();
            assert_eq!(info.metadata["trace_id"].len(), 32);
        }
        client.get_info(fixture.request("", GetInfoRequest {})).await.unwrap();
    }
    for mut client in streams {
        let mut stream = client.tail(fixture.request("panic", TailRequest::default())).await.unwrap().into_inner();
        // tonic may hold the first message back to send it together with the next.
        let status = match stream.message().await {
            Ok(_) => stream.message().await.unwrap_err(),
            Err(status) => status,
        };
        assert_eq!((status.code(), status.message()), (Code::Internal, INTERNAL_TEXT));
    }
}

#[tokio::test]
async fn a_stream_keeps_the_scope_of_its_call() {
    let fixture = fixture("").await;
    let (_, streams, _remote) = both(&fixture).await;
    for mut client in streams {
        let mut stream = client.tail(fixture.request("trace", TailRequest::default())).await.unwrap().into_inner();
        assert!(stream.message().await.unwrap().is_some());
        assert!(stream.message().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn every_failure_has_a_reason_and_bad_fields_are_named() {
    let fixture = fixture("").await;
    let (unary, streams, _remote) = both(&fixture).await;
    for mut client in unary {
        let status = client.get_info(fixture.request("bare", GetInfoRequest {})).await.unwrap_err();
        assert_eq!(reason(&status), "MESSAGE_MALFORMED");
        let mut request = fixture.request("", AdvanceClockRequest::default());
        let admin = Actor {
            subject: "root".to_owned(),
            kind: ActorKind::Human,
            roles: vec!["admin".to_owned()],
            role_groups: Vec::new(),
            on_behalf_of: None,
        };
        let token = fixture.signer.token(&Tenant::new("acme").unwrap(), &admin, Duration::from_secs(60)).unwrap();
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        let status = client.advance_clock(request).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "FIELD_INVALID"));
        let bad = tonic_types::StatusExt::get_details_bad_request(&status).unwrap();
        assert_eq!(bad.field_violations[0].field, "time");
    }
    for mut client in streams {
        let request = fixture.request("end", TailRequest { start_index: -1, ..TailRequest::default() });
        let status = client.tail(request).await.unwrap_err();
        assert_eq!(reason(&status), "FIELD_INVALID");
    }
}

#[tokio::test]
async fn an_unknown_method_is_told_only_to_those_with_a_token() {
    let fixture = fixture("").await;
    let (mut clients, ..) = both(&fixture).await;
    let mut grpc = tonic::client::Grpc::new(fixture.local());
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/remit.audit.v1.AuditService/Nothing");
    let codec = || ProstCodec::<GetInfoRequest, Info>::default();
    let status = grpc.unary(tonic::Request::new(GetInfoRequest {}), path.clone(), codec()).await.unwrap_err();
    assert_eq!(reason(&status), "TOKEN_MISSING");
    grpc.ready().await.unwrap();
    let status = grpc.unary(fixture.request("", GetInfoRequest {}), path, codec()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unimplemented, "METHOD_UNKNOWN"));
    clients.clear();
}

#[tokio::test]
async fn calls_beyond_the_bound_are_refused_and_the_bound_frees_itself() {
    let fixture = fixture("server.max_calls = 1").await;
    let mut client = SystemServiceClient::new(fixture.local());
    let mut waiting = client.clone();
    let request = fixture.request("wait", GetInfoRequest {});
    let call = tokio::spawn(async move { waiting.get_info(request).await });
    while fixture.stack.0.door.calls() == 0 {
        tokio::task::yield_now().await;
    }
    let status = client.get_info(fixture.request("", GetInfoRequest {})).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert!(tonic_types::StatusExt::get_details_retry_info(&status).is_some());
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    client.get_info(fixture.request("", GetInfoRequest {})).await.unwrap();
}

#[tokio::test]
async fn streams_are_bounded_apart_from_calls() {
    let fixture = fixture("server.max_calls = 1\nlimits.streams_per_subject = 2\nlimits.streams_per_tenant = 3").await;
    let mut tail = AuditServiceClient::new(fixture.local());
    let mut client = SystemServiceClient::new(fixture.local());
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = tail.tail(fixture.request("wait", TailRequest::default())).await.unwrap().into_inner();
        assert!(stream.message().await.unwrap().is_some());
        open.push(stream);
    }
    let status = tail.tail(fixture.request("wait", TailRequest::default())).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "SUBJECT_STREAMS"));
    client.get_info(fixture.request("", GetInfoRequest {})).await.unwrap();
    open.push(tail.tail(fixture.request_of("bob", "wait", TailRequest::default())).await.unwrap().into_inner());
    let status = tail.tail(fixture.request_of("carol", "wait", TailRequest::default())).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "TENANT_STREAMS"));
    assert!(status.message().contains("limits.streams_per_tenant"), "{status:?}");
    open.remove(0);
    tail.tail(fixture.request("end", TailRequest::default())).await.unwrap();
}

#[tokio::test]
async fn a_rate_is_refused_with_the_time_to_wait() {
    let fixture = fixture("limits.rate_per_subject = 1\nlimits.burst = \"2s\"").await;
    let mut client = SystemServiceClient::new(fixture.local());
    let status = loop {
        if let Err(status) = client.get_info(fixture.request("", GetInfoRequest {})).await {
            break status;
        }
    };
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "SUBJECT_RATE"));
    let wait = tonic_types::StatusExt::get_details_retry_info(&status).unwrap().retry_delay.unwrap();
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
    client.get_info(fixture.request_of("bob", "", GetInfoRequest {})).await.unwrap();
}

/// What a call answers whose body is these bytes: its code and reason.
async fn framed(fixture: &Fixture, headers: &[(&'static str, &str)], body: &[u8]) -> (Code, String) {
    let token = fixture.request("", ()).metadata().get("authorization").unwrap().clone();
    let mut request = Request::post("http://remit/remit.system.v1.SystemService/GetInfo")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", token.to_str().unwrap());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = axum::body::Body::from(body.to_vec());
    let mut stack = fixture.stack.clone();
    let answer = stack.call(request.body(Body::new(body)).unwrap()).await.unwrap();
    let status = Status::from_header_map(answer.headers());
    let status = status.unwrap_or_else(|| Status::ok(""));
    (status.code(), reason(&status))
}

#[tokio::test]
async fn what_is_wrong_with_the_framing_is_the_callers() {
    let fixture = fixture("").await;
    let malformed = (Code::InvalidArgument, "MESSAGE_MALFORMED".to_owned());
    assert_eq!(framed(&fixture, &[], &[0, 0, 0, 0, 0]).await, (Code::Ok, String::new()));
    assert_eq!(framed(&fixture, &[("grpc-encoding", "identity")], &[0, 0, 0, 0, 0]).await.0, Code::Ok);
    let bodies: [&[u8]; 6] =
        [&[], &[0, 0], &[0, 0, 0, 0, 9, 1, 2], &[2, 0, 0, 0, 0], &[1, 0, 0, 0, 1, 7], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]];
    for body in bodies {
        assert_eq!(framed(&fixture, &[], body).await, malformed, "{body:?}");
    }
    let gzip = framed(&fixture, &[("grpc-encoding", "gzip")], &[1, 0, 0, 0, 1, 7]).await;
    assert_eq!(gzip, (Code::Unimplemented, "ENCODING_UNSUPPORTED".to_owned()));
    let large = [&[0, 0xff, 0xff, 0xff, 0xff][..], &[0; 100]].concat();
    assert_eq!(framed(&fixture, &[], &large).await, (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned()));
}

#[tokio::test]
async fn a_message_must_come_in_time() {
    let fixture = fixture("server.body_timeout = \"20ms\"").await;
    let token = fixture.request("", ()).metadata().get("authorization").unwrap().clone();
    let request = Request::post("http://remit/remit.system.v1.SystemService/GetInfo")
        .header("content-type", "application/grpc")
        .header("authorization", token.to_str().unwrap());
    let pieces = stream::iter([Ok::<_, Infallible>(vec![0u8, 0, 0])]).chain(stream::pending());
    let body = Body::new(axum::body::Body::from_stream(pieces));
    let answer = fixture.stack.clone().call(request.body(body).unwrap()).await.unwrap();
    let status = Status::from_header_map(answer.headers()).unwrap();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "MESSAGE_LATE"));
    assert_eq!(fixture.stack.0.door.calls(), 0);
}

#[tokio::test]
async fn a_drain_ends_streams_with_a_reason_and_lets_calls_finish() {
    let fixture = fixture("").await;
    let (_, mut clients, remote) = both(&fixture).await;
    let mut client = clients.pop().unwrap();
    let mut stream = client.tail(fixture.request("wait", TailRequest::default())).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    remote.begin.cancel();
    let status = stream.message().await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
    drop((stream, client));
    tokio::time::timeout(Duration::from_secs(5), remote.drained).await.expect("the drain is bounded").unwrap();
}

#[tokio::test]
async fn a_drain_cuts_what_does_not_finish() {
    let fixture = fixture("server.drain_timeout = \"50ms\"").await;
    let (mut clients, _, remote) = both(&fixture).await;
    let mut client = clients.pop().unwrap();
    let request = fixture.request("wait", GetInfoRequest {});
    let call = tokio::spawn(async move { client.get_info(request).await });
    // The call is in progress once the stack counts it.
    while fixture.stack.0.door.calls() == 0 {
        tokio::task::yield_now().await;
    }
    remote.begin.cancel();
    tokio::time::timeout(Duration::from_secs(5), remote.drained).await.expect("the drain is bounded").unwrap();
    assert!(call.await.unwrap().is_err());
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_remedy() {
    let fixture = fixture("").await;
    let remote = fixture.serve().await;
    let mut config = fixture.config.server.clone();
    config.listen = remote.addr.to_string();
    let Err(error) = Bound::new(&config).await else { panic!("the port was taken twice") };
    assert_eq!(error.reason(), "ADDRESS_IN_USE");
    assert!(error.message().contains(&config.listen) && error.message().contains("server.listen"));
}

#[test]
fn an_answer_that_refuses_is_told_from_any_other() {
    let headers = |error: Error| to_status(error).into_http::<Body>().into_parts().0.headers;
    let found = attempt(&headers(Error::denied("NOT_ELIGIBLE", "eve has no seat"))).unwrap();
    assert_eq!((found.kind(), found.reason()), (Kind::PermissionDenied, "NOT_ELIGIBLE"));
    let early = attempt(&headers(Error::precondition("PERIOD_NOT_OVER", "the month is not over"))).unwrap();
    assert_eq!((early.kind(), early.reason()), (Kind::FailedPrecondition, "PERIOD_NOT_OVER"));
    assert!(attempt(&headers(Error::not_found("REVIEW_NOT_FOUND", "reviews/r"))).is_none());
    assert!(attempt(&HeaderMap::new()).is_none());
}
