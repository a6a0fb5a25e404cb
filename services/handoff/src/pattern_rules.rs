//! What each automation pattern asks of people, at each step of each kind of gate (S131): the one table, and the one
//! function that holds every path to it.
//!
//! A pattern is scoring's answer to `CheckTask`. Whatever the path (one lead, a batch, a stream, a creative run), the
//! step asks [`judge`], and nothing else in the service decides what a pattern means. `docs/patterns.md` is made from
//! the table by the tests below.
//!
//! The table is about what AI made or proposes. Work that a person leads has no pattern; the gate alone governs it.
#![doc = include_str!("../../../docs/patterns.md")]

use remit_api::types::AutonomyPattern;
use remit_api::wire::Word as _;
use remit_core::{Error, Result};

/// What kind of work passes a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Variants that people review.
    Creative,
    /// Leads that are routed by rule.
    Leads,
}

/// Where work of AI would go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// AI begins an iteration, or its score is used to route a lead.
    Start,
    /// AI's result is taken in: its variants are delivered, or the lead is sent where the rule says.
    Deliver,
    /// Somebody takes the result on: a reviewer accepts a variant, or a person in sales a lead.
    Accept,
    /// The result is out: what was accepted is published. A lead that was accepted is out.
    Publish,
}

/// What the table asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// AI does not do this step at all; people do the work.
    Refused,
    /// It waits until a person has decided about this very instance.
    Decided,
    /// A person has edited it, or adopted it as written, and an eligible person has signed it.
    Refined,
    /// An eligible person has graded and signed it.
    Signed,
    /// It goes on, and people check the share of such results that the gate and scoring ask for.
    Sampled,
    /// Nothing more.
    Free,
}

/// What people have done about an instance so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Done {
    /// A person has decided about it.
    pub(crate) decided: bool,
    /// A person has edited everything of it that goes out, or adopted it as written.
    pub(crate) refined: bool,
    /// An eligible person has signed it.
    pub(crate) signed: bool,
}

use AutonomyPattern as Pattern;
use Requirement as R;

/// The patterns that scoring answers with, from most human to most automatic.
const PATTERNS: [Pattern; 4] =
    [Pattern::HumanOnly, Pattern::AiFirstDraft, Pattern::HumanInTheLoop, Pattern::HumanOnTheLoop];

/// The table: kind of work, step, and what each of [`PATTERNS`] asks there.
const TABLE: [(Work, Step, [Requirement; 4]); 8] = [
    (Work::Creative, Step::Start, [R::Refused, R::Free, R::Free, R::Free]),
    (Work::Creative, Step::Deliver, [R::Refused, R::Free, R::Free, R::Free]),
    (Work::Creative, Step::Accept, [R::Refused, R::Signed, R::Signed, R::Signed]),
    (Work::Creative, Step::Publish, [R::Refused, R::Refined, R::Signed, R::Signed]),
    (Work::Leads, Step::Start, [R::Refused, R::Refused, R::Free, R::Free]),
    (Work::Leads, Step::Deliver, [R::Refused, R::Refused, R::Decided, R::Sampled]),
    (Work::Leads, Step::Accept, [R::Free, R::Free, R::Decided, R::Free]),
    (Work::Leads, Step::Publish, [R::Free, R::Free, R::Free, R::Free]),
];

/// What the table asks. A pattern that is not known is the most human one.
pub(crate) fn requirement(pattern: Pattern, work: Work, step: Step) -> Requirement {
    let column = PATTERNS.iter().position(|known| *known == pattern).unwrap_or(0);
    let row = TABLE.iter().find(|(of, at, _)| *of == work && *at == step);
    row.and_then(|(.., row)| row.get(column)).copied().unwrap_or(Requirement::Refused)
}

/// Refuses a step that the pattern does not allow yet, and says what people owe afterwards.
///
/// # Errors
/// `FailedPrecondition`: `PATTERN_HUMAN_ONLY` for what AI never does under the pattern, `ROUTING_HELD` for what waits for
/// a person's decision, `DRAFT_NOT_REFINED` for a draft that no person has edited or adopted, `SIGNATURE_REQUIRED` for
/// what nobody eligible has signed.
pub(crate) fn judge(name: &str, pattern: Pattern, work: Work, step: Step, done: Done) -> Result<Requirement> {
    let asked = requirement(pattern, work, step);
    let word = if pattern == Pattern::Unspecified { Pattern::HumanOnly.word() } else { pattern.word() };
    let refused = |reason: &'static str, what: String| Err(Error::precondition(reason, what));
    match asked {
        R::Refused => {
            refused("PATTERN_HUMAN_ONLY", format!("{name} is {word}: AI does not {}, a person does", verb(work, step)))
        }
        R::Decided if !done.decided => {
            refused("ROUTING_HELD", format!("{name} is {word} and waits until a person of its gate decides: review it"))
        }
        R::Refined if !done.signed => {
            refused("SIGNATURE_REQUIRED", format!("{name} is {word} and has no reviewer's signature that holds"))
        }
        R::Refined if !done.refined => {
            let what = "edit each variant that goes out, or adopt it as written with the review that signs it";
            refused(
                "DRAFT_NOT_REFINED",
                format!("{name} is {word}, and no person has made the draft their own: {what}"),
            )
        }
        R::Signed if step == Step::Publish && !done.signed => {
            refused("SIGNATURE_REQUIRED", format!("{name} is {word} and has no reviewer's signature that holds"))
        }
        R::Decided | R::Refined | R::Signed | R::Sampled | R::Free => Ok(asked),
    }
}

