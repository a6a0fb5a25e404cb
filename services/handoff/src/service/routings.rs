//! Routings: made in batches, then accepted, passed on and checked by people.

use super::batches::{self, Batch};
use super::leads::{self, Lead};
use super::{Service, decisions, overrides};
use crate::store::{Routings, routings};
use crate::{gate_rules, lead_rules, principal, review_rules};
use futures::{Stream, StreamExt as _};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::{Destination, OverrideKind, RoutingReason, RoutingState};
use remit_api::wire::Word as _;
use remit_api::wire::time::stamp;
use remit_core::details::{LeadAccepted, LeadReassigned, RoutingReviewed};
use remit_core::name::RoutingName;
use remit_core::{Actor, Error, Kind, Result, Timestamp};
use remit_runtime::{Cx, received};
use remit_store::{Mutation, Records as _};
use tonic::Streaming;

/// The most leads in a batch.
const MOST_LEADS: usize = 1_000;

impl Service {
    /// Routes one lead.
    pub(crate) async fn route_lead(&self, cx: &Cx, request: pb::RouteLeadRequest) -> Result<pb::Routing> {
        let call = cx.call(&request);
        let batch = pb::RouteLeadsRequest {
            leads: request.lead.into_iter().collect(),
            model_version: request.model_version,
            task: request.task,
            gate: request.gate,
            batch: 0,
        };
        let gate = self.routing_gate(&cx.tenant, &batch).await?;
        self.mutate(call, async |m| {
            let mut done = batches::route(m, &gate, &batch, "").await?;
            if let Some((_, refused)) = done.errors.pop_first() {
                return Err(refused);
            }
            done.routings.pop().ok_or_else(|| Error::internal("a lead was neither routed nor refused"))
        })
        .await
    }

