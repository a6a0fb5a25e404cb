//! Reviews: claimed by an eligible person, decided by graded checklists, signed by the digest of what was seen.

use super::held::Held;
use super::{Service, clocks, iterations};
use crate::machine::{self, Action};
use crate::pattern_rules::{Done, Step, Work, judge};
use crate::store::{reviews, variants};
use crate::{principal, review_rules, signatures};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::HandoffState as State;
use remit_api::wire::time::{self, span, stamp};
use remit_api::wire::{Word as _, actor};
use remit_core::details::{Graded, HandoffMoved, ReviewClaimed, ReviewDecided};
use remit_core::{Error, Result};
use remit_runtime::Cx;
use std::collections::BTreeSet;

impl Service {
    /// Claims a review.
    pub(crate) async fn claim_review(&self, cx: &Cx, request: pb::ClaimReviewRequest) -> Result<pb::Handoff> {
        self.mutate(cx.call(&request), async |m| {
            let mut held = Held::claim(m, &request.name).await?;
            check_state(&held, "be claimed")?;
            let gate = held.gate(m).await?;
            principal::check_reviewer(&gate, &held.handoff, &cx.actor, m.now())?;
            if held.handoff.claimed_by == cx.actor.subject {
                return Ok(held.handoff);
            }
            let handoff = &mut held.handoff;
            let called =
                handoff.rung > 0 && handoff.responsible.as_ref().is_some_and(|who| principal::is(who, &cx.actor));
            if !handoff.claimed_by.is_empty() && !called {
                let message = format!("{} is being reviewed by {}", request.name, handoff.claimed_by);
                return Err(Error::precondition("REVIEW_CLAIMED", message));
            }
            let taken_from = std::mem::replace(&mut handoff.claimed_by, cx.actor.subject.clone());
            handoff.claim_time = Some(stamp(m.now()));
            let offered_at = handoff.offered_at.as_ref().map(|at| time::of(at).to_string());
            held.save(m, cx.method, "", ReviewClaimed { offered_at, taken_from, ..Default::default() }).await
        })
        .await
    }

    /// Gives a review back to the queue.
    pub(crate) async fn release_review(&self, cx: &Cx, request: pb::ReleaseReviewRequest) -> Result<pb::Handoff> {
        self.mutate(cx.call(&request), async |m| {
            let mut held = Held::claim(m, &request.name).await?;
            check_claim(&held, cx)?;
            held.handoff.claimed_by.clear();
            held.handoff.claim_time = None;
            held.save(m, cx.method, "", HandoffMoved::default()).await
        })
        .await
    }

    /// Decides a review.
    pub(crate) async fn submit_review(&self, cx: &Cx, request: pb::SubmitReviewRequest) -> Result<pb::Handoff> {
        self.mutate(cx.call(&request), async |m| {
            let mut held = Held::claim(m, &request.name).await?;
            check_claim(&held, cx)?;
            let gate = held.gate(m).await?;
            let now = m.now();
            principal::check_reviewer(&gate, &held.handoff, &cx.actor, now)?;
            if !held.handoff.human_led {
                judge(&request.name, held.handoff.pattern(), Work::Creative, Step::Accept, Done::default())?;
            }
            let handoff = &mut held.handoff;
            let graded = review_rules::grade(handoff, &gate, request.variants)?;
            let passed: Vec<String> =
                graded.iter().filter(|review| review.passed).map(|review| review.variant.clone()).collect();
            let action = if passed.is_empty() { review_rules::failure(handoff, &gate) } else { Action::Accept };
            review_rules::check_prompt(action, &request.next_prompt_version)?;
            let digest = signatures::signed_digest(handoff, &gate, handoff.iteration, &graded)?;
            let signature = (action == Action::Accept).then(|| pb::Signature {
                signer: Some(actor(&cx.actor)),
                sign_time: Some(stamp(now)),
                digest,
                variants: passed.clone(),
                void_time: None,
                void_reason: String::new(),
            });
            let offered_at = handoff.offered_at.as_ref().map_or(now, time::of);
            let decision_latency_us = (now.0 - offered_at.0).max(0);
            let next_prompt_version =
                if action == Action::Return { request.next_prompt_version } else { String::new() };
            let review = pb::Review {
                iteration: handoff.iteration,
                offered_at: handoff.offered_at,
                claim_time: handoff.claim_time.take(),
                decide_time: Some(stamp(now)),
                decision_latency: Some(span(decision_latency_us)),
                reviewer: Some(actor(&cx.actor)),
                signature,
                next_prompt_version,
                surprised: request.surprised,
                edits_before: handoff.variants.iter().map(|variant| variant.edits).sum(),
                variants: graded,
            };
            review_rules::set_fates(&mut handoff.variants, &review.variants);
            let outcome = machine::next(&handoff.name, handoff.state(), action)?;
            reviews::insert(m, handoff, &review, outcome, decision_latency_us).await?;
            variants::put(m, handoff).await?;
            clocks::stop_review(m, &mut held, true).await?;
            iterations::fail_or_pass(m, &mut held, &gate, action, &review.next_prompt_version).await?;
            let details = ReviewDecided { decision_latency_us, passed, ..decided(&review) };
            held.handoff.reviews.push(review);
            held.save(m, cx.method, "", details).await
        })
        .await
    }
}

/// What the log keeps of a review.
fn decided(review: &pb::Review) -> ReviewDecided {
    let graded = |variant: &pb::VariantReview| Graded {
        variant: variant.variant.clone(),
        content_digest: variant.content_digest.clone(),
        total: variant.total,
        passed: variant.passed,
    };
    let reasons = review.variants.iter().flat_map(|variant| &variant.reasons);
    let reasons: BTreeSet<&str> = reasons.map(|reason| reason.code().word()).collect();
    ReviewDecided {
        edits_before: review.edits_before,
        totals: review.variants.iter().map(graded).collect(),
        reasons: reasons.into_iter().map(str::to_owned).collect(),
        signed_digest: review.signature.as_ref().map(|signature| signature.digest.clone()),
        next_prompt_version: review.next_prompt_version.clone(),
        ..Default::default()
    }
}

/// Refuses a handoff that is in no review.
fn check_state(held: &Held, wanted: &str) -> Result<()> {
    if held.state() == State::InReview {
        return Ok(());
    }
    Err(held.wrong_state(wanted, "waiting for variants"))
}

/// Refuses who has not claimed the review.
fn check_claim(held: &Held, cx: &Cx) -> Result<()> {
    check_state(held, "be decided")?;
    let handoff = &held.handoff;
    if handoff.claimed_by == cx.actor.subject {
        return Ok(());
    }
    let by = if handoff.claimed_by.is_empty() { "nobody" } else { &handoff.claimed_by };
    let message = format!("{} is claimed by {by}, not by {}: claim it first", handoff.name, cx.actor.subject);
    Err(Error::precondition("REVIEW_NOT_CLAIMED", message))
}
