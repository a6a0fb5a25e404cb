//! The inventory.

use super::Head;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use remit_api::scoring::v1::{Task, TaskState};
use remit_api::types::AutonomyPattern;
use remit_api::wire::{self, Word as _};
use remit_core::name::TaskName;
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_policy::Pattern;
use remit_store::{BulkInsert, Order, Row, Sql, Tx, Value, filter, query};

/// A stored task: the message as callers gave it, and what the service keeps beside it.
#[derive(Debug, Clone)]
pub(crate) struct TaskRow {
    pub id: String,
    pub task: Task,
    pub removed: bool,
    pub state: TaskState,
    pub hours_per_year: f64,
    pub content_digest: String,
    /// Of the decision in force; empty if none.
    pub decision_id: String,
    pub pattern: Option<Pattern>,
    pub decided_digest: String,
    pub decided_function_digest: String,
    pub decided_policy_digest: String,
    pub revision: i64,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
}

impl TaskRow {
    pub(crate) fn name(&self) -> String {
        TaskName::new(&self.id).to_string()
    }

    fn read(row: &Row) -> Result<Self> {
        let state: String = row.get("state")?;
        Ok(Self {
            id: row.get("task_id")?,
            task: wire::decode(&row.get::<Vec<u8>>("body")?)?,
            removed: row.get("removed")?,
            state: TaskState::parse(&state).ok_or_else(|| Error::internal(format!("a task is in state {state}")))?,
            hours_per_year: row.get("hours_per_year")?,
            content_digest: row.get("content_digest")?,
            decision_id: row.get("decision_id")?,
            pattern: Pattern::parse(&row.get::<String>("pattern")?),
            decided_digest: row.get("decided_digest")?,
            decided_function_digest: row.get("decided_function_digest")?,
            decided_policy_digest: row.get("decided_policy_digest")?,
            revision: row.get("revision")?,
            create_time: row.get("create_time")?,
            update_time: row.get("update_time")?,
        })
    }
}

const COLUMNS: &str = "t.task_id, t.removed, t.state, t.hours_per_year, t.content_digest, t.decision_id, t.pattern,
    t.decided_digest, t.decided_function_digest, t.decided_policy_digest, t.revision, t.create_time, t.update_time,
    t.body";

fn select(tenant: &Tenant) -> Sql {
    Sql::new("select ").push(COLUMNS).push(" from tasks t where t.tenant_id = ").bind(tenant)
}

const FIELDS: [filter::Field; 10] = [
    filter::Field::key("function", "function"),
    filter::Field::text("role", "role"),
    filter::Field::words("state", "state", TaskState::WORDS),
    filter::Field::words("pattern", "pattern", AutonomyPattern::WORDS),
    filter::Field::bigint("complexity", "complexity"),
    filter::Field::double("frequency_per_week", "frequency_per_week"),
    filter::Field::double("hours_per_year", "hours_per_year"),
    filter::Field::key("audit_window", "audit_window"),
    filter::Field::timestamp("create_time", "create_time"),
    filter::Field::timestamp("update_time", "update_time"),
];

/// The task, removed or not, and the head at that moment.
pub(crate) async fn find(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<(Head, Option<TaskRow>)> {
    let row = Sql::new("select h.revision as head_revision, h.settings_revision, ")
        .push(COLUMNS)
        .push(" from inventory_heads h left join tasks t on t.tenant_id = h.tenant_id and t.task_id = ")
        .bind(id)
        .push(" where h.tenant_id = ")
        .bind(tenant)
        .query()
        .fetch_optional(tx)
        .await?;
    let Some(row) = row else { return Ok((Head::default(), None)) };
    let present = row.get::<Option<String>>("task_id")?.is_some();
    Ok((Head::read(&row)?, present.then(|| TaskRow::read(&row)).transpose()?))
}

/// The tasks among `ids`, removed or not.
pub(crate) async fn find_all(tx: &mut Tx, tenant: &Tenant, ids: &[&str]) -> Result<Vec<TaskRow>> {
    let sql = select(tenant).push(" and task_id in ").bind_list(ids.iter().copied());
    sql.query().fetch_all(tx).await?.iter().map(TaskRow::read).collect()
}

/// Present tasks by id, after `after`.
pub(crate) async fn list(
    tx: &mut Tx,
    tenant: &Tenant,
    filter: &str,
    after: Option<&[Value]>,
    limit: i64,
) -> Result<Vec<TaskRow>> {
    let sql = select(tenant)
        .push(" and removed = 0")
        .and_filter(&filter::parse(filter, &FIELDS)?)
        .and_after(&["task_id"], Order::Ascending, after)
        .order_limit(&["task_id"], Order::Ascending, limit);
    sql.query().fetch_all(tx).await?.iter().map(TaskRow::read).collect()
}

/// All present tasks by id, few of them in memory at once.
pub(crate) fn stream<'a>(tx: &'a mut Tx, tenant: &Tenant, filter: &str) -> Result<BoxStream<'a, Result<TaskRow>>> {
    let sql =
        select(tenant).push(" and removed = 0").and_filter(&filter::parse(filter, &FIELDS)?).push(" order by task_id");
    Ok(sql.query().stream(tx).and_then(async |row| TaskRow::read(&row)).boxed())
}

/// What changed, removals included, by revision and id after `after`. One revision may be that of many tasks.
pub(crate) async fn changed(tx: &mut Tx, tenant: &Tenant, after: (i64, &str), limit: i64) -> Result<Vec<TaskRow>> {
    let columns = ["revision", "task_id"];
    let sql = select(tenant)
        .and_after(&columns, Order::Ascending, Some(&[after.0.into(), after.1.into()]))
        .order_limit(&columns, Order::Ascending, limit);
    sql.query().fetch_all(tx).await?.iter().map(TaskRow::read).collect()
}

