//! Decisions in batches, plans, functions.

use super::{CSV, batch, create, decide, decisions, import, task, tasks};
use crate::api::cases;
use crate::support::{Suite, reason};
use remit_api::scoring::v1::function_service_client::FunctionServiceClient;
use remit_api::scoring::v1::*;
use remit_api::types::AutonomyPattern;
use tokio_stream::StreamExt as _;

cases! {
    a_batch_decides_what_is_not_decided_and_a_plan_ranks_it: BatchDecide;
    a_function_caps_its_tasks_and_its_change_reopens_them: UpdateFunction;
    a_plan_counts_gross_and_net_hours_knows_roles_and_warns;
    a_what_if_writes_nothing;
}

async fn a_batch_decides_what_is_not_decided_and_a_plan_ranks_it(suite: Suite) {
    let mut csv = CSV.to_owned();
    for n in 0..1_200 {
        csv += &format!("bulk-{n:04},Bulk {n},paid_media,Ops,{},30,2,,,5,1,1,admin,\n", n % 40);
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

async fn a_plan_counts_gross_and_net_hours_knows_roles_and_warns(suite: Suite) {
    // Review takes 15% of the time: of all results in the loop, of the sampled 5% on the loop (A21, A24).
    let csv = "id,title,function,role,frequency_per_week,minutes_per_instance,complexity,brand_impacting,predictability,risk,human_judgment,strategy_owner,tolerated_variability
auto,Auto,paid_media,Ops,10,60,2,,5,1,1,ann,
loop,Loop,software,Ops,10,60,2,yes,5,1,1,ann,
draft,Draft,analytics,Lead,10,60,2,,1,3,3,ann,
rare,Rare,organic_seo,Lead,0.5,60,3,,4,2,2,ann,
often,=Often,organic_seo,,20,60,2,,4,2,1,,HIGH
alone,Alone,b2b_sales,,20,60,2,,5,1,1,,
blank,Blank,paid_media,,,,2,,5,1,1,,
";
    import(&suite, csv, ImportTasksConfig::default()).await.unwrap();
    batch(&suite, BatchDecideRequest::default()).await;
    let plan = async |assumptions: PlanAssumptions| {
        let request = PlanAutomationRequest { assumptions: Some(assumptions), ..Default::default() };
        decisions(&suite).plan_automation(request).await.unwrap().into_inner()
    };
    let found = plan(PlanAssumptions::default()).await;
    let order: Vec<&str> = found.items.iter().map(|item| item.title.as_str()).collect();
    assert_eq!(order, ["=Often", "Auto", "Blank", "Alone", "Loop", "Rare", "Draft"], "pattern first, then volume");
    let hours = |title: &str| {
        let item = found.items.iter().find(|item| item.title == title).unwrap();
        [item.hours_per_year, item.gross_hours_saved, item.net_hours_saved].map(|hours| (hours * 100.0).round() / 100.0)
    };
    assert_eq!(hours("Auto"), [520.0, 520.0, 516.1]);
    assert_eq!(hours("Loop"), [520.0, 520.0, 442.0]);
    assert_eq!(hours("Draft"), [520.0, 208.0, 208.0]);
    let roles: Vec<(&str, RoleKind)> = found.roles.iter().map(|role| (role.role.as_str(), role.kind())).collect();
    assert!(
        roles.contains(&("Ops", RoleKind::MostlyExecution)) && roles.contains(&("Lead", RoleKind::MostlyStrategy)),
        "{roles:?}"
    );
    let warned = |plan: &PlanAutomationResponse, code: &str| {
        plan.warnings.iter().find(|warning| warning.code == code).map(|warning| warning.resources.join(" "))
    };
    assert_eq!(warned(&found, "NO_STRATEGY_OWNER").unwrap(), "functions/b2b_sales");
    assert_eq!(warned(&found, "OWNER_SPREAD").unwrap(), "ann");
    assert_eq!(warned(&found, "NOT_TAGGED").unwrap(), "tasks/blank");
    assert_eq!(warned(&found, "RATINGS_INCONSISTENT").unwrap(), "tasks/often tasks/rare");
    assert_eq!(warned(&found, "LOW_VOLUME_COMPLEX"), None, "the default policy caps such work");
    assert_eq!(warned(&found, "REVIEW_EXCEEDS_SAVING"), None);
    let strict =
        PlanAssumptions { functions_per_owner: Some(4), low_frequency_per_week: Some(0.0), ..Default::default() };
    assert_eq!(warned(&plan(strict).await, "OWNER_SPREAD"), None);

    let slow = PlanAssumptions { review_ratio: Some(1.0), ..Default::default() };
    let slow = plan(slow).await;
    let named = warned(&slow, "REVIEW_EXCEEDS_SAVING").unwrap();
    assert!(named.contains("tasks/loop") && !named.contains("tasks/auto"), "{named}");
    assert_eq!(slow.items.iter().find(|item| item.title == "Loop").map(|item| item.net_hours_saved), Some(0.0));

    let mut pieces = decisions(&suite).export_plan(ExportPlanRequest::default()).await.unwrap().into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        bytes.extend(piece.unwrap().chunk);
    }
    let text = String::from_utf8(bytes).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 8);
    assert!(lines[0].starts_with("rank,task,title,function,role,pattern,score,"));
    assert_eq!(lines[1], "1,often,'=Often,organic_seo,,HUMAN_ON_THE_LOOP,13,20,1040.00,1040.00,1024.40,0.1");
    assert_eq!(lines[2], "2,auto,Auto,paid_media,Ops,HUMAN_ON_THE_LOOP,15,10,520.00,520.00,516.10,0.05");
}
