//! The control library as the contract shows it, and attestations.

use super::{Council, actor, changed, check_name, fresh, new_name, required, some};
use crate::library;
use crate::store;
use crate::time::micros;
use remit_api::council::v1::{Attestation, CreateAttestationRequest, ListControlsRequest, ListControlsResponse};
use remit_core::{Error, Result};
use remit_runtime::{Cx, finish};
use remit_store::Value;

impl Council {
    /// Lists the library.
    pub async fn list_controls(&self, cx: &Cx, request: ListControlsRequest) -> Result<ListControlsResponse> {
        let library = library::controls()?;
        let size = remit_store::page::size(request.page_size)?;
        let keyset = self.db.keyset(&cx.tenant, cx.method, &[library::VERSION]);
        let from = match keyset.after(&request.page_token)?.as_deref() {
            Some([Value::Int(Some(at))]) => usize::try_from(*at).unwrap_or(usize::MAX),
            _ => 0,
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let controls: Vec<_> = library.iter().skip(from).take(size).map(library::Control::to_api).collect();
        let next = from.saturating_add(controls.len());
        let more = next < library.len();
        let next_page_token =
            if more { keyset.token(&[i64::try_from(next).unwrap_or(i64::MAX).into()]) } else { String::new() };
        Ok(ListControlsResponse { controls, next_page_token, library_version: library::VERSION.to_owned() })
    }

    /// Records an attestation.
    pub async fn create_attestation(&self, cx: &Cx, request: CreateAttestationRequest) -> Result<Attestation> {
        check_name(&request.parent, "controls/*", "parent")?;
        if !library::controls()?.iter().any(|control| control.name() == request.parent) {
            return Err(Error::not_found("CONTROL_NOT_FOUND", &request.parent));
        }
        let name = new_name(&format!("{}/attestations", request.parent), &request.attestation_id, "attestation_id")?;
        let given = required(request.attestation.clone(), "attestation")?;
        if !given.document_digest.is_empty() && !remit_core::digest::is_digest(&given.document_digest) {
            let rule = "must be empty or sha256: and 64 lowercase hexadecimal digits";
            return Err(Error::invalid("DIGEST_INVALID", "attestation.document_digest", rule));
        }
        let mut mutation = fresh!(self, cx, request);
        let now = mutation.now();
        if given.expire_time.as_ref().is_some_and(|end| micros(end) <= now) {
            return Err(Error::invalid("ATTESTATION_INVALID", "attestation.expire_time", "must be in the future"));
        }
        let mut attestation = Attestation { name, attester: Some(actor(&cx.actor)), create_time: some(now), ..given };
        store::insert(mutation.tx(), &cx.tenant, &mut attestation).await?;
        let event = changed(&mutation, &attestation.name, None, &attestation);
        mutation.record(event);
        finish(mutation, attestation).await
    }
}
