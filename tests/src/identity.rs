//! Identity providers, from their tokens to what a service answers, and to what `remit auth explain` says of them.

use crate::support::{Process, reason};
use ed25519_dalek::SigningKey;
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::{EngageHoldRequest, Hold, ListHoldsRequest, Scope};
use remit_api::notify::v1::settings_service_client::SettingsServiceClient;
use remit_api::notify::v1::{NotificationSettings, UpdateNotificationSettingsRequest};
use remit_runtime::Config;
use remit_runtime::auth::Signer;
use serde_json::{Value, json};
use std::path::Path;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

const KEYCLOAK: &str = "https://id.example/realms/acme";
const AUTH0: &str = "https://globex.eu.auth0.com/";
const GOOGLE: &str = "https://accounts.google.com";

const TABLES: &str = r#"
[[auth.issuers]]
issuer = "https://id.example/realms/acme"
jwks = "JWKS"
preset = "keycloak"
tenants = ["acme"]
[[auth.issuers]]
issuer = "https://globex.eu.auth0.com/"
jwks = "JWKS"
preset = "auth0"
tenants = ["globex"]
audiences = ["https://remit.example/api"]
[[auth.issuers]]
issuer = "https://accounts.google.com"
jwks = "JWKS"
preset = "google"
tenants = ["acme"]
subject_prefix = "google:"
audiences = ["client"]
tenant.values = { "acme.example" = "acme" }
"#;

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn with(mut claims: Value, more: &Value) -> Value {
    let more = more.as_object().expect("claims are an object");
    claims.as_object_mut().expect("claims are an object").extend(more.clone());
    claims
}

fn keycloak(roles: &[&str], more: &Value) -> Value {
    let claims = json!({
        "iss": KEYCLOAK, "aud": ["remit", "account"], "iat": now(), "exp": now() + 300, "typ": "Bearer", "sub": "5f0f",
        "azp": "console", "realm_access": {"roles": ["offline_access"]}, "resource_access": {"remit": {"roles": roles}},
    });
    with(claims, more)
}

fn auth0(roles: &[&str], more: &Value) -> Value {
    let claims = json!({
        "iss": AUTH0, "aud": "https://remit.example/api", "iat": now(), "exp": now() + 300, "azp": "client",
        "sub": "auth0|5f7c", "permissions": roles,
    });
    with(claims, more)
}

fn google(more: &Value) -> Value {
    let claims = json!({
        "iss": GOOGLE, "aud": "client", "iat": now(), "exp": now() + 300, "sub": "1035", "hd": "acme.example",
        "email": "ann@acme.example", "email_verified": true,
    });
    with(claims, more)
}

/// The answer to a hold that the bearer engages, in words.
async fn engage(channel: &Channel, token: &str, id: &str) -> String {
    let hold = Hold {
        scope: Some(Scope { target: Some(Target::Organisation(true)) }),
        reason: "complaints".into(),
        ..Default::default()
    };
    let request = EngageHoldRequest { hold_id: id.into(), hold: Some(hold), request_id: id.into() };
    word(HoldServiceClient::new(channel.clone()).engage_hold(bearing(&[token], request)).await.map(|_| ()))
}

/// The holds that the bearer sees, or why she sees none.
async fn list(channel: &Channel, tokens: &[&str]) -> String {
    let request = bearing(tokens, ListHoldsRequest::default());
    let answer = HoldServiceClient::new(channel.clone()).list_holds(request).await;
    match answer {
        Ok(answer) => answer.into_inner().holds.into_iter().map(|hold| hold.name).collect::<Vec<_>>().join(" "),
        Err(status) => reason(&status),
    }
}

fn word(answer: Result<(), Status>) -> String {
    answer.map_or_else(|status| reason(&status), |()| "ok".to_owned())
}

fn bearing<T>(tokens: &[&str], message: T) -> Request<T> {
    let mut request = Request::new(message);
    for token in tokens {
        let value = format!("Bearer {token}").parse().expect("a token is a header value");
        request.metadata_mut().append("authorization", value);
    }
    request
}

