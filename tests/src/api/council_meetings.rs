//! More cases of the service `council`: how its bodies meet. Rounds of voting, executions that fail,
//! drills, waivers, and the work on a review before its seal.

use super::cases;
use super::council::{STEERING, approve, ask, decide, get, propose, resolution, seat, with_members};
use super::registry::{create_model, create_version, evaluate, transition};
use crate::support::{Connection, Suite, eventually, new_seat, reason, stamp};
use ed25519_dalek::{Signature, VerifyingKey};
use remit_api::council::v1::action::Kind;
use remit_api::council::v1::action_item_service_client::ActionItemServiceClient;
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::proposal_service_client::ProposalServiceClient;
use remit_api::council::v1::review_service_client::ReviewServiceClient;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::waiver_service_client::WaiverServiceClient;
use remit_api::council::v1::*;
use remit_api::registry::v1::ModelVersionState;
use remit_core::digest;
use std::time::Duration;
use tonic::{Response, Status};

cases! {
    a_draft_is_opened_once_and_withdrawn_by_its_people: CreateProposal, CancelProposal, OpenProposal;
    an_escalated_proposal_needs_other_seats;
    what_expired_stays_expired;
    a_failed_execution_is_tried_again: RetryProposal;
    a_drill_ends_by_one_person_and_a_hold_does_not: EndDrill;
    a_waiver_ends_by_one_person_or_by_time: RevokeWaiver;
    a_change_of_the_pack_voids_its_signatures: RefreshEvidence, RecordAttendance, DeclareRecusal, DisposeFinding;
    a_sealed_review_refuses_every_change;
}

const DAY: Duration = Duration::from_secs(86_400);
const MISSED: &str = "REVIEW_MISSED.reviews.2025-11";

fn proposals(suite: &Suite, who: &str) -> ProposalServiceClient<Connection> {
    ProposalServiceClient::new(
        if who == "pat" { suite.human("pat", &["admin"], &[]) } else { seat(suite, who) }.to("council"),
    )
}

pub(super) fn reviews(suite: &Suite, who: &str) -> ReviewServiceClient<Connection> {
    ReviewServiceClient::new(seat(suite, who).to("council"))
}

fn refusal<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> String {
    reason(&answer.expect_err("this must be refused"))
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    reason(&answer.expect_err("this must be refused"))
}

fn open(proposal: &Proposal) -> OpenProposalRequest {
    OpenProposalRequest { name: proposal.name.clone(), ..Default::default() }
}

fn cancel(proposal: &Proposal) -> CancelProposalRequest {
    CancelProposalRequest { name: proposal.name.clone(), reason: "no longer needed".into(), ..Default::default() }
}

fn retry(proposal: &Proposal) -> RetryProposalRequest {
    RetryProposalRequest { name: proposal.name.clone(), ..Default::default() }
}

fn recuse(proposal: &Proposal) -> RecuseRequest {
    RecuseRequest { name: proposal.name.clone(), reason: "my sister".into(), ..Default::default() }
}

fn retitle(proposal: &Proposal, title: &str) -> UpdateProposalRequest {
    UpdateProposalRequest {
        proposal: Some(Proposal { title: title.into(), etag: String::new(), ..proposal.clone() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["title".into()] }),
        ..Default::default()
    }
}

