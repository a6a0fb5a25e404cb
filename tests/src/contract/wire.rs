//! Calls by descriptor: the methods there are, and bytes to and from them.

use http::uri::PathAndQuery;
use prost_reflect::MethodDescriptor;
use prost_reflect::prost::bytes::{Buf as _, BufMut as _, Bytes};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status};

/// Sends and receives bytes as they are.
#[derive(Default, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Every method of the suite.
pub(crate) fn methods() -> Vec<MethodDescriptor> {
    let services = remit_api::pool().services().filter(|service| service.full_name().starts_with("remit."));
    services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

/// What a call of the method asks for over HTTP.
pub(crate) fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// The service that answers the method; all of them answer for the system.
pub(crate) fn service_of(method: &MethodDescriptor) -> String {
    let package = method.parent_service().full_name().split('.').nth(1).unwrap_or_default().to_owned();
    if package == "system" { "audit".to_owned() } else { package }
}

/// Sends one message and returns the first of the answer, empty if a stream ends without one.
pub(crate) async fn send(
    channel: Channel,
    method: &MethodDescriptor,
    message: Bytes,
    authorization: Option<&str>,
) -> Result<Bytes, Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.expect("the suite is reachable");
    let mut request = Request::new(futures::stream::once(async { message }));
    if let Some(value) = authorization {
        request.metadata_mut().insert("authorization", value.parse().expect("a header value"));
    }
    let path: PathAndQuery = path(method).parse().expect("a method gives a path");
    let mut answers = client.streaming(request, path, Raw).await?.into_inner();
    Ok(answers.message().await?.unwrap_or_default())
}
