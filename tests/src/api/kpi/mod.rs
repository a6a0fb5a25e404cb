//! The cases of the service `kpi`: definitions, recording, rollups; its modules have the rest.

pub mod alerts;
pub mod events;
pub mod pilots;
pub mod settings;
pub mod verdicts;

use super::cases;
use crate::support::{Caller, Connection, Suite, eventually, reason, stamp};
use prost_types::FieldMask;
use remit_api::audit::v1 as audit;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::kpi::v1::alert_rule::Condition;
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::kpi::v1::threshold_condition::Comparison;
use remit_api::kpi::v1::*;
use remit_api::types::{Actor, ActorKind, TimeRange, WatchPhase};
use remit_core::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::Code;

cases! {
    definitions_ship_and_every_version_is_kept: CreateKpi, UpdateKpi, RetireKpi;
    an_update_changes_what_its_mask_names;
    an_event_counts_once_and_what_is_late_restates: StreamEvents;
    a_correction_replaces_what_it_names: RecordEvents;
    bad_events_are_refused_by_name_or_reported;
    no_data_is_not_zero_and_missing_is_not_undue;
    ratios_are_sums_over_sums_in_every_group;
    drift_is_a_comparison_of_two_rollups;
    a_watch_shows_the_snapshot_and_then_the_changes;
    the_audit_log_is_counted_once;
    derived_kpis_follow_from_the_suites_own_entries_and_from_nobody_else: Append;
}

type Client = KpiServiceClient<Connection>;

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

fn client(caller: &Caller) -> Client {
    KpiServiceClient::new(caller.to("kpi"))
}

/// The midnight before the suite's time.
async fn today(suite: &Suite) -> i64 {
    let now = suite.now().await.0;
    now - now.rem_euclid(DAY)
}

fn at(micros: i64) -> Option<prost_types::Timestamp> {
    Some(stamp(Timestamp(micros)))
}

fn range(start: i64, end: i64) -> Option<TimeRange> {
    Some(TimeRange { start_time: at(start), end_time: at(end) })
}

fn event(kpi: &str, id: &str, when: i64, value: Option<f64>, dimensions: &[(&str, &str)]) -> Event {
    Event {
        event_id: id.to_owned(),
        kpi: format!("kpis/{kpi}"),
        occurred_at: at(when),
        value,
        dimensions: dimensions.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..Event::default()
    }
}

async fn record(client: &mut Client, events: Vec<Event>) -> RecordEventsResponse {
    let request = RecordEventsRequest { events, ..RecordEventsRequest::default() };
    client.record_events(request).await.expect("the events are recorded").into_inner()
}

async fn rollups(client: &mut Client, request: QueryRollupsRequest) -> Vec<Rollup> {
    client.query_rollups(request).await.expect("rollups are given").into_inner().rollups
}

/// The single rollup of a span.
async fn whole(client: &mut Client, kpi: &str, start: i64, end: i64) -> Rollup {
    let request = QueryRollupsRequest { kpi: format!("kpis/{kpi}"), range: range(start, end), ..Default::default() };
    rollups(client, request).await.remove(0)
}

fn definition(kind: Kind, unit: Unit) -> Kpi {
    let mut kpi = Kpi { display_name: "Replies".to_owned(), description: "Replies.".to_owned(), ..Kpi::default() };
    kpi.set_layer(Layer::Execution);
    kpi.set_kind(kind);
    kpi.set_unit(unit);
    kpi.set_direction(Direction::HigherIsBetter);
    kpi.dimensions = vec![Dimension { key: "channel".to_owned(), max_values: 2, required: false }];
    kpi
}

async fn create(client: &mut Client, id: &str, kpi: Kpi) -> Kpi {
    let request = CreateKpiRequest { kpi_id: id.to_owned(), kpi: Some(kpi), request_id: String::new() };
    client.create_kpi(request).await.expect("the KPI is created").into_inner()
}

