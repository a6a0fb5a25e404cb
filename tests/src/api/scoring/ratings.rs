//! Ratings: whose they are, and what those that others entered count for.

use super::{create, decide, decisions, export, import, policies, rating, task, tasks};
use crate::api::cases;
use crate::support::{Caller, Suite, reason};
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::scoring::v1::*;
use remit_api::types::AutonomyPattern;
use remit_api::wire::Word as _;
use remit_core::ActorKind;
use remit_policy::seed;

cases! {
    a_rating_is_the_callers_own_or_entered_and_marked: RateTask;
    what_others_entered_never_makes_work_more_automatic: RateTask, CreateTask;
    an_import_enters_ratings_and_leaves_what_people_said: ImportTasks;
    a_policy_says_what_is_unknown_and_which_change_is_looser: CreatePolicyVersion;
}

fn person(suite: &Suite, subject: &str) -> Caller {
    suite.human(subject, &["operator"], &[])
}

async fn rate(who: &Caller, given: Rating, entered_for: &str) -> Result<Task, tonic::Status> {
    let request = RateTaskRequest {
        name: "tasks/t".into(),
        rating: Some(given),
        entered_for: entered_for.into(),
        ..Default::default()
    };
    TaskServiceClient::new(who.to("scoring")).rate_task(request).await.map(tonic::Response::into_inner)
}

async fn get(suite: &Suite) -> Task {
    tasks(suite).get_task(GetTaskRequest { name: "tasks/t".into() }).await.unwrap().into_inner()
}

/// Rater, risk and who entered it.
fn said(task: &Task) -> Vec<(&str, i32, &str)> {
    task.ratings.iter().map(|r| (r.rater.as_str(), r.scores["risk"], r.entered_by.as_str())).collect()
}

async fn a_rating_is_the_callers_own_or_entered_and_marked(suite: Suite) {
    create(&suite, "t", Task { ratings: vec![], ..task("T", (5, 1, 1)) }).await;
    let (ada, bob) = (person(&suite, "ada"), person(&suite, "bob"));
    let program = suite.caller("crm", ActorKind::Service, &["operator"], &[]);
    let rated = rate(&ada, rating("", (5, 3, 1)), "").await.unwrap();
    assert_eq!(said(&rated), [("ada", 3, "")], "without a rater it is the caller's own");
    let refused = rate(&ada, rating("bob", (5, 1, 1)), "").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (tonic::Code::PermissionDenied, "RATER_NOT_CALLER"));
    let denied = suite.entries("action = \"scoring.tasks.rate\" AND outcome = \"DENIED\"").await;
    assert_eq!(denied.len(), 1, "who speaks for another is on record");

    // A program enters what a person says, and rates nothing itself.
    let entered = rate(&program, rating("", (5, 4, 1)), "bob").await.unwrap();
    assert_eq!((said(&entered), entered.claimed_ratings), (vec![("ada", 3, ""), ("bob", 4, "crm")], 1));
    assert_eq!(reason(&rate(&program, rating("", (5, 1, 1)), "").await.unwrap_err()), "RATER_NOT_HUMAN");
    // Nobody speaks over a person, and she speaks over what was entered for her.
    for other in [&bob, &program] {
        let refused = rate(other, rating("", (5, 1, 1)), "ada").await.unwrap_err();
        assert_eq!(reason(&refused), "RATING_NOT_YOURS");
    }
    let own = rate(&bob, rating("bob", (5, 3, 1)), "").await.unwrap();
    assert_eq!((said(&own), own.claimed_ratings), (vec![("ada", 3, ""), ("bob", 3, "")], 0));
    let listed = tasks(&suite).list_tasks(ListTasksRequest::default()).await.unwrap().into_inner();
    assert_eq!(said(&listed.tasks[0]), said(&own));

    // An update of the whole task is no way around it.
    let update = |ratings: Vec<Rating>| UpdateTaskRequest {
        task: Some(Task { name: "tasks/t".into(), title: "T".into(), ratings, ..Default::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["ratings".into()] }),
        ..Default::default()
    };
    for ratings in [vec![], vec![rating("ada", (5, 1, 1)), rating("bob", (5, 3, 1))]] {
        let refused = tasks(&suite).update_task(update(ratings)).await.unwrap_err();
        assert_eq!(reason(&refused), "RATING_NOT_YOURS");
    }
    let both = vec![rating("ada", (5, 3, 1)), rating("bob", (5, 3, 1)), rating("eve", (5, 3, 1))];
    let changed = tasks(&suite).update_task(update(both)).await.unwrap().into_inner();
    assert_eq!(said(&changed), [("ada", 3, ""), ("bob", 3, ""), ("eve", 3, "admin")]);

    let entries = suite.entries("action = \"scoring.tasks.rate\"").await;
    let entered = entries.iter().filter_map(|entry| entry.event.as_ref()).any(|event| {
        event.details_json.contains("\"rater\":\"bob\"") && event.details_json.contains("\"entered_by\":\"crm\"")
    });
    assert!(entered, "the log says who entered a rating, and whose");
}

