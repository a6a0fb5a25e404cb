//! The times noted of tiles, compared with those of their entries.

use super::{FindingKind, Findings};
use crate::store::entries::Full;
use crate::store::heads::signed;
use crate::store::times::{self, Times};
use remit_core::{Result, Tenant};
use remit_store::{Tx, query};
use remit_tlog::tile::WIDTH;

/// The times of the tile in progress, as far as its entries tell.
#[derive(Default)]
pub(super) struct TileTimes {
    seen: u64,
    times: Option<Times>,
}

impl TileTimes {
    /// Takes the entry at `index`, or that it is not there; compares at the end of each tile.
    pub(super) async fn push(
        &mut self,
        tx: &mut Tx,
        tenant: &Tenant,
        index: u64,
        entry: Option<&Full>,
        findings: &mut Findings,
    ) -> Result<()> {
        if let Some(entry) = entry {
            let (occurred, recorded) = entry.columns.times();
            let widen = |(first, last): (i64, i64), at: i64| (first.min(at), last.max(at));
            self.seen += 1;
            self.times = Some(match self.times {
                Some(old) => Times { recorded: widen(old.recorded, recorded), occurred: widen(old.occurred, occurred) },
                None => Times { recorded: (recorded, recorded), occurred: (occurred, occurred) },
            });
        }
        if !(index + 1).is_multiple_of(WIDTH) {
            return Ok(());
        }
        let (tile, found) = (index / WIDTH, std::mem::take(self));
        let noted = times::read(tx, tenant, tile, 1).await?.into_iter().find(|(at, _)| *at == tile);
        let Some((_, noted)) = noted else {
            findings.add(FindingKind::Column, at(tile), "is missing");
            return Ok(());
        };
        let Some(times) = found.times else { return Ok(()) };
        let inside = |outer: (i64, i64), inner: (i64, i64)| outer.0 <= inner.0 && inner.1 <= outer.1;
        // Of what was pruned the times are no longer known; what is left must still lie within.
        let right = if found.seen == WIDTH {
            times == noted
        } else {
            inside(noted.recorded, times.recorded) && inside(noted.occurred, times.occurred)
        };
        if !right {
            findings.add(FindingKind::Column, at(tile), format!("is {noted:?} and the entries give {times:?}"));
        }
        Ok(())
    }
}

fn at(tile: u64) -> String {
    format!("tileTimes/{tile}")
}

/// Looks for times of tiles that are not full.
pub(super) async fn surplus(tx: &mut Tx, tenant: &Tenant, size: u64, findings: &mut Findings) -> Result<()> {
    let sql = "select max(idx) as last from tile_times where tenant_id = $1 and idx >= $2";
    let row = query(sql).bind(tenant).bind(signed(size / WIDTH)).fetch_one(tx).await?;
    if let Some(last) = row.get::<Option<i64>>("last")? {
        findings.add(FindingKind::Column, format!("tileTimes/{last}"), "is of a tile that is not full");
    }
    Ok(())
}
