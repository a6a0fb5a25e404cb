//! Changes of the signing key, as an export states them: who trusts an old key is led to the one that signed the export.

use crate::leaf::Leaf;
use crate::store::prunings::ROTATE;
use remit_core::Timestamp;
use remit_core::details::SigningKeyRotated;
use remit_tlog::note::Algorithm;
use remit_tlog::proof::{check_consistency, check_inclusion};
use remit_tlog::{Checkpoint, Hash, Note, VerifierKey, leaf_hash};

/// How the line of a handover begins.
pub(super) const BEGIN: &[u8] = b"{\"handover\":";

/// A change of the signing key that the old key signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// The index of its entry.
    pub index: u64,
    /// When, as its entry says.
    pub time: Timestamp,
    /// The key until then.
    pub old: VerifierKey,
    /// The key from then on.
    pub new: VerifierKey,
}

/// What the line of a handover holds.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// The index of its entry, which is the last of the checkpoint that both keys signed.
    pub(crate) index: u64,
    /// The root hash of that checkpoint.
    pub(crate) root: Hash,
    /// The old key's signature line on it, without the line feed.
    pub(crate) signature: &'a str,
    /// That the entry is in it.
    pub(crate) proof: Vec<Hash>,
    /// That the log of the export extends it.
    pub(crate) consistency: Vec<Hash>,
    /// The leaf data of the entry.
    pub(crate) entry: &'a [u8],
}

impl<'a> Line<'a> {
    /// The one form of the line.
    pub(crate) fn write(&self) -> Vec<u8> {
        let hashes = |hashes: &[Hash]| {
            hashes.iter().map(|hash| format!("\"{}\"", hash.to_base64())).collect::<Vec<_>>().join(",")
        };
        let begin = format!(
            "{{\"handover\":{},\"root\":\"{}\",\"signature\":\"{}\",\"proof\":[{}],\"consistency\":[{}],\"entry\":",
            self.index,
            self.root.to_base64(),
            self.signature,
            hashes(&self.proof),
            hashes(&self.consistency)
        );
        [begin.as_bytes(), self.entry, b"}"].concat()
    }

    /// Reads that form and no other.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (index, rest) = text.strip_prefix("{\"handover\":")?.split_once(",\"root\":\"")?;
        let (root, rest) = rest.split_once("\",\"signature\":\"")?;
        let (signature, rest) = rest.split_once("\",\"proof\":[")?;
        let (proof, rest) = rest.split_once("],\"consistency\":[")?;
        let (consistency, rest) = rest.split_once("],\"entry\":")?;
        let hash = |text: &str| Hash::from_base64(text.strip_prefix('"')?.strip_suffix('"')?).ok();
        let hashes = |text: &str| text.split(',').filter(|text| !text.is_empty()).map(hash).collect::<Option<Vec<_>>>();
        let read = Self {
            index: index.parse().ok()?,
            root: Hash::from_base64(root).ok()?,
            signature,
            proof: hashes(proof)?,
            consistency: hashes(consistency)?,
            entry: rest.strip_suffix('}')?.as_bytes(),
        };
        (read.write() == bytes).then_some(read)
    }
}

/// Checks the line of a handover against the checkpoint of the export.
pub(super) fn check(text: &[u8], checkpoint: &Checkpoint) -> Result<Handover, String> {
    let read = Line::read(text).ok_or("not the line of a handover in its one form")?;
    let index = read.index;
    let size = index.checked_add(1).filter(|size| *size <= checkpoint.size);
    let size = size.ok_or_else(|| format!("the log has no entry {index}"))?;
    let wrong = |why: &dyn std::fmt::Display| format!("entry {index} hands nothing over: {why}");
    check_inclusion(index, leaf_hash(read.entry), size, read.root, &read.proof).map_err(|error| wrong(&error))?;
    check_consistency(size, read.root, checkpoint.size, checkpoint.root, &read.consistency)
        .map_err(|error| wrong(&error))?;
    let leaf = Leaf::decode(read.entry).map_err(|why| format!("entry {index} is no leaf of this log: {why}"))?;
    if leaf.service != crate::SCHEMA.service || leaf.action != ROTATE || leaf.outcome != "SUCCESS" {
        return Err(wrong(&"it is no change of the signing key by the audit service"));
    }
    let stated: SigningKeyRotated =
        serde_json::from_str(leaf.details()).map_err(|_| wrong(&"its details are not those of one"))?;
    let key = |text: &str| {
        let key = VerifierKey::parse(text).map_err(|error| wrong(&error))?;
        if key.algorithm() == Algorithm::Ed25519 { Ok(key) } else { Err(wrong(&"a key in it is not the key of a log")) }
    };
    let (old, new) = (key(&stated.old_key)?, key(&stated.new_key)?);
    let both = Checkpoint { origin: checkpoint.origin.clone(), size, root: read.root };
    let note = Note::parse(&format!("{both}\n{}\n", read.signature)).map_err(|error| wrong(&error))?;
    note.verify(&old).map_err(|error| wrong(&error))?;
    if note.signatures.len() != 1 {
        return Err(wrong(&"it has more than the signature of the old key"));
    }
    let (_, time) = leaf.times()?;
    Ok(Handover { index, time, old, new })
}

