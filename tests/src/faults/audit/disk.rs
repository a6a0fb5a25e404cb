//! A file system without space: the write path says so, loses nothing, and goes on by itself once there is
//! space again.
//!
//! The space is that of a small tmpfs, which takes root, or sudo without a password, to mount. Where neither is
//! to be had, the tests fail unless `REMIT_TEST_SKIP_FULL_DISK=1` says that this is known; `make test` finds out,
//! and says so.

use super::{Ledger, Refusal, Replicas, Writers, check};
use crate::support::eventually;
use remit_api::audit::v1 as api;
use remit_store::testing::TestDb;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;
use tonic::Code;

/// A file system with little space; unmounted with this value.
struct SmallDisk(TempDir);

fn privileged(arguments: &[&str]) -> Result<(), String> {
    let run = |program: &str, arguments: &[&str]| match Command::new(program).args(arguments).output() {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(String::from_utf8_lossy(&done.stderr).trim().to_owned()),
        Err(error) => Err(format!("{program}: {error}")),
    };
    run(arguments[0], &arguments[1..])
        .or_else(|why| run("sudo", &[&["-n"], arguments].concat()).map_err(|also| format!("{why}; {also}")))
}

impl SmallDisk {
    /// `None` only where the developer has said so.
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().to_str().expect("a temporary path is text");
        let options = format!("size={size},mode=1777");
        match privileged(&["mount", "-t", "tmpfs", "-o", &options, "remit-test", path]) {
            Ok(()) => Some(Self(dir)),
            Err(_) if std::env::var("REMIT_TEST_SKIP_FULL_DISK").is_ok_and(|value| value == "1") => {
                eprintln!("SKIPPED: a full disk is not tested here");
                None
            }
            Err(why) => panic!(
                "a full disk needs a small tmpfs, which cannot be mounted here ({why}): \
                 run as root, or set REMIT_TEST_SKIP_FULL_DISK=1 to leave this out"
            ),
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Takes all space but `left` bytes.
    fn fill(&self, left: u64) {
        let mut file = File::create(self.ballast()).expect("a file can be made");
        let mut size = 0;
        loop {
            match file.write(&[0; 4_096]) {
                Ok(written) => size += written as u64,
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("the ballast cannot be written: {error}"),
            }
        }
        file.set_len(size.saturating_sub(left)).expect("a file can be cut");
    }

    fn empty(&self) {
        std::fs::remove_file(self.ballast()).expect("the ballast is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(why) = privileged(&["umount", "-l", self.path().to_str().unwrap_or_default()]) {
            eprintln!("{} stays mounted: {why}", self.path().display());
        }
    }
}

async fn fill_and_empty(disk: &SmallDisk, suite: &Replicas) {
    let ledger = Arc::new(Ledger { padding: 2_000, ..Ledger::default() });
    let mut running = suite.start_all().await;
    // With no space at all, and with a little, so that different writes are the first to find none.
    for left in [0, 40_000, 200_000] {
        let writers = Writers::start(suite, &ledger);
        let goal = ledger.count() + 50;
        eventually("entries are acknowledged", || async { ledger.count() >= goal }).await;
        disk.fill(left);
        let goal = ledger.refusals().len() + 20;
        eventually("the disk is full", || async { ledger.refusals().len() >= goal }).await;
        let mut reader = suite.client(0, &suite.auditor);
        let checkpoint = reader.get_checkpoint(api::GetCheckpointRequest::default()).await;
        checkpoint.expect("reading needs no space");
        disk.empty();
        let goal = ledger.count() + 50;
        eventually("appends go on by themselves", || async { ledger.count() >= goal }).await;
        writers.stop().await;
    }
    assert!(running.iter_mut().all(super::Process::is_running), "a process ended");
    for Refusal { code, reason, retry_after } in ledger.refusals() {
        assert_eq!((code, reason.as_str()), (Code::Unavailable, "STORAGE_FULL"));
        assert!(retry_after.is_some(), "no time to come back");
    }
    check(suite, &ledger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_under_sqlite() {
    let Some(disk) = SmallDisk::mount("64m") else { return };
    let suite = Replicas::with(None, 1, Some(&disk.path().join("data")), "");
    fill_and_empty(&disk, &suite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_under_postgres() {
    let Some(disk) = SmallDisk::mount("96m") else { return };
    let database = match TestDb::postgres_in(disk.path()).await {
        Ok(Some(database)) => database,
        Ok(None) => return eprintln!("no PostgreSQL: not tested here"),
        Err(error) if error.reason() == "TEST_SERVER_ELSEWHERE" => return eprintln!("SKIPPED: {error}"),
        Err(error) => panic!("the test server cannot be used: {error}"),
    };
    let suite = Replicas::new(Some(database.url()), 2);
    fill_and_empty(&disk, &suite).await;
}
