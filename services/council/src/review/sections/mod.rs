//! The twenty sections of a pack, in the order of the requirements. Each section says something, and if
//! only why it cannot.

mod governance;
mod models;
mod rules;
mod work;

use super::pack::Unit::{Count, Ratio, Text};
use super::pack::{Assurance, Block, Cell, Column, Fact, Section, Unit};
use super::sources::{Frame, Got, Sources};
use crate::time::at;
use prost_types::{Duration, Timestamp as Stamp};
use remit_api::council::v1::DriftResult;
use remit_api::handoff::v1 as handoff;

pub(crate) use governance::rule_text;
pub(crate) use models::active_policy;
pub(crate) use work::measures;

/// All sections.
pub(crate) fn all(
    frame: &Frame<'_>,
    sources: &Sources,
    drift: &[DriftResult],
    assurance: &[Assurance],
) -> Vec<Section> {
    let contents: [(&str, &str, Vec<Block>); 20] = [
        ("header", "Period and completeness", governance::header(frame, sources)),
        ("attendance", "Attendance, quorum and conflicts", governance::attendance(frame, sources)),
        ("previous", "Previous reviews and actions", governance::previous(frame, sources)),
        ("inventory", "Inventory changes", models::inventory(frame, sources)),
        ("decisions", "Decisions", decisions(frame, sources)),
        ("drift", "Drift", models::drift(drift)),
        ("quality", "Hallucinations and quality", work::quality(sources)),
        ("privacy", "Data privacy", governance::privacy(frame, sources)),
        ("handoffs", "Handoffs", work::handoffs(sources)),
        ("oversight", "Oversight quality", work::oversight(frame, sources)),
        ("kpis", "KPIs in three layers", work::kpis(sources)),
        ("models", "Model registry", models::registry(frame, sources)),
        ("incidents", "Incidents", governance::incidents(frame, sources)),
        ("waivers", "Waivers", governance::waivers(frame, sources)),
        ("policy", "Policy changes", policy(frame, sources)),
        ("disclosure", "Disclosure", models::disclosure(sources)),
        ("controls", "Control evidence", governance::controls(assurance)),
        ("audit", "Audit log", governance::audit(sources)),
        ("requests", "Decisions requested", governance::requests(frame, sources)),
        ("strategy", "Strategy", work::strategy(sources)),
    ];
    (1..)
        .zip(contents)
        .map(|(number, (key, title, blocks))| Section { number, key: key.to_owned(), title: title.to_owned(), blocks })
        .collect()
}

fn decisions(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let mut blocks = models::decisions(sources);
    blocks.push(rules::decision_quality(frame, sources));
    blocks
}

fn policy(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let mut blocks = models::policies(frame, sources);
    blocks.extend(rules::stale(sources));
    blocks
}

fn time(stamp: &Option<Stamp>) -> Cell {
    stamp.map_or(Cell::None, |_| at(stamp).to_string().into())
}

fn seconds(length: Option<&Duration>) -> Cell {
    length.map_or(Cell::None, |length| (length.seconds as f64 + f64::from(length.nanos) / 1e9).into())
}

fn count(label: &str, value: impl Into<Cell>) -> Fact {
    Fact { label: label.to_owned(), unit: Count, value: value.into(), n: None }
}

fn text(label: &str, value: impl Into<Cell>) -> Fact {
    Fact { label: label.to_owned(), unit: Text, value: value.into(), n: None }
}

fn rate(label: &str, rate: Option<&handoff::Rate>) -> Fact {
    let value = rate.and_then(|rate| rate.ratio).into();
    Fact { label: label.to_owned(), unit: Ratio, value, n: Some(rate.map_or(0, |rate| rate.total)) }
}

fn facts(title: &str, facts: Vec<Fact>) -> Block {
    Block::Facts { title: title.to_owned(), facts }
}

fn note(text: impl Into<String>) -> Block {
    Block::Note { text: text.into() }
}

fn unavailable(source: &str, why: &str) -> Block {
    Block::Unavailable { source: source.to_owned(), why: why.to_owned() }
}

/// Columns of text.
fn texts<const N: usize>(labels: [&str; N]) -> [(&str, Unit); N] {
    labels.map(|label| (label, Text))
}

/// A table, or a remark that there is nothing to show.
fn table(title: &str, columns: &[(&str, Unit)], rows: Vec<Vec<Cell>>) -> Block {
    if rows.is_empty() {
        return note(format!("{title}: none."));
    }
    let columns = columns.iter().map(|(label, unit)| Column { label: (*label).to_owned(), unit: *unit }).collect();
    Block::Table { title: title.to_owned(), columns, rows }
}

fn counts(title: &str, what: &str, list: &[handoff::NamedCount]) -> Block {
    let rows = list.iter().map(|one| vec![Cell::from(&one.key), one.count.into()]).collect();
    table(title, &[(what, Text), ("count", Count)], rows)
}

/// The blocks of a source's answer, or the reason why there is none.
fn with<T>(source: &str, answer: &Got<T>, blocks: impl FnOnce(&T) -> Vec<Block>) -> Vec<Block> {
    match answer {
        Ok(answer) => blocks(answer),
        Err(why) => vec![unavailable(source, why)],
    }
}
