#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_defaults_are_valid() {
    let config = Config::load_with(None, env(&[])).unwrap();
    assert_eq!(config.server.listen, "127.0.0.1:7420");
    assert!(!config.clock.allow_manual);
    assert_eq!(config.server.drain_timeout.get().as_secs(), 10);
}

#[test]
fn the_file_overrides_the_defaults_and_the_environment_overrides_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("remit.toml");
    std::fs::write(&file, "[server]\nlisten = \"a:1\"\nmax_streams = 7\n").unwrap();
    let set = env(&[("REMIT_SERVER__LISTEN", "b:2"), ("REMIT_SERVER__ONLY", "[\"audit\"]"), ("REMIT_TOKEN", "x")]);
    let config = Config::load_with(Some(&file), set).unwrap();
    assert_eq!((config.server.listen.as_str(), config.server.max_streams), ("b:2", 7));
    assert_eq!(config.server.only, ["audit"]);
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    for (toml, name) in [("[server]\nport = 1", "port"), ("[servre]\nx = 1", "servre"), ("[data]\nDir = \"x\"", "Dir")]
    {
        let error = Config::from_toml(toml).unwrap_err();
        assert_eq!(error.reason(), "CONFIG_INVALID");
        assert!(error.message().contains(name), "{}", error.message());
    }
    let error = Config::load_with(None, env(&[("REMIT_SERVER__PORT", "1")])).unwrap_err();
    assert!(error.message().starts_with("server.port: "), "{}", error.message());
    assert!(error.message().ends_with("(from the environment variable REMIT_SERVER__PORT)"), "{}", error.message());
}

