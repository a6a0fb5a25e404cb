//! Counts for reviews, KPIs and briefings.

use super::rows::{FromRow as _, rows};
use crate::machine;
use futures::TryStreamExt as _;
use remit_api::handoff::v1::{Destination, HandoffState as State, OverrideKind, ReasonCode, RoutingState};
use remit_api::wire::Word as _;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::{Query, Sql, Tx, query};
use std::ops::Range;

/// What is counted: a span of time of one tenant, and of one gate if `gate` is not empty.
#[derive(Debug)]
pub(crate) struct Span<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) gate: &'a str,
    pub(crate) time: Range<Timestamp>,
}

impl Span<'_> {
    /// Binds tenant, gate, start and end, in this order.
    fn bind(&self, query: Query) -> Query {
        query.bind(self.tenant).bind(self.gate).bind(self.time.start).bind(self.time.end)
    }

    /// Binds tenant, start and end, in this order.
    fn bind_times(&self, query: Query) -> Query {
        query.bind(self.tenant).bind(self.time.start).bind(self.time.end)
    }
}

rows! {
    /// How often something happened.
    Count {
        key: String,
        count: i64,
    }

    /// Handoffs created in the span, and published in it.
    Finished {
        created: i64,
        published: i64,
    }

    /// How many, and those of which something is true.
    Share {
        total: i64,
        count: i64,
    }

    /// A handoff that waits.
    Open {
        name: String,
        create_time: Timestamp,
    }

    /// One decided review.
    Decided {
        gate_version: String,
        channel: String,
        reviewer: String,
        outcome: State,
        decide_time: Timestamp,
        latency_us: i64,
        edits_before: i64,
        surprised: bool,
    }

    /// The grades of one model version.
    Grades {
        model_version: String,
        graded: i64,
        passed: i64,
        factual_errors: i64,
        mean_total: Option<f64>,
    }

    /// How clocks of one kind ended.
    Clocks {
        clock: String,
        met: i64,
        breached: i64,
        open: i64,
    }

    /// A clock that ran out.
    Late {
        resource: String,
        clock: String,
        round: i64,
        due_time: Timestamp,
        detect_time: Timestamp,
        rung: i64,
        called: Vec<u8>,
    }

    /// A lead that nobody accepted in time.
    LateLead {
        routing: String,
        clock: String,
        round: i64,
        due_time: Timestamp,
        detect_time: Timestamp,
    }

    /// Overrides that are alike.
    Overridden {
        kind: OverrideKind,
        reason: ReasonCode,
        model_version: String,
        followed_up: bool,
        outsider: bool,
        count: i64,
    }

    /// Routings that are alike.
    Routed {
        model_version: String,
        destination: Destination,
        state: RoutingState,
        reasons: i64,
        high_intent: i64,
        data_quality: i64,
        sampled: i64,
        sampled_checked: i64,
        checked: i64,
        overridden: i64,
        reassigns: i64,
        count: i64,
    }

    /// From assignment to acceptance, in microseconds.
    Accepted {
        latency_us: i64,
    }

    /// The leads of a day.
    Day {
        routed: i64,
        nurtured: i64,
        held: i64,
        high_intent: i64,
        high_intent_nurtured: i64,
        data_quality: i64,
        unchecked_samples: i64,
    }
}

/// Handoffs created in the span, and published in it.
pub(crate) async fn finished(tx: &mut Tx, span: &Span<'_>) -> Result<Finished> {
    let query = query(
        "select count(*) filter (where create_time >= $3 and create_time < $4) as created,
             count(*) filter (where publish_time >= $3 and publish_time < $4 and state = $5) as published
         from handoffs where tenant_id = $1 and ($2 = '' or gate = $2)",
    );
    Finished::one(span.bind(query).bind(State::Published.word()), tx).await
}

/// Handoffs by present state, whenever created.
pub(crate) async fn states(tx: &mut Tx, span: &Span<'_>) -> Result<Vec<Count>> {
    let query = query(
        "select state as key, count(*) as count from handoffs where tenant_id = $1 and ($2 = '' or gate = $2)
         group by state order by state",
    );
    Count::all(query.bind(span.tenant).bind(span.gate), tx).await
}

/// Handoffs accepted in the span by the iteration that was accepted.
pub(crate) async fn iterations(tx: &mut Tx, span: &Span<'_>) -> Result<Vec<Count>> {
    let query = query(
        "select cast(iteration as text) as key, count(*) as count from handoffs
         where tenant_id = $1 and ($2 = '' or gate = $2) and accept_time >= $3 and accept_time < $4
         group by iteration order by iteration",
    );
    Count::all(span.bind(query), tx).await
}

