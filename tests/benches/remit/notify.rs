//! Webhooks: deliveries a second to a receiver on this machine beside a client that only posts the same bytes to it, how long
//! an event takes to arrive when nothing else happens, and what waiting costs.

use super::Settings;
use super::load::{Load, beside};
use super::suite::{Bench, Connection, Engine};
use super::table::{Table, count, ms, ratio};
use remit_api::audit::v1 as audit;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::notify::v1::subscription_service_client::SubscriptionServiceClient;
use remit_api::notify::v1::{
    CreateSubscriptionRequest, ListDeliveriesRequest, PauseSubscriptionRequest, ResumeSubscriptionRequest,
    RotateSecretRequest, Subscription,
};
use remit_api::types;
use remit_core::Tenant;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How many deliveries wait at the beginning of a turn.
const WAITING: u64 = 4_000;
/// How many of one subscription are under way at once, and so how many callers the floor has.
const ABREAST: usize = 4;
const SETTINGS: &str = "[notify]\nallow_http = true\nallow_addresses = [\"127.0.0.0/8\"]\n[limits]\nrate_per_tenant = 0\nrate_per_subject = 0\n";
const SAMPLES: usize = 60;
/// How long what new subscriptions and tenants set in motion may take.
const SETTLE: Duration = Duration::from_secs(10);

/// A receiver that takes everything.
#[derive(Clone, Default)]
struct Receiver {
    taken: Arc<AtomicU64>,
    /// When each resource was first named to it.
    seen: Arc<Mutex<BTreeMap<String, Instant>>>,
    notes: bool,
}

