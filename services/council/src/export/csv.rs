//! One table `section,item,field,value` (RFC 4180): every value of the pack on a line of its own, as it
//! stands in the pack and not as people read it.

use super::Document;
use crate::review::pack::{Block, Cell};
use remit_api::wire::Word as _;
use remit_sheet::inert;

/// The table.
pub(crate) fn render(document: &Document<'_>) -> String {
    let mut out = Out(String::from("section,item,field,value\r\n"));
    let header = &document.pack.evidence.header;
    out.line("pack", "", "digest", &document.pack_digest);
    out.line("pack", "", "state", document.state);
    out.line("pack", "", "period", &header.period);
    out.line("pack", "", "body", &header.body);
    for section in &document.pack.evidence.sections {
        for block in &section.blocks {
            out.block(&section.key, block);
        }
    }
    for finding in &document.pack.evidence.findings {
        let fields = [
            ("code", finding.code.as_str()),
            ("severity", finding.severity.word()),
            ("title", &finding.title),
            ("detail", &finding.detail),
            ("suggested_action", &finding.suggested_action),
            ("disposition", finding.disposition.word()),
            ("disposition_reference", &finding.disposition_reference),
        ];
        for (field, value) in fields {
            out.line("findings", &finding.id, field, value);
        }
    }
    for control in &document.pack.evidence.assurance {
        out.line("assurance", &control.id, control.class.word(), control.result.text());
    }
    for one in &document.pack.attendance {
        out.line("attendance", &one.subject, &one.role_group, if one.present { "present" } else { "absent" });
    }
    for one in &document.pack.recusals {
        out.line("recusals", &one.subject, &one.item, &one.reason);
    }
    for one in &document.signatures {
        out.line("signatures", &one.signer, &one.role_group, if one.valid { &one.pack_digest } else { "void" });
    }
    if let Some(seal) = &document.seal {
        out.line("seal", "", "signature", &seal.signature);
        out.line("seal", "", "public_key", &seal.public_key);
    }
    out.0
}

struct Out(String);

impl Out {
    fn line(&mut self, section: &str, item: &str, field: &str, value: &str) {
        for (at, text) in [section, item, field, value].into_iter().enumerate() {
            if at > 0 {
                self.0.push(',');
            }
            self.0.push_str(&quoted(text));
        }
        self.0.push_str("\r\n");
    }

    fn block(&mut self, section: &str, block: &Block) {
        match block {
            Block::Facts { title, facts } => {
                for fact in facts {
                    self.line(section, title, &fact.label, &raw(&fact.value));
                    if let Some(n) = fact.n {
                        self.line(section, title, &format!("{} n", fact.label), &n.to_string());
                    }
                }
            }
            Block::Table { title, columns, rows } => {
                for (at, row) in rows.iter().enumerate() {
                    let item = format!("{title}[{at}]");
                    for (column, cell) in columns.iter().zip(row) {
                        self.line(section, &item, &column.label, &raw(cell));
                    }
                }
            }
            // The same values stand in the table beside the bars.
            Block::Bars { .. } => {}
            Block::Histogram { title, month, baseline } => {
                for (at, (now, before)) in month.iter().zip(baseline).enumerate() {
                    self.line(section, title, &format!("month[{at}]"), &raw(&Cell::Num(*now)));
                    self.line(section, title, &format!("baseline[{at}]"), &raw(&Cell::Num(*before)));
                }
            }
            Block::Trend(trend) => {
                for point in &trend.points {
                    self.line(section, &trend.title, &point.period, &raw(&Cell::Num(point.value)));
                }
            }
            Block::Note { text } => self.line(section, "note", "", text),
            Block::Unavailable { source, why } => self.line(section, source, "not available", why),
        }
    }
}

pub(super) fn raw(cell: &Cell) -> String {
    match cell {
        Cell::None => String::new(),
        Cell::Int(value) => value.to_string(),
        Cell::Num(value) => value.to_string(),
        Cell::Text(text) | Cell::Judged { word: text, .. } => text.clone(),
    }
}

/// A field, quoted where it must be, and never a formula.
pub(super) fn quoted(text: &str) -> String {
    let number = text.parse::<f64>().is_ok();
    let text = if number { text.into() } else { inert(text) };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn fields_are_quoted_and_formulas_defused() {
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(quoted("=1+1"), "'=1+1");
        assert_eq!(quoted("-1.5"), "-1.5");
    }
}
