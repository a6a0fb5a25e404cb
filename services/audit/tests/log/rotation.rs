use super::tampering::Tampering;
use super::{Fixture, MASTER, witness};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use remit_api::audit::v1::{self as api, FindingKind};
use remit_audit::Service;
use remit_audit::export_verify::{Beforehand, followed, verify_export};
use remit_audit::keys::Keys;
use remit_audit::seal::MasterKeys;
use remit_audit::sequencer::Limits;
use remit_core::Result;
use remit_store::query;
use remit_store::testing::{TestDb, each_engine};
use remit_tlog::client::{LogVerifier, Progress, Trust};
use remit_tlog::note::Algorithm;
use remit_tlog::{Checkpoint, Hash, Note, VerifierKey};
use std::sync::Arc;

/// The log as it starts again with another signing key.
async fn restarted(before: &Fixture, database: &TestDb, retired: &[String], seed: u8) -> Result<Fixture> {
    let mut after = before.replica(database).await?;
    let (key, witnesses) = (SigningKey::from_bytes(&[seed; 32]), [witness().verifier().to_string()]);
    let keys = Keys::new("remit.example", key, MasterKeys::parse(MASTER)?, &witnesses)?.after(retired)?;
    after.log = Service::new(after.db.clone(), after.clock.clone(), Arc::new(keys), Limits::default());
    Ok(after)
}

#[tokio::test]
async fn the_signing_key_is_changed_and_what_the_old_one_signed_stands() -> Result<()> {
    each_engine(|database| async move {
        let before = Fixture::new(&database).await?;
        before.fill(0, 10).await?;
        let seen = before.checkpoint(0).await?;
        let text = remit_tlog::Note::parse(&seen.note).unwrap().text;
        let cosigned = format!("{}{}", seen.note, witness().sign(&text, 1_767_225_600));

        // A log that does not say what key it had calls its own last checkpoint a forgery.
        let stranger = restarted(&before, &database, &[], 2).await?;
        assert_eq!(stranger.findings().await?, [(FindingKind::Checkpoint, "checkpoints/10".to_owned())]);
        assert_eq!(stranger.cosign(&cosigned).await.unwrap_err().reason(), "NOTE_INVALID");

        let old = URL_SAFE_NO_PAD.encode(SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes());
        let after = restarted(&before, &database, &[old], 2).await?;
        assert_eq!(after.findings().await?, []);
        after.cosign(&cosigned).await?;
        let again = after.checkpoint(1).await?;
        assert_eq!((again.size, again.cosignatures.len()), (10, 1), "the cosignature stands under the new key's note");
        assert_ne!(again.verifier_key, seen.verifier_key);
        // What goes on from here extends what was seen under the old key.
        after.fill(10, 20).await?;
        let proof = after.consistency(10, 20).await?;
        assert_eq!(proof.old_root_hash, seen.root_hash);
        assert_eq!(after.findings().await?, []);
        for wrong in ["", "AAAA", "not base64"] {
            let refused = restarted(&before, &database, &[wrong.to_owned()], 2).await;
            assert!(refused.is_err_and(|error| error.message().starts_with("audit.retired_keys[0]")), "{wrong}");
        }
        Ok(())
    })
    .await
}

/// The log as it starts with a key that takes over, which is then the only one that signs.
async fn handed_over(before: &Fixture, database: &TestDb, old: u8, next: u8) -> Result<Fixture> {
    let mut after = before.replica(database).await?;
    let (old, next) = (SigningKey::from_bytes(&[old; 32]), SigningKey::from_bytes(&[next; 32]));
    let witnesses = [witness().verifier().to_string()];
    let keys = Keys::new("remit.example", old, MasterKeys::parse(MASTER)?, &witnesses)?.handing_over(next);
    after.log = Service::new(after.db.clone(), after.clock.clone(), Arc::new(keys), Limits::default());
    after.log.hand_over_all().await?;
    Ok(after)
}

/// A log whose key was changed twice, at 10 and at 16, with its first key and its last, and a checkpoint of the first.
async fn changed_twice(database: &TestDb) -> Result<(Fixture, Fixture, String)> {
    let first = Fixture::new(database).await?;
    first.fill(0, 10).await?;
    let early = first.checkpoint(0).await?.note;
    let second = handed_over(&first, database, 1, 2).await?;
    second.fill(20, 25).await?;
    let third = handed_over(&second, database, 2, 3).await?;
    third.fill(30, 33).await?;
    Ok((first, third, early))
}

