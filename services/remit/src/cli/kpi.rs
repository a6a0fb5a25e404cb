//! `remit kpi`.

use super::Group;
use super::connect::{Session, answer};
use super::kpi_alert::{self, Alerts};
use super::kpi_data::{self, Events, Experiments, Import, Record};
use super::kpi_pilot::{self, Pilots};
use super::kpi_settings;
use super::list::{ListArgs, Page};
use super::output::{Column, json, print_raw};
use super::values::{named, span};
use crate::bearer::Wire;
use clap::{Args, Subcommand, ValueEnum};
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::kpi::v1::{
    AssessCalibrationRequest, Cadence, CompareDistributionsRequest, GetKpiRequest, Granularity, ListKpisRequest,
    QueryRollupsRequest,
};
use remit_core::Result;

/// What to do with KPIs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List definitions, such as those with 'layer = "STRATEGIC"'.
    List(ListArgs),
    /// Show the values of a KPI over time.
    Query(Query),
    /// Write the values of a KPI over time as CSV, each with its n and interval.
    Export(Query),
    /// Show the groups with the largest values, such as the campaigns with the most leads.
    Top(Top),
    /// List the events behind a number, newest first.
    Events(Events),
    /// Record one event.
    Record(Record),
    /// Record the rows of a CSV file.
    Import(Import),
    /// Look at experiments.
    #[command(subcommand)]
    Experiment(Experiments),
    /// Try a change in one domain first: write a pilot down, look at it, conclude it.
    #[command(subcommand)]
    Pilot(Pilots),
    /// Look at alerts, and make the rules that raise them.
    #[command(subcommand)]
    Alert(Alerts),
    /// Compare the distribution of a window with that of a baseline.
    Drift(Drift),
    /// Hold the scores of each model version against their outcomes.
    Calibration(Calibration),
    /// Show the currency and the calendar of the shipped KPIs, the number of pilots and the retention of events, or change them.
    Settings(kpi_settings::Settings),
}

/// Arguments of `remit kpi query` and `remit kpi export`.
#[derive(Debug, Args)]
pub(crate) struct Query {
    /// The KPI.
    kpi: String,
    /// The span, such as 2026-05-01..2026-06-01.
    #[arg(long, alias = "window", value_name = "FROM..TO")]
    range: String,
    /// The length of a bucket; as often as data of the KPI is due if absent, a day at least.
    #[arg(long, value_enum)]
    by: Option<Bucket>,
    /// Dimensions to tell apart, separated by commas.
    #[arg(long, value_delimiter = ',')]
    group_by: Vec<String>,
    /// Such as 'channel = "phone"', over the KPI's dimensions.
    #[arg(long, default_value = "")]
    filter: String,
    /// Leave out buckets without data.
    #[arg(long)]
    omit_empty: bool,
}

impl Query {
    async fn request(self, client: &mut KpiServiceClient<Wire>) -> Result<QueryRollupsRequest> {
        let kpi = named("kpis", &self.kpi);
        let by = match self.by {
            Some(by) => by,
            None => {
                let request = GetKpiRequest { name: kpi.clone() };
                Bucket::of(answer(client.get_kpi(request).await)?.cadence())
            }
        };
        Ok(QueryRollupsRequest {
            kpi,
            range: Some(span(&self.range, "range")?),
            granularity: by.granularity().into(),
            group_by: self.group_by,
            filter: self.filter,
            omit_empty: self.omit_empty,
            top: 0,
        })
    }
}

/// Arguments of `remit kpi top`.
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// The KPI.
    kpi: String,
    /// The span, such as 2026-05-01..2026-06-01.
    #[arg(long, alias = "window", value_name = "FROM..TO")]
    range: String,
    /// The dimension whose values are ranked; several are ranked together.
    #[arg(long, value_delimiter = ',', required = true)]
    by: Vec<String>,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: i32,
    /// Such as 'channel = "phone"', over the KPI's dimensions.
    #[arg(long, default_value = "", hide_default_value = true)]
    filter: String,
}

