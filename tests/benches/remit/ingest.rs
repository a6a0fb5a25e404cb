//! Events of KPIs in batches of 1,000, recorded once whatever is resent, durable and summed up when answered, beside the same
//! rows in bulk.

use super::Settings;
use super::load::{Load, beside};
use super::memory;
use super::suite::{Bench, Connection, Engine, scratch};
use super::table::{Table, count, ratio};
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::kpi::v1::{
    CreateKpiRequest, Dimension, Direction, Event, Granularity, Kind, Kpi, Layer, QueryRollupsRequest,
    RecordEventsRequest, Unit,
};
use remit_api::types::TimeRange;
use remit_core::{Clock as _, SystemClock};
use remit_store::testing::{Database, ids};
use remit_store::{BulkInsert, Db, Migration, Options, Schema, Sql};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const ROWS: u64 = 1_000;
const CHANNELS: [&str; 10] = ["email", "phone", "web", "sms", "social", "search", "display", "video", "print", "event"];
const HOUR: u64 = 3_600_000_000;
/// How far back events reach.
const SPANS: [(&str, u64); 2] = [("of the last hour", HOUR), ("spread over 90 days", 90 * 24 * HOUR)];
/// Batches of one turn: enough that what is put off is done several times.
const BATCHES: u64 = 60;

/// The columns of an event, with the unique index alone.
const FLOOR: Schema = Schema {
    service: "floor",
    migrations: &[Migration::new(
        1,
        "init",
        "create table floor_events (
           tenant_id $KEY not null,
           kpi_id $KEY not null,
           event_id $KEY not null,
           kpi_version bigint not null,
           series_id bigint not null,
           occurred_at bigint not null,
           recorded_at bigint not null,
           recorded_by $KEY not null,
           value bigint,
           retract bigint not null,
           constraint floor_events_pk primary key (tenant_id, kpi_id, event_id)
         );",
    )],
};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// One event as a row: its id, when it happened, its series and its value in millionths.
struct Line {
    id: String,
    at: i64,
    series: u64,
    value: i64,
}

/// The next thousand, within `span` before now, in no order.
fn lines(span: u64) -> Vec<Line> {
    let now = SystemClock.now().0;
    let first = NEXT.fetch_add(ROWS, Ordering::Relaxed);
    let line = |n: u64| {
        // Knuth's multiplicative hash spreads them without a generator of random numbers.
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Line {
            id: format!("{mixed:016x}-{n}"),
            at: now - i64::try_from((mixed >> 11) % span).unwrap(),
            series: mixed % CHANNELS.len() as u64,
            value: i64::try_from(mixed >> 44).unwrap() * 1_000,
        }
    };
    (first..first + ROWS).map(line).collect()
}

struct Floor {
    db: Db,
    engine: Engine,
    _database: Option<Database>,
    dir: tempfile::TempDir,
}

impl Floor {
    async fn open(engine: Engine) -> Self {
        // The server of PostgreSQL reads what it copies, under its own user.
        let dir = tempfile::Builder::new().prefix("remit-floor").tempdir_in(scratch()).unwrap();
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Database::create().await.unwrap().unwrap()),
        };
        let file = format!("sqlite:{}", dir.path().join("floor.db").display());
        let url = database.as_ref().map_or(file, |database| database.url.clone());
        let db = Db::open(&url, &FLOOR, ids(), Options::default()).await.unwrap();
        let dir = match engine {
            Engine::Sqlite => dir,
            Engine::Postgres => shared_dir(),
        };
        Self { db, engine, _database: database, dir }
    }

    /// Inserts as many batches as a turn has, a transaction each; what is inserted is made before.
    async fn turn(&self, span: u64) -> Load {
        match self.engine {
            Engine::Postgres => self.copy(span).await,
            Engine::Sqlite => self.bulk(span).await,
        }
    }

    async fn copy(&self, span: u64) -> Load {
        let now = SystemClock.now().0;
        let mut statements = Vec::new();
        for batch in 0..BATCHES {
            let path = self.dir.path().join(format!("{batch}.tsv"));
            let rows = lines(span).into_iter().map(|line| {
                let Line { id, at, series, value } = line;
                format!("bench\tamounts\t{id}\t1\t{series}\t{at}\t{now}\tplatform\t{value}\t0\n")
            });
            std::fs::write(&path, rows.collect::<String>()).unwrap();
            let text = format!("copy floor_events from '{}'", path.display());
            // A handful of short texts a run.
            let text: &'static str = Box::leak(text.into_boxed_str());
            statements.push(text);
        }
        let start = Instant::now();
        for text in statements {
            let mut tx = self.db.write().await.unwrap();
            Sql::new(text).query().execute(&mut tx).await.unwrap();
            tx.commit().await.unwrap();
        }
        Load::counted(BATCHES, start.elapsed())
    }

    async fn bulk(&self, span: u64) -> Load {
        let now = SystemClock.now().0;
        let batches: Vec<Vec<Line>> = (0..BATCHES).map(|_| lines(span)).collect();
        let start = Instant::now();
        for batch in batches {
            let mut tx = self.db.write().await.unwrap();
            let number = |cell: &dyn Fn(&Line) -> i64| batch.iter().map(cell).collect::<Vec<_>>();
            let same = |text: &str| vec![text.to_owned(); batch.len()];
            BulkInsert::into("floor_events")
                .text("tenant_id", same("bench"))
                .text("kpi_id", same("amounts"))
                .text("event_id", batch.iter().map(|line| line.id.clone()))
                .bigint("kpi_version", number(&|_| 1))
                .bigint("series_id", number(&|line| i64::try_from(line.series).unwrap()))
                .bigint("occurred_at", number(&|line| line.at))
                .bigint("recorded_at", number(&|_| now))
                .text("recorded_by", same("platform"))
                .bigint("value", number(&|line| line.value))
                .bigint("retract", number(&|_| 0))
                .execute(&mut tx)
                .await
                .unwrap();
            tx.commit().await.unwrap();
        }
        Load::counted(BATCHES, start.elapsed())
    }
}

