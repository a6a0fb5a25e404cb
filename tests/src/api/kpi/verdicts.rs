//! The cases of verdicts: what alerts, comparisons, calibrations and experiments may conclude.

use super::*;
use crate::api::cases;

cases! {
    what_is_not_measured_keeps_an_alert_firing;
    an_alert_tells_no_arm_before_the_horizon;
    quarters_show_what_no_two_months_do;
    a_shift_and_a_silence_raise_alerts;
    drift_is_judged_by_its_definition;
    a_model_that_is_upside_down_is_found;
    an_experiment_is_looked_at_as_it_was_registered;
    a_refused_event_leaves_nothing_behind;
    an_alert_waits_for_what_may_come_and_ends_with_its_rule;
}

/// Moves the clock to a noon, and returns the midnight before it.
async fn noon(suite: &Suite) -> i64 {
    let now = suite.now().await.0;
    let to_noon = (DAY / 2 - now.rem_euclid(DAY)).rem_euclid(DAY);
    suite.advance(Duration::from_micros(to_noon.unsigned_abs())).await;
    today(suite).await
}

async fn rule(admin: &mut Client, id: &str, condition: Condition) -> Result<AlertRule, tonic::Status> {
    let rule = AlertRule {
        display_name: "A rule".to_owned(),
        severity: AlertSeverity::Warning.into(),
        condition: Some(condition),
        ..Default::default()
    };
    let request =
        CreateAlertRuleRequest { alert_rule_id: id.to_owned(), alert_rule: Some(rule), request_id: String::new() };
    admin.create_alert_rule(request).await.map(tonic::Response::into_inner)
}

/// The alerts of a rule that fire once all are evaluated.
async fn firing(admin: &mut Client, id: &str) -> Vec<Alert> {
    admin.evaluate_alerts(EvaluateAlertsRequest::default()).await.expect("they are evaluated");
    let filter = format!("state = \"FIRING\" AND rule = \"{id}\"");
    let request = ListAlertsRequest { filter, ..Default::default() };
    admin.list_alerts(request).await.expect("they are listed").into_inner().alerts
}

async fn sums(admin: &mut Client, id: &str, change: impl FnOnce(&mut Kpi)) {
    let mut kpi = definition(Kind::Sum, Unit::Index);
    change(&mut kpi);
    create(admin, id, kpi).await;
}

async fn what_is_not_measured_keeps_an_alert_firing(suite: Suite) {
    let mut admin = client(&suite.admin());
    let day = noon(&suite).await;
    sums(&mut admin, "kept", |_| ()).await;
    sums(&mut admin, "won", |kpi| kpi.guards = vec!["kpis/kept".to_owned()]).await;
    let guard =
        GuardCondition { kpi: "kpis/won".to_owned(), granularity: Granularity::Day.into(), ..Default::default() };
    rule(&mut admin, "guard", Condition::Guard(guard)).await.unwrap();
    let of = |kpi: &str, day: i64, value: f64| event(kpi, &format!("{kpi}-{day}"), day, Some(value), &[]);
    let days = [("won", -2, 100.0), ("kept", -2, 100.0), ("won", -1, 120.0), ("kept", -1, 80.0), ("won", 0, 150.0)];
    record(&mut admin, days.iter().map(|(kpi, ago, value)| of(kpi, day + ago * DAY, *value)).collect()).await;
    let fired = firing(&mut admin, "guard").await;
    assert_eq!(fired.len(), 1);
    // The guard was not measured on the next day: that clears nothing.
    suite.advance(Duration::from_secs(86_400)).await;
    let still = firing(&mut admin, "guard").await;
    assert_eq!((still.len(), &still[0].name), (1, &fired[0].name));
    assert!(still[0].note.contains("kpis/kept"), "{}", still[0].note);
    record(&mut admin, vec![of("kept", day, 90.0)]).await;
    assert!(firing(&mut admin, "guard").await.is_empty(), "known, it clears");
    // A limit of 85 percent on a mean that is a share never fires: refused, as for a ratio.
    create(&mut admin, "graded", definition(Kind::Mean, Unit::Score)).await;
    let threshold = |limit| ThresholdCondition {
        kpi: "kpis/graded".to_owned(),
        comparison: Comparison::Below.into(),
        limit,
        granularity: Granularity::Day.into(),
        ..Default::default()
    };
    let refused = rule(&mut admin, "percent", Condition::Threshold(threshold(85.0))).await.unwrap_err();
    assert_eq!(reason(&refused), "ALERT_RULE_INVALID");
    rule(&mut admin, "share", Condition::Threshold(threshold(0.85))).await.unwrap();
}

