//! What happens when nobody acts in time: the next person is called, and nothing is ever approved.

use super::super::cases;
use super::{
    CREATIVE, PROMPT, activate, claim, create, decide, deliver, director, get, handoffs, name, ready, summary,
    triggered,
};
use crate::support::Suite;
use futures::StreamExt as _;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::HandoffState as State;
use remit_api::handoff::v1::principal::Who;
use remit_api::types::WatchPhase;
use std::time::Duration;

cases! {
    a_late_review_climbs_the_ladder_and_is_never_approved;
    what_is_not_finished_expires;
    the_work_queue_can_be_watched;
}

const HOUR: Duration = Duration::from_secs(3_600);

async fn a_late_review_climbs_the_ladder_and_is_never_approved(suite: Suite) {
    ready(&suite).await;
    triggered(&suite, "h").await;
    let offered = deliver(&suite, "h", 1, PROMPT).await;
    suite.advance(HOUR * 21).await;
    suite.settle().await;
    assert!(get(&suite, "h").await.breaches.is_empty());
    assert_eq!(suite.entries("action = \"handoff.reviews.remind\"").await.len(), 1);
    suite.advance(HOUR * 4).await;
    suite.settle().await;
    let late = get(&suite, "h").await;
    assert_eq!((late.state(), late.breaches.len(), late.rung), (State::InReview, 1, 1));
    let breach = &late.breaches[0];
    let (due, detected) = (breach.due_time.unwrap(), breach.detect_time.unwrap());
    assert_eq!((due.seconds - offered.offered_at.unwrap().seconds, detected.seconds - due.seconds), (86_400, 3_600));
    assert_eq!(late.responsible.unwrap().who, Some(Who::RoleGroup("creative_delegate".into())));
    for _ in 0..4 {
        suite.advance(HOUR * 25).await;
        suite.settle().await;
    }
    let late = get(&suite, "h").await;
    let rungs: Vec<i32> = late.breaches.iter().map(|breach| breach.rung).collect();
    assert_eq!((late.state(), rungs), (State::InReview, vec![1, 2, 3, 0]));
    assert_eq!(late.responsible.unwrap().who, Some(Who::RoleGroup("cmo".into())));
    assert_eq!(suite.entries("action = \"handoff.reviews.breach\"").await.len(), 4);
    let chief = suite.human("cora", &["operator"], &["cmo"]);
    claim(&chief, "h").await.unwrap();
    decide(&chief, "h", 1, [99.0; 3], "").await.unwrap();
    let counts = summary(&suite).await;
    let level = &counts.service_levels[0];
    assert_eq!((level.clock.as_str(), level.met_count, level.breached_count), ("review", 0, 1));
    assert_eq!((counts.breaches.len(), counts.breaches[0].resource.as_str()), (1, "handoffs/h"));
}

async fn what_is_not_finished_expires(suite: Suite) {
    activate(&suite, CREATIVE).await;
    create(&suite, "h").await;
    suite.advance(HOUR * 24 * 89).await;
    suite.settle().await;
    assert_eq!(get(&suite, "h").await.state(), State::Draft);
    suite.advance(HOUR * 24 * 2).await;
    suite.settle().await;
    assert_eq!(get(&suite, "h").await.state(), State::Expired);
    assert_eq!(suite.entries("action = \"handoff.handoffs.expire\"").await.len(), 1);
}

async fn the_work_queue_can_be_watched(suite: Suite) {
    ready(&suite).await;
    triggered(&suite, "first").await;
    deliver(&suite, "first", 1, PROMPT).await;
    let carl = director(&suite);
    let watched = handoffs(&carl).watch_work(pb::WatchWorkRequest::default()).await.unwrap().into_inner();
    let mut messages = Box::pin(
        watched.map(Result::unwrap).filter(|message| futures::future::ready(message.phase() != WatchPhase::Heartbeat)),
    );
    let snapshot = messages.next().await.unwrap();
    assert_eq!((snapshot.phase(), snapshot.item.unwrap().resource), (WatchPhase::Snapshot, name("first")));
    assert_eq!(messages.next().await.unwrap().phase(), WatchPhase::SnapshotDone);
    claim(&carl, "first").await.unwrap();
    decide(&carl, "first", 1, [99.0; 3], "").await.unwrap();
    let gone = loop {
        let message = messages.next().await.unwrap();
        if message.deleted {
            break message;
        }
    };
    let item = gone.item.unwrap();
    assert_eq!((item.kind(), item.resource), (pb::WorkKind::Review, name("first")));
    drop(messages);

    triggered(&suite, "second").await;
    deliver(&suite, "second", 1, PROMPT).await;
    let request = pb::WatchWorkRequest { cursor: gone.cursor, kinds: vec![pb::WorkKind::Review.into()] };
    let mut resumed = handoffs(&carl).watch_work(request).await.unwrap().into_inner();
    let next = loop {
        let message = resumed.message().await.unwrap().unwrap();
        if message.phase() == WatchPhase::Change {
            break message;
        }
    };
    assert_eq!(next.item.unwrap().resource, name("second"));
}
