//! Personal data at rest: sealed under a key of its subject, which is itself sealed under a master key.
//!
//! Destroying the subject's key destroys the data wherever a copy of the sealed form is. Sealing is
//! deterministic, so that a resend of an event gives the same leaf: the nonce is an HMAC of what is
//! sealed, under a key derived from the subject's, and so differs for different data (the construction
//! of synthetic nonces, as in RFC 5297 and RFC 8452).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use remit_core::{Error, Ids, Result, Tenant};
use secrecy::{ExposeSecret as _, SecretBox};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The personal fields of one event.
pub type Fields = BTreeMap<String, String>;

/// The keys that seal subjects' keys. The first is current; the others only open what was sealed before
/// a rotation. Rows name a key by its id and a fingerprint of the key itself, so that another key under the same id
/// is told from a damaged row.
pub struct MasterKeys {
    current: String,
    current_tag: String,
    keys: BTreeMap<String, LessSafeKey>,
}

/// `id#` and eight hexadecimal digits, which say nothing of the key but whether it is the same.
fn tag(id: &str, key: &[u8]) -> String {
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), b"remit master key fingerprint v1");
    let print: String = mac.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{id}#{print}")
}

impl MasterKeys {
    /// Reads one key a line, `id base64(32 bytes)`, the current one first; `#` begins a comment.
    ///
    /// # Errors
    /// `InvalidArgument` (`MASTER_KEY_INVALID`), naming the line and never its content.
    pub fn parse(text: &str) -> Result<Self> {
        let (mut current, mut keys, mut seen) = (None, BTreeMap::new(), BTreeSet::new());
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |why: &str| Error::invalid("MASTER_KEY_INVALID", format!("master key, line {}", at + 1), why);
            let (id, key) = line.split_once(' ').ok_or_else(|| wrong("must be an id, a space and a key in base64"))?;
            if !remit_core::name::is_id(id) {
                return Err(wrong("the id must be 1 to 100 of letters, digits, '.', '_' and '-'"));
            }
            let bytes = BASE64_STANDARD.decode(key.trim()).map_err(|_| wrong("the key is not base64"))?;
            let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| wrong("the key must have 32 bytes"))?;
            if !seen.insert(id.to_owned()) {
                return Err(wrong("the id stands twice"));
            }
            let tag = tag(id, &bytes);
            keys.insert(tag.clone(), LessSafeKey::new(key));
            current.get_or_insert_with(|| (id.to_owned(), tag));
        }
        let (current, current_tag) =
            current.ok_or_else(|| Error::invalid("MASTER_KEY_INVALID", "master key", "there is no key"))?;
        Ok(Self { current, current_tag, keys })
    }

    /// The text for one new key.
    pub fn generate(ids: &Ids, id: &str) -> String {
        let mut key = [0; 32];
        ids.fill(&mut key);
        format!("{id} {}\n", BASE64_STANDARD.encode(key))
    }

    /// The id of the key that new subjects' keys are sealed under.
    pub fn current(&self) -> &str {
        &self.current
    }

    /// How rows name that key: its id and its fingerprint.
    pub fn current_tag(&self) -> &str {
        &self.current_tag
    }

    /// Whether the key that rows name so is here.
    pub fn has(&self, tag: &str) -> bool {
        self.keys.contains_key(tag)
    }

    /// Seals a subject's key under the current master key.
    ///
    /// # Errors
    /// `Internal` if the cipher fails, which it does not for these lengths.
    pub fn wrap(
        &self,
        ids: &Ids,
        tenant: &Tenant,
        subject: &str,
        generation: i64,
        key: &SubjectKey,
    ) -> Result<Vec<u8>> {
        let master =
            self.keys.get(&self.current_tag).ok_or_else(|| Error::internal("the current master key is gone"))?;
        let mut nonce = [0; NONCE_LEN];
        ids.fill(&mut nonce);
        encrypt(master, nonce, &key_context(tenant, subject, generation), key.0.expose_secret())
    }

    /// Opens a subject's key, sealed under the master key that its row names.
    ///
    /// # Errors
    /// `FailedPrecondition`: `MASTER_KEY_MISSING` if that master key is not configured, which another under the same id
    /// is not; `SUBJECT_KEY_DAMAGED` if it is, and does not open the row.
    pub fn unwrap(
        &self,
        master_key: &str,
        tenant: &Tenant,
        subject: &str,
        generation: i64,
        wrapped: &[u8],
    ) -> Result<SubjectKey> {
        let Some(master) = self.keys.get(master_key) else {
            let why = format!(
                "key {generation} of {subject} is sealed under master key {master_key}, which is not configured here: \
                 add it behind the current one"
            );
            return Err(Error::precondition("MASTER_KEY_MISSING", why));
        };
        let opened = decrypt(master, &key_context(tenant, subject, generation), wrapped);
        opened.and_then(|key| <[u8; 32]>::try_from(key).ok()).map(SubjectKey::from).ok_or_else(|| {
            let why = format!(
                "key {generation} of {subject} is damaged: its master key {master_key} is here and does not open it; \
                 restore its row from a backup, or erase the subject"
            );
            Error::precondition("SUBJECT_KEY_DAMAGED", why)
        })
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKeys(current: {})", self.current)
    }
}

