//! What takes a seat although no vote is held, and what no seat and no vote gives.

use super::cases;
use super::council::{STEERING, approve, ask, get, propose, resolution, seat};
use super::council_constitution::{hold, nell, refusal, refused};
use crate::support::{Caller, Suite, eventually, new_seat, reason, stamp};
use remit_api::council::v1::access_service_client::AccessServiceClient;
use remit_api::council::v1::action::Kind;
use remit_api::council::v1::constitution_service_client::ConstitutionServiceClient;
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::proposal_service_client::ProposalServiceClient;
use remit_api::council::v1::review_service_client::ReviewServiceClient;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::*;
use remit_api::registry::v1::ApprovalTerms;
use std::time::Duration;
use tonic::Response;

cases! {
    the_only_one_of_legal_who_is_gone_is_replaced_by_two: RecoverConstitution;
    who_does_anything_or_is_kept_from_it_is_not_gone: EngageHold, CreateRevocation, DeleteRevocation;
    the_glass_is_not_broken_again_until_it_was_reviewed: BreakGlass, ReviewBreakGlass;
    what_a_body_begins_is_begun_on_a_seat: OpenReview, OpenProposal;
    nobody_waives_what_a_law_asks_or_a_hold_stops;
}

const DAY: Duration = Duration::from_secs(86_400);

/// She still has her seat, and without her nobody could take it.
async fn the_only_one_of_legal_who_is_gone_is_replaced_by_two(suite: Suite) {
    suite.bootstrap().await;
    let constitution = |who: &str| ConstitutionServiceClient::new(suite.human(who, &["admin"], &[]).to("council"));
    let recover = |departed: &[&str]| RecoverConstitutionRequest {
        seats: vec![new_seat("leo", "legal")],
        departed: departed.iter().map(|who| format!("{STEERING}/members/{who}")).collect(),
        reason: "lea left the company in spring".into(),
        ..Default::default()
    };
    let ask = async |who: &str, departed: &[&str]| {
        constitution(who).recover_constitution(recover(departed)).await.map(Response::into_inner)
    };
    assert_eq!(refused(ask("admin", &["lea"]).await), "MEMBER_NOT_SILENT", "nobody has asked her anything");
    let asked = propose(&suite, "p", resolution()).await;
    for who in ["mia", "dan"] {
        approve(&seat(&suite, who), &asked).await.expect("a vote");
    }
    suite.advance(DAY * 15).await;
    suite.settle().await;
    assert_eq!(get(&suite, &asked).await.state(), ProposalState::Expired, "Legal said nothing");
    assert_eq!(refused(ask("admin", &["lea"]).await), "MEMBER_NOT_SILENT", "she may be on holiday");
    suite.advance(DAY * 16).await;
    assert_eq!(refused(ask("admin", &[]).await), "CONSTITUTION_ALIVE");
    assert_eq!(refused(ask("admin", &["mia"]).await), "MEMBER_NOT_SILENT", "she voted");
    assert_eq!(refused(ask("admin", &["nell"]).await), "MEMBER_NOT_FOUND");
    let first = ask("admin", &["lea"]).await.expect("one asks");
    assert_eq!(first.recoveries[0].state(), RecoveryState::Asked);
    assert_eq!(refused(ask("admin", &["lea"]).await), "SECOND_PERSON_REQUIRED");
    let done = ask("root", &["lea"]).await.expect("two did");
    let seats: Vec<&str> = done.members.iter().filter_map(|one| one.name.strip_prefix(STEERING)).collect();
    assert_eq!(seats, ["/members/dan", "/members/leo", "/members/mia"]);
    let recovery = &done.recoveries[0];
    assert_eq!((recovery.state(), recovery.departed.len()), (RecoveryState::Done, 1));
    assert!(["lea", "leo"].iter().all(|who| recovery.notified.iter().any(|told| told == who)), "{recovery:?}");
    assert!(!recovery.action_item.is_empty(), "it is to be looked at afterwards");
    let entries = suite.entries("action = \"council.members.unseat\"").await;
    assert_eq!(entries.len(), 1);
    let again = propose(&suite, "q", resolution()).await;
    for (who, group) in [("mia", "marketing_lead"), ("leo", "legal")] {
        approve(&suite.human(who, &["member"], &[group]), &again).await.expect("a vote");
    }
    assert_eq!(get(&suite, &again).await.state(), ProposalState::Executed, "it decides again");
}

