//! Keys made, published and changed as docs/keys.md says, and what production asks of them and of the files.

use super::{run, serve, text};
use crate::support::{Process, Site, eventually, free_port, reason};
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{GetCheckpointRequest, SearchRequest};
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{CreateModelRequest, Model};
use remit_core::SERVICES;
use remit_runtime::auth::keyfile;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Makes a model, and waits until the log has its entry: the registry called audit by its own key.
async fn recorded(site: &Site, id: &str) {
    let model = Model { display_name: "Writer".into(), owner: "dara".into(), ..Default::default() };
    let create = CreateModelRequest { model_id: id.into(), model: Some(model), ..Default::default() };
    let mut models = ModelServiceClient::new(site.human("dara", &["admin"], "registry"));
    models.create_model(create).await.expect("a model");
    let log = AuditServiceClient::new(site.human("audrey", &["auditor"], "audit"));
    let search = SearchRequest { filter: format!("resource = \"models/{id}\""), ..Default::default() };
    eventually("the change is in the log", || {
        let (mut log, search) = (log.clone(), search.clone());
        async move { log.search(search).await.is_ok_and(|found| !found.get_ref().entries.is_empty()) }
    })
    .await;
}

/// Publish, switch with one restart, withdraw; the other process runs through all of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_services_key_is_changed_while_the_others_go_on() {
    let site = Site::new(&[("audit", "audit"), ("registry", "registry")], "[auth]\njwks_min_interval = \"100ms\"\n");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let _audit = site.start("audit").await;
    let mut registry = site.start("registry").await;
    recorded(&site, "before").await;

    let folder = site.issuer_dir().join("services");
    let (key, set, next) = (folder.join("registry.key"), folder.join("registry.json"), folder.join("next.key"));
    let old = keyfile::kid(&keyfile::read(&key).expect("the key of now").verifying_key());
    let rotate = ["keys", "rotate", text(&set), "--next", text(&next), "--service", "registry"];
    let (code, printed) = run(dir.path(), "rotate", &rotate);
    assert_eq!(code, 0, "{printed}");
    registry.kill();
    std::fs::rename(&next, &key).expect("the next key takes the place");
    let _registry: Process = site.start("registry").await;
    recorded(&site, "after").await;

    let by_old = || async {
        let mut log = AuditServiceClient::new(site.service("registry", "audit"));
        log.get_checkpoint(GetCheckpointRequest::default()).await.map_err(|status| reason(&status)).err()
    };
    assert_eq!(by_old().await, None, "tokens of the old key count until it is withdrawn");
    let (code, printed) = run(dir.path(), "withdraw", &["keys", "withdraw", text(&set), &old]);
    assert_eq!(code, 0, "{printed}");
    eventually("the old key counts for nothing", || async {
        by_old().await.is_some_and(|reason| reason == "TOKEN_UNKNOWN_KEY")
    })
    .await;
    recorded(&site, "withdrawn").await;
}

#[test]
fn production_says_everything_that_is_in_its_way_and_makes_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (data, path) = (dir.path().join("data"), dir.path().join("remit.toml"));
    let toml = format!(
        "mode = \"production\"\n[data]\ndir = \"{}\"\n[server]\nlisten = \"0.0.0.0:0\"\n[clock]\nallow_manual = true\n",
        data.display()
    );
    std::fs::write(&path, toml).expect("the file can be written");
    for command in ["serve", "doctor"] {
        let (code, printed) = run(dir.path(), command, &[command, "--config", text(&path)]);
        assert_ne!(code, 0, "{printed}");
        for setting in [
            "auth.development",
            "auth.issuers",
            "clock.allow_manual",
            "server.listen",
            "auth.service_key",
            "mandates.key",
            "mandates.jwks",
            "audit.signing_key",
            "audit.master_keys_file",
        ] {
            assert!(printed.contains(&format!("{setting}: ")), "{command} does not name {setting}: {printed}");
        }
    }
    assert!(!data.exists(), "not even a directory");
}

/// The modes of what is in a directory; what is taken away meanwhile is not.
fn modes(dir: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(meta) = std::fs::metadata(&path) else { continue };
        found.push((path.display().to_string(), meta.permissions().mode() & 0o777));
        if meta.is_dir() {
            found.extend(modes(&path));
        }
    }
    found
}

