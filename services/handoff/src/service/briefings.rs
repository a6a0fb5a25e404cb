//! The daily briefing of Sales Ops: oversight on the loop, beside the clock of each lead (S42, A13).

use super::{Service, calendars, clocks, decode, gates, work};
use crate::convert::{self, stamp, unstamp};
use crate::principal::group;
use crate::store;
use crate::templates;
use jiff::civil::Date;
use prost::Message as _;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::gate_version::Rules;
use remit_core::calendar::Calendar;
use remit_core::{Error, Kind, Result, Tenant, Timestamp, name};
use remit_runtime::{Cx, Started, finish};
use remit_store::{Mutation, Tx, Value, page, timers};
use serde_json::json;

/// How many leads a briefing names; the rest are in ListRoutings.
const MOST_LEADS: i64 = 200;

/// The calendar in which the days of a gate begin and end.
async fn calendar_of(tx: &mut Tx, tenant: &Tenant, gate: &pb::GateVersion) -> Result<Calendar> {
    let level = gate.service_level.clone().unwrap_or_default();
    let name = if level.calendar.is_empty() { format!("calendars/{}", templates::CALENDAR) } else { level.calendar };
    calendars::load(tx, tenant, &name).await
}

/// Sees to it that the briefing of the present day is issued: on the next working day, at the gate's minute.
pub(super) async fn schedule(mutation: &mut Mutation, gate: &pb::GateVersion, now: Timestamp) -> Result<()> {
    let tenant = mutation.tenant().clone();
    let Some(Rules::Routing(rules)) = &gate.rules else { return Ok(()) };
    let calendar = calendar_of(mutation.tx(), &tenant, gate).await?;
    let day = calendar.date(now);
    let at = calendar.instant(calendar.next_working_day(day)?, u16::try_from(rules.briefing_minute).unwrap_or(0))?;
    let payload = format!("{day} {}", gate.name);
    timers::schedule(mutation.tx(), &tenant, &format!("briefing/{day}"), clocks::BRIEFING, at, payload.as_bytes()).await
}

fn parse(name: &str) -> Result<(String, Date)> {
    let [day] = name::ids::<1>(name, "briefings/*", "name")?;
    let date = day.parse::<Date>().map_err(|cause| {
        Error::invalid("NAME_INVALID", "name", "must have the form briefings/2008-05-12").with_source(cause)
    })?;
    Ok((date.to_string(), date))
}

/// Puts a briefing together from what is known now.
async fn compile(tx: &mut Tx, tenant: &Tenant, gate: &pb::GateVersion, date: Date) -> Result<pb::Briefing> {
    let calendar = calendar_of(tx, tenant, gate).await?;
    let start = calendar.midnight(date)?;
    let after = date
        .tomorrow()
        .map_err(|cause| Error::invalid("NAME_INVALID", "name", "is outside the calendar").with_source(cause))?;
    let end = calendar.midnight(after)?;
    let counts = store::summaries::day(tx, tenant, start, end).await?;
    let mut leads = Vec::new();
    for body in store::routings::high_intent(tx, tenant, start, end, MOST_LEADS).await? {
        let routing: pb::Routing = decode(&body)?;
        leads.push(pb::BriefingLead {
            routing: routing.name,
            destination: routing.destination,
            state: routing.state,
            score: routing.score,
            enrichment_confidence: routing.enrichment_confidence,
            owner: routing.owner,
            sampled: routing.sampled,
        });
    }
    Ok(pb::Briefing {
        name: format!("briefings/{date}"),
        gate_version: gate.name.clone(),
        start_time: Some(stamp(start)),
        end_time: Some(stamp(end)),
        routed_count: counts.routed,
        nurtured_count: counts.nurtured,
        high_intent_count: counts.high_intent,
        high_intent_nurtured_count: counts.high_intent_nurtured,
        data_quality_count: counts.data_quality,
        breached_count: counts.breached,
        unchecked_sample_count: counts.unchecked_samples,
        leads,
        ..Default::default()
    })
}

