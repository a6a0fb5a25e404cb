//! What nobody knows, and what nobody has said in person.

use super::{HEAD, OPEN, policy};
use crate::lint::{Severity, lint};
use crate::*;
use proptest::prelude::*;

fn rated(predictability: i32, risk: i32) -> Input {
    let ratings = [("predictability".to_owned(), predictability), ("risk".to_owned(), risk)].into();
    Input { ratings, ..Input::default() }
}

#[test]
fn a_cap_on_something_unknown_applies_and_says_what_is_unknown() {
    let text = format!(
        "{HEAD}{OPEN}caps:
  - {{ id: long, when: minutes_per_instance > 60.0, at_most: HUMAN_IN_THE_LOOP, requires: [SIGN_OFF], reason: r }}
  - {{ id: tagged, when: complexity > 3 && complexity != 0, at_most: HUMAN_ONLY, reason: r }}
notes:
  - {{ when: minutes_per_instance > 60.0, text: long }}"
    );
    let policy = policy(&text);
    let run = |minutes_per_instance: f64| policy.evaluate(&Input { minutes_per_instance, ..rated(5, 1) }).unwrap();
    let unknown = run(0.0);
    assert_eq!((unknown.base_pattern, unknown.pattern), (Pattern::HumanOnTheLoop, Pattern::HumanInTheLoop));
    assert_eq!(
        (unknown.unknown, unknown.requirements),
        (vec!["minutes_per_instance".to_owned()], vec!["SIGN_OFF".to_owned()])
    );
    assert_eq!(unknown.caps.len(), 1, "who asks whether complexity is tagged has said what is meant");
    assert_eq!(unknown.caps[0].unknown, ["minutes_per_instance"]);
    assert!(unknown.notes.is_empty(), "a note says nothing of what is unknown");
    let (short, long) = (run(60.0), run(61.0));
    assert_eq!((short.pattern, short.caps.len(), short.unknown.len()), (Pattern::HumanOnTheLoop, 0, 0));
    assert_eq!((long.pattern, long.caps[0].unknown.len(), long.notes.len()), (Pattern::HumanInTheLoop, 0, 1));
}

#[test]
fn of_rules_on_something_unknown_the_more_human_one_decides() {
    let run = |hit: &str, otherwise: &str, rules: &[(&str, &str)], minutes_per_instance: f64| {
        let rules: String = rules
            .iter()
            .enumerate()
            .map(|(i, (when, pattern))| {
                format!("    - {{ id: r{i}, when: \"{when}\", pattern: {pattern}, requires: [R{i}] }}\n")
            })
            .collect();
        let text = format!("{HEAD}{OPEN}table:\n  hit_policy: {hit}\n{otherwise}  rules:\n{rules}");
        let found = policy(&text).evaluate(&Input { minutes_per_instance, ..rated(5, 1) }).unwrap();
        let decided = found.rules.iter().filter(|rule| rule.decided).map(|rule| rule.id.clone()).collect::<Vec<_>>();
        (found.pattern, decided.join(" "), found.requirements.join(" "), found.unknown.join(" "))
    };
    let outcome = |pattern, decided: &str, requirements: &str, unknown: &str| {
        (pattern, decided.to_owned(), requirements.to_owned(), unknown.to_owned())
    };
    let minutes = "minutes_per_instance";
    let both = [("minutes_per_instance > 60.0", "HUMAN_ONLY"), ("minutes_per_instance <= 60.0", "HUMAN_ON_THE_LOOP")];
    assert_eq!(run("UNIQUE", "", &both, 30.0), outcome(Pattern::HumanOnTheLoop, "r1", "R1", ""));
    assert_eq!(run("UNIQUE", "", &both, 0.0), outcome(Pattern::HumanOnly, "r0", "R0", minutes));
    let bands = "  otherwise: BANDS\n";
    let loose = [("minutes_per_instance < 60.0", "HUMAN_ON_THE_LOOP"), ("risk == 1", "HUMAN_IN_THE_LOOP")];
    assert_eq!(run("FIRST", bands, &loose, 30.0), outcome(Pattern::HumanOnTheLoop, "r0", "R0", ""));
    assert_eq!(run("FIRST", bands, &loose, 0.0), outcome(Pattern::HumanInTheLoop, "r1", "R1", minutes));
    let strict = [("minutes_per_instance > 60.0", "HUMAN_ONLY"), ("risk == 1", "HUMAN_IN_THE_LOOP")];
    for hit in ["FIRST", "PRIORITY", "COLLECT"] {
        let found = run(hit, bands, &strict, 0.0);
        assert_eq!((found.0, found.1.as_str(), found.3.as_str()), (Pattern::HumanOnly, "r0", minutes), "{hit}");
    }
    let late = [("risk == 1", "HUMAN_IN_THE_LOOP"), ("minutes_per_instance > 60.0", "HUMAN_ONLY")];
    assert_eq!(run("FIRST", bands, &late, 0.0), outcome(Pattern::HumanInTheLoop, "r0", "R0", ""), "it cannot be first");
    let alone = [("minutes_per_instance > 60.0", "HUMAN_IN_THE_LOOP")];
    assert_eq!(run("UNIQUE", bands, &alone, 30.0).0, Pattern::HumanOnTheLoop);
    assert_eq!(run("UNIQUE", bands, &alone, 0.0), outcome(Pattern::HumanInTheLoop, "r0", "R0", minutes));
}

