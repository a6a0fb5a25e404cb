//! Checks: what AI may do now.

use super::{create, decide, decisions, task, tasks};
use crate::api::cases;
use crate::api::council::{approve, propose, seat, with_members};
use crate::support::{Suite, eventually, reason, stamp};
use remit_api::council::v1::action::Kind;
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::waiver_service_client::WaiverServiceClient;
use remit_api::council::v1::{EngageHoldRequest, GetWaiverRequest, GrantWaiver, Hold, Scope, WaiverState, scope};
use remit_api::registry::v1::automation_service_client::AutomationServiceClient;
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{
    AddEvaluationRequest, ApproveAutomationRequest, Automation, AutomationState, CreateAutomationRequest,
    CreateModelRequest, CreateModelVersionRequest, GetModelVersionRequest, Model, ModelVersion, ModelVersionState,
    SuspendAutomationRequest, TransitionModelVersionRequest, UpdateModelVersionRequest, WatchAutomationsRequest,
};
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::scoring::v1::*;
use remit_api::types::{AutonomyPattern, Stakes, TimeRange, WatchPhase};
use remit_core::details::TaskChecked;
use std::time::Duration;

cases! {
    a_check_follows_approval_purpose_decision_suspension_and_holds;
    an_answer_carries_every_obligation_and_keeps_to_gate_and_purpose;
    a_check_counts_exactly_under_concurrency;
    an_approval_past_its_review_date_becomes_more_human_and_then_ends;
    an_automation_that_is_not_approved_stops_its_tasks: CreateAutomation, SuspendAutomation;
}

/// An approved model version of the registry for one purpose.
async fn approved(suite: &Suite, model: &str, purpose: &str) -> String {
    let mut people = ModelServiceClient::new(suite.human("dara", &["admin"], &[]).to("registry"));
    let mut council = ModelServiceClient::new(suite.service("council").to("registry"));
    let message = Model { display_name: model.into(), owner: "dara".into(), ..Default::default() };
    let request = CreateModelRequest { model_id: model.into(), model: Some(message), ..Default::default() };
    people.create_model(request).await.unwrap();
    let message = ModelVersion {
        provider: "in-house".into(),
        artifact_digest: remit_core::digest::sha256(model.as_bytes()),
        intended_use: "scoring".into(),
        owner: "dara".into(),
        ..Default::default()
    };
    let request = CreateModelVersionRequest {
        parent: format!("models/{model}"),
        model_version_id: "1".into(),
        model_version: Some(message),
        ..Default::default()
    };
    let made = people.create_model_version(request).await.unwrap().into_inner();
    let name = made.name;
    let evaluation = remit_api::registry::v1::Evaluation {
        id: "e1".into(),
        suite: "holdout".into(),
        metrics: [("auc".to_owned(), 0.8)].into(),
        passed: true,
        ..Default::default()
    };
    let request = AddEvaluationRequest { name: name.clone(), evaluation: Some(evaluation), ..Default::default() };
    let mut other = ModelServiceClient::new(suite.human("eve", &["admin"], &[]).to("registry"));
    other.add_evaluation(request).await.unwrap();
    people.transition_model_version(transition(&name, ModelVersionState::Evaluating, "")).await.unwrap();
    let approval = TransitionModelVersionRequest {
        content_digest: made.content_digest,
        ..transition(&name, ModelVersionState::Approved, purpose)
    };
    let approval = suite.mandated("promote_model", "registry.versions.transition", approval);
    council.transition_model_version(approval).await.unwrap();
    name
}

fn transition(name: &str, state: ModelVersionState, purpose: &str) -> TransitionModelVersionRequest {
    TransitionModelVersionRequest {
        name: name.into(),
        state: state.into(),
        purposes: if purpose.is_empty() { vec![] } else { vec![purpose.into()] },
        reason: "test".into(),
        ..Default::default()
    }
}

async fn check(suite: &Suite, request: &CheckTaskRequest) -> CheckTaskResponse {
    let mut platform = DecisionServiceClient::new(suite.platform().to("scoring"));
    platform.check_task(request.clone()).await.unwrap().into_inner()
}

fn lead(answer: &CheckTaskResponse) -> &str {
    answer.reasons.first().map_or("", |reason| reason.code.as_str())
}

