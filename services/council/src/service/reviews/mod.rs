//! The monthly review: opening, working on it, signing, sealing, exporting.

mod collect;
mod collecting;
mod witness;

pub(super) use collect::open_pending;

use self::collect::{collected_evidence, pending};
use super::{Service, record, save};
use crate::review::Pack;
use crate::review::findings::SOURCE_AWAY;
use crate::review::signing::{ballot, check_collected, check_open, check_unsealed, edited, missing, rehash};
use crate::store::{self, ActionItems, Bodies, Proposals, Reviews, delegations, seal_seed, seats};
use crate::time::Month;
use crate::{export, seat};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use remit_api::council::v1::{
    ActionItem, ActionItemState, Attendance, DeclareRecusalRequest, DisposeFindingRequest, Disposition,
    ExportReviewRequest, ExportReviewResponse, Finding, GetReviewRequest, ListReviewsRequest, ListReviewsResponse,
    OpenReviewRequest, RecordAttendanceRequest, RecordMinutesRequest, RefreshEvidenceRequest, Review, ReviewRecusal,
    ReviewSignature, ReviewState, Seal, SealReviewRequest, SignReviewRequest,
};
use remit_api::wire::time::stamp;
use remit_api::wire::{self, Repeatable, Word as _};
use remit_core::authority::STEERING_GROUP;
use remit_core::details::{ActionItemCarried, Details as _, ReviewSealed};
use remit_core::name::{ActionItemName, BodyName, ProposalName, ReviewName};
use remit_core::quorum::{Choice, Seat};
use remit_core::{Error, Result, Timestamp};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _, Tx};
use std::collections::BTreeSet;

/// The seats of the body of a review, and the one that the caller acts on.
struct Acting {
    seats: Vec<Seat>,
    seat: Seat,
}

/// Finds the seat on which the caller works on a review of `body`.
///
/// # Errors
/// `PermissionDenied` (`NOT_ELIGIBLE`).
async fn acting(m: &mut Mutation, cx: &Cx, body: &str) -> Result<Acting> {
    let seats = seats(m.tx(), &cx.tenant, body).await?;
    let delegations = delegations(m.tx(), &cx.tenant, body).await?;
    let seat = seat::acting(&cx.actor, body, &seats, &delegations, m.now())?.clone();
    Ok(Acting { seats, seat })
}

/// Refuses whoever may not open a review of `body`: it takes a seat there, or one of the suite's own services.
///
/// # Errors
/// `PermissionDenied` (`NOT_ELIGIBLE`).
async fn check_opener(tx: &mut Tx, cx: &Cx, body: &str, now: Timestamp) -> Result<()> {
    if cx.service.is_some() {
        return Ok(());
    }
    let seats = seats(tx, &cx.tenant, body).await?;
    let delegations = delegations(tx, &cx.tenant, body).await?;
    seat::acting(&cx.actor, body, &seats, &delegations, now).map(drop)
}

impl Service {
    /// Opens the review of a month, and leaves its evidence to who collects.
    pub(crate) async fn open_review(&self, cx: &Cx, request: OpenReviewRequest) -> Result<Review> {
        let name = if request.body.is_empty() { STEERING_GROUP } else { request.body.as_str() };
        BodyName::parse(name, "body")?;
        let body = self.get::<Bodies>(cx, name).await?;
        if !body.holds_reviews {
            return Err(Error::precondition("NO_REVIEWS", format!("{} holds no reviews", body.name)));
        }
        let month = Month::parse(&request.period, &body.zone)?;
        let now = self.db.now();
        if now < month.end() {
            let message = format!("{} ends at {}", month.period(), month.end());
            return Err(Error::precondition("PERIOD_NOT_OVER", message));
        }
        let mut review = pending(&body, &month, now);
        let open = async |m: &mut Mutation| {
            let now = m.now();
            check_opener(m.tx(), cx, &body.name, now).await?;
            if !Reviews::try_insert(m, &mut review).await? {
                // Somebody else was faster, or the schedule.
                return Reviews::get(m.tx(), &cx.tenant, &review.name).await;
            }
            record::<Reviews>(m, None, &review, |_| {});
            self.collect_at_commit(m);
            Ok(review)
        };
        self.mutate(cx, &request, open).await
    }

