//! Mandates on the wire: signed by the council, verified and used up by the service that acts.
//!
//! The key that signs them is the council's alone. It is not the key of service tokens, so that a leaked service token
//! gains nothing, and no configuration lets another key in beside those of `mandates.jwks`.

use crate::auth::{Key, KeySet, Signer, Token, name_of};
use crate::config::{Config, Mode};
use jsonwebtoken::Algorithm;
use remit_api::wire::Mandated;
use remit_core::mandate::{ISSUER, Mandate, TYP};
use remit_core::strictness::Comparison;
use remit_core::{Error, Result};
use remit_store::{Mutation, mandates};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often a key set behind a file is looked at, and one behind a URL at most.
const LOOK: Duration = Duration::from_secs(5);

/// Signs mandates in the council's process, and verifies them in every process.
pub struct Mandates {
    keys: KeySet,
    signer: Option<Signer>,
    refresh: Duration,
    /// How long a mandate is valid.
    pub lifetime: Duration,
}

impl std::fmt::Debug for Mandates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mandates(signs: {})", self.signer.is_some())
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::denied("MANDATE_INVALID", message)
}

/// Whether the council's key is made where there is none.
fn makes(config: &Config) -> bool {
    config.mandates.key.as_os_str().is_empty() && config.mode == Mode::Development
}

fn key_set(config: &Config) -> Result<KeySet> {
    let set = KeySet::set_by("mandates.jwks", ISSUER, &config.mandate_jwks(), &[])?;
    Ok(set.bounded(config.auth.jwks_max_age.get(), config.auth.jwks_timeout.get()))
}

/// Finds that the key that signs is in a key set that was read: its mandates would count nowhere.
fn check_published(signer: Option<&Signer>, keys: &KeySet) -> Result<()> {
    let Some(signer) = signer.filter(|signer| keys.is_loaded() && council(keys, signer.kid()).is_none()) else {
        return Ok(());
    };
    let what = format!(
        "the key set of mandates.jwks does not have the council's key {}: publish it before the council uses it (remit \
         keys rotate)",
        signer.kid()
    );
    Err(Error::precondition("KEY_UNPUBLISHED", what))
}

impl Mandates {
    /// Opens the keys; `signs` in the process that runs the council, whose key is made if it is not there, but never in
    /// production.
    ///
    /// # Errors
    /// `FailedPrecondition` (`KEY_FILE_…`) for a key that cannot be read or written, or that others can read;
    /// `InvalidArgument` (`CONFIG_INVALID`) for a key set that would come in the clear; `FailedPrecondition`
    /// (`JWKS_INVALID`) for a file that is no key set, or (`KEY_UNPUBLISHED`) for one without the key that signs.
    pub async fn open(config: &Config, signs: bool) -> Result<Arc<Self>> {
        let make = makes(config);
        let (key, jwks) = (config.mandate_key(), config.mandate_jwks());
        let signer = match (signs, make) {
            (false, _) => None,
            (true, true) => {
                Some(Signer::kept(&key, jwks.as_ref(), ISSUER, "mandates", "created the council's key for mandates")?)
            }
            (true, false) => Some(Signer::from_file(&key, ISSUER, "mandates")?),
        };
        let keys = key_set(config)?;
        // The council writes the file when it first starts, which may be later than this.
        if !keys.is_file() || std::path::Path::new(&jwks).exists() {
            match keys.reload().await {
                Err(error) if keys.is_file() => return Err(error),
                Err(error) => tracing::warn!(error = error.message(), "the council's keys will be fetched again"),
                Ok(_) => {}
            }
        }
        check_published(signer.as_ref(), &keys)?;
        let (refresh, lifetime) = (config.auth.jwks_refresh.get(), config.mandates.lifetime.get());
        Ok(Arc::new(Self { keys, signer, refresh, lifetime }))
    }

    /// Tries what [`Mandates::open`] would read, and makes nothing: for whoever only looks. What is made at the first start
    /// need not be there.
    ///
    /// # Errors
    /// As [`Mandates::open`], and `Unavailable` (`JWKS_UNAVAILABLE`) if the key set cannot be read.
    pub async fn look(config: &Config, signs: bool) -> Result<()> {
        let make = makes(config);
        let signer =
            if signs && !make { Some(Signer::from_file(&config.mandate_key(), ISSUER, "mandates")?) } else { None };
        let keys = key_set(config)?;
        if !make || !keys.is_file() || std::path::Path::new(&config.mandate_jwks()).exists() {
            keys.reload().await?;
        }
        check_published(signer.as_ref(), &keys)
    }

