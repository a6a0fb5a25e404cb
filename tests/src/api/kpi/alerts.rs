//! The cases of experiments and alerts.

use super::*;
use crate::api::cases;

cases! {
    an_experiment_shows_its_result_at_its_horizon_only: CreateExperiment, CancelExperiment;
    a_limit_raises_one_alert_and_resolves_it:
        CreateAlertRule, UpdateAlertRule, DeleteAlertRule, EvaluateAlerts, AcknowledgeAlert;
    a_mask_names_the_condition_of_a_rule;
    a_strategic_number_asks_for_a_person: CreateInterpretation;
}

async fn an_experiment_shows_its_result_at_its_horizon_only(suite: Suite) {
    let mut admin = client(&suite.admin());
    let day = today(&suite).await;
    let experiment = Experiment {
        hypothesis: "An e-mail brings visits.".to_owned(),
        metric: "kpis/visit_rate".to_owned(),
        arm_dimension: "arm".to_owned(),
        control: "none".to_owned(),
        treatments: vec!["mens".to_owned(), "womens".to_owned(), "empty".to_owned()],
        min_n_per_arm: 100,
        start_time: at(day + DAY),
        end_time: at(day + 15 * DAY),
        ..Default::default()
    };
    let create = |id: &str, experiment: Experiment| CreateExperimentRequest {
        experiment_id: id.to_owned(),
        experiment: Some(experiment),
        request_id: String::new(),
    };
    let registered = admin.create_experiment(create("mail", experiment.clone())).await.unwrap().into_inner();
    assert_eq!((registered.alpha, registered.retrospective, registered.etag.as_str()), (0.05, false, "r1"));
    let wrong = Experiment { metric: "kpis/contacts".to_owned(), ..experiment.clone() };
    assert_eq!(reason(&admin.create_experiment(create("wrong", wrong)).await.unwrap_err()), "KIND_WRONG");
    let backwards = Experiment { end_time: at(day), ..experiment.clone() };
    let backwards = admin.create_experiment(create("wrong", backwards)).await.unwrap_err();
    assert_eq!(reason(&backwards), "TIME_RANGE_INVALID");

    suite.advance(Duration::from_secs(3 * 86_400)).await;
    // The visits of the Hillstrom experiment, one event an arm and result.
    let visits = |arm: &str, n: f64, visits: f64| {
        let of = |id: &str, won, n| Event {
            denominator: Some(n),
            ..event("visit_rate", &format!("{arm}-{id}"), day + 2 * DAY, Some(won), &[("arm", arm)])
        };
        // Two hundred events an arm, so that n is beyond the least.
        let mut events: Vec<Event> = (0..199).map(|i| of(&i.to_string(), 0.0, 1.0)).collect();
        events.push(of("rest", visits, n - 199.0));
        events
    };
    for (arm, n, visited) in [("none", 21306.0, 2262.0), ("mens", 21307.0, 3894.0), ("womens", 21387.0, 3238.0)] {
        record(&mut admin, visits(arm, n, visited)).await;
    }
    let request = CompareExperimentRequest { name: "experiments/mail".to_owned() };
    let early = admin.compare_experiment(request.clone()).await.unwrap().into_inner();
    assert_eq!(early.state(), ExperimentState::Running);
    assert!(early.arms.iter().all(|arm| arm.test.is_none() && arm.rollup.is_none() && arm.difference.is_none()));
    assert_eq!(early.arms[1].n, 200);

    suite.advance(Duration::from_secs(14 * 86_400)).await;
    let late = admin.compare_experiment(request).await.unwrap().into_inner();
    assert_eq!(late.state(), ExperimentState::Concluded);
    let mens = &late.arms[1];
    assert_eq!(mens.verdict(), ChangeVerdict::Improved);
    assert!((mens.test.as_ref().unwrap().statistic - 22.486_040_827_192_82).abs() < 1e-9);
    assert!((mens.difference.unwrap() - (3894.0 / 21307.0 - 2262.0 / 21306.0)).abs() < 1e-12);
    assert_eq!(late.arms[3].verdict(), ChangeVerdict::InsufficientData);
    let cancel = |name: &str| CancelExperimentRequest {
        name: format!("experiments/{name}"),
        reason: "budget".to_owned(),
        request_id: String::new(),
    };
    assert_eq!(reason(&admin.cancel_experiment(cancel("mail")).await.unwrap_err()), "EXPERIMENT_CONCLUDED");
    let later = Experiment { start_time: at(day + 40 * DAY), end_time: at(day + 50 * DAY), ..experiment };
    admin.create_experiment(create("second", later)).await.unwrap();
    admin.cancel_experiment(cancel("second")).await.unwrap();
    let got = GetExperimentRequest { name: "experiments/second".to_owned() };
    let got = admin.get_experiment(got).await.unwrap().into_inner();
    assert_eq!((got.cancel_reason.as_str(), got.etag.as_str()), ("budget", "r2"));
    let nothing = GetExperimentRequest { name: "experiments/nothing".to_owned() };
    assert_eq!(reason(&admin.get_experiment(nothing).await.unwrap_err()), "EXPERIMENT_NOT_FOUND");
    assert_eq!(reason(&admin.cancel_experiment(cancel("second")).await.unwrap_err()), "EXPERIMENT_CANCELLED");
    let listed = admin.list_experiments(ListExperimentsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.experiments.len(), 2);
}

