//! Functions and audit windows.

use prost::Message as _;
use remit_api::scoring::v1::{AuditWindow, Function};
use remit_core::{Error, Result, Tenant};
use remit_store::{Order, Row, Sql, Tx, Value, query};

fn function(row: &Row) -> Result<(Function, String)> {
    let body: Vec<u8> = row.get("body")?;
    let function = Function::decode(body.as_slice())
        .map_err(|error| Error::internal("reading a stored function").with_source(error))?;
    Ok((function, row.get("digest")?))
}

/// Every function of the tenant with the digest of what decisions depend on. There are few.
pub(crate) async fn all(tx: &mut Tx, tenant: &Tenant) -> Result<Vec<(Function, String)>> {
    let rows = query("select body, digest from functions where tenant_id = $1 order by function_id")
        .bind(tenant)
        .fetch_all(tx)
        .await?;
    rows.iter().map(function).collect()
}

pub(crate) async fn find(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<(Function, String)>> {
    let row = query("select body, digest from functions where tenant_id = $1 and function_id = $2")
        .bind(tenant)
        .bind(id)
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(function).transpose()
}

pub(crate) async fn list(tx: &mut Tx, tenant: &Tenant, after: Option<&[Value]>, limit: i64) -> Result<Vec<Function>> {
    let sql = Sql::new("select body, digest from functions where tenant_id = ")
        .bind(tenant)
        .and_after(&["function_id"], Order::Ascending, after)
        .order_limit(&["function_id"], Order::Ascending, limit);
    let rows = sql.query().fetch_all(tx).await?;
    rows.iter().map(|row| function(row).map(|(function, _)| function)).collect()
}

pub(crate) async fn put(
    tx: &mut Tx,
    tenant: &Tenant,
    id: &str,
    digest: &str,
    revision: i64,
    function: &Function,
) -> Result<()> {
    query(
        "insert into functions (tenant_id, function_id, digest, revision, body) values ($1, $2, $3, $4, $5)
         on conflict (tenant_id, function_id) do update
         set digest = excluded.digest, revision = excluded.revision, body = excluded.body",
    )
    .bind(tenant)
    .bind(id)
    .bind(digest)
    .bind(revision)
    .bind(function.encode_to_vec())
    .execute(tx)
    .await
    .map(|_| ())
}

pub(crate) async fn count(tx: &mut Tx, tenant: &Tenant) -> Result<i64> {
    query("select count(*) as n from functions where tenant_id = $1").bind(tenant).fetch_one(tx).await?.get("n")
}

/// Inserts a window; false if there is one of that id.
pub(crate) async fn insert_window(tx: &mut Tx, tenant: &Tenant, id: &str, window: &AuditWindow) -> Result<bool> {
    let inserted = query(
        "insert into audit_windows (tenant_id, window_id, body) values ($1, $2, $3)
         on conflict (tenant_id, window_id) do nothing",
    )
    .bind(tenant)
    .bind(id)
    .bind(window.encode_to_vec())
    .execute(tx)
    .await?;
    Ok(inserted == 1)
}

/// Windows by id, each with the tasks found in it and how many of them are tagged.
pub(crate) async fn list_windows(
    tx: &mut Tx,
    tenant: &Tenant,
    after: Option<&[Value]>,
    limit: i64,
) -> Result<Vec<AuditWindow>> {
    let sql = Sql::new(
        "select window_id, body,
             (select count(*) from tasks t where t.tenant_id = w.tenant_id and t.audit_window = w.window_id
                  and t.removed = 0) as tasks,
             (select count(*) from tasks t where t.tenant_id = w.tenant_id and t.audit_window = w.window_id
                  and t.removed = 0 and t.tagged = 1) as tagged
         from audit_windows w where tenant_id = ",
    )
    .bind(tenant)
    .and_after(&["window_id"], Order::Ascending, after)
    .order_limit(&["window_id"], Order::Ascending, limit);
    let rows = sql.query().fetch_all(tx).await?;
    rows.iter()
        .map(|row| {
            let body: Vec<u8> = row.get("body")?;
            let window = AuditWindow::decode(body.as_slice())
                .map_err(|error| Error::internal("reading a stored audit window").with_source(error))?;
            Ok(AuditWindow { tasks: row.get("tasks")?, tagged: row.get("tagged")?, ..window })
        })
        .collect()
}
