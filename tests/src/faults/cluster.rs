//! The drill of a cluster: two replicas of each service, which are killed, restarted one after the other, and cut off from
//! their database, while callers go on. `make drills ARGS=cluster`.

use crate::support::{Bearer, Process, Site, eventually};
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{SearchRequest, VerifyLogRequest};
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{CreateModelRequest, Model};
use remit_api::system::v1::GetInfoRequest;
use remit_api::system::v1::system_service_client::SystemServiceClient;
use remit_core::{ActorKind, SERVICES};
use remit_runtime::Peers;
use remit_store::testing::{TestDb, ids};
use remit_store::{Db, Options, query};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tonic::Code;
use tonic::service::interceptor::InterceptedService;

/// The names of the replicas, for as long as the process.
const REPLICAS: [[&str; 7]; 2] = [
    ["audit-1", "registry-1", "scoring-1", "kpi-1", "handoff-1", "council-1", "notify-1"],
    ["audit-2", "registry-2", "scoring-2", "kpi-2", "handoff-2", "council-2", "notify-2"],
];

fn service_of(replica: &'static str) -> &'static str {
    let name = replica.split_once('-').map_or(replica, |(service, _)| service);
    SERVICES.into_iter().find(|service| *service == name).expect("a replica is of a service")
}

/// What callers saw.
#[derive(Default)]
struct Tally {
    made: AtomicUsize,
    again: AtomicUsize,
    /// Answers that no outage explains.
    wrong: std::sync::Mutex<Vec<String>>,
}

/// Makes models one after the other, each until it is acknowledged, under one request id.
async fn work(
    mut models: ModelServiceClient<InterceptedService<remit_runtime::Channel, Bearer>>,
    worker: usize,
    tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
) {
    for number in 0.. {
        let id = format!("w{worker}-{number}");
        let model = Model { display_name: "A model".into(), owner: "dara".into(), ..Default::default() };
        let request =
            CreateModelRequest { model_id: id.clone(), model: Some(model), request_id: format!("request-{id}") };
        loop {
            let mut call = tonic::Request::new(request.clone());
            call.set_timeout(Duration::from_secs(10));
            match models.create_model(call).await {
                Ok(_) => break,
                Err(status) => {
                    tally.again.fetch_add(1, Ordering::Relaxed);
                    if !matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Aborted) {
                        tally.wrong.lock().expect("no panic").push(format!(
                            "{:?}: {}",
                            status.code(),
                            status.message()
                        ));
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        tally.made.fetch_add(1, Ordering::Relaxed);
        if stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Ends every connection to the database at once, as its restart does.
async fn cut(database: &TestDb) {
    let options = Options { max_connections: 1, ..Options::default() };
    let schema = remit_scoring::SERVICE.schema;
    let options = Options { schema: Some("scoring".to_owned()), migrate: false, ..options };
    let db = Db::open(database.url(), &schema, ids(), options).await.expect("the database opens");
    let sql = "select count(pg_terminate_backend(pid)) as ended from pg_stat_activity
               where application_name = $1 and datname = current_database() and pid <> pg_backend_pid()";
    let mut tx = db.read().await.expect("a connection");
    for service in SERVICES {
        query(sql).bind(format!("remit-{service}")).fetch_one(&mut tx).await.expect("connections end");
    }
    drop(tx);
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute and fourteen processes: `make drills ARGS=cluster`"]
async fn a_cluster_loses_and_doubles_nothing() {
    let database = TestDb::postgres().await.expect("the test server can be used").expect("the drill needs PostgreSQL");
    let toml = format!("[database]\nurl = \"{}\"\nconnections = 4\n", database.url());
    let processes: Vec<_> = REPLICAS.concat().into_iter().map(|replica| (replica, service_of(replica))).collect();
    let site = Site::new(&processes, &toml);
    let mut running: BTreeMap<&str, Process> = BTreeMap::new();
    for (replica, _) in &processes {
        running.insert(replica, site.start(replica).await);
    }
    // Callers go round the replicas as services do.
    let urls = format!("{},{}", site.url("registry-1"), site.url("registry-2"));
    let addresses = BTreeMap::from([("registry".to_owned(), urls.as_str().into())]);
    let peers = Peers::new(&[], &addresses, &Default::default(), Arc::default(), Duration::from_secs(60));
    let peers = peers.expect("a way to the registry");
    let token = site.token("ada", ActorKind::Human, &["admin"]);
    let bearer = Bearer(format!("Bearer {token}").parse().expect("a header"));
    let (tally, stop) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let way = InterceptedService::new(peers.channel("registry"), bearer.clone());
            tokio::spawn(work(ModelServiceClient::new(way), worker, tally.clone(), stop.clone()))
        })
        .collect();
    let more = async |by: usize| {
        let wanted = tally.made.load(Ordering::Relaxed) + by;
        eventually("callers get on", || async { tally.made.load(Ordering::Relaxed) >= wanted }).await;
    };
    more(20).await;
    // Each replica is killed and comes back; then each drains and comes back.
    for (replica, _) in &processes {
        running.get_mut(replica).expect("it runs").kill();
        more(5).await;
        running.insert(replica, site.start(replica).await);
    }
    for (replica, _) in &processes {
        let process = running.get_mut(replica).expect("it runs");
        process.terminate();
        assert_eq!(process.wait(), 0, "{replica} ends well: {}", process.printed());
        more(5).await;
        running.insert(replica, site.start(replica).await);
    }
    cut(&database).await;
    more(20).await;
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.expect("a caller goes on to the end");
    }
    let wrong = tally.wrong.lock().expect("no panic").clone();
    assert!(wrong.is_empty(), "{wrong:#?}");

    // Every change that was acknowledged is in the log once, and the log is whole.
    let made = tally.made.load(Ordering::Relaxed);
    eventually("everything is handed over", || async {
        let mut well = true;
        for replica in ["registry-1", "registry-2"] {
            let mut system = SystemServiceClient::new(site.human("ada", &["admin"], replica));
            let info = system.get_info(GetInfoRequest {}).await;
            well &= info.is_ok_and(|info| info.into_inner().outbox_depth.values().all(|depth| *depth == 0));
        }
        well
    })
    .await;
    let mut audit = AuditServiceClient::new(site.human("ada", &["admin"], "audit-1"));
    let mut found = BTreeMap::<String, usize>::new();
    let mut search = SearchRequest {
        filter: "action = \"registry.models.create\"".to_owned(),
        page_size: 500,
        ..Default::default()
    };
    loop {
        let page = audit.search(search.clone()).await.expect("a page").into_inner();
        for entry in page.entries {
            *found.entry(entry.event.unwrap_or_default().resource).or_default() += 1;
        }
        if page.next_page_token.is_empty() {
            break;
        }
        search.page_token = page.next_page_token;
    }
    let doubled: Vec<_> = found.iter().filter(|(_, times)| **times != 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    assert_eq!(found.len(), made, "of {made} models that were acknowledged");
    let mut said = audit.verify_log(VerifyLogRequest::default()).await.expect("a check").into_inner();
    let mut report = None;
    while let Some(next) = said.message().await.expect("the check goes on") {
        report = Some(next);
    }
    assert!(report.as_ref().is_some_and(|report| report.complete && report.ok), "{report:#?}");
    eprintln!("{made} changes, {} of them asked for again", tally.again.load(Ordering::Relaxed));
}
