//! Leads that are held until a person decides: the clock of their wait, their place in the work queue, and what becomes of
//! them. A wait that runs out calls the next person of the gate's ladder; it never decides.

use super::clocks::{self, kinds};
use super::leads::{self, Lead, put_decision};
use super::{calendars, work};
use crate::gate_rules;
use crate::principal::words;
use crate::store::clocks::DECIDE;
use crate::store::{Routings, routings};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::{Destination, RoutingState};
use remit_api::wire::time::stamp;
use remit_core::details::LeadLate;
use remit_core::routing as rules;
use remit_core::{Error, Result, Timestamp, name};
use remit_store::{Mutation, Records as _, Timer};
use std::collections::BTreeMap;

/// Starts the clock of the wait of leads that are held from now on: one timer for all that began together.
pub(super) async fn start(m: &mut Mutation, held: &[&pb::Routing], due: Timestamp) -> Result<()> {
    if held.is_empty() {
        return Ok(());
    }
    for routing in held {
        put_decision(m, routing).await?;
    }
    start_clock(m, held, due).await
}

async fn start_clock(m: &mut Mutation, held: &[&pb::Routing], due: Timestamp) -> Result<()> {
    let clock = m.new_id();
    routings::hold(m, held, &clock).await?;
    clocks::schedule(m, DECIDE, &clock, kinds::DECIDE, due).await
}

/// Somebody who is none of the gate's people wants the lead in sales: it waits until one of them decides. A wait that has
/// begun goes on with its clock.
pub(super) async fn propose_sales(m: &mut Mutation, lead: &mut Lead, gate: &pb::GateVersion) -> Result<()> {
    let waits = lead.routing.state() == RoutingState::Held;
    let routing = &mut lead.routing;
    routing.destination = Destination::Sales.into();
    routing.state = RoutingState::Held.into();
    routing.owner.clear();
    routing.notified_group.clear();
    // Whoever checked it before did not decide about this.
    routing.checked_by.clear();
    routing.check_time = None;
    if waits {
        return Ok(());
    }
    let due = clocks::due(m, clocks::required(gate.service_level.as_ref(), gate)?).await?;
    routing.held = Some(pb::HeldLead {
        responsible: gate.owner.clone(),
        offered_at: Some(stamp(m.now())),
        due_time: Some(stamp(due)),
        round: routing.held.as_ref().map_or(0, |held| held.round) + 1,
        ..Default::default()
    });
    start_clock(m, &[&*routing], due).await
}

/// A person has decided about a held lead: its wait is over.
pub(super) async fn decided(m: &mut Mutation, lead: &mut Lead) -> Result<()> {
    routings::end_hold(m, &lead.routing).await?;
    let now = stamp(m.now());
    if let Some(held) = &mut lead.routing.held {
        held.decide_time = Some(now);
        held.due_time = None;
    }
    work::remove(m, pb::WorkKind::Decision, &lead.routing.name).await
}

/// Lets a held lead go where it was proposed to: to `owner`, or whom the rules name, or to nurture.
pub(super) async fn release(m: &mut Mutation, lead: &mut Lead, gate: &pb::GateVersion, owner: &str) -> Result<()> {
    let gated = gate_rules::routing(gate)?;
    if lead.routing.destination() == Destination::Sales {
        let owner = owner_for(lead, gated, owner)?;
        return lead.assign(m, gate, &owner).await;
    }
    to_nurture(lead, gated);
    leads::notify(m, gate, vec![lead.routing.name.clone()]).await
}

/// The owner that a person names, or whom the rules name.
pub(super) fn owner_for(lead: &Lead, gated: &pb::RoutingRules, wanted: &str) -> Result<String> {
    if !wanted.is_empty() {
        lead.check_owner(gated, wanted)?;
        return Ok(wanted.to_owned());
    }
    let id = name::last(&lead.routing.name);
    let by_rule = rules::assign(id, &lead.routing.recommended_owner, &gated.sales_owners);
    by_rule.map(str::to_owned).ok_or_else(|| Error::internal("an active gate lists no sales owners"))
}

/// Sends a lead to nurture.
pub(super) fn to_nurture(lead: &mut Lead, gated: &pb::RoutingRules) {
    lead.routing.destination = Destination::Nurture.into();
    lead.routing.state = RoutingState::Nurture.into();
    lead.routing.owner.clear();
    lead.routing.notified_group.clone_from(&gated.sdr_group);
}

/// Nobody decided in time about the leads of one clock: each has its breach, and the next rung is called (A10).
pub(super) async fn decide_due(m: &mut Mutation, timer: &Timer, clock: &str) -> Result<()> {
    let late = routings::breach_assignments(m, clock, timer.detected_at).await?;
    // The leads of one clock are of one gate version, but for what a later version may bring.
    let mut again: BTreeMap<i64, Vec<pb::Routing>> = BTreeMap::new();
    for (name, round) in late {
        let Some(routing) = Routings::try_claim(m, &name).await? else { continue };
        let mut lead = Lead::of(routing);
        if lead.routing.state() != RoutingState::Held {
            continue;
        }
        let gate = lead.gate(m).await?;
        let next = call_next(m, &mut lead, &gate, timer, round).await?;
        let called = lead.routing.breaches.last().and_then(|breach| breach.called.as_ref()).map(words);
        let details = LeadLate { round, called: called.unwrap_or_default(), ..Default::default() };
        let routing = lead.save(m, kinds::DECIDE, "SLA_BREACHED", details).await?;
        if let Some(due) = next {
            again.entry(due.0).or_default().push(routing);
        }
    }
    for (due, waiting) in again {
        start_clock(m, &waiting.iter().collect::<Vec<_>>(), Timestamp(due)).await?;
    }
    Ok(())
}

/// Records the breach and calls the next rung; returns when its time is over, `None` at the end of the ladder.
async fn call_next(
    m: &mut Mutation,
    lead: &mut Lead,
    gate: &pb::GateVersion,
    timer: &Timer,
    round: i64,
) -> Result<Option<Timestamp>> {
    let held = lead.routing.held.get_or_insert_with(Default::default);
    let next = gate.escalation_ladder.get(usize::try_from(held.rung).unwrap_or(0));
    let called = next.and_then(|next| next.principal.clone());
    let mut due = None;
    if let Some(next) = next {
        let level = clocks::required(next.service_level.as_ref().or(gate.service_level.as_ref()), gate)?;
        let tenant = m.tenant().clone();
        let at = calendars::due(m.tx(), &tenant, level, timer.detected_at).await?;
        held.rung += 1;
        held.round += 1;
        held.responsible.clone_from(&called);
        held.due_time = Some(stamp(at));
        due = Some(at);
    }
    let rung = if next.is_some() { held.rung } else { 0 };
    lead.routing.breaches.push(pb::Breach {
        clock: DECIDE.into(),
        round: i32::try_from(round).unwrap_or(i32::MAX),
        due_time: Some(stamp(timer.due_at)),
        detect_time: Some(stamp(timer.detected_at)),
        rung,
        called,
    });
    Ok(due)
}
