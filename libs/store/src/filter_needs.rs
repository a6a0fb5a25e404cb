//! What every row that passes a filter must have, for a store that keeps its own index of values.
//!
//! A hint as [`super::Fragment::span`] is one: rows that have it need not pass, and the condition decides.

use super::{Field, FieldKind};
use aip_160::{Comparator, Expression, Restriction, StringMatch};

/// One thing that a row may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Atom {
    /// The field of this name is this text.
    Is(&'static str, String),
    /// It begins with this text.
    Begins(&'static str, String),
}

/// A row that passes has at least one of these.
pub type Need = Vec<Atom>;

/// What each row that passes `expression` must have: all of these.
pub(super) fn of(expression: &Expression, fields: &[Field]) -> Vec<Need> {
    match expression {
        Expression::And(all) | Expression::Sequence(all) => all.iter().flat_map(|one| of(one, fields)).collect(),
        Expression::Or(any) => {
            // Of each alternative the need that says most; one that needs nothing lets every row pass.
            let needs: Option<Vec<Need>> =
                any.iter().map(|one| of(one, fields).into_iter().min_by_key(breadth)).collect();
            needs.map(|needs| vec![needs.concat()]).unwrap_or_default()
        }
        Expression::Not(inner) => match &**inner {
            Expression::Restriction(restriction) => words(restriction, fields, Comparator::Equal),
            _ => Vec::new(),
        },
        Expression::Restriction(restriction) => {
            let others = words(restriction, fields, Comparator::NotEqual);
            if others.is_empty() {
                restricted(restriction, fields).map(|atom| vec![vec![atom]]).unwrap_or_default()
            } else {
                others
            }
        }
        Expression::Global(_) => Vec::new(),
    }
}

fn breadth(need: &Need) -> (usize, usize) {
    (need.iter().filter(|atom| matches!(atom, Atom::Begins(..))).count(), need.len())
}

fn field<'f>(restriction: &Restriction, fields: &'f [Field]) -> Option<&'f Field> {
    let path = restriction.comparable.field_path()?;
    fields.iter().find(|field| field.name == path)
}

/// The words that are left if a field that always has one has another than this.
fn words(restriction: &Restriction, fields: &[Field], comparator: Comparator) -> Vec<Need> {
    let (Some(field), Some(literal)) = (field(restriction, fields), restriction.arg.as_value()) else {
        return Vec::new();
    };
    match field.kind {
        FieldKind::Words(words) if field.always && restriction.comparator == comparator && !literal.is_null() => {
            let others = words.iter().filter(|word| **word != literal.as_str());
            vec![others.map(|word| Atom::Is(field.name, (*word).to_owned())).collect()]
        }
        _ => Vec::new(),
    }
}

fn restricted(restriction: &Restriction, fields: &[Field]) -> Option<Atom> {
    let (field, literal) = (field(restriction, fields)?, restriction.arg.as_value()?);
    let equal = restriction.comparator == Comparator::Equal;
    if literal.is_null() || !(equal || restriction.comparator == Comparator::Has) {
        return None;
    }
    match (field.kind, literal.string_match()) {
        (FieldKind::Words(_), _) => Some(Atom::Is(field.name, literal.as_str().to_owned())),
        (FieldKind::Text | FieldKind::Key, Some(StringMatch::Prefix(part))) => {
            let part = field.compared(part);
            (!part.is_empty()).then(|| Atom::Begins(field.name, part.into_owned()))
        }
        (FieldKind::Text | FieldKind::Key, None | Some(StringMatch::Exact(_))) if equal => {
            Some(Atom::Is(field.name, field.compared(literal.as_str()).into_owned()))
        }
        _ => None,
    }
}
