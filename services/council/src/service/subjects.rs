//! What a proposal is about, looked up so that a vote is on exactly that content.

use super::Service;
use remit_api::council::v1::Action;
use remit_api::council::v1::action::Kind as Act;
use remit_api::handoff::v1::GetGateVersionRequest;
use remit_api::handoff::v1::gate_service_client::GateServiceClient;
use remit_api::registry::v1::artifact_service_client::ArtifactServiceClient;
use remit_api::registry::v1::automation_service_client::AutomationServiceClient;
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{GetArtifactVersionRequest, GetAutomationRequest, GetModelVersionRequest};
use remit_core::{Result, Tenant};
use remit_runtime::foreign;

impl Service {
    /// Fills in the content digest of what `action` would let take effect, where the proposer named none.
    ///
    /// # Errors
    /// `NotFound` if there is no such thing; `Unavailable` if the service that keeps it cannot be asked.
    pub(super) async fn pin_content(&self, tenant: &Tenant, action: Option<&mut Action>) -> Result<()> {
        match action.and_then(|action| action.kind.as_mut()) {
            Some(Act::PromoteModel(a)) if a.content_digest.is_empty() => {
                a.content_digest = self.model_content(tenant, &a.model_version).await?;
            }
            Some(Act::RestrictModel(a)) if a.content_digest.is_empty() => {
                a.content_digest = self.model_content(tenant, &a.model_version).await?;
            }
            Some(Act::ApproveAutomation(a)) if a.content_digest.is_empty() => {
                let request = GetAutomationRequest { name: a.automation.clone() };
                let mut client = AutomationServiceClient::new(self.ask(tenant).channel("registry"));
                let found = client.get_automation(self.ask(tenant).of(request)).await.map_err(foreign)?;
                a.content_digest = found.into_inner().content_digest;
            }
            Some(Act::ApproveArtifact(a)) if a.content_digest.is_empty() => {
                let request = GetArtifactVersionRequest { name: a.artifact_version.clone(), ..Default::default() };
                let mut client = ArtifactServiceClient::new(self.ask(tenant).channel("registry"));
                let found = client.get_artifact_version(self.ask(tenant).of(request)).await.map_err(foreign)?;
                a.content_digest = found.into_inner().content_digest;
            }
            Some(Act::ActivateGate(a)) if a.content_digest.is_empty() => {
                let request = GetGateVersionRequest { name: a.gate_version.clone() };
                let mut client = GateServiceClient::new(self.ask(tenant).channel("handoff"));
                let found = client.get_gate_version(self.ask(tenant).of(request)).await.map_err(foreign)?;
                a.content_digest = found.into_inner().digest;
            }
            _ => {}
        }
        Ok(())
    }

    async fn model_content(&self, tenant: &Tenant, name: &str) -> Result<String> {
        let request = GetModelVersionRequest { name: name.to_owned() };
        let mut client = ModelServiceClient::new(self.ask(tenant).channel("registry"));
        let found = client.get_model_version(self.ask(tenant).of(request)).await.map_err(foreign)?;
        Ok(found.into_inner().content_digest)
    }
}
