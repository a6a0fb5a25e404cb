#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::Service;
use super::ingest::add;
use super::query::{self, Cell, Question};
use crate::calendar::{Lookup, Span};
use crate::definition::Definition;
use crate::store::{events, kpis, rollups};
use crate::summary::Summary;
use proptest::prelude::*;
use remit_api::kpi::v1::*;
use remit_api::types::TimeRange;
use remit_api::wire::{range, time::stamp};
use remit_core::details::{AlertMoved, Details as _};
use remit_core::{Actor, ManualClock, Tenant, Timestamp};
use remit_runtime::{Config, Cx, Mandates};
use remit_store::testing::TestDb;
use remit_store::{Options, outbox, timers};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// 2008-06-01T00:00:00Z in microseconds.
const JUNE: i64 = 1_212_278_400_000_000;
const DAY: i64 = 86_400_000_000;

struct Suite {
    service: Service,
    clock: Arc<ManualClock>,
    cx: Cx,
    _db: TestDb,
    _dir: tempfile::TempDir,
}

impl Suite {
    async fn on(db: TestDb) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(JUNE)));
        let options = Options { clock: clock.clone(), ..Options::default() };
        let dir = tempfile::tempdir().unwrap();
        let config = Config::from_toml(&format!("[data]\ndir = {:?}\n", dir.path())).unwrap();
        let service = Service {
            db: db.open_with(&crate::SCHEMA, options).await.unwrap(),
            shutdown: Default::default(),
            seeded: Default::default(),
            mandates: Mandates::open(&config, false).await.unwrap(),
        };
        let cx = Cx {
            tenant: Tenant::new("acme").unwrap(),
            actor: Actor::service("platform").into(),
            service: None,
            method: "kpi.events.record",
            trace_id: String::new(),
            email: None,
            address: None,
            deadline: None,
        };
        Self { service, clock, cx, _db: db, _dir: dir }
    }

    async fn record(&self, events: Vec<Event>, skip_invalid: bool) -> RecordEventsResponse {
        let request = RecordEventsRequest { events, skip_invalid, request_id: String::new() };
        self.service.record_events(&self.cx, request).await.unwrap()
    }
}

async fn databases() -> Vec<TestDb> {
    let mut all = vec![TestDb::sqlite().unwrap()];
    all.extend(TestDb::postgres().await.unwrap());
    all
}

fn event(kpi: &str, id: &str, at: i64, value: Option<f64>, dimensions: &[(&str, &str)]) -> Event {
    Event {
        event_id: id.to_owned(),
        kpi: format!("kpis/{kpi}"),
        occurred_at: Some(stamp(Timestamp(at))),
        value,
        dimensions: dimensions.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..Event::default()
    }
}

fn month() -> Option<TimeRange> {
    Some(range::message(&(Timestamp(JUNE)..Timestamp(JUNE + 30 * DAY))))
}

/// The cells of a KPI, computed from its stored events and nothing else.
async fn from_scratch(suite: &Suite, kpi: &str, granularity: Granularity) -> BTreeMap<(i64, String), Summary> {
    let mut tx = suite.service.db.read().await.unwrap();
    let definition = kpis::definition(&mut tx, &suite.cx.tenant, kpi, "kpi").await.unwrap();
    let mut cells: BTreeMap<(i64, String), Summary> = BTreeMap::new();
    let span = Span { start: 0, end: i64::MAX };
    let mut lookup = Lookup::new(&definition.calendar);
    events::scan(&mut tx, &suite.cx.tenant, &definition.id, span, |recorded| {
        let period = definition.calendar.period(granularity, recorded.event.occurred_at);
        let group = crate::dimensions::parse(&recorded.event.dimensions)?.remove("channel").unwrap_or_default();
        let cell = cells.entry((period.start, group)).or_insert_with(|| Summary::new(definition.shape()));
        add(cell, &recorded, &mut lookup, definition.lateness);
        Ok(())
    })
    .await
    .unwrap();
    cells.retain(|_, summary| summary.updated_at > 0);
    cells
}

