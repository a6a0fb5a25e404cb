#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::config::Config;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};
use remit_core::ActorKind;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

fn config(dir: &Path, more: &str) -> Config {
    Config::from_toml(&format!("data.dir = {:?}\n{more}", dir.display().to_string())).unwrap()
}

async fn open(dir: &Path) -> (Arc<Authenticator>, Arc<Signer>) {
    let (auth, signers) = Authenticator::open(&config(dir, "")).await.unwrap();
    (auth, signers.development.unwrap())
}

/// One of the suite's own services, as `signer` would have it.
fn own(signer: &Signer, subject: &str) -> Claims {
    let mut claims = Claims::sample(signer.issuer(), "remit");
    (claims.sub, claims.kind, claims.roles) = (subject.to_owned(), ActorKind::Service, vec!["service".to_owned()]);
    claims
}

async fn reason(auth: &Authenticator, token: &str) -> &'static str {
    match auth.verify(Some(&format!("Bearer {token}"))).await {
        Ok(_) => "ok",
        Err(error) => error.reason(),
    }
}

fn claims(change: impl FnOnce(&mut serde_json::Value)) -> serde_json::Value {
    let mut claims = serde_json::to_value(Claims::sample(DEVELOPMENT_ISSUER, "remit")).unwrap();
    change(&mut claims);
    claims
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[tokio::test]
async fn a_good_token_tells_who_calls() {
    let dir = tempfile::tempdir().unwrap();
    let (auth, signer) = open(dir.path()).await;
    let mut wanted = Claims::sample(DEVELOPMENT_ISSUER, "remit");
    wanted.role_groups = vec!["legal".to_owned()];
    let token = format!("Bearer {}", signer.sign(&wanted).unwrap());
    for _ in 0..2 {
        let found = auth.verify(Some(&token)).await.unwrap();
        assert_eq!(found.1.tenant.as_str(), "acme");
        assert_eq!((found.1.actor.subject.as_str(), found.1.actor.kind), ("alice", ActorKind::Human));
        assert_eq!(found.1.actor.role_groups, ["legal"]);
    }
    let many = signer.sign(&claims(|c| c["aud"] = json!(["other", "remit"]))).unwrap();
    assert_eq!(reason(&auth, &many).await, "ok");
}

#[test]
fn every_token_with_an_id_has_one_that_can_be_revoked() {
    for plain in ["", "t1", "fqiBqXLPj0eQa82S-IYFAA", &"x".repeat(200)] {
        assert_eq!(token_id(plain), plain);
    }
    for odd in ["a b", "a\n", "\u{e9}", "\u{200b}", &"x".repeat(201)] {
        let id = token_id(odd);
        assert!(remit_core::digest::is_digest(&id), "{odd:?}: {id}");
        assert_eq!(token_id(&id), id);
    }
}

#[tokio::test]
async fn every_fault_of_a_token_has_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (auth, signer) = open(dir.path()).await;
    type Fault = Box<dyn FnOnce(&mut serde_json::Value)>;
    let faults: Vec<(&str, Fault)> = vec![
        (
            "TOKEN_EXPIRED",
            Box::new(|c| {
                (c["iat"], c["nbf"], c["exp"]) = (json!(now() - 7200), json!(now() - 7200), json!(now() - 3600))
            }),
        ),
        ("TOKEN_NOT_YET_VALID", Box::new(|c| c["nbf"] = json!(now() + 300))),
        ("TOKEN_NOT_YET_VALID", Box::new(|c| (c["nbf"], c["iat"]) = (json!(null), json!(now() + 300)))),
        ("TOKEN_AUDIENCE", Box::new(|c| c["aud"] = json!("another"))),
        ("TOKEN_AUDIENCE", Box::new(|c| c["aud"] = json!([]))),
        ("TOKEN_ISSUER", Box::new(|c| c["iss"] = json!("https://evil.example"))),
        ("TOKEN_ISSUER", Box::new(|c| c["iss"] = json!(null))),
        ("TOKEN_CLAIMS", Box::new(|c| c["exp"] = json!(now() + 90_000))),
        ("TOKEN_CLAIMS", Box::new(|c| c["exp"] = json!(null))),
        ("TOKEN_CLAIMS", Box::new(|c| c["exp"] = json!("soon"))),
        ("TOKEN_CLAIMS", Box::new(|c| c["exp"] = json!(1e300))),
        ("TOKEN_CLAIMS", Box::new(|c| c["tenant"] = json!("Not A Tenant"))),
        ("TOKEN_CLAIMS", Box::new(|c| c["tenant"] = json!(null))),
        ("TOKEN_CLAIMS", Box::new(|c| c["kind"] = json!("robot"))),
        ("TOKEN_CLAIMS", Box::new(|c| c["sub"] = json!(""))),
        ("TOKEN_CLAIMS", Box::new(|c| c["sub"] = json!("a\nb"))),
        ("TOKEN_CLAIMS", Box::new(|c| c["role_groups"] = json!(Vec::from_iter((0..33).map(|n| n.to_string()))))),
        ("TOKEN_CLAIMS", Box::new(|c| c["on_behalf_of"] = json!("bob"))),
        ("TOKEN_CLAIMS", Box::new(|c| c["sub"] = json!("remit-council"))),
        ("TOKEN_CLAIMS", Box::new(|c| c["sub"] = json!(" Remit-crm"))),
        ("TOKEN_CLAIMS", Box::new(|c| c["sub"] = json!("ｒｅｍｉｔ-crm"))),
        ("TOKEN_CLAIMS", Box::new(|c| c["sub"] = json!("mallory\u{200b}"))),
        ("TOKEN_CLAIMS", Box::new(|c| (c["kind"], c["on_behalf_of"]) = (json!("service"), json!("bob\u{202e}")))),
    ];
    for (wanted, change) in faults {
        let claims = claims(change);
        assert_eq!(reason(&auth, &signer.sign(&claims).unwrap()).await, wanted, "{claims}");
    }
    assert_eq!(auth.verify(None).await.unwrap_err().reason(), "TOKEN_MISSING");
    for text in [
        "",
        "Bearer",
        "Basic YTpi",
        "Bearer x",
        "Bearer a.b",
        "Bearer a.b.c",
        "Bearer a.b.c.d",
        &format!("Bearer {}", "a".repeat(9_000)),
    ] {
        assert_eq!(auth.verify(Some(text)).await.unwrap_err().reason(), "TOKEN_MALFORMED", "{text}");
    }
}

