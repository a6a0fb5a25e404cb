//! Import of tasks and ratings from CSV.

use super::{Rules, Scoring, task};
use crate::store;
use csv::{ReaderBuilder, StringRecord};
use remit_api::scoring::v1 as api;
use remit_api::types::{RowError, Stakes};
use remit_core::{Error, Kind, Result, name};
use remit_runtime::{Started, begin, finish};
use remit_store::Call;
use std::collections::{BTreeMap, BTreeSet};

/// The largest file.
pub(crate) const MAX_BYTES: usize = 64 << 20;
const MAX_ROWS: i64 = 200_000;
const MAX_ERRORS: usize = 1_000;
/// How many tasks one transaction of an import writes.
const GROUP: usize = 500;

/// The columns of an import besides `axis:name`, in the order of an export.
pub(crate) const COLUMNS: [&str; 27] = [
    "id",
    "title",
    "description",
    "function",
    "role",
    "frequency_per_week",
    "minutes_per_instance",
    "complexity",
    "brand_impacting",
    "regulated_domain",
    "pilot_evidence",
    "reserved_category",
    "execution_kind",
    "stakes",
    "disclosure",
    "gate",
    "purpose",
    "strategy_owner",
    "execution_owner",
    "audit_window",
    "labels",
    "rater",
    "comment",
    "predictability",
    "risk",
    "human_judgment",
    "state",
];

/// Columns that an export has for people and an import ignores.
const EXPORT_ONLY: [&str; 1] = ["state"];
/// The axes that have a column of their own name; any other is `axis:name`.
pub(crate) const SEEDED_AXES: [&str; 3] = ["predictability", "risk", "human_judgment"];

