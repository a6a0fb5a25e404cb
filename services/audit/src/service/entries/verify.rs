//! Verifying the stored log.

use super::Service;
use crate::fsck;
use crate::store::heads::signed;
use remit_api::audit::v1 as api;
use remit_core::Result;
use remit_runtime::Cx;

/// How many findings are listed if the request does not say.
const DEFAULT_FINDINGS: usize = 100;

impl Service {
    /// Recomputes the log from what is stored.
    ///
    /// # Errors
    /// `InvalidArgument` (`NOTE_INVALID`).
    pub(crate) async fn verify_log(&self, cx: &Cx, request: api::VerifyLogRequest) -> Result<api::VerifyLogResponse> {
        let most = usize::try_from(request.max_findings).ok().filter(|most| *most > 0).unwrap_or(DEFAULT_FINDINGS);
        self.fsck(&cx.tenant, &request.since_checkpoint, most).await.map(verified)
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
    }
}
