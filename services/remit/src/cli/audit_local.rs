//! `remit audit`, the commands that need no server: whoever checks a log should not have to ask it.

use super::connect::{text, unreadable, write};
use super::output::Output;
use crate::args::Settings;
use clap::Args;
use remit_audit::export_verify::{Beforehand, verify_export};
use remit_audit::fsck;
use remit_audit::sequencer::Limits;
use remit_audit::service::AuditLog;
use remit_core::{Error, Ids, Result, SystemClock};
use remit_store::{Db, Options};
use remit_tlog::VerifierKey;
use secrecy::ExposeSecret as _;
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments of `remit audit verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The export.
    file: PathBuf,
    /// The verifier key of the log, got by a way you trust. Without it the key in the export is used, which
    /// shows that the export is whole, but not whose it is.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A signed checkpoint from before, which the export must extend.
    #[arg(long, value_name = "FILE")]
    earlier: Option<PathBuf>,
    /// The verifier key of a witness to rely on; may be repeated.
    #[arg(long = "witness", value_name = "KEY")]
    witnesses: Vec<String>,
    /// How many of the witnesses must have cosigned; all if absent.
    #[arg(long)]
    quorum: Option<usize>,
    /// Write the checkpoint of the export to this file, to give with --earlier the next time.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// Arguments of `remit audit fsck`.
#[derive(Debug, Args)]
pub struct Fsck {
    /// Recompute here, on the database and keys that the settings name, instead of asking the server.
    #[arg(long)]
    local: bool,
    /// The settings, for --local.
    #[command(flatten)]
    settings: Settings,
    /// A signed checkpoint from before: check only what came after, and that the log extends it.
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// Stop after this many findings.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i32).range(1..=1000))]
    max_findings: i32,
}

impl Fsck {
    /// Whether to check a database here.
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// The checkpoint from before; empty if none.
    pub fn since(&self) -> Result<String> {
        self.since.as_deref().map_or(Ok(String::new()), text)
    }

    /// How many findings at most.
    pub fn max_findings(&self) -> i32 {
        self.max_findings
    }
}

/// What a check that found faults ends with.
pub fn damaged(findings: usize) -> Error {
    Error::precondition("LOG_DAMAGED", format!("the log does not verify: {findings} findings"))
}

fn key(text: &str, field: &str) -> Result<VerifierKey> {
    VerifierKey::parse(text).map_err(|error| Error::invalid("KEY_INVALID", field, error.to_string()))
}

/// Checks an export offline.
pub fn verify(json: bool, arguments: Verify) -> Result<()> {
    let out = Output { json };
    let witnesses = arguments.witnesses.iter().map(|text| key(text, "witness")).collect::<Result<Vec<_>>>()?;
    let beforehand = Beforehand {
        key: arguments.key.as_deref().map(|text| key(text, "key")).transpose()?,
        quorum: arguments.quorum.unwrap_or(witnesses.len()),
        witnesses,
        earlier: arguments.earlier.as_deref().map(text).transpose()?,
    };
    let path = &arguments.file;
    let file = std::fs::File::open(path).map_err(|error| unreadable(path, error))?;
    let size = file.metadata().map_err(|error| unreadable(path, error))?.len();
    let bar = out.progress(size, "verifying");
    let found = verify_export(BufReader::with_capacity(1 << 20, bar.wrap_read(file)), &beforehand);
    bar.finish_and_clear();
    let found =
        found.map_err(|refused| Error::precondition("EXPORT_REFUSED", format!("{}: {refused}", path.display())))?;
    if let Some(path) = &arguments.save {
        write(path, found.note.as_bytes())?;
    }
    if !found.key_pinned {
        out.note("the key is the export's own: give --key to know whose log this is");
    }
    out.value(serde_json::json!({
        "verified": true,
        "origin": found.checkpoint.origin,
        "size": found.checkpoint.size,
        "start": found.start,
        "end": found.end,
        "entries": found.entries,
        "pruned": found.pruned,
        "sealed": found.sealed,
        "key": found.key,
        "keyPinned": found.key_pinned,
        "witnesses": found.witnesses,
        "extends": found.extends,
    }))
}

/// Recomputes the logs of all tenants in a database.
pub async fn fsck(json: bool, arguments: Fsck) -> Result<()> {
    if arguments.since.is_some() {
        return Err(Error::invalid(
            "OPTION_NOT_ALLOWED",
            "since",
            "cannot be used with --local: a database is checked as a whole",
        ));
    }
    let out = Output { json };
    let config = crate::local::load(&arguments.settings)?;
    let ids = Arc::new(Ids::new(Box::new(|bytes: &mut [u8]| rand::fill(bytes))));
    let url = config.database_url("audit");
    let missing = url.expose_secret().strip_prefix("sqlite:").filter(|path| !std::path::Path::new(path).exists());
    if let Some(path) = missing {
        return Err(Error::invalid("FILE_UNREADABLE", path, "does not exist"));
    }
    let options = Options {
        schema: (!config.database.urls.contains_key("audit")).then(|| "audit".to_owned()),
        migrate: false,
        ..Options::default()
    };
    let db = Db::open(url.expose_secret(), &remit_audit::SCHEMA, ids.clone(), options).await?;
    let keys = Arc::new(remit_audit::load_keys(&config, &ids)?);
    let log = AuditLog::new(db, Arc::new(SystemClock), keys, Limits::default());
    let most = usize::try_from(arguments.max_findings).unwrap_or(fsck::MAX_FINDINGS);
    let reports = fsck::all(&log, most).await?;
    let mut findings = 0;
    let mut values = Vec::new();
    for (tenant, report) in &reports {
        findings += report.findings.len();
        for finding in &report.findings {
            out.note(&format!("{tenant}: {} {}: {}", finding.kind.as_str_name(), finding.location, finding.message));
        }
        values.push(serde_json::json!({
            "tenant": tenant.as_str(), "size": report.size, "entries": report.entries, "pruned": report.pruned,
            "erased": report.erased, "tiles": report.tiles, "findings": report.findings.len(),
        }));
    }
    let columns = &[
        ("TENANT", "tenant", ""),
        ("SIZE", "size", ""),
        ("RECOMPUTED", "entries", ""),
        ("PRUNED", "pruned", ""),
        ("ERASED", "erased", ""),
        ("TILES", "tiles", ""),
        ("FINDINGS", "findings", ""),
    ];
    out.values(values, columns)?;
    if findings == 0 { Ok(()) } else { Err(damaged(findings)) }
}
