#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use proptest::prelude::*;

const AXES: [&str; 2] = ["predictability", "risk"];

fn refused(source: &str) -> String {
    Condition::compile(source, &AXES, &["A"]).expect_err(source)
}

#[test]
fn conditions_are_checked_when_they_are_compiled() {
    for good in [
        "true",
        "risk >= 4 || reserved",
        "frequency_per_week < 1.0 && complexity >= 4",
        "function_status in ['UNTESTED', 'WEAKLY'] && !pilot_evidence",
        "'x' in labels",
        "(risk > 2 ? 1 : 2) == 1",
        "band == 'A' && score - 1.0 > -2.5",
    ] {
        Condition::compile(good, &AXES, &["A"]).expect(good);
    }
    assert!(refused("risk").contains("true or false"));
    assert!(refused("risc > 1").contains("risc is not known"));
    assert!(refused("frequency_per_week < 1").contains("same type"));
    assert!(refused("stakes == 'HIHG'").contains("never 'HIHG'"));
    assert!(refused("stakes in ['HIHG']").contains("never 'HIHG'"));
    assert!(refused("band == 'B'").contains("never 'B'"));
    assert!(refused("labels.exists(l, l == 'x')").contains("may use only"));
    assert!(refused("size(labels) > 1").contains("not known"));
    assert!(refused("stakes < 'HIGH'").contains("by size"));
    assert!(refused("risk ==").contains("not CEL"));
    refused(&"(".repeat(500));
    refused(&format!("{}true", "!".repeat(100)));
    refused(&format!("true{}", " || true".repeat(150)));
}

/// CEL reserves words, and a variable of such a name could never be named.
#[test]
fn every_variable_can_be_named_in_a_condition() {
    for variable in &VARIABLES {
        let literal = match variable.kind {
            Type::Bool => "true".to_owned(),
            Type::Int => "1".to_owned(),
            Type::Double => "1.0".to_owned(),
            Type::Text => format!("'{}'", variable.domain.first().copied().unwrap_or("A")),
            Type::Texts => "'x'".to_owned(),
        };
        let name = variable.name;
        let text =
            if variable.kind == Type::Texts { format!("{literal} in {name}") } else { format!("{name} == {literal}") };
        let condition = Condition::compile(&text, &AXES, &["A"]).expect(&text);
        assert_eq!(condition.variables(), [name]);
    }
}

fn decide(source: &str, input: &Input) -> Option<bool> {
    let condition = Condition::compile(source, &AXES, &["A"]).expect(source);
    condition.decide(&Scope { input, ratings: &[3, 3], score: 6.0, band: "A" })
}

#[test]
fn what_depends_on_something_lacking_is_open() {
    let lacking = Input::default();
    for source in [
        "minutes_per_instance > 60.0",
        "minutes_per_instance <= 60.0",
        "minutes_per_instance + 1.0 > 0.0",
        "complexity != 3",
        "!(complexity == 3)",
        "function_id == 'x'",
        "function_id in ['x', 'y']",
        "function_id in labels",
        "feedback_delay in ['MONTHS', 'YEARS']",
        "complexity > 3 && risk == 3",
        "complexity > 3 || risk == 4",
        "complexity > 3 ? true : false",
    ] {
        assert_eq!(decide(source, &lacking), None, "{source}");
    }
    for (source, truth) in [
        ("complexity > 3 && risk == 4", false),
        ("risk == 4 && complexity > 3", false),
        ("complexity > 3 || risk == 3", true),
        ("complexity > 3 ? risk == 3 : risk < 4", true),
        ("complexity == 0", true),
        ("0.0 == minutes_per_instance", true),
        ("frequency_per_week != 0.0", false),
        ("function_id == ''", true),
        ("feedback_delay in ['UNKNOWN', 'MONTHS']", true),
        ("'x' in labels", false),
        ("stakes == 'HIGH'", true),
    ] {
        assert_eq!(decide(source, &lacking), Some(truth), "{source}");
    }
    let tagged = Input { complexity: 3, feedback_delay: "MONTHS".into(), ..Input::default() };
    assert_eq!(decide("complexity == 0", &tagged), Some(false));
    assert_eq!(decide("feedback_delay in ['UNKNOWN', 'MONTHS']", &tagged), Some(true));
    assert_eq!(decide("feedback_delay in ['UNKNOWN', 'YEARS']", &tagged), Some(false));
    assert_eq!(decide("feedback_delay != 'UNKNOWN'", &tagged), Some(true));
}