    /// Verifies with the key set in the file or behind the URL `jwks`, outside of any suite.
    ///
    /// # Errors
    /// As [`Mandates::open`], and `Unavailable` (`JWKS_UNAVAILABLE`) if the key set cannot be read.
    pub async fn trusting(jwks: &str) -> Result<Self> {
        let keys = KeySet::new(ISSUER, jwks, &[])?;
        keys.reload().await?;
        Ok(Self { keys, signer: None, refresh: Duration::MAX, lifetime: Duration::ZERO })
    }

    /// Keeps the keys up to date until `shutdown`.
    pub async fn keep_fresh(self: Arc<Self>, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            if self.keys.is_due(LOOK, self.refresh)
                && self.keys.may_reload(Duration::ZERO)
                && let Err(error) = self.keys.reload().await
            {
                tracing::warn!(error = error.message(), "the council's keys stay as they were");
            }
        }
    }

    /// Signs a mandate.
    ///
    /// # Errors
    /// `Internal` in a process that does not run the council.
    pub fn sign(&self, mandate: &Mandate) -> Result<String> {
        let signer = self.signer.as_ref().ok_or_else(|| Error::internal("only the council signs mandates"))?;
        signer.sign_as(TYP, mandate)
    }

    /// Verifies the signature of a mandate.
    ///
    /// # Errors
    /// `PermissionDenied` (`MANDATE_INVALID`); `Unavailable` (`JWKS_STALE`) if the council's keys could not be read for too
    /// long.
    pub async fn verify(&self, token: &str) -> Result<Mandate> {
        let read = Token::read(token).map_err(|error| invalid(error.message()))?;
        let Some(kid) = &read.head.kid else { return Err(invalid("the mandate names no key id (kid)")) };
        if read.head.typ.as_deref() != Some(TYP) {
            return Err(invalid(format!("the token is not a mandate: its type must be {TYP}")));
        }
        let key = match council(&self.keys, kid) {
            Some(key) => key,
            None => {
                // A file is read in no time. What lies behind a URL is fetched in the background, and not by whoever
                // happens to show a mandate.
                if self.keys.is_file() && self.keys.may_reload(Duration::from_millis(100)) {
                    let _ = self.keys.reload().await;
                }
                council(&self.keys, kid)
                    .ok_or_else(|| invalid("the mandate is signed by a key that is not the council's"))?
            }
        };
        self.keys.check_age()?;
        let known = matches!(key.algorithm, Algorithm::EdDSA | Algorithm::ES256);
        if !known || name_of(key.algorithm) != read.head.alg {
            return Err(invalid("the mandate's algorithm is not that of its key"));
        }
        if !read.is_signed_by(&key) {
            return Err(invalid("the mandate's signature is wrong"));
        }
        // Times and audience are checked with the rest, by the clock that the service works with.
        let mandate = serde_json::from_value::<Mandate>(read.body)
            .map_err(|_| invalid("the mandate says nothing that a mandate says"))?;
        if mandate.iss != ISSUER {
            return Err(invalid("the mandate is not issued by the council"));
        }
        Ok(mandate)
    }

    /// The mandate that the request shows, used up as [`Mandates::redeem`] does; none if it shows none. One that is shown
    /// must be right, needed or not.
    ///
    /// # Errors
    /// As [`Mandates::redeem`], but for `MANDATE_REQUIRED`.
    pub async fn shown<Q: Mandated>(&self, m: &mut Mutation, kind: &str, request: &Q) -> Result<Option<Mandate>> {
        if request.mandate().is_empty() {
            return Ok(None);
        }
        self.redeem(m, kind, request).await.map(Some)
    }

    /// Verifies that the request shows a mandate for exactly itself, decided as an act of the kind `kind`, and uses it up
    /// in the same transaction.
    ///
    /// # Errors
    /// `PermissionDenied`: `MANDATE_REQUIRED` if none is shown, `MANDATE_USED` if it was used before, `MANDATE_INVALID`,
    /// and what [`Mandate::check`] says.
    pub async fn redeem<Q: Mandated>(&self, m: &mut Mutation, kind: &str, request: &Q) -> Result<Mandate> {
        if request.mandate().is_empty() {
            let method = m.call().method;
            let what = format!("{method} takes effect only by a decision of the council: make a proposal there");
            return Err(Error::denied("MANDATE_REQUIRED", what));
        }
        let mandate = self.verify(request.mandate()).await?;
        if mandate.aud != m.db().service() {
            return Err(Error::denied("MANDATE_ACTION", format!("the mandate is for the service {}", mandate.aud)));
        }
        if mandate.kind != kind {
            let what = format!("the mandate of {} is to {}, this needs {kind}", mandate.sub, mandate.kind);
            return Err(Error::denied("MANDATE_ACTION", what));
        }
        mandate.check(m.tenant(), m.call().method, &request.bare_digest(), m.now())?;
        if !mandates::redeem(m, &mandate).await? {
            return Err(Error::denied("MANDATE_USED", format!("the mandate of {} was used before", mandate.sub)));
        }
        Ok(mandate)
    }
}