async fn definitions_ship_and_every_version_is_kept(suite: Suite) {
    let mut admin = client(&suite.admin());
    let request = ListKpisRequest {
        filter: "layer = \"STRATEGIC\" AND state = \"ACTIVE\"".to_owned(),
        page_size: 3,
        ..Default::default()
    };
    let page = admin.list_kpis(request.clone()).await.unwrap().into_inner();
    assert_eq!(page.kpis.len(), 3);
    assert!(page.kpis.iter().all(|kpi| kpi.layer() == Layer::Strategic));
    let next = ListKpisRequest { page_token: page.next_page_token, ..request };
    assert!(admin.list_kpis(next).await.unwrap().into_inner().kpis[0].name > page.kpis[2].name);

    let first = create(&mut admin, "replies", definition(Kind::Count, Unit::Count)).await;
    assert_eq!((first.version, first.cadence(), first.etag.as_str()), (1, Cadence::Continuous, "r1"));
    // Events are no revision of the definition: its etag stays good.
    record(&mut admin, vec![event("replies", "first", suite.now().await.0, None, &[])]).await;
    let again = CreateKpiRequest {
        kpi_id: "replies".to_owned(),
        kpi: Some(definition(Kind::Sum, Unit::Count)),
        request_id: String::new(),
    };
    assert_eq!(reason(&admin.create_kpi(again).await.unwrap_err()), "KPI_EXISTS");

    let wanted = Kpi { target: Some(40.0), ..first.clone() };
    let update = UpdateKpiRequest { kpi: Some(wanted.clone()), ..Default::default() };
    let second = admin.update_kpi(update.clone()).await.unwrap().into_inner();
    assert_eq!((second.version, second.target, second.etag.as_str()), (2, Some(40.0), "r2"));
    let stale = admin.update_kpi(UpdateKpiRequest { request_id: "late".to_owned(), ..update }).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    // What never changes is not looked at.
    let moved = Kpi {
        time_zone: "Europe/Lisbon".to_owned(),
        unit: Unit::Seconds.into(),
        target: Some(50.0),
        etag: String::new(),
        ..second.clone()
    };
    let third = admin.update_kpi(UpdateKpiRequest { kpi: Some(moved), ..Default::default() }).await.unwrap();
    let third = third.into_inner();
    assert_eq!((third.target, third.version, third.etag.as_str()), (Some(50.0), 3, "r3"));
    assert_eq!((third.time_zone, third.unit), (second.time_zone, second.unit));

    // The zone and currency of a shipped definition are settled before its first event, by name, and then stay.
    let settle = |kpi: &str, path: &str| UpdateKpiRequest {
        kpi: Some(Kpi {
            name: format!("kpis/{kpi}"),
            time_zone: "Europe/Berlin".to_owned(),
            currency_code: "EUR".to_owned(),
            ..Kpi::default()
        }),
        update_mask: Some(FieldMask { paths: vec![path.to_owned()] }),
        ..Default::default()
    };
    for path in ["time_zone", "currency_code"] {
        admin.update_kpi(settle("cost_per_lead", path)).await.unwrap();
    }
    let euros = GetKpiRequest { name: "kpis/cost_per_lead".to_owned() };
    let euros = admin.get_kpi(euros).await.unwrap().into_inner();
    assert_eq!((euros.time_zone.as_str(), euros.currency_code.as_str()), ("Europe/Berlin", "EUR"));
    let refused = admin.update_kpi(settle("replies", "time_zone")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "KPI_HAS_DATA"));

    let versions = ListKpiVersionsRequest { parent: first.name.clone(), ..Default::default() };
    let versions = admin.list_kpi_versions(versions).await.unwrap().into_inner().versions;
    assert_eq!(versions.iter().map(|kpi| kpi.version).collect::<Vec<_>>(), [3, 2, 1]);
    let old = GetKpiRequest { name: format!("{}/versions/1", first.name) };
    assert_eq!(admin.get_kpi(old).await.unwrap().into_inner(), first);
    for name in ["kpis/nothing", "kpis/replies/versions/9", "kpis/nothing/versions/1"] {
        let nothing = admin.get_kpi(GetKpiRequest { name: name.to_owned() }).await.unwrap_err();
        assert_eq!((nothing.code(), reason(&nothing).as_str()), (Code::NotFound, "KPI_NOT_FOUND"));
    }

    let retire = RetireKpiRequest { name: first.name, reason: "replaced".to_owned(), ..Default::default() };
    assert_eq!(reason(&admin.retire_kpi(retire.clone()).await.unwrap_err()), "MANDATE_REQUIRED");
    let retire = suite.mandated("loosen_rules", "kpi.definitions.retire", retire);
    assert_eq!(admin.retire_kpi(retire).await.unwrap().into_inner().state(), KpiState::Retired);
    let now = suite.now().await.0;
    let late = RecordEventsRequest { events: vec![event("replies", "e", now, None, &[])], ..Default::default() };
    assert_eq!(reason(&admin.record_events(late).await.unwrap_err()), "KPI_RETIRED");
}

