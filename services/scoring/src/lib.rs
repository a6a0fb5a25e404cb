//! Scoring: should AI do this, and under which oversight?
//!
//! It owns decision policies, the inventory of tasks with their ratings, what is known about functions, the decisions
//! on record, and the exact counts of checks. It promises that a decision names the policy, contributions, rules and
//! caps that led to it and can be replayed; that a policy is only activated by an approved proposal with a fresh
//! backtest; and that what is unknown, stale, missing or unapproved makes the answer of a check more human, never
//! less. It does not know models, holds or waivers itself: it follows the watch streams of registry and council.
#![warn(unreachable_pub)]

mod assessment;
mod cache;
mod counter;
mod evaluation;
pub mod files;
mod function;
mod grpc;
mod pattern;
mod plan;
mod rating;
mod render;
mod replay;
mod service;
mod store;
mod table;
mod tags;
mod task;

use counter::Counter;
use futures::future::BoxFuture;
use remit_core::{Result, Tenant};
use remit_runtime::{Deps, Parts, ServiceDef, meters};
use remit_store::{Migration, Schema};
use std::sync::Arc;
use std::time::Duration;

const SCHEMA: Schema = Schema {
    service: "scoring",
    migrations: &[Migration::new(1, "init", include_str!("../migrations/0001_init.sql"))],
};

/// The service, for a process that runs it.
pub const SERVICE: ServiceDef = ServiceDef { name: SCHEMA.service, schema: SCHEMA, build: start };

// A function and no closure: a closure, and with it the whole start, is compiled again where the constant is used.
fn start(deps: Deps) -> BoxFuture<'static, Result<Parts>> {
    Box::pin(build(deps))
}

/// The part of the configuration that this service reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Older states make answers more human.
    pub stale_after: Duration,
    /// Still older states make them denials.
    pub deny_after: Duration,
    /// How long a tenant's first check waits for the first states.
    pub first_state_wait: Duration,
}

/// # Errors
/// `Unavailable` or `ResourceExhausted` (`CHECK_NOT_COUNTED`) if the data directory cannot keep journals of checks.
async fn build(deps: Deps) -> Result<Parts> {
    let config = &deps.config.scoring;
    let settings = Settings {
        stale_after: config.stale_after.get(),
        deny_after: config.deny_after.get(),
        first_state_wait: config.first_state_wait.get(),
    };
    let rules = cache::RuleCache::new();
    let caches =
        cache::Caches::new(deps.db.clone(), rules.clone(), deps.peers.clone(), settings, deps.shutdown.clone());
    let recorded = counter::Recorded { every: config.audit_every, whole: config.audit_denied };
    let counter = Counter::open(deps.db.clone(), &deps.config.data.dir.join("checks"), recorded)?;
    // Before the first answer, so that totals are exact from the start; what stands in the way may pass.
    if let Err(error) = counter.recover().await {
        tracing::error!(%error, "checks of an earlier process are not in the database yet");
    }
    let waiting = counter.clone();
    let known = caches.clone();
    let service = service::Service::new(deps.db.clone(), settings, caches, rules, counter.clone(), deps.mandates);
    Ok(Parts {
        routes: grpc::routes(service),
        timers: Some(Arc::new(counter.clone())),
        tasks: vec![Box::pin(counter.run(deps.shutdown.clone()))],
        measure: Some(Arc::new(move || {
            known.ages().into_iter().for_each(|(cache, age)| meters::cache_age(cache, age));
            Box::pin(std::future::ready(Ok(())))
        })),
        unrecorded: Some(Arc::new(move |tenant: &Tenant| waiting.waiting(tenant))),
        ..Parts::default()
    })
}
