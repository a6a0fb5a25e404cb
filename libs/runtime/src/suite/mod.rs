//! Putting a process together: databases, services, peers, background work, and one port.

mod ops;
mod process;
#[cfg(test)]
mod tests;

use crate::auth::{Access, Authenticator, Entrance, Keyring, Methods, Signer, Signers};
use crate::certificates::Watcher;
use crate::clock::{KeptClock, LATEST};
use crate::config::{Server, Span};
use crate::layers::http_auth::{self, Gate};
use crate::layers::{Door, Ended, Stack};
use crate::refusals::Refusals;
use crate::relay::Relay;
use crate::serve::{self, Bound, Ending};
use crate::system::System;
use crate::{
    Channel, Config, Deps, Mandates, Parts, Peers, ServiceDef, Tenants, production, telemetry, timers, upkeep,
};
use futures::future::BoxFuture;
use ops::{Ops, Told};
use rand::Rng as _;
use remit_api::system::v1::system_service_server::SystemServiceServer;
use remit_core::{Clock, Error, Ids, Result, SystemClock, Tenant, Timestamp};
use remit_store::{DataDir, Db, Options, private};
use secrecy::ExposeSecret as _;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::BoxCloneSyncService;

/// The service that receives the audit events of all others.
const AUDIT: &str = "audit";

/// Starts processes.
#[derive(Debug)]
pub struct Suite;

/// A running process.
pub struct Running {
    addr: Option<SocketAddr>,
    operations: Option<SocketAddr>,
    channel: Channel,
    peers: Peers,
    signers: Signers,
    clock: Arc<dyn Clock>,
    databases: Arc<BTreeMap<&'static str, Db>>,
    stop: CancellationToken,
    server: Option<tokio::task::JoinHandle<()>>,
    tasks: TaskTracker,
    _data: Option<DataDir>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("addr", &self.addr).field("services", &self.services()).finish_non_exhaustive()
    }
}

