//! The cases of the service `scoring`.

use super::cases;
use crate::support::{Connection, Suite, eventually, reason};
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::{EngageHoldRequest, Hold, Scope, scope};
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{
    AddEvaluationRequest, CreateModelRequest, CreateModelVersionRequest, Model, ModelVersion, ModelVersionState,
    TransitionModelVersionRequest,
};
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::scoring::v1::function_service_client::FunctionServiceClient;
use remit_api::scoring::v1::import_tasks_request::Part;
use remit_api::scoring::v1::policy_service_client::PolicyServiceClient;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::scoring::v1::*;
use remit_api::types::{AutonomyPattern, Stakes};
use remit_core::policy::seed;
use std::collections::BTreeMap;
use tokio_stream::StreamExt as _;

cases![
    a_task_is_rated_decided_and_explained,
    updates_are_guarded_and_deletion_keeps_the_record,
    an_import_reports_every_bad_row_and_imports_the_good_ones_only_if_asked,
    a_batch_decides_what_is_not_decided_and_a_plan_ranks_it,
    a_policy_is_linted_tried_on_the_record_and_activated_by_the_council_alone,
    a_function_caps_its_tasks_and_its_change_reopens_them,
    a_check_follows_approval_purpose_decision_suspension_and_holds,
    a_check_counts_exactly_under_concurrency,
    an_audit_window_counts_what_was_found_in_it,
    a_what_if_writes_nothing,
];

fn tasks(suite: &Suite) -> TaskServiceClient<Connection> {
    TaskServiceClient::new(suite.admin().to("scoring"))
}

fn decisions(suite: &Suite) -> DecisionServiceClient<Connection> {
    DecisionServiceClient::new(suite.admin().to("scoring"))
}

fn policies(suite: &Suite) -> PolicyServiceClient<Connection> {
    PolicyServiceClient::new(suite.admin().to("scoring"))
}

fn rating(rater: &str, scores: (i32, i32, i32)) -> Rating {
    let scores = [("predictability", scores.0), ("risk", scores.1), ("human_judgment", scores.2)];
    let scores: BTreeMap<String, i32> = scores.map(|(axis, score)| (axis.to_owned(), score)).into();
    Rating { rater: rater.into(), scores, ..Default::default() }
}

fn task(title: &str, scores: (i32, i32, i32)) -> Task {
    Task {
        title: title.into(),
        function: "functions/paid_media".into(),
        role: "Campaign Manager".into(),
        frequency_per_week: 20.0,
        minutes_per_instance: 30.0,
        complexity: 2,
        ratings: vec![rating("ada", scores)],
        ..Default::default()
    }
}

async fn create(suite: &Suite, id: &str, task: Task) -> Task {
    let request = CreateTaskRequest { task_id: id.into(), task: Some(task), ..Default::default() };
    tasks(suite).create_task(request).await.unwrap().into_inner()
}

async fn decide(suite: &Suite, id: &str) -> Decision {
    let request = DecideTaskRequest { name: format!("tasks/{id}"), ..Default::default() };
    decisions(suite).decide_task(request).await.unwrap().into_inner()
}

async fn import(suite: &Suite, csv: &str, config: ImportTasksConfig) -> Result<ImportTasksResponse, tonic::Status> {
    let mut parts = vec![ImportTasksRequest { part: Some(Part::Config(config)) }];
    parts.extend(csv.as_bytes().chunks(1000).map(|chunk| ImportTasksRequest { part: Some(Part::Chunk(chunk.into())) }));
    tasks(suite).import_tasks(tokio_stream::iter(parts)).await.map(tonic::Response::into_inner)
}

async fn export(suite: &Suite) -> String {
    let mut pieces = tasks(suite).export_tasks(ExportTasksRequest::default()).await.unwrap().into_inner();
    let mut csv = Vec::new();
    while let Some(piece) = pieces.next().await {
        csv.extend(piece.unwrap().chunk);
    }
    String::from_utf8(csv).unwrap()
}