async fn a_limit_raises_one_alert_and_resolves_it(suite: Suite) {
    let mut admin = client(&suite.admin());
    let day = today(&suite).await;
    let condition = ThresholdCondition {
        kpi: "kpis/call_seconds".to_owned(),
        comparison: Comparison::Above.into(),
        limit: 300.0,
        granularity: Granularity::Day.into(),
        min_n: 2,
        ..Default::default()
    };
    let rule = AlertRule {
        display_name: "Calls take long".to_owned(),
        severity: AlertSeverity::Warning.into(),
        condition: Some(Condition::Threshold(condition)),
        ..Default::default()
    };
    let request =
        CreateAlertRuleRequest { alert_rule_id: "calls".to_owned(), alert_rule: Some(rule), request_id: String::new() };
    let rule = admin.create_alert_rule(request).await.unwrap().into_inner();
    let calls = |prefix: &str, start: i64, seconds: f64| -> Vec<Event> {
        (0..3).map(|i| event("call_seconds", &format!("{prefix}{i}"), start + i * HOUR, Some(seconds), &[])).collect()
    };
    record(&mut admin, calls("a", day, 400.0)).await;
    suite.advance(Duration::from_secs(86_400)).await;
    let evaluate = EvaluateAlertsRequest::default();
    admin.evaluate_alerts(evaluate.clone()).await.unwrap();
    let evaluated = admin.get_alert_rule(GetAlertRuleRequest { name: rule.name.clone() }).await.unwrap().into_inner();
    assert!(evaluated.evaluate_time.is_some());
    assert_eq!((rule.etag.as_str(), evaluated.etag.as_str()), ("r1", "r1"), "an evaluation is no revision");
    let list = |filter: &str| ListAlertsRequest { filter: filter.to_owned(), ..Default::default() };
    let firing = list("state = \"FIRING\" AND rule = \"calls\"");
    let alerts = admin.list_alerts(firing.clone()).await.unwrap().into_inner().alerts;
    assert_eq!(alerts.len(), 1, "by the call or by the hourly round, but once");
    assert_eq!((alerts[0].value, alerts[0].n), (Some(400.0), 3));
    let entries = suite.entries("action = \"kpi.alerts.fire\"").await;
    assert_eq!(entries.len(), 1);
    let acknowledge = AcknowledgeAlertRequest {
        name: alerts[0].name.clone(),
        comment: "on it".to_owned(),
        request_id: String::new(),
    };
    let seen = admin.acknowledge_alert(acknowledge.clone()).await.unwrap().into_inner();
    assert_eq!(seen.acknowledged_by, "admin");
    let twice = AcknowledgeAlertRequest { comment: "me too".to_owned(), ..acknowledge };
    assert_eq!(reason(&admin.acknowledge_alert(twice).await.unwrap_err()), "ALERT_ACKNOWLEDGED");
    let nothing = GetAlertRequest { name: "alerts/nothing".to_owned() };
    assert_eq!(reason(&admin.get_alert(nothing).await.unwrap_err()), "ALERT_NOT_FOUND");

    record(&mut admin, calls("b", day + DAY, 100.0)).await;
    suite.advance(Duration::from_secs(86_400)).await;
    admin.evaluate_alerts(evaluate).await.unwrap();
    assert!(admin.list_alerts(firing).await.unwrap().into_inner().alerts.is_empty());
    let request = GetAlertRequest { name: seen.name };
    let resolved = admin.get_alert(request).await.unwrap().into_inner();
    assert_eq!((resolved.state(), resolved.acknowledgement.as_str()), (AlertState::Resolved, "on it"));

    // Who watches less needs a decision, and who watches more does not.
    let change = |rule: AlertRule| UpdateAlertRuleRequest { alert_rule: Some(rule), ..Default::default() };
    let quiet = change(AlertRule { disabled: true, ..rule.clone() });
    let refused = admin.update_alert_rule(quiet.clone()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "MANDATE_REQUIRED"));
    assert!(refused.message().contains("disabled from false to true"), "{}", refused.message());
    assert!(refused.message().contains("propose loosen_rules"), "{}", refused.message());
    let grave = AlertRule { severity: AlertSeverity::Critical.into(), ..rule.clone() };
    let program = client(&suite.platform()).update_alert_rule(change(grave.clone())).await.unwrap_err();
    assert!(["ACTOR_KIND_NOT_ALLOWED", "PERMISSION_MISSING"].contains(&reason(&program).as_str()), "{program:?}");
    let rule = admin.update_alert_rule(change(grave)).await.unwrap().into_inner();
    let quiet = change(AlertRule { disabled: true, ..rule.clone() });
    let quiet = suite.mandated("loosen_rules", "kpi.alert_rules.update", quiet);
    let quiet = admin.update_alert_rule(quiet).await.unwrap().into_inner();
    assert!(!quiet.mandate.is_empty(), "the rule shows who decided it");
    let delete = DeleteAlertRuleRequest { name: rule.name.clone(), etag: rule.etag, ..Default::default() };
    assert_eq!(reason(&admin.delete_alert_rule(delete.clone()).await.unwrap_err()), "ETAG_MISMATCH");
    let delete = DeleteAlertRuleRequest { etag: quiet.etag, ..delete };
    assert_eq!(reason(&admin.delete_alert_rule(delete.clone()).await.unwrap_err()), "MANDATE_REQUIRED");
    let delete = suite.mandated("loosen_rules", "kpi.alert_rules.delete", delete);
    admin.delete_alert_rule(delete).await.unwrap();
    let gone = admin.get_alert_rule(GetAlertRuleRequest { name: rule.name }).await.unwrap_err();
    assert_eq!(reason(&gone), "ALERT_RULE_NOT_FOUND");
    let shipped = admin.list_alert_rules(ListAlertRulesRequest::default()).await.unwrap().into_inner().alert_rules;
    assert!(shipped.iter().any(|rule| rule.name == "alertRules/cross-layer"));
}

