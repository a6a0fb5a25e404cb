//! What a proposal or a hold is about, looked up where it is kept: a vote is on exactly that content, and nothing is decided
//! about what is not there.

use super::Service;
use crate::changes;
use remit_api::council::v1::action::Kind as Act;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::{Action, FieldChange, Scope};
use remit_api::handoff::v1::gate_service_client::GateServiceClient;
use remit_api::handoff::v1::{GetGateRequest, GetGateVersionRequest};
use remit_api::registry::v1::artifact_service_client::ArtifactServiceClient;
use remit_api::registry::v1::automation_service_client::AutomationServiceClient;
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{GetArtifactVersionRequest, GetAutomationRequest, GetModelVersionRequest, ModelVersion};
use remit_api::scoring::v1::function_service_client::FunctionServiceClient;
use remit_api::scoring::v1::policy_service_client::PolicyServiceClient;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::scoring::v1::{GetFunctionRequest, GetPolicyVersionRequest, GetTaskRequest};
use remit_core::{Error, Kind, Result, Tenant};
use remit_runtime::foreign;
use std::time::Duration;

/// How long a hold waits to hear whether what it stops is there, and an incident how risky its system is. Neither must wait
/// for who is down.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Takes over a content digest where the proposer named none.
fn pin(named: &mut String, found: String, what: &str) -> Result<()> {
    if named.is_empty() {
        *named = found;
    } else if *named != found {
        let message = format!("{what} is not what the proposer saw: read it again, its digest is {found}");
        return Err(Error::precondition("CONTENT_CHANGED", message));
    }
    Ok(())
}

/// Refuses a restriction to more than what runs. Of what does not run now, the registry knows for what it ran.
fn check_purposes(wanted: &[String], found: &ModelVersion) -> Result<()> {
    let known = &found.purposes;
    match wanted.iter().find(|purpose| !known.is_empty() && !known.contains(purpose)) {
        None => Ok(()),
        Some(new) => {
            let message = format!(
                "{} is not approved for {new}, and a restriction adds no purpose: leave it out, or propose promote_model",
                found.name
            );
            Err(Error::precondition("PURPOSES_WIDEN", message))
        }
    }
}

impl Service {
    /// As [`Self::pin_content`], and returns what would change, where the act changes a rule or what a model is for.
    ///
    /// # Errors
    /// As [`Self::pin_content`].
    pub(super) async fn changes_of(&self, tenant: &Tenant, action: Option<&mut Action>) -> Result<Vec<FieldChange>> {
        match action {
            Some(Action { kind: Some(Act::LoosenRules(a)) }) => crate::loosening::look_up(self.ask(tenant), a).await,
            Some(Action { kind: Some(Act::RestrictModel(a)) }) => {
                let found = self.model_version(tenant, &a.model_version).await?;
                check_purposes(&a.purposes, &found)?;
                pin(&mut a.content_digest, found.content_digest, &a.model_version)?;
                let all = |purposes: &[String]| purposes.join(", ");
                Ok(changes::of_text("purposes", &all(&found.purposes), &all(&a.purposes)))
            }
            other => self.pin_content(tenant, other).await.map(|()| Vec::new()),
        }
    }