fn forge(header: &serde_json::Value, claims: &serde_json::Value, signature: &[u8]) -> String {
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn a_token_cannot_choose_its_algorithm_or_key() {
    let dir = tempfile::tempdir().unwrap();
    let (auth, signer) = open(dir.path()).await;
    let kid = signer.jwk()["kid"].clone();
    let good = claims(|_| {});
    for alg in ["none", "None", "HS256", "RS512", "ES256", "RS256"] {
        let token = forge(&json!({"alg": alg, "kid": kid}), &good, b"x");
        assert_eq!(reason(&auth, &token).await, "TOKEN_ALGORITHM", "{alg}");
    }
    let unsigned = forge(&json!({"alg": "EdDSA", "kid": kid}), &good, b"");
    assert_eq!(reason(&auth, &unsigned).await, "TOKEN_SIGNATURE");
    assert_eq!(reason(&auth, &forge(&json!({"alg": "EdDSA"}), &good, b"")).await, "TOKEN_UNKNOWN_KEY");
    let critical = forge(&json!({"alg": "EdDSA", "kid": kid, "crit": ["exp"]}), &good, b"");
    assert_eq!(reason(&auth, &critical).await, "TOKEN_MALFORMED");

    let stranger = Signer::from_key(&SigningKey::from_bytes(&[7; 32]), DEVELOPMENT_ISSUER, "remit").unwrap();
    assert_eq!(reason(&auth, &stranger.sign(&good).unwrap()).await, "TOKEN_UNKNOWN_KEY");

    let token = signer.sign(&good).unwrap();
    let mut parts: Vec<&str> = token.split('.').collect();
    let altered = URL_SAFE_NO_PAD.encode(claims(|c| c["roles"] = json!(["admin"])).to_string());
    parts[1] = &altered;
    assert_eq!(reason(&auth, &parts.join(".")).await, "TOKEN_SIGNATURE");
}

#[tokio::test]
async fn keys_rotate_without_a_restart_and_a_removed_key_counts_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    let (old, new) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
    let signer = |key| Signer::from_key(key, "https://idp.example", "remit").unwrap();
    let (old, new) = (signer(&old), signer(&new));
    let publish = |signers: &[&Signer]| {
        let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
        std::fs::write(&file, json!({ "keys": keys }).to_string()).unwrap();
    };
    publish(&[&old]);
    let more = format!(
        "auth.jwks_min_interval = \"0s\"\n[[auth.issuers]]\nissuer = \"https://idp.example\"\ntenants = [\"*\"]\njwks = {:?}\n",
        file.display().to_string()
    );
    let (auth, _) = Authenticator::open(&config(dir.path(), &more)).await.unwrap();
    let sample = Claims::sample("https://idp.example", "remit");
    let (by_old, by_new) = (old.sign(&sample).unwrap(), new.sign(&sample).unwrap());
    assert_eq!(reason(&auth, &by_old).await, "ok");
    assert_eq!(reason(&auth, &by_new).await, "TOKEN_UNKNOWN_KEY");
    publish(&[&old, &new]);
    assert_eq!(reason(&auth, &by_new).await, "ok");
    // The old key is withdrawn; the token was remembered as good, and the rotation must forget that.
    publish(&[&new]);
    let third = Signer::from_key(&SigningKey::from_bytes(&[3; 32]), "https://idp.example", "remit").unwrap();
    assert_eq!(reason(&auth, &third.sign(&sample).unwrap()).await, "TOKEN_UNKNOWN_KEY");
    assert_eq!(reason(&auth, &by_old).await, "TOKEN_UNKNOWN_KEY");
    // A damaged key set leaves the last good one in force.
    std::fs::write(&file, "{").unwrap();
    assert_eq!(reason(&auth, &third.sign(&sample).unwrap()).await, "TOKEN_UNKNOWN_KEY");
    assert_eq!(reason(&auth, &by_new).await, "ok");
}

