//! Retention: how long entries are kept, and pruning them by schedule.

use super::Service;
use crate::store::prunings::PRUNE;
use crate::store::retention_policies::{self, RetentionPolicies};
use futures::future::BoxFuture;
use remit_api::audit::v1 as api;
use remit_api::wire::{mask, time};
use remit_core::details::{Details as _, RetentionChanged};
use remit_core::{Error, Result, Timestamp, etag};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _, Timer, TimerHandler, timers};
use std::time::Duration;

/// Logs are kept at least six months (EU AI Act, articles 19 and 26(6)); no six months have more days.
pub(crate) const FLOOR_DAYS: i64 = 184;

/// The longest retention that can be set; to keep for ever, set none.
const CEILING_DAYS: i64 = 36_600;

/// The timer that prunes a tenant's log, one for each tenant with a retention.
const TIMER: &str = "retention";

/// How often a process that prunes only when asked looks whether that is still so.
const PAUSE: Duration = Duration::from_secs(86_400);

const DAY_SECONDS: i64 = 86_400;

/// The retention in whole days; none means for ever.
pub(crate) fn keep_days(policy: &api::RetentionPolicy) -> Option<i64> {
    policy.keep.as_ref().map(|keep| keep.seconds / DAY_SECONDS)
}

/// The time before which an entry must be recorded to be past a retention of `keep_days` at `now`. Whatever a policy or
/// a pruning says, nothing is past it within [`FLOOR_DAYS`].
pub(crate) fn cutoff(now: Timestamp, keep_days: i64) -> Timestamp {
    Timestamp(now.0.saturating_sub(keep_days.max(FLOOR_DAYS).saturating_mul(DAY_SECONDS * 1_000_000)))
}

fn check(policy: &api::RetentionPolicy) -> Result<()> {
    let Some(keep) = &policy.keep else { return Ok(()) };
    if (FLOOR_DAYS * DAY_SECONDS..=CEILING_DAYS * DAY_SECONDS).contains(&keep.seconds) {
        return Ok(());
    }
    let why = format!("must be {FLOOR_DAYS} to {CEILING_DAYS} days: logs are kept at least six months");
    Err(Error::invalid("RETENTION_BELOW_FLOOR", "retention_policy.keep", why))
}

impl TimerHandler for Service {
    fn fire<'a>(&'a self, m: &'a mut Mutation, timer: &'a Timer) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if timer.kind != PRUNE {
                return Err(Error::internal(format!("timer {} is of the unknown kind {}", timer.id, timer.kind)));
            }
            let more = match self.prune_every {
                Some(_) => self.prune_in(m, false).await?.more,
                None => false,
            };
            if more {
                let (tenant, now) = (m.tenant().clone(), m.now());
                return timers::schedule(m.tx(), &tenant, TIMER, PRUNE, now, b"").await;
            }
            self.prune_later(m).await
        })
    }
}

impl Service {
    /// The retention policy.
    ///
    /// # Errors
    /// As the database fails.
    pub async fn get_retention_policy(
        &self,
        cx: &Cx,
        _: api::GetRetentionPolicyRequest,
    ) -> Result<api::RetentionPolicy> {
        retention_policies::get(&mut self.db.read().await?, &cx.tenant).await
    }

    /// Changes the retention policy.
    ///
    /// # Errors
    /// `InvalidArgument` (`RETENTION_BELOW_FLOOR`, `UPDATE_MASK_INVALID`); `Conflict` (`ETAG_MISMATCH`).
    pub async fn update_retention_policy(
        &self,
        cx: &Cx,
        request: api::UpdateRetentionPolicyRequest,
    ) -> Result<api::RetentionPolicy> {
        let mut asked = request.retention_policy.clone().unwrap_or_default();
        asked.keep = asked.keep.map(|keep| prost_types::Duration { nanos: 0, ..keep });
        self.db
            .mutate(&cx.call(&request), async |m| {
                let before = retention_policies::claim(m).await?;
                etag::check(&asked.etag, &before.etag, &before.name)?;
                let Some(mut policy) = mask::update(&before, &asked, request.update_mask.as_ref())? else {
                    return Ok(before);
                };
                check(&policy)?;
                policy.update_time = Some(time::stamp(m.now()));
                RetentionPolicies::save(m, &mut policy).await?;
                if policy.keep.is_some() {
                    self.prune_later(m).await?;
                } else {
                    timers::cancel(m.tx(), &cx.tenant, TIMER).await?;
                }
                let mut event = m.event(cx.method, &policy.name);
                let (keep_days_before, keep_days) = (keep_days(&before), keep_days(&policy));
                event.details = RetentionChanged { keep_days_before, keep_days }.json();
                self.record(m, event).await?;
                Ok(policy)
            })
            .await
    }

    /// Sets the timer of the next run by schedule.
    async fn prune_later(&self, m: &mut Mutation) -> Result<()> {
        let pause = self.prune_every.unwrap_or(PAUSE);
        let (tenant, due_at) = (m.tenant().clone(), m.now().plus(pause));
        timers::schedule(m.tx(), &tenant, TIMER, PRUNE, due_at, b"").await
    }
}