async fn what_others_entered_never_makes_work_more_automatic(suite: Suite) {
    let entered = Task { ratings: vec![rating("ada", (5, 1, 1))], ..task("T", (5, 1, 1)) };
    let made = create(&suite, "t", entered).await;
    assert_eq!((said(&made), made.state()), (vec![("ada", 1, "admin")], TaskState::Rated));
    let claimed = decide(&suite, "t").await.evaluation.unwrap();
    assert_eq!((claimed.base_pattern(), claimed.score), (AutonomyPattern::HumanOnTheLoop, 15.0), "it is counted");
    assert_eq!((claimed.pattern(), claimed.claimed), (AutonomyPattern::HumanInTheLoop, true), "and bounded");
    let cap = claimed.caps.last().unwrap();
    assert_eq!((cap.id.as_str(), cap.moved_toward_human), ("claimed-ratings", true));

    // The same words in person make another decision necessary, and that one is not bounded.
    let rated = rate(&person(&suite, "ada"), rating("", (5, 1, 1)), "").await.unwrap();
    assert_eq!((rated.state(), rated.decision.as_str()), (TaskState::Rated, ""));
    let signed = decide(&suite, "t").await.evaluation.unwrap();
    assert_eq!((signed.pattern(), signed.claimed), (AutonomyPattern::HumanOnTheLoop, false));

    // What is entered for others counts where it is more cautious, and not where it is bolder.
    rate(&person(&suite, "eve"), rating("", (5, 2, 1)), "bob").await.unwrap();
    let careful = decide(&suite, "t").await.evaluation.unwrap();
    let risk = careful.contributions.iter().find(|part| part.axis == "risk").unwrap().rating;
    assert_eq!((risk, careful.sampling_ratio, careful.claimed), (2, 0.1, false));
    rate(&person(&suite, "ada"), rating("", (4, 2, 2)), "").await.unwrap();
    for person in ["bob", "cleo", "dora"] {
        rate(&suite.admin(), rating("", (5, 1, 1)), person).await.unwrap();
    }
    let outvoted = decide(&suite, "t").await.evaluation.unwrap();
    assert_eq!((outvoted.base_pattern(), outvoted.score), (AutonomyPattern::HumanOnTheLoop, 15.0));
    assert_eq!((outvoted.pattern(), outvoted.claimed), (AutonomyPattern::HumanInTheLoop, true));
    // The record replays as it was decided.
    let mut progress = policies(&suite)
        .backtest_policy(BacktestPolicyRequest {
            name: "policies/seed-004-inverted-sum/versions/1".into(),
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner();
    let mut result = None;
    while let Some(message) = progress.message().await.unwrap() {
        result = message.backtest.or(result);
    }
    let result = result.unwrap();
    assert_eq!((result.decisions, result.unchanged), (1, 1));
}

async fn an_import_enters_ratings_and_leaves_what_people_said(suite: Suite) {
    let csv = "id,title,function,predictability,risk,human_judgment,rater\nt,T,paid_media,5,2,1,ada\nu,U,paid_media,5,2,1,admin\n";
    import(&suite, csv, ImportTasksConfig::default()).await.unwrap();
    assert_eq!(said(&get(&suite).await), [("ada", 2, "admin")]);
    rate(&person(&suite, "ada"), rating("", (5, 3, 1)), "").await.unwrap();
    let again = import(&suite, csv, ImportTasksConfig::default()).await.unwrap();
    let found: Vec<(i64, &str, &str)> =
        again.errors.iter().map(|e| (e.line, e.column.as_str(), e.reason.as_str())).collect();
    assert_eq!(found, [(2, "rater", "RATING_NOT_YOURS")]);
    assert!(!again.committed);
    let others = ImportTasksConfig { skip_bad: true, ..Default::default() };
    let again = import(&suite, csv, others).await.unwrap();
    assert_eq!((again.bad_rows, again.unchanged), (1, 1));
    assert_eq!(said(&get(&suite).await), [("ada", 3, "")]);

    // An export says who entered what, and reading it again changes nothing.
    let exported = export(&suite).await;
    let header: Vec<&str> = exported.lines().next().unwrap().split(',').collect();
    assert_eq!(header.last(), Some(&"entered_by"), "{exported}");
    rate(&suite.admin(), rating("", (5, 3, 1)), "bob").await.unwrap();
    let exported = export(&suite).await;
    assert!(exported.lines().any(|line| line.contains("bob") && line.ends_with(",admin")), "{exported}");
    let same = import(&suite, &exported, ImportTasksConfig::default()).await.unwrap();
    assert_eq!((same.bad_rows, same.updated, same.unchanged), (0, 0, 2));
}

async fn a_policy_says_what_is_unknown_and_which_change_is_looser(suite: Suite) {
    let source = |from: &str, to: &str| {
        assert!(seed::INVERTED_SUM.contains(from), "the default policy has no {from}");
        let text = seed::INVERTED_SUM[..seed::INVERTED_SUM.find("cases:").unwrap()]
            .replace("version: \"1\"", "version: \"2\"");
        text.replace(from, to)
    };
    let store = async |source: String| {
        let request = CreatePolicyVersionRequest {
            source: source.into_bytes(),
            format: PolicyFormat::Yaml.into(),
            ..Default::default()
        };
        policies(&suite).create_policy_version(request).await.map(tonic::Response::into_inner)
    };
    let twice = store(source("1: 0.05,", "1: 0.05, 1: 0,")).await.unwrap_err();
    assert_eq!(reason(&twice), "POLICY_INVALID");
    assert!(twice.message().contains("\"1\" stands twice") && twice.message().contains("line"), "{}", twice.message());

    let long = source("when: regulated_domain", "when: regulated_domain || minutes_per_instance > 60.0");
    let made = store(long).await.unwrap();
    let lint = made.lint.unwrap();
    let blind = lint.findings.iter().find(|finding| finding.code == "UNKNOWN_NOT_HANDLED").unwrap();
    assert_eq!((lint.passed, blind.severity(), blind.field.as_str()), (true, LintSeverity::Warning, "caps[5].when"));
    let zero = LintPolicyRequest {
        policy: Some(PolicyRef { policy: Some(policy_ref::Policy::Source(source("3: 0.50", "3: 0").into_bytes())) }),
    };
    let zero = policies(&suite).lint_policy(zero).await.unwrap().into_inner();
    assert!(!zero.passed && zero.findings.iter().any(|finding| finding.code == "SAMPLING_ZERO"), "{:?}", zero.findings);

    // A task without minutes may be a long one.
    let name = |name: &str| Some(PolicyRef { policy: Some(policy_ref::Policy::Name(name.into())) });
    let score = async |minutes: f64| {
        let described = Task { minutes_per_instance: minutes, ..task("T", (5, 1, 1)) };
        let request =
            ScoreTaskRequest { input: Some(score_task_request::Input::Task(described)), policy: name(&made.name) };
        decisions(&suite).score_task(request).await.unwrap().into_inner()
    };
    assert_eq!(score(30.0).await.pattern(), AutonomyPattern::HumanOnTheLoop);
    let unknown = score(0.0).await;
    assert_eq!(
        (unknown.pattern(), unknown.unknown),
        (AutonomyPattern::HumanInTheLoop, vec!["minutes_per_instance".to_owned()])
    );
    assert_eq!((unknown.caps[0].id.as_str(), unknown.caps[0].unknown.len()), ("regulated-domain", 1));

    let diff = async |base: &str, candidate: &str| {
        let request = DiffPoliciesRequest { base: name(base), candidate: name(candidate) };
        policies(&suite).diff_policies(request).await.unwrap().into_inner()
    };
    let seeded = "policies/seed-004-inverted-sum/versions/1";
    let tighter = diff(seeded, &made.name).await;
    assert_eq!((tighter.strictness_change().word(), tighter.cells_loosened), ("TIGHTENS", 0));
    assert!(tighter.cells_tightened > 0 && tighter.cells > tighter.cells_tightened && tighter.loosening.is_empty());
    let looser = diff(&made.name, seeded).await;
    assert_eq!((looser.strictness_change().word(), looser.cells_tightened), ("LOOSENS", 0));
    assert_eq!((looser.cells_loosened, looser.loosening.len()), (tighter.cells_tightened, 10));
    let same = diff(seeded, seeded).await;
    assert_eq!((same.strictness_change().word(), same.cells_loosened), ("SAME", 0));
}
