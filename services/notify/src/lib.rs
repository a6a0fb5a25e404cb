//! Whoever must act hears of it: events of the audit log, sent to those who subscribed, and notices for people.
//!
//! The service owns subscriptions, their secrets and deliveries, notices, and where those reach people. It promises:
//!
//! - One delivery record an event and subscription, whatever is killed: the position in the log moves in its transaction.
//! - On the wire at least once, with the same id and the same bytes; of one resource in the order of the log.
//! - Nobody is connected to whose address was not looked at; an endpoint that is slow or broken delays no other.
//! - What is sent names resources; it carries no personal data, no reasons and no details.
//! - What the law or the constitution puts a clock on can neither be switched off nor wait beyond half of that clock.
//! - An address gets nothing but a code until whoever reads it has said that; it is gone when its subject is erased.
//! - Nothing here holds up the audit log, which is read like any other reader reads it.

#![warn(unreachable_pub)]

mod address;
mod answer;
mod backoff;
mod duties;
mod filter;
mod grpc;
mod language;
mod metrics;
mod owners;
mod payload;
mod people;
mod sender;
mod service;
mod signing;
mod store;
mod tail;
#[cfg(test)]
mod tests;

use futures::future::BoxFuture;
use remit_core::Result;
use remit_runtime::{Deps, Lag, Parts, ServiceDef};
use remit_store::{Migration, Schema};
use service::Service;
use std::sync::Arc;

const SCHEMA: Schema =
    Schema { service: "notify", migrations: &[Migration::new(1, "init", include_str!("../migrations/0001_init.sql"))] };

/// The service, for a process that runs it.
pub const SERVICE: ServiceDef = ServiceDef { name: SCHEMA.service, schema: SCHEMA, build: start };

// A function and no closure: a closure, and with it the whole start, is compiled again where the constant is used.
fn start(deps: Deps) -> BoxFuture<'static, Result<Parts>> {
    Box::pin(build(deps))
}

/// Builds the service from what the process provides.
///
/// # Errors
/// `InvalidArgument` (`CONFIG_INVALID`) for a network in `notify.allow_addresses` that is none, and what is wrong with
/// `notify.smtp` and `notify.language`.
async fn build(deps: Deps) -> Result<Parts> {
    let service = Service::new(&deps)?;
    let lag = Lag::default();
    let metrics = metrics::Metrics::new();
    let sender = sender::Sender::new(service.clone(), metrics.clone(), &deps.config.notify)?;
    let courier = people::courier::Courier::new(service.clone(), &deps.config.notify)?;
    Ok(Parts {
        open: Some(people::unsubscribe::router(service.clone())),
        routes: grpc::routes(service.clone()),
        tasks: vec![
            Box::pin(remit_runtime::tail::run(service.clone(), deps.peers, lag.clone(), deps.shutdown.clone())),
            Box::pin(sender.run(deps.shutdown.clone())),
            Box::pin(courier.run(deps.shutdown)),
        ],
        lag: Some(lag),
        measure: Some(Arc::new(move || {
            let (metrics, db) = (metrics.clone(), deps.db.clone());
            Box::pin(async move { metrics.look(&db).await })
        })),
        timers: Some(Arc::new(service)),
        ..Parts::default()
    })
}
