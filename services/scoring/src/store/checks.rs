//! Exact counts of checks.

use remit_api::scoring::v1::Verdict;
use remit_api::wire::Word as _;
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_policy::Pattern;
use remit_store::{BulkInsert, Row, Sql, Tx, query};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// One outcome of checks in one hour.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct CheckKey {
    pub hour: i64,
    pub task: String,
    pub model_version: String,
    pub denied: bool,
    pub pattern: Pattern,
    pub reason: Cow<'static, str>,
}

impl CheckKey {
    /// The answer.
    pub(crate) fn verdict(&self) -> Verdict {
        if self.denied { Verdict::Deny } else { Verdict::Permit }
    }

    fn read(row: &Row, hour: i64) -> Result<Self> {
        let pattern: String = row.get("pattern")?;
        Ok(Self {
            hour,
            task: row.get("task")?,
            model_version: row.get("model_version")?,
            denied: row.get::<String>("verdict")? == Verdict::Deny.word(),
            pattern: Pattern::parse(&pattern)
                .ok_or_else(|| Error::internal(format!("a check was counted under pattern {pattern}")))?,
            reason: Cow::Owned(row.get("reason")?),
        })
    }
}

/// Notes that the counts of these journals are in the database from this transaction on; returns those of which
/// that was not so before.
pub(crate) async fn claim(tx: &mut Tx, tenant: &Tenant, journals: &[&str], now: Timestamp) -> Result<Vec<String>> {
    let rows = BulkInsert::into("check_journals")
        .text("tenant_id", vec![tenant.as_str().to_owned(); journals.len()])
        .text("journal_id", journals.iter().map(|journal| (*journal).to_owned()))
        .bigint("fold_time", vec![now.micros(); journals.len()])
        .on_conflict_do_nothing()
        .returning("journal_id", tx)
        .await?;
    rows.iter().map(|row| row.get("journal_id")).collect()
}

/// Forgets journals whose files are gone.
pub(crate) async fn forget(tx: &mut Tx, tenant: &Tenant, journals: &[String]) -> Result<()> {
    let sql = Sql::new("delete from check_journals where tenant_id = ").bind(tenant).push(" and journal_id in ");
    sql.bind_list(journals.iter().map(String::as_str)).query().execute(tx).await.map(|_| ())
}

/// Adds to the counts and returns the new ones.
pub(crate) async fn add<T>(
    tx: &mut Tx,
    tenant: &Tenant,
    keys: &BTreeMap<CheckKey, (i64, T)>,
) -> Result<Vec<(CheckKey, i64)>> {
    // In the order of the keys, so that two processes lock rows in one order.
    let rows = BulkInsert::into("check_counts")
        .text("tenant_id", vec![tenant.as_str().to_owned(); keys.len()])
        .bigint("hour", keys.keys().map(|key| key.hour))
        .text("task", keys.keys().map(|key| key.task.clone()))
        .text("model_version", keys.keys().map(|key| key.model_version.clone()))
        .text("verdict", keys.keys().map(|key| key.verdict().word().to_owned()))
        .text("pattern", keys.keys().map(|key| key.pattern.as_str().to_owned()))
        .text("reason", keys.keys().map(|key| key.reason.to_string()))
        .bigint("checks", keys.values().map(|(checks, _)| *checks))
        .on_conflict(
            "(tenant_id, hour, task, model_version, verdict, pattern, reason)
             do update set checks = check_counts.checks + excluded.checks",
        )
        .returning("hour, task, model_version, verdict, pattern, reason, checks", tx)
        .await?;
    rows.iter().map(|row| Ok((CheckKey::read(row, row.get("hour")?)?, row.get("checks")?))).collect()
}

/// All checks and those denied, in hours from `from` to before `to`.
pub(crate) async fn totals(tx: &mut Tx, tenant: &Tenant, from: i64, to: i64) -> Result<(i64, i64)> {
    let row = query(
        "select cast(coalesce(sum(checks), 0) as bigint) as checks,
             cast(coalesce(sum(case when verdict = 'DENY' then checks else 0 end), 0) as bigint) as denied
         from check_counts where tenant_id = $1 and hour >= $2 and hour < $3",
    )
    .bind(tenant)
    .bind(from)
    .bind(to)
    .fetch_one(tx)
    .await?;
    Ok((row.get("checks")?, row.get("denied")?))
}

/// The most frequent outcomes in that period, whatever the hour.
pub(crate) async fn sums(tx: &mut Tx, tenant: &Tenant, from: i64, to: i64, limit: i64) -> Result<Vec<(CheckKey, i64)>> {
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
    rows.iter().map(|row| Ok((CheckKey::read(row, from)?, row.get("n")?))).collect()
}
