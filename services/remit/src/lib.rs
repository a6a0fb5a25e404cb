//! The binary `remit` as a library: the services that it can run, the command line, and the demo.
//!
//! `main` only parses arguments and turns an error into an exit code; tests drive the same functions.

#![warn(unreachable_pub)]

mod args;
mod bearer;
mod cli;
pub mod demo;
pub mod exit;
mod local;
mod patience;
mod settings;

pub use args::Cli;
pub use local::{run, services};
