//! The definitions and alert rules that ship with the software: the KPIs of a marketing organisation in
//! three layers (S45 to S55, A16, A17), the drift signals (R16), and the alerts that watch for winning the
//! dashboard while losing the market.

mod market;
mod operational;
mod rules;

pub(crate) use rules::alert_rules;

use crate::definition::complete;
use remit_api::kpi::v1::drift_settings::Worse;
use remit_api::kpi::v1::{
    Cadence, Dimension, Direction, DriftSettings, Kind, Kpi, KpiState, Layer, Thresholds, Trials, Unit,
};
use remit_api::wire::time::stamp;
use remit_core::name::KpiName;
use remit_core::{Result, Timestamp};

use Cadence::{Continuous, Monthly, Quarterly, Weekly};
use Direction::{HigherIsBetter as Higher, LowerIsBetter as Lower, Neutral};
use Kind::{Count, Distinct, Distribution, Mean, Percentile, Ratio, Sum};
use Layer::{Execution, Operational, Strategic};
use Unit::{Currency, Index, Proportion, Score, Seconds};

/// The currency of those in money, until the organisation says another.
pub(crate) const CURRENCY: &str = "USD";

/// One shipped definition: id, name for people, what is measured.
type Text = (&'static str, &'static str, &'static str);

struct Seed {
    text: Text,
    layer: Layer,
    kind: Kind,
    unit: Unit,
    direction: Direction,
    cadence: Cadence,
    dimensions: &'static [&'static str],
    required: &'static [&'static str],
    guards: &'static [&'static str],
    target: Option<f64>,
    warning: Option<f64>,
    breach: Option<f64>,
    derived: bool,
    trials: Trials,
    worse: Worse,
}

fn seed(text: Text, layer: Layer, kind: Kind, unit: Unit, direction: Direction) -> Seed {
    Seed {
        text,
        layer,
        kind,
        unit,
        direction,
        cadence: Continuous,
        dimensions: &[],
        required: &[],
        guards: &[],
        target: None,
        warning: None,
        breach: None,
        derived: false,
        trials: Trials::Unspecified,
        worse: Worse::Unspecified,
    }
}

impl Seed {
    fn by(mut self, dimensions: &'static [&'static str]) -> Self {
        self.dimensions = dimensions;
        self
    }

    fn with(mut self, required: &'static [&'static str]) -> Self {
        self.required = required;
        self
    }

    fn guarded(mut self, guards: &'static [&'static str]) -> Self {
        self.guards = guards;
        self
    }

    fn every(mut self, cadence: Cadence) -> Self {
        self.cadence = cadence;
        self
    }

    fn limits(mut self, target: f64, warning: f64, breach: f64) -> Self {
        (self.target, self.warning, self.breach) = (Some(target), Some(warning), Some(breach));
        self
    }

    /// The denominators measure something and are no trials.
    fn without_trials(mut self) -> Self {
        self.trials = Trials::Dependent;
        self
    }

    /// Only drift of this direction is bad.
    fn drifting(mut self, worse: Worse) -> Self {
        self.worse = worse;
        self
    }

    fn derived_from_log(mut self) -> Self {
        self.derived = true;
        self
    }

    fn kpi(self, now: Timestamp) -> Result<Kpi> {
        let (id, display_name, description) = self.text;
        let dimension = |key: &&str, required| Dimension { key: (*key).to_owned(), max_values: 0, required };
        let thresholds = Thresholds { warning: self.warning, breach: self.breach };
        let mut kpi = Kpi {
            name: KpiName::new(id).to_string(),
            version: 1,
            display_name: display_name.to_owned(),
            description: description.to_owned(),
            currency_code: if self.unit == Currency { CURRENCY.to_owned() } else { String::new() },
            target: self.target,
            thresholds: (self.warning.is_some() || self.breach.is_some()).then_some(thresholds),
            guards: self.guards.iter().map(|guard| KpiName::new(*guard).to_string()).collect(),
            dimensions: self
                .required
                .iter()
                .map(|key| dimension(key, true))
                .chain(self.dimensions.iter().map(|key| dimension(key, false)))
                .collect(),
            derived: self.derived,
            drift: (self.worse != Worse::Unspecified)
                .then(|| DriftSettings { worse: self.worse.into(), ..DriftSettings::default() }),
            create_time: Some(stamp(now)),
            update_time: Some(stamp(now)),
            ..Kpi::default()
        };
        kpi.set_layer(self.layer);
        kpi.set_kind(self.kind);
        kpi.set_unit(self.unit);
        kpi.set_direction(self.direction);
        kpi.set_cadence(self.cadence);
        kpi.set_trials(self.trials);
        kpi.set_state(KpiState::Active);
        complete(kpi)
    }
}

/// The shipped definitions.
///
/// # Errors
/// As [`complete`]; a test holds that there is none.
pub(crate) fn kpis(now: Timestamp) -> Result<Vec<Kpi>> {
    let seeds = [
        operational::operational(),
        operational::derived(),
        market::execution(),
        market::signals(),
        market::strategic(),
    ];
    seeds.into_iter().flatten().map(|seed| seed.kpi(now)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_shipped_definition_is_sound_and_every_guard_exists() {
        let all = kpis(Timestamp(1)).unwrap();
        let names: BTreeSet<&str> = all.iter().map(|kpi| kpi.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        for kpi in &all {
            assert!(!kpi.description.is_empty() && !kpi.display_name.is_empty(), "{}", kpi.name);
            assert!(kpi.guards.iter().all(|guard| names.contains(guard.as_str())), "{}", kpi.name);
        }
        for layer in [Operational, Execution, Strategic] {
            assert!(all.iter().any(|kpi| kpi.layer() == layer));
        }
        assert_eq!(all.iter().filter(|kpi| kpi.cadence() == Quarterly).count(), 3);
    }
}
