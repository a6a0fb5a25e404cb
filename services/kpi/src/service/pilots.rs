//! Pilots: one domain, measured before and for six to eight weeks (S60), judged once by what was written down before.

use super::Service;
use super::experiments::refuse;
use super::pilot_results::{DAY, adds_up, judge, measure, pending};
use super::{query, settings};
use crate::calendar::{QUARTER_HOUR, Span};
use crate::definition::Definition;
use crate::dimensions::Filter;
use crate::store::experiments;
use crate::store::kpis::{KpiVersions, Kpis, shown};
use crate::store::pilots::{self, Pilots};
use crate::store::settings::Settings;
use remit_api::kpi::v1::{
    CaseFigure, ConcludePilotRequest, CreatePilotRequest, GetPilotRequest, Kpi, KpiState, ListPilotsRequest,
    ListPilotsResponse, Pilot, PilotMeasurement, PilotResult, PilotState, ReportPilotRequest, ReportPilotResponse,
};
use remit_api::wire::{self, Word as _, range, time, time::stamp};
use remit_core::details::{Details as _, PilotConcluded, PilotMeasured, PilotRegistered};
use remit_core::name::{self, KpiVersionName, PilotName};
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _, Tx, timers};

/// The timer that measures the baseline of a pilot when it starts, and judges the pilot when it is over.
pub(super) const TIMER: &str = "kpi.pilots.measure";
/// How many days a baseline may have, as a pilot.
const DAYS: std::ops::RangeInclusive<i64> = 42..=56;
/// How many earlier pilots of the same KPIs one names.
const MOST_BEFORE: usize = 20;
/// What was told of one rollout (S68).
const CASE: [(&str, f64); 3] =
    [("time to launch", -0.65), ("cost per lead of automated campaigns", -0.18), ("marketing-sourced pipeline", 0.14)];
/// What a comparison of before and after cannot say.
const CAVEAT: &str = "a comparison of before and after says that a number changed, not why: seasons, budgets and whatever \
                      else was done meanwhile are in it. Only an experiment tells the cause. The case figures are those \
                      of one other organisation: neither target nor forecast";

impl Service {
    /// Writes down a pilot.
    ///
    /// # Errors
    /// `AlreadyExists` (`PILOT_EXISTS`), `NotFound` (`KPI_NOT_FOUND`), `FailedPrecondition` (`PILOT_ACTIVE`, `KIND_WRONG`,
    /// `KPI_RETIRED`), `InvalidArgument` naming the field.
    pub(crate) async fn create_pilot(&self, cx: &Cx, request: CreatePilotRequest) -> Result<Pilot> {
        let name = PilotName::new(name::id(&request.pilot_id, "pilot_id")?).to_string();
        let mut pilot = written(name, cx.actor.subject.clone(), request.pilot.clone().unwrap_or_default());
        self.mutate(cx, &request, async |m| {
            // One lock for all, before anything is looked at: of two that are written down at once one sees the other.
            let organization = Settings::claim(m, settings::NAME).await?;
            let definitions = current(m.tx(), &cx.tenant, &pilot).await?;
            let (_, during) = check(&pilot, &definitions, m.now().0)?;
            let others = Pilots::all(m.tx(), &cx.tenant, &[]).await?;
            check_active(&pilot, &others, organization.max_active_pilots)?;
            pilot.preceded_by = earlier(&pilot, &others);
            pilot.kpi_versions = definitions.iter().map(|definition| definition.kpi.version).collect();
            pilot.end_time = Some(stamp(Timestamp(during.end)));
            let lateness = definitions.iter().map(|definition| definition.lateness).max().unwrap_or_default();
            pilot.judge_time = Some(stamp(Timestamp(during.end.saturating_add(lateness))));
            pilot.create_time = Some(stamp(m.now()));
            Pilots::insert(m, &mut pilot).await?;
            timers::schedule(m.tx(), &cx.tenant, &pilot.name, TIMER, Timestamp(during.start), &[]).await?;
            m.record(&pilot.name, |event| {
                event.after_digest = wire::digest(&pilot);
                event.details = PilotRegistered {
                    domain: pilot.domain.clone(),
                    kpis: pilot.kpis.clone(),
                    preceded_by: pilot.preceded_by.clone(),
                }
                .json();
            });
            Ok(pilot)
        })
        .await
    }

    /// Returns a pilot.
    ///
    /// # Errors
    /// `NotFound` (`PILOT_NOT_FOUND`), `InvalidArgument` (`NAME_INVALID`).
    pub(crate) async fn get_pilot(&self, cx: &Cx, request: GetPilotRequest) -> Result<Pilot> {
        PilotName::parse(&request.name, "name")?;
        Pilots::get(&mut self.read(cx).await?, &cx.tenant, &request.name).await
    }

