//! What people decided, and by when: reviews, overrides and clocks.

use remit_core::{Result, Tenant, Timestamp};
use remit_store::filter::{self, Field, Fragment};
use remit_store::{BulkInsert, Order, Row, Sql, Tx, Value, query};

/// A decided review, as it is counted.
pub struct ReviewRow<'a> {
    pub handoff_id: &'a str,
    pub review_no: i64,
    pub gate_id: &'a str,
    pub gate_version: i64,
    pub iteration: i64,
    pub channel: &'a str,
    pub reviewer: &'a str,
    pub outcome: &'static str,
    pub decide_time: Timestamp,
    pub latency_us: i64,
    pub edits_before: i64,
    pub surprised: bool,
    pub model_version: &'a str,
    /// Id, total, passed, factual error.
    pub grades: Vec<(String, f64, bool, bool)>,
}

/// Records a review and its grades.
pub async fn insert_review(tx: &mut Tx, tenant: &Tenant, review: ReviewRow<'_>) -> Result<()> {
    query(
        "insert into reviews (tenant_id, handoff_id, review_no, gate_id, gate_version, iteration, channel, reviewer,
             outcome, decide_time, latency_us, edits_before, surprised)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(tenant)
    .bind(review.handoff_id)
    .bind(review.review_no)
    .bind(review.gate_id)
    .bind(review.gate_version)
    .bind(review.iteration)
    .bind(review.channel)
    .bind(review.reviewer)
    .bind(review.outcome)
    .bind(review.decide_time)
    .bind(review.latency_us)
    .bind(review.edits_before)
    .bind(review.surprised)
    .execute(tx)
    .await?;
    let count = review.grades.len();
    BulkInsert::into("graded_variants")
        .text("tenant_id", vec![tenant.as_str().to_owned(); count])
        .text("handoff_id", vec![review.handoff_id.to_owned(); count])
        .bigint("review_no", vec![review.review_no; count])
        .text("variant_id", review.grades.iter().map(|grade| grade.0.clone()))
        .text("gate_id", vec![review.gate_id.to_owned(); count])
        .text("model_version", vec![review.model_version.to_owned(); count])
        .double("total", review.grades.iter().map(|grade| grade.1))
        .bigint("passed", review.grades.iter().map(|grade| i64::from(grade.2)))
        .bigint("factual_error", review.grades.iter().map(|grade| i64::from(grade.3)))
        .bigint("decide_time", vec![review.decide_time.0; count])
        .execute(tx)
        .await
        .map(drop)
}

/// A clock that starts.
pub struct ClockRow<'a> {
    pub resource: &'a str,
    pub clock: &'static str,
    pub round: i64,
    pub gate_id: &'a str,
    pub start_time: Timestamp,
    pub due_time: Timestamp,
}

/// Starts a clock, or goes on with one that a suspension had stopped, with a new due time.
pub async fn start_clock(tx: &mut Tx, tenant: &Tenant, clock: ClockRow<'_>) -> Result<()> {
    query(
        "insert into clocks (tenant_id, resource, clock, round, gate_id, start_time, due_time, stop_time, met, detect_time, rung, called)
         values ($1, $2, $3, $4, $5, $6, $7, null, null, null, null, null)
         on conflict (tenant_id, resource, clock, round)
         do update set due_time = excluded.due_time, stop_time = null",
    )
    .bind(tenant)
    .bind(clock.resource)
    .bind(clock.clock)
    .bind(clock.round)
    .bind(clock.gate_id)
    .bind(clock.start_time)
    .bind(clock.due_time)
    .execute(tx)
    .await
    .map(drop)
}

/// Stops a clock. With a decision it was met if it was not due yet; without one, because nobody waits any
/// more, it counts as neither. What ran out before stays so.
pub async fn stop_clock(
    tx: &mut Tx,
    tenant: &Tenant,
    (resource, clock, round): (&str, &str, i64),
    now: Timestamp,
    decided: bool,
) -> Result<()> {
    query(
        "update clocks set stop_time = $5,
             met = case when met is not null then met when $6 = 0 then null when $5 <= due_time then 1 else 0 end
         where tenant_id = $1 and resource = $2 and clock = $3 and round = $4 and stop_time is null",
    )
    .bind(tenant)
    .bind(resource)
    .bind(clock)
    .bind(round)
    .bind(now)
    .bind(decided)
    .execute(tx)
    .await
    .map(drop)
}

