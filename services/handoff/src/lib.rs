//! Who has the work now: gates between AI and people, and every piece of work that passes them.
//!
//! The service owns gate definitions, handoffs, lead routings, overrides, briefings and business calendars.
//! It promises:
//! - A gate governs nothing before it has trigger, owner, accountable person, service level, acceptance
//!   criteria, iteration limit, escalation ladder and KPIs.
//! - A handoff moves by one table of transitions (`machine.rs`); nothing is published without the signature of
//!   an eligible person over exactly what is published, and an edit voids that signature.
//! - No timer approves anything: a deadline that runs out is recorded once, with when it was due and when
//!   that was noticed, and calls the next person.
//! - AI runs and routes only with scoring's clear yes; without one a handoff waits and leads go to people. What people
//!   have to do before its result is out follows from the pattern by one table (`pattern_rules.rs`).
//! - A gate is loosened only by a mandate of the council (`gate_changes.rs`), and its work belongs to its people
//!   (`principal.rs`).

#![warn(unreachable_pub)]

mod briefs;
mod business_time;
mod calendar_changes;
mod gate_changes;
mod gate_rules;
mod grpc;
mod lead_rules;
mod machine;
mod pattern_rules;
mod peers;
mod principal;
mod review_rules;
mod service;
mod signatures;
mod statistics;
mod store;
mod templates;

use futures::future::BoxFuture;
use remit_core::{Result, Timestamp};
use remit_runtime::{Deps, Measure, Parts, ServiceDef, meters};
use remit_store::{Db, Migration, Schema};
use std::sync::Arc;
use std::time::Duration;

const SCHEMA: Schema = Schema {
    service: "handoff",
    migrations: &[Migration::new(1, "init", include_str!("../migrations/0001_init.sql"))],
};

/// The service, for a process that runs it.
pub const SERVICE: ServiceDef = ServiceDef { name: SCHEMA.service, schema: SCHEMA, build: start };

// A function and no closure: a closure, and with it the whole start, is compiled again where the constant is used.
fn start(deps: Deps) -> BoxFuture<'static, Result<Parts>> {
    Box::pin(build(deps))
}

async fn build(deps: Deps) -> Result<Parts> {
    let db = deps.db.clone();
    let service = service::Service::new(deps);
    let routes = grpc::routes(service);
    let measure: Option<Measure> = Some(Arc::new(move || Box::pin(measure(db.clone()))));
    Ok(Parts { routes, timers: Some(Arc::new(service::Timers)), measure, ..Parts::default() })
}

async fn measure(db: Db) -> Result<()> {
    let mut tx = db.read().await?;
    let since = |at: Option<Timestamp>| at.map_or(Duration::ZERO, |at| db.now().since(at));
    for open in store::open::handoffs(&mut tx).await? {
        meters::handoffs(open.state, open.count, since(open.oldest));
    }
    let (leads, due) = store::open::leads(&mut tx).await?;
    meters::leads(leads, since(due));
    Ok(())
}
