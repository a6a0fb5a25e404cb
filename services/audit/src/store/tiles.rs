//! Tiles, stored and read.

use super::damaged;
use super::heads::{Head, signed};
use super::known_tiles::KnownTiles;
use remit_core::{Result, Tenant};
use remit_store::{Sql, Tx, query};
use remit_tlog::tile::{Grown, HEIGHT, Tile, Tiles, WIDTH};
use remit_tlog::{Error as LogError, Hash, Node, proof};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The stored hashes of one tile, as many as there are.
pub async fn read(tx: &mut Tx, tenant: &Tenant, level: u8, index: u64) -> Result<Option<Vec<Hash>>> {
    let row = query("select hashes from tiles where tenant_id = $1 and level = $2 and idx = $3")
        .bind(tenant)
        .bind(i64::from(level))
        .bind(signed(index))
        .fetch_optional(tx)
        .await?;
    row.map(|row| split(&row.get::<Vec<u8>>("hashes")?)).transpose()
}

/// Stores a tile, or what it has grown to.
pub async fn write(tx: &mut Tx, tenant: &Tenant, level: u8, index: u64, hashes: &[Hash]) -> Result<()> {
    query(
        "insert into tiles (tenant_id, level, idx, hashes) values ($1, $2, $3, $4)
         on conflict (tenant_id, level, idx) do update set hashes = excluded.hashes",
    )
    .bind(tenant)
    .bind(i64::from(level))
    .bind(signed(index))
    .bind(Hash::join(hashes))
    .execute(tx)
    .await
    .map(|_| ())
}

/// The leaf hashes of entries from `start` to `end`, which must not have been pruned.
pub async fn leaf_hashes(tx: &mut Tx, tenant: &Tenant, start: u64, end: u64) -> Result<Vec<Hash>> {
    let rows = query("select leaf_hash from entries where tenant_id = $1 and idx >= $2 and idx < $3 order by idx")
        .bind(tenant)
        .bind(signed(start))
        .bind(signed(end))
        .fetch_all(tx)
        .await?;
    if rows.len() as u64 != end - start {
        return Err(damaged(format!("{} of the entries {start} to {end} are there", rows.len())));
    }
    let hash = |bytes: Vec<u8>| Hash::from_slice(&bytes).map_err(|error| damaged(error.to_string()));
    rows.iter().map(|row| hash(row.get("leaf_hash")?)).collect()
}

fn split(bytes: &[u8]) -> Result<Vec<Hash>> {
    Hash::split(bytes).map_err(|error| damaged(format!("a tile: {error}")))
}

/// The hashes of `tile`; those of a level 0 tile that is not full yet come from its entries.
pub async fn content(tx: &mut Tx, tenant: &Tenant, tile: Tile) -> Result<Vec<Hash>> {
    let width = usize::from(tile.width);
    match read(tx, tenant, tile.level, tile.index).await? {
        Some(mut hashes) if hashes.len() >= width => {
            hashes.truncate(width);
            Ok(hashes)
        }
        None if tile.level == 0 => {
            let start = tile.index * WIDTH;
            leaf_hashes(tx, tenant, start, start + u64::from(tile.width)).await
        }
        _ => Err(damaged(format!("{tile} is missing or too short"))),
    }
}

