//! One routed lead under change: locked, and written back with its audit event and its place in the work queue.

use super::clocks::{self, kinds};
use super::held::fill;
use super::work;
use crate::principal::{self, group, person};
use crate::store::clocks::{ACCEPT, DECIDE};
use crate::store::{GateVersions, Routings, routings};
use crate::{gate_rules, lead_rules};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::{Destination, RoutingState};
use remit_api::wire::time::stamp;
use remit_api::wire::{self, Word as _};
use remit_core::details::{LeadLate, OfRouting, Placed};
use remit_core::name::RoutingName;
use remit_core::{Actor, Error, Result, Timestamp};
use remit_store::{Mutation, Records as _, Timer};
use std::collections::HashMap;
use std::time::Duration;

/// How long a notification of nurtured leads stays in the work queue.
const NOTICE: Duration = Duration::from_secs(7 * 24 * 3_600);

/// A locked routing and what it was before.
pub(super) struct Lead {
    pub(super) routing: pb::Routing,
    pub(super) before_digest: String,
}

impl Lead {
    /// Locks a routing: the first statement of every mutation of one. Ask for the time after this.
    pub(super) async fn claim(m: &mut Mutation, name: &str) -> Result<Self> {
        RoutingName::parse(name, "name")?;
        Routings::claim(m, name).await.map(Self::of)
    }

    /// A routing that is locked already.
    pub(super) fn of(routing: pb::Routing) -> Self {
        Self { before_digest: wire::digest(&routing), routing }
    }

    /// The gate version that governs it.
    pub(super) async fn gate(&self, m: &mut Mutation) -> Result<pb::GateVersion> {
        let tenant = m.tenant().clone();
        GateVersions::get(m.tx(), &tenant, &self.routing.gate_version).await
    }

    /// Refuses who does not have the lead, and a lead that nobody has yet.
    pub(super) fn check_holder(
        &self,
        gate: &pb::GateVersion,
        actor: &Actor,
        now: Timestamp,
        wanted: &str,
    ) -> Result<()> {
        let routing = &self.routing;
        lead_rules::check_decided(routing)?;
        let (has, holder) = match routing.state() {
            RoutingState::Assigned => (routing.owner == actor.subject, routing.owner.clone()),
            RoutingState::SalesOps => {
                (actor.role_groups.contains(&routing.notified_group), format!("group {}", routing.notified_group))
            }
            state @ (RoutingState::Accepted
            | RoutingState::Nurture
            | RoutingState::Held
            | RoutingState::Unspecified) => {
                let message = format!("{} is {} and cannot be {wanted}", routing.name, state.word());
                return Err(Error::precondition("ROUTING_STATE", message));
            }
        };
        if has {
            return Ok(());
        }
        if !gate_rules::routing(gate)?.sales_owners.contains(&actor.subject) {
            principal::check_of_gate(gate, actor, now)?;
        }
        Err(Error::denied("NOT_THE_OWNER", format!("{} is with {holder}, not with {}", routing.name, actor.subject)))
    }

    /// Refuses to give the lead to one whom the gate does not list, or who has it.
    pub(super) fn check_owner(&self, rules: &pb::RoutingRules, owner: &str) -> Result<()> {
        if rules.sales_owners.iter().any(|listed| listed == owner) && self.routing.owner != owner {
            return Ok(());
        }
        let what = format!("must be one of the gate's sales owners, and not the present one, {}", self.routing.owner);
        Err(Error::invalid("OWNER_UNKNOWN", "owner", what))
    }

    /// Assigns the lead to a person, whose clock starts.
    pub(super) async fn assign(&mut self, m: &mut Mutation, gate: &pb::GateVersion, owner: &str) -> Result<()> {
        let due = clocks::due(m, clocks::required(gate.service_level.as_ref(), gate)?).await?;
        let routing = &mut self.routing;
        routing.destination = Destination::Sales.into();
        routing.state = RoutingState::Assigned.into();
        routing.notified_group.clear();
        owner.clone_into(&mut routing.owner);
        routing.assignments.push(pb::Assignment {
            owner: owner.to_owned(),
            assign_time: Some(stamp(m.now())),
            due_time: Some(stamp(due)),
            ..Default::default()
        });
        start_clock(m, &[&*routing], due).await
    }

    /// Moves the lead to Sales Ops.
    pub(super) fn pass_to_sales_ops(&mut self, gate: &pb::GateVersion) -> Result<()> {
        self.routing.state = RoutingState::SalesOps.into();
        self.routing.owner.clear();
        self.routing.notified_group.clone_from(&gate_rules::routing(gate)?.sales_ops_group);
        Ok(())
    }

    /// Writes the routing, its audit event and its place in the work queue.
    pub(super) async fn save(
        mut self,
        m: &mut Mutation,
        action: &str,
        reason: &str,
        mut details: impl OfRouting,
    ) -> Result<pb::Routing> {
        self.routing.update_time = Some(stamp(m.now()));
        Routings::save(m, &mut self.routing).await?;
        let routing = self.routing;
        match routing.state() {
            RoutingState::Assigned | RoutingState::SalesOps => put_work(m, &routing).await?,
            // In the queue under its own kind from when its clock starts.
            RoutingState::Held => put_decision(m, &routing).await?,
            RoutingState::Accepted | RoutingState::Nurture | RoutingState::Unspecified => {
                work::remove(m, pb::WorkKind::Lead, &routing.name).await?;
            }
        }
        details.set_placed(placed(&routing));
        let mut event = m.event(action, &routing.name);
        event.reason = reason.to_owned();
        event.before_digest = self.before_digest;
        event.after_digest = wire::digest(&routing);
        event.model_version.clone_from(&routing.model_version);
        fill(&mut event, details.json());
        m.record_event(event);
        Ok(routing)
    }
}

