//! Calendars and the due times they give.

use super::Service;
use crate::store::Calendars;
use crate::{business_time, calendar_changes};
use remit_api::handoff::v1 as pb;
use remit_api::wire::time::{self, stamp};
use remit_api::wire::{mask, required};
use remit_core::calendar::{Calendar, IsoDuration};
use remit_core::details::{CalendarChanged, Details as _};
use remit_core::name::{self, CalendarName};
use remit_core::{Error, Result, Tenant, Timestamp, etag};
use remit_runtime::{Cx, mandates};
use remit_store::{Records as _, Tx};

/// The act by which a calendar becomes looser.
const LOOSEN: &str = "loosen_rules";

/// The calendar of a business clock.
///
/// # Errors
/// `NotFound` (`CALENDAR_NOT_FOUND`).
pub(super) async fn load(tx: &mut Tx, tenant: &Tenant, name: &str) -> Result<Calendar> {
    CalendarName::parse(name, "service_level.calendar")?;
    business_time::calendar(&Calendars::get(tx, tenant, name).await?)
}

/// When `level` is due that starts at `start`.
///
/// # Errors
/// `InvalidArgument` (`DURATION_INVALID`), `NotFound` (`CALENDAR_NOT_FOUND`), `FailedPrecondition` (`CALENDAR_EXHAUSTED`).
pub(super) async fn due(tx: &mut Tx, tenant: &Tenant, level: &pb::ServiceLevel, start: Timestamp) -> Result<Timestamp> {
    let duration = business_time::duration(level, "service_level")?;
    match level.clock() {
        pb::ClockKind::Elapsed => Ok(duration.after(start)),
        pb::ClockKind::Business => load(tx, tenant, &level.calendar).await?.after(start, duration),
        pb::ClockKind::Unspecified => Err(no_clock()),
    }
}

/// How much of `level`, which is due at `due`, is left at `now`, in microseconds of the time that it counts: working time
/// for a business clock. 0 if it has run out.
///
/// # Errors
/// `NotFound` (`CALENDAR_NOT_FOUND`).
pub(super) async fn remaining(
    tx: &mut Tx,
    tenant: &Tenant,
    level: &pb::ServiceLevel,
    now: Timestamp,
    due: Timestamp,
) -> Result<i64> {
    match level.clock() {
        pb::ClockKind::Business => {
            let left = load(tx, tenant, &level.calendar).await?.between(now, due)?;
            Ok(i64::try_from(left.as_micros()).unwrap_or(i64::MAX))
        }
        pb::ClockKind::Elapsed => Ok(due.0.saturating_sub(now.0).max(0)),
        pb::ClockKind::Unspecified => Err(no_clock()),
    }
}

/// When `level` is due of which `left` microseconds are left at `start`.
///
/// # Errors
/// `NotFound` (`CALENDAR_NOT_FOUND`), `FailedPrecondition` (`CALENDAR_EXHAUSTED`).
pub(super) async fn after(
    tx: &mut Tx,
    tenant: &Tenant,
    level: &pb::ServiceLevel,
    start: Timestamp,
    left: i64,
) -> Result<Timestamp> {
    match level.clock() {
        pb::ClockKind::Business => load(tx, tenant, &level.calendar).await?.after(start, IsoDuration::of_micros(left)),
        pb::ClockKind::Elapsed => Ok(Timestamp(start.0.saturating_add(left))),
        pb::ClockKind::Unspecified => Err(no_clock()),
    }
}

impl Service {
    /// Creates a calendar.
    pub(crate) async fn create_calendar(&self, cx: &Cx, request: pb::CreateCalendarRequest) -> Result<pb::Calendar> {
        let call = cx.call(&request);
        let name = CalendarName::new(name::id(&request.calendar_id, "calendar_id")?).to_string();
        let calendar = required(request.calendar, "calendar")?;
        business_time::calendar(&calendar)?;
        self.mutate(call, async |m| {
            let now = Some(stamp(m.now()));
            let mut calendar =
                pb::Calendar { name, create_time: now, update_time: now, mandate: String::new(), ..calendar };
            Calendars::insert(m, &mut calendar).await?;
            m.record(&calendar.name, |_| {});
            Ok(calendar)
        })
        .await
    }

