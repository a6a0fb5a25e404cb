//! What a JWK set (RFC 7517) holds that can be used, and what it holds that cannot.

use super::apart::public;
use super::keys::{Key, Keys};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey};
use remit_core::{Error, Result};
use serde::Deserialize as _;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The types of key that some algorithm here uses.
const TYPES: [&str; 3] = ["RSA", "EC", "OKP"];

/// The keys of one set or of several.
#[derive(Default)]
pub(super) struct Parsed {
    allowed: Vec<Algorithm>,
    keys: BTreeMap<String, Vec<Key>>,
    skipped: Vec<String>,
}

impl Parsed {
    /// Nothing yet; of what is added, what is for one of these algorithms counts, or everything where none is named.
    pub fn of(allowed: &[Algorithm]) -> Self {
        Self { allowed: allowed.to_vec(), ..Self::default() }
    }

    /// Adds the keys of a set.
    ///
    /// # Errors
    /// What is wrong if it is none; then nothing is added.
    pub fn add(&mut self, text: &[u8]) -> std::result::Result<(), String> {
        let set: Value = serde_json::from_slice(text).map_err(|error| format!("is not a JWK set: {error}"))?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or("is not a JWK set: it has no list of keys")?;
        for raw in keys {
            match usable(raw, &self.allowed) {
                Ok(Some((kid, key))) => self.keys.entry(kid).or_default().push(key),
                Ok(None) => {}
                Err(why) => self.skipped.push(format!("{}: {why}", named(raw))),
            }
        }
        Ok(())
    }

    /// The keys that can be used, and why others cannot. Of two keys with the same id neither can: which of them a token
    /// means would be chance.
    pub fn finish(self) -> (Keys, Vec<String>) {
        let (mut found, mut skipped) = (HashMap::new(), self.skipped);
        for (kid, mut keys) in self.keys {
            match (keys.pop(), keys.is_empty()) {
                (Some(key), true) => drop(found.insert(kid, Arc::new(key))),
                _ => skipped.push(format!("key {kid}: two keys have this id, so neither is used")),
            }
        }
        (found, skipped)
    }
}

/// What a server here would make of a key set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The ids of the keys that can be used, each with the service of the suite that it names, if it does.
    pub usable: Vec<(String, Option<String>)>,
    /// Why others cannot.
    pub skipped: Vec<String>,
}

/// Looks at a key set as a server would, in which order its keys ever stand.
///
/// # Errors
/// `FailedPrecondition` (`JWKS_INVALID`) if it is none.
pub fn show(text: &[u8]) -> Result<Shown> {
    let mut parsed = Parsed::default();
    parsed.add(text).map_err(|why| Error::precondition("JWKS_INVALID", format!("the text {why}")))?;
    let (keys, skipped) = parsed.finish();
    let mut usable: Vec<_> = keys.iter().map(|(kid, key)| (kid.clone(), key.service.clone())).collect();
    usable.sort();
    Ok(Shown { usable, skipped })
}

/// A key as the log names it.
fn named(raw: &Value) -> String {
    let text =
        |member: &str| raw.get(member).and_then(Value::as_str).map(|text| text.chars().take(100).collect::<String>());
    match (text("kid"), text("kty")) {
        (Some(kid), _) => format!("key {kid:?}"),
        (None, Some(kty)) => format!("a key of the type {kty:?}"),
        (None, None) => "something that is no key".to_owned(),
    }
}

/// The key with its id; `None` for one that is there for something else, such as encryption, as RFC 7517 (section 5) lets.
fn usable(raw: &Value, allowed: &[Algorithm]) -> std::result::Result<Option<(String, Key)>, String> {
    let text = |member: &str| raw.get(member).and_then(Value::as_str);
    if text("use").is_some_and(|usage| usage != "sig") {
        return Ok(None);
    }
    let kid = text("kid").filter(|kid| !kid.is_empty()).ok_or("it has no key id (kid)")?;
    if !text("kty").is_some_and(|kty| TYPES.contains(&kty)) {
        return Err("its type (kty) is none that signs tokens here".to_owned());
    }
    // Whoever reads the set could sign with it.
    if raw.get("d").is_some() {
        return Err("its private half is in the set: make a new key".to_owned());
    }
    let jwk = Jwk::deserialize(raw).map_err(|error| format!("it is malformed: {error}"))?;
    if let AlgorithmParameters::OctetKeyPair(pair) = &jwk.algorithm {
        let point = URL_SAFE_NO_PAD.decode(&pair.x).ok().and_then(|x| <[u8; 32]>::try_from(x).ok());
        let point = point.and_then(|x| ed25519_dalek::VerifyingKey::from_bytes(&x).ok());
        // Under a weak key a signature can be made without knowing anything.
        if point.is_none_or(|point| point.is_weak()) {
            return Err("it is malformed: x is not the public half of a key".to_owned());
        }
    }
    let algorithm = algorithm(&jwk, allowed).ok_or("it is of no algorithm that is accepted here, or too short")?;
    let decoding = DecodingKey::from_jwk(&jwk).map_err(|error| format!("it is malformed: {error}"))?;
    let service = text("service").map(str::to_owned);
    Ok(Some((kid.to_owned(), Key { algorithm, decoding, public: public(raw), service })))
}

/// The one algorithm of a key, so that a token cannot choose (RFC 8725, section 3.1): the key's own `alg`, or the first
/// of those allowed that fits its type. With nothing said that is RS256 for RSA, which is what providers sign with that
/// do not say it.
fn algorithm(jwk: &Jwk, allowed: &[Algorithm]) -> Option<Algorithm> {
    let fitting: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => &[Algorithm::ES384],
        // 2,048 bits are 342 characters of base64url without padding (RFC 7518, section 3.3).
        AlgorithmParameters::RSA(key) if key.n.len() >= 342 => &[
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        _ => return None,
    };
    let allowed = if allowed.is_empty() { fitting } else { allowed };
    let named = |algorithm: Algorithm| jwk.common.key_algorithm.is_none_or(|named| named == algorithm.into());
    allowed.iter().copied().find(|algorithm| fitting.contains(algorithm) && named(*algorithm))
}
