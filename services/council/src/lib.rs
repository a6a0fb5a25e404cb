//! The council: do we agree?
//!
//! **Owns** the constitution (bodies, their members, rules and jurisdiction), proposals and votes, holds, waivers, incidents, action items,
//! attestations, the monthly reviews, revocations of tokens and the roles that people have inside Remit.
//!
//! **Promises**
//! - Bodies, seats, rules and jurisdiction change by proposals only, from an explicit beginning on.
//! - Only people vote, lift, waive and sign; nobody votes on their own proposal; an edit voids votes.
//! - Rule and electorate of a vote are pinned when it opens; time never approves.
//! - What was approved is executed exactly once, also across a crash.
//! - A hold is in force when the call returns, and only a quorum ends it.
//! - A review's evidence is frozen with a digest; what was not available is shown as not available.
//!
//! **Does not** decide how risky a task is (scoring), keep models (registry), or compute KPIs and drift
//! (kpi): it asks them.

#![warn(unreachable_pub)]

mod access;
mod ask;
mod body;
mod changes;
mod clocks;
mod constitution;
mod export;
mod grpc;
mod library;
mod loosening;
mod proposal;
mod review;
mod scope;
mod seat;
mod service;
mod steps;
mod store;
#[cfg(test)]
mod tests;
mod time;
mod waiver;

use futures::future::BoxFuture;
use remit_core::Result;
use remit_runtime::{Deps, Parts, ServiceDef, meters};
use remit_store::{Db, Migration, Schema};
use std::sync::Arc;

/// The tables of the council.
const SCHEMA: Schema = Schema {
    service: ask::NAME,
    migrations: &[Migration::new(1, "init", include_str!("../migrations/0001_init.sql"))],
};

/// The service, for a process that runs it.
pub const SERVICE: ServiceDef = ServiceDef { name: SCHEMA.service, schema: SCHEMA, build: start };

// A function and no closure: a closure, and with it the whole start, is compiled again where the constant is used.
fn start(deps: Deps) -> BoxFuture<'static, Result<Parts>> {
    Box::pin(build(deps))
}

/// Builds the service from what the process provides.
///
/// # Errors
/// `Internal` if the control library or the table of clocks that ships with the binary cannot be read; `InvalidArgument`
/// (`WITNESS_KEY_INVALID`) for a key in `audit.witnesses` that is none.
async fn build(deps: Deps) -> Result<Parts> {
    library::controls()?;
    clocks::check()?;
    let service = service::Service::new(&deps)?;
    let (worker, collector) = (service.clone(), service.clone());
    Ok(Parts {
        routes: grpc::routes(service.clone()),
        tasks: vec![
            Box::pin(async move { worker.work().await }),
            Box::pin(async move { collector.collect_reviews().await }),
        ],
        timers: Some(Arc::new(service)),
        measure: Some(Arc::new(move || Box::pin(measure(deps.db.clone())))),
        ..Parts::default()
    })
}

async fn measure(db: Db) -> Result<()> {
    let mut tx = db.read().await?;
    for (state, holds) in store::holds_in_force(&mut tx).await? {
        meters::holds(state, holds);
    }
    meters::proposals(store::open_proposals(&mut tx).await?);
    Ok(())
}
