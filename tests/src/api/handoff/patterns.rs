//! What each pattern asks of people, held on every path: one lead, a batch, and reviewed work.

use super::super::cases;
use super::leads::{accept, batch, lead, reassign, route, route_batches, seller, summary};
use super::{
    CREATIVE, MODEL, PROMPT, ROUTING, TASK, activate, claim, content, deliver, director, grades, handoffs, name,
    permit, permit_as, publish, routing, triggered,
};
use crate::support::{Caller, Suite, eventually, reason};
use futures::StreamExt as _;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::principal::Who;
use remit_api::handoff::v1::{Destination, RoutingState};
use remit_api::registry::v1 as registry;
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::scoring::v1 as scoring;
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::types::AutonomyPattern;
use remit_core::digest;
use std::time::Duration;
use tonic::{Code, Status};

cases! {
    a_lead_waits_for_a_person_where_one_is_in_the_loop: ReviewRouting, AcceptLead;
    a_person_lets_a_lead_go_or_sends_it_elsewhere: ReviewRouting;
    an_outsider_alone_sends_no_lead_to_sales_that_people_decide_about: ReviewRouting;
    regulated_work_holds_leads_too;
    a_restricted_version_holds_leads_too;
    a_lead_that_nobody_decides_about_climbs_the_ladder_and_stays_held;
    a_first_draft_of_a_lead_is_no_routing;
    a_draft_is_published_once_a_person_has_made_it_their_own: EditVariant, PublishHandoff;
}

/// (4,2,2): a person is in the loop.
const IN_THE_LOOP: [i32; 3] = [4, 2, 2];
/// (3,3,3): AI only drafts.
const DRAFT: [i32; 3] = [3, 3, 3];

fn hot(id: &str) -> pb::Lead {
    lead(id, Some(0.95), Some(0.95))
}

fn ops(suite: &Suite) -> Caller {
    suite.human("olga", &["reviewer"], &["sales_ops"])
}

async fn review(
    caller: &Caller,
    id: &str,
    destination: Destination,
    code: Option<pb::ReasonCode>,
) -> Result<pb::Routing, Status> {
    let request = pb::ReviewRoutingRequest {
        name: format!("routings/{id}"),
        destination: destination.into(),
        reason: code.map(|code| pb::Reason { code: code.into(), text: String::new() }),
        ..Default::default()
    };
    routing(caller).review_routing(request).await.map(tonic::Response::into_inner)
}

/// The kinds of work that wait for people, with what they are about.
async fn waiting(suite: &Suite) -> Vec<(pb::WorkKind, String)> {
    let watched = handoffs(&suite.admin()).watch_work(pb::WatchWorkRequest::default()).await.unwrap().into_inner();
    let items = watched
        .map(Result::unwrap)
        .take_while(|message| futures::future::ready(message.phase() == remit_api::types::WatchPhase::Snapshot));
    let named =
        |message: pb::WatchWorkResponse| futures::future::ready(message.item.map(|item| (item.kind(), item.resource)));
    items.filter_map(named).collect().await
}

async fn a_lead_waits_for_a_person_where_one_is_in_the_loop(suite: Suite) {
    activate(&suite, ROUTING).await;
    permit_as(&suite, IN_THE_LOOP, |_| {}).await;
    let one = route(&suite, hot("one")).await.unwrap();
    assert_eq!((one.destination(), one.state(), one.owner.as_str()), (Destination::Sales, RoutingState::Held, ""));
    assert_eq!((one.pattern(), one.sampled), (AutonomyPattern::HumanInTheLoop, true));
    assert!(one.assignments.is_empty() && one.checked_by.is_empty() && one.notified_group.is_empty());
    let held = one.held.clone().unwrap();
    assert_eq!(held.responsible.unwrap().who, Some(Who::RoleGroup("sales_ops".into())));
    assert!(held.due_time.unwrap().seconds > held.offered_at.unwrap().seconds);
    // A batch goes by the same table, and what the rules would send to nurture waits too.
    let cold = lead("cold", Some(0.1), Some(0.95));
    let answer = route_batches(&suite, vec![batch(1, vec![hot("two"), cold])]).await.remove(0);
    let states: Vec<_> = answer.routings.iter().map(|routing| (routing.state(), routing.destination())).collect();
    assert_eq!(states, [(RoutingState::Held, Destination::Sales), (RoutingState::Held, Destination::Nurture)]);
    let mut queue = waiting(&suite).await;
    queue.sort_by(|one, other| one.1.cmp(&other.1));
    let decision = |id: &str| (pb::WorkKind::Decision, format!("routings/{id}"));
    assert_eq!(queue, [decision("cold"), decision("one"), decision("two")]);

    let sam = seller(&suite, "sam");
    for refused in [accept(&sam, "one").await, reassign(&sam, "one", "sue").await] {
        let refused = refused.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "ROUTING_HELD"));
    }
    for nobody in [&sam, &suite.human("eve", &["operator"], &["legal"])] {
        let refused = review(nobody, "one", Destination::Sales, None).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "NOT_OF_THIS_GATE"));
    }
    let counts = summary(&suite).await;
    assert_eq!((counts.total_count, counts.held_count), (3, 3));
    assert_eq!((counts.routed_count, counts.nurtured_count, counts.models[0].held_count), (0, 0, 3));

    let released = review(&ops(&suite), "one", Destination::Sales, None).await.unwrap();
    assert_eq!((released.state(), released.owner.as_str()), (RoutingState::Assigned, "sam"));
    assert_eq!(released.checked_by, "olga");
    assert!(released.held.unwrap().decide_time.is_some());
    assert_eq!(accept(&sam, "one").await.unwrap().state(), RoutingState::Accepted);
    let counts = summary(&suite).await;
    assert_eq!((counts.held_count, counts.routed_count), (2, 1));
    let (decide, accepted) = (counts.decide.unwrap(), counts.accept.unwrap());
    assert_eq!((decide.met_count, decide.open_count, accepted.met_count), (1, 2, 1));
}

