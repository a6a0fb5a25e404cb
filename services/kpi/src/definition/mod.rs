//! Definitions of KPIs: what is allowed in one, what may change, and which events fit.

use crate::calendar::Calendar;
use crate::dimensions::{Dimensions, canonical};
use crate::summary::Shape;
use prost_types::FieldMask;
use remit_api::kpi::v1::{Cadence, Direction, Event, Kind, Kpi, KpiState, Trials, Unit};
use remit_api::wire::mask;
use remit_core::name::KpiName;
use remit_core::{Error, Result, digest};
use remit_drift::{Edges, Moments};
use std::collections::BTreeSet;

/// The first instant an event may have: 2000-01-01T00:00:00Z.
const EARLIEST: i64 = 946_684_800_000_000;
/// How far an event may lie ahead of the server's clock.
const AHEAD: i64 = 86_400_000_000;
/// The greatest magnitude of a value.
const GREATEST: f64 = 1e11;
/// The values of a dimension if the definition names no bound.
pub(crate) const DEFAULT_CARDINALITY: i32 = 100;
/// The allowed lateness if the definition names none: an hour, in microseconds.
const DEFAULT_LATENESS: i64 = 3_600_000_000;

/// A definition ready for use.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    /// The definition as in the API.
    pub(crate) kpi: Kpi,
    /// The last part of the name.
    pub(crate) id: String,
    /// The kind.
    pub(crate) kind: Kind,
    /// The unit.
    pub(crate) unit: Unit,
    /// The direction.
    pub(crate) direction: Direction,
    /// The periods.
    pub(crate) calendar: Calendar,
    /// The bins of a distribution.
    pub(crate) edges: Edges,
    /// The allowed lateness in microseconds.
    pub(crate) lateness: i64,
    /// The keys of the dimensions.
    pub(crate) keys: Vec<String>,
}

/// Why an event was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// The field at fault.
    pub(crate) field: &'static str,
    /// A stable code.
    pub(crate) reason: &'static str,
    /// What would be right.
    pub(crate) message: String,
}

impl Flaw {
    /// Names a flaw.
    pub(crate) fn new(field: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { field, reason, message: message.into() }
    }
}

/// An event that fits its definition: values in millionths, times in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked {
    /// The id of the event.
    pub(crate) event_id: String,
    /// When it happened.
    pub(crate) occurred_at: i64,
    /// The value or numerator.
    pub(crate) value: Option<i64>,
    /// The denominator.
    pub(crate) denominator: Option<i64>,
    /// The digest of the member.
    pub(crate) member: Option<String>,
    /// The canonical dimensions.
    pub(crate) dimensions: String,
    /// The event that it replaces.
    pub(crate) corrects: Option<String>,
    /// Whether it only takes that event out.
    pub(crate) retract: bool,
}

impl Definition {
    /// Takes a stored definition.
    ///
    /// # Errors
    /// `Internal` if it is none; zones and edges were checked when it was stored.
    pub(crate) fn new(kpi: Kpi) -> Result<Self> {
        let id = KpiName::parse(&kpi.name, "name")?.kpi;
        let (kind, unit, direction) = (kpi.kind(), kpi.unit(), kpi.direction());
        let edges = if kind == Kind::Distribution {
            Edges::new(kpi.edges.clone())
                .map_err(|error| Error::internal(format!("{} has edges that are none", kpi.name)).with_source(error))?
        } else {
            Edges::unit_deciles()
        };
        Ok(Self {
            id,
            kind,
            unit,
            direction,
            calendar: Calendar::new(&kpi.time_zone, "kpi.time_zone")?
                .beginning(kpi.week_start(), kpi.fiscal_year_start_month),
            edges,
            lateness: lateness(&kpi),
            keys: kpi.dimensions.iter().map(|dimension| dimension.key.clone()).collect(),
            kpi,
        })
    }

    /// The empty shape of its summaries.
    pub(crate) fn shape(&self) -> Shape {
        Shape::of(self.kind, &self.edges)
    }

