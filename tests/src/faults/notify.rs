//! `kill -9` of the processes that follow the log and send: one record an event and subscription, everything arrives, the same
//! bytes under the same id, and each resource in its order.
//!
//! `REMIT_KILLS=50` sets the number of kills; the default keeps the suite quick.

use crate::support::{Connection, Process, Site, eventually};
use remit_api::audit::v1 as audit;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::notify::v1::subscription_service_client::SubscriptionServiceClient;
use remit_api::notify::v1::*;
use remit_api::system::v1::AdvanceClockRequest;
use remit_api::system::v1::system_service_client::SystemServiceClient;
use remit_api::types;
use remit_store::testing::TestDb;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

const ACTION: &str = "registry.versions.suspend";
/// The seconds of the time at which the manual clocks start.
const START: i64 = 1_767_603_600;
/// Longer than the lease of who was killed.
const STEP: i64 = 200;

/// What arrived, in its order: id and body.
type Arrived = Arc<Mutex<Vec<(String, String)>>>;

async fn receiver() -> (String, Arrived) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (url, arrived) = (format!("http://{}/", listener.local_addr().expect("an address")), Arrived::default());
    let all = arrived.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take(stream, all.clone()));
        }
    });
    (url, arrived)
}

async fn take(stream: TcpStream, arrived: Arrived) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut id, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
            match line.trim().split_once(": ") {
                Some(("webhook-id", value)) => value.clone_into(&mut id),
                Some(("content-length", value)) => length = value.parse().ok()?,
                None if line.trim().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        arrived.lock().expect("a lock").push((id, String::from_utf8(body).expect("text")));
        stream.write_all(b"HTTP/1.1 204 Taken\r\n\r\n").await.ok()?;
    }
}

fn event(number: usize) -> audit::Event {
    let at = Some(prost_types::Timestamp { seconds: START, nanos: 0 });
    audit::Event {
        id: format!("e{number:06}"),
        actor: Some(types::Actor { subject: "ann".into(), kind: types::ActorKind::Human.into(), ..Default::default() }),
        action: ACTION.into(),
        resource: format!("models/m/versions/v{}", number % 4),
        outcome: audit::Outcome::Success.into(),
        occurred_at: at,
        recorded_at: at,
        service: "registry".into(),
        ..Default::default()
    }
}