async fn an_alert_tells_no_arm_before_the_horizon(suite: Suite) {
    let mut admin = client(&suite.admin());
    let day = noon(&suite).await;
    let experiment = Experiment {
        hypothesis: "An e-mail brings visits.".to_owned(),
        metric: "kpis/visit_rate".to_owned(),
        arm_dimension: "arm".to_owned(),
        control: "none".to_owned(),
        treatments: vec!["mail".to_owned()],
        unit: ExperimentUnit::Event.into(),
        min_n_per_arm: 2,
        start_time: at(day + DAY),
        end_time: at(day + 3 * DAY),
        ..Default::default()
    };
    let request = CreateExperimentRequest {
        experiment_id: "mail".to_owned(),
        experiment: Some(experiment),
        request_id: String::new(),
    };
    admin.create_experiment(request).await.unwrap();
    let condition = |filter: &str| ThresholdCondition {
        kpi: "kpis/visit_rate".to_owned(),
        comparison: Comparison::Above.into(),
        limit: 0.5,
        granularity: Granularity::Day.into(),
        filter: filter.to_owned(),
        ..Default::default()
    };
    rule(&mut admin, "arm", Condition::Threshold(condition("arm = \"mail\""))).await.unwrap();
    rule(&mut admin, "all", Condition::Threshold(condition(""))).await.unwrap();
    suite.advance(Duration::from_secs(2 * 86_400)).await;
    record(&mut admin, vec![event("visit_rate", "v", day + DAY, Some(1.0), &[("arm", "mail")])]).await;
    assert!(firing(&mut admin, "arm").await.is_empty(), "an alert would tell what nobody may see");
    assert_eq!(firing(&mut admin, "all").await.len(), 1, "what is not split by arm is shown");
    record(&mut admin, vec![event("visit_rate", "w", day + 3 * DAY - HOUR, Some(1.0), &[("arm", "mail")])]).await;
    suite.advance(Duration::from_secs(86_400)).await;
    assert_eq!(firing(&mut admin, "arm").await.len(), 1, "the horizon has passed");
}

async fn quarters_show_what_no_two_months_do(suite: Suite) {
    let mut admin = client(&suite.admin());
    noon(&suite).await;
    sums(&mut admin, "launched", |kpi| kpi.set_layer(Layer::Operational)).await;
    sums(&mut admin, "considered", |kpi| {
        kpi.set_layer(Layer::Strategic);
        kpi.set_cadence(Cadence::Quarterly);
    })
    .await;
    let cross = CrossLayerCondition { granularity: Granularity::Month.into(), ..Default::default() };
    rule(&mut admin, "layers", Condition::CrossLayer(cross)).await.unwrap();
    assert!(firing(&mut admin, "layers").await.is_empty());
    // The quarters that are over, as the service itself cuts them.
    let now = suite.now().await.0;
    let request = QueryRollupsRequest {
        kpi: "kpis/considered".to_owned(),
        range: range(now - 290 * DAY, now),
        granularity: Granularity::Quarter.into(),
        ..Default::default()
    };
    let quarters = rollups(&mut admin, request).await;
    let middle = |back: usize| {
        let of = |stamp: &Option<prost_types::Timestamp>| stamp.as_ref().map_or(0, |at| at.seconds * 1_000_000);
        let quarter = &quarters[quarters.len() - 1 - back];
        of(&quarter.start_time) + 45 * DAY
    };
    let of = |kpi: &str, back: usize, value: f64| event(kpi, &format!("{kpi}-{back}"), middle(back), Some(value), &[]);
    let events =
        vec![of("launched", 2, 10.0), of("launched", 1, 43.0), of("considered", 2, 0.4), of("considered", 1, 0.16)];
    record(&mut admin, events).await;
    let fired = firing(&mut admin, "layers").await;
    assert_eq!(fired.len(), 1);
    assert!(fired[0].message.contains("kpis/considered") && fired[0].message.ends_with("by quarter"), "{fired:?}");
}