async fn a_person_lets_a_lead_go_or_sends_it_elsewhere(suite: Suite) {
    activate(&suite, ROUTING).await;
    permit_as(&suite, IN_THE_LOOP, |_| {}).await;
    for id in ["moved", "given", "outsider"] {
        route(&suite, hot(id)).await.unwrap();
    }
    route(&suite, lead("cold", Some(0.1), Some(0.95))).await.unwrap();
    let olga = ops(&suite);
    let cold = review(&olga, "cold", Destination::Nurture, None).await.unwrap();
    assert_eq!((cold.state(), cold.notified_group.as_str()), (RoutingState::Nurture, "sdr"));
    let silent = review(&olga, "moved", Destination::Nurture, None).await.unwrap_err();
    assert_eq!(reason(&silent), "REASON_REQUIRED");
    let moved = review(&olga, "moved", Destination::Nurture, Some(pb::ReasonCode::StaleContext)).await.unwrap();
    assert_eq!((moved.destination(), moved.state()), (Destination::Nurture, RoutingState::Nurture));
    let to_sue = pb::ReviewRoutingRequest {
        name: "routings/given".into(),
        destination: Destination::Sales.into(),
        owner: "sue".into(),
        ..Default::default()
    };
    let given = routing(&olga).review_routing(to_sue).await.unwrap().into_inner();
    assert_eq!((given.state(), given.owner.as_str()), (RoutingState::Assigned, "sue"));
    // Whoever is none of the gate's people can only override, by name and counted.
    let eve = suite.human("eve", &["operator"], &["legal"]);
    let overridden = review(&eve, "outsider", Destination::Nurture, Some(pb::ReasonCode::Privacy)).await.unwrap();
    assert_eq!((overridden.state(), overridden.checked_by.as_str()), (RoutingState::Nurture, "eve"));
    let listed = pb::ListOverridesRequest { filter: "outsider = true".into(), ..Default::default() };
    let listed = handoffs(&olga).list_overrides(listed).await.unwrap().into_inner().overrides;
    assert_eq!((listed.len(), listed[0].resource.as_str()), (1, "routings/outsider"));
    let counts = summary(&suite).await;
    assert_eq!((counts.outsider_override_count, counts.held_count), (1, 0));
    let mut queue = waiting(&suite).await;
    queue.retain(|(kind, _)| *kind == pb::WorkKind::Decision);
    assert!(queue.is_empty(), "{queue:?}");
}

