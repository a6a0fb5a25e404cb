//! Dimensions of events: their canonical form, and filters over them.

use aip_160::{Comparator, Expression, Restriction, StringMatch};
use remit_core::{Error, Result};
use std::collections::BTreeMap;

/// The values of dimensions by key.
pub(crate) type Dimensions = BTreeMap<String, String>;

/// The canonical text of dimensions: JSON with sorted keys.
pub(crate) fn canonical(dimensions: &Dimensions) -> String {
    serde_json::Value::from_iter(dimensions.iter().map(|(k, v)| (k.clone(), v.clone()))).to_string()
}

/// Reads the canonical text.
///
/// # Errors
/// `Internal` if it is none.
pub(crate) fn parse(text: &str) -> Result<Dimensions> {
    serde_json::from_str(text).map_err(|error| Error::internal("stored dimensions cannot be read").with_source(error))
}

/// A filter over dimensions (AIP-160): `AND`, `OR`, `NOT`, parentheses, `=` and `!=`, with `*` as the
/// first or last character of a value as a wildcard. An absent dimension is the empty text.
#[derive(Debug, Clone)]
pub(crate) struct Filter(Option<Expression>);

/// The most comparisons in one filter.
const MAX_TERMS: usize = 50;
/// The deepest nesting.
const MAX_DEPTH: usize = 20;

impl Filter {
    /// Parses `text`, which may name only `known` dimensions.
    ///
    /// # Errors
    /// `InvalidArgument` (`FILTER_INVALID`, `DIMENSION_UNKNOWN`), naming `field`.
    pub(crate) fn parse(text: &str, known: &[String], field: &str) -> Result<Self> {
        if text.trim().is_empty() {
            return Ok(Self(None));
        }
        let filter = aip_160::parse_filter_with_max_depth(text, MAX_DEPTH)
            .map_err(|error| Error::invalid("FILTER_INVALID", field, error.to_string()))?;
        let mut terms = 0;
        if let Some(expression) = &filter.expression {
            check(expression, known, field, &mut terms)?;
        }
        Ok(Self(filter.expression))
    }

    /// Whether everything passes.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it asks for `key`.
    pub(crate) fn names(&self, key: &str) -> bool {
        self.0.as_ref().is_some_and(|expression| names(expression, key))
    }

    /// Whether `dimensions` pass.
    pub(crate) fn passes(&self, dimensions: &Dimensions) -> bool {
        self.0.as_ref().is_none_or(|expression| holds(expression, dimensions))
    }
}

fn check(expression: &Expression, known: &[String], field: &str, terms: &mut usize) -> Result<()> {
    let refused = |why: String| Error::invalid("FILTER_INVALID", field, why);
    match expression {
        Expression::And(all) | Expression::Sequence(all) | Expression::Or(all) => {
            all.iter().try_for_each(|part| check(part, known, field, terms))
        }
        Expression::Not(inner) => check(inner, known, field, terms),
        Expression::Global(word) => Err(refused(format!("{word} needs a comparison, such as channel = \"email\""))),
        Expression::Restriction(restriction) => {
            *terms += 1;
            if *terms > MAX_TERMS {
                return Err(refused(format!("must have at most {MAX_TERMS} comparisons")));
            }
            let key = restriction.comparable.field_path().unwrap_or_default();
            if !known.contains(&key) {
                let why = format!("{key} is not a dimension of this KPI, which has: {}", known.join(", "));
                return Err(Error::invalid("DIMENSION_UNKNOWN", field, why));
            }
            if !matches!(restriction.comparator, Comparator::Equal | Comparator::NotEqual) {
                return Err(refused(format!("{key} has no order: use = or !=")));
            }
            if restriction.arg.as_value().is_none() {
                return Err(refused(format!("{key} must be compared with one literal")));
            }
            Ok(())
        }
    }
}

fn names(expression: &Expression, key: &str) -> bool {
    match expression {
        Expression::And(all) | Expression::Sequence(all) | Expression::Or(all) => {
            all.iter().any(|part| names(part, key))
        }
        Expression::Not(inner) => names(inner, key),
        Expression::Restriction(restriction) => restriction.comparable.field_path().is_some_and(|path| path == key),
        Expression::Global(_) => false,
    }
}

fn holds(expression: &Expression, dimensions: &Dimensions) -> bool {
    match expression {
        Expression::And(all) | Expression::Sequence(all) => all.iter().all(|part| holds(part, dimensions)),
        Expression::Or(any) => any.iter().any(|part| holds(part, dimensions)),
        Expression::Not(inner) => !holds(inner, dimensions),
        Expression::Restriction(restriction) => compares(restriction, dimensions),
        // Refused by `check`.
        Expression::Global(_) => false,
    }
}

fn compares(restriction: &Restriction, dimensions: &Dimensions) -> bool {
    let key = restriction.comparable.field_path().unwrap_or_default();
    let actual = dimensions.get(&key).map_or("", String::as_str);
    let Some(literal) = restriction.arg.as_value() else { return false };
    let equal = match literal.string_match() {
        Some(StringMatch::Prefix(part)) => actual.starts_with(part),
        Some(StringMatch::Suffix(part)) => actual.ends_with(part),
        Some(StringMatch::Contains(part)) => actual.contains(part),
        Some(StringMatch::Exact(part)) => actual == part,
        None => actual == literal.as_str(),
    };
    equal == (restriction.comparator == Comparator::Equal)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Dimensions {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_canonical_text_sorts_and_reads_back() {
        let dimensions = of(&[("model_version", "3"), ("channel", "a \"b\"")]);
        assert_eq!(canonical(&dimensions), r#"{"channel":"a \"b\"","model_version":"3"}"#);
        assert_eq!(parse(&canonical(&dimensions)).unwrap(), dimensions);
        assert!(parse("[").is_err());
    }

    #[test]
    fn filters_choose() {
        let known = ["channel", "model_version"].map(str::to_owned);
        let email = of(&[("channel", "email"), ("model_version", "3")]);
        let rows = [
            ("", true),
            ("model_version = \"3\"", true),
            ("model_version = 3 AND channel = \"e*\"", true),
            ("channel != \"email\"", false),
            ("NOT channel = \"sms\" AND (model_version = \"1\" OR model_version = \"3\")", true),
            ("channel = \"*mai*\"", true),
            ("channel = \"\"", false),
        ];
        for (text, expected) in rows {
            assert_eq!(Filter::parse(text, &known, "filter").unwrap().passes(&email), expected, "{text}");
        }
        assert!(Filter::parse("channel = \"\"", &known, "filter").unwrap().passes(&of(&[])));
    }

    #[test]
    fn bad_filters_are_refused_by_name_of_field() {
        let known = ["channel".to_owned()];
        let rows = [
            ("region = \"x\"", "DIMENSION_UNKNOWN"),
            ("channel > \"x\"", "FILTER_INVALID"),
            ("channel", "FILTER_INVALID"),
            ("channel = (", "FILTER_INVALID"),
            ("channel = regex(a)", "FILTER_INVALID"),
        ];
        for (text, reason) in rows {
            let error = Filter::parse(text, &known, "baseline_filter").unwrap_err();
            assert_eq!(error.reason(), reason, "{text}");
            assert_eq!(error.violations()[0].field, "baseline_filter");
        }
    }
}
