//! From events to rollups, in one transaction.
//!
//! The row of each KPI is claimed first, in the order of their names, so that batches of the same KPI
//! take turns and no two wait for each other. Under that lock, events are compared with what is there,
//! stored, and summed up by quarter hour; the sums are one row beside the rollups, which every reader adds to them, and are
//! folded into the rows of their days once enough of them wait. So a batch costs as many statements for a thousand events
//! of ninety days as for one. A quarter hour from which a correction takes something away is computed anew from its
//! events, since a minimum or a latest value cannot be subtracted.

use super::retention;
use crate::calendar::{Calendar, Lookup, Span};
use crate::days::{Day, Key, quarter};
use crate::definition::{Checked, Definition, Flaw};
use crate::dimensions;
use crate::store::events::Recorded;
use crate::store::kpis::{self, Kpis};
use crate::store::rollups::Grain;
use crate::store::{events, rollups};
use crate::summary::Summary;
use remit_api::kpi::v1::{Event, Layer};
use remit_core::name::KpiName;
use remit_core::{Actor, ActorKind, Error, Result, Tenant, Timestamp};
use remit_store::{Mutation, Records as _, Tx};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The most series of one KPI.
const MAX_SERIES: usize = 10_000;

/// How much may wait to be folded into the days of a KPI: quarter hours, each once for a batch that has it. Readers sum it
/// up, so it bounds what they pay; the more waits, the fewer times a day is written.
const MOST_WAITING: i64 = 16_384;
/// What a batch weighs at the least, so that readers find no more than 64 of them.
const LEAST_WEIGHT: i64 = MOST_WAITING / 64;

/// Where events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A caller, who must not record events of derived KPIs.
    Caller,
    /// The tail of the audit log.
    Audit,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Events that counted for the first time, by KPI id.
    pub(crate) accepted: BTreeMap<String, i32>,
    /// Events that had been recorded before.
    pub(crate) duplicates: i32,
    /// Accepted events that came after their day had closed.
    pub(crate) late: i32,
    /// Accepted events that replaced or took out another.
    pub(crate) corrected: i32,
    /// Refused events by position.
    pub(crate) flaws: BTreeMap<usize, Flaw>,
}

impl Outcome {
    /// Events that counted for the first time.
    pub(crate) fn accepted_count(&self) -> i32 {
        self.accepted.values().sum()
    }
}

/// The error for refused events: the first names the error, the others stand beside it.
pub(crate) fn refusal(flaws: &BTreeMap<usize, Flaw>) -> Error {
    let path = |index: usize, flaw: &Flaw| format!("events[{index}].{}", flaw.field);
    let mut all = flaws.iter();
    let Some((index, first)) = all.next() else { return Error::internal("no event was refused") };
    let error = Error::invalid(first.reason, path(*index, first), first.message.clone());
    all.take(20).fold(error, |error, (index, flaw)| error.with_violation(path(*index, flaw), flaw.message.clone()))
}

/// Records `events` within `mutation`. With flaws and without `skip_invalid` nothing is to be committed.
///
/// # Errors
/// As the database says.
pub(crate) async fn record(mutation: &mut Mutation, batch: &[Event], source: Source) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let (tenant, by) = (mutation.tenant().clone(), mutation.actor().clone());
    let mut by_kpi: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, event) in batch.iter().enumerate() {
        if KpiName::parse(&event.kpi, "kpi").is_ok() {
            by_kpi.entry(&event.kpi).or_default().push(index);
        } else {
            let message = format!("must have the form {}", KpiName::PATTERN);
            outcome.flaws.insert(index, Flaw::new("kpi", "NAME_INVALID", message));
        }
    }
    for (name, indexes) in by_kpi {
        let refuse = |reason, message: String, outcome: &mut Outcome| {
            outcome.flaws.extend(indexes.iter().map(|index| (*index, Flaw::new("kpi", reason, message.clone()))));
        };
        let Some(kpi) = Kpis::try_claim(mutation, name).await? else {
            refuse("KPI_NOT_FOUND", format!("{name} does not exist"), &mut outcome);
            continue;
        };
        if kpi.derived && source == Source::Caller {
            refuse("KPI_DERIVED", format!("{name} is derived from the audit log"), &mut outcome);
            continue;
        }
        let definition = Definition::new(kpi)?;
        let (now, stored_as) = (mutation.now().0, mark(&mutation.new_id()));
        let (tx, definition) = (mutation.tx(), &definition);
        let outcome = &mut outcome;
        let mut work = Work { tx, tenant: &tenant, definition, by: &by, now, batch: stored_as, source, outcome };
        if work.record(batch, &indexes).await? {
            mutation.change(FEED, &definition.id, Some(Vec::new())).await?;
        }
    }
    Ok(outcome)
}

