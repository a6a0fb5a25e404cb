//! Inclusion, consistency and range proofs: which hashes they consist of, and how they are checked.
//!
//! A proof is a list of subtree roots, each the hash over a range of leaves. Both sides derive the same
//! ranges from the index and the sizes alone, so a proof with a hash too few or too many is refused
//! before anything is hashed.

use crate::error::{Error, Result};
use crate::frontier::{Frontier, fold};
use crate::hash::{Hash, empty_root, node_hash};

/// A perfect subtree: leaves `index << level` to `(index + 1) << level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// The height; 0 is a leaf.
    pub level: u8,
    /// The position among the nodes of that height.
    pub index: u64,
}

/// A span of leaves, `start` included, `end` not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u64,
    end: u64,
}

/// The greatest power of two smaller than `leaves`, which must be at least 2.
fn split(leaves: u64) -> u64 {
    1 << (63 - (leaves - 1).leading_zeros())
}

/// The largest perfect subtrees that make up the leaves from `start` to `end`, from left to right.
pub fn nodes(start: u64, end: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut at = start;
    while at < end {
        let level = at.trailing_zeros().min(63 - (end - at).leading_zeros());
        nodes.push(Node { level: level as u8, index: at >> level });
        at += 1 << level;
    }
    nodes
}

/// RFC 9162 section 2.1.3.1, from the leaf up.
fn inclusion_spans(index: u64, size: u64) -> Result<Vec<Span>> {
    if index >= size {
        return Err(Error::IndexBeyondSize { index, size });
    }
    let (mut start, mut end, mut spans) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            spans.push(Span { start: middle, end });
            end = middle;
        } else {
            spans.push(Span { start, end: middle });
            start = middle;
        }
    }
    spans.reverse();
    Ok(spans)
}

/// RFC 9162 section 2.1.4.1, from the bottom up. The flag tells that the proof begins with the root of
/// the subtree that ends at `old`; without it that subtree is the whole old tree and is left out.
fn consistency_spans(old: u64, new: u64) -> Result<(Vec<Span>, bool)> {
    if old > new {
        return Err(Error::OutOfOrder { low: old, high: new });
    }
    if old == 0 || old == new {
        return Ok((Vec::new(), false));
    }
    let (mut start, mut end, mut spans) = (0, new, Vec::new());
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            spans.push(Span { start: middle, end });
            end = middle;
        } else {
            spans.push(Span { start, end: middle });
            start = middle;
        }
    }
    let seeded = start != 0;
    if seeded {
        spans.push(Span { start, end });
    }
    spans.reverse();
    Ok((spans, seeded))
}

fn hashes<E: From<Error>>(spans: &[Span], mut read: impl FnMut(Node) -> Result<Hash, E>) -> Result<Vec<Hash>, E> {
    spans
        .iter()
        .map(|span| {
            let parts = nodes(span.start, span.end).into_iter().map(&mut read).collect::<Result<Vec<_>, E>>()?;
            fold(&parts).ok_or_else(|| E::from(Error::Missing { what: "an empty range".into() }))
        })
        .collect()
}

/// The nodes that [`inclusion`] will read, so that their tiles can be fetched together.
///
/// # Errors
/// [`Error::IndexBeyondSize`].
pub fn inclusion_nodes(index: u64, size: u64) -> Result<Vec<Node>> {
    Ok(inclusion_spans(index, size)?.iter().flat_map(|span| nodes(span.start, span.end)).collect())
}

/// Makes the proof that the leaf at `index` is in the tree of `size` leaves.
///
/// # Errors
/// [`Error::IndexBeyondSize`], and whatever `read` returns.
pub fn inclusion<E: From<Error>>(
    index: u64,
    size: u64,
    read: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    hashes(&inclusion_spans(index, size)?, read)
}

/// The nodes that [`consistency`] will read.
///
/// # Errors
/// [`Error::OutOfOrder`].
pub fn consistency_nodes(old: u64, new: u64) -> Result<Vec<Node>> {
    Ok(consistency_spans(old, new)?.0.iter().flat_map(|span| nodes(span.start, span.end)).collect())
}

/// Makes the proof that the tree of `new` leaves begins with the tree of `old` leaves.
///
/// # Errors
/// [`Error::OutOfOrder`], and whatever `read` returns.
pub fn consistency<E: From<Error>>(
    old: u64,
    new: u64,
    read: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    hashes(&consistency_spans(old, new)?.0, read)
}

fn expect_length(expected: usize, found: usize) -> Result<()> {
    if expected == found { Ok(()) } else { Err(Error::ProofLength { expected, found }) }
}

