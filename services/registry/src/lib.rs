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
//! - A version runs only by an approved proposal, and stops by one person's word. The table of states is
//!   `remit_core::lifecycle`.
//! - An alias points at one version at any time, moves in one step, and its whole history stays.
//! - An output with high or unknown stakes is recorded with complete version tags or not at all
//!   ([`provenance`]).
//! - Every change of a version's state or aliases reaches the watchers of `WatchModelStates` with the
//!   commit that made it.
//!
//! # What it does not do
//! It does not judge proposals (the council does), decide about tasks (scoring does), or keep assets: it
//! knows them by their digests.

pub mod convert;
pub mod grpc;
pub mod provenance;
pub mod service;
pub mod store;

use futures::future::BoxFuture;
use remit_api::registry::v1::artifact_service_server::ArtifactServiceServer;
use remit_api::registry::v1::automation_service_server::AutomationServiceServer;
use remit_api::registry::v1::model_service_server::ModelServiceServer;
use remit_api::registry::v1::output_service_server::OutputServiceServer;
use remit_core::Error;
use remit_runtime::{Deps, Parts, ServiceDef};
use remit_store::{Migration, Schema};
use service::Registry;
use tonic::service::Routes;

/// The registry's tables.
pub const SCHEMA: Schema = Schema {
    service: "registry",
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
/// None at present; the signature is the same for every service.
async fn build(deps: Deps) -> Result<Parts, Error> {
    let registry = Registry { db: deps.db, clock: deps.clock, shutdown: deps.shutdown };
    let routes = Routes::new(ModelServiceServer::new(grpc::models::Models(registry.clone())))
        .add_service(ArtifactServiceServer::new(grpc::artifacts::Artifacts(registry.clone())))
        .add_service(AutomationServiceServer::new(grpc::automations::Automations(registry.clone())))
        .add_service(OutputServiceServer::new(grpc::outputs::Outputs(registry)));
    Ok(Parts { routes, ..Parts::default() })
}
