//! Many rows in one statement: arrays and `unnest` on PostgreSQL, chunks of `values` on SQLite.

use crate::query::{Sql, postgres_arguments, sqlite_arguments};
use crate::shared::Engine;
use crate::tx::{Handle, Tx};
use crate::value::{Native, Row, Value};
use remit_core::{Error, Result};
use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, AssertSqlSafe};

/// The rows of one insert, column by column.
///
/// ```no_run
/// # use remit_store::{BulkInsert, Tx};
/// # async fn insert(tx: &mut Tx, tenants: Vec<String>, numbers: Vec<i64>) -> remit_core::Result<()> {
/// BulkInsert::into("entries").text("tenant_id", tenants).bigint("idx", numbers).execute(tx).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a bulk insert does nothing until it is executed"]
pub struct BulkInsert {
    table: &'static str,
    columns: Vec<(&'static str, Cells)>,
    conflict: Option<&'static str>,
    returning: Option<&'static str>,
    claim: Option<Sql>,
}

/// One column's values.
#[derive(Debug)]
pub(crate) enum Cells {
    Int(Vec<Option<i64>>),
    Double(Vec<Option<f64>>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Cells {
    fn len(&self) -> usize {
        match self {
            Self::Int(cells) => cells.len(),
            Self::Double(cells) => cells.len(),
            Self::Text(cells) => cells.len(),
            Self::Bytes(cells) => cells.len(),
        }
    }

    fn array(&self) -> &'static str {
        match self {
            Self::Int(_) => "bigint[]",
            Self::Double(_) => "double precision[]",
            Self::Text(_) => "text[]",
            Self::Bytes(_) => "bytea[]",
        }
    }

    fn check(&self) -> Result<()> {
        match self {
            Self::Text(cells) if cells.iter().flatten().any(|text| text.contains('\0')) => {
                Value::Text(Some("\0".to_owned())).check()
            }
            Self::Double(cells) if cells.iter().flatten().any(|number| number.is_nan()) => {
                Value::Double(Some(f64::NAN)).check()
            }
            _ => Ok(()),
        }
    }

    /// Appends a value of this kind. One of another kind is left out, and the insert refused for its length.
    fn push(&mut self, value: Value) {
        match (self, value) {
            (Self::Int(cells), Value::Int(cell)) => cells.push(cell),
            (Self::Double(cells), Value::Double(cell)) => cells.push(cell),
            (Self::Text(cells), Value::Text(cell)) => cells.push(cell),
            (Self::Bytes(cells), Value::Bytes(cell)) => cells.push(cell),
            _ => {}
        }
    }

    /// Takes the value of row `at`, which is then gone.
    fn take(&mut self, at: usize) -> Value {
        match self {
            Self::Int(cells) => Value::Int(cells.get_mut(at).and_then(Option::take)),
            Self::Double(cells) => Value::Double(cells.get_mut(at).and_then(Option::take)),
            Self::Text(cells) => Value::Text(cells.get_mut(at).and_then(Option::take)),
            Self::Bytes(cells) => Value::Bytes(cells.get_mut(at).and_then(Option::take)),
        }
    }
}

fn options<T, V: Into<Option<T>>>(cells: impl IntoIterator<Item = V>) -> Vec<Option<T>> {
    cells.into_iter().map(Into::into).collect()
}

/// Rows a chunk on SQLite. Few sizes, so that the statements stay in the cache.
const CHUNKS: [usize; 5] = [256, 64, 16, 4, 1];
/// SQLite's default limit of values in one statement.
const SQLITE_VALUES: usize = 32_766;

impl BulkInsert {
    /// Starts an insert into `table`.
    pub fn into(table: &'static str) -> Self {
        Self { table, columns: Vec::new(), conflict: None, returning: None, claim: None }
    }

    /// A column of text; cells may be `Option`.
    pub fn text<V: Into<Option<String>>>(mut self, column: &'static str, cells: impl IntoIterator<Item = V>) -> Self {
        self.columns.push((column, Cells::Text(options(cells))));
        self
    }