/// A directory that every user may look into.
fn shared_dir() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::Builder::new().prefix("remit-copy").tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn event(kpi: &str, line: Line) -> Event {
    let micros = line.at.rem_euclid(1_000_000);
    let at = prost_types::Timestamp {
        seconds: line.at.div_euclid(1_000_000),
        nanos: i32::try_from(micros * 1_000).unwrap(),
    };
    let channel = CHANNELS[usize::try_from(line.series).unwrap()];
    Event {
        event_id: line.id,
        kpi: kpi.to_owned(),
        occurred_at: Some(at),
        value: Some(line.value as f64 / 1e6),
        dimensions: [("channel".to_owned(), channel.to_owned())].into(),
        ..Event::default()
    }
}

type Client = KpiServiceClient<Connection>;

async fn create(client: &mut Client, id: &str) -> String {
    let mut kpi = Kpi { display_name: "Amounts".to_owned(), description: "Amounts.".to_owned(), ..Kpi::default() };
    kpi.set_layer(Layer::Execution);
    kpi.set_kind(Kind::Mean);
    kpi.set_unit(Unit::Index);
    kpi.set_direction(Direction::HigherIsBetter);
    kpi.dimensions = vec![Dimension { key: "channel".to_owned(), max_values: 20, required: false }];
    let request = CreateKpiRequest { kpi_id: id.to_owned(), kpi: Some(kpi), ..Default::default() };
    client.create_kpi(request).await.unwrap().into_inner().name
}

async fn turn(client: &mut Client, kpi: &str, span: u64) -> Load {
    let requests: Vec<RecordEventsRequest> = (0..BATCHES)
        .map(|_| {
            let events: Vec<Event> = lines(span).into_iter().map(|line| event(kpi, line)).collect();
            RecordEventsRequest { request_id: events[0].event_id.clone(), events, skip_invalid: false }
        })
        .collect();
    let start = Instant::now();
    for request in requests {
        let answer = client.record_events(request).await.unwrap().into_inner();
        assert_eq!(u64::try_from(answer.accepted_count).unwrap(), ROWS);
    }
    Load::counted(BATCHES, start.elapsed())
}

/// The least of five times that 90 days by channel take, in milliseconds, once there is something waiting to be folded.
async fn query(client: &mut Client, kpi: &str) -> f64 {
    let now = SystemClock.now().0 / 1_000_000;
    let end = now - now.rem_euclid(86_400) + 86_400;
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let request = QueryRollupsRequest {
        kpi: kpi.to_owned(),
        range: Some(TimeRange { start_time: at(end - 91 * 86_400), end_time: at(end) }),
        granularity: Granularity::Day.into(),
        group_by: vec!["channel".to_owned()],
        ..Default::default()
    };
    let mut least = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        let answer = client.query_rollups(request.clone()).await.unwrap().into_inner();
        assert_eq!(answer.rollups.len(), 91 * CHANNELS.len());
        least = least.min(start.elapsed().as_secs_f64() * 1e3);
    }
    least
}

pub async fn run_group(engine: Engine, _settings: &Settings) {
    let bench = Bench::start(engine).await;
    let floor = Floor::open(engine).await;
    let table = Table::new(
        &format!("Events of KPIs, {}, batches of 1,000", engine.name()),
        "Over gRPC with a JWT and a request id, one caller, ten series; durable, once whatever is resent, in the rollups when \
         answered. Floor: on PostgreSQL COPY of the same rows, 1,000 a transaction, from a file of the server into a table \
         with the same unique index; on SQLite their bulk insert. CPU is that of this process, which is client and, on SQLite, \
         database too. Target: 0.50 of the floor. 90 days by day and channel are asked for after that.",
        &["events", "events/s", "floor/s", "ratio of rates   ", "CPU µs/event", "query ms"],
        19,
    );
    let mut client = KpiServiceClient::new(bench.admin().await);
    for (name, span) in SPANS {
        let kpi = create(&mut client, &format!("amounts-{}", span / HOUR)).await;
        let spent = std::cell::Cell::new(0.0);
        let ours = || {
            let (mut client, kpi, spent) = (client.clone(), kpi.as_str(), &spent);
            async move {
                let before = memory::cpu();
                let load = turn(&mut client, kpi, span).await;
                spent.set(spent.get() + memory::cpu() - before);
                load
            }
        };
        let compared = beside((ROWS as f64, ROWS as f64), || floor.turn(span), ours).await;
        let events = (3 * BATCHES * ROWS) as f64;
        let asked = query(&mut client, &kpi).await;
        table.row(vec![
            name.into(),
            count(compared.ours.rate() * ROWS as f64),
            count(compared.floor.rate() * ROWS as f64),
            ratio(compared.ratio),
            format!("{:.1}", spent.get() * 1e6 / events),
            format!("{asked:.1}"),
        ]);
    }
    bench.stop().await;
}
