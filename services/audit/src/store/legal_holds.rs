//! Legal holds: what must not be pruned or erased.

use super::search;
use remit_api::audit::v1::LegalHold;
use remit_api::wire::time;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::filter::Atom;
use remit_store::{Records, Sql, Tx, Value};

/// Legal holds as records; `active` is 1 until a hold is released.
pub(crate) struct LegalHolds;

impl Records for LegalHolds {
    type Message = LegalHold;
    const TABLE: &'static str = "legal_holds";
    const NOT_FOUND: &'static str = "LEGAL_HOLD_NOT_FOUND";
    const EXISTS: &'static str = "LEGAL_HOLD_EXISTS";

    fn name(hold: &LegalHold) -> &str {
        &hold.name
    }
    fn create_time(hold: &LegalHold) -> Timestamp {
        hold.create_time.as_ref().map(time::of).unwrap_or_default()
    }
    fn columns(hold: &LegalHold) -> Vec<(&'static str, Value)> {
        vec![("active", hold.release_time.is_none().into())]
    }
    fn set_etag(hold: &mut LegalHold, etag: String) {
        hold.etag = etag;
    }
}

/// All holds in force.
pub(crate) async fn active(tx: &mut Tx, tenant: &Tenant) -> Result<Vec<LegalHold>> {
    LegalHolds::all(tx, tenant, &[("active", true.into())]).await
}

/// The condition that an entry is under `hold`; true or false, never null.
pub(super) fn covered(mut sql: Sql, hold: &LegalHold) -> Sql {
    sql = sql.push("coalesce(tenant_id is not null");
    if !hold.subject.is_empty() {
        sql = sql.push(" and subject = ").bind(&hold.subject);
    }
    let prefix = &hold.resource_prefix;
    if !prefix.is_empty() {
        let length = i64::try_from(prefix.chars().count()).unwrap_or(i64::MAX);
        sql = sql.push(" and substr(resource, 1, cast(").bind(length).push(" as integer)) = ").bind(prefix);
    }
    if !hold.actor.is_empty() {
        sql = sql.push(" and actor = ").bind(&hold.actor);
    }
    if let Some(from) = hold.recorded.as_ref().and_then(|recorded| recorded.start_time.as_ref()) {
        sql = sql.push(" and recorded_at >= ").bind(time::of(from));
    }
    if let Some(until) = hold.recorded.as_ref().and_then(|recorded| recorded.end_time.as_ref()) {
        sql = sql.push(" and recorded_at < ").bind(time::of(until));
    }
    sql.push(", false)")
}

/// Whether any entry of `subject` is under `hold`.
pub(crate) async fn covers_subject(tx: &mut Tx, tenant: &Tenant, hold: &LegalHold, subject: &str) -> Result<bool> {
    if !hold.subject.is_empty() && hold.subject != subject {
        return Ok(false);
    }
    if !hold.subject.is_empty() && hold.resource_prefix.is_empty() && hold.actor.is_empty() {
        return Ok(true);
    }
    let need = [Atom::Is("subject", subject.to_owned())];
    let condition = |sql: Sql| covered(sql.push(" and subject = ").bind(subject).push(" and "), hold);
    search::any(tx, tenant, vec![&need], &condition).await
}
