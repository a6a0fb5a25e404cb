//! Incidents and the clocks that the law starts.

use super::{Council, actor, changed, check_etag, check_name, fresh, masked, new_name, required, some};
use crate::store;
use crate::time::{days, micros, stamp};
use remit_api::council::v1::{
    ClockKind, ClockState, CloseIncidentRequest, CreateIncidentRequest, Incident, IncidentState,
    RecordSubmissionRequest, Seriousness, StatutoryClock, UpdateIncidentRequest,
};
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_runtime::{Cx, finish};
use remit_store::{Mutation, Tx, timers};

/// The clocks that an incident starts, with their deadlines.
///
/// # Source
/// Regulation (EU) 2024/1689 Art. 73(2)-(4): 15 days after becoming aware of a serious incident with a
/// high-risk system, 2 days for a widespread infringement or critical infrastructure, 10 days for a
/// death. Regulation (EU) 2016/679 Art. 33(1): 72 hours after becoming aware of a personal data breach.
fn duties(incident: &Incident) -> Vec<(ClockKind, Timestamp)> {
    let aware = incident.aware_time.as_ref().map(micros).unwrap_or_default();
    let limit = match incident.seriousness() {
        Seriousness::Serious => Some(15),
        Seriousness::Widespread => Some(2),
        Seriousness::Death => Some(10),
        Seriousness::NotSerious | Seriousness::Unspecified => None,
    };
    let mut duties = Vec::new();
    if let (true, Some(limit)) = (incident.high_risk_system, limit) {
        duties.push((ClockKind::AiAct73, aware.plus(days(limit))));
    }
    if incident.personal_data_breach {
        duties.push((ClockKind::Gdpr33, aware.plus(days(3))));
    }
    duties
}

/// Computes the clocks anew; what was met stays met.
fn wind(incident: &mut Incident, now: Timestamp) {
    let before = std::mem::take(&mut incident.clocks);
    for (kind, due) in duties(incident) {
        let met = before.iter().find(|clock| clock.kind() == kind).and_then(|clock| clock.met_time);
        // A clock that a wrong grade had removed finds its report again.
        let handed = incident.submissions.iter().find(|submission| submission.clock() == kind);
        let met = met.or_else(|| handed.and_then(|submission| submission.submit_time));
        let state = match met.as_ref().map(micros) {
            Some(at) if at <= due => ClockState::Met,
            Some(_) => ClockState::MetLate,
            None if now >= due => ClockState::Breached,
            None => ClockState::Running,
        };
        incident.clocks.push(StatutoryClock {
            kind: kind.into(),
            due_time: Some(stamp(due)),
            state: state.into(),
            met_time: met,
        });
    }
}

fn is_due(clock: &StatutoryClock) -> bool {
    matches!(clock.state(), ClockState::Running | ClockState::Breached)
}

async fn schedule(tx: &mut Tx, tenant: &Tenant, incident: &Incident) -> Result<()> {
    for kind in [ClockKind::AiAct73, ClockKind::Gdpr33] {
        let id = format!("incident.clock:{}:{}", incident.name, kind.as_str_name());
        let running = incident.clocks.iter().find(|clock| clock.kind() == kind && clock.state() == ClockState::Running);
        match running.and_then(|clock| clock.due_time.as_ref()) {
            Some(due) => {
                timers::schedule(tx, tenant, &id, "incident.clock", micros(due), incident.name.as_bytes()).await?;
            }
            None => {
                timers::cancel(tx, tenant, &id).await?;
            }
        }
    }
    Ok(())
}

fn not_in_future(at: Option<&prost_types::Timestamp>, now: Timestamp, field: &str) -> Result<()> {
    if at.is_some_and(|at| micros(at) > now) {
        return Err(Error::invalid("TIME_IN_FUTURE", field, "must not be in the future"));
    }
    Ok(())
}

fn check_open(incident: &Incident) -> Result<()> {
    if incident.state() == IncidentState::Closed {
        return Err(Error::precondition("INCIDENT_CLOSED", format!("{} is closed", incident.name)));
    }
    Ok(())
}

