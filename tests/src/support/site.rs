//! Processes of one deployment that a test starts, pauses, kills and starts again one by one.

use super::authority::Authority;
use super::cluster::{Process, free_port};
use super::recorder::{Link, Recorder};
use super::{Bearer, Connection, eventually};
use remit_api::system::v1::GetInfoRequest;
use remit_api::system::v1::system_service_client::SystemServiceClient;
use remit_core::{Actor, ActorKind, SERVICES, Tenant};
use remit_runtime::Config;
use remit_runtime::auth::{Keyring, Signer};
use remit_store::testing::ids;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

/// The configuration with the directory of the issuer in its section `[auth]`, which may be there already.
fn with_issuer(toml: &str, issuer: &Path) -> String {
    let section = format!("[auth]\nissuer_dir = \"{}\"\n", issuer.display());
    if toml.contains("[auth]\n") { toml.replacen("[auth]\n", &section, 1) } else { toml.to_owned() + &section }
}

/// A deployment: the configuration of every process, and tokens that all of them accept.
pub struct Site {
    dir: tempfile::TempDir,
    /// Process to its service, `all` for every service, and its port.
    processes: BTreeMap<&'static str, (&'static str, u16)>,
    toml: String,
    signer: Signer,
    services: Keyring,
    tenant: Tenant,
    recorder: Arc<Recorder>,
    /// What the processes and the callers show each other; nothing in the clear.
    secured: Option<Secured>,
}

/// Mutual TLS under an authority of one's own: `ca.pem`, `leaf.pem` and `leaf.key` in a directory.
pub struct Secured(pub PathBuf);

impl Secured {
    /// Writes what `leaf` vouches for, and whom all believe.
    pub fn write(&self, leaf: &Authority, believed: &[&Authority]) {
        let (certificate, key) = leaf.issue("localhost");
        let ca: String = believed.iter().map(|authority| authority.pem()).collect();
        remit_store::private::replace(&self.0.join("ca.pem"), &ca).expect("a file can be written");
        remit_store::private::replace(&self.0.join("leaf.key"), &key).expect("a file can be written");
        remit_store::private::replace(&self.0.join("leaf.pem"), &certificate).expect("a file can be written");
    }

    fn toml(&self) -> (String, String) {
        let file = |name: &str| self.0.join(name).display().to_string();
        let (ca, certificate, key) = (file("ca.pem"), file("leaf.pem"), file("leaf.key"));
        let server = format!("tls_certificate = {certificate:?}\ntls_key = {key:?}\ntls_client_ca = {ca:?}\n");
        (server, format!("[peer_tls]\nca = {ca:?}\ncertificate = {certificate:?}\nkey = {key:?}\n"))
    }
}

impl Site {
    /// Processes by name with their services; `toml` is what all of them share. The others know all processes of a
    /// service.
    pub fn new(processes: &[(&'static str, &'static str)], toml: &str) -> Self {
        Self::with(processes, toml, None)
    }

    /// The same under mutual TLS, by an authority that is believed at first.
    pub fn secured(processes: &[(&'static str, &'static str)], toml: &str, authority: &Authority) -> Self {
        Self::with(processes, toml, Some(authority))
    }

    fn with(processes: &[(&'static str, &'static str)], toml: &str, authority: Option<&Authority>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let issuer = dir.path().join("issuer");
        let signing = Config::from_toml(&format!("[data]\ndir = \"{}\"\n", issuer.display()));
        let signing = signing.expect("a valid configuration");
        // Made before the processes, which would otherwise all make them.
        let signer = Signer::development(&signing).expect("a development issuer");
        let services = Keyring::open(&signing, &SERVICES).expect("keys of the suite's own");
        let secured = authority.map(|authority| {
            let secured = Secured(dir.path().join("tls"));
            std::fs::create_dir(&secured.0).expect("a directory can be made");
            secured.write(authority, &[authority]);
            secured
        });
        let site = Self {
            secured,
            dir,
            processes: processes.iter().map(|(name, service)| (*name, (*service, free_port()))).collect(),
            toml: format!("{}[telemetry]\nlog = \"warn\"\n", with_issuer(toml, &issuer)),
            signer,
            services,
            tenant: Tenant::new("acme").expect("a valid tenant"),
            recorder: Arc::default(),
        };
        let mut peers: BTreeMap<&str, String> = BTreeMap::new();
        for (name, service) in processes {
            let urls = peers.entry(*service).or_default();
            *urls += &format!("{}{}", if urls.is_empty() { "" } else { "," }, site.url(name));
        }
        for (name, service) in processes {
            site.write(name, service, &peers);
            if ["audit", "all"].contains(service) {
                site.share_keys(name);
            }
        }
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.toml"))
    }

    /// Where a process listens.
    pub fn url(&self, name: &str) -> String {
        let port = self.processes[name].1;
        if self.secured.is_some() { format!("https://localhost:{port}") } else { format!("http://127.0.0.1:{port}") }
    }

