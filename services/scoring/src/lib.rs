//! Scoring: should AI do this, and under which oversight?
//!
//! It owns decision policies, the inventory of tasks with their ratings, what is known about functions, the decisions
//! on record, and the exact counts of checks. It promises that a decision names the policy, contributions, rules and
//! caps that led to it and can be replayed; that a policy is only activated by an approved proposal with a fresh
//! backtest; and that what is unknown, stale, missing or unapproved makes the answer of a check more human, never
//! less. It does not know models, holds or waivers itself: it follows the watch streams of registry and council.

mod cache;
mod convert;
mod grpc;
mod service;
mod store;

/// What can be said of policy files without a server, in the messages of the contract.
pub mod files {
    use crate::service::policy::{diff_message, lint_message};
    use remit_api::scoring::v1::{DiffPoliciesResponse, LintReport};
    use remit_core::Result;
    use remit_policy::Policy;

    /// Checks a policy file over its whole input space and runs its golden cases.
    ///
    /// # Errors
    /// `InvalidArgument` (`POLICY_INVALID`), naming the field of the file.
    pub fn lint(source: &[u8]) -> Result<LintReport> {
        Ok(lint_message(&Policy::parse(source)?))
    }

    /// Compares two policy files: their texts field by field and their outcomes input by input.
    ///
    /// # Errors
    /// As [`lint`].
    pub fn diff(base: &[u8], candidate: &[u8]) -> Result<DiffPoliciesResponse> {
        Ok(diff_message(&Policy::parse(base)?, &Policy::parse(candidate)?))
    }
}

use remit_core::{Result, Tenant};
use remit_runtime::{Deps, Parts};
use remit_store::{Migration, Schema};
use service::counter::Counter;
use std::sync::Arc;
use std::time::Duration;

/// The tables of the service.
pub const SCHEMA: Schema = Schema {
    service: "scoring",
    migrations: &[Migration::new(1, "init", include_str!("../migrations/0001_init.sql"))],
};

/// The part of the configuration that this service reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Older states make answers more human.
    pub stale_after: Duration,
    /// Still older states make them denials.
    pub deny_after: Duration,
    /// How long a tenant's first check waits for the first states.
    pub first_state_wait: Duration,
}

/// Builds the service.
///
/// # Errors
/// `Unavailable` or `ResourceExhausted` (`CHECK_NOT_COUNTED`) if the data directory cannot keep journals of checks.
pub async fn build(deps: Deps) -> Result<Parts> {
    let config = &deps.config.scoring;
    let settings = Settings {
        stale_after: config.stale_after.get(),
        deny_after: config.deny_after.get(),
        first_state_wait: config.first_state_wait.get(),
    };
    let caches = cache::Caches::new(deps.db.clone(), deps.peers.clone(), settings, deps.shutdown.clone());
    let counter = Counter::open(deps.db.clone(), &deps.config.data.dir.join("checks"), config.audit_every)?;
    // Before the first answer, so that totals are exact from the start; what stands in the way may pass.
    if let Err(error) = counter.recover().await {
        tracing::error!(%error, "checks of an earlier process are not in the database yet");
    }
    let waiting = counter.clone();
    let scoring = service::Scoring::new(deps.db.clone(), deps.clock.clone(), settings, caches, counter.clone());
    Ok(Parts {
        routes: grpc::routes(scoring),
        tasks: vec![Box::pin(counter.run(deps.shutdown.clone()))],
        unrecorded: Some(Arc::new(move |tenant: &Tenant| waiting.waiting(tenant))),
        ..Parts::default()
    })
}
