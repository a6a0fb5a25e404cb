//! Experiments: registered before they start, looked at once, at their horizon (A20).

use super::Service;
use super::comparisons::{Change, DEFAULT_ALPHA, interval, test};
use super::query::{self, Cell, Question, count};
use crate::calendar::{QUARTER_HOUR, Span};
use crate::definition::Definition;
use crate::dimensions::{Dimensions, Filter};
use crate::store::experiments::Experiments;
use crate::store::kpis::definition;
use crate::summary::Summary;
use remit_api::kpi::v1::{
    ArmResult, CancelExperimentRequest, ChangeVerdict, CompareExperimentRequest, CompareExperimentResponse,
    CreateExperimentRequest, Experiment, ExperimentState, GetExperimentRequest, Kind, ListExperimentsRequest,
    ListExperimentsResponse, StoppingRule,
};
use remit_api::types::TimeRange;
use remit_api::wire::{self, range, time::stamp};
use remit_core::details::{Details as _, ExperimentRegistered};
use remit_core::name::{self, ExperimentName};
use remit_core::{Error, Result};
use remit_drift::holm;
use remit_runtime::Cx;
use remit_store::Records as _;

impl Service {
    /// Registers an experiment.
    ///
    /// # Errors
    /// `AlreadyExists` (`EXPERIMENT_EXISTS`), `FailedPrecondition` (`KIND_WRONG`), `NotFound`
    /// (`KPI_NOT_FOUND`), `InvalidArgument` naming the field.
    pub(crate) async fn create_experiment(&self, cx: &Cx, request: CreateExperimentRequest) -> Result<Experiment> {
        let name = ExperimentName::new(name::id(&request.experiment_id, "experiment_id")?).to_string();
        let wanted = request.experiment.clone().unwrap_or_default();
        let creator = cx.actor.subject.clone();
        let mut experiment = Experiment { name, creator, cancel_reason: String::new(), ..wanted };
        experiment.set_stopping_rule(StoppingRule::FixedHorizon);
        if experiment.alpha == 0.0 {
            experiment.alpha = DEFAULT_ALPHA;
        }
        self.mutate(cx, &request, async |m| {
            let metric = definition(m.tx(), &cx.tenant, &experiment.metric, "experiment.metric").await?;
            let span = check(&experiment, &metric)?;
            experiment.retrospective = span.start < m.now().0;
            experiment.create_time = Some(stamp(m.now()));
            Experiments::insert(m, &mut experiment).await?;
            m.record(&experiment.name, |event| {
                event.after_digest = wire::digest(&experiment);
                event.details = ExperimentRegistered {
                    metric: experiment.metric.clone(),
                    alpha: experiment.alpha,
                    min_n_per_arm: experiment.min_n_per_arm,
                    retrospective: experiment.retrospective,
                }
                .json();
            });
            Ok(experiment)
        })
        .await
    }

    /// Returns an experiment.
    ///
    /// # Errors
    /// `NotFound` (`EXPERIMENT_NOT_FOUND`), `InvalidArgument` (`NAME_INVALID`).
    pub(crate) async fn get_experiment(&self, cx: &Cx, request: GetExperimentRequest) -> Result<Experiment> {
        ExperimentName::parse(&request.name, "name")?;
        Experiments::get(&mut self.read(cx).await?, &cx.tenant, &request.name).await
    }

    /// Lists experiments by name.
    ///
    /// # Errors
    /// `InvalidArgument` (`PAGE_TOKEN_INVALID`).
    pub(crate) async fn list_experiments(
        &self,
        cx: &Cx,
        request: ListExperimentsRequest,
    ) -> Result<ListExperimentsResponse> {
        self.ready(&cx.tenant).await?;
        let (experiments, next_page_token) = Experiments::list(&self.db, &cx.tenant, cx.page(&request)).await?;
        Ok(ListExperimentsResponse { experiments, next_page_token })
    }

    /// Gives up an experiment before its end.
    ///
    /// # Errors
    /// `NotFound` (`EXPERIMENT_NOT_FOUND`), `FailedPrecondition` (`EXPERIMENT_CANCELLED`,
    /// `EXPERIMENT_CONCLUDED`), `InvalidArgument` (`NAME_INVALID`).
    pub(crate) async fn cancel_experiment(&self, cx: &Cx, request: CancelExperimentRequest) -> Result<Experiment> {
        ExperimentName::parse(&request.name, "name")?;
        self.mutate(cx, &request, async |m| {
            let current = Experiments::claim(m, &request.name).await?;
            match state(&current, m.now().0)? {
                ExperimentState::Cancelled => {
                    let message = format!("{} is cancelled", request.name);
                    return Err(Error::precondition("EXPERIMENT_CANCELLED", message));
                }
                ExperimentState::Concluded => {
                    let message = format!("{} has reached its horizon: its result stands", request.name);
                    return Err(Error::precondition("EXPERIMENT_CONCLUDED", message));
                }
                ExperimentState::Scheduled | ExperimentState::Running | ExperimentState::Unspecified => {}
            }
            let mut next = Experiment { cancel_reason: request.reason.clone(), ..current.clone() };
            Experiments::save(m, &mut next).await?;
            m.record(&next.name, |event| {
                event.reason.clone_from(&request.reason);
                event.before_digest = wire::digest(&current);
                event.after_digest = wire::digest(&next);
            });
            Ok(next)
        })
        .await
    }