    /// Wakes who collects as soon as what this mutation has opened is there.
    fn collect_at_commit(&self, m: &mut Mutation) {
        let opened = self.opened.clone();
        m.on_commit(move || opened.notify_one());
    }

    pub(crate) async fn get_review(&self, cx: &Cx, request: GetReviewRequest) -> Result<Review> {
        ReviewName::parse(&request.name, "name")?;
        self.seed(&cx.tenant).await?;
        store::review(&mut self.db.read().await?, &cx.tenant, &request.name).await
    }

    pub(crate) async fn list_reviews(&self, cx: &Cx, request: ListReviewsRequest) -> Result<ListReviewsResponse> {
        let (reviews, next_page_token) = self.list::<Reviews>(cx, cx.page(&request)).await?;
        Ok(ListReviewsResponse { reviews, next_page_token })
    }

    /// Has the evidence of an open review collected anew.
    pub(crate) async fn refresh_evidence(&self, cx: &Cx, request: RefreshEvidenceRequest) -> Result<Review> {
        ReviewName::parse(&request.name, "name")?;
        let refresh = async |m: &mut Mutation| {
            let before = Reviews::claim(m, &request.name).await?;
            check_unsealed(&before)?;
            if !before.restatements.is_empty() {
                let message =
                    format!("a later pack restates figures of {}: what came since is said there", before.name);
                return Err(Error::precondition("REVIEW_RESTATED", message));
            }
            // It is being collected already, and what was collected before is not undone by that.
            if before.state() == ReviewState::Collecting {
                return Ok(before);
            }
            acting(m, cx, &before.body).await?;
            let (state, update_time) = (ReviewState::Collecting.into(), Some(stamp(m.now())));
            let mut review = Review { state, update_time, ..before.clone() };
            save::<Reviews>(m, &before, &mut review, |_| {}).await?;
            store::drop_collection(m.tx(), &cx.tenant, &review.name).await?;
            self.collect_at_commit(m);
            Ok(review)
        };
        self.mutate(cx, &request, refresh).await
    }

    /// Changes an open review, on a seat of its body: once `work` has done so the digest follows, and signatures on another are void.
    async fn edit<Q: Repeatable>(
        &self,
        cx: &Cx,
        request: &Q,
        name: &str,
        reason: &str,
        work: impl AsyncFnOnce(&mut Mutation, &mut Review, &Acting) -> Result<()>,
    ) -> Result<Review> {
        ReviewName::parse(name, "name")?;
        let edit = async |m: &mut Mutation| {
            let before = Reviews::claim(m, name).await?;
            check_open(&before)?;
            let acting = acting(m, cx, &before.body).await?;
            let mut review = before.clone();
            work(m, &mut review, &acting).await?;
            rehash(&mut review, &collected_evidence(m.tx(), &cx.tenant, name).await?, &acting.seats)?;
            review.update_time = Some(stamp(m.now()));
            let details = edited(&before, &review).json();
            save::<Reviews>(m, &before, &mut review, |event| {
                reason.clone_into(&mut event.reason);
                event.details = details;
            })
            .await?;
            Ok(review)
        };
        self.mutate(cx, request, edit).await
    }

    /// Records who took part.
    pub(crate) async fn record_attendance(&self, cx: &Cx, request: RecordAttendanceRequest) -> Result<Review> {
        let work = async |_: &mut Mutation, review: &mut Review, acting: &Acting| {
            let mut seen = BTreeSet::new();
            review.attendance.clear();
            for (at, one) in request.attendance.iter().enumerate() {
                let field = format!("attendance[{at}].subject");
                let Some(seat) = acting.seats.iter().find(|seat| seat.subject == one.subject) else {
                    return Err(Error::invalid("NOT_ELIGIBLE", field, format!("{} is not a member", one.subject)));
                };
                if !seen.insert(&one.subject) {
                    return Err(Error::invalid("DUPLICATE", field, "is listed twice"));
                }
                review.attendance.push(Attendance { role_group: seat.role_group.clone(), ..one.clone() });
            }
            review.attendance.sort_by(|a, b| a.subject.cmp(&b.subject));
            Ok(())
        };
        self.edit(cx, &request, &request.name, "", work).await
    }

