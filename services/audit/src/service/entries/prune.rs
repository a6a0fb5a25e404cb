//! Pruning: removing the content of entries past their retention.

use super::super::Service;
use super::super::retention_policies::{cutoff, keep_days};
use crate::export_verify::gaps;
use crate::store::{heads, legal_holds, prunings, retention_policies, times};
use remit_api::audit::v1 as api;
use remit_core::details::{Details as _, EntriesPruned};
use remit_core::{Result, Tenant, Timestamp};
use remit_runtime::Cx;
use remit_store::{Mutation, Tx};
use remit_tlog::tile::WIDTH;

/// How many entries one call prunes at most.
const MAX_PRUNED: i64 = 100_000;

impl Service {
    /// Removes the content of entries past their retention. Only whole tiles of level 0 are pruned, whose
    /// hashes are stored, so that every proof remains.
    ///
    /// # Errors
    /// As the database fails.
    pub async fn prune_entries(&self, cx: &Cx, request: api::PruneEntriesRequest) -> Result<api::PruneEntriesResponse> {
        // A dry run leaves nothing, and so claims no request id.
        if !request.validate_only {
            return self.db.mutate(&cx.call(&request), async |m| self.prune_in(m, true).await).await;
        }
        let mut tx = self.db.snapshot().await?;
        let Some((_, end)) = past_retention(&mut tx, &cx.tenant, self.db.now()).await? else {
            return Ok(api::PruneEntriesResponse::default());
        };
        let holds = legal_holds::active(&mut tx, &cx.tenant).await?;
        let (prunable, held_count) = prunings::count_prunable(&mut tx, &cx.tenant, end, &holds).await?;
        let (pruned_count, more) = (prunable.min(MAX_PRUNED), prunable > MAX_PRUNED);
        Ok(api::PruneEntriesResponse { pruned_count, held_count, end_index: heads::signed(end), more })
    }

    /// Prunes in a mutation and records it; if nothing is to be pruned, only if it was `asked` for.
    pub(crate) async fn prune_in(&self, m: &mut Mutation, asked: bool) -> Result<api::PruneEntriesResponse> {
        let tenant = m.tenant().clone();
        // The head row is held while holds are read and entries deleted, so that a hold that is engaged
        // meanwhile is either seen here or comes after.
        heads::claim(m.tx(), &tenant, self.db.now()).await?;
        let now = m.now();
        // Without a policy everything is kept, and that is recorded like any other run.
        let past = past_retention(m.tx(), &tenant, now).await?;
        let (keep_days, end) = past.map_or((None, 0), |(days, end)| (Some(days), end));
        let holds = legal_holds::active(m.tx(), &tenant).await?;
        let (prunable, held) = prunings::count_prunable(m.tx(), &tenant, end, &holds).await?;
        if prunable == 0 && !asked {
            return Ok(api::PruneEntriesResponse::default());
        }
        let pruned = prunings::prune(m.tx(), &tenant, end, &holds, MAX_PRUNED).await?;
        let pruned_count = i64::try_from(pruned.len()).unwrap_or(i64::MAX);
        let mut event = m.event(prunings::PRUNE, "entries");
        let spans = prunings::spans(&pruned, &event.id);
        // Of a run by schedule, the event says when it was due and when that was noticed.
        let timer = EntriesPruned::read(&event.details).unwrap_or_default();
        event.details = EntriesPruned {
            keep_days,
            end_index: end,
            pruned: pruned_count,
            held,
            holds: holds.iter().map(|hold| hold.name.clone()).collect(),
            first_index: pruned.first().copied(),
            last_index: pruned.last().copied(),
            spans: spans.len() as u64,
            spans_digest: gaps::spans_digest(spans.iter().map(|span| (span.start, span.end))),
            ..timer
        }
        .json();
        prunings::insert_spans(m.tx(), &tenant, &spans, now).await?;
        self.record(m, event).await?;
        let (held_count, end_index) = (held, heads::signed(end));
        Ok(api::PruneEntriesResponse { pruned_count, held_count, end_index, more: prunable > pruned_count })
    }
}

/// The retention in days and the end of the full tiles of which every entry is past it.
async fn past_retention(tx: &mut Tx, tenant: &Tenant, now: Timestamp) -> Result<Option<(i64, u64)>> {
    let Some(days) = keep_days(&retention_policies::get(tx, tenant).await?) else { return Ok(None) };
    let cutoff = cutoff(now, days);
    let size = heads::size(tx, tenant).await?;
    let end = times::first_recorded(tx, tenant, cutoff).await?.unwrap_or(size);
    Ok(Some((days, end / WIDTH * WIDTH)))
}
