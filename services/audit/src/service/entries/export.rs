//! Exports: NDJSON that proves itself, streamed in bounded pieces.

use super::{Service, accounts, handovers};
use crate::export_verify::gaps::Span;
use crate::export_verify::{FORMAT, Manifest, ManifestLine, SELECTION};
use crate::store::entries::{self, Stored};
use crate::store::heads::{self, signed, unsigned};
use crate::store::{damaged, search, subjects, tiles};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use remit_api::audit::v1 as api;
use remit_core::{Error, Result, Tenant};
use remit_runtime::{Answers, Cx, answers};
use remit_store::filter::Fragment;
use remit_store::{Order, Tx};
use remit_tlog::proof::RangeProof;
use remit_tlog::{Hash, Note};
use std::collections::VecDeque;

/// How many entries are read at once.
const CHUNK: u64 = 256;

/// An export in progress: what it is of, and where it is.
#[derive(Debug, Clone)]
pub struct Export {
    tenant: Tenant,
    end: u64,
    size: u64,
    sealed: bool,
    next: u64,
    /// Which entries, if not all.
    filter: Option<Fragment>,
    /// The manifest and the lines of prunings, in pieces, until they were sent.
    header: VecDeque<Vec<u8>>,
    /// What prunings account for, in order.
    accounted: Vec<Span>,
    /// Whether to go on over what they do not account for.
    gaps: bool,
    done: bool,
}

/// `name` as an index or size of the log.
fn position(value: i64, name: &str, low: u64, high: u64) -> Result<u64> {
    let found = u64::try_from(value).ok().filter(|value| (low..=high).contains(value));
    found.ok_or_else(|| Error::invalid("SIZE_INVALID", name, format!("must be {low} to {high}")))
}

impl Service {
    /// Begins or resumes an export.
    ///
    /// # Errors
    /// `InvalidArgument` (`SIZE_INVALID`) for indexes and sizes out of order or beyond the log, and `FILTER_INVALID`; `FailedPrecondition`
    /// (`EXPORT_PRUNED_SINCE`) if the log of that size does not hold the prunings that account for what is missing.
    pub async fn begin_export(&self, tenant: &Tenant, request: &api::ExportRequest) -> Result<Export> {
        let mut tx = self.db.snapshot().await?;
        let now = heads::size(&mut tx, tenant).await?;
        let size = if request.size == 0 { now } else { position(request.size, "size", 1, now)? };
        let end = if request.end_index == 0 { size } else { position(request.end_index, "end_index", 1, size)? };
        let start = position(request.start_index, "start_index", 0, end)?;
        let known = position(request.known_size, "known_size", 0, size)?;
        let filter = if request.filter.is_empty() { None } else { Some(search::parse(&request.filter)?) };
        let mut export = Export {
            tenant: tenant.clone(),
            end,
            size,
            sealed: request.include_sealed,
            next: start,
            filter,
            header: VecDeque::new(),
            accounted: Vec::new(),
            gaps: request.allow_gaps,
            done: false,
        };
        // Of a selection nothing is said that is not in it.
        let found = match export.filter {
            None => Some(accounts::of(&mut tx, tenant, start..end, size, request.allow_gaps).await?),
            Some(_) => None,
        };
        export.accounted = found.as_ref().map(|found| found.spans()).unwrap_or_default();
        if request.resume_index != 0 {
            export.next = position(request.resume_index, "resume_index", start, end)?;
            return Ok(export);
        }
        let (lines, range) = match found {
            Some(found) => {
                let lines = found.lines(&mut tx, tenant, size).await?;
                (lines, tiles::range(&mut tx, tenant, start, end, size).await?)
            }
            None => (Vec::new(), RangeProof { left: Vec::new(), right: Vec::new() }),
        };
        let text = |hashes: &[Hash]| hashes.iter().map(|hash| hash.to_base64()).collect::<Vec<_>>();
        let (known_root, consistency) = if known == 0 {
            (String::new(), Vec::new())
        } else {
            let proof = tiles::consistency(&mut tx, tenant, known, size).await?;
            (proof.roots.0.to_base64(), proof.hashes)
        };
        let checkpoint = self.checkpoint_at(&mut tx, tenant, size).await?;
        let note = Note::parse(&checkpoint.note).map_err(|error| damaged(error.to_string()))?;
        let witnesses = self.keys.witnesses().iter().filter(|key| note.verify(key).is_ok()).map(ToString::to_string);
        let manifest = Manifest {
            format: if request.filter.is_empty() { FORMAT } else { SELECTION }.to_owned(),
            start,
            end,
            size,
            left: text(&range.left),
            right: text(&range.right),
            known_size: known,
            known_root,
            consistency: text(&consistency),
            checkpoint: checkpoint.note,
            key: checkpoint.verifier_key,
            witnesses: witnesses.collect(),
            filter: request.filter.clone(),
        };
        let mut line = serde_json::to_vec(&ManifestLine { manifest })
            .map_err(|error| Error::internal("a manifest could not be encoded").with_source(error))?;
        line.push(b'\n');
        export.header.push_back(line);
        let handovers = handovers::lines(&mut tx, tenant, 0, size).await?.into_iter();
        for line in handovers.map(|line| [line, vec![b'\n']].concat()).chain(lines) {
            match export.header.back_mut() {
                Some(piece) if piece.len() + line.len() < PIECE => piece.extend_from_slice(&line),
                _ => export.header.push_back(line),
            }
        }
        Ok(export)
    }