async fn a_check_follows_approval_purpose_decision_suspension_and_holds(suite: Suite) {
    let given =
        Task { purpose: "lead-scoring".into(), disclosure: Disclosure::NotRequired.into(), ..task("T", (5, 1, 1)) };
    create(&suite, "t", given).await;
    let version = approved(&suite, "scorer", "lead-scoring").await;
    let other = approved(&suite, "writer", "ad-copy").await;
    let request = CheckTaskRequest {
        task: "tasks/t".into(),
        model_version: version.clone(),
        run_id: "run-1".into(),
        view: CheckView::Full.into(),
        ..Default::default()
    };
    // The first answer waits for the first states; approvals that came before it are in them.
    assert_eq!(lead(&check(&suite, &request).await), "TASK_NOT_DECIDED");
    let decision = decide(&suite, "t").await;
    eventually("the decision reaches every replica", || async {
        check(&suite, &request).await.verdict() == Verdict::Permit
    })
    .await;
    let answer = check(&suite, &request).await;
    assert_eq!((answer.decision.as_str(), answer.model_state.as_str()), (decision.name.as_str(), "APPROVED"));
    assert!(answer.caches.iter().all(|cache| !cache.stale && cache.age.is_some()));
    let obligations = answer.obligations.clone().unwrap();
    assert_eq!(obligations.pattern(), AutonomyPattern::HumanOnTheLoop);
    assert_eq!(obligations.disclosure(), Disclosure::NotRequired);
    let sampling = obligations.sampling.unwrap();
    let first: String = sampling.hash.chars().take(16).collect();
    let share = u64::from_str_radix(&first, 16).unwrap() as f64 / 2f64.powi(64);
    assert_eq!((sampling.ratio, sampling.drawn), (0.05, share < 0.05), "the draw can be made again");
    assert_eq!(sampling.hash, hex::encode(<sha2::Sha256 as sha2::Digest>::digest(sampling.input.as_bytes())));

    let refused = check(&suite, &CheckTaskRequest { model_version: other, ..request.clone() }).await;
    assert_eq!((refused.verdict(), lead(&refused)), (Verdict::Deny, "PURPOSE_NOT_APPROVED"));
    let unknown = CheckTaskRequest { model_version: "models/none/versions/1".into(), ..request.clone() };
    assert_eq!(lead(&check(&suite, &unknown).await), "MODEL_VERSION_UNKNOWN");
    let higher = CheckTaskRequest { stakes: Stakes::High.into(), ..request.clone() };
    let higher = check(&suite, &higher).await;
    assert_eq!(higher.obligations.unwrap().pattern(), AutonomyPattern::HumanInTheLoop);
    let anonymous = check(&suite, &CheckTaskRequest { run_id: String::new(), ..request.clone() }).await;
    assert!(anonymous.obligations.unwrap().sampling.unwrap().drawn, "without a run id every result is sampled");

    let mut people = ModelServiceClient::new(suite.human("dara", &["admin"], &[]).to("registry"));
    people.transition_model_version(transition(&version, ModelVersionState::Suspended, "")).await.unwrap();
    eventually("the suspension is seen", || async { lead(&check(&suite, &request).await) == "MODEL_SUSPENDED" }).await;

    let mut holds = HoldServiceClient::new(suite.human("ada", &["admin"], &["marketing_lead"]).to("council"));
    let hold = Hold {
        scope: Some(Scope { target: Some(scope::Target::Task("tasks/t".into())) }),
        reason: "stop".into(),
        ..Default::default()
    };
    let engage = EngageHoldRequest { hold_id: "h1".into(), hold: Some(hold), ..Default::default() };
    holds.engage_hold(engage).await.unwrap();
    eventually("the hold is seen", || async { check(&suite, &request).await.holds == ["holds/h1"] }).await;
    let function = Hold {
        scope: Some(Scope { target: Some(scope::Target::Function("functions/paid_media".into())) }),
        reason: "stop all of it".into(),
        ..Default::default()
    };
    let engage = EngageHoldRequest { hold_id: "h2".into(), hold: Some(function), ..Default::default() };
    holds.engage_hold(engage).await.unwrap();
    let both = ["holds/h1", "holds/h2"];
    eventually("the other hold is seen", || async { check(&suite, &request).await.holds == both }).await;
    let moved = UpdateTaskRequest {
        task: Some(Task { name: "tasks/t".into(), function: "functions/software".into(), ..Default::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["function".into()] }),
        ..Default::default()
    };
    let moved = tasks(&suite).update_task(moved).await.unwrap_err();
    assert_eq!(reason(&moved), "HOLD_ENGAGED", "no edit takes work out of a hold");

    let summary =
        decisions(&suite).summarize_decisions(SummarizeDecisionsRequest::default()).await.unwrap().into_inner();
    let counted: i64 = summary.check_counts.iter().map(|count| count.count).sum();
    assert_eq!(counted, summary.checks);
    assert!(summary.check_counts.iter().any(|count| count.reason == "MODEL_SUSPENDED"));
    let entries = suite.entries("action = \"scoring.tasks.check\"").await;
    assert!(
        entries.iter().any(|entry| entry.event.as_ref().is_some_and(|event| event.reason == "HOLD_ENGAGED")),
        "the first check of an outcome is recorded"
    );
}

