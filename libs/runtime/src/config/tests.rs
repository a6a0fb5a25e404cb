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
    assert!(error.message().contains("port") && error.message().contains("environment"), "{}", error.message());
}

#[test]
fn a_bad_value_is_refused_by_key() {
    for (toml, key) in [
        ("[server]\ndrain_timeout = \"soon\"", "server.drain_timeout"),
        ("[server]\nmax_streams = \"many\"", "server.max_streams"),
        ("[clock]\nmanual = true", "clock.manual"),
        ("[auth]\nalgorithms = [\"HS256\"]", "auth.algorithms"),
        ("[auth]\ndevelopment = false", "auth.issuers"),
        ("[server]\ntls_key = \"k.pem\"", "server.tls_key"),
        ("[database]\nurl = \"mysql://x\"", "database.url"),
        ("[telemetry]\nsample_ratio = 50.0", "telemetry.sample_ratio"),
        ("[scoring]\nstale_after = \"5s\"", "scoring.stale_after"),
        ("[scoring]\nstale_after = \"6m\"", "scoring.deny_after"),
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
}

#[test]
fn the_reference_lists_every_key() {
    let page = reference_markdown();
    let table: toml::Table = DEFAULT.parse().unwrap();
    for (section, keys) in &table {
        assert!(page.contains(&format!("## `[{section}]`")), "{section}");
        for (key, value) in keys.as_table().unwrap() {
            if !value.is_table() {
                assert!(page.contains(&format!("| `{key}` (`REMIT_")), "{section}.{key}");
            }
        }
    }
}
