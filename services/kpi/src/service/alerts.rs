//! Alerts: rules that were found to hold.

use super::watchdog::{self, Finding, Found};
use super::{Service, pilots, retention};
use crate::store::alert_rules;
use crate::store::alerts::Alerts;
use crate::store::kpis::Kpis;
use futures::future::BoxFuture;
use remit_api::kpi::v1::alert_rule::Condition;
use remit_api::kpi::v1::threshold_condition::Comparison as Side;
use remit_api::kpi::v1::{
    AcknowledgeAlertRequest, Alert, AlertRule, AlertState, EvaluateAlertsRequest, EvaluateAlertsResponse,
    GetAlertRequest, ListAlertsRequest, ListAlertsResponse,
};
use remit_api::wire::{Word as _, range, time, time::stamp};
use remit_core::details::{AlertMoved, AlertsEvaluated, Details as _};
use remit_core::name::{AlertName, AlertRuleName};
use remit_core::{Error, Result};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _, Timer, TimerHandler, timers};
use std::collections::HashMap;
use std::time::Duration;

/// The timer of the hourly round.
const TIMER: &str = "kpi.alerts.evaluate";
/// How long after one round the next one begins.
const ROUND: Duration = Duration::from_secs(3_600);

/// Schedules the next round of evaluation.
///
/// # Errors
/// As the database says.
pub(super) async fn schedule(m: &mut Mutation) -> Result<()> {
    let (tenant, due) = (m.tenant().clone(), m.now().plus(ROUND));
    timers::schedule(m.tx(), &tenant, TIMER, TIMER, due, &[]).await
}

impl TimerHandler for Service {
    fn fire<'a>(&'a self, mutation: &'a mut Mutation, timer: &'a Timer) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match timer.kind.as_str() {
                TIMER => {
                    evaluate(mutation).await?;
                    schedule(mutation).await
                }
                pilots::TIMER => pilots::fire(mutation, &timer.id).await,
                retention::TIMER => retention::fire(mutation, &timer.payload).await,
                _ => Ok(()),
            }
        })
    }
}

impl Service {
    /// Evaluates every enabled rule now.
    ///
    /// # Errors
    /// As the database says.
    pub(crate) async fn evaluate_alerts(
        &self,
        cx: &Cx,
        request: EvaluateAlertsRequest,
    ) -> Result<EvaluateAlertsResponse> {
        self.mutate(cx, &request, async |m| {
            let response = evaluate(m).await?;
            m.record(&AlertRuleName::new("-").to_string(), |event| {
                event.details = AlertsEvaluated {
                    evaluated: response.evaluated_count,
                    fired: response.fired.len() as u64,
                    resolved: response.resolved.len() as u64,
                }
                .json();
            });
            Ok(response)
        })
        .await
    }

    /// Returns an alert.
    ///
    /// # Errors
    /// `NotFound` (`ALERT_NOT_FOUND`), `InvalidArgument` (`NAME_INVALID`).
    pub(crate) async fn get_alert(&self, cx: &Cx, request: GetAlertRequest) -> Result<Alert> {
        AlertName::parse(&request.name, "name")?;
        Alerts::get(&mut self.read(cx).await?, &cx.tenant, &request.name).await
    }

    /// Lists alerts, newest first.
    ///
    /// # Errors
    /// `InvalidArgument`: `FILTER_INVALID`, `PAGE_TOKEN_INVALID`.
    pub(crate) async fn list_alerts(&self, cx: &Cx, request: ListAlertsRequest) -> Result<ListAlertsResponse> {
        self.ready(&cx.tenant).await?;
        let (alerts, next_page_token) = Alerts::list(&self.db, &cx.tenant, cx.page(&request)).await?;
        Ok(ListAlertsResponse { alerts, next_page_token })
    }