async fn a_check_counts_exactly_under_concurrency(suite: Suite) {
    create(&suite, "t", task("T", (5, 1, 1))).await;
    decide(&suite, "t").await;
    let request = CheckTaskRequest {
        task: "tasks/t".into(),
        model_version: "models/none/versions/1".into(),
        run_id: "r1".into(),
        ..Default::default()
    };
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (suite, request) = (suite.clone(), request.clone());
        calls.spawn(async move { check(&suite, &request).await.verdict() });
    }
    assert!(calls.join_all().await.into_iter().all(|verdict| verdict == Verdict::Deny));
    let summary =
        decisions(&suite).summarize_decisions(SummarizeDecisionsRequest::default()).await.unwrap().into_inner();
    assert_eq!((summary.checks, summary.checks_denied), (50, 50));
    // Every one is in the log: so many one by one, and the others together, with how many, the first and the last.
    suite.advance(Duration::from_secs(300)).await;
    let entries = suite.entries("action = \"scoring.tasks.check\" AND outcome = \"DENIED\"").await;
    let found: Vec<TaskChecked> =
        entries.iter().filter_map(|entry| serde_json::from_str(&entry.event.as_ref()?.details_json).ok()).collect();
    let (whole, groups): (Vec<_>, Vec<_>) = found.iter().partition(|checked| checked.group == 0);
    let mut numbers: Vec<i64> = whole.iter().map(|checked| checked.checks_this_hour).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    let [group] = groups.as_slice() else { panic!("{groups:?}") };
    assert_eq!((group.group, group.checks_this_hour), (10, 50));
    assert!(group.first_time <= group.last_time && !group.first_time.is_empty(), "{group:?}");
    let now = Some(stamp(suite.now().await));
    let time_range = Some(TimeRange { start_time: now, end_time: now });
    let empty = decisions(&suite).summarize_decisions(SummarizeDecisionsRequest { time_range }).await.unwrap_err();
    assert_eq!(reason(&empty), "TIME_RANGE_INVALID");
}

