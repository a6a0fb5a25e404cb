//! Experiments: registered before they start, looked at once, at their horizon (A20).

use super::Service;
use super::arms::{self, Judged};
use super::comparisons::DEFAULT_ALPHA;
use super::query::{Question, count};
use crate::calendar::{QUARTER_HOUR, Span};
use crate::definition::Definition;
use crate::dimensions::Filter;
use crate::store::experiments::Experiments;
use crate::store::kpis::{KpiVersions, definition, shown};
use remit_api::kpi::v1::{
    CancelExperimentRequest, CompareExperimentRequest, CompareExperimentResponse, CreateExperimentRequest, Experiment,
    ExperimentState, ExperimentUnit, GetExperimentRequest, GuardrailResult, Kind, ListExperimentsRequest,
    ListExperimentsResponse, StoppingRule,
};
use remit_api::types::TimeRange;
use remit_api::wire::{self, range, time, time::stamp};
use remit_core::details::{Details as _, ExperimentRegistered};
use remit_core::name::{self, ExperimentName, KpiVersionName};
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_runtime::Cx;
use remit_store::{Records as _, Tx};

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
            experiment.metric_version = metric.kpi.version;
            experiment.conclude_time = Some(stamp(Timestamp(span.end.saturating_add(metric.lateness))));
            experiment.guardrail_versions.clear();
            for guardrail in experiment.guardrails.clone() {
                let guardrail = definition(m.tx(), &cx.tenant, &guardrail, "experiment.guardrails").await?;
                check(&experiment, &guardrail)?;
                experiment.guardrail_versions.push(guardrail.kpi.version);
            }
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

    /// Returns what an experiment found, as it was frozen; before its horizon only how many units each arm has.
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
        let now = self.db.now().0;
        let state = state(&experiment, now)?;
        let span = span(&experiment)?;
        // What is registered after the fact has nothing that could be kept from being turned.
        let frozen_at = if experiment.retrospective { i64::MAX } else { conclusion(&experiment) };
        let concluded = state == ExperimentState::Concluded;
        let metric = at_version(&mut tx, &cx.tenant, &experiment.metric, experiment.metric_version).await?;
        let found = arms::read(&mut tx, &cx.tenant, &experiment, &metric, (span, frozen_at)).await?;
        if !concluded {
            let arms = found.now.sizes();
            let experiment = Some(experiment);
            return Ok(CompareExperimentResponse { experiment, state: state.into(), arms, ..Default::default() });
        }
        let judged = Judged { experiment: &experiment, metric: &metric, span, now, shared: true };
        let (before, after) = (found.frozen.shown(&judged), found.now.shown(&judged));
        let mut response = CompareExperimentResponse {
            state: state.into(),
            arms: found.frozen.judge(before.clone(), &judged),
            sample_ratio_p_value: found.frozen.sample_ratio(&experiment),
            unit_missing_count: count(found.frozen.unit_missing),
            crossed_count: count(found.frozen.crossed),
            ..CompareExperimentResponse::default()
        };
        if before != after {
            response.restated_arms = after;
        }
        for (kpi, version) in experiment.guardrails.iter().zip(&experiment.guardrail_versions) {
            let metric = at_version(&mut tx, &cx.tenant, kpi, *version).await?;
            let found = arms::read(&mut tx, &cx.tenant, &experiment, &metric, (span, frozen_at)).await?;
            let judged = Judged { metric: &metric, shared: false, ..judged };
            let arms = found.frozen.judge(found.frozen.shown(&judged), &judged);
            response.guardrails.push(GuardrailResult { kpi: kpi.clone(), arms });
        }
        response.result_digest = wire::digest(&response_digested(&response));
        response.experiment = Some(experiment);
        Ok(response)
    }
}

