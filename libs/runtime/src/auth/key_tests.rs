//! Key sets whose servers fail, lie, hang, drip, rotate and withdraw.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::config::Config;
use crate::context::{SCOPE, Scope, Trace};
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use ed25519_dalek::SigningKey;
use futures::StreamExt as _;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// How the server of a key set answers.
#[derive(Clone)]
enum Answer {
    Set(Value),
    Text(StatusCode, &'static str),
    Elsewhere(String),
    Huge,
    /// Half of it, and then the connection is gone.
    Torn,
    /// A byte now and then.
    Drips,
    /// Nothing, until it is let go; then the set.
    Waits(watch::Receiver<bool>, Value),
}

#[derive(Clone)]
struct Server {
    url: String,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start(answer: Answer) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let server = Self { url, answer: Arc::new(Mutex::new(answer)), asked: Arc::default() };
        let this = server.clone();
        let keys = axum::routing::get(move || {
            let this = this.clone();
            async move {
                this.asked.fetch_add(1, Ordering::SeqCst);
                let answer = this.answer.lock().unwrap().clone();
                respond(answer).await
            }
        });
        let router = axum::Router::new().route("/keys", keys);
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn respond(answer: Answer) -> Response {
    match answer {
        Answer::Set(set) => set.to_string().into_response(),
        Answer::Text(status, text) => (status, text).into_response(),
        Answer::Elsewhere(url) => (StatusCode::FOUND, [("location", url)]).into_response(),
        Answer::Huge => format!("{{\"keys\": [], \"more\": {:?}}}", "x".repeat(1 << 20)).into_response(),
        Answer::Torn => {
            let parts = [Ok(Bytes::from("{\"keys\": [")), Err(std::io::Error::other("torn"))];
            Body::from_stream(futures::stream::iter(parts)).into_response()
        }
        Answer::Drips => {
            let parts = futures::stream::iter(std::iter::repeat(" ")).then(|blank| async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok::<_, std::io::Error>(blank)
            });
            Body::from_stream(parts).into_response()
        }
        Answer::Waits(mut go, set) => {
            let _ = go.wait_for(|go| *go).await;
            set.to_string().into_response()
        }
    }
}

const ISSUER: &str = "https://idp.example";

fn signer(seed: u8) -> Signer {
    Signer::from_key(&SigningKey::from_bytes(&[seed; 32]), ISSUER, "remit").unwrap()
}

fn set(seeds: &[u8]) -> Value {
    let keys: Vec<_> = seeds.iter().map(|seed| signer(*seed).jwk()).collect();
    json!({ "keys": keys })
}

fn token(seed: u8) -> String {
    signer(seed).sign(&Claims::sample(ISSUER, "remit")).unwrap()
}

async fn reason(auth: &Authenticator, token: &str) -> &'static str {
    match auth.verify(Some(&format!("Bearer {token}"))).await {
        Ok(_) => "ok",
        Err(error) => error.reason(),
    }
}

fn issuer(name: &str, jwks: &str) -> String {
    let prefix = if name == ISSUER { "" } else { "other:" };
    format!("[[auth.issuers]]\nissuer = {name:?}\ntenants = [\"*\"]\nsubject_prefix = {prefix:?}\njwks = {jwks:?}\n")
}

async fn open(dir: &Path, more: &str) -> remit_core::Result<Arc<Authenticator>> {
    let config = Config::from_toml(&format!("data.dir = {:?}\n{more}", dir.display().to_string())).unwrap();
    Ok(Authenticator::open(&config).await?.0)
}