async fn an_answer_carries_every_obligation_and_keeps_to_gate_and_purpose(suite: Suite) {
    let given = Task {
        purpose: "ad-copy".into(),
        gate: "gates/creative".into(),
        brand_impacting: true,
        ..task("T", (5, 1, 1))
    };
    create(&suite, "t", given).await;
    decide(&suite, "t").await;
    let version = approved(&suite, "writer", "ad-copy").await;
    let mut council = ModelServiceClient::new(suite.service("council").to("registry"));
    let found = council.get_model_version(GetModelVersionRequest { name: version.clone() }).await.unwrap().into_inner();
    let restricted = TransitionModelVersionRequest {
        conditions: vec!["no names of people".into()],
        content_digest: found.content_digest,
        ..transition(&version, ModelVersionState::Restricted, "ad-copy")
    };
    let restricted = suite.mandated("restrict_model", "registry.versions.transition", restricted);
    council.transition_model_version(restricted).await.unwrap();
    let request = CheckTaskRequest {
        task: "tasks/t".into(),
        model_version: version,
        run_id: "run-1".into(),
        view: CheckView::Full.into(),
        ..Default::default()
    };
    eventually("the restriction is seen", || async { check(&suite, &request).await.model_state == "RESTRICTED" }).await;
    let answer = check(&suite, &request).await;
    assert_eq!(answer.verdict(), Verdict::Permit);
    let codes: Vec<&str> = answer.reasons.iter().map(|reason| reason.code.as_str()).collect();
    assert_eq!(codes, ["DECISION_PATTERN", "MODEL_RESTRICTED", "MODEL_CONDITIONS"]);
    let obligations = answer.obligations.unwrap();
    assert_eq!((obligations.pattern(), obligations.gate.as_str()), (AutonomyPattern::HumanInTheLoop, "gates/creative"));
    assert_eq!(obligations.disclosure(), Disclosure::Label, "not decided means more disclosure");
    assert_eq!(
        (obligations.requirements, obligations.conditions),
        (vec!["SIGN_OFF".to_owned()], vec!["no names of people".to_owned()])
    );
    let sampling = obligations.sampling.unwrap();
    assert!(sampling.drawn && sampling.ratio == 1.0, "a person decides on every result");
    assert_eq!(sampling.input, format!("remit-sampling-v1\n{}\ntasks/t\nrun-1", suite.tenant_id()));
    let sources: Vec<&str> = answer.caches.iter().map(|cache| cache.source.as_str()).collect();
    assert_eq!(sources, ["inventory", "models", "automations", "holds", "waivers"]);
    let brief = check(&suite, &CheckTaskRequest { view: CheckView::Basic.into(), ..request.clone() }).await;
    let brief_sampling = brief.obligations.as_ref().and_then(|obligations| obligations.sampling.clone()).unwrap();
    assert!(brief.caches.is_empty() && brief_sampling.input.is_empty(), "nothing is stale: {brief:#?}");
    assert_eq!((brief_sampling.hash, brief.reasons), (sampling.hash, answer.reasons));

    let other = CheckTaskRequest { gate: "gates/other".into(), ..request.clone() };
    assert_eq!(lead(&check(&suite, &other).await), "GATE_MISMATCH");
    let other = CheckTaskRequest { purpose: "lead-scoring".into(), ..request.clone() };
    let answer = check(&suite, &other).await;
    let denials: Vec<&str> = answer
        .reasons
        .iter()
        .filter(|reason| reason.effect() == ReasonEffect::Deny)
        .map(|reason| reason.code.as_str())
        .collect();
    assert_eq!(
        denials,
        ["PURPOSE_NOT_APPROVED", "PURPOSE_MISMATCH"],
        "a model approved for one purpose is refused for another"
    );

    // A waiver of the council is listed beside what it takes away, and says so when it has ended.
    with_members(&suite).await;
    let expire = suite.now().await.plus(Duration::from_secs(3_600));
    let waiver = GrantWaiver {
        waiver_id: "w".into(),
        control: "GATE_MISMATCH".into(),
        scope: Some(Scope { target: Some(scope::Target::Task("tasks/t".into())) }),
        reason: "the gate is being moved".into(),
        compensating_control: "the old gate still reviews".into(),
        beneficiary: "ops".into(),
        expire_time: Some(stamp(expire)),
        ..Default::default()
    };
    let proposal = propose(&suite, "waive", Kind::GrantWaiver(waiver)).await;
    for who in ["mia", "lea"] {
        approve(&seat(&suite, who), &proposal).await.unwrap();
    }
    let other = CheckTaskRequest { gate: "gates/other".into(), ..request.clone() };
    eventually("the waiver is seen", || async { check(&suite, &other).await.verdict() == Verdict::Permit }).await;
    let waived = check(&suite, &other).await;
    assert_eq!(waived.waivers, ["waivers/w"]);
    assert!(waived.reasons.iter().any(|reason| reason.code == "GATE_MISMATCH" && reason.waiver == "waivers/w"));
    suite.advance(Duration::from_secs(3_601)).await;
    eventually("the waiver has ended", || async { check(&suite, &other).await.verdict() == Verdict::Deny }).await;
    // It is said for a month, also once the council has noticed that the waiver is over.
    let waivers = WaiverServiceClient::new(suite.admin().to("council"));
    let over = GetWaiverRequest { name: "waivers/w".into() };
    eventually("the council knows that the waiver is over", || {
        let (mut waivers, over) = (waivers.clone(), over.clone());
        async move { waivers.get_waiver(over).await.unwrap().into_inner().state() == WaiverState::Expired }
    })
    .await;
    let told = async || {
        let ended = check(&suite, &other).await;
        ended.reasons.iter().any(|reason| reason.code == "WAIVER_EXPIRED" && reason.resource == "waivers/w")
    };
    assert!(told().await);
    suite.advance(Duration::from_secs(29 * 86_400)).await;
    assert!(told().await);
    suite.advance(Duration::from_secs(86_400)).await;
    eventually("the waiver is history", || async { !told().await }).await;
}