impl Council {
    /// Reports an incident.
    pub async fn create_incident(&self, cx: &Cx, request: CreateIncidentRequest) -> Result<Incident> {
        let name = new_name("incidents", &request.incident_id, "incident_id")?;
        let given = required(request.incident.clone(), "incident")?;
        let mut mutation = fresh!(self, cx, request);
        let now = mutation.now();
        not_in_future(given.occur_time.as_ref(), now, "incident.occur_time")?;
        not_in_future(given.aware_time.as_ref(), now, "incident.aware_time")?;
        let mut incident = Incident {
            name,
            aware_time: given.aware_time.or_else(|| some(now)),
            reporter: Some(actor(&cx.actor)),
            state: IncidentState::Open.into(),
            clocks: Vec::new(),
            submissions: Vec::new(),
            root_cause: String::new(),
            after_action: String::new(),
            create_time: some(now),
            update_time: some(now),
            close_time: None,
            ..given
        };
        wind(&mut incident, now);
        store::insert(mutation.tx(), &cx.tenant, &mut incident).await?;
        schedule(mutation.tx(), &cx.tenant, &incident).await?;
        let mut event = changed(&mutation, &incident.name, None, &incident);
        event.details = serde_json::json!({
            "system": incident.system,
            "severity": incident.severity().as_str_name(),
            "category": incident.category().as_str_name(),
        });
        mutation.record(event);
        finish(mutation, incident).await
    }

    /// Changes an open incident.
    pub async fn update_incident(&self, cx: &Cx, request: UpdateIncidentRequest) -> Result<Incident> {
        let given = required(request.incident.clone(), "incident")?;
        check_name(&given.name, "incidents/*", "incident.name")?;
        let allowed = [
            "title",
            "description",
            "impact",
            "stakeholders",
            "severity",
            "category",
            "high_risk_system",
            "seriousness",
            "personal_data_breach",
            "owner",
        ];
        let paths = masked(request.update_mask.as_ref(), &allowed)?;
        let mut mutation = fresh!(self, cx, request);
        let before: Incident = store::claim(mutation.tx(), &cx.tenant, &given.name).await?;
        check_etag(&before.name, &before.etag, &given.etag)?;
        check_open(&before)?;
        let mut incident = before.clone();
        for path in paths {
            match path {
                "title" => incident.title.clone_from(&given.title),
                "description" => incident.description.clone_from(&given.description),
                "impact" => incident.impact.clone_from(&given.impact),
                "stakeholders" => incident.stakeholders.clone_from(&given.stakeholders),
                "severity" => incident.severity = given.severity,
                "category" => incident.category = given.category,
                "high_risk_system" => incident.high_risk_system = given.high_risk_system,
                "seriousness" => incident.seriousness = given.seriousness,
                "personal_data_breach" => incident.personal_data_breach = given.personal_data_breach,
                _ => incident.owner.clone_from(&given.owner),
            }
        }
        let now = mutation.now();
        wind(&mut incident, now);
        self.commit_incident(mutation, &before, incident, String::new()).await
    }

    /// Records a report that was handed in.
    pub async fn record_submission(&self, cx: &Cx, request: RecordSubmissionRequest) -> Result<Incident> {
        check_name(&request.name, "incidents/*", "name")?;
        let submission = required(request.submission.clone(), "submission")?;
        let mut mutation = fresh!(self, cx, request);
        let now = mutation.now();
        not_in_future(submission.submit_time.as_ref(), now, "submission.submit_time")?;
        let before: Incident = store::claim(mutation.tx(), &cx.tenant, &request.name).await?;
        let mut incident = before.clone();
        let kind = submission.clock();
        let Some(clock) = incident.clocks.iter_mut().find(|clock| clock.kind() == kind) else {
            let message = format!("{} has no clock {}", before.name, kind.as_str_name());
            return Err(Error::precondition("CLOCK_NOT_RUNNING", message));
        };
        clock.met_time = clock.met_time.or(submission.submit_time);
        let recipient = submission.recipient.clone();
        incident.submissions.push(submission);
        wind(&mut incident, now);
        self.commit_incident(mutation, &before, incident, recipient).await
    }