#[test]
fn lint_says_where_a_policy_is_blind() {
    let warned = |text: &str| {
        let report = lint(&policy(&format!("{HEAD}{OPEN}{text}")));
        let of_it = report.findings.into_iter().filter(|finding| finding.code == "UNKNOWN_NOT_HANDLED");
        of_it.map(|finding| (finding.severity, finding.field, finding.message)).collect::<Vec<_>>()
    };
    let cap = |when: &str| format!("caps: [{{ id: c, when: \"{when}\", at_most: HUMAN_ONLY, reason: r }}]");
    for handled in [
        "minutes_per_instance > 60.0 || minutes_per_instance == 0.0",
        "complexity != 0 && complexity > 3",
        "feedback_delay in ['UNKNOWN', 'YEARS']",
        "stakes == 'HIGH' && brand_impacting",
    ] {
        assert_eq!(warned(&cap(handled)).len(), 0, "{handled}");
    }
    for (blind, name) in [
        ("minutes_per_instance > 60.0", "minutes_per_instance with 0.0"),
        ("complexity > 3", "complexity with 0 "),
        ("feedback_delay == 'YEARS'", "feedback_delay"),
        ("function_id == 'x'", "''"),
    ] {
        let found = warned(&cap(blind));
        assert_eq!((found.len(), found[0].0, found[0].1.as_str()), (1, Severity::Warning, "caps[0].when"), "{blind}");
        let (variable, absent) = name.split_once(" with ").unwrap_or((name, name));
        assert!(found[0].2.contains(variable) && found[0].2.contains(absent), "{}", found[0].2);
    }
    let rule = "table: { otherwise: BANDS, rules: [{ id: a, when: 'complexity > 3', pattern: HUMAN_ONLY }] }";
    assert_eq!(warned(rule)[0].1, "table.rules[0].when");
}

