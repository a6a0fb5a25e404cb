//! What a policy may look at.

use remit_core::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Values of `reserved_category`: the categories of S18 to S22, `NONE` first.
pub const RESERVED_CATEGORIES: [&str; 6] = [
    "NONE",
    "POSITIONING",
    "HIGH_STAKES_CONTENT",
    "CREATIVE_DIRECTION",
    "STAKEHOLDER_MANAGEMENT",
    "UNSTRUCTURED_PROBLEM",
];
/// Values of `execution_kind` (S114).
pub const EXECUTION_KINDS: [&str; 3] = ["STRUCTURED", "CUMULATIVE", "RELATIONAL"];
/// Values of `stakes`.
pub const STAKES: [&str; 3] = ["LOW", "MEDIUM", "HIGH"];
/// Values of `function_status` (S113).
pub const FUNCTION_STATUSES: [&str; 6] = ["CONFIRMED", "LIKELY", "MOVING", "WEAKLY", "NOT_ON_CURVE", "UNTESTED"];
/// Values of `function_suitability`.
pub const SUITABILITIES: [&str; 3] = ["LOW", "MEDIUM", "HIGH"];
/// Values of `function_maturity` (S100).
pub const MATURITIES: [&str; 6] = [UNKNOWN, "NONE", "ANNOUNCED", "PARTIAL", "SUBSTANTIAL", "REAL"];

/// Values of `tolerated_variability` (S88).
pub const VARIABILITIES: [&str; 3] = [UNKNOWN, "LOW", "HIGH"];
/// Values of `environment_validity` (S95).
pub const VALIDITIES: [&str; 4] = [UNKNOWN, "LOW", "MEDIUM", "HIGH"];
/// Values of `feedback_delay` (S95).
pub const FEEDBACK_DELAYS: [&str; 6] = [UNKNOWN, "HOURS", "DAYS", "WEEKS", "MONTHS", "YEARS"];

const UNKNOWN: &str = "UNKNOWN";

fn unknown() -> String {
    UNKNOWN.to_owned()
}

fn is_unknown(text: &String) -> bool {
    text == UNKNOWN
}

/// Everything that an evaluation depends on besides the policy.
///
/// A field that is left out takes the value that speaks most for people among those that say "not known".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Input {
    /// Axis to rating.
    pub ratings: BTreeMap<String, i32>,
    /// The same from the ratings alone that the raters gave themselves; an axis that nobody rated in person is left
    /// out. None if all ratings are their raters' own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_ratings: Option<BTreeMap<String, i32>>,
    /// Whether a program gave the tags and no person has confirmed them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub claimed_tags: bool,
    /// Instances a week.
    pub frequency_per_week: f64,
    /// Minutes that a person needs for one instance.
    pub minutes_per_instance: f64,
    /// 1 (simple) to 5; 0 means not tagged.
    pub complexity: i32,
    /// Whether results shape the brand.
    pub brand_impacting: bool,
    /// Whether the domain is regulated or needs high trust.
    pub regulated_domain: bool,
    /// Whether a pilot has measured acceptance.
    pub pilot_evidence: bool,
    /// One of [`RESERVED_CATEGORIES`].
    pub reserved_category: String,
    /// One of [`EXECUTION_KINDS`].
    pub execution_kind: String,
    /// One of [`STAKES`].
    pub stakes: String,
    /// The id of the function; empty if none.
    pub function: String,
    /// One of [`FUNCTION_STATUSES`].
    pub function_status: String,
    /// One of [`SUITABILITIES`].
    pub function_suitability: String,
    /// One of [`MATURITIES`].
    pub function_maturity: String,
    /// Free labels.
    pub labels: Vec<String>,
    /// One of [`VARIABILITIES`].
    #[serde(skip_serializing_if = "is_unknown")]
    pub tolerated_variability: String,
    /// One of [`VALIDITIES`].
    #[serde(skip_serializing_if = "is_unknown")]
    pub environment_validity: String,
    /// One of [`FEEDBACK_DELAYS`].
    #[serde(skip_serializing_if = "is_unknown")]
    pub feedback_delay: String,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            ratings: BTreeMap::new(),
            signed_ratings: None,
            claimed_tags: false,
            frequency_per_week: 0.0,
            minutes_per_instance: 0.0,
            complexity: 0,
            brand_impacting: false,
            regulated_domain: false,
            pilot_evidence: false,
            reserved_category: "NONE".into(),
            execution_kind: "STRUCTURED".into(),
            stakes: "HIGH".into(),
            function: String::new(),
            function_status: "UNTESTED".into(),
            function_suitability: "MEDIUM".into(),
            function_maturity: unknown(),
            labels: Vec::new(),
            tolerated_variability: unknown(),
            environment_validity: unknown(),
            feedback_delay: unknown(),
        }
    }
}

/// The stakes of a task that names none, from its risk on the scale of 1 to 5 (harm from errors, S6).
pub fn stakes_of_risk(risk: Option<i32>) -> &'static str {
    match risk {
        Some(..=2) => "LOW",
        Some(3) => "MEDIUM",
        _ => "HIGH",
    }
}