/// Arguments of `remit kpi drift`.
#[derive(Debug, Args)]
pub(crate) struct Drift {
    /// A KPI of kind distribution, such as lead_score.
    kpi: String,
    /// The span to judge, such as 2026-05-01..2026-06-01.
    #[arg(long, alias = "window", value_name = "FROM..TO")]
    range: String,
    /// Such as 'model_version = "models/lead-scorer/versions/1"'.
    #[arg(long, default_value = "")]
    filter: String,
    /// The span to judge against.
    #[arg(long, value_name = "FROM..TO")]
    baseline: String,
    /// The KPI of the baseline, if it is another.
    #[arg(long, default_value = "")]
    baseline_kpi: String,
    /// The filter of the baseline.
    #[arg(long, default_value = "")]
    baseline_filter: String,
}

/// Arguments of `remit kpi calibration`.
#[derive(Debug, Args)]
pub(crate) struct Calibration {
    /// A KPI of scores with the dimensions model_version and outcome.
    #[arg(default_value = "lead_score_outcome")]
    kpi: String,
    /// When the outcomes became known, such as 2026-05-01..2026-06-01.
    #[arg(long, value_name = "FROM..TO")]
    range: String,
    /// Such as 'model_version = "models/lead-scorer/versions/1"'.
    #[arg(long, default_value = "")]
    filter: String,
}

/// The length of a bucket.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Bucket {
    /// 15 minutes.
    QuarterHour,
    /// An hour.
    Hour,
    /// A day in the KPI's time zone.
    Day,
    /// A week after ISO 8601.
    Week,
    /// A month.
    Month,
    /// A quarter.
    Quarter,
    /// A year.
    Year,
}

impl Bucket {
    /// The shortest one in which every bucket may have data.
    fn of(cadence: Cadence) -> Self {
        match cadence {
            Cadence::Weekly => Self::Week,
            Cadence::Monthly => Self::Month,
            Cadence::Quarterly => Self::Quarter,
            _ => Self::Day,
        }
    }

    /// As the contract has it.
    pub(super) fn granularity(self) -> Granularity {
        match self {
            Self::QuarterHour => Granularity::QuarterHour,
            Self::Hour => Granularity::Hour,
            Self::Day => Granularity::Day,
            Self::Week => Granularity::Week,
            Self::Month => Granularity::Month,
            Self::Quarter => Granularity::Quarter,
            Self::Year => Granularity::Year,
        }
    }
}

const COLUMNS: &[Column] = &[
    ("KPI", "name", "kpis/"),
    ("TITLE", "displayName", ""),
    ("LAYER", "layer", "LAYER_"),
    ("KIND", "kind", "KIND_"),
    ("UNIT", "unit", "UNIT_"),
    ("TARGET", "target", ""),
    ("STATE", "state", "KPI_STATE_"),
];
const CALIBRATION_COLUMNS: &[Column] = &[
    ("VERSION", "modelVersion", "models/"),
    ("N", "n", ""),
    ("POSITIVE", "positiveCount", ""),
    ("BRIER", "brierScore", ""),
    ("LOG LOSS", "logLoss", ""),
    ("ECE", "ece", ""),
    ("BY CHANCE", "eceExpected", ""),
    ("AUC", "auc", ""),
    ("FROM", "aucInterval.lower", ""),
    ("TO", "aucInterval.upper", ""),
    ("P", "pValue", ""),
    ("VERDICT", "verdict", "DRIFT_VERDICT_"),
];
const ROLLUP_COLUMNS: &[Column] = &[
    ("FROM", "startTime", ""),
    ("GROUP", "group", ""),
    ("VALUE", "value", ""),
    ("N", "n", ""),
    ("DATA", "dataState", "DATA_STATE_"),
    ("TARGET", "targetState", "TARGET_STATE_"),
    ("OPEN", "open", ""),
    ("RESTATED", "restated", ""),
];

