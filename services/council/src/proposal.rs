//! Rules of proposals: what they do, who may vote when, and what the votes amount to.

use crate::body;
use crate::time::{at, text};
use jiff::tz::TimeZone;
use remit_api::council::v1::action::Kind as Act;
use remit_api::council::v1::{
    Action, CastVote, GrantWaiver, Proposal, ProposalState, SeatMember, Tally, UnseatMember, VoteChoice,
};
use remit_api::registry::v1::ApprovalTerms;
use remit_api::wire::time::stamp;
use remit_api::wire::{self, Word as _};
use remit_core::details::{ProposalMoved, VoteReminded};
use remit_core::name::{
    ArtifactVersionName, AutomationName, BodyName, GateVersionName, HoldName, MemberName, ModelVersionName,
    PolicyVersionName,
};
use remit_core::quorum::{self, Asked, Ballot, Choice, Outcome, Standing};
use remit_core::{Actor, Error, Result, Timestamp, canonical, digest};

/// The longest action, in bytes of canonical JSON, that an audit entry repeats in full.
const MOST_ACTION: usize = 8_192;

/// What happens on approval.
pub(crate) fn act(proposal: &Proposal) -> Option<&Act> {
    proposal.action.as_ref()?.kind.as_ref()
}

/// The name of what a proposal does, as in filters and audit entries.
pub(crate) fn kind_of(proposal: &Proposal) -> &'static str {
    match act(proposal) {
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
        Some(Act::ActivateGate(_)) => "activate_gate",
        Some(Act::AmendBody(_)) => "amend_body",
        Some(Act::SeatMember(_)) => "seat_member",
        Some(Act::UnseatMember(_)) => "unseat_member",
        Some(Act::LoosenRules(_)) => "loosen_rules",
        None => "",
    }
}

/// Refuses an action that says nothing, or names nothing of the right form.
///
/// # Errors
/// `InvalidArgument`: `ACTION_REQUIRED`, `NAME_INVALID`, `TIME_OUT_OF_RANGE` for terms that are over, `TIME_ZONE_UNKNOWN`, and those of
/// [`crate::waiver::check`].
pub(crate) fn check_action(action: Option<&Action>, now: Timestamp) -> Result<()> {
    let field = |field: &str| format!("proposal.action.{field}");
    let version =
        |name: &str, kind: &str| ModelVersionName::parse(name, &field(&format!("{kind}.model_version"))).map(drop);
    let Some(kind) = action.and_then(|action| action.kind.as_ref()) else {
        return Err(Error::invalid("ACTION_REQUIRED", "proposal.action", "must say what happens on approval"));
    };
    match kind {
        Act::ActivatePolicy(a) => {
            PolicyVersionName::parse(&a.policy_version, &field("activate_policy.policy_version")).map(drop)
        }
        Act::PromoteModel(a) => {
            check_terms(a.terms.as_ref(), &field("promote_model"), now)?;
            version(&a.model_version, "promote_model")
        }
        Act::SuspendModel(a) => version(&a.model_version, "suspend_model"),
        Act::RetireModel(a) => version(&a.model_version, "retire_model"),
        Act::RestrictModel(a) => {
            check_terms(a.terms.as_ref(), &field("restrict_model"), now)?;
            version(&a.model_version, "restrict_model")
        }
        Act::ApproveAutomation(a) => {
            AutomationName::parse(&a.automation, &field("approve_automation.automation")).map(drop)
        }
        Act::ApproveArtifact(a) => {
            ArtifactVersionName::parse(&a.artifact_version, &field("approve_artifact.artifact_version")).map(drop)
        }
        Act::ActivateGate(a) => GateVersionName::parse(&a.gate_version, &field("activate_gate.gate_version")).map(drop),
        Act::GrantWaiver(grant) => crate::waiver::check(grant, now),
        Act::LiftHold(a) => HoldName::parse(&a.hold, &field("lift_hold.hold")).map(drop),
        Act::AmendBody(a) => {
            let name = a.body.as_ref().map_or("", |body| body.name.as_str());
            BodyName::parse(name, &field("amend_body.body.name")).map(drop)
        }
        Act::SeatMember(a) => BodyName::parse(&a.body, &field("seat_member.body")).map(drop),
        Act::UnseatMember(a) => MemberName::parse(&a.member, &field("unseat_member.member")).map(drop),
        Act::LoosenRules(a) => crate::loosening::check(a),
        Act::Resolution(_) => Ok(()),
    }
}