async fn a_shift_and_a_silence_raise_alerts(suite: Suite) {
    let mut admin = client(&suite.admin());
    let day = noon(&suite).await;
    sums(&mut admin, "orders", |_| ()).await;
    let shift = |history_periods, granularity: Granularity| ShiftCondition {
        kpi: "kpis/orders".to_owned(),
        granularity: granularity.into(),
        history_periods,
        by_day_of_week: granularity != Granularity::Day,
        ..Default::default()
    };
    for wrong in [shift(29, Granularity::Day), shift(0, Granularity::Month)] {
        let refused = rule(&mut admin, "wrong", Condition::Shift(wrong)).await.unwrap_err();
        assert_eq!(reason(&refused), "ALERT_RULE_INVALID");
    }
    rule(&mut admin, "shift", Condition::Shift(shift(0, Granularity::Day))).await.unwrap();
    let silence = MissingDataCondition {
        kpi: "kpis/orders".to_owned(),
        granularity: Granularity::Day.into(),
        periods: 2,
        ..Default::default()
    };
    rule(&mut admin, "silence", Condition::MissingData(silence)).await.unwrap();
    assert!(firing(&mut admin, "shift").await.is_empty(), "nothing is known");
    // Sixty days that swing about 100; from the last eight on by two standard deviations more. Each by itself is within
    // its control limits.
    let off = [9.0, -12.0, 3.0, 11.0, -4.0, -10.0, 6.0, -3.0];
    let orders = |ago: i64| {
        let level = if ago <= 8 { 117.0 } else { 100.0 };
        let value = level + off[usize::try_from(ago % 8).unwrap()];
        event("orders", &format!("o{ago}"), day - ago * DAY, Some(value), &[])
    };
    record(&mut admin, (9..=60).map(orders).collect()).await;
    record(&mut admin, (1..=8).map(orders).collect()).await;
    let found = firing(&mut admin, "shift").await;
    assert_eq!(found.len(), 1);
    assert!(found[0].message.contains("shifted up since"), "{}", found[0].message);
    assert!(firing(&mut admin, "silence").await.is_empty());
    suite.advance(Duration::from_secs(2 * 86_400)).await;
    let silent = firing(&mut admin, "silence").await;
    assert_eq!((silent.len(), silent[0].n, silent[0].value), (1, 0, None));
    record(&mut admin, vec![event("orders", "again", day + DAY, Some(100.0), &[])]).await;
    assert!(firing(&mut admin, "silence").await.is_empty(), "an event ends it");
}

