//! Leads: routed by rule, accepted by people.

use super::super::cases;
use super::{MODEL, ROUTING, TASK, activate, all_time, handoffs, move_model, permit, routing, until_denied};
use crate::support::{Caller, Suite, reason};
use futures::stream;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::{Destination, RoutingReason, RoutingState};
use remit_api::registry::v1::ModelVersionState;
use std::time::Duration;
use tonic::Code;

cases! {
    both_thresholds_are_strict_and_gaps_go_to_nurture: RouteLead;
    a_lead_is_routed_once: RouteLeads;
    a_month_of_leads_is_routed_in_batches;
    without_permission_people_take_the_leads;
    a_lead_is_accepted_passed_on_or_goes_to_sales_ops: AcceptLead, ReassignLead;
    a_late_lead_goes_to_sales_ops;
    checks_and_briefings_are_recorded: ReviewRouting, AcknowledgeBriefing;
}

const HOUR: Duration = Duration::from_secs(3_600);

pub(super) fn lead(id: &str, score: Option<f64>, confidence: Option<f64>) -> pb::Lead {
    let enrichment = [("company_size", "250"), ("intent_signals", "pricing page")];
    pb::Lead {
        lead_id: id.into(),
        score,
        enrichment_confidence: confidence,
        enrichment: enrichment.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        recommended_owner: "sam".into(),
        ..Default::default()
    }
}

pub(super) fn batch(number: i64, leads: Vec<pb::Lead>) -> pb::RouteLeadsRequest {
    pb::RouteLeadsRequest { leads, model_version: MODEL.into(), task: TASK.into(), batch: number, ..Default::default() }
}

pub(super) async fn route_batches(suite: &Suite, batches: Vec<pb::RouteLeadsRequest>) -> Vec<pb::RouteLeadsResponse> {
    let mut answers = routing(&suite.platform()).route_leads(stream::iter(batches)).await.unwrap().into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        all.push(answer);
    }
    all
}

pub(super) async fn route(suite: &Suite, lead: pb::Lead) -> Result<pb::Routing, tonic::Status> {
    let request =
        pb::RouteLeadRequest { lead: Some(lead), model_version: MODEL.into(), task: TASK.into(), ..Default::default() };
    routing(&suite.platform()).route_lead(request).await.map(tonic::Response::into_inner)
}

/// A lead that goes to `sam`.
async fn hot(suite: &Suite, id: &str) -> pb::Routing {
    let routed = route(suite, lead(id, Some(0.95), Some(0.95))).await.unwrap();
    assert_eq!((routed.destination(), routed.owner.as_str()), (Destination::Sales, "sam"));
    routed
}

pub(super) fn seller(suite: &Suite, subject: &str) -> Caller {
    suite.human(subject, &["reviewer"], &["sales"])
}

pub(super) async fn accept(caller: &Caller, id: &str) -> Result<pb::Routing, tonic::Status> {
    let request = pb::AcceptLeadRequest { name: format!("routings/{id}"), ..Default::default() };
    routing(caller).accept_lead(request).await.map(tonic::Response::into_inner)
}

pub(super) async fn reassign(caller: &Caller, id: &str, owner: &str) -> Result<pb::Routing, tonic::Status> {
    let request = pb::ReassignLeadRequest {
        name: format!("routings/{id}"),
        owner: owner.into(),
        reason: "not my region".into(),
        ..Default::default()
    };
    routing(caller).reassign_lead(request).await.map(tonic::Response::into_inner)
}

pub(super) async fn summary(suite: &Suite) -> pb::RoutingSummary {
    let request = pb::SummarizeRoutingRequest { time_range: Some(all_time(suite).await) };
    routing(&suite.admin()).summarize_routing(request).await.unwrap().into_inner()
}