    /// Routes batches of leads, each in one transaction.
    pub(crate) fn route_leads(
        &self,
        cx: &Cx,
        batches: Streaming<pb::RouteLeadsRequest>,
    ) -> impl Stream<Item = Result<pb::RouteLeadsResponse>> + Send + 'static + use<> {
        // One batch at a time: the answer says that it is durable, and the client's flow control does the rest.
        futures::stream::unfold(Some((self.clone(), cx.clone(), batches)), async |state| {
            let (service, cx, mut batches) = state?;
            let answer = match batches.next().await? {
                Ok(batch) => service.route_batch(&cx, batch).await,
                Err(status) => Err(received(status)),
            };
            // A failed batch ends the stream; what was answered before stays.
            let rest = answer.is_ok().then_some((service, cx, batches));
            Some((answer, rest))
        })
    }

    async fn route_batch(&self, cx: &Cx, batch: pb::RouteLeadsRequest) -> Result<pb::RouteLeadsResponse> {
        if batch.leads.len() > MOST_LEADS {
            let message = format!("a batch has {} leads, at most {MOST_LEADS} are possible", batch.leads.len());
            return Err(Error::new(Kind::ResourceExhausted, "BATCH_TOO_LARGE", message));
        }
        let gate = self.routing_gate(&cx.tenant, &batch).await?;
        let call = cx.call_as("", &batch);
        self.mutate(call, async |m| Ok(answer(&batch, batches::route(m, &gate, &batch, "leads").await?))).await
    }

    /// Accepts a lead.
    pub(crate) async fn accept_lead(&self, cx: &Cx, request: pb::AcceptLeadRequest) -> Result<pb::Routing> {
        self.mutate(cx.call(&request), async |m| {
            let mut lead = Lead::claim(m, &request.name).await?;
            let gate = lead.gate(m).await?;
            lead.check_holder(&gate, &cx.actor, m.now(), "accepted")?;
            routings::end_assignment(m, &lead.routing, true).await?;
            let routing = &mut lead.routing;
            routing.state = RoutingState::Accepted.into();
            routing.owner.clone_from(&cx.actor.subject);
            routing.notified_group.clear();
            if let Some(last) = routing.assignments.last_mut().filter(|last| last.owner == cx.actor.subject) {
                last.accept_time = Some(stamp(m.now()));
            }
            let round = routings::round(routing);
            lead.save(m, cx.method, "", LeadAccepted { round, ..Default::default() }).await
        })
        .await
    }

    /// Passes a lead on.
    pub(crate) async fn reassign_lead(&self, cx: &Cx, request: pb::ReassignLeadRequest) -> Result<pb::Routing> {
        self.mutate(cx.call(&request), async |m| {
            let mut lead = Lead::claim(m, &request.name).await?;
            let gate = lead.gate(m).await?;
            lead.check_holder(&gate, &cx.actor, m.now(), "reassigned")?;
            lead.check_owner(gate_rules::routing(&gate)?, &request.owner)?;
            routings::end_assignment(m, &lead.routing, false).await?;
            let from_sales_ops = lead.routing.state() == RoutingState::SalesOps;
            let from = lead.routing.owner.clone();
            let passed_on = lead.routing.assignments.iter().filter(|past| !past.reassign_reason.is_empty());
            let done = i32::try_from(passed_on.count()).unwrap_or(i32::MAX);
            if let Some(last) = lead.routing.assignments.last_mut().filter(|_| !from_sales_ops) {
                last.reassign_reason.clone_from(&request.reason);
            }
            // Sales Ops ends the passing on, and may therefore assign beyond the limit.
            if done >= gate.iteration_limit && !from_sales_ops {
                lead.pass_to_sales_ops(&gate)?;
            } else {
                lead.assign(m, &gate, &request.owner).await?;
            }
            let details = LeadReassigned {
                from,
                to: lead.routing.owner.clone(),
                due: leads::due(&lead.routing),
                wanted: request.owner,
                reassignments: i64::from(done) + i64::from(!from_sales_ops),
                ..Default::default()
            };
            lead.save(m, cx.method, &request.reason, details).await
        })
        .await
    }

    /// Records a person's check of a routing.
    pub(crate) async fn review_routing(&self, cx: &Cx, request: pb::ReviewRoutingRequest) -> Result<pb::Routing> {
        self.mutate(cx.call(&request), async |m| {
            let mut lead = Lead::claim(m, &request.name).await?;
            let gate = lead.gate(m).await?;
            let confirmed = lead.routing.destination() == request.destination();
            let outsider = !principal::of_gate(&gate, &cx.actor, m.now());
            check_reviewer(&lead.routing, &gate, &cx.actor, m.now(), confirmed)?;
            if confirmed && !lead.routing.checked_by.is_empty() {
                let message = format!("{} was checked by {}", request.name, lead.routing.checked_by);
                return Err(Error::precondition("ROUTING_CHECKED", message));
            }
            let held = lead.routing.state() == RoutingState::Held;
            // One outsider alone releases nothing that waits for a person of the gate, not even in two steps.
            let proposes =
                outsider && request.destination() == Destination::Sales && lead_rules::is_for_the_gate(&lead.routing);
            let sampled = lead.routing.sampled;
            let mut details = RoutingReviewed { sampled, held, outsider, proposes, ..Default::default() };
            if held && !proposes && (confirmed || request.reason.is_some()) {
                decisions::decided(m, &mut lead).await?;
            }
            lead.routing.checked_by.clone_from(&cx.actor.subject);
            lead.routing.check_time = Some(stamp(m.now()));
            if confirmed {
                if held {
                    decisions::release(m, &mut lead, &gate, &request.owner).await?;
                }
                return lead.save(m, cx.method, "CONFIRMED", details).await;
            }
            let Some(reason) = request.reason.clone() else {
                return Err(Error::invalid("REASON_REQUIRED", "reason", "is required to change the destination"));
            };
            review_rules::check_reason(&reason, "reason")?;
            let code = reason.code();
            details.text.clone_from(&reason.text);
            details.override_name = redirect(m, &mut lead, &gate, &request, (reason, outsider, proposes)).await?;
            lead.save(m, cx.method, code.word(), details).await
        })
        .await
    }

    /// Returns a routing.
    pub(crate) async fn get_routing(&self, cx: &Cx, request: pb::GetRoutingRequest) -> Result<pb::Routing> {
        RoutingName::parse(&request.name, "name")?;
        Routings::get(&mut self.db.read().await?, &cx.tenant, &request.name).await
    }

    /// Lists routings.
    pub(crate) async fn list_routings(
        &self,
        cx: &Cx,
        request: pb::ListRoutingsRequest,
    ) -> Result<pb::ListRoutingsResponse> {
        let (routings, next_page_token) = Routings::list(&self.db, &cx.tenant, cx.page(&request)).await?;
        Ok(pb::ListRoutingsResponse { routings, next_page_token })
    }
}

