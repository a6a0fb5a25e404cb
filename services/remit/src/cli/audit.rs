//! `remit audit`, the commands that talk to the server.

use super::Group;
use super::audit_local::{self, Fsck, Verify};
use super::audit_push::{self, Push};
use super::audit_server;
use super::audit_stream::{self, Form};
use super::audit_timestamp::{self, Timestamp};
use super::auditor;
use super::connect::{Session, answer, no_answer, refused};
use super::list::{ListArgs, Page};
use super::output::{Column, json, moved};
use super::target::{self, Target};
use crate::bearer::Wire;
use clap::{Args, Subcommand};
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{
    AddCosignatureRequest, EntryView, EraseSubjectRequest, ExportRequest, GetCheckpointRequest, GetEntryRequest,
    GetInclusionProofRequest, RewrapSubjectKeysRequest, SearchOrder, SearchRequest, VerifyLogRequest,
    VerifyLogResponse,
};
use remit_audit::keys::signing_key;
use remit_audit::witness::Witness as WitnessMemory;
use remit_core::{Error, Ids, Result};
use remit_tlog::note::Algorithm;
use remit_tlog::proof::check_inclusion;
use remit_tlog::proof_file::ProofFile;
use remit_tlog::{Checkpoint, Hash, Note, Signer, VerifierKey, leaf_hash};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::{Response, Streaming};

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Search entries, such as those with 'action = "registry.versions.transition"'.
    Search {
        /// The filter without its option.
        #[arg(value_name = "FILTER", conflicts_with = "filter", hide = true)]
        given: Option<String>,
        /// Which entries.
        #[command(flatten)]
        list: ListArgs,
        /// Oldest first instead of newest first.
        #[arg(long)]
        oldest: bool,
        /// One JSON text a line, printed as it is found.
        #[arg(long)]
        ndjson: bool,
        /// CSV with a header line, printed as it is found: one line an entry, times in UTC, details as JSON.
        #[arg(long, conflicts_with = "ndjson")]
        csv: bool,
        /// Where to go on, as --ndjson or --csv said at its end; with the same filter and order.
        #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
        page_token: String,
    },
    /// Print the signed checkpoint: what a later export or checkpoint must extend.
    Checkpoint {
        /// Write the signed note to this file.
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
    },
    /// Write entries with their proofs to a file, for verification without the server.
    Export(Export),
    /// Write one entry with its proof to a file that verify checks without the server (C2SP tlog-proof).
    Proof(Proof),
    /// Check an export, a proof file or a time stamp offline, without server or token; or, with --state, a server's newest checkpoint against
    /// the last one that was seen. Exit code 3 if anything is wrong.
    Verify(Verify),
    /// Destroy the key of a person's data. Entries and proofs stay; the data cannot be read again.
    Erase {
        /// The pseudonymous reference, such as leads/lead-00001.
        subject: String,
        /// Why; it is kept in the log.
        #[arg(long)]
        reason: String,
    },
    /// Seal the keys of the tenant's personal data with the current master key, after it was changed, until none is under
    /// an older one; docs/keys.md says when.
    Rewrap,
    /// Remember the newest checkpoint and cosign only what extends it.
    Witness(Witness),
    /// Have a witness that somebody else runs cosign the newest checkpoint (C2SP tlog-witness).
    Push(Push),
    /// Have an authority stamp the newest checkpoint with the time (RFC 3161); verify checks its answer without the server.
    Timestamp(Timestamp),
    /// Have the server recompute its log from its entries; with --local, do it here on the stored database.
    /// Exit code 3 if anything is wrong.
    Fsck(Fsck),
    /// What an auditor asks.
    #[command(flatten)]
    Auditor(auditor::Command),
}

/// Arguments of `remit audit export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The file.
    #[arg(long, short, alias = "out", value_name = "FILE")]
    output: PathBuf,
    /// The first index.
    #[arg(long, default_value_t = 0)]
    start: i64,
    /// The index after the last; 0 is the end of the log.
    #[arg(long, default_value_t = 0)]
    end: i64,
    /// A signed checkpoint from before: the export then proves that it extends it.
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// Include personal data in its sealed form.
    #[arg(long)]
    sealed: bool,
    /// The size of the log to export as of; the size now if absent.
    #[arg(long, default_value_t = 0)]
    size: i64,
    /// Export as of the newest checkpoint that this many witnesses cosigned, one if no number is given, so that
    /// verify --witness can rely on them.
    #[arg(long, value_name = "WITNESSES", num_args = 0..=1, default_missing_value = "1", conflicts_with = "size",
          value_parser = clap::value_parser!(i32).range(1..))]
    cosigned: Option<i32>,
    /// Go on over entries that are missing and that no pruning accounts for. Such an export does not verify: it is for
    /// whoever investigates.
    #[arg(long, conflicts_with = "filter")]
    allow_gaps: bool,
    /// Only the entries that pass this filter, as of search, each with its proof: a selection, which does not prove that none
    /// was left out.
    #[arg(long)]
    filter: Option<String>,
}

