//! The binary: parses the command line, runs one command, and exits with a code that means something.

use clap::Parser as _;
use remit::args::Cli;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match remit::run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => remit::exit::report(&error),
    }
}
