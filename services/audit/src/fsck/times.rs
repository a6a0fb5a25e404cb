//! The times noted of tiles, compared with those of their entries.

use super::{FindingKind, Findings};
use crate::store::heads::signed;
use crate::store::times::{self, Times};
use remit_core::{Result, Tenant};
use remit_store::{Tx, query};
use remit_tlog::tile::WIDTH;

/// Compares with those of the entries that are `left` under a tile, which is `complete` if none was pruned.
pub(super) async fn check(
    tx: &mut Tx,
    tenant: &Tenant,
    tile: u64,
    left: impl IntoIterator<Item = (i64, i64, i64)>,
    complete: bool,
    findings: &mut Findings,
) -> Result<()> {
    let noted = times::read(tx, tenant, tile, 1).await?.into_iter().find(|(at, _)| *at == tile);
    let Some((_, noted)) = noted else {
        findings.add(FindingKind::Column, at(tile), "is missing");
        return Ok(());
    };
    let Some(times) = Times::of(left) else { return Ok(()) };
    let inside = |outer: (i64, i64), inner: (i64, i64)| outer.0 <= inner.0 && inner.1 <= outer.1;
    // Of what was pruned the times are no longer known; what is left must still lie within.
    let right = if complete {
        times == noted
    } else {
        inside(noted.recorded, times.recorded)
            && inside(noted.occurred, times.occurred)
            && inside(noted.integrated, times.integrated)
    };
    if !right {
        findings.add(FindingKind::Column, at(tile), format!("is {noted:?} and the entries give {times:?}"));
    }
    Ok(())
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