/// The key of one subject.
pub struct SubjectKey(SecretBox<[u8; 32]>);

impl From<[u8; 32]> for SubjectKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
    }
}

impl SubjectKey {
    /// Draws a new key.
    pub fn generate(ids: &Ids) -> Self {
        let mut bytes = [0; 32];
        ids.fill(&mut bytes);
        Self::from(bytes)
    }

    fn derive(&self, purpose: &str) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.0.expose_secret()), purpose.as_bytes())
    }

    fn cipher(&self) -> Result<LessSafeKey> {
        let key = UnboundKey::new(&AES_256_GCM, self.derive("remit audit seal v1").as_ref());
        key.map(LessSafeKey::new).map_err(|_| Error::internal("a subject's key has the wrong length"))
    }

    /// Seals the personal fields of an event: nonce, ciphertext and tag.
    ///
    /// # Errors
    /// `Internal` if the fields cannot be encoded or sealed, which none causes.
    pub fn seal(&self, tenant: &Tenant, subject: &str, event_id: &str, fields: &Fields) -> Result<Vec<u8>> {
        let plain = serde_json::to_vec(fields)
            .map_err(|error| Error::internal("personal data could not be encoded").with_source(error))?;
        let context = context(&["remit personal data v1", tenant.as_str(), subject, event_id]);
        let nonces = hmac::Key::new(hmac::HMAC_SHA256, self.derive("remit audit nonce v1").as_ref());
        let tag = hmac::sign(&nonces, &[context.as_slice(), &plain].concat());
        let nonce = tag.as_ref().first_chunk().ok_or_else(|| Error::internal("an HMAC was too short"))?;
        encrypt(&self.cipher()?, *nonce, &context, &plain)
    }

    /// Opens sealed personal fields; none if they were altered, or belong to another event or key.
    ///
    /// # Errors
    /// `Internal` if the key cannot be used, which none causes.
    pub fn open(&self, tenant: &Tenant, subject: &str, event_id: &str, sealed: &[u8]) -> Result<Option<Fields>> {
        let context = context(&["remit personal data v1", tenant.as_str(), subject, event_id]);
        Ok(decrypt(&self.cipher()?, &context, sealed).and_then(|plain| serde_json::from_slice(&plain).ok()))
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectKey")
    }
}

/// What a ciphertext is bound to, with lengths so that no two contexts are alike.
fn context(parts: &[&str]) -> Vec<u8> {
    let mut context = Vec::new();
    for part in parts {
        context.extend_from_slice(&(part.len() as u64).to_be_bytes());
        context.extend_from_slice(part.as_bytes());
    }
    context
}

fn key_context(tenant: &Tenant, subject: &str, generation: i64) -> Vec<u8> {
    context(&["remit subject key v1", tenant.as_str(), subject, &generation.to_string()])
}

