//! Appends to the audit log, durable and in the tree when answered, beside the insertion of the same rows.

use super::Settings;
use super::load::{Load, beside, run};
use super::suite::{Bench, Engine, connections, scratch};
use super::table::{Table, count, ms, ratio};
use remit_api::audit::v1 as api;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::types;
use remit_audit::prepare::Prepared;
use remit_core::Timestamp;
use remit_store::testing::{Database, ids};
use remit_store::{BulkInsert, Db, Options};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Rows of one insert of the floor.
const FLOOR_ROWS: u64 = 500;
const CASES: [(usize, u64); 6] = [(1, 1), (16, 1), (64, 1), (256, 1), (1, 100), (16, 100)];

static NEXT: AtomicU64 = AtomicU64::new(0);

/// The next `n` numbers, never given twice.
pub fn numbers(n: u64) -> std::ops::Range<u64> {
    let first = NEXT.fetch_add(n, Ordering::Relaxed);
    first..first + n
}

/// An event like those that the services send, about 500 bytes encoded.
pub fn event(n: u64) -> api::Event {
    let at = Some(prost_types::Timestamp { seconds: 1_767_225_600 + (n / 50) as i64, nanos: 0 });
    let actor = types::Actor {
        subject: format!("person-{:04}@example.com", n * 7_919 % 2_000),
        kind: types::ActorKind::Human.into(),
        ..Default::default()
    };
    api::Event {
        actor_roles: vec!["operator".into()],
        id: format!("0199{n:028x}"),
        actor: Some(actor),
        action: ACTIONS[(n % 7) as usize].into(),
        resource: format!("models/m{:03}/versions/{}", n * 31 % 500, n % 9),
        outcome: if n.is_multiple_of(50) { api::Outcome::Denied } else { api::Outcome::Success }.into(),
        occurred_at: at,
        recorded_at: at,
        request_id: format!("req-{n:012}"),
        trace_id: format!("{:032x}", u128::from(n) + 1),
        service: "registry".into(),
        reason: if n.is_multiple_of(40) { "drift".into() } else { String::new() },
        model_version: format!("models/m{:03}/versions/{}", n * 31 % 500, n % 9),
        details_json: format!(
            "{{\"to\":\"{}\",\"note\":\"{:0>120}\"}}",
            ["ACTIVE", "SUSPENDED"][usize::from(n % 5_000 == 7)],
            n
        ),
        ..Default::default()
    }
}

const ACTIONS: [&str; 7] = [
    "registry.versions.transition",
    "registry.outputs.record",
    "registry.artifacts.create",
    "registry.models.create",
    "registry.aliases.set",
    "registry.automations.approve",
    "registry.labels.set",
];

/// The floor's database: the tables of the audit service, whose entries have two indexes, and nothing that uses them.
pub struct Floor {
    db: Db,
    _database: Option<Database>,
    _dir: tempfile::TempDir,
}

impl Floor {
    pub async fn open(engine: Engine) -> Self {
        let dir = tempfile::Builder::new().prefix("remit-floor").tempdir_in(scratch()).unwrap();
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Database::create().await.unwrap().unwrap()),
        };
        let file = format!("sqlite:{}", dir.path().join("floor.db").display());
        let url = database.as_ref().map_or(file, |database| database.url.clone());
        let db = Db::open(&url, &remit_audit::SCHEMA, ids(), Options::default()).await.unwrap();
        Self { db, _database: database, _dir: dir }
    }

    /// Inserts `rows` entries in one transaction.
    pub async fn insert(&self, rows: u64) {
        let numbers = numbers(rows);
        let entries: Vec<_> =
            numbers.clone().map(|n| (n, Prepared::new(event(n), "event", Timestamp(0)).unwrap())).collect();
        let column = |cell: &dyn Fn(&remit_audit::leaf::Leaf) -> String| {
            entries.iter().map(|(_, entry)| cell(&entry.leaf)).collect::<Vec<_>>()
        };
        let mut tx = self.db.write().await.unwrap();
        let inserted = BulkInsert::into("entries")
            .text("tenant_id", vec!["bench".to_owned(); entries.len()])
            .bigint("idx", numbers.map(|n| n as i64))
            .bytes("leaf_hash", entries.iter().map(|(_, entry)| entry.hash.0.to_vec()))
            .bytes("leaf", entries.iter().map(|(_, entry)| entry.line.clone()))
            .text("event_id", column(&|leaf| leaf.id.clone()))
            .text("actor", column(&|leaf| leaf.actor.subject.clone()))
            .text("actor_kind", column(&|leaf| leaf.actor.kind.clone()))
            .text("action", column(&|leaf| leaf.action.clone()))
            .text("resource", column(&|leaf| leaf.resource.clone()))
            .text("outcome", column(&|leaf| leaf.outcome.clone()))
            .text("service", column(&|leaf| leaf.service.clone()))
            .bigint("occurred_at", entries.iter().map(|(_, entry)| entry.times.0.0))
            .bigint("recorded_at", entries.iter().map(|(_, entry)| entry.times.1.0))
            .text("request_id", column(&|leaf| leaf.request_id.clone()))
            .text("trace_id", column(&|leaf| leaf.trace_id.clone()))
            .text("model_version", column(&|leaf| leaf.model_version().to_owned()))
            .execute(&mut tx)
            .await
            .unwrap();
        assert_eq!(inserted, rows);
        tx.commit().await.unwrap();
    }
}

