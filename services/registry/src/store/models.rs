//! Models.

use super::{Stored, Window, split};
use remit_api::registry::v1::Model;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::filter::{Field, Fragment};
use remit_store::{Order, Row, Sql, Tx, Value, query};

/// What a list of models can be filtered by.
pub const FIELDS: &[Field] = &[
    Field::text("display_name", "m.display_name"),
    Field::text("owner", "m.owner"),
    Field::boolean("external", "m.external"),
    Field::timestamp("create_time", "m.created_at"),
    Field::timestamp("update_time", "m.updated_at"),
];

/// A model as stored, with its current aliases.
#[derive(Debug)]
pub struct ModelRow {
    /// Its id.
    pub id: String,
    /// Its message and revision.
    pub stored: Stored<Model>,
    /// Alias and version id.
    pub aliases: Vec<(String, String)>,
}

const SELECT: &str = "select m.model_id, m.revision, m.body, m.created_at, m.updated_at,
        (select string_agg(a.alias || '=' || a.version_id, ',' order by a.alias) from aliases a
         where a.tenant_id = m.tenant_id and a.collection = 'models' and a.parent_id = m.model_id
           and a.version_id is not null) as aliases
     from models m where m.tenant_id = ";

fn read(row: &Row) -> Result<ModelRow> {
    let aliases = split(row.get("aliases")?)
        .iter()
        .filter_map(|pair| pair.split_once('=').map(|(alias, version)| (alias.to_owned(), version.to_owned())))
        .collect();
    Ok(ModelRow { id: row.get("model_id")?, stored: Stored::from_row(row)?, aliases })
}

/// Inserts a model; `false` if there is one with this id.
pub async fn insert(tx: &mut Tx, tenant: &Tenant, id: &str, model: &Model, now: Timestamp) -> Result<bool> {
    let inserted = query(
        "insert into models (tenant_id, model_id, display_name, owner, external, last_number, revision, body,
                             created_at, updated_at)
         values ($1, $2, $3, $4, $5, 0, 1, $6, $7, $7) on conflict (tenant_id, model_id) do nothing",
    )
    .bind(tenant)
    .bind(id)
    .bind(&model.display_name)
    .bind(&model.owner)
    .bind(model.external)
    .bind(prost::Message::encode_to_vec(model))
    .bind(now)
    .execute(tx)
    .await?;
    Ok(inserted == 1)
}

/// Locks a model and counts its revision up; `None` if there is none.
pub async fn claim(tx: &mut Tx, tenant: &Tenant, id: &str, now: Timestamp) -> Result<Option<Stored<Model>>> {
    let row = query(
        "update models set revision = revision + 1, updated_at = $3 where tenant_id = $1 and model_id = $2
         returning revision, body, created_at, updated_at",
    )
    .bind(tenant)
    .bind(id)
    .bind(now)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(Stored::from_row).transpose()
}

/// Locks a model without changing it, so that its versions and aliases move one after the other.
pub async fn lock(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<bool> {
    let found = query("update models set last_number = last_number where tenant_id = $1 and model_id = $2")
        .bind(tenant)
        .bind(id)
        .execute(tx)
        .await?;
    Ok(found == 1)
}

/// Locks a model and draws the number of its next version: one more than the last, or `at_least`.
/// `None` if there is no such model.
pub async fn next_number(tx: &mut Tx, tenant: &Tenant, id: &str, at_least: i64) -> Result<Option<i64>> {
    let row = query(
        "update models set last_number = case when last_number + 1 > $3 then last_number + 1 else $3 end
         where tenant_id = $1 and model_id = $2 returning last_number",
    )
    .bind(tenant)
    .bind(id)
    .bind(at_least)
    .fetch_optional(tx)
    .await?;
    row.map(|row| row.get("last_number")).transpose()
}

/// Writes the changed message of a claimed model.
pub async fn save(tx: &mut Tx, tenant: &Tenant, id: &str, model: &Model) -> Result<()> {
    query(
        "update models set display_name = $3, owner = $4, external = $5, body = $6
         where tenant_id = $1 and model_id = $2",
    )
    .bind(tenant)
    .bind(id)
    .bind(&model.display_name)
    .bind(&model.owner)
    .bind(model.external)
    .bind(prost::Message::encode_to_vec(model))
    .execute(tx)
    .await
    .map(|_| ())
}

/// Finds a model.
pub async fn find(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<ModelRow>> {
    let row = Sql::new(SELECT).bind(tenant).push(" and m.model_id = ").bind(id).query().fetch_optional(tx).await?;
    row.as_ref().map(read).transpose()
}

/// Lists models by id.
pub async fn list(tx: &mut Tx, tenant: &Tenant, filter: &Fragment, window: &Window) -> Result<Vec<ModelRow>> {
    let rows = Sql::new(SELECT)
        .bind(tenant)
        .and_filter(filter)
        .and_after(&["m.model_id"], Order::Ascending, window.after.as_deref())
        .order_limit(&["m.model_id"], Order::Ascending, window.limit)
        .query()
        .fetch_all(tx)
        .await?;
    rows.iter().map(read).collect()
}

/// The key of a row in a list.
pub fn key(row: &ModelRow) -> Vec<Value> {
    vec![Value::from(&row.id)]
}
