//! What a reader of logs remembers between two runs, and a witness with such a memory, for
//! `remit audit verify --state` and `remit audit witness`.

use remit_core::{Error, Kind, Result};
use remit_tlog::witness::{Cosigned, Memory, cosign};
use remit_tlog::{Checkpoint, Hash, Signer, VerifierKey};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// A directory of texts, one file a log, each replaced in one step.
#[derive(Debug)]
pub struct Shelf {
    dir: PathBuf,
    extension: &'static str,
}

/// A witness with a directory of memories, one file a log.
#[derive(Debug)]
pub struct Witness {
    signer: Signer,
    shelf: Shelf,
    origin: Option<String>,
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::precondition("WITNESS_STATE_FAILED", format!("cannot {what} {}: {error}", path.display()))
}

impl Shelf {
    /// Keeps texts in files of `dir` with this extension; the directory is created if missing.
    ///
    /// # Errors
    /// `FailedPrecondition` (`WITNESS_STATE_FAILED`).
    pub fn open(dir: &Path, extension: &'static str) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|error| failed("create", dir, &error))?;
        Ok(Self { dir: dir.to_owned(), extension })
    }

    /// The file of one log. Its name is a digest, since an origin may hold any character.
    fn path(&self, log: &str) -> PathBuf {
        let digest = hex::encode(Sha256::digest(log));
        self.dir.join(format!("{}.{}", &digest[..32], self.extension))
    }

    /// The text of a log, if there is one.
    ///
    /// # Errors
    /// `FailedPrecondition` (`WITNESS_STATE_FAILED`).
    pub fn get(&self, log: &str) -> Result<Option<String>> {
        let path = self.path(log);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }

    /// Replaces the text of a log: a new file, synced, renamed over the old one, and the directory synced.
    ///
    /// # Errors
    /// `FailedPrecondition` (`WITNESS_STATE_FAILED`).
    pub fn put(&self, log: &str, text: &str) -> Result<()> {
        let path = self.path(log);
        let part = path.with_extension("part");
        let written = File::create(&part).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        let done = written.and_then(|()| fs::rename(&part, &path)).and_then(|()| File::open(&self.dir)?.sync_all());
        done.map_err(|error| failed("write", &path, &error))
    }

    /// What to say of a text that cannot be read: who forgot must not go on as if there had been nothing.
    pub fn damaged(&self, log: &str, why: impl std::fmt::Display) -> Error {
        let path = self.path(log);
        Error::precondition("WITNESS_STATE_FAILED", format!("{} is damaged: {why}", path.display()))
    }
}

impl Witness {
    /// Uses `signer`, which must be a cosignature key, and remembers in `dir`, which is created if missing.
    ///
    /// # Errors
    /// `FailedPrecondition` (`WITNESS_STATE_FAILED`).
    pub fn open(signer: Signer, dir: &Path) -> Result<Self> {
        Ok(Self { signer, shelf: Shelf::open(dir, "checkpoint")?, origin: None })
    }

    /// Cosigns logs of this origin, where that is not the name of their key.
    #[must_use]
    pub fn of(mut self, origin: Option<String>) -> Self {
        self.origin = origin;
        self
    }

    /// The key by which others know this witness.
    pub fn key(&self) -> &VerifierKey {
        self.signer.verifier()
    }

    /// What is remembered of a log: the checkpoint that the next one must extend.
    ///
    /// # Errors
    /// `FailedPrecondition` (`WITNESS_STATE_FAILED`), also if the file is damaged: a witness that forgot
    /// must not go on as if it had never known.
    pub fn memory(&self, log: &VerifierKey) -> Result<Memory> {
        let log = log.to_string();
        let text = self.shelf.get(&log)?;
        text.map(|text| Checkpoint::parse(&text).map_err(|error| self.shelf.damaged(&log, error))).transpose()
    }

