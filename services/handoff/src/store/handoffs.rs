//! Handoffs, their trigger events and their variants.

use remit_core::{Result, Tenant, Timestamp};
use remit_store::filter::{self, Field, Fragment};
use remit_store::{BulkInsert, Order, Row, Sql, Tx, Value, query};

/// What a list of handoffs can be filtered by.
const FIELDS: &[Field] = &[
    Field::codes(
        "state",
        "state",
        &[
            ("DRAFT", 1),
            ("TRIGGERED", 2),
            ("AI_RUNNING", 3),
            ("IN_REVIEW", 4),
            ("RETURNED", 5),
            ("ACCEPTED", 6),
            ("PUBLISHED", 7),
            ("ESCALATED", 8),
            ("HUMAN_LED", 9),
            ("EXPIRED", 10),
            ("CANCELLED", 11),
            ("SUSPENDED", 12),
        ],
    ),
    Field::text("gate", "'gates/' || gate_id"),
    Field::text("task", "task"),
    Field::text("channel", "channel"),
    Field::boolean("human_led", "human_led"),
    Field::timestamp("create_time", "create_time"),
    Field::timestamp("due_time", "due_time"),
];

/// Reads the filter of a list of handoffs.
pub fn filter(text: &str) -> Result<Fragment> {
    filter::parse(text, FIELDS)
}

/// A handoff as stored: the body without what the columns hold.
pub struct HandoffRow {
    pub id: String,
    pub gate_id: String,
    pub gate_version: i64,
    pub revision: i64,
    pub body: Vec<u8>,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
}

/// The columns by which handoffs are found and counted.
pub struct HandoffColumns<'a> {
    pub id: &'a str,
    pub gate_id: &'a str,
    pub gate_version: i64,
    pub task: &'a str,
    pub channel: &'a str,
    pub state: i64,
    pub human_led: bool,
    pub ai_run: bool,
    pub iteration: i64,
    pub override_count: i64,
    pub due_time: Option<Timestamp>,
    pub escalate_time: Option<Timestamp>,
    pub escalate_cause: Option<&'a str>,
    pub accept_time: Option<Timestamp>,
    pub publish_time: Option<Timestamp>,
    pub body: Vec<u8>,
}

fn read(row: &Row) -> Result<HandoffRow> {
    Ok(HandoffRow {
        id: row.get("handoff_id")?,
        gate_id: row.get("gate_id")?,
        gate_version: row.get("gate_version")?,
        revision: row.get("revision")?,
        body: row.get("body")?,
        create_time: row.get("create_time")?,
        update_time: row.get("update_time")?,
    })
}

/// Inserts a handoff; false if there is one with this id.
pub async fn insert(tx: &mut Tx, tenant: &Tenant, columns: HandoffColumns<'_>, now: Timestamp) -> Result<bool> {
    let inserted = query(
        "insert into handoffs (tenant_id, handoff_id, gate_id, gate_version, task, channel, state, human_led, ai_run,
             iteration, override_count, revision, due_time, escalate_time, escalate_cause, accept_time, publish_time,
             body, create_time, update_time)
         values ($1, $2, $3, $4, $5, $6, $7, 0, 0, 0, 0, 1, null, null, null, null, null, $8, $9, $9)
         on conflict (tenant_id, handoff_id) do nothing",
    )
    .bind(tenant)
    .bind(columns.id)
    .bind(columns.gate_id)
    .bind(columns.gate_version)
    .bind(columns.task)
    .bind(columns.channel)
    .bind(columns.state)
    .bind(columns.body)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(inserted == 1)
}

