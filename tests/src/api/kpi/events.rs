//! The cases of what stands behind a number: its events, and its largest groups.

use super::*;
use crate::api::cases;

cases! {
    the_events_behind_a_number_are_listed;
    a_list_of_events_tells_no_arm_before_the_horizon;
    the_largest_groups_are_not_those_of_few_cases;
}

async fn listed(client: &mut Client, request: ListEventsRequest) -> Vec<String> {
    let mut request = request;
    let mut ids = Vec::new();
    loop {
        let page = client.list_events(request.clone()).await.expect("events are listed").into_inner();
        assert!(request.page_size == 0 || page.events.len() <= usize::try_from(request.page_size).unwrap());
        ids.extend(page.events.into_iter().map(|event| event.event.unwrap().event_id));
        if page.next_page_token.is_empty() {
            return ids;
        }
        request.page_token = page.next_page_token;
    }
}

async fn the_events_behind_a_number_are_listed(suite: Suite) {
    let mut admin = client(&suite.admin());
    let day = today(&suite).await;
    create(&mut admin, "orders", definition(Kind::Mean, Unit::Index)).await;
    let order = |id: &str, hour: i64, channel: &str| Event {
        member: format!("person-{id}"),
        ..event("orders", id, day + hour * HOUR, Some(1.0), &[("channel", channel)])
    };
    let corrected = Event { corrects: "b".to_owned(), ..order("b2", 2, "email") };
    let twin = order("c2", 3, "phone");
    let events = vec![order("a", 1, "email"), order("b", 2, "phone"), order("c", 3, "email"), twin, corrected];
    record(&mut admin, events).await;
    let all = ListEventsRequest { parent: "kpis/orders".to_owned(), ..Default::default() };
    // Page by page the same as at once, also where events share their time.
    for page_size in [0, 1, 2, 3] {
        let request = ListEventsRequest { page_size, ..all.clone() };
        assert_eq!(listed(&mut admin, request).await, ["c2", "c", "b2", "a"], "{page_size}");
    }
    let filtered = ListEventsRequest { filter: "channel = \"email\"".to_owned(), page_size: 2, ..all.clone() };
    assert_eq!(listed(&mut admin, filtered.clone()).await, ["c", "b2", "a"]);
    let request = ListEventsRequest { show_corrected: true, range: range(day + HOUR, day + 3 * HOUR), ..all.clone() };
    assert_eq!(listed(&mut admin, request.clone()).await, ["b2", "b", "a"]);
    let found = admin.list_events(request).await.unwrap().into_inner().events;
    assert_eq!((found[1].corrected_by.as_str(), found[0].event.as_ref().unwrap().corrects.as_str()), ("b2", "b"));
    // The list behind a number has its n, and names nobody.
    let number = whole(&mut admin, "orders", day, day + DAY).await;
    assert_eq!(number.n, 4);
    assert!(!format!("{found:?}").contains("person-"), "{found:?}");

    let token = admin.list_events(ListEventsRequest { page_size: 1, ..all.clone() }).await.unwrap().into_inner();
    let other = ListEventsRequest { page_token: token.next_page_token, ..filtered };
    assert_eq!(reason(&admin.list_events(other).await.unwrap_err()), "PAGE_TOKEN_INVALID");
    for (request, expected) in [
        (ListEventsRequest { parent: "kpis/nothing".to_owned(), ..all.clone() }, "KPI_NOT_FOUND"),
        (ListEventsRequest { filter: "planet = \"mars\"".to_owned(), ..all.clone() }, "DIMENSION_UNKNOWN"),
        (ListEventsRequest { range: range(day, day), ..all }, "TIME_RANGE_INVALID"),
    ] {
        assert_eq!(reason(&admin.list_events(request).await.unwrap_err()), expected);
    }
}

async fn a_list_of_events_tells_no_arm_before_the_horizon(suite: Suite) {
    let mut admin = client(&suite.admin());
    let day = today(&suite).await + DAY;
    let experiment = Experiment {
        hypothesis: "An e-mail brings visits.".to_owned(),
        metric: "kpis/visit_rate".to_owned(),
        arm_dimension: "arm".to_owned(),
        control: "none".to_owned(),
        treatments: vec!["mail".to_owned()],
        unit: ExperimentUnit::Event.into(),
        min_n_per_arm: 2,
        start_time: at(day),
        end_time: at(day + 2 * DAY),
        ..Default::default()
    };
    let experiment_id = "mail".to_owned();
    let request = CreateExperimentRequest { experiment_id, experiment: Some(experiment), ..Default::default() };
    admin.create_experiment(request).await.unwrap();
    suite.advance(Duration::from_secs(2 * 86_400)).await;
    let visit = |id: &str, when: i64| event("visit_rate", id, when, Some(1.0), &[("arm", "mail")]);
    record(&mut admin, vec![visit("before", day - HOUR), visit("during", day + HOUR)]).await;
    let all = ListEventsRequest { parent: "kpis/visit_rate".to_owned(), ..Default::default() };
    let by_arm = ListEventsRequest { filter: "arm = \"mail\"".to_owned(), ..all.clone() };
    assert_eq!(reason(&admin.list_events(by_arm.clone()).await.unwrap_err()), "EXPERIMENT_RUNNING");
    let arms = async |admin: &mut Client| {
        let page = admin.list_events(all.clone()).await.unwrap().into_inner();
        let arm = |found: &RecordedEvent| found.event.as_ref().unwrap().dimensions.contains_key("arm");
        let one = GetEventRequest { kpi: "kpis/visit_rate".to_owned(), event_id: "during".to_owned() };
        let one = admin.get_event(one).await.unwrap().into_inner();
        [arm(&page.events[0]), arm(&page.events[1]), arm(&one)]
    };
    assert_eq!(arms(&mut admin).await, [false, true, false], "the arm is hidden while the experiment runs");
    suite.advance(Duration::from_secs(3 * 86_400)).await;
    assert_eq!(arms(&mut admin).await, [true; 3]);
    assert_eq!(listed(&mut admin, by_arm).await, ["during", "before"]);
}

async fn the_largest_groups_are_not_those_of_few_cases(suite: Suite) {
    let mut admin = client(&suite.admin());
    let day = today(&suite).await;
    let mut kpi = definition(Kind::Ratio, Unit::Proportion);
    kpi.dimensions = vec![Dimension { key: "channel".to_owned(), max_values: 9, required: false }];
    create(&mut admin, "wins", kpi).await;
    let share = |id: &str, hour: i64, won: f64, of: f64| Event {
        denominator: Some(of),
        ..event("wins", id, day + hour * HOUR, Some(won), &[("channel", id)])
    };
    let events = vec![
        share("many", 0, 90.0, 100.0),
        share("few", 0, 2.0, 2.0),
        share("half", 1, 500.0, 1_000.0),
        share("none", 1, 0.0, 50.0),
    ];
    record(&mut admin, events).await;
    let request = QueryRollupsRequest {
        kpi: "kpis/wins".to_owned(),
        range: range(day, day + DAY),
        group_by: vec!["channel".to_owned()],
        top: 3,
        ..Default::default()
    };
    let names = |rows: &[Rollup]| rows.iter().map(|row| row.group["channel"].clone()).collect::<Vec<_>>();
    // Two of two are every case, and might be a third of all.
    assert_eq!(names(&rollups(&mut admin, request.clone()).await), ["many", "half", "few"]);
    let hours = QueryRollupsRequest { granularity: Granularity::Hour.into(), top: 2, omit_empty: true, ..request };
    assert_eq!(names(&rollups(&mut admin, hours).await), ["many", "half"], "the groups of the whole span, by hour");
}
