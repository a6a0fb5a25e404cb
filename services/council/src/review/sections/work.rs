//! Sections about handoffs, oversight, quality, KPIs and strategy.

use super::super::measures::Measure;
use super::super::pack::Unit::{Count, Number, Ratio, Seconds, Text};
use super::super::pack::{Bar, Block, Cell, Unit, round};
use super::super::sources::{Frame, Sources};
use super::{count, counts, facts, note, rate, seconds, table, text, texts, time, with};
use remit_api::handoff::v1::ConsideredApproval;
use remit_api::kpi::v1::{KpiSummary, Layer, Unit as KpiUnit};
use remit_api::wire::Word as _;

pub(crate) fn quality(sources: &Sources) -> Vec<Block> {
    with("handoff.grades", &sources.handoffs, |handoffs| {
        let rows = handoffs
            .model_grades
            .iter()
            .map(|grades| {
                let errors = grades.factual_errors.as_ref();
                vec![
                    Cell::from(&grades.model_version),
                    grades.graded_count.into(),
                    grades.passed.as_ref().and_then(|rate| rate.ratio).into(),
                    grades.mean_total.into(),
                    errors.map_or(0, |rate| rate.count).into(),
                    errors.map_or(0, |rate| rate.total).into(),
                    errors.and_then(|rate| rate.ratio).into(),
                ]
            })
            .collect();
        let columns = [
            ("model version", Text),
            ("graded", Count),
            ("passed", Ratio),
            ("mean grade", Number),
            ("factual errors", Count),
            ("reviewed", Count),
            ("error rate", Ratio),
        ];
        vec![
            // A27
            note("The rate of factual errors is over reviewed outputs only, never over all."),
            table("Reviewed outputs by model version", &columns, rows),
        ]
    })
}

pub(crate) fn handoffs(sources: &Sources) -> Vec<Block> {
    let mut blocks = with("handoff.summary", &sources.handoffs, |found| {
        let levels = found
            .service_levels
            .iter()
            .map(|level| {
                let met = level.met.as_ref().and_then(|rate| rate.ratio);
                vec![
                    Cell::from(&level.clock),
                    level.met_count.into(),
                    level.breached_count.into(),
                    level.open_count.into(),
                    met.into(),
                ]
            })
            .collect();
        let columns = [("clock", Text), ("met", Count), ("breached", Count), ("open", Count), ("share met", Ratio)];
        let mut summary = vec![count("Created", found.created_count), count("Published", found.published_count)];
        if !found.oldest_open.is_empty() {
            summary.push(text("Oldest open", &found.oldest_open));
            summary.push(text("Open since", time(&found.oldest_open_create_time)));
        }
        vec![
            facts("", summary),
            table("Service levels", &columns, levels),
            counts("By present state", "state", &found.states),
            counts("Reviews", "outcome", &found.review_outcomes),
            counts("Iterations until acceptance", "iterations", &found.iterations),
            counts("Escalations", "cause", &found.escalations),
            counts("Rework by channel", "channel", &found.rework_by_channel),
        ]
    });
    blocks.extend(with("handoff.routing", &sources.routing, |found| {
        let models = found
            .models
            .iter()
            .map(|model| {
                let routed = model.routed.as_ref().and_then(|rate| rate.ratio);
                vec![
                    Cell::from(&model.model_version),
                    model.routed_count.into(),
                    model.nurtured_count.into(),
                    model.denied_count.into(),
                    routed.into(),
                ]
            })
            .collect();
        let columns = [
            ("model version", Text),
            ("to sales", Count),
            ("to nurture", Count),
            ("denied", Count),
            ("share to sales", Ratio),
        ];
        let accept = found.accept.as_ref();
        vec![
            facts(
                "Lead routing",
                vec![
                    count("Leads", found.total_count),
                    count("To sales", found.routed_count),
                    count("To nurture", found.nurtured_count),
                    count("Waiting for a person's decision", found.held_count),
                    count("High intent", found.high_intent_count),
                    rate("Decided in time", found.decide.as_ref().and_then(|level| level.met.as_ref())),
                    rate("Accepted in time", accept.and_then(|level| level.met.as_ref())),
                    count("Reassigned", found.reassigned_count),
                    rate("Briefings acknowledged", found.briefings_acknowledged.as_ref()),
                ],
            ),
            table("Lead routing by model version", &columns, models),
            counts("Routing by reason", "reason", &found.reasons),
        ]
    }));
    blocks
}

fn considered(one: &ConsideredApproval) -> Vec<Cell> {
    let latency = one.decision_latency.as_ref();
    vec![
        Cell::from(&one.subject),
        one.review_count.into(),
        one.accepted.as_ref().and_then(|rate| rate.ratio).into(),
        seconds(latency.and_then(|latency| latency.p50.as_ref())),
        one.edits_before_accept.into(),
        one.largest_burst.into(),
        if one.always_approves { "approves nearly everything".into() } else { "".into() },
    ]
}

