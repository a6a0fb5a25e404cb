//! Routing of leads in batches: one question to scoring, one transaction, one audit event a lead.

use super::lead_rules::{Checked, Gate, check, decide, reason_words};
use super::record::merged;
use super::{Service, calendars, clocks, decode, gates, work};
use crate::convert::{self, stamp};
use crate::peers::{Permission, Question};
use crate::principal::group;
use crate::store::{self, routings::AssignmentRow, routings::RoutingColumns, routings::RoutingRow};
use crate::{gate_rules, principal};
use prost::Message as _;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::gate_version::Rules;
use remit_api::handoff::v1::{Destination, RoutingReason as Reason, RoutingState};
use remit_api::types::AutonomyPattern;
use remit_core::{AuditEvent, Error, Kind, PersonalData, Result, Tenant, Timestamp, digest, name};
use remit_runtime::{Cx, Started, finish};
use remit_store::{Mutation, Timer, timers};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The most leads in a batch.
pub(super) const MOST_LEADS: usize = 1_000;
/// How long a notification of nurtured leads stays in the work queue.
const NOTICE_MICROS: i64 = 7 * 24 * 3_600 * 1_000_000;

/// A routing as callers see it.
pub(super) fn show(row: &RoutingRow) -> Result<pb::Routing> {
    let mut routing: pb::Routing = decode(&row.body)?;
    routing.name = format!("routings/{}", row.id);
    routing.etag = convert::etag(row.revision);
    routing.create_time = Some(stamp(row.create_time));
    routing.update_time = Some(stamp(row.update_time));
    Ok(routing)
}

/// The columns of a routing.
pub(super) fn columns(gate_id: &str, gate_version: i64, routing: &pb::Routing) -> RoutingColumns {
    // Bit n is reason n.
    let reasons = routing.reasons.iter().fold(0_i64, |mask, reason| mask | 1 << (*reason).clamp(0, 62));
    RoutingColumns {
        id: routing.name.trim_start_matches("routings/").to_owned(),
        gate_id: gate_id.to_owned(),
        gate_version,
        destination: routing.destination.into(),
        state: routing.state.into(),
        reasons,
        score: routing.score,
        confidence: routing.enrichment_confidence,
        high_intent: routing.high_intent,
        data_quality_flag: routing.data_quality_flag,
        sampled: routing.sampled,
        checked: !routing.checked_by.is_empty(),
        overridden: routing.reasons.contains(&Reason::Overridden.into()),
        reassigns: routing.assignments.iter().filter(|assignment| !assignment.reassign_reason.is_empty()).count()
            as i64,
        owner: routing.owner.clone(),
        model_version: routing.model_version.clone(),
        input_digest: routing.input_digest.clone(),
        body: routing.encode_to_vec(),
    }
}

impl Service {
    /// Routes one lead.
    pub async fn route_lead(&self, cx: &Cx, request: pb::RouteLeadRequest) -> Result<pb::Routing> {
        let batch = pb::RouteLeadsRequest {
            leads: request.lead.clone().into_iter().collect(),
            model_version: request.model_version.clone(),
            task: request.task.clone(),
            gate: request.gate.clone(),
            batch: 0,
        };
        let gate = self.routing_gate(cx, &batch).await?;
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut answer = route(&mut mutation, &gate, &batch, "").await?;
        if let Some(refused) = answer.errors.pop() {
            let kind = if refused.reason == "LEAD_CHANGED" { Kind::AlreadyExists } else { Kind::InvalidArgument };
            let reason = reason_code(&refused.reason);
            return Err(
                Error::new(kind, reason, refused.message.clone()).with_violation(refused.field, refused.message)
            );
        }
        let routing = answer.routings.pop().ok_or_else(|| Error::internal("a lead was neither routed nor refused"))?;
        finish(mutation, routing).await
    }

