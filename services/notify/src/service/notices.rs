//! Inboxes.

use super::{Service, TENANT, name_of};
use crate::language;
use crate::people::calendar::{self, Method};
use crate::store::deadlines;
use crate::store::notices::{self as store, Notices, Reader};
use crate::store::settings::Settings;
use jiff::tz::TimeZone;
use remit_api::notify::v1::{
    AcknowledgeNoticeRequest, GetNoticeRequest, ListNoticesRequest, ListNoticesResponse, Notice, RenderCalendarRequest,
    RenderCalendarResponse,
};
use remit_core::details::{Details as _, NoticeAcknowledged};
use remit_core::name::NoticeName;
use remit_core::{Error, Result};
use remit_runtime::Cx;
use remit_store::Records as _;
use std::time::Duration;

/// How long what is over stays in a calendar, and the most entries of one.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
const MOST_ENTRIES: i64 = 1_000;

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
        let found = found.ok_or_else(|| Error::not_found(Notices::NOT_FOUND, &request.name))?;
        Ok(language::notice(found, &self.spoken(cx).await?.0, &TimeZone::UTC))
    }

    pub(crate) async fn list_notices(&self, cx: &Cx, request: ListNoticesRequest) -> Result<ListNoticesResponse> {
        self.ready(&cx.tenant).await?;
        self.came(cx).await?;
        let page = (request.page_size, request.page_token.as_str());
        let (notices, next_page_token) = reader(cx).list(&self.db, cx.method, request.show_acknowledged, page).await?;
        let (spoken, _) = self.spoken(cx).await?;
        let notices = notices.into_iter().map(|notice| language::notice(notice, &spoken, &TimeZone::UTC)).collect();
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

    /// The language of the caller's settings, or else that of the tenant, or else of the configuration; and her time zone.
    async fn spoken(&self, cx: &Cx) -> Result<(String, String)> {
        let own = name_of(&cx.actor.subject);
        let found = Settings::named(&mut self.db.read().await?, &cx.tenant, &[&own, TENANT]).await?;
        let set = |name: &str| found.iter().find(|one| one.name == name);
        let of = |name: &str| set(name).map_or("", |one| one.language.as_str());
        let language = language::of(of(&own), language::of(of(TENANT), &self.language)).to_owned();
        Ok((language, set(&own).map(|one| one.time_zone.clone()).unwrap_or_default()))
    }

    pub(crate) async fn render_calendar(&self, cx: &Cx, _: RenderCalendarRequest) -> Result<RenderCalendarResponse> {
        self.ready(&cx.tenant).await?;
        let (spoken, zone) = self.spoken(cx).await?;
        let since = self.db.now().minus(KEPT);
        let deadlines = deadlines::of(&mut self.db.read().await?, &reader(cx), since, MOST_ENTRIES).await?;
        let organizer = self.smtp.as_ref().map(|smtp| smtp.from.email.to_string()).unwrap_or_default();
        let spoken = (spoken.as_str(), zone.as_str());
        let calendar = calendar::render(&cx.tenant, &deadlines, Method::Publish, spoken, &organizer)?;
        Ok(RenderCalendarResponse { calendar })
    }
}