/// The council's key with this id; one that names a service signs tokens, and no mandates.
fn council(keys: &KeySet, kid: &str) -> Option<Arc<Key>> {
    keys.find(kid).filter(|key| key.service.is_none())
}

/// Refuses a change of the rule `name` that loosens it without a mandate of the act `kind`, and any change by a program
/// without one: what restricts needs no decision, and is for people all the same.
///
/// # Errors
/// `PermissionDenied`: `MANDATE_REQUIRED`, which says what becomes looser and how to propose it;
/// `ACTOR_KIND_NOT_ALLOWED`.
pub fn allow(m: &Mutation, kind: &str, name: &str, change: &Comparison, mandate: Option<&Mandate>) -> Result<()> {
    if mandate.is_some() {
        return Ok(());
    }
    if change.loosens() {
        let what = change.summary();
        let text = format!(
            "this loosens {name}, or may: {what}; that takes effect only by a decision of the council: propose {kind} with \
             it as it shall be"
        );
        return Err(Error::denied("MANDATE_REQUIRED", text));
    }
    if m.actor().is_human() {
        return Ok(());
    }
    let text = format!("{} is a program: people change {name}, or the council by a decision", m.actor().subject);
    Err(Error::denied("ACTOR_KIND_NOT_ALLOWED", text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::auth::keyfile;
    use remit_core::{Tenant, Timestamp};
    use serde_json::json;

    /// Publish, switch, withdraw: what docs/keys.md says of the council's key.
    #[tokio::test]
    async fn the_councils_key_is_changed_without_an_hour_in_which_a_mandate_counts_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let config = Config::from_toml(&format!("data.dir = {:?}\n", dir.path().display().to_string())).unwrap();
        let council = Mandates::open(&config, true).await.unwrap();
        // A service that acts, in a process that goes on running through all of it.
        let acts = Mandates::open(&config, false).await.unwrap();
        let tenant = Tenant::new("acme").unwrap();
        let mandate = Mandate::sample(&tenant, "promote_model", "p", "sha256:00".to_owned(), Timestamp(0));
        let by_old = council.sign(&mandate).unwrap();
        acts.verify(&by_old).await.unwrap();
        assert!(acts.sign(&mandate).is_err());

        let old = keyfile::jwk(&keyfile::read(&path("council.key")).unwrap().verifying_key(), None);
        let next = keyfile::jwk(&keyfile::make(&path("next.key")).unwrap().verifying_key(), None);
        let publish = |keys: serde_json::Value| {
            remit_store::private::publish(&path("council-jwks.json"), &json!({ "keys": keys }).to_string()).unwrap();
        };
        publish(json!([old, next]));
        std::fs::rename(path("next.key"), path("council.key")).unwrap();
        let council = Mandates::open(&config, true).await.unwrap();
        let by_new = council.sign(&mandate).unwrap();
        acts.verify(&by_new).await.unwrap();
        acts.verify(&by_old).await.unwrap();

        publish(json!([next]));
        acts.keys.reload().await.unwrap();
        acts.verify(&by_new).await.unwrap();
        assert_eq!(acts.verify(&by_old).await.unwrap_err().reason(), "MANDATE_INVALID");
        // Who would sign what nobody accepts does not start.
        let named =
            format!("mandates.key = {:?}\nmandates.jwks = {:?}\n", path("other.key"), path("council-jwks.json"));
        keyfile::make(&path("other.key")).unwrap();
        let early = Config::from_toml(&format!("data.dir = {:?}\n{named}", dir.path())).unwrap();
        assert_eq!(Mandates::open(&early, true).await.unwrap_err().reason(), "KEY_UNPUBLISHED");
        // A look says so too, and makes nothing.
        assert_eq!(Mandates::look(&early, true).await.unwrap_err().reason(), "KEY_UNPUBLISHED");
        Mandates::look(&early, false).await.unwrap();
        let fresh = Config::from_toml(&format!("data.dir = {:?}\n", path("fresh"))).unwrap();
        Mandates::look(&fresh, true).await.unwrap();
        assert!(!path("fresh").exists());
        // A key of another's making counts for nothing, also where it is put into the place of the council's.
        let stranger = Signer::from_key(&ed25519_dalek::SigningKey::from_bytes(&[7; 32]), ISSUER, "mandates").unwrap();
        let forged = stranger.sign_as(TYP, &mandate).unwrap();
        assert_eq!(acts.verify(&forged).await.unwrap_err().reason(), "MANDATE_INVALID");
    }
}
