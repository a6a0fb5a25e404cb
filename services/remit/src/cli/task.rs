//! `remit task`.

use super::connect::{Session, refused, unreadable};
use super::output::{Column, DEFAULT_LIMIT, json, pages};
use super::values::{named, pair};
use clap::{Args, Subcommand, ValueEnum};
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::scoring::v1::import_tasks_request::Part;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::scoring::v1::{
    BatchDecideRequest, BatchDecideResponse, DecideTaskRequest, ExistingTask, GetTaskRequest, ImportTasksConfig,
    ImportTasksRequest, ImportTasksResponse, ListTasksRequest, PlanAutomationRequest, PlanAutomationResponse,
    RateTaskRequest, Rating,
};
use remit_core::{Error, Result};
use std::path::{Path, PathBuf};
use tokio::io::AsyncReadExt as _;

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Import an inventory from CSV; every bad row is reported with its line and reason.
    Import(Import),
    /// List tasks.
    List {
        /// Such as 'state = "DECIDED"'.
        #[arg(long, default_value = "")]
        filter: String,
        /// How many at most.
        #[arg(long, default_value_t = DEFAULT_LIMIT)]
        limit: usize,
    },
    /// Show a task with its ratings.
    Show {
        /// The task.
        name: String,
    },
    /// Rate a task.
    Rate {
        /// The task.
        name: String,
        /// An axis and its rating from 1 to 5, such as risk=2; repeat for each axis.
        #[arg(long = "score", value_name = "AXIS=N", value_parser = score, required = true)]
        scores: Vec<(String, i32)>,
        /// Who rates.
        #[arg(long)]
        rater: String,
        /// Why.
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Decide a task, or all rated tasks, under the policy in force.
    Decide {
        /// The task.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        name: Option<String>,
        /// All tasks that the filter lets through.
        #[arg(long)]
        all: bool,
        /// Such as 'function = "functions/content"'.
        #[arg(long, default_value = "", requires = "all")]
        filter: String,
    },
    /// Rank what to automate: most hours saved first.
    Plan {
        /// Such as 'function = "functions/content"'.
        #[arg(long, default_value = "")]
        filter: String,
        /// How many at most.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Write the picture of predictability against risk to this file (SVG).
        #[arg(long, value_name = "FILE")]
        picture: Option<PathBuf>,
    },
}

/// Arguments of `remit task import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The file (CSV with a header).
    file: PathBuf,
    /// Import the good rows even if there are bad ones.
    #[arg(long)]
    skip_bad: bool,
    /// Only report; write nothing.
    #[arg(long)]
    dry_run: bool,
    /// What to do with tasks that exist.
    #[arg(long, value_enum, default_value = "update")]
    existing: Existing,
    /// Who rated, where the file does not say; the caller if absent.
    #[arg(long, default_value = "")]
    rater: String,
    /// A column of the file under another name, such as 'Task ID=task_id'; '-' drops it.
    #[arg(long = "column", value_name = "FILE=NAME", value_parser = pair)]
    columns: Vec<(String, String)>,
    /// A value where the file has no such column.
    #[arg(long = "default", value_name = "NAME=VALUE", value_parser = pair)]
    defaults: Vec<(String, String)>,
}

/// What to do with tasks that exist.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Existing {
    /// Change them.
    Update,
    /// Leave them.
    Skip,
    /// Report them as bad rows.
    Refuse,
}

const COLUMNS: &[Column] = &[
    ("TASK", "name", "tasks/"),
    ("TITLE", "title", ""),
    ("FUNCTION", "function", "functions/"),
    ("STATE", "state", "TASK_STATE_"),
    ("PATTERN", "pattern", "AUTONOMY_PATTERN_"),
    ("HOURS/YEAR", "hoursPerYear", ""),
];
const PLAN_COLUMNS: &[Column] = &[
    ("RANK", "rank", ""),
    ("TASK", "task", "tasks/"),
    ("TITLE", "title", ""),
    ("PATTERN", "pattern", "AUTONOMY_PATTERN_"),
    ("HOURS/YEAR", "hoursPerYear", ""),
    ("SAVED GROSS", "grossHoursSaved", ""),
    ("SAVED NET", "netHoursSaved", ""),
];
const ERROR_COLUMNS: &[Column] =
    &[("LINE", "line", ""), ("COLUMN", "column", ""), ("REASON", "reason", ""), ("MESSAGE", "message", "")];
