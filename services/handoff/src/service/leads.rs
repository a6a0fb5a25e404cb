//! What people do with routed leads: accept, pass on, check.

use super::routing::{save, show, to_sales_ops};
use super::{Service, calendars, clocks, gates, overrides, reviews};
use crate::convert::stamp;
use crate::store::{self, routings::AssignmentRow, routings::RoutingRow};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::gate_version::Rules;
use remit_api::handoff::v1::{Destination, OverrideKind, RoutingReason, RoutingState};
use remit_core::routing::assign;
use remit_core::{Error, Result, digest, name};
use remit_runtime::{Cx, Started, finish};
use remit_store::{Mutation, Value, page, timers};
use serde_json::json;

/// A routing under change.
struct Lead {
    row: RoutingRow,
    routing: pb::Routing,
    gate: pb::GateVersion,
    rules: pb::RoutingRules,
}

fn missing(name: &str) -> Error {
    Error::not_found("ROUTING_NOT_FOUND", name)
}

impl Lead {
    async fn lock(mutation: &mut Mutation, name: &str) -> Result<Self> {
        let [id] = name::ids::<1>(name, "routings/*", "name")?;
        let tenant = mutation.tenant().clone();
        let row = store::routings::lock(mutation.tx(), &tenant, id).await?.ok_or_else(|| missing(name))?;
        let gate = gates::load(mutation.tx(), &tenant, &row.gate_id, row.gate_version).await?;
        let Some(Rules::Routing(rules)) = gate.rules.clone() else {
            return Err(Error::internal(format!("{name} is governed by a gate that routes no leads")));
        };
        Ok(Self { routing: show(&row)?, row, gate, rules })
    }

    fn round(&self) -> i64 {
        i64::try_from(self.routing.assignments.len()).unwrap_or(i64::MAX)
    }

    /// Refuses who does not have the lead.
    fn check_holder(&self, cx: &Cx, wanted: &str) -> Result<()> {
        let name = &self.routing.name;
        let has = match self.routing.state() {
            RoutingState::Assigned => self.routing.owner == cx.actor.subject,
            RoutingState::SalesOps => cx.actor.role_groups.contains(&self.rules.sales_ops_group),
            RoutingState::Accepted | RoutingState::Nurture | RoutingState::Unspecified => {
                let state = self.routing.state().as_str_name().trim_start_matches("ROUTING_STATE_");
                return Err(Error::precondition("ROUTING_STATE", format!("{name} is {state} and cannot be {wanted}")));
            }
        };
        if has {
            return Ok(());
        }
        let holder = if self.routing.owner.is_empty() {
            format!("group {}", self.rules.sales_ops_group)
        } else {
            self.routing.owner.clone()
        };
        Err(Error::denied("NOT_THE_OWNER", format!("{name} is with {holder}, not with {}", cx.actor.subject)))
    }

    /// Ends the clock that runs, if any.
    async fn end(&self, mutation: &mut Mutation, accepted: bool) -> Result<()> {
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        store::routings::end_assignment(mutation.tx(), &tenant, (&self.row.id, self.round()), now, accepted).await
    }

    /// Assigns the lead to a person, whose clock starts.
    async fn assign(&mut self, mutation: &mut Mutation, owner: &str) -> Result<()> {
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        let level = self.gate.service_level.clone().unwrap_or_default();
        let due = calendars::due(mutation.tx(), &tenant, &level, now).await?;
        self.routing.destination = Destination::Sales.into();
        self.routing.state = RoutingState::Assigned.into();
        self.routing.notified_group.clear();
        owner.clone_into(&mut self.routing.owner);
        self.routing.assignments.push(pb::Assignment {
            owner: owner.to_owned(),
            assign_time: Some(stamp(now)),
            due_time: Some(stamp(due)),
            accept_time: None,
            reassign_reason: String::new(),
        });
        let clock_id = mutation.new_id();
        let row = AssignmentRow {
            lead_id: self.row.id.clone(),
            round: self.round(),
            clock_id: clock_id.clone(),
            owner: owner.to_owned(),
            assign_time: now,
            due_time: due,
        };
        store::routings::insert_assignments(mutation.tx(), &tenant, &[row]).await?;
        timers::schedule(
            mutation.tx(),
            &tenant,
            &format!("accept/{clock_id}"),
            clocks::ACCEPT,
            due,
            clock_id.as_bytes(),
        )
        .await
    }

    fn check_owner(&self, owner: &str) -> Result<()> {
        if self.rules.sales_owners.iter().any(|listed| listed == owner) && self.routing.owner != owner {
            return Ok(());
        }
        Err(Error::invalid(
            "OWNER_UNKNOWN",
            "owner",
            format!("must be one of the gate's sales owners, and not the present one, {}", self.routing.owner),
        ))
    }

    async fn save(
        self,
        mutation: &mut Mutation,
        cx: &Cx,
        reason: &str,
        details: serde_json::Value,
    ) -> Result<pb::Routing> {
        save(mutation, &self.row, self.routing, &self.gate, cx.method, reason, details).await
    }
}

