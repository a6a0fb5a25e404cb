//! The binary as a shell sees it, where no suite runs.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

fn remit(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remit"));
    command.args(args).env_remove("REMIT_TOKEN").env_remove("REMIT_TOKEN_FILE").stdin(Stdio::null());
    command
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    for args in [["config", "reference"], ["config", "default"], ["completions", "bash"]] {
        let mut child = remit(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), b"".as_slice()), "{args:?}");
    }
}

#[test]
fn an_error_is_json_for_whoever_asks_for_json() {
    let ended = remit(&["task", "list", "--json"]).output().unwrap();
    assert_eq!((ended.status.code(), ended.stdout.as_slice()), (Some(4), b"".as_slice()));
    let value: serde_json::Value = serde_json::from_slice(&ended.stderr).unwrap();
    assert_eq!((&value["error"]["reason"], &value["error"]["exitCode"]), (&"TOKEN_MISSING".into(), &4.into()));
    let ended = remit(&["task", "list"]).output().unwrap();
    assert!(ended.stderr.starts_with(b"remit: no token"));
}

#[test]
fn one_option_has_one_name_and_the_old_one_still_counts() {
    for args in
        [["audit", "verify", "export", "--since", "nowhere"], ["audit", "verify", "export", "--earlier", "nowhere"]]
    {
        let ended = remit(&args).output().unwrap();
        assert_eq!(ended.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&ended.stderr).contains("FILE_UNREADABLE"), "{args:?}");
    }
}
