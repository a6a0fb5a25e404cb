//! Signed notes (C2SP signed-note) and their keys; cosignatures (C2SP tlog-cosignature v1).

use crate::error::{Error, Result};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::ops::RangeInclusive;

/// The greatest note that is read, in bytes: sixteen signatures of the largest post-quantum kinds are half of it.
pub const MAX_NOTE: usize = 1_000_000;

/// The most signatures that are read in one note.
pub const MAX_SIGNATURES: usize = 100;

/// What a key signs, and so how its signatures look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// The text of the note; type `0x01`.
    Ed25519,
    /// A time and the text of the note; type `0x04`.
    CosignatureV1,
}

impl Algorithm {
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::CosignatureV1 => 4,
        }
    }
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name of the key.
    pub name: String,
    /// The first four bytes of the hash of name, type and key.
    pub key_id: u32,
    /// The signature in the form of the key's type.
    pub bytes: Vec<u8>,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.key_id.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.bytes);
        writeln!(f, "\u{2014} {} {}", self.name, BASE64_STANDARD.encode(bytes))
    }
}

/// A text with signatures. Its text means nothing until a trusted key's signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The text, its last line feed included.
    pub text: String,
    /// The signatures in their order.
    pub signatures: Vec<Signature>,
}

/// Whether `name` can name a key: not empty, no white space, no `+`.
pub fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

