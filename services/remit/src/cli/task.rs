//! `remit task`.

use super::Group;
use super::connect::{Session, answer, refused};
use super::import::{self, Import};
use super::list::{ListArgs, Page};
use super::output::{Column, Output, json, moved};
use super::values::{named, pair, versioned};
use clap::{Args, Subcommand};
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::scoring::v1::{
    BatchDecideRequest, BatchDecideResponse, CheckTaskRequest, CheckView, DecideTaskRequest, ExecutionSignatures,
    GetTaskRequest, ListTasksRequest, RateTaskRequest, Rating, ReasonEffect, StrategySignatures, SuggestRatingsRequest,
    Verdict,
};
use remit_core::{Error, Result};
use remit_policy::sampling;
use std::path::PathBuf;

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Import an inventory from CSV; every bad row is reported with its line and reason.
    Import(Import),
    /// Write the inventory as CSV that an import reads back.
    Export {
        /// Such as 'state = "DECIDED"'.
        #[arg(long, default_value = "")]
        filter: String,
        /// The file; standard output if absent, or '-'.
        #[arg(long, short, alias = "out", value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// List tasks, such as those with 'state = "DECIDED"'.
    List(ListArgs),
    /// Show a task with its ratings.
    Show {
        /// The task.
        name: String,
    },
    /// Rate a task in person, or enter the rating of somebody else.
    Rate {
        /// The task.
        name: String,
        /// An axis and its rating from 1 to 5, such as risk=2; repeat for each axis.
        #[arg(long = "score", value_name = "AXIS=N", value_parser = score, required = true)]
        scores: Vec<(String, i32)>,
        /// The person whose rating you enter; it is marked as entered by you. Left out, the rating is your own.
        #[arg(long = "for", value_name = "PERSON", default_value = "")]
        entered_for: String,
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
        /// Such as 'function = "functions/paid_media"'.
        #[arg(long, default_value = "", requires = "all")]
        filter: String,
    },
    /// Ask whether a model version may do a task now; exit code 3 if not. The answer is counted like any other.
    Check {
        /// The task.
        name: String,
        /// The model version, such as writer/3.
        #[arg(long, value_name = "VERSION")]
        model: String,
        /// What the model is used for; the task's purpose if absent.
        #[arg(long, default_value = "")]
        purpose: String,
        /// The id of the run, which decides whether people sample it.
        #[arg(long, default_value = "")]
        run_id: String,
    },
    /// Make the draw of a run again: do people look at it? Needs no server.
    Draw {
        /// The task.
        name: String,
        /// The tenant.
        #[arg(long)]
        tenant: String,
        /// The id of the run.
        #[arg(long)]
        run_id: String,
        /// The share of runs that people look at, 0 to 1, as the check answered.
        #[arg(long)]
        ratio: f64,
    },
    /// Suggest ratings from questions about a task; name the questions that are answered with yes.
    Suggest(Suggest),
}

/// Arguments of `remit task suggest`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct Suggest {
    /// It is done often, and much the same each time.
    #[arg(long)]
    high_volume: bool,
    /// Structured input becomes structured output.
    #[arg(long)]
    structured: bool,
    /// Its patterns can be recognised.
    #[arg(long)]
    pattern_recognizable: bool,
    /// It is documented, or learned from examples.
    #[arg(long)]
    documented: bool,
    /// One instance needs little judgment.
    #[arg(long)]
    small_judgment: bool,
    /// It is done once, with much at stake.
    #[arg(long)]
    one_shot_high_stakes: bool,
    /// Its input is unstructured.
    #[arg(long)]
    unstructured_input: bool,
    /// Breaking the pattern is the point of it.
    #[arg(long)]
    pattern_breaking: bool,
    /// It crosses functions, or touches politics.
    #[arg(long)]
    cross_functional: bool,
    /// One instance needs much judgment.
    #[arg(long)]
    large_judgment: bool,
}

