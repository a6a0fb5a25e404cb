//! Audit windows, and what was found in them.

use remit_api::scoring::v1::AuditWindow;
use remit_api::wire::time;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::record::Records;
use remit_store::{Sql, Tx};
use std::collections::BTreeMap;

pub(crate) struct AuditWindows;

impl Records for AuditWindows {
    type Message = AuditWindow;

    const TABLE: &'static str = "audit_windows";
    const NOT_FOUND: &'static str = "AUDIT_WINDOW_NOT_FOUND";
    const EXISTS: &'static str = "AUDIT_WINDOW_EXISTS";

    fn name(window: &AuditWindow) -> &str {
        &window.name
    }

    fn create_time(window: &AuditWindow) -> Timestamp {
        window.create_time.as_ref().map(time::of).unwrap_or_default()
    }
}

/// Tasks found in each of `windows`, and how many of them are tagged.
pub(crate) async fn found(
    tx: &mut Tx,
    tenant: &Tenant,
    windows: &[AuditWindow],
) -> Result<BTreeMap<String, (i64, i64)>> {
    let rows = Sql::new(
        "select audit_window, count(*) as tasks, cast(sum(tagged) as bigint) as tagged
         from tasks where tenant_id = ",
    )
    .bind(tenant)
    .push(" and removed = 0 and audit_window in ")
    .bind_list(windows.iter().map(|window| window.name.as_str()))
    .push(" group by audit_window")
    .query()
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| Ok((row.get("audit_window")?, (row.get("tasks")?, row.get("tagged")?)))).collect()
}