async fn until(what: &str, auth: &Authenticator, token: &str, wanted: &str) {
    for _ in 0..1_000 {
        if reason(auth, token).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within ten seconds");
}

#[test]
fn a_bad_key_spoils_no_other_and_is_named() {
    let good = signer(1).jwk();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut key = signer(2).jwk();
        change(&mut key);
        key
    };
    let bad = [
        (with(&|key| key["x"] = json!("AAAA")), "it is malformed"),
        (with(&|key| key["x"] = json!("")), "it is malformed"),
        // The neutral element: any signature would be good.
        (with(&|key| key["x"] = json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")), "it is malformed"),
        (with(&|key| key["kty"] = json!("oct")), "none that signs tokens"),
        (with(&|key| key["kty"] = json!(7)), "none that signs tokens"),
        (with(&|key| key["alg"] = json!("HS256")), "no algorithm"),
        (with(&|key| key["crv"] = json!("X25519")), "key"),
        (with(&|key| drop(key.as_object_mut().unwrap().remove("kid"))), "no key id"),
        (with(&|key| key["d"] = json!("AAAA")), "private half"),
        (json!(7), "no key id"),
    ];
    for (key, why) in &bad {
        let mut parsed = jwks::Parsed::default();
        parsed.add(json!({ "keys": [key, good] }).to_string().as_bytes()).unwrap();
        let (keys, skipped) = parsed.finish();
        assert_eq!((keys.len(), skipped.len()), (1, 1), "{key}");
        assert!(keys.contains_key(signer(1).kid()) && skipped[0].contains(why), "{key}: {skipped:?}");
    }
    // A key for something else than signing is no fault; of two with one id neither can be meant.
    let encrypts = with(&|key| key["use"] = json!("enc"));
    let twice = with(&|key| key["kid"] = signer(1).jwk()["kid"].clone());
    for (keys, used, named) in [
        (vec![&good, &encrypts], 1, 0),
        (vec![&good, &twice], 0, 1),
        (vec![&good, &good, &twice], 0, 1),
        (vec![], 0, 0),
    ] {
        let mut parsed = jwks::Parsed::default();
        parsed.add(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        let (keys, skipped) = parsed.finish();
        assert_eq!((keys.len(), skipped.len()), (used, named), "{skipped:?}");
    }
    for none in ["", "{", "[]", "{}", "null", "{\"keys\": {}}", "{\"keys\": null}", "<html>"] {
        assert!(jwks::Parsed::default().add(none.as_bytes()).is_err(), "{none}");
    }
}

#[tokio::test]
async fn a_server_that_lies_changes_nothing_and_whatever_is_a_key_set_replaces_what_was_there() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::start(Answer::Set(set(&[1]))).await);
    let more = format!("auth.jwks_min_interval = \"0s\"\nauth.jwks_timeout = \"1s\"\n{}", issuer(ISSUER, &server.url));
    let auth = open(dir.path(), &more).await.unwrap();
    let (known, unknown) = (token(1), token(9));
    assert_eq!(reason(&auth, &known).await, "ok");
    let elsewhere = Server::start(Answer::Set(set(&[9]))).await;
    for lie in [
        Answer::Text(StatusCode::INTERNAL_SERVER_ERROR, "{\"keys\": []}"),
        Answer::Text(StatusCode::OK, "<html>sign in</html>"),
        Answer::Text(StatusCode::OK, "{\"keys\": [{\"kid\": \"a\", \"kty\""),
        Answer::Text(StatusCode::OK, "{\"error\": \"later\"}"),
        Answer::Elsewhere(elsewhere.url.clone()),
        Answer::Huge,
        Answer::Torn,
        Answer::Drips,
    ] {
        let asked = server.asked();
        server.answers(lie);
        assert_eq!(reason(&auth, &unknown).await, "TOKEN_UNKNOWN_KEY");
        assert!(server.asked() > asked, "it was asked again");
        assert_eq!(reason(&auth, &known).await, "ok");
    }
    assert_eq!(elsewhere.asked(), 0, "nobody is sent elsewhere");

    // A withdrawal takes effect whatever else is in the set, and a new key is there at once.
    let mut spoilt = set(&[2]);
    spoilt["keys"]
        .as_array_mut()
        .unwrap()
        .extend([json!({"kty": "OKP", "kid": "x", "crv": "Ed25519", "x": "!"}), json!({})]);
    server.answers(Answer::Set(spoilt));
    assert_eq!(reason(&auth, &token(2)).await, "ok");
    assert_eq!(reason(&auth, &known).await, "TOKEN_UNKNOWN_KEY", "though it was remembered as good");
    server.answers(Answer::Set(set(&[])));
    assert_eq!(reason(&auth, &unknown).await, "TOKEN_UNKNOWN_KEY");
    assert_eq!(reason(&auth, &token(2)).await, "TOKEN_UNKNOWN_KEY", "all are withdrawn");
}

#[tokio::test]
async fn callers_share_a_fetch_that_holds_up_nobody_else() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::start(Answer::Set(set(&[1]))).await);
    let other = Server::start(Answer::Set(set(&[3]))).await;
    let more = format!("{}{}", issuer(ISSUER, &server.url), issuer("https://other.example", &other.url));
    let auth = open(dir.path(), &format!("auth.jwks_min_interval = \"1h\"\n{more}")).await.unwrap();
    assert_eq!((server.asked(), other.asked()), (1, 1));

    let (go, gone) = watch::channel(false);
    server.answers(Answer::Waits(gone, set(&[1, 2])));
    let published: Vec<_> = (0..12)
        .map(|_| {
            let (auth, token) = (auth.clone(), token(2));
            tokio::spawn(async move { reason(&auth, &token).await })
        })
        .collect();
    // Whoever stops waiting ends nothing for the others.
    let scope =
        Scope { trace: Trace::begin(), deadline: Some(tokio::time::Instant::now() + Duration::from_millis(50)) };
    assert_eq!(SCOPE.scope(scope, reason(&auth, &token(2))).await, "DEADLINE_EXCEEDED");
    assert_eq!(reason(&auth, &token(1)).await, "ok", "a known key does not wait");
    let foreign = Signer::from_key(&SigningKey::from_bytes(&[3; 32]), "https://other.example", "remit").unwrap();
    let foreign = foreign.sign(&Claims::sample("https://other.example", "remit")).unwrap();
    assert_eq!(reason(&auth, &foreign).await, "ok", "nor does another issuer's");
    assert!(published.iter().all(|waiting| !waiting.is_finished()));
    go.send(true).unwrap();
    for waiting in published {
        assert_eq!(waiting.await.unwrap(), "ok");
    }
    assert_eq!(server.asked(), 2, "they shared one fetch");

    // Made-up ids ask no more than the interval lets, and other sets not at all.
    for seed in 20..60 {
        assert_eq!(reason(&auth, &token(seed)).await, "TOKEN_UNKNOWN_KEY");
    }
    assert_eq!((server.asked(), other.asked()), (2, 1));
}

