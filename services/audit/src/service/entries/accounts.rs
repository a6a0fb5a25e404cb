//! What prunings account for, as an export states it.

use crate::export_verify::gaps::{self, Span};
use crate::leaf::Leaf;
use crate::store::entries::{self, Stored};
use crate::store::prunings::{self, PRUNE};
use crate::store::tiles;
use remit_core::details::EntriesPruned;
use remit_core::{Error, Result, Tenant};
use remit_store::Tx;
use std::collections::BTreeMap;
use std::ops::Range;

/// The prunings that touch a part of the log: their entries, in order, and what each removed.
#[derive(Debug, Default)]
pub(super) struct Accounts(Vec<(Stored, Vec<Span>)>);

impl Accounts {
    /// What they removed, in order.
    pub(super) fn spans(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = self.0.iter().flat_map(|(_, spans)| spans).copied().collect();
        spans.sort_unstable();
        spans
    }

    /// Their lines, in the order of their entries, each with its line feed and with the proof that a log of `size` holds it.
    pub(super) async fn lines(&self, tx: &mut Tx, tenant: &Tenant, size: u64) -> Result<Vec<Vec<u8>>> {
        let mut lines = Vec::with_capacity(self.0.len());
        for (stored, spans) in &self.0 {
            let proof = tiles::inclusion(tx, tenant, stored.index, size).await?.hashes;
            let mut line = gaps::line(stored.index, spans, &proof, &stored.line);
            line.push(b'\n');
            lines.push(line);
        }
        Ok(lines)
    }
}

/// Whether `index` is in one of the spans, which are in order.
pub(super) fn covers(spans: &[Span], index: u64) -> bool {
    let after = spans.partition_point(|(start, _)| *start <= index);
    after.checked_sub(1).and_then(|at| spans.get(at)).is_some_and(|(_, end)| index < *end)
}

/// The prunings that touch `range` of a log of `size`. A row that is not what its entry states accounts for nothing and
/// is left out: what it covers is then missing.
pub(super) async fn of(
    tx: &mut Tx,
    tenant: &Tenant,
    range: Range<u64>,
    size: u64,
    allow_gaps: bool,
) -> Result<Accounts> {
    if range.is_empty() || prunings::spans_within(tx, tenant, range.start, range.end, 1).await?.is_empty() {
        return Ok(Accounts::default());
    }
    let mut by_event = BTreeMap::<String, Vec<Span>>::new();
    for span in prunings::all_spans(tx, tenant).await? {
        by_event.entry(span.event_id).or_default().push((span.start, span.end));
    }
    by_event.retain(|_, spans| spans.iter().any(|(start, end)| *start < range.end && *end > range.start));
    let ids: Vec<&str> = by_event.keys().map(String::as_str).collect();
    let mut found = Vec::new();
    for (id, stored) in entries::by_event_ids(tx, tenant, &ids).await? {
        let Ok(leaf) = Leaf::decode(&stored.line) else { continue };
        let stated = serde_json::from_str::<EntriesPruned>(leaf.details()).unwrap_or_default();
        let as_stated = |spans: &&Vec<Span>| gaps::spans_digest(spans.iter().copied()) == stated.spans_digest;
        let Some(spans) = by_event.get(&id).filter(as_stated).cloned() else { continue };
        if leaf.service == crate::SCHEMA.service && leaf.action == PRUNE {
            found.push((stored, spans));
        }
    }
    found.sort_unstable_by_key(|(stored, _)| stored.index);
    if !allow_gaps && let Some((stored, _)) = found.iter().find(|(stored, _)| stored.index >= size) {
        let what = format!(
            "entry {} records a pruning of this part, and a log of {size} entries does not hold it: export at size {} or more",
            stored.index,
            stored.index + 1
        );
        return Err(Error::precondition("EXPORT_PRUNED_SINCE", what));
    }
    found.retain(|(stored, _)| stored.index < size);
    Ok(Accounts(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_cover_what_is_in_them() {
        let spans = [(0, 3), (5, 6)];
        let covered: Vec<u64> = (0..8).filter(|index| covers(&spans, *index)).collect();
        assert_eq!(covered, [0, 1, 2, 5]);
        assert!(!covers(&[], 0));
    }
}