async fn a_draft_is_opened_once_and_withdrawn_by_its_people(suite: Suite) {
    with_members(&suite).await;
    let mut pat = proposals(&suite, "pat");
    let proposal = Proposal {
        title: "Shall we?".into(),
        body: STEERING.into(),
        action: Some(Action { kind: Some(resolution()) }),
        ..Default::default()
    };
    let request = CreateProposalRequest { proposal_id: "p".into(), proposal: Some(proposal), ..Default::default() };
    let draft = pat.create_proposal(request).await.expect("a draft").into_inner();
    assert_eq!((draft.state(), draft.round, draft.electorate.len()), (ProposalState::Draft, 0, 0));
    assert_eq!(refused(approve(&seat(&suite, "lea"), &draft).await), "PROPOSAL_NOT_OPEN");

    let opened = pat.open_proposal(open(&draft)).await.expect("it opens").into_inner();
    assert_eq!((opened.state(), opened.round, opened.electorate.len()), (ProposalState::Open, 1, 3));
    let seconds = |at: &Option<prost_types::Timestamp>| at.as_ref().map(|at| at.seconds).unwrap_or_default();
    assert_eq!(seconds(&opened.expire_time) - seconds(&opened.open_time), 14 * 86_400);
    assert_eq!(refusal(pat.open_proposal(open(&draft)).await), "PROPOSAL_CLOSED");
    let other = proposals(&suite, "mia").update_proposal(retitle(&opened, "Mine")).await;
    assert_eq!(refusal(other), "NOT_THE_PROPOSER");
    approve(&seat(&suite, "lea"), &opened).await.expect("a vote");
    let edited = pat.update_proposal(retitle(&opened, "Shall we now?")).await.expect("an edit").into_inner();
    assert_eq!((edited.votes[0].void_reason.as_str(), edited.round), ("CONTENT_CHANGED", 1));

    let mut eve = ProposalServiceClient::new(suite.human("eve", &["admin"], &["legal"]).to("council"));
    assert_eq!(refusal(eve.cancel_proposal(cancel(&edited)).await), "NOT_ELIGIBLE");
    let cancelled = proposals(&suite, "dan").cancel_proposal(cancel(&edited)).await.expect("a member may").into_inner();
    assert_eq!((cancelled.state(), cancelled.decide_reason.as_str()), (ProposalState::Cancelled, "no longer needed"));
    assert_eq!(refusal(pat.cancel_proposal(cancel(&edited)).await), "PROPOSAL_CLOSED");
    assert_eq!(refusal(pat.open_proposal(open(&edited)).await), "PROPOSAL_CLOSED");
    assert_eq!(refusal(pat.update_proposal(retitle(&cancelled, "Again")).await), "PROPOSAL_CLOSED");
    assert_eq!(refused(approve(&seat(&suite, "mia"), &edited).await), "PROPOSAL_NOT_OPEN");
    suite.advance(15 * DAY).await;
    suite.settle().await;
    assert_eq!(get(&suite, &cancelled).await, cancelled, "the end of the voting period changes nothing any more");
}

async fn an_escalated_proposal_needs_other_seats(suite: Suite) {
    with_members(&suite).await;
    let first = propose(&suite, "p", resolution()).await;
    approve(&seat(&suite, "mia"), &first).await.expect("a vote");
    let mut lea = proposals(&suite, "lea");
    let escalated = lea.recuse(recuse(&first)).await.expect("a recusal").into_inner();
    assert_eq!(escalated.state(), ProposalState::Escalated);
    assert_eq!(refused(approve(&seat(&suite, "dan"), &first).await), "PROPOSAL_NOT_OPEN");
    let mut pat = proposals(&suite, "pat");
    let status = pat.open_proposal(open(&first)).await.expect_err("legal has no other seat");
    assert_eq!(reason(&status), "QUORUM_UNREACHABLE");
    assert!(status.message().contains("legal"), "{}", status.message());

    let mut items = ActionItemServiceClient::new(seat(&suite, "mia").to("council"));
    let list = ListActionItemsRequest { filter: format!("origin = \"{}\"", first.name), ..Default::default() };
    let items = items.list_action_items(list).await.expect("a list").into_inner().action_items;
    assert_eq!(items.iter().map(|item| item.owner.as_str()).collect::<Vec<_>>(), ["dan"], "it goes to somebody");

    let leo = SeatMember { body: STEERING.into(), seat: Some(new_seat("leo", "legal")) };
    let seated = decide(&suite, STEERING, "leo", Kind::SeatMember(leo), &["mia", "lea"]).await;
    assert_eq!((seated.state(), error_of(&seated).as_str()), (ProposalState::Executed, ""));
    let second = pat.open_proposal(open(&first)).await.expect("a new round").into_inner();
    assert_eq!((second.state(), second.round, second.electorate.len()), (ProposalState::Open, 2, 4));
    assert_eq!(second.votes[0].void_reason, "NEW_ROUND");
    let tally = second.tally.clone().expect("an open proposal has a tally");
    assert_eq!((tally.eligible, tally.approvals), (3, 0));
    assert_eq!(refused(approve(&seat(&suite, "lea"), &second).await), "RECUSED", "a recusal is for good");
    assert_eq!(refusal(lea.recuse(recuse(&second)).await), "RECUSED");
    approve(&seat(&suite, "mia"), &second).await.expect("a new round takes a new vote");
    approve(&suite.human("leo", &["admin"], &["legal"]), &second).await.expect("a vote");
    assert_eq!(ended(&suite, &second).await.state(), ProposalState::Executed);
}

