//! Routings of leads and their assignments to people.

use super::clocks::{ACCEPT, DECIDE};
use remit_api::handoff::v1::{Destination, Routing, RoutingReason, RoutingState};
use remit_api::wire::{Word as _, decode};
use remit_core::{Result, Tenant, Timestamp};
use remit_store::filter::Field;
use remit_store::{BulkInsert, Mutation, Records, Tx, Value, query};
use std::ops::Range;

/// `routings/*`.
pub(crate) struct Routings;

impl Records for Routings {
    type Message = Routing;
    const TABLE: &'static str = "routings";
    const NOT_FOUND: &'static str = "ROUTING_NOT_FOUND";
    const FIELDS: &'static [Field] = &[
        Field::words("destination", "destination", Destination::WORDS),
        Field::words("state", "state", RoutingState::WORDS),
        Field::text("owner", "owner").subjects(),
        Field::text("model_version", "model_version"),
        Field::boolean("high_intent", "high_intent"),
        Field::boolean("data_quality_flag", "data_quality_flag"),
        Field::boolean("sampled", "sampled"),
        Field::boolean("checked", "checked"),
        Field::timestamp("create_time", "create_time"),
    ];

    fn name(message: &Routing) -> &str {
        &message.name
    }

    fn create_time(message: &Routing) -> Timestamp {
        super::given(&message.create_time)
    }

    fn columns(message: &Routing) -> Vec<(&'static str, Value)> {
        let reassigned = message.assignments.iter().filter(|assignment| !assignment.reassign_reason.is_empty());
        vec![
            ("destination", message.destination().word().into()),
            ("state", message.state().word().into()),
            ("reasons", message.reasons().fold(0, |all, reason| all | bit(reason)).into()),
            ("score", message.score.into()),
            ("high_intent", message.high_intent.into()),
            ("data_quality_flag", message.data_quality_flag.into()),
            ("sampled", message.sampled.into()),
            ("checked", (!message.checked_by.is_empty()).into()),
            ("overridden", message.reasons().any(|reason| reason == RoutingReason::Overridden).into()),
            ("reassigns", i64::try_from(reassigned.count()).unwrap_or(i64::MAX).into()),
            ("owner", (&message.owner).into()),
            ("model_version", (&message.model_version).into()),
        ]
    }

    fn set_etag(message: &mut Routing, etag: String) {
        message.etag = etag;
    }
}

/// The bit of a reason in the column that holds all reasons of a lead.
pub(crate) fn bit(reason: RoutingReason) -> i64 {
    1 << (reason as i32)
}

/// Leads of high intent that were routed in a span, highest score first.
pub(crate) async fn high_intent(
    tx: &mut Tx,
    tenant: &Tenant,
    span: &Range<Timestamp>,
    limit: i64,
) -> Result<Vec<Routing>> {
    let rows = query(
        "select body from routings where tenant_id = $1 and create_time >= $2 and create_time < $3 and high_intent = 1
         order by score desc, name limit $4",
    )
    .bind(tenant)
    .bind(span.start)
    .bind(span.end)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| decode(&row.get::<Vec<u8>>("body")?)).collect()
}

/// Records the last assignment of each of these leads, whose clock `clock` starts.
pub(crate) async fn assign(m: &mut Mutation, routings: &[&Routing], clock: &str) -> Result<()> {
    let last = || routings.iter().filter_map(|routing| Some((routing, routing.assignments.last()?)));
    let count = last().count();
    BulkInsert::into("assignments")
        .text("tenant_id", vec![m.tenant().as_str().to_owned(); count])
        .text("routing", last().map(|(routing, _)| routing.name.clone()))
        .text("clock", vec![ACCEPT.to_owned(); count])
        .bigint("round", last().map(|(routing, _)| round(routing)))
        .text("clock_id", vec![clock.to_owned(); count])
        .text("owner", last().map(|(_, assignment)| assignment.owner.clone()))
        .bigint("assign_time", last().map(|(_, assignment)| super::given(&assignment.assign_time).0))
        .bigint("due_time", last().map(|(_, assignment)| super::given(&assignment.due_time).0))
        .execute(m.tx())
        .await
        .map(drop)
}