    /// Closes an incident with its after-action report.
    pub async fn close_incident(&self, cx: &Cx, request: CloseIncidentRequest) -> Result<Incident> {
        check_name(&request.name, "incidents/*", "name")?;
        let mut mutation = fresh!(self, cx, request);
        let now = mutation.now();
        let before: Incident = store::claim(mutation.tx(), &cx.tenant, &request.name).await?;
        check_open(&before)?;
        if let Some(clock) = before.clocks.iter().find(|clock| is_due(clock)) {
            let message =
                format!("the report for {} is still due: record the submission first", clock.kind().as_str_name());
            return Err(Error::precondition("CLOCK_RUNNING", message));
        }
        let mut incident = before.clone();
        incident.state = IncidentState::Closed.into();
        incident.root_cause.clone_from(&request.root_cause);
        incident.after_action.clone_from(&request.after_action);
        incident.close_time = some(now);
        self.commit_incident(mutation, &before, incident, request.root_cause).await
    }

    async fn commit_incident(
        &self,
        mut mutation: Box<Mutation>,
        before: &Incident,
        mut incident: Incident,
        reason: String,
    ) -> Result<Incident> {
        let tenant = mutation.tenant().clone();
        incident.update_time = some(mutation.now());
        store::save(mutation.tx(), &tenant, &mut incident).await?;
        schedule(mutation.tx(), &tenant, &incident).await?;
        let mut event = changed(&mutation, &incident.name, Some(before), &incident);
        event.reason = reason;
        mutation.record(event);
        finish(mutation, incident).await
    }

    /// Marks the clocks of an incident that ran out.
    pub(super) async fn sound_clock(&self, mutation: &mut Mutation, name: &str) -> Result<()> {
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        let before: Incident = store::claim(mutation.tx(), &tenant, name).await?;
        let mut incident = before.clone();
        wind(&mut incident, now);
        if incident.clocks == before.clocks {
            return Ok(());
        }
        incident.update_time = some(now);
        store::save(mutation.tx(), &tenant, &mut incident).await?;
        let event = mutation.event("council.clocks.breach", name);
        mutation.record(event);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(seriousness: Seriousness, breach: bool) -> Incident {
        Incident {
            high_risk_system: true,
            seriousness: seriousness.into(),
            personal_data_breach: breach,
            aware_time: Some(stamp(Timestamp(0))),
            ..Incident::default()
        }
    }

    #[test]
    fn clocks_follow_the_law() {
        let limits = [(Seriousness::Serious, 15), (Seriousness::Widespread, 2), (Seriousness::Death, 10)];
        for (seriousness, limit) in limits {
            let due = Timestamp(0).plus(days(limit));
            assert_eq!(duties(&incident(seriousness, false)), [(ClockKind::AiAct73, due)]);
        }
        let low_risk = Incident { high_risk_system: false, ..incident(Seriousness::Serious, true) };
        assert_eq!(duties(&low_risk), [(ClockKind::Gdpr33, Timestamp(0).plus(days(3)))]);
    }

    #[test]
    fn a_clock_runs_is_breached_and_is_met() {
        let mut incident = incident(Seriousness::Widespread, false);
        wind(&mut incident, Timestamp(1));
        assert_eq!(incident.clocks[0].state(), ClockState::Running);
        wind(&mut incident, Timestamp(0).plus(days(2)));
        assert_eq!(incident.clocks[0].state(), ClockState::Breached);
        incident.clocks[0].met_time = Some(stamp(Timestamp(0).plus(days(1))));
        wind(&mut incident, Timestamp(0).plus(days(3)));
        assert_eq!(incident.clocks[0].state(), ClockState::Met);
    }
}
