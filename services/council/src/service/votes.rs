//! Votes and recusals, and what they amount to.

use super::proposals::{ballot, choice, decide, details, tally, timer_id};
use super::{Council, actor, bodies, changed, check_name, some};
use crate::store;
use crate::time::micros;
use remit_api::council::v1::{CastVote, Proposal, ProposalState, Recusal, RecuseRequest, VoteRequest};
use remit_core::quorum::{Outcome, Seat};
use remit_core::{Error, Kind, Result, Timestamp};
use remit_runtime::{Cx, Started, finish};
use remit_store::{Mutation, timers};

/// Refuses a vote on a proposal that is not open, or no longer.
fn check_open(proposal: &Proposal, now: Timestamp) -> Result<()> {
    let over = proposal.expire_time.as_ref().is_some_and(|end| micros(end) <= now);
    match proposal.state() {
        ProposalState::Open if !over => Ok(()),
        ProposalState::Open | ProposalState::Expired => {
            Err(Error::precondition("PROPOSAL_EXPIRED", format!("the voting period of {} is over", proposal.name)))
        }
        state => {
            let state = state.as_str_name().trim_start_matches("PROPOSAL_STATE_");
            Err(Error::precondition("PROPOSAL_NOT_OPEN", format!("{} is {state}", proposal.name)))
        }
    }
}

/// Counts, and ends the vote if it is decided.
fn settle(proposal: &mut Proposal, seats: &[Seat], now: Timestamp) {
    let standing = ballot(proposal, seats).standing();
    proposal.tally = Some(tally(&standing));
    proposal.update_time = some(now);
    let lacking = standing.missing.join(", ");
    match standing.outcome {
        Outcome::Pending => {}
        Outcome::Approved => decide(proposal, ProposalState::Approved, String::new(), now),
        Outcome::Rejected => {
            decide(proposal, ProposalState::Rejected, format!("the rule cannot be met any more: {lacking}"), now);
        }
        Outcome::Unreachable => {
            decide(
                proposal,
                ProposalState::Escalated,
                format!("the eligible seats cannot meet the rule: {lacking}"),
                now,
            );
        }
    }
}

impl Council {
    /// Casts the caller's vote, and executes the proposal if that decides it.
    pub async fn vote(&self, cx: &Cx, request: VoteRequest) -> Result<Proposal> {
        check_name(&request.name, "proposals/*", "name")?;
        let mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(proposal) => return Ok(proposal),
            Started::Fresh(mutation) => mutation,
        };
        match self.cast(cx, mutation, &request).await {
            Ok(proposal) => {
                self.execute_now(cx, &proposal).await;
                Ok(proposal)
            }
            Err(error) => {
                if matches!(error.kind(), Kind::PermissionDenied | Kind::FailedPrecondition) {
                    self.refused(cx, &request.name, &error).await?;
                }
                Err(error)
            }
        }
    }

    async fn cast(&self, cx: &Cx, mut mutation: Box<Mutation>, request: &VoteRequest) -> Result<Proposal> {
        let now = mutation.now();
        let before: Proposal = store::claim(mutation.tx(), &cx.tenant, &request.name).await?;
        check_open(&before, now)?;
        if request.content_digest != before.content_digest {
            let message = format!("{} was edited: read it again, its digest is {}", before.name, before.content_digest);
            return Err(Error::precondition("CONTENT_CHANGED", message));
        }
        let Some(chosen) = choice(request.choice()) else {
            return Err(Error::invalid("FIELD_REQUIRED", "choice", "must be APPROVE, REJECT, ABSTAIN or VETO"));
        };
        let seats = bodies::seats(mutation.tx(), &cx.tenant, &before.body).await?;
        let delegations = bodies::delegations(mutation.tx(), &cx.tenant, &before.body).await?;
        let ballot = ballot(&before, &seats);
        let wanted = (!request.seat.is_empty()).then_some(request.seat.as_str());
        let seat = ballot.admit(&cx.actor, wanted, chosen, &delegations, now)?;
        let mut proposal = before.clone();
        proposal.votes.push(CastVote {
            seat: seat.subject.clone(),
            role_group: seat.role_group.clone(),
            voter: Some(actor(&cx.actor)),
            choice: request.choice,
            comment: request.comment.clone(),
            content_digest: request.content_digest.clone(),
            create_time: some(now),
            round: before.round,
            void_reason: String::new(),
        });
        settle(&mut proposal, &seats, now);
        self.commit_vote(mutation, &before, proposal, &request.comment).await
    }

    /// Declares the caller's conflict of interest.
    pub async fn recuse(&self, cx: &Cx, request: RecuseRequest) -> Result<Proposal> {
        check_name(&request.name, "proposals/*", "name")?;
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(proposal) => return Ok(proposal),
            Started::Fresh(mutation) => mutation,
        };
        let now = mutation.now();
        let before: Proposal = store::claim(mutation.tx(), &cx.tenant, &request.name).await?;
        check_open(&before, now)?;
        let me = &cx.actor.subject;
        if before.recusals.iter().any(|recusal| &recusal.subject == me) {
            return Err(Error::precondition("RECUSED", format!("{me} declared a conflict of interest already")));
        }
        if !before.electorate.iter().any(|seat| &seat.subject == me) {
            return Err(Error::denied("NOT_ELIGIBLE", format!("{me} has no seat in this vote")));
        }
        let seats = bodies::seats(mutation.tx(), &cx.tenant, &before.body).await?;
        let mut proposal = before.clone();
        let reason = request.reason.clone();
        proposal.recusals.push(Recusal { subject: me.clone(), reason, create_time: some(now) });
        let theirs = |vote: &&mut CastVote| {
            vote.void_reason.is_empty()
                && (&vote.seat == me || vote.voter.as_ref().is_some_and(|voter| &voter.subject == me))
        };
        for vote in proposal.votes.iter_mut().filter(theirs) {
            "RECUSED".clone_into(&mut vote.void_reason);
        }
        settle(&mut proposal, &seats, now);
        let proposal = self.commit_vote(mutation, &before, proposal, &request.reason).await?;
        self.execute_now(cx, &proposal).await;
        Ok(proposal)
    }

    async fn commit_vote(
        &self,
        mut mutation: Box<Mutation>,
        before: &Proposal,
        mut proposal: Proposal,
        reason: &str,
    ) -> Result<Proposal> {
        let tenant = mutation.tenant().clone();
        if proposal.state() != ProposalState::Open {
            timers::cancel(mutation.tx(), &tenant, &timer_id(&proposal.name)).await?;
        }
        store::save(mutation.tx(), &tenant, &mut proposal).await?;
        let mut event = changed(&mutation, &proposal.name, Some(before), &proposal);
        reason.clone_into(&mut event.reason);
        event.details = details(&proposal);
        if let (Some(vote), Some(details)) = (proposal.votes.last(), event.details.as_object_mut())
            && proposal.votes.len() > before.votes.len()
        {
            let choice = vote.choice().as_str_name().trim_start_matches("VOTE_CHOICE_");
            details.insert("choice".to_owned(), choice.into());
            details.insert("seat".to_owned(), vote.seat.clone().into());
            details.insert("role_group".to_owned(), vote.role_group.clone().into());
        }
        mutation.record(event);
        finish(mutation, proposal).await
    }
}
