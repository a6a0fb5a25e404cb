//! Step 6: the table, the index page and the notes that let a killed run go on.

use super::Observer;
use super::files::write;
use super::proof::Proof;
use super::tasks::Decided;
use comfy_table::{CellAlignment, Table, presets};
use remit_core::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::Path;

/// One month of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The month, such as `2008-05`.
    pub period: String,
    /// The version of the lead scorer that was in force, counted from 1.
    pub version: usize,
    /// Leads of the month.
    pub leads: usize,
    /// Leads that went to sales.
    pub routed: usize,
    /// Leads that converted.
    pub converted: usize,
    /// Creative handoffs that were escalated.
    pub escalated: usize,
    /// Scores that drift was computed from.
    pub n: i64,
    /// The population stability index against the version's baseline.
    pub psi: f64,
    /// The same without what chance alone would give.
    pub psi_corrected: f64,
    /// The verdict of the review.
    pub verdict: String,
    /// What the council decided, empty for nothing.
    pub decision: String,
    /// Whether the next version was promoted.
    pub promoted: bool,
    /// The digest of the sealed pack.
    pub pack_digest: String,
}

impl Row {
    /// An index to show: none where there were too few scores to say anything.
    fn measured(&self, index: f64) -> String {
        if self.verdict == "INSUFFICIENT_DATA" { "-".to_owned() } else { format!("{index:.3}") }
    }
}

/// A month that is done, as it is kept beside its pack.
#[derive(Debug, Serialize, Deserialize)]
pub struct Saved {
    /// The row of the month.
    pub row: Row,
}

impl Saved {
    /// Reads what an earlier run kept about `period`, if anything.
    ///
    /// # Errors
    /// `Internal` if there is a file and it cannot be read as what was written.
    pub fn read(out: &Path, period: &str) -> Result<Option<Self>> {
        let path = out.join("months").join(format!("{period}.json"));
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| Error::internal(format!("{} is damaged; remove it", path.display())).with_source(e)),
            Err(_) => Ok(None),
        }
    }

    /// Keeps the month. The file appears whole or not at all.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be written.
    pub fn write(&self, out: &Path, period: &str) -> Result<()> {
        let text =
            serde_json::to_vec_pretty(self).map_err(|e| Error::internal("cannot encode a row").with_source(e))?;
        write(&out.join("months").join(format!("{period}.json")), &text)
    }
}

/// Says what step 1 decided.
pub(super) fn decided(decided: &Decided, observer: &dyn Observer) {
    let mut text = format!("  {} tasks", decided.tasks);
    for count in &decided.patterns {
        let pattern = count.pattern().as_str_name().trim_start_matches("AUTONOMY_PATTERN_");
        let _ = write!(text, ", {} {pattern}", count.count);
    }
    observer.line(&text);
    if decided.skipped > 0 {
        observer
            .line(&format!("  {} tasks without ratings stay with people until somebody rates them", decided.skipped));
    }
    observer.line(&format!(
        "  hours a year saved: {:.0} gross, {:.0} net of review; the ten largest:",
        decided.totals.gross_hours_saved, decided.totals.net_hours_saved
    ));
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["hours net", "pattern", "task"]);
    for item in &decided.largest {
        let pattern = item.pattern().as_str_name().trim_start_matches("AUTONOMY_PATTERN_").to_owned();
        let title: String = item.title.chars().take(70).collect();
        table.add_row([format!("{:.0}", item.net_hours_saved), pattern, title]);
    }
    observer.line(&table.to_string());
}

/// Says what step 4 proved.
pub(super) fn proven(proof: &Proof, observer: &dyn Observer) {
    let gone = match proof.erased_entries {
        0 => "an earlier run erased its personal data".to_owned(),
        count => format!("personal data gone from {count} of the log's entries"),
    };
    observer.line(&format!("  erased {}: {gone}, and the log still verifies", proof.subject));
    observer.line(&format!("  verified {} entries offline from {}", proof.entries, proof.export.display()));
    observer.line(&format!("  one altered byte: {}", proof.altered));
    observer.line(&format!("  a cut tail against the earlier checkpoint: {}", proof.truncated));
}

