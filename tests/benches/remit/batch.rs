//! An inventory of 100,000 tasks: import, decisions, and a backtest over the decisions on record.

use super::Settings;
use super::memory;
use super::suite::{Bench, Connection, Engine, scratch};
use super::table::{Table, count};
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::scoring::v1::import_tasks_request::Part;
use remit_api::scoring::v1::policy_service_client::PolicyServiceClient;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::scoring::v1::{
    BacktestPolicyRequest, BatchDecideRequest, ImportTasksConfig, ImportTasksRequest, PlanAutomationRequest,
};
use remit_policy::{Input, Policy, seed};
use remit_store::testing::{Database, ids};
use remit_store::{Db, Options, Row, Tx, query};
use std::time::{Duration, Instant};
use tokio_stream::StreamExt as _;

const TASKS: usize = 100_000;
/// Rows of one transaction of the floor.
const FLOOR_ROWS: i64 = 500;

pub async fn run_group(engine: Engine, settings: &Settings) {
    let bench = Bench::start(engine).await;
    let table = Table::new(
        &format!("Inventory of {} tasks, {}", count(TASKS as f64), engine.name()),
        "Over gRPC, one caller. Floors: for the decisions, the insertion of the same rows, 500 a transaction, without \
         gRPC; for the backtest, reading the same rows and evaluating the same inputs in memory, one after the other.",
        &["call", "rows", "seconds", "rows/s", "floor/s", "ratio", "MiB before", "MiB peak"],
        16,
    );
    let admin = bench.admin().await;
    let show = |name: &str, rows: f64, took: Duration, floor: Option<f64>, before: f64| {
        let rate = rows / took.as_secs_f64();
        table.row(vec![
            name.into(),
            count(rows),
            format!("{:.1}", took.as_secs_f64()),
            count(rate),
            floor.map_or("-".into(), count),
            floor.map_or("-".into(), |floor| format!("{:.2}", rate / floor)),
            count(before),
            count(memory::peak()),
        ]);
    };
    let begin = || {
        memory::reset_peak();
        (memory::resident(), Instant::now())
    };

    let (before, start) = begin();
    import(admin.clone()).await;
    show("ImportTasks", TASKS as f64, start.elapsed(), None, before);

    let (before, start) = begin();
    let decided = decide(admin.clone()).await;
    let took = start.elapsed();
    assert_eq!(decided, TASKS as i64);
    let db = bench.running.db("scoring").unwrap().clone();
    let floor = floor(engine, &db).await;
    show("BatchDecide", TASKS as f64, took, Some(floor), before);

    let (before, start) = begin();
    let request = PlanAutomationRequest { page_size: 100, include_picture: true, ..Default::default() };
    let plan = DecisionServiceClient::new(admin.clone()).plan_automation(request).await.unwrap().into_inner();
    assert_eq!(plan.totals.unwrap().decided, TASKS as i64);
    show("PlanAutomation", TASKS as f64, start.elapsed(), None, before);

    multiply(&db, settings.decisions).await;
    let floor = read_and_evaluate(&db).await;
    let (before, start) = begin();
    let request = BacktestPolicyRequest {
        name: "policies/seed-004-inverted-sum/versions/1".into(),
        include_superseded: true,
        ..Default::default()
    };
    let mut stream = PolicyServiceClient::new(admin).backtest_policy(request).await.unwrap().into_inner();
    let mut done = 0;
    while let Some(message) = stream.next().await {
        done = message.unwrap().done;
    }
    show("BacktestPolicy", done as f64, start.elapsed(), Some(floor), before);
    bench.stop().await;
}

async fn import(connection: Connection) {
    let mut csv =
        "id,title,function,role,frequency_per_week,minutes_per_instance,complexity,predictability,risk,human_judgment,rater\n"
            .to_owned();
    for n in 0..TASKS {
        let score = |by: usize| 1 + n / by % 5;
        csv +=
            &format!("t{n:06},Task {n},paid_media,Ops,{},30,2,{},{},{},ada\n", n % 40, score(1), score(5), score(25));
    }
    let config = ImportTasksRequest { part: Some(Part::Config(ImportTasksConfig::default())) };
    let chunks: Vec<_> = csv.into_bytes().chunks(64 << 10).map(<[u8]>::to_vec).collect();
    let chunks = chunks.into_iter().map(|chunk| ImportTasksRequest { part: Some(Part::Chunk(chunk)) });
    let parts = tokio_stream::iter(std::iter::once(config).chain(chunks));
    let report = TaskServiceClient::new(connection).import_tasks(parts).await.unwrap().into_inner();
    assert!(report.errors.is_empty(), "{:?}", report.errors.first());
}