const TOP_COLUMNS: &[Column] = &[
    ("GROUP", "group", ""),
    ("VALUE", "value", ""),
    ("N", "n", ""),
    ("FROM", "interval.lower", ""),
    ("TO", "interval.upper", ""),
    ("TARGET", "targetState", "TARGET_STATE_"),
];

/// Runs the command.
pub(super) async fn run(group: Group<Command>) -> Result<()> {
    let session = Session::open(&group.connection).await?;
    let mut client = KpiServiceClient::new(session.wire());
    match group.command {
        Command::List(list) => {
            session
                .list(list, COLUMNS, async |page: Page| {
                    let request = ListKpisRequest { page_size: page.size, page_token: page.token, filter: page.filter };
                    let page = client.list_kpis(request).await?.into_inner();
                    Ok((page.kpis, page.next_page_token))
                })
                .await
        }
        Command::Query(query) => {
            let request = query.request(&mut client).await?;
            let answer = answer(client.query_rollups(request).await)?;
            if session.out.json {
                return session.out.show(&answer);
            }
            session.out.list(&answer.rollups, ROLLUP_COLUMNS)?;
            match kpi_data::sparkline(&answer.rollups) {
                Some(line) => print_raw(format!("{line}\n").as_bytes()),
                None => Ok(()),
            }
        }
        Command::Export(query) => {
            let request = query.request(&mut client).await?;
            kpi_data::export(&answer(client.query_rollups(request).await)?.rollups)
        }
        Command::Top(top) => {
            let request = QueryRollupsRequest {
                kpi: named("kpis", &top.kpi),
                range: Some(span(&top.range, "range")?),
                group_by: top.by,
                filter: top.filter,
                top: top.limit,
                ..Default::default()
            };
            let found = answer(client.query_rollups(request).await)?;
            if session.out.json {
                return session.out.show(&found);
            }
            session.out.list(&found.rollups, TOP_COLUMNS)
        }
        Command::Events(given) => kpi_data::list(&session, given).await,
        Command::Record(given) => kpi_data::record(&session, given).await,
        Command::Import(given) => kpi_data::import(&session, given).await,
        Command::Experiment(command) => kpi_data::experiment(&session, command).await,
        Command::Pilot(command) => kpi_pilot::run(&session, command).await,
        Command::Alert(command) => kpi_alert::run(&session, command).await,
        Command::Drift(arguments) => drift(&session, arguments).await,
        Command::Settings(given) => kpi_settings::run(&session, given).await,
        Command::Calibration(arguments) => {
            let request = AssessCalibrationRequest {
                kpi: named("kpis", &arguments.kpi),
                range: Some(span(&arguments.range, "range")?),
                filter: arguments.filter,
            };
            let found = answer(client.assess_calibration(request).await)?;
            if session.out.json {
                return session.out.show(&found);
            }
            session.out.list(&found.models, CALIBRATION_COLUMNS)
        }
    }
}

async fn drift(session: &Session, arguments: Drift) -> Result<()> {
    let baseline_kpi = match arguments.baseline_kpi.as_str() {
        "" => String::new(),
        kpi => named("kpis", kpi),
    };
    let request = CompareDistributionsRequest {
        kpi: named("kpis", &arguments.kpi),
        window: Some(span(&arguments.range, "range")?),
        filter: arguments.filter,
        baseline_kpi,
        baseline: Some(span(&arguments.baseline, "baseline")?),
        baseline_filter: arguments.baseline_filter,
        thresholds: None,
    };
    let mut client = KpiServiceClient::new(session.wire());
    let mut value = json(&answer(client.compare_distributions(request).await)?)?;
    if let (false, Some(fields)) = (session.out.json, value.as_object_mut()) {
        // Bins are for programs and plots.
        fields.remove("histogram");
        fields.remove("baselineHistogram");
    }
    session.out.value(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_as_long_as_data_takes_to_be_due() {
        assert!(matches!(Bucket::of(Cadence::Quarterly), Bucket::Quarter));
        assert!(matches!(Bucket::of(Cadence::Continuous), Bucket::Day));
    }
}
