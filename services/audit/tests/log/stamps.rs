//! Time stamps in a log that says of them what is not so, and full tiles that a process knows.

use super::Fixture;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use remit_api::audit::v1 as api;
use remit_audit::export_verify::{Beforehand, verify_export};
use remit_core::{Result, Tenant};
use remit_store::query;
use remit_store::testing::{TestDb, each_engine};
use remit_tlog::{Checkpoint, Hash};

/// An answer that is about another note.
const ANSWER: &[u8] = include_bytes!("../golden/timestamp/rsa.tsr");

/// A checkpoint that the log of a tenant signs, whatever is in it.
fn signed(fixture: &Fixture, tenant: &Tenant, size: u64) -> String {
    let signer = fixture.log.keys().signer(tenant).unwrap();
    let origin = signer.verifier().name().to_owned();
    Checkpoint { origin, size, root: Hash([7; 32]) }.sign(&signer).to_string()
}

#[tokio::test]
async fn a_log_that_lies_about_a_time_stamp_is_refused() -> Result<()> {
    let database = TestDb::sqlite()?;
    let mut fixture = Fixture::new(&database).await?;
    let foreign = signed(&fixture, &Tenant::new("other")?, 2);
    for (at, (wrong, why)) in [
        ("", "details"),
        ("signed by another log", "did not sign"),
        ("another root", "root"),
        ("more entries than there were", "3"),
        ("an answer about other data", "other data"),
        ("no base64", "base64"),
        ("no answer", "no answer"),
    ]
    .into_iter()
    .enumerate()
    {
        fixture.tenant = Tenant::new(format!("t{at}"))?;
        fixture.fill(0, 3).await?;
        let own = fixture.checkpoint(0).await?.note;
        let (checkpoint, answer) = match wrong {
            "signed by another log" => (foreign.clone(), ANSWER),
            "another root" => (signed(&fixture, &fixture.tenant, 3), ANSWER),
            "more entries than there were" => (signed(&fixture, &fixture.tenant, 4), ANSWER),
            "no answer" => (own, &b"<html>"[..]),
            _ => (own, ANSWER),
        };
        let answer = if wrong == "no base64" { "?".to_owned() } else { BASE64_STANDARD.encode(answer) };
        let details = serde_json::json!({
            "checkpoint": checkpoint, "authority": "http://tsa.example", "time": "2026-01-01T00:00:00Z",
            "answer": answer, "consistency": [],
        });
        let details_json = if wrong.is_empty() { "7".to_owned() } else { details.to_string() };
        let action = "audit.checkpoints.timestamp".to_owned();
        let event =
            |service: &str| api::Event { service: service.into(), action: action.clone(), ..fixture.event("stamp") };
        // Of another service it would be none; the log does not let it in by its doors, and the verifier passes it over.
        let lie = api::Event { details_json, ..event("audit") };
        fixture.append(vec![lie]).await?;
        let export = fixture.export(api::ExportRequest::default()).await?;
        let error = verify_export(export.as_slice(), &Beforehand::default()).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("entry 3 is no time stamp of this log") && told.contains(why), "{wrong}: {told}");
    }
    fixture.tenant = Tenant::new("plain")?;
    let event = api::Event { action: "audit.checkpoints.timestamp".into(), ..fixture.event("stamp") };
    fixture.append(vec![event]).await?;
    let export = fixture.export(api::ExportRequest::default()).await?;
    assert_eq!(verify_export(export.as_slice(), &Beforehand::default()).unwrap().stamps, []);
    Ok(())
}

#[tokio::test]
async fn a_full_tile_is_read_once_and_only_what_was_proved_is_kept() -> Result<()> {
    each_engine(|database| async move {
        let fixture = Fixture::new(&database).await?;
        fixture.fill(0, 700).await?;
        let first = fixture.inclusion("entries/5", 0).await?;
        let db = &fixture.db;
        let change = |sql: &'static str| async move {
            let mut tx = db.write().await?;
            assert_eq!(query(sql).execute(&mut tx).await?, 1);
            tx.commit().await
        };
        change(
            "update tiles set hashes = (select hashes from tiles where level = 0 and idx = 1) where level = 0 and idx = 0",
        )
        .await?;
        assert_eq!(fixture.inclusion("entries/5", 0).await?, first);
        let next = fixture.inclusion("entries/6", 0).await?;
        assert_eq!(next.checkpoint, first.checkpoint);
        let index = u64::try_from(next.index).unwrap();
        let hashes: Vec<Hash> = next.hashes.iter().map(|hash| Hash::from_slice(hash).unwrap()).collect();
        let note = remit_tlog::Note::parse(&next.checkpoint).unwrap();
        let root = Checkpoint::parse(&note.text).unwrap().root;
        let leaf = Hash::from_slice(&next.leaf_hash).unwrap();
        remit_tlog::proof::check_inclusion(index, leaf, 700, root, &hashes).unwrap();
        // Another process does not know it, and what no proof has shown is not known here.
        assert!(fixture.replica(&database).await?.inclusion("entries/5", 0).await.is_err());
        change("update tiles set hashes = (select hashes from tiles where level = 1) where level = 0 and idx = 1")
            .await?;
        assert!(fixture.inclusion("entries/300", 0).await.is_err());
        assert!(fixture.inclusion("entries/300", 0).await.is_err());
        // Grown on: the same tile under another head.
        fixture.fill(700, 710).await?;
        assert_eq!(fixture.inclusion("entries/5", 0).await?.size, 710);
        Ok(())
    })
    .await
}
