//! The council: do we agree?
//!
//! **Owns** bodies and their members, proposals and votes, holds, waivers, incidents, action items,
//! attestations and the monthly reviews.
//!
//! **Promises**
//! - Only people vote, lift, waive and sign; nobody votes on their own proposal; an edit voids votes.
//! - Rule and electorate of a vote are pinned when it opens; time never approves.
//! - What was approved is executed exactly once, also across a crash.
//! - A hold is in force when the call returns, and only a quorum ends it.
//! - A review's evidence is frozen with a digest; what was not available is shown as not available.
//!
//! **Does not** decide how risky a task is (scoring), keep models (registry), or compute KPIs and drift
//! (kpi): it asks them.

#![warn(unreachable_pub)]

mod ask;
mod body;
mod canonical;
mod clocks;
mod export;
mod grpc;
mod library;
mod proposal;
mod review;
mod scope;
mod service;
mod store;
mod time;
mod waiver;

use remit_core::Result;
use remit_runtime::{Deps, Parts, ServiceDef};
use remit_store::{Migration, Schema};
use std::sync::Arc;

/// The service as a process runs it.
///
/// It does not start (`Internal`) if the control library that ships with the binary cannot be read, or
/// (`InvalidArgument`, `WITNESS_KEY_INVALID`) for a key in `audit.witnesses` that is none.
pub const SERVICE: ServiceDef = ServiceDef {
    name: ask::NAME,
    schema: Schema {
        service: ask::NAME,
        migrations: &[Migration::new(1, "init", include_str!("../migrations/0001_init.sql"))],
    },
    build: |deps| Box::pin(build(deps)),
};

async fn build(deps: Deps) -> Result<Parts> {
    library::controls()?;
    let service = service::Service::new(&deps)?;
    let worker = service.clone();
    Ok(Parts {
        routes: grpc::routes(service.clone()),
        tasks: vec![Box::pin(async move { worker.work().await })],
        timers: Some(Arc::new(service)),
        ..Parts::default()
    })
}
