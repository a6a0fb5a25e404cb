//! Tasks, ratings, imports, audit windows.

use super::{CSV, create, decide, decisions, export, import, rating, task, tasks};
use crate::api::cases;
use crate::support::{Suite, reason};
use remit_api::scoring::v1::function_service_client::FunctionServiceClient;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::scoring::v1::*;
use remit_api::types::AutonomyPattern;

cases! {
    a_task_is_rated_decided_and_explained: DecideTask, CreateTask, RateTask;
    updates_are_guarded_and_deletion_keeps_the_record: UpdateTask, DeleteTask;
    an_import_reports_every_bad_row_and_imports_the_good_ones_only_if_asked: ImportTasks;
    an_import_changes_only_the_columns_of_its_file;
    an_audit_window_counts_what_was_found_in_it: CreateAuditWindow;
    a_function_that_changes_reopens_its_tasks: UpdateFunction;
    signatures_suggest_ratings_and_contradicting_tags_are_remarked;
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
    let mut bob = TaskServiceClient::new(suite.human("bob", &["operator"], &[]).to("scoring"));
    let request =
        RateTaskRequest { name: "tasks/variants".into(), rating: Some(rating("bob", (3, 1, 1))), ..Default::default() };
    let rated = bob.rate_task(request).await.unwrap().into_inner();
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
    let rated = bob.rate_task(request).await.unwrap().into_inner();
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
    // What the mask does not name is neither changed nor looked at.
    let role = Task { role: "Ops".into(), complexity: 9, title: String::new(), ..fresh.clone() };
    let changed = tasks(&suite).update_task(update(role.clone(), &["role"])).await.unwrap().into_inner();
    assert_eq!((changed.role.as_str(), changed.title.as_str(), changed.complexity), ("Ops", "B", 2));
    let refused = tasks(&suite).update_task(update(role.clone(), &["*"])).await.unwrap_err();
    assert_eq!(reason(&refused), "FIELD_INVALID");
    let whole = Task { description: "all of it".into(), summaries: vec![], ..changed.clone() };
    let same = tasks(&suite).update_task(update(whole, &["*"])).await.unwrap().into_inner();
    assert_eq!((same.description.as_str(), same.state()), ("all of it", TaskState::Decided));
    assert_ne!(same.etag, changed.etag);
    let reserved = Task { reserved_category: ReservedCategory::Positioning.into(), ..fresh };
    let changed = tasks(&suite).update_task(update(reserved, &["reserved_category"])).await.unwrap().into_inner();
    assert_eq!(changed.state(), TaskState::Rated, "what a decision depends on has changed");
    let id = CreateTaskRequest { task_id: "a b".into(), task: Some(task("A", (4, 2, 2))), ..Default::default() };
    assert_eq!(reason(&tasks(&suite).create_task(id).await.unwrap_err()), "ID_INVALID");

    let request = DeleteTaskRequest { name: "tasks/a".into(), ..Default::default() };
    tasks(&suite).delete_task(request).await.unwrap();
    let gone = tasks(&suite).get_task(GetTaskRequest { name: "tasks/a".into() }).await.unwrap_err();
    assert_eq!(reason(&gone), "TASK_NOT_FOUND");
    let kept = decisions(&suite).list_decisions(ListDecisionsRequest::default()).await.unwrap().into_inner();
    assert_eq!(kept.decisions.len(), 1);
    let again = create(&suite, "a", task("A", (4, 2, 2))).await;
    assert_eq!(again.state(), TaskState::Rated);
}

