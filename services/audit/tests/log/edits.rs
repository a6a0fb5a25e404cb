//! What whoever owns the database can change beside the entries, each with what names it, and what he cannot have the log
//! go on from.

use super::tampering::Tampering;
use super::{Fixture, keys, witness};
use ed25519_dalek::SigningKey;
use remit_api::audit::v1::{self as api, FindingKind};
use remit_audit::Service;
use remit_audit::keys::Keys;
use remit_audit::seal::MasterKeys;
use remit_audit::sequencer::Limits;
use remit_core::{Result, SERVICES};
use remit_store::query;
use remit_store::testing::{TestDb, each_engine};
use std::sync::Arc;

pub const EDITS: &[Tampering] = &[
    ("delete from legal_holds where name = 'legalHolds/h1'", FindingKind::Rule, "legalHolds/h1"),
    ("delete from legal_holds where name = 'legalHolds/h2'", FindingKind::Rule, "legalHolds/h2"),
    ("update legal_holds set active = 0 where name = 'legalHolds/h1'", FindingKind::Rule, "legalHolds/h1"),
    ("update legal_holds set active = 1 where name = 'legalHolds/h2'", FindingKind::Rule, "legalHolds/h2"),
    ("update legal_holds set body = $1 where name = 'legalHolds/h1'", FindingKind::Rule, "legalHolds"),
    ("update legal_holds set name = 'legalHolds/h3' where name = 'legalHolds/h1'", FindingKind::Rule, "legalHolds/h1"),
    ("update legal_holds set create_time = 7 where name = 'legalHolds/h1'", FindingKind::Rule, "legalHolds/h1"),
    ("update legal_holds set tenant_id = 'other' where name = 'legalHolds/h1'", FindingKind::Rule, "legalHolds/h1"),
    ("update retention_policies set tenant_id = 'other'", FindingKind::Rule, "retentionPolicy"),
    ("delete from retention_policies", FindingKind::Rule, "retentionPolicy"),
    ("update retention_policies set body = $1", FindingKind::Rule, "retentionPolicy"),
    ("update retention_policies set name = 'other'", FindingKind::Rule, "retentionPolicy"),
    ("delete from cosignatures", FindingKind::Checkpoint, "checkpoints/303"),
    ("update cosignatures set witness = 'w9.example'", FindingKind::Checkpoint, "checkpoints/303"),
    ("update cosignatures set cosign_time = 7", FindingKind::Checkpoint, "checkpoints/303"),
    (
        "update subject_keys set wrapped = null, destroy_time = 1 where subject = 'leads/1'",
        FindingKind::SubjectKey,
        "subjects/leads/1",
    ),
    ("update subject_keys set wrapped = $1 where subject = 'leads/1'", FindingKind::SubjectKey, "subjects/leads/1"),
    (
        "update subject_keys set master_key = 'k9' where subject = 'leads/1'",
        FindingKind::SubjectKey,
        "subjects/leads/1",
    ),
    ("update subject_keys set generation = 2 where subject = 'leads/1'", FindingKind::SubjectKey, "subjects/leads/1"),
    (
        "update subject_keys set subject = 'leads/3' where subject = 'leads/1'",
        FindingKind::SubjectKey,
        "subjects/leads/3",
    ),
    ("update subject_keys set destroy_time = 7 where subject = 'leads/1'", FindingKind::SubjectKey, "subjects/leads/1"),
    ("update subject_keys set destroy_time = 7 where subject = 'leads/2'", FindingKind::SubjectKey, "subjects/leads/2"),
    ("update subject_keys set wrapped = $1 where subject = 'leads/2'", FindingKind::SubjectKey, "subjects/leads/2"),
    (
        "update subject_keys set destroy_time = null where subject = 'leads/2'",
        FindingKind::SubjectKey,
        "subjects/leads/2",
    ),
    ("delete from subject_keys where subject = 'leads/2'", FindingKind::SubjectKey, "subjects/leads/2"),
    ("delete from subject_keys where subject = 'leads/1'", FindingKind::PersonalData, "entries/300"),
    ("delete from personal_data where idx = 300", FindingKind::PersonalData, "entries/300"),
    ("update personal_data set generation = 2 where idx = 300", FindingKind::PersonalData, "entries/300"),
    // What he could not have known: that an entry accounts for each erasure. One that is gone leaves the others' word.
    ("delete from entries where action = 'audit.subjects.erase'", FindingKind::SubjectKey, "subjects/leads/2"),
    (
        "delete from entries where action = 'audit.legalHolds.create' and resource = 'legalHolds/h1'",
        FindingKind::Rule,
        "legalHolds/h1",
    ),
    ("delete from entries where action = 'audit.legalHolds.release'", FindingKind::Rule, "legalHolds/h2"),
    ("delete from entries where action = 'audit.retention.update'", FindingKind::Rule, "retentionPolicy"),
    ("delete from entries where action = 'audit.checkpoints.cosign'", FindingKind::Checkpoint, "checkpoints/303"),
];

