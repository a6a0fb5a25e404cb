//! Experiments: registered before they start, looked at once, at their horizon (A20).

use super::comparisons::{Change, DEFAULT_ALPHA, interval, test};
use super::query::{self, Cell, Question, count};
use super::{Kpis, micros, timestamp};
use crate::calendar::{QUARTER_HOUR, Span};
use crate::definition::Definition;
use crate::dimensions::{Dimensions, Filter};
use crate::store as sql;
use crate::store::experiments as store;
use crate::summary::Summary;
use prost::Message;
use remit_api::kpi::v1::{
    ArmResult, CancelExperimentRequest, ChangeVerdict, CompareExperimentRequest, CompareExperimentResponse,
    CreateExperimentRequest, Experiment, ExperimentState, GetExperimentRequest, Kind, ListExperimentsRequest,
    ListExperimentsResponse, StoppingRule,
};
use remit_core::{Error, Kind as ErrorKind, Result, Tenant, digest, name};
use remit_drift::holm;
use remit_runtime::{Started, begin, finish};
use remit_store::{Call, page};

impl Kpis {
    /// Registers an experiment.
    ///
    /// # Errors
    /// `AlreadyExists` (`EXPERIMENT_EXISTS`), `FailedPrecondition` (`KIND_WRONG`), `NotFound`
    /// (`KPI_UNKNOWN`), `InvalidArgument` naming the field.
    pub async fn create_experiment(&self, call: Call, request: CreateExperimentRequest) -> Result<Experiment> {
        self.ready(&call.tenant).await?;
        let mut mutation = match begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        let mut experiment = request.experiment.unwrap_or_default();
        let metric = self.definition(mutation.tx(), &tenant, &experiment.metric, "experiment.metric").await?;
        let span = check(&experiment, &metric)?;
        experiment.name = format!("experiments/{}", request.experiment_id);
        if experiment.alpha == 0.0 {
            experiment.alpha = DEFAULT_ALPHA;
        }
        experiment.set_stopping_rule(StoppingRule::FixedHorizon);
        experiment.retrospective = span.start < now.0;
        experiment.cancel_reason = String::new();
        experiment.creator.clone_from(&mutation.actor().subject);
        experiment.create_time = timestamp(now);
        experiment.etag = "r1".to_owned();
        if !store::insert(mutation.tx(), &tenant, &request.experiment_id, &experiment).await? {
            let message = format!("{} exists already", experiment.name);
            return Err(Error::new(ErrorKind::AlreadyExists, "EXPERIMENT_EXISTS", message));
        }
        let mut event = mutation.event("kpi.experiments.create", &experiment.name);
        event.after_digest = digest::sha256(&experiment.encode_to_vec());
        event.details = serde_json::json!({
            "metric": experiment.metric,
            "alpha": experiment.alpha,
            "min_n_per_arm": experiment.min_n_per_arm,
            "retrospective": experiment.retrospective,
        });
        mutation.record(event);
        finish(mutation, experiment).await
    }

    /// Returns an experiment.
    ///
    /// # Errors
    /// `NotFound` (`EXPERIMENT_UNKNOWN`).
    pub async fn get_experiment(&self, tenant: &Tenant, request: &GetExperimentRequest) -> Result<Experiment> {
        let [id] = name::ids(&request.name, "experiments/*", "name")?;
        let found = store::get(&mut self.db.read().await?, tenant, id).await?;
        found.ok_or_else(|| Error::not_found("EXPERIMENT_UNKNOWN", &request.name))
    }

    /// Lists experiments by name.
    ///
    /// # Errors
    /// `InvalidArgument` (`PAGE_TOKEN_INVALID`).
    pub async fn list_experiments(
        &self,
        tenant: &Tenant,
        request: &ListExperimentsRequest,
    ) -> Result<ListExperimentsResponse> {
        let keyset = self.db.keyset(tenant, "kpi.experiments.list", &[]);
        let (after, size) = (keyset.after(&request.page_token)?, page::size(request.page_size)?);
        let found = store::list(&mut self.db.read().await?, tenant, after.as_deref(), size + 1).await?;
        let id = |experiment: &Experiment| sql::text(experiment.name.trim_start_matches("experiments/"));
        let (experiments, next_page_token) = keyset.cut(found, size, id);
        Ok(ListExperimentsResponse { experiments, next_page_token })
    }

