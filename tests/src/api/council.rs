//! The cases of the service `council`.

use super::cases;
use crate::support::{Caller, Suite, eventually, reason, stamp};
use remit_api::audit::v1::Outcome;
use remit_api::council::v1::action::Kind;
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::proposal_service_client::ProposalServiceClient;
use remit_api::council::v1::review_service_client::ReviewServiceClient;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::*;
use std::time::Duration;

cases! {
    an_edit_voids_votes_and_nobody_approves_alone: UpdateProposal, Vote;
    a_recusal_that_leaves_no_quorum_escalates: Recuse;
    silence_never_approves;
    a_hold_ends_by_quorum_or_for_a_time: EngageHold, BreakGlass, ReviewBreakGlass;
    a_review_is_signed_sealed_and_rendered_alike: OpenReview, RecordMinutes, SignReview, SealReview;
}

pub(super) const STEERING: &str = "bodies/steering-group";

pub(super) async fn with_members(suite: &Suite) {
    let made = suite.bootstrap().await;
    assert!(made.members.iter().all(|member| member.active), "{:#?}", made.members);
}

pub(super) fn seat(suite: &Suite, subject: &str) -> Caller {
    suite.member(subject)
}

pub(super) async fn propose(suite: &Suite, id: &str, kind: Kind) -> Proposal {
    ask(suite, STEERING, id, kind).await.expect("a proposal is opened")
}

/// Asks a body.
pub(super) async fn ask(suite: &Suite, body: &str, id: &str, kind: Kind) -> Result<Proposal, tonic::Status> {
    let proposal = Proposal {
        title: "Shall we?".into(),
        body: body.into(),
        action: Some(Action { kind: Some(kind) }),
        ..Default::default()
    };
    let request =
        CreateProposalRequest { proposal_id: id.into(), proposal: Some(proposal), open: true, ..Default::default() };
    let mut client = ProposalServiceClient::new(suite.human("pat", &["admin"], &[]).to("council"));
    client.create_proposal(request).await.map(tonic::Response::into_inner)
}

/// Asks a body and has these people approve it; returns the proposal as it then is.
pub(super) async fn decide(suite: &Suite, body: &str, id: &str, kind: Kind, who: &[&str]) -> Proposal {
    let proposal = ask(suite, body, id, kind).await.expect("a proposal is opened");
    for who in who {
        approve(&seat(suite, who), &proposal).await.expect("a vote");
    }
    eventually("the execution ends", || async {
        !matches!(get(suite, &proposal).await.state(), ProposalState::Approved | ProposalState::Executing)
    })
    .await;
    get(suite, &proposal).await
}

pub(super) async fn approve(caller: &Caller, proposal: &Proposal) -> Result<Proposal, tonic::Status> {
    let request = VoteRequest {
        name: proposal.name.clone(),
        choice: VoteChoice::Approve.into(),
        content_digest: proposal.content_digest.clone(),
        ..Default::default()
    };
    ProposalServiceClient::new(caller.to("council")).vote(request).await.map(tonic::Response::into_inner)
}

pub(super) async fn get(suite: &Suite, proposal: &Proposal) -> Proposal {
    let request = GetProposalRequest { name: proposal.name.clone() };
    let mut client = ProposalServiceClient::new(suite.admin().to("council"));
    client.get_proposal(request).await.expect("it exists").into_inner()
}

pub(super) fn resolution() -> Kind {
    Kind::Resolution(Resolution { text: "We do.".into() })
}

/// An open proposal to waive a control for a day.
pub(super) async fn waiver(suite: &Suite) -> Proposal {
    let grant = GrantWaiver {
        waiver_id: "w".into(),
        control: "C43".into(),
        scope: Some(Scope { target: Some(Target::Function("functions/paid_media".into())) }),
        reason: "the campaign is live".into(),
        compensating_control: "daily sampling".into(),
        beneficiary: "dan".into(),
        expire_time: Some(stamp(suite.now().await.plus(Duration::from_secs(86_400)))),
        ..Default::default()
    };
    propose(suite, "waive", Kind::GrantWaiver(grant)).await
}

