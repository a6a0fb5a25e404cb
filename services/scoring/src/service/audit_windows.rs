//! Audit windows.

use super::Service;
use crate::store::audit_windows::{AuditWindows, found};
use remit_api::scoring::v1 as api;
use remit_api::types::TimeRange;
use remit_api::wire::{range, time};
use remit_core::name::AuditWindowName;
use remit_core::{Error, Result, name};
use remit_runtime::Cx;
use remit_store::Records as _;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

impl Service {
    pub(crate) async fn create_audit_window(
        &self,
        cx: &Cx,
        request: api::CreateAuditWindowRequest,
    ) -> Result<api::AuditWindow> {
        let id = name::id(&request.audit_window_id, "audit_window_id")?;
        let given = request.audit_window.clone().unwrap_or_default();
        let span = TimeRange { start_time: given.start_time, end_time: given.end_time };
        let span = range::closed(Some(&span), "audit_window")?;
        if !(DAY..=DAY * 92).contains(&span.end.since(span.start)) {
            let text = "must be 1 to 92 days after start_time";
            return Err(Error::invalid("AUDIT_WINDOW_TIMES", "audit_window.end_time", text));
        }
        self.mutate(cx, &request, async |m| {
            let mut window = api::AuditWindow {
                name: AuditWindowName::new(id).to_string(),
                tasks: 0,
                tagged: 0,
                create_time: Some(time::stamp(m.now())),
                ..given
            };
            AuditWindows::insert(m, &mut window).await?;
            m.record(&window.name, |_| {});
            Ok(window)
        })
        .await
    }

    pub(crate) async fn list_audit_windows(
        &self,
        cx: &Cx,
        request: api::ListAuditWindowsRequest,
    ) -> Result<api::ListAuditWindowsResponse> {
        let (mut audit_windows, next_page_token) = AuditWindows::list(&self.db, &cx.tenant, cx.page(&request)).await?;
        let found = found(&mut self.db.read().await?, &cx.tenant, &audit_windows).await?;
        for window in &mut audit_windows {
            (window.tasks, window.tagged) = found.get(&window.name).copied().unwrap_or_default();
        }
        Ok(api::ListAuditWindowsResponse { audit_windows, next_page_token })
    }
}