    /// Whether its value is a proportion of trials.
    pub(crate) fn is_proportion(&self) -> bool {
        self.kind == Kind::Ratio && self.unit == Unit::Proportion
    }

    /// Whether its value is a share or a score, which lies in [0, 1]; sums of them may go beyond.
    pub(crate) fn is_share(&self) -> bool {
        matches!(self.unit, Unit::Proportion | Unit::Score)
            && !matches!(self.kind, Kind::Sum | Kind::Count | Kind::Distinct)
    }

    /// Whether its denominators count independent trials, whose number is the n of its value.
    pub(crate) fn has_trials(&self) -> bool {
        self.is_proportion() && self.kpi.trials() != Trials::Dependent
    }

    /// The bound on the number of values of a dimension.
    pub(crate) fn cardinality(&self, key: &str) -> usize {
        let found = self.kpi.dimensions.iter().find(|dimension| dimension.key == key);
        let bound = found.map_or(0, |dimension| dimension.max_values);
        usize::try_from(if bound == 0 { DEFAULT_CARDINALITY } else { bound }).unwrap_or(0)
    }

    /// Checks an event against the definition and the clock.
    ///
    /// # Errors
    /// The [`Flaw`] that names the field.
    pub(crate) fn check(&self, event: &Event, now: i64) -> Result<Checked, Flaw> {
        if event.event_id.is_empty() || event.event_id.chars().count() > 100 {
            return Err(Flaw::new("event_id", "EVENT_ID_INVALID", "must have 1 to 100 characters"));
        }
        if self.kpi.state() == KpiState::Retired {
            return Err(Flaw::new("kpi", "KPI_RETIRED", format!("{} is retired and takes no events", self.kpi.name)));
        }
        let occurred_at = occurred_at(event, now)?;
        let corrects = (!event.corrects.is_empty()).then(|| event.corrects.clone());
        if corrects.as_deref() == Some(event.event_id.as_str()) {
            return Err(Flaw::new("corrects", "CORRECTS_ITSELF", "must be the id of an earlier event"));
        }
        if event.retract && corrects.is_none() {
            return Err(Flaw::new("retract", "RETRACT_WITHOUT_CORRECTS", "needs the event to take out, in corrects"));
        }
        let (value, denominator, member) =
            if event.retract { nothing(event).map(|()| (None, None, None))? } else { self.values(event)? };
        Ok(Checked {
            event_id: event.event_id.clone(),
            occurred_at,
            value,
            denominator,
            member,
            dimensions: self.dimensions(&event.dimensions)?,
            corrects,
            retract: event.retract,
        })
    }

    fn dimensions(&self, given: &Dimensions) -> Result<String, Flaw> {
        if let Some(key) = given.keys().find(|key| !self.keys.contains(key)) {
            let known = if self.keys.is_empty() { "none".to_owned() } else { self.keys.join(", ") };
            let message = format!("{key} is not a dimension of {}, which has: {known}", self.kpi.name);
            return Err(Flaw::new("dimensions", "DIMENSION_UNKNOWN", message));
        }
        if let Some((key, _)) = given.iter().find(|(_, value)| value.is_empty() || value.chars().count() > 100) {
            return Err(Flaw::new("dimensions", "DIMENSION_INVALID", format!("{key} must have 1 to 100 characters")));
        }
        let missing = self.kpi.dimensions.iter().find(|known| known.required && !given.contains_key(&known.key));
        match missing {
            Some(known) => {
                let message = format!("{} is required by {}", known.key, self.kpi.name);
                Err(Flaw::new("dimensions", "DIMENSION_MISSING", message))
            }
            None => Ok(canonical(given)),
        }
    }

