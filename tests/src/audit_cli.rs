//! `remit audit` through the real binary: what it verifies, what it refuses and by which name, and its exit codes
//! (0 done, 2 wrong input, 3 refused, 6 not reachable).

mod liars;
mod stamps;

use crate::support::{Bearer, Process, eventually, free_port};
use remit_api::audit::v1 as api;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::types;
use remit_core::{Actor, ActorKind, Tenant};
use remit_runtime::Config;
use remit_runtime::auth::{Keyring, Signer};
use remit_store::testing::ids;
use remit_store::{Db, Options, query};
use remit_tlog::note::Algorithm;
use remit_tlog::{Checkpoint, VerifierKey};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

/// One log on SQLite, whose server comes and goes.
struct Bench {
    dir: tempfile::TempDir,
    url: String,
    services: Keyring,
    token: String,
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is text")
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let toml = format!("[data]\ndir = \"{}\"\n", dir.path().join("data").display());
        let config = Config::from_toml(&toml).expect("a valid configuration");
        let signer = Signer::development(&config).expect("a development issuer");
        let services = Keyring::open(&config, &["registry"]).expect("a key of the suite's own");
        let actor = Actor {
            subject: "dpo".into(),
            kind: ActorKind::Human,
            roles: vec!["admin".into()],
            role_groups: vec![],
            on_behalf_of: None,
        };
        let tenant = Tenant::new("acme").expect("a tenant");
        let token = signer.token(&tenant, &actor, Duration::from_secs(3_600)).expect("a token");
        let bench = Self { url: format!("127.0.0.1:{}", free_port()), dir, services, token };
        bench.configure(&[]);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn configure(&self, witnesses: &[&str]) {
        let toml = format!(
            "[data]\ndir = \"{}\"\n[server]\nlisten = \"{}\"\n[telemetry]\nlog = \"error\"\n[audit]\nwitnesses = {witnesses:?}\n",
            self.path("data").display(),
            self.url
        );
        std::fs::write(self.path("remit.toml"), toml).expect("a file can be written");
    }

    async fn serve(&self) -> Process {
        let config = self.path("remit.toml");
        let args = ["serve", "--only", "audit", "--config", text(&config)];
        let mut process = Process::start(self.dir.path(), "server", &args);
        eventually("the log is served", || {
            assert!(process.is_running(), "it ended: {}", process.printed());
            let mut client = self.client(&self.token);
            async move { client.get_checkpoint(api::GetCheckpointRequest::default()).await.is_ok() }
        })
        .await;
        process
    }

    fn client(&self, token: &str) -> AuditServiceClient<InterceptedService<Channel, Bearer>> {
        let bearer = Bearer(format!("Bearer {token}").parse().expect("a header"));
        let endpoint = Endpoint::from_shared(format!("http://{}", self.url)).expect("a URL");
        AuditServiceClient::new(InterceptedService::new(endpoint.connect_lazy(), bearer))
    }

    /// Appends the events `{prefix}{from}` to `{prefix}{to - 1}`.
    async fn append(&self, prefix: &str, numbers: std::ops::Range<usize>) {
        self.append_of("", prefix, numbers).await;
    }

    /// The same with personal data of `subject`, if one is named.
    async fn append_of(&self, subject: &str, prefix: &str, numbers: std::ops::Range<usize>) {
        let tenant = Tenant::new("acme").expect("a tenant");
        let token = self.services.token(&tenant, "registry", Duration::from_secs(60)).expect("a token");
        let mut client = self.client(&token);
        let at = Some(prost_types::Timestamp { seconds: 1_767_225_600, nanos: 0 });
        let event = |n: usize| api::Event {
            id: format!("{prefix}{n}"),
            actor: Some(types::Actor {
                subject: "ann".into(),
                kind: types::ActorKind::Human.into(),
                ..Default::default()
            }),
            action: "registry.versions.suspend".into(),
            resource: format!("models/{n}"),
            outcome: api::Outcome::Success.into(),
            occurred_at: at,
            recorded_at: at,
            service: "registry".into(),
            personal: (!subject.is_empty()).then(|| api::PersonalData {
                subject: subject.into(),
                fields: [("email".to_owned(), "x@example.com".to_owned())].into(),
            }),
            ..Default::default()
        };
        let events = numbers.map(event).collect();
        client.append_batch(api::AppendBatchRequest { events, prove: false }).await.expect("recorded");
    }

