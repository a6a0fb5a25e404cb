//! Reviews: claimed by an eligible person, decided by graded checklists, signed by the digest of what was seen.

use super::record::{self, Record};
use super::{Service, clocks, control, work};
use crate::convert::{self, stamp};
use crate::machine::Action;
use crate::store::{self, decisions::ReviewRow};
use crate::{gate_rules, principal};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::{HandoffState as State, ReasonCode, VariantFate};
use remit_core::{Error, Kind, Result, canonical};
use remit_runtime::{Cx, Started, finish};
use serde_json::json;
use std::collections::BTreeSet;

/// The digest that a signature covers (R6): what was reviewed, under which gate, with which grades.
pub(super) fn signed_digest(
    handoff: &pb::Handoff,
    gate: &pb::GateVersion,
    iteration: i32,
    variants: &[pb::VariantReview],
) -> Result<String> {
    let variants: Vec<_> = variants
        .iter()
        .map(|review| {
            let grades: Vec<_> = review.grades.iter().map(|grade| json!([grade.item, grade.grade])).collect();
            json!([review.variant, review.content_digest, grades, review.total, review.passed])
        })
        .collect();
    let signed = json!({
        "handoff": handoff.name,
        "gate_version": gate.name,
        "gate_digest": gate.digest,
        "iteration": iteration,
        "variants": variants,
    });
    canonical::digest(&signed)
}

/// Refuses a reason without a text where the code says nothing.
pub(super) fn check_reason(reason: &pb::Reason, field: &str) -> Result<()> {
    if reason.code() == ReasonCode::Other && reason.text.trim().is_empty() {
        return Err(Error::invalid("REASON_TEXT_REQUIRED", format!("{field}.text"), "is required with the code OTHER"));
    }
    Ok(())
}

/// The error for content that is not what the caller saw.
pub(super) fn changed(name: &str, variant: &str, is: &str) -> Error {
    let message = format!("variant {variant} of {name} has changed: its digest is now {is}");
    Error::new(Kind::Conflict, "CONTENT_CHANGED", message)
}

