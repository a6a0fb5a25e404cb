//! What operators look at: health, readiness, reflection, metrics.

use crate::auth::Entrance;
use crate::lag::{self, Lag};
use crate::layers::{Ended, Routes};
use crate::parts::{Condition, Conditions, Measure};
use crate::system::System;
use crate::telemetry;
use crate::{Peers, room};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{StatusCode, header};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Gauge;
use remit_core::{Clock as _, Error, Result, SystemClock};
use remit_store::{Db, outbox, tenants, timers};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

/// How often databases are asked whether they answer, and how long they may take.
const EVERY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(2);
/// How old what is known of a database may be.
const STALE: Duration = Duration::from_secs(30);
/// What is said of a database that answers.
const WELL: &str = "ok";
/// Of how many looks one asks the peers too, and has the services set their own gauges.
const MORE_EVERY: u32 = 3;
/// What waits longer is told.
const LATE: Duration = Duration::from_secs(60);

/// What was found by service, and when.
type Seen = BTreeMap<&'static str, (&'static str, Instant)>;

/// What else is to be known of a process. None of it takes the process away from its callers: what a service cannot do
/// while another is away it says itself, and a second replica could not either.
#[derive(Debug, Clone, Default)]
struct Waiting {
    /// By service: events that wait for the log, since when, and those that it refused for good.
    outbox: BTreeMap<&'static str, (i64, Duration, i64)>,
    /// By service: how long the oldest timer is overdue.
    timers: BTreeMap<&'static str, Duration>,
    /// By peer: `ok`, or why it could not be asked for its health.
    peers: BTreeMap<String, String>,
}

impl Waiting {
    /// What somebody should look at.
    fn warnings(&self) -> Vec<String> {
        let peers = self.peers.iter().filter(|(_, found)| *found != WELL);
        let peers = peers.map(|(peer, found)| format!("peer {peer}: {found}"));
        let outbox = self.outbox.iter().filter(|(_, (_, age, parked))| *age > LATE || *parked > 0);
        let outbox = outbox.map(|(service, (events, age, parked))| {
            let age = age.as_secs();
            format!("outbox of {service}: {events} events wait, the oldest for {age} s, {parked} were refused for good")
        });
        let timers = self.timers.iter().filter(|(_, late)| **late > LATE);
        let timers = timers.map(|(service, late)| format!("timers of {service}: one is due for {} s", late.as_secs()));
        peers.chain(outbox).chain(timers).collect()
    }
}

/// What services say of themselves, by service.
pub(crate) struct Told {
    /// How far they are behind the audit log.
    pub(crate) lags: BTreeMap<&'static str, Lag>,
    /// What they find wrong.
    pub(crate) conditions: BTreeMap<&'static str, Conditions>,
    /// How the gauges are set that only they have.
    pub(crate) measures: BTreeMap<&'static str, Measure>,
    /// What judges tokens, and where the process writes.
    pub(crate) entrance: Entrance,
    pub(crate) data: PathBuf,
}

/// Watches the process.
#[derive(Clone)]
pub(crate) struct Ops {
    reporter: HealthReporter,
    system: System,
    draining: Arc<AtomicBool>,
    /// What was found when each database was asked last, and when that was.
    seen: Arc<Mutex<Seen>>,
    /// What services find wrong with themselves.
    conditions: Arc<BTreeMap<&'static str, Conditions>>,
    measures: Arc<BTreeMap<&'static str, Measure>>,
    waiting: Arc<Mutex<Waiting>>,
    entrance: Entrance,
    data: Arc<PathBuf>,
    peers: Peers,
    ended: Ended,
    outbox_events: Gauge<i64>,
    outbox_age: Gauge<f64>,
    outbox_parked: Gauge<i64>,
    lags: Arc<BTreeMap<&'static str, Lag>>,
    behind: Gauge<i64>,
    stuck: Gauge<f64>,
    timers_overdue: Gauge<f64>,
    connections: Gauge<i64>,
    condition: Gauge<i64>,
}

/// The gRPC services of a package such as `remit.audit.v1`.
fn services_of(name: &str) -> Vec<String> {
    let package = format!("remit.{name}.v1.");
    let all = remit_api::pool().services().map(|service| service.full_name().to_owned());
    all.filter(|service| service.starts_with(&package)).collect()
}

