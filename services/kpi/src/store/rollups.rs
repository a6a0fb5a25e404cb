//! Rollups by grain, bucket and series.

use super::chunks;
use crate::calendar::Span;
use crate::summary::{Shape, Summary};
use futures::TryStreamExt as _;
use remit_core::{Result, Tenant};
use remit_store::{BulkInsert, Sql, Tx, query};
use std::collections::BTreeMap;

/// The stored lengths of buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grain {
    /// A quarter hour.
    QuarterHour,
    /// A day in the zone of the KPI.
    Day,
}

impl Grain {
    fn code(self) -> i64 {
        match self {
            Self::QuarterHour => 0,
            Self::Day => 1,
        }
    }
}

/// Which rollup: the first instant of its bucket, and its series.
pub(crate) type Key = (i64, i64);

/// The rollups with these keys, in ascending order, as far as there are any.
///
/// Keys near each other are read as one range of the primary key, which both engines do well; what lies
/// between them is passed over.
pub(crate) async fn find(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_id: &str,
    grain: Grain,
    keys: &[Key],
    shape: &Shape,
) -> Result<BTreeMap<Key, Summary>> {
    let mut found = BTreeMap::new();
    for run in keys.chunk_by(|a, b| b.0 - a.0 <= NEAR) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let span = Span { start: first.0, end: last.0 + 1 };
        scan(tx, tenant, kpi_id, grain, span, shape, |key, summary| {
            if run.binary_search(&key).is_ok() {
                found.insert(key, summary);
            }
        })
        .await?;
    }
    Ok(found)
}

/// How near two buckets must be to be read together: two days.
const NEAR: i64 = 2 * 86_400_000_000;

/// Stores rollups of a claimed KPI that are there already.
pub(crate) async fn update(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_id: &str,
    grain: Grain,
    rollups: &BTreeMap<Key, Summary>,
) -> Result<()> {
    for ((bucket, series_id), summary) in rollups {
        query(
            "update rollups set body = $6
             where tenant_id = $1 and kpi_id = $2 and grain = $3 and bucket = $4 and series_id = $5",
        )
        .bind(tenant)
        .bind(kpi_id)
        .bind(grain.code())
        .bind(*bucket)
        .bind(*series_id)
        .bind(summary.encode())
        .execute(tx)
        .await?;
    }
    Ok(())
}

/// Stores rollups of a claimed KPI that are not there.
pub(crate) async fn insert(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_id: &str,
    grain: Grain,
    rollups: &BTreeMap<Key, Summary>,
) -> Result<()> {
    BulkInsert::into("rollups")
        .text("tenant_id", rollups.keys().map(|_| tenant.as_str().to_owned()))
        .text("kpi_id", rollups.keys().map(|_| kpi_id.to_owned()))
        .bigint("grain", rollups.keys().map(|_| grain.code()))
        .bigint("bucket", rollups.keys().map(|(bucket, _)| *bucket))
        .bigint("series_id", rollups.keys().map(|(_, series_id)| *series_id))
        .bytes("body", rollups.values().map(Summary::encode))
        .execute(tx)
        .await?;
    Ok(())
}

/// Gives every rollup whose bucket begins within `span` to `each`, by bucket.
pub(crate) async fn scan(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_id: &str,
    grain: Grain,
    span: Span,
    shape: &Shape,
    mut each: impl FnMut(Key, Summary),
) -> Result<()> {
    let mut rows = query(
        "select bucket, series_id, body from rollups
         where tenant_id = $1 and kpi_id = $2 and grain = $3 and bucket >= $4 and bucket < $5 order by bucket, series_id",
    )
    .bind(tenant)
    .bind(kpi_id)
    .bind(grain.code())
    .bind(span.start)
    .bind(span.end)
    .stream(tx);
    while let Some(row) = rows.try_next().await? {
        let body: Vec<u8> = row.get("body")?;
        each((row.get("bucket")?, row.get("series_id")?), Summary::decode(&body, shape)?);
    }
    Ok(())
}

/// Gives every rollup of these KPIs whose bucket begins within `span` to `each`, as stored, with the id of its KPI.
pub(crate) async fn scan_all(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_ids: &[&str],
    grain: Grain,
    span: Span,
    mut each: impl FnMut(&str, &[u8]) -> Result<()>,
) -> Result<()> {
    for chunk in chunks(kpi_ids) {
        let mut rows = Sql::new("select kpi_id, body from rollups where tenant_id = ")
            .bind(tenant)
            .push(" and kpi_id in ")
            .bind_list(chunk)
            .push(" and grain = ")
            .bind(grain.code())
            .push(" and bucket >= ")
            .bind(span.start)
            .push(" and bucket < ")
            .bind(span.end)
            .push(" order by kpi_id, bucket, series_id")
            .query()
            .stream(tx);
        while let Some(row) = rows.try_next().await? {
            let (kpi_id, body): (String, Vec<u8>) = (row.get("kpi_id")?, row.get("body")?);
            each(&kpi_id, &body)?;
        }
    }
    Ok(())
}

/// The first instants of the first and the last day with a rollup; `None` without any.
pub(crate) async fn extent(tx: &mut Tx, tenant: &Tenant, kpi_id: &str) -> Result<Option<(i64, i64)>> {
    let row = query(
        "select min(bucket) as first, max(bucket) as last from rollups
         where tenant_id = $1 and kpi_id = $2 and grain = 1",
    )
    .bind(tenant)
    .bind(kpi_id)
    .fetch_one(tx)
    .await?;
    let (first, last): (Option<i64>, Option<i64>) = (row.get("first")?, row.get("last")?);
    Ok(first.zip(last))
}
