//! Events as recorded.

use super::chunks;
use crate::calendar::Span;
use crate::definition::Checked;
use crate::summary::Counted;
use futures::TryStreamExt as _;
use remit_core::{Result, Tenant};
use remit_store::{BulkInsert, Row, Sql, Tx, query};
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

/// Stores events of a claimed KPI and returns the ids of those whose id was free.
pub(crate) async fn insert(tx: &mut Tx, tenant: &Tenant, kpi_id: &str, events: &[Recorded]) -> Result<HashSet<String>> {
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
        .on_conflict_do_nothing()
        .returning("event_id", tx)
        .await?
        .iter()
        .map(|row| row.get("event_id"))
        .collect()
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