/// Escalations of the span by cause.
pub(crate) async fn escalations(tx: &mut Tx, span: &Span<'_>) -> Result<Vec<Count>> {
    let query = query(
        "select escalate_cause as key, count(*) as count from handoffs
         where tenant_id = $1 and ($2 = '' or gate = $2) and escalate_time >= $3 and escalate_time < $4
         group by escalate_cause order by escalate_cause",
    );
    Count::all(span.bind(query), tx).await
}

/// AI-run handoffs that were published in the span, and those with an override (A17).
pub(crate) async fn interventions(tx: &mut Tx, span: &Span<'_>) -> Result<Share> {
    let query = query(
        "select count(*) as total, count(*) filter (where override_count > 0) as count from handoffs
         where tenant_id = $1 and ($2 = '' or gate = $2) and publish_time >= $3 and publish_time < $4 and ai_run = 1",
    );
    Share::one(span.bind(query), tx).await
}

/// The unfinished handoff that has waited longest.
pub(crate) async fn oldest_open(tx: &mut Tx, span: &Span<'_>) -> Result<Option<Open>> {
    let query = Sql::new("select name, create_time from handoffs where tenant_id = ")
        .bind(span.tenant)
        .push(" and state not in ")
        .bind_list(machine::FINAL.map(State::word))
        .push(" and ('' = ")
        .bind(span.gate)
        .push(" or gate = ")
        .bind(span.gate)
        .push(") order by create_time, name limit 1")
        .query();
    Ok(Open::all(query, tx).await?.pop())
}

/// The reviews decided in the span, oldest first.
pub(crate) async fn reviews(tx: &mut Tx, span: &Span<'_>) -> Result<Vec<Decided>> {
    let query = query(
        "select gate_version, channel, reviewer, outcome, decide_time, latency_us, edits_before, surprised from reviews
         where tenant_id = $1 and ($2 = '' or gate = $2) and decide_time >= $3 and decide_time < $4
         order by decide_time, handoff, review_no",
    );
    span.bind(query).stream(tx).and_then(async |row| Decided::read(&row)).try_collect().await
}

/// The grades given in the span by model version.
pub(crate) async fn grades(tx: &mut Tx, span: &Span<'_>) -> Result<Vec<Grades>> {
    let query = query(
        "select model_version, count(*) as graded, cast(sum(passed) as bigint) as passed,
             cast(sum(factual_error) as bigint) as factual_errors, avg(total) as mean_total
         from graded_variants
         where tenant_id = $1 and ($2 = '' or gate = $2) and decide_time >= $3 and decide_time < $4 and model_version <> ''
         group by model_version order by model_version",
    );
    Grades::all(span.bind(query), tx).await
}

/// The clocks of handoffs that were due, or stopped, in the span.
pub(crate) async fn clocks(tx: &mut Tx, span: &Span<'_>) -> Result<Vec<Clocks>> {
    let query = query(
        "select clock, count(*) filter (where met = 1) as met, count(*) filter (where met = 0) as breached,
             count(*) filter (where met is null and stop_time is null) as open
         from clocks
         where tenant_id = $1 and ($2 = '' or gate = $2)
             and ((due_time >= $3 and due_time < $4) or (stop_time >= $3 and stop_time < $4))
         group by clock order by clock",
    );
    Clocks::all(span.bind(query), tx).await
}

/// The clocks of handoffs that ran out in the span, oldest first.
pub(crate) async fn late_handoffs(tx: &mut Tx, span: &Span<'_>, limit: i64) -> Result<Vec<Late>> {
    let query = query(
        "select resource, clock, round, due_time, detect_time, rung, called from clocks
         where tenant_id = $1 and ($2 = '' or gate = $2) and due_time >= $3 and due_time < $4 and detect_time is not null
         order by due_time, resource, clock, round limit $5",
    );
    Late::all(span.bind(query).bind(limit), tx).await
}

/// Overrides of the span whose resource is in a collection (`handoffs/` or `routings/`).
pub(crate) async fn overrides(tx: &mut Tx, span: &Span<'_>, collection: &str) -> Result<Vec<Overridden>> {
    let query = query(
        "select kind, reason, model_version, followed_up, outsider, count(*) as count from overrides
         where tenant_id = $1 and ($2 = '' or gate = $2) and create_time >= $3 and create_time < $4
             and substr(resource, 1, 9) = $5
         group by kind, reason, model_version, followed_up, outsider
         order by kind, reason, model_version, followed_up, outsider",
    );
    Overridden::all(span.bind(query).bind(collection), tx).await
}