/// The random end of an id, as a number.
fn mark(id: &str) -> i64 {
    let digits = id.bytes().rev().filter_map(|digit| char::from(digit).to_digit(16)).take(15);
    digits.fold(0, |mark, digit| mark << 4 | i64::from(digit))
}

/// The watch feed that names the KPIs whose rollups changed.
pub(crate) const FEED: &str = "rollups";

/// The events of one claimed KPI.
struct Work<'a> {
    tx: &'a mut Tx,
    tenant: &'a Tenant,
    definition: &'a Definition,
    /// Who records them.
    by: &'a Actor,
    now: i64,
    /// What its events carry and those of no other batch do.
    batch: i64,
    source: Source,
    outcome: &'a mut Outcome,
}

impl Work<'_> {
    /// Records the events at `indexes` and says whether rollups changed.
    async fn record(&mut self, batch: &[Event], indexes: &[usize]) -> Result<bool> {
        let mut checked: Vec<(usize, Checked)> = Vec::with_capacity(indexes.len());
        for &index in indexes {
            let checked_event = self.definition.check(&batch[index], self.now);
            match checked_event.and_then(|event| check_backdated(self.definition, self.by, event, self.now)) {
                Ok(event) => checked.push((index, event)),
                Err(flaw) => {
                    self.outcome.flaws.insert(index, flaw);
                }
            }
        }
        let known = self.known(&checked).await?;
        let checked = self.kept(checked, &known).await?;
        let mut fresh = self.sift(checked, known).await?;
        let accepted = std::mem::take(&mut fresh.accepted);
        let accepted = self.store(accepted).await?;
        for (twin, first) in &fresh.twins {
            if let Some(flaw) = self.outcome.flaws.get(first).cloned() {
                self.outcome.flaws.insert(*twin, flaw);
                self.outcome.duplicates -= 1;
            }
        }
        if accepted.is_empty() {
            return Ok(false);
        }
        for (target, by) in &fresh.corrections {
            events::mark_corrected(self.tx, self.tenant, &self.definition.id, target, by, self.now).await?;
        }
        let mut lookup = Lookup::new(&self.definition.calendar);
        for recorded in &accepted {
            let late = lookup.late(recorded.event.occurred_at, self.now, self.definition.lateness);
            self.outcome.late += i32::from(late[2]);
        }
        let count = i32::try_from(accepted.len()).unwrap_or(i32::MAX);
        *self.outcome.accepted.entry(self.definition.id.clone()).or_default() += count;
        self.roll_up(&accepted, &fresh.touched).await?;
        Ok(true)
    }

    /// Stores events and returns those whose id was free; the others are duplicates or flawed. Trying first and
    /// looking after what was refused costs a fresh batch nothing.
    async fn store(&mut self, fresh: Vec<(usize, Recorded)>) -> Result<Vec<Recorded>> {
        let (tenant, id) = (self.tenant, self.definition.id.as_str());
        let (indexes, fresh): (Vec<usize>, Vec<Recorded>) = fresh.into_iter().unzip();
        if events::insert(self.tx, tenant, id, self.batch, &fresh).await? == fresh.len() as u64 {
            return Ok(fresh);
        }
        let ids: Vec<&str> = fresh.iter().map(|e| e.event.event_id.as_str()).collect();
        let stored = events::of_batch(self.tx, tenant, id, self.batch, &ids).await?;
        let taken: Vec<&str> =
            fresh.iter().map(|e| e.event.event_id.as_str()).filter(|event_id| !stored.contains(*event_id)).collect();
        let before = events::find(self.tx, tenant, id, &taken).await?;
        let before: HashMap<&str, &Recorded> = before.iter().map(|e| (e.event.event_id.as_str(), e)).collect();
        let mut accepted = Vec::with_capacity(stored.len());
        for (index, recorded) in indexes.into_iter().zip(fresh.iter()) {
            match before.get(recorded.event.event_id.as_str()) {
                None => accepted.push(recorded.clone()),
                Some(before) if before.event == recorded.event => self.outcome.duplicates += 1,
                Some(_) => {
                    self.outcome.flaws.insert(index, reused(&recorded.event.event_id));
                }
            }
        }
        Ok(accepted)
    }

    /// Refuses events of a time whose events are deleted, and corrections of such: one that is gone would count twice, and a
    /// quarter hour of which some are gone cannot be computed anew. What the audit log says is taken whenever it was: it comes
    /// once.
    async fn kept(
        &mut self,
        checked: Vec<(usize, Checked)>,
        known: &HashMap<String, Recorded>,
    ) -> Result<Vec<(usize, Checked)>> {
        let target =
            |event: &Checked| event.corrects.as_ref().and_then(|id| known.get(id)).map(|at| at.event.occurred_at);
        let first = |event: &Checked| target(event).unwrap_or(event.occurred_at).min(event.occurred_at);
        let now = self.now;
        let old = checked.iter().any(|(_, event)| retention::may_be_gone(first(event), now));
        if !old || self.source == Source::Audit {
            return Ok(checked);
        }
        let border = retention::kept_from(self.tx, self.tenant).await?;
        let (kept, gone): (Vec<_>, Vec<_>) = checked.into_iter().partition(|(_, event)| first(event) >= border);
        for (index, event) in gone {
            let field = if event.occurred_at < border { "occurred_at" } else { "corrects" };
            let message = format!(
                "is before {}: events of then are no longer kept, nor taken; see event_retention_days of the organisation",
                Timestamp(border)
            );
            self.outcome.flaws.insert(index, Flaw::new(field, "EVENT_TOO_OLD", message));
        }
        Ok(kept)
    }

    /// What is stored of corrections and of what they correct.
    async fn known(&mut self, checked: &[(usize, Checked)]) -> Result<HashMap<String, Recorded>> {
        let ids: BTreeSet<&str> = checked
            .iter()
            .filter_map(|(_, event)| event.corrects.as_deref().map(|target| [event.event_id.as_str(), target]))
            .flatten()
            .collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        let found = events::find(self.tx, self.tenant, &self.definition.id, &ids).await?;
        Ok(found.into_iter().map(|recorded| (recorded.event.event_id.clone(), recorded)).collect())
    }

    async fn is_taken(&mut self, event_id: &str) -> Result<bool> {
        Ok(!events::find(self.tx, self.tenant, &self.definition.id, &[event_id]).await?.is_empty())
    }

    /// Tells new events from duplicates and flawed ones, in the order of the batch.
    async fn sift(&mut self, checked: Vec<(usize, Checked)>, mut known: HashMap<String, Recorded>) -> Result<Fresh> {
        let named: BTreeSet<&str> = checked.iter().map(|(_, event)| event.dimensions.as_str()).collect();
        let mut series = Series::load(self.tx, self.tenant, self.definition, &named).await?;
        let mut fresh = Fresh::default();
        // Positions in `accepted`, so that a batch may correct its own events.
        let mut positions: HashMap<String, usize> = HashMap::new();
        for (index, event) in checked {
            let twin = positions.get(&event.event_id).copied();
            let before = twin.map(|at: usize| &fresh.accepted[at].1).or_else(|| known.get(&event.event_id));
            if let Some(before) = before {
                if before.event == event {
                    self.outcome.duplicates += 1;
                    fresh.twins.extend(twin.map(|at| (index, fresh.accepted[at].0)));
                } else {
                    self.outcome.flaws.insert(index, reused(&event.event_id));
                }
                continue;
            }
            if let Some(target) = &event.corrects {
                let flaw = |reason, message| Flaw::new("corrects", reason, message);
                let within = positions.get(target).map(|at| &fresh.accepted[*at].1);
                let Some(target) = within.or_else(|| known.get(target)) else {
                    let message = format!("{target} is not an event of this KPI");
                    self.outcome.flaws.insert(index, flaw("CORRECTED_EVENT_UNKNOWN", message));
                    continue;
                };
                if self.by.kind != ActorKind::Human && target.recorded_by != self.by.subject {
                    let message = format!(
                        "{} was recorded by another: let that one, or a person, correct it",
                        target.event.event_id
                    );
                    self.outcome.flaws.insert(index, Flaw::new("corrects", "CORRECTED_EVENT_NOT_YOURS", message));
                    continue;
                }
                if target.corrected.is_some() || target.event.retract {
                    let message = format!("{} no longer counts: correct what replaced it", target.event.event_id);
                    self.outcome.flaws.insert(index, flaw("CORRECTED_EVENT_REPLACED", message));
                    continue;
                }
            }
            // An event that is going to be refused must not use up a value of a dimension. Only a new combination asks.
            if !series.ids.contains_key(&event.dimensions) && self.is_taken(&event.event_id).await? {
                self.outcome.flaws.insert(index, reused(&event.event_id));
                continue;
            }
            let series_id = match series.id(self.tx, &event.dimensions).await? {
                Ok(id) => id,
                Err(flaw) => {
                    self.outcome.flaws.insert(index, flaw);
                    continue;
                }
            };
            if let Some(target) = &event.corrects {
                let correction = (event.event_id.clone(), self.now);
                let within = positions.get(target).copied();
                let target = match within {
                    Some(at) => Some(&mut fresh.accepted[at].1),
                    None => known.get_mut(target),
                };
                if let Some(target) = target {
                    target.corrected = Some(correction);
                    fresh.touched.insert((target.series_id, target.event.occurred_at));
                    fresh.touched.insert((series_id, event.occurred_at));
                    if within.is_none() {
                        fresh.corrections.push((target.event.event_id.clone(), event.event_id.clone()));
                    }
                    self.outcome.corrected += 1;
                }
            }
            let recorded = Recorded {
                event,
                series_id,
                kpi_version: i64::from(self.definition.kpi.version),
                recorded_at: self.now,
                recorded_by: self.by.subject.clone(),
                corrected: None,
            };
            positions.insert(recorded.event.event_id.clone(), fresh.accepted.len());
            fresh.accepted.push((index, recorded));
        }
        Ok(fresh)
    }

    /// Adds the accepted events to their rollups: as one row beside what waits, or, once enough of it waits and where a
    /// correction takes something away, into the days themselves.
    async fn roll_up(&mut self, accepted: &[Recorded], touched: &BTreeSet<(i64, i64)>) -> Result<()> {
        let mut lookup = Lookup::new(&self.definition.calendar);
        let rebuilt: BTreeSet<Key> = touched.iter().map(|(series_id, at)| (quarter(*at).start, *series_id)).collect();
        let mut deltas: BTreeMap<Key, Summary> = BTreeMap::new();
        for recorded in accepted {
            let at = recorded.event.occurred_at;
            let key = (quarter(at).start, recorded.series_id);
            if !rebuilt.contains(&key) {
                let late = lookup.late(at, recorded.recorded_at, self.definition.lateness);
                let summary = deltas.entry(key).or_insert_with(|| Summary::new(self.definition.shape()));
                summary.add(&recorded.counted(), late);
            }
        }
        let (tenant, id) = (self.tenant, self.definition.id.as_str());
        if rollups::append(self.tx, tenant, id, &deltas, LEAST_WEIGHT).await? >= MOST_WAITING || !rebuilt.is_empty() {
            self.fold(rebuilt).await?;
        }
        Ok(())
    }

    /// Folds what waits into its days, and computes the quarter hours `rebuilt` anew.
    async fn fold(&mut self, rebuilt: BTreeSet<Key>) -> Result<()> {
        let (tenant, id, shape) = (self.tenant, self.definition.id.as_str(), self.definition.shape());
        let mut lookup = Lookup::new(&self.definition.calendar);
        let mut deltas = rollups::take(self.tx, tenant, id, &shape).await?;
        deltas.retain(|key, _| !rebuilt.contains(key));
        let mut replaced = BTreeMap::new();
        for key in rebuilt {
            let mut summary = Summary::new(shape.clone());
            events::scan(self.tx, tenant, id, quarter(key.0), |recorded| {
                if recorded.series_id == key.1 {
                    add(&mut summary, &recorded, &mut lookup, self.definition.lateness);
                }
                Ok(())
            })
            .await?;
            replaced.insert(key, summary);
        }
        let mut day = |(quarter, series_id): Key| (lookup.around(quarter).day.start, series_id);
        let keys: BTreeSet<Key> = deltas.keys().chain(replaced.keys()).map(|key| day(*key)).collect();
        let keys: Vec<Key> = keys.into_iter().collect();
        let mut days = rollups::find(self.tx, tenant, id, &keys, &shape).await?;
        for (key, delta) in &deltas {
            days.entry(day(*key)).or_insert_with(|| Day::new(&shape)).add(key.0, delta, &shape)?;
        }
        for (key, summary) in &replaced {
            days.entry(day(*key)).or_insert_with(|| Day::new(&shape)).replace(key.0, summary);
        }
        rollups::put(self.tx, tenant, id, days, &shape).await
    }
}

