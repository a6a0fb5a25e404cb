//! The binary: parses the command line, runs one command, and exits with a code that means something.

use clap::Parser as _;
use remit::Cli;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return remit::exit::usage(&error, std::env::args_os().any(|arg| arg == "--json")),
    };
    let json = cli.wants_json();
    match remit::run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => remit::exit::report(&error, json),
    }
}