/// From nothing to a start in production, with the keys that `remit keys` makes.
#[tokio::test(flavor = "multi_thread")]
async fn production_starts_with_keys_that_were_made_for_it_and_keeps_its_files_to_itself() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = dir.path();
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).expect("the mode can be set");
    let keys = |args: &[&str]| {
        let (code, printed) = run(dir, "keys", &[&["keys"], args].concat());
        assert_eq!(code, 0, "{args:?}: {printed}");
    };
    let path = |name: &str| dir.join(name);
    let services = SERVICES.map(|service| path(&format!("services/{service}.key")));
    for file in services.iter().chain(&[path("council.key"), path("log.pem"), path("idp.key")]) {
        keys(&["new", text(file)]);
    }
    keys(&["master", text(&path("master.keys")), "2026-11"]);
    let jwks = |key: &str, set: &str| keys(&["jwks", text(&path(key)), "--write", text(&path(set))]);
    jwks("council.key", "council.json");
    jwks("idp.key", "idp.json");
    let toml = format!(
        "mode = \"production\"\n[data]\ndir = \"{0}/data\"\n[server]\nlisten = \"127.0.0.1:{1}\"\n\
         [auth]\ndevelopment = false\nservice_key = \"{0}/services\"\n\
         [mandates]\nkey = \"{0}/council.key\"\njwks = \"{0}/council.json\"\n\
         [audit]\nsigning_key = \"{0}/log.pem\"\nmaster_keys_file = \"{0}/master.keys\"\n\
         [[auth.issuers]]\nissuer = \"https://idp.example\"\ntenants = [\"*\"]\njwks = \"{0}/idp.json\"\n",
        dir.display(),
        free_port(),
    );
    let config = path("remit.toml");
    std::fs::write(&config, toml).expect("the file can be written");
    let first = serve(dir, "first", &["--config", text(&config)]).await;
    let databases: Vec<_> = modes(&path("data")).into_iter().filter(|(file, _)| file.contains(".db")).collect();
    assert!(databases.len() >= 3 * SERVICES.len(), "each with its log and its index: {databases:?}");
    assert!(databases.iter().all(|(_, mode)| *mode == 0o600), "they are their owner's alone: {databases:?}");
    let closed = std::fs::metadata(path("data")).expect("the directory").permissions().mode() & 0o777;
    assert_eq!(closed, 0o700);
    assert!(!first.printed().contains("development"), "{}", first.printed());
    drop(first);

    for (name, mode, reason) in [("data", 0o755, "DATA_DIR_READABLE"), ("log.pem", 0o604, "KEY_FILE_READABLE")] {
        let restore = std::fs::metadata(path(name)).expect("it is there").permissions();
        std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(mode)).expect("the mode can be set");
        let (code, printed) = run(dir, name, &["serve", "--config", text(&config)]);
        assert_eq!(code, 2, "{printed}");
        assert!(printed.contains("can be read by others than its owner: chmod"), "{reason}: {printed}");
        // In development it is refused by itself.
        let relaxed = std::fs::read_to_string(&config).expect("the configuration").replace("production", "development");
        std::fs::write(path("relaxed.toml"), relaxed).expect("the file can be written");
        let (code, printed) = run(dir, name, &["serve", "--config", text(&path("relaxed.toml"))]);
        assert_eq!(code, 3, "{printed}");
        assert!(printed.contains(reason), "{printed}");
        std::fs::set_permissions(path(name), restore).expect("the mode can be set");
    }
}

/// The development issuer is announced at every start, and loudly where other machines can reach it.
#[tokio::test(flavor = "multi_thread")]
async fn the_development_issuer_is_announced_at_every_start() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    for (name, listen, loud) in [("first", "127.0.0.1:0", 0), ("second", "127.0.0.1:0", 0), ("third", "0.0.0.0:0", 1)] {
        let process =
            serve(dir.path(), name, &["--data-dir", text(&data), "--only", "audit", "--listen", listen]).await;
        let printed = process.printed();
        assert_eq!(printed.matches("the development issuer is in force:").count(), 1, "{name}: {printed}");
        assert_eq!(printed.matches("on an address that other machines reach").count(), loud, "{name}: {printed}");
    }
}

/// Whoever restores a data directory with the wrong keys hears of it before anything is served, and nothing is made.
#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_holds_the_keys_against_the_log() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (data, rows) = (dir.path().join("data"), dir.path().join("rows.csv"));
    let listen = format!("127.0.0.1:{}", free_port());
    let mut suite = serve(dir.path(), "suite", &["--data-dir", text(&data), "--listen", &listen]).await;
    let ask = ["token", "--data-dir", text(&data), "--subject", "ada", "--role", "operator"];
    let (code, token) = run(dir.path(), "token", &ask);
    assert_eq!(code, 0, "{token}");
    let server = format!("http://{listen}");
    let to = ["--server", server.as_str(), "--token", token.trim()];
    std::fs::write(&rows, "id,title\na,A\n").expect("the file can be written");
    let (code, printed) = run(dir.path(), "import", &[&["task", "import", text(&rows)], &to[..]].concat());
    assert_eq!(code, 0, "{printed}");
    eventually("the change is in the log", || async {
        run(dir.path(), "search", &[&["audit", "search"], &to[..]].concat()).1.contains("tasks/a")
    })
    .await;
    suite.terminate();
    assert_eq!(suite.wait(), 0, "{}", suite.printed());

    let path = dir.path().join("remit.toml");
    let toml = format!("[data]\ndir = \"{}\"\n[server]\nlisten = \"127.0.0.1:0\"\n", data.display());
    std::fs::write(&path, toml).expect("the file can be written");
    let doctor = || run(dir.path(), "doctor", &["doctor", "--config", text(&path)]);
    let (code, printed) = doctor();
    assert_eq!(code, 0, "{printed}");
    for told in ["keys: those of the log of each tenant", "disk: ", "outbox of scoring: 0 events wait"] {
        assert!(printed.contains(told), "{told}: {printed}");
    }
    let key = data.join("audit-signing.pem");
    std::fs::remove_file(&key).expect("the key goes");
    let (code, printed) = doctor();
    assert!(code == 3 && printed.contains("KEY_FILE_MISSING"), "{printed}");
    assert!(!key.exists(), "a look makes nothing");
    remit_audit::keys::signing_key(&key, true, &remit_store::testing::ids()).expect("another key");
    let (code, printed) = doctor();
    assert!(code == 3 && printed.contains("KEY_NOT_OF_LOG"), "{printed}");
}
