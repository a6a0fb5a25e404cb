//! Scores of models against their outcomes, each version by itself.

use super::Service;
use super::comparisons::{test, worded};
use super::query::{self, Cell, Question, count};
use crate::definition::Definition;
use crate::dimensions::Dimensions;
use crate::store::kpis::definition;
use crate::summary::Shape;
use remit_api::kpi::v1::{
    AssessCalibrationRequest, AssessCalibrationResponse, Granularity, Interval, Kind, ModelCalibration, ReliabilityBin,
    Unit,
};
use remit_api::wire::range;
use remit_core::{Error, Result};
use remit_drift::{
    Calibration, CalibrationLimits, Histogram, Moments, Reliability, Sample, Scored, calibration, wilson,
};
use remit_runtime::Cx;
use std::collections::BTreeMap;

/// The dimension that names the model version of a score.
const VERSION: &str = "model_version";
/// The dimension that says whether the outcome came.
const OUTCOME: &str = "outcome";
/// The level of the intervals that are shown.
const LEVEL: f64 = 0.95;

/// What is known of one version: the scores of those whose outcome came, and of those whose did not.
struct Outcomes {
    came: (Histogram, Moments),
    stayed: (Histogram, Moments),
}

impl Outcomes {
    fn new(definition: &Definition) -> Self {
        let none = || (Histogram::new(definition.edges.clone()), Moments::default());
        Self { came: none(), stayed: none() }
    }

    fn assess(&self) -> Option<Calibration> {
        let (came, stayed) = (&self.came, &self.stayed);
        calibration(
            Scored { histogram: &came.0, moments: &came.1 },
            Scored { histogram: &stayed.0, moments: &stayed.1 },
        )
    }
}

impl Service {
    /// Holds the scores of models against their outcomes.
    ///
    /// # Errors
    /// `NotFound` (`KPI_NOT_FOUND`), `FailedPrecondition` (`KIND_WRONG`), `InvalidArgument` naming the field.
    pub(crate) async fn assess_calibration(
        &self,
        cx: &Cx,
        request: AssessCalibrationRequest,
    ) -> Result<AssessCalibrationResponse> {
        let span = range::closed(request.range.as_ref(), "range")?.into();
        let mut tx = self.snapshot(cx).await?;
        let definition = definition(&mut tx, &cx.tenant, &request.kpi, "kpi").await?;
        let has = |key: &str| definition.keys.iter().any(|known| known == key);
        let of_scores =
            definition.kind == Kind::Distribution && matches!(definition.unit, Unit::Score | Unit::Proportion);
        if !(of_scores && has(VERSION) && has(OUTCOME)) {
            let message = format!(
                "{} is not a DISTRIBUTION of scores with the dimensions {VERSION} and {OUTCOME}: record each score in one \
                 once its outcome is known",
                definition.kpi.name
            );
            return Err(Error::precondition("KIND_WRONG", message));
        }
        let by = [VERSION, OUTCOME].map(str::to_owned);
        let question = Question::periods(&definition, span, Granularity::Unspecified, &by, &request.filter)?;
        let mut response = AssessCalibrationResponse::default();
        let mut versions: BTreeMap<String, Outcomes> = BTreeMap::new();
        for cell in query::cells(&mut tx, &cx.tenant, &definition, &question).await? {
            response.unknown_outcome_count += gather(&definition, &mut versions, cell);
        }
        response.models = versions.into_iter().map(|(version, outcomes)| assessed(version, &outcomes)).collect();
        Ok(response)
    }
}

/// Adds the scores of a version and outcome; returns how many have none that is known.
fn gather(definition: &Definition, versions: &mut BTreeMap<String, Outcomes>, cell: Cell) -> i64 {
    let value = |group: &Dimensions, key: &str| group.get(key).cloned().unwrap_or_default();
    let Shape::Histogram(histogram) = &cell.summary.shape else { return 0 };
    if histogram.n() == 0 {
        return 0;
    }
    let came = match value(&cell.group, OUTCOME).as_str() {
        "1" => true,
        "0" => false,
        _ => return count(cell.summary.n()),
    };
    let outcomes = versions.entry(value(&cell.group, VERSION)).or_insert_with(|| Outcomes::new(definition));
    let (all, moments) = if came { &mut outcomes.came } else { &mut outcomes.stayed };
    // Both have the edges of the definition.
    if all.merge(histogram) {
        moments.merge(&cell.summary.moments);
    }
    0
}

fn assessed(model_version: String, outcomes: &Outcomes) -> ModelCalibration {
    let found = outcomes.assess();
    let (verdict, p_value) = CalibrationLimits::default().judge(found.as_ref());
    let mut shown = ModelCalibration { model_version, verdict: worded(verdict).into(), p_value, ..Default::default() };
    let Some(found) = found else { return shown };
    let interval =
        |found: remit_drift::Interval| Interval { lower: found.lower, upper: found.upper, level: found.level };
    let bin = |bin: &Reliability| ReliabilityBin {
        n: count(bin.n),
        promised: bin.promised,
        came: bin.came,
        interval: wilson(Sample { successes: (bin.came * bin.n as f64).round(), trials: bin.n as f64 }, LEVEL)
            .map(interval),
    };
    shown.n = count(found.n);
    shown.positive_count = count(found.positives);
    shown.brier_score = Some(found.brier);
    shown.log_loss = Some(found.log_loss);
    shown.ece = Some(found.ece);
    shown.ece_expected = Some(found.ece_expected);
    shown.auc = found.auc;
    shown.auc_interval = found.auc_interval.map(interval);
    shown.fit = Some(test(&found.fit));
    shown.inverted = found.inverted.as_ref().map(test);
    shown.reliability_bins = found.bins.iter().map(bin).collect();
    shown
}
