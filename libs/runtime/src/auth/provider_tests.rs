//! What tokens of well-known providers become, and what no token becomes, whatever its issuer signs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::provider_shapes_tests::*;
use super::*;
use crate::config::Config;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use remit_core::ActorKind;
use serde_json::{Value, json};

#[tokio::test]
async fn tokens_of_every_provider_become_who_they_speak_for() {
    use ActorKind::{Ai, Human, Service};
    let auth = open(&all()).await;
    let with = |claims: Value, name: &str, value: Value| changed(claims, |claims| claims[name] = value);
    // What a token says; subject, kind, roles, role groups, verified e-mail.
    type Who<'a> = (&'a str, ActorKind, &'a [&'a str], &'a [&'a str], Option<&'a str>);
    let ann = format!("0:{ANN}");
    let ann_of_entra = format!("2:{ANN}");
    let mail = Some("ann@acme.example");
    let cases: Vec<(&str, Value, Who<'_>)> = vec![
        ("a person of Keycloak", keycloak(), (&ann, Human, &["viewer", "operator"], &["legal"], mail)),
        ("a program", keycloak_program(), ("0:9c2f", Service, &["viewer", "platform"], &[], None)),
        ("an AI", with(keycloak_program(), "kind", json!("ai")), ("0:9c2f", Ai, &["viewer", "platform"], &[], None)),
        ("nobody's session", without(keycloak(), &["sid"]), (&ann, Service, &["viewer", "operator"], &["legal"], mail)),
        (
            "a person called a program",
            with(keycloak(), "kind", json!("ai")),
            (&ann, Ai, &["viewer", "operator"], &["legal"], mail),
        ),
        (
            "a program called a person",
            with(keycloak_program(), "kind", json!("human")),
            ("0:9c2f", Service, &["viewer", "platform"], &[], None),
        ),
        (
            "a program by a name with capitals",
            with(keycloak(), "preferred_username", json!("Service-Account-CRM")),
            (&ann, Service, &["viewer", "operator"], &["legal"], mail),
        ),
        (
            "an address not verified",
            with(keycloak(), "email_verified", json!("true")),
            (&ann, Human, &["viewer", "operator"], &["legal"], None),
        ),
        ("a person of Auth0", auth0(), ("1:auth0|5f7c8ec7c33c6c004bbafe82", Human, &["operator"], &["legal"], None)),
        ("a program", auth0_program(), ("1:my2clientid@clients", Service, &["platform"], &[], None)),
        (
            "one without gty",
            without(auth0_program(), &["gty"]),
            ("1:my2clientid@clients", Service, &["platform"], &[], None),
        ),
        (
            "one whose sub says nothing",
            with(without(auth0(), &["https://remit.example/role_groups"]), "sub", json!("somebody")),
            ("1:somebody", Service, &["operator"], &[], None),
        ),
        (
            "one with a bar in its client id",
            with(without(auth0_program(), &["gty"]), "sub", json!("a|b@clients")),
            ("1:a|b@clients", Service, &["platform"], &[], None),
        ),
        ("a person of Entra ID", entra(), (&ann_of_entra, Human, &["operator", "member"], &["legal"], None)),
        (
            "a verified domain",
            with(entra(), "xms_edov", json!(true)),
            (&ann_of_entra, Human, &["operator", "member"], &["legal"], Some("ceo@acme.example")),
        ),
        (
            "too many groups",
            with(without(entra(), &["groups"]), "hasgroups", json!(true)),
            (&ann_of_entra, Human, &["operator"], &[], None),
        ),
        ("a program", entra_program(), ("2:9c2f1d2c-2222-4c3e-9a53-1f2f3a4b5c6d", Service, &["platform"], &[], None)),
        (
            "one that says so",
            with(entra_program(), "idtyp", json!("app")),
            ("2:9c2f1d2c-2222-4c3e-9a53-1f2f3a4b5c6d", Service, &["platform"], &[], None),
        ),
        ("a person of Okta", okta(), ("3:00ub41z7mgznqrymv696", Human, &["operator", "member"], &["legal"], None)),
        ("a program", okta_program(), ("3:0oacrm", Service, &["platform"], &[], None)),
        ("a person of Google", google(), ("4:103547991597142817347", Human, &[], &[], mail)),
        (
            "a program",
            google_program(),
            ("4:103547991597142817347", Service, &[], &[], Some("crm@p.iam.gserviceaccount.com")),
        ),
    ];
    for (what, claims, (subject, kind, roles, groups, email)) in cases {
        let found = outcome(&auth, &sign(&claims)).await.unwrap_or_else(|reason| panic!("{what}: {reason}"));
        let issuer = claims["iss"].as_str().unwrap();
        let actor = found.actor;
        assert_eq!((found.tenant.as_str(), found.issuer.as_str()), ("acme", issuer), "{what} of {issuer}");
        assert_eq!((actor.subject.as_str(), actor.kind), (subject, kind), "{what} of {issuer}");
        assert_eq!(
            (actor.roles.as_slice(), actor.role_groups.as_slice()),
            (owned(roles).as_slice(), owned(groups).as_slice()),
            "{what} of {issuer}"
        );
        assert_eq!(found.email.as_deref(), email, "{what} of {issuer}");
        assert_eq!((found.service, actor.on_behalf_of.as_ref()), (None, None), "{what} of {issuer}");
    }
    let found = outcome(&auth, &sign(&entra())).await.unwrap();
    assert_eq!(found.token_id, "fqiBqXLPj0eQa82S-IYFAA");
}

