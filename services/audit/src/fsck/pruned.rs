//! What retention removed: the spans, and the entries of the log that account for them.

use super::{FindingKind, Findings};
use crate::export_verify::gaps;
use crate::leaf::Leaf;
use crate::service::retention_policies::cutoff;
use crate::store::prunings::{self, Span};
use crate::store::{entries, times};
use remit_core::details::EntriesPruned;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::Tx;
use remit_tlog::tile::WIDTH;
use std::collections::BTreeMap;

pub(super) struct Pruned {
    /// Span ends by span starts.
    spans: BTreeMap<u64, u64>,
    by_event: BTreeMap<String, Vec<Span>>,
    /// What was recorded before this may have been pruned; what was recorded since must be there.
    horizon: Timestamp,
}

impl Pruned {
    pub(super) async fn read(tx: &mut Tx, tenant: &Tenant, findings: &mut Findings) -> Result<Self> {
        let (mut spans, mut by_event) = (BTreeMap::new(), BTreeMap::<String, Vec<Span>>::new());
        for span in prunings::all_spans(tx, tenant).await? {
            spans.insert(span.start, span.end);
            by_event.entry(span.event_id.clone()).or_default().push(span);
        }
        let mut last = 0;
        for (start, end) in &spans {
            if *start < last {
                findings.add(FindingKind::Pruning, format!("entries/{start}"), "is recorded as pruned twice");
            }
            last = last.max(*end);
        }
        Ok(Self { spans, by_event, horizon: Timestamp(i64::MIN) })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    pub(super) fn covers(&self, index: u64) -> bool {
        self.spans.range(..=index).next_back().is_some_and(|(_, end)| index < *end)
    }

    /// Of a log that was read whole, from when on each erasure must have its entry. Called after [`Pruned::account`].
    pub(super) fn erasures_from(&self, start: u64) -> Option<Timestamp> {
        (start == 0).then_some(self.horizon)
    }

    /// Compares each pruning with its entry in the log.
    pub(super) async fn account(
        &mut self,
        tx: &mut Tx,
        tenant: &Tenant,
        size: u64,
        findings: &mut Findings,
    ) -> Result<()> {
        let ids: Vec<&str> = self.by_event.keys().map(String::as_str).collect();
        let known: BTreeMap<_, _> = entries::by_event_ids(tx, tenant, &ids).await?.into_iter().collect();
        for (id, spans) in &self.by_event {
            let location = spans.first().map(|span| format!("entries/{}", span.start)).unwrap_or_default();
            let Some(leaf) = known.get(id).and_then(|stored| stored.leaf().ok()) else {
                findings.add(
                    FindingKind::Pruning,
                    location,
                    format!("is recorded as pruned by event {id}, which the log does not have"),
                );
                continue;
            };
            let details = serde_json::from_str::<EntriesPruned>(leaf.details()).unwrap_or_default();
            if let (Some(days), Ok((_, recorded))) = (details.keep_days, leaf.times()) {
                self.horizon = self.horizon.max(cutoff(recorded, days));
            }
            let stated = details.spans_digest.clone();
            let digest = gaps::spans_digest(spans.iter().map(|span| (span.start, span.end)));
            // An entry that somebody else vouches for makes no deletion lawful, whatever it says.
            if leaf.service != crate::SCHEMA.service {
                let message = format!("is recorded as pruned by event {id}, whose entry is of {}", leaf.service);
                findings.add(FindingKind::Pruning, location, message);
            } else if leaf.action != prunings::PRUNE || stated != digest {
                let message =
                    format!("the spans recorded for event {id} have digest {digest}, its entry states {stated:?}");
                findings.add(FindingKind::Pruning, location, message);
            } else if spans.iter().any(|span| span.end > size) {
                findings.add(FindingKind::Pruning, location, "a span ends beyond the log");
            } else if let Some(why) = unlawful(tx, tenant, &leaf, &details, spans).await? {
                findings.add(FindingKind::Pruning, location, format!("was pruned by event {id}, {why}"));
            }
        }
        Ok(())
    }
}

/// Why a pruning is none that the log would have done, whatever its entry says.
async fn unlawful(
    tx: &mut Tx,
    tenant: &Tenant,
    leaf: &Leaf,
    details: &EntriesPruned,
    spans: &[Span],
) -> Result<Option<String>> {
    let Some(keep_days) = details.keep_days else { return Ok(Some("without a retention".to_owned())) };
    let (first, last) =
        spans.iter().fold((u64::MAX, 0), |(first, last), span| (first.min(span.start), last.max(span.end)));
    if !details.end_index.is_multiple_of(WIDTH) || last > details.end_index {
        return Ok(Some(format!("which looked at whole tiles up to {}", details.end_index)));
    }
    let count: u64 = spans.iter().map(|span| span.end.saturating_sub(span.start)).sum();
    if u64::try_from(details.pruned) != Ok(count) {
        return Ok(Some(format!("which states {} entries and not {count}", details.pruned)));
    }
    let Ok((_, recorded)) = leaf.times() else { return Ok(Some("whose entry has no time".to_owned())) };
    let cutoff = cutoff(recorded, keep_days);
    let tiles = i64::try_from(last.div_ceil(WIDTH).saturating_sub(first / WIDTH)).unwrap_or(i64::MAX);
    for (tile, noted) in times::read(tx, tenant, first / WIDTH, tiles).await? {
        let touched = spans.iter().any(|span| span.start < (tile + 1) * WIDTH && tile * WIDTH < span.end);
        if touched && noted.recorded.1 >= cutoff.0 {
            return Ok(Some(format!("before the retention of {keep_days} days had passed for all of tile {tile}")));
        }
    }
    Ok(None)
}
