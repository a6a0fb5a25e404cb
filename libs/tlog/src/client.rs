//! A client that believes nothing that is not signed and consistent with what it saw before.

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::note::{Note, VerifierKey};
use crate::proof::{check_consistency, check_inclusion};
use crate::proof_file::ProofFile;
use std::ops::RangeInclusive;

/// Whom a client trusts about one log.
#[derive(Debug, Clone)]
pub struct Trust {
    origin: String,
    log: VerifierKey,
    witnesses: Vec<VerifierKey>,
    quorum: usize,
    times: RangeInclusive<u64>,
}

impl Trust {
    /// Trusts the log `origin` if `log` signed and at least `quorum` of `witnesses` cosigned.
    ///
    /// # Errors
    /// [`Error::Malformed`] if two keys have the same name, two names the same key, or the quorum cannot be reached.
    pub fn new(origin: &str, log: VerifierKey, witnesses: Vec<VerifierKey>, quorum: usize) -> Result<Self> {
        for (at, key) in witnesses.iter().enumerate() {
            let before = &witnesses[..at];
            if let Some(other) = std::iter::once(&log).chain(before).find(|other| other.same_key(key)) {
                let why = format!("{} and {} are one key, and it counts once", other.name(), key.name());
                return Err(Error::malformed("trusted keys", why));
            }
            if key.name() == log.name() || before.iter().any(|other| other.name() == key.name()) {
                return Err(Error::malformed("trusted keys", format!("two keys are named {}", key.name())));
            }
        }
        if quorum > witnesses.len() {
            return Err(Error::malformed("trusted keys", "the quorum is greater than the number of witnesses"));
        }
        Ok(Self { origin: origin.into(), log, witnesses, quorum, times: 0..=u64::MAX })
    }

    /// Counts cosignatures of these times only, in seconds since 1970: the clock of a witness that says 1970, or next
    /// year, vouches for nothing.
    #[must_use]
    pub fn within(mut self, times: RangeInclusive<u64>) -> Self {
        self.times = times;
        self
    }

    /// The origin of the log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The key of the log.
    pub fn log_key(&self) -> &VerifierKey {
        &self.log
    }

    /// Opens a signed checkpoint.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Unsigned`], [`Error::BadSignature`], [`Error::WrongOrigin`],
    /// [`Error::TooFewWitnesses`], [`Error::Untimely`].
    pub fn open(&self, note: &str) -> Result<Checkpoint> {
        let (note, checkpoint) = self.signed(note)?;
        note.signers(&self.witnesses, &self.times)?.at_least(self.quorum)?;
        Ok(checkpoint)
    }

    /// Opens a checkpoint that the log signed, whoever cosigned: one that was trusted before stays so when more is asked
    /// of the next.
    ///
    /// # Errors
    /// As [`Trust::open`], but for those of witnesses.
    pub fn open_uncosigned(&self, note: &str) -> Result<Checkpoint> {
        self.signed(note).map(|(_, checkpoint)| checkpoint)
    }

    /// A note that the log signed, and the checkpoint that it is.
    fn signed(&self, note: &str) -> Result<(Note, Checkpoint)> {
        let note = Note::parse(note)?;
        note.verify(&self.log)?;
        let checkpoint = Checkpoint::parse(&note.text)?;
        if checkpoint.origin == self.origin {
            Ok((note, checkpoint))
        } else {
            Err(Error::WrongOrigin { expected: self.origin.clone(), found: checkpoint.origin })
        }
    }

    /// Checks a proof file for the entry whose leaf hash is `leaf`.
    ///
    /// # Errors
    /// As [`Trust::open`], and whatever is wrong with the proof.
    pub fn check_proof_file(&self, leaf: Hash, text: &str) -> Result<Checkpoint> {
        let proof = ProofFile::parse(text)?;
        let checkpoint = self.open(&proof.checkpoint)?;
        check_inclusion(proof.index, leaf, checkpoint.size, checkpoint.root, &proof.hashes)?;
        Ok(checkpoint)
    }
}