#[tokio::test]
async fn nobody_is_a_person_by_a_slip() {
    let auth = open(&all()).await;
    for make in [keycloak, auth0, entra, okta, google] {
        for slip in [json!("AI"), json!("bot"), json!(""), json!(["ai"]), json!({"ai": true}), json!(1), json!(false)] {
            let claims = changed(make(), |claims| claims["kind"] = slip.clone());
            assert_eq!(outcome(&auth, &sign(&claims)).await.unwrap_err(), "TOKEN_CLAIMS", "{slip} {}", claims["iss"]);
        }
    }
    for empty in [json!(""), json!(" "), json!(false), json!({}), json!([]), json!(["s"]), json!(null)] {
        let found = outcome(&auth, &sign(&changed(keycloak(), |claims| claims["sid"] = empty.clone()))).await.unwrap();
        assert_eq!(found.actor.kind, ActorKind::Service, "{empty}");
    }
}

#[tokio::test]
async fn an_address_is_nobody_elses_by_unicode() {
    let table = "subject.claims = [\"email\"]";
    let auth = open(&plain("https://a", "[\"acme\"]", table)).await;
    let who = async |address: &str| {
        let claims = claims("https://a", |c| (c["email"], c["email_verified"]) = (json!(address), json!(true)));
        outcome(&auth, &sign(&claims)).await.map(|found| found.actor.subject.clone())
    };
    assert_eq!(who("Kim@Acme.example").await, Ok("kim@acme.example".to_owned()));
    assert_eq!(who("\u{212a}im@acme.example").await, Err("TOKEN_CLAIMS"));
}

