//! Counts for reviews, KPIs and briefings.

use futures::TryStreamExt as _;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::{Row, Tx, query};

/// A span of time, half open.
#[derive(Clone, Copy)]
pub struct Span {
    pub start: Timestamp,
    pub end: Timestamp,
}

/// How often something happened.
pub struct Count {
    pub key: String,
    pub count: i64,
}

async fn counts(rows: Vec<Row>) -> Result<Vec<Count>> {
    rows.iter().map(|row| Ok(Count { key: row.get("k")?, count: row.get("n")? })).collect()
}

/// Restricts to one gate, or to none with an empty id.
macro_rules! by_gate {
    ($sql:literal, $tx:expr, $tenant:expr, $gate:expr, $span:expr) => {
        counts(query($sql).bind($tenant).bind($gate).bind($span.start).bind($span.end).fetch_all($tx).await?).await
    };
}

/// Handoffs created in the span, and published in it.
pub async fn created_published(tx: &mut Tx, tenant: &Tenant, gate: &str, span: Span) -> Result<(i64, i64)> {
    let row = query(
        "select count(*) filter (where create_time >= $3 and create_time < $4) as created,
             count(*) filter (where publish_time >= $3 and publish_time < $4 and state = 7) as published
         from handoffs where tenant_id = $1 and ($2 = '' or gate_id = $2)",
    )
    .bind(tenant)
    .bind(gate)
    .bind(span.start)
    .bind(span.end)
    .fetch_one(tx)
    .await?;
    Ok((row.get("created")?, row.get("published")?))
}

/// Handoffs by present state.
pub async fn states(tx: &mut Tx, tenant: &Tenant, gate: &str) -> Result<Vec<(i64, i64)>> {
    let rows = query(
        "select state, count(*) as n from handoffs where tenant_id = $1 and ($2 = '' or gate_id = $2)
         group by state order by state",
    )
    .bind(tenant)
    .bind(gate)
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| Ok((row.get("state")?, row.get("n")?))).collect()
}

/// Handoffs accepted in the span by the iteration that was accepted.
pub async fn iterations(tx: &mut Tx, tenant: &Tenant, gate: &str, span: Span) -> Result<Vec<Count>> {
    by_gate!(
        "select cast(iteration as text) as k, count(*) as n from handoffs
         where tenant_id = $1 and ($2 = '' or gate_id = $2) and accept_time >= $3 and accept_time < $4
         group by iteration order by iteration",
        tx,
        tenant,
        gate,
        span
    )
}

/// Escalations of the span by cause.
pub async fn escalations(tx: &mut Tx, tenant: &Tenant, gate: &str, span: Span) -> Result<Vec<Count>> {
    by_gate!(
        "select escalate_cause as k, count(*) as n from handoffs
         where tenant_id = $1 and ($2 = '' or gate_id = $2) and escalate_time >= $3 and escalate_time < $4
         group by escalate_cause order by escalate_cause",
        tx,
        tenant,
        gate,
        span
    )
}

/// AI-run handoffs that were published in the span: all, and those with an override (A17).
pub async fn interventions(tx: &mut Tx, tenant: &Tenant, gate: &str, span: Span) -> Result<(i64, i64)> {
    let row = query(
        "select count(*) as n, count(*) filter (where override_count > 0) as overridden from handoffs
         where tenant_id = $1 and ($2 = '' or gate_id = $2) and publish_time >= $3 and publish_time < $4 and ai_run = 1",
    )
    .bind(tenant)
    .bind(gate)
    .bind(span.start)
    .bind(span.end)
    .fetch_one(tx)
    .await?;
    Ok((row.get("n")?, row.get("overridden")?))
}

/// The unfinished handoff that has waited longest.
pub async fn oldest_open(tx: &mut Tx, tenant: &Tenant, gate: &str) -> Result<Option<(String, Timestamp)>> {
    let row = query(
        "select handoff_id, create_time from handoffs
         where tenant_id = $1 and ($2 = '' or gate_id = $2) and state not in (7, 10, 11)
         order by create_time, handoff_id limit 1",
    )
    .bind(tenant)
    .bind(gate)
    .fetch_optional(tx)
    .await?;
    row.map(|row| Ok((row.get("handoff_id")?, row.get("create_time")?))).transpose()
}

