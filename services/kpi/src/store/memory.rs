//! What is remembered of handoffs while the audit log is followed.

use super::chunks;
use crate::derive::Memory;
use prost::Message as _;
use remit_core::{Error, Result, Tenant};
use remit_store::{Sql, Tx, query};
use std::collections::BTreeMap;

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
