//! Experiments: registered before they start, looked at once, at their horizon (A20).

use super::Service;
use super::arms::{self, Arms, Judged};
use super::comparisons::DEFAULT_ALPHA;
use super::query::{Question, count};
use crate::calendar::{QUARTER_HOUR, Span};
use crate::definition::Definition;
use crate::dimensions::Filter;
use crate::store::experiments::{self, Experiments};
use crate::store::kpis::{KpiVersions, definition, shown};
use remit_api::kpi::v1::{
    CancelExperimentRequest, CompareExperimentRequest, CompareExperimentResponse, CreateExperimentRequest, Experiment,
    ExperimentState, ExperimentUnit, GetExperimentRequest, GuardrailResult, Kind, ListExperimentsRequest,
    ListExperimentsResponse, SecondaryResult, StoppingRule,
};
use remit_api::types::TimeRange;
use remit_api::wire::{self, range, time, time::stamp};
use remit_core::details::{Details as _, ExperimentRegistered};
use remit_core::name::{self, ExperimentName, KpiVersionName};
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_drift::{benjamini_hochberg, holm};
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
        if experiment.stopping_rule() == StoppingRule::Unspecified {
            experiment.set_stopping_rule(StoppingRule::FixedHorizon);
        }
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
            experiment.secondary_metric_versions.clear();
            for secondary in experiment.secondary_metrics.clone() {
                let secondary = definition(m.tx(), &cx.tenant, &secondary, "experiment.secondary_metrics").await?;
                check(&experiment, &secondary)?;
                experiment.secondary_metric_versions.push(secondary.kpi.version);
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

    /// Returns what an experiment found, as it was frozen; before its horizon only how many units each arm has, unless it may
    /// be looked at at any time.
    ///
    /// # Errors
    /// `NotFound` (`EXPERIMENT_NOT_FOUND`), `FailedPrecondition` (`EXPERIMENT_RUNNING`), `InvalidArgument` (`NAME_INVALID`).
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
        let anytime = experiment.stopping_rule() == StoppingRule::Anytime && state == ExperimentState::Running;
        if !concluded && !anytime {
            let arms = found.now.sizes();
            let experiment = Some(experiment);
            return Ok(CompareExperimentResponse { experiment, state: state.into(), arms, ..Default::default() });
        }
        check_others(&mut tx, &cx.tenant, &experiment, span, now).await?;
        let judged = Judged { experiment: &experiment, metric: &metric, span, now };
        let (before, after) = (found.frozen.shown(&judged), found.now.shown(&judged));
        let p_values = found.frozen.p_values(&judged);
        let mut response = CompareExperimentResponse {
            state: state.into(),
            // Several treatments share alpha.
            arms: found.frozen.judge(before.clone(), &judged, &pairs(&p_values, holm(&p_values))),
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
            let found = arms::read(&mut tx, &cx.tenant, &experiment, &metric, (span, frozen_at)).await?.frozen;
            let judged = Judged { metric: &metric, ..judged };
            // Each at alpha by itself.
            let p_values = found.p_values(&judged);
            let arms = found.judge(found.shown(&judged), &judged, &pairs(&p_values, p_values.clone()));
            response.guardrails.push(GuardrailResult { kpi: kpi.clone(), arms });
        }
        let mut secondary = Vec::with_capacity(experiment.secondary_metrics.len());
        for (kpi, version) in experiment.secondary_metrics.iter().zip(&experiment.secondary_metric_versions) {
            let metric = at_version(&mut tx, &cx.tenant, kpi, *version).await?;
            let found = arms::read(&mut tx, &cx.tenant, &experiment, &metric, (span, frozen_at)).await?.frozen;
            secondary.push((kpi, metric, found));
        }
        response.secondary_metrics = together(&secondary, judged);
        if concluded {
            response.result_digest = wire::digest(&response_digested(&response));
        }
        response.experiment = Some(experiment);
        Ok(response)
    }
}

/// P values beside what they become among others.
fn pairs(p_values: &[f64], adjusted: Vec<f64>) -> Vec<(f64, f64)> {
    p_values.iter().copied().zip(adjusted).collect()
}

/// Judges secondary metrics: of all findings of all treatments at most the share alpha is expected to be false.
fn together(metrics: &[(&String, Definition, Arms)], judged: Judged<'_>) -> Vec<SecondaryResult> {
    let of = |(_, metric, arms): &(&String, Definition, Arms)| arms.p_values(&Judged { metric, ..judged });
    let p_values: Vec<f64> = metrics.iter().flat_map(of).collect();
    let mut pairs = pairs(&p_values, benjamini_hochberg(&p_values)).into_iter();
    let result = |(kpi, metric, arms): &(&String, Definition, Arms)| {
        let judged = Judged { metric, ..judged };
        let own: Vec<(f64, f64)> = pairs.by_ref().take(judged.experiment.treatments.len()).collect();
        SecondaryResult { kpi: (*kpi).clone(), arms: arms.judge(arms.shown(&judged), &judged, &own) }
    };
    metrics.iter().map(result).collect()
}

