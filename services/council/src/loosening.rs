//! Proposals to loosen a rule: what they name, and what they saw of it.

use crate::ask::Ask;
use crate::changes;
use remit_api::council::v1::loosen_rules::Change;
use remit_api::council::v1::{FieldChange, LoosenRules};
use remit_api::handoff::v1::GetCalendarRequest;
use remit_api::handoff::v1::calendar_service_client::CalendarServiceClient;
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::kpi::v1::{GetAlertRuleRequest, GetKpiRequest};
use remit_api::scoring::v1::GetFunctionRequest;
use remit_api::scoring::v1::function_service_client::FunctionServiceClient;
use remit_core::name::{AlertRuleName, CalendarName, FunctionName, KpiName};
use remit_core::{Error, Result};
use remit_runtime::foreign;

const FIELD: &str = "proposal.action.loosen_rules";

/// Refuses one that names nothing of the right form.
///
/// # Errors
/// `InvalidArgument`: `ACTION_REQUIRED`, `NAME_INVALID`.
pub(crate) fn check(loosening: &LoosenRules) -> Result<()> {
    let field = |field: &str| format!("{FIELD}.{field}");
    match &loosening.change {
        Some(Change::Function(function)) => FunctionName::parse(&function.name, &field("function.name")).map(drop),
        Some(Change::Kpi(kpi)) => KpiName::parse(&kpi.name, &field("kpi.name")).map(drop),
        Some(Change::RetireKpi(name)) => KpiName::parse(name, &field("retire_kpi")).map(drop),
        Some(Change::AlertRule(rule)) => AlertRuleName::parse(&rule.name, &field("alert_rule.name")).map(drop),
        Some(Change::DeleteAlertRule(name)) => AlertRuleName::parse(name, &field("delete_alert_rule")).map(drop),
        Some(Change::Calendar(calendar)) => CalendarName::parse(&calendar.name, &field("calendar.name")).map(drop),
        None => Err(Error::invalid("ACTION_REQUIRED", FIELD, "must say which rule becomes looser")),
    }
}

/// The rule that it is about; empty if it names none.
pub(crate) fn name(loosening: &LoosenRules) -> &str {
    match &loosening.change {
        Some(Change::Function(function)) => &function.name,
        Some(Change::Kpi(kpi)) => &kpi.name,
        Some(Change::AlertRule(rule)) => &rule.name,
        Some(Change::RetireKpi(name) | Change::DeleteAlertRule(name)) => name,
        Some(Change::Calendar(calendar)) => &calendar.name,
        None => "",
    }
}

/// Takes over the etag of what is there, where the proposer named none.
fn pin(named: &mut String, found: String, name: &str) -> Result<()> {
    if named.is_empty() {
        *named = found;
    } else if *named != found {
        let message = format!("{name} is not what the proposer saw: read it again, its etag is {found}");
        return Err(Error::precondition("CONTENT_CHANGED", message));
    }
    Ok(())
}

/// Looks up the rule, and pins what the proposer saw of it: what is tightened meanwhile is not undone unseen. Returns what
/// would change of it.
///
/// # Errors
/// `NotFound` with the reason of the service that keeps it; `FailedPrecondition` (`CONTENT_CHANGED`); `Unavailable` if
/// that cannot be asked.
pub(crate) async fn look_up(ask: Ask<'_>, loosening: &mut LoosenRules) -> Result<Vec<FieldChange>> {
    let name = name(loosening).to_owned();
    match &mut loosening.change {
        Some(Change::Function(function)) => {
            let mut client = FunctionServiceClient::new(ask.channel("scoring"));
            let request = ask.of(GetFunctionRequest { name: name.clone() });
            let found = client.get_function(request).await.map_err(foreign)?.into_inner();
            // Older decisions are no part of what this one is about.
            function.mandate.clear();
            let changes = changes::of_update(&found, function)?;
            pin(&mut function.etag, found.etag, &name)?;
            Ok(changes)
        }
        Some(Change::Kpi(kpi)) => {
            let mut client = KpiServiceClient::new(ask.channel("kpi"));
            let request = ask.of(GetKpiRequest { name: name.clone() });
            let found = client.get_kpi(request).await.map_err(foreign)?.into_inner();
            kpi.mandate.clear();
            let changes = changes::of_update(&found, kpi)?;
            pin(&mut kpi.etag, found.etag, &name)?;
            Ok(changes)
        }
        Some(Change::RetireKpi(_)) => {
            let mut client = KpiServiceClient::new(ask.channel("kpi"));
            let request = ask.of(GetKpiRequest { name: name.clone() });
            let found = client.get_kpi(request).await.map_err(foreign)?.into_inner();
            changes::of_end(&name, &found)
        }
        Some(Change::AlertRule(rule)) => {
            let mut client = KpiServiceClient::new(ask.channel("kpi"));
            let request = ask.of(GetAlertRuleRequest { name: name.clone() });
            let found = client.get_alert_rule(request).await.map_err(foreign)?.into_inner();
            rule.mandate.clear();
            let changes = changes::of_update(&found, rule)?;
            pin(&mut rule.etag, found.etag, &name)?;
            Ok(changes)
        }
        Some(Change::DeleteAlertRule(_)) => {
            let mut client = KpiServiceClient::new(ask.channel("kpi"));
            let request = ask.of(GetAlertRuleRequest { name: name.clone() });
            let found = client.get_alert_rule(request).await.map_err(foreign)?.into_inner();
            let changes = changes::of_end(&name, &found)?;
            pin(&mut loosening.etag, found.etag, &name)?;
            Ok(changes)
        }
        Some(Change::Calendar(calendar)) => {
            let mut client = CalendarServiceClient::new(ask.channel("handoff"));
            let request = ask.of(GetCalendarRequest { name: name.clone() });
            let found = client.get_calendar(request).await.map_err(foreign)?.into_inner();
            calendar.mandate.clear();
            let changes = changes::of_update(&found, calendar)?;
            pin(&mut calendar.etag, found.etag, &name)?;
            Ok(changes)
        }
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use remit_api::kpi::v1::AlertRule;

    #[test]
    fn a_rule_is_named_in_its_form() {
        let of = |change: Change| LoosenRules { change: Some(change), etag: String::new() };
        let rule = of(Change::AlertRule(AlertRule { name: "alertRules/a".into(), ..Default::default() }));
        assert!(check(&rule).is_ok());
        assert_eq!(name(&rule), "alertRules/a");
        let wrong = of(Change::RetireKpi("alertRules/a".into()));
        assert_eq!(check(&wrong).unwrap_err().reason(), "NAME_INVALID");
        assert_eq!(check(&LoosenRules::default()).unwrap_err().reason(), "ACTION_REQUIRED");
    }

    #[test]
    fn what_the_proposer_saw_is_pinned() {
        let mut named = String::new();
        pin(&mut named, "r3".into(), "kpis/k").unwrap();
        assert_eq!(named, "r3");
        assert_eq!(pin(&mut named, "r4".into(), "kpis/k").unwrap_err().reason(), "CONTENT_CHANGED");
    }
}
