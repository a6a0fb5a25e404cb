//! Proposals from the draft to the opening of the vote, and their withdrawal.

use super::{Council, actor, bodies, changed, check_etag, check_name, fresh, masked, new_name, required, some};
use crate::store;
use crate::time::{days, micros};
use prost::Message as _;
use remit_api::council::v1::action::Kind as Act;
use remit_api::council::v1::{
    Action, Body, CancelProposalRequest, ChangeClass, CreateProposalRequest, GrantWaiver, Hold, HoldState,
    OpenProposalRequest, Proposal, ProposalState, RetryProposalRequest, Seat, Tally, UpdateProposalRequest,
};
use remit_core::quorum::{self, Ballot, Choice, Standing};
use remit_core::{Error, Result, Tenant, Timestamp, digest};
use remit_runtime::{Cx, finish};
use remit_store::{Mutation, Tx, timers};

/// The name of what a proposal does, as in filters and audit entries.
pub fn kind_of(proposal: &Proposal) -> &'static str {
    match proposal.action.as_ref().and_then(|action| action.kind.as_ref()) {
        Some(Act::ActivatePolicy(_)) => "activate_policy",
        Some(Act::PromoteModel(_)) => "promote_model",
        Some(Act::SuspendModel(_)) => "suspend_model",
        Some(Act::RetireModel(_)) => "retire_model",
        Some(Act::RestrictModel(_)) => "restrict_model",
        Some(Act::ApproveAutomation(_)) => "approve_automation",
        Some(Act::ApproveArtifact(_)) => "approve_artifact",
        Some(Act::GrantWaiver(_)) => "grant_waiver",
        Some(Act::LiftHold(_)) => "lift_hold",
        Some(Act::Resolution(_)) => "resolution",
        None => "",
    }
}

/// The digest over everything that a voter decides on.
pub(super) fn content_digest(proposal: &Proposal) -> String {
    let content = Proposal {
        name: proposal.name.clone(),
        title: proposal.title.clone(),
        rationale: proposal.rationale.clone(),
        evidence: proposal.evidence.clone(),
        action: proposal.action.clone(),
        body: proposal.body.clone(),
        change_class: proposal.change_class,
        ..Proposal::default()
    };
    digest::sha256(&content.encode_to_vec())
}

fn beneficiary(action: Option<&Action>) -> &str {
    match action.and_then(|action| action.kind.as_ref()) {
        Some(Act::GrantWaiver(waiver)) => &waiver.beneficiary,
        _ => "",
    }
}

/// The vote as it stands, for the pure rules. `seats` are those of the members who are active now.
pub(super) fn ballot(proposal: &Proposal, seats: &[quorum::Seat]) -> Ballot {
    let pinned = proposal.electorate.iter();
    let active = |subject: &str| seats.iter().any(|seat| seat.subject == subject);
    Ballot {
        rule: proposal.quorum.as_ref().map(bodies::rule).unwrap_or_default(),
        seats: pinned
            .clone()
            .map(|seat| quorum::Seat { subject: seat.subject.clone(), role_group: seat.role_group.clone() })
            .collect(),
        proposer: proposal.proposer.as_ref().map(|actor| actor.subject.clone()).unwrap_or_default(),
        beneficiary: beneficiary(proposal.action.as_ref()).to_owned(),
        recused: proposal.recusals.iter().map(|recusal| recusal.subject.clone()).collect(),
        departed: pinned.filter(|seat| !active(&seat.subject)).map(|seat| seat.subject.clone()).collect(),
        votes: proposal
            .votes
            .iter()
            .filter(|vote| vote.void_reason.is_empty() && vote.round == proposal.round)
            .filter_map(|vote| {
                let voter = vote.voter.as_ref()?.subject.clone();
                Some(quorum::Vote { seat: vote.seat.clone(), voter, choice: choice(vote.choice())? })
            })
            .collect(),
    }
}

/// A choice of the contract for the pure rules.
pub(super) fn choice(choice: remit_api::council::v1::VoteChoice) -> Option<Choice> {
    use remit_api::council::v1::VoteChoice;
    match choice {
        VoteChoice::Approve => Some(Choice::Approve),
        VoteChoice::Reject => Some(Choice::Reject),
        VoteChoice::Abstain => Some(Choice::Abstain),
        VoteChoice::Veto => Some(Choice::Veto),
        VoteChoice::Unspecified => None,
    }
}

