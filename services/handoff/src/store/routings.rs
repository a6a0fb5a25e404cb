//! Routings of leads, their assignments, and briefings.

use remit_core::{Result, Tenant, Timestamp};
use remit_store::filter::{self, Field, Fragment};
use remit_store::{BulkInsert, Order, Row, Sql, Tx, Value, query};

/// What a list of routings can be filtered by.
const FIELDS: &[Field] = &[
    Field::codes("destination", "destination", &[("SALES", 1), ("NURTURE", 2)]),
    Field::codes("state", "state", &[("ASSIGNED", 1), ("ACCEPTED", 2), ("SALES_OPS", 3), ("NURTURE", 4)]),
    Field::text("owner", "owner"),
    Field::text("model_version", "model_version"),
    Field::boolean("high_intent", "high_intent"),
    Field::boolean("data_quality_flag", "data_quality_flag"),
    Field::boolean("sampled", "sampled"),
    Field::boolean("checked", "checked"),
    Field::timestamp("create_time", "create_time"),
];

/// Reads the filter of a list of routings.
pub fn filter(text: &str) -> Result<Fragment> {
    filter::parse(text, FIELDS)
}

/// A routing as stored.
pub struct RoutingRow {
    pub id: String,
    pub gate_id: String,
    pub gate_version: i64,
    pub input_digest: String,
    pub revision: i64,
    pub body: Vec<u8>,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
}

/// A routing to insert or update.
pub struct RoutingColumns {
    pub id: String,
    pub gate_id: String,
    pub gate_version: i64,
    pub destination: i64,
    pub state: i64,
    pub reasons: i64,
    pub score: Option<f64>,
    pub confidence: Option<f64>,
    pub high_intent: bool,
    pub data_quality_flag: bool,
    pub sampled: bool,
    pub checked: bool,
    pub overridden: bool,
    pub reassigns: i64,
    pub owner: String,
    pub model_version: String,
    pub input_digest: String,
    pub body: Vec<u8>,
}

/// One assignment of a lead.
pub struct AssignmentRow {
    pub lead_id: String,
    pub round: i64,
    pub clock_id: String,
    pub owner: String,
    pub assign_time: Timestamp,
    pub due_time: Timestamp,
}

fn read(row: &Row) -> Result<RoutingRow> {
    Ok(RoutingRow {
        id: row.get("lead_id")?,
        gate_id: row.get("gate_id")?,
        gate_version: row.get("gate_version")?,
        input_digest: row.get("input_digest")?,
        revision: row.get("revision")?,
        body: row.get("body")?,
        create_time: row.get("create_time")?,
        update_time: row.get("update_time")?,
    })
}

/// Inserts routings of new leads and returns the ids of those that were new.
pub async fn insert(tx: &mut Tx, tenant: &Tenant, rows: &[RoutingColumns], now: Timestamp) -> Result<Vec<String>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let inserted = BulkInsert::into("routings")
        .text("tenant_id", vec![tenant.as_str().to_owned(); rows.len()])
        .text("lead_id", rows.iter().map(|row| row.id.clone()))
        .text("gate_id", rows.iter().map(|row| row.gate_id.clone()))
        .bigint("gate_version", rows.iter().map(|row| row.gate_version))
        .bigint("destination", rows.iter().map(|row| row.destination))
        .bigint("state", rows.iter().map(|row| row.state))
        .bigint("reasons", rows.iter().map(|row| row.reasons))
        .double("score", rows.iter().map(|row| row.score))
        .double("confidence", rows.iter().map(|row| row.confidence))
        .bigint("high_intent", rows.iter().map(|row| i64::from(row.high_intent)))
        .bigint("data_quality_flag", rows.iter().map(|row| i64::from(row.data_quality_flag)))
        .bigint("sampled", rows.iter().map(|row| i64::from(row.sampled)))
        .bigint("checked", vec![0; rows.len()])
        .bigint("overridden", vec![0; rows.len()])
        .bigint("reassigns", vec![0; rows.len()])
        .text("owner", rows.iter().map(|row| row.owner.clone()))
        .text("model_version", rows.iter().map(|row| row.model_version.clone()))
        .text("input_digest", rows.iter().map(|row| row.input_digest.clone()))
        .bigint("revision", vec![1; rows.len()])
        .bytes("body", rows.iter().map(|row| row.body.clone()))
        .bigint("create_time", vec![now.0; rows.len()])
        .bigint("update_time", vec![now.0; rows.len()])
        .on_conflict_do_nothing()
        .returning("lead_id", tx)
        .await?;
    inserted.iter().map(|row| row.get("lead_id")).collect()
}