/// The table of the months.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["month", "model", "leads", "routed", "conversion", "PSI", "corrected", "verdict", "decision"]);
    for row in rows {
        let share = |part: usize| format!("{:.1}%", 100.0 * part as f64 / row.leads.max(1) as f64);
        table.add_row([
            row.period.clone(),
            format!("v{}", row.version),
            row.leads.to_string(),
            share(row.routed),
            share(row.converted),
            row.measured(row.psi),
            row.measured(row.psi_corrected),
            row.verdict.clone(),
            row.decision.clone(),
        ]);
    }
    for column in 2..=6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// Writes `index.html`: the table with a link to every pack, and the months in `open`, whose reviews nobody held.
///
/// # Errors
/// `Unavailable` if it cannot be written.
pub(super) fn index(out: &Path, source: &str, rows: &[Row], open: &[String]) -> Result<()> {
    write(&out.join("index.html"), page(source, rows, open).as_bytes())
}

fn page(source: &str, rows: &[Row], open: &[String]) -> String {
    let mut page = String::from(concat!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Remit: review packs</title><style>",
        "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}",
        "table{border-collapse:collapse;width:100%}th,td{text-align:right;padding:.3rem .6rem;border-bottom:1px solid #ddd}",
        "th:first-child,td:first-child,td:nth-last-child(-n+2),th:nth-last-child(-n+2){text-align:left}",
        ".SIGNIFICANT{color:#a30000;font-weight:600}.MODERATE{color:#8a5a00}</style><h1>Review packs</h1>"
    ));
    let _ = write!(page, "<p>{}</p>", escape(source));
    page.push_str("<table><thead><tr><th>Month<th>Model<th>Leads<th>Routed<th>Conversion<th>PSI, corrected<th>Verdict<th>Decision</thead><tbody>");
    let mut lines: Vec<_> = rows.iter().map(|row| (row.period.as_str(), line(row))).collect();
    lines.extend(open.iter().map(|period| (period.as_str(), format!("<tr><td>{}{NO_LEADS}", escape(period)))));
    lines.sort();
    page.extend(lines.into_iter().map(|(_, line)| line));
    page.push_str("</tbody></table></html>");
    page
}

/// What is said of a month in which nothing was scored. Its review opens by itself, and waits for people.
const NO_LEADS: &str = "<td>-<td>0<td>-<td>-<td>-<td>no leads<td>review left open";

fn line(row: &Row) -> String {
    let leads = row.leads.max(1) as f64;
    format!(
        "<tr><td><a href=\"packs/review-{p}.html\">{p}</a><td>v{}<td>{}<td>{:.1}%<td>{:.1}%<td>{}<td class=\"{v}\">{v}<td>{}",
        row.version,
        row.leads,
        100.0 * row.routed as f64 / leads,
        100.0 * row.converted as f64 / leads,
        row.measured(row.psi_corrected),
        escape(&row.decision),
        p = escape(&row.period),
        v = escape(&row.verdict),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_shows_every_month_in_order() {
        let row = |period: &str| Row {
            period: period.to_owned(),
            version: 1,
            leads: 10,
            routed: 1,
            converted: 1,
            escalated: 0,
            n: 10,
            psi: 0.1,
            psi_corrected: 0.1,
            verdict: "NONE".to_owned(),
            decision: String::new(),
            promoted: false,
            pack_digest: String::new(),
        };
        let page = page("data", &[row("2008-08"), row("2008-10")], &["2008-04".to_owned(), "2008-09".to_owned()]);
        let at = |period: &str| page.find(&format!("{period}<")).unwrap_or_default();
        assert!(0 < at("2008-04") && at("2008-04") < at("2008-08"), "{page}");
        assert!(at("2008-08") < at("2008-09") && at("2008-09") < at("2008-10"), "{page}");
        assert_eq!(page.matches("review left open").count(), 2);
        assert!(!page.contains("packs/review-2008-09"), "nobody wrote a pack for it");
    }
}
