//! Proposals from the draft to the end of the vote.

use super::ballots::{close, timer_id};
use super::constitutions::{check_jurisdiction, missing, pin};
use super::holds::check_liftable;
use super::{Service, insert, save};
use crate::body::{class_rule, raised};
use crate::proposal::{
    self, asked, asking, ballot, check_open, check_state, content_digest, decide, kind_of, moved, reminded, settle,
    tally, void,
};
use crate::seat;
use crate::steps::steps;
use crate::store::{Bodies, CONSTITUTION, Constitutions, Holds, Proposals, delegations, seats};
use crate::time::at;
use remit_api::council::v1::action::Kind as Act;
use remit_api::council::v1::{
    Body, CancelProposalRequest, CastVote, ChangeClass, CreateProposalRequest, FieldChange, GetProposalRequest,
    ListProposalsRequest, ListProposalsResponse, OpenProposalRequest, Proposal, ProposalState, Recusal, RecuseRequest,
    RetryProposalRequest, Seat, UpdateProposalRequest, VoteRequest,
};
use remit_api::wire::time::stamp;
use remit_api::wire::{self, Word as _, mask, required};
use remit_core::details::{Details as _, ProposalMoved, VoteCast};
use remit_core::name::{BodyName, ProposalName};
use remit_core::quorum::Asked;
use remit_core::{Error, Result, canonical, etag, name, quorum};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _, timers};
use serde_json::Value;
use std::time::Duration;

/// What the timer of a vote does: it reminds whose votes are missing so long before the end, or after half of a shorter
/// time, and ends it.
pub(super) const REMIND: &str = "proposal.remind";
pub(super) const EXPIRE: &str = "proposal.expire";
const LAST_CALL: Duration = Duration::from_secs(86_400);

/// Refuses what its body may not decide, and what cannot be executed whatever the vote.
async fn check_action(m: &mut Mutation, proposal: &Proposal, body: &Body) -> Result<()> {
    proposal::check_action(proposal.action.as_ref(), m.now())?;
    if let Some(Act::LiftHold(lift)) = proposal::act(proposal) {
        let tenant = m.tenant().clone();
        check_liftable(&Holds::get(m.tx(), &tenant, &lift.hold).await?)?;
    }
    check_jurisdiction(m, body, proposal).await
}

/// Pins rule, electorate and end of a new round.
async fn open(m: &mut Mutation, proposal: &mut Proposal, body: &Body) -> Result<()> {
    let (now, tenant) = (m.now(), m.tenant().clone());
    let (quorum, period) = class_rule(body, proposal.change_class());
    let seats = seats(m.tx(), &tenant, &body.name).await?;
    if seats.is_empty() && Constitutions::find(m.tx(), &tenant, CONSTITUTION).await?.is_none() {
        return Err(missing());
    }
    void(proposal, "NEW_ROUND");
    proposal.round += 1;
    proposal.quorum = Some(raised(kind_of(proposal), quorum));
    let pinned = |seat: quorum::Seat| Seat { subject: seat.subject, role_group: seat.role_group, departed: false };
    proposal.electorate = seats.into_iter().map(pinned).collect();
    let ballot = ballot(proposal);
    let lacking = ballot.unreachable();
    if !lacking.is_empty() {
        let lacking = lacking.join(", ");
        let mut message = format!("the eligible members of {} cannot meet its rule: {lacking}", body.name);
        let proposer = proposal.proposer.as_ref().map_or("", |actor| actor.subject.as_str());
        if let Some(own) = proposal.electorate.iter().find(|seat| seat.subject == proposer) {
            let why = format!(
                "; {proposer}, who proposes it, cannot vote on it for {}: let somebody else propose",
                own.role_group
            );
            message.push_str(&why);
        }
        return Err(Error::precondition("QUORUM_UNREACHABLE", message));
    }
    let end = now.plus(period);
    proposal.state = ProposalState::Open.into();
    proposal.tally = Some(tally(&ballot.standing()));
    proposal.open_time = Some(stamp(now));
    proposal.update_time = proposal.open_time;
    proposal.expire_time = Some(stamp(end));
    (proposal.decide_time, proposal.decide_reason) = (None, String::new());
    // One timer: whoever is to be reminded is, and then it is set to the end.
    let last_call = end.minus(LAST_CALL.min(period / 2));
    timers::schedule(m.tx(), &tenant, &timer_id(&proposal.name), REMIND, last_call, proposal.name.as_bytes()).await
}

/// What is said of a proposal that was opened: whom it asks.
async fn opened(m: &mut Mutation, proposal: &Proposal) -> Result<Value> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    let delegations = delegations(m.tx(), &tenant, &proposal.body).await?;
    Ok(asking(proposal, asked(proposal, &delegations, now)).json())
}

