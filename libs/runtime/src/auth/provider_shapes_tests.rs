//! Tokens as Keycloak, Auth0, Entra ID, Okta and Google issue them by default, signed with keys of tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::{Authenticator, Claims, Identity};
use crate::config::Config;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// Made for these tests and used nowhere else: an RSA key of 2,048 bits (PKCS#1), as providers sign with.
const RSA: &str = concat!(
    "MIIEpQIBAAKCAQEAq4THiBu/Tguue855bMoDrfbxQUkj3ZLHMnNIprdUEInenbnMh5lNabzU99zOXKXwLNeKa7HtiGNeZLYWbllqgHtHQaK91m",
    "7Befy5xZKMkBmRcIs4tZAJzUC//HKwdVxLr+gzpKLHzgPlalLA4xHRSqn9+8LgBvWG9Y4O319/X3cKIPFdS6pUGrlEoUAa2e/DcP2ObUapSrj4",
    "NIaXL4KSN9bhSHYAFthOebVf0/vwdwWj9mZlRjxZBbVRIaCXWT93KWSmvayhO4iIzBLkxSWrHLYrV2j1EO7lC/z3QlWRYrdfEDK/0Oh7icvMTe",
    "bjojUv4Itl1zeYFN3WXz3PiC/6VQIDAQABAoIBAAgbx5wPZcCgjD/ln7dtKHXftAGYXdXyg7DGovNgvNxoTCosN7dcX7zFNNM/8NCP9rYD/ZMA",
    "TyCww+xicFaIqyCGU3TOpwddZo+oCzdEKZmBX+8QYd6xf8kgi8L5QA7YTWq0QUbB/Eyowf6ACYbil4CeXze4+4LQti/jJqBYQSsH32t4aX7V7s",
    "A5RHVKkS/j05kqCu3B9Ol2tWdFjlVp/gMdh5s7mDzqfXHaO1ii7e0sZhw8YJLYSGBb/w4PpXrL8LI0ftKDEaVFymN8mFK03r3V+9LMDOQn13Ko",
    "Fdhlc3WZ68W1vEUFqUJQV7oYwYfHfkJzvGbEGx9w4akIbYeoxdECgYEA7qXmhpHVDKQ3mCkHFyCm1EqfnwSW5T+DrMkan9t+XbB10/P0X0dC4R",
    "4x+pOS6JN9QlJsfhmh6YdlSpm3mmPb6WL9H0AD508oVcKP6CLpC1S8audQbB6dc1Gm3l3PT5n/Aa7mEgVDGptwQ/SiZmIXnic+2XMyJ3do9qv6",
    "OekzFlECgYEAt/1cBd1uRu7/C6wMcFyOJ/pAwpRYCvxjJKCy9HWZIFaVkGWIGJ6bspy2VufvW2ALvEA5tQBJHKsgtTNDMW58XP4EdPYJDoFmPQ",
    "2viebH5ZBEJPjavB388wTiUMqjOtGCW40sid9mT4+OE5SoRZkaZ9DOjcuSwy0vtNgro1R5bsUCgYEAw1VTTM5Mvd4kCw152jpFkvnJkRTmlZnZ",
    "IzIv8qxr0C/BIc1KNjpTyYM3kUv9MRSXsBNa7hP47PZ/uAH9wAcAVxVI7a0uBMRL1XY859q7OSUQW8gdkYG1ilBI7zWFnDgF+9C2TAW2mS6lQ1",
    "oXGworHq4syTt6z8bzSQQW+hOgVyECgYEArB9rfVkfl2ByXPsBUARmQOQOvXmFvBFMtrFXePai3+vgU4uIfG+0/K06r6ae936su9nhooC35Qf6",
    "u0lPrOjNkzlX9gtNgbJwcOFivMGXdB04gtYD20S6pKaHCknn1li1eOxjJEBIOFn18j96BFIsr75Z3bD6hXi6TpaEjHG0gHkCgYEAzOfpKsSNo6",
    "XN7x7O8O5WMs6NW2aQ5aF4SZZ9vHRYuAeHONl+yhzM6cOuCOG4E0kCziy7Ne5tBhYZblbLDdAVp5KuYDyeITyNk9v32HGQvYs+jwsQses/NNaD",
    "/K/NfQUPOADtfWesUUe7BJVOguZlyJEPlXeyjYHFQc+TZ4paUyo=",
);