pub(crate) async fn count(tx: &mut Tx, tenant: &Tenant, filter: &str) -> Result<i64> {
    let sql = Sql::new("select count(*) as n from tasks where tenant_id = ")
        .bind(tenant)
        .push(" and removed = 0")
        .and_filter(&filter::parse(filter, &FIELDS)?);
    sql.query().fetch_one(tx).await?.get("n")
}

/// Present tasks by state.
pub(crate) async fn count_by_state(tx: &mut Tx, tenant: &Tenant) -> Result<Vec<(Option<TaskState>, i64)>> {
    let rows = query("select state, count(*) as n from tasks where tenant_id = $1 and removed = 0 group by state")
        .bind(tenant)
        .fetch_all(tx)
        .await?;
    rows.iter().map(|row| Ok((TaskState::parse(&row.get::<String>("state")?), row.get("n")?))).collect()
}

/// Whether frequency, complexity and risk are known (S56).
fn tagged(task: &Task) -> bool {
    let risk = task.ratings.iter().any(|rating| rating.scores.contains_key("risk"));
    task.frequency_per_week > 0.0 && task.complexity > 0 && risk
}

const REPLACE: &str = "(tenant_id, task_id) do update set removed = excluded.removed,
    function = excluded.function, role = excluded.role, state = excluded.state,
    complexity = excluded.complexity, frequency_per_week = excluded.frequency_per_week,
    hours_per_year = excluded.hours_per_year, audit_window = excluded.audit_window, tagged = excluded.tagged,
    content_digest = excluded.content_digest, decision_id = excluded.decision_id, pattern = excluded.pattern,
    decided_digest = excluded.decided_digest, decided_function_digest = excluded.decided_function_digest,
    decided_policy_digest = excluded.decided_policy_digest, revision = excluded.revision,
    create_time = excluded.create_time, update_time = excluded.update_time, body = excluded.body";

/// Inserts or replaces rows with different ids. The head is locked, so nobody else changes them.
pub(crate) async fn put(tx: &mut Tx, tenant: &Tenant, rows: &[TaskRow]) -> Result<u64> {
    let text = |f: &dyn Fn(&TaskRow) -> String| rows.iter().map(f).collect::<Vec<_>>();
    let int = |f: &dyn Fn(&TaskRow) -> i64| rows.iter().map(f).collect::<Vec<_>>();
    BulkInsert::into("tasks")
        .text("tenant_id", text(&|_| tenant.to_string()))
        .text("task_id", text(&|row| row.id.clone()))
        .bigint("removed", int(&|row| i64::from(row.removed)))
        .text("function", text(&|row| row.task.function.clone()))
        .text("role", text(&|row| row.task.role.clone()))
        .text("state", text(&|row| row.state.word().to_owned()))
        .bigint("complexity", int(&|row| i64::from(row.task.complexity)))
        .double("frequency_per_week", rows.iter().map(|row| row.task.frequency_per_week).collect::<Vec<_>>())
        .double("hours_per_year", rows.iter().map(|row| row.hours_per_year).collect::<Vec<_>>())
        .text("audit_window", text(&|row| row.task.audit_window.clone()))
        .bigint("tagged", int(&|row| i64::from(tagged(&row.task))))
        .text("content_digest", text(&|row| row.content_digest.clone()))
        .text("decision_id", text(&|row| row.decision_id.clone()))
        .text("pattern", text(&|row| row.pattern.map_or("", Pattern::as_str).to_owned()))
        .text("decided_digest", text(&|row| row.decided_digest.clone()))
        .text("decided_function_digest", text(&|row| row.decided_function_digest.clone()))
        .text("decided_policy_digest", text(&|row| row.decided_policy_digest.clone()))
        .bigint("revision", int(&|row| row.revision))
        .bigint("create_time", int(&|row| row.create_time.micros()))
        .bigint("update_time", int(&|row| row.update_time.micros()))
        .bytes("body", rows.iter().map(|row| row.task.encode_to_vec()).collect::<Vec<_>>())
        .on_conflict(REPLACE)
        .execute(tx)
        .await
}

/// Puts the decisions of a group in force on their tasks, numbering the changes after `base`.
pub(crate) async fn set_decisions(tx: &mut Tx, tenant: &Tenant, batch: &str, base: i64) -> Result<u64> {
    query(
        "update tasks set decision_id = d.decision_id, pattern = d.pattern, state = 'DECIDED',
             decided_digest = d.task_digest, decided_function_digest = d.function_digest,
             decided_policy_digest = d.policy_digest, revision = $3 + d.ordinal
         from decisions d
         where tasks.tenant_id = $1 and d.tenant_id = $1 and d.batch = $2 and d.task_id = tasks.task_id",
    )
    .bind(tenant)
    .bind(batch)
    .bind(base)
    .execute(tx)
    .await
}

/// After a change of a function: its decided tasks await a new decision.
pub(crate) async fn reopen(tx: &mut Tx, tenant: &Tenant, function: &str, revision: i64) -> Result<u64> {
    query(
        "update tasks set state = 'RATED', decision_id = '', pattern = '', revision = $3
         where tenant_id = $1 and function = $2 and state = 'DECIDED' and removed = 0",
    )
    .bind(tenant)
    .bind(function)
    .bind(revision)
    .execute(tx)
    .await
}