fn encrypt(key: &LessSafeKey, nonce: [u8; NONCE_LEN], context: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let mut data = plain.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut data)
        .map_err(|_| Error::internal("data could not be sealed"))?;
    Ok([nonce.as_slice(), &data].concat())
}

fn decrypt(key: &LessSafeKey, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, data) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut data = data.to_vec();
    let plain = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context), &mut data).ok()?;
    Some(plain.to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ids() -> Ids {
        let mut next = 0u8;
        Ids::new(Box::new(move |bytes| {
            for byte in bytes {
                next = next.wrapping_add(1);
                *byte = next;
            }
        }))
    }

    fn fields(value: &str) -> Fields {
        Fields::from([("email".to_owned(), value.to_owned())])
    }

    #[test]
    fn sealing_is_deterministic_and_bound_to_subject_event_and_tenant() {
        let tenant = Tenant::new("acme").unwrap();
        let key = SubjectKey::generate(&ids());
        let sealed = key.seal(&tenant, "leads/1", "e1", &fields("ann@example.com")).unwrap();
        assert_eq!(sealed, key.seal(&tenant, "leads/1", "e1", &fields("ann@example.com")).unwrap());
        assert_ne!(sealed[..12], key.seal(&tenant, "leads/1", "e1", &fields("bob@example.com")).unwrap()[..12]);
        assert_eq!(key.open(&tenant, "leads/1", "e1", &sealed).unwrap(), Some(fields("ann@example.com")));
        assert!(!sealed.windows(3).any(|part| part == b"ann"));
        let other = Tenant::new("other").unwrap();
        for (tenant, subject, event) in
            [(&tenant, "leads/2", "e1"), (&tenant, "leads/1", "e2"), (&other, "leads/1", "e1")]
        {
            assert_eq!(key.open(tenant, subject, event, &sealed).unwrap(), None);
        }
        let mut altered = sealed;
        altered[20] ^= 1;
        assert_eq!(key.open(&tenant, "leads/1", "e1", &altered).unwrap(), None);
    }

    #[test]
    fn subject_keys_survive_a_rotation_and_not_a_lost_master_key() {
        let (ids, tenant) = (ids(), Tenant::new("acme").unwrap());
        let old = MasterKeys::generate(&ids, "k1");
        let key = SubjectKey::generate(&ids);
        let first = MasterKeys::parse(&old).unwrap();
        let (k1, wrapped) = (first.current_tag(), first.wrap(&ids, &tenant, "leads/1", 1, &key).unwrap());
        let rotated = MasterKeys::parse(&format!("# new first\n{}{old}", MasterKeys::generate(&ids, "k2"))).unwrap();
        assert_eq!(rotated.current(), "k2");
        let opened = rotated.unwrap(k1, &tenant, "leads/1", 1, &wrapped).unwrap();
        assert_eq!(
            opened.seal(&tenant, "s", "e", &fields("x")).unwrap(),
            key.seal(&tenant, "s", "e", &fields("x")).unwrap()
        );
        let damaged = rotated.unwrap(k1, &tenant, "leads/1", 2, &wrapped).unwrap_err();
        assert_eq!(damaged.reason(), "SUBJECT_KEY_DAMAGED");
        // Another key is not the one that is missing, even under its id.
        for id in ["k1", "k3"] {
            let lost = MasterKeys::parse(&MasterKeys::generate(&ids, id)).unwrap();
            assert!(!lost.has(k1) && lost.current() == id);
            assert_eq!(lost.unwrap(k1, &tenant, "leads/1", 1, &wrapped).unwrap_err().reason(), "MASTER_KEY_MISSING");
        }
    }

    #[test]
    fn malformed_master_keys_are_refused_without_quoting_them() {
        let good = MasterKeys::generate(&ids(), "k1");
        for wrong in [String::new(), "k1".into(), "k1 c2hvcnQ=".into(), "k/1 AAAA".into(), format!("{good}{good}")] {
            let error = MasterKeys::parse(&wrong).unwrap_err();
            assert_eq!(error.reason(), "MASTER_KEY_INVALID");
            assert!(!error.message().contains("c2hvcnQ"));
        }
    }
}