    /// Lists pilots by name.
    ///
    /// # Errors
    /// `InvalidArgument` (`PAGE_TOKEN_INVALID`).
    pub(crate) async fn list_pilots(&self, cx: &Cx, request: ListPilotsRequest) -> Result<ListPilotsResponse> {
        self.ready(&cx.tenant).await?;
        let (pilots, next_page_token) = Pilots::list(&self.db, &cx.tenant, cx.page(&request)).await?;
        Ok(ListPilotsResponse { pilots, next_page_token })
    }

    /// Concludes a pilot, or gives it up before it is judged.
    ///
    /// # Errors
    /// `NotFound` (`PILOT_NOT_FOUND`), `PermissionDenied` (`PILOT_OWN`), `FailedPrecondition` (`PILOT_CONCLUDED`),
    /// `InvalidArgument` (`NAME_INVALID`).
    pub(crate) async fn conclude_pilot(&self, cx: &Cx, request: ConcludePilotRequest) -> Result<Pilot> {
        PilotName::parse(&request.name, "name")?;
        self.mutate(cx, &request, async |m| {
            let current = Pilots::claim(m, &request.name).await?;
            if current.conclude_time.is_some() {
                let message = format!("{} was concluded by {}: what was said stands", request.name, current.concluder);
                return Err(Error::precondition("PILOT_CONCLUDED", message));
            }
            let judged = !current.result_digest.is_empty();
            if judged && current.creator == cx.actor.subject {
                let message = format!("you wrote down {}: let another person say what came of it", request.name);
                return Err(Error::denied("PILOT_OWN", message));
            }
            let mut next = Pilot {
                conclude_time: Some(stamp(m.now())),
                concluder: cx.actor.subject.clone(),
                conclusion: request.conclusion.clone(),
                ..current.clone()
            };
            Pilots::save(m, &mut next).await?;
            m.record(&next.name, |event| {
                event.reason.clone_from(&request.conclusion);
                event.before_digest = wire::digest(&current);
                event.after_digest = wire::digest(&next);
                event.details = PilotConcluded { result_digest: next.result_digest.clone() }.json();
            });
            Ok(next)
        })
        .await
    }

    /// Returns what a pilot found.
    ///
    /// # Errors
    /// `NotFound` (`PILOT_NOT_FOUND`), `FailedPrecondition` (`EXPERIMENT_RUNNING`), `InvalidArgument` (`NAME_INVALID`).
    pub(crate) async fn report_pilot(&self, cx: &Cx, request: ReportPilotRequest) -> Result<ReportPilotResponse> {
        PilotName::parse(&request.name, "name")?;
        let mut tx = self.snapshot(cx).await?;
        let pilot = Pilots::get(&mut tx, &cx.tenant, &request.name).await?;
        let mut result = pilots::result(&mut tx, &cx.tenant, &pilot.name).await?;
        let now = self.db.now();
        let (before, during) = spans(&pilot)?;
        let definitions = as_written(&mut tx, &cx.tenant, &pilot).await?;
        check_hidden(&mut tx, &cx.tenant, (&pilot, &definitions), [before, during], now.0).await?;
        let mut restated = PilotResult::default();
        for (then, again, span) in
            [(&result.baseline, &mut restated.baseline, before), (&result.pilot, &mut restated.pilot, during)]
        {
            if then.is_some() {
                *again = Some(measure(&mut tx, &cx.tenant, (&pilot, &definitions), span, now).await?);
            }
        }
        drop(tx);
        judge(&pilot, &definitions, &mut restated);
        let differs = figures(&restated) != figures(&result);
        if result.pilot.is_none() {
            result.criteria = pending(&pilot);
        }
        let case = |(measure, relative_difference): (&str, f64)| CaseFigure {
            measure: measure.to_owned(),
            relative_difference,
            evidence: "ANECDOTAL".to_owned(),
        };
        Ok(ReportPilotResponse {
            state: state(&pilot, during, now.0).into(),
            pilot: Some(pilot),
            result: Some(result),
            restated: differs.then_some(restated),
            case_figures: CASE.into_iter().map(case).collect(),
            caveat: CAVEAT.to_owned(),
        })
    }
}