fn explain(dir: &Path, config: &Path, token: &str) -> (i32, String) {
    let config = config.to_str().expect("a temporary path is text");
    let mut process = Process::start(dir, "explain", &["auth", "explain", "--config", config, token]);
    let code = process.wait();
    (code, process.printed())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_providers_open_what_their_tables_say_and_are_explained_alike() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let signer = Signer::from_key(&SigningKey::from_bytes(&[21; 32]), "any", "any").expect("a signer");
    let jwks = dir.path().join("keys.json");
    std::fs::write(&jwks, signer.jwks().to_string()).expect("a key set can be written");
    let toml = format!(
        "[data]\ndir = {:?}\n[server]\nlisten = \"127.0.0.1:0\"\n[telemetry]\nlog = \"warn\"\n[notify.smtp]\nhost = \"localhost\"\nport = 1\n\
         tls = \"none\"\nfrom = \"remit@corp.example\"\n{}",
        dir.path().join("data").display().to_string(),
        TABLES.replace("JWKS", &jwks.display().to_string())
    );
    let file = dir.path().join("remit.toml");
    std::fs::write(&file, &toml).expect("a configuration can be written");
    let config = Config::from_toml(&toml).expect("a valid configuration");
    let running = remit_runtime::Suite::start(config, remit::services()).await.expect("the suite starts");
    let url = format!("http://{}", running.addr().expect("the suite listens"));
    let channel = Endpoint::from_shared(url).expect("a valid URL").connect().await.expect("the suite answers");
    let sign = |claims: &Value| signer.sign(claims).expect("claims can be signed");

    let session = json!({"sid": "s1"});
    let ann = sign(&keycloak(&["operator"], &session));
    assert_eq!(engage(&channel, &ann, "h1").await, "ok");
    for (what, wanted, claims) in [
        ("an AI", "ACTOR_KIND_NOT_ALLOWED", keycloak(&["operator"], &json!({"sid": "s1", "kind": "ai"}))),
        ("a program", "ACTOR_KIND_NOT_ALLOWED", keycloak(&["operator"], &json!({"client_id": "crm"}))),
        ("a viewer", "PERMISSION_MISSING", keycloak(&["viewer"], &session)),
        ("the suite's own role", "PERMISSION_MISSING", keycloak(&["service"], &session)),
        ("another's tenant", "TOKEN_TENANT", keycloak(&["operator"], &json!({"sid": "s1", "tenant": "globex"}))),
        ("an ID token", "TOKEN_TYPE", keycloak(&["operator"], &json!({"sid": "s1", "typ": "ID"}))),
        ("a program of Auth0", "ACTOR_KIND_NOT_ALLOWED", auth0(&["admin"], &json!({"sub": "crm@clients"}))),
        ("somebody without a role", "PERMISSION_MISSING", google(&json!({}))),
        ("somebody of another domain", "TOKEN_TENANT", google(&json!({"hd": "evil.example"}))),
    ] {
        assert_eq!(engage(&channel, &sign(&claims), "h2").await, wanted, "{what}");
    }
    assert_eq!(list(&channel, &[&ann]).await, "holds/h1");
    // An address that her provider has verified needs no code; another does, and so does one that nobody has verified.
    let claims = |verified: bool| json!({"sid": "s1", "email": "Ann@acme.example", "email_verified": verified});
    let [verified, claimed] = [true, false].map(|it| sign(&keycloak(&["operator"], &claims(it))));
    for (token, email, confirmed) in [
        (&verified, "eve@acme.example", false),
        (&claimed, "ann@acme.example", false),
        (&verified, "ann@acme.example", true),
    ] {
        let name = "notificationSettings/me".to_owned();
        let settings = NotificationSettings { name, email: email.to_owned(), ..Default::default() };
        let request = UpdateNotificationSettingsRequest {
            notification_settings: Some(settings),
            update_mask: Some(prost_types::FieldMask { paths: vec!["email".to_owned()] }),
            ..Default::default()
        };
        let mut client = SettingsServiceClient::new(channel.clone());
        let set = client.update_notification_settings(bearing(&[token], request)).await.expect("it is set");
        assert_eq!(set.into_inner().email_confirmed, confirmed, "{email}");
    }
    let bob = sign(&auth0(&["viewer"], &json!({})));
    assert_eq!(list(&channel, &[&bob]).await, "", "another tenant");
    assert_eq!(list(&channel, &[&ann, &bob]).await, "TOKEN_MALFORMED", "two tokens");
    let groups: Vec<String> = (0..250).map(|n| format!("/a group with a name of some length/{n}")).collect();
    let large = sign(&keycloak(&["viewer"], &json!({"sid": "s1", "groups": groups})));
    assert!(large.len() > 14_000, "{}", large.len());
    assert_eq!(list(&channel, &[&large]).await, "holds/h1");

    let (code, printed) = explain(dir.path(), &file, &ann);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("accepted: human 5f0f of the tenant acme"), "{printed}");
    assert!(printed.contains("offline_access (not among [roles])") && printed.contains("holds.engage"), "{printed}");
    let foreign = sign(&keycloak(&["operator"], &json!({"sid": "s1", "tenant": "globex"})));
    let (code, printed) = explain(dir.path(), &file, &foreign);
    assert_eq!(code, 4, "{printed}");
    assert!(printed.contains("refused: TOKEN_TENANT") && printed.contains("tenant.values"), "{printed}");
    assert!(foreign.split('.').all(|part| !printed.contains(part)), "the token stays out of it: {printed}");
    running.stop().await.expect("the suite stops");
}
