//! Carrying out what was approved, exactly once.
//!
//! APPROVED becomes EXECUTING before the first peer is called, so that a crash leaves a mark that the
//! worker finds. The mandates of its steps are signed in that transaction: whoever executes, and however
//! often, shows the same ones, and the peer acts once. What the council does itself (waivers,
//! holds) shares the transaction in which EXECUTING becomes EXECUTED.

use super::action_items::plan;
use super::constitutions::{amend_body, check_jurisdiction, seat_member, unseat_member};
use super::holds::lift_hold;
use super::waivers::grant_waiver;
use super::{Service, save};
use crate::proposal::{act, kind_of, moved};
use crate::steps::{cut, steps};
use crate::store::{self, Bodies, Proposals};
use remit_api::council::v1 as api;
use remit_api::council::v1::action::Kind as Act;
use remit_api::council::v1::{ActionItem, ChangeClass, Execution, Proposal, ProposalState};
use remit_api::wire::Word as _;
use remit_api::wire::time::stamp;
use remit_core::details::Details as _;
use remit_core::{Error, Kind, Outcome, Result, Tenant};
use remit_runtime::{Cx, foreign};
use remit_store::{Mutation, Records as _};
use std::collections::HashMap;
use std::sync::PoisonError;
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

/// Whether the same call may succeed later without anybody changing anything. What the etag stands for that was voted on
/// does not come back.
fn is_transient(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Unavailable | Kind::DeadlineExceeded | Kind::ResourceExhausted | Kind::Conflict | Kind::Unauthenticated
    ) && error.reason() != "ETAG_MISMATCH"
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
        let mandates = proposal.execution.iter().flat_map(|execution| &execution.mandates);
        for (step, mandate) in steps(&proposal).into_iter().zip(mandates) {
            let call = step.call(self.ask(tenant), name, &mandate.nonce, mandate.token.clone());
            if let Err(error) = call.await.map_err(foreign) {
                return self.end_execution(tenant, name, completed, Some(error)).await;
            }
            completed.push(mandate.step.clone());
        }
        match self.end_execution(tenant, name, completed.clone(), None).await {
            // The council's own part was refused, and its transaction is undone.
            Err(error) if !is_transient(&error) && error.kind() != Kind::Internal => {
                self.end_execution(tenant, name, completed, Some(error)).await
            }
            ended => ended,
        }
    }

    /// Marks the proposal as being executed, with the mandates of its steps. One that its body may not decide any more, or
    /// that nobody would accept, fails here.
    async fn start_execution(&self, tenant: &Tenant, name: &str) -> Result<Option<Proposal>> {
        let start = async |m: &mut Mutation| {
            let before = Proposals::claim(m, name).await?;
            match before.state() {
                ProposalState::Approved => {}
                // Somebody began and did not end: the mandates are there. That is no change, and nothing is written.
                ProposalState::Executing => return Ok(Some(before)),
                _ => return Ok(None),
            }
            let mut proposal = before.clone();
            let now = Some(stamp(m.now()));
            let (mandates, refused) = match self.mandates_of(m, &before).await {
                Ok(mandates) => (mandates, None),
                Err(error) if is_transient(&error) || error.kind() == Kind::Internal => return Err(error),
                Err(error) => (Vec::new(), Some(format!("{}: {}", error.reason(), error.message()))),
            };
            let failed = refused.is_some();
            let execution = proposal.execution.get_or_insert_with(Execution::default);
            execution.attempts = execution.attempts.saturating_add(1);
            execution.start_time = now;
            execution.end_time = now.filter(|_| failed);
            execution.mandates = mandates;
            execution.error = refused.unwrap_or_default();
            let reason = cut(&execution.error, 2_000);
            proposal.state = if failed { ProposalState::Failed } else { ProposalState::Executing }.into();
            proposal.update_time = now;
            let details = moved(&proposal).json();
            save::<Proposals>(m, &before, &mut proposal, |event| {
                if failed {
                    event.outcome = Outcome::Failure;
                }
                (event.reason, event.details) = (reason, details);
            })
            .await?;
            Ok(Some(proposal).filter(|_| !failed))
        };
        self.db.own(tenant, "council.proposals.start", start).await
    }

    /// Signs the mandates of a proposal that was approved, if its body may still decide it.
    async fn mandates_of(&self, m: &mut Mutation, proposal: &Proposal) -> Result<Vec<api::Mandate>> {
        let (tenant, lifetime) = (m.tenant().clone(), self.mandates.lifetime);
        let body = Bodies::get(m.tx(), &tenant, &proposal.body).await?;
        check_jurisdiction(m, &body, proposal).await?;
        let mut mandates = Vec::new();
        for (at, step) in steps(proposal).into_iter().enumerate() {
            // The decision's own, and not the attempt's: however often it is tried, it takes effect once, and not after its
            // time.
            let nonce = format!("{}:{}:{at}", proposal.name, proposal.round);
            let mandate = step.mandate(proposal, &body, nonce.clone(), (&tenant, lifetime));
            // What nobody would accept is not worth signing.
            mandate.check_decision()?;
            let token = self.mandates.sign(&mandate)?;
            mandates.push(api::Mandate { step: step.name().to_owned(), nonce, token });
        }
        Ok(mandates)
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
            let now = Some(stamp(m.now()));
            if error.as_ref().is_some_and(is_transient) {
                let (last, done) = before.execution.as_ref().map_or(("", &[][..]), |execution| {
                    (execution.error.as_str(), execution.completed_steps.as_slice())
                });
                // A service that stays away is one event, and not one for each time that it was tried.
                if last != execution.error || done != execution.completed_steps {
                    let reason = cut(&execution.error, 2_000);
                    proposal.update_time = now;
                    let details = moved(&proposal).json();
                    save::<Proposals>(m, &before, &mut proposal, |event| {
                        (event.outcome, event.reason, event.details) = (Outcome::Failure, reason, details);
                    })
                    .await?;
                }
                return Ok(true);
            }
            execution.end_time = now;
            proposal.update_time = now;
            proposal.state = ProposalState::Failed.into();
            let reason = cut(&execution.error, 2_000);
            let mut outcome = Outcome::Failure;
            if error.is_none() {
                execution.result = act_on(m, &before).await?;
                outcome = Outcome::Success;
                proposal.state = ProposalState::Executed.into();
            } else {
                // What nobody used is shown to nobody: another attempt signs the same again.
                execution.mandates.clear();
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

    /// Executes what a crash or an absent peer left behind, until the process ends.
    pub(crate) async fn work(&self) {
        let mut pauses: HashMap<(Tenant, String), (Instant, Duration)> = HashMap::new();
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
            let waiting = store::to_execute(&self.db).await.unwrap_or_else(|error| {
                tracing::warn!(reason = error.reason(), "background work is put off: {error}");
                Vec::new()
            });
            for tenant in waiting {
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
        Ok(())
    }
}

/// Does the council's own part in the transaction that ends the execution; returns what it made.
async fn act_on(m: &mut Mutation, proposal: &Proposal) -> Result<String> {
    let result = match act(proposal) {
        Some(Act::GrantWaiver(grant)) => grant_waiver(m, proposal, grant).await?,
        Some(Act::LiftHold(lift)) => lift_hold(m, proposal, lift).await?,
        Some(Act::AmendBody(a)) => amend_body(m, proposal, a).await?,
        Some(Act::SeatMember(a)) => seat_member(m, proposal, a).await?,
        Some(Act::UnseatMember(a)) => unseat_member(m, proposal, a).await?,
        Some(Act::ActivatePolicy(a)) => a.policy_version.clone(),
        Some(Act::PromoteModel(a)) => a.model_version.clone(),
        Some(Act::SuspendModel(a)) => a.model_version.clone(),
        Some(Act::RetireModel(a)) => a.model_version.clone(),
        Some(Act::RestrictModel(a)) => a.model_version.clone(),
        Some(Act::ApproveAutomation(a)) => a.automation.clone(),
        Some(Act::ApproveArtifact(a)) => a.artifact_version.clone(),
        Some(Act::ActivateGate(a)) => a.gate_version.clone(),
        Some(Act::LoosenRules(a)) => crate::loosening::name(a).to_owned(),
        Some(Act::Resolution(_)) | None => String::new(),
    };
    if proposal.change_class() == ChangeClass::Emergency {
        plan_emergency_review(m, proposal).await?;
    }
    Ok(result)
}

async fn plan_emergency_review(m: &mut Mutation, proposal: &Proposal) -> Result<()> {
    let item = ActionItem {
        title: cut(&format!("Review the emergency change: {}", proposal.title), 200),
        description: "Say what the change did, and whether the emergency procedure was justified.".to_owned(),
        owner: proposal.proposer.as_ref().map(|actor| actor.subject.clone()).unwrap_or_default(),
        origin: proposal.name.clone(),
        ..ActionItem::default()
    };
    plan(m, kind_of(proposal), EMERGENCY_REVIEW_DAYS, item).await.map(drop)
}