async fn drift_is_judged_by_its_definition(suite: Suite) {
    let mut admin = client(&suite.admin());
    let day = today(&suite).await;
    let scores = |from: i64, shape: fn(f64) -> f64| -> Vec<Event> {
        let score = |i: i64| shape((i as f64 + 0.5) / 400.0);
        (0..400)
            .map(|i| event("creative_similarity", &format!("{from}-{i}"), day - from * DAY + i, Some(score(i)), &[]))
            .collect()
    };
    record(&mut admin, scores(3, |x| x)).await;
    record(&mut admin, scores(2, |x| x * x)).await;
    record(&mut admin, scores(1, f64::sqrt)).await;
    let compare = |ago: i64| CompareDistributionsRequest {
        kpi: "kpis/creative_similarity".to_owned(),
        window: range(day - ago * DAY, day - (ago - 1) * DAY),
        baseline: range(day - 3 * DAY, day - 2 * DAY),
        ..Default::default()
    };
    let down = admin.compare_distributions(compare(2)).await.unwrap().into_inner();
    assert_eq!(down.verdict(), DriftVerdict::None, "less alike is not worse");
    assert!(down.mean_difference.unwrap() < -0.1 && down.p_value.unwrap() < 1e-6);
    let up = admin.compare_distributions(compare(1)).await.unwrap().into_inner();
    assert_eq!((up.verdict(), up.effect), (DriftVerdict::Significant, up.psi_corrected));

    let get = GetKpiRequest { name: "kpis/creative_similarity".to_owned() };
    let shipped = admin.get_kpi(get).await.unwrap().into_inner();
    let update = |drift: DriftSettings| UpdateKpiRequest {
        kpi: Some(Kpi { drift: Some(drift), ..shipped.clone() }),
        update_mask: Some(FieldMask { paths: vec!["drift".to_owned()] }),
        ..Default::default()
    };
    let worse = drift_settings::Worse::Up.into();
    let loose = DriftSettings { moderate: 0.5, significant: 0.9, worse, ..Default::default() };
    assert_eq!(reason(&admin.update_kpi(update(loose)).await.unwrap_err()), "MANDATE_REQUIRED");
    let order = DriftSettings { moderate: 0.5, significant: 0.1, worse, ..Default::default() };
    assert_eq!(reason(&admin.update_kpi(update(order)).await.unwrap_err()), "KPI_INVALID");
    let either = DriftSettings { level: 0.05, ..Default::default() };
    let stricter = admin.update_kpi(update(either)).await.unwrap().into_inner();
    assert_eq!(stricter.version, shipped.version + 1);
    let down = admin.compare_distributions(compare(2)).await.unwrap().into_inner();
    assert_eq!(down.verdict(), DriftVerdict::Significant);
    let settings = down.settings.unwrap();
    assert_eq!((settings.level, settings.moderate, settings.min_n), (0.05, 0.10, 100));
    let nowhere = Kpi { drift: Some(DriftSettings::default()), ..definition(Kind::Count, Unit::Count) };
    let nowhere = CreateKpiRequest { kpi_id: "x".to_owned(), kpi: Some(nowhere), request_id: String::new() };
    assert_eq!(reason(&admin.create_kpi(nowhere).await.unwrap_err()), "KPI_INVALID");
}

