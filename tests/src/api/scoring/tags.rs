//! Tags: what programs may say of a task, and what outlives its deletion.

use super::{create, decide, rating, task, tasks};
use crate::api::cases;
use crate::support::{Caller, Suite, reason};
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::{EngageHoldRequest, Hold, Scope};
use remit_api::scoring::v1::import_tasks_request::Part;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::scoring::v1::*;
use remit_api::types::{AutonomyPattern, Stakes};
use remit_core::ActorKind;

cases! {
    a_program_makes_tags_stricter_only_and_a_person_confirms_them: CreateTask, UpdateTask;
    an_import_by_a_program_is_held_to_the_same: ImportTasks;
    a_task_that_is_made_again_has_washed_nothing_off: DeleteTask, CreateTask;
}

fn program(suite: &Suite) -> Caller {
    suite.caller("crm", ActorKind::Service, &["operator"], &[])
}

async fn update(who: &Caller, task: Task, paths: &[&str]) -> Result<Task, tonic::Status> {
    let request = UpdateTaskRequest {
        task: Some(Task { name: "tasks/t".into(), ..task }),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|p| (*p).to_owned()).collect() }),
        ..Default::default()
    };
    TaskServiceClient::new(who.to("scoring")).update_task(request).await.map(tonic::Response::into_inner)
}

async fn create_as(who: &Caller, task: Task) -> Result<Task, tonic::Status> {
    let request = CreateTaskRequest { task_id: "t".into(), task: Some(task), ..Default::default() };
    TaskServiceClient::new(who.to("scoring")).create_task(request).await.map(tonic::Response::into_inner)
}

async fn a_program_makes_tags_stricter_only_and_a_person_confirms_them(suite: Suite) {
    let (crm, admin) = (program(&suite), suite.admin());
    let made = create_as(&crm, Task { ratings: vec![], ..task("T", (5, 1, 1)) }).await.unwrap();
    assert_eq!(made.tags_claimed_by, "crm");
    let mut client = tasks(&suite);
    let own = RateTaskRequest { name: "tasks/t".into(), rating: Some(rating("", (5, 1, 1))), ..Default::default() };
    client.rate_task(own).await.unwrap();
    let claimed = decide(&suite, "t").await.evaluation.unwrap();
    assert_eq!(
        (claimed.base_pattern(), claimed.pattern()),
        (AutonomyPattern::HumanOnTheLoop, AutonomyPattern::HumanInTheLoop)
    );
    assert_eq!(claimed.caps.last().unwrap().id, "claimed-tags");

    // A person who names a tag says the tags, and one who names a title does not.
    let titled = update(&admin, Task { title: "T2".into(), ..Default::default() }, &["title"]).await.unwrap();
    assert_eq!(titled.tags_claimed_by, "crm");
    let stakes = |stakes: Stakes| Task { stakes: stakes.into(), ..Default::default() };
    let confirmed = update(&admin, stakes(Stakes::Low), &["stakes"]).await.unwrap();
    assert_eq!((confirmed.tags_claimed_by.as_str(), confirmed.state()), ("", TaskState::Rated));
    assert_eq!(decide(&suite, "t").await.evaluation.unwrap().pattern(), AutonomyPattern::HumanOnTheLoop);

    // Stricter at any time, also by a program; looser never.
    let stricter = Task { regulated_domain: true, stakes: Stakes::High.into(), ..Default::default() };
    let changed = update(&crm, stricter, &["regulated_domain", "stakes"]).await.unwrap();
    assert!(changed.regulated_domain && changed.tags_claimed_by.is_empty());
    let looser: [(Task, &str); 6] = [
        (stakes(Stakes::Low), "stakes"),
        (Task::default(), "regulated_domain"),
        (Task { pilot_evidence: true, ..Default::default() }, "pilot_evidence"),
        (Task { purpose: "another".into(), ..Default::default() }, "purpose"),
        (Task { function: "functions/software".into(), ..Default::default() }, "function"),
        (Task { minutes_per_instance: 1.0, ..Default::default() }, "minutes_per_instance"),
    ];
    for (task, path) in looser {
        let refused = update(&crm, task, &[path]).await.unwrap_err();
        let found = (refused.code(), reason(&refused));
        assert_eq!(found, (tonic::Code::PermissionDenied, "TAGS_NEED_A_PERSON".to_owned()), "{path}");
        assert!(refused.message().contains(path), "{}", refused.message());
    }
    update(&admin, Task::default(), &["regulated_domain"]).await.unwrap();
    let entries = suite.entries("action = \"scoring.tasks.update\" AND outcome = \"SUCCESS\"").await;
    let details: Vec<String> = entries.iter().filter_map(|e| Some(e.event.as_ref()?.details_json.clone())).collect();
    assert!(details.iter().any(|text| text.contains("regulated_domain from true to false")), "{details:?}");
    let refused = suite.entries("action = \"scoring.tasks.update\" AND outcome = \"DENIED\"").await;
    assert_eq!(refused.len(), 6);
}

