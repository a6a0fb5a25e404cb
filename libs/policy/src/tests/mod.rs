#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod changes;
mod unknown;

use super::lint::{Severity, lint};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const INVERTED_DIGEST: &str = "sha256:988e754cbe976ee87b75e34924235af924de8f09984b54165ce68872a83809dc";
const LITERAL_DIGEST: &str = "sha256:5d821742ca671517e4dfe1179575b19b4eaa905360995ac5e7e87899721e5e54";

fn inverted() -> Policy {
    Policy::parse(seed::INVERTED_SUM.as_bytes()).unwrap()
}

fn policy(text: &str) -> Policy {
    Policy::parse(text.as_bytes()).unwrap()
}

fn codes(policy: &Policy) -> Vec<&'static str> {
    lint(policy).findings.iter().filter(|f| f.severity == Severity::Error).map(|f| f.code).collect()
}

#[test]
fn the_inverted_sum_passes_with_10_automated_43_hybrid_and_72_human_led() {
    let report = lint(&inverted());
    assert!(report.passed(), "{:#?}", report.findings);
    assert_eq!(report.bands.iter().map(|(_, _, n)| *n).collect::<Vec<_>>(), [10, 43, 72]);
    assert_eq!((report.combinations, report.violations), (125, 0));
    assert!(report.cases.len() >= 30 && report.cases.iter().all(CaseResult::passed));
    let redundant: Vec<&str> =
        report.findings.iter().filter(|f| f.code == "CAP_REDUNDANT").map(|f| f.field.as_str()).collect();
    assert!(report.findings.iter().all(|finding| finding.severity == Severity::Info), "{:#?}", report.findings);
    assert_eq!(redundant, ["caps[2]", "caps[3]"], "A1: at default weights the risk and judgment caps are redundant");
}

#[test]
fn the_literal_sum_is_refused_with_12_violations() {
    let policy = Policy::parse(seed::LITERAL_SUM.as_bytes()).unwrap();
    let report = lint(&policy);
    assert!(!report.passed() && !policy.file.activatable);
    assert_eq!((report.violations, report.counter_examples.len()), (12, 12));
    assert!(
        report
            .counter_examples
            .iter()
            .all(|step| { step.axis != "predictability" && step.before < step.after && step.stage == "before_caps" })
    );
}

const HEAD: &str = "
policy: p
version: '1'
title: t
review_by: 2027-01-01
axes:
  - { name: predictability, direction: HIGHER_FAVOURS_AI }
  - { name: risk, direction: HIGHER_FAVOURS_HUMAN }
";

const OPEN: &str = "bands:
  - { name: A, pattern: HUMAN_ON_THE_LOOP, above: 6 }
  - { name: B, pattern: AI_FIRST_DRAFT, at_most: 6 }
";

#[test]
fn lint_finds_gaps_overlaps_and_what_cannot_be_reached() {
    let bands = |text: &str| codes(&policy(&format!("{HEAD}bands:\n{text}")));
    let a = "  - { name: A, pattern: HUMAN_ON_THE_LOOP, above: 6 }\n";
    assert_eq!(bands(&format!("{a}  - {{ name: B, pattern: HUMAN_ONLY, at_most: 6 }}")), [""; 0]);
    assert_eq!(bands(&format!("{a}  - {{ name: B, pattern: HUMAN_ONLY, at_most: 4 }}")), ["BAND_GAP", "BAND_GAP"]);
    assert_eq!(bands(&format!("{a}  - {{ name: B, pattern: HUMAN_ONLY, at_most: 7 }}")), ["BAND_OVERLAP"]);
    let never = "  - { name: B, pattern: HUMAN_ONLY, at_most: 6 }\n  - { name: C, pattern: HUMAN_ONLY, above: 99 }";
    assert_eq!(bands(&format!("{a}{never}")), ["BAND_UNREACHABLE"]);
}

