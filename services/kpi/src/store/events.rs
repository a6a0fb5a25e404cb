//! Events as recorded.

use super::chunks;
use crate::calendar::Span;
use crate::definition::Checked;
use crate::summary::Counted;
use futures::TryStreamExt as _;
use remit_core::{Result, Tenant};
use remit_store::{BulkInsert, Order, Row, Sql, Tx, Value, query};
use std::collections::HashSet;

/// An event as stored.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    /// The event.
    pub(crate) event: Checked,
    /// Its series.
    pub(crate) series_id: i64,
    /// The version of the definition it was checked against.
    pub(crate) kpi_version: i64,
    /// When it was recorded.
    pub(crate) recorded_at: i64,
    /// The subject who recorded it.
    pub(crate) recorded_by: String,
    /// The event that replaced it, and when.
    pub(crate) corrected: Option<(String, i64)>,
}

impl Recorded {
    fn from_row(row: &Row) -> Result<Self> {
        let by: Option<String> = row.get("corrected_by")?;
        let at: Option<i64> = row.get("corrected_at")?;
        Ok(Self {
            event: Checked {
                event_id: row.get("event_id")?,
                occurred_at: row.get("occurred_at")?,
                value: row.get("value")?,
                denominator: row.get("denominator")?,
                member: row.get("member")?,
                dimensions: row.get("dimensions")?,
                corrects: row.get("corrects")?,
                retract: row.get("retract")?,
            },
            series_id: row.get("series_id")?,
            kpi_version: row.get("kpi_version")?,
            recorded_at: row.get("recorded_at")?,
            recorded_by: row.get("recorded_by")?,
            corrected: by.zip(at),
        })
    }

    /// The event as it counts.
    pub(crate) fn counted(&self) -> Counted {
        Counted {
            event_id: self.event.event_id.clone(),
            occurred_at: self.event.occurred_at,
            recorded_at: self.recorded_at,
            value: self.event.value.unwrap_or(0),
            denominator: self.event.denominator.unwrap_or(0),
        }
    }
}

const COLUMNS: &str = "select e.event_id, e.kpi_version, e.series_id, e.occurred_at, e.recorded_at, \
     e.recorded_by, e.value, e.denominator, e.member, e.corrects, e.retract, e.corrected_by, e.corrected_at, \
     s.dimensions from events e \
     join series s on s.tenant_id = e.tenant_id and s.kpi_id = e.kpi_id and s.series_id = e.series_id ";

/// The events with these ids, as far as there are any.
pub(crate) async fn find(tx: &mut Tx, tenant: &Tenant, kpi_id: &str, ids: &[&str]) -> Result<Vec<Recorded>> {
    let mut found = Vec::new();
    for chunk in chunks(ids) {
        let sql = Sql::new(COLUMNS)
            .push("where e.tenant_id = ")
            .bind(tenant)
            .push(" and e.kpi_id = ")
            .bind(kpi_id)
            .push(" and e.event_id in ")
            .bind_list(chunk);
        for row in &sql.query().fetch_all(tx).await? {
            found.push(Recorded::from_row(row)?);
        }
    }
    Ok(found)
}

/// Stores those events of a claimed KPI whose id is free, and returns how many. Which ones is asked by [`of_batch`] where it is
/// not all: to have each id returned takes a tenth of the time.
pub(crate) async fn insert(tx: &mut Tx, tenant: &Tenant, kpi_id: &str, batch: i64, events: &[Recorded]) -> Result<u64> {
    let column = |get: fn(&Recorded) -> i64| events.iter().map(get).collect::<Vec<_>>();
    BulkInsert::into("events")
        .text("tenant_id", events.iter().map(|_| tenant.as_str().to_owned()))
        .text("kpi_id", events.iter().map(|_| kpi_id.to_owned()))
        .text("event_id", events.iter().map(|e| e.event.event_id.clone()))
        .bigint("kpi_version", column(|e| e.kpi_version))
        .bigint("series_id", column(|e| e.series_id))
        .bigint("occurred_at", column(|e| e.event.occurred_at))
        .bigint("recorded_at", column(|e| e.recorded_at))
        .text("recorded_by", events.iter().map(|e| e.recorded_by.clone()))
        .bigint("value", events.iter().map(|e| e.event.value))
        .bigint("denominator", events.iter().map(|e| e.event.denominator))
        .text("member", events.iter().map(|e| e.event.member.clone()))
        .text("corrects", events.iter().map(|e| e.event.corrects.clone()))
        .bigint("retract", column(|e| i64::from(e.event.retract)))
        .text("corrected_by", events.iter().map(|e| e.corrected.as_ref().map(|(by, _)| by.clone())))
        .bigint("corrected_at", events.iter().map(|e| e.corrected.as_ref().map(|(_, at)| *at)))
        .bigint("batch", events.iter().map(|_| batch))
        .on_conflict_do_nothing()
        .execute(tx)
        .await
}

