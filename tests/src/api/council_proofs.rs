//! How a vote ends, what it changes of the constitution, and that the log alone proves it.

use super::cases;
use super::council::{STEERING, approve, ask, decide, get, propose, resolution, seat, waiver};
use super::council_constitution::{amend, body, hold, lift};
use super::registry::{create_model, create_version, evaluate, transition};
use crate::support::{Suite, eventually, new_seat};
use remit_api::council::v1::action::Kind;
use remit_api::council::v1::proposal_service_client::ProposalServiceClient;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::*;
use remit_api::registry::v1::ModelVersionState;
use remit_core::details::{Details as _, ProposalMoved, VoteCast};
use remit_core::quorum::{Ballot, Choice, Outcome, Vote};

cases! {
    what_an_edit_or_a_veto_ends_says_so;
    a_body_passes_on_what_it_decides;
    a_decision_is_proved_from_the_log_alone;
}

async fn what_an_edit_or_a_veto_ends_says_so(suite: Suite) {
    suite.bootstrap().await;
    let asked = waiver(&suite).await;
    let mut action = asked.action.clone().expect("it grants something");
    if let Some(Kind::GrantWaiver(grant)) = &mut action.kind {
        grant.beneficiary = "lea".into();
    }
    let edited = Proposal { action: Some(action), etag: String::new(), ..asked };
    let request = UpdateProposalRequest {
        proposal: Some(edited),
        update_mask: Some(prost_types::FieldMask { paths: vec!["action".into()] }),
        ..Default::default()
    };
    let mut pat = ProposalServiceClient::new(suite.human("pat", &["admin"], &[]).to("council"));
    let edited = pat.update_proposal(request).await.expect("an edit").into_inner();
    assert_eq!(edited.state(), ProposalState::Escalated, "nobody is left for legal: {}", edited.decide_reason);

    let asked = propose(&suite, "veto", resolution()).await;
    let veto = VoteRequest {
        name: asked.name.clone(),
        choice: VoteChoice::Veto.into(),
        content_digest: asked.content_digest.clone(),
        ..Default::default()
    };
    let mut lea = ProposalServiceClient::new(seat(&suite, "lea").to("council"));
    let ended = lea.vote(veto).await.expect("a veto").into_inner();
    assert_eq!((ended.state(), ended.decide_reason.as_str()), (ProposalState::Rejected, "vetoed by lea (legal)"));
}

async fn a_body_passes_on_what_it_decides(suite: Suite) {
    suite.bootstrap().await;
    let board = Body {
        name: "bodies/board".into(),
        display_name: "Launch board".into(),
        role_groups: vec!["legal".into(), "data".into()],
        quorum: Some(QuorumRule {
            min_approvals: 2,
            group_minimums: [("legal".to_owned(), 1)].into(),
            ..Default::default()
        }),
        jurisdiction: vec!["lift_hold".into()],
        ..Default::default()
    };
    let seats = vec![new_seat("lex", "legal"), new_seat("dan", "data")];
    let made = Kind::AmendBody(AmendBody { body: Some(board), seats });
    let made = decide(&suite, STEERING, "board", made, &["mia", "lea"]).await;
    assert_eq!(made.state(), ProposalState::Executed, "{:?}", made.execution);
    let held = hold(&suite, "h", Target::Organisation(true)).await.expect("a hold").into_inner();
    let lifted = decide(&suite, "bodies/board", "lift", lift(&held.name), &["lex", "dan"]).await;
    assert_eq!(lifted.state(), ProposalState::Executed, "{:?}", lifted.execution);

    // What was taken meanwhile is not carried out, though it was approved for.
    let held = hold(&suite, "h2", Target::Organisation(true)).await.expect("a hold").into_inner();
    let asked = ask(&suite, "bodies/board", "lift2", lift(&held.name)).await.expect("asked");
    approve(&seat(&suite, "lex"), &asked).await.expect("a vote");
    let taken = Body { jurisdiction: Vec::new(), ..body(&suite, "bodies/board").await };
    decide(&suite, STEERING, "take", amend(taken), &["mia", "lea"]).await;
    approve(&seat(&suite, "dan"), &asked).await.expect("a vote");
    eventually("the execution ends", || async { get(&suite, &asked).await.state() == ProposalState::Failed }).await;
    let error = get(&suite, &asked).await.execution.unwrap_or_default().error;
    assert!(error.starts_with("NO_JURISDICTION"), "{error}");
}

async fn a_decision_is_proved_from_the_log_alone(suite: Suite) {
    suite.bootstrap().await;
    let version = "models/m/versions/1";
    create_model(&suite, "m").await.expect("a model");
    assert_eq!(create_version(&suite, "m", &[]).await, version);
    evaluate(&suite, version, true).await;
    transition(&suite.admin(), version, ModelVersionState::Evaluating).await.expect("a transition");
    let promote =
        PromoteModel { model_version: version.into(), purposes: vec!["lead-scoring".into()], ..Default::default() };
    let decided = decide(&suite, STEERING, "p", Kind::PromoteModel(promote), &["mia", "lea"]).await;
    assert_eq!(decided.state(), ProposalState::Executed, "{:?}", decided.execution);

    let entries = suite.entries(&format!("resource = \"{}\"", decided.name)).await;
    let events: Vec<_> = entries.into_iter().filter_map(|entry| entry.event).collect();
    let actions: Vec<_> = events.iter().map(|event| event.action.trim_start_matches("council.proposals.")).collect();
    assert_eq!(actions, ["create", "vote", "vote", "start", "execute"]);
    for pair in events.windows(2) {
        assert_eq!(pair[0].after_digest, pair[1].before_digest, "{} to {}", pair[0].action, pair[1].action);
    }
    // The ballot as the log has it: the rule and the seats of the opening, and the votes.
    let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).expect("details are JSON");
    let opened = ProposalMoved::read(&read(&events[0].details_json)).expect("it says how it was opened");
    assert!(opened.action.contains(version) && opened.action.contains("promoteModel"), "{}", opened.action);
    let executed = ProposalMoved::read(&read(&events[4].details_json)).expect("it says what was executed");
    assert_eq!((&executed.rule, &executed.electorate), (&opened.rule, &opened.electorate));
    assert_eq!((&executed.action, &executed.content_digest), (&opened.action, &opened.content_digest));
    let mut ballot = Ballot { rule: opened.rule, seats: opened.electorate, ..Default::default() };
    for event in &events[1..3] {
        let cast = VoteCast::read(&read(&event.details_json)).expect("a vote says what was voted on");
        assert_eq!((cast.content_digest.as_str(), cast.choice.as_str()), (decided.content_digest.as_str(), "APPROVE"));
        let actor = event.actor.as_ref().expect("somebody voted");
        ballot.votes.push(Vote { seat: cast.seat, voter: actor.subject.clone(), choice: Choice::Approve });
    }
    assert_eq!(ballot.standing().outcome, Outcome::Approved, "{ballot:?}");
}