    /// Notes that a person has seen an alert.
    ///
    /// # Errors
    /// `NotFound` (`ALERT_NOT_FOUND`), `FailedPrecondition` (`ALERT_ACKNOWLEDGED`), `InvalidArgument`
    /// (`NAME_INVALID`).
    pub(crate) async fn acknowledge_alert(&self, cx: &Cx, request: AcknowledgeAlertRequest) -> Result<Alert> {
        AlertName::parse(&request.name, "name")?;
        self.mutate(cx, &request, async |m| {
            let mut alert = Alerts::claim(m, &request.name).await?;
            if alert.acknowledge_time.is_some() {
                let message = format!("{} was acknowledged by {}", alert.name, alert.acknowledged_by);
                return Err(Error::precondition("ALERT_ACKNOWLEDGED", message));
            }
            alert.acknowledged_by.clone_from(&cx.actor.subject);
            alert.acknowledge_time = Some(stamp(m.now()));
            alert.acknowledgement.clone_from(&request.comment);
            Alerts::save(m, &mut alert).await?;
            m.record(&alert.name, |event| event.reason.clone_from(&request.comment));
            Ok(alert)
        })
        .await
    }
}

/// Evaluates every enabled rule: a condition that begins to hold raises an alert, one that no longer holds
/// resolves it; each is an audit event.
async fn evaluate(m: &mut Mutation) -> Result<EvaluateAlertsResponse> {
    let tenant = m.tenant().clone();
    let rules = alert_rules::claim_all(m).await?;
    let now = m.now();
    let firing = Alerts::in_states(m.tx(), &tenant, &[AlertState::Firing.word()]).await?;
    let firing: HashMap<String, Alert> = firing.into_iter().map(|alert| (alert.rule.clone(), alert)).collect();
    let known = Kpis::all(m.tx(), &tenant, &[]).await?.into_iter().map(|kpi| (kpi.name.clone(), kpi)).collect();
    let mut response = EvaluateAlertsResponse::default();
    for mut rule in rules.into_iter().filter(|rule| !rule.disabled) {
        response.evaluated_count += 1;
        rule.evaluate_time = Some(stamp(now));
        alert_rules::save_evaluated(m, &rule).await?;
        match (watchdog::judge(m.tx(), &tenant, &known, &rule, now.0).await?, firing.get(&rule.name)) {
            (Finding::Holds(found), before) => {
                if let Some(before) = before {
                    if !is_graver(&rule, before, &found) {
                        still(m, before, &found).await?;
                        continue;
                    }
                    response.resolved.push(resolve(m, &before.name).await?);
                }
                let mut alert = Alert {
                    name: AlertName::new(m.new_id()).to_string(),
                    rule: rule.name,
                    severity: rule.severity,
                    state: AlertState::Firing.into(),
                    message: found.message,
                    kpi: found.kpi,
                    range: Some(range::message(&found.span.into())),
                    value: found.value,
                    n: found.n,
                    fire_time: Some(stamp(now)),
                    ..Alert::default()
                };
                Alerts::insert(m, &mut alert).await?;
                record(m, "kpi.alerts.fire", &alert);
                response.fired.push(alert);
            }
            (Finding::Clear, Some(before)) => response.resolved.push(resolve(m, &before.name).await?),
            (Finding::Unknown(why), Some(before)) => note(m, before, format!("not measured: {why}")).await?,
            (Finding::Clear | Finding::Unknown(_), None) => {}
        }
    }
    Ok(response)
}

/// Whether a breach is another one than that which a person took note of: of a later period, and further beyond the limit.
/// Else a limit that is always crossed, once acknowledged, would hide every breach that comes.
fn is_graver(rule: &AlertRule, before: &Alert, found: &Found) -> bool {
    let seen = before.acknowledge_time.is_some();
    let later = before
        .range
        .as_ref()
        .and_then(|range| range.end_time.as_ref())
        .is_some_and(|end| found.span.start >= time::of(end).0);
    let (Some(Condition::Threshold(condition)), Some(was), Some(is)) = (&rule.condition, before.value, found.value)
    else {
        return false;
    };
    let further = match condition.comparison() {
        Side::Above => is > was,
        Side::Below => is < was,
        Side::Unspecified => false,
    };
    seen && later && further
}