/// The standing as in the contract.
pub(super) fn tally(standing: &Standing) -> Tally {
    let count = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    Tally {
        eligible: count(standing.eligible),
        approvals: count(standing.approvals),
        rejections: count(standing.rejections),
        abstentions: count(standing.abstentions),
        approvals_by_group: standing.approvals_by_group.iter().map(|(group, &n)| (group.clone(), count(n))).collect(),
        missing: standing.missing.clone(),
    }
}

pub(super) fn timer_id(proposal: &str) -> String {
    format!("proposal.expire:{proposal}")
}

/// Refuses what cannot be executed whatever the vote.
async fn check_action(tx: &mut Tx, tenant: &Tenant, action: Option<&Action>, now: Timestamp) -> Result<()> {
    let kind = required(action.and_then(|action| action.kind.as_ref()), "proposal.action")
        .map_err(|_| Error::invalid("ACTION_REQUIRED", "proposal.action", "must say what happens on approval"))?;
    let version = |name: &str, field: &str| check_name(name, "models/*/versions/*", field);
    match kind {
        Act::ActivatePolicy(a) => {
            check_name(&a.policy_version, "policies/*/versions/*", "proposal.action.activate_policy.policy_version")
        }
        Act::PromoteModel(a) => version(&a.model_version, "proposal.action.promote_model.model_version"),
        Act::SuspendModel(a) => version(&a.model_version, "proposal.action.suspend_model.model_version"),
        Act::RetireModel(a) => version(&a.model_version, "proposal.action.retire_model.model_version"),
        Act::RestrictModel(a) => version(&a.model_version, "proposal.action.restrict_model.model_version"),
        Act::ApproveAutomation(a) => {
            check_name(&a.automation, "automations/*", "proposal.action.approve_automation.automation")
        }
        Act::ApproveArtifact(a) => check_name(
            &a.artifact_version,
            "artifacts/*/versions/*",
            "proposal.action.approve_artifact.artifact_version",
        ),
        Act::GrantWaiver(waiver) => check_waiver(waiver, now),
        Act::LiftHold(a) => {
            check_name(&a.hold, "holds/*", "proposal.action.lift_hold.hold")?;
            let hold: Hold = store::get(tx, tenant, &a.hold).await?;
            if hold.state() == HoldState::Lifted {
                return Err(Error::precondition("HOLD_LIFTED", format!("{} is lifted already", hold.name)));
            }
            if hold.drill {
                return Err(Error::precondition("HOLD_IS_DRILL", "a drill ends with EndDrill, without a proposal"));
            }
            Ok(())
        }
        Act::Resolution(_) => Ok(()),
    }
}

/// Refuses a waiver without an end within bounds.
pub(super) fn check_waiver(waiver: &GrantWaiver, now: Timestamp) -> Result<()> {
    new_name("waivers", &waiver.waiver_id, "proposal.action.grant_waiver.waiver_id")?;
    super::holds::check_scope(waiver.scope.as_ref(), "proposal.action.grant_waiver.scope")?;
    let until = waiver.expire_time.as_ref().map(micros).unwrap_or_default();
    if until <= now || until > now.plus(days(366)) {
        let rule = "must be in the future and within 366 days";
        return Err(Error::invalid("WAIVER_INVALID", "proposal.action.grant_waiver.expire_time", rule));
    }
    Ok(())
}

impl Council {
    /// Creates a proposal, open at once if asked.
    pub async fn create_proposal(&self, cx: &Cx, request: CreateProposalRequest) -> Result<Proposal> {
        let name = new_name("proposals", &request.proposal_id, "proposal_id")?;
        let given = required(request.proposal.clone(), "proposal")?;
        check_name(&given.body, "bodies/*", "proposal.body")?;
        let mut mutation = fresh!(self, cx, request);
        let now = mutation.now();
        let body: Body = store::get(mutation.tx(), &cx.tenant, &given.body).await?;
        check_action(mutation.tx(), &cx.tenant, given.action.as_ref(), now).await?;
        let class = match given.change_class() {
            ChangeClass::Unspecified => ChangeClass::Normal,
            class => class,
        };
        let mut proposal = Proposal {
            name,
            title: given.title,
            rationale: given.rationale,
            evidence: given.evidence,
            action: given.action,
            body: given.body,
            change_class: class.into(),
            state: ProposalState::Draft.into(),
            proposer: Some(actor(&cx.actor)),
            create_time: some(now),
            update_time: some(now),
            ..Proposal::default()
        };
        proposal.content_digest = content_digest(&proposal);
        if request.open {
            open(&mut mutation, &mut proposal, &body).await?;
        }
        store::insert(mutation.tx(), &cx.tenant, &mut proposal).await?;
        let mut event = changed(&mutation, &proposal.name, None, &proposal);
        event.details = details(&proposal);
        mutation.record(event);
        finish(mutation, proposal).await
    }

