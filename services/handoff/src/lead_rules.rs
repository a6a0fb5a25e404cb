//! The decision about one lead: what was sent is checked, the gate's rules are applied, nothing is written.

use crate::gate_rules;
use crate::pattern_rules::{Done, Requirement, Step, Work, judge, requirement};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::{Destination, RoutingReason as Reason, RoutingState};
use remit_api::types::AutonomyPattern;
use remit_api::wire::Word as _;
use remit_api::wire::time::{self, stamp};
use remit_core::name::{self, RoutingName};
use remit_core::routing::{self as rules, LeadSignals, RoutingReason};
use remit_core::{Result, Timestamp, canonical};
use serde_json::json;
use std::collections::BTreeMap;

/// The gate of a batch, with what scoring says about its model version.
pub(crate) struct Gate {
    pub(crate) gate: pb::GateVersion,
    pub(crate) rules: pb::RoutingRules,
    /// Why the model version may not score leads; empty if it may.
    pub(crate) denials: Vec<String>,
    pub(crate) policy: String,
    /// What people have to do about each lead.
    pub(crate) pattern: AutonomyPattern,
    /// The share of decisions that people check: the gate's or scoring's, whichever is more.
    pub(crate) sampling_rate: f64,
}

/// A lead that passed validation.
pub(crate) struct Checked<'a> {
    pub(crate) lead: &'a pb::Lead,
    pub(crate) score: Option<f64>,
    pub(crate) confidence: Option<f64>,
    pub(crate) occurred_at: Timestamp,
    pub(crate) digest: String,
}

/// Checks one lead and takes the digest of its content. Map entries are hashed in order of their keys.
pub(crate) fn check<'a>(
    lead: &'a pb::Lead,
    batch: &pb::RouteLeadsRequest,
    now: Timestamp,
    field: &str,
) -> Result<Checked<'a>> {
    let of = |name: &str| if field.is_empty() { format!("lead.{name}") } else { format!("{field}.{name}") };
    name::id(&lead.lead_id, &of("lead_id"))?;
    let score = rules::ratio(lead.score, "SCORE_OUT_OF_RANGE", &of("score"))?;
    let confidence = rules::ratio(lead.enrichment_confidence, "CONFIDENCE_OUT_OF_RANGE", &of("enrichment_confidence"))?;
    let occurred_at = time::past(lead.occurred_at.as_ref(), now, &of("occurred_at"))?;
    let sent = lead.occurred_at.as_ref().map(time::of);
    let enrichment: BTreeMap<_, _> = lead.enrichment.iter().collect();
    let content = json!([
        lead.lead_id,
        score,
        confidence,
        enrichment,
        lead.recommended_owner,
        sent,
        batch.model_version,
        batch.task
    ]);
    Ok(Checked { lead, score, confidence, occurred_at, digest: canonical::digest(&content)? })
}

/// Applies the rules to one lead. Where the pattern asks for a person's decision, the lead is held and the rules only
/// propose; leads that AI may not route at all are people's from the start, and go to nurture.
pub(crate) fn decide(
    gate: &Gate,
    batch: &pb::RouteLeadsRequest,
    checked: &Checked<'_>,
    now: Timestamp,
    due: Timestamp,
) -> pb::Routing {
    let lead = checked.lead;
    let lacks = |key: &&String| lead.enrichment.get(*key).is_none_or(|value| value.trim().is_empty());
    let missing: Vec<String> = gate.rules.required_enrichment.iter().filter(lacks).cloned().collect();
    let signals = LeadSignals {
        score: checked.score,
        confidence: checked.confidence,
        enriched: missing.is_empty(),
        permitted: gate.denials.is_empty(),
    };
    let route = gate_rules::routing_rules(&gate.rules).route(&signals);
    let asked = requirement(gate.pattern, Work::Leads, Step::Deliver);
    let held = gate.denials.is_empty() && asked == Requirement::Decided;
    let owner = if route.to_sales {
        rules::assign(&lead.lead_id, &lead.recommended_owner, &gate.rules.sales_owners)
    } else {
        None
    };
    // An active gate has owners; without one a person still has to see the lead.
    let (destination, state) = match owner {
        Some(_) => (Destination::Sales, RoutingState::Assigned),
        None => (Destination::Nurture, RoutingState::Nurture),
    };
    let state = if held { RoutingState::Held } else { state };
    let owner = owner.filter(|_| !held);
    let assignment = owner.map(|owner| pb::Assignment {
        owner: owner.to_owned(),
        assign_time: Some(stamp(now)),
        due_time: Some(stamp(due)),
        accept_time: None,
        reassign_reason: String::new(),
    });
    pb::Routing {
        name: RoutingName::new(&lead.lead_id).to_string(),
        destination: destination.into(),
        state: state.into(),
        reasons: route.reasons.iter().map(|reason| i32::from(reason_of(*reason))).collect(),
        score: checked.score,
        enrichment_confidence: checked.confidence,
        high_intent: route.high_intent,
        data_quality_flag: route.data_quality_flag,
        missing_enrichment: missing,
        owner: owner.unwrap_or_default().to_owned(),
        recommended_owner: lead.recommended_owner.clone(),
        model_version: batch.model_version.clone(),
        task: batch.task.clone(),
        gate_version: gate.gate.name.clone(),
        denial_reasons: gate.denials.clone(),
        notified_group: if owner.is_some() || held { String::new() } else { gate.rules.sdr_group.clone() },
        pattern: gate.pattern.into(),
        held: held.then(|| wait(gate, now, due)),
        sampled: rules::sampled("routing", &[&gate.gate.name, &lead.lead_id], gate.sampling_rate),
        assignments: assignment.into_iter().collect(),
        input_digest: checked.digest.clone(),
        occurred_at: Some(stamp(checked.occurred_at)),
        create_time: Some(stamp(now)),
        update_time: Some(stamp(now)),
        ..Default::default()
    }
}

