//! `remit kpi alert`: the rules that watch KPIs, and what they found.

use super::connect::{Session, answer};
use super::kpi::Bucket;
use super::list::{ListArgs, Page};
use super::output::Column;
use super::values::named;
use clap::{Args, Subcommand, ValueEnum};
use remit_api::kpi::v1::alert_rule::Condition;
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::kpi::v1::threshold_condition::Comparison;
use remit_api::kpi::v1::{
    AlertRule, AlertSeverity, AnomalyCondition, CreateAlertRuleRequest, GuardCondition, ListAlertRulesRequest,
    ListAlertsRequest, MissingDataCondition, PacingCondition, ShiftCondition, ThresholdCondition,
};
use remit_core::Result;

/// What to do with alerts and their rules.
#[derive(Debug, Subcommand)]
pub(crate) enum Alerts {
    /// List alerts, such as those with 'state = "FIRING"'.
    List(ListArgs),
    /// List the rules that raise them.
    Rules {
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Make a rule that watches a KPI.
    Create(Box<Create>),
}

/// Arguments of `remit kpi alert create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What to call the rule, such as slow-calls.
    rule: String,
    /// The KPI to watch.
    #[arg(long)]
    kpi: String,
    /// What it is for people; the name of the rule if absent.
    #[arg(long, default_value = "", hide_default_value = true)]
    title: String,
    /// How bad it is.
    #[arg(long, value_enum, default_value_t = Severity::Warning)]
    severity: Severity,
    /// The length of the periods that are judged.
    #[arg(long, value_enum, default_value_t = Bucket::Day)]
    by: Bucket,
    /// Such as 'channel = "phone"', over the KPI's dimensions.
    #[arg(long, default_value = "", hide_default_value = true)]
    filter: String,
    /// How many complete periods in a row must show it.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    periods: i32,
    /// The least n of a period, below which a limit says nothing.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    min_n: i64,
    #[command(flatten)]
    when: When,
}

/// When a rule fires.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct When {
    /// The value is above this limit.
    #[arg(long, value_name = "LIMIT", allow_hyphen_values = true)]
    above: Option<f64>,
    /// The value is below this limit.
    #[arg(long, value_name = "LIMIT", allow_hyphen_values = true)]
    below: Option<f64>,
    /// The total runs a tenth ahead of or behind an even pace to this plan.
    #[arg(long, value_name = "TOTAL")]
    off_plan: Option<f64>,
    /// The value is out of the control limits of the periods before.
    #[arg(long)]
    anomaly: bool,
    /// The value has shifted and stays there.
    #[arg(long)]
    shift: bool,
    /// Nothing is recorded.
    #[arg(long)]
    silent: bool,
    /// It gets better while one of its guards gets worse.
    #[arg(long)]
    guard: bool,
}

/// How far a total may be off its plan.
const TOLERANCE: f64 = 0.1;

/// How bad it is when a rule fires.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Severity {
    /// For information.
    Info,
    /// To be looked at soon.
    Warning,
    /// To be looked at now.
    Critical,
}

impl Create {
    fn condition(&self) -> Condition {
        let (kpi, granularity, filter) = (named("kpis", &self.kpi), self.by.granularity().into(), self.filter.clone());
        let when = &self.when;
        let limits = [(when.above, Comparison::Above), (when.below, Comparison::Below)];
        if let Some((Some(limit), comparison)) = limits.into_iter().find(|(limit, _)| limit.is_some()) {
            let (consecutive_periods, min_n) = (self.periods, self.min_n);
            let comparison = comparison.into();
            let limit = ThresholdCondition { kpi, comparison, limit, granularity, consecutive_periods, min_n, filter };
            return Condition::Threshold(limit);
        }
        if let Some(planned_total) = when.off_plan {
            let tolerance_ratio = TOLERANCE;
            let pace =
                PacingCondition { kpi, planned_total, granularity, tolerance_ratio, filter, ..Default::default() };
            return Condition::Pacing(pace);
        }
        if when.anomaly {
            return Condition::Anomaly(AnomalyCondition { kpi, granularity, filter, ..Default::default() });
        }
        if when.shift {
            return Condition::Shift(ShiftCondition { kpi, granularity, filter, ..Default::default() });
        }
        if when.silent {
            return Condition::MissingData(MissingDataCondition { kpi, granularity, periods: self.periods, filter });
        }
        Condition::Guard(GuardCondition { kpi, granularity, ..Default::default() })
    }