async fn an_update_changes_what_its_mask_names(suite: Suite) {
    let mut admin = client(&suite.admin());
    let bad = CreateKpiRequest {
        kpi_id: "a/b".to_owned(),
        kpi: Some(definition(Kind::Count, Unit::Count)),
        request_id: String::new(),
    };
    assert_eq!(reason(&admin.create_kpi(bad).await.unwrap_err()), "ID_INVALID");
    let first = create(&mut admin, "replies", definition(Kind::Count, Unit::Count)).await;
    let update = |kpi: Kpi, paths: &[&str]| UpdateKpiRequest {
        kpi: Some(kpi),
        update_mask: Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        ..Default::default()
    };
    // Everything else of it is wrong, and does not matter.
    let owner = Kpi { name: first.name.clone(), owner: "mira".to_owned(), ..Kpi::default() };
    let second = admin.update_kpi(update(owner, &["owner"])).await.unwrap().into_inner();
    let expected = Kpi {
        owner: "mira".to_owned(),
        version: 2,
        etag: "r2".to_owned(),
        update_time: second.update_time,
        ..first.clone()
    };
    assert_eq!(second, expected);
    let whole = Kpi { owner: "noa".to_owned(), target: Some(1.0), ..second };
    let third = admin.update_kpi(update(whole, &["*"])).await.unwrap().into_inner();
    assert_eq!((third.owner.as_str(), third.target, third.version), ("noa", Some(1.0), 3));
    // What is asked for may grow, and becomes less by a decision only.
    let less = admin.update_kpi(update(Kpi { target: Some(0.5), ..third.clone() }, &["target"])).await.unwrap_err();
    assert_eq!((less.code(), reason(&less).as_str()), (Code::PermissionDenied, "MANDATE_REQUIRED"));
    assert!(less.message().contains("target from 1 to 0.5"), "{}", less.message());
    for path in ["unit", "version", "no_such_field"] {
        let refused = admin.update_kpi(update(third.clone(), &[path])).await.unwrap_err();
        let found = (refused.code(), reason(&refused));
        assert_eq!(found, (Code::InvalidArgument, "UPDATE_MASK_INVALID".to_owned()), "{path}");
    }
}

async fn an_event_counts_once_and_what_is_late_restates(suite: Suite) {
    let mut platform = client(&suite.platform());
    let day = today(&suite).await - 2 * DAY;
    let events: Vec<Event> =
        (0..20).map(|i| event("contacts", &format!("c{i}"), day + i * HOUR, None, &[("channel", "phone")])).collect();
    let batch = |events: &[Event], id: &str| StreamEventsRequest {
        events: events.to_vec(),
        skip_invalid: false,
        request_id: id.to_owned(),
    };
    let stream = vec![batch(&events[..12], "a"), batch(&events[8..], "b"), batch(&events, "c")];
    let total = platform.stream_events(futures::stream::iter(stream.clone())).await.unwrap().into_inner();
    assert_eq!((total.batch_count, total.accepted_count, total.duplicate_count), (3, 20, 24));
    // The days have closed, so every one of these is late, visibly.
    assert_eq!(total.late_count, 20);
    let again = platform.stream_events(futures::stream::iter(stream)).await.unwrap().into_inner();
    assert_eq!((again.accepted_count, again.duplicate_count), (20, 24), "the first answers, by request id");
    let found = whole(&mut platform, "contacts", day, day + DAY).await;
    assert_eq!((found.n, found.value, found.late_count, found.restated), (20, Some(20.0), 20, true));

    let other = RecordEventsRequest {
        events: vec![event("contacts", "c0", day + HOUR, None, &[("channel", "phone")])],
        ..Default::default()
    };
    assert_eq!(reason(&platform.record_events(other).await.unwrap_err()), "EVENT_ID_REUSED");
}