async fn a_mask_names_the_condition_of_a_rule(suite: Suite) {
    let mut admin = client(&suite.admin());
    let name = "alertRules/conversion-guards".to_owned();
    let shipped = admin.get_alert_rule(GetAlertRuleRequest { name: name.clone() }).await.unwrap().into_inner();
    let pacing = |kpi: &str| PacingCondition {
        kpi: kpi.to_owned(),
        planned_total: 10.0,
        granularity: Granularity::Month.into(),
        tolerance_ratio: 0.1,
        ..Default::default()
    };
    let update = |condition: PacingCondition, path: &str| UpdateAlertRuleRequest {
        alert_rule: Some(AlertRule {
            name: name.clone(),
            condition: Some(Condition::Pacing(condition)),
            disabled: path == "disabled",
            ..Default::default()
        }),
        update_mask: Some(FieldMask { paths: vec![path.to_owned()] }),
        ..Default::default()
    };
    let decided = |request| suite.mandated("loosen_rules", "kpi.alert_rules.update", request);
    for (condition, path, expected) in [
        (pacing("kpis/nothing"), "condition", "KPI_NOT_FOUND"),
        (pacing("kpis/call_seconds"), "pacing", "ALERT_RULE_INVALID"),
        (PacingCondition::default(), "condition", "FIELD_INVALID"),
        (pacing("kpis/contacts"), "no_such_field", "UPDATE_MASK_INVALID"),
    ] {
        let refused = admin.update_alert_rule(update(condition, path)).await.unwrap_err();
        assert_eq!(reason(&refused), expected, "{path}");
    }
    let other = update(pacing("kpis/contacts"), "condition");
    assert_eq!(reason(&admin.update_alert_rule(other.clone()).await.unwrap_err()), "MANDATE_REQUIRED");
    let changed = admin.update_alert_rule(decided(other)).await.unwrap().into_inner();
    let condition = Some(Condition::Pacing(pacing("kpis/contacts")));
    let (etag, update_time, mandate) = ("r2".to_owned(), changed.update_time, changed.mandate.clone());
    assert_eq!(changed, AlertRule { condition, etag, update_time, mandate, ..shipped });
    // What the mask does not name need not be right.
    let named = decided(update(PacingCondition::default(), "disabled"));
    let named = admin.update_alert_rule(named).await.unwrap().into_inner();
    assert_eq!((named.condition, named.disabled, named.etag.as_str()), (changed.condition, true, "r3"));
}

