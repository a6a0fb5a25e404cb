//! Signing tokens: those of a development issuer, and those with which the suite's services call each other. Each has
//! a key of its own, so that whoever may mint tokens for people and programs cannot speak for a service.

use super::keyfile;
use crate::config::Config;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use ed25519_dalek::{SigningKey, VerifyingKey};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use remit_core::{Actor, ActorKind, Error, Result, Tenant};
use remit_store::private;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The `iss` of the development issuer.
pub const DEVELOPMENT_ISSUER: &str = "remit-development";

/// Where a development key and its key set are kept, in the issuer's directory.
const DEVELOPMENT_FILES: [&str; 2] = ["issuer.key", "jwks.json"];

/// The claims of a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// The issuer.
    pub iss: String,
    /// The audience.
    pub aud: String,
    /// The subject, stable within the tenant; 1 to 200 characters.
    pub sub: String,
    /// The tenant.
    pub tenant: String,
    /// The kind of actor: `human`, `ai` or `service`.
    pub kind: ActorKind,
    /// Roles, which grant permissions.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Role groups, which count in a quorum.
    #[serde(default)]
    pub role_groups: Vec<String>,
    /// On whose behalf a program or an AI acts; a person acts for herself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Issued at, in seconds since 1970.
    pub iat: u64,
    /// Not valid before, in seconds since 1970.
    pub nbf: u64,
    /// Expires at, in seconds since 1970.
    pub exp: u64,
    /// Unique among the issuer's tokens.
    pub jti: String,
}

/// Signs tokens with an Ed25519 key.
pub struct Signer {
    issuer: String,
    audience: String,
    kid: String,
    public: VerifyingKey,
    service: Option<&'static str>,
    key: EncodingKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({}, {})", self.issuer, self.kid)
    }
}

impl Signer {
    /// Signs as the development issuer, whose key is created in the configured directory if it is not
    /// there; `jwks.json` beside it is written to match.
    ///
    /// # Errors
    /// As [`Signer::kept`].
    pub fn development(config: &Config) -> Result<Self> {
        let [key, jwks] = DEVELOPMENT_FILES.map(|file| config.issuer_dir().join(file));
        let created = "created an issuer for development: whoever reads this key can sign in as anybody; \
                       in production set auth.issuers to the identity provider of the organisation";
        Self::kept(&key, &jwks, DEVELOPMENT_ISSUER, &config.auth.audience, created)
    }

    /// Signs as `issuer` with the key in the file `key`, which is created if it is not there; the log then says what was
    /// `created`. The key set `jwks` is written to match.
    ///
    /// # Errors
    /// As [`keyfile::read_or_make`] and [`Signer::published_in`].
    pub fn kept(key: &Path, jwks: &Path, issuer: &str, audience: &str, created: &str) -> Result<Self> {
        let signer = Self::from_key(&keyfile::read_or_make(key, created)?, issuer, audience)?;
        signer.published_in(jwks)?;
        Ok(signer)
    }

    /// Signs as `issuer` with the key in a PKCS#8 PEM file.
    ///
    /// # Errors
    /// As [`keyfile::read`].
    pub fn from_file(path: &Path, issuer: &str, audience: &str) -> Result<Self> {
        Self::from_key(&keyfile::read(path)?, issuer, audience)
    }

    /// Signs as `issuer` with `signing`.
    ///
    /// # Errors
    /// `Internal` if the key cannot be encoded.
    pub fn from_key(signing: &SigningKey, issuer: &str, audience: &str) -> Result<Self> {
        let der = signing
            .to_pkcs8_der()
            .map_err(|error| Error::internal("the signing key could not be encoded").with_source(error))?;
        let public = signing.verifying_key();
        Ok(Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            kid: keyfile::kid(&public),
            public,
            service: None,
            key: EncodingKey::from_ed_der(der.as_bytes()),
        })
    }

    /// The same as the key of one of the suite's own services.
    #[must_use]
    pub fn speaking_for(self, service: &'static str) -> Self {
        Self { service: Some(service), ..self }
    }

    /// Writes the key set `jwks` with this key alone, unless it holds the key already: beside it then stands the one that
    /// came before or comes after it.
    ///
    /// # Errors
    /// `FailedPrecondition` (`KEY_FILE_FAILED`) if it cannot be written.
    pub fn published_in(&self, jwks: &Path) -> Result<()> {
        let set = std::fs::read(jwks).ok().and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
        let own = self.jwk();
        let keys = set.as_ref().and_then(|set| set.get("keys")).and_then(serde_json::Value::as_array);
        if keys.is_some_and(|keys| keys.contains(&own)) {
            return Ok(());
        }
        private::publish(jwks, &self.jwks().to_string())
    }

    /// The public key as a JWK, with the service that it speaks for, if it does.
    pub fn jwk(&self) -> serde_json::Value {
        keyfile::jwk(&self.public, self.service)
    }

    /// The id of the key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// A key set with this one public key.
    pub fn jwks(&self) -> serde_json::Value {
        serde_json::json!({ "keys": [self.jwk()] })
    }

    /// The `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs a token for `actor` in `tenant` that lives for `lifetime` from now.
    ///
    /// # Errors
    /// `Internal` if signing fails.
    pub fn token(&self, tenant: &Tenant, actor: &Actor, lifetime: Duration) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.sign(&Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: actor.subject.clone(),
            tenant: tenant.as_str().to_owned(),
            kind: actor.kind,
            roles: actor.roles.clone(),
            role_groups: actor.role_groups.clone(),
            on_behalf_of: actor.on_behalf_of.clone(),
            iat: now,
            nbf: now,
            exp: now.saturating_add(lifetime.as_secs()),
            jti: hex::encode(rand::random::<[u8; 16]>()),
        })
    }

    /// Signs any claims, for tests of what is refused.
    ///
    /// # Errors
    /// `Internal` if signing fails.
    pub fn sign<C: Serialize>(&self, claims: &C) -> Result<String> {
        self.sign_as("JWT", claims)
    }

    /// Signs claims as a token of the type `typ` (RFC 8725, section 3.11).
    ///
    /// # Errors
    /// `Internal` if signing fails.
    pub fn sign_as<C: Serialize>(&self, typ: &str, claims: &C) -> Result<String> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(typ.to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.key)
            .map_err(|error| Error::internal("the token could not be signed").with_source(error))
    }
}
