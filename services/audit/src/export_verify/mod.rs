//! Checks an export offline: a pure function over its bytes. The format is specified in `docs/audit.md`.

pub(crate) mod gaps;
pub(crate) mod handovers;
mod selection;
mod stamps;

pub use gaps::{Pruning, named};
pub use handovers::{Handover, followed};
pub use stamps::Timestamped;

use crate::leaf::Leaf;
use crate::timestamp::Authorities;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use gaps::Gaps;
use remit_core::{Timestamp, digest};
use remit_tlog::client::Trust;
use remit_tlog::note::{Algorithm, Signers};
use remit_tlog::proof::{RangeProof, check_consistency};
use remit_tlog::{Checkpoint, Error as LogError, Frontier, Hash, Note, VerifierKey, leaf_hash};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::BufRead;

/// The version of the export format.
pub const FORMAT: &str = "remit-audit-export/1";

/// The format of an export of those entries alone that pass a filter.
pub const SELECTION: &str = "remit-audit-selection/1";

/// The longest line of an export.
pub const MAX_LINE: usize = 4 << 20;

/// The first line of an export: what it is of, and all that ties its entries to the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// The first index.
    pub start: u64,
    /// The index after the last.
    pub end: u64,
    /// The size of the log that the checkpoint covers.
    pub size: u64,
    /// The roots of the perfect subtrees before `start`, in base64.
    pub left: Vec<String>,
    /// The roots of the perfect subtrees from `end` on, in base64.
    pub right: Vec<String>,
    /// The size that `consistency` is from; 0 if none was asked for.
    pub known_size: u64,
    /// The root hash at that size, in base64; empty if none was asked for.
    pub known_root: String,
    /// The consistency proof from `known_size` to `size`, in base64.
    pub consistency: Vec<String>,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// The verifier key of the log.
    pub key: String,
    /// The verifier keys of the witnesses that cosigned.
    pub witnesses: Vec<String>,
    /// Of a selection, what was asked for. Nobody signs that nothing else passes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub filter: String,
}

/// The form of the first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestLine {
    /// The manifest.
    pub manifest: Manifest,
}

/// Whom and what the reader of an export trusts beforehand.
#[derive(Debug, Clone, Default)]
pub struct Beforehand {
    /// The key of the log. Without it the key in the export is used, which shows that the export is whole
    /// but not whose it is.
    pub key: Option<VerifierKey>,
    /// Witnesses to rely on.
    pub witnesses: Vec<VerifierKey>,
    /// How many of them must have cosigned.
    pub quorum: usize,
    /// A signed checkpoint of the same log from before, which the export must extend.
    pub earlier: Option<String>,
    /// The time now, in seconds since 1970: a cosignature from beyond a day after it does not count.
    pub now: Option<u64>,
    /// The certificates of time-stamping authorities to rely on. Without them it is told what time stamps say, and not whose
    /// word that is.
    pub authorities: Option<Authorities>,
}

/// 2020-01-01 in seconds since 1970: before that there was no log to cosign.
pub const SINCE: u64 = 1_577_836_800;
/// How far the clock of a witness may be off, in seconds.
pub const CLOCKS: u64 = 86_400;

/// What a sound export holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The checkpoint that covers it.
    pub checkpoint: Checkpoint,
    /// The signed checkpoint, to keep for the next time.
    pub note: String,
    /// The first index.
    pub start: u64,
    /// The index after the last.
    pub end: u64,
    /// Entries with content.
    pub entries: u64,
    /// Entries of which only the leaf hash is there, each accounted for by one of [`Verified::prunings`].
    pub pruned: u64,
    /// The prunings that the log records and that touch this part of it.
    pub prunings: Vec<Pruning>,
    /// Entries with sealed personal data that matches what they commit to.
    pub sealed: u64,
    /// The key that signed.
    pub key: String,
    /// Whether that key was known beforehand, or follows from one that was by [`Verified::handovers`].
    pub key_pinned: bool,
    /// The changes of the signing key that the log records, up to the export's checkpoint.
    pub handovers: Vec<Handover>,
    /// How many of the trusted witnesses cosigned.
    pub witnesses: usize,
    /// Those of them that cosigned at a time that cannot be, which do not count: the name, and seconds since 1970.
    pub untimely: Vec<(String, u64)>,
    /// The size of the earlier checkpoint that the export was shown to extend.
    pub extends: Option<u64>,
    /// The time stamps among the entries, each of this log. Of a selection none is looked at.
    pub stamps: Vec<Timestamped>,
    /// Of a selection, the filter that it says its entries passed: each is in the log, and others may have been left out.
    pub selection: Option<String>,
}