/// Refuses terms that are over already, and days of a zone that nobody knows: nobody need vote on what could not be
/// carried out.
fn check_terms(terms: Option<&ApprovalTerms>, field: &str, now: Timestamp) -> Result<()> {
    let zone = terms.map_or("", |terms| terms.time_zone.as_str());
    if !zone.is_empty() && TimeZone::get(zone).is_err() {
        let rule = "must be an IANA zone such as Europe/Lisbon";
        return Err(Error::invalid("TIME_ZONE_UNKNOWN", format!("{field}.terms.time_zone"), rule));
    }
    let end = terms.and_then(|terms| terms.expire_time);
    if end.is_some() && at(&end) <= now {
        return Err(Error::invalid("TIME_OUT_OF_RANGE", format!("{field}.terms.expire_time"), "must be in the future"));
    }
    Ok(())
}

/// The digest over everything that a voter decides on.
pub(crate) fn content_digest(proposal: &Proposal) -> String {
    wire::digest(&Proposal {
        name: proposal.name.clone(),
        title: proposal.title.clone(),
        rationale: proposal.rationale.clone(),
        evidence: proposal.evidence.clone(),
        action: proposal.action.clone(),
        body: proposal.body.clone(),
        change_class: proposal.change_class,
        changes: proposal.changes.clone(),
        ..Proposal::default()
    })
}

/// Whether `actor` made this proposal.
pub(crate) fn is_by(proposal: &Proposal, actor: &Actor) -> bool {
    let kind = wire::actor(actor).kind;
    proposal.proposer.as_ref().is_some_and(|proposer| proposer.subject == actor.subject && proposer.kind == kind)
}

/// The vote as it stands, for the counting. All that counts was pinned or written down with the proposal, so that whoever
/// has it, or its entries in the log, counts alike.
pub(crate) fn ballot(proposal: &Proposal) -> Ballot {
    let pinned = proposal.electorate.iter();
    Ballot {
        rule: proposal.quorum.as_ref().map(body::rule).unwrap_or_default(),
        seats: pinned
            .clone()
            .map(|seat| quorum::Seat { subject: seat.subject.clone(), role_group: seat.role_group.clone() })
            .collect(),
        proposer: proposal.proposer.as_ref().map(|actor| actor.subject.clone()).unwrap_or_default(),
        beneficiary: concerned(proposal),
        recused: proposal.recusals.iter().map(|recusal| recusal.subject.clone()).collect(),
        departed: pinned.filter(|seat| seat.departed).map(|seat| seat.subject.clone()).collect(),
        votes: counted(proposal)
            .filter_map(|vote| {
                let voter = vote.voter.as_ref()?.subject.clone();
                Some(quorum::Vote { seat: vote.seat.clone(), voter, choice: choice(vote.choice())? })
            })
            .collect(),
    }
}

/// The person whom it favours or concerns, and who therefore does not vote on it; empty if nobody in particular.
fn concerned(proposal: &Proposal) -> String {
    match act(proposal) {
        Some(Act::GrantWaiver(GrantWaiver { beneficiary, .. })) => beneficiary.clone(),
        Some(Act::SeatMember(SeatMember { seat: Some(seat), .. })) => seat.subject.clone(),
        Some(Act::UnseatMember(UnseatMember { subject, .. })) => subject.clone(),
        _ => String::new(),
    }
}

/// Refuses a voter who would get a seat by it in the body that decides, and votes as somebody's delegate.
///
/// # Errors
/// `PermissionDenied` (`BENEFICIARY_CANNOT_VOTE`).
pub(crate) fn check_voter(proposal: &Proposal, voter: &Actor) -> Result<()> {
    if is_seated_by(proposal, &voter.subject) {
        return Err(Error::denied("BENEFICIARY_CANNOT_VOTE", format!("{} would get a seat by this", voter.subject)));
    }
    Ok(())
}