async fn a_strategic_number_asks_for_a_person(suite: Suite) {
    let mut admin = client(&suite.admin());
    let day = today(&suite).await;
    let span = |start: i64| range(start, start + DAY);
    let revenue = |id: &str, when: i64, value| event("marketing_sourced_revenue", id, when, Some(value), &[]);
    let throughput = |id: &str, when: i64| event("launch_throughput", id, when, None, &[]);
    let events = vec![
        revenue("r1", day - DAY, 1_000.0),
        revenue("r2", day, 700.0),
        throughput("l1", day - DAY),
        throughput("l2", day),
        throughput("l3", day + 1),
    ];
    record(&mut admin, events).await;
    let request = SummarizeKpisRequest { range: span(day) };
    let summary = admin.summarize_kpis(request).await.unwrap().into_inner();
    let find = |summary: &SummarizeKpisResponse, name: &str| {
        let named = |row: &&KpiSummary| row.kpi.as_ref().is_some_and(|kpi| kpi.name == name);
        summary.kpis.iter().find(named).cloned().unwrap()
    };
    let row = find(&summary, "kpis/marketing_sourced_revenue");
    assert!(row.interpretation_missing && row.interpretation.is_none());
    assert!((row.improvement_ratio.unwrap() + 0.3).abs() < 1e-12);
    assert_eq!(summary.strategic_worsened, ["kpis/marketing_sourced_revenue"]);
    assert!(summary.cross_layer_conflict, "launches doubled while revenue fell");

    let note = |caller: &Caller| {
        let mut client = client(caller);
        let interpretation =
            Interpretation { range: span(day), text: "A large deal slipped.".to_owned(), ..Default::default() };
        let request = CreateInterpretationRequest {
            parent: "kpis/marketing_sourced_revenue".to_owned(),
            interpretation: Some(interpretation),
            request_id: String::new(),
        };
        async move { client.create_interpretation(request).await }
    };
    assert_eq!(note(&suite.service("council")).await.unwrap_err().code(), Code::PermissionDenied);
    let written = note(&suite.admin()).await.unwrap().into_inner();
    assert_eq!(written.author.as_ref().unwrap().subject, "admin");
    let row = find(&admin.summarize_kpis(request).await.unwrap().into_inner(), "kpis/marketing_sourced_revenue");
    assert_eq!(row.interpretation.unwrap().name, written.name);
    let list = ListInterpretationsRequest { parent: "kpis/-".to_owned(), ..Default::default() };
    assert_eq!(admin.list_interpretations(list).await.unwrap().into_inner().interpretations.len(), 1);

    let periods = ComparePeriodsRequest {
        kpi: "kpis/marketing_sourced_revenue".to_owned(),
        current: span(day),
        baseline: span(day - DAY),
        ..Default::default()
    };
    let change = admin.compare_periods(periods).await.unwrap().into_inner();
    assert_eq!((change.difference, change.verdict()), (Some(-300.0), ChangeVerdict::Worsened));
}
