//! What the services that act are asked to do for a proposal: one request a step, each with a mandate of its own.

use crate::ask::Ask;
use crate::proposal::{act, ballot, counted, kind_of};
use crate::time::at;
use remit_api::council::v1::action::Kind as Act;
use remit_api::council::v1::loosen_rules::Change;
use remit_api::council::v1::{Body, LoosenRules, Proposal};
use remit_api::handoff::v1::calendar_service_client::CalendarServiceClient;
use remit_api::handoff::v1::gate_service_client::GateServiceClient;
use remit_api::handoff::v1::{ActivateGateVersionRequest, UpdateCalendarRequest};
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::kpi::v1::{DeleteAlertRuleRequest, RetireKpiRequest, UpdateAlertRuleRequest, UpdateKpiRequest};
use remit_api::registry::v1::artifact_service_client::ArtifactServiceClient;
use remit_api::registry::v1::automation_service_client::AutomationServiceClient;
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{
    ApproveArtifactVersionRequest, ApproveAutomationRequest, ModelVersionState, SetModelAliasRequest,
    TransitionModelVersionRequest,
};
use remit_api::scoring::v1::function_service_client::FunctionServiceClient;
use remit_api::scoring::v1::policy_service_client::PolicyServiceClient;
use remit_api::scoring::v1::{ActivatePolicyVersionRequest, UpdateFunctionRequest};
use remit_api::wire::Mandated as _;
use remit_core::mandate::{ISSUER, Mandate, VoteEvidence};
use remit_core::{Tenant, digest, name};
use std::time::Duration;
use tonic::Status;

/// How far the clocks of the council and of a service that acts may differ.
const LEEWAY: i64 = 300;

/// One request to a service that acts.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    ActivatePolicy(ActivatePolicyVersionRequest),
    TransitionModel(TransitionModelVersionRequest),
    SetAlias(SetModelAliasRequest),
    ApproveAutomation(ApproveAutomationRequest),
    ApproveArtifact(ApproveArtifactVersionRequest),
    ActivateGate(ActivateGateVersionRequest),
    UpdateFunction(UpdateFunctionRequest),
    UpdateKpi(Box<UpdateKpiRequest>),
    RetireKpi(RetireKpiRequest),
    UpdateAlertRule(UpdateAlertRuleRequest),
    DeleteAlertRule(DeleteAlertRuleRequest),
    UpdateCalendar(UpdateCalendarRequest),
}

/// At most `limit` bytes of `text`, cut between characters.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    let end = (0..=limit.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text[..end].to_owned()
}