#[tokio::test]
async fn unknown_keys_do_not_make_the_server_fetch_without_bound() {
    let dir = tempfile::tempdir().unwrap();
    let (auth, _) = Authenticator::open(&config(dir.path(), "auth.jwks_min_interval = \"1h\"")).await.unwrap();
    let stranger = Signer::from_key(&SigningKey::from_bytes(&[7; 32]), DEVELOPMENT_ISSUER, "remit").unwrap();
    let token = stranger.sign(&claims(|_| {})).unwrap();
    assert_eq!(reason(&auth, &token).await, "TOKEN_UNKNOWN_KEY");
    // The set now holds the key, but the interval has not passed.
    let text = json!({ "keys": [stranger.jwk()] }).to_string();
    std::fs::write(dir.path().join("jwks.json"), text).unwrap();
    assert_eq!(reason(&auth, &token).await, "TOKEN_UNKNOWN_KEY");
}

#[tokio::test]
async fn an_issuer_speaks_only_for_its_kinds() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    let signer = Signer::from_key(&SigningKey::from_bytes(&[1; 32]), "https://idp.example", "remit").unwrap();
    std::fs::write(&file, json!({ "keys": [signer.jwk()] }).to_string()).unwrap();
    let more = format!(
        "[[auth.issuers]]\nissuer = \"https://idp.example\"\ntenants = [\"*\"]\njwks = {:?}\nkinds = [\"human\"]\n",
        file.display().to_string()
    );
    let (auth, signers) = Authenticator::open(&config(dir.path(), &more)).await.unwrap();
    assert!(signers.development.is_none(), "beside real issuers there is none for development");
    let mut sample = Claims::sample("https://idp.example", "remit");
    assert_eq!(reason(&auth, &signer.sign(&sample).unwrap()).await, "ok");
    // The installation's own tenant, in whose log unknown callers stand, is none of theirs.
    let installation = Claims { tenant: "remit".to_owned(), ..sample.clone() };
    let error = auth.verify(Some(&format!("Bearer {}", signer.sign(&installation).unwrap()))).await.unwrap_err();
    assert_eq!((error.reason(), speaker(&error)), ("TOKEN_TENANT", None));
    sample.kind = ActorKind::Service;
    assert_eq!(reason(&auth, &signer.sign(&sample).unwrap()).await, "TOKEN_CLAIMS");
}