async fn a_correction_replaces_what_it_names(suite: Suite) {
    let mut platform = client(&suite.platform());
    let day = today(&suite).await;
    let event = |id: &str, value| event("call_seconds", id, day + HOUR, value, &[]);
    record(&mut platform, vec![event("a", Some(100.0)), event("b", Some(900.0))]).await;
    let fixed = Event { corrects: "b".to_owned(), ..event("b2", Some(200.0)) };
    assert_eq!(record(&mut platform, vec![fixed]).await.corrected_count, 1);
    let found = whole(&mut platform, "call_seconds", day, day + DAY).await;
    assert_eq!((found.n, found.value, found.max, found.corrected_count), (2, Some(150.0), Some(200.0), 1));

    let gone = Event { corrects: "b2".to_owned(), retract: true, ..event("b3", None) };
    for kind in [remit_core::ActorKind::Service, remit_core::ActorKind::Ai] {
        let request = RecordEventsRequest { events: vec![gone.clone()], ..Default::default() };
        let another = suite.caller("another", kind, &["platform"], &[]);
        let refused = client(&another).record_events(request).await.unwrap_err();
        assert_eq!(reason(&refused), "CORRECTED_EVENT_NOT_YOURS", "{kind:?}");
    }
    record(&mut platform, vec![gone]).await;
    let found = whole(&mut platform, "call_seconds", day, day + DAY).await;
    assert_eq!((found.n, found.value, found.corrected_count), (1, Some(100.0), 2));

    let refused = |corrects: &str| RecordEventsRequest {
        events: vec![Event { corrects: corrects.to_owned(), ..event("c", Some(1.0)) }],
        ..Default::default()
    };
    assert_eq!(reason(&platform.record_events(refused("b")).await.unwrap_err()), "CORRECTED_EVENT_REPLACED");
    assert_eq!(reason(&platform.record_events(refused("zz")).await.unwrap_err()), "CORRECTED_EVENT_UNKNOWN");
    let request = GetEventRequest { kpi: "kpis/call_seconds".to_owned(), event_id: "b".to_owned() };
    let kept = platform.get_event(request).await.unwrap().into_inner();
    assert_eq!((kept.corrected_by.as_str(), kept.event.unwrap().value), ("b2", Some(900.0)));
    for (kpi, expected) in [("kpis/call_seconds", "EVENT_NOT_FOUND"), ("kpis/nothing", "KPI_NOT_FOUND")] {
        let request = GetEventRequest { kpi: kpi.to_owned(), event_id: "zz".to_owned() };
        assert_eq!(reason(&platform.get_event(request).await.unwrap_err()), expected);
    }
}

async fn bad_events_are_refused_by_name_or_reported(suite: Suite) {
    let mut admin = client(&suite.admin());
    create(&mut admin, "replies", definition(Kind::Count, Unit::Count)).await;
    let now = suite.now().await.0;
    let channel = |id: &str, value: &str| event("replies", id, now, None, &[("channel", value)]);
    let rows = [
        (event("nothing", "e", now, None, &[]), "KPI_NOT_FOUND"),
        (event("human_intervention_rate", "e", now, Some(0.0), &[]), "KPI_DERIVED"),
        (event("conversion_rate", "e", now, Some(12.0), &[]), "VALUE_OUT_OF_RANGE"),
        (event("lead_score", "e", now, Some(1.5), &[("model_version", "1")]), "VALUE_OUT_OF_RANGE"),
        (event("lead_score", "e", now, Some(0.5), &[]), "DIMENSION_MISSING"),
        (event("contacts", "e", now, None, &[("planet", "mars")]), "DIMENSION_UNKNOWN"),
        (event("contacts", "e", now + 2 * DAY, None, &[]), "OCCURRED_AT_OUT_OF_RANGE"),
        (event("contacts", "e", 0, None, &[]), "OCCURRED_AT_OUT_OF_RANGE"),
    ];
    for (bad, expected) in &rows {
        let request = RecordEventsRequest { events: vec![bad.clone()], ..Default::default() };
        let refused = admin.record_events(request).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, *expected));
        assert!(refused.message().starts_with("events[0]."), "{}", refused.message());
    }
    let mut events: Vec<Event> = rows.into_iter().map(|(bad, _)| bad).collect();
    events.extend([channel("a", "email"), channel("b", "phone"), channel("c", "carrier pigeon")]);
    let request = RecordEventsRequest { events, skip_invalid: true, ..Default::default() };
    let report = admin.record_events(request).await.unwrap().into_inner();
    assert_eq!((report.accepted_count, report.errors.len()), (2, 9));
    let last = report.errors.last().unwrap();
    assert_eq!((last.index, last.reason.as_str(), last.field.as_str()), (10, "DIMENSION_CARDINALITY", "dimensions"));
    let empty = admin.record_events(RecordEventsRequest::default()).await.unwrap_err();
    assert_eq!(empty.code(), Code::InvalidArgument);
}