#[tokio::test]
async fn the_matrix_of_provider_role_kind_and_issuer_has_no_way_up() {
    use ActorKind::{Ai, Human, Service};
    type Make = fn() -> Value;
    type Give = fn(&mut Value, &str);
    let auth = open(&all()).await;
    // A person and a program of each; where a role is put; whether it stands for itself, or only through a table.
    let providers: [(&str, Make, Make, Give, bool); 5] = [
        (KEYCLOAK, keycloak, keycloak_program, |c, role| c["resource_access"]["remit"]["roles"] = json!([role]), true),
        (AUTH0, auth0, auth0_program, |c, role| c["permissions"] = json!([role]), true),
        (ENTRA, entra, entra_program, |c, role| c["roles"] = json!([role]), true),
        (OKTA, okta, okta_program, |c, role| c["scp"] = json!([role]), false),
        (GOOGLE, google, google_program, |c, role| c["roles"] = json!([role]), false),
    ];
    for (issuer, person, program, give, itself) in providers {
        for role in ["admin", "auditor", "service", "boss"] {
            let given = |make: Make| changed(make(), |claims| give(claims, role));
            let called = |kind: &str| changed(given(program), |claims| claims["kind"] = json!(kind));
            let ai = if issuer == GOOGLE { Service } else { Ai };
            for (kind, claims) in
                [(Human, given(person)), (Service, given(program)), (Service, called("human")), (ai, called("ai"))]
            {
                let found = outcome(&auth, &sign(&claims)).await.unwrap();
                assert_eq!(found.actor.kind, kind, "{issuer} {role}");
                let has = found.actor.roles.iter().any(|has| has == role);
                assert_eq!(has, itself && matches!(role, "admin" | "auditor"), "{issuer} {role} {kind:?}");
            }
        }
        for (other, ..) in providers.iter().filter(|(other, ..)| *other != issuer) {
            for make in [person, program] {
                let claims = changed(make(), |claims| claims["iss"] = json!(other));
                assert!(outcome(&auth, &sign(&claims)).await.is_err(), "{issuer} as {other}");
            }
        }
    }
}

#[tokio::test]
async fn what_a_provider_signs_for_another_purpose_is_refused() {
    let auth = open(&all()).await;
    let with = |claims: Value, name: &str, value: Value| changed(claims, |claims| claims[name] = value);
    let (keycloak, auth0, entra, okta, google) = (keycloak(), auth0(), entra(), okta(), google());
    for (what, wanted, claims) in [
        ("an ID token", "TOKEN_TYPE", with(keycloak.clone(), "typ", json!("ID"))),
        ("a refresh token", "TOKEN_TYPE", with(keycloak.clone(), "typ", json!("Refresh"))),
        ("one bound to a key", "TOKEN_TYPE", with(keycloak.clone(), "typ", json!("DPoP"))),
        (
            "one without a type and with a nonce",
            "TOKEN_TYPE",
            with(without(keycloak.clone(), &["typ"]), "nonce", json!("n")),
        ),
        ("an ID token", "TOKEN_TYPE", without(auth0.clone(), &["azp", "scope", "permissions"])),
        ("an ID token", "TOKEN_TYPE", without(entra.clone(), &["azp", "azpacr", "scp"])),
        ("an ID token", "TOKEN_TYPE", without(okta.clone(), &["cid", "uid", "scp"])),
        (
            "a logout token",
            "TOKEN_TYPE",
            with(okta.clone(), "events", json!({"http://schemas.openid.net/event/backchannel-logout": {}})),
        ),
        ("an outsider", "TOKEN_CLAIMS", without(google.clone(), &["hd"])),
        ("another organisation", "TOKEN_TENANT", with(google.clone(), "hd", json!("globex.example"))),
        (
            "another directory",
            "TOKEN_TENANT",
            with(entra.clone(), "tid", json!("00000000-0000-0000-0000-000000000000")),
        ),
        ("no directory", "TOKEN_CLAIMS", without(entra.clone(), &["tid"])),
        ("another tenant", "TOKEN_TENANT", with(keycloak.clone(), "tenant", json!("globex"))),
        ("another audience", "TOKEN_AUDIENCE", with(auth0.clone(), "aud", json!("remit"))),
        ("another's audience", "TOKEN_AUDIENCE", with(keycloak.clone(), "aud", json!(CLIENT_ID))),
        ("somebody acting for a person", "TOKEN_CLAIMS", with(keycloak.clone(), "act", json!({"sub": "agent"}))),
        ("no subject", "TOKEN_CLAIMS", without(entra, &["oid"])),
        ("a list as subject", "TOKEN_CLAIMS", with(okta, "uid", json!(["a"]))),
        ("roles that are none", "TOKEN_CLAIMS", with(keycloak, "realm_access", json!({"roles": {"admin": true}}))),
        ("another issuer", "TOKEN_ISSUER", with(google, "iss", json!("accounts.google.com"))),
    ] {
        assert_eq!(outcome(&auth, &sign(&claims)).await.unwrap_err(), wanted, "{what} of {}", claims["iss"]);
    }
}

