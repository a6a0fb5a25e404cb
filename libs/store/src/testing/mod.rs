//! What the tests of every crate with a database share: a fresh database per case on each engine, and
//! the rules that every migration must keep.
//!
//! SQLite is always tested. PostgreSQL is tested where `REMIT_TEST_POSTGRES_URL` names a server on
//! which databases may be created; with `REMIT_TEST_REQUIRE_POSTGRES=1` its absence is a failure, so
//! that no pipeline passes by testing half.

mod template;

use crate::classify;
use crate::{Db, Options, Schema};
use remit_core::{Error, Ids, Result};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use std::future::Future;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

pub use crate::catalog::check_migrations;
pub use crate::statements::check_statements;

/// Names the server on which tests create their databases.
pub const POSTGRES_URL: &str = "REMIT_TEST_POSTGRES_URL";
/// The `host:port` of a pooler through which tests use the databases that they have created past it.
pub const POOLER: &str = "REMIT_TEST_POOLER";
/// `1` where that pooler gives each transaction any of its connections.
pub const TRANSACTION_POOLER: &str = "REMIT_TEST_TRANSACTION_POOLER";
/// Makes the absence of a server a failure.
pub const REQUIRE_POSTGRES: &str = "REMIT_TEST_REQUIRE_POSTGRES";

/// A fresh database that goes away with this value.
#[derive(Debug)]
pub struct TestDb {
    url: String,
    _home: Home,
}

#[derive(Debug)]
enum Home {
    Directory(#[allow(dead_code, reason = "kept until the test ends")] TempDir),
    Server(#[allow(dead_code, reason = "kept until the test ends")] Database),
}

impl TestDb {
    /// A SQLite file in a directory of its own.
    ///
    /// # Errors
    /// `Internal` if no temporary directory can be made.
    pub fn sqlite() -> Result<Self> {
        let dir = TempDir::new().map_err(|e| Error::internal("no temporary directory").with_source(e))?;
        Ok(Self { url: format!("sqlite:{}", dir.path().join("test.db").display()), _home: Home::Directory(dir) })
    }

    /// A database on the test server; `None` if no server is named and none is required.
    ///
    /// # Errors
    /// `FailedPrecondition` if a server is required and none is named; else what the server says.
    pub async fn postgres() -> Result<Option<Self>> {
        let database = Database::create().await?;
        Ok(database.map(|database| Self { url: database.url.clone(), _home: Home::Server(database) }))
    }

    /// The same with the tables of all of `schemas` in it, each in a schema that is named after its service.
    ///
    /// # Errors
    /// As [`TestDb::postgres`] and [`Db::open`].
    pub async fn postgres_with(schemas: &[Schema]) -> Result<Option<Self>> {
        let database = Database::create_like(schemas).await?;
        Ok(database.map(|database| Self { url: database.url.clone(), _home: Home::Server(database) }))
    }

    /// The same with its files in `directory`, in which this process and the server's must both be able to
    /// make folders: a full disk can then be had without filling the server's own.
    ///
    /// # Errors
    /// As [`TestDb::postgres`]; `FailedPrecondition` if the server does not run on this machine.
    pub async fn postgres_in(directory: &Path) -> Result<Option<Self>> {
        let database = Database::create_in(Some(directory)).await?;
        Ok(database.map(|database| Self { url: database.url.clone(), _home: Home::Server(database) }))
    }

    /// The URL, for programs that open it themselves.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Opens it. Opening twice is what two replicas do.
    ///
    /// # Errors
    /// As [`Db::open`].
    pub async fn open(&self, schema: &Schema) -> Result<Db> {
        self.open_with(schema, Options::default()).await
    }

    /// Opens it with options.
    ///
    /// # Errors
    /// As [`Db::open`].
    pub async fn open_with(&self, schema: &Schema, options: Options) -> Result<Db> {
        let transaction_pooler = options.transaction_pooler || transaction_pooler();
        Db::open(&self.url, schema, ids(), Options { transaction_pooler, ..options }).await
    }
}

/// Whether the databases of tests are behind a pooler that gives each transaction any of its connections.
pub fn transaction_pooler() -> bool {
    std::env::var(TRANSACTION_POOLER).is_ok_and(|value| value == "1")
}

/// Ids with real randomness.
pub fn ids() -> Arc<Ids> {
    Arc::new(Ids::new(Box::new(|bytes| rand::fill(bytes))))
}

/// A database on the test server, dropped with this value.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
    tablespace: bool,
    /// Where it is.
    pub url: String,
}

impl Database {
    /// Creates a database with a name of its own; `None` if no server is named and none is required.
    ///
    /// # Errors
    /// `FailedPrecondition` if a server is required and none is named; else what the server says.
    pub async fn create() -> Result<Option<Self>> {
        Self::create_in(None).await
    }

    async fn create_like(schemas: &[Schema]) -> Result<Option<Self>> {
        let Some(server) = server()? else { return Ok(None) };
        let (name, template) = (unique(), template::find(&server, schemas).await?);
        run(&server, format!("create database {name} template {template}")).await?;
        Ok(Some(Self::at(server, name, false)))
    }

