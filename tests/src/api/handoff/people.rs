//! Acts belong to the people of a gate; whoever is none of them overrides by name, and is counted.

use super::super::cases;
use super::leads::{accept, lead, reassign, route};
use super::{
    PROMPT, ROUTING, activate, claim, content, create, decide, deliver, director, get, handoffs, name, permit, ready,
    requester, routing, summary, triggered,
};
use crate::support::{Caller, Suite, reason};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::HandoffState as State;
use remit_core::digest;
use std::time::Duration;
use tonic::{Code, Status};

cases! {
    a_stranger_stops_work_and_moves_none_of_it: CancelHandoff, ResumeHandoff, SuspendHandoff, EscalateHandoff;
    an_outsiders_override_is_named_and_counted: OverrideHandoff;
    a_lead_and_a_briefing_are_for_the_people_of_the_gate: ReviewRouting, AcknowledgeBriefing;
}

/// Somebody with every permission of the daily work, and none of the gate's people.
fn stranger(suite: &Suite) -> Caller {
    suite.human("eve", &["operator"], &["legal"])
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, expected: &str) {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, expected), "{}", status.message());
}

async fn cancel(caller: &Caller, id: &str) -> Result<pb::Handoff, Status> {
    let request = pb::CancelHandoffRequest { name: name(id), reason: "no longer wanted".into(), ..Default::default() };
    handoffs(caller).cancel_handoff(request).await.map(tonic::Response::into_inner)
}

async fn resume(caller: &Caller, id: &str) -> Result<pb::Handoff, Status> {
    let request = pb::ResumeHandoffRequest { name: name(id), ..Default::default() };
    handoffs(caller).resume_handoff(request).await.map(tonic::Response::into_inner)
}

async fn triage(caller: &Caller, id: &str) -> Result<pb::Handoff, Status> {
    let request = pb::CompleteTriageRequest { name: name(id), outcome: "a new angle".into(), ..Default::default() };
    handoffs(caller).complete_triage(request).await.map(tonic::Response::into_inner)
}

async fn edit(caller: &Caller, id: &str) -> Result<pb::Handoff, Status> {
    let request = pb::EditVariantRequest {
        name: name(id),
        variant: "v01".into(),
        before_digest: content(1, 1),
        content_digest: digest::sha256(b"another text"),
        reason: Some(pb::Reason { code: pb::ReasonCode::Tone.into(), text: String::new() }),
        ..Default::default()
    };
    handoffs(caller).edit_variant(request).await.map(tonic::Response::into_inner)
}

async fn a_stranger_stops_work_and_moves_none_of_it(suite: Suite) {
    ready(&suite).await;
    let (eve, carl) = (stranger(&suite), director(&suite));
    triggered(&suite, "h").await;
    deliver(&suite, "h", 1, PROMPT).await;
    refused(claim(&eve, "h").await, "NOT_OF_THIS_GATE");
    refused(edit(&eve, "h").await, "NOT_OF_THIS_GATE");
    refused(cancel(&eve, "h").await, "NOT_OF_THIS_GATE");
    // The admin of the installation is none of the gate's people either.
    refused(claim(&suite.admin(), "h").await, "NOT_OF_THIS_GATE");
    refused(cancel(&suite.admin(), "h").await, "NOT_OF_THIS_GATE");
    // What makes the work more human is open to everyone.
    let suspend = pb::SuspendHandoffRequest { name: name("h"), reason: "a complaint".into(), ..Default::default() };
    assert_eq!(handoffs(&eve).suspend_handoff(suspend).await.unwrap().into_inner().state(), State::Suspended);
    refused(resume(&eve, "h").await, "NOT_OF_THIS_GATE");
    assert_eq!(resume(&carl, "h").await.unwrap().state(), State::InReview);
    let escalate = pb::EscalateHandoffRequest { name: name("h"), reason: "look at it".into(), ..Default::default() };
    assert_eq!(handoffs(&eve).escalate_handoff(escalate).await.unwrap().into_inner().state(), State::Escalated);
    refused(triage(&eve, "h").await, "NOT_OF_THIS_GATE");
    assert_eq!(triage(&carl, "h").await.unwrap().state(), State::HumanLed);
    // Who asked for the work may give it up, and who answers for the gate.
    create(&suite, "mine").await;
    assert_eq!(cancel(&requester(&suite), "mine").await.unwrap().state(), State::Cancelled);
    create(&suite, "answered").await;
    assert_eq!(cancel(&suite.human("ada", &["operator"], &[]), "answered").await.unwrap().state(), State::Cancelled);
}

