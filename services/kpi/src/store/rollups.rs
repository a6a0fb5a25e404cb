//! Rollups by day and series with their quarter hours, and what waits to be folded into them.

use super::chunks;
use crate::calendar::Span;
use crate::days::{self, Day, Key};
use crate::summary::{Shape, Summary};
use futures::TryStreamExt as _;
use remit_core::{Result, Tenant};
use remit_store::{BulkInsert, Row, Sql, Tx, query};
use std::collections::BTreeMap;

/// The lengths of what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grain {
    /// A quarter hour.
    QuarterHour,
    /// A day in the zone of the KPI.
    Day,
}

/// Longer than any day, also where a zone changed the date.
const LONGEST_DAY: i64 = 2 * 86_400_000_000;

/// Stands for the series of what waits, which has many.
const WAITING: i64 = -1;

/// Gives what is in a row and begins within `span` to `each`. Of what waits that is quarter hours, also if days are asked
/// for: they lie within the days that are.
fn read(row: &Row, grain: Grain, span: Span, mut each: impl FnMut(Key, &[u8]) -> Result<()>) -> Result<()> {
    let (bucket, series_id, body): (i64, i64, Vec<u8>) = (row.get("bucket")?, row.get("series_id")?, row.get("body")?);
    if series_id == WAITING {
        return days::within(&body, span, each);
    }
    match grain {
        Grain::Day => each((bucket, series_id), &body),
        Grain::QuarterHour => days::within(&body, span, |(quarter, _), body| each((quarter, series_id), body)),
    }
}

/// Gives every rollup that begins within `span` to `each`, in parts, in no order: what waits as its quarter hours. It is one
/// statement, so that nothing is folded between reading the one and the other.
pub(crate) async fn scan(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_id: &str,
    grain: Grain,
    span: Span,
    shape: &Shape,
    mut each: impl FnMut(Key, Summary),
) -> Result<()> {
    let (rows, from) = match grain {
        Grain::Day => ("select bucket, series_id, body from rollups where tenant_id = ", span.start),
        Grain::QuarterHour => {
            ("select bucket, series_id, quarters as body from rollups where tenant_id = ", span.start - LONGEST_DAY)
        }
    };
    let mut rows = Sql::new(rows)
        .bind(tenant)
        .push(" and kpi_id = ")
        .bind(kpi_id)
        .push(" and bucket >= ")
        .bind(from)
        .push(" and bucket < ")
        .bind(span.end)
        .push(" union all select first_at, -1, body from rollup_deltas where tenant_id = ")
        .bind(tenant)
        .push(" and kpi_id = ")
        .bind(kpi_id)
        .push(" and last_at >= ")
        .bind(span.start)
        .push(" and first_at < ")
        .bind(span.end)
        .query()
        .stream(tx);
    while let Some(row) = rows.try_next().await? {
        read(&row, grain, span, |key, body| {
            each(key, Summary::decode(body, shape)?);
            Ok(())
        })?;
    }
    Ok(())
}

/// Gives every rollup of these KPIs that begins within `span` to `each`, as stored, with the id of its KPI; as [`scan`].
pub(crate) async fn scan_all(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_ids: &[&str],
    grain: Grain,
    span: Span,
    mut each: impl FnMut(&str, Key, &[u8]) -> Result<()>,
) -> Result<()> {
    let (text, from) = match grain {
        Grain::Day => ("select kpi_id, bucket, series_id, body from rollups where tenant_id = ", span.start),
        Grain::QuarterHour => (
            "select kpi_id, bucket, series_id, quarters as body from rollups where tenant_id = ",
            span.start - LONGEST_DAY,
        ),
    };
    for chunk in chunks(kpi_ids) {
        let mut rows = Sql::new(text)
            .bind(tenant)
            .push(" and kpi_id in ")
            .bind_list(chunk.clone())
            .push(" and bucket >= ")
            .bind(from)
            .push(" and bucket < ")
            .bind(span.end)
            .push(" union all select kpi_id, first_at, -1, body from rollup_deltas where tenant_id = ")
            .bind(tenant)
            .push(" and kpi_id in ")
            .bind_list(chunk)
            .push(" and last_at >= ")
            .bind(span.start)
            .push(" and first_at < ")
            .bind(span.end)
            .query()
            .stream(tx);
        while let Some(row) = rows.try_next().await? {
            let kpi_id: String = row.get("kpi_id")?;
            read(&row, grain, span, |key, body| each(&kpi_id, key, body))?;
        }
    }
    Ok(())
}

/// The first and the last day or quarter hour with a rollup; `None` without any.
pub(crate) async fn extent(tx: &mut Tx, tenant: &Tenant, kpi_id: &str) -> Result<Option<(i64, i64)>> {
    let rows = query(
        "select min(bucket) as first_at, max(bucket) as last_at from rollups where tenant_id = $1 and kpi_id = $2
         union all
         select min(first_at), max(last_at) from rollup_deltas where tenant_id = $1 and kpi_id = $2",
    )
    .bind(tenant)
    .bind(kpi_id)
    .fetch_all(tx)
    .await?;
    let mut extent: Option<(i64, i64)> = None;
    for row in &rows {
        let (first, last): (Option<i64>, Option<i64>) = (row.get("first_at")?, row.get("last_at")?);
        if let Some((first, last)) = first.zip(last) {
            let (least, most) = extent.unwrap_or((first, last));
            extent = Some((least.min(first), most.max(last)));
        }
    }
    Ok(extent)
}

