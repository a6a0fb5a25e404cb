//! The daily briefing of Sales Ops: oversight on the loop, beside the clock of each lead (S42, A13).

use super::clocks::kinds;
use super::held::fill;
use super::{Service, calendars, gates, work};
use crate::principal::group;
use crate::store::summaries::{self, Span};
use crate::store::{Briefings, GateVersions, routings};
use crate::{gate_rules, principal, templates};
use jiff::civil::Date;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::gate_version::Rules;
use remit_api::wire::time::{self, stamp};
use remit_api::wire::{actor, range};
use remit_core::calendar::Calendar;
use remit_core::details::{BriefingAcknowledged, BriefingIssued, Details as _};
use remit_core::name::BriefingName;
use remit_core::{Error, Result, Tenant};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _, Tx, timers};

/// How many leads a briefing names; the rest are in ListRoutings.
const MOST_LEADS: i64 = 200;

/// The calendar in which the days of a gate begin and end.
async fn calendar_of(tx: &mut Tx, tenant: &Tenant, gate: &pb::GateVersion) -> Result<Calendar> {
    let level = gate.service_level.as_ref().filter(|level| !level.calendar.is_empty());
    calendars::load(tx, tenant, level.map_or(templates::CALENDAR, |level| &level.calendar)).await
}

/// Sees to it that the briefing of the present day is issued: on the next working day, at the gate's minute.
pub(super) async fn schedule(m: &mut Mutation, gate: &pb::GateVersion) -> Result<()> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    let minute = gate_rules::routing(gate)?.briefing_minute;
    let calendar = calendar_of(m.tx(), &tenant, gate).await?;
    let day = calendar.date(now);
    let at = calendar.instant(calendar.next_working_day(day)?, u16::try_from(minute).unwrap_or(0))?;
    let payload = format!("{day} {}", gate.name);
    timers::schedule(m.tx(), &tenant, &format!("briefing/{day}"), kinds::BRIEFING, at, payload.as_bytes()).await
}

/// The day that a name means.
fn day_of(name: &str) -> Result<Date> {
    let name = BriefingName::parse(name, "name")?;
    name.day.parse::<Date>().map_err(|cause| {
        Error::invalid("NAME_INVALID", "name", "must have the form briefings/2008-05-12").with_source(cause)
    })
}

/// Puts a briefing together from what is known now.
async fn compile(tx: &mut Tx, tenant: &Tenant, gate: &pb::GateVersion, day: Date) -> Result<pb::Briefing> {
    let calendar = calendar_of(tx, tenant, gate).await?;
    let outside = |cause| Error::invalid("NAME_INVALID", "name", "is outside the calendar").with_source(cause);
    let time = calendar.midnight(day)?..calendar.midnight(day.tomorrow().map_err(outside)?)?;
    let span = Span { tenant, gate: "", time: time.clone() };
    let counts = summaries::day(tx, &span).await?;
    let breached_count = summaries::late_lead_count(tx, &span).await?;
    let leads =
        routings::high_intent(tx, tenant, &time, MOST_LEADS).await?.into_iter().map(|routing| pb::BriefingLead {
            routing: routing.name,
            destination: routing.destination,
            state: routing.state,
            score: routing.score,
            enrichment_confidence: routing.enrichment_confidence,
            owner: routing.owner,
            sampled: routing.sampled,
        });
    let ends = range::message(&time);
    Ok(pb::Briefing {
        name: BriefingName::new(day.to_string()).to_string(),
        gate_version: gate.name.clone(),
        start_time: ends.start_time,
        end_time: ends.end_time,
        routed_count: counts.routed,
        nurtured_count: counts.nurtured,
        held_count: counts.held,
        high_intent_count: counts.high_intent,
        high_intent_nurtured_count: counts.high_intent_nurtured,
        data_quality_count: counts.data_quality,
        breached_count,
        unchecked_sample_count: counts.unchecked_samples,
        leads: leads.collect(),
        ..Default::default()
    })
}

