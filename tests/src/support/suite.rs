//! A running suite in one of three topologies, and what every test asks of it.

use super::cluster::{Process, free_port};
use super::mail::MailServer;
use super::recorder::{Link, Recorder, method, permission};
use super::{Bearer, Caller, eventually};
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{Entry, SearchOrder, SearchRequest};
use remit_api::system::v1::system_service_client::SystemServiceClient;
use remit_api::system::v1::{AdvanceClockRequest, GetInfoRequest};
use remit_core::{Actor, ActorKind, SERVICES, Tenant, Timestamp};
use remit_runtime::auth::{Keyring, Signer};
use remit_runtime::{Config, Running};
use remit_store::Db;
use remit_store::testing::TestDb;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

/// How the services are deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// One process, SQLite files.
    Sqlite,
    /// One process, PostgreSQL.
    Postgres,
    /// Each service a process of its own, PostgreSQL.
    SixProcesses,
}

/// Where the manual clock starts.
const START: &str = "2026-01-05T09:00:00Z";

struct Inner {
    urls: BTreeMap<String, String>,
    channels: BTreeMap<String, Channel>,
    recorder: Arc<Recorder>,
    signer: Arc<Signer>,
    services: Arc<Keyring>,
    tenant: Tenant,
    home: Arc<Home>,
    mail: MailServer,
}

/// What lives as long as the suite.
struct Home {
    running: Mutex<Option<Running>>,
    _processes: Mutex<Vec<Process>>,
    _database: Option<TestDb>,
    dir: TempDir,
}

/// The first of the three witnesses that every suite's audit log knows.
pub fn witness() -> remit_tlog::Signer {
    witnesses().swap_remove(0)
}

/// All three.
pub fn witnesses() -> Vec<remit_tlog::Signer> {
    let witness = |number: u8| {
        let key = ed25519_dalek::SigningKey::from_bytes(&[8 + number; 32]);
        let name = format!("w{number}.example");
        remit_tlog::Signer::new(&name, remit_tlog::note::Algorithm::CosignatureV1, key).expect("a valid name")
    };
    (1..=3).map(witness).collect()
}

/// A running suite, seen from one tenant. Cheap to clone.
#[derive(Clone)]
pub struct Suite(Arc<Inner>);

impl Suite {
    /// Starts a suite; `None` if it needs PostgreSQL, there is none, and none is required.
    pub async fn start(topology: Topology) -> Option<Self> {
        Self::start_at(topology, START).await
    }

    /// The same with the manual clock at `start`, RFC 3339.
    pub async fn start_at(topology: Topology, start: &str) -> Option<Self> {
        Self::start_with(topology, start, "").await
    }

    /// The same with more configuration.
    pub async fn start_with(topology: Topology, start: &str, more: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mail = MailServer::start(dir.path()).await;
        let database = match topology {
            Topology::Sqlite => None,
            Topology::Postgres | Topology::SixProcesses => {
                let schemas: Vec<_> = remit::services().into_iter().map(|service| service.schema).collect();
                Some(TestDb::postgres_with(&schemas).await.expect("the test server can be used")?)
            }
        };
        let mut toml = format!(
            "[data]\ndir = \"{}\"\n[clock]\nallow_manual = true\nmanual = true\nstart = \"{start}\"\n[telemetry]\nlog = \"warn\"\n[scoring]\naudit_denied = 40\n[notify]\nallow_http = true\nallow_addresses = [\"127.0.0.0/8\"]\npublic_url = \"https://remit.example\"\n{}[audit]\nwitnesses = [{}]\n{more}",
            dir.path().join("data").display(),
            mail.toml,
            witnesses().iter().map(|witness| format!("\"{}\"", witness.verifier())).collect::<Vec<_>>().join(", ")
        );
        if let Some(database) = &database {
            let pooled = remit_store::testing::transaction_pooler();
            toml +=
                &format!("[database]\nurl = \"{}\"\nconnections = 4\ntransaction_pooler = {pooled}\n", database.url());
        }
        let (urls, running, processes) = match topology {
            Topology::Sqlite | Topology::Postgres => {
                toml += "[server]\nlisten = \"127.0.0.1:0\"\n";
                let config = Config::from_toml(&toml).expect("the test's configuration is valid");
                let running = remit_runtime::Suite::start(config, remit::services()).await.expect("the suite starts");
                let url = format!("http://{}", running.addr().expect("the suite listens"));
                let urls = SERVICES.map(|service| (service.to_owned(), url.clone()));
                (BTreeMap::from(urls), Some(running), Vec::new())
            }
            Topology::SixProcesses => {
                let (urls, processes) = spawn(&toml, dir.path());
                (urls, None, processes)
            }
        };
        let issuer = Config::from_toml(&toml).expect("the test's configuration is valid");
        let signer = Signer::development(&issuer).expect("the development issuer can sign");
        let services = Keyring::open(&issuer, &SERVICES).expect("the suite's own keys can sign");
        let home = Home { running: Mutex::new(running), _processes: Mutex::new(processes), _database: database, dir };
        let suite = Self(Arc::new(Inner {
            channels: channels(&urls),
            urls,
            recorder: Arc::default(),
            signer: Arc::new(signer),
            services: Arc::new(services),
            tenant: Tenant::new("t0").expect("a valid tenant"),
            home: Arc::new(home),
            mail,
        }));
        suite.wait_until_ready().await;
        Some(suite)
    }

