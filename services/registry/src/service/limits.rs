//! The outputs that an approval allows on one day: counted in the transaction that records them, and begun anew by a timer
//! at midnight. Nothing that was made goes unrecorded for it: what changes is what checks answer from then on.

use super::expiry::schedule;
use super::models::save;
use crate::inventory;
use crate::limits;
use crate::recording::References;
use crate::store::daily_outputs;
use crate::store::models::ModelVersions;
use crate::store::outputs::{self, NewOutput};
use remit_api::registry::v1::{DailyOutputs, ModelVersion};
use remit_api::wire::{Word as _, time};
use remit_core::Result;
use remit_core::details::{Details as _, ModelVersionLimited};
use remit_store::{Mutation, Records as _, Timer};
use std::collections::BTreeSet;

/// The kind of the timer that begins a new day.
pub(super) const RESETS: &str = "limit.reset";
/// The action of both in the log.
const LIMITED: &str = "registry.versions.limit";

/// Locks those of the model versions whose outputs an approval bounds, by name, so that whoever records more waits. Ask for
/// the time after this: of two recordings the later is of the later day.
pub(super) async fn claim(m: &mut Mutation, refs: &References) -> Result<Vec<ModelVersion>> {
    let mut claimed = Vec::new();
    for version in refs.versions.values().filter(|version| limits::of(version.terms.as_ref()).is_some()) {
        claimed.push(ModelVersions::claim(m, &version.name).await?);
    }
    Ok(claimed)
}

/// Counts those of the outputs that are new to these versions, which must be locked, and lets those that have come further
/// show it.
pub(super) async fn count(
    m: &mut Mutation,
    versions: Vec<ModelVersion>,
    rows: &[NewOutput],
    new: &BTreeSet<String>,
) -> Result<()> {
    for mut version in versions {
        let made = rows.iter().filter(|row| row.output.model_version == version.name && new.contains(&row.output.name));
        let made = i64::try_from(made.count()).unwrap_or(i64::MAX);
        let Some(limit) = limits::of(version.terms.as_ref()).filter(|_| made > 0) else { continue };
        let day = limit.day(m.now())?;
        let outputs = daily_outputs::add(m, &version.name, day.start, made).await?;
        let shown = limit.shown(outputs, &day);
        if inventory::may_run(version.state()) && shown.is_some() && !limits::shows(&version, shown.as_ref()) {
            version.daily_outputs = shown;
            save(m, &mut version).await?;
            plan_reset(m, &version).await?;
            record(m, &version.name, version.daily_outputs.unwrap_or_default());
        }
    }
    Ok(())
}

/// What a locked version shows that has just been given its terms: what it has made today counts from its first output on.
pub(super) async fn standing(m: &mut Mutation, version: &ModelVersion) -> Result<Option<DailyOutputs>> {
    let runs = inventory::may_run(version.state());
    let Some(limit) = limits::of(version.terms.as_ref()).filter(|_| runs) else { return Ok(None) };
    let day = limit.day(m.now())?;
    let outputs = outputs::recorded_since(m, &version.name, day.start).await?;
    daily_outputs::set(m, &version.name, day.start, outputs).await?;
    Ok(limit.shown(outputs, &day))
}

/// Plans the end of the day that a version shows.
pub(super) async fn plan_reset(m: &mut Mutation, version: &ModelVersion) -> Result<()> {
    match version.daily_outputs.as_ref().and_then(|shown| shown.end_time.as_ref()) {
        Some(end) => schedule(m, RESETS, &version.name, time::of(end)).await,
        None => Ok(()),
    }
}

/// The day is over. Checks have seen that by their own clock.
pub(super) async fn reset(m: &mut Mutation, timer: &Timer, name: &str) -> Result<()> {
    let Some(mut version) = ModelVersions::try_claim(m, name).await? else { return Ok(()) };
    let Some(shown) = version.daily_outputs.take() else { return Ok(()) };
    if shown.end_time.as_ref().map(time::of) != Some(timer.due_at) {
        return Ok(());
    }
    save(m, &mut version).await?;
    record(m, name, DailyOutputs { limit: 0, ..shown });
    Ok(())
}

fn record(m: &mut Mutation, version: &str, shown: DailyOutputs) {
    let mut event = m.event(LIMITED, version);
    event.model_version = version.to_owned();
    event.details = ModelVersionLimited {
        limit: shown.limit().word().to_owned(),
        outputs: shown.outputs,
        max_outputs: shown.max_outputs,
        end_time: shown.end_time.as_ref().map(|end| time::of(end).to_string()).unwrap_or_default(),
    }
    .json();
    m.record_event(event);
}