/// Records that a clock ran out; false if that was recorded before, or the clock was stopped.
pub async fn breach_clock(
    tx: &mut Tx,
    tenant: &Tenant,
    (resource, clock, round): (&str, &str, i64),
    detect_time: Timestamp,
    rung: i64,
    called: Vec<u8>,
) -> Result<bool> {
    let breached = query(
        "update clocks set met = 0, detect_time = $5, rung = $6, called = $7
         where tenant_id = $1 and resource = $2 and clock = $3 and round = $4 and detect_time is null and stop_time is null",
    )
    .bind(tenant)
    .bind(resource)
    .bind(clock)
    .bind(round)
    .bind(detect_time)
    .bind(rung)
    .bind(called)
    .execute(tx)
    .await?;
    Ok(breached == 1)
}

/// What a list of overrides can be filtered by.
const FIELDS: &[Field] = &[
    Field::text("resource", "resource"),
    Field::codes("kind", "kind", &[("EDIT", 1), ("REJECT", 2), ("TAKEOVER", 3), ("ROLLBACK", 4)]),
    Field::codes(
        "reason",
        "reason",
        &[
            ("BRAND", 1),
            ("LEGAL", 2),
            ("FACTUAL_ERROR", 3),
            ("TONE", 4),
            ("OFF_STRATEGY", 5),
            ("DATA_QUALITY", 6),
            ("STALE_CONTEXT", 7),
            ("PRIVACY", 8),
            ("BETTER_ALTERNATIVE", 9),
            ("OTHER", 10),
        ],
    ),
    Field::text("model_version", "model_version"),
    Field::text("gate_version", "gate_version"),
    Field::timestamp("create_time", "create_time"),
    Field::boolean("followed_up", "followed_up"),
];

/// Reads the filter of a list of overrides.
pub fn override_filter(text: &str) -> Result<Fragment> {
    filter::parse(text, FIELDS)
}

/// An override as stored.
pub struct OverrideRow {
    pub id: String,
    pub create_time: Timestamp,
    pub body: Vec<u8>,
}

/// The columns by which overrides are found and counted.
pub struct OverrideColumns<'a> {
    pub id: &'a str,
    pub resource: &'a str,
    pub gate_id: &'a str,
    pub gate_version: &'a str,
    pub kind: i64,
    pub reason: i64,
    pub model_version: &'a str,
    pub body: Vec<u8>,
}

/// Records an override.
pub async fn insert_override(tx: &mut Tx, tenant: &Tenant, columns: OverrideColumns<'_>, now: Timestamp) -> Result<()> {
    query(
        "insert into overrides (tenant_id, override_id, resource, gate_id, gate_version, kind, reason, model_version,
             followed_up, revision, body, create_time)
         values ($1, $2, $3, $4, $5, $6, $7, $8, 0, 1, $9, $10)",
    )
    .bind(tenant)
    .bind(columns.id)
    .bind(columns.resource)
    .bind(columns.gate_id)
    .bind(columns.gate_version)
    .bind(columns.kind)
    .bind(columns.reason)
    .bind(columns.model_version)
    .bind(columns.body)
    .bind(now)
    .execute(tx)
    .await
    .map(drop)
}

/// Locks an override for a change.
pub async fn lock_override(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<Vec<u8>>> {
    let row =
        query("update overrides set revision = revision + 1 where tenant_id = $1 and override_id = $2 returning body")
            .bind(tenant)
            .bind(id)
            .fetch_optional(tx)
            .await?;
    row.map(|row| row.get("body")).transpose()
}

/// Writes a locked override, which now has a follow-up.
pub async fn update_override(tx: &mut Tx, tenant: &Tenant, id: &str, body: Vec<u8>) -> Result<()> {
    query("update overrides set body = $3, followed_up = 1 where tenant_id = $1 and override_id = $2")
        .bind(tenant)
        .bind(id)
        .bind(body)
        .execute(tx)
        .await
        .map(drop)
}

/// Overrides, newest first.
pub async fn list_overrides(
    tx: &mut Tx,
    tenant: &Tenant,
    filter: &Fragment,
    after: Option<&[Value]>,
    limit: i64,
) -> Result<Vec<OverrideRow>> {
    let key = ["create_time", "override_id"];
    let rows = Sql::new("select override_id, create_time, body from overrides where tenant_id = ")
        .bind(tenant)
        .and_filter(filter)
        .and_after(&key, Order::Descending, after)
        .order_limit(&key, Order::Descending, limit)
        .query()
        .fetch_all(tx)
        .await?;
    let read = |row: &Row| {
        Ok(OverrideRow { id: row.get("override_id")?, create_time: row.get("create_time")?, body: row.get("body")? })
    };
    rows.iter().map(read).collect()
}
