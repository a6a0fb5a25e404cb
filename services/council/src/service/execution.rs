//! Carrying out what was approved, exactly once.
//!
//! APPROVED becomes EXECUTING before the first peer is called, so that a crash leaves a mark that the
//! worker finds. Every call to a peer carries a request id made of the proposal's name and the step:
//! whoever executes, and however often, the peer acts once. What the council does itself (waivers,
//! holds) shares the transaction in which EXECUTING becomes EXECUTED.

use super::holds::lift_hold;
use super::waivers::grant_waiver;
use super::{Service, save};
use crate::ask::Ask;
use crate::proposal::{act, kind_of, moved};
use crate::store::{ActionItems, Proposals};
use crate::time::days;
use futures::future::BoxFuture;
use futures::{FutureExt as _, TryFutureExt as _};
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
use remit_api::wire::Word as _;
use remit_api::wire::time::stamp;
use remit_core::details::{ActionItemCreated, Details as _};
use remit_core::name::{self, ActionItemName};
use remit_core::{Error, Kind, Outcome, Result, Tenant, digest};
use remit_runtime::{Cx, foreign};
use remit_store::{Mutation, Records as _};
use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Response, Status};

/// How often the worker looks for work that was left behind.
const POLL: Duration = Duration::from_secs(1);
/// How long the vote that decides waits for the execution; the worker goes on after that.
const INLINE: Duration = Duration::from_secs(20);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Within how many days an emergency change is to be looked at afterwards.
const EMERGENCY_REVIEW_DAYS: u64 = 7;

/// One call to a peer: its name, and the call, which is made when it is awaited.
type Step<'a> = (&'static str, BoxFuture<'a, Result<(), Status>>);

fn step<'a, A: 'a>(
    name: &'static str,
    call: impl Future<Output = Result<Response<A>, Status>> + Send + 'a,
) -> Step<'a> {
    (name, call.map_ok(drop).boxed())
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
fn steps<'a>(ask: Ask<'a>, proposal: &Proposal) -> Vec<Step<'a>> {
    let name = &proposal.name;
    let reason = cut(&format!("{}: {}", proposal.title, proposal.rationale), 2_000);
    let to = |version: &str, state: ModelVersionState| TransitionModelVersionRequest {
        name: version.to_owned(),
        state: state.into(),
        proposal: name.clone(),
        reason: reason.clone(),
        request_id: request_id(name, "transition"),
        ..TransitionModelVersionRequest::default()
    };
    let models = move || ModelServiceClient::new(ask.channel("registry"));
    let transition = |request: TransitionModelVersionRequest| {
        step("registry.TransitionModelVersion", async move { models().transition_model_version(ask.of(request)).await })
    };
    match act(proposal) {
        Some(Act::ActivatePolicy(a)) => {
            let request = ActivatePolicyVersionRequest {
                name: a.policy_version.clone(),
                proposal: name.clone(),
                backtest_digest: a.backtest_digest.clone(),
                request_id: request_id(name, "activate"),
            };
            vec![step("scoring.ActivatePolicyVersion", async move {
                PolicyServiceClient::new(ask.channel("scoring")).activate_policy_version(ask.of(request)).await
            })]
        }
        Some(Act::PromoteModel(a)) => {
            let mut steps = vec![transition(TransitionModelVersionRequest {
                purposes: a.purposes.clone(),
                conditions: a.conditions.clone(),
                content_digest: a.content_digest.clone(),
                ..to(&a.model_version, ModelVersionState::Approved)
            })];
            if a.alias != "-" {
                let request = SetModelAliasRequest {
                    model: name::parent(&a.model_version).to_owned(),
                    alias: if a.alias.is_empty() { "champion".to_owned() } else { a.alias.clone() },
                    version: a.model_version.clone(),
                    proposal: name.clone(),
                    reason: reason.clone(),
                    request_id: request_id(name, "alias"),
                    ..SetModelAliasRequest::default()
                };
                steps.push(step(
                    "registry.SetModelAlias",
                    async move { models().set_model_alias(ask.of(request)).await },
                ));
            }
            steps
        }
        Some(Act::SuspendModel(a)) => vec![transition(to(&a.model_version, ModelVersionState::Suspended))],
        Some(Act::RetireModel(a)) => vec![transition(to(&a.model_version, ModelVersionState::Retired))],
        Some(Act::RestrictModel(a)) => vec![transition(TransitionModelVersionRequest {
            purposes: a.purposes.clone(),
            conditions: a.conditions.clone(),
            ..to(&a.model_version, ModelVersionState::Restricted)
        })],
        Some(Act::ApproveAutomation(a)) => {
            let request = ApproveAutomationRequest {
                name: a.automation.clone(),
                proposal: name.clone(),
                content_digest: a.content_digest.clone(),
                conditions: a.conditions.clone(),
                reason,
                request_id: request_id(name, "approve"),
            };
            vec![step("registry.ApproveAutomation", async move {
                AutomationServiceClient::new(ask.channel("registry")).approve_automation(ask.of(request)).await
            })]
        }
        Some(Act::ApproveArtifact(a)) => {
            let request = ApproveArtifactVersionRequest {
                name: a.artifact_version.clone(),
                content_digest: a.content_digest.clone(),
                proposal: name.clone(),
                reason,
                request_id: request_id(name, "approve"),
            };
            vec![step("registry.ApproveArtifactVersion", async move {
                ArtifactServiceClient::new(ask.channel("registry")).approve_artifact_version(ask.of(request)).await
            })]
        }
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
    service: &'a Service,
    key: (Tenant, String),
}

