//! Artifacts and their versions.

use super::{Stored, Window, split};
use crate::convert::word;
use prost::Message;
use remit_api::registry::v1::{Artifact, ArtifactKind, ArtifactVersion, ArtifactVersionState};
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_store::filter::{Field, Fragment};
use remit_store::{Order, Row, Sql, Tx, Value, query};

const KINDS: &[&str] = &["PROMPT", "GUARDRAIL", "RETRIEVAL_CORPUS", "STYLE_GUIDE", "PLAYBOOK"];

/// What a list of artifacts can be filtered by.
pub const FIELDS: &[Field] = &[
    Field::words("kind", "m.kind", KINDS),
    Field::text("display_name", "m.display_name"),
    Field::text("owner", "m.owner"),
    Field::timestamp("create_time", "m.created_at"),
    Field::timestamp("update_time", "m.updated_at"),
];

/// What a list of artifact versions can be filtered by.
pub const VERSION_FIELDS: &[Field] = &[
    Field::words("state", "v.state", &["DRAFT", "APPROVED", "WITHDRAWN"]),
    Field::words("kind", "v.kind", KINDS),
    Field::text("content_digest", "v.content_digest"),
    Field::timestamp("create_time", "v.created_at"),
    Field::timestamp("update_time", "v.updated_at"),
];

/// An artifact as stored, with its current labels.
#[derive(Debug)]
pub struct ArtifactRow {
    /// Its id.
    pub id: String,
    /// Its message and revision.
    pub stored: Stored<Artifact>,
    /// Label and version id.
    pub labels: Vec<(String, String)>,
}

/// A version as stored.
#[derive(Debug)]
pub struct ArtifactVersionRow {
    /// The artifact's id.
    pub artifact: String,
    /// The version's id.
    pub version: String,
    /// The order of writing within the artifact.
    pub number: i64,
    /// Where it stands.
    pub state: ArtifactVersionState,
    /// Its message, without content, and its revision.
    pub stored: Stored<ArtifactVersion>,
    /// The labels that point at it.
    pub labels: Vec<String>,
}

impl ArtifactVersionRow {
    /// The full name.
    pub fn name(&self) -> String {
        format!("artifacts/{}/versions/{}", self.artifact, self.version)
    }
}

fn kind_word(kind: ArtifactKind) -> String {
    word(kind.as_str_name(), "ARTIFACT_KIND_")
}

/// The word for a state in columns.
pub fn state_word(state: ArtifactVersionState) -> String {
    word(state.as_str_name(), "ARTIFACT_VERSION_STATE_")
}

const SELECT: &str = "select m.artifact_id, m.revision, m.body, m.created_at, m.updated_at,
        (select string_agg(a.alias || '=' || a.version_id, ',' order by a.alias) from aliases a
         where a.tenant_id = m.tenant_id and a.collection = 'artifacts' and a.parent_id = m.artifact_id
           and a.version_id is not null) as labels
     from artifacts m where m.tenant_id = ";

fn read(row: &Row) -> Result<ArtifactRow> {
    let labels = split(row.get("labels")?)
        .iter()
        .filter_map(|pair| pair.split_once('=').map(|(label, version)| (label.to_owned(), version.to_owned())))
        .collect();
    Ok(ArtifactRow { id: row.get("artifact_id")?, stored: Stored::from_row(row)?, labels })
}

macro_rules! version_columns {
    ($from:literal) => {
        concat!(
            "select v.artifact_id, v.version_id, v.number, v.state, v.revision, v.body, v.created_at, v.updated_at,
                (select string_agg(l.alias, ',' order by l.alias) from aliases l
                 where l.tenant_id = v.tenant_id and l.collection = 'artifacts' and l.parent_id = v.artifact_id
                   and l.version_id = v.version_id) as labels
             from ",
            $from
        )
    };
}

fn read_version(row: &Row) -> Result<ArtifactVersionRow> {
    let state: String = row.get("state")?;
    let state = ArtifactVersionState::from_str_name(&format!("ARTIFACT_VERSION_STATE_{state}"))
        .ok_or_else(|| Error::internal(format!("unknown artifact version state {state}")))?;
    Ok(ArtifactVersionRow {
        artifact: row.get("artifact_id")?,
        version: row.get("version_id")?,
        number: row.get("number")?,
        state,
        stored: Stored::from_row(row)?,
        labels: split(row.get("labels")?),
    })
}