pub async fn run_group(engine: Engine, settings: &Settings) {
    let bench = Bench::start(engine).await;
    let floor = Arc::new(Floor::open(engine).await);
    let table = Table::new(
        &format!("Audit append, {}", engine.name()),
        "Over gRPC with a JWT; answered after commit, with index and leaf hash. Floor: the same rows into the same \
         table with its two indexes (position and event id), 500 a transaction, over one connection, without gRPC; for a single caller of \
         single entries beside it the p50 of a transaction of one row. Target: 0.60 of the floor's rows with \
         concurrent callers; a single caller's p50 at most 1.5 of one durable commit.",
        &[
            "callers x entries",
            "entries/s",
            "floor/s",
            "ratio of rates   ",
            "p50 ms",
            "p99 ms",
            "1 row p50",
            "p50 ratio",
        ],
        17,
    );
    for (callers, entries) in CASES {
        let mut clients = Vec::new();
        for _ in 0..connections(callers) {
            clients.push(AuditServiceClient::new(bench.service("registry").await));
        }
        let clients = Arc::new(clients);
        let ours = || {
            let clients = clients.clone();
            run(callers, settings.turn, move |caller| {
                let client = clients[caller % clients.len()].clone();
                append(client, entries)
            })
        };
        let turn = settings.turn;
        let rows = |rows: u64| {
            let floor = floor.clone();
            run(1, turn, move |_| {
                let floor = floor.clone();
                async move { floor.insert(rows).await }
            })
        };
        let mut compared = beside((FLOOR_ROWS as f64, entries as f64), || rows(FLOOR_ROWS), ours).await;
        let p50 = compared.ours.percentile(0.5);
        let alone = if callers == 1 && entries == 1 { rows(1).await.percentile(0.5) } else { f64::NAN };
        let or_none = |text: String| if alone.is_nan() { "-".to_owned() } else { text };
        table.row(vec![
            format!("{callers} x {entries}"),
            count(compared.ours.rate() * entries as f64),
            count(compared.floor.rate() * FLOOR_ROWS as f64),
            ratio(compared.ratio),
            ms(p50),
            ms(compared.ours.percentile(0.99)),
            or_none(ms(alone)),
            or_none(format!("{:.2}", p50 / alone)),
        ]);
    }
    bench.stop().await;
}

pub type Client = AuditServiceClient<super::suite::Connection>;

async fn append(mut client: Client, entries: u64) {
    let mut numbers = numbers(entries);
    if entries == 1 {
        let event = event(numbers.start);
        client.append(api::AppendRequest { event: Some(event), prove: false }).await.unwrap();
        return;
    }
    let events = numbers.by_ref().map(event).collect();
    let answer = client.append_batch(api::AppendBatchRequest { events, prove: false }).await.unwrap().into_inner();
    assert_eq!(answer.results.len() as u64, entries);
}

/// Fills an empty log with the entries 0 to `entries`, in batches of 1,000 from four callers; for what is then read.
pub async fn fill(bench: &Bench, entries: u64) -> Load {
    NEXT.store(0, Ordering::Relaxed);
    let mut tasks = Vec::new();
    for caller in 0..4 {
        let client = AuditServiceClient::new(bench.service("registry").await);
        let share = entries / 4 + u64::from(caller < entries % 4);
        tasks.push(tokio::spawn(async move {
            let mut left = share;
            while left > 0 {
                let batch = left.min(1_000);
                append(client.clone(), batch).await;
                left -= batch;
            }
        }));
    }
    let start = std::time::Instant::now();
    for task in tasks {
        task.await.unwrap();
    }
    Load::counted(entries, start.elapsed())
}
