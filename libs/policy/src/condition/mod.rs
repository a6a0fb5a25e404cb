//! Conditions in CEL, the Common Expression Language.
//!
//! The `cel` crate parses; a condition is then type-checked against the variables of a policy and kept as a typed
//! tree, so that evaluating it cannot fail, allocates nothing and takes a time bounded by its length. Accepted are
//! the variables, literals, lists of literals, `&& || ! ?: == != < <= > >= in + -` and parentheses; macros, loops
//! and functions are not. A property test holds the result equal to the `cel` crate's own interpreter.
//!
//! Of an attribute that an input lacks nothing is known: a condition that depends on it is neither true nor false but
//! open (Kleene's logic of three values), and who asks decides what is stricter. A comparison with the very value that
//! stands for lacking, `complexity == 0` or `feedback_delay == 'UNKNOWN'`, is never open: it asks whether the attribute
//! is there, and an author who writes it has said what is meant.

mod checker;
#[cfg(test)]
mod tests;

use super::input::{Input, Lack, Type, VARIABLES};
use cel::Program;
use checker::Checker;
use std::cmp::Ordering;

const MAX_LENGTH: usize = 1000;
const MAX_NESTING: usize = 40;

/// What the variables stand for during one evaluation.
pub(crate) struct Scope<'a> {
    pub input: &'a Input,
    /// Ratings in the order of the policy's axes.
    pub ratings: &'a [i32],
    pub score: f64,
    pub band: &'a str,
}

/// A condition that was parsed and type-checked.
#[derive(Debug, Clone)]
pub struct Condition {
    source: String,
    root: Node,
    variables: Vec<String>,
}

#[derive(Debug, Clone)]
enum Node {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Axis(usize),
    Variable(usize),
    /// Whether the input lacks the variable.
    Lacks(usize),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
    Compare(Test, Box<Node>, Box<Node>),
    In(Box<Node>, Vec<Node>),
    InLabels(Box<Node>),
    Sum(bool, Box<Node>, Box<Node>),
    Negative(Box<Node>),
}

#[derive(Debug, Clone, Copy)]
enum Test {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Value<'a> {
    /// It depends on something that the input lacks.
    Open,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'a str),
}

impl Condition {
    /// Parses and checks `source` for a policy with these axes and bands.
    ///
    /// # Errors
    /// A sentence for the author: what is wrong and what would be right.
    pub fn compile(source: &str, axes: &[&str], bands: &[&str]) -> Result<Self, String> {
        if source.len() > MAX_LENGTH {
            return Err(format!("must be at most {MAX_LENGTH} characters"));
        }
        // The parser recurses; its depth is bounded by what can nest.
        if source.chars().filter(|c| matches!(c, '(' | '[' | '{' | '!' | '?' | '-')).count() > MAX_NESTING {
            return Err(format!("must nest at most {MAX_NESTING} times"));
        }
        let program = Program::compile(source).map_err(|error| format!("is not CEL: {error}"))?;
        let mut checker = Checker::new(axes, bands);
        let (kind, root) = checker.node(program.expression())?;
        if kind != Type::Bool {
            return Err("must be true or false".into());
        }
        checker.variables.sort();
        checker.variables.dedup();
        Ok(Self { source: source.to_owned(), root, variables: checker.variables })
    }

    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The variables that it names, by name.
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    /// Whether it holds; none if that depends on something that the input lacks.
    pub(crate) fn decide(&self, scope: &Scope<'_>) -> Option<bool> {
        self.root.truth(scope)
    }

    /// Whether it holds, or would if what the input lacks had some value: what is stricter of a bound.
    pub(crate) fn may_hold(&self, scope: &Scope<'_>) -> bool {
        self.decide(scope) != Some(false)
    }

    /// The variables that it names and the input lacks.
    pub(crate) fn lacking<'a>(&'a self, input: &'a Input) -> impl Iterator<Item = &'a str> {
        let lacks =
            move |name: &&str| VARIABLES.iter().any(|variable| variable.name == *name && variable.lack.is(input, name));
        self.variables.iter().map(String::as_str).filter(lacks)
    }

    /// The variables that an input may lack and of which it does not say what that means.
    pub(crate) fn unhandled(&self) -> impl Iterator<Item = &str> {
        let unhandled = move |name: &&str| {
            let at = VARIABLES.iter().position(|variable| variable.name == *name && variable.lack != Lack::Never);
            at.is_some_and(|at| !self.root.asks_for(at))
        };
        self.variables.iter().map(String::as_str).filter(unhandled)
    }

    /// The literals that numbers and texts are compared with, for choosing inputs that tell outcomes apart.
    pub(crate) fn literals(&self) -> (Vec<f64>, Vec<String>) {
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        self.root.literals(&mut numbers, &mut texts);
        (numbers, texts)
    }
}

