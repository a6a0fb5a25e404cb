//! What a lying server could say, and golden vectors of the formats.
#![allow(clippy::unwrap_used, missing_docs)]

use ed25519_dalek::SigningKey;
use remit_tlog::client::{LogVerifier, Progress, Trust};
use remit_tlog::note::Algorithm;
use remit_tlog::proof::{self, Node};
use remit_tlog::proof_file::ProofFile;
use remit_tlog::{
    Checkpoint, Error, Frontier, Hash, Note, Result, Signer, VerifierKey, empty_root, leaf_hash, witness,
};

const ORIGIN: &str = "remit.example/acme";

fn signer(name: &str, algorithm: Algorithm, seed: u8) -> Signer {
    Signer::new(name, algorithm, SigningKey::from_bytes(&[seed; 32])).unwrap()
}

struct Log {
    signer: Signer,
    leaves: Vec<Hash>,
}

impl Log {
    fn new(text: &str, size: usize) -> Self {
        let leaves = (0..size).map(|index| leaf_hash(format!("{text} {index}").as_bytes())).collect();
        Self { signer: signer(ORIGIN, Algorithm::Ed25519, 1), leaves }
    }

    fn checkpoint(&self, size: usize) -> Checkpoint {
        let mut frontier = Frontier::default();
        self.leaves[..size].iter().for_each(|leaf| frontier.push(*leaf).unwrap());
        Checkpoint { origin: ORIGIN.into(), size: size as u64, root: frontier.root() }
    }

    fn note(&self, size: usize) -> String {
        self.checkpoint(size).sign(&self.signer).to_string()
    }

    fn node(&self, node: Node) -> Result<Hash> {
        let mut frontier = Frontier::default();
        let start = (node.index << node.level) as usize;
        self.leaves[start..start + (1 << node.level)].iter().for_each(|leaf| frontier.push(*leaf).unwrap());
        Ok(frontier.root())
    }

    fn consistency(&self, old: u64, new: u64) -> Vec<Hash> {
        proof::consistency(old, new, |node| self.node(node)).unwrap()
    }
}

fn client(log: &Log) -> LogVerifier {
    let trust = Trust::new(ORIGIN, log.signer.verifier().clone(), vec![], 0).unwrap();
    LogVerifier::new(trust, None).unwrap()
}

#[test]
fn a_client_follows_an_honest_log_and_refuses_every_lie() {
    let log = Log::new("entry", 20);
    let mut client = client(&log);
    assert_eq!(client.update(&log.note(7), &[]).unwrap(), Progress::First);
    assert_eq!(client.update(&log.note(7), &[]).unwrap(), Progress::Unchanged);
    assert_eq!(client.update(&log.note(12), &log.consistency(7, 12)).unwrap(), Progress::Grew { from: 7 });

    let state = client.state().unwrap().to_owned();
    let forged = Log::new("forged", 20);
    assert_eq!(client.update(&log.note(9), &[]), Err(Error::Rollback { seen: 12, offered: 9 }));
    assert!(matches!(client.update(&forged.note(12), &[]), Err(Error::Fork { size: 12, .. })));
    assert!(matches!(client.update(&forged.note(15), &forged.consistency(12, 15)), Err(Error::Fork { size: 12, .. })));
    assert!(matches!(client.update(&log.note(15), &[]), Err(Error::ProofLength { .. })));
    assert!(client.update(&log.note(15), &log.consistency(11, 15)).is_err());
    assert!(client.update(&log.note(0), &[]).is_err());

    let stranger = signer(ORIGIN, Algorithm::Ed25519, 2);
    assert!(matches!(client.update(&log.checkpoint(15).sign(&stranger).to_string(), &[]), Err(Error::Unsigned { .. })));
    let other = Checkpoint { origin: "remit.example/other".into(), ..log.checkpoint(15) };
    assert!(matches!(client.update(&other.sign(&log.signer).to_string(), &[]), Err(Error::WrongOrigin { .. })));
    let mut bad = log.checkpoint(15).sign(&log.signer);
    bad.text = bad.text.replace("15", "16");
    assert!(matches!(client.update(&bad.to_string(), &[]), Err(Error::BadSignature { .. })));
    assert_eq!(client.state(), Some(state.as_str()), "a refused checkpoint must leave no trace");

    let path = proof::inclusion(3, 12, |node| log.node(node)).unwrap();
    client.check_inclusion(3, log.leaves[3], &path).unwrap();
    assert!(matches!(client.check_inclusion(12, log.leaves[3], &path), Err(Error::IndexBeyondSize { .. })));
    assert!(matches!(client.check_inclusion(3, log.leaves[3], &[]), Err(Error::ProofLength { .. })));

    let restored =
        LogVerifier::new(Trust::new(ORIGIN, log.signer.verifier().clone(), vec![], 0).unwrap(), Some(&state)).unwrap();
    assert_eq!(restored.seen(), client.seen());
}

