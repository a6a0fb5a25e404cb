//! The audit log when things fail around it: no acknowledged entry is missing, no index has a gap or a double,
//! and the server's own check and the offline verifier agree.
//!
//! - `kills`: `kill -9` of one process, and of one of two replicas;
//! - `connections`: a database that drops its connections, or that another program holds;
//! - `disk`: a file system without space;
//! - `queue`: a log that cannot keep up.

mod connections;
mod disk;
mod kills;
mod queue;

use crate::support::{Bearer, Process, eventually, free_port, reason};
use futures::future::join_all;
use remit_api::audit::v1 as api;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::types;
use remit_audit::export_verify::{Beforehand, verify_export};
use remit_core::{Actor, ActorKind, Tenant};
use remit_runtime::Config;
use remit_runtime::auth::{Keyring, Signer};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

type Client = AuditServiceClient<InterceptedService<Channel, Bearer>>;

/// Callers that append at the same time.
const WRITERS: u64 = 8;

/// An append that was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    code: Code,
    reason: String,
    /// How long the server says to wait.
    retry_after: Option<Duration>,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let retry_after = status.get_details_retry_info().and_then(|info| info.retry_delay);
        Self { code: status.code(), reason: reason(&status), retry_after }
    }
}

/// What the writers know: the place of everything that was acknowledged, and what was sent in vain.
#[derive(Default)]
struct Ledger {
    acknowledged: Mutex<BTreeMap<String, (i64, Vec<u8>)>>,
    unanswered: Mutex<Vec<Vec<String>>>,
    refusals: Mutex<Vec<Refusal>>,
    next_id: AtomicU64,
    /// The length of the details of each event.
    padding: usize,
}

impl Ledger {
    fn count(&self) -> usize {
        self.acknowledged.lock().expect("no writer panicked").len()
    }

    fn refusals(&self) -> Vec<Refusal> {
        self.refusals.lock().expect("no writer panicked").clone()
    }

    /// The ids of the next batch: what was not answered comes again, under the same ids.
    fn next(&self) -> Vec<String> {
        let left = self.unanswered.lock().expect("no writer panicked").pop();
        left.unwrap_or_else(|| {
            let first = self.next_id.fetch_add(20, Ordering::Relaxed);
            (0..1 + first / 20 % 13).map(|n| format!("e{}", first + n)).collect()
        })
    }

    /// Appends one batch; false if there was no answer.
    async fn append(&self, client: Client) -> bool {
        let ids = self.next();
        self.send(client, ids).await
    }

    async fn send(&self, mut client: Client, ids: Vec<String>) -> bool {
        let events = ids.iter().map(|id| event(id, self.padding)).collect();
        match client.append_batch(api::AppendBatchRequest { events, prove: false }).await {
            Ok(answer) => {
                let mut acknowledged = self.acknowledged.lock().expect("no writer panicked");
                for (id, place) in ids.into_iter().zip(answer.into_inner().results) {
                    let before = acknowledged.insert(id, (place.index, place.leaf_hash.clone()));
                    assert!(before.is_none_or(|before| before == (place.index, place.leaf_hash)));
                }
                true
            }
            Err(status) => {
                self.unanswered.lock().expect("no writer panicked").push(ids);
                self.refusals.lock().expect("no writer panicked").push(status.into());
                false
            }
        }
    }
}

fn event(id: &str, padding: usize) -> api::Event {
    // The same for every resend.
    let at = Some(prost_types::Timestamp { seconds: 1_767_225_600, nanos: 0 });
    api::Event {
        id: id.to_owned(),
        actor: Some(types::Actor { subject: "ann".into(), kind: types::ActorKind::Human.into(), ..Default::default() }),
        action: "registry.versions.suspend".into(),
        resource: format!("models/{id}"),
        outcome: api::Outcome::Success.into(),
        occurred_at: at,
        recorded_at: at,
        service: "registry".into(),
        details_json: if padding == 0 { String::new() } else { format!("\"{}\"", "x".repeat(padding)) },
        ..Default::default()
    }
}

/// Writers that append until they are stopped.
struct Writers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Writers {
    fn start(suite: &Replicas, ledger: &Arc<Ledger>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..WRITERS).map(|writer| {
            let (ledger, stop) = (ledger.clone(), stop.clone());
            let client = suite.client(writer as usize % suite.replicas.len(), &suite.bearer);
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if !ledger.append(client.clone()).await {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            })
        });
        Self { tasks: tasks.collect(), stop }
    }

    /// Lets each end the batch that it waits for, so that none is torn from the ledger.
    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a writer ends by itself");
        }
    }
}

struct Replica {
    url: String,
    config: String,
}

/// Processes that share one configuration but for the port, and the tokens to call them.
struct Replicas {
    logs: tempfile::TempDir,
    replicas: Vec<Replica>,
    bearer: Bearer,
    auditor: Bearer,
}

impl Replicas {
    fn new(database: Option<&str>, count: usize) -> Self {
        Self::with(database, count, None, "")
    }