impl<'a> Running<'a> {
    fn start(service: &'a Service, tenant: &Tenant, name: &str) -> Option<Self> {
        let key = (tenant.clone(), name.to_owned());
        // A value that is made and dropped here would take the lock that is held, and the key of who runs.
        let first = service.running.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        if first { Some(Self { service, key }) } else { None }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.service.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl Service {
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
        for (step, call) in steps(self.ask(tenant), &proposal) {
            if let Err(error) = call.await.map_err(foreign) {
                return self.end_execution(tenant, name, completed, Some(error)).await;
            }
            completed.push(step.to_owned());
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
        let start = async |m: &mut Mutation| {
            let before = Proposals::claim(m, name).await?;
            let mut proposal = before.clone();
            let execution = proposal.execution.get_or_insert_with(Execution::default);
            execution.attempts = execution.attempts.saturating_add(1);
            match before.state() {
                ProposalState::Approved => {
                    let now = Some(stamp(m.now()));
                    execution.start_time = now;
                    (execution.end_time, execution.error) = (None, String::new());
                    proposal.state = ProposalState::Executing.into();
                    proposal.update_time = now;
                    let details = moved(&proposal).json();
                    save::<Proposals>(m, &before, &mut proposal, |event| event.details = details).await?;
                }
                ProposalState::Executing => Proposals::save(m, &mut proposal).await?,
                _ => return Ok(None),
            }
            Ok(Some(proposal))
        };
        self.db.own(tenant, "council.proposals.start", start).await
    }

    async fn end_execution(
        &self,
        tenant: &Tenant,
        name: &str,
        completed: Vec<String>,
        error: Option<Error>,
    ) -> Result<()> {
        let end = async |m: &mut Mutation| {
            let before = Proposals::claim(m, name).await?;
            if before.state() != ProposalState::Executing {
                return Ok(false);
            }
            let mut proposal = before.clone();
            let execution = proposal.execution.get_or_insert_default();
            execution.completed_steps = completed;
            execution.error =
                error.as_ref().map(|error| format!("{}: {}", error.reason(), error.message())).unwrap_or_default();
            if error.as_ref().is_some_and(is_transient) {
                Proposals::save(m, &mut proposal).await?;
                return Ok(true);
            }
            let now = Some(stamp(m.now()));
            execution.end_time = now;
            proposal.update_time = now;
            let reason = execution.error.clone();
            let mut outcome = Outcome::Failure;
            proposal.state = ProposalState::Failed.into();
            if error.is_none() {
                execution.result = act_on(m, &before).await?;
                outcome = Outcome::Success;
                proposal.state = ProposalState::Executed.into();
            }
            let details = moved(&proposal).json();
            save::<Proposals>(m, &before, &mut proposal, |event| {
                (event.outcome, event.reason, event.details) = (outcome, reason, details);
                if let Some(Act::PromoteModel(a)) = act(&before) {
                    event.model_version.clone_from(&a.model_version);
                }
            })
            .await?;
            Ok(false)
        };
        let pending = self.db.own(tenant, "council.proposals.execute", end).await?;
        match error {
            Some(error) if pending => {
                let message = format!("{name} is still to be executed: {}", error.message());
                Err(Error::new(Kind::Unavailable, "EXECUTION_PENDING", message))
            }
            _ => Ok(()),
        }
    }

    /// Executes what a crash or an absent peer left behind, and collects the evidence of reviews that
    /// the schedule opened, until the process ends.
    pub(crate) async fn work(&self) {
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
        let states = [ProposalState::Approved.word(), ProposalState::Executing.word()];
        let left = Proposals::in_states(&mut self.db.read().await?, tenant, &states).await?;
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

/// Does the council's own part in the transaction that ends the execution; returns what it made.
async fn act_on(m: &mut Mutation, proposal: &Proposal) -> Result<String> {
    let result = match act(proposal) {
        Some(Act::GrantWaiver(grant)) => grant_waiver(m, proposal, grant).await?,
        Some(Act::LiftHold(lift)) => lift_hold(m, proposal, lift).await?,
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
        plan_emergency_review(m, proposal).await?;
    }
    Ok(result)
}

async fn plan_emergency_review(m: &mut Mutation, proposal: &Proposal) -> Result<()> {
    let now = Some(stamp(m.now()));
    let mut item = ActionItem {
        name: ActionItemName::new(m.new_id()).to_string(),
        title: cut(&format!("Review the emergency change: {}", proposal.title), 200),
        description: "Say what the change did, and whether the emergency procedure was justified.".to_owned(),
        owner: proposal.proposer.as_ref().map(|actor| actor.subject.clone()).unwrap_or_default(),
        due_time: Some(stamp(m.now().plus(days(EMERGENCY_REVIEW_DAYS)))),
        origin: proposal.name.clone(),
        state: ActionItemState::Open.into(),
        create_time: now,
        update_time: now,
        ..ActionItem::default()
    };
    ActionItems::insert(m, &mut item).await?;
    let mut event = m.event("council.actionItems.create", &item.name);
    event.details = ActionItemCreated { origin: item.origin, kind: kind_of(proposal).to_owned() }.json();
    m.record_event(event);
    Ok(())
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