impl Service {
    /// Claims a review.
    pub async fn claim_review(&self, cx: &Cx, request: pb::ClaimReviewRequest) -> Result<pb::Handoff> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut record = Record::lock(&mut mutation, &request.name).await?;
        if record.state() != State::InReview {
            return Err(super::runs::not_in_review(&record, "be claimed"));
        }
        principal::check_reviewer(&record.gate, &record.handoff, &cx.actor, mutation.now())?;
        let before = record.handoff.claimed_by.clone();
        if before == cx.actor.subject {
            return record::peek(&mut self.db.read().await?, &cx.tenant, &request.name).await;
        }
        let called = record.handoff.rung > 0
            && record.handoff.responsible.as_ref().is_some_and(|who| principal::is(who, &cx.actor));
        if !before.is_empty() && !called {
            return Err(Error::precondition(
                "REVIEW_CLAIMED",
                format!("{} is being reviewed by {before}", request.name),
            ));
        }
        record.handoff.claimed_by.clone_from(&cx.actor.subject);
        record.handoff.claim_time = Some(stamp(mutation.now()));
        let offered = record.handoff.offered_at.as_ref().map(|at| convert::unstamp(at).to_string());
        let handoff =
            record.save(&mut mutation, cx.method, "", json!({"offered_at": offered, "taken_from": before})).await?;
        finish(mutation, handoff).await
    }

    /// Gives a review back to the queue.
    pub async fn release_review(&self, cx: &Cx, request: pb::ReleaseReviewRequest) -> Result<pb::Handoff> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut record = Record::lock(&mut mutation, &request.name).await?;
        check_claim(&record, cx)?;
        record.handoff.claimed_by.clear();
        record.handoff.claim_time = None;
        let handoff = record.save(&mut mutation, cx.method, "", json!({})).await?;
        finish(mutation, handoff).await
    }

    /// Decides a review.
    pub async fn submit_review(&self, cx: &Cx, request: pb::SubmitReviewRequest) -> Result<pb::Handoff> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut record = Record::lock(&mut mutation, &request.name).await?;
        check_claim(&record, cx)?;
        let now = mutation.now();
        principal::check_reviewer(&record.gate, &record.handoff, &cx.actor, now)?;
        let graded = grade(&record, request.variants)?;
        let passed: Vec<String> =
            graded.iter().filter(|review| review.passed).map(|review| review.variant.clone()).collect();
        let action = if !passed.is_empty() { Action::Accept } else { failure(&record) };
        if action == Action::Return && request.next_prompt_version.is_empty() {
            let what = "is required: no variant passes, and the work goes back to AI";
            return Err(Error::invalid("PROMPT_VERSION_REQUIRED", "next_prompt_version", what));
        }
        let iteration = record.handoff.iteration;
        let digest = signed_digest(&record.handoff, &record.gate, iteration, &graded)?;
        let signature = (action == Action::Accept).then(|| pb::Signature {
            signer: Some(convert::actor(&cx.actor)),
            sign_time: Some(stamp(now)),
            digest,
            variants: passed.clone(),
            void_time: None,
            void_reason: String::new(),
        });
        let latency = work::micros_between(record.handoff.offered_at.as_ref(), now);
        let edits: i32 = record.handoff.variants.iter().map(|variant| variant.edits).sum();
        let review = pb::Review {
            iteration,
            offered_at: record.handoff.offered_at,
            claim_time: record.handoff.claim_time.take(),
            decide_time: Some(stamp(now)),
            decision_latency: Some(convert::span(latency)),
            reviewer: Some(convert::actor(&cx.actor)),
            signature: signature.clone(),
            next_prompt_version: if action == Action::Return {
                request.next_prompt_version.clone()
            } else {
                String::new()
            },
            surprised: request.surprised,
            edits_before: edits,
            variants: graded,
        };
        set_fates(&mut record.handoff.variants, &review.variants);
        count(&mut mutation, &record, &review, latency, action).await?;
        record.put_variants(&mut mutation).await?;
        clocks::stop_review(&mut mutation, &mut record, true).await?;
        let details = json!({
            "decision_latency_us": latency,
            "edits_before": edits,
            "passed": passed,
            "totals": review.variants.iter().map(|v| json!([v.variant, v.content_digest, v.total, v.passed])).collect::<Vec<_>>(),
            "reasons": review.variants.iter().flat_map(|v| &v.reasons).map(|r| r.code().as_str_name().trim_start_matches("REASON_CODE_")).collect::<BTreeSet<_>>(),
            "signed_digest": signature.map(|signature| signature.digest),
            "next_prompt_version": review.next_prompt_version,
        });
        record.handoff.reviews.push(review);
        control::fail_or_pass(&mut mutation, &mut record, action, &request.next_prompt_version).await?;
        let handoff = record.save(&mut mutation, cx.method, "", details).await?;
        finish(mutation, handoff).await
    }
}

fn check_claim(record: &Record, cx: &Cx) -> Result<()> {
    if record.state() != State::InReview {
        return Err(super::runs::not_in_review(record, "be decided"));
    }
    if record.handoff.claimed_by == cx.actor.subject {
        return Ok(());
    }
    let by = if record.handoff.claimed_by.is_empty() { "nobody" } else { &record.handoff.claimed_by };
    let message = format!("{} is claimed by {by}, not by {}: claim it first", record.handoff.name, cx.actor.subject);
    Err(Error::precondition("REVIEW_NOT_CLAIMED", message))
}

/// Where a failed iteration leads (A8): back to AI while it has iterations, else to a triage; under a person's
/// lead back to that person.
pub(super) fn failure(record: &Record) -> Action {
    if record.handoff.human_led {
        Action::Rework
    } else if record.handoff.iteration >= record.gate.iteration_limit {
        Action::Exhaust
    } else {
        Action::Return
    }
}