impl Service {
    /// Issues the briefing of a day, once.
    pub(super) async fn issue_briefing(&self, mutation: &mut Mutation, payload: &str) -> Result<()> {
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        let Some((day, gate)) = payload.split_once(' ') else {
            return Err(Error::internal("a briefing's timer names no day and gate"));
        };
        let [gate, version] = name::ids::<2>(gate, "gates/*/versions/*", "gate")?;
        let version = version
            .parse::<i64>()
            .map_err(|cause| Error::internal("a stored gate version is no number").with_source(cause))?;
        let gate = gates::load(mutation.tx(), &tenant, gate, version).await?;
        let (_, date) = parse(&format!("briefings/{day}"))?;
        let mut briefing = compile(mutation.tx(), &tenant, &gate, date).await?;
        briefing.issued = true;
        briefing.issue_time = Some(stamp(now));
        if !store::routings::insert_briefing(mutation.tx(), &tenant, day, now, briefing.encode_to_vec()).await? {
            return Ok(());
        }
        let item = pb::WorkItem {
            resource: briefing.name.clone(),
            kind: pb::WorkKind::Briefing.into(),
            responsible: match &gate.rules {
                Some(Rules::Routing(rules)) => Some(group(&rules.sales_ops_group)),
                _ => gate.owner.clone(),
            },
            offered_at: Some(stamp(now)),
            gate_version: gate.name.clone(),
            ..Default::default()
        };
        work::put(mutation, &item).await?;
        let mut event = mutation.event(clocks::BRIEFING, &briefing.name);
        let counts = json!({
            "routed": briefing.routed_count,
            "nurtured": briefing.nurtured_count,
            "high_intent": briefing.high_intent_count,
            "breached": briefing.breached_count,
        });
        event.details = super::record::merged([event.details, counts]);
        mutation.record(event);
        Ok(())
    }

    /// Returns the briefing of a day.
    pub async fn get_briefing(&self, cx: &Cx, request: pb::GetBriefingRequest) -> Result<pb::Briefing> {
        self.seed(&cx.tenant).await?;
        let (day, date) = parse(&request.name)?;
        let mut tx = self.db.read().await?;
        if let Some(body) = store::routings::get_briefing(&mut tx, &cx.tenant, &day).await? {
            return decode(&body);
        }
        let gate = format!("gates/{}", templates::ROUTING);
        let (_, _, gate) = gates::active(&mut tx, &cx.tenant, &gate, "name").await?;
        compile(&mut tx, &cx.tenant, &gate, date).await
    }

    /// Lists issued briefings.
    pub async fn list_briefings(
        &self,
        cx: &Cx,
        request: pb::ListBriefingsRequest,
    ) -> Result<pb::ListBriefingsResponse> {
        let size = page::size(request.page_size)?;
        let keyset = self.db.keyset(&cx.tenant, "briefings", &[]);
        let after = keyset.after(&request.page_token)?;
        let rows =
            store::routings::list_briefings(&mut self.db.read().await?, &cx.tenant, after.as_deref(), size + 1).await?;
        let (rows, next_page_token) = keyset.cut(rows, size, |row| vec![Value::from(&row.day)]);
        let briefings = rows.iter().map(|row| decode(&row.body)).collect::<Result<_>>()?;
        Ok(pb::ListBriefingsResponse { briefings, next_page_token })
    }

    /// Records that a person has read a briefing.
    pub async fn acknowledge_briefing(&self, cx: &Cx, request: pb::AcknowledgeBriefingRequest) -> Result<pb::Briefing> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let (day, _) = parse(&request.name)?;
        let body = store::routings::lock_briefing(mutation.tx(), &cx.tenant, &day).await?;
        let body = body.ok_or_else(|| {
            Error::new(Kind::NotFound, "BRIEFING_NOT_FOUND", format!("{} was not issued", request.name))
        })?;
        let mut briefing: pb::Briefing = decode(&body)?;
        if let Some(by) = &briefing.acknowledged_by {
            let message = format!("{} was acknowledged by {}", request.name, by.subject);
            return Err(Error::precondition("BRIEFING_ACKNOWLEDGED", message));
        }
        briefing.acknowledged_by = Some(convert::actor(&cx.actor));
        briefing.acknowledge_time = Some(stamp(mutation.now()));
        store::routings::acknowledge_briefing(mutation.tx(), &cx.tenant, &day, briefing.encode_to_vec()).await?;
        work::remove(&mut mutation, pb::WorkKind::Briefing, &briefing.name).await?;
        let issued = briefing.issue_time.as_ref().map(|at| unstamp(at).to_string());
        super::record(&mut mutation, &briefing.name, |event| event.details = json!({"issued": issued}));
        finish(mutation, briefing).await
    }
}