/// The key to which the lines of handovers lead from `known` in a log that is as `checkpoint` says, and those that lead
/// there. Whether that key signed the checkpoint is for the caller to find.
///
/// # Errors
/// What is wrong with a line.
pub fn followed(
    lines: &[Vec<u8>],
    checkpoint: &Checkpoint,
    known: &VerifierKey,
) -> Result<(VerifierKey, Vec<Handover>), String> {
    let (mut key, mut taken, mut after) = (known.clone(), Vec::new(), None);
    for line in lines {
        let next = check(line, checkpoint)?;
        if after.replace(next.index).is_some_and(|before| before >= next.index) {
            return Err(format!("handover {} is doubled or out of order", next.index));
        }
        if next.old == key {
            key = next.new.clone();
            taken.push(next);
        }
    }
    Ok((key, taken))
}

/// The key to which handovers lead from `known`, in their order.
pub(super) fn follow<'a>(handovers: &'a [Handover], known: &'a VerifierKey) -> &'a VerifierKey {
    handovers.iter().fold(known, |key, handover| if handover.old == *key { &handover.new } else { key })
}

/// All keys that lead to `key`, and it itself.
pub(super) fn leading_to(handovers: &[Handover], key: &VerifierKey) -> Vec<VerifierKey> {
    let mut keys = vec![key.clone()];
    for handover in handovers.iter().rev() {
        if keys.last() == Some(&handover.new) {
            keys.push(handover.old.clone());
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ed25519_dalek::SigningKey;

    /// The vector of `docs/audit.md`, computed by another program.
    #[test]
    fn the_line_of_a_handover_has_one_form() {
        let golden = include_str!("../../tests/golden/handover.txt").trim_end();
        let read = Line::read(golden.as_bytes()).unwrap();
        assert_eq!((read.index, read.proof.len(), read.consistency.len(), read.entry), (2, 1, 3, &b"{\"v\":1}"[..]));
        check_inclusion(2, leaf_hash(read.entry), 3, read.root, &read.proof).unwrap();
        let key = SigningKey::from_bytes(&[1; 32]).verifying_key();
        let key = VerifierKey::new("remit.example/acme", Algorithm::Ed25519, key).unwrap();
        let both = Checkpoint { origin: "remit.example/acme".into(), size: 3, root: read.root };
        Note::parse(&format!("{both}\n{}\n", read.signature)).unwrap().verify(&key).unwrap();
        for (from, to) in [(":2,", ":02,"), ("[\"", "[ \""), ("\"proof\":[", "\"proof\":[,"), (":2,", ": 2,")] {
            assert!(Line::read(golden.replacen(from, to, 1).as_bytes()).is_none(), "{from} {to}");
        }
    }

    #[test]
    fn keys_are_followed_in_order_and_only_where_they_lead() {
        let key = |seed| {
            let key = SigningKey::from_bytes(&[seed; 32]).verifying_key();
            VerifierKey::new("remit.example/acme", Algorithm::Ed25519, key).unwrap()
        };
        let one = |index, old, new| Handover { index, time: Timestamp(0), old: key(old), new: key(new) };
        let all = [one(1, 1, 2), one(5, 2, 3), one(9, 7, 8)];
        assert_eq!(*follow(&all, &key(1)), key(3));
        assert_eq!(*follow(&all, &key(3)), key(3));
        assert_eq!(*follow(&all, &key(4)), key(4));
        assert_eq!(leading_to(&all, &key(3)), [key(3), key(2), key(1)]);
        assert_eq!(leading_to(&all, &key(8)), [key(8), key(7)]);
    }
}
