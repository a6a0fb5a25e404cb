//! `make bench`: what Remit does beside what the same machine does without it, as ratios.
//!
//! Every case runs in one process with its floor, in turns, under the same load, on a fresh database of each
//! engine; client and server share the machine. A ratio is the median over the rounds, with its least and
//! greatest value. Numbers of different runs, or of a busy machine, do not compare; ratios nearly do.
//!
//! Arguments: words, of which one must occur in the name of a group (`check`, `batch`, `append`, `ingest`, `read`,
//! `notify`, `review`, `overload`, `idle`); `--entries N`
//! (default 1,000,000) and `--decisions N` (default 1,000,000) for the size of what is read; `--seconds N` a turn (default 2).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]
#![allow(missing_docs)]

mod append;
mod batch;
mod check;
mod echo;
mod idle;
mod ingest;
mod load;
mod memory;
mod notify;
mod overload;
mod read;
mod review;
mod suite;
mod table;

use std::time::Duration;
use suite::Engine;

pub struct Settings {
    words: Vec<String>,
    pub entries: u64,
    pub decisions: u64,
    pub turn: Duration,
}

impl Settings {
    fn read() -> Self {
        let mut settings =
            Self { words: Vec::new(), entries: 1_000_000, decisions: 1_000_000, turn: Duration::from_secs(2) };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let text = arguments.next().unwrap_or_default().replace(['_', ','], "");
                text.parse::<u64>().unwrap_or_else(|_| stop(&format!("{argument} needs a number")))
            };
            match argument.as_str() {
                // Given by cargo.
                "--bench" => {}
                "--entries" => settings.entries = number().max(1_000),
                "--decisions" => settings.decisions = number().max(1_000),
                "--seconds" => settings.turn = Duration::from_secs(number().max(1)),
                word if !word.starts_with('-') => settings.words.push(word.to_owned()),
                other => stop(&format!("there is no option {other}")),
            }
        }
        settings
    }

    fn wants(&self, group: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| group.contains(word.as_str()))
    }
}

fn stop(why: &str) -> ! {
    eprintln!("bench: {why}");
    std::process::exit(2)
}

fn main() {
    let settings = Settings::read();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for engine in Engine::available() {
            if settings.wants("check") {
                check::run_group(engine, &settings).await;
            }
            if settings.wants("append") {
                append::run_group(engine, &settings).await;
            }
            if settings.wants("batch") {
                batch::run_group(engine, &settings).await;
            }
            if settings.wants("ingest") {
                ingest::run_group(engine, &settings).await;
            }
            if settings.wants("read") {
                read::run_group(engine, &settings).await;
            }
            if settings.wants("notify") {
                notify::run_group(engine, &settings).await;
            }
            if settings.wants("review") {
                review::run_group(engine, &settings).await;
            }
            if settings.wants("overload") {
                overload::run_group(engine, &settings).await;
            }
            if settings.wants("idle") {
                idle::run_group(engine, &settings).await;
            }
        }
    });
}
