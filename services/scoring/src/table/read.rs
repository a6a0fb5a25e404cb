//! Reading tasks and ratings from CSV.

use super::{FOR_PEOPLE, OWN, SEEDED_AXES, is_column};
use crate::task::MAX_RATERS;
use csv::{ReaderBuilder, StringRecord};
use remit_api::scoring::v1 as api;
use remit_api::types::{RowError, Stakes};
use remit_api::wire::Word;
use remit_core::{Error, Result, name, subject};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

const MAX_ROWS: i64 = 200_000;
const MAX_ERRORS: usize = 1_000;

/// What is wrong with a row: column, code, text.
pub(crate) struct Bad(String, &'static str, String);

pub(crate) fn bad(column: &str, reason: &'static str, text: impl Into<String>) -> Bad {
    Bad(column.to_owned(), reason, text.into())
}

/// The tasks of a file and its bad rows.
pub(crate) struct Parsed {
    pub(crate) rows: i64,
    pub(crate) bad_rows: i64,
    pub(crate) errors: Vec<RowError>,
    /// The columns that the file has or the configuration has a default for: only they change a task that exists.
    pub(crate) given: BTreeSet<String>,
    /// Task id to the task and the line it began on.
    pub(crate) tasks: BTreeMap<String, (api::Task, i64)>,
}

/// One row under the names of our columns.
struct Fields<'a> {
    columns: &'a [String],
    record: &'a StringRecord,
    defaults: &'a BTreeMap<String, String>,
}

impl<'a> Fields<'a> {
    fn get(&self, column: &str) -> &'a str {
        let at = self.columns.iter().position(|other| other == column);
        let value = at.and_then(|at| self.record.get(at)).map(str::trim).unwrap_or_default();
        if value.is_empty() { self.defaults.get(column).map(String::as_str).unwrap_or_default() } else { value }
    }

    fn text(&self, column: &str, max: usize) -> Result<String, Bad> {
        let value = self.get(column);
        if value.chars().count() > max || value.contains('\0') {
            return Err(bad(column, "TEXT_INVALID", format!("must be at most {max} characters without U+0000")));
        }
        Ok(value.to_owned())
    }

    /// Somebody by the subject of a token, in its canonical form, as in a request.
    fn subject(&self, column: &str) -> Result<String, Bad> {
        match self.get(column) {
            "" => Ok(String::new()),
            text => subject::canonical(text).map(Cow::into_owned).map_err(|rule| bad(column, "TEXT_INVALID", rule)),
        }
    }

    fn number(&self, column: &str, max: f64) -> Result<f64, Bad> {
        match self.get(column) {
            "" => Ok(0.0),
            text => match text.parse::<f64>() {
                Ok(number) if (0.0..=max).contains(&number) => Ok(number),
                _ => Err(bad(column, "NUMBER_OUT_OF_RANGE", format!("must be a number from 0 to {max}, not '{text}'"))),
            },
        }
    }

    fn rating(&self, column: &str) -> Result<Option<i32>, Bad> {
        match self.get(column) {
            "" => Ok(None),
            text => match text.parse::<i32>() {
                Ok(rating) if (1..=5).contains(&rating) => Ok(Some(rating)),
                _ => {
                    Err(bad(column, "RATING_OUT_OF_RANGE", format!("must be a whole number from 1 to 5, not '{text}'")))
                }
            },
        }
    }

    fn flag(&self, column: &str) -> Result<bool, Bad> {
        match self.get(column).to_ascii_lowercase().as_str() {
            "" | "false" | "no" | "0" => Ok(false),
            "true" | "yes" | "1" => Ok(true),
            other => Err(bad(column, "FLAG_INVALID", format!("must be true, false, yes, no, 1 or 0, not '{other}'"))),
        }
    }

    /// The number of a word in any case, 0 for none.
    fn word<E: Word>(&self, column: &str) -> Result<i32, Bad> {
        match self.get(column) {
            "" => Ok(0),
            text => {
                let found = E::parse(&text.to_ascii_uppercase()).map(E::into);
                found.ok_or_else(|| bad(column, "WORD_UNKNOWN", format!("'{text}' is not one of its values")))
            }
        }
    }

    fn resource(&self, column: &str, collection: &str) -> Result<String, Bad> {
        match self.get(column) {
            "" => Ok(String::new()),
            text => {
                let id = text.strip_prefix(collection).and_then(|rest| rest.strip_prefix('/')).unwrap_or(text);
                if name::is_id(id) {
                    return Ok(format!("{collection}/{id}"));
                }
                Err(bad(column, "ID_INVALID", "must be 1 to 100 of letters, digits, '.', '_' and '-'"))
            }
        }
    }
}