/// A question that nobody answers makes nobody gone who is at work, or who could not have answered.
async fn who_does_anything_or_is_kept_from_it_is_not_gone(suite: Suite) {
    suite.bootstrap().await;
    let recover = async || {
        let request = RecoverConstitutionRequest {
            seats: vec![new_seat("leo", "legal")],
            departed: vec![format!("{STEERING}/members/lea")],
            reason: "lea left the company in spring".into(),
            ..Default::default()
        };
        let mut client = ConstitutionServiceClient::new(suite.human("root", &["admin"], &[]).to("council"));
        client.recover_constitution(request).await
    };
    let unanswered = async |id: &str| {
        let asked = propose(&suite, id, resolution()).await;
        suite.advance(DAY * 15).await;
        suite.settle().await;
        assert_eq!(get(&suite, &asked).await.state(), ProposalState::Expired);
    };
    unanswered("p").await;
    let stop = Hold {
        scope: Some(Scope { target: Some(Target::Organisation(true)) }),
        reason: "it writes nonsense".into(),
        ..Default::default()
    };
    let stop = EngageHoldRequest { hold_id: "h".into(), hold: Some(stop), ..Default::default() };
    HoldServiceClient::new(seat(&suite, "lea").to("council")).engage_hold(stop).await.expect("she is at work");
    suite.advance(DAY * 16).await;
    assert_eq!(refusal(recover().await), "MEMBER_NOT_SILENT", "she engaged a hold");

    unanswered("q").await;
    let access = |who: &Caller| AccessServiceClient::new(who.to("council"));
    let block = Revocation { subject: "lea".into(), block: true, reason: "a lost laptop".into(), ..Default::default() };
    let block = CreateRevocationRequest { revocation_id: "b".into(), revocation: Some(block), ..Default::default() };
    let ops = suite.human("ops", &["operator"], &[]);
    assert_eq!(refusal(access(&ops).create_revocation(block.clone()).await), "MEMBER_BLOCK_NEEDS_ADMIN");
    access(&suite.admin()).create_revocation(block).await.expect("an administrator may");
    suite.advance(DAY * 16).await;
    assert_eq!(refusal(recover().await), "MEMBER_NOT_SILENT", "she is kept from answering");
    let lift = DeleteRevocationRequest {
        name: "revocations/b".into(),
        reason: "the laptop was found".into(),
        ..Default::default()
    };
    access(&suite.admin()).delete_revocation(lift).await.expect("it is lifted");
    assert_eq!(refusal(recover().await), "MEMBER_NOT_SILENT", "she was kept from answering");
    suite.advance(DAY).await;

    unanswered("r").await;
    suite.advance(DAY * 16).await;
    let asked = recover().await.expect("she could have answered").into_inner();
    assert_eq!(asked.recoveries[0].state(), RecoveryState::Asked);
}

async fn the_glass_is_not_broken_again_until_it_was_reviewed(suite: Suite) {
    suite.bootstrap().await;
    for id in ["h", "i"] {
        hold(&suite, id, Target::Organisation(true)).await.expect("a hold");
    }
    let holds = |who: &str| HoldServiceClient::new(seat(&suite, who).to("council"));
    let glass = async |who: &str, hold: &str| {
        let request = BreakGlassRequest {
            hold: format!("holds/{hold}"),
            reason: "a campaign cannot wait for a quorum".into(),
            duration: Some(prost_types::Duration { seconds: 3_600, nanos: 0 }),
            ..Default::default()
        };
        holds(who).break_glass(request).await
    };
    let used = glass("dan", "h").await.expect("once").into_inner();
    assert_eq!(refusal(glass("dan", "i").await), "BREAK_GLASS_REVIEW_DUE", "another hold of that scope");
    suite.advance(Duration::from_secs(3_601)).await;
    suite.settle().await;
    for who in ["dan", "mia"] {
        assert_eq!(refusal(glass(who, "h").await), "BREAK_GLASS_REVIEW_DUE");
    }
    let review = ReviewBreakGlassRequest { name: used.name, note: "justified".into(), ..Default::default() };
    holds("mia").review_break_glass(review).await.expect("another member reviews it");
    glass("dan", "h").await.expect("it was reviewed");
}