    /// A column of integers; cells may be `Option`.
    pub fn bigint<V: Into<Option<i64>>>(mut self, column: &'static str, cells: impl IntoIterator<Item = V>) -> Self {
        self.columns.push((column, Cells::Int(options(cells))));
        self
    }

    /// A column of floating-point numbers; cells may be `Option`.
    pub fn double<V: Into<Option<f64>>>(mut self, column: &'static str, cells: impl IntoIterator<Item = V>) -> Self {
        self.columns.push((column, Cells::Double(options(cells))));
        self
    }

    /// A column of byte strings; cells may be `Option`.
    pub fn bytes<V: Into<Option<Vec<u8>>>>(mut self, column: &'static str, cells: impl IntoIterator<Item = V>) -> Self {
        self.columns.push((column, Cells::Bytes(options(cells))));
        self
    }

    /// A column of values that are all of the kind of the first.
    pub fn values(mut self, column: &'static str, values: Vec<Value>) -> Self {
        let mut cells = match values.first() {
            Some(Value::Int(_)) => Cells::Int(Vec::new()),
            Some(Value::Double(_)) => Cells::Double(Vec::new()),
            Some(Value::Bytes(_)) => Cells::Bytes(Vec::new()),
            Some(Value::Text(_)) | None => Cells::Text(Vec::new()),
        };
        values.into_iter().for_each(|value| cells.push(value));
        self.columns.push((column, cells));
        self
    }

    /// Skips rows that break a unique constraint, also against earlier rows of the same insert.
    pub fn on_conflict_do_nothing(self) -> Self {
        self.on_conflict("do nothing")
    }

    /// What to do with rows that break a unique constraint, as it follows `on conflict`:
    /// `"(tenant_id, day) do update set n = totals.n + excluded.n"`. With `do update`, no key may occur
    /// twice in one insert: PostgreSQL refuses that.
    pub fn on_conflict(mut self, clause: &'static str) -> Self {
        self.conflict = Some(clause);
        self
    }

    /// Inserts only if the statement `claim`, an `update` without `returning`, finds its row: in one round trip where the
    /// engine can. Otherwise no row is inserted, which the count says.
    pub fn claiming(mut self, claim: Sql) -> Self {
        self.claim = Some(claim);
        self
    }

    /// Inserts the rows and returns how many were inserted or updated.
    ///
    /// # Errors
    /// `Internal` if the columns differ in length, else as [`crate::classify`] says.
    pub async fn execute(self, tx: &mut Tx) -> Result<u64> {
        self.run(tx).await.map(|(count, _)| count)
    }

    /// Inserts the rows and returns `columns` (such as `"event_id, seq"`) of those that were inserted.
    ///
    /// # Errors
    /// As [`BulkInsert::execute`].
    pub async fn returning(mut self, columns: &'static str, tx: &mut Tx) -> Result<Vec<Row>> {
        self.returning = Some(columns);
        self.run(tx).await.map(|(_, rows)| rows)
    }

    fn tail(&self) -> String {
        let mut tail = String::new();
        if let Some(clause) = self.conflict {
            tail.push_str(" on conflict ");
            tail.push_str(clause);
        }
        if let Some(columns) = self.returning {
            tail.push_str(" returning ");
            tail.push_str(columns);
        }
        tail
    }

