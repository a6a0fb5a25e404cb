//! All SQL of the scoring service, one file a noun.

pub(crate) mod audit_windows;
pub(crate) mod backtests;
pub(crate) mod checks;
pub(crate) mod decisions;
pub(crate) mod functions;
pub(crate) mod policies;
pub(crate) mod tasks;

use remit_core::{Result, Tenant};
use remit_store::{Mutation, Row, Tx, query};

/// How far a tenant's inventory and settings have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Head {
    pub revision: i64,
    pub settings_revision: i64,
}

impl Head {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self { revision: row.get("head_revision")?, settings_revision: row.get("settings_revision")? })
    }
}

/// Locks the head and moves it on by `changes` of the inventory and `settings` of functions and policies. The first
/// of the new revisions is the returned one minus `changes` plus one.
///
/// What was read together with a head before holds if the head has not moved in between: everything that the two
/// revisions count changes under this lock.
pub(crate) async fn claim(m: &mut Mutation, changes: i64, settings: i64) -> Result<Head> {
    let row = query(
        "insert into inventory_heads (tenant_id, revision, settings_revision) values ($1, $2, $3)
         on conflict (tenant_id) do update set revision = inventory_heads.revision + excluded.revision,
             settings_revision = inventory_heads.settings_revision + excluded.settings_revision
         returning revision as head_revision, settings_revision",
    )
    .bind(m.tenant())
    .bind(changes)
    .bind(settings)
    .fetch_one(m.tx())
    .await?;
    Head::read(&row)
}

/// How far the tenant has come; zeros before the first change.
pub(crate) async fn head(tx: &mut Tx, tenant: &Tenant) -> Result<Head> {
    let sql = "select revision as head_revision, settings_revision from inventory_heads where tenant_id = $1";
    let row = query(sql).bind(tenant).fetch_optional(tx).await?;
    row.as_ref().map_or(Ok(Head::default()), Head::read)
}