async fn an_edit_voids_votes_and_nobody_approves_alone(suite: Suite) {
    with_members(&suite).await;
    let first = propose(&suite, "p", resolution()).await;
    let refused = |answer: Result<Proposal, tonic::Status>| reason(&answer.expect_err("a refusal"));
    let pat = suite.human("pat", &["admin"], &["legal"]);
    assert_eq!(refused(approve(&pat, &first).await), "PROPOSER_CANNOT_VOTE");
    assert_eq!(refused(approve(&suite.service("registry"), &first).await), "ACTOR_KIND_NOT_ALLOWED");
    assert_eq!(refused(approve(&suite.human("eve", &["admin"], &["legal"]), &first).await), "NOT_ELIGIBLE");
    approve(&seat(&suite, "mia"), &first).await.expect("a vote");
    assert_eq!(refused(approve(&seat(&suite, "mia"), &first).await), "ALREADY_VOTED");

    let edited = Proposal { title: "Shall we!".into(), ..first.clone() };
    let request = UpdateProposalRequest {
        proposal: Some(Proposal { etag: String::new(), ..edited }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["title".into()] }),
        ..Default::default()
    };
    let mut client = ProposalServiceClient::new(pat.to("council"));
    let edited = client.update_proposal(request).await.expect("an edit").into_inner();
    assert_eq!(edited.votes[0].void_reason, "CONTENT_CHANGED");
    assert_eq!(edited.tally.as_ref().map(|tally| tally.approvals), Some(0));
    assert_eq!(refused(approve(&seat(&suite, "lea"), &first).await), "CONTENT_CHANGED");

    approve(&seat(&suite, "mia"), &edited).await.expect("a vote");
    assert_eq!(get(&suite, &edited).await.state(), ProposalState::Open);
    approve(&seat(&suite, "lea"), &edited).await.expect("a vote");
    assert_eq!(get(&suite, &edited).await.state(), ProposalState::Executed);
    assert_eq!(refused(approve(&seat(&suite, "dan"), &edited).await), "PROPOSAL_NOT_OPEN");

    // What the council does because of a vote is part of the trace of that vote.
    let events = suite.entries(&format!("resource = \"{}\"", edited.name)).await;
    let events: Vec<_> = events.into_iter().filter_map(|entry| entry.event).collect();
    let traces = |action: &str| -> Vec<&str> {
        let done = events.iter().filter(|event| event.action == action && event.outcome() == Outcome::Success);
        done.map(|event| event.trace_id.as_str()).collect()
    };
    let votes = traces("council.proposals.vote");
    let deciding = *votes.last().expect("the votes are recorded");
    assert!(deciding.len() == 32 && deciding != votes[0], "each call has a trace of its own: {votes:?}");
    assert_eq!(
        (traces("council.proposals.start"), traces("council.proposals.execute")),
        (vec![deciding], vec![deciding])
    );
}

async fn a_recusal_that_leaves_no_quorum_escalates(suite: Suite) {
    with_members(&suite).await;
    let proposal = propose(&suite, "p", resolution()).await;
    let mut lea = ProposalServiceClient::new(seat(&suite, "lea").to("council"));
    let request = RecuseRequest { name: proposal.name.clone(), reason: "my sister".into(), ..Default::default() };
    let escalated = lea.recuse(request).await.expect("a recusal").into_inner();
    assert_eq!(escalated.state(), ProposalState::Escalated);
    let again = OpenProposalRequest { name: proposal.name, ..Default::default() };
    let mut pat = ProposalServiceClient::new(suite.human("pat", &["admin"], &[]).to("council"));
    let error = pat.open_proposal(again).await.expect_err("no other seat is there");
    assert_eq!(reason(&error), "QUORUM_UNREACHABLE");
}

async fn silence_never_approves(suite: Suite) {
    with_members(&suite).await;
    let proposal = propose(&suite, "p", resolution()).await;
    approve(&seat(&suite, "lea"), &proposal).await.expect("a vote");
    suite.advance(Duration::from_secs(15 * 86_400)).await;
    suite.settle().await;
    assert_eq!(get(&suite, &proposal).await.state(), ProposalState::Expired);
    let error = approve(&seat(&suite, "mia"), &proposal).await.expect_err("too late");
    assert_eq!(reason(&error), "PROPOSAL_EXPIRED");
}

