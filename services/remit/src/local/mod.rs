//! The commands that need no running suite: they start one, or look at a configuration.

mod auth;
mod backup;
mod config;
mod databases;
mod demo;
mod doctor;
mod health;
mod kept;
mod keys;
mod mandate;
mod serve;
mod token;

use crate::args::{AuthCommand, Cli, Command, MandateCommand};
use clap::CommandFactory as _;
use futures::future::{LocalBoxFuture, ready};
use remit_core::Result;
use remit_runtime::ServiceDef;

/// Every service that a process can run, in the order in which they need each other.
pub fn services() -> Vec<ServiceDef> {
    vec![
        remit_audit::SERVICE,
        remit_registry::SERVICE,
        remit_scoring::SERVICE,
        remit_kpi::SERVICE,
        remit_handoff::SERVICE,
        remit_council::SERVICE,
        remit_notify::SERVICE,
    ]
}

/// Runs one command to its end. Boxed, so that all of it is compiled in this crate and not again in the binary.
///
/// # Errors
/// Whatever the command says; its kind tells the exit code.
pub fn run(cli: Cli) -> LocalBoxFuture<'static, Result<()>> {
    match cli.command {
        Command::Serve(args) => Box::pin(serve::run(args)),
        Command::Token(args) => Box::pin(ready(token::run(&args))),
        Command::Demo(args) => Box::pin(demo::run(args)),
        Command::Doctor(args) => Box::pin(doctor::run(args)),
        Command::Health(args) => Box::pin(health::run(args)),
        Command::Backup(args) => Box::pin(backup::run(args)),
        Command::Restore(args) => Box::pin(backup::restore(args)),
        Command::Migrate(settings) => Box::pin(databases::migrate(settings)),
        Command::Keys(command) => Box::pin(ready(keys::run(&command))),
        Command::Mandate(MandateCommand::Verify(args)) => Box::pin(mandate::run(args)),
        Command::Auth(AuthCommand::Explain(args)) => Box::pin(auth::run(args)),
        Command::Config(command) => Box::pin(ready(config::run(command))),
        Command::Client(command) => crate::cli::run(command),
        Command::Completions { shell } => {
            // Through memory, because the generator panics where a reader such as `head` has seen enough.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "remit", &mut script);
            Box::pin(ready(crate::cli::print_raw(&script)))
        }
    }
}
