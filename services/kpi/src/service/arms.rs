//! What each arm of an experiment brought, by what was randomised, and what may be concluded from it.

use super::comparisons::{Change, interval, test};
use super::query::{Cell, count};
use crate::calendar::{Late, Lookup, Span};
use crate::definition::Definition;
use crate::dimensions::{self, Dimensions, Filter};
use crate::store::events::{self, Recorded};
use crate::summary::Summary;
use remit_api::kpi::v1::{ArmResult, ChangeVerdict, Experiment, ExperimentUnit, Kind, StoppingRule};
use remit_api::wire::time;
use remit_core::{Result, Tenant};
use remit_drift::{Covaried, Sample, Tested, Units, adjusted, anytime, proportions, ratios, sample_ratio};
use remit_store::Tx;
use std::collections::HashMap;

/// The p value of the sizes of arms below which they are not as planned: an experiment in a thousand without a fault, as
/// is usual for this check, since each look at a result takes it.
const MISMATCH: f64 = 0.001;
/// The least units in an arm for a test that relies on means being nearly normal.
const LEAST_FOR_MEANS: u64 = 30;
/// One in millionths.
const ONE: i128 = 1_000_000;

/// One arm.
#[derive(Debug, Clone)]
pub(crate) struct Arm {
    name: String,
    group: Dimensions,
    covaried: Covaried,
    summary: Summary,
}

/// The arms of an experiment, the control first.
#[derive(Debug)]
pub(crate) struct Arms {
    unit: ExperimentUnit,
    arms: Vec<Arm>,
    /// Events that name no member where members were randomised.
    pub(crate) unit_missing: u64,
    /// Members that were in more than one arm.
    pub(crate) crossed: u64,
}

/// The arms as they were when the result was frozen, and as they are by what was recorded until now.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) frozen: Arms,
    pub(crate) now: Arms,
}

/// Reads the events of an experiment once and sums them up as of `frozen_at` and as of now.
///
/// # Errors
/// As the database says.
pub(crate) async fn read(
    tx: &mut Tx,
    tenant: &Tenant,
    experiment: &Experiment,
    metric: &Definition,
    (span, frozen_at): (Span, i64),
) -> Result<Found> {
    let filter = Filter::parse(&experiment.filter, &metric.keys, "filter")?;
    let (mut frozen, mut now) = (Gather::new(experiment, metric), Gather::new(experiment, metric));
    let mut lookup = Lookup::new(&metric.calendar);
    let mut series: HashMap<i64, Option<usize>> = HashMap::new();
    events::scan(tx, tenant, &metric.id, span, |recorded| {
        let arm = match series.get(&recorded.series_id) {
            Some(arm) => *arm,
            None => {
                let all = dimensions::parse(&recorded.event.dimensions)?;
                let arm = filter.passes(&all).then(|| frozen.position(experiment, &all)).flatten();
                series.insert(recorded.series_id, arm);
                arm
            }
        };
        let Some(arm) = arm.filter(|_| !recorded.event.retract) else { return Ok(()) };
        let late = lookup.late(recorded.event.occurred_at, recorded.recorded_at, metric.lateness);
        let corrected_at = recorded.corrected.as_ref().map_or(i64::MAX, |(_, at)| *at);
        if recorded.recorded_at < frozen_at && corrected_at >= frozen_at {
            frozen.add(arm, &recorded, late);
        }
        if corrected_at == i64::MAX {
            now.add(arm, &recorded, late);
        }
        Ok(())
    })
    .await?;
    if let Some(since) = &experiment.covariate_start_time {
        let before = Span { start: time::of(since).0, end: span.start };
        let mut passing: HashMap<i64, bool> = HashMap::new();
        events::scan(tx, tenant, &metric.id, before, |recorded| {
            let passes = match passing.get(&recorded.series_id) {
                Some(passes) => *passes,
                None => filter.passes(&dimensions::parse(&recorded.event.dimensions)?),
            };
            passing.insert(recorded.series_id, passes);
            if !passes || recorded.event.retract {
                return Ok(());
            }
            let corrected_at = recorded.corrected.as_ref().map_or(i64::MAX, |(_, at)| *at);
            if recorded.recorded_at < frozen_at && corrected_at >= frozen_at {
                frozen.add_before(&recorded);
            }
            if corrected_at == i64::MAX {
                now.add_before(&recorded);
            }
            Ok(())
        })
        .await?;
    }
    Ok(Found { frozen: frozen.arms(), now: now.arms() })
}

/// Sums events up by unit.
struct Gather {
    found: Arms,
    kind: Kind,
    /// What each member brought, by the start of its digest, arm by arm.
    members: Vec<HashMap<u128, (i128, i128)>>,
    /// What each member brought before the experiment.
    before: HashMap<u128, i128>,
}

