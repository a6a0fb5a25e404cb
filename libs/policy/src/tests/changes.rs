//! Changes of a policy: tighter or looser.

use super::{HEAD, OPEN, inverted, policy};
use crate::{seed, strictness};

fn change(replaced: &[(&str, &str)]) -> strictness::Strictness {
    let text = replaced.iter().fold(seed::INVERTED_SUM.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the default policy has no {from}");
        text.replace(from, to)
    });
    strictness::compare(&inverted(), &policy(&text))
}

#[test]
fn a_change_is_tighter_looser_both_or_neither_over_all_inputs() {
    use remit_core::strictness::Direction::{Loosens, Mixed, Same, Tightens};
    let cells = |found: &strictness::Strictness| (found.direction, found.loosened, found.tightened, found.cells);
    assert_eq!(cells(&change(&[])), (Same, 0, 0, 125));
    assert_eq!(cells(&change(&[("title: Inverted sum", "title: T")])), (Same, 0, 0, 125));
    // Of the ten combinations with the score 12 two are bounded by risk or judgment.
    let lower = change(&[("above: 12", "above: 11"), ("at_most: 12", "at_most: 11")]);
    assert_eq!(cells(&lower), (Loosens, 8, 0, 125));
    assert!(lower.loosening[0].ends_with("HUMAN_IN_THE_LOOP becomes HUMAN_ON_THE_LOOP"), "{:?}", lower.loosening);
    let higher = change(&[("above: 12", "above: 13"), ("at_most: 12", "at_most: 13")]);
    assert_eq!((higher.direction, higher.loosened, higher.loosening.len()), (Tightens, 0, 0));
    let brand = "  - id: brand-impacting
    when: brand_impacting
    at_most: HUMAN_IN_THE_LOOP
    requires: [SIGN_OFF]
    reason: brand-impacting results need a person's sign-off  # S69, S79
";
    let without = change(&[(brand, "")]);
    assert_eq!((without.direction, without.tightened, without.cells), (Loosens, 0, 250));
    assert_eq!(without.loosened, 125, "where it moves no pattern it takes a sign-off away");
    let both = change(&[(brand, ""), ("above: 12", "above: 13"), ("at_most: 12", "at_most: 13")]);
    assert_eq!(both.direction, Mixed);
    assert!(both.direction.loosens());
    let redundant = "  - id: high-risk
    when: risk >= 4
    at_most: HUMAN_IN_THE_LOOP
    reason: high risk pulls people closer  # S132
";
    assert_eq!(change(&[(redundant, "")]).direction, Same, "lint says that it changes nothing");
    // What an input needs besides its pattern, how much is looked at, and how long it all stands.
    assert_eq!(change(&[("requires: [PER_INSTANCE_REVIEW]", "requires: []")]).direction, Loosens);
    assert_eq!(
        change(&[("requires: [PER_INSTANCE_REVIEW]", "requires: [PER_INSTANCE_REVIEW, X]")]).direction,
        Tightens
    );
    let sampled = change(&[("1: 0.05", "1: 0.01")]);
    assert_eq!(sampled.direction, Loosens);
    assert!(sampled.loosening[0].ends_with("people look at 0.01 of the results, not 0.05"), "{:?}", sampled.loosening);
    assert_eq!(change(&[("2: 0.10", "2: 0.2")]).direction, Tightens);
    assert_eq!(change(&[("review_by: 2027-06-30", "review_by: 2028-06-30")]).direction, Loosens);
    assert_eq!(change(&[("review_by: 2027-06-30", "review_by: 2026-12-31")]).direction, Tightens);
    assert_eq!(change(&[("backtest_max_age_days: 14", "backtest_max_age_days: 30")]).direction, Loosens);
    // Other axes have no outcome in common: nobody can say that it is not looser.
    assert_eq!(
        change(&[("  - name: risk\n", "  - name: hazard\n"), ("axis: risk", "axis: hazard"), ("risk ", "hazard ")])
            .direction,
        Mixed
    );
}

/// A bound that no longer holds where something is unknown is looser, also where all that is known stays.
#[test]
fn what_is_unknown_is_part_of_what_is_compared() {
    use remit_core::strictness::Direction::{Loosens, Tightens};
    let capped = |when: &str| {
        policy(&format!("{HEAD}{OPEN}caps: [{{ id: c, when: \"{when}\", at_most: HUMAN_ONLY, reason: r }}]"))
    };
    let (blind, open) =
        (capped("minutes_per_instance > 60.0"), capped("minutes_per_instance > 60.0 && minutes_per_instance != 0.0"));
    let found = strictness::compare(&blind, &open);
    assert_eq!((found.direction, found.tightened), (Loosens, 0));
    assert!(found.loosening.iter().all(|cell| cell.contains("minutes_per_instance=0:")), "{:?}", found.loosening);
    assert_eq!(strictness::compare(&open, &blind).direction, Tightens);
}