/// Reads the tiles that hold `nodes` in a log of `size` entries: one statement for those that are
/// stored, one more if the last tile of level 0 is among them and not full.
pub async fn holding(tx: &mut Tx, tenant: &Tenant, nodes: &[Node], size: u64) -> Result<Tiles> {
    let needed = Tiles::needed(nodes, size).map_err(|error| damaged(error.to_string()))?;
    let mut tiles = Tiles::new(size);
    let mut missing: BTreeSet<Tile> = needed.clone();
    if !needed.is_empty() {
        let mut sql = Sql::new("select level, idx, hashes from tiles where tenant_id = ").bind(tenant).push(" and (");
        for (at, tile) in needed.iter().enumerate() {
            sql = sql.push(if at == 0 { "(level = " } else { " or (level = " }).bind(i64::from(tile.level));
            sql = sql.push(" and idx = ").bind(signed(tile.index)).push(")");
        }
        for row in sql.push(")").query().fetch_all(tx).await? {
            let (level, index): (i64, i64) = (row.get("level")?, row.get("idx")?);
            let hashes = split(&row.get::<Vec<u8>>("hashes")?)?;
            let same = |tile: &&Tile| i64::from(tile.level) == level && signed(tile.index) == index;
            if let Some(tile) = needed.iter().find(same)
                && let Some(hashes) = hashes.get(..usize::from(tile.width))
            {
                insert(&mut tiles, *tile, hashes.to_vec())?;
                missing.remove(tile);
            }
        }
    }
    for tile in missing {
        let hashes = content(tx, tenant, tile).await?;
        insert(&mut tiles, tile, hashes)?;
    }
    Ok(tiles)
}

fn insert(tiles: &mut Tiles, tile: Tile, hashes: Vec<Hash>) -> Result<()> {
    tiles.insert(tile, hashes).map_err(|error| damaged(error.to_string()))
}

fn broken(error: LogError) -> remit_core::Error {
    damaged(error.to_string())
}

/// The root hash at `size`, which must not be beyond the log.
pub async fn root(tx: &mut Tx, tenant: &Tenant, size: u64) -> Result<Hash> {
    let tiles = holding(tx, tenant, &proof::nodes(0, size), size).await?;
    root_of(&tiles, size)
}

fn root_of(tiles: &Tiles, size: u64) -> Result<Hash> {
    let mut frontier = remit_tlog::Frontier::default();
    for node in proof::nodes(0, size) {
        frontier.push_subtree(node.level, tiles.read(node).map_err(broken)?).map_err(broken)?;
    }
    Ok(frontier.root())
}

/// That an entry is in the log at one size.
pub struct Inclusion {
    /// The leaf hash of the entry.
    pub leaf: Hash,
    /// The proof.
    pub hashes: Vec<Hash>,
    /// The root that it leads to.
    pub root: Hash,
    /// The full tiles that it was made of, where these are worth knowing.
    pub tiles: Vec<(Tile, Arc<Grown>)>,
}

impl Inclusion {
    /// Refuses a proof that leads nowhere, as a damaged tile gives one.
    ///
    /// # Errors
    /// `Internal` if it does not lead to the root.
    pub fn check(&self, index: u64, size: u64) -> Result<()> {
        proof::check_inclusion(index, self.leaf, size, self.root, &self.hashes).map_err(broken)
    }
}

/// The inclusion proof of `index` at `size`, all of it from the same few tiles.
pub async fn inclusion(tx: &mut Tx, tenant: &Tenant, index: u64, size: u64) -> Result<Inclusion> {
    let leaf = Node { level: 0, index };
    let mut nodes = proof::inclusion_nodes(index, size).map_err(broken)?;
    nodes.push(leaf);
    nodes.extend(proof::nodes(0, size));
    let tiles = holding(tx, tenant, &nodes, size).await?;
    Ok(Inclusion {
        leaf: tiles.read(leaf).map_err(broken)?,
        hashes: proof::inclusion(index, size, |node| tiles.read(node)).map_err(broken)?,
        root: root_of(&tiles, size)?,
        tiles: Vec::new(),
    })
}

/// The inclusion proofs of entries at one size, all of them from the same few tiles, and none that leads nowhere.
pub async fn inclusions(tx: &mut Tx, tenant: &Tenant, indexes: &[u64], size: u64) -> Result<Vec<Vec<Hash>>> {
    if indexes.is_empty() {
        return Ok(Vec::new());
    }
    let leaf = |index: u64| Node { level: 0, index };
    let mut nodes: BTreeSet<Node> = proof::nodes(0, size).into_iter().collect();
    for index in indexes {
        nodes.extend(proof::inclusion_nodes(*index, size).map_err(broken)?);
        nodes.insert(leaf(*index));
    }
    let nodes: Vec<Node> = nodes.into_iter().collect();
    let tiles = holding(tx, tenant, &nodes, size).await?;
    let root = root_of(&tiles, size)?;
    let proof = |index: &u64| {
        let hashes = proof::inclusion(*index, size, |node| tiles.read(node)).map_err(broken)?;
        let own = tiles.read(leaf(*index)).map_err(broken)?;
        proof::check_inclusion(*index, own, size, root, &hashes).map_err(broken)?;
        Ok(hashes)
    };
    indexes.iter().map(proof).collect()
}