impl Service {
    /// Accepts a lead.
    pub async fn accept_lead(&self, cx: &Cx, request: pb::AcceptLeadRequest) -> Result<pb::Routing> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut lead = Lead::lock(&mut mutation, &request.name).await?;
        lead.check_holder(cx, "accepted")?;
        lead.end(&mut mutation, true).await?;
        let now = mutation.now();
        lead.routing.state = RoutingState::Accepted.into();
        lead.routing.owner.clone_from(&cx.actor.subject);
        lead.routing.notified_group.clear();
        if let Some(last) = lead.routing.assignments.last_mut().filter(|last| last.owner == cx.actor.subject) {
            last.accept_time = Some(stamp(now));
        }
        let round = lead.round();
        let routing = lead.save(&mut mutation, cx, "", json!({"round": round})).await?;
        finish(mutation, routing).await
    }

    /// Passes a lead on.
    pub async fn reassign_lead(&self, cx: &Cx, request: pb::ReassignLeadRequest) -> Result<pb::Routing> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut lead = Lead::lock(&mut mutation, &request.name).await?;
        lead.check_holder(cx, "reassigned")?;
        lead.check_owner(&request.owner)?;
        lead.end(&mut mutation, false).await?;
        let from_sales_ops = lead.routing.state() == RoutingState::SalesOps;
        let before = lead.routing.owner.clone();
        let done = lead.routing.assignments.iter().filter(|assignment| !assignment.reassign_reason.is_empty()).count();
        if let Some(last) = lead.routing.assignments.last_mut().filter(|_| !from_sales_ops) {
            last.reassign_reason.clone_from(&request.reason);
        }
        // Sales Ops ends the passing on, and may therefore assign beyond the limit.
        let limit = usize::try_from(lead.gate.iteration_limit).unwrap_or(0);
        if done >= limit && !from_sales_ops {
            to_sales_ops(&mut lead.routing, &lead.gate);
        } else {
            lead.assign(&mut mutation, &request.owner).await?;
        }
        let details = json!({"from": before, "to": lead.routing.owner, "wanted": request.owner, "reassignments": done + usize::from(!from_sales_ops)});
        let routing = lead.save(&mut mutation, cx, &request.reason, details).await?;
        finish(mutation, routing).await
    }

    /// Records a person's check of a routing.
    pub async fn review_routing(&self, cx: &Cx, request: pb::ReviewRoutingRequest) -> Result<pb::Routing> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut lead = Lead::lock(&mut mutation, &request.name).await?;
        let confirmed = lead.routing.destination() == request.destination();
        if confirmed && !lead.routing.checked_by.is_empty() {
            let message = format!("{} was checked by {}", request.name, lead.routing.checked_by);
            return Err(Error::precondition("ROUTING_CHECKED", message));
        }
        lead.routing.checked_by.clone_from(&cx.actor.subject);
        lead.routing.check_time = Some(stamp(mutation.now()));
        if confirmed {
            let sampled = lead.routing.sampled;
            let routing = lead.save(&mut mutation, cx, "CONFIRMED", json!({"sampled": sampled})).await?;
            return finish(mutation, routing).await;
        }
        let Some(reason) = request.reason.clone() else {
            return Err(Error::invalid("REASON_REQUIRED", "reason", "is required to change the destination"));
        };
        reviews::check_reason(&reason, "reason")?;
        let name = redirect(&mut mutation, &mut lead, &request, reason.clone()).await?;
        let code = reason.code().as_str_name().trim_start_matches("REASON_CODE_");
        let routing = lead.save(&mut mutation, cx, code, json!({"override": name, "text": reason.text})).await?;
        finish(mutation, routing).await
    }

    /// Returns a routing.
    pub async fn get_routing(&self, cx: &Cx, request: pb::GetRoutingRequest) -> Result<pb::Routing> {
        let [id] = name::ids::<1>(&request.name, "routings/*", "name")?;
        let row = store::routings::get(&mut self.db.read().await?, &cx.tenant, id).await?;
        show(&row.ok_or_else(|| missing(&request.name))?)
    }

    /// Lists routings.
    pub async fn list_routings(&self, cx: &Cx, request: pb::ListRoutingsRequest) -> Result<pb::ListRoutingsResponse> {
        let size = page::size(request.page_size)?;
        let filter = store::routings::filter(&request.filter)?;
        let keyset = self.db.keyset(&cx.tenant, "routings", &[&request.filter]);
        let after = keyset.after(&request.page_token)?;
        let mut tx = self.db.read().await?;
        let rows = store::routings::list(&mut tx, &cx.tenant, &filter, after.as_deref(), size + 1).await?;
        let (rows, next_page_token) = keyset.cut(rows, size, |row| vec![Value::from(&row.id)]);
        Ok(pb::ListRoutingsResponse { routings: rows.iter().map(show).collect::<Result<_>>()?, next_page_token })
    }
}

/// Sends a lead to the other destination, as an override.
async fn redirect(
    mutation: &mut Mutation,
    lead: &mut Lead,
    request: &pb::ReviewRoutingRequest,
    reason: pb::Reason,
) -> Result<String> {
    let before_digest = digest::sha256(&lead.row.body);
    lead.end(mutation, false).await?;
    if request.destination() == Destination::Sales {
        let owner = if request.owner.is_empty() {
            let by_rule = assign(&lead.row.id, &lead.routing.recommended_owner, &lead.rules.sales_owners);
            by_rule.ok_or_else(|| Error::internal("an active gate lists no sales owners"))?.to_owned()
        } else {
            lead.check_owner(&request.owner)?;
            request.owner.clone()
        };
        lead.assign(mutation, &owner).await?;
    } else {
        lead.routing.destination = Destination::Nurture.into();
        lead.routing.state = RoutingState::Nurture.into();
        lead.routing.owner.clear();
        lead.routing.notified_group.clone_from(&lead.rules.sdr_group);
    }
    let overridden = i32::from(RoutingReason::Overridden);
    if !lead.routing.reasons.contains(&overridden) {
        lead.routing.reasons.push(overridden);
    }
    let what = overrides::Overridden {
        resource: &lead.routing.name,
        gate_id: &lead.row.gate_id,
        gate_version: &lead.routing.gate_version,
        model_version: &lead.routing.model_version,
        before_digest,
        after_digest: String::new(),
    };
    overrides::insert(mutation, what, OverrideKind::Edit, reason).await
}
