//! The pack as one page of HTML: no script, no request to anywhere, readable in dark mode and on paper.

use super::values::{fact, is_number, shown};
use super::{Document, charts};
use crate::review::pack::{Assurance, Block, Cell, Finding};
use crate::review::tone::{Assessed, Tone, Toned as _};
use askama::Template;
use remit_api::council::v1::{Disposition, DriftVerdict, FindingSeverity};
use remit_api::wire::Word as _;
use remit_core::{Error, Result};

/// What the template shows of a block.
enum Shown {
    Facts { title: String, facts: Vec<(String, String)> },
    Table { title: String, columns: Vec<(String, bool)>, rows: Vec<Vec<(String, bool, &'static str)>> },
    Chart { title: String, svg: String, legend: &'static str },
    Note(String),
    Unavailable { source: String, why: String },
}

struct SectionView {
    number: i64,
    key: String,
    title: String,
    blocks: Vec<Shown>,
    is_attendance: bool,
}

/// One figure at the top of the page.
struct Tile {
    label: &'static str,
    value: String,
    tone: &'static str,
}

#[derive(Template)]
#[template(path = "review.html")]
struct Page<'a> {
    document: &'a Document<'a>,
    title: String,
    tiles: Vec<Tile>,
    sections: Vec<SectionView>,
    findings: Vec<(&'static str, &'a Finding)>,
    controls: Vec<(&'static str, &'a Assurance)>,
}

/// The class of the style sheet for a tone; empty for none.
fn class(tone: Option<Tone>) -> &'static str {
    match tone {
        Some(Tone::Good) => "good",
        Some(Tone::Warn) => "warn",
        Some(Tone::Bad) => "bad",
        Some(Tone::Mute) => "mute",
        None => "",
    }
}

fn tone(cell: &Cell) -> Option<Tone> {
    match cell {
        Cell::Judged { tone, .. } => Some(*tone),
        _ => None,
    }
}

fn show(block: &Block) -> Shown {
    match block {
        Block::Facts { title, facts } => Shown::Facts {
            title: title.clone(),
            facts: facts.iter().map(|one| (one.label.clone(), fact(one))).collect(),
        },
        Block::Table { title, columns, rows } => Shown::Table {
            title: title.clone(),
            columns: columns.iter().map(|column| (column.label.clone(), is_number(column.unit))).collect(),
            rows: rows
                .iter()
                .map(|row| {
                    let cells = columns.iter().zip(row);
                    cells
                        .map(|(column, cell)| (shown(cell, column.unit), is_number(column.unit), class(tone(cell))))
                        .collect()
                })
                .collect(),
        },
        Block::Bars { title, bars } => Shown::Chart {
            title: title.clone(),
            svg: charts::bars(title, bars),
            legend: "Wide bar: the month. Narrow bar: the month before. Line: the target. Each KPI has its own scale.",
        },
        Block::Histogram { title, month, baseline } => Shown::Chart {
            title: title.clone(),
            svg: charts::histogram(title, month, baseline),
            legend: "Left: the baseline. Right: the month. Share of values by bin.",
        },
        Block::Trend(trend) => Shown::Chart {
            title: trend.title.clone(),
            svg: charts::trend(trend),
            legend: "Months with enough data; dashed: the thresholds.",
        },
        Block::Note { text } => Shown::Note(text.clone()),
        Block::Unavailable { source, why } => Shown::Unavailable { source: source.clone(), why: why.clone() },
    }
}

fn tiles(document: &Document<'_>) -> Vec<Tile> {
    let evidence = &document.pack.evidence;
    // In the contract's order, the worst is last.
    let drift = evidence.drift.iter().map(|one| one.verdict).max().unwrap_or(DriftVerdict::InsufficientData);
    let findings = evidence.findings.iter();
    let critical = findings.clone().filter(|finding| finding.severity == FindingSeverity::Critical).count();
    let undecided = findings.filter(|finding| finding.disposition == Disposition::Unspecified).count();
    let available = evidence.assurance.iter().filter(|one| one.result == Assessed::EvidenceAvailable).count();
    let unavailable = evidence.unavailable().len();
    let signed = document.signatures.iter().filter(|signature| signature.valid).count();
    let flag = |bad: bool| if bad { "warn" } else { "good" };
    vec![
        Tile {
            label: "Worst drift verdict",
            value: drift.word().replace('_', " ").to_lowercase(),
            tone: class(drift.tone()),
        },
        Tile {
            label: "Critical findings",
            value: critical.to_string(),
            tone: if critical > 0 { "bad" } else { "good" },
        },
        Tile { label: "Findings to decide", value: undecided.to_string(), tone: flag(undecided > 0) },
        Tile {
            label: "Controls with evidence available",
            value: format!("{available} of {}", evidence.assurance.len()),
            tone: "",
        },
        Tile { label: "Sources not available", value: unavailable.to_string(), tone: flag(unavailable > 0) },
        Tile { label: "Valid signatures", value: signed.to_string(), tone: "" },
    ]
}

/// The page.
///
/// # Errors
/// `Internal` if the template fails, which it does not for values in memory.
pub(crate) fn render(document: &Document<'_>) -> Result<String> {
    let evidence = &document.pack.evidence;
    let sections = evidence.sections.iter().map(|section| SectionView {
        number: section.number,
        key: section.key.clone(),
        title: section.title.clone(),
        blocks: section.blocks.iter().map(show).collect(),
        is_attendance: section.key == "attendance",
    });
    let page = Page {
        document,
        title: format!("Review of {} · {}", evidence.header.period, evidence.header.body_title),
        tiles: tiles(document),
        sections: sections.collect(),
        findings: evidence.findings.iter().map(|one| (class(one.severity.tone()), one)).collect(),
        controls: evidence.assurance.iter().map(|one| (class(one.result.tone()), one)).collect(),
    };
    page.render().map_err(|error| Error::internal("the page cannot be rendered").with_source(error))
}
