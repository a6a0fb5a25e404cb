//! What can be wrong with a proof, a note or a claim about a log.

use crate::hash::Hash;
use std::fmt;

/// The result of anything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a proof, note or checkpoint is refused. Every variant says both what was claimed and what is so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The text does not have the form that its format demands.
    Malformed {
        /// The format, such as `checkpoint`.
        what: &'static str,
        /// What is wrong with the text.
        why: String,
    },
    /// An index at or beyond the size of the tree.
    IndexBeyondSize {
        /// The index asked about.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// Two sizes or the ends of a range in the wrong order.
    OutOfOrder {
        /// What should be the smaller.
        low: u64,
        /// What should be the greater.
        high: u64,
    },
    /// A proof with too few or too many hashes for its index and sizes.
    ProofLength {
        /// How many hashes there must be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The hashes do not add up to the root.
    RootMismatch {
        /// The size of the tree.
        size: u64,
        /// The root that was claimed.
        claimed: Hash,
        /// The root that the data gives.
        computed: Hash,
    },
    /// No signature by the key that must have signed.
    Unsigned {
        /// The name of the key.
        key: String,
    },
    /// A signature by a known key that is not valid for the text.
    BadSignature {
        /// The name of the key.
        key: String,
    },
    /// Fewer witnesses than required.
    TooFewWitnesses {
        /// How many valid cosignatures there are.
        found: usize,
        /// How many there must be.
        required: usize,
    },
    /// A cosignature of a time that cannot be, without which there are too few.
    Untimely {
        /// The name of the witness.
        key: String,
        /// The time that it states, in seconds since 1970.
        time: u64,
    },
    /// A checkpoint of another log.
    WrongOrigin {
        /// The origin of the log that was asked for.
        expected: String,
        /// The origin in the checkpoint.
        found: String,
    },
    /// The log is smaller than it was: entries at its end are gone.
    Rollback {
        /// The size seen before.
        seen: u64,
        /// The size offered now.
        offered: u64,
    },
    /// The log has another root at a size seen before, or does not extend it: two histories exist.
    Fork {
        /// The size seen before.
        size: u64,
        /// The root seen before.
        seen: Hash,
        /// The root now claimed or computed for that size.
        offered: Hash,
    },
    /// A tile or hash that the proof needs is not there.
    Missing {
        /// Its name.
        what: String,
    },
    /// A tree of more than 2^63 - 1 entries.
    TooLarge,
}

impl Error {
    pub(crate) fn malformed(what: &'static str, why: impl Into<String>) -> Self {
        Self::Malformed { what, why: why.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { what, why } => write!(f, "malformed {what}: {why}"),
            Self::IndexBeyondSize { index, size } => write!(f, "index {index} is not in a log of {size} entries"),
            Self::OutOfOrder { low, high } => write!(f, "{low} must not be greater than {high}"),
            Self::ProofLength { expected, found } => write!(f, "the proof has {found} hashes and needs {expected}"),
            Self::RootMismatch { size, claimed, computed } => {
                write!(f, "the root hash at size {size} is claimed to be {claimed} and computes to {computed}")
            }
            Self::Unsigned { key } => write!(f, "no signature by {key}"),
            Self::BadSignature { key } => write!(f, "the signature by {key} is not valid for this text"),
            Self::TooFewWitnesses { found, required } => {
                write!(f, "{found} trusted witnesses cosigned and {required} must")
            }
            Self::Untimely { key, time } => {
                write!(f, "{key} says that it cosigned {time} seconds after 1970, which cannot be: it does not count")
            }
            Self::WrongOrigin { expected, found } => write!(f, "the checkpoint is of log {found}, not of {expected}"),
            Self::Rollback { seen, offered } => {
                write!(f, "rollback: the log had {seen} entries and now shows {offered}; its tail was cut")
            }
            Self::Fork { size, seen, offered } => {
                write!(
                    f,
                    "fork: at size {size} the log had root {seen} and now has {offered}; its history was rewritten"
                )
            }
            Self::Missing { what } => write!(f, "{what} is missing"),
            Self::TooLarge => f.write_str("a log has at most 2^63 - 1 entries"),
        }
    }
}

impl std::error::Error for Error {}
