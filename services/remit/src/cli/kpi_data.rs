//! `remit kpi record|import|export|events|experiment`: events in, numbers out.

use super::connect::{Session, answer, bytes};
use super::import::Written;
use super::list::{ListArgs, Page};
use super::output::{Column, print_raw};
use super::values::{named, pair, span, time};
use clap::{Args, Subcommand};
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::kpi::v1::{
    CompareExperimentRequest, DataState, Event, ListEventsRequest, ListExperimentsRequest, PlanExperimentRequest,
    RecordEventsRequest, RecordEventsResponse, Rollup, plan_experiment_request,
};
use remit_core::{Error, Result};
use remit_sheet::{Sheet, Unread, agreed, inert, number_of_programs, without_mark};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Events in one request.
const BATCH: usize = 2_000;
/// The columns that hold numbers.
const NUMBERS: [&str; 2] = ["value", "denominator"];

/// Arguments of `remit kpi record`.
#[derive(Debug, Args)]
pub(crate) struct Record {
    /// The KPI.
    kpi: String,
    /// A name that tells the event from all others of the KPI: recorded twice it counts once.
    #[arg(long)]
    event_id: String,
    /// When it happened: 2026-05-01 or 2026-05-01T08:30:00Z.
    #[arg(long)]
    at: String,
    /// The value, or the numerator of a ratio.
    #[arg(long, allow_hyphen_values = true)]
    value: Option<f64>,
    /// The denominator of a ratio.
    #[arg(long)]
    denominator: Option<f64>,
    /// Who or what it is about, such as a user.
    #[arg(long, default_value = "")]
    member: String,
    /// A dimension, such as channel=email.
    #[arg(long = "dimension", value_name = "KEY=VALUE", value_parser = pair)]
    dimensions: Vec<(String, String)>,
    /// The event that this one replaces.
    #[arg(long, default_value = "")]
    corrects: String,
}

/// Arguments of `remit kpi import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The KPI.
    kpi: String,
    /// A CSV file with the columns `event_id` and `occurred_at`, any of `value`, `denominator`, `member` and `corrects`,
    /// and a column for each dimension.
    file: PathBuf,
    /// Record the good rows even if there are bad ones.
    #[arg(long)]
    skip_bad: bool,
    /// How the file is written.
    #[command(flatten)]
    written: Written,
}

/// Arguments of `remit kpi events`.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// The KPI.
    kpi: String,
    /// When they happened, such as 2026-05-01..2026-06-01; always if absent.
    #[arg(long, value_name = "FROM..TO", default_value = "", hide_default_value = true)]
    range: String,
    /// Those too that were replaced or taken out, and so do not count.
    #[arg(long)]
    corrected: bool,
    #[command(flatten)]
    list: ListArgs,
}

/// What to do with experiments.
#[derive(Debug, Subcommand)]
pub(crate) enum Experiments {
    /// List experiments.
    List {
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Show what an experiment found; before its horizon how many units each arm has.
    Show {
        /// The experiment.
        experiment: String,
    },
    /// Say how many units an experiment needs, and what it finds with those that there will be.
    Plan(Plan),
}

/// Arguments of `remit kpi experiment plan`.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The share of the control with the outcome, such as 0.05.
    #[arg(long, required_unless_present = "deviation")]
    baseline: Option<f64>,
    /// Of a mean instead: its standard deviation over units.
    #[arg(long, conflicts_with = "baseline")]
    deviation: Option<f64>,
    /// The least difference that matters, such as 0.01 for one point.
    #[arg(long, allow_hyphen_values = true)]
    effect: f64,
    /// The accepted chance of a false finding.
    #[arg(long, default_value_t = 0.05)]
    alpha: f64,
    /// The wanted chance to find that difference.
    #[arg(long, default_value_t = 0.8)]
    power: f64,
    /// How many treatments.
    #[arg(long, default_value_t = 1)]
    treatments: i32,
    /// The units in each treatment that there will be.
    #[arg(long, value_name = "N", default_value_t = 0)]
    n: i64,
}

