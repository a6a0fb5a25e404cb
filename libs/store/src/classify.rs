//! The only map from driver errors to [`Error`].
//!
//! | what happened | kind | reason |
//! |---|---|---|
//! | unique constraint or primary key | `AlreadyExists` | `ALREADY_EXISTS` |
//! | foreign key | `FailedPrecondition` | `REFERENCE_MISSING` |
//! | check, not null | `Internal` | `INTERNAL`: input is validated before it gets here |
//! | busy, locked, serialisation, deadlock, lock timeout | `Conflict` | `WRITE_CONFLICT` |
//! | no connection free in time | `Unavailable` | `DATABASE_BUSY` |
//! | the server has no connection left to give | `Unavailable` | `DATABASE_CONNECTIONS` |
//! | connection refused or lost, server starting or stopping | `Unavailable` | `DATABASE_UNAVAILABLE` |
//! | wrong user or password, unknown database, missing grant | `Unavailable` | `DATABASE_REFUSED` |
//! | disk full | `Unavailable` | `STORAGE_FULL` |
//! | input or output error, damaged or read-only file | `Unavailable` | `STORAGE_FAILED` |
//! | statement timeout | `DeadlineExceeded` | `STATEMENT_TIMEOUT` |
//! | anything else | `Internal` | `INTERNAL` |
//!
//! A service that gives a broken constraint its own meaning asks [`violation`] for its name.

use remit_core::{Error, Kind};
use sqlx::error::ErrorKind;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Which kind of constraint was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A primary key or unique constraint or index.
    Unique,
    /// A foreign key.
    ForeignKey,
    /// A check.
    Check,
    /// A column that must have a value.
    NotNull,
}

/// A broken constraint, the source of the errors that report one.
#[derive(Debug)]
pub struct Violation {
    /// The kind of constraint.
    pub broken: Broken,
    /// Its name as in the migration. SQLite does not tell the name of a foreign key: then empty.
    pub constraint: String,
    source: sqlx::Error,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} constraint {} is broken", self.broken, self.constraint)
    }
}

impl std::error::Error for Violation {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The constraint that `error` reports as broken, if it does.
pub fn violation(error: &Error) -> Option<&Violation> {
    std::error::Error::source(error)?.downcast_ref()
}

/// The names of unique constraints by the columns that SQLite reports instead of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(pub(crate) Arc<HashMap<String, String>>);

impl Names {
    pub(crate) fn classify(&self, error: sqlx::Error) -> Error {
        match &error {
            sqlx::Error::Database(database) => {
                let broken = match database.kind() {
                    ErrorKind::UniqueViolation => Broken::Unique,
                    ErrorKind::ForeignKeyViolation => Broken::ForeignKey,
                    ErrorKind::CheckViolation => Broken::Check,
                    ErrorKind::NotNullViolation => Broken::NotNull,
                    _ => return by_code(error),
                };
                let constraint = match database.constraint() {
                    Some(name) => name.to_owned(),
                    None => self.in_message(database.message()),
                };
                violated(Violation { broken, constraint, source: error })
            }
            _ => by_driver(error),
        }
    }

    /// SQLite says `UNIQUE constraint failed: tasks.tenant_id, tasks.task_id`,
    /// `CHECK constraint failed: tasks_risk` and `NOT NULL constraint failed: tasks.name`.
    fn in_message(&self, message: &str) -> String {
        let what = message.split_once("failed: ").map_or("", |(_, what)| what);
        let what = what.strip_prefix("index '").and_then(|name| name.strip_suffix('\'')).unwrap_or(what);
        self.0.get(what).cloned().unwrap_or_else(|| what.to_owned())
    }
}

fn violated(violation: Violation) -> Error {
    let name = violation.constraint.clone();
    match violation.broken {
        Broken::Unique => Error::new(Kind::AlreadyExists, "ALREADY_EXISTS", format!("exists already ({name})")),
        Broken::ForeignKey => Error::precondition("REFERENCE_MISSING", "refers to something that does not exist"),
        Broken::Check | Broken::NotNull => Error::internal(format!("constraint {name} refused a row")),
    }
    .with_source(violation)
}

const RETRY: Duration = Duration::from_secs(1);

fn unavailable(reason: &'static str, message: &str, error: sqlx::Error) -> Error {
    Error::new(Kind::Unavailable, reason, message).with_retry_after(RETRY).with_source(error)
}

fn by_code(error: sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|e| e.code().map(|c| c.into_owned())).unwrap_or_default();
    // PostgreSQL's codes have five characters; SQLite's extended codes keep the primary code in the
    // low byte (https://www.sqlite.org/rescode.html).
    let sqlite = if code.len() == 5 { None } else { code.parse::<i64>().ok().map(|code| code & 0xff) };
    match (sqlite, code.as_str()) {
        (Some(5 | 6), _) | (None, "40001" | "40P01" | "55P03") => {
            Error::new(Kind::Conflict, "WRITE_CONFLICT", "another writer was faster")
                .with_retry_after(Duration::from_millis(50))
                .with_source(error)
        }
        (Some(13), _) | (None, "53100") => unavailable("STORAGE_FULL", "the disk of the database is full", error),
        (Some(8 | 10 | 11 | 14 | 26), _) | (None, "58030" | "XX001" | "XX002") => {
            unavailable("STORAGE_FAILED", "the database's storage failed", error)
        }
        (None, "57014") => {
            Error::new(Kind::DeadlineExceeded, "STATEMENT_TIMEOUT", "the statement took too long").with_source(error)
        }
        (None, "42501" | "3D000" | "3F000") => {
            unavailable("DATABASE_REFUSED", "the database refused the connection or a grant is missing", error)
        }
        (None, code) if code.starts_with("28") => {
            unavailable("DATABASE_REFUSED", "the database refused the user or password", error)
        }
        (None, "53300") => {
            let text = "the database has given all of its connections: raise its max_connections, or lower \
                        database.connections of the processes that share it";
            unavailable("DATABASE_CONNECTIONS", text, error)
        }
        (None, code)
            if code.starts_with("08") || code.starts_with("53") || code.starts_with("57P") || code == "25006" =>
        {
            unavailable("DATABASE_UNAVAILABLE", "the database is not available", error)
        }
        _ => Error::internal("a statement failed").with_source(error),
    }
}

fn by_driver(error: sqlx::Error) -> Error {
    match &error {
        sqlx::Error::PoolTimedOut => unavailable("DATABASE_BUSY", "no database connection became free in time", error),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => unavailable("DATABASE_UNAVAILABLE", "the database cannot be reached", error),
        _ => Error::internal("a statement failed").with_source(error),
    }
}

/// Whether SQLite is busy with another connection.
pub(crate) fn is_conflict(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code().and_then(|code| code.parse::<i64>().ok()));
    code.is_some_and(|code| matches!(code & 0xff, 5 | 6))
}

/// Whether the server has no connection left to give.
pub(crate) fn lacks_connections(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "53300")
}

/// An error without a connection at hand to name constraints.
pub(crate) fn plain(error: sqlx::Error) -> Error {
    Names::default().classify(error)
}

/// A column that is not there or not of the type asked for.
pub(crate) fn decode(error: sqlx::Error) -> Error {
    Error::internal("a column could not be read").with_source(error)
}