async fn a_task_is_rated_decided_and_explained(suite: Suite) {
    let made = create(&suite, "variants", task("Write ad variants", (5, 1, 1))).await;
    assert_eq!((made.state(), made.hours_per_year), (TaskState::Rated, 520.0));
    let decision = decide(&suite, "variants").await;
    let evaluation = decision.evaluation.clone().unwrap();
    assert_eq!(evaluation.pattern(), AutonomyPattern::HumanOnTheLoop);
    assert_eq!((evaluation.band.as_str(), evaluation.score, evaluation.sampling_ratio), ("AI_AUTOMATED", 15.0, 0.05));
    assert_eq!(evaluation.contributions.len(), 3);
    assert_eq!(evaluation.policy, "policies/seed-004-inverted-sum/versions/1");
    let stored = tasks(&suite).get_task(GetTaskRequest { name: "tasks/variants".into() }).await.unwrap().into_inner();
    assert_eq!((stored.state(), stored.pattern()), (TaskState::Decided, AutonomyPattern::HumanOnTheLoop));
    assert_eq!(stored.decision, decision.name);

    // Raters two apart must talk before anything is decided; the decision is out of force meanwhile.
    let request =
        RateTaskRequest { name: "tasks/variants".into(), rating: Some(rating("bob", (3, 1, 1))), ..Default::default() };
    let rated = tasks(&suite).rate_task(request).await.unwrap().into_inner();
    assert_eq!(rated.state(), TaskState::NeedsReconciliation);
    assert!(rated.decision.is_empty());
    let request = DecideTaskRequest { name: "tasks/variants".into(), ..Default::default() };
    let refused = decisions(&suite).decide_task(request).await.unwrap_err();
    assert_eq!(reason(&refused), "TASK_NEEDS_RECONCILIATION");
    let old = decisions(&suite).get_decision(GetDecisionRequest { name: decision.name }).await.unwrap().into_inner();
    assert!(!old.in_force && old.end_time.is_some());
    let summary = tasks(&suite).summarize_ratings(SummarizeRatingsRequest::default()).await.unwrap().into_inner();
    assert_eq!((summary.tasks, summary.needs_reconciliation), (1, 1));

    let request =
        RateTaskRequest { name: "tasks/variants".into(), rating: Some(rating("bob", (4, 1, 1))), ..Default::default() };
    let rated = tasks(&suite).rate_task(request).await.unwrap().into_inner();
    let predictability = rated.summaries.iter().find(|s| s.axis == "predictability").unwrap();
    assert_eq!((predictability.median, predictability.spread, predictability.raters), (4, 1, 2));
    let again = decide(&suite, "variants").await;
    assert_eq!(again.evaluation.unwrap().score, 14.0);
}

async fn updates_are_guarded_and_deletion_keeps_the_record(suite: Suite) {
    let made = create(&suite, "a", task("A", (4, 2, 2))).await;
    decide(&suite, "a").await;
    let stale = Task { name: made.name.clone(), title: "B".into(), etag: made.etag.clone(), ..Default::default() };
    let update = |task: Task, paths: &[&str]| UpdateTaskRequest {
        task: Some(task),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|p| (*p).to_owned()).collect() }),
        ..Default::default()
    };
    let refused = tasks(&suite).update_task(update(stale.clone(), &["title"])).await.unwrap_err();
    assert_eq!(reason(&refused), "ETAG_MISMATCH");
    let fresh = Task { etag: String::new(), ..stale };
    let changed = tasks(&suite).update_task(update(fresh.clone(), &["title"])).await.unwrap().into_inner();
    assert_eq!((changed.title.as_str(), changed.state()), ("B", TaskState::Decided));
    let refused = tasks(&suite).update_task(update(fresh.clone(), &["state"])).await.unwrap_err();
    assert_eq!(reason(&refused), "UPDATE_MASK_INVALID");
    let reserved = Task { reserved_category: ReservedCategory::Positioning.into(), ..fresh };
    let changed = tasks(&suite).update_task(update(reserved, &["reserved_category"])).await.unwrap().into_inner();
    assert_eq!(changed.state(), TaskState::Rated, "what a decision depends on has changed");

    let request = DeleteTaskRequest { name: "tasks/a".into(), ..Default::default() };
    tasks(&suite).delete_task(request).await.unwrap();
    let gone = tasks(&suite).get_task(GetTaskRequest { name: "tasks/a".into() }).await.unwrap_err();
    assert_eq!(reason(&gone), "TASK_NOT_FOUND");
    let kept = decisions(&suite).list_decisions(ListDecisionsRequest::default()).await.unwrap().into_inner();
    assert_eq!(kept.decisions.len(), 1);
    let again = create(&suite, "a", task("A", (4, 2, 2))).await;
    assert_eq!(again.state(), TaskState::Rated);
}

