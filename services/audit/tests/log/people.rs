use super::{Fixture, MASTER};
use remit_api::audit::v1 as api;
use remit_audit::key_watch::KeyWatch;
use remit_core::Result;
use remit_store::query;
use remit_store::testing::{TestDb, each_engine};

fn erase(subject: &str, request_id: &str) -> api::EraseSubjectRequest {
    api::EraseSubjectRequest { subject: subject.into(), reason: "request 7".into(), request_id: request_id.into() }
}

#[tokio::test]
async fn personal_data_is_sealed_revealed_and_erased_and_the_log_still_verifies() -> Result<()> {
    each_engine(|database| async move {
        let fixture = Fixture::new(&database).await?;
        let tenant = &fixture.tenant;
        let event = |id: &str| fixture.personal(id, "leads/1", "ann.secret@example.com");
        fixture.append(vec![event("a"), fixture.personal("b", "leads/2", "bob@example.com"), event("c")]).await?;
        assert_eq!(fixture.append(vec![event("a")]).await?, [0], "a resend is the same leaf");
        let other = fixture.personal("a", "leads/1", "someone.else@example.com");
        assert_eq!(fixture.append(vec![other]).await.unwrap_err().reason(), "EVENT_ID_REUSED");

        let entry = fixture.get("entries/0", api::EntryView::Full).await?;
        assert_eq!((entry.subject.as_str(), entry.personal_state()), ("leads/1", api::PersonalState::Sealed));
        assert!(!String::from_utf8_lossy(&entry.leaf_data).contains("secret"));
        assert_eq!(fixture.reveal("entries/0").await?.fields["email"], "ann.secret@example.com");

        let answer = fixture.log.erase_subject(&fixture.cx("audit.subjects.erase"), erase("leads/1", "q1")).await?;
        assert_eq!((answer.destroyed_key_count, answer.erased_entry_count), (1, 2));
        assert_eq!((answer.first_entry.as_str(), answer.last_entry.as_str()), ("entries/0", "entries/2"));
        let again = fixture.log.erase_subject(&fixture.cx("audit.subjects.erase"), erase("leads/1", "q1")).await?;
        assert_eq!(again, answer, "the same request id gets the first answer");
        let idle = fixture.log.erase_subject(&fixture.cx("audit.subjects.erase"), erase("leads/1", "q2")).await?;
        assert_eq!((idle.destroyed_key_count, idle.erased_entry_count, idle.erase_time), (0, 0, answer.erase_time));

        let entry = fixture.get("entries/0", api::EntryView::Full).await?;
        assert_eq!(entry.personal_state(), api::PersonalState::Erased);
        assert_eq!(fixture.reveal("entries/0").await.unwrap_err().reason(), "PERSONAL_DATA_ERASED");
        assert_eq!(fixture.reveal("entries/1").await?.fields["email"], "bob@example.com");
        assert_eq!(fixture.append(vec![event("a")]).await?, [0], "a late resend of an erased event is harmless");
        // Both erasures are entries, and the person may come back under a new key.
        assert_eq!(fixture.append(vec![event("d")]).await?, [5]);
        assert_eq!(fixture.reveal("entries/5").await?.fields["email"], "ann.secret@example.com");
        assert_eq!(fixture.findings().await?, []);
        let report = fixture.log.fsck(tenant, "", 10).await?;
        assert_eq!((report.entries, report.erased), (6, 2));
        let export = fixture.export(api::ExportRequest { include_sealed: true, ..Default::default() }).await?;
        assert!(!String::from_utf8_lossy(&export).contains("example.com\""));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn no_plaintext_is_left_in_the_database_file() -> Result<()> {
    let database = TestDb::sqlite()?;
    let fixture = Fixture::new(&database).await?;
    fixture.append(vec![fixture.personal("a", "leads/1", "unmistakable-plaintext")]).await?;
    fixture.log.erase_subject(&fixture.cx("audit.subjects.erase"), erase("leads/1", "")).await?;
    fixture.db.close().await;
    let path = database.url().trim_start_matches("sqlite:").to_owned();
    for file in [path.clone(), format!("{path}-wal")] {
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert!(!bytes.windows(12).any(|part| part == b"unmistakable"), "{file}");
    }
    Ok(())
}

#[tokio::test]
async fn a_rotation_of_the_master_key_loses_nothing() -> Result<()> {
    each_engine(|database| async move {
        let old = Fixture::new(&database).await?;
        for n in 0..5 {
            old.append(vec![old.personal(&format!("e{n}"), &format!("leads/{n}"), "x@example.com")]).await?;
        }
        let fresh = "k2 AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
        let both = Fixture::with_master(&database, &format!("{fresh}\n{MASTER}")).await?;
        let answer = both
            .log
            .rewrap_subject_keys(&both.cx("audit.keys.rewrap"), api::RewrapSubjectKeysRequest::default())
            .await?;
        assert_eq!((answer.master_key.as_str(), answer.rewrapped_count, answer.remaining_count), ("k2", 5, 0));
        assert_eq!(
            both.log
                .rewrap_subject_keys(&both.cx("audit.keys.rewrap"), api::RewrapSubjectKeysRequest::default())
                .await?
                .rewrapped_count,
            0
        );
        let new = Fixture::with_master(&database, fresh).await?;
        assert_eq!(new.reveal("entries/3").await?.fields["email"], "x@example.com");
        assert_eq!(new.findings().await?, []);
        assert_eq!(old.reveal("entries/3").await.unwrap_err().reason(), "MASTER_KEY_MISSING");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn keys_that_cannot_be_opened_are_counted_before_they_are_needed() -> Result<()> {
    each_engine(|database| async move {
        let log = Fixture::new(&database).await?;
        let of = |n: u32| log.personal(&format!("e{n}"), &format!("leads/{n:04}"), "x@example.com");
        log.append((0..600).map(of).collect()).await?;
        log.append((600..1_003).map(of).collect()).await?;
        let watch = KeyWatch::default();
        let damage = async |sql: &'static str| {
            let mut tx = log.db.write().await?;
            query(sql).execute(&mut tx).await?;
            tx.commit().await
        };
        let found = async |log: &Fixture, watch: &KeyWatch| {
            // The keys are more than one look takes.
            log.log.look_at_keys(watch).await?;
            log.log.look_at_keys(watch).await?;
            let conditions = watch.conditions().into_iter().filter(|found| found.count > 0).map(|found| (found.reason, found.count, found.fatal));
            Ok::<_, remit_core::Error>(conditions.collect::<Vec<_>>())
        };
        assert_eq!(found(&log, &watch).await?, []);
        damage("create table copy_keys as select * from subject_keys").await?;
        let spoil = "update subject_keys set wrapped = personal_data.sealed from personal_data \
             where personal_data.subject = subject_keys.subject and subject_keys.subject in ('leads/0001', 'leads/1002')";
        damage(spoil).await?;
        assert_eq!(found(&log, &watch).await?, [("SUBJECT_KEY_DAMAGED", 2, false)]);
        // A replica with other master keys is not ready, and says for how many keys.
        let other = Fixture::with_master(&database, "k1 AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=").await?;
        assert_eq!(found(&other, &KeyWatch::default()).await?, [("MASTER_KEY_MISSING", 1_003, true)]);
        damage("delete from subject_keys").await?;
        damage("insert into subject_keys select * from copy_keys").await?;
        assert_eq!(found(&log, &watch).await?, [], "what was put right is forgotten");
        Ok(())
    })
    .await
}
