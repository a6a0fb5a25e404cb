//! Outputs, what they were made from, and counts of them.

use super::{LOOKUP, at, or_unspecified, word_or_unspecified};
use crate::provenance::is_signed;
use prost::Message as _;
use remit_api::registry::v1::{
    DigitalSourceType, DisclosureStatus, ModelVersionState, Output, OutputCount, OutputStage,
};
use remit_api::types::Stakes;
use remit_api::wire::{Word as _, time};
use remit_core::{Result, Tenant, Timestamp};
use remit_store::filter::{Field, Fragment};
use remit_store::record::Key;
use remit_store::{BulkInsert, Mutation, Order, Records, Row, Sql, Tx, Value, query};
use std::collections::{BTreeMap, BTreeSet};

const STAKES: [&str; Stakes::WORDS.len() + 1] = or_unspecified(Stakes::WORDS);
const STAGES: [&str; OutputStage::WORDS.len() + 1] = or_unspecified(OutputStage::WORDS);
const SOURCES: [&str; DigitalSourceType::WORDS.len() + 1] = or_unspecified(DigitalSourceType::WORDS);

/// Outputs. They are written once, many at a time, by [`insert`].
pub(crate) struct Outputs;

impl Records for Outputs {
    type Message = Output;

    const TABLE: &'static str = "outputs";
    const NOT_FOUND: &'static str = "OUTPUT_NOT_FOUND";
    const EXISTS: &'static str = "OUTPUT_ID_REUSED";
    const SORT: &'static [Key] = &[Key::Int("create_time")];
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[
        Field::text("asset_digest", "asset_digest"),
        Field::text("model_version", "model_version"),
        Field::text("task", "task"),
        Field::text("decision", "decision"),
        Field::text("handoff", "handoff"),
        Field::text("subject", "subject"),
        Field::words("stakes", "stakes", &STAKES),
        Field::words("stage", "stage", &STAGES),
        Field::words("digital_source_type", "digital_source_type", &SOURCES),
        Field::words("disclosure_status", "disclosure_status", DisclosureStatus::WORDS),
        Field::words("model_version_state", "model_version_state", ModelVersionState::WORDS),
        Field::boolean("complete", "complete"),
        Field::timestamp("occurred_time", "occurred_time"),
        Field::timestamp("record_time", "create_time"),
    ];

    fn name(output: &Output) -> &str {
        &output.name
    }

    fn create_time(output: &Output) -> Timestamp {
        at(output.record_time.as_ref())
    }
}

/// An output ready to be stored.
#[derive(Debug, Clone)]
pub(crate) struct NewOutput {
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
}

/// When an output counts, for every span that is asked for.
fn counted_at(output: &Output) -> Timestamp {
    time::counted(at(output.occurred_time.as_ref()), at(output.record_time.as_ref()))
}

/// Inserts outputs with their links and returns the names of those that were new. Names must differ.
pub(crate) async fn insert(m: &mut Mutation, rows: &[NewOutput]) -> Result<BTreeSet<String>> {
    let tenant = m.tenant().as_str().to_owned();
    let text = |of: fn(&Output) -> &str| rows.iter().map(move |row| of(&row.output).to_owned()).collect::<Vec<_>>();
    let flag = |of: fn(&NewOutput) -> bool| rows.iter().map(move |row| i64::from(of(row))).collect::<Vec<_>>();
    let inserted = BulkInsert::into("outputs")
        .text("tenant_id", vec![tenant.clone(); rows.len()])
        .text("name", text(|o| &o.name))
        .bigint("revision", vec![1; rows.len()])
        .bigint("create_time", rows.iter().map(|row| Outputs::create_time(&row.output).0))
        .text("asset_digest", text(|o| &o.asset_digest))
        .text("model_version", text(|o| &o.model_version))
        .text("model_version_state", text(|o| &o.model_version_state))
        .text("task", text(|o| &o.task))
        .text("decision", text(|o| &o.decision))
        .text("handoff", text(|o| &o.handoff))
        .text("subject", text(|o| &o.subject))
        .text("stakes", text(|o| word_or_unspecified::<Stakes>(o.stakes)))
        .text("stage", text(|o| word_or_unspecified::<OutputStage>(o.stage)))
        .text("digital_source_type", text(|o| word_or_unspecified::<DigitalSourceType>(o.digital_source_type)))
        .text("disclosure_status", rows.iter().map(|row| row.disclosure_status.word().to_owned()))
        .bigint("high_stakes", flag(|row| row.high_stakes))
        .bigint("complete", flag(|row| row.output.complete))
        .bigint("unapproved", flag(|row| row.unapproved))
        .bigint("human_reviewed", flag(|row| row.output.reviews.iter().any(is_signed)))
        .text("content_digest", rows.iter().map(|row| row.content_digest.clone()))
        .bigint("occurred_time", rows.iter().map(|row| at(row.output.occurred_time.as_ref()).0))
        .bigint("counted_time", rows.iter().map(|row| counted_at(&row.output).0))
        .bytes("body", rows.iter().map(|row| row.output.encode_to_vec()))
        .on_conflict_do_nothing()
        .returning("name", m.tx())
        .await?;
    let new: BTreeSet<String> = inserted.iter().map(|row| row.get("name")).collect::<Result<_>>()?;
    let made = rows.iter().map(|row| &row.output).filter(|output| new.contains(&output.name));
    let links = made.flat_map(|output| {
        output.artifacts.iter().chain(&output.parents).map(|target| (target.clone(), output.name.clone()))
    });
    let (targets, outputs): (Vec<_>, Vec<_>) = links.unzip();
    BulkInsert::into("output_links")
        .text("tenant_id", vec![tenant; outputs.len()])
        .text("target", targets)
        .text("output", outputs)
        .on_conflict_do_nothing()
        .execute(m.tx())
        .await?;
    Ok(new)
}

