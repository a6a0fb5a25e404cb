use super::{Fixture, MASTER, witness};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use remit_api::audit::v1::FindingKind;
use remit_audit::Service;
use remit_audit::keys::Keys;
use remit_audit::seal::MasterKeys;
use remit_audit::sequencer::Limits;
use remit_core::Result;
use remit_store::testing::{TestDb, each_engine};
use std::sync::Arc;

/// The log as it starts again with another signing key.
async fn restarted(before: &Fixture, database: &TestDb, retired: &[String]) -> Result<Fixture> {
    let mut after = before.replica(database).await?;
    let (key, witnesses) = (SigningKey::from_bytes(&[2; 32]), [witness().verifier().to_string()]);
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
        let stranger = restarted(&before, &database, &[]).await?;
        assert_eq!(stranger.findings().await?, [(FindingKind::Checkpoint, "checkpoints/10".to_owned())]);
        assert_eq!(stranger.cosign(&cosigned).await.unwrap_err().reason(), "NOTE_INVALID");

        let old = URL_SAFE_NO_PAD.encode(SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes());
        let after = restarted(&before, &database, &[old]).await?;
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
            let refused = restarted(&before, &database, &[wrong.to_owned()]).await;
            assert!(refused.is_err_and(|error| error.message().starts_with("audit.retired_keys[0]")), "{wrong}");
        }
        Ok(())
    })
    .await
}
