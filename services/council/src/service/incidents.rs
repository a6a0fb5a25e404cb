//! Incidents and their clocks.

use super::subjects::PATIENCE;
use super::{Service, insert, save};
use crate::clocks::{alarm, is_due, loosened, wind};
use crate::store::Incidents;
use remit_api::council::v1::{
    ClockKind, CloseIncidentRequest, CreateIncidentRequest, GetIncidentRequest, Incident, IncidentState,
    ListIncidentsRequest, ListIncidentsResponse, RecordSubmissionRequest, RiskSource, UpdateIncidentRequest,
};
use remit_api::registry::v1::AiActClass;
use remit_api::wire::time::{self, past, stamp};
use remit_api::wire::{self, Word as _, mask, range, required};
use remit_core::details::{Details as _, IncidentChanged, IncidentReported};
use remit_core::name::{IncidentName, ModelVersionName};
use remit_core::{Error, Kind, Result, Tenant, etag, name};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _, timers};

/// Moves the alarms of those clocks that changed.
async fn schedule(m: &mut Mutation, before: &Incident, incident: &Incident) -> Result<()> {
    let tenant = m.tenant().clone();
    for kind in [ClockKind::AiAct73, ClockKind::Gdpr33] {
        let id = format!("incident.clock:{}:{}", incident.name, kind.word());
        match alarm(incident, kind) {
            due if due == alarm(before, kind) => {}
            Some(due) => {
                timers::schedule(m.tx(), &tenant, &id, "incident.clock", due, incident.name.as_bytes()).await?;
            }
            None => {
                timers::cancel(m.tx(), &tenant, &id).await?;
            }
        }
    }
    Ok(())
}

/// What the registry says of the system of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Risk {
    /// It is high-risk.
    High,
    /// It is not, or the registry has no class for it, or does not know it.
    Reported,
    /// The registry could not be asked.
    Unknown,
}

impl Risk {
    /// Raises the flag where the registry says so or nobody can say; never lowers it. A flag that stays as it was comes
    /// from where it came from `before`: the reporter is not credited with what the registry said.
    fn apply(self, incident: &mut Incident, before: &Incident) {
        let stays = before.high_risk_system && incident.high_risk_system;
        incident.high_risk_system |= self != Self::Reported;
        let source = match self {
            Self::High => RiskSource::Registry,
            Self::Reported if stays => before.high_risk_source(),
            Self::Reported => RiskSource::Reporter,
            Self::Unknown if stays && before.high_risk_source() == RiskSource::Registry => RiskSource::Registry,
            Self::Unknown => RiskSource::Unknown,
        };
        incident.high_risk_source = source.into();
    }
}

/// When a clock that runs runs out, as events say it.
fn due(incident: &Incident, kind: ClockKind) -> String {
    alarm(incident, kind).map(|due| due.to_string()).unwrap_or_default()
}

fn check_open(incident: &Incident) -> Result<()> {
    if incident.state() == IncidentState::Closed {
        return Err(Error::precondition("INCIDENT_CLOSED", format!("{} is closed", incident.name)));
    }
    Ok(())
}

/// Writes a changed incident with its clocks, and records the change.
async fn commit(m: &mut Mutation, before: &Incident, mut incident: Incident, reason: &str) -> Result<Incident> {
    incident.update_time = Some(stamp(m.now()));
    let details = IncidentChanged {
        aware_time: time::of(&incident.aware_time.unwrap_or_default()).to_string(),
        ai_act_73_due: due(&incident, ClockKind::AiAct73),
        gdpr_33_due: due(&incident, ClockKind::Gdpr33),
    };
    save::<Incidents>(m, before, &mut incident, |event| {
        reason.clone_into(&mut event.reason);
        event.details = details.json();
    })
    .await?;
    schedule(m, before, &incident).await?;
    Ok(incident)
}

/// Marks the clocks of an incident that ran out.
pub(super) async fn sound_clock(m: &mut Mutation, name: &str) -> Result<()> {
    let before = Incidents::claim(m, name).await?;
    let mut incident = before.clone();
    wind(&mut incident, m.now(), "");
    if incident.clocks == before.clocks {
        return Ok(());
    }
    incident.update_time = Some(stamp(m.now()));
    save::<Incidents>(m, &before, &mut incident, |event| "council.clocks.breach".clone_into(&mut event.action)).await
}

