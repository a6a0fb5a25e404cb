//! Proposals from the draft to the end of the vote.

use super::holds::check_liftable;
use super::{Service, insert, save};
use crate::body::{class_rule, rule_for};
use crate::proposal::{
    self, ballot, check_open, check_state, content_digest, decide, kind_of, moved, settle, tally, void,
};
use crate::store::{Bodies, Holds, Proposals, delegations, seats};
use remit_api::council::v1::action::Kind as Act;
use remit_api::council::v1::{
    Body, CancelProposalRequest, CastVote, ChangeClass, CreateProposalRequest, GetProposalRequest,
    ListProposalsRequest, ListProposalsResponse, OpenProposalRequest, Proposal, ProposalState, Recusal, RecuseRequest,
    RetryProposalRequest, Seat, UpdateProposalRequest, VoteRequest,
};
use remit_api::wire::time::stamp;
use remit_api::wire::{self, Word as _, mask, required};
use remit_core::details::{Details as _, ProposalMoved, VoteCast};
use remit_core::name::{BodyName, ProposalName};
use remit_core::{Error, Kind, Result, canonical, etag, name};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _, timers};

fn timer_id(proposal: &str) -> String {
    format!("proposal.expire:{proposal}")
}

/// Refuses what cannot be executed whatever the vote.
async fn check_action(m: &mut Mutation, proposal: &Proposal) -> Result<()> {
    proposal::check_action(proposal.action.as_ref(), m.now())?;
    if let Some(Act::LiftHold(lift)) = proposal::act(proposal) {
        let tenant = m.tenant().clone();
        check_liftable(&Holds::get(m.tx(), &tenant, &lift.hold).await?)?;
    }
    Ok(())
}

/// Pins rule, electorate and end of a new round.
async fn open(m: &mut Mutation, proposal: &mut Proposal, body: &Body) -> Result<()> {
    let (now, tenant) = (m.now(), m.tenant().clone());
    let (quorum, period) = class_rule(body, proposal.change_class());
    let quorum = rule_for(body, kind_of(proposal), quorum)?;
    let seats = seats(m.tx(), &tenant, &body.name).await?;
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
    proposal.open_time = Some(stamp(now));
    proposal.update_time = proposal.open_time;
    proposal.expire_time = Some(stamp(end));
    (proposal.decide_time, proposal.decide_reason) = (None, String::new());
    let id = timer_id(&proposal.name);
    timers::schedule(m.tx(), &tenant, &id, "proposal.expire", end, proposal.name.as_bytes()).await
}

/// Ends the timer of a vote that is over.
async fn close(m: &mut Mutation, before: &Proposal, proposal: &Proposal) -> Result<()> {
    if before.state() == ProposalState::Open && proposal.state() != ProposalState::Open {
        let tenant = m.tenant().clone();
        timers::cancel(m.tx(), &tenant, &timer_id(&proposal.name)).await?;
    }
    Ok(())
}

/// Ends a vote whose time is over.
pub(super) async fn expire_proposal(m: &mut Mutation, name: &str) -> Result<()> {
    let before = Proposals::claim(m, name).await?;
    if before.state() != ProposalState::Open {
        return Ok(());
    }
    let mut proposal = before.clone();
    let reason = "the voting period ended without a decision".to_owned();
    decide(&mut proposal, ProposalState::Expired, reason, m.now());
    save::<Proposals>(m, &before, &mut proposal, |event| "council.proposals.expire".clone_into(&mut event.action)).await
}

impl Service {
    /// Creates a proposal, open at once if asked.
    pub(crate) async fn create_proposal(&self, cx: &Cx, request: CreateProposalRequest) -> Result<Proposal> {
        let name = ProposalName::new(name::id(&request.proposal_id, "proposal_id")?).to_string();
        let mut given = required(request.proposal.clone(), "proposal")?;
        BodyName::parse(&given.body, "proposal.body")?;
        // Asked before the transaction, which must not wait for it; refused within, so that a repeat is answered from the
        // record whatever has become of the subject.
        let pinned = self.pin_content(&cx.tenant, given.action.as_mut()).await;
        let create = async |m: &mut Mutation| {
            let body = Bodies::get(m.tx(), &cx.tenant, &given.body).await?;
            let class = match given.change_class() {
                ChangeClass::Unspecified => ChangeClass::Normal,
                class => class,
            };
            let now = Some(stamp(m.now()));
            let mut proposal = Proposal {
                name,
                title: given.title,
                rationale: given.rationale,
                evidence: given.evidence,
                action: given.action,
                body: given.body,
                change_class: class.into(),
                state: ProposalState::Draft.into(),
                proposer: Some(wire::actor(&cx.actor)),
                create_time: now,
                update_time: now,
                ..Proposal::default()
            };
            check_action(m, &proposal).await?;
            pinned?;
            proposal.content_digest = content_digest(&proposal);
            if request.open {
                open(m, &mut proposal, &body).await?;
            }
            let details = moved(&proposal).json();
            insert::<Proposals>(m, &mut proposal, |event| event.details = details).await?;
            Ok(proposal)
        };
        self.mutate(cx, &request, create).await
    }

