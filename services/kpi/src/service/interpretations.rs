//! What people say that strategic numbers mean (S134).

use super::Service;
use crate::store::interpretations::Interpretations;
use crate::store::kpis::Kpis;
use remit_api::kpi::v1::{
    CreateInterpretationRequest, Interpretation, ListInterpretationsRequest, ListInterpretationsResponse,
};
use remit_api::wire::{self, range, time::stamp};
use remit_core::Result;
use remit_core::name::{InterpretationName, KpiName};
use remit_runtime::Cx;
use remit_store::Records as _;

impl Service {
    /// Writes down an interpretation.
    ///
    /// # Errors
    /// `NotFound` (`KPI_NOT_FOUND`), `InvalidArgument` naming the field.
    pub(crate) async fn create_interpretation(
        &self,
        cx: &Cx,
        request: CreateInterpretationRequest,
    ) -> Result<Interpretation> {
        let kpi = KpiName::parse(&request.parent, "parent")?;
        let mut interpretation = request.interpretation.clone().unwrap_or_default();
        range::closed(interpretation.range.as_ref(), "interpretation.range")?;
        interpretation.author = Some(wire::actor(&cx.actor));
        self.mutate(cx, &request, async |m| {
            Kpis::get(m.tx(), &cx.tenant, &request.parent).await?;
            interpretation.name = InterpretationName::new(kpi.kpi, m.new_id()).to_string();
            interpretation.create_time = Some(stamp(m.now()));
            Interpretations::insert(m, &mut interpretation).await?;
            m.record(&interpretation.name, |event| event.after_digest = wire::digest(&interpretation));
            Ok(interpretation)
        })
        .await
    }

    /// Lists interpretations, newest first.
    ///
    /// # Errors
    /// `NotFound` (`KPI_NOT_FOUND`), `InvalidArgument`: `NAME_INVALID`, `PAGE_TOKEN_INVALID`.
    pub(crate) async fn list_interpretations(
        &self,
        cx: &Cx,
        request: ListInterpretationsRequest,
    ) -> Result<ListInterpretationsResponse> {
        self.ready(&cx.tenant).await?;
        let page = cx.page(&request);
        let (interpretations, next_page_token) =
            Interpretations::list_in::<Kpis>(&self.db, &cx.tenant, page, KpiName::PATTERN).await?;
        Ok(ListInterpretationsResponse { interpretations, next_page_token })
    }
}