/// The more human of two patterns; one that is not known is the most human.
pub(crate) fn more_human(one: Pattern, other: Pattern) -> Pattern {
    let rank = |pattern: Pattern| PATTERNS.iter().position(|known| *known == pattern).unwrap_or(0);
    PATTERNS.get(rank(one).min(rank(other))).copied().unwrap_or(Pattern::HumanOnly)
}

/// The pattern that remains when scoring's further requirements are kept, whatever the pattern says by itself: one that
/// asks for a person's decision on each instance is no pattern in which people only watch.
pub(crate) fn within(pattern: Pattern, requirements: &[String]) -> Pattern {
    requirements.iter().fold(pattern, |pattern, requirement| {
        let at_most = match requirement.as_str() {
            "HUMAN_AUTHOR" => Pattern::AiFirstDraft,
            "SIGN_OFF" | "PER_INSTANCE_REVIEW" => Pattern::HumanInTheLoop,
            _ => Pattern::HumanOnTheLoop,
        };
        more_human(pattern, at_most)
    })
}

fn verb(work: Work, step: Step) -> &'static str {
    match (work, step) {
        (Work::Creative, Step::Start) => "begin it",
        (Work::Creative, Step::Deliver) => "deliver it",
        (Work::Creative, Step::Accept) => "make what is accepted",
        (Work::Creative, Step::Publish) => "make what is published",
        (Work::Leads, _) => "route it",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::fmt::Write as _;
    use std::path::Path;

    const WORKS: [Work; 2] = [Work::Creative, Work::Leads];
    const STEPS: [Step; 4] = [Step::Start, Step::Deliver, Step::Accept, Step::Publish];

    /// Every combination of what people may have done.
    fn every_done() -> impl Iterator<Item = Done> {
        (0..8).map(|bits| Done { decided: bits & 1 != 0, refined: bits & 2 != 0, signed: bits & 4 != 0 })
    }

    fn reason(pattern: Pattern, work: Work, step: Step, done: Done) -> Option<String> {
        judge("handoffs/h", pattern, work, step, done).err().map(|error| error.reason().to_owned())
    }

    #[test]
    fn the_table_has_each_cell_once() {
        for work in WORKS {
            for step in STEPS {
                let rows = TABLE.iter().filter(|(of, at, _)| *of == work && *at == step);
                assert_eq!(rows.count(), 1, "{work:?} {step:?}");
            }
        }
        assert_eq!(TABLE.len(), WORKS.len() * STEPS.len());
    }

    /// What each cell lets pass, written out a second time and by hand: kind, step, and for each pattern the reason of
    /// the refusal where nobody has done anything (`-` for none).
    #[test]
    fn every_cell_refuses_what_it_should() {
        let cells = [
            (Work::Creative, Step::Start, ["PATTERN_HUMAN_ONLY", "-", "-", "-"]),
            (Work::Creative, Step::Deliver, ["PATTERN_HUMAN_ONLY", "-", "-", "-"]),
            (Work::Creative, Step::Accept, ["PATTERN_HUMAN_ONLY", "-", "-", "-"]),
            (
                Work::Creative,
                Step::Publish,
                ["PATTERN_HUMAN_ONLY", "SIGNATURE_REQUIRED", "SIGNATURE_REQUIRED", "SIGNATURE_REQUIRED"],
            ),
            (Work::Leads, Step::Start, ["PATTERN_HUMAN_ONLY", "PATTERN_HUMAN_ONLY", "-", "-"]),
            (Work::Leads, Step::Deliver, ["PATTERN_HUMAN_ONLY", "PATTERN_HUMAN_ONLY", "ROUTING_HELD", "-"]),
            (Work::Leads, Step::Accept, ["-", "-", "ROUTING_HELD", "-"]),
            (Work::Leads, Step::Publish, ["-", "-", "-", "-"]),
        ];
        assert_eq!(cells.len(), TABLE.len());
        for (work, step, refusals) in cells {
            for (pattern, refusal) in PATTERNS.into_iter().zip(refusals) {
                let found = reason(pattern, work, step, Done::default());
                assert_eq!(found.as_deref().unwrap_or("-"), refusal, "{pattern:?} {work:?} {step:?}");
            }
        }
    }

    #[test]
    fn every_cell_passes_once_people_have_done_what_it_asks_and_not_before() {
        for (work, step) in WORKS.into_iter().flat_map(|work| STEPS.map(|step| (work, step))) {
            for pattern in PATTERNS {
                for done in every_done() {
                    let met = match requirement(pattern, work, step) {
                        R::Refused => false,
                        R::Decided => done.decided,
                        R::Refined => done.refined && done.signed,
                        // The acceptance is the signature.
                        R::Signed => done.signed || step == Step::Accept,
                        R::Sampled | R::Free => true,
                    };
                    let passes = reason(pattern, work, step, done).is_none();
                    assert_eq!(passes, met, "{pattern:?} {work:?} {step:?} {done:?}");
                }
            }
        }
    }

    /// AI gets no further under a more human pattern than under a more automatic one. A lead of which AI decided
    /// nothing is a person's from the start, and so is its acceptance.
    #[test]
    fn a_more_human_pattern_never_lets_more_pass() {
        for (work, step) in WORKS.into_iter().flat_map(|work| STEPS.map(|step| (work, step))) {
            if (work, step) == (Work::Leads, Step::Accept) {
                continue;
            }
            for pair in PATTERNS.windows(2) {
                for done in every_done() {
                    let [human, automatic] = [pair[0], pair[1]].map(|pattern| reason(pattern, work, step, done));
                    assert!(human.is_some() || automatic.is_none(), "{pair:?} {work:?} {step:?} {done:?}");
                }
            }
        }
    }

    #[test]
    fn an_unknown_pattern_is_the_most_human() {
        for (work, step) in WORKS.into_iter().flat_map(|work| STEPS.map(|step| (work, step))) {
            assert_eq!(requirement(Pattern::Unspecified, work, step), requirement(Pattern::HumanOnly, work, step));
        }
        for pattern in PATTERNS {
            assert_eq!(more_human(pattern, Pattern::Unspecified), Pattern::HumanOnly);
            assert_eq!(more_human(pattern, Pattern::HumanOnTheLoop), pattern);
        }
    }

    #[test]
    fn a_requirement_of_each_instance_keeps_people_in_the_loop() {
        let with = |pattern, requirement: &str| within(pattern, &[requirement.to_owned()]);
        assert_eq!(with(Pattern::HumanOnTheLoop, "PER_INSTANCE_REVIEW"), Pattern::HumanInTheLoop);
        assert_eq!(with(Pattern::HumanOnTheLoop, "SIGN_OFF"), Pattern::HumanInTheLoop);
        assert_eq!(with(Pattern::HumanOnTheLoop, "HUMAN_AUTHOR"), Pattern::AiFirstDraft);
        assert_eq!(with(Pattern::HumanOnly, "SIGN_OFF"), Pattern::HumanOnly);
        assert_eq!(with(Pattern::HumanOnTheLoop, "CONDITION: at most 100 a day"), Pattern::HumanOnTheLoop);
    }

    fn words(requirement: Requirement) -> &'static str {
        match requirement {
            R::Refused => "refused",
            R::Decided => "a person's decision",
            R::Refined => "a person's edit, and a signature",
            R::Signed => "a signature",
            R::Sampled => "a check of a sample",
            R::Free => "nothing",
        }
    }

    fn title(work: Work, step: Step) -> &'static str {
        match (work, step) {
            (Work::Creative, Step::Start) => "creative: AI starts a run",
            (Work::Creative, Step::Deliver) => "creative: AI's variants are taken in",
            (Work::Creative, Step::Accept) => "creative: a variant is accepted",
            (Work::Creative, Step::Publish) => "creative: a variant is published",
            (Work::Leads, Step::Start) => "leads: AI's score is used",
            (Work::Leads, Step::Deliver) => "leads: the lead is sent where the rule says",
            (Work::Leads, Step::Accept) => "leads: somebody accepts the lead",
            (Work::Leads, Step::Publish) => "leads: the lead is worked on",
        }
    }

    fn table() -> String {
        let mut text = "| step |".to_owned();
        for pattern in PATTERNS {
            let _ = write!(text, " `{}` |", pattern.word());
        }
        text.push_str("\n|---|---|---|---|---|\n");
        for (work, step, row) in TABLE {
            let _ = write!(text, "| {} |", title(work, step));
            for requirement in row {
                let _ = write!(text, " {} |", words(requirement));
            }
            text.push('\n');
        }
        text
    }

    #[test]
    fn the_page_is_made_from_the_table() {
        const BEGIN: &str = "<!-- patterns -->\n";
        const END: &str = "<!-- /patterns -->";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/patterns.md");
        let stands = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = stands.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        let made = format!("{before}{BEGIN}{}{END}{after}", table());
        if std::env::var("REMIT_BLESS").is_ok_and(|value| value == "1") {
            std::fs::write(&path, &made).unwrap();
        }
        assert!(made == stands, "docs/patterns.md is not what the table says: run this test with REMIT_BLESS=1");
    }
}