async fn both_thresholds_are_strict_and_gaps_go_to_nurture(suite: Suite) {
    let refused = route(&suite, lead("early", Some(0.9), Some(0.95))).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "GATE_NOT_ACTIVE"));
    activate(&suite, ROUTING).await;
    permit(&suite).await;
    let vectors = [
        ("at-score", Some(0.85), Some(0.95), RoutingReason::ScoreLow),
        ("above-both", Some(0.8501), Some(0.9001), RoutingReason::AboveThresholds),
        ("at-confidence", Some(0.86), Some(0.90), RoutingReason::ConfidenceLow),
        ("no-score", None, Some(0.95), RoutingReason::ScoreMissing),
        ("nan-score", Some(f64::NAN), Some(0.95), RoutingReason::ScoreMissing),
        ("nan-confidence", Some(0.95), Some(f64::NAN), RoutingReason::ConfidenceMissing),
    ];
    for (id, score, confidence, expected) in vectors {
        let routed = route(&suite, lead(id, score, confidence)).await.unwrap();
        let to_sales = expected == RoutingReason::AboveThresholds;
        assert_eq!(routed.reasons().collect::<Vec<_>>(), [expected], "{id}");
        assert_eq!(routed.destination() == Destination::Sales, to_sales, "{id}");
        assert_eq!(routed.notified_group, if to_sales { "" } else { "sdr" }, "{id}");
        let missing = matches!(expected, RoutingReason::ScoreMissing | RoutingReason::ConfidenceMissing);
        assert_eq!(routed.data_quality_flag, missing, "{id}");
    }
    let bare = pb::Lead { enrichment: Default::default(), ..lead("bare", Some(0.95), Some(0.95)) };
    let bare = route(&suite, bare).await.unwrap();
    assert_eq!(bare.missing_enrichment, ["company_size", "intent_signals"]);
    assert!(bare.high_intent && bare.destination() == Destination::Nurture);
    for (score, confidence, expected) in [
        (85.0, 0.95, "SCORE_OUT_OF_RANGE"),
        (0.9, 95.0, "CONFIDENCE_OUT_OF_RANGE"),
        (-0.1, 0.95, "SCORE_OUT_OF_RANGE"),
        (f64::INFINITY, 0.95, "SCORE_OUT_OF_RANGE"),
    ] {
        let refused = route(&suite, lead("percent", Some(score), Some(confidence))).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, expected));
    }
    let work = pb::RouteLeadRequest {
        lead: Some(lead("x", None, None)),
        model_version: MODEL.into(),
        task: TASK.into(),
        gate: super::CREATIVE.into(),
        ..Default::default()
    };
    activate(&suite, super::CREATIVE).await;
    assert_eq!(reason(&routing(&suite.platform()).route_lead(work).await.unwrap_err()), "GATE_KIND");
    let entries = suite.entries("action = \"handoff.routings.route\"").await;
    assert_eq!(entries.len(), 7);
}

async fn a_lead_is_routed_once(suite: Suite) {
    activate(&suite, ROUTING).await;
    permit(&suite).await;
    let leads = || {
        vec![
            lead("a", Some(0.95), Some(0.95)),
            lead("b", Some(0.1), Some(0.95)),
            lead("c", Some(95.0), None),
            lead("a", Some(0.95), Some(0.95)),
        ]
    };
    let first = route_batches(&suite, vec![batch(1, leads())]).await.remove(0);
    let errors: Vec<_> = first.errors.iter().map(|error| (error.index, error.reason.as_str())).collect();
    assert_eq!(errors, [(2, "SCORE_OUT_OF_RANGE"), (3, "LEAD_ID_REPEATED")]);
    assert_eq!((first.routings.len(), first.repeated_count, first.batch), (2, 0, 1));
    let again = route_batches(&suite, vec![batch(2, leads())]).await.remove(0);
    assert_eq!((again.routings.clone(), again.repeated_count), (first.routings, 2));
    let other = route_batches(&suite, vec![batch(3, vec![lead("a", Some(0.96), Some(0.95))])]).await.remove(0);
    assert_eq!(other.errors[0].reason, "LEAD_CHANGED");
    assert_eq!(suite.entries("action = \"handoff.routings.route\"").await.len(), 2);
    let counts = summary(&suite).await;
    assert_eq!((counts.total_count, counts.routed_count, counts.nurtured_count), (2, 1, 1));
}