async fn no_data_is_not_zero_and_missing_is_not_undue(suite: Suite) {
    let mut admin = client(&suite.admin());
    let day = today(&suite).await;
    let mut daily = definition(Kind::Sum, Unit::Index);
    daily.set_cadence(Cadence::Daily);
    create(&mut admin, "balance", daily).await;
    suite.advance(Duration::from_secs(3 * 86_400)).await;
    let zero =
        vec![event("balance", "x", day + DAY, Some(5.0), &[]), event("balance", "y", day + DAY, Some(-5.0), &[])];
    record(&mut admin, zero).await;
    let request = |kpi: &str| QueryRollupsRequest {
        kpi: format!("kpis/{kpi}"),
        range: range(day, day + 5 * DAY),
        granularity: Granularity::Day.into(),
        ..Default::default()
    };
    let days = rollups(&mut admin, request("balance")).await;
    assert_eq!((days[1].value, days[1].n, days[1].data_state()), (Some(0.0), 2, DataState::Present));
    assert_eq!((days[2].value, days[2].n, days[2].data_state()), (None, 0, DataState::Missing));
    assert_eq!(days[4].data_state(), DataState::NotDue);
    assert!(rollups(&mut admin, request("contacts")).await.iter().all(|day| day.data_state() == DataState::NoData));
    let omit = QueryRollupsRequest { omit_empty: true, ..request("balance") };
    assert_eq!(rollups(&mut admin, omit).await.len(), 1);
    let huge = QueryRollupsRequest {
        range: range(day - 3_000 * DAY, day),
        granularity: Granularity::QuarterHour.into(),
        ..request("contacts")
    };
    let refused = admin.query_rollups(huge).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "RESULT_TOO_LARGE"));
    let backwards = QueryRollupsRequest { range: range(day, day), ..request("contacts") };
    assert_eq!(reason(&admin.query_rollups(backwards).await.unwrap_err()), "TIME_RANGE_INVALID");
}

async fn ratios_are_sums_over_sums_in_every_group(suite: Suite) {
    let mut platform = client(&suite.platform());
    let day = today(&suite).await;
    let ratio = |id: &str, hour: i64, won: f64, of: f64, channel: &str| Event {
        denominator: Some(of),
        ..event("conversion_rate", id, day + hour * HOUR, Some(won), &[("channel", channel)])
    };
    let events =
        vec![ratio("a", 0, 9.0, 10.0, "email"), ratio("b", 1, 10.0, 90.0, "email"), ratio("c", 2, 1.0, 2.0, "phone")];
    record(&mut platform, events).await;
    let request = QueryRollupsRequest {
        kpi: "kpis/conversion_rate".to_owned(),
        range: range(day, day + DAY),
        granularity: Granularity::Day.into(),
        group_by: vec!["channel".to_owned()],
        ..Default::default()
    };
    let groups = rollups(&mut platform, request.clone()).await;
    let values: BTreeMap<_, _> = groups.iter().map(|row| (row.group["channel"].as_str(), row.value.unwrap())).collect();
    assert_eq!(values, BTreeMap::from([("email", 0.19), ("phone", 0.5)]));
    let interval = groups[0].interval.unwrap();
    assert!(interval.lower < 0.19 && 0.19 < interval.upper && interval.level == 0.95);
    let filtered = QueryRollupsRequest {
        filter: "channel != \"phone\"".to_owned(),
        granularity: Granularity::Hour.into(),
        group_by: Vec::new(),
        omit_empty: true,
        ..request.clone()
    };
    let hours = rollups(&mut platform, filtered).await;
    assert_eq!(hours.iter().map(|row| row.value.unwrap()).collect::<Vec<_>>(), [0.9, 10.0 / 90.0]);
    let unknown = QueryRollupsRequest { filter: "planet = \"mars\"".to_owned(), ..request };
    assert_eq!(reason(&platform.query_rollups(unknown).await.unwrap_err()), "DIMENSION_UNKNOWN");
}