fn error_of(proposal: &Proposal) -> String {
    proposal.execution.clone().unwrap_or_default().error
}

async fn what_expired_stays_expired(suite: Suite) {
    with_members(&suite).await;
    let proposal = propose(&suite, "p", resolution()).await;
    suite.advance(15 * DAY).await;
    suite.settle().await;
    let expired = get(&suite, &proposal).await;
    assert_eq!(expired.state(), ProposalState::Expired);
    let mut pat = proposals(&suite, "pat");
    assert_eq!(refusal(pat.open_proposal(open(&proposal)).await), "PROPOSAL_CLOSED");
    assert_eq!(refusal(pat.cancel_proposal(cancel(&proposal)).await), "PROPOSAL_CLOSED");
    assert_eq!(refusal(pat.update_proposal(retitle(&proposal, "Again")).await), "PROPOSAL_CLOSED");
    assert_eq!(refusal(pat.retry_proposal(retry(&proposal)).await), "NOT_FAILED");
    assert_eq!(refusal(proposals(&suite, "lea").recuse(recuse(&proposal)).await), "PROPOSAL_EXPIRED");
    assert_eq!(get(&suite, &proposal).await, expired);
}

/// The proposal when nobody executes it any more.
async fn ended(suite: &Suite, proposal: &Proposal) -> Proposal {
    eventually("the execution ends", || async {
        !matches!(get(suite, proposal).await.state(), ProposalState::Approved | ProposalState::Executing)
    })
    .await;
    get(suite, proposal).await
}

async fn decided(suite: &Suite, id: &str, kind: Kind) -> Proposal {
    let proposal = propose(suite, id, kind).await;
    for who in ["mia", "lea"] {
        approve(&seat(suite, who), &proposal).await.expect("a vote");
    }
    ended(suite, &proposal).await
}

fn promote(version: &str, content_digest: &str) -> Kind {
    Kind::PromoteModel(PromoteModel {
        model_version: version.into(),
        purposes: vec!["lead-scoring".into()],
        content_digest: content_digest.into(),
        ..Default::default()
    })
}

async fn a_failed_execution_is_tried_again(suite: Suite) {
    with_members(&suite).await;
    let error = |proposal: &Proposal| {
        let execution = proposal.execution.clone().unwrap_or_default();
        (execution.attempts, execution.error.split(':').next().unwrap_or_default().to_owned())
    };
    let version = "models/m/versions/1";
    assert_eq!(refused(ask(&suite, STEERING, "p", promote(version, "")).await), "MODEL_VERSION_NOT_FOUND");
    create_model(&suite, "m").await.expect("a model");
    assert_eq!(create_version(&suite, "m", &[]).await, version);
    let failed = decided(&suite, "p", promote(version, "")).await;
    assert_eq!(failed.state(), ProposalState::Failed);
    assert_eq!(error(&failed), (1, "TRANSITION_NOT_ALLOWED".into()), "it was never evaluated");
    let mut pat = proposals(&suite, "pat");
    let again = pat.retry_proposal(retry(&failed)).await.expect("a retry").into_inner();
    assert_eq!(again.state(), ProposalState::Approved);
    let failed = ended(&suite, &failed).await;
    assert_eq!(error(&failed), (2, "TRANSITION_NOT_ALLOWED".into()), "nor is it now");

    evaluate(&suite, version, true).await;
    transition(&suite.admin(), version, ModelVersionState::Evaluating).await.expect("a transition");
    let other = ask(&suite, STEERING, "q", promote(version, &digest::sha256(b"another"))).await;
    assert_eq!(refused(other), "CONTENT_CHANGED", "the proposer saw something else");
    let mut machine = ProposalServiceClient::new(suite.service("registry").to("council"));
    assert_eq!(refusal(machine.retry_proposal(retry(&failed)).await), "ACTOR_KIND_NOT_ALLOWED");
    pat.retry_proposal(retry(&failed)).await.expect("a retry");
    let executed = ended(&suite, &failed).await;
    assert_eq!((executed.state(), error(&executed)), (ProposalState::Executed, (3, String::new())));
    let execution = executed.execution.clone().expect("it was executed");
    assert_eq!(execution.completed_steps, ["registry.TransitionModelVersion", "registry.SetModelAlias"]);
    assert_eq!(execution.result, version);
    assert_eq!(refusal(pat.retry_proposal(retry(&executed)).await), "NOT_FAILED");
    assert_eq!(refusal(pat.cancel_proposal(cancel(&executed)).await), "PROPOSAL_CLOSED");
    let filter = format!("resource = \"{}\" AND action = \"council.proposals.execute\"", executed.name);
    assert_eq!(suite.entries(&filter).await.len(), 3, "every attempt is on record");
}

