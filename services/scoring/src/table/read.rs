//! Reading tasks and ratings from CSV.

use super::{FOR_PEOPLE, OWN, SEEDED_AXES, is_column};
use crate::task::MAX_RATERS;
use csv::StringRecord;
use remit_api::scoring::v1 as api;
use remit_api::types::{RowError, Stakes};
use remit_api::wire::Word;
use remit_core::{Error, Result, name, subject};
use remit_sheet::{Format, Mark, Sheet, Unread, agreed, number_of_programs, without_mark};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

const MAX_ROWS: i64 = 200_000;
const MAX_ERRORS: usize = 1_000;
/// The columns that hold numbers, beside the axes.
const NUMBERS: [&str; 3] = ["frequency_per_week", "minutes_per_instance", "complexity"];

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
    /// What the file was read as.
    pub(crate) format: api::TableFormat,
}

/// The columns of a file.
struct Columns<'a> {
    /// As the file names them.
    headers: &'a [String],
    /// Our column for each; empty for one that is dropped.
    ours: Vec<String>,
    /// The places of those without a name, which must hold nothing.
    unnamed: Vec<usize>,
    /// What stands before decimals in the whole file, if that is known, and what programs would have written.
    marks: (Option<Mark>, Option<Mark>),
}

/// One row under the names of our columns.
struct Fields<'a> {
    columns: &'a [String],
    record: &'a StringRecord,
    defaults: &'a BTreeMap<String, String>,
    marks: (Option<Mark>, Option<Mark>),
}