/// What the services must do, in order; nothing where the council acts itself.
pub(crate) fn steps(proposal: &Proposal) -> Vec<Step> {
    let reason = cut(&format!("{}: {}", proposal.title, proposal.rationale), 2_000);
    let to = |version: &str, state: ModelVersionState| TransitionModelVersionRequest {
        name: version.to_owned(),
        state: state.into(),
        reason: reason.clone(),
        ..TransitionModelVersionRequest::default()
    };
    match act(proposal) {
        Some(Act::ActivatePolicy(a)) => vec![Step::ActivatePolicy(ActivatePolicyVersionRequest {
            name: a.policy_version.clone(),
            backtest_digest: a.backtest_digest.clone(),
            ..Default::default()
        })],
        Some(Act::PromoteModel(a)) => {
            let mut steps = vec![Step::TransitionModel(TransitionModelVersionRequest {
                purposes: a.purposes.clone(),
                conditions: a.conditions.clone(),
                content_digest: a.content_digest.clone(),
                terms: a.terms.clone(),
                ..to(&a.model_version, ModelVersionState::Approved)
            })];
            if a.alias != "-" {
                steps.push(Step::SetAlias(SetModelAliasRequest {
                    model: name::parent(&a.model_version).to_owned(),
                    alias: if a.alias.is_empty() { "champion".to_owned() } else { a.alias.clone() },
                    version: a.model_version.clone(),
                    reason,
                    ..Default::default()
                }));
            }
            steps
        }
        Some(Act::SuspendModel(a)) => vec![Step::TransitionModel(to(&a.model_version, ModelVersionState::Suspended))],
        Some(Act::RetireModel(a)) => vec![Step::TransitionModel(to(&a.model_version, ModelVersionState::Retired))],
        Some(Act::RestrictModel(a)) => vec![Step::TransitionModel(TransitionModelVersionRequest {
            purposes: a.purposes.clone(),
            conditions: a.conditions.clone(),
            content_digest: a.content_digest.clone(),
            terms: a.terms.clone(),
            ..to(&a.model_version, ModelVersionState::Restricted)
        })],
        Some(Act::ApproveAutomation(a)) => vec![Step::ApproveAutomation(ApproveAutomationRequest {
            name: a.automation.clone(),
            content_digest: a.content_digest.clone(),
            conditions: a.conditions.clone(),
            reason,
            ..Default::default()
        })],
        Some(Act::ApproveArtifact(a)) => vec![Step::ApproveArtifact(ApproveArtifactVersionRequest {
            name: a.artifact_version.clone(),
            content_digest: a.content_digest.clone(),
            reason,
            ..Default::default()
        })],
        Some(Act::ActivateGate(a)) => vec![Step::ActivateGate(ActivateGateVersionRequest {
            name: a.gate_version.clone(),
            content_digest: a.content_digest.clone(),
            reason,
            ..Default::default()
        })],
        Some(Act::LoosenRules(a)) => loosening(a, &reason).into_iter().collect(),
        Some(
            Act::GrantWaiver(_)
            | Act::LiftHold(_)
            | Act::Resolution(_)
            | Act::AmendBody(_)
            | Act::SeatMember(_)
            | Act::UnseatMember(_),
        )
        | None => Vec::new(),
    }
}

/// The request by which the service that keeps the rule is asked to change it; `reason` says why.
fn loosening(a: &LoosenRules, reason: &str) -> Option<Step> {
    Some(match a.change.clone()? {
        Change::Function(function) => {
            Step::UpdateFunction(UpdateFunctionRequest { function: Some(function), ..Default::default() })
        }
        Change::Kpi(kpi) => Step::UpdateKpi(Box::new(UpdateKpiRequest { kpi: Some(kpi), ..Default::default() })),
        Change::RetireKpi(name) => {
            let reason = cut(reason, 500);
            Step::RetireKpi(RetireKpiRequest { name, reason, ..Default::default() })
        }
        Change::AlertRule(rule) => {
            Step::UpdateAlertRule(UpdateAlertRuleRequest { alert_rule: Some(rule), ..Default::default() })
        }
        Change::DeleteAlertRule(name) => {
            let etag = a.etag.clone();
            Step::DeleteAlertRule(DeleteAlertRuleRequest { name, etag, ..Default::default() })
        }
        Change::Calendar(calendar) => {
            Step::UpdateCalendar(UpdateCalendarRequest { calendar: Some(calendar), ..Default::default() })
        }
    })
}

/// The request id of a step: the same for every attempt with the same mandate.
fn request_id(proposal: &str, nonce: &str) -> String {
    digest::sha256(format!("{proposal}:{nonce}").as_bytes())
}

