//! The service alone in a process, as the shared suite runs it beside the others.

use remit_core::{Actor, ActorKind, Tenant};
use remit_runtime::{Channel, Config, Running, ServiceDef};
use remit_store::testing::TestDb;
use std::sync::Arc;
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

#[derive(Clone)]
pub struct Suite {
    pub running: Arc<Running>,
    pub tenant: Tenant,
    _home: Arc<(tempfile::TempDir, Option<TestDb>)>,
}

#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

pub type Connection = InterceptedService<Channel, Bearer>;

pub struct Caller {
    suite: Suite,
    bearer: Bearer,
}

impl Caller {
    pub fn to(&self, _service: &str) -> Connection {
        InterceptedService::new(self.suite.running.channel(), self.bearer.clone())
    }
}

impl Suite {
    pub async fn start(database: Option<TestDb>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut toml = format!(
            "[data]\ndir = \"{}\"\n[clock]\nallow_manual = true\nmanual = true\nstart = \"2026-01-05T09:00:00Z\"\n[server]\nlisten = \"\"\n[scoring]\nfirst_state_wait = \"100ms\"\n",
            dir.path().display()
        );
        if let Some(database) = &database {
            toml += &format!("[database]\nurl = \"{}\"\nconnections = 4\n", database.url());
        }
        let config = Config::from_toml(&toml).unwrap();
        let service = ServiceDef {
            name: "scoring",
            schema: remit_scoring::SCHEMA,
            build: |deps| Box::pin(remit_scoring::build(deps)),
        };
        let running = remit_runtime::Suite::start(config, vec![service]).await.unwrap();
        let tenant = Tenant::new("acme").unwrap();
        Self { running: Arc::new(running), tenant, _home: Arc::new((dir, database)) }
    }

    pub fn caller(&self, subject: &str, kind: ActorKind, roles: &[&str]) -> Caller {
        let actor = Actor {
            subject: subject.into(),
            kind,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            role_groups: vec![],
            on_behalf_of: None,
        };
        let token = self.running.signer().token(&self.tenant, &actor, Duration::from_secs(600)).unwrap();
        Caller { suite: self.clone(), bearer: Bearer(format!("Bearer {token}").parse().unwrap()) }
    }

    pub fn human(&self, subject: &str, roles: &[&str], _groups: &[&str]) -> Caller {
        self.caller(subject, ActorKind::Human, roles)
    }

    pub fn admin(&self) -> Caller {
        self.human("admin", &["admin"], &[])
    }

    pub fn service(&self, name: &str) -> Caller {
        self.caller(&format!("remit-{name}"), ActorKind::Service, &["service"])
    }
}

pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}
