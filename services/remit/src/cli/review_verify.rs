//! `remit review verify`: checks a pack in its JSON form without a server, from keys that the reader got elsewhere.

use super::audit_local;
use super::connect::{text, unreadable};
use super::output::Output;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use ed25519_dalek::{Signature, VerifyingKey};
use remit_audit::export_verify::{CLOCKS, SINCE};
use remit_core::{Error, Result, canonical, digest};
use remit_tlog::client::{Trust, advance};
use remit_tlog::proof::check_inclusion;
use remit_tlog::{Checkpoint, Hash, Note, VerifierKey, leaf_hash};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Arguments of `remit review verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The pack, as `remit review export --format json` wrote it.
    pack: PathBuf,
    /// The key that seals reviews, 32 bytes in base64, got by a way you trust. Without it the key in the pack is used,
    /// which shows that the pack is whole, but not whose it is. With it an unsealed pack is refused.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The verifier key of the audit log, which must have signed the checkpoints in the pack.
    #[arg(long, value_name = "KEY")]
    log_key: Option<String>,
    /// The verifier key of a witness that must have cosigned the checkpoint of the seal; may be repeated.
    #[arg(long = "witness", value_name = "KEY", requires = "log_key")]
    witnesses: Vec<String>,
    /// How many of the witnesses must have cosigned; all if absent.
    #[arg(long, requires = "witnesses")]
    quorum: Option<usize>,
}

/// What was found in a pack that holds.
#[derive(Debug, Default, PartialEq)]
struct Verified {
    review: String,
    pack_digest: String,
    sealed: bool,
    key_pinned: bool,
    log_size: Option<u64>,
    log_pinned: bool,
    witnesses: usize,
    entries: usize,
}

/// What the reader trusts.
#[derive(Debug, Default)]
struct Trusted {
    key: Option<[u8; 32]>,
    log: Option<VerifierKey>,
    witnesses: Vec<VerifierKey>,
    quorum: usize,
}

impl Verify {
    fn trusted(&self) -> Result<Trusted> {
        let key = self
            .key
            .as_deref()
            .map(|text| bytes(text).ok_or_else(|| Error::invalid("KEY_INVALID", "key", "must be 32 bytes in base64")));
        let witnesses =
            self.witnesses.iter().map(|text| audit_local::key(text, "witness")).collect::<Result<Vec<_>>>()?;
        Ok(Trusted {
            key: key.transpose()?,
            log: self.log_key.as_deref().map(|text| audit_local::key(text, "log_key")).transpose()?,
            quorum: self.quorum.unwrap_or(witnesses.len()),
            witnesses,
        })
    }
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD.decode(text.trim()).ok()?.try_into().ok()
}

fn field<'a>(value: &'a Value, path: &str) -> &'a str {
    path.split('/').try_fold(value, |value, name| value.get(name)).and_then(Value::as_str).unwrap_or_default()
}

/// The evidence as it was collected: what was decided about its findings came later.
fn collected(evidence: &Value) -> Value {
    let mut evidence = evidence.clone();
    let findings = evidence.get_mut("findings").and_then(Value::as_array_mut);
    for finding in findings.into_iter().flatten().filter_map(Value::as_object_mut) {
        for later in ["disposition", "disposition_reference", "disposition_note"] {
            finding.insert(later.to_owned(), "".into());
        }
    }
    evidence
}

/// Checks a pack; says in words what is wrong with it.
fn check(document: &Value, trusted: &Trusted) -> std::result::Result<Verified, String> {
    let pack = document.get("pack").ok_or("it holds no pack")?;
    let claimed = field(document, "pack_digest");
    let computed = canonical::digest(pack).map_err(|error| error.to_string())?;
    if computed != claimed {
        return Err(format!("the pack has the digest {computed}, not {claimed}"));
    }
    let evidence = collected(pack.get("evidence").unwrap_or(&Value::Null));
    let frozen = canonical::json(&evidence).map_err(|error| error.to_string())?;
    if digest::sha256(frozen.as_bytes()) != field(pack, "evidence_digest") {
        return Err("its evidence is not what was collected".to_owned());
    }
    let signatures = document.get("signatures").and_then(Value::as_array).into_iter().flatten();
    for one in signatures.filter(|one| one.get("valid").and_then(Value::as_bool).unwrap_or_default()) {
        if field(one, "pack_digest") != claimed {
            return Err(format!("the signature of {} is for another pack", field(one, "signer")));
        }
    }
    let mut verified = Verified {
        review: field(pack, "review").to_owned(),
        pack_digest: claimed.to_owned(),
        key_pinned: trusted.key.is_some(),
        ..Verified::default()
    };
    let seal = document.get("seal").filter(|seal| !seal.is_null());
    match seal {
        Some(seal) => {
            sealed(seal, claimed, trusted)?;
            verified.sealed = true;
        }
        None if field(document, "state") == "SEALED" => {
            return Err("it says that it is sealed, and has no seal".to_owned());
        }
        None if trusted.key.is_some() => return Err("it is not sealed".to_owned()),
        None => {}
    }
    let log = checkpoints(field(pack, "evidence/audit_checkpoint"), seal, trusted, &mut verified)?;
    verified.entries = entries(&evidence, log.as_ref())?;
    Ok(verified)
}

/// Checks the seal over the digest.
fn sealed(seal: &Value, claimed: &str, trusted: &Trusted) -> std::result::Result<(), String> {
    let named: [u8; 32] = bytes(field(seal, "public_key")).ok_or("the seal names no key")?;
    if trusted.key.is_some_and(|key| key != named) {
        return Err("it was sealed with another key than the one given".to_owned());
    }
    let key = VerifyingKey::from_bytes(&named).map_err(|_| "the seal's key is none")?;
    let signature: [u8; 64] = bytes(field(seal, "signature")).ok_or("the seal has no signature")?;
    key.verify_strict(claimed.as_bytes(), &Signature::from_bytes(&signature))
        .map_err(|_| "the seal is not over this pack".to_owned())
}

/// Checks that the entries which the pack cites are in the log that it cites; returns how many there are.
fn entries(evidence: &Value, log: Option<&Checkpoint>) -> std::result::Result<usize, String> {
    let cited = evidence.get("cited").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for one in cited {
        let index = one.get("index").and_then(Value::as_u64).ok_or("it cites an entry without a number")?;
        let log = log.ok_or("it cites entries of the audit log, and no checkpoint")?;
        let about = format!("entries/{index} is not in the log that the pack cites");
        let proof = hashes(one.get("proof")).ok_or_else(|| format!("{about}: its proof is none"))?;
        check_inclusion(index, leaf_hash(field(one, "entry").as_bytes()), log.size, log.root, &proof)
            .map_err(|error| format!("{about}: {error}"))?;
        let entry: Value = serde_json::from_str(field(one, "entry")).map_err(|error| format!("{about}: {error}"))?;
        if field(&entry, "resource") != field(one, "resource") {
            return Err(format!("entries/{index} is about {}, not what the pack says", field(&entry, "resource")));
        }
    }
    Ok(cited.len())
}

/// Hashes in base64.
fn hashes(list: Option<&Value>) -> Option<Vec<Hash>> {
    let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|hash| Hash::from_base64(hash.as_str()?).ok()).collect()
}

/// Checks the checkpoint that the pack cites, and the one of the seal, which covers it and has the cosignatures. Returns
/// the cited one.
fn checkpoints(
    cited: &str,
    seal: Option<&Value>,
    trusted: &Trusted,
    verified: &mut Verified,
) -> std::result::Result<Option<Checkpoint>, String> {
    let cosigned = seal.map_or("", |seal| field(seal, "cosigned_checkpoint"));
    let open = |note: &str, quorum: usize| -> std::result::Result<Checkpoint, String> {
        let opened = match &trusted.log {
            // The clock of a witness that says 1970, or next year, vouches for nothing.
            Some(log) => Trust::new(log.name(), log.clone(), trusted.witnesses.clone(), quorum)
                .map(|trust| trust.within(SINCE..=audit_local::now().saturating_add(CLOCKS)))
                .and_then(|trust| trust.open(note)),
            None => Note::parse(note).and_then(|note| Checkpoint::parse(&note.text)),
        };
        opened.map_err(|error| format!("a checkpoint of the audit log does not hold: {error}"))
    };
    if cited.is_empty() {
        return if trusted.log.is_some() {
            Err("it cites no checkpoint of the audit log".to_owned())
        } else {
            Ok(None)
        };
    }
    // Where the seal has one, it has the cosignatures; otherwise the cited one must.
    let first = open(cited, if cosigned.is_empty() { trusted.quorum } else { 0 })?;
    if !cosigned.is_empty() {
        let later = open(cosigned, trusted.quorum)?;
        let why =
            |what: String| format!("the checkpoint of the seal does not cover the one that the pack cites: {what}");
        let proof = hashes(seal.and_then(|seal| seal.get("consistency"))).ok_or_else(|| why("no proof".to_owned()))?;
        // Of a log that was empty there is nothing to extend.
        let seen = (first.size > 0).then_some(&first);
        advance(seen, &later, &proof).map_err(|error| why(error.to_string()))?;
    }
    verified.log_size = Some(first.size);
    verified.log_pinned = trusted.log.is_some();
    verified.witnesses = trusted.quorum;
    Ok(Some(first))
}

/// Checks a pack.
///
/// # Errors
/// `FailedPrecondition` (`PACK_REFUSED`) with what is wrong; `InvalidArgument`: `KEY_INVALID`, `FILE_UNREADABLE`.
pub(super) fn verify(json: bool, arguments: &Verify) -> Result<()> {
    let out = Output { json };
    let trusted = arguments.trusted()?;
    let content = text(&arguments.pack)?;
    let document: Value = serde_json::from_str(&content)
        .map_err(|error| unreadable(&arguments.pack, std::io::Error::other(error.to_string())))?;
    let refused = |why: String| Error::precondition("PACK_REFUSED", format!("{}: {why}", arguments.pack.display()));
    // A key that is given twice would be read one way here and another way elsewhere.
    if canonical::json(&document)? != content.trim_end() {
        return Err(refused("it is not in canonical form".to_owned()));
    }
    let found = check(&document, &trusted).map_err(refused)?;
    if !found.sealed {
        out.note("the review is not sealed: the pack may still change");
    } else if !found.key_pinned {
        out.note("the key is the pack's own: give --key to know whose seal this is");
    }
    out.value(json!({
        "verified": true,
        "review": found.review,
        "packDigest": found.pack_digest,
        "sealed": found.sealed,
        "keyPinned": found.key_pinned,
        "logSize": found.log_size,
        "logKeyPinned": found.log_pinned,
        "witnesses": found.witnesses,
        "entriesProven": found.entries,
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use ed25519_dalek::{Signer as _, SigningKey};

    /// A sealed pack in which one finding was decided on.
    fn pack(seed: u8) -> Value {
        let frozen = json!({"audit_checkpoint": "", "findings": [
            {"id": "F", "disposition": "", "disposition_reference": "", "disposition_note": ""}
        ]});
        let evidence_digest = canonical::digest(&frozen).unwrap();
        let mut evidence = frozen;
        evidence["findings"][0]["disposition"] = "NOTED".into();
        let pack = json!({"review": "reviews/r", "evidence_digest": evidence_digest, "evidence": evidence});
        seal(&pack, seed)
    }

    fn seal(pack: &Value, seed: u8) -> Value {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let digest = canonical::digest(pack).unwrap();
        json!({
            "pack": pack, "pack_digest": digest, "state": "SEALED",
            "signatures": [{"signer": "lea", "pack_digest": digest, "valid": true}],
            "seal": {
                "public_key": STANDARD.encode(key.verifying_key().to_bytes()),
                "signature": STANDARD.encode(key.sign(digest.as_bytes()).to_bytes()),
            },
        })
    }

    fn pinned(seed: u8) -> Trusted {
        Trusted { key: Some(SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes()), ..Trusted::default() }
    }

    #[test]
    fn a_sealed_pack_holds_and_says_whose_it_is_only_with_a_key() {
        let found = check(&pack(1), &pinned(1)).unwrap();
        assert!(found.sealed && found.key_pinned && !found.log_pinned);
        assert!(!check(&pack(1), &Trusted::default()).unwrap().key_pinned);
    }

    #[test]
    fn every_lie_is_refused() {
        let refused = |document: &Value, trusted: &Trusted| check(document, trusted).unwrap_err();
        assert!(refused(&pack(2), &pinned(1)).contains("another key"), "somebody else sealed it");

        let mut one = pack(1);
        one["pack"]["minutes"] = "other".into();
        assert!(refused(&one, &pinned(1)).contains("digest"), "changed behind the digest");

        let mut two = pack(1)["pack"].clone();
        two["minutes"] = "other".into();
        let mut two = seal(&two, 1);
        two["seal"] = pack(1)["seal"].clone();
        assert!(refused(&two, &pinned(1)).contains("not over this pack"), "the seal of another pack");

        let mut three = pack(1)["pack"].clone();
        three["evidence"]["findings"][0]["id"] = "G".into();
        assert!(refused(&seal(&three, 1), &pinned(1)).contains("not what was collected"), "a finding was replaced");

        let mut four = pack(1);
        four["seal"] = Value::Null;
        assert!(refused(&four, &Trusted::default()).contains("no seal"));
        four["state"] = "OPEN".into();
        assert!(refused(&four, &pinned(1)).contains("not sealed"), "the seal was taken off");
        assert!(!check(&four, &Trusted::default()).unwrap().sealed);

        let mut five = pack(1);
        five["signatures"][0]["pack_digest"] = "sha256:0".into();
        assert!(refused(&five, &pinned(1)).contains("another pack"));
    }

    #[test]
    fn a_cited_entry_that_is_not_in_the_log_is_refused() {
        let line = r#"{"v":1,"resource":"models/m"}"#;
        let other = leaf_hash(b"another entry");
        let mut log = remit_tlog::Frontier::default();
        log.push(leaf_hash(line.as_bytes())).unwrap();
        log.push(other).unwrap();
        let log = Checkpoint { origin: "log".into(), size: 2, root: log.root() };
        let cited =
            json!({"cited": [{"index": 0, "resource": "models/m", "entry": line, "proof": [other.to_base64()]}]});
        assert_eq!(entries(&cited, Some(&log)), Ok(1));
        assert_eq!(entries(&json!({}), None), Ok(0));
        let refused = |path: &str, value: Value| {
            let mut cited = cited.clone();
            *cited.pointer_mut(path).unwrap() = value;
            entries(&cited, Some(&log)).unwrap_err()
        };
        assert!(refused("/cited/0/index", 1.into()).contains("not in the log"), "another place");
        assert!(refused("/cited/0/entry", r#"{"v":1,"resource":"models/n"}"#.into()).contains("not in the log"));
        assert!(refused("/cited/0/proof", json!([])).contains("not in the log"), "no proof");
        assert!(refused("/cited/0/resource", "models/n".into()).contains("is about models/m"));
        assert!(entries(&cited, None).unwrap_err().contains("no checkpoint"));
    }

    #[test]
    fn a_log_that_is_trusted_must_be_cited() {
        let log = remit_tlog::VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
        let trusted = Trusted { log: Some(log.unwrap()), ..Trusted::default() };
        assert!(check(&pack(1), &trusted).unwrap_err().contains("cites no checkpoint"));
    }
}
