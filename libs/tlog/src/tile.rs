//! Tiles of height 8 (C2SP tlog-tiles): 256 consecutive hashes of one level, stored and fetched together.

use crate::error::{Error, Result};
use crate::frontier::fold;
use crate::hash::{Hash, node_hash};
use crate::proof::Node;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The number of hashes in a full tile.
pub const WIDTH: u64 = 256;

/// The number of tree levels that one tile spans.
pub const HEIGHT: u8 = 8;

/// The name of a tile: level, index and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// The level: the hashes are roots of subtrees of 256^level leaves.
    pub level: u8,
    /// The position among the tiles of that level.
    pub index: u64,
    /// The number of hashes, 1 to 256.
    pub width: u16,
}

impl Tile {
    /// The tile at `level` and `index` in a tree of `size` leaves; none if the tree has no such tile.
    pub fn of(level: u8, index: u64, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(u32::from(level) * u32::from(HEIGHT)).unwrap_or(0);
        let width = hashes.saturating_sub(index.checked_mul(WIDTH)?).min(WIDTH);
        (width > 0).then_some(Self { level, index, width: width as u16 })
    }

    /// The tile that holds `node` in a tree of `size` leaves, and the place of its first hash below `node`.
    ///
    /// # Errors
    /// [`Error::Missing`] if the tree is too small to have the node.
    pub fn holding(node: Node, size: u64) -> Result<(Self, usize)> {
        let missing = || Error::Missing { what: format!("node {} of level {}", node.index, node.level) };
        let below = node.level % HEIGHT;
        let first = node.index.checked_mul(1 << below).ok_or_else(missing)?;
        let tile = Self::of(node.level / HEIGHT, first / WIDTH, size).ok_or_else(missing)?;
        let offset = (first % WIDTH) as usize;
        if offset + (1 << below) <= usize::from(tile.width) { Ok((tile, offset)) } else { Err(missing()) }
    }

    /// Whether the tile has all its hashes and so will never change.
    pub fn is_full(&self) -> bool {
        u64::from(self.width) == WIDTH
    }

    /// The path below the log's prefix, such as `tile/1/x001/x234/067.p/8`.
    pub fn path(&self) -> String {
        format!("tile/{}/{}", self.level, numbered(self.index, self.width))
    }

    /// Reads a path below the log's prefix.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything but the one form that [`Tile::path`] writes.
    pub fn parse(path: &str) -> Result<Self> {
        let wrong = || Error::malformed("tile path", format!("{path:?} is not tile/LEVEL/xNNN/NNN[.p/WIDTH]"));
        let (level, rest) = path.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
        let level = level.parse().ok().filter(|level| *level < 64).ok_or_else(wrong)?;
        let (index, width) = parse_numbered(rest).ok_or_else(wrong)?;
        let tile = Self { level, index, width };
        if tile.path() == path { Ok(tile) } else { Err(wrong()) }
    }

    /// The path of the bundle of entries that a tile of level 0 is the hashes of.
    pub fn bundle_path(&self) -> String {
        format!("tile/entries/{}", numbered(self.index, self.width))
    }

    /// Reads the path of a bundle of entries; the result has level 0.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything but the one form that [`Tile::bundle_path`] writes.
    pub fn parse_bundle(path: &str) -> Result<Self> {
        let wrong = || Error::malformed("bundle path", format!("{path:?} is not tile/entries/xNNN/NNN[.p/WIDTH]"));
        let rest = path.strip_prefix("tile/entries/").ok_or_else(wrong)?;
        let (index, width) = parse_numbered(rest).ok_or_else(wrong)?;
        let tile = Self { level: 0, index, width };
        if tile.bundle_path() == path { Ok(tile) } else { Err(wrong()) }
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

fn numbered(index: u64, width: u16) -> String {
    let mut text = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    if u64::from(width) == WIDTH { text } else { format!("{text}.p/{width}") }
}

fn parse_numbered(text: &str) -> Option<(u64, u16)> {
    let (number, width) = match text.split_once(".p/") {
        Some((number, width)) => (number, width.parse().ok().filter(|width| (1..256).contains(width))?),
        None => (text, 256),
    };
    let index = number.split('/').try_fold(0u64, |index, part| {
        let digits = part.strip_prefix('x').unwrap_or(part);
        let part = digits.parse::<u16>().ok().filter(|part| digits.len() == 3 && *part < 1000)?;
        index.checked_mul(1000)?.checked_add(part.into())
    })?;
    Some((index, width))
}

/// The root of the subtree of 2^n hashes.
fn subtree(hashes: &[Hash]) -> Option<Hash> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level.chunks_exact(2).map(|pair| node_hash(pair[0], pair[1])).collect();
    }
    fold(&level)
}