impl Service {
    /// Asks the registry for the class of the system of an incident. An incident is recorded whoever is away.
    async fn risk_of(&self, tenant: &Tenant, system: &str) -> Risk {
        if ModelVersionName::parse(system, "incident.system").is_err() {
            return Risk::Reported;
        }
        match tokio::time::timeout(PATIENCE, self.model_version(tenant, system)).await {
            Ok(Ok(found)) => match found.ai_act_class() {
                AiActClass::High | AiActClass::Prohibited => Risk::High,
                AiActClass::Unspecified | AiActClass::Minimal | AiActClass::Limited => Risk::Reported,
            },
            Ok(Err(error)) if error.kind() == Kind::NotFound => Risk::Reported,
            Ok(Err(_)) | Err(_) => Risk::Unknown,
        }
    }

    pub(crate) async fn create_incident(&self, cx: &Cx, request: CreateIncidentRequest) -> Result<Incident> {
        let name = IncidentName::new(name::id(&request.incident_id, "incident_id")?).to_string();
        let given = required(request.incident.clone(), "incident")?;
        let risk = self.risk_of(&cx.tenant, &given.system).await;
        let create = async |m: &mut Mutation| {
            let now = m.now();
            let mut aware = past(given.aware_time.as_ref(), now, "incident.aware_time")?;
            if given.occur_time.is_some() {
                let occurred = past(given.occur_time.as_ref(), now, "incident.occur_time")?;
                if given.aware_time.is_some() {
                    range::in_order(occurred, aware, "occur_time", "incident.aware_time")?;
                }
                aware = aware.max(occurred);
            }
            let mut incident = Incident {
                name,
                aware_time: Some(stamp(aware)),
                reporter: Some(wire::actor(&cx.actor)),
                state: IncidentState::Open.into(),
                clocks: Vec::new(),
                submissions: Vec::new(),
                root_cause: String::new(),
                after_action: String::new(),
                create_time: Some(stamp(now)),
                update_time: Some(stamp(now)),
                close_time: None,
                ..given
            };
            risk.apply(&mut incident, &Incident::default());
            wind(&mut incident, now, "");
            let details = IncidentReported {
                system: incident.system.clone(),
                severity: incident.severity().word().to_owned(),
                category: incident.category().word().to_owned(),
                aware_time: time::of(&incident.aware_time.unwrap_or_default()).to_string(),
                ai_act_73_due: due(&incident, ClockKind::AiAct73),
                gdpr_33_due: due(&incident, ClockKind::Gdpr33),
            };
            insert::<Incidents>(m, &mut incident, |event| event.details = details.json()).await?;
            schedule(m, &Incident::default(), &incident).await?;
            Ok(incident)
        };
        self.mutate(cx, &request, create).await
    }

    pub(crate) async fn get_incident(&self, cx: &Cx, request: GetIncidentRequest) -> Result<Incident> {
        IncidentName::parse(&request.name, "name")?;
        self.get::<Incidents>(cx, &request.name).await
    }

    pub(crate) async fn list_incidents(&self, cx: &Cx, request: ListIncidentsRequest) -> Result<ListIncidentsResponse> {
        let (incidents, next_page_token) = self.list::<Incidents>(cx, cx.page(&request)).await?;
        Ok(ListIncidentsResponse { incidents, next_page_token })
    }