    /// Routes a batch of leads in one transaction.
    pub async fn route_leads(&self, cx: &Cx, request: pb::RouteLeadsRequest) -> Result<pb::RouteLeadsResponse> {
        if request.leads.len() > MOST_LEADS {
            let message = format!("a batch has {} leads, at most {MOST_LEADS} are possible", request.leads.len());
            return Err(Error::new(Kind::ResourceExhausted, "BATCH_TOO_LARGE", message));
        }
        let gate = self.routing_gate(cx, &request).await?;
        let mut mutation = match self.begin::<pb::RouteLeadsResponse>(cx, "", &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let answer = route(&mut mutation, &gate, &request, "leads").await?;
        mutation.commit(Vec::new()).await?;
        Ok(answer)
    }

    /// The gate in force and scoring's answer, once a batch, outside any transaction.
    async fn routing_gate(&self, cx: &Cx, batch: &pb::RouteLeadsRequest) -> Result<Gate> {
        self.seed(&cx.tenant).await?;
        name::ids::<1>(&batch.task, "tasks/*", "task")?;
        name::ids::<2>(&batch.model_version, "models/*/versions/*", "model_version")?;
        let wanted = if batch.gate.is_empty() { "gates/lead-routing" } else { &batch.gate };
        let (id, version, gate) = gates::active(&mut self.db.read().await?, &cx.tenant, wanted, "gate").await?;
        let Some(Rules::Routing(routing_rules)) = gate.rules.clone() else {
            return Err(Error::precondition(
                "GATE_KIND",
                format!("{wanted} is a gate for reviewed work, not for leads"),
            ));
        };
        let question = Question {
            task: &batch.task,
            model_version: &batch.model_version,
            gate: wanted,
            // Scoring samples every run without an id. The leads are drawn here, each by its own hash, at the
            // share that the answer names.
            run_id: wanted,
            stakes: gate.stakes(),
        };
        let mut permission = match self.scoring.check(&cx.tenant, &question).await {
            Ok(permission) => permission,
            // Leads do not wait for scoring: people take them.
            Err(error) => Permission {
                denials: vec![format!("{}: {}", error.reason(), error.message())],
                pattern: AutonomyPattern::HumanOnly,
                sampling_rate: 1.0,
                obligations: Vec::new(),
                policy: String::new(),
            },
        };
        if permission.denials.is_empty()
            && matches!(permission.pattern, AutonomyPattern::HumanOnly | AutonomyPattern::AiFirstDraft)
        {
            permission.denials.push(format!(
                "{}: AI may not route leads by itself",
                permission.pattern.as_str_name().trim_start_matches("AUTONOMY_PATTERN_")
            ));
        }
        let in_the_loop = permission.pattern == AutonomyPattern::HumanInTheLoop;
        let rate = gate_rules::sampling_rate(&gate).max(permission.sampling_rate);
        Ok(Gate {
            id,
            version,
            rules: routing_rules,
            denials: permission.denials,
            policy: permission.policy,
            sampling_rate: if in_the_loop { 1.0 } else { rate },
            gate,
        })
    }
}

/// The reasons that a refused lead can have, as constants.
fn reason_code(reason: &str) -> &'static str {
    const KNOWN: [&str; 6] = [
        "SCORE_OUT_OF_RANGE",
        "CONFIDENCE_OUT_OF_RANGE",
        "LEAD_ID_INVALID",
        "LEAD_ID_REPEATED",
        "TIME_OUT_OF_RANGE",
        "LEAD_CHANGED",
    ];
    KNOWN.into_iter().find(|known| *known == reason).unwrap_or("LEAD_INVALID")
}

/// Routes a batch inside `mutation`.
async fn route(
    mutation: &mut Mutation,
    gate: &Gate,
    batch: &pb::RouteLeadsRequest,
    field: &str,
) -> Result<pb::RouteLeadsResponse> {
    let (tenant, now) = (mutation.tenant().clone(), mutation.now());
    let mut errors: BTreeMap<usize, Error> = BTreeMap::new();
    let (mut leads, mut seen) = (Vec::with_capacity(batch.leads.len()), BTreeSet::new());
    for (index, lead) in batch.leads.iter().enumerate() {
        let path = if field.is_empty() { String::new() } else { format!("{field}[{index}]") };
        match check(lead, batch, now, &path) {
            Ok(_) if !seen.insert(lead.lead_id.as_str()) => {
                let repeated = Error::invalid("LEAD_ID_REPEATED", format!("{path}.lead_id"), "is in the batch twice");
                errors.insert(index, repeated);
            }
            Ok(lead) => leads.push((index, lead)),
            Err(error) => {
                errors.insert(index, error);
            }
        }
    }
    let level = gate.gate.service_level.clone().unwrap_or_default();
    let due = calendars::due(mutation.tx(), &tenant, &level, now).await?;
    let routed: Vec<(usize, pb::Routing)> =
        leads.iter().map(|(index, lead)| (*index, decide(gate, batch, lead, now, due))).collect();

    let rows: Vec<RoutingColumns> =
        routed.iter().map(|(_, routing)| columns(&gate.id, gate.version, routing)).collect();
    let new: BTreeSet<String> =
        store::routings::insert(mutation.tx(), &tenant, &rows, now).await?.into_iter().collect();
    let mut routings = Vec::with_capacity(routed.len());
    let (mut assigned, mut nurtured, mut repeated_count) = (Vec::new(), Vec::new(), 0);
    let by_index: HashMap<usize, &Checked<'_>> = leads.iter().map(|(index, lead)| (*index, lead)).collect();
    for ((index, routing), row) in routed.into_iter().zip(rows) {
        if new.contains(&row.id) {
            record_event(mutation, gate, by_index.get(&index).copied(), &routing, &row.body);
            if routing.destination() == Destination::Sales {
                assigned.push(routing.clone())
            } else {
                nurtured.push(routing.name.clone())
            }
            routings.push(routing);
            continue;
        }
        let first = store::routings::get(mutation.tx(), &tenant, &row.id).await?;
        match first {
            Some(first) if first.input_digest == row.input_digest => {
                repeated_count += 1;
                routings.push(show(&first)?);
            }
            _ => {
                let message = format!("{} was routed with other values; a lead is routed once", routing.name);
                errors.insert(index, Error::new(Kind::AlreadyExists, "LEAD_CHANGED", message));
            }
        }
    }
    start_clocks(mutation, &tenant, gate, &assigned, due).await?;
    notify(mutation, &tenant, gate, nurtured, now).await?;
    if !new.is_empty() {
        super::briefings::schedule(mutation, &gate.gate, now).await?;
    }
    let errors = errors.into_iter().map(|(index, error)| refused(index, &batch.leads, &error)).collect();
    Ok(pb::RouteLeadsResponse { batch: batch.batch, routings, errors, repeated_count })
}

