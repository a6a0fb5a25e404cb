//! What of an export has no content, and which pruning of the log accounts for it. A line without content proves only
//! that something was there: whether it may be gone is for the log itself to say.

use crate::leaf::Leaf;
use crate::service::retention_policies::{FLOOR_DAYS, cutoff};
use crate::store::prunings::{HOLD, PRUNE, RELEASE, RETAIN};
use remit_core::details::{EntriesPruned, LegalHoldEngaged, RetentionChanged};
use remit_core::{Timestamp, digest};
use remit_tlog::proof::check_inclusion;
use remit_tlog::tile::WIDTH;
use remit_tlog::{Checkpoint, Hash, leaf_hash};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// How the line of a pruning begins.
pub(super) const BEGIN: &[u8] = b"{\"pruning\":";

/// How many spans a message names.
const NAMED: usize = 8;

/// Indexes, the last excluded.
pub(crate) type Span = (u64, u64);

/// The line of a pruning in an export: its entry with the proof that the log has it, and the spans of which that entry
/// states the digest.
pub(crate) fn line(index: u64, spans: &[Span], proof: &[Hash], entry: &[u8]) -> Vec<u8> {
    let spans: Vec<String> = spans.iter().map(|(start, end)| format!("{start}-{end}")).collect();
    let proof: Vec<String> = proof.iter().map(|hash| format!("\"{}\"", hash.to_base64())).collect();
    let begin =
        format!("{{\"pruning\":{index},\"spans\":\"{}\",\"proof\":[{}],\"entry\":", spans.join(","), proof.join(","));
    [begin.as_bytes(), entry, b"}"].concat()
}

/// The digest of spans that a pruning's entry states: over `start-end` and a line feed for each.
pub(crate) fn spans_digest(spans: impl IntoIterator<Item = Span>) -> String {
    let mut text = String::new();
    for (start, end) in spans {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{start}-{end}");
    }
    digest::sha256(text.as_bytes())
}

/// Spans for people: the first few, and how many more.
pub fn named(spans: &[Span]) -> String {
    let shown = spans.iter().take(NAMED).map(|(start, end)| match end - start {
        1 => start.to_string(),
        _ => format!("{start} to {}", end - 1),
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    if spans.len() > NAMED { format!("{shown} and {} more spans", spans.len() - NAMED) } else { shown }
}

/// A pruning that the log records and that accounts for entries without content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruning {
    /// The index of its entry.
    pub index: u64,
    /// Who asked for it; a service where the schedule did.
    pub actor: String,
    /// When, as its entry says.
    pub time: Timestamp,
    /// The retention that it states, in days.
    pub keep_days: i64,
    /// How many entries it removed, of the whole log.
    pub entries: u64,
    /// What it removed, of the whole log.
    pub spans: Vec<Span>,
    /// Whether the export goes from the log's first entry to beyond this pruning, so that retention and holds at that
    /// time were compared with what the pruning states.
    pub compared: bool,
    holds: BTreeSet<String>,
}

/// What an export says of its gaps, as its lines come.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    prunings: Vec<Pruning>,
    /// The end of each span that a pruning removed, and that pruning's entry, by its start.
    removed: BTreeMap<u64, (u64, u64)>,
    /// By the index after the last entry that prunings looked at: the time before which all up to there must be recorded.
    cutoffs: BTreeMap<u64, Timestamp>,
    unaccounted: Vec<Span>,
    keep_days: Option<i64>,
    /// The holds in force, and whether each is on everything.
    holds: BTreeMap<String, bool>,
    /// Whether all entries from the first on were seen.
    from_start: bool,
}

impl Gaps {
    pub(super) fn new(start: u64) -> Self {
        Self { from_start: start == 0, ..Self::default() }
    }