/// S72, A24: people look at some results of whatever runs on its own.
#[test]
fn sampling_of_nothing_is_found() {
    let found = |ratios: &str| {
        let report = lint(&policy(&format!("{HEAD}{OPEN}sampling: {{ axis: risk, ratios: {{ {ratios} }} }}")));
        let of_it = report.findings.into_iter().filter(|finding| finding.code == "SAMPLING_ZERO");
        of_it.map(|finding| (finding.severity, finding.field)).collect::<Vec<_>>()
    };
    assert!(found("1: 0.001, 2: 0.1, 3: 0.5, 4: 1, 5: 1").is_empty());
    assert_eq!(found("1: 0, 2: 0.1, 3: 0.5, 4: 1, 5: 1"), [(Severity::Warning, "sampling.ratios.1".to_owned())]);
    let (low, high) =
        ((Severity::Warning, "sampling.ratios.2".to_owned()), (Severity::Error, "sampling.ratios.3".to_owned()));
    assert_eq!(found("1: 0, 2: 0, 3: 0, 4: 1, 5: 1")[..2], [high, (Severity::Warning, "sampling.ratios.1".to_owned())]);
    assert!(found("1: 0, 2: 0, 3: 0, 4: 1, 5: 1").contains(&low));
    let mirrored =
        format!("{HEAD}{OPEN}sampling: {{ axis: predictability, ratios: {{ 1: 1, 2: 1, 3: 1, 4: 0, 5: 0 }} }}");
    assert!(lint(&policy(&mirrored)).passed(), "4 and 5 of predictability speak for AI");
}

/// Nothing takes effect on anyone's word: what others entered counts toward people only.
#[test]
fn ratings_that_others_entered_never_make_work_more_automatic() {
    let text = format!("{HEAD}{OPEN}sampling: {{ axis: risk, ratios: {{ 1: 0.1, 2: 0.5, 3: 1, 4: 1, 5: 1 }} }}");
    let policy = policy(&text);
    let run = |signed: Option<&[(&str, i32)]>| {
        let signed_ratings = signed.map(|own| own.iter().map(|(axis, rating)| ((*axis).to_owned(), *rating)).collect());
        policy.evaluate(&Input { signed_ratings, ..rated(5, 1) }).unwrap()
    };
    let own = run(None);
    assert_eq!((own.pattern, own.claimed, own.caps.len()), (Pattern::HumanOnTheLoop, false, 0));
    for partly in [&[][..], &[("risk", 1)][..]] {
        let claimed = run(Some(partly));
        assert_eq!((claimed.base_pattern, claimed.pattern), (Pattern::HumanOnTheLoop, Pattern::HumanInTheLoop));
        assert_eq!((claimed.claimed, claimed.caps[0].id.as_str()), (true, CLAIMED_CAP));
        assert_eq!(claimed.sampling_ratio, Milli::whole(1));
    }
    let same = run(Some(&[("predictability", 5), ("risk", 1)]));
    assert_eq!((same.pattern, same.claimed, same.caps.len()), (Pattern::HumanOnTheLoop, false, 0));
    let cautious = run(Some(&[("predictability", 5), ("risk", 2)]));
    assert_eq!((cautious.pattern, cautious.claimed), (Pattern::HumanOnTheLoop, false));
    assert_eq!(cautious.sampling_ratio, Milli(500), "what the people rate is looked at as they rate it");
    let outvoted = run(Some(&[("predictability", 2), ("risk", 4)]));
    assert_eq!((outvoted.pattern, outvoted.claimed), (Pattern::AiFirstDraft, true));
    // Written only where it is known, so that inputs on record read as they were.
    let old = serde_json::to_string(&rated(5, 1)).unwrap();
    assert!(!old.contains("signed_ratings"), "{old}");
}

/// Tags that a program gave let nobody do without people, and ratings bound that no further.
#[test]
fn tags_that_a_program_gave_never_make_work_more_automatic() {
    let text = format!("{HEAD}{OPEN}sampling: {{ axis: risk, ratios: {{ 1: 0.1, 2: 0.5, 3: 1, 4: 1, 5: 1 }} }}");
    let policy = policy(&text);
    let run = |claimed_tags: bool, rating: i32| {
        policy.evaluate(&Input { claimed_tags, ..rated(rating, 6 - rating) }).unwrap()
    };
    let claimed = run(true, 5);
    assert_eq!((claimed.base_pattern, claimed.pattern), (Pattern::HumanOnTheLoop, Pattern::HumanInTheLoop));
    assert_eq!((claimed.caps[0].id.as_str(), claimed.sampling_ratio), (CLAIMED_TAGS_CAP, Milli::whole(1)));
    assert!(!claimed.claimed, "the ratings are their raters' own");
    let (human, confirmed) = (run(true, 1), run(false, 1));
    assert_eq!(
        (human.pattern, human.caps),
        (confirmed.pattern, confirmed.caps),
        "a cap that moves nothing is not named"
    );
    assert!(!serde_json::to_string(&rated(5, 1)).unwrap().contains("claimed_tags"));
}

