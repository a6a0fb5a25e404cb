//! A key has one role. Whoever may sign in one, such as an identity provider, must not thereby sign in another, such as
//! that of the council.

use super::keyfile;
use crate::config::{Config, Mode};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// As tolerant as any reader of key sets: a key must not be another by how it is written.
const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The largest key set that is looked at, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// A public key, however it is written.
pub(super) type Public = [u8; 32];

/// The public key that a JWK holds, if it does.
pub(super) fn public(jwk: &Value) -> Option<Public> {
    let kind = jwk.get("kty").and_then(Value::as_str)?;
    let members: &[&str] = match kind {
        "OKP" => &["x"],
        "EC" => &["x", "y"],
        "RSA" => &["n"],
        _ => return None,
    };
    let mut digest = Sha256::new_with_prefix(kind);
    for member in members {
        let text = jwk.get(*member).and_then(Value::as_str)?;
        let bytes = TOLERANT.decode(text).ok()?;
        // Zeros before a number say nothing; a point has its length.
        let from = if kind == "RSA" { bytes.iter().position(|byte| *byte != 0)? } else { 0 };
        digest.update(bytes.get(from..)?);
    }
    Some(digest.finalize().into())
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Services,
    Mandates,
    Issuers,
    Log,
}

/// The keys in files that the configuration names, by what they are for.
#[derive(Default)]
struct Found {
    keys: Vec<(Role, String, Public)>,
    problems: Vec<(String, String)>,
}

impl Found {
    fn of(config: &Config) -> Self {
        let (mut found, auth) = (Self::default(), &config.auth);
        if auth.issuers.is_empty() {
            found.set(Role::Issuers, "auth.issuer_dir", &config.issuer_dir().join("jwks.json"));
        }
        for (at, issuer) in auth.issuers.iter().enumerate().filter(|(_, issuer)| is_file(&issuer.jwks)) {
            found.set(Role::Issuers, &format!("auth.issuers[{at}].jwks"), Path::new(&issuer.jwks));
        }
        if is_file(&auth.service_jwks) {
            found.set(Role::Services, "auth.service_jwks", Path::new(&auth.service_jwks));
        }
        let one = auth.service_key.is_file();
        let own = if auth.service_key.as_os_str().is_empty() {
            config.issuer_dir().join("services")
        } else {
            auth.service_key.clone()
        };
        for service in config.services() {
            let path = if one { own.clone() } else { own.join(format!("{service}.key")) };
            found.private(Role::Services, "auth.service_key", &path);
        }
        let mandates = config.mandate_jwks();
        if is_file(&mandates) {
            found.set(Role::Mandates, "mandates.jwks", Path::new(&mandates));
        }
        found.private(Role::Mandates, "mandates.key", &config.mandate_key());
        let named = &config.audit.signing_key;
        let log = if named.as_os_str().is_empty() { config.data.dir.join("audit-signing.pem") } else { named.clone() };
        found.private(Role::Log, "audit.signing_key", &log);
        found.private(Role::Log, "audit.next_signing_key", &config.audit.next_signing_key);
        found
    }

    /// What cannot be read is told by whoever needs it.
    fn private(&mut self, role: Role, setting: &str, path: &Path) {
        if let Some(key) = path.is_file().then(|| keyfile::read(path).ok()).flatten() {
            self.add(role, setting, &keyfile::jwk(&key.verifying_key(), None));
        }
    }

    fn set(&mut self, role: Role, setting: &str, path: &Path) {
        for path in files(path) {
            let mut text = Vec::new();
            let read = std::fs::File::open(&path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut text));
            let set = read.ok().and_then(|_| serde_json::from_slice::<Value>(&text).ok());
            let keys = set.as_ref().and_then(|set| set.get("keys")).and_then(Value::as_array);
            for key in keys.into_iter().flatten() {
                self.add(role, setting, key);
                if role == Role::Mandates && key.get("service").is_some() {
                    let what =
                        "has a key that names a service, which signs tokens and not mandates: make one for the council";
                    self.problems.push((setting.to_owned(), what.to_owned()));
                }
            }
        }
    }

    fn add(&mut self, role: Role, setting: &str, jwk: &Value) {
        let Some(key) = public(jwk) else { return };
        let other = self.keys.iter().find(|(other, _, same)| *other != role && *same == key);
        if let Some((_, other, _)) = other {
            let what = format!(
                "has a key that {other} has too: whoever signs with it for one would sign for the other, so make a key for \
                 each (remit keys new)"
            );
            self.problems.push((setting.to_owned(), what));
        }
        self.keys.push((role, setting.to_owned(), key));
    }
}

fn is_file(source: &str) -> bool {
    !source.is_empty() && !source.contains("://")
}

/// The file itself, or those of a directory that are key sets. What is no regular file is not waited for.
fn files(path: &Path) -> Vec<PathBuf> {
    let inside = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let sets = inside.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let all = if path.is_dir() { sets.collect() } else { vec![path.to_owned()] };
    all.into_iter().filter(|path| path.is_file()).collect()
}

