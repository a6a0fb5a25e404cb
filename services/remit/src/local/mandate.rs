//! `remit mandate verify`: what a body decided, checked without any server.

use crate::args::VerifyMandate;
use crate::cli::{print_raw, text, unreadable};
use remit_audit::export_verify::{Beforehand, verify_export};
use remit_core::mandate::Mandate;
use remit_core::quorum::Choice;
use remit_core::{Error, Result, canonical};
use remit_runtime::Mandates;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

fn read(path: &Path) -> Result<String> {
    let read = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).map_err(|error| unreadable(path, error))
    } else {
        text(path)
    };
    read.map(|text| text.trim().to_owned())
}

pub(super) async fn run(args: VerifyMandate) -> Result<()> {
    let keys = Mandates::trusting(&args.keys.display().to_string()).await?;
    let mandate = keys.verify(&read(&args.mandate)?).await?;
    mandate.check_decision()?;
    let found = args.export.as_deref().map(|path| find_votes(&mandate, path)).transpose()?;
    print_raw(describe(&mandate, found).as_bytes())
}

/// Checks an export of the log as `remit audit verify` does, and looks every vote up in it; returns how many are there.
fn find_votes(mandate: &Mandate, export: &Path) -> Result<usize> {
    let file = std::fs::File::open(export).map_err(|error| unreadable(export, error))?;
    verify_export(BufReader::new(file), &Beforehand::default())
        .map_err(|refused| Error::precondition("EXPORT_REFUSED", format!("{}: {refused}", export.display())))?;
    let mut wanted: BTreeMap<&str, &str> =
        mandate.evidence.iter().map(|vote| (vote.event.as_str(), vote.digest.as_str())).collect();
    let all = wanted.len();
    let file = std::fs::File::open(export).map_err(|error| unreadable(export, error))?;
    for line in BufReader::new(file).lines().skip(1) {
        let line = line.map_err(|error| unreadable(export, error))?;
        let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
        let Some(entry) = line.get("entry") else { continue };
        let id = entry.get("id").and_then(Value::as_str).unwrap_or_default();
        let Some(digest) = wanted.get(id) else { continue };
        let details = entry.get("details").unwrap_or(&Value::Null);
        if canonical::digest(details)? != *digest || !is_vote(mandate, entry) {
            let what = format!("the entry {id} does not say what the mandate says of this vote");
            return Err(Error::precondition("VOTE_ALTERED", what));
        }
        wanted.remove(id);
    }
    match wanted.keys().next() {
        None => Ok(all),
        Some(id) => {
            let what = format!("{} of {all} votes are not in the export, such as {id}", wanted.len());
            Err(Error::precondition("VOTE_MISSING", what))
        }
    }
}

/// Whether an entry is the council's own, of a vote by a person on this proposal that was taken.
fn is_vote(mandate: &Mandate, entry: &Value) -> bool {
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let voter = text("/actor/subject");
    text("/action") == "council.proposals.vote"
        && text("/service") == "council"
        && text("/outcome") == "SUCCESS"
        && text("/resource") == mandate.sub
        && text("/actor/kind") == "human"
        && mandate.ballot.votes.iter().any(|vote| vote.voter == voter)
}

fn describe(mandate: &Mandate, found: Option<usize>) -> String {
    let time = |seconds: i64| remit_core::Timestamp(seconds.saturating_mul(1_000_000)).to_string();
    let votes = mandate.ballot.votes.iter().filter(|vote| vote.choice == Choice::Approve);
    let votes: Vec<String> = votes
        .map(
            |vote| {
                if vote.voter == vote.seat { vote.seat.clone() } else { format!("{} for {}", vote.voter, vote.seat) }
            },
        )
        .collect();
    let mut text = format!(
        "valid: signed by the council; its votes meet the pinned rule and the floor\n\
         tenant     {}\nproposal   {}\nact        {}\nbody       {}\nfor        {} with the request {}\nproposer   {}\n\
         approved   {}\nvalid      {} to {}\n",
        mandate.tenant,
        mandate.sub,
        mandate.kind,
        mandate.body,
        mandate.permission,
        mandate.request_digest,
        mandate.ballot.proposer,
        votes.join(", "),
        time(mandate.nbf),
        time(mandate.exp),
    );
    if let Some(found) = found {
        let _ = writeln!(text, "in the log {found} votes, each as the mandate says");
    }
    text
}