async fn what_a_body_begins_is_begun_on_a_seat(suite: Suite) {
    suite.bootstrap().await;
    let open = OpenReviewRequest { period: "2025-12".into(), ..Default::default() };
    for stranger in [nell(&suite), suite.program("crm"), seat(&suite, "sol")] {
        let answer = ReviewServiceClient::new(stranger.to("council")).open_review(open.clone()).await;
        assert_eq!(refusal(answer), "NOT_ELIGIBLE");
    }
    let denied = suite.entries("action = \"council.reviews.open\" AND outcome = \"DENIED\"").await;
    assert_eq!(denied.len(), 3, "each of them is on record");
    let mut dan = ReviewServiceClient::new(seat(&suite, "dan").to("council"));
    let early = OpenReviewRequest { period: "2030-12".into(), ..Default::default() };
    assert_eq!(refusal(dan.open_review(early).await), "PERIOD_NOT_OVER");
    let filter = "action = \"council.reviews.open\" AND outcome = \"DENIED\" AND actor = \"dan\"";
    eventually("what was tried is on record", || async { !suite.entries(filter).await.is_empty() }).await;
    dan.open_review(open).await.expect("a member opens it");

    let proposal = Proposal {
        title: "Shall we?".into(),
        body: STEERING.into(),
        action: Some(Action { kind: Some(resolution()) }),
        ..Default::default()
    };
    let proposals = |caller: &Caller| ProposalServiceClient::new(caller.to("council"));
    let draft = CreateProposalRequest { proposal_id: "p".into(), proposal: Some(proposal), ..Default::default() };
    let pat = suite.human("pat", &["member"], &[]);
    let draft = proposals(&pat).create_proposal(draft).await.expect("a draft").into_inner();
    let open = OpenProposalRequest { name: draft.name, ..Default::default() };
    assert_eq!(refusal(proposals(&nell(&suite)).open_proposal(open.clone()).await), "NOT_ELIGIBLE");
    let opened = proposals(&seat(&suite, "mia")).open_proposal(open).await.expect("a member opens it").into_inner();
    assert_eq!(opened.state(), ProposalState::Open);
}

async fn nobody_waives_what_a_law_asks_or_a_hold_stops(suite: Suite) {
    suite.bootstrap().await;
    let now = suite.now().await;
    let grant = |control: &str| {
        Kind::GrantWaiver(GrantWaiver {
            waiver_id: "w".into(),
            control: control.into(),
            scope: Some(Scope { target: Some(Target::Function("functions/paid_media".into())) }),
            reason: "the campaign is live".into(),
            compensating_control: "daily sampling".into(),
            beneficiary: "dan".into(),
            expire_time: Some(stamp(now.plus(DAY))),
            ..Default::default()
        })
    };
    for control in ["C18", "C45", "HOLD_ENGAGED", "QUORUM_MISSING", "C999"] {
        let refused = ask(&suite, STEERING, "w", grant(control)).await.expect_err("it is nobody's to waive");
        let found = (refused.code(), reason(&refused));
        assert_eq!(found, (tonic::Code::PermissionDenied, "CONTROL_NOT_WAIVABLE".to_owned()), "{control}");
    }
    let denied = suite.entries("action = \"council.proposals.create\" AND outcome = \"DENIED\"").await;
    assert_eq!(denied.len(), 5);
    ask(&suite, STEERING, "w", grant("C43")).await.expect("a threshold of one's own may be waived");

    // Nobody votes on an approval that would be over before anybody could give it.
    let terms = ApprovalTerms { expire_time: Some(stamp(now)), ..Default::default() };
    let promotion = PromoteModel {
        model_version: "models/m/versions/1".into(),
        purposes: vec!["ad-copy".into()],
        terms: Some(terms),
        ..Default::default()
    };
    let mut nowhere = promotion.clone();
    nowhere.terms = Some(ApprovalTerms { time_zone: "Mars/Olympus".into(), ..Default::default() });
    let nowhere = ask(&suite, STEERING, "nowhere", Kind::PromoteModel(nowhere)).await;
    assert_eq!(refused(nowhere), "TIME_ZONE_UNKNOWN");
    let late = ask(&suite, STEERING, "late", Kind::PromoteModel(promotion)).await;
    assert_eq!(refused(late), "TIME_OUT_OF_RANGE");
}
