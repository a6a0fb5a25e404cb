//! The command-line client: what a person does by hand, over gRPC like any other caller.
//!
//! Tables for people, `--json` for programs; progress and remarks go to standard error, so that standard
//! output holds the answer and nothing else. Exit codes are those of [`crate::exit`].

mod audit;
mod audit_local;
mod connect;
mod handoff;
mod hold;
mod import;
mod kpi;
mod model;
mod output;
mod plan;
mod policy;
mod proposal;
mod review;
mod task;
mod values;

pub use connect::Connection;
pub use output::print_raw;

use clap::{Args, Subcommand};
use connect::Session;
use remit_core::Result;

/// A group of commands about one kind of resource.
#[derive(Debug, Args)]
pub struct Group<C: Subcommand> {
    /// How to reach the suite.
    #[command(flatten)]
    pub connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub command: C,
}

/// The commands of the client.
#[derive(Debug, Subcommand)]
pub enum Command {
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
    /// List, show and vote on proposals.
    Proposal(Group<proposal::Command>),
    /// List, open and export reviews.
    Review(Group<review::Command>),
    /// Engage and list holds.
    Hold(Group<hold::Command>),
}

/// Runs one command to its end.
///
/// # Errors
/// What the server answers; `Unavailable` (`SERVER_UNREACHABLE`) if there is none; `Unauthenticated`
/// (`TOKEN_MISSING`) without a token; `InvalidArgument` for values and files that cannot be read.
pub async fn run(command: Command) -> Result<()> {
    match command {
        // A draw, and what is about policy files alone, needs no server.
        Command::Task(group) => task::run(&group.connection, group.command).await,
        Command::Policy(group) => policy::run(&group.connection, group.command).await,
        Command::Plan(plan) => plan::run(plan).await,
        Command::Model(group) => model::run(&Session::open(&group.connection).await?, group.command).await,
        Command::Handoff(group) => handoff::run(&Session::open(&group.connection).await?, group.command).await,
        // Verifying needs no server, and must not: it is how the server is held to its word.
        Command::Audit(group) => audit::run(&group.connection, group.command).await,
        Command::Kpi(group) => kpi::run(&Session::open(&group.connection).await?, group.command).await,
        Command::Proposal(group) => proposal::run(&Session::open(&group.connection).await?, group.command).await,
        Command::Review(group) => review::run(&Session::open(&group.connection).await?, group.command).await,
        Command::Hold(group) => hold::run(&Session::open(&group.connection).await?, group.command).await,
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