    /// Cosigns a checkpoint, given the consistency proof from [`Witness::memory`]'s size to its own; the new
    /// memory is durable before this returns.
    ///
    /// # Errors
    /// `FailedPrecondition` with the reason `WITNESS_ROLLBACK` or `WITNESS_FORK` for the two lies that a
    /// witness exists to refuse, `WITNESS_REFUSED` for anything else that is wrong with note or proof,
    /// `WITNESS_STATE_FAILED` if the memory cannot be read or written.
    pub fn cosign(&self, log: &VerifierKey, note: &str, proof: &[Hash], time: u64) -> Result<Cosigned> {
        let memory = self.memory(log)?;
        let origin = self.origin.as_deref().unwrap_or(log.name());
        let cosigned = cosign(&self.signer, (log, origin), &memory, note, proof, time).map_err(|error| {
            let reason = match &error {
                remit_tlog::Error::Rollback { .. } => "WITNESS_ROLLBACK",
                remit_tlog::Error::Fork { .. } => "WITNESS_FORK",
                _ => "WITNESS_REFUSED",
            };
            Error::new(Kind::FailedPrecondition, reason, format!("refused to cosign: {error}")).with_source(error)
        })?;
        self.shelf.put(&log.to_string(), &cosigned.checkpoint.to_string())?;
        Ok(cosigned)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ed25519_dalek::SigningKey;
    use remit_tlog::note::Algorithm;
    use remit_tlog::{Frontier, leaf_hash, proof};

    #[test]
    fn a_witness_remembers_over_restarts_and_says_what_it_refuses() {
        let dir = tempfile::tempdir().unwrap();
        let log = Signer::new("remit.example/acme", Algorithm::Ed25519, SigningKey::from_bytes(&[1; 32])).unwrap();
        let open = || {
            let key = SigningKey::from_bytes(&[2; 32]);
            Witness::open(Signer::new("w1.example", Algorithm::CosignatureV1, key).unwrap(), dir.path()).unwrap()
        };
        let leaves: Vec<Hash> = (0..9u8).map(|n| leaf_hash(&[n])).collect();
        let note = |leaves: &[Hash]| {
            let mut frontier = Frontier::default();
            leaves.iter().for_each(|leaf| frontier.push(*leaf).unwrap());
            let checkpoint =
                Checkpoint { origin: "remit.example/acme".into(), size: frontier.size(), root: frontier.root() };
            checkpoint.sign(&log).to_string()
        };
        let prove = |leaves: &[Hash], old: u64, new: u64| {
            proof::consistency(old, new, |node| {
                let mut frontier = Frontier::default();
                let start = (node.index << node.level) as usize;
                leaves[start..start + (1 << node.level)].iter().for_each(|leaf| frontier.push(*leaf).unwrap());
                Ok::<_, remit_tlog::Error>(frontier.root())
            })
            .unwrap()
        };
        let key = log.verifier();
        open().cosign(key, &note(&leaves[..4]), &[], 1).unwrap();
        assert_eq!(open().memory(key).unwrap().unwrap().size, 4);
        let cosigned = open().cosign(key, &note(&leaves), &prove(&leaves, 4, 9), 2).unwrap();
        cosigned.note.verify(open().key()).unwrap();

        let mut forged = leaves.clone();
        forged[2] = leaf_hash(b"forged");
        let reason = |note: &str, proof: &[Hash]| open().cosign(key, note, proof, 3).unwrap_err().reason();
        assert_eq!(reason(&note(&leaves[..4]), &[]), "WITNESS_ROLLBACK");
        assert_eq!(reason(&note(&forged), &[]), "WITNESS_FORK");
        assert_eq!(reason("nonsense", &[]), "WITNESS_REFUSED");
        assert_eq!(open().memory(key).unwrap().unwrap().size, 9);

        let file = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        fs::write(file, "damaged").unwrap();
        assert_eq!(reason(&note(&leaves), &[]), "WITNESS_STATE_FAILED");
    }
}