const TABLES: [&str; 6] =
    ["legal_holds", "retention_policies", "cosignatures", "subject_keys", "personal_data", "entries"];

async fn each_table(fixture: &Fixture, statements: &[&str]) -> Result<()> {
    let mut tx = fixture.db.write().await?;
    for table in TABLES {
        for statement in statements {
            let sql: &'static str = statement.replace("TABLE", table).leak();
            query(sql).execute(&mut tx).await?;
        }
    }
    tx.commit().await
}

async fn edit(fixture: &Fixture, sql: &'static str, bytes: usize) -> Result<()> {
    let mut tx = fixture.db.write().await?;
    let change = query(sql);
    let change = if sql.contains("$1") { change.bind(vec![7u8; bytes]) } else { change };
    change.execute(&mut tx).await?;
    tx.commit().await
}

fn hold(id: &str) -> api::CreateLegalHoldRequest {
    let legal_hold = api::LegalHold { reason: "matter 1".into(), actor: "ann".into(), ..Default::default() };
    api::CreateLegalHoldRequest { legal_hold_id: id.into(), legal_hold: Some(legal_hold), request_id: String::new() }
}

#[tokio::test]
async fn what_stands_beside_the_entries_is_compared_with_them() -> Result<()> {
    let database = TestDb::sqlite()?;
    let fixture = Fixture::new(&database).await?;
    fixture.fill(0, 300).await?;
    let of = |id: &str, subject: &str| fixture.personal(id, subject, "x@example.com");
    fixture.append(vec![of("p1", "leads/1"), of("p2", "leads/2")]).await?;
    let erase = api::EraseSubjectRequest { subject: "leads/2".into(), reason: "request".into(), ..Default::default() };
    fixture.log.erase_subject(&fixture.cx("audit.subjects.erase"), erase).await?;
    let seen = fixture.checkpoint(0).await?;
    assert_eq!(seen.size, 303);
    let text = remit_tlog::Note::parse(&seen.note).unwrap().text;
    fixture.cosign(&format!("{}{}", seen.note, witness().sign(&text, 1_767_225_600))).await?;
    for id in ["h1", "h2"] {
        fixture.log.create_legal_hold(&fixture.cx("audit.legalHolds.create"), hold(id)).await?;
    }
    let end =
        api::ReleaseLegalHoldRequest { name: "legalHolds/h2".into(), reason: "settled".into(), ..Default::default() };
    fixture.log.release_legal_hold(&fixture.cx("audit.legalHolds.release"), end).await?;
    let keep = api::RetentionPolicy {
        keep: Some(prost_types::Duration { seconds: 200 * 86_400, nanos: 0 }),
        ..Default::default()
    };
    let update = api::UpdateRetentionPolicyRequest { retention_policy: Some(keep), ..Default::default() };
    fixture.log.update_retention_policy(&fixture.cx("audit.retention.update"), update).await?;
    assert_eq!(fixture.findings().await?, []);

    each_table(&fixture, &["create table copy_TABLE as select * from TABLE"]).await?;
    for (sql, kind, location) in EDITS {
        edit(&fixture, sql, 60).await?;
        let found = fixture.findings().await?;
        assert!(
            found.contains(&(*kind, (*location).to_owned())),
            "{sql}: expected {kind:?} at {location}, found {found:?}"
        );
        each_table(&fixture, &["delete from TABLE", "insert into TABLE select * from copy_TABLE"]).await?;
    }
    assert_eq!(fixture.findings().await?, []);
    Ok(())
}