const DECISION_COLUMNS: &[Column] = &[
    ("DECISION", "name", "decisions/"),
    ("TASK", "task", "tasks/"),
    ("PATTERN", "evaluation.pattern", "AUTONOMY_PATTERN_"),
    ("BAND", "evaluation.band", ""),
    ("SCORE", "evaluation.score", ""),
    ("POLICY", "evaluation.policy", "policies/"),
];

/// How much of the file one message carries.
const CHUNK: usize = 256 * 1_024;

fn score(text: &str) -> Result<(String, i32), String> {
    let (axis, rating) = pair(text)?;
    match rating.parse() {
        Ok(rating @ 1..=5) => Ok((axis, rating)),
        _ => Err(format!("{rating} must be a whole number from 1 to 5")),
    }
}

/// Runs the command.
pub async fn run(session: &Session, command: Command) -> Result<()> {
    let mut tasks = TaskServiceClient::new(session.wire());
    match command {
        Command::Import(arguments) => import(session, arguments).await,
        Command::List { filter, limit } => {
            let found = pages(session.out, limit, |page_size, page_token| {
                let request = ListTasksRequest { page_size, page_token, filter: filter.clone() };
                let mut tasks = tasks.clone();
                async move {
                    let page = tasks.list_tasks(request).await.map_err(refused)?.into_inner();
                    Ok((page.tasks, page.next_page_token))
                }
            });
            session.out.list(&found.await?, COLUMNS)
        }
        Command::Show { name } => {
            let request = GetTaskRequest { name: named("tasks", &name) };
            session.out.show(&tasks.get_task(request).await.map_err(refused)?.into_inner())
        }
        Command::Rate { name, scores, rater, comment } => {
            let rating = Rating { rater, scores: scores.into_iter().collect(), comment, rate_time: None };
            let request =
                RateTaskRequest { name: named("tasks", &name), rating: Some(rating), request_id: session.request_id() };
            session.out.show(&tasks.rate_task(request).await.map_err(refused)?.into_inner())
        }
        Command::Decide { name: Some(name), .. } => {
            let request = DecideTaskRequest { name: named("tasks", &name), request_id: session.request_id() };
            let mut decisions = DecisionServiceClient::new(session.wire());
            let decision = decisions.decide_task(request).await.map_err(refused)?.into_inner();
            session.out.list(&[decision], DECISION_COLUMNS)
        }
        Command::Decide { name: None, filter, .. } => decide_all(session, filter).await,
        Command::Plan { filter, limit, picture } => plan(session, filter, limit, picture.as_deref()).await,
    }
}