/// Tenant, issuer and subject of a refused token, as its record tells them.
fn speaker(error: &remit_core::Error) -> Option<(String, String, String)> {
    let speaker = std::error::Error::source(error)?.downcast_ref::<Speaker>()?;
    Some((speaker.tenant.to_string(), speaker.issuer.clone(), speaker.subject.clone()))
}

#[tokio::test]
async fn a_subject_is_canonical_and_of_a_refused_token_only_what_is_signed_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (auth, signer) = open(dir.path()).await;
    let bearer = |claims: &serde_json::Value| format!("Bearer {}", signer.sign(claims).unwrap());
    for given in ["Mallory", "mallory ", "ｍａｌｌｏｒｙ"] {
        let token = bearer(&claims(|c| {
            (c["sub"], c["kind"], c["on_behalf_of"]) = (json!(given), json!("service"), json!(" Bob"));
        }));
        let actor = auth.verify(Some(&token)).await.unwrap().1.actor.clone();
        assert_eq!((actor.subject.as_str(), actor.on_behalf_of.as_deref()), ("mallory", Some("bob")), "{given:?}");
    }
    let said = async |token: String| speaker(&auth.verify(Some(&token)).await.unwrap_err());
    let mallory = |subject: &str| Some(("acme".to_owned(), DEVELOPMENT_ISSUER.to_owned(), subject.to_owned()));
    let expired =
        claims(|c| (c["sub"], c["iat"], c["nbf"], c["exp"]) = (json!("Mallory"), json!(1), json!(1), json!(2)));
    assert_eq!(said(bearer(&expired)).await, mallory("mallory"));
    assert_eq!(said(bearer(&claims(|c| c["aud"] = json!("another")))).await, mallory("alice"));
    assert_eq!(said(bearer(&claims(|c| c["sub"] = json!("mallory\u{200b}")))).await, mallory(""));
    assert_eq!(said(bearer(&claims(|c| c["tenant"] = json!("Not A Tenant")))).await, None);
    let forged = forge(&json!({"alg": "EdDSA", "kid": signer.jwk()["kid"]}), &expired, b"x");
    assert_eq!(said(format!("Bearer {forged}")).await, None);
}

#[tokio::test]
async fn the_suites_own_services_are_known_each_by_its_own_key_and_by_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (auth, signers) = Authenticator::open(&config(dir.path(), "")).await.unwrap();
    let (services, development) = (signers.services, signers.development.unwrap());
    let (council, kpi) = (services.signer("council").unwrap(), services.signer("kpi").unwrap());
    assert!(council.kid() != kpi.kid() && council.kid() != development.kid());
    assert!(services.signer("crm").is_err());
    let found = async |token: String| auth.verify(Some(&format!("Bearer {token}"))).await.unwrap().1.clone();

    let speaks = found(council.sign(&own(council, "remit-council")).unwrap()).await;
    assert_eq!((speaks.service, speaks.actor.subject.as_str()), (Some("council"), "remit-council"));
    assert_eq!(speaks.actor.roles, ["service"]);
    // A leaked key speaks for its own service and for no other.
    for service in remit_core::SERVICES {
        let signer = services.signer(service).unwrap();
        for other in remit_core::SERVICES {
            let token = signer.sign(&own(signer, &format!("remit-{other}"))).unwrap();
            let expected = if service == other { "ok" } else { "TOKEN_SERVICE_KEY" };
            assert_eq!(reason(&auth, &token).await, expected, "{service} for {other}");
        }
    }
    // The suite's issuer speaks for its services, each by name, and for nobody else.
    for subject in ["alice", "council", "remit-", "remit-crm", "remit-council2"] {
        let token = council.sign(&own(council, subject)).unwrap();
        assert_eq!(reason(&auth, &token).await, "TOKEN_CLAIMS", "{subject}");
    }
    for kind in [ActorKind::Human, ActorKind::Ai] {
        let token = council.sign(&Claims { kind, ..own(council, "remit-council") }).unwrap();
        assert_eq!(reason(&auth, &token).await, "TOKEN_CLAIMS", "{kind:?}");
    }
    // Nobody makes herself a token of a service that lasts.
    let mut long = own(council, "remit-council");
    long.exp = long.iat + 1_201;
    assert_eq!(reason(&auth, &council.sign(&long).unwrap()).await, "TOKEN_CLAIMS");
    long.exp = long.iat + 1_200;
    assert_eq!(reason(&auth, &council.sign(&long).unwrap()).await, "ok");
    // A program of another issuer is a program, whatever roles it claims, and cannot be called like a service.
    let program = Claims { roles: vec!["service".into(), "operator".into()], ..own(&development, "crm") };
    let program = found(development.sign(&program).unwrap()).await;
    assert_eq!((program.service, &program.actor.roles), (None, &vec!["operator".to_owned()]));
    let posing = development.sign(&own(&development, "remit-council")).unwrap();
    assert_eq!(reason(&auth, &posing).await, "TOKEN_CLAIMS");
    let by_the_wrong_key = development.sign(&own(council, "remit-council")).unwrap();
    assert_eq!(reason(&auth, &by_the_wrong_key).await, "TOKEN_UNKNOWN_KEY");
}

