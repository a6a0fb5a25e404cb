//! What every message of the contract has in common, in the one way that all services read and write it:
//! times and ranges of time, update masks, the words of enums, actors, subjects, when a waiver holds, and what requests are
//! asked for by.
//!
//! Etags are in `remit_core::etag`, names and ids in `remit_core::name`, page tokens in `remit_store::page`.

mod actor;
pub mod mask;
pub mod range;
mod subjects;
pub mod time;
pub mod waivers;
mod words;

pub use actor::actor;
pub use subjects::{At, Subjects};
pub(crate) use subjects::{subject, subjects};
pub use words::Word;

use remit_core::{Error, Result};

/// A request that may be sent again under the same id (AIP-155).
pub trait Repeatable: prost::Message {
    /// The id; empty if a repetition shall be a request of its own.
    fn request_id(&self) -> &str;
    /// The name of the resource that it is about, or of the one that it belongs to; empty if it names none.
    fn resource(&self) -> &str;
}

/// A request that takes effect by a mandate of the council (see `remit_core::mandate`).
pub trait Mandated: Repeatable + Clone {
    /// The mandate; empty if none is shown.
    fn mandate(&self) -> &str;
    /// The request without its mandate and its request id: what a mandate is bound to.
    fn bare(&self) -> Self;
    /// Shows a mandate.
    fn set_mandate(&mut self, mandate: String);
    /// The digest that a mandate names.
    fn bare_digest(&self) -> String
    where
        Self: Sized,
    {
        digest(&self.bare())
    }
}

/// Any request, for its record.
pub trait About {
    /// The name of the resource that it is about, or of the one that it belongs to; empty if it names none.
    fn about(&self) -> &str;
    /// The request as proto JSON; null if it is not one message.
    fn shown(&self) -> serde_json::Value;
}

/// A stream of requests, of which none has been read.
impl<T> About for tonic::Streaming<T> {
    fn about(&self) -> &str {
        ""
    }

    fn shown(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}

/// A request for a page of a list (AIP-158).
pub trait Paged: prost::Message {
    /// The page size asked for; 0 for the default.
    fn page_size(&self) -> i32;
    /// The token of the page before; empty for the first page.
    fn page_token(&self) -> &str;
    /// The collection to list from; empty if the list has none.
    fn parent(&self) -> &str;
    /// The filter (AIP-160); empty if the list has none.
    fn filter(&self) -> &str;
}

/// A resource that an update can change (AIP-134).
pub trait Updatable: prost::Message + prost::Name + Default + Clone + PartialEq {
    /// The fields and oneofs that may change, as the proto file of the update says.
    const UPDATABLE: &'static [&'static str];
}

/// Requires a message that the rules of the proto file require already.
///
/// # Errors
/// `InvalidArgument` (`FIELD_REQUIRED`), naming `field`.
pub fn required<T>(value: Option<T>, field: &str) -> Result<T> {
    value.ok_or_else(|| Error::invalid("FIELD_REQUIRED", field, "is required"))
}

/// Requires text that is not blank.
///
/// # Errors
/// `InvalidArgument` (`FIELD_REQUIRED`), naming `field`.
pub fn required_text(text: &str, field: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::invalid("FIELD_REQUIRED", field, "is required"));
    }
    Ok(())
}

/// Reads a message stored by [`prost::Message::encode_to_vec`].
///
/// # Errors
/// `Internal` if the bytes are not such a message.
pub fn decode<M: prost::Message + prost::Name + Default>(body: &[u8]) -> Result<M> {
    M::decode(body).map_err(|error| Error::internal(format!("a stored {} cannot be read", M::NAME)).with_source(error))
}

/// The digest of a message's encoding, in which fields are in order and map keys sorted.
pub fn digest<M: prost::Message>(message: &M) -> String {
    remit_core::digest::sha256(&message.encode_to_vec())
}
