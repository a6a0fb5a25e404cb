//! Inboxes.

use super::Service;
use crate::store::notices::{self as store, Notices, Reader};
use remit_api::notify::v1::{
    AcknowledgeNoticeRequest, GetNoticeRequest, ListNoticesRequest, ListNoticesResponse, Notice,
};
use remit_core::details::{Details as _, NoticeAcknowledged};
use remit_core::name::NoticeName;
use remit_core::{Error, Result};
use remit_runtime::Cx;
use remit_store::Records as _;

/// The caller as those who are told: herself, by her role groups, by her roles.
fn reader(cx: &Cx) -> Reader<'_> {
    let actor = &cx.actor;
    let groups = actor.role_groups.iter().map(|group| format!("group:{group}"));
    let roles = actor.roles.iter().map(|role| format!("role:{role}"));
    let audiences = std::iter::once(format!("subject:{}", actor.subject)).chain(groups).chain(roles).collect();
    Reader { tenant: &cx.tenant, subject: &actor.subject, audiences }
}

impl Service {
    pub(crate) async fn get_notice(&self, cx: &Cx, request: GetNoticeRequest) -> Result<Notice> {
        NoticeName::parse(&request.name, "name")?;
        self.ready(&cx.tenant).await?;
        let found = reader(cx).find(&mut self.db.read().await?, &request.name).await?;
        found.ok_or_else(|| Error::not_found(Notices::NOT_FOUND, &request.name))
    }

    pub(crate) async fn list_notices(&self, cx: &Cx, request: ListNoticesRequest) -> Result<ListNoticesResponse> {
        self.ready(&cx.tenant).await?;
        let page = (request.page_size, request.page_token.as_str());
        let (notices, next_page_token) = reader(cx).list(&self.db, cx.method, request.show_acknowledged, page).await?;
        Ok(ListNoticesResponse { notices, next_page_token })
    }

    pub(crate) async fn acknowledge_notice(&self, cx: &Cx, request: AcknowledgeNoticeRequest) -> Result<Notice> {
        NoticeName::parse(&request.name, "name")?;
        self.mutate(cx, &request, async |m| {
            let found = reader(cx).find(m.tx(), &request.name).await?;
            let notice = found.ok_or_else(|| Error::not_found(Notices::NOT_FOUND, &request.name))?;
            if store::read(m, &notice.name, &cx.actor.subject).await? {
                let (duty, resource) = (notice.duty.clone(), notice.resource.clone());
                m.record(&notice.name, |event| event.details = NoticeAcknowledged { duty, resource }.json());
            }
            Ok(notice)
        })
        .await
    }
}