fn when() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("minutes_per_instance > 60.0"),
        Just("minutes_per_instance <= 60.0"),
        Just("!(minutes_per_instance < 30.0)"),
        Just("complexity >= 4 && minutes_per_instance > 60.0"),
        Just("risk >= 3 || complexity > 2"),
        Just("complexity != 3"),
        Just("risk == 1"),
        Just("brand_impacting"),
    ]
}

proptest! {
    /// Whatever the policy, as long as it does not ask whether something is there.
    #[test]
    fn what_is_unknown_is_never_more_automatic_than_any_value_of_it(
        hit in 0usize..4,
        bands in any::<bool>(),
        rules in prop::collection::vec((when(), 0usize..4), 1..4),
        caps in prop::collection::vec((when(), 0usize..4), 0..3),
        predictability in 1i32..=5,
        risk in 1i32..=5,
        brand_impacting in any::<bool>(),
    ) {
        let hit = ["UNIQUE", "FIRST", "PRIORITY", "COLLECT"][hit];
        let otherwise = if bands { "BANDS" } else { "AI_FIRST_DRAFT" };
        let mut text = format!("{HEAD}{OPEN}table:\n  hit_policy: {hit}\n  otherwise: {otherwise}\n  rules:\n");
        for (i, (when, pattern)) in rules.iter().enumerate() {
            let pattern = Pattern::ALL[*pattern].as_str();
            text.push_str(&format!("    - {{ id: r{i}, when: \"{when}\", pattern: {pattern} }}\n"));
        }
        if !caps.is_empty() {
            text.push_str("caps:\n");
        }
        for (i, (when, at_most)) in caps.iter().enumerate() {
            let at_most = Pattern::ALL[*at_most].as_str();
            text.push_str(&format!("  - {{ id: c{i}, when: \"{when}\", at_most: {at_most}, reason: r }}\n"));
        }
        let policy = policy(&text);
        let run = |complexity: i32, minutes_per_instance: f64| {
            let input = Input { complexity, minutes_per_instance, brand_impacting, ..rated(predictability, risk) };
            policy.evaluate(&input).ok().map(|found| found.pattern)
        };
        for complexity in 1..=5 {
            for minutes in [1.0, 30.0, 60.0, 61.0] {
                // Rules that overlap are an error of the policy, which lint finds.
                let Some(known) = run(complexity, minutes) else { continue };
                for lacking in [run(0, 0.0), run(complexity, 0.0), run(0, minutes)] {
                    prop_assert!(lacking <= Some(known), "{:?} for {:?} of\n{}", lacking, known, text);
                }
            }
        }
    }

    #[test]
    fn no_claim_goes_beyond_what_people_rated_in_person(
        all in (1i32..=5, 1i32..=5),
        own in (prop::option::of(1i32..=5), prop::option::of(1i32..=5)),
    ) {
        let policy = policy(&format!("{HEAD}{OPEN}"));
        let axes = [("predictability", own.0), ("risk", own.1)];
        let signed = axes.into_iter().filter_map(|(axis, rating)| Some((axis.to_owned(), rating?))).collect();
        let found = policy.evaluate(&Input { signed_ratings: Some(signed), ..rated(all.0, all.1) }).unwrap();
        let most = match own {
            (Some(predictability), Some(risk)) => policy.evaluate(&rated(predictability, risk)).unwrap().pattern,
            _ => Pattern::HumanInTheLoop,
        };
        prop_assert!(found.pattern <= most && found.pattern <= found.base_pattern);
    }
}