/// The content digests of those of these outputs that exist.
pub(crate) async fn digests(tx: &mut Tx, tenant: &Tenant, names: &[&str]) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for names in names.chunks(LOOKUP) {
        let sql = Sql::new("select name, content_digest from outputs where tenant_id = ").bind(tenant);
        for row in sql.push(" and name in ").bind_list(names.iter().copied()).query().fetch_all(tx).await? {
            found.insert(row.get("name")?, row.get("content_digest")?);
        }
    }
    Ok(found)
}

/// How many outputs of a model version were recorded since `start`.
pub(crate) async fn recorded_since(m: &mut Mutation, version: &str, start: Timestamp) -> Result<i64> {
    let row =
        query("select count(*) as n from outputs where tenant_id = $1 and model_version = $2 and create_time >= $3")
            .bind(m.tenant())
            .bind(version)
            .bind(start)
            .fetch_one(m.tx())
            .await?;
    row.get("n")
}

/// The outputs that were made from these, as pairs of parent and child, at most `limit` for each 500 of them.
pub(crate) async fn children(
    tx: &mut Tx,
    tenant: &Tenant,
    names: &[&str],
    limit: i64,
) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for names in names.chunks(LOOKUP) {
        let sql = Sql::new("select target, output from output_links where tenant_id = ").bind(tenant);
        let rows = sql
            .push(" and target in ")
            .bind_list(names.iter().copied())
            .order_limit(&["target", "output"], Order::Ascending, limit)
            .query()
            .fetch_all(tx)
            .await?;
        for row in rows {
            found.push((row.get("target")?, row.get("output")?));
        }
    }
    Ok(found)
}

const KEYS: [&str; 2] = ["create_time", "name"];

/// The place of an output in a list.
pub(crate) fn key(output: &Output) -> Vec<Value> {
    vec![Outputs::create_time(output).into(), (&output.name).into()]
}

/// A span of time, each end open if it is not given.
pub(crate) type Span = (Option<Timestamp>, Option<Timestamp>);

/// Which outputs to read, beside the filter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    /// An artifact version that took part; empty for any.
    pub artifact_version: String,
    /// When they were made; backdated ones when they were recorded.
    pub made: Span,
}

fn made_in(mut sql: Sql, (start, end): Span) -> Sql {
    if let Some(start) = start {
        sql = sql.push(" and counted_time >= ").bind(start);
    }
    match end {
        Some(end) => sql.push(" and counted_time < ").bind(end),
        None => sql,
    }
}

/// Lists outputs by the time at which they were recorded, at most `limit`, after the one whose key is `after`.
pub(crate) async fn list(
    tx: &mut Tx,
    tenant: &Tenant,
    scope: &Scope,
    filter: &Fragment,
    order: Order,
    (after, limit): (Option<&[Value]>, i64),
) -> Result<Vec<Output>> {
    let mut sql = Sql::new("select revision, body from outputs where tenant_id = ").bind(tenant);
    if !scope.artifact_version.is_empty() {
        sql = sql
            .push(" and name in (select output from output_links where tenant_id = ")
            .bind(tenant)
            .push(" and target = ")
            .bind(&scope.artifact_version)
            .push(")");
    }
    let rows = made_in(sql, scope.made)
        .and_filter(filter)
        .and_after(&KEYS, order, after)
        .order_limit(&KEYS, order, limit)
        .query()
        .fetch_all(tx)
        .await?;
    rows.iter().map(Outputs::read).collect()
}

/// By what outputs are counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By {
    /// All in one row.
    All,
    /// By model version, most outputs first.
    ModelVersion,
    /// By task, most outputs first.
    Task,
    /// By status of disclosure.
    DisclosureStatus,
    /// By digital source type.
    DigitalSourceType,
}

impl By {
    /// What to group by, and how.
    fn sql(self) -> (&'static str, &'static str) {
        match self {
            Self::All => ("''", ""),
            Self::ModelVersion => ("model_version", " group by model_version order by n desc, label limit 1000"),
            Self::Task => ("task", " group by task order by n desc, label limit 1000"),
            Self::DisclosureStatus => ("disclosure_status", " group by disclosure_status order by label"),
            Self::DigitalSourceType => ("digital_source_type", " group by digital_source_type order by label"),
        }
    }
}

/// One row of counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// The counts as sent.
    pub count: OutputCount,
    /// How many had a person's review.
    pub reviewed: i64,
    /// How many different assets.
    pub assets: i64,
}

/// Counts the outputs made in a span of time.
pub(crate) async fn count(tx: &mut Tx, tenant: &Tenant, by: By, made: Span) -> Result<Vec<Counts>> {
    let (label, group) = by.sql();
    let sql = Sql::new(
        "select count(*) as n, cast(coalesce(sum(high_stakes), 0) as bigint) as high,
            cast(coalesce(sum(1 - complete), 0) as bigint) as incomplete,
            cast(coalesce(sum(unapproved), 0) as bigint) as unapproved,
            cast(coalesce(sum(human_reviewed), 0) as bigint) as reviewed,
            count(distinct asset_digest) as assets, ",
    );
    let sql = sql.push(label).push(" as label from outputs where tenant_id = ").bind(tenant);
    let rows = made_in(sql, made).push(group).query().fetch_all(tx).await?;
    let read = |row: &Row| {
        let count = OutputCount {
            key: row.get("label")?,
            outputs: row.get("n")?,
            high_stakes: row.get("high")?,
            incomplete: row.get("incomplete")?,
            unapproved: row.get("unapproved")?,
        };
        Ok(Counts { count, reviewed: row.get("reviewed")?, assets: row.get("assets")? })
    };
    rows.iter().map(read).collect()
}