impl Suite {
    /// Starts the configured ones of `services` in this process: takes the port, opens and migrates
    /// their databases, builds them, and begins to serve, to deliver audit events and to fire timers.
    ///
    /// # Errors
    /// Whatever stands in the way, naming the cause and the remedy: a taken port, an unknown service, a
    /// locked data directory, an unreachable or newer database, a method without an access rule, …
    pub fn start(config: Config, services: Vec<ServiceDef>) -> BoxFuture<'static, Result<Running>> {
        // Boxed, so that all of it is compiled here, and not again by everybody who awaits it.
        Box::pin(Self::assemble(config, services))
    }

    async fn assemble(config: Config, services: Vec<ServiceDef>) -> Result<Running> {
        config.check()?;
        production::check(&config)?;
        telemetry::metrics();
        // One cryptography provider for TLS on both sides; a second start finds it installed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let chosen = choose(&config, services)?;
        let bound = if config.server.listen.is_empty() { None } else { Some(Bound::new(&config.server).await?) };
        let operations =
            if config.operations.listen.is_empty() { None } else { Some(Bound::operations(&config.operations).await?) };
        let config = Arc::new(config);

        let embedded =
            chosen.iter().any(|service| config.database_url(service.name).expose_secret().starts_with("sqlite:"));
        let data = (embedded || config.clock.manual).then(|| DataDir::open(&config.data.dir)).transpose()?;
        // Others may keep keys there, and what scoring has counted.
        private::check_directory(&config.data.dir)?;
        private::check_directory(config.issuer_dir())?;
        let (auth, signers) = Authenticator::open(&config).await?;
        if signers.development.is_some() {
            warn_of_development(&config);
        }
        if production::is_open_in_the_clear(&config.server) {
            let what = "tokens reach this machine in the clear; set server.tls_certificate, or say by \
                        server.tls_terminated_by_proxy that something else encrypts them";
            tracing::warn!(listen = config.server.listen, "{what}");
        }
        let methods = Arc::new(Methods::new(remit_api::pool(), &config.roles)?);
        let signs = chosen.iter().any(|service| service.name == "council");
        let mandates = Mandates::open(&config, signs).await?;
        let (clock, manual) = clock(&config)?;
        let ids = Arc::new(Ids::new(Box::new(|bytes: &mut [u8]| rand::rng().fill_bytes(bytes))));

        let mut databases = BTreeMap::new();
        for service in &chosen {
            databases.insert(service.name, open(&config, service, ids.clone(), clock.clone()).await?);
        }
        let databases = Arc::new(databases);
        let names: Vec<&str> = chosen.iter().map(|service| service.name).collect();
        let lifetime = config.auth.service_lifetime.get();
        let peers = Peers::new(&names, &config.peers, &config.peer_tls, signers.services.clone(), lifetime)?;

        // Behind the lock of the data directory there is one process, which need not wait for the leases
        // of its predecessor to run out.
        let holder = if embedded {
            "embedded".to_owned()
        } else {
            format!("{}-{:08x}", std::process::id(), rand::random::<u32>())
        };
        let (stop, drain, ended) = (CancellationToken::new(), CancellationToken::new(), Ended::default());
        let mut parts: BTreeMap<&'static str, Parts> = BTreeMap::new();
        for service in &chosen {
            let Some(db) = databases.get(service.name).cloned() else { continue };
            let deps = Deps {
                tenants: Tenants::new(db.clone()),
                db,
                clock: clock.clone(),
                ids: ids.clone(),
                peers: peers.clone(),
                mandates: mandates.clone(),
                config: config.clone(),
                shutdown: drain.clone(),
                holder: holder.clone(),
            };
            parts.insert(service.name, (service.build)(deps).await?);
        }

        let unrecorded = parts.iter().filter_map(|(name, part)| Some((*name, part.unrecorded.clone()?))).collect();
        let system =
            System { clock: clock.clone(), manual, databases: databases.clone(), unrecorded: Arc::new(unrecorded) };
        let lags = parts.iter().filter_map(|(name, part)| Some((*name, part.lag.clone()?))).collect();
        let conditions = parts.iter().filter_map(|(name, part)| Some((*name, part.conditions.clone()?))).collect();
        let measures = parts.iter().filter_map(|(name, part)| Some((*name, part.measure.clone()?))).collect();
        let entrance = Entrance::new(auth.clone(), Access::open(&config, &names, &peers, drain.clone()));
        let told = Told { lags, conditions, measures, entrance: entrance.clone(), data: config.data.dir.clone() };
        let ops = Ops::new(&names, system.clone(), peers.clone(), ended.clone(), told).await;
        // What is open to everybody is on one address, and health on every one that calls come to.
        let apart = operations.is_some();
        let mut routes = ops.health();
        if config.server.reflection && !apart {
            routes = ops.reflection(routes, &names)?;
        }
        routes = routes.add_service(SystemServiceServer::new(system));
        let mut http = axum::Router::new();
        let mut open = axum::Router::new();
        let tasks = TaskTracker::new();
        for (name, part) in parts {
            routes = routes.and(part.routes);
            if let Some(pages) = part.http {
                http = http.merge(pages);
            }
            if let Some(pages) = part.open {
                open = open.merge(pages);
            }
            for task in part.tasks {
                tasks.spawn(task);
            }
            let Some(db) = databases.get(name).cloned() else { continue };
            if let Some(handler) = part.timers {
                let (by_hand, timing) = (config.clock.manual, config.timers.clone());
                tasks.spawn(timers::run(db.clone(), clock.clone(), by_hand, handler, timing, drain.clone()));
            }
            // A clock moved by hand ages in leaps: what was answered a moment ago would count as old.
            if !config.clock.manual {
                let keep = config.database.keep_answers.get();
                tasks.spawn(upkeep::run(db.clone(), clock.clone(), keep, drain.clone()));
            }
            // The audit service's own events too: it is a caller of itself like any other.
            let relay = Relay {
                db,
                peers: peers.clone(),
                clock: clock.clone(),
                service: name,
                holder: holder.clone(),
                config: config.relay.clone(),
            };
            tasks.spawn(relay.run(drain.clone()));
        }
        let door = Arc::new(Door::new(&config, entrance, &opentelemetry::global::meter("remit")));
        let security = Tenant::new(config.audit.security_tenant.as_str())?;
        let refusals = Refusals::new(databases.clone(), tasks.clone(), security);
        let gate = Gate { door: door.clone(), methods: methods.clone(), refusals: refusals.clone() };
        let http = http.layer(axum::middleware::from_fn_with_state(gate, http_auth::verify));
        let http = http.merge(open);
        let http = http.merge(if apart { ops.alive() } else { ops.http(config.operations.metrics) });
        let looks = match operations {
            Some(bound) => {
                let mut routes = ops.health();
                if config.server.reflection {
                    routes = ops.reflection(routes, &names)?;
                }
                let (door, refusals, ended) = (door.clone(), refusals.clone(), Ended::default());
                let stack = Stack::new(&config, methods.clone(), door, ended, refusals, routes);
                Some((bound, stack, ops.http(config.operations.metrics)))
            }
            None => None,
        };
        let stack = Stack::new(&config, methods, door, ended.clone(), refusals, routes);
        peers.open(BoxCloneSyncService::new(stack.clone()))?;
        tasks.spawn(auth.keep_fresh(drain.clone()));
        tasks.spawn(mandates.keep_fresh(drain.clone()));
        tasks.spawn(Watcher::new(&config, databases.clone()).run(drain.clone()));
        tasks.spawn(ops.clone().run(stop.clone(), drain.clone()));

        let addr = bound.as_ref().map(Bound::addr);
        let ending = Ending { begin: stop.clone(), drain, ended };
        let mut server = config.server.clone();
        if bound.is_some() {
            let each = usize::try_from(config.database.connections).unwrap_or(usize::MAX);
            server.max_connections = serve::places(&server, databases.len().saturating_mul(each));
        }
        let operations = looks.as_ref().map(|(bound, ..)| bound.addr());
        let looks = looks.map(|(bound, stack, http)| looked_at(bound, server.clone(), stack, http));
        let main = stack.clone();
        let server = tokio::spawn(async move {
            match bound {
                Some(bound) => serve::run(bound, server, main, http, ending).await,
                None => {
                    ending.begin.cancelled().await;
                    ending.drain.cancel();
                    ending.ended.end_streams();
                }
            }
            // To the end, so that it can be seen.
            if let Some((end, looks)) = looks {
                end.cancel();
                let _ = looks.await;
            }
        });
        if let Some(addr) = addr {
            let scheme = if config.server.tls_certificate.as_os_str().is_empty() { "http" } else { "https" };
            tracing::info!(services = names.join(","), "serving on {scheme}://{addr}");
        }
        if let Some(operations) = operations {
            tracing::info!("metrics, readiness and reflection are on http://{operations}");
        }
        if config.clock.manual {
            tracing::warn!(time = %clock.now(), "the clock is moved by hand: times in the records are what somebody said");
        }
        let channel = Channel::local(BoxCloneSyncService::new(stack));
        Ok(Running {
            addr,
            operations,
            channel,
            peers,
            signers,
            clock,
            databases,
            stop,
            server: Some(server),
            tasks,
            _data: data,
        })
    }
}

