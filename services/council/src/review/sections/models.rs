//! Sections about policies, decisions, drift, models and outputs.

use super::super::pack::Unit::{Count, Number, Ratio, Text};
use super::super::pack::{Block, Cell, Fact};
use super::super::sources::{Frame, Sources};
use super::{at, count, facts, note, table, text, texts, time, with};
use remit_api::council::v1::DriftResult;
use remit_api::registry::v1::{ModelVersionState, OutputCount};
use remit_api::scoring::v1::PolicyState;
use remit_api::wire::Word as _;

/// The decision policy in force and its digest, in words.
pub(crate) fn active_policy(sources: &Sources) -> String {
    match &sources.policies {
        Ok(policies) => policies
            .iter()
            .find(|policy| policy.state() == PolicyState::Active)
            .map_or_else(|| "none".to_owned(), |policy| format!("{} ({})", policy.name, policy.digest)),
        Err(_) => "not available".to_owned(),
    }
}

pub(crate) fn inventory(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let columns = texts(["resource", "what changed", "when"]);
    let mut blocks = with("registry.versions", &sources.versions, |versions| {
        let mut rows = Vec::new();
        for version in versions {
            let name = &version.version.name;
            if frame.in_month(&version.version.create_time) {
                rows.push(vec![Cell::from(name), "registered".into(), time(&version.version.create_time)]);
            }
            for change in version.transitions.iter().filter(|change| frame.in_month(&change.record_time)) {
                let what = format!("{} to {}", change.from_state().word(), change.to_state().word());
                rows.push(vec![Cell::from(name), what.into(), time(&change.record_time)]);
            }
        }
        let unowned = versions.iter().filter(|version| version.version.owner.is_empty()).count();
        vec![
            facts("", vec![count("Model versions", versions.len()), count("Without an owner", unowned)]),
            table("Model versions", &columns, rows),
        ]
    });
    blocks.extend(with("registry.artifacts", &sources.artifacts, |artifacts| {
        let new = artifacts.iter().filter(|one| frame.in_month(&one.update_time));
        let rows =
            new.map(|one| vec![Cell::from(&one.name), Cell::judged(one.state()), time(&one.update_time)]).collect();
        vec![table("Prompts and other artifacts", &columns, rows)]
    }));
    blocks.extend(with("registry.automations", &sources.automations, |automations| {
        let new = automations.iter().filter(|one| frame.in_month(&one.update_time));
        let rows =
            new.map(|one| vec![Cell::from(&one.name), Cell::judged(one.state()), time(&one.update_time)]).collect();
        vec![table("Cross-functional automations", &columns, rows)]
    }));
    blocks.extend(with("handoff.gates", &sources.gates, |gates| {
        let rows = gates
            .iter()
            .map(|gate| {
                let active =
                    if gate.active_version.is_empty() { "none in force" } else { gate.active_version.as_str() };
                vec![Cell::from(&gate.name), active.into(), time(&gate.update_time)]
            })
            .collect();
        vec![table("Gates", &texts(["gate", "in force", "changed"]), rows)]
    }));
    blocks.extend(with("scoring.tasks", &sources.decisions, |decisions| {
        vec![facts(
            "Tasks",
            vec![
                count("In the inventory", decisions.tasks),
                count("With a decision in force", decisions.tasks_decided),
            ],
        )]
    }));
    blocks
}

pub(crate) fn decisions(sources: &Sources) -> Vec<Block> {
    with("scoring.decisions", &sources.decisions, |found| {
        let patterns = found
            .patterns
            .iter()
            .map(|now| {
                let before = found.previous_patterns.iter().find(|before| before.pattern == now.pattern);
                let name = now.pattern().word();
                vec![Cell::from(name), now.count.into(), before.map_or(Cell::None, |before| before.count.into())]
            })
            .collect();
        let named = |list: &[remit_api::scoring::v1::NamedCount]| {
            list.iter().map(|one| vec![Cell::from(&one.name), one.count.into()]).collect::<Vec<_>>()
        };
        let checks = found.check_counts.iter().take(30).map(|one| {
            vec![
                Cell::from(&one.model_version),
                (&one.task).into(),
                one.verdict().word().into(),
                (&one.reason).into(),
                one.count.into(),
            ]
        });
        vec![
            facts(
                "",
                vec![
                    count("Decisions in the month", found.decisions),
                    Fact {
                        label: "Shift of the distribution of patterns".to_owned(),
                        unit: Ratio,
                        value: found.pattern_shift.into(),
                        n: Some(found.decisions.min(found.previous_decisions)),
                    },
                    count("Tasks whose raters disagree", found.needs_reconciliation),
                    count("Checks before AI acted", found.checks),
                    count("Checks denied", found.checks_denied),
                ],
            ),
            table("By autonomy pattern", &[("pattern", Text), ("month", Count), ("before", Count)], patterns),
            table("By band", &[("band", Text), ("count", Count)], named(&found.bands)),
            table("Caps applied", &[("cap", Text), ("count", Count)], named(&found.caps)),
            table(
                "Checks",
                &[("model version", Text), ("task", Text), ("verdict", Text), ("reason", Text), ("count", Count)],
                checks.collect(),
            ),
        ]
    })
}

