//! Answers: tables for people, JSON for programs.

use super::page;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use prost::{Message, Name};
use remit_core::{Error, Result};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

/// Longer tokens are not shown to people.
const LONGEST_WORD: usize = 100;

/// One column of a table: its heading, the path of the value in the message's JSON, and the prefix that
/// its enum values share.
pub(super) type Column = (&'static str, &'static str, &'static str);

/// Where answers go, and in which form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    /// JSON instead of tables.
    pub(super) json: bool,
}

/// The JSON of a message.
///
/// # Errors
/// `Internal` if the message is not of this contract.
pub(super) fn json<M: Message + Name>(message: &M) -> Result<Value> {
    remit_api::json(message).ok_or_else(|| Error::internal(format!("{} has no JSON form", M::full_name())))
}

/// The JSON of a message as people see it: with the numbers that are zero, which proto JSON leaves out.
fn shown<M: Message + Name>(message: &M) -> Result<Value> {
    let mut value = json(message)?;
    if let Some(full) = remit_api::json_with_defaults(message) {
        add_zeros(&mut value, full);
    }
    Ok(value)
}

fn is_zero(value: &Value) -> bool {
    match value {
        // 64 bits are a text in proto JSON.
        Value::String(text) => text == "0",
        Value::Number(number) => matches!(number.to_string().as_str(), "0" | "0.0"),
        _ => false,
    }
}

fn add_zeros(value: &mut Value, full: Value) {
    match (value, full) {
        (Value::Object(fields), Value::Object(full)) => {
            for (name, full) in full {
                match fields.get_mut(&name) {
                    Some(value) => add_zeros(value, full),
                    None if is_zero(&full) => drop(fields.insert(name, full)),
                    None => {}
                }
            }
        }
        (Value::Array(items), Value::Array(full)) => {
            items.iter_mut().zip(full).for_each(|(item, full)| add_zeros(item, full));
        }
        _ => {}
    }
}

/// A time as people read it, to whole seconds; other text as it is.
pub(super) fn whole_seconds(text: &str) -> String {
    match text.split_once('.') {
        Some((whole, rest)) if whole.len() == 19 && rest.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok() => {
            format!("{whole}Z")
        }
        _ => text.to_owned(),
    }
}

fn print(text: &str) -> Result<()> {
    print_raw(format!("{text}\n").as_bytes())
}

/// Writes bytes to standard output.
///
/// # Errors
/// `Internal` if that fails.
pub(crate) fn print_raw(content: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(content).and_then(|()| out.flush()) {
        // A reader such as `head` that has seen enough is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        done => done.map_err(|error| Error::internal("cannot write the answer").with_source(error)),
    }
}

fn pretty(value: &Value) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map(|text| safe_json(&text))
        .map_err(|error| Error::internal("cannot encode the answer").with_source(error))
}

/// The value at a path of field names joined by dots.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, field| value.get(field))
}

/// Whether a character moves the cursor, colours what follows, or turns the order of what is read.
fn moves(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
}