fn refused(index: usize, leads: &[pb::Lead], error: &Error) -> pb::LeadError {
    pb::LeadError {
        index: i32::try_from(index).unwrap_or(i32::MAX),
        lead_id: leads.get(index).map(|lead| lead.lead_id.clone()).unwrap_or_default(),
        field: error.violations().first().map(|violation| violation.field.clone()).unwrap_or_default(),
        reason: error.reason().to_owned(),
        message: error.message().to_owned(),
    }
}

/// One audit event a lead. What enrichment found is personal, and kept where it can be erased.
fn record_event(
    mutation: &mut Mutation,
    gate: &Gate,
    checked: Option<&Checked<'_>>,
    routing: &pb::Routing,
    body: &[u8],
) {
    let mut event = mutation.event("handoff.routings.route", &routing.name);
    event.after_digest = digest::sha256(body);
    event.policy_version.clone_from(&gate.policy);
    event.model_version.clone_from(&routing.model_version);
    event.reason = reason_words(routing).first().copied().unwrap_or_default().to_owned();
    event.details = json!({
        "destination": routing.destination().as_str_name().trim_start_matches("DESTINATION_"),
        "reasons": reason_words(routing),
        "score": routing.score,
        "enrichment_confidence": routing.enrichment_confidence,
        "high_intent": routing.high_intent,
        "owner": routing.owner,
        "gate_version": routing.gate_version,
        "notified_group": routing.notified_group,
        "sampled": routing.sampled,
    });
    if let Some(checked) = checked {
        event.occurred_at = checked.occurred_at;
        if !checked.lead.enrichment.is_empty() {
            let fields = checked.lead.enrichment.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            event.personal = Some(PersonalData { subject: format!("leads/{}", checked.lead.lead_id), fields });
        }
    }
    mutation.record(event);
}

/// Starts the clock to accept: one timer for all leads that were assigned together.
async fn start_clocks(
    mutation: &mut Mutation,
    tenant: &Tenant,
    gate: &Gate,
    assigned: &[pb::Routing],
    due: Timestamp,
) -> Result<()> {
    if assigned.is_empty() {
        return Ok(());
    }
    let clock_id = mutation.new_id();
    for routing in assigned {
        put_work(mutation, routing, &gate.gate).await?;
    }
    let now = mutation.now();
    let rows: Vec<AssignmentRow> = assigned
        .iter()
        .map(|routing| AssignmentRow {
            lead_id: routing.name.trim_start_matches("routings/").to_owned(),
            round: 1,
            clock_id: clock_id.clone(),
            owner: routing.owner.clone(),
            assign_time: now,
            due_time: due,
        })
        .collect();
    store::routings::insert_assignments(mutation.tx(), tenant, &rows).await?;
    timers::schedule(mutation.tx(), tenant, &format!("accept/{clock_id}"), clocks::ACCEPT, due, clock_id.as_bytes())
        .await
}

/// Puts an assigned lead, or one with Sales Ops, into the work queue.
pub(super) async fn put_work(mutation: &mut Mutation, routing: &pb::Routing, gate: &pb::GateVersion) -> Result<()> {
    let last = routing.assignments.last();
    let with_sales_ops = routing.state() == RoutingState::SalesOps;
    let item = pb::WorkItem {
        resource: routing.name.clone(),
        kind: pb::WorkKind::Lead.into(),
        responsible: Some(if with_sales_ops {
            group(&routing.notified_group)
        } else {
            principal::person(&routing.owner)
        }),
        due_time: if with_sales_ops { None } else { last.and_then(|assignment| assignment.due_time) },
        breached: !routing.breaches.is_empty() && with_sales_ops,
        offered_at: last.and_then(|assignment| assignment.assign_time),
        gate_version: gate.name.clone(),
        routings: Vec::new(),
    };
    work::put(mutation, &item).await
}