/// Appends events until it is stopped, the same again until they are acknowledged; `written` says how many were.
fn write(
    clients: Vec<AuditServiceClient<Connection>>,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
    arrived: Arrived,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut turn = 0;
        while !stop.load(Ordering::SeqCst) {
            let first = written.load(Ordering::SeqCst);
            // Enough is under way to be torn apart.
            if first > arrived.lock().expect("a lock").len() + 60 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            let events = (first..first + 4).map(event).collect();
            let mut client = clients[turn % clients.len()].clone();
            turn += 1;
            match client.append_batch(audit::AppendBatchRequest { events, prove: false }).await {
                Ok(_) => written.store(first + 4, Ordering::SeqCst),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
}

async fn all(client: &SubscriptionServiceClient<Connection>) -> Vec<Delivery> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let parent = "subscriptions/s".to_owned();
        let request = ListDeliveriesRequest { parent, page_size: 1_000, page_token, ..Default::default() };
        let Ok(page) = client.clone().list_deliveries(request).await else { return Vec::new() };
        let page = page.into_inner();
        found.extend(page.deliveries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}

/// Moves the clocks of all processes, so that leases of who was killed are over.
async fn advance(site: &Site, names: &[&str], round: i64) {
    for name in names {
        let time = Some(prost_types::Timestamp { seconds: START + STEP * (round + 1), nanos: 0 });
        let admin = site.human("admin", &["admin"], name);
        eventually("the clock is moved", || {
            let mut system = SystemServiceClient::new(admin.clone());
            async move { system.advance_clock(AdvanceClockRequest { time }).await.is_ok() }
        })
        .await;
    }
}

async fn survive(database: Option<&str>, names: &'static [&'static str]) {
    let mut toml =
        "[clock]\nallow_manual = true\nmanual = true\nstart = \"2026-01-05T09:00:00Z\"\n[notify]\nallow_http = true\n\
                    allow_addresses = [\"127.0.0.0/8\"]\n"
            .to_owned();
    if let Some(url) = database {
        toml += &format!("[database]\nurl = \"{url}\"\nconnections = 4\n");
    }
    let site = Site::new(&names.iter().map(|name| (*name, "all")).collect::<Vec<_>>(), &toml);
    let mut running: Vec<Process> = Vec::new();
    for name in names {
        running.push(site.start(name).await);
    }
    let (endpoint, arrived) = receiver().await;
    let client = |name: &str| SubscriptionServiceClient::new(site.human("admin", &["admin"], name));
    let mut first = client(names[0]);
    let subscription = Subscription { endpoint, filter: format!("action = \"{ACTION}\""), ..Default::default() };
    let (subscription_id, subscription) = ("s".to_owned(), Some(subscription));
    let made = CreateSubscriptionRequest { subscription_id, subscription, ..Default::default() };
    let name = first.create_subscription(made).await.expect("it is made").into_inner().name;
    first.rotate_secret(RotateSecretRequest { name: name.clone(), ..Default::default() }).await.expect("a secret");
    first.resume_subscription(ResumeSubscriptionRequest { name, ..Default::default() }).await.expect("it starts");

    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writers = names.iter().map(|name| AuditServiceClient::new(site.service("registry", name))).collect();
    let writer = write(writers, stop.clone(), written.clone(), arrived.clone());
    let kills = std::env::var("REMIT_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    for round in 0..kills {
        // After a number of arrivals that differs each time, so anywhere between the log and the wire.
        let goal = arrived.lock().expect("a lock").len() + round * 37 % 29 + 3;
        eventually("events arrive", || async { arrived.lock().expect("a lock").len() >= goal }).await;
        let victim = round % names.len();
        running[victim].kill();
        running[victim] = site.start(names[victim]).await;
        advance(&site, names, i64::try_from(round).expect("few")).await;
    }
    stop.store(true, Ordering::SeqCst);
    writer.await.expect("it ends");
    // A batch whose answer was lost may have been written too.
    let written = written.load(Ordering::SeqCst);
    let last = client(names[0]);
    let delivered = |found: &[Delivery]| found.iter().filter(|one| one.state() == DeliveryState::Delivered).count();
    eventually("everything is delivered", || async {
        let found = all(&last).await;
        found.len() >= written && delivered(&found) == found.len()
    })
    .await;

    let found = all(&last).await;
    let records: BTreeSet<&str> = found.iter().map(|delivery| delivery.webhook_id.as_str()).collect();
    assert_eq!(records.len(), found.len(), "one record an event");
    assert!((written..=written + 4).contains(&found.len()), "{} of {written}", found.len());
    let arrived = arrived.lock().expect("a lock").clone();
    let (mut bodies, mut order) = (BTreeMap::new(), BTreeMap::<String, Vec<i64>>::new());
    for (id, body) in &arrived {
        let before = bodies.insert(id.as_str(), body.as_str());
        assert!(before.is_none_or(|before| before == body), "{id} came with other bytes");
        if before.is_none() {
            let event: serde_json::Value = serde_json::from_str(body).expect("JSON");
            let resource = event["subject"].as_str().expect("a subject").to_owned();
            order.entry(resource).or_default().push(event["data"]["entryIndex"].as_i64().expect("an index"));
        }
    }
    assert_eq!(bodies.keys().copied().collect::<BTreeSet<_>>(), records, "what is recorded arrived, and nothing else");
    assert_eq!(order.len(), 4);
    for (resource, indexes) in order {
        assert!(indexes.is_sorted(), "{resource}: {indexes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_on_sqlite() {
    survive(None, &["one"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_on_postgres_with_two_replicas() {
    match TestDb::postgres().await.expect("the test server can be used") {
        Some(database) => survive(Some(database.url()), &["one", "two"]).await,
        None => eprintln!("no PostgreSQL: not tested here"),
    }
}