/// Arguments of `remit audit proof`.
#[derive(Debug, Args)]
pub(crate) struct Proof {
    /// The index of the entry.
    index: u64,
    /// The file, such as entry-7.tlog-proof.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// The size of the log to prove it in; the size now if absent.
    #[arg(long, default_value_t = 0)]
    size: i64,
    /// Prove it in the newest checkpoint that this many witnesses cosigned, one if no number is given.
    #[arg(long, value_name = "WITNESSES", num_args = 0..=1, default_missing_value = "1", conflicts_with = "size",
          value_parser = clap::value_parser!(i32).range(1..))]
    cosigned: Option<i32>,
}

/// Arguments of `remit audit witness`.
#[derive(Debug, Args)]
pub(crate) struct Witness {
    /// The verifier key of the log, as `remit audit checkpoint` prints it, got by a way you trust.
    #[arg(long, alias = "log-key", value_name = "KEY")]
    key: String,
    /// The origin of the log, where it is not the name of its key.
    #[arg(long)]
    origin: Option<String>,
    /// The name of this witness, such as witness.example.org.
    #[arg(long)]
    name: String,
    /// Where this witness keeps its key and its memory.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Also write the cosigned note to this file, for readers who do not ask the server.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Go on, looking again after this many seconds; once if absent.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    every: Option<u64>,
}

const COLUMNS: &[Column] = &[
    ("INDEX", "index", ""),
    ("RECORDED", "event.recordedAt", ""),
    ("ACTOR", "event.actor.subject", ""),
    ("ACTION", "event.action", ""),
    ("RESOURCE", "event.resource", ""),
    ("OUTCOME", "event.outcome", "OUTCOME_"),
    ("REASON", "event.reason", ""),
];

/// Runs the command. What holds the server to its word needs no server, and must not.
pub(super) async fn run(group: Group<Command>) -> Result<()> {
    let json = group.connection.json;
    match group.command {
        Command::Verify(arguments) if !arguments.asks_server() => audit_local::verify(json, arguments),
        Command::Fsck(arguments) if arguments.is_local() => audit_local::fsck(json, arguments).await,
        command => served(&Session::open(&group.connection).await?, command).await,
    }
}

async fn served(session: &Session, command: Command) -> Result<()> {
    let mut client = AuditServiceClient::new(session.wire());
    match command {
        Command::Search { given, mut list, oldest, ndjson, csv, page_token } => {
            list.filter.extend(given);
            let order = if oldest { SearchOrder::OldestFirst } else { SearchOrder::NewestFirst };
            let form = match (ndjson, csv) {
                (true, _) => Some(Form::Ndjson),
                (_, true) => Some(Form::Csv),
                _ => None,
            };
            if let Some(form) = form {
                return Box::pin(audit_stream::stream(session, order, list, page_token, form)).await;
            }
            if !page_token.is_empty() {
                let what = "is where --ndjson or --csv goes on: give one of them";
                return Err(Error::invalid("OPTION_NOT_ALLOWED", "page-token", what));
            }
            session
                .list(list, COLUMNS, async |page: Page| {
                    let Page { size: page_size, token: page_token, filter } = page;
                    let order = order.into();
                    let request = SearchRequest { filter, order, page_size, page_token, ..Default::default() };
                    let page = client.search(request).await?.into_inner();
                    Ok((page.entries, page.next_page_token))
                })
                .await
        }
        Command::Checkpoint { save } => {
            let checkpoint = answer(client.get_checkpoint(GetCheckpointRequest::default()).await)?;
            audit_server::credible(&checkpoint)?;
            if let Some(path) = save {
                target::write(&path, checkpoint.note.as_bytes())?;
                session.out.wrote(Some(&path));
            }
            let text = format!("{}\nverifier key: {}", checkpoint.note, checkpoint.verifier_key);
            session.out.text(&text, || json(&checkpoint))
        }
        Command::Export(arguments) => export(session, arguments).await,
        Command::Proof(arguments) => proof(session, &arguments).await,
        Command::Erase { subject, reason } => {
            let request = EraseSubjectRequest { subject, reason, request_id: session.request_id() };
            session.show(client.erase_subject(request).await)
        }
        Command::Rewrap => rewrap(session, &mut client).await,
        Command::Witness(arguments) => witness(session, &arguments).await,
        Command::Fsck(arguments) => {
            let since_checkpoint = arguments.since()?;
            let request = VerifyLogRequest { since_checkpoint, max_findings: arguments.max_findings() };
            fsck(session, answer(client.verify_log(request).await)?).await
        }
        Command::Verify(arguments) => audit_server::verify_server(session, arguments).await,
        Command::Push(arguments) => Box::pin(audit_push::push(session, &arguments)).await,
        Command::Timestamp(arguments) => Box::pin(audit_timestamp::stamp(session, &arguments)).await,
        Command::Auditor(command) => Box::pin(auditor::run(session, command)).await,
    }
}