/// Says at every start what must not be overlooked.
fn warn_of_development(config: &Config) {
    let (key, listen) = (config.issuer_dir().join("issuer.key"), &config.server.listen);
    tracing::warn!(
        key = %key.display(),
        "the development issuer is in force: whoever reads its key can sign in as anybody; name an identity provider under \
         auth.issuers, and set mode = \"production\""
    );
    if !production::stays_here(listen) {
        tracing::error!(
            listen,
            "the development issuer is in force on an address that other machines reach: this is not for anything that counts"
        );
    }
}

/// What ends a server, and its task.
type Looks = (CancellationToken, tokio::task::JoinHandle<()>);

/// Serves what operators look at. It is for a few, and none of them is waited for.
fn looked_at(bound: Bound, mut server: Server, stack: Stack, http: axum::Router) -> Looks {
    server.drain_delay = Span(std::time::Duration::ZERO);
    server.drain_timeout = Span(std::time::Duration::from_millis(200));
    server.max_connections = server.max_connections.min(MAX_LOOKS);
    let end = CancellationToken::new();
    let ending = Ending { begin: end.clone(), drain: CancellationToken::new(), ended: Ended::default() };
    (end, tokio::spawn(serve::run(bound, server, stack, http, ending)))
}

/// The services to run, or the name of one that does not exist.
fn choose(config: &Config, services: Vec<ServiceDef>) -> Result<Vec<ServiceDef>> {
    let known: Vec<&str> = services.iter().map(|service| service.name).collect();
    let only = &config.server.only;
    for (setting, name) in only
        .iter()
        .map(|name| ("server.only".to_owned(), name))
        .chain(config.peers.keys().map(|name| (format!("peers.{name}"), name)))
        .chain(config.database.urls.keys().map(|name| (format!("database.urls.{name}"), name)))
    {
        if !known.contains(&name.as_str()) {
            let what = format!("there is no service {name:?}; there are {}", known.join(", "));
            return Err(Error::invalid("CONFIG_INVALID", setting, what));
        }
    }
    let chosen: Vec<_> = services
        .into_iter()
        .filter(|service| only.is_empty() || only.iter().any(|name| name == service.name))
        .collect();
    let reachable = config.peers.contains_key(AUDIT) || chosen.iter().any(|service| service.name == AUDIT);
    if known.contains(&AUDIT) && !reachable {
        let what =
            "must be set, because this process does not run the audit service and every change is recorded there";
        return Err(Error::invalid("CONFIG_INVALID", format!("peers.{AUDIT}"), what));
    }
    Ok(chosen)
}