#[tokio::test]
async fn a_process_has_the_keys_of_its_own_services_alone_and_knows_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let only = |service: &str| format!("server.only = [{service:?}]");
    let (auth, kpi) = Authenticator::open(&config(dir.path(), &only("kpi"))).await.unwrap();
    let files = |dir: &Path| {
        let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(files(&dir.path().join("services")), ["kpi.json", "kpi.key"]);
    // Another process starts later, and is known from then on.
    let (_, council) = Authenticator::open(&config(dir.path(), &only("council"))).await.unwrap();
    let signer = council.services.signer("council").unwrap();
    assert!(kpi.services.signer("council").is_err() && council.services.signer("kpi").is_err());
    assert_eq!(reason(&auth, &signer.sign(&own(signer, "remit-council")).unwrap()).await, "ok");
}

#[tokio::test]
async fn configured_keys_of_the_suite_are_trusted_by_name_and_rotate_where_they_are_published() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, set, idp) = (dir.path().join("keys"), dir.path().join("services.json"), dir.path().join("idp.json"));
    let signer = Signer::from_key(&SigningKey::from_bytes(&[1; 32]), "https://idp.example", "remit").unwrap();
    std::fs::write(&idp, signer.jwks().to_string()).unwrap();
    let issuer = |issuer: &str, jwks: &Path| {
        format!("[[auth.issuers]]\nissuer = {issuer:?}\ntenants = [\"*\"]\njwks = {:?}\n", jwks.display().to_string())
    };
    let service = |service: &'static str, seed: u8| {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let path = keys.join(format!("{service}.key"));
        remit_store::private::create(&path, &keyfile::pem(&key).unwrap()).unwrap();
        Signer::from_key(&key, "remit", "remit").unwrap().speaking_for(service)
    };
    let (audit, kpi) = (service("audit", 2), service("kpi", 3));
    let base = |key: &Path| {
        let key = key.display().to_string();
        format!("auth.development = false\nserver.only = [\"audit\", \"kpi\"]\nauth.service_key = {key:?}\n")
    };
    let idp = issuer("https://idp.example", &idp);

    // The process's own public halves are known without being listed.
    let (auth, signers) = Authenticator::open(&config(dir.path(), &format!("{}{idp}", base(&keys)))).await.unwrap();
    assert!(signers.development.is_none());
    assert_eq!(reason(&auth, &audit.sign(&own(&audit, "remit-audit")).unwrap()).await, "ok");
    let posing = signer.sign(&own(&signer, "remit-audit")).unwrap();
    assert_eq!(reason(&auth, &posing).await, "TOKEN_CLAIMS");

    // A set of all of them, in which one key takes over from another.
    let publish = |keys: &[serde_json::Value]| std::fs::write(&set, json!({ "keys": keys }).to_string()).unwrap();
    let old = Signer::from_key(&SigningKey::from_bytes(&[4; 32]), "remit", "remit").unwrap().speaking_for("audit");
    let nobodys = Signer::from_key(&SigningKey::from_bytes(&[5; 32]), "remit", "remit").unwrap();
    publish(&[audit.jwk(), kpi.jwk(), old.jwk(), nobodys.jwk()]);
    let more = format!(
        "{}auth.service_jwks = {:?}\nauth.jwks_min_interval = \"0s\"\n{idp}",
        base(&keys),
        set.display().to_string()
    );
    let (auth, _) = Authenticator::open(&config(dir.path(), &more)).await.unwrap();
    for signer in [&audit, &old] {
        let token = signer.sign(&own(signer, "remit-audit")).unwrap();
        assert_eq!(auth.verify(Some(&format!("Bearer {token}"))).await.unwrap().1.service, Some("audit"));
    }
    let unnamed = nobodys.sign(&own(&nobodys, "remit-audit")).unwrap();
    assert_eq!(reason(&auth, &unnamed).await, "TOKEN_SERVICE_KEY", "a key that names no service speaks for none");

    // What others would refuse everywhere does not start.
    for keys in
        [vec![audit.jwk()], vec![audit.jwk(), keyfile::jwk(&SigningKey::from_bytes(&[3; 32]).verifying_key(), None)]]
    {
        publish(&keys);
        let error = Authenticator::open(&config(dir.path(), &more)).await.unwrap_err();
        assert_eq!(error.reason(), "KEY_UNPUBLISHED");
        assert!(error.message().contains("the key of kpi"), "{error}");
    }
    for (wrong, field) in [
        (format!("{}{idp}", base(&keys.join("kpi.key"))), "auth.service_key: must be a directory"),
        (format!("auth.development = false\n{idp}"), "auth.service_key"),
        (issuer("remit", &set), "auth.issuers"),
    ] {
        let error = Authenticator::open(&config(dir.path(), &wrong)).await.unwrap_err();
        assert!(error.message().starts_with(field), "{error}");
    }
}