    /// Changes the content of a proposal and voids the votes on it.
    pub async fn update_proposal(&self, cx: &Cx, request: UpdateProposalRequest) -> Result<Proposal> {
        let given = required(request.proposal.clone(), "proposal")?;
        check_name(&given.name, "proposals/*", "proposal.name")?;
        let paths = masked(request.update_mask.as_ref(), &["title", "rationale", "evidence", "action"])?;
        let mut mutation = fresh!(self, cx, request);
        let before: Proposal = store::claim(mutation.tx(), &cx.tenant, &given.name).await?;
        check_etag(&before.name, &before.etag, &given.etag)?;
        if before.proposer.as_ref().is_none_or(|proposer| proposer.subject != cx.actor.subject) {
            return Err(Error::denied("NOT_THE_PROPOSER", format!("only the proposer may change {}", before.name)));
        }
        if !matches!(before.state(), ProposalState::Draft | ProposalState::Open) {
            return Err(closed(&before));
        }
        let mut proposal = before.clone();
        for path in paths {
            match path {
                "title" => proposal.title.clone_from(&given.title),
                "rationale" => proposal.rationale.clone_from(&given.rationale),
                "evidence" => proposal.evidence.clone_from(&given.evidence),
                _ => proposal.action.clone_from(&given.action),
            }
        }
        let now = mutation.now();
        check_action(mutation.tx(), &cx.tenant, proposal.action.as_ref(), now).await?;
        proposal.content_digest = content_digest(&proposal);
        if proposal.content_digest != before.content_digest {
            void(&mut proposal, "CONTENT_CHANGED");
        }
        if proposal.state() == ProposalState::Open {
            let seats = bodies::seats(mutation.tx(), &cx.tenant, &proposal.body).await?;
            proposal.tally = Some(tally(&ballot(&proposal, &seats).standing()));
        }
        proposal.update_time = some(now);
        store::save(mutation.tx(), &cx.tenant, &mut proposal).await?;
        let event = changed(&mutation, &proposal.name, Some(&before), &proposal);
        mutation.record(event);
        finish(mutation, proposal).await
    }

    /// Opens the vote on a draft, or a new round on an escalated proposal.
    pub async fn open_proposal(&self, cx: &Cx, request: OpenProposalRequest) -> Result<Proposal> {
        check_name(&request.name, "proposals/*", "name")?;
        let mut mutation = fresh!(self, cx, request);
        let before: Proposal = store::claim(mutation.tx(), &cx.tenant, &request.name).await?;
        if !matches!(before.state(), ProposalState::Draft | ProposalState::Escalated) {
            return Err(closed(&before));
        }
        let body: Body = store::get(mutation.tx(), &cx.tenant, &before.body).await?;
        let mut proposal = before.clone();
        open(&mut mutation, &mut proposal, &body).await?;
        store::save(mutation.tx(), &cx.tenant, &mut proposal).await?;
        let mut event = changed(&mutation, &proposal.name, Some(&before), &proposal);
        event.details = details(&proposal);
        mutation.record(event);
        finish(mutation, proposal).await
    }

    /// Withdraws a proposal.
    pub async fn cancel_proposal(&self, cx: &Cx, request: CancelProposalRequest) -> Result<Proposal> {
        check_name(&request.name, "proposals/*", "name")?;
        let mut mutation = fresh!(self, cx, request);
        let before: Proposal = store::claim(mutation.tx(), &cx.tenant, &request.name).await?;
        let undecided = [ProposalState::Draft, ProposalState::Open, ProposalState::Escalated];
        if !undecided.contains(&before.state()) {
            return Err(closed(&before));
        }
        let me = &cx.actor.subject;
        let proposer = before.proposer.as_ref().is_some_and(|proposer| &proposer.subject == me);
        let seats = bodies::seats(mutation.tx(), &cx.tenant, &before.body).await?;
        let member = cx.actor.is_human() && seats.iter().any(|seat| &seat.subject == me);
        if !proposer && !member {
            return Err(Error::denied("NOT_ELIGIBLE", "only the proposer and members of the body may withdraw it"));
        }
        let now = mutation.now();
        let mut proposal = before.clone();
        decide(&mut proposal, ProposalState::Cancelled, request.reason.clone(), now);
        timers::cancel(mutation.tx(), &cx.tenant, &timer_id(&proposal.name)).await?;
        store::save(mutation.tx(), &cx.tenant, &mut proposal).await?;
        let mut event = changed(&mutation, &proposal.name, Some(&before), &proposal);
        event.reason = request.reason;
        mutation.record(event);
        finish(mutation, proposal).await
    }

