//! What the processes of the suite hear of tokens.

use super::Service;
use crate::store::ACCESS;
use futures::{Stream, StreamExt as _};
use prost::Message as _;
use remit_api::council::v1::{Revocation, RoleAssignment, WatchAccessRequest, WatchAccessResponse};
use remit_core::{Error, Result};
use remit_runtime::Cx;
use remit_runtime::watch::{self, Watched};

impl Service {
    pub(crate) fn watch_access(
        &self,
        cx: &Cx,
        request: WatchAccessRequest,
    ) -> Result<impl Stream<Item = Result<WatchAccessResponse>> + Send + 'static + use<>> {
        if cx.service.is_none() {
            let what = "only the suite's own services watch this: call ListRevocations and ListRoleAssignments";
            return Err(Error::denied("SUITE_ONLY", what));
        }
        let (db, tenant) = (self.db.clone(), cx.tenant.clone());
        let watched = watch::stream(db, tenant, ACCESS, &request.cursor, self.shutdown.clone())?;
        Ok(watched.map(|watched| message(watched?)))
    }
}

/// Both collections are in one feed, told apart by the names that are its keys.
fn message(watched: Watched) -> Result<WatchAccessResponse> {
    let unreadable = |error| Error::internal("an item of a watch feed cannot be read").with_source(error);
    let body = watched.body.as_deref();
    let (revocation, role_assignment) = if watched.key.starts_with("revocations/") {
        (body.map(Revocation::decode).transpose().map_err(unreadable)?, None)
    } else {
        (None, body.map(RoleAssignment::decode).transpose().map_err(unreadable)?)
    };
    let (phase, deleted) = (watched.phase.into(), watched.is_deletion());
    Ok(WatchAccessResponse { phase, cursor: watched.cursor, item: watched.key, revocation, role_assignment, deleted })
}
