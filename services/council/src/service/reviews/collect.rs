//! Opening a review and collecting its evidence. Peers are asked before the transaction begins, so that
//! none is held open while they answer.

use super::super::bodies::{self, STEERING_GROUP};
use super::super::{Council, changed, check_name, some};
use super::rehash;
use crate::review::gather::{Own, gather};
use crate::review::{self, Evidence, Frame};
use crate::store;
use crate::time::{Month, stamp};
use remit_api::council::v1::{
    Body, ChangeClass, Finding, FindingSeverity, OpenReviewRequest, RefreshEvidenceRequest, Review, ReviewState,
};
use remit_api::types::TimeRange;
use remit_core::{Error, Result, Tenant, Timestamp, digest};
use remit_runtime::{Cx, Started, finish};
use remit_store::Mutation;

/// `reviews/steering-group-2009-05`.
fn review_name(body: &str, period: &str) -> String {
    format!("reviews/{}-{period}", body.strip_prefix("bodies/").unwrap_or(body))
}

/// A review before its evidence.
fn pending(body: &Body, month: &Month, now: Timestamp) -> Review {
    let (quorum, _) = bodies::class_rule(body, ChangeClass::Normal);
    let window = TimeRange { start_time: Some(stamp(month.start())), end_time: Some(stamp(month.end())) };
    Review {
        name: review_name(&body.name, &month.period()),
        period: month.period(),
        body: body.name.clone(),
        zone: body.zone.clone(),
        window: Some(window),
        cut_off_time: Some(stamp(month.cut_off(bodies::cut_off_day(body)))),
        state: ReviewState::Pending.into(),
        quorum: Some(quorum),
        create_time: some(now),
        update_time: some(now),
        ..Review::default()
    }
}

/// The findings of fresh evidence with what was decided about those that were there before.
fn carry_over(evidence: &Evidence, before: &[Finding]) -> Vec<Finding> {
    let fresh = evidence.findings.iter().map(|finding| {
        let severity = format!("FINDING_SEVERITY_{}", finding.severity);
        Finding {
            id: finding.id.clone(),
            code: finding.code.clone(),
            severity: FindingSeverity::from_str_name(&severity).unwrap_or_default().into(),
            section: finding.section.clone(),
            title: finding.title.clone(),
            detail: finding.detail.clone(),
            resource: finding.resource.clone(),
            suggested_action: finding.suggested_action.clone(),
            ..Finding::default()
        }
    });
    fresh
        .map(|finding| match before.iter().find(|old| old.id == finding.id) {
            Some(old) => Finding {
                disposition: old.disposition,
                disposition_reference: old.disposition_reference.clone(),
                disposition_note: old.disposition_note.clone(),
                ..finding
            },
            None => finding,
        })
        .collect()
}

/// Evidence and what of it the review itself shows.
struct Collected {
    evidence: Evidence,
    bytes: Vec<u8>,
    drift: Vec<remit_api::council::v1::DriftResult>,
    at: Timestamp,
}