async fn a_model_that_is_upside_down_is_found(suite: Suite) {
    let mut admin = client(&suite.admin());
    let day = today(&suite).await;
    let scored = |version: &'static str, given: fn(f64) -> f64| -> Vec<Event> {
        (0..1_000_i64)
            .map(|i| {
                let score = (i as f64 + 0.5) / 1_000.0;
                // Each of a thousand equal chances once, in an order that has nothing to do with the score.
                let came = ((i * 617) % 1_000) as f64 / 1_000.0 < score;
                let outcome = if came { "1" } else { "0" };
                let dimensions = [("model_version", version), ("outcome", outcome)];
                event("lead_score_outcome", &format!("{version}-{i}"), day + i, Some(given(score)), &dimensions)
            })
            .collect()
    };
    let (right, wrong) = ("models/lead-scorer/versions/1", "models/lead-scorer/versions/2");
    record(&mut admin, scored(right, |score| score)).await;
    record(&mut admin, scored(wrong, |score| 1.0 - score)).await;
    let odd = event("lead_score_outcome", "odd", day, Some(0.5), &[("model_version", right), ("outcome", "maybe")]);
    record(&mut admin, vec![odd]).await;
    let assess = |kpi: &str| AssessCalibrationRequest {
        kpi: format!("kpis/{kpi}"),
        range: range(day, day + DAY),
        ..Default::default()
    };
    let found = admin.assess_calibration(assess("lead_score_outcome")).await.unwrap().into_inner();
    assert_eq!((found.models.len(), found.unknown_outcome_count), (2, 1));
    let [good, bad] = &found.models[..] else { panic!("two versions") };
    assert_eq!((good.model_version.as_str(), good.n, good.verdict()), (right, 1_000, DriftVerdict::None));
    assert_eq!((bad.model_version.as_str(), bad.verdict()), (wrong, DriftVerdict::Significant));
    assert!(good.auc_interval.unwrap().lower > 0.7 && bad.auc_interval.unwrap().upper < 0.3);
    assert!(bad.inverted.as_ref().unwrap().p_value < 1e-9);
    // The mean of outcome minus score is the same of both, near 0; the Brier score is not.
    assert!(good.brier_score.unwrap() < 0.2 && bad.brier_score.unwrap() > 0.4);
    assert_eq!(good.reliability_bins.iter().map(|bin| bin.n).sum::<i64>(), 1_000);
    assert_eq!(reason(&admin.assess_calibration(assess("lead_score")).await.unwrap_err()), "KIND_WRONG");
}

