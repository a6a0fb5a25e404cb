//! Calls that find nothing to do: answers like any other, under their request ids.

use super::super::cases;
use super::{
    CREATIVE, PROMPT, activate, claim, content, create, deliver, director, get, handoffs, name, permit, requester,
    triggered,
};
use crate::support::{Suite, reason, stamp};
use futures::future::join_all;
use remit_api::handoff::v1 as pb;
use remit_core::digest;
use std::time::Duration;
use tonic::Code;

cases! {
    a_call_with_nothing_to_do_keeps_its_request_id;
    many_calls_with_nothing_to_do_do_not_wait_for_each_other;
}

/// A handoff `h` in review, claimed by the director, and the name of an override of it with a follow-up.
async fn prepared(suite: &Suite) -> String {
    activate(suite, CREATIVE).await;
    permit(suite).await;
    triggered(suite, "h").await;
    deliver(suite, "h", 1, PROMPT).await;
    let carl = director(suite);
    let edit = pb::EditVariantRequest {
        name: name("h"),
        variant: "v01".into(),
        before_digest: content(1, 1),
        content_digest: digest::sha256(b"better"),
        reason: Some(pb::Reason { code: pb::ReasonCode::Tone.into(), text: String::new() }),
        ..Default::default()
    };
    handoffs(&carl).edit_variant(edit).await.unwrap();
    claim(&carl, "h").await.unwrap();
    let listed = handoffs(&carl).list_overrides(pb::ListOverridesRequest::default()).await.unwrap().into_inner();
    let found = listed.overrides[0].name.clone();
    handoffs(&carl).link_follow_up(link(&found, "actionItems/7", "")).await.unwrap();
    found
}

fn claiming(id: &str, request_id: &str) -> pb::ClaimReviewRequest {
    pb::ClaimReviewRequest { name: name(id), request_id: request_id.into() }
}

fn link(name: &str, follow_up: &str, request_id: &str) -> pb::LinkFollowUpRequest {
    pb::LinkFollowUpRequest { name: name.into(), follow_up: follow_up.into(), request_id: request_id.into() }
}

/// The event that made the budget of `h` known.
async fn budget(suite: &Suite, source: &str, request_id: &str) -> pb::RecordTriggerRequest {
    let event = pb::TriggerEvent {
        event_id: "budget.approved-h".into(),
        event_type: "budget.approved".into(),
        source: source.into(),
        occurred_at: Some(stamp(suite.now().await)),
        ..Default::default()
    };
    pb::RecordTriggerRequest { name: name("h"), event: Some(event), request_id: request_id.into() }
}

/// How many entries the calls left that found something to do. What found nothing to do leaves none, and is
/// therefore taken out of what is checked of all recorded calls.
async fn assert_only_the_first_were_recorded(suite: &Suite) {
    for (action, count) in
        [("handoff.reviews.claim", 1), ("handoff.handoffs.trigger", 2), ("handoff.overrides.link", 1)]
    {
        assert_eq!(suite.entries(&format!("action = \"{action}\"")).await.len(), count, "{action}");
    }
    suite.recorder().take();
}

async fn a_call_with_nothing_to_do_keeps_its_request_id(suite: Suite) {
    let overridden = prepared(&suite).await;
    create(&suite, "other").await;
    let before = get(&suite, "h").await;
    let (mut carl, mut rita) = (handoffs(&director(&suite)), handoffs(&requester(&suite)));
    let reused = |error: tonic::Status| {
        assert_eq!((error.code(), reason(&error).as_str()), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
    };

    let mine = carl.claim_review(claiming("h", "mine")).await.unwrap().into_inner();
    assert_eq!(mine, before);
    assert_eq!(carl.claim_review(claiming("h", "mine")).await.unwrap().into_inner(), before);
    reused(carl.claim_review(claiming("other", "mine")).await.unwrap_err());

    let twice = budget(&suite, "board", "twice").await;
    assert_eq!(rita.record_trigger(twice.clone()).await.unwrap().into_inner(), before);
    assert_eq!(rita.record_trigger(twice).await.unwrap().into_inner(), before);
    reused(rita.record_trigger(budget(&suite, "another board", "twice").await).await.unwrap_err());

    let linked = carl.link_follow_up(link(&overridden, "actionItems/7", "linked")).await.unwrap().into_inner();
    assert_eq!(linked.follow_ups, ["actionItems/7"]);
    reused(carl.link_follow_up(link(&overridden, "actionItems/8", "linked")).await.unwrap_err());
    assert_only_the_first_were_recorded(&suite).await;
}

async fn many_calls_with_nothing_to_do_do_not_wait_for_each_other(suite: Suite) {
    /// More than a service has connections.
    const CALLS: usize = 24;
    let overridden = prepared(&suite).await;
    let (carl, rita) = (handoffs(&director(&suite)), handoffs(&requester(&suite)));
    let event = budget(&suite, "board", "").await;
    let claims = (0..CALLS).map(|_| {
        let mut client = carl.clone();
        async move { client.claim_review(claiming("h", "")).await.map(drop) }
    });
    let triggers = (0..CALLS).map(|_| {
        let (mut client, event) = (rita.clone(), event.clone());
        async move { client.record_trigger(event).await.map(drop) }
    });
    let links = (0..CALLS).map(|_| {
        let (mut client, link) = (carl.clone(), link(&overridden, "actionItems/7", ""));
        async move { client.link_follow_up(link).await.map(drop) }
    });
    let all = async { tokio::join!(join_all(claims), join_all(triggers), join_all(links)) };
    let (claims, triggers, links) =
        tokio::time::timeout(Duration::from_secs(20), all).await.expect("no call waits for another");
    for ended in [claims, triggers, links].into_iter().flatten() {
        ended.unwrap();
    }
    assert_only_the_first_were_recorded(&suite).await;
}
