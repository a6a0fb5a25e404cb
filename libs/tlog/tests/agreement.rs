//! Agreement with independent implementations and with vectors that others published.
#![allow(clippy::unwrap_used, missing_docs)]

use ed25519_dalek::SigningKey;
use remit_tlog::note::Algorithm;
use remit_tlog::proof::{self, Node};
use remit_tlog::tile::Tile;
use remit_tlog::{Checkpoint, Frontier, Hash, Note, Signer, VerifierKey, leaf_hash};
use signed_note::Verifier as _;
use std::collections::HashMap;
use tlog_tiles::{HashReader, Tile as TheirTile};

/// The leaves of the reference test of RFC 6962, as in google/certificate-transparency.
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

/// The roots of that test for 1 to 8 leaves.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

#[test]
fn roots_are_those_of_the_rfc_6962_reference_test() {
    let mut frontier = Frontier::default();
    for (data, root) in LEAVES.iter().zip(ROOTS) {
        frontier.push(leaf_hash(&hex::decode(data).unwrap())).unwrap();
        assert_eq!(frontier.root().to_string(), root);
    }
}

/// All hashes of a growing log in the order in which `tlog_tiles` stores them.
#[derive(Default)]
struct Theirs(Vec<tlog_tiles::Hash>);

impl Theirs {
    fn push(&mut self, index: u64, data: &[u8]) {
        let hashes = tlog_tiles::stored_hashes(index, data, self).unwrap();
        self.0.extend(hashes);
    }
}

impl HashReader for Theirs {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[*index as usize]).collect())
    }
}

fn ours(hash: tlog_tiles::Hash) -> Hash {
    Hash(hash.0)
}

#[test]
fn hashes_proofs_and_tiles_are_those_of_tlog_tiles() {
    let mut theirs = Theirs::default();
    let mut frontier = Frontier::default();
    let mut nodes = HashMap::new();
    for index in 0..600u64 {
        let data = format!("entry {index}");
        theirs.push(index, data.as_bytes());
        frontier.push(leaf_hash(data.as_bytes())).unwrap();
        let size = index + 1;
        assert_eq!(frontier.root(), ours(tlog_tiles::tree_hash(size, &theirs).unwrap()));
        let mut read = |node: Node| -> remit_tlog::Result<Hash> {
            let stored = tlog_tiles::stored_hash_index(node.level, node.index);
            Ok(*nodes.entry(node).or_insert_with(|| ours(theirs.0[stored as usize])))
        };
        for at in [0, index / 3, index / 2, index] {
            let mine = proof::inclusion(at, size, &mut read).unwrap();
            let other: Vec<Hash> = tlog_tiles::prove_record(size, at, &theirs).unwrap().into_iter().map(ours).collect();
            assert_eq!(mine, other, "inclusion of {at} in {size}");
            let old = at + 1;
            let mine = proof::consistency(old, size, &mut read).unwrap();
            let other: Vec<Hash> = tlog_tiles::prove_tree(size, old, &theirs).unwrap().into_iter().map(ours).collect();
            assert_eq!(mine, other, "consistency of {old} and {size}");
        }
    }
    for (level, index) in [(0, 0), (0, 1), (0, 2), (1, 0)] {
        let tile = Tile::of(level, index, 600).unwrap();
        let other = TheirTile::new(8, level, index, tile.width.into(), false);
        assert_eq!(tile.path(), other.path().replacen("tile/8/", "tile/", 1));
        let content = other.read_data(&theirs).unwrap();
        let first = tile.index * 256;
        let mine: Vec<Hash> = (first..first + u64::from(tile.width))
            .map(|index| ours(theirs.0[tlog_tiles::stored_hash_index(level * 8, index) as usize]))
            .collect();
        assert_eq!(Hash::join(&mine), content);
    }
}

const NEUMANN_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const NEUMANN_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\
    \n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

#[test]
fn the_published_signed_note_verifies() {
    let key = VerifierKey::parse(NEUMANN_KEY).unwrap();
    assert_eq!((key.name(), key.id(), key.to_string().as_str()), ("PeterNeumann", 0xc74f_20a3, NEUMANN_KEY));
    let note = Note::parse(NEUMANN_NOTE).unwrap();
    note.verify(&key).unwrap();
    assert_eq!(note.to_string(), NEUMANN_NOTE);
    for at in 0..NEUMANN_NOTE.len() {
        let mut bytes = NEUMANN_NOTE.as_bytes().to_vec();
        bytes[at] ^= 1;
        let accepted = String::from_utf8(bytes)
            .ok()
            .and_then(|text| Note::parse(&text).ok())
            .is_some_and(|note| note.verify(&key).is_ok());
        assert!(!accepted, "accepted with byte {at} changed");
    }
}

#[test]
fn our_checkpoints_are_read_by_the_other_crates() {
    let signer = Signer::new("remit.example/acme", Algorithm::Ed25519, SigningKey::from_bytes(&[7; 32])).unwrap();
    let checkpoint = Checkpoint { origin: "remit.example/acme".into(), size: 3, root: leaf_hash(b"root") };
    let note = checkpoint.sign(&signer).to_string();

    let verifier = signed_note::StandardVerifier::new(&signer.verifier().to_string()).unwrap();
    assert_eq!((verifier.name(), verifier.key_id()), ("remit.example/acme", signer.verifier().id()));
    let theirs = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
    theirs.verify(&signed_note::VerifierList::new(vec![Box::new(verifier)])).unwrap();
    let read = tlog_tiles::Checkpoint::from_bytes(theirs.text()).unwrap();
    assert_eq!((read.origin(), read.size(), ours(*read.hash())), ("remit.example/acme", 3, checkpoint.root));

    let (secret, public) =
        ("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz", NEUMANN_KEY);
    let theirs = signed_note::StandardSigner::new(secret).unwrap();
    let mut note = signed_note::Note::new(checkpoint.to_string().as_bytes(), &[]).unwrap();
    note.add_sigs(&[&theirs]).unwrap();
    let note = Note::parse(&String::from_utf8(note.to_bytes()).unwrap()).unwrap();
    note.verify(&VerifierKey::parse(public).unwrap()).unwrap();
}
