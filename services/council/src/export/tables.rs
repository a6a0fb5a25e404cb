//! One CSV a table, in a ZIP archive: each opens in a spreadsheet as it stands in the pack.

use super::Document;
use super::csv::{quoted, raw};
use crate::review::pack::{Block, Cell};
use remit_api::wire::Word as _;
use remit_core::{Error, Result};
use std::collections::BTreeSet;
use std::io::{Cursor, Write as _};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// The longest part of a file name that a title gives.
const MOST_LETTERS: usize = 60;

/// A table of text.
struct Table {
    file: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new<const N: usize>(file: &str, columns: [&str; N], rows: Vec<[String; N]>) -> Self {
        Self {
            file: file.to_owned(),
            columns: columns.map(str::to_owned).to_vec(),
            rows: rows.into_iter().map(Vec::from).collect(),
        }
    }

    fn csv(&self) -> String {
        let mut out = String::new();
        for row in std::iter::once(&self.columns).chain(&self.rows) {
            let fields: Vec<String> = row.iter().map(|field| quoted(field)).collect();
            out.push_str(&fields.join(","));
            out.push_str("\r\n");
        }
        out
    }
}

/// A title as a part of a file name.
fn slug(title: &str) -> String {
    let words = title.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let joined = words.collect::<Vec<_>>().join("-").to_lowercase();
    joined.chars().take(MOST_LETTERS).collect()
}

/// The tables of the sections, in their order.
fn of_sections(document: &Document<'_>) -> Vec<Table> {
    let mut tables = Vec::new();
    for section in &document.pack.evidence.sections {
        let file = |title: &str| format!("{:02}-{}-{}", section.number, section.key, slug(title));
        let mut facts = Vec::new();
        for block in &section.blocks {
            match block {
                Block::Facts { title, facts: of_it } => facts.extend(of_it.iter().map(|fact| {
                    let n = fact.n.map(|n| n.to_string()).unwrap_or_default();
                    [title.clone(), fact.label.clone(), raw(&fact.value), n]
                })),
                Block::Table { title, columns, rows } => tables.push(Table {
                    file: file(title),
                    columns: columns.iter().map(|column| column.label.clone()).collect(),
                    rows: rows.iter().map(|row| row.iter().map(raw).collect()).collect(),
                }),
                Block::Histogram { title, month, baseline } => {
                    let bins = (0_i64..).zip(month.iter().zip(baseline));
                    let rows = bins
                        .map(|(bin, (now, before))| [bin.to_string(), raw(&Cell::Num(*now)), raw(&Cell::Num(*before))]);
                    tables.push(Table::new(&file(title), ["bin", "month", "baseline"], rows.collect()));
                }
                Block::Trend(trend) => {
                    let rows = trend.points.iter().map(|one| [one.period.clone(), raw(&Cell::Num(one.value))]);
                    tables.push(Table::new(&file(&trend.title), ["period", "value"], rows.collect()));
                }
                Block::Note { text } => facts.push(["note".to_owned(), String::new(), text.clone(), String::new()]),
                Block::Unavailable { source, why } => {
                    facts.push(["not available".to_owned(), source.clone(), why.clone(), String::new()]);
                }
                // The same values stand in the table beside the bars.
                Block::Bars { .. } => {}
            }
        }
        if !facts.is_empty() {
            tables.push(Table::new(&file("facts"), ["group", "what", "value", "n"], facts));
        }
    }
    tables
}

