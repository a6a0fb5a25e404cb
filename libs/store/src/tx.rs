//! A connection in use: a transaction, or single statements on a reader.

use crate::classify::Names;
use crate::shared::{Engine, Shared, Signal};
use remit_core::{Error, Result};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Sqlite, SqliteConnection, Transaction};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A connection taken from the pool. Dropping it without [`Tx::commit`] rolls everything back.
pub struct Tx {
    conn: Conn,
    shared: Arc<Shared>,
    signals: Vec<Signal>,
    /// Whether a statement of this transaction has failed.
    failed: Arc<AtomicBool>,
}

pub(crate) enum Conn {
    SqliteTx(Transaction<'static, Sqlite>),
    SqliteRead(PoolConnection<Sqlite>),
    PostgresTx(Transaction<'static, Postgres>),
    PostgresRead(PoolConnection<Postgres>),
}

/// The engine's own connection.
pub(crate) enum Handle<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

/// Classifies the errors of one transaction, and remembers that there was one.
pub(crate) struct Failures {
    names: Names,
    failed: Option<Arc<AtomicBool>>,
}

impl Failures {
    pub(crate) fn classify(&self, error: sqlx::Error) -> Error {
        if let Some(failed) = &self.failed {
            failed.store(true, Ordering::Relaxed);
        }
        self.names.classify(error)
    }
}

impl Tx {
    pub(crate) fn new(conn: Conn, shared: Arc<Shared>) -> Self {
        Self { conn, shared, signals: Vec::new(), failed: Arc::default() }
    }

    /// The connection for the next statement.
    ///
    /// After a failed statement there is none. PostgreSQL refuses what follows and turns a commit into a
    /// rollback without saying so; SQLite goes on, but may have rolled back by itself, so that what follows would
    /// be written alone. Refusing here makes both alike, and a mistake in one visible in tests of the other.
    pub(crate) fn handle(&mut self) -> Result<Handle<'_>> {
        self.refuse_if_failed()?;
        crate::counter::count();
        Ok(match &mut self.conn {
            Conn::SqliteTx(tx) => Handle::Sqlite(tx),
            Conn::SqliteRead(conn) => Handle::Sqlite(conn),
            Conn::PostgresTx(tx) => Handle::Postgres(tx),
            Conn::PostgresRead(conn) => Handle::Postgres(conn),
        })
    }

    /// Whether statements are prepared ahead and kept by their connection. Behind a pooler the next one may be another's.
    pub(crate) fn prepares(&self) -> bool {
        !self.shared.options.transaction_pooler
    }

    /// Which engine it is.
    pub(crate) fn engine(&self) -> Engine {
        match self.conn {
            Conn::SqliteTx(_) | Conn::SqliteRead(_) => Engine::Sqlite,
            Conn::PostgresTx(_) | Conn::PostgresRead(_) => Engine::Postgres,
        }
    }

    /// The service whose database it is.
    pub(crate) fn service(&self) -> &'static str {
        self.shared.service
    }

    fn refuse_if_failed(&self) -> Result<()> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(Error::internal("a statement of this transaction has failed before: begin anew"));
        }
        Ok(())
    }

    /// What turns a driver's error of this transaction into ours.
    pub(crate) fn failures(&self) -> Failures {
        let alone = matches!(self.conn, Conn::SqliteRead(_) | Conn::PostgresRead(_));
        Failures { names: self.shared.names(), failed: (!alone).then(|| self.failed.clone()) }
    }

    pub(crate) fn classify(&self, error: sqlx::Error) -> Error {
        self.failures().classify(error)
    }

    /// Runs several statements without values, for migrations.
    pub(crate) async fn script(&mut self, sql: String) -> Result<()> {
        let script = sqlx::raw_sql(AssertSqlSafe(sql));
        let done = match self.handle()? {
            Handle::Sqlite(conn) => script.execute(conn).await.map(|_| ()),
            Handle::Postgres(conn) => script.execute(conn).await.map(|_| ()),
        };
        done.map_err(|error| self.classify(error))
    }

    pub(crate) fn signal_at_commit(&mut self, signal: Signal) {
        if !self.signals.contains(&signal) {
            self.signals.push(signal);
        }
    }

    /// Makes everything done so far durable and visible, and wakes who waits for it in this process.
    ///
    /// # Errors
    /// As [`crate::classify`] says. After `Unavailable` the outcome is unknown: repeat the call with
    /// the same request id.
    pub async fn commit(self) -> Result<()> {
        self.refuse_if_failed()?;
        let names = self.shared.names();
        match self.conn {
            Conn::SqliteTx(tx) => tx.commit().await,
            Conn::PostgresTx(tx) => tx.commit().await,
            Conn::SqliteRead(_) | Conn::PostgresRead(_) => Ok(()),
        }
        .map_err(|error| names.classify(error))?;
        for signal in self.signals {
            self.shared.raise(signal);
        }
        Ok(())
    }

    /// Undoes everything now instead of when the value is dropped.
    ///
    /// # Errors
    /// As [`crate::classify`] says; the changes are undone all the same.
    pub async fn rollback(self) -> Result<()> {
        let names = self.shared.names();
        match self.conn {
            Conn::SqliteTx(tx) => tx.rollback().await,
            Conn::PostgresTx(tx) => tx.rollback().await,
            Conn::SqliteRead(_) | Conn::PostgresRead(_) => Ok(()),
        }
        .map_err(|error| names.classify(error))
    }
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.conn {
            Conn::SqliteTx(_) => "Tx(sqlite)",
            Conn::SqliteRead(_) => "Tx(sqlite, reading)",
            Conn::PostgresTx(_) => "Tx(postgres)",
            Conn::PostgresRead(_) => "Tx(postgres, reading)",
        })
    }
}