impl Parsed {
    pub(crate) fn read(file: &[u8], config: &api::ImportTasksConfig, rater: &str) -> Result<Self> {
        let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(file);
        let headers = reader.headers().map_err(|error| wrong_file(&error))?.clone();
        let columns = columns(&headers, config)?;
        let given = columns.iter().chain(config.defaults.keys()).filter(|column| !column.is_empty());
        let given = given.cloned().collect();
        let mut parsed = Self { rows: 0, bad_rows: 0, errors: Vec::new(), given, tasks: BTreeMap::new() };
        let mut record = StringRecord::new();
        loop {
            let line = i64::try_from(reader.position().line()).unwrap_or(i64::MAX);
            match reader.read_record(&mut record) {
                Ok(false) => break,
                Ok(true) => {
                    let line = record.position().map_or(line, |at| i64::try_from(at.line()).unwrap_or(i64::MAX));
                    parsed.row(line, &columns, &record, config, rater, headers.len());
                }
                Err(error) if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) => {
                    parsed.rows += 1;
                    parsed.refuse(line, bad("", "NOT_UTF8", "must be UTF-8"));
                }
                Err(error) => return Err(wrong_file(&error)),
            }
            if parsed.rows > MAX_ROWS {
                let text = format!("must have at most {MAX_ROWS} rows");
                return Err(Error::invalid("TOO_MANY_ROWS", "chunk", text));
            }
        }
        Ok(parsed)
    }

    pub(crate) fn refuse(&mut self, line: i64, Bad(column, reason, message): Bad) {
        self.bad_rows += 1;
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(RowError { line, column, reason: reason.to_owned(), message });
        }
    }

    fn row(
        &mut self,
        line: i64,
        columns: &[String],
        record: &StringRecord,
        config: &api::ImportTasksConfig,
        rater: &str,
        width: usize,
    ) {
        self.rows += 1;
        if record.len() != width {
            let text = format!("has {} fields, the header has {width}", record.len());
            return self.refuse(line, bad("", "FIELD_COUNT", text));
        }
        let fields = Fields { columns, record, defaults: &config.defaults };
        let id = fields.get("id");
        if !name::is_id(id) {
            let text = "must be 1 to 100 of letters, digits, '.', '_' and '-'";
            return self.refuse(line, bad("id", "ID_INVALID", text));
        }
        let joined = match (task_of(&fields, rater), self.tasks.get_mut(id)) {
            (Err(why), _) => Err(why),
            (Ok(task), None) if task.title.is_empty() => Err(bad("title", "TITLE_MISSING", "must be given")),
            (Ok(task), None) => {
                self.tasks.insert(id.to_owned(), (task, line));
                Ok(())
            }
            (Ok(task), Some((first, begun))) => join(first, task, *begun, &fields),
        };
        if let Err(why) = joined {
            self.refuse(line, why);
        }
    }
}

fn wrong_file(error: &csv::Error) -> Error {
    Error::invalid("CSV_INVALID", "chunk", format!("must be CSV in UTF-8 with a header line: {error}"))
}

/// Our column for each column of the file; empty for one that is dropped.
fn columns(headers: &StringRecord, config: &api::ImportTasksConfig) -> Result<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut columns = Vec::with_capacity(headers.len());
    for header in headers {
        let header = header.trim();
        let ours = config.columns.get(header).map_or(header, String::as_str);
        if ours == "-" || FOR_PEOPLE.contains(&ours) {
            columns.push(String::new());
            continue;
        }
        let axis = ours.strip_prefix("axis:");
        if !is_column(ours) && !axis.is_some_and(is_axis) {
            let known: Vec<&str> = super::columns().collect();
            let text = format!("column '{header}' is not known; map it to one of {}, or to '-'", known.join(", "));
            return Err(Error::invalid("COLUMN_UNKNOWN", "config.columns", text));
        }
        if !seen.insert(ours.to_owned()) {
            return Err(Error::invalid("COLUMN_TWICE", "config.columns", format!("{ours} is there twice")));
        }
        columns.push(ours.to_owned());
    }
    for required in ["id", "title"] {
        if !seen.contains(required) && !config.defaults.contains_key(required) {
            let text = format!("no column gives {required}");
            return Err(Error::invalid("COLUMN_MISSING", "config.columns", text));
        }
    }
    for column in config.defaults.keys() {
        if !is_column(column) && !column.strip_prefix("axis:").is_some_and(is_axis) {
            return Err(Error::invalid("COLUMN_UNKNOWN", "config.defaults", format!("{column} is not a column")));
        }
    }
    Ok(columns)
}