    /// The same suite seen from another tenant.
    pub fn tenant(&self, id: &str) -> Self {
        let inner = &self.0;
        Self(Arc::new(Inner {
            urls: inner.urls.clone(),
            channels: inner.channels.clone(),
            recorder: inner.recorder.clone(),
            signer: inner.signer.clone(),
            services: inner.services.clone(),
            tenant: Tenant::new(id).expect("a valid tenant"),
            home: inner.home.clone(),
            mail: inner.mail.clone(),
        }))
    }

    /// The mail server that the suite hands its e-mail to.
    pub fn mail(&self) -> &MailServer {
        &self.0.mail
    }

    /// The id of this tenant.
    pub fn tenant_id(&self) -> &str {
        self.0.tenant.as_str()
    }

    async fn wait_until_ready(&self) {
        for service in SERVICES {
            eventually(&format!("{service} answers"), || async {
                let mut client = SystemServiceClient::new(self.admin().to(service));
                client.get_info(GetInfoRequest {}).await.is_ok()
            })
            .await;
        }
    }

    /// The URL of every service.
    pub fn urls(&self) -> &BTreeMap<String, String> {
        &self.0.urls
    }

    /// What passed through the connections so far.
    pub fn recorder(&self) -> &Recorder {
        &self.0.recorder
    }

    pub(super) fn link(&self, service: &str) -> Link {
        let channel = self.0.channels.get(service).unwrap_or_else(|| panic!("there is no service {service}"));
        Link { channel: channel.clone(), recorder: self.0.recorder.clone() }
    }

    /// A connection without recording and without a token.
    pub fn bare(&self, service: &str) -> Channel {
        self.0.channels[service].clone()
    }

    /// A token for an actor of this tenant.
    pub fn token(&self, subject: &str, kind: ActorKind, roles: &[&str], groups: &[&str]) -> String {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        let actor = Actor {
            subject: subject.to_owned(),
            kind,
            roles: owned(roles),
            role_groups: owned(groups),
            on_behalf_of: None,
        };
        self.0.signer.token(&self.0.tenant, &actor, Duration::from_secs(3_600)).expect("a token can be signed")
    }

    /// Where the suite keeps its keys.
    pub fn issuer_dir(&self) -> PathBuf {
        self.0.home.dir.path().join("data")
    }

    /// Somebody with this token.
    pub fn bearing(&self, token: &str) -> Caller {
        let header = format!("Bearer {token}").parse().expect("a token is a header value");
        Caller { suite: self.clone(), bearer: Bearer(header) }
    }

    /// The keys of the suite's own services, for tokens that must be refused.
    pub fn services(&self) -> &Keyring {
        &self.0.services
    }

    /// The signer of the development issuer, for tokens that must be refused.
    pub fn signer(&self) -> &Signer {
        &self.0.signer
    }