const COLUMNS: &[Column] = &[
    ("TASK", "name", "tasks/"),
    ("TITLE", "title", ""),
    ("FUNCTION", "function", "functions/"),
    ("STATE", "state", "TASK_STATE_"),
    ("PATTERN", "pattern", "AUTONOMY_PATTERN_"),
    ("HOURS/YEAR", "hoursPerYear", ""),
    ("RATINGS ENTERED", "claimedRatings", ""),
    ("TAGS CLAIMED BY", "tagsClaimedBy", ""),
];
const REASON_COLUMNS: &[Column] = &[
    ("REASON", "code", ""),
    ("EFFECT", "effect", "REASON_EFFECT_"),
    ("MESSAGE", "message", ""),
    ("WAIVED BY", "waiver", "waivers/"),
];
const DECISION_COLUMNS: &[Column] = &[
    ("DECISION", "name", "decisions/"),
    ("TASK", "task", "tasks/"),
    ("PATTERN", "evaluation.pattern", "AUTONOMY_PATTERN_"),
    ("BAND", "evaluation.band", ""),
    ("SCORE", "evaluation.score", ""),
    ("CLAIMED", "evaluation.claimed", ""),
    ("POLICY", "evaluation.policy", "policies/"),
];

fn score(text: &str) -> Result<(String, i32), String> {
    let (axis, rating) = pair(text)?;
    match rating.parse() {
        Ok(rating @ 1..=5) => Ok((axis, rating)),
        _ => Err(format!("{rating} must be a whole number from 1 to 5")),
    }
}

/// Runs the command.
pub(super) async fn run(group: Group<Command>) -> Result<()> {
    // Anyone must be able to make a draw again, also without access to the suite.
    if let Command::Draw { name, tenant, run_id, ratio } = group.command {
        return draw(Output { json: group.connection.json }, &tenant, &named("tasks", &name), &run_id, ratio);
    }
    let session = &Session::open(&group.connection).await?;
    let mut tasks = TaskServiceClient::new(session.wire());
    match group.command {
        Command::Draw { .. } => Ok(()),
        Command::Import(arguments) => import::import(session, arguments).await,
        Command::Export { filter, output } => import::export(session, filter, output.as_deref()).await,
        Command::Check { name, model, purpose, run_id } => {
            let request = CheckTaskRequest {
                task: named("tasks", &name),
                model_version: versioned("models", &model)?,
                purpose,
                run_id,
                view: CheckView::Full.into(),
                ..Default::default()
            };
            check(session, request).await
        }
        Command::Suggest(answers) => session.show(tasks.suggest_ratings(answers.request()).await),
        Command::List(list) => {
            session
                .list(list, COLUMNS, async |page: Page| {
                    let request =
                        ListTasksRequest { page_size: page.size, page_token: page.token, filter: page.filter };
                    let page = tasks.list_tasks(request).await?.into_inner();
                    Ok((page.tasks, page.next_page_token))
                })
                .await
        }
        Command::Show { name } => {
            let request = GetTaskRequest { name: named("tasks", &name) };
            session.show(tasks.get_task(request).await)
        }
        Command::Rate { name, scores, entered_for, comment } => {
            let rating = Rating { scores: scores.into_iter().collect(), comment, ..Default::default() };
            let request = RateTaskRequest {
                name: named("tasks", &name),
                rating: Some(rating),
                request_id: session.request_id(),
                entered_for,
            };
            session.show(tasks.rate_task(request).await)
        }
        Command::Decide { name: Some(name), .. } => {
            let request = DecideTaskRequest { name: named("tasks", &name), request_id: session.request_id() };
            let mut decisions = DecisionServiceClient::new(session.wire());
            session.row(decisions.decide_task(request).await, DECISION_COLUMNS)
        }
        Command::Decide { name: None, filter, .. } => decide_all(session, filter).await,
    }
}

