//! The fields that lists can be filtered by.

use super::refused;
use crate::value::Value;
use aip_160::Value as Literal;
use remit_core::clock::instant;
use remit_core::{Result, Timestamp, subject};
use std::borrow::Cow;

/// A field that a list can be filtered by.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub(super) name: &'static str,
    pub(super) column: &'static str,
    pub(super) kind: FieldKind,
    /// Whether it holds subjects, which are stored in their canonical form.
    subjects: bool,
    /// Whether no row is without it.
    pub(super) always: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum FieldKind {
    Text,
    Key,
    Int,
    Double,
    Bool,
    Time,
    Words(&'static [&'static str]),
    Codes(&'static [(&'static str, i64)]),
}

impl Field {
    /// Text, compared bytewise.
    pub const fn text(name: &'static str, column: &'static str) -> Self {
        Self::of(name, column, FieldKind::Text)
    }

    /// Text in a `$KEY` column itself: a prefix is a range of it, which an index can serve.
    pub const fn key(name: &'static str, column: &'static str) -> Self {
        Self::of(name, column, FieldKind::Key)
    }

    /// An integer.
    pub const fn bigint(name: &'static str, column: &'static str) -> Self {
        Self::of(name, column, FieldKind::Int)
    }

    /// A floating-point number.
    pub const fn double(name: &'static str, column: &'static str) -> Self {
        Self::of(name, column, FieldKind::Double)
    }

    /// A flag in a column of 0 and 1, written `true` and `false`.
    pub const fn boolean(name: &'static str, column: &'static str) -> Self {
        Self::of(name, column, FieldKind::Bool)
    }

    /// A time in microseconds, written as a date, midnight UTC, or as in RFC 3339: `"2026-05-01T08:30:00Z"`.
    pub const fn timestamp(name: &'static str, column: &'static str) -> Self {
        Self::of(name, column, FieldKind::Time)
    }

    /// One of these words, stored as text.
    pub const fn words(name: &'static str, column: &'static str, words: &'static [&'static str]) -> Self {
        Self::of(name, column, FieldKind::Words(words))
    }

    /// One of these words, stored as its number: the values of an enum by name.
    pub const fn codes(name: &'static str, column: &'static str, codes: &'static [(&'static str, i64)]) -> Self {
        Self::of(name, column, FieldKind::Codes(codes))
    }

    /// Text that names somebody: it is compared with the canonical form of what the filter says, and so finds everybody
    /// who is meant.
    #[must_use]
    pub const fn subjects(self) -> Self {
        Self { subjects: true, ..self }
    }

    /// A field that no row is without, so that what is not one of its words is another.
    #[must_use]
    pub const fn always(self) -> Self {
        Self { always: true, ..self }
    }

    const fn of(name: &'static str, column: &'static str, kind: FieldKind) -> Self {
        Self { name, column, kind, subjects: false, always: false }
    }

    /// Text of a filter as it is compared with this field.
    pub(super) fn compared<'t>(&self, text: &'t str) -> Cow<'t, str> {
        // What has no canonical form finds nobody.
        if self.subjects { subject::canonical(text).unwrap_or(Cow::Borrowed(text)) } else { Cow::Borrowed(text) }
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.kind, FieldKind::Text | FieldKind::Key)
    }

    pub(super) fn value(&self, literal: &Literal) -> Result<Value> {
        let text = literal.as_str();
        let value = match self.kind {
            FieldKind::Text | FieldKind::Key => Some(Value::from(&*self.compared(text))),
            FieldKind::Int => literal.as_i64().map(Value::from),
            FieldKind::Double => literal.as_f64().map(Value::from),
            FieldKind::Bool => literal.as_bool().map(Value::from),
            FieldKind::Time => instant(text).map(|at| Value::from(Timestamp::from(at))),
            FieldKind::Words(words) => words.contains(&text).then(|| Value::from(text)),
            FieldKind::Codes(codes) => codes.iter().find(|(word, _)| *word == text).map(|(_, code)| Value::from(*code)),
        };
        let value = value.ok_or_else(|| refused(format!("{} must be {}", self.name, self.expected())))?;
        value.check().map(|()| value)
    }

    fn expected(&self) -> String {
        match self.kind {
            FieldKind::Text | FieldKind::Key => "text".to_owned(),
            FieldKind::Int => "an integer".to_owned(),
            FieldKind::Double => "a number".to_owned(),
            FieldKind::Bool => "true or false".to_owned(),
            FieldKind::Time => "a time such as \"2026-05-01T00:00:00Z\" or a date such as \"2026-05-01\"".to_owned(),
            FieldKind::Words(words) => format!("one of {}", words.join(", ")),
            FieldKind::Codes(codes) => {
                format!("one of {}", codes.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", "))
            }
        }
    }
}