    async fn create_in(directory: Option<&Path>) -> Result<Option<Self>> {
        let Some(server) = server()? else { return Ok(None) };
        let name = unique();
        // With a linguistic order, where the server can (from PostgreSQL 15 on), so that a column that
        // should be `$KEY` and is not is noticed by its order.
        let mut create = format!("create database {name} template template0");
        if let Some(directory) = directory {
            let path = tablespace(&server, directory).await?;
            run(&server, format!("create tablespace {name} location '{path}'")).await?;
            create += &format!(" tablespace {name}");
        }
        if run(&server, format!("{create} locale_provider icu icu_locale 'en-US'")).await.is_err() {
            run(&server, create).await?;
        }
        Ok(Some(Self::at(server, name, directory.is_some())))
    }

    fn at(server: String, name: String, tablespace: bool) -> Self {
        let direct = Self::past_the_pooler(&server, &name);
        let url = match std::env::var(POOLER) {
            Ok(pooler) if !pooler.is_empty() => through(&direct, &pooler),
            _ => direct,
        };
        Self { server, name, tablespace, url }
    }

    /// Where a database of the server is.
    fn past_the_pooler(server: &str, name: &str) -> String {
        let (base, parameters) = server.split_once('?').unwrap_or((server, ""));
        // The database is what follows the last slash after the authority.
        let authority = base.find("://").map_or(0, |at| at + 3);
        let end = base[authority..].find('/').map_or(base.len(), |at| authority + at);
        let url = format!("{}/{name}", &base[..end]);
        if parameters.is_empty() { url } else { format!("{url}?{parameters}") }
    }
}

/// A URL with another host and port.
fn through(url: &str, pooler: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(start);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let who = authority.rsplit_once('@').map(|(who, _)| format!("{who}@")).unwrap_or_default();
    format!("{scheme}{who}{pooler}/{path}")
}

/// The test server; `None` if none is named and none is required.
fn server() -> Result<Option<String>> {
    let server = std::env::var(POSTGRES_URL).ok().filter(|url| !url.is_empty());
    if server.is_none() && std::env::var(REQUIRE_POSTGRES).is_ok_and(|value| value == "1") {
        let text = format!("{REQUIRE_POSTGRES} is 1 and {POSTGRES_URL} names no server");
        return Err(Error::precondition("TEST_SERVER_MISSING", text));
    }
    Ok(server)
}

fn unique() -> String {
    format!("remit_test_{:016x}", rand::random::<u64>())
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name, tablespace) = (self.server.clone(), self.name.clone(), self.tablespace);
        let drop = async move {
            run(&server, format!("drop database if exists {name} with (force)")).await?;
            if tablespace { run(&server, format!("drop tablespace {name}")).await } else { Ok(()) }
        };
        // On a thread with a runtime of its own, because a destructor cannot wait for another task.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(drop))
        })
        .join();
        if !matches!(dropped, Ok(Ok(Ok(())))) {
            tracing::warn!(database = self.name, "a test database was left behind");
        }
    }
}

/// A new folder in `directory` that the server, which must run on this machine, may keep a tablespace in.
async fn tablespace(server: &str, directory: &Path) -> Result<String> {
    let elsewhere = |why: &str| Error::precondition("TEST_SERVER_ELSEWHERE", format!("the test server {why}"));
    let mut conn = PgConnection::connect(server).await.map_err(classify::plain)?;
    let data: String = sqlx::query_scalar("show data_directory").fetch_one(&mut conn).await.map_err(classify::plain)?;
    conn.close().await.map_err(classify::plain)?;
    let data = std::fs::metadata(data).map_err(|_| elsewhere("does not run on this machine"))?;
    let path = directory.join("tablespace");
    let made = std::fs::create_dir(&path).and_then(|()| {
        let own = std::fs::metadata(&path)?.uid() == data.uid();
        if own { Ok(()) } else { chown(&path, Some(data.uid()), Some(data.gid())) }
    });
    made.map_err(|error| elsewhere(&format!("cannot be given {}: {error}", path.display())))?;
    Ok(path.display().to_string())
}

async fn run(server: &str, sql: String) -> Result<()> {
    let mut conn = PgConnection::connect(server).await.map_err(classify::plain)?;
    // Sound because callers build `sql` from literals and names made here.
    conn.execute(AssertSqlSafe(sql)).await.map_err(classify::plain)?;
    conn.close().await.map_err(classify::plain)
}

/// Runs `test` on a fresh database of each engine.
///
/// # Errors
/// The first error of a run, with the name of the engine in front.
pub async fn each_engine<F, Fut>(test: F) -> Result<()>
where
    F: Fn(Arc<TestDb>) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let named = |engine: &str, error: Error| {
        Error::new(error.kind(), error.reason(), format!("on {engine}: {error}")).with_source(error)
    };
    test(Arc::new(TestDb::sqlite()?)).await.map_err(|error| named("sqlite", error))?;
    if let Some(database) = TestDb::postgres().await? {
        test(Arc::new(database)).await.map_err(|error| named("postgres", error))?;
    }
    Ok(())
}
