//! Servers that answer anything but the truth: no command takes it for an answer, and none ends as if it had asked wrongly.

use super::{Bench, text};
use http_body_util::{BodyExt as _, Full};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use tokio::io::AsyncWriteExt as _;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::server::NamedService;

/// Says the same to every call.
#[derive(Clone)]
struct Liar(Bytes);

impl NamedService for Liar {
    const NAME: &'static str = "remit.audit.v1.AuditService";
}

impl tower::Service<http::Request<Body>> for Liar {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        let mut end = http::HeaderMap::new();
        end.insert("grpc-status", http::HeaderValue::from_static("0"));
        let body = Full::new(self.0.clone()).with_trailers(ready(Some(Ok(end))));
        let answer = http::Response::builder().header("content-type", "application/grpc");
        ready(Ok(answer.body(Body::new(body)).expect("an answer")))
    }
}

/// A server whose every answer is these bytes in one frame, or none; its address.
async fn liar(message: Option<&[u8]>) -> String {
    let frame = message.map_or_else(Vec::new, |message| {
        let length = u32::try_from(message.len()).expect("a length").to_be_bytes();
        [&[0][..], &length, message].concat()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let server = tonic::transport::Server::builder().add_service(Liar(frame.into()));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

/// A server that is none of this protocol.
async fn page() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>").await;
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_believes_what_is_no_answer() {
    let mut bench = Bench::new();
    let (file, other, state) = (bench.path("file"), bench.path("other"), bench.path("state"));
    let (file, other, state) = (text(&file), text(&other), text(&state));
    let key = ed25519_dalek::SigningKey::from_bytes(&[5; 32]).verifying_key();
    let of = |algorithm| remit_tlog::VerifierKey::new("log.example/acme", algorithm, key).expect("a key").to_string();
    let (log, witness) = (of(remit_tlog::note::Algorithm::Ed25519), of(remit_tlog::note::Algorithm::CosignatureV1));
    let about: [&[&str]; 20] = [
        &["search"],
        &["search", "--ndjson"],
        &["checkpoint", "--save", file],
        &["export", "-o", file],
        &["export", "-o", file, "--cosigned"],
        &["proof", "0", "-o", file],
        &["verify", "--state", state],
        &["erase", "leads/1", "--reason", "x"],
        &["rewrap"],
        &["witness", "--key", &log, "--name", "w.example", "--state", state],
        &["push", "http://127.0.0.1:1", "--witness", &witness],
        &["timestamp", "http://127.0.0.1:1", "-o", file, "--save", other],
        &["fsck"],
        &["get", "0"],
        &["who", "models/1"],
        &["why", "models/1"],
        &["tail"],
        &["reveal", "0"],
        &["prune"],
        &["hold", "list"],
    ];
    let absent = || !std::path::Path::new(file).exists() && !std::path::Path::new(other).exists();
    // No message of the contract begins so: the field has the number zero.
    for broken in [Some(&b"\x00\xff\xff\xff"[..]), None] {
        bench.url = liar(broken).await;
        for args in about {
            let (code, printed) = bench.audit(&[&["--timeout", "10"][..], args].concat());
            // A stream that ends at once is one without entries; it is no lie that could be told from the truth.
            let empty = broken.is_none() && args == ["tail"];
            assert_eq!(code, if empty { 0 } else { 3 }, "{args:?} {broken:?}: {printed}");
            assert!(absent(), "{args:?}: nothing is written of it");
        }
    }
    // What is no message at all, and one in which nothing is said. A log may be empty; who asks for a proof is told.
    bench.url = liar(Some(b"")).await;
    for args in about.into_iter().filter(|args| {
        matches!(args[0], "checkpoint" | "export" | "proof" | "verify" | "witness" | "push" | "timestamp" | "fsck")
    }) {
        let (code, printed) = bench.audit(&[&["--timeout", "10"][..], args].concat());
        assert_eq!(code, 3, "{args:?}: {printed}");
        assert!(absent(), "{args:?}: nothing is written of it");
    }
    bench.url = page().await;
    for args in about {
        let (code, printed) = bench.audit(&[&["--timeout", "10"][..], args].concat());
        assert!(matches!(code, 3 | 6), "{args:?} ended with {code}: {printed}");
        assert!(absent(), "{args:?}: nothing is written of it");
    }
}