#[tokio::test]
async fn no_issuer_speaks_for_what_is_anothers_or_the_suites() {
    let tables = plain("https://a", "[\"acme\", \"beta\"]", "")
        + &plain(
            "https://b",
            "[\"acme\"]",
            "subject_prefix = \"b:\"\nkinds = [\"human\"]\ngrants.roles = [\"viewer\"]\ngrants.role_groups = [\"data\"]",
        )
        + &plain("https://c", "[\"gamma\"]", "audiences = [\"c1\", \"c2\"]");
    let auth = open(&tables).await;
    let refused = async |issuer: &str, change: fn(&mut Value)| {
        outcome(&auth, &sign(&claims(issuer, change))).await.err().unwrap_or("ok")
    };
    assert_eq!(refused("https://a", |_| {}).await, "ok");
    assert_eq!(refused("https://a", |c| c["tenant"] = json!("gamma")).await, "TOKEN_TENANT");
    assert_eq!(refused("https://a", |c| c["tenant"] = json!(null)).await, "TOKEN_CLAIMS");
    assert_eq!(refused("https://b", |c| c["tenant"] = json!("beta")).await, "TOKEN_TENANT");
    assert_eq!(refused("https://b", |c| c["tenant"] = json!(null)).await, "ok");
    assert_eq!(refused("https://b", |c| c["kind"] = json!("ai")).await, "TOKEN_CLAIMS");
    assert_eq!(refused("https://c", |c| (c["tenant"], c["aud"]) = (json!("gamma"), json!("c2"))).await, "ok");
    assert_eq!(refused("https://c", |c| c["tenant"] = json!("gamma")).await, "TOKEN_AUDIENCE");

    // A subject belongs to one issuer, whatever the token says.
    let alice =
        async |issuer: &str| outcome(&auth, &sign(&claims(issuer, |_| {}))).await.unwrap().actor.subject.clone();
    assert_eq!((alice("https://a").await, alice("https://b").await), ("alice".to_owned(), "b:alice".to_owned()));
    for posing in ["b:alice", "B:alice", " b:alice"] {
        let claims = claims("https://a", |c| c["sub"] = json!(posing));
        assert_eq!(outcome(&auth, &sign(&claims)).await.unwrap_err(), "TOKEN_CLAIMS", "{posing}");
    }
    let behalf =
        |other: &str| claims("https://a", |c| (c["kind"], c["on_behalf_of"]) = (json!("service"), json!(other)));
    assert_eq!(outcome(&auth, &sign(&behalf("b:alice"))).await.unwrap_err(), "TOKEN_CLAIMS");
    assert_eq!(outcome(&auth, &sign(&behalf("remit-council"))).await.unwrap_err(), "TOKEN_CLAIMS");
    assert_eq!(outcome(&auth, &sign(&behalf("bob"))).await.unwrap().actor.on_behalf_of.as_deref(), Some("bob"));

    // What it may not grant is left out; forty roles that mean nothing here do no harm.
    let many: Vec<String> =
        (0..40).map(|n| format!("role-{n}")).chain(owned(&["admin", "service", "viewer"])).collect();
    let many = claims("https://b", |c| (c["roles"], c["role_groups"]) = (json!(many), json!(["legal", "data"])));
    let actor = outcome(&auth, &sign(&many)).await.unwrap().actor;
    assert_eq!((&actor.roles, &actor.role_groups), (&owned(&["viewer"]), &owned(&["data"])));
    let groups: Vec<String> = (0..33).map(|n| format!("group-{n}")).collect();
    let groups = claims("https://a", |c| c["role_groups"] = json!(groups));
    assert_eq!(outcome(&auth, &sign(&groups)).await.unwrap_err(), "TOKEN_CLAIMS");
}

