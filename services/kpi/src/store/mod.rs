//! All SQL of the service.

pub mod alerts;
pub mod definitions;
pub mod events;
pub mod experiments;
pub mod interpretations;
pub mod rollups;
pub mod tail;

use prost::Message;
use remit_core::{Error, Result};
use remit_store::{Row, Value};

/// The protobuf message in the column `body`.
///
/// # Errors
/// `Internal` if there is none.
pub fn body<M: Message + Default>(row: &Row) -> Result<M> {
    let bytes: Vec<u8> = row.get("body")?;
    M::decode(bytes.as_slice())
        .map_err(|error| Error::internal("a stored message cannot be decoded").with_source(error))
}

/// Cuts `keys` into lists of few lengths, repeating the last key, so that few statements are prepared.
pub(crate) fn chunks<T: Clone>(keys: &[T]) -> Vec<Vec<T>> {
    const SIZES: [usize; 5] = [256, 64, 16, 4, 1];
    let mut chunks = Vec::new();
    for part in keys.chunks(SIZES[0]) {
        let size = SIZES.into_iter().rev().find(|size| *size >= part.len()).unwrap_or(SIZES[0]);
        let mut chunk = part.to_vec();
        if let Some(last) = part.last() {
            chunk.resize(size, last.clone());
        }
        chunks.push(chunk);
    }
    chunks
}

/// The key of a page token that is one text.
pub(crate) fn text(key: &str) -> Vec<Value> {
    vec![Value::from(key)]
}