async fn an_outsiders_override_is_named_and_counted(suite: Suite) {
    ready(&suite).await;
    let (eve, carl) = (stranger(&suite), director(&suite));
    triggered(&suite, "h").await;
    deliver(&suite, "h", 1, PROMPT).await;
    let takeover = |id: &str| pb::OverrideHandoffRequest {
        name: name(id),
        kind: pb::OverrideKind::Takeover.into(),
        reason: Some(pb::Reason { code: pb::ReasonCode::Legal.into(), text: "a claim we cannot make".into() }),
        ..Default::default()
    };
    let taken = handoffs(&eve).override_handoff(takeover("h")).await.unwrap().into_inner();
    assert_eq!((taken.state(), taken.override_count), (State::HumanLed, 1));
    // Taking over work that AI has not touched overrides no AI result, and is counted for who did it.
    triggered(&suite, "untouched").await;
    let taken = handoffs(&eve).override_handoff(takeover("untouched")).await.unwrap().into_inner();
    assert_eq!((taken.state(), taken.override_count), (State::HumanLed, 0));
    triggered(&suite, "by-the-gate").await;
    deliver(&suite, "by-the-gate", 1, PROMPT).await;
    handoffs(&carl).override_handoff(takeover("by-the-gate")).await.unwrap();
    let listed = pb::ListOverridesRequest { filter: "outsider = true".into(), ..Default::default() };
    let listed = handoffs(&carl).list_overrides(listed).await.unwrap().into_inner().overrides;
    let mut found: Vec<_> = listed.iter().map(|one| (one.resource.as_str(), one.outsider)).collect();
    found.sort_unstable();
    assert_eq!(found, [("handoffs/h", true), ("handoffs/untouched", true)]);
    assert!(listed.iter().all(|one| one.actor.as_ref().is_some_and(|actor| actor.subject == "eve")));
    let counts = summary(&suite).await;
    assert_eq!((counts.override_count, counts.outsider_override_count), (3, 2));
    let entries = suite.entries("action = \"handoff.handoffs.override\" AND actor = \"eve\"").await;
    assert_eq!(entries.len(), 2);
    let outsider = |entry: &remit_api::audit::v1::Entry| {
        entry.event.as_ref().is_some_and(|event| event.details_json.contains("\"outsider\":true"))
    };
    assert!(entries.iter().all(outsider), "{entries:?}");
    // Who leads the work now may give it up.
    assert_eq!(cancel(&eve, "h").await.unwrap().state(), State::Cancelled);
    // What an outsider led is reviewed like any other work.
    let request =
        pb::SubmitVariantsRequest { name: name("untouched"), variants: super::variants(1, 1), ..Default::default() };
    handoffs(&eve).submit_variants(request).await.unwrap();
    refused(claim(&eve, "untouched").await, "REVIEWER_NOT_ELIGIBLE");
    claim(&carl, "untouched").await.unwrap();
    assert!(decide(&carl, "untouched", 1, [99.0; 3], "").await.is_err(), "two of the graded variants are not there");
    assert_eq!(get(&suite, "untouched").await.state(), State::InReview);
}

async fn a_lead_and_a_briefing_are_for_the_people_of_the_gate(suite: Suite) {
    activate(&suite, ROUTING).await;
    permit(&suite).await;
    let (eve, olga) = (stranger(&suite), suite.human("olga", &["reviewer"], &["sales_ops"]));
    let routed = route(&suite, lead("one", Some(0.95), Some(0.95))).await.unwrap();
    assert_eq!(routed.owner, "sam");
    refused(accept(&eve, "one").await, "NOT_OF_THIS_GATE");
    refused(reassign(&eve, "one", "sue").await, "NOT_OF_THIS_GATE");
    refused(accept(&olga, "one").await, "NOT_THE_OWNER");
    let check = |request_id: &str| pb::ReviewRoutingRequest {
        name: "routings/one".into(),
        destination: pb::Destination::Sales.into(),
        request_id: request_id.into(),
        ..Default::default()
    };
    refused(routing(&eve).review_routing(check("eve")).await, "NOT_OF_THIS_GATE");
    // One of Sales Ops who is a seller too does not check what they have themselves.
    let sam = suite.human("sam", &["reviewer"], &["sales", "sales_ops"]);
    refused(routing(&sam).review_routing(check("sam")).await, "REVIEWER_NOT_ELIGIBLE");
    let checked = routing(&olga).review_routing(check("olga")).await.unwrap().into_inner();
    assert_eq!(checked.checked_by, "olga");

    let day = suite.now().await.to_string();
    let read = |request_id: &str| pb::AcknowledgeBriefingRequest {
        name: format!("briefings/{}", &day[..10]),
        request_id: request_id.into(),
    };
    suite.advance(Duration::from_secs(4 * 24 * 3_600)).await;
    suite.settle().await;
    refused(routing(&eve).acknowledge_briefing(read("eve-read")).await, "NOT_OF_THIS_GATE");
    let read = routing(&olga).acknowledge_briefing(read("olga-read")).await.unwrap().into_inner();
    assert_eq!(read.acknowledged_by.unwrap().subject, "olga");
}