#[tokio::test]
async fn claims_are_read_where_the_table_says() {
    let auth = open(
        r#"
[[auth.issuers]]
issuer = "https://a"
JWKS
tenants = ["*"]
token_id = "/meta/id"
on_behalf_of = "https://remit.example/for"
tenant = { claim = "/org/id" }
subject.claims = ["/email"]
email = { claim = "email", verified = "/meta/verified" }
roles = { claims = ["/https:~1~1remit.example~1roles", "scope"], values = { ops = ["operator", "viewer"] }, default = ["auditor"] }
role_groups = { default = ["data"], values = {} }
kind.default = "human"
kind.rules = [{ claim = "azp", equals = "writer", kind = "ai" }, { claim = "amr", equals = "swk", kind = "service" }]
"#,
    )
    .await;
    let token = |change: fn(&mut Value)| {
        sign(&claims("https://a", |c| {
            (c["org"], c["meta"]) = (json!({"id": "9-lives"}), json!({"id": "t1", "verified": true}));
            (c["email"], c["kind"]) = (json!("ann@acme.example"), json!("service"));
            change(c);
        }))
    };
    let who = async |change: fn(&mut Value)| outcome(&auth, &token(change)).await;
    let ann = who(|c| c["kind"] = json!(null)).await.unwrap();
    assert_eq!((ann.tenant.as_str(), ann.token_id.as_str()), ("9-lives", "t1"));
    assert_eq!((ann.actor.subject.as_str(), ann.email.as_deref()), ("ann@acme.example", Some("ann@acme.example")));
    assert_eq!((&ann.actor.roles, &ann.actor.role_groups), (&owned(&["auditor"]), &owned(&["data"])));
    let roles = who(|c| (c["https://remit.example/roles"], c["scope"]) = (json!(["admin"]), json!("ops other"))).await;
    assert_eq!(roles.unwrap().actor.roles, ["operator", "viewer"], "what the table does not have counts for nothing");
    assert_eq!(who(|c| c["azp"] = json!("writer")).await.unwrap().actor.kind, ActorKind::Ai);
    let machine =
        who(|c| (c["amr"], c["https://remit.example/for"]) = (json!(["pwd", "swk"]), json!("bob"))).await.unwrap();
    assert_eq!((machine.actor.kind, machine.actor.on_behalf_of.as_deref()), (ActorKind::Service, Some("bob")));
    // The claim `kind` still counts where no rule fits, and an address that nobody verified is no subject.
    assert_eq!(who(|_| {}).await.unwrap().actor.kind, ActorKind::Service);
    assert_eq!(who(|c| c["meta"]["verified"] = json!(false)).await.unwrap_err(), "TOKEN_CLAIMS");
}

