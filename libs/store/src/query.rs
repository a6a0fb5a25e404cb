//! One statement and its values, for whichever engine is open.

use crate::filter::Fragment;
use crate::shared::Engine;
use crate::tx::{Handle, Tx};
use crate::value::{Native, Row, Value};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use remit_core::{Error, Result};
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe, SqlSafeStr as _, SqlStr};
use tracing::{Instrument as _, Span};

/// Starts a statement with `$1`, `$2`, … for its values. The text is the same on both engines; see
/// the crate's documentation for what is portable.
pub fn query(sql: &'static str) -> Query {
    Query { sql: sql.into_sql_str(), values: Vec::new() }
}

/// A statement with its values.
#[derive(Debug)]
#[must_use = "a query does nothing until it is executed or fetched"]
pub struct Query {
    sql: SqlStr,
    values: Vec<Value>,
}

impl Query {
    /// Binds the next value.
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// What a trace shows of the statement: its text, in which no value stands.
    fn span(&self, tx: &Tx) -> Span {
        let (engine, service) = (tx.engine(), tx.service());
        let system = if engine == Engine::Sqlite { "sqlite" } else { "postgresql" };
        tracing::info_span!(
            target: "remit::sql",
            "sql",
            otel.kind = "client",
            db.system.name = system,
            db.namespace = service,
            db.query.text = self.sql.as_str(),
        )
    }

    /// Runs the statement and returns how many rows it changed.
    ///
    /// # Errors
    /// As [`crate::classify`] says.
    pub async fn execute(self, tx: &mut Tx) -> Result<u64> {
        let (prepares, span) = (tx.prepares(), self.span(tx));
        let done = match tx.handle()? {
            Handle::Sqlite(conn) => sqlx::query_with(self.sql, sqlite_arguments(self.values)?)
                .execute(conn)
                .instrument(span)
                .await
                .map(|done| done.rows_affected()),
            Handle::Postgres(conn) => sqlx::query_with(self.sql, postgres_arguments(self.values)?)
                .persistent(prepares)
                .execute(conn)
                .instrument(span)
                .await
                .map(|done| done.rows_affected()),
        };
        done.map_err(|error| tx.classify(error))
    }

    /// Runs the statement and returns its first row, if any.
    ///
    /// # Errors
    /// As [`crate::classify`] says.
    pub async fn fetch_optional(self, tx: &mut Tx) -> Result<Option<Row>> {
        let (prepares, span) = (tx.prepares(), self.span(tx));
        let found = match tx.handle()? {
            Handle::Sqlite(conn) => sqlx::query_with(self.sql, sqlite_arguments(self.values)?)
                .fetch_optional(conn)
                .instrument(span)
                .await
                .map(|row| row.map(Native::Sqlite)),
            Handle::Postgres(conn) => sqlx::query_with(self.sql, postgres_arguments(self.values)?)
                .persistent(prepares)
                .fetch_optional(conn)
                .instrument(span)
                .await
                .map(|row| row.map(Native::Postgres)),
        };
        Ok(found.map_err(|error| tx.classify(error))?.map(Row))
    }

    /// Runs the statement and returns its only row.
    ///
    /// # Errors
    /// `Internal` if there is none, else as [`crate::classify`] says.
    pub async fn fetch_one(self, tx: &mut Tx) -> Result<Row> {
        self.fetch_optional(tx).await?.ok_or_else(|| Error::internal("a statement that always has a row had none"))
    }

    /// Runs the statement and returns all its rows. Bound the statement with `limit`.
    ///
    /// # Errors
    /// As [`crate::classify`] says.
    pub async fn fetch_all(self, tx: &mut Tx) -> Result<Vec<Row>> {
        let (prepares, span) = (tx.prepares(), self.span(tx));
        let found = match tx.handle()? {
            Handle::Sqlite(conn) => sqlx::query_with(self.sql, sqlite_arguments(self.values)?)
                .fetch_all(conn)
                .instrument(span)
                .await
                .map(|rows| rows.into_iter().map(|row| Row(Native::Sqlite(row))).collect()),
            Handle::Postgres(conn) => sqlx::query_with(self.sql, postgres_arguments(self.values)?)
                .persistent(prepares)
                .fetch_all(conn)
                .instrument(span)
                .await
                .map(|rows| rows.into_iter().map(|row| Row(Native::Postgres(row))).collect()),
        };
        found.map_err(|error| tx.classify(error))
    }

    /// Runs the statement and gives its rows one by one, holding few of them in memory.
    pub fn stream(self, tx: &mut Tx) -> BoxStream<'_, Result<Row>> {
        match self.rows(tx) {
            Ok(rows) => rows,
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        }
    }

    fn rows(self, tx: &mut Tx) -> Result<BoxStream<'_, Result<Row>>> {
        let prepares = tx.prepares();
        let failures = tx.failures();
        let rows = match tx.handle()? {
            Handle::Sqlite(conn) => sqlx::query_with(self.sql, sqlite_arguments(self.values)?)
                .fetch(conn)
                .map(|row| row.map(|row| Row(Native::Sqlite(row))))
                .boxed(),
            Handle::Postgres(conn) => sqlx::query_with(self.sql, postgres_arguments(self.values)?)
                .persistent(prepares)
                .fetch(conn)
                .map(|row| row.map(|row| Row(Native::Postgres(row))))
                .boxed(),
        };
        Ok(rows.map(move |row| row.map_err(|error| failures.classify(error))).boxed())
    }
}