/// Text of others as a terminal may show it: what could clear or fake what stands around it is a mark.
pub(crate) fn safe(text: &str) -> String {
    text.chars().map(|c| if moves(c) && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// JSON as a terminal may show it: the same characters, which stand in strings alone, escaped.
pub(crate) fn safe_json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if moves(c) && c != '\n' {
            // All of them are in the first plane. Writing to a string cannot fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Text as a table shows it: a token, which people cannot read, by its beginning and its length.
fn told(text: &str) -> String {
    let token = text.len() > LONGEST_WORD && text.starts_with("eyJ") && text.split('.').count() == 3;
    if token {
        let begin: String = text.chars().take(12).collect();
        return format!("{begin}… ({} characters; --json shows them)", text.len());
    }
    text.to_owned()
}

/// A value as a table shows it.
pub(super) fn cell(value: Option<&Value>, prefix: &str) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => told(&whole_seconds(&safe(text.strip_prefix(prefix).unwrap_or(text)))),
        Some(Value::Number(number)) => match number.as_f64() {
            // Four decimals are more than anybody reads; those that are zero say nothing.
            Some(float) if number.is_f64() && float.fract() != 0.0 && float.abs() >= 0.0001 => {
                format!("{float:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
            }
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => format!("{float:.0}"),
            _ => number.to_string(),
        },
        Some(Value::Bool(flag)) => if *flag { "yes" } else { "no" }.to_owned(),
        Some(Value::Array(items)) => items.iter().map(|item| cell(Some(item), prefix)).collect::<Vec<_>>().join("\n"),
        Some(Value::Object(fields)) => fields
            .iter()
            .map(|(name, value)| format!("{name}: {}", cell(Some(value), prefix)))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

fn table() -> Table {
    let mut table = Table::new();
    // Nothing is broken to fit: half of an id or of a time can neither be read nor copied.
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// Words that stand out where there are colours: what stops, what waits, what went well.
const COLOURS: [(Color, &[&str]); 3] = [
    (
        Color::Red,
        &["DENY", "REFUSED", "REJECTED", "SUSPENDED", "ENGAGED", "FIRING", "FAILED", "OVERDUE", "BREACHED", "ERROR"],
    ),
    (
        Color::Yellow,
        &["PENDING", "OPEN", "NEEDS_RECONCILIATION", "RESTRICTED", "RESTRICT", "WARNING", "BYPASSED", "HUMAN_ONLY"],
    ),
    (Color::Green, &["PERMIT", "APPROVED", "EXECUTED", "ACTIVE", "SEALED", "DECIDED", "ACKED"]),
];

/// Whether answers are coloured: on a terminal, unless its owner wants none (no-color.org).
fn coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The columns that hold numbers alone, which are read from their ends.
fn numeric(rows: &[Vec<String>], columns: usize) -> Vec<bool> {
    let is_number = |cell: &str| cell.parse::<f64>().is_ok();
    let column = |at: usize| rows.iter().filter_map(move |row| row.get(at)).filter(|cell| !cell.is_empty());
    (0..columns).map(|at| column(at).next().is_some() && column(at).all(|cell| is_number(cell))).collect()
}

fn whole(headings: &[&str], rows: &[Vec<String>], coloured: bool) -> Table {
    let numeric = numeric(rows, headings.len());
    let aligned = |(at, cell): (usize, Cell)| match numeric.get(at) {
        Some(true) => cell.set_alignment(CellAlignment::Right),
        _ => cell,
    };
    let tinted = |text: &String| {
        let tint = COLOURS.iter().find(|(_, words)| coloured && words.contains(&text.as_str()));
        tint.map_or_else(|| Cell::new(text), |(colour, _)| Cell::new(text).fg(*colour))
    };
    let mut whole = table();
    whole.set_header(headings.iter().map(Cell::new).enumerate().map(aligned));
    for row in rows {
        whole.add_row(row.iter().map(tinted).enumerate().map(aligned));
    }
    whole
}

/// Rows as a table; as a block of lines each where the table does not fit into `width`.
fn arranged(headings: &[&str], rows: &[Vec<String>], width: Option<u16>) -> String {
    let text = whole(headings, rows, false).trim_fmt();
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    if width.is_none_or(|width| widest <= usize::from(width)) {
        return if coloured() { whole(headings, rows, true).trim_fmt() } else { text };
    }
    let block = |row: &Vec<String>| {
        let mut block = table();
        for (heading, cell) in headings.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
            block.add_row([*heading, cell.as_str()]);
        }
        block.trim_fmt()
    };
    rows.iter().map(block).collect::<Vec<_>>().join("\n\n")
}

impl Output {
    fn all<M: Message + Name>(&self, items: &[M]) -> Result<Vec<Value>> {
        items.iter().map(|item| if self.json { json(item) } else { shown(item) }).collect()
    }

    /// Shows a list of messages.
    pub(super) fn list<M: Message + Name>(&self, items: &[M], columns: &[Column]) -> Result<()> {
        self.values(self.all(items)?, columns)
    }

    /// Shows a list of messages, to people in `words`.
    pub(super) fn in_words<M: Message + Name>(
        &self,
        items: &[M],
        columns: &[Column],
        words: impl Fn(Value) -> Value,
    ) -> Result<()> {
        let values = self.all(items)?;
        self.values(if self.json { values } else { values.into_iter().map(words).collect() }, columns)
    }

    /// Shows a part of an answer, and nothing where there is none.
    pub(super) fn part<M: Message + Name>(&self, items: &[M], columns: &[Column]) -> Result<()> {
        if items.is_empty() { Ok(()) } else { self.list(items, columns) }
    }

    /// Shows a list of JSON values.
    pub(super) fn values(&self, values: Vec<Value>, columns: &[Column]) -> Result<()> {
        if self.json {
            return print(&pretty(&Value::Array(values))?);
        }
        if values.is_empty() {
            self.note("nothing found");
            return Ok(());
        }
        let headings: Vec<_> = columns.iter().map(|(heading, _, _)| *heading).collect();
        let row = |value: &Value| -> Vec<String> {
            columns.iter().map(|(_, path, prefix)| cell(at(value, path), prefix)).collect()
        };
        let rows: Vec<_> = values.iter().map(row).collect();
        print(&arranged(&headings, &rows, table().width()))
    }

    /// Shows one message with all its fields.
    pub(super) fn show<M: Message + Name>(&self, message: &M) -> Result<()> {
        if self.json {
            return print(&pretty(&json(message)?)?);
        }
        let value = shown(message)?;
        match remit_api::pool().get_message_by_name(&M::full_name()) {
            Some(descriptor) => print(&page::lines(&descriptor, &value).join("\n")),
            None => self.value(value),
        }
    }

    /// Shows one JSON value with all its fields.
    pub(super) fn value(&self, value: Value) -> Result<()> {
        if self.json {
            return print(&pretty(&value)?);
        }
        let mut table = table();
        if let Value::Object(fields) = &value {
            for (name, value) in fields {
                table.add_row([name.clone(), cell(Some(value), "")]);
            }
        }
        print(&table.trim_fmt())
    }

    /// Shows lines of text to people; programs get `value`.
    pub(super) fn text(&self, text: &str, value: impl FnOnce() -> Result<Value>) -> Result<()> {
        if self.json { print(&pretty(&value()?)?) } else { print(&safe(text)) }
    }

    /// Shows one thing to people, a line for each of `facts` in their order; programs get `value`.
    pub(super) fn facts(&self, facts: &[(&str, String)], value: impl FnOnce() -> Result<Value>) -> Result<()> {
        if self.json {
            return print(&pretty(&value()?)?);
        }
        let mut table = table();
        for (name, fact) in facts {
            table.add_row([(*name).to_owned(), safe(fact)]);
        }
        print(&table.trim_fmt())
    }

    /// Says something beside the answer.
    pub(super) fn note(&self, text: &str) {
        // Beside the answer nothing depends on it.
        let _ = writeln!(std::io::stderr(), "{}", safe(text));
    }

    /// Says where an answer went, if it went to a file.
    pub(super) fn wrote(&self, path: Option<&Path>) {
        if let Some(path) = path {
            self.note(&format!("wrote {}", path.display()));
        }
    }

    /// A progress bar on standard error over `total` steps; it hides itself where that is no terminal.
    pub(super) fn progress(&self, total: u64, what: &str) -> ProgressBar {
        let bar = ProgressBar::new(total).with_message(what.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {eta}") {
            bar.set_style(style);
        }
        bar
    }
}

/// Moves a bar to what a server says it has done.
pub(super) fn moved(bar: &ProgressBar, done: i64, total: i64) {
    bar.set_length(u64::try_from(total).unwrap_or(0));
    bar.set_position(u64::try_from(done).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_number_that_is_zero_is_shown_and_nothing_else_that_is_not_set() {
        let event = remit_api::audit::v1::Event::default();
        let first = remit_api::audit::v1::Entry { event: Some(event), ..Default::default() };
        let value = shown(&first).unwrap();
        assert_eq!(cell(at(&value, "index"), ""), "0");
        assert_eq!(cell(at(&value, "event.action"), ""), "");
        assert!(json(&first).unwrap().get("index").is_none());
    }

    #[test]
    fn numbers_are_read_from_their_ends() {
        let rows = [["a", "5"], ["b", "1200.5"]].map(|row| row.map(str::to_owned).to_vec());
        let text = arranged(&["TASK", "HOURS"], &rows, None);
        let lines: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        let end = |line: &String| line.trim_end().chars().count();
        assert!(lines[1].trim_end().ends_with(" 5") && end(&lines[1]) == end(&lines[2]), "{lines:#?}");
        assert_eq!(numeric(&[vec![String::new(), "x".into(), "1".into()]], 3), [false, false, true]);
    }

    #[test]
    fn what_does_not_fit_is_shown_line_by_line_and_never_broken() {
        let id = "revocation-0123456789-0123456789-0123456789";
        let rows =
            [vec![id.to_owned(), "2026-11-28T01:26:38Z".to_owned(), String::new(), "in a repository".to_owned()]];
        let headings = ["REVOCATION", "OVER", "BY", "REASON"];
        let wide = arranged(&headings, &rows, None);
        let filled = |text: &str| text.lines().filter(|line| !line.trim().is_empty()).count();
        assert_eq!(filled(&wide), 2, "{wide}");
        assert_eq!(arranged(&headings, &rows, Some(200)), wide);
        let narrow = arranged(&headings, &rows, Some(80));
        assert_eq!(filled(&narrow), 3, "{narrow}");
        assert!(narrow.contains(id) && narrow.contains("2026-11-28T01:26:38Z") && !narrow.contains("BY"), "{narrow}");
    }

    #[test]
    fn cells_are_short_and_cannot_move_the_cursor() {
        let value =
            serde_json::json!({"a": {"b": "STATE_OPEN"}, "n": 0.123456, "i": 3, "l": ["x", "y"], "e": "\u{1b}[31mred"});
        assert_eq!(cell(at(&value, "a.b"), "STATE_"), "OPEN");
        assert_eq!(cell(at(&value, "n"), ""), "0.1235");
        let number = |number: f64| cell(Some(&serde_json::json!(number)), "");
        assert_eq!([41.6, 1_213.333_33, 130.0, 0.000_01].map(number), ["41.6", "1213.3333", "130", "1e-5"]);
        assert_eq!(cell(at(&value, "i"), ""), "3");
        assert_eq!(cell(at(&value, "l"), ""), "x\ny");
        assert_eq!(cell(at(&value, "missing.path"), ""), "");
        assert!(!cell(at(&value, "e"), "").contains('\u{1b}'));
        let time = serde_json::json!("2026-11-28T01:26:38.123456Z");
        assert_eq!(cell(Some(&time), ""), "2026-11-28T01:26:38Z");
        assert_eq!(whole_seconds("0123456789abcdefghi.Z"), "0123456789abcdefghi.Z");
        let token = serde_json::json!({"mandates": [{"nonce": "n:1:0", "token": format!("eyJhbGciOi.{}.sig", "x".repeat(900))}]});
        let shown = cell(Some(&token), "");
        assert!(shown.contains("n:1:0") && shown.contains("eyJhbGciOi.x…") && shown.len() < 120, "{shown}");
    }
}