/// Adds a recorded event to a summary: as one that counts, as one that was replaced, or not at all.
pub(crate) fn add(summary: &mut Summary, recorded: &Recorded, lookup: &mut Lookup<'_>, lateness: i64) {
    let at = recorded.event.occurred_at;
    match &recorded.corrected {
        Some((_, corrected_at)) => summary.note_corrected(*corrected_at, lookup.late(at, *corrected_at, lateness)),
        None if recorded.event.retract => {}
        None => summary.add(&recorded.counted(), lookup.late(at, recorded.recorded_at, lateness)),
    }
}

/// Refuses what an AI system says of days that are over where a KPI is for people to interpret: nobody would see what it
/// changed about what they know.
fn check_backdated(definition: &Definition, by: &Actor, event: Checked, now: i64) -> Result<Checked, Flaw> {
    let strategic = definition.kpi.layer() == Layer::Strategic;
    let closed = || Lookup::new(&definition.calendar).late(event.occurred_at, now, definition.lateness)[2];
    if by.kind == ActorKind::Ai && strategic && closed() {
        let message =
            format!("{} is strategic: of days that are over, people or programs report it", definition.kpi.name);
        return Err(Flaw::new("occurred_at", "BACKDATED_BY_AI", message));
    }
    Ok(event)
}