    /// Looks up what `action` would let take effect, and fills in its content digest where the proposer named none.
    ///
    /// # Errors
    /// `NotFound` if there is no such thing; `FailedPrecondition`: `CONTENT_CHANGED` if the proposer saw another content,
    /// `PURPOSES_WIDEN` if a restriction names a purpose that the version does not have;
    /// `Unavailable` if the service that keeps it cannot be asked.
    async fn pin_content(&self, tenant: &Tenant, action: Option<&mut Action>) -> Result<()> {
        let ask = self.ask(tenant);
        match action.and_then(|action| action.kind.as_mut()) {
            Some(Act::PromoteModel(a)) => {
                let found = self.model_content(tenant, &a.model_version).await?;
                pin(&mut a.content_digest, found, &a.model_version)
            }
            Some(Act::SuspendModel(a)) => self.model_content(tenant, &a.model_version).await.map(drop),
            Some(Act::RetireModel(a)) => self.model_content(tenant, &a.model_version).await.map(drop),
            Some(Act::ApproveAutomation(a)) => {
                let request = GetAutomationRequest { name: a.automation.clone() };
                let mut client = AutomationServiceClient::new(ask.channel("registry"));
                let found = client.get_automation(ask.of(request)).await.map_err(foreign)?.into_inner();
                pin(&mut a.content_digest, found.content_digest, &a.automation)
            }
            Some(Act::ApproveArtifact(a)) => {
                let request = GetArtifactVersionRequest { name: a.artifact_version.clone() };
                let mut client = ArtifactServiceClient::new(ask.channel("registry"));
                let found = client.get_artifact_version(ask.of(request)).await.map_err(foreign)?.into_inner();
                pin(&mut a.content_digest, found.content_digest, &a.artifact_version)
            }
            Some(Act::ActivateGate(a)) => {
                let request = GetGateVersionRequest { name: a.gate_version.clone() };
                let mut client = GateServiceClient::new(ask.channel("handoff"));
                let found = client.get_gate_version(ask.of(request)).await.map_err(foreign)?.into_inner();
                pin(&mut a.content_digest, found.digest, &a.gate_version)
            }
            Some(Act::ActivatePolicy(a)) => {
                let request = GetPolicyVersionRequest { name: a.policy_version.clone() };
                let mut client = PolicyServiceClient::new(ask.channel("scoring"));
                client.get_policy_version(ask.of(request)).await.map(drop).map_err(foreign)
            }
            Some(Act::GrantWaiver(a)) => self.find_scope(tenant, a.scope.as_ref()).await,
            Some(
                Act::LiftHold(_)
                | Act::Resolution(_)
                | Act::AmendBody(_)
                | Act::SeatMember(_)
                | Act::UnseatMember(_)
                | Act::LoosenRules(_)
                | Act::RestrictModel(_),
            )
            | None => Ok(()),
        }
    }

    async fn model_content(&self, tenant: &Tenant, name: &str) -> Result<String> {
        Ok(self.model_version(tenant, name).await?.content_digest)
    }

    pub(super) async fn model_version(&self, tenant: &Tenant, name: &str) -> Result<ModelVersion> {
        let request = GetModelVersionRequest { name: name.to_owned() };
        let mut client = ModelServiceClient::new(self.ask(tenant).channel("registry"));
        let found = client.get_model_version(self.ask(tenant).of(request)).await.map_err(foreign)?;
        Ok(found.into_inner())
    }

    /// Asks for what a scope names.
    ///
    /// # Errors
    /// `NotFound` with the reason of the service that keeps it; `Unavailable` if that cannot be asked.
    async fn find_scope(&self, tenant: &Tenant, scope: Option<&Scope>) -> Result<()> {
        let ask = self.ask(tenant);
        match scope.and_then(|scope| scope.target.as_ref()) {
            Some(Target::Function(name)) => {
                let request = GetFunctionRequest { name: name.clone() };
                let mut client = FunctionServiceClient::new(ask.channel("scoring"));
                client.get_function(ask.of(request)).await.map(drop).map_err(foreign)
            }
            Some(Target::Task(name)) => {
                let request = GetTaskRequest { name: name.clone() };
                let mut client = TaskServiceClient::new(ask.channel("scoring"));
                client.get_task(ask.of(request)).await.map(drop).map_err(foreign)
            }
            Some(Target::ModelVersion(name)) => self.model_content(tenant, name).await.map(drop),
            Some(Target::Gate(name)) => {
                let request = GetGateRequest { name: name.clone() };
                let mut client = GateServiceClient::new(ask.channel("handoff"));
                client.get_gate(ask.of(request)).await.map(drop).map_err(foreign)
            }
            Some(Target::Organisation(_)) | None => Ok(()),
        }
    }

    /// Whether what a hold names is there; `false` if nobody can say now.
    ///
    /// # Errors
    /// `NotFound` or `InvalidArgument` if it is not.
    pub(super) async fn verify_scope(&self, tenant: &Tenant, scope: Option<&Scope>) -> Result<bool> {
        match tokio::time::timeout(PATIENCE, self.find_scope(tenant, scope)).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(error)) if matches!(error.kind(), Kind::NotFound | Kind::InvalidArgument) => Err(error),
            Ok(Err(_)) | Err(_) => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_restriction_is_to_what_a_version_has() {
        let of = |purposes: &[&str]| purposes.iter().map(|purpose| (*purpose).to_owned()).collect::<Vec<_>>();
        let found = ModelVersion { purposes: of(&["leads", "copy"]), ..Default::default() };
        assert!(check_purposes(&of(&["leads"]), &found).is_ok());
        let refused = check_purposes(&of(&["leads", "hr"]), &found).unwrap_err();
        assert_eq!((refused.reason(), refused.message().contains("hr")), ("PURPOSES_WIDEN", true));
        assert!(
            check_purposes(&of(&["leads"]), &ModelVersion::default()).is_ok(),
            "the registry knows for what it ran"
        );
    }
}