async fn an_outsider_alone_sends_no_lead_to_sales_that_people_decide_about(suite: Suite) {
    const LEGAL: Option<pb::ReasonCode> = Some(pb::ReasonCode::Legal);
    activate(&suite, ROUTING).await;
    permit_as(&suite, IN_THE_LOOP, |_| {}).await;
    for id in ["twice", "undone"] {
        assert_eq!(route(&suite, hot(id)).await.unwrap().state(), RoutingState::Held);
    }
    let first = route(&suite, lead("cold", Some(0.1), Some(0.95))).await.unwrap();
    let (eve, olga, sam) = (suite.human("eve", &["operator"], &["legal"]), ops(&suite), seller(&suite, "sam"));
    // Out to nurture, and from there to sales: two overrides in a row by one person.
    assert_eq!(review(&eve, "twice", Destination::Nurture, LEGAL).await.unwrap().state(), RoutingState::Nurture);
    // What waits goes on waiting, with the clock that it has; what somebody of the gate decided about waits again.
    review(&olga, "undone", Destination::Nurture, LEGAL).await.unwrap();
    for (id, round) in [("twice", 2), ("cold", 1), ("undone", 2)] {
        let proposed = review(&eve, id, Destination::Sales, LEGAL).await.unwrap();
        assert_eq!((proposed.destination(), proposed.state()), (Destination::Sales, RoutingState::Held), "{id}");
        assert_eq!((proposed.owner.as_str(), proposed.checked_by.as_str()), ("", ""), "{id}");
        let held = proposed.held.unwrap();
        assert_eq!((held.round, held.decide_time), (round, None), "{id}");
        if id == "cold" {
            assert_eq!(held.due_time, first.held.as_ref().unwrap().due_time);
        }
        assert_eq!(reason(&accept(&sam, id).await.unwrap_err()), "ROUTING_HELD");
        let alone = review(&eve, id, Destination::Sales, None).await.unwrap_err();
        assert_eq!((alone.code(), reason(&alone).as_str()), (Code::PermissionDenied, "NOT_OF_THIS_GATE"), "{id}");
    }
    let mut queue = waiting(&suite).await;
    queue.retain(|(kind, _)| *kind == pb::WorkKind::Decision);
    assert_eq!(queue.len(), 3, "{queue:?}");
    let counts = summary(&suite).await;
    assert_eq!((counts.outsider_override_count, counts.held_count), (4, 3));
    let released = review(&olga, "twice", Destination::Sales, None).await.unwrap();
    assert_eq!((released.state(), released.checked_by.as_str()), (RoutingState::Assigned, "olga"));
    let refused = review(&olga, "undone", Destination::Nurture, LEGAL).await.unwrap();
    assert_eq!((refused.state(), refused.checked_by.as_str()), (RoutingState::Nurture, "olga"));
}

async fn regulated_work_holds_leads_too(suite: Suite) {
    activate(&suite, ROUTING).await;
    permit_as(&suite, super::AUTOMATIC, |task| task.regulated_domain = true).await;
    let regulated = route(&suite, hot("regulated")).await.unwrap();
    assert_eq!((regulated.state(), regulated.owner.as_str()), (RoutingState::Held, ""));
    let sam = seller(&suite, "sam");
    assert_eq!(reason(&accept(&sam, "regulated").await.unwrap_err()), "ROUTING_HELD");
}

async fn a_restricted_version_holds_leads_too(suite: Suite) {
    activate(&suite, ROUTING).await;
    permit(&suite).await;
    assert_eq!(route(&suite, hot("before")).await.unwrap().state(), RoutingState::Assigned);
    let mut client = ModelServiceClient::new(suite.admin().to("registry"));
    let get = registry::GetModelVersionRequest { name: MODEL.into() };
    let content_digest = client.get_model_version(get).await.unwrap().into_inner().content_digest;
    let restrict = registry::TransitionModelVersionRequest {
        name: MODEL.into(),
        state: registry::ModelVersionState::Restricted.into(),
        purposes: vec!["tests".into()],
        content_digest,
        reason: "complaints".into(),
        ..Default::default()
    };
    let restrict = suite.mandated("restrict_model", "registry.versions.transition", restrict);
    client.transition_model_version(restrict).await.unwrap();
    let decisions = DecisionServiceClient::new(suite.admin().to("scoring"));
    eventually("scoring has heard of the restriction", || async {
        let check = scoring::CheckTaskRequest { task: TASK.into(), model_version: MODEL.into(), ..Default::default() };
        let answer = decisions.clone().check_task(check).await.unwrap().into_inner();
        answer.reasons.iter().any(|reason| reason.code == "MODEL_RESTRICTED")
    })
    .await;
    assert_eq!(route(&suite, hot("restricted")).await.unwrap().state(), RoutingState::Held);
}

