//! Where the signing key of a log was changed.

use super::heads::{signed, unsigned};
use remit_core::{Result, Tenant};
use remit_store::{Tx, query};

/// Stores the signature line of the key before on the checkpoint of `size`.
pub async fn put(tx: &mut Tx, tenant: &Tenant, size: u64, signature: &str) -> Result<()> {
    query("insert into key_handovers (tenant_id, size, signature) values ($1, $2, $3)")
        .bind(tenant)
        .bind(signed(size))
        .bind(signature)
        .execute(tx)
        .await
        .map(|_| ())
}

/// The sizes above `start` and up to `end`, in order, each with the signature line.
pub async fn within(tx: &mut Tx, tenant: &Tenant, start: u64, end: u64) -> Result<Vec<(u64, String)>> {
    let rows = query(
        "select size, signature from key_handovers where tenant_id = $1 and size > $2 and size <= $3 order by size",
    )
    .bind(tenant)
    .bind(signed(start))
    .bind(signed(end))
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| Ok((unsigned(row.get("size")?), row.get("signature")?))).collect()
}