/// Why an export is refused, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The line, counted from 1; 0 if it is about the export as a whole.
    pub line: u64,
    /// What is wrong.
    pub what: String,
    /// The reason in terms of the log, if that is what failed.
    pub cause: Option<LogError>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        f.write_str(&self.what)?;
        self.cause.as_ref().map_or(Ok(()), |cause| write!(f, ": {cause}"))
    }
}

impl std::error::Error for Refused {}

fn refused(line: u64, what: impl Into<String>) -> Refused {
    Refused { line, what: what.into(), cause: None }
}

fn because(line: u64, what: &str) -> impl Fn(LogError) -> Refused {
    move |cause| Refused { line, what: what.to_owned(), cause: Some(cause) }
}

/// Reads an export to its end and checks every byte of it against the signed checkpoint.
///
/// # Errors
/// The first thing that is wrong, by line: an entry that does not give its leaf hash, a missing entry, a
/// missing end, a root that does not fit, a signature that is not valid, an earlier checkpoint that is not
/// extended, entries without content that no pruning of the log accounts for.
pub fn verify_export(mut reader: impl BufRead, beforehand: &Beforehand) -> Result<Verified, Refused> {
    let mut lines = Lines { reader: &mut reader, number: 0, held: None };
    let first = lines.next()?.ok_or_else(|| refused(0, "the export is empty"))?;
    let mut opened = open(&first, beforehand)?;
    let handovers = handed_over(&mut lines, &opened)?;
    opened.trust(beforehand, &handovers)?;
    if opened.manifest.format == SELECTION {
        return selection::verify(lines, opened, handovers, beforehand);
    }
    let Opened { manifest, checkpoint, earlier, .. } = &opened;
    let range = RangeProof { left: hashes(&manifest.left)?, right: hashes(&manifest.right)? };
    let mut frontier = range.begin(manifest.start).map_err(because(1, "the proof of the range does not begin"))?;
    let mut extends = extends_by_proof(&opened)?;
    let mut at_earlier = |frontier: &Frontier, line: u64| match earlier {
        Some(earlier) if earlier.size == frontier.size() && extends.is_none() => {
            if earlier.root != frontier.root() {
                let cause = LogError::Fork { size: earlier.size, seen: earlier.root, offered: frontier.root() };
                return Err(because(line, "the export does not extend the earlier checkpoint")(cause));
            }
            extends = Some(earlier.size);
            Ok(())
        }
        _ => Ok(()),
    };
    at_earlier(&frontier, 1)?;
    let mut gaps = prunings(&mut lines, &opened)?;
    let (mut entries, mut pruned, mut sealed) = (0, 0, 0);
    let (mut first, mut stamps) = (None, Vec::new());
    let keys = handovers::leading_to(&handovers, &opened.key);
    for index in manifest.start..manifest.end {
        let Some(line) = lines.next()? else {
            return Err(refused(
                0,
                format!("the export ends before entry {index}; it should go to entry {}", manifest.end - 1),
            ));
        };
        let read = entry(&line, index).map_err(|what| refused(lines.number, what))?;
        if let Some(content) = &read.content {
            let found = stamps::check(&content.leaf, &frontier, &keys, beforehand.authorities.as_ref());
            stamps.extend(found.map_err(|what| refused(lines.number, what))?);
        }
        frontier.push(read.hash).map_err(because(lines.number, "the entry does not fit"))?;
        at_earlier(&frontier, lines.number)?;
        match &read.content {
            None => {
                pruned += 1;
                gaps.absent(index);
            }
            Some(content) => {
                entries += 1;
                if first.is_none() {
                    first = content.leaf.times().ok().map(|(_, recorded)| recorded);
                }
                sealed += u64::from(content.sealed);
                gaps.present(index, &content.leaf).map_err(|what| refused(lines.number, what))?;
            }
        }
    }
    let end = format!("{{\"end\":{}}}", manifest.end);
    match lines.next()? {
        Some(line) if line == end.as_bytes() => {}
        Some(_) => return Err(refused(lines.number, format!("must be {end}"))),
        None => return Err(refused(0, "the last line is missing: the export was cut")),
    }
    if lines.next()?.is_some() {
        return Err(refused(lines.number, "nothing may follow the end"));
    }
    range
        .finish(frontier, checkpoint.size, checkpoint.root)
        .map_err(because(0, "the entries do not give the root hash of the checkpoint: one of them was altered together with its leaf hash, or the proof was"))?;
    let signers = opened.signers(beforehand, first)?;
    let prunings = gaps.finish().map_err(|what| refused(0, what))?;
    opened.is_tied(extends)?;
    Ok(Verified {
        note: opened.manifest.checkpoint.clone(),
        start: manifest.start,
        end: manifest.end,
        entries,
        pruned,
        prunings,
        sealed,
        key: opened.key.to_string(),
        key_pinned: beforehand.key.is_some(),
        handovers,
        witnesses: signers.counted,
        untimely: signers.untimely,
        extends,
        stamps,
        selection: None,
        checkpoint: opened.checkpoint,
    })
}