/// What is wrong with a row: column, code, text.
struct Bad(String, &'static str, String);

fn bad(column: &str, reason: &'static str, text: impl Into<String>) -> Bad {
    Bad(column.to_owned(), reason, text.into())
}

/// The tasks of a file and its bad rows.
pub(super) struct Parsed {
    rows: i64,
    pub(super) bad_rows: i64,
    pub(super) errors: Vec<RowError>,
    /// Task id to the task and the line it began on.
    pub(super) tasks: BTreeMap<String, (api::Task, i64)>,
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

    fn word<E>(&self, column: &str, prefix: &str, parse: fn(&str) -> Option<E>) -> Result<Option<E>, Bad> {
        match self.get(column) {
            "" => Ok(None),
            text => {
                let found = parse(&format!("{prefix}{}", text.to_ascii_uppercase()));
                found.map(Some).ok_or_else(|| bad(column, "WORD_UNKNOWN", format!("'{text}' is not one of its values")))
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
    pub(super) fn read(file: &[u8], config: &api::ImportTasksConfig, rater: &str) -> Result<Self> {
        let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(file);
        let headers = reader.headers().map_err(|error| wrong_file(&error))?.clone();
        let columns = columns(&headers, config)?;
        let mut parsed = Self { rows: 0, bad_rows: 0, errors: Vec::new(), tasks: BTreeMap::new() };
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

    fn refuse(&mut self, line: i64, Bad(column, reason, message): Bad) {
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
        match task_of(&fields, rater) {
            Err(why) => self.refuse(line, why),
            Ok((id, task)) => match self.tasks.get_mut(&id) {
                None => drop(self.tasks.insert(id, (task, line))),
                Some((first, begun)) => {
                    if let Err(why) = join(first, task, *begun) {
                        self.refuse(line, why);
                    }
                }
            },
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
        if ours == "-" || EXPORT_ONLY.contains(&ours) {
            columns.push(String::new());
            continue;
        }
        let axis = ours.strip_prefix("axis:");
        if !COLUMNS.contains(&ours) && !axis.is_some_and(is_axis) {
            let text = format!("column '{header}' is not known; map it to one of {}, or to '-'", COLUMNS.join(", "));
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
        if !COLUMNS.contains(&column.as_str()) && !column.strip_prefix("axis:").is_some_and(is_axis) {
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

fn task_of(fields: &Fields<'_>, rater: &str) -> Result<(String, api::Task), Bad> {
    let id = fields.get("id");
    if !name::is_id(id) {
        return Err(bad("id", "ID_INVALID", "must be 1 to 100 of letters, digits, '.', '_' and '-'"));
    }
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
        strategy_owner: fields.text("strategy_owner", 200)?,
        execution_owner: fields.text("execution_owner", 200)?,
        audit_window: fields.resource("audit_window", "auditWindows")?,
        ..api::Task::default()
    };
    let reserved = fields.word("reserved_category", "RESERVED_CATEGORY_", |text| match text {
        "RESERVED_CATEGORY_NONE" => Some(api::ReservedCategory::Unspecified),
        other => api::ReservedCategory::from_str_name(other),
    })?;
    task.set_reserved_category(reserved.unwrap_or(api::ReservedCategory::Unspecified));
    let kind = fields.word("execution_kind", "EXECUTION_KIND_", api::ExecutionKind::from_str_name)?;
    task.set_execution_kind(kind.unwrap_or(api::ExecutionKind::Unspecified));
    task.set_stakes(fields.word("stakes", "STAKES_", Stakes::from_str_name)?.unwrap_or(Stakes::Unspecified));
    let disclosure = fields.word("disclosure", "DISCLOSURE_", api::Disclosure::from_str_name)?;
    task.set_disclosure(disclosure.unwrap_or(api::Disclosure::Unspecified));
    let labels: BTreeSet<&str> = fields.get("labels").split(';').map(str::trim).filter(|l| !l.is_empty()).collect();
    if labels.len() > 20 || labels.iter().any(|label| label.len() > 63 || !name::is_id(label)) {
        return Err(bad("labels", "LABEL_INVALID", "must be at most 20 labels of letters, digits, '.', '_' and '-'"));
    }
    task.labels = labels.into_iter().map(str::to_owned).collect();
    if task.title.is_empty() {
        return Err(bad("title", "TITLE_MISSING", "must be given"));
    }
    let mut rating = api::Rating {
        rater: fields.text("rater", 200)?,
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
    Ok((id.to_owned(), task))
}

/// Adds the rating of a further row to the task of the first one.
fn join(first: &mut api::Task, next: api::Task, begun: i64) -> Result<(), Bad> {
    let Some(rating) = next.ratings.first() else {
        return Err(bad("id", "DUPLICATE_ID", format!("line {begun} has the same id, and this one adds no rating")));
    };
    if first.ratings.iter().any(|other| other.rater == rating.rater) {
        let text = format!("{} has rated this task already, as of line {begun} or after", rating.rater);
        return Err(bad("rater", "DUPLICATE_RATER", text));
    }
    if first.ratings.len() >= 50 {
        return Err(bad("rater", "TOO_MANY_RATERS", "a task has at most 50 raters"));
    }
    if next.title != first.title {
        return Err(bad("title", "ROWS_DIFFER", format!("must be as on line {begun}")));
    }
    first.ratings.extend(next.ratings);
    Ok(())
}

impl Scoring {
    /// Imports a file. `call.request_id` is the prefix of the ids of its groups, so that a repetition continues.
    pub(crate) async fn import_tasks(
        &self,
        call: &Call,
        config: &api::ImportTasksConfig,
        file: &[u8],
    ) -> Result<api::ImportTasksResponse> {
        self.seed(&call.tenant).await?;
        let rater = if config.rater.is_empty() { &call.actor.subject } else { &config.rater };
        let mut parsed = Parsed::read(file, config, rater)?;
        let existing = config.existing();
        if existing == api::ExistingTask::Refuse {
            self.refuse_existing(call, &mut parsed).await?;
        }
        let mut answer = api::ImportTasksResponse {
            rows: parsed.rows,
            bad_rows: parsed.bad_rows,
            committed: !config.dry_run && (parsed.bad_rows == 0 || config.skip_bad),
            ..api::ImportTasksResponse::default()
        };
        let tasks: Vec<(String, api::Task)> = parsed.tasks.into_iter().map(|(id, (task, _))| (id, task)).collect();
        answer.errors = parsed.errors;
        for (number, group) in tasks.chunks(GROUP).enumerate() {
            let part = if answer.committed {
                let request_id =
                    if call.request_id.is_empty() { String::new() } else { format!("{}/{number}", call.request_id) };
                let call = Call { request_id, now: self.clock.now(), ..call.clone() };
                loop {
                    match self.import_group(&call, group, existing).await {
                        Err(error) if super::full(&error) => tokio::time::sleep(super::FULL_PAUSE).await,
                        other => break other?,
                    }
                }
            } else {
                self.preview_group(call, group).await?
            };
            answer.created += part.created;
            answer.updated += part.updated;
            answer.unchanged += part.unchanged;
        }
        self.caches.refresh(&call.tenant).await;
        Ok(answer)
    }

    async fn refuse_existing(&self, call: &Call, parsed: &mut Parsed) -> Result<()> {
        let ids: Vec<String> = parsed.tasks.keys().cloned().collect();
        for group in ids.chunks(GROUP) {
            let rows = store::tasks::find_all(&mut self.db.read().await?, &call.tenant, group).await?;
            for row in rows.iter().filter(|row| !row.removed) {
                if let Some((_, line)) = parsed.tasks.remove(&row.id) {
                    parsed.refuse(line, bad("id", "TASK_EXISTS", format!("tasks/{} exists", row.id)));
                }
            }
        }
        Ok(())
    }

    /// What an import of the group would do to tasks that exist or not; whether they change is not worked out.
    async fn preview_group(&self, call: &Call, group: &[(String, api::Task)]) -> Result<api::ImportTasksResponse> {
        let ids: Vec<String> = group.iter().map(|(id, _)| id.clone()).collect();
        let rows = store::tasks::find_all(&mut self.db.read().await?, &call.tenant, &ids).await?;
        let existing = i64::try_from(rows.iter().filter(|row| !row.removed).count()).unwrap_or(i64::MAX);
        let all = i64::try_from(group.len()).unwrap_or(i64::MAX);
        Ok(api::ImportTasksResponse { created: all - existing, updated: existing, ..Default::default() })
    }

    async fn import_group(
        &self,
        call: &Call,
        group: &[(String, api::Task)],
        existing: api::ExistingTask,
    ) -> Result<api::ImportTasksResponse> {
        let mut mutation = match begin(&self.db, call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let tenant = &call.tenant;
        let length = i64::try_from(group.len()).unwrap_or(i64::MAX);
        let head = store::claim(mutation.tx(), tenant, length, 0).await?;
        let ids: Vec<String> = group.iter().map(|(id, _)| id.clone()).collect();
        let found = store::tasks::find_all(mutation.tx(), tenant, &ids).await?;
        let before: BTreeMap<&str, &store::tasks::TaskRow> = found.iter().map(|row| (row.id.as_str(), row)).collect();
        let rules = self.rules(mutation.tx(), tenant).await?;
        let mut answer = api::ImportTasksResponse::default();
        let mut new = Vec::new();
        for ((id, given), revision) in group.iter().zip(head.revision - length + 1..) {
            let known = before.get(id.as_str()).copied();
            let present = known.filter(|row| !row.removed);
            if present.is_some() && existing == api::ExistingTask::Skip {
                answer.unchanged += 1;
                continue;
            }
            let Some(task) = merged(present.map(|row| &row.task), given, &rules, call) else {
                answer.unchanged += 1;
                continue;
            };
            let after = task::row(id, task, present, &rules, revision, call.now);
            match (present, known) {
                (Some(before), _) => {
                    answer.updated += 1;
                    if before.state == "DECIDED" && after.state != "DECIDED" {
                        store::decisions::end_task(mutation.tx(), tenant, id, call.now).await?;
                    }
                    store::tasks::update(mutation.tx(), tenant, &after).await?;
                    mutation.record(task::event(&mutation, call.method, Some(before), Some(&after)));
                }
                (None, Some(_)) => {
                    answer.created += 1;
                    store::tasks::update(mutation.tx(), tenant, &after).await?;
                    mutation.record(task::event(&mutation, call.method, None, Some(&after)));
                }
                (None, None) => {
                    answer.created += 1;
                    mutation.record(task::event(&mutation, call.method, None, Some(&after)));
                    new.push(after);
                }
            }
        }
        if !new.is_empty() {
            store::tasks::insert(mutation.tx(), tenant, &new).await?;
        }
        finish(mutation, answer).await
    }
}

/// The task after the import, or none if that changes nothing.
fn merged(before: Option<&api::Task>, given: &api::Task, _rules: &Rules, call: &Call) -> Option<api::Task> {
    let mut task = given.clone();
    if let Some(before) = before {
        let kept = before.ratings.iter().filter(|old| task.ratings.iter().all(|new| new.rater != old.rater));
        let kept: Vec<api::Rating> = kept.cloned().collect();
        for new in &mut task.ratings {
            // The time of an unchanged rating stays, so that importing twice changes nothing.
            let same = before
                .ratings
                .iter()
                .find(|old| old.rater == new.rater && old.scores == new.scores && old.comment == new.comment);
            new.rate_time = same.and_then(|old| old.rate_time);
        }
        task.ratings.extend(kept);
    }
    task::normalize(&mut task, call.now);
    (before != Some(&task)).then_some(task)
}

/// Collects the chunks of a file up to the bound.
#[derive(Default)]
pub(crate) struct File(pub Vec<u8>);

impl File {
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<()> {
        if self.0.len() + chunk.len() > MAX_BYTES {
            let text = format!("the file is larger than {MAX_BYTES} bytes: split it");
            return Err(Error::new(Kind::InvalidArgument, "FILE_TOO_LARGE", text));
        }
        self.0.extend_from_slice(chunk);
        Ok(())
    }
}