/// Says how far the check is, and what it found.
async fn fsck(session: &Session, mut answers: Streaming<VerifyLogResponse>) -> Result<()> {
    while let Some(report) = answer(answers.message().await.map(Response::new))? {
        if report.complete {
            return checked(session, &report);
        }
        let (done, of) = (report.checked_entry_count, report.size.saturating_sub(report.start_index));
        session.out.note(&format!("{done} of {of} entries"));
    }
    Err(no_answer("the check ended without a report"))
}

fn checked(session: &Session, report: &VerifyLogResponse) -> Result<()> {
    if session.out.json {
        session.out.show(report)?;
    } else {
        let columns = &[("KIND", "kind", "FINDING_KIND_"), ("WHERE", "location", ""), ("WHAT", "message", "")];
        session.out.part(&report.findings, columns)?;
        let text = format!(
            "{} entries, {} recomputed from {}, {} pruned, {} erased, {} tiles",
            report.size,
            report.checked_entry_count,
            report.start_index,
            report.pruned_entry_count,
            report.erased_entry_count,
            report.checked_tile_count
        );
        session.out.text(&text, || json(report))?;
    }
    if report.ok { Ok(()) } else { Err(audit_local::damaged(report.findings.len())) }
}

async fn export(session: &Session, arguments: Export) -> Result<()> {
    let known_size = match &arguments.since {
        None => 0,
        Some(path) => {
            let wrong = |error| Error::invalid("CHECKPOINT_INVALID", path.display().to_string(), format!("{error}"));
            let note = Note::parse(&super::connect::text(path)?).map_err(wrong)?;
            let size = Checkpoint::parse(&note.text).map_err(wrong)?.size;
            i64::try_from(size).unwrap_or(i64::MAX)
        }
    };
    let mut client = AuditServiceClient::new(session.wire());
    let request = ExportRequest {
        start_index: arguments.start,
        end_index: arguments.end,
        size: as_of(&mut client, arguments.size, arguments.cosigned).await?,
        known_size,
        include_sealed: arguments.sealed,
        allow_gaps: arguments.allow_gaps,
        filter: arguments.filter.clone().unwrap_or_default(),
        ..Default::default()
    };
    let mut stream = answer(client.export(request).await)?;
    let mut file = Target::open(Some(&arguments.output))?;
    let bar = session.out.progress(0, "exporting");
    let (mut last, mut whole) = (0, false);
    while let Some(part) = stream.message().await.map_err(refused)? {
        let end = if arguments.end == 0 { part.size } else { arguments.end };
        moved(&bar, part.next_index - arguments.start, end - arguments.start);
        file.write(&part.data)?;
        last = part.next_index;
        whole = part.data.ends_with(format!("{{\"end\":{end}}}\n").as_bytes());
    }
    bar.finish_and_clear();
    // The file keeps its other name then, and is not taken for an export.
    if !whole {
        return Err(no_answer(format!("the export ends at entry {last}, before its end")));
    }
    let Some(path) = file.finish()? else { return Ok(()) };
    let path = path.display();
    let what = if arguments.filter.is_some() {
        session.out.note("a selection: it proves of each entry that it is in the log, not that none was left out");
        "those that pass of entries"
    } else {
        "entries"
    };
    let text = format!("wrote {what} {} to {} to {path}", arguments.start, last);
    session.out.text(&text, || Ok(serde_json::json!({"path": path.to_string(), "start": arguments.start, "end": last})))
}

/// The size that is asked for: given, or that of the newest checkpoint with so many cosignatures.
async fn as_of(client: &mut AuditServiceClient<Wire>, size: i64, cosigned: Option<i32>) -> Result<i64> {
    let Some(min_cosignatures) = cosigned else { return Ok(size) };
    Ok(answer(client.get_checkpoint(GetCheckpointRequest { min_cosignatures }).await)?.size)
}

