//! Alert rules, and the alerts that they raise.

use super::definitions::etag_mismatch;
use super::{Kpis, timestamp};
use crate::service::watchdog::{self, Finding};
use crate::store as sql;
use crate::store::alerts as store;
use futures::future::BoxFuture;
use prost::Message;
use remit_api::kpi::v1::{
    AcknowledgeAlertRequest, Alert, AlertRule, AlertState, CreateAlertRuleRequest, DeleteAlertRuleRequest,
    DeleteAlertRuleResponse, EvaluateAlertsResponse, GetAlertRequest, GetAlertRuleRequest, ListAlertRulesRequest,
    ListAlertRulesResponse, ListAlertsRequest, ListAlertsResponse, UpdateAlertRuleRequest,
};
use remit_core::{Error, Kind, Result, Tenant, Timestamp, digest, name};
use remit_runtime::{Started, begin, finish};
use remit_store::filter::Field;
use remit_store::{Call, Mutation, Timer, TimerHandler, Tx, Value, filter, page, timers};
use std::time::Duration;

/// What a list of alerts can be filtered by.
const FIELDS: [Field; 4] = [
    Field::words("state", "state", &["FIRING", "RESOLVED"]),
    Field::words("severity", "severity", &["INFO", "WARNING", "CRITICAL"]),
    Field::text("rule", "rule_id"),
    Field::text("kpi", "kpi_id"),
];

/// The timer of the hourly round.
const TIMER: &str = "kpi.alerts.evaluate";
/// How long after one round the next one begins.
const ROUND: Duration = Duration::from_secs(3_600);

/// Schedules the next round of evaluation.
///
/// # Errors
/// As the database says.
pub async fn schedule(tx: &mut Tx, tenant: &Tenant, now: Timestamp) -> Result<()> {
    timers::schedule(tx, tenant, TIMER, TIMER, now.plus(ROUND), &[]).await
}

impl TimerHandler for Kpis {
    fn fire<'a>(&'a self, mutation: &'a mut Mutation, timer: &'a Timer) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if timer.kind == TIMER {
                self.evaluate(mutation).await?;
                let tenant = mutation.tenant().clone();
                schedule(mutation.tx(), &tenant, timer.detected_at).await?;
            }
            Ok(())
        })
    }
}

impl Kpis {
    /// Creates a rule.
    ///
    /// # Errors
    /// `AlreadyExists` (`ALERT_RULE_EXISTS`), `NotFound` (`KPI_UNKNOWN`), `InvalidArgument` naming the field.
    pub async fn create_alert_rule(&self, call: Call, request: CreateAlertRuleRequest) -> Result<AlertRule> {
        self.ready(&call.tenant).await?;
        let mut mutation = match begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        let wanted = request.alert_rule.unwrap_or_default();
        watchdog::check(self, mutation.tx(), &tenant, wanted.condition.as_ref()).await?;
        let rule = AlertRule {
            name: format!("alertRules/{}", request.alert_rule_id),
            etag: "r1".to_owned(),
            create_time: timestamp(now),
            update_time: timestamp(now),
            evaluate_time: None,
            ..wanted
        };
        if !store::insert_rule(mutation.tx(), &tenant, &rule).await? {
            let message = format!("{} exists already", rule.name);
            return Err(Error::new(Kind::AlreadyExists, "ALERT_RULE_EXISTS", message));
        }
        let mut event = mutation.event("kpi.alert_rules.create", &rule.name);
        event.after_digest = digest::sha256(&rule.encode_to_vec());
        mutation.record(event);
        finish(mutation, rule).await
    }

    /// Returns a rule.
    ///
    /// # Errors
    /// `NotFound` (`ALERT_RULE_UNKNOWN`).
    pub async fn get_alert_rule(&self, tenant: &Tenant, request: &GetAlertRuleRequest) -> Result<AlertRule> {
        self.ready(tenant).await?;
        let [id] = name::ids(&request.name, "alertRules/*", "name")?;
        let found = store::get_rule(&mut self.db.read().await?, tenant, id).await?;
        found.ok_or_else(|| rule_unknown(&request.name))
    }

    /// Lists rules by name.
    ///
    /// # Errors
    /// `InvalidArgument` (`PAGE_TOKEN_INVALID`).
    pub async fn list_alert_rules(
        &self,
        tenant: &Tenant,
        request: &ListAlertRulesRequest,
    ) -> Result<ListAlertRulesResponse> {
        self.ready(tenant).await?;
        let keyset = self.db.keyset(tenant, "kpi.alert_rules.list", &[]);
        let (after, size) = (keyset.after(&request.page_token)?, page::size(request.page_size)?);
        let found = store::list_rules(&mut self.db.read().await?, tenant, after.as_deref(), size + 1).await?;
        let id = |rule: &AlertRule| sql::text(rule.name.trim_start_matches("alertRules/"));
        let (alert_rules, next_page_token) = keyset.cut(found, size, id);
        Ok(ListAlertRulesResponse { alert_rules, next_page_token })
    }