    #[allow(clippy::type_complexity, reason = "value, denominator and member, used in one place")]
    fn values(&self, event: &Event) -> Result<(Option<i64>, Option<i64>, Option<String>), Flaw> {
        let refuse = |field, message| Err(Flaw::new(field, "VALUE_NOT_EXPECTED", message));
        if !matches!(self.kind, Kind::Distinct | Kind::Ratio | Kind::Mean) && !event.member.is_empty() {
            return refuse("member", "is only for a KPI of kind DISTINCT, RATIO or MEAN");
        }
        if event.member.chars().count() > 200 {
            return Err(Flaw::new("member", "MEMBER_INVALID", "must have at most 200 characters"));
        }
        let member = (!event.member.is_empty()).then(|| digest::sha256(event.member.as_bytes()));
        if self.kind != Kind::Ratio && event.denominator.is_some() {
            return refuse("denominator", "is only for a KPI of kind RATIO");
        }
        match self.kind {
            Kind::Count if event.value.is_some_and(|value| value != 1.0) => {
                refuse("value", "must be unset or 1: events of a COUNT are counted, one event a thing")
            }
            Kind::Distinct if event.value.is_some() => refuse("value", "must be unset: members are counted"),
            Kind::Count => Ok((None, None, None)),
            Kind::Distinct if member.is_none() => {
                Err(Flaw::new("member", "MEMBER_INVALID", "must have 1 to 200 characters"))
            }
            Kind::Distinct => Ok((None, None, member)),
            Kind::Ratio => {
                let value = self.number(event.value)?;
                let denominator = event.denominator.unwrap_or(1.0);
                // Spend that brought no lead is spend; a share of nothing is no share.
                let nothing = denominator == 0.0 && self.unit != Unit::Proportion;
                let sound = denominator > 0.0 && denominator <= GREATEST && Moments::fixed(denominator) > 0;
                if !sound && !nothing {
                    let message = "must be above 0 and at most 1e11; 0 only where the KPI is no PROPORTION";
                    return Err(Flaw::new("denominator", "VALUE_OUT_OF_RANGE", message));
                }
                if self.unit == Unit::Proportion && value > denominator {
                    let message = format!(
                        "must be at most the denominator, {denominator}: give a share as 0.12, not as 12 percent"
                    );
                    return Err(Flaw::new("value", "VALUE_OUT_OF_RANGE", message));
                }
                Ok((Some(Moments::fixed(value)), Some(Moments::fixed(denominator)), member))
            }
            _ => Ok((Some(Moments::fixed(self.number(event.value)?)), None, member)),
        }
    }

    fn number(&self, value: Option<f64>) -> Result<f64, Flaw> {
        let value = value.ok_or_else(|| Flaw::new("value", "VALUE_MISSING", "is required"))?;
        let out = |message: &str| Err(Flaw::new("value", "VALUE_OUT_OF_RANGE", message));
        if !value.is_finite() || value.abs() > GREATEST {
            return out("must be a finite number of at most 1e11 in magnitude");
        }
        let kept = Moments::value(i128::from(Moments::fixed(value)));
        if self.unit == Unit::Currency && (kept - value).abs() > 0.005 * value.abs() {
            let message = "is too small for the six decimals that are kept: record the sum of more, or the amount and what \
                           it is for as value and denominator of a RATIO";
            return Err(Flaw::new("value", "VALUE_TOO_FINE", message));
        }
        match self.unit {
            Unit::Score | Unit::Proportion if value < 0.0 => out("must not be negative"),
            Unit::Score if value > 1.0 => out("must lie in [0, 1]"),
            Unit::Proportion if value > 1.0 && self.kind != Kind::Ratio => {
                out("must lie in [0, 1]: give a share as 0.12, not as 12 percent")
            }
            // A sum of seconds may be net, such as time saved less the time of reviews.
            Unit::Seconds if value < 0.0 && self.kind == Kind::Sum => Ok(value),
            Unit::Count | Unit::Seconds if value < 0.0 => out("must not be negative"),
            _ => Ok(value),
        }
    }
}

fn occurred_at(event: &Event, now: i64) -> Result<i64, Flaw> {
    let wrong = |message| Flaw::new("occurred_at", "OCCURRED_AT_OUT_OF_RANGE", message);
    let time = event.occurred_at.ok_or_else(|| wrong("is required"))?;
    if !(0..1_000_000_000).contains(&time.nanos) {
        return Err(wrong("must have nanos in [0, 999999999]"));
    }
    let micros = time.seconds.saturating_mul(1_000_000).saturating_add(i64::from(time.nanos) / 1_000);
    if !(EARLIEST..=now.saturating_add(AHEAD)).contains(&micros) {
        return Err(wrong("must lie between 2000-01-01 and one day after the server's clock"));
    }
    Ok(micros)
}

