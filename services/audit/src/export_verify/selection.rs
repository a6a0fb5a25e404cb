//! A selection: entries that pass a filter, each proved by itself. That none was left out nothing proves.

use super::{Beforehand, Content, Handover, Lines, Opened, Read, Refused, Verified, because, entry, extends_by_proof};
use super::{hashes, refused};
use remit_tlog::proof::check_inclusion;
use std::io::BufRead;

/// Checks the entries of a selection whose manifest was opened, and its end.
pub(super) fn verify<R: BufRead>(
    mut lines: Lines<'_, R>,
    opened: Opened,
    handovers: Vec<Handover>,
    beforehand: &Beforehand,
) -> Result<Verified, Refused> {
    let (manifest, checkpoint) = (&opened.manifest, &opened.checkpoint);
    if !manifest.left.is_empty() || !manifest.right.is_empty() {
        return Err(refused(1, "a selection has no surroundings"));
    }
    let extends = extends_by_proof(&opened)?;
    let same = opened.earlier.as_ref().filter(|earlier| *earlier == checkpoint).map(|earlier| earlier.size);
    let extends = extends.or(same);
    let end = format!("{{\"end\":{}}}", manifest.end);
    let (mut next, mut entries, mut sealed, mut first) = (manifest.start, 0, 0, None);
    loop {
        let Some(line) = lines.next()? else {
            return Err(refused(0, "the last line is missing: the export was cut"));
        };
        if line == end.as_bytes() {
            break;
        }
        let (index, proof, read) = selected(&line).map_err(|what| refused(lines.number, what))?;
        let Some(content) = read.content else { return Err(refused(lines.number, "an entry without content")) };
        if !(next..manifest.end).contains(&index) {
            return Err(refused(
                lines.number,
                format!("entry {index} is doubled, out of order or outside of the span"),
            ));
        }
        check_inclusion(index, read.hash, checkpoint.size, checkpoint.root, &proof)
            .map_err(because(lines.number, "the entry is not in the log"))?;
        let Content { leaf, sealed: has } = content;
        if first.is_none() {
            first = leaf.times().ok().map(|(_, recorded)| recorded);
        }
        (next, entries, sealed) = (index + 1, entries + 1, sealed + u64::from(has));
    }
    if lines.next()?.is_some() {
        return Err(refused(lines.number, "nothing may follow the end"));
    }
    let signers = opened.signers(beforehand, first)?;
    opened.is_tied(extends)?;
    Ok(Verified {
        note: manifest.checkpoint.clone(),
        start: manifest.start,
        end: manifest.end,
        entries,
        pruned: 0,
        prunings: Vec::new(),
        sealed,
        key: opened.key.to_string(),
        key_pinned: beforehand.key.is_some(),
        handovers,
        witnesses: signers.counted,
        untimely: signers.untimely,
        extends,
        stamps: Vec::new(),
        selection: Some(manifest.filter.clone()),
        checkpoint: opened.checkpoint,
    })
}

/// `{"proof":[P,…],` and then the line of the entry as in any export: its index, its proof and what is in it.
fn selected(line: &[u8]) -> Result<(u64, Vec<remit_tlog::Hash>, Read), String> {
    let form = || "must be the line of an entry with its proof".to_owned();
    let text = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
    let (proof, rest) = text.strip_prefix("{\"proof\":[").and_then(|rest| rest.split_once("],")).ok_or_else(form)?;
    let quoted = |text: &str| Some(text.strip_prefix('"')?.strip_suffix('"')?.to_owned());
    let proof: Option<Vec<String>> =
        if proof.is_empty() { Some(Vec::new()) } else { proof.split(',').map(quoted).collect() };
    let proof = hashes(&proof.ok_or_else(form)?).map_err(|_| "a hash of the proof is none".to_owned())?;
    let index = rest.strip_prefix("\"index\":").and_then(|rest| rest.split_once(',')).ok_or_else(form)?.0;
    // One form: what is read gives the same text again.
    let index = index.parse::<u64>().map_err(|_| form())?;
    let read = entry(format!("{{{rest}").as_bytes(), index)?;
    Ok((index, proof, read))
}
