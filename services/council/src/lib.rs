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

mod export;
mod grpc;
mod library;
mod records;
mod review;
mod service;
mod store;
mod time;

use remit_core::Error;
use remit_runtime::{Deps, Parts};
use remit_store::{Migration, Schema};
use std::sync::Arc;

/// The tables of the council.
pub const SCHEMA: Schema = Schema {
    service: "council",
    migrations: &[Migration::new(1, "init", include_str!("../migrations/0001_init.sql"))],
};

/// Builds the service from what the process provides.
///
/// # Errors
/// `Internal` if the control library that ships with the binary cannot be read; `InvalidArgument`
/// (`WITNESS_KEY_INVALID`) for a key in `audit.witnesses` that is none.
pub async fn build(deps: Deps) -> Result<Parts, Error> {
    library::controls()?;
    let council = Arc::new(service::Council::new(&deps)?);
    let worker = council.clone();
    Ok(Parts {
        routes: grpc::routes(council.clone()),
        tasks: vec![Box::pin(async move { worker.work().await })],
        timers: Some(council),
        ..Parts::default()
    })
}