/// Whether somebody would get a seat by a proposal in the body that decides it.
fn is_seated_by(proposal: &Proposal, subject: &str) -> bool {
    let Some(Act::AmendBody(a)) = act(proposal) else { return false };
    let here = a.body.as_ref().is_some_and(|body| body.name == proposal.body);
    here && a.seats.iter().any(|seat| seat.subject == subject)
}

/// Who is asked for a vote on a proposal at `now`: nobody, unless it is open.
pub(crate) fn asked(proposal: &Proposal, delegations: &[quorum::Delegation], now: Timestamp) -> Asked {
    if proposal.state() != ProposalState::Open {
        return Asked::default();
    }
    let mut asked = ballot(proposal).asked(delegations, now);
    asked.members.retain(|subject| !is_seated_by(proposal, subject));
    asked.stand_ins.retain(|subject| !is_seated_by(proposal, subject));
    asked
}

/// The votes that count.
pub(crate) fn counted(proposal: &Proposal) -> impl Iterator<Item = &CastVote> {
    proposal.votes.iter().filter(|vote| vote.void_reason.is_empty() && vote.round == proposal.round)
}

/// Takes the seat of a member who left out of a vote that is open; whether it had one.
pub(crate) fn depart(proposal: &mut Proposal, subject: &str) -> bool {
    let Some(seat) = proposal.electorate.iter_mut().find(|seat| seat.subject == subject && !seat.departed) else {
        return false;
    };
    seat.departed = true;
    let round = proposal.round;
    let theirs = |vote: &&mut CastVote| vote.void_reason.is_empty() && vote.round == round && vote.seat == subject;
    for vote in proposal.votes.iter_mut().filter(theirs) {
        "DEPARTED".clone_into(&mut vote.void_reason);
    }
    true
}

/// A choice for the counting.
pub(crate) fn choice(choice: VoteChoice) -> Option<Choice> {
    match choice {
        VoteChoice::Approve => Some(Choice::Approve),
        VoteChoice::Reject => Some(Choice::Reject),
        VoteChoice::Abstain => Some(Choice::Abstain),
        VoteChoice::Veto => Some(Choice::Veto),
        VoteChoice::Unspecified => None,
    }
}

