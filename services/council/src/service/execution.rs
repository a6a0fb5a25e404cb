//! Carrying out what was approved, exactly once.
//!
//! APPROVED becomes EXECUTING before the first peer is called, so that a crash leaves a mark that the
//! worker finds. Every call to a peer carries a request id made of the proposal's name and the step:
//! whoever executes, and however often, the peer acts once. What the council does itself (waivers,
//! holds) shares the transaction in which EXECUTING becomes EXECUTED.

use super::proposals::{details, kind_of};
use super::{Council, SERVICE, changed, lock, some};
use crate::store;
use crate::time::days;
use remit_api::council::v1::action::Kind as Act;
use remit_api::council::v1::{ActionItem, ActionItemState, ChangeClass, Execution, Proposal, ProposalState};
use remit_api::registry::v1::artifact_service_client::ArtifactServiceClient;
use remit_api::registry::v1::automation_service_client::AutomationServiceClient;
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{
    ApproveArtifactVersionRequest, ApproveAutomationRequest, ModelVersionState, SetModelAliasRequest,
    TransitionModelVersionRequest,
};
use remit_api::scoring::v1::ActivatePolicyVersionRequest;
use remit_api::scoring::v1::policy_service_client::PolicyServiceClient;
use remit_core::{Error, Kind, Outcome, Result, Tenant, digest};
use remit_runtime::{Cx, foreign};
use remit_store::Mutation;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How often the worker looks for work that was left behind.
const POLL: Duration = Duration::from_secs(1);
/// How long the vote that decides waits for the execution; the worker goes on after that.
const INLINE: Duration = Duration::from_secs(20);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Within how many days an emergency change is to be looked at afterwards.
const EMERGENCY_REVIEW_DAYS: u64 = 7;

/// One call to a peer.
enum Step {
    ActivatePolicy(ActivatePolicyVersionRequest),
    Transition(TransitionModelVersionRequest),
    SetAlias(SetModelAliasRequest),
    ApproveAutomation(ApproveAutomationRequest),
    ApproveArtifact(ApproveArtifactVersionRequest),
}

impl Step {
    fn name(&self) -> &'static str {
        match self {
            Self::ActivatePolicy(_) => "scoring.ActivatePolicyVersion",
            Self::Transition(_) => "registry.TransitionModelVersion",
            Self::SetAlias(_) => "registry.SetModelAlias",
            Self::ApproveAutomation(_) => "registry.ApproveAutomation",
            Self::ApproveArtifact(_) => "registry.ApproveArtifactVersion",
        }
    }
}

/// The request id of a step: the same for every attempt.
fn request_id(proposal: &str, step: &str) -> String {
    let readable = format!("{proposal}:{step}");
    if readable.len() <= 100 {
        return readable;
    }
    digest::sha256(readable.as_bytes())
}

