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

use super::input::{Input, Lack, Type, VARIABLES};
use cel::Program;
use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators as op};
use std::cmp::Ordering;

const MAX_LENGTH: usize = 1000;
const MAX_NESTING: usize = 40;
const MAX_NODES: usize = 200;

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
        let mut checker = Checker { axes, bands, nodes: 0, variables: Vec::new() };
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

struct Checker<'a> {
    axes: &'a [&'a str],
    bands: &'a [&'a str],
    nodes: usize,
    variables: Vec<String>,
}

impl Checker<'_> {
    fn node(&mut self, expr: &IdedExpr) -> Result<(Type, Node), String> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(format!("must have at most {MAX_NODES} parts"));
        }
        match &expr.expr {
            Expr::Literal(literal) => literal_node(literal),
            Expr::Ident(name) => self.variable(name),
            Expr::Call(call) if call.target.is_none() => self.call(&call.func_name, &call.args),
            Expr::Select(select) => Err(format!(".{} is not known: variables have no fields", select.field)),
            Expr::List(_) => Err("a list may only stand after 'in'".into()),
            _ => Err("may use only variables, literals, && || ! ?: == != < <= > >= in + - and parentheses".into()),
        }
    }

    fn variable(&mut self, name: &str) -> Result<(Type, Node), String> {
        self.variables.push(name.to_owned());
        if let Some(i) = self.axes.iter().position(|axis| *axis == name) {
            return Ok((Type::Int, Node::Axis(i)));
        }
        match VARIABLES.iter().position(|variable| variable.name == name) {
            Some(i) => Ok((VARIABLES[i].kind, Node::Variable(i))),
            None => {
                let known: Vec<&str> = self.axes.iter().copied().chain(VARIABLES.iter().map(|v| v.name)).collect();
                Err(format!("{name} is not known; known are {}", known.join(", ")))
            }
        }
    }

    fn call(&mut self, function: &str, args: &[IdedExpr]) -> Result<(Type, Node), String> {
        let tests = [
            (op::EQUALS, Test::Equal),
            (op::NOT_EQUALS, Test::NotEqual),
            (op::LESS, Test::Less),
            (op::LESS_EQUALS, Test::LessOrEqual),
            (op::GREATER, Test::Greater),
            (op::GREATER_EQUALS, Test::GreaterOrEqual),
        ];
        match args {
            [a] if function == op::LOGICAL_NOT => Ok((Type::Bool, Node::Not(self.truth(a)?))),
            [a] if function == op::NEGATE => match self.node(a)? {
                (kind @ (Type::Int | Type::Double), node) => Ok((kind, Node::Negative(Box::new(node)))),
                _ => Err("'-' needs a number".into()),
            },
            [a, b] if function == op::LOGICAL_AND => Ok((Type::Bool, Node::And(self.truth(a)?, self.truth(b)?))),
            [a, b] if function == op::LOGICAL_OR => Ok((Type::Bool, Node::Or(self.truth(a)?, self.truth(b)?))),
            [a, b] if function == op::ADD || function == op::SUBSTRACT => {
                let (kind, a, b) = self.same(a, b)?;
                if !matches!(kind, Type::Int | Type::Double) {
                    return Err("'+' and '-' need numbers".into());
                }
                Ok((kind, Node::Sum(function == op::SUBSTRACT, Box::new(a), Box::new(b))))
            }
            [item, list] if function == op::IN => self.membership(item, list),
            [test, yes, no] if function == op::CONDITIONAL => {
                let test = self.truth(test)?;
                let (kind, yes, no) = self.same(yes, no)?;
                Ok((kind, Node::If(test, Box::new(yes), Box::new(no))))
            }
            [a, b] => match tests.into_iter().find(|(name, _)| *name == function) {
                Some((_, test)) => {
                    let (kind, a, b) = self.same(a, b)?;
                    let ordered = matches!(kind, Type::Int | Type::Double);
                    if kind == Type::Texts || !(ordered || matches!(test, Test::Equal | Test::NotEqual)) {
                        return Err("only numbers can be compared by size".into());
                    }
                    Ok((Type::Bool, compared(test, a, b)))
                }
                None => Err(format!("{function} is not known")),
            },
            _ => Err(format!("{function} is not known")),
        }
    }

    fn truth(&mut self, expr: &IdedExpr) -> Result<Box<Node>, String> {
        match self.node(expr)? {
            (Type::Bool, node) => Ok(Box::new(node)),
            _ => Err("'&&', '||', '!' and '?:' need conditions that are true or false".into()),
        }
    }

    fn same(&mut self, a: &IdedExpr, b: &IdedExpr) -> Result<(Type, Node, Node), String> {
        let ((kind, a), (other, b)) = (self.node(a)?, self.node(b)?);
        if kind != other {
            let hint = "; write 1.0 to compare with a decimal number";
            return Err(format!("both sides must have the same type{hint}"));
        }
        self.in_domain(&a, &b)?;
        self.in_domain(&b, &a)?;
        Ok((kind, a, b))
    }

    /// A text that a variable can never have is a typing error, and would silently switch a rule off.
    fn in_domain(&self, variable: &Node, literal: &Node) -> Result<(), String> {
        if let (Node::Variable(i), Node::Text(text)) = (variable, literal) {
            let domain = if VARIABLES[*i].name == "band" { self.bands } else { VARIABLES[*i].domain };
            if !domain.is_empty() && !domain.contains(&text.as_str()) {
                return Err(format!("{} is never '{text}'; it is one of {}", VARIABLES[*i].name, domain.join(", ")));
            }
        }
        Ok(())
    }

    fn membership(&mut self, item: &IdedExpr, list: &IdedExpr) -> Result<(Type, Node), String> {
        let (kind, item) = self.node(item)?;
        let Expr::List(list) = &list.expr else {
            return match self.node(list)? {
                (Type::Texts, _) if kind == Type::Text => Ok((Type::Bool, Node::InLabels(Box::new(item)))),
                _ => Err("'in' needs a list of literals or labels".into()),
            };
        };
        let mut items = Vec::with_capacity(list.elements.len());
        for element in &list.elements {
            let (other, node) = match &element.expr {
                Expr::Literal(_) => self.node(element)?,
                _ => return Err("a list may hold only literals".into()),
            };
            if other != kind {
                return Err("the items of a list must have the type of what is looked for".into());
            }
            self.in_domain(&item, &node)?;
            items.push(node);
        }
        let lacks = items.iter().find_map(|literal| marker(&item, literal));
        items.retain(|literal| marker(&item, literal).is_none());
        let among = Node::In(Box::new(item), items);
        let node = match lacks {
            Some(at) => Node::Or(Box::new(Node::Lacks(at)), Box::new(among)),
            None => among,
        };
        Ok((Type::Bool, node))
    }
}

