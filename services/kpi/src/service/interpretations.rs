//! What people say that strategic numbers mean (S134).

use super::{Kpis, span, timestamp};
use crate::store::interpretations as store;
use prost::Message;
use remit_api::kpi::v1::{
    CreateInterpretationRequest, Interpretation, ListInterpretationsRequest, ListInterpretationsResponse,
};
use remit_api::types::{Actor, ActorKind};
use remit_core::{Result, Tenant, digest, name};
use remit_runtime::{Started, begin, finish};
use remit_store::{Call, Value, page};

impl Kpis {
    /// Writes down an interpretation.
    ///
    /// # Errors
    /// `NotFound` (`KPI_UNKNOWN`), `InvalidArgument` naming the field.
    pub async fn create_interpretation(
        &self,
        call: Call,
        request: CreateInterpretationRequest,
    ) -> Result<Interpretation> {
        self.ready(&call.tenant).await?;
        let mut mutation = match begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        let definition = self.definition(mutation.tx(), &tenant, &request.parent, "parent").await?;
        let mut interpretation = request.interpretation.unwrap_or_default();
        let span = span(interpretation.range.as_ref(), "interpretation.range")?;
        let id = mutation.new_id();
        interpretation.name = format!("{}/interpretations/{id}", definition.kpi.name);
        interpretation.create_time = timestamp(now);
        interpretation.author = Some(author(mutation.actor()));
        store::insert(mutation.tx(), &tenant, &definition.id, &id, span, now, &interpretation).await?;
        let mut event = mutation.event("kpi.interpretations.create", &interpretation.name);
        event.after_digest = digest::sha256(&interpretation.encode_to_vec());
        mutation.record(event);
        finish(mutation, interpretation).await
    }

    /// Lists interpretations, newest first.
    ///
    /// # Errors
    /// `NotFound` (`KPI_UNKNOWN`), `InvalidArgument` (`PAGE_TOKEN_INVALID`).
    pub async fn list_interpretations(
        &self,
        tenant: &Tenant,
        request: &ListInterpretationsRequest,
    ) -> Result<ListInterpretationsResponse> {
        self.ready(tenant).await?;
        let keyset = self.db.keyset(tenant, "kpi.interpretations.list", &[&request.parent]);
        let (after, size) = (keyset.after(&request.page_token)?, page::size(request.page_size)?);
        let mut tx = self.db.read().await?;
        let kpi_id = if request.parent == "kpis/-" {
            None
        } else {
            self.definition(&mut tx, tenant, &request.parent, "parent").await?;
            let [id] = name::ids(&request.parent, "kpis/*", "parent")?;
            Some(id)
        };
        let found = store::list(&mut tx, tenant, kpi_id, after.as_deref(), size + 1).await?;
        let key = |listed: &store::Listed| vec![Value::from(listed.created_at), Value::from(&listed.id)];
        let (found, next_page_token) = keyset.cut(found, size, key);
        let interpretations = found.into_iter().map(|listed| listed.interpretation).collect();
        Ok(ListInterpretationsResponse { interpretations, next_page_token })
    }
}

fn author(actor: &remit_core::Actor) -> Actor {
    let kind = match actor.kind {
        remit_core::ActorKind::Human => ActorKind::Human,
        remit_core::ActorKind::Ai => ActorKind::Ai,
        remit_core::ActorKind::Service => ActorKind::Service,
    };
    Actor {
        subject: actor.subject.clone(),
        kind: kind.into(),
        role_groups: actor.role_groups.clone(),
        on_behalf_of: actor.on_behalf_of.clone().unwrap_or_default(),
    }
}
