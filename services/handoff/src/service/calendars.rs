//! Calendars and the due times they give.

use super::{Service, decode, record};
use crate::convert::{self, stamp, unstamp};
use crate::store::{self, calendars::CalendarRow};
use prost::Message as _;
use remit_api::handoff::v1 as pb;
use remit_core::calendar::Calendar;
use remit_core::{Error, Kind, Result, Tenant, Timestamp, name};
use remit_runtime::{Cx, Started, finish};
use remit_store::{Tx, Value, page};

fn show(row: &CalendarRow) -> Result<pb::Calendar> {
    let mut calendar: pb::Calendar = decode(&row.body)?;
    calendar.name = format!("calendars/{}", row.id);
    calendar.etag = convert::etag(row.revision);
    calendar.create_time = Some(stamp(row.create_time));
    calendar.update_time = Some(stamp(row.update_time));
    Ok(calendar)
}

/// The content without what the server adds.
fn content(calendar: &pb::Calendar) -> Vec<u8> {
    let content = pb::Calendar {
        name: String::new(),
        etag: String::new(),
        create_time: None,
        update_time: None,
        ..calendar.clone()
    };
    content.encode_to_vec()
}

fn missing(name: &str) -> Error {
    Error::not_found("CALENDAR_NOT_FOUND", name)
}

/// The calendar of a business clock.
///
/// # Errors
/// `NotFound` (`CALENDAR_NOT_FOUND`).
pub(super) async fn load(tx: &mut Tx, tenant: &Tenant, name: &str) -> Result<Calendar> {
    let [id] = name::ids::<1>(name, "calendars/*", "calendar")?;
    let row = store::calendars::get(tx, tenant, id).await?.ok_or_else(|| missing(name))?;
    convert::calendar(&decode(&row.body)?)
}

/// When `level` is due that starts at `start`.
///
/// # Errors
/// `InvalidArgument` (`DURATION_INVALID`), `NotFound` (`CALENDAR_NOT_FOUND`), `FailedPrecondition` (`CALENDAR_EXHAUSTED`).
pub(super) async fn due(tx: &mut Tx, tenant: &Tenant, level: &pb::ServiceLevel, start: Timestamp) -> Result<Timestamp> {
    let duration = convert::duration(level, "service_level")?;
    match level.clock() {
        pb::ClockKind::Elapsed => Ok(duration.after(start)),
        pb::ClockKind::Business => load(tx, tenant, &level.calendar).await?.after(start, duration),
        pb::ClockKind::Unspecified => {
            Err(Error::invalid("DURATION_INVALID", "service_level.clock", "must be elapsed or business time"))
        }
    }
}

impl Service {
    /// Creates a calendar.
    pub async fn create_calendar(&self, cx: &Cx, request: pb::CreateCalendarRequest) -> Result<pb::Calendar> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let id = request.calendar_id;
        if !name::is_id(&id) {
            return Err(Error::invalid("CALENDAR_INVALID", "calendar_id", "must be letters, digits, '.', '_' and '-'"));
        }
        let calendar = request.calendar.unwrap_or_default();
        convert::calendar(&calendar)?;
        let now = mutation.now();
        if !store::calendars::insert(mutation.tx(), &cx.tenant, &id, content(&calendar), now).await? {
            return Err(Error::new(Kind::AlreadyExists, "CALENDAR_EXISTS", format!("calendars/{id} exists already")));
        }
        let row = CalendarRow { body: content(&calendar), id, revision: 1, create_time: now, update_time: now };
        let calendar = show(&row)?;
        record(&mut mutation, &calendar.name, |_| {});
        finish(mutation, calendar).await
    }

    /// Returns a calendar.
    pub async fn get_calendar(&self, cx: &Cx, request: pb::GetCalendarRequest) -> Result<pb::Calendar> {
        self.seed(&cx.tenant).await?;
        let [id] = name::ids::<1>(&request.name, "calendars/*", "name")?;
        let row = store::calendars::get(&mut self.db.read().await?, &cx.tenant, id).await?;
        show(&row.ok_or_else(|| missing(&request.name))?)
    }

    /// Lists calendars.
    pub async fn list_calendars(
        &self,
        cx: &Cx,
        request: pb::ListCalendarsRequest,
    ) -> Result<pb::ListCalendarsResponse> {
        self.seed(&cx.tenant).await?;
        let size = page::size(request.page_size)?;
        let keyset = self.db.keyset(&cx.tenant, "calendars", &[]);
        let after = keyset.after(&request.page_token)?;
        let rows = store::calendars::list(&mut self.db.read().await?, &cx.tenant, after.as_deref(), size + 1).await?;
        let (rows, next_page_token) = keyset.cut(rows, size, |row| vec![Value::from(&row.id)]);
        Ok(pb::ListCalendarsResponse { calendars: rows.iter().map(show).collect::<Result<_>>()?, next_page_token })
    }

    /// Replaces a calendar.
    pub async fn update_calendar(&self, cx: &Cx, request: pb::UpdateCalendarRequest) -> Result<pb::Calendar> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let calendar = request.calendar.unwrap_or_default();
        let [id] = name::ids::<1>(&calendar.name, "calendars/*", "calendar.name")?;
        convert::calendar(&calendar)?;
        let claimed = store::calendars::claim(mutation.tx(), &cx.tenant, id).await?;
        let mut row = claimed.ok_or_else(|| missing(&calendar.name))?;
        convert::check_etag(&calendar.etag, row.revision, &calendar.name)?;
        let now = mutation.now();
        row.body = content(&calendar);
        store::calendars::update(mutation.tx(), &cx.tenant, id, row.body.clone(), now).await?;
        let calendar = show(&CalendarRow { revision: row.revision + 1, update_time: now, ..row })?;
        record(&mut mutation, &calendar.name, |_| {});
        finish(mutation, calendar).await
    }

    /// Computes a due time.
    pub async fn query_deadline(
        &self,
        cx: &Cx,
        request: pb::QueryDeadlineRequest,
    ) -> Result<pb::QueryDeadlineResponse> {
        self.seed(&cx.tenant).await?;
        let level = request.service_level.unwrap_or_default();
        let start = request.start_time.as_ref().map(unstamp).unwrap_or_default();
        let mut tx = self.db.read().await?;
        let due = due(&mut tx, &cx.tenant, &level, start).await?;
        let zone = match level.clock() {
            pb::ClockKind::Business => load(&mut tx, &cx.tenant, &level.calendar).await?.zone().clone(),
            pb::ClockKind::Elapsed | pb::ClockKind::Unspecified => jiff::tz::TimeZone::UTC,
        };
        Ok(pb::QueryDeadlineResponse {
            due_time: Some(stamp(due)),
            local_time: due.to_jiff().to_zoned(zone).to_string(),
        })
    }
}