    async fn run(mut self, tx: &mut Tx) -> Result<(u64, Vec<Row>)> {
        let prepares = tx.prepares();
        let rows = self.columns.first().map_or(0, |(_, cells)| cells.len());
        if let Some((name, cells)) = self.columns.iter().find(|(_, cells)| cells.len() != rows) {
            return Err(Error::internal(format!(
                "bulk insert into {}: column {name} has {} rows, the first column {rows}",
                self.table,
                cells.len()
            )));
        }
        for (_, cells) in &self.columns {
            cells.check()?;
        }
        if rows == 0 {
            return Ok((0, Vec::new()));
        }
        let claim = self.claim.take();
        let names = self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        if let (Engine::Sqlite, Some(claim)) = (tx.engine(), claim.clone())
            && claim.query().execute(tx).await? == 0
        {
            return Ok((0, Vec::new()));
        }
        let done = match tx.handle()? {
            Handle::Postgres(conn) => {
                let claimed = claim.is_some();
                let (claim, values) = claim.unwrap_or_default().into_parts();
                let first = values.len() + 1;
                let arrays: Vec<String> = self
                    .columns
                    .iter()
                    .enumerate()
                    .map(|(at, (_, c))| format!("${}::{}", at + first, c.array()))
                    .collect();
                let (claim, condition) = if claimed {
                    (format!("with claimed as ({claim} returning 1) "), " where exists (select 1 from claimed)")
                } else {
                    (claim, "")
                };
                let sql = format!(
                    "{claim}insert into {} ({names}) select * from unnest({}) as rows{condition}{}",
                    self.table,
                    arrays.join(", "),
                    self.tail()
                );
                let returning = self.returning.is_some();
                let cells = self.columns.into_iter().map(|(_, cells)| cells).collect();
                bulk_postgres(conn, sql, postgres_arguments(values)?, cells, returning, prepares).await
            }
            Handle::Sqlite(conn) => self.run_sqlite(conn, rows, &names).await,
        };
        done.map_err(|error| tx.classify(error))
    }

    async fn run_sqlite(
        mut self,
        conn: &mut sqlx::SqliteConnection,
        rows: usize,
        names: &str,
    ) -> Result<(u64, Vec<Row>), sqlx::Error> {
        let width = self.columns.len();
        let (mut at, mut count, mut found) = (0, 0, Vec::new());
        while at < rows {
            let size = CHUNKS.into_iter().find(|size| *size <= rows - at && size * width <= SQLITE_VALUES).unwrap_or(1);
            let mut sql = format!("insert into {} ({names}) values ", self.table);
            let mut values = Vec::with_capacity(size * width);
            for row in 0..size {
                sql.push_str(if row == 0 { "(" } else { ", (" });
                for (column, (_, cells)) in self.columns.iter_mut().enumerate() {
                    if column > 0 {
                        sql.push_str(", ");
                    }
                    values.push(cells.take(at + row));
                    // Without a number: SQLite looks up numbered parameters one by one in a list, which took
                    // two thirds of the time of an insert of a thousand rows.
                    sql.push('?');
                }
                sql.push(')');
            }
            sql.push_str(&self.tail());
            let (inserted, rows) = bulk_sqlite(conn, sql, values, self.returning.is_some()).await?;
            count += inserted;
            found.extend(rows.into_iter().map(|row| Row(Native::Sqlite(row))));
            at += size;
        }
        Ok((count, found))
    }
}

/// Inserts arrays. The text is made of the literals given to [`BulkInsert`].
async fn bulk_postgres(
    conn: &mut sqlx::PgConnection,
    sql: String,
    mut arguments: PgArguments,
    columns: Vec<Cells>,
    returning: bool,
    prepares: bool,
) -> Result<(u64, Vec<Row>), sqlx::Error> {
    for cells in columns {
        match cells {
            Cells::Int(cells) => arguments.add(cells),
            Cells::Double(cells) => arguments.add(cells),
            Cells::Text(cells) => arguments.add(cells),
            Cells::Bytes(cells) => arguments.add(cells),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    let statement = sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(prepares);
    if returning {
        let rows = statement.fetch_all(conn).await?;
        Ok((rows.len() as u64, rows.into_iter().map(|row| Row(Native::Postgres(row))).collect()))
    } else {
        Ok((statement.execute(conn).await?.rows_affected(), Vec::new()))
    }
}

/// Inserts one chunk of values. The text is made of the literals given to [`BulkInsert`].
async fn bulk_sqlite(
    conn: &mut sqlx::SqliteConnection,
    sql: String,
    values: Vec<Value>,
    returning: bool,
) -> Result<(u64, Vec<sqlx::sqlite::SqliteRow>), sqlx::Error> {
    let arguments = sqlite_arguments(values).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let statement = sqlx::query_with(AssertSqlSafe(sql), arguments);
    if returning {
        let rows = statement.fetch_all(conn).await?;
        Ok((rows.len() as u64, rows))
    } else {
        Ok((statement.execute(conn).await?.rows_affected(), Vec::new()))
    }
}
