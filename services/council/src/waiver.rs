//! When a waiver may be granted, and when it holds.

use crate::time::{at, days};
use remit_api::council::v1::{GrantWaiver, Scope, Waiver};
use remit_api::wire::waivers;
pub(crate) use remit_api::wire::waivers::end_of;
use remit_core::{Error, Result, Timestamp, name};

/// Refuses a waiver of what nobody may waive, and one without an end within bounds.
///
/// # Errors
/// `InvalidArgument`: `ID_INVALID`, `SCOPE_REQUIRED`, `NAME_INVALID`, `WAIVER_INVALID`; `PermissionDenied`
/// (`CONTROL_NOT_WAIVABLE`).
pub(crate) fn check(grant: &GrantWaiver, now: Timestamp) -> Result<()> {
    name::id(&grant.waiver_id, "proposal.action.grant_waiver.waiver_id")?;
    crate::scope::check(grant.scope.as_ref(), "proposal.action.grant_waiver.scope")?;
    let until = at(&grant.expire_time);
    if until <= now || until > now.plus(days(366)) {
        let rule = "must be in the future and within 366 days";
        return Err(Error::invalid("WAIVER_INVALID", "proposal.action.grant_waiver.expire_time", rule));
    }
    crate::library::check_waivable(&grant.control)
}

/// Whether a waiver covers a case that touches these scopes, at any time.
pub(crate) fn covers(waiver: &Waiver, scopes: &[Scope]) -> bool {
    waivers::covers(waiver.scope.as_ref(), |part| scopes.iter().any(|scope| scope.target.as_ref() == Some(part)))
}