async fn a_drill_ends_by_one_person_and_a_hold_does_not(suite: Suite) {
    with_members(&suite).await;
    let mut mia = HoldServiceClient::new(seat(&suite, "mia").to("council"));
    let engage = |id: &str, drill| EngageHoldRequest {
        hold_id: id.into(),
        hold: Some(Hold {
            scope: Some(Scope { target: Some(Target::Organisation(true)) }),
            reason: "to know the switch".into(),
            drill,
            ..Default::default()
        }),
        ..Default::default()
    };
    let end = |name: &str| EndDrillRequest {
        name: name.into(),
        finding: "all readers had it at once".into(),
        ..Default::default()
    };
    let drill = mia.engage_hold(engage("drill", true)).await.expect("a drill").into_inner();
    let real = mia.engage_hold(engage("real", false)).await.expect("a hold").into_inner();
    let lift = Proposal {
        title: "Shall we?".into(),
        body: STEERING.into(),
        action: Some(Action {
            kind: Some(Kind::LiftHold(LiftHold { hold: drill.name.clone(), reason: "over".into() })),
        }),
        ..Default::default()
    };
    let lift = CreateProposalRequest { proposal_id: "lift".into(), proposal: Some(lift), ..Default::default() };
    assert_eq!(refusal(proposals(&suite, "pat").create_proposal(lift).await), "HOLD_IS_DRILL");

    assert_eq!(refusal(mia.end_drill(end(&real.name)).await), "NOT_A_DRILL");
    assert_eq!(refusal(mia.end_drill(end("holds/none")).await), "HOLD_NOT_FOUND");
    let mut machine = HoldServiceClient::new(suite.service("registry").to("council"));
    assert_eq!(refusal(machine.end_drill(end(&drill.name)).await), "ACTOR_KIND_NOT_ALLOWED");
    let over = mia.end_drill(end(&drill.name)).await.expect("the drill ends").into_inner();
    assert_eq!((over.state(), over.lift_reason.as_str()), (HoldState::Lifted, "all readers had it at once"));
    assert!(over.lift_time.is_some() && over.lift_proposal.is_empty());
    assert_eq!(refusal(mia.end_drill(end(&drill.name)).await), "HOLD_LIFTED");
    let glass = BreakGlassRequest {
        hold: drill.name,
        reason: "a campaign cannot wait".into(),
        duration: Some(prost_types::Duration { seconds: 3_600, nanos: 0 }),
        ..Default::default()
    };
    let mut dan = HoldServiceClient::new(seat(&suite, "dan").to("council"));
    assert_eq!(refusal(dan.break_glass(glass).await), "HOLD_LIFTED");
    let real = mia.get_hold(GetHoldRequest { name: real.name }).await.expect("it exists").into_inner();
    assert_eq!(real.state(), HoldState::Engaged);
}