/// The inclusion proof of `index` at the size of the head, whose frontier has the right edge of the tree: the tile that is
/// still open is then not read for the entries before it, and those that are `known` are not read at all. None if the tiles
/// do not lead to the root of the head.
pub async fn inclusion_at_head(
    tx: &mut Tx,
    tenant: &Tenant,
    index: u64,
    head: &Head,
    known: &KnownTiles,
) -> Result<Option<Inclusion>> {
    let size = head.size;
    let edge: BTreeMap<Node, Hash> =
        proof::nodes(0, size).into_iter().zip(head.frontier.hashes().iter().copied()).collect();
    let leaf = Node { level: 0, index };
    let mut nodes = proof::inclusion_nodes(index, size).map_err(broken)?;
    nodes.push(leaf);
    nodes.retain(|node| !edge.contains_key(node));
    let needed = Tiles::needed(&nodes, size).map_err(broken)?;
    let mut grown: BTreeMap<Tile, Arc<Grown>> =
        needed.into_iter().filter_map(|tile| Some((tile, known.get(tenant, &tile)?))).collect();
    nodes.retain(|node| Tile::holding(*node, size).is_ok_and(|(tile, _)| !grown.contains_key(&tile)));
    let tiles = holding(tx, tenant, &nodes, size).await?;
    grown.extend(tiles.all().filter_map(|(tile, hashes)| Some((*tile, Arc::new(Grown::new(hashes)?)))));
    let read = |node: Node| {
        if let Some(hash) = edge.get(&node) {
            return Ok(*hash);
        }
        let (tile, offset) = Tile::holding(node, size)?;
        let inside = grown.get(&tile).and_then(|grown| grown.node(node.level % HEIGHT, offset));
        inside.map_or_else(|| tiles.read(node), Ok)
    };
    let (leaf, hashes) = (read(leaf).map_err(broken)?, proof::inclusion(index, size, read).map_err(broken)?);
    let holds = proof::check_inclusion(index, leaf, size, head.root, &hashes).is_ok();
    let tiles = grown.into_iter().collect();
    Ok(holds.then_some(Inclusion { leaf, hashes, root: head.root, tiles }))
}

/// That the log at `new` extends the log at `old`.
pub struct Consistency {
    /// The proof.
    pub hashes: Vec<Hash>,
    /// The roots at both sizes.
    pub roots: (Hash, Hash),
}

/// The consistency proof from `old` to `new`, all of it from the same few tiles.
pub async fn consistency(tx: &mut Tx, tenant: &Tenant, old: u64, new: u64) -> Result<Consistency> {
    let mut nodes = proof::consistency_nodes(old, new).map_err(broken)?;
    nodes.extend(proof::nodes(0, old));
    nodes.extend(proof::nodes(0, new));
    let tiles = holding(tx, tenant, &nodes, new).await?;
    Ok(Consistency {
        hashes: proof::consistency(old, new, |node| tiles.read(node)).map_err(broken)?,
        roots: (root_of(&tiles, old)?, root_of(&tiles, new)?),
    })
}

/// What surrounds the entries `start..end` at `size`.
pub async fn range(tx: &mut Tx, tenant: &Tenant, start: u64, end: u64, size: u64) -> Result<proof::RangeProof> {
    let nodes = proof::range_nodes(start, end, size).map_err(broken)?;
    let tiles = holding(tx, tenant, &nodes, size).await?;
    proof::range(start, end, size, |node| tiles.read(node)).map_err(broken)
}
