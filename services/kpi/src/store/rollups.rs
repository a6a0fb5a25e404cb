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
pub enum Grain {
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
pub type Key = (i64, i64);

/// The rollups with these keys, as far as there are any.
pub async fn find(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_id: &str,
    grain: Grain,
    keys: &[Key],
    shape: &Shape,
) -> Result<BTreeMap<Key, Summary>> {
    let mut found = BTreeMap::new();
    for chunk in chunks(keys) {
        let sql = within(Sql::new("select bucket, series_id, body from rollups where "), tenant, kpi_id, grain, chunk);
        for row in sql.query().fetch_all(tx).await? {
            let body: Vec<u8> = row.get("body")?;
            found.insert((row.get("bucket")?, row.get("series_id")?), Summary::decode(&body, shape)?);
        }
    }
    Ok(found)
}

fn within(sql: Sql, tenant: &Tenant, kpi_id: &str, grain: Grain, keys: Vec<Key>) -> Sql {
    let mut sql = sql
        .push("tenant_id = ")
        .bind(tenant)
        .push(" and kpi_id = ")
        .bind(kpi_id)
        .push(" and grain = ")
        .bind(grain.code())
        .push(" and (bucket, series_id) in (values ");
    for (at, (bucket, series_id)) in keys.into_iter().enumerate() {
        sql = sql.push(if at == 0 { "(" } else { ", (" }).bind(bucket).push(", ").bind(series_id).push(")");
    }
    sql.push(")")
}

/// Removes rollups of a claimed KPI.
pub async fn delete(tx: &mut Tx, tenant: &Tenant, kpi_id: &str, grain: Grain, keys: &[Key]) -> Result<()> {
    for chunk in chunks(keys) {
        within(Sql::new("delete from rollups where "), tenant, kpi_id, grain, chunk).query().execute(tx).await?;
    }
    Ok(())
}

/// Stores rollups of a claimed KPI that are not there.
pub async fn insert(
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
pub async fn scan(
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

/// The first instants of the first and the last day with a rollup; `None` without any.
pub async fn extent(tx: &mut Tx, tenant: &Tenant, kpi_id: &str) -> Result<Option<(i64, i64)>> {
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
