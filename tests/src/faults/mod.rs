//! What goes wrong outside of the program: kills, locks, taken ports, absent and newer databases.

mod access;
mod audit;
mod cluster;
mod keys;
mod mandates;
mod notify;
mod peers;
mod scoring;

use crate::support::{Process, eventually, free_port};
use remit::demo::report::Saved;
use remit_core::Ids;
use remit_store::{Db, Options, query};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is text")
}

/// Runs the binary to its end; its exit code and what it printed.
fn run(dir: &Path, name: &str, args: &[&str]) -> (i32, String) {
    let mut process = Process::start(dir, name, args);
    let code = process.wait();
    (code, process.printed())
}

async fn serve(dir: &Path, name: &str, args: &[&str]) -> Process {
    let mut process = Process::start(dir, name, &[&["serve"], args].concat());
    eventually("the suite serves", || {
        let printed = process.printed();
        assert!(process.is_running(), "it ended: {printed}");
        async move { printed.contains("serving on") }
    })
    .await;
    process
}

/// The months that a demo has finished, by name.
fn months(out: &Path) -> BTreeMap<String, Saved> {
    let Ok(folder) = std::fs::read_dir(out.join("months")) else { return BTreeMap::new() };
    folder
        .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .filter_map(|period| Some((period.clone(), Saved::read(out, &period).ok()??)))
        .collect()
}

/// `kill -9` in the middle of the months, three times, each time started again on the same directory: the
/// final numbers are those of a run that nobody disturbed.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_demo_goes_on_and_ends_with_the_same_numbers() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (calm, killed) = (dir.path().join("calm"), dir.path().join("killed"));
    let (code, printed) = run(dir.path(), "calm", &["demo", "--sample", "--out", text(&calm)]);
    assert_eq!(code, 0, "{printed}");
    for (round, done) in [1, 4, 7].into_iter().enumerate() {
        let mut process =
            Process::start(dir.path(), &format!("killed-{round}"), &["demo", "--sample", "--out", text(&killed)]);
        eventually_long("the demo comes to the month of the kill", || {
            months(&killed).len() >= done || !process.is_running()
        })
        .await;
        assert!(process.is_running(), "it ended: {}", process.printed());
        process.kill();
    }
    let (code, printed) = run(dir.path(), "last", &["demo", "--sample", "--out", text(&killed)]);
    assert_eq!(code, 0, "{printed}");
    let facts = |out: &Path| {
        let facts = months(out).into_iter().map(|(period, Saved { row })| {
            (period, (row.leads, row.routed, row.converted, row.n, row.psi.to_bits(), row.verdict, row.decision))
        });
        facts.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(facts(&killed), facts(&calm));
    assert_eq!(facts(&calm).len(), 12);
}

/// Like `eventually`, for what takes minutes on a busy machine.
async fn eventually_long(what: &str, mut probe: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if probe() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{what}: not after two minutes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_one_directory_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let _first = serve(dir.path(), "first", &["--data-dir", text(&data), "--listen", "127.0.0.1:0"]).await;
    let (code, printed) = run(dir.path(), "second", &["serve", "--data-dir", text(&data), "--listen", "127.0.0.1:0"]);
    assert_eq!(code, 3, "{printed}");
    assert!(printed.contains("DATA_DIR_IN_USE") && printed.contains(text(&data)), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
    let address = taken.local_addr().expect("a bound listener has an address").to_string();
    let (code, printed) =
        run(dir.path(), "taken", &["serve", "--data-dir", text(&dir.path().join("data")), "--listen", &address]);
    assert_ne!(code, 0, "{printed}");
    assert!(printed.contains("ADDRESS_IN_USE") && printed.contains(&address), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_postgres_is_named_without_its_password() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let url = format!("postgres://remit:topsecret@127.0.0.1:{}/remit", free_port());
    let data = dir.path().join("data");
    let args = ["serve", "--data-dir", text(&data), "--listen", "127.0.0.1:0", "--database-url", &url];
    let (code, printed) = run(dir.path(), "unreachable", &args);
    assert_eq!(code, 6, "{printed}");
    assert!(printed.contains("DATABASE_UNAVAILABLE"), "{printed}");
    assert!(!printed.contains("topsecret"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_a_newer_version_is_left_alone() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    drop(serve(dir.path(), "first", &["--data-dir", text(&data), "--listen", "127.0.0.1:0"]).await);
    let file = data.join("audit.db");
    let ids = Arc::new(Ids::new(Box::new(|bytes: &mut [u8]| bytes.fill(0))));
    let db = Db::open(&format!("sqlite:{}", file.display()), &remit_audit::SCHEMA, ids, Options::default()).await;
    let db = db.expect("the database opens");
    let mut tx = db.write().await.expect("it can be written");
    query("update remit_migrations set version = 9999 where version = (select max(version) from remit_migrations)")
        .execute(&mut tx)
        .await
        .expect("the version can be raised");
    tx.commit().await.expect("the version is kept");
    db.close().await;
    let (code, printed) = run(dir.path(), "older", &["serve", "--data-dir", text(&data), "--listen", "127.0.0.1:0"]);
    assert_eq!(code, 3, "{printed}");
    assert!(printed.contains("SCHEMA_NEWER") && printed.contains("9999"), "{printed}");
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("remit.toml");
    std::fs::write(&path, "[server]\nlissten = \"127.0.0.1:0\"\n").expect("the file can be written");
    let (code, printed) = run(dir.path(), "unknown", &["serve", "--config", text(&path)]);
    assert_eq!(code, 2, "{printed}");
    assert!(printed.contains("lissten"), "{printed}");
}

#[test]
fn the_doctor_names_every_fault() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("remit.toml");
    let toml = format!(
        "[data]\ndir = \"{}\"\n[database]\nurl = \"postgres://nobody@127.0.0.1:{}/x\"\n[server]\nlisten = \"127.0.0.1:0\"\n",
        dir.path().join("data").display(),
        free_port(),
    );
    std::fs::write(&path, toml).expect("the file can be written");
    let (code, printed) = run(dir.path(), "doctor", &["doctor", "--config", text(&path)]);
    assert_eq!(code, 3, "{printed}");
    assert_eq!(printed.matches("DATABASE_UNAVAILABLE").count(), 7, "one for each service: {printed}");
}
