//! Collecting the evidence of a review.

use super::super::{Service, record, save};
use crate::body::{class_rule, cut_off};
use crate::review::measures::Past;
use crate::review::pack::Restated;
use crate::review::progress::Progress;
use crate::review::restated::{self, Stated};
use crate::review::signing::rehash;
use crate::review::sources::{Frame, Own};
use crate::review::{self, Evidence, cited, drift, gather, rollout};
use crate::store::{self, Reviews, seats};
use crate::time::{self, Month};
use remit_api::council::v1::{Body, ChangeClass, DriftResult, DriftVerdict, Finding, Review, ReviewState};
use remit_api::wire::time::stamp;
use remit_core::details::{Details as _, EvidenceFrozen, ReviewRestated};
use remit_core::name::{self, ReviewName};
use remit_core::{Error, Result, Tenant, Timestamp, digest};
use remit_store::{Mutation, Records as _, Tx};
use std::collections::BTreeSet;

/// So many calendar months before a review's are shown beside it.
const PAST_MONTHS: usize = 12;

/// Whether a review has evidence, be it of before.
fn is_frozen(review: &Review) -> bool {
    !review.evidence_digest.is_empty()
}

/// A review before its evidence, such as `reviews/steering-group-2009-05`.
pub(super) fn pending(body: &Body, month: &Month, now: Timestamp) -> Review {
    let (quorum, _) = class_rule(body, ChangeClass::Normal);
    Review {
        name: ReviewName::new(format!("{}-{}", name::last(&body.name), month.period())).to_string(),
        period: month.period(),
        body: body.name.clone(),
        zone: body.zone.clone(),
        window: Some(month.range()),
        cut_off_time: Some(stamp(cut_off(body, month))),
        state: ReviewState::Collecting.into(),
        quorum: Some(quorum),
        create_time: Some(stamp(now)),
        update_time: Some(stamp(now)),
        ..Review::default()
    }
}

/// The evidence of a review that was collected.
pub(super) async fn collected_evidence(tx: &mut Tx, tenant: &Tenant, review: &str) -> Result<Evidence> {
    let bytes = store::evidence(tx, tenant, review).await?;
    Evidence::read(&bytes.ok_or_else(|| Error::internal(format!("the evidence of {review} is missing")))?)
}

/// The findings of fresh evidence with what was decided about those that were there before.
fn carry_over(evidence: &Evidence, before: &[Finding]) -> Vec<Finding> {
    let carried = |fresh: Finding| match before.iter().find(|old| old.id == fresh.id) {
        Some(old) => Finding {
            disposition: old.disposition,
            disposition_reference: old.disposition_reference.clone(),
            disposition_note: old.disposition_note.clone(),
            disposer: old.disposer.clone(),
            disposer_seat: old.disposer_seat.clone(),
            ..fresh
        },
        None => fresh,
    };
    evidence.findings.iter().map(|finding| carried(finding.to_api())).collect()
}

/// Evidence, and what of it the review itself shows.
pub(super) struct Collected {
    evidence: Evidence,
    bytes: Vec<u8>,
    drift: Vec<DriftResult>,
    at: Timestamp,
}

impl Collected {
    /// Puts the evidence into a review that was claimed as `before`.
    pub(super) async fn freeze(self, m: &mut Mutation, before: Review) -> Result<Review> {
        let tenant = m.tenant().clone();
        let seats = seats(m.tx(), &tenant, &before.body).await?;
        let mut review = Review {
            state: ReviewState::Open.into(),
            evidence_digest: digest::sha256(&self.bytes),
            drift: self.drift,
            findings: carry_over(&self.evidence, &before.findings),
            unavailable: self.evidence.unavailable(),
            freeze_time: Some(stamp(self.at)),
            update_time: Some(stamp(m.now())),
            ..before.clone()
        };
        rehash(&mut review, &self.evidence, &seats)?;
        store::put_evidence(m.tx(), &tenant, &review.name, &self.bytes).await?;
        store::drop_collection(m.tx(), &tenant, &review.name).await?;
        let details = EvidenceFrozen {
            period: review.period.clone(),
            evidence_digest: review.evidence_digest.clone(),
            pack_digest: review.pack_digest.clone(),
            findings: review.findings.len(),
            wanted: seats.iter().map(|seat| seat.subject.clone()).collect(),
            unavailable: review.unavailable.clone(),
            drifted: drifted(&review),
        };
        save::<Reviews>(m, &before, &mut review, |event| event.details = details.json()).await?;
        mark_restated(m, &review, &self.evidence.restated).await?;
        Ok(review)
    }
}