/// A task that AI does on its own, and the request that asks for it.
async fn on_the_loop(suite: &Suite) -> CheckTaskRequest {
    create(suite, "t", Task { purpose: "ad-copy".into(), ..task("T", (5, 1, 1)) }).await;
    decide(suite, "t").await;
    let model_version = approved(suite, "writer", "ad-copy").await;
    let request =
        CheckTaskRequest { task: "tasks/t".into(), model_version, run_id: "run-1".into(), ..Default::default() };
    eventually("AI may act on its own", || async {
        pattern(&check(suite, &request).await) == AutonomyPattern::HumanOnTheLoop
    })
    .await;
    request
}

fn pattern(answer: &CheckTaskResponse) -> AutonomyPattern {
    answer.obligations.as_ref().map_or(AutonomyPattern::Unspecified, Obligations::pattern)
}

async fn an_approval_past_its_review_date_becomes_more_human_and_then_ends(suite: Suite) {
    let request = on_the_loop(&suite).await;
    let review_by = Some(stamp(suite.now().await.plus(Duration::from_secs(3_600))));
    let mut people = ModelServiceClient::new(suite.human("dara", &["admin"], &[]).to("registry"));
    let dated = UpdateModelVersionRequest {
        model_version: Some(ModelVersion { name: request.model_version.clone(), review_by, ..Default::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["review_by".into()] }),
        ..Default::default()
    };
    people.update_model_version(dated).await.unwrap();
    assert_eq!(pattern(&check(&suite, &request).await), AutonomyPattern::HumanOnTheLoop);
    suite.advance(Duration::from_secs(3_601)).await;
    eventually("a person decides", || async {
        let answer = check(&suite, &request).await;
        answer.verdict() == Verdict::Permit
            && pattern(&answer) == AutonomyPattern::HumanInTheLoop
            && answer.reasons.iter().any(|reason| reason.code == "MODEL_PAST_REVIEW_DATE")
    })
    .await;
    suite.advance(Duration::from_secs(30 * 86_400)).await;
    eventually("the approval has ended", || async {
        let answer = check(&suite, &request).await;
        (answer.verdict(), lead(&answer)) == (Verdict::Deny, "MODEL_REVIEW_OVERDUE")
    })
    .await;
}

async fn an_automation_that_is_not_approved_stops_its_tasks(suite: Suite) {
    let request = on_the_loop(&suite).await;
    let mut people = AutomationServiceClient::new(suite.human("dara", &["admin"], &[]).to("registry"));
    let mut council = AutomationServiceClient::new(suite.service("council").to("registry"));
    let automation = Automation {
        display_name: "Lead scoring".into(),
        owner: "dara".into(),
        functions: vec!["sales_ops".into(), "legal".into(), "product".into()],
        tasks: vec!["tasks/t".into()],
        ..Default::default()
    };
    let propose =
        CreateAutomationRequest { automation_id: "a".into(), automation: Some(automation), ..Default::default() };
    let proposed = people.create_automation(propose).await.unwrap().into_inner();
    eventually("what nobody has approved stops", || async {
        lead(&check(&suite, &request).await) == "AUTOMATION_NOT_APPROVED"
    })
    .await;
    let answer = check(&suite, &request).await;
    assert_eq!((answer.verdict(), answer.reasons[0].resource.as_str()), (Verdict::Deny, "automations/a"));

    let approve = ApproveAutomationRequest {
        name: proposed.name.clone(),
        content_digest: proposed.content_digest,
        ..Default::default()
    };
    let approve = suite.mandated("approve_automation", "registry.automations.approve", approve);
    council.approve_automation(approve).await.unwrap();
    eventually("what all have approved runs", || async { check(&suite, &request).await.verdict() == Verdict::Permit })
        .await;
    let stop = SuspendAutomationRequest { name: proposed.name, reason: "leads go astray".into(), ..Default::default() };
    people.suspend_automation(stop).await.unwrap();
    let watch = WatchAutomationsRequest::default();
    let mut watch = people.watch_automations(watch).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!((first.phase(), first.item.unwrap().state()), (WatchPhase::Snapshot, AutomationState::Suspended));
    assert_eq!(watch.message().await.unwrap().unwrap().phase(), WatchPhase::SnapshotDone);
    let wrong = WatchAutomationsRequest { cursor: "yesterday".into() };
    assert_eq!(reason(&people.watch_automations(wrong).await.unwrap_err()), "CURSOR_INVALID");
    eventually("what somebody has stopped stops", || async {
        lead(&check(&suite, &request).await) == "AUTOMATION_SUSPENDED"
    })
    .await;
}
