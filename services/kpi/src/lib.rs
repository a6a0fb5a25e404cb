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

mod calendar;
mod definition;
mod derive;
mod dimensions;
mod grpc;
mod seed;
mod service;
mod store;
mod summary;
mod tail;

use futures::future::BoxFuture;
use remit_api::kpi::v1::kpi_service_server::KpiServiceServer;
use remit_core::Result;
use remit_runtime::{Deps, Parts, ServiceDef};
use remit_store::{Migration, Schema};
use std::sync::Arc;

/// The tables.
pub const SCHEMA: Schema =
    Schema { service: "kpi", migrations: &[Migration::new(1, "init", include_str!("../migrations/0001_init.sql"))] };

/// The service, for a process that runs it.
pub const SERVICE: ServiceDef = ServiceDef { name: SCHEMA.service, schema: SCHEMA, build: start };

// A function and no closure: a closure, and with it the whole start, is compiled again where the constant is used.
fn start(deps: Deps) -> BoxFuture<'static, Result<Parts>> {
    Box::pin(build(deps))
}

/// The largest request: a batch of 5,000 events with long dimensions.
const MAX_MESSAGE: usize = 8 << 20;

/// Builds the service.
///
/// # Errors
/// None at present; the signature is that of every service.
async fn build(deps: Deps) -> Result<Parts> {
    let kpis = service::Kpis::new(deps.db.clone(), deps.clock.clone());
    let grpc = grpc::Grpc { kpis: kpis.clone(), shutdown: deps.shutdown.clone() };
    let server = KpiServiceServer::new(grpc).max_decoding_message_size(MAX_MESSAGE);
    let tail = tail::run(kpis.clone(), deps.peers.clone(), deps.shutdown.clone());
    Ok(Parts {
        routes: tonic::service::Routes::new(server),
        tasks: vec![Box::pin(tail)],
        timers: Some(Arc::new(kpis)),
        ..Parts::default()
    })
}