#[tokio::test]
async fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).await;
    for key in ["issuer.key", "services/kpi.key"] {
        let key = dir.path().join(key);
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Authenticator::open(&config(dir.path(), "")).await.unwrap_err();
        assert_eq!(error.reason(), "KEY_FILE_READABLE");
        assert!(error.message().contains("chmod 600"));
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[tokio::test]
async fn a_development_key_signs_for_nobody_beside_an_identity_provider() {
    let dir = tempfile::tempdir().unwrap();
    let (_, development) = open(dir.path()).await;
    let idp = Signer::from_key(&SigningKey::from_bytes(&[1; 32]), "https://idp.example", "remit").unwrap();
    let file = dir.path().join("idp.json");
    std::fs::write(&file, idp.jwks().to_string()).unwrap();
    let more = format!(
        "[[auth.issuers]]\nissuer = \"https://idp.example\"\ntenants = [\"*\"]\njwks = {:?}\n",
        file.display().to_string()
    );
    // `auth.development` is true, and the key of an earlier start lies there still.
    let (auth, signers) = Authenticator::open(&config(dir.path(), &more)).await.unwrap();
    assert!(signers.development.is_none());
    for claims in [own(&development, "crm"), Claims::sample(DEVELOPMENT_ISSUER, "remit")] {
        assert_eq!(reason(&auth, &development.sign(&claims).unwrap()).await, "TOKEN_ISSUER");
    }
    for iss in ["https://idp.example", "remit"] {
        let claims = Claims { iss: iss.to_owned(), ..own(&development, "remit-audit") };
        assert_eq!(reason(&auth, &development.sign(&claims).unwrap()).await, "TOKEN_UNKNOWN_KEY", "{iss}");
    }
}

#[tokio::test]
async fn a_key_set_in_the_clear_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (url, says) in [
        ("http://idp.example/keys", "https"),
        // What stands before the @ is a user, and the host comes after it.
        ("http://127.0.0.1:1@idp.example/keys", "without a user"),
        ("http://localhost@idp.example/keys", "without a user"),
        ("https://user:secret@idp.example/keys", "without a user"),
        ("http://127.0.0.1.idp.example/keys", "https"),
        ("http://localhost.idp.example/keys", "https"),
        ("ftp://127.0.0.1/keys", "https"),
        ("https://", "URL"),
    ] {
        let more = format!("[[auth.issuers]]\nissuer = \"x\"\ntenants = [\"*\"]\njwks = {url:?}\n");
        let error = Authenticator::open(&config(dir.path(), &more)).await.unwrap_err();
        assert!(error.message().contains(says) && !error.message().contains("secret"), "{url}: {error}");
    }
}