    /// Declares the caller's conflict of interest for an agenda item.
    pub(crate) async fn declare_recusal(&self, cx: &Cx, request: DeclareRecusalRequest) -> Result<Review> {
        let work = async |m: &mut Mutation, review: &mut Review, _: &Acting| {
            let me = &cx.actor.subject;
            let found = review.findings.iter().any(|finding| finding.id == request.item);
            let evidence = collected_evidence(m.tx(), &cx.tenant, &review.name).await?;
            if !found && !evidence.sections.iter().any(|section| section.key == request.item) {
                return Err(Error::not_found("AGENDA_ITEM_NOT_FOUND", &request.item));
            }
            let (subject, item, reason) = (me.clone(), request.item.clone(), request.reason.clone());
            let create_time = Some(stamp(m.now()));
            review.recusals.push(ReviewRecusal { subject, item, reason, create_time });
            // Whoever has a conflict has had it before as well.
            for finding in review.findings.iter_mut().filter(|one| touches(one, &request.item) && is_by(one, me)) {
                finding.disposition = Disposition::Unspecified.into();
                finding.disposition_reference.clear();
                finding.disposition_note.clear();
                finding.disposer = None;
                finding.disposer_seat.clear();
            }
            Ok(())
        };
        self.edit(cx, &request, &request.name, &request.reason, work).await
    }

    /// Replaces the minutes.
    pub(crate) async fn record_minutes(&self, cx: &Cx, request: RecordMinutesRequest) -> Result<Review> {
        let work = async |_: &mut Mutation, review: &mut Review, _: &Acting| {
            review.minutes.clone_from(&request.minutes);
            Ok(())
        };
        self.edit(cx, &request, &request.name, "", work).await
    }

    /// Says what follows from a finding.
    pub(crate) async fn dispose_finding(&self, cx: &Cx, request: DisposeFindingRequest) -> Result<Review> {
        let reference = request.reference.as_str();
        let given = |pattern: &str| {
            if !reference.is_empty() {
                return Ok(());
            }
            Err(Error::invalid("REFERENCE_REQUIRED", "reference", format!("must name what follows: {pattern}")))
        };
        let work = async |m: &mut Mutation, review: &mut Review, acting: &Acting| {
            match request.disposition() {
                Disposition::Proposal => {
                    given(ProposalName::PATTERN)?;
                    ProposalName::parse(reference, "reference")?;
                    Proposals::get(m.tx(), &cx.tenant, reference).await?;
                }
                Disposition::ActionItem => {
                    given(ActionItemName::PATTERN)?;
                    ActionItemName::parse(reference, "reference")?;
                    ActionItems::get(m.tx(), &cx.tenant, reference).await?;
                }
                Disposition::Noted | Disposition::RiskAccepted | Disposition::Unspecified => {}
            }
            let Some(finding) = review.findings.iter_mut().find(|finding| finding.id == request.finding) else {
                return Err(Error::not_found("FINDING_NOT_FOUND", &request.finding));
            };
            let mine = [cx.actor.subject.as_str(), acting.seat.subject.as_str()];
            let conflict =
                review.recusals.iter().find(|one| mine.contains(&one.subject.as_str()) && touches(finding, &one.item));
            if let Some(one) = conflict {
                let message = format!("{} declared a conflict of interest for {}", one.subject, one.item);
                return Err(Error::denied("RECUSED", message));
            }
            finding.disposition = request.disposition;
            reference.clone_into(&mut finding.disposition_reference);
            finding.disposition_note.clone_from(&request.note);
            finding.disposer = Some(wire::actor(&cx.actor));
            finding.disposer_seat.clone_from(&acting.seat.subject);
            Ok(())
        };
        self.edit(cx, &request, &request.name, &request.note, work).await
    }

