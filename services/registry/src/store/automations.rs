//! Cross-functional automations.

use super::{Stored, Window};
use crate::convert::word;
use prost::Message;
use remit_api::registry::v1::{Automation, AutomationState};
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_store::filter::{Field, Fragment};
use remit_store::{Order, Row, Sql, Tx, Value, query};

/// What a list of automations can be filtered by.
pub const FIELDS: &[Field] = &[
    Field::words("state", "state", &["PROPOSED", "APPROVED", "SUSPENDED", "RETIRED"]),
    Field::text("display_name", "display_name"),
    Field::text("owner", "owner"),
    Field::timestamp("create_time", "created_at"),
    Field::timestamp("update_time", "updated_at"),
];

/// An automation as stored.
#[derive(Debug)]
pub struct AutomationRow {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: AutomationState,
    /// Its message and revision.
    pub stored: Stored<Automation>,
}

/// The word for a state in columns.
pub fn state_word(state: AutomationState) -> String {
    word(state.as_str_name(), "AUTOMATION_STATE_")
}

fn read(row: &Row) -> Result<AutomationRow> {
    let state: String = row.get("state")?;
    let state = AutomationState::from_str_name(&format!("AUTOMATION_STATE_{state}"))
        .ok_or_else(|| Error::internal(format!("unknown automation state {state}")))?;
    Ok(AutomationRow { id: row.get("automation_id")?, state, stored: Stored::from_row(row)? })
}

/// Inserts an automation in state PROPOSED; `false` if there is one with this id.
pub async fn insert(tx: &mut Tx, tenant: &Tenant, id: &str, automation: &Automation, now: Timestamp) -> Result<bool> {
    let inserted = query(
        "insert into automations (tenant_id, automation_id, state, display_name, owner, revision, body, created_at, updated_at)
         values ($1, $2, 'PROPOSED', $3, $4, 1, $5, $6, $6) on conflict (tenant_id, automation_id) do nothing",
    )
    .bind(tenant)
    .bind(id)
    .bind(&automation.display_name)
    .bind(&automation.owner)
    .bind(automation.encode_to_vec())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(inserted == 1)
}

/// Locks an automation and counts its revision up; `None` if there is none.
pub async fn claim(tx: &mut Tx, tenant: &Tenant, id: &str, now: Timestamp) -> Result<Option<AutomationRow>> {
    let row = query(
        "update automations set revision = revision + 1, updated_at = $3 where tenant_id = $1 and automation_id = $2
         returning automation_id, state, revision, body, created_at, updated_at",
    )
    .bind(tenant)
    .bind(id)
    .bind(now)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Writes a claimed automation.
pub async fn save(tx: &mut Tx, tenant: &Tenant, row: &AutomationRow) -> Result<()> {
    query(
        "update automations set state = $3, display_name = $4, owner = $5, body = $6
         where tenant_id = $1 and automation_id = $2",
    )
    .bind(tenant)
    .bind(&row.id)
    .bind(state_word(row.state))
    .bind(&row.stored.body.display_name)
    .bind(&row.stored.body.owner)
    .bind(row.stored.body.encode_to_vec())
    .execute(tx)
    .await
    .map(|_| ())
}

const SELECT: &str =
    "select automation_id, state, revision, body, created_at, updated_at from automations where tenant_id = ";

/// Finds an automation.
pub async fn find(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<AutomationRow>> {
    let row = Sql::new(SELECT).bind(tenant).push(" and automation_id = ").bind(id).query().fetch_optional(tx).await?;
    row.as_ref().map(read).transpose()
}

/// Lists automations by id.
pub async fn list(tx: &mut Tx, tenant: &Tenant, filter: &Fragment, window: &Window) -> Result<Vec<AutomationRow>> {
    let rows = Sql::new(SELECT)
        .bind(tenant)
        .and_filter(filter)
        .and_after(&["automation_id"], Order::Ascending, window.after.as_deref())
        .order_limit(&["automation_id"], Order::Ascending, window.limit)
        .query()
        .fetch_all(tx)
        .await?;
    rows.iter().map(read).collect()
}

/// The key of a row in a list.
pub fn key(row: &AutomationRow) -> Vec<Value> {
    vec![Value::from(&row.id)]
}