/// Records that each of these leads waits for a decision, for which the clock `clock` starts now.
pub(crate) async fn hold(m: &mut Mutation, routings: &[&Routing], clock: &str) -> Result<()> {
    let held = || routings.iter().filter_map(|routing| Some((routing, routing.held.as_ref()?)));
    let (count, now) = (held().count(), m.now());
    BulkInsert::into("assignments")
        .text("tenant_id", vec![m.tenant().as_str().to_owned(); count])
        .text("routing", held().map(|(routing, _)| routing.name.clone()))
        .text("clock", vec![DECIDE.to_owned(); count])
        .bigint("round", held().map(|(_, held)| i64::from(held.round)))
        .text("clock_id", vec![clock.to_owned(); count])
        .text("owner", vec![String::new(); count])
        .bigint("assign_time", vec![now.0; count])
        .bigint("due_time", held().map(|(_, held)| super::given(&held.due_time).0))
        .execute(m.tx())
        .await
        .map(drop)
}

/// Ends the wait of a held lead by a decision; met if in time. What ran out before stays so.
pub(crate) async fn end_hold(m: &mut Mutation, routing: &Routing) -> Result<()> {
    query(
        "update assignments set end_time = $5,
             met = case when met is not null then met when $5 <= due_time then 1 else 0 end
         where tenant_id = $1 and routing = $2 and clock = $3 and round = $4 and end_time is null",
    )
    .bind(m.tenant())
    .bind(&routing.name)
    .bind(DECIDE)
    .bind(routing.held.as_ref().map_or(0, |held| held.round))
    .bind(m.now())
    .execute(m.tx())
    .await
    .map(drop)
}

/// The number of a lead's last assignment, counted from 1; 0 if it has none.
pub(crate) fn round(routing: &Routing) -> i64 {
    i64::try_from(routing.assignments.len()).unwrap_or(i64::MAX)
}

/// Ends a lead's assignment, if it has one that runs: accepted, or passed on; met if in time and somebody acted.
/// What ran out before stays so.
pub(crate) async fn end_assignment(m: &mut Mutation, routing: &Routing, accepted: bool) -> Result<()> {
    query(
        "update assignments set end_time = $4, accept_time = case when $5 = 1 then $4 else null end,
             met = case when met is not null then met when $4 <= due_time then 1 else 0 end
         where tenant_id = $1 and routing = $2 and round = $3 and clock = $6 and end_time is null",
    )
    .bind(m.tenant())
    .bind(&routing.name)
    .bind(round(routing))
    .bind(m.now())
    .bind(accepted)
    .bind(ACCEPT)
    .execute(m.tx())
    .await
    .map(drop)
}

/// Marks the assignments, or holds, of a clock as late and returns routings and rounds; each at most once.
pub(crate) async fn breach_assignments(
    m: &mut Mutation,
    clock: &str,
    detect_time: Timestamp,
) -> Result<Vec<(String, i64)>> {
    let rows = query(
        "update assignments set met = 0, detect_time = $3, end_time = $3
         where tenant_id = $1 and clock_id = $2 and end_time is null returning routing, round",
    )
    .bind(m.tenant())
    .bind(clock)
    .bind(detect_time)
    .fetch_all(m.tx())
    .await?;
    rows.iter().map(|row| Ok((row.get("routing")?, row.get("round")?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_bit_of_its_own() {
        let numbers = RoutingReason::VALUES.iter().map(|(_, number)| *number);
        let bits = numbers.filter_map(|number| RoutingReason::try_from(number).ok()).map(bit);
        assert_eq!(bits.sum::<i64>().count_ones() as usize, RoutingReason::WORDS.len());
    }
}