#[test]
fn a_quorum_of_witnesses_counts_each_name_once() {
    let log = Log::new("entry", 5);
    let (one, two) =
        (signer("w1.example", Algorithm::CosignatureV1, 11), signer("w2.example", Algorithm::CosignatureV1, 12));
    let keys = || vec![one.verifier().clone(), two.verifier().clone()];
    let trust = Trust::new(ORIGIN, log.signer.verifier().clone(), keys(), 2).unwrap();
    let mut note = log.checkpoint(5).sign(&log.signer);
    note.signatures.push(one.sign(&note.text, 1_700_000_000));
    assert_eq!(trust.open(&note.to_string()), Err(Error::TooFewWitnesses { found: 1, required: 2 }));
    let mut doubled = note.clone();
    doubled.signatures.push(one.sign(&note.text, 1_700_000_001));
    let twice = trust.open(&doubled.to_string());
    assert_eq!(twice, Err(Error::TooFewWitnesses { found: 1, required: 2 }), "a second line by one key is dropped");
    assert_eq!(Note::parse(&doubled.to_string()).unwrap(), note);
    note.signatures.push(two.sign(&note.text, 1_700_000_002));
    assert_eq!(trust.open(&note.to_string()).unwrap(), log.checkpoint(5));
    assert_eq!(note.verify(two.verifier()).unwrap(), 1_700_000_002);

    let twin = signer("w1.example", Algorithm::CosignatureV1, 13);
    let twins = vec![one.verifier().clone(), twin.verifier().clone()];
    assert!(matches!(
        Trust::new(ORIGIN, log.signer.verifier().clone(), twins.clone(), 2),
        Err(Error::Malformed { .. })
    ));
    let mut both = log.checkpoint(5).sign(&log.signer);
    both.signatures.extend([one.sign(&both.text, 1), twin.sign(&both.text, 1)]);
    assert_eq!(both.count_signers(&twins).unwrap(), 1);
    assert!(Trust::new(ORIGIN, log.signer.verifier().clone(), keys(), 3).is_err());

    // One key under two names is one witness, and the log is none of its own.
    let alias = signer("w3.example", Algorithm::CosignatureV1, 11);
    let aliases = vec![one.verifier().clone(), alias.verifier().clone()];
    assert!(Trust::new(ORIGIN, log.signer.verifier().clone(), aliases.clone(), 2).is_err());
    let mut both = log.checkpoint(5).sign(&log.signer);
    both.signatures.extend([one.sign(&both.text, 1), alias.sign(&both.text, 1)]);
    assert_eq!(both.count_signers(&aliases).unwrap(), 1);
    let own = signer("w4.example", Algorithm::CosignatureV1, 1).verifier().clone();
    assert!(Trust::new(ORIGIN, log.signer.verifier().clone(), vec![own], 1).is_err());
}

