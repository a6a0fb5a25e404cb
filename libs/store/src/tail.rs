//! How far a service that follows the audit log has read it, for each tenant.

use crate::{Tx, query};
use remit_core::{Result, Tenant};

/// The first index that has not been read.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn position(tx: &mut Tx, tenant: &Tenant) -> Result<i64> {
    let row = query("select next_index from remit_tail_positions where tenant_id = $1")
        .bind(tenant)
        .fetch_optional(tx)
        .await?;
    row.map_or(Ok(0), |row| row.get("next_index"))
}

/// Moves the position from `from` to `to` and locks it until the end of the transaction; false if it is not at `from`,
/// since another process was faster.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn claim(tx: &mut Tx, tenant: &Tenant, from: i64, to: i64) -> Result<bool> {
    let moved = query(
        "insert into remit_tail_positions (tenant_id, next_index) values ($1, $3)
         on conflict (tenant_id) do update set next_index = excluded.next_index
         where remit_tail_positions.next_index = $2",
    )
    .bind(tenant)
    .bind(from)
    .bind(to)
    .execute(tx)
    .await?;
    Ok(moved == 1)
}
