//! The public keys of the issuers: read from a file or a URL, kept, and read again as they rotate.

use super::discovery;
use arc_swap::ArcSwap;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use remit_core::{ActorKind, Error, Kind, Result};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// The largest key set that is read, in bytes.
const MOST_BYTES: usize = 1 << 20;

/// How long the server of a key set may take to answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// One public key and the only algorithm it may be used with.
pub(crate) struct Key {
    pub algorithm: Algorithm,
    pub decoding: DecodingKey,
}

/// The keys of one issuer.
pub(crate) struct KeySet {
    pub issuer: String,
    pub kinds: Vec<ActorKind>,
    /// What keys without an algorithm of their own may be used with, in this order; empty: everything.
    algorithms: Vec<Algorithm>,
    source: Source,
    keys: ArcSwap<HashMap<String, Arc<Key>>>,
    state: Mutex<State>,
}

enum Source {
    /// Known from the start, and the same until the process ends.
    Fixed,
    File(PathBuf),
    Url(String, reqwest::Client),
    /// Where the issuer's discovery document says.
    Discovered(reqwest::Client),
}

#[derive(Default)]
struct State {
    loaded: bool,
    tried: Option<Instant>,
    stamp: Option<(SystemTime, u64)>,
    text: Vec<u8>,
}

impl KeySet {
    /// Describes an issuer; nothing is read yet. Without a source its discovery document says where its keys are.
    ///
    /// # Errors
    /// `InvalidArgument` (`CONFIG_INVALID`) for a URL that would send keys in the clear.
    pub fn new(issuer: &str, source: &str, kinds: &[ActorKind]) -> Result<Self> {
        let place = if source.is_empty() { issuer } else { source };
        let source = if is_safe(place) {
            let client = reqwest::Client::builder()
                .timeout(FETCH_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .map_err(|error| Error::internal("the HTTP client could not be made").with_source(error))?;
            if source.is_empty() { Source::Discovered(client) } else { Source::Url(source.to_owned(), client) }
        } else if source.is_empty() {
            let what = format!("must name the key set of {issuer}, which is no https URL with a discovery document");
            return Err(Error::invalid("CONFIG_INVALID", "auth.issuers.jwks", what));
        } else if source.contains("://") {
            let what = format!("{source} must be https, because whoever alters a key set can sign tokens");
            return Err(Error::invalid("CONFIG_INVALID", "auth.issuers.jwks", what));
        } else {
            Source::File(PathBuf::from(source))
        };
        let (keys, state) = (ArcSwap::default(), Mutex::default());
        Ok(Self { issuer: issuer.to_owned(), kinds: kinds.to_vec(), algorithms: Vec::new(), source, keys, state })
    }

    /// The same, of whose keys only those for these algorithms count.
    pub fn with_algorithms(mut self, algorithms: &[Algorithm]) -> Self {
        algorithms.clone_into(&mut self.algorithms);
        self
    }

    /// An issuer whose keys are `set`, a JWK set, as long as the process runs.
    ///
    /// # Errors
    /// `FailedPrecondition` (`JWKS_INVALID`) if it is not a key set with a usable key.
    pub fn fixed(issuer: &str, set: &serde_json::Value, kinds: &[ActorKind]) -> Result<Self> {
        let keys = parse(set.to_string().as_bytes(), &[])
            .map_err(|why| Error::precondition("JWKS_INVALID", format!("the key set of issuer {issuer} {why}")))?;
        Ok(Self {
            issuer: issuer.to_owned(),
            kinds: kinds.to_vec(),
            algorithms: Vec::new(),
            source: Source::Fixed,
            keys: ArcSwap::from_pointee(keys),
            state: Mutex::new(State { loaded: true, ..State::default() }),
        })
    }

    /// The key with this id.
    pub fn find(&self, kid: &str) -> Option<Arc<Key>> {
        self.keys.load().get(kid).cloned()
    }

    /// Whether the key set has ever been read.
    pub fn is_loaded(&self) -> bool {
        self.state().loaded
    }

    /// Whether the source is a file, which is cheap to look at often.
    pub fn is_file(&self) -> bool {
        matches!(self.source, Source::File(_))
    }

    /// Whether `interval` has passed since the source was last read; if so, counts as reading it now.
    pub fn may_reload(&self, interval: Duration) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        let may = state.tried.is_none_or(|last| now.duration_since(last) >= interval);
        if may {
            state.tried = Some(now);
        }
        may
    }