#[test]
fn every_method_is_granted_to_some_role_and_people_decide() {
    let config = Config::from_toml("").unwrap();
    let methods = Methods::new(remit_api::pool(), &config.roles).unwrap();
    let actor = |role: &str, kind| remit_core::Actor {
        subject: "x".to_owned(),
        kind,
        roles: vec![role.to_owned()],
        role_groups: Vec::new(),
        on_behalf_of: None,
    };
    let vote = methods.get("/remit.council.v1.ProposalService/Vote").unwrap();
    assert!(vote.authorize(&actor("member", ActorKind::Human)).is_ok());
    assert_eq!(vote.authorize(&actor("admin", ActorKind::Service)).unwrap_err().reason(), "ACTOR_KIND_NOT_ALLOWED");
    assert_eq!(vote.authorize(&actor("viewer", ActorKind::Human)).unwrap_err().reason(), "PERMISSION_MISSING");
    for method in methods.iter() {
        let reader = method.authorize(&actor("viewer", ActorKind::Human)).is_ok();
        assert!(method.read || !reader, "{} changes state and viewers may call it", method.name);
    }
}

/// The contract, with no kinds of actor for the methods of this name.
fn without_kinds(method: &str) -> DescriptorPool {
    fn each(message: &mut Value, field: &str, change: impl FnMut(&mut Value)) {
        let list = message.as_message_mut().unwrap().get_field_by_name_mut(field).unwrap();
        list.as_list_mut().unwrap().iter_mut().for_each(change);
    }
    let pool = remit_api::pool();
    let policy = pool.get_extension_by_name("remit.options.v1.method_policy").unwrap();
    let kind = pool.get_message_by_name("google.protobuf.FileDescriptorSet").unwrap();
    let mut set = Value::Message(DynamicMessage::decode(kind, remit_api::FILE_DESCRIPTOR_SET).unwrap());
    each(&mut set, "file", |file| {
        each(file, "service", |service| {
            each(service, "method", |item| {
                let item = item.as_message_mut().unwrap();
                if item.get_field_by_name("name").unwrap().as_str() == Some(method) {
                    let options = item.get_field_by_name_mut("options").unwrap().as_message_mut().unwrap();
                    options.get_extension_mut(&policy).as_message_mut().unwrap().clear_field_by_name("actor_kinds");
                }
            });
        });
    });
    DescriptorPool::decode(set.as_message().unwrap().encode_to_vec().as_slice()).unwrap()
}

#[test]
fn a_method_that_changes_state_without_saying_for_whom_stops_the_start() {
    let roles = Config::from_toml("").unwrap().roles;
    let error = Methods::new(&without_kinds("RateTask"), &roles).unwrap_err();
    assert_eq!(error.reason(), "METHOD_WITHOUT_POLICY");
    assert!(error.message().contains("TaskService/RateTask"), "{error}");
    // Reads may be for any kind of actor.
    assert!(Methods::new(&without_kinds("GetPersonalData"), &roles).is_ok());
}

#[test]
fn a_malformed_role_pattern_is_refused_by_name() {
    for bad in ["", "scoring..get", "a.b.c.d", "scoring.ta*"] {
        let config = Config::from_toml(&format!("[roles]\nodd = [{bad:?}]")).unwrap();
        let error = Methods::new(remit_api::pool(), &config.roles).unwrap_err();
        assert!(error.message().starts_with("roles.odd"), "{}", error.message());
    }
}