async fn import(session: &Session, arguments: Import) -> Result<()> {
    let path = arguments.file;
    let mut file = tokio::fs::File::open(&path).await.map_err(|error| unreadable(&path, error))?;
    let size = file.metadata().await.map_err(|error| unreadable(&path, error))?.len();
    let existing = match arguments.existing {
        Existing::Update => ExistingTask::Update,
        Existing::Skip => ExistingTask::Skip,
        Existing::Refuse => ExistingTask::Refuse,
    };
    let config = ImportTasksConfig {
        columns: arguments.columns.into_iter().collect(),
        defaults: arguments.defaults.into_iter().collect(),
        skip_bad: arguments.skip_bad,
        dry_run: arguments.dry_run,
        existing: existing.into(),
        rater: arguments.rater,
        request_id: session.request_id(),
    };
    let bar = session.out.progress(size, "importing");
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let progress = bar.clone();
    let shown = path.clone();
    // A server that refuses early closes the stream; its answer says why, so a failed send is no error.
    let reader = tokio::spawn(async move {
        let part = |part| ImportTasksRequest { part: Some(part) };
        if sender.send(part(Part::Config(config))).await.is_err() {
            return Ok(());
        }
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            let mut piece = (&mut file).take(CHUNK as u64);
            let read = piece.read_to_end(&mut chunk).await.map_err(|error| unreadable(&shown, error))?;
            if read == 0 || sender.send(part(Part::Chunk(chunk))).await.is_err() {
                return Ok::<(), Error>(());
            }
            progress.inc(read as u64);
        }
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let answer = TaskServiceClient::new(session.wire()).import_tasks(stream).await;
    bar.finish_and_clear();
    reader.await.map_err(|error| Error::internal("reading the file was cut short").with_source(error))??;
    report(session, arguments.dry_run, &answer.map_err(refused)?.into_inner())
}

fn report(session: &Session, dry_run: bool, answer: &ImportTasksResponse) -> Result<()> {
    if session.out.json {
        session.out.show(answer)?;
    } else {
        if !answer.errors.is_empty() {
            session.out.list(&answer.errors, ERROR_COLUMNS)?;
        }
        let done = if answer.committed { "" } else { "would be " };
        let text = format!(
            "{} rows: {} {done}created, {} {done}updated, {} unchanged, {} bad",
            answer.rows, answer.created, answer.updated, answer.unchanged, answer.bad_rows
        );
        session.out.text(&text, || json(answer))?;
    }
    if answer.committed || dry_run {
        return Ok(());
    }
    let text = format!(
        "nothing was imported: {} bad rows; correct them, or import the others with --skip-bad",
        answer.bad_rows
    );
    Err(Error::precondition("IMPORT_REFUSED", text))
}

async fn decide_all(session: &Session, filter: String) -> Result<()> {
    let mut decisions = DecisionServiceClient::new(session.wire());
    let request = BatchDecideRequest { filter, send_decisions: false };
    let mut stream = decisions.batch_decide(request).await.map_err(refused)?.into_inner();
    let bar = session.out.progress(0, "deciding");
    let mut last = BatchDecideResponse::default();
    let mut skipped = Vec::new();
    while let Some(mut part) = stream.message().await.map_err(refused)? {
        bar.set_length(u64::try_from(part.total).unwrap_or(0));
        bar.set_position(u64::try_from(part.done).unwrap_or(0));
        skipped.append(&mut part.skipped_tasks);
        last = part;
    }
    bar.finish_and_clear();
    last.skipped_tasks = skipped;
    if session.out.json {
        return session.out.show(&last);
    }
    session.out.list(&last.patterns, &[("PATTERN", "pattern", "AUTONOMY_PATTERN_"), ("TASKS", "count", "")])?;
    if !last.skipped_tasks.is_empty() {
        let columns = &[("SKIPPED", "task", "tasks/"), ("REASON", "reason", ""), ("MESSAGE", "message", "")];
        session.out.list(&last.skipped_tasks, columns)?;
    }
    let text = format!("{} decided, {} unchanged, {} skipped", last.decided, last.unchanged, last.skipped);
    session.out.text(&text, || json(&last))
}

async fn plan(session: &Session, filter: String, limit: usize, picture: Option<&Path>) -> Result<()> {
    let mut decisions = DecisionServiceClient::new(session.wire());
    let request = PlanAutomationRequest {
        filter,
        page_size: i32::try_from(limit.min(1_000)).unwrap_or(1_000),
        include_picture: picture.is_some(),
        ..Default::default()
    };
    let mut answer: PlanAutomationResponse = decisions.plan_automation(request).await.map_err(refused)?.into_inner();
    if let Some(path) = picture {
        super::connect::write(path, answer.picture_svg.as_bytes())?;
        session.out.note(&format!("wrote {}", path.display()));
        answer.picture_svg.clear();
    }
    if session.out.json {
        return session.out.show(&answer);
    }
    session.out.list(&answer.items, PLAN_COLUMNS)?;
    for warning in &answer.warnings {
        session.out.note(&format!("{}: {}", warning.code, warning.message));
    }
    let totals = answer.totals.unwrap_or_default();
    let text = format!(
        "{} tasks, {} decided: {:.0} of {:.0} hours a year saved net of {:.0} hours of review",
        totals.tasks, totals.decided, totals.net_hours_saved, totals.hours_per_year, totals.review_hours
    );
    session.out.text(&text, || json(&answer))
}
