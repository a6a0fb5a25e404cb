//! Rows of a statement as values of a type: one field a column of the same name.

use remit_api::handoff::v1::{Destination, HandoffState, OverrideKind, ReasonCode, RoutingState};
use remit_api::wire::Word;
use remit_core::{Error, Result, Timestamp};
use remit_store::{Query, Row, Tx};

/// A type whose values stand in rows.
pub(super) trait FromRow: Sized {
    /// Reads one row.
    fn read(row: &Row) -> Result<Self>;

    /// Runs the statement and reads all its rows.
    async fn all(query: Query, tx: &mut Tx) -> Result<Vec<Self>> {
        query.fetch_all(tx).await?.iter().map(Self::read).collect()
    }

    /// Runs the statement and reads its only row.
    async fn one(query: Query, tx: &mut Tx) -> Result<Self> {
        Self::read(&query.fetch_one(tx).await?)
    }
}

/// Defines such types.
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty,)+ })*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name {
            $(pub(crate) $field: $kind,)+
        }

        impl crate::store::rows::FromRow for $name {
            fn read(row: &remit_store::Row) -> remit_core::Result<Self> {
                Ok(Self { $($field: crate::store::rows::Column::read(row, stringify!($field))?,)+ })
            }
        }
    )*};
}
pub(super) use rows;

/// What a column can be read as.
pub(super) trait Column: Sized {
    /// Reads the column of this name.
    fn read(row: &Row, name: &str) -> Result<Self>;
}

macro_rules! plain {
    ($($kind:ty),+) => {$(
        impl Column for $kind {
            fn read(row: &Row, name: &str) -> Result<Self> {
                row.get(name)
            }
        }
    )+};
}
plain!(String, i64, Option<f64>, bool, Timestamp, Vec<u8>);

macro_rules! words {
    ($($kind:ty),+) => {$(
        impl Column for $kind {
            fn read(row: &Row, name: &str) -> Result<Self> {
                let word: String = row.get(name)?;
                Self::parse(&word).ok_or_else(|| Error::internal(format!("{word} is no word for the column {name}")))
            }
        }
    )+};
}
words!(Destination, HandoffState, OverrideKind, ReasonCode, RoutingState);