    /// Executes a failed proposal once more.
    pub async fn retry_proposal(&self, cx: &Cx, request: RetryProposalRequest) -> Result<Proposal> {
        check_name(&request.name, "proposals/*", "name")?;
        let mut mutation = fresh!(self, cx, request);
        let before: Proposal = store::claim(mutation.tx(), &cx.tenant, &request.name).await?;
        if before.state() != ProposalState::Failed {
            return Err(Error::precondition("NOT_FAILED", format!("{} did not fail", before.name)));
        }
        let mut proposal = Proposal { state: ProposalState::Approved.into(), ..before.clone() };
        proposal.update_time = some(mutation.now());
        store::save(mutation.tx(), &cx.tenant, &mut proposal).await?;
        let event = changed(&mutation, &proposal.name, Some(&before), &proposal);
        mutation.record(event);
        let proposal = finish(mutation, proposal).await?;
        self.execute_now(cx, &proposal).await;
        Ok(proposal)
    }
}

/// What an audit entry says about a proposal beside its name.
pub(super) fn details(proposal: &Proposal) -> serde_json::Value {
    serde_json::json!({
        "kind": kind_of(proposal),
        "body": proposal.body,
        "state": proposal.state().as_str_name().trim_start_matches("PROPOSAL_STATE_"),
        "round": proposal.round,
        "content_digest": proposal.content_digest,
    })
}

pub(super) fn closed(proposal: &Proposal) -> Error {
    let state = proposal.state().as_str_name().trim_start_matches("PROPOSAL_STATE_");
    Error::precondition("PROPOSAL_CLOSED", format!("{} is {state}", proposal.name))
}

/// Ends the vote.
pub(super) fn decide(proposal: &mut Proposal, state: ProposalState, reason: String, now: Timestamp) {
    proposal.state = state.into();
    proposal.decide_time = some(now);
    proposal.decide_reason = reason;
    proposal.update_time = some(now);
}

/// Marks the votes of the current round as not counting.
fn void(proposal: &mut Proposal, reason: &str) {
    let round = proposal.round;
    for vote in proposal.votes.iter_mut().filter(|vote| vote.round == round && vote.void_reason.is_empty()) {
        reason.clone_into(&mut vote.void_reason);
    }
}

/// Pins rule, electorate and end of a new round.
async fn open(mutation: &mut Mutation, proposal: &mut Proposal, body: &Body) -> Result<()> {
    let (now, tenant) = (mutation.now(), mutation.tenant().clone());
    let (quorum, period) = bodies::class_rule(body, proposal.change_class());
    let seats = bodies::seats(mutation.tx(), &tenant, &body.name).await?;
    void(proposal, "NEW_ROUND");
    proposal.round += 1;
    proposal.quorum = Some(quorum);
    proposal.electorate =
        seats.iter().map(|seat| Seat { subject: seat.subject.clone(), role_group: seat.role_group.clone() }).collect();
    let ballot = ballot(proposal, &seats);
    let lacking = ballot.unreachable();
    if !lacking.is_empty() {
        let message = format!("the eligible members of {} cannot meet its rule: {}", body.name, lacking.join(", "));
        return Err(Error::precondition("QUORUM_UNREACHABLE", message));
    }
    let end = now.plus(period);
    proposal.state = ProposalState::Open.into();
    proposal.tally = Some(tally(&ballot.standing()));
    (proposal.open_time, proposal.expire_time, proposal.update_time) = (some(now), some(end), some(now));
    (proposal.decide_time, proposal.decide_reason) = (None, String::new());
    let (id, payload) = (timer_id(&proposal.name), proposal.name.clone().into_bytes());
    timers::schedule(mutation.tx(), &tenant, &id, "proposal.expire", end, &payload).await
}