/// The tables of what stands beside the sections.
fn beside(document: &Document<'_>) -> Vec<Table> {
    let (pack, evidence) = (document.pack, &document.pack.evidence);
    let findings = evidence.findings.iter().map(|one| {
        let decided =
            [one.disposition.word().to_owned(), one.disposition_reference.clone(), one.disposition_note.clone()];
        let [disposition, reference, note] = decided;
        let (id, code, severity) = (one.id.clone(), one.code.clone(), one.severity.word().to_owned());
        let (title, detail, resource) = (one.title.clone(), one.detail.clone(), one.resource.clone());
        let suggested = one.suggested_action.clone();
        [id, code, severity, title, detail, resource, suggested, disposition, reference, note]
    });
    let controls = evidence.assurance.iter().map(|one| {
        let of_it = [one.id.clone(), one.framework.clone(), one.clause.clone(), one.requirement.clone()];
        let [id, framework, clause, requirement] = of_it;
        let (class, result) = (one.class.word().to_owned(), one.result.text().to_owned());
        [id, framework, clause, requirement, class, result, one.evidence.join("; "), one.waiver.clone()]
    });
    let attendance = pack.attendance.iter().map(|one| {
        [one.subject.clone(), one.role_group.clone(), if one.present { "present" } else { "absent" }.to_owned()]
    });
    let recusals = pack.recusals.iter();
    let recusals = recusals.map(|one| [one.subject.clone(), one.item.clone(), one.reason.clone(), one.time.clone()]);
    let signatures = document.signatures.iter().map(|one| {
        let counts = if one.valid { "valid" } else { "void" }.to_owned();
        let (signer, seat, group) = (one.signer.clone(), one.seat.clone(), one.role_group.clone());
        [signer, seat, group, one.time.clone(), counts, one.pack_digest.clone(), one.comment.clone()]
    });
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let restated = evidence.restated.iter().map(|one| {
        let (period, key, label) = (one.period.clone(), one.key.clone(), one.label.clone());
        let (old_n, new_n) = (one.old_n.to_string(), one.new_n.to_string());
        [period, key, label, number(one.old_value), number(one.new_value), old_n, new_n]
    });
    let due = evidence.due.iter();
    let due = due.map(|one| [one.time.clone(), one.what.clone(), one.owner.clone(), one.resource.clone()]);
    let head = &evidence.header;
    let about = [
        ("review", pack.review.clone()),
        ("period", head.period.clone()),
        ("body", head.body.clone()),
        ("state", document.state.to_owned()),
        ("pack digest", document.pack_digest.clone()),
        ("minutes", pack.minutes.clone()),
    ];
    let finding_columns =
        ["id", "code", "severity", "title", "detail", "resource", "suggested", "disposition", "reference", "note"];
    let control_columns = ["control", "framework", "clause", "requirement", "class", "result", "evidence", "waiver"];
    let restated_columns = ["month", "figure", "what", "before", "now", "n before", "n now"];
    let signed = ["signer", "seat", "role group", "time", "counts", "pack digest", "comment"];
    vec![
        Table::new("00-pack", ["what", "value"], about.map(|(what, value)| [what.to_owned(), value]).to_vec()),
        Table::new("00-findings", finding_columns, findings.collect()),
        Table::new("00-due", ["time", "what", "owner", "resource"], due.collect()),
        Table::new("00-restated", restated_columns, restated.collect()),
        Table::new("00-attendance", ["member", "role group", "present"], attendance.collect()),
        Table::new("00-recusals", ["member", "item", "reason", "time"], recusals.collect()),
        Table::new("00-signatures", signed, signatures.collect()),
        Table::new("17-controls", control_columns, controls.collect()),
    ]
}

/// The archive: the same pack gives the same bytes.
///
/// # Errors
/// `Internal` if it cannot be written, which does not happen in memory.
pub(crate) fn render(document: &Document<'_>) -> Result<Vec<u8>> {
    let failed = |error: zip::result::ZipError| Error::internal("an archive was not written").with_source(error);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default());
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut names = BTreeSet::new();
    for table in beside(document).into_iter().chain(of_sections(document)) {
        let mut name = format!("{}.csv", table.file);
        let mut copy = 1;
        while !names.insert(name.clone()) {
            copy += 1;
            name = format!("{}-{copy}.csv", table.file);
        }
        archive.start_file(name, options).map_err(failed)?;
        archive
            .write_all(table.csv().as_bytes())
            .map_err(|error| Error::internal("an archive was not written").with_source(error))?;
    }
    Ok(archive.finish().map_err(failed)?.into_inner())
}