    /// Returns what an experiment found; before its horizon only how many events each arm has.
    ///
    /// # Errors
    /// `NotFound` (`EXPERIMENT_NOT_FOUND`), `InvalidArgument` (`NAME_INVALID`).
    pub(crate) async fn compare_experiment(
        &self,
        cx: &Cx,
        request: CompareExperimentRequest,
    ) -> Result<CompareExperimentResponse> {
        ExperimentName::parse(&request.name, "name")?;
        let mut tx = self.snapshot(cx).await?;
        let experiment = Experiments::get(&mut tx, &cx.tenant, &request.name).await?;
        let metric = definition(&mut tx, &cx.tenant, &experiment.metric, "metric").await?;
        let now = self.db.now().0;
        let question = Question {
            span: check(&experiment, &metric)?,
            granularity: None,
            group_by: vec![experiment.arm_dimension.clone()],
            filter: Filter::parse(&experiment.filter, &metric.keys, "filter")?,
        };
        let cells = query::cells(&mut tx, &cx.tenant, &metric, &question).await?;
        let arm = |value: &str| {
            let group = Dimensions::from([(experiment.arm_dimension.clone(), value.to_owned())]);
            cells.iter().find(|cell| cell.group == group).cloned().unwrap_or_else(|| Cell {
                span: question.span,
                group,
                summary: Summary::new(metric.shape()),
                distinct: 0,
            })
        };
        let control = arm(&experiment.control);
        let treatments: Vec<Cell> = experiment.treatments.iter().map(|value| arm(value)).collect();
        let state = state(&experiment, now)?;
        let arms = if state == ExperimentState::Concluded {
            results(&experiment, &metric, &control, &treatments, now)
        } else {
            let names = std::iter::once(&experiment.control).chain(&experiment.treatments);
            let n = std::iter::once(&control).chain(&treatments).map(|cell| count(cell.summary.n()));
            names.zip(n).map(|(arm, n)| ArmResult { arm: arm.clone(), n, ..ArmResult::default() }).collect()
        };
        Ok(CompareExperimentResponse { experiment: Some(experiment), state: state.into(), arms })
    }
}

/// Checks an experiment against its metric and returns the span whose events count.
fn check(experiment: &Experiment, metric: &Definition) -> Result<Span> {
    let invalid =
        |field: &str, why: &str| Err(Error::invalid("EXPERIMENT_INVALID", format!("experiment.{field}"), why));
    if metric.kind != Kind::Mean && !metric.is_proportion() {
        let message = format!("{} is neither a proportion nor a mean: no test compares its arms", metric.kpi.name);
        return Err(Error::precondition("KIND_WRONG", message));
    }
    if !metric.keys.contains(&experiment.arm_dimension) {
        return invalid("arm_dimension", "must be a dimension of the metric");
    }
    if experiment.treatments.contains(&experiment.control) {
        return invalid("treatments", "must not name the control");
    }
    Filter::parse(&experiment.filter, &metric.keys, "experiment.filter")?;
    let span = span(experiment)?;
    if span.start.rem_euclid(QUARTER_HOUR) != 0 || span.end.rem_euclid(QUARTER_HOUR) != 0 {
        return invalid("start_time", "and end_time must be full quarter hours");
    }
    Ok(span)
}

/// The time between start and horizon.
fn span(experiment: &Experiment) -> Result<Span> {
    let range = TimeRange { start_time: experiment.start_time, end_time: experiment.end_time };
    range::closed(Some(&range), "experiment").map(Span::from)
}

fn state(experiment: &Experiment, now: i64) -> Result<ExperimentState> {
    let span = span(experiment)?;
    Ok(if !experiment.cancel_reason.is_empty() {
        ExperimentState::Cancelled
    } else if now < span.start {
        ExperimentState::Scheduled
    } else if now < span.end {
        ExperimentState::Running
    } else {
        ExperimentState::Concluded
    })
}

fn results(
    experiment: &Experiment,
    metric: &Definition,
    control: &Cell,
    treatments: &[Cell],
    now: i64,
) -> Vec<ArmResult> {
    let enough = |cell: &Cell| count(cell.summary.n()) >= experiment.min_n_per_arm.max(2);
    let changes: Vec<Change> =
        treatments.iter().map(|cell| Change::of(metric, cell, control, experiment.alpha)).collect();
    // Arms that cannot be judged still count as tests: dropping them would loosen the bound.
    let p_values: Vec<f64> =
        changes.iter().map(|change| change.tested.as_ref().map_or(1.0, |tested| tested.test.p_value)).collect();
    let adjusted = holm(&p_values);
    let base = |name: &str, cell: &Cell| ArmResult {
        arm: name.to_owned(),
        n: count(cell.summary.n()),
        rollup: Some(cell.rollup(metric, now)),
        ..ArmResult::default()
    };
    let mut arms = vec![base(&experiment.control, control)];
    for (((name, cell), change), adjusted) in experiment.treatments.iter().zip(treatments).zip(changes).zip(adjusted) {
        let mut arm = base(name, cell);
        if !enough(cell) || !enough(control) {
            arm.set_verdict(ChangeVerdict::InsufficientData);
            arms.push(arm);
            continue;
        }
        arm.difference = change.difference;
        arm.lift = change.relative;
        arm.difference_interval = change.tested.as_ref().map(interval);
        arm.test = change.tested.as_ref().map(|tested| test(&tested.test));
        arm.adjusted_p_value = change.tested.as_ref().map(|_| adjusted);
        arm.set_verdict(change.verdict(metric, change.tested.as_ref().map(|_| adjusted), experiment.alpha));
        arms.push(arm);
    }
    arms
}
