//! Model versions, their transitions and the artifacts they run with.

use super::{Stored, Window, split};
use crate::convert::word;
use prost::Message;
use remit_api::registry::v1::{ModelVersion, ModelVersionTransition};
use remit_core::lifecycle::State;
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_store::filter::{Field, Fragment};
use remit_store::{BulkInsert, Order, Row, Sql, Tx, Value, query};

/// What a list of versions can be filtered by.
pub const FIELDS: &[Field] = &[
    Field::words("state", "v.state", &["PROPOSED", "EVALUATING", "APPROVED", "RESTRICTED", "SUSPENDED", "RETIRED"]),
    Field::text("provider", "v.provider"),
    Field::text("base_model", "v.base_model"),
    Field::text("artifact_digest", "v.artifact_digest"),
    Field::text("owner", "v.owner"),
    Field::words("ai_act_class", "v.ai_act_class", &["UNSPECIFIED", "MINIMAL", "LIMITED", "HIGH", "PROHIBITED"]),
    Field::timestamp("review_by", "v.review_by"),
    Field::timestamp("create_time", "v.created_at"),
    Field::timestamp("update_time", "v.updated_at"),
];

/// A version as stored.
#[derive(Debug)]
pub struct VersionRow {
    /// The model's id.
    pub model: String,
    /// The version's id.
    pub version: String,
    /// The order of registration within the model.
    pub number: i64,
    /// Where it stands.
    pub state: State,
    /// Whether it was ever approved.
    pub ever_approved: bool,
    /// How many transitions it has had.
    pub transitions: i64,
    /// Its message and revision.
    pub stored: Stored<ModelVersion>,
    /// The aliases that point at it.
    pub aliases: Vec<String>,
}

impl VersionRow {
    /// The full name.
    pub fn name(&self) -> String {
        format!("models/{}/versions/{}", self.model, self.version)
    }
}

macro_rules! columns {
    ($from:literal) => {
        concat!(
            "select v.model_id, v.version_id, v.number, v.state, v.ever_approved, v.transitions, v.revision, v.body,
                v.created_at, v.updated_at,
                (select string_agg(l.alias, ',' order by l.alias) from aliases l
                 where l.tenant_id = v.tenant_id and l.collection = 'models' and l.parent_id = v.model_id
                   and l.version_id = v.version_id) as aliases
             from ",
            $from
        )
    };
}

fn read(row: &Row) -> Result<VersionRow> {
    let state: String = row.get("state")?;
    Ok(VersionRow {
        model: row.get("model_id")?,
        version: row.get("version_id")?,
        number: row.get("number")?,
        state: State::parse(&state).ok_or_else(|| Error::internal(format!("unknown model version state {state}")))?,
        ever_approved: row.get("ever_approved")?,
        transitions: row.get("transitions")?,
        stored: Stored::from_row(row)?,
        aliases: split(row.get("aliases")?),
    })
}

fn review_by(version: &ModelVersion) -> Option<Timestamp> {
    version.review_by.as_ref().and_then(|at| crate::convert::time(at, "review_by").ok())
}

/// Inserts a version in state PROPOSED; `false` if there is one with this id.
pub async fn insert(
    tx: &mut Tx,
    tenant: &Tenant,
    (model, id, number): (&str, &str, i64),
    version: &ModelVersion,
    now: Timestamp,
) -> Result<bool> {
    let inserted = query(
        "insert into model_versions (tenant_id, model_id, version_id, number, state, ever_approved, transitions,
             provider, base_model, artifact_digest, owner, ai_act_class, review_by, revision, body, created_at, updated_at)
         values ($1, $2, $3, $4, $5, 0, 0, $6, $7, $8, $9, $10, $11, 1, $12, $13, $13)
         on conflict (tenant_id, model_id, version_id) do nothing",
    )
    .bind(tenant)
    .bind(model)
    .bind(id)
    .bind(number)
    .bind(State::Proposed.as_str())
    .bind(&version.provider)
    .bind(&version.base_model)
    .bind(&version.artifact_digest)
    .bind(&version.owner)
    .bind(word(version.ai_act_class().as_str_name(), "AI_ACT_CLASS_"))
    .bind(review_by(version))
    .bind(version.encode_to_vec())
    .bind(now)
    .execute(tx)
    .await?;
    if inserted == 0 {
        return Ok(false);
    }
    let rows = version.artifacts.len();
    BulkInsert::into("model_version_artifacts")
        .text("tenant_id", vec![tenant.as_str().to_owned(); rows])
        .text("artifact_version", version.artifacts.clone())
        .text("model_id", vec![model.to_owned(); rows])
        .text("version_id", vec![id.to_owned(); rows])
        .execute(tx)
        .await?;
    Ok(true)
}

/// Locks a version and counts its revision up; `None` if there is none.
pub async fn claim(tx: &mut Tx, tenant: &Tenant, model: &str, id: &str, now: Timestamp) -> Result<Option<VersionRow>> {
    let claimed = query(
        "update model_versions set revision = revision + 1, updated_at = $4
         where tenant_id = $1 and model_id = $2 and version_id = $3",
    )
    .bind(tenant)
    .bind(model)
    .bind(id)
    .bind(now)
    .execute(tx)
    .await?;
    if claimed == 0 { Ok(None) } else { find(tx, tenant, model, id).await }
}

