//! The end of a vote: its timer, whom an escalation goes to, and who left meanwhile.

use super::action_items::plan;
use super::save;
use crate::proposal::{ballot, depart, moved, settle};
use crate::steps::cut;
use crate::store::{Proposals, seats};
use remit_api::council::v1::{ActionItem, Proposal, ProposalState};
use remit_api::wire::Word as _;
use remit_core::Result;
use remit_core::authority::STEERING_GROUP;
use remit_core::details::Details as _;
use remit_store::{Mutation, Records as _, timers};

/// Within how many days somebody is to see to an escalated proposal.
const ESCALATION_DAYS: u64 = 7;

/// The timer of the vote on a proposal: it reminds, and then ends it.
pub(super) fn timer_id(proposal: &str) -> String {
    format!("proposal.expire:{proposal}")
}

/// Ends the timer of a vote that is over, and sees to it that an escalation goes to somebody.
pub(super) async fn close(m: &mut Mutation, before: &Proposal, proposal: &Proposal) -> Result<()> {
    if before.state() != ProposalState::Open || proposal.state() == ProposalState::Open {
        return Ok(());
    }
    let tenant = m.tenant().clone();
    timers::cancel(m.tx(), &tenant, &timer_id(&proposal.name)).await?;
    if proposal.state() == ProposalState::Escalated {
        escalate(m, proposal).await?;
    }
    Ok(())
}

/// Leaves an action item for whoever can fill the seats: somebody who still votes in the body, else one of the steering
/// group, which is above all.
async fn escalate(m: &mut Mutation, proposal: &Proposal) -> Result<()> {
    let tenant = m.tenant().clone();
    let left = ballot(proposal).eligible().next().map(|seat| seat.subject.clone());
    let above = seats(m.tx(), &tenant, STEERING_GROUP).await?;
    let out = |subject: &str| {
        let recused = proposal.recusals.iter().any(|recusal| recusal.subject == subject);
        recused || proposal.electorate.iter().any(|seat| seat.departed && seat.subject == subject)
    };
    let above = above.into_iter().map(|seat| seat.subject).find(|subject| !out(subject));
    let proposer = || proposal.proposer.as_ref().map(|actor| actor.subject.clone()).unwrap_or_default();
    let item = ActionItem {
        title: cut(&format!("Seat others, or withdraw: {}", proposal.title), 200),
        description: cut(&format!("{} is escalated: {}.", proposal.name, proposal.decide_reason), 4_000),
        owner: left.or(above).unwrap_or_else(proposer),
        origin: proposal.name.clone(),
        ..ActionItem::default()
    };
    plan(m, "", ESCALATION_DAYS, item).await.map(drop)
}

/// Counts the open votes of a body anew without the seat of a member who left it.
pub(super) async fn settle_departed(m: &mut Mutation, body: &str, subject: &str) -> Result<()> {
    let tenant = m.tenant().clone();
    for open in Proposals::in_states(m.tx(), &tenant, &[ProposalState::Open.word()]).await? {
        if open.body != body {
            continue;
        }
        let before = Proposals::claim(m, &open.name).await?;
        let mut proposal = before.clone();
        if before.state() != ProposalState::Open || !depart(&mut proposal, subject) {
            continue;
        }
        settle(&mut proposal, m.now());
        close(m, &before, &proposal).await?;
        let details = moved(&proposal).json();
        save::<Proposals>(m, &before, &mut proposal, |event| {
            "council.proposals.settle".clone_into(&mut event.action);
            event.reason = format!("{subject} left {body}");
            event.details = details;
        })
        .await?;
    }
    Ok(())
}