/// Inserts an artifact; `false` if there is one with this id.
pub async fn insert(tx: &mut Tx, tenant: &Tenant, id: &str, artifact: &Artifact, now: Timestamp) -> Result<bool> {
    let inserted = query(
        "insert into artifacts (tenant_id, artifact_id, kind, display_name, owner, last_number, revision, body,
                                created_at, updated_at)
         values ($1, $2, $3, $4, $5, 0, 1, $6, $7, $7) on conflict (tenant_id, artifact_id) do nothing",
    )
    .bind(tenant)
    .bind(id)
    .bind(kind_word(artifact.kind()))
    .bind(&artifact.display_name)
    .bind(&artifact.owner)
    .bind(artifact.encode_to_vec())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(inserted == 1)
}

/// Locks an artifact and counts its revision up; `None` if there is none.
pub async fn claim(tx: &mut Tx, tenant: &Tenant, id: &str, now: Timestamp) -> Result<Option<Stored<Artifact>>> {
    let row = query(
        "update artifacts set revision = revision + 1, updated_at = $3 where tenant_id = $1 and artifact_id = $2
         returning revision, body, created_at, updated_at",
    )
    .bind(tenant)
    .bind(id)
    .bind(now)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(Stored::from_row).transpose()
}

/// Locks an artifact without changing it, so that its versions and labels move one after the other.
pub async fn lock(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<bool> {
    let found = query("update artifacts set last_number = last_number where tenant_id = $1 and artifact_id = $2")
        .bind(tenant)
        .bind(id)
        .execute(tx)
        .await?;
    Ok(found == 1)
}

/// Locks an artifact and draws the number of its next version: one more than the last, or `at_least`.
/// `None` if there is no such artifact; else the number and the artifact.
pub async fn next_number(tx: &mut Tx, tenant: &Tenant, id: &str, at_least: i64) -> Result<Option<(i64, Artifact)>> {
    let row = query(
        "update artifacts set last_number = case when last_number + 1 > $3 then last_number + 1 else $3 end
         where tenant_id = $1 and artifact_id = $2 returning last_number, body",
    )
    .bind(tenant)
    .bind(id)
    .bind(at_least)
    .fetch_optional(tx)
    .await?;
    row.map(|row| Ok((row.get("last_number")?, crate::convert::decode(&row.get::<Vec<u8>>("body")?)?))).transpose()
}

/// Writes the changed message of a claimed artifact.
pub async fn save(tx: &mut Tx, tenant: &Tenant, id: &str, artifact: &Artifact) -> Result<()> {
    query("update artifacts set display_name = $3, owner = $4, body = $5 where tenant_id = $1 and artifact_id = $2")
        .bind(tenant)
        .bind(id)
        .bind(&artifact.display_name)
        .bind(&artifact.owner)
        .bind(artifact.encode_to_vec())
        .execute(tx)
        .await
        .map(|_| ())
}

/// Finds an artifact.
pub async fn find(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<ArtifactRow>> {
    let row = Sql::new(SELECT).bind(tenant).push(" and m.artifact_id = ").bind(id).query().fetch_optional(tx).await?;
    row.as_ref().map(read).transpose()
}

/// Lists artifacts by id.
pub async fn list(tx: &mut Tx, tenant: &Tenant, filter: &Fragment, window: &Window) -> Result<Vec<ArtifactRow>> {
    let rows = Sql::new(SELECT)
        .bind(tenant)
        .and_filter(filter)
        .and_after(&["m.artifact_id"], Order::Ascending, window.after.as_deref())
        .order_limit(&["m.artifact_id"], Order::Ascending, window.limit)
        .query()
        .fetch_all(tx)
        .await?;
    rows.iter().map(read).collect()
}

/// The key of a row in a list of artifacts.
pub fn key(row: &ArtifactRow) -> Vec<Value> {
    vec![Value::from(&row.id)]
}

/// Inserts a version in state DRAFT; `false` if there is one with this id. `version` has no content;
/// `content` is `None` if it is kept elsewhere.
pub async fn insert_version(
    tx: &mut Tx,
    tenant: &Tenant,
    (artifact, id, number): (&str, &str, i64),
    version: &ArtifactVersion,
    content: Option<Vec<u8>>,
    now: Timestamp,
) -> Result<bool> {
    let inserted = query(
        "insert into artifact_versions (tenant_id, artifact_id, version_id, number, kind, state, content_digest,
                                        content, revision, body, created_at, updated_at)
         values ($1, $2, $3, $4, $5, 'DRAFT', $6, $7, 1, $8, $9, $9)
         on conflict (tenant_id, artifact_id, version_id) do nothing",
    )
    .bind(tenant)
    .bind(artifact)
    .bind(id)
    .bind(number)
    .bind(kind_word(version.kind()))
    .bind(&version.content_digest)
    .bind(content)
    .bind(version.encode_to_vec())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(inserted == 1)
}

/// Locks a version and counts its revision up; `None` if there is none.
pub async fn claim_version(
    tx: &mut Tx,
    tenant: &Tenant,
    artifact: &str,
    id: &str,
    now: Timestamp,
) -> Result<Option<ArtifactVersionRow>> {
    let claimed = query(
        "update artifact_versions set revision = revision + 1, updated_at = $4
         where tenant_id = $1 and artifact_id = $2 and version_id = $3",
    )
    .bind(tenant)
    .bind(artifact)
    .bind(id)
    .bind(now)
    .execute(tx)
    .await?;
    if claimed == 0 { Ok(None) } else { find_version(tx, tenant, artifact, id).await }
}

/// Writes a claimed version.
pub async fn save_version(tx: &mut Tx, tenant: &Tenant, row: &ArtifactVersionRow) -> Result<()> {
    query(
        "update artifact_versions set state = $4, body = $5
         where tenant_id = $1 and artifact_id = $2 and version_id = $3",
    )
    .bind(tenant)
    .bind(&row.artifact)
    .bind(&row.version)
    .bind(state_word(row.state))
    .bind(row.stored.body.encode_to_vec())
    .execute(tx)
    .await
    .map(|_| ())
}

/// Finds a version by its ids, without its content.
pub async fn find_version(
    tx: &mut Tx,
    tenant: &Tenant,
    artifact: &str,
    id: &str,
) -> Result<Option<ArtifactVersionRow>> {
    let row = query(version_columns!(
        "artifact_versions v where v.tenant_id = $1 and v.artifact_id = $2 and v.version_id = $3"
    ))
    .bind(tenant)
    .bind(artifact)
    .bind(id)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read_version).transpose()
}

