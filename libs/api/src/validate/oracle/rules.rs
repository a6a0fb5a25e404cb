//! The rules themselves.

use super::Violation;
use prost_reflect::{DynamicMessage, EnumDescriptor, Value};
use regex::Regex;

/// One rule of one value.
#[derive(Debug)]
pub(super) enum Rule {
    /// Characters of a string.
    MinLen(u64),
    MaxLen(u64),
    Len(u64),
    /// Bytes of a byte string.
    MinBytes(u64),
    MaxBytes(u64),
    Pattern(Regex),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Uuid,
    /// Numbers, durations and timestamps, compared on one scale.
    Gt(Scalar),
    Gte(Scalar),
    Lt(Scalar),
    Lte(Scalar),
    Finite,
    Const(Scalar),
    In(Vec<Scalar>),
    NotIn(Vec<Scalar>),
    DefinedOnly,
    /// Items of a list or pairs of a map.
    MinItems(u64),
    MaxItems(u64),
}

/// A value that can be compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Int(i128),
    Float(f64),
    Text(String),
    Bool(bool),
}

impl Scalar {
    /// The comparable form of a value; durations and timestamps in nanoseconds.
    fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Bool(v) => Self::Bool(*v),
            Value::I32(v) => Self::Int(i128::from(*v)),
            Value::I64(v) => Self::Int(i128::from(*v)),
            Value::U32(v) => Self::Int(i128::from(*v)),
            Value::U64(v) => Self::Int(i128::from(*v)),
            Value::EnumNumber(v) => Self::Int(i128::from(*v)),
            Value::F32(v) => Self::Float(f64::from(*v)),
            Value::F64(v) => Self::Float(*v),
            Value::String(v) => Self::Text(v.clone()),
            Value::Message(v) => Self::Int(nanos(v)?),
            Value::Bytes(_) | Value::List(_) | Value::Map(_) => return None,
        })
    }

    /// Ordered as the rules need it: nothing is less, equal or greater than NaN.
    fn compare(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Int(v) => v.to_string(),
            Self::Float(v) => v.to_string(),
            Self::Text(v) => format!("{v:?}"),
            Self::Bool(v) => v.to_string(),
        }
    }
}

fn nanos(message: &DynamicMessage) -> Option<i128> {
    let seconds = message.get_field_by_name("seconds")?.as_i64()?;
    let nanos = message.get_field_by_name("nanos")?.as_i32()?;
    Some(i128::from(seconds) * 1_000_000_000 + i128::from(nanos))
}

/// Makes one rule of the standard ones, `part` being the type such as `string`.
///
/// # Errors
/// A text that names the field, if this interpreter does not know the rule.
pub(super) fn compile(part: &str, rule: &str, value: &Value, field: &str) -> Result<Rule, String> {
    let unsupported = || format!("{field}: the rule {part}.{rule} is not supported");
    let count = || value.as_u64().ok_or_else(unsupported);
    let scalar = || Scalar::of(value).ok_or_else(unsupported);
    let text = || value.as_str().map(str::to_owned).ok_or_else(unsupported);
    let scalars = || match value {
        Value::List(list) => list.iter().map(|v| Scalar::of(v).ok_or_else(unsupported)).collect(),
        _ => Err(unsupported()),
    };
    Ok(match (part, rule) {
        ("string", "min_len") => Rule::MinLen(count()?),
        ("string", "max_len") => Rule::MaxLen(count()?),
        ("string", "len") => Rule::Len(count()?),
        ("string", "pattern") => Rule::Pattern(Regex::new(&text()?).map_err(|e| format!("{field}: {e}"))?),
        ("string", "prefix") => Rule::Prefix(text()?),
        ("string", "suffix") => Rule::Suffix(text()?),
        ("string", "contains") => Rule::Contains(text()?),
        ("string", "uuid") => Rule::Uuid,
        ("string", "max_bytes") | ("bytes", "max_len") => Rule::MaxBytes(count()?),
        ("string", "min_bytes") | ("bytes", "min_len") => Rule::MinBytes(count()?),
        ("repeated", "min_items") | ("map", "min_pairs") => Rule::MinItems(count()?),
        ("repeated", "max_items") | ("map", "max_pairs") => Rule::MaxItems(count()?),
        ("enum", "defined_only") if value.as_bool() == Some(true) => Rule::DefinedOnly,
        ("double" | "float", "finite") if value.as_bool() == Some(true) => Rule::Finite,
        ("bytes" | "any", _) => return Err(unsupported()),
        (_, "const") => Rule::Const(scalar()?),
        (_, "in") => Rule::In(scalars()?),
        (_, "not_in") => Rule::NotIn(scalars()?),
        (_, "gt") => Rule::Gt(scalar()?),
        (_, "gte") => Rule::Gte(scalar()?),
        (_, "lt") => Rule::Lt(scalar()?),
        (_, "lte") => Rule::Lte(scalar()?),
        _ => return Err(unsupported()),
    })
}

/// Checks how many items a list has.
pub(super) fn check_items(count: usize, rules: &[Rule], path: &str, found: &mut Vec<Violation>) {
    check_count(count, rules, "items", path, found);
}

/// Checks how many pairs a map has.
pub(super) fn check_pairs(count: usize, rules: &[Rule], path: &str, found: &mut Vec<Violation>) {
    check_count(count, rules, "entries", path, found);
}