fn reused(event_id: &str) -> Flaw {
    let message = format!("{event_id} was used before for another event of this KPI");
    Flaw::new("event_id", "EVENT_ID_REUSED", message)
}

/// What is new in a batch.
#[derive(Default)]
struct Fresh {
    /// Position in the batch, and the event.
    accepted: Vec<(usize, Recorded)>,
    /// Stored events that are replaced, and by which.
    corrections: Vec<(String, String)>,
    /// Positions in the batch of events that repeat an earlier one of it, and of that one.
    twins: Vec<(usize, usize)>,
    /// Series and time of everything that a correction moves.
    touched: BTreeSet<(i64, i64)>,
}

/// The series of a claimed KPI.
struct Series<'a> {
    tenant: &'a Tenant,
    definition: &'a Definition,
    /// Those that a batch names, or all once one is added.
    ids: HashMap<String, i64>,
    /// The values of each dimension, known once a series is added.
    values: Option<BTreeMap<String, BTreeSet<String>>>,
}

impl<'a> Series<'a> {
    /// The series that a batch names: of ten thousand it has few, and reading all would cost each batch more than its events.
    async fn load(tx: &mut Tx, tenant: &'a Tenant, definition: &'a Definition, named: &BTreeSet<&str>) -> Result<Self> {
        let named: Vec<&str> = named.iter().copied().collect();
        let known = kpis::series_named(tx, tenant, &definition.id, &named).await?;
        let ids = known.into_iter().map(|(id, dimensions)| (dimensions, id)).collect();
        Ok(Self { tenant, definition, ids, values: None })
    }