    /// An export as a stream of pieces.
    pub(crate) async fn export(&self, cx: &Cx, request: api::ExportRequest) -> Result<Answers<api::ExportResponse>> {
        let state = (self.clone(), self.begin_export(&cx.tenant, &request).await?);
        Ok(answers(self.stream(state, |(log, mut export)| async move {
            let piece = log.export_next(&mut export).await;
            (piece, (log, export))
        })))
    }

    /// The next piece of an export; none after the last.
    ///
    /// # Errors
    /// As the database fails; `FailedPrecondition` (`EXPORT_INCOMPLETE`) if an entry is missing that no pruning accounts
    /// for.
    pub async fn export_next(&self, export: &mut Export) -> Result<Option<api::ExportResponse>> {
        if export.done {
            return Ok(None);
        }
        let mut data = export.header.pop_front().unwrap_or_default();
        if !export.header.is_empty() {
            // Whoever has only a part of the header begins again.
            return Ok(Some(api::ExportResponse { data, next_index: 0, size: signed(export.size) }));
        }
        let until = export.end.min(export.next + CHUNK);
        if export.next < until {
            let mut tx = self.db.snapshot().await?;
            export.next = match &export.filter {
                None => lines(&mut tx, export, until, &mut data).await?,
                Some(filter) => selected(&mut tx, export, filter, &mut data).await?,
            };
        }
        if export.next == export.end {
            data.extend_from_slice(format!("{{\"end\":{}}}\n", export.end).as_bytes());
            export.done = true;
        }
        Ok(Some(api::ExportResponse { data, next_index: signed(export.next), size: signed(export.size) }))
    }
}

/// The most bytes of one piece, but for its last line.
const PIECE: usize = 1 << 20;

fn incomplete(index: u64) -> Error {
    let what = format!(
        "entry {index} is missing, and no pruning in the log accounts for it: if retention removed it just now, export \
         again; else the log is damaged, and remit audit fsck says how far"
    );
    Error::precondition("EXPORT_INCOMPLETE", what)
}

