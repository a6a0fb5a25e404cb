//! Outputs and what they were made from.

use super::Window;
use crate::convert::word;
use prost::Message;
use remit_api::registry::v1::{DisclosureStatus, Output};
use remit_api::types::Stakes;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::filter::{Field, Fragment};
use remit_store::{BulkInsert, Order, Row, Sql, Tx, Value, query};
use std::collections::{BTreeMap, BTreeSet};

/// What a search can be filtered by.
pub const FIELDS: &[Field] = &[
    Field::text("asset_digest", "o.asset_digest"),
    Field::text("model_version", "o.model_version"),
    Field::text("task", "o.task"),
    Field::text("decision", "o.decision"),
    Field::text("handoff", "o.handoff"),
    Field::text("subject", "o.subject"),
    Field::words("stakes", "o.stakes", &["UNSPECIFIED", "LOW", "MEDIUM", "HIGH"]),
    Field::words("stage", "o.stage", &["UNSPECIFIED", "BRIEF", "DIRECTION", "COPY", "CHANNEL"]),
    Field::words(
        "digital_source_type",
        "o.digital_source_type",
        &[
            "UNSPECIFIED",
            "DIGITAL_CREATION",
            "HUMAN_EDITS",
            "COMPOSITE_WITH_TRAINED_ALGORITHMIC_MEDIA",
            "TRAINED_ALGORITHMIC_MEDIA",
            "ALGORITHMIC_MEDIA",
            "ALGORITHMICALLY_ENHANCED",
        ],
    ),
    Field::words(
        "disclosure_status",
        "o.disclosure_status",
        &["NOT_REQUIRED", "EVIDENCED", "EXEMPT", "MISSING", "UNDECIDED"],
    ),
    Field::words(
        "model_version_state",
        "o.model_version_state",
        &["PROPOSED", "EVALUATING", "APPROVED", "RESTRICTED", "SUSPENDED", "RETIRED"],
    ),
    Field::boolean("complete", "o.complete"),
    Field::timestamp("occurred_time", "o.occurred_at"),
    Field::timestamp("record_time", "o.recorded_at"),
];

/// An output ready to be stored.
#[derive(Debug, Clone)]
pub struct NewOutput {
    /// Its id.
    pub id: String,
    /// Its message, all output-only fields filled in.
    pub output: Output,
    /// The digest over what was sent.
    pub content_digest: String,
    /// Whether the evidence of disclosure covers its duty.
    pub disclosure_status: DisclosureStatus,
    /// Whether its stakes are high or unknown.
    pub high_stakes: bool,
    /// Whether its model version was not running when it was recorded, or is unknown.
    pub unapproved: bool,
    /// When it was made.
    pub occurred_at: Timestamp,
}

/// Inserts outputs with their links and returns the ids of those that were new. Ids must differ.
pub async fn insert(tx: &mut Tx, tenant: &Tenant, rows: &[NewOutput], now: Timestamp) -> Result<BTreeSet<String>> {
    let text = |of: fn(&Output) -> String| rows.iter().map(move |row| of(&row.output)).collect::<Vec<_>>();
    let flag = |of: fn(&NewOutput) -> bool| rows.iter().map(move |row| i64::from(of(row))).collect::<Vec<_>>();
    let inserted = BulkInsert::into("outputs")
        .text("tenant_id", vec![tenant.as_str().to_owned(); rows.len()])
        .text("output_id", rows.iter().map(|row| row.id.clone()))
        .text("asset_digest", text(|o| o.asset_digest.clone()))
        .text("model_version", text(|o| o.model_version.clone()))
        .text("model_version_state", text(|o| o.model_version_state.clone()))
        .text("task", text(|o| o.task.clone()))
        .text("decision", text(|o| o.decision.clone()))
        .text("handoff", text(|o| o.handoff.clone()))
        .text("subject", text(|o| o.subject.clone()))
        .text("stakes", text(|o| word(o.stakes().as_str_name(), "STAKES_")))
        .text("stage", text(|o| word(o.stage().as_str_name(), "OUTPUT_STAGE_")))
        .text("digital_source_type", text(|o| word(o.digital_source_type().as_str_name(), "DIGITAL_SOURCE_TYPE_")))
        .text("disclosure_status", rows.iter().map(|row| status_word(row.disclosure_status)))
        .bigint("high_stakes", flag(|row| row.high_stakes))
        .bigint("complete", flag(|row| row.output.complete))
        .bigint("unapproved", flag(|row| row.unapproved))
        .bigint("human_reviewed", flag(|row| !row.output.reviews.is_empty()))
        .text("content_digest", rows.iter().map(|row| row.content_digest.clone()))
        .bigint("occurred_at", rows.iter().map(|row| row.occurred_at.0))
        .bigint("recorded_at", vec![now.0; rows.len()])
        .bytes("body", rows.iter().map(|row| row.output.encode_to_vec()))
        .on_conflict_do_nothing()
        .returning("output_id", tx)
        .await?;
    let new: BTreeSet<String> = inserted.iter().map(|row| row.get("output_id")).collect::<Result<_>>()?;
    insert_links(tx, tenant, rows.iter().filter(|row| new.contains(&row.id))).await?;
    Ok(new)
}

async fn insert_links(tx: &mut Tx, tenant: &Tenant, rows: impl Iterator<Item = &NewOutput>) -> Result<()> {
    let (mut relations, mut targets, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        for artifact in &row.output.artifacts {
            relations.push("artifact".to_owned());
            targets.push(artifact.clone());
            ids.push(row.id.clone());
        }
        for parent in &row.output.parents {
            relations.push("parent".to_owned());
            targets.push(parent_id(parent).to_owned());
            ids.push(row.id.clone());
        }
    }
    BulkInsert::into("output_links")
        .text("tenant_id", vec![tenant.as_str().to_owned(); ids.len()])
        .text("relation", relations)
        .text("target", targets)
        .text("output_id", ids)
        .on_conflict_do_nothing()
        .execute(tx)
        .await
        .map(|_| ())
}

