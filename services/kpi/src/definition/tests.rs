#![allow(clippy::unwrap_used)]
use super::*;
use remit_api::kpi::v1::{Dimension, Layer, Thresholds};

const NOW: i64 = 1_764_000_000_000_000;

fn kpi(kind: Kind, unit: Unit) -> Kpi {
    let mut kpi = Kpi { name: "kpis/k".to_owned(), display_name: "K".to_owned(), ..Kpi::default() };
    kpi.set_kind(kind);
    kpi.set_unit(unit);
    kpi.set_layer(Layer::Execution);
    kpi.set_direction(Direction::HigherIsBetter);
    kpi.set_state(KpiState::Active);
    kpi
}

fn definition(kind: Kind, unit: Unit) -> Definition {
    Definition::new(complete(kpi(kind, unit)).unwrap()).unwrap()
}

fn event(value: Option<f64>) -> Event {
    Event {
        event_id: "e".to_owned(),
        kpi: "kpis/k".to_owned(),
        occurred_at: Some(prost_types::Timestamp { seconds: NOW / 1_000_000, nanos: 0 }),
        value,
        ..Event::default()
    }
}

fn flaw(definition: &Definition, event: &Event) -> (&'static str, &'static str) {
    let flaw = definition.check(event, NOW).unwrap_err();
    (flaw.field, flaw.reason)
}

#[test]
fn values_must_fit_kind_and_unit() {
    let rate = definition(Kind::Ratio, Unit::Proportion);
    assert_eq!(flaw(&rate, &event(Some(12.0))), ("value", "VALUE_OUT_OF_RANGE"));
    assert_eq!(flaw(&rate, &event(Some(-0.1))), ("value", "VALUE_OUT_OF_RANGE"));
    assert_eq!(flaw(&rate, &event(None)), ("value", "VALUE_MISSING"));
    assert_eq!(
        flaw(&rate, &Event { denominator: Some(0.0), ..event(Some(0.0)) }),
        ("denominator", "VALUE_OUT_OF_RANGE")
    );
    let good = rate.check(&Event { denominator: Some(100.0), ..event(Some(12.0)) }, NOW).unwrap();
    assert_eq!((good.value, good.denominator), (Some(12_000_000), Some(100_000_000)));
    let score = definition(Kind::Distribution, Unit::Score);
    for wrong in [1.000_001, -0.000_1, f64::NAN, f64::INFINITY] {
        assert_eq!(flaw(&score, &event(Some(wrong))), ("value", "VALUE_OUT_OF_RANGE"), "{wrong}");
    }
    let count = definition(Kind::Count, Unit::Count);
    assert_eq!(flaw(&count, &event(Some(2.0))), ("value", "VALUE_NOT_EXPECTED"));
    assert!(count.check(&event(Some(1.0)), NOW).is_ok());
    assert_eq!(flaw(&count, &Event { member: "m".to_owned(), ..event(None) }), ("member", "VALUE_NOT_EXPECTED"));
    let distinct = definition(Kind::Distinct, Unit::Count);
    assert_eq!(flaw(&distinct, &event(None)), ("member", "MEMBER_INVALID"));
    let sum = definition(Kind::Sum, Unit::Seconds);
    assert_eq!(flaw(&sum, &event(Some(1e12))), ("value", "VALUE_OUT_OF_RANGE"));
    assert_eq!(
        flaw(&sum, &Event { denominator: Some(1.0), ..event(Some(1.0)) }),
        ("denominator", "VALUE_NOT_EXPECTED")
    );
}

