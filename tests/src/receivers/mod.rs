//! The receivers of `docs/notify.md`, run as they stand there: they take what is signed, once, and refuse what is not.
//!
//! `.ci/tools webhooks` installs the `standardwebhooks` packages of PyPI and npm, which then verify. Where it could not, the
//! stand-ins beside this file do, which know nothing of Remit; each says which. Beside them one in Rust takes the same, by
//! the crate `standardwebhooks`.

use crate::support::{Suite, Topology, eventually, free_port};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{HeaderMap, HeaderName};
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::{EngageHoldRequest, Hold, Scope};
use remit_api::notify::v1::subscription_service_client::SubscriptionServiceClient;
use remit_api::notify::v1::*;
use standardwebhooks::Webhook;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The program of a language in the page, on another port.
fn program(language: &str, port: u16) -> String {
    let page = fs::read_to_string(root().join("docs/notify.md")).expect("the page can be read");
    let after = page.split_once(&format!("```{language}\n")).expect("the page has such a program").1;
    let program = after.split_once("\n```").expect("which ends").0;
    assert_eq!(program.matches("8080").count(), 1, "it says its port once");
    program.replace("8080", &port.to_string())
}

/// A receiver, and what it prints: a program, or a task of this test.
struct Running(Option<Child>, PathBuf);

impl Running {
    fn start(command: &mut Command, dir: &Path) -> Self {
        let log = dir.join("printed");
        let file = fs::File::create(&log).expect("a file can be written");
        command.stdin(Stdio::null()).stderr(file.try_clone().expect("a file can be shared")).stdout(file);
        Self(Some(command.spawn().expect("the program starts")), log)
    }

    fn printed(&self) -> String {
        fs::read_to_string(&self.1).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A receiver in Rust.
fn in_rust(secret: &str, port: u16, dir: &Path) -> Running {
    let (webhook, log) = (Webhook::new(secret).expect("a secret"), dir.join("printed"));
    let printed = log.clone();
    tokio::spawn(async move {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        let mut seen = BTreeSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            // Whoever only looks whether somebody listens says nothing.
            let _ = take(&webhook, &mut seen, stream, &printed).await;
        }
    });
    Running(None, log)
}

/// Takes one request, and prints what is new and signed.
async fn take(webhook: &Webhook, seen: &mut BTreeSet<String>, stream: TcpStream, printed: &Path) -> Option<()> {
    let (mut stream, mut headers) = (BufReader::new(stream), HeaderMap::new());
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.trim().split_once(": ") {
            headers.insert(HeaderName::from_bytes(name.as_bytes()).ok()?, value.parse().ok()?);
        }
    }
    let mut body = vec![0; headers.get("content-length")?.to_str().ok()?.parse().ok()?];
    stream.read_exact(&mut body).await.ok()?;
    let is_signed = webhook.verify(&body, &headers).is_ok();
    if is_signed && seen.insert(headers.get("webhook-id")?.to_str().ok()?.to_owned()) {
        let event: serde_json::Value = serde_json::from_slice(&body).ok()?;
        let text = format!("{} {}\n", event["type"].as_str()?, event["subject"].as_str()?);
        let before = fs::read_to_string(printed).unwrap_or_default();
        fs::write(printed, before + &text).ok()?;
    }
    let status = if is_signed { "204 Taken" } else { "401 Forged" };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.ok()
}

/// Runs the program of a language; `None` if this machine cannot.
fn start(language: &str, secret: &str, port: u16, dir: &Path) -> Option<Running> {
    if language == "rust" {
        return Some(in_rust(secret, port, dir));
    }
    let (installed, beside) = (root().join(".tools/webhooks"), root().join("tests/src/receivers"));
    let text = program(language, port);
    let which = |packages: &Path| eprintln!("{language}: verified by {}", packages.display());
    if language == "python" {
        let packages = installed.join("python");
        let packages = if packages.join("standardwebhooks").is_dir() { packages } else { beside };
        which(&packages);
        let script = dir.join("receiver.py");
        fs::write(&script, text).expect("a file can be written");
        let mut command = Command::new("python3");
        command.arg(script).env("PYTHONPATH", packages).env("REMIT_WEBHOOK_SECRET", secret);
        return Some(Running::start(&mut command, dir));
    }
    let packages = installed.join("node_modules");
    let has = |name: &str| packages.join(name).is_dir();
    let own = dir.join("node_modules");
    if has("standardwebhooks") {
        which(&packages);
        std::os::unix::fs::symlink(packages.canonicalize().expect("it is there"), &own).expect("a link can be made");
    } else {
        which(&beside);
        let package = own.join("standardwebhooks");
        fs::create_dir_all(&package).expect("a folder can be made");
        fs::copy(beside.join("standardwebhooks.mjs"), package.join("index.mjs")).expect("a file can be copied");
        fs::write(package.join("package.json"), "{\"exports\": \"./index.mjs\"}").expect("a file can be written");
    }
    let source = dir.join("receiver.ts");
    fs::write(&source, text).expect("a file can be written");
    let mut command = Command::new("node");
    // From 22.18 on Node.js runs TypeScript by itself, with the same code as that package.
    let by_itself = Command::new("node").args(["-p", "process.features.typescript"]).output();
    if by_itself.is_ok_and(|found| found.stdout.starts_with(b"strip")) {
        command.arg(&source);
    } else if has("amaro") {
        let strip = "const fs = require('fs'); const [from, to] = process.argv.slice(1); \
                     fs.writeFileSync(to, require('amaro').transformSync(fs.readFileSync(from, 'utf8'), {}).code)";
        let plain = dir.join("receiver.mjs");
        let mut stripping = Command::new("node");
        stripping.current_dir(dir).args(["-e", strip]).arg(&source).arg(&plain);
        assert!(stripping.status().expect("node runs").success(), "the types can be taken out");
        command.arg(plain);
    } else {
        eprintln!("{language}: no Node.js that runs it: not tested here");
        return None;
    }
    Some(Running::start(command.env("REMIT_WEBHOOK_SECRET", secret), dir))
}

