//! Proofs hold for every size up to 600 and random sizes up to 2^40, and nothing false is accepted.
#![allow(clippy::unwrap_used, missing_docs)]

use proptest::prelude::*;
use remit_tlog::proof::{self, Node};
use remit_tlog::tile::{self, Tile, Tiles};
use remit_tlog::{Error, Frontier, Hash, Result, empty_root, leaf_hash, node_hash};
use std::collections::BTreeMap;

const SIZES: u64 = 600;

fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

/// The definition of RFC 9162 section 2.1.1, word for word: the reference for everything else.
fn definition(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        many => {
            let mut k = 1;
            while k * 2 < many.len() {
                k *= 2;
            }
            node_hash(definition(&many[..k]), definition(&many[k..]))
        }
    }
}

fn node_of(leaves: &[Hash], node: Node) -> Hash {
    let start = (node.index << node.level) as usize;
    definition(&leaves[start..start + (1 << node.level)])
}

fn all_leaves() -> Vec<Hash> {
    (0..SIZES).map(leaf).collect()
}

#[test]
fn the_frontier_gives_the_root_of_the_definition_at_every_size() {
    let leaves = all_leaves();
    let mut frontier = Frontier::default();
    for size in 0..=leaves.len() {
        assert_eq!(frontier.root(), definition(&leaves[..size]), "size {size}");
        let restored = Frontier::new(frontier.size(), frontier.hashes().to_vec()).unwrap();
        assert_eq!(restored, frontier);
        if let Some(next) = leaves.get(size) {
            frontier.push(*next).unwrap();
        }
    }
}

#[test]
fn every_inclusion_proof_is_accepted_and_no_other_index_leaf_or_length() {
    let leaves = all_leaves();
    let mut nodes = BTreeMap::new();
    let mut read = |node| -> Result<Hash> { Ok(*nodes.entry(node).or_insert_with(|| node_of(&leaves, node))) };
    for size in 1..=SIZES {
        let root = definition(&leaves[..size as usize]);
        // Every index of the small sizes; of the others the ends, the middle and around the tile border.
        let some = [0, 1, size / 2, size.saturating_sub(2), size - 1, 255, 256];
        let indexes: Vec<u64> =
            if size <= 80 { (0..size).collect() } else { some.into_iter().filter(|i| *i < size).collect() };
        for index in indexes {
            let path = proof::inclusion(index, size, &mut read).unwrap();
            let leaf = leaves[index as usize];
            proof::check_inclusion(index, leaf, size, root, &path).unwrap();
            assert!(proof::check_inclusion(index, leaf_hash(b"other"), size, root, &path).is_err());
            if size > 1 {
                assert!(proof::check_inclusion((index + 1) % size, leaf, size, root, &path).is_err());
                assert!(proof::check_inclusion(index, leaf, size, root, &path[1..]).is_err());
                assert!(proof::check_inclusion(index, leaf, size, root, &[]).is_err());
            }
            let longer = [path.as_slice(), &[root]].concat();
            assert!(matches!(proof::check_inclusion(index, leaf, size, root, &longer), Err(Error::ProofLength { .. })));
        }
        assert!(matches!(proof::check_inclusion(size, leaves[0], size, root, &[]), Err(Error::IndexBeyondSize { .. })));
    }
}

#[test]
fn every_consistency_proof_is_accepted_and_no_other_root() {
    let leaves = all_leaves();
    let roots: Vec<Hash> = (0..=leaves.len()).map(|size| definition(&leaves[..size])).collect();
    let mut nodes = BTreeMap::new();
    let mut read = |node| -> Result<Hash> { Ok(*nodes.entry(node).or_insert_with(|| node_of(&leaves, node))) };
    for new in 1..=SIZES {
        let some = [0, 1, 2, new / 2, new - 1, new, 255, 256, 257, 512];
        let olds: Vec<u64> =
            if new <= 80 { (0..=new).collect() } else { some.into_iter().filter(|o| *o <= new).collect() };
        for old in olds {
            let path = proof::consistency(old, new, &mut read).unwrap();
            let (old_root, new_root) = (roots[old as usize], roots[new as usize]);
            proof::check_consistency(old, old_root, new, new_root, &path).unwrap();
            assert!(proof::check_consistency(old, leaf_hash(b"forged"), new, new_root, &path).is_err());
            if old > 0 {
                assert!(proof::check_consistency(old, old_root, new, leaf_hash(b"forged"), &path).is_err());
                let longer = [path.as_slice(), &[new_root]].concat();
                assert!(proof::check_consistency(old, old_root, new, new_root, &longer).is_err());
            }
            if old > 0 && old < new {
                assert!(proof::check_consistency(old, old_root, new, new_root, &[]).is_err(), "{old} {new}");
            }
        }
        assert!(matches!(
            proof::check_consistency(new + 1, roots[0], new, roots[0], &[]),
            Err(Error::OutOfOrder { .. })
        ));
    }
}