/// The variable, if the literal is what stands for lacking it.
fn marker(variable: &Node, literal: &Node) -> Option<usize> {
    let Node::Variable(at) = variable else { return None };
    let lacking = match (VARIABLES[*at].lack, literal) {
        (Lack::Zero, Node::Int(number)) => *number == 0,
        (Lack::Zero, Node::Double(number)) => *number == 0.0,
        (Lack::Word(word), Node::Text(text)) => text == word,
        _ => false,
    };
    lacking.then_some(*at)
}

fn compared(test: Test, a: Node, b: Node) -> Node {
    match (test, marker(&a, &b).or_else(|| marker(&b, &a))) {
        (Test::Equal, Some(at)) => Node::Lacks(at),
        (Test::NotEqual, Some(at)) => Node::Not(Box::new(Node::Lacks(at))),
        _ => Node::Compare(test, Box::new(a), Box::new(b)),
    }
}

fn literal_node(literal: &LiteralValue) -> Result<(Type, Node), String> {
    const MAX: f64 = 1e9;
    match literal {
        LiteralValue::Boolean(value) => Ok((Type::Bool, Node::Bool(*value.inner()))),
        LiteralValue::Int(value) if (*value.inner() as f64).abs() <= MAX => Ok((Type::Int, Node::Int(*value.inner()))),
        LiteralValue::Double(value) if value.inner().abs() <= MAX => Ok((Type::Double, Node::Double(*value.inner()))),
        LiteralValue::String(value) => Ok((Type::Text, Node::Text(value.inner().to_owned()))),
        _ => Err("literals are true, false, numbers up to 1e9 and texts".into()),
    }
}

#[cfg(test)]
mod tests {
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
            let text = if variable.kind == Type::Texts {
                format!("{literal} in {name}")
            } else {
                format!("{name} == {literal}")
            };
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
}
