//! The tree, recomputed leaf by leaf and compared with the stored tiles.

use super::{FindingKind, Findings};
use crate::store::heads::unsigned;
use crate::store::tiles;
use remit_core::{Error, Result, Tenant};
use remit_store::{Tx, query};
use remit_tlog::tile::{self, Tile, WIDTH};
use remit_tlog::{Frontier, Hash};

pub(super) struct Tree<'a> {
    tenant: &'a Tenant,
    frontier: Frontier,
    /// The tile in progress of each level.
    levels: Vec<Vec<Hash>>,
    checked: u64,
}

impl<'a> Tree<'a> {
    /// Takes up the tree at `start`; its root says whether what is stored before is what it was.
    pub(super) async fn begin(tx: &mut Tx, tenant: &'a Tenant, start: u64) -> Result<Self> {
        let broken = |error: remit_tlog::Error| Error::internal(error.to_string());
        let mut frontier = Frontier::default();
        let nodes = remit_tlog::proof::nodes(0, start);
        let stored = tiles::holding(tx, tenant, &nodes, start).await?;
        for node in nodes {
            frontier.push_subtree(node.level, stored.read(node).map_err(broken)?).map_err(broken)?;
        }
        let mut levels = Vec::new();
        let mut level = 0u8;
        while start.checked_shr(u32::from(level) * 8).is_some_and(|rest| rest > 0) {
            let rest = start >> (u32::from(level) * 8);
            let hashes = match Tile::of(level, rest / WIDTH, start) {
                Some(tile) => tiles::content(tx, tenant, tile).await?,
                None => Vec::new(),
            };
            levels.push(hashes);
            level += 1;
        }
        Ok(Self { tenant, frontier, levels, checked: 0 })
    }

    pub(super) fn root(&self) -> Hash {
        self.frontier.root()
    }

    pub(super) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(super) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    pub(super) fn checked(&self) -> u64 {
        self.checked
    }

    pub(super) async fn push(&mut self, tx: &mut Tx, leaf: Hash, findings: &mut Findings) -> Result<()> {
        self.frontier.push(leaf).map_err(|error| Error::internal(error.to_string()))?;
        let (mut level, mut next) = (0, Some(leaf));
        while let Some(hash) = next.take() {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(hash);
            if let Some(root) = tile::root(&self.levels[level]) {
                let hashes = std::mem::take(&mut self.levels[level]);
                let index = (self.frontier.size() >> (8 * (level + 1))) - 1;
                self.compare(tx, level as u8, index, &hashes, findings).await?;
                next = Some(root);
                level += 1;
            }
        }
        Ok(())
    }

    /// Compares the tiles that are not full, and looks for tiles that should not be.
    pub(super) async fn finish(&mut self, tx: &mut Tx, findings: &mut Findings) -> Result<()> {
        let levels = std::mem::take(&mut self.levels);
        for (level, hashes) in levels.iter().enumerate().skip(1).filter(|(_, hashes)| !hashes.is_empty()) {
            let index = self.frontier.size() >> (8 * (level + 1));
            self.compare(tx, level as u8, index, hashes, findings).await?;
        }
        let rows =
            query("select level, max(idx) as last from tiles where tenant_id = $1 group by level order by level")
                .bind(self.tenant)
                .fetch_all(tx)
                .await?;
        for row in rows {
            let (level, last) = (row.get::<i64>("level")?, unsigned(row.get("last")?));
            let stored = u8::try_from(level).ok().and_then(|level| Tile::of(level, last, self.frontier.size()));
            if stored.is_none_or(|tile| level == 0 && !tile.is_full()) {
                findings.add(FindingKind::Tile, format!("tile/{level}/{last}"), "is beyond the end of the log");
            }
        }
        Ok(())
    }

    async fn compare(
        &mut self,
        tx: &mut Tx,
        level: u8,
        index: u64,
        hashes: &[Hash],
        findings: &mut Findings,
    ) -> Result<()> {
        self.checked += 1;
        let name = Tile { level, index, width: hashes.len() as u16 }.path();
        match tiles::read(tx, self.tenant, level, index).await {
            Ok(Some(stored)) if stored == hashes => {}
            Ok(Some(stored)) => {
                let differs = stored.iter().zip(hashes).position(|(stored, hash)| stored != hash);
                let message = match differs {
                    Some(at) if level == 0 => {
                        let entry = index * WIDTH + at as u64;
                        format!("hash {at} is {} and entries/{entry} gives {}", stored[at], hashes[at])
                    }
                    Some(at) => format!("hash {at} is {} and the tile below gives {}", stored[at], hashes[at]),
                    None => format!("has {} hashes and should have {}", stored.len(), hashes.len()),
                };
                findings.add(FindingKind::Tile, name, message);
            }
            Ok(None) => findings.add(FindingKind::Tile, name, "is missing"),
            Err(error) => findings.add(FindingKind::Tile, name, format!("cannot be read: {error}")),
        }
        Ok(())
    }
}
