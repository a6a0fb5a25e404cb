//! Step 2, its beginning: the constitution is made, once, and three attempts to get round it are refused.

use super::actors::{Actors, refused};
use super::models::{Refusal, STEERING_GROUP};
use super::names::lead_scorer;
use super::tasks::LEAD_TASK;
use remit_api::council::v1::action::Kind as ActionKind;
use remit_api::council::v1::constitution_service_client::ConstitutionServiceClient;
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::proposal_service_client::ProposalServiceClient;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::{
    Action, AmendBody, Body, BootstrapRequest, BreakGlassRequest, CreateProposalRequest, EndDrillRequest,
    EngageHoldRequest, FoundingBody, Hold, NewSeat, Proposal, QuorumRule, Scope,
};
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{ModelVersionState, TransitionModelVersionRequest};
use remit_core::{Error, Result, digest};
use remit_runtime::status::reason;
use tonic::{Response, Status};

/// The body that approves automations across functions (S73).
const AUTOMATION_COUNCIL: &str = "bodies/automation-council";
/// Who sits where.
const SEATS: [(&str, &str, &str); 7] = [
    (STEERING_GROUP, "ada", "marketing_lead"),
    (STEERING_GROUP, "ben", "legal"),
    (STEERING_GROUP, "cleo", "data"),
    (STEERING_GROUP, "dara", "data"),
    (AUTOMATION_COUNCIL, "sam", "sales_ops"),
    (AUTOMATION_COUNCIL, "ben", "legal"),
    (AUTOMATION_COUNCIL, "pia", "product"),
];

/// Makes the constitution.
///
/// # Errors
/// Whatever the service refuses.
pub(super) async fn bootstrap(actors: &Actors) -> Result<()> {
    let founding = |body: &str| FoundingBody {
        body: body.into(),
        seats: SEATS
            .iter()
            .filter(|(seat, ..)| *seat == body)
            .map(|(_, subject, group)| NewSeat {
                member_id: (*subject).into(),
                subject: (*subject).into(),
                role_group: (*group).into(),
            })
            .collect(),
        ..Default::default()
    };
    let bodies = [STEERING_GROUP, AUTOMATION_COUNCIL].map(founding).into();
    let request = BootstrapRequest { bodies, request_id: "demo-bootstrap".into() };
    ConstitutionServiceClient::new(actors.to("council", "admin")?).bootstrap(request).await.map_err(refused)?;
    Ok(())
}

fn must_refuse<T>(attempt: &'static str, answer: Result<Response<T>, Status>) -> Result<Refusal> {
    match answer {
        Ok(_) => Err(Error::internal(format!("{attempt}, and was not refused"))),
        Err(status) => Ok(Refusal { attempt, reason: reason(&status) }),
    }
}

/// Tries what would make every approval worth nothing.
///
/// # Errors
/// Whatever the services refuse against expectation, or do not refuse.
pub(super) async fn try_to_get_round(actors: &Actors) -> Result<Vec<Refusal>> {
    let invented = TransitionModelVersionRequest {
        name: lead_scorer(0),
        state: ModelVersionState::Approved.into(),
        purposes: vec![LEAD_TASK.into()],
        content_digest: digest::sha256(b"whatever it is"),
        mandate: "proposals/invented".into(),
        reason: "the council surely agreed".into(),
        request_id: "demo-invented".into(),
        ..Default::default()
    };
    let pipeline = ModelServiceClient::new(actors.to("registry", "pipeline")?).transition_model_version(invented).await;

    let mut dara = HoldServiceClient::new(actors.to("council", "dara")?);
    let drill = Hold {
        scope: Some(Scope { target: Some(Target::Organisation(true)) }),
        reason: "to know the switch before it is needed".into(),
        drill: true,
        ..Default::default()
    };
    let request = EngageHoldRequest { hold_id: "drill".into(), hold: Some(drill), request_id: "demo-drill".into() };
    let drill = dara.engage_hold(request).await.map_err(refused)?.into_inner();
    let glass = BreakGlassRequest {
        hold: drill.name.clone(),
        reason: "it cannot wait for the others".into(),
        duration: Some(prost_types::Duration { seconds: 86_400, nanos: 0 }),
        request_id: "demo-glass".into(),
    };
    let glass = HoldServiceClient::new(actors.to("council", "pia")?).break_glass(glass).await;
    let glass = must_refuse("a member without a seat in the steering group breaks the glass", glass)?;
    dara.end_drill(EndDrillRequest {
        name: drill.name,
        finding: "the switch was seen at once, and nobody could pass it by".into(),
        request_id: "demo-drill-end".into(),
    })
    .await
    .map_err(refused)?;

    let own = Body {
        name: "bodies/of-her-own".into(),
        display_name: "A body of her own".into(),
        role_groups: vec!["product".into()],
        quorum: Some(QuorumRule { min_approvals: 1, ..Default::default() }),
        ..Default::default()
    };
    let seat = NewSeat { member_id: "pia".into(), subject: "pia".into(), role_group: "product".into() };
    let proposal = Proposal {
        title: "Let one person decide".into(),
        action: Some(Action { kind: Some(ActionKind::AmendBody(AmendBody { body: Some(own), seats: vec![seat] })) }),
        body: AUTOMATION_COUNCIL.into(),
        ..Default::default()
    };
    let request = CreateProposalRequest {
        proposal_id: "of-her-own".into(),
        proposal: Some(proposal),
        open: true,
        request_id: "demo-of-her-own".into(),
    };
    let own = ProposalServiceClient::new(actors.to("council", "pia")?).create_proposal(request).await;
    Ok(vec![
        must_refuse("a pipeline approves a model with a mandate that it invented", pipeline)?,
        glass,
        must_refuse("one person makes a body of her own where she sits", own)?,
    ])
}