impl Node {
    fn eval<'a>(&'a self, scope: &Scope<'a>) -> Value<'a> {
        let known = |truth: Option<bool>| truth.map_or(Value::Open, Value::Bool);
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Double(value) => Value::Double(*value),
            Self::Text(value) => Value::Text(value),
            Self::Axis(i) => Value::Int(i64::from(scope.ratings.get(*i).copied().unwrap_or_default())),
            Self::Variable(i) => scope.variable(*i),
            Self::Lacks(i) => Value::Bool(scope.variable(*i) == Value::Open),
            Self::Not(inner) => known(inner.truth(scope).map(|truth| !truth)),
            Self::And(a, b) => known(match a.truth(scope) {
                Some(false) => Some(false),
                Some(true) => b.truth(scope),
                None => b.truth(scope).filter(|truth| !truth),
            }),
            Self::Or(a, b) => known(match a.truth(scope) {
                Some(true) => Some(true),
                Some(false) => b.truth(scope),
                None => b.truth(scope).filter(|truth| *truth),
            }),
            Self::If(test, yes, no) => match test.truth(scope) {
                Some(true) => yes.eval(scope),
                Some(false) => no.eval(scope),
                None => {
                    let (yes, no) = (yes.eval(scope), no.eval(scope));
                    if yes == no { yes } else { Value::Open }
                }
            },
            Self::Compare(test, a, b) => match (a.eval(scope), b.eval(scope)) {
                (Value::Open, _) | (_, Value::Open) => Value::Open,
                (a, b) => Value::Bool(test.holds(&a, &b)),
            },
            Self::In(item, items) => match item.eval(scope) {
                Value::Open => Value::Open,
                item => Value::Bool(items.iter().any(|other| other.eval(scope) == item)),
            },
            Self::InLabels(item) => match item.eval(scope) {
                Value::Open => Value::Open,
                Value::Text(label) => Value::Bool(scope.input.labels.iter().any(|other| other == label)),
                _ => Value::Bool(false),
            },
            Self::Sum(minus, a, b) => match (a.eval(scope), b.eval(scope)) {
                (Value::Int(a), Value::Int(b)) => {
                    Value::Int(if *minus { a.saturating_sub(b) } else { a.saturating_add(b) })
                }
                (Value::Double(a), Value::Double(b)) => Value::Double(if *minus { a - b } else { a + b }),
                _ => Value::Open,
            },
            Self::Negative(inner) => match inner.eval(scope) {
                Value::Int(value) => Value::Int(value.saturating_neg()),
                Value::Double(value) => Value::Double(-value),
                other => other,
            },
        }
    }

    fn truth(&self, scope: &Scope<'_>) -> Option<bool> {
        match self.eval(scope) {
            Value::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    fn children(&self) -> Vec<&Self> {
        match self {
            Self::Not(a) | Self::Negative(a) | Self::InLabels(a) => vec![a.as_ref()],
            Self::And(a, b) | Self::Or(a, b) | Self::Compare(_, a, b) | Self::Sum(_, a, b) => {
                vec![a.as_ref(), b.as_ref()]
            }
            Self::If(a, b, c) => vec![a.as_ref(), b.as_ref(), c.as_ref()],
            Self::In(a, items) => std::iter::once(a.as_ref()).chain(items).collect(),
            Self::Bool(_)
            | Self::Int(_)
            | Self::Double(_)
            | Self::Text(_)
            | Self::Axis(_)
            | Self::Variable(_)
            | Self::Lacks(_) => Vec::new(),
        }
    }

    /// Whether it asks anywhere if the input lacks the variable.
    fn asks_for(&self, variable: usize) -> bool {
        matches!(self, Self::Lacks(at) if *at == variable)
            || self.children().into_iter().any(|child| child.asks_for(variable))
    }

    fn literals(&self, numbers: &mut Vec<f64>, texts: &mut Vec<String>) {
        match self {
            Self::Int(value) => numbers.push(*value as f64),
            Self::Double(value) => numbers.push(*value),
            Self::Text(value) => texts.push(value.clone()),
            _ => self.children().into_iter().for_each(|child| child.literals(numbers, texts)),
        }
    }
}

impl Test {
    fn holds(self, a: &Value<'_>, b: &Value<'_>) -> bool {
        let order = match (a, b) {
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
            (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            _ => None,
        };
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::NotEqual => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

impl<'a> Scope<'a> {
    fn variable(&self, at: usize) -> Value<'a> {
        let (input, variable) = (self.input, &VARIABLES[at]);
        if variable.lack.is(input, variable.name) {
            return Value::Open;
        }
        match variable.name {
            "score" => Value::Double(self.score),
            "band" => Value::Text(self.band),
            "frequency_per_week" => Value::Double(input.frequency_per_week),
            "minutes_per_instance" => Value::Double(input.minutes_per_instance),
            "complexity" => Value::Int(i64::from(input.complexity)),
            "brand_impacting" => Value::Bool(input.brand_impacting),
            "regulated_domain" => Value::Bool(input.regulated_domain),
            "pilot_evidence" => Value::Bool(input.pilot_evidence),
            "reserved" => Value::Bool(input.reserved_category != "NONE"),
            "reserved_category" => Value::Text(&input.reserved_category),
            "execution_kind" => Value::Text(&input.execution_kind),
            "stakes" => Value::Text(&input.stakes),
            "function_id" => Value::Text(&input.function),
            "function_status" => Value::Text(&input.function_status),
            "function_suitability" => Value::Text(&input.function_suitability),
            "function_maturity" => Value::Text(&input.function_maturity),
            "tolerated_variability" => Value::Text(&input.tolerated_variability),
            "environment_validity" => Value::Text(&input.environment_validity),
            "feedback_delay" => Value::Text(&input.feedback_delay),
            _ => Value::Bool(false),
        }
    }
}