/// How a checkpoint relates to the one seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing was seen before: this one is trusted because its key is.
    First,
    /// The same size and root.
    Unchanged,
    /// The log grew from this size.
    Grew {
        /// The size seen before.
        from: u64,
    },
}

/// Checks `next` against what was `seen`, with the consistency proof between them.
///
/// # Errors
/// [`Error::WrongOrigin`]; [`Error::Rollback`]; [`Error::Fork`]; [`Error::ProofLength`] and
/// [`Error::RootMismatch`] for a proof that does not lead to the new root.
pub fn advance(seen: Option<&Checkpoint>, next: &Checkpoint, proof: &[Hash]) -> Result<Progress> {
    let Some(seen) = seen else { return Ok(Progress::First) };
    if seen.origin != next.origin {
        return Err(Error::WrongOrigin { expected: seen.origin.clone(), found: next.origin.clone() });
    }
    if next.size < seen.size {
        return Err(Error::Rollback { seen: seen.size, offered: next.size });
    }
    if next.size == seen.size {
        return if next.root == seen.root {
            Ok(Progress::Unchanged)
        } else {
            Err(Error::Fork { size: seen.size, seen: seen.root, offered: next.root })
        };
    }
    match check_consistency(seen.size, seen.root, next.size, next.root, proof) {
        Ok(()) => Ok(Progress::Grew { from: seen.size }),
        // A proof that leads to the new root from another old one shows a second history.
        Err(Error::RootMismatch { size, computed, .. }) if size == seen.size => {
            Err(Error::Fork { size, seen: seen.root, offered: computed })
        }
        Err(error) => Err(error),
    }
}

/// A client of one log with the newest checkpoint it has seen, which the caller stores between runs.
#[derive(Debug, Clone)]
pub struct LogVerifier {
    trust: Trust,
    seen: Option<(Checkpoint, String)>,
}

impl LogVerifier {
    /// Starts from the note that [`LogVerifier::state`] returned, or from nothing.
    ///
    /// # Errors
    /// As [`Trust::open_uncosigned`], for the stored note.
    pub fn new(trust: Trust, state: Option<&str>) -> Result<Self> {
        Self::after(trust, &[], state)
    }

    /// The same where the stored note may be signed by one of the keys that the log had before, which `former` are.
    ///
    /// # Errors
    /// As [`LogVerifier::new`].
    pub fn after(trust: Trust, former: &[VerifierKey], state: Option<&str>) -> Result<Self> {
        let open = |note: &str| {
            let before =
                || former.iter().find_map(|key| Trust { log: key.clone(), ..trust.clone() }.open_uncosigned(note).ok());
            trust.open_uncosigned(note).or_else(|why| before().ok_or(why))
        };
        let seen = state.map(|note| open(note).map(|checkpoint| (checkpoint, note.to_owned()))).transpose()?;
        Ok(Self { trust, seen })
    }

    /// The newest checkpoint seen.
    pub fn seen(&self) -> Option<&Checkpoint> {
        self.seen.as_ref().map(|(checkpoint, _)| checkpoint)
    }

    /// What to store: the newest signed checkpoint.
    pub fn state(&self) -> Option<&str> {
        self.seen.as_ref().map(|(_, note)| note.as_str())
    }

    /// Takes a newer checkpoint. On an error the state stays as it was.
    ///
    /// # Errors
    /// As [`Trust::open`] and [`advance`].
    pub fn update(&mut self, note: &str, proof: &[Hash]) -> Result<Progress> {
        let next = self.trust.open(note)?;
        let progress = advance(self.seen(), &next, proof)?;
        self.seen = Some((next, note.to_owned()));
        Ok(progress)
    }

    /// Checks that an entry is in the log as of the newest checkpoint.
    ///
    /// # Errors
    /// [`Error::IndexBeyondSize`] also if nothing was seen yet; [`Error::ProofLength`], [`Error::RootMismatch`].
    pub fn check_inclusion(&self, index: u64, leaf: Hash, proof: &[Hash]) -> Result<()> {
        let seen = self.seen().ok_or(Error::IndexBeyondSize { index, size: 0 })?;
        check_inclusion(index, leaf, seen.size, seen.root, proof)
    }
}
