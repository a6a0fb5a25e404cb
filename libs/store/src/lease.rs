//! Who does a tenant's background work: one process at a time, for as long as it renews.
//!
//! A lease saves work; it protects nothing. What must happen once is protected by the row that it
//! changes, so a lease that runs out while its holder still works does no harm.

use crate::query;
use crate::tx::Tx;
use remit_core::{Result, Tenant, Timestamp};
use std::time::Duration;

/// Takes or renews the lease `name` of `tenant` for `holder` until `now + ttl`; false if another
/// holds it. `now` is wall-clock time even where a manual clock rules, as processes die in real time.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn acquire(
    tx: &mut Tx,
    tenant: &Tenant,
    name: &str,
    holder: &str,
    now: Timestamp,
    ttl: Duration,
) -> Result<bool> {
    let taken = query(
        "insert into remit_leases (tenant_id, name, holder, until_at) values ($1, $2, $3, $4)
         on conflict (tenant_id, name) do update set holder = excluded.holder, until_at = excluded.until_at
         where remit_leases.holder = excluded.holder or remit_leases.until_at < $5",
    )
    .bind(tenant)
    .bind(name)
    .bind(holder)
    .bind(now.plus(ttl))
    .bind(now)
    .execute(tx)
    .await?;
    Ok(taken == 1)
}

/// Gives the lease back, so that the next process need not wait for it to run out.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn release(tx: &mut Tx, tenant: &Tenant, name: &str, holder: &str) -> Result<()> {
    query("delete from remit_leases where tenant_id = $1 and name = $2 and holder = $3")
        .bind(tenant)
        .bind(name)
        .bind(holder)
        .execute(tx)
        .await
        .map(|_| ())
}