    /// With its data in `data` if given, and with more configuration.
    fn with(database: Option<&str>, count: usize, data: Option<&Path>, more: &str) -> Self {
        let logs = tempfile::tempdir().expect("a temporary directory");
        let data = data.map_or_else(|| logs.path().join("data"), Path::to_owned);
        let mut toml = format!("[data]\ndir = \"{}\"\n[telemetry]\nlog = \"error\"\n{more}", data.display());
        if let Some(url) = database {
            toml += &format!("[database]\nurl = \"{url}\"\nconnections = 4\n");
        }
        let config = Config::from_toml(&toml).expect("a valid configuration");
        let signer = Signer::development(&config).expect("a development issuer");
        let replicas = (0..count)
            .map(|number| {
                let url = format!("127.0.0.1:{}", free_port());
                let path = logs.path().join(format!("replica-{number}.toml"));
                std::fs::write(&path, format!("{toml}[server]\nlisten = \"{url}\"\n")).expect("a file can be written");
                let config = path.to_str().expect("a temporary path is text").to_owned();
                Replica { url: format!("http://{url}"), config }
            })
            .collect();
        let person = |subject: &str, role: &str| Actor {
            subject: subject.into(),
            kind: ActorKind::Human,
            roles: vec![role.into()],
            role_groups: vec![],
            on_behalf_of: None,
        };
        let bearer = |signer: &Signer, actor: Actor| {
            let tenant = Tenant::new("acme").expect("a valid tenant");
            let token = signer.token(&tenant, &actor, Duration::from_secs(1_200)).expect("a token can be signed");
            Bearer(format!("Bearer {token}").parse().expect("a token is a header value"))
        };
        let services = Keyring::open(&config, &["registry"]).expect("a key of the suite's own");
        let registry = services.signer("registry").expect("the key of the registry");
        let (service, auditor) =
            (bearer(registry, Actor::service("registry")), bearer(&signer, person("dpo", "auditor")));
        Self { logs, replicas, bearer: service, auditor }
    }

    fn client(&self, number: usize, bearer: &Bearer) -> Client {
        let endpoint = Endpoint::from_shared(self.replicas[number].url.clone()).expect("a valid URL").tcp_nodelay(true);
        AuditServiceClient::new(InterceptedService::new(endpoint.connect_lazy(), bearer.clone()))
    }

    fn start(&self, number: usize) -> Process {
        let name = format!("replica-{number}");
        Process::start(
            self.logs.path(),
            &name,
            &["serve", "--only", "audit", "--config", &self.replicas[number].config],
        )
    }

    async fn ready(&self, number: usize, process: &mut Process) {
        eventually("the log answers", || {
            let (mut client, running) = (self.client(number, &self.auditor), process.is_running());
            let printed = if running { String::new() } else { process.printed() };
            async move {
                assert!(running, "it ended: {printed}");
                client.get_checkpoint(api::GetCheckpointRequest::default()).await.is_ok()
            }
        })
        .await;
    }

    /// Starts all, one after the other: the first creates the keys that they share.
    async fn start_all(&self) -> Vec<Process> {
        let mut running = Vec::new();
        for number in 0..self.replicas.len() {
            let mut process = self.start(number);
            self.ready(number, &mut process).await;
            running.push(process);
        }
        running
    }
}

/// Everything that was acknowledged is where it was said to be, and nothing is wrong with the log.
async fn check(suite: &Replicas, ledger: &Ledger) {
    while !ledger.unanswered.lock().expect("no writer panicked").is_empty() {
        let sent = join_all((0..WRITERS).map(|_| ledger.append(suite.client(0, &suite.bearer)))).await;
        assert!(sent.iter().any(|answered| *answered), "the log does not answer");
    }
    let mut client = suite.client(0, &suite.auditor);
    let size =
        client.get_checkpoint(api::GetCheckpointRequest::default()).await.expect("a checkpoint").into_inner().size;
    let mut said = client.verify_log(api::VerifyLogRequest::default()).await.expect("a check").into_inner();
    let report = loop {
        let report = said.message().await.expect("the log is checked").expect("a report at the end");
        if report.complete {
            break report;
        }
    };
    assert!(report.ok, "{:#?}", report.findings);
    // Checks and exports are entries too, and may come at any time.
    let checked = report.checked_entry_count;
    assert!(checked >= size, "{checked} of {size} were checked");
    let as_checked = api::ExportRequest { size: checked, ..Default::default() };
    let mut pieces = client.export(as_checked).await.expect("an export").into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.message().await.expect("an export goes on") {
        bytes.extend(piece.data);
    }
    let verified = verify_export(bytes.as_slice(), &Beforehand::default()).expect("the export verifies");
    assert_eq!((verified.entries as i64, verified.checkpoint.root.0.to_vec()), (checked, report.root_hash));

    let request = api::TailRequest { snapshot_only: true, ..Default::default() };
    let mut found = BTreeMap::new();
    let mut tail = client.tail(request).await.expect("a tail").into_inner();
    while let Some(message) = tail.message().await.expect("the tail goes on") {
        for entry in message.entries {
            let id = entry.event.expect("nothing was pruned").id;
            assert!(found.insert(id.clone(), (entry.index, entry.leaf_hash)).is_none(), "{id} stands twice");
        }
    }
    let acknowledged = ledger.acknowledged.lock().expect("no writer panicked").clone();
    assert!(!acknowledged.is_empty());
    for (id, place) in acknowledged {
        assert_eq!(found.get(&id), Some(&place), "{id} was acknowledged");
    }
}