async fn decide_all(session: &Session, filter: String) -> Result<()> {
    let mut decisions = DecisionServiceClient::new(session.wire());
    let request = BatchDecideRequest { filter, send_decisions: false };
    let mut stream = answer(decisions.batch_decide(request).await)?;
    let bar = session.out.progress(0, "deciding");
    let mut last = BatchDecideResponse::default();
    let mut skipped = Vec::new();
    while let Some(mut part) = stream.message().await.map_err(refused)? {
        moved(&bar, part.done, part.total);
        skipped.append(&mut part.skipped_tasks);
        last = part;
    }
    bar.finish_and_clear();
    last.skipped_tasks = skipped;
    if session.out.json {
        return session.out.show(&last);
    }
    // Written by hand, because zero is a number here, and the message's own form leaves it out.
    let counts =
        last.patterns.iter().map(|sum| serde_json::json!({"pattern": sum.pattern().as_str_name(), "count": sum.count}));
    session.out.values(counts.collect(), &[("PATTERN", "pattern", "AUTONOMY_PATTERN_"), ("TASKS", "count", "")])?;
    let columns = &[("SKIPPED", "task", "tasks/"), ("REASON", "reason", ""), ("MESSAGE", "message", "")];
    session.out.part(&last.skipped_tasks, columns)?;
    let text = format!("{} decided, {} unchanged, {} skipped", last.decided, last.unchanged, last.skipped);
    session.out.text(&text, || json(&last))
}

async fn check(session: &Session, request: CheckTaskRequest) -> Result<()> {
    let mut decisions = DecisionServiceClient::new(session.wire());
    let answer = answer(decisions.check_task(request).await)?;
    if session.out.json {
        session.out.show(&answer)?;
    } else {
        session.out.list(&answer.reasons, REASON_COLUMNS)?;
        let obligations = answer.obligations.clone().unwrap_or_default();
        let pattern = obligations.pattern().as_str_name();
        let mut text = format!("{}: {}", answer.verdict().as_str_name(), pattern).replace("AUTONOMY_PATTERN_", "");
        if let Some(sampling) = obligations.sampling {
            let drawn = if sampling.drawn { "this run is one" } else { "this run is none" };
            text += &format!("; people look at {}% of results, {drawn}", sampling.ratio * 100.0);
        }
        if !answer.policy.is_empty() {
            text += &format!("; {}", answer.policy);
        }
        session.out.text(text.trim_start_matches("VERDICT_"), || json(&answer))?;
    }
    match answer.verdict() {
        Verdict::Permit => Ok(()),
        Verdict::Deny | Verdict::Unspecified => {
            let codes: Vec<&str> = answer
                .reasons
                .iter()
                .filter(|reason| reason.effect() == ReasonEffect::Deny && reason.waiver.is_empty())
                .map(|reason| reason.code.as_str())
                .collect();
            Err(Error::precondition("CHECK_DENIED", format!("AI may not do the task: {}", codes.join(", "))))
        }
    }
}

fn draw(out: Output, tenant: &str, task: &str, run_id: &str, ratio: f64) -> Result<()> {
    if !(0.0..=1.0).contains(&ratio) {
        return Err(Error::invalid("FIELD_INVALID", "ratio", "must be from 0 to 1"));
    }
    let draw = sampling::draw(tenant, task, run_id, ratio);
    // Written by hand, because the message's own form would leave out what is false.
    out.value(serde_json::json!({
        "algorithm": sampling::ALGORITHM,
        "input": draw.input,
        "hash": draw.hash,
        "ratio": ratio,
        "drawn": draw.drawn,
    }))
}

impl Suggest {
    fn request(&self) -> SuggestRatingsRequest {
        let execution = ExecutionSignatures {
            high_volume: self.high_volume,
            structured: self.structured,
            pattern_recognizable: self.pattern_recognizable,
            documented: self.documented,
            small_judgment: self.small_judgment,
        };
        let strategy = StrategySignatures {
            one_shot_high_stakes: self.one_shot_high_stakes,
            unstructured_input: self.unstructured_input,
            pattern_breaking: self.pattern_breaking,
            cross_functional: self.cross_functional,
            large_judgment: self.large_judgment,
        };
        SuggestRatingsRequest { execution: Some(execution), strategy: Some(strategy) }
    }
}