/// At most `limit` bytes of `text`, cut between characters.
fn cut(text: &str, limit: usize) -> String {
    let end = (0..=limit.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text[..end].to_owned()
}

/// What the peers must do, in order.
fn steps(proposal: &Proposal) -> Vec<Step> {
    let name = &proposal.name;
    let reason = cut(&format!("{}: {}", proposal.title, proposal.rationale), 2_000);
    let transition = |version: &str, state: ModelVersionState| TransitionModelVersionRequest {
        name: version.to_owned(),
        state: state.into(),
        proposal: name.clone(),
        reason: reason.clone(),
        request_id: request_id(name, "transition"),
        ..TransitionModelVersionRequest::default()
    };
    match proposal.action.as_ref().and_then(|action| action.kind.as_ref()) {
        Some(Act::ActivatePolicy(a)) => vec![Step::ActivatePolicy(ActivatePolicyVersionRequest {
            name: a.policy_version.clone(),
            proposal: name.clone(),
            backtest_digest: a.backtest_digest.clone(),
            request_id: request_id(name, "activate"),
        })],
        Some(Act::PromoteModel(a)) => {
            let mut steps = vec![Step::Transition(TransitionModelVersionRequest {
                purposes: a.purposes.clone(),
                conditions: a.conditions.clone(),
                content_digest: a.content_digest.clone(),
                ..transition(&a.model_version, ModelVersionState::Approved)
            })];
            if a.alias != "-" {
                steps.push(Step::SetAlias(SetModelAliasRequest {
                    model: crate::records::parent(&a.model_version).to_owned(),
                    alias: if a.alias.is_empty() { "champion".to_owned() } else { a.alias.clone() },
                    version: a.model_version.clone(),
                    proposal: name.clone(),
                    reason: reason.clone(),
                    request_id: request_id(name, "alias"),
                    ..SetModelAliasRequest::default()
                }));
            }
            steps
        }
        Some(Act::SuspendModel(a)) => {
            vec![Step::Transition(transition(&a.model_version, ModelVersionState::Suspended))]
        }
        Some(Act::RetireModel(a)) => vec![Step::Transition(transition(&a.model_version, ModelVersionState::Retired))],
        Some(Act::RestrictModel(a)) => vec![Step::Transition(TransitionModelVersionRequest {
            purposes: a.purposes.clone(),
            conditions: a.conditions.clone(),
            ..transition(&a.model_version, ModelVersionState::Restricted)
        })],
        Some(Act::ApproveAutomation(a)) => vec![Step::ApproveAutomation(ApproveAutomationRequest {
            name: a.automation.clone(),
            proposal: name.clone(),
            content_digest: a.content_digest.clone(),
            conditions: a.conditions.clone(),
            reason,
            request_id: request_id(name, "approve"),
        })],
        Some(Act::ApproveArtifact(a)) => vec![Step::ApproveArtifact(ApproveArtifactVersionRequest {
            name: a.artifact_version.clone(),
            content_digest: a.content_digest.clone(),
            proposal: name.clone(),
            reason,
            request_id: request_id(name, "approve"),
        })],
        Some(Act::GrantWaiver(_) | Act::LiftHold(_) | Act::Resolution(_)) | None => Vec::new(),
    }
}

/// Whether the same call may succeed later without anybody changing anything.
fn is_transient(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Unavailable | Kind::DeadlineExceeded | Kind::ResourceExhausted | Kind::Conflict | Kind::Unauthenticated
    )
}

/// Takes a proposal out of the set of those being executed, however the execution ends.
struct Running<'a> {
    council: &'a Council,
    key: (Tenant, String),
}

impl<'a> Running<'a> {
    fn start(council: &'a Council, tenant: &Tenant, name: &str) -> Option<Self> {
        let key = (tenant.clone(), name.to_owned());
        // A value that is made and dropped here would take the lock that is held, and the key of who runs.
        let first = lock(&council.running).insert(key.clone());
        if first { Some(Self { council, key }) } else { None }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        lock(&self.council.running).remove(&self.key);
    }
}

impl Council {
    /// Executes a proposal if its vote has just ended in favour. Failing to execute does not fail the
    /// vote: the worker goes on.
    pub(super) async fn execute_now(&self, cx: &Cx, proposal: &Proposal) {
        if proposal.state() != ProposalState::Approved {
            return;
        }
        let left = cx.deadline.map_or(INLINE, |deadline| deadline.saturating_duration_since(Instant::now()));
        // A little is left for the answer itself.
        let patience = left.mul_f64(0.8).min(INLINE);
        let name = proposal.name.as_str();
        match tokio::time::timeout(patience, self.execute(&cx.tenant, name)).await {
            Ok(Err(error)) => tracing::warn!(name, reason = error.reason(), "execution is put off: {error}"),
            Err(_) => tracing::warn!(name, "execution goes on in the background"),
            Ok(Ok(())) => {}
        }
    }

    /// Executes an approved proposal, or goes on with one whose execution was interrupted.
    async fn execute(&self, tenant: &Tenant, name: &str) -> Result<()> {
        let Some(_running) = Running::start(self, tenant, name) else { return Ok(()) };
        let Some(proposal) = self.start_execution(tenant, name).await? else { return Ok(()) };
        let mut completed = Vec::new();
        for step in steps(&proposal) {
            let step_name = step.name();
            if let Err(error) = self.perform(tenant, step).await {
                return self.end_execution(tenant, name, completed, Some(error)).await;
            }
            completed.push(step_name.to_owned());
        }
        match self.end_execution(tenant, name, completed.clone(), None).await {
            // The council's own part was refused, and its transaction is undone.
            Err(error) if !is_transient(&error) && error.kind() != Kind::Internal => {
                self.end_execution(tenant, name, completed, Some(error)).await
            }
            ended => ended,
        }
    }

