//! How far the audit log has been read, and what is remembered of handoffs.

use super::chunks;
use crate::derive::Memory;
use prost::Message as _;
use remit_core::{Error, Result, Tenant};
use remit_store::{Sql, Tx, query};
use std::collections::BTreeMap;

/// The first index that has not been read.
pub(crate) async fn position(tx: &mut Tx, tenant: &Tenant) -> Result<i64> {
    let row =
        query("select next_index from tail_positions where tenant_id = $1").bind(tenant).fetch_optional(tx).await?;
    row.map_or(Ok(0), |row| row.get("next_index"))
}

/// Moves the position from `from` to `to` and locks it until the end of the transaction; false if it is not
/// at `from`, since another process was faster.
pub(crate) async fn claim(tx: &mut Tx, tenant: &Tenant, from: i64, to: i64) -> Result<bool> {
    let moved = query(
        "insert into tail_positions (tenant_id, next_index) values ($1, $3)
         on conflict (tenant_id) do update set next_index = excluded.next_index
         where tail_positions.next_index = $2",
    )
    .bind(tenant)
    .bind(from)
    .bind(to)
    .execute(tx)
    .await?;
    Ok(moved == 1)
}

/// What is remembered of these resources.
pub(crate) async fn memory(tx: &mut Tx, tenant: &Tenant, resources: &[String]) -> Result<BTreeMap<String, Memory>> {
    let mut found = BTreeMap::new();
    for chunk in chunks(resources) {
        let sql = Sql::new("select resource, body from tail_resources where tenant_id = ")
            .bind(tenant)
            .push(" and resource in ")
            .bind_list(chunk);
        for row in sql.query().fetch_all(tx).await? {
            let body: Vec<u8> = row.get("body")?;
            let memory = Memory::decode(body.as_slice())
                .map_err(|error| Error::internal("what was remembered cannot be read").with_source(error))?;
            found.insert(row.get("resource")?, memory);
        }
    }
    Ok(found)
}

/// Remembers.
pub(crate) async fn remember(tx: &mut Tx, tenant: &Tenant, resource: &str, memory: &Memory) -> Result<()> {
    query(
        "insert into tail_resources (tenant_id, resource, body) values ($1, $2, $3)
         on conflict (tenant_id, resource) do update set body = excluded.body",
    )
    .bind(tenant)
    .bind(resource)
    .bind(memory.encode_to_vec())
    .execute(tx)
    .await?;
    Ok(())
}