#[test]
fn every_range_proof_is_accepted_and_no_changed_leaf() {
    let leaves = all_leaves();
    let read = |node| -> Result<Hash> { Ok(node_of(&leaves, node)) };
    for size in (1..=64).chain([255, 256, 257, 599]) {
        let root = definition(&leaves[..size]);
        for start in [0, 1, size / 3, size / 2, size - 1] {
            for end in
                [start, start + 1, (start + size) / 2, size].into_iter().filter(|end| (start..=size).contains(end))
            {
                let range = proof::range(start as u64, end as u64, size as u64, read).unwrap();
                let mut frontier = range.begin(start as u64).unwrap();
                for leaf in &leaves[start..end] {
                    frontier.push(*leaf).unwrap();
                }
                range.finish(frontier, size as u64, root).unwrap();
                if start < end {
                    let mut frontier = range.begin(start as u64).unwrap();
                    frontier.push(leaf_hash(b"changed")).unwrap();
                    for leaf in &leaves[start + 1..end] {
                        frontier.push(*leaf).unwrap();
                    }
                    assert!(matches!(range.finish(frontier, size as u64, root), Err(Error::RootMismatch { .. })));
                }
            }
        }
    }
}

/// A tree too large to hold: all leaves are alike but a few. Any node can be computed.
struct Sparse {
    plain: Vec<Hash>,
    special: BTreeMap<u64, Hash>,
}

impl Sparse {
    fn new(special: &[u64]) -> Self {
        let mut plain = vec![leaf_hash(b"plain")];
        for level in 0..62 {
            plain.push(node_hash(plain[level], plain[level]));
        }
        Self { plain, special: special.iter().map(|index| (*index, leaf(*index))).collect() }
    }

    fn node(&self, node: Node) -> Hash {
        let span = (node.index << node.level)..((node.index + 1) << node.level);
        match self.special.range(span).next() {
            None => self.plain[usize::from(node.level)],
            Some((_, hash)) if node.level == 0 => *hash,
            Some(_) => {
                let below = |index| self.node(Node { level: node.level - 1, index });
                node_hash(below(node.index * 2), below(node.index * 2 + 1))
            }
        }
    }

    fn root(&self, size: u64) -> Hash {
        let mut frontier = Frontier::default();
        for node in proof::nodes(0, size) {
            frontier.push_subtree(node.level, self.node(node)).unwrap();
        }
        frontier.root()
    }

    fn tile(&self, tile: Tile) -> Vec<Hash> {
        let first = tile.index * tile::WIDTH;
        (first..first + u64::from(tile.width)).map(|index| self.node(Node { level: tile.level * 8, index })).collect()
    }
}