async fn as_stored(suite: &Suite, kpi: &str, granularity: Granularity) -> BTreeMap<(i64, String), Summary> {
    let mut tx = suite.service.db.read().await.unwrap();
    let definition = kpis::definition(&mut tx, &suite.cx.tenant, kpi, "kpi").await.unwrap();
    let span = Span { start: JUNE - DAY, end: JUNE + 31 * DAY };
    let question = Question::periods(&definition, span, granularity, &["channel".to_owned()], "").unwrap();
    let cells: Vec<Cell> = query::cells(&mut tx, &suite.cx.tenant, &definition, &question).await.unwrap();
    let key = |cell: &Cell| (cell.span.start, cell.group["channel"].clone());
    cells.into_iter().filter(|cell| cell.summary.updated_at > 0).map(|cell| (key(&cell), cell.summary)).collect()
}

const CHANNELS: [&str; 3] = ["email", "phone", "web"];

#[derive(Debug, Clone)]
enum Step {
    /// id, hour of the event, value, channel
    Record(u8, i64, f64, usize),
    /// corrected id, hour, value, whether it is only taken out
    Correct(u8, i64, f64, bool),
    Resend(u8),
    Advance(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (any::<u8>(), 0i64..700, -50.0f64..50.0, 0usize..3).prop_map(|(id, at, v, c)| Step::Record(id, at, v, c)),
        2 => (any::<u8>(), 0i64..700, -50.0f64..50.0, any::<bool>()).prop_map(|(id, at, v, r)| Step::Correct(id, at, v, r)),
        2 => any::<u8>().prop_map(Step::Resend),
        1 => (1i64..600).prop_map(Step::Advance),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Rollups kept up to date by batches in any order, with duplicates, late events and corrections,
    /// equal those computed from the stored events.
    #[test]
    fn rollups_equal_recomputation(steps in steps(), size in 1usize..12) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            for db in databases().await {
                let suite = Suite::on(db).await;
                suite.clock.advance_to(Timestamp(JUNE + 31 * DAY));
                create(&suite, "amounts", Kind::Percentile).await;
                let mut sent: BTreeMap<String, Event> = BTreeMap::new();
                for (round, batch) in steps.chunks(size).enumerate() {
                    let mut events = Vec::new();
                    for (index, step) in batch.iter().enumerate() {
                        let at = |hour: i64| JUNE + hour * 3_600_000_000 + 7;
                        let fresh = format!("{round}-{index}");
                        match step {
                            Step::Record(id, hour, value, channel) => {
                                let id = format!("e{id}");
                                if let Entry::Vacant(slot) = sent.entry(id) {
                                    let by: &[(&str, &str)] = &[("channel", CHANNELS[*channel])];
                                    let new = event("amounts", slot.key(), at(*hour), Some(*value), by);
                                    events.push(slot.insert(new).clone());
                                }
                            }
                            Step::Correct(id, hour, value, retract) => {
                                let value = (!retract).then_some(*value);
                                let mut new = event("amounts", &fresh, at(*hour), value, &[("channel", "email")]);
                                new.corrects = format!("e{id}");
                                new.retract = *retract;
                                events.push(new);
                            }
                            Step::Resend(id) => events.extend(sent.get(&format!("e{id}")).cloned()),
                            Step::Advance(hours) => {
                                let now = remit_core::Clock::now(suite.clock.as_ref()).0;
                                suite.clock.advance_to(Timestamp(now + hours * 3_600_000_000));
                            }
                        }
                    }
                    if !events.is_empty() {
                        // A batch that ends in the middle leaves nothing.
                        let broken = [events.clone(), vec![event("amounts", "broken", JUNE, None, &[])]].concat();
                        let request = RecordEventsRequest { events: broken, ..Default::default() };
                        suite.service.record_events(&suite.cx, request).await.unwrap_err();
                        // Corrections of what is not there, or no longer counts, are refused one by one.
                        suite.record(events, true).await;
                    }
                }
                for granularity in crate::calendar::GRANULARITIES {
                    let (stored, expected) = (
                        as_stored(&suite, "kpis/amounts", granularity).await,
                        from_scratch(&suite, "kpis/amounts", granularity).await,
                    );
                    assert_eq!(stored, expected, "{granularity:?}");
                }
            }
        });
    }
}