/// Posts what nobody signed; the status.
async fn forge(port: u16, signature: &str) -> String {
    let body = "{\"type\":\"remit.forged.v1\",\"subject\":\"x\"}";
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let now = jiff::Timestamp::now().as_second();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nconnection: close\r\nwebhook-id: forged\r\n\
         webhook-timestamp: {now}\r\nwebhook-signature: {signature}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("it takes a request");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

async fn engage(suite: &Suite, id: &str) {
    let scope = Some(Scope { target: Some(Target::Organisation(true)) });
    let hold = Hold { scope, reason: "a drill".to_owned(), drill: true, ..Hold::default() };
    let request = EngageHoldRequest { hold_id: id.to_owned(), hold: Some(hold), ..Default::default() };
    let mut holds = HoldServiceClient::new(suite.human("olga", &["operator"], &[]).to("council"));
    holds.engage_hold(request).await.expect("it is engaged");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receivers_of_the_page_take_what_is_signed_once_and_nothing_else() {
    // They hold the timestamp of a signature against the time of the machine.
    let now = jiff::Timestamp::now().to_string();
    let suite = Suite::start_at(Topology::Sqlite, &now).await.expect("SQLite needs nothing");
    let mut client = SubscriptionServiceClient::new(suite.admin().to("notify"));
    let mut receivers = Vec::new();
    for language in ["python", "typescript", "rust"] {
        let (port, dir) = (free_port(), tempfile::tempdir().expect("a temporary directory"));
        let subscription = Subscription {
            endpoint: format!("http://127.0.0.1:{port}/"),
            filter: "action = \"council.holds.engage\"".to_owned(),
            ..Subscription::default()
        };
        let (subscription_id, subscription) = (language.to_owned(), Some(subscription));
        let request = CreateSubscriptionRequest { subscription_id, subscription, ..Default::default() };
        let name = client.create_subscription(request).await.expect("it is made").into_inner().name;
        let rotate = RotateSecretRequest { name: name.clone(), ..Default::default() };
        let secret = client.rotate_secret(rotate).await.expect("a secret").into_inner().secret;
        let Some(running) = start(language, &secret, port, dir.path()) else { continue };
        eventually("it listens", || async { TcpStream::connect(("127.0.0.1", port)).await.is_ok() }).await;
        let resume = ResumeSubscriptionRequest { name: name.clone(), ..Default::default() };
        client.resume_subscription(resume).await.expect("it starts");
        receivers.push((running, port, name, dir));
    }
    assert!(!receivers.is_empty());
    engage(&suite, "h").await;
    for (running, port, name, _) in &receivers {
        eventually("it is taken", || async { running.printed().contains("remit.council.holds.engage.v1 holds/h") })
            .await;
        let signature = format!("v1,{}", BASE64_STANDARD.encode([0; 32]));
        assert_eq!(forge(*port, &signature).await, "401", "{}", running.printed());
        let parent = name.clone();
        let delivered = || {
            let (mut client, parent) = (client.clone(), parent.clone());
            async move {
                let request = ListDeliveriesRequest { parent, ..Default::default() };
                client.list_deliveries(request).await.expect("deliveries").into_inner().deliveries
            }
        };
        let is = |count: i32, found: &[Delivery]| {
            found.len() == 1 && found[0].attempts == count && found[0].state() == DeliveryState::Delivered
        };
        eventually("it is answered", || async { is(1, &delivered().await) }).await;
        let (name, end_index) = (name.clone(), i64::MAX);
        let again = ReplayDeliveriesRequest { name, end_index, ..Default::default() };
        assert_eq!(client.clone().replay_deliveries(again).await.expect("a replay").into_inner().replayed, 1);
        eventually("the repeat is answered", || async { is(2, &delivered().await) }).await;
        assert_eq!(running.printed().matches("holds/h").count(), 1, "{}", running.printed());
        assert!(!running.printed().contains("forged"));
    }
}
