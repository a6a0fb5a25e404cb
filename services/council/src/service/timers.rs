//! What happens when a durable timer is due. No timer approves anything.

use super::Service;
use super::bodies::schedule_review;
use super::holds::rearm_hold;
use super::incidents::sound_clock;
use super::proposals::{EXPIRE, REMIND, expire_proposal, remind_voters};
use super::reviews::open_pending;
use super::waivers::{expire_waiver, forget_waiver};
use crate::store::Bodies;
use crate::time::Month;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use remit_core::{Error, Result};
use remit_store::{Mutation, Records as _, Timer, TimerHandler};

impl TimerHandler for Service {
    fn fire<'a>(&'a self, mutation: &'a mut Mutation, timer: &'a Timer) -> BoxFuture<'a, Result<()>> {
        async move {
            let payload = std::str::from_utf8(&timer.payload)
                .map_err(|error| Error::internal("the payload of a timer is not text").with_source(error))?;
            match timer.kind.as_str() {
                EXPIRE => expire_proposal(mutation, payload).await,
                REMIND => remind_voters(mutation, payload).await,
                "waiver.expire" => expire_waiver(mutation, payload).await,
                "waiver.forget" => forget_waiver(mutation, payload).await,
                "hold.rearm" => rearm_hold(mutation, payload).await,
                "incident.clock" => sound_clock(mutation, payload).await,
                "review.open" => open_by_schedule(mutation, timer, payload).await,
                kind => Err(Error::internal(format!("the council has no timer of kind {kind}"))),
            }
        }
        .boxed()
    }
}

/// Opens the review of a month whose cut-off is over, unless somebody did, and plans the next.
async fn open_by_schedule(m: &mut Mutation, timer: &Timer, period: &str) -> Result<()> {
    let Some(name) = timer.id.strip_prefix("review.open:") else {
        return Err(Error::internal("a timer for a review names no body"));
    };
    let body = Bodies::claim(m, name).await?;
    let month = Month::parse(period, &body.zone)?;
    open_pending(m, &body, &month).await?;
    schedule_review(m, &body, &month.next()).await
}