async fn a_waiver_ends_by_one_person_or_by_time(suite: Suite) {
    with_members(&suite).await;
    let now = suite.now().await;
    let function = |id: &str| if id == "a" { "functions/paid_media" } else { "functions/brand_building" };
    let task = |id: &str| Scope { target: Some(Target::Function(function(id).into())) };
    let grant = |id: &str, days: u32| GrantWaiver {
        waiver_id: id.into(),
        control: "C43".into(),
        scope: Some(task(id)),
        reason: "the campaign is live".into(),
        compensating_control: "daily sampling".into(),
        beneficiary: "dan".into(),
        expire_time: Some(stamp(now.plus(days * DAY))),
        ..Default::default()
    };
    let mut dan = WaiverServiceClient::new(seat(&suite, "dan").to("council"));
    let revoke = |id: &str| RevokeWaiverRequest {
        name: format!("waivers/{id}"),
        reason: "the campaign is over".into(),
        ..Default::default()
    };
    let long = Proposal {
        title: "Shall we?".into(),
        body: STEERING.into(),
        action: Some(Action { kind: Some(Kind::GrantWaiver(grant("a", 400))) }),
        ..Default::default()
    };
    let long = CreateProposalRequest { proposal_id: "long".into(), proposal: Some(long), ..Default::default() };
    assert_eq!(refusal(proposals(&suite, "pat").create_proposal(long).await), "WAIVER_INVALID");
    let asked = propose(&suite, "a", Kind::GrantWaiver(grant("a", 20))).await;
    assert_eq!(refused(approve(&seat(&suite, "dan"), &asked).await), "BENEFICIARY_CANNOT_VOTE");
    assert_eq!(refusal(dan.revoke_waiver(revoke("a")).await), "WAIVER_NOT_FOUND", "it is only asked for");
    for who in ["mia", "lea"] {
        approve(&seat(&suite, who), &asked).await.expect("a vote");
    }
    assert_eq!(ended(&suite, &asked).await.execution.expect("it is executed").result, "waivers/a");
    decided(&suite, "b", Kind::GrantWaiver(grant("b", 20))).await;

    let check = |id: &str| CheckWaiversRequest { control: "C43".into(), scopes: vec![task(id)], time: None };
    for id in ["a", "b"] {
        let covered = dan.check_waivers(check(id)).await.expect("an answer").into_inner();
        assert_eq!((covered.waived, covered.waivers.len()), (true, 1));
    }
    let revoked = dan.revoke_waiver(revoke("a")).await.expect("one person may").into_inner();
    assert_eq!((revoked.state(), revoked.revoke_reason.as_str()), (WaiverState::Revoked, "the campaign is over"));
    assert_eq!(refusal(dan.revoke_waiver(revoke("a")).await), "WAIVER_ENDED");
    let covered = dan.check_waivers(check("a")).await.expect("an answer").into_inner();
    assert_eq!((covered.waived, covered.ended_matches.as_slice()), (false, [revoked].as_slice()));
    assert!(dan.check_waivers(check("b")).await.expect("an answer").into_inner().waived, "the other holds on");

    suite.advance(21 * DAY).await;
    suite.settle().await;
    let state = async |id: &str| {
        let request = GetWaiverRequest { name: format!("waivers/{id}") };
        dan.clone().get_waiver(request).await.expect("it exists").into_inner().state()
    };
    assert_eq!((state("a").await, state("b").await), (WaiverState::Revoked, WaiverState::Expired));
    assert!(!dan.check_waivers(check("b")).await.expect("an answer").into_inner().waived);
    assert_eq!(refusal(dan.revoke_waiver(revoke("b")).await), "WAIVER_ENDED");
}

/// A review once its evidence is there.
pub(super) async fn collected(suite: &Suite, review: &Review) -> Review {
    let name = review.name.clone();
    let get = async || reviews(suite, "lea").get_review(GetReviewRequest { name: name.clone() }).await;
    eventually("the evidence is collected", || async {
        get().await.is_ok_and(|review| review.into_inner().state() == ReviewState::Open)
    })
    .await;
    get().await.expect("it is there").into_inner()
}

/// Opens the review of a month and waits for its evidence.
pub(super) async fn open_review(suite: &Suite, period: &str) -> Review {
    let request = OpenReviewRequest { period: period.into(), ..Default::default() };
    let review = reviews(suite, "lea").open_review(request).await.expect("a review").into_inner();
    assert!(review.state() == ReviewState::Collecting || !review.evidence_digest.is_empty(), "{review:#?}");
    collected(suite, &review).await
}

/// The evidence of a review, collected anew.
pub(super) async fn refreshed(suite: &Suite, review: &Review) -> Review {
    let begun = reviews(suite, "lea").refresh_evidence(refresh(review)).await.expect("it begins").into_inner();
    collected(suite, &begun).await
}

/// The open review of December 2025, with a finding: that of November is not sealed.
pub(super) async fn december(suite: &Suite) -> Review {
    with_members(suite).await;
    open_review(suite, "2025-11").await;
    let review = open_review(suite, "2025-12").await;
    assert!(review.findings.iter().any(|finding| finding.id == MISSED), "{:#?}", review.findings);
    review
}

fn attend(review: &Review, who: &[&str]) -> RecordAttendanceRequest {
    let attendance =
        who.iter().map(|&subject| Attendance { subject: subject.into(), present: true, ..Default::default() });
    RecordAttendanceRequest { name: review.name.clone(), attendance: attendance.collect(), ..Default::default() }
}

