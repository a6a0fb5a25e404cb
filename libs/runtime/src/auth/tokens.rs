//! Verification of bearer tokens, with a bounded memory of those verified.

use super::SERVICE_ROLE;
use super::issuer::{Claims, DEVELOPMENT_ISSUER, Signer};
use super::keyring::Keyring;
use super::keys::{Key, KeySet};
use super::speaker::Speaker;
use crate::config::Config;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Validation};
use remit_core::{Actor, ActorKind, Error, Kind, Result, SERVICE_PREFIX, SERVICES, Tenant, Timestamp, subject};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest token that is looked at, in bytes.
const MOST_BYTES: usize = 8_192;

/// Who a verified token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The tenant.
    pub tenant: Tenant,
    /// The caller.
    pub actor: Actor,
    /// Which of the suite's own services the caller is; none for everybody else, programs of other issuers included.
    pub service: Option<&'static str>,
    /// The `iss` of the token.
    pub issuer: String,
    /// The e-mail address in lower case, if the issuer says that it is verified.
    pub email: Option<String>,
    /// The `jti` of the token; empty if it has none.
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
    sets: Vec<Arc<KeySet>>,
    /// The issuer of the suite itself, which speaks for its services and for nobody else.
    suite: String,
    algorithms: Vec<Algorithm>,
    audience: String,
    /// The name of the tenant of `audit.security_tenant`.
    security: String,
    max_lifetime: u64,
    leeway: u64,
    min_interval: Duration,
    refresh: Duration,
    cache: moka::sync::Cache<[u8; 32], Arc<(u64, Identity)>>,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authenticator({} issuers)", self.sets.len())
    }
}