impl Gather {
    fn new(experiment: &Experiment, metric: &Definition) -> Self {
        let names = std::iter::once(&experiment.control).chain(&experiment.treatments);
        let arms: Vec<Arm> = names
            .map(|name| Arm {
                name: name.clone(),
                group: Dimensions::from([(experiment.arm_dimension.clone(), name.clone())]),
                covaried: Covaried::default(),
                summary: Summary::new(metric.shape()),
            })
            .collect();
        let members = arms.iter().map(|_| HashMap::new()).collect();
        let found = Arms { unit: experiment.unit(), arms, unit_missing: 0, crossed: 0 };
        Self { found, kind: metric.kind, members, before: HashMap::new() }
    }

    fn position(&self, experiment: &Experiment, dimensions: &Dimensions) -> Option<usize> {
        let value = dimensions.get(&experiment.arm_dimension)?;
        self.found.arms.iter().position(|arm| arm.name == *value)
    }

    fn add(&mut self, at: usize, recorded: &Recorded, late: Late) {
        let Some(arm) = self.found.arms.get_mut(at) else { return };
        let counted = recorded.counted();
        arm.summary.add(&counted, late);
        let denominator = if self.kind == Kind::Ratio { i128::from(counted.denominator) } else { ONE };
        if self.found.unit != ExperimentUnit::Member {
            arm.covaried.add(i128::from(counted.value), denominator, 0);
            return;
        }
        let member = recorded.event.member.as_deref().and_then(member);
        match member.zip(self.members.get_mut(at)) {
            Some((member, members)) => {
                let sums = members.entry(member).or_default();
                *sums = (sums.0 + i128::from(counted.value), sums.1 + denominator);
            }
            None => self.found.unit_missing += 1,
        }
    }

    /// Counts what a member brought before; an event without one is nobody's.
    fn add_before(&mut self, recorded: &Recorded) {
        if let Some(member) = recorded.event.member.as_deref().and_then(member) {
            *self.before.entry(member).or_default() += i128::from(recorded.counted().value);
        }
    }

    /// The arms; who was in several counts in none.
    fn arms(self) -> Arms {
        let Self { mut found, members, before, .. } = self;
        let mut seen: HashMap<u128, usize> = HashMap::new();
        for member in members.iter().flat_map(HashMap::keys) {
            *seen.entry(*member).or_default() += 1;
        }
        found.crossed = seen.values().filter(|arms| **arms > 1).count() as u64;
        for (arm, members) in found.arms.iter_mut().zip(members) {
            for (member, (numerator, denominator)) in members {
                if seen.get(&member) == Some(&1) {
                    arm.covaried.add(numerator, denominator, before.get(&member).copied().unwrap_or(0));
                }
            }
        }
        found
    }
}

/// The first 128 bits of a digest: enough to tell members apart, and a quarter of the memory.
fn member(digest: &str) -> Option<u128> {
    digest.rsplit(':').next().and_then(|hex| hex.get(..32)).and_then(|hex| u128::from_str_radix(hex, 16).ok())
}

impl Arm {
    fn units(&self) -> &Units {
        &self.covaried.units
    }

    fn trials(&self, unit: ExperimentUnit) -> Option<Sample> {
        if unit == ExperimentUnit::Trial { Some(self.summary.sample()) } else { self.units().trials() }
    }

    /// The number of units.
    fn n(&self, unit: ExperimentUnit) -> u64 {
        if unit == ExperimentUnit::Trial { self.summary.trials() } else { self.units().n }
    }

    fn value(&self, unit: ExperimentUnit) -> Option<f64> {
        if unit != ExperimentUnit::Trial {
            return self.units().ratio();
        }
        let summed = self.summary.sample();
        (summed.trials > 0.0).then(|| summed.share())
    }
}

/// How an experiment is judged.
#[derive(Clone, Copy)]
pub(crate) struct Judged<'a> {
    pub(crate) experiment: &'a Experiment,
    pub(crate) metric: &'a Definition,
    pub(crate) span: Span,
    pub(crate) now: i64,
}

impl Arms {
    /// How many units each arm has, and nothing else.
    pub(crate) fn sizes(&self) -> Vec<ArmResult> {
        let size = |arm: &Arm| ArmResult { arm: arm.name.clone(), n: count(arm.n(self.unit)), ..ArmResult::default() };
        self.arms.iter().map(size).collect()
    }

    /// The p value of the sizes of the arms under the planned split.
    pub(crate) fn sample_ratio(&self, experiment: &Experiment) -> Option<f64> {
        let sizes: Vec<u64> = self.arms.iter().map(|arm| arm.n(self.unit)).collect();
        let equal = vec![1.0; sizes.len()];
        sample_ratio(&sizes, if experiment.planned_shares.is_empty() { &equal } else { &experiment.planned_shares })
    }