/// The same on the curve P-384 (PKCS#8).
const P384: &str = concat!(
    "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDC3V1dx5jeJp7UUOVqn2UBhr30fwAhLW8lE6OmcRZEQKi3LObGOLFtsf7HRWZRBoz",
    "qhZANiAARlCj2lmq1JuezUeMEUB1JArvlCszOopYvU2t3jF19jldUVgJnJPutYiLc6P5i2Pt6rs+HgjFmVTE+KwFprRO+078KXlBr0ROVumLal",
    "oZA+OV+47+h1jKBmrCmrUJBFkSQ=",
);

pub(super) fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_der(&STANDARD.decode(RSA).unwrap())
}

pub(super) fn p384() -> EncodingKey {
    EncodingKey::from_ec_der(&STANDARD.decode(P384).unwrap())
}

/// The public half, with `alg` only if `says`, as Entra ID leaves it out.
pub(super) fn jwk(key: &EncodingKey, algorithm: Algorithm, says: bool) -> Value {
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(key, algorithm).unwrap()).unwrap();
    (jwk["kid"], jwk["use"]) = (json!("k1"), json!("sig"));
    if !says {
        jwk.as_object_mut().unwrap().remove("alg");
    }
    jwk
}

pub(super) fn sign_with(key: &EncodingKey, algorithm: Algorithm, typ: Option<&str>, claims: &Value) -> String {
    let mut header = Header::new(algorithm);
    (header.typ, header.kid) = (typ.map(str::to_owned), Some("k1".to_owned()));
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

pub(super) fn sign(claims: &Value) -> String {
    let typ = (claims["iss"] != OKTA).then_some("JWT");
    sign_with(&rsa(), Algorithm::RS256, typ, claims)
}

pub(super) fn config(dir: &Path, tables: &str) -> remit_core::Result<Config> {
    let jwks = dir.join("keys.json");
    std::fs::write(&jwks, json!({"keys": [jwk(&rsa(), Algorithm::RS256, false)]}).to_string()).unwrap();
    let tables = tables.replace("JWKS", &format!("jwks = {:?}", jwks.display().to_string()));
    Config::from_toml(&format!("data.dir = {:?}\n{tables}", dir.display().to_string()))
}

pub(super) async fn open(tables: &str) -> Arc<Authenticator> {
    let dir = tempfile::tempdir().unwrap();
    Authenticator::open(&config(dir.path(), tables).unwrap()).await.unwrap().0
}

/// Whom a token speaks for, or the reason why it is refused; explaining it must say the same.
pub(super) async fn outcome(auth: &Authenticator, token: &str) -> Result<Identity, &'static str> {
    let found = auth.verify(Some(&format!("Bearer {token}"))).await;
    let found = found.map(|found| found.1.clone()).map_err(|error| error.reason());
    let explained = auth.explain(token, false).await;
    assert!(!explained.unsigned);
    let refused = explained.steps.iter().find_map(|step| step.refused);
    assert_eq!(refused, found.as_ref().err().copied(), "{:#?}", explained.steps);
    let signature = token.rsplit('.').next().unwrap();
    assert!(explained.steps.iter().all(|step| signature.is_empty() || !step.text.contains(signature)));
    assert_eq!(explained.outcome.map_err(|error| error.reason()), found);
    found
}

pub(super) fn changed(mut claims: Value, change: impl FnOnce(&mut Value)) -> Value {
    change(&mut claims);
    claims
}

pub(super) fn without(claims: Value, names: &[&str]) -> Value {
    changed(claims, |claims| {
        for name in names {
            claims.as_object_mut().unwrap().remove(*name);
        }
    })
}

pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

pub(super) const KEYCLOAK: &str = "https://id.example/realms/acme";
pub(super) const AUTH0: &str = "https://acme.eu.auth0.com/";
pub(super) const ENTRA: &str = "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0";
pub(super) const OKTA: &str = "https://acme.okta.com/oauth2/default";
pub(super) const GOOGLE: &str = "https://accounts.google.com";

