//! Plans: what to automate first, what it saves, and what to beware of.

use super::Service;
use crate::cache::Rules;
use crate::plan::{self, Assumptions, Sums};
use crate::render::picture::{self, Bubbles};
use crate::render::plan as csv;
use crate::{store, task};
use futures::TryStreamExt as _;
use remit_api::scoring::v1 as api;
use remit_core::{Error, Result, Tenant};
use remit_runtime::{Answers, Cx, produce};
use remit_store::{Value, page};
use std::sync::Arc;
use tokio::sync::mpsc;

/// The whole plan in memory, ranked. What an item takes is small and bounded, and a rank needs all of them.
struct Ranked {
    rules: Arc<Rules>,
    sums: Sums,
    items: Vec<api::PlanItem>,
    bubbles: Bubbles,
}

impl Service {
    async fn ranked(&self, tenant: &Tenant, filter: &str, assumptions: Assumptions, draw: bool) -> Result<Ranked> {
        let mut tx = self.db.snapshot().await?;
        let rules = self.rules(&mut tx, tenant).await?;
        let (mut sums, mut items, mut bubbles) = (Sums::default(), Vec::new(), Bubbles::default());
        let mut rows = store::tasks::stream(&mut tx, tenant, filter)?;
        while let Some(row) = rows.try_next().await? {
            let summaries = task::summaries(&row.task, &rules.policy);
            if draw {
                bubbles.add(plan::bubble(&row, &summaries));
            }
            items.push(sums.add(&row, &summaries, &rules, assumptions));
        }
        drop(rows);
        items.sort_by(plan::rank);
        for (item, rank) in items.iter_mut().zip(1..) {
            item.rank = rank;
        }
        Ok(Ranked { rules, sums, items, bubbles })
    }

    pub(crate) async fn plan_automation(
        &self,
        cx: &Cx,
        request: api::PlanAutomationRequest,
    ) -> Result<api::PlanAutomationResponse> {
        self.seed(&cx.tenant).await?;
        let size = usize::try_from(page::size(request.page_size)).unwrap_or(usize::MAX);
        let assumptions = Assumptions::of(&request.assumptions.unwrap_or_default());
        let terms = format!("{assumptions:?}");
        let keyset = self.db.keyset(&cx.tenant, cx.method, &[&request.filter, &terms]);
        let skip = match keyset.after(&request.page_token)?.as_deref() {
            None => 0,
            Some([Value::Int(Some(rank))]) => usize::try_from(*rank).unwrap_or_default(),
            Some(_) => return Err(Error::invalid("PAGE_TOKEN_INVALID", "page_token", "belongs to another list")),
        };
        let Ranked { rules, sums, items, bubbles } =
            self.ranked(&cx.tenant, &request.filter, assumptions, request.include_picture).await?;
        let all = items.len();
        let items: Vec<api::PlanItem> = items.into_iter().skip(skip).take(size).collect();
        let end = i64::try_from(skip + items.len()).unwrap_or(i64::MAX);
        let more = skip + items.len() < all;
        Ok(api::PlanAutomationResponse {
            next_page_token: if more { keyset.token(&[end.into()]) } else { String::new() },
            items,
            warnings: sums.warnings(&rules, assumptions),
            totals: Some(sums.totals),
            patterns: sums.patterns(),
            roles: sums.roles(),
            assumptions: Some(assumptions.message()),
            picture_svg: if request.include_picture {
                picture::draw(bubbles, &rules.policy.name())
            } else {
                String::new()
            },
            policy: rules.policy.name(),
        })
    }

    /// Sends the whole plan as CSV in pieces; ends early if nobody listens any more.
    pub(crate) fn export_plan(&self, cx: &Cx, request: api::ExportPlanRequest) -> Answers<api::ExportPlanResponse> {
        let (service, tenant) = (self.clone(), cx.tenant.clone());
        produce(|pieces| async move { service.send_plan(&tenant, &request, &pieces).await })
    }

    async fn send_plan(
        &self,
        tenant: &Tenant,
        request: &api::ExportPlanRequest,
        pieces: &mpsc::Sender<Result<api::ExportPlanResponse>>,
    ) -> Result<()> {
        self.seed(tenant).await?;
        let assumptions = Assumptions::of(&request.assumptions.unwrap_or_default());
        let ranked = self.ranked(tenant, &request.filter, assumptions, false).await?;
        let mut chunk = csv::header()?;
        for items in ranked.items.chunks(csv::ROWS) {
            chunk.extend(csv::rows(items)?);
            let piece = api::ExportPlanResponse { chunk: std::mem::take(&mut chunk) };
            if pieces.send(Ok(piece)).await.is_err() {
                return Ok(());
            }
        }
        if !chunk.is_empty() {
            let _ = pieces.send(Ok(api::ExportPlanResponse { chunk })).await;
        }
        Ok(())
    }
}
