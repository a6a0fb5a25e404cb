//! `remit audit`, the checking of logs: of an export and of a database without a server, whoever checks a log
//! should not have to ask it, and of a server by what it said before.

use super::audit_proof;
use super::connect::{Session, answer, no_answer, text, unreadable};
use super::output::Output;
use super::target;
use crate::bearer::Wire;
use crate::settings::Settings;
use clap::Args;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{GetCheckpointRequest, GetConsistencyProofRequest};
use remit_audit::Service;
use remit_audit::export_verify::{Beforehand, CLOCKS, Handover, Pruning, SINCE, Verified, named, verify_export};
use remit_audit::fsck;
use remit_audit::sequencer::Limits;
use remit_audit::witness::Shelf;
use remit_core::{Clock as _, Error, Ids, Kind, Result, SystemClock};
use remit_store::{Db, Options};
use remit_tlog::client::{LogVerifier, Progress, Trust};
use remit_tlog::{Hash, VerifierKey};
use secrecy::ExposeSecret as _;
use std::io::{BufReader, Read as _, Seek as _};
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments of `remit audit verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The export or the proof file, checked without a server. Without it the server's newest checkpoint is checked against the
    /// one that --state remembers.
    file: Option<PathBuf>,
    /// Where this reader of a server keeps the last checkpoint that it saw. The log's key is kept there too, from
    /// the first contact on, unless --key gives it.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "since"])]
    state: Option<PathBuf>,
    /// The verifier key of the log, got by a way you trust. Without it the key in the export is used, which
    /// shows that the export is whole, but not whose it is.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
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

    fn witnesses(&self) -> Result<(Vec<VerifierKey>, usize)> {
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
        key: arguments.key.as_deref().map(|text| key(text, "key")).transpose()?,
        quorum,
        witnesses,
        earlier: arguments.since.as_deref().map(text).transpose()?,
        now: Some(now()),
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
    for Handover { index, time, old, new } in &found.handovers {
        out.note(&format!("KEY CHANGED: entry {index} of {time} leads from {old} to {new}"));
    }
    for pruning in &found.prunings {
        out.note(&removed(pruning));
    }
    out.facts(&facts(&found, beforehand.witnesses.len()), || Ok(told(&found)))
}

/// How a proof file begins.
const PROOF: &str = "c2sp.org/tlog-proof@v1\n";

/// The time now, in seconds since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(SystemClock.now().micros() / 1_000_000).unwrap_or(0)
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
        0 => "none".to_owned(),
        pruned => format!("{pruned}, each accounted for by one of {} prunings", found.prunings.len()),
    };
    let key =
        if found.key_pinned { "the one given, or led to by it" } else { "the export's own, which shows no owner" };
    vec![
        ("verified", "yes".to_owned()),
        ("log", found.checkpoint.origin.clone()),
        ("entries", format!("{} up to {} of {}", found.start, found.end, found.checkpoint.size)),
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
        "key": found.key,
        "keyPinned": found.key_pinned,
        "witnesses": found.witnesses,
        "untimely": found.untimely,
        "extends": found.extends,
    })
}

/// Checks what a server says now against what it said before: its log must have grown from the remembered
/// checkpoint and still hold it.
pub(super) async fn verify_server(session: &Session, arguments: Verify) -> Result<()> {
    let mut client = AuditServiceClient::new(session.wire());
    let (witnesses, quorum) = arguments.witnesses()?;
    let min_cosignatures = i32::try_from(quorum).unwrap_or(i32::MAX);
    let offered = answer(client.get_checkpoint(GetCheckpointRequest { min_cosignatures }).await)?;
    let dir = arguments.state.unwrap_or_default();
    let (keys, notes) = (Shelf::open(&dir, "key")?, Shelf::open(&dir, "note")?);
    // What a server calls its log is up to the server: a log is remembered by where it was found.
    let (servers, place) = (Shelf::open(&dir, "server")?, place(&session.server, &session.tenant));
    let remembered = match servers.get(&place)? {
        Some(text) => Some(key(text.trim(), "state").map_err(|error| servers.damaged(&place, error))?),
        None => None,
    };
    let log = match (&arguments.key, remembered) {
        (Some(text), _) => key(text, "key")?,
        (None, Some(log)) if log.name() == offered.origin => log,
        (None, Some(log)) => {
            let what = format!("the server shows the log {}, and showed {} before", offered.origin, log.name());
            return Err(Error::precondition("LOG_RENAMED", what));
        }
        (None, None) => match keys.get(&offered.origin)? {
            Some(text) => key(text.trim(), "state").map_err(|error| keys.damaged(&offered.origin, error))?,
            None => {
                session.out.note("the key is the server's own, kept from now on: give --key to know whose log this is");
                VerifierKey::parse(&offered.verifier_key).map_err(no_answer)?
            }
        },
    };
    let name = log.name().to_owned();
    let wrong = |error: remit_tlog::Error| {
        let reason = match &error {
            remit_tlog::Error::Rollback { .. } => "LOG_ROLLED_BACK",
            remit_tlog::Error::Fork { .. } => "LOG_FORKED",
            _ => "LOG_REFUSED",
        };
        Error::new(Kind::FailedPrecondition, reason, format!("{name}: {error}"))
    };
    let trust = Trust::new(log.name(), log.clone(), witnesses, quorum)
        .map_err(|error| Error::invalid("KEY_INVALID", "witness", error.to_string()))?
        .within(SINCE..=now().saturating_add(CLOCKS));
    let state = notes.get(&name)?;
    let mut verifier = LogVerifier::new(trust, state.as_deref()).map_err(|error| notes.damaged(&name, error))?;
    let seen = verifier.seen().map_or(0, |seen| seen.size);
    let proof = consistency(&mut client, seen, offered.size).await?;
    let progress = verifier.update(&offered.note, &proof).map_err(wrong)?;
    // The key first: a note without its key could not be read again.
    keys.put(&name, &log.to_string())?;
    notes.put(&name, &offered.note)?;
    servers.put(&place, &log.to_string())?;
    // What was verified, and not what the server says beside it.
    let size = verifier.seen().map_or(0, |seen| seen.size);
    let text = match progress {
        Progress::First => format!("{name}: {size} entries, seen for the first time"),
        Progress::Unchanged => format!("{name}: {size} entries, as before"),
        Progress::Grew { from } => format!("{name}: {size} entries, extends the {from} of before"),
    };
    session.out.text(&text, || {
        let extends = (progress != Progress::First).then_some(seen);
        Ok(serde_json::json!({"verified": true, "origin": name, "size": size, "extends": extends}))
    })
}

/// Where a log was found: the server, in one spelling, and the tenant.
fn place(server: &str, tenant: &str) -> String {
    format!("{} {tenant}", server.trim_end_matches('/').to_ascii_lowercase())
}

/// The server's proof that its log of `new` entries extends that of `old`; none where none is due.
pub(super) async fn consistency(client: &mut AuditServiceClient<Wire>, old: u64, new: i64) -> Result<Vec<Hash>> {
    let old_size = i64::try_from(old).unwrap_or(i64::MAX);
    if old_size == 0 || old_size >= new {
        return Ok(Vec::new());
    }
    let request = GetConsistencyProofRequest { old_size, new_size: new };
    let proof = answer(client.get_consistency_proof(request).await)?;
    let hash = |bytes: Vec<u8>| Hash::from_slice(&bytes).map_err(no_answer);
    proof.hashes.into_iter().map(hash).collect()
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
    let keys = Arc::new(remit_audit::load_keys(&config, &ids)?);
    let log = Service::new(db, Arc::new(SystemClock), keys, Limits::default());
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
