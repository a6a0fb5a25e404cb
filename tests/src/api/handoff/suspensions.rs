//! A suspension stops the clocks of a handoff, and no clock starts again by it.

use super::super::cases;
use super::{PROMPT, claim, deliver, director, get, handoffs, name, ready, summary, triggered};
use crate::support::{Caller, Suite};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::HandoffState as State;
use std::time::Duration;

cases! {
    a_review_goes_on_with_the_time_that_it_had_left: SuspendHandoff, ResumeHandoff;
    what_was_late_stays_late_over_a_suspension;
    a_suspension_does_not_give_a_handoff_its_whole_time_again;
}

const HOUR: Duration = Duration::from_secs(3_600);

async fn suspend(caller: &Caller, id: &str) -> pb::Handoff {
    let request = pb::SuspendHandoffRequest { name: name(id), reason: "a strike".into(), ..Default::default() };
    handoffs(caller).suspend_handoff(request).await.unwrap().into_inner()
}

async fn resume(caller: &Caller, id: &str) -> pb::Handoff {
    let request = pb::ResumeHandoffRequest { name: name(id), ..Default::default() };
    handoffs(caller).resume_handoff(request).await.unwrap().into_inner()
}

fn seconds(at: Option<prost_types::Timestamp>) -> i64 {
    at.expect("there is a time").seconds
}

async fn a_review_goes_on_with_the_time_that_it_had_left(suite: Suite) {
    ready(&suite).await;
    let carl = director(&suite);
    triggered(&suite, "h").await;
    let offered = deliver(&suite, "h", 1, PROMPT).await;
    claim(&carl, "h").await.unwrap();
    suite.advance(HOUR * 10).await;
    let stopped = suspend(&carl, "h").await;
    assert_eq!((stopped.state(), stopped.due_time), (State::Suspended, None));
    let mut clocks: Vec<&str> = stopped.paused_clocks.iter().map(|paused| paused.clock.as_str()).collect();
    clocks.sort_unstable();
    assert_eq!(clocks, ["expire", "remind", "review"]);
    suite.advance(HOUR * 100).await;
    suite.settle().await;
    let waiting = get(&suite, "h").await;
    assert_eq!((waiting.state(), waiting.breaches.len()), (State::Suspended, 0));
    let resumed = resume(&carl, "h").await;
    assert_eq!((resumed.state(), resumed.review_round, resumed.claimed_by.as_str()), (State::InReview, 1, "carl"));
    assert!(resumed.paused_clocks.is_empty() && resumed.offered_at == offered.offered_at);
    let pause = seconds(resumed.due_time) - seconds(offered.due_time);
    assert!((HOUR.as_secs() as i64 * 100 - 5..=HOUR.as_secs() as i64 * 100 + 60).contains(&pause), "{pause}");
    // Fourteen hours are left: ten until the reminder, and not another twenty-four.
    suite.advance(HOUR * 11).await;
    suite.settle().await;
    assert!(get(&suite, "h").await.breaches.is_empty());
    assert_eq!(suite.entries("action = \"handoff.reviews.remind\"").await.len(), 1);
    suite.advance(HOUR * 4).await;
    suite.settle().await;
    let late = get(&suite, "h").await;
    assert_eq!((late.breaches.len(), late.rung), (1, 1));
    assert_eq!(late.breaches[0].due_time, resumed.due_time);
}

async fn what_was_late_stays_late_over_a_suspension(suite: Suite) {
    ready(&suite).await;
    let carl = director(&suite);
    triggered(&suite, "h").await;
    deliver(&suite, "h", 1, PROMPT).await;
    suite.advance(HOUR * 25).await;
    suite.settle().await;
    assert_eq!(get(&suite, "h").await.breaches.len(), 1);
    suspend(&carl, "h").await;
    suite.advance(HOUR * 200).await;
    let resumed = resume(&carl, "h").await;
    assert_eq!((resumed.rung, resumed.breaches.len()), (1, 1));
    // The delegate was called and has what was left of a day; then the director is called, not the owner anew.
    suite.advance(HOUR * 25).await;
    suite.settle().await;
    let late = get(&suite, "h").await;
    let rungs: Vec<i32> = late.breaches.iter().map(|breach| breach.rung).collect();
    assert_eq!((late.state(), rungs), (State::InReview, vec![1, 2]));
    let counts = summary(&suite).await;
    let level = &counts.service_levels[0];
    assert_eq!((level.clock.as_str(), level.breached_count, level.met_count), ("review", 1, 0));
}

async fn a_suspension_does_not_give_a_handoff_its_whole_time_again(suite: Suite) {
    ready(&suite).await;
    let carl = director(&suite);
    triggered(&suite, "h").await;
    suite.advance(HOUR * 24 * 80).await;
    suspend(&carl, "h").await;
    suite.advance(HOUR * 24 * 20).await;
    suite.settle().await;
    assert_eq!(get(&suite, "h").await.state(), State::Suspended);
    resume(&carl, "h").await;
    suite.advance(HOUR * 24 * 9).await;
    suite.settle().await;
    assert_eq!(get(&suite, "h").await.state(), State::Triggered);
    suite.advance(HOUR * 24 * 2).await;
    suite.settle().await;
    assert_eq!(get(&suite, "h").await.state(), State::Expired);
}
