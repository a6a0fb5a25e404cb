//! What the KPIs say of a handoff: derived from the details of its audit events.

use super::super::cases;
use super::{
    PROMPT, claim, content, deliver, director, get, grades, handoffs, name, publish, ready, triggered, variants,
};
use crate::support::{Suite, eventually};
use remit_api::handoff::v1 as pb;
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::kpi::v1::{QueryRollupsRequest, Rollup};
use remit_api::types::TimeRange;
use remit_core::digest;
use std::time::Duration;

cases! {
    an_edited_handoff_is_an_intervention_and_not_accepted_as_it_was;
    an_untouched_handoff_is_accepted_as_it_was;
    what_people_take_over_before_ai_began_is_no_intervention;
}

/// The single rollup of a KPI over the month around the suite's time.
async fn rollup(suite: &Suite, kpi: &str) -> Rollup {
    const DAY: i64 = 86_400;
    let now = suite.now().await.0 / 1_000_000;
    let day =
        |offset: i64| Some(prost_types::Timestamp { seconds: now - now.rem_euclid(DAY) + offset * DAY, nanos: 0 });
    let range = Some(TimeRange { start_time: day(-15), end_time: day(15) });
    let request = QueryRollupsRequest { kpi: format!("kpis/{kpi}"), range, ..Default::default() };
    let mut client = KpiServiceClient::new(suite.admin().to("kpi"));
    client.query_rollups(request).await.expect("rollups are given").into_inner().rollups.remove(0)
}

/// Brings a handoff to PUBLISHED. Its best variant has a total of 92, the two others that are graded one of 65.
async fn published(suite: &Suite, edited: bool) -> pb::Handoff {
    ready(suite).await;
    triggered(suite, "h").await;
    deliver(suite, "h", 1, PROMPT).await;
    let carl = director(suite);
    let mut seen = content(1, 1);
    if edited {
        let edit = pb::EditVariantRequest {
            name: name("h"),
            variant: "v01".into(),
            before_digest: std::mem::replace(&mut seen, digest::sha256(b"the right year")),
            content_digest: digest::sha256(b"the right year"),
            reason: Some(pb::Reason { code: pb::ReasonCode::FactualError.into(), text: "wrong year".into() }),
            ..Default::default()
        };
        handoffs(&carl).edit_variant(edit).await.unwrap();
    }
    suite.advance(Duration::from_secs(90 * 60)).await;
    claim(&carl, "h").await.unwrap();
    let poor = [50.0, 95.0, 50.0];
    let best = pb::VariantReview { content_digest: seen.clone(), ..grades(1, 1, [90.0, 96.0, 90.0]) };
    let review = pb::SubmitReviewRequest {
        name: name("h"),
        variants: vec![best, grades(1, 2, poor), grades(1, 3, poor)],
        ..Default::default()
    };
    handoffs(&carl).submit_review(review).await.unwrap();
    suite.advance(Duration::from_secs(30 * 60)).await;
    publish(suite, "h", "v01", &seen).await.unwrap();
    get(suite, "h").await
}

/// Waits for the KPIs of the only handoff and holds them against what is known of it.
async fn check(suite: &Suite, handoff: &pb::Handoff, accepted: f64, intervention: f64) {
    eventually("the publication is counted", || async { rollup(suite, "handoff_cycle_time").await.n == 1 }).await;
    let one = |rollup: Rollup| (rollup.n, rollup.value);
    assert_eq!(one(rollup(suite, "acceptance_rate").await), (1, Some(accepted)));
    assert_eq!(one(rollup(suite, "human_intervention_rate").await), (1, Some(intervention)));
    let micros = |at: Option<prost_types::Timestamp>| {
        let at = at.expect("the handoff has this time");
        at.seconds as f64 * 1e6 + f64::from(at.nanos) / 1e3
    };
    let near = |found: Option<f64>, wanted: f64| {
        let found = found.expect("there is a value");
        assert!((found - wanted).abs() < 1e-6 * wanted.max(1.0), "{found} is not {wanted}");
    };
    let took = (micros(handoff.publish_time) - micros(handoff.create_time)) / 1e6;
    assert!(took >= 7_200.0, "{took}");
    near(rollup(suite, "handoff_cycle_time").await.mean, took);
    let review = &handoff.reviews[0];
    let waited = (micros(review.decide_time) - micros(review.offered_at)) / 1e6;
    assert!(waited >= 5_400.0, "{waited}");
    near(rollup(suite, "review_decision_latency").await.mean, waited);
    let score = rollup(suite, "checklist_score").await;
    assert_eq!(score.n, 3);
    near(score.mean, (0.92 + 0.65 + 0.65) / 3.0);
    assert_eq!(one(rollup(suite, "handoff_escalation_rate").await), (1, Some(0.0)));
}

async fn an_edited_handoff_is_an_intervention_and_not_accepted_as_it_was(suite: Suite) {
    let handoff = published(&suite, true).await;
    assert_eq!((handoff.override_count, handoff.reviews[0].edits_before), (1, 1));
    check(&suite, &handoff, 0.0, 1.0).await;
}

async fn an_untouched_handoff_is_accepted_as_it_was(suite: Suite) {
    let handoff = published(&suite, false).await;
    assert_eq!((handoff.override_count, handoff.reviews[0].edits_before), (0, 0));
    check(&suite, &handoff, 1.0, 0.0).await;
}

async fn what_people_take_over_before_ai_began_is_no_intervention(suite: Suite) {
    ready(&suite).await;
    triggered(&suite, "h").await;
    let wanda = suite.human("wanda", &["operator"], &["creative_director"]);
    let take = pb::OverrideHandoffRequest {
        name: name("h"),
        kind: pb::OverrideKind::Takeover.into(),
        reason: Some(pb::Reason { code: pb::ReasonCode::OffStrategy.into(), text: "I write it".into() }),
        ..Default::default()
    };
    let led = handoffs(&wanda).override_handoff(take).await.unwrap().into_inner();
    assert_eq!((led.human_led, led.override_count), (true, 0));
    let submit = pb::SubmitVariantsRequest { name: name("h"), variants: variants(1, 2), ..Default::default() };
    handoffs(&wanda).submit_variants(submit).await.unwrap();
    let carl = director(&suite);
    claim(&carl, "h").await.unwrap();
    let review = pb::SubmitReviewRequest {
        name: name("h"),
        variants: vec![grades(1, 1, [90.0, 95.0, 90.0]), grades(1, 2, [40.0; 3])],
        ..Default::default()
    };
    handoffs(&carl).submit_review(review).await.unwrap();
    publish(&suite, "h", "v01", &content(1, 1)).await.unwrap();
    eventually("the publication is counted", || async { rollup(&suite, "handoff_cycle_time").await.n == 1 }).await;
    let rate = rollup(&suite, "human_intervention_rate").await;
    assert_eq!((rate.n, rate.value), (0, None), "it was finished without AI");
}