/// The time that the process works with, and the same as a clock that can be moved if it is one.
type Clocks = (Arc<dyn Clock>, Option<Arc<KeptClock>>);

fn clock(config: &Config) -> Result<Clocks> {
    if !config.clock.manual {
        return Ok((Arc::new(SystemClock), None));
    }
    let start = match config.clock.start.as_str() {
        "" => SystemClock.now(),
        text => text.parse::<jiff::Timestamp>().map(Timestamp::from).map_err(|error| {
            Error::invalid("CONFIG_INVALID", "clock.start", "must be an RFC 3339 time").with_source(error)
        })?,
    };
    if start > LATEST {
        return Err(Error::invalid("CONFIG_INVALID", "clock.start", format!("must be {LATEST} at the latest")));
    }
    let path = config.data.dir.join("clock");
    // A start that means "now" must not overrule the position of an earlier run.
    let start = if config.clock.start.is_empty() && path.exists() { Timestamp(i64::MIN) } else { start };
    let kept = Arc::new(KeptClock::open(&path, start)?);
    Ok((kept.clone(), Some(kept)))
}

async fn open(config: &Config, service: &ServiceDef, ids: Arc<Ids>, clock: Arc<dyn Clock>) -> Result<Db> {
    let url = config.database_url(service.name);
    let options = Options {
        schema: config.database_schema(service.name),
        transaction_pooler: config.database.transaction_pooler,
        max_connections: config.database.connections,
        migrate: config.database.migrate,
        outbox_limit: config.relay.max_depth,
        clock,
        trace: crate::context::trace_id,
        ..Options::default()
    };
    Db::open(url.expose_secret(), &service.schema, ids, options).await
}

impl Running {
    /// The address that the process serves on; `None` if it opened no port.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.addr
    }

    /// The address for operators; `None` if it is that of everybody, or none at all.
    pub fn operations_addr(&self) -> Option<SocketAddr> {
        self.operations
    }

    /// A connection within the process, through the same layers as over the network: calls need a token.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The way of this process's services to the others.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Signs the tokens of the development issuer.
    ///
    /// # Errors
    /// `FailedPrecondition` (`NO_DEVELOPMENT_ISSUER`) where tokens come from an identity provider.
    pub fn signer(&self) -> Result<&Arc<Signer>> {
        self.signers.development.as_ref().ok_or_else(|| {
            let what = "tokens come from your identity provider: auth.issuers names one in this configuration";
            Error::precondition("NO_DEVELOPMENT_ISSUER", what)
        })
    }

    /// Signs the tokens of those of the suite's own services that run here.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.signers.services
    }

    /// The time that the process works with.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The database of a service that runs here.
    pub fn db(&self, service: &str) -> Option<&Db> {
        self.databases.get(service)
    }

    /// The services that run here.
    pub fn services(&self) -> Vec<&'static str> {
        self.databases.keys().copied().collect()
    }

    /// Serves until `shutdown` is ready, then ends as [`Running::stop`] does.
    ///
    /// # Errors
    /// `Internal` if the server ends by itself.
    pub async fn until(mut self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let Some(server) = self.server.as_mut() else { return Ok(()) };
        tokio::select! {
            () = shutdown => self.stop().await,
            ended = server => {
                self.server = None;
                let error = Error::internal("the server ended by itself");
                Err(match ended { Ok(()) => error, Err(cause) => error.with_source(cause) })
            }
        }
    }

    /// Ends gracefully: health says NOT_SERVING, open streams end with `SHUTTING_DOWN`, calls in progress
    /// finish within the configured bound, background work stops, databases close.
    ///
    /// # Errors
    /// `Internal` if the server failed.
    pub fn stop(self) -> BoxFuture<'static, Result<()>> {
        Box::pin(self.end())
    }

    async fn end(mut self) -> Result<()> {
        self.stop.cancel();
        let ended = match self.server.take() {
            Some(server) => server.await,
            None => Ok(()),
        };
        self.tasks.close();
        if tokio::time::timeout(PATIENCE, self.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "background work did not stop in time");
        }
        for db in self.databases.values() {
            // A connection that a task still holds must not keep the process.
            let _ = tokio::time::timeout(PATIENCE, db.close()).await;
        }
        ended.map_err(|error| Error::internal("the server failed").with_source(error))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The most connections to the address for operators.
const MAX_LOOKS: usize = 200;

/// How long background work may take to stop.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
