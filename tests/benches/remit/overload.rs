//! What one tenant and many silent sockets cost the others: memory, success and latency of their calls, whether checks
//! and holds get through, and how long it takes until all is as before.

use super::Settings;
use super::load::{Load, run};
use super::memory;
use super::suite::{Bench, Connection, Engine};
use super::table::{Table, ms};
use remit_api::audit::v1::TailRequest;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::council::v1::ListHoldsRequest;
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::scoring::v1::{CheckTaskRequest, ListTasksRequest};
use remit_core::{ActorKind, Tenant};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

const CALLS: usize = 200;
const CONNECTIONS: usize = 1_000;
const SILENT: usize = 1_500;
const TAILS: usize = 2_000;
/// Callers of the tenant that takes all: ten times what the server takes at once.
const GREEDY: usize = 10 * CALLS;
/// How many calls of the tenant that takes all share a connection.
const SHARED: usize = 100;

/// What calls of one sort came to.
#[derive(Default)]
struct Tally {
    made: AtomicU64,
    failed: AtomicU64,
}

impl Tally {
    fn count(&self, ok: bool) {
        self.made.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(!ok), Ordering::Relaxed);
    }

    /// The share that succeeded.
    fn share(&self) -> String {
        let (made, failed) = (self.made.load(Ordering::Relaxed) as f64, self.failed.load(Ordering::Relaxed) as f64);
        if made == 0.0 { "-".into() } else { format!("{:.1} %", 100.0 * (made - failed) / made) }
    }
}

/// Somebody of another tenant, who does ordinary work.
struct Bystander {
    tasks: TaskServiceClient<Connection>,
    checks: DecisionServiceClient<Connection>,
    holds: HoldServiceClient<Connection>,
}

/// What the bystander saw.
struct Seen {
    load: Load,
    tallies: Arc<[Tally; 3]>,
}

impl Bystander {
    async fn new(bench: &Bench) -> Self {
        Self {
            tasks: TaskServiceClient::new(bench.connect("ann", ActorKind::Human, "viewer").await),
            checks: DecisionServiceClient::new(bench.connect("platform", ActorKind::Service, "platform").await),
            holds: HoldServiceClient::new(bench.connect("mia", ActorKind::Human, "member").await),
        }
    }

    /// Works for a turn: six callers, two of each sort.
    async fn work(&self, turn: Duration) -> Seen {
        let tallies: Arc<[Tally; 3]> = Arc::default();
        let (tasks, checks, holds, counts) =
            (self.tasks.clone(), self.checks.clone(), self.holds.clone(), tallies.clone());
        let load = run(6, turn, move |caller| {
            let (mut tasks, mut checks, mut holds) = (tasks.clone(), checks.clone(), holds.clone());
            let counts = counts.clone();
            async move {
                let ok = match caller % 3 {
                    0 => tasks.list_tasks(ListTasksRequest::default()).await.is_ok(),
                    1 => {
                        let check = CheckTaskRequest {
                            task: "tasks/none".into(),
                            model_version: "models/none/versions/1".into(),
                            ..Default::default()
                        };
                        checks.check_task(check).await.is_ok()
                    }
                    _ => holds.list_holds(ListHoldsRequest::default()).await.is_ok(),
                };
                counts[caller % 3].count(ok);
                if !ok {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        })
        .await;
        Seen { load, tallies }
    }

    /// How long until a new connection and twenty calls in a row succeed, in seconds.
    async fn recovery(bench: &Bench) -> f64 {
        let begin = Instant::now();
        loop {
            let fresh = Self::new(bench).await;
            let mut well = 0;
            while well < 20 && fresh.tasks.clone().list_tasks(ListTasksRequest::default()).await.is_ok() {
                well += 1;
            }
            if well == 20 {
                return begin.elapsed().as_secs_f64();
            }
        }
    }
}

/// Connections of the tenant that takes all, for so many callers with ten names.
async fn greedy(bench: &Bench, callers: usize) -> Vec<Connection> {
    let tenant = Tenant::new("greedy").unwrap();
    let mut connections = Vec::new();
    for number in 0..callers.div_ceil(SHARED) {
        let subject = format!("greedy-{}", number % 10);
        connections.push(bench.connect_as(&tenant, &subject, ActorKind::Human, "viewer").await);
    }
    connections
}

/// Opens as many tails as it gets.
async fn hoard(bench: &Bench) -> Vec<JoinHandle<()>> {
    let connections = greedy(bench, TAILS).await;
    let tail = |number: usize| {
        let mut client = AuditServiceClient::new(connections[number % connections.len()].clone());
        tokio::spawn(async move {
            loop {
                if let Ok(tail) = client.tail(TailRequest::default()).await {
                    let mut tail = tail.into_inner();
                    while let Ok(Some(_)) = tail.message().await {}
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        })
    };
    (0..TAILS).map(tail).collect()
}

/// Calls without a pause, but for what a refusal asks for at least.
async fn flood(bench: &Bench) -> Vec<JoinHandle<()>> {
    let connections = greedy(bench, GREEDY).await;
    let caller = |number: usize| {
        let mut client = TaskServiceClient::new(connections[number % connections.len()].clone());
        tokio::spawn(async move {
            loop {
                if client.list_tasks(ListTasksRequest::default()).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        })
    };
    (0..GREEDY).map(caller).collect()
}

pub async fn run_group(engine: Engine, settings: &Settings) {
    let more = format!("max_calls = {CALLS}\nmax_connections = {CONNECTIONS}\n");
    let bench = Bench::start_with(engine, &more).await;
    let table = Table::new(
        &format!("Overload, {}", engine.name()),
        &format!(
            "A bystander of another tenant lists tasks, checks and reads holds while somebody opens {SILENT} silent \
             sockets ({CONNECTIONS} connections are taken), holds {TAILS} tails as one tenant, and calls with {GREEDY} \
             callers where {CALLS} calls are taken at once. Recovery: from the end of it until a new connection and \
             twenty calls succeed."
        ),
        &["while", "p50 ms", "p99 ms", "tasks ok", "checks ok", "holds ok", "MiB", "peak MiB", "recovery s"],
        16,
    );
    let bystander = Bystander::new(&bench).await;
    for phase in ["before", "silent sockets", "hoarded streams", "10 × the calls", "after"] {
        memory::reset_peak();
        let (mut silent, mut tasks) = (Vec::new(), Vec::new());
        match phase {
            "silent sockets" => {
                for _ in 0..SILENT {
                    silent.push(TcpStream::connect(bench.addr()).await.unwrap());
                }
            }
            "hoarded streams" => tasks = hoard(&bench).await,
            "10 × the calls" => tasks = flood(&bench).await,
            _ => {}
        }
        let mut seen = bystander.work(settings.turn).await;
        let resident = memory::resident();
        drop(silent);
        tasks.iter().for_each(JoinHandle::abort);
        let recovery = Bystander::recovery(&bench).await;
        let [tasks, checks, holds] = &*seen.tallies;
        table.row(vec![
            phase.into(),
            ms(seen.load.percentile(0.5)),
            ms(seen.load.percentile(0.99)),
            tasks.share(),
            checks.share(),
            holds.share(),
            format!("{resident:.0}"),
            format!("{:.0}", memory::peak()),
            format!("{recovery:.2}"),
        ]);
    }
    bench.stop().await;
}