    /// What the arms add up to, without a verdict.
    pub(crate) fn shown(&self, judged: &Judged<'_>) -> Vec<ArmResult> {
        let Some(control) = self.arms.first() else { return Vec::new() };
        let mut shown = self.sizes();
        for (result, arm) in shown.iter_mut().zip(&self.arms) {
            let (span, group, summary) = (judged.span, arm.group.clone(), arm.summary.clone());
            result.rollup = Some(Cell { span, group, summary, distinct: 0 }.rollup(judged.metric, judged.now));
            if arm.name != control.name {
                let change = self.change(arm, control, None);
                (result.difference, result.lift) = (change.difference, change.relative);
            }
        }
        shown
    }

    /// The p value of each treatment against the control. One that cannot be judged counts as a test all the same, with 1:
    /// dropping it would loosen the bound.
    pub(crate) fn p_values(&self, judged: &Judged<'_>) -> Vec<f64> {
        let Some((control, treatments)) = self.arms.split_first() else { return Vec::new() };
        let p_value = |arm| {
            let tested = self.tested(arm, control, judged.experiment, judged.experiment.alpha);
            tested.map_or(1.0, |tested| tested.test.p_value)
        };
        treatments.iter().map(p_value).collect()
    }

    /// Adds tests against the control and verdicts to what the arms were [shown](Self::shown) to add up to. `p_values` are
    /// [those](Self::p_values) of the treatments, each with what it becomes among all that are judged together.
    pub(crate) fn judge(
        &self,
        mut results: Vec<ArmResult>,
        judged: &Judged<'_>,
        p_values: &[(f64, f64)],
    ) -> Vec<ArmResult> {
        let Some((control, treatments)) = self.arms.split_first() else { return results };
        let alpha = judged.experiment.alpha;
        let withheld = self.withheld(judged);
        for ((result, arm), (p_value, adjusted)) in results.iter_mut().skip(1).zip(treatments).zip(p_values) {
            // The level at which the adjusted p value would just be alpha: interval and verdict then agree.
            let level = if *adjusted > 0.0 { alpha * p_value / adjusted } else { alpha / p_values.len() as f64 };
            let least = u64::try_from(judged.experiment.min_n_per_arm).unwrap_or(u64::MAX);
            let enough = [arm, control].iter().all(|arm| arm.n(self.unit) >= least);
            let tested = self.tested(arm, control, judged.experiment, level).filter(|_| enough);
            let covaried = judged.experiment.covariate_start_time.is_some();
            result.adjusted_difference = tested.as_ref().filter(|_| covaried).map(|tested| tested.difference);
            result.difference_interval = tested.as_ref().map(interval);
            result.test = tested.as_ref().map(|tested| test(&tested.test));
            result.adjusted_p_value = tested.as_ref().map(|_| *adjusted);
            result.set_verdict(match (withheld, tested) {
                (Some(withheld), _) => withheld,
                (None, None) => ChangeVerdict::InsufficientData,
                (None, Some(tested)) => {
                    // The side is that of the difference which was tested.
                    let difference = Some(tested.difference);
                    let change = Change { difference, ..self.change(arm, control, Some(tested)) };
                    change.verdict(judged.metric, Some(*adjusted), alpha)
                }
            });
        }
        results
    }

    /// Why nothing may be concluded, if so.
    fn withheld(&self, judged: &Judged<'_>) -> Option<ChangeVerdict> {
        if judged.experiment.retrospective {
            return Some(ChangeVerdict::Exploratory);
        }
        if self.unit_missing > 0 {
            return Some(ChangeVerdict::UnitMissing);
        }
        let mismatch = self.sample_ratio(judged.experiment).is_some_and(|p_value| p_value < MISMATCH);
        mismatch.then_some(ChangeVerdict::SampleRatioMismatch)
    }

    fn tested(&self, arm: &Arm, control: &Arm, experiment: &Experiment, alpha: f64) -> Option<Tested> {
        if experiment.stopping_rule() == StoppingRule::Anytime {
            // Narrowest at the least n, of both arms together.
            return anytime(arm.units(), control.units(), 2.0 * experiment.min_n_per_arm as f64, alpha);
        }
        if experiment.covariate_start_time.is_some() {
            let enough = arm.units().n >= LEAST_FOR_MEANS && control.units().n >= LEAST_FOR_MEANS;
            return adjusted(&arm.covaried, &control.covaried, alpha).filter(|_| enough);
        }
        if let Some((arm, control)) = arm.trials(self.unit).zip(control.trials(self.unit)) {
            return proportions(arm, control, alpha);
        }
        let enough = arm.units().n >= LEAST_FOR_MEANS && control.units().n >= LEAST_FOR_MEANS;
        ratios(arm.units(), control.units(), alpha).filter(|_| enough)
    }

    fn change(&self, arm: &Arm, control: &Arm, tested: Option<Tested>) -> Change {
        Change::between(arm.value(self.unit), control.value(self.unit), tested)
    }
}