async fn a_month_of_leads_is_routed_in_batches(suite: Suite) {
    const LEADS: usize = 4_000;
    activate(&suite, ROUTING).await;
    permit(&suite).await;
    let leads: Vec<pb::Lead> = (0..LEADS)
        .map(|n| {
            let enriched = lead(&format!("lead-{n:05}"), Some((n % 100) as f64 / 100.0), Some(0.95));
            pb::Lead { recommended_owner: String::new(), ..enriched }
        })
        .collect();
    let batches = leads.chunks(500).zip(0..).map(|(leads, number)| batch(number, leads.to_vec())).collect();
    let answers = route_batches(&suite, batches).await;
    assert_eq!(answers.iter().map(|answer| answer.batch).collect::<Vec<_>>(), (0..8).collect::<Vec<i64>>());
    let counts = summary(&suite).await;
    // 0.86 to 0.99 of every hundred.
    assert_eq!((counts.routed_count, counts.total_count), (LEADS as i64 / 100 * 14, LEADS as i64));
    assert_eq!(counts.models[0].model_version, MODEL);
    let share = counts.sampled_count as f64 / LEADS as f64;
    assert!((0.07..0.13).contains(&share), "risk 2 is checked at 10%: {share}");
    let mut owners: Vec<&str> =
        answers.iter().flat_map(|answer| &answer.routings).map(|routing| routing.owner.as_str()).collect();
    owners.sort_unstable();
    owners.dedup();
    assert_eq!(owners, ["", "sam", "sid", "sky", "sue"]);
    assert_eq!(suite.entries("action = \"handoff.routings.route\"").await.len(), LEADS);
}

async fn without_permission_people_take_the_leads(suite: Suite) {
    activate(&suite, ROUTING).await;
    permit(&suite).await;
    hot(&suite, "before").await;
    move_model(&suite, &suite.admin(), ModelVersionState::Suspended).await;
    until_denied(&suite).await;
    let after = route(&suite, lead("after", Some(0.99), Some(0.99))).await.unwrap();
    assert_eq!(after.destination(), Destination::Nurture);
    assert_eq!(after.reasons().collect::<Vec<_>>(), [RoutingReason::ModelNotPermitted]);
    assert!(after.denial_reasons[0].contains("MODEL_SUSPENDED"), "{:?}", after.denial_reasons);
    assert_eq!((after.notified_group.as_str(), after.high_intent), ("sdr", true));
    let counts = summary(&suite).await;
    assert_eq!((counts.models[0].routed_count, counts.models[0].denied_count), (1, 1));
}

async fn a_lead_is_accepted_passed_on_or_goes_to_sales_ops(suite: Suite) {
    activate(&suite, ROUTING).await;
    permit(&suite).await;
    hot(&suite, "one").await;
    hot(&suite, "two").await;
    let (sam, sue, sid) = (seller(&suite, "sam"), seller(&suite, "sue"), seller(&suite, "sid"));
    let refused = accept(&sue, "one").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "NOT_THE_OWNER"));
    let accepted = accept(&sam, "one").await.unwrap();
    assert_eq!(accepted.state(), RoutingState::Accepted);
    assert_eq!(reason(&accept(&sam, "one").await.unwrap_err()), "ROUTING_STATE");

    assert_eq!(reason(&reassign(&sam, "two", "sam").await.unwrap_err()), "OWNER_UNKNOWN");
    assert_eq!(reason(&reassign(&sam, "two", "stranger").await.unwrap_err()), "OWNER_UNKNOWN");
    let passed = reassign(&sam, "two", "sue").await.unwrap();
    assert_eq!((passed.owner.as_str(), passed.assignments.len()), ("sue", 2));
    reassign(&sue, "two", "sid").await.unwrap();
    let ended = reassign(&sid, "two", "sky").await.unwrap();
    assert_eq!(
        (ended.state(), ended.owner.as_str(), ended.notified_group.as_str()),
        (RoutingState::SalesOps, "", "sales_ops")
    );
    let ops = suite.human("olga", &["reviewer"], &["sales_ops"]);
    assert_eq!(reason(&accept(&sid, "two").await.unwrap_err()), "NOT_THE_OWNER");
    assert_eq!(accept(&ops, "two").await.unwrap().owner, "olga");
    let counts = summary(&suite).await;
    assert_eq!(counts.reassigned_count, 3);
    let level = counts.accept.unwrap();
    assert_eq!((level.met_count, level.breached_count, level.open_count), (4, 0, 0));
}

async fn a_late_lead_goes_to_sales_ops(suite: Suite) {
    activate(&suite, ROUTING).await;
    permit(&suite).await;
    let routed = hot(&suite, "late").await;
    let due = routed.assignments[0].due_time.unwrap();
    hot(&suite, "in-time").await;
    accept(&seller(&suite, "sam"), "in-time").await.unwrap();
    suite.advance(HOUR * 24 * 4).await;
    suite.settle().await;
    let request = pb::GetRoutingRequest { name: "routings/late".into() };
    let late = routing(&suite.admin()).get_routing(request).await.unwrap().into_inner();
    assert_eq!((late.state(), late.breaches.len()), (RoutingState::SalesOps, 1));
    let breach = &late.breaches[0];
    assert_eq!(breach.due_time, Some(due));
    assert!(breach.detect_time.unwrap().seconds > due.seconds);
    assert_eq!(suite.entries("action = \"handoff.routings.breach\"").await.len(), 1);
    let counts = summary(&suite).await;
    let level = counts.accept.unwrap();
    assert_eq!((level.met_count, level.breached_count), (1, 1));
    assert_eq!(counts.breaches[0].resource, "routings/late");
}