pub(crate) fn drift(drift: &[DriftResult]) -> Vec<Block> {
    let rows = drift
        .iter()
        .map(|result| {
            let number = |value: Option<f64>| value.map_or(Cell::None, Cell::from);
            vec![
                result.detector().word().into(),
                Cell::from(&result.subject),
                (&result.statistic).into(),
                number(result.value),
                number(result.corrected_value),
                result.n.into(),
                result.baseline_n.into(),
                format!("{} / {}", result.moderate_threshold, result.significant_threshold).into(),
                Cell::judged(result.verdict()),
                (&result.note).into(),
            ]
        })
        .collect();
    let columns = [
        ("detector", Text),
        ("subject", Text),
        ("statistic", Text),
        ("value", Number),
        ("corrected", Number),
        ("n", Count),
        ("baseline n", Count),
        ("thresholds", Text),
        ("verdict", Text),
        ("remark", Text),
    ];
    let mut blocks = vec![
        note("INSUFFICIENT_DATA means that no statement is possible. It does not mean that nothing drifted."),
        table("The seven detectors", &columns, rows),
    ];
    for result in
        drift.iter().filter(|result| !result.bins.is_empty() && result.bins.len() == result.baseline_bins.len())
    {
        blocks.push(Block::Histogram {
            title: format!(
                "{}: the month (n {}) beside {} (n {})",
                result.subject, result.n, result.baseline, result.baseline_n
            ),
            month: result.bins.clone(),
            baseline: result.baseline_bins.clone(),
        });
    }
    blocks
}

fn output_row(count: &OutputCount) -> Vec<Cell> {
    let key = if count.key.is_empty() { "(none)" } else { count.key.as_str() };
    vec![key.into(), count.outputs.into(), count.high_stakes.into(), count.incomplete.into(), count.unapproved.into()]
}

pub(crate) fn registry(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let mut blocks = with("registry.versions", &sources.versions, |versions| {
        let rows = versions
            .iter()
            .filter(|version| version.version.state() != ModelVersionState::Retired || version.ran_in(frame.month))
            .map(|one| {
                let version = &one.version;
                let due = match version.review_by.as_ref() {
                    Some(_) if at(&version.review_by) < frame.now => "past".into(),
                    _ => time(&version.review_by),
                };
                vec![
                    Cell::from(&version.name),
                    Cell::judged(version.state()),
                    version.aliases.join(", ").into(),
                    (&version.owner).into(),
                    due,
                    version.evaluations.iter().filter(|evaluation| evaluation.passed).count().into(),
                    version.documentation_gaps.join(", ").replace('_', " ").into(),
                ]
            })
            .collect();
        let columns = [
            ("version", Text),
            ("state", Text),
            ("aliases", Text),
            ("owner", Text),
            ("review by", Text),
            ("evaluations passed", Count),
            ("documentation gaps", Text),
        ];
        vec![table("Model versions", &columns, rows)]
    });
    blocks.extend(with("registry.outputs", &sources.outputs, |outputs| {
        let total = outputs.total.clone().unwrap_or_default();
        let columns = [
            ("model version", Text),
            ("outputs", Count),
            ("high stakes", Count),
            ("lacking tags", Count),
            ("not approved", Count),
        ];
        vec![
            facts(
                "Outputs",
                vec![
                    count("Recorded", total.outputs),
                    count("High or unknown stakes", total.high_stakes),
                    count("Lacking version tags", total.incomplete),
                    count("By versions not approved", total.unapproved),
                    count("Reviewed by a person", outputs.human_reviewed),
                    count("Different assets", outputs.distinct_assets),
                ],
            ),
            table(
                "Outputs by model version",
                &columns,
                outputs.by_model_version.iter().take(50).map(output_row).collect(),
            ),
        ]
    }));
    blocks
}

pub(crate) fn policies(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    with("scoring.policies", &sources.policies, |policies| {
        let rows = policies
            .iter()
            .filter(|policy| {
                policy.state() != PolicyState::Superseded || at(&policy.supersede_time) >= frame.month.start()
            })
            .map(|policy| {
                let state = policy.state().word();
                let stale = policy.review_by.is_some() && at(&policy.review_by) < frame.now;
                let backtest =
                    if policy.backtest_digest.is_empty() { Cell::None } else { (&policy.backtest_digest).into() };
                vec![
                    Cell::from(&policy.name),
                    if stale { format!("{state}, past its review date").into() } else { state.into() },
                    time(&policy.activate_time),
                    (&policy.proposal).into(),
                    backtest,
                ]
            })
            .collect();
        let columns = texts(["policy version", "state", "activated", "proposal", "backtest"]);
        vec![table("Policy versions", &columns, rows)]
    })
}

pub(crate) fn disclosure(sources: &Sources) -> Vec<Block> {
    with("registry.disclosure", &sources.outputs, |outputs| {
        let rows = |counts: &std::collections::BTreeMap<String, i64>| {
            counts.iter().map(|(key, n)| vec![Cell::from(key), (*n).into()]).collect::<Vec<_>>()
        };
        vec![
            text_note(),
            table("By disclosure status", &[("status", Text), ("outputs", Count)], rows(&outputs.by_disclosure_status)),
            table(
                "By digital source type",
                &[("type", Text), ("outputs", Count)],
                rows(&outputs.by_digital_source_type),
            ),
        ]
    })
}

fn text_note() -> Block {
    facts("", vec![text("Framework", "AI Act Art. 50; IPTC digital source type")])
}