impl Council {
    /// Opens the review of a month.
    pub async fn open_review(&self, cx: &Cx, request: OpenReviewRequest) -> Result<Review> {
        let name = if request.body.is_empty() { STEERING_GROUP } else { request.body.as_str() };
        check_name(name, "bodies/*", "body")?;
        self.seed(&cx.tenant).await?;
        let body: Body = store::get(&mut self.db.read().await?, &cx.tenant, name).await?;
        if !body.holds_reviews {
            return Err(Error::precondition("NO_REVIEWS", format!("{} holds no reviews", body.name)));
        }
        let month = Month::parse(&request.period, &body.zone)?;
        let now = self.now();
        if now < month.end() {
            let message = format!("{} ends at {}", month.period(), month.end());
            return Err(Error::precondition("PERIOD_NOT_OVER", message));
        }
        let draft = pending(&body, &month, now);
        let there = store::find::<Review>(&mut self.db.read().await?, &cx.tenant, &draft.name).await?;
        let worked_on = there.as_ref().is_some_and(|review| review.state() != ReviewState::Pending);
        let collected = if worked_on { None } else { Some(self.collect(&cx.tenant, &body, &month, &draft).await?) };
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(review) => return Ok(review),
            Started::Fresh(mutation) => mutation,
        };
        let mut draft = draft;
        store::try_insert(mutation.tx(), &cx.tenant, &mut draft).await?;
        let review: Review = store::claim(mutation.tx(), &cx.tenant, &draft.name).await?;
        match collected {
            Some(collected) if review.state() == ReviewState::Pending => {
                let review = self.freeze(&mut mutation, review, collected).await?;
                finish(mutation, review).await
            }
            // Somebody else was faster, or the review was opened before.
            _ => finish(mutation, review).await,
        }
    }

    /// Collects the evidence of an open review anew.
    pub async fn refresh_evidence(&self, cx: &Cx, request: RefreshEvidenceRequest) -> Result<Review> {
        check_name(&request.name, "reviews/*", "name")?;
        self.seed(&cx.tenant).await?;
        let review: Review = store::get(&mut self.db.read().await?, &cx.tenant, &request.name).await?;
        let body: Body = store::get(&mut self.db.read().await?, &cx.tenant, &review.body).await?;
        let month = Month::parse(&review.period, &review.zone)?;
        let sealed = |review: &Review| {
            if review.state() == ReviewState::Sealed {
                return Err(Error::precondition("REVIEW_SEALED", format!("{} is sealed", review.name)));
            }
            Ok(())
        };
        // A repetition is answered before a seal is an error, and without asking anybody.
        let collected = match sealed(&review) {
            Ok(()) => Some(self.collect(&cx.tenant, &body, &month, &review).await?),
            Err(_) => None,
        };
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(review) => return Ok(review),
            Started::Fresh(mutation) => mutation,
        };
        let review: Review = store::claim(mutation.tx(), &cx.tenant, &request.name).await?;
        sealed(&review)?;
        let Some(collected) = collected else {
            return Err(Error::precondition("REVIEW_SEALED", format!("{} was sealed meanwhile", review.name)));
        };
        let review = self.freeze(&mut mutation, review, collected).await?;
        finish(mutation, review).await
    }

    /// Opens a review by schedule, unless it is there; its evidence follows.
    pub(in super::super) async fn open_pending(
        &self,
        mutation: &mut Mutation,
        body: &Body,
        month: &Month,
    ) -> Result<()> {
        let tenant = mutation.tenant().clone();
        let mut review = pending(body, month, mutation.now());
        if store::try_insert(mutation.tx(), &tenant, &mut review).await? {
            let mut event = changed(mutation, &review.name, None, &review);
            event.action = "council.reviews.schedule".to_owned();
            event.details = mutation.event("", &review.name).details;
            mutation.record(event);
        }
        Ok(())
    }

    /// Collects the evidence of reviews that the schedule opened.
    pub(in super::super) async fn collect_pending(&self, tenant: &Tenant) -> Result<()> {
        let pending: Vec<Review> =
            store::in_states(&mut self.db.read().await?, tenant, &[ReviewState::Pending.into()]).await?;
        for review in pending {
            let body: Body = store::get(&mut self.db.read().await?, tenant, &review.body).await?;
            let month = Month::parse(&review.period, &review.zone)?;
            let collected = self.collect(tenant, &body, &month, &review).await?;
            let mut mutation = self.own(tenant, "council.reviews.collect").await?;
            let review: Review = store::claim(mutation.tx(), tenant, &review.name).await?;
            if review.state() == ReviewState::Pending {
                self.freeze(&mut mutation, review, collected).await?;
                mutation.commit(Vec::new()).await?;
            }
        }
        Ok(())
    }

    /// Asks everybody and builds the evidence.
    async fn collect(&self, tenant: &Tenant, body: &Body, month: &Month, review: &Review) -> Result<Collected> {
        let own = Own::read(&self.db, tenant, &body.name).await?;
        let earlier: Vec<Review> = own.reviews.iter().filter(|one| one.name != review.name).cloned().collect();
        let since = self.last_checkpoint(tenant, &earlier, &review.period).await?;
        let sources = gather(&self.peers, tenant, month, since, own).await;
        let at = self.now();
        let cut_off = month.cut_off(bodies::cut_off_day(body));
        let frame = Frame { review, body_title: &body.display_name, month, cut_off, now: at, earlier: &earlier };
        let drift = review::drift::results(&frame, &sources);
        let evidence = review::build(&frame, &sources)?;
        let bytes = evidence.bytes()?;
        Ok(Collected { evidence, bytes, drift, at })
    }

    /// The checkpoint up to which earlier reviews verified the audit log; empty to verify all of it. What a
    /// review could not verify, or found wrong, the next one looks at again.
    async fn last_checkpoint(&self, tenant: &Tenant, earlier: &[Review], period: &str) -> Result<String> {
        let frozen = |review: &&Review| review.state() != ReviewState::Pending && review.period.as_str() < period;
        for review in earlier.iter().filter(frozen) {
            let bytes = store::evidence(&mut self.db.read().await?, tenant, &review.name).await?;
            let evidence = bytes.map(|bytes| Evidence::read(&bytes)).transpose()?;
            if let Some(evidence) = evidence.filter(|evidence| evidence.audit_verified) {
                return Ok(evidence.audit_checkpoint);
            }
        }
        Ok(String::new())
    }

    /// Puts collected evidence into a review.
    async fn freeze(&self, mutation: &mut Mutation, before: Review, collected: Collected) -> Result<Review> {
        let tenant = mutation.tenant().clone();
        let seats = bodies::seats(mutation.tx(), &tenant, &before.body).await?;
        let mut review = before.clone();
        review.state = ReviewState::Open.into();
        review.evidence_digest = digest::sha256(&collected.bytes);
        review.drift = collected.drift;
        review.findings = carry_over(&collected.evidence, &before.findings);
        review.unavailable = collected.evidence.unavailable();
        review.freeze_time = some(collected.at);
        review.update_time = some(mutation.now());
        rehash(&mut review, &collected.evidence, &seats)?;
        store::put_evidence(mutation.tx(), &tenant, &review.name, &collected.bytes).await?;
        store::save(mutation.tx(), &tenant, &mut review).await?;
        let mut event = changed(mutation, &review.name, Some(&before), &review);
        event.details = serde_json::json!({
            "period": review.period,
            "evidence_digest": review.evidence_digest,
            "pack_digest": review.pack_digest,
            "findings": review.findings.len(),
            "unavailable": review.unavailable,
        });
        mutation.record(event);
        Ok(review)
    }
}