const ERROR_COLUMNS: &[Column] = &[
    ("ROW", "index", ""),
    ("EVENT", "eventId", ""),
    ("FIELD", "field", ""),
    ("REASON", "reason", ""),
    ("MESSAGE", "message", ""),
];
const EVENT_COLUMNS: &[Column] = &[
    ("AT", "event.occurredAt", ""),
    ("EVENT", "event.eventId", ""),
    ("VALUE", "event.value", ""),
    ("OF", "event.denominator", ""),
    ("DIMENSIONS", "event.dimensions", ""),
    ("CORRECTS", "event.corrects", ""),
    ("REPLACED BY", "correctedBy", ""),
    ("RECORDED", "recordedAt", ""),
];
const EXPERIMENT_COLUMNS: &[Column] = &[
    ("EXPERIMENT", "name", "experiments/"),
    ("METRIC", "metric", "kpis/"),
    ("UNIT", "unit", "EXPERIMENT_UNIT_"),
    ("FROM", "startTime", ""),
    ("HORIZON", "endTime", ""),
    ("CANCELLED", "cancelReason", ""),
];
const ARM_COLUMNS: &[Column] = &[
    ("ARM", "arm", ""),
    ("N", "n", ""),
    ("VALUE", "rollup.value", ""),
    ("DIFFERENCE", "difference", ""),
    ("FROM", "differenceInterval.lower", ""),
    ("TO", "differenceInterval.upper", ""),
    ("TEST", "test.method", ""),
    ("P", "adjustedPValue", ""),
    ("VERDICT", "verdict", "CHANGE_VERDICT_"),
];
/// Records one event.
pub(super) async fn record(session: &Session, given: Record) -> Result<()> {
    let event = Event {
        event_id: given.event_id,
        kpi: named("kpis", &given.kpi),
        occurred_at: Some(time(&given.at, "at")?),
        value: given.value,
        denominator: given.denominator,
        member: given.member,
        dimensions: given.dimensions.into_iter().collect(),
        corrects: given.corrects,
        ..Event::default()
    };
    let request = RecordEventsRequest { events: vec![event], request_id: session.request_id(), ..Default::default() };
    session.show(KpiServiceClient::new(session.wire()).record_events(request).await)
}

/// Records the rows of a file, batch by batch. What was recorded before counts once, so an import may be repeated.
pub(super) async fn import(session: &Session, given: Import) -> Result<()> {
    let events = events(&named("kpis", &given.kpi), &bytes(&given.file)?, &given.written)?;
    let mut client = KpiServiceClient::new(session.wire());
    let mut total = RecordEventsResponse::default();
    for (batch, part) in events.chunks(BATCH).enumerate() {
        let request = RecordEventsRequest {
            events: part.to_vec(),
            skip_invalid: given.skip_bad,
            request_id: format!("{}-{batch}", session.request_id()),
        };
        let mut recorded = answer(client.record_events(request).await)?;
        total.accepted_count += recorded.accepted_count;
        total.duplicate_count += recorded.duplicate_count;
        total.late_count += recorded.late_count;
        total.corrected_count += recorded.corrected_count;
        let first = i32::try_from(batch * BATCH).unwrap_or(i32::MAX);
        recorded.errors.iter_mut().for_each(|error| error.index = error.index.saturating_add(first));
        total.errors.append(&mut recorded.errors);
    }
    if session.out.json || total.errors.is_empty() {
        return session.out.show(&total);
    }
    let errors = std::mem::take(&mut total.errors);
    session.out.show(&total)?;
    session.out.list(&errors, ERROR_COLUMNS)
}

/// The events of a file.
fn events(kpi: &str, file: &[u8], written: &Written) -> Result<Vec<Event>> {
    let format = written.format()?;
    let sheet = Sheet::read(file, &format)?;
    let wrong = |line: u64, column: &str, why: String| {
        Error::invalid("ROW_INVALID", format!("line {line}, column {column}"), why)
    };
    let headers = sheet.headers();
    if let Some(twice) = headers.iter().enumerate().find(|(at, name)| !name.is_empty() && headers[..*at].contains(name))
    {
        return Err(Error::invalid("COLUMN_TWICE", twice.1.as_str(), "names two columns: rename one"));
    }
    let rows = sheet.rows().collect::<Result<Vec<_>>>()?;
    let numeric = |name: &String| NUMBERS.contains(&name.as_str());
    let cells = rows.iter().filter_map(|row| row.fields.as_ref()).flat_map(|fields| headers.iter().zip(fields));
    let shown = || agreed(cells.filter(|(name, _)| numeric(name)).map(|(_, cell)| cell));
    let mark = format.mark.or_else(shown);
    let mut events = Vec::with_capacity(rows.len());
    for row in &rows {
        let line = row.line;
        let Some(fields) = &row.fields else {
            return Err(wrong(line, "any", "is not UTF-8: save the file as UTF-8, or name its --encoding".to_owned()));
        };
        let surplus = fields.iter().skip(headers.len()).any(|cell| !cell.trim().is_empty());
        if fields.len() < headers.len() || surplus {
            let why =
                format!("has {} fields, the header has {}: check separators and quotes", fields.len(), headers.len());
            return Err(wrong(line, "any", why));
        }
        let cells = headers.iter().zip(fields).map(|(name, cell)| (name.as_str(), without_mark(cell.trim())));
        let mut cells: BTreeMap<&str, &str> = cells.filter(|(_, cell)| !cell.is_empty()).collect();
        if let Some(cell) = cells.get("") {
            return Err(wrong(line, "without a name", format!("holds '{cell}': name the column, or empty it")));
        }
        let mut take = |column: &str| cells.remove(column).unwrap_or_default();
        let amount = |column: &str, text: &str| match number_of_programs(text, mark, sheet.mark_of_programs()) {
            _ if text.is_empty() => Ok(None),
            Ok((value, _)) => Ok(Some(value)),
            Err(Unread::No) => Err(wrong(line, column, format!("must be a number such as 0.12, not '{text}'"))),
            Err(Unread::Ambiguous) => {
                let why = format!("'{text}' may be one number or a thousand times as much: say --decimal-mark");
                Err(wrong(line, column, why))
            }
        };
        let mut event = Event {
            event_id: take("event_id").to_owned(),
            kpi: kpi.to_owned(),
            occurred_at: Some(time(take("occurred_at"), &format!("line {line}, column occurred_at"))?),
            value: amount("value", take("value"))?,
            denominator: amount("denominator", take("denominator"))?,
            member: take("member").to_owned(),
            corrects: take("corrects").to_owned(),
            ..Event::default()
        };
        event.dimensions = cells.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        events.push(event);
    }
    Ok(events)
}