/// Records assignments that start.
pub async fn insert_assignments(tx: &mut Tx, tenant: &Tenant, rows: &[AssignmentRow]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    BulkInsert::into("assignments")
        .text("tenant_id", vec![tenant.as_str().to_owned(); rows.len()])
        .text("lead_id", rows.iter().map(|row| row.lead_id.clone()))
        .bigint("round", rows.iter().map(|row| row.round))
        .text("clock_id", rows.iter().map(|row| row.clock_id.clone()))
        .text("owner", rows.iter().map(|row| row.owner.clone()))
        .bigint("assign_time", rows.iter().map(|row| row.assign_time.0))
        .bigint("due_time", rows.iter().map(|row| row.due_time.0))
        .execute(tx)
        .await
        .map(drop)
}

/// Ends an assignment: accepted, or passed on; met if in time and somebody acted. What ran out before stays so.
pub async fn end_assignment(
    tx: &mut Tx,
    tenant: &Tenant,
    (lead, round): (&str, i64),
    now: Timestamp,
    accepted: bool,
) -> Result<()> {
    query(
        "update assignments set end_time = $4, accept_time = case when $5 = 1 then $4 else null end,
             met = case when met is not null then met when $4 <= due_time then 1 else 0 end
         where tenant_id = $1 and lead_id = $2 and round = $3 and end_time is null",
    )
    .bind(tenant)
    .bind(lead)
    .bind(round)
    .bind(now)
    .bind(accepted)
    .execute(tx)
    .await
    .map(drop)
}

/// Marks the assignments of a clock as late and returns leads and rounds; each at most once.
pub async fn breach_assignments(
    tx: &mut Tx,
    tenant: &Tenant,
    clock: &str,
    now: Timestamp,
) -> Result<Vec<(String, i64)>> {
    let rows = query(
        "update assignments set met = 0, detect_time = $3, end_time = $3
         where tenant_id = $1 and clock_id = $2 and end_time is null returning lead_id, round",
    )
    .bind(tenant)
    .bind(clock)
    .bind(now)
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| Ok((row.get("lead_id")?, row.get("round")?))).collect()
}

