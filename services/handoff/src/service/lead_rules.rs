//! The decision about one lead: what was sent is checked, the gate's rules are applied, nothing is written.

use crate::convert::{self, stamp};
use crate::gate_rules;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::{Destination, RoutingReason as Reason, RoutingState};
use remit_core::routing::{self as rules, LeadSignals, RoutingReason};
use remit_core::{Error, Result, Timestamp, canonical, name};
use serde_json::json;
use std::collections::BTreeMap;

/// The gate of a batch, with what scoring says about its model version.
pub(super) struct Gate {
    pub id: String,
    pub version: i64,
    pub gate: pb::GateVersion,
    pub rules: pb::RoutingRules,
    /// Why the model version may not score leads; empty if it may.
    pub denials: Vec<String>,
    pub policy: String,
    /// The share of decisions that people check: the gate's or scoring's, whichever is more.
    pub sampling_rate: f64,
}

/// A lead that passed validation.
pub(super) struct Checked<'a> {
    pub lead: &'a pb::Lead,
    pub score: Option<f64>,
    pub confidence: Option<f64>,
    pub occurred_at: Timestamp,
    pub digest: String,
}

/// Checks one lead and takes the digest of its content. Map entries are hashed in order of their keys.
pub(super) fn check<'a>(
    lead: &'a pb::Lead,
    batch: &pb::RouteLeadsRequest,
    now: Timestamp,
    field: &str,
) -> Result<Checked<'a>> {
    let of = |name: &str| if field.is_empty() { format!("lead.{name}") } else { format!("{field}.{name}") };
    if !name::is_id(&lead.lead_id) {
        return Err(Error::invalid(
            "LEAD_ID_INVALID",
            of("lead_id"),
            "must be 1 to 100 letters, digits, '.', '_' and '-'",
        ));
    }
    let score = rules::ratio(lead.score, "SCORE_OUT_OF_RANGE", &of("score"))?;
    let confidence = rules::ratio(lead.enrichment_confidence, "CONFIDENCE_OUT_OF_RANGE", &of("enrichment_confidence"))?;
    let occurred_at = convert::past(lead.occurred_at.as_ref(), now, &of("occurred_at"))?;
    let sent = lead.occurred_at.as_ref().map(convert::unstamp);
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

/// Applies the rules to one lead.
pub(super) fn decide(
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
    let assignment = owner.map(|owner| pb::Assignment {
        owner: owner.to_owned(),
        assign_time: Some(stamp(now)),
        due_time: Some(stamp(due)),
        accept_time: None,
        reassign_reason: String::new(),
    });
    pb::Routing {
        name: format!("routings/{}", lead.lead_id),
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
        notified_group: if owner.is_some() { String::new() } else { gate.rules.sdr_group.clone() },
        sampled: rules::sampled("routing", &[&gate.gate.name, &lead.lead_id], gate.sampling_rate),
        assignments: assignment.into_iter().collect(),
        input_digest: checked.digest.clone(),
        occurred_at: Some(stamp(checked.occurred_at)),
        etag: convert::etag(1),
        create_time: Some(stamp(now)),
        update_time: Some(stamp(now)),
        ..Default::default()
    }
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

pub(super) fn reason_words(routing: &pb::Routing) -> Vec<&'static str> {
    routing.reasons().map(|reason| reason.as_str_name().trim_start_matches("ROUTING_REASON_")).collect()
}
