//! Sockets that say nothing, or half of something, and what they cost others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::tests::fixture;
use crate::peers::Channel;
use remit_api::system::v1::GetInfoRequest;
use remit_api::system::v1::system_service_client::SystemServiceClient;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// HTTP/2's preface and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn say(addr: SocketAddr, what: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(what).await.unwrap();
    stream
}

/// Reads until the server has closed.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest));
    // An abrupt end is one too.
    let _ = read.await.expect("the server closes the connection");
}

#[tokio::test]
async fn a_connection_that_does_not_begin_or_is_not_used_is_closed() {
    let fixture = fixture("server.handshake_timeout = \"300ms\"\nserver.first_call_timeout = \"600ms\"").await;
    let remote = fixture.serve().await;
    let mut client = SystemServiceClient::new(Channel::remote(&format!("http://{}", remote.addr)).unwrap());
    client.get_info(fixture.request("", GetInfoRequest {})).await.unwrap();
    let half_a_request = b"POST /remit.system.v1.SystemService/GetInfo HTTP/1.1\r\nhost: a\r\n";
    let mut idle = Vec::new();
    for what in [&b""[..], b"PRI * HT", &PREFACE[..20], b"G", half_a_request, PREFACE] {
        idle.push(say(remote.addr, what).await);
    }
    for stream in &mut idle {
        closed(stream).await;
    }
    client.get_info(fixture.request("", GetInfoRequest {})).await.unwrap();
}

#[tokio::test]
async fn silent_connections_keep_nobody_out() {
    let fixture = fixture("server.max_connections = 8").await;
    let remote = fixture.serve().await;
    let url = format!("http://{}", remote.addr);
    let mut known = SystemServiceClient::new(Channel::remote(&url).unwrap());
    known.get_info(fixture.request("", GetInfoRequest {})).await.unwrap();
    let mut silent = Vec::new();
    for number in 0..40 {
        silent.push(say(remote.addr, if number % 2 == 0 { b"" } else { PREFACE }).await);
    }
    let mut late = SystemServiceClient::new(Channel::remote(&url).unwrap());
    late.get_info(fixture.request("", GetInfoRequest {})).await.unwrap();
    known.get_info(fixture.request("", GetInfoRequest {})).await.unwrap();
    // The first of them made room for the others.
    for stream in &mut silent[..20] {
        closed(stream).await;
    }
}