/// Writes a claimed version: its message, and the columns that follow from it and from its state.
pub async fn save(tx: &mut Tx, tenant: &Tenant, row: &VersionRow) -> Result<()> {
    query(
        "update model_versions set state = $4, ever_approved = $5, transitions = $6, review_by = $7, body = $8
         where tenant_id = $1 and model_id = $2 and version_id = $3",
    )
    .bind(tenant)
    .bind(&row.model)
    .bind(&row.version)
    .bind(row.state.as_str())
    .bind(row.ever_approved)
    .bind(row.transitions)
    .bind(review_by(&row.stored.body))
    .bind(row.stored.body.encode_to_vec())
    .execute(tx)
    .await
    .map(|_| ())
}

/// Finds a version by its ids.
pub async fn find(tx: &mut Tx, tenant: &Tenant, model: &str, id: &str) -> Result<Option<VersionRow>> {
    let row = query(columns!("model_versions v where v.tenant_id = $1 and v.model_id = $2 and v.version_id = $3"))
        .bind(tenant)
        .bind(model)
        .bind(id)
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Finds the version that an alias points at.
pub async fn find_by_alias(tx: &mut Tx, tenant: &Tenant, model: &str, alias: &str) -> Result<Option<VersionRow>> {
    let row = query(columns!(
        "aliases p join model_versions v on v.tenant_id = p.tenant_id and v.model_id = p.parent_id
             and v.version_id = p.version_id
         where p.tenant_id = $1 and p.collection = 'models' and p.parent_id = $2 and p.alias = $3"
    ))
    .bind(tenant)
    .bind(model)
    .bind(alias)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Lists versions of one model, or of all if `model` is `None`, newest first.
pub async fn list(
    tx: &mut Tx,
    tenant: &Tenant,
    model: Option<&str>,
    filter: &Fragment,
    window: &Window,
) -> Result<Vec<VersionRow>> {
    let mut sql = Sql::new(columns!("model_versions v where v.tenant_id = ")).bind(tenant);
    if let Some(model) = model {
        sql = sql.push(" and v.model_id = ").bind(model);
    }
    let keys = ["v.created_at", "v.model_id", "v.number"];
    let rows = sql
        .and_filter(filter)
        .and_after(&keys, Order::Descending, window.after.as_deref())
        .order_limit(&keys, Order::Descending, window.limit)
        .query()
        .fetch_all(tx)
        .await?;
    rows.iter().map(read).collect()
}

/// The key of a row in a list.
pub fn key(row: &VersionRow) -> Vec<Value> {
    vec![Value::from(row.stored.created_at), Value::from(&row.model), Value::from(row.number)]
}

/// Adds a transition.
pub async fn insert_transition(
    tx: &mut Tx,
    tenant: &Tenant,
    row: &VersionRow,
    change: &ModelVersionTransition,
) -> Result<()> {
    query("insert into transitions (tenant_id, model_id, version_id, ordinal, body) values ($1, $2, $3, $4, $5)")
        .bind(tenant)
        .bind(&row.model)
        .bind(&row.version)
        .bind(change.sequence)
        .bind(change.encode_to_vec())
        .execute(tx)
        .await
        .map(|_| ())
}

/// Lists the transitions of a version, newest first.
pub async fn list_transitions(
    tx: &mut Tx,
    tenant: &Tenant,
    model: &str,
    id: &str,
    window: &Window,
) -> Result<Vec<ModelVersionTransition>> {
    let rows = Sql::new("select body from transitions where tenant_id = ")
        .bind(tenant)
        .push(" and model_id = ")
        .bind(model)
        .push(" and version_id = ")
        .bind(id)
        .and_after(&["ordinal"], Order::Descending, window.after.as_deref())
        .order_limit(&["ordinal"], Order::Descending, window.limit)
        .query()
        .fetch_all(tx)
        .await?;
    rows.iter().map(|row| crate::convert::decode(&row.get::<Vec<u8>>("body")?)).collect()
}

/// The versions in one of the running states that run with an artifact version, at most `limit`.
pub async fn running_with(tx: &mut Tx, tenant: &Tenant, artifact_version: &str, limit: i64) -> Result<Vec<String>> {
    let rows = query(
        "select v.model_id, v.version_id from model_version_artifacts a
         join model_versions v on v.tenant_id = a.tenant_id and v.model_id = a.model_id and v.version_id = a.version_id
         where a.tenant_id = $1 and a.artifact_version = $2 and v.state in ('APPROVED', 'RESTRICTED')
         order by v.model_id, v.number limit $3",
    )
    .bind(tenant)
    .bind(artifact_version)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(format!("models/{}/versions/{}", row.get::<String>("model_id")?, row.get::<String>("version_id")?))
        })
        .collect()
}
