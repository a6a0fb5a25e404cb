//! The document as Markdown (GitHub flavour).

use super::page::{Ask, Page, Part, Piece, Table};
use std::fmt::Write as _;

/// The document, whole or its first page alone.
pub(super) fn render(page: &Page, whole: bool) -> String {
    let mut out = String::new();
    // Writing into a String does not fail.
    let _ = write(&mut out, page, whole);
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

/// A command, which has no backquote that could end it.
fn command(text: &str) -> String {
    format!("`{}`", text.replace(['`', '\n', '\r'], " "))
}

fn write(out: &mut String, page: &Page, whole: bool) -> std::fmt::Result {
    writeln!(out, "# {}\n\n{}\n\n**{}**\n", safe(&page.title), safe(&page.subtitle), safe(&page.lead))?;
    for part in &page.first {
        write_part(out, part)?;
    }
    writeln!(out, "*{}*\n", safe(&page.frozen))?;
    if whole {
        for part in page.parts.iter().chain(&page.appendices) {
            write_part(out, part)?;
        }
    }
    Ok(())
}

fn write_part(out: &mut String, part: &Part) -> std::fmt::Result {
    writeln!(out, "## {}\n\n**{}**\n", safe(&part.title), safe(&part.lead))?;
    part.pieces.iter().try_for_each(|piece| write_piece(out, piece))
}

fn write_piece(out: &mut String, piece: &Piece) -> std::fmt::Result {
    match piece {
        Piece::Heading(text) => writeln!(out, "### {}", safe(text))?,
        Piece::Note(text) => writeln!(out, "{}", safe(text))?,
        Piece::Written(text) => text.lines().try_for_each(|line| writeln!(out, "> {}", safe(line)))?,
        Piece::Gone(source, why) => writeln!(out, "**Not available: {}**: {}", safe(source), safe(why))?,
        Piece::Points(pairs) => {
            pairs.iter().try_for_each(|(label, value)| writeln!(out, "- **{}**: {}", safe(label), safe(value)))?;
        }
        Piece::Facts(pairs) => {
            pairs.iter().try_for_each(|(label, value)| writeln!(out, "- {}: {}", safe(label), safe(value)))?;
        }
        Piece::Table(table) => write_table(out, table)?,
        Piece::Chart(chart) => {
            // The same values stand in a table beside the others.
            let Some(table) = &chart.table else { return Ok(()) };
            writeln!(out, "### {}\n", safe(&chart.title))?;
            write_table(out, table)?;
        }
        Piece::Ask(ask) => write_ask(out, ask)?,
    }
    writeln!(out)
}

fn write_table(out: &mut String, table: &Table) -> std::fmt::Result {
    if !table.title.is_empty() {
        writeln!(out, "### {}\n", safe(&table.title))?;
    }
    let titles: Vec<String> = table.columns.iter().map(|(label, _)| safe(label)).collect();
    let rule: Vec<&str> = table.columns.iter().map(|(_, right)| if *right { "--:" } else { "---" }).collect();
    writeln!(out, "| {} |\n|{}|", titles.join(" | "), rule.join("|"))?;
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(|value| safe(&value.text)).collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    Ok(())
}

fn write_ask(out: &mut String, ask: &Ask) -> std::fmt::Result {
    writeln!(out, "### {}\n\n{}\n", safe(&ask.what), safe(&ask.why))?;
    if ask.decided.is_empty() {
        writeln!(out, "- Asked of: {}", safe(&ask.of))?;
        writeln!(out, "- By: {}", safe(&ask.by))?;
        writeln!(out, "- If nothing is decided: {}", safe(&ask.otherwise))?;
        writeln!(out, "- To act: {}", command(&ask.command))?;
    } else {
        writeln!(out, "- Decided: {}", safe(&ask.decided))?;
    }
    if ask.entries.is_empty() {
        writeln!(out, "- Evidence: {}", safe(&ask.evidence.1))
    } else {
        let cited = if ask.cited.is_empty() { String::new() } else { format!(" {}", safe(&ask.cited)) };
        writeln!(out, "- Evidence: {}; log entries{cited}: {}", safe(&ask.evidence.1), command(&ask.entries))
    }
}