    pub(crate) async fn get_proposal(&self, cx: &Cx, request: GetProposalRequest) -> Result<Proposal> {
        ProposalName::parse(&request.name, "name")?;
        self.get::<Proposals>(cx, &request.name).await
    }

    pub(crate) async fn list_proposals(&self, cx: &Cx, request: ListProposalsRequest) -> Result<ListProposalsResponse> {
        let (proposals, next_page_token) = self.list::<Proposals>(cx, cx.page(&request)).await?;
        Ok(ListProposalsResponse { proposals, next_page_token })
    }

    /// Changes the content of a proposal and voids the votes on it.
    pub(crate) async fn update_proposal(&self, cx: &Cx, request: UpdateProposalRequest) -> Result<Proposal> {
        const ALLOWED: &[&str] = &["title", "rationale", "evidence", "action"];
        let mut given = required(request.proposal.clone(), "proposal")?;
        ProposalName::parse(&given.name, "proposal.name")?;
        let pinned = self.pin_content(&cx.tenant, given.action.as_mut()).await;
        let update = async |m: &mut Mutation| {
            let before = Proposals::claim(m, &given.name).await?;
            etag::check(&given.etag, &before.etag, &before.name)?;
            if !proposal::is_by(&before, &cx.actor) {
                return Err(Error::denied("NOT_THE_PROPOSER", format!("only the proposer may change {}", before.name)));
            }
            check_state(&before, &[ProposalState::Draft, ProposalState::Open])?;
            let mut proposal = mask::apply(&before, &given, request.update_mask.as_ref(), ALLOWED, &[])?;
            if proposal.action != before.action {
                pinned?;
                check_action(m, &proposal).await?;
            }
            proposal.content_digest = content_digest(&proposal);
            if proposal.content_digest != before.content_digest {
                void(&mut proposal, "CONTENT_CHANGED");
            }
            if proposal.state() == ProposalState::Open {
                let seats = seats(m.tx(), &cx.tenant, &proposal.body).await?;
                proposal.tally = Some(tally(&ballot(&proposal, &seats).standing()));
            }
            proposal.update_time = Some(stamp(m.now()));
            save::<Proposals>(m, &before, &mut proposal, |_| {}).await?;
            Ok(proposal)
        };
        self.mutate(cx, &request, update).await
    }

    /// Opens the vote on a draft, or a new round on an escalated proposal.
    pub(crate) async fn open_proposal(&self, cx: &Cx, request: OpenProposalRequest) -> Result<Proposal> {
        ProposalName::parse(&request.name, "name")?;
        let work = async |m: &mut Mutation| {
            let before = Proposals::claim(m, &request.name).await?;
            check_state(&before, &[ProposalState::Draft, ProposalState::Escalated])?;
            let body = Bodies::get(m.tx(), &cx.tenant, &before.body).await?;
            let mut proposal = before.clone();
            open(m, &mut proposal, &body).await?;
            let details = moved(&proposal).json();
            save::<Proposals>(m, &before, &mut proposal, |event| event.details = details).await?;
            Ok(proposal)
        };
        self.mutate(cx, &request, work).await
    }

    /// Casts the caller's vote, and executes the proposal if that decides it.
    pub(crate) async fn vote(&self, cx: &Cx, request: VoteRequest) -> Result<Proposal> {
        ProposalName::parse(&request.name, "name")?;
        let cast = async |m: &mut Mutation| {
            let before = Proposals::claim(m, &request.name).await?;
            let now = m.now();
            check_open(&before, now)?;
            if request.content_digest != before.content_digest {
                let message =
                    format!("{} was edited: read it again, its digest is {}", before.name, before.content_digest);
                return Err(Error::precondition("CONTENT_CHANGED", message));
            }
            let Some(chosen) = proposal::choice(request.choice()) else {
                return Err(Error::invalid("FIELD_REQUIRED", "choice", "must be APPROVE, REJECT, ABSTAIN or VETO"));
            };
            let seats = seats(m.tx(), &cx.tenant, &before.body).await?;
            let delegations = delegations(m.tx(), &cx.tenant, &before.body).await?;
            let ballot = ballot(&before, &seats);
            let wanted = (!request.seat.is_empty()).then_some(request.seat.as_str());
            let seat = ballot.admit(&cx.actor, wanted, chosen, &delegations, now)?;
            let mut proposal = before.clone();
            proposal.votes.push(CastVote {
                seat: seat.subject.clone(),
                role_group: seat.role_group.clone(),
                voter: Some(wire::actor(&cx.actor)),
                choice: request.choice,
                comment: request.comment.clone(),
                content_digest: request.content_digest.clone(),
                create_time: Some(stamp(now)),
                round: before.round,
                event: m.new_id(),
                ..CastVote::default()
            });
            settle(&mut proposal, &seats, now);
            close(m, &before, &proposal).await?;
            let ProposalMoved { kind, body, state, round, content_digest } = moved(&proposal);
            let choice = request.choice().word().to_owned();
            let (seat, role_group) = (seat.subject.clone(), seat.role_group.clone());
            let details = VoteCast { kind, body, state, round, content_digest, choice, seat, role_group }.json();
            let mut id = String::new();
            if let Some(vote) = proposal.votes.last_mut() {
                vote.event_digest = canonical::digest(&details)?;
                id.clone_from(&vote.event);
            }
            save::<Proposals>(m, &before, &mut proposal, |event| {
                event.id = id;
                event.reason.clone_from(&request.comment);
                event.details = details;
            })
            .await?;
            Ok(proposal)
        };
        let voted = self.mutate(cx, &request, cast).await;
        match &voted {
            Ok(proposal) => self.execute_now(cx, proposal).await,
            Err(error) if matches!(error.kind(), Kind::PermissionDenied | Kind::FailedPrecondition) => {
                self.refused(cx, &request.name, error).await?;
            }
            Err(_) => {}
        }
        voted
    }

