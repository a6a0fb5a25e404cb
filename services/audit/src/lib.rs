//! The audit log: what happened, provably.
//!
//! # What it owns
//! One transparency log per tenant: entries, the Merkle tree over them in tiles, signed checkpoints and
//! cosignatures; the sealed personal data of entries and the keys of its subjects; retention policies,
//! legal holds and the record of prunings.
//!
//! # What it promises
//! - An answer to `Append` comes after commit: the entry is durable, has its index and is in the tree.
//! - Indexes have no gaps; an event id is recorded once, whoever sends it how often (`step`).
//! - Nothing is dropped: beyond its bounds the queue refuses, and the caller keeps what it has
//!   (`sequencer`).
//! - Who vouches for an entry is who sent it: a service of the suite, known by its key, for its own actions, and any
//!   other program for what it did itself (`sender`).
//! - Whoever changes anything afterwards is found: by [`fsck`] in the store, by [`export_verify`] and
//!   [`remit_tlog::client`] offline, by [`witness`] if the tail is cut or history forked.
//! - Erasing a person destroys the key of their data, and every proof remains (`seal`).
//!
//! `docs/audit.md` follows an entry through its life and specifies every byte that is hashed.
//!
//! # What it does not do
//! It does not judge events or derive anything from them; it keeps no second copy for readers, who search
//! or tail.

mod details;
pub mod export_verify;
pub mod fsck;
mod growth;
mod grpc;
mod http;
pub mod key_watch;
pub mod keys;
pub mod leaf;
mod memory;
pub mod prepare;
pub mod seal;
mod sender;
pub mod sequencer;
mod service;
mod step;
pub mod store;
pub mod timestamp;
pub mod witness;

use futures::future::BoxFuture;
use keys::Keys;
use remit_core::{Error, Ids, Result, SystemClock};
use remit_runtime::{Conditions, Config, Deps, Measure, Parts, ServiceDef, meters};
use remit_store::{Db, Migration, Schema, TimerHandler};
use seal::MasterKeys;
use secrecy::ExposeSecret as _;
use sequencer::Limits;
pub use service::Service;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use timestamp::{Authorities, Authority};

/// The tables of the audit log.
pub const SCHEMA: Schema =
    Schema { service: "audit", migrations: &[Migration::new(1, "init", include_str!("../migrations/0001_init.sql"))] };

/// The service, for a process that runs it.
pub const SERVICE: ServiceDef = ServiceDef { name: SCHEMA.service, schema: SCHEMA, build: start };

// A function and no closure: a closure, and with it the whole start, is compiled again where the constant is used.
fn start(deps: Deps) -> BoxFuture<'static, Result<Parts>> {
    Box::pin(build(deps))
}

/// The keys that `config` names, or those in the data directory.
///
/// # Errors
/// `FailedPrecondition` (`KEY_FILE_MISSING`, `KEY_FILE_READABLE`, `KEY_FILE_INVALID`, `KEY_FILE_FAILED`);
/// `InvalidArgument` (`MASTER_KEY_INVALID`, `ORIGIN_INVALID`, `WITNESS_KEY_INVALID`).
pub fn load_keys(config: &Config, ids: &Ids) -> Result<Keys> {
    keys_of(config, ids, config.auth.development)
}

/// Finds, without making or changing anything, that the keys which `config` names are those of the logs in `db`, and tells
/// how many logs there are.
///
/// # Errors
/// As [`load_keys`]; `FailedPrecondition` (`KEY_NOT_OF_LOG`, `MASTER_KEY_MISSING`) if these are not the keys of the logs;
/// `InvalidArgument` (`CONFIG_INVALID`) if no authority can be reached as the settings say.
pub async fn look_at_keys(config: &Config, ids: &Arc<Ids>, db: &Db) -> Result<usize> {
    let logs = remit_store::tenants::list(db).await?.len();
    if logs > 0 {
        let keys = Arc::new(keys_of(config, ids, false)?);
        Service::new(db.clone(), Arc::new(SystemClock), keys, Limits::default()).check_start().await?;
    }
    Ok(logs)
}

