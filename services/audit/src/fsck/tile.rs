//! What is kept of full tiles beside their hashes, compared with the entries under them.

use super::{FindingKind, Findings, times};
use crate::store::columns::Columns;
use crate::store::heads::signed;
use crate::store::postings::{self, GROUP, Postings};
use remit_core::{Result, Tenant};
use remit_store::Tx;
use remit_tlog::tile::WIDTH;
use std::collections::{BTreeMap, BTreeSet};

/// The tile in progress and the postings of its group, as far as their entries tell.
pub(super) struct Tiles {
    /// From which tile on all postings are known; none until something was compared.
    begin: Option<u64>,
    /// The first tile whose group is not full.
    ungrouped: u64,
    /// The places of the tile that were looked at, whether or not an entry is there.
    seen: u64,
    left: Vec<(u64, Columns)>,
    /// The first tile that was looked at wholly.
    whole_from: Option<u64>,
    postings: Postings,
    /// How many rows each tile or group has that was compared, by its first tile.
    compared: BTreeMap<i64, i64>,
}

impl Tiles {
    /// For a log of `size` entries, from the one at `start` on.
    pub(super) fn new(start: u64, size: u64) -> Self {
        Self {
            begin: (start == 0).then_some(0),
            ungrouped: postings::group_of(size / WIDTH),
            seen: 0,
            left: Vec::new(),
            whole_from: None,
            postings: Postings::new(),
            compared: BTreeMap::new(),
        }
    }

    /// Takes what the entry at `index` says, or that it is not there; compares at the end of each tile.
    pub(super) async fn push(
        &mut self,
        tx: &mut Tx,
        tenant: &Tenant,
        index: u64,
        entry: Option<Columns>,
        findings: &mut Findings,
    ) -> Result<()> {
        self.seen += 1;
        self.left.extend(entry.map(|columns| (index, columns)));
        if !(index + 1).is_multiple_of(WIDTH) {
            return Ok(());
        }
        let (tile, seen, left) = (index / WIDTH, std::mem::take(&mut self.seen), std::mem::take(&mut self.left));
        let complete = left.len() as u64 == WIDTH;
        times::check(tx, tenant, tile, left.iter().map(|(_, columns)| columns.times()), complete, findings).await?;
        // Of a tile in whose middle the check began, not all is known.
        if seen != WIDTH {
            return Ok(());
        }
        let whole_from = *self.whole_from.get_or_insert(tile);
        self.postings.extend(postings::of(left.iter().map(|(index, columns)| (*index, columns))));
        let grouped = tile < self.ungrouped;
        if grouped && !(tile + 1).is_multiple_of(GROUP) {
            return Ok(());
        }
        let expected = std::mem::take(&mut self.postings);
        let first = if grouped { postings::group_of(tile) } else { tile };
        if first >= whole_from {
            self.compare(tx, tenant, first, &postings::rows(&expected, grouped), findings).await?;
        }
        Ok(())
    }

    async fn compare(
        &mut self,
        tx: &mut Tx,
        tenant: &Tenant,
        first: u64,
        expected: &postings::Rows,
        findings: &mut Findings,
    ) -> Result<()> {
        self.compared.insert(signed(first), i64::try_from(expected.len()).unwrap_or(i64::MAX));
        self.begin.get_or_insert(first);
        let stored = postings::stored(tx, tenant, first).await?;
        let buckets: BTreeSet<i64> = expected.keys().chain(stored.keys()).copied().collect();
        for bucket in buckets {
            let what = match (expected.get(&bucket), stored.get(&bucket)) {
                (Some(expected), Some(stored)) if expected == stored => continue,
                (Some(_), Some(_)) => "is not what the entries give",
                (Some(_), None) => "is missing",
                (None, _) => "is there, and no entry has what it is for",
            };
            findings.add(
                FindingKind::Column,
                format!("postings/{first}"),
                format!("the row of bucket {bucket} {what}"),
            );
        }
        Ok(())
    }

    /// Looks for rows that nothing was compared with.
    pub(super) async fn finish(&self, tx: &mut Tx, tenant: &Tenant, findings: &mut Findings) -> Result<()> {
        let Some(start) = self.begin else { return Ok(()) };
        // From the first on there is nothing before.
        let start = if start == 0 { i64::MIN } else { signed(start) };
        for (tile, count) in postings::counts(tx, tenant, start).await? {
            let expected = self.compared.get(&tile).copied().unwrap_or_default();
            if expected != count {
                let what = format!("there are {count} rows, and {expected} should be there");
                findings.add(FindingKind::Column, format!("postings/{tile}"), what);
            }
        }
        Ok(())
    }
}