/// Measures the baseline of a pilot that starts, or judges one that is over.
///
/// # Errors
/// As the database says.
pub(super) async fn fire(m: &mut Mutation, name: &str) -> Result<()> {
    let tenant = m.tenant().clone();
    let mut pilot = Pilots::claim(m, name).await?;
    // What was given up is never judged.
    if pilot.conclude_time.is_some() || !pilot.result_digest.is_empty() {
        return Ok(());
    }
    let now = m.now();
    let (before, during) = spans(&pilot)?;
    let mut result = pilots::result(m.tx(), &tenant, name).await?;
    let definitions = as_written(m.tx(), &tenant, &pilot).await?;
    let of = (&pilot, definitions.as_slice());
    if result.baseline.is_none() {
        result.baseline = Some(measure(m.tx(), &tenant, of, before, now).await?);
        pilots::keep(m.tx(), &tenant, name, &result).await?;
        let due = pilot.judge_time.as_ref().map_or(now, time::of);
        timers::schedule(m.tx(), &tenant, name, TIMER, due, &[]).await?;
        record(m, "kpi.pilots.measure", name, wire::digest(&result));
        return Ok(());
    }
    result.pilot = Some(measure(m.tx(), &tenant, of, during, now).await?);
    judge(&pilot, &definitions, &mut result);
    pilots::keep(m.tx(), &tenant, name, &result).await?;
    pilot.result_digest = wire::digest(&result);
    Pilots::save(m, &mut pilot).await?;
    record(m, "kpi.pilots.judge", name, pilot.result_digest);
    Ok(())
}

fn record(m: &mut Mutation, action: &str, name: &str, result_digest: String) {
    let mut event = m.event(action, name);
    // The timer is there already.
    event.details = PilotMeasured { result_digest, ..PilotMeasured::read(&event.details).unwrap_or_default() }.json();
    m.record_event(event);
}

/// A pilot as it is written down: what only happens to it later is empty.
fn written(name: String, creator: String, wanted: Pilot) -> Pilot {
    Pilot {
        name,
        creator,
        end_time: None,
        judge_time: None,
        kpi_versions: Vec::new(),
        preceded_by: Vec::new(),
        result_digest: String::new(),
        conclude_time: None,
        concluder: String::new(),
        conclusion: String::new(),
        ..wanted
    }
}

/// The definitions of a pilot's KPIs in force, in its order.
async fn current(tx: &mut Tx, tenant: &Tenant, pilot: &Pilot) -> Result<Vec<Definition>> {
    let names: Vec<&str> = pilot.kpis.iter().map(String::as_str).collect();
    let found = Kpis::named(tx, tenant, &names).await?;
    let definition = |name: &String| {
        let kpi = found.iter().find(|kpi| kpi.name == *name).ok_or_else(|| Error::not_found(Kpis::NOT_FOUND, name))?;
        if kpi.state() == KpiState::Retired {
            return Err(Error::precondition("KPI_RETIRED", format!("{name} is retired: nothing can be tried by it")));
        }
        Definition::new(kpi.clone())
    };
    pilot.kpis.iter().map(definition).collect()
}