    /// Somebody with a token.
    pub fn caller(&self, subject: &str, kind: ActorKind, roles: &[&str], groups: &[&str]) -> Caller {
        self.bearing(&self.token(subject, kind, roles, groups))
    }

    /// A program with roles that acts for a person.
    pub fn acting_for(&self, subject: &str, roles: &[&str], person: &str) -> Caller {
        let actor = Actor {
            subject: subject.to_owned(),
            kind: ActorKind::Service,
            roles: roles.iter().map(|&role| role.to_owned()).collect(),
            role_groups: Vec::new(),
            on_behalf_of: Some(person.to_owned()),
        };
        let token = self.0.signer.token(&self.0.tenant, &actor, Duration::from_secs(3_600));
        self.bearing(&token.expect("a token can be signed"))
    }

    /// A person with roles and groups.
    pub fn human(&self, subject: &str, roles: &[&str], groups: &[&str]) -> Caller {
        self.caller(subject, ActorKind::Human, roles, groups)
    }

    /// A person who may do everything that people may do.
    pub fn admin(&self) -> Caller {
        self.human("admin", &["admin"], &[])
    }

    /// A marketing platform.
    pub fn platform(&self) -> Caller {
        self.caller("platform", ActorKind::Service, &["platform"], &[])
    }

    /// One of Remit's own services, as the others see it: by its own key.
    pub fn service(&self, name: &str) -> Caller {
        self.bearing(&self.service_token(name))
    }

    /// A token of one of Remit's own services.
    pub fn service_token(&self, name: &str) -> String {
        let token = self.0.services.token(&self.0.tenant, name, Duration::from_secs(1_200));
        token.expect("a token can be signed")
    }

    /// A program that has every role and is none of Remit's own services.
    pub fn program(&self, subject: &str) -> Caller {
        self.caller(subject, ActorKind::Service, &["admin", "service"], &[])
    }

    /// The time that the suite works with.
    pub async fn now(&self) -> Timestamp {
        let mut client = SystemServiceClient::new(self.admin().to("audit"));
        let time = client.get_info(GetInfoRequest {}).await.expect("info is given").into_inner().time;
        let time = time.expect("info has a time");
        Timestamp(time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000)
    }

    /// Moves the clock of every process forward.
    pub async fn advance(&self, by: Duration) {
        let to = self.now().await.plus(by);
        for service in SERVICES {
            let mut client = SystemServiceClient::new(self.admin().to(service));
            let request = AdvanceClockRequest { time: Some(super::stamp(to)) };
            client.advance_clock(request).await.expect("the clock is manual");
        }
    }

    /// Waits until every audit event of this tenant has reached the log and every due timer has fired.
    pub async fn settle(&self) {
        for service in SERVICES {
            eventually(&format!("{service} settles"), || async {
                let mut client = SystemServiceClient::new(self.admin().to(service));
                let info = client.get_info(GetInfoRequest {}).await.expect("info is given").into_inner();
                info.outbox_depth.values().all(|depth| *depth == 0) && info.due_timers.values().all(|due| *due == 0)
            })
            .await;
        }
    }

