//! The monthly review: opening, freezing evidence, working on it, signing, sealing, exporting.

mod collect;
mod sign;
mod witness;

use super::{Council, bodies, changed, check_name, some};
use crate::export;
use crate::review::Pack;
use crate::review::pack::Evidence;
use crate::store;
use prost::Message;
use remit_api::council::v1::{
    ActionItem, Attendance, DeclareRecusalRequest, DisposeFindingRequest, Disposition, ExportReviewRequest,
    ExportReviewResponse, Proposal, RecordAttendanceRequest, RecordMinutesRequest, Review, ReviewRecusal, ReviewState,
};
use remit_core::quorum::{Ballot, Choice, Outcome, Seat, Vote};
use remit_core::{Error, Result, Tenant};
use remit_runtime::{Cx, Started, finish};
use remit_store::{Mutation, Tx};
use std::collections::BTreeSet;

/// The signatures that count, as a vote on the pack. Nobody is excluded: a review has no proposer.
fn ballot(review: &Review, seats: &[Seat]) -> Ballot {
    let valid = review.signatures.iter().filter(|signature| signature.valid);
    Ballot {
        rule: review.quorum.as_ref().map(bodies::rule).unwrap_or_default(),
        seats: seats.to_vec(),
        votes: valid
            .filter_map(|signature| {
                let voter = signature.signer.as_ref()?.subject.clone();
                Some(Vote { seat: signature.seat.clone(), voter, choice: Choice::Approve })
            })
            .collect(),
        ..Ballot::default()
    }
}

/// What the signatures still lack; empty if the review can be sealed.
fn missing(review: &Review, seats: &[Seat]) -> Vec<String> {
    let standing = ballot(review, seats).standing();
    if standing.outcome == Outcome::Approved { Vec::new() } else { standing.missing }
}

/// Brings the digest up to date with the content. A signature names a digest, so that a change of the
/// content voids all of them.
fn rehash(review: &mut Review, evidence: &Evidence, seats: &[Seat]) -> Result<()> {
    let digest = Pack::assemble(evidence.clone(), review).digest()?;
    if digest != review.pack_digest {
        review.pack_digest = digest;
        for signature in &mut review.signatures {
            signature.valid = false;
        }
    }
    review.missing = missing(review, seats);
    Ok(())
}

fn check_open(review: &Review) -> Result<()> {
    match review.state() {
        ReviewState::Open => Ok(()),
        ReviewState::Sealed => Err(Error::precondition("REVIEW_SEALED", format!("{} is sealed", review.name))),
        ReviewState::Pending | ReviewState::Unspecified => {
            let message = format!("the evidence of {} is not collected yet", review.name);
            Err(Error::precondition("REVIEW_PENDING", message))
        }
    }
}

async fn evidence(tx: &mut Tx, tenant: &Tenant, review: &str) -> Result<Evidence> {
    let bytes = store::evidence(tx, tenant, review).await?;
    Evidence::read(&bytes.ok_or_else(|| Error::internal(format!("the evidence of {review} is missing")))?)
}

/// An edit of an open review under way.
struct Edit {
    mutation: Box<Mutation>,
    before: Review,
    review: Review,
    seats: Vec<Seat>,
}

/// How an edit begins.
enum Editing {
    Replay(Box<Review>),
    Fresh(Box<Edit>),
}

impl Council {
    async fn edit<Q: Message>(&self, cx: &Cx, name: &str, request_id: &str, request: &Q) -> Result<Editing> {
        check_name(name, "reviews/*", "name")?;
        let mut mutation = match self.begin(cx, request_id, request).await? {
            Started::Replay(review) => return Ok(Editing::Replay(Box::new(review))),
            Started::Fresh(mutation) => mutation,
        };
        let before: Review = store::claim(mutation.tx(), &cx.tenant, name).await?;
        check_open(&before)?;
        let seats = bodies::seats(mutation.tx(), &cx.tenant, &before.body).await?;
        Ok(Editing::Fresh(Box::new(Edit { mutation, review: before.clone(), before, seats })))
    }

    async fn commit_edit(&self, edit: Edit, reason: String) -> Result<Review> {
        let Edit { mut mutation, before, mut review, seats } = edit;
        let tenant = mutation.tenant().clone();
        let evidence = evidence(mutation.tx(), &tenant, &review.name).await?;
        rehash(&mut review, &evidence, &seats)?;
        review.update_time = some(mutation.now());
        store::save(mutation.tx(), &tenant, &mut review).await?;
        let mut event = changed(&mutation, &review.name, Some(&before), &review);
        event.reason = reason;
        event.details = serde_json::json!({"pack_digest": review.pack_digest});
        mutation.record(event);
        finish(mutation, review).await
    }

