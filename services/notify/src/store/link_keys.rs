//! What links to unsubscribe are signed with.

use remit_core::{Result, Tenant};
use remit_store::{Mutation, Tx, query};

/// The key of the tenant, which is `fresh` if there was none.
pub(crate) async fn make(m: &mut Mutation, fresh: &[u8]) -> Result<Vec<u8>> {
    let tenant = m.tenant().clone();
    query("insert into link_keys (tenant_id, secret) values ($1, $2) on conflict (tenant_id) do nothing")
        .bind(&tenant)
        .bind(fresh)
        .execute(m.tx())
        .await?;
    let row = query("select secret from link_keys where tenant_id = $1").bind(&tenant).fetch_one(m.tx()).await?;
    row.get("secret")
}

/// The key of the tenant, if it has one.
pub(crate) async fn find(tx: &mut Tx, tenant: &Tenant) -> Result<Option<Vec<u8>>> {
    let row = query("select secret from link_keys where tenant_id = $1").bind(tenant).fetch_optional(tx).await?;
    row.map(|row| row.get("secret")).transpose()
}