pub(super) const TENANT_ID: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
pub(super) const CLIENT_ID: &str = "6e74172b-be56-4843-9ff4-e66a39bb12e3";
pub(super) const ANN: &str = "5f0f1d2c-6d2b-4c3e-9a53-1f2f3a4b5c6d";
pub(super) const LEGAL: &str = "0f3a1d2c-0000-4c3e-9a53-1f2f3a4b5c6d";

/// The tables as docs/identity.md has them.
pub(super) const KEYCLOAK_TABLE: &str = r#"
[[auth.issuers]]
issuer = "https://id.example/realms/acme"
JWKS
preset = "keycloak"
tenants = ["acme"]
[auth.issuers.groups.values]
"/legal" = { role_groups = ["legal"] }
"#;
pub(super) const AUTH0_TABLE: &str = r#"
[[auth.issuers]]
issuer = "https://acme.eu.auth0.com/"
JWKS
preset = "auth0"
tenants = ["acme"]
audiences = ["https://remit.example/api"]
role_groups.claims = ["https://remit.example/role_groups"]
"#;
pub(super) const ENTRA_TABLE: &str = r#"
[[auth.issuers]]
issuer = "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0"
JWKS
preset = "entra"
tenants = ["acme"]
audiences = ["6e74172b-be56-4843-9ff4-e66a39bb12e3"]
tenant.values = { "72f988bf-86f1-41af-91ab-2d7cd011db47" = "acme" }
[auth.issuers.groups.values]
"0f3a1d2c-0000-4c3e-9a53-1f2f3a4b5c6d" = { roles = ["member"], role_groups = ["legal"] }
"#;
pub(super) const OKTA_TABLE: &str = r#"
[[auth.issuers]]
issuer = "https://acme.okta.com/oauth2/default"
JWKS
preset = "okta"
tenants = ["acme"]
audiences = ["api://default"]
roles.claims = ["scp"]
roles.values = { remit = ["platform"] }
[auth.issuers.groups.values]
remit-legal = { roles = ["operator", "member"], role_groups = ["legal"] }
"#;
pub(super) const GOOGLE_TABLE: &str = r#"
[[auth.issuers]]
issuer = "https://accounts.google.com"
JWKS
preset = "google"
tenants = ["acme"]
audiences = ["407408718192.apps.googleusercontent.com"]
tenant.values = { "acme.example" = "acme" }
"#;

pub(super) fn keycloak() -> Value {
    json!({
        "exp": now() + 300, "iat": now(), "auth_time": now() - 60, "jti": "onrtac:5a2e", "iss": KEYCLOAK,
        "aud": ["remit", "account"], "sub": ANN, "typ": "Bearer", "azp": "console",
        "sid": "b0a1c2d3-1111-4f5a-8f9e-5a6b7c8d9e0f", "acr": "1", "allowed-origins": ["https://console.example"],
        "realm_access": {"roles": ["offline_access", "default-roles-acme", "uma_authorization", "viewer"]},
        "resource_access": {
            "remit": {"roles": ["operator"]},
            "account": {"roles": ["manage-account", "view-profile", "admin"]},
        },
        "scope": "openid email profile", "email_verified": true, "name": "Ann Lee", "preferred_username": "ann",
        "email": "ann@acme.example", "groups": ["/staff", "/legal"],
    })
}

pub(super) fn keycloak_program() -> Value {
    let claims = changed(keycloak(), |c| {
        (c["azp"], c["client_id"], c["clientHost"]) = (json!("crm"), json!("crm"), json!("10.0.0.7"));
        (c["preferred_username"], c["sub"]) = (json!("service-account-crm"), json!("9c2f"));
        c["resource_access"]["remit"]["roles"] = json!(["platform"]);
    });
    without(claims, &["sid", "email", "name", "groups", "auth_time"])
}

pub(super) fn auth0() -> Value {
    json!({
        "iss": AUTH0, "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
        "aud": ["https://remit.example/api", "https://acme.eu.auth0.com/userinfo"], "iat": now(),
        "exp": now() + 86_400, "azp": "my1clientid", "scope": "openid profile", "permissions": ["operator", "read:appointments"],
        "https://remit.example/role_groups": ["legal"],
    })
}

