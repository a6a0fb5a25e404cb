//! Proof files (C2SP tlog-proof): one entry's inclusion with the checkpoint that it is proved against.

use crate::error::{Error, Result};
use crate::hash::Hash;
use std::fmt;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof that can be kept beside the data that it is about, and checked offline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofFile {
    /// The position of the entry.
    pub index: u64,
    /// The inclusion proof, from the leaf's sibling up.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint, not verified yet.
    pub checkpoint: String,
}

impl ProofFile {
    /// Reads a proof file; an `extra` line is skipped, since nothing vouches for it.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::malformed("proof file", why);
        let (head, checkpoint) = text.split_once("\n\n").ok_or_else(|| wrong("no blank line before the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(wrong("the first line is not c2sp.org/tlog-proof@v1"));
        }
        lines.next_if(|line| line.starts_with("extra "));
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.and_then(|text| text.parse::<u64>().ok().filter(|n| n.to_string() == text));
        let index = index.ok_or_else(|| wrong("no index line"))?;
        let hashes = lines.map(Hash::from_base64).collect::<Result<Vec<_>>>()?;
        if hashes.len() > 64 {
            return Err(wrong("more hashes than any tree has levels"));
        }
        Ok(Self { index, hashes, checkpoint: checkpoint.into() })
    }
}

impl fmt::Display for ProofFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}\nindex {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{}", hash.to_base64()))?;
        write!(f, "\n{}", self.checkpoint)
    }
}