impl Step {
    /// The method that it calls, such as `registry.TransitionModelVersion`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::ActivatePolicy(_) => "scoring.ActivatePolicyVersion",
            Self::TransitionModel(_) => "registry.TransitionModelVersion",
            Self::SetAlias(_) => "registry.SetModelAlias",
            Self::ApproveAutomation(_) => "registry.ApproveAutomation",
            Self::ApproveArtifact(_) => "registry.ApproveArtifactVersion",
            Self::ActivateGate(_) => "handoff.ActivateGateVersion",
            Self::UpdateFunction(_) => "scoring.UpdateFunction",
            Self::UpdateKpi(_) => "kpi.UpdateKpi",
            Self::RetireKpi(_) => "kpi.RetireKpi",
            Self::UpdateAlertRule(_) => "kpi.UpdateAlertRule",
            Self::DeleteAlertRule(_) => "kpi.DeleteAlertRule",
            Self::UpdateCalendar(_) => "handoff.UpdateCalendar",
        }
    }

    fn permission(&self) -> &'static str {
        match self {
            Self::ActivatePolicy(_) => "scoring.policies.activate",
            Self::TransitionModel(_) => "registry.versions.transition",
            Self::SetAlias(_) => "registry.aliases.set",
            Self::ApproveAutomation(_) => "registry.automations.approve",
            Self::ApproveArtifact(_) => "registry.artifact_versions.approve",
            Self::ActivateGate(_) => "handoff.gates.activate",
            Self::UpdateFunction(_) => "scoring.functions.update",
            Self::UpdateKpi(_) => "kpi.definitions.update",
            Self::RetireKpi(_) => "kpi.definitions.retire",
            Self::UpdateAlertRule(_) => "kpi.alert_rules.update",
            Self::DeleteAlertRule(_) => "kpi.alert_rules.delete",
            Self::UpdateCalendar(_) => "handoff.calendars.update",
        }
    }

    fn request_digest(&self) -> String {
        match self {
            Self::ActivatePolicy(request) => request.bare_digest(),
            Self::TransitionModel(request) => request.bare_digest(),
            Self::SetAlias(request) => request.bare_digest(),
            Self::ApproveAutomation(request) => request.bare_digest(),
            Self::ApproveArtifact(request) => request.bare_digest(),
            Self::ActivateGate(request) => request.bare_digest(),
            Self::UpdateFunction(request) => request.bare_digest(),
            Self::UpdateKpi(request) => request.bare_digest(),
            Self::RetireKpi(request) => request.bare_digest(),
            Self::UpdateAlertRule(request) => request.bare_digest(),
            Self::DeleteAlertRule(request) => request.bare_digest(),
            Self::UpdateCalendar(request) => request.bare_digest(),
        }
    }

    /// The mandate for this step of a proposal that was approved. Rule, electorate, votes and content are those of the
    /// proposal.
    pub(crate) fn mandate(
        &self,
        proposal: &Proposal,
        body: &Body,
        nonce: String,
        (tenant, lifetime): (&Tenant, Duration),
    ) -> Mandate {
        let permission = self.permission();
        let evidence = counted(proposal).map(|vote| VoteEvidence {
            seat: vote.seat.clone(),
            event: vote.event.clone(),
            digest: vote.event_digest.clone(),
        });
        let decided = at(&proposal.decide_time);
        let seconds = decided.micros().div_euclid(1_000_000);
        let lifetime = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        Mandate {
            iss: ISSUER.to_owned(),
            aud: permission.split('.').next().unwrap_or_default().to_owned(),
            sub: proposal.name.clone(),
            jti: nonce,
            iat: seconds,
            nbf: seconds.saturating_sub(LEEWAY),
            decided,
            exp: seconds.saturating_add(lifetime),
            tenant: tenant.clone(),
            permission: permission.to_owned(),
            request_digest: self.request_digest(),
            kind: kind_of(proposal).to_owned(),
            content_digest: proposal.content_digest.clone(),
            body: proposal.body.clone(),
            jurisdiction: crate::body::jurisdiction(body),
            round: proposal.round,
            ballot: ballot(proposal),
            evidence: evidence.collect(),
        }
    }

    /// Asks the service to act, showing the mandate.
    ///
    /// # Errors
    /// What the service answers.
    pub(crate) async fn call(self, ask: Ask<'_>, proposal: &str, nonce: &str, token: String) -> Result<(), Status> {
        let id = request_id(proposal, nonce);
        match self {
            Self::ActivatePolicy(mut request) => {
                (request.mandate, request.request_id) = (token, id);
                let mut client = PolicyServiceClient::new(ask.channel("scoring"));
                client.activate_policy_version(ask.of(request)).await.map(drop)
            }
            Self::TransitionModel(mut request) => {
                (request.mandate, request.request_id) = (token, id);
                let mut client = ModelServiceClient::new(ask.channel("registry"));
                client.transition_model_version(ask.of(request)).await.map(drop)
            }
            Self::SetAlias(mut request) => {
                (request.mandate, request.request_id) = (token, id);
                let mut client = ModelServiceClient::new(ask.channel("registry"));
                client.set_model_alias(ask.of(request)).await.map(drop)
            }
            Self::ApproveAutomation(mut request) => {
                (request.mandate, request.request_id) = (token, id);
                let mut client = AutomationServiceClient::new(ask.channel("registry"));
                client.approve_automation(ask.of(request)).await.map(drop)
            }
            Self::ApproveArtifact(mut request) => {
                (request.mandate, request.request_id) = (token, id);
                let mut client = ArtifactServiceClient::new(ask.channel("registry"));
                client.approve_artifact_version(ask.of(request)).await.map(drop)
            }
            Self::ActivateGate(mut request) => {
                (request.mandate, request.request_id) = (token, id);
                let mut client = GateServiceClient::new(ask.channel("handoff"));
                client.activate_gate_version(ask.of(request)).await.map(drop)
            }
            Self::UpdateFunction(mut request) => {
                (request.mandate, request.request_id) = (token, id);
                let mut client = FunctionServiceClient::new(ask.channel("scoring"));
                client.update_function(ask.of(request)).await.map(drop)
            }
            Self::UpdateKpi(mut request) => {
                (request.mandate, request.request_id) = (token, id);
                let mut client = KpiServiceClient::new(ask.channel("kpi"));
                client.update_kpi(ask.of(*request)).await.map(drop)
            }
            Self::RetireKpi(mut request) => {
                (request.mandate, request.request_id) = (token, id);
                let mut client = KpiServiceClient::new(ask.channel("kpi"));
                client.retire_kpi(ask.of(request)).await.map(drop)
            }
            Self::UpdateAlertRule(mut request) => {
                (request.mandate, request.request_id) = (token, id);
                let mut client = KpiServiceClient::new(ask.channel("kpi"));
                client.update_alert_rule(ask.of(request)).await.map(drop)
            }
            Self::DeleteAlertRule(mut request) => {
                (request.mandate, request.request_id) = (token, id);
                let mut client = KpiServiceClient::new(ask.channel("kpi"));
                client.delete_alert_rule(ask.of(request)).await.map(drop)
            }
            Self::UpdateCalendar(mut request) => {
                (request.mandate, request.request_id) = (token, id);
                let mut client = CalendarServiceClient::new(ask.channel("handoff"));
                client.update_calendar(ask.of(request)).await.map(drop)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::{Change, LoosenRules, Step, cut, loosening, request_id};
    use remit_api::kpi::v1::AlertRule;

    #[test]
    fn a_rule_is_asked_for_whole_and_as_it_was_seen() {
        let rule = AlertRule { name: "alertRules/a".into(), etag: "r3".into(), disabled: true, ..Default::default() };
        let change = LoosenRules { change: Some(Change::AlertRule(rule.clone())), etag: String::new() };
        let Some(Step::UpdateAlertRule(request)) = loosening(&change, "why") else { panic!("an update") };
        assert_eq!((request.alert_rule, request.update_mask), (Some(rule), None));
        let gone = LoosenRules { change: Some(Change::DeleteAlertRule("alertRules/a".into())), etag: "r3".into() };
        let Some(Step::DeleteAlertRule(request)) = loosening(&gone, "why") else { panic!("a deletion") };
        assert_eq!((request.name.as_str(), request.etag.as_str()), ("alertRules/a", "r3"));
    }

    #[test]
    fn a_step_has_one_request_id_that_fits() {
        assert_eq!(request_id("proposals/p", "n"), request_id("proposals/p", "n"));
        assert!(request_id(&"p".repeat(300), "n").len() <= 100);
        assert_ne!(request_id("proposals/p", "n"), request_id("proposals/p", "m"));
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
    }
}