impl Receiver {
    async fn start(notes: bool) -> (SocketAddr, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, receiver) = (listener.local_addr().unwrap(), Self { notes, ..Self::default() });
        let all = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let one = all.clone();
                tokio::spawn(async move { one.serve(stream).await });
            }
        });
        (addr, receiver)
    }

    async fn serve(self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
                match line.trim().split_once(": ") {
                    Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                        length = value.parse().ok()?
                    }
                    None if line.trim().is_empty() => break,
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.ok()?;
            if self.notes {
                let event: serde_json::Value = serde_json::from_slice(&body).ok()?;
                let subject = event["subject"].as_str()?.to_owned();
                self.seen.lock().unwrap().entry(subject).or_insert_with(Instant::now);
            }
            self.taken.fetch_add(1, Ordering::SeqCst);
            stream.write_all(b"HTTP/1.1 204 Taken\r\n\r\n").await.ok()?;
        }
    }

    async fn reach(&self, goal: u64) {
        while self.taken.load(Ordering::SeqCst) < goal {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn event(id: String, action: &str) -> audit::Event {
    let at = Some(prost_types::Timestamp::from(SystemTime::now()));
    audit::Event {
        actor: Some(types::Actor { subject: "ann".into(), kind: types::ActorKind::Human.into(), ..Default::default() }),
        action: format!("registry.versions.{action}"),
        resource: format!("models/{id}"),
        outcome: audit::Outcome::Success.into(),
        occurred_at: at,
        recorded_at: at,
        service: "registry".into(),
        id,
        ..Default::default()
    }
}

async fn subscribe(admin: &Connection, id: &str, endpoint: SocketAddr, filter: &str) {
    let mut client = SubscriptionServiceClient::new(admin.clone());
    let (endpoint, filter) = (format!("http://{endpoint}/"), filter.to_owned());
    let subscription = Some(Subscription { endpoint, filter, ..Subscription::default() });
    let request = CreateSubscriptionRequest { subscription_id: id.to_owned(), subscription, ..Default::default() };
    let name = client.create_subscription(request).await.unwrap().into_inner().name;
    client.rotate_secret(RotateSecretRequest { name: name.clone(), ..Default::default() }).await.unwrap();
    client.resume_subscription(ResumeSubscriptionRequest { name, ..Default::default() }).await.unwrap();
}

/// Posts `WAITING` bodies like those of deliveries from as many tasks as deliveries are under way.
async fn floor(to: SocketAddr) -> Load {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = "x".repeat(380);
    let (left, begun) = (Arc::new(AtomicU64::new(WAITING)), Instant::now());
    let tasks = (0..ABREAST).map(|_| {
        let (client, body, left) = (client.clone(), body.clone(), left.clone());
        tokio::spawn(async move {
            while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                client.post(format!("http://{to}/")).body(body.clone()).send().await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    Load::counted(WAITING, begun.elapsed())
}

pub async fn run_group(engine: Engine, _settings: &Settings) {
    let bench = Bench::start_with(engine, SETTINGS).await;
    let (admin, registry) = (bench.admin().await, bench.service("registry").await);
    throughput(engine, &admin, &registry).await;
    arrival(engine, &bench, &admin, &registry).await;
    bench.stop().await;
}

async fn throughput(engine: Engine, admin: &Connection, registry: &Connection) {
    let table = Table::new(
        &format!("Webhooks, {}", engine.name()),
        "Deliveries that wait, each about another resource, to one endpoint on this machine, signed and recorded; the floor \
         posts as many bodies from four tasks and records nothing.",
        &["", "posts/s", "deliveries/s", "ratio"],
        14,
    );
    let (to, receiver) = Receiver::start(false).await;
    subscribe(admin, "all", to, "action = \"registry.versions.approve\"").await;
    let round = AtomicU64::new(0);
    let drained = || async {
        let number = round.fetch_add(1, Ordering::SeqCst);
        prepare(admin, registry, number).await;
        let (goal, begun) = (receiver.taken.load(Ordering::SeqCst) + WAITING, Instant::now());
        let resume = ResumeSubscriptionRequest { name: "subscriptions/all".to_owned(), ..Default::default() };
        SubscriptionServiceClient::new(admin.clone()).resume_subscription(resume).await.unwrap();
        receiver.reach(goal).await;
        Load::counted(WAITING, begun.elapsed())
    };
    let (bare, _) = Receiver::start(false).await;
    let found = beside((1.0, 1.0), || floor(bare), drained).await;
    table.row(vec!["one endpoint".into(), count(found.floor.rate()), count(found.ours.rate()), ratio(found.ratio)]);
}

/// Has deliveries wait for a subscription that is paused.
async fn prepare(admin: &Connection, registry: &Connection, round: u64) {
    let mut client = SubscriptionServiceClient::new(admin.clone());
    let pause = PauseSubscriptionRequest { name: "subscriptions/all".to_owned(), ..Default::default() };
    client.pause_subscription(pause).await.unwrap();
    for batch in 0..WAITING / 500 {
        let events = (0..500).map(|number| event(format!("w{round}-{batch}-{number}"), "approve")).collect();
        let request = audit::AppendBatchRequest { events, prove: false };
        AuditServiceClient::new(registry.clone()).append_batch(request).await.unwrap();
    }
    let (last, parent) = (format!("resource = \"models/w{round}-{}-499\"", WAITING / 500 - 1), "subscriptions/all");
    loop {
        let request = ListDeliveriesRequest { parent: parent.to_owned(), filter: last.clone(), ..Default::default() };
        if !client.list_deliveries(request).await.unwrap().into_inner().deliveries.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn arrival(engine: Engine, bench: &Bench, admin: &Connection, registry: &Connection) {
    let table = Table::new(
        &format!("From the append of an event to its arrival when nothing else happens, {}", engine.name()),
        "One event at a time. Idle is the processor time of the whole process a second, in thousandths of one core, over \
         ten seconds in which nothing happens.",
        &["subscriptions", "tenants", "p50 ms", "p99 ms", "idle ‰"],
        14,
    );
    let (to, receiver) = Receiver::start(true).await;
    subscribe(admin, "one", to, "action = \"registry.versions.retire\"").await;
    let mut made = 0;
    for (subscriptions, tenants) in [(1, 1), (1_000, 1), (1_000, 200)] {
        // The other tenants are followed too, and nothing happens in them.
        for service in ["audit", "notify"] {
            let db = bench.running.db(service).unwrap();
            for at in 1..tenants {
                remit_store::tenants::see(db, &Tenant::new(format!("other{at}")).unwrap()).await.unwrap();
            }
        }
        while made + 1 < subscriptions {
            subscribe(admin, &format!("s{made}"), to, &format!("resource = \"models/none-{made}\"")).await;
            made += 1;
        }
        let mut micros = Vec::new();
        for number in 0..SAMPLES {
            let id = format!("a{subscriptions}-{tenants}-{number}");
            let request = audit::AppendBatchRequest { events: vec![event(id.clone(), "retire")], prove: false };
            let begun = Instant::now();
            AuditServiceClient::new(registry.clone()).append_batch(request).await.unwrap();
            let at = loop {
                if let Some(at) = receiver.seen.lock().unwrap().get(&format!("models/{id}")) {
                    break *at;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            };
            micros.push((at - begun).as_micros() as f64);
        }
        micros.sort_by(f64::total_cmp);
        let percentile = |share: f64| ms(micros[((micros.len() - 1) as f64 * share).round() as usize]);
        // What was just made is not idle.
        tokio::time::sleep(SETTLE).await;
        let (before, span) = (processor(), Duration::from_secs(10));
        tokio::time::sleep(span).await;
        let idle = (processor() - before) / span.as_secs_f64() * 1_000.0;
        table.row(vec![
            count(f64::from(subscriptions)),
            count(f64::from(tenants)),
            percentile(0.5),
            percentile(0.99),
            format!("{idle:.0}"),
        ]);
    }
}

/// The seconds of processor time that this process has used.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit_once(") ").map(|(_, after)| after).unwrap_or_default();
    let ticks = after.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>();
    ticks / 100.0
}
