//! Raters: what signatures suggest to them, and how well they agree.

use super::Service;
use crate::{store, task};
use futures::TryStreamExt as _;
use remit_api::scoring::v1 as api;
use remit_core::{Error, Result};
use remit_policy::ratings::{Agreement, RECONCILE_SPREAD};
use remit_policy::signatures::suggest;
use remit_runtime::Cx;
use std::collections::BTreeMap;

impl Service {
    /// The ratings that answers about a task suggest.
    pub(crate) async fn suggest_ratings(
        &self,
        _: &Cx,
        request: api::SuggestRatingsRequest,
    ) -> Result<api::SuggestRatingsResponse> {
        if request.execution.is_none() && request.strategy.is_none() {
            let text = "must be answered: execution, strategy or both";
            return Err(Error::invalid("SIGNATURES_MISSING", "execution", text));
        }
        Ok(api::SuggestRatingsResponse {
            predictability: request.execution.map(|a| {
                suggest([a.high_volume, a.structured, a.pattern_recognizable, a.documented, a.small_judgment])
            }),
            human_judgment: request.strategy.map(|a| {
                let form = [a.one_shot_high_stakes, a.unstructured_input, a.pattern_breaking];
                suggest([form[0], form[1], form[2], a.cross_functional, a.large_judgment])
            }),
        })
    }

    pub(crate) async fn summarize_ratings(
        &self,
        cx: &Cx,
        request: api::SummarizeRatingsRequest,
    ) -> Result<api::SummarizeRatingsResponse> {
        #[derive(Default)]
        struct Axis {
            agreement: Agreement,
            rated: i64,
            several: i64,
            apart: i64,
            spread: i64,
        }
        let mut tx = self.db.read().await?;
        let mut axes: BTreeMap<String, Axis> = BTreeMap::new();
        let mut answer = api::SummarizeRatingsResponse::default();
        let mut rows = store::tasks::stream(&mut tx, &cx.tenant, &request.filter)?;
        while let Some(row) = rows.try_next().await? {
            answer.tasks += 1;
            answer.needs_reconciliation += i64::from(row.state == api::TaskState::NeedsReconciliation);
            for (name, scores) in task::scores(&row.task) {
                let axis = axes.entry(name.to_owned()).or_default();
                let spread = scores.iter().max().zip(scores.iter().min()).map_or(0, |(high, low)| high - low);
                axis.rated += 1;
                axis.several += i64::from(scores.len() > 1);
                axis.apart += i64::from(spread >= RECONCILE_SPREAD);
                axis.spread += i64::from(spread);
                axis.agreement.add(&scores);
            }
        }
        answer.axes = axes
            .into_iter()
            .map(|(name, axis)| api::AxisAgreement {
                axis: name,
                tasks_rated: axis.rated,
                tasks_with_several_raters: axis.several,
                tasks_to_reconcile: axis.apart,
                krippendorff_alpha: axis.agreement.alpha(),
                mean_spread: (axis.several > 0).then(|| axis.spread as f64 / axis.several as f64),
            })
            .collect();
        Ok(answer)
    }
}
