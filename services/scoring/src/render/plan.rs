//! The plan as CSV, for spreadsheets.

use remit_api::scoring::v1::PlanItem;
use remit_api::wire::Word as _;
use remit_core::{Error, Result, name};
use remit_sheet::inert;

/// How many rows are sent at once: below 1 MiB with the longest titles.
pub(crate) const ROWS: usize = 250;

const COLUMNS: [&str; 12] = [
    "rank",
    "task",
    "title",
    "function",
    "role",
    "pattern",
    "score",
    "frequency_per_week",
    "hours_per_year",
    "gross_hours_saved",
    "net_hours_saved",
    "review_ratio",
];

fn failed(error: csv::Error) -> Error {
    Error::internal("writing CSV").with_source(error)
}

fn finish(writer: csv::Writer<Vec<u8>>) -> Result<Vec<u8>> {
    writer.into_inner().map_err(|error| Error::internal("writing CSV").with_source(error.into_error()))
}

pub(crate) fn header() -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(failed)?;
    finish(writer)
}

pub(crate) fn rows(items: &[PlanItem]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Two decimal places are 36 seconds of an hour, which is finer than anybody estimates.
    let hours = |hours: f64| format!("{hours:.2}");
    let text = |text: &str| inert(text).into_owned();
    for item in items {
        let record = [
            item.rank.to_string(),
            text(name::last(&item.task)),
            text(&item.title),
            name::last(&item.function).to_owned(),
            text(&item.role),
            item.pattern().word().to_owned(),
            if item.pattern == 0 { String::new() } else { item.score.to_string() },
            item.frequency_per_week.to_string(),
            hours(item.hours_per_year),
            hours(item.gross_hours_saved),
            hours(item.net_hours_saved),
            item.review_ratio.to_string(),
        ];
        writer.write_record(record).map_err(failed)?;
    }
    finish(writer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_title_is_never_a_formula() {
        let item = PlanItem { rank: 1, task: "tasks/t".into(), title: "=1+1,\"x\"".into(), ..Default::default() };
        let csv = String::from_utf8(rows(&[item]).unwrap()).unwrap();
        assert_eq!(csv, "1,t,\"'=1+1,\"\"x\"\"\",,,,,0,0.00,0.00,0.00,0\n");
    }
}