    /// Runs `remit audit` to its end: its exit code and all that it printed.
    fn audit(&self, args: &[&str]) -> (i32, String) {
        let server = format!("http://{}", self.url);
        let way = ["audit", "--server", &server, "--token", &self.token];
        let mut process = Process::start(self.dir.path(), "cli", &[&way, args].concat());
        let code = process.wait();
        (code, process.printed())
    }

    /// Holds exit code and what must be printed.
    fn expect(&self, args: &[&str], code: i32, printed: &[&str]) -> String {
        let (found, output) = self.audit(args);
        assert_eq!(found, code, "{args:?}: {output}");
        for part in printed {
            assert!(output.contains(part), "{args:?} does not say {part:?}: {output}");
        }
        output
    }

    async fn sql(&self, sql: &'static str) {
        let url = format!("sqlite:{}", self.path("data/audit.db").display());
        let db = Db::open(&url, &remit_audit::SCHEMA, ids(), Options::default()).await.expect("the database opens");
        let mut tx = db.write().await.expect("a transaction");
        assert_eq!(query(sql).execute(&mut tx).await.expect("a statement"), 1, "{sql}");
        tx.commit().await.expect("a commit");
        db.close().await;
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a directory can be made");
    let mode = std::fs::metadata(from).expect("a directory").permissions();
    std::fs::set_permissions(to, mode).expect("its mode can be set");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            std::fs::copy(path, copied).expect("a file can be copied");
        }
    }
}