#[tokio::test]
async fn a_silent_key_server_is_trusted_for_so_long_and_others_are_read_meanwhile() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::start(Answer::Set(set(&[1]))).await);
    let other = Server::start(Answer::Set(set(&[3]))).await;
    let more = format!(
        "[auth]\njwks_min_interval = \"20ms\"\njwks_refresh = \"50ms\"\njwks_max_age = \"1s\"\n{}{}",
        issuer(ISSUER, &server.url),
        issuer("https://other.example", &other.url)
    );
    let auth = open(dir.path(), &more).await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let fresh = tokio::spawn(auth.clone().keep_fresh(stop.clone()));
    let known = token(1);
    assert_eq!(reason(&auth, &known).await, "ok");

    let (go, gone) = watch::channel(false);
    server.answers(Answer::Waits(gone, set(&[1])));
    let before = other.asked();
    until("its keys are trusted no more", &auth, &known, "JWKS_STALE").await;
    assert!(other.asked() > before + 1, "the other set was read again while this one hung");
    go.send(true).unwrap();
    until("it answers again", &auth, &known, "ok").await;
    stop.cancel();
    fresh.await.unwrap();
}

#[tokio::test]
async fn a_file_without_usable_keys_keeps_out_its_own_issuer_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("good.json"), set(&[1]).to_string()).unwrap();
    std::fs::write(path("bad.json"), json!({"keys": [{"kty": "OKP", "kid": "x"}]}).to_string()).unwrap();
    std::fs::write(path("none.json"), "{}").unwrap();
    let (good, bad) = (issuer(ISSUER, &path("good.json")), issuer("https://bad.example", &path("bad.json")));
    let auth = open(dir.path(), &format!("{good}{bad}")).await.unwrap();
    assert_eq!(reason(&auth, &token(1)).await, "ok");
    let claims = Claims::sample("https://bad.example", "remit");
    assert_eq!(reason(&auth, &signer(1).sign(&claims).unwrap()).await, "TOKEN_UNKNOWN_KEY");
    let error = open(dir.path(), &bad).await.unwrap_err();
    assert_eq!(error.reason(), "JWKS_INVALID", "as the only issuer it would keep out everybody: {error}");
    for (file, reason) in [("none.json", "JWKS_INVALID"), ("nowhere.json", "JWKS_UNAVAILABLE")] {
        let error = open(dir.path(), &format!("{good}{}", issuer("https://x.example", &path(file)))).await.unwrap_err();
        assert_eq!(error.reason(), reason, "a mistake in the configuration: {error}");
    }
}

#[tokio::test]
async fn a_directory_is_the_keys_of_all_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    let write = |name: &str, text: &str| std::fs::write(keys.join(name), text).unwrap();
    write("a.json", &set(&[1]).to_string());
    write("b.json", &set(&[2]).to_string());
    write("c.txt", &set(&[3]).to_string());
    let set = KeySet::new(ISSUER, &keys.display().to_string(), &[]).unwrap();
    let known = || [1, 2, 3, 4].map(|seed| set.find(signer(seed).kid()).is_some());
    assert!(set.reload().await.unwrap());
    assert_eq!(known(), [true, true, false, false]);
    assert!(!set.reload().await.unwrap(), "nothing has changed");
    // One that is half written says what it said, and the others are read.
    write("a.json", "{\"keys\": [");
    write("b.json", &self::set(&[4]).to_string());
    assert!(set.reload().await.unwrap());
    assert_eq!(known(), [true, false, false, true]);
    std::fs::remove_file(keys.join("a.json")).unwrap();
    assert!(set.reload().await.unwrap());
    assert_eq!((known(), set.version()), ([false, false, false, true], 3));
}