impl Ops {
    pub(crate) async fn new(names: &[&'static str], system: System, peers: Peers, ended: Ended, told: Told) -> Self {
        let meter = opentelemetry::global::meter("remit");
        super::process::observe(&meter, names);
        let gauge = |name: &'static str, text: &'static str| meter.i64_gauge(name).with_description(text).build();
        let ops = Self {
            reporter: HealthReporter::new(),
            system,
            draining: Arc::default(),
            // They have just been opened.
            seen: Arc::new(Mutex::new(names.iter().map(|name| (*name, (WELL, Instant::now()))).collect())),
            conditions: Arc::new(told.conditions),
            measures: Arc::new(told.measures),
            waiting: Arc::default(),
            entrance: told.entrance,
            data: Arc::new(told.data),
            peers,
            ended,
            timers_overdue: meter
                .f64_gauge("remit.timers.overdue")
                .with_unit("s")
                .with_description("How long the oldest timer is due that has not fired.")
                .build(),
            outbox_events: gauge("remit.outbox.events", "The audit events that wait for delivery, all tenants."),
            outbox_age: meter
                .f64_gauge("remit.outbox.age")
                .with_unit("s")
                .with_description("The age of the oldest audit event that waits for delivery.")
                .build(),
            outbox_parked: gauge(
                "remit.outbox.parked",
                "The audit events that the audit service refused for good, all tenants.",
            ),
            lags: Arc::new(told.lags),
            behind: gauge(
                "remit.log.behind",
                "The audit entries that a follower of the log has not taken, worst tenant.",
            ),
            stuck: meter
                .f64_gauge("remit.log.stuck")
                .with_unit("s")
                .with_description(
                    "For how long a follower of the log has taken nothing of what there is, worst tenant.",
                )
                .build(),
            condition: gauge("remit.conditions", "What a service finds wrong with itself, by reason."),
            connections: gauge(
                "remit.db.connections",
                "The database connections: idle, used, and the most there may be.",
            ),
        };
        ops.report(names, ServingStatus::Serving).await;
        ops
    }

    async fn report(&self, names: &[&str], status: ServingStatus) {
        self.reporter.set_service_status("", status).await;
        for service in names.iter().copied().chain(["system"]).flat_map(services_of) {
            self.reporter.set_service_status(service, status).await;
        }
    }

    /// Health.
    pub(crate) fn health(&self) -> Routes {
        Routes::new(HealthServer::new(HealthService::from_health_reporter(self.reporter.clone())))
    }

    /// The same and reflection.
    pub(crate) fn reflection(&self, routes: Routes, names: &[&str]) -> Result<Routes> {
        let failed = |error| Error::internal("reflection could not be set up").with_source(error);
        let builder = || {
            let mut builder = tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(remit_api::COMMENTED_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .with_service_name("grpc.health.v1.Health");
            for service in names.iter().copied().chain(["system"]).flat_map(services_of) {
                builder = builder.with_service_name(service);
            }
            builder
        };
        Ok(routes
            .add_service(builder().build_v1().map_err(failed)?)
            .add_service(builder().build_v1alpha().map_err(failed)?))
    }

    /// `/healthz` (the process lives).
    pub(crate) fn alive(&self) -> axum::Router {
        axum::Router::new().route("/healthz", get(async || "ok\n"))
    }

    /// The same, `/readyz` (it can serve) and, if it is wanted, `/metrics`.
    pub(crate) fn http(&self, with_metrics: bool) -> axum::Router {
        let routes = axum::Router::new().route("/readyz", get(ready));
        let routes = if with_metrics { routes.route("/metrics", get(metrics)) } else { routes };
        self.alive().merge(routes.with_state(self.clone()))
    }

    /// Keeps health and gauges true; says NOT_SERVING as soon as the end begins.
    pub(crate) async fn run(self, stop: CancellationToken, drain: CancellationToken) {
        let names: Vec<&str> = self.system.databases.keys().copied().collect();
        let mut looks = 0_u32;
        loop {
            if looks.is_multiple_of(MORE_EVERY) {
                let peers = self.peers.look(PATIENCE).await;
                self.waiting().peers = peers;
                self.measure().await;
            }
            looks = looks.wrapping_add(1);
            // What can judge nobody's token serves nobody.
            let shut_out = self.entrance.is_shut_out();
            let mut all = if shut_out { ServingStatus::NotServing } else { ServingStatus::Serving };
            for (name, db) in self.system.databases.iter() {
                let look = self.look(name, db).await;
                self.saw(name, look.as_ref().map_or_else(|error| error.reason(), |()| WELL));
                let status = match look {
                    Ok(()) if shut_out || self.wrong(name).iter().any(|wrong| wrong.fatal) => ServingStatus::NotServing,
                    Ok(()) => ServingStatus::Serving,
                    Err(error) => {
                        tracing::warn!(service = name, reason = error.reason(), "it cannot do its work: {error}");
                        ServingStatus::NotServing
                    }
                };
                if stop.is_cancelled() {
                    break;
                }
                if status == ServingStatus::NotServing {
                    all = status;
                }
                for service in services_of(name) {
                    self.reporter.set_service_status(service, status).await;
                }
            }
            if !stop.is_cancelled() {
                self.reporter.set_service_status("", all).await;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
        self.draining.store(true, Ordering::SeqCst);
        self.report(&names, ServingStatus::NotServing).await;
        drain.cancelled().await;
        self.ended.end_streams();
    }

    /// A gauge that cannot be set stays as it is, and says nothing against the service.
    async fn measure(&self) {
        for (name, measure) in self.measures.iter() {
            if let Err(error) = in_time(measure()).await {
                tracing::warn!(service = name, reason = error.reason(), "its gauges cannot be set: {error}");
            }
        }
    }

    /// What somebody should look at although the process may serve.
    fn warnings(&self) -> Vec<String> {
        let free = room::free(&self.data).ok().filter(|free| *free < room::TOO_LITTLE);
        let full = free.map(|free| format!("disk: {} MiB are free for {}", free >> 20, self.data.display()));
        let told = self.waiting().warnings();
        self.entrance.warnings().into_iter().chain(full).chain(told).collect()
    }

    fn wrong(&self, name: &str) -> Vec<Condition> {
        let looked = self.conditions.get(name).map_or_else(Vec::new, |conditions| conditions());
        looked.into_iter().filter(|found| found.count > 0).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saw(&self, name: &'static str, found: &'static str) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(name, (found, Instant::now()));
    }

    async fn look(&self, name: &'static str, db: &Db) -> Result<()> {
        let label = |state: &'static str| [KeyValue::new("service", name), KeyValue::new("state", state)];
        for Condition { reason, count, .. } in self.conditions.get(name).map_or_else(Vec::new, |looked| looked()) {
            self.condition.record(count, &[KeyValue::new("service", name), KeyValue::new("reason", reason)]);
        }
        // Before anything is asked of it: a pool that is used up is what is to be seen.
        let stats = db.pool_stats();
        self.connections.record(i64::from(stats.max), &label("max"));
        self.connections.record(i64::from(stats.idle), &label("idle"));
        self.connections.record(i64::from(stats.open.saturating_sub(stats.idle)), &label("used"));
        ping(db).await?;
        in_time(db.can_grow()).await?;
        tenants::refresh(db).await?;
        let (mut events, mut parked, mut oldest) = (0, 0, None);
        for tenant in outbox::waiting(db).await? {
            let depth = outbox::depth(&mut db.read().await?, &tenant).await?;
            events += depth.events;
            oldest = [oldest, depth.oldest].into_iter().flatten().min();
        }
        for tenant in outbox::with_parked(db).await? {
            parked += outbox::count_parked(&mut db.read().await?, &tenant).await?;
        }
        let first = timers::next(db, 1).await?.into_iter().next();
        let service = [KeyValue::new("service", name)];
        self.outbox_events.record(events, &service);
        self.outbox_parked.record(parked, &service);
        let now = if self.system.manual.is_some() { self.system.clock.now() } else { SystemClock.now() };
        let age = oldest.map_or(Duration::ZERO, |at| now.since(at));
        let overdue = first.map_or(Duration::ZERO, |(_, due)| now.since(due));
        self.outbox_age.record(age.as_secs_f64(), &service);
        self.timers_overdue.record(overdue.as_secs_f64(), &service);
        let mut waiting = self.waiting();
        waiting.outbox.insert(name, (events, age, parked));
        waiting.timers.insert(name, overdue);
        drop(waiting);
        self.follows(name)
    }

    /// Whether a service that follows the audit log goes forward in it.
    fn follows(&self, name: &'static str) -> Result<()> {
        let Some(lag) = self.lags.get(name) else { return Ok(()) };
        let (behind, service) = (lag.behind(Instant::now()), [KeyValue::new("service", name)]);
        self.behind.record(behind.entries, &service);
        self.stuck.record(behind.stuck.as_secs_f64(), &service);
        if behind.stuck < lag::PATIENCE {
            return Ok(());
        }
        let (entries, seconds) = (behind.entries, behind.stuck.as_secs());
        let why = format!("{entries} entries of the audit log wait, and none was taken for {seconds} s");
        Err(Error::new(remit_core::Kind::Unavailable, "LOG_NOT_FOLLOWED", why))
    }
}

async fn ping(db: &Db) -> Result<()> {
    match in_time(db.ping()).await {
        // A pool goes on trying for longer than this waits, and does not say what for.
        Err(slow) if slow.reason() == "DATABASE_SLOW" => in_time(db.reach()).await.and(Err(slow)),
        found => found,
    }
}

async fn in_time(asked: impl Future<Output = Result<()>>) -> Result<()> {
    let slow = |_| Error::new(remit_core::Kind::Unavailable, "DATABASE_SLOW", "the database does not answer in time");
    tokio::time::timeout(PATIENCE, asked).await.map_err(slow)?
}

/// 200 if every database answered when it was asked last, whoever follows the audit log goes forward, no service found
/// that it cannot work, the council lets the process hear of tokens, and it is not draining, else 503; the body says what is wrong, and under `warnings` what
/// somebody should look at although the process serves. Nobody who asks makes the databases work.
async fn ready(State(ops): State<Ops>) -> Response {
    let draining = ops.draining.load(Ordering::SeqCst);
    let seen = ops.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let found = |(name, (found, at)): (&'static str, (&'static str, Instant))| {
        // Whoever asks them waits for one.
        (name, if at.elapsed() > STALE { "DATABASE_SLOW" } else { found })
    };
    let databases: BTreeMap<_, _> = seen.into_iter().map(found).collect();
    let now = Instant::now();
    let behind: BTreeMap<_, _> = ops.lags.iter().map(|(name, lag)| (*name, lag.behind(now).entries)).collect();
    let found = ops.conditions.keys().map(|name| (*name, ops.wrong(name)));
    let wrong: BTreeMap<_, _> = found.filter(|(_, wrong)| !wrong.is_empty()).collect();
    let able = !wrong.values().flatten().any(|wrong| wrong.fatal);
    let well = !draining && able && !ops.entrance.is_shut_out() && databases.values().all(|found| *found == WELL);
    let waiting = ops.waiting().clone();
    let outbox: BTreeMap<_, _> = waiting
        .outbox
        .iter()
        .map(|(service, (events, age, parked))| {
            (*service, serde_json::json!({"events": events, "oldest_s": age.as_secs(), "parked": parked}))
        })
        .collect();
    let timers: BTreeMap<_, _> = waiting.timers.iter().map(|(service, late)| (*service, late.as_secs())).collect();
    let replicas: BTreeMap<_, _> = ops
        .peers
        .replicas()
        .into_iter()
        .map(|(peer, (well, of))| (peer, serde_json::json!({"well": well, "of": of})))
        .collect();
    let body = serde_json::json!({
        "ready": well, "draining": draining, "databases": databases, "behind": behind, "conditions": wrong,
        "manual_clock": ops.system.manual.is_some(), "warnings": ops.warnings(), "peers": waiting.peers,
        "replicas": replicas, "outbox": outbox, "timers_overdue_s": timers,
    });
    let code = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

async fn metrics() -> Response {
    match telemetry::prometheus_text() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => crate::layers::http_auth::problem(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_too_long_is_told_and_what_is_well_is_not() {
        let second = Duration::from_secs(1);
        let mut waiting = Waiting::default();
        waiting.outbox.insert("kpi", (7, second, 0));
        waiting.timers.insert("kpi", second);
        waiting.peers.insert("audit".to_owned(), WELL.to_owned());
        assert_eq!(waiting.warnings(), Vec::<String>::new());
        waiting.outbox.insert("kpi", (7, second * 90, 0));
        waiting.timers.insert("kpi", second * 61);
        waiting.peers.insert("audit".to_owned(), "UNAVAILABLE".to_owned());
        let told = waiting.warnings().join("\n");
        for part in ["peer audit: UNAVAILABLE", "7 events wait, the oldest for 90 s", "one is due for 61 s"] {
            assert!(told.contains(part), "{told}");
        }
        waiting.outbox.insert("kpi", (0, Duration::ZERO, 1));
        assert!(waiting.warnings().join("\n").contains("1 were refused for good"), "a refusal is told at once");
    }
}