/// What the caller is told of a batch.
fn answer(batch: &pb::RouteLeadsRequest, done: Batch) -> pb::RouteLeadsResponse {
    let refused = |(index, error): (usize, Error)| pb::LeadError {
        index: i32::try_from(index).unwrap_or(i32::MAX),
        lead_id: batch.leads.get(index).map(|lead| lead.lead_id.clone()).unwrap_or_default(),
        field: error.violations().first().map(|violation| violation.field.clone()).unwrap_or_default(),
        reason: error.reason().to_owned(),
        message: error.message().to_owned(),
    };
    pb::RouteLeadsResponse {
        batch: batch.batch,
        routings: done.routings,
        errors: done.errors.into_iter().map(refused).collect(),
        repeated_count: done.repeated,
    }
}

/// Sends a lead to the other destination, or only proposes that, as an override. Returns its name.
async fn redirect(
    m: &mut Mutation,
    lead: &mut Lead,
    gate: &pb::GateVersion,
    request: &pb::ReviewRoutingRequest,
    (reason, outsider, proposes): (pb::Reason, bool, bool),
) -> Result<String> {
    let gated = gate_rules::routing(gate)?;
    routings::end_assignment(m, &lead.routing, false).await?;
    if proposes {
        decisions::propose_sales(m, lead, gate).await?;
    } else if request.destination() == Destination::Sales {
        let owner = decisions::owner_for(lead, gated, &request.owner)?;
        lead.assign(m, gate, &owner).await?;
    } else {
        decisions::to_nurture(lead, gated);
    }
    if !lead.routing.reasons().any(|known| known == RoutingReason::Overridden) {
        lead.routing.reasons.push(RoutingReason::Overridden.into());
    }
    let what = pb::Override {
        resource: lead.routing.name.clone(),
        gate_version: lead.routing.gate_version.clone(),
        model_version: lead.routing.model_version.clone(),
        kind: OverrideKind::Edit.into(),
        reason: Some(reason),
        before_digest: lead.before_digest.clone(),
        outsider,
        ..Default::default()
    };
    overrides::insert(m, what).await
}

/// Refuses the check of who is none of the gate's people, unless it is an override of the destination, which is counted
/// as one by an outsider; and of who has the lead, because nobody checks what they have themselves.
///
/// # Errors
/// `PermissionDenied` (`NOT_OF_THIS_GATE`, `REVIEWER_NOT_ELIGIBLE`).
fn check_reviewer(
    routing: &pb::Routing,
    gate: &pb::GateVersion,
    actor: &Actor,
    now: Timestamp,
    confirmed: bool,
) -> Result<()> {
    if !confirmed {
        return Ok(());
    }
    principal::check_of_gate(gate, actor, now)?;
    if !routing.owner.is_empty() && [Some(&actor.subject), actor.on_behalf_of.as_ref()].contains(&Some(&routing.owner))
    {
        let message = format!("{} has the lead of {} and may not check its routing", actor.subject, routing.name);
        return Err(Error::denied("REVIEWER_NOT_ELIGIBLE", message));
    }
    Ok(())
}