async fn an_experiment_is_looked_at_as_it_was_registered(suite: Suite) {
    let mut admin = client(&suite.admin());
    let day = noon(&suite).await;
    let start = day + DAY;
    let experiment = |unit: ExperimentUnit| Experiment {
        hypothesis: "More visits.".to_owned(),
        metric: "kpis/visit_rate".to_owned(),
        arm_dimension: "arm".to_owned(),
        control: "a".to_owned(),
        treatments: vec!["b".to_owned()],
        unit: unit.into(),
        min_n_per_arm: 100,
        start_time: at(start),
        end_time: at(start + 4 * DAY),
        ..Default::default()
    };
    let anytime = Experiment { stopping_rule: StoppingRule::Anytime.into(), ..experiment(ExperimentUnit::Event) };
    let spend = "kpis/spend_per_recipient".to_owned();
    let fixed = Experiment {
        metric: spend.clone(),
        secondary_metrics: vec!["kpis/visit_rate".to_owned()],
        covariate_start_time: at(day - 10 * DAY),
        ..experiment(ExperimentUnit::Member)
    };
    let mut create = async |id: &str, experiment: Experiment| {
        let (experiment_id, experiment) = (id.to_owned(), Some(experiment));
        let request = CreateExperimentRequest { experiment_id, experiment, request_id: String::new() };
        admin.create_experiment(request).await.map(tonic::Response::into_inner)
    };
    // The second hides what the first shows: it measures the same by arm until its own horizon.
    let summed = Experiment { unit: ExperimentUnit::Trial.into(), ..anytime.clone() };
    let late = Experiment { covariate_start_time: at(start), ..fixed.clone() };
    let twice = Experiment { secondary_metrics: vec![spend], ..fixed.clone() };
    for wrong in [summed, late, twice] {
        assert_eq!(reason(&create("wrong", wrong).await.unwrap_err()), "EXPERIMENT_INVALID");
    }
    assert_eq!(create("open", anytime).await.unwrap().stopping_rule(), StoppingRule::Anytime);
    let fixed = create("fixed", fixed).await.unwrap();
    assert_eq!((fixed.secondary_metric_versions.clone(), fixed.stopping_rule()), (vec![1], StoppingRule::FixedHorizon));

    suite.advance(Duration::from_secs(2 * 86_400)).await;
    let mut events = Vec::new();
    for (arm, visiting, more) in [("a", 20, 0.0), ("b", 60, 3.0)] {
        for user in 0..120_i64 {
            let member = format!("{arm}{user}");
            // What users spent before differs by far more than what the treatment brings.
            let usual = 50.0 + ((user * 37) % 101) as f64;
            let noise = ((user * 13) % 7) as f64 - 3.0;
            let spent = |id: &str, when: i64, value: f64, arm: &[(&str, &str)]| Event {
                member: member.clone(),
                ..event("spend_per_recipient", &format!("{id}-{member}"), when, Some(value), arm)
            };
            events.push(spent("before", day - DAY, usual, &[]));
            events.push(spent("in", start, usual + noise + more, &[("arm", arm)]));
            let visited = if user < visiting { 1.0 } else { 0.0 };
            let visit = event("visit_rate", &format!("v-{member}"), start, Some(visited), &[("arm", arm)]);
            events.push(Event { denominator: Some(1.0), member: member.clone(), ..visit });
        }
    }
    suite_record(&suite, events).await;
    let mut reader = client(&suite.admin());
    let mut found = async |id: &str| {
        let request = CompareExperimentRequest { name: format!("experiments/{id}") };
        reader.compare_experiment(request).await.unwrap().into_inner()
    };
    let open = found("open").await;
    assert_eq!((open.state(), open.arms[1].verdict()), (ExperimentState::Running, ChangeVerdict::Improved));
    assert_eq!(open.arms[1].test.as_ref().unwrap().method, "asymptotic confidence sequence");
    assert!(open.result_digest.is_empty(), "it is not over");
    // Who registers a second experiment to see the first one early, sees nothing.
    let peek = Experiment { start_time: at(start), end_time: at(start + HOUR), ..experiment(ExperimentUnit::Event) };
    let peek = CreateExperimentRequest {
        experiment_id: "peek".to_owned(),
        experiment: Some(Experiment { retrospective: true, ..peek }),
        request_id: String::new(),
    };
    client(&suite.admin()).create_experiment(peek).await.unwrap();
    let peek = CompareExperimentRequest { name: "experiments/peek".to_owned() };
    let peeked = client(&suite.admin()).compare_experiment(peek).await.unwrap_err();
    assert_eq!(reason(&peeked), "EXPERIMENT_RUNNING");
    let running = found("fixed").await;
    assert!(running.secondary_metrics.is_empty() && running.arms.iter().all(|arm| arm.rollup.is_none()));
    suite.advance(Duration::from_secs(4 * 86_400)).await;
    let over = found("fixed").await;
    let arm = &over.arms[1];
    assert_eq!(
        (arm.verdict(), arm.test.as_ref().unwrap().method.as_str()),
        (ChangeVerdict::Improved, "CUPED-adjusted t")
    );
    assert!((arm.adjusted_difference.unwrap() - 3.0).abs() < 0.5, "{:?}", arm.adjusted_difference);
    let secondary = &over.secondary_metrics[0];
    assert_eq!((secondary.kpi.as_str(), secondary.arms[1].verdict()), ("kpis/visit_rate", ChangeVerdict::Improved));
    assert!(found("open").await.result_digest.starts_with("sha256:"));

    let plan = PlanExperimentRequest {
        metric: Some(plan_experiment_request::Metric::BaselineShare(0.6)),
        least_effect: 0.1,
        ..Default::default()
    };
    assert_eq!(reader_plan(&suite, plan).await.unwrap().n_per_arm, 376);
    let nothing = PlanExperimentRequest { least_effect: 0.6, ..plan };
    assert_eq!(reason(&reader_plan(&suite, nothing).await.unwrap_err()), "PLAN_INVALID");
}

async fn reader_plan(suite: &Suite, plan: PlanExperimentRequest) -> Result<PlanExperimentResponse, tonic::Status> {
    client(&suite.admin()).plan_experiment(plan).await.map(tonic::Response::into_inner)
}

async fn suite_record(suite: &Suite, events: Vec<Event>) {
    record(&mut client(&suite.admin()), events).await;
}