async fn drift_is_a_comparison_of_two_rollups(suite: Suite) {
    let mut platform = client(&suite.platform());
    let day = today(&suite).await;
    let scores = |kpi: &str, version: &str, n: i64, shape: fn(f64) -> f64| -> Vec<Event> {
        let score = |i: i64| shape((i as f64 + 0.5) / n as f64);
        let version = [("model_version", version)];
        (0..n).map(|i| event(kpi, &format!("{kpi}-{}-{i}", version[0].1), day + i, Some(score(i)), &version)).collect()
    };
    record(&mut platform, scores("lead_score_baseline", "1", 2_000, |x| x)).await;
    record(&mut platform, scores("lead_score", "1", 500, |x| x * x)).await;
    record(&mut platform, scores("lead_score", "2", 500, |x| x)).await;
    let compare = |version: &str| CompareDistributionsRequest {
        kpi: "kpis/lead_score".to_owned(),
        window: range(day, day + DAY),
        filter: format!("model_version = \"{version}\""),
        baseline_kpi: "kpis/lead_score_baseline".to_owned(),
        baseline: Some(TimeRange::default()),
        ..Default::default()
    };
    let found = platform.compare_distributions(compare("1")).await.unwrap().into_inner();
    assert_eq!((found.verdict(), found.n, found.baseline_n, found.bins), (DriftVerdict::Significant, 500, 2_000, 10));
    let (psi, expected) = (found.psi.unwrap(), found.psi_expected.unwrap());
    assert!((expected - 9.0 * (1.0 / 500.0 + 1.0 / 2_000.0)).abs() < 1e-12);
    assert!((found.psi_corrected.unwrap() - (psi - expected)).abs() < 1e-12);
    assert!(found.kolmogorov_smirnov.unwrap().p_value < 1e-6 && found.wasserstein.unwrap() > 0.1);
    let same = platform.compare_distributions(compare("2")).await.unwrap().into_inner();
    assert_eq!((same.verdict(), same.psi), (DriftVerdict::None, Some(0.0)));
    let none = platform.compare_distributions(compare("3")).await.unwrap().into_inner();
    assert_eq!((none.verdict(), none.n, none.psi), (DriftVerdict::InsufficientData, 0, None));
    let strict = DriftThresholds { min_n: 501, ..Default::default() };
    let few = CompareDistributionsRequest { thresholds: Some(strict), ..compare("1") };
    let few = platform.compare_distributions(few).await.unwrap().into_inner();
    assert_eq!(few.verdict(), DriftVerdict::InsufficientData);
    let wrong = CompareDistributionsRequest { kpi: "kpis/contacts".to_owned(), filter: String::new(), ..compare("1") };
    assert_eq!(reason(&platform.compare_distributions(wrong).await.unwrap_err()), "KIND_WRONG");
}