async fn an_import_by_a_program_is_held_to_the_same(suite: Suite) {
    let crm = program(&suite);
    let import = async |csv: &str| {
        let parts = [Part::Config(ImportTasksConfig::default()), Part::Chunk(csv.as_bytes().to_vec())];
        let parts = parts.map(|part| ImportTasksRequest { part: Some(part) });
        let mut client = TaskServiceClient::new(crm.to("scoring"));
        client.import_tasks(tokio_stream::iter(parts)).await.unwrap().into_inner()
    };
    create(&suite, "t", Task { brand_impacting: true, ..task("T", (5, 1, 1)) }).await;
    let looser = import("id,title,brand_impacting\nt,T,no\nnew,New,no\n").await;
    let found: Vec<(i64, &str)> = looser.errors.iter().map(|e| (e.line, e.reason.as_str())).collect();
    assert_eq!((found, looser.committed), (vec![(2, "TAGS_NEED_A_PERSON")], false));
    let stricter = import("id,title,regulated_domain\nt,T,yes\nnew,New,no\n").await;
    assert_eq!((stricter.created, stricter.updated, stricter.bad_rows), (1, 1, 0), "{:?}", stricter.errors);
    let get =
        async |name: &str| tasks(&suite).get_task(GetTaskRequest { name: name.into() }).await.unwrap().into_inner();
    assert_eq!(
        (get("tasks/t").await.tags_claimed_by, get("tasks/new").await.tags_claimed_by.as_str()),
        (String::new(), "crm")
    );
    // A person who imports the columns says what is in them.
    let csv = "id,title,regulated_domain\nnew,New,no\n";
    let confirmed = super::import(&suite, csv, ImportTasksConfig::default()).await.unwrap();
    assert_eq!((confirmed.updated, get("tasks/new").await.tags_claimed_by.as_str()), (1, ""));
}

async fn a_task_that_is_made_again_has_washed_nothing_off(suite: Suite) {
    let (crm, admin) = (program(&suite), suite.admin());
    let strict = Task { reserved_category: ReservedCategory::Positioning.into(), ..task("T", (2, 5, 5)) };
    create_as(&admin, strict.clone()).await.unwrap();
    let bob = suite.human("bob", &["operator"], &[]);
    let own = RateTaskRequest { name: "tasks/t".into(), rating: Some(rating("", (2, 5, 5))), ..Default::default() };
    TaskServiceClient::new(bob.to("scoring")).rate_task(own).await.unwrap();
    let delete = || async {
        let request = DeleteTaskRequest { name: "tasks/t".into(), ..Default::default() };
        TaskServiceClient::new(crm.to("scoring")).delete_task(request).await.unwrap();
    };
    delete().await;

    // Its ratings stand, and its tags are as strict as they were, for a program.
    let bare = Task { ratings: vec![], ..strict };
    let free = Task { reserved_category: 0, ..bare.clone() };
    assert_eq!(reason(&create_as(&crm, free.clone()).await.unwrap_err()), "TAGS_NEED_A_PERSON");
    let over = Task { ratings: vec![rating("bob", (5, 1, 1))], ..bare.clone() };
    assert_eq!(reason(&create_as(&admin, over).await.unwrap_err()), "RATING_NOT_YOURS");
    let again = create_as(&crm, bare).await.unwrap();
    let raters: Vec<&str> = again.ratings.iter().map(|rating| rating.rater.as_str()).collect();
    assert_eq!((raters, again.claimed_ratings, again.tags_claimed_by.as_str()), (vec!["admin", "bob"], 0, "crm"));
    delete().await;

    // A person may, and the log says what was.
    let freed = create_as(&admin, free).await.unwrap();
    assert_eq!((freed.ratings.len(), freed.reserved_category()), (2, ReservedCategory::Unspecified));
    let entries = suite.entries("action = \"scoring.tasks.create\" AND outcome = \"SUCCESS\"").await;
    let details: Vec<String> = entries.iter().filter_map(|e| Some(e.event.as_ref()?.details_json.clone())).collect();
    let says = |text: &String| text.contains("reserved_category from POSITIONING to none") && text.contains("true");
    assert!(details.iter().any(says), "{details:?}");

    // Nor does it leave a hold on its function that way.
    let scope = Scope { target: Some(Target::Function("functions/paid_media".into())) };
    let hold = Hold { scope: Some(scope), reason: "it writes nonsense".into(), ..Default::default() };
    let engage = EngageHoldRequest { hold_id: "h".into(), hold: Some(hold), ..Default::default() };
    HoldServiceClient::new(admin.to("council")).engage_hold(engage).await.unwrap();
    let leaves = || async {
        let to = |function: &str| Task { function: function.into(), ..Default::default() };
        match update(&admin, to("functions/software"), &["function"]).await {
            Err(status) => reason(&status) == "HOLD_ENGAGED",
            // Not heard of yet: back, so that there is something to hold.
            Ok(_) => update(&admin, to("functions/paid_media"), &["function"]).await.is_err(),
        }
    };
    crate::support::eventually("the hold is heard of", leaves).await;
    delete().await;
    let elsewhere = Task { function: "functions/software".into(), ratings: vec![], ..task("T", (2, 5, 5)) };
    assert_eq!(reason(&create_as(&admin, elsewhere).await.unwrap_err()), "HOLD_ENGAGED");
}
