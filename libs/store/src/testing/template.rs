//! A database that holds the tables of a whole suite, from which each test's is copied: the migrations of all services
//! are run once for a server and not once a test.

use super::{Database, ids, run};
use crate::{Db, Options, Schema, classify};
use remit_core::digest::sha256;
use remit_core::{Error, Result};
use sqlx::{Connection as _, PgConnection};

const PREFIX: &str = "remit_template_";

/// Whoever makes a template holds this advisory lock of the test server.
const LOCK: i64 = 0x7265_6d69_7400;

/// The template of these tables on the server, made if it is not there; templates of other tables go.
pub(super) async fn find(server: &str, schemas: &[Schema]) -> Result<String> {
    let name = name(schemas);
    let mut conn = PgConnection::connect(server).await.map_err(classify::plain)?;
    if !known(&mut conn, &name).await? {
        sqlx::query("select pg_advisory_lock($1)").bind(LOCK).execute(&mut conn).await.map_err(classify::plain)?;
        if !known(&mut conn, &name).await? {
            let others = sqlx::query_scalar("select datname from pg_database where datname like $1")
                .bind(format!("{PREFIX}%"))
                .fetch_all(&mut conn);
            let others: Vec<String> = others.await.map_err(classify::plain)?;
            for other in others {
                // A test of another version may be copying it.
                let _ = run(server, format!("drop database if exists {other}")).await;
            }
            make(server, &name, schemas).await?;
        }
    }
    // The lock ends with its connection.
    conn.close().await.map_err(classify::plain)?;
    Ok(name)
}

/// Named after everything that is in it.
fn name(schemas: &[Schema]) -> String {
    let all = schemas.iter().chain([&crate::migrate::OWN]);
    let text: Vec<_> = all
        .flat_map(|schema| {
            schema
                .migrations
                .iter()
                .map(move |migration| (schema.service, migration.sql_postgres.unwrap_or(migration.sql)))
        })
        .map(|(service, sql)| format!("{service}\n{sql}"))
        .collect();
    let digest = sha256(text.join("\n").as_bytes());
    format!("{PREFIX}{}", digest.trim_start_matches("sha256:").get(..24).unwrap_or_default())
}

async fn known(conn: &mut PgConnection, name: &str) -> Result<bool> {
    sqlx::query_scalar("select exists (select 1 from pg_database where datname = $1)")
        .bind(name)
        .fetch_one(conn)
        .await
        .map_err(classify::plain)
}

async fn make(server: &str, name: &str, schemas: &[Schema]) -> Result<()> {
    let Some(database) = Database::create().await? else {
        return Err(Error::internal("the test server is gone"));
    };
    // What a pooler keeps open could not be renamed.
    let url = Database::past_the_pooler(server, &database.name);
    for schema in schemas {
        let options = Options { schema: Some(schema.service.to_owned()), max_connections: 1, ..Options::default() };
        Db::open(&url, schema, ids(), options).await?.close().await;
    }
    // Complete before it has the name; the database under the old name is no more, so that nothing drops it.
    run(server, format!("alter database {} rename to {name}", database.name)).await
}
