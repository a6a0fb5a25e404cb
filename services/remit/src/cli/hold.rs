//! `remit hold`: the kill switch.

use super::Group;
use super::connect::{Session, answer};
use super::list::{ListArgs, Page};
use super::output::Column;
use super::values::{named, versioned};
use super::words;
use clap::Subcommand;
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::{
    BreakGlassRequest, EndDrillRequest, EngageHoldRequest, Hold, ListHoldsRequest, ReviewBreakGlassRequest, Scope,
};
use remit_core::{Error, Result};

/// What to do with holds.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Stop AI at once in a scope. Lifting a hold needs a proposal and a quorum.
    Engage {
        /// organisation, function:NAME, task:NAME, model:NAME/VERSION or gate:NAME.
        scope: String,
        /// Why; it is kept in the audit log.
        #[arg(long)]
        reason: String,
        /// The id of the hold; drawn if absent.
        #[arg(long)]
        id: Option<String>,
        /// The incident that it belongs to.
        #[arg(long, default_value = "")]
        incident: String,
        /// A drill: recorded as such.
        #[arg(long)]
        drill: bool,
    },
    /// End a drill, with what it showed.
    EndDrill {
        /// The hold.
        name: String,
        /// What it showed, such as how long it took until everything stood.
        #[arg(long)]
        finding: String,
    },
    /// Bypass a hold for a short time, on record: it must be reviewed by somebody else.
    BreakGlass {
        /// The hold.
        name: String,
        /// Why.
        #[arg(long)]
        reason: String,
        /// For how many minutes, 1 to 1440.
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..=1440))]
        minutes: i64,
    },
    /// Review that somebody bypassed a hold.
    ReviewBreakGlass {
        /// The use, as `remit hold break-glass` shows it.
        name: String,
        /// What you found.
        #[arg(long)]
        note: String,
    },
    /// List holds, such as those with 'state = "ENGAGED"'.
    List(ListArgs),
}

const COLUMNS: &[Column] = &[
    ("HOLD", "name", "holds/"),
    ("STATE", "state", ""),
    ("STOPS", "stops", ""),
    ("REASON", "reason", ""),
    ("BY", "engager.subject", ""),
    ("SINCE", "createTime", ""),
];

fn scope(text: &str) -> Result<Scope> {
    let target = match text.split_once(':') {
        None if text == "organisation" => Target::Organisation(true),
        Some(("function", name)) => Target::Function(named("functions", name)),
        Some(("task", name)) => Target::Task(named("tasks", name)),
        Some(("model", name)) => Target::ModelVersion(versioned("models", name)?),
        Some(("gate", name)) => Target::Gate(named("gates", name)),
        _ => {
            let forms = "must be organisation, function:NAME, task:NAME, model:NAME/VERSION or gate:NAME";
            return Err(Error::invalid("SCOPE_INVALID", "scope", forms));
        }
    };
    Ok(Scope { target: Some(target) })
}

/// Runs the command.
pub(super) async fn run(group: Group<Command>) -> Result<()> {
    let session = Session::open(&group.connection).await?;
    let mut client = HoldServiceClient::new(session.wire());
    match group.command {
        Command::Engage { scope: text, reason, id, incident, drill } => {
            let hold = Hold { scope: Some(scope(&text)?), reason, incident, drill, ..Default::default() };
            let request_id = session.request_id();
            let hold_id = id.unwrap_or_else(|| request_id.clone());
            let request = EngageHoldRequest { hold_id, hold: Some(hold), request_id };
            session.out.in_words(&[answer(client.engage_hold(request).await)?], COLUMNS, words::hold)
        }
        Command::EndDrill { name, finding } => {
            let request = EndDrillRequest { name: named("holds", &name), finding, request_id: session.request_id() };
            session.out.in_words(&[answer(client.end_drill(request).await)?], COLUMNS, words::hold)
        }
        Command::BreakGlass { name, reason, minutes } => {
            let duration = Some(prost_types::Duration { seconds: minutes.saturating_mul(60), nanos: 0 });
            let request =
                BreakGlassRequest { hold: named("holds", &name), reason, duration, request_id: session.request_id() };
            session.show(client.break_glass(request).await)
        }
        Command::ReviewBreakGlass { name, note } => {
            let request = ReviewBreakGlassRequest { name, note, request_id: session.request_id() };
            session.show(client.review_break_glass(request).await)
        }
        Command::List(list) => {
            session
                .list_in_words(list, COLUMNS, words::hold, async |page: Page| {
                    let request =
                        ListHoldsRequest { page_size: page.size, page_token: page.token, filter: page.filter };
                    let page = client.list_holds(request).await?.into_inner();
                    Ok((page.holds, page.next_page_token))
                })
                .await
        }
    }
}