/// What has drifted significantly, each once.
fn drifted(review: &Review) -> Vec<String> {
    let significant = review.drift.iter().filter(|result| result.verdict() == DriftVerdict::Significant);
    significant.map(|result| result.subject.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Marks the earlier reviews whose figures this one restates, beside what was signed there.
async fn mark_restated(m: &mut Mutation, review: &Review, restated: &[Restated]) -> Result<()> {
    let tenant = m.tenant().clone();
    let of_body = Reviews::all(m.tx(), &tenant, &[("parent", (&review.body).into())]).await?;
    for target in of_body {
        let of_it: Vec<&Restated> = restated.iter().filter(|one| one.period == target.period).collect();
        let told = restated::made(&target, &review.name);
        if target.period >= review.period || told.iter().eq(of_it.iter().copied()) {
            continue;
        }
        let now = Some(stamp(m.now()));
        let fresh: Vec<_> = of_it.into_iter().map(|one| restated::mark(one, &review.name, now)).collect();
        let before = Reviews::claim(m, &target.name).await?;
        let mut marked = before.clone();
        marked.restatements.retain(|mark| mark.review != review.name);
        let figures = fresh.iter().map(|mark| mark.figure.clone()).collect();
        marked.restatements.extend(fresh);
        let details = ReviewRestated { by: review.name.clone(), figures };
        save::<Reviews>(m, &before, &mut marked, |event| {
            "council.reviews.restate".clone_into(&mut event.action);
            event.details = details.json();
        })
        .await?;
    }
    Ok(())
}

/// Opens a review by schedule, unless it is there; its evidence follows.
pub(in super::super) async fn open_pending(m: &mut Mutation, body: &Body, month: &Month) -> Result<()> {
    let mut review = pending(body, month, m.now());
    if Reviews::try_insert(m, &mut review).await? {
        record::<Reviews>(m, None, &review, |event| "council.reviews.schedule".clone_into(&mut event.action));
    }
    Ok(())
}

/// The KPI values of the twelve months before, as the packs of those months froze them: the oldest first.
fn past(packs: &[(&Review, Evidence)], month: &Month) -> Vec<Past> {
    let first = (0..PAST_MONTHS).fold(month.clone(), |month, _| month.previous()).period();
    packs.iter().rev().filter(|(review, _)| review.period >= first).map(|(_, evidence)| evidence.to_past()).collect()
}

impl Service {
    /// Asks everybody and builds the evidence.
    pub(super) async fn collect(
        &self,
        tenant: &Tenant,
        body: &Body,
        month: &Month,
        review: &Review,
        progress: &Progress,
    ) -> Result<Collected> {
        let own = Own::read(&self.db, tenant, &body.name).await?.until(month);
        let earlier: Vec<Review> = own.reviews.iter().filter(|one| one.name != review.name).cloned().collect();
        let since = self.last_checkpoint(tenant, &earlier, month).await?;
        let cut_off = cut_off(body, month);
        let question = gather::Question {
            month,
            until: self.db.now().min(cut_off),
            patience: self.source_patience,
            since_checkpoint: since,
            whole_log_up_to: self.verify_whole_log_up_to,
        };
        let mut sources = gather::gather(self.ask(tenant), question, own, progress).await;
        let packs = self.frozen(tenant, &earlier, &review.period).await?;
        let restated = self.restated(tenant, review, &earlier, &packs);
        sources.restated = progress.during("restatements", restated).await?;
        let at = self.db.now();
        let frame = Frame { review, body_title: &body.display_name, month, cut_off, now: at, earlier: &earlier };
        let drift = drift::results(&frame, &sources);
        let mut evidence = review::build(&frame, &sources, &drift)?;
        evidence.past = past(&packs, month);
        let asked = progress.during("rollout", gather::rollout(self.ask(tenant))).await;
        evidence.rollout = rollout::steps(&asked, &sources.own, at);
        if let Ok(checkpoint) = &sources.checkpoint {
            let cited = cited::entries(self.ask(tenant), &evidence, checkpoint.size);
            evidence.cited = progress.during("audit.proofs", cited).await;
            let section = evidence.sections.iter_mut().find(|section| section.key == "audit");
            if let (Some(section), Some(table)) = (section, cited::table(&evidence.cited)) {
                section.blocks.push(table);
            }
        }
        let bytes = evidence.bytes()?;
        Ok(Collected { evidence, bytes, drift, at })
    }

    /// The packs that the body froze of the months before a period, the newest first: as many as anything asks for.
    async fn frozen<'a>(
        &self,
        tenant: &Tenant,
        earlier: &'a [Review],
        period: &str,
    ) -> Result<Vec<(&'a Review, Evidence)>> {
        let frozen = |one: &&Review| is_frozen(one) && one.period.as_str() < period;
        let mut packs = Vec::new();
        for review in earlier.iter().filter(frozen).take(self.restated_months.max(PAST_MONTHS)) {
            packs.push((review, collected_evidence(&mut self.db.read().await?, tenant, &review.name).await?));
        }
        Ok(packs)
    }

    /// What later events have changed of the figures of earlier packs. Once a later pack than this has said it, this one
    /// says what it said before.
    async fn restated(
        &self,
        tenant: &Tenant,
        review: &Review,
        earlier: &[Review],
        packs: &[(&Review, Evidence)],
    ) -> Result<Vec<Restated>> {
        let told = earlier.iter().any(|one| is_frozen(one) && one.period > review.period);
        let mut all = Vec::new();
        for (target, evidence) in packs.iter().take(self.restated_months) {
            if told {
                all.extend(restated::made(target, &review.name));
                continue;
            }
            let now = gather::figures_of(self.ask(tenant), &Month::parse(&target.period, &target.zone)?).await;
            all.extend(Stated::of(evidence, target, &review.name).restated(&target.period, &now));
        }
        Ok(all)
    }

    /// The checkpoint up to which earlier reviews verified the audit log; empty to verify all of it. What a
    /// review could not verify, or found wrong, the next one looks at again.
    async fn last_checkpoint(&self, tenant: &Tenant, earlier: &[Review], month: &Month) -> Result<String> {
        // From before the month began: what was recorded in it is recomputed, all of it.
        let frozen = |review: &&Review| is_frozen(review) && time::at(&review.freeze_time) <= month.start();
        for review in earlier.iter().filter(frozen) {
            let bytes = store::evidence(&mut self.db.read().await?, tenant, &review.name).await?;
            let evidence = bytes.map(|bytes| Evidence::read(&bytes)).transpose()?;
            if let Some(evidence) = evidence.filter(|evidence| evidence.audit_verified) {
                return Ok(evidence.audit_checkpoint);
            }
        }
        Ok(String::new())
    }
}