/// Writes rollups as CSV, with the n and the interval of each value.
pub(super) fn export(rollups: &[Rollup]) -> Result<()> {
    print_raw(&table(rollups)?)
}

fn table(rollups: &[Rollup]) -> Result<Vec<u8>> {
    let failed = |error: String| Error::internal(format!("cannot write CSV: {error}"));
    let keys: Vec<&String> = rollups.first().map(|rollup| rollup.group.keys().collect()).unwrap_or_default();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = ["start_time", "end_time"].into_iter().chain(keys.iter().map(|key| key.as_str()));
    let header =
        header.chain(["value", "n", "event_count", "lower", "upper", "level", "data_state", "open", "restated"]);
    writer.write_record(header).map_err(|error| failed(error.to_string()))?;
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let instant = |at: Option<prost_types::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    for rollup in rollups {
        let interval = rollup.interval;
        let mut row = vec![instant(rollup.start_time), instant(rollup.end_time)];
        row.extend(keys.iter().map(|key| inert(rollup.group.get(*key).map_or("", String::as_str)).into_owned()));
        row.extend([
            number(rollup.value),
            rollup.n.to_string(),
            rollup.event_count.to_string(),
            number(interval.map(|interval| interval.lower)),
            number(interval.map(|interval| interval.upper)),
            number(interval.map(|interval| interval.level)),
            rollup.data_state().as_str_name().trim_start_matches("DATA_STATE_").to_owned(),
            rollup.open.to_string(),
            rollup.restated.to_string(),
        ]);
        writer.write_record(row).map_err(|error| failed(error.to_string()))?;
    }
    writer.into_inner().map_err(|error| failed(error.to_string()))
}

/// The values as bars of one character each, `·` where there is none; `None` if they are of several groups or few.
pub(super) fn sparkline(rollups: &[Rollup]) -> Option<String> {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let one_group = rollups.windows(2).all(|pair| pair[0].group == pair[1].group);
    let values: Vec<f64> = rollups.iter().filter_map(|rollup| rollup.value).collect();
    if !one_group || values.len() < 2 {
        return None;
    }
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let span = values.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least;
    let bar = |value: f64| {
        let height = if span > 0.0 { (value - least) / span } else { 0.5 };
        BARS[((height * 7.0).round() as usize).min(7)]
    };
    let shown = rollups.iter().map(|rollup| match rollup.data_state() {
        DataState::Present => rollup.value.map_or('·', bar),
        _ => '·',
    });
    Some(shown.collect())
}