/// The definitions by which a pilot was written down, in its order.
async fn as_written(tx: &mut Tx, tenant: &Tenant, pilot: &Pilot) -> Result<Vec<Definition>> {
    let version =
        |(kpi, version): (&String, &i32)| KpiVersionName::new(name::last(kpi), version.to_string()).to_string();
    let names: Vec<String> = pilot.kpis.iter().zip(&pilot.kpi_versions).map(version).collect();
    let found: Vec<Kpi> = KpiVersions::named(tx, tenant, &names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let definition = |name: &String| {
        let kpi = found.iter().find(|kpi| kpi.name == *name);
        Definition::new(shown(kpi.ok_or_else(|| Error::not_found(KpiVersions::NOT_FOUND, name))?.clone()))
    };
    names.iter().map(definition).collect()
}

/// Refuses a pilot beside as many as the organisation allows, and beside one of the same KPI, since nobody could tell what
/// which of them did.
fn check_active(pilot: &Pilot, others: &[Pilot], most: i32) -> Result<()> {
    let active: Vec<&Pilot> = others.iter().filter(|other| other.conclude_time.is_none()).collect();
    let shared = active.iter().find(|other| shares(pilot, other));
    let most = usize::try_from(most.max(1)).unwrap_or(1);
    let why = match (shared, active.first()) {
        (Some(other), _) => format!("{} measures one of these KPIs: conclude it first", other.name),
        (None, Some(other)) if active.len() >= most => {
            format!("{} is active, and the organisation allows {most}: conclude one first", other.name)
        }
        _ => return Ok(()),
    };
    Err(Error::precondition("PILOT_ACTIVE", why))
}

/// Whether two pilots have a KPI in common.
fn shares(one: &Pilot, other: &Pilot) -> bool {
    one.kpis.iter().any(|kpi| other.kpis.contains(kpi))
}

/// The latest earlier pilots with a KPI in common, newest last.
fn earlier(pilot: &Pilot, others: &[Pilot]) -> Vec<String> {
    let mut earlier: Vec<&Pilot> = others.iter().filter(|other| shares(pilot, other)).collect();
    earlier.sort_by_key(|other| other.create_time.as_ref().map(time::of));
    let skipped = earlier.len().saturating_sub(MOST_BEFORE);
    earlier.into_iter().skip(skipped).map(|other| other.name.clone()).collect()
}

/// The baseline and the time of a pilot.
fn spans(pilot: &Pilot) -> Result<(Span, Span)> {
    let before: Span = range::closed(pilot.baseline.as_ref(), "pilot.baseline")?.into();
    let start = time::parse(&pilot.start_time.unwrap_or_default(), "pilot.start_time")?.0;
    Ok((before, Span { start, end: start.saturating_add(i64::from(pilot.days) * DAY) }))
}

/// Checks a pilot against the definitions of its KPIs, and returns its baseline and its time.
fn check(pilot: &Pilot, definitions: &[Definition], now: i64) -> Result<(Span, Span)> {
    let invalid = |field: &str, why: &str| Err(Error::invalid("PILOT_INVALID", format!("pilot.{field}"), why));
    let (before, during) = spans(pilot)?;
    query::on_borders(before, "pilot.baseline")?;
    if during.start.rem_euclid(QUARTER_HOUR) != 0 {
        return invalid("start_time", "must be a full quarter hour");
    }
    if during.start < now {
        return invalid("start_time", "must not be over: what is tried is written down before it is seen");
    }
    let length = before.end - before.start;
    if length % DAY != 0 || !DAYS.contains(&(length / DAY)) {
        return invalid("baseline", "must be 42 to 56 whole days long, as the pilot");
    }
    let lateness = definitions.iter().map(|definition| definition.lateness).max().unwrap_or_default();
    if before.end.saturating_add(lateness) > during.start {
        return invalid("baseline", "must be over when the pilot starts, the allowed lateness of every KPI included");
    }
    if pilot.exit_criteria.iter().any(|criterion| !pilot.kpis.contains(&criterion.kpi)) {
        return invalid("exit_criteria", "must name KPIs of the pilot");
    }
    for definition in definitions {
        Filter::parse(&pilot.filter, &definition.keys, "pilot.filter")?;
        if !adds_up(definition.kind) {
            let message = format!(
                "{} is of kind {}: nothing compares its weeks; use a SUM, COUNT, RATIO, MEAN or DISTRIBUTION",
                definition.kpi.name,
                definition.kind.word()
            );
            return Err(Error::precondition("KIND_WRONG", message));
        }
    }
    Ok((before, during))
}

/// Refuses a report whose filter tells the arms of an experiment that is not over.
async fn check_hidden(
    tx: &mut Tx,
    tenant: &Tenant,
    (pilot, definitions): (&Pilot, &[Definition]),
    spans: [Span; 2],
    now: i64,
) -> Result<()> {
    if pilot.filter.is_empty() {
        return Ok(());
    }
    for experiment in experiments::hidden(tx, tenant, now).await? {
        for definition in definitions {
            if Filter::parse(&pilot.filter, &definition.keys, "pilot.filter")?.names(&experiment.arm_dimension) {
                spans.iter().try_for_each(|span| refuse(&experiment, &definition.kpi.name, *span))?;
            }
        }
    }
    Ok(())
}

/// What was measured, whenever that was.
fn figures(result: &PilotResult) -> [Option<PilotMeasurement>; 2] {
    let figures = |measured: &Option<PilotMeasurement>| {
        measured.as_ref().map(|measured| PilotMeasurement { measure_time: None, figures: measured.figures.clone() })
    };
    [figures(&result.baseline), figures(&result.pilot)]
}

fn state(pilot: &Pilot, during: Span, now: i64) -> PilotState {
    match (pilot.conclude_time, pilot.result_digest.is_empty()) {
        (Some(_), true) => PilotState::Abandoned,
        (Some(_), false) => PilotState::Concluded,
        (None, false) => PilotState::Judged,
        (None, true) if now < during.start => PilotState::Scheduled,
        (None, true) if now < during.end => PilotState::Running,
        (None, true) => PilotState::Over,
    }
}
