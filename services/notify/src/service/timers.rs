//! What happens when a durable timer is due: somebody is reminded, or the roles of an owner have ended.

use super::Service;
use crate::owners;
use crate::people;
use crate::store::notices;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use remit_api::notify::v1::Notice;
use remit_api::wire::{decode, time::stamp};
use remit_core::Result;
use remit_store::{Mutation, Timer, TimerHandler};

impl TimerHandler for Service {
    fn fire<'a>(&'a self, m: &'a mut Mutation, timer: &'a Timer) -> BoxFuture<'a, Result<()>> {
        async move {
            if timer.kind == owners::ROLES_END {
                return owners::lost(m, &String::from_utf8_lossy(&timer.payload), timer.due_at).await;
            }
            let mut notice: Notice = decode(&timer.payload)?;
            notice.create_time = Some(stamp(timer.due_at));
            notices::supersede(m, &notice).await?;
            people::tell(m, &mut notice).await
        }
        .boxed()
    }
}