/// The content of every file of a directory.
fn content(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.clone(), std::fs::read(path).expect("a file")))
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_verified_offline() {
    let bench = Bench::new();
    let server = bench.serve().await;
    bench.append("e", 0..40).await;
    let (export, early, note) = (bench.path("export.ndjson"), bench.path("early"), bench.path("checkpoint"));
    let printed = bench.expect(&["checkpoint", "--save", text(&note)], 0, &["verifier key: "]);
    let key = printed.lines().find_map(|line| line.strip_prefix("verifier key: ")).expect("a key").to_owned();
    bench.expect(&["export", "-o", text(&early)], 0, &["entries 0 to 40"]);
    bench.append("e", 40..60).await;
    // 60, or 61 if the entry of the first export is there already.
    bench.expect(&["export", "-o", text(&export)], 0, &["entries 0 to 6"]);
    let proof = bench.path("entry-7.tlog-proof");
    bench.expect(&["proof", "7", "-o", text(&proof)], 0, &["proof of entry 7"]);
    bench.expect(&["export", "-o", text(&early), "--cosigned"], 3, &["NOT_COSIGNED"]);
    let selection = bench.path("selection");
    let filter = ["--filter", "resource = \"models/1*\" AND recorded_at >= \"2026-01-01\""];
    bench.expect(
        &[&["export", "-o", text(&selection), "--since", text(&note)], &filter[..]].concat(),
        0,
        &["selection"],
    );
    bench.expect(&["export", "-o", text(&selection), "--filter", "nothing"], 2, &["FILTER_INVALID"]);
    drop(server);

    // From here on there is no server.
    bench.expect(
        &["verify", "--json", text(&export)],
        0,
        &["\"verified\": true", "\"keyPinned\": false", "give --key"],
    );
    let saved = bench.path("saved");
    let pinned = ["verify", "--json", text(&export), "--key", &key, "--earlier", text(&note), "--save", text(&saved)];
    bench.expect(&pinned, 0, &["\"keyPinned\": true", "\"extends\": 40"]);
    bench.expect(&["verify", text(&early), "--earlier", text(&saved)], 3, &["EXPORT_REFUSED"]);

    let printed = bench.expect(&["verify", text(&selection), "--key", &key, "--since", text(&note)], 0, &["SELECTION"]);
    assert!(printed.contains("each of the 11 entries") && printed.contains("models/1*"), "{printed}");

    let known = VerifierKey::parse(&key).expect("the printed key can be read");
    let other = ed25519_dalek::SigningKey::from_bytes(&[5; 32]).verifying_key();
    let other = VerifierKey::new(known.name(), Algorithm::Ed25519, other).expect("a key").to_string();
    bench.expect(&["verify", text(&export), "--key", &other], 3, &["EXPORT_REFUSED"]);
    bench.expect(&["verify", text(&export), "--key", "nonsense"], 2, &["KEY_INVALID"]);
    bench.expect(&["verify", text(&bench.path("nothing"))], 2, &["FILE_UNREADABLE"]);
    bench.expect(&["verify"], 2, &["--state"]);
    bench.expect(&["verify", text(&proof), "--key", &key], 0, &["models/7", "7 of 6"]);
    bench.expect(&["verify", text(&proof)], 2, &["FIELD_REQUIRED"]);
    let forged = std::fs::read_to_string(&proof).expect("the proof").replacen("\nindex 7\n", "\nindex 8\n", 1);
    std::fs::write(&proof, forged).expect("a file can be written");
    bench.expect(&["verify", text(&proof), "--key", &key], 3, &["PROOF_REFUSED"]);
    let witness = ed25519_dalek::SigningKey::from_bytes(&[6; 32]).verifying_key();
    let witness = VerifierKey::new("w.example", Algorithm::CosignatureV1, witness).expect("a key").to_string();
    bench.expect(&["verify", text(&export), "--witness", &witness], 3, &["EXPORT_REFUSED"]);

    // The signing key is changed, and the old one leads to the new.
    let next = bench.path("next.pem");
    remit_audit::keys::signing_key(&next, true, &ids()).expect("a key is made");
    let config = std::fs::read_to_string(bench.path("remit.toml")).expect("the configuration");
    let config = format!("{config}next_signing_key = {:?}\n", text(&next));
    std::fs::write(bench.path("remit.toml"), config).expect("a file can be written");
    let server = bench.serve().await;
    let changed = bench.path("changed");
    bench.expect(&["export", "-o", text(&changed)], 0, &["entries 0 to 6"]);
    drop(server);
    let pinned = ["verify", text(&changed), "--key", &key, "--since", text(&saved)];
    bench.expect(&pinned, 0, &["KEY CHANGED"]);
    bench.expect(&["verify", text(&changed), "--key", &other], 3, &["EXPORT_REFUSED", "leads"]);

    let good = std::fs::read_to_string(&export).expect("the export");
    let tampered = bench.path("tampered");
    std::fs::write(&tampered, good.replacen("models/17", "models/71", 1)).expect("a file can be written");
    bench.expect(&["verify", text(&tampered)], 3, &["EXPORT_REFUSED", "line 19"]);
    let cut: String = good.split_inclusive('\n').filter(|line| !line.contains("models/17\"")).collect();
    std::fs::write(&tampered, cut).expect("a file can be written");
    bench.expect(&["verify", text(&tampered)], 3, &["EXPORT_REFUSED", "line 19"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_forgets_or_lies_is_named() {
    let bench = Bench::new();
    let (state, memory) = (bench.path("state"), bench.path("witness"));
    let server = bench.serve().await;
    bench.append("e", 0..10).await;
    let printed = bench.expect(&["checkpoint"], 0, &["verifier key: "]);
    let key = printed.lines().find_map(|line| line.strip_prefix("verifier key: ")).expect("a key").to_owned();
    let verify = ["verify", "--state", text(&state)];
    let witness = ["witness", "--log-key", &key, "--name", "w1.example", "--state", text(&memory)];
    // A witness says its key before the server knows it.
    let printed = bench.expect(&witness, 4, &["this witness is ", "WITNESS_UNKNOWN"]);
    let own = printed.lines().find_map(|line| line.strip_prefix("this witness is ")).expect("a key").to_owned();
    drop(server);
    bench.configure(&[&own]);

    let server = bench.serve().await;
    bench.expect(&verify, 0, &["10 entries, seen for the first time", "give --key"]);
    // A server whose log had another name when it was seen first is not believed, but who has the key may say so.
    let renamed = bench.path("renamed");
    let again = ["verify", "--state", text(&renamed)];
    bench.expect(&again, 0, &["seen for the first time"]);
    let (place, _) = content(&renamed)
        .into_iter()
        .find(|(path, _)| path.extension().is_some_and(|end| end == "server"))
        .expect("where the log was found is remembered");
    let other = ed25519_dalek::SigningKey::from_bytes(&[5; 32]).verifying_key();
    let other = VerifierKey::new("other.example/acme", Algorithm::Ed25519, other).expect("a key").to_string();
    std::fs::write(place, other).expect("a file can be written");
    bench.expect(&again, 3, &["LOG_RENAMED", "other.example/acme"]);
    bench.expect(&["verify", "--state", text(&renamed), "--key", &key], 0, &["as before"]);
    bench.expect(&again, 0, &["as before"]);
    bench.expect(&witness, 0, &["at size 10"]);
    drop(server);
    // That a witness is new is an entry too.
    copy(&bench.path("data"), &bench.path("backup"));

    let server = bench.serve().await;
    bench.expect(&verify, 0, &["11 entries, extends the 10 of before"]);
    bench.expect(&verify, 0, &["11 entries, as before"]);
    bench.append("e", 10..30).await;
    bench.expect(&verify, 0, &["31 entries, extends the 11 of before"]);
    bench.expect(&witness, 0, &["at size 31"]);
    drop(server);
    let (seen, remembered) = (content(&state), content(&memory));

    // An old backup is put back: the tail is gone.
    let restore = || {
        std::fs::remove_dir_all(bench.path("data")).expect("a directory can be removed");
        copy(&bench.path("backup"), &bench.path("data"));
    };
    restore();
    let server = bench.serve().await;
    bench.expect(&verify, 3, &["LOG_ROLLED_BACK", "31", "11"]);
    bench.expect(&witness, 3, &["WITNESS_ROLLBACK", "31", "11"]);
    // And grows again, with other entries, to and beyond the size that was seen.
    bench.append("other", 0..20).await;
    bench.expect(&verify, 3, &["LOG_FORKED"]);
    bench.expect(&witness, 3, &["WITNESS_FORK"]);
    bench.append("other", 20..40).await;
    bench.expect(&verify, 3, &["LOG_FORKED"]);
    bench.expect(&witness, 3, &["WITNESS_FORK"]);
    assert_eq!((content(&state), content(&memory)), (seen, remembered), "a refusal leaves the memory as it was");
    let other = ed25519_dalek::SigningKey::from_bytes(&[5; 32]).verifying_key();
    let known = VerifierKey::parse(&key).expect("the printed key can be read");
    let other = VerifierKey::new(known.name(), Algorithm::Ed25519, other).expect("a key").to_string();
    let fresh = bench.path("fresh");
    bench.expect(&["verify", "--state", text(&fresh), "--key", &other], 3, &["LOG_REFUSED"]);
    drop(server);
    bench.expect(&verify, 6, &["SERVER_UNREACHABLE"]);

    let file = content(&memory).into_iter().find(|(path, _)| path.extension().is_some_and(|end| end == "checkpoint"));
    let (path, bytes) = file.expect("the witness remembers");
    let seen = Checkpoint::parse(&String::from_utf8(bytes).expect("text")).expect("a checkpoint");
    assert_eq!(seen.size, 31);
    std::fs::write(path, "damaged").expect("a file can be written");
    let _server = bench.serve().await;
    bench.expect(&witness, 3, &["WITNESS_STATE_FAILED", "damaged"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_a_server_is_led_to_its_next_signing_key() {
    let bench = Bench::new();
    let state = bench.path("state");
    let server = bench.serve().await;
    bench.append("e", 0..10).await;
    let printed = bench.expect(&["checkpoint"], 0, &["verifier key: "]);
    let old = printed.lines().find_map(|line| line.strip_prefix("verifier key: ")).expect("a key").to_owned();
    let verify = ["verify", "--state", text(&state)];
    bench.expect(&verify, 0, &["10 entries, seen for the first time"]);
    drop(server);

    let next = bench.path("next.pem");
    remit_audit::keys::signing_key(&next, true, &ids()).expect("a key is made");
    let config = bench.path("remit.toml");
    let toml = std::fs::read_to_string(&config).expect("a file can be read");
    std::fs::write(&config, format!("{toml}next_signing_key = {next:?}\n")).expect("a file can be written");
    let _server = bench.serve().await;
    bench.append("e", 10..20).await;
    let printed = bench.expect(&verify, 0, &["KEY CHANGED: entry 10 of", "21 entries, extends the 10 of before"]);
    assert!(printed.contains(&old), "{printed}");
    let printed = bench.expect(&verify, 0, &["21 entries, as before"]);
    assert!(!printed.contains("KEY CHANGED"), "the new key is remembered: {printed}");
    // Who was given the old key may go on to give it, also at the first contact.
    bench.expect(&[&verify[..], &["--key", &old]].concat(), 0, &["KEY CHANGED", "as before"]);
    let fresh = bench.path("fresh");
    bench.expect(&["verify", "--state", text(&fresh), "--key", &old], 0, &["KEY CHANGED", "seen for the first time"]);
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[5; 32]).verifying_key();
    let known = VerifierKey::parse(&old).expect("the printed key can be read");
    let stranger = VerifierKey::new(known.name(), Algorithm::Ed25519, stranger).expect("a key").to_string();
    bench.expect(&[&verify[..], &["--key", &stranger]].concat(), 3, &["no signature by"]);
    bench.expect(&verify, 0, &["as before"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_asks_what_happened_and_how_long_it_is_kept() {
    let bench = Bench::new();
    let _server = bench.serve().await;
    bench.append("e", 0..300).await;
    bench.append_of("leads/1", "p", 300..301).await;
    bench.expect(&["get", "0"], 0, &["models/0", "registry.versions.suspend", "ann"]);
    bench.expect(&["get", "999"], 5, &["ENTRY_NOT_FOUND"]);
    let found = bench.expect(&["search", "resource = \"models/0\""], 0, &["INDEX", "models/0"]);
    let row = found.lines().find(|line| line.contains("models/0")).expect("the entry");
    assert!(row.trim_start().starts_with("0 "), "the first entry has an index too: {found}");
    let tailed = bench.expect(&["tail", "--start", "298"], 0, &["models/299"]);
    assert_eq!(tailed.lines().filter(|line| line.starts_with('{')).count(), 3, "{tailed}");
    let tailed = bench.expect(&["tail", "--action", "council."], 0, &[]);
    assert!(!tailed.contains('{'), "{tailed}");
    bench.expect(&["who", "models/3"], 0, &["ann", "registry.versions.suspend", "TIMES"]);
    bench.expect(&["why", "models/3"], 0, &["ann", "SUCCESS", "models/3"]);
    bench.expect(&["reveal", "300"], 0, &["x@example.com"]);
    bench.expect(&["search", "action = \"audit.personal.reveal\""], 0, &["entries/300", "dpo"]);
    bench.expect(&["reveal", "0"], 5, &["PERSONAL_DATA_ABSENT"]);

    bench.expect(&["retention"], 0, &["for ever"]);
    bench.expect(&["retention", "--keep", "30"], 2, &["184"]);
    bench.expect(&["retention", "--keep", "200"], 0, &["for 200 days"]);
    let engage = ["hold", "engage", "m1", "--reason", "matter 7", "--resource", "models/3"];
    bench.expect(&engage, 0, &["legalHolds/m1", "matter 7"]);
    bench.expect(&["hold", "list"], 0, &["m1", "matter 7", "models/3", "dpo"]);
    // Of the one full tile all but models/3 and models/30 to 39 may go.
    bench.expect(&["prune"], 0, &["245 entries to be removed with --remove", "11 before entry 256 stay"]);
    bench.expect(&["get", "5"], 0, &["models/5"]);
    bench.expect(&["prune", "--remove"], 0, &["245 entries removed"]);
    bench.expect(&["get", "3"], 0, &["models/3"]);
    bench.expect(&["get", "5"], 0, &["pruned"]);
    bench.expect(&["hold", "release", "m1", "--reason", "settled"], 0, &["settled"]);
    let left = bench.expect(&["hold", "list"], 0, &[]);
    assert!(!left.contains("m1"), "{left}");
    bench.expect(&["hold", "list", "--released"], 0, &["m1"]);
    let export = bench.path("export");
    bench.expect(&["export", "-o", text(&export)], 0, &[]);
    bench.expect(&["verify", text(&export)], 0, &["REMOVED: 245 entries"]);
    bench.expect(&["fsck"], 0, &["245 pruned"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fsck_names_the_first_bad_entry_and_tile() {
    let bench = Bench::new();
    let server = bench.serve().await;
    for start in (0..300).step_by(100) {
        bench.append("e", start..start + 100).await;
    }
    bench.expect(&["fsck"], 0, &["300 entries, 300 recomputed from 0"]);
    drop(server);
    let config = bench.path("remit.toml");
    let local = ["fsck", "--local", "--config", text(&config)];
    // The entry of the check by the server may be there by now.
    bench.expect(&local, 0, &["acme", "30"]);

    bench.sql("update entries set actor = 'eve' where tenant_id = 'acme' and idx = 7").await;
    let what = "COLUMN entries/7: actor is \"eve\" and should be \"ann\"";
    let printed = bench.expect(&local, 3, &["LOG_DAMAGED", what]);
    assert_eq!(printed.matches("COLUMN").count(), 1, "{printed}");
    bench.sql("update entries set actor = 'ann' where tenant_id = 'acme' and idx = 7").await;
    bench.sql("update tiles set hashes = zeroblob(8192) where tenant_id = 'acme' and level = 0 and idx = 0").await;
    bench.expect(&local, 3, &["LOG_DAMAGED", "TILE tile/0/000"]);
    let server = bench.serve().await;
    bench.expect(&["fsck"], 3, &["LOG_DAMAGED", "TILE", "tile/0/000"]);
    drop(server);
    bench.sql("delete from entries where tenant_id = 'acme' and idx = 299").await;
    bench.expect(&local, 3, &["LOG_DAMAGED", "entries/299"]);

    // A database that was emptied is not one without a log.
    let database = bench.path("data/audit.db");
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", text(&database)));
    }
    let url = format!("sqlite:{}", text(&database));
    let db = Db::open(&url, &remit_audit::SCHEMA, ids(), Options::default()).await.expect("a database is made");
    db.close().await;
    bench.expect(&local, 3, &["LOG_DAMAGED", "acme: HEAD head: this log was last signed here with", "ended at 0"]);
}

/// A witness as others run them: it speaks HTTP, has one memory, and knows one log. Ends with the test.
async fn foreign_witness(log: VerifierKey, dir: PathBuf) -> (String, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let key = ed25519_dalek::SigningKey::from_bytes(&[8; 32]);
    let signer = remit_tlog::Signer::new("foreign.example", Algorithm::CosignatureV1, key).expect("a key");
    let own = signer.verifier().clone();
    let witness = remit_audit::witness::Witness::open(signer, &dir).expect("a memory");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/prefix/", listener.local_addr().expect("an address"));
    let key = own.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let body = loop {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head
                        .lines()
                        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
                    if length.and_then(|length| length.parse().ok()) == Some(body.len()) {
                        assert!(head.starts_with("POST /prefix/add-checkpoint "), "{head}");
                        break body.to_owned();
                    }
                }
                if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    return;
                }
            };
            let (proof, note) = body.split_once("\n\n").expect("an empty line");
            let mut lines = proof.lines();
            let old = lines.next().and_then(|line| line.strip_prefix("old ")).expect("a size");
            let proof: Vec<_> = lines.map(|line| remit_tlog::Hash::from_base64(line).expect("a hash")).collect();
            let known = witness.memory(&log).expect("a memory").map_or(0, |seen| seen.size);
            let (status, body) = if old == known.to_string() {
                match witness.cosign(&log, note, &proof, 1_767_225_600) {
                    Ok(cosigned) => ("200 OK", cosigned.note.signature_by(&key).expect("its line").to_string()),
                    Err(_) => ("422 Unprocessable Entity", String::new()),
                }
            } else {
                ("409 Conflict", format!("{known}\n"))
            };
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.expect("an answer");
        }
    });
    (url, own.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_somebody_else_runs_is_asked_and_believed_against_the_server() {
    let bench = Bench::new();
    let server = bench.serve().await;
    bench.append("e", 0..10).await;
    let printed = bench.expect(&["checkpoint"], 0, &["verifier key: "]);
    let key = printed.lines().find_map(|line| line.strip_prefix("verifier key: ")).expect("a key");
    let key = VerifierKey::parse(key).expect("the printed key can be read");
    let (url, witness) = foreign_witness(key, bench.path("foreign")).await;
    let push = ["push", &url, "--witness", &witness];
    drop(server);
    bench.configure(&[&witness]);
    let server = bench.serve().await;
    bench.expect(&push, 0, &["foreign.example cosigned", "at size 10"]);
    drop(server);
    copy(&bench.path("data"), &bench.path("backup"));
    let server = bench.serve().await;
    // That the witness is new is an entry.
    bench.append("e", 10..30).await;
    bench.expect(&push, 0, &["at size 31"]);
    bench.expect(&push, 0, &["at size 31"]);
    bench.expect(&["checkpoint", "--json"], 0, &["foreign.example"]);
    let csv = bench.expect(
        &["search", "--csv", "--limit", "3", "--filter", "action = \"registry.*\""],
        0,
        &["index,recorded_at"],
    );
    assert!(csv.contains("registry.versions.suspend,models/") && csv.contains("--page-token"), "{csv}");
    drop(server);
    // The server's old backup is put back, and goes on another way.
    std::fs::remove_dir_all(bench.path("data")).expect("a directory can be removed");
    copy(&bench.path("backup"), &bench.path("data"));
    let _server = bench.serve().await;
    bench.expect(&push, 3, &["LOG_ROLLED_BACK", "31"]);
    bench.append("other", 0..40).await;
    bench.expect(&push, 3, &["LOG_FORKED", "31"]);
    bench.expect(&["push", "http://127.0.0.1:1", "--witness", &witness], 6, &["SERVER_UNREACHABLE"]);
    bench.expect(&["push", "nowhere", "--witness", &witness], 2, &["URL_INVALID"]);
}
