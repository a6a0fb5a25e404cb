//! Alert rules.

use prost::Message as _;
use remit_api::kpi::v1::AlertRule;
use remit_api::wire::{decode, time};
use remit_core::{Result, Timestamp, etag};
use remit_store::{Mutation, Records, query};

/// Alert rules, by name.
pub(crate) struct AlertRules;

impl Records for AlertRules {
    type Message = AlertRule;

    const TABLE: &'static str = "alert_rules";
    const NOT_FOUND: &'static str = "ALERT_RULE_NOT_FOUND";
    const EXISTS: &'static str = "ALERT_RULE_EXISTS";

    fn name(rule: &AlertRule) -> &str {
        &rule.name
    }

    fn create_time(rule: &AlertRule) -> Timestamp {
        time::of(&rule.create_time.unwrap_or_default())
    }

    fn set_etag(rule: &mut AlertRule, etag: String) {
        rule.etag = etag;
    }
}

/// Locks every rule for the rest of the transaction and returns them by name.
pub(crate) async fn claim_all(m: &mut Mutation) -> Result<Vec<AlertRule>> {
    let tenant = m.tenant().clone();
    let rows = query("update alert_rules set revision = revision where tenant_id = $1 returning revision, body")
        .bind(&tenant)
        .fetch_all(m.tx())
        .await?;
    let rule = |row: &remit_store::Row| -> Result<AlertRule> {
        Ok(AlertRule { etag: etag::of(row.get("revision")?), ..decode(&row.get::<Vec<u8>>("body")?)? })
    };
    let mut rules = rows.iter().map(rule).collect::<Result<Vec<_>>>()?;
    rules.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(rules)
}

/// Notes when a claimed rule was evaluated, which is no revision of it.
pub(crate) async fn save_evaluated(m: &mut Mutation, rule: &AlertRule) -> Result<()> {
    let tenant = m.tenant().clone();
    query("update alert_rules set body = $3 where tenant_id = $1 and name = $2")
        .bind(&tenant)
        .bind(&rule.name)
        .bind(rule.encode_to_vec())
        .execute(m.tx())
        .await?;
    Ok(())
}