impl Input {
    /// Checks that every value is one that a policy can meet.
    ///
    /// # Errors
    /// `InvalidArgument` (`INPUT_INVALID`), naming the field.
    pub fn validate(&self) -> Result<()> {
        let bad = |field: &str, text: String| Err(Error::invalid("INPUT_INVALID", field, text));
        for (field, value) in
            [("frequency_per_week", self.frequency_per_week), ("minutes_per_instance", self.minutes_per_instance)]
        {
            if !(0.0..=1_000_000.0).contains(&value) {
                return bad(field, "must be from 0 to 1000000".into());
            }
        }
        if !(0..=5).contains(&self.complexity) {
            return bad("complexity", "must be from 1 to 5, or 0 if it is not tagged".into());
        }
        for (field, value, domain) in [
            ("reserved_category", &self.reserved_category, RESERVED_CATEGORIES.as_slice()),
            ("execution_kind", &self.execution_kind, &EXECUTION_KINDS),
            ("stakes", &self.stakes, &STAKES),
            ("function_status", &self.function_status, &FUNCTION_STATUSES),
            ("function_suitability", &self.function_suitability, &SUITABILITIES),
            ("function_maturity", &self.function_maturity, &MATURITIES),
            ("tolerated_variability", &self.tolerated_variability, &VARIABILITIES),
            ("environment_validity", &self.environment_validity, &VALIDITIES),
            ("feedback_delay", &self.feedback_delay, &FEEDBACK_DELAYS),
        ] {
            if !domain.contains(&value.as_str()) {
                return bad(field, format!("must be one of {}", domain.join(", ")));
            }
        }
        Ok(())
    }
}

/// The type of a variable in a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Bool,
    Int,
    Double,
    Text,
    Texts,
}

/// How an input says that it lacks an attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Lack {
    /// It always has it: what nobody gave has a value of its own.
    Never,
    /// By the number 0.
    Zero,
    /// By this text.
    Word(&'static str),
}

impl Lack {
    /// Whether `input` lacks the attribute of this name.
    pub(crate) fn is(self, input: &Input, name: &str) -> bool {
        let zero = |number: f64| self == Self::Zero && number == 0.0;
        let word = |text: &str| matches!(self, Self::Word(lacking) if text == lacking);
        match name {
            "frequency_per_week" => zero(input.frequency_per_week),
            "minutes_per_instance" => zero(input.minutes_per_instance),
            "complexity" => zero(f64::from(input.complexity)),
            "function_id" => word(&input.function),
            "function_maturity" => word(&input.function_maturity),
            "tolerated_variability" => word(&input.tolerated_variability),
            "environment_validity" => word(&input.environment_validity),
            "feedback_delay" => word(&input.feedback_delay),
            _ => false,
        }
    }
}

/// A variable that conditions may name besides the axes.
pub(crate) struct Variable {
    pub name: &'static str,
    pub kind: Type,
    /// The values that a text can have; empty if any.
    pub domain: &'static [&'static str],
    pub lack: Lack,
}

const fn variable(name: &'static str, kind: Type, domain: &'static [&'static str], lack: Lack) -> Variable {
    Variable { name, kind, domain, lack }
}

/// The variables besides the axes, which are integers by their own names.
pub(crate) static VARIABLES: [Variable; 20] = [
    variable("score", Type::Double, &[], Lack::Never),
    variable("band", Type::Text, &[], Lack::Never),
    variable("frequency_per_week", Type::Double, &[], Lack::Zero),
    variable("minutes_per_instance", Type::Double, &[], Lack::Zero),
    variable("complexity", Type::Int, &[], Lack::Zero),
    variable("brand_impacting", Type::Bool, &[], Lack::Never),
    variable("regulated_domain", Type::Bool, &[], Lack::Never),
    variable("pilot_evidence", Type::Bool, &[], Lack::Never),
    variable("reserved", Type::Bool, &[], Lack::Never),
    variable("reserved_category", Type::Text, &RESERVED_CATEGORIES, Lack::Never),
    variable("execution_kind", Type::Text, &EXECUTION_KINDS, Lack::Never),
    variable("stakes", Type::Text, &STAKES, Lack::Never),
    // Not `function`, which CEL reserves.
    variable("function_id", Type::Text, &[], Lack::Word("")),
    variable("function_status", Type::Text, &FUNCTION_STATUSES, Lack::Never),
    variable("function_suitability", Type::Text, &SUITABILITIES, Lack::Never),
    variable("function_maturity", Type::Text, &MATURITIES, Lack::Word(UNKNOWN)),
    variable("labels", Type::Texts, &[], Lack::Never),
    variable("tolerated_variability", Type::Text, &VARIABILITIES, Lack::Word(UNKNOWN)),
    variable("environment_validity", Type::Text, &VALIDITIES, Lack::Word(UNKNOWN)),
    variable("feedback_delay", Type::Text, &FEEDBACK_DELAYS, Lack::Word(UNKNOWN)),
];

/// The variables that a condition may name besides the axes, each with the values that it can have; none if any.
pub fn variables() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    VARIABLES.iter().map(|variable| (variable.name, variable.domain))
}
