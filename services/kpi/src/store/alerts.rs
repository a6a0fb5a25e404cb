//! Alert rules and alerts.

use super::body;
use super::definitions::word;
use prost::Message;
use remit_api::kpi::v1::{Alert, AlertRule};
use remit_core::{Result, Tenant, Timestamp, name};
use remit_store::filter::Fragment;
use remit_store::{Order, Row, Sql, Tx, Value, query};

/// An alert with the key that orders the list.
#[derive(Debug)]
pub struct Listed {
    /// The alert.
    pub alert: Alert,
    /// When it fired.
    pub fired_at: i64,
    /// The last part of its name.
    pub id: String,
}

/// Stores a rule; false if there is one of that id.
pub async fn insert_rule(tx: &mut Tx, tenant: &Tenant, rule: &AlertRule) -> Result<bool> {
    let [id] = name::ids(&rule.name, "alertRules/*", "name")?;
    let inserted = query(
        "insert into alert_rules (tenant_id, rule_id, revision, body) values ($1, $2, 1, $3) on conflict do nothing",
    )
    .bind(tenant)
    .bind(id)
    .bind(rule.encode_to_vec())
    .execute(tx)
    .await?;
    Ok(inserted == 1)
}

fn rule(row: &Row) -> Result<AlertRule> {
    let evaluated_at: Option<i64> = row.get("evaluated_at")?;
    let revision: i64 = row.get("revision")?;
    let evaluate_time = evaluated_at.map(crate::service::time);
    Ok(AlertRule { evaluate_time, etag: format!("r{revision}"), ..body(row)? })
}

/// A rule.
pub async fn get_rule(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<AlertRule>> {
    query("select revision, evaluated_at, body from alert_rules where tenant_id = $1 and rule_id = $2")
        .bind(tenant)
        .bind(id)
        .fetch_optional(tx)
        .await?
        .map(|row| rule(&row))
        .transpose()
}

/// Locks a rule until the end of the transaction, bumps its revision and returns it as it was.
pub async fn claim_rule(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<AlertRule>> {
    query(
        "update alert_rules set revision = revision + 1 where tenant_id = $1 and rule_id = $2
         returning revision - 1 as revision, evaluated_at, body",
    )
    .bind(tenant)
    .bind(id)
    .fetch_optional(tx)
    .await?
    .map(|row| rule(&row))
    .transpose()
}

/// Stores a claimed rule as it is now.
pub async fn update_rule(tx: &mut Tx, tenant: &Tenant, id: &str, rule: &AlertRule) -> Result<()> {
    query("update alert_rules set body = $3 where tenant_id = $1 and rule_id = $2")
        .bind(tenant)
        .bind(id)
        .bind(rule.encode_to_vec())
        .execute(tx)
        .await?;
    Ok(())
}

/// Deletes a claimed rule.
pub async fn delete_rule(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<()> {
    query("delete from alert_rules where tenant_id = $1 and rule_id = $2").bind(tenant).bind(id).execute(tx).await?;
    Ok(())
}

/// Rules by id.
pub async fn list_rules(tx: &mut Tx, tenant: &Tenant, after: Option<&[Value]>, limit: i64) -> Result<Vec<AlertRule>> {
    let rows = Sql::new("select revision, evaluated_at, body from alert_rules where tenant_id = ")
        .bind(tenant)
        .and_after(&["rule_id"], Order::Ascending, after)
        .order_limit(&["rule_id"], Order::Ascending, limit)
        .query()
        .fetch_all(tx)
        .await?;
    rows.iter().map(rule).collect()
}

/// Locks every rule of the tenant, in the order of their ids, notes that they are evaluated, and returns them.
pub async fn claim_rules(tx: &mut Tx, tenant: &Tenant, now: Timestamp) -> Result<Vec<AlertRule>> {
    let rows = query(
        "update alert_rules set evaluated_at = $2 where tenant_id = $1 returning rule_id, revision, evaluated_at, body",
    )
    .bind(tenant)
    .bind(now)
    .fetch_all(tx)
    .await?;
    let mut rules: Vec<AlertRule> = rows.iter().map(rule).collect::<Result<_>>()?;
    rules.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(rules)
}

/// The firing alert of a rule.
pub async fn firing(tx: &mut Tx, tenant: &Tenant, rule_id: &str) -> Result<Option<Alert>> {
    query("select body from alerts where tenant_id = $1 and rule_id = $2 and state = $3")
        .bind(tenant)
        .bind(rule_id)
        .bind("FIRING")
        .fetch_optional(tx)
        .await?
        .map(|row| body(&row))
        .transpose()
}

/// Stores a new alert.
pub async fn insert(tx: &mut Tx, tenant: &Tenant, alert: &Alert, now: Timestamp) -> Result<()> {
    let [id] = name::ids(&alert.name, "alerts/*", "name")?;
    let [rule_id] = name::ids(&alert.rule, "alertRules/*", "rule")?;
    query(
        "insert into alerts (tenant_id, alert_id, rule_id, kpi_id, severity, state, fired_at, body)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant)
    .bind(id)
    .bind(rule_id)
    .bind(alert.kpi.trim_start_matches("kpis/"))
    .bind(word(alert.severity().as_str_name(), "ALERT_SEVERITY_"))
    .bind(word(alert.state().as_str_name(), "ALERT_STATE_"))
    .bind(now)
    .bind(alert.encode_to_vec())
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores an alert as it is now.
pub async fn update(tx: &mut Tx, tenant: &Tenant, alert: &Alert) -> Result<()> {
    let [id] = name::ids(&alert.name, "alerts/*", "name")?;
    query("update alerts set state = $3, body = $4 where tenant_id = $1 and alert_id = $2")
        .bind(tenant)
        .bind(id)
        .bind(word(alert.state().as_str_name(), "ALERT_STATE_"))
        .bind(alert.encode_to_vec())
        .execute(tx)
        .await?;
    Ok(())
}

/// Marks an alert as acknowledged and returns it as it was; `None` if it is, or there is none.
pub async fn claim_acknowledge(tx: &mut Tx, tenant: &Tenant, id: &str, now: Timestamp) -> Result<Option<Alert>> {
    query(
        "update alerts set acknowledged_at = $3
         where tenant_id = $1 and alert_id = $2 and acknowledged_at is null returning body",
    )
    .bind(tenant)
    .bind(id)
    .bind(now)
    .fetch_optional(tx)
    .await?
    .map(|row| body(&row))
    .transpose()
}

/// An alert.
pub async fn get(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<Alert>> {
    query("select body from alerts where tenant_id = $1 and alert_id = $2")
        .bind(tenant)
        .bind(id)
        .fetch_optional(tx)
        .await?
        .map(|row| body(&row))
        .transpose()
}

/// Alerts, newest first.
pub async fn list(
    tx: &mut Tx,
    tenant: &Tenant,
    filter: &Fragment,
    after: Option<&[Value]>,
    limit: i64,
) -> Result<Vec<Listed>> {
    let columns = ["fired_at", "alert_id"];
    let rows = Sql::new("select alert_id, fired_at, body from alerts where tenant_id = ")
        .bind(tenant)
        .and_filter(filter)
        .and_after(&columns, Order::Descending, after)
        .order_limit(&columns, Order::Descending, limit)
        .query()
        .fetch_all(tx)
        .await?;
    let listed = |row: &Row| Ok(Listed { alert: body(row)?, fired_at: row.get("fired_at")?, id: row.get("alert_id")? });
    rows.iter().map(listed).collect()
}
