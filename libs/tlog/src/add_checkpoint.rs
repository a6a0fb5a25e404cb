//! The request by which a log asks a witness for its cosignature, and what the witness answers (C2SP `tlog-witness`,
//! `add-checkpoint`).

use crate::note::{Note, VerifierKey};
use crate::{Error, Hash, Result};
use std::fmt::Write as _;

/// The most lines of a proof in one request.
const MOST_LINES: usize = 63;

/// The body of a request: the checkpoint, and that it extends the one of `old` entries that the witness cosigned last; 0 if
/// it cosigned none, or to ask which.
///
/// # Errors
/// [`Error::ProofLength`] if the proof is longer than a witness takes.
pub fn request(old: u64, proof: &[Hash], note: &str) -> Result<String> {
    if proof.len() > MOST_LINES {
        return Err(Error::ProofLength { expected: MOST_LINES, found: proof.len() });
    }
    let mut body = format!("old {old}\n");
    for hash in proof {
        // Writing to a string cannot fail.
        let _ = writeln!(body, "{}", hash.to_base64());
    }
    body.push('\n');
    body.push_str(note);
    Ok(body)
}

/// The size that a witness names in a conflict: that of the checkpoint that it cosigned last.
///
/// # Errors
/// [`Error::Malformed`].
pub fn conflict(body: &str) -> Result<u64> {
    let digits = body.strip_suffix('\n').unwrap_or(body);
    let size = digits.parse::<u64>().ok().filter(|size| size.to_string() == digits);
    size.ok_or_else(|| Error::malformed("tlog-witness", format!("{digits:?} is not the size of a tree")))
}

/// The checkpoint with the cosignature of `witness` alone, taken from what it answered; what else stands there is passed over.
///
/// # Errors
/// As [`Note::parse`] and [`Note::verify`]; [`Error::Unsigned`] if the answer has no cosignature by this key.
pub fn cosigned(note: &str, answer: &str, witness: &VerifierKey) -> Result<Note> {
    let mut note = Note::parse(note)?;
    let with = Note::parse(&format!("{}\n{answer}", note.text))?;
    with.verify(witness)?;
    note.signatures.push(with.signature_by(witness)?.clone());
    Ok(note)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::note::{Algorithm, Signer};
    use crate::{Checkpoint, Frontier, leaf_hash};
    use ed25519_dalek::SigningKey;

    #[test]
    fn a_request_and_its_answers_have_the_form_of_the_protocol() {
        let key = |seed| SigningKey::from_bytes(&[seed; 32]);
        let log = Signer::new("log.example", Algorithm::Ed25519, key(1)).unwrap();
        let witness = Signer::new("w.example", Algorithm::CosignatureV1, key(2)).unwrap();
        let other = Signer::new("w.example", Algorithm::CosignatureV1, key(3)).unwrap();
        let mut frontier = Frontier::default();
        (0..3u8).for_each(|leaf| frontier.push(leaf_hash(&[leaf])).unwrap());
        let checkpoint = Checkpoint { origin: "log.example".into(), size: 3, root: frontier.root() };
        let note = checkpoint.sign(&log);
        let hash = leaf_hash(b"x");
        let body = request(2, &[hash, hash], &note.to_string()).unwrap();
        assert_eq!(body, format!("old 2\n{0}\n{0}\n\n{note}", hash.to_base64()));
        assert_eq!(request(0, &[], "n").unwrap(), "old 0\n\nn");
        assert!(request(2, &vec![hash; 64], "n").is_err());

        assert_eq!(conflict("20852163\n"), Ok(20_852_163));
        for wrong in ["", "01\n", "-1\n", "1\n\n", "one"] {
            assert!(conflict(wrong).is_err(), "{wrong:?}");
        }
        let lines = format!("{}{}", other.sign(&note.text, 7), witness.sign(&note.text, 8));
        let cosigned = cosigned(&note.to_string(), &lines, witness.verifier()).unwrap();
        assert_eq!((cosigned.signatures.len(), cosigned.verify(witness.verifier())), (2, Ok(8)));
        cosigned.verify(log.verifier()).unwrap();
        let foreign = other.sign(&note.text, 7).to_string();
        assert!(super::cosigned(&note.to_string(), &foreign, witness.verifier()).is_err());
        let of_another = witness.sign("log.example\n4\nAAAA\n", 8).to_string();
        assert!(super::cosigned(&note.to_string(), &of_another, witness.verifier()).is_err());
    }
}