    /// Takes the line of a pruning.
    pub(super) fn pruning(&mut self, text: &[u8], checkpoint: &Checkpoint) -> Result<(), String> {
        let read = Line::read(text).ok_or("not the line of a pruning in its one form")?;
        let (index, spans) = (read.index, read.spans);
        if self.prunings.last().is_some_and(|last| last.index >= index) {
            return Err(format!("pruning {index} is doubled or out of order"));
        }
        check_inclusion(index, leaf_hash(read.entry), checkpoint.size, checkpoint.root, &read.proof).map_err(
            |error| format!("the log does not have the entry {index} of the pruning as it stands here: {error}"),
        )?;
        let leaf = Leaf::decode(read.entry).map_err(|why| format!("entry {index} is no leaf of this log: {why}"))?;
        let wrong = |why: &str| format!("entry {index} makes no removal lawful: {why}");
        if leaf.service != crate::SCHEMA.service || leaf.action != PRUNE || leaf.outcome != "SUCCESS" {
            return Err(wrong(&format!(
                "it is {} of {}, and no pruning by the audit service",
                leaf.action, leaf.service
            )));
        }
        let stated: EntriesPruned =
            serde_json::from_str(leaf.details()).map_err(|_| wrong("its details are not those of a pruning"))?;
        if stated.spans_digest != spans_digest(spans.iter().copied()) {
            return Err(wrong("the spans are not those of which it states the digest"));
        }
        let entries = spans.iter().map(|(start, end)| end - start).sum::<u64>();
        let (first, last) = (spans.first().map(|span| span.0), spans.last().map(|span| span.1 - 1));
        let counted = u64::try_from(stated.pruned) == Ok(entries) && stated.spans == spans.len() as u64;
        if !counted || stated.first_index != first || stated.last_index != last {
            return Err(wrong("the spans are not those that it counts"));
        }
        let end_index = stated.end_index;
        if !end_index.is_multiple_of(WIDTH) || end_index > index || last.is_none_or(|last| last >= end_index) {
            return Err(wrong("it does not keep to whole tiles before it"));
        }
        let keep_days = stated.keep_days.filter(|days| *days >= FLOOR_DAYS);
        let keep_days =
            keep_days.ok_or_else(|| wrong(&format!("it states no retention of {FLOOR_DAYS} days or more")))?;
        let (_, time) = leaf.times()?;
        let cutoff = cutoff(time, keep_days);
        for (start, end) in &spans {
            if let Some((_, (_, other))) =
                self.removed.range(..*end).next_back().filter(|(_, (until, _))| until > start)
            {
                return Err(wrong(&format!("what it says that it removed, entry {other} removed before it")));
            }
            self.removed.insert(*start, (*end, index));
        }
        let least = self.cutoffs.entry(end_index).or_insert(cutoff);
        *least = (*least).min(cutoff);
        let (actor, holds) = (leaf.actor.subject, stated.holds.into_iter().collect());
        let pruning = Pruning { index, actor, time, keep_days, entries, spans, compared: false, holds };
        self.prunings.push(pruning);
        Ok(())
    }

    /// When every pruning was taken: none of them may be gone itself.
    pub(super) fn ready(&mut self) -> Result<(), String> {
        if let Some(gone) = self.prunings.iter().find(|pruning| self.remover(pruning.index).is_some()) {
            return Err(format!("entry {} is a pruning, and none of those is ever removed", gone.index));
        }
        // What must hold up to an index must hold before it as well.
        let mut least = Timestamp(i64::MAX);
        for cutoff in self.cutoffs.values_mut().rev() {
            least = least.min(*cutoff);
            *cutoff = least;
        }
        Ok(())
    }

    /// The pruning that removed an entry.
    fn remover(&self, index: u64) -> Option<u64> {
        let (_, (end, by)) = self.removed.range(..=index).next_back()?;
        (index < *end).then_some(*by)
    }

    /// Takes an entry without content.
    pub(super) fn absent(&mut self, index: u64) {
        if self.remover(index).is_some() {
            return;
        }
        match self.unaccounted.last_mut() {
            Some((_, end)) if *end == index => *end += 1,
            _ => self.unaccounted.push((index, index + 1)),
        }
    }

    /// Takes an entry with content.
    pub(super) fn present(&mut self, index: u64, leaf: &Leaf) -> Result<(), String> {
        if let Some(by) = self.remover(index) {
            return Err(format!("entry {index} is here, and entry {by} says that it was removed"));
        }
        if let Some((_, cutoff)) = self.cutoffs.range(index + 1..).next()
            && leaf.times()?.1 >= *cutoff
        {
            return Err(format!(
                "a pruning removed entries around entry {index}, which was not past the retention then: it was recorded {}",
                leaf.times()?.1
            ));
        }
        if leaf.service != crate::SCHEMA.service || leaf.outcome != "SUCCESS" {
            return Ok(());
        }
        match leaf.action.as_str() {
            HOLD => {
                let hold: LegalHoldEngaged = serde_json::from_str(leaf.details()).unwrap_or_default();
                self.holds.insert(leaf.resource.clone(), hold == LegalHoldEngaged::default());
            }
            RELEASE => drop(self.holds.remove(&leaf.resource)),
            RETAIN => {
                let changed: RetentionChanged = serde_json::from_str(leaf.details()).unwrap_or_default();
                self.keep_days = changed.keep_days;
            }
            PRUNE => return self.compare(index),
            _ => {}
        }
        Ok(())
    }

