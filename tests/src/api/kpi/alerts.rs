//! The cases of experiments and alerts.

use super::*;
use crate::api::cases;

cases! {
    an_experiment_shows_its_result_at_its_horizon_only: CreateExperiment, CancelExperiment;
    an_experiment_concludes_only_from_what_was_randomised;
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
        treatments: vec!["mens".to_owned(), "womens".to_owned()],
        unit: ExperimentUnit::Trial.into(),
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
    assert_eq!(early.arms[1].n, 21_307, "trials, and not the events that report them");
    // Nor does another path show it: not split by arm, not filtered, not watched, not compared.
    let asked = QueryRollupsRequest {
        kpi: "kpis/visit_rate".to_owned(),
        range: range(day, day + 15 * DAY),
        group_by: vec!["arm".to_owned()],
        ..Default::default()
    };
    let by_filter =
        QueryRollupsRequest { filter: "NOT arm = \"none\"".to_owned(), group_by: Vec::new(), ..asked.clone() };
    for hidden in [asked.clone(), by_filter] {
        assert_eq!(reason(&admin.query_rollups(hidden).await.unwrap_err()), "EXPERIMENT_RUNNING");
    }
    let watched = WatchRollupsRequest {
        kpi: "kpis/visit_rate".to_owned(),
        granularity: Granularity::Day.into(),
        group_by: vec!["arm".to_owned()],
        start_time: at(day + DAY),
        ..Default::default()
    };
    assert_eq!(reason(&admin.watch_rollups(watched).await.unwrap_err()), "EXPERIMENT_RUNNING");
    let compared = ComparePeriodsRequest {
        kpi: "kpis/visit_rate".to_owned(),
        current: range(day + 2 * DAY, day + 3 * DAY),
        baseline: range(day + DAY, day + 2 * DAY),
        filter: "arm = \"mens\"".to_owned(),
        ..Default::default()
    };
    assert_eq!(reason(&admin.compare_periods(compared).await.unwrap_err()), "EXPERIMENT_RUNNING");
    let whole = QueryRollupsRequest { group_by: Vec::new(), ..asked.clone() };
    assert_eq!(admin.query_rollups(whole).await.unwrap().into_inner().rollups.len(), 1);

    suite.advance(Duration::from_secs(14 * 86_400)).await;
    let late = admin.compare_experiment(request.clone()).await.unwrap().into_inner();
    assert_eq!(late.state(), ExperimentState::Concluded);
    let mens = &late.arms[1];
    assert_eq!(mens.verdict(), ChangeVerdict::Improved);
    assert!((mens.test.as_ref().unwrap().statistic - 22.486_040_827_192_82).abs() < 1e-9);
    assert!((mens.difference.unwrap() - (3894.0 / 21307.0 - 2262.0 / 21306.0)).abs() < 1e-12);
    assert!(late.sample_ratio_p_value.unwrap() > 0.001 && late.restated_arms.is_empty());
    assert!(late.result_digest.starts_with("sha256:"));
    // What comes later is shown and turns nothing.
    let flood: Vec<Event> = (0..3)
        .map(|i| Event {
            denominator: Some(20_000.0),
            ..event("visit_rate", &format!("late-{i}"), day + 2 * DAY, Some(20_000.0), &[("arm", "none")])
        })
        .collect();
    record(&mut admin, flood).await;
    let again = admin.compare_experiment(request).await.unwrap().into_inner();
    assert_eq!((&again.arms, &again.result_digest), (&late.arms, &late.result_digest));
    assert_eq!(again.restated_arms[0].n, 21_306 + 60_000);
    assert!(again.restated_arms.iter().all(|arm| arm.test.is_none() && arm.verdict() == ChangeVerdict::Unspecified));
    assert_eq!(admin.query_rollups(asked).await.unwrap().into_inner().rollups.len(), 3);
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

async fn an_experiment_concludes_only_from_what_was_randomised(suite: Suite) {
    let mut admin = client(&suite.admin());
    let day = today(&suite).await;
    let experiment = |metric: &str, unit: ExperimentUnit, start: i64| Experiment {
        hypothesis: "More clicks.".to_owned(),
        metric: format!("kpis/{metric}"),
        arm_dimension: "arm".to_owned(),
        control: "a".to_owned(),
        treatments: vec!["b".to_owned()],
        unit: unit.into(),
        min_n_per_arm: 2,
        start_time: at(start),
        end_time: at(start + DAY),
        ..Default::default()
    };
    let mut create = async |id: &str, experiment: Experiment| {
        let (experiment_id, experiment) = (id.to_owned(), Some(experiment));
        let request = CreateExperimentRequest { experiment_id, experiment, request_id: String::new() };
        admin.create_experiment(request).await.map(tonic::Response::into_inner)
    };
    let start = day + 2 * DAY;
    create("users", experiment("visit_rate", ExperimentUnit::Member, start)).await.unwrap();
    create("money", experiment("spend_per_recipient", ExperimentUnit::Event, start)).await.unwrap();
    let past = create("past", experiment("visit_rate", ExperimentUnit::Member, day - DAY)).await.unwrap();
    assert!(past.retrospective);
    let guarded = Experiment {
        guardrails: vec!["kpis/spend_per_recipient".to_owned()],
        ..experiment("visit_rate", ExperimentUnit::Member, start)
    };
    create("guarded", guarded.clone()).await.unwrap();
    let summed = experiment("spend_per_recipient", ExperimentUnit::Trial, start);
    assert_eq!(reason(&create("summed", summed).await.unwrap_err()), "KIND_WRONG");
    let shares = Experiment { planned_shares: vec![1.0], ..guarded };
    assert_eq!(reason(&create("shares", shares).await.unwrap_err()), "EXPERIMENT_INVALID");

    suite.advance(Duration::from_secs(2 * 86_400 + 3_600)).await;
    // Forty users an arm with twenty views each. Two in five click at every view in the control, three in the treatment:
    // by views 320 against 480 of 800, by users 16 against 24 of 40.
    let mut views = Vec::new();
    for (arm, clicking) in [("a", 16), ("b", 24)] {
        for user in 0..40 {
            for part in 0..2 {
                let won = if user < clicking { 10.0 } else { 0.0 };
                for (start, when) in [("now", start), ("past", day - DAY)] {
                    views.push(Event {
                        denominator: Some(10.0),
                        member: format!("{arm}-{user}"),
                        ..event("visit_rate", &format!("{start}-{arm}-{user}-{part}"), when, Some(won), &[("arm", arm)])
                    });
                }
            }
        }
    }
    let spent = |arm: &str, n: usize, value: f64| -> Vec<Event> {
        let spend = |i| event("spend_per_recipient", &format!("{arm}-{i}"), start, Some(value), &[("arm", arm)]);
        (0..n).map(|i| Event { member: format!("{arm}-{i}"), ..spend(i) }).collect()
    };
    views.extend(spent("a", 300, 5.0));
    views.extend(spent("b", 200, 5.1));
    suite_record(&suite, views).await;
    suite.advance(Duration::from_secs(2 * 86_400)).await;
    let mut reader = client(&suite.admin());
    let mut found = async |id: &str| {
        let request = CompareExperimentRequest { name: format!("experiments/{id}") };
        reader.compare_experiment(request).await.unwrap().into_inner()
    };
    let users = found("users").await;
    let treated = &users.arms[1];
    assert_eq!((treated.n, treated.rollup.as_ref().unwrap().event_count), (40, 80));
    assert_eq!(treated.test.as_ref().unwrap().method, "delta-method ratio t");
    assert_eq!(treated.verdict(), ChangeVerdict::NotSignificant);
    let interval = treated.difference_interval.unwrap();
    assert!(interval.lower < 0.0 && 0.0 < interval.upper);
    let past = found("past").await;
    assert_eq!((past.arms[1].verdict(), past.arms[1].n), (ChangeVerdict::Exploratory, 40));
    // 300 against 200 is no split in halves, whatever they spent; and two constants are no evidence.
    let money = found("money").await;
    assert_eq!(money.arms[1].verdict(), ChangeVerdict::SampleRatioMismatch);
    assert!(money.sample_ratio_p_value.unwrap() < 1e-4 && money.arms[1].test.is_none());
    let guarded = found("guarded").await;
    assert_eq!(guarded.guardrails[0].kpi, "kpis/spend_per_recipient");
    assert_eq!(guarded.guardrails[0].arms[0].n, 300);
}

async fn suite_record(suite: &Suite, events: Vec<Event>) {
    record(&mut client(&suite.admin()), events).await;
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