    /// Returns a calendar.
    pub(crate) async fn get_calendar(&self, cx: &Cx, request: pb::GetCalendarRequest) -> Result<pb::Calendar> {
        self.seed(&cx.tenant).await?;
        CalendarName::parse(&request.name, "name")?;
        Calendars::get(&mut self.db.read().await?, &cx.tenant, &request.name).await
    }

    /// Lists calendars.
    pub(crate) async fn list_calendars(
        &self,
        cx: &Cx,
        request: pb::ListCalendarsRequest,
    ) -> Result<pb::ListCalendarsResponse> {
        self.seed(&cx.tenant).await?;
        let (calendars, next_page_token) = Calendars::list(&self.db, &cx.tenant, cx.page(&request)).await?;
        Ok(pb::ListCalendarsResponse { calendars, next_page_token })
    }

    /// Changes a calendar.
    pub(crate) async fn update_calendar(&self, cx: &Cx, request: pb::UpdateCalendarRequest) -> Result<pb::Calendar> {
        let call = cx.call(&request);
        let given = required(request.calendar.as_ref(), "calendar")?;
        CalendarName::parse(&given.name, "calendar.name")?;
        self.mutate(call, async |m| {
            let before = Calendars::claim(m, &given.name).await?;
            let mandate = self.mandates.shown(m, LOOSEN, &request).await?;
            etag::check(&given.etag, &before.etag, &given.name)?;
            let Some(mut calendar) = mask::update(&before, given, request.update_mask.as_ref())? else {
                return Ok(before);
            };
            business_time::calendar(&calendar)?;
            let change = calendar_changes::compare(&before, &calendar);
            mandates::allow(m, LOOSEN, &before.name, &change, mandate.as_ref())?;
            if mandate.is_some() {
                calendar.mandate.clone_from(&request.mandate);
            }
            calendar.update_time = Some(stamp(m.now()));
            Calendars::save(m, &mut calendar).await?;
            m.record(&calendar.name, |event| {
                let proposal = mandate.map(|mandate| mandate.sub).unwrap_or_default();
                let (change, loosened) = (change.direction().as_str().to_owned(), change.loosened().to_vec());
                event.details = CalendarChanged { change, loosened, proposal }.json();
            });
            Ok(calendar)
        })
        .await
    }

    /// Computes a due time.
    pub(crate) async fn query_deadline(
        &self,
        cx: &Cx,
        request: pb::QueryDeadlineRequest,
    ) -> Result<pb::QueryDeadlineResponse> {
        self.seed(&cx.tenant).await?;
        let level = required(request.service_level, "service_level")?;
        let start = time::parse(&required(request.start_time, "start_time")?, "start_time")?;
        let duration = business_time::duration(&level, "service_level")?;
        let (due, zone) = match level.clock() {
            pb::ClockKind::Business => {
                let calendar = load(&mut self.db.read().await?, &cx.tenant, &level.calendar).await?;
                let due = calendar.after(start, duration).map_err(|error| error.within("service_level"))?;
                (due, calendar.zone().clone())
            }
            pb::ClockKind::Elapsed => (duration.after(start), jiff::tz::TimeZone::UTC),
            pb::ClockKind::Unspecified => return Err(no_clock()),
        };
        let local_time = due.to_jiff().to_zoned(zone).to_string();
        Ok(pb::QueryDeadlineResponse { due_time: Some(stamp(due)), local_time })
    }
}

fn no_clock() -> Error {
    Error::invalid("DURATION_INVALID", "service_level.clock", "must be elapsed or business time")
}