/// What the digest of a result is over: what was frozen.
fn response_digested(response: &CompareExperimentResponse) -> CompareExperimentResponse {
    CompareExperimentResponse {
        arms: response.arms.clone(),
        guardrails: response.guardrails.clone(),
        secondary_metrics: response.secondary_metrics.clone(),
        ..CompareExperimentResponse::default()
    }
}

async fn at_version(tx: &mut Tx, tenant: &Tenant, kpi: &str, version: i32) -> Result<Definition> {
    let name = KpiVersionName::new(name::last(kpi), version.to_string()).to_string();
    Definition::new(shown(KpiVersions::get(tx, tenant, &name).await?))
}

/// The reason of a refusal to show by arm what an experiment measures.
pub(crate) const HIDDEN: &str = "EXPERIMENT_RUNNING";

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
    for experiment in experiments::hidden(tx, tenant, now).await? {
        let by_arm =
            question.group_by.contains(&experiment.arm_dimension) || question.filter.names(&experiment.arm_dimension);
        if by_arm {
            refuse(&experiment, kpi, question.span)?;
        }
    }
    Ok(())
}

/// The dimensions whose values tell the arms of experiments over a KPI that are not over, and of which days.
///
/// # Errors
/// As the database says.
pub(crate) async fn hidden_arms(tx: &mut Tx, tenant: &Tenant, kpi: &str, now: i64) -> Result<Vec<(Span, String)>> {
    let hidden = experiments::hidden(tx, tenant, now).await?;
    let of_kpi = hidden.into_iter().filter(|experiment| measures(experiment, kpi));
    of_kpi.map(|experiment| Ok((span(&experiment)?, experiment.arm_dimension))).collect()
}

/// The span of the events that an experiment is read from.
///
/// # Errors
/// `InvalidArgument` (`TIME_RANGE_INVALID`), which nothing that was registered has.
pub(crate) fn measured_span(experiment: &Experiment) -> Result<Span> {
    let span = span(experiment)?;
    let start = experiment.covariate_start_time.as_ref().map_or(span.start, |at| time::of(at).0.min(span.start));
    Ok(Span { start, ..span })
}

/// Whether an experiment measures a KPI.
pub(crate) fn measures(experiment: &Experiment, kpi: &str) -> bool {
    let mut others = [&experiment.guardrails, &experiment.secondary_metrics].into_iter().flatten();
    experiment.metric == kpi || others.any(|other| other == kpi)
}

/// Refuses to show by arm, as the result of an experiment, what another measures that was registered before and is not over:
/// else who wants to see it early registers a second one.
async fn check_others(tx: &mut Tx, tenant: &Tenant, asked: &Experiment, span: Span, now: i64) -> Result<()> {
    let registered = |experiment: &Experiment| experiment.create_time.map_or(0, |at| time::of(&at).0);
    for other in experiments::hidden(tx, tenant, now).await? {
        let before = other.name != asked.name && registered(&other) < registered(asked);
        if before && other.arm_dimension == asked.arm_dimension {
            let metrics = [&asked.guardrails, &asked.secondary_metrics].into_iter().flatten();
            metrics.chain([&asked.metric]).try_for_each(|kpi| refuse(&other, kpi, span))?;
        }
    }
    Ok(())
}

/// Refuses what an experiment that is not over measures of a KPI in a span.
///
/// # Errors
/// `FailedPrecondition` (`EXPERIMENT_RUNNING`).
pub(crate) fn refuse(experiment: &Experiment, kpi: &str, asked: Span) -> Result<()> {
    let of = span(experiment)?;
    if measures(experiment, kpi) && of.start < asked.end && asked.start < of.end {
        let message = format!(
            "{} measures {kpi} by {} until its horizon: ask for other days, or without that dimension",
            experiment.name, experiment.arm_dimension
        );
        return Err(Error::precondition(HIDDEN, message));
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
    if experiment.secondary_metrics.contains(&experiment.metric) {
        return invalid("secondary_metrics", "must not name the metric");
    }
    let anytime = experiment.stopping_rule() == StoppingRule::Anytime;
    if anytime && (summed || experiment.covariate_start_time.is_some()) {
        return invalid("stopping_rule", "ANYTIME needs units that are seen one by one, and takes no covariate");
    }
    Filter::parse(&experiment.filter, &metric.keys, "experiment.filter")?;
    let span = span(experiment)?;
    if span.start.rem_euclid(QUARTER_HOUR) != 0 || span.end.rem_euclid(QUARTER_HOUR) != 0 {
        return invalid("start_time", "and end_time must be full quarter hours");
    }
    if let Some(since) = &experiment.covariate_start_time {
        let since = time::parse(since, "experiment.covariate_start_time")?.0;
        if experiment.unit() != ExperimentUnit::Member || since >= span.start || since.rem_euclid(QUARTER_HOUR) != 0 {
            return invalid("covariate_start_time", "must be a full quarter hour before start_time, with unit MEMBER");
        }
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