    /// Changes a rule.
    ///
    /// # Errors
    /// `NotFound` (`ALERT_RULE_UNKNOWN`, `KPI_UNKNOWN`), `Conflict` (`ETAG_MISMATCH`), `InvalidArgument`
    /// naming the field.
    pub async fn update_alert_rule(&self, call: Call, request: UpdateAlertRuleRequest) -> Result<AlertRule> {
        let wanted = request.alert_rule.unwrap_or_default();
        let [id] = name::ids(&wanted.name, "alertRules/*", "alert_rule.name")?;
        let id = id.to_owned();
        self.ready(&call.tenant).await?;
        let mut mutation = match begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        let current = store::claim_rule(mutation.tx(), &tenant, &id).await?;
        let current = current.ok_or_else(|| rule_unknown(&wanted.name))?;
        if !wanted.etag.is_empty() && wanted.etag != current.etag {
            return Err(etag_mismatch(&current.name));
        }
        let revision = current.etag.trim_start_matches('r').parse::<i64>().unwrap_or(0) + 1;
        let paths = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
        let mut next = merge(&current, &wanted, &paths)?;
        watchdog::check(self, mutation.tx(), &tenant, next.condition.as_ref()).await?;
        next.update_time = timestamp(now);
        next.etag = format!("r{revision}");
        store::update_rule(mutation.tx(), &tenant, &id, &next).await?;
        let mut event = mutation.event("kpi.alert_rules.update", &next.name);
        event.before_digest = digest::sha256(&current.encode_to_vec());
        event.after_digest = digest::sha256(&next.encode_to_vec());
        mutation.record(event);
        finish(mutation, next).await
    }

    /// Deletes a rule; its alerts stay.
    ///
    /// # Errors
    /// `NotFound` (`ALERT_RULE_UNKNOWN`), `Conflict` (`ETAG_MISMATCH`).
    pub async fn delete_alert_rule(
        &self,
        call: Call,
        request: &DeleteAlertRuleRequest,
    ) -> Result<DeleteAlertRuleResponse> {
        let [id] = name::ids(&request.name, "alertRules/*", "name")?;
        self.ready(&call.tenant).await?;
        let mut mutation = match begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let tenant = mutation.tenant().clone();
        let current = store::claim_rule(mutation.tx(), &tenant, id).await?;
        let current = current.ok_or_else(|| rule_unknown(&request.name))?;
        if !request.etag.is_empty() && request.etag != current.etag {
            return Err(etag_mismatch(&current.name));
        }
        store::delete_rule(mutation.tx(), &tenant, id).await?;
        let mut event = mutation.event("kpi.alert_rules.delete", &current.name);
        event.before_digest = digest::sha256(&current.encode_to_vec());
        mutation.record(event);
        finish(mutation, DeleteAlertRuleResponse {}).await
    }

    /// Evaluates every enabled rule now.
    ///
    /// # Errors
    /// As the database says.
    pub async fn evaluate_alerts(&self, call: Call) -> Result<EvaluateAlertsResponse> {
        self.ready(&call.tenant).await?;
        let mut mutation = match begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let response = self.evaluate(&mut mutation).await?;
        let mut event = mutation.event("kpi.alerts.evaluate", "alertRules/-");
        event.details = serde_json::json!({
            "evaluated": response.evaluated_count,
            "fired": response.fired.len(),
            "resolved": response.resolved.len(),
        });
        mutation.record(event);
        finish(mutation, response).await
    }

    /// Evaluates every enabled rule within `mutation`: a condition that begins to hold raises an alert, one that
    /// no longer holds resolves it; each is an audit event.
    async fn evaluate(&self, mutation: &mut Mutation) -> Result<EvaluateAlertsResponse> {
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        let mut response = EvaluateAlertsResponse::default();
        for rule in store::claim_rules(mutation.tx(), &tenant, now).await? {
            if rule.disabled {
                continue;
            }
            response.evaluated_count += 1;
            let finding = watchdog::judge(self, mutation.tx(), &tenant, &rule, now.0).await?;
            let [rule_id] = name::ids(&rule.name, "alertRules/*", "name")?;
            let firing = store::firing(mutation.tx(), &tenant, rule_id).await?;
            match (finding, firing) {
                (Finding::Holds(found), None) => {
                    let mut alert = Alert {
                        name: format!("alerts/{}", mutation.new_id()),
                        rule: rule.name.clone(),
                        severity: rule.severity,
                        message: found.message,
                        kpi: found.kpi,
                        range: Some(super::range(found.span)),
                        value: found.value,
                        n: found.n,
                        fire_time: timestamp(now),
                        ..Alert::default()
                    };
                    alert.set_state(AlertState::Firing);
                    store::insert(mutation.tx(), &tenant, &alert, now).await?;
                    audit(mutation, "kpi.alerts.fire", &alert);
                    response.fired.push(alert);
                }
                (Finding::Clear, Some(mut alert)) => {
                    alert.set_state(AlertState::Resolved);
                    alert.resolve_time = timestamp(now);
                    store::update(mutation.tx(), &tenant, &alert).await?;
                    audit(mutation, "kpi.alerts.resolve", &alert);
                    response.resolved.push(alert);
                }
                (Finding::Holds(_), Some(_)) | (Finding::Clear, None) | (Finding::Unknown, _) => {}
            }
        }
        Ok(response)
    }