fn conflict(review: &Review) -> DeclareRecusalRequest {
    DeclareRecusalRequest {
        name: review.name.clone(),
        item: "drift".into(),
        reason: "I built the model".into(),
        ..Default::default()
    }
}

fn dispose(review: &Review, disposition: Disposition, reference: &str) -> DisposeFindingRequest {
    DisposeFindingRequest {
        name: review.name.clone(),
        finding: MISSED.into(),
        disposition: disposition.into(),
        reference: reference.into(),
        note: "it will be made up for".into(),
        ..Default::default()
    }
}

pub(super) fn refresh(review: &Review) -> RefreshEvidenceRequest {
    RefreshEvidenceRequest { name: review.name.clone(), ..Default::default() }
}

pub(super) async fn sign(suite: &Suite, who: &str, review: &Review) -> Result<Review, Status> {
    let request =
        SignReviewRequest { name: review.name.clone(), pack_digest: review.pack_digest.clone(), ..Default::default() };
    reviews(suite, who).sign_review(request).await.map(Response::into_inner)
}

/// Signs, makes a change, and holds that it voided the signature; returns the review after the change.
async fn voids(
    suite: &Suite,
    review: &Review,
    change: impl AsyncFnOnce() -> Result<Response<Review>, Status>,
) -> Review {
    let signed = sign(suite, "lea", review).await.expect("a signature");
    assert!(signed.signatures.last().is_some_and(|signature| signature.valid));
    let changed = change().await.expect("a change").into_inner();
    assert!(changed.signatures.iter().all(|signature| !signature.valid), "{:#?}", changed.signatures);
    assert_ne!(changed.pack_digest, signed.pack_digest);
    assert!(!changed.missing.is_empty());
    assert_eq!(refused(sign(suite, "mia", &signed).await), "CONTENT_CHANGED");
    changed
}

async fn a_change_of_the_pack_voids_its_signatures(suite: Suite) {
    let opened = december(&suite).await;
    let (mut dan, mut mia) = (reviews(&suite, "dan"), reviews(&suite, "mia"));
    assert_eq!(refusal(dan.record_attendance(attend(&opened, &["eve"])).await), "NOT_ELIGIBLE");
    assert_eq!(refusal(dan.record_attendance(attend(&opened, &["dan", "dan"])).await), "DUPLICATE");
    let review = voids(&suite, &opened, async || dan.record_attendance(attend(&opened, &["lea", "dan"])).await).await;
    let present: Vec<_> = review.attendance.iter().map(|one| (one.subject.as_str(), one.role_group.as_str())).collect();
    assert_eq!(present, [("dan", "data"), ("lea", "legal")], "the seat says for which group they were there");

    let mut eve = ReviewServiceClient::new(suite.human("eve", &["admin"], &["legal"]).to("council"));
    assert_eq!(refusal(eve.declare_recusal(conflict(&opened)).await), "NOT_ELIGIBLE");
    let review = voids(&suite, &review, async || mia.declare_recusal(conflict(&opened)).await).await;
    assert_eq!((review.recusals[0].subject.as_str(), review.recusals[0].item.as_str()), ("mia", "drift"));

    let proposal = propose(&suite, "p", resolution()).await;
    let unknown = DisposeFindingRequest { finding: "NONE".into(), ..dispose(&opened, Disposition::Noted, "") };
    assert_eq!(refusal(dan.dispose_finding(unknown).await), "FINDING_NOT_FOUND");
    for (disposition, reference, expected) in [
        (Disposition::Proposal, "", "REFERENCE_REQUIRED"),
        (Disposition::ActionItem, "", "REFERENCE_REQUIRED"),
        (Disposition::Proposal, "proposals/none", "PROPOSAL_NOT_FOUND"),
        (Disposition::ActionItem, "actionItems/none", "ACTION_ITEM_NOT_FOUND"),
    ] {
        assert_eq!(refusal(dan.dispose_finding(dispose(&opened, disposition, reference)).await), expected);
    }
    let follows = dispose(&opened, Disposition::Proposal, &proposal.name);
    let review = voids(&suite, &review, async || dan.dispose_finding(follows).await).await;

    let hold = Hold {
        scope: Some(Scope { target: Some(Target::Organisation(true)) }),
        reason: "it writes nonsense".into(),
        ..Default::default()
    };
    let request = EngageHoldRequest { hold_id: "h".into(), hold: Some(hold), ..Default::default() };
    HoldServiceClient::new(seat(&suite, "mia").to("council")).engage_hold(request).await.expect("a hold");
    let glass = BreakGlassRequest {
        hold: "holds/h".into(),
        reason: "a campaign cannot wait".into(),
        duration: Some(prost_types::Duration { seconds: 3_600, nanos: 0 }),
        ..Default::default()
    };
    HoldServiceClient::new(seat(&suite, "dan").to("council")).break_glass(glass).await.expect("a use");
    let before = review.clone();
    let review = voids(&suite, &review, async || Ok(Response::new(refreshed(&suite, &opened).await))).await;
    assert_ne!(review.evidence_digest, before.evidence_digest);
    let glass = review.findings.iter().find(|finding| finding.code == "BREAK_GLASS_UNREVIEWED");
    assert_eq!(glass, None, "what was recorded in January is in January's pack, and in no other");
    let kept = review.findings.iter().find(|finding| finding.id == MISSED).expect("the finding returns");
    assert_eq!((kept.disposition(), &kept.disposition_reference), (Disposition::Proposal, &proposal.name));
    assert_eq!((&review.attendance, &review.recusals), (&before.attendance, &before.recusals));

    sign(&suite, "lea", &review).await.expect("a signature");
    assert_eq!(refused(sign(&suite, "lea", &review).await), "ALREADY_SIGNED");
    let same = dan.record_attendance(attend(&review, &["dan", "lea"])).await.expect("the same again").into_inner();
    assert_eq!(same.pack_digest, review.pack_digest);
    assert!(same.signatures.last().is_some_and(|signature| signature.valid), "nothing changed");
}