/// Locks a handoff for a change and returns it with its new revision.
pub async fn lock(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<HandoffRow>> {
    let row = query(
        "update handoffs set revision = revision + 1 where tenant_id = $1 and handoff_id = $2
         returning handoff_id, gate_id, gate_version, revision, body, create_time, update_time",
    )
    .bind(tenant)
    .bind(id)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Writes a locked handoff.
pub async fn update(tx: &mut Tx, tenant: &Tenant, columns: HandoffColumns<'_>, now: Timestamp) -> Result<()> {
    query(
        "update handoffs set task = $3, channel = $4, state = $5, human_led = $6, ai_run = $7, iteration = $8,
             override_count = $9, due_time = $10, escalate_time = $11, escalate_cause = $12, accept_time = $13,
             publish_time = $14, body = $15, update_time = $16
         where tenant_id = $1 and handoff_id = $2",
    )
    .bind(tenant)
    .bind(columns.id)
    .bind(columns.task)
    .bind(columns.channel)
    .bind(columns.state)
    .bind(columns.human_led)
    .bind(columns.ai_run)
    .bind(columns.iteration)
    .bind(columns.override_count)
    .bind(columns.due_time)
    .bind(columns.escalate_time)
    .bind(columns.escalate_cause)
    .bind(columns.accept_time)
    .bind(columns.publish_time)
    .bind(columns.body)
    .bind(now)
    .execute(tx)
    .await
    .map(drop)
}

/// One handoff.
pub async fn get(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<HandoffRow>> {
    let row = query(
        "select handoff_id, gate_id, gate_version, revision, body, create_time, update_time from handoffs
         where tenant_id = $1 and handoff_id = $2",
    )
    .bind(tenant)
    .bind(id)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Handoffs, newest first.
pub async fn list(
    tx: &mut Tx,
    tenant: &Tenant,
    filter: &Fragment,
    after: Option<&[Value]>,
    limit: i64,
) -> Result<Vec<HandoffRow>> {
    let rows = Sql::new(
        "select handoff_id, gate_id, gate_version, revision, body, create_time, update_time from handoffs where tenant_id = ",
    )
    .bind(tenant)
    .and_filter(filter)
    .and_after(&["create_time", "handoff_id"], Order::Descending, after)
    .order_limit(&["create_time", "handoff_id"], Order::Descending, limit)
    .query()
    .fetch_all(tx)
    .await?;
    rows.iter().map(read).collect()
}

/// Records a trigger event; false if it was recorded before.
pub async fn insert_trigger(tx: &mut Tx, tenant: &Tenant, id: &str, event: &str, now: Timestamp) -> Result<bool> {
    let inserted = query(
        "insert into trigger_events (tenant_id, handoff_id, event_id, recorded_at) values ($1, $2, $3, $4)
         on conflict (tenant_id, handoff_id, event_id) do nothing",
    )
    .bind(tenant)
    .bind(id)
    .bind(event)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(inserted == 1)
}

/// Replaces the variants of one iteration: rank, id and content of each.
pub async fn put_variants(
    tx: &mut Tx,
    tenant: &Tenant,
    handoff: &str,
    iteration: i64,
    variants: Vec<(i64, String, Vec<u8>)>,
) -> Result<()> {
    query("delete from variants where tenant_id = $1 and handoff_id = $2 and iteration = $3")
        .bind(tenant)
        .bind(handoff)
        .bind(iteration)
        .execute(tx)
        .await?;
    let count = variants.len();
    let (mut ranks, mut ids, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
    for (rank, id, body) in variants {
        ranks.push(rank);
        ids.push(id);
        bodies.push(body);
    }
    BulkInsert::into("variants")
        .text("tenant_id", vec![tenant.as_str().to_owned(); count])
        .text("handoff_id", vec![handoff.to_owned(); count])
        .bigint("iteration", vec![iteration; count])
        .bigint("ai_rank", ranks)
        .text("variant_id", ids)
        .bytes("body", bodies)
        .execute(tx)
        .await
        .map(drop)
}

/// A variant as stored.
pub struct VariantRow {
    pub iteration: i64,
    pub rank: i64,
    pub id: String,
    pub body: Vec<u8>,
}

/// The variants of a handoff, oldest iteration and best rank first.
pub async fn list_variants(
    tx: &mut Tx,
    tenant: &Tenant,
    handoff: &str,
    after: Option<&[Value]>,
    limit: i64,
) -> Result<Vec<VariantRow>> {
    let key = ["iteration", "ai_rank", "variant_id"];
    let rows = Sql::new("select iteration, ai_rank, variant_id, body from variants where tenant_id = ")
        .bind(tenant)
        .push(" and handoff_id = ")
        .bind(handoff)
        .and_after(&key, Order::Ascending, after)
        .order_limit(&key, Order::Ascending, limit)
        .query()
        .fetch_all(tx)
        .await?;
    let read = |row: &Row| {
        Ok(VariantRow {
            iteration: row.get("iteration")?,
            rank: row.get("ai_rank")?,
            id: row.get("variant_id")?,
            body: row.get("body")?,
        })
    };
    rows.iter().map(read).collect()
}
