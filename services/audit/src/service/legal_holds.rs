//! Legal holds.

use super::Service;
use crate::store::legal_holds::LegalHolds;
use remit_api::audit::v1 as api;
use remit_api::wire::{self, range, time};
use remit_core::details::{Details as _, LegalHoldEngaged};
use remit_core::name::{self, LegalHoldName};
use remit_core::{Error, Result, etag};
use remit_runtime::Cx;
use remit_store::Records as _;

impl Service {
    /// Engages a legal hold.
    ///
    /// # Errors
    /// `AlreadyExists` (`LEGAL_HOLD_EXISTS`); `InvalidArgument` (`ID_INVALID`, `TIME_RANGE_INVALID`).
    pub async fn create_legal_hold(&self, cx: &Cx, request: api::CreateLegalHoldRequest) -> Result<api::LegalHold> {
        let id = name::id(&request.legal_hold_id, "legal_hold_id")?;
        let asked = wire::required(request.legal_hold.clone(), "legal_hold")?;
        let (from, until) = range::open(asked.recorded.as_ref(), "legal_hold.recorded")?;
        let details = LegalHoldEngaged {
            subject: asked.subject.clone(),
            resource_prefix: asked.resource_prefix.clone(),
            actor: asked.actor.clone(),
            recorded_from: from.map(|at| at.to_string()),
            recorded_until: until.map(|at| at.to_string()),
        };
        self.db
            .mutate(&cx.call(&request), async |m| {
                let mut hold = api::LegalHold {
                    name: LegalHoldName::new(id).to_string(),
                    reason: asked.reason,
                    subject: asked.subject,
                    resource_prefix: asked.resource_prefix,
                    actor: asked.actor,
                    recorded: asked.recorded.filter(|_| from.is_some() || until.is_some()),
                    creator: cx.actor.subject.clone(),
                    create_time: Some(time::stamp(m.now())),
                    ..api::LegalHold::default()
                };
                LegalHolds::insert(m, &mut hold).await?;
                let mut event = m.event(cx.method, &hold.name);
                event.reason.clone_from(&hold.reason);
                event.details = details.json();
                self.record(m, event).await?;
                Ok(hold)
            })
            .await
    }

    /// One legal hold.
    ///
    /// # Errors
    /// `NotFound` (`LEGAL_HOLD_NOT_FOUND`).
    pub async fn get_legal_hold(&self, cx: &Cx, request: api::GetLegalHoldRequest) -> Result<api::LegalHold> {
        LegalHoldName::parse(&request.name, "name")?;
        LegalHolds::get(&mut self.db.read().await?, &cx.tenant, &request.name).await
    }

    /// A page of legal holds.
    ///
    /// # Errors
    /// `InvalidArgument` (`PAGE_TOKEN_INVALID`).
    pub async fn list_legal_holds(
        &self,
        cx: &Cx,
        request: api::ListLegalHoldsRequest,
    ) -> Result<api::ListLegalHoldsResponse> {
        let page = cx.page(&request);
        let page = if request.show_released { page } else { page.only("active", true) };
        let (legal_holds, next_page_token) = LegalHolds::list(&self.db, &cx.tenant, page).await?;
        Ok(api::ListLegalHoldsResponse { legal_holds, next_page_token })
    }

    /// Releases a legal hold.
    ///
    /// # Errors
    /// `NotFound` (`LEGAL_HOLD_NOT_FOUND`); `FailedPrecondition` (`LEGAL_HOLD_RELEASED`); `Conflict`
    /// (`ETAG_MISMATCH`).
    pub async fn release_legal_hold(&self, cx: &Cx, request: api::ReleaseLegalHoldRequest) -> Result<api::LegalHold> {
        LegalHoldName::parse(&request.name, "name")?;
        self.db
            .mutate(&cx.call(&request), async |m| {
                let mut hold = LegalHolds::claim(m, &request.name).await?;
                if hold.release_time.is_some() {
                    let message = format!("{} was released by {}", hold.name, hold.releaser);
                    return Err(Error::precondition("LEGAL_HOLD_RELEASED", message));
                }
                etag::check(&request.etag, &hold.etag, &hold.name)?;
                hold.releaser.clone_from(&cx.actor.subject);
                hold.release_time = Some(time::stamp(m.now()));
                hold.release_reason.clone_from(&request.reason);
                LegalHolds::save(m, &mut hold).await?;
                let mut event = m.event(cx.method, &hold.name);
                event.reason.clone_from(&request.reason);
                self.record(m, event).await?;
                Ok(hold)
            })
            .await
    }
}
