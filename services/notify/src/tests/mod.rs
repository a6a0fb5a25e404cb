//! What needs a database, a receiver, or both; what the API shows is tested through it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod guarantees;
mod mail;

use crate::SCHEMA;
use crate::store::secrets;
use crate::store::subscriptions::Subscriptions;
use remit_api::audit::v1::{Entry, Event, Outcome};
use remit_api::notify::v1::{Signing, Subscription, SubscriptionState};
use remit_api::wire::time::stamp;
use remit_core::{Result, Tenant, Timestamp};
use remit_runtime::config::{Notify as Settings, Smtp, SmtpTls, Span};
use remit_store::testing::{check_migrations, check_statements};
use remit_store::{Db, Mutation, Records as _};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[test]
fn the_statements_are_portable() -> Result<()> {
    check_statements(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_keeps_the_rules() -> Result<()> {
    check_migrations(&SCHEMA).await
}

pub(crate) fn acme() -> Tenant {
    Tenant::new("acme").unwrap()
}

/// Settings with a time that a test can wait for.
pub(crate) fn settings() -> Settings {
    let timeout = Span(Duration::from_millis(300));
    let smtp = Smtp {
        host: String::new(),
        port: 587,
        tls: SmtpTls::Starttls,
        ca_file: PathBuf::new(),
        user: String::new(),
        password_file: PathBuf::new(),
        from: String::new(),
        domains: Vec::new(),
        bounce: String::new(),
    };
    Settings {
        allow_http: true,
        allow_addresses: Vec::new(),
        timeout,
        max_concurrent: 8,
        public_url: String::new(),
        link: String::new(),
        language: "en".to_owned(),
        event_prefix: "remit".to_owned(),
        smtp,
    }
}

/// An entry of the log about a resource.
pub(crate) fn entry(index: i64, resource: &str) -> Entry {
    let event = Event {
        id: format!("e{index}"),
        action: "kpi.alerts.fire".into(),
        resource: resource.into(),
        outcome: Outcome::Success.into(),
        service: "kpi".into(),
        recorded_at: Some(stamp(Timestamp(index))),
        ..Event::default()
    };
    Entry { index, event: Some(event), ..Entry::default() }
}

/// Makes active subscriptions with these filters.
pub(crate) async fn subscribe(db: &Db, endpoint: &str, filters: &[(String, String)]) {
    let make = async |m: &mut Mutation| {
        let one = |(id, filter): &(String, String)| Subscription {
            name: format!("subscriptions/{id}"),
            filter: filter.clone(),
            endpoint: endpoint.into(),
            signing: Signing::Hmac.into(),
            state: SubscriptionState::Active.into(),
            owner: "ann".into(),
            uid: id.clone(),
            ..Subscription::default()
        };
        let mut all: Vec<_> = filters.iter().map(one).collect();
        for part in all.chunks_mut(500) {
            Subscriptions::insert_all(m, part).await?;
        }
        if let [first] = &all[..] {
            secrets::add(m, &first.name, &[7; 32], Timestamp(i64::MAX)).await?;
        }
        Ok(())
    };
    db.own(&acme(), "notify.test", make).await.unwrap();
}

/// A receiver on this machine that takes what it is sent, unless it is told to fail.
#[derive(Clone, Default)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    pub(crate) failing: Arc<AtomicBool>,
    pub(crate) calls: Arc<AtomicUsize>,
    /// The ids of what it took.
    pub(crate) taken: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::at("127.0.0.1").await
    }

    /// At an address of this machine.
    pub(crate) async fn at(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let receiver = Self { url, ..Self::default() };
        let all = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let one = all.clone();
                tokio::spawn(async move { one.answer(stream).await });
            }
        });
        receiver
    }

    async fn answer(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        let headers = read(&mut stream).await?;
        self.calls.fetch_add(1, Ordering::SeqCst);
        let failing = self.failing.load(Ordering::SeqCst);
        if !failing {
            self.taken.lock().unwrap().push(headers.get("webhook-id")?.clone());
        }
        let status = if failing { "500 No" } else { "204 Taken" };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.ok()
    }
}

/// Reads a request; its headers.
pub(crate) async fn read<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<BTreeMap<String, String>> {
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ") {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    stream.read_exact(&mut body).await.ok()?;
    Some(headers)
}
