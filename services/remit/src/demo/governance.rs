//! Step 3, beside the daily work: what a year of governance has besides decisions on models. The kill switch is tried, a
//! control is waived for a time, and something goes wrong and is reported.

use super::actors::{Actors, refused};
use super::models;
use super::names::lead_scorer;
use remit_api::council::v1::action::Kind as ActionKind;
use remit_api::council::v1::control_service_client::ControlServiceClient;
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::incident_service_client::IncidentServiceClient;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::training_service_client::TrainingServiceClient;
use remit_api::council::v1::{
    AssignControlRequest, CloseIncidentRequest, CreateIncidentRequest, CreateTrainingRequest, EndDrillRequest,
    EngageHoldRequest, GrantWaiver, Hold, Incident, IncidentCategory, Scope, Seriousness, Severity, Training,
};
use remit_api::wire::time::stamp;
use remit_core::{Result, Timestamp};
use std::time::Duration;

/// How long the control is waived.
const WAIVED: Duration = Duration::from_secs(60 * 86_400);

/// After so many months everybody who decides is trained again, before the year is over.
const TRAINED_EVERY: usize = 11;
/// Who decides, and who records that she was trained.
const TRAINED: [(&str, &str); 6] =
    [("ada", "ben"), ("ben", "ada"), ("cleo", "ada"), ("dara", "ada"), ("carl", "ada"), ("sam", "ben")];

/// What happens in the month with this number, counted from 0.
///
/// # Errors
/// Whatever the council refuses.
pub(super) async fn month(actors: &Actors, number: usize, start: Timestamp, version: usize) -> Result<()> {
    if number.is_multiple_of(TRAINED_EVERY) {
        train(actors, number, start).await?;
    }
    match number {
        0 => {
            assign(actors, start).await?;
            drill(actors).await
        }
        1 => waive(actors, start).await,
        2 => incident(actors, version).await,
        _ => Ok(()),
    }
}

/// Who decides is trained (C1), and somebody else says so.
async fn train(actors: &Actors, number: usize, start: Timestamp) -> Result<()> {
    for (subject, recorder) in TRAINED {
        let training = Training {
            subject: subject.into(),
            title: "Oversight of AI, and what makes people nod".into(),
            document_uri: "https://intranet.example.com/trainings/oversight".into(),
            complete_time: Some(stamp(start)),
            ..Default::default()
        };
        let request = CreateTrainingRequest {
            training_id: format!("{subject}-{number}"),
            training: Some(training),
            request_id: format!("demo-training-{number}-{subject}"),
        };
        let mut client = TrainingServiceClient::new(actors.to("council", recorder)?);
        client.create_training(request).await.map_err(refused)?;
    }
    Ok(())
}

/// Somebody sees to what no record can prove.
async fn assign(actors: &Actors, start: Timestamp) -> Result<()> {
    let request = AssignControlRequest {
        name: "controls/C27".into(),
        owner: "petra".into(),
        due_time: Some(stamp(start.plus(WAIVED))),
        request_id: "demo-assign".into(),
    };
    let mut ben = ControlServiceClient::new(actors.to("council", "ben")?);
    ben.assign_control(request).await.map_err(refused).map(drop)
}

/// The kill switch is tried before it is needed (C45).
async fn drill(actors: &Actors) -> Result<()> {
    let hold = Hold {
        scope: Some(Scope { target: Some(Target::Organisation(true)) }),
        reason: "Does everybody know the switch, and does it reach every reader?".into(),
        drill: true,
        ..Default::default()
    };
    let mut ada = HoldServiceClient::new(actors.to("council", "ada")?);
    let request =
        EngageHoldRequest { hold_id: "first-drill".into(), hold: Some(hold), request_id: "demo-drill".into() };
    let hold = ada.engage_hold(request).await.map_err(refused)?.into_inner();
    let request = EndDrillRequest {
        name: hold.name,
        finding: "Everybody knew it; the stop was seen within a second.".into(),
        request_id: "demo-drill-end".into(),
    };
    ada.end_drill(request).await.map_err(refused).map(drop)
}

/// The thresholds of an experiment are waived for its first weeks, by decision (R13).
async fn waive(actors: &Actors, start: Timestamp) -> Result<()> {
    let grant = GrantWaiver {
        waiver_id: "copy-thresholds".into(),
        control: "C43".into(),
        scope: Some(Scope { target: Some(Target::ModelVersion(models::COPY_MODEL.into())) }),
        reason: "The thresholds of ad copy are measured first, and set by what is found.".into(),
        compensating_control: "A person reads every variant before it goes out.".into(),
        beneficiary: "dara".into(),
        expire_time: Some(stamp(start.plus(WAIVED))),
        ..Default::default()
    };
    let title = "Measure ad copy for two months before its thresholds are set";
    let rationale = "Every variant is read by a person meanwhile.";
    let proposal =
        models::propose(actors, "waive-copy-thresholds", title, rationale, ActionKind::GrantWaiver(grant)).await?;
    models::approve(actors, &proposal).await
}

/// Something went wrong, was reported, and is closed with what was learned.
async fn incident(actors: &Actors, version: usize) -> Result<()> {
    let incident = Incident {
        system: lead_scorer(version),
        title: "Forty leads were scored twice".into(),
        source: "sales".into(),
        description: "A file was imported twice, and people were called twice.".into(),
        impact: "Forty people had a second call.".into(),
        stakeholders: vec!["customers".into(), "sales".into()],
        severity: Severity::Low.into(),
        category: IncidentCategory::Other.into(),
        seriousness: Seriousness::NotSerious.into(),
        ..Default::default()
    };
    let mut dara = IncidentServiceClient::new(actors.to("council", "dara")?);
    let request = CreateIncidentRequest {
        incident_id: "scored-twice".into(),
        incident: Some(incident),
        request_id: "demo-incident".into(),
    };
    let incident = dara.create_incident(request).await.map_err(refused)?.into_inner();
    let request = CloseIncidentRequest {
        name: incident.name,
        root_cause: "The import did not look at what was there already.".into(),
        after_action: "Imports carry the id of the lead, and a second one changes nothing.".into(),
        request_id: "demo-incident-close".into(),
    };
    dara.close_incident(request).await.map_err(refused).map(drop)
}
