//! `remit audit timestamp`: has a checkpoint stamped by an authority (RFC 3161) that the operator did not choose; and the
//! check of what it answered, without a server.

use super::audit_local::key;
use super::audit_server;
use super::connect::{Session, answer, text, unreadable};
use super::output::Output;
use super::target;
use clap::Args;
use remit_api::audit::v1::GetCheckpointRequest;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_audit::export_verify::Timestamped;
use remit_audit::timestamp::{Authorities, Authority, Token};
use remit_core::{Error, Ids, Result};
use remit_tlog::{Checkpoint, Note, VerifierKey};
use std::path::{Path, PathBuf};

/// Arguments of `remit audit timestamp`.
#[derive(Debug, Args)]
pub(crate) struct Timestamp {
    /// The address of the authority, such as http://timestamp.example.
    url: String,
    /// Write the authority's answer to this file, such as checkpoint.tsr.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Write the signed checkpoint that was stamped to this file; without it nobody can tell what was.
    #[arg(long, value_name = "FILE")]
    save: PathBuf,
    /// A PEM file with the certificates of authorities, to one of which the answer's must lead.
    #[arg(long, value_name = "FILE")]
    timestamp_ca: Option<PathBuf>,
}

/// The authorities of a PEM file.
pub(super) fn authorities(path: Option<&Path>) -> Result<Option<Authorities>> {
    let Some(path) = path else { return Ok(None) };
    let invalid = |why| Error::invalid("CERTIFICATE_INVALID", "timestamp-ca", format!("{}: {why}", path.display()));
    let pem = std::fs::read(path).map_err(|error| unreadable(path, error))?;
    Authorities::from_pem(&pem).map(Some).map_err(invalid)
}

/// Has the newest checkpoint stamped, with the cosignatures that it has.
pub(super) async fn stamp(session: &Session, arguments: &Timestamp) -> Result<()> {
    let trusted = authorities(arguments.timestamp_ca.as_deref())?;
    let pinned = trusted.is_some();
    let authority = Authority::new(&arguments.url, session.timeout, trusted)?;
    let mut client = AuditServiceClient::new(session.wire());
    let checkpoint = answer(client.get_checkpoint(GetCheckpointRequest::default()).await)?;
    audit_server::credible(&checkpoint)?;
    let ids = Ids::new(Box::new(|bytes: &mut [u8]| rand::fill(bytes)));
    let stamped = authority.stamp(&checkpoint.note, &ids).await?;
    target::write(&arguments.save, checkpoint.note.as_bytes())?;
    target::write(&arguments.output, &stamped.answer)?;
    if !pinned {
        session.out.note("nobody vouches for the authority: give --timestamp-ca to know who it is");
    }
    let (size, time) = (checkpoint.size, stamped.stamp.time);
    let (save, output) = (arguments.save.display(), arguments.output.display());
    session.out.text(&format!("the checkpoint of {size} entries ({save}) was stamped {time} ({output})"), || {
        Ok(serde_json::json!({"size": size, "time": time.to_string(), "serial": stamped.stamp.serial}))
    })
}

/// What the check of an answer needs beside it.
pub(super) struct Known {
    /// The key of the log.
    pub(super) key: Option<VerifierKey>,
    /// The file of the checkpoint that was stamped.
    pub(super) checkpoint: Option<PathBuf>,
    /// The authorities to rely on.
    pub(super) authorities: Option<Authorities>,
}

/// Checks that an authority's answer is about a checkpoint.
pub(super) fn verify(out: &Output, path: &Path, known: &Known) -> Result<()> {
    let required = |field: &str, why: &str| Error::invalid("FIELD_REQUIRED", field, why);
    let checkpoint = known.checkpoint.as_deref();
    let checkpoint = checkpoint
        .ok_or_else(|| required("checkpoint", "must name the checkpoint that was stamped, as --save wrote it"))?;
    let refused =
        |why: &dyn std::fmt::Display| Error::precondition("TIMESTAMP_INVALID", format!("{}: {why}", path.display()));
    let note = text(checkpoint)?;
    let wrong = |error: remit_tlog::Error| {
        Error::precondition("CHECKPOINT_INVALID", format!("{}: {error}", checkpoint.display())).with_source(error)
    };
    let parsed = Note::parse(&note).map_err(wrong)?;
    if let Some(key) = &known.key {
        parsed.verify(key).map_err(wrong)?;
    }
    let Checkpoint { origin, size, .. } = Checkpoint::parse(&parsed.text).map_err(wrong)?;
    let answer = std::fs::read(path).map_err(|error| unreadable(path, error))?;
    let read = || {
        let token = Token::read(&answer)?;
        token.is_of(note.as_bytes())?;
        token.verify(known.authorities.as_ref())
    };
    let stamp = read().map_err(|why| refused(&why))?;
    if known.key.is_none() {
        out.note("that the log signed the checkpoint was not checked: give --key");
    }
    if known.authorities.is_none() {
        out.note("nobody vouches for the authority: give --timestamp-ca to know who it is");
    }
    let facts = [
        ("verified", "yes".to_owned()),
        ("log", origin.clone()),
        ("entries", format!("{size} existed")),
        ("at", format!("{}, by the clock of the authority", stamp.time)),
        ("token", stamp.serial.clone()),
    ];
    out.facts(&facts, || {
        Ok(serde_json::json!({
            "verified": true, "origin": origin, "size": size, "time": stamp.time.to_string(), "serial": stamp.serial,
            "trusted": known.authorities.is_some(), "keyPinned": known.key.is_some(),
        }))
    })
}

/// A time stamp among the entries of an export, for people.
pub(super) fn found(stamp: &Timestamped) -> String {
    let Timestamped { index, size, time, authority, trusted, .. } = stamp;
    let whose = if *trusted {
        "which a given certificate vouches for"
    } else {
        "whose certificate was not compared: give --timestamp-ca"
    };
    format!("TIMESTAMPED: {size} entries existed at {time}, by entry {index} with the answer of {authority}, {whose}")
}

/// The same for programs.
pub(super) fn told(stamp: &Timestamped) -> serde_json::Value {
    serde_json::json!({
        "index": stamp.index, "size": stamp.size, "time": stamp.time.to_string(), "serial": stamp.serial,
        "authority": stamp.authority, "trusted": stamp.trusted,
    })
}

/// The verifier key that was given.
pub(super) fn given(text: Option<&str>) -> Result<Option<VerifierKey>> {
    text.map(|text| key(text, "key")).transpose()
}