/// The lines of the handovers, which stand after the manifest.
fn handed_over<R: BufRead>(lines: &mut Lines<'_, R>, opened: &Opened) -> Result<Vec<Handover>, Refused> {
    let mut found: Vec<Handover> = Vec::new();
    while let Some(line) = lines.next()? {
        if !line.starts_with(handovers::BEGIN) {
            lines.put_back(line);
            break;
        }
        let next = handovers::check(&line, &opened.checkpoint).map_err(|what| refused(lines.number, what))?;
        if found.last().is_some_and(|last| last.index >= next.index) {
            return Err(refused(lines.number, format!("handover {} is doubled or out of order", next.index)));
        }
        found.push(next);
    }
    Ok(found)
}

/// The lines of the prunings, which stand before the entries.
fn prunings<R: BufRead>(lines: &mut Lines<'_, R>, opened: &Opened) -> Result<Gaps, Refused> {
    let mut gaps = Gaps::new(opened.manifest.start);
    while let Some(line) = lines.next()? {
        if !line.starts_with(gaps::BEGIN) {
            lines.put_back(line);
            break;
        }
        gaps.pruning(&line, &opened.checkpoint).map_err(|what| refused(lines.number, what))?;
    }
    gaps.ready().map_err(|what| refused(lines.number, what))?;
    Ok(gaps)
}

struct Lines<'a, R> {
    reader: &'a mut R,
    number: u64,
    held: Option<Vec<u8>>,
}

impl<R: BufRead> Lines<'_, R> {
    /// Gives the line just read back, to be read again.
    fn put_back(&mut self, line: Vec<u8>) {
        self.number -= 1;
        self.held = Some(line);
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, Refused> {
        if let Some(line) = self.held.take() {
            self.number += 1;
            return Ok(Some(line));
        }
        let mut line = Vec::new();
        loop {
            let part =
                self.reader.fill_buf().map_err(|error| refused(self.number + 1, format!("cannot be read: {error}")))?;
            if part.is_empty() {
                break;
            }
            let taken = part.iter().position(|byte| *byte == b'\n').map_or(part.len(), |at| at + 1);
            line.extend_from_slice(&part[..taken]);
            self.reader.consume(taken);
            if line.ends_with(b"\n") {
                break;
            }
            if line.len() > MAX_LINE {
                return Err(refused(self.number + 1, "the line is longer than any line of an export"));
            }
        }
        if line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        if line.pop() == Some(b'\n') { Ok(Some(line)) } else { Err(refused(self.number, "the line was cut")) }
    }
}

struct Opened {
    manifest: Manifest,
    checkpoint: Checkpoint,
    earlier: Option<Checkpoint>,
    key: VerifierKey,
    note: Note,
}

