//! List filters: the subset of [AIP-160](https://google.aip.dev/160) that both engines can answer alike.
//!
//! - `AND`, `OR`, `NOT`, `-`, parentheses and juxtaposition; `OR` binds tighter than `AND`.
//! - `=`, `!=`, `<`, `<=`, `>`, `>=` on every field of the list's allow-list, by the field's type.
//! - On text: `field = "abc*"` (starts with), `"*abc"` (ends with), `"*abc*"` and `field:"abc"` (contains).
//! - `field = null` and `field != null` for fields that may be absent.
//! - A time is written as in RFC 3339, or as a date, which is the whole day in UTC: `> "2026-05-01"` begins with the second.
//!
//! Functions and bare words without a field are refused. A filter has at most [`MAX_LENGTH`] bytes and
//! [`MAX_TERMS`] comparisons, of which at most [`MAX_SCANS`] look for a part of a text. Everything a caller writes
//! becomes a bound value: only the column names of the allow-list and the words in this file become SQL.

use crate::value::Value;
use aip_160::{Comparable, Comparator, Expression, StringMatch, Value as Literal};
use remit_core::{Error, Result, Timestamp};

#[path = "filter_fields.rs"]
mod fields;
#[path = "filter_needs.rs"]
mod needs;
pub use fields::Field;
use fields::FieldKind;
pub use needs::{Atom, Need};

/// The longest filter, in bytes.
pub const MAX_LENGTH: usize = 2_000;
/// The most comparisons in one filter.
pub const MAX_TERMS: usize = 50;
/// The most comparisons with a part of a text in one filter: no index serves them, so each costs something on every row.
pub const MAX_SCANS: usize = 10;
/// The deepest nesting.
pub const MAX_DEPTH: usize = 20;

/// A piece of a condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Literal text.
    Sql(&'static str),
    /// A value to bind.
    Bind(Value),
}

/// A condition for [`crate::Sql::and_filter`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fragment {
    parts: Vec<Part>,
    spans: Vec<(&'static str, Span)>,
    needs: Vec<Need>,
    terms: usize,
    scans: usize,
}

/// A first and a last number, each included; `None` is open.
type Span = (Option<i64>, Option<i64>);

/// A span of time, each end included; `None` is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeSpan {
    /// The first moment.
    pub from: Option<Timestamp>,
    /// The last moment.
    pub until: Option<Timestamp>,
}

impl TimeSpan {
    /// Whether neither end is given.
    pub fn is_open(&self) -> bool {
        self.from.is_none() && self.until.is_none()
    }
}

/// The span outside of which no number compares so.
fn span_of(comparator: Comparator, at: i64) -> Span {
    match comparator {
        Comparator::Equal | Comparator::Has => (Some(at), Some(at)),
        Comparator::LessThan | Comparator::LessThanOrEqual => (None, Some(at)),
        Comparator::GreaterThan | Comparator::GreaterThanOrEqual => (Some(at), None),
        _ => (None, None),
    }
}

impl Fragment {
    /// Whether every row passes.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The pieces in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// How many comparisons it makes on a row.
    pub fn terms(&self) -> usize {
        self.terms
    }

    /// Whether it looks for parts of texts, which no index serves: it may have to look at every row.
    pub fn is_scan(&self) -> bool {
        self.scans > 0
    }

    /// What every row that passes has: all of these. A hint for where to look: the rows that have it need not pass.
    pub fn needs(&self) -> &[Need] {
        &self.needs
    }

    /// The span of an integer field outside of which no row passes, each end included. A hint for where to look.
    pub fn range(&self, field: &str) -> (Option<i64>, Option<i64>) {
        let spans = self.spans.iter().filter(|(name, _)| *name == field);
        spans
            .fold((None, None), |all: Span, (_, span)| (all.0.max(span.0), [all.1, span.1].into_iter().flatten().min()))
    }

    /// The span of a time field outside of which no row passes. A hint for where to look: the rows in it
    /// need not pass.
    pub fn span(&self, field: &str) -> TimeSpan {
        let (from, until) = self.range(field);
        TimeSpan { from: from.map(Timestamp), until: until.map(Timestamp) }
    }
}

/// Reads a filter against the fields that the list allows.
///
/// # Errors
/// `InvalidArgument` (`FILTER_INVALID`), naming `filter`: a syntax error with its place, a field that
/// is not allowed (naming those that are), a literal of the wrong type, or a filter beyond the bounds.
pub fn parse(filter: &str, fields: &[Field]) -> Result<Fragment> {
    if filter.len() > MAX_LENGTH {
        return Err(refused(format!("must have at most {MAX_LENGTH} bytes")));
    }
    let parsed = aip_160::parse_filter_with_max_depth(filter, MAX_DEPTH).map_err(|error| refused(error.to_string()))?;
    let mut writer = Writer { fields, parts: Vec::new(), terms: 0, scans: 0, spans: Vec::new(), certain: true };
    let mut needs = Vec::new();
    if let Some(expression) = &parsed.expression {
        writer.expression(expression)?;
        needs = needs::of(expression, fields);
    }
    let Writer { parts, spans, terms, scans, .. } = writer;
    Ok(Fragment { parts, spans, needs, terms, scans })
}

