//! Full tiles that a proof has shown to be under a signed head. They never change, so they are not read again.

use super::tiles::Inclusion;
use moka::sync::Cache;
use remit_core::Tenant;
use remit_tlog::tile::{Grown, HEIGHT, Tile, WIDTH};
use std::collections::BTreeMap;
use std::mem::size_of;
use std::sync::Arc;

/// The most bytes of tiles of all tenants.
const MOST_BYTES: u64 = 32 << 20;

/// What one tile takes: the 511 nodes of a full one.
const BYTES: u64 = 2 * WIDTH * size_of::<remit_tlog::Hash>() as u64;

/// The tiles that are known. Cheap to clone.
#[derive(Clone, Debug)]
pub struct KnownTiles(Cache<(Tenant, u8, u64), Arc<Grown>>);

impl Default for KnownTiles {
    fn default() -> Self {
        Self(Cache::new(MOST_BYTES / BYTES))
    }
}

impl KnownTiles {
    /// A tile, if it is full and known.
    pub fn get(&self, tenant: &Tenant, tile: &Tile) -> Option<Arc<Grown>> {
        if tile.is_full() { self.0.get(&(tenant.clone(), tile.level, tile.index)) } else { None }
    }

    /// Takes the tiles from which the inclusion of `index` was proved, once the root that it leads to is known to be signed.
    ///
    /// The proof covers every hash of these tiles but those on the way of the entry itself, which come from the tile below:
    /// a tile that says another is not taken.
    pub fn learn(&self, tenant: &Tenant, index: u64, proved: &Inclusion) {
        let roots: BTreeMap<(u8, u64), _> =
            proved.tiles.iter().map(|(tile, grown)| ((tile.level, tile.index), grown.root())).collect();
        for (tile, grown) in &proved.tiles {
            let shift = |level: u8| index.checked_shr(u32::from(level) * u32::from(HEIGHT)).unwrap_or(0);
            let own = shift(tile.level);
            let place = usize::try_from(own % WIDTH).unwrap_or(usize::MAX);
            let below = tile.level.checked_sub(1).map(|level| roots.get(&(level, own)).copied().flatten());
            let bound = below.is_none_or(|root| root.is_some() && root == grown.node(0, place));
            if bound && own / WIDTH == tile.index {
                self.0.insert((tenant.clone(), tile.level, tile.index), grown.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use remit_tlog::{Hash, leaf_hash};

    fn full(level: u8, index: u64) -> Tile {
        Tile { level, index, width: 256 }
    }

    fn hashes(salt: u64) -> Vec<Hash> {
        (0..256).map(|n: u64| leaf_hash(&(salt * 1_000 + n).to_be_bytes())).collect()
    }

    #[test]
    fn what_a_proof_does_not_cover_is_not_learnt() {
        // Entry 256 * 3 + 5: under tile 3 of level 0, whose root is the fourth hash of tile 0 of level 1.
        let (known, tenant, index) = (KnownTiles::default(), Tenant::new("acme").unwrap(), 256 * 3 + 5);
        let low = Grown::new(&hashes(1)).unwrap();
        let mut above = hashes(2);
        let made = |above: &[Hash]| Inclusion {
            leaf: Hash([0; 32]),
            hashes: Vec::new(),
            root: Hash([0; 32]),
            tiles: vec![
                (full(0, 3), Arc::new(low.clone())),
                (full(1, 0), Arc::new(Grown::new(above).unwrap())),
                (full(0, 4), Arc::new(low.clone())),
            ],
        };
        known.learn(&tenant, index, &made(&above));
        assert_eq!(known.get(&tenant, &full(0, 3)).unwrap().root(), low.root());
        assert!(known.get(&tenant, &full(1, 0)).is_none(), "its hash of the tile below is another");
        above[3] = low.root().unwrap();
        known.learn(&tenant, index, &made(&above));
        assert!(known.get(&tenant, &full(1, 0)).is_some());
        assert!(known.get(&tenant, &full(0, 4)).is_none(), "it is beside the way");
        assert!(known.get(&Tenant::new("other").unwrap(), &full(0, 3)).is_none());
        assert!(known.get(&tenant, &Tile { width: 255, ..full(0, 3) }).is_none());
    }
}
