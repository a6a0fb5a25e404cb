//! Verification of bearer tokens, with a bounded memory of those verified.

use super::apart::{self, Public};
use super::claims::malformed;
use super::issuer::{Claims, DEVELOPMENT_ISSUER, Signer};
use super::keyring::Keyring;
use super::keys::{Key, KeySet};
use super::mapping::Received;
use super::refuse;
use super::rules::Rules;
use super::speaker::Speaker;
use super::trace::Exam;
use crate::config::Config;
use remit_core::{Actor, ActorKind, Error, Kind, Result, SERVICE_PREFIX, SERVICES, Tenant, Timestamp};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Who a verified token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The tenant.
    pub tenant: Tenant,
    /// The caller.
    pub actor: Arc<Actor>,
    /// Which of the suite's own services the caller is; none for everybody else, programs of other issuers included.
    pub service: Option<&'static str>,
    /// The caller's e-mail address, if the issuer has verified it.
    pub email: Option<String>,
    /// The `iss` of the token.
    pub issuer: String,
    /// The `jti` of the token, or what the issuer has in its place, as [`super::token_id`] has it; empty if it has none.
    pub token_id: String,
    /// When the token was issued, in seconds since 1970; 0 if it does not say.
    pub issued: u64,
    /// When the token expires, in seconds since 1970.
    pub expires: u64,
}

/// Who signs tokens in this process.
#[derive(Debug, Clone)]
pub struct Signers {
    /// Sign for those of the suite's own services that run here.
    pub services: Arc<Keyring>,
    /// Signs for people and programs while there is no identity provider; none where one is configured.
    pub development: Option<Arc<Signer>>,
}

/// Verifies tokens.
pub struct Authenticator {
    pub(super) sets: Vec<Arc<KeySet>>,
    /// What each issuer may say, and how it says it.
    pub(super) rules: BTreeMap<String, Rules>,
    /// The issuer of the suite itself, which speaks for its services and for nobody else.
    pub(super) suite: String,
    pub(super) max_bytes: usize,
    pub(super) max_lifetime: u64,
    /// The longest that a token of the suite's own services may live: twice what they live here, as another process may
    /// have the setting changed first.
    pub(super) service_lifetime: u64,
    pub(super) leeway: u64,
    /// Keys that sign no tokens, whatever key set they are in.
    no_tokens: HashSet<Public>,
    told: AtomicBool,
    min_interval: Duration,
    refresh: Duration,
    cache: moka::sync::Cache<[u8; 32], Arc<(u64, Identity)>>,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authenticator({} issuers)", self.sets.len())
    }
}

/// The path of a file in the issuer's directory, as a source of keys.
fn file(config: &Config, name: &str) -> String {
    config.issuer_dir().join(name).display().to_string()
}

/// The key sets of the configured issuers; nothing is read yet.
fn configured(config: &Config) -> Result<Vec<KeySet>> {
    config.auth.issuers.iter().map(|issuer| KeySet::new(&issuer.issuer, &issuer.jwks, &issuer.kinds)).collect()
}

pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Authenticator {
    /// Reads the key sets of all configured issuers and of the suite's own; where no issuer is configured, creates the
    /// development issuer's.
    ///
    /// # Errors
    /// `FailedPrecondition` (`JWKS_INVALID`) or `Unavailable` (`JWKS_UNAVAILABLE`) for a key set in a file that is none, or
    /// that has no key for the only issuer there is; one behind a URL is tried again later. `FailedPrecondition`
    /// (`KEY_UNPUBLISHED`) if the suite's own key set lacks a key of this process. As [`Keyring::open`] and
    /// [`Signer::development`].
    pub async fn open(config: &Config) -> Result<(Arc<Self>, Signers)> {
        let auth = &config.auth;
        let mut sets = configured(config)?;
        let development = if sets.is_empty() {
            let signer = Signer::development(config)?;
            sets.push(KeySet::new(DEVELOPMENT_ISSUER, &file(config, "jwks.json"), &[])?);
            Some(Arc::new(signer))
        } else {
            None
        };
        if sets.iter().any(|set| set.issuer == auth.service_issuer) {
            let what =
                "may not name auth.service_issuer: the keys of the suite's services are those of auth.service_jwks";
            return Err(Error::invalid("CONFIG_INVALID", "auth.issuers", what));
        }
        let services = Keyring::open(config, &config.services())?;
        sets.push(services.trusted(config)?);
        let verifier = Self::with_sets(config, sets)?;
        verifier.load().await?;
        if let Some(own) = verifier.sets.last() {
            services.check_published(own)?;
        }
        Ok((Arc::new(verifier), Signers { services: Arc::new(services), development }))
    }

    /// Tries the key set of each configured issuer, and the suite's own unless it is made at the first start, and says of
    /// each what is wrong with it. Makes nothing: for whoever only looks.
    ///
    /// # Errors
    /// As [`Authenticator::open`] for what is wrong with the configuration itself. Of a set: `JWKS_UNAVAILABLE`,
    /// `JWKS_INVALID`, `DISCOVERY_INVALID`; `KEY_UNPUBLISHED` of the suite's own.
    pub async fn look(config: &Config) -> Result<Vec<(String, Result<()>)>> {
        let auth = &config.auth;
        let mut sets = configured(config)?;
        let made = auth.development && auth.service_key.as_os_str().is_empty();
        let services = if made { Keyring::default() } else { Keyring::open(config, &config.services())? };
        if !made || !auth.service_jwks.is_empty() {
            sets.push(services.trusted(config)?);
        }
        let verifier = Self::with_sets(config, sets)?;
        let read = futures::future::join_all(verifier.sets.iter().map(|set| set.reload())).await;
        let judged = verifier.sets.iter().zip(read).map(|(set, read)| {
            let judged = match read {
                Err(error) => Err(error),
                Ok(_) if set.is_empty() => Err(set.unusable()),
                Ok(_) if set.issuer == verifier.suite => services.check_published(set),
                Ok(_) => Ok(()),
            };
            (set.issuer.clone(), judged)
        });
        Ok(judged.collect())
    }

    fn with_sets(config: &Config, sets: Vec<KeySet>) -> Result<Self> {
        let auth = &config.auth;
        let rules = Rules::all(config)?;
        let allowed = |set: KeySet| match rules.get(&set.issuer) {
            Some(rules) => set.with_algorithms(&rules.algorithms),
            None => set,
        };
        let (max_age, patience) = (auth.jwks_max_age.get(), auth.jwks_timeout.get());
        Ok(Self {
            sets: sets.into_iter().map(|set| Arc::new(allowed(set).bounded(max_age, patience))).collect(),
            rules,
            suite: auth.service_issuer.clone(),
            max_bytes: auth.max_token_bytes,
            max_lifetime: auth.max_lifetime.get().as_secs(),
            service_lifetime: auth.service_lifetime.get().as_secs().saturating_mul(2),
            leeway: auth.leeway.get().as_secs(),
            no_tokens: apart::no_tokens(config),
            told: AtomicBool::new(false),
            min_interval: auth.jwks_min_interval.get(),
            refresh: auth.jwks_refresh.get(),
            cache: moka::sync::Cache::builder()
                .max_capacity(auth.cache_tokens)
                .time_to_live(auth.cache_ttl.get().max(Duration::from_secs(1)))
                .build(),
        })
    }

    /// What [`Authenticator::explain`] needs: the key sets of the people and programs that `config` trusts, as far as
    /// they can be had now; without network if `offline`. Nothing is made.
    ///
    /// # Errors
    /// `InvalidArgument` (`CONFIG_INVALID`).
    pub async fn to_explain(config: &Config, offline: bool) -> Result<Self> {
        let mut sets = configured(config)?;
        if sets.is_empty() {
            sets.push(KeySet::new(DEVELOPMENT_ISSUER, &file(config, "jwks.json"), &[])?);
        }
        let explains = Self::with_sets(config, sets)?;
        for set in explains.sets.iter().filter(|set| set.is_file() || !offline) {
            if let Err(error) = set.reload().await {
                tracing::warn!(issuer = set.issuer, error = error.message(), "the keys cannot be read");
            }
        }
        Ok(explains)
    }

    async fn load(&self) -> Result<()> {
        let read = self.sets.iter().map(|set| set.reload());
        for (set, read) in self.sets.iter().zip(futures::future::join_all(read).await) {
            match read {
                Ok(_) => {}
                // A mistake in the configuration, and nothing runs yet that a refusal would interrupt.
                Err(error) if set.is_file() => return Err(error),
                Err(error) => tracing::warn!(issuer = set.issuer, error = error.message(), "will try again"),
            }
        }
        // Keys that cannot be used keep out those of their issuer alone, unless that is everybody.
        let known: Vec<_> = self.sets.iter().filter(|set| set.issuer != self.suite && set.is_loaded()).collect();
        match known.as_slice() {
            [only] if only.is_empty() && only.is_file() => Err(only.unusable()),
            _ => Ok(()),
        }
    }

    /// The key sets whose tokens are refused because they could not be read, in words.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        self.sets.iter().filter_map(|set| {
            let why = match () {
                () if set.is_unread() => "was never read",
                () if set.is_stale() => "was last read too long ago",
                () => return None,
            };
            Some(format!("the key set of {} {why}: its tokens are refused", set.issuer))
        })
    }

    /// Keeps the key sets up to date until `shutdown`: files whenever they change, URLs at the
    /// configured interval. None waits for another.
    pub async fn keep_fresh(self: Arc<Self>, shutdown: tokio_util::sync::CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(self.min_interval.max(Duration::from_millis(100))) => {}
            }
            for set in self.sets.iter().filter(|set| set.is_due(self.min_interval, self.refresh)) {
                drop(set.read_again());
            }
        }
    }

    /// Changes with every key set, so that no answer outlives the keys that it was found with.
    fn generation(&self) -> u64 {
        self.sets.iter().map(|set| set.version()).sum()
    }

    fn is_fresh(&self, issuer: &str) -> bool {
        self.sets.iter().any(|set| set.issuer == issuer && !set.is_stale())
    }

    /// Verifies the `authorization` of a request, which must stand in it once: of two, a proxy might have looked at the
    /// other.
    ///
    /// # Errors
    /// As [`Authenticator::verify`]; `TOKEN_MALFORMED` for more than one.
    pub async fn verify_headers(&self, headers: &http::HeaderMap) -> Result<Arc<(u64, Identity)>> {
        let mut values = headers.get_all(http::header::AUTHORIZATION).iter();
        let (first, second) = (values.next().cloned(), values.next());
        if second.is_some() {
            return Err(malformed("the call has the metadata authorization more than once"));
        }
        self.verify(first.as_ref().map(|value| value.to_str().unwrap_or(""))).await
    }

    /// Verifies the value of an `authorization` header.
    ///
    /// # Errors
    /// `Unauthenticated` with the reason `TOKEN_MISSING`, `TOKEN_MALFORMED`, `TOKEN_ISSUER`, `TOKEN_ALGORITHM`,
    /// `TOKEN_UNKNOWN_KEY`, `TOKEN_SIGNATURE`, `TOKEN_TYPE`, `TOKEN_EXPIRED`, `TOKEN_NOT_YET_VALID`, `TOKEN_AUDIENCE`,
    /// `TOKEN_TENANT`, `TOKEN_SERVICE_KEY` or `TOKEN_CLAIMS`; `Unavailable` if the issuer's keys have never been reachable
    /// (`JWKS_UNAVAILABLE`), or not for too long (`JWKS_STALE`); `DeadlineExceeded` (`DEADLINE_EXCEEDED`) if the caller's
    /// deadline passes while they are fetched.
    pub async fn verify(&self, header: Option<&str>) -> Result<Arc<(u64, Identity)>> {
        let header = header
            .ok_or_else(|| refuse("TOKEN_MISSING", "the call needs a bearer token in the metadata authorization"))?;
        let token = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(refuse("TOKEN_MALFORMED", "the metadata authorization must be Bearer and a token")),
        };
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        // Read before the keys: an entry verified with keys that change meanwhile is then stale.
        let generation = self.generation();
        let known = |found: &Arc<(u64, Identity)>| found.0 == generation && self.is_fresh(&found.1.issuer);
        if let Some(found) = self.cache.get(&digest).filter(known) {
            if now() < found.1.expires as f64 + self.leeway as f64 {
                return Ok(found);
            }
            return Err(refuse("TOKEN_EXPIRED", "the token has expired").with_source(Speaker::of(&found.1)));
        }
        let identity = self.examine(token, &mut Exam::verifying()).await?;
        let entry = Arc::new((generation, identity));
        self.cache.insert(digest, entry.clone());
        Ok(entry)
    }

    /// When a verified token has expired for us.
    pub(crate) fn ends(&self, identity: &Identity) -> Timestamp {
        Timestamp(0).plus(Duration::from_secs(identity.expires.saturating_add(self.leeway)))
    }

    pub(super) async fn key(&self, set: &Arc<KeySet>, kid: Option<&str>) -> Result<Arc<Key>> {
        let kid = kid.ok_or_else(|| refuse("TOKEN_UNKNOWN_KEY", "the token names no key id (kid)"))?;
        let found = set.find_or_read(kid, self.min_interval).await?;
        set.check_age()?;
        found.filter(|key| !self.is_anothers(set, key)).ok_or_else(|| {
            if set.is_loaded() {
                refuse("TOKEN_UNKNOWN_KEY", "the issuer has no key with the token's key id")
            } else {
                let what = format!("the keys of issuer {} cannot be reached", set.issuer);
                Error::new(Kind::Unavailable, "JWKS_UNAVAILABLE", what)
            }
        })
    }

    /// Whether a key has another role too, as can be known only when key sets behind URLs were read: it is that role's,
    /// and passed over here.
    fn is_anothers(&self, set: &KeySet, key: &Key) -> bool {
        let Some(public) = &key.public else { return false };
        let suites =
            |other: &Arc<KeySet>| other.issuer == self.suite && other.issuer != set.issuer && other.has(public);
        let anothers = self.no_tokens.contains(public) || self.sets.iter().any(suites);
        if anothers && !self.told.swap(true, Ordering::Relaxed) {
            let issuer = &set.issuer;
            tracing::error!(issuer, "a key of the issuer is one of the suite's own too, and passed over: make another");
        }
        anothers
    }

    /// Which of the suite's services a token speaks for. Nobody else may look like one in the log.
    pub(super) fn service(&self, set: &KeySet, key: Option<&Key>, claims: &Received) -> Result<Option<&'static str>> {
        let wrong = |what: String| Err(refuse("TOKEN_CLAIMS", what));
        if set.issuer != self.suite {
            if claims.sub.starts_with(SERVICE_PREFIX) {
                let what =
                    format!("the token's sub begins with {SERVICE_PREFIX}, which is for the suite's own services");
                return wrong(what);
            }
            return Ok(None);
        }
        match Actor::service_named(&claims.sub) {
            Some(service) if claims.kind == ActorKind::Service => match key.and_then(|key| key.service.as_deref()) {
                Some(of) if of == service => Ok(Some(service)),
                of => {
                    let of = of.map_or_else(|| "no service".to_owned(), |of| format!("{SERVICE_PREFIX}{of}"));
                    let what = format!("the token is signed by the key of {of}, which cannot speak for {}", claims.sub);
                    Err(refuse("TOKEN_SERVICE_KEY", what))
                }
            },
            _ => {
                let names = SERVICES.map(|service| format!("{SERVICE_PREFIX}{service}")).join(", ");
                wrong(format!("the suite's own issuer may speak for its services only: {names}"))
            }
        }
    }
}

impl Claims {
    /// The claims of a valid token from now on, for tests to spoil.
    pub fn sample(issuer: &str, audience: &str) -> Self {
        let now = now() as u64;
        Self {
            iss: issuer.to_owned(),
            aud: audience.to_owned(),
            sub: "alice".to_owned(),
            tenant: "acme".to_owned(),
            kind: ActorKind::Human,
            roles: vec!["viewer".to_owned()],
            role_groups: Vec::new(),
            on_behalf_of: None,
            iat: now,
            nbf: now,
            exp: now + 600,
            jti: String::new(),
        }
    }
}