async fn an_import_reports_every_bad_row_and_imports_the_good_ones_only_if_asked(suite: Suite) {
    let bad = format!(
        "{CSV}x y,Bad id,,,,,,,,,,,,\nlow,Low,,,,,,,,0,9,x,,\nneg,Neg,,,-1,,,,,,,,,\nshort,row\nsetup,Campaign setup,,,,,,,,4,2,2,admin,\nkind,Kind,,,,,,maybe,,,,,,\n"
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

    // What a typing error would leave without its gate or its signals is refused with what there is.
    let strange = "id,title,function,gate\ng1,One,software,creative-approval\ng2,Two,software,creative-aproval\ng3,Three,sofware,\n";
    let refused = import(&suite, strange, ImportTasksConfig::default()).await.unwrap();
    let found: Vec<_> = refused.errors.iter().map(|e| (e.line, e.column.as_str(), e.reason.as_str())).collect();
    assert_eq!(found, [(3, "gate", "GATE_NOT_FOUND"), (4, "function", "FUNCTION_NOT_FOUND")]);
    assert!(refused.errors[0].message.contains("gates/creative-approval, gates/lead-routing"), "{refused:?}");
    assert!(refused.errors[1].message.contains("functions/software"), "{refused:?}");
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
    let refused = tasks(&suite).create_audit_window(window(at(0))).await.unwrap_err();
    assert_eq!(reason(&refused), "TIME_RANGE_INVALID");
    tasks(&suite).create_audit_window(window(at(14))).await.unwrap();
    let found = Task { audit_window: "auditWindows/w1".into(), ..task("T", (5, 1, 1)) };
    create(&suite, "t1", found.clone()).await;
    create(&suite, "t2", Task { ratings: vec![], ..found }).await;
    let listed = tasks(&suite).list_audit_windows(ListAuditWindowsRequest::default()).await.unwrap().into_inner();
    assert_eq!((listed.audit_windows[0].tasks, listed.audit_windows[0].tagged), (2, 1));
}

async fn a_function_that_changes_reopens_its_tasks(suite: Suite) {
    create(&suite, "t", task("T", (5, 1, 1))).await;
    let decision = decide(&suite, "t").await;
    let mut functions = FunctionServiceClient::new(suite.admin().to("scoring"));
    let name = "functions/paid_media".to_owned();
    let given = functions.get_function(GetFunctionRequest { name: name.clone() }).await.unwrap().into_inner();
    assert_eq!(given.etag, "r1");
    let update = |function: Function, paths: &[&str]| UpdateFunctionRequest {
        function: Some(function),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|p| (*p).to_owned()).collect() }),
        allow_missing: true,
        ..Default::default()
    };
    let titled = Function { name: name.clone(), title: "Ads".into(), ..Default::default() };
    let changed = functions.update_function(update(titled, &["title"])).await.unwrap().into_inner();
    assert_eq!((changed.title.as_str(), changed.etag.as_str(), changed.status()), ("Ads", "r2", given.status()));
    let get = async || tasks(&suite).get_task(GetTaskRequest { name: "tasks/t".into() }).await.unwrap().into_inner();
    assert_eq!(get().await.state(), TaskState::Decided, "no decision depends on a title");
    let stale = update(Function { notes: "x".into(), ..given.clone() }, &["notes"]);
    assert_eq!(reason(&functions.update_function(stale).await.unwrap_err()), "ETAG_MISMATCH");

    let slower = Function { name, maturity: Maturity::Announced.into(), ..Default::default() };
    functions.update_function(update(slower, &["maturity"])).await.unwrap();
    let reopened = get().await;
    assert_eq!((reopened.state(), reopened.decision.as_str()), (TaskState::Rated, ""));
    let old = decisions(&suite).get_decision(GetDecisionRequest { name: decision.name }).await.unwrap().into_inner();
    assert!(!old.in_force && old.end_time.is_some());

    // Back again takes a decision.
    let faster =
        Function { name: "functions/paid_media".into(), maturity: Maturity::Real.into(), ..Default::default() };
    let refused = functions.update_function(update(faster, &["maturity"])).await.unwrap_err();
    assert_eq!(reason(&refused), "MANDATE_REQUIRED");
    assert!(refused.message().contains("maturity from ANNOUNCED to REAL"), "{}", refused.message());

    // Of a function that is created everything counts, whatever the mask names.
    let new = Function { name: "functions/new".into(), title: "New".into(), ..Default::default() };
    let refused = functions.update_function(update(new.clone(), &["title"])).await.unwrap_err();
    assert_eq!(reason(&refused), "FIELD_REQUIRED");
    let new = Function { status: FunctionStatus::Likely.into(), notes: "n".into(), ..new };
    let made = functions.update_function(update(new, &["title"])).await.unwrap().into_inner();
    assert_eq!((made.status(), made.notes.as_str(), made.etag.as_str()), (FunctionStatus::Likely, "n", "r1"));
}

