//! The nonces of mandates, each of which is taken once.

use crate::mutation::Mutation;
use crate::query;
use remit_core::Result;
use remit_core::mandate::Mandate;

/// Uses a mandate up, together with what it is for; `false` if it was used before.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn redeem(m: &mut Mutation, mandate: &Mandate) -> Result<bool> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    let taken = query(
        "insert into remit_mandates (tenant_id, nonce, proposal, permission, redeemed_at)
         values ($1, $2, $3, $4, $5) on conflict (tenant_id, nonce) do nothing",
    )
    .bind(&tenant)
    .bind(&mandate.jti)
    .bind(&mandate.sub)
    .bind(&mandate.permission)
    .bind(now)
    .execute(m.tx())
    .await?;
    Ok(taken == 1)
}
