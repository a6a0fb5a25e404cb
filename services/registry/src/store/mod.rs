//! All SQL of the registry, one function a statement or a statement with its reader.

pub mod aliases;
pub mod artifacts;
pub mod automations;
pub mod models;
pub mod outputs;
pub mod summary;
pub mod versions;

use remit_core::{Result, Timestamp};
use remit_store::{Row, Value};

/// A stored resource: its message, and the columns that win over it.
#[derive(Debug, Clone)]
pub struct Stored<T> {
    /// The message as stored.
    pub body: T,
    /// Counted from 1; the etag.
    pub revision: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl<T: prost::Message + Default> Stored<T> {
    /// Reads the columns `body`, `revision`, `created_at` and `updated_at`.
    pub(crate) fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            body: crate::convert::decode(&row.get::<Vec<u8>>("body")?)?,
            revision: row.get("revision")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

/// Which page of a list is wanted.
#[derive(Debug)]
pub struct Window {
    /// The key of the last row of the page before; `None` on the first page.
    pub after: Option<Vec<Value>>,
    /// How many rows to fetch: one more than the page holds.
    pub limit: i64,
}

/// The items of a text that `string_agg` made with commas; none for a null.
pub(crate) fn split(joined: Option<String>) -> Vec<String> {
    joined.map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default()
}
