//! What a process costs that nobody asks for anything, by how many tenants it has, and what one change by itself sets in
//! motion, from its request to the KPI that is derived of it.

use super::Settings;
use super::memory;
use super::suite::{Bench, Engine};
use super::table::{Table, count};
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{CreateModelRequest, Model};
use remit_core::{SERVICES, Tenant};
use remit_store::{tenants, timers};
use std::time::Duration;

const TENANTS: [usize; 3] = [1, 200, 5_000];
/// How long what a start sets in motion may take.
const SETTLE: Duration = Duration::from_secs(20);
/// How long the process is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// When the timers are due that every tenant has.
const FAR: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Ticks of CPU time a second, of Linux everywhere.
const TICKS: f64 = 100.0;

/// The CPU time of this process, in seconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(f64::NAN);
    (ticks(11) + ticks(12)) / TICKS
}

/// The connections that were taken from the pools of all services so far: each is a transaction or a read.
fn taken(bench: &Bench) -> u64 {
    SERVICES.iter().filter_map(|service| bench.running.db(service)).map(|db| db.pool_stats().taken).sum()
}

pub async fn run_group(engine: Engine, _: &Settings) {
    let note = "One process with all services, which nobody calls; each tenant has a timer in every service, due in a month. \
                CPU: of one core, over 10 s. Taken: connections from the pools, a second. Change: the same count for one \
                CreateModel by itself, until all is quiet, less what the process takes idle in that time.";
    let heads = ["tenants", "CPU", "taken/s", "change", "RSS MiB"];
    let table = Table::new(&format!("Idle, {}", engine.name()), note, &heads, 9);
    for number in TENANTS {
        let bench = Bench::start(engine).await;
        for service in SERVICES {
            let Some(db) = bench.running.db(service) else { continue };
            for at in 0..number {
                let tenant = Tenant::new(format!("t{at}")).unwrap();
                tenants::see(db, &tenant).await.unwrap();
                let mut tx = db.write().await.unwrap();
                timers::schedule(&mut tx, &tenant, "far", "bench", db.now().plus(FAR), b"").await.unwrap();
                tx.commit().await.unwrap();
            }
        }
        tokio::time::sleep(SETTLE).await;
        let (used, before) = (cpu(), taken(&bench));
        tokio::time::sleep(LOOK).await;
        let share = 100.0 * (cpu() - used) / LOOK.as_secs_f64();
        let idle = (taken(&bench) - before) as f64 / LOOK.as_secs_f64();

        let admin = bench.admin().await;
        let create = |id: &str| {
            let model = Model { display_name: "A model".into(), owner: "dara".into(), ..Default::default() };
            CreateModelRequest { model_id: id.into(), model: Some(model), ..Default::default() }
        };
        // The first change of a tenant makes what every tenant has.
        ModelServiceClient::new(admin.clone()).create_model(create("first")).await.unwrap();
        tokio::time::sleep(SETTLE).await;
        let before = taken(&bench);
        ModelServiceClient::new(admin).create_model(create("second")).await.unwrap();
        tokio::time::sleep(LOOK).await;
        let change = (taken(&bench) - before) as f64 - idle * LOOK.as_secs_f64();
        table.row(vec![
            count(number as f64),
            format!("{share:.1} %"),
            count(idle),
            count(change),
            count(memory::resident()),
        ]);
        bench.stop().await;
    }
}
