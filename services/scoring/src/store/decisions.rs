//! Decisions on record.

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use remit_api::scoring::v1::Decision;
use remit_api::types::AutonomyPattern;
use remit_api::wire::{self, Word as _, time};
use remit_core::{Result, Tenant, Timestamp};
use remit_policy::Pattern;
use remit_store::{BulkInsert, Order, Row, Sql, Tx, Value, filter, query};

/// A decision to store.
#[derive(Debug, Clone)]
pub(crate) struct NewDecision {
    pub id: String,
    pub task_id: String,
    pub pattern: Pattern,
    pub band: String,
    pub policy: String,
    pub policy_digest: String,
    pub task_digest: String,
    pub function_digest: String,
    /// The ids of caps that moved the outcome.
    pub caps: Vec<String>,
    pub decision: Decision,
}

const COLUMNS: &str =
    "select decision_id, task_id, in_force, decide_time, end_time, body from decisions where tenant_id = ";

const FIELDS: [filter::Field; 6] = [
    filter::Field::text("task", "'tasks/' || task_id"),
    filter::Field::words("pattern", "pattern", AutonomyPattern::WORDS),
    filter::Field::text("band", "band"),
    filter::Field::text("policy", "policy"),
    filter::Field::boolean("in_force", "in_force"),
    filter::Field::timestamp("decide_time", "decide_time"),
];

fn read(row: &Row) -> Result<Decision> {
    let decision: Decision = wire::decode(&row.get::<Vec<u8>>("body")?)?;
    let end: Option<Timestamp> = row.get("end_time")?;
    Ok(Decision { in_force: row.get("in_force")?, end_time: end.map(time::stamp), ..decision })
}

/// Inserts a group, all in force.
pub(crate) async fn insert(
    tx: &mut Tx,
    tenant: &Tenant,
    batch: &str,
    now: Timestamp,
    rows: &[NewDecision],
) -> Result<u64> {
    let text = |f: &dyn Fn(&NewDecision) -> String| rows.iter().map(f).collect::<Vec<_>>();
    BulkInsert::into("decisions")
        .text("tenant_id", text(&|_| tenant.to_string()))
        .text("decision_id", text(&|row| row.id.clone()))
        .text("task_id", text(&|row| row.task_id.clone()))
        .text("pattern", text(&|row| row.pattern.as_str().to_owned()))
        .text("band", text(&|row| row.band.clone()))
        .text("policy", text(&|row| row.policy.clone()))
        .text("policy_digest", text(&|row| row.policy_digest.clone()))
        .text("task_digest", text(&|row| row.task_digest.clone()))
        .text("function_digest", text(&|row| row.function_digest.clone()))
        .text("caps", text(&|row| row.caps.join(",")))
        .bigint("in_force", vec![1; rows.len()])
        .bigint("decide_time", vec![now.micros(); rows.len()])
        .bigint("end_time", vec![None::<i64>; rows.len()])
        .text("batch", text(&|_| batch.to_owned()))
        .bigint("ordinal", (1..).take(rows.len()).collect::<Vec<i64>>())
        .bytes("body", rows.iter().map(|row| row.decision.encode_to_vec()).collect::<Vec<_>>())
        .execute(tx)
        .await
}

/// Ends decisions in force: their tasks were removed, changed or decided again.
pub(crate) async fn end(tx: &mut Tx, tenant: &Tenant, ids: &[&str], now: Timestamp) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let sql = Sql::new("update decisions").push(" set in_force = 0, end_time = ").bind(now).push(" where tenant_id = ");
    let sql = sql.bind(tenant).push(" and decision_id in ").bind_list(ids.iter().copied());
    sql.query().execute(tx).await.map(|_| ())
}

/// Ends the decisions in force on the tasks of a function that changed.
pub(crate) async fn end_function(tx: &mut Tx, tenant: &Tenant, function: &str, now: Timestamp) -> Result<u64> {
    query(
        "update decisions set in_force = 0, end_time = $3 where tenant_id = $1 and in_force = 1
             and task_id in (select t.task_id from tasks t where t.tenant_id = $1 and t.function = $2)",
    )
    .bind(tenant)
    .bind(function)
    .bind(now)
    .execute(tx)
    .await
}

pub(crate) async fn find(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<Decision>> {
    let sql = Sql::new(COLUMNS).bind(tenant).push(" and decision_id = ").bind(id);
    sql.query().fetch_optional(tx).await?.as_ref().map(read).transpose()
}

/// The decisions among `ids`.
pub(crate) async fn find_all(tx: &mut Tx, tenant: &Tenant, ids: &[&str]) -> Result<Vec<Decision>> {
    let sql = Sql::new(COLUMNS).bind(tenant).push(" and decision_id in ").bind_list(ids.iter().copied());
    sql.query().fetch_all(tx).await?.iter().map(read).collect()
}

/// The newest first, after `after`: the decision and its key.
pub(crate) async fn list(
    tx: &mut Tx,
    tenant: &Tenant,
    filter: &str,
    after: Option<&[Value]>,
    limit: i64,
) -> Result<Vec<(Decision, i64, String)>> {
    let columns = ["decide_time", "decision_id"];
    let sql = Sql::new(COLUMNS)
        .bind(tenant)
        .and_filter(&filter::parse(filter, &FIELDS)?)
        .and_after(&columns, Order::Descending, after)
        .order_limit(&columns, Order::Descending, limit);
    let rows = sql.query().fetch_all(tx).await?;
    rows.iter().map(|row| Ok((read(row)?, row.get("decide_time")?, row.get("decision_id")?))).collect()
}

/// A replay's selection: how many, and the decisions one by one in the order of their ids.
pub(crate) async fn count_for_replay(tx: &mut Tx, tenant: &Tenant, filter: &str, superseded: bool) -> Result<i64> {
    let sql = Sql::new("select count(*) as n from decisions where tenant_id = ")
        .bind(tenant)
        .push(if superseded { "" } else { " and in_force = 1" })
        .and_filter(&filter::parse(filter, &FIELDS)?);
    sql.query().fetch_one(tx).await?.get("n")
}

pub(crate) fn stream_for_replay<'a>(
    tx: &'a mut Tx,
    tenant: &Tenant,
    filter: &str,
    superseded: bool,
) -> Result<BoxStream<'a, Result<Decision>>> {
    let sql = Sql::new(COLUMNS)
        .bind(tenant)
        .push(if superseded { "" } else { " and in_force = 1" })
        .and_filter(&filter::parse(filter, &FIELDS)?)
        .push(" order by decision_id");
    Ok(sql.query().stream(tx).and_then(async |row| read(&row)).boxed())
}

/// Decisions made from `from` to before `to`, counted by the values of one column.
pub(crate) async fn count_by(
    tx: &mut Tx,
    tenant: &Tenant,
    column: Column,
    from: i64,
    to: i64,
) -> Result<Vec<(String, i64)>> {
    let name = match column {
        Column::Pattern => "pattern",
        Column::Band => "band",
        Column::Caps => "caps",
        Column::Policy => "policy",
    };
    let sql = Sql::new("select ")
        .push(name)
        .push(" as name, count(*) as n from decisions where tenant_id = ")
        .bind(tenant)
        .push(" and decide_time >= ")
        .bind(from)
        .push(" and decide_time < ")
        .bind(to)
        .push(" group by ")
        .push(name)
        .push(" order by ")
        .push(name);
    let rows = sql.query().fetch_all(tx).await?;
    rows.iter().map(|row| Ok((row.get("name")?, row.get("n")?))).collect()
}

/// What decisions can be counted by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    Pattern,
    Band,
    Caps,
    Policy,
}