/// Nodes that tell which hashes they read, so that a test can do so through tiles.
fn through_tiles(sparse: &Sparse, size: u64, nodes: &[Node]) -> (Tiles, usize) {
    let needed = Tiles::needed(nodes, size).unwrap();
    let mut tiles = Tiles::new(size);
    for tile in &needed {
        tiles.insert(*tile, sparse.tile(*tile)).unwrap();
    }
    (tiles, needed.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn proofs_of_huge_trees_hold_and_read_few_tiles(size in 1u64..(1 << 40), at in 0.0..1.0f64, part in 0.0..1.0f64) {
        let index = ((size as f64) * at) as u64 % size;
        let old = 1 + ((size as f64) * part) as u64 % size;
        let sparse = Sparse::new(&[0, index, index / 2, old - 1, size - 1]);
        let (root, old_root) = (sparse.root(size), sparse.root(old));

        let (tiles, read) = through_tiles(&sparse, size, &proof::inclusion_nodes(index, size).unwrap());
        let levels = (64 - (size - 1).leading_zeros() as usize).div_ceil(8);
        // One tile a level on the way up, and one a level along the right edge.
        prop_assert!(read <= 2 * levels.max(1), "{read} tiles for {size}");
        let path = proof::inclusion(index, size, |node| tiles.read(node)).unwrap();
        proof::check_inclusion(index, sparse.node(Node { level: 0, index }), size, root, &path).unwrap();
        prop_assert!(proof::check_inclusion(index, leaf_hash(b"no"), size, root, &path).is_err());

        let (tiles, _) = through_tiles(&sparse, size, &proof::consistency_nodes(old, size).unwrap());
        let path = proof::consistency(old, size, |node| tiles.read(node)).unwrap();
        proof::check_consistency(old, old_root, size, root, &path).unwrap();
        if old < size {
            prop_assert!(proof::check_consistency(old, root, size, root, &path).is_err());
        }
    }

    #[test]
    fn a_proof_with_any_hash_changed_is_refused(size in 2u64..(1 << 40), at in 0.0..1.0f64, which in any::<prop::sample::Index>(), bit in 0usize..256) {
        let index = ((size as f64) * at) as u64 % size;
        let sparse = Sparse::new(&[index]);
        let mut path = proof::inclusion(index, size, |node| Ok::<_, Error>(sparse.node(node))).unwrap();
        let which = which.index(path.len());
        path[which].0[bit / 8] ^= 1 << (bit % 8);
        let refused = matches!(
            proof::check_inclusion(index, sparse.node(Node { level: 0, index }), size, sparse.root(size), &path),
            Err(Error::RootMismatch { .. })
        );
        prop_assert!(refused);
    }

    #[test]
    fn tile_paths_read_back(level in 0u8..64, index in 0u64..(1 << 50), width in 1u16..=256) {
        let tile = Tile { level, index, width };
        prop_assert_eq!(Tile::parse(&tile.path()).unwrap(), tile);
        let bundle = Tile { level: 0, ..tile };
        prop_assert_eq!(Tile::parse_bundle(&bundle.bundle_path()).unwrap(), bundle);
    }
}

#[test]
fn tiles_have_the_shapes_of_the_specification() {
    // The example of C2SP tlog-tiles: a tree of 70,000 leaves.
    let width = |level, index| Tile::of(level, index, 70_000).map(|tile| tile.width);
    assert_eq!([width(0, 272), width(0, 273), width(0, 274)], [Some(256), Some(112), None]);
    assert_eq!([width(1, 0), width(1, 1), width(2, 0), width(3, 0)], [Some(256), Some(17), Some(1), None]);
    assert_eq!(Tile { level: 0, index: 1_234_067, width: 256 }.path(), "tile/0/x001/x234/067");
    assert_eq!(Tile { level: 2, index: 7, width: 3 }.path(), "tile/2/007.p/3");
    for wrong in [
        "tile/0/67",
        "tile/0/0067",
        "tile/64/067",
        "tile/0/001/067",
        "tile/0/x001/x067",
        "tile/0/067.p/0",
        "tile/0/067.p/256",
        "tile/00/067",
        "tile/0/x000/067",
        "tile/0/067.p/05",
        "tile/0/+67",
    ] {
        assert!(Tile::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_frontier_refuses_what_cannot_be() {
    assert!(matches!(Frontier::new(3, vec![empty_root()]), Err(Error::ProofLength { expected: 2, found: 1 })));
    assert!(matches!(Frontier::new(u64::MAX, vec![empty_root(); 64]), Err(Error::TooLarge)));
    let mut one = Frontier::new(1, vec![leaf(0)]).unwrap();
    assert!(matches!(one.push_subtree(1, leaf(1)), Err(Error::Malformed { .. })));
    assert!(matches!(one.push_subtree(64, leaf(1)), Err(Error::TooLarge)));
}
