//! What a condition may say: the types of its parts, and the bound on their number.

use super::{Node, Test};
use crate::input::{Lack, Type, VARIABLES};
use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators as op};

const MAX_NODES: usize = 200;

/// Turns what the parser read into typed nodes.
pub(super) struct Checker<'a> {
    axes: &'a [&'a str],
    bands: &'a [&'a str],
    nodes: usize,
    /// The variables named so far.
    pub(super) variables: Vec<String>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(axes: &'a [&'a str], bands: &'a [&'a str]) -> Self {
        Self { axes, bands, nodes: 0, variables: Vec::new() }
    }

    /// The node of an expression and the type of its value.
    pub(super) fn node(&mut self, expr: &IdedExpr) -> Result<(Type, Node), String> {
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
