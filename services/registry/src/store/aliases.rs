//! Aliases of models and labels of artifacts: one table, one history.

use super::Window;
use prost::Message;
use remit_api::registry::v1::AliasChange;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::{Order, Sql, Tx, Value, query};

/// Whose aliases: `models` or `artifacts`, and the id there.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// `models` or `artifacts`.
    pub collection: &'static str,
    /// The id of the model or artifact.
    pub id: &'a str,
}

impl Owner<'_> {
    /// The name of the owner.
    pub fn name(&self) -> String {
        format!("{}/{}", self.collection, self.id)
    }

    /// The name of one of its versions.
    pub fn version(&self, id: &str) -> String {
        format!("{}/{}/versions/{id}", self.collection, self.id)
    }
}

/// Where an alias points, and how often it was set.
#[derive(Debug, Clone, Default)]
pub struct Pointer {
    /// The version's id; `None` if the alias is clear.
    pub version: Option<String>,
    /// Counted from 1; 0 if it was never set.
    pub sequence: i64,
}

/// Reads an alias. The owner's row must be locked before a change that relies on it.
pub async fn find(tx: &mut Tx, tenant: &Tenant, owner: Owner<'_>, alias: &str) -> Result<Pointer> {
    let row = query(
        "select version_id, ordinal from aliases
         where tenant_id = $1 and collection = $2 and parent_id = $3 and alias = $4",
    )
    .bind(tenant)
    .bind(owner.collection)
    .bind(owner.id)
    .bind(alias)
    .fetch_optional(tx)
    .await?;
    match row {
        Some(row) => Ok(Pointer { version: row.get("version_id")?, sequence: row.get("ordinal")? }),
        None => Ok(Pointer::default()),
    }
}

/// Points an alias at a version, or clears it, and adds the change to its history.
pub async fn put(
    tx: &mut Tx,
    tenant: &Tenant,
    owner: Owner<'_>,
    version: Option<&str>,
    change: &AliasChange,
    now: Timestamp,
) -> Result<()> {
    query(
        "insert into aliases (tenant_id, collection, parent_id, alias, version_id, ordinal)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (tenant_id, collection, parent_id, alias)
         do update set version_id = excluded.version_id, ordinal = excluded.ordinal",
    )
    .bind(tenant)
    .bind(owner.collection)
    .bind(owner.id)
    .bind(&change.alias)
    .bind(version)
    .bind(change.sequence)
    .execute(tx)
    .await?;
    query(
        "insert into alias_changes (tenant_id, collection, parent_id, alias, ordinal, body, recorded_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(tenant)
    .bind(owner.collection)
    .bind(owner.id)
    .bind(&change.alias)
    .bind(change.sequence)
    .bind(change.encode_to_vec())
    .bind(now)
    .execute(tx)
    .await
    .map(|_| ())
}

const KEYS: [&str; 3] = ["recorded_at", "alias", "ordinal"];

/// Lists the history of one alias, or of all if `alias` is empty, newest first.
pub async fn history(
    tx: &mut Tx,
    tenant: &Tenant,
    owner: Owner<'_>,
    alias: &str,
    window: &Window,
) -> Result<Vec<(Timestamp, AliasChange)>> {
    let mut sql = Sql::new("select body, recorded_at from alias_changes where tenant_id = ")
        .bind(tenant)
        .push(" and collection = ")
        .bind(owner.collection)
        .push(" and parent_id = ")
        .bind(owner.id);
    if !alias.is_empty() {
        sql = sql.push(" and alias = ").bind(alias);
    }
    let rows = sql
        .and_after(&KEYS, Order::Descending, window.after.as_deref())
        .order_limit(&KEYS, Order::Descending, window.limit)
        .query()
        .fetch_all(tx)
        .await?;
    rows.iter()
        .map(|row| Ok((row.get("recorded_at")?, crate::convert::decode(&row.get::<Vec<u8>>("body")?)?)))
        .collect()
}

/// The key of a row of the history.
pub fn key((at, change): &(Timestamp, AliasChange)) -> Vec<Value> {
    vec![Value::from(*at), Value::from(&change.alias), Value::from(change.sequence)]
}
