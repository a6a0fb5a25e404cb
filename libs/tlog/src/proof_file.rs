//! Proof files (C2SP tlog-proof): one entry's inclusion with the checkpoint that it is proved against.

use crate::error::{Error, Result};
use crate::hash::Hash;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use std::fmt;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof that can be kept beside the data that it is about, and checked offline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofFile {
    /// What the writer put beside the proof, such as the entry itself: nothing here says that it is true.
    pub extra: Option<Vec<u8>>,
    /// The position of the entry.
    pub index: u64,
    /// The inclusion proof, from the leaf's sibling up.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint, not verified yet.
    pub checkpoint: String,
}

impl ProofFile {
    /// Reads a proof file. What stands in its `extra` line is data that the proof does not vouch for.
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
        let extra = lines.next_if(|line| line.starts_with("extra ")).map(|line| BASE64_STANDARD.decode(&line[6..]));
        let extra = extra.transpose().map_err(|_| wrong("the extra line is not base64"))?;
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.and_then(|text| text.parse::<u64>().ok().filter(|n| n.to_string() == text));
        let index = index.ok_or_else(|| wrong("no index line"))?;
        let hashes = lines.map(Hash::from_base64).collect::<Result<Vec<_>>>()?;
        if hashes.len() > 64 {
            return Err(wrong("more hashes than any tree has levels"));
        }
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.into() })
    }
}

impl fmt::Display for ProofFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", BASE64_STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{}", hash.to_base64()))?;
        write!(f, "\n{}", self.checkpoint)
    }
}