fn keys_of(config: &Config, ids: &Ids, create: bool) -> Result<Keys> {
    let path = |named: &Path, default: &str| -> (PathBuf, bool) {
        let own = named.as_os_str().is_empty();
        if own { (config.data.dir.join(default), create) } else { (named.to_owned(), false) }
    };
    let (file, make) = path(&config.audit.signing_key, "audit-signing.pem");
    let signing = keys::signing_key(&file, make, ids)?;
    let text = config.audit.master_keys.expose_secret();
    let master = if text.is_empty() {
        let (file, make) = path(&config.audit.master_keys_file, "audit-master.keys");
        keys::master_keys(&file, make, ids)?
    } else {
        MasterKeys::parse(text)?
    };
    let keys =
        Keys::new(&config.audit.origin, signing, master, &config.audit.witnesses)?.after(&config.audit.retired_keys)?;
    let next = &config.audit.next_signing_key;
    if next.as_os_str().is_empty() { Ok(keys) } else { Ok(keys.handing_over(keys::signing_key(next, false, ids)?)) }
}

/// How long a time-stamping authority has for its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The time-stamping authority that `config` names.
fn authority(config: &Config) -> Result<Option<Authority>> {
    let (url, file) = (&config.audit.timestamp_url, &config.audit.timestamp_ca);
    let wrong = |field: &str, what: String| Error::invalid("CONFIG_INVALID", format!("audit.{field}"), what);
    if url.is_empty() {
        return Ok(None);
    }
    let trusted = if file.as_os_str().is_empty() {
        None
    } else {
        let failed = |why: &dyn std::fmt::Display| wrong("timestamp_ca", format!("{}: {why}", file.display()));
        let pem = std::fs::read(file).map_err(|error| failed(&error))?;
        Some(Authorities::from_pem(&pem).map_err(|why| failed(&why))?)
    };
    let authority = Authority::new(url, PATIENCE, trusted);
    authority.map(Some).map_err(|_| wrong("timestamp_url", format!("{url:?} must start with http:// or https://")))
}

/// Where a process keeps what it last signed of each log.
pub fn heads_dir(config: &Config) -> PathBuf {
    config.data.dir.join("audit-heads")
}

/// Opens the log as `config` says, for the service and for tools that work on the store.
///
/// # Errors
/// As [`load_keys`].
fn open(deps: &Deps) -> Result<Service> {
    let keys = load_keys(&deps.config, &deps.ids)?.remembering(heads_dir(&deps.config));
    let keys = Arc::new(keys);
    let (queued_events, queued_bytes) = (deps.config.audit.max_queued_events, deps.config.audit.max_queued_bytes);
    let linger = deps.config.audit.linger.get();
    let limits = Limits { queued_events, queued_bytes, linger, ..Limits::default() };
    let pause = deps.config.audit.prune_every.get();
    let log = Service::new(deps.db.clone(), deps.clock.clone(), keys, limits);
    Ok(log.prune_every((!pause.is_zero()).then_some(pause)))
}

/// Builds the service.
///
/// # Errors
/// As [`load_keys`]; `FailedPrecondition` (`KEY_NOT_OF_LOG`, `MASTER_KEY_MISSING`) if these are not the keys of the logs;
/// `InvalidArgument` (`CONFIG_INVALID`) if no authority can be asked as the settings say.
async fn build(deps: Deps) -> Result<Parts> {
    let log = open(&deps)?.until(deps.shutdown.clone());
    log.check_start().await?;
    log.hand_over_all().await?;
    let watch = Arc::new(key_watch::KeyWatch::default());
    let mut tasks: Vec<BoxFuture<'static, ()>> = vec![
        Box::pin(log.clone().watch_keys(watch.clone(), deps.shutdown.clone())),
        Box::pin(log.clone().remember(deps.shutdown.clone())),
    ];
    if let Some(authority) = authority(&deps.config)? {
        let every = deps.config.audit.timestamp_every.get();
        tasks.push(Box::pin(log.clone().stamp_all(authority, every, deps.shutdown)));
    }
    let conditions: Option<Conditions> = Some(Arc::new(move || watch.conditions()));
    let measure: Option<Measure> = Some(Arc::new(move || {
        let db = deps.db.clone();
        Box::pin(async move {
            meters::entries(store::heads::entries(&mut db.read().await?).await?);
            Ok(())
        })
    }));
    let routes = grpc::routes(log.clone());
    let timers = Some(Arc::new(log.clone()) as Arc<dyn TimerHandler>);
    Ok(Parts { routes, http: Some(http::router(log)), timers, tasks, conditions, measure, ..Parts::default() })
}