    /// Gives up an experiment before its end.
    ///
    /// # Errors
    /// `NotFound` (`EXPERIMENT_UNKNOWN`), `FailedPrecondition` (`EXPERIMENT_CANCELLED`,
    /// `EXPERIMENT_CONCLUDED`).
    pub async fn cancel_experiment(&self, call: Call, request: &CancelExperimentRequest) -> Result<Experiment> {
        let [id] = name::ids(&request.name, "experiments/*", "name")?;
        self.ready(&call.tenant).await?;
        let mut mutation = match begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        let Some(mut experiment) = store::claim_cancel(mutation.tx(), &tenant, id, now).await? else {
            return Err(match store::get(mutation.tx(), &tenant, id).await? {
                Some(_) => Error::precondition("EXPERIMENT_CANCELLED", format!("{} is cancelled", request.name)),
                None => Error::not_found("EXPERIMENT_UNKNOWN", &request.name),
            });
        };
        if state(&experiment, now.0)? == ExperimentState::Concluded {
            let message = format!("{} has reached its horizon: its result stands", request.name);
            return Err(Error::precondition("EXPERIMENT_CONCLUDED", message));
        }
        let before = digest::sha256(&experiment.encode_to_vec());
        experiment.cancel_reason.clone_from(&request.reason);
        experiment.etag = "r2".to_owned();
        store::update(mutation.tx(), &tenant, id, &experiment).await?;
        let mut event = mutation.event("kpi.experiments.cancel", &experiment.name);
        event.reason.clone_from(&request.reason);
        event.before_digest = before;
        event.after_digest = digest::sha256(&experiment.encode_to_vec());
        mutation.record(event);
        finish(mutation, experiment).await
    }

    /// Returns what an experiment found; before its horizon only how many events each arm has.
    ///
    /// # Errors
    /// `NotFound` (`EXPERIMENT_UNKNOWN`).
    pub async fn compare_experiment(
        &self,
        tenant: &Tenant,
        request: &CompareExperimentRequest,
    ) -> Result<CompareExperimentResponse> {
        self.ready(tenant).await?;
        let [id] = name::ids(&request.name, "experiments/*", "name")?;
        let mut tx = self.db.snapshot().await?;
        let found = store::get(&mut tx, tenant, id).await?;
        let experiment = found.ok_or_else(|| Error::not_found("EXPERIMENT_UNKNOWN", &request.name))?;
        let metric = self.definition(&mut tx, tenant, &experiment.metric, "metric").await?;
        let now = self.clock.now().0;
        let question = Question {
            span: check(&experiment, &metric)?,
            granularity: None,
            group_by: vec![experiment.arm_dimension.clone()],
            filter: Filter::parse(&experiment.filter, &metric.keys, "filter")?,
        };
        let cells = query::cells(&mut tx, tenant, &metric, &question).await?;
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
    let start = micros(experiment.start_time.unwrap_or_default(), "experiment.start_time")?;
    let end = micros(experiment.end_time.unwrap_or_default(), "experiment.end_time")?;
    if start.rem_euclid(QUARTER_HOUR) != 0 || end.rem_euclid(QUARTER_HOUR) != 0 {
        return invalid("start_time", "and end_time must be full quarter hours");
    }
    if start >= end {
        return invalid("end_time", "must lie after start_time");
    }
    Ok(Span { start, end })
}

fn state(experiment: &Experiment, now: i64) -> Result<ExperimentState> {
    let start = micros(experiment.start_time.unwrap_or_default(), "start_time")?;
    let end = micros(experiment.end_time.unwrap_or_default(), "end_time")?;
    Ok(if !experiment.cancel_reason.is_empty() {
        ExperimentState::Cancelled
    } else if now < start {
        ExperimentState::Scheduled
    } else if now < end {
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
