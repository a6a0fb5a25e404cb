//! The clocks of handoffs: when each was due, and how it ended.

use prost::Message as _;
use remit_api::handoff::v1::{Breach, Handoff};
use remit_core::{Result, Timestamp};
use remit_store::{Mutation, query};

/// The clock of a review, as breaches and summaries name it.
pub(crate) const REVIEW: &str = "review";
/// The clock of a triage.
pub(crate) const TRIAGE: &str = "triage";
/// The clock of the decision about a held lead, which is kept with the routing.
pub(crate) const DECIDE: &str = "decide";
/// The clock of a lead's acceptance, which is kept with its assignment.
pub(crate) const ACCEPT: &str = "accept";

/// Starts a clock.
pub(crate) async fn start(
    m: &mut Mutation,
    handoff: &Handoff,
    clock: &'static str,
    round: i32,
    due_time: Timestamp,
) -> Result<()> {
    query(
        "insert into clocks (tenant_id, resource, clock, round, gate, start_time, due_time, stop_time, met, detect_time, rung, called)
         values ($1, $2, $3, $4, $5, $6, $7, null, null, null, null, null)
         on conflict (tenant_id, resource, clock, round)
         do update set due_time = excluded.due_time, stop_time = null",
    )
    .bind(m.tenant())
    .bind(&handoff.name)
    .bind(clock)
    .bind(round)
    .bind(&handoff.gate)
    .bind(m.now())
    .bind(due_time)
    .execute(m.tx())
    .await
    .map(drop)
}

/// Goes on with a clock that a suspension had stopped, with the time at which it is due now. One that ran out before
/// keeps its due time: it stays late.
pub(crate) async fn go_on(
    m: &mut Mutation,
    handoff: &Handoff,
    clock: &'static str,
    round: i32,
    due_time: Option<Timestamp>,
) -> Result<()> {
    query(
        "update clocks set stop_time = null,
             due_time = case when met is null then coalesce($5, due_time) else due_time end
         where tenant_id = $1 and resource = $2 and clock = $3 and round = $4",
    )
    .bind(m.tenant())
    .bind(&handoff.name)
    .bind(clock)
    .bind(round)
    .bind(due_time)
    .execute(m.tx())
    .await
    .map(drop)
}

/// Stops a clock. With a decision it was met if it was not due yet; without one, because nobody waits any
/// more, it counts as neither. What ran out before stays so.
pub(crate) async fn stop(
    m: &mut Mutation,
    handoff: &Handoff,
    clock: &'static str,
    round: i32,
    decided: bool,
) -> Result<()> {
    query(
        "update clocks set stop_time = $5,
             met = case when met is not null then met when $6 = 0 then null when $5 <= due_time then 1 else 0 end
         where tenant_id = $1 and resource = $2 and clock = $3 and round = $4 and stop_time is null",
    )
    .bind(m.tenant())
    .bind(&handoff.name)
    .bind(clock)
    .bind(round)
    .bind(m.now())
    .bind(decided)
    .execute(m.tx())
    .await
    .map(drop)
}

/// Records that a clock ran out, once.
pub(crate) async fn breach(m: &mut Mutation, handoff: &Handoff, breach: &Breach) -> Result<()> {
    query(
        "update clocks set met = 0, detect_time = $5, rung = $6, called = $7
         where tenant_id = $1 and resource = $2 and clock = $3 and round = $4 and detect_time is null and stop_time is null",
    )
    .bind(m.tenant())
    .bind(&handoff.name)
    .bind(&breach.clock)
    .bind(breach.round)
    .bind(super::given(&breach.detect_time))
    .bind(breach.rung)
    .bind(breach.called.clone().unwrap_or_default().encode_to_vec())
    .execute(m.tx())
    .await
    .map(drop)
}