    /// Reads the source again; true if the keys changed.
    ///
    /// # Errors
    /// `Unavailable` (`JWKS_UNAVAILABLE`) if it cannot be read, `FailedPrecondition` (`JWKS_INVALID`)
    /// if it is not a key set with a usable key. The keys known so far stay in force.
    pub async fn reload(&self) -> Result<bool> {
        let text = match &self.source {
            Source::Fixed => return Ok(false),
            Source::File(path) => {
                let failed = |error: std::io::Error| unavailable(&path.display().to_string(), error);
                let meta = tokio::fs::metadata(path).await.map_err(failed)?;
                let stamp = meta.modified().ok().map(|modified| (modified, meta.len()));
                {
                    let mut state = self.state();
                    if state.loaded && stamp.is_some() && state.stamp == stamp && is_settled(stamp) {
                        return Ok(false);
                    }
                    state.stamp = stamp;
                }
                tokio::fs::read(path).await.map_err(failed)?
            }
            Source::Url(url, client) => fetch(client, url).await?,
            Source::Discovered(client) => {
                let get = |url: String| async move { fetch(client, &url).await };
                let url = discovery::jwks_uri(&self.issuer, is_safe, get).await?;
                fetch(client, &url).await?
            }
        };
        if self.state().text == text && self.is_loaded() {
            return Ok(false);
        }
        let keys = parse(&text, &self.algorithms).map_err(|why| {
            let source = self.source_name();
            Error::precondition("JWKS_INVALID", format!("the key set {source} of issuer {} {why}", self.issuer))
        })?;
        self.keys.store(Arc::new(keys));
        let mut state = self.state();
        state.loaded = true;
        state.text = text;
        Ok(true)
    }

    fn source_name(&self) -> String {
        match &self.source {
            Source::Fixed => "in memory".to_owned(),
            Source::File(path) => path.display().to_string(),
            Source::Url(url, _) => url.clone(),
            Source::Discovered(_) => discovery::location(&self.issuer),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file written within the last two seconds may be written again within the same time stamp.
fn is_settled(stamp: Option<(SystemTime, u64)>) -> bool {
    stamp.is_some_and(|(modified, _)| modified.elapsed().is_ok_and(|age| age > Duration::from_secs(2)))
}

/// Whether nobody can alter on the way what comes from a URL.
fn is_safe(url: &str) -> bool {
    url.starts_with("https://") || is_loopback(url)
}

fn is_loopback(url: &str) -> bool {
    ["http://127.0.0.1", "http://localhost", "http://[::1]"]
        .iter()
        .any(|prefix| url.strip_prefix(prefix).is_some_and(|rest| rest.starts_with([':', '/'])))
}

fn unavailable(source: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let what = format!("the key set {source} cannot be read: {error}");
    Error::new(Kind::Unavailable, "JWKS_UNAVAILABLE", what).with_source(error)
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<Vec<u8>> {
    let failed = |error: reqwest::Error| unavailable(url, error.without_url());
    let mut response = client.get(url).send().await.map_err(failed)?.error_for_status().map_err(failed)?;
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        text.extend_from_slice(&chunk);
        if text.len() > MOST_BYTES {
            let what = format!("the key set {url} is larger than {MOST_BYTES} bytes");
            return Err(Error::precondition("JWKS_INVALID", what));
        }
    }
    Ok(text)
}

/// The usable keys of a set. Keys of other types are passed over, as RFC 7517 (section 5) asks.
fn parse(text: &[u8], allowed: &[Algorithm]) -> Result<HashMap<String, Arc<Key>>, String> {
    let set: JwkSet = serde_json::from_slice(text).map_err(|error| format!("is not a JWK set: {error}"))?;
    let mut keys = HashMap::new();
    for jwk in &set.keys {
        let Some(kid) = jwk.common.key_id.clone() else { continue };
        let Some(algorithm) = algorithm(jwk, allowed) else { continue };
        let decoding = DecodingKey::from_jwk(jwk).map_err(|error| format!("has an unreadable key {kid}: {error}"))?;
        if keys.insert(kid.clone(), Arc::new(Key { algorithm, decoding })).is_some() {
            return Err(format!("has two keys with the id {kid}"));
        }
    }
    if keys.is_empty() {
        return Err("has no key with a key id for an algorithm that is allowed".to_owned());
    }
    Ok(keys)
}

/// The one algorithm of a key, so that a token cannot choose (RFC 8725, section 3.1): the key's own `alg`, or the first
/// of those allowed that fits its type. With nothing said that is RS256 for RSA, which is what providers sign with that
/// do not say it.
fn algorithm(jwk: &Jwk, allowed: &[Algorithm]) -> Option<Algorithm> {
    if matches!(&jwk.common.public_key_use, Some(usage) if *usage != PublicKeyUse::Signature) {
        return None;
    }
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