#[test]
fn a_cosignature_of_an_impossible_time_is_named_and_does_not_count() {
    let log = Log::new("entry", 5);
    let one = signer("w1.example", Algorithm::CosignatureV1, 11);
    let trust = Trust::new(ORIGIN, log.signer.verifier().clone(), vec![one.verifier().clone()], 1).unwrap();
    let trust = trust.within(1_700_000_000..=1_800_000_000);
    let at = |time| {
        let mut note = log.checkpoint(5).sign(&log.signer);
        note.signatures.push(one.sign(&note.text, time));
        note.to_string()
    };
    assert!(trust.open(&at(1_750_000_000)).is_ok());
    for time in [0, 1_699_999_999, 1_800_000_001, 4_102_444_800] {
        assert_eq!(trust.open(&at(time)), Err(Error::Untimely { key: "w1.example".into(), time }));
    }
    // What was trusted before more was asked stays what the next must extend.
    assert!(LogVerifier::new(trust.clone(), Some(&log.note(5))).is_ok());
    assert!(matches!(trust.open(&log.note(5)), Err(Error::TooFewWitnesses { .. })));
}

#[test]
fn notes_of_other_implementations_are_read() {
    let log = Log::new("entry", 5);
    // Sixteen signatures of a post-quantum kind, whose keys nobody here knows.
    let mut large = log.checkpoint(5).sign(&log.signer);
    for n in 0..16u8 {
        let bytes = vec![n; 7_856];
        large.signatures.push(remit_tlog::note::Signature { name: format!("pq{n}.example"), key_id: 6, bytes });
    }
    let trust = Trust::new(ORIGIN, log.signer.verifier().clone(), vec![], 0).unwrap();
    let text = large.to_string();
    assert!(text.len() > 128 * 1024);
    assert_eq!(trust.open(&text).unwrap(), log.checkpoint(5));
    large.signatures.resize(101, large.signatures[1].clone());
    assert!(Note::parse(&large.to_string()).is_err(), "each line counts, also one that is there already");

    // Extension lines are signed and cosigned with the rest.
    let text = format!("{}more\nand more\n", log.checkpoint(5));
    let note = Note { signatures: vec![log.signer.sign(&text, 0)], text };
    let me = signer("w1.example", Algorithm::CosignatureV1, 11);
    let key = log.signer.verifier();
    let cosigned = witness::cosign(&me, (key, ORIGIN), &None, &note.to_string(), &[], 100).unwrap();
    assert_eq!(cosigned.note.text, note.text);
    assert_eq!(cosigned.checkpoint, log.checkpoint(5));
    let extensions: Vec<_> = remit_tlog::checkpoint::extensions(&note.text).collect();
    assert_eq!(extensions, ["more", "and more"]);

    // A log may be called otherwise than its key.
    let named = Checkpoint { origin: "go.sum database tree".into(), ..log.checkpoint(5) };
    let named = named.sign(&log.signer).to_string();
    assert!(witness::cosign(&me, (key, "go.sum database tree"), &None, &named, &[], 100).is_ok());
    assert!(matches!(witness::cosign(&me, (key, ORIGIN), &None, &named, &[], 100), Err(Error::WrongOrigin { .. })));
    let pq = "w.example+00000000+BgAA";
    assert!(VerifierKey::parse(pq).unwrap_err().to_string().contains("ML-DSA-44"));
}

#[test]
fn a_witness_cosigns_growth_and_refuses_rollback_and_forks() {
    let log = Log::new("entry", 20);
    let key = log.signer.verifier();
    let me = signer("w1.example", Algorithm::CosignatureV1, 11);
    let first = witness::cosign(&me, (key, ORIGIN), &None, &log.note(8), &[], 100).unwrap();
    assert_eq!(first.note.verify(me.verifier()).unwrap(), 100);
    let memory = Some(Checkpoint::parse(&first.checkpoint.to_string()).unwrap());
    let again = witness::cosign(&me, (key, ORIGIN), &memory, &log.note(13), &log.consistency(8, 13), 200).unwrap();
    assert_eq!(again.progress, Progress::Grew { from: 8 });

    let forged = Log::new("forged", 20);
    let memory = Some(again.checkpoint);
    let refuse =
        |note: &str, proof: &[Hash]| witness::cosign(&me, (key, ORIGIN), &memory, note, proof, 300).unwrap_err();
    assert_eq!(refuse(&log.note(8), &[]), Error::Rollback { seen: 13, offered: 8 });
    assert!(matches!(refuse(&forged.note(13), &[]), Error::Fork { size: 13, .. }));
    assert!(matches!(refuse(&forged.note(20), &forged.consistency(13, 20)), Error::Fork { size: 13, .. }));
    let plain = signer("w1.example", Algorithm::Ed25519, 11);
    assert!(matches!(
        witness::cosign(&plain, (key, ORIGIN), &None, &log.note(8), &[], 1),
        Err(Error::Malformed { .. })
    ));
}

