//! Verifying the stored log.

use super::Service;
use crate::fsck;
use crate::store::heads::signed;
use remit_api::audit::v1 as api;
use remit_core::Result;
use remit_runtime::{Answers, Cx, produce};
use std::time::Duration;
use tokio::sync::watch;

/// How many findings are listed if the request does not say.
const DEFAULT_FINDINGS: usize = 100;

/// How often it is said how far a check is.
const TELLING: Duration = Duration::from_secs(1);

impl Service {
    /// Recomputes the log from what is stored.
    ///
    /// # Errors
    /// `InvalidArgument` (`NOTE_INVALID`).
    pub(crate) async fn verify_log(
        &self,
        cx: &Cx,
        request: api::VerifyLogRequest,
    ) -> Result<Answers<api::VerifyLogResponse>> {
        let most = usize::try_from(request.max_findings).ok().filter(|most| *most > 0).unwrap_or(DEFAULT_FINDINGS);
        self.since(&cx.tenant, &request.since_checkpoint)?;
        let (log, tenant) = (self.clone(), cx.tenant.clone());
        Ok(produce(move |answers| async move {
            let (telling, told) = watch::channel(None);
            let tell = |progress| {
                telling.send_replace(Some(progress));
            };
            let check = log.fsck_telling(&tenant, &request.since_checkpoint, most, &tell);
            tokio::pin!(check);
            loop {
                tokio::select! {
                    biased;
                    report = &mut check => {
                        // A reader that has left does not need to know.
                        let _ = answers.send(Ok(verified(report?))).await;
                        return Ok(());
                    }
                    // Nobody reads any more: what is left to check is spared.
                    () = answers.closed() => return Ok(()),
                    () = tokio::time::sleep(TELLING) => {
                        let progress = *told.borrow();
                        if let Some(progress) = progress {
                            let _ = answers.try_send(Ok(so_far(progress)));
                        }
                    }
                }
            }
        }))
    }
}

fn so_far(progress: fsck::Progress) -> api::VerifyLogResponse {
    api::VerifyLogResponse {
        size: signed(progress.size),
        start_index: signed(progress.start),
        checked_entry_count: signed(progress.next.saturating_sub(progress.start)),
        ..Default::default()
    }
}

fn verified(report: fsck::Report) -> api::VerifyLogResponse {
    let finding = |finding: fsck::Finding| api::Finding {
        kind: finding.kind.into(),
        location: finding.location,
        message: finding.message,
    };
    api::VerifyLogResponse {
        ok: report.findings.is_empty(),
        size: signed(report.size),
        root_hash: report.root.0.to_vec(),
        checkpoint: report.checkpoint,
        start_index: signed(report.start),
        checked_entry_count: signed(report.entries),
        pruned_entry_count: signed(report.pruned),
        erased_entry_count: signed(report.erased),
        checked_tile_count: signed(report.tiles),
        findings: report.findings.into_iter().map(finding).collect(),
        complete: true,
    }
}