fn check_count(count: usize, rules: &[Rule], what: &str, path: &str, found: &mut Vec<Violation>) {
    let count = count as u64;
    for rule in rules {
        let description = match rule {
            Rule::MinItems(min) if count < *min => format!("must have at least {min} {what}, not {count}"),
            Rule::MaxItems(max) if count > *max => format!("must have at most {max} {what}, not {count}"),
            _ => continue,
        };
        found.push(Violation { field: path.to_owned(), description });
    }
}

/// Checks one value.
pub(super) fn check_value(
    value: &Value,
    rules: &[Rule],
    enumeration: Option<&EnumDescriptor>,
    path: &str,
    found: &mut Vec<Violation>,
) {
    for rule in rules {
        if let Some(description) = broken(value, rule, enumeration) {
            found.push(Violation { field: path.to_owned(), description });
        }
    }
}

/// What the value must be, if it is not.
fn broken(value: &Value, rule: &Rule, enumeration: Option<&EnumDescriptor>) -> Option<String> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let chars = || value.as_str().map_or(0, |text| text.chars().count() as u64);
    let bytes = || match value {
        Value::Bytes(bytes) => bytes.len() as u64,
        Value::String(text) => text.len() as u64,
        _ => 0,
    };
    let text = || value.as_str().unwrap_or_default();
    let against = |limit: &Scalar| Scalar::of(value).and_then(|value| value.compare(limit));
    let is_in = |list: &[Scalar]| Scalar::of(value).is_some_and(|value| list.contains(&value));
    let list = |list: &[Scalar]| list.iter().map(Scalar::shown).collect::<Vec<_>>().join(", ");
    let (holds, description) = match rule {
        Rule::MinLen(min) => (chars() >= *min, format!("must be at least {min} characters")),
        Rule::MaxLen(max) => (chars() <= *max, format!("must be at most {max} characters, not {}", chars())),
        Rule::Len(len) => (chars() == *len, format!("must be {len} characters")),
        Rule::MinBytes(min) => (bytes() >= *min, format!("must be at least {min} bytes")),
        Rule::MaxBytes(max) => (bytes() <= *max, format!("must be at most {max} bytes, not {}", bytes())),
        Rule::Pattern(pattern) => (pattern.is_match(text()), format!("must match {pattern}")),
        Rule::Prefix(prefix) => (text().starts_with(prefix.as_str()), format!("must start with {prefix:?}")),
        Rule::Suffix(suffix) => (text().ends_with(suffix.as_str()), format!("must end with {suffix:?}")),
        Rule::Contains(part) => (text().contains(part.as_str()), format!("must contain {part:?}")),
        Rule::Uuid => (is_uuid(text()), "must be a UUID".to_owned()),
        Rule::Gt(limit) => (against(limit) == Some(Greater), format!("must be greater than {}", limit.shown())),
        Rule::Gte(limit) => {
            (matches!(against(limit), Some(Greater | Equal)), format!("must be at least {}", limit.shown()))
        }
        Rule::Lt(limit) => (against(limit) == Some(Less), format!("must be less than {}", limit.shown())),
        Rule::Lte(limit) => {
            (matches!(against(limit), Some(Less | Equal)), format!("must be at most {}", limit.shown()))
        }
        Rule::Finite => (
            matches!(value, Value::F64(v) if v.is_finite()) || matches!(value, Value::F32(v) if v.is_finite()),
            "must be a finite number".to_owned(),
        ),
        Rule::Const(wanted) => (Scalar::of(value).as_ref() == Some(wanted), format!("must be {}", wanted.shown())),
        Rule::In(allowed) => (is_in(allowed), format!("must be one of {}", list(allowed))),
        Rule::NotIn(refused) => (!is_in(refused), refused_text(refused, enumeration)),
        Rule::DefinedOnly => {
            let number = value.as_enum_number().unwrap_or_default();
            let known = enumeration.is_none_or(|enumeration| enumeration.get_value(number).is_some());
            (known, format!("must be a known value, not {number}"))
        }
        Rule::MinItems(_) | Rule::MaxItems(_) => return None,
    };
    (!holds).then_some(description)
}

/// Zero is how a missing enum value reads, so say that it is missing.
fn refused_text(refused: &[Scalar], enumeration: Option<&EnumDescriptor>) -> String {
    let names: Vec<_> = refused
        .iter()
        .map(|scalar| match (scalar, enumeration) {
            (Scalar::Int(number), Some(enumeration)) => i32::try_from(*number)
                .ok()
                .and_then(|number| enumeration.get_value(number))
                .map_or_else(|| scalar.shown(), |value| value.name().to_owned()),
            _ => scalar.shown(),
        })
        .collect();
    format!("must not be {}", names.join(" or "))
}

/// Whether `text` is a UUID in its usual form of 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A text that is equal for equal values, to find repeated items.
pub(super) fn text_of(value: &Value) -> String {
    value.to_string()
}

/// Whether a `google.protobuf.Timestamp` is one of those that exist: of the years 1 to 9999.
pub(super) fn fits_the_calendar(time: &DynamicMessage) -> bool {
    let number = |name| match time.get_field_by_name(name).as_deref() {
        Some(Value::I64(number)) => *number,
        Some(Value::I32(number)) => i64::from(*number),
        _ => 0,
    };
    (-62_135_596_800..=253_402_300_799).contains(&number("seconds")) && (0..1_000_000_000).contains(&number("nanos"))
}