/// Runs `remit kpi experiment`.
pub(super) async fn experiment(session: &Session, command: Experiments) -> Result<()> {
    let mut client = KpiServiceClient::new(session.wire());
    match command {
        Experiments::List { limit } => {
            let list = ListArgs { filter: String::new(), limit };
            session
                .list(list, EXPERIMENT_COLUMNS, async |page: Page| {
                    let request = ListExperimentsRequest { page_size: page.size, page_token: page.token };
                    let page = client.list_experiments(request).await?.into_inner();
                    Ok((page.experiments, page.next_page_token))
                })
                .await
        }
        Experiments::Plan(plan) => {
            let metric = match (plan.baseline, plan.deviation) {
                (Some(share), _) => Some(plan_experiment_request::Metric::BaselineShare(share)),
                (None, deviation) => deviation.map(plan_experiment_request::Metric::StandardDeviation),
            };
            let request = PlanExperimentRequest {
                metric,
                least_effect: plan.effect,
                alpha: plan.alpha,
                power: plan.power,
                treatments: plan.treatments,
                n_per_arm: plan.n,
                ..Default::default()
            };
            session.show(client.plan_experiment(request).await)
        }
        Experiments::Show { experiment } => {
            let request = CompareExperimentRequest { name: named("experiments", &experiment) };
            let found = answer(client.compare_experiment(request).await)?;
            if session.out.json {
                return session.out.show(&found);
            }
            let state = found.state().as_str_name().trim_start_matches("EXPERIMENT_STATE_").to_lowercase();
            session.out.note(&format!("{experiment} is {state}"));
            if !found.restated_arms.is_empty() {
                session.out.note("data that came after the result was frozen is left out: --json shows it");
            }
            session.out.list(&found.arms, ARM_COLUMNS)?;
            for guardrail in &found.guardrails {
                session.out.note(&format!("guardrail {}", guardrail.kpi));
                session.out.list(&guardrail.arms, ARM_COLUMNS)?;
            }
            for metric in &found.secondary_metrics {
                session.out.note(&format!("secondary metric {}", metric.kpi));
                session.out.list(&metric.arms, ARM_COLUMNS)?;
            }
            Ok(())
        }
    }
}

/// Lists the events behind a number.
pub(super) async fn list(session: &Session, given: Events) -> Result<()> {
    let mut client = KpiServiceClient::new(session.wire());
    let range = if given.range.is_empty() { None } else { Some(span(&given.range, "range")?) };
    session
        .list(given.list, EVENT_COLUMNS, async |page: Page| {
            let request = ListEventsRequest {
                parent: named("kpis", &given.kpi),
                range,
                filter: page.filter,
                show_corrected: given.corrected,
                page_size: page.size,
                page_token: page.token,
            };
            let page = client.list_events(request).await?.into_inner();
            Ok((page.events, page.next_page_token))
        })
        .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_are_events_whose_other_columns_are_dimensions() {
        let file = "event_id,occurred_at,value,denominator,channel\na,2026-05-01,3,10,email\nb,2026-05-02,,,\n";
        let events = |file: &str| events("kpis/k", file.as_bytes(), &Written::default());
        let found = events(file).unwrap();
        assert_eq!((found[0].value, found[0].denominator), (Some(3.0), Some(10.0)));
        assert_eq!(found[0].dimensions, BTreeMap::from([("channel".to_owned(), "email".to_owned())]));
        assert!(found[1].value.is_none() && found[1].dimensions.is_empty());
        let found =
            events("event_id;occurred_at;value;\r\na;2026-05-01;12,5 %;\r\n;;;\r\nb;2026-05-01;1.000,5;\r\n").unwrap();
        assert_eq!((found[0].value, found[1].value, found.len()), (Some(0.125), Some(1000.5), 2));
        for (wrong, told) in [
            ("event_id,occurred_at,value\r\na,2026-05-01,1\r\nb,2026-05-01,twelve\r\n", "line 3, column value"),
            ("event_id;occurred_at;value\na;2026-05-01;1,234\n", "--decimal-mark"),
            ("event_id,occurred_at,value\na,2026-05-01\n", "line 2"),
            ("event_id,occurred_at,\na,2026-05-01,x\n", "without a name"),
            ("event_id,occurred_at,x,x\na,2026-05-01,1,2\n", "two columns"),
        ] {
            let error = events(wrong).unwrap_err();
            assert!(error.to_string().contains(told), "{error}");
        }
    }

    fn day(value: Option<f64>, group: &str) -> Rollup {
        let mut rollup = Rollup { value, ..Rollup::default() };
        rollup.group.insert("channel".to_owned(), group.to_owned());
        rollup.set_data_state(if value.is_some() { DataState::Present } else { DataState::NoData });
        rollup
    }

    #[test]
    fn a_row_shows_its_n_and_is_no_formula() {
        let shown = Rollup { n: 10, event_count: 1, ..day(Some(0.3), "=1+1") };
        let text = String::from_utf8(table(&[shown]).unwrap()).unwrap();
        assert_eq!(text.lines().nth(1).unwrap(), ",,'=1+1,0.3,10,1,,,,PRESENT,false,false");
    }

    #[test]
    fn bars_rise_with_values_and_no_data_is_no_bar() {
        let days = [day(Some(1.0), "a"), day(None, "a"), day(Some(8.0), "a")];
        assert_eq!(sparkline(&days).unwrap(), "▁·█");
        assert_eq!(sparkline(&[day(Some(1.0), "a"), day(Some(2.0), "b")]), None);
        assert_eq!(sparkline(&days[..1]), None);
    }
}