/// The standing as in the contract.
pub(crate) fn tally(standing: &Standing) -> Tally {
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

/// Counts, and ends the vote if it is decided.
pub(crate) fn settle(proposal: &mut Proposal, now: Timestamp) {
    let ballot = ballot(proposal);
    let standing = ballot.standing();
    proposal.tally = Some(tally(&standing));
    proposal.update_time = Some(stamp(now));
    let lacking = standing.missing.join(", ");
    let veto = counted(proposal).find(|vote| {
        let eligible = ballot.eligible().any(|seat| seat.subject == vote.seat);
        vote.choice() == VoteChoice::Veto && eligible && ballot.rule.veto_groups.contains(&vote.role_group)
    });
    let (state, reason) = match (standing.outcome, veto) {
        (Outcome::Pending, _) => return,
        (Outcome::Approved, _) => (ProposalState::Approved, String::new()),
        (Outcome::Rejected, Some(vote)) => {
            let who = vote.voter.as_ref().map_or(vote.seat.as_str(), |voter| voter.subject.as_str());
            (ProposalState::Rejected, format!("vetoed by {who} ({})", vote.role_group))
        }
        (Outcome::Rejected, None) => (ProposalState::Rejected, format!("the rule cannot be met any more: {lacking}")),
        (Outcome::Unreachable, _) => {
            (ProposalState::Escalated, format!("the eligible seats cannot meet the rule: {lacking}"))
        }
    };
    decide(proposal, state, reason, now);
}

/// Ends the vote.
pub(crate) fn decide(proposal: &mut Proposal, state: ProposalState, reason: String, now: Timestamp) {
    proposal.state = state.into();
    proposal.decide_time = Some(stamp(now));
    proposal.decide_reason = reason;
    proposal.update_time = Some(stamp(now));
}

/// A proposal as it is shown: a mandate that is not used up yet is nobody's to use but the council's.
pub(crate) fn shown(mut proposal: Proposal) -> Proposal {
    if proposal.state() == ProposalState::Executing
        && let Some(execution) = &mut proposal.execution
    {
        execution.mandates.clear();
    }
    proposal
}

/// Marks the votes of the current round as not counting.
pub(crate) fn void(proposal: &mut Proposal, reason: &str) {
    let round = proposal.round;
    for vote in proposal.votes.iter_mut().filter(|vote| vote.round == round && vote.void_reason.is_empty()) {
        reason.clone_into(&mut vote.void_reason);
    }
}

/// Refuses a vote on a proposal that is not open, or no longer.
///
/// # Errors
/// `FailedPrecondition`: `PROPOSAL_EXPIRED`, `PROPOSAL_NOT_OPEN`.
pub(crate) fn check_open(proposal: &Proposal, now: Timestamp) -> Result<()> {
    let over = proposal.expire_time.is_some() && at(&proposal.expire_time) <= now;
    match proposal.state() {
        ProposalState::Open if !over => Ok(()),
        ProposalState::Open | ProposalState::Expired => {
            Err(Error::precondition("PROPOSAL_EXPIRED", format!("the voting period of {} is over", proposal.name)))
        }
        state => Err(Error::precondition("PROPOSAL_NOT_OPEN", format!("{} is {}", proposal.name, state.word()))),
    }
}

/// Refuses a change in any other state than these.
///
/// # Errors
/// `FailedPrecondition` (`PROPOSAL_CLOSED`).
pub(crate) fn check_state(proposal: &Proposal, allowed: &[ProposalState]) -> Result<()> {
    if allowed.contains(&proposal.state()) {
        return Ok(());
    }
    Err(Error::precondition("PROPOSAL_CLOSED", format!("{} is {}", proposal.name, proposal.state().word())))
}

/// What an audit entry says about a proposal beside its name: enough to prove the decision from the log alone.
pub(crate) fn moved(proposal: &Proposal) -> ProposalMoved {
    let ballot = ballot(proposal);
    let eligible: Vec<_> = ballot.eligible().collect();
    let excluded = ballot.seats.iter().filter(|seat| !eligible.contains(seat)).map(|seat| seat.subject.clone());
    ProposalMoved {
        kind: kind_of(proposal).to_owned(),
        body: proposal.body.clone(),
        state: proposal.state().word().to_owned(),
        round: proposal.round,
        content_digest: proposal.content_digest.clone(),
        action: action_text(proposal),
        excluded: excluded.collect(),
        rule: ballot.rule.clone(),
        electorate: ballot.seats.clone(),
        expire_time: text(&proposal.expire_time),
        ..ProposalMoved::default()
    }
}

/// The same of what asks for votes.
pub(crate) fn asking(proposal: &Proposal, asked: Asked) -> ProposalMoved {
    let (wanted, standing_in) = (asked.members.into_iter().collect(), asked.stand_ins.into_iter().collect());
    ProposalMoved { wanted, standing_in, ..moved(proposal) }
}

/// That votes are missing, and whose.
pub(crate) fn reminded(proposal: &Proposal, asked: Asked) -> VoteReminded {
    let (wanted, standing_in) = (asked.members.into_iter().collect(), asked.stand_ins.into_iter().collect());
    VoteReminded {
        kind: kind_of(proposal).to_owned(),
        body: proposal.body.clone(),
        state: proposal.state().word().to_owned(),
        expire_time: text(&proposal.expire_time),
        wanted,
        standing_in,
    }
}

/// The action as canonical JSON, or its digest if that is long.
fn action_text(proposal: &Proposal) -> String {
    let json = proposal.action.as_ref().and_then(remit_api::json);
    let text = json.and_then(|json| canonical::json(&json).ok()).unwrap_or_default();
    if text.len() > MOST_ACTION { digest::sha256(text.as_bytes()) } else { text }
}