    /// Declares the caller's conflict of interest.
    pub(crate) async fn recuse(&self, cx: &Cx, request: RecuseRequest) -> Result<Proposal> {
        ProposalName::parse(&request.name, "name")?;
        let recuse = async |m: &mut Mutation| {
            let before = Proposals::claim(m, &request.name).await?;
            let now = m.now();
            check_open(&before, now)?;
            let me = &cx.actor.subject;
            if before.recusals.iter().any(|recusal| &recusal.subject == me) {
                return Err(Error::precondition("RECUSED", format!("{me} declared a conflict of interest already")));
            }
            if !before.electorate.iter().any(|seat| &seat.subject == me) {
                return Err(Error::denied("NOT_ELIGIBLE", format!("{me} has no seat in this vote")));
            }
            let seats = seats(m.tx(), &cx.tenant, &before.body).await?;
            let mut proposal = before.clone();
            let (reason, create_time) = (request.reason.clone(), Some(stamp(now)));
            proposal.recusals.push(Recusal { subject: me.clone(), reason, create_time });
            let theirs = |vote: &&mut CastVote| {
                vote.void_reason.is_empty()
                    && (&vote.seat == me || vote.voter.as_ref().is_some_and(|voter| &voter.subject == me))
            };
            for vote in proposal.votes.iter_mut().filter(theirs) {
                "RECUSED".clone_into(&mut vote.void_reason);
            }
            settle(&mut proposal, &seats, now);
            close(m, &before, &proposal).await?;
            let details = moved(&proposal).json();
            save::<Proposals>(m, &before, &mut proposal, |event| {
                event.reason.clone_from(&request.reason);
                event.details = details;
            })
            .await?;
            Ok(proposal)
        };
        let proposal = self.mutate(cx, &request, recuse).await?;
        self.execute_now(cx, &proposal).await;
        Ok(proposal)
    }

    /// Withdraws a proposal.
    pub(crate) async fn cancel_proposal(&self, cx: &Cx, request: CancelProposalRequest) -> Result<Proposal> {
        ProposalName::parse(&request.name, "name")?;
        let cancel = async |m: &mut Mutation| {
            let before = Proposals::claim(m, &request.name).await?;
            check_state(&before, &[ProposalState::Draft, ProposalState::Open, ProposalState::Escalated])?;
            let me = &cx.actor.subject;
            let member = async |m: &mut Mutation| -> Result<bool> {
                let seats = seats(m.tx(), &cx.tenant, &before.body).await?;
                Ok(cx.actor.is_human() && seats.iter().any(|seat| &seat.subject == me))
            };
            if !proposal::is_by(&before, &cx.actor) && !member(m).await? {
                return Err(Error::denied("NOT_ELIGIBLE", "only the proposer and members of the body may withdraw it"));
            }
            let mut proposal = before.clone();
            decide(&mut proposal, ProposalState::Cancelled, request.reason.clone(), m.now());
            close(m, &before, &proposal).await?;
            save::<Proposals>(m, &before, &mut proposal, |event| event.reason.clone_from(&request.reason)).await?;
            Ok(proposal)
        };
        self.mutate(cx, &request, cancel).await
    }

    /// Executes a failed proposal once more.
    pub(crate) async fn retry_proposal(&self, cx: &Cx, request: RetryProposalRequest) -> Result<Proposal> {
        ProposalName::parse(&request.name, "name")?;
        let retry = async |m: &mut Mutation| {
            let before = Proposals::claim(m, &request.name).await?;
            if before.state() != ProposalState::Failed {
                return Err(Error::precondition("NOT_FAILED", format!("{} did not fail", before.name)));
            }
            let (state, update_time) = (ProposalState::Approved.into(), Some(stamp(m.now())));
            let mut proposal = Proposal { state, update_time, ..before.clone() };
            save::<Proposals>(m, &before, &mut proposal, |_| {}).await?;
            Ok(proposal)
        };
        let proposal = self.mutate(cx, &request, retry).await?;
        self.execute_now(cx, &proposal).await;
        Ok(proposal)
    }
}
