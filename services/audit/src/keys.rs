//! The log's signing key and the master keys, from files, or created for development.

use crate::memory::Memory;
use crate::seal::MasterKeys;
use crate::store::heads::Head;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{SigningKey, VerifyingKey};
use remit_core::{Error, Ids, Result, Tenant};
use remit_runtime::auth::keyfile;
use remit_store::private;
use remit_tlog::client::Trust;
use remit_tlog::note::{Algorithm, Note};
use remit_tlog::{Checkpoint, Signer, VerifierKey};
use std::path::{Path, PathBuf};

/// What the log signs and seals with.
pub struct Keys {
    origin: String,
    signing: SigningKey,
    retired: Vec<VerifyingKey>,
    /// The key that the logs had until now, to hand them over.
    outgoing: Option<SigningKey>,
    master: MasterKeys,
    witnesses: Vec<VerifierKey>,
    memory: Memory,
}

impl Keys {
    /// Joins the keys. `origin` is the name of this installation, such as `remit.example`, to which the
    /// tenant is added; `witnesses` are the verifier keys of trusted witnesses.
    ///
    /// # Errors
    /// `InvalidArgument` (`ORIGIN_INVALID`, `WITNESS_KEY_INVALID`).
    pub fn new(origin: &str, signing: SigningKey, master: MasterKeys, witnesses: &[String]) -> Result<Self> {
        if !remit_tlog::note::is_key_name(origin) || origin.len() > 200 {
            let why = "must be 1 to 200 characters without white space and +";
            return Err(Error::invalid("ORIGIN_INVALID", "audit.origin", why));
        }
        let parsed = witnesses.iter().enumerate().map(|(at, text)| {
            let field = format!("audit.witnesses[{at}]");
            let key = VerifierKey::parse(text)
                .map_err(|error| Error::invalid("WITNESS_KEY_INVALID", &field, error.to_string()))?;
            if key.algorithm() == Algorithm::CosignatureV1 {
                Ok(key)
            } else {
                Err(Error::invalid("WITNESS_KEY_INVALID", field, "must be a cosignature key (type 4)"))
            }
        });
        let witnesses = parsed.collect::<Result<Vec<_>>>()?;
        let log = VerifierKey::new(origin, Algorithm::Ed25519, signing.verifying_key());
        let log = log.map_err(|error| Error::invalid("ORIGIN_INVALID", "audit.origin", error.to_string()))?;
        Trust::new(origin, log, witnesses.clone(), 0)
            .map_err(|error| Error::invalid("WITNESS_KEY_INVALID", "audit.witnesses", error.to_string()))?;
        Ok(Self {
            origin: origin.to_owned(),
            signing,
            retired: Vec::new(),
            outgoing: None,
            master,
            witnesses,
            memory: Memory::default(),
        })
    }

