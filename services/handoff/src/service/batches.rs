//! Batches of leads: one question to scoring, one transaction, one audit event a lead.

use super::{Service, briefings, calendars, decisions, gates, leads};
use crate::lead_rules::{Checked, Gate, check, decide, reason_words};
use crate::pattern_rules::{Done, Requirement, Step, Work, judge, requirement};
use crate::peers::Question;
use crate::store::Routings;
use crate::{gate_rules, templates};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::RoutingState;
use remit_api::handoff::v1::gate_version::Rules;
use remit_api::wire::{self, Word as _};
use remit_core::details::{Details as _, LeadRouted, OfRouting as _};
use remit_core::name::{ModelVersionName, TaskName};
use remit_core::{Error, Kind, PersonalData, Result, Tenant};
use remit_store::{Mutation, Records as _};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What became of the leads of a batch.
pub(super) struct Batch {
    /// The routings of the leads that have one now, in the order of the leads.
    pub(super) routings: Vec<pb::Routing>,
    /// The refused leads by their place in the batch.
    pub(super) errors: BTreeMap<usize, Error>,
    /// How many had a routing before.
    pub(super) repeated: i32,
}

impl Service {
    /// The gate in force and scoring's answer, once a batch. Never inside a mutation.
    pub(super) async fn routing_gate(&self, tenant: &Tenant, batch: &pb::RouteLeadsRequest) -> Result<Gate> {
        self.seed(tenant).await?;
        TaskName::parse(&batch.task, "task")?;
        ModelVersionName::parse(&batch.model_version, "model_version")?;
        let wanted = if batch.gate.is_empty() { templates::ROUTING } else { &batch.gate };
        let gate = gates::active(&mut self.db.read().await?, tenant, wanted, "gate").await?;
        let Some(Rules::Routing(rules)) = gate.rules.clone() else {
            let message = format!("{wanted} is a gate for reviewed work, not for leads");
            return Err(Error::precondition("GATE_KIND", message));
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
        // A lead is routed once. What was routed while nobody could tell whether AI may score it would stay where it is
        // when scoring is back, and a hot lead with it: so its sender keeps it until there is an answer.
        let mut permission = self.scoring.check(tenant, &question).await?;
        let pattern = permission.pattern;
        if permission.denials.is_empty()
            && let Err(refused) = judge(wanted, pattern, Work::Leads, Step::Start, Done::default())
        {
            permission.denials.push(format!("{}: {}", refused.reason(), refused.message()));
        }
        // What a person decides about each time is checked each time; the rest as often as gate or scoring ask.
        let decided = requirement(pattern, Work::Leads, Step::Deliver) == Requirement::Decided;
        let rate = gate_rules::sampling_rate(&gate).max(permission.sampling_rate);
        Ok(Gate {
            rules,
            denials: permission.denials,
            policy: permission.policy,
            pattern,
            sampling_rate: if decided { 1.0 } else { rate },
            gate,
        })
    }
}

/// Routes the leads of a batch; `field` names their list, or is empty for a single one.
pub(super) async fn route(m: &mut Mutation, gate: &Gate, batch: &pb::RouteLeadsRequest, field: &str) -> Result<Batch> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    let mut errors: BTreeMap<usize, Error> = BTreeMap::new();
    let (mut leads, mut seen) = (Vec::with_capacity(batch.leads.len()), HashSet::new());
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
    let due = calendars::due(m.tx(), &tenant, &level, now).await?;
    let mut routed: Vec<pb::Routing> = leads.iter().map(|(_, lead)| decide(gate, batch, lead, now, due)).collect();
    let new = Routings::insert_all(m, &mut routed).await?;
    let known: Vec<&str> =
        routed.iter().map(|routing| routing.name.as_str()).filter(|name| !new.contains(*name)).collect();
    let mut known: HashMap<String, pb::Routing> = Routings::named(m.tx(), &tenant, &known)
        .await?
        .into_iter()
        .map(|routing| (routing.name.clone(), routing))
        .collect();
    let (mut routings, mut repeated) = (Vec::with_capacity(routed.len()), 0);
    for ((index, lead), routing) in leads.iter().zip(routed) {
        if new.contains(&routing.name) {
            record(m, gate, lead, &routing);
            routings.push(routing);
            continue;
        }
        match known.remove(&routing.name).filter(|first| first.input_digest == routing.input_digest) {
            Some(first) => {
                repeated += 1;
                routings.push(first);
            }
            None => {
                let message = format!("{} was routed with other values; a lead is routed once", routing.name);
                errors.insert(*index, Error::new(Kind::AlreadyExists, "LEAD_CHANGED", message));
            }
        }
    }
    if !new.is_empty() {
        let fresh = |state: RoutingState| -> Vec<&pb::Routing> {
            routings.iter().filter(|routing| new.contains(&routing.name) && routing.state() == state).collect()
        };
        decisions::start(m, &fresh(RoutingState::Held), due).await?;
        let assigned = fresh(RoutingState::Assigned);
        for routing in &assigned {
            leads::put_work(m, routing).await?;
        }
        if !assigned.is_empty() {
            leads::start_clock(m, &assigned, due).await?;
        }
        let nurtured = fresh(RoutingState::Nurture).into_iter().map(|routing| routing.name.clone()).collect();
        leads::notify(m, &gate.gate, nurtured).await?;
        briefings::schedule(m, &gate.gate).await?;
    }
    Ok(Batch { routings, errors, repeated })
}

/// One audit event a lead. What enrichment found is personal, and kept where it can be erased.
fn record(m: &mut Mutation, gate: &Gate, checked: &Checked<'_>, routing: &pb::Routing) {
    let mut details = LeadRouted {
        reasons: reason_words(routing),
        score: routing.score,
        enrichment_confidence: routing.enrichment_confidence,
        high_intent: routing.high_intent,
        owner: routing.owner.clone(),
        notified_group: routing.notified_group.clone(),
        sampled: routing.sampled,
        pattern: routing.pattern().word().to_owned(),
        due: leads::due(routing),
        ..Default::default()
    };
    details.set_placed(leads::placed(routing));
    let mut event = m.event("handoff.routings.route", &routing.name);
    event.after_digest = wire::digest(routing);
    event.policy_version.clone_from(&gate.policy);
    event.model_version.clone_from(&routing.model_version);
    event.reason = details.reasons.first().cloned().unwrap_or_default();
    event.details = details.json();
    event.occurred_at = checked.occurred_at;
    if !checked.lead.enrichment.is_empty() {
        let fields = checked.lead.enrichment.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        event.personal = Some(PersonalData { subject: format!("leads/{}", checked.lead.lead_id), fields });
    }
    m.record_event(event);
}
