//! The keys by which the suite's own services know each other: one a service, so that whoever has one service's key speaks
//! for that service and for no other.

use super::issuer::Signer;
use super::keyfile;
use super::keys::KeySet;
use crate::config::Config;
use remit_core::{Actor, ActorKind, Error, Result, Tenant};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where keys made for development are kept, in the issuer's directory: `<service>.key`, and its public half in
/// `<service>.json`.
const FOLDER: &str = "services";

/// The private keys of the services that run in this process.
#[derive(Debug, Default)]
pub struct Keyring(BTreeMap<&'static str, Arc<Signer>>);

impl Keyring {
    /// Reads the key of each of `services`: from `auth.service_key`, or in development from the issuer's directory, where
    /// it is made if it is not there and its public half is put beside it.
    ///
    /// # Errors
    /// `InvalidArgument` (`CONFIG_INVALID`) if there is no key and none may be made, or one file for several services;
    /// `FailedPrecondition` as [`keyfile::read_or_make`].
    pub fn open(config: &Config, services: &[&'static str]) -> Result<Self> {
        let auth = &config.auth;
        let invalid = |what: &str| Err(Error::invalid("CONFIG_INVALID", "auth.service_key", what));
        let named = !auth.service_key.as_os_str().is_empty();
        if !named && !auth.development {
            return invalid("must name the keys that sign service tokens, as auth.development is false");
        }
        let one = named && !auth.service_key.is_dir();
        if one && services.len() > 1 {
            return invalid("must be a directory with a key <service>.key for each service of the process");
        }
        let folder = if named { auth.service_key.clone() } else { config.issuer_dir().join(FOLDER) };
        let mut keys = BTreeMap::new();
        for service in services.iter().copied() {
            let path = if one { auth.service_key.clone() } else { folder.join(format!("{service}.key")) };
            let signer = if named {
                Signer::from_key(&keyfile::read(&path)?, &auth.service_issuer, &auth.audience)?.speaking_for(service)
            } else {
                let made = "created a key for one of the suite's own services: whoever reads it can speak for that \
                            service; in production set auth.service_key";
                let key = keyfile::read_or_make(&path, made)?;
                let signer = Signer::from_key(&key, &auth.service_issuer, &auth.audience)?.speaking_for(service);
                signer.published_in(&folder.join(format!("{service}.json")))?;
                signer
            };
            keys.insert(service, Arc::new(signer));
        }
        Ok(Self(keys))
    }

    /// The signer of a service.
    ///
    /// # Errors
    /// `Internal` if the service does not run in this process, which then has no key of it.
    pub fn signer(&self, service: &str) -> Result<&Arc<Signer>> {
        self.0.get(service).ok_or_else(|| Error::internal(format!("this process has no key of {service}")))
    }

    /// Signs a token of a service for `tenant` that lives for `lifetime` from now.
    ///
    /// # Errors
    /// As [`Keyring::signer`]; `Internal` if signing fails.
    pub fn token(&self, tenant: &Tenant, service: &str, lifetime: Duration) -> Result<String> {
        self.signer(service)?.token(tenant, &Actor::service(service), lifetime)
    }

    /// The public halves as a JWK set that says which service each speaks for.
    pub fn jwks(&self) -> serde_json::Value {
        let keys: Vec<_> = self.0.values().map(|signer| signer.jwk()).collect();
        serde_json::json!({ "keys": keys })
    }

    /// The key set that tokens of the suite's services are verified with: `auth.service_jwks`; else what lies beside the
    /// keys made for development, or the public halves of what this process has itself.
    pub(super) fn trusted(&self, config: &Config) -> Result<KeySet> {
        let (auth, kinds) = (&config.auth, [ActorKind::Service]);
        if !auth.service_jwks.is_empty() {
            let set = KeySet::set_by("auth.service_jwks", &auth.service_issuer, &auth.service_jwks, &kinds)?;
            return Ok(set.of_services());
        }
        if auth.service_key.as_os_str().is_empty() {
            let folder: PathBuf = config.issuer_dir().join(FOLDER);
            return Ok(KeySet::new(&auth.service_issuer, &folder.display().to_string(), &kinds)?.of_services());
        }
        KeySet::fixed(&auth.service_issuer, &self.jwks(), &kinds)
    }

    /// Finds that the keys of this process are in a key set that was read: tokens by others would be refused everywhere.
    pub(super) fn check_published(&self, set: &KeySet) -> Result<()> {
        for (service, signer) in &self.0 {
            let public = set.find(signer.kid());
            if set.is_loaded() && public.is_none_or(|key| key.service.as_deref() != Some(*service)) {
                let what = format!(
                    "the key set of auth.service_jwks does not have the key of {service} with its name: publish it before \
                     the service uses it (remit keys rotate)"
                );
                return Err(Error::precondition("KEY_UNPUBLISHED", what));
            }
        }
        Ok(())
    }
}
