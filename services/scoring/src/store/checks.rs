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

/// What is counted of one outcome in one hour, and how much of its denials the audit log was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// All checks.
    pub checks: i64,
    /// Denials with an entry of their own.
    pub whole: i64,
    /// Denials that wait to be put together.
    pub open: Group,
}

/// Denials together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// How many.
    pub checks: i64,
    /// When the first was answered, in microseconds; meaningless if there is none.
    pub first: i64,
    /// When the last was.
    pub last: i64,
}

impl Group {
    /// Adds others.
    pub(crate) fn join(&mut self, more: Self) {
        *self = match (self.checks, more.checks) {
            (0, _) => more,
            (_, 0) => *self,
            (a, b) => Self { checks: a + b, first: self.first.min(more.first), last: self.last.max(more.last) },
        };
    }
}

impl Count {
    fn read(row: &Row) -> Result<Self> {
        let open =
            Group { checks: row.get("open_checks")?, first: row.get("open_first")?, last: row.get("open_last")? };
        Ok(Self { checks: row.get("checks")?, whole: row.get("whole")?, open })
    }
}

const COLUMNS: &str =
    "hour, task, model_version, verdict, pattern, reason, checks, whole, open_checks, open_first, open_last";

/// The rows of these counts, in the order of the keys, so that two processes lock rows in one order.
fn rows(tenant: &Tenant, counts: &BTreeMap<CheckKey, Count>) -> BulkInsert {
    let (keys, counts) = (|| counts.keys(), || counts.values());
    BulkInsert::into("check_counts")
        .text("tenant_id", keys().map(|_| tenant.as_str().to_owned()))
        .bigint("hour", keys().map(|key| key.hour))
        .text("task", keys().map(|key| key.task.clone()))
        .text("model_version", keys().map(|key| key.model_version.clone()))
        .text("verdict", keys().map(|key| key.verdict().word().to_owned()))
        .text("pattern", keys().map(|key| key.pattern.as_str().to_owned()))
        .text("reason", keys().map(|key| key.reason.to_string()))
        .bigint("checks", counts().map(|count| count.checks))
        .bigint("whole", counts().map(|count| count.whole))
        .bigint("open_checks", counts().map(|count| count.open.checks))
        .bigint("open_first", counts().map(|count| count.open.first))
        .bigint("open_last", counts().map(|count| count.open.last))
}

/// Adds to the counts of checks and returns the new ones, whose rows are locked from here on.
pub(crate) async fn add(
    tx: &mut Tx,
    tenant: &Tenant,
    counts: &BTreeMap<CheckKey, Count>,
) -> Result<BTreeMap<CheckKey, Count>> {
    let rows = rows(tenant, counts)
        .on_conflict(
            "(tenant_id, hour, task, model_version, verdict, pattern, reason)
             do update set checks = check_counts.checks + excluded.checks",
        )
        .returning(COLUMNS, tx)
        .await?;
    rows.iter().map(|row| Ok((CheckKey::read(row, row.get("hour")?)?, Count::read(row)?))).collect()
}

/// Notes how much of the denials the log was told; their rows are there and locked.
pub(crate) async fn note(tx: &mut Tx, tenant: &Tenant, counts: &BTreeMap<CheckKey, Count>) -> Result<()> {
    if counts.is_empty() {
        return Ok(());
    }
    rows(tenant, counts)
        .on_conflict(
            "(tenant_id, hour, task, model_version, verdict, pattern, reason)
             do update set whole = excluded.whole, open_checks = excluded.open_checks, open_first = excluded.open_first,
                 open_last = excluded.open_last",
        )
        .execute(tx)
        .await
        .map(|_| ())
}

/// How many denials of a tenant have an entry of their own in one hour.
pub(crate) async fn whole(tx: &mut Tx, tenant: &Tenant, hour: i64) -> Result<i64> {
    let sql =
        "select cast(coalesce(sum(whole), 0) as bigint) as n from check_counts where tenant_id = $1 and hour = $2";
    query(sql).bind(tenant).bind(hour).fetch_one(tx).await?.get("n")
}

/// Outcomes with denials that wait to be put together, at most `limit`.
pub(crate) async fn open(tx: &mut Tx, tenant: &Tenant, limit: i64) -> Result<BTreeMap<CheckKey, Count>> {
    let rows = query(
        "select hour, task, model_version, verdict, pattern, reason, checks, whole, open_checks, open_first, open_last
         from check_counts where tenant_id = $1 and open_checks > 0 order by hour, task limit $2",
    )
    .bind(tenant)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| Ok((CheckKey::read(row, row.get("hour")?)?, Count::read(row)?))).collect()
}

/// Ends the group of one outcome, unless more came to it since it was read; whether it did.
pub(crate) async fn close(tx: &mut Tx, tenant: &Tenant, key: &CheckKey, count: &Count) -> Result<bool> {
    let changed = query(
        "update check_counts set open_checks = 0
         where tenant_id = $1 and hour = $2 and task = $3 and model_version = $4 and verdict = $5 and pattern = $6
         and reason = $7 and checks = $8 and open_checks = $9",
    )
    .bind(tenant)
    .bind(key.hour)
    .bind(&key.task)
    .bind(&key.model_version)
    .bind(key.verdict().word())
    .bind(key.pattern.as_str())
    .bind(key.reason.as_ref())
    .bind(count.checks)
    .bind(count.open.checks)
    .execute(tx)
    .await?;
    Ok(changed == 1)
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