async fn decide(connection: Connection) -> i64 {
    let mut client = DecisionServiceClient::new(connection);
    let mut stream = client.batch_decide(BatchDecideRequest::default()).await.unwrap().into_inner();
    let mut decided = 0;
    while let Some(message) = stream.next().await {
        decided = message.unwrap().decided;
    }
    decided
}

/// How many rows of `decisions` a second are inserted by `insert … select` of 500 at a time into a database
/// with the same table and indexes: the rows are read from a copy in the same database.
async fn floor(engine: Engine, from: &Db) -> f64 {
    let dir = tempfile::Builder::new().prefix("remit-floor").tempdir_in(scratch()).unwrap();
    let database = match engine {
        Engine::Sqlite => None,
        Engine::Postgres => Some(Database::create().await.unwrap().unwrap()),
    };
    let file = format!("sqlite:{}", dir.path().join("floor.db").display());
    let url = database.as_ref().map_or(file, |database| database.url.clone());
    let db = Db::open(&url, &remit_scoring::SERVICE.schema, ids(), Options::default()).await.unwrap();
    let mut tx = from.read().await.unwrap();
    let rows = query("select * from decisions order by decision_id limit 20000").fetch_all(&mut tx).await.unwrap();
    let start = Instant::now();
    for rows in rows.chunks(FLOOR_ROWS as usize) {
        let mut tx = db.write().await.unwrap();
        insert(&mut tx, rows).await;
        tx.commit().await.unwrap();
    }
    rows.len() as f64 / start.elapsed().as_secs_f64()
}

async fn insert(tx: &mut Tx, rows: &[Row]) {
    let text = |name: &str| rows.iter().map(|row| row.get::<String>(name).unwrap()).collect::<Vec<_>>();
    let number = |name: &str| rows.iter().map(|row| row.get::<i64>(name).unwrap()).collect::<Vec<_>>();
    remit_store::BulkInsert::into("decisions")
        .text("tenant_id", text("tenant_id"))
        .text("decision_id", text("decision_id"))
        .text("task_id", text("task_id"))
        .text("pattern", text("pattern"))
        .text("band", text("band"))
        .text("policy", text("policy"))
        .text("policy_digest", text("policy_digest"))
        .text("task_digest", text("task_digest"))
        .text("function_digest", text("function_digest"))
        .text("caps", text("caps"))
        .bigint("in_force", number("in_force"))
        .bigint("decide_time", number("decide_time"))
        .text("batch", text("batch"))
        .bigint("ordinal", number("ordinal"))
        .bytes("body", rows.iter().map(|row| row.get::<Vec<u8>>("body").unwrap()))
        .execute(tx)
        .await
        .unwrap();
}

/// Repeats the decisions on record as superseded ones until there are `decisions`.
async fn multiply(db: &Db, decisions: u64) {
    let copies = decisions.div_ceil(TASKS as u64).max(1) - 1;
    for copy in 0..copies {
        let mut tx = db.write().await.unwrap();
        query(
            "insert into decisions (tenant_id, decision_id, task_id, pattern, band, policy, policy_digest, task_digest,
                 function_digest, caps, in_force, decide_time, end_time, batch, ordinal, body)
             select tenant_id, decision_id || $1, task_id, pattern, band, policy, policy_digest, task_digest,
                 function_digest, caps, 0, decide_time, decide_time, batch || $1, ordinal, body
             from decisions where in_force = 1",
        )
        .bind(format!("-{copy}"))
        .execute(&mut tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
    }
}

/// Decisions a second when one thread reads them in pages, and evaluates their inputs.
async fn read_and_evaluate(db: &Db) -> f64 {
    let policy = Policy::parse(seed::INVERTED_SUM.as_bytes()).unwrap();
    let (mut after, mut done, start) = (String::new(), 0, Instant::now());
    while done < 200_000 {
        let mut tx = db.read().await.unwrap();
        let rows = query(
            "select decision_id, body from decisions where tenant_id = 'bench' and decision_id > $1
             order by decision_id limit 5000",
        )
        .bind(after.as_str())
        .fetch_all(&mut tx)
        .await
        .unwrap();
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            let body: Vec<u8> = row.get("body").unwrap();
            let decision = <remit_api::scoring::v1::Decision as prost::Message>::decode(body.as_slice()).unwrap();
            let input: Input = serde_json::from_str(&decision.inputs_json).unwrap();
            std::hint::black_box(policy.evaluate(&input).unwrap());
        }
        done += rows.len();
        after = rows.last().unwrap().get("decision_id").unwrap();
    }
    done as f64 / start.elapsed().as_secs_f64()
}
