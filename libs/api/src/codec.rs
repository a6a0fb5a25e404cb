//! The protobuf codec of every generated client and server.

use prost::Message;
use prost::bytes::{Buf as _, Bytes};
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// A message that can be received. The build script implements it for every message that a method takes or gives;
/// what a method takes is checked while it is read.
pub trait Received: Message + Default {
    /// Reads the message.
    ///
    /// # Errors
    /// `INTERNAL` for bytes that are no such message: whoever answers so is wrong, not whoever asked. A request is refused
    /// as [`validate`](crate::validate) says.
    fn receive(bytes: Bytes) -> Result<Self, Status> {
        Self::decode(bytes).map_err(|error| Status::internal(error.to_string()))
    }
}

/// `google.protobuf.Empty`.
impl Received for () {}

/// Encodes `T` and decodes `U`.
#[derive(Debug)]
pub struct ProstCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for ProstCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for ProstCodec<T, U>
where
    T: Message + Send + 'static,
    U: Received + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder(PhantomData)
    }
}

/// Encodes messages.
#[derive(Debug)]
pub struct ProstEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for ProstEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buf).map_err(|_| Status::internal("the message could not be encoded"))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

/// Decodes messages, and checks requests against the bounds and rules of their proto file.
#[derive(Debug)]
pub struct ProstDecoder<U>(PhantomData<U>);

impl<U: Received> Decoder for ProstDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        U::receive(buf.copy_to_bytes(buf.remaining())).map(Some)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}