/// One decided review.
pub struct Decided {
    pub gate: String,
    pub channel: String,
    pub reviewer: String,
    pub outcome: String,
    pub decide_time: Timestamp,
    pub latency_us: i64,
    pub edits_before: i64,
    pub surprised: bool,
}

/// The reviews decided in the span, oldest first.
pub async fn reviews(tx: &mut Tx, tenant: &Tenant, gate: &str, span: Span) -> Result<Vec<Decided>> {
    let rows = query(
        "select gate_id, gate_version, channel, reviewer, outcome, decide_time, latency_us, edits_before, surprised from reviews
         where tenant_id = $1 and ($2 = '' or gate_id = $2) and decide_time >= $3 and decide_time < $4
         order by decide_time, handoff_id, review_no",
    )
    .bind(tenant)
    .bind(gate)
    .bind(span.start)
    .bind(span.end)
    .stream(tx);
    let read = |row: Row| {
        let (gate, version): (String, i64) = (row.get("gate_id")?, row.get("gate_version")?);
        Ok(Decided {
            gate: format!("gates/{gate}/versions/{version}"),
            channel: row.get("channel")?,
            reviewer: row.get("reviewer")?,
            outcome: row.get("outcome")?,
            decide_time: row.get("decide_time")?,
            latency_us: row.get("latency_us")?,
            edits_before: row.get("edits_before")?,
            surprised: row.get("surprised")?,
        })
    };
    rows.and_then(|row| futures::future::ready(read(row))).try_collect().await
}

/// The grades of one model version.
pub struct Grades {
    pub model_version: String,
    pub graded: i64,
    pub passed: i64,
    pub factual_errors: i64,
    pub mean_total: Option<f64>,
}

/// The grades given in the span by model version.
pub async fn grades(tx: &mut Tx, tenant: &Tenant, gate: &str, span: Span) -> Result<Vec<Grades>> {
    let rows = query(
        "select model_version, count(*) as n, cast(sum(passed) as bigint) as passed,
             cast(sum(factual_error) as bigint) as factual, avg(total) as mean
         from graded_variants
         where tenant_id = $1 and ($2 = '' or gate_id = $2) and decide_time >= $3 and decide_time < $4 and model_version <> ''
         group by model_version order by model_version",
    )
    .bind(tenant)
    .bind(gate)
    .bind(span.start)
    .bind(span.end)
    .fetch_all(tx)
    .await?;
    let read = |row: &Row| {
        Ok(Grades {
            model_version: row.get("model_version")?,
            graded: row.get("n")?,
            passed: row.get("passed")?,
            factual_errors: row.get("factual")?,
            mean_total: row.get("mean")?,
        })
    };
    rows.iter().map(read).collect()
}

/// How clocks of one kind ended.
pub struct Clocks {
    pub clock: String,
    pub met: i64,
    pub breached: i64,
    pub open: i64,
}

/// The clocks that were due, or stopped, in the span.
pub async fn clocks(tx: &mut Tx, tenant: &Tenant, gate: &str, span: Span) -> Result<Vec<Clocks>> {
    let rows = query(
        "select clock, count(*) filter (where met = 1) as met, count(*) filter (where met = 0) as breached,
             count(*) filter (where met is null and stop_time is null) as open
         from clocks
         where tenant_id = $1 and ($2 = '' or gate_id = $2)
             and ((due_time >= $3 and due_time < $4) or (stop_time >= $3 and stop_time < $4))
         group by clock order by clock",
    )
    .bind(tenant)
    .bind(gate)
    .bind(span.start)
    .bind(span.end)
    .fetch_all(tx)
    .await?;
    let read = |row: &Row| {
        Ok(Clocks {
            clock: row.get("clock")?,
            met: row.get("met")?,
            breached: row.get("breached")?,
            open: row.get("open")?,
        })
    };
    rows.iter().map(read).collect()
}

/// A clock that ran out.
pub struct BreachRow {
    pub resource: String,
    pub clock: String,
    pub round: i64,
    pub due_time: Timestamp,
    pub detect_time: Timestamp,
    pub rung: i64,
    pub called: Vec<u8>,
}