    fn rule(&self) -> AlertRule {
        let severity = match self.severity {
            Severity::Info => AlertSeverity::Info,
            Severity::Warning => AlertSeverity::Warning,
            Severity::Critical => AlertSeverity::Critical,
        };
        let display_name = if self.title.is_empty() { &self.rule } else { &self.title }.clone();
        AlertRule { display_name, severity: severity.into(), condition: Some(self.condition()), ..AlertRule::default() }
    }
}

const ALERT_COLUMNS: &[Column] = &[
    ("ALERT", "name", "alerts/"),
    ("SEVERITY", "severity", "ALERT_SEVERITY_"),
    ("STATE", "state", "ALERT_STATE_"),
    ("KPI", "kpi", "kpis/"),
    ("VALUE", "value", ""),
    ("N", "n", ""),
    ("MESSAGE", "message", ""),
];
const RULE_COLUMNS: &[Column] = &[
    ("RULE", "name", "alertRules/"),
    ("TITLE", "displayName", ""),
    ("SEVERITY", "severity", "ALERT_SEVERITY_"),
    ("DISABLED", "disabled", ""),
    ("LOOKED AT", "evaluateTime", ""),
];

/// Runs `remit kpi alert`.
pub(super) async fn run(session: &Session, command: Alerts) -> Result<()> {
    let mut client = KpiServiceClient::new(session.wire());
    match command {
        Alerts::List(list) => {
            session
                .list(list, ALERT_COLUMNS, async |page: Page| {
                    let request =
                        ListAlertsRequest { page_size: page.size, page_token: page.token, filter: page.filter };
                    let page = client.list_alerts(request).await?.into_inner();
                    Ok((page.alerts, page.next_page_token))
                })
                .await
        }
        Alerts::Rules { limit } => {
            session
                .list(ListArgs { filter: String::new(), limit }, RULE_COLUMNS, async |page: Page| {
                    let request = ListAlertRulesRequest { page_size: page.size, page_token: page.token };
                    let page = client.list_alert_rules(request).await?.into_inner();
                    Ok((page.alert_rules, page.next_page_token))
                })
                .await
        }
        Alerts::Create(given) => {
            let request = CreateAlertRuleRequest {
                alert_rule_id: given.rule.clone(),
                alert_rule: Some(given.rule()),
                request_id: session.request_id(),
            };
            session.out.show(&answer(client.create_alert_rule(request).await)?)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        given: Create,
    }

    fn rule(line: &[&str]) -> Result<AlertRule, clap::Error> {
        let line = [&["alert", "slow", "--kpi", "call_seconds"][..], line].concat();
        Line::try_parse_from(line).map(|line| line.given.rule())
    }

    #[test]
    fn a_line_says_one_condition() {
        let found = rule(&["--above", "300", "--periods", "3", "--severity", "critical", "--by", "week"]).unwrap();
        assert_eq!((found.display_name.as_str(), found.severity()), ("slow", AlertSeverity::Critical));
        let Some(Condition::Threshold(limit)) = &found.condition else { panic!("{found:?}") };
        assert_eq!((limit.kpi.as_str(), limit.limit, limit.consecutive_periods), ("kpis/call_seconds", 300.0, 3));
        assert_eq!((limit.comparison(), limit.granularity), (Comparison::Above, Bucket::Week.granularity().into()));
        for (line, expected) in [
            (&["--below", "-1"][..], "Threshold"),
            (&["--off-plan", "900", "--by", "month"], "Pacing"),
            (&["--anomaly"], "Anomaly"),
            (&["--shift"], "Shift"),
            (&["--silent", "--periods", "2"], "MissingData"),
            (&["--guard"], "Guard"),
        ] {
            let found = format!("{:?}", rule(line).unwrap().condition.unwrap());
            assert!(found.starts_with(expected), "{line:?}: {found}");
        }
        assert!(rule(&[]).is_err() && rule(&["--shift", "--silent"]).is_err());
    }
}