/// The root of a full tile, which is a hash of the level above; none unless there are 256 hashes.
pub fn root(hashes: &[Hash]) -> Option<Hash> {
    if hashes.len() as u64 == WIDTH { subtree(hashes) } else { None }
}

/// A full tile with all nodes that it spans, so that none is computed twice.
#[derive(Debug, Clone)]
pub struct Grown(Vec<Hash>);

impl Grown {
    /// The nodes over 256 hashes; none if there are not so many.
    pub fn new(hashes: &[Hash]) -> Option<Self> {
        if hashes.len() as u64 != WIDTH {
            return None;
        }
        let mut all = hashes.to_vec();
        let mut level = 0;
        while level + 1 < all.len() {
            let above: Vec<Hash> = all[level..].chunks_exact(2).map(|pair| node_hash(pair[0], pair[1])).collect();
            level = all.len();
            all.extend(above);
        }
        Some(Self(all))
    }

    /// The node `below` levels above the tile's hashes whose first hash is at `offset`.
    pub fn node(&self, below: u8, offset: usize) -> Option<Hash> {
        let width = usize::try_from(WIDTH).ok()?.checked_shr(below.into())?;
        let place = offset.checked_shr(below.into()).filter(|place| *place < width)?;
        // The levels stand one behind the other, each half as long as the one before.
        self.0.get(self.0.len() + 1 - 2 * width + place).copied()
    }

    /// The root, which is a hash of the level above.
    pub fn root(&self) -> Option<Hash> {
        self.0.last().copied()
    }
}

/// Tiles of a tree of one size, fetched to answer for its nodes.
#[derive(Debug, Clone)]
pub struct Tiles {
    size: u64,
    tiles: BTreeMap<Tile, Vec<Hash>>,
}

impl Tiles {
    /// An empty set for a tree of `size` leaves.
    pub fn new(size: u64) -> Self {
        Self { size, tiles: BTreeMap::new() }
    }

    /// The tiles that hold `nodes` in a tree of `size` leaves.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn needed(nodes: &[Node], size: u64) -> Result<BTreeSet<Tile>> {
        nodes.iter().map(|node| Tile::holding(*node, size).map(|(tile, _)| tile)).collect()
    }

    /// Adds a tile.
    ///
    /// # Errors
    /// [`Error::ProofLength`] if the number of hashes is not the tile's width.
    pub fn insert(&mut self, tile: Tile, hashes: Vec<Hash>) -> Result<()> {
        let expected = usize::from(tile.width);
        if hashes.len() != expected {
            return Err(Error::ProofLength { expected, found: hashes.len() });
        }
        self.tiles.insert(tile, hashes);
        Ok(())
    }

    /// The tiles that were added.
    pub fn all(&self) -> impl Iterator<Item = (&Tile, &[Hash])> {
        self.tiles.iter().map(|(tile, hashes)| (tile, hashes.as_slice()))
    }

    /// The hash of `node`.
    ///
    /// # Errors
    /// [`Error::Missing`] if its tile was not added.
    pub fn read(&self, node: Node) -> Result<Hash> {
        let (tile, offset) = Tile::holding(node, self.size)?;
        let hashes = self.tiles.get(&tile).and_then(|hashes| hashes.get(offset..offset + (1 << (node.level % HEIGHT))));
        hashes.and_then(subtree).ok_or_else(|| Error::Missing { what: tile.path() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::hash::leaf_hash;

    #[test]
    fn a_grown_tile_has_the_nodes_that_its_hashes_give() {
        let hashes: Vec<Hash> = (0..256u32).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let grown = Grown::new(&hashes).unwrap();
        let full = Tile { level: 0, index: 0, width: 256 };
        let mut tiles = Tiles::new(256);
        tiles.insert(full, hashes.clone()).unwrap();
        for level in 0..HEIGHT {
            for index in 0..WIDTH >> level {
                let node = Node { level, index };
                let (_, offset) = Tile::holding(node, 256).unwrap();
                assert_eq!(grown.node(level, offset), Some(tiles.read(node).unwrap()), "{level} {index}");
            }
        }
        assert_eq!((grown.root(), grown.node(HEIGHT, 0)), (root(&hashes), root(&hashes)));
        assert_eq!((grown.node(0, 256), grown.node(1, 256), grown.node(9, 0)), (None, None, None));
        assert!(Grown::new(&hashes[1..]).is_none());
    }
}