fn nothing(event: &Event) -> Result<(), Flaw> {
    if event.value.is_some() || event.denominator.is_some() || !event.member.is_empty() {
        return Err(Flaw::new("value", "VALUE_NOT_EXPECTED", "a retraction carries no value, denominator or member"));
    }
    Ok(())
}

fn lateness(kpi: &Kpi) -> i64 {
    kpi.allowed_lateness
        .map_or(DEFAULT_LATENESS, |span| span.seconds.saturating_mul(1_000_000) + i64::from(span.nanos) / 1_000)
}

/// Checks a definition to be created or revised, and fills in what it left to the defaults.
///
/// # Errors
/// `InvalidArgument`, naming the field.
pub(crate) fn complete(mut kpi: Kpi) -> Result<Kpi> {
    let invalid = |field: &str, why: &str| Err(Error::invalid("KPI_INVALID", format!("kpi.{field}"), why));
    Calendar::new(&kpi.time_zone, "kpi.time_zone")?;
    if (kpi.unit() == Unit::Currency) == kpi.currency_code.is_empty() {
        return invalid("currency_code", "must be given exactly if the unit is CURRENCY");
    }
    if kpi.cadence() == Cadence::Unspecified {
        kpi.set_cadence(Cadence::Continuous);
    }
    let keys: BTreeSet<&str> = kpi.dimensions.iter().map(|dimension| dimension.key.as_str()).collect();
    if keys.len() != kpi.dimensions.len() {
        return invalid("dimensions", "must not name a key twice");
    }
    for dimension in &mut kpi.dimensions {
        if dimension.max_values == 0 {
            dimension.max_values = DEFAULT_CARDINALITY;
        }
    }
    if kpi.guards.contains(&kpi.name) {
        return invalid("guards", "must not name the KPI itself");
    }
    for guard in &kpi.guards {
        KpiName::parse(guard, "kpi.guards")?;
    }
    if kpi.kind() == Kind::Distribution {
        if kpi.edges.is_empty() {
            if !matches!(kpi.unit(), Unit::Proportion | Unit::Score) {
                return invalid("edges", "must be given for a DISTRIBUTION that is no proportion or score");
            }
            kpi.edges = Edges::score().as_slice().to_vec();
        }
        if let Err(error) = Edges::new(kpi.edges.clone()) {
            return invalid("edges", &error.to_string());
        }
    } else if !kpi.edges.is_empty() {
        return invalid("edges", "are only for a DISTRIBUTION");
    }
    if matches!(kpi.kind(), Kind::Percentile | Kind::Distribution) {
        if kpi.percentiles.is_empty() {
            kpi.percentiles = vec![0.5, 0.95, 0.99];
        }
    } else if !kpi.percentiles.is_empty() {
        return invalid("percentiles", "are only for a PERCENTILE or DISTRIBUTION");
    }
    if matches!(kpi.kind(), Kind::Count | Kind::Distinct) && kpi.unit() != Unit::Count {
        return invalid("unit", "must be COUNT for a KPI that counts");
    }
    let proportion = kpi.kind() == Kind::Ratio && kpi.unit() == Unit::Proportion;
    match (proportion, kpi.trials()) {
        (true, Trials::Unspecified) => kpi.set_trials(Trials::Independent),
        (false, Trials::Independent | Trials::Dependent) => {
            return invalid("trials", "are only for a RATIO of unit PROPORTION");
        }
        _ => {}
    }
    check_aims(&kpi)?;
    check_drift(&kpi)?;
    check_thresholds(&kpi)?;
    if kpi.allowed_lateness.is_none() {
        kpi.allowed_lateness = Some(prost_types::Duration { seconds: DEFAULT_LATENESS / 1_000_000, nanos: 0 });
    }
    Ok(kpi)
}