/// Finds the version that a label points at, without its content.
pub async fn find_by_label(
    tx: &mut Tx,
    tenant: &Tenant,
    artifact: &str,
    label: &str,
) -> Result<Option<ArtifactVersionRow>> {
    let row = query(version_columns!(
        "aliases p join artifact_versions v on v.tenant_id = p.tenant_id and v.artifact_id = p.parent_id
             and v.version_id = p.version_id
         where p.tenant_id = $1 and p.collection = 'artifacts' and p.parent_id = $2 and p.alias = $3"
    ))
    .bind(tenant)
    .bind(artifact)
    .bind(label)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read_version).transpose()
}

/// The content of a version; empty if it is kept elsewhere.
pub async fn content(tx: &mut Tx, tenant: &Tenant, row: &ArtifactVersionRow) -> Result<Vec<u8>> {
    let found =
        query("select content from artifact_versions where tenant_id = $1 and artifact_id = $2 and version_id = $3")
            .bind(tenant)
            .bind(&row.artifact)
            .bind(&row.version)
            .fetch_one(tx)
            .await?;
    Ok(found.get::<Option<Vec<u8>>>("content")?.unwrap_or_default())
}

/// Lists versions of one artifact, or of all if `artifact` is `None`, newest first, without content.
pub async fn list_versions(
    tx: &mut Tx,
    tenant: &Tenant,
    artifact: Option<&str>,
    filter: &Fragment,
    window: &Window,
) -> Result<Vec<ArtifactVersionRow>> {
    let mut sql = Sql::new(version_columns!("artifact_versions v where v.tenant_id = ")).bind(tenant);
    if let Some(artifact) = artifact {
        sql = sql.push(" and v.artifact_id = ").bind(artifact);
    }
    let keys = ["v.created_at", "v.artifact_id", "v.number"];
    let rows = sql
        .and_filter(filter)
        .and_after(&keys, Order::Descending, window.after.as_deref())
        .order_limit(&keys, Order::Descending, window.limit)
        .query()
        .fetch_all(tx)
        .await?;
    rows.iter().map(read_version).collect()
}

/// The key of a row in a list of versions.
pub fn version_key(row: &ArtifactVersionRow) -> Vec<Value> {
    vec![Value::from(row.stored.created_at), Value::from(&row.artifact), Value::from(row.number)]
}
