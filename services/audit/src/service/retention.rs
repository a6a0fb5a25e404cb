//! Retention: how long entries are kept, and pruning them after.

use super::AuditLog;
use crate::leaf::proto_time;
use crate::store::head::{self, Head};
use crate::store::keeping::{self, Policy};
use crate::store::times;
use futures::future::BoxFuture;
use remit_api::audit::v1 as api;
use remit_core::{Error, Kind, Result, Tenant, Timestamp};
use remit_runtime::Started;
use remit_store::{Call, Mutation, Timer, TimerHandler, timers};
use remit_tlog::tile::WIDTH;
use std::time::Duration;

/// Logs are kept at least six months (EU AI Act, articles 19 and 26(6)); no six months have more days.
pub const FLOOR_DAYS: i64 = 184;

/// The timer that prunes a tenant's log, one for each tenant with a retention.
const TIMER: &str = "retention";

/// The longest retention that can be set; to keep for ever, set none.
pub const CEILING_DAYS: i64 = 36_600;

/// How many entries one call prunes at most.
pub const MAX_PRUNED: i64 = 100_000;

const DAY_US: i64 = 86_400_000_000;

fn show(policy: &Policy) -> api::RetentionPolicy {
    let keep = policy.keep_us.map(|us| prost_types::Duration { seconds: us / 1_000_000, nanos: 0 });
    api::RetentionPolicy {
        name: "retentionPolicy".to_owned(),
        keep,
        etag: policy.revision.to_string(),
        update_time: policy.updated_at.filter(|_| policy.revision > 0).map(proto_time),
    }
}

fn keep_us(keep: Option<&prost_types::Duration>) -> Result<Option<i64>> {
    let Some(keep) = keep else { return Ok(None) };
    let us =
        keep.seconds.checked_mul(1_000_000).filter(|us| (FLOOR_DAYS * DAY_US..=CEILING_DAYS * DAY_US).contains(us));
    us.map(Some).ok_or_else(|| {
        let why = format!("must be {FLOOR_DAYS} to {CEILING_DAYS} days: logs are kept at least six months");
        Error::invalid("RETENTION_BELOW_FLOOR", "retention_policy.keep", why)
    })
}

/// How often a process that prunes only when asked looks whether that is still so.
const PAUSE: Duration = Duration::from_secs(86_400);

impl TimerHandler for AuditLog {
    fn fire<'a>(&'a self, mutation: &'a mut Mutation, timer: &'a Timer) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if timer.kind != keeping::PRUNE {
                return Err(Error::internal(format!("timer {} is of the unknown kind {}", timer.id, timer.kind)));
            }
            let more = match self.prune_every {
                Some(_) => self.prune_in(mutation, false).await?.0.more,
                None => false,
            };
            if more {
                let (tenant, now) = (mutation.tenant().clone(), mutation.now());
                return timers::schedule(mutation.tx(), &tenant, TIMER, keeping::PRUNE, now, b"").await;
            }
            self.prune_later(mutation).await
        })
    }
}

impl AuditLog {
    /// The retention policy.
    ///
    /// # Errors
    /// As the database fails.
    pub async fn get_retention(&self, tenant: &Tenant) -> Result<api::RetentionPolicy> {
        Ok(show(&keeping::policy(&mut self.db.read().await?, tenant).await?))
    }

