//! Aids for raters: what the signatures of execution and strategy suggest (S86, S87), and which tags and ratings do
//! not go together (S88, S95). Nothing here decides anything.

use super::input::Input;

/// The rating that five answers suggest: the number of times that it was yes, at least 1.
///
/// The seed names the five questions for each axis and no arithmetic; that each counts alike is our reading.
pub fn suggest(answers: [bool; 5]) -> i32 {
    answers.iter().map(|yes| i32::from(*yes)).sum::<i32>().max(1)
}

/// A tag and a rating that do not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// A stable code.
    pub code: &'static str,
    /// The same in words.
    pub message: &'static str,
}

/// From this rating on an axis counts as high, as in S7 and S8.
const HIGH: i32 = 4;
/// A working day: the table of S88 puts execution at minutes to hours, strategy at hours to weeks.
const LONG_MINUTES: f64 = 480.0;

/// What people should look at again. Tags that are not given say nothing.
pub fn remarks(input: &Input) -> Vec<Remark> {
    let high = |axis: &str| input.ratings.get(axis).is_some_and(|rating| *rating >= HIGH);
    let (predictable, judged) = (high("predictability"), high("human_judgment"));
    let slow = matches!(input.feedback_delay.as_str(), "MONTHS" | "YEARS");
    let rare = input.frequency_per_week > 0.0 && input.frequency_per_week < 1.0;
    [
        (
            predictable && input.tolerated_variability == "HIGH",
            "PREDICTABLE_BUT_VARIABLE",
            "rated predictable, although its results may differ from one another",
        ),
        (
            predictable && input.minutes_per_instance >= LONG_MINUTES,
            "PREDICTABLE_BUT_LONG",
            "rated predictable, although one instance takes a person a day or more",
        ),
        (predictable && rare, "PREDICTABLE_BUT_RARE", "rated predictable, although it is done less than once a week"),
        (
            judged && input.tolerated_variability == "LOW",
            "JUDGMENT_BUT_UNIFORM",
            "rated as work of judgment, although the same input wants the same output",
        ),
        (
            predictable && (slow || input.environment_validity == "LOW"),
            "LEARNED_WITHOUT_FEEDBACK",
            "rated predictable, although nobody learns soon and surely whether a result was good",
        ),
    ]
    .into_iter()
    .filter_map(|(holds, code, message)| holds.then_some(Remark { code, message }))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(predictability: i32, judgment: i32, change: impl FnOnce(&mut Input)) -> Input {
        let ratings = [("predictability", predictability), ("human_judgment", judgment)];
        let mut input = Input {
            ratings: ratings.map(|(axis, rating)| (axis.to_owned(), rating)).into(),
            frequency_per_week: 5.0,
            minutes_per_instance: 30.0,
            ..Input::default()
        };
        change(&mut input);
        input
    }

    fn codes(input: &Input) -> Vec<&'static str> {
        remarks(input).into_iter().map(|remark| remark.code).collect()
    }

    #[test]
    fn five_questions_suggest_a_rating_of_one_to_five() {
        let yes = |n: usize| suggest(std::array::from_fn(|i| i < n));
        assert_eq!([0, 1, 2, 3, 4, 5].map(yes), [1, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn tags_that_contradict_ratings_are_named_and_missing_tags_are_not() {
        assert_eq!(codes(&input(5, 1, |_| {})), [""; 0]);
        assert_eq!(codes(&input(4, 1, |i| i.tolerated_variability = "HIGH".into())), ["PREDICTABLE_BUT_VARIABLE"]);
        assert_eq!(codes(&input(3, 1, |i| i.tolerated_variability = "HIGH".into())), [""; 0]);
        assert_eq!(codes(&input(4, 1, |i| i.minutes_per_instance = 480.0)), ["PREDICTABLE_BUT_LONG"]);
        assert_eq!(codes(&input(4, 1, |i| i.minutes_per_instance = 479.0)), [""; 0]);
        assert_eq!(codes(&input(4, 1, |i| i.frequency_per_week = 0.9)), ["PREDICTABLE_BUT_RARE"]);
        assert_eq!(codes(&input(4, 1, |i| i.frequency_per_week = 0.0)), [""; 0]);
        assert_eq!(codes(&input(1, 4, |i| i.tolerated_variability = "LOW".into())), ["JUDGMENT_BUT_UNIFORM"]);
        assert_eq!(codes(&input(4, 1, |i| i.feedback_delay = "MONTHS".into())), ["LEARNED_WITHOUT_FEEDBACK"]);
        assert_eq!(codes(&input(4, 1, |i| i.environment_validity = "LOW".into())), ["LEARNED_WITHOUT_FEEDBACK"]);
        assert_eq!(codes(&input(4, 1, |i| i.feedback_delay = "WEEKS".into())), [""; 0]);
    }
}