#[test]
fn a_table_that_cannot_hold_stops_the_start_and_names_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let a = || plain("https://a", "[\"acme\"]", "");
    for (tables, wanted) in [
        (plain("https://a", "[]", ""), "auth.issuers[0].tenants: must list the tenants"),
        (plain("https://a", "[\"Acme\"]", ""), "auth.issuers[0].tenants: may hold only"),
        (plain("https://a", "[\"*\", \"acme\"]", ""), "auth.issuers[0].tenants: may hold only"),
        (plain("", "[\"*\"]", ""), "auth.issuers[0].issuer: must be"),
        (a() + &a(), "auth.issuers[1].issuer: stands in two tables"),
        (a() + &plain("https://b", "[\"*\"]", ""), "auth.issuers[1].subject_prefix: must differ between"),
        (plain("https://a", "[\"a\", \"b\"]", "preset = \"auth0\""), "auth.issuers[0].tenant.claim: must name"),
        (plain("https://a", "[\"a\"]", "tenant.values = { x = \"b\" }"), "auth.issuers[0].tenant.values: leads to b"),
        (plain("https://a", "[\"a\"]", "subject_prefix = \"remit-\""), "auth.issuers[0].subject_prefix: remit-"),
        (plain("https://a", "[\"a\"]", "subject_prefix = \"A:\""), "auth.issuers[0].subject_prefix: must be"),
        (
            plain("https://a", "[\"a\"]", "roles.default = [\"boss\"]"),
            "auth.issuers[0].roles: boss is not among [roles]",
        ),
        (plain("https://a", "[\"a\"]", "roles.values.x = [\"service\"]"), "auth.issuers[0].roles: service is for"),
        (plain("https://a", "[\"a\"]", "grants.roles = [\"service\"]"), "auth.issuers[0].grants.roles: service"),
        (
            plain("https://a", "[\"a\"]", "grants.role_groups = []\ngroups.values.x = { role_groups = [\"legal\"] }"),
            "auth.issuers[0].groups.values: legal is not among grants.role_groups",
        ),
        (
            plain("https://a", "[\"a\"]", "groups.values.x = {}"),
            "auth.issuers[0].groups.values: means nothing while groups.claims",
        ),
        (
            plain("https://a", "[\"a\"]", "preset = \"google\"\nroles.values.x = [\"viewer\"]"),
            "auth.issuers[0].roles.values: means nothing while roles.claims",
        ),
        (
            plain("https://a", "[\"a\"]", "preset = \"auth0\"\nrole_groups.values.x = [\"y\"]"),
            "auth.issuers[0].role_groups.values: means nothing while role_groups.claims",
        ),
        (
            plain("https://a", "[\"a\"]", "preset = \"okta\"\ntenant.values.x = \"a\""),
            "auth.issuers[0].tenant.values: means nothing while tenant.claim",
        ),
        (
            plain("https://a", "[\"a\"]", "preset = \"auth0\"\ntenant.required = true"),
            "auth.issuers[0].tenant.required: means nothing while tenant.claim",
        ),
        (plain("https://a", "[\"a\"]", "roles.claims = [\"/a~\"]"), "auth.issuers[0].roles.claims: \"/a~\" must be"),
        (plain("https://a", "[\"a\"]", "subject.claims = []"), "auth.issuers[0].subject.claims: must name"),
        (plain("https://a", "[\"a\"]", "algorithms = [\"HS256\"]"), "auth.issuers[0].algorithms: may hold only"),
        (plain("https://a", "[\"a\"]", "preset = \"ldap\""), "auth.issuers[0].preset"),
        (plain("https://a", "[\"a\"]", "role = 1"), "auth.issuers[0].role: unknown key"),
    ] {
        let error = config(dir.path(), &tables).err().unwrap_or_else(|| panic!("{tables} is taken"));
        assert_eq!(error.reason(), "CONFIG_INVALID");
        assert!(error.message().starts_with(wanted), "{wanted}: {}", error.message());
    }
    // Apart by their tenants, or by prefixes of which neither is empty.
    assert!(config(dir.path(), &(a() + &plain("https://b", "[\"beta\"]", ""))).is_ok());
    assert!(config(dir.path(), &(a() + &plain("https://b", "[\"*\"]", "subject_prefix = \"b:\""))).is_ok());
}

#[tokio::test]
async fn a_key_has_one_algorithm() {
    use Algorithm::{ES384, PS256, RS256, RS512};
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("own.json");
    let claims = claims("https://a", |_| {});
    for (key, named, says, allowed, good, bad) in [
        (rsa(), RS256, false, "", RS256, Some(PS256)),
        (rsa(), PS256, true, "", PS256, Some(RS256)),
        (rsa(), RS512, true, "", RS512, Some(RS256)),
        (rsa(), RS256, false, "algorithms = [\"PS256\", \"RS256\"]", PS256, Some(RS256)),
        (p384(), ES384, false, "", ES384, None),
    ] {
        std::fs::write(&file, json!({"keys": [jwk(&key, named, says)]}).to_string()).unwrap();
        let table = format!(
            "[[auth.issuers]]\nissuer = \"https://a\"\njwks = {:?}\ntenants = [\"*\"]\n{allowed}\n",
            file.display().to_string()
        );
        let (auth, _) = Authenticator::open(&config(dir.path(), &table).unwrap()).await.unwrap();
        assert!(outcome(&auth, &sign_with(&key, good, None, &claims)).await.is_ok(), "{good:?}");
        if let Some(bad) = bad {
            let token = sign_with(&key, bad, None, &claims);
            assert_eq!(outcome(&auth, &token).await.unwrap_err(), "TOKEN_ALGORITHM", "{bad:?}");
        }
    }
}