/// Where a lead is, for the log.
pub(super) fn placed(routing: &pb::Routing) -> Placed {
    Placed {
        destination: routing.destination().word().to_owned(),
        state: routing.state().word().to_owned(),
        gate_version: routing.gate_version.clone(),
    }
}

/// Until when somebody is to act, as events say it.
pub(super) fn due(routing: &pb::Routing) -> String {
    let asked = match routing.state() {
        RoutingState::Assigned => routing.assignments.last().and_then(|last| last.due_time),
        RoutingState::Held => routing.held.as_ref().and_then(|held| held.due_time),
        _ => None,
    };
    asked.as_ref().map(|due| wire::time::of(due).to_string()).unwrap_or_default()
}

/// Starts the clock to accept: one timer for all leads that were assigned together.
pub(super) async fn start_clock(m: &mut Mutation, assigned: &[&pb::Routing], due: Timestamp) -> Result<()> {
    let clock = m.new_id();
    routings::assign(m, assigned, &clock).await?;
    clocks::schedule(m, ACCEPT, &clock, kinds::ACCEPT, due).await
}

/// Puts an assigned lead, or one with Sales Ops, into the work queue.
pub(super) async fn put_work(m: &mut Mutation, routing: &pb::Routing) -> Result<()> {
    let last = routing.assignments.last();
    let with_sales_ops = routing.state() == RoutingState::SalesOps;
    let item = pb::WorkItem {
        resource: routing.name.clone(),
        kind: pb::WorkKind::Lead.into(),
        responsible: Some(if with_sales_ops { group(&routing.notified_group) } else { person(&routing.owner) }),
        due_time: last.and_then(|assignment| assignment.due_time).filter(|_| !with_sales_ops),
        breached: !routing.breaches.is_empty() && with_sales_ops,
        offered_at: last.and_then(|assignment| assignment.assign_time),
        gate_version: routing.gate_version.clone(),
        routings: Vec::new(),
    };
    work::put(m, &item).await
}

/// Puts a held lead into the work queue, or replaces it there.
pub(super) async fn put_decision(m: &mut Mutation, routing: &pb::Routing) -> Result<()> {
    let held = routing.held.clone().unwrap_or_default();
    let item = pb::WorkItem {
        resource: routing.name.clone(),
        kind: pb::WorkKind::Decision.into(),
        responsible: held.responsible,
        due_time: held.due_time,
        breached: routing.breaches.iter().any(|breach| breach.clock == DECIDE),
        offered_at: held.offered_at,
        gate_version: routing.gate_version.clone(),
        routings: Vec::new(),
    };
    work::put(m, &item).await
}

/// Tells the SDR group of leads that went to nurture (S44).
pub(super) async fn notify(m: &mut Mutation, gate: &pb::GateVersion, nurtured: Vec<String>) -> Result<()> {
    if nurtured.is_empty() {
        return Ok(());
    }
    let resource = format!("notifications/{}", m.new_id());
    let item = pb::WorkItem {
        resource: resource.clone(),
        kind: pb::WorkKind::SdrNotification.into(),
        responsible: Some(group(&gate_rules::routing(gate)?.sdr_group)),
        offered_at: Some(stamp(m.now())),
        gate_version: gate.name.clone(),
        routings: nurtured,
        ..Default::default()
    };
    work::put(m, &item).await?;
    let until = m.now().plus(NOTICE);
    clocks::schedule(m, "notice", &resource, kinds::NOTICE, until).await
}

/// The leads of one clock were not accepted in time: they go to Sales Ops (A14), each with its breach.
pub(super) async fn accept_due(m: &mut Mutation, timer: &Timer, clock: &str) -> Result<()> {
    let late = routings::breach_assignments(m, clock, timer.detected_at).await?;
    let mut gates: HashMap<String, pb::GateVersion> = HashMap::new();
    for (name, round) in late {
        let Some(routing) = Routings::try_claim(m, &name).await? else { continue };
        let mut lead = Lead::of(routing);
        let gate = match gates.remove(&lead.routing.gate_version) {
            Some(gate) => gate,
            None => lead.gate(m).await?,
        };
        let owner = lead.routing.owner.clone();
        lead.pass_to_sales_ops(&gate)?;
        lead.routing.breaches.push(pb::Breach {
            clock: ACCEPT.into(),
            round: i32::try_from(round).unwrap_or(i32::MAX),
            due_time: Some(stamp(timer.due_at)),
            detect_time: Some(stamp(timer.detected_at)),
            rung: 1,
            called: Some(group(&lead.routing.notified_group)),
        });
        gates.insert(gate.name.clone(), gate);
        let called = lead.routing.notified_group.clone();
        let details = LeadLate { owner, round, called, ..Default::default() };
        lead.save(m, kinds::ACCEPT, "SLA_BREACHED", details).await?;
    }
    Ok(())
}
