//! Exact counts of checks.

use remit_core::{Result, Tenant};
use remit_store::{Tx, query};

/// One outcome of checks in one hour.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CheckKey {
    pub hour: i64,
    pub task: String,
    pub model_version: String,
    pub verdict: i64,
    pub pattern: i64,
    pub reason: &'static str,
}

/// Adds `checks` and returns the new count.
pub(crate) async fn add(tx: &mut Tx, tenant: &Tenant, key: &CheckKey, checks: i64) -> Result<i64> {
    query(
        "insert into check_counts (tenant_id, hour, task, model_version, verdict, pattern, reason, checks)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (tenant_id, hour, task, model_version, verdict, pattern, reason)
         do update set checks = check_counts.checks + excluded.checks returning checks",
    )
    .bind(tenant)
    .bind(key.hour)
    .bind(&key.task)
    .bind(&key.model_version)
    .bind(key.verdict)
    .bind(key.pattern)
    .bind(key.reason)
    .bind(checks)
    .fetch_one(tx)
    .await?
    .get("checks")
}

/// Counts of one outcome over a period.
#[derive(Debug, Clone)]
pub(crate) struct CheckSum {
    pub task: String,
    pub model_version: String,
    pub verdict: i64,
    pub pattern: i64,
    pub reason: String,
    pub checks: i64,
}

/// All checks and those denied, in hours from `from` to before `to`.
pub(crate) async fn totals(tx: &mut Tx, tenant: &Tenant, from: i64, to: i64, deny: i64) -> Result<(i64, i64)> {
    let row = query(
        "select cast(coalesce(sum(checks), 0) as bigint) as checks,
             cast(coalesce(sum(case when verdict = $4 then checks else 0 end), 0) as bigint) as denied
         from check_counts where tenant_id = $1 and hour >= $2 and hour < $3",
    )
    .bind(tenant)
    .bind(from)
    .bind(to)
    .bind(deny)
    .fetch_one(tx)
    .await?;
    Ok((row.get("checks")?, row.get("denied")?))
}

/// The most frequent outcomes in that period.
pub(crate) async fn sums(tx: &mut Tx, tenant: &Tenant, from: i64, to: i64, limit: i64) -> Result<Vec<CheckSum>> {
    let rows = query(
        "select task, model_version, verdict, pattern, reason, cast(sum(checks) as bigint) as n
         from check_counts where tenant_id = $1 and hour >= $2 and hour < $3
         group by task, model_version, verdict, pattern, reason
         order by n desc, task, model_version, verdict, pattern, reason limit $4",
    )
    .bind(tenant)
    .bind(from)
    .bind(to)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(CheckSum {
                task: row.get("task")?,
                model_version: row.get("model_version")?,
                verdict: row.get("verdict")?,
                pattern: row.get("pattern")?,
                reason: row.get("reason")?,
                checks: row.get("n")?,
            })
        })
        .collect()
}
