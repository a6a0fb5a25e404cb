//! The command-line client: what a person does by hand, over gRPC like any other caller.
//!
//! Tables for people, `--json` for programs; progress and remarks go to standard error, so that standard
//! output holds the answer and nothing else. Exit codes are those of [`crate::exit`].

mod access;
mod action;
mod audit;
mod audit_local;
mod audit_proof;
mod audit_push;
mod audit_server;
mod audit_stream;
mod audit_timestamp;
mod auditor;
mod connect;
mod control;
mod council;
mod handoff;
mod hold;
mod import;
mod incident;
mod kpi;
mod kpi_alert;
mod kpi_data;
mod kpi_pilot;
mod kpi_settings;
mod list;
mod model;
mod notify;
mod notify_settings;
mod output;
mod page;
mod plan;
mod policy;
mod proposal;
mod review;
mod review_verify;
mod target;
mod task;
mod values;
mod waiver;
mod words;

pub(crate) use connect::{Connection, bearer, endpoint, endpoint_showing, reach, refused, text, unreadable};
pub(crate) use output::{print_raw, safe, safe_json};

use clap::{Args, Subcommand};
use futures::future::LocalBoxFuture;
use remit_core::Result;

/// A group of commands about one kind of resource.
#[derive(Debug, Args)]
pub(crate) struct Group<C: Subcommand> {
    /// How to reach the suite.
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: C,
}

/// The commands of the client.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Import, export, list, rate, decide and check tasks.
    Task(Group<task::Command>),
    /// Lint, compare, test, backtest and list decision policies.
    Policy(Group<policy::Command>),
    /// Rank what to automate: the most automatic and most frequent first, with hours saved and warnings.
    Plan(plan::Plan),
    /// List, show and suspend model versions.
    Model(Group<model::Command>),
    /// List and show handoffs.
    Handoff(Group<handoff::Command>),
    /// Search, export, verify and witness the audit log; erase personal data.
    Audit(Group<audit::Command>),
    /// Query KPIs and compare distributions.
    Kpi(Group<kpi::Command>),
    /// Make and show the constitution: who decides what.
    Council(Group<council::Command>),
    /// Make, show, vote on and withdraw proposals.
    Proposal(Group<proposal::Command>),
    /// Open, read, sign, seal, export and verify reviews.
    Review(Group<review::Command>),
    /// List controls, name who sees to each, state and train; show how far the rollout is.
    Control(Group<control::Command>),
    /// List, give and close action items.
    Action(Group<action::Command>),
    /// Report, list and close incidents.
    Incident(Group<incident::Command>),
    /// List, show and revoke waivers.
    Waiver(Group<waiver::Command>),
    /// Engage, bypass and list holds.
    Hold(Group<hold::Command>),
    /// Revoke tokens and lift that, assign roles and take them back.
    Access(Group<access::Command>),
    /// Send events to whoever subscribed to them, and see what arrived.
    Notify(Group<notify::Command>),
    /// Show what is wanted of you.
    Inbox(notify::Inbox),
}

impl Command {
    /// How to reach the suite, and how to answer.
    pub(crate) fn connection(&self) -> &Connection {
        match self {
            Self::Task(group) => &group.connection,
            Self::Policy(group) => &group.connection,
            Self::Plan(plan) => &plan.connection,
            Self::Model(group) => &group.connection,
            Self::Handoff(group) => &group.connection,
            Self::Audit(group) => &group.connection,
            Self::Kpi(group) => &group.connection,
            Self::Council(group) => &group.connection,
            Self::Proposal(group) => &group.connection,
            Self::Review(group) => &group.connection,
            Self::Control(group) => &group.connection,
            Self::Action(group) => &group.connection,
            Self::Incident(group) => &group.connection,
            Self::Waiver(group) => &group.connection,
            Self::Hold(group) => &group.connection,
            Self::Access(group) => &group.connection,
            Self::Notify(group) => &group.connection,
            Self::Inbox(inbox) => &inbox.connection,
        }
    }
}

/// Runs one command to its end.
///
/// # Errors
/// What the server answers; `Unavailable` (`SERVER_UNREACHABLE`) if there is none; `Unauthenticated`
/// (`TOKEN_MISSING`) without a token; `InvalidArgument` for values and files that cannot be read.
pub(crate) fn run(command: Command) -> LocalBoxFuture<'static, Result<()>> {
    match command {
        Command::Task(group) => Box::pin(task::run(group)),
        Command::Policy(group) => Box::pin(policy::run(group)),
        Command::Plan(plan) => Box::pin(plan::run(plan)),
        Command::Model(group) => Box::pin(model::run(group)),
        Command::Handoff(group) => Box::pin(handoff::run(group)),
        Command::Audit(group) => Box::pin(audit::run(group)),
        Command::Kpi(group) => Box::pin(kpi::run(group)),
        Command::Council(group) => Box::pin(council::run(group)),
        Command::Proposal(group) => Box::pin(proposal::run(group)),
        Command::Review(group) => Box::pin(review::run(group)),
        Command::Control(group) => Box::pin(control::run(group)),
        Command::Action(group) => Box::pin(action::run(group)),
        Command::Incident(group) => Box::pin(incident::run(group)),
        Command::Waiver(group) => Box::pin(waiver::run(group)),
        Command::Hold(group) => Box::pin(hold::run(group)),
        Command::Access(group) => Box::pin(access::run(group)),
        Command::Notify(group) => Box::pin(notify::run(group)),
        Command::Inbox(inbox) => Box::pin(notify::inbox(inbox)),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        crate::args::Cli::command().debug_assert();
    }
}