async fn an_import_changes_only_the_columns_of_its_file(suite: Suite) {
    let full = "id,title,function,frequency_per_week,minutes_per_instance,complexity,feedback_delay,predictability,risk,human_judgment,rater,comment
t,T,paid_media,5,30,2,WEEKS,5,1,1,ada,first
t,,,,,,,4,2,2,bob,second
";
    let first = import(&suite, full, ImportTasksConfig::default()).await.unwrap();
    assert_eq!((first.created, first.bad_rows), (1, 0), "{:?}", first.errors);
    decide(&suite, "t").await;
    let get = async || tasks(&suite).get_task(GetTaskRequest { name: "tasks/t".into() }).await.unwrap().into_inner();
    let before = get().await;

    let dry = ImportTasksConfig { dry_run: true, ..Default::default() };
    let same = import(&suite, "id,title,frequency_per_week\nt,T,5\n", dry.clone()).await.unwrap();
    assert_eq!((same.updated, same.unchanged, same.committed), (0, 1, false));
    let change = "id,title,frequency_per_week,risk,rater\nt,T,8,2,ada\nnew,New,1,,\n";
    let preview = import(&suite, change, dry).await.unwrap();
    let done = import(&suite, change, ImportTasksConfig::default()).await.unwrap();
    assert_eq!((done.created, done.updated, done.unchanged), (1, 1, 0));
    assert_eq!((preview.created, preview.updated, preview.unchanged), (1, 1, 0), "a dry run foretells");
    let after = get().await;
    assert_eq!((after.frequency_per_week, after.minutes_per_instance, after.complexity), (8.0, 30.0, 2));
    assert_eq!((after.function.as_str(), after.feedback_delay()), ("functions/paid_media", FeedbackDelay::Weeks));
    let rating = |task: &Task, rater: &str| task.ratings.iter().find(|rating| rating.rater == rater).cloned().unwrap();
    assert_eq!(rating(&after, "bob"), rating(&before, "bob"));
    let ada = rating(&after, "ada");
    assert_eq!((ada.scores["predictability"], ada.scores["risk"], ada.comment.as_str()), (5, 2, "first"));
    assert_eq!(after.state(), TaskState::Rated, "what was decided has changed");
    let decisions = decisions(&suite).list_decisions(ListDecisionsRequest::default()).await.unwrap().into_inner();
    assert!(!decisions.decisions[0].in_force);

    let differ = "id,title,risk,rater,complexity\nd,D,1,ada,2\nd,D,1,bob,3\n";
    let refused = import(&suite, differ, ImportTasksConfig::default()).await.unwrap();
    let found: Vec<(i64, &str, &str)> =
        refused.errors.iter().map(|e| (e.line, e.column.as_str(), e.reason.as_str())).collect();
    assert_eq!(found, [(3, "complexity", "ROWS_DIFFER")]);
}

async fn signatures_suggest_ratings_and_contradicting_tags_are_remarked(suite: Suite) {
    let nothing = tasks(&suite).suggest_ratings(SuggestRatingsRequest::default()).await.unwrap_err();
    assert_eq!(reason(&nothing), "SIGNATURES_MISSING");
    let execution = ExecutionSignatures { high_volume: true, structured: true, documented: true, ..Default::default() };
    let strategy = StrategySignatures { cross_functional: true, ..Default::default() };
    let request = SuggestRatingsRequest { execution: Some(execution), strategy: Some(strategy) };
    let found = tasks(&suite).suggest_ratings(request).await.unwrap().into_inner();
    assert_eq!((found.predictability, found.human_judgment), (Some(3), Some(1)));

    let tagged = Task {
        tolerated_variability: ToleratedVariability::High.into(),
        environment_validity: EnvironmentValidity::Low.into(),
        ..task("T", (5, 1, 1))
    };
    let made = create(&suite, "t", tagged).await;
    let codes: Vec<&str> = made.remarks.iter().map(|remark| remark.code.as_str()).collect();
    assert_eq!(codes, ["PREDICTABLE_BUT_VARIABLE", "LEARNED_WITHOUT_FEEDBACK"]);
    let again = Task { tolerated_variability: ToleratedVariability::Low.into(), ..Task::default() };
    let request = UpdateTaskRequest {
        task: Some(Task { name: made.name, title: made.title, ..again }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["tolerated_variability".into()] }),
        ..Default::default()
    };
    let changed = tasks(&suite).update_task(request).await.unwrap().into_inner();
    assert_eq!(changed.remarks.len(), 1);
    assert_ne!(changed.content_digest, made.content_digest, "a policy may ask for the tag");
}
