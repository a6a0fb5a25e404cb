//! Waivers: granted by a proposal, ended by time or by one person.

use super::holds::scope_text;
use super::{Council, changed, check_name, fresh, new_name, some};
use crate::store;
use crate::time::micros;
use prost::Message as _;
use remit_api::council::v1::{
    CheckWaiversRequest, CheckWaiversResponse, GrantWaiver, Proposal, RevokeWaiverRequest, Waiver, WaiverState,
};
use remit_core::{Error, Result, Timestamp};
use remit_runtime::{Cx, finish};
use remit_store::{Mutation, timers};

/// The watch feed of waivers.
pub const WAIVERS: &str = "waivers";

fn timer_id(waiver: &str) -> String {
    format!("waiver.expire:{waiver}")
}

/// The instant at which a waiver stops to hold: its expiry, or its revocation if that was earlier.
pub(crate) fn end_of(waiver: &Waiver) -> Timestamp {
    let expiry = waiver.expire_time.as_ref().map(micros).unwrap_or_default();
    waiver.revoke_time.as_ref().map_or(expiry, |at| micros(at).min(expiry))
}

/// Whether a waiver covers a case that touches these scopes, at any time.
fn covers(waiver: &Waiver, scopes: &[String]) -> bool {
    let own = scope_text(waiver.scope.as_ref());
    own == "organisation" || scopes.contains(&own)
}

impl Council {
    /// Creates the waiver that a proposal grants.
    pub(super) async fn grant_waiver(
        &self,
        mutation: &mut Mutation,
        proposal: &Proposal,
        grant: &GrantWaiver,
    ) -> Result<String> {
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        super::proposals::check_waiver(grant, now)?;
        let end = grant.expire_time.as_ref().map(micros).unwrap_or_default();
        let mut waiver = Waiver {
            name: new_name("waivers", &grant.waiver_id, "waiver_id")?,
            control: grant.control.clone(),
            scope: grant.scope.clone(),
            reason: grant.reason.clone(),
            compensating_control: grant.compensating_control.clone(),
            beneficiary: grant.beneficiary.clone(),
            ticket: grant.ticket.clone(),
            proposal: proposal.name.clone(),
            state: WaiverState::Active.into(),
            create_time: some(now),
            update_time: some(now),
            expire_time: grant.expire_time,
            ..Waiver::default()
        };
        store::insert(mutation.tx(), &tenant, &mut waiver).await?;
        let payload = waiver.name.clone().into_bytes();
        timers::schedule(mutation.tx(), &tenant, &timer_id(&waiver.name), "waiver.expire", end, &payload).await?;
        mutation.change(WAIVERS, &waiver.name, Some(waiver.encode_to_vec())).await?;
        let mut event = changed(mutation, &waiver.name, None, &waiver);
        event.action = "council.waivers.grant".to_owned();
        event.reason.clone_from(&waiver.reason);
        event.details = serde_json::json!({
            "control": waiver.control,
            "scope": scope_text(waiver.scope.as_ref()),
            "proposal": proposal.name,
            "expire_time": end.to_string(),
        });
        mutation.record(event);
        Ok(waiver.name)
    }

    /// Marks a waiver as over by time.
    pub(super) async fn expire_waiver(&self, mutation: &mut Mutation, name: &str) -> Result<()> {
        let tenant = mutation.tenant().clone();
        let before: Waiver = store::claim(mutation.tx(), &tenant, name).await?;
        if before.state() != WaiverState::Active {
            return Ok(());
        }
        let update_time = some(mutation.now());
        let mut waiver = Waiver { state: WaiverState::Expired.into(), update_time, ..before };
        store::save(mutation.tx(), &tenant, &mut waiver).await?;
        mutation.change(WAIVERS, name, None).await?;
        let event = mutation.event("council.waivers.expire", name);
        mutation.record(event);
        Ok(())
    }

    /// Ends a waiver at once.
    pub async fn revoke_waiver(&self, cx: &Cx, request: RevokeWaiverRequest) -> Result<Waiver> {
        check_name(&request.name, "waivers/*", "name")?;
        let mut mutation = fresh!(self, cx, request);
        let now = mutation.now();
        let before: Waiver = store::claim(mutation.tx(), &cx.tenant, &request.name).await?;
        if before.state() != WaiverState::Active || end_of(&before) <= now {
            return Err(Error::precondition("WAIVER_ENDED", format!("{} is over already", before.name)));
        }
        let mut waiver = Waiver {
            state: WaiverState::Revoked.into(),
            revoke_time: some(now),
            revoke_reason: request.reason.clone(),
            update_time: some(now),
            ..before.clone()
        };
        timers::cancel(mutation.tx(), &cx.tenant, &timer_id(&waiver.name)).await?;
        store::save(mutation.tx(), &cx.tenant, &mut waiver).await?;
        mutation.change(WAIVERS, &waiver.name, None).await?;
        let mut event = changed(&mutation, &waiver.name, Some(&before), &waiver);
        event.reason = request.reason;
        mutation.record(event);
        finish(mutation, waiver).await
    }

    /// Says which waivers cover a case, by their times alone: a waiver that ended does not count even
    /// if its timer has not fired yet.
    pub async fn check_waivers(&self, cx: &Cx, request: CheckWaiversRequest) -> Result<CheckWaiversResponse> {
        for (at, scope) in request.scopes.iter().enumerate() {
            super::holds::check_scope(Some(scope), &format!("scopes[{at}]"))?;
        }
        let at = request.time.as_ref().map_or_else(|| self.now(), micros);
        let scopes: Vec<String> = request.scopes.iter().map(|scope| scope_text(Some(scope))).collect();
        let all: Vec<Waiver> = store::waivers_of(&mut self.db.read().await?, &cx.tenant, &request.control).await?;
        let begun = |waiver: &Waiver| waiver.create_time.as_ref().map(micros).unwrap_or_default() <= at;
        let matching = all.into_iter().filter(|waiver| covers(waiver, &scopes) && begun(waiver));
        let (waivers, ended_matches): (Vec<_>, Vec<_>) = matching.partition(|waiver| at < end_of(waiver));
        Ok(CheckWaiversResponse { waived: !waivers.is_empty(), waivers, ended_matches })
    }
}