/// What a lead that is held from now on waits for.
fn wait(gate: &Gate, now: Timestamp, due: Timestamp) -> pb::HeldLead {
    pb::HeldLead {
        responsible: gate.gate.owner.clone(),
        offered_at: Some(stamp(now)),
        due_time: Some(stamp(due)),
        round: 1,
        ..Default::default()
    }
}

/// Whether only a person of the gate sends this lead to sales: AI may not by itself, because the pattern asks for a
/// person's decision or for people alone, or because scoring permitted nothing. Whoever is none of the gate's people may
/// always send it to nurture, which is where leads go that nobody vouches for.
pub(crate) fn is_for_the_gate(routing: &pb::Routing) -> bool {
    let asked = requirement(routing.pattern(), Work::Leads, Step::Deliver);
    !routing.denial_reasons.is_empty() || matches!(asked, Requirement::Decided | Requirement::Refused)
}

/// Whether the pattern of a lead lets a person in sales take it on.
///
/// # Errors
/// `FailedPrecondition` (`ROUTING_HELD`) for one that waits for a person's decision.
pub(crate) fn check_decided(routing: &pb::Routing) -> Result<()> {
    let done = Done { decided: routing.state() != RoutingState::Held, ..Done::default() };
    judge(&routing.name, routing.pattern(), Work::Leads, Step::Accept, done).map(drop)
}

fn reason_of(reason: RoutingReason) -> Reason {
    match reason {
        RoutingReason::AboveThresholds => Reason::AboveThresholds,
        RoutingReason::ScoreLow => Reason::ScoreLow,
        RoutingReason::ConfidenceLow => Reason::ConfidenceLow,
        RoutingReason::ScoreMissing => Reason::ScoreMissing,
        RoutingReason::ConfidenceMissing => Reason::ConfidenceMissing,
        RoutingReason::EnrichmentMissing => Reason::EnrichmentMissing,
        RoutingReason::ModelNotPermitted => Reason::ModelNotPermitted,
    }
}

/// The reasons of a routing as words.
pub(crate) fn reason_words(routing: &pb::Routing) -> Vec<String> {
    routing.reasons().map(|reason| reason.word().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ai_may_send_alone_is_sent_by_an_outsider_alone() {
        let routing = |pattern: AutonomyPattern| pb::Routing { pattern: pattern.into(), ..Default::default() };
        for pattern in [
            AutonomyPattern::Unspecified,
            AutonomyPattern::HumanOnly,
            AutonomyPattern::AiFirstDraft,
            AutonomyPattern::HumanInTheLoop,
        ] {
            assert!(is_for_the_gate(&routing(pattern)), "{pattern:?}");
        }
        let automatic = routing(AutonomyPattern::HumanOnTheLoop);
        assert!(!is_for_the_gate(&automatic));
        assert!(is_for_the_gate(&pb::Routing { denial_reasons: vec!["HOLD_ENGAGED".into()], ..automatic }));
    }
}