#[tokio::test]
async fn who_trusts_the_first_key_is_led_to_the_last_and_to_no_other() -> Result<()> {
    each_engine(|database| async move {
        let (first, third, early) = changed_twice(&database).await?;
        assert_eq!(third.checkpoint(0).await?.size, 20);
        third.log.hand_over_all().await?;
        assert_eq!(third.checkpoint(0).await?.size, 20, "it is done once");
        assert_eq!(first.append(vec![first.event("x")]).await.unwrap_err().reason(), "KEY_NOT_OF_LOG");
        readers_of_a_server_follow(&first, &third, &early).await?;
        let anchor = |fixture: &Fixture| Beforehand { key: Some(fixture.log_key()), ..Default::default() };
        for start_index in [0, 18] {
            let request = api::ExportRequest { start_index, known_size: 10, ..Default::default() };
            let export = third.export(request).await?;
            for known in [&first, &third] {
                let verified = verify_export(export.as_slice(), &anchor(known)).unwrap();
                assert_eq!(verified.handovers.iter().map(|one| one.index).collect::<Vec<_>>(), [10, 16]);
                assert!(verified.key_pinned);
            }
            // A checkpoint that the first key signed is one of this log.
            let earlier = Some(early.clone());
            assert!(verify_export(export.as_slice(), &Beforehand { earlier, ..anchor(&first) }).is_ok());
            // A key that no key before named, and a chain of which a link is left out.
            let mut stranger = anchor(&first);
            stranger.key = Some(key(9));
            assert!(verify_export(export.as_slice(), &stranger).unwrap_err().what.contains("leads"), "no anchor");
            let lines = String::from_utf8(export).unwrap();
            let cut: Vec<&str> = lines.lines().filter(|line| !line.starts_with("{\"handover\":16")).collect();
            let cut = cut.join("\n") + "\n";
            assert!(
                verify_export(cut.as_bytes(), &anchor(&first)).unwrap_err().what.contains("leads"),
                "a link is gone"
            );
        }
        // Without the old key nobody hands over: a log that goes on under a new key alone leads nowhere.
        let retired = URL_SAFE_NO_PAD.encode(SigningKey::from_bytes(&[3; 32]).verifying_key().to_bytes());
        let other = restarted(&third, &database, &[retired], 5).await?;
        other.fill(40, 42).await?;
        let export = other.export(api::ExportRequest::default()).await?;
        assert!(verify_export(export.as_slice(), &anchor(&other)).is_ok());
        let refused = verify_export(export.as_slice(), &anchor(&third)).unwrap_err();
        assert!(refused.what.contains("nothing that this key signed leads"), "{refused}");
        Ok(())
    })
    .await
}

/// What `remit audit verify --state` does with what a server tells it.
async fn readers_of_a_server_follow(first: &Fixture, third: &Fixture, early: &str) -> Result<()> {
    let request = api::GetConsistencyProofRequest { old_size: 1, new_size: 0, with_handovers: true };
    let lines = third.log.get_consistency_proof(&third.cx("audit.proofs.get"), request).await?.handovers;
    let note = third.checkpoint(0).await?.note;
    let checkpoint = Checkpoint::parse(&Note::parse(&note).unwrap().text).unwrap();
    let (led, taken) = followed(&lines, &checkpoint, &first.log_key()).unwrap();
    assert_eq!((&led, taken.len()), (&third.log_key(), 2));
    assert_eq!(followed(&lines, &checkpoint, &key(2)).unwrap().1.len(), 1);
    assert_eq!(followed(&lines, &checkpoint, &key(9)).unwrap(), (key(9), vec![]), "a stranger's key leads nowhere");
    assert_eq!(followed(&lines[1..], &checkpoint, &first.log_key()).unwrap().0, first.log_key(), "a link is gone");
    let backwards: Vec<_> = lines.iter().rev().cloned().collect();
    assert!(followed(&backwards, &checkpoint, &first.log_key()).is_err());
    let other = Checkpoint { root: remit_tlog::leaf_hash(b"another history"), ..checkpoint.clone() };
    assert!(followed(&lines, &other, &first.log_key()).is_err(), "the log must extend what the old key signed");
    let request = api::GetConsistencyProofRequest { old_size: 11, new_size: 0, with_handovers: true };
    let later = third.log.get_consistency_proof(&third.cx("audit.proofs.get"), request).await?.handovers;
    assert_eq!(later, lines[1..]);

    let trust = Trust::new("remit.example/acme", led, Vec::new(), 0).unwrap();
    assert!(LogVerifier::new(trust.clone(), Some(early)).is_err());
    assert!(LogVerifier::after(trust.clone(), &[key(9)], Some(early)).is_err());
    let mut reader = LogVerifier::after(trust, &[first.log_key()], Some(early)).unwrap();
    let proof = third.consistency(10, 0).await?.hashes;
    let proof: Vec<Hash> = proof.iter().map(|hash| Hash::from_slice(hash).unwrap()).collect();
    assert_eq!(reader.update(&note, &proof).unwrap(), Progress::Grew { from: 10 });
    Ok(())
}