    /// The same, where the log had other signing keys before: each as the public half in base64url, `x` of its JWK. What is
    /// signed by them and still kept counts as signed by the log.
    ///
    /// # Errors
    /// `InvalidArgument` (`CONFIG_INVALID`), naming the one that is no key.
    pub fn after(mut self, retired: &[String]) -> Result<Self> {
        let parse = |(at, text): (usize, &String)| {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            bytes.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok()).ok_or_else(|| {
                let what = "must be the public half of a key in base64url, as `remit keys show` gives it";
                Error::invalid("CONFIG_INVALID", format!("audit.retired_keys[{at}]"), what)
            })
        };
        self.retired = retired.iter().enumerate().map(parse).collect::<Result<_>>()?;
        Ok(self)
    }

    /// The same, where `next` takes over from the signing key, which hands each log over to it.
    #[must_use]
    pub fn handing_over(mut self, next: SigningKey) -> Self {
        if next != self.signing {
            let old = std::mem::replace(&mut self.signing, next);
            self.retired.push(old.verifying_key());
            self.outgoing = Some(old);
        }
        self
    }

    /// Who signed a tenant's checkpoints until now, if the key is being changed.
    ///
    /// # Errors
    /// As [`Keys::signer`].
    pub(crate) fn outgoing(&self, tenant: &Tenant) -> Result<Option<Signer>> {
        self.outgoing.as_ref().map(|key| self.signer_with(tenant, key)).transpose()
    }

    /// Finds that the log of a tenant signed the note, with its key or with one that it had before.
    ///
    /// # Errors
    /// What is wrong with the signature of the present key, if no other is good.
    pub fn verify(&self, tenant: &Tenant, note: &Note) -> std::result::Result<(), remit_tlog::Error> {
        let name = self.origin(tenant);
        let of = |key: VerifyingKey| note.verify(&VerifierKey::new(&name, Algorithm::Ed25519, key)?);
        let present = of(self.signing.verifying_key());
        if present.is_ok() || self.retired.iter().any(|key| of(*key).is_ok()) { Ok(()) } else { present.map(drop) }
    }

    /// The checkpoint that a note is, if the log of a tenant signed it, as [`Keys::verify`] finds.
    ///
    /// # Errors
    /// What is wrong with the note, with its signature, or with the checkpoint in it.
    pub fn open(&self, tenant: &Tenant, note: &str) -> std::result::Result<Checkpoint, remit_tlog::Error> {
        let note = Note::parse(note)?;
        self.verify(tenant, &note)?;
        Checkpoint::parse(&note.text)
    }

    /// The same, remembering in files of `dir` what was last signed.
    #[must_use]
    pub fn remembering(self, dir: PathBuf) -> Self {
        Self { memory: Memory::within(dir), ..self }
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Finds that the log signed the head as it is: whoever can write rows and has no key cannot have it continued.
    ///
    /// # Errors
    /// `FailedPrecondition`: `KEY_NOT_OF_LOG` if it was signed under another key or name, `LOG_HEAD_INVALID` if it is not
    /// what was signed.
    pub(crate) fn check_head(&self, tenant: &Tenant, head: &Head) -> Result<()> {
        let invalid = |why: &dyn std::fmt::Display| {
            let what = format!(
                "the head of the log of {tenant} is not what the log signed: {why}; nothing is put on top of it: VerifyLog \
                 says what is wrong, a backup has what was there"
            );
            Error::precondition("LOG_HEAD_INVALID", what)
        };
        if head.size == 0 {
            let empty = head.checkpoint.is_empty() && head.root == remit_tlog::empty_root();
            return if empty { Ok(()) } else { Err(invalid(&"it says that the log is empty")) };
        }
        let note = Note::parse(&head.checkpoint).map_err(|error| invalid(&error))?;
        let name = self.origin(tenant);
        let present = self.signing.verifying_key();
        let own = std::iter::once(&present).chain(&self.retired).any(|key| {
            VerifierKey::new(&name, Algorithm::Ed25519, *key).is_ok_and(|key| note.signature_by(&key).is_ok())
        });
        if !own {
            let what = format!(
                "the log of {tenant} was signed by a key that is not here: this process signs as {}. Give it the key file of \
                 the log, and to replace that the new one as audit.next_signing_key; audit.retired_keys names keys that were \
                 handed over; every replica has the same audit.origin and keys",
                self.signer(tenant)?.verifier()
            );
            return Err(Error::precondition("KEY_NOT_OF_LOG", what));
        }
        self.verify(tenant, &note).map_err(|error| invalid(&error))?;
        let signed = Checkpoint::parse(&note.text).map_err(|error| invalid(&error))?;
        let same = signed.origin == name && signed.size == head.size && signed.root == head.root;
        if !same {
            return Err(invalid(&format!("it signed {} entries with root {}", signed.size, signed.root)));
        }
        if head.frontier.root() == head.root { Ok(()) } else { Err(invalid(&"its frontier gives another root")) }
    }

    /// The origin of a tenant's log.
    pub fn origin(&self, tenant: &Tenant) -> String {
        format!("{}/{tenant}", self.origin)
    }

    /// The signer of a tenant's checkpoints; its key is named like the log's origin.
    ///
    /// # Errors
    /// `Internal` if the origin cannot name a key, which construction has ruled out.
    pub fn signer(&self, tenant: &Tenant) -> Result<Signer> {
        self.signer_with(tenant, &self.signing)
    }

    fn signer_with(&self, tenant: &Tenant, key: &SigningKey) -> Result<Signer> {
        Signer::new(&self.origin(tenant), Algorithm::Ed25519, key.clone())
            .map_err(|error| Error::internal("the origin cannot name a key").with_source(error))
    }

    /// The keys that seal subjects' keys.
    pub fn master(&self) -> &MasterKeys {
        &self.master
    }

    /// The witnesses whose cosignatures are accepted.
    pub fn witnesses(&self) -> &[VerifierKey] {
        &self.witnesses
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.origin)
    }
}

