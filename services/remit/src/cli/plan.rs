//! `remit plan`.

use super::connect::{Connection, Session, answer, refused};
use super::output::{Column, json};
use super::target::{self, Target};
use super::words::count;
use clap::Args;
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::scoring::v1::{ExportPlanRequest, PlanAssumptions, PlanAutomationRequest, PlanAutomationResponse};
use remit_core::Result;
use std::path::PathBuf;

/// Arguments of `remit plan`.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// How to reach the suite.
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Such as 'function = "functions/paid_media"'.
    #[arg(long, default_value = "")]
    filter: String,
    /// How many tasks to print at most.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Write the whole plan to this file (CSV).
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the picture of predictability against risk to this file (SVG).
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Working weeks a year, 1 to 53; 52 if absent.
    #[arg(long, value_name = "WEEKS")]
    weeks_per_year: Option<f64>,
    /// The share of the time for one instance that a review of it takes, 0 to 1; 0.15 if absent.
    #[arg(long, value_name = "RATIO")]
    review_ratio: Option<f64>,
    /// The share of the time that a first draft by AI saves, 0 to 1; 0.40 if absent.
    #[arg(long, value_name = "RATIO")]
    draft_saving_ratio: Option<f64>,
    /// Instances a week below which volume is low; 1 if absent.
    #[arg(long, value_name = "TIMES")]
    low_frequency_per_week: Option<f64>,
    /// Functions that one person may own before the plan warns; 3 if absent.
    #[arg(long, value_name = "N")]
    functions_per_owner: Option<i32>,
}

const ITEM_COLUMNS: &[Column] = &[
    ("RANK", "rank", ""),
    ("TASK", "task", "tasks/"),
    ("TITLE", "title", ""),
    ("PATTERN", "pattern", "AUTONOMY_PATTERN_"),
    ("TIMES/WEEK", "times", ""),
    ("HOURS/YEAR", "hours", ""),
    ("SAVED GROSS", "gross", ""),
    ("SAVED NET", "net", ""),
];
const PATTERN_COLUMNS: &[Column] = &[
    ("PATTERN", "pattern", "AUTONOMY_PATTERN_"),
    ("TASKS", "tasks", ""),
    ("HOURS/YEAR", "hours", ""),
    ("SAVED GROSS", "gross", ""),
    ("SAVED NET", "net", ""),
];
const ROLE_COLUMNS: &[Column] = &[
    ("ROLE", "role", ""),
    ("KIND", "kind", "ROLE_KIND_"),
    ("TASKS", "tasks", ""),
    ("EXECUTION HOURS", "execution", ""),
    ("STRATEGY HOURS", "strategy", ""),
];

/// What to automate first, the sums by pattern, and the roles.
fn tables(session: &Session, answer: &PlanAutomationResponse) -> Result<()> {
    // An hour is exact enough, and zero is a number here, not a gap.
    let hours = |hours: f64| format!("{hours:.0}");
    let items = answer.items.iter().map(|item| {
        serde_json::json!({
            "rank": item.rank, "task": item.task, "title": item.title, "pattern": item.pattern().as_str_name(),
            "times": item.frequency_per_week.to_string(), "hours": hours(item.hours_per_year),
            "gross": hours(item.gross_hours_saved), "net": hours(item.net_hours_saved),
        })
    });
    session.out.values(items.collect(), ITEM_COLUMNS)?;
    let patterns = answer.patterns.iter().map(|sum| {
        serde_json::json!({
            "pattern": sum.pattern().as_str_name(), "tasks": sum.tasks, "hours": hours(sum.hours_per_year),
            "gross": hours(sum.gross_hours_saved), "net": hours(sum.net_hours_saved),
        })
    });
    session.out.values(patterns.collect(), PATTERN_COLUMNS)?;
    let roles = answer.roles.iter().map(|role| {
        serde_json::json!({
            "role": role.role, "kind": role.kind().as_str_name(), "tasks": role.tasks,
            "execution": hours(role.execution_hours), "strategy": hours(role.strategy_hours),
        })
    });
    if answer.roles.is_empty() { Ok(()) } else { session.out.values(roles.collect(), ROLE_COLUMNS) }
}

/// Runs the command.
pub(super) async fn run(plan: Plan) -> Result<()> {
    let session = Session::open(&plan.connection).await?;
    let mut decisions = DecisionServiceClient::new(session.wire());
    let assumptions = PlanAssumptions {
        weeks_per_year: plan.weeks_per_year,
        review_ratio: plan.review_ratio,
        draft_saving_ratio: plan.draft_saving_ratio,
        low_frequency_per_week: plan.low_frequency_per_week,
        functions_per_owner: plan.functions_per_owner,
    };
    let request = PlanAutomationRequest {
        filter: plan.filter.clone(),
        assumptions: Some(assumptions),
        page_size: i32::try_from(plan.limit.clamp(1, 1_000)).unwrap_or(1_000),
        include_picture: plan.picture.is_some(),
        ..Default::default()
    };
    let mut planned = answer(decisions.plan_automation(request).await)?;
    if let Some(path) = &plan.picture {
        target::write(path, planned.picture_svg.as_bytes())?;
        session.out.wrote(Some(path));
        planned.picture_svg.clear();
    }
    if let Some(path) = &plan.csv {
        let request = ExportPlanRequest { filter: plan.filter, assumptions: Some(assumptions) };
        let mut pieces = answer(decisions.export_plan(request).await)?;
        let mut file = Target::open(Some(path))?;
        while let Some(piece) = pieces.message().await.map_err(refused)? {
            file.write(&piece.chunk)?;
        }
        session.out.wrote(file.finish()?.as_deref());
    }
    if session.out.json {
        return session.out.show(&planned);
    }
    tables(&session, &planned)?;
    for warning in &planned.warnings {
        let named = warning.resources.join(", ");
        let rest = warning.count - i64::try_from(warning.resources.len()).unwrap_or(0);
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        session.out.note(&format!("{}: {}: {named}{more}", warning.code, warning.message));
    }
    let totals = planned.totals.unwrap_or_default();
    let text = format!(
        "{}, {} decided; of {:.0} hours a year AI takes over {:.0}, people review for {:.0}, {:.0} are saved",
        count(totals.tasks, "task"),
        totals.decided,
        totals.hours_per_year,
        totals.gross_hours_saved,
        totals.review_hours,
        totals.net_hours_saved
    );
    session.out.text(&text, || json(&planned))
}
