//! What is said of a token: to its bearer by a refusal, to an operator by an explanation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::provider_shapes_tests::*;
use super::*;
use serde_json::{Value, json};

#[tokio::test]
async fn a_refusal_repeats_the_token_and_only_an_explanation_says_what_was_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &plain("https://a", "[\"acme\"]", "")).unwrap();
    let auth = Authenticator::to_explain(&config, false).await.unwrap();
    let long = "x".repeat(5_000);
    let cases: [(&str, Value, &str, &str, &str); 7] = [
        ("aud", json!("mallory\u{1b}[2J\u{202e}"), "TOKEN_AUDIENCE", "its aud is \"mallory\\u{1b}[2J", "wanted: remit"),
        ("aud", json!(["a", "b", "c", "d", "e", "f"]), "TOKEN_AUDIENCE", "\"c\", 3 more", "wanted: remit"),
        ("aud", json!([]), "TOKEN_AUDIENCE", "an empty list", "wanted: remit"),
        ("aud", json!(long), "TOKEN_AUDIENCE", "xxx\"…", "wanted: remit"),
        ("aud", json!(null), "TOKEN_CLAIMS", "the token has no aud", "wanted: remit"),
        ("iss", json!("https://evil"), "TOKEN_ISSUER", "its iss is \"https://evil\"", "configured: https://a"),
        ("kind", json!(null), "TOKEN_CLAIMS", "it has no kind, no rule of kind.rules fits", "kind.default"),
    ];
    for (name, value, reason, says, explains) in cases {
        let token = sign(&claims("https://a", |c| c[name] = value));
        let error = auth.verify(Some(&format!("Bearer {token}"))).await.unwrap_err();
        let message = error.message();
        assert_eq!(error.reason(), reason);
        assert!(message.contains(says), "{says}: {message}");
        assert!(!message.contains("wanted") && !message.contains("configured"), "{message}");
        assert!(message.len() < 300 && !message.contains(['\u{1b}', '\u{202e}']), "{message:?}");
        let explained = auth.explain(&token, false).await;
        let step = explained.steps.iter().find(|step| step.refused.is_some()).unwrap();
        assert!(step.text.contains(says) && step.text.contains(explains), "{explains}: {}", step.text);
    }
}

#[tokio::test]
async fn one_step_is_one_line_and_nothing_is_proved_without_a_right_signature() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &plain("https://a", "[\"acme\"]", "")).unwrap();
    let auth = Authenticator::to_explain(&config, false).await.unwrap();
    let good = sign(&claims("https://a", |_| {}));
    assert!(auth.explain(&good, false).await.steps.iter().all(|step| step.proved));
    let old = sign(&claims("https://a", |c| {
        (c["iat"], c["nbf"], c["exp"]) = (json!(now() - 900), json!(now() - 900), json!(now() - 600));
    }));
    let posing = sign(&claims("https://a", |c| c["sub"] = json!("remit-council")));
    for (token, name, found) in [(&old, "times", "over since"), (&posing, "subject", "(from sub)")] {
        let steps = auth.explain(token, false).await.steps;
        let [step] = steps.iter().filter(|step| step.name == name).collect::<Vec<_>>()[..] else {
            panic!("{name} once: {steps:#?}");
        };
        assert!(step.refused.is_some() && step.text.contains(found), "{}", step.text);
    }
    let forged = format!("{}.{}", good.rsplit_once('.').unwrap().0, old.rsplit_once('.').unwrap().1);
    let explained = auth.explain(&forged, false).await;
    assert_eq!(explained.outcome.unwrap_err().reason(), "TOKEN_SIGNATURE");
    let proved: Vec<_> = explained.steps.iter().filter(|step| step.proved).map(|step| step.name).collect();
    assert_eq!(proved, ["header", "issuer", "key"]);
}

#[tokio::test]
async fn an_explanation_goes_on_where_a_call_would_end_and_never_passes_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let tables = plain("https://a", "[\"acme\"]", "");
    let config = config(dir.path(), &tables).unwrap();
    let auth = Authenticator::to_explain(&config, false).await.unwrap();
    assert!(!dir.path().join("services.key").exists(), "explaining makes nothing");
    let old = sign(&claims("https://a", |c| {
        (c["iat"], c["nbf"], c["exp"]) = (json!(now() - 900), json!(now() - 900), json!(now() - 600));
        c["aud"] = json!("another");
    }));
    let explained = auth.explain(&old, false).await;
    assert_eq!(explained.outcome.unwrap_err().reason(), "TOKEN_EXPIRED");
    let refused: Vec<_> = explained.steps.iter().filter_map(|step| step.refused).collect();
    assert_eq!(refused, ["TOKEN_EXPIRED", "TOKEN_AUDIENCE"]);
    let roles = explained.steps.iter().find(|step| step.name == "roles").unwrap();
    assert!(roles.text.starts_with("viewer"), "{}", roles.text);

    // Without keys only an explanation that was asked for it goes on, and says what it is worth.
    std::fs::remove_file(dir.path().join("keys.json")).unwrap();
    let auth = Authenticator::to_explain(&config, true).await.unwrap();
    let good = sign(&claims("https://a", |_| {}));
    let explained = auth.explain(&good, true).await;
    assert!(explained.unsigned && explained.outcome.is_ok());
    let proved: Vec<_> = explained.steps.iter().filter(|step| step.proved).map(|step| step.name).collect();
    assert_eq!(proved, ["header", "issuer"]);
    assert_eq!(auth.explain(&good, false).await.outcome.unwrap_err().reason(), "JWKS_UNAVAILABLE");
    assert_eq!(auth.verify(Some(&format!("Bearer {good}"))).await.unwrap_err().reason(), "JWKS_UNAVAILABLE");
}