pub(crate) fn oversight(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let columns = [
        ("who or what", Text),
        ("reviews", Count),
        ("accepted", Ratio),
        ("median latency", Seconds),
        ("edits before", Count),
        ("largest burst", Count),
        ("remark", Text),
    ];
    let mut blocks = with("handoff.overrides", &sources.handoffs, |found| {
        vec![
            facts(
                "",
                vec![
                    count("Overrides", found.override_count),
                    rate("AI-run work with an override", found.human_intervention.as_ref()),
                    count("Overrides without a follow-up", found.overrides_without_follow_up),
                    count("Overrides by people who are none of the gate's", found.outsider_override_count),
                ],
            ),
            counts("Overrides by reason", "reason", &found.overrides_by_reason),
            counts("Overrides by kind", "kind", &found.overrides_by_kind),
            counts("Overrides by model version", "model version", &found.overrides_by_model_version),
            table("Considered approval by reviewer", &columns, found.reviewers.iter().map(considered).collect()),
            table("Considered approval by gate", &columns, found.gates.iter().map(considered).collect()),
        ]
    });
    blocks.extend(with("handoff.routing", &sources.routing, |found| {
        vec![
            facts(
                "Sampled lead routing",
                vec![
                    count("Drawn for a check", found.sampled_count),
                    rate("Checked", found.sample_coverage.as_ref()),
                    rate("Overridden of those checked", found.overridden.as_ref()),
                    count("Overrides by people who are none of the gate's", found.outsider_override_count),
                ],
            ),
            counts("Lead routing overrides by reason", "reason", &found.overrides_by_reason),
        ]
    }));
    let uses = sources.own.uses.iter().filter(|used| frame.in_month(&used.create_time));
    let rows = uses
        .map(|used| {
            let actor = used.actor.as_ref().map(|actor| actor.subject.clone()).unwrap_or_default();
            vec![
                Cell::from(&used.hold),
                actor.into(),
                time(&used.create_time),
                (&used.reason).into(),
                time(&used.review_time),
            ]
        })
        .collect();
    let columns = texts(["hold", "who", "when", "reason", "reviewed"]);
    blocks.push(table("Break-glass uses", &columns, rows));
    let engaged = sources.own.holds.iter().filter(|hold| frame.in_month(&hold.create_time)).count();
    let lifted = sources.own.holds.iter().filter(|hold| frame.in_month(&hold.lift_time)).count();
    let counts = vec![count("Engaged, drills included", engaged), count("Lifted", lifted)];
    blocks.push(facts("Kill switch", counts));
    // In force at some time of the month: later ones are not among them.
    let holds = sources.own.holds.iter().filter(|hold| frame.lasted(&hold.lift_time));
    let rows = holds
        .map(|hold| {
            let state = hold.state().word();
            let kind = if hold.drill { "drill" } else { "hold" };
            let scope = crate::scope::text(hold.scope.as_ref());
            vec![
                Cell::from(&hold.name),
                kind.into(),
                scope.into(),
                state.into(),
                time(&hold.create_time),
                (&hold.reason).into(),
            ]
        })
        .collect();
    let columns = texts(["hold", "kind", "scope", "state", "engaged", "reason"]);
    blocks.push(table("Kill switch: holds and drills", &columns, rows));
    blocks
}

fn unit(unit: KpiUnit) -> Unit {
    match unit {
        KpiUnit::Proportion => Ratio,
        KpiUnit::Seconds => Seconds,
        KpiUnit::Count => Count,
        KpiUnit::Currency | KpiUnit::Score | KpiUnit::Index | KpiUnit::Unspecified => Number,
    }
}

fn kpi_row(summary: &KpiSummary) -> Option<Vec<Cell>> {
    let kpi = summary.kpi.as_ref()?;
    let now = summary.current.clone().unwrap_or_default();
    let before = summary.previous.clone().unwrap_or_default();
    let shown = |value: Option<f64>| match (value, unit(kpi.unit())) {
        (None, _) => Cell::None,
        (Some(value), Ratio) => format!("{:.2} %", value * 100.0).into(),
        (Some(value), _) => value.into(),
    };
    let interval = now.interval.as_ref().map_or(Cell::None, |interval| match unit(kpi.unit()) {
        Ratio => format!("{:.2} to {:.2} %", interval.lower * 100.0, interval.upper * 100.0).into(),
        _ => format!("{:.4} to {:.4}", interval.lower, interval.upper).into(),
    });
    let mut remarks = Vec::new();
    if before.restated {
        remarks.push(format!("the month before was restated ({} late)", before.late_count));
    }
    if summary.interpretation_missing {
        remarks.push("nobody has interpreted this number".to_owned());
    }
    if let Some(interpretation) = &summary.interpretation {
        remarks.push(interpretation.text.clone());
    }
    Some(vec![
        Cell::from(&kpi.display_name),
        shown(now.value),
        now.n.into(),
        interval,
        shown(before.value),
        before.n.into(),
        shown(kpi.target),
        Cell::judged(now.data_state()),
        Cell::judged(now.target_state()),
        remarks.join("; ").into(),
    ])
}

