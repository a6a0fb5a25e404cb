use super::{Fixture, witness};
use remit_api::audit::v1 as api;
use remit_audit::export_verify::{Beforehand, verify_export};
use remit_core::Result;
use remit_store::testing::{TestDb, each_engine};
use remit_tlog::Error as LogError;

fn beforehand(fixture: &Fixture) -> Beforehand {
    Beforehand { key: Some(fixture.log_key()), ..Default::default() }
}

#[tokio::test]
async fn exports_of_any_part_verify_and_resume() -> Result<()> {
    each_engine(|database| async move {
        let fixture = Fixture::new(&database).await?;
        fixture.fill(0, 260).await?;
        let early = fixture.checkpoint(0).await?;
        fixture.fill(260, 700).await?;
        for (start_index, end_index, size) in
            [(0, 0, 0), (0, 10, 0), (255, 513, 600), (699, 700, 700), (700, 700, 700), (3, 260, 260)]
        {
            let request = api::ExportRequest { start_index, end_index, size, ..Default::default() };
            let export = fixture.export(request).await?;
            let verified = verify_export(export.as_slice(), &beforehand(&fixture)).unwrap();
            assert_eq!(verified.entries, verified.end - verified.start);
            assert!(verified.key_pinned);
        }
        let whole = fixture.export(api::ExportRequest::default()).await?;
        let trusted = Beforehand { earlier: Some(early.note.clone()), ..beforehand(&fixture) };
        assert_eq!(verify_export(whole.as_slice(), &trusted).unwrap().extends, Some(260));
        let part =
            fixture.export(api::ExportRequest { start_index: 300, known_size: 260, ..Default::default() }).await?;
        assert_eq!(verify_export(part.as_slice(), &trusted).unwrap().extends, Some(260));
        let untied = fixture.export(api::ExportRequest { start_index: 300, ..Default::default() }).await?;
        assert!(verify_export(untied.as_slice(), &trusted).unwrap_err().what.contains("known_size 260"));

        // Interrupted after each piece and resumed, the bytes are the same, although the log has grown.
        let mut export = fixture.log.begin_export(&fixture.tenant, &api::ExportRequest::default()).await?;
        let first = fixture.log.export_next(&mut export).await?.unwrap();
        fixture.fill(700, 720).await?;
        let resumed = api::ExportRequest { resume_index: first.next_index, size: first.size, ..Default::default() };
        let rest = fixture.export(resumed).await?;
        assert_eq!([first.data, rest].concat(), whole);
        let wrong = api::ExportRequest { start_index: 5, end_index: 4, ..Default::default() };
        assert_eq!(fixture.export(wrong).await.unwrap_err().reason(), "SIZE_INVALID");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn any_altered_byte_and_any_cut_is_found() -> Result<()> {
    let database = TestDb::sqlite()?;
    let fixture = Fixture::new(&database).await?;
    fixture
        .append(vec![fixture.event("a"), fixture.personal("b", "leads/1", "x@example.com"), fixture.event("c")])
        .await?;
    let note = fixture.checkpoint(0).await?.note;
    let parsed = remit_tlog::Note::parse(&note).unwrap();
    let cosigned = format!("{note}{}", witness().sign(&parsed.text, 1_767_225_600));
    fixture.cosign(&cosigned).await?;
    let request = api::ExportRequest { size: 3, known_size: 2, include_sealed: true, ..Default::default() };
    let export = fixture.export(request).await?;
    let verified = verify_export(export.as_slice(), &Beforehand::default()).unwrap();
    assert_eq!((verified.entries, verified.sealed, verified.key_pinned), (3, 1, false));
    let trusted = Beforehand { witnesses: vec![witness().verifier().clone()], quorum: 1, ..beforehand(&fixture) };
    assert_eq!(verify_export(export.as_slice(), &trusted).unwrap().witnesses, 1);

    for at in 0..export.len() {
        for flip in [1u8, 0x20] {
            let mut altered = export.clone();
            altered[at] ^= flip;
            let outcome = verify_export(altered.as_slice(), &beforehand(&fixture));
            assert!(outcome.is_err(), "byte {at} changed from {:?} and not found", export[at] as char);
        }
        assert!(verify_export(&export[..at], &beforehand(&fixture)).is_err(), "cut at {at} and not found");
    }
    let named = String::from_utf8(export.clone()).unwrap().replacen("\"id\":\"c\"", "\"id\":\"d\"", 1);
    let error = verify_export(named.as_bytes(), &beforehand(&fixture)).unwrap_err();
    assert_eq!(error.line, 4);
    assert!(error.what.contains("entry 2 was altered"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_cut_tail_and_a_second_history_fail_against_an_earlier_checkpoint() -> Result<()> {
    let database = TestDb::sqlite()?;
    let fixture = Fixture::new(&database).await?;
    fixture.fill(0, 20).await?;
    let earlier = fixture.checkpoint(0).await?.note;
    // The log as it was before its last entries: sound in itself.
    let cut = fixture.export(api::ExportRequest { size: 15, ..Default::default() }).await?;
    assert!(verify_export(cut.as_slice(), &beforehand(&fixture)).is_ok());
    let trusted = Beforehand { earlier: Some(earlier), ..beforehand(&fixture) };
    let error = verify_export(cut.as_slice(), &trusted).unwrap_err();
    assert_eq!(error.cause, Some(LogError::Rollback { seen: 20, offered: 15 }));

    let other = TestDb::sqlite()?;
    let forged = Fixture::new(&other).await?;
    forged.fill(100, 130).await?;
    let export = forged.export(api::ExportRequest::default()).await?;
    let error = verify_export(export.as_slice(), &trusted).unwrap_err();
    assert!(matches!(error.cause, Some(LogError::Fork { size: 20, .. })), "{error}");

    let stranger = remit_tlog::VerifierKey::new(
        "remit.example/acme",
        remit_tlog::note::Algorithm::Ed25519,
        ed25519_dalek::SigningKey::from_bytes(&[5; 32]).verifying_key(),
    );
    let stranger = Beforehand { key: Some(stranger.unwrap()), ..Default::default() };
    assert!(verify_export(export.as_slice(), &stranger).unwrap_err().what.contains("is trusted"));
    Ok(())
}

#[tokio::test]
async fn cosignatures_are_taken_from_known_witnesses_only() -> Result<()> {
    each_engine(|database| async move {
        let fixture = &Fixture::new(&database).await?;
        fixture.fill(0, 5).await?;
        assert_eq!(fixture.checkpoint(1).await.unwrap_err().reason(), "NOT_COSIGNED");
        let note = fixture.checkpoint(0).await?.note;
        let text = remit_tlog::Note::parse(&note).unwrap().text;
        let add = |note: String| async move { fixture.cosign(&note).await };
        let key = ed25519_dalek::SigningKey::from_bytes(&[77; 32]);
        let unknown = remit_tlog::Signer::new("w1.example", remit_tlog::note::Algorithm::CosignatureV1, key).unwrap();
        assert_eq!(add(format!("{note}{}", unknown.sign(&text, 1))).await.unwrap_err().reason(), "WITNESS_UNKNOWN");
        assert_eq!(add(note.clone()).await.unwrap_err().reason(), "WITNESS_UNKNOWN");
        assert_eq!(add("nonsense".into()).await.unwrap_err().reason(), "NOTE_INVALID");
        let cosigned = add(format!("{note}{}", witness().sign(&text, 1_700_000_000))).await?;
        assert_eq!((cosigned.size, cosigned.cosignatures[0].witness.as_str()), (5, "w1.example"));
        fixture.fill(5, 8).await?;
        assert_eq!(fixture.checkpoint(1).await?, cosigned);
        assert_eq!(fixture.checkpoint(2).await.unwrap_err().reason(), "NOT_COSIGNED");
        assert_eq!(fixture.findings().await?, []);
        Ok(())
    })
    .await
}