    async fn start_execution(&self, tenant: &Tenant, name: &str) -> Result<Option<Proposal>> {
        let mut mutation = self.own(tenant, "council.proposals.start").await?;
        let before: Proposal = store::claim(mutation.tx(), tenant, name).await?;
        let mut proposal = before.clone();
        let now = mutation.now();
        let execution = proposal.execution.get_or_insert_with(Execution::default);
        execution.attempts = execution.attempts.saturating_add(1);
        match before.state() {
            ProposalState::Approved => {
                execution.start_time = some(now);
                (execution.end_time, execution.error) = (None, String::new());
                proposal.state = ProposalState::Executing.into();
                proposal.update_time = some(now);
                let mut event = changed(&mutation, name, Some(&before), &proposal);
                event.details = details(&proposal);
                mutation.record(event);
            }
            ProposalState::Executing => {}
            _ => return Ok(None),
        }
        store::save(mutation.tx(), tenant, &mut proposal).await?;
        mutation.commit(Vec::new()).await?;
        Ok(Some(proposal))
    }

    async fn end_execution(
        &self,
        tenant: &Tenant,
        name: &str,
        completed: Vec<String>,
        error: Option<Error>,
    ) -> Result<()> {
        let mut mutation = self.own(tenant, "council.proposals.execute").await?;
        let before: Proposal = store::claim(mutation.tx(), tenant, name).await?;
        if before.state() != ProposalState::Executing {
            return Ok(());
        }
        let mut proposal = before.clone();
        let now = mutation.now();
        let mut execution = before.execution.clone().unwrap_or_default();
        execution.completed_steps = completed;
        execution.error =
            error.as_ref().map(|error| format!("{}: {}", error.reason(), error.message())).unwrap_or_default();
        let mut outcome = Outcome::Success;
        match &error {
            Some(error) if is_transient(error) => {
                proposal.execution = Some(execution);
                store::save(mutation.tx(), tenant, &mut proposal).await?;
                mutation.commit(Vec::new()).await?;
                let message = format!("{name} is still to be executed: {}", error.message());
                return Err(Error::new(Kind::Unavailable, "EXECUTION_PENDING", message));
            }
            Some(_) => {
                proposal.state = ProposalState::Failed.into();
                outcome = Outcome::Failure;
            }
            None => {
                execution.result = self.act(&mut mutation, &proposal).await?;
                proposal.state = ProposalState::Executed.into();
            }
        }
        execution.end_time = some(now);
        proposal.update_time = some(now);
        let reason = execution.error.clone();
        proposal.execution = Some(execution);
        store::save(mutation.tx(), tenant, &mut proposal).await?;
        let mut event = changed(&mutation, name, Some(&before), &proposal);
        (event.outcome, event.reason, event.details) = (outcome, reason, details(&proposal));
        if let Some(Act::PromoteModel(a)) = proposal.action.as_ref().and_then(|action| action.kind.as_ref()) {
            event.model_version.clone_from(&a.model_version);
        }
        mutation.record(event);
        mutation.commit(Vec::new()).await
    }

    /// Does the council's own part in the transaction that ends the execution; returns what it made.
    async fn act(&self, mutation: &mut Mutation, proposal: &Proposal) -> Result<String> {
        let result = match proposal.action.as_ref().and_then(|action| action.kind.as_ref()) {
            Some(Act::GrantWaiver(waiver)) => self.grant_waiver(mutation, proposal, waiver).await?,
            Some(Act::LiftHold(lift)) => self.lift_hold(mutation, proposal, lift).await?,
            Some(Act::ActivatePolicy(a)) => a.policy_version.clone(),
            Some(Act::PromoteModel(a)) => a.model_version.clone(),
            Some(Act::SuspendModel(a)) => a.model_version.clone(),
            Some(Act::RetireModel(a)) => a.model_version.clone(),
            Some(Act::RestrictModel(a)) => a.model_version.clone(),
            Some(Act::ApproveAutomation(a)) => a.automation.clone(),
            Some(Act::ApproveArtifact(a)) => a.artifact_version.clone(),
            Some(Act::Resolution(_)) | None => String::new(),
        };
        if proposal.change_class() == ChangeClass::Emergency {
            self.plan_emergency_review(mutation, proposal).await?;
        }
        Ok(result)
    }