/// The clocks of handoffs that ran out in the span, oldest first.
pub async fn breaches(tx: &mut Tx, tenant: &Tenant, gate: &str, span: Span, limit: i64) -> Result<Vec<BreachRow>> {
    let rows = query(
        "select resource, clock, round, due_time, detect_time, rung, called from clocks
         where tenant_id = $1 and ($2 = '' or gate_id = $2) and due_time >= $3 and due_time < $4 and detect_time is not null
         order by due_time, resource, clock, round limit $5",
    )
    .bind(tenant)
    .bind(gate)
    .bind(span.start)
    .bind(span.end)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    let read = |row: &Row| {
        Ok(BreachRow {
            resource: row.get("resource")?,
            clock: row.get("clock")?,
            round: row.get("round")?,
            due_time: row.get("due_time")?,
            detect_time: row.get("detect_time")?,
            rung: row.get("rung")?,
            called: row.get("called")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Overrides of the span: of handoffs, or of routings.
pub struct Overrides {
    pub kind: i64,
    pub reason: i64,
    pub model_version: String,
    pub followed_up: bool,
    pub count: i64,
}

/// Overrides of the span whose resource is in a collection (`handoffs/` or `routings/`).
pub async fn overrides(
    tx: &mut Tx,
    tenant: &Tenant,
    gate: &str,
    span: Span,
    collection: &str,
) -> Result<Vec<Overrides>> {
    let rows = query(
        "select kind, reason, model_version, followed_up, count(*) as n from overrides
         where tenant_id = $1 and ($2 = '' or gate_id = $2) and create_time >= $3 and create_time < $4
             and substr(resource, 1, 9) = $5
         group by kind, reason, model_version, followed_up order by kind, reason, model_version, followed_up",
    )
    .bind(tenant)
    .bind(gate)
    .bind(span.start)
    .bind(span.end)
    .bind(collection)
    .fetch_all(tx)
    .await?;
    let read = |row: &Row| {
        Ok(Overrides {
            kind: row.get("kind")?,
            reason: row.get("reason")?,
            model_version: row.get("model_version")?,
            followed_up: row.get("followed_up")?,
            count: row.get("n")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Routings that are alike.
pub struct Routed {
    pub model_version: String,
    pub destination: i64,
    pub state: i64,
    pub reasons: i64,
    pub high_intent: i64,
    pub data_quality: i64,
    pub sampled: i64,
    pub sampled_checked: i64,
    pub checked: i64,
    pub overridden: i64,
    pub reassigns: i64,
    pub count: i64,
}

/// The routings of the span, grouped.
pub async fn routings(tx: &mut Tx, tenant: &Tenant, span: Span) -> Result<Vec<Routed>> {
    let rows = query(
        "select model_version, destination, state, reasons, count(*) as n,
             cast(sum(high_intent) as bigint) as high_intent, cast(sum(data_quality_flag) as bigint) as data_quality,
             cast(sum(sampled) as bigint) as sampled, cast(sum(sampled * checked) as bigint) as sampled_checked,
             cast(sum(checked) as bigint) as checked, cast(sum(overridden) as bigint) as overridden,
             cast(sum(reassigns) as bigint) as reassigns
         from routings where tenant_id = $1 and create_time >= $2 and create_time < $3
         group by model_version, destination, state, reasons order by model_version, destination, state, reasons",
    )
    .bind(tenant)
    .bind(span.start)
    .bind(span.end)
    .fetch_all(tx)
    .await?;
    let read = |row: &Row| {
        Ok(Routed {
            model_version: row.get("model_version")?,
            destination: row.get("destination")?,
            state: row.get("state")?,
            reasons: row.get("reasons")?,
            high_intent: row.get("high_intent")?,
            data_quality: row.get("data_quality")?,
            sampled: row.get("sampled")?,
            sampled_checked: row.get("sampled_checked")?,
            checked: row.get("checked")?,
            overridden: row.get("overridden")?,
            reassigns: row.get("reassigns")?,
            count: row.get("n")?,
        })
    };
    rows.iter().map(read).collect()
}

/// The clocks to accept of the assignments made in the span.
pub async fn accept_clocks(tx: &mut Tx, tenant: &Tenant, span: Span) -> Result<Clocks> {
    let row = query(
        "select count(*) filter (where met = 1) as met, count(*) filter (where met = 0) as breached,
             count(*) filter (where met is null) as open
         from assignments where tenant_id = $1 and assign_time >= $2 and assign_time < $3",
    )
    .bind(tenant)
    .bind(span.start)
    .bind(span.end)
    .fetch_one(tx)
    .await?;
    Ok(Clocks { clock: "accept".into(), met: row.get("met")?, breached: row.get("breached")?, open: row.get("open")? })
}

/// From assignment to acceptance, in microseconds, shortest first.
pub async fn accept_latencies(tx: &mut Tx, tenant: &Tenant, span: Span) -> Result<Vec<i64>> {
    let rows = query(
        "select accept_time - assign_time as latency from assignments
         where tenant_id = $1 and assign_time >= $2 and assign_time < $3 and accept_time is not null
         order by accept_time - assign_time",
    )
    .bind(tenant)
    .bind(span.start)
    .bind(span.end)
    .stream(tx);
    rows.and_then(|row| futures::future::ready(row.get::<i64>("latency"))).try_collect().await
}

/// The assignments that ran out in the span, oldest first: lead, round, due and detection time.
pub async fn accept_breaches(
    tx: &mut Tx,
    tenant: &Tenant,
    span: Span,
    limit: i64,
) -> Result<Vec<(String, i64, Timestamp, Timestamp)>> {
    let rows = query(
        "select lead_id, round, due_time, detect_time from assignments
         where tenant_id = $1 and due_time >= $2 and due_time < $3 and detect_time is not null
         order by due_time, lead_id, round limit $4",
    )
    .bind(tenant)
    .bind(span.start)
    .bind(span.end)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| Ok((row.get("lead_id")?, row.get("round")?, row.get("due_time")?, row.get("detect_time")?)))
        .collect()
}

/// Briefings issued in the span: all, and those acknowledged.
pub async fn briefings(tx: &mut Tx, tenant: &Tenant, span: Span) -> Result<(i64, i64)> {
    let row = query(
        "select count(*) as n, count(*) filter (where acknowledged = 1) as acknowledged from briefings
         where tenant_id = $1 and issue_time >= $2 and issue_time < $3",
    )
    .bind(tenant)
    .bind(span.start)
    .bind(span.end)
    .fetch_one(tx)
    .await?;
    Ok((row.get("n")?, row.get("acknowledged")?))
}

/// The counts of a briefing.
pub struct Day {
    pub routed: i64,
    pub nurtured: i64,
    pub high_intent: i64,
    pub high_intent_nurtured: i64,
    pub data_quality: i64,
    pub breached: i64,
    pub unchecked_samples: i64,
}

/// Counts the leads of a day.
pub async fn day(tx: &mut Tx, tenant: &Tenant, start: Timestamp, end: Timestamp) -> Result<Day> {
    let row = query(
        "select count(*) filter (where destination = 1) as routed, count(*) filter (where destination = 2) as nurtured,
             count(*) filter (where high_intent = 1) as high_intent,
             count(*) filter (where high_intent = 1 and destination = 2) as high_intent_nurtured,
             count(*) filter (where data_quality_flag = 1) as data_quality,
             count(*) filter (where sampled = 1 and checked = 0) as unchecked_samples
         from routings where tenant_id = $1 and create_time >= $2 and create_time < $3",
    )
    .bind(tenant)
    .bind(start)
    .bind(end)
    .fetch_one(tx)
    .await?;
    let late = query(
        "select count(*) as n from assignments where tenant_id = $1 and due_time >= $2 and due_time < $3 and detect_time is not null",
    )
    .bind(tenant)
    .bind(start)
    .bind(end)
    .fetch_one(tx)
    .await?;
    Ok(Day {
        routed: row.get("routed")?,
        nurtured: row.get("nurtured")?,
        high_intent: row.get("high_intent")?,
        high_intent_nurtured: row.get("high_intent_nurtured")?,
        data_quality: row.get("data_quality")?,
        breached: late.get("n")?,
        unchecked_samples: row.get("unchecked_samples")?,
    })
}
