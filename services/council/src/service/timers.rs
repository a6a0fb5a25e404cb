//! What happens when a durable timer is due. No timer approves anything.

use super::proposals::decide;
use super::{Council, changed};
use crate::store;
use crate::time::Month;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use remit_api::council::v1::{Body, Proposal, ProposalState};
use remit_core::{Error, Result};
use remit_store::{Mutation, Timer, TimerHandler};

impl TimerHandler for Council {
    fn fire<'a>(&'a self, mutation: &'a mut Mutation, timer: &'a Timer) -> BoxFuture<'a, Result<()>> {
        async move {
            let payload = std::str::from_utf8(&timer.payload)
                .map_err(|error| Error::internal("the payload of a timer is not text").with_source(error))?;
            match timer.kind.as_str() {
                "proposal.expire" => self.expire_proposal(mutation, payload).await,
                "waiver.expire" => self.expire_waiver(mutation, payload).await,
                "hold.rearm" => self.rearm_hold(mutation, payload).await,
                "incident.clock" => self.sound_clock(mutation, payload).await,
                "review.open" => self.open_by_schedule(mutation, timer, payload).await,
                kind => Err(Error::internal(format!("the council has no timer of kind {kind}"))),
            }
        }
        .boxed()
    }
}

impl Council {
    async fn expire_proposal(&self, mutation: &mut Mutation, name: &str) -> Result<()> {
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        let before: Proposal = store::claim(mutation.tx(), &tenant, name).await?;
        if before.state() != ProposalState::Open {
            return Ok(());
        }
        let mut proposal = before.clone();
        decide(&mut proposal, ProposalState::Expired, "the voting period ended without a decision".to_owned(), now);
        store::save(mutation.tx(), &tenant, &mut proposal).await?;
        let mut event = changed(mutation, name, Some(&before), &proposal);
        event.action = "council.proposals.expire".to_owned();
        event.details = mutation.event("", name).details;
        mutation.record(event);
        Ok(())
    }

    /// Opens the review of a month whose cut-off is over, unless somebody did, and plans the next.
    async fn open_by_schedule(&self, mutation: &mut Mutation, timer: &Timer, period: &str) -> Result<()> {
        let tenant = mutation.tenant().clone();
        let Some(name) = timer.id.strip_prefix("review.open:") else {
            return Err(Error::internal("a timer for a review names no body"));
        };
        let body: Body = store::claim(mutation.tx(), &tenant, name).await?;
        let month = Month::parse(period, &body.zone)?;
        self.open_pending(mutation, &body, &month).await?;
        super::bodies::schedule_review(mutation.tx(), &tenant, &body, &month.next()).await
    }
}
