//! What happens when the approval of a model version ends: a person decides first, then it stops; and when a day ends on
//! which it made as many outputs as it may. No timer approves anything.

use super::Service;
use super::expiry::{ENDS, STOPS, end, schedule};
use super::limits::{RESETS, reset};
use super::transitions::{Cause, enter};
use crate::store::models::ModelVersions;
use futures::future::BoxFuture;
use remit_api::registry::v1::{ModelVersionState, ModelVersionTransition};
use remit_core::lifecycle::GRACE;
use remit_core::{Error, Result};
use remit_store::{Mutation, Records as _, Timer, TimerHandler};

/// The action of both in the log.
const EXPIRED: &str = "registry.versions.expire";
/// What both come from.
const ENDED: Cause<'static> = Cause { action: EXPIRED, model: None, withdrawn: None };

/// The approval has ended: a person decides on the results from now on.
async fn restrict(m: &mut Mutation, timer: &Timer, name: &str) -> Result<()> {
    let Some(mut version) = ModelVersions::try_claim(m, name).await? else { return Ok(()) };
    if end(&version) != Some(timer.due_at) {
        return Ok(());
    }
    let change = ModelVersionTransition {
        to_state: ModelVersionState::Restricted.into(),
        purposes: version.purposes.clone(),
        conditions: version.conditions.clone(),
        terms: version.terms.clone(),
        reason: format!("APPROVAL_EXPIRED: its approval ended at {}: have it approved again", timer.due_at),
        ..Default::default()
    };
    enter(m, &mut version, change, ENDED).await?;
    schedule(m, STOPS, name, timer.due_at.plus(GRACE)).await
}

/// Nobody has approved it again.
async fn suspend(m: &mut Mutation, timer: &Timer, name: &str) -> Result<()> {
    let Some(mut version) = ModelVersions::try_claim(m, name).await? else { return Ok(()) };
    let Some(end) = end(&version).filter(|end| end.plus(GRACE) == timer.due_at) else { return Ok(()) };
    let change = ModelVersionTransition {
        to_state: ModelVersionState::Suspended.into(),
        terms: version.terms.clone(),
        reason: format!("APPROVAL_EXPIRED: its approval ended at {end} and was not renewed: have it approved again"),
        ..Default::default()
    };
    enter(m, &mut version, change, ENDED).await
}

impl TimerHandler for Service {
    fn fire<'a>(&'a self, m: &'a mut Mutation, timer: &'a Timer) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let name = String::from_utf8_lossy(&timer.payload).into_owned();
            match timer.kind.as_str() {
                ENDS => restrict(m, timer, &name).await,
                STOPS => suspend(m, timer, &name).await,
                RESETS => reset(m, timer, &name).await,
                kind => Err(Error::internal(format!("the registry has no timer of kind {kind}"))),
            }
        })
    }
}
