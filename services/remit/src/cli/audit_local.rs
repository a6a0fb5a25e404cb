//! `remit audit`, the checking of logs without a server, of an export and of a database: whoever checks a log should not
//! have to ask it.

use super::audit_proof;
use super::audit_timestamp::{self, Known};
use super::connect::{text, unreadable};
use super::output::Output;
use super::target;
use crate::settings::Settings;
use clap::Args;
use remit_audit::Service;
use remit_audit::export_verify::{Beforehand, Handover, Pruning, Verified, named, verify_export};
use remit_audit::fsck;
use remit_audit::sequencer::Limits;
use remit_core::{Clock as _, Error, Ids, Result, SystemClock};
use remit_store::{Db, Options};
use remit_tlog::VerifierKey;
use secrecy::ExposeSecret as _;
use std::io::{BufReader, Read as _, Seek as _};
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments of `remit audit verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The export, the proof file or the answer of a time-stamping authority, checked without a server. Without it the server's newest checkpoint is checked against the
    /// one that --state remembers.
    file: Option<PathBuf>,
    /// Where this reader of a server keeps the last checkpoint that it saw. The log's key is kept there too, from
    /// the first contact on, unless --key gives it.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "since"])]
    pub(super) state: Option<PathBuf>,
    /// The verifier key of the log, got by a way you trust. Without it the key in the export is used, which
    /// shows that the export is whole, but not whose it is.
    #[arg(long, value_name = "KEY")]
    pub(super) key: Option<String>,
    /// A signed checkpoint from before, which the export must extend.
    #[arg(long, alias = "earlier", value_name = "FILE")]
    since: Option<PathBuf>,
    /// The verifier key of a witness to rely on; may be repeated.
    #[arg(long = "witness", value_name = "KEY")]
    witnesses: Vec<String>,
    /// How many of the witnesses must have cosigned; all if absent.
    #[arg(long)]
    quorum: Option<usize>,
    /// The leaf hash of the entry, for a proof file that does not hold the entry itself.
    #[arg(long, value_name = "HEX", conflicts_with = "state")]
    leaf_hash: Option<String>,
    /// The signed checkpoint that an authority stamped, for the file of its answer.
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    checkpoint: Option<PathBuf>,
    /// A PEM file with the certificates of time-stamping authorities, to one of which each time stamp must lead.
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    timestamp_ca: Option<PathBuf>,
    /// Write the checkpoint of the export to this file, to give with --since the next time.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// Arguments of `remit audit fsck`.
#[derive(Debug, Args)]
pub(crate) struct Fsck {
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

impl Verify {
    /// Whether to ask a server.
    pub(super) fn asks_server(&self) -> bool {
        self.state.is_some()
    }

    /// The witnesses to rely on, and how many of them must have cosigned.
    pub(super) fn witnesses(&self) -> Result<(Vec<VerifierKey>, usize)> {
        let witnesses = self.witnesses.iter().map(|text| key(text, "witness")).collect::<Result<Vec<_>>>()?;
        let quorum = self.quorum.unwrap_or(witnesses.len());
        Ok((witnesses, quorum))
    }
}

impl Fsck {
    /// Whether to check a database here.
    pub(super) fn is_local(&self) -> bool {
        self.local
    }

    /// The checkpoint from before; empty if none.
    pub(super) fn since(&self) -> Result<String> {
        self.since.as_deref().map_or(Ok(String::new()), text)
    }

    /// How many findings at most.
    pub(super) fn max_findings(&self) -> i32 {
        self.max_findings
    }
}

/// What a check that found faults ends with.
pub(super) fn damaged(findings: usize) -> Error {
    Error::precondition("LOG_DAMAGED", format!("the log does not verify: {findings} findings"))
}

pub(super) fn key(text: &str, field: &str) -> Result<VerifierKey> {
    VerifierKey::parse(text).map_err(|error| Error::invalid("KEY_INVALID", field, error.to_string()))
}

/// Checks an export offline.
pub(super) fn verify(json: bool, arguments: Verify) -> Result<()> {
    let out = Output { json };
    let (witnesses, quorum) = arguments.witnesses()?;
    let beforehand = Beforehand {
        key: audit_timestamp::given(arguments.key.as_deref())?,
        quorum,
        witnesses,
        earlier: arguments.since.as_deref().map(text).transpose()?,
        now: Some(now()),
        authorities: audit_timestamp::authorities(arguments.timestamp_ca.as_deref())?,
    };
    let path = arguments.file.as_ref();
    let path = path.ok_or_else(|| {
        Error::invalid("FIELD_REQUIRED", "file", "must name an export, or --state be given to check a server")
    })?;
    let mut file = std::fs::File::open(path).map_err(|error| unreadable(path, error))?;
    let mut begin = Vec::new();
    let read = file.by_ref().take(PROOF.len() as u64).read_to_end(&mut begin).and_then(|_| file.rewind());
    read.map_err(|error| unreadable(path, error))?;
    if begin == PROOF.as_bytes() {
        return audit_proof::verify(&out, path, beforehand, arguments.leaf_hash.as_deref());
    }
    // DER begins so, and no text does.
    if begin.first() == Some(&0x30) {
        let Beforehand { key, authorities, .. } = beforehand;
        return audit_timestamp::verify(&out, path, &Known { key, checkpoint: arguments.checkpoint, authorities });
    }
    let size = file.metadata().map_err(|error| unreadable(path, error))?.len();
    let bar = out.progress(size, "verifying");
    let found = verify_export(BufReader::with_capacity(1 << 20, bar.wrap_read(file)), &beforehand);
    bar.finish_and_clear();
    let found =
        found.map_err(|refused| Error::precondition("EXPORT_REFUSED", format!("{}: {refused}", path.display())))?;
    if let Some(path) = &arguments.save {
        target::write(path, found.note.as_bytes())?;
    }
    if !found.key_pinned {
        out.note("the key is the export's own: give --key to know whose log this is");
    }
    for (witness, time) in &found.untimely {
        out.note(&format!(
            "{witness} says that it cosigned {time} seconds after 1970, which cannot be: it does not count"
        ));
    }
    found.handovers.iter().for_each(|handover| out.note(&changed(handover)));
    for pruning in &found.prunings {
        out.note(&removed(pruning));
    }
    // The last says the most, and all are in the answer for programs.
    if let Some(stamp) = found.stamps.last() {
        out.note(&audit_timestamp::found(stamp));
    }
    if let Some(filter) = &found.selection {
        out.note(&format!(
            "SELECTION: each of the {} entries is in the log. That they pass {filter:?}, that none was left out, and what \
             retention removed, is nothing but the word of whoever made the export",
            found.entries
        ));
    }
    out.facts(&facts(&found, beforehand.witnesses.len()), || Ok(told(&found)))
}

/// How a proof file begins.
const PROOF: &str = "c2sp.org/tlog-proof@v1\n";

/// The time now, in seconds since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(SystemClock.now().micros() / 1_000_000).unwrap_or(0)
}

/// A change of the signing key, for people.
pub(super) fn changed(Handover { index, time, old, new }: &Handover) -> String {
    format!("KEY CHANGED: entry {index} of {time} leads from {old} to {new}")
}

/// What a pruning removed, for people.
fn removed(pruning: &Pruning) -> String {
    let Pruning { index, actor, time, keep_days, entries, spans, compared, .. } = pruning;
    let basis = if *compared {
        "which is the retention that the log shows, under no hold on everything"
    } else {
        "which was not compared with retention and holds: the export does not hold the log from its first entry to there"
    };
    let spans = named(spans);
    format!(
        "REMOVED: {entries} entries ({spans}) by entry {index} of {actor} at {time}, kept for {keep_days} days, {basis}"
    )
}

fn facts(found: &Verified, witnesses: usize) -> Vec<(&'static str, String)> {
    let removed = match found.pruned {
        _ if found.selection.is_some() => "not told, as of any selection".to_owned(),
        0 => "none".to_owned(),
        pruned => format!("{pruned}, each accounted for by one of {} prunings", found.prunings.len()),
    };
    let selected = if found.selection.is_some() { "some from " } else { "" };
    let key =
        if found.key_pinned { "the one given, or led to by it" } else { "the export's own, which shows no owner" };
    vec![
        ("verified", "yes".to_owned()),
        ("log", found.checkpoint.origin.clone()),
        ("entries", format!("{selected}{} up to {} of {}", found.start, found.end, found.checkpoint.size)),
        ("with content", found.entries.to_string()),
        ("removed", removed),
        ("sealed data", found.sealed.to_string()),
        (
            "extends",
            found.extends.map_or("nothing given".to_owned(), |size| format!("the checkpoint of {size} entries")),
        ),
        ("witnesses", format!("{} of {witnesses} given", found.witnesses)),
        ("key", format!("{} ({key})", found.key)),
    ]
}

fn told(found: &Verified) -> serde_json::Value {
    let pruning = |pruning: &Pruning| {
        serde_json::json!({
            "index": pruning.index, "actor": pruning.actor, "time": pruning.time.to_string(), "keepDays": pruning.keep_days,
            "entries": pruning.entries, "spans": pruning.spans, "compared": pruning.compared,
        })
    };
    let handover = |one: &Handover| {
        serde_json::json!({
            "index": one.index, "time": one.time.to_string(), "old": one.old.to_string(), "new": one.new.to_string(),
        })
    };
    serde_json::json!({
        "verified": true,
        "origin": found.checkpoint.origin,
        "size": found.checkpoint.size,
        "start": found.start,
        "end": found.end,
        "entries": found.entries,
        "pruned": found.pruned,
        "handovers": found.handovers.iter().map(handover).collect::<Vec<_>>(),
        "prunings": found.prunings.iter().map(pruning).collect::<Vec<_>>(),
        "sealed": found.sealed,
        "timestamps": found.stamps.iter().map(audit_timestamp::told).collect::<Vec<_>>(),
        "key": found.key,
        "keyPinned": found.key_pinned,
        "witnesses": found.witnesses,
        "untimely": found.untimely,
        "extends": found.extends,
        "selection": found.selection,
    })
}

/// Recomputes the logs of all tenants in a database.
pub(super) async fn fsck(json: bool, arguments: Fsck) -> Result<()> {
    if arguments.since.is_some() {
        return Err(Error::invalid(
            "OPTION_NOT_ALLOWED",
            "since",
            "cannot be used with --local: a database is checked as a whole",
        ));
    }
    let out = Output { json };
    let config = arguments.settings.load()?;
    let ids = Arc::new(Ids::new(Box::new(|bytes: &mut [u8]| rand::fill(bytes))));
    let url = config.database_url("audit");
    let missing = url.expose_secret().strip_prefix("sqlite:").filter(|path| !std::path::Path::new(path).exists());
    if let Some(path) = missing {
        return Err(Error::invalid("FILE_UNREADABLE", path, "does not exist"));
    }
    let options = Options {
        schema: config.database_schema("audit"),
        transaction_pooler: config.database.transaction_pooler,
        migrate: false,
        ..Options::default()
    };
    let db = Db::open(url.expose_secret(), &remit_audit::SCHEMA, ids.clone(), options).await?;
    let keys = Arc::new(remit_audit::load_keys(&config, &ids)?.remembering(remit_audit::heads_dir(&config)));
    let log = Service::new(db, Arc::new(SystemClock), keys, Limits::default());
    let most = usize::try_from(arguments.max_findings).unwrap_or(fsck::MAX_FINDINGS);
    let reports = fsck::all(&log, most).await?;
    let mut findings = 0;
    let mut values = Vec::new();
    for (tenant, report) in &reports {
        findings += report.findings.len();
        for finding in &report.findings {
            let kind = finding.kind.as_str_name();
            let kind = kind.strip_prefix("FINDING_KIND_").unwrap_or(kind);
            out.note(&format!("{tenant}: {kind} {}: {}", finding.location, finding.message));
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