#[derive(Deserialize)]
struct TokenHeader {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

/// The claims as they may come from any identity provider.
#[derive(Deserialize)]
struct Received {
    aud: Audiences,
    sub: String,
    tenant: String,
    kind: ActorKind,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    role_groups: Vec<String>,
    #[serde(default)]
    on_behalf_of: Option<String>,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    iat: Option<f64>,
    #[serde(default)]
    jti: String,
    #[serde(default)]
    email: serde_json::Value,
    #[serde(default)]
    email_verified: serde_json::Value,
}

/// The path of a file in the issuer's directory, as a source of keys.
fn file(config: &Config, name: &str) -> String {
    config.issuer_dir().join(name).display().to_string()
}

fn refuse(reason: &'static str, message: impl Into<String>) -> Error {
    Error::new(Kind::Unauthenticated, reason, message)
}

fn now() -> f64 {
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
        let mut sets = Vec::new();
        for issuer in &auth.issuers {
            sets.push(KeySet::new(&issuer.issuer, &issuer.jwks, &issuer.kinds)?);
        }
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

    /// Reads the key sets of the configured issuers, and makes nothing: for whoever only looks.
    ///
    /// # Errors
    /// As [`Authenticator::open`].
    pub async fn look(config: &Config) -> Result<()> {
        let issuers = config.auth.issuers.iter();
        let sets = issuers.map(|issuer| KeySet::new(&issuer.issuer, &issuer.jwks, &issuer.kinds));
        Self::with_sets(config, sets.collect::<Result<_>>()?)?.load().await
    }

    fn with_sets(config: &Config, sets: Vec<KeySet>) -> Result<Self> {
        let auth = &config.auth;
        let known = |name: &String| match name.as_str() {
            "EdDSA" => Ok(Algorithm::EdDSA),
            "ES256" => Ok(Algorithm::ES256),
            "RS256" => Ok(Algorithm::RS256),
            other => Err(Error::invalid("CONFIG_INVALID", "auth.algorithms", format!("{other} is not allowed"))),
        };
        let (max_age, patience) = (auth.jwks_max_age.get(), auth.jwks_timeout.get());
        Ok(Self {
            sets: sets.into_iter().map(|set| Arc::new(set.bounded(max_age, patience))).collect(),
            suite: auth.service_issuer.clone(),
            algorithms: auth.algorithms.iter().map(known).collect::<Result<_>>()?,
            audience: auth.audience.clone(),
            security: config.audit.security_tenant.clone(),
            max_lifetime: auth.max_lifetime.get().as_secs(),
            leeway: auth.leeway.get().as_secs(),
            min_interval: auth.jwks_min_interval.get(),
            refresh: auth.jwks_refresh.get(),
            cache: moka::sync::Cache::builder()
                .max_capacity(auth.cache_tokens)
                .time_to_live(auth.cache_ttl.get().max(Duration::from_secs(1)))
                .build(),
        })
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

    /// Verifies the value of an `authorization` header.
    ///
    /// # Errors
    /// `Unauthenticated` with the reason `TOKEN_MISSING`, `TOKEN_MALFORMED`, `TOKEN_ALGORITHM`,
    /// `TOKEN_ISSUER`, `TOKEN_UNKNOWN_KEY`, `TOKEN_SIGNATURE`, `TOKEN_AUDIENCE`, `TOKEN_EXPIRED`,
    /// `TOKEN_NOT_YET_VALID`, `TOKEN_SERVICE_KEY` or `TOKEN_CLAIMS`; `Unavailable` if the issuer's keys have never been
    /// reachable (`JWKS_UNAVAILABLE`), or not for too long (`JWKS_STALE`); `DeadlineExceeded` (`DEADLINE_EXCEEDED`) if the
    /// caller's deadline passes while they are fetched.
    pub async fn verify(&self, header: Option<&str>) -> Result<Arc<(u64, Identity)>> {
        let header = header
            .ok_or_else(|| refuse("TOKEN_MISSING", "the call needs a bearer token in the metadata authorization"))?;
        let token = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(refuse("TOKEN_MALFORMED", "the metadata authorization must be Bearer and a token")),
        };
        if token.len() > MOST_BYTES {
            return Err(refuse("TOKEN_MALFORMED", format!("the token is longer than {MOST_BYTES} bytes")));
        }
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
        let identity = self.verify_new(token).await?;
        let entry = Arc::new((generation, identity));
        self.cache.insert(digest, entry.clone());
        Ok(entry)
    }

    /// When a verified token has expired for us.
    pub(crate) fn ends(&self, identity: &Identity) -> Timestamp {
        Timestamp(0).plus(Duration::from_secs(identity.expires.saturating_add(self.leeway)))
    }

    async fn verify_new(&self, token: &str) -> Result<Identity> {
        let malformed = || refuse("TOKEN_MALFORMED", "the token is not a signed JWT");
        let mut parts = token.split('.');
        let (Some(head), Some(body), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(malformed());
        };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
        let head: TokenHeader = serde_json::from_slice(&decode(head)?).map_err(|_| malformed())?;
        let body: serde_json::Value = serde_json::from_slice(&decode(body)?).map_err(|_| malformed())?;
        if head.crit.is_some() {
            return Err(refuse("TOKEN_MALFORMED", "the token has critical header extensions, of which none is known"));
        }
        let allowed = self.algorithms.iter().find(|algorithm| format!("{algorithm:?}") == head.alg);
        let algorithm = *allowed.ok_or_else(|| refuse("TOKEN_ALGORITHM", "the token's algorithm is not allowed"))?;
        let issuer = body.get("iss").and_then(serde_json::Value::as_str);
        let set = issuer.and_then(|issuer| self.sets.iter().find(|set| set.issuer == issuer));
        let set = set.ok_or_else(|| refuse("TOKEN_ISSUER", "the token's issuer is not trusted"))?;
        let key = self.key(set, head.kid.as_deref()).await?;
        if key.algorithm != algorithm {
            return Err(refuse("TOKEN_ALGORITHM", "the token's algorithm is not that of its key"));
        }
        let mut check = Validation::new(algorithm);
        // Only the signature is checked there; the claims are checked below, each with its reason.
        check.required_spec_claims.clear();
        check.validate_exp = false;
        check.validate_aud = false;
        jsonwebtoken::decode::<serde_json::Value>(token, &key.decoding, &check)
            .map_err(|_| refuse("TOKEN_SIGNATURE", "the token's signature is wrong"))?;
        let speaker = self.speaker(set, &body);
        self.claims(set, &key, body).map_err(|error| match speaker {
            Some(speaker) => error.with_source(speaker),
            None => error,
        })
    }

    /// Who a token with the right signature speaks for, as far as that can be shown if it is refused all the same; none
    /// if it names no tenant that its issuer may speak for.
    fn speaker(&self, set: &KeySet, body: &serde_json::Value) -> Option<Speaker> {
        let text = |claim: &str| body.get(claim).and_then(serde_json::Value::as_str);
        let tenant = Tenant::new(text("tenant")?).ok().filter(|tenant| self.may_name(set, tenant))?;
        let subject = text("sub").and_then(|sub| subject::canonical(sub).ok()).unwrap_or_default().into_owned();
        Some(Speaker { tenant, issuer: set.issuer.clone(), subject })
    }

    /// Whether an issuer may speak for a tenant: the installation's own, in whose log unknown callers stand, belongs to
    /// no identity provider of a tenant.
    fn may_name(&self, set: &KeySet, tenant: &Tenant) -> bool {
        tenant.as_str() != self.security || set.issuer == DEVELOPMENT_ISSUER || set.issuer == self.suite
    }

    async fn key(&self, set: &Arc<KeySet>, kid: Option<&str>) -> Result<Arc<Key>> {
        let kid = kid.ok_or_else(|| refuse("TOKEN_UNKNOWN_KEY", "the token names no key id (kid)"))?;
        let found = set.find_or_read(kid, self.min_interval).await?;
        set.check_age()?;
        found.ok_or_else(|| {
            if set.is_loaded() {
                refuse("TOKEN_UNKNOWN_KEY", "the issuer has no key with the token's key id")
            } else {
                let what = format!("the keys of issuer {} cannot be reached", set.issuer);
                Error::new(Kind::Unavailable, "JWKS_UNAVAILABLE", what)
            }
        })
    }

    /// Which of the suite's services a token speaks for. Nobody else may look like one in the log.
    fn service(&self, set: &KeySet, key: &Key, claims: &Received) -> Result<Option<&'static str>> {
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
            Some(service) if claims.kind == ActorKind::Service => match key.service.as_deref() {
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

    fn claims(&self, set: &KeySet, key: &Key, body: serde_json::Value) -> Result<Identity> {
        let wrong = |what: String| refuse("TOKEN_CLAIMS", what);
        let mut claims: Received =
            serde_json::from_value(body).map_err(|error| wrong(format!("the token's claims: {error}")))?;
        let audience = match &claims.aud {
            Audiences::One(one) => *one == self.audience,
            Audiences::Many(many) => many.contains(&self.audience),
        };
        if !audience {
            return Err(refuse("TOKEN_AUDIENCE", "the token is for another audience"));
        }
        let (now, leeway) = (now(), self.leeway as f64);
        let sane = |time: f64| time.is_finite() && (0.0..=32_503_680_000.0).contains(&time);
        if !sane(claims.exp) || claims.nbf.is_some_and(|t| !sane(t)) || claims.iat.is_some_and(|t| !sane(t)) {
            return Err(wrong("the token's times must be seconds since 1970".to_owned()));
        }
        if claims.exp + leeway <= now {
            return Err(refuse("TOKEN_EXPIRED", "the token has expired"));
        }
        if claims.nbf.or(claims.iat).is_some_and(|from| from > now + leeway) {
            return Err(refuse("TOKEN_NOT_YET_VALID", "the token is not valid yet"));
        }
        let from = claims.iat.or(claims.nbf).unwrap_or(now);
        if claims.exp - from > self.max_lifetime as f64 {
            return Err(wrong(format!("the token lives longer than {} seconds", self.max_lifetime)));
        }
        if !set.kinds.is_empty() && !set.kinds.contains(&claims.kind) {
            return Err(wrong(format!("the issuer may not speak for actors of kind {}", claims.kind.as_str())));
        }
        let text =
            |text: &str, most: usize| (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        // The one place where a caller gets her subject: everything inside knows its canonical form only.
        let canonical = |claim: &str, given: &str| {
            let form = subject::canonical(given).map_err(|rule| wrong(format!("the token's {claim} {rule}")))?;
            Ok::<_, Error>(form.into_owned())
        };
        claims.sub = canonical("sub", &claims.sub)?;
        claims.on_behalf_of =
            claims.on_behalf_of.as_deref().map(|other| canonical("on_behalf_of", other)).transpose()?;
        if claims.kind == ActorKind::Human && claims.on_behalf_of.is_some() {
            return Err(wrong("the token is a person's, who acts for herself: it may not say on_behalf_of".to_owned()));
        }
        for (name, list) in [("roles", &claims.roles), ("role_groups", &claims.role_groups)] {
            if list.len() > 32 || list.iter().any(|item| !text(item, 63)) {
                return Err(wrong(format!("the token's {name} must be at most 32 of 1 to 63 characters")));
            }
        }
        let service = self.service(set, key, &claims)?;
        let mut roles = claims.roles;
        if service.is_none() {
            // A role that anybody's issuer may write into a token would be no proof of anything.
            roles.retain(|role| role != SERVICE_ROLE);
        }
        let email = claims.email.as_str().filter(|email| text(email, 254) && claims.email_verified == true);
        let email = email.map(|email| email.trim().to_lowercase());
        let tenant = Tenant::new(claims.tenant).map_err(|error| wrong(format!("the token's {}", error.message())))?;
        if !self.may_name(set, &tenant) {
            return Err(wrong(format!("the issuer may not speak for the installation's own tenant {tenant}")));
        }
        Ok(Identity {
            tenant,
            actor: Actor {
                subject: claims.sub,
                kind: claims.kind,
                roles,
                role_groups: claims.role_groups,
                on_behalf_of: claims.on_behalf_of,
            },
            service,
            issuer: set.issuer.clone(),
            email,
            token_id: claims.jti,
            issued: claims.iat.unwrap_or_default() as u64,
            expires: claims.exp as u64,
        })
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