async fn checks_and_briefings_are_recorded(suite: Suite) {
    activate(&suite, ROUTING).await;
    permit(&suite).await;
    hot(&suite, "hot").await;
    let doubtful = route(&suite, lead("doubtful", Some(0.95), Some(0.5))).await.unwrap();
    assert!(doubtful.high_intent);
    route(&suite, lead("cold", Some(0.1), Some(0.95))).await.unwrap();
    let ops = suite.human("olga", &["reviewer"], &["sales_ops"]);
    let check = |id: &str, destination: Destination, code: Option<pb::ReasonCode>| pb::ReviewRoutingRequest {
        name: format!("routings/{id}"),
        destination: destination.into(),
        reason: code.map(|code| pb::Reason { code: code.into(), text: String::new() }),
        ..Default::default()
    };
    let mut client = routing(&ops);
    let confirmed = client.review_routing(check("cold", Destination::Nurture, None)).await.unwrap().into_inner();
    assert_eq!(confirmed.checked_by, "olga");
    let twice = pb::ReviewRoutingRequest { request_id: "twice".into(), ..check("cold", Destination::Nurture, None) };
    assert_eq!(reason(&client.review_routing(twice).await.unwrap_err()), "ROUTING_CHECKED");
    let silent = client.review_routing(check("doubtful", Destination::Sales, None)).await.unwrap_err();
    assert_eq!(reason(&silent), "REASON_REQUIRED");
    let request = check("doubtful", Destination::Sales, Some(pb::ReasonCode::DataQuality));
    let redirected = client.review_routing(request).await.unwrap().into_inner();
    assert_eq!((redirected.state(), redirected.owner.as_str()), (RoutingState::Assigned, "sam"));
    assert!(redirected.reasons().any(|reason| reason == RoutingReason::Overridden));
    let overrides =
        pb::ListOverridesRequest { filter: "resource = \"routings/doubtful\"".into(), ..Default::default() };
    assert_eq!(handoffs(&ops).list_overrides(overrides).await.unwrap().into_inner().overrides.len(), 1);

    let day = suite.now().await.to_string();
    let name = format!("briefings/{}", &day[..10]);
    let get = pb::GetBriefingRequest { name: name.clone() };
    let preview = client.get_briefing(get.clone()).await.unwrap().into_inner();
    assert_eq!((preview.issued, preview.high_intent_count, preview.leads.len()), (false, 2, 2));
    let read = |request_id: &str| pb::AcknowledgeBriefingRequest { name: name.clone(), request_id: request_id.into() };
    assert_eq!(reason(&client.acknowledge_briefing(read("early")).await.unwrap_err()), "BRIEFING_NOT_FOUND");
    suite.advance(HOUR * 24 * 4).await;
    suite.settle().await;
    let issued = client.get_briefing(get).await.unwrap().into_inner();
    assert!(issued.issued && issued.routed_count == 2 && issued.nurtured_count == 1);
    let acknowledged = client.acknowledge_briefing(read("")).await.unwrap().into_inner();
    assert_eq!(acknowledged.acknowledged_by.unwrap().subject, "olga");
    assert_eq!(reason(&client.acknowledge_briefing(read("more")).await.unwrap_err()), "BRIEFING_ACKNOWLEDGED");
    assert_eq!(
        client.list_briefings(pb::ListBriefingsRequest::default()).await.unwrap().into_inner().briefings.len(),
        1
    );
    let counts = summary(&suite).await;
    assert_eq!((counts.briefings_issued, counts.briefings_acknowledged.unwrap().count), (1, 1));
    assert_eq!(counts.overridden.unwrap().count, 1);
    assert_eq!(counts.overrides_by_reason[0].key, "DATA_QUALITY");
    let filter = "destination = SALES AND checked = true".to_owned();
    let listed =
        client.list_routings(pb::ListRoutingsRequest { filter, ..Default::default() }).await.unwrap().into_inner();
    assert_eq!(listed.routings.len(), 1);
}
