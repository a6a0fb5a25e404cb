//! Acceptance by graded checklist: the objective line between "publish" and "try again" (S36, S37).

use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// One thing that a reviewer grades.
#[derive(Debug, Clone, PartialEq)]
pub struct ChecklistItem {
    /// The id, unique in the checklist.
    pub id: String,
    /// The weight in the total, greater than 0.
    pub weight: f64,
    /// The grade below which this item alone fails the variant; `None` if it only counts.
    pub must_reach: Option<f64>,
}

/// A checklist that can grade: at least one item, ids unique, all numbers in range.
#[derive(Debug, Clone, PartialEq)]
pub struct Checklist {
    items: Vec<ChecklistItem>,
    pass_mark: f64,
}

/// What the grades come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The weighted mean of the grades, 0 to 100, to six decimals.
    pub total: f64,
    /// Whether the total reaches the pass mark and no item failed by itself.
    pub passed: bool,
    /// The must-pass items that failed, in the checklist's order.
    pub failed_items: Vec<String>,
}

impl Checklist {
    /// Checks and builds a checklist.
    ///
    /// # Errors
    /// `InvalidArgument` (`CHECKLIST_INVALID`), naming the field, for no items, a repeated id, a weight
    /// that is not positive and finite, or a mark outside 0 to 100.
    pub fn new(items: Vec<ChecklistItem>, pass_mark: f64) -> Result<Self> {
        let wrong = |field: String, what: &str| Error::invalid("CHECKLIST_INVALID", field, what);
        if items.is_empty() {
            return Err(wrong("checklist.items".into(), "must have at least one item"));
        }
        if !(pass_mark > 0.0 && pass_mark <= 100.0) {
            return Err(wrong("checklist.pass_mark".into(), "must be greater than 0 and at most 100"));
        }
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            if !seen.insert(item.id.as_str()) {
                return Err(wrong(format!("checklist.items[{index}].item"), "must be unique"));
            }
            if !(item.weight > 0.0 && item.weight.is_finite()) {
                return Err(wrong(format!("checklist.items[{index}].weight"), "must be greater than 0"));
            }
            if item.must_reach.is_some_and(|grade| !(0.0..=100.0).contains(&grade)) {
                return Err(wrong(format!("checklist.items[{index}].pass_grade"), "must be from 0 to 100"));
            }
        }
        Ok(Self { items, pass_mark })
    }

    /// Grades a variant: `total = Σ weight·grade / Σ weight`; passes from the pass mark on, inclusive,
    /// unless a must-pass item is below its own grade (A5).
    ///
    /// # Errors
    /// `InvalidArgument` (`GRADES_INVALID`), naming `field`, for an item that is missing, repeated or
    /// unknown, or a grade outside 0 to 100.
    pub fn grade<'a>(&self, grades: impl IntoIterator<Item = (&'a str, f64)>, field: &str) -> Result<Verdict> {
        let wrong = |what: String| Error::invalid("GRADES_INVALID", field, what);
        let mut given = BTreeMap::new();
        for (item, grade) in grades {
            if !(0.0..=100.0).contains(&grade) {
                return Err(wrong(format!("grade of {item} must be from 0 to 100")));
            }
            if given.insert(item, grade).is_some() {
                return Err(wrong(format!("{item} is graded twice")));
            }
        }
        let (mut sum, mut weights, mut failed_items) = (0.0, 0.0, Vec::new());
        for item in &self.items {
            let Some(grade) = given.remove(item.id.as_str()) else {
                return Err(wrong(format!("{} is not graded", item.id)));
            };
            sum += item.weight * grade;
            weights += item.weight;
            if item.must_reach.is_some_and(|least| grade < least) {
                failed_items.push(item.id.clone());
            }
        }
        if let Some(unknown) = given.keys().next() {
            return Err(wrong(format!("{unknown} is not an item of the checklist")));
        }
        // Six decimals are finer than any grade, and keep 80.00 from weights such as 0.1 at 80.00.
        let total = (sum / weights * 1e6).round() / 1e6;
        Ok(Verdict { total, passed: total >= self.pass_mark && failed_items.is_empty(), failed_items })
    }

    /// The total from which a variant passes.
    pub fn pass_mark(&self) -> f64 {
        self.pass_mark
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn checklist(legal_least: f64) -> Checklist {
        let item = |id: &str, must_reach| ChecklistItem { id: id.into(), weight: 1.0, must_reach };
        let items = vec![item("brand_fit", None), item("legal", Some(legal_least)), item("positioning", None)];
        Checklist::new(items, 80.0).unwrap()
    }

    fn grade(brand: f64, legal: f64, positioning: f64) -> Verdict {
        checklist(100.0)
            .grade([("brand_fit", brand), ("legal", legal), ("positioning", positioning)], "grades")
            .unwrap()
    }

    #[test]
    fn eighty_passes_and_a_hundredth_less_does_not() {
        assert!(grade(70.0, 100.0, 70.0).passed);
        let verdict = grade(70.0, 100.0, 69.97);
        assert_eq!((verdict.total, verdict.passed), (79.99, false));
        assert!(verdict.failed_items.is_empty());
    }

    #[test]
    fn legal_fails_a_total_of_95() {
        let verdict = grade(100.0, 85.0, 100.0);
        assert_eq!((verdict.total, verdict.passed), (95.0, false));
        assert_eq!(verdict.failed_items, ["legal"]);
    }

    #[test]
    fn weights_that_do_not_sum_to_a_round_number_do_not_lose_the_boundary() {
        for weights in [[0.1, 0.2, 0.7], [0.3, 0.3, 0.3], [1.0 / 3.0, 1.0 / 7.0, 1.0 / 11.0]] {
            let items = weights.iter().enumerate().map(|(index, weight)| ChecklistItem {
                id: format!("i{index}"),
                weight: *weight,
                must_reach: None,
            });
            let checklist = Checklist::new(items.collect(), 80.0).unwrap();
            let all = |grade: f64| checklist.grade([("i0", grade), ("i1", grade), ("i2", grade)], "g").unwrap();
            assert!(all(80.0).passed, "{weights:?}");
            assert!(!all(79.99).passed, "{weights:?}");
        }
    }

    #[test]
    fn incomplete_or_impossible_grades_are_refused() {
        let bad: [&[(&str, f64)]; 6] = [
            &[],
            &[("brand_fit", 90.0), ("legal", 90.0)],
            &[("brand_fit", 90.0), ("brand_fit", 90.0), ("legal", 90.0), ("positioning", 90.0)],
            &[("brand_fit", 90.0), ("legal", 90.0), ("positioning", 90.0), ("luck", 90.0)],
            &[("brand_fit", 100.01), ("legal", 90.0), ("positioning", 90.0)],
            &[("brand_fit", f64::NAN), ("legal", 90.0), ("positioning", 90.0)],
        ];
        for grades in bad {
            let error = checklist(80.0).grade(grades.iter().copied(), "variants[0].grades").unwrap_err();
            assert_eq!(error.reason(), "GRADES_INVALID");
            assert!(error.message().starts_with("variants[0].grades"));
        }
    }

    #[test]
    fn checklists_that_cannot_grade_are_refused() {
        let item = |weight, must_reach| ChecklistItem { id: "a".into(), weight, must_reach };
        let bad = [
            Checklist::new(vec![], 80.0),
            Checklist::new(vec![item(1.0, None)], 0.0),
            Checklist::new(vec![item(1.0, None)], 100.5),
            Checklist::new(vec![item(1.0, None)], f64::NAN),
            Checklist::new(vec![item(0.0, None)], 80.0),
            Checklist::new(vec![item(f64::INFINITY, None)], 80.0),
            Checklist::new(vec![item(1.0, Some(101.0))], 80.0),
            Checklist::new(vec![item(1.0, None), item(1.0, None)], 80.0),
        ];
        for checklist in bad {
            assert_eq!(checklist.unwrap_err().reason(), "CHECKLIST_INVALID");
        }
    }

    proptest! {
        /// A better grade never makes a variant fail.
        #[test]
        fn acceptance_is_monotone(grades in prop::array::uniform3(0.0f64..=100.0), which in 0usize..3, more in 0.0f64..50.0) {
            let verdict = |g: [f64; 3]| checklist(80.0).grade([("brand_fit", g[0]), ("legal", g[1]), ("positioning", g[2])], "g").unwrap();
            let before = verdict(grades);
            let mut better = grades;
            better[which] = (better[which] + more).min(100.0);
            let after = verdict(better);
            prop_assert!(after.total >= before.total);
            prop_assert!(!before.passed || after.passed);
        }

        #[test]
        fn the_total_lies_between_the_grades(grades in prop::array::uniform3(0.0f64..=100.0)) {
            let total = grade(grades[0], grades[1], grades[2]).total;
            let (low, high) = grades.iter().fold((100.0f64, 0.0f64), |(low, high), g| (low.min(*g), high.max(*g)));
            prop_assert!(total >= low - 1e-6 && total <= high + 1e-6);
        }
    }
}