#[test]
fn the_environment_gives_every_type_a_setting_can_have() {
    let set = env(&[
        ("REMIT_SERVER__MAX_STREAMS", " 7 "),
        ("REMIT_MODE", "production"),
        ("REMIT_AUTH__DEVELOPMENT", "false"),
        ("REMIT_TELEMETRY__SAMPLE_RATIO", "0.5"),
        ("REMIT_SERVER__ONLY", r#"["audit", "kpi"]"#),
        ("REMIT_AUTH__ISSUERS", r#"[{ issuer = "i", jwks = "k.json", tenants = ["*"], kinds = ["human"] }]"#),
        ("REMIT_ROLES__GUEST", r#"["*.*.get"]"#),
        ("REMIT_DATABASE__URLS", r#"{ audit = "sqlite:a" }"#),
        ("REMIT_DATABASE__URLS__KPI", "sqlite:k"),
        ("REMIT_PEERS__COUNCIL", "http://c:1"),
        ("REMIT_CLOCK__START", "2008-05-01T00:00:00Z"),
        ("REMIT_AUDIT__ORIGIN", r#""1234""#),
        ("REMIT_DATA__DIR", "a b = [c"),
        ("REMIT_TELEMETRY__OTLP_ENDPOINT", ""),
    ]);
    let config = Config::load_with(None, set).unwrap();
    assert_eq!((config.server.max_streams, config.auth.development), (7, false));
    assert_eq!((config.mode, config.services()), (Mode::Production, vec!["audit", "kpi"]));
    assert_eq!((config.telemetry.sample_ratio, config.telemetry.otlp_endpoint.as_str()), (0.5, ""));
    assert_eq!(config.server.only, ["audit", "kpi"]);
    let issuer = &config.auth.issuers[0];
    assert_eq!((issuer.issuer.as_str(), issuer.jwks.as_str(), issuer.kinds.len()), ("i", "k.json", 1));
    assert_eq!(config.roles["guest"], ["*.*.get"]);
    assert!(config.roles.contains_key("admin"), "a role that is set leaves the others");
    let urls = config.database.urls.iter().map(|(service, url)| (service.as_str(), url.expose_secret()));
    assert_eq!(Vec::from_iter(urls), [("audit", "sqlite:a"), ("kpi", "sqlite:k")]);
    assert_eq!(config.peers["council"], "http://c:1".into());
    assert_eq!((config.clock.start.as_str(), config.audit.origin.as_str()), ("2008-05-01T00:00:00Z", "1234"));
    assert_eq!(config.data.dir, Path::new("a b = [c"));
}

#[test]
fn a_layer_replaces_lists_and_merges_tables() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("remit.toml");
    std::fs::write(&file, "[roles]\nadmin = [\"a\"]\n[peers]\naudit = \"http://a\"\nkpi = \"http://k\"\n").unwrap();
    let config = Config::load_with(Some(&file), env(&[("REMIT_PEERS__AUDIT", "http://b, http://c")])).unwrap();
    assert_eq!(config.roles["admin"], ["a"]);
    assert_eq!((&config.peers["audit"], &config.peers["kpi"]), (&"http://b,http://c".into(), &"http://k".into()));
    let listed = Config::from_toml("peers.audit = [\"http://b\", \"http://c\"]").unwrap();
    assert_eq!(listed.peers["audit"], config.peers["audit"]);
}

#[test]
fn an_error_names_the_layer_it_came_with_and_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("remit.toml");
    let refused = |text: &str, set: &[(&str, &str)]| {
        std::fs::write(&file, text).unwrap();
        Config::load_with(Some(&file), env(set)).unwrap_err().message().to_owned()
    };
    let of_file = format!("(from {})", file.display());
    let ok = [("REMIT_SERVER__MAX_STREAMS", "5")];
    assert_eq!(refused("[server]\nmax_streams = \"x\"", &ok), format!("server.max_streams: must be u32 {of_file}"));
    assert_eq!(refused("[data]\ndri = \"x\"", &ok), format!("data.dri: unknown key; known: `dir` {of_file}"));
    assert_eq!(
        refused("[[auth.issuers]]\njwks = \"k\"", &ok),
        format!("auth.issuers[0]: missing field `issuer` {of_file}")
    );
    assert!(refused("[server]\nlisten = 'a\n", &ok).starts_with("config: line 2: "));
    assert_eq!(
        refused("", &[("REMIT_SERVER__ONLY", "audit")]),
        "server.only: must be a sequence (from the environment variable REMIT_SERVER__ONLY)"
    );
    assert_eq!(
        refused("", &[("REMIT_SERVER__LISTEN__PORT", "1")]),
        "server.listen: must be a string (from the environment variable REMIT_SERVER__LISTEN__PORT)"
    );
}

#[test]
fn a_bad_value_is_refused_by_key() {
    for (toml, key) in [
        ("[server]\ndrain_timeout = \"soon\"", "server.drain_timeout"),
        ("[server]\nmax_streams = \"many\"", "server.max_streams"),
        ("[clock]\nmanual = true", "clock.manual"),
        ("[auth]\nalgorithms = [\"HS256\"]", "auth.algorithms"),
        ("[auth]\ndevelopment = false", "auth.issuers"),
        ("[auth]\nmax_token_bytes = 512", "auth.max_token_bytes"),
        ("[[auth.issuers]]\nissuer = \"https://id.example\"", "auth.issuers[0].tenants"),
        ("[server]\ntls_key = \"k.pem\"", "server.tls_key"),
        ("mode = \"prod\"", "mode"),
        ("[notify]\nevent_prefix = \"Com.Example\"", "notify.event_prefix"),
        ("[notify.smtp]\nhost = \"a\"\nfrom = \"b@c\"\nbounce = \"bounce@c\"", "notify.smtp.bounce"),
        ("[notify.smtp]\nhost = \"a\"\nfrom = \"b@c\"\nbounce = \"bounce{token}@c\"", "notify.smtp.bounce"),
        ("[notify.smtp]\nhost = \"a\"\nfrom = \"b@c\"\nbounce = \"b+{token}@c,d@e\"", "notify.smtp.bounce"),
        ("[auth]\njwks_max_age = \"5m\"", "auth.jwks_max_age"),
        ("[database]\nurl = \"mysql://x\"", "database.url"),
        ("[server]\nmax_connections = 0", "server.max_connections"),
        ("[server]\nproxies = [\"10.0.0.0/8\"]", "server.proxies"),
        ("[server]\nbody_timeout = \"0s\"", "server.body_timeout"),
        ("[limits]\nstreams_per_tenant = 0", "limits.streams_per_tenant"),
        ("[operations]\nlisten = \"127.0.0.1:7420\"", "operations.listen"),
        ("[telemetry]\nsample_ratio = 50.0", "telemetry.sample_ratio"),
        ("[scoring]\nstale_after = \"5s\"", "scoring.stale_after"),
        ("[scoring]\nstale_after = \"6m\"", "scoring.deny_after"),
        ("[scoring]\naudit_denied = 10001", "scoring.audit_denied"),
    ] {
        let error = Config::from_toml(toml).unwrap_err();
        assert!(error.message().starts_with(key), "{toml}: {}", error.message());
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load_with(Some(Path::new("/nowhere/remit.toml")), env(&[])).unwrap_err();
    assert!(error.message().contains("/nowhere/remit.toml"));
}

#[test]
fn secrets_are_never_printed() {
    let config = Config::from_toml("[database]\nurl = \"postgres://u:hunter2@h/d\"").unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let error = Config::load_with(None, env(&[("REMIT_DATABASE__URL", "mysql://u:hunter2@h/d")])).unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"));
    for toml in
        ["[database]\nurl = [\"hunter2\"]", "[database]\nconnections = \"hunter2\"", "[database]\nurl = \"hunter2"]
    {
        let error = Config::from_toml(toml).unwrap_err();
        assert!(!format!("{error:?} {}", error.message()).contains("hunter2"));
    }
}

#[test]
fn the_reference_lists_every_key() {
    let page = reference_markdown();
    let table: toml::Table = DEFAULT.parse().unwrap();
    assert!(page.contains("| `mode` (`REMIT_MODE`) | `\"development\"` |"), "{page}");
    for (section, keys) in table.iter().filter(|(_, keys)| keys.is_table()) {
        assert!(page.contains(&format!("## `[{section}]`")), "{section}");
        for (key, value) in keys.as_table().unwrap() {
            if !value.is_table() {
                assert!(page.contains(&format!("| `{key}` (`REMIT_")), "{section}.{key}");
            }
        }
    }
}