#[test]
fn tables_are_linted_under_their_hit_policy() {
    let table = |hit: &str, rules: &str| {
        let text = format!("{HEAD}table:\n  hit_policy: {hit}\n  rules:\n{rules}");
        codes(&policy(&text))
    };
    let a = "    - { id: a, when: 'risk <= 2', pattern: HUMAN_ON_THE_LOOP }\n";
    let b = "    - { id: b, when: 'risk > 2', pattern: HUMAN_ONLY }\n";
    let c = "    - { id: c, when: 'risk >= 2', pattern: HUMAN_ONLY }\n";
    assert_eq!(table("UNIQUE", &format!("{a}{b}")), [""; 0]);
    assert_eq!(table("UNIQUE", &format!("{a}{c}")), ["RULE_OVERLAP"]);
    assert_eq!(table("UNIQUE", a), ["RULES_INCOMPLETE"]);
    assert_eq!(table("FIRST", &format!("{c}{a}")), [""; 0]);
    assert_eq!(
        table("FIRST", &format!("{a}{b}    - {{ id: d, when: 'risk == 2', pattern: HUMAN_ONLY }}\n")),
        ["RULE_UNREACHABLE"]
    );
    assert_eq!(table("PRIORITY", &format!("{a}{c}")), [""; 0]);
    let wrong = "    - { id: a, when: 'risk > 2', pattern: HUMAN_ON_THE_LOOP }\n    - { id: b, when: 'risk <= 2', pattern: HUMAN_ONLY }\n";
    assert_eq!(table("UNIQUE", wrong), ["NOT_MONOTONE"]);
}

/// A file that would keep the linter busy for hours is refused after a bounded number of evaluations.
#[test]
fn lint_has_a_budget_for_all_parts_together() {
    let rule = |i: usize| {
        format!(
            "    - {{ id: r{i}, when: \"risk == 1 && complexity == {} && brand_impacting\", pattern: HUMAN_ONLY }}\n",
            i % 5
        )
    };
    let cap = |i: usize| {
        let when = format!(
            "frequency_per_week > {i}.0 && minutes_per_instance > {i}.0 && stakes == 'HIGH' && regulated_domain"
        );
        format!("  - {{ id: c{i}, when: \"{when}\", at_most: HUMAN_ONLY, reason: r }}\n")
    };
    let rules: String = (0..200).map(rule).collect();
    let caps: String = (0..100).map(cap).collect();
    let text = format!("{HEAD}table:\n  hit_policy: PRIORITY\n  otherwise: HUMAN_ONLY\n  rules:\n{rules}caps:\n{caps}");
    let report = lint(&policy(&text));
    assert!(report.inputs <= 5_000_000 / 201, "{} inputs with 201 conditions each", report.inputs);
    assert!(report.findings.iter().any(|finding| finding.code == "SPACE_TOO_LARGE"));
}

/// Files that unfold when they are read, or nest without end, are refused like any other wrong file.
#[test]
fn files_that_blow_up_are_refused() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let before = vec![format!("*a{}", n - 1); 10].join(", ");
        laughs += &format!("a{n}: &a{n} [{before}]\n");
    }
    let deep = format!("{HEAD}bands: {}{}", "[".repeat(50_000), "]".repeat(50_000));
    let json = format!("{{\"policy\": {}", "[".repeat(100_000));
    for text in [laughs, deep, json, "\u{0}".repeat(100), "x".repeat(300_000)] {
        assert_eq!(Policy::parse(text.as_bytes()).unwrap_err().reason(), "POLICY_INVALID");
    }
}