    async fn plan_emergency_review(&self, mutation: &mut Mutation, proposal: &Proposal) -> Result<()> {
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        let owner = proposal.proposer.as_ref().map(|actor| actor.subject.clone()).unwrap_or_default();
        let mut item = ActionItem {
            name: format!("actionItems/{}", mutation.new_id()),
            title: cut(&format!("Review the emergency change: {}", proposal.title), 200),
            description: "Say what the change did, and whether the emergency procedure was justified.".to_owned(),
            owner,
            due_time: some(now.plus(days(EMERGENCY_REVIEW_DAYS))),
            origin: proposal.name.clone(),
            state: ActionItemState::Open.into(),
            create_time: some(now),
            update_time: some(now),
            ..ActionItem::default()
        };
        store::insert(mutation.tx(), &tenant, &mut item).await?;
        let mut event = mutation.event("council.actionItems.create", &item.name);
        event.details = serde_json::json!({"origin": item.origin, "kind": kind_of(proposal)});
        mutation.record(event);
        Ok(())
    }

    async fn perform(&self, tenant: &Tenant, step: Step) -> Result<()> {
        let registry = || self.peers.channel("registry");
        let done = match step {
            Step::ActivatePolicy(message) => PolicyServiceClient::new(self.peers.channel("scoring"))
                .activate_policy_version(self.peers.request(SERVICE, tenant, message))
                .await
                .map(|_| ()),
            Step::Transition(message) => ModelServiceClient::new(registry())
                .transition_model_version(self.peers.request(SERVICE, tenant, message))
                .await
                .map(|_| ()),
            Step::SetAlias(message) => ModelServiceClient::new(registry())
                .set_model_alias(self.peers.request(SERVICE, tenant, message))
                .await
                .map(|_| ()),
            Step::ApproveAutomation(message) => AutomationServiceClient::new(registry())
                .approve_automation(self.peers.request(SERVICE, tenant, message))
                .await
                .map(|_| ()),
            Step::ApproveArtifact(message) => ArtifactServiceClient::new(registry())
                .approve_artifact_version(self.peers.request(SERVICE, tenant, message))
                .await
                .map(|_| ()),
        };
        done.map_err(foreign)
    }

    /// Executes what a crash or an absent peer left behind, and collects the evidence of reviews that
    /// the schedule opened, until the process ends.
    pub async fn work(&self) {
        let mut pauses: HashMap<(Tenant, String), (Instant, Duration)> = HashMap::new();
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
            for tenant in remit_store::tenants::known(&self.db) {
                if let Err(error) = self.work_for(&tenant, &mut pauses).await {
                    tracing::warn!(%tenant, reason = error.reason(), "background work is put off: {error}");
                }
            }
        }
    }

    async fn work_for(
        &self,
        tenant: &Tenant,
        pauses: &mut HashMap<(Tenant, String), (Instant, Duration)>,
    ) -> Result<()> {
        let states = [ProposalState::Approved.into(), ProposalState::Executing.into()];
        let left: Vec<Proposal> = store::in_states(&mut self.db.read().await?, tenant, &states).await?;
        for proposal in left {
            let key = (tenant.clone(), proposal.name.clone());
            if pauses.get(&key).is_some_and(|(until, _)| Instant::now() < *until) {
                continue;
            }
            match self.execute(tenant, &proposal.name).await {
                Ok(()) => {
                    pauses.remove(&key);
                }
                Err(error) => {
                    let pause = pauses.get(&key).map_or(POLL, |(_, pause)| (*pause * 2).min(LONGEST_PAUSE));
                    pauses.insert(key, (Instant::now() + pause, pause));
                    tracing::warn!(%tenant, proposal = proposal.name, reason = error.reason(), "execution is put off: {error}");
                }
            }
        }
        self.collect_pending(tenant).await
    }
}

#[cfg(test)]
mod tests {
    use super::{cut, request_id};

    #[test]
    fn a_step_has_one_request_id_that_fits() {
        assert_eq!(request_id("proposals/p", "alias"), "proposals/p:alias");
        let long = format!("proposals/{}", "p".repeat(100));
        assert!(request_id(&long, "alias").len() <= 100);
        assert_ne!(request_id(&long, "alias"), request_id(&long, "transition"));
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
    }
}