#[test]
fn what_is_real_is_kept_and_what_is_too_fine_is_refused() {
    let of = |kind, unit, currency: &str| {
        let kpi = Kpi { currency_code: currency.to_owned(), ..kpi(kind, unit) };
        Definition::new(complete(kpi).unwrap()).unwrap()
    };
    let spend = of(Kind::Ratio, Unit::Currency, "EUR");
    let fruitless = spend.check(&Event { denominator: Some(0.0), ..event(Some(500.0)) }, NOW).unwrap();
    assert_eq!((fruitless.value, fruitless.denominator), (Some(500_000_000), Some(0)));
    let saved = of(Kind::Sum, Unit::Seconds, "");
    assert_eq!(saved.check(&event(Some(-60.0)), NOW).unwrap().value, Some(-60_000_000));
    assert_eq!(flaw(&of(Kind::Mean, Unit::Seconds, ""), &event(Some(-60.0))), ("value", "VALUE_OUT_OF_RANGE"));
    let orders = of(Kind::Sum, Unit::Currency, "IDR");
    assert_eq!(orders.check(&event(Some(1.5e9)), NOW).unwrap().value, Some(1_500_000_000_000_000));
    for fine in [4e-7, 1.23e-6, -4e-7] {
        assert_eq!(flaw(&orders, &event(Some(fine))), ("value", "VALUE_TOO_FINE"), "{fine}");
    }
    assert!(orders.check(&event(Some(0.0)), NOW).is_ok() && orders.check(&event(Some(1e-6)), NOW).is_ok());
    let user = |name: &str| Event { member: name.to_owned(), ..event(Some(1.0)) };
    let mean = of(Kind::Mean, Unit::Index, "");
    let (mira, sam) = (mean.check(&user("mira"), NOW).unwrap().member, mean.check(&user("sam"), NOW).unwrap().member);
    assert!(mira.is_some() && mira != sam && mira != Some("mira".to_owned()));
    assert_eq!(flaw(&mean, &user(&"m".repeat(201))), ("member", "MEMBER_INVALID"));
}

#[test]
fn an_aim_lies_in_the_range_of_its_unit() {
    let refused = |kpi: Kpi| complete(kpi).unwrap_err().to_string();
    for unit in [Unit::Proportion, Unit::Score] {
        let percent = refused(Kpi { target: Some(85.0), ..kpi(Kind::Mean, unit) });
        assert!(percent.contains("0.85"), "{percent}");
        for thresholds in
            [Thresholds { warning: Some(20.0), breach: None }, Thresholds { warning: None, breach: Some(30.0) }]
        {
            refused(Kpi { thresholds: Some(thresholds), ..kpi(Kind::Mean, unit) });
        }
    }
    assert!(complete(Kpi { target: Some(85.0), ..kpi(Kind::Sum, Unit::Count) }).is_ok());
}

#[test]
fn times_must_be_sane() {
    let count = definition(Kind::Count, Unit::Count);
    let at = |seconds| Event { occurred_at: Some(prost_types::Timestamp { seconds, nanos: 0 }), ..event(None) };
    for wrong in [0, i64::MAX, i64::MIN, NOW / 1_000_000 + 86_401] {
        assert_eq!(flaw(&count, &at(wrong)), ("occurred_at", "OCCURRED_AT_OUT_OF_RANGE"), "{wrong}");
    }
    assert!(count.check(&at(NOW / 1_000_000 + 86_400), NOW).is_ok());
    assert_eq!(flaw(&count, &Event { occurred_at: None, ..event(None) }).0, "occurred_at");
}

#[test]
fn dimensions_must_be_known_and_present() {
    let mut with = kpi(Kind::Count, Unit::Count);
    with.dimensions = vec![Dimension { key: "channel".to_owned(), max_values: 0, required: true }];
    let definition = Definition::new(complete(with).unwrap()).unwrap();
    let dimensions = |pairs: &[(&str, &str)]| Event {
        dimensions: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..event(None)
    };
    assert_eq!(flaw(&definition, &dimensions(&[])), ("dimensions", "DIMENSION_MISSING"));
    assert_eq!(flaw(&definition, &dimensions(&[("region", "x")])), ("dimensions", "DIMENSION_UNKNOWN"));
    assert_eq!(flaw(&definition, &dimensions(&[("channel", "")])), ("dimensions", "DIMENSION_INVALID"));
    assert!(definition.check(&dimensions(&[("channel", "email")]), NOW).is_ok());
    assert_eq!(definition.cardinality("channel"), 100);
}

#[test]
fn corrections_must_make_sense() {
    let sum = definition(Kind::Sum, Unit::Count);
    assert_eq!(flaw(&sum, &Event { corrects: "e".to_owned(), ..event(Some(1.0)) }).1, "CORRECTS_ITSELF");
    assert_eq!(flaw(&sum, &Event { retract: true, ..event(None) }).1, "RETRACT_WITHOUT_CORRECTS");
    let retract = Event { retract: true, corrects: "f".to_owned(), ..event(Some(1.0)) };
    assert_eq!(flaw(&sum, &retract), ("value", "VALUE_NOT_EXPECTED"));
    assert!(sum.check(&Event { value: None, ..retract }, NOW).unwrap().retract);
}

