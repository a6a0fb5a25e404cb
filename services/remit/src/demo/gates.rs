//! Makes the two gates that ship as drafts ready: somebody is named accountable, then the steering group puts them in
//! force, because nothing passed a gate before its first version.

use super::actors::{Actors, refused};
use super::models::{approve, propose};
use remit_api::council::v1::ActivateGate;
use remit_api::council::v1::action::Kind as ActionKind;
use remit_api::handoff::v1::gate_service_client::GateServiceClient;
use remit_api::handoff::v1::gate_version::Rules;
use remit_api::handoff::v1::{GateState, GetGateVersionRequest, UpdateGateVersionRequest};
use remit_core::Result;

/// Activates both gates.
///
/// # Errors
/// Whatever the service refuses.
pub(super) async fn run(actors: &Actors) -> Result<()> {
    for gate in ["creative-approval", "lead-routing"] {
        let name = format!("gates/{gate}/versions/1");
        let mut client = GateServiceClient::new(actors.to("handoff", "ada")?);
        let mut version =
            client.get_gate_version(GetGateVersionRequest { name: name.clone() }).await.map_err(refused)?.into_inner();
        if version.state() == GateState::Active {
            // A run that was cut short has been here already.
            continue;
        }
        version.accountable_person = "ada".into();
        let mut paths = vec!["accountable_person".to_owned()];
        if let Some(Rules::Routing(rules)) = &mut version.rules {
            rules.sales_owners = vec!["sam".into()];
            // The lead file names no company size or intent: enrichment is complete with what it has.
            rules.required_enrichment = vec!["job".into(), "education".into()];
            paths.push("routing".to_owned());
        }
        version.etag.clear();
        let version = client
            .update_gate_version(UpdateGateVersionRequest {
                gate_version: Some(version),
                update_mask: Some(prost_types::FieldMask { paths }),
                request_id: format!("demo-gate-{gate}"),
            })
            .await
            .map_err(refused)?
            .into_inner();
        let proposal = propose(
            actors,
            &format!("activate-{gate}"),
            &format!("Put the gate {gate} in force"),
            "The numbers of the two worked examples, agreed by the marketing lead.",
            ActionKind::ActivateGate(ActivateGate { gate_version: name, content_digest: version.digest }),
        )
        .await?;
        approve(actors, &proposal).await?;
    }
    Ok(())
}