async fn a_refused_event_leaves_nothing_behind(suite: Suite) {
    let mut admin = client(&suite.admin());
    let now = suite.now().await.0;
    create(&mut admin, "replies", definition(Kind::Count, Unit::Count)).await;
    let reply = |id: &str, channel: &str| event("replies", id, now, None, &[("channel", channel)]);
    record(&mut admin, vec![reply("x", "email")]).await;
    // Two channels are allowed: the refused event has used up none.
    let events = vec![reply("x", "phone"), reply("y", "post")];
    let again = RecordEventsRequest { events, skip_invalid: true, ..Default::default() };
    let refused = admin.record_events(again).await.unwrap().into_inner();
    assert_eq!((refused.accepted_count, refused.errors[0].reason.as_str()), (1, "EVENT_ID_REUSED"));

    // Spend that brought no lead is spend, and time may be lost: without them both figures are too good.
    let spend = |id: &str, value, denominator| Event {
        denominator: Some(denominator),
        ..event("cost_per_lead", id, now, Some(value), &[])
    };
    record(&mut admin, vec![spend("a", 500.0, 0.0), spend("b", 100.0, 10.0)]).await;
    record(&mut admin, vec![event("time_saved", "lost", now, Some(-60.0), &[])]).await;
    let quarter = now - now.rem_euclid(HOUR / 4);
    assert_eq!(whole(&mut admin, "cost_per_lead", quarter, quarter + HOUR / 4).await.value, Some(60.0));
    let fine = RecordEventsRequest { events: vec![spend("c", 4e-7, 1.0)], ..Default::default() };
    assert_eq!(reason(&admin.record_events(fine).await.unwrap_err()), "VALUE_TOO_FINE");
}

async fn an_alert_waits_for_what_may_come_and_ends_with_its_rule(suite: Suite) {
    let mut admin = client(&suite.admin());
    let day = noon(&suite).await;
    sums(&mut admin, "sales", |_| {}).await;
    let condition = ThresholdCondition {
        kpi: "kpis/sales".to_owned(),
        comparison: Comparison::Below.into(),
        limit: 100.0,
        granularity: Granularity::Day.into(),
        ..Default::default()
    };
    let made = rule(&mut admin, "sales", Condition::Threshold(condition)).await.unwrap();
    let sale = |id: &str, when: i64, value: f64| event("sales", id, when, Some(value), &[]);
    record(&mut admin, vec![sale("a", day, 30.0)]).await;
    suite.advance(Duration::from_secs(12 * 3_600 + 300)).await;
    assert!(firing(&mut admin, "sales").await.is_empty(), "the rest may come until one");
    record(&mut admin, vec![sale("b", day + HOUR, 90.0), sale("c", day + DAY, 30.0)]).await;
    suite.advance(Duration::from_secs(2 * 3_600)).await;
    assert!(firing(&mut admin, "sales").await.is_empty(), "it has come");
    suite.advance(Duration::from_secs(86_400)).await;
    let first = firing(&mut admin, "sales").await;
    assert_eq!((first.len(), first[0].value), (1, Some(30.0)));
    // It goes on firing, in the words of the day that was judged last.
    record(&mut admin, vec![sale("d", day + 2 * DAY, 20.0)]).await;
    suite.advance(Duration::from_secs(86_400)).await;
    let second = firing(&mut admin, "sales").await;
    assert_eq!((second[0].name.as_str(), second[0].value), (first[0].name.as_str(), Some(20.0)));
    assert!(second[0].range != first[0].range && second[0].message != first[0].message, "{second:?}");
    // Nobody looks any more.
    let delete = DeleteAlertRuleRequest { name: made.name, etag: made.etag, ..Default::default() };
    let delete = suite.mandated("loosen_rules", "kpi.alert_rules.delete", delete);
    admin.delete_alert_rule(delete).await.unwrap();
    let request = GetAlertRequest { name: first[0].name.clone() };
    assert_eq!(admin.get_alert(request).await.unwrap().into_inner().state(), AlertState::Resolved);
}