#[test]
fn definitions_that_make_no_sense_are_refused() {
    let field = |kpi: Kpi| complete(kpi).unwrap_err().violations()[0].field.clone();
    assert_eq!(field(kpi(Kind::Sum, Unit::Currency)), "kpi.currency_code");
    assert_eq!(field(kpi(Kind::Distribution, Unit::Seconds)), "kpi.edges");
    assert_eq!(field(kpi(Kind::Count, Unit::Seconds)), "kpi.unit");
    assert_eq!(field(Kpi { edges: vec![0.0, 1.0], ..kpi(Kind::Sum, Unit::Count) }), "kpi.edges");
    assert_eq!(field(Kpi { edges: vec![1.0, 0.0], ..kpi(Kind::Distribution, Unit::Score) }), "kpi.edges");
    assert_eq!(field(Kpi { percentiles: vec![0.5], ..kpi(Kind::Sum, Unit::Count) }), "kpi.percentiles");
    assert_eq!(field(Kpi { time_zone: "Nowhere".to_owned(), ..kpi(Kind::Sum, Unit::Count) }), "kpi.time_zone");
    assert_eq!(field(Kpi { guards: vec!["kpis/k".to_owned()], ..kpi(Kind::Sum, Unit::Count) }), "kpi.guards");
    let thresholds = Some(Thresholds { warning: Some(1.0), breach: Some(2.0) });
    assert_eq!(field(Kpi { thresholds, ..kpi(Kind::Sum, Unit::Count) }), "kpi.thresholds");
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

#[test]
fn what_a_mask_does_not_name_is_neither_changed_nor_checked() {
    let current = complete(kpi(Kind::Sum, Unit::Count)).unwrap();
    let broken = Kpi {
        owner: "mira".to_owned(),
        guards: vec!["nonsense".to_owned()],
        edges: vec![1.0],
        ..kpi(Kind::Mean, Unit::Currency)
    };
    let next = revise(&current, &broken, mask(&["owner"]).as_ref()).unwrap().unwrap();
    assert_eq!(next, Kpi { owner: "mira".to_owned(), ..current.clone() });
    assert!(revise(&current, &broken, mask(&["owner", "guards"]).as_ref()).is_err());
}

#[test]
fn a_revision_changes_what_may_change_and_nothing_else() {
    let current = complete(kpi(Kind::Sum, Unit::Count)).unwrap();
    let wanted = Kpi { display_name: "New".to_owned(), target: Some(5.0), ..current.clone() };
    let only_name = revise(&current, &wanted, mask(&["display_name"]).as_ref()).unwrap().unwrap();
    assert_eq!((only_name.display_name.as_str(), only_name.target), ("New", None));
    assert_eq!(revise(&current, &wanted, None).unwrap().unwrap().target, Some(5.0));
    let other = Kpi { time_zone: "Europe/Lisbon".to_owned(), ..current.clone() };
    assert_eq!(revise(&current, &other, None).unwrap(), None, "what never changes is not looked at");
    assert_eq!(revise(&current, &wanted, mask(&["nonsense"]).as_ref()).unwrap_err().reason(), "UPDATE_MASK_INVALID");
    let dimension = Dimension { key: "channel".to_owned(), max_values: 10, required: false };
    let with = Kpi { dimensions: vec![dimension], ..current.clone() };
    assert_eq!(revise(&with, &current, None).unwrap_err().reason(), "KPI_DIMENSION_FIXED");
    assert!(revise(&current, &with, None).is_ok());
    assert_eq!(revise(&current, &wanted, mask(&["*"]).as_ref()).unwrap().unwrap().target, Some(5.0));
    assert_eq!(revise(&current, &other, mask(&["*"]).as_ref()).unwrap(), None);
    // Named, it may: the store says whether there is data yet.
    let settled = revise(&current, &other, mask(&["time_zone"]).as_ref()).unwrap().unwrap();
    assert_eq!(settled, other);
    let wanted = Kpi { target: Some(7.0), ..other };
    let both = revise(&current, &wanted, mask(&["time_zone", "target"]).as_ref()).unwrap().unwrap();
    assert_eq!((both.time_zone.as_str(), both.target), ("Europe/Lisbon", Some(7.0)));
    assert_eq!(revise(&current, &current, mask(&["time_zone"]).as_ref()).unwrap(), None);
    let nowhere = Kpi { time_zone: "Mars/Olympus".to_owned(), ..current.clone() };
    assert_eq!(revise(&current, &nowhere, mask(&["time_zone"]).as_ref()).unwrap_err().reason(), "TIME_ZONE_UNKNOWN");
    assert_eq!(revise(&current, &wanted, mask(&["unit"]).as_ref()).unwrap_err().reason(), "UPDATE_MASK_INVALID");
}