/// The routings of the span, grouped.
pub(crate) async fn routings(tx: &mut Tx, span: &Span<'_>) -> Result<Vec<Routed>> {
    let query = query(
        "select model_version, destination, state, reasons, count(*) as count,
             cast(sum(high_intent) as bigint) as high_intent, cast(sum(data_quality_flag) as bigint) as data_quality,
             cast(sum(sampled) as bigint) as sampled, cast(sum(sampled * checked) as bigint) as sampled_checked,
             cast(sum(checked) as bigint) as checked, cast(sum(overridden) as bigint) as overridden,
             cast(sum(reassigns) as bigint) as reassigns
         from routings where tenant_id = $1 and create_time >= $2 and create_time < $3
         group by model_version, destination, state, reasons order by model_version, destination, state, reasons",
    );
    Routed::all(span.bind_times(query), tx).await
}

/// The clocks of leads that were started in the span: to accept them, and to decide about held ones.
pub(crate) async fn lead_clocks(tx: &mut Tx, span: &Span<'_>) -> Result<Vec<Clocks>> {
    let query = query(
        "select clock, count(*) filter (where met = 1) as met, count(*) filter (where met = 0) as breached,
             count(*) filter (where met is null) as open
         from assignments where tenant_id = $1 and assign_time >= $2 and assign_time < $3 group by clock order by clock",
    );
    Clocks::all(span.bind_times(query), tx).await
}

/// From assignment to acceptance, of the assignments made in the span.
pub(crate) async fn accepted(tx: &mut Tx, span: &Span<'_>) -> Result<Vec<Accepted>> {
    let query = query(
        "select accept_time - assign_time as latency_us from assignments
         where tenant_id = $1 and assign_time >= $2 and assign_time < $3 and accept_time is not null",
    );
    span.bind_times(query).stream(tx).and_then(async |row| Accepted::read(&row)).try_collect().await
}

/// The assignments that ran out in the span, oldest first.
pub(crate) async fn late_leads(tx: &mut Tx, span: &Span<'_>, limit: i64) -> Result<Vec<LateLead>> {
    let query = query(
        "select routing, clock, round, due_time, detect_time from assignments
         where tenant_id = $1 and due_time >= $2 and due_time < $3 and detect_time is not null
         order by due_time, routing, clock, round limit $4",
    );
    LateLead::all(span.bind_times(query).bind(limit), tx).await
}

/// Briefings issued in the span, and those acknowledged.
pub(crate) async fn briefings(tx: &mut Tx, span: &Span<'_>) -> Result<Share> {
    let query = query(
        "select count(*) as total, count(*) filter (where acknowledged = 1) as count from briefings
         where tenant_id = $1 and create_time >= $2 and create_time < $3",
    );
    Share::one(span.bind_times(query), tx).await
}

/// Counts the leads of a day.
pub(crate) async fn day(tx: &mut Tx, span: &Span<'_>) -> Result<Day> {
    let query = query(
        "select count(*) filter (where destination = $4 and state <> $6) as routed,
             count(*) filter (where destination = $5 and state <> $6) as nurtured,
             count(*) filter (where state = $6) as held,
             count(*) filter (where high_intent = 1) as high_intent,
             count(*) filter (where high_intent = 1 and destination = $5 and state <> $6) as high_intent_nurtured,
             count(*) filter (where data_quality_flag = 1) as data_quality,
             count(*) filter (where sampled = 1 and checked = 0) as unchecked_samples
         from routings where tenant_id = $1 and create_time >= $2 and create_time < $3",
    );
    let query = span.bind_times(query).bind(Destination::Sales.word()).bind(Destination::Nurture.word());
    let query = query.bind(RoutingState::Held.word());
    Day::one(query, tx).await
}

/// How many assignments ran out in the span.
pub(crate) async fn late_lead_count(tx: &mut Tx, span: &Span<'_>) -> Result<i64> {
    let query = query(
        "select count(*) as n from assignments
         where tenant_id = $1 and due_time >= $2 and due_time < $3 and detect_time is not null",
    );
    span.bind_times(query).fetch_one(tx).await?.get("n")
}
