//! The floor of every unary call: a bare tonic server that answers bytes with bytes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

type Bytes = Vec<u8>;
type Answer<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

#[derive(Clone)]
struct Echo(Arc<Bytes>);

impl NamedService for Echo {
    const NAME: &'static str = "bench.Echo";
}

impl UnaryService<Bytes> for Echo {
    type Response = Bytes;
    type Future = Answer<Response<Bytes>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let answer = self.0.clone();
        Box::pin(async move {
            assert!(!request.into_inner().is_empty());
            Ok(Response::new(answer.as_ref().clone()))
        })
    }
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<http::Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::<Bytes, Bytes>::default()).unary(service, request).await) })
    }
}

/// Starts the server, which answers every call with `bytes` bytes; it ends with the process.
pub async fn start(bytes: usize) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let service = Echo(Arc::new(vec![7; bytes]));
    let incoming = futures::StreamExt::map(TcpListenerStream::new(listener), |connection| {
        connection.inspect(|stream| stream.set_nodelay(true).unwrap())
    });
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    addr
}

/// Calls it once with `bytes` bytes.
pub async fn call(channel: Channel, bytes: usize) {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/bench.Echo/Call");
    let codec = ProstCodec::<Bytes, Bytes>::default();
    let answer = client.unary(Request::new(vec![5u8; bytes]), path, codec).await.unwrap();
    assert!(!answer.into_inner().is_empty());
}