    fn write(&self, name: &str, service: &str, peers: &BTreeMap<&str, String>) {
        let data = self.dir.path().join(format!("data-{name}"));
        let mut toml = format!("{}[data]\ndir = \"{}\"\n", self.toml, data.display());
        let (server, peer_tls) = self.secured.as_ref().map(Secured::toml).unwrap_or_default();
        toml += &peer_tls;
        toml += &format!("[server]\nlisten = \"127.0.0.1:{}\"\n{server}[peers]\n", self.processes[name].1);
        for (peer, url) in peers.iter().filter(|(peer, _)| service != "all" && **peer != service) {
            toml += &format!("{peer} = \"{url}\"\n");
        }
        std::fs::write(self.path(name), toml).expect("the configuration can be written");
    }

    /// Gives a process the keys of the log, which all of its replicas sign and seal with.
    fn share_keys(&self, name: &str) {
        let data = self.dir.path().join(format!("data-{name}"));
        remit_store::private::directory(&data).expect("a directory can be made");
        let (signing, master) = (self.dir.path().join("audit-signing.pem"), self.dir.path().join("audit-master.keys"));
        remit_audit::keys::signing_key(&signing, true, &ids()).expect("a signing key");
        remit_audit::keys::master_keys(&master, true, &ids()).expect("a master key");
        for key in [signing, master] {
            let copy = data.join(key.file_name().expect("a file has a name"));
            std::fs::copy(&key, copy).expect("a key can be copied");
        }
    }

    /// Starts a process and waits until it answers.
    pub async fn start(&self, name: &str) -> Process {
        let service = self.processes[name].0;
        let path = self.path(name);
        let path = path.to_str().expect("a temporary path is text");
        let only: &[&str] = if service == "all" { &[] } else { &["--only", service] };
        let mut process = Process::start(self.dir.path(), name, &[&["serve", "--config", path], only].concat());
        // As one of the suite's own services: people are let in only when the council is there too.
        let system = SystemServiceClient::new(self.service("council", name));
        eventually("the process answers", || {
            let printed = if process.is_running() { None } else { Some(process.printed()) };
            let mut system = system.clone();
            async move {
                assert!(printed.is_none(), "it ended: {}", printed.unwrap_or_default());
                system.get_info(GetInfoRequest {}).await.is_ok()
            }
        })
        .await;
        process
    }

    /// A token for an actor.
    pub fn token(&self, subject: &str, kind: ActorKind, roles: &[&str]) -> String {
        self.token_in(subject, kind, roles, &[])
    }

    /// The same of an actor with role groups.
    pub fn token_in(&self, subject: &str, kind: ActorKind, roles: &[&str], groups: &[&str]) -> String {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        let (roles, role_groups) = (owned(roles), owned(groups));
        let actor = Actor { subject: subject.to_owned(), kind, roles, role_groups, on_behalf_of: None };
        self.signer.token(&self.tenant, &actor, Duration::from_secs(3_600)).expect("a token can be signed")
    }

    /// The connection of an actor to a process.
    pub fn to(&self, process: &str, subject: &str, kind: ActorKind, roles: &[&str]) -> Connection {
        self.bearing(&self.token(subject, kind, roles), process)
    }

    fn bearing(&self, token: &str, process: &str) -> Connection {
        let bearer = Bearer(format!("Bearer {token}").parse().expect("a token is a header value"));
        let endpoint = Endpoint::from_shared(self.url(process)).expect("a valid URL").tcp_nodelay(true);
        let endpoint = match &self.secured {
            Some(_) => endpoint.tls_config(self.tls(true)).expect("files of certificates"),
            None => endpoint,
        };
        let link = Link { channel: endpoint.connect_lazy(), recorder: self.recorder.clone() };
        InterceptedService::new(link, bearer)
    }

    /// What a caller believes, and shows if she is `known`.
    pub fn tls(&self, known: bool) -> ClientTlsConfig {
        let Secured(dir) = self.secured.as_ref().expect("a secured site");
        let read = |name: &str| std::fs::read(dir.join(name)).expect("a file");
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read("ca.pem")));
        if known { tls.identity(Identity::from_pem(read("leaf.pem"), read("leaf.key"))) } else { tls }
    }

    /// The files of a secured site.
    pub fn security(&self) -> &Secured {
        self.secured.as_ref().expect("a secured site")
    }

    /// The connection of a person.
    pub fn human(&self, subject: &str, roles: &[&str], process: &str) -> Connection {
        self.to(process, subject, ActorKind::Human, roles)
    }

    /// The connection of a marketing platform.
    pub fn platform(&self, process: &str) -> Connection {
        self.to(process, "platform", ActorKind::Service, &["platform"])
    }

    /// The tenant of all tokens.
    pub(super) fn tenant(&self) -> Tenant {
        self.tenant.clone()
    }

    /// Where the processes keep the keys that they share.
    pub fn issuer_dir(&self) -> PathBuf {
        self.dir.path().join("issuer")
    }

    /// The key set that mandates are verified with.
    pub fn council_keys(&self) -> PathBuf {
        self.issuer_dir().join("council-jwks.json")
    }

    /// The connection of one of Remit's own services.
    pub fn service(&self, name: &str, process: &str) -> Connection {
        let token = self.services.token(&self.tenant, name, Duration::from_secs(1_200));
        self.bearing(&token.expect("a token can be signed"), process)
    }
}
