#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::SERVICE;
use crate::counter::Recorded;
use remit_api::scoring::v1 as api;
use remit_core::Actor;
use remit_runtime::auth::Keyring;
use remit_runtime::{Config, Mandates, Peers};
use remit_store::counted;
use remit_store::testing::{TestDb, each_engine};
use std::collections::BTreeMap;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

struct Home {
    service: Service,
    cx: Cx,
    _dir: TempDir,
}

async fn home(database: &TestDb) -> Home {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::from_toml(&format!("[data]\ndir = {:?}\n", dir.path())).unwrap();
    let keys = Arc::new(Keyring::open(&config, &["scoring"]).unwrap());
    let peers = Peers::new(&[], &BTreeMap::new(), &Default::default(), keys, Duration::from_secs(60)).unwrap();
    let db = database.open(&SERVICE.schema).await.unwrap();
    let (rules, second) = (RuleCache::new(), Duration::from_secs(1));
    let wait = Duration::from_millis(10);
    let settings = Settings { stale_after: second, deny_after: second, first_state_wait: wait };
    let caches = Caches::new(db.clone(), rules.clone(), peers, settings, CancellationToken::new());
    let counter = Counter::open(db.clone(), &dir.path().join("checks"), Recorded { every: 10, whole: 1_000 }).unwrap();
    let mandates = Mandates::open(&config, false).await.unwrap();
    let cx = Cx {
        tenant: Tenant::new("acme").unwrap(),
        actor: Actor::service("test").into(),
        service: None,
        method: "scoring.tasks.test",
        trace_id: String::new(),
        email: None,
        address: None,
        deadline: None,
    };
    Home { service: Service::new(db, settings, caches, rules, counter, mandates), cx, _dir: dir }
}

fn rating(rater: &str, score: i32) -> api::Rating {
    let axes = ["predictability", "risk", "human_judgment"];
    let scores = axes.map(|axis| (axis.to_owned(), score)).into();
    api::Rating { rater: rater.into(), scores, ..Default::default() }
}

fn rate(rater: &str, id: &str) -> api::RateTaskRequest {
    let rating = Some(rating(rater, 3));
    api::RateTaskRequest { name: "tasks/t".into(), rating, request_id: id.into(), entered_for: rater.into() }
}

/// One statement before the transaction, and six in it: the request id, the head, the task, the answer, and the
/// event with the outbox's head. A decision costs its own row, and the end of the one before.
#[tokio::test]
async fn single_changes_keep_to_their_budget_of_statements() {
    each_engine(async |database| {
        let Home { service, cx, _dir } = home(&database).await;
        let create = |id: &str| api::CreateTaskRequest {
            task_id: id.into(),
            task: Some(api::Task { title: "T".into(), ratings: vec![rating("ada", 3)], ..Default::default() }),
            request_id: id.into(),
        };
        let decide = |id: &str| api::DecideTaskRequest { name: "tasks/t".into(), request_id: id.into() };
        // The first change gives the tenant its policies and functions, and reads them.
        service.create_task(&cx, create("first")).await?;
        macro_rules! cost {
            ($work:expr) => {{
                let (done, statements) = counted($work).await;
                done?;
                statements
            }};
        }
        let named = |name: &str| api::GetTaskRequest { name: name.into() };
        let costs = [
            ("create", cost!(service.create_task(&cx, create("t"))), 7),
            ("rate", cost!(service.rate_task(&cx, rate("bob", "r1"))), 7),
            ("rate, repeated", cost!(service.rate_task(&cx, rate("bob", "r1"))), 3),
            ("decide", cost!(service.decide_task(&cx, decide("d1"))), 8),
            ("decide again", cost!(service.decide_task(&cx, decide("d2"))), 9),
            ("rate what was decided", cost!(service.rate_task(&cx, rate("cyd", "r2"))), 8),
            ("get", cost!(service.get_task(&cx, named("tasks/t"))), 1),
            ("list", cost!(service.list_tasks(&cx, api::ListTasksRequest::default())), 2),
            ("list functions", cost!(service.list_functions(&cx, api::ListFunctionsRequest::default())), 1),
            ("list policies", cost!(service.list_policy_versions(&cx, api::ListPolicyVersionsRequest::default())), 1),
        ];
        let over: Vec<_> = costs.iter().filter(|(_, statements, budget)| statements != budget).collect();
        assert!(over.is_empty(), "statements and budget: {over:?}");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_task_that_changed_after_it_was_seen_is_read_again_under_the_lock() {
    each_engine(async |database| {
        let Home { service, cx, _dir } = home(&database).await;
        let task = Some(api::Task { title: "T".into(), ..Default::default() });
        let create = api::CreateTaskRequest { task_id: "t".into(), task, ..Default::default() };
        service.create_task(&cx, create).await?;
        let claim = async |seen: tasks::Seen| {
            let claimed = service.db.own(&cx.tenant, "scoring.tasks.test", async |m| seen.claim(m).await).await;
            claimed.map(|(_, row)| row.unwrap().task.ratings.len())
        };
        let (seen, stale) = (service.see(&cx.tenant, "t").await?, service.see(&cx.tenant, "t").await?);
        assert_eq!(claim(seen).await?, 0);
        service.rate_task(&cx, rate("ada", "")).await?;
        assert_eq!(claim(stale).await?, 1, "nobody's rating is lost");
        Ok(())
    })
    .await
    .unwrap();
}

/// No peer answers here: what is held is not known, and may be this.
#[tokio::test]
async fn a_task_leaves_nothing_that_may_be_held_before_the_holds_are_known() {
    each_engine(async |database| {
        let Home { service, mut cx, _dir } = home(&database).await;
        Arc::make_mut(&mut cx.actor).kind = remit_core::ActorKind::Human;
        let task = Some(api::Task { title: "T".into(), function: "functions/software".into(), ..Default::default() });
        let create = api::CreateTaskRequest { task_id: "t".into(), task, ..Default::default() };
        service.create_task(&cx, create).await?;
        let update = async |function: &str, path: &str| {
            let task = api::Task {
                name: "tasks/t".into(),
                title: "U".into(),
                function: function.into(),
                ..Default::default()
            };
            let update_mask = Some(prost_types::FieldMask { paths: vec![path.into()] });
            let request = api::UpdateTaskRequest { task: Some(task), update_mask, ..Default::default() };
            service.update_task(&cx, request).await
        };
        let refused = update("functions/paid_media", "function").await.unwrap_err();
        assert_eq!((refused.kind(), refused.reason()), (remit_core::Kind::Unavailable, "STATE_UNAVAILABLE"));
        assert_eq!(update("functions/paid_media", "title").await?.function, "functions/software", "it stays in place");
        let delete = api::DeleteTaskRequest { name: "tasks/t".into(), ..Default::default() };
        service.delete_task(&cx, delete).await?;
        let task = Some(api::Task { title: "T".into(), ..Default::default() });
        let create = api::CreateTaskRequest { task_id: "t".into(), task, ..Default::default() };
        assert_eq!(service.create_task(&cx, create).await.unwrap_err().reason(), "STATE_UNAVAILABLE");
        Ok(())
    })
    .await
    .unwrap();
}
