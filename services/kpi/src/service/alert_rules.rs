//! Alert rules: what to look for.

use super::{LOOSEN, Service, alerts, watchdog};
use crate::store::alert_rules::AlertRules;
use crate::strictness;
use remit_api::kpi::v1::{
    AlertRule, CreateAlertRuleRequest, DeleteAlertRuleRequest, DeleteAlertRuleResponse, GetAlertRuleRequest,
    ListAlertRulesRequest, ListAlertRulesResponse, UpdateAlertRuleRequest,
};
use remit_api::wire::{self, mask, time::stamp};
use remit_core::details::{AlertRuleChanged, Details as _};
use remit_core::mandate::Mandate;
use remit_core::name::{self, AlertRuleName};
use remit_core::strictness::Comparison;
use remit_core::{Error, Result, etag};
use remit_runtime::{Cx, mandates};
use remit_store::Records as _;

/// What the log says of a change.
fn details(change: &Comparison, mandate: Option<Mandate>) -> serde_json::Value {
    let proposal = mandate.map(|mandate| mandate.sub).unwrap_or_default();
    let (change, loosened) = (change.direction().as_str().to_owned(), change.loosened().to_vec());
    AlertRuleChanged { change, loosened, proposal }.json()
}

impl Service {
    /// Creates a rule.
    ///
    /// # Errors
    /// `AlreadyExists` (`ALERT_RULE_EXISTS`), `NotFound` (`KPI_NOT_FOUND`), `InvalidArgument` naming the field.
    pub(crate) async fn create_alert_rule(&self, cx: &Cx, request: CreateAlertRuleRequest) -> Result<AlertRule> {
        let name = AlertRuleName::new(name::id(&request.alert_rule_id, "alert_rule_id")?).to_string();
        let wanted = request.alert_rule.clone().unwrap_or_default();
        let mut rule = AlertRule { name, evaluate_time: None, mandate: String::new(), ..wanted };
        self.mutate(cx, &request, async |m| {
            watchdog::check(m.tx(), &cx.tenant, rule.condition.as_ref()).await?;
            rule.create_time = Some(stamp(m.now()));
            rule.update_time = rule.create_time;
            AlertRules::insert(m, &mut rule).await?;
            m.record(&rule.name, |event| event.after_digest = wire::digest(&rule));
            Ok(rule)
        })
        .await
    }

    /// Returns a rule.
    ///
    /// # Errors
    /// `NotFound` (`ALERT_RULE_NOT_FOUND`), `InvalidArgument` (`NAME_INVALID`).
    pub(crate) async fn get_alert_rule(&self, cx: &Cx, request: GetAlertRuleRequest) -> Result<AlertRule> {
        AlertRuleName::parse(&request.name, "name")?;
        AlertRules::get(&mut self.read(cx).await?, &cx.tenant, &request.name).await
    }

    /// Lists rules by name.
    ///
    /// # Errors
    /// `InvalidArgument` (`PAGE_TOKEN_INVALID`).
    pub(crate) async fn list_alert_rules(
        &self,
        cx: &Cx,
        request: ListAlertRulesRequest,
    ) -> Result<ListAlertRulesResponse> {
        self.ready(&cx.tenant).await?;
        let (alert_rules, next_page_token) = AlertRules::list(&self.db, &cx.tenant, cx.page(&request)).await?;
        Ok(ListAlertRulesResponse { alert_rules, next_page_token })
    }

    /// Changes a rule.
    ///
    /// # Errors
    /// `NotFound` (`ALERT_RULE_NOT_FOUND`, `KPI_NOT_FOUND`), `Conflict` (`ETAG_MISMATCH`), `InvalidArgument`
    /// naming the field; `PermissionDenied` as [`mandates::allow`] and what the mandate is refused for.
    pub(crate) async fn update_alert_rule(&self, cx: &Cx, request: UpdateAlertRuleRequest) -> Result<AlertRule> {
        let wanted = wire::required(request.alert_rule.as_ref(), "alert_rule")?;
        AlertRuleName::parse(&wanted.name, "alert_rule.name")?;
        self.mutate(cx, &request, async |m| {
            let current = AlertRules::claim(m, &wanted.name).await?;
            let mandate = self.mandates.shown(m, LOOSEN, &request).await?;
            etag::check(&wanted.etag, &current.etag, &current.name)?;
            let Some(mut next) = mask::update(&current, wanted, request.update_mask.as_ref())? else {
                return Ok(current);
            };
            let looks_elsewhere = next.condition != current.condition;
            if looks_elsewhere {
                watchdog::check(m.tx(), &cx.tenant, next.condition.as_ref()).await?;
            }
            let change = strictness::of_rule(&current, &next);
            mandates::allow(m, LOOSEN, &current.name, &change, mandate.as_ref())?;
            if mandate.is_some() {
                next.mandate.clone_from(&request.mandate);
            }
            next.update_time = Some(stamp(m.now()));
            AlertRules::save(m, &mut next).await?;
            if looks_elsewhere {
                alerts::supersede(m, &next.name).await?;
            }
            m.record(&next.name, |event| {
                event.before_digest = wire::digest(&current);
                event.after_digest = wire::digest(&next);
                event.details = details(&change, mandate);
            });
            Ok(next)
        })
        .await
    }

    /// Deletes a rule; an alert of it that fires is resolved, and its alerts stay on record.
    ///
    /// # Errors
    /// `NotFound` (`ALERT_RULE_NOT_FOUND`), `Conflict` (`ETAG_MISMATCH`), `InvalidArgument` (`NAME_INVALID`);
    /// `PermissionDenied` (`MANDATE_REQUIRED`) and what the mandate is refused for.
    pub(crate) async fn delete_alert_rule(
        &self,
        cx: &Cx,
        request: DeleteAlertRuleRequest,
    ) -> Result<DeleteAlertRuleResponse> {
        AlertRuleName::parse(&request.name, "name")?;
        self.mutate(cx, &request, async |m| {
            let current = AlertRules::try_claim(m, &request.name).await?;
            // Before anything is said of the rule: a mandate is used up by whoever shows it first.
            let mandate = self.mandates.shown(m, LOOSEN, &request).await?;
            let current = current.ok_or_else(|| Error::not_found(AlertRules::NOT_FOUND, &request.name))?;
            etag::check(&request.etag, &current.etag, &current.name)?;
            let change = strictness::of_deletion();
            mandates::allow(m, LOOSEN, &current.name, &change, mandate.as_ref())?;
            AlertRules::delete(m, &request.name).await?;
            // Nobody looks any more: an alert that nothing can resolve would fire for ever.
            alerts::supersede(m, &request.name).await?;
            m.record(&current.name, |event| {
                event.before_digest = wire::digest(&current);
                event.details = details(&change, mandate);
            });
            Ok(DeleteAlertRuleResponse {})
        })
        .await
    }
}