fn refused(why: impl Into<String>) -> Error {
    Error::invalid("FILTER_INVALID", "filter", why)
}

struct Writer<'a> {
    fields: &'a [Field],
    parts: Vec<Part>,
    terms: usize,
    scans: usize,
    spans: Vec<(&'static str, Span)>,
    /// Whether every row that passes satisfies what is being written, so not under OR and NOT.
    certain: bool,
}

impl Writer<'_> {
    fn sql(&mut self, text: &'static str) {
        self.parts.push(Part::Sql(text));
    }

    fn bind(&mut self, value: impl Into<Value>) {
        self.parts.push(Part::Bind(value.into()));
    }

    /// Counts a comparison that no index serves.
    fn scan(&mut self) -> Result<()> {
        self.scans += 1;
        if self.scans > MAX_SCANS {
            return Err(refused(format!("must look for parts of texts at most {MAX_SCANS} times")));
        }
        Ok(())
    }

    fn expression(&mut self, expression: &Expression) -> Result<()> {
        match expression {
            Expression::And(all) | Expression::Sequence(all) => self.joined(all, " and "),
            Expression::Or(any) => {
                let certain = self.certain;
                self.certain &= any.len() == 1;
                self.joined(any, " or ")?;
                self.certain = certain;
                Ok(())
            }
            Expression::Not(inner) => {
                let certain = std::mem::replace(&mut self.certain, false);
                // An unknown comparison, of an absent value, counts as false before it is negated.
                self.sql("not coalesce(");
                self.expression(inner)?;
                self.sql(", false)");
                self.certain = certain;
                Ok(())
            }
            Expression::Restriction(restriction) => {
                self.terms += 1;
                if self.terms > MAX_TERMS {
                    return Err(refused(format!("must have at most {MAX_TERMS} comparisons")));
                }
                let field = self.field(&restriction.comparable)?;
                let literal = restriction
                    .arg
                    .as_value()
                    .ok_or_else(|| refused(format!("{} must be compared with one literal", field.name)))?;
                self.comparison(&field, restriction.comparator, literal)
            }
            Expression::Global(word) => {
                Err(refused(format!("{word} needs a field and a comparison, such as {} = …", self.example())))
            }
        }
    }

    fn joined(&mut self, expressions: &[Expression], word: &'static str) -> Result<()> {
        self.sql("(");
        for (at, expression) in expressions.iter().enumerate() {
            if at > 0 {
                self.sql(word);
            }
            self.expression(expression)?;
        }
        self.sql(")");
        Ok(())
    }

    fn example(&self) -> &'static str {
        self.fields.first().map_or("name", |field| field.name)
    }

    fn field(&self, comparable: &Comparable) -> Result<Field> {
        let path = comparable.field_path().ok_or_else(|| refused(format!("{comparable} is not supported")))?;
        self.fields.iter().find(|field| field.name == path).copied().ok_or_else(|| {
            let names: Vec<&str> = self.fields.iter().map(|field| field.name).collect();
            refused(format!("{path} is not a field to filter by: use {}", names.join(", ")))
        })
    }

    fn comparison(&mut self, field: &Field, comparator: Comparator, literal: &Literal) -> Result<()> {
        let column = field.column;
        if literal.is_null() {
            self.sql(column);
            self.sql(match comparator {
                Comparator::Equal => " is null",
                Comparator::NotEqual => " is not null",
                _ => {
                    return Err(refused(format!("{} can only be = null or != null", field.name)));
                }
            });
            return Ok(());
        }
        if field.is_text() {
            match (comparator, literal.string_match()) {
                (Comparator::Has, None) => return self.contains(column, &field.compared(literal.as_str())),
                (Comparator::Has, Some(StringMatch::Prefix(part))) => {
                    return self.starts(field, &field.compared(part));
                }
                (Comparator::Has, Some(StringMatch::Suffix(part))) => {
                    return self.ends(column, &field.compared(part));
                }
                (Comparator::Has, Some(StringMatch::Exact(part) | StringMatch::Contains(part))) => {
                    return self.contains(column, &field.compared(part));
                }
                (Comparator::Equal | Comparator::NotEqual, Some(found)) if !matches!(found, StringMatch::Exact(_)) => {
                    if comparator == Comparator::NotEqual {
                        self.sql("not coalesce(");
                    }
                    match found {
                        StringMatch::Prefix(part) => self.starts(field, &field.compared(part))?,
                        StringMatch::Suffix(part) => self.ends(column, &field.compared(part))?,
                        StringMatch::Contains(part) | StringMatch::Exact(part) => {
                            self.contains(column, &field.compared(part))?;
                        }
                    }
                    if comparator == Comparator::NotEqual {
                        self.sql(", false)");
                    }
                    return Ok(());
                }
                _ => {}
            }
        }
        if let (FieldKind::Time, Ok(day)) = (field.kind, literal.as_str().parse::<jiff::civil::Date>()) {
            return self.day(field, comparator, day);
        }
        let value = field.value(literal)?;
        self.compare(field, comparator, value)
    }

    /// Compares with a whole day in UTC.
    fn day(&mut self, field: &Field, comparator: Comparator, day: jiff::civil::Date) -> Result<()> {
        let midnight = |day: jiff::civil::Date| {
            let at = jiff::tz::Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok();
            at.map(|at| Value::from(Timestamp::from(at))).ok_or_else(|| refused(format!("{day} is out of range")))
        };
        let (begin, end) = (midnight(day)?, midnight(day.tomorrow().map_err(|error| refused(error.to_string()))?)?);
        match comparator {
            Comparator::LessThan | Comparator::GreaterThanOrEqual => self.compare(field, comparator, begin),
            Comparator::LessThanOrEqual => self.compare(field, Comparator::LessThan, end),
            Comparator::GreaterThan => self.compare(field, Comparator::GreaterThanOrEqual, end),
            _ => {
                let not = comparator == Comparator::NotEqual;
                let certain = self.certain;
                self.certain &= !not;
                self.sql(if not { "not coalesce(" } else { "(" });
                self.compare(field, Comparator::GreaterThanOrEqual, begin)?;
                self.sql(" and ");
                self.compare(field, Comparator::LessThan, end)?;
                self.sql(if not { ", false)" } else { ")" });
                self.certain = certain;
                Ok(())
            }
        }
    }

    fn compare(&mut self, field: &Field, comparator: Comparator, value: Value) -> Result<()> {
        let numbers = matches!(field.kind, FieldKind::Int | FieldKind::Time);
        let ordered = numbers || field.is_text() || matches!(field.kind, FieldKind::Double);
        if let (true, true, Value::Int(Some(at))) = (self.certain, numbers, &value) {
            self.spans.push((field.name, span_of(comparator, *at)));
        }
        self.sql(field.column);
        self.sql(match comparator {
            Comparator::Equal => " = ",
            Comparator::Has if !field.is_text() => " = ",
            // Absent values differ from every literal.
            Comparator::NotEqual => " is distinct from ",
            Comparator::LessThan if ordered => " < ",
            Comparator::LessThanOrEqual if ordered => " <= ",
            Comparator::GreaterThan if ordered => " > ",
            Comparator::GreaterThanOrEqual if ordered => " >= ",
            _ => return Err(refused(format!("{} has no order: use = or !=", field.name))),
        });
        self.bind(value);
        Ok(())
    }

    /// `like` ignores case on SQLite; comparing the first characters does not.
    fn starts(&mut self, field: &Field, part: &str) -> Result<()> {
        Value::from(part).check()?;
        let column = field.column;
        if matches!(field.kind, FieldKind::Key) {
            self.sql("(");
            self.sql(column);
            self.sql(" >= ");
            self.bind(part);
            if let Some(end) = after_prefix(part) {
                self.sql(" and ");
                self.sql(column);
                self.sql(" < ");
                self.bind(end);
            }
            self.sql(")");
            return Ok(());
        }
        self.scan()?;
        self.sql("substr(");
        self.sql(column);
        self.sql(", 1, ");
        self.sql("cast(");
        self.bind(characters(part));
        self.sql(" as integer)) = ");
        self.bind(part);
        Ok(())
    }

    fn ends(&mut self, column: &'static str, part: &str) -> Result<()> {
        self.scan()?;
        Value::from(part).check()?;
        self.sql("(length(");
        self.sql(column);
        self.sql(") >= ");
        self.bind(characters(part));
        self.sql(" and substr(");
        self.sql(column);
        self.sql(", cast(length(");
        self.sql(column);
        self.sql(") + 1 - ");
        self.bind(characters(part));
        self.sql(" as integer)) = ");
        self.bind(part);
        self.sql(")");
        Ok(())
    }

    /// Text contains a part if taking the part out changes it, which both engines do case-sensitively.
    fn contains(&mut self, column: &'static str, part: &str) -> Result<()> {
        self.scan()?;
        Value::from(part).check()?;
        if part.is_empty() {
            self.sql(column);
            self.sql(" is not null");
            return Ok(());
        }
        self.sql("replace(");
        self.sql(column);
        self.sql(", ");
        self.bind(part);
        self.sql(", '') <> ");
        self.sql(column);
        Ok(())
    }
}

/// The first text after all that begin with `part`, bytewise; none if there is no such text.
fn after_prefix(part: &str) -> Option<String> {
    let mut end: Vec<char> = part.chars().collect();
    while let Some(last) = end.pop() {
        // The order of UTF-8 bytes is that of code points; between them lie the surrogates, which are none.
        let next = if last == '\u{D7FF}' { Some('\u{E000}') } else { char::from_u32(last as u32 + 1) };
        if let Some(next) = next {
            end.push(next);
            return Some(end.into_iter().collect());
        }
    }
    None
}

fn characters(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
