//! Says which commit the binary is built from.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=REMIT_COMMIT");
    // Written at every commit and change of branch. A path that is not there would have cargo run this every time.
    let log = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.git/logs/HEAD");
    if log.is_file() {
        println!("cargo:rerun-if-changed={}", log.display());
    } else {
        println!("cargo:rerun-if-changed=build.rs");
    }
    let given = std::env::var("REMIT_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(described).unwrap_or_else(|| "unknown commit".to_owned());
    println!("cargo:rustc-env=REMIT_COMMIT={commit}");
}

/// The commit of the working tree, if git knows one.
fn described() -> Option<String> {
    let git = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let commit = String::from_utf8(git.stdout).ok()?.trim().to_owned();
    (git.status.success() && !commit.is_empty()).then_some(commit)
}
