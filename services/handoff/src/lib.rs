//! Who has the work now: gates between AI and people, and every piece of work that passes them.
//!
//! The service owns gate definitions, handoffs, lead routings, overrides, briefings and business calendars.
//! It promises:
//! - A gate governs nothing before it has trigger, owner, accountable person, service level, acceptance
//!   criteria, iteration limit, escalation ladder and KPIs.
//! - A handoff moves by one table of transitions ([`machine`]); nothing is published without the signature of
//!   an eligible person over exactly what is published, and an edit voids that signature.
//! - No timer approves anything: a deadline that runs out is recorded once, with when it was due and when
//!   that was noticed, and calls the next person.
//! - AI runs and routes only with scoring's clear yes; without one a handoff waits and leads go to people.

mod convert;
mod gate_rules;
mod grpc;
pub mod machine;
mod peers;
mod principal;
mod service;
mod store;
mod templates;

use futures::future::BoxFuture;
use remit_api::handoff::v1::calendar_service_server::CalendarServiceServer;
use remit_api::handoff::v1::gate_service_server::GateServiceServer;
use remit_api::handoff::v1::handoff_service_server::HandoffServiceServer;
use remit_api::handoff::v1::lead_routing_service_server::LeadRoutingServiceServer;
use remit_core::Error;
use remit_runtime::{Deps, Parts, ServiceDef};
use remit_store::{Migration, Schema};
use std::sync::Arc;

/// The tables.
pub const SCHEMA: Schema = Schema {
    service: "handoff",
    migrations: &[Migration::new(1, "init", include_str!("../migrations/0001_init.sql"))],
};

/// The service, for a process that runs it.
pub const SERVICE: ServiceDef = ServiceDef { name: SCHEMA.service, schema: SCHEMA, build: start };

// A function and no closure: a closure, and with it the whole start, is compiled again where the constant is used.
fn start(deps: Deps) -> BoxFuture<'static, Result<Parts, Error>> {
    Box::pin(build(deps))
}

/// Builds the service.
///
/// # Errors
/// None of its own.
async fn build(deps: Deps) -> Result<Parts, Error> {
    let scoring = peers::Scoring::new(&deps.peers);
    let service = service::Service::new(deps.db, deps.clock, scoring);
    let routes =
        tonic::service::Routes::new(HandoffServiceServer::new(grpc::HandoffsGrpc(service.clone(), deps.shutdown)))
            .add_service(GateServiceServer::new(grpc::GatesGrpc(service.clone())))
            .add_service(CalendarServiceServer::new(grpc::CalendarsGrpc(service.clone())))
            .add_service(LeadRoutingServiceServer::new(grpc::RoutingGrpc(service.clone())));
    Ok(Parts { routes, timers: Some(Arc::new(service::Timers(service))), ..Parts::default() })
}
