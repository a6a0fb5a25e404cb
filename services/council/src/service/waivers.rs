//! Waivers: granted by a proposal, ended by time or by one person.

use super::{Service, insert, save};
use crate::store::Waivers;
use crate::time::at;
use crate::{scope, waiver};
use futures::Stream;
use remit_api::council::v1::{
    CheckWaiversRequest, CheckWaiversResponse, GetWaiverRequest, GrantWaiver, ListWaiversRequest, ListWaiversResponse,
    Proposal, RevokeWaiverRequest, Waiver, WaiverState, WatchWaiversRequest, WatchWaiversResponse,
};
use remit_api::wire::time::{parse, stamp};
use remit_api::wire::waivers::{Standing, TOLD_AFTER_END, standing};
use remit_core::details::{Details as _, WaiverGranted};
use remit_core::name::WaiverName;
use remit_core::{Error, Result};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _, timers};

fn timer_id(waiver: &str) -> String {
    format!("waiver.expire:{waiver}")
}

/// Creates the waiver that a proposal grants; returns its name.
pub(super) async fn grant_waiver(m: &mut Mutation, proposal: &Proposal, grant: &GrantWaiver) -> Result<String> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    waiver::check(grant, now)?;
    let end = at(&grant.expire_time);
    let mut waiver = Waiver {
        name: WaiverName::new(&grant.waiver_id).to_string(),
        control: grant.control.clone(),
        scope: grant.scope.clone(),
        reason: grant.reason.clone(),
        compensating_control: grant.compensating_control.clone(),
        beneficiary: grant.beneficiary.clone(),
        ticket: grant.ticket.clone(),
        proposal: proposal.name.clone(),
        state: WaiverState::Active.into(),
        create_time: Some(stamp(now)),
        update_time: Some(stamp(now)),
        expire_time: grant.expire_time,
        ..Waiver::default()
    };
    let details = WaiverGranted {
        control: waiver.control.clone(),
        scope: scope::text(waiver.scope.as_ref()).to_owned(),
        proposal: proposal.name.clone(),
        expire_time: end.to_string(),
    };
    insert::<Waivers>(m, &mut waiver, |event| {
        "council.waivers.grant".clone_into(&mut event.action);
        event.reason.clone_from(&grant.reason);
        event.details = details.json();
    })
    .await?;
    timers::schedule(m.tx(), &tenant, &timer_id(&waiver.name), "waiver.expire", end, waiver.name.as_bytes()).await?;
    Ok(waiver.name)
}

/// Marks a waiver as over by time.
pub(super) async fn expire_waiver(m: &mut Mutation, name: &str) -> Result<()> {
    let before = Waivers::claim(m, name).await?;
    if before.state() != WaiverState::Active {
        return Ok(());
    }
    let (state, update_time) = (WaiverState::Expired.into(), Some(stamp(m.now())));
    let mut waiver = Waiver { state, update_time, ..before.clone() };
    save::<Waivers>(m, &before, &mut waiver, |event| "council.waivers.expire".clone_into(&mut event.action)).await?;
    let (tenant, until) = (m.tenant().clone(), waiver::end_of(&waiver).plus(TOLD_AFTER_END));
    let timer = format!("waiver.forget:{name}");
    timers::schedule(m.tx(), &tenant, &timer, "waiver.forget", until, name.as_bytes()).await
}

/// Tells watchers no longer of a waiver that has been over for long. Its record stays.
pub(super) async fn forget_waiver(m: &mut Mutation, name: &str) -> Result<()> {
    m.change(Waivers::FEED, name, None).await
}

impl Service {
    pub(crate) async fn get_waiver(&self, cx: &Cx, request: GetWaiverRequest) -> Result<Waiver> {
        WaiverName::parse(&request.name, "name")?;
        self.get::<Waivers>(cx, &request.name).await
    }

    pub(crate) async fn list_waivers(&self, cx: &Cx, request: ListWaiversRequest) -> Result<ListWaiversResponse> {
        let (waivers, next_page_token) = self.list::<Waivers>(cx, cx.page(&request)).await?;
        Ok(ListWaiversResponse { waivers, next_page_token })
    }

    pub(crate) fn watch_waivers(
        &self,
        cx: &Cx,
        request: WatchWaiversRequest,
    ) -> Result<impl Stream<Item = Result<WatchWaiversResponse>> + Send + 'static + use<>> {
        self.watch::<Waivers, _, _>(cx, &request.cursor, |watched, item| {
            let (phase, deleted) = (watched.phase.into(), watched.is_deletion());
            let gone = deleted.then(|| Waiver { name: watched.key, ..Waiver::default() });
            WatchWaiversResponse { phase, cursor: watched.cursor, item: item.or(gone), deleted }
        })
    }

    /// Ends a waiver at once.
    pub(crate) async fn revoke_waiver(&self, cx: &Cx, request: RevokeWaiverRequest) -> Result<Waiver> {
        WaiverName::parse(&request.name, "name")?;
        let revoke = async |m: &mut Mutation| {
            let before = Waivers::claim(m, &request.name).await?;
            let now = m.now();
            if before.state() != WaiverState::Active || waiver::end_of(&before) <= now {
                return Err(Error::precondition("WAIVER_ENDED", format!("{} is over already", before.name)));
            }
            let mut waiver = Waiver {
                state: WaiverState::Revoked.into(),
                revoke_time: Some(stamp(now)),
                revoke_reason: request.reason.clone(),
                update_time: Some(stamp(now)),
                ..before.clone()
            };
            timers::cancel(m.tx(), &cx.tenant, &timer_id(&waiver.name)).await?;
            save::<Waivers>(m, &before, &mut waiver, |event| event.reason.clone_from(&request.reason)).await?;
            Ok(waiver)
        };
        self.mutate(cx, &request, revoke).await
    }

    /// Says which waivers cover a case, by their times alone: a waiver that ended does not count even
    /// if its timer has not fired yet.
    pub(crate) async fn check_waivers(&self, cx: &Cx, request: CheckWaiversRequest) -> Result<CheckWaiversResponse> {
        for (at, scope) in request.scopes.iter().enumerate() {
            scope::check(Some(scope), &format!("scopes[{at}]"))?;
        }
        let time = request.time.map_or_else(|| Ok(self.db.now()), |time| parse(&time, "time"))?;
        let of_it = [("control", (&request.control).into())];
        let mut all = Waivers::all(&mut self.db.read().await?, &cx.tenant, &of_it).await?;
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let matching =
            all.into_iter().filter(|one| waiver::covers(one, &request.scopes) && at(&one.create_time) <= time);
        let (waivers, ended_matches): (Vec<_>, Vec<_>) =
            matching.partition(|one| standing(one, time) == Standing::Holds);
        Ok(CheckWaiversResponse { waived: !waivers.is_empty(), waivers, ended_matches })
    }
}