fn is_axis(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn task_of(fields: &Fields<'_>, rater: &str) -> Result<api::Task, Bad> {
    let mut task = api::Task {
        title: fields.text("title", 500)?,
        description: fields.text("description", 4_000)?,
        function: fields.resource("function", "functions")?,
        role: fields.text("role", 200)?,
        frequency_per_week: fields.number("frequency_per_week", 1e6)?,
        minutes_per_instance: fields.number("minutes_per_instance", 1e5)?,
        complexity: fields.rating("complexity")?.unwrap_or_default(),
        brand_impacting: fields.flag("brand_impacting")?,
        regulated_domain: fields.flag("regulated_domain")?,
        pilot_evidence: fields.flag("pilot_evidence")?,
        gate: fields.resource("gate", "gates")?,
        purpose: fields.text("purpose", 200)?,
        strategy_owner: fields.subject("strategy_owner")?,
        execution_owner: fields.subject("execution_owner")?,
        audit_window: fields.resource("audit_window", "auditWindows")?,
        reserved_category: match fields.get("reserved_category") {
            none if none.eq_ignore_ascii_case("NONE") => 0,
            _ => fields.word::<api::ReservedCategory>("reserved_category")?,
        },
        execution_kind: fields.word::<api::ExecutionKind>("execution_kind")?,
        stakes: fields.word::<Stakes>("stakes")?,
        disclosure: fields.word::<api::Disclosure>("disclosure")?,
        tolerated_variability: fields.word::<api::ToleratedVariability>("tolerated_variability")?,
        environment_validity: fields.word::<api::EnvironmentValidity>("environment_validity")?,
        feedback_delay: fields.word::<api::FeedbackDelay>("feedback_delay")?,
        ..api::Task::default()
    };
    let labels: BTreeSet<&str> = fields.get("labels").split(';').map(str::trim).filter(|l| !l.is_empty()).collect();
    if labels.len() > 20 || labels.iter().any(|label| label.len() > 63 || !name::is_id(label)) {
        return Err(bad("labels", "LABEL_INVALID", "must be at most 20 labels of letters, digits, '.', '_' and '-'"));
    }
    task.labels = labels.into_iter().map(str::to_owned).collect();
    let mut rating = api::Rating {
        rater: fields.subject("rater")?,
        comment: fields.text("comment", 1_000)?,
        ..api::Rating::default()
    };
    if rating.rater.is_empty() {
        rating.rater = rater.to_owned();
    }
    let extra = fields.columns.iter().chain(fields.defaults.keys()).filter_map(|column| column.strip_prefix("axis:"));
    let axes: BTreeSet<&str> = extra.collect();
    for axis in SEEDED_AXES {
        if let Some(score) = fields.rating(axis)? {
            rating.scores.insert(axis.to_owned(), score);
        }
    }
    for axis in axes {
        if let Some(score) = fields.rating(&format!("axis:{axis}"))? {
            rating.scores.insert(axis.to_owned(), score);
        }
    }
    if !rating.scores.is_empty() {
        task.ratings.push(rating);
    }
    Ok(task)
}

/// Adds the rating of a further row to the task of the first one.
fn join(first: &mut api::Task, next: api::Task, begun: i64, fields: &Fields<'_>) -> Result<(), Bad> {
    let Some(rating) = next.ratings.first() else {
        return Err(bad("id", "DUPLICATE_ID", format!("line {begun} has the same id, and this one adds no rating")));
    };
    if first.ratings.iter().any(|other| other.rater == rating.rater) {
        let text = format!("{} has rated this task already, as of line {begun} or after", rating.rater);
        return Err(bad("rater", "DUPLICATE_RATER", text));
    }
    if first.ratings.len() >= MAX_RATERS {
        return Err(bad("rater", "TOO_MANY_RATERS", "a task has at most 50 raters"));
    }
    for (column, given) in fields.columns.iter().zip(fields.record) {
        let own = OWN.iter().find(|(own, _)| own == column);
        if !given.trim().is_empty() && own.is_some_and(|(_, text)| text(&next) != text(first)) {
            return Err(bad(column, "ROWS_DIFFER", format!("must be as on line {begun}, or empty")));
        }
    }
    first.ratings.extend(next.ratings);
    Ok(())
}