    /// Records who took part.
    pub async fn record_attendance(&self, cx: &Cx, request: RecordAttendanceRequest) -> Result<Review> {
        let mut edit = match self.edit(cx, &request.name, &request.request_id, &request).await? {
            Editing::Replay(review) => return Ok(*review),
            Editing::Fresh(edit) => edit,
        };
        let mut seen = BTreeSet::new();
        let mut attendance = Vec::with_capacity(request.attendance.len());
        for (at, one) in request.attendance.into_iter().enumerate() {
            let field = format!("attendance[{at}].subject");
            let Some(seat) = edit.seats.iter().find(|seat| seat.subject == one.subject) else {
                return Err(Error::invalid("NOT_ELIGIBLE", field, format!("{} is not a member", one.subject)));
            };
            if !seen.insert(one.subject.clone()) {
                return Err(Error::invalid("DUPLICATE", field, "is listed twice"));
            }
            attendance.push(Attendance { role_group: seat.role_group.clone(), ..one });
        }
        attendance.sort_by(|a, b| a.subject.cmp(&b.subject));
        edit.review.attendance = attendance;
        self.commit_edit(*edit, String::new()).await
    }

    /// Declares the caller's conflict of interest for an agenda item.
    pub async fn declare_recusal(&self, cx: &Cx, request: DeclareRecusalRequest) -> Result<Review> {
        let mut edit = match self.edit(cx, &request.name, &request.request_id, &request).await? {
            Editing::Replay(review) => return Ok(*review),
            Editing::Fresh(edit) => edit,
        };
        let me = &cx.actor.subject;
        if !edit.seats.iter().any(|seat| &seat.subject == me) {
            return Err(Error::denied("NOT_ELIGIBLE", format!("{me} has no seat in {}", edit.review.body)));
        }
        let (subject, item, reason) = (me.clone(), request.item, request.reason.clone());
        let create_time = some(edit.mutation.now());
        edit.review.recusals.push(ReviewRecusal { subject, item, reason, create_time });
        self.commit_edit(*edit, request.reason).await
    }

    /// Replaces the minutes.
    pub async fn record_minutes(&self, cx: &Cx, request: RecordMinutesRequest) -> Result<Review> {
        let mut edit = match self.edit(cx, &request.name, &request.request_id, &request).await? {
            Editing::Replay(review) => return Ok(*review),
            Editing::Fresh(edit) => edit,
        };
        edit.review.minutes = request.minutes;
        self.commit_edit(*edit, String::new()).await
    }

    /// Says what follows from a finding.
    pub async fn dispose_finding(&self, cx: &Cx, request: DisposeFindingRequest) -> Result<Review> {
        let mut edit = match self.edit(cx, &request.name, &request.request_id, &request).await? {
            Editing::Replay(review) => return Ok(*review),
            Editing::Fresh(edit) => edit,
        };
        let wants = match request.disposition() {
            Disposition::Proposal => Some("proposals/*"),
            Disposition::ActionItem => Some("actionItems/*"),
            Disposition::Noted | Disposition::RiskAccepted | Disposition::Unspecified => None,
        };
        if let Some(pattern) = wants {
            if request.reference.is_empty() {
                let rule = format!("must name what follows: {pattern}");
                return Err(Error::invalid("REFERENCE_REQUIRED", "reference", rule));
            }
            check_name(&request.reference, pattern, "reference")?;
            let tx = edit.mutation.tx();
            if pattern.starts_with("proposals") {
                store::get::<Proposal>(tx, &cx.tenant, &request.reference).await?;
            } else {
                store::get::<ActionItem>(tx, &cx.tenant, &request.reference).await?;
            }
        }
        let Some(finding) = edit.review.findings.iter_mut().find(|finding| finding.id == request.finding) else {
            return Err(Error::not_found("FINDING_NOT_FOUND", &request.finding));
        };
        finding.disposition = request.disposition;
        finding.disposition_reference.clone_from(&request.reference);
        finding.disposition_note.clone_from(&request.note);
        self.commit_edit(*edit, request.note).await
    }

    /// Renders the pack.
    pub async fn export_review(&self, cx: &Cx, request: ExportReviewRequest) -> Result<ExportReviewResponse> {
        check_name(&request.name, "reviews/*", "name")?;
        self.seed(&cx.tenant).await?;
        let mut tx = self.db.snapshot().await?;
        let review: Review = store::get(&mut tx, &cx.tenant, &request.name).await?;
        if review.state() == ReviewState::Pending {
            let message = format!("the evidence of {} is not collected yet", review.name);
            return Err(Error::precondition("REVIEW_PENDING", message));
        }
        let evidence = evidence(&mut tx, &cx.tenant, &review.name).await?;
        drop(tx);
        let pack = Pack::assemble(evidence, &review);
        let format = request.format();
        // A pack is some hundred kilobytes of text: rendering it is not for the threads that serve calls.
        let rendered = tokio::task::spawn_blocking(move || export::render(&pack, &review, format)).await;
        rendered.map_err(|error| Error::internal("the export did not finish").with_source(error))?
    }
}