impl<'a> Fields<'a> {
    /// What the file itself has.
    fn own(&self, column: &str) -> &'a str {
        let at = self.columns.iter().position(|other| other == column);
        at.and_then(|at| self.record.get(at)).map(|cell| without_mark(cell.trim())).unwrap_or_default()
    }

    fn get(&self, column: &str) -> &'a str {
        match self.own(column) {
            "" => self.defaults.get(column).map(String::as_str).unwrap_or_default(),
            value => value,
        }
    }

    /// The number in a column, and whether it is a percentage. Defaults are written as programs write them.
    fn value(&self, column: &str) -> Result<(f64, bool), Bad> {
        let text = self.get(column);
        let (mark, programs) = if self.own(column).is_empty() { (Some(Mark::Point), None) } else { self.marks };
        number_of_programs(text, mark, programs).map_err(|why| match why {
            Unread::No => bad(column, "NUMBER_INVALID", format!("must be a number such as 12.5, not '{text}'")),
            Unread::Ambiguous => {
                let text = format!(
                    "'{text}' may be one number or a thousand times as much: say what stands before decimals with \
                     format.decimal_mark (--decimal-mark)"
                );
                bad(column, "NUMBER_AMBIGUOUS", text)
            }
        })
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
        if self.get(column).is_empty() {
            return Ok(0.0);
        }
        match self.value(column)? {
            (number, false) if (0.0..=max).contains(&number) => Ok(number),
            _ => {
                let text = format!("must be a number from 0 to {max}, not '{}'", self.get(column));
                Err(bad(column, "NUMBER_OUT_OF_RANGE", text))
            }
        }
    }

    /// A whole number from 1 to 5, which spreadsheets write `2.0` too.
    fn rating(&self, column: &str) -> Result<Option<i32>, Bad> {
        let text = self.get(column);
        if text.is_empty() {
            return Ok(None);
        }
        let found = match self.value(column) {
            Ok((number, false)) => (1..=5).find(|rating| f64::from(*rating) == number),
            Ok(_) | Err(Bad(_, "NUMBER_INVALID", _)) => None,
            Err(why) => return Err(why),
        };
        let wrong = || bad(column, "RATING_OUT_OF_RANGE", format!("must be a whole number from 1 to 5, not '{text}'"));
        found.map(Some).ok_or_else(wrong)
    }

    fn flag(&self, column: &str) -> Result<bool, Bad> {
        match self.get(column).to_ascii_lowercase().as_str() {
            "" | "false" | "no" | "0" | "0.0" | "0,0" => Ok(false),
            "true" | "yes" | "1" | "1.0" | "1,0" => Ok(true),
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
        let given = config.format.clone().unwrap_or_default();
        let format = Format::named(&given.encoding, &given.separator, &given.decimal_mark)?;
        let sheet = Sheet::read(file, &format)?;
        let mut columns = columns(sheet.headers(), config)?;
        let written = match format.mark {
            Some(mark) => Some(mark),
            None => decimal_mark(&sheet, &columns.ours)?,
        };
        columns.marks = (written, sheet.mark_of_programs());
        let given = columns.ours.iter().chain(config.defaults.keys()).filter(|column| !column.is_empty());
        let mut parsed = Self {
            rows: 0,
            bad_rows: 0,
            errors: Vec::new(),
            given: given.cloned().collect(),
            tasks: BTreeMap::new(),
            format: api::TableFormat {
                encoding: sheet.encoding().to_owned(),
                separator: Some(sheet.separator()).filter(|c| *c != '\t').map_or("tab".to_owned(), String::from),
                decimal_mark: written.map(|mark| mark.character().to_string()).unwrap_or_default(),
            },
        };
        for row in sheet.rows() {
            let row = row?;
            let line = i64::try_from(row.line).unwrap_or(i64::MAX);
            parsed.rows += 1;
            if parsed.rows > MAX_ROWS {
                let text = format!("must have at most {MAX_ROWS} rows");
                return Err(Error::invalid("TOO_MANY_ROWS", "chunk", text));
            }
            match row.fields {
                Some(record) => parsed.row(line, &columns, &record, config, rater),
                None => parsed.refuse(line, bad("", "NOT_UTF8", "must be UTF-8, or the encoding must be named")),
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
        columns: &Columns<'_>,
        record: &StringRecord,
        config: &api::ImportTasksConfig,
        rater: &str,
    ) {
        let width = columns.headers.len();
        // Spreadsheets write separators for cells that once held something.
        if record.len() < width || record.iter().skip(width).any(|field| !field.trim().is_empty()) {
            let text = format!("has {} fields, the header has {width}: check separators and quotes", record.len());
            return self.refuse(line, bad("", "FIELD_COUNT", text));
        }
        let filled = |at: &&usize| record.get(**at).is_some_and(|field| !field.trim().is_empty());
        if let Some(at) = columns.unnamed.iter().find(filled) {
            let place = format!("#{}", at + 1);
            let text = format!("stands in a column without a name: map '{place}' to a column, or to '-'");
            return self.refuse(line, bad(&place, "COLUMN_UNNAMED", text));
        }
        let fields = Fields { columns: &columns.ours, record, defaults: &config.defaults, marks: columns.marks };
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

/// What stands before decimals in the whole file, if its numbers show that.
fn decimal_mark(sheet: &Sheet<'_>, ours: &[String]) -> Result<Option<Mark>> {
    let numeric = |column: &String| {
        let column = column.as_str();
        NUMBERS.contains(&column) || SEEDED_AXES.contains(&column) || column.starts_with("axis:")
    };
    let places: Vec<usize> = (0..ours.len()).filter(|at| numeric(&ours[*at])).collect();
    let mut found: Option<Mark> = None;
    for row in sheet.rows() {
        let Some(record) = row?.fields else { continue };
        let cells = places.iter().filter_map(|at| record.get(*at)).map(without_mark);
        match (agreed(cells), found) {
            (Some(mark), Some(other)) if mark != other => return Ok(None),
            (mark, other) => found = mark.or(other),
        }
    }
    Ok(found)
}

/// Our column for each column of the file.
fn columns<'a>(headers: &'a [String], config: &api::ImportTasksConfig) -> Result<Columns<'a>> {
    let mut seen = BTreeMap::new();
    let mut columns =
        Columns { headers, ours: Vec::with_capacity(headers.len()), unnamed: Vec::new(), marks: (None, None) };
    for (at, header) in headers.iter().enumerate() {
        let place = format!("#{}", at + 1);
        let mapped = config.columns.get(&place).or_else(|| config.columns.get(header)).map(String::as_str);
        if header.is_empty() && mapped.is_none() {
            columns.unnamed.push(at);
        }
        let ours = mapped.unwrap_or(header);
        if ours.is_empty() || ours == "-" || FOR_PEOPLE.contains(&ours) {
            columns.ours.push(String::new());
            continue;
        }
        let axis = ours.strip_prefix("axis:");
        if !is_column(ours) && !axis.is_some_and(is_axis) {
            let known: Vec<&str> = super::columns().collect();
            let text = format!(
                "column {} of the file, '{header}', is not known; map it to one of {}, or to '-'",
                at + 1,
                known.join(", ")
            );
            return Err(Error::invalid("COLUMN_UNKNOWN", "config.columns", text));
        }
        if let Some(first) = seen.insert(ours.to_owned(), at + 1) {
            let text = format!("columns {first} and {} of the file are both {ours}: map '{place}' to '-'", at + 1);
            return Err(Error::invalid("COLUMN_TWICE", "config.columns", text));
        }
        columns.ours.push(ours.to_owned());
    }
    for required in ["id", "title"] {
        if !seen.contains_key(required) && !config.defaults.contains_key(required) {
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