/// Which of these events were stored by this batch.
pub(crate) async fn of_batch(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_id: &str,
    batch: i64,
    ids: &[&str],
) -> Result<HashSet<String>> {
    let mut found = HashSet::new();
    for chunk in chunks(ids) {
        let sql = Sql::new("select event_id from events where tenant_id = ")
            .bind(tenant)
            .push(" and kpi_id = ")
            .bind(kpi_id)
            .push(" and batch = ")
            .bind(batch)
            .push(" and event_id in ")
            .bind_list(chunk);
        for row in sql.query().fetch_all(tx).await? {
            found.insert(row.get("event_id")?);
        }
    }
    Ok(found)
}

/// Marks an event of a claimed KPI as replaced.
pub(crate) async fn mark_corrected(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_id: &str,
    id: &str,
    by: &str,
    at: i64,
) -> Result<()> {
    query(
        "update events set corrected_by = $4, corrected_at = $5
         where tenant_id = $1 and kpi_id = $2 and event_id = $3 and corrected_by is null",
    )
    .bind(tenant)
    .bind(kpi_id)
    .bind(id)
    .bind(by)
    .bind(at)
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives every event of a span to `each`, one by one, whether it still counts or not.
pub(crate) async fn scan(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_id: &str,
    span: Span,
    mut each: impl FnMut(Recorded) -> Result<()>,
) -> Result<()> {
    let mut rows = Sql::new(COLUMNS)
        .push("where e.tenant_id = ")
        .bind(tenant)
        .push(" and e.kpi_id = ")
        .bind(kpi_id)
        .push(" and e.occurred_at >= ")
        .bind(span.start)
        .push(" and e.occurred_at < ")
        .bind(span.end)
        .push(" order by e.occurred_at, e.event_id")
        .query()
        .stream(tx);
    while let Some(row) = rows.try_next().await? {
        each(Recorded::from_row(&row)?)?;
    }
    Ok(())
}

/// Which events a list is of.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// When they happened.
    pub(crate) span: Span,
    /// Those too that do not count.
    pub(crate) all: bool,
    /// The key of the event to go on after.
    pub(crate) after: Option<&'a [Value]>,
    /// At most so many.
    pub(crate) limit: i64,
}

/// The key by which a list of events goes on.
pub(crate) fn key(recorded: &Recorded) -> Vec<Value> {
    vec![recorded.event.occurred_at.into(), Value::from(&recorded.event.event_id)]
}

/// Events, newest first.
pub(crate) async fn list(tx: &mut Tx, tenant: &Tenant, kpi_id: &str, wanted: &Wanted<'_>) -> Result<Vec<Recorded>> {
    const KEY: [&str; 2] = ["e.occurred_at", "e.event_id"];
    let sql = Sql::new(COLUMNS)
        .push("where e.tenant_id = ")
        .bind(tenant)
        .push(" and e.kpi_id = ")
        .bind(kpi_id)
        .push(" and e.occurred_at >= ")
        .bind(wanted.span.start)
        .push(" and e.occurred_at < ")
        .bind(wanted.span.end);
    let sql = if wanted.all { sql } else { sql.push(" and e.corrected_by is null and e.retract = 0") };
    let sql = sql.and_after(&KEY, Order::Descending, wanted.after).order_limit(&KEY, Order::Descending, wanted.limit);
    sql.query().fetch_all(tx).await?.iter().map(Recorded::from_row).collect()
}

/// How many events a KPI has, at most `limit`.
pub(crate) async fn count(tx: &mut Tx, tenant: &Tenant, kpi_id: &str, limit: i64) -> Result<i64> {
    let row = query(
        "select count(*) as n from (select event_id from events where tenant_id = $1 and kpi_id = $2 limit $3) few",
    )
    .bind(tenant)
    .bind(kpi_id)
    .bind(limit)
    .fetch_one(tx)
    .await?;
    row.get("n")
}

/// Deletes events of a claimed KPI that happened in a span, the oldest first, at most `most`, and returns how many.
pub(crate) async fn delete(tx: &mut Tx, tenant: &Tenant, kpi_id: &str, span: Span, most: u64) -> Result<u64> {
    query(
        "delete from events where tenant_id = $1 and kpi_id = $2 and event_id in (
           select event_id from events where tenant_id = $1 and kpi_id = $2 and occurred_at >= $3 and occurred_at < $4
           order by occurred_at limit $5)",
    )
    .bind(tenant)
    .bind(kpi_id)
    .bind(span.start)
    .bind(span.end)
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .execute(tx)
    .await
}
