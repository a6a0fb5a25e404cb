//! Counting a KPI anew by another calendar.

use super::ingest::add;
use crate::calendar::{Lookup, Span};
use crate::days::{Day, Key, quarter};
use crate::definition::Definition;
use crate::store::{events, rollups};
use crate::summary::Summary;
use remit_core::Result;
use remit_store::Mutation;
use std::collections::BTreeMap;

/// The most events that are counted anew, all in one transaction.
const MOST: i64 = 10_000;

/// Puts the days of a claimed KPI in place of those that another calendar made of the same events. False if there are too
/// many of them, and nothing changes.
///
/// # Errors
/// As the database says.
pub(crate) async fn recount(m: &mut Mutation, definition: &Definition) -> Result<bool> {
    let (tenant, id, shape) = (m.tenant().clone(), definition.id.as_str(), definition.shape());
    if events::count(m.tx(), &tenant, id, MOST + 1).await? > MOST {
        return Ok(false);
    }
    let mut lookup = Lookup::new(&definition.calendar);
    let mut quarters: BTreeMap<Key, Summary> = BTreeMap::new();
    let everything = Span { start: i64::MIN, end: i64::MAX };
    events::scan(m.tx(), &tenant, id, everything, |recorded| {
        let key = (quarter(recorded.event.occurred_at).start, recorded.series_id);
        let summary = quarters.entry(key).or_insert_with(|| Summary::new(shape.clone()));
        add(summary, &recorded, &mut lookup, definition.lateness);
        Ok(())
    })
    .await?;
    let mut days: BTreeMap<Key, Day> = BTreeMap::new();
    for ((quarter, series_id), summary) in &quarters {
        let key = (lookup.around(*quarter).day.start, *series_id);
        days.entry(key).or_insert_with(|| Day::new(&shape)).add(*quarter, summary, &shape)?;
    }
    rollups::clear(m.tx(), &tenant, id).await?;
    rollups::put(m.tx(), &tenant, id, days, &shape).await?;
    Ok(true)
}
