//! The use cases: each opens its transaction, decides, and commits.

pub mod alerts;
pub mod comparisons;
pub mod definitions;
pub mod events;
pub mod experiments;
pub mod ingest;
pub mod interpretations;
pub mod query;
pub mod rollups;
pub mod summaries;
pub mod watchdog;

use crate::definition::Definition;
use crate::seed;
use crate::store::definitions as store;
use remit_api::types::TimeRange;
use remit_core::{Clock, Error, Result, Tenant, Timestamp, name};
use remit_store::{Db, Tx, tenants};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::calendar::Span;

/// The KPI service.
#[derive(Debug, Clone)]
pub struct Kpis {
    /// The database.
    pub db: Db,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Tenants that are known to have the shipped definitions.
    seeded: Arc<Mutex<BTreeSet<Tenant>>>,
}

impl Kpis {
    /// Serves from `db`.
    pub fn new(db: Db, clock: Arc<dyn Clock>) -> Self {
        Self { db, clock, seeded: Arc::default() }
    }

    /// Gives the tenant the definitions and alert rules that ship with the software, once. They are part of
    /// the software, so nothing that the tenant did is recorded.
    ///
    /// # Errors
    /// As the database says.
    pub async fn ready(&self, tenant: &Tenant) -> Result<()> {
        if self.seeded.lock().unwrap_or_else(PoisonError::into_inner).contains(tenant) {
            return Ok(());
        }
        // So that its audit log is followed and its timers fire, even if it only reads here.
        tenants::see(&self.db, tenant, self.clock.now()).await?;
        if !store::is_seeded(&mut self.db.read().await?, tenant).await? {
            let now = self.clock.now();
            let mut tx = self.db.write().await?;
            if store::mark_seeded(&mut tx, tenant, now).await? {
                for kpi in seed::kpis(now)? {
                    let [id] = name::ids(&kpi.name, "kpis/*", "name")?;
                    store::insert(&mut tx, tenant, id, &kpi).await?;
                }
                for rule in seed::alert_rules(now) {
                    crate::store::alerts::insert_rule(&mut tx, tenant, &rule).await?;
                }
                alerts::schedule(&mut tx, tenant, now).await?;
            }
            tx.commit().await?;
        }
        self.seeded.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone());
        Ok(())
    }

    /// The definition in force of `kpis/{kpi}`, named by `field`.
    ///
    /// # Errors
    /// `NotFound` (`KPI_UNKNOWN`), `InvalidArgument` (`NAME_INVALID`).
    pub async fn definition(&self, tx: &mut Tx, tenant: &Tenant, kpi: &str, field: &str) -> Result<Definition> {
        let [id] = name::ids(kpi, "kpis/*", field)?;
        let found = store::get(tx, tenant, id).await?;
        Definition::new(found.ok_or_else(|| Error::not_found("KPI_UNKNOWN", kpi))?)
    }
}

/// A span of time with both ends, named by `field`.
///
/// # Errors
/// `InvalidArgument` (`RANGE_INVALID`) if an end is missing or they are out of order.
pub fn span(range: Option<&TimeRange>, field: &str) -> Result<Span> {
    let invalid = |why: &str| Error::invalid("RANGE_INVALID", field, why);
    let (start, end) = range
        .and_then(|range| range.start_time.zip(range.end_time))
        .ok_or_else(|| invalid("needs a start_time and an end_time"))?;
    let span = Span { start: micros(start, field)?, end: micros(end, field)? };
    if span.start >= span.end {
        return Err(invalid("start_time must lie before end_time"));
    }
    Ok(span)
}

/// A protobuf time in microseconds.
///
/// # Errors
/// `InvalidArgument` (`RANGE_INVALID`), naming `field`, outside the years 1970 to 2199.
pub fn micros(time: prost_types::Timestamp, field: &str) -> Result<i64> {
    const LAST: i64 = 7_258_118_400;
    if !(0..=LAST).contains(&time.seconds) || !(0..1_000_000_000).contains(&time.nanos) {
        return Err(Error::invalid("RANGE_INVALID", field, "must lie in the years 1970 to 2199"));
    }
    Ok(time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000)
}

/// Microseconds as a protobuf time.
pub fn time(micros: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        // Less than a billion.
        nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0),
    }
}

/// A span as a message.
pub fn range(span: Span) -> TimeRange {
    TimeRange { start_time: Some(time(span.start)), end_time: Some(time(span.end)) }
}

/// A time as a message.
pub fn timestamp(at: Timestamp) -> Option<prost_types::Timestamp> {
    Some(time(at.0))
}

#[cfg(test)]
mod tests;