#[test]
fn a_condition_says_what_it_lacks_and_what_it_forgot() {
    let names = |source: &str| {
        let condition = Condition::compile(source, &AXES, &["A"]).expect(source);
        let input = Input { complexity: 2, ..Input::default() };
        let lacking: Vec<String> = condition.lacking(&input).map(str::to_owned).collect();
        (lacking.join(" "), condition.unhandled().map(str::to_owned).collect::<Vec<_>>().join(" "))
    };
    let both = |lacking: &str, unhandled: &str| (lacking.to_owned(), unhandled.to_owned());
    assert_eq!(
        names("complexity > 3 && minutes_per_instance > 60.0"),
        both("minutes_per_instance", "complexity minutes_per_instance")
    );
    assert_eq!(
        names("complexity > 3 && (minutes_per_instance > 60.0 || minutes_per_instance == 0.0)"),
        both("minutes_per_instance", "complexity")
    );
    assert_eq!(names("feedback_delay in ['UNKNOWN', 'YEARS'] && risk > 2"), both("feedback_delay", ""));
}

fn expression() -> impl Strategy<Value = String> {
    let number =
        prop_oneof![Just("risk"), Just("predictability"), Just("complexity"), Just("3"), Just("-1"), Just("5")];
    let test = prop_oneof![Just("<"), Just("<="), Just(">"), Just(">="), Just("=="), Just("!=")];
    let leaf = prop_oneof![
        (number.clone(), test, number.clone()).prop_map(|(a, t, b)| format!("{a} {t} {b}")),
        (number.clone(), number).prop_map(|(a, b)| format!("{a} + {b} in [1, 4, 6]")),
        prop_oneof![
            Just("reserved"),
            Just("brand_impacting"),
            Just("stakes == 'HIGH'"),
            Just("'x' in labels"),
            Just("frequency_per_week > 2.5"),
            Just("stakes in ['LOW', 'MEDIUM']"),
            Just("true"),
        ]
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) || ({b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a}) ? ({b}) : ({c})")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

proptest! {
    #[test]
    fn a_condition_means_what_cel_means(
        source in expression(), risk in 1i32..=5, predictability in 1i32..=5, complexity in 1i32..=5,
        frequency in 1u8..6, brand in any::<bool>(), label in any::<bool>(), stakes in 0usize..3,
    ) {
        let Ok(condition) = Condition::compile(&source, &AXES, &[]) else { return Ok(()) };
        let input = Input {
            complexity, brand_impacting: brand, frequency_per_week: f64::from(frequency),
            stakes: crate::input::STAKES[stakes].into(),
            labels: if label { vec!["x".into()] } else { vec![] },
            ..Input::default()
        };
        let mut context = cel::Context::default();
        context.add_variable_from_value("risk", i64::from(risk));
        context.add_variable_from_value("predictability", i64::from(predictability));
        context.add_variable_from_value("complexity", i64::from(complexity));
        context.add_variable_from_value("brand_impacting", brand);
        context.add_variable_from_value("reserved", false);
        context.add_variable_from_value("frequency_per_week", f64::from(frequency));
        context.add_variable_from_value("stakes", input.stakes.clone());
        context.add_variable_from_value("labels", input.labels.clone());
        let theirs = Program::compile(&source).unwrap().execute(&context).unwrap();
        let scope = Scope { input: &input, ratings: &[predictability, risk], score: 0.0, band: "" };
        let ours = condition.decide(&scope).map(cel::Value::Bool);
        prop_assert_eq!(Some(theirs), ours, "{}", source);
    }

    /// What a condition says of an input that lacks something, it says whatever that is.
    #[test]
    fn what_is_decided_without_an_attribute_holds_for_every_value_of_it(
        source in expression(), risk in 1i32..=5, predictability in 1i32..=5, brand in any::<bool>(),
    ) {
        let Ok(condition) = Condition::compile(&source, &AXES, &[]) else { return Ok(()) };
        let decide = |complexity: i32, frequency_per_week: f64| {
            let input = Input { complexity, frequency_per_week, brand_impacting: brand, ..Input::default() };
            condition.decide(&Scope { input: &input, ratings: &[predictability, risk], score: 0.0, band: "" })
        };
        if let Some(truth) = decide(0, 0.0) {
            for (complexity, frequency) in (1..=5).flat_map(|c| [0.1, 2.5, 2.6].map(|f| (c, f))) {
                prop_assert_eq!(decide(complexity, frequency), Some(truth), "{}", source);
            }
        }
    }
}