#[tokio::test]
async fn an_event_that_was_taken_out_of_an_outbox_is_a_gap() -> Result<()> {
    each_engine(|database| async move {
        let fixture = &Fixture::new(&database).await?;
        // The log's own entries need no outbox.
        for (at, service) in (0..).zip(SERVICES.into_iter().filter(|service| *service != "audit")) {
            let event = |seq: i64| api::Event {
                seq,
                service: service.into(),
                action: format!("{service}.things.create"),
                ..fixture.event(&format!("{service}-{seq}"))
            };
            fixture.append(vec![event(1), event(2), event(4)]).await?;
            assert_eq!(fixture.findings().await?, [(FindingKind::Sequence, format!("services/{service}/events/3"))]);
            assert_eq!(fixture.append(vec![event(2)]).await?, [4 * at + 1], "a resend has the number that it had");
            fixture.append(vec![event(3)]).await?;
            assert_eq!(fixture.findings().await?, [], "what was set aside comes late");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn one_key_that_cannot_be_opened_stops_nobody() -> Result<()> {
    each_engine(|database| async move {
        let fixture = &Fixture::new(&database).await?;
        let of = |id: &str, subject: &str| fixture.personal(id, subject, "x@example.com");
        fixture.append(vec![of("a", "leads/1"), of("b", "leads/2")]).await?;
        edit(fixture, "update subject_keys set wrapped = $1 where subject = 'leads/1'", 60).await?;
        let placed = fixture.append(vec![fixture.event("c"), of("d", "leads/1"), of("e", "leads/2")]).await?;
        assert_eq!(placed, [2, 3, 4], "all of them, in their order");
        assert_eq!(
            fixture.append(vec![of("a", "leads/1")]).await?,
            [0],
            "a resend of what cannot be opened is harmless"
        );
        assert_eq!(fixture.reveal("entries/3").await?.fields["email"], "x@example.com");
        assert_eq!(fixture.reveal("entries/0").await.unwrap_err().reason(), "SUBJECT_KEY_DAMAGED");
        let named = (FindingKind::SubjectKey, "subjects/leads/1".to_owned());
        assert!(fixture.findings().await?.contains(&named), "it is not forgotten");
        // Another key under the same id is not a damaged row, and stops nobody either.
        let other = Fixture::with_master(&database, "k1 AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=").await?;
        assert_eq!(other.append(vec![other.personal("f", "leads/2", "y@example.com")]).await?, [5]);
        assert_eq!(other.reveal("entries/4").await.unwrap_err().reason(), "MASTER_KEY_MISSING");
        assert_eq!(other.reveal("entries/5").await?.fields["email"], "y@example.com");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nothing_is_put_on_top_of_a_head_that_the_log_did_not_sign() -> Result<()> {
    each_engine(|database| async move {
        let fixture = &Fixture::new(&database).await?;
        fixture.fill(0, 300).await?;
        let refusal = async |id: &str| fixture.append(vec![fixture.event(id)]).await.unwrap_err().reason();
        edit(fixture, "create table copy_heads as select * from log_heads", 0).await?;
        for sql in [
            "update log_heads set root_hash = $1",
            "update log_heads set size = 256",
            "update log_heads set checkpoint = ''",
            "delete from log_heads",
        ] {
            edit(fixture, sql, 32).await?;
            let reason = refusal("x").await;
            // A missing frontier for the size is no head at all.
            assert!(["LOG_HEAD_INVALID", "INTERNAL"].contains(&reason), "{sql}: {reason}");
            edit(fixture, "delete from log_heads", 0).await?;
            edit(fixture, "insert into log_heads select * from copy_heads", 0).await?;
        }
        // Tiles that lead to another root are not signed for.
        edit(fixture, "update tiles set hashes = $1 where level = 1", 32).await?;
        assert_eq!(fixture.inclusion("entries/0", 256).await.unwrap_err().reason(), "CHECKPOINT_CONFLICT");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_process_goes_on_neither_below_what_it_signed_nor_with_another_key() -> Result<()> {
    let database = TestDb::sqlite()?;
    let fixture = &Fixture::new(&database).await?;
    fixture.fill(0, 10).await?;
    edit(fixture, "create table copy_heads as select * from log_heads", 0).await?;
    fixture.fill(10, 12).await?;
    // An older copy of the database, whose head is validly signed: only outside memory knows better.
    edit(fixture, "delete from log_heads", 0).await?;
    edit(fixture, "insert into log_heads select * from copy_heads", 0).await?;
    edit(fixture, "delete from entries where idx >= 10", 0).await?;
    assert_eq!(fixture.append(vec![fixture.event("x")]).await.unwrap_err().reason(), "LOG_ROLLED_BACK");

    // The same where the copy is what its last step left, and it has recorded a change of its own since.
    let again = TestDb::sqlite()?;
    let changed = &Fixture::new(&again).await?;
    changed.fill(0, 10).await?;
    edit(changed, "create table copy_heads as select * from log_heads", 0).await?;
    changed.log.create_legal_hold(&changed.cx("audit.legalHolds.create"), hold("h1")).await?;
    edit(changed, "delete from log_heads", 0).await?;
    edit(changed, "insert into log_heads select * from copy_heads", 0).await?;
    edit(changed, "delete from entries where idx >= 10", 0).await?;
    assert_eq!(changed.append(vec![changed.event("x")]).await.unwrap_err().reason(), "LOG_ROLLED_BACK");

    let stranger = Keys::new(
        "remit.example",
        SigningKey::from_bytes(&[3; 32]),
        MasterKeys::parse(super::MASTER)?,
        &[witness().verifier().to_string()],
    )?;
    for other in [Arc::new(stranger), keys(super::MASTER)] {
        let log = Service::new(fixture.db.clone(), fixture.clock.clone(), other, Limits::default());
        let asked = log.record_events(&fixture.tenant, vec![fixture.event("y")], |at| format!("events[{at}]")).await;
        // Without a memory of its own the log's own key goes on: what finds that is a witness.
        match asked {
            Err(error) => assert_eq!(error.reason(), "KEY_NOT_OF_LOG"),
            Ok(receipt) => assert_eq!(receipt.size, 11),
        }
    }
    Ok(())
}
