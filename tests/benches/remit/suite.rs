//! A running suite with one tenant, its tokens and connections.

use remit_api::wire::Mandated;
use remit_core::mandate::{ISSUER, Mandate, TYP};
use remit_core::{Actor, ActorKind, Clock as _, SystemClock, Tenant};
use remit_runtime::auth::Signer;
use remit_runtime::{Config, Running};
use remit_store::testing::{Database, POSTGRES_URL};
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Every call has its span, as in the binary with its default level, and no lines get between the tables.
const LOG: &str = "error,remit_runtime::telemetry=info";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// Those that this machine offers.
    pub fn available() -> Vec<Self> {
        let server = std::env::var(POSTGRES_URL).is_ok_and(|url| !url.is_empty());
        if !server {
            println!("{POSTGRES_URL} names no server: SQLite only");
        }
        if server { vec![Self::Sqlite, Self::Postgres] } else { vec![Self::Sqlite] }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

pub type Connection = InterceptedService<Channel, Bearer>;

pub struct Bench {
    addr: SocketAddr,
    pub running: Running,
    pub signer: Signer,
    tenant: Tenant,
    _database: Option<Database>,
    dir: TempDir,
}

/// How long the tokens of a bench live.
const LONG: Duration = Duration::from_secs(12 * 3_600);

impl Bench {
    /// Starts all services in this process, without limits: what is measured is what they can.
    pub async fn start(engine: Engine) -> Self {
        let limits = "rate_per_tenant = 0\nrate_per_subject = 0\nsearches = 1000\nsearches_per_tenant = 1000\n";
        Self::start_with(engine, &format!("max_streams = 1000\n[limits]\n{limits}")).await
    }

    /// The same with more in the section `[server]`, and after it.
    pub async fn start_with(engine: Engine, more: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("remit-bench").tempdir_in(scratch()).unwrap();
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Database::create().await.unwrap().unwrap()),
        };
        let mut toml = format!(
            "auth.service_lifetime = \"12h\"\n[data]\ndir = \"{}\"\n[server]\nlisten = \"127.0.0.1:0\"\n{more}[telemetry]\nlog = \"{LOG}\"\n",
            dir.path().join("data").display()
        );
        if let Some(database) = &database {
            toml += &format!("[database]\nurl = \"{}\"\n", database.url);
        }
        let config = Config::from_toml(&toml).unwrap();
        let signer = Signer::development(&config).unwrap();
        // Once a process; a second start finds it done.
        let _ = remit_runtime::telemetry::init(&config.telemetry);
        let running = remit_runtime::Suite::start(config, remit::services()).await.unwrap();
        let addr = running.addr().unwrap();
        let tenant = Tenant::new("bench").unwrap();
        Self { addr, running, signer, tenant, _database: database, dir }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A connection of its own for an actor.
    pub async fn connect(&self, subject: &str, kind: ActorKind, role: &str) -> Connection {
        self.connect_as(&self.tenant, subject, kind, role).await
    }

    /// The same of another tenant.
    pub async fn connect_as(&self, tenant: &Tenant, subject: &str, kind: ActorKind, role: &str) -> Connection {
        let actor = Actor {
            subject: subject.to_owned(),
            kind,
            roles: vec![role.to_owned()],
            role_groups: Vec::new(),
            on_behalf_of: None,
        };
        self.bearing(&self.signer.token(tenant, &actor, LONG).unwrap()).await
    }

    async fn bearing(&self, token: &str) -> Connection {
        InterceptedService::new(channel(self.addr).await, Bearer(format!("Bearer {token}").parse().unwrap()))
    }

    pub async fn admin(&self) -> Connection {
        self.connect("admin", ActorKind::Human, "admin").await
    }

    pub async fn service(&self, name: &str) -> Connection {
        let token = self.running.keyring().token(&self.tenant, name, LONG).unwrap();
        self.bearing(&token).await
    }

    /// The request with a mandate for exactly itself, signed by the suite's own council key.
    pub fn mandated<Q: Mandated>(&self, kind: &str, permission: &str, mut request: Q) -> Q {
        let now = SystemClock.now();
        let mandate = Mandate::sample(&self.tenant, kind, permission, request.bare_digest(), now);
        let key = self.dir.path().join("data/council.key");
        let signer = Signer::from_file(&key, ISSUER, "mandates").unwrap();
        request.set_mandate(signer.sign_as(TYP, &mandate).unwrap());
        request
    }

    pub async fn stop(self) {
        self.running.stop().await.unwrap();
    }
}

/// On the disk of the build, because the system's temporary directory may be in memory.
pub fn scratch() -> &'static str {
    env!("CARGO_TARGET_TMPDIR")
}

pub async fn channel(addr: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{addr}")).unwrap().tcp_nodelay(true).connect().await.unwrap()
}

/// As many connections as so many callers share: one for 64.
pub fn connections(callers: usize) -> usize {
    callers.div_ceil(64)
}