#[tokio::test]
async fn a_token_says_everything_once_and_its_type_is_that_of_an_access_token() {
    let auth = open(&plain("https://a", "[\"acme\"]", "")).await;
    let good = claims("https://a", |_| {});
    for typ in [None, Some("JWT"), Some("jwt"), Some("at+jwt"), Some("application/at+jwt"), Some("AT+JWT")] {
        assert!(outcome(&auth, &sign_with(&rsa(), Algorithm::RS256, typ, &good)).await.is_ok(), "{typ:?}");
    }
    for typ in ["dpop+jwt", "secevent+jwt", "logout+jwt", "JWE", "JOSE", "", "mandate+jwt", "application/jwt"] {
        let token = sign_with(&rsa(), Algorithm::RS256, Some(typ), &good);
        assert_eq!(outcome(&auth, &token).await.unwrap_err(), "TOKEN_TYPE", "{typ}");
    }
    // Signed by hand, as no library would make them.
    let by_hand = |head: &str, body: &str| {
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(body));
        let signature = jsonwebtoken::crypto::sign(text.as_bytes(), &rsa(), Algorithm::RS256).unwrap();
        format!("{text}.{signature}")
    };
    let (head, body) = (r#"{"alg": "RS256", "kid": "k1"}"#, good.to_string());
    assert!(outcome(&auth, &by_hand(head, &body)).await.is_ok());
    let twice = |member: &str| format!("{{{member}, {}", &body[1..]);
    for (head, body, wanted, named) in [
        (head, twice(r#""tenant": "beta""#), "TOKEN_MALFORMED", "\"tenant\" stands twice"),
        (head, twice(r#""sub": "bob""#), "TOKEN_MALFORMED", "\"sub\" stands twice"),
        (head, twice(r#""\u0073ub": "bob""#), "TOKEN_MALFORMED", "\"sub\" stands twice"),
        (head, twice(r#""x": [{"y": 1, "y": 2}]"#), "TOKEN_MALFORMED", "\"y\" stands twice"),
        (r#"{"alg": "none", "kid": "k1", "alg": "RS256"}"#, body.clone(), "TOKEN_MALFORMED", "header"),
        (r#"{"alg": "RS256", "kid": "k1", "crit": []}"#, body.clone(), "TOKEN_MALFORMED", "critical"),
        (r#"{"alg": "RS256", "kid": "k1", "cty": "JWT"}"#, body.clone(), "TOKEN_TYPE", "cty"),
        (r#"{"alg": "RS256", "kid": 1}"#, body.clone(), "TOKEN_MALFORMED", "kid"),
        (r#"{"alg": "RS256", "kid": "k1", "typ": ["JWT"]}"#, body.clone(), "TOKEN_MALFORMED", "typ"),
        (head, "[1]".to_owned(), "TOKEN_MALFORMED", "object"),
        (head, format!("{body} x"), "TOKEN_MALFORMED", "JSON"),
    ] {
        let token = by_hand(head, &body);
        assert_eq!(outcome(&auth, &token).await.unwrap_err(), wanted, "{head} {body}");
        let error = auth.verify(Some(&format!("Bearer {token}"))).await.unwrap_err();
        assert!(error.message().contains(named), "{named}: {error}");
    }
    // What has the wrong form is named as such: the signature was right.
    for (name, value) in [("sub", json!(["alice"])), ("exp", json!("soon")), ("iat", json!({})), ("jti", json!(1))] {
        let token = sign(&changed(good.clone(), |c| c[name] = value));
        assert_eq!(outcome(&auth, &token).await.unwrap_err(), "TOKEN_CLAIMS", "{name}");
    }
    let year = 31_536_000;
    let stretched = changed(good, |c| (c["iat"], c["exp"]) = (json!(now() + year - 60), json!(now() + year)));
    assert_eq!(outcome(&auth, &sign(&stretched)).await.unwrap_err(), "TOKEN_NOT_YET_VALID");
}

#[tokio::test]
async fn one_token_is_shown_and_not_a_longer_one_than_may_be() {
    let auth = open(&plain("https://a", "[\"acme\"]", "")).await;
    let good = sign(&claims("https://a", |_| {}));
    let mut headers = http::HeaderMap::new();
    let header = |token: &str| http::HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    assert_eq!(auth.verify_headers(&headers).await.unwrap_err().reason(), "TOKEN_MISSING");
    headers.append("authorization", header(&good));
    assert!(auth.verify_headers(&headers).await.is_ok());
    headers.append("authorization", header(&good));
    assert_eq!(auth.verify_headers(&headers).await.unwrap_err().reason(), "TOKEN_MALFORMED");
    headers.insert("authorization", http::HeaderValue::from_bytes(b"Bearer \xff").unwrap());
    assert_eq!(auth.verify_headers(&headers).await.unwrap_err().reason(), "TOKEN_MALFORMED");

    let long = |bytes: usize| sign(&claims("https://a", |c| c["filler"] = json!("x".repeat(bytes))));
    assert!(outcome(&auth, &long(11_000)).await.is_ok());
    assert_eq!(outcome(&auth, &long(13_000)).await.unwrap_err(), "TOKEN_MALFORMED");
}

#[tokio::test]
async fn keys_are_where_the_discovery_document_says() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = format!("http://{}", listener.local_addr().unwrap());
    let document = |issuer: &str| json!({"issuer": issuer, "jwks_uri": format!("{here}/keys")}).to_string();
    let (good, evil) = (document(&format!("{here}/a")), document("https://other"));
    let keys = json!({"keys": [jwk(&rsa(), Algorithm::RS256, false)]}).to_string();
    let app = axum::Router::new()
        .route("/a/.well-known/openid-configuration", axum::routing::get(async || good))
        .route("/b/.well-known/openid-configuration", axum::routing::get(async || evil))
        .route("/keys", axum::routing::get(async || keys));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let dir = tempfile::tempdir().unwrap();
    let table = |issuer: &str| format!("[[auth.issuers]]\nissuer = {issuer:?}\ntenants = [\"acme\"]\n");
    let open = async |issuer: &str| Authenticator::open(&config(dir.path(), &table(issuer))?).await;
    let (auth, _) = open(&format!("{here}/a")).await.unwrap();
    assert!(outcome(&auth, &sign(&claims(&format!("{here}/a"), |_| {}))).await.is_ok());
    let (auth, _) = open(&format!("{here}/b")).await.unwrap();
    let token = sign(&claims(&format!("{here}/b"), |_| {}));
    assert_eq!(outcome(&auth, &token).await.unwrap_err(), "JWKS_UNAVAILABLE");
    server.abort();
    for clear in ["http://id.example", "acme"] {
        let error = open(clear).await.unwrap_err();
        assert!(error.message().starts_with("auth.issuers.jwks: must name the key set"), "{error}");
    }
}

#[test]
fn the_worked_configurations_are_taken() {
    let page = include_str!("../../../../docs/identity.md");
    let blocks = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut count = 0;
    for block in blocks {
        let taken = Config::from_toml(block);
        assert!(taken.is_ok(), "{}:\n{block}", taken.unwrap_err());
        count += 1;
    }
    assert_eq!(count, 7, "the settings, and a configuration for each provider");
}