    pub(crate) async fn update_incident(&self, cx: &Cx, request: UpdateIncidentRequest) -> Result<Incident> {
        let given = required(request.incident.as_ref(), "incident")?;
        IncidentName::parse(&given.name, "incident.name")?;
        let known = Incidents::find(&mut self.db.read().await?, &cx.tenant, &given.name).await?.unwrap_or_default();
        let renamed = mask::update(&known, given, request.update_mask.as_ref()).ok().flatten();
        let risk = self.risk_of(&cx.tenant, &renamed.as_ref().unwrap_or(&known).system).await;
        let update = async |m: &mut Mutation| {
            let before = Incidents::claim(m, &given.name).await?;
            etag::check(&given.etag, &before.etag, &before.name)?;
            check_open(&before)?;
            let Some(mut incident) = mask::update(&before, given, request.update_mask.as_ref())? else {
                return Ok(before);
            };
            risk.apply(&mut incident, &before);
            wind(&mut incident, m.now(), &request.reason);
            if loosened(&before, &incident) && request.reason.trim().is_empty() {
                let rule = "must say why a statutory clock no longer runs, or runs longer";
                return Err(Error::invalid("REASON_REQUIRED", "reason", rule));
            }
            commit(m, &before, incident, &request.reason).await
        };
        self.mutate(cx, &request, update).await
    }

    /// Records a report that was handed in.
    pub(crate) async fn record_submission(&self, cx: &Cx, request: RecordSubmissionRequest) -> Result<Incident> {
        IncidentName::parse(&request.name, "name")?;
        let submission = required(request.submission.clone(), "submission")?;
        let record = async |m: &mut Mutation| {
            let before = Incidents::claim(m, &request.name).await?;
            let submitted = past(submission.submit_time.as_ref(), m.now(), "submission.submit_time")?;
            let aware = time::of(&before.aware_time.unwrap_or_default());
            range::in_order(aware, submitted, "the incident's aware_time", "submission.submit_time")?;
            let mut incident = before.clone();
            let kind = submission.clock();
            let Some(clock) = incident.clocks.iter_mut().find(|clock| clock.kind() == kind) else {
                let message = format!("{} has no clock {}", before.name, kind.word());
                return Err(Error::precondition("CLOCK_NOT_RUNNING", message));
            };
            clock.met_time = clock.met_time.or(submission.submit_time);
            let recipient = submission.recipient.clone();
            incident.submissions.push(submission);
            wind(&mut incident, m.now(), "");
            commit(m, &before, incident, &recipient).await
        };
        self.mutate(cx, &request, record).await
    }

    /// Closes an incident with its after-action report.
    pub(crate) async fn close_incident(&self, cx: &Cx, request: CloseIncidentRequest) -> Result<Incident> {
        IncidentName::parse(&request.name, "name")?;
        let close = async |m: &mut Mutation| {
            let before = Incidents::claim(m, &request.name).await?;
            check_open(&before)?;
            if let Some(clock) = before.clocks.iter().find(|clock| is_due(clock)) {
                let message =
                    format!("the report for {} is still due: record the submission first", clock.kind().word());
                return Err(Error::precondition("CLOCK_RUNNING", message));
            }
            let incident = Incident {
                state: IncidentState::Closed.into(),
                root_cause: request.root_cause.clone(),
                after_action: request.after_action.clone(),
                close_time: Some(stamp(m.now())),
                ..before.clone()
            };
            commit(m, &before, incident, &request.root_cause).await
        };
        self.mutate(cx, &request, close).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reporter_is_credited_with_what_the_reporter_said() {
        use RiskSource::{Registry, Reporter, Unknown};
        let of = |high: bool, source: RiskSource| Incident {
            high_risk_system: high,
            high_risk_source: source.into(),
            ..Incident::default()
        };
        let none = Incident::default();
        for (risk, said, before, (high, source)) in [
            (Risk::Reported, true, &none, (true, Reporter)),
            (Risk::Reported, false, &none, (false, Reporter)),
            (Risk::High, false, &none, (true, Registry)),
            (Risk::Unknown, true, &none, (true, Unknown)),
            (Risk::Reported, true, &of(true, Registry), (true, Registry)),
            (Risk::Reported, true, &of(true, Unknown), (true, Unknown)),
            (Risk::Unknown, true, &of(true, Registry), (true, Registry)),
            (Risk::Reported, false, &of(true, Registry), (false, Reporter)),
            (Risk::Reported, true, &of(false, Reporter), (true, Reporter)),
        ] {
            let mut incident = of(said, before.high_risk_source());
            risk.apply(&mut incident, before);
            assert_eq!((incident.high_risk_system, incident.high_risk_source()), (high, source), "{risk:?} {said}");
        }
    }
}