const CSV: &str = "id,title,function,role,frequency_per_week,minutes_per_instance,complexity,brand_impacting,reserved_category,predictability,risk,human_judgment,rater,labels
variants,\"Headlines, snippets\",paid_media,Ops,50,20,2,,,5,1,1,ada,a;b
variants,\"Headlines, snippets\",,,,,,,,4,1,2,bob,
setup,Campaign setup,paid_media,Ops,5,60,3,no,,4,2,2,ada,
strategy,Positioning,brand_building,CMO,0.1,600,5,yes,POSITIONING,1,5,5,ada,
";

async fn an_import_reports_every_bad_row_and_imports_the_good_ones_only_if_asked(suite: Suite) {
    let bad = format!(
        "{CSV}x y,Bad id,,,,,,,,,,,,\nlow,Low,,,,,,,,0,9,x,,\nneg,Neg,,,-1,,,,,,,,,\nshort,row\nsetup,Campaign setup,,,,,,,,4,2,2,ada,\nkind,Kind,,,,,,maybe,,,,,,\n"
    );
    let refused = import(&suite, &bad, ImportTasksConfig::default()).await.unwrap();
    assert_eq!((refused.rows, refused.bad_rows, refused.committed), (10, 6, false));
    let found: Vec<(i64, &str, &str)> =
        refused.errors.iter().map(|e| (e.line, e.column.as_str(), e.reason.as_str())).collect();
    assert_eq!(
        found,
        [
            (6, "id", "ID_INVALID"),
            (7, "predictability", "RATING_OUT_OF_RANGE"),
            (8, "frequency_per_week", "NUMBER_OUT_OF_RANGE"),
            (9, "", "FIELD_COUNT"),
            (10, "rater", "DUPLICATE_RATER"),
            (11, "brand_impacting", "FLAG_INVALID"),
        ]
    );
    let listed = tasks(&suite).list_tasks(ListTasksRequest::default()).await.unwrap().into_inner();
    assert!(listed.tasks.is_empty());

    let config = ImportTasksConfig { skip_bad: true, request_id: "i1".into(), ..Default::default() };
    let imported = import(&suite, &bad, config.clone()).await.unwrap();
    assert_eq!((imported.created, imported.updated, imported.committed), (3, 0, true));
    let repeated = import(&suite, &bad, config.clone()).await.unwrap();
    assert_eq!(repeated, imported, "a repeat gives the first answer");
    let other = import(&suite, CSV, config).await.unwrap_err();
    assert_eq!(reason(&other), "REQUEST_ID_REUSED");
    let again = import(&suite, CSV, ImportTasksConfig::default()).await.unwrap();
    assert_eq!((again.created, again.updated, again.unchanged), (0, 0, 3));

    let first = export(&suite).await;
    let reimported = import(&suite, &first, ImportTasksConfig::default()).await.unwrap();
    assert_eq!((reimported.bad_rows, reimported.created, reimported.updated, reimported.unchanged), (0, 0, 0, 3));
    assert_eq!(export(&suite).await, first);

    let unknown = import(&suite, "id,title,surprise\n", ImportTasksConfig::default()).await.unwrap_err();
    assert_eq!(reason(&unknown), "COLUMN_UNKNOWN");
    let columns = [("key", "id"), ("name", "title"), ("surprise", "-")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let defaults = [("function".to_owned(), "software".to_owned())].into();
    let config = ImportTasksConfig { columns: columns.into(), defaults, ..Default::default() };
    let mapped = import(&suite, "key,name,surprise\nm1,Mapped,?\n", config).await.unwrap();
    assert_eq!(mapped.created, 1);
    let task = tasks(&suite).get_task(GetTaskRequest { name: "tasks/m1".into() }).await.unwrap().into_inner();
    assert_eq!((task.function.as_str(), task.state()), ("functions/software", TaskState::Unrated));
}

async fn batch(suite: &Suite, request: BatchDecideRequest) -> BatchDecideResponse {
    let mut progress = decisions(suite).batch_decide(request).await.unwrap().into_inner();
    let mut last = BatchDecideResponse::default();
    while let Some(message) = progress.next().await {
        last = message.unwrap();
    }
    last
}

async fn a_batch_decides_what_is_not_decided_and_a_plan_ranks_it(suite: Suite) {
    let mut csv = CSV.to_owned();
    for n in 0..1_200 {
        csv += &format!("bulk-{n:04},Bulk {n},paid_media,Ops,{},30,2,,,5,1,1,ada,\n", n % 40);
    }
    csv += "open,Unrated,,,,,,,,,,,,\n";
    import(&suite, &csv, ImportTasksConfig::default()).await.unwrap();
    let first = batch(&suite, BatchDecideRequest::default()).await;
    assert_eq!((first.done, first.total, first.decided, first.skipped), (1_204, 1_204, 1_203, 1));
    let again = batch(&suite, BatchDecideRequest::default()).await;
    assert_eq!((again.decided, again.unchanged, again.skipped), (0, 1_203, 1));

    let request = PlanAutomationRequest { page_size: 100, include_picture: true, ..Default::default() };
    let plan = decisions(&suite).plan_automation(request.clone()).await.unwrap().into_inner();
    assert_eq!(plan.items.len(), 100);
    assert_eq!(plan.items[0].task, "tasks/variants");
    assert!(plan.items.windows(2).all(|pair| pair[0].frequency_per_week >= pair[1].frequency_per_week));
    let totals = plan.totals.unwrap();
    assert_eq!((totals.tasks, totals.decided), (1_204, 1_203));
    assert!((totals.gross_hours_saved - totals.review_hours - totals.net_hours_saved).abs() < 1e-6);
    assert!(plan.picture_svg.starts_with("<svg"));
    assert!(plan.warnings.iter().any(|warning| warning.code == "NO_STRATEGY_OWNER"));
    assert_eq!(plan.roles[0].role, "Ops");
    let next = PlanAutomationRequest { page_token: plan.next_page_token, ..request };
    let next = decisions(&suite).plan_automation(next).await.unwrap().into_inner();
    assert_eq!(next.items[0].rank, 101);

    let summary =
        decisions(&suite).summarize_decisions(SummarizeDecisionsRequest::default()).await.unwrap().into_inner();
    assert_eq!((summary.decisions, summary.tasks, summary.tasks_decided), (1_203, 1_204, 1_203));
    assert!(summary.caps.iter().any(|cap| cap.name == "reserved" && cap.count == 1));
    let listed = ListDecisionsRequest { filter: "band = \"HUMAN_LED\"".into(), ..Default::default() };
    let listed = decisions(&suite).list_decisions(listed).await.unwrap().into_inner();
    assert_eq!(listed.decisions.len(), 1);
}

async fn a_policy_is_linted_tried_on_the_record_and_activated_by_the_council_alone(suite: Suite) {
    import(&suite, CSV, ImportTasksConfig::default()).await.unwrap();
    batch(&suite, BatchDecideRequest::default()).await;
    let name = |name: &str| PolicyRef { policy: Some(policy_ref::Policy::Name(name.into())) };
    let literal = LintPolicyRequest { policy: Some(name("policies/seed-004-literal-sum/versions/1")) };
    let report = policies(&suite).lint_policy(literal).await.unwrap().into_inner();
    assert_eq!((report.passed, report.monotonicity_violations), (false, 12));

    let source = seed::INVERTED_SUM.replace("version: \"1\"", "version: \"2\"").replace("above: 12", "above: 11");
    let source = source[..source.find("cases:").unwrap()].replace("at_most: 12", "at_most: 11");
    let request = CreatePolicyVersionRequest {
        source: source.into_bytes(),
        format: PolicyFormat::Yaml.into(),
        ..Default::default()
    };
    let made = policies(&suite).create_policy_version(request.clone()).await.unwrap().into_inner();
    assert!(made.lint.as_ref().unwrap().passed, "{:?}", made.lint);
    let refused = policies(&suite).create_policy_version(request).await.unwrap_err();
    assert_eq!(reason(&refused), "POLICY_VERSION_EXISTS");
    let diff = DiffPoliciesRequest {
        base: Some(name("policies/seed-004-inverted-sum/versions/1")),
        candidate: Some(name(&made.name)),
    };
    let diff = policies(&suite).diff_policies(diff).await.unwrap().into_inner();
    assert_eq!((diff.toward_ai, diff.toward_human), (10, 0));

    let backtest =
        |name: &str| BacktestPolicyRequest { name: name.into(), request_id: "b1".into(), ..Default::default() };
    let run = async |request: BacktestPolicyRequest| {
        let mut progress = policies(&suite).backtest_policy(request).await.unwrap().into_inner();
        let mut last = None;
        while let Some(message) = progress.next().await {
            last = message.unwrap().backtest;
        }
        last.unwrap()
    };
    let same = run(BacktestPolicyRequest {
        request_id: String::new(),
        ..backtest("policies/seed-004-inverted-sum/versions/1")
    })
    .await;
    assert_eq!((same.decisions, same.unchanged), (3, 3), "the same policy over the record changes nothing");
    let result = run(backtest(&made.name)).await;
    assert_eq!((result.decisions, result.unchanged, result.toward_ai), (3, 2, 1));
    assert_eq!(result.largest_toward_ai[0].task, "tasks/setup");
    assert_eq!(run(backtest(&made.name)).await, result, "a repeat gives the first answer");
    let stored = policies(&suite).get_backtest(GetBacktestRequest { name: result.name.clone() }).await.unwrap();
    assert_eq!(stored.into_inner(), result);

    let activate = |backtest: &str, id: &str| ActivatePolicyVersionRequest {
        name: made.name.clone(),
        proposal: "proposals/p1".into(),
        backtest_digest: backtest.into(),
        request_id: id.into(),
    };
    let refused = policies(&suite).activate_policy_version(activate(&result.digest, "a1")).await.unwrap_err();
    assert_eq!(reason(&refused), "ACTOR_KIND_NOT_ALLOWED");
    let mut council = PolicyServiceClient::new(suite.service("council").to("scoring"));
    let unknown = format!("sha256:{}", "0".repeat(64));
    let refused = council.activate_policy_version(activate(&unknown, "a2")).await.unwrap_err();
    assert_eq!(reason(&refused), "BACKTEST_UNKNOWN");
    let refused = council.activate_policy_version(activate(&same.digest, "a3")).await.unwrap_err();
    assert_eq!(reason(&refused), "BACKTEST_OTHER_VERSION");
    let active = council.activate_policy_version(activate(&result.digest, "a4")).await.unwrap().into_inner();
    assert_eq!(active.state(), PolicyState::Active);
    let filter = "state = \"ACTIVE\"".to_owned();
    let listed =
        policies(&suite).list_policy_versions(ListPolicyVersionsRequest { filter, ..Default::default() }).await;
    let names: Vec<String> = listed.unwrap().into_inner().policy_versions.into_iter().map(|p| p.name).collect();
    assert_eq!(names, std::slice::from_ref(&made.name));
    let decided = batch(&suite, BatchDecideRequest::default()).await;
    assert_eq!(decided.decided, 3, "decisions of the policy before are made again");
}

async fn a_function_caps_its_tasks_and_its_change_reopens_them(suite: Suite) {
    let mut functions = FunctionServiceClient::new(suite.admin().to("scoring"));
    let listed = functions.list_functions(ListFunctionsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.functions.len(), 10);
    create(&suite, "t", task("T", (5, 1, 1))).await;
    decide(&suite, "t").await;
    let request = UpdateFunctionRequest {
        function: Some(Function {
            name: "functions/paid_media".into(),
            compressible: Signal::Fails.into(),
            status: FunctionStatus::Confirmed.into(),
            title: "x".into(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["compressible".into()] }),
        ..Default::default()
    };
    let changed = functions.update_function(request).await.unwrap().into_inner();
    assert_eq!((changed.suitability(), changed.title.as_str()), (Suitability::Low, "Paid media"));
    let task = tasks(&suite).get_task(GetTaskRequest { name: "tasks/t".into() }).await.unwrap().into_inner();
    assert_eq!(task.state(), TaskState::Rated);
    let decision = decide(&suite, "t").await.evaluation.unwrap();
    assert_eq!(decision.pattern(), AutonomyPattern::AiFirstDraft);
    assert_eq!(decision.caps[0].id, "function-unsuitable");
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
    let name = people.create_model_version(request).await.unwrap().into_inner().name;
    let evaluation = remit_api::registry::v1::Evaluation {
        id: "e1".into(),
        suite: "holdout".into(),
        metrics: [("auc".to_owned(), 0.8)].into(),
        passed: true,
        ..Default::default()
    };
    let request = AddEvaluationRequest { name: name.clone(), evaluation: Some(evaluation), ..Default::default() };
    people.add_evaluation(request).await.unwrap();
    people.transition_model_version(transition(&name, ModelVersionState::Evaluating, "")).await.unwrap();
    council.transition_model_version(transition(&name, ModelVersionState::Approved, purpose)).await.unwrap();
    name
}

fn transition(name: &str, state: ModelVersionState, purpose: &str) -> TransitionModelVersionRequest {
    TransitionModelVersionRequest {
        name: name.into(),
        state: state.into(),
        purposes: if purpose.is_empty() { vec![] } else { vec![purpose.into()] },
        proposal: if purpose.is_empty() { String::new() } else { "proposals/p1".into() },
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
}

async fn an_audit_window_counts_what_was_found_in_it(suite: Suite) {
    let at = |day: i64| Some(prost_types::Timestamp { seconds: 1_767_600_000 + day * 86_400, nanos: 0 });
    let window = |end| CreateAuditWindowRequest {
        audit_window_id: "w1".into(),
        audit_window: Some(AuditWindow {
            title: "January".into(),
            start_time: at(0),
            end_time: end,
            ..Default::default()
        }),
        ..Default::default()
    };
    let refused = tasks(&suite).create_audit_window(window(at(200))).await.unwrap_err();
    assert_eq!(reason(&refused), "AUDIT_WINDOW_TIMES");
    tasks(&suite).create_audit_window(window(at(14))).await.unwrap();
    let found = Task { audit_window: "auditWindows/w1".into(), ..task("T", (5, 1, 1)) };
    create(&suite, "t1", found.clone()).await;
    create(&suite, "t2", Task { ratings: vec![], ..found }).await;
    let listed = tasks(&suite).list_audit_windows(ListAuditWindowsRequest::default()).await.unwrap().into_inner();
    assert_eq!((listed.audit_windows[0].tasks, listed.audit_windows[0].tagged), (2, 1));
}

async fn a_what_if_writes_nothing(suite: Suite) {
    let described =
        ScoreTaskRequest { input: Some(score_task_request::Input::Task(task("T", (4, 2, 2)))), policy: None };
    let found = decisions(&suite).score_task(described).await.unwrap().into_inner();
    assert_eq!((found.score, found.pattern()), (12.0, AutonomyPattern::HumanInTheLoop));
    let listed = decisions(&suite).list_decisions(ListDecisionsRequest::default()).await.unwrap().into_inner();
    assert!(listed.decisions.is_empty());
    let unrated = ScoreTaskRequest {
        input: Some(score_task_request::Input::Task(Task { ratings: vec![], ..task("T", (4, 2, 2)) })),
        policy: None,
    };
    assert_eq!(reason(&decisions(&suite).score_task(unrated).await.unwrap_err()), "TASK_UNRATED");
}