async fn a_lead_that_nobody_decides_about_climbs_the_ladder_and_stays_held(suite: Suite) {
    const DAYS: Duration = Duration::from_secs(4 * 24 * 3_600);
    activate(&suite, ROUTING).await;
    permit_as(&suite, IN_THE_LOOP, |_| {}).await;
    let due = route(&suite, hot("late")).await.unwrap().held.unwrap().due_time;
    let get = async || {
        let request = pb::GetRoutingRequest { name: "routings/late".into() };
        routing(&suite.admin()).get_routing(request).await.unwrap().into_inner()
    };
    let mut rungs = Vec::new();
    for _ in 0..4 {
        suite.advance(DAYS).await;
        suite.settle().await;
        let late = get().await;
        assert_eq!((late.state(), late.checked_by.as_str()), (RoutingState::Held, ""));
        rungs = late.breaches.iter().map(|breach| breach.rung).collect();
    }
    assert_eq!(rungs, [1, 2, 0], "Sales Ops, the CMO, and then nobody is left");
    let late = get().await;
    assert_eq!((late.breaches[0].clock.as_str(), late.breaches[0].due_time), ("decide", due));
    assert_eq!(late.held.unwrap().responsible.unwrap().who, Some(Who::RoleGroup("cmo".into())));
    assert_eq!(suite.entries("action = \"handoff.decisions.breach\"").await.len(), 3);
    let chief = suite.human("cora", &["reviewer"], &["cmo"]);
    let released = review(&chief, "late", Destination::Sales, None).await.unwrap();
    assert_eq!((released.state(), released.checked_by.as_str()), (RoutingState::Assigned, "cora"));
    let counts = summary(&suite).await;
    let decide = counts.decide.unwrap();
    assert_eq!((decide.met_count, decide.breached_count, decide.open_count), (0, 3, 0));
    assert!(counts.breaches.iter().all(|late| late.breach.as_ref().is_some_and(|breach| breach.clock == "decide")));
}

async fn a_first_draft_of_a_lead_is_no_routing(suite: Suite) {
    activate(&suite, ROUTING).await;
    permit_as(&suite, DRAFT, |_| {}).await;
    let routed = route(&suite, hot("draft")).await.unwrap();
    assert_eq!((routed.destination(), routed.state()), (Destination::Nurture, RoutingState::Nurture));
    assert_eq!(routed.notified_group, "sdr");
    assert!(routed.denial_reasons[0].starts_with("PATTERN_HUMAN_ONLY: "), "{:?}", routed.denial_reasons);
}

/// The best variant passes, and is adopted or not.
async fn sign(caller: &Caller, id: &str, content_digest: &str, adopted: bool) -> pb::Handoff {
    claim(caller, id).await.unwrap();
    let best = pb::VariantReview { content_digest: content_digest.to_owned(), adopted, ..grades(1, 1, [95.0; 3]) };
    let poor = [50.0, 95.0, 50.0];
    let request = pb::SubmitReviewRequest {
        name: name(id),
        variants: vec![best, grades(1, 2, poor), grades(1, 3, poor)],
        ..Default::default()
    };
    handoffs(caller).submit_review(request).await.unwrap().into_inner()
}

async fn a_draft_is_published_once_a_person_has_made_it_their_own(suite: Suite) {
    activate(&suite, CREATIVE).await;
    permit_as(&suite, DRAFT, |_| {}).await;
    let carl = director(&suite);
    for id in ["signed", "adopted", "edited", "borrowed", "restored"] {
        triggered(&suite, id).await;
        let delivered = deliver(&suite, id, 1, PROMPT).await;
        assert_eq!(delivered.pattern(), AutonomyPattern::AiFirstDraft);
    }
    sign(&carl, "signed", &content(1, 1), false).await;
    let refused = publish(&suite, "signed", "v01", &content(1, 1)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "DRAFT_NOT_REFINED"));

    sign(&carl, "adopted", &content(1, 1), true).await;
    let published = publish(&suite, "adopted", "v01", &content(1, 1)).await.unwrap();
    assert_eq!(published.state(), pb::HandoffState::Published);
    assert!(published.reviews[0].variants[0].adopted);

    let refined = digest::sha256(b"refined to the final form");
    let edit = async |id: &str, before: &str, after: &str| {
        let edit = pb::EditVariantRequest {
            name: name(id),
            variant: "v01".into(),
            before_digest: before.to_owned(),
            content_digest: after.to_owned(),
            reason: Some(pb::Reason { code: pb::ReasonCode::Tone.into(), text: String::new() }),
            ..Default::default()
        };
        handoffs(&carl).edit_variant(edit).await.unwrap().into_inner()
    };
    edit("edited", &content(1, 1), &refined).await;
    sign(&carl, "edited", &refined, false).await;
    publish(&suite, "edited", "v01", &refined).await.unwrap();
    // There and back again is no edit, nor is what AI delivered for other work.
    triggered(&suite, "other").await;
    deliver(&suite, "other", 2, PROMPT).await;
    edit("borrowed", &content(1, 1), &content(2, 1)).await;
    sign(&carl, "borrowed", &content(2, 1), false).await;
    let refused = publish(&suite, "borrowed", "v01", &content(2, 1)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "DRAFT_NOT_REFINED"));
    edit("restored", &content(1, 1), &refined).await;
    let restored = edit("restored", &refined, &content(1, 1)).await.variants.remove(0);
    assert_eq!((restored.edits, restored.original_digest), (2, content(1, 1)));
    sign(&carl, "restored", &content(1, 1), false).await;
    let refused = publish(&suite, "restored", "v01", &content(1, 1)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "DRAFT_NOT_REFINED"));
}
