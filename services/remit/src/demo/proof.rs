//! Step 4: one lead is forgotten, and the log proves itself offline before and after.

use super::actors::{Actors, refused};
use super::files::write;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{EraseSubjectRequest, ExportRequest, GetCheckpointRequest};
use remit_audit::export_verify::{Beforehand, Verified, verify_export};
use remit_core::{Error, Result};
use remit_tlog::VerifierKey;
use std::path::{Path, PathBuf};

/// What step 4 proved.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The subject that was erased.
    pub subject: String,
    /// Entries that lost their personal data.
    pub erased_entries: i64,
    /// Entries that were verified offline.
    pub entries: u64,
    /// The export that was verified.
    pub export: PathBuf,
    /// What the verifier says of a copy with one altered byte.
    pub altered: String,
    /// What it says of a copy without its tail, given the checkpoint that somebody kept.
    pub truncated: String,
}

/// Runs the step: the exports and the checkpoint are written below `out`.
///
/// # Errors
/// Whatever the service refuses; `Internal` if the log does not verify, or if a forged copy does.
pub(super) async fn run(actors: &Actors, out: &Path, lead: &str) -> Result<Proof> {
    let folder = out.join("audit");
    let before = export(actors).await?;
    let earlier = verify(&before, &Beforehand::default())?;

    let subject = format!("leads/{lead}");
    let erased = AuditServiceClient::new(actors.to("audit", "petra")?)
        .erase_subject(EraseSubjectRequest {
            subject: subject.clone(),
            reason: "the person asked to be forgotten".into(),
            // Each run asks anew: that the data was gone already is an entry too, and the log must grow here.
            request_id: format!("demo-erase-{}", earlier.checkpoint.size),
        })
        .await
        .map_err(refused)?
        .into_inner();

    let key =
        VerifierKey::parse(&earlier.key).map_err(|e| Error::internal("the log's key cannot be read").with_source(e))?;
    let trust = Beforehand { key: Some(key.clone()), earlier: Some(earlier.note.clone()), ..Beforehand::default() };
    let after = export(actors).await?;
    let verified = verify(&after, &trust)?;
    if verified.checkpoint.size <= earlier.checkpoint.size {
        return Err(Error::internal("the erasure left no entry in the log"));
    }
    let path = folder.join("export.ndjson");
    write(&path, &after)?;
    write(&folder.join("checkpoint.txt"), verified.note.as_bytes())?;

    // The copy from before the erasure is sound in itself. Shown as the log of today to somebody who kept
    // today's checkpoint, it is a log whose tail was cut.
    let kept = Beforehand { key: Some(key), earlier: Some(verified.note.clone()), ..Beforehand::default() };
    Ok(Proof {
        subject,
        erased_entries: erased.erased_entry_count,
        entries: verified.entries,
        export: path,
        altered: must_fail(&altered(&after), &trust, &folder.join("export-altered.ndjson"))?,
        truncated: must_fail(&before, &kept, &folder.join("export-truncated.ndjson"))?,
    })
}

async fn export(actors: &Actors) -> Result<Vec<u8>> {
    let mut client = AuditServiceClient::new(actors.to("audit", "cleo")?);
    // The checkpoint is asked for first, so that everything that was recorded until now is covered.
    client.get_checkpoint(GetCheckpointRequest::default()).await.map_err(refused)?;
    let mut answers = client.export(ExportRequest::default()).await.map_err(refused)?.into_inner();
    let mut bytes = Vec::new();
    while let Some(answer) = answers.message().await.map_err(refused)? {
        bytes.extend(answer.data);
    }
    Ok(bytes)
}

fn verify(export: &[u8], trust: &Beforehand) -> Result<Verified> {
    verify_export(export, trust).map_err(|e| Error::internal(format!("the export does not verify: {e}")))
}

/// A copy with one byte changed, in the middle of an entry.
fn altered(export: &[u8]) -> Vec<u8> {
    let mut copy = export.to_vec();
    let at = copy.len() / 2;
    if let Some(digit) = copy[at..].iter_mut().find(|byte| byte.is_ascii_digit()) {
        *digit = if *digit == b'9' { b'0' } else { *digit + 1 };
    }
    copy
}

fn must_fail(forged: &[u8], trust: &Beforehand, path: &Path) -> Result<String> {
    write(path, forged)?;
    match verify_export(forged, trust) {
        Ok(_) => Err(Error::internal(format!("{} is forged and verifies", path.display()))),
        Err(refused) => Ok(refused.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::demo::actors::Mint;
    use remit_core::Tenant;
    use remit_runtime::{Config, Suite};
    use std::time::Duration;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_second_run_on_the_same_log_proves_it_again() {
        let dir = tempfile::tempdir().unwrap();
        let toml =
            format!("[data]\ndir = \"{}\"\n[server]\nlisten = \"127.0.0.1:0\"\n", dir.path().join("data").display());
        let running = Suite::start(Config::from_toml(&toml).unwrap(), vec![remit_audit::SERVICE]).await.unwrap();
        let urls = [("audit".to_owned(), format!("http://{}", running.addr().unwrap()))];
        let (signer, tenant) = (running.signer().unwrap().clone(), Tenant::new("demo").unwrap());
        let mint: Mint = Box::new(move |actor| signer.token(&tenant, actor, Duration::from_secs(60)));
        let actors = Actors::connect(urls.into(), &mint).unwrap();

        let first = EraseSubjectRequest { subject: "leads/0".into(), request_id: "first".into(), ..Default::default() };
        let mut petra = AuditServiceClient::new(actors.to("audit", "petra").unwrap());
        petra.erase_subject(EraseSubjectRequest { reason: "so that there is a log".into(), ..first }).await.unwrap();
        let once = run(&actors, dir.path(), "1").await.unwrap();
        let twice = run(&actors, dir.path(), "1").await.unwrap();
        // Besides the erasures the exports are entries, which may come a moment after the next one.
        assert!(once.entries >= 2 && twice.entries > once.entries, "{} and {}", once.entries, twice.entries);
        running.stop().await.unwrap();
    }
}