    /// Signs the pack as it stands.
    pub(crate) async fn sign_review(&self, cx: &Cx, request: SignReviewRequest) -> Result<Review> {
        let work = async |m: &mut Mutation, review: &mut Review, acting: &Acting| {
            if request.pack_digest != review.pack_digest {
                let message = format!("{} changed: read it again, its digest is {}", review.name, review.pack_digest);
                return Err(Error::precondition("CONTENT_CHANGED", message));
            }
            let delegations = delegations(m.tx(), &cx.tenant, &review.body).await?;
            let ballot = ballot(review, &acting.seats);
            let seat = ballot.admit(&cx.actor, None, Choice::Approve, &delegations, m.now()).map_err(|error| {
                if error.reason() == "ALREADY_VOTED" {
                    Error::precondition("ALREADY_SIGNED", format!("{} or the seat has signed", cx.actor.subject))
                } else {
                    error
                }
            })?;
            let signature = ReviewSignature {
                signer: Some(wire::actor(&cx.actor)),
                seat: seat.subject.clone(),
                role_group: seat.role_group.clone(),
                pack_digest: request.pack_digest.clone(),
                create_time: Some(stamp(m.now())),
                valid: true,
                comment: request.comment.clone(),
            };
            review.signatures.push(signature);
            Ok(())
        };
        self.edit(cx, &request, &request.name, &request.comment, work).await
    }

    /// Seals a review that enough members signed.
    pub(crate) async fn seal_review(&self, cx: &Cx, request: SealReviewRequest) -> Result<Review> {
        ReviewName::parse(&request.name, "name")?;
        // The audit service is asked before the transaction begins, so that none is held open meanwhile.
        let read = self.get::<Reviews>(cx, &request.name).await?;
        let (cosigned_checkpoint, consistency) = match read.state() {
            ReviewState::Open => self.witnessed(&cx.tenant, &read).await?,
            // A repetition is answered, anything else refused below.
            _ => (String::new(), Vec::new()),
        };
        let seal = async |m: &mut Mutation| {
            let before = Reviews::claim(m, &request.name).await?;
            check_open(&before)?;
            if before.evidence_digest != read.evidence_digest {
                let message = format!("the evidence of {} was collected anew meanwhile: read it again", read.name);
                return Err(Error::precondition("CONTENT_CHANGED", message));
            }
            let acting = acting(m, cx, &before.body).await?;
            let lacking = missing(&before, &acting.seats);
            if !lacking.is_empty() {
                let message = format!("{} is not signed by enough members: {}", before.name, lacking.join(", "));
                return Err(Error::precondition("QUORUM_MISSING", message));
            }
            let acknowledged = to_acknowledge(&before);
            if !acknowledged.is_empty() && request.acknowledgement.trim().is_empty() {
                let first = acknowledged.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
                let message = format!(
                    "{} has {} findings that are undecided or say that a source was away: decide on them, or say in \
                     acknowledgement why it is sealed all the same: {first}",
                    before.name,
                    acknowledged.len()
                );
                return Err(Error::precondition("ACKNOWLEDGEMENT_REQUIRED", message));
            }
            let acknowledgement = if acknowledged.is_empty() { String::new() } else { request.acknowledgement.clone() };
            let mut fresh = [0; 32];
            self.db.ids().fill(&mut fresh);
            let key = SigningKey::from_bytes(&seal_seed(m.tx(), &cx.tenant, fresh).await?);
            let mut review = before.clone();
            let signature = key.sign(review.pack_digest.as_bytes()).to_bytes();
            let public_key = key.verifying_key().to_bytes();
            let now = Some(stamp(m.now()));
            let event_id = m.new_id();
            review.state = ReviewState::Sealed.into();
            review.missing = Vec::new();
            review.update_time = now;
            review.seal = Some(Seal {
                create_time: now,
                signature: signature.to_vec(),
                public_key: public_key.to_vec(),
                audit_event: event_id.clone(),
                cosigned_checkpoint: cosigned_checkpoint.clone(),
                acknowledgement: acknowledgement.clone(),
                acknowledged: acknowledged.clone(),
                sealer: Some(wire::actor(&cx.actor)),
                consistency: consistency.iter().map(|hash| hash.0.to_vec()).collect(),
            });
            Reviews::save(m, &mut review).await?;
            let signers = review.signatures.iter().filter(|signature| signature.valid);
            let details = ReviewSealed {
                period: review.period.clone(),
                pack_digest: review.pack_digest.clone(),
                signature: STANDARD.encode(signature),
                public_key: STANDARD.encode(public_key),
                cosigned_checkpoint,
                signers: signers.filter_map(|one| Some(one.signer.as_ref()?.subject.clone())).collect(),
                acknowledgement,
                acknowledged,
            };
            let reason = details.acknowledgement.clone();
            record::<Reviews>(m, Some(&before), &review, |event| {
                event.reason = reason;
                (event.id, event.details) = (event_id, details.json());
            });
            carry_actions(m, &review).await?;
            Ok(review)
        };
        self.mutate(cx, &request, seal).await
    }

