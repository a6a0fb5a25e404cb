//! The restore drill through the real binary: a backup of a suite that is working, and what may and may not come of it.

use crate::support::{Bearer, Process, eventually, free_port};
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{CreateModelRequest, ListModelsRequest, Model};
use remit_core::{Actor, ActorKind, Tenant};
use remit_runtime::Config;
use remit_runtime::auth::Signer;
use remit_store::testing::TestDb;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

struct Drill {
    dir: tempfile::TempDir,
    address: String,
    token: String,
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is text")
}

fn named(count: usize) -> String {
    format!("m{count}")
}

impl Drill {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = Config::from_toml(&format!("data.dir = \"{}\"\n", dir.path().join("data").display()));
        let signer = Signer::development(&config.expect("a valid configuration")).expect("a development issuer");
        let actor = Actor {
            subject: "ada".into(),
            kind: ActorKind::Human,
            roles: vec!["admin".into()],
            role_groups: vec![],
            on_behalf_of: None,
        };
        let tenant = Tenant::new("acme").expect("a tenant");
        let token = signer.token(&tenant, &actor, Duration::from_secs(3_600)).expect("a token");
        Self { dir, address: format!("127.0.0.1:{}", free_port()), token }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn models(&self) -> ModelServiceClient<InterceptedService<Channel, Bearer>> {
        let bearer = Bearer(format!("Bearer {}", self.token).parse().expect("a header"));
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("a URL");
        ModelServiceClient::new(InterceptedService::new(endpoint.connect_lazy(), bearer))
    }

    async fn serve(&self, data: &str) -> Process {
        let data = self.path(data);
        self.serve_with(&["--data-dir", text(&data), "--listen", &self.address]).await
    }

    async fn serve_with(&self, args: &[&str]) -> Process {
        let mut process = Process::start(self.dir.path(), "server", &[&["serve"], args].concat());
        eventually("the suite is served", || {
            assert!(process.is_running(), "it ended: {}", process.printed());
            let mut models = self.models();
            async move { models.list_models(ListModelsRequest::default()).await.is_ok() }
        })
        .await;
        process
    }

    fn remit(&self, args: &[&str], code: i32, printed: &[&str]) -> String {
        let mut process = Process::start(self.dir.path(), "cli", args);
        let (found, output) = (process.wait(), process.printed());
        assert_eq!(found, code, "{args:?}: {output}");
        for part in printed {
            assert!(output.contains(part), "{args:?} does not say {part:?}: {output}");
        }
        output
    }
}

impl Drill {
    /// Serves a data directory, changes something, and checks the log; how many models were there before.
    async fn goes_on(&self, data: &str) -> usize {
        let server = self.serve(data).await;
        let mut models = self.models();
        let listed = models.list_models(ListModelsRequest { page_size: 500, ..Default::default() }).await;
        let listed = listed.expect("a list").into_inner().models.len();
        let model = Model { display_name: "Another".into(), owner: "dara".into(), ..Default::default() };
        let create = CreateModelRequest { model_id: "after".into(), model: Some(model), ..Default::default() };
        models.create_model(create).await.expect("the suite goes on");
        drop(server);
        self.remit(&["audit", "fsck", "--local", "--data-dir", text(&self.path(data))], 0, &["acme"]);
        listed
    }
}

/// Every file of a directory and of those in it.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_working_suite_is_restored_whole_or_not_at_all() {
    let drill = Drill::new();
    let server = drill.serve("data").await;
    // Changes go on while it is copied: each is in the log or in the outbox, and none is half.
    let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (mut models, stop, made) = (drill.models(), stop.clone(), made.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let model_id = named(made.fetch_add(1, Ordering::Relaxed));
                    let model = Model { display_name: "A model".into(), owner: "dara".into(), ..Default::default() };
                    let create = CreateModelRequest { model_id, model: Some(model), ..Default::default() };
                    models.create_model(create).await.expect("a change waits and is made");
                }
            })
        })
        .collect();
    eventually("there is something to lose", || async { made.load(Ordering::Relaxed) > 40 }).await;
    let (data, backup, restored) = (drill.path("data"), drill.path("backup"), drill.path("restored"));
    let take = ["backup", text(&backup), "--data-dir", text(&data)];
    let before = made.load(Ordering::Relaxed);
    let printed = drill.remit(&take, 0, &["audit", "registry", "manifest sha256:", "keys of the data directory"]);
    eventually("changes went on", || async { made.load(Ordering::Relaxed) > before + 20 }).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("no change was refused");
    }
    let later = drill.path("later");
    let way = ["audit", "--server", &format!("http://{}", drill.address), "--token", &drill.token];
    drill.remit(&[&way[..], &["checkpoint", "--save", text(&later)]].concat(), 0, &[]);
    drop(server);

    for file in files(&backup) {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is for its owner alone", file.display());
    }
    drill.remit(&take, 3, &["DIRECTORY_NOT_EMPTY"]);
    let digest = printed.split_whitespace().find(|word| word.starts_with("sha256:")).expect("a digest");
    let put = ["restore", text(&backup), "--data-dir", text(&restored), "--manifest", digest];
    drill.remit(&put, 0, &["each with the digest", "acme: ", "verified: every log computes"]);
    drill.remit(&put, 3, &["DIRECTORY_NOT_EMPTY"]);
    drill.remit(&["audit", "fsck", "--local", "--data-dir", text(&restored)], 0, &["acme"]);

    // It goes on: what was acknowledged before the backup is there, and what comes is recorded under numbers of its own.
    let listed = drill.goes_on("restored").await;
    assert!(listed + 5 > before, "{listed} of {before}");

    // What is not what it was is found out, and leaves nothing.
    let again = drill.path("again");
    let put = ["restore", text(&backup), "--data-dir", text(&again)];
    drill.remit(&[&put[..], &["--manifest", "sha256:0"]].concat(), 3, &["BACKUP_DAMAGED"]);
    drill.remit(&[&put[..], &["--checkpoint", text(&later)]].concat(), 3, &["its tail was cut", "LOG_DAMAGED"]);
    std::fs::remove_dir_all(&again).expect("a directory can be removed");
    let database = backup.join("audit.db");
    let good = std::fs::read(&database).expect("a file");
    std::fs::write(&database, [&good[..], b"more"].concat()).expect("a file can be written");
    drill.remit(&put, 3, &["BACKUP_DAMAGED", "audit.db is not what it was"]);
    std::fs::remove_file(&database).expect("a file can be removed");
    drill.remit(&put, 3, &["BACKUP_DAMAGED", "audit.db is missing"]);
    assert!(!again.exists(), "nothing is half restored");

    // Without its keys a log is not verified, and no other key is made.
    let apart = drill.path("apart");
    drill.remit(&["backup", text(&apart), "--data-dir", text(&data), "--without-keys"], 0, &["keep them apart"]);
    assert!(!files(&apart).iter().any(|file| text(file).contains("key") || text(file).ends_with(".pem")));
    drill.remit(&["restore", text(&apart), "--data-dir", text(&again)], 3, &["KEY_FILE_MISSING", "not verified"]);
}

