//! The pack as Markdown (GitHub flavour).

use super::Document;
use super::values::{fact, is_number, shown};
use crate::review::pack::{Block, Unit};
use remit_api::wire::Word as _;
use std::fmt::Write as _;

/// The page.
pub(crate) fn render(document: &Document<'_>) -> String {
    let mut out = String::new();
    // Writing into a String does not fail.
    let _ = write(&mut out, document);
    out
}

/// Text that neither breaks a table nor is read as markup.
fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            other => out.push(other),
        }
    }
    out
}

fn write(out: &mut String, document: &Document<'_>) -> std::fmt::Result {
    let evidence = &document.pack.evidence;
    let header = &evidence.header;
    writeln!(out, "# Review of {} by the {}\n", header.period, safe(&header.body_title))?;
    writeln!(
        out,
        "State: **{}**  \nPack: `{}`  \nEvidence: `{}`\n",
        document.state, document.pack_digest, document.pack.evidence_digest
    )?;
    writeln!(out, "## Findings\n")?;
    if evidence.findings.is_empty() {
        writeln!(out, "None.\n")?;
    } else {
        writeln!(out, "| severity | finding | detail | suggested | decided |\n|---|---|---|---|---|")?;
        for finding in &evidence.findings {
            let decided = format!("{} {}", finding.disposition.word(), finding.disposition_reference);
            let cells = [finding.severity.word(), &finding.title, &finding.detail, &finding.suggested_action, &decided];
            writeln!(out, "| {} |", cells.map(|cell| safe(cell.trim())).join(" | "))?;
        }
        writeln!(out)?;
    }
    for section in &evidence.sections {
        writeln!(out, "## {}. {}\n", section.number, section.title)?;
        for block in &section.blocks {
            write_block(out, block)?;
        }
        if section.key == "attendance" {
            record(out, document)?;
        }
    }
    writeln!(out, "## Controls\n\n| control | framework | clause | class | evidence |\n|---|---|---|---|---|")?;
    for control in &evidence.assurance {
        let cells = [&control.id, &control.framework, &control.clause, control.class.word(), control.result.text()];
        writeln!(out, "| {} |", cells.map(safe).join(" | "))?;
    }
    writeln!(
        out,
        "\n## Minutes\n\n{}\n",
        if document.pack.minutes.is_empty() { "None." } else { &document.pack.minutes }
    )?;
    if let Some(seal) = &document.seal {
        writeln!(out, "## Seal\n\n{} over {}, {}\n", seal.algorithm, seal.signed, seal.time)?;
        writeln!(
            out,
            "- signature `{}`\n- public key `{}`\n- audit event `{}`",
            seal.signature, seal.public_key, seal.audit_event
        )?;
    }
    Ok(())
}

/// What the body added: attendance, conflicts, signatures.
fn record(out: &mut String, document: &Document<'_>) -> std::fmt::Result {
    for one in &document.pack.attendance {
        let present = if one.present { "present" } else { "absent" };
        writeln!(out, "- {} ({}): {present}", safe(&one.subject), safe(&one.role_group))?;
    }
    for one in &document.pack.recusals {
        writeln!(out, "- {} recused from {}: {}", safe(&one.subject), safe(&one.item), safe(&one.reason))?;
    }
    for one in &document.signatures {
        let valid = if one.valid { "signed" } else { "signed, void since a later change" };
        writeln!(out, "- {} ({}): {valid}, {}", safe(&one.signer), safe(&one.role_group), one.time)?;
    }
    writeln!(out)
}

fn write_block(out: &mut String, block: &Block) -> std::fmt::Result {
    match block {
        Block::Facts { title, facts } => {
            heading(out, title)?;
            for one in facts {
                writeln!(out, "- {}: {}", safe(&one.label), safe(&fact(one)))?;
            }
        }
        Block::Table { title, columns, rows } => {
            heading(out, title)?;
            let titles: Vec<String> = columns.iter().map(|column| safe(&column.label)).collect();
            let rule: Vec<&str> =
                columns.iter().map(|column| if is_number(column.unit) { "--:" } else { "---" }).collect();
            writeln!(out, "| {} |\n|{}|", titles.join(" | "), rule.join("|"))?;
            for row in rows {
                let cells: Vec<String> =
                    columns.iter().zip(row).map(|(column, cell)| safe(&shown(cell, column.unit))).collect();
                writeln!(out, "| {} |", cells.join(" | "))?;
            }
        }
        // The same values stand in the table beside the bars.
        Block::Bars { .. } => return Ok(()),
        Block::Histogram { title, month, baseline } => {
            heading(out, title)?;
            writeln!(out, "| bin | month | baseline |\n|--:|--:|--:|")?;
            for (at, (now, before)) in month.iter().zip(baseline).enumerate() {
                writeln!(
                    out,
                    "| {} | {} | {} |",
                    at + 1,
                    shown(&(*now).into(), Unit::Ratio),
                    shown(&(*before).into(), Unit::Ratio)
                )?;
            }
        }
        Block::Trend(trend) => {
            heading(out, &trend.title)?;
            writeln!(out, "| month | value |\n|---|--:|")?;
            for point in &trend.points {
                writeln!(out, "| {} | {} |", point.period, shown(&point.value.into(), Unit::Number))?;
            }
        }
        Block::Note { text } => writeln!(out, "{}", safe(text))?,
        Block::Unavailable { source, why } => writeln!(out, "**Not available: {}**: {}", safe(source), safe(why))?,
    }
    writeln!(out)
}

fn heading(out: &mut String, title: &str) -> std::fmt::Result {
    if title.is_empty() { Ok(()) } else { writeln!(out, "### {}\n", safe(title)) }
}
