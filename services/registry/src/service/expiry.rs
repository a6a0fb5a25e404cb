//! When the approval of a model version ends, and the timers that this is planned with.

use crate::inventory;
use remit_api::registry::v1::ModelVersion;
use remit_api::wire::time;
use remit_core::{Result, Timestamp};
use remit_store::{Mutation, timers};

/// The kind of the timer that restricts.
pub(super) const ENDS: &str = "approval.end";
/// The kind of the timer that suspends.
pub(super) const STOPS: &str = "approval.stop";
/// When the approval by which a version runs ends; `None` if it does not end by itself, or the version does not run.
pub(super) fn end(version: &ModelVersion) -> Option<Timestamp> {
    let terms = version.terms.as_ref().filter(|_| inventory::may_run(version.state()))?;
    terms.expire_time.as_ref().map(time::of)
}

/// Plans what happens to a version when its approval ends.
pub(super) async fn schedule(m: &mut Mutation, kind: &str, version: &str, due: Timestamp) -> Result<()> {
    // The time is part of the id: a later approval adds a timer of its own, and never waits for one that fires just now
    // and waits for the version.
    let id = format!("{kind}:{version}:{}", due.micros());
    let tenant = m.tenant().clone();
    timers::schedule(m.tx(), &tenant, &id, kind, due, version.as_bytes()).await
}

/// Plans the end of the approval of a version that has just been moved. What was planned before stays, and does nothing
/// when it is due.
pub(super) async fn plan_expiry(m: &mut Mutation, version: &ModelVersion) -> Result<()> {
    match end(version) {
        Some(end) => schedule(m, ENDS, &version.name, end).await,
        None => Ok(()),
    }
}