/// Applies the checklist to what the reviewer says.
fn grade(record: &Record, given: Vec<pb::VariantReview>) -> Result<Vec<pb::VariantReview>> {
    let handoff = &record.handoff;
    let checklist = gate_rules::build_checklist(&record.gate.checklist.clone().unwrap_or_default())?;
    let mut graded: Vec<pb::VariantReview> = Vec::with_capacity(given.len());
    for (index, mut review) in given.into_iter().enumerate() {
        let field = format!("variants[{index}]");
        let Some(variant) = handoff.variants.iter().find(|variant| variant.variant == review.variant) else {
            let what = format!("{} is not among the variants of this iteration", review.variant);
            return Err(Error::invalid("VARIANTS_INVALID", format!("{field}.variant"), what));
        };
        if graded.iter().any(|other| other.variant == review.variant) {
            return Err(Error::invalid("VARIANTS_INVALID", format!("{field}.variant"), "is graded twice"));
        }
        if variant.content_digest != review.content_digest {
            return Err(changed(&handoff.name, &variant.variant, &variant.content_digest));
        }
        let grades = review.grades.iter().map(|grade| (grade.item.as_str(), grade.grade));
        let verdict = checklist.grade(grades, &format!("{field}.grades"))?;
        for (at, reason) in review.reasons.iter().enumerate() {
            check_reason(reason, &format!("{field}.reasons[{at}]"))?;
        }
        if !verdict.passed && review.reasons.is_empty() {
            let what = format!("are required: {} does not pass with a total of {:.2}", review.variant, verdict.total);
            return Err(Error::invalid("REASONS_REQUIRED", format!("{field}.reasons"), what));
        }
        review.total = verdict.total;
        review.passed = verdict.passed;
        review.failed_items = verdict.failed_items;
        graded.push(review);
    }
    let top = usize::try_from(record.rules()?.review_top_n).unwrap_or(0);
    let ungraded = handoff
        .variants
        .iter()
        .take(top)
        .find(|variant| !graded.iter().any(|review| review.variant == variant.variant));
    if let Some(variant) = ungraded {
        let what = format!("must grade the top {top}; {} is missing", variant.variant);
        return Err(Error::invalid("VARIANTS_INVALID", "variants", what));
    }
    Ok(graded)
}

/// Every variant is kept with what became of it (S139).
fn set_fates(variants: &mut [pb::Variant], reviews: &[pb::VariantReview]) {
    for variant in variants {
        let fate = match reviews.iter().find(|review| review.variant == variant.variant) {
            Some(review) if review.passed => VariantFate::Passed,
            Some(_) => VariantFate::Failed,
            None => VariantFate::NotReviewed,
        };
        variant.fate = fate.into();
    }
}

async fn count(
    mutation: &mut remit_store::Mutation,
    record: &Record,
    review: &pb::Review,
    latency_us: i64,
    action: Action,
) -> Result<()> {
    let tenant = mutation.tenant().clone();
    let reviewer = mutation.actor().subject.clone();
    let handoff = &record.handoff;
    let factual =
        |review: &pb::VariantReview| review.reasons.iter().any(|reason| reason.code() == ReasonCode::FactualError);
    let row = ReviewRow {
        handoff_id: &record.id,
        review_no: i64::try_from(handoff.reviews.len()).unwrap_or(i64::MAX) + 1,
        gate_id: &record.gate_id,
        gate_version: record.gate_version,
        iteration: record.iteration(),
        channel: &handoff.channel,
        reviewer: &reviewer,
        outcome: match action {
            Action::Accept => "ACCEPTED",
            Action::Return => "RETURNED",
            Action::Exhaust => "ESCALATED",
            _ => "HUMAN_LED",
        },
        decide_time: mutation.now(),
        latency_us,
        edits_before: review.edits_before.into(),
        surprised: review.surprised,
        // What a person made tells nothing about a model.
        model_version: match &handoff.run_inputs {
            Some(inputs) if !handoff.human_led => &inputs.model_version,
            _ => "",
        },
        grades: review.variants.iter().map(|v| (v.variant.clone(), v.total, v.passed, factual(v))).collect(),
    };
    store::decisions::insert_review(mutation.tx(), &tenant, row).await
}