fn bar(summary: &KpiSummary) -> Option<Bar> {
    let kpi = summary.kpi.as_ref()?;
    let now = summary.current.as_ref()?;
    Some(Bar {
        label: kpi.display_name.clone(),
        value: round(now.value?),
        previous: summary.previous.as_ref().and_then(|before| before.value).map(round),
        target: kpi.target.map(round),
        unit: unit(kpi.unit()),
        n: now.n,
    })
}

fn measure(summary: &KpiSummary) -> Option<Measure> {
    let kpi = summary.kpi.as_ref()?;
    let now = summary.current.clone().unwrap_or_default();
    let before = summary.previous.clone().unwrap_or_default();
    Some(Measure {
        kpi: kpi.name.clone(),
        title: if kpi.display_name.is_empty() { kpi.name.clone() } else { kpi.display_name.clone() },
        layer: kpi.layer().word().to_owned(),
        unit: unit(kpi.unit()),
        value: now.value.into(),
        n: now.n,
        lower: now.interval.as_ref().map(|interval| interval.lower).into(),
        upper: now.interval.as_ref().map(|interval| interval.upper).into(),
        previous: before.value.into(),
        previous_n: before.n,
        target: kpi.target.into(),
        data: Cell::judged(now.data_state()),
        verdict: Cell::judged(now.target_state()),
    })
}

/// The KPIs of the month, as they are frozen for the first page and the packs that come after.
pub(crate) fn measures(sources: &Sources) -> Vec<Measure> {
    sources.kpis.iter().flat_map(|found| &found.kpis).filter_map(measure).collect()
}

pub(crate) fn kpis(sources: &Sources) -> Vec<Block> {
    with("kpi.summary", &sources.kpis, |found| {
        let columns = [
            ("KPI", Text),
            ("value", Number),
            ("n", Count),
            ("95% interval", Text),
            ("before", Number),
            ("n before", Count),
            ("target", Number),
            ("data", Text),
            ("against target", Text),
            ("remark", Text),
        ];
        let mut blocks = Vec::new();
        let layers =
            [(Layer::Operational, "Operational"), (Layer::Execution, "Execution"), (Layer::Strategic, "Strategic")];
        for (layer, title) in layers {
            let in_it: Vec<&KpiSummary> = found
                .kpis
                .iter()
                .filter(|summary| summary.kpi.as_ref().is_some_and(|kpi| kpi.layer() == layer))
                .collect();
            let bars: Vec<Bar> = in_it.iter().filter_map(|summary| bar(summary)).collect();
            if !bars.is_empty() {
                blocks.push(Block::Bars { title: format!("{title}: the month beside the month before"), bars });
            }
            blocks.push(table(title, &columns, in_it.iter().filter_map(|summary| kpi_row(summary)).collect()));
        }
        let judged = |layer: Layer| {
            let in_it = found.kpis.iter().filter(|one| one.kpi.as_ref().is_some_and(|kpi| kpi.layer() == layer));
            in_it.filter(|one| one.improvement_ratio.is_some()).count()
        };
        let conflict = if found.cross_layer_conflict {
            "operational KPIs improve while strategic ones fall"
        } else if judged(Layer::Strategic) == 0 || judged(Layer::Operational) == 0 {
            "cannot be said: one of the layers has no figures in both months"
        } else {
            "no conflict between the layers"
        };
        blocks.push(facts("Across the layers", vec![text("Guard", conflict)]));
        blocks
    })
}

pub(crate) fn strategy(sources: &Sources) -> Vec<Block> {
    let mut blocks = with("handoff.summary", &sources.handoffs, |found| {
        vec![facts("Surprises", vec![rate("Reviews whose result surprised the reviewer", found.surprised.as_ref())])]
    });
    blocks.extend(with("kpi.summary", &sources.kpis, |found| {
        let of = |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
        let missing = found
            .kpis
            .iter()
            .filter(|summary| summary.interpretation_missing)
            .filter_map(|summary| summary.kpi.as_ref());
        let missing: Vec<String> = missing.map(|kpi| kpi.display_name.clone()).collect();
        vec![facts(
            "Strategic numbers",
            vec![
                text("Operational KPIs that improved", of(&found.operational_improved)),
                text("Strategic KPIs that got worse", of(&found.strategic_worsened)),
                text("Strategic numbers without an interpretation", of(&missing)),
            ],
        )]
    }));
    let divergence = sources
        .distributions
        .iter()
        .find(|result| result.detector() == remit_api::council::v1::DriftDetector::StrategyDivergence);
    if let Some(result) = divergence {
        let verdict = result.verdict().word();
        blocks.push(facts(
            "Divergence",
            vec![text("Verdict", verdict), count("Outputs reviewed", result.n), text("Remark", &result.note)],
        ));
    }
    // S148-S152
    blocks.push(note("To discuss: which results surprised us, where execution left the recorded strategy, and which hypotheses to revise."));
    blocks
}