/// What waits to be folded into the days of a KPI is bounded, and is counted in any answer.
#[tokio::test]
async fn many_small_batches_are_folded_and_counted() {
    for db in databases().await {
        let suite = Suite::on(db).await;
        suite.clock.advance_to(Timestamp(JUNE + 31 * DAY));
        let kpi = create(&suite, "amounts", Kind::Last).await;
        let shape = Definition::new(kpi.clone()).unwrap().shape();
        let mut waited = Vec::new();
        for batch in 0..70i64 {
            let at = JUNE + batch * 7 * 3_600_000_000;
            let id = format!("e{batch}");
            suite.record(vec![event("amounts", &id, at, Some(batch as f64), &[("channel", "web")])], false).await;
            let mut tx = suite.service.db.write().await.unwrap();
            waited.push(rollups::take(&mut tx, &suite.cx.tenant, "amounts", &shape).await.unwrap().len());
            tx.rollback().await.unwrap();
        }
        assert_eq!((waited[0], waited[62], waited[63], waited[69]), (1, 63, 0, 6), "{waited:?}");
        for granularity in [Granularity::Hour, Granularity::Day, Granularity::Month] {
            let (stored, expected) =
                (as_stored(&suite, &kpi.name, granularity).await, from_scratch(&suite, &kpi.name, granularity).await);
            assert_eq!(stored, expected, "{granularity:?}");
        }
        let mut tx = suite.service.db.read().await.unwrap();
        let extent = rollups::extent(&mut tx, &suite.cx.tenant, "amounts").await.unwrap().unwrap();
        assert!(extent.0 <= JUNE && extent.1 == JUNE + 69 * 7 * 3_600_000_000, "{extent:?}");
    }
}

/// A batch costs as many statements for a thousand events of ninety days as for one.
#[tokio::test]
async fn a_batch_costs_the_same_however_far_its_events_reach() {
    for db in databases().await {
        let suite = Suite::on(db).await;
        suite.clock.advance_to(Timestamp(JUNE + 91 * DAY));
        create(&suite, "amounts", Kind::Mean).await;
        let mut costs = Vec::new();
        for (batch, n) in [(0, 3), (1, 1), (2, 1_000)] {
            let events: Vec<Event> = (0..n)
                .map(|i| {
                    let at = JUNE + i64::from(i) * 7_776_000_000;
                    let channel = CHANNELS[usize::try_from(i % 3).unwrap()];
                    event("amounts", &format!("{batch}-{i}"), at, Some(f64::from(i)), &[("channel", channel)])
                })
                .collect();
            let (answer, statements) = remit_store::counted(suite.record(events, false)).await;
            assert_eq!(answer.accepted_count, n);
            costs.push(statements);
        }
        assert_eq!(costs[1], costs[2], "{costs:?}");
        assert!(costs[2] <= 12, "{costs:?}");
    }
}

async fn create(suite: &Suite, id: &str, kind: Kind) -> Kpi {
    let mut kpi = Kpi { display_name: id.to_owned(), ..Kpi::default() };
    kpi.set_layer(Layer::Execution);
    kpi.set_kind(kind);
    kpi.set_unit(if matches!(kind, Kind::Count | Kind::Distinct) { Unit::Count } else { Unit::Index });
    kpi.set_direction(Direction::HigherIsBetter);
    kpi.time_zone = "America/New_York".to_owned();
    kpi.dimensions = vec![Dimension { key: "channel".to_owned(), max_values: 3, required: false }];
    let request = CreateKpiRequest { kpi_id: id.to_owned(), kpi: Some(kpi), request_id: String::new() };
    suite.service.create_kpi(&suite.cx, request).await.unwrap()
}

#[tokio::test]
async fn the_same_definition_again_is_no_version() {
    for db in databases().await {
        let suite = Suite::on(db).await;
        let kpi = create(&suite, "replies", Kind::Count).await;
        let same = UpdateKpiRequest { kpi: Some(kpi.clone()), ..UpdateKpiRequest::default() };
        assert_eq!(suite.service.update_kpi(&suite.cx, same).await.unwrap(), kpi);
        let request = ListKpiVersionsRequest { parent: kpi.name.clone(), ..ListKpiVersionsRequest::default() };
        assert_eq!(suite.service.list_kpi_versions(&suite.cx, request).await.unwrap().versions, [kpi]);
    }
}