/// Reads an Ed25519 private key in PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes it; with
/// `create`, makes the file if it is not there.
///
/// # Errors
/// `FailedPrecondition` (`KEY_FILE_MISSING`, `KEY_FILE_READABLE`, `KEY_FILE_INVALID`, `KEY_FILE_FAILED`), naming the file.
pub fn signing_key(path: &Path, create: bool, ids: &Ids) -> Result<SigningKey> {
    let text = read_or_create(path, create, || {
        let mut seed = [0; 32];
        ids.fill(&mut seed);
        keyfile::pem(&SigningKey::from_bytes(&seed))
    })?;
    keyfile::parse(path, &text)
}

/// Reads master keys; with `create`, makes the file if it is not there.
///
/// # Errors
/// `FailedPrecondition` (`KEY_FILE_MISSING`, `KEY_FILE_READABLE`, `KEY_FILE_FAILED`); `InvalidArgument`
/// (`MASTER_KEY_INVALID`).
pub fn master_keys(path: &Path, create: bool, ids: &Ids) -> Result<MasterKeys> {
    MasterKeys::parse(&read_or_create(path, create, || Ok(MasterKeys::generate(ids, "dev-1")))?)
}

fn read_or_create(path: &Path, create: bool, make: impl FnOnce() -> Result<String>) -> Result<String> {
    if !create {
        return private::read(path);
    }
    let (text, made) = private::read_or_make(path, make)?;
    if made {
        tracing::warn!(path = %path.display(), "created a development key; use your own in production");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn keys_are_created_once_and_only_if_asked() {
        let dir = tempfile::tempdir().unwrap();
        let ids = Ids::new(Box::new(|bytes| bytes.fill(7)));
        let path = dir.path().join("signing.pem");
        assert_eq!(signing_key(&path, false, &ids).unwrap_err().reason(), "KEY_FILE_MISSING");
        let made = signing_key(&path, true, &ids).unwrap();
        assert_eq!(signing_key(&path, false, &ids).unwrap().to_bytes(), made.to_bytes());
        fs::write(&path, "nonsense").unwrap();
        assert_eq!(signing_key(&path, true, &ids).unwrap_err().reason(), "KEY_FILE_INVALID");
        let master = dir.path().join("master.keys");
        assert_eq!(master_keys(&master, true, &ids).unwrap().current(), "dev-1");
        for file in [&path, &master] {
            fs::set_permissions(file, fs::Permissions::from_mode(0o604)).unwrap();
        }
        assert_eq!(signing_key(&path, true, &ids).unwrap_err().reason(), "KEY_FILE_READABLE");
        assert_eq!(master_keys(&master, false, &ids).unwrap_err().reason(), "KEY_FILE_READABLE");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn unusable_origins_and_witnesses_are_refused() {
        let ids = Ids::new(Box::new(|bytes| bytes.fill(7)));
        let keys = |origin: &str, witnesses: &[String]| {
            let master = MasterKeys::parse(&MasterKeys::generate(&ids, "k")).unwrap();
            Keys::new(origin, SigningKey::from_bytes(&[1; 32]), master, witnesses)
        };
        let witness = |name: &str, algorithm| {
            VerifierKey::new(name, algorithm, SigningKey::from_bytes(&[2; 32]).verifying_key()).unwrap().to_string()
        };
        let good = witness("w1.example", Algorithm::CosignatureV1);
        assert!(keys("remit.example", std::slice::from_ref(&good)).is_ok());
        assert_eq!(keys("a b", &[]).unwrap_err().reason(), "ORIGIN_INVALID");
        for wrong in [vec!["x".into()], vec![witness("w1.example", Algorithm::Ed25519)], vec![good.clone(), good]] {
            assert_eq!(keys("remit.example", &wrong).unwrap_err().reason(), "WITNESS_KEY_INVALID");
        }
    }
}