/// Keeps what a batch adds to the quarter hours of a claimed KPI, and returns how much waits by now: each batch weighs as
/// much as it has quarter hours, and `least` at the least.
pub(crate) async fn append(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_id: &str,
    deltas: &BTreeMap<Key, Summary>,
    least: i64,
) -> Result<i64> {
    let (Some((first, _)), Some((last, _))) = (deltas.first_key_value(), deltas.last_key_value()) else { return Ok(0) };
    query(
        "insert into rollup_deltas (tenant_id, kpi_id, seq, first_at, last_at, body)
         select $1, $2, coalesce(max(seq), 0) + $3, $4, $5, $6 from rollup_deltas where tenant_id = $1 and kpi_id = $2
         returning seq",
    )
    .bind(tenant)
    .bind(kpi_id)
    .bind(i64::try_from(deltas.len()).unwrap_or(i64::MAX).max(least))
    .bind(first.0)
    .bind(last.0)
    .bind(days::encode(deltas))
    .fetch_one(tx)
    .await?
    .get("seq")
}

/// Takes what waits of a claimed KPI away and returns it, summed up.
pub(crate) async fn take(tx: &mut Tx, tenant: &Tenant, kpi_id: &str, shape: &Shape) -> Result<BTreeMap<Key, Summary>> {
    let rows = query("delete from rollup_deltas where tenant_id = $1 and kpi_id = $2 returning body")
        .bind(tenant)
        .bind(kpi_id)
        .fetch_all(tx)
        .await?;
    let mut deltas: BTreeMap<Key, Summary> = BTreeMap::new();
    for row in rows {
        let body: Vec<u8> = row.get("body")?;
        days::within(&body, Span { start: i64::MIN, end: i64::MAX }, |key, body| {
            let delta = Summary::decode(body, shape)?;
            deltas.entry(key).and_modify(|sum| sum.merge(&delta)).or_insert(delta);
            Ok(())
        })?;
    }
    Ok(deltas)
}

/// Deletes the days of a claimed KPI, and what waits.
pub(crate) async fn clear(tx: &mut Tx, tenant: &Tenant, kpi_id: &str) -> Result<()> {
    for text in [
        "delete from rollups where tenant_id = $1 and kpi_id = $2",
        "delete from rollup_deltas where tenant_id = $1 and kpi_id = $2",
    ] {
        query(text).bind(tenant).bind(kpi_id).execute(tx).await?;
    }
    Ok(())
}

/// The days with these keys, as far as there are any.
pub(crate) async fn find(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_id: &str,
    keys: &[Key],
    shape: &Shape,
) -> Result<BTreeMap<Key, Day>> {
    let mut found = BTreeMap::new();
    for chunk in chunks(keys) {
        // A join, because SQLite uses the whole key for it, and only the beginning for `in (values …)`.
        let mut sql =
            Sql::new("select bucket, series_id, body, quarters from (select * from rollups where tenant_id = ")
                .bind(tenant)
                .push(" and kpi_id = ")
                .bind(kpi_id)
                .push(") days join (values ");
        for (index, (bucket, series_id)) in chunk.into_iter().enumerate() {
            sql = sql.push(if index == 0 { "(" } else { ", (" }).bind(bucket).push(", ").bind(series_id).push(")");
        }
        let sql = sql.push(") as wanted on bucket = wanted.column1 and series_id = wanted.column2");
        for row in &sql.query().fetch_all(tx).await? {
            let (body, quarters): (Vec<u8>, Vec<u8>) = (row.get("body")?, row.get("quarters")?);
            found.insert((row.get("bucket")?, row.get("series_id")?), Day::decode(&body, &quarters, shape)?);
        }
    }
    Ok(found)
}

/// Stores days of a claimed KPI, whether they are there already or not.
pub(crate) async fn put(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_id: &str,
    days: BTreeMap<Key, Day>,
    shape: &Shape,
) -> Result<()> {
    let keys: Vec<Key> = days.keys().copied().collect();
    let stored = days.into_values().map(|day| day.encode(shape)).collect::<Result<Vec<_>>>()?;
    let (bodies, quarters): (Vec<Vec<u8>>, Vec<Vec<u8>>) = stored.into_iter().unzip();
    BulkInsert::into("rollups")
        .text("tenant_id", keys.iter().map(|_| tenant.as_str().to_owned()))
        .text("kpi_id", keys.iter().map(|_| kpi_id.to_owned()))
        .bigint("bucket", keys.iter().map(|(bucket, _)| *bucket))
        .bigint("series_id", keys.iter().map(|(_, series_id)| *series_id))
        .bytes("body", bodies)
        .bytes("quarters", quarters)
        .on_conflict(
            "(tenant_id, kpi_id, bucket, series_id) do update set body = excluded.body, quarters = excluded.quarters",
        )
        .execute(tx)
        .await?;
    Ok(())
}