fn expect_root(size: u64, claimed: Hash, computed: Hash) -> Result<()> {
    if claimed == computed { Ok(()) } else { Err(Error::RootMismatch { size, claimed, computed }) }
}

/// Checks that `leaf` is the leaf at `index` of the tree of `size` leaves with `root`.
///
/// # Errors
/// [`Error::IndexBeyondSize`], [`Error::ProofLength`], [`Error::RootMismatch`].
pub fn check_inclusion(index: u64, leaf: Hash, size: u64, root: Hash, proof: &[Hash]) -> Result<()> {
    let spans = inclusion_spans(index, size)?;
    expect_length(spans.len(), proof.len())?;
    let computed = spans.iter().zip(proof).fold(leaf, |below, (span, sibling)| {
        if span.end <= index { node_hash(*sibling, below) } else { node_hash(below, *sibling) }
    });
    expect_root(size, root, computed)
}

/// Checks that the tree of `new` leaves with `new_root` begins with the tree of `old` leaves with
/// `old_root`. Every tree extends the empty one.
///
/// # Errors
/// [`Error::OutOfOrder`], [`Error::ProofLength`], [`Error::RootMismatch`] with the size whose root is wrong.
pub fn check_consistency(old: u64, old_root: Hash, new: u64, new_root: Hash, proof: &[Hash]) -> Result<()> {
    let (spans, seeded) = consistency_spans(old, new)?;
    expect_length(spans.len(), proof.len())?;
    if old == 0 {
        expect_root(0, old_root, empty_root())?;
        return if new == 0 { expect_root(0, new_root, empty_root()) } else { Ok(()) };
    }
    if old == new {
        return expect_root(old, old_root, new_root);
    }
    let mut steps = spans.iter().zip(proof);
    let seed = if seeded { steps.next().map_or(old_root, |(_, hash)| *hash) } else { old_root };
    let (mut old_hash, mut new_hash) = (seed, seed);
    for (span, sibling) in steps {
        if span.start >= old {
            new_hash = node_hash(new_hash, *sibling);
        } else {
            old_hash = node_hash(*sibling, old_hash);
            new_hash = node_hash(*sibling, new_hash);
        }
    }
    expect_root(old, old_root, old_hash)?;
    expect_root(new, new_root, new_hash)
}

/// What surrounds the leaves `start..end` in a tree: with it, those leaves alone give the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeProof {
    /// The roots of the perfect subtrees before `start`, from left to right.
    pub left: Vec<Hash>,
    /// The roots of the perfect subtrees from `end` on, from left to right.
    pub right: Vec<Hash>,
}

/// The nodes that [`range`] will read.
///
/// # Errors
/// [`Error::OutOfOrder`].
pub fn range_nodes(start: u64, end: u64, size: u64) -> Result<Vec<Node>> {
    ordered(start, end, size)?;
    Ok(nodes(0, start).into_iter().chain(nodes(end, size)).collect())
}

/// Makes the proof for the leaves `start..end` of the tree of `size` leaves.
///
/// # Errors
/// [`Error::OutOfOrder`], and whatever `read` returns.
pub fn range<E: From<Error>>(
    start: u64,
    end: u64,
    size: u64,
    mut read: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<RangeProof, E> {
    ordered(start, end, size)?;
    let left = nodes(0, start).into_iter().map(&mut read).collect::<Result<_, E>>()?;
    let right = nodes(end, size).into_iter().map(&mut read).collect::<Result<_, E>>()?;
    Ok(RangeProof { left, right })
}

fn ordered(start: u64, end: u64, size: u64) -> Result<()> {
    if start > end {
        return Err(Error::OutOfOrder { low: start, high: end });
    }
    if end > size { Err(Error::OutOfOrder { low: end, high: size }) } else { Ok(()) }
}

impl RangeProof {
    /// The frontier to which the leaves from `start` on are pushed.
    ///
    /// # Errors
    /// [`Error::ProofLength`].
    pub fn begin(&self, start: u64) -> Result<Frontier> {
        Frontier::new(start, self.left.clone())
    }

    /// Adds what follows the range to a frontier that has taken its leaves, and checks the root.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`], [`Error::ProofLength`], [`Error::RootMismatch`].
    pub fn finish(&self, mut frontier: Frontier, size: u64, root: Hash) -> Result<()> {
        ordered(0, frontier.size(), size)?;
        let nodes = nodes(frontier.size(), size);
        expect_length(nodes.len(), self.right.len())?;
        for (node, hash) in nodes.iter().zip(&self.right) {
            frontier.push_subtree(node.level, *hash)?;
        }
        expect_root(size, root, frontier.root())
    }
}
