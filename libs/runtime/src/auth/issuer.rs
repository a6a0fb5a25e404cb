//! Signing tokens: those of a development issuer, and those with which the suite's services call each other. Each has
//! a key of its own, so that whoever may mint tokens for people and programs cannot speak for a service.

use crate::config::Config;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use remit_core::{Actor, ActorKind, Error, Kind, Result, Tenant};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The `iss` of the development issuer.
pub const DEVELOPMENT_ISSUER: &str = "remit-development";

/// Where a development key and its key set are kept, in the issuer's directory.
const DEVELOPMENT_FILES: [&str; 2] = ["issuer.key", "jwks.json"];

/// The same for the key of the suite's own services, where none is configured.
pub(super) const SERVICES_FILES: [&str; 2] = ["services.key", "services-jwks.json"];

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
    public: [u8; 32],
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
    /// `FailedPrecondition` (`ISSUER_KEY_FAILED`) naming the file that cannot be written or read.
    pub fn development(config: &Config) -> Result<Self> {
        Self::kept_beside(
            config,
            DEVELOPMENT_FILES,
            DEVELOPMENT_ISSUER,
            "created an issuer for development: whoever reads this key can sign in as anybody; \
             in production set auth.issuers to the identity provider of the organisation",
        )
    }

    /// Signs for the suite's own services, as `auth.service_issuer`: with `auth.service_key`, or in development with
    /// a key that is created beside the development issuer's; `services-jwks.json` beside it is written to match.
    ///
    /// # Errors
    /// `InvalidArgument` (`CONFIG_INVALID`) if there is no key and none may be made; `FailedPrecondition`
    /// (`ISSUER_KEY_FAILED`) naming the file that cannot be written or read.
    pub fn services(config: &Config) -> Result<Self> {
        let auth = &config.auth;
        if !auth.service_key.as_os_str().is_empty() {
            return Self::from_file(&auth.service_key, &auth.service_issuer, &auth.audience);
        }
        if !auth.development {
            let what = "must name the key that signs service tokens, as auth.development is false";
            return Err(Error::invalid("CONFIG_INVALID", "auth.service_key", what));
        }
        Self::kept_beside(
            config,
            SERVICES_FILES,
            &auth.service_issuer,
            "created a key for the suite's own services: whoever reads it can speak for every service; \
             in production set auth.service_key",
        )
    }

    /// Signs as `issuer` with a key kept in the issuer's directory.
    fn kept_beside(config: &Config, files: [&str; 2], issuer: &str, created: &str) -> Result<Self> {
        let [key, jwks] = files.map(|file| config.issuer_dir().join(file));
        Self::kept(&key, &jwks, issuer, &config.auth.audience, created)
    }

    /// Signs as `issuer` with the key in the file `key`, which is created if it is not there; the log then says what was
    /// `created`. The key set `jwks` is written to match.
    ///
    /// # Errors
    /// `FailedPrecondition` (`ISSUER_KEY_FAILED`) naming the file that cannot be written or read.
    pub fn kept(key: &Path, jwks: &Path, issuer: &str, audience: &str, created: &str) -> Result<Self> {
        for dir in [key, jwks].into_iter().filter_map(Path::parent) {
            create_dir(dir)?;
        }
        if !key.exists() {
            let seed: [u8; 32] = rand::random();
            let pem = SigningKey::from_bytes(&seed)
                .to_pkcs8_pem(LineEnding::LF)
                .map_err(|error| Error::internal("a signing key could not be encoded").with_source(error))?;
            create_once(key, pem.as_bytes(), 0o600)?;
            tracing::warn!(key = %key.display(), "{created}");
        }
        let signer = Self::from_file(key, issuer, audience)?;
        let text = signer.jwks().to_string();
        if fs::read_to_string(jwks).ok().as_deref() != Some(&text) {
            replace(jwks, text.as_bytes())?;
        }
        Ok(signer)
    }

    /// Signs as `issuer` with the key in a PKCS#8 PEM file.
    ///
    /// # Errors
    /// `FailedPrecondition` (`ISSUER_KEY_FAILED`) if the file cannot be read, can be read by others
    /// than its owner, or holds no Ed25519 key.
    pub fn from_file(path: &Path, issuer: &str, audience: &str) -> Result<Self> {
        check_mode(path)?;
        let text = fs::read_to_string(path).map_err(|error| failed("read", path, &error))?;
        let signing = SigningKey::from_pkcs8_pem(&text).map_err(|_| {
            Error::precondition("ISSUER_KEY_FAILED", format!("{} holds no Ed25519 key in PKCS#8 PEM", path.display()))
        })?;
        Self::from_key(&signing, issuer, audience)
    }

    /// Signs as `issuer` with `signing`.
    ///
    /// # Errors
    /// `Internal` if the key cannot be encoded.
    pub fn from_key(signing: &SigningKey, issuer: &str, audience: &str) -> Result<Self> {
        let der = signing
            .to_pkcs8_der()
            .map_err(|error| Error::internal("the signing key could not be encoded").with_source(error))?;
        let public = signing.verifying_key().to_bytes();
        let x = URL_SAFE_NO_PAD.encode(public);
        // RFC 7638 with RFC 8037, appendix A.3: the required members in lexicographic order.
        let thumbprint = Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
        Ok(Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            kid: URL_SAFE_NO_PAD.encode(thumbprint),
            public,
            key: EncodingKey::from_ed_der(der.as_bytes()),
        })
    }

    /// The public key as a JWK.
    pub fn jwk(&self) -> serde_json::Value {
        serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
            "kid": self.kid, "x": URL_SAFE_NO_PAD.encode(self.public),
        })
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

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::precondition("ISSUER_KEY_FAILED", format!("cannot {what} {}: {error}", path.display()))
}

fn create_dir(dir: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|error| failed("create", dir, &error))
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension(format!("new-{:016x}", rand::random::<u64>()))
}

/// Creates `path` with its whole content or leaves the one that another process created meanwhile.
fn create_once(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let new = beside(path);
    write_new(&new, bytes, mode).map_err(|error| failed("write", &new, &error))?;
    let linked = fs::hard_link(&new, path);
    let _ = fs::remove_file(&new);
    match linked {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed("create", path, &error)),
    }
}

/// Replaces `path` in one step: readers see the old content or the new one.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = beside(path);
    write_new(&new, bytes, 0o644).map_err(|error| failed("write", &new, &error))?;
    fs::rename(&new, path).map_err(|error| failed("replace", path, &error))
}

#[cfg(unix)]
fn check_mode(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let meta = fs::metadata(path).map_err(|error| failed("read", path, &error))?;
    if meta.permissions().mode() & 0o077 != 0 {
        let what = format!("{} can be read by others than its owner: chmod 600 it", path.display());
        return Err(Error::new(Kind::FailedPrecondition, "ISSUER_KEY_FAILED", what));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &Path) -> Result<()> {
    Ok(())
}