/// Says of an alert that fires what was found last. What a person took note of stays as she saw it, with the latest
/// beside it: else what came later would look as if it had been seen.
async fn still(m: &mut Mutation, before: &Alert, found: &Found) -> Result<()> {
    if before.acknowledge_time.is_some() {
        let note_of = if before.message == found.message { String::new() } else { found.message.clone() };
        return note(m, before, note_of).await;
    }
    let range = Some(range::message(&found.span.into()));
    if before.message == found.message && before.range == range && before.note.is_empty() {
        return Ok(());
    }
    let mut alert = Alerts::claim(m, &before.name).await?;
    alert.message.clone_from(&found.message);
    alert.note = String::new();
    (alert.range, alert.value, alert.n) = (range, found.value, found.n);
    Alerts::save(m, &mut alert).await
}

/// Notes beside a firing alert what the last look at it found, if that is new.
async fn note(m: &mut Mutation, before: &Alert, note: String) -> Result<()> {
    // Nobody else writes notes: whoever evaluates has claimed the rules.
    if before.note == note {
        return Ok(());
    }
    let mut alert = Alerts::claim(m, &before.name).await?;
    alert.note = note;
    Alerts::save(m, &mut alert).await
}

async fn resolve(m: &mut Mutation, name: &str) -> Result<Alert> {
    let mut alert = Alerts::claim(m, name).await?;
    alert.set_state(AlertState::Resolved);
    alert.resolve_time = Some(stamp(m.now()));
    Alerts::save(m, &mut alert).await?;
    record(m, "kpi.alerts.resolve", &alert);
    Ok(alert)
}

/// Ends the alert of a rule that looks for something else from now on, with what was said about it: whatever the changed
/// rule finds is raised anew.
pub(super) async fn supersede(m: &mut Mutation, rule: &str) -> Result<()> {
    let tenant = m.tenant().clone();
    let firing = Alerts::in_states(m.tx(), &tenant, &[AlertState::Firing.word()]).await?;
    for alert in firing.into_iter().filter(|alert| alert.rule == rule) {
        resolve(m, &alert.name).await?;
    }
    Ok(())
}

fn record(m: &mut Mutation, action: &str, alert: &Alert) {
    let mut event = m.event(action, &alert.name);
    event.reason.clone_from(&alert.message);
    event.details = AlertMoved {
        rule: alert.rule.clone(),
        kpi: alert.kpi.clone(),
        severity: alert.severity().word().to_owned(),
        value: alert.value,
        n: alert.n,
        // The timer that found it, if one did, is there already.
        ..AlertMoved::read(&event.details).unwrap_or_default()
    }
    .json();
    m.record_event(event);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Span;
    use remit_api::kpi::v1::ThresholdCondition;

    #[test]
    fn what_a_person_has_seen_covers_no_graver_breach_of_a_later_period() {
        let rule = |comparison: Side| AlertRule {
            condition: Some(Condition::Threshold(ThresholdCondition {
                comparison: comparison.into(),
                ..Default::default()
            })),
            ..Default::default()
        };
        let seen = Alert {
            range: Some(range::message(&Span { start: 0, end: 100 }.into())),
            value: Some(3.0),
            acknowledge_time: Some(stamp(remit_core::Timestamp(50))),
            ..Alert::default()
        };
        let found = |start, value| Found {
            kpi: String::new(),
            span: Span { start, end: start + 100 },
            value: Some(value),
            n: 1,
            message: String::new(),
        };
        let above = rule(Side::Above);
        assert!(is_graver(&above, &seen, &found(100, 100.0)));
        assert!(!is_graver(&above, &seen, &found(100, 3.0)) && !is_graver(&above, &seen, &found(0, 100.0)));
        assert!(is_graver(&rule(Side::Below), &seen, &found(100, 2.0)));
        assert!(!is_graver(&rule(Side::Below), &seen, &found(100, 100.0)));
        let unseen = Alert { acknowledge_time: None, ..seen.clone() };
        assert!(!is_graver(&above, &unseen, &found(100, 100.0)), "somebody has yet to look at it");
        assert!(!is_graver(&AlertRule::default(), &seen, &found(100, 100.0)));
    }
}