    /// Compares a pruning with the retention and the holds of its time, as the log itself shows them.
    fn compare(&mut self, index: u64) -> Result<(), String> {
        // They came in order, each once.
        let Ok(at) = self.prunings.binary_search_by_key(&index, |pruning| pruning.index) else { return Ok(()) };
        let pruning = &mut self.prunings[at];
        if !self.from_start {
            return Ok(());
        }
        let wrong = |why: String| Err(format!("entry {index} makes no removal lawful: {why}"));
        if self.keep_days != Some(pruning.keep_days) {
            let shown = self.keep_days.map_or("none".to_owned(), |days| format!("{days} days"));
            return wrong(format!("it states a retention of {} days, and the log shows {shown}", pruning.keep_days));
        }
        if let Some((hold, _)) = self.holds.iter().find(|(_, everything)| **everything) {
            return wrong(format!("{hold} was in force on everything"));
        }
        if let Some(hold) = self.holds.keys().find(|hold| !pruning.holds.contains(*hold)) {
            return wrong(format!("{hold} was in force and it does not state it"));
        }
        if let Some(hold) = pruning.holds.iter().find(|hold| !self.holds.contains_key(*hold)) {
            return wrong(format!("it states {hold}, which the log does not show in force"));
        }
        pruning.compared = true;
        Ok(())
    }

    /// What the prunings account for, or the entries that none accounts for.
    pub(super) fn finish(self) -> Result<Vec<Pruning>, String> {
        if self.unaccounted.is_empty() {
            return Ok(self.prunings);
        }
        Err(format!(
            "there is no content of {}, and no pruning in the log accounts for it: it was deleted or is withheld",
            named(&self.unaccounted)
        ))
    }
}

struct Line<'a> {
    index: u64,
    spans: Vec<Span>,
    proof: Vec<Hash>,
    entry: &'a [u8],
}

impl<'a> Line<'a> {
    /// Reads the one form in which [`line`] writes.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (index, rest) = text.strip_prefix("{\"pruning\":")?.split_once(",\"spans\":\"")?;
        let (spans, rest) = rest.split_once("\",\"proof\":[")?;
        let (proof, rest) = rest.split_once("],\"entry\":")?;
        let entry = rest.strip_suffix('}')?.as_bytes();
        let span = |text: &str| {
            let (start, end) = text.split_once('-')?;
            Some((start.parse::<u64>().ok()?, end.parse::<u64>().ok()?)).filter(|(start, end)| start < end)
        };
        let spans = spans.split(',').map(span).collect::<Option<Vec<_>>>()?;
        let hash = |text: &str| Hash::from_base64(text.strip_prefix('"')?.strip_suffix('"')?).ok();
        let proof = proof.split(',').filter(|text| !text.is_empty()).map(hash).collect::<Option<Vec<_>>>()?;
        let read = Self { index: index.parse().ok()?, spans, proof, entry };
        // In order, with something left between them: else the digest would not be of what is written.
        let apart = read.spans.windows(2).all(|pair| pair[0].1 < pair[1].0);
        (apart && line(read.index, &read.spans, &read.proof, entry) == bytes).then_some(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_line_of_a_pruning_has_one_form() {
        let proof = [leaf_hash(b"a"), leaf_hash(b"b")];
        let good = line(7, &[(0, 3), (5, 6)], &proof, b"{\"v\":1}");
        let read = Line::read(&good).unwrap();
        assert_eq!((read.index, read.spans.as_slice(), read.proof.as_slice()), (7, &[(0, 3), (5, 6)][..], &proof[..]));
        assert_eq!(read.entry, b"{\"v\":1}");
        assert_eq!(spans_digest(read.spans.iter().copied()), digest::sha256(b"0-3\n5-6\n"));
        let text = String::from_utf8(good).unwrap();
        // The vectors of docs/audit.md, computed by another program.
        let golden = include_str!("../../tests/golden/pruning.txt");
        assert_eq!(format!("{text}\n{}\n", spans_digest([(0, 3), (5, 6)])), golden);
        for (from, to) in [
            ("0-3,5-6", "5-6,0-3"),
            ("0-3", "0-03"),
            ("0-3,5", "0-5,5"),
            (":7,", ":07,"),
            ("\"0-3,5-6\"", "\"\""),
            (":7", ": 7"),
        ] {
            assert!(Line::read(text.replacen(from, to, 1).as_bytes()).is_none(), "{from} {to}");
        }
        assert_eq!(named(&[(3, 4), (6, 9)]), "3, 6 to 8");
        let many: Vec<Span> = (0..20).map(|n| (n * 2, n * 2 + 1)).collect();
        assert!(named(&many).ends_with("14 and 12 more spans"));
    }
}
