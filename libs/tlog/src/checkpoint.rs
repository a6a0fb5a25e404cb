//! Checkpoints (C2SP tlog-checkpoint): origin, size and root hash of a log.

use crate::error::{Error, Result};
use crate::hash::{Hash, empty_root};
use crate::note::{Note, Signer};
use std::fmt;

/// What a log says about itself at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The unique name of the log.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root hash of those entries.
    pub root: Hash,
}

impl Checkpoint {
    /// Reads the text of a note. Extension lines, which this suite never writes, are read over: they stay in the text that
    /// is signed and cosigned, and [`extensions`] gives them.
    ///
    /// # Errors
    /// [`Error::Malformed`], also for an empty extension line, and for an empty tree with another root than that of
    /// nothing.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::malformed("checkpoint", why);
        let mut lines = text.strip_suffix('\n').ok_or_else(|| wrong("the last line is not complete"))?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(wrong("it must have an origin, a size and a root hash"));
        };
        if origin.is_empty() {
            return Err(wrong("the origin is empty"));
        }
        if lines.any(str::is_empty) {
            return Err(wrong("it has an empty extension line"));
        }
        let parsed = size.parse::<u64>().ok().filter(|n| n.to_string() == size && *n <= i64::MAX.unsigned_abs());
        let size = parsed.ok_or_else(|| wrong("the size is not a number without leading zeros"))?;
        let root = Hash::from_base64(root)?;
        if size == 0 && root != empty_root() {
            return Err(Error::RootMismatch { size, claimed: root, computed: empty_root() });
        }
        Ok(Self { origin: origin.into(), size, root })
    }

    /// Signs the checkpoint.
    pub fn sign(&self, signer: &Signer) -> Note {
        let text = self.to_string();
        let signature = signer.sign(&text, 0);
        Note { text, signatures: vec![signature] }
    }
}

/// The extension lines in the text of a checkpoint: what its log says besides, which nobody else vouches for.
pub fn extensions(text: &str) -> impl Iterator<Item = &str> {
    text.lines().skip(3)
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root.to_base64())
    }
}
