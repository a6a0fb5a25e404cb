//! `remit kpi pilot`: a change that is tried in one domain first.

use super::connect::{Session, answer, message};
use super::list::{ListArgs, Page};
use super::output::Column;
use super::values::named;
use clap::Subcommand;
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::kpi::v1::{
    ConcludePilotRequest, CreatePilotRequest, GetPilotRequest, ListPilotsRequest, ReportPilotRequest,
    ReportPilotResponse,
};
use remit_core::Result;
use std::path::PathBuf;

/// What to do with pilots.
#[derive(Debug, Subcommand)]
pub(crate) enum Pilots {
    /// Write down a pilot before it starts: domain, KPIs, baseline, 42 to 56 days, exit criteria.
    Create {
        /// What to call it, such as subject-lines.
        id: String,
        /// The pilot as YAML or JSON; docs/kpi.md has one.
        file: PathBuf,
    },
    /// List pilots.
    List {
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Show how a pilot was written down.
    Get {
        /// The pilot.
        pilot: String,
    },
    /// Show what a pilot found beside its baseline, once it was judged.
    Report {
        /// The pilot.
        pilot: String,
    },
    /// Say what is concluded from a pilot that was judged, or give up one that was not.
    Conclude {
        /// The pilot.
        pilot: String,
        /// What is concluded, or why it is given up.
        #[arg(long)]
        conclusion: String,
    },
}

const PILOT_COLUMNS: &[Column] = &[
    ("PILOT", "name", "pilots/"),
    ("DOMAIN", "domain", ""),
    ("FROM", "startTime", ""),
    ("TO", "endTime", ""),
    ("JUDGED", "judgeTime", ""),
    ("CONCLUDED", "concludeTime", ""),
    ("CONCLUSION", "conclusion", ""),
];
const FIGURE_COLUMNS: &[Column] = &[
    ("KPI", "kpi", "kpis/"),
    ("VALUE", "value", ""),
    ("FROM", "interval.lower", ""),
    ("TO", "interval.upper", ""),
    ("N", "n", ""),
    ("LATE", "lateCount", ""),
];
const CHANGE_COLUMNS: &[Column] = &[
    ("KPI", "kpi", "kpis/"),
    ("VERSION", "kpiVersion", ""),
    ("CHANGE", "difference", ""),
    ("RELATIVE", "relativeDifference", ""),
    ("FROM", "differenceInterval.lower", ""),
    ("TO", "differenceInterval.upper", ""),
    ("P", "adjustedPValue", ""),
    ("VERDICT", "verdict", "CHANGE_VERDICT_"),
];
const CRITERION_COLUMNS: &[Column] = &[
    ("EXIT CRITERION", "criterion.kpi", "kpis/"),
    ("HAS TO BE", "criterion.comparison", "COMPARISON_"),
    ("LIMIT", "criterion.limit", ""),
    ("VALUE", "value", ""),
    ("FROM", "interval.lower", ""),
    ("TO", "interval.upper", ""),
    ("N", "n", ""),
    ("STATE", "state", "STATE_"),
];
const CASE_COLUMNS: &[Column] =
    &[("ONE OTHER ROLLOUT", "measure", ""), ("RELATIVE", "relativeDifference", ""), ("EVIDENCE", "evidence", "")];

/// Runs `remit kpi pilot`.
pub(super) async fn run(session: &Session, command: Pilots) -> Result<()> {
    let mut client = KpiServiceClient::new(session.wire());
    match command {
        Pilots::Create { id, file } => {
            let request = CreatePilotRequest {
                pilot_id: id,
                pilot: Some(message(&file, "PILOT_FILE_INVALID")?),
                request_id: session.request_id(),
            };
            session.show(client.create_pilot(request).await)
        }
        Pilots::List { limit } => {
            let list = ListArgs { filter: String::new(), limit };
            session
                .list(list, PILOT_COLUMNS, async |page: Page| {
                    let request = ListPilotsRequest { page_size: page.size, page_token: page.token };
                    let page = client.list_pilots(request).await?.into_inner();
                    Ok((page.pilots, page.next_page_token))
                })
                .await
        }
        Pilots::Get { pilot } => {
            let request = GetPilotRequest { name: named("pilots", &pilot) };
            session.show(client.get_pilot(request).await)
        }
        Pilots::Report { pilot } => {
            let request = ReportPilotRequest { name: named("pilots", &pilot) };
            show(session, &answer(client.report_pilot(request).await)?)
        }
        Pilots::Conclude { pilot, conclusion } => {
            let name = named("pilots", &pilot);
            let request = ConcludePilotRequest { name, conclusion, request_id: session.request_id() };
            session.show(client.conclude_pilot(request).await)
        }
    }
}

/// Shows what a pilot found.
fn show(session: &Session, found: &ReportPilotResponse) -> Result<()> {
    if session.out.json {
        return session.out.show(found);
    }
    let (pilot, result) = (found.pilot.clone().unwrap_or_default(), found.result.clone().unwrap_or_default());
    let state = found.state().as_str_name().trim_start_matches("PILOT_STATE_").to_lowercase();
    session.out.note(&format!("{} in {} is {state}", pilot.name, pilot.domain));
    if !pilot.preceded_by.is_empty() {
        session.out.note(&format!("the same was tried before: {}", pilot.preceded_by.join(", ")));
    }
    for (what, measured) in [
        ("baseline, as it was when the pilot started", &result.baseline),
        ("pilot, as it was when it was judged", &result.pilot),
    ] {
        if let Some(measured) = measured {
            session.out.note(what);
            session.out.list(&measured.figures, FIGURE_COLUMNS)?;
        }
    }
    if !result.changes.is_empty() {
        session.out.note("change");
        session.out.list(&result.changes, CHANGE_COLUMNS)?;
    }
    session.out.list(&result.criteria, CRITERION_COLUMNS)?;
    if !pilot.result_digest.is_empty() {
        let exit = if result.exit { "every exit criterion is met" } else { "not every exit criterion is met" };
        session.out.note(&format!("{exit}; {}", pilot.result_digest));
    }
    if found.restated.is_some() {
        session.out.note("by what is recorded now the figures are others, which changes no verdict: --json shows them");
    }
    session.out.list(&found.case_figures, CASE_COLUMNS)?;
    session.out.note(&found.caveat);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use remit_api::kpi::v1::Pilot;

    #[test]
    fn the_pilot_of_the_page_is_one() {
        let page = include_str!("../../../../docs/kpi.md");
        let (_, rest) = page.split_once("```yaml\n").unwrap();
        let pilot: Pilot = super::super::connect::parse(rest.split_once("```").unwrap().0).unwrap();
        assert!((42..=56).contains(&pilot.days) && !pilot.exit_criteria.is_empty());
        assert!(pilot.exit_criteria.iter().all(|criterion| pilot.kpis.contains(&criterion.kpi)));
    }
}