#[tokio::test]
async fn an_alert_that_a_timer_raises_says_so() {
    for db in databases().await {
        let suite = Suite::on(db).await;
        create(&suite, "calls", Kind::Mean).await;
        suite.record(vec![event("calls", "a", JUNE + DAY / 2, Some(9.0), &[])], false).await;
        let condition = ThresholdCondition {
            kpi: "kpis/calls".to_owned(),
            comparison: threshold_condition::Comparison::Above.into(),
            limit: 1.0,
            granularity: Granularity::Day.into(),
            ..ThresholdCondition::default()
        };
        let condition = Some(alert_rule::Condition::Threshold(condition));
        let severity = AlertSeverity::Critical.into();
        let rule = AlertRule { condition, severity, ..AlertRule::default() };
        let request = CreateAlertRuleRequest {
            alert_rule_id: "calls".to_owned(),
            alert_rule: Some(rule),
            ..CreateAlertRuleRequest::default()
        };
        suite.service.create_alert_rule(&suite.cx, request).await.unwrap();
        suite.clock.advance_to(Timestamp(JUNE + 2 * DAY));
        let (db, tenant) = (&suite.service.db, &suite.cx.tenant);
        let report = timers::fire_due(db, &suite.service, tenant, db.now()).await.unwrap();
        assert_eq!((report.fired, report.failed.len()), (1, 0));
        let alerts = suite.service.list_alerts(&suite.cx, ListAlertsRequest::default()).await.unwrap().alerts;
        assert_eq!(alerts.len(), 1);
        let waiting = outbox::read_batch(&mut db.read().await.unwrap(), tenant, 100).await.unwrap();
        let fired = waiting.iter().find(|pending| pending.event.resource == alerts[0].name).unwrap();
        let details = AlertMoved::read(&fired.event.details).unwrap();
        assert_eq!((details.rule.as_str(), details.n, details.value), ("alertRules/calls", 1, Some(9.0)));
        assert_eq!((details.severity.as_str(), details.timer.as_deref()), ("CRITICAL", Some("kpi.alerts.evaluate")));
        assert!(details.due_time < details.detect_time);
    }
}

/// The load of a month of the demo: 7,763 leads with four events each.
#[tokio::test]
async fn a_month_of_leads_is_recorded_and_compares() {
    for db in databases().await {
        let suite = Suite::on(db).await;
        suite.clock.advance_to(Timestamp(JUNE + 31 * DAY));
        let began = std::time::Instant::now();
        let leads: Vec<usize> = (0..7_763).collect();
        for chunk in leads.chunks(500) {
            let mut events = Vec::new();
            for lead in chunk {
                let at = JUNE + i64::try_from(*lead).unwrap() * 333_000_000;
                let id = format!("lead-{lead:05}");
                let score = (*lead as f64 + 1.0) / 7_763.0;
                let version: &[(&str, &str)] = &[("model_version", "1")];
                events.push(event("lead_score", &id, at, Some(score), version));
                events.push(event("contacts", &id, at, None, version));
                events.push(event("call_seconds", &id, at, Some(261.0), version));
                events.push(event("conversion_rate", &id, at, Some(if lead % 9 == 0 { 1.0 } else { 0.0 }), version));
            }
            let count = i32::try_from(events.len()).unwrap();
            assert_eq!(suite.record(events, false).await.accepted_count, count);
        }
        println!("recorded 31,052 events in {:?}", began.elapsed());
        let request = QueryRollupsRequest {
            kpi: "kpis/conversion_rate".to_owned(),
            range: month(),
            granularity: Granularity::Month.into(),
            ..QueryRollupsRequest::default()
        };
        let rollup = suite.service.query_rollups(&suite.cx, request).await.unwrap().rollups.remove(0);
        assert_eq!((rollup.n, rollup.sum, rollup.denominator), (7_763, Some(863.0), Some(7_763.0)));
        let request = CompareDistributionsRequest {
            kpi: "kpis/lead_score".to_owned(),
            window: month(),
            baseline: Some(TimeRange::default()),
            ..CompareDistributionsRequest::default()
        };
        let drift = suite.service.compare_distributions(&suite.cx, request.clone()).await.unwrap();
        assert_eq!((drift.verdict(), drift.n, drift.psi), (DriftVerdict::None, 7_763, Some(0.0)));
        let baseline = CompareDistributionsRequest { baseline_kpi: "kpis/lead_score_baseline".to_owned(), ..request };
        let drift = suite.service.compare_distributions(&suite.cx, baseline).await.unwrap();
        assert_eq!((drift.verdict(), drift.baseline_n, drift.psi), (DriftVerdict::InsufficientData, 0, None));
    }
}

mod retention;