async fn a_watch_shows_the_snapshot_and_then_the_changes(suite: Suite) {
    let mut admin = client(&suite.admin());
    let day = today(&suite).await;
    record(&mut admin, vec![event("contacts", "a", day, None, &[])]).await;
    let request = WatchRollupsRequest {
        kpi: "kpis/contacts".to_owned(),
        granularity: Granularity::Day.into(),
        start_time: at(day),
        ..Default::default()
    };
    let mut stream = admin.watch_rollups(request.clone()).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert_eq!((first.phase(), first.rollup.unwrap().n), (WatchPhase::Snapshot, 1));
    let done = stream.message().await.unwrap().unwrap();
    assert_eq!(done.phase(), WatchPhase::SnapshotDone);
    record(&mut admin, vec![event("contacts", "b", day + HOUR, None, &[])]).await;
    let change = loop {
        let next = stream.message().await.unwrap().unwrap();
        if next.phase() == WatchPhase::Change {
            break next;
        }
    };
    assert_eq!(change.rollup.unwrap().n, 2);
    let resumed = WatchRollupsRequest { cursor: done.cursor, ..request };
    let mut stream = admin.watch_rollups(resumed).await.unwrap().into_inner();
    let next = stream.message().await.unwrap().unwrap();
    assert_eq!((next.phase(), next.rollup.unwrap().n), (WatchPhase::Change, 2));
}

async fn the_audit_log_is_counted_once(suite: Suite) {
    let mut admin = client(&suite.admin());
    let now = suite.now().await.0;
    for i in 0..5 {
        record(&mut admin, vec![event("contacts", &format!("e{i}"), now, None, &[])]).await;
    }
    let entries = suite.entries("").await.len();
    assert_eq!(entries, 5);
    let day = today(&suite).await;
    eventually("the tail has read the log", || {
        let mut admin = admin.clone();
        async move {
            let found = whole(&mut admin, "denied_action_rate", day - 31 * DAY, day + 31 * DAY).await;
            assert!(found.denominator.unwrap_or(0.0) <= entries as f64, "an entry was counted twice");
            found.denominator == Some(entries as f64)
        }
    })
    .await;
}

async fn derived_kpis_follow_from_the_suites_own_entries_and_from_nobody_else(suite: Suite) {
    let (now, day) = (suite.now().await.0, today(&suite).await);
    let derived = || vec![event("human_intervention_rate", "e", now, Some(0.0), &[])];
    for caller in
        [suite.admin(), suite.platform(), suite.program("crm"), suite.service("handoff"), suite.service("kpi")]
    {
        let mut kpi = client(&caller);
        let request = RecordEventsRequest { events: derived(), ..Default::default() };
        assert_eq!(reason(&kpi.record_events(request).await.unwrap_err()), "KPI_DERIVED");
        let request = StreamEventsRequest { events: derived(), skip_invalid: true, ..Default::default() };
        let total = kpi.stream_events(futures::stream::iter([request])).await.unwrap().into_inner();
        assert_eq!((total.accepted_count, total.errors[0].reason.as_str()), (0, "KPI_DERIVED"));
    }
    // What a program says of itself is in the log and counts for nothing that the suite derives from it.
    let mut log = AuditServiceClient::new(suite.program("crm").to("audit"));
    for n in 0..3 {
        let actor = Actor { subject: "crm".to_owned(), kind: ActorKind::Service.into(), ..Default::default() };
        let said = audit::Event {
            id: format!("crm-{n}"),
            actor: Some(actor),
            action: "crm.handoffs.publish".to_owned(),
            resource: "handoffs/h".to_owned(),
            outcome: audit::Outcome::Denied.into(),
            occurred_at: at(now),
            recorded_at: at(now),
            ..Default::default()
        };
        log.append(audit::AppendRequest { event: Some(said), prove: false }).await.expect("it is recorded");
    }
    let mut admin = client(&suite.admin());
    for i in 0..2 {
        record(&mut admin, vec![event("contacts", &format!("c{i}"), now, None, &[])]).await;
    }
    let entries = suite.entries("").await;
    let own = entries.iter().filter(|entry| entry.event.as_ref().is_some_and(|event| event.service != "crm")).count();
    assert_eq!((entries.len(), own), (5, 2));
    eventually("the tail has read the log", || {
        let mut admin = admin.clone();
        async move {
            let found = whole(&mut admin, "denied_action_rate", day - 31 * DAY, day + 31 * DAY).await;
            assert_eq!(found.value.unwrap_or(0.0), 0.0, "a refusal that no service made was counted");
            found.denominator == Some(own as f64)
        }
    })
    .await;
}