/// The id in the name of an output.
pub fn parent_id(name: &str) -> &str {
    name.strip_prefix("outputs/").unwrap_or(name)
}

/// The word for a status in columns.
pub fn status_word(status: DisclosureStatus) -> String {
    word(status.as_str_name(), "DISCLOSURE_STATUS_")
}

/// The word for stakes in messages.
pub fn stakes_word(stakes: Stakes) -> String {
    word(stakes.as_str_name(), "STAKES_")
}

/// How many ids one statement looks up.
const LOOKUP: usize = 500;

fn with_ids(sql: Sql, ids: &[&str]) -> Sql {
    let mut sql = sql.push(" in (");
    for (at, id) in ids.iter().enumerate() {
        if at > 0 {
            sql = sql.push(", ");
        }
        sql = sql.bind(*id);
    }
    sql.push(")")
}

/// The content digests of those of these outputs that exist.
pub async fn digests(tx: &mut Tx, tenant: &Tenant, ids: &[&str]) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for ids in ids.chunks(LOOKUP) {
        let sql = Sql::new("select output_id, content_digest from outputs where tenant_id = ").bind(tenant);
        for row in with_ids(sql.push(" and output_id"), ids).query().fetch_all(tx).await? {
            found.insert(row.get("output_id")?, row.get("content_digest")?);
        }
    }
    Ok(found)
}

/// Those of these outputs that exist, by id.
pub async fn find_all(tx: &mut Tx, tenant: &Tenant, ids: &[&str]) -> Result<BTreeMap<String, Output>> {
    let mut found = BTreeMap::new();
    for ids in ids.chunks(LOOKUP) {
        let sql = Sql::new("select output_id, body from outputs where tenant_id = ").bind(tenant);
        for row in with_ids(sql.push(" and output_id"), ids).query().fetch_all(tx).await? {
            found.insert(row.get("output_id")?, crate::convert::decode(&row.get::<Vec<u8>>("body")?)?);
        }
    }
    Ok(found)
}

/// Finds an output.
pub async fn find(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<Output>> {
    let row = query("select body from outputs where tenant_id = $1 and output_id = $2")
        .bind(tenant)
        .bind(id)
        .fetch_optional(tx)
        .await?;
    row.map(|row| crate::convert::decode(&row.get::<Vec<u8>>("body")?)).transpose()
}

/// The outputs that were made from these, as pairs of parent and child, at most `limit`.
pub async fn children(tx: &mut Tx, tenant: &Tenant, ids: &[&str], limit: i64) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for ids in ids.chunks(LOOKUP) {
        let sql = Sql::new("select target, output_id from output_links where relation = 'parent' and tenant_id = ")
            .bind(tenant);
        let rows = with_ids(sql.push(" and target"), ids)
            .order_limit(&["target", "output_id"], Order::Ascending, limit)
            .query()
            .fetch_all(tx)
            .await?;
        for row in rows {
            found.push((row.get("target")?, row.get("output_id")?));
        }
    }
    Ok(found)
}

/// A row of a search.
#[derive(Debug)]
pub struct Found {
    /// The output's id.
    pub id: String,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The output.
    pub output: Output,
}

fn read(row: &Row) -> Result<Found> {
    Ok(Found {
        id: row.get("output_id")?,
        recorded_at: row.get("recorded_at")?,
        output: crate::convert::decode(&row.get::<Vec<u8>>("body")?)?,
    })
}

const KEYS: [&str; 2] = ["o.recorded_at", "o.output_id"];

/// Searches outputs, newest first. An empty `artifact_version` means any.
pub async fn search(
    tx: &mut Tx,
    tenant: &Tenant,
    artifact_version: &str,
    filter: &Fragment,
    window: &Window,
) -> Result<Vec<Found>> {
    let mut sql =
        Sql::new("select o.output_id, o.recorded_at, o.body from outputs o where o.tenant_id = ").bind(tenant);
    if !artifact_version.is_empty() {
        sql = sql
            .push(" and o.output_id in (select l.output_id from output_links l where l.relation = 'artifact' and l.tenant_id = ")
            .bind(tenant)
            .push(" and l.target = ")
            .bind(artifact_version)
            .push(")");
    }
    let rows = sql
        .and_filter(filter)
        .and_after(&KEYS, Order::Descending, window.after.as_deref())
        .order_limit(&KEYS, Order::Descending, window.limit)
        .query()
        .fetch_all(tx)
        .await?;
    rows.iter().map(read).collect()
}

/// Lists the outputs made in `[start, end)`, oldest record first.
pub async fn made_between(
    tx: &mut Tx,
    tenant: &Tenant,
    (start, end): (Timestamp, Timestamp),
    filter: &Fragment,
    window: &Window,
) -> Result<Vec<Found>> {
    let rows = Sql::new("select o.output_id, o.recorded_at, o.body from outputs o where o.tenant_id = ")
        .bind(tenant)
        .push(" and o.occurred_at >= ")
        .bind(start)
        .push(" and o.occurred_at < ")
        .bind(end)
        .and_filter(filter)
        .and_after(&KEYS, Order::Ascending, window.after.as_deref())
        .order_limit(&KEYS, Order::Ascending, window.limit)
        .query()
        .fetch_all(tx)
        .await?;
    rows.iter().map(read).collect()
}

/// The key of a row of a search.
pub fn key(row: &Found) -> Vec<Value> {
    vec![Value::from(row.recorded_at), Value::from(&row.id)]
}