pub(super) fn auth0_program() -> Value {
    json!({
        "iss": AUTH0, "sub": "my2clientid@clients", "aud": "https://remit.example/api", "iat": now(),
        "exp": now() + 86_400, "azp": "my2clientid", "gty": "client-credentials", "scope": "platform",
        "permissions": ["platform"],
    })
}

/// Somebody in 200 groups.
pub(super) fn entra() -> Value {
    let others = (1..200).map(|n| format!("{n:08x}-1111-4c3e-9a53-1f2f3a4b5c6d"));
    let groups: Vec<String> = others.chain([LEGAL.to_owned()]).collect();
    json!({
        "aud": CLIENT_ID, "iss": ENTRA, "iat": now(), "nbf": now(), "exp": now() + 4_500,
        "aio": "AXQAi/8TAAAAFm+E/QTG+gFnVxLjWdw8K+61AGrSOuMMF6ebaMj7XO3IbmD3fGmrOyD+NvZyGn2VaT/kDKXw4MIh",
        "azp": "4f0f1d2c-2222-4c3e-9a53-1f2f3a4b5c6d", "azpacr": "0", "name": "Ann Lee", "oid": ANN,
        "email": "ceo@acme.example", "preferred_username": "ann@acme.example", "rh": "0.AAAAv4j5cvGGr0GRqy180BHbRw",
        "roles": ["operator"], "scp": "access_as_user", "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
        "tid": TENANT_ID, "uti": "fqiBqXLPj0eQa82S-IYFAA", "ver": "2.0", "groups": groups,
    })
}

pub(super) fn entra_program() -> Value {
    let claims = changed(entra(), |c| {
        (c["oid"], c["sub"]) =
            (json!("9c2f1d2c-2222-4c3e-9a53-1f2f3a4b5c6d"), json!("9c2f1d2c-2222-4c3e-9a53-1f2f3a4b5c6d"));
        (c["roles"], c["azpacr"]) = (json!(["platform"]), json!("1"));
    });
    without(claims, &["scp", "name", "preferred_username", "email", "groups"])
}

pub(super) fn okta() -> Value {
    json!({
        "ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "iss": OKTA, "aud": "api://default",
        "iat": now(), "exp": now() + 3_600, "cid": "0oab8om4bars6Y80Z0h7", "uid": "00ub41z7mgzNqryMv696",
        "scp": ["openid", "profile"], "auth_time": now() - 60, "sub": "ann@acme.example",
        "groups": ["Everyone", "remit-legal"],
    })
}

pub(super) fn okta_program() -> Value {
    let claims = changed(okta(), |c| {
        (c["sub"], c["cid"], c["scp"]) = (json!("0oacrm"), json!("0oacrm"), json!(["remit"]));
    });
    without(claims, &["uid", "auth_time", "groups"])
}

pub(super) fn google() -> Value {
    json!({
        "iss": GOOGLE, "azp": "407408718192.apps.googleusercontent.com",
        "aud": "407408718192.apps.googleusercontent.com", "sub": "103547991597142817347", "hd": "acme.example",
        "email": "ann@acme.example", "email_verified": true, "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q", "name": "Ann Lee",
        "iat": now(), "exp": now() + 3_600,
    })
}

/// One that has the organisation's domain all the same, which Google does not give.
pub(super) fn google_program() -> Value {
    changed(google(), |c| c["email"] = json!("crm@p.iam.gserviceaccount.com"))
}

pub(super) fn all() -> String {
    [KEYCLOAK_TABLE, AUTH0_TABLE, ENTRA_TABLE, OKTA_TABLE, GOOGLE_TABLE]
        .iter()
        .enumerate()
        .map(|(at, table)| table.replace("JWKS", &format!("JWKS\nsubject_prefix = \"{at}:\"")))
        .collect()
}

/// An issuer whose tokens have the claims of Remit's own.
pub(super) fn plain(issuer: &str, tenants: &str, more: &str) -> String {
    format!("[[auth.issuers]]\nissuer = {issuer:?}\nJWKS\ntenants = {tenants}\n{more}\n")
}

pub(super) fn claims(issuer: &str, change: impl FnOnce(&mut Value)) -> Value {
    changed(serde_json::to_value(Claims { jti: "1".into(), ..Claims::sample(issuer, "remit") }).unwrap(), change)
}

pub(super) fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}