impl Opened {
    /// Finds that the key is the one that is trusted or that handovers lead to it, and opens the earlier checkpoint, which
    /// any of the keys may have signed that lead to this one.
    fn trust(&mut self, beforehand: &Beforehand, handovers: &[Handover]) -> Result<(), Refused> {
        if let Some(known) = &beforehand.key
            && *handovers::follow(handovers, known) != self.key
        {
            let what = format!(
                "the export is signed with key {}, key {known} is trusted, and nothing that this key signed leads from one to \
                 the other",
                self.key
            );
            return Err(refused(1, what));
        }
        let Some(note) = &beforehand.earlier else { return Ok(()) };
        let mut opened = None;
        for key in handovers::leading_to(handovers, &self.key) {
            let only_log = Trust::new(key.name(), key.clone(), Vec::new(), 0);
            let tried = only_log.map_err(because(0, "the trusted keys"))?.open(note);
            // What is wrong with it is said for the key that signs now.
            if opened.is_none() || tried.is_ok() {
                opened = Some(tried);
            }
        }
        let Some(opened) = opened else { return Ok(()) };
        let earlier = opened.map_err(because(0, "the earlier checkpoint"))?;
        if self.checkpoint.size < earlier.size {
            let cause = LogError::Rollback { seen: earlier.size, offered: self.checkpoint.size };
            return Err(because(1, "the export does not extend the earlier checkpoint")(cause));
        }
        self.earlier = Some(earlier);
        Ok(())
    }

    /// Finds that what was given of the log before is extended.
    fn is_tied(&self, extends: Option<u64>) -> Result<(), Refused> {
        let (Some(Checkpoint { size, .. }), None) = (&self.earlier, extends) else { return Ok(()) };
        let what = "nothing ties this part of the log to the earlier checkpoint";
        Err(refused(0, format!("{what} of {size} entries: export again with known_size {size}")))
    }

    /// The trusted witnesses that cosigned, not before `first`, when the first entry was recorded that is here, and not
    /// in the future.
    fn signers(&self, beforehand: &Beforehand, first: Option<Timestamp>) -> Result<Signers, Refused> {
        let first = first.and_then(|at| u64::try_from(at.0 / 1_000_000).ok()).unwrap_or(0).saturating_sub(CLOCKS);
        let last = beforehand.now.map_or(u64::MAX, |now| now.saturating_add(CLOCKS));
        let signers = self.note.signers(&beforehand.witnesses, &(first..=last));
        let signers = signers.map_err(because(1, "a cosignature"))?;
        signers.at_least(beforehand.quorum).map_err(because(1, "the checkpoint"))
    }
}

fn open(line: &[u8], beforehand: &Beforehand) -> Result<Opened, Refused> {
    let read: ManifestLine =
        serde_json::from_slice(line).map_err(|error| refused(1, format!("not a manifest: {error}")))?;
    let again = serde_json::to_vec(&read).map_err(|error| refused(1, error.to_string()))?;
    if again != line {
        return Err(refused(1, "the manifest is not in its one form"));
    }
    let manifest = read.manifest;
    let known = if manifest.filter.is_empty() { FORMAT } else { SELECTION };
    if manifest.format != known {
        return Err(refused(1, format!("format {} is not known here, {known} is", manifest.format)));
    }
    if manifest.start > manifest.end || manifest.end > manifest.size {
        return Err(refused(1, "start, end and size are out of order"));
    }
    let stated = VerifierKey::parse(&manifest.key).map_err(because(1, "the key in the manifest"))?;
    if stated.algorithm() != Algorithm::Ed25519 {
        return Err(refused(1, "the key in the manifest is not the key of a log"));
    }
    let trust = Trust::new(stated.name(), stated.clone(), beforehand.witnesses.clone(), beforehand.quorum);
    let trust = trust.map_err(because(1, "the trusted keys"))?;
    let checkpoint = trust.open(&manifest.checkpoint).map_err(because(1, "the checkpoint"))?;
    let note = Note::parse(&manifest.checkpoint).map_err(because(1, "the checkpoint"))?;
    if checkpoint.size != manifest.size {
        return Err(refused(
            1,
            format!("the checkpoint is of {} entries, the manifest of {}", checkpoint.size, manifest.size),
        ));
    }
    let stated_witnesses = manifest.witnesses.iter().map(|key| VerifierKey::parse(key));
    let stated_witnesses =
        stated_witnesses.collect::<Result<Vec<_>, _>>().map_err(because(1, "a witness key in the manifest"))?;
    // Every signature line must be accounted for, or a byte of it could change unnoticed.
    for witness in &stated_witnesses {
        note.verify(witness).map_err(because(1, "a cosignature"))?;
    }
    if note.signatures.len() != stated_witnesses.len() + 1 || note.to_string() != manifest.checkpoint {
        return Err(refused(1, "the checkpoint has signatures that the manifest names no key for"));
    }
    Ok(Opened { manifest, checkpoint, earlier: None, key: stated, note })
}