/// Keys in more than one role and, in production, key sets of more than one issuer, by setting: as far as files tell.
pub(crate) fn problems(config: &Config) -> Vec<(String, String)> {
    let mut problems = Found::of(config).problems;
    if config.mode != Mode::Production {
        return problems;
    }
    let mut places: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for (at, issuer) in config.auth.issuers.iter().enumerate().filter(|(_, issuer)| is_file(&issuer.jwks)) {
        let Ok(place) = Path::new(&issuer.jwks).canonicalize() else { continue };
        if let Some(first) = places.get(&place) {
            let what = format!("is also auth.issuers[{first}].jwks: each of the two could sign for the other");
            problems.push((format!("auth.issuers[{at}].jwks"), what));
        } else {
            places.insert(place, at);
        }
    }
    problems
}

/// The keys of the council and of the audit log, as far as files tell, which sign no tokens.
pub(super) fn no_tokens(config: &Config) -> HashSet<Public> {
    let keys = Found::of(config).keys.into_iter();
    keys.filter(|(role, ..)| matches!(role, Role::Mandates | Role::Log)).map(|(.., key)| key).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_is_the_same_however_it_is_written() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let key = |x: &str| public(&json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": x}));
        assert!(key(x).is_some() && key(x) == key(&format!("{x}=")));
        let rsa = |n: &str| public(&json!({"kty": "RSA", "n": n, "e": "AQAB"}));
        assert_eq!(rsa("AQID"), rsa("AAECAw"));
        assert_ne!(rsa("AQID"), rsa("AQIE"));
        assert_eq!(public(&json!({"kty": "oct", "k": "AQID"})), None);
    }

    #[test]
    fn a_key_in_two_roles_is_named_with_both_settings() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let key = |name: &str| keyfile::make(&path(name)).unwrap().verifying_key();
        let write = |name: &str, keys: Value| std::fs::write(path(name), json!({ "keys": keys }).to_string()).unwrap();
        let (kpi, council, log, idp) = (key("services/kpi.key"), key("council.key"), key("log.pem"), key("idp.key"));
        let [of_kpi, of_council, of_log, of_idp] = [kpi, council, log, idp].map(|key| keyfile::jwk(&key, None));
        let toml = |second: &str| {
            format!(
                "data.dir = {:?}\nserver.only = [\"kpi\"]\n[auth]\nservice_key = {:?}\nservice_jwks = {:?}\n\
                 [mandates]\nkey = {:?}\njwks = {:?}\n[audit]\nsigning_key = {:?}\n\
                 [[auth.issuers]]\nissuer = \"https://a\"\ntenants = [\"*\"]\njwks = {:?}\n{second}",
                path("data"),
                path("services"),
                path("services.json"),
                path("council.key"),
                path("council.json"),
                path("log.pem"),
                path("idp.json"),
            )
        };
        let found = |toml: &str| problems(&Config::from_toml(toml).unwrap());
        let good = || {
            write("services.json", json!([keyfile::jwk(&kpi, Some("kpi"))]));
            write("council.json", json!([of_council]));
            write("idp.json", json!([of_idp]));
        };
        good();
        assert!(found(&toml("")).is_empty(), "{:?}", found(&toml("")));
        for (set, with, settings) in [
            ("idp.json", &of_kpi, ["auth.issuers[0].jwks", "auth.service"]),
            ("idp.json", &of_council, ["auth.issuers[0].jwks", "mandates."]),
            ("idp.json", &of_log, ["auth.issuers[0].jwks", "audit.signing_key"]),
            ("council.json", &of_kpi, ["mandates.jwks", "auth.service"]),
            ("services.json", &of_log, ["auth.service_jwks", "audit.signing_key"]),
        ] {
            write(set, json!([with]));
            let problems = found(&toml(""));
            let told = |(setting, what): &(String, String)| {
                settings.iter().all(|wanted| setting.starts_with(wanted) || what.contains(wanted))
            };
            assert!(problems.iter().any(told), "{set} {settings:?}: {problems:?}");
            good();
        }
        write("council.json", json!([keyfile::jwk(&council, Some("council"))]));
        assert!(found(&toml("")).iter().any(|(setting, _)| setting == "mandates.jwks"));
        good();
        let second = format!(
            "[[auth.issuers]]\nissuer = \"https://b\"\ntenants = [\"*\"]\nsubject_prefix = \"b:\"\njwks = {:?}\n",
            path("idp.json")
        );
        assert!(found(&toml(&second)).is_empty(), "as a test may have it");
        let told = found(&format!("mode = \"production\"\n{}", toml(&second)));
        assert!(
            told.len() == 1 && told[0].0 == "auth.issuers[1].jwks" && told[0].1.contains("auth.issuers[0]"),
            "{told:?}"
        );
    }
}