/// Writes the proof of an entry with the entry itself, so that the file is enough.
async fn proof(session: &Session, arguments: &Proof) -> Result<()> {
    let mut client = AuditServiceClient::new(session.wire());
    let size = as_of(&mut client, arguments.size, arguments.cosigned).await?;
    let name = format!("entries/{}", arguments.index);
    let proof = answer(client.get_inclusion_proof(GetInclusionProofRequest { name: name.clone(), size }).await)?;
    let entry = answer(client.get_entry(GetEntryRequest { name, view: EntryView::Full.into() }).await)?;
    let mut file = ProofFile::parse(&proof.tlog_proof).map_err(no_answer)?;
    let leaf =
        if entry.pruned { Hash::from_slice(&proof.leaf_hash).map_err(no_answer)? } else { leaf_hash(&entry.leaf_data) };
    let checkpoint = Note::parse(&file.checkpoint).and_then(|note| Checkpoint::parse(&note.text)).map_err(no_answer)?;
    check_inclusion(arguments.index, leaf, checkpoint.size, checkpoint.root, &file.hashes).map_err(no_answer)?;
    file.extra = (!entry.pruned).then_some(entry.leaf_data);
    target::write(&arguments.output, file.to_string().as_bytes())?;
    let path = arguments.output.display().to_string();
    let text =
        format!("wrote the proof of entry {} in a log of {} entries to {path}", arguments.index, checkpoint.size);
    session.out.text(&text, || {
        Ok(serde_json::json!({"path": path, "index": arguments.index, "size": checkpoint.size, "leafHash": leaf.to_string()}))
    })
}

async fn rewrap(session: &Session, client: &mut AuditServiceClient<Wire>) -> Result<()> {
    let mut rewrapped = 0;
    for step in 0.. {
        let request_id = format!("{}-{step}", session.request_id());
        let mut done = answer(client.rewrap_subject_keys(RewrapSubjectKeysRequest { request_id }).await)?;
        rewrapped += done.rewrapped_count;
        // What none of these calls can rewrap is not asked for again.
        if done.remaining_count == 0 || done.rewrapped_count == 0 {
            done.rewrapped_count = rewrapped;
            return session.out.show(&done);
        }
    }
    Ok(())
}

async fn witness(session: &Session, arguments: &Witness) -> Result<()> {
    let invalid = |field: &str, error: remit_tlog::Error| Error::invalid("KEY_INVALID", field, error.to_string());
    let log = VerifierKey::parse(&arguments.key).map_err(|error| invalid("key", error))?;
    let ids = Ids::new(Box::new(|bytes: &mut [u8]| rand::fill(bytes)));
    let key = signing_key(&arguments.state.join("witness.pem"), true, &ids)?;
    let signer = Signer::new(&arguments.name, Algorithm::CosignatureV1, key).map_err(|error| invalid("name", error))?;
    let memory = WitnessMemory::open(signer, &arguments.state)?.of(arguments.origin.clone());
    session.out.note(&format!("this witness is {}", memory.key()));
    loop {
        let size = look(session, &memory, &log, arguments.save.as_deref()).await?;
        session.out.text(&format!("cosigned {} at size {size}", log.name()), || {
            Ok(serde_json::json!({"origin": log.name(), "size": size, "witness": memory.key().to_string()}))
        })?;
        let Some(seconds) = arguments.every else { return Ok(()) };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

/// Looks at the newest checkpoint once and cosigns it if it extends what is remembered.
async fn look(session: &Session, memory: &WitnessMemory, log: &VerifierKey, save: Option<&Path>) -> Result<u64> {
    let mut client = AuditServiceClient::new(session.wire());
    let checkpoint = answer(client.get_checkpoint(GetCheckpointRequest::default()).await)?;
    let remembered = memory.memory(log)?.map_or(0, |seen| seen.size);
    let proof = audit_server::consistency(&mut client, remembered, checkpoint.size).await?;
    let now = audit_local::now();
    let cosigned = memory.cosign(log, &checkpoint.note, &proof, now)?;
    if let Some(path) = save {
        target::write(path, cosigned.note.to_string().as_bytes())?;
    }
    let request = AddCosignatureRequest { note: cosigned.note.to_string(), request_id: String::new() };
    answer(client.add_cosignature(request).await)?;
    Ok(cosigned.checkpoint.size)
}
