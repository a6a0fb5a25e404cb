//! `remit kpi settings`: the money and the calendar of the organisation, its pilots, and how long it keeps events.

use super::connect::{Session, answer};
use clap::{Args, ValueEnum};
use prost_types::FieldMask;
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::kpi::v1::{
    GetOrganizationSettingsRequest, OrganizationSettings, UpdateOrganizationSettingsRequest, Weekday,
};
use remit_core::Result;

/// Arguments of `remit kpi settings`; without any, it shows them.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// The currency of the shipped KPIs in money, such as EUR.
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// The time zone of their days, such as Europe/Berlin.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// The first day of their weeks.
    #[arg(long, value_enum)]
    week_start: Option<Day>,
    /// The month in which their years and quarters begin, 1 to 12.
    #[arg(long, value_name = "MONTH", value_parser = clap::value_parser!(i32).range(1..=12))]
    fiscal_year_start: Option<i32>,
    /// How many pilots may be active at once, 1 to 20.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=20))]
    max_active_pilots: Option<i32>,
    /// For how many days events are kept, 400 at least; 0 is for ever. What is deleted does not come back.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i32).range(0..=36_500))]
    event_retention_days: Option<i32>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl From<Day> for Weekday {
    fn from(day: Day) -> Self {
        match day {
            Day::Monday => Self::Monday,
            Day::Tuesday => Self::Tuesday,
            Day::Wednesday => Self::Wednesday,
            Day::Thursday => Self::Thursday,
            Day::Friday => Self::Friday,
            Day::Saturday => Self::Saturday,
            Day::Sunday => Self::Sunday,
        }
    }
}

impl Settings {
    /// What is wanted, and which fields that are.
    fn wanted(self, name: String) -> (OrganizationSettings, Vec<String>) {
        let mut settings = OrganizationSettings { name, ..Default::default() };
        let mut paths = Vec::new();
        if let Some(currency) = self.currency {
            settings.currency_code = currency;
            paths.push("currency_code".to_owned());
        }
        if let Some(zone) = self.time_zone {
            settings.time_zone = zone;
            paths.push("time_zone".to_owned());
        }
        if let Some(day) = self.week_start {
            settings.set_week_start(day.into());
            paths.push("week_start".to_owned());
        }
        if let Some(month) = self.fiscal_year_start {
            settings.fiscal_year_start_month = month;
            paths.push("fiscal_year_start_month".to_owned());
        }
        if let Some(most) = self.max_active_pilots {
            settings.max_active_pilots = most;
            paths.push("max_active_pilots".to_owned());
        }
        if let Some(days) = self.event_retention_days {
            settings.event_retention_days = days;
            paths.push("event_retention_days".to_owned());
        }
        (settings, paths)
    }
}

/// Runs `remit kpi settings`.
pub(super) async fn run(session: &Session, given: Settings) -> Result<()> {
    let mut client = KpiServiceClient::new(session.wire());
    let name = "organizationSettings/current".to_owned();
    let (mut wanted, paths) = given.wanted(name.clone());
    let current = answer(client.get_organization_settings(GetOrganizationSettingsRequest { name }).await)?;
    if paths.is_empty() {
        return session.out.show(&current);
    }
    if wanted.currency_code.is_empty() {
        // Not looked at, but never without one.
        wanted.currency_code = current.currency_code;
    }
    let request = UpdateOrganizationSettingsRequest {
        organization_settings: Some(wanted),
        update_mask: Some(FieldMask { paths }),
        request_id: session.request_id(),
    };
    session.out.show(&answer(client.update_organization_settings(request).await)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        given: Settings,
    }

    #[test]
    fn only_what_is_said_changes() {
        let wanted = |line: &[&str]| {
            let line = Line::try_parse_from([&["settings"], line].concat())?;
            Ok::<_, clap::Error>(line.given.wanted("organizationSettings/current".to_owned()))
        };
        let (settings, paths) = wanted(&["--week-start", "sunday", "--fiscal-year-start", "4"]).unwrap();
        assert_eq!((settings.week_start(), settings.fiscal_year_start_month), (Weekday::Sunday, 4));
        assert_eq!(paths, ["week_start", "fiscal_year_start_month"]);
        let (settings, paths) = wanted(&["--event-retention-days", "0", "--max-active-pilots", "2"]).unwrap();
        assert_eq!((settings.event_retention_days, settings.max_active_pilots), (0, 2));
        assert_eq!(paths, ["max_active_pilots", "event_retention_days"]);
        assert!(wanted(&[]).unwrap().1.is_empty() && wanted(&["--fiscal-year-start", "13"]).is_err());
    }
}