fn key(seed: u8) -> VerifierKey {
    let key = SigningKey::from_bytes(&[seed; 32]).verifying_key();
    VerifierKey::new("remit.example/acme", Algorithm::Ed25519, key).unwrap()
}

/// What is edited in the line of the first handover, and what the refusal says.
pub const LINE_EDITS: &[(&str, &str, &str)] = &[
    ("{\"handover\":10,", "{\"handover\":11,", "hands nothing over"),
    ("\"root\":\"", "\"root\":\"AAAA", "one form"),
    ("\"signature\":\"\u{2014} remit.example/acme", "\"signature\":\"\u{2014} remit.example/acne", "signature"),
    ("],\"consistency\":[\"", "],\"consistency\":[ \"", "one form"),
    ("\"service\":\"audit\"", "\"service\":\"crm\"", "hands nothing over"),
    ("audit.keys.rotate", "audit.keys.rewrap", "hands nothing over"),
    ("\"new_key\":\"remit", "\"new_key\":\"remis", "hands nothing over"),
];

#[tokio::test]
async fn each_edit_of_a_handover_is_named_and_each_missing_byte() -> Result<()> {
    let database = TestDb::sqlite()?;
    let (first, third, _) = changed_twice(&database).await?;
    let export = String::from_utf8(third.export(api::ExportRequest::default()).await?).unwrap();
    let trusted = Beforehand { key: Some(first.log_key()), ..Default::default() };
    let lines: Vec<&str> = export.lines().collect();
    for (from, to, expected) in LINE_EDITS {
        let edited = lines[1].replacen(from, to, 1);
        assert_ne!(edited, lines[1], "{from}");
        let mut all = lines.clone();
        all[1] = &edited;
        let refused = verify_export((all.join("\n") + "\n").as_bytes(), &trusted).unwrap_err();
        assert!(refused.line == 2 && refused.to_string().contains(expected), "{from}: {refused}");
    }
    let begin = export.find("{\"handover\"").unwrap();
    for at in begin..begin + lines[1].len() {
        let mut altered = export.clone().into_bytes();
        altered[at] ^= 1;
        assert!(verify_export(altered.as_slice(), &trusted).is_err(), "byte {at}");
    }
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    assert!(verify_export((swapped.join("\n") + "\n").as_bytes(), &trusted).is_err(), "out of order");
    Ok(())
}

/// Edits of the record of handovers.
pub const EDITS: &[Tampering] = &[
    ("delete from key_handovers where size = 11", FindingKind::Checkpoint, "checkpoints/11"),
    ("update key_handovers set size = 12 where size = 11", FindingKind::Checkpoint, "checkpoints/11"),
    ("update key_handovers set size = 99 where size = 11", FindingKind::Checkpoint, "checkpoints/99"),
    ("update key_handovers set signature = 'x' where size = 11", FindingKind::Checkpoint, "checkpoints/11"),
    ("update key_handovers set tenant_id = 'other' where size = 11", FindingKind::Checkpoint, "checkpoints/11"),
    ("delete from entries where idx = 10", FindingKind::Checkpoint, "checkpoints/11"),
];

#[tokio::test]
async fn the_record_of_a_handover_is_compared_with_its_entry() -> Result<()> {
    each_engine(|database| async move {
        let (_, log, _) = changed_twice(&database).await?;
        assert_eq!(log.findings().await?, []);
        for sql in
            ["create table copy_h as select * from key_handovers", "create table copy_e as select * from entries"]
        {
            run(&log, sql).await?;
        }
        for (sql, kind, location) in EDITS {
            run(&log, sql).await?;
            let found = log.findings().await?;
            assert!(found.contains(&(*kind, (*location).to_owned())), "{sql}: {found:?}");
            for sql in [
                "delete from key_handovers",
                "insert into key_handovers select * from copy_h",
                "delete from entries",
                "insert into entries select * from copy_e",
            ] {
                run(&log, sql).await?;
            }
        }
        assert_eq!(log.findings().await?, []);
        Ok(())
    })
    .await
}

async fn run(log: &Fixture, sql: &'static str) -> Result<()> {
    let mut tx = log.db.write().await?;
    query(sql).execute(&mut tx).await?;
    tx.commit().await
}