async fn a_hold_ends_by_quorum_or_for_a_time(suite: Suite) {
    with_members(&suite).await;
    let mut mia = HoldServiceClient::new(seat(&suite, "mia").to("council"));
    let hold = Hold {
        scope: Some(Scope { target: Some(Target::Organisation(true)) }),
        reason: "it writes nonsense".into(),
        ..Default::default()
    };
    let request = EngageHoldRequest { hold_id: "h".into(), hold: Some(hold), ..Default::default() };
    let hold = mia.engage_hold(request).await.expect("one person stops at once").into_inner();
    let glass = BreakGlassRequest {
        hold: hold.name.clone(),
        reason: "a campaign cannot wait for a quorum".into(),
        duration: Some(prost_types::Duration { seconds: 3_600, nanos: 0 }),
        ..Default::default()
    };
    let error = mia.break_glass(glass.clone()).await.expect_err("not by who engaged it");
    assert_eq!(reason(&error), "ENGAGER_CANNOT_BYPASS");
    let mut dan = HoldServiceClient::new(seat(&suite, "dan").to("council"));
    let used = dan.break_glass(glass).await.expect("another person may").into_inner();
    assert_eq!(used.notified.len(), 3);
    suite.advance(Duration::from_secs(3_601)).await;
    suite.settle().await;
    let get = GetHoldRequest { name: hold.name.clone() };
    let rearmed = mia.get_hold(get.clone()).await.expect("it exists").into_inner();
    assert_eq!(rearmed.state(), HoldState::Engaged);
    let review = ReviewBreakGlassRequest { name: used.name, note: "justified".into(), ..Default::default() };
    mia.review_break_glass(review).await.expect("a review by another person");

    let lift = Kind::LiftHold(LiftHold { hold: hold.name.clone(), reason: "fixed".into() });
    let proposal = propose(&suite, "lift", lift).await;
    for who in ["mia", "lea"] {
        approve(&seat(&suite, who), &proposal).await.expect("a vote");
    }
    assert_eq!(mia.get_hold(get).await.expect("it exists").into_inner().state(), HoldState::Lifted);
}

async fn a_review_is_signed_sealed_and_rendered_alike(suite: Suite) {
    with_members(&suite).await;
    let mut lea = ReviewServiceClient::new(seat(&suite, "lea").to("council"));
    let early = OpenReviewRequest { period: "2026-12".into(), ..Default::default() };
    assert_eq!(reason(&lea.open_review(early).await.expect_err("not over")), "PERIOD_NOT_OVER");
    let opened = super::council_meetings::open_review(&suite, "2025-12").await;
    assert_eq!((opened.state(), opened.unavailable.as_slice()), (ReviewState::Open, &[] as &[String]));
    let collected = suite.entries("action = \"council.reviews.collect\"").await;
    assert_eq!(collected.len(), 1, "whoever opened it, its evidence is collected once");
    let name = opened.name.clone();
    let sign =
        |digest: &str| SignReviewRequest { name: name.clone(), pack_digest: digest.into(), ..Default::default() };
    lea.sign_review(sign(&opened.pack_digest)).await.expect("a signature");
    let minutes = RecordMinutesRequest { name: name.clone(), minutes: "We met.".into(), ..Default::default() };
    let written = lea.record_minutes(minutes).await.expect("minutes").into_inner();
    assert!(!written.signatures[0].valid, "a change voids the signature");
    let error = lea.sign_review(sign(&opened.pack_digest)).await.expect_err("an old digest");
    assert_eq!(reason(&error), "CONTENT_CHANGED");
    let seal = SealReviewRequest { name: name.clone(), ..Default::default() };
    assert_eq!(reason(&lea.seal_review(seal.clone()).await.expect_err("unsigned")), "QUORUM_MISSING");
    for who in ["mia", "lea"] {
        let mut client = ReviewServiceClient::new(seat(&suite, who).to("council"));
        client.sign_review(sign(&written.pack_digest)).await.expect("a signature");
    }
    let sealed = lea.seal_review(seal).await.expect("a seal").into_inner();
    assert_eq!(sealed.state(), ReviewState::Sealed);
    for format in [
        ExportFormat::Json,
        ExportFormat::Html,
        ExportFormat::Markdown,
        ExportFormat::Csv,
        ExportFormat::SummaryHtml,
        ExportFormat::SummaryMarkdown,
    ] {
        let request = ExportReviewRequest { name: name.clone(), format: format.into() };
        let one = lea.export_review(request.clone()).await.expect("a pack").into_inner();
        let two = lea.export_review(request).await.expect("a pack").into_inner();
        assert_eq!((one.content == two.content, &one.pack_digest), (true, &sealed.pack_digest));
    }
}
