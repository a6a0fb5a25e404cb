//! Is it working? Definitions of KPIs, the events behind them, what they add up to, and what changed.
//!
//! The service owns definitions, events, rollups, experiments, interpretations and alerts. It promises:
//!
//! - An event counts once, whatever is resent; a correction replaces what it names and leaves it on record.
//! - Rollups change in the transaction of their events. They are exact: values are kept to six decimals and
//!   summed as integers, so that any order of arrival gives the same number as a computation from scratch.
//! - No data is not zero, every number shows its n, ratios are sums over sums, and a period that changed after
//!   it had closed says so.
//! - Operational KPIs come from the audit log itself, each entry exactly once.
//! - What is watched is watched less, or not at all, only by a mandate of the council (`strictness.rs`).

#![warn(unreachable_pub)]

mod calendar;
mod conditions;
mod days;
mod definition;
#[allow(unreachable_pub, reason = "seen from this crate alone")]
mod derive;
mod dimensions;
mod grpc;
mod seed;
mod service;
mod store;
mod strictness;
mod summary;
mod tail;

use futures::future::BoxFuture;
use remit_core::Result;
use remit_runtime::{Deps, Lag, Parts, ServiceDef};
use remit_store::{Migration, Schema};
use service::Service;
use std::sync::Arc;

const SCHEMA: Schema =
    Schema { service: "kpi", migrations: &[Migration::new(1, "init", include_str!("../migrations/0001_init.sql"))] };

/// The service, for a process that runs it.
pub const SERVICE: ServiceDef = ServiceDef { name: SCHEMA.service, schema: SCHEMA, build: start };

// A function and no closure: a closure, and with it the whole start, is compiled again where the constant is used.
fn start(deps: Deps) -> BoxFuture<'static, Result<Parts>> {
    Box::pin(build(deps))
}

async fn build(deps: Deps) -> Result<Parts> {
    let (service, lag) = (Service::new(&deps), Lag::default());
    Ok(Parts {
        routes: grpc::routes(service.clone()),
        tasks: vec![Box::pin(remit_runtime::tail::run(service.clone(), deps.peers, lag.clone(), deps.shutdown))],
        lag: Some(lag),
        timers: Some(Arc::new(service)),
        ..Parts::default()
    })
}
