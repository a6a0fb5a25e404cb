//! The changes of the signing key, as an export states them.

use crate::export_verify::handovers::Line;
use crate::store::{damaged, entries, key_handovers, tiles};
use remit_core::{Result, Tenant};
use remit_store::Tx;

/// Their lines above the size `start` and up to `size`, in order, without line feeds.
pub(crate) async fn lines(tx: &mut Tx, tenant: &Tenant, start: u64, size: u64) -> Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    for (both, signature) in key_handovers::within(tx, tenant, start, size).await? {
        let index = both.saturating_sub(1);
        let entry = entries::get(tx, tenant, index).await?;
        let entry =
            entry.ok_or_else(|| damaged(format!("entry {index}, which changed the signing key, is missing")))?;
        let found = tiles::inclusion(tx, tenant, index, both).await?;
        let consistency = tiles::consistency(tx, tenant, both, size).await?.hashes;
        let line = Line {
            index,
            root: found.root,
            signature: signature.trim_end(),
            proof: found.hashes,
            consistency,
            entry: &entry.line,
        };
        lines.push(line.write());
    }
    Ok(lines)
}