    /// Changes the retention policy.
    ///
    /// # Errors
    /// `InvalidArgument` (`RETENTION_BELOW_FLOOR`, `UPDATE_MASK_INVALID`); `Conflict` (`ETAG_MISMATCH`).
    pub async fn update_retention(
        &self,
        call: &Call,
        request: &api::UpdateRetentionPolicyRequest,
    ) -> Result<api::RetentionPolicy> {
        let paths = request.update_mask.as_ref().map(|mask| mask.paths.as_slice()).unwrap_or_default();
        if let Some(other) = paths.iter().find(|path| !matches!(path.as_str(), "keep" | "*")) {
            return Err(Error::invalid(
                "UPDATE_MASK_INVALID",
                "update_mask",
                format!("{other} cannot be updated, only keep"),
            ));
        }
        let asked = request.retention_policy.clone().unwrap_or_default();
        let keep_us = keep_us(asked.keep.as_ref())?;
        let mut mutation = match remit_runtime::begin::<api::RetentionPolicy>(&self.db, call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let before = keeping::claim_policy(mutation.tx(), &call.tenant, call.now).await?;
        if !asked.etag.is_empty() && asked.etag != before.revision.to_string() {
            let message = format!("the retention policy is at etag {}, not {}", before.revision, asked.etag);
            return Err(Error::new(Kind::Conflict, "ETAG_MISMATCH", message));
        }
        let policy = Policy { keep_us, revision: before.revision + 1, updated_at: Some(call.now) };
        keeping::set_policy(mutation.tx(), &call.tenant, &policy).await?;
        match keep_us {
            Some(_) => self.prune_later(&mut mutation).await?,
            None => timers::cancel(mutation.tx(), &call.tenant, TIMER).await.map(|_| ())?,
        }
        let days = |keep: Option<i64>| keep.map(|us| us / DAY_US);
        let mut event = mutation.event(call.method, "retentionPolicy");
        event.details = serde_json::json!({ "keep_days_before": days(before.keep_us), "keep_days": days(keep_us) });
        let head = self.record(&mut mutation, event).await?;
        let answer = remit_runtime::finish(mutation, show(&policy)).await?;
        self.announce(&call.tenant, &head);
        Ok(answer)
    }

    /// Removes the content of entries past their retention. Only whole tiles of level 0 are pruned, whose
    /// hashes are stored, so that every proof remains.
    ///
    /// # Errors
    /// As the database fails.
    pub async fn prune(&self, call: &Call, validate_only: bool) -> Result<api::PruneEntriesResponse> {
        let tenant = &call.tenant;
        if validate_only {
            let mut tx = self.db.snapshot().await?;
            let Some((_, end)) = self.past_retention(&mut tx, tenant, call.now).await? else {
                return Ok(api::PruneEntriesResponse::default());
            };
            let holds = keeping::active_holds(&mut tx, tenant).await?;
            let (prunable, held_count) = keeping::count_prunable(&mut tx, tenant, end, &holds).await?;
            let pruned_count = prunable.min(MAX_PRUNED);
            let more = prunable > MAX_PRUNED;
            return Ok(api::PruneEntriesResponse { pruned_count, held_count, end_index: head::signed(end), more });
        }
        let mut mutation = match remit_runtime::begin::<api::PruneEntriesResponse>(&self.db, call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let (answer, head) = self.prune_in(&mut mutation, true).await?;
        let answer = remit_runtime::finish(mutation, answer).await?;
        if let Some(head) = head {
            self.announce(tenant, &head);
        }
        Ok(answer)
    }

    /// Prunes in a mutation and records it; if nothing is to be pruned, only if it was `asked` for.
    async fn prune_in(
        &self,
        mutation: &mut Mutation,
        asked: bool,
    ) -> Result<(api::PruneEntriesResponse, Option<Head>)> {
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        // The head row is held while holds are read and entries deleted, so that a hold that is engaged
        // meanwhile is either seen here or comes after.
        head::claim(mutation.tx(), &tenant, now).await?;
        // Without a policy everything is kept, and that is recorded like any other run.
        let past = self.past_retention(mutation.tx(), &tenant, now).await?;
        let (keep_us, end) = past.map_or((None, 0), |(keep_us, end)| (Some(keep_us), end));
        let holds = keeping::active_holds(mutation.tx(), &tenant).await?;
        let (prunable, held_count) = keeping::count_prunable(mutation.tx(), &tenant, end, &holds).await?;
        if prunable == 0 && !asked {
            return Ok((api::PruneEntriesResponse::default(), None));
        }
        let pruned = keeping::prune(mutation.tx(), &tenant, end, &holds, MAX_PRUNED).await?;
        let pruned_count = i64::try_from(pruned.len()).unwrap_or(i64::MAX);
        let more = prunable > pruned_count;
        let answer = api::PruneEntriesResponse { pruned_count, held_count, end_index: head::signed(end), more };
        let mut event = mutation.event(keeping::PRUNE, "entries");
        let spans = keeping::spans(&pruned, &event.id);
        let mut details = serde_json::json!({
            "keep_days": keep_us.map(|us| us / DAY_US),
            "end_index": end,
            "pruned": pruned_count,
            "held": held_count,
            "holds": holds.iter().map(|hold| hold.id.as_str()).collect::<Vec<_>>(),
            "first_index": pruned.first(),
            "last_index": pruned.last(),
            "spans": spans.len(),
            "spans_digest": keeping::spans_digest(spans.iter()),
        });
        // Of a run by schedule, when it was due and when that was noticed.
        if let (Some(details), Some(timer)) = (details.as_object_mut(), event.details.as_object()) {
            details.extend(timer.clone());
        }
        event.details = details;
        keeping::insert_spans(mutation.tx(), &tenant, &spans, now).await?;
        let head = self.record(mutation, event).await?;
        Ok((answer, Some(head)))
    }

    /// Sets the timer of the next run by schedule.
    async fn prune_later(&self, mutation: &mut Mutation) -> Result<()> {
        let pause = self.prune_every.unwrap_or(PAUSE);
        let (tenant, due_at) = (mutation.tenant().clone(), mutation.now().plus(pause));
        timers::schedule(mutation.tx(), &tenant, TIMER, keeping::PRUNE, due_at, b"").await
    }

    /// The retention in microseconds and the end of the full tiles of which every entry is past it.
    async fn past_retention(
        &self,
        tx: &mut remit_store::Tx,
        tenant: &Tenant,
        now: Timestamp,
    ) -> Result<Option<(i64, u64)>> {
        let Some(keep_us) = keeping::policy(tx, tenant).await?.keep_us else { return Ok(None) };
        let cutoff = Timestamp(now.0.saturating_sub(keep_us.max(FLOOR_DAYS * DAY_US)));
        let size = head::size(tx, tenant).await?;
        let end = times::first_recorded(tx, tenant, cutoff).await?.unwrap_or(size);
        Ok(Some((keep_us, end / WIDTH * WIDTH)))
    }
}