    /// The audit entries of this tenant that match an AIP-160 filter, oldest first, after settling.
    pub async fn entries(&self, filter: &str) -> Vec<Entry> {
        self.settle().await;
        let mut client = AuditServiceClient::new(self.human("auditor", &["auditor"], &[]).to("audit"));
        let mut entries = Vec::new();
        let mut request = SearchRequest {
            filter: filter.to_owned(),
            order: SearchOrder::OldestFirst.into(),
            page_size: 500,
            ..Default::default()
        };
        loop {
            let page = client.search(request.clone()).await.expect("the log can be searched").into_inner();
            entries.extend(page.entries);
            if page.next_page_token.is_empty() {
                return entries;
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Holds what every mutation promises against all that were recorded since the last time: the same
    /// request under the same id gives the same answer, and there is one audit entry for it. And what was refused
    /// was refused by fields that the requests have.
    pub async fn check_recorded(&self, exceptions: &[(&str, &str)]) {
        let strays = self.recorder().strays();
        assert!(strays.is_empty(), "{strays:#?}");
        let calls = self.recorder().take();
        self.settle().await;
        for call in &calls {
            let service = call.path.split('.').nth(1).unwrap_or_default();
            let service = if service == "system" { "audit" } else { service };
            let again = self.link(service).repeat(call).await.unwrap_or_else(|e| panic!("a repeat was refused: {e}"));
            assert_eq!(again, call.response, "{}: a repeat of {} gave another answer", call.path, call.request_id);
        }
        for call in &calls {
            if exceptions.iter().any(|(path, _)| *path == call.path) {
                continue;
            }
            let method = method(&call.path).expect("a recorded call has a method");
            let filter = format!("request_id = \"{}\" AND action = \"{}\"", call.request_id, permission(&method));
            let entries = self.entries(&filter).await;
            assert_eq!(
                entries.len(),
                1,
                "{} with request id {} left these entries: {entries:#?}",
                call.path,
                call.request_id
            );
            check_details(&entries[0]);
        }
    }

    /// The database of a service of an in-process suite.
    pub fn db(&self, service: &str) -> Option<Db> {
        let running = self.0.home.running.lock().expect("no test panicked while holding it");
        running.as_ref()?.db(service).cloned()
    }

    /// Every file of the suite's directory with its content.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut files, mut folders) = (Vec::new(), vec![self.0.home.dir.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a readable folder") {
                let path = entry.expect("a readable entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push((path.clone(), std::fs::read(path).expect("a readable file")));
                }
            }
        }
        files
    }

    /// Ends an in-process suite gracefully.
    pub async fn stop(&self) {
        let running = self.0.home.running.lock().expect("no test panicked while holding it").take();
        if let Some(running) = running {
            running.stop().await.expect("the suite stops");
        }
    }
}

/// What an event says beside its fields is of the type that is documented for its action, or nothing.
fn check_details(entry: &Entry) {
    let event = entry.event.clone().unwrap_or_default();
    let details = serde_json::from_str(&event.details_json).unwrap_or(serde_json::Value::Null);
    let doc = remit_core::details::all().into_iter().find(|doc| doc.actions.contains(&event.action.as_str()));
    let fits = doc.map_or(details.is_null(), |doc| details.is_null() || (doc.fits)(&details));
    let kind = doc.map_or("no details", |doc| doc.name);
    assert!(fits, "the details of {} are not {kind}: {details}", event.action);
}

fn channels(urls: &BTreeMap<String, String>) -> BTreeMap<String, Channel> {
    urls.iter()
        .map(|(service, url)| {
            let endpoint = Endpoint::from_shared(url.clone()).expect("a valid URL").tcp_nodelay(true);
            (service.clone(), endpoint.connect_lazy())
        })
        .collect()
}

/// Starts each service as a process of its own on one database.
fn spawn(toml: &str, dir: &std::path::Path) -> (BTreeMap<String, String>, Vec<Process>) {
    let ports = SERVICES.map(|service| (service, free_port()));
    let urls: BTreeMap<String, String> =
        ports.iter().map(|(service, port)| ((*service).to_owned(), format!("http://127.0.0.1:{port}"))).collect();
    let issuer = dir.join("data");
    let config = Config::from_toml(toml).expect("the test's configuration is valid");
    // Made before the processes, which would otherwise all make them.
    Signer::development(&config).expect("the development issuer's key can be made");
    Keyring::open(&config, &SERVICES).expect("the suite's own keys can be made");
    let processes = ports.map(|(service, port)| {
        let own = toml
            .replace(&format!("dir = \"{}\"", issuer.display()), &format!("dir = \"{}\"", dir.join(service).display()));
        let mut own = own + &format!("[auth]\nissuer_dir = \"{}\"\n", issuer.display());
        own += &format!("[server]\nlisten = \"127.0.0.1:{port}\"\n[peers]\n");
        for (peer, url) in urls.iter().filter(|(peer, _)| *peer != service) {
            own += &format!("{peer} = \"{url}\"\n");
        }
        let path = dir.join(format!("{service}.toml"));
        std::fs::write(&path, own).expect("the configuration can be written");
        let path = path.to_str().expect("a temporary path is text");
        Process::start(dir, service, &["serve", "--only", service, "--config", path])
    });
    (urls, processes.into())
}