/// What the digest of a result is over: what was frozen.
fn response_digested(response: &CompareExperimentResponse) -> CompareExperimentResponse {
    CompareExperimentResponse {
        arms: response.arms.clone(),
        guardrails: response.guardrails.clone(),
        ..CompareExperimentResponse::default()
    }
}

async fn at_version(tx: &mut Tx, tenant: &Tenant, kpi: &str, version: i32) -> Result<Definition> {
    let name = KpiVersionName::new(name::last(kpi), version.to_string()).to_string();
    Definition::new(shown(KpiVersions::get(tx, tenant, &name).await?))
}

/// Refuses to show by arm what an experiment that is not over measures: a result that is seen early is one that may be
/// stopped at, or made up for.
///
/// # Errors
/// `FailedPrecondition` (`EXPERIMENT_RUNNING`).
pub(crate) async fn check_hidden(
    tx: &mut Tx,
    tenant: &Tenant,
    definition: &Definition,
    question: &Question,
    now: i64,
) -> Result<()> {
    if question.group_by.is_empty() && question.filter.is_empty() {
        return Ok(());
    }
    let kpi = &definition.kpi.name;
    for experiment in Experiments::all(tx, tenant, &[]).await? {
        let measured = experiment.metric == *kpi || experiment.guardrails.contains(kpi);
        let by_arm =
            question.group_by.contains(&experiment.arm_dimension) || question.filter.names(&experiment.arm_dimension);
        if !measured || !by_arm || experiment.retrospective || !experiment.cancel_reason.is_empty() {
            continue;
        }
        let of = span(&experiment)?;
        if now < conclusion(&experiment) && of.start < question.span.end && question.span.start < of.end {
            let message = format!(
                "{} measures {kpi} by {} until its horizon: ask for other days, or without that dimension",
                experiment.name, experiment.arm_dimension
            );
            return Err(Error::precondition("EXPERIMENT_RUNNING", message));
        }
    }
    Ok(())
}

/// Checks an experiment against its metric, or one of its guardrails, and returns the span whose events count.
fn check(experiment: &Experiment, metric: &Definition) -> Result<Span> {
    let invalid =
        |field: &str, why: &str| Err(Error::invalid("EXPERIMENT_INVALID", format!("experiment.{field}"), why));
    let summed = experiment.unit() == ExperimentUnit::Trial;
    if !matches!(metric.kind, Kind::Mean | Kind::Ratio) || (summed && !metric.has_trials()) {
        let wanted = if summed { "a proportion of independent trials" } else { "a ratio or a mean" };
        let message = format!("{} is not {wanted}: no test compares its arms", metric.kpi.name);
        return Err(Error::precondition("KIND_WRONG", message));
    }
    if experiment.unit() == ExperimentUnit::Unspecified {
        return invalid("unit", "must say what was randomised: members, events that stand for themselves, or trials");
    }
    if !metric.keys.contains(&experiment.arm_dimension) {
        return invalid("arm_dimension", "must be a dimension of the metric and of every guardrail");
    }
    if experiment.treatments.contains(&experiment.control) {
        return invalid("treatments", "must not name the control");
    }
    let shares = experiment.planned_shares.len();
    if shares != 0 && shares != experiment.treatments.len() + 1 {
        return invalid("planned_shares", "must be empty, or have one for the control and each treatment");
    }
    if experiment.guardrails.contains(&experiment.metric) {
        return invalid("guardrails", "must not name the metric");
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

/// When the result is frozen.
fn conclusion(experiment: &Experiment) -> i64 {
    experiment.conclude_time.map_or(i64::MAX, |at| time::of(&at).0)
}

fn state(experiment: &Experiment, now: i64) -> Result<ExperimentState> {
    let span = span(experiment)?;
    Ok(if !experiment.cancel_reason.is_empty() {
        ExperimentState::Cancelled
    } else if now < span.start {
        ExperimentState::Scheduled
    } else if now < conclusion(experiment) {
        ExperimentState::Running
    } else {
        ExperimentState::Concluded
    })
}
