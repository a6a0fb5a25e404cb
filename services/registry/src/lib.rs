//! The registry: what made this, and may it run?
//!
//! # What it owns
//! The inventory of AI systems: models with immutable versions, their evaluations, lifecycle and
//! aliases; the artifacts that shape outputs besides the model (prompts, guardrails, retrieval corpora,
//! style guides, playbooks); cross-functional automations; and the record of outputs with their lineage
//! and disclosure evidence.
//!
//! # What it promises
//! - What a version is never changes; only what is known about it and what it may do does.
//! - A version runs only by an approved proposal, and stops by one person's word, when its approval ends, or with the
//!   withdrawal of an artifact that it runs with. The table of states is `remit_core::lifecycle`.
//! - What an approval allows on one day is counted as it is recorded, and nothing goes unrecorded for it.
//! - What is locked is locked in one order: an artifact, its versions, a model, its versions; of one kind by name.
//! - An alias points at one version at any time, moves in one step, and its whole history stays.
//! - An output with high or unknown stakes is recorded with complete version tags or not at all
//!   (`provenance`).
//! - Every change of a version's state or aliases reaches the watchers of `WatchModelStates` with the
//!   commit that made it, and every change of an automation those of `WatchAutomations`.
//!
//! # What it does not do
//! It does not judge proposals (the council does), decide about tasks (scoring does), or keep assets: it
//! knows them by their digests.
//!
//! # Where it stands
//! `grpc` and `service` and `store` have a file for each gRPC service, of the same name. Beside them stand the
//! rules, which know no database: `inventory` (model versions), `limits` (their outputs of a day), `provenance` and
//! `recording` (outputs).
#![warn(unreachable_pub)]

mod fields;
mod grpc;
mod inventory;
mod limits;
mod provenance;
mod recording;
mod service;
mod store;
#[cfg(test)]
mod tests;

use futures::future::BoxFuture;
use remit_core::Result;
use remit_runtime::{Deps, Parts, ServiceDef};
use remit_store::{Migration, Schema};
use service::Service;
use std::sync::Arc;

const SCHEMA: Schema = Schema {
    service: "registry",
    migrations: &[Migration::new(1, "init", include_str!("../migrations/0001_init.sql"))],
};

/// The registry, for a process that runs it.
pub const SERVICE: ServiceDef = ServiceDef { name: SCHEMA.service, schema: SCHEMA, build: start };

// A function and no closure: a closure, and with it the whole start, is compiled again where the constant is used.
fn start(deps: Deps) -> BoxFuture<'static, Result<Parts>> {
    Box::pin(build(deps))
}

async fn build(deps: Deps) -> Result<Parts> {
    let service = Service { db: deps.db, mandates: deps.mandates, shutdown: deps.shutdown };
    Ok(Parts { routes: grpc::routes(service.clone()), timers: Some(Arc::new(service)), ..Parts::default() })
}
