//! A witness: it remembers the newest checkpoint of a log and cosigns only what extends it, so that a
//! log can neither cut its tail nor show two histories to two people.

use crate::checkpoint::Checkpoint;
use crate::client::{Progress, advance};
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::note::{Algorithm, Note, Signer, VerifierKey};

/// What a witness remembers of one log between runs; written to a file as the checkpoint's text.
pub type Memory = Option<Checkpoint>;

/// A cosigned checkpoint, and what to remember before it is handed out.
#[derive(Debug, Clone)]
pub struct Cosigned {
    /// The note with the log's signature and this witness's cosignature only.
    pub note: Note,
    /// The checkpoint to remember.
    pub checkpoint: Checkpoint,
    /// How it relates to what was remembered.
    pub progress: Progress,
}

/// Cosigns `note` if `log` signed it, it is of `origin`, which may differ from the name of the log's key, and it extends
/// what is remembered.
///
/// The caller must store the new memory durably *before* it publishes the cosignature: a witness that
/// forgets could be led to sign a fork.
///
/// # Errors
/// [`Error::Malformed`] also if `signer` is not a cosignature key; [`Error::Unsigned`];
/// [`Error::BadSignature`]; [`Error::WrongOrigin`]; [`Error::Rollback`] and [`Error::Fork`], the two things a
/// witness exists to refuse; [`Error::ProofLength`] and [`Error::RootMismatch`] for a bad proof.
pub fn cosign(
    signer: &Signer,
    (log, origin): (&VerifierKey, &str),
    memory: &Memory,
    note: &str,
    proof: &[Hash],
    time: u64,
) -> Result<Cosigned> {
    if signer.verifier().algorithm() != Algorithm::CosignatureV1 {
        return Err(Error::malformed("witness key", "it is not a cosignature key"));
    }
    let note = Note::parse(note)?;
    note.verify(log)?;
    let checkpoint = Checkpoint::parse(&note.text)?;
    if checkpoint.origin != origin {
        return Err(Error::WrongOrigin { expected: origin.into(), found: checkpoint.origin });
    }
    let progress = advance(memory.as_ref(), &checkpoint, proof)?;
    let signatures = vec![note.signature_by(log)?.clone(), signer.sign(&note.text, time)];
    Ok(Cosigned { note: Note { text: note.text, signatures }, checkpoint, progress })
}
