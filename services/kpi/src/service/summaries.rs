//! Every active KPI of a period, layer by layer.

use super::Service;
use super::comparisons::{Change, DEFAULT_ALPHA};
use super::query::{self, Cell, Question};
use crate::calendar::{Calendar, Span};
use crate::definition::Definition;
use crate::store::{interpretations, kpis};
use remit_api::kpi::v1::{Interpretation, KpiSummary, Layer, SummarizeKpisRequest, SummarizeKpisResponse};
use remit_api::wire::range;
use remit_core::{Result, Tenant};
use remit_runtime::Cx;
use remit_store::{Tx, tail};
use std::collections::BTreeMap;

/// A KPI in two periods.
#[derive(Debug)]
pub(crate) struct Moved {
    /// The definition.
    pub(crate) definition: Definition,
    /// The period.
    pub(crate) current: Cell,
    /// The period before.
    pub(crate) previous: Cell,
    /// The relative change in the good direction.
    pub(crate) improvement: Option<f64>,
}

impl Moved {
    fn of(definition: Definition, current: Cell, previous: Cell) -> Self {
        let change = Change::of(&definition, &current, &previous, DEFAULT_ALPHA);
        let improvement = change.improvement(definition.direction);
        Self { definition, current, previous, improvement }
    }
}

/// Reads KPIs in two periods each, the present one and the one before.
///
/// # Errors
/// `InvalidArgument` (`TIME_RANGE_INVALID`); else as the database says.
pub(crate) async fn moved(tx: &mut Tx, tenant: &Tenant, asked: Vec<(Definition, (Span, Span))>) -> Result<Vec<Moved>> {
    let spans: Vec<(&Definition, Span)> =
        asked.iter().flat_map(|(definition, spans)| [(definition, spans.0), (definition, spans.1)]).collect();
    spans.iter().try_for_each(|(_, span)| query::on_borders(*span, "range"))?;
    let mut cells = query::wholes(tx, tenant, &spans).await?.into_iter();
    let mut all = Vec::with_capacity(asked.len());
    for (definition, _) in asked {
        if let (Some(current), Some(previous)) = (cells.next(), cells.next()) {
            all.push(Moved::of(definition, current, previous));
        }
    }
    Ok(all)
}

/// Whether operational KPIs get better while strategic ones fall (S141): more of the first improved than
/// worsened, more of the second worsened than improved, each by at least `least`.
#[derive(Debug, Default)]
pub(crate) struct CrossLayer {
    /// Operational KPIs that got better.
    pub(crate) operational_improved: Vec<String>,
    operational_worsened: usize,
    /// Strategic KPIs that got worse.
    pub(crate) strategic_worsened: Vec<String>,
    strategic_improved: usize,
}

impl CrossLayer {
    /// Counts what moved by at least `least`.
    pub(crate) fn of<'a>(all: impl IntoIterator<Item = &'a Moved>, least: f64) -> Self {
        let mut found = Self::default();
        for moved in all {
            let Some(improvement) = moved.improvement.filter(|change| change.abs() >= least && *change != 0.0) else {
                continue;
            };
            let name = moved.definition.kpi.name.clone();
            match (moved.definition.kpi.layer(), improvement > 0.0) {
                (Layer::Operational, true) => found.operational_improved.push(name),
                (Layer::Operational, false) => found.operational_worsened += 1,
                (Layer::Strategic, true) => found.strategic_improved += 1,
                (Layer::Strategic, false) => found.strategic_worsened.push(name),
                _ => {}
            }
        }
        found
    }

    /// Whether the dashboard wins while the market is lost.
    pub(crate) fn conflicts(&self) -> bool {
        self.operational_improved.len() > self.operational_worsened
            && self.strategic_worsened.len() > self.strategic_improved
    }
}

impl Service {
    /// Returns every active KPI of a period, with the period before, guards and notes.
    ///
    /// # Errors
    /// `InvalidArgument`: `TIME_RANGE_INVALID`, `TIME_OUT_OF_RANGE`.
    pub(crate) async fn summarize_kpis(&self, cx: &Cx, request: SummarizeKpisRequest) -> Result<SummarizeKpisResponse> {
        let span: Span = range::closed(request.range.as_ref(), "range")?.into();
        let now = self.db.now().0;
        let mut tx = self.snapshot(cx).await?;
        // In the snapshot of the figures, so that it is true of them.
        let processed_index = tail::position(&mut tx, &cx.tenant).await?;
        let mut asked = Vec::new();
        let mut previous_range = None;
        for kpi in kpis::active(&mut tx, &cx.tenant).await? {
            let definition = Definition::new(kpi)?;
            // A month is that of the KPI's own zone, as its rollups have it, and the one before it is named alike for all.
            let own = definition.calendar.local(span);
            let previous = definition.calendar.preceding(own);
            if previous_range.is_none() {
                let named = if own == span { previous } else { Calendar::new("", "range")?.preceding(span) };
                previous_range = Some(range::message(&named.into()));
            }
            asked.push((definition, (own, previous)));
        }
        let mut all = moved(&mut tx, &cx.tenant, asked).await?;
        all.sort_by(|a, b| {
            let key = |moved: &Moved| (moved.definition.kpi.layer, moved.definition.id.clone());
            key(a).cmp(&key(b))
        });
        let improvements: BTreeMap<String, f64> = all
            .iter()
            .filter_map(|moved| moved.improvement.map(|change| (moved.definition.kpi.name.clone(), change)))
            .collect();
        let cross = CrossLayer::of(&all, 0.0);
        let strategic = all.iter().filter(|moved| moved.definition.kpi.layer() == Layer::Strategic);
        let strategic: Vec<&str> = strategic.map(|moved| moved.definition.kpi.name.as_str()).collect();
        let mut notes = interpretations::newest(&mut tx, &cx.tenant, &strategic, span).await?;
        let mut kpis = Vec::with_capacity(all.len());
        for moved in all {
            let note = notes.remove(&moved.definition.kpi.name);
            kpis.push(summary(&mut tx, &cx.tenant, moved, note, (span, now), &improvements).await?);
        }
        Ok(SummarizeKpisResponse {
            kpis,
            cross_layer_conflict: cross.conflicts(),
            operational_improved: cross.operational_improved,
            strategic_worsened: cross.strategic_worsened,
            previous_range,
            processed_index,
        })
    }
}

async fn summary(
    tx: &mut Tx,
    tenant: &Tenant,
    moved: Moved,
    interpretation: Option<Interpretation>,
    (span, now): (Span, i64),
    improvements: &BTreeMap<String, f64>,
) -> Result<KpiSummary> {
    let definition = &moved.definition;
    let question = Question::whole(definition, definition.calendar.local(span), "", ("range", "filter"))?;
    let has_data = moved.current.summary.n() > 0;
    let both = vec![moved.current, moved.previous];
    let mut shown = query::present(tx, tenant, definition, &question, both, now).await?.into_iter();
    let strategic = definition.kpi.layer() == Layer::Strategic;
    let better = moved.improvement.is_some_and(|change| change > 0.0);
    let worse = |guard: &&String| improvements.get(*guard).is_some_and(|change| *change < 0.0);
    let violated = definition.kpi.guards.iter().filter(worse).cloned();
    Ok(KpiSummary {
        current: shown.next(),
        previous: shown.next(),
        improvement_ratio: moved.improvement,
        interpretation_missing: strategic && has_data && interpretation.is_none(),
        interpretation,
        violated_guards: if better { violated.collect() } else { Vec::new() },
        kpi: Some(moved.definition.kpi),
    })
}