/// Locks a routing for a change and returns it with its new revision.
pub async fn lock(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<RoutingRow>> {
    let row = query(
        "update routings set revision = revision + 1 where tenant_id = $1 and lead_id = $2
         returning lead_id, gate_id, gate_version, input_digest, revision, body, create_time, update_time",
    )
    .bind(tenant)
    .bind(id)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Writes a locked routing.
pub async fn update(tx: &mut Tx, tenant: &Tenant, row: RoutingColumns, now: Timestamp) -> Result<()> {
    query(
        "update routings set destination = $3, state = $4, reasons = $5, checked = $6, overridden = $7, reassigns = $8,
             owner = $9, body = $10, update_time = $11
         where tenant_id = $1 and lead_id = $2",
    )
    .bind(tenant)
    .bind(row.id)
    .bind(row.destination)
    .bind(row.state)
    .bind(row.reasons)
    .bind(row.checked)
    .bind(row.overridden)
    .bind(row.reassigns)
    .bind(row.owner)
    .bind(row.body)
    .bind(now)
    .execute(tx)
    .await
    .map(drop)
}

/// One routing.
pub async fn get(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<RoutingRow>> {
    let row = query(
        "select lead_id, gate_id, gate_version, input_digest, revision, body, create_time, update_time from routings
         where tenant_id = $1 and lead_id = $2",
    )
    .bind(tenant)
    .bind(id)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Routings by lead.
pub async fn list(
    tx: &mut Tx,
    tenant: &Tenant,
    filter: &Fragment,
    after: Option<&[Value]>,
    limit: i64,
) -> Result<Vec<RoutingRow>> {
    let rows = Sql::new(
        "select lead_id, gate_id, gate_version, input_digest, revision, body, create_time, update_time from routings
         where tenant_id = ",
    )
    .bind(tenant)
    .and_filter(filter)
    .and_after(&["lead_id"], Order::Ascending, after)
    .order_limit(&["lead_id"], Order::Ascending, limit)
    .query()
    .fetch_all(tx)
    .await?;
    rows.iter().map(read).collect()
}

/// Leads of high intent that were routed in a span, highest score first.
pub async fn high_intent(
    tx: &mut Tx,
    tenant: &Tenant,
    start: Timestamp,
    end: Timestamp,
    limit: i64,
) -> Result<Vec<Vec<u8>>> {
    let rows = query(
        "select body from routings where tenant_id = $1 and create_time >= $2 and create_time < $3 and high_intent = 1
         order by score desc, lead_id limit $4",
    )
    .bind(tenant)
    .bind(start)
    .bind(end)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| row.get("body")).collect()
}

/// A briefing as stored.
pub struct BriefingRow {
    pub day: String,
    pub body: Vec<u8>,
}

/// Inserts an issued briefing; false if the day has one.
pub async fn insert_briefing(tx: &mut Tx, tenant: &Tenant, day: &str, now: Timestamp, body: Vec<u8>) -> Result<bool> {
    let inserted = query(
        "insert into briefings (tenant_id, day, issue_time, acknowledged, revision, body) values ($1, $2, $3, 0, 1, $4)
         on conflict (tenant_id, day) do nothing",
    )
    .bind(tenant)
    .bind(day)
    .bind(now)
    .bind(body)
    .execute(tx)
    .await?;
    Ok(inserted == 1)
}

/// One issued briefing.
pub async fn get_briefing(tx: &mut Tx, tenant: &Tenant, day: &str) -> Result<Option<Vec<u8>>> {
    let row = query("select body from briefings where tenant_id = $1 and day = $2")
        .bind(tenant)
        .bind(day)
        .fetch_optional(tx)
        .await?;
    row.map(|row| row.get("body")).transpose()
}

/// Locks an issued briefing.
pub async fn lock_briefing(tx: &mut Tx, tenant: &Tenant, day: &str) -> Result<Option<Vec<u8>>> {
    let row = query("update briefings set revision = revision + 1 where tenant_id = $1 and day = $2 returning body")
        .bind(tenant)
        .bind(day)
        .fetch_optional(tx)
        .await?;
    row.map(|row| row.get("body")).transpose()
}

/// Writes a locked briefing that a person has read.
pub async fn acknowledge_briefing(tx: &mut Tx, tenant: &Tenant, day: &str, body: Vec<u8>) -> Result<()> {
    query("update briefings set acknowledged = 1, body = $3 where tenant_id = $1 and day = $2")
        .bind(tenant)
        .bind(day)
        .bind(body)
        .execute(tx)
        .await
        .map(drop)
}

/// Issued briefings, newest first.
pub async fn list_briefings(
    tx: &mut Tx,
    tenant: &Tenant,
    after: Option<&[Value]>,
    limit: i64,
) -> Result<Vec<BriefingRow>> {
    let rows = Sql::new("select day, body from briefings where tenant_id = ")
        .bind(tenant)
        .and_after(&["day"], Order::Descending, after)
        .order_limit(&["day"], Order::Descending, limit)
        .query()
        .fetch_all(tx)
        .await?;
    rows.iter().map(|row| Ok(BriefingRow { day: row.get("day")?, body: row.get("body")? })).collect()
}