impl Note {
    /// Reads a note. Of two signatures by one key the first counts and the other is dropped.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it does not have the form, is larger than [`MAX_NOTE`], or has more than
    /// [`MAX_SIGNATURES`] signatures.
    pub fn parse(note: &str) -> Result<Self> {
        let wrong = |why: &str| Error::malformed("signed note", why);
        if note.len() > MAX_NOTE {
            return Err(wrong("it is larger than a million bytes"));
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(wrong("it has control characters"));
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or_else(|| wrong("no blank line before signatures"))?;
        let lines = lines.strip_suffix('\n').ok_or_else(|| wrong("the last line is not complete"))?;
        let mut signatures = Vec::<Signature>::new();
        for (at, line) in lines.split('\n').enumerate() {
            if at == MAX_SIGNATURES {
                return Err(wrong("it has more than 100 signatures"));
            }
            let one = parse_signature(line)?;
            if !signatures.iter().any(|other| other.name == one.name && other.key_id == one.key_id) {
                signatures.push(one);
            }
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// The signature by `key`.
    ///
    /// # Errors
    /// [`Error::Unsigned`] if there is none.
    pub fn signature_by(&self, key: &VerifierKey) -> Result<&Signature> {
        let found = self.signatures.iter().find(|one| one.name == key.name && one.key_id == key.id);
        found.ok_or_else(|| Error::Unsigned { key: key.name.clone() })
    }

    /// Checks that `key` signed the text; returns the time of a cosignature, 0 for a plain signature.
    ///
    /// # Errors
    /// [`Error::Unsigned`], [`Error::BadSignature`].
    pub fn verify(&self, key: &VerifierKey) -> Result<u64> {
        key.verify(&self.text, self.signature_by(key)?)
    }

    /// Counts the keys that signed. A key of which there is an invalid signature spoils the note; keys that
    /// share a name count once, and so does a key with two names, so that nobody counts twice.
    ///
    /// # Errors
    /// [`Error::BadSignature`].
    pub fn count_signers(&self, keys: &[VerifierKey]) -> Result<usize> {
        self.signers(keys, &(0..=u64::MAX)).map(|signers| signers.counted)
    }

    /// The same, where a cosignature of a time outside of `times`, in seconds since 1970, is named and does not count.
    ///
    /// # Errors
    /// [`Error::BadSignature`].
    pub fn signers(&self, keys: &[VerifierKey], times: &RangeInclusive<u64>) -> Result<Signers> {
        let mut counted = Vec::<&VerifierKey>::new();
        let mut untimely = Vec::new();
        for key in keys {
            match self.verify(key) {
                Ok(_) if counted.iter().any(|other| other.name == key.name || other.key == key.key) => {}
                Ok(time) if key.algorithm == Algorithm::CosignatureV1 && !times.contains(&time) => {
                    untimely.push((key.name.clone(), time));
                }
                Ok(_) => counted.push(key),
                Err(Error::Unsigned { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Signers { counted: counted.len(), untimely })
    }
}

/// Who signed a note, of those who were asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signers {
    /// How many.
    pub counted: usize,
    /// Who has cosigned at a time that cannot be, and when, in seconds since 1970. They do not count.
    pub untimely: Vec<(String, u64)>,
}

impl Signers {
    /// The same, if at least `required` count.
    ///
    /// # Errors
    /// [`Error::Untimely`] of the first whose time cannot be, where there is one; else [`Error::TooFewWitnesses`].
    pub fn at_least(self, required: usize) -> Result<Self> {
        if self.counted >= required {
            return Ok(self);
        }
        match self.untimely.into_iter().next() {
            Some((key, time)) => Err(Error::Untimely { key, time }),
            None => Err(Error::TooFewWitnesses { found: self.counted, required }),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| write!(f, "{signature}"))
    }
}

fn parse_signature(line: &str) -> Result<Signature> {
    let wrong = || Error::malformed("signed note", format!("{line:?} is not a signature line"));
    let (name, encoded) = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')).ok_or_else(wrong)?;
    let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| wrong())?;
    let (id, bytes) = bytes.split_first_chunk::<4>().ok_or_else(wrong)?;
    if is_key_name(name) && !bytes.is_empty() {
        Ok(Signature { name: name.into(), key_id: u32::from_be_bytes(*id), bytes: bytes.to_vec() })
    } else {
        Err(wrong())
    }
}

/// A public key with its name and type, written `name+id+base64` (a C2SP "vkey").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    algorithm: Algorithm,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Names a key.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the name cannot name a key.
    pub fn new(name: &str, algorithm: Algorithm, key: VerifyingKey) -> Result<Self> {
        if !is_key_name(name) {
            return Err(Error::malformed("key name", format!("{name:?} is empty or has white space or +")));
        }
        let hash = Sha256::new()
            .chain_update(name)
            .chain_update([b'\n', algorithm.byte()])
            .chain_update(key.as_bytes())
            .finalize();
        let id = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        Ok(Self { name: name.into(), id, algorithm, key })
    }

    /// Reads `name+id+base64`.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the form, the type, the key or the id is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::malformed("verifier key", why);
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(data)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("it is not name+id+base64"));
        };
        let data = BASE64_STANDARD.decode(data).map_err(|_| wrong("the key is not base64"))?;
        let (algorithm, key) = match data.split_first() {
            Some((1, key)) => (Algorithm::Ed25519, key),
            Some((4, key)) => (Algorithm::CosignatureV1, key),
            // A key of type 6 is sound, and its signatures in a note are passed over like those of any unknown key.
            Some((6, _)) => {
                return Err(wrong("its type is ML-DSA-44 (6), which is not verified here: give an Ed25519 key"));
            }
            _ => return Err(wrong("its type is neither Ed25519 (1) nor cosignature v1 (4)")),
        };
        let key = <[u8; 32]>::try_from(key).map_err(|_| wrong("an Ed25519 key has 32 bytes"))?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| wrong("not a point of the curve"))?;
        let found = Self::new(name, algorithm, key)?;
        if found.to_string() == format!("{name}+{id}+{}", BASE64_STANDARD.encode(&data)) {
            Ok(found)
        } else {
            Err(wrong("the id does not belong to name and key"))
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id, as in signature lines.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether it is the same public key, whatever names the two have.
    pub fn same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// What the key signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn verify(&self, text: &str, signature: &Signature) -> Result<u64> {
        let bad = || Error::BadSignature { key: self.name.clone() };
        let (time, message, bytes) = match self.algorithm {
            Algorithm::Ed25519 => (0, text.to_owned(), signature.bytes.as_slice()),
            Algorithm::CosignatureV1 => {
                let (time, bytes) = signature.bytes.split_first_chunk::<8>().ok_or_else(bad)?;
                let time = u64::from_be_bytes(*time);
                if time > i64::MAX.unsigned_abs() {
                    return Err(bad());
                }
                (time, cosigned_message(text, time), bytes)
            }
        };
        let bytes = ed25519_dalek::Signature::from_slice(bytes).map_err(|_| bad())?;
        // Strict: no signature is accepted that another implementation could take for invalid.
        self.key.verify_strict(message.as_bytes(), &bytes).map_err(|_| bad())?;
        Ok(time)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut data = vec![self.algorithm.byte()];
        data.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{:08x}+{}", self.name, self.id, BASE64_STANDARD.encode(data))
    }
}

fn cosigned_message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// A private key with its name.
pub struct Signer {
    key: SigningKey,
    verifier: VerifierKey,
}

impl Signer {
    /// Names a private key.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the name cannot name a key.
    pub fn new(name: &str, algorithm: Algorithm, key: SigningKey) -> Result<Self> {
        let verifier = VerifierKey::new(name, algorithm, key.verifying_key())?;
        Ok(Self { key, verifier })
    }

    /// The public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a text; `time` is in seconds since 1970 and counts only in cosignatures.
    pub fn sign(&self, text: &str, time: u64) -> Signature {
        let bytes = match self.verifier.algorithm {
            Algorithm::Ed25519 => self.key.sign(text.as_bytes()).to_vec(),
            Algorithm::CosignatureV1 => {
                let mut bytes = time.to_be_bytes().to_vec();
                bytes.extend_from_slice(&self.key.sign(cosigned_message(text, time).as_bytes()).to_bytes());
                bytes
            }
        };
        Signature { name: self.verifier.name.clone(), key_id: self.verifier.id, bytes }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.verifier.name)
    }
}