/// Says whose votes are missing on a proposal that ends soon, and sets its timer to the end.
pub(super) async fn remind_voters(m: &mut Mutation, name: &str) -> Result<()> {
    let proposal = Proposals::claim(m, name).await?;
    let (tenant, now, end) = (m.tenant().clone(), m.now(), at(&proposal.expire_time));
    if proposal.state() != ProposalState::Open {
        return Ok(());
    }
    let delegations = delegations(m.tx(), &tenant, &proposal.body).await?;
    let asked = asked(&proposal, &delegations, now);
    // After an outage it may be over already.
    if end > now && asked != Asked::default() {
        let mut event = m.event("council.proposals.remind", name);
        event.details = reminded(&proposal, asked).json();
        m.record_event(event);
    }
    timers::schedule(m.tx(), &tenant, &timer_id(name), EXPIRE, end, name.as_bytes()).await
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

/// Refuses whoever neither made a proposal nor sits in the body that decides it.
async fn check_concerned(m: &mut Mutation, cx: &Cx, proposal: &Proposal) -> Result<()> {
    if proposal::is_by(proposal, &cx.actor) {
        return Ok(());
    }
    let seats = seats(m.tx(), &cx.tenant, &proposal.body).await?;
    seat::acting(&cx.actor, &proposal.body, &seats, &[], m.now()).map(drop)
}

impl Service {
    /// Looks up what a proposal is about, before any transaction.
    async fn look_up(&self, cx: &Cx, given: &mut Proposal) -> Result<Vec<FieldChange>> {
        proposal::check_action(given.action.as_ref(), self.db.now())?;
        self.changes_of(&cx.tenant, given.action.as_mut()).await
    }

    /// What a draft that loosens a rule would change of it now; `None` for any other.
    async fn changes_now(&self, cx: &Cx, name: &str) -> Result<Option<Vec<FieldChange>>> {
        let found = Proposals::find(&mut self.db.read().await?, &cx.tenant, name).await?;
        match found {
            Some(mut draft) if matches!(proposal::act(&draft), Some(Act::LoosenRules(_))) => {
                self.look_up(cx, &mut draft).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Creates a proposal, open at once if asked.
    pub(crate) async fn create_proposal(&self, cx: &Cx, request: CreateProposalRequest) -> Result<Proposal> {
        let name = ProposalName::new(name::id(&request.proposal_id, "proposal_id")?).to_string();
        let mut given = required(request.proposal.clone(), "proposal")?;
        BodyName::parse(&given.body, "proposal.body")?;
        let looked_up = self.look_up(cx, &mut given).await;
        let create = async |m: &mut Mutation| {
            // Not before: a repetition is answered whatever has become of what it is about.
            let changes = looked_up?;
            // Locked where seats are pinned, so that nobody leaves meanwhile without being counted out.
            let body = if request.open {
                Bodies::claim(m, &given.body).await?
            } else {
                Bodies::get(m.tx(), &cx.tenant, &given.body).await?
            };
            pin(m, given.action.as_mut()).await?;
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
                changes,
                state: ProposalState::Draft.into(),
                proposer: Some(wire::actor(&cx.actor)),
                create_time: now,
                update_time: now,
                ..Proposal::default()
            };
            check_action(m, &proposal, &body).await?;
            proposal.content_digest = content_digest(&proposal);
            let details = if request.open {
                open(m, &mut proposal, &body).await?;
                opened(m, &proposal).await?
            } else {
                moved(&proposal).json()
            };
            insert::<Proposals>(m, &mut proposal, |event| event.details = details).await?;
            Ok(proposal)
        };
        self.mutate(cx, &request, create).await
    }

    pub(crate) async fn get_proposal(&self, cx: &Cx, request: GetProposalRequest) -> Result<Proposal> {
        ProposalName::parse(&request.name, "name")?;
        self.get::<Proposals>(cx, &request.name).await.map(proposal::shown)
    }

    pub(crate) async fn list_proposals(&self, cx: &Cx, request: ListProposalsRequest) -> Result<ListProposalsResponse> {
        let (proposals, next_page_token) = self.list::<Proposals>(cx, cx.page(&request)).await?;
        let proposals = proposals.into_iter().map(proposal::shown).collect();
        Ok(ListProposalsResponse { proposals, next_page_token })
    }

    /// Changes the content of a proposal and voids the votes on it.
    pub(crate) async fn update_proposal(&self, cx: &Cx, request: UpdateProposalRequest) -> Result<Proposal> {
        let mut given = required(request.proposal.clone(), "proposal")?;
        ProposalName::parse(&given.name, "proposal.name")?;
        let looked_up = if given.action.is_some() { self.look_up(cx, &mut given).await } else { Ok(Vec::new()) };
        let update = async |m: &mut Mutation| {
            let before = Proposals::claim(m, &given.name).await?;
            etag::check(&given.etag, &before.etag, &before.name)?;
            if !proposal::is_by(&before, &cx.actor) {
                return Err(Error::denied("NOT_THE_PROPOSER", format!("only the proposer may change {}", before.name)));
            }
            check_state(&before, &[ProposalState::Draft, ProposalState::Open])?;
            let Some(mut proposal) = mask::update(&before, &given, request.update_mask.as_ref())? else {
                return Ok(before);
            };
            if proposal.action != before.action {
                proposal.changes = looked_up?;
                pin(m, proposal.action.as_mut()).await?;
                let body = Bodies::get(m.tx(), &cx.tenant, &proposal.body).await?;
                check_action(m, &proposal, &body).await?;
                // The floor follows what is decided, and not what was when the vote was opened.
                proposal.quorum = proposal.quorum.take().map(|rule| raised(kind_of(&proposal), rule));
            }
            proposal.content_digest = content_digest(&proposal);
            if proposal.content_digest != before.content_digest {
                void(&mut proposal, "CONTENT_CHANGED");
            }
            if proposal.state() == ProposalState::Open {
                settle(&mut proposal, m.now());
                close(m, &before, &proposal).await?;
            }
            proposal.update_time = Some(stamp(m.now()));
            // What they have read, and voted on, is another by now.
            let is_open = proposal.state() == ProposalState::Open && proposal.content_digest != before.content_digest;
            let details = if is_open { opened(m, &proposal).await? } else { moved(&proposal).json() };
            save::<Proposals>(m, &before, &mut proposal, |event| event.details = details).await?;
            Ok(proposal)
        };
        self.mutate(cx, &request, update).await
    }

    /// Opens the vote on a draft, or a new round on an escalated proposal.
    pub(crate) async fn open_proposal(&self, cx: &Cx, request: OpenProposalRequest) -> Result<Proposal> {
        ProposalName::parse(&request.name, "name")?;
        let now = self.changes_now(cx, &request.name).await;
        let work = async |m: &mut Mutation| {
            let before = Proposals::claim(m, &request.name).await?;
            check_state(&before, &[ProposalState::Draft, ProposalState::Escalated])?;
            let body = Bodies::claim(m, &before.body).await?;
            check_concerned(m, cx, &before).await?;
            if now?.is_some_and(|changes| changes != before.changes) {
                let message = format!("what {} would change is another by now: propose it anew", before.name);
                return Err(Error::precondition("CONTENT_CHANGED", message));
            }
            check_action(m, &before, &body).await?;
            let mut proposal = before.clone();
            open(m, &mut proposal, &body).await?;
            let details = opened(m, &proposal).await?;
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
                let message = format!(
                    "{} has another content than the one voted on: read it again, and vote by the digest that you read",
                    before.name
                );
                return Err(Error::precondition("CONTENT_CHANGED", message));
            }
            let Some(chosen) = proposal::choice(request.choice()) else {
                return Err(Error::invalid("FIELD_REQUIRED", "choice", "must be APPROVE, REJECT, ABSTAIN or VETO"));
            };
            proposal::check_voter(&before, &cx.actor)?;
            let delegations = delegations(m.tx(), &cx.tenant, &before.body).await?;
            let ballot = ballot(&before);
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
            settle(&mut proposal, now);
            close(m, &before, &proposal).await?;
            let ProposalMoved { kind, body, state, round, content_digest, action, rule, electorate, excluded, .. } =
                moved(&proposal);
            let details = VoteCast {
                kind,
                body,
                state,
                round,
                content_digest,
                choice: request.choice().word().to_owned(),
                seat: seat.subject.clone(),
                role_group: seat.role_group.clone(),
                action,
                rule,
                electorate,
                excluded,
            }
            .json();
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
        if let Ok(proposal) = &voted {
            self.execute_now(cx, proposal).await;
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
            let mut proposal = before.clone();
            let (reason, create_time) = (request.reason.clone(), Some(stamp(now)));
            proposal.recusals.push(Recusal { subject: me.clone(), reason, create_time });
            let theirs = |vote: &&mut CastVote| {
                vote.void_reason.is_empty()
                    && (&vote.seat == me || vote.voter.as_ref().is_some_and(|voter| &voter.subject == me))
            };
            let mut is_open_again = false;
            for vote in proposal.votes.iter_mut().filter(theirs) {
                is_open_again |= &vote.seat != me;
                "RECUSED".clone_into(&mut vote.void_reason);
            }
            settle(&mut proposal, now);
            close(m, &before, &proposal).await?;
            // Of the seat that the recused voted on for somebody else a vote is wanted again.
            let details = if is_open_again {
                let delegations = delegations(m.tx(), &cx.tenant, &before.body).await?;
                let had = asked(&before, &delegations, now);
                let mut anew = asked(&proposal, &delegations, now);
                anew.members.retain(|subject| !had.members.contains(subject));
                anew.stand_ins.retain(|subject| !had.stand_ins.contains(subject));
                asking(&proposal, anew).json()
            } else {
                moved(&proposal).json()
            };
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
            // One that failed too: nobody shall try again what people gave up.
            let open = [ProposalState::Draft, ProposalState::Open, ProposalState::Escalated, ProposalState::Failed];
            check_state(&before, &open)?;
            check_concerned(m, cx, &before).await?;
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
            check_concerned(m, cx, &before).await?;
            if steps(&before).is_empty() {
                let message = format!("{} was for the council itself to carry out: propose it again", before.name);
                return Err(Error::precondition("NOT_REPEATABLE", message));
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