    /// The id of a combination of dimensions, which is added if it is new and within the bounds.
    async fn id(&mut self, tx: &mut Tx, text: &str) -> Result<Result<i64, Flaw>> {
        if let Some(id) = self.ids.get(text) {
            return Ok(Ok(*id));
        }
        if self.values.is_none() {
            let all = kpis::series(tx, self.tenant, &self.definition.id).await?;
            self.ids = all.into_iter().map(|(id, dimensions)| (dimensions, id)).collect();
            let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for known in self.ids.keys() {
                for (key, value) in dimensions::parse(known)? {
                    values.entry(key).or_default().insert(value);
                }
            }
            self.values = Some(values);
        }
        let values = self.values.get_or_insert_default();
        let added = dimensions::parse(text)?;
        for (key, value) in &added {
            let bound = self.definition.cardinality(key);
            let seen = values.entry(key.clone()).or_default();
            if !seen.contains(value) && seen.len() >= bound {
                let message = format!("{key} has {bound} different values already, the bound of its definition");
                return Ok(Err(Flaw::new("dimensions", "DIMENSION_CARDINALITY", message)));
            }
        }
        if self.ids.len() >= MAX_SERIES {
            let message = format!("the KPI has {MAX_SERIES} combinations of dimension values already");
            return Ok(Err(Flaw::new("dimensions", "SERIES_LIMIT", message)));
        }
        for (key, value) in added {
            values.entry(key).or_default().insert(value);
        }
        let id = i64::try_from(self.ids.len()).unwrap_or(i64::MAX);
        kpis::insert_series(tx, self.tenant, &self.definition.id, id, text).await?;
        self.ids.insert(text.to_owned(), id);
        Ok(Ok(id))
    }
}

/// The quarter hours and days that make up a span: quarter hours up to the first midnight and after the
/// last, days between.
pub(crate) fn cover(calendar: &Calendar, span: Span) -> Vec<(Grain, Span)> {
    use remit_api::kpi::v1::Granularity::Day;
    let first = calendar.period(Day, span.start);
    let from = if first.start == span.start { span.start } else { first.end };
    let to = calendar.period(Day, span.end).start;
    if from >= to {
        return vec![(Grain::QuarterHour, span)];
    }
    let parts = [
        (Grain::QuarterHour, Span { start: span.start, end: from }),
        (Grain::Day, Span { start: from, end: to }),
        (Grain::QuarterHour, Span { start: to, end: span.end }),
    ];
    parts.into_iter().filter(|(_, part)| part.start < part.end).collect()
}