#[test]
fn proof_files_read_back_and_prove() {
    let log = Log::new("entry", 11);
    let hashes = proof::inclusion(4, 11, |node| log.node(node)).unwrap();
    let file = ProofFile { extra: None, index: 4, hashes, checkpoint: log.note(11) };
    let text = file.to_string();
    assert_eq!(ProofFile::parse(&text).unwrap(), file);
    let with_extra = text.replacen("\nindex", "\nextra YQ==\nindex", 1);
    let more = ProofFile { extra: Some(b"a".to_vec()), ..file };
    assert_eq!((ProofFile::parse(&with_extra).unwrap(), more.to_string()), (more, with_extra));
    assert!(ProofFile::parse(&text.replacen("\nindex", "\nextra YQ=\nindex", 1)).is_err());
    let trust = Trust::new(ORIGIN, log.signer.verifier().clone(), vec![], 0).unwrap();
    assert_eq!(trust.check_proof_file(log.leaves[4], &text).unwrap().size, 11);
    assert!(trust.check_proof_file(log.leaves[5], &text).is_err());
    assert!(ProofFile::parse(&text.replacen("index 4", "index 04", 1)).is_err());
}

#[test]
fn checkpoints_refuse_all_but_their_one_form() {
    let root = empty_root().to_base64();
    assert_eq!(Checkpoint::parse(&format!("a\n0\n{root}\n")).unwrap().size, 0);
    let short = &root[..40];
    for wrong in [
        String::new(),
        format!("a\n0\n{root}"),
        format!("\n0\n{root}\n"),
        format!("a\n00\n{root}\n"),
        format!("a\n+1\n{root}\n"),
        format!("a\n-1\n{root}\n"),
        format!("a\n9223372036854775808\n{root}\n"),
        format!("a\n1\n{short}\n"),
        format!("a\n1\n{root}\nmore\n\nagain\n"),
        format!("a\n0\n{}\n", leaf_hash(b"").to_base64()),
    ] {
        assert!(Checkpoint::parse(&wrong).is_err(), "{wrong:?}");
    }
    for wrong in [
        "",
        "a",
        "a+b",
        "a+00000000+AQ==",
        &format!("a+00000000+{root}"),
        "a b+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ] {
        assert!(VerifierKey::parse(wrong).is_err(), "{wrong:?}");
    }
    assert!(Note::parse("text\n\n").is_err());
    assert!(Note::parse("text\n\nx\n").is_err());
}

/// The vectors of `docs/audit.md`: a log key of 32 bytes `01`, a witness key of 32 bytes `0b`.
#[test]
fn golden_vectors() {
    let log = Log::new("entry", 3);
    assert_eq!(log.leaves[0].to_string(), include_str!("golden/leaf.txt").trim_end());
    let witness = signer("w1.example", Algorithm::CosignatureV1, 11);
    let mut note = log.checkpoint(3).sign(&log.signer);
    note.signatures.push(witness.sign(&note.text, 1_700_000_000));
    let keys = format!("{}\n{}\n", log.signer.verifier(), witness.verifier());
    assert_eq!(keys, include_str!("golden/keys.txt"));
    let hashes = proof::inclusion(1, 3, |node| log.node(node)).unwrap();
    let file = ProofFile { extra: None, index: 1, hashes, checkpoint: note.to_string() };
    assert_eq!(file.to_string(), include_str!("golden/entry-1.tlog-proof"));
}