    /// Returns an alert.
    ///
    /// # Errors
    /// `NotFound` (`ALERT_UNKNOWN`).
    pub async fn get_alert(&self, tenant: &Tenant, request: &GetAlertRequest) -> Result<Alert> {
        let [id] = name::ids(&request.name, "alerts/*", "name")?;
        let found = store::get(&mut self.db.read().await?, tenant, id).await?;
        found.ok_or_else(|| Error::not_found("ALERT_UNKNOWN", &request.name))
    }

    /// Lists alerts, newest first.
    ///
    /// # Errors
    /// `InvalidArgument`: `FILTER_INVALID`, `PAGE_TOKEN_INVALID`.
    pub async fn list_alerts(&self, tenant: &Tenant, request: &ListAlertsRequest) -> Result<ListAlertsResponse> {
        let filter = filter::parse(&request.filter, &FIELDS)?;
        let keyset = self.db.keyset(tenant, "kpi.alerts.list", &[&request.filter]);
        let (after, size) = (keyset.after(&request.page_token)?, page::size(request.page_size)?);
        let found = store::list(&mut self.db.read().await?, tenant, &filter, after.as_deref(), size + 1).await?;
        let key = |listed: &store::Listed| vec![Value::from(listed.fired_at), Value::from(&listed.id)];
        let (found, next_page_token) = keyset.cut(found, size, key);
        Ok(ListAlertsResponse { alerts: found.into_iter().map(|listed| listed.alert).collect(), next_page_token })
    }

    /// Notes that a person has seen an alert.
    ///
    /// # Errors
    /// `NotFound` (`ALERT_UNKNOWN`), `FailedPrecondition` (`ALERT_ACKNOWLEDGED`).
    pub async fn acknowledge_alert(&self, call: Call, request: &AcknowledgeAlertRequest) -> Result<Alert> {
        let [id] = name::ids(&request.name, "alerts/*", "name")?;
        let mut mutation = match begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        let Some(mut alert) = store::claim_acknowledge(mutation.tx(), &tenant, id, now).await? else {
            return Err(match store::get(mutation.tx(), &tenant, id).await? {
                Some(alert) => Error::precondition(
                    "ALERT_ACKNOWLEDGED",
                    format!("{} was acknowledged by {}", alert.name, alert.acknowledged_by),
                ),
                None => Error::not_found("ALERT_UNKNOWN", &request.name),
            });
        };
        alert.acknowledged_by.clone_from(&mutation.actor().subject);
        alert.acknowledge_time = timestamp(now);
        alert.acknowledgement.clone_from(&request.comment);
        store::update(mutation.tx(), &tenant, &alert).await?;
        let mut event = mutation.event("kpi.alerts.acknowledge", &alert.name);
        event.reason.clone_from(&request.comment);
        mutation.record(event);
        finish(mutation, alert).await
    }
}

fn rule_unknown(name: &str) -> Error {
    Error::not_found("ALERT_RULE_UNKNOWN", name)
}

fn merge(current: &AlertRule, wanted: &AlertRule, paths: &[String]) -> Result<AlertRule> {
    const KNOWN: [&str; 9] =
        ["display_name", "severity", "condition", "disabled", "threshold", "pacing", "anomaly", "guard", "cross_layer"];
    if let Some(path) = paths.iter().find(|path| !KNOWN.contains(&path.as_str())) {
        let why = format!("{path} is not a field that can change: use {}", KNOWN.join(", "));
        return Err(Error::invalid("UPDATE_MASK_INVALID", "update_mask", why));
    }
    let wants = |fields: &[&str]| paths.is_empty() || paths.iter().any(|path| fields.contains(&path.as_str()));
    let mut next = current.clone();
    if wants(&["display_name"]) {
        next.display_name.clone_from(&wanted.display_name);
    }
    if wants(&["severity"]) {
        next.severity = wanted.severity;
    }
    if wants(&["disabled"]) {
        next.disabled = wanted.disabled;
    }
    if wants(&KNOWN[2..3]) || wants(&KNOWN[4..]) {
        next.condition.clone_from(&wanted.condition);
    }
    Ok(next)
}

fn audit(mutation: &mut Mutation, action: &str, alert: &Alert) {
    let mut event = mutation.event(action, &alert.name);
    event.reason.clone_from(&alert.message);
    let details = serde_json::json!({
        "rule": alert.rule,
        "kpi": alert.kpi,
        "severity": alert.severity().as_str_name(),
        "value": alert.value,
        "n": alert.n,
    });
    match (&mut event.details, details) {
        (serde_json::Value::Object(known), serde_json::Value::Object(added)) => known.extend(added),
        (known, added) => *known = added,
    }
    mutation.record(event);
}
