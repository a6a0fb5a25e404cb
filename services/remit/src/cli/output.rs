//! Answers: tables for people, JSON for programs.

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use prost::{Message, Name};
use remit_core::{Error, Result};
use serde_json::Value;
use std::io::Write as _;

/// How many items a list shows unless asked otherwise.
pub const DEFAULT_LIMIT: usize = 100;

/// One column of a table: its heading, the path of the value in the message's JSON, and the prefix that
/// its enum values share.
pub type Column = (&'static str, &'static str, &'static str);

/// Where answers go, and in which form.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// JSON instead of tables.
    pub json: bool,
}

/// The JSON of a message.
///
/// # Errors
/// `Internal` if the message is not of this contract.
pub fn json<M: Message + Name>(message: &M) -> Result<Value> {
    remit_api::json(message).ok_or_else(|| Error::internal(format!("{} has no JSON form", M::full_name())))
}

fn print(text: &str) -> Result<()> {
    print_raw(format!("{text}\n").as_bytes())
}

/// Writes bytes to standard output.
///
/// # Errors
/// `Internal` if that fails.
pub fn print_raw(content: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(content).and_then(|()| out.flush()) {
        // A reader such as `head` that has seen enough is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        done => done.map_err(|error| Error::internal("cannot write the answer").with_source(error)),
    }
}

fn pretty(value: &Value) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|error| Error::internal("cannot encode the answer").with_source(error))
}

/// The value at a path of field names joined by dots.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, field| value.get(field))
}

/// Control characters could move the cursor or colour what follows: a terminal shows them as a mark.
fn safe(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

fn cell(value: Option<&Value>, prefix: &str) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => safe(text.strip_prefix(prefix).unwrap_or(text)),
        Some(Value::Number(number)) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() != 0.0 => format!("{float:.4}"),
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
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

impl Output {
    /// Shows a list of messages.
    pub fn list<M: Message + Name>(&self, items: &[M], columns: &[Column]) -> Result<()> {
        let values = items.iter().map(json).collect::<Result<Vec<_>>>()?;
        self.values(values, columns)
    }

    /// Shows a list of JSON values.
    pub fn values(&self, values: Vec<Value>, columns: &[Column]) -> Result<()> {
        if self.json {
            return print(&pretty(&Value::Array(values))?);
        }
        if values.is_empty() {
            self.note("nothing found");
            return Ok(());
        }
        let mut table = table();
        table.set_header(columns.iter().map(|(heading, _, _)| *heading));
        for value in &values {
            table.add_row(columns.iter().map(|(_, path, prefix)| cell(at(value, path), prefix)));
        }
        print(&table.to_string())
    }

    /// Shows one message with all its fields.
    pub fn show<M: Message + Name>(&self, message: &M) -> Result<()> {
        self.value(json(message)?)
    }

    /// Shows one JSON value with all its fields.
    pub fn value(&self, value: Value) -> Result<()> {
        if self.json {
            return print(&pretty(&value)?);
        }
        let mut table = table();
        if let Value::Object(fields) = &value {
            for (name, value) in fields {
                table.add_row([name.clone(), cell(Some(value), "")]);
            }
        }
        print(&table.to_string())
    }

    /// Shows lines of text to people; programs get `value`.
    pub fn text(&self, text: &str, value: impl FnOnce() -> Result<Value>) -> Result<()> {
        if self.json { print(&pretty(&value()?)?) } else { print(&safe(text)) }
    }

    /// Says something beside the answer.
    pub fn note(&self, text: &str) {
        eprintln!("{}", safe(text));
    }

    /// A progress bar on standard error over `total` steps; it hides itself where that is no terminal.
    pub fn progress(&self, total: u64, what: &str) -> ProgressBar {
        let bar = ProgressBar::new(total).with_message(what.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {eta}") {
            bar.set_style(style);
        }
        bar
    }
}

/// Collects the pages of a list up to `limit` items; says so on standard error if there are more.
///
/// # Errors
/// What `page` returns.
pub async fn pages<M, F>(out: Output, limit: usize, mut page: impl FnMut(i32, String) -> F) -> Result<Vec<M>>
where
    F: Future<Output = Result<(Vec<M>, String)>>,
{
    let (mut items, mut token) = (Vec::new(), String::new());
    loop {
        let missing = limit.saturating_sub(items.len()).min(1_000);
        if missing == 0 {
            out.note(&format!("more than {limit}: ask for more with --limit, or narrow with --filter"));
            return Ok(items);
        }
        let (found, next) = page(i32::try_from(missing).unwrap_or(1_000), token).await?;
        items.extend(found);
        if next.is_empty() {
            return Ok(items);
        }
        token = next;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn cells_are_short_and_cannot_move_the_cursor() {
        let value =
            serde_json::json!({"a": {"b": "STATE_OPEN"}, "n": 0.123456, "i": 3, "l": ["x", "y"], "e": "\u{1b}[31mred"});
        assert_eq!(cell(at(&value, "a.b"), "STATE_"), "OPEN");
        assert_eq!(cell(at(&value, "n"), ""), "0.1235");
        assert_eq!(cell(at(&value, "i"), ""), "3");
        assert_eq!(cell(at(&value, "l"), ""), "x\ny");
        assert_eq!(cell(at(&value, "missing.path"), ""), "");
        assert!(!cell(at(&value, "e"), "").contains('\u{1b}'));
    }

    #[tokio::test]
    async fn pages_stop_at_the_limit() {
        let out = Output { json: true };
        let all = pages(out, 5, |size, token| async move {
            let from: i32 = if token.is_empty() { 0 } else { token.parse().unwrap() };
            let items: Vec<i32> = (from..from + size.min(2)).collect();
            Ok((items, (from + size.min(2)).to_string()))
        });
        assert_eq!(all.await.unwrap(), [0, 1, 2, 3, 4]);
    }
}