fn hashes(texts: &[String]) -> Result<Vec<Hash>, Refused> {
    texts
        .iter()
        .map(|text| Hash::from_base64(text))
        .collect::<Result<_, _>>()
        .map_err(because(1, "a hash in the manifest"))
}

/// Checks the consistency proof of the manifest, if it has one, and uses it where it begins at the earlier
/// checkpoint.
fn extends_by_proof(opened: &Opened) -> Result<Option<u64>, Refused> {
    let Manifest { known_size, known_root, consistency, .. } = &opened.manifest;
    let proof = hashes(consistency)?;
    if *known_size == 0 {
        let none = known_root.is_empty() && proof.is_empty();
        return if none { Ok(None) } else { Err(refused(1, "a consistency proof from nothing")) };
    }
    let known_root = Hash::from_base64(known_root).map_err(because(1, "the known root hash"))?;
    let Checkpoint { size, root, .. } = opened.checkpoint;
    check_consistency(*known_size, known_root, size, root, &proof).map_err(because(1, "the consistency proof"))?;
    match &opened.earlier {
        Some(earlier) if earlier.size == *known_size && earlier.root != known_root => {
            let cause = LogError::Fork { size: earlier.size, seen: earlier.root, offered: known_root };
            Err(because(1, "the export does not extend the earlier checkpoint")(cause))
        }
        Some(earlier) if earlier.size == *known_size => Ok(Some(earlier.size)),
        _ => Ok(None),
    }
}

struct Content {
    leaf: Box<Leaf>,
    sealed: bool,
}

struct Read {
    hash: Hash,
    /// None where only the leaf hash is there.
    content: Option<Content>,
}

/// `{"index":N,"leaf_hash":"H"}`, `{"index":N,"leaf_hash":"H","entry":E}`, or with `"sealed":"S",` before
/// `"entry"`; E is the leaf, byte for byte.
fn entry(line: &[u8], index: u64) -> Result<Read, String> {
    let text = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
    let begin = format!("{{\"index\":{index},\"leaf_hash\":\"");
    let rest = text
        .strip_prefix(&begin)
        .ok_or_else(|| format!("must begin with {begin}: an entry is missing, doubled or out of order"))?;
    let (stated, rest) = rest.split_at_checked(64).ok_or("the leaf hash is cut")?;
    let rest = rest.strip_prefix('"').ok_or("the leaf hash must have 64 hexadecimal digits")?;
    if rest == "}" {
        return Ok(Read { hash: parse_hex(stated)?, content: None });
    }
    let (sealed, rest) = match rest.strip_prefix(",\"sealed\":\"") {
        Some(rest) => {
            let (sealed, rest) = rest.split_once('"').ok_or("the sealed data is cut")?;
            (Some(BASE64_STANDARD.decode(sealed).map_err(|_| "the sealed data is not base64")?), rest)
        }
        None => (None, rest),
    };
    let leaf = rest.strip_prefix(",\"entry\":").and_then(|rest| rest.strip_suffix('}')).ok_or("the entry is cut")?;
    let hash = leaf_hash(leaf.as_bytes());
    if hash.to_string() != stated {
        return Err(format!("entry {index} was altered: its content has leaf hash {hash}, stated is {stated}"));
    }
    let decoded =
        Leaf::decode(leaf.as_bytes()).map_err(|why| format!("entry {index} is no leaf of this log: {why}"))?;
    let sealed = match (sealed, &decoded.personal) {
        (None, _) => false,
        (Some(sealed), Some(personal)) if digest::sha256(&sealed) == personal.digest => true,
        (Some(_), _) => return Err(format!("the sealed personal data of entry {index} was altered")),
    };
    Ok(Read { hash, content: Some(Content { leaf: Box::new(decoded), sealed }) })
}

fn parse_hex(text: &str) -> Result<Hash, String> {
    let bytes = hex::decode(text).map_err(|_| "the leaf hash must have 64 hexadecimal digits".to_owned())?;
    let hash = Hash::from_slice(&bytes).map_err(|error| error.to_string())?;
    if hash.to_string() == text { Ok(hash) } else { Err("the leaf hash must be in lower case".to_owned()) }
}