/// Adds lines for the next entries that pass a filter, each with its proof; returns up to where it looked.
async fn selected(tx: &mut Tx, export: &Export, filter: &Fragment, data: &mut Vec<u8>) -> Result<u64> {
    let tenant = &export.tenant;
    let after = export.next.checked_sub(1).map(signed);
    let found = search::search(tx, tenant, filter, Order::Ascending, after, signed(CHUNK)).await?;
    let next = match (found.resume, found.entries.last()) {
        (Some(resume), _) => unsigned(resume) + 1,
        (None, Some(last)) if found.entries.len() as u64 >= CHUNK => last.index + 1,
        _ => export.end,
    };
    let found: Vec<Stored> = found.entries.into_iter().take_while(|stored| stored.index < export.end).collect();
    let indexes: Vec<u64> = found.iter().map(|stored| stored.index).collect();
    let proofs = tiles::inclusions(tx, tenant, &indexes, export.size).await?;
    for (stored, proof) in found.iter().zip(proofs) {
        let proof = proof.iter().map(|hash| format!("\"{}\"", hash.to_base64())).collect::<Vec<_>>().join(",");
        let index = stored.index;
        data.extend_from_slice(format!("{{\"proof\":[{proof}],\"index\":{index},\"leaf_hash\":\"").as_bytes());
        let sealed = if export.sealed && stored.sealed { subjects::get(tx, tenant, index).await? } else { None };
        content(data, stored, sealed.map(|sealed| sealed.sealed));
        if data.len() >= PIECE {
            return Ok(index + 1);
        }
    }
    Ok(next.min(export.end))
}

/// Adds the rest of the line of an entry, from its leaf hash on.
fn content(data: &mut Vec<u8>, stored: &Stored, sealed: Option<Vec<u8>>) {
    data.extend_from_slice(hex::encode(&stored.hash).as_bytes());
    if let Some(sealed) = sealed {
        data.extend_from_slice(format!("\",\"sealed\":\"{}", BASE64_STANDARD.encode(sealed)).as_bytes());
    }
    data.extend_from_slice(b"\",\"entry\":");
    data.extend_from_slice(&stored.line);
    data.extend_from_slice(b"}\n");
}

/// Adds lines for the entries up to `until`, or fewer if the piece is full; returns the index after the last.
async fn lines(tx: &mut Tx, export: &Export, until: u64, data: &mut Vec<u8>) -> Result<u64> {
    let tenant = &export.tenant;
    let limit = i64::try_from(CHUNK).unwrap_or(i64::MAX);
    let found = if export.sealed {
        let full = entries::full_range(tx, tenant, export.next, until, limit).await?;
        full.into_iter().map(|entry| (entry.stored, entry.sealed.map(|(_, _, sealed)| sealed))).collect()
    } else {
        let plain = entries::range(tx, tenant, export.next, until, limit).await?;
        plain.into_iter().map(|stored| (stored, None)).collect::<Vec<_>>()
    };
    let mut found = found.into_iter().peekable();
    let mut tile: Option<(u64, Vec<Hash>)> = None;
    for index in export.next..until {
        if data.len() >= PIECE {
            return Ok(index);
        }
        let begin = format!("{{\"index\":{index},\"leaf_hash\":\"");
        data.extend_from_slice(begin.as_bytes());
        if let Some((stored, sealed)) = found.next_if(|(stored, _)| stored.index == index) {
            content(data, &stored, sealed);
        } else {
            if !export.gaps && !accounts::covers(&export.accounted, index) {
                return Err(incomplete(index));
            }
            if tile.as_ref().is_none_or(|(at, _)| *at != index / 256) {
                let hashes = tiles::read(tx, tenant, 0, index / 256).await?;
                tile = Some((index / 256, hashes.ok_or_else(|| incomplete(index))?));
            }
            let hash = tile.as_ref().and_then(|(_, hashes)| hashes.get((index % 256) as usize));
            let hash = hash.ok_or_else(|| incomplete(index))?;
            data.extend_from_slice(format!("{hash}\"}}\n").as_bytes());
        }
    }
    Ok(until)
}