/// Issues the briefing of a day, once. The payload names the day and the gate version.
pub(super) async fn issue(m: &mut Mutation, payload: &str) -> Result<()> {
    let tenant = m.tenant().clone();
    let Some((day, gate)) = payload.split_once(' ') else {
        return Err(Error::internal("a briefing's timer names no day and gate"));
    };
    let gate = GateVersions::get(m.tx(), &tenant, gate).await?;
    let day = day_of(&BriefingName::new(day).to_string())?;
    let mut briefing = compile(m.tx(), &tenant, &gate, day).await?;
    briefing.issued = true;
    briefing.issue_time = Some(stamp(m.now()));
    if !Briefings::try_insert(m, &mut briefing).await? {
        return Ok(());
    }
    let item = pb::WorkItem {
        resource: briefing.name.clone(),
        kind: pb::WorkKind::Briefing.into(),
        responsible: match &gate.rules {
            Some(Rules::Routing(rules)) => Some(group(&rules.sales_ops_group)),
            _ => gate.owner.clone(),
        },
        offered_at: briefing.issue_time,
        gate_version: gate.name.clone(),
        ..Default::default()
    };
    work::put(m, &item).await?;
    let details = BriefingIssued {
        routed: briefing.routed_count,
        nurtured: briefing.nurtured_count,
        high_intent: briefing.high_intent_count,
        breached: briefing.breached_count,
        ..Default::default()
    };
    let mut event = m.event(kinds::BRIEFING, &briefing.name);
    fill(&mut event, details.json());
    m.record_event(event);
    Ok(())
}

impl Service {
    /// Returns the briefing of a day.
    pub(crate) async fn get_briefing(&self, cx: &Cx, request: pb::GetBriefingRequest) -> Result<pb::Briefing> {
        self.seed(&cx.tenant).await?;
        let day = day_of(&request.name)?;
        let mut tx = self.db.read().await?;
        if let Some(issued) = Briefings::find(&mut tx, &cx.tenant, &request.name).await? {
            return Ok(issued);
        }
        let gate = gates::active(&mut tx, &cx.tenant, templates::ROUTING, "name").await?;
        compile(&mut tx, &cx.tenant, &gate, day).await
    }

    /// Lists issued briefings.
    pub(crate) async fn list_briefings(
        &self,
        cx: &Cx,
        request: pb::ListBriefingsRequest,
    ) -> Result<pb::ListBriefingsResponse> {
        let (briefings, next_page_token) = Briefings::list(&self.db, &cx.tenant, cx.page(&request)).await?;
        Ok(pb::ListBriefingsResponse { briefings, next_page_token })
    }

    /// Records that a person has read a briefing.
    pub(crate) async fn acknowledge_briefing(
        &self,
        cx: &Cx,
        request: pb::AcknowledgeBriefingRequest,
    ) -> Result<pb::Briefing> {
        day_of(&request.name)?;
        self.mutate(cx.call(&request), async |m| {
            let mut briefing = Briefings::claim(m, &request.name).await?;
            if let Some(by) = &briefing.acknowledged_by {
                let message = format!("{} was acknowledged by {}", request.name, by.subject);
                return Err(Error::precondition("BRIEFING_ACKNOWLEDGED", message));
            }
            let gate = GateVersions::get(m.tx(), &cx.tenant, &briefing.gate_version).await?;
            principal::check_of_gate(&gate, &cx.actor, m.now())?;
            briefing.acknowledged_by = Some(actor(&cx.actor));
            briefing.acknowledge_time = Some(stamp(m.now()));
            Briefings::save(m, &mut briefing).await?;
            work::remove(m, pb::WorkKind::Briefing, &briefing.name).await?;
            let issued = briefing.issue_time.as_ref().map(|at| time::of(at).to_string());
            m.record(&briefing.name, |event| event.details = BriefingAcknowledged { issued }.json());
            Ok(briefing)
        })
        .await
    }
}
