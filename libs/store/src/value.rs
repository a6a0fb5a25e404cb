//! The four kinds of value that both engines store alike, and the rows that hold them.

use crate::classify;
use remit_core::{Error, Result, Tenant, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column as _, Row as _, TypeInfo as _, ValueRef as _};

/// A value bound to a statement. A null has a type too, because PostgreSQL infers from it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `bigint`: integers, flags as 0 and 1, times in microseconds.
    Int(Option<i64>),
    /// `double precision`. NaN is refused, because SQLite would store it as null.
    Double(Option<f64>),
    /// `text`. The character U+0000 is refused, because PostgreSQL cannot store it.
    Text(Option<String>),
    /// A byte string: `bytea` or `blob`.
    Bytes(Option<Vec<u8>>),
}

impl Value {
    /// Refuses what only one of the engines could store.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Text(Some(text)) if text.contains('\0') => Err(Error::new(
                remit_core::Kind::InvalidArgument,
                "TEXT_HAS_NUL",
                "text must not contain the character U+0000",
            )),
            Self::Double(Some(number)) if number.is_nan() => {
                Err(Error::new(remit_core::Kind::InvalidArgument, "NOT_A_NUMBER", "a number must not be NaN"))
            }
            _ => Ok(()),
        }
    }
}

macro_rules! into_value {
    ($variant:ident: $($from:ty => $convert:expr),+ $(,)?) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(Some(($convert)(value)))
            }
        }
        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Self {
                Self::$variant(value.map($convert))
            }
        }
    )+};
}

into_value!(Int: i64 => |v| v, i32 => i64::from, u32 => i64::from, bool => i64::from, Timestamp => |v: Timestamp| v.0);
into_value!(Double: f64 => |v| v);
into_value!(Text: String => |v| v, &str => str::to_owned, &String => String::clone, &Tenant => |v: &Tenant| v.as_str().to_owned());
into_value!(Bytes: Vec<u8> => |v| v, &[u8] => <[u8]>::to_vec, [u8; 32] => |v: [u8; 32]| v.to_vec(), &[u8; 32] => |v: &[u8; 32]| v.to_vec(), &Vec<u8> => Vec::clone);

/// One row of an answer.
#[derive(Debug)]
pub struct Row(pub(crate) Native);

pub(crate) enum Native {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite(_) => "SqliteRow",
            Self::Postgres(_) => "PgRow",
        })
    }
}

impl Row {
    /// The value of `column`.
    ///
    /// # Errors
    /// `Internal` if there is no such column, its type differs, or it is null and `T` is no `Option`:
    /// each is a defect of the statement, not of the data.
    pub fn get<T: FromColumn>(&self, column: &str) -> Result<T> {
        T::from_column(self, column)?
            .ok_or_else(|| Error::internal(format!("column {column} is null where a value is due")))
    }

    /// The names of the columns, in order.
    pub fn columns(&self) -> Vec<&str> {
        match &self.0 {
            Native::Sqlite(row) => row.columns().iter().map(|c| c.name()).collect(),
            Native::Postgres(row) => row.columns().iter().map(|c| c.name()).collect(),
        }
    }
}

/// A Rust type that a column can be read as.
pub trait FromColumn: Sized {
    /// Reads the column; `None` if it is null and the type has no null of its own.
    ///
    /// # Errors
    /// `Internal` if there is no such column or its type differs.
    fn from_column(row: &Row, column: &str) -> Result<Option<Self>>;
}

impl<T: FromColumn> FromColumn for Option<T> {
    fn from_column(row: &Row, column: &str) -> Result<Option<Self>> {
        T::from_column(row, column).map(Some)
    }
}

fn wrong(error: sqlx::Error) -> Error {
    classify::decode(error)
}

macro_rules! native_column {
    ($($type:ty),+) => {$(
        impl FromColumn for $type {
            fn from_column(row: &Row, column: &str) -> Result<Option<Self>> {
                match &row.0 {
                    Native::Sqlite(row) => row.try_get(column).map_err(wrong),
                    Native::Postgres(row) => row.try_get(column).map_err(wrong),
                }
            }
        }
    )+};
}
native_column!(String, Vec<u8>);

impl FromColumn for i64 {
    fn from_column(row: &Row, column: &str) -> Result<Option<Self>> {
        match &row.0 {
            Native::Sqlite(row) => row.try_get(column).map_err(wrong),
            // Literals and some functions are int4 on PostgreSQL, comparisons are bool.
            Native::Postgres(row) => match row.try_get_raw(column).map_err(wrong)?.type_info().name() {
                "INT4" => Ok(row.try_get::<Option<i32>, _>(column).map_err(wrong)?.map(i64::from)),
                "BOOL" => Ok(row.try_get::<Option<bool>, _>(column).map_err(wrong)?.map(i64::from)),
                _ => row.try_get(column).map_err(wrong),
            },
        }
    }
}

impl FromColumn for f64 {
    fn from_column(row: &Row, column: &str) -> Result<Option<Self>> {
        match &row.0 {
            // `coalesce(sum(x), 0)` is an integer on SQLite when there are no rows.
            Native::Sqlite(row) => match row.try_get_raw(column).map_err(wrong)?.type_info().name() {
                "INTEGER" => Ok(row.try_get::<Option<i64>, _>(column).map_err(wrong)?.map(|v| v as f64)),
                _ => row.try_get(column).map_err(wrong),
            },
            Native::Postgres(row) => row.try_get(column).map_err(wrong),
        }
    }
}

impl FromColumn for bool {
    fn from_column(row: &Row, column: &str) -> Result<Option<Self>> {
        Ok(i64::from_column(row, column)?.map(|v| v != 0))
    }
}

impl FromColumn for Timestamp {
    fn from_column(row: &Row, column: &str) -> Result<Option<Self>> {
        Ok(i64::from_column(row, column)?.map(Timestamp))
    }
}
