//! Rewrites the table of docs/verdicts.md: `cargo run --release -p remit-drift --example verdicts`.

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use simulation::{CASES, rate};
use std::fmt::Write as _;

/// The made-up months of each row.
const DRAWS: u32 = 10_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/verdicts.md");
    let page = std::fs::read_to_string(path)?;
    let (head, rest) = page.split_once("<!-- table -->").ok_or("no table")?;
    let (_, tail) = rest.split_once("<!-- end -->").ok_or("the table has no end")?;
    let mut table = String::from("\n| Verdict | Months | False alarms | Stated | Power |\n|---|---|---|---|---|\n");
    for case in CASES {
        let found = format!("{:.2}%", rate(case, DRAWS) * 100.0);
        let (verdict, months) = (case.verdict, case.months);
        match case.level {
            Some(level) => writeln!(table, "| {verdict} | {months} | {found} | {:.2}% | |", level * 100.0)?,
            None => writeln!(table, "| {verdict} | {months} | | | {found} |")?,
        }
    }
    std::fs::write(path, format!("{head}<!-- table -->{table}<!-- end -->{tail}"))?;
    Ok(())
}
