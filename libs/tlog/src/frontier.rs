//! The right edge of a growing tree: all that is needed to append and to know the root.

use crate::error::{Error, Result};
use crate::hash::{Hash, empty_root, node_hash};

/// The roots of the perfect subtrees that a tree of some size consists of, largest first: one for
/// every one-bit of the size. At most 63 hashes, whatever the size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Hash>,
}

impl Frontier {
    /// Restores a frontier.
    ///
    /// # Errors
    /// [`Error::ProofLength`] if the number of hashes is not the number of one-bits in `size`;
    /// [`Error::TooLarge`].
    pub fn new(size: u64, hashes: Vec<Hash>) -> Result<Self> {
        if size > i64::MAX.unsigned_abs() {
            return Err(Error::TooLarge);
        }
        let expected = size.count_ones() as usize;
        if hashes.len() == expected {
            Ok(Self { size, hashes })
        } else {
            Err(Error::ProofLength { expected, found: hashes.len() })
        }
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The subtree roots, largest first.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Appends a leaf.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn push(&mut self, leaf: Hash) -> Result<()> {
        self.push_subtree(0, leaf)
    }

    /// Appends a perfect subtree of 2^`level` leaves.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the size is not a multiple of 2^`level`, because the subtree would then
    /// not be a node of the tree; [`Error::TooLarge`].
    pub fn push_subtree(&mut self, level: u8, root: Hash) -> Result<()> {
        let leaves = 1u64.checked_shl(level.into()).ok_or(Error::TooLarge)?;
        if !self.size.is_multiple_of(leaves) {
            let why = format!("a subtree of {leaves} leaves cannot begin at {}", self.size);
            return Err(Error::malformed("frontier", why));
        }
        let size = self.size.checked_add(leaves).filter(|size| *size <= i64::MAX.unsigned_abs());
        let size = size.ok_or(Error::TooLarge)?;
        let (mut hash, mut level) = (root, level);
        while self.size >> level & 1 == 1
            && let Some(left) = self.hashes.pop()
        {
            hash = node_hash(left, hash);
            level += 1;
        }
        self.hashes.push(hash);
        self.size = size;
        Ok(())
    }

    /// The root hash.
    pub fn root(&self) -> Hash {
        fold(&self.hashes).unwrap_or_else(empty_root)
    }
}

/// The root of a range made of perfect subtrees of falling size; none for an empty range.
pub(crate) fn fold(hashes: &[Hash]) -> Option<Hash> {
    hashes.iter().rev().copied().reduce(|right, left| node_hash(left, right))
}