#[test]
fn hit_policies_decide_as_they_say() {
    let run = |hit: &str| {
        let text = format!(
            "{HEAD}table:
  hit_policy: {hit}
  otherwise: HUMAN_ONLY
  rules:
    - {{ id: open, when: 'risk <= 3', pattern: HUMAN_ON_THE_LOOP, requires: [LOG] }}
    - {{ id: closed, when: 'risk == 3', pattern: HUMAN_IN_THE_LOOP, requires: [SIGN_OFF] }}"
        );
        let ratings = BTreeMap::from([("predictability".to_owned(), 3), ("risk".to_owned(), 3)]);
        policy(&text).evaluate(&Input { ratings, ..Input::default() })
    };
    assert_eq!(run("UNIQUE").unwrap_err().reason(), "RULES_OVERLAP");
    let first = run("FIRST").unwrap();
    assert_eq!((first.pattern, first.requirements), (Pattern::HumanOnTheLoop, vec!["LOG".to_owned()]));
    let priority = run("PRIORITY").unwrap();
    assert_eq!((priority.pattern, priority.requirements), (Pattern::HumanInTheLoop, vec!["SIGN_OFF".to_owned()]));
    let collect = run("COLLECT").unwrap();
    assert_eq!(collect.pattern, Pattern::HumanInTheLoop);
    assert_eq!(collect.requirements, ["LOG", "SIGN_OFF"]);
    assert_eq!(collect.rules.iter().map(|rule| rule.decided).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_cap_that_breaks_monotonicity_is_named() {
    let text = format!(
        "{HEAD}bands:
  - {{ name: A, pattern: HUMAN_ON_THE_LOOP, above: 6 }}
  - {{ name: B, pattern: HUMAN_IN_THE_LOOP, at_most: 6 }}
caps:
  - {{ id: odd, when: 'risk == 2 && brand_impacting', at_most: HUMAN_ONLY, reason: r }}"
    );
    let report = lint(&policy(&text));
    assert!(report.violations > 0);
    assert!(report.counter_examples.iter().all(|step| step.stage == "odd"));
    assert_eq!(report.counter_examples[0].attributes, ["brand_impacting=true"]);
}

/// A task that names no stakes has those of its risk, so a rule on stakes is a rule on risk.
#[test]
fn a_rule_on_stakes_is_monotone_in_the_risk_that_they_come_from() {
    let capped = |stakes: &str| {
        let text = format!(
            "{HEAD}bands:
  - {{ name: A, pattern: HUMAN_ON_THE_LOOP, above: 2 }}
  - {{ name: B, pattern: HUMAN_IN_THE_LOOP, at_most: 2 }}
caps:
  - {{ id: c, when: \"stakes == '{stakes}'\", at_most: HUMAN_ONLY, reason: r }}"
        );
        lint(&policy(&text))
    };
    assert!(capped("HIGH").passed());
    let wrong = capped("LOW");
    assert!(!wrong.passed());
    assert!(wrong.counter_examples.iter().all(|step| step.axis == "risk" && step.attributes == ["stakes=(from risk)"]));
    assert_eq!(wrong.counter_examples[0].ratings["risk"], 2, "raising risk to 3 raises the stakes to MEDIUM");
}

#[test]
fn bad_files_are_refused_by_field() {
    let refused = |text: &str, field: &str| {
        let error = Policy::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.reason(), "POLICY_INVALID");
        assert!(error.message().contains(field), "{} does not name {field}", error.message());
    };
    let bands = "bands: [{ name: A, pattern: HUMAN_ONLY }]";
    refused("", "source");
    refused("{", "source");
    refused(&format!("{HEAD}{bands}\nsurprise: 1"), "surprise");
    refused(HEAD, "bands");
    refused(&format!("{HEAD}bands: [{{ name: A, pattern: HUMAN_ONLY, above: 1, at_least: 1 }}]"), "bands[0]");
    refused(&format!("{HEAD}bands: [{{ name: A, pattern: HUMAN_ONLY, above: 1.23456 }}]"), "three decimal");
    refused(&format!("{HEAD}bands: [{{ name: A, pattern: HUMAN_ONLY, above: .nan }}]"), "three decimal");
    refused(
        &format!("{HEAD}{bands}\ncaps: [{{ id: c, when: 'x > 1', at_most: HUMAN_ONLY, reason: r }}]"),
        "caps[0].when",
    );
    refused(&format!("{HEAD}{bands}\nsampling: {{ axis: risk, ratios: {{ 1: 0.5 }} }}"), "sampling.ratios.2");
    refused(&HEAD.replace("name: risk", "name: predictability"), "axes[1].name");
    refused(&HEAD.replace("name: risk", "name: score"), "axes[1].name");
    refused(&HEAD.replace("policy: p", "policy: p/q"), "policy");
}

/// The last of two would win in silence, and the first reader would have seen another policy.
#[test]
fn a_key_that_stands_twice_is_refused_with_its_name_and_line() {
    let bands = "bands: [{ name: A, pattern: HUMAN_ONLY }]\n";
    let refused = |text: &str, told: &[&str]| {
        let error = Policy::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.reason(), "POLICY_INVALID");
        for told in told {
            assert!(error.message().contains(told), "{} does not say {told}", error.message());
        }
    };
    // HEAD ends on line 8, so that the second 1 stands on line 17.
    let ratios = "sampling:\n  axis: risk\n  ratios:\n    1: 0.05\n    2: 0.1\n    3: 0.5\n    4: 1\n    1: 0\n";
    refused(&format!("{HEAD}{bands}{ratios}"), &["\"1\" stands twice", "line 17"]);
    refused(
        &format!("{HEAD}{bands}sampling: {{ axis: risk, ratios: {{ 1: 0.05, 2: 1, 0x1: 0 }} }}"),
        &["\"1\" stands"],
    );
    refused(&format!("{HEAD}{bands}{bands}"), &["\"bands\" stands twice", "line 10"]);
    let case = "cases: [{ name: c, given: { ratings: { risk: 5, predictability: 1, risk: 1 } } }]";
    refused(&format!("{HEAD}{bands}{case}"), &["\"risk\" stands twice"]);
    let json = inverted().canonical_json().replace("\"ratios\":{", "\"ratios\":{\"1\":0,");
    refused(&json, &["\"1\" stands twice", "line 1"]);
}

/// S95 as an optional cap: a policy may ask for it, and lint proves it monotone like any other.
#[test]
fn a_policy_may_cap_work_that_nobody_learns_from_soon() {
    let text = format!(
        "{HEAD}bands:
  - {{ name: A, pattern: HUMAN_ON_THE_LOOP, above: 6 }}
  - {{ name: B, pattern: HUMAN_IN_THE_LOOP, at_most: 6 }}
caps:
  - id: slow-feedback
    when: feedback_delay in ['UNKNOWN', 'MONTHS', 'YEARS'] || environment_validity == 'LOW'
    at_most: HUMAN_IN_THE_LOOP
    reason: intuition is reliable only where feedback is quick and the environment regular (S95)"
    );
    let policy = policy(&text);
    assert_eq!(codes(&policy), [""; 0]);
    let pattern = |delay: &str, validity: &str| {
        let ratings = [("predictability".to_owned(), 5), ("risk".to_owned(), 1)].into();
        let (feedback_delay, environment_validity) = (delay.into(), validity.into());
        policy.evaluate(&Input { ratings, feedback_delay, environment_validity, ..Input::default() }).unwrap().pattern
    };
    assert_eq!(pattern("DAYS", "HIGH"), Pattern::HumanOnTheLoop);
    assert_eq!(pattern("MONTHS", "HIGH"), Pattern::HumanInTheLoop);
    assert_eq!(pattern("DAYS", "LOW"), Pattern::HumanInTheLoop);
    assert_eq!(pattern("UNKNOWN", "HIGH"), Pattern::HumanInTheLoop, "unknown means more human");
    // Decisions on record from before these tags replay as they were.
    let old: Input = serde_json::from_str(r#"{"ratings":{"predictability":5,"risk":1}}"#).unwrap();
    assert_eq!(policy.evaluate(&old).unwrap().pattern, Pattern::HumanInTheLoop);
    assert!(!serde_json::to_string(&old).unwrap().contains("feedback_delay"), "what is not tagged is not written");
}

#[test]
fn yaml_json_and_comments_give_one_digest() {
    let yaml = inverted();
    let json = Policy::parse(yaml.canonical_json().as_bytes()).unwrap();
    assert_eq!(yaml.digest(), json.digest());
    assert_eq!(policy(&format!("# remark\n{}", seed::INVERTED_SUM)).digest(), yaml.digest());
}

/// A version that has shipped is immutable like any other: decisions on record name it and its digest.
#[test]
fn shipped_versions_never_change() {
    let digest = |text: &str| policy(text).digest().to_owned();
    assert_eq!(digest(seed::INVERTED_SUM), INVERTED_DIGEST);
    assert_eq!(digest(seed::LITERAL_SUM), LITERAL_DIGEST);
}

/// Bytes that must never change: they are in decisions on record.
#[test]
fn an_evaluation_has_the_same_bytes_everywhere() {
    let ratings = [("predictability", 4), ("risk", 2), ("human_judgment", 2)];
    let ratings = ratings.into_iter().map(|(axis, rating)| (axis.to_owned(), rating)).collect();
    let input = Input { ratings, brand_impacting: true, stakes: "LOW".into(), complexity: 2, ..Input::default() };
    let found = inverted().evaluate(&input).unwrap();
    let text = found.canonical_json().unwrap();
    let wanted = r#"{"band":"HYBRID","base_pattern":"HUMAN_IN_THE_LOOP","caps":[{"after":"HUMAN_IN_THE_LOOP","at_most":"HUMAN_IN_THE_LOOP","before":"HUMAN_IN_THE_LOOP","id":"brand-impacting","reason":"brand-impacting results need a person's sign-off"},{"after":"HUMAN_IN_THE_LOOP","at_most":"HUMAN_IN_THE_LOOP","before":"HUMAN_IN_THE_LOOP","id":"function-untested","reason":"nobody has tested the function; a pilot comes first"}],"contributions":[{"axis":"predictability","direction":"HIGHER_FAVOURS_AI","points":4,"rating":4,"weight":1},{"axis":"risk","direction":"HIGHER_FAVOURS_HUMAN","points":4,"rating":2,"weight":1},{"axis":"human_judgment","direction":"HIGHER_FAVOURS_HUMAN","points":4,"rating":2,"weight":1}],"notes":[],"pattern":"HUMAN_IN_THE_LOOP","policy":"policies/seed-004-inverted-sum/versions/1","policy_digest":"INVERTED","reading":"B: predictability + (6 - risk) + (6 - human judgment) > 12; keeps the number 12, the scale and every principle","requirements":["SIGN_OFF"],"rules":[],"sampling_ratio":1,"score":12}"#;
    assert_eq!(text, wanted.replace("INVERTED", INVERTED_DIGEST));
    let back: Evaluation = serde_json::from_str(&text).unwrap();
    assert_eq!(back, found);
}

#[test]
fn a_diff_shows_text_and_outcomes() {
    let base = inverted();
    let candidate = policy(&seed::INVERTED_SUM.replace("above: 12", "above: 11").replace("at_most: 12", "at_most: 11"));
    let diff = super::diff::diff(&base, &candidate);
    let paths: Vec<&str> = diff.changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["/bands/0/above", "/bands/1/at_most"]);
    assert_eq!((diff.toward_ai(), diff.toward_human()), (10, 0));
    assert_eq!(super::diff::diff(&base, &base), super::diff::Diff::default());
}

fn input() -> impl Strategy<Value = Input> {
    let rating = || 1i32..=5;
    let texts = (0usize..6, 0usize..3, 0usize..3, 0usize..6, 0usize..3);
    ((rating(), rating(), rating()), any::<[bool; 3]>(), 0i32..=5, 0.0f64..50.0, texts).prop_map(
        |(
            (p, r, h),
            [brand, regulated, pilot],
            complexity,
            frequency,
            (reserved, kind, stakes, status, suitability),
        )| Input {
            ratings: [("predictability", p), ("risk", r), ("human_judgment", h)].map(|(a, r)| (a.to_owned(), r)).into(),
            frequency_per_week: frequency,
            minutes_per_instance: 30.0,
            complexity,
            brand_impacting: brand,
            regulated_domain: regulated,
            pilot_evidence: pilot,
            reserved_category: RESERVED_CATEGORIES[reserved].into(),
            execution_kind: EXECUTION_KINDS[kind].into(),
            stakes: STAKES[stakes].into(),
            function: "f".into(),
            function_status: FUNCTION_STATUSES[status].into(),
            function_suitability: SUITABILITIES[suitability].into(),
            ..Input::default()
        },
    )
}

proptest! {
    #[test]
    fn the_same_input_gives_the_same_bytes(input in input()) {
        let (a, b) = (inverted(), inverted());
        let a = a.evaluate(&input).unwrap().canonical_json().unwrap();
        prop_assert_eq!(a, b.evaluate(&input).unwrap().canonical_json().unwrap());
    }

    #[test]
    fn caps_only_move_toward_people(input in input()) {
        let found = inverted().evaluate(&input).unwrap();
        prop_assert!(found.pattern <= found.base_pattern);
        prop_assert!(found.caps.iter().all(|cap| cap.after <= cap.before && cap.after <= cap.at_most));
        let chain = found.caps.iter().fold(found.base_pattern, |pattern, cap| {
            assert_eq!(cap.before, pattern);
            cap.after
        });
        prop_assert_eq!(chain, found.pattern);
    }

    #[test]
    fn shipped_policies_are_monotone_with_their_caps(input in input(), axis in 0usize..3) {
        let policy = inverted();
        let axis = &policy.file.axes[axis];
        let mut raised = input.clone();
        *raised.ratings.get_mut(&axis.name).unwrap() += 1;
        prop_assume!(raised.ratings[&axis.name] <= 5);
        let (before, after) = (policy.evaluate(&input).unwrap().pattern, policy.evaluate(&raised).unwrap().pattern);
        match axis.direction {
            Direction::HigherFavoursAi => prop_assert!(after >= before),
            Direction::HigherFavoursHuman => prop_assert!(after <= before),
        }
    }

    /// What lint finds by parts is what brute force finds on the whole: random caps over the joint space.
    #[test]
    fn a_policy_that_lint_passes_is_monotone_over_the_joint_space(
        conditions in prop::collection::vec(
            prop_oneof![
                Just("risk >= 4"), Just("risk == 3"), Just("brand_impacting && predictability <= 2"),
                Just("brand_impacting && predictability >= 4"), Just("regulated_domain"), Just("complexity > 3 && risk > 2"),
                Just("score > 7.0"), Just("band == 'B'"),
            ], 0..4),
        at_most in prop::collection::vec(0usize..4, 4),
    ) {
        let mut text = format!("{HEAD}bands:\n  - {{ name: A, pattern: HUMAN_ON_THE_LOOP, above: 7 }}\n  - {{ name: B, pattern: HUMAN_IN_THE_LOOP, at_most: 7 }}\ncaps:\n");
        for (i, condition) in conditions.iter().enumerate() {
            let pattern = Pattern::ALL[at_most[i]].as_str();
            text.push_str(&format!("  - {{ id: c{i}, when: \"{condition}\", at_most: {pattern}, reason: r }}\n"));
        }
        if conditions.is_empty() { text = text.replace("caps:\n", ""); }
        let policy = policy(&text);
        if lint(&policy).violations > 0 { return Ok(()); }
        for bits in 0..4u8 {
            for complexity in 0..=5 {
                let pattern = |p: i32, r: i32| {
                    let ratings = [("predictability".to_owned(), p), ("risk".to_owned(), r)].into();
                    policy.evaluate(&Input {
                        ratings, complexity, brand_impacting: bits & 1 != 0, regulated_domain: bits & 2 != 0, ..Input::default()
                    }).unwrap().pattern
                };
                for p in 1..=4 {
                    for r in 1..=4 {
                        prop_assert!(pattern(p + 1, r) >= pattern(p, r));
                        prop_assert!(pattern(p, r + 1) <= pattern(p, r));
                    }
                }
            }
        }
    }
}