async fn a_sealed_review_refuses_every_change(suite: Suite) {
    let opened = december(&suite).await;
    let mut lea = reviews(&suite, "lea");
    for who in ["mia", "lea"] {
        sign(&suite, who, &opened).await.expect("a signature");
    }
    let seal = SealReviewRequest { name: opened.name.clone(), ..Default::default() };
    let undecided = lea.seal_review(seal.clone()).await.expect_err("nobody has said what follows");
    assert_eq!(reason(&undecided), "ACKNOWLEDGEMENT_REQUIRED");
    assert!(undecided.message().contains(MISSED), "{}", undecided.message());
    let seal = SealReviewRequest { acknowledgement: "it is read in February".into(), ..seal };
    let sealed = lea.seal_review(seal.clone()).await.expect("a seal").into_inner();
    let mark = sealed.seal.clone().expect("a sealed review has a seal");
    assert_eq!(
        (mark.acknowledgement.as_str(), mark.acknowledged.as_slice()),
        ("it is read in February", &[MISSED.to_owned()][..])
    );
    assert_eq!(mark.sealer.as_ref().map(|sealer| sealer.subject.as_str()), Some("lea"));
    let key = VerifyingKey::try_from(mark.public_key.as_slice()).expect("a public key");
    let signature = Signature::from_slice(&mark.signature).expect("a signature");
    key.verify_strict(sealed.pack_digest.as_bytes(), &signature).expect("the seal is over the digest of the pack");

    assert_eq!(refusal(lea.seal_review(seal).await), "REVIEW_SEALED");
    assert_eq!(refusal(lea.refresh_evidence(refresh(&sealed)).await), "REVIEW_SEALED");
    assert_eq!(refusal(lea.record_attendance(attend(&sealed, &["lea"])).await), "REVIEW_SEALED");
    assert_eq!(refusal(lea.declare_recusal(conflict(&sealed)).await), "REVIEW_SEALED");
    assert_eq!(refusal(lea.dispose_finding(dispose(&sealed, Disposition::Noted, "")).await), "REVIEW_SEALED");
    let minutes = RecordMinutesRequest { name: sealed.name.clone(), minutes: "No.".into(), ..Default::default() };
    assert_eq!(refusal(lea.record_minutes(minutes).await), "REVIEW_SEALED");
    assert_eq!(refused(sign(&suite, "dan", &sealed).await), "REVIEW_SEALED");
    let after = lea.get_review(GetReviewRequest { name: sealed.name.clone() }).await.expect("it exists").into_inner();
    assert_eq!(after, sealed);
}
