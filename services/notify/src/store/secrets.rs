//! The secrets of subscriptions.

use remit_core::{Result, Timestamp};
use remit_store::{Mutation, query};

/// How many secrets sign at most.
const MOST: i64 = 4;

/// The secrets of a subscription that sign now, the newest first.
pub(crate) async fn signing(m: &mut Mutation, subscription: &str, now: Timestamp) -> Result<Vec<Vec<u8>>> {
    let tenant = m.tenant().clone();
    let rows = query(
        "select secret from subscription_secrets
         where tenant_id = $1 and subscription = $2 and expire_time > $3 order by number desc limit $4",
    )
    .bind(&tenant)
    .bind(subscription)
    .bind(now)
    .bind(MOST)
    .fetch_all(m.tx())
    .await?;
    rows.iter().map(|row| row.get("secret")).collect()
}

/// Adds a secret to a claimed subscription. Those before end at `end`, and those that have ended are forgotten.
pub(crate) async fn add(m: &mut Mutation, subscription: &str, secret: &[u8], end: Timestamp) -> Result<()> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    query("delete from subscription_secrets where tenant_id = $1 and subscription = $2 and expire_time <= $3")
        .bind(&tenant)
        .bind(subscription)
        .bind(now)
        .execute(m.tx())
        .await?;
    query(
        "update subscription_secrets set expire_time = $3
         where tenant_id = $1 and subscription = $2 and expire_time > $3",
    )
    .bind(&tenant)
    .bind(subscription)
    .bind(end)
    .execute(m.tx())
    .await?;
    query(
        "insert into subscription_secrets (tenant_id, subscription, number, expire_time, secret)
         select $1, $2, coalesce(max(number), 0) + 1, $3, $4 from subscription_secrets
         where tenant_id = $1 and subscription = $2",
    )
    .bind(&tenant)
    .bind(subscription)
    .bind(Timestamp(i64::MAX))
    .bind(secret.to_vec())
    .execute(m.tx())
    .await?;
    Ok(())
}