pub(crate) fn sqlite_arguments(values: Vec<Value>) -> Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        value.check()?;
        match value {
            Value::Int(v) => arguments.add(v),
            Value::Double(v) => arguments.add(v),
            Value::Text(v) => arguments.add(v),
            Value::Bytes(v) => arguments.add(v),
        }
        .map_err(|error| Error::internal("a value could not be encoded").with_source(error))?;
    }
    Ok(arguments)
}

pub(crate) fn postgres_arguments(values: Vec<Value>) -> Result<PgArguments> {
    let mut arguments = PgArguments::default();
    for value in values {
        value.check()?;
        match value {
            Value::Int(v) => arguments.add(v),
            Value::Double(v) => arguments.add(v),
            Value::Text(v) => arguments.add(v),
            Value::Bytes(v) => arguments.add(v),
        }
        .map_err(|error| Error::internal("a value could not be encoded").with_source(error))?;
    }
    Ok(arguments)
}

/// The direction of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Smallest key first.
    #[default]
    Ascending,
    /// Largest key first.
    Descending,
}

/// A statement built from literal pieces and bound values, for lists with filters and pages.
///
/// Only string literals can become SQL text: whatever comes from a request can only be bound.
#[derive(Debug, Clone, Default)]
pub struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    /// Starts with `text`.
    pub fn new(text: &'static str) -> Self {
        Self { text: text.to_owned(), values: Vec::new() }
    }

    /// Appends `text`.
    #[must_use]
    pub fn push(mut self, text: &'static str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Appends a placeholder for `value`.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self.text.push('$');
        self.text.push_str(&self.values.len().to_string());
        self
    }

    /// Appends `($1, $2, …)` to stand after `in`. No value: a list that nothing is in.
    #[must_use]
    pub fn bind_list<V: Into<Value>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        let mut values: Vec<Value> = values.into_iter().map(Into::into).collect();
        let Some(last) = values.last().cloned() else { return self.push("(null)") };
        // Padded to a power of two with what is in the list already, so that lists of any length share a
        // few statements in the cache.
        values.resize(values.len().next_power_of_two(), last);
        self.text.push('(');
        for (at, value) in values.into_iter().enumerate() {
            if at > 0 {
                self.text.push_str(", ");
            }
            self = self.bind(value);
        }
        self.push(")")
    }

    /// Appends ` and (…)` for a parsed filter, or nothing if it is empty.
    #[must_use]
    pub fn and_filter(mut self, filter: &Fragment) -> Self {
        if filter.is_empty() {
            return self;
        }
        self.text.push_str(" and (");
        for part in filter.parts() {
            self = match part {
                crate::filter::Part::Sql(text) => self.push(text),
                crate::filter::Part::Bind(value) => self.bind(value.clone()),
            };
        }
        self.push(")")
    }

    /// Appends ` and (a, b) > ($1, $2)` to go on after the row whose key is `after`; nothing on the
    /// first page. `columns` and `after` go together in number and order, as the token guarantees.
    #[must_use]
    pub fn and_after(mut self, columns: &[&'static str], order: Order, after: Option<&[Value]>) -> Self {
        let Some(after) = after else { return self };
        self.text.push_str(" and (");
        self.text.push_str(&columns.join(", "));
        self.text.push_str(match order {
            Order::Ascending => ") > (",
            Order::Descending => ") < (",
        });
        for (at, value) in after.iter().enumerate() {
            if at > 0 {
                self.text.push_str(", ");
            }
            self = self.bind(value.clone());
        }
        self.push(")")
    }

    /// Appends ` order by a, b limit n`.
    #[must_use]
    pub fn order_limit(mut self, columns: &[&'static str], order: Order, limit: i64) -> Self {
        let direction = match order {
            Order::Ascending => "",
            Order::Descending => " desc",
        };
        for (at, column) in columns.iter().enumerate() {
            self.text.push_str(if at == 0 { " order by " } else { ", " });
            self.text.push_str(column);
            self.text.push_str(direction);
        }
        self.push(" limit ").bind(limit)
    }

    /// The text and its values, to become part of another statement.
    pub(crate) fn into_parts(self) -> (String, Vec<Value>) {
        (self.text, self.values)
    }

    /// The statement.
    pub fn query(self) -> Query {
        // Sound because `text` is made of literals and placeholders only; see the methods above.
        Query { sql: AssertSqlSafe(self.text).into_sql_str(), values: self.values }
    }
}
