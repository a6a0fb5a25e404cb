//! The log's signing key and the master keys, from files, or created for development.

use crate::seal::MasterKeys;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use remit_core::{Error, Ids, Result, Tenant};
use remit_tlog::client::Trust;
use remit_tlog::note::Algorithm;
use remit_tlog::{Signer, VerifierKey};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

/// What the log signs and seals with.
pub struct Keys {
    origin: String,
    signing: SigningKey,
    master: MasterKeys,
    witnesses: Vec<VerifierKey>,
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
        Ok(Self { origin: origin.to_owned(), signing, master, witnesses })
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
        Signer::new(&self.origin(tenant), Algorithm::Ed25519, self.signing.clone())
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
/// `FailedPrecondition` (`KEY_FILE_MISSING`, `KEY_FILE_INVALID`), naming the file.
pub fn signing_key(path: &Path, create: bool, ids: &Ids) -> Result<SigningKey> {
    let text = read_or_create(path, create, || {
        let mut seed = [0; 32];
        ids.fill(&mut seed);
        let pem = SigningKey::from_bytes(&seed).to_pkcs8_pem(LineEnding::LF);
        pem.map(|pem| pem.to_string()).map_err(|error| Error::internal(format!("a key could not be encoded: {error}")))
    })?;
    SigningKey::from_pkcs8_pem(&text).map_err(|_| {
        Error::precondition(
            "KEY_FILE_INVALID",
            format!("{} is not an Ed25519 private key in PKCS#8 PEM", path.display()),
        )
    })
}

/// Reads master keys; with `create`, makes the file if it is not there.
///
/// # Errors
/// `FailedPrecondition` (`KEY_FILE_MISSING`); `InvalidArgument` (`MASTER_KEY_INVALID`).
pub fn master_keys(path: &Path, create: bool, ids: &Ids) -> Result<MasterKeys> {
    MasterKeys::parse(&read_or_create(path, create, || Ok(MasterKeys::generate(ids, "dev-1")))?)
}

fn read_or_create(path: &Path, create: bool, make: impl FnOnce() -> Result<String>) -> Result<String> {
    let failed = |what: &str, error: std::io::Error| {
        Error::precondition("KEY_FILE_MISSING", format!("cannot {what} key file {}: {error}", path.display()))
    };
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && create => {}
        read => return read.map_err(|error| failed("read", error)),
    }
    let text = make()?;
    // Written whole under another name and then linked, so that a crash leaves no half key and of two
    // processes that start together both use the one that was first.
    let part = path.with_extension(format!("{}.part", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&part).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| failed("write", error))?;
    let linked = fs::hard_link(&part, path);
    fs::remove_file(&part).map_err(|error| failed("write", error))?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed("create", error)),
        _ => tracing::warn!(path = %path.display(), "created a development key; use your own in production"),
    }
    fs::read_to_string(path).map_err(|error| failed("read", error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
        assert_eq!(master_keys(&dir.path().join("master.keys"), true, &ids).unwrap().current(), "dev-1");
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