/// From 0.1 on a later version opens what an earlier one left. `make release` makes the archives; `.ci/breaking` asks for that of
/// each tag.
#[tokio::test(flavor = "multi_thread")]
async fn what_each_release_left_opens() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("releases");
    let archives = std::fs::read_dir(kept).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    for archive in archives.filter(|path| path.extension().is_some_and(|ending| ending == "gz")) {
        let mut drill = Drill::new();
        let unpacked =
            std::process::Command::new("tar").arg("-xzf").arg(&archive).current_dir(drill.dir.path()).status();
        assert!(unpacked.is_ok_and(|status| status.success()), "{}", archive.display());
        let restored = drill.path("restored");
        let backup = drill.path("backup");
        drill.remit(&["restore", text(&backup), "--data-dir", text(&restored)], 0, &["verified: every log computes"]);
        let mut token = Process::start(
            drill.dir.path(),
            "cli",
            &["token", "--data-dir", text(&restored), "--subject", "ada", "--role", "admin", "--tenant", "acme"],
        );
        assert_eq!(token.wait(), 0, "{}", token.printed());
        drill.token = token.printed().trim().to_owned();
        let server = drill.serve("restored").await;
        let way = ["--server", &format!("http://{}", drill.address), "--token", &drill.token];
        drill.remit(&[&["task", "list"], &way[..]].concat(), 0, &["variants", "HUMAN_ON_THE_LOOP"]);
        drop(server);
        drill.goes_on("restored").await;
    }
}

/// Runs a program of PostgreSQL; false if it is not installed.
fn tool(name: &str, args: &[&str]) -> bool {
    let ended = match std::process::Command::new(name).args(args).output() {
        Ok(ended) => ended,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return false,
        Err(error) => panic!("{name}: {error}"),
    };
    assert!(ended.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&ended.stderr));
    true
}

/// The procedure for PostgreSQL in docs/operations.md: the directories, the dump, and back into another database.
#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_postgresql_is_restored_and_verified() {
    let server = "the test server can be used";
    let Some(database) = TestDb::postgres().await.expect(server) else {
        return eprintln!("no PostgreSQL: not tested here");
    };
    if !tool("pg_dump", &["--version"]) {
        return eprintln!("no pg_dump: not tested here");
    }
    let drill = Drill::new();
    let toml = |name: &str, data: &str, url: &str| {
        let path = drill.path(name);
        let data = drill.path(data);
        let toml = format!(
            "[data]\ndir = {data:?}\n[database]\nurl = {url:?}\nconnections = 4\n[server]\nlisten = \"{}\"\n",
            drill.address
        );
        std::fs::write(&path, toml).expect("a file can be written");
        path
    };
    let before = toml("before.toml", "data", database.url());
    let server = drill.serve_with(&["--config", text(&before)]).await;
    let model = Model { display_name: "A model".into(), owner: "dara".into(), ..Default::default() };
    let create = CreateModelRequest { model_id: "kept".into(), model: Some(model), ..Default::default() };
    drill.models().create_model(create).await.expect("a model");
    let (dump, data) = (drill.path("remit.dump"), drill.path("restored"));
    std::fs::create_dir(&data).expect("a directory can be made");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&data, mode).expect("its mode can be set");
    assert!(
        std::process::Command::new("cp")
            .args(["-r", &format!("{}/.", text(&drill.path("data"))), text(&data)])
            .status()
            .is_ok_and(|ended| ended.success())
    );
    tool("pg_dump", &["--format=custom", "--file", text(&dump), database.url()]);
    drop(server);

    let other = TestDb::postgres().await.expect("the test server can be used").expect("it was there before");
    tool("pg_restore", &["--exit-on-error", "--dbname", other.url(), text(&dump)]);
    let after = toml("after.toml", "restored", other.url());
    drill.remit(&["audit", "fsck", "--local", "--config", text(&after)], 0, &["acme"]);
    let _server = drill.serve_with(&["--config", text(&after)]).await;
    let listed = drill.models().list_models(ListModelsRequest::default()).await.expect("a list").into_inner();
    assert_eq!(listed.models.len(), 1);
    drill.remit(&["backup", text(&drill.path("none")), "--config", text(&after)], 3, &["BACKUP_NOT_EMBEDDED"]);
}
