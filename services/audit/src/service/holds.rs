//! Legal holds.

use super::AuditLog;
use super::reading::time_range;
use crate::leaf::proto_time;
use crate::store::keeping::{self, Hold};
use remit_api::audit::v1 as api;
use remit_api::types::TimeRange;
use remit_core::{Error, Kind, Result, Tenant};
use remit_runtime::Started;
use remit_store::{Call, Value, page};

fn name(id: &str) -> String {
    format!("legalHolds/{id}")
}

fn id(name: &str) -> Result<&str> {
    Ok(remit_core::name::ids::<1>(name, "legalHolds/*", "name")?[0])
}

fn not_found(id: &str) -> Error {
    Error::not_found("LEGAL_HOLD_NOT_FOUND", name(id))
}

fn etag(hold: &Hold) -> &'static str {
    if hold.released_at.is_none() { "1" } else { "2" }
}

fn show(hold: Hold) -> api::LegalHold {
    let recorded = (hold.recorded_from.is_some() || hold.recorded_until.is_some()).then(|| TimeRange {
        start_time: hold.recorded_from.map(proto_time),
        end_time: hold.recorded_until.map(proto_time),
    });
    api::LegalHold {
        name: name(&hold.id),
        etag: etag(&hold).to_owned(),
        reason: hold.reason,
        subject: hold.subject.unwrap_or_default(),
        resource_prefix: hold.resource_prefix.unwrap_or_default(),
        actor: hold.actor.unwrap_or_default(),
        recorded,
        creator: hold.creator,
        create_time: Some(proto_time(hold.created_at)),
        releaser: hold.releaser.unwrap_or_default(),
        release_time: hold.released_at.map(proto_time),
        release_reason: hold.release_reason.unwrap_or_default(),
    }
}

fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl AuditLog {
    /// Engages a legal hold.
    ///
    /// # Errors
    /// `AlreadyExists` (`LEGAL_HOLD_EXISTS`); `InvalidArgument` (`TIME_RANGE_INVALID`).
    pub async fn create_hold(&self, call: &Call, request: api::CreateLegalHoldRequest) -> Result<api::LegalHold> {
        let asked = request.legal_hold.unwrap_or_default();
        let (recorded_from, recorded_until) = time_range(asked.recorded.as_ref(), "legal_hold.recorded")?;
        let hold = Hold {
            id: request.legal_hold_id,
            reason: asked.reason,
            subject: given(asked.subject),
            resource_prefix: given(asked.resource_prefix),
            actor: given(asked.actor),
            recorded_from,
            recorded_until,
            creator: call.actor.subject.clone(),
            created_at: call.now,
            releaser: None,
            released_at: None,
            release_reason: None,
        };
        if !remit_core::name::is_id(&hold.id) {
            return Err(Error::invalid(
                "ID_INVALID",
                "legal_hold_id",
                "must be 1 to 100 of letters, digits, '.', '_' and '-'",
            ));
        }
        let mut mutation = match remit_runtime::begin::<api::LegalHold>(&self.db, call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        if !keeping::insert_hold(mutation.tx(), &call.tenant, &hold).await? {
            return Err(Error::new(
                Kind::AlreadyExists,
                "LEGAL_HOLD_EXISTS",
                format!("{} exists already", name(&hold.id)),
            ));
        }
        let mut event = mutation.event(call.method, &name(&hold.id));
        event.reason = hold.reason.clone();
        event.details = serde_json::json!({
            "subject": hold.subject,
            "resource_prefix": hold.resource_prefix,
            "actor": hold.actor,
            "recorded_from": hold.recorded_from.map(|at| at.to_string()),
            "recorded_until": hold.recorded_until.map(|at| at.to_string()),
        });
        let head = self.record(&mut mutation, event).await?;
        let answer = remit_runtime::finish(mutation, show(hold)).await?;
        self.announce(&call.tenant, &head);
        Ok(answer)
    }

    /// One legal hold.
    ///
    /// # Errors
    /// `NotFound` (`LEGAL_HOLD_NOT_FOUND`).
    pub async fn get_hold(&self, tenant: &Tenant, name: &str) -> Result<api::LegalHold> {
        let id = id(name)?;
        let hold = keeping::get_hold(&mut self.db.read().await?, tenant, id).await?;
        hold.map(show).ok_or_else(|| not_found(id))
    }

    /// A page of legal holds.
    ///
    /// # Errors
    /// `InvalidArgument` (`PAGE_TOKEN_INVALID`, `PAGE_SIZE_INVALID`).
    pub async fn list_holds(
        &self,
        tenant: &Tenant,
        request: &api::ListLegalHoldsRequest,
    ) -> Result<api::ListLegalHoldsResponse> {
        let size = page::size(request.page_size)?;
        let terms = if request.show_released { "all" } else { "active" };
        let keyset = self.db.keyset(tenant, "audit.legalHolds.list", &[terms]);
        let after = keyset.after(&request.page_token)?;
        let mut tx = self.db.read().await?;
        let found = keeping::list_holds(&mut tx, tenant, request.show_released, after.as_deref(), size + 1).await?;
        let (found, next_page_token) = keyset.cut(found, size, |hold| vec![Value::from(&hold.id)]);
        Ok(api::ListLegalHoldsResponse { legal_holds: found.into_iter().map(show).collect(), next_page_token })
    }

    /// Releases a legal hold.
    ///
    /// # Errors
    /// `NotFound` (`LEGAL_HOLD_NOT_FOUND`); `FailedPrecondition` (`LEGAL_HOLD_RELEASED`); `Conflict`
    /// (`ETAG_MISMATCH`).
    pub async fn release_hold(&self, call: &Call, request: &api::ReleaseLegalHoldRequest) -> Result<api::LegalHold> {
        let id = id(&request.name)?;
        let mut mutation = match remit_runtime::begin::<api::LegalHold>(&self.db, call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let (tenant, releaser) = (&call.tenant, &call.actor.subject);
        let released = keeping::release_hold(mutation.tx(), tenant, id, releaser, &request.reason, call.now).await?;
        let hold = keeping::get_hold(mutation.tx(), tenant, id).await?.ok_or_else(|| not_found(id))?;
        if !released {
            let message = format!("{} was released by {}", request.name, hold.releaser.unwrap_or_default());
            return Err(Error::precondition("LEGAL_HOLD_RELEASED", message));
        }
        // A hold in force has always the same etag.
        if !matches!(request.etag.as_str(), "" | "1") {
            return Err(Error::new(
                Kind::Conflict,
                "ETAG_MISMATCH",
                format!("{} is not at etag {}", request.name, request.etag),
            ));
        }
        let mut event = mutation.event(call.method, &request.name);
        event.reason = request.reason.clone();
        let head = self.record(&mut mutation, event).await?;
        let answer = remit_runtime::finish(mutation, show(hold)).await?;
        self.announce(tenant, &head);
        Ok(answer)
    }
}
