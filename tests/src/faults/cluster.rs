//! Drills of a cluster: two replicas of each service, which are killed, restarted one after the other, and cut off from
//! their database, while callers go on; a database that fails over to its standby, and one that has no connection left.
//! `make drills ARGS="cluster failover"`.

use crate::support::{Bearer, Process, Site, eventually};
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{SearchRequest, VerifyLogRequest};
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{CreateModelRequest, ListModelsRequest, Model};
use remit_api::system::v1::GetInfoRequest;
use remit_api::system::v1::system_service_client::SystemServiceClient;
use remit_core::{ActorKind, Kind, SERVICES};
use remit_runtime::{Peers, foreign};
use remit_store::testing::{TestDb, ids};
use remit_store::{Db, Options, Tx, query};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;
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
                    // Read as services read it: that a connection broke, the transport calls UNKNOWN.
                    let (code, error) = (status.code(), foreign(status));
                    if !matches!(error.kind(), Kind::Unavailable | Kind::DeadlineExceeded | Kind::Conflict) {
                        tally.wrong.lock().expect("no panic").push(format!("{code:?}: {error}"));
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

/// Processes on one database, and callers who make models all the time.
struct Drill {
    site: Site,
    running: BTreeMap<&'static str, Process>,
    tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl Drill {
    async fn start(database: &TestDb) -> Self {
        let toml = format!("[database]\nurl = \"{}\"\nconnections = 4\n", database.url());
        let processes: Vec<_> = REPLICAS.concat().into_iter().map(|replica| (replica, service_of(replica))).collect();
        let site = Site::new(&processes, &toml);
        let mut running = BTreeMap::new();
        for (replica, _) in &processes {
            running.insert(*replica, site.start(replica).await);
        }
        // Callers go round the replicas as services do.
        let urls = format!("{},{}", site.url("registry-1"), site.url("registry-2"));
        let addresses = BTreeMap::from([("registry".to_owned(), urls.as_str().into())]);
        let peers = Peers::new(&[], &addresses, &Default::default(), Arc::default(), Duration::from_secs(60));
        let peers = peers.expect("a way to the registry");
        let token = site.token("ada", ActorKind::Human, &["admin"]);
        let bearer = Bearer(format!("Bearer {token}").parse().expect("a header"));
        let (tally, stop) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
        let workers = (0..8).map(|worker| {
            let way = InterceptedService::new(peers.channel("registry"), bearer.clone());
            tokio::spawn(work(ModelServiceClient::new(way), worker, tally.clone(), stop.clone()))
        });
        let workers = workers.collect();
        Self { site, running, tally, stop, workers }
    }

    /// Waits until so many more models are made.
    async fn more(&self, by: usize) {
        let wanted = self.tally.made.load(Ordering::Relaxed) + by;
        eventually("callers get on", || async { self.tally.made.load(Ordering::Relaxed) >= wanted }).await;
    }

    fn asked_again(&self) -> usize {
        self.tally.again.load(Ordering::Relaxed)
    }

    /// Ends the callers; then every change that was acknowledged is there and in the log, once, and the log is whole.
    async fn finish(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers.drain(..) {
            worker.await.expect("a caller goes on to the end");
        }
        let wrong = self.tally.wrong.lock().expect("no panic").clone();
        assert!(wrong.is_empty(), "{wrong:#?}");
        let made = self.tally.made.load(Ordering::Relaxed);
        eventually("everything is handed over", || async {
            let mut well = true;
            for replica in ["registry-1", "registry-2"] {
                let mut system = SystemServiceClient::new(self.site.human("ada", &["admin"], replica));
                let info = system.get_info(GetInfoRequest {}).await;
                well &= info.is_ok_and(|info| info.into_inner().outbox_depth.values().all(|depth| *depth == 0));
            }
            well
        })
        .await;
        assert_eq!(models(&self.site).await, made, "of the models that were acknowledged");
        let found = entries(&self.site).await;
        let doubled: Vec<_> = found.iter().filter(|(_, times)| **times != 1).collect();
        assert!(doubled.is_empty(), "{doubled:?}");
        assert_eq!(found.len(), made, "of {made} models that were acknowledged");
        let mut audit = AuditServiceClient::new(self.site.human("ada", &["admin"], "audit-1"));
        let mut said = audit.verify_log(VerifyLogRequest::default()).await.expect("a check").into_inner();
        let mut report = None;
        while let Some(next) = said.message().await.expect("the check goes on") {
            report = Some(next);
        }
        assert!(report.as_ref().is_some_and(|report| report.complete && report.ok), "{report:#?}");
        eprintln!("{made} changes, {} of them asked for again", self.asked_again());
    }
}

/// How many models the registry has.
async fn models(site: &Site) -> usize {
    let mut registry = ModelServiceClient::new(site.human("ada", &["admin"], "registry-2"));
    let mut list = ListModelsRequest { page_size: 1_000, ..Default::default() };
    let mut count = 0;
    loop {
        let page = registry.list_models(list.clone()).await.expect("a page").into_inner();
        count += page.models.len();
        if page.next_page_token.is_empty() {
            return count;
        }
        list.page_token = page.next_page_token;
    }
}

/// How often each model's creation is in the log.
async fn entries(site: &Site) -> BTreeMap<String, usize> {
    let mut audit = AuditServiceClient::new(site.human("ada", &["admin"], "audit-1"));
    let mut found = BTreeMap::<String, usize>::new();
    let filter = "action = \"registry.models.create\"".to_owned();
    let mut search = SearchRequest { filter, page_size: 500, ..Default::default() };
    loop {
        let page = audit.search(search.clone()).await.expect("a page").into_inner();
        for entry in page.entries {
            *found.entry(entry.event.unwrap_or_default().resource).or_default() += 1;
        }
        if page.next_page_token.is_empty() {
            return found;
        }
        search.page_token = page.next_page_token;
    }
}

async fn postgres() -> TestDb {
    TestDb::postgres().await.expect("the test server can be used").expect("the drill needs PostgreSQL")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute and fourteen processes: `make drills ARGS=cluster`"]
async fn a_cluster_loses_and_doubles_nothing() {
    let database = postgres().await;
    let mut drill = Drill::start(&database).await;
    drill.more(20).await;
    // Each replica is killed and comes back; then each drains and comes back.
    for replica in REPLICAS.concat() {
        drill.running.get_mut(replica).expect("it runs").kill();
        drill.more(5).await;
        drill.running.insert(replica, drill.site.start(replica).await);
    }
    for replica in REPLICAS.concat() {
        let process = drill.running.get_mut(replica).expect("it runs");
        process.terminate();
        assert_eq!(process.wait(), 0, "{replica} ends well: {}", process.printed());
        drill.more(5).await;
        drill.running.insert(replica, drill.site.start(replica).await);
    }
    cut(&database).await;
    drill.more(20).await;
    drill.finish().await;
}

/// Names the command that kills the server of the tests and puts its standby in its place.
const FAIL_OVER: &str = "REMIT_DRILL_FAIL_OVER";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a server with a synchronous standby: `make drills ARGS=failover`"]
async fn a_fail_over_to_a_synchronous_standby_loses_and_doubles_nothing() {
    let command = std::env::var(FAIL_OVER).expect("the drill says how to fail over");
    let database = postgres().await;
    let drill = Drill::start(&database).await;
    drill.more(20).await;
    let before = drill.asked_again();
    let done = tokio::process::Command::new("bash").args(["-c", &command]).status().await;
    assert!(done.is_ok_and(|status| status.success()), "the standby takes over");
    drill.more(20).await;
    // What callers are told meanwhile is UNAVAILABLE: `finish` refuses anything else.
    assert!(drill.asked_again() > before, "nobody noticed");
    drill.finish().await;
}

/// What a page over HTTP answers, head and all.
async fn page(address: &str, path: &str) -> String {
    let mut answer = String::new();
    let Ok(mut stream) = tokio::net::TcpStream::connect(address).await else { return answer };
    let _ = stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes()).await;
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes all connections of the server: `make drills ARGS=cluster`"]
async fn a_server_without_connections_is_named_and_is_not_ready() {
    let database = postgres().await;
    let toml = format!("[database]\nurl = \"{}\"\nconnections = 4\n", database.url());
    let site = Site::new(&[("all-1", "all")], &toml);
    let process = site.start("all-1").await;
    let address = site.url("all-1").replace("http://", "");
    eventually("it is ready", || async { page(&address, "/readyz").await.starts_with("HTTP/1.1 200") }).await;
    let options = Options { max_connections: 1_000, acquire_timeout: Duration::from_millis(500), ..Options::default() };
    let options = Options { schema: Some("scoring".to_owned()), migrate: false, ..options };
    let db =
        Db::open(database.url(), &remit_scoring::SERVICE.schema, ids(), options).await.expect("the database opens");
    let mut held: Vec<Tx> = vec![db.read().await.expect("a connection")];
    // Its connections end, and somebody else has them all before it opens new ones.
    let ended = "select count(pg_terminate_backend(pid)) as ended from pg_stat_activity
                 where application_name like 'remit-%' and application_name <> 'remit-scoring'";
    let mut tries = 0;
    while !page(&address, "/readyz").await.starts_with("HTTP/1.1 503") {
        tries += 1;
        assert!(tries < 100, "the suite finds connections: {}", process.printed());
        let first = held.first_mut().expect("one is held");
        query(ended).fetch_one(first).await.expect("connections end");
        while let Ok(tx) = db.read().await {
            held.push(tx);
        }
    }
    let told = page(&address, "/readyz").await;
    assert!(told.contains("DATABASE_CONNECTIONS"), "{told}");
    assert!(process.printed().contains("DATABASE_CONNECTIONS"), "{}", process.printed());
    let mut models = ModelServiceClient::new(site.human("ada", &["admin"], "all-1"));
    let refused = models.list_models(ListModelsRequest::default()).await.expect_err("no connection");
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    drop(held);
    db.close().await;
    eventually("it is ready again", || async { page(&address, "/readyz").await.starts_with("HTTP/1.1 200") }).await;
    models.list_models(ListModelsRequest::default()).await.expect("a page");
}