/// Tells the SDR group of the leads of a batch that went to nurture (S44).
async fn notify(
    mutation: &mut Mutation,
    tenant: &Tenant,
    gate: &Gate,
    nurtured: Vec<String>,
    now: Timestamp,
) -> Result<()> {
    if nurtured.is_empty() {
        return Ok(());
    }
    let resource = format!("notifications/{}", mutation.new_id());
    let item = pb::WorkItem {
        resource: resource.clone(),
        kind: pb::WorkKind::SdrNotification.into(),
        responsible: Some(group(&gate.rules.sdr_group)),
        offered_at: Some(stamp(now)),
        gate_version: gate.gate.name.clone(),
        routings: nurtured,
        ..Default::default()
    };
    work::put(mutation, &item).await?;
    let until = Timestamp(now.0.saturating_add(NOTICE_MICROS));
    timers::schedule(mutation.tx(), tenant, &format!("notice/{resource}"), clocks::NOTICE, until, resource.as_bytes())
        .await
}

/// The leads of one clock were not accepted in time: they go to Sales Ops (A14), each with its breach.
pub(super) async fn accept_due(mutation: &mut Mutation, timer: &Timer, clock_id: &str) -> Result<()> {
    let tenant = mutation.tenant().clone();
    let late = store::routings::breach_assignments(mutation.tx(), &tenant, clock_id, timer.detected_at).await?;
    let mut gates: HashMap<(String, i64), pb::GateVersion> = HashMap::new();
    for (lead, round) in late {
        let Some(row) = store::routings::lock(mutation.tx(), &tenant, &lead).await? else { continue };
        let key = (row.gate_id.clone(), row.gate_version);
        if !gates.contains_key(&key) {
            let gate = gates::load(mutation.tx(), &tenant, &row.gate_id, row.gate_version).await?;
            gates.insert(key.clone(), gate);
        }
        let Some(gate) = gates.get(&key) else { continue };
        let mut routing = show(&row)?;
        let owner = std::mem::take(&mut routing.owner);
        to_sales_ops(&mut routing, gate);
        routing.breaches.push(pb::Breach {
            clock: "accept".into(),
            round: i32::try_from(round).unwrap_or(i32::MAX),
            due_time: Some(stamp(timer.due_at)),
            detect_time: Some(stamp(timer.detected_at)),
            rung: 1,
            called: Some(group(&routing.notified_group)),
        });
        save(mutation, &row, routing, gate, clocks::ACCEPT, "SLA_BREACHED", json!({"owner": owner, "round": round}))
            .await?;
    }
    Ok(())
}

/// Moves a lead to Sales Ops.
pub(super) fn to_sales_ops(routing: &mut pb::Routing, gate: &pb::GateVersion) {
    routing.state = RoutingState::SalesOps.into();
    routing.owner.clear();
    if let Some(Rules::Routing(rules)) = &gate.rules {
        routing.notified_group.clone_from(&rules.sales_ops_group);
    }
}

/// Writes a locked routing with its audit event and its place in the work queue.
pub(super) async fn save(
    mutation: &mut Mutation,
    row: &RoutingRow,
    mut routing: pb::Routing,
    gate: &pb::GateVersion,
    action: &str,
    reason: &str,
    details: serde_json::Value,
) -> Result<pb::Routing> {
    let (tenant, now) = (mutation.tenant().clone(), mutation.now());
    routing.update_time = Some(stamp(now));
    let columns = columns(&row.gate_id, row.gate_version, &routing);
    let mut event: AuditEvent = mutation.event(action, &routing.name);
    event.reason = reason.to_owned();
    event.before_digest = digest::sha256(&row.body);
    event.after_digest = digest::sha256(&columns.body);
    event.model_version.clone_from(&routing.model_version);
    let state = json!({
        "destination": routing.destination().as_str_name().trim_start_matches("DESTINATION_"),
        "state": routing.state().as_str_name().trim_start_matches("ROUTING_STATE_"),
        "gate_version": routing.gate_version,
    });
    event.details = merged([event.details, state, details]);
    store::routings::update(mutation.tx(), &tenant, columns, now).await?;
    match routing.state() {
        RoutingState::Assigned | RoutingState::SalesOps => put_work(mutation, &routing, gate).await?,
        RoutingState::Accepted | RoutingState::Nurture | RoutingState::Unspecified => {
            work::remove(mutation, pb::WorkKind::Lead, &routing.name).await?;
        }
    }
    mutation.record(event);
    Ok(routing)
}