/// Refuses an aim that no value of the unit can reach, such as 85 for a share.
fn check_aims(kpi: &Kpi) -> Result<()> {
    let share = matches!(kpi.unit(), Unit::Proportion | Unit::Score);
    let thresholds = kpi.thresholds.unwrap_or_default();
    let aims = [("target", kpi.target), ("thresholds", thresholds.warning), ("thresholds", thresholds.breach)];
    for (field, aim) in aims {
        if let Some(aim) = aim.filter(|aim| share && !(0.0..=1.0).contains(aim)) {
            let why = format!("must lie in [0, 1]: give a share as {}, not as {aim} percent", aim / 100.0);
            return Err(Error::invalid("KPI_INVALID", format!("kpi.{field}"), why));
        }
    }
    Ok(())
}

/// Refuses settings of drift where nothing can drift, and limits out of order.
fn check_drift(kpi: &Kpi) -> Result<()> {
    let Some(drift) = &kpi.drift else { return Ok(()) };
    let invalid = |field: &str, why: &str| Err(Error::invalid("KPI_INVALID", format!("kpi.{field}"), why));
    if kpi.kind() != Kind::Distribution {
        return invalid("drift", "is only for a DISTRIBUTION");
    }
    match drift::thresholds(Some(drift)).checked() {
        Ok(_) => Ok(()),
        Err(error) => invalid("drift.significant", &error.to_string()),
    }
}

fn check_thresholds(kpi: &Kpi) -> Result<()> {
    let Some(thresholds) = &kpi.thresholds else { return Ok(()) };
    let invalid = |why: &str| Err(Error::invalid("KPI_INVALID", "kpi.thresholds", why));
    if kpi.direction() == Direction::Neutral && (thresholds.warning.is_some() || thresholds.breach.is_some()) {
        return invalid("need a direction: use an alert rule for a KPI without one");
    }
    match (thresholds.warning, thresholds.breach, kpi.direction()) {
        (Some(warning), Some(breach), Direction::HigherIsBetter) if breach > warning => {
            invalid("breach must not be above warning where higher is better")
        }
        (Some(warning), Some(breach), Direction::LowerIsBetter) if breach < warning => {
            invalid("breach must not be below warning where lower is better")
        }
        _ => Ok(()),
    }
}

/// The definition `current` with the fields that `mask` names taken from `wanted`, `None` if it stays as it is. What
/// never changes is not looked at.
///
/// # Errors
/// `InvalidArgument` (`KPI_DIMENSION_FIXED`, `UPDATE_MASK_INVALID`, or as [`complete`]), naming the field.
pub(crate) fn revise(current: &Kpi, wanted: &Kpi, mask: Option<&FieldMask>) -> Result<Option<Kpi>> {
    // What an organisation settles before the first event must be asked for by name: whoever sends a whole definition
    // back means nothing by it.
    let named = |field: &str| mask.is_some_and(|mask| mask.paths.iter().any(|path| path == field));
    let mut wanted = wanted.clone();
    if !named("time_zone") {
        wanted.time_zone.clone_from(&current.time_zone);
    }
    if !named("currency_code") {
        wanted.currency_code.clone_from(&current.currency_code);
    }
    if !named("week_start") {
        wanted.week_start = current.week_start;
    }
    if !named("fiscal_year_start_month") {
        wanted.fiscal_year_start_month = current.fiscal_year_start_month;
    }
    let Some(next) = mask::update(current, &wanted, mask)? else { return Ok(None) };
    for before in &current.dimensions {
        let after = next.dimensions.iter().find(|after| after.key == before.key);
        if after.is_none_or(|after| after.max_values != 0 && after.max_values < before.max_values) {
            let why = format!("{} must stay, with at least {} values: history uses it", before.key, before.max_values);
            return Err(Error::invalid("KPI_DIMENSION_FIXED", "kpi.dimensions", why));
        }
    }
    let next = complete(next)?;
    Ok((next != *current).then_some(next))
}

pub(crate) mod drift;
#[cfg(test)]
mod tests;