    /// Renders the pack.
    pub(crate) async fn export_review(&self, cx: &Cx, request: ExportReviewRequest) -> Result<ExportReviewResponse> {
        ReviewName::parse(&request.name, "name")?;
        self.seed(&cx.tenant).await?;
        let mut tx = self.db.snapshot().await?;
        let review = Reviews::get(&mut tx, &cx.tenant, &request.name).await?;
        check_collected(&review)?;
        let evidence = collected_evidence(&mut tx, &cx.tenant, &review.name).await?;
        drop(tx);
        let pack = Pack::assemble(evidence, &review);
        let format = request.format();
        // A pack is some hundred kilobytes of text: rendering it is not for the threads that serve calls.
        let rendered = tokio::task::spawn_blocking(move || export::render(&pack, &review, format)).await;
        rendered.map_err(|error| Error::internal("the export did not finish").with_source(error))?
    }
}

/// Whether an agenda item is a finding, or the section that it is in.
fn touches(finding: &Finding, item: &str) -> bool {
    item == finding.id || item == finding.section
}

/// Whether a member said what follows from a finding, in person or by a delegate.
fn is_by(finding: &Finding, member: &str) -> bool {
    let in_person = finding.disposer.as_ref().is_some_and(|actor| actor.subject == member);
    in_person || finding.disposer_seat == member
}

/// The findings over which a review is sealed only with a reason: those that nobody decided on, and those that say that
/// something was not looked at, which no decision makes up for.
fn to_acknowledge(review: &Review) -> Vec<String> {
    let undecided =
        |finding: &&Finding| finding.disposition() == Disposition::Unspecified || finding.code == SOURCE_AWAY;
    review.findings.iter().filter(undecided).map(|finding| finding.id.clone()).collect()
}

/// Counts open action items as carried over to the next review.
async fn carry_actions(m: &mut Mutation, review: &Review) -> Result<()> {
    let tenant = m.tenant().clone();
    for item in ActionItems::in_states(m.tx(), &tenant, &[ActionItemState::Open.word()]).await? {
        let before = ActionItems::claim(m, &item.name).await?;
        if before.state() != ActionItemState::Open {
            continue;
        }
        let times_carried = before.times_carried.saturating_add(1);
        let mut item = ActionItem { times_carried, update_time: Some(stamp(m.now())), ..before.clone() };
        let details = ActionItemCarried { review: review.name.clone(), times_carried };
        save::<ActionItems>(m, &before, &mut item, |event| {
            "council.actionItems.carry".clone_into(&mut event.action);
            event.details = details.json();
        })
        .await?;
    }
    Ok(())
}
